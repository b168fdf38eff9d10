/* What the two sets of kernels with vectors of 32 bytes, AVX-VNNI and AVX2, have in common: all but the hidden and the first layers' loops.
 *
 * A vector of sums is 8 output channels of one sample. All branches have a multiple of 16 outputs and are computed in slices of 16, two
 * vectors.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_X86_YMM_H
#define VRCNN_SRC_X86_YMM_H

#include <immintrin.h>
#include <string.h>

#include "../conv.h"
#include "vectors.h"

enum {
    LANES = 8,       /* sums in a vector */
    BYTES = 32,      /* of a vector */
    SLICE = 16,      /* outputs that are computed together */
    LAST_COLUMNS = 8 /* of a block in the last layer */
};

INLINE __m256i load(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

/* Four bytes, in all 8 places. */
INLINE __m256i broadcast(const void *four)
{
    int32_t value;
    memcpy(&value, four, sizeof value);
    return _mm256_set1_epi32(value);
}

/* sums + activations (0..127) * weights (-127..127): each of the 8 sums takes the inner product of its four bytes with its four. */
#if defined(__AVXVNNI__)
/* Not the intrinsic: gcc 12 moves the sums to memory and back around it. */
INLINE __m256i dot(__m256i sums, __m256i activations, __m256i weights)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(activations), "x"(weights));
    return sums;
}
#else
/* The sum of two products, at most 2 * 127 * 127, fits in 16 bits. */
INLINE __m256i dot(__m256i sums, __m256i activations, __m256i weights)
{
    const __m256i pairs = _mm256_maddubs_epi16(activations, weights);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif

/* How the sums of a branch become samples: t = sat16(sum >> shift), v = (t * multiplier + 2^14) >> 15. The rounding term of the shift is in
 * what the sums start from. */
typedef struct Requant {
    int shift;
    __m256i multipliers;
} Requant;

INLINE Requant requant_of(int shift, int multiplier)
{
    const Requant q = {shift, _mm256_set1_epi16((short)multiplier)};
    return q;
}

/* The rounding term of a shift. */
static inline int32_t half_of(int shift)
{
    return (INT32_C(1) << shift) >> 1;
}

INLINE __m256i shifted(__m256i sums, const Requant *q)
{
    return q->shift ? _mm256_sra_epi32(sums, _mm_cvtsi32_si128(q->shift)) : sums;
}

INLINE __m256i pack16(__m256i a, __m256i b, const Requant *q)
{
    return _mm256_mulhrs_epi16(_mm256_packs_epi32(shifted(a, q), shifted(b, q)), q->multipliers);
}

/* Stores a slice of two samples, a and b. The packing instructions work in each half of a register on its own, which output_at makes up
 * for: a half of the bytes then has 8 neighbouring outputs of a and the same of b. */
INLINE void store_slices(uint8_t *a, uint8_t *b, const __m256i sums_a[2], const __m256i sums_b[2], const Requant *q)
{
    const __m256i bytes = _mm256_packs_epi16(pack16(sums_a[0], sums_a[1], q), pack16(sums_b[0], sums_b[1], q));
    const __m256i apart = _mm256_permute4x64_epi64(_mm256_max_epi8(bytes, _mm256_setzero_si256()), 0xd8);
    _mm_store_si128((__m128i *)a, _mm256_castsi256_si128(apart));
    _mm_store_si128((__m128i *)b, _mm256_extracti128_si256(apart, 1));
}

/* The sums of a slice for up to 7 neighbouring samples; `columns` of them, a constant, are in registers. */
typedef struct Sums {
    __m256i of[7][2];
} Sums;

INLINE Sums start_sums(const uint8_t *packed, int columns)
{
    Sums sums;
    UNROLL (c, columns) {
        sums.of[c][0] = load(packed);
        sums.of[c][1] = load(packed + BYTES);
    }
    return sums;
}

INLINE void store_sums(uint8_t *dst, ptrdiff_t pitch, const Sums *sums, int columns, const Requant *q)
{
    UNROLL (pair, (columns + 1) / 2) {
        const int a = 2 * pair, b = a + 1 < columns ? a + 1 : a;
        store_slices(dst + a * pitch, dst + b * pitch, sums->of[a], sums->of[b], q);
    }
}

/* Which output of a slice is in a place of vector v, 0 or 1. */
static inline int output_at(int v, int place)
{
    return place / 4 * 8 + 4 * v + place % 4;
}

/* What the sums of a slice start from. Returns what follows it. */
static inline int8_t *pack_start(int8_t *packed, const int32_t *bias, int32_t half)
{
    for (int v = 0; v < 2; v++)
        for (int place = 0; place < LANES; place++, packed += sizeof(int32_t)) {
            const int32_t start = bias[output_at(v, place)] + half;
            memcpy(packed, &start, sizeof start);
        }
    return packed;
}

/* The first column of the block after the one at x: blocks side by side, but the last one moved to the left so as to end with the row. */
INLINE int next_block(int x, int width, int columns)
{
    return x + 2 * width <= columns || x + width >= columns ? x + width : columns - width;
}

/* ---- the last layer ---- */

/* With a single output the 8 sums of a vector are partial sums of one sample, over every 8th group of four input channels; at the end they
 * are added up, for 8 samples at once. Channels come in chunks of 32, with weights 0 for those that do not exist. Packed: the bias in a
 * vector of its own, then for every row and column of the kernel and every chunk a vector of weights. */
static inline int last_chunks(int inputs)
{
    return (inputs + BYTES - 1) / BYTES;
}

static inline size_t last_packed_size(const VrcnnConvLayer *layer)
{
    const int k = layer->conv[0].kernel_size;
    return (size_t)BYTES * (size_t)(1 + k * k * last_chunks(layer->inputs));
}

static inline void pack_last(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *weights, int32_t bias)
{
    const int k = layer->conv[0].kernel_size;
    for (int place = 0; place < LANES; place++, packed += sizeof bias)
        memcpy(packed, &bias, sizeof bias);
    for (int tap = 0; tap < k * k; tap++)
        for (int i = 0; i < last_chunks(layer->inputs) * BYTES; i++)
            *packed++ = i < layer->inputs ? weights[i * k * k + tap] : 0;
}

/* The sums of the 8 places of each of 8 vectors, in order. */
INLINE __m256i add_across(const __m256i sums[LAST_COLUMNS])
{
    const __m256i left = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    const __m256i right = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[4], sums[5]), _mm256_hadd_epi32(sums[6], sums[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(left, right, 0x20), _mm256_permute2x128_si256(left, right, 0x31));
}

/* LAST_COLUMNS samples of a row; src: its rows in the source, from the first column of the window on. */
INLINE void last_block(int16_t *dst, const uint8_t *const *src, ptrdiff_t at, const VrcnnConvLayer *layer, const uint8_t *packed,
                       __m256i start, const Requant *q)
{
    const int k = layer->conv[0].kernel_size;
    const ptrdiff_t pitch = layer->src_pitch;
    __m256i sums[LAST_COLUMNS];
    UNROLL (c, LAST_COLUMNS)
        sums[c] = _mm256_setzero_si256();
    for (int ky = 0; ky < k; ky++)
        for (int kx = 0; kx < k; kx++)
            for (int chunk = 0; chunk < last_chunks(layer->inputs); chunk++, packed += BYTES) {
                const uint8_t *from = src[ky] + at + kx * pitch + chunk * BYTES;
                const __m256i weights = load(packed);
                UNROLL (c, LAST_COLUMNS)
                    sums[c] = dot(sums[c], load(from + c * pitch), weights);
            }
    const __m256i total = _mm256_add_epi32(add_across(sums), start);
    const __m256i residual = pack16(total, total, q);
    _mm_storeu_si128((__m128i *)dst, _mm256_castsi256_si128(_mm256_permute4x64_epi64(residual, 0x08)));
}

static inline void conv_last(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int shift,
                             int multiplier, void *scratch)
{
    const uint8_t *packed = layer->packed;
    const Requant q = requant_of(shift, multiplier);
    const __m256i start = _mm256_add_epi32(load(packed), _mm256_set1_epi32(half_of(shift)));
    const ptrdiff_t reach = layer->conv[0].kernel_size / 2;
    (void)scratch;
    for (int j = 0; j < VRCNN_ROWS; j++)
        for (int x = 0; x < columns; x += LAST_COLUMNS)
            last_block(dst[j] + x, src + j, (x - reach) * layer->src_pitch, layer, packed + BYTES, start, &q);
}

#endif
