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
    FIRST_COLUMNS = 6,  /* no 16-bit sums here */
    FIRST_CHUNK = 48    /* columns of a joint network's first layer that are widened together: 8 blocks */
};

/* ---- hidden layers ---- */

/* Where the four inputs of a group are: row of the window, and bytes from the sample that is computed. */
typedef struct Source {
    int32_t row, offset;
} Source;

/* What a slice has in packed memory: a vector that begins with the length of the runs; then in the order of the runs the sources of all
 * groups; the start values; and in the order of the runs again the weights, two vectors a group. A joint network's last layer with one head
 * has one vector of start values and of weights. */
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
INLINE void add_run(Sums *sums, const uint8_t *const *inputs, ptrdiff_t at, ptrdiff_t pitch, const uint8_t *packed, int run, int columns,
                    int vectors)
{
    __m256i pairs[8][2];
    UNROLL (i, run) {
        __m256i weights[2];
        UNROLL (v, vectors)
            weights[v] = load(packed + (i * vectors + v) * BYTES);
        UNROLL (c, columns) {
            const __m256i four = broadcast(inputs[i] + at + c * pitch);
            UNROLL (v, vectors) {
                const __m256i products = _mm256_maddubs_epi16(four, weights[v]);
                pairs[c][v] = i == 0 ? products : add_pairs(pairs[c][v], products);
            }
        }
    }
    UNROLL (c, columns)
        UNROLL (v, vectors)
            sums->of[c][v] = _mm256_add_epi32(sums->of[c][v], _mm256_madd_epi16(pairs[c][v], _mm256_set1_epi16(1)));
}

/* A slice of a row of a branch. The weights (25 KB for the 5x5 kernel of layer 2) stay in the first level cache meanwhile. */
INLINE void hidden_row(uint8_t *dst, const uint8_t *const *inputs, const uint8_t *added, int groups, int columns,
                       const VrcnnConvLayer *layer, const uint8_t *packed, int run, const Requant *q)
{
    const ptrdiff_t pitch = layer->src_pitch;
    for (int x = 0; x < columns; x = next_block(x, HIDDEN_COLUMNS, columns)) {
        const ptrdiff_t at = (ptrdiff_t)x * layer->dst_pitch;
        const uint8_t *weights = packed + 2 * BYTES;
        Sums sums = start_sums(packed, HIDDEN_COLUMNS);
        for (int i = 0; i < groups; i += run, weights += run * 2 * BYTES)
            add_run(&sums, inputs + i, x * pitch, pitch, weights, run, HIDDEN_COLUMNS, 2);
        store_sums(dst + at, layer->dst_pitch, &sums, HIDDEN_COLUMNS, added ? added + at : NULL, q);
    }
}

/* Fills in where the groups' inputs are for a row, `inset` rows below src[0]. Returns the start values, which follow the sources. */
static const uint8_t *find_inputs(const uint8_t **inputs, const uint8_t *const *src, int inset, const uint8_t *packed, int groups)
{
    const Source *sources = (const Source *)(packed + BYTES);
    for (int i = 0; i < groups; i++)
        inputs[i] = src[inset + sources[i].row] + sources[i].offset;
    return packed + BYTES + (size_t)groups * sizeof(Source);
}

