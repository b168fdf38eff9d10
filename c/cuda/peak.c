/* How fast the GPU multiplies.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "context.h"

/* Seconds of so many rounds; negative: an error. */
static double time_peak(VrcnnCuda *c, VrcnnCudaPeak *peak, int blocks, CUevent before, CUevent after)
{
    float milliseconds = 0;
    int error;
    if ((error = vrcnn_driver_error(c->driver.record(before, NULL))) ||
        (error = vrcnn_gpu_launch(c, c->peak, blocks, VRCNN_CUDA_PEAK_THREADS, 0, peak, NULL)) ||
        (error = vrcnn_driver_error(c->driver.record(after, NULL))) || (error = vrcnn_driver_error(c->driver.synchronize_event(after))) ||
        (error = vrcnn_driver_error(c->driver.elapsed(&milliseconds, before, after))))
        return error;
    return milliseconds / 1e3;
}

double vrcnn_cuda_peak(VrcnnCuda *c, double milliseconds)
{
    enum { TRIAL = 16, WARPS = VRCNN_CUDA_PEAK_THREADS / 32 };
    CUevent before = NULL, after = NULL;
    CUdeviceptr result = 0;
    double rate = 0;
    int error, blocks;
    if (!c || !(milliseconds > 0))
        return VRCNN_ERROR_ARGUMENT;
    if ((error = vrcnn_gpu_enter(c)))
        return error;
    if ((error = vrcnn_driver_error(c->driver.occupancy(&blocks, c->peak, VRCNN_CUDA_PEAK_THREADS, 0))))
        return vrcnn_gpu_leave(c, error);
    blocks *= c->multiprocessors;
    const size_t size = (size_t)blocks * VRCNN_CUDA_PEAK_THREADS * 4;
    if (!(error = vrcnn_driver_error(c->driver.create_event(&before, CU_EVENT_DEFAULT))) &&
        !(error = vrcnn_driver_error(c->driver.create_event(&after, CU_EVENT_DEFAULT))) &&
        !(error = vrcnn_gpu_allocate(c, &result, size))) {
        VrcnnCudaPeak peak = {result, TRIAL};
        /* The first run loads the kernel, the second says how long one takes, the third brings up the clock. */
        double seconds = time_peak(c, &peak, blocks, before, after);
        for (int i = 0; i < 3 && seconds > 0; i++) {
            seconds = time_peak(c, &peak, blocks, before, after);
            if (i == 0 && seconds > 0) {
                const double wanted = TRIAL * milliseconds / 1e3 / seconds;
                peak.rounds = wanted < 1e9 ? 1 + (int32_t)wanted : 1000000000;
            }
        }
        const double macs = (double)blocks * WARPS * VRCNN_CUDA_PEAK_PRODUCTS * peak.rounds * 16 * 8 * 32;
        rate = seconds > 0 ? macs / seconds / 1e9 : seconds;
    }
    vrcnn_gpu_release(c, &result, size);
    if (before)
        c->driver.destroy_event(before);
    if (after)
        c->driver.destroy_event(after);
    error = vrcnn_gpu_leave(c, error);
    return error ? error : rate;
}
