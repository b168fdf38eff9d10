/* What both sets of NEON kernels share: requantization, the windows of a luma network's first layer, and the whole last layers.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_ARM_NEON_H
#define VRCNN_SRC_ARM_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "conv.h"

/* A luma network's first layer has one input channel, too few for instructions that multiply groups of 4 or 8 values. So the window of each
 * sample is gathered into WINDOW bytes, row after row, and the layer becomes a 1x1 convolution of that many channels. Bytes that no weight
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

/* Eight outputs: shift, clip to 16 bits, multiply and round, add what is added (NULL: nothing), clip to 0..127. The accumulators hold the
 * first rounding term already; shift is -s1 in every lane, as vshlq wants it. vqrdmulhq is (2 t m + 2^15) >> 16, which is
 * (t m + 2^14) >> 15. The addition saturates to 8 bits, before and after, and that changes nothing: a value below -128 gives a negative
 * sum, as -128 does, and one above 127 a sum of 127 or more; what is added is 0..127. */
static inline uint8x8_t requantize(int32x4_t low, int32x4_t high, int32x4_t shift, int16x8_t multiplier, const uint8_t *added)
{
    const int16x8_t t = vqmovn_high_s32(vqmovn_s32(vshlq_s32(low, shift)), vshlq_s32(high, shift));
    int8x8_t v = vqmovn_s16(vqrdmulhq_s16(t, multiplier));
    if (added)
        v = vqadd_s8(v, vreinterpret_s8_u8(vld1_u8(added)));
    return vreinterpret_u8_s8(vmax_s8(v, vdup_n_s8(0)));
}

static inline int32_t rounding_term(int shift)
{
    return (INT32_C(1) << shift) >> 1;
}

/* ---- a luma network's last layer ---- */

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

/* ---- sums of products by sdot ---- */

enum { CHUNK_VALUES = 16 };

/* acc[n * vectors + v], four outputs each: 16 values of the windows of neighbouring samples. weights: for values 0..3, 4..7, ... so many
 * vectors of 4 outputs x 4 values. */
static inline __attribute__((always_inline)) void dot_chunk(int32x4_t *acc, const uint8_t *src, ptrdiff_t pitch, const int8_t *weights,
                                                            int samples, int vectors)
{
    int8x16_t a[8];
#pragma GCC unroll 8
    for (int n = 0; n < samples; n++)
        a[n] = vreinterpretq_s8_u8(vld1q_u8(src + n * pitch));
/* A macro because the lane must be a literal. It picks 4 values of a sample, which each of the 4 outputs in w has weights for. */
#define ADD_FOUR_VALUES(lane)                                                                                                              \
    _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++)                                                                              \
    {                                                                                                                                      \
        const int8x16_t w = vld1q_s8(weights + ((lane) * vectors + v) * 16);                                                               \
        _Pragma("GCC unroll 8") for (int n = 0; n < samples; n++) acc[n * vectors + v] =                                                   \
            vdotq_laneq_s32(acc[n * vectors + v], w, a[n], lane);                                                                          \
    }
    ADD_FOUR_VALUES(0)
    ADD_FOUR_VALUES(1)
    ADD_FOUR_VALUES(2)
    ADD_FOUR_VALUES(3)
#undef ADD_FOUR_VALUES
}

/* ---- a joint network's last layer ----
 *
 * One vector of sums for each head's luma outputs, and one for chroma: Cb, Cr of the first head, of the second. With one head eight samples
 * at a time, with two four: 16 sums and 12. */

static inline int joint_vectors(const VrcnnConvLayer *layer)
{
    return layer->heads + 1;
}

/* Packed: the biases, then for each 16 values of a window, in the order row, column, input, what dot_chunk wants. */
static inline size_t packed_size_joint(const VrcnnConvLayer *layer)
{
    const int k = layer->conv->kernel_size;
    return (size_t)(joint_vectors(layer) * (16 + 4 * k * k * layer->inputs));
}

