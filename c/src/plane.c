/* Planes.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "plane.h"

#include <string.h>

VrcnnError vrcnn_find_extent(VrcnnExtent *extent, const void *data, ptrdiff_t stride, size_t row, int height)
{
    /* In unsigned arithmetic: PTRDIFF_MIN has no negative. */
    const size_t step = stride < 0 ? (size_t)0 - (size_t)stride : (size_t)stride, rows = (size_t)height - 1;
    if (rows && (step < row || step > (PTRDIFF_MAX - row) / rows))
        return VRCNN_ERROR_PLANE;
    const size_t span = rows * step;
    const uintptr_t first = (uintptr_t)data;
    if (stride < 0 ? first < span || first - span > UINTPTR_MAX - (span + row) : first > UINTPTR_MAX - (span + row))
        return VRCNN_ERROR_PLANE;
    extent->begin = stride < 0 ? first - span : first;
    extent->end = extent->begin + span + row;
    return VRCNN_OK;
}

int vrcnn_overlap(VrcnnExtent a, VrcnnExtent b)
{
    return a.begin < b.end && b.begin < a.end;
}

VrcnnError vrcnn_check_plane(VrcnnExtent *extent, const VrcnnConstPlane *plane, int deepest)
{
    if (!plane->data)
        return VRCNN_ERROR_ARGUMENT;
    if ((plane->bit_depth < 8 || plane->bit_depth > VRCNN_USUAL) && (plane->bit_depth != VRCNN_DEEP || deepest < VRCNN_DEEP))
        return VRCNN_ERROR_BIT_DEPTH;
    if (plane->width < 1 || plane->width > VRCNN_MAX_SIZE || plane->height < 1 || plane->height > VRCNN_MAX_SIZE ||
        plane->bytes_per_sample < (plane->bit_depth > 8 ? 2 : 1) || plane->bytes_per_sample > 2)
        return VRCNN_ERROR_PLANE;
    return vrcnn_find_extent(extent, plane->data, plane->stride, (size_t)plane->width * (size_t)plane->bytes_per_sample, plane->height);
}

int vrcnn_is_alike(const VrcnnConstPlane *a, const VrcnnConstPlane *b)
{
    return a->width == b->width && a->height == b->height && a->bit_depth == b->bit_depth;
}

VrcnnConstPlane vrcnn_reading(const VrcnnPlane *plane)
{
    const VrcnnConstPlane same = {plane->data, plane->stride, plane->width, plane->height, plane->bit_depth, plane->bytes_per_sample};
    return same;
}

VrcnnError vrcnn_check_written(VrcnnExtent *written, const VrcnnPlane *dst, const VrcnnConstPlane *src, int deepest)
{
    VrcnnError error;
    VrcnnExtent read;
    const VrcnnConstPlane dst_to_read = vrcnn_reading(dst);
    if ((error = vrcnn_check_plane(&read, src, deepest)) || (error = vrcnn_check_plane(written, &dst_to_read, deepest)))
        return error;
    if (!vrcnn_is_alike(&dst_to_read, src))
        return VRCNN_ERROR_PLANE;
    return vrcnn_overlap(read, *written) ? VRCNN_ERROR_OVERLAP : VRCNN_OK;
}

void vrcnn_read_row(uint16_t *out, const VrcnnConstPlane *plane, int x, int y, int count)
{
    const uint8_t *from = (const uint8_t *)plane->data + y * plane->stride + (ptrdiff_t)x * plane->bytes_per_sample;
    const uint16_t most = (uint16_t)((1 << plane->bit_depth) - 1);
    if (plane->bytes_per_sample == 2) {
        memcpy(out, from, (size_t)count * sizeof *out);
        for (int i = 0; i < count; i++)
            out[i] = out[i] > most ? most : out[i];
    } else {
        for (int i = 0; i < count; i++)
            out[i] = from[i];
    }
}

void vrcnn_write_row(const VrcnnPlane *plane, int x, int y, const uint16_t *samples, int count)
{
    uint8_t *to = (uint8_t *)plane->data + y * plane->stride + (ptrdiff_t)x * plane->bytes_per_sample;
    if (plane->bytes_per_sample == 2)
        memcpy(to, samples, (size_t)count * sizeof *samples);
    else
        for (int i = 0; i < count; i++)
            to[i] = (uint8_t)samples[i];
}
