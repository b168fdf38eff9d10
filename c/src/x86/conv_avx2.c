/* AVX2 kernels.
 *
 * Without a dot product instruction a product of four bytes by four takes three: vpmaddubsw multiplies unsigned by signed bytes and adds
 * neighbours (16 bits), vpmaddwd by ones adds neighbours of those (32 bits), vpaddd adds that to the sums. But pairs of small products may
 * be added up in 16 bits before they are widened, which leaves vpmaddubsw and vpaddw. How many may is found out from the weights when they
 * are packed: for the worst input that there can be no sum may leave 16 bits. So the result stays exact for every network, and small
 * weights make it fast.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "../conv.h"

#if defined(__x86_64__)

#if !defined(__AVX2__)
#error "compile this file with the flags of kernel_flags.txt"
#endif

#include "interleave.h"
#include "ymm.h"

enum {
    HIDDEN_COLUMNS = 3, /* of a block: 2 vectors of 32-bit sums each and 2 of 16-bit sums leave 4 registers for weights and products */
    FIRST_COLUMNS = 6,  /* no 16-bit sums here */
    LONGEST_RUN = 4     /* groups of four inputs that are added up in 16 bits; the inputs are a multiple of this many groups */
};

/* ---- hidden layers ---- */

/* What a slice has in packed memory: one vector with the length of its runs, the start values, then for every row and column of the kernel
 * and every four inputs the weights. */
static size_t hidden_slice_size(int kernel_size, int inputs)
{
    return (size_t)BYTES + 2 * (size_t)BYTES * (size_t)(1 + kernel_size * kernel_size * inputs / 4);
}

/* Not the intrinsic: gcc 12 turns a chain of additions into a tree, for which there are too few registers. */
INLINE __m256i add_pairs(__m256i sums, __m256i pairs)
{
    __asm__("vpaddw %1, %0, %0" : "+x"(sums) : "x"(pairs));
    return sums;
}

/* A run of groups of four inputs of a sample, for the samples of a block. */
INLINE void add_run(Sums *sums, const uint8_t *inputs, ptrdiff_t pitch, const uint8_t *packed, int run)
{
    __m256i pairs[HIDDEN_COLUMNS][2];
#pragma GCC unroll 4
    for (int i = 0; i < run; i++) {
        const __m256i weights0 = load(packed + 2 * i * BYTES), weights1 = load(packed + (2 * i + 1) * BYTES);
#pragma GCC unroll 3
        for (int c = 0; c < HIDDEN_COLUMNS; c++) {
            const __m256i four = broadcast(inputs + c * pitch + 4 * i);
            const __m256i products0 = _mm256_maddubs_epi16(four, weights0), products1 = _mm256_maddubs_epi16(four, weights1);
            pairs[c][0] = i == 0 ? products0 : add_pairs(pairs[c][0], products0);
            pairs[c][1] = i == 0 ? products1 : add_pairs(pairs[c][1], products1);
        }
    }
#pragma GCC unroll 3
    for (int c = 0; c < HIDDEN_COLUMNS; c++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++)
            sums->of[c][v] = _mm256_add_epi32(sums->of[c][v], _mm256_madd_epi16(pairs[c][v], _mm256_set1_epi16(1)));
}

/* A slice of a branch for HIDDEN_COLUMNS samples of a row; src: the rows of the source, from the first sample of the window on. The inputs
 * of the samples in a row of the window lie side by side, since the pitch of a sample is its channels (channel_multiple is 16). */
INLINE void hidden_block(uint8_t *dst, ptrdiff_t dst_pitch, const uint8_t *const *src, ptrdiff_t at, const VrcnnConvLayer *layer,
                         int kernel_size, const uint8_t *packed, int run, const Requant *q)
{
    Sums sums = start_sums(packed, HIDDEN_COLUMNS);
    packed += 2 * BYTES;
    for (int ky = 0; ky < kernel_size; ky++)
        for (int i = 0; i < kernel_size * layer->inputs; i += 4 * run, packed += run * 2 * BYTES)
            add_run(&sums, src[ky] + at + i, layer->src_pitch, packed, run);
    store_sums(dst, dst_pitch, &sums, HIDDEN_COLUMNS, q);
}

/* The weights of a slice (25 KB for the 5x5 kernel of layer 2) stay in the first level cache, and between the four rows the samples do. */
INLINE void hidden_slice(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int kernel_size,
                         int channel, const uint8_t *packed, int run, const Requant *q)
{
    for (int x = 0; x < columns; x = next_block(x, HIDDEN_COLUMNS, columns))
        for (int j = 0; j < VRCNN_ROWS; j++)
            hidden_block(dst[j] + x * layer->dst_pitch + channel, layer->dst_pitch, src + j, (x - kernel_size / 2) * layer->src_pitch,
                         layer, kernel_size, packed, run, q);
}