static inline void pack_joint(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int area = layer->conv->kernel_size * layer->conv->kernel_size, inputs = layer->inputs, vectors = joint_vectors(layer);
    int32_t *begin = packed;
    int8_t *out = (int8_t *)(begin + 4 * vectors);
    memset(packed, 0, packed_size_joint(layer));
    for (int b = 0; b < 2; b++)
        for (int o = 0; o < layer->conv[b].outputs; o++) {
            const int place = b * layer->conv[0].outputs + o; /* vector, lane */
            begin[place] = bias[b][o];
            for (int tap = 0; tap < area; tap++)
                for (int i = 0; i < inputs; i++) {
                    const int at = tap * inputs + i;
                    out[at / 4 * 16 * vectors + place * 4 + at % 4] = weights[b][(o * inputs + i) * area + tap];
                }
        }
}

/* For luma [0] and chroma [1], in each lane: what is added to biases, minus the shift, and the multipliers of the heads, for chroma two
 * lanes of each. */
typedef struct JointMix {
    int32x4_t rounding[2], down[2];
    int16x4_t luma[VRCNN_MAX_HEADS], chroma;
} JointMix;

static inline JointMix joint_mix(const VrcnnMix *mix, int heads)
{
    JointMix m;
    const int16_t chroma[2] = {(int16_t)mix->multiplier[1][0], (int16_t)(heads > 1 ? mix->multiplier[1][1] : 0)};
    const int16_t lanes[4] = {chroma[0], chroma[0], chroma[1], chroma[1]};
    for (int i = 0; i < 2; i++) {
        m.rounding[i] = vdupq_n_s32(rounding_term(mix->shift[i]));
        m.down[i] = vdupq_n_s32(-mix->shift[i]);
        m.luma[i] = vdup_n_s16((int16_t)mix->multiplier[0][i]);
    }
    m.chroma = vld1_s16(lanes);
    return m;
}

/* The residuals of one sample. */
static inline __attribute__((always_inline)) int16x8_t mix_sample(const int32x4_t *acc, const JointMix *m, int heads)
{
    int32x4_t luma = vmull_s16(vqmovn_s32(vshlq_s32(acc[0], m->down[0])), m->luma[0]);
    if (heads > 1)
        luma = vmlal_s16(luma, vqmovn_s32(vshlq_s32(acc[1], m->down[0])), m->luma[1]);
    const int32x4_t chroma = vmull_s16(vqmovn_s32(vshlq_s32(acc[heads], m->down[1])), m->chroma);
    return vcombine_s16(vrshrn_n_s32(luma, 15), vrshrn_n_s32(vaddq_s32(chroma, vextq_s32(chroma, chroma, 2)), 15));
}

static inline __attribute__((always_inline)) void joint_rows(int16_t *const *dst, const uint8_t *const *src, int columns,
                                                             const VrcnnConvLayer *layer, const JointMix *mix, int heads, int samples)
{
    const int k = layer->conv->kernel_size, length = k * layer->inputs, vectors = heads + 1;
    const ptrdiff_t pitch = layer->src_pitch;
    const int32_t *bias = layer->packed;
    for (int y = 0; y < VRCNN_ROWS; y++)
        for (int x = 0; x < columns; x += samples) {
            const int8_t *w = (const int8_t *)(bias + 4 * vectors);
            int32x4_t acc[16];
#pragma GCC unroll 8
            for (int n = 0; n < samples; n++)
#pragma GCC unroll 3
                for (int v = 0; v < vectors; v++)
                    acc[n * vectors + v] = vaddq_s32(vld1q_s32(bias + 4 * v), mix->rounding[v == heads]);
            for (int ky = 0; ky < k; ky++) {
                const uint8_t *a = src[y + ky] + (x - k / 2) * pitch;
                for (int i = 0; i < length; i += CHUNK_VALUES, w += CHUNK_VALUES * 4 * vectors)
                    dot_chunk(acc, a + i, pitch, w, samples, vectors);
            }
#pragma GCC unroll 8
            for (int n = 0; n < samples; n++)
                vst1q_s16(dst[y] + (ptrdiff_t)(x + n) * VRCNN_JOINT_OUTPUTS, mix_sample(acc + n * vectors, mix, heads));
        }
}

static inline void conv_joint_neon(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer,
                                   const VrcnnMix *mix, void *scratch)
{
    const JointMix m = joint_mix(mix, layer->heads);
    (void)scratch;
    if (layer->heads > 1)
        joint_rows(dst, src, columns, layer, &m, 2, 4);
    else
        joint_rows(dst, src, columns, layer, &m, 1, 8);
}

#endif
