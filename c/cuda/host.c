/* Pictures of the host, some of them on their way while others are filtered.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "integers.h"
#include "job.h"

static void copy_rows(uint8_t *to, ptrdiff_t to_stride, const uint8_t *from, ptrdiff_t from_stride, size_t row, int rows)
{
    for (int y = 0; y < rows; y++)
        memcpy(to + y * to_stride, from + y * from_stride, row);
}

static int grow(VrcnnCuda *c, CUdeviceptr *device, void **pinned, size_t *size, size_t wanted)
{
    int error;
    if (*size >= wanted)
        return VRCNN_OK;
    vrcnn_gpu_release(c, device, *size);
    if (*pinned)
        c->driver.free_host(*pinned);
    *pinned = NULL;
    *size = 0;
    if ((error = vrcnn_gpu_allocate(c, device, wanted)))
        return error;
    if ((error = vrcnn_driver_error(c->driver.allocate_host(pinned, wanted, 0)))) {
        *pinned = NULL;
        vrcnn_gpu_release(c, device, wanted);
        return error;
    }
    *size = wanted;
    return VRCNN_OK;
}

/* Where plane p of a picture lies in a slot's memory, row after row. */
static size_t packed_at(const VrcnnConstPlane *planes, int p)
{
    size_t at = 0;
    for (int i = 0; i < p; i++)
        if (planes[i].data)
            at += (size_t)planes[i].width * (size_t)planes[i].bytes_per_sample * (size_t)planes[i].height;
    return at;
}

static ptrdiff_t packed_row(const VrcnnConstPlane *plane)
{
    return (ptrdiff_t)plane->width * plane->bytes_per_sample;
}

/* A picture's planes, packed into memory that begins at `base`. */
static void pack_planes(VrcnnConstPlane packed[VRCNN_PLANES], const VrcnnConstPlane *planes, CUdeviceptr base)
{
    for (int p = 0; p < VRCNN_PLANES; p++) {
        packed[p] = planes[p];
        if (!planes[p].data)
            continue;
        packed[p].data = vrcnn_driver_pointer(base + packed_at(planes, p));
        packed[p].stride = packed_row(planes + p);
    }
}

/* Copies one rectangle of a plane out of a slot's memory. */
static void take_rectangle(const VrcnnPlane *to, const uint8_t *packed, VrcnnRegion r)
{
    const ptrdiff_t bytes = to->bytes_per_sample, row = to->width * bytes;
    copy_rows((uint8_t *)to->data + r.y * to->stride + r.x * bytes, to->stride, packed + r.y * row + r.x * bytes, row,
              (size_t)(r.width * bytes), r.height);
}

/* What the job wrote of a picture. */
static void take_pieces(const VrcnnGpuJob *job, const VrcnnGpuPicture *picture, const uint8_t *packed)
{
    VrcnnSchedule schedule;
    VrcnnPiece piece;
    VrcnnConstPlane dst[VRCNN_PLANES];
    for (int p = 0; p < VRCNN_PLANES; p++)
        dst[p] = vrcnn_reading(picture->dst + p);
    vrcnn_gpu_start_schedule(&schedule, job);
    while (vrcnn_schedule_next(&schedule, &piece))
        for (int p = 0; p < VRCNN_PLANES; p++) {
            const int site = p == 0 && job->network[piece.filter]->nature.is_joint ? 2 : 1;
            const int right = site * (piece.region.x + piece.region.width), bottom = site * (piece.region.y + piece.region.height);
            VrcnnRegion r = {site * piece.region.x, site * piece.region.y, 0, 0};
            if (!dst[p].data || !(p ? piece.writes_chroma : piece.writes_luma))
                continue;
            r.width = smaller(right, dst[p].width) - r.x;
            r.height = smaller(bottom, dst[p].height) - r.y;
            take_rectangle(picture->dst + p, packed + packed_at(dst, p), r);
        }
}

/* Waits for the slot's picture, if there is one, and hands its samples over. */
static int finish(const VrcnnGpuJob *job, VrcnnGpuSlot *slot)
{
    VrcnnGpuPicture picture;
    if (slot->pending < 0)
        return VRCNN_OK;
    int error = vrcnn_driver_error(job->context->driver.synchronize(slot->stream));
    if (!error && !(error = vrcnn_gpu_check_picture(&picture, &job->pictures, slot->pending)))
        take_pieces(job, &picture, slot->pinned_dst);
    slot->pending = -1;
    return error;
}