static void conv_hidden(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    const uint8_t *packed = layer->packed;
    int channel = 0;
    (void)scratch;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Requant q = requant_of(conv->shift, conv->multiplier);
        const int k = conv->kernel_size;
        for (int o = 0; o < conv->outputs; o += SLICE, channel += SLICE) {
            const uint8_t *const *from = src + layer->radius - k / 2;
            switch (packed[0]) {
            case 4: hidden_slice(dst, from, columns, layer, k, channel, packed + BYTES, 4, &q); break;
            case 2: hidden_slice(dst, from, columns, layer, k, channel, packed + BYTES, 2, &q); break;
            default: hidden_slice(dst, from, columns, layer, k, channel, packed + BYTES, 1, &q); break;
            }
            packed += hidden_slice_size(k, layer->inputs);
        }
    }
}

/* Whether runs of this many groups are safe: weights are those of a slice, as packed. A 16-bit sum takes two products of every group; the
 * inputs are 0..127, so it is farthest from 0 when all inputs with weights of one sign are 127. */
static int run_is_safe(const int8_t *weights, int groups, int run)
{
    for (int first = 0; first < groups; first += run, weights += run * 2 * BYTES)
        for (int pair = 0; pair < 2 * BYTES; pair += 2) {
            int positive = 0, negative = 0;
            for (int i = 0; i < run; i++)
                for (int e = 0; e < 2; e++) {
                    const int w = weights[i * 2 * BYTES + pair + e];
                    positive += w > 0 ? w : 0;
                    negative += w < 0 ? -w : 0;
                }
            if (127 * positive > INT16_MAX || 127 * negative > INT16_MAX)
                return 0;
        }
    return 1;
}

static void pack_hidden(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int area = conv->kernel_size * conv->kernel_size, groups = area * layer->inputs / 4;
        for (int first = 0; first < conv->outputs; first += SLICE) {
            int8_t *header = packed, *slice = pack_start(packed + BYTES, bias[b] + first, half_of(conv->shift));
            packed = slice;
            for (int tap = 0; tap < area; tap++)
                for (int i = 0; i < layer->inputs; i += 4)
                    for (int v = 0; v < 2; v++)
                        for (int place = 0; place < LANES; place++)
                            for (int e = 0; e < 4; e++)
                                *packed++ = weights[b][((first + output_at(v, place)) * layer->inputs + i + e) * area + tap];
            memset(header, 0, BYTES);
            header[0] = LONGEST_RUN;
            while (!run_is_safe(slice, groups, header[0])) /* a single group always is */
                header[0] = (int8_t)(header[0] / 2);
        }
    }
}

/* ---- the first layer ---- */

/* Samples of 8 bits times weights of 8 bits do not fit vpmaddubsw, two products of which would leave 16 bits. So the samples are widened,
 * and the taps taken in pairs: row by row in each column, and the fifth row of a 5x5 kernel along the row. */
static int first_pairs(int kernel_size)
{
    return kernel_size == 5 ? 5 * 2 + 3 : kernel_size * ((kernel_size + 1) / 2);
}

/* The weight of tap e of a pair, 0 where the pair has no use for it. kernel: of one output. */
static int16_t first_weight(const int8_t *kernel, int kernel_size, int pair, int e)
{
    const int per_column = kernel_size == 1 ? 1 : 2;
    const int in_columns = pair < kernel_size * per_column, in_row = pair - kernel_size * per_column;
    const int row = in_columns ? pair % per_column * 2 + e : 4, column = in_columns ? pair / per_column : 2 * in_row + e;
    return row < kernel_size && column < kernel_size ? kernel[row * kernel_size + column] : 0;
}

static size_t first_slice_size(int kernel_size)
{
    return 2 * (size_t)BYTES * (size_t)(1 + first_pairs(kernel_size));
}

/* Two taps of 16 bits of FIRST_COLUMNS neighbouring samples, `pitch` values apart, and their weights to the slice's 16 outputs. */
INLINE void add_pair(Sums *sums, const uint16_t *taps, ptrdiff_t pitch, const uint8_t *packed)
{
    const __m256i weights0 = load(packed), weights1 = load(packed + BYTES);
#pragma GCC unroll 6
    for (int c = 0; c < FIRST_COLUMNS; c++) {
        const __m256i two = broadcast(taps + c * pitch);
        sums->of[c][0] = _mm256_add_epi32(sums->of[c][0], _mm256_madd_epi16(two, weights0));
        sums->of[c][1] = _mm256_add_epi32(sums->of[c][1], _mm256_madd_epi16(two, weights1));
    }
}

static void widen(uint16_t *to, const uint8_t *from, int count)
{
    for (int i = 0; i < count; i += 16)
        _mm256_storeu_si256((__m256i *)(to + i), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(from + i))));
}

