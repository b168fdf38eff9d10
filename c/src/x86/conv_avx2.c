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
#include "runs.h"
#include "ymm.h"

enum {
    HIDDEN_COLUMNS = 3, /* of a block: 2 vectors of 32-bit sums each and 2 of 16-bit sums leave 4 registers for weights and products */
    FIRST_COLUMNS = 6   /* no 16-bit sums here */
};

/* ---- hidden layers ---- */

/* Where the four inputs of a group are: row of the window, and bytes from the sample that is computed. */
typedef struct Source {
    int32_t row, offset;
} Source;

/* What a slice has in packed memory: a vector that begins with the length of the runs; then in the order of the runs the sources of all
 * groups; the start values; and in the order of the runs again the weights, two vectors a group. */
static int groups_of(int kernel_size, int inputs)
{
    return kernel_size * kernel_size * inputs / 4;
}

static size_t hidden_slice_size(int kernel_size, int inputs)
{
    const size_t groups = (size_t)groups_of(kernel_size, inputs); /* a multiple of 4 */
    return BYTES + groups * sizeof(Source) + 2 * BYTES + groups * 2 * BYTES;
}

/* Not the intrinsic: gcc 12 turns a chain of additions into a tree, for which there are too few registers. */
INLINE __m256i add_pairs(__m256i sums, __m256i pairs)
{
    __asm__("vpaddw %1, %0, %0" : "+x"(sums) : "x"(pairs));
    return sums;
}

/* A run of groups, for the samples of a block. inputs: where the groups' inputs are for column 0; at: of the block's first sample. */
INLINE void add_run(Sums *sums, const uint8_t *const *inputs, ptrdiff_t at, ptrdiff_t pitch, const uint8_t *packed, int run)
{
    __m256i pairs[HIDDEN_COLUMNS][2];
    UNROLL (i, run) {
        const __m256i weights0 = load(packed + 2 * i * BYTES), weights1 = load(packed + (2 * i + 1) * BYTES);
        UNROLL (c, HIDDEN_COLUMNS) {
            const __m256i four = broadcast(inputs[i] + at + c * pitch);
            const __m256i products0 = _mm256_maddubs_epi16(four, weights0), products1 = _mm256_maddubs_epi16(four, weights1);
            pairs[c][0] = i == 0 ? products0 : add_pairs(pairs[c][0], products0);
            pairs[c][1] = i == 0 ? products1 : add_pairs(pairs[c][1], products1);
        }
    }
    UNROLL (c, HIDDEN_COLUMNS)
        UNROLL (v, 2)
            sums->of[c][v] = _mm256_add_epi32(sums->of[c][v], _mm256_madd_epi16(pairs[c][v], _mm256_set1_epi16(1)));
}

/* A slice of a row of a branch. The weights (25 KB for the 5x5 kernel of layer 2) stay in the first level cache meanwhile. */
INLINE void hidden_row(uint8_t *dst, const uint8_t *const *inputs, int groups, int columns, const VrcnnConvLayer *layer,
                       const uint8_t *packed, int run, const Requant *q)
{
    const ptrdiff_t pitch = layer->src_pitch;
    for (int x = 0; x < columns; x = next_block(x, HIDDEN_COLUMNS, columns)) {
        const uint8_t *weights = packed + 2 * BYTES;
        Sums sums = start_sums(packed, HIDDEN_COLUMNS);
        for (int i = 0; i < groups; i += run, weights += run * 2 * BYTES)
            add_run(&sums, inputs + i, x * pitch, pitch, weights, run);
        store_sums(dst + x * layer->dst_pitch, layer->dst_pitch, &sums, HIDDEN_COLUMNS, q);
    }
}

static void conv_hidden(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                        const VrcnnConvLayer *layer, void *scratch)
{
    (void)added;
    const uint8_t *packed = layer->packed;
    const uint8_t **inputs = (const uint8_t **)scratch;
    int channel = 0;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Requant q = requant_of(conv->shift, conv->multiplier);
        const int k = conv->kernel_size, groups = groups_of(k, layer->inputs);
        for (int o = 0; o < conv->outputs; o += SLICE, channel += SLICE, packed += hidden_slice_size(k, layer->inputs)) {
            const Source *sources = (const Source *)(packed + BYTES);
            const uint8_t *weights = packed + BYTES + (size_t)groups * sizeof(Source);
            for (int j = 0; j < VRCNN_ROWS; j++) {
                uint8_t *to = dst[j] + channel;
                for (int i = 0; i < groups; i++)
                    inputs[i] = src[layer->radius - k / 2 + j + sources[i].row] + sources[i].offset;
                switch (packed[0]) {
                case 8: hidden_row(to, inputs, groups, columns, layer, weights, 8, &q); break;
                case 4: hidden_row(to, inputs, groups, columns, layer, weights, 4, &q); break;
                case 2: hidden_row(to, inputs, groups, columns, layer, weights, 2, &q); break;
                default: hidden_row(to, inputs, groups, columns, layer, weights, 1, &q); break;
                }
            }
        }
    }
}

static int8_t *pack_slice(int8_t *packed, const VrcnnConvLayer *layer, int kernel_size, const int8_t *slice, const int32_t *bias,
                          int32_t half)
{
    const int inputs = layer->inputs, area = kernel_size * kernel_size, groups = groups_of(kernel_size, inputs);
    Source *sources = (Source *)(packed + BYTES);
    int8_t *weights = pack_start((int8_t *)(sources + groups), bias, half);
    int16_t place[VRCNN_MOST_GROUPS];
    memset(packed, 0, BYTES);
    /* The room for the weights is work space until they come. */
    packed[0] = (int8_t)vrcnn_deal_longest_runs(place, slice, inputs, area, (int16_t *)weights);
    for (int i = 0; i < groups; i++) {
        const int tap = i / (inputs / 4), row = tap / kernel_size, column = tap % kernel_size - kernel_size / 2;
        int8_t *group = weights + place[i] * 2 * BYTES;
        sources[place[i]].row = row;
        sources[place[i]].offset = column * inputs + i % (inputs / 4) * 4; /* the pitch is the inputs: channel_multiple is 16 */
        for (int v = 0; v < 2; v++)
            for (int lane = 0; lane < LANES; lane++)
                for (int e = 0; e < 4; e++)
                    *group++ = vrcnn_group_weight(slice, inputs, area, i, output_at(v, lane), e);
    }
    return weights + groups * 2 * BYTES;
}

static void pack_hidden(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        for (int first = 0; first < conv->outputs; first += SLICE)
            packed =
                pack_slice(packed, layer, conv->kernel_size, weights[b] + first * layer->inputs * conv->kernel_size * conv->kernel_size,
                           bias[b] + first, half_of(conv->shift));
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
    UNROLL (c, FIRST_COLUMNS) {
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
    size_t size = 0;
    if (layer->inputs == 1)
        return first_scratch_size(layer, columns);
    for (int b = 0; b < layer->branches; b++) {
        const size_t groups = (size_t)groups_of(layer->conv[b].kernel_size, layer->inputs);
        size = groups > size ? groups : size;
    }
    return size * sizeof(const uint8_t *);
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