static void conv_hidden(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                        const VrcnnConvLayer *layer, void *scratch)
{
    const uint8_t *packed = layer->packed;
    const uint8_t **inputs = (const uint8_t **)scratch;
    int channel = 0;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Requant q = requant_of(conv->shift, conv->multiplier);
        const int k = conv->kernel_size, groups = groups_of(k, layer->inputs);
        for (int o = 0; o < conv->outputs; o += SLICE, channel += SLICE, packed += hidden_slice_size(k, layer->inputs))
            for (int j = 0; j < VRCNN_ROWS; j++) {
                const uint8_t *start = find_inputs(inputs, src, layer->radius - k / 2 + j, packed, groups);
                const uint8_t *addend = added ? added[j] + channel : NULL;
                uint8_t *to = dst[j] + channel;
                switch (packed[0] * 2 + (addend != NULL)) {
                case 8 * 2 + 1: hidden_row(to, inputs, addend, groups, columns, layer, start, 8, &q); break;
                case 4 * 2 + 1: hidden_row(to, inputs, addend, groups, columns, layer, start, 4, &q); break;
                case 2 * 2 + 1: hidden_row(to, inputs, addend, groups, columns, layer, start, 2, &q); break;
                case 1 * 2 + 1: hidden_row(to, inputs, addend, groups, columns, layer, start, 1, &q); break;
                case 8 * 2: hidden_row(to, inputs, NULL, groups, columns, layer, start, 8, &q); break;
                case 4 * 2: hidden_row(to, inputs, NULL, groups, columns, layer, start, 4, &q); break;
                case 2 * 2: hidden_row(to, inputs, NULL, groups, columns, layer, start, 2, &q); break;
                default: hidden_row(to, inputs, NULL, groups, columns, layer, start, 1, &q); break;
                }
            }
    }
}

/* vectors: of the slice, 2 or 1. */
static int8_t *pack_slice(int8_t *packed, const VrcnnSlice *slice, int kernel_size, int vectors, const int32_t *bias, int32_t half)
{
    const int per_tap = slice->inputs / 4, groups = vrcnn_groups(slice);
    Source *sources = (Source *)(packed + BYTES);
    int8_t *weights = pack_start((int8_t *)(sources + groups), vectors, bias, half);
    int16_t place[VRCNN_MOST_GROUPS];
    memset(packed, 0, BYTES);
    /* The room for the weights (of two vectors) is work space until they come. */
    packed[0] = (int8_t)vrcnn_deal_longest_runs(place, slice, (int16_t *)weights);
    for (int i = 0; i < groups; i++) {
        const int tap = i / per_tap, row = tap / kernel_size, column = tap % kernel_size - kernel_size / 2;
        int8_t *group = weights + place[i] * vectors * BYTES;
        sources[place[i]].row = row;
        sources[place[i]].offset = column * slice->inputs + i % per_tap * 4; /* the pitch is the inputs: channel_multiple is 16 */
        for (int v = 0; v < vectors; v++)
            for (int lane = 0; lane < LANES; lane++)
                for (int e = 0; e < 4; e++)
                    *group++ = vrcnn_group_weight(slice, i, output_at(v, lane), e);
    }
    return weights + groups * vectors * BYTES;
}

static void pack_hidden(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        VrcnnSlice slice = {layer->inputs, conv->kernel_size * conv->kernel_size, {NULL}};
        for (int first = 0; first < conv->outputs; first += SLICE) {
            for (int o = 0; o < SLICE; o++)
                slice.kernels[o] = weights[b] + (first + o) * slice.inputs * slice.area;
            packed = pack_slice(packed, &slice, conv->kernel_size, 2, bias[b] + first, half_of(conv->shift));
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

static void luma_first(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
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
                    store_sums(to + o, layer->dst_pitch, &sums, FIRST_COLUMNS, NULL, &q);
                }
            }
        packed += first_slice_size(k) * (size_t)(conv->outputs / SLICE);
        channel += conv->outputs;
    }
}

