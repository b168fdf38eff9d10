/* AVX-VNNI kernels: the dot product instruction for machines without AVX-512.
 *
 * vpdpbusd takes 8 groups of four unsigned bytes and 8 groups of four signed bytes, and adds the inner product of each pair of groups to
 * one of 8 sums of 32 bits, exactly. Here a vector of sums is 8 output channels of one sample; the unsigned groups are four input channels
 * of one sample, the same in all places (a broadcast, which costs no more than a load), and the signed ones the weights from these four
 * inputs to the 8 outputs.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "../conv.h"

#if defined(__x86_64__)

#if !defined(__AVX2__) || !defined(__AVXVNNI__)
#error "compile this file with the flags of kernel_flags.txt"
#endif

#include "interleave.h"
#include "ymm.h"

/* Columns of a block: with two vectors of sums each they take 14 of the 16 registers, and one vector of weights and one broadcast the other
 * two. The second vector of weights is read from memory in every multiplication. For four input channels that makes 7 broadcasts and 8
 * other loads for 14 multiplications; the machine starts three loads and two multiplications a cycle, each of which takes five. */
enum { COLUMNS = 7, JOINT_COLUMNS = 8 /* with one head: 8 vectors of sums */ };

/* dot with weights that are in memory, aligned. */
INLINE __m256i dot_memory(__m256i sums, __m256i activations, const uint8_t *weights)
{
#if defined(VRCNN_EMULATED)
    return dot(sums, activations, load(weights));
#else
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(activations), "m"(*(const __m256i *)weights));
    return sums;
#endif
}

/* Four taps of COLUMNS neighbouring samples, `pitch` bytes apart, and their weights to the slice's 16 outputs. */
INLINE void add_taps(Sums *sums, const uint8_t *taps, ptrdiff_t pitch, const uint8_t *packed)
{
    const __m256i weights = load(packed);
    UNROLL (c, COLUMNS) {
        const __m256i four = broadcast(taps + c * pitch);
        sums->of[c][0] = dot(sums->of[c][0], four, weights);
        sums->of[c][1] = dot_memory(sums->of[c][1], four, packed + BYTES);
    }
}

/* ---- hidden layers ---- */

/* What a slice has in packed memory: the start values, then for every row and column of the kernel and every four inputs the weights. */
static size_t slice_size(int kernel_size, int inputs, int vectors)
{
    return (size_t)vectors * (size_t)BYTES * (size_t)(1 + kernel_size * kernel_size * inputs / 4);
}

/* A slice of a branch for COLUMNS samples of a row; src: the rows of the source, from the first sample of the window on; added: from the
 * block's first sample on, NULL a constant. The inputs of the samples in a row of the window lie side by side, since all of a sample's
 * pitch is input (channel_multiple is 16). */
INLINE void hidden_block(uint8_t *dst, ptrdiff_t dst_pitch, const uint8_t *const *src, ptrdiff_t at, const uint8_t *added,
                         const VrcnnConvLayer *layer, int kernel_size, const uint8_t *packed, const Requant *q)
{
    Sums sums = start_sums(packed, COLUMNS);
    packed += 2 * BYTES;
    for (int ky = 0; ky < kernel_size; ky++)
        for (int i = 0; i < kernel_size * layer->src_pitch; i += 4, packed += 2 * BYTES)
            add_taps(&sums, src[ky] + at + i, layer->src_pitch, packed);
    store_sums(dst, dst_pitch, &sums, COLUMNS, added, q);
}

