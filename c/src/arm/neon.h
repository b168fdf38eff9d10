/* What both sets of NEON kernels share: requantization, the windows of the first layer, and the whole last layer.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_ARM_NEON_H
#define VRCNN_SRC_ARM_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "conv.h"

/* The first layer has one input channel, too few for instructions that multiply groups of 4 or 8 values. So the window of each sample is
 * gathered into WINDOW bytes, row after row, and the layer becomes a 1x1 convolution of that many channels. Bytes that no weight
 * belongs to hold anything: their weights are 0. */
enum { WINDOW = 32 };

/* Bytes of a window that are multiplied: k * k, rounded up to whole vectors. */
static inline int window_length(int kernel_size)
{
    return kernel_size == 5 ? 32 : 16;
}

/* The windows of `columns` samples of one output row; src: column 0 of the rows, kernel_size of them. Eight bytes are copied where
 * kernel_size are wanted: the next row's overwrite the excess. Each byte is XORed with flip: 0x80 makes x of x + 128. */
static inline void gather_windows(uint8_t *out, const uint8_t *const *src, int columns, int kernel_size, uint8_t flip)
{
    const uint8x8_t flips = vdup_n_u8(flip);
    for (int x = 0; x < columns; x++, out += WINDOW)
        for (int ky = 0; ky < kernel_size; ky++)
            vst1_u8(out + ky * kernel_size, veor_u8(vld1_u8(src[ky] + x - kernel_size / 2), flips));
}

/* Eight outputs: shift, clip to 16 bits, multiply and round, clip to 0..127. The accumulators hold the first rounding term already; shift
 * is -s1 in every lane, as vshlq wants it. vqrdmulhq is (2 t m + 2^15) >> 16, which is (t m + 2^14) >> 15. */
static inline uint8x8_t requantize(int32x4_t low, int32x4_t high, int32x4_t shift, int16x8_t multiplier)
{
    const int16x8_t t = vqmovn_high_s32(vqmovn_s32(vshlq_s32(low, shift)), vshlq_s32(high, shift));
    return vmin_u8(vqmovun_s16(vqrdmulhq_s16(t, multiplier)), vdup_n_u8(127));
}

static inline int32_t rounding_term(int shift)
{
    return (INT32_C(1) << shift) >> 1;
}

/* ---- the last layer ---- */

/* Packed: the bias in the first of 16 bytes, then the weights in the order row, column, input. */
static inline size_t packed_size_last(const VrcnnConvLayer *layer)
{
    const int k = layer->conv->kernel_size;
    return 16 + (size_t)(k * k * layer->inputs);
}

static inline void pack_last(void *packed, const VrcnnConvLayer *layer, const int8_t *weights, const int32_t *bias)
{
    const int area = layer->conv->kernel_size * layer->conv->kernel_size;
    int8_t *out = packed;
    memset(out, 0, 16);
    memcpy(out, bias, sizeof *bias);
    for (int tap = 0; tap < area; tap++)
        for (int i = 0; i < layer->inputs; i++)
            out[16 + tap * layer->inputs + i] = weights[i * area + tap];
}

/* With one output there is nothing to share an activation with, so the four lanes of an accumulator are four parts of one sample's sum,
 * added up at the end. Eight samples at a time share each weight vector: 9 loads for 8 sdot, no matter in a layer that has less than
 * 1 % of the network's products, and enough independent sums to hide the latency. */
static inline void conv_last_neon(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int shift,
                                  int multiplier, void *scratch)
{
    const int k = layer->conv->kernel_size, length = k * layer->inputs;
    const ptrdiff_t pitch = layer->src_pitch;
    const int32x4_t bias = vdupq_n_s32(*(const int32_t *)layer->packed + rounding_term(shift));
    const int32x4_t down = vdupq_n_s32(-shift);
    (void)scratch;
    for (int y = 0; y < VRCNN_ROWS; y++)
        for (int x = 0; x < columns; x += 8) {
            const int8_t *w = (const int8_t *)layer->packed + 16;
            int32x4_t acc[8];
            for (int n = 0; n < 8; n++)
                acc[n] = vdupq_n_s32(0);
            for (int ky = 0; ky < k; ky++) {
                const uint8_t *a = src[y + ky] + (x - k / 2) * pitch;
                for (int i = 0; i < length; i += 16, w += 16) {
                    const int8x16_t weights = vld1q_s8(w);
#pragma GCC unroll 8
                    for (int n = 0; n < 8; n++)
                        acc[n] = vdotq_s32(acc[n], vreinterpretq_s8_u8(vld1q_u8(a + n * pitch + i)), weights);
                }
            }
            const int32x4_t low = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
            const int32x4_t high = vpaddq_s32(vpaddq_s32(acc[4], acc[5]), vpaddq_s32(acc[6], acc[7]));
            const int16x4_t t_low = vqmovn_s32(vshlq_s32(vaddq_s32(low, bias), down));
            const int16x8_t t = vqmovn_high_s32(t_low, vshlq_s32(vaddq_s32(high, bias), down));
            vst1q_s16(dst[y] + x, vqrdmulhq_n_s16(t, (int16_t)multiplier));
        }
}

#endif