static void pack_luma_first(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int k = conv->kernel_size;
        for (int first = 0; first < conv->outputs; first += SLICE) {
            int32_t start[SLICE];
            for (int o = 0; o < SLICE; o++)
                start[o] = vrcnn_first_bias(bias[b][first + o], weights[b] + (first + o) * k * k, k);
            packed = pack_start(packed, 2, start, half_of(conv->shift));
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

/* A joint network's: six inputs, which make three pairs at every place of the kernel. */
enum { SITE_PAIRS = VRCNN_JOINT_INPUTS / 2 };

static size_t joint_first_slice_size(int kernel_size)
{
    return 2 * (size_t)BYTES * (size_t)(1 + kernel_size * kernel_size * SITE_PAIRS);
}

/* Sites of a chunk, with the widest radius. */
enum { CHUNK_SITES = FIRST_CHUNK + 2 * 2 };

static void joint_first(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    enum { ROW = CHUNK_SITES * VRCNN_JOINT_PITCH };
    uint16_t *wide = scratch;
    for (int first = 0; first < columns; first += FIRST_CHUNK) {
        const int chunk = columns - first < FIRST_CHUNK ? columns - first : FIRST_CHUNK;
        const int sites = ((chunk + VRCNN_COLUMNS - 1) & -VRCNN_COLUMNS) + 2 * layer->radius;
        const uint8_t *packed = layer->packed;
        int channel = 0;
        for (int r = 0; r < VRCNN_ROWS + 2 * layer->radius; r++)
            widen(wide + r * ROW, src[r] + (first - layer->radius) * VRCNN_JOINT_PITCH, sites * VRCNN_JOINT_PITCH);
        for (int b = 0; b < layer->branches; b++) {
            const VrcnnConv *conv = layer->conv + b;
            const Requant q = requant_of(conv->shift, conv->multiplier);
            const int k = conv->kernel_size, inset = layer->radius - k / 2;
            for (int j = 0; j < VRCNN_ROWS; j++)
                for (int x = 0; x < chunk; x = next_block(x, FIRST_COLUMNS, chunk)) {
                    const uint16_t *window = wide + (inset + j) * ROW + (inset + x) * VRCNN_JOINT_PITCH;
                    uint8_t *to = dst[j] + (first + x) * layer->dst_pitch + channel;
                    const uint8_t *weights = packed;
                    for (int o = 0; o < conv->outputs; o += SLICE) {
                        Sums sums = start_sums(weights, FIRST_COLUMNS);
                        weights += 2 * BYTES;
                        for (int ky = 0; ky < k; ky++)
                            for (int kx = 0; kx < k; kx++)
                                for (int pair = 0; pair < SITE_PAIRS; pair++, weights += 2 * BYTES)
                                    add_pair(&sums, window + ky * ROW + kx * VRCNN_JOINT_PITCH + 2 * pair, VRCNN_JOINT_PITCH, weights);
                        store_sums(to + o, layer->dst_pitch, &sums, FIRST_COLUMNS, NULL, &q);
                    }
                }
            packed += joint_first_slice_size(k) * (size_t)(conv->outputs / SLICE);
            channel += conv->outputs;
        }
    }
}

static void pack_joint_first(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int area = conv->kernel_size * conv->kernel_size, per_output = VRCNN_JOINT_INPUTS * area;
        for (int first = 0; first < conv->outputs; first += SLICE) {
            const int8_t *kernels = weights[b] + first * per_output;
            int32_t start[SLICE];
            for (int o = 0; o < SLICE; o++)
                start[o] = vrcnn_joint_bias(bias[b][first + o], kernels + o * per_output, area);
            packed = pack_start(packed, 2, start, half_of(conv->shift));
            for (int tap = 0; tap < area; tap++)
                for (int input = 0; input < VRCNN_JOINT_INPUTS; input += 2)
                    for (int v = 0; v < 2; v++)
                        for (int place = 0; place < LANES; place++)
                            for (int e = 0; e < 2; e++, packed += sizeof(int16_t)) {
                                const int16_t w = kernels[output_at(v, place) * per_output + (input + e) * area + tap];
                                memcpy(packed, &w, sizeof w);
                            }
        }
    }
}

static void conv_first(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    if (layer->inputs == 1)
        luma_first(dst, src, columns, layer, scratch);
    else
        joint_first(dst, src, columns, layer, scratch);
}

/* ---- a joint network's last layer: see ymm.h; its sums are those of a hidden layer's slice ---- */

enum { JOINT_COLUMNS = 6 }; /* with one head: a vector of 32-bit sums and one of 16-bit sums each */

INLINE void joint_row(int16_t *dst, const uint8_t *const *inputs, int groups, int columns, const VrcnnConvLayer *layer,
                      const uint8_t *packed, int run, int heads, const Mix *mix)
{
    const ptrdiff_t pitch = layer->src_pitch;
    const int width = JOINT_COLUMNS / heads;
    for (int x = 0; x < columns; x = next_block(x, width, columns)) {
        const uint8_t *weights = packed + heads * BYTES;
        Sums sums = start_joint(packed, width, heads, mix);
        for (int i = 0; i < groups; i += run, weights += run * heads * BYTES)
            add_run(&sums, inputs + i, x * pitch, pitch, weights, run, width, heads);
        store_joint(dst + x * VRCNN_JOINT_OUTPUTS, &sums, width, heads, mix);
    }
}

static void conv_joint(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, const VrcnnMix *given,
                       void *scratch)
{
    const uint8_t *packed = layer->packed;
    const uint8_t **inputs = (const uint8_t **)scratch;
    const int groups = groups_of(layer->conv[0].kernel_size, layer->inputs), heads = layer->heads;
    const Mix mix = mix_of(given, heads);
    for (int j = 0; j < VRCNN_ROWS; j++) {
        const uint8_t *start = find_inputs(inputs, src, j, packed, groups);
        switch (packed[0] * 2 + heads - 1) {
        case 8 * 2 + 1: joint_row(dst[j], inputs, groups, columns, layer, start, 8, 2, &mix); break;
        case 4 * 2 + 1: joint_row(dst[j], inputs, groups, columns, layer, start, 4, 2, &mix); break;
        case 2 * 2 + 1: joint_row(dst[j], inputs, groups, columns, layer, start, 2, 2, &mix); break;
        case 1 * 2 + 1: joint_row(dst[j], inputs, groups, columns, layer, start, 1, 2, &mix); break;
        case 8 * 2: joint_row(dst[j], inputs, groups, columns, layer, start, 8, 1, &mix); break;
        case 4 * 2: joint_row(dst[j], inputs, groups, columns, layer, start, 4, 1, &mix); break;
        case 2 * 2: joint_row(dst[j], inputs, groups, columns, layer, start, 2, 1, &mix); break;
        default: joint_row(dst[j], inputs, groups, columns, layer, start, 1, 1, &mix); break;
        }
    }
}

static void pack_joint(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int k = layer->conv[0].kernel_size;
    VrcnnSlice slice = {layer->inputs, k * k, {NULL}};
    int32_t start[SLICE];
    joint_slice(slice.kernels, start, layer, weights, bias);
    pack_slice(packed, &slice, k, layer->heads, start, 0);
}

/* ---- the table ---- */

static size_t packed_size(const VrcnnConvLayer *layer)
{
    size_t size = 0;
    if (layer->heads)
        return hidden_slice_size(layer->conv[0].kernel_size, layer->inputs);
    if (layer->outputs == 1)
        return last_packed_size(layer);
    for (int b = 0; b < layer->branches; b++) {
        const int k = layer->conv[b].kernel_size;
        size += (size_t)(layer->conv[b].outputs / SLICE) * (layer->inputs == 1                    ? first_slice_size(k)
                                                            : layer->inputs == VRCNN_JOINT_INPUTS ? joint_first_slice_size(k)
                                                                                                  : hidden_slice_size(k, layer->inputs));
    }
    return size;
}

static void pack(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    if (layer->inputs == 1)
        pack_luma_first(packed, layer, weights, bias);
    else if (layer->inputs == VRCNN_JOINT_INPUTS)
        pack_joint_first(packed, layer, weights, bias);
    else if (layer->heads)
        pack_joint(packed, layer, weights, bias);
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
    if (layer->inputs == VRCNN_JOINT_INPUTS)
        return (size_t)(VRCNN_ROWS + 2 * layer->radius) * CHUNK_SITES * VRCNN_JOINT_PITCH * sizeof(uint16_t);
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
        .conv_joint = conv_joint,
    };
    *table = avx2;
}

#endif
