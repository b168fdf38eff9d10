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

/* sat16. */
DEVICE int32_t saturate(int32_t value)
{
    return value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value;
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

/* The same of a layer that adds the values in the four bytes of `added`. What is negative before the addition may not be so after it: here
 * sat16 has both ends. */
DEVICE uint32_t requantize_added(int32_t a0, int32_t a1, int32_t a2, int32_t a3, VrcnnCudaRequant requant, uint32_t added)
{
    int32_t v[4] = {a0, a1, a2, a3};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int32_t value = (saturate(v[i] >> requant.shift) * requant.multiplier + (1 << 14)) >> 14;
        v[i] = value + 2 * static_cast<int32_t>(added >> 8 * i & 127);
    }
    return pack_clipped(v[0], v[1], v[2], v[3]) >> 1 & 0x7f7f7f7f;
}

/* Samples need no alignment: a two-byte one may lie at an odd address. */
DEVICE int32_t sample_at(const VrcnnCudaLaunch &launch, int picture, int plane, int x, int y)
{
    const VrcnnCudaPlane &p = launch.picture[picture][plane];
    const VrcnnCudaFormat &format = launch.format[plane];
    const uint8_t *row = reinterpret_cast<const uint8_t *>(p.src) + y * p.src_stride;
    if (format.src_bytes == 1)
        return row[x];
    const int32_t value = row[2 * x] | row[2 * x + 1] << 8, most = (1 << format.bit_depth) - 1;
    return value < most ? value : most;
}

/* x + 128 of the specification: what the first layer sees of a sample, 0..255. */
DEVICE int32_t first_input(const VrcnnCudaLaunch &launch, int picture, int plane, int x, int y)
{
    const int32_t value = sample_at(launch, picture, plane, x, y), bit_depth = launch.format[plane].bit_depth;
    if (bit_depth == 8)
        return value;
    const int32_t rounded = (value + (1 << (bit_depth - 9))) >> (bit_depth - 8);
    return rounded < 255 ? rounded : 255;
}

/* Where a value of a site belongs: the first layer's input, the last one's output. */
struct SitePlace {
    int plane, x, y;
};

DEVICE SitePlace place_of(int channel, int x, int y)
{
    if (channel < 4)
        return {0, 2 * x + channel % 2, 2 * y + channel / 2};
    return {channel - 3, x, y};
}

/* Luma of an odd size has sites that reach beyond it; chroma always has as many samples. */
DEVICE bool is_seen(const VrcnnCudaLaunch &launch, const SitePlace &place)
{
    return place.plane > 0 || (place.x < launch.luma_width && place.y < launch.luma_height);
}

/* What a joint network's first layer sees in a channel of a site, 0..255: 128, as outside, for what is not there. */
DEVICE int32_t site_input(const VrcnnCudaLaunch &launch, int picture, int channel, int x, int y)
{
    const SitePlace place = place_of(channel, x, y);
    if (!is_seen(launch, place) || !launch.picture[picture][place.plane].src)
        return 128;
    return first_input(launch, picture, place.plane, place.x, place.y);
}

/* What one head adds to a residual: acc holds the bias and the rounding term of the shift. */
DEVICE int32_t weigh(int32_t acc, const VrcnnCudaLast &last, int head)
{
    return saturate(acc >> last.shift) * last.multiplier[head];
}

/* The last layer's end. sum: of all heads. */
DEVICE void write_filtered(const VrcnnCudaLaunch &launch, int picture, int plane, int x, int y, int32_t sum)
{
    const int32_t r = (sum + (1 << 14)) >> 15;
    const int32_t value = clip_to(sample_at(launch, picture, plane, x, y) + r, (1 << launch.format[plane].bit_depth) - 1);
    const VrcnnCudaPlane &p = launch.picture[picture][plane];
    uint8_t *row = reinterpret_cast<uint8_t *>(p.dst) + y * p.dst_stride;
    if (launch.format[plane].dst_bytes == 1) {
        row[x] = static_cast<uint8_t>(value);
    } else {
        row[2 * x] = static_cast<uint8_t>(value);
        row[2 * x + 1] = static_cast<uint8_t>(value >> 8);
    }
}

#endif
