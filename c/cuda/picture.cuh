/* Samples of pictures, and the one rounding rule (SPECIFICATION.md, section 2), on the device.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_PICTURE_CUH
#define VRCNN_CUDA_PICTURE_CUH

#include "device.cuh"
#include "launch.h"

DEVICE int32_t half_of(int shift)
{
    return (INT32_C(1) << shift) >> 1;
}

/* Outputs 0..127 of a hidden layer, one a byte, from accumulators that already hold the rounding term of the shift. No sat16 from below:
 * what is negative ends as 0. From 32768 on it must not be left out, or the product would overflow. */
DEVICE uint32_t requantize(int32_t a0, int32_t a1, int32_t a2, int32_t a3, VrcnnCudaRequant requant)
{
    int32_t v[4] = {a0, a1, a2, a3};
#pragma unroll
    for (int i = 0; i < 4; i++)
        v[i] = (clip_to(v[i] >> requant.shift, INT16_MAX) * requant.multiplier + (1 << 14)) >> 14;
    /* One bit more than wanted, so that clipping to 255 clips the result to 127. */
    return pack_clipped(v[0], v[1], v[2], v[3]) >> 1 & 0x7f7f7f7f;
}

/* Samples need no alignment: a two-byte one may lie at an odd address. */
DEVICE int32_t sample_at(const VrcnnCudaLaunch &launch, int picture, int x, int y)
{
    const VrcnnCudaPicture &p = launch.picture[picture];
    const uint8_t *row = reinterpret_cast<const uint8_t *>(p.src) + y * p.src_stride;
    if (launch.src_bytes == 1)
        return row[x];
    const int32_t value = row[2 * x] | row[2 * x + 1] << 8, most = (1 << launch.bit_depth) - 1;
    return value < most ? value : most;
}

/* x + 128 of the specification: what the first layer sees of a sample, 0..255. */
DEVICE int32_t first_input(const VrcnnCudaLaunch &launch, int picture, int x, int y)
{
    const int32_t value = sample_at(launch, picture, x, y);
    if (launch.bit_depth == 8)
        return value;
    const int32_t rounded = (value + (1 << (launch.bit_depth - 9))) >> (launch.bit_depth - 8);
    return rounded < 255 ? rounded : 255;
}

/* The last layer's end: acc holds the bias and the rounding term of the shift. */
DEVICE void write_filtered(const VrcnnCudaLaunch &launch, int picture, int x, int y, int32_t acc, VrcnnCudaRequant last)
{
    int32_t t = acc >> last.shift;
    t = t < INT16_MIN ? INT16_MIN : t > INT16_MAX ? INT16_MAX : t;
    const int32_t r = (t * last.multiplier + (1 << 14)) >> 15;
    const int32_t value = clip_to(sample_at(launch, picture, x, y) + r, (1 << launch.bit_depth) - 1);
    const VrcnnCudaPicture &p = launch.picture[picture];
    uint8_t *row = reinterpret_cast<uint8_t *>(p.dst) + y * p.dst_stride;
    if (launch.dst_bytes == 1) {
        row[x] = static_cast<uint8_t>(value);
    } else {
        row[2 * x] = static_cast<uint8_t>(value);
        row[2 * x + 1] = static_cast<uint8_t>(value >> 8);
    }
}

#endif
