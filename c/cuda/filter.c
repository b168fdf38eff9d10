/* Checks and filters callers' pictures: on the GPU, or on the host, some of them on their way while others are filtered.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "context.h"
#include "plane.h"

static int check_pictures(const VrcnnCuda *c, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
{
    int error;
    if (!c || !dst || !src || count < 0)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= c->networks)
        return VRCNN_ERROR_INDEX;
    if (scale < 1 || scale > 10)
        return VRCNN_ERROR_SCALE;
    for (int i = 0; i < count; i++) {
        VrcnnExtent read, written;
        const VrcnnConstPlane out = vrcnn_reading(dst + i);
        if ((error = vrcnn_check_plane(&read, src + i)) || (error = vrcnn_check_plane(&written, &out)))
            return error;
        if (!vrcnn_is_alike(src + i, src) || !vrcnn_is_alike(&out, src) || src[i].bytes_per_sample != src->bytes_per_sample ||
            out.bytes_per_sample != dst->bytes_per_sample)
            return VRCNN_ERROR_PLANE;
        for (int j = 0; j <= i; j++) {
            VrcnnExtent other_read, other_written;
            const VrcnnConstPlane other = vrcnn_reading(dst + j);
            if ((error = vrcnn_check_plane(&other_read, src + j)) || (error = vrcnn_check_plane(&other_written, &other)))
                return error;
            if (vrcnn_overlap(written, other_read) || vrcnn_overlap(other_written, read) ||
                (j < i && vrcnn_overlap(written, other_written)))
                return VRCNN_ERROR_OVERLAP;
        }
    }
    return VRCNN_OK;
}

int vrcnn_cuda_filter(VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count, void *stream)
{
    int error = check_pictures(context, index, scale, dst, src, count);
    if (error || !count || (error = vrcnn_gpu_enter(context)))
        return error;
    return vrcnn_gpu_leave(context, vrcnn_gpu_filter(context, index, scale, dst, src, count, stream));
}

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

/* Waits for the slot's picture, if there is one, and hands its samples over. */
static int finish(VrcnnCuda *c, VrcnnGpuSlot *slot, const VrcnnPlane *dst)
{
    if (slot->pending < 0)
        return VRCNN_OK;
    const VrcnnPlane *to = dst + slot->pending;
    const size_t row = (size_t)to->width * (size_t)to->bytes_per_sample;
    const int error = vrcnn_driver_error(c->driver.synchronize(slot->stream));
    if (!error)
        copy_rows(to->data, to->stride, slot->pinned_dst, (ptrdiff_t)row, row, to->height);
    slot->pending = -1;
    return error;
}

static int begin(VrcnnCuda *c, VrcnnGpuSlot *slot, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int picture)
{
    const VrcnnConstPlane *from = src + picture;
    const size_t src_row = (size_t)from->width * (size_t)from->bytes_per_sample, src_size = src_row * (size_t)from->height;
    const size_t dst_row = (size_t)from->width * (size_t)dst->bytes_per_sample, dst_size = dst_row * (size_t)from->height;
    int error;
    if (!slot->stream && (error = vrcnn_driver_error(c->driver.create_stream(&slot->stream, CU_STREAM_NON_BLOCKING))))
        return error;
    if ((error = grow(c, &slot->src, &slot->pinned_src, &slot->src_size, src_size)) ||
        (error = grow(c, &slot->dst, &slot->pinned_dst, &slot->dst_size, dst_size)))
        return error;
    copy_rows(slot->pinned_src, (ptrdiff_t)src_row, from->data, from->stride, src_row, from->height);
    VrcnnConstPlane device_src = *from;
    VrcnnPlane device_dst = dst[picture];
    device_src.data = vrcnn_driver_pointer(slot->src);
    device_src.stride = (ptrdiff_t)src_row;
    device_dst.data = vrcnn_driver_pointer(slot->dst);
    device_dst.stride = (ptrdiff_t)dst_row;
    slot->pending = picture;
    if ((error = vrcnn_driver_error(c->driver.to_device(slot->src, slot->pinned_src, src_size, slot->stream))) ||
        (error = vrcnn_gpu_filter(c, index, scale, &device_dst, &device_src, 1, slot->stream)))
        return error;
    return vrcnn_driver_error(c->driver.to_host(slot->pinned_dst, slot->dst, dst_size, slot->stream));
}

int vrcnn_cuda_filter_host(VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
{
    int error = check_pictures(context, index, scale, dst, src, count);
    if (error || !count || (error = vrcnn_gpu_enter(context)))
        return error;
    for (int i = 0; i < VRCNN_GPU_SLOTS; i++)
        context->slot[i].pending = -1;
    for (int i = 0; i < count && !error; i++) {
        VrcnnGpuSlot *slot = context->slot + i % VRCNN_GPU_SLOTS;
        if (!(error = finish(context, slot, dst)))
            error = begin(context, slot, index, scale, dst, src, i);
    }
    for (int i = 0; i < VRCNN_GPU_SLOTS; i++) { /* the oldest first; after an error only to leave nothing behind */
        const int problem = finish(context, context->slot + (count + i) % VRCNN_GPU_SLOTS, dst);
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