static int begin(const VrcnnGpuJob *job, VrcnnGpuSlot *slot, int number)
{
    VrcnnCuda *c = job->context;
    VrcnnGpuPicture picture;
    VrcnnConstPlane written[VRCNN_PLANES], src[VRCNN_PLANES], read[VRCNN_PLANES];
    VrcnnPlane dst[VRCNN_PLANES];
    int error;
    if ((error = vrcnn_gpu_check_picture(&picture, &job->pictures, number)))
        return error;
    for (int p = 0; p < VRCNN_PLANES; p++)
        written[p] = vrcnn_reading(picture.dst + p);
    const size_t src_size = packed_at(picture.src, VRCNN_PLANES), dst_size = packed_at(written, VRCNN_PLANES);
    if (!slot->stream && (error = vrcnn_driver_error(c->driver.create_stream(&slot->stream, CU_STREAM_NON_BLOCKING))))
        return error;
    if ((error = grow(c, &slot->src, &slot->pinned_src, &slot->src_size, src_size)) ||
        (error = grow(c, &slot->dst, &slot->pinned_dst, &slot->dst_size, dst_size)))
        return error;
    pack_planes(src, picture.src, slot->src);
    pack_planes(read, written, slot->dst);
    for (int p = 0; p < VRCNN_PLANES; p++) {
        const VrcnnConstPlane *from = picture.src + p;
        if (from->data)
            copy_rows((uint8_t *)slot->pinned_src + packed_at(picture.src, p), packed_row(from), from->data, from->stride,
                      (size_t)packed_row(from), from->height);
        dst[p] = picture.dst[p];
        if (dst[p].data)
            dst[p].data = vrcnn_driver_pointer(slot->dst + packed_at(written, p));
        dst[p].stride = read[p].stride;
    }
    const VrcnnGpuPictures pictures = {1, VRCNN_PLANES, dst, src};
    slot->pending = number;
    if ((error = vrcnn_driver_error(c->driver.to_device(slot->src, slot->pinned_src, src_size, slot->stream))) ||
        (error = vrcnn_gpu_run(job, &pictures, slot->stream)))
        return error;
    return vrcnn_driver_error(c->driver.to_host(slot->pinned_dst, slot->dst, dst_size, slot->stream));
}

int vrcnn_gpu_run_on_host(const VrcnnGpuJob *job)
{
    VrcnnCuda *context = job->context;
    const int count = job->pictures.count;
    int error;
    if (!count)
        return VRCNN_OK;
    if ((error = vrcnn_gpu_enter(context)))
        return error;
    for (int i = 0; i < VRCNN_GPU_SLOTS; i++)
        context->slot[i].pending = -1;
    for (int i = 0; i < count && !error; i++) {
        VrcnnGpuSlot *slot = context->slot + i % VRCNN_GPU_SLOTS;
        if (!(error = finish(job, slot)))
            error = begin(job, slot, i);
    }
    for (int i = 0; i < VRCNN_GPU_SLOTS; i++) { /* the oldest first; after an error only to leave nothing behind */
        const int problem = finish(job, context->slot + (count + i) % VRCNN_GPU_SLOTS);
        error = error ? error : problem;
    }
    return vrcnn_gpu_leave(context, error);
}

static void close_slot(VrcnnCuda *c, VrcnnGpuSlot *slot)
{
    if (slot->stream)
        c->driver.destroy_stream(slot->stream);
    if (slot->pinned_src)
        c->driver.free_host(slot->pinned_src);
    if (slot->pinned_dst)
        c->driver.free_host(slot->pinned_dst);
    vrcnn_gpu_release(c, &slot->src, slot->src_size);
    vrcnn_gpu_release(c, &slot->dst, slot->dst_size);
    memset(slot, 0, sizeof *slot);
}

void vrcnn_gpu_close_slots(VrcnnCuda *c)
{
    for (int i = 0; i < VRCNN_GPU_SLOTS; i++)
        close_slot(c, c->slot + i);
}
