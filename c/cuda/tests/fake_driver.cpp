/* A libcuda.so.1 without a GPU: the driver's functions that the library uses, on memory of the host and the emulator's threads.
 *
 * Streams are lazy: what stands in one is done when somebody waits for it, or earlier, as chance will have it. Thus a missing wait or
 * event shows. When the last context is gone, everything must have been given back.
 *
 * Environment: EMULATED_CUDA=no_device, old_driver, old_gpu, memory (allocations fail), lost (launches fail): what the test wants to see.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "emulator.h"

#include "../driver.h"
#include "../fused.cuh"
#include "../joint.cuh"
#include "../simple.cuh"
#include "../variants.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

struct CUctx_st {};
struct CUmod_st {};

struct CUfunc_st {
    const char *name;
    emulator::Kernel kernel;
    size_t parameter_size;
    int most_shared;
};

struct Operation {
    std::function<void()> act;
    CUstream_st *waits_for; /* must have done `until` operations before */
    size_t until;
};

struct CUstream_st {
    std::deque<Operation> queue;
    size_t queued, done;
};

struct CUevent_st {
    CUstream stream;
    size_t until;
};

namespace
{

enum {
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    MULTIPROCESSORS = 1,
    REGISTERS = 65536,
    REGISTERS_OF_THREAD = 168,
    SHARED_LIMIT = 232448,
    SHARED_ALL = 233472
};

std::recursive_mutex mutex;
CUctx_st context;
CUstream_st default_stream;
int retained;
thread_local std::vector<CUcontext> current;
std::map<uint8_t *, size_t> device_memory, host_memory;
std::vector<CUstream> streams;
int events, modules;

template <typename Launch, void (*RUN)(const Launch &, uint8_t *)> void call(const void *launch, uint8_t *shared)
{
    RUN(*static_cast<const Launch *>(launch), shared);
}

template <Stage STAGE> void run_simple(const VrcnnCudaLaunch &launch, uint8_t *)
{
    simple_layer<STAGE>(launch);
}

void run_last(const VrcnnCudaLaunch &launch, uint8_t *)
{
    simple_last(launch);
}

void run_peak(const VrcnnCudaPeak &peak, uint8_t *)
{
    measure_peak(peak);
}

CUfunc_st functions[] = {{"vrcnn_simple_first", call<VrcnnCudaLaunch, run_simple<FIRST_LAYER>>, sizeof(VrcnnCudaLaunch), 0},
                         {"vrcnn_simple_hidden", call<VrcnnCudaLaunch, run_simple<HIDDEN_LAYER>>, sizeof(VrcnnCudaLaunch), 0},
                         {"vrcnn_simple_last", call<VrcnnCudaLaunch, run_last>, sizeof(VrcnnCudaLaunch), 0},
                         {"vrcnn_joint_first", call<VrcnnCudaLaunch, joint_layer<JointFirst>>, sizeof(VrcnnCudaLaunch), 0},
                         {"vrcnn_joint_hidden_32", call<VrcnnCudaLaunch, joint_layer<JointHidden<32>>>, sizeof(VrcnnCudaLaunch), 0},
                         {"vrcnn_joint_hidden_64", call<VrcnnCudaLaunch, joint_layer<JointHidden<64>>>, sizeof(VrcnnCudaLaunch), 0},
                         {"vrcnn_joint_last_32", call<VrcnnCudaLaunch, joint_layer<JointLast<32>>>, sizeof(VrcnnCudaLaunch), 0},
                         {"vrcnn_joint_last_64", call<VrcnnCudaLaunch, joint_layer<JointLast<64>>>, sizeof(VrcnnCudaLaunch), 0},
                         {"vrcnn_peak", call<VrcnnCudaPeak, run_peak>, sizeof(VrcnnCudaPeak), 0},
#define FIRST(name, rows, columns, width, blocks)                                                                                          \
    {#name, call<VrcnnCudaLaunch, First<rows, columns, width>::run>, sizeof(VrcnnCudaLaunch), 0},
#define SECOND(name, warps, rows, columns, width, blocks)                                                                                  \
    {#name, call<VrcnnCudaLaunch, Second<warps, rows, columns, width>::run>, sizeof(VrcnnCudaLaunch), 0},
                         VRCNN_CUDA_FIRST_VARIANTS(FIRST) VRCNN_CUDA_SECOND_VARIANTS(SECOND)};

bool wants(const char *what)
{
    const char *wanted = getenv("EMULATED_CUDA");
    return wanted && !strcmp(wanted, what);
}

void do_until(CUstream stream, size_t until)
{
    while (stream->done < until) {
        const Operation operation = stream->queue.front();
        stream->queue.pop_front();
        if (operation.waits_for)
            do_until(operation.waits_for, operation.until);
        if (operation.act)
            operation.act();
        stream->done++;
    }
}

CUstream real(CUstream stream)
{
    return stream ? stream : &default_stream;
}

CUresult put(CUstream stream, const Operation &operation)
{
    if (current.empty())
        return CUDA_ERROR_INVALID_CONTEXT;
    stream = real(stream);
    stream->queue.push_back(operation);
    stream->queued++;
    if (emulator::noise() % 4 == 0)
        do_until(stream, stream->queued - emulator::noise() % 2);
    return CUDA_SUCCESS;
}

void do_everything()
{
    do_until(&default_stream, default_stream.queued);
    for (const CUstream stream : streams)
        do_until(stream, stream->queued);
}

bool is_pinned(const void *p)
{
    const auto after = host_memory.upper_bound(static_cast<uint8_t *>(const_cast<void *>(p)));
    if (after == host_memory.begin())
        return false;
    const auto block = std::prev(after);
    return static_cast<const uint8_t *>(p) < block->first + block->second;
}

} // namespace

#define LOCK const std::lock_guard<std::recursive_mutex> lock(mutex)

EXPORT CUresult cuInit(unsigned)
{
    return wants("no_device") ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int *version)
{
    *version = wants("old_driver") ? 11000 : 13000;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetCount(int *count)
{
    *count = 1;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice *device, int number)
{
    *device = number;
    return number ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *name, int size, CUdevice)
{
    snprintf(name, static_cast<size_t>(size), "emulated GPU");
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice)
{
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = MULTIPROCESSORS; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = wants("old_gpu") ? 7 : 9; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = SHARED_LIMIT; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice)
{
    LOCK;
    retained++;
    *out = &context;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice)
{
    LOCK;
    if (--retained == 0 && (!device_memory.empty() || !host_memory.empty() || !streams.empty() || events || modules || !current.empty())) {
        fprintf(stderr,
                "fake driver: left behind: %zu blocks on the device, %zu pinned, %zu streams, %d events, %d modules, %zu contexts\n",
                device_memory.size(), host_memory.size(), streams.size(), events, modules, current.size());
        abort();
    }
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(CUcontext pushed)
{
    LOCK;
    current.push_back(pushed);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *popped)
{
    LOCK;
    if (current.empty())
        return CUDA_ERROR_INVALID_CONTEXT;
    *popped = current.back();
    current.pop_back();
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *)
{
    static CUmod_st one;
    LOCK;
    if (wants("old_driver"))
        return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    modules++;
    *module = &one;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule)
{
    LOCK;
    modules--;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(CUfunction *out, CUmodule, const char *name)
{
    for (CUfunc_st &function : functions)
        if (!strcmp(function.name, name)) {
            *out = &function;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}

EXPORT CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value)
{
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        return CUDA_SUCCESS;
    function->most_shared = value;
    if (value > SHARED_LIMIT)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction, int threads, size_t shared)
{
    const int by_registers = REGISTERS / (REGISTERS_OF_THREAD * threads), by_shared = static_cast<int>(SHARED_ALL / (shared + 1024));
    *blocks = by_registers < by_shared ? by_registers : by_shared;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads,
                               unsigned threads_y, unsigned threads_z, unsigned shared, CUstream stream, void **parameters, void **)
{
    LOCK;
    if (!blocks || blocks_y != 1 || blocks_z != 1 || !threads || threads > 1024 || threads_y != 1 || threads_z != 1 ||
        (shared > 48 << 10 && static_cast<int>(shared) > function->most_shared))
        return CUDA_ERROR_INVALID_VALUE;
    if (wants("lost"))
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    const uint8_t *parameter = static_cast<const uint8_t *>(parameters[0]);
    const std::vector<uint8_t> copy(parameter, parameter + function->parameter_size);
    const auto act = [=] { emulator::run(function->kernel, copy.data(), static_cast<int>(blocks), static_cast<int>(threads), shared); };
    return put(stream, {act, nullptr, 0});
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t size)
{
    LOCK;
    uint8_t *memory = size && !wants("memory") ? emulator::take(size) : nullptr;
    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    device_memory[memory] = size;
    *out = reinterpret_cast<CUdeviceptr>(memory);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer)
{
    LOCK;
    const auto block = device_memory.find(reinterpret_cast<uint8_t *>(pointer));
    if (block == device_memory.end())
        return CUDA_ERROR_INVALID_VALUE;
    do_everything();
    emulator::give_back(block->first, block->second);
    device_memory.erase(block);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemHostAlloc(void **out, size_t size, unsigned)
{
    LOCK;
    uint8_t *memory = wants("memory") ? nullptr : emulator::take(size);
    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    host_memory[memory] = size;
    *out = memory;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void *pointer)
{
    LOCK;
    const auto block = host_memory.find(static_cast<uint8_t *>(pointer));
    if (block == host_memory.end())
        return CUDA_ERROR_INVALID_VALUE;
    do_everything();
    emulator::give_back(block->first, block->second);
    host_memory.erase(block);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream)
{
    LOCK;
    void *target = reinterpret_cast<void *>(to);
    if (is_pinned(from))
        return put(stream, {[=] { memcpy(target, from, size); }, nullptr, 0});
    const uint8_t *bytes = static_cast<const uint8_t *>(from);
    const std::vector<uint8_t> copy(bytes, bytes + size);
    return put(stream, {[=] { memcpy(target, copy.data(), size); }, nullptr, 0});
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream)
{
    LOCK;
    const void *source = reinterpret_cast<const void *>(from);
    const CUresult result = put(stream, {[=] { memcpy(to, source, size); }, nullptr, 0});
    if (!is_pinned(to))
        do_until(real(stream), real(stream)->queued);
    return result;
}

EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned)
{
    LOCK;
    *stream = new CUstream_st();
    streams.push_back(*stream);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamDestroy_v2(CUstream stream)
{
    LOCK;
    do_until(stream, stream->queued);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream)
            streams.erase(streams.begin() + static_cast<ptrdiff_t>(i));
    /* Events may name it on: it stays, empty. */
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamSynchronize(CUstream stream)
{
    LOCK;
    if (current.empty())
        return CUDA_ERROR_INVALID_CONTEXT;
    do_until(real(stream), real(stream)->queued);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned)
{
    LOCK;
    return put(stream, {nullptr, event->stream, event->until});
}

EXPORT CUresult cuEventCreate(CUevent *event, unsigned)
{
    LOCK;
    events++;
    *event = new CUevent_st();
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(CUevent event)
{
    LOCK;
    events--;
    delete event;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream stream)
{
    LOCK;
    if (current.empty())
        return CUDA_ERROR_INVALID_CONTEXT;
    event->stream = real(stream);
    event->until = real(stream)->queued;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventSynchronize(CUevent event)
{
    LOCK;
    if (event->stream)
        do_until(event->stream, event->until);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent, CUevent)
{
    *milliseconds = 1;
    return CUDA_SUCCESS;
}