/* Also a joint network's first layer, with a pitch of 8 bytes of which the weights of two are 0. */
static void conv_hidden(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                        const VrcnnConvLayer *layer, void *scratch)
{
    const uint8_t *packed = layer->packed;
    int channel = 0;
    (void)scratch;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Requant q = requant_of(conv->shift, conv->multiplier);
        const int k = conv->kernel_size;
        for (int o = 0; o < conv->outputs; o += SLICE, channel += SLICE) {
            /* The weights (25 KB for the 5x5 kernel of layer 2) stay in the first level cache, and between the four rows the samples do. */
            for (int x = 0; x < columns; x = next_block(x, COLUMNS, columns))
                for (int j = 0; j < VRCNN_ROWS; j++) {
                    const uint8_t *const *from = src + layer->radius - k / 2 + j;
                    const ptrdiff_t at = (ptrdiff_t)(x - k / 2) * layer->src_pitch, out = (ptrdiff_t)x * layer->dst_pitch + channel;
                    if (added)
                        hidden_block(dst[j] + out, layer->dst_pitch, from, at, added[j] + out, layer, k, packed, &q);
                    else
                        hidden_block(dst[j] + out, layer->dst_pitch, from, at, NULL, layer, k, packed, &q);
                }
            packed += slice_size(k, layer->src_pitch, 2);
        }
    }
}

/* kernels: the weights to each of the slice's outputs, NULL: 0; start: what they start from, but for the rounding term. */
static int8_t *pack_slice(int8_t *packed, const VrcnnConvLayer *layer, int area, int vectors, const int8_t *const kernels[SLICE],
                          const int32_t *start, int32_t half)
{
    packed = pack_start(packed, vectors, start, half);
    for (int tap = 0; tap < area; tap++)
        for (int i = 0; i < layer->src_pitch; i += 4)
            for (int v = 0; v < vectors; v++)
                for (int place = 0; place < LANES; place++)
                    for (int e = 0; e < 4; e++) {
                        const int8_t *kernel = kernels[output_at(v, place)];
                        *packed++ = kernel && i + e < layer->inputs ? kernel[(i + e) * area + tap] : 0;
                    }
    return packed;
}

static void pack_hidden(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int area = conv->kernel_size * conv->kernel_size;
        for (int first = 0; first < conv->outputs; first += SLICE) {
            const int8_t *kernels[SLICE];
            int32_t start[SLICE];
            for (int o = 0; o < SLICE; o++) {
                kernels[o] = weights[b] + (first + o) * layer->inputs * area;
                start[o] = bias[b][first + o];
                if (layer->inputs == VRCNN_JOINT_INPUTS) /* which is fed x + 128 */
                    start[o] = vrcnn_joint_bias(start[o], kernels[o], area);
            }
            packed = pack_slice(packed, layer, area, 2, kernels, start, half_of(conv->shift));
        }
    }
}

/* ---- the first layer ---- */

static size_t first_slice_size(int kernel_size)
{
    return 2 * (size_t)BYTES * (size_t)(1 + vrcnn_tap_groups(kernel_size));
}

static void conv_first(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    if (layer->inputs == VRCNN_JOINT_INPUTS) {
        conv_hidden(dst, src, NULL, columns, layer, scratch);
        return;
    }
    const uint8_t *packed = layer->packed, *interleaved = scratch;
    int channel = 0;
    vrcnn_interleave(scratch, src, columns, layer->radius);
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Requant q = requant_of(conv->shift, conv->multiplier);
        const int k = conv->kernel_size, inset = layer->radius - k / 2; /* of its window in the layer's */
        for (int j = 0; j < VRCNN_ROWS; j++)
            for (int x = 0; x < columns; x = next_block(x, COLUMNS, columns)) {
                const uint8_t *window = interleaved + (x + inset) * VRCNN_INTERLEAVED + inset + j;
                const uint8_t *fifth_row = src[j + 2 * layer->radius] + x - k / 2;
                uint8_t *to = dst[j] + x * layer->dst_pitch + channel;
                const uint8_t *weights = packed;
                for (int o = 0; o < conv->outputs; o += SLICE) {
                    Sums sums = start_sums(weights, COLUMNS);
                    weights += 2 * BYTES;
                    for (int kx = 0; kx < k; kx++, weights += 2 * BYTES)
                        add_taps(&sums, window + kx * VRCNN_INTERLEAVED, VRCNN_INTERLEAVED, weights);
                    if (k == 5)
                        for (int kx = 0; kx < k; kx += 4, weights += 2 * BYTES)
                            add_taps(&sums, fifth_row + kx, 1, weights);
                    store_sums(to + o, layer->dst_pitch, &sums, COLUMNS, NULL, &q);
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
            packed = pack_start(packed, 2, start, half_of(conv->shift));
            for (int group = 0; group < vrcnn_tap_groups(k); group++)
                for (int v = 0; v < 2; v++)
                    for (int place = 0; place < LANES; place++)
                        for (int e = 0; e < 4; e++)
                            *packed++ = vrcnn_tap_weight(weights[b] + (first + output_at(v, place)) * k * k, k, group, e);
        }
    }
}

