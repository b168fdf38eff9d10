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
#if defined(VRCNN_EMULATED)
INLINE __m256i dot(__m256i sums, __m256i activations, __m256i weights)
{
    return _mm256_dpbusd_avx_epi32(sums, activations, weights);
}
#elif defined(__AVXVNNI__)
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

/* The 16 outputs of a slice, before they are clipped to 0..127, and the outputs of the layer that is added to them; NULL: none, a constant.
 * The sum may saturate: it is 32767 then where it would be more, and becomes 127 either way. (It cannot be too small: what is added is
 * 0..127.) */
INLINE __m256i plus(__m256i values, const uint8_t *added)
{
    return added ? _mm256_adds_epi16(values, _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)added))) : values;
}

/* Stores a slice of two samples, a and b. The packing instructions work in each half of a register on its own, which output_at makes up
 * for: after the first the outputs are in order, and a half of the bytes has 8 neighbouring outputs of a and the same of b. */
INLINE void store_slices(uint8_t *a, uint8_t *b, const __m256i sums_a[2], const __m256i sums_b[2], const uint8_t *added_a,
                         const uint8_t *added_b, const Requant *q)
{
    const __m256i values_a = plus(pack16(sums_a[0], sums_a[1], q), added_a), values_b = plus(pack16(sums_b[0], sums_b[1], q), added_b);
    const __m256i bytes = _mm256_packs_epi16(values_a, values_b);
    const __m256i apart = _mm256_permute4x64_epi64(_mm256_max_epi8(bytes, _mm256_setzero_si256()), 0xd8);
    _mm_store_si128((__m128i *)a, _mm256_castsi256_si128(apart));
    _mm_store_si128((__m128i *)b, _mm256_extracti128_si256(apart, 1));
}

/* The sums of a slice for up to 8 neighbouring samples; `columns` of them, a constant, are in registers. */
typedef struct Sums {
    __m256i of[8][2];
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

/* added: of the first sample, NULL a constant. */
INLINE void store_sums(uint8_t *dst, ptrdiff_t pitch, const Sums *sums, int columns, const uint8_t *added, const Requant *q)
{
    UNROLL (pair, (columns + 1) / 2) {
        const ptrdiff_t a = 2 * pair, b = a + 1 < columns ? a + 1 : a;
        store_slices(dst + a * pitch, dst + b * pitch, sums->of[a], sums->of[b], added ? added + a * pitch : NULL,
                     added ? added + b * pitch : NULL, q);
    }
}

/* Which output of a slice is in a place of vector v, 0 or 1. */
static inline int output_at(int v, int place)
{
    return place / 4 * 8 + 4 * v + place % 4;
}

/* What the sums of a slice, or of its first vector alone, start from. Returns what follows it. */
static inline int8_t *pack_start(int8_t *packed, int vectors, const int32_t *bias, int32_t half)
{
    for (int v = 0; v < vectors; v++)
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

/* ---- a joint network's last layer ---- */

/* A head has 6 outputs, four of luma and two of chroma, which take a vector: places 0..3 are luma's, 4 and 5 chroma's, and the sums of the
 * last two are anything. The vectors of two heads are shuffled so that after packing a place's two heads are neighbours. */

/* Which output of its branch (luma's for the places 0..3, else chroma's) is in a place of vector v; -1: none. */
static inline int joint_output_at(int heads, int v, int place)
{
    const int is_chroma = place / 4, n = place % 4, head = heads == 2 ? n % 2 : 0, output = heads == 2 ? 2 * v + n / 2 : n;
    return is_chroma && output > 1 ? -1 : head * (is_chroma ? 2 : 4) + output;
}

/* The layer as a slice of 16 outputs, so that output_at says where a place's weights (NULL: none) and bias are. */
static inline void joint_slice(const int8_t *kernels[SLICE], int32_t start[SLICE], const VrcnnConvLayer *layer,
                               const int8_t *const *weights, const int32_t *const *bias)
{
    const int per_output = layer->inputs * layer->conv[0].kernel_size * layer->conv[0].kernel_size;
    for (int v = 0; v < 2; v++)
        for (int place = 0; place < LANES; place++) {
            const int at = output_at(v, place), o = v < layer->heads ? joint_output_at(layer->heads, v, place) : -1;
            kernels[at] = o < 0 ? NULL : weights[place / 4] + o * per_output;
            start[at] = o < 0 ? 0 : bias[place / 4][o];
        }
}

/* VrcnnMix in the places of the vectors. */
typedef struct Mix {
    __m256i halves, shifts, multipliers; /* multipliers: 16 bits, both heads' in turn */
} Mix;

/* The same in all places of luma, and in all of chroma. */
INLINE __m256i by_kind(int luma, int chroma)
{
    return _mm256_inserti128_si256(_mm256_set1_epi32(luma), _mm_set1_epi32(chroma), 1);
}

static inline int multiplier_pair(const int *multiplier, int heads)
{
    return (int)((uint32_t)multiplier[heads - 1] << 16 | ((uint32_t)multiplier[0] & 0xffff));
}

static inline Mix mix_of(const VrcnnMix *given, int heads)
{
    const Mix mix = {by_kind(half_of(given->shift[0]), half_of(given->shift[1])), by_kind(given->shift[0], given->shift[1]),
                     by_kind(multiplier_pair(given->multiplier[0], heads), multiplier_pair(given->multiplier[1], heads))};
    return mix;
}

/* packed: the biases. */
INLINE Sums start_joint(const uint8_t *packed, int columns, int heads, const Mix *mix)
{
    Sums sums;
    UNROLL (c, columns)
        UNROLL (v, heads)
            sums.of[c][v] = _mm256_add_epi32(load(packed + v * BYTES), mix->halves);
    return sums;
}

/* t of both vectors, in 16 bits. */
INLINE __m256i preshifted(__m256i a, __m256i b, const Mix *mix)
{
    return _mm256_packs_epi32(_mm256_srav_epi32(a, mix->shifts), _mm256_srav_epi32(b, mix->shifts));
}

/* Two heads: the residuals of a site in 32 bits. */
INLINE __m256i mixed(const __m256i sums[2], const Mix *mix)
{
    const __m256i products = _mm256_madd_epi16(preshifted(sums[0], sums[1], mix), mix->multipliers);
    return _mm256_srai_epi32(_mm256_add_epi32(products, _mm256_set1_epi32(1 << 14)), 15);
}

INLINE void store_joint(int16_t *dst, const Sums *sums, int columns, int heads, const Mix *mix)
{
    UNROLL (pair, (columns + 1) / 2) {
        const int a = 2 * pair, b = a + 1 < columns ? a + 1 : a;
        const __m256i *of_a = sums->of[a], *of_b = sums->of[b];
        const __m256i residuals = heads == 1 ? _mm256_mulhrs_epi16(preshifted(of_a[0], of_b[0], mix), mix->multipliers)
                                             : _mm256_packs_epi32(mixed(of_a, mix), mixed(of_b, mix));
        const __m256i apart = _mm256_permute4x64_epi64(residuals, 0xd8); /* packing leaves luma of both sites in the lower half */
        _mm_storeu_si128((__m128i *)(dst + a * VRCNN_JOINT_OUTPUTS), _mm256_castsi256_si128(apart));
        _mm_storeu_si128((__m128i *)(dst + b * VRCNN_JOINT_OUTPUTS), _mm256_extracti128_si256(apart, 1));
    }
}

#endif
