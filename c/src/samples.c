/* Samples.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "samples.h"

#include <string.h>

#include "conv.h"
#include "integers.h"

static int sample_at(const uint8_t *row, int x, const VrcnnConstPlane *plane)
{
    uint16_t sample;
    if (plane->bytes_per_sample == 1)
        return row[x];
    memcpy(&sample, row + 2 * (size_t)x, sizeof sample);
    return smaller(sample, (1 << plane->bit_depth) - 1);
}

void vrcnn_fetch_row(uint8_t *to, const VrcnnConstPlane *src, int y, int begin, int end)
{
    if (y < 0 || y >= src->height) {
        memset(to, 128, (size_t)(end - begin));
        return;
    }
    const uint8_t *row = (const uint8_t *)src->data + y * src->stride;
    const int first = larger(begin, 0), last = smaller(end, src->width);
    memset(to, 128, (size_t)(first - begin));
    to += first - begin;
    if (src->bytes_per_sample == 1) {
        memcpy(to, row + first, (size_t)(last - first));
    } else {
        const int down = src->bit_depth - 8, half = (1 << down) >> 1;
        for (int x = first; x < last; x++)
            to[x - first] = (uint8_t)smaller((sample_at(row, x, src) + half) >> down, 255);
    }
    memset(to + (last - first), 128, (size_t)(end - last));
}

void vrcnn_fetch_sites(uint8_t *restrict to, const VrcnnConstPlane *src, int y, int begin, int end, uint8_t *planes)
{
    const int count = end - begin;
    uint8_t *restrict above = planes, *restrict below = planes + 2 * count, *restrict cb = planes + 4 * count, *restrict cr = cb + count;
    vrcnn_fetch_row(above, src, 2 * y, 2 * begin, 2 * end);
    vrcnn_fetch_row(below, src, 2 * y + 1, 2 * begin, 2 * end);
    if (src[1].data) {
        vrcnn_fetch_row(cb, src + 1, y, begin, end);
        vrcnn_fetch_row(cr, src + 2, y, begin, end);
    } else {
        memset(cb, 128, 2 * (size_t)count);
    }
    for (int n = 0; n < count; n++, to += VRCNN_JOINT_PITCH) {
        memcpy(to, above + 2 * n, 2);
        memcpy(to + 2, below + 2 * n, 2);
        to[4] = cb[n];
        to[5] = cr[n];
        to[6] = to[7] = 0;
    }
}

void vrcnn_add_residual(const VrcnnPlane *dst, const VrcnnConstPlane *src, int y, int begin, int end, const int16_t *restrict residual)
{
    const int in_bytes = src->bytes_per_sample, out_bytes = dst->bytes_per_sample, count = end - begin;
    const uint8_t *restrict in = (const uint8_t *)src->data + y * src->stride + (ptrdiff_t)begin * in_bytes;
    uint8_t *restrict out = (uint8_t *)dst->data + y * dst->stride + (ptrdiff_t)begin * out_bytes;
    const int16_t max = (int16_t)((1 << src->bit_depth) - 1);
    /* Loops of their own for what is usual, so that the compiler makes vectors of them. */
    if (in_bytes == 1 && out_bytes == 1) {
        for (int i = 0; i < count; i++) {
            int16_t sum = (int16_t)(in[i] + residual[i]);
            sum = sum < 0 ? 0 : sum;
            out[i] = (uint8_t)(sum > 255 ? 255 : sum);
        }
    } else if (in_bytes == 2 && out_bytes == 2) {
        for (int i = 0; i < count; i++) {
            uint16_t sample;
            memcpy(&sample, in + 2 * (size_t)i, sizeof sample);
            int16_t sum = (int16_t)((sample > max ? max : sample) + residual[i]);
            sum = sum < 0 ? 0 : sum;
            sum = sum > max ? max : sum;
            memcpy(out + 2 * (size_t)i, &sum, sizeof sum);
        }
    } else {
        for (int i = 0; i < count; i++) {
            const int16_t sum = (int16_t)larger(smaller(sample_at(in, i, src) + residual[i], max), 0);
            if (out_bytes == 1)
                out[i] = (uint8_t)sum;
            else
                memcpy(out + 2 * (size_t)i, &sum, sizeof sum);
        }
    }
}

/* An odd width's last site has one luma sample in a row, an odd height's last row of sites one row of them. */
void vrcnn_add_luma_sites(const VrcnnPlane *dst, const VrcnnConstPlane *src, int y, int begin, int end, const int16_t *residual,
                          int16_t *restrict row)
{
    const int count = end - begin, last = smaller(2 * end, src->width);
    for (int half = 0; half < 2 && 2 * y + half < src->height; half++) {
        const int16_t *restrict from = residual + 2 * half;
        for (int n = 0; n < count; n++)
            memcpy(row + 2 * n, from + n * VRCNN_JOINT_OUTPUTS, 2 * sizeof *row);
        vrcnn_add_residual(dst, src, 2 * y + half, 2 * begin, last, row);
    }
}

void vrcnn_add_chroma_sites(const VrcnnPlane *dst, const VrcnnConstPlane *src, int y, int begin, int end, const int16_t *residual,
                            int16_t *restrict row)
{
    const int count = end - begin;
    for (int n = 0; n < count; n++)
        row[n] = residual[n * VRCNN_JOINT_OUTPUTS];
    vrcnn_add_residual(dst, src, y, begin, end, row);
}