/* ---- a joint network's last layer: see ymm.h ---- */

INLINE void joint_block(int16_t *dst, const uint8_t *const *src, ptrdiff_t at, const VrcnnConvLayer *layer, int heads, int columns,
                        const Mix *mix)
{
    const uint8_t *packed = layer->packed;
    const int k = layer->conv[0].kernel_size;
    const ptrdiff_t pitch = layer->src_pitch;
    Sums sums = start_joint(packed, columns, heads, mix);
    packed += heads * BYTES;
    for (int ky = 0; ky < k; ky++)
        for (int i = 0; i < k * pitch; i += 4, packed += heads * BYTES) {
            if (heads == 2) {
                add_taps(&sums, src[ky] + at + i, pitch, packed);
            } else {
                const __m256i weights = load(packed);
                UNROLL (c, columns)
                    sums.of[c][0] = dot(sums.of[c][0], broadcast(src[ky] + at + i + c * pitch), weights);
            }
        }
    store_joint(dst, &sums, columns, heads, mix);
}

INLINE void joint_rows(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int heads, int width,
                       const Mix *mix)
{
    const ptrdiff_t reach = layer->conv[0].kernel_size / 2;
    for (int x = 0; x < columns; x = next_block(x, width, columns))
        for (int j = 0; j < VRCNN_ROWS; j++)
            joint_block(dst[j] + x * VRCNN_JOINT_OUTPUTS, src + j, (x - reach) * layer->src_pitch, layer, heads, width, mix);
}

static void conv_joint(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, const VrcnnMix *given,
                       void *scratch)
{
    const Mix mix = mix_of(given, layer->heads);
    (void)scratch;
    if (layer->heads == 2)
        joint_rows(dst, src, columns, layer, 2, COLUMNS, &mix);
    else
        joint_rows(dst, src, columns, layer, 1, JOINT_COLUMNS, &mix);
}

static void pack_joint(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int8_t *kernels[SLICE];
    int32_t start[SLICE];
    joint_slice(kernels, start, layer, weights, bias);
    pack_slice(packed, layer, layer->conv[0].kernel_size * layer->conv[0].kernel_size, layer->heads, kernels, start, 0);
}

/* ---- the table ---- */

static size_t packed_size(const VrcnnConvLayer *layer)
{
    size_t size = 0;
    if (layer->heads)
        return slice_size(layer->conv[0].kernel_size, layer->inputs, layer->heads);
    if (layer->outputs == 1)
        return last_packed_size(layer);
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        size += (size_t)(conv->outputs / SLICE) *
                (layer->inputs == 1 ? first_slice_size(conv->kernel_size) : slice_size(conv->kernel_size, layer->src_pitch, 2));
    }
    return size;
}

static void pack(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    if (layer->inputs == 1)
        pack_first(packed, layer, weights, bias);
    else if (layer->heads)
        pack_joint(packed, layer, weights, bias);
    else if (layer->outputs == 1)
        pack_last(packed, layer, weights[0], bias[0][0]);
    else
        pack_hidden(packed, layer, weights, bias);
}

static size_t scratch_size(const VrcnnConvLayer *layer, int columns)
{
    return layer->inputs == 1 ? (size_t)vrcnn_interleaved_columns(columns, layer->radius) * VRCNN_INTERLEAVED : 0;
}

void vrcnn_conv_init_avxvnni(VrcnnKernelTable *table)
{
    const VrcnnKernelTable avxvnni = {
        .kernel = VRCNN_KERNEL_AVXVNNI,
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
    *table = avxvnni;
}

#endif