/* The parts of the scratch memory: the interleaved rows, the same in 16 bits, and the four rows that are the fifth of a 5x5 window in 16
 * bits. */
static size_t first_scratch_size(const VrcnnConvLayer *layer, int columns)
{
    return (size_t)vrcnn_interleaved_columns(columns, layer->radius) *
           (VRCNN_INTERLEAVED + VRCNN_INTERLEAVED * sizeof(uint16_t) + VRCNN_ROWS * sizeof(uint16_t));
}

static void conv_first(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    const int extent = vrcnn_interleaved_columns(columns, layer->radius);
    const uint8_t *packed = layer->packed;
    uint8_t *interleaved = scratch;
    uint16_t *wide = (uint16_t *)(interleaved + extent * VRCNN_INTERLEAVED), *fifth_rows = wide + extent * VRCNN_INTERLEAVED;
    int channel = 0;
    vrcnn_interleave(interleaved, src, columns, layer->radius);
    widen(wide, interleaved, extent * VRCNN_INTERLEAVED);
    for (int j = 0; j < VRCNN_ROWS; j++)
        widen(fifth_rows + j * extent, src[j + 2 * layer->radius] - layer->radius, extent);
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Requant q = requant_of(conv->shift, conv->multiplier);
        const int k = conv->kernel_size, inset = layer->radius - k / 2; /* of its window in the layer's */
        for (int j = 0; j < VRCNN_ROWS; j++)
            for (int x = 0; x < columns; x = next_block(x, FIRST_COLUMNS, columns)) {
                const uint16_t *window = wide + (x + inset) * VRCNN_INTERLEAVED + inset + j;
                const uint16_t *fifth_row = fifth_rows + j * extent + x + inset;
                uint8_t *to = dst[j] + x * layer->dst_pitch + channel;
                const uint8_t *weights = packed;
                for (int o = 0; o < conv->outputs; o += SLICE) {
                    Sums sums = start_sums(weights, FIRST_COLUMNS);
                    weights += 2 * BYTES;
                    for (int kx = 0; kx < k; kx++)
                        for (int ky = 0; ky < k && ky < 4; ky += 2, weights += 2 * BYTES)
                            add_pair(&sums, window + kx * VRCNN_INTERLEAVED + ky, VRCNN_INTERLEAVED, weights);
                    if (k == 5)
                        for (int kx = 0; kx < k; kx += 2, weights += 2 * BYTES)
                            add_pair(&sums, fifth_row + kx, 1, weights);
                    store_sums(to + o, layer->dst_pitch, &sums, FIRST_COLUMNS, &q);
                }
            }
        packed += first_slice_size(k) * (size_t)(conv->outputs / SLICE);
        channel += conv->outputs;
    }
}

static void pack_first(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int k = conv->kernel_size;
        for (int first = 0; first < conv->outputs; first += SLICE) {
            int32_t start[SLICE];
            for (int o = 0; o < SLICE; o++)
                start[o] = vrcnn_first_bias(bias[b][first + o], weights[b] + (first + o) * k * k, k);
            packed = pack_start(packed, start, half_of(conv->shift));
            for (int pair = 0; pair < first_pairs(k); pair++)
                for (int v = 0; v < 2; v++)
                    for (int place = 0; place < LANES; place++)
                        for (int e = 0; e < 2; e++, packed += sizeof(int16_t)) {
                            const int16_t w = first_weight(weights[b] + (first + output_at(v, place)) * k * k, k, pair, e);
                            memcpy(packed, &w, sizeof w);
                        }
        }
    }
}

/* ---- the table ---- */

static size_t packed_size(const VrcnnConvLayer *layer)
{
    size_t size = 0;
    if (layer->outputs == 1)
        return last_packed_size(layer);
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        size += (size_t)(conv->outputs / SLICE) *
                (layer->inputs == 1 ? first_slice_size(conv->kernel_size) : hidden_slice_size(conv->kernel_size, layer->inputs));
    }
    return size;
}

static void pack(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    if (layer->inputs == 1)
        pack_first(packed, layer, weights, bias);
    else if (layer->outputs == 1)
        pack_last(packed, layer, weights[0], bias[0][0]);
    else
        pack_hidden(packed, layer, weights, bias);
}

static size_t scratch_size(const VrcnnConvLayer *layer, int columns)
{
    return layer->inputs == 1 ? first_scratch_size(layer, columns) : 0;
}

void vrcnn_conv_init_avx2(VrcnnKernelTable *table)
{
    const VrcnnKernelTable avx2 = {
        .kernel = VRCNN_KERNEL_AVX2,
        .channel_multiple = 16,
        .block_columns = 0,
        .packed_size = packed_size,
        .pack = pack,
        .scratch_size = scratch_size,
        .conv_first = conv_first,
        .conv_hidden = conv_hidden,
        .conv_last = conv_last,
    };
    *table = avx2;
}

#endif
