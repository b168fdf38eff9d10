/* Kernels for 64-bit ARM with the 8-bit matrix instructions (i8mm; optional from ARMv8.2 on, mandatory from ARMv8.6).
 *
 * usmmla takes two rows of 8 unsigned bytes (here: 8 channels of two samples) and two rows of 8 signed ones (8 weights of two outputs), and
 * adds the 2 x 2 sums of products to the four 32-bit lanes of an accumulator, exactly: 32 products, twice what sdot does. The
 * first layer's x + 128 is unsigned and needs no change; its bias has 128 times the sum of the weights taken off.
 *
 * Speed could not be measured where this was written; it is laid out for Neoverse V1 and V2 and Cortex-X cores: four vector pipes, three
 * loads a cycle.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "conv.h"

#if defined(__aarch64__)

#if !defined(__ARM_FEATURE_DOTPROD) || !defined(__ARM_FEATURE_MATMUL_INT8)
#error "compile this file with the flags of kernel_flags.txt"
#endif

#include "neon.h"

/* The two samples of an instruction are one above the other: row r and row r + 1 of src, interleaved 8 bytes at a time, make a paired row.
 * Moving along a window's row is then moving along a paired row, and moving down a window by one row is taking the next pair: every tap
 * finds its operand ready in memory, and interleaving costs one shuffle per 16 bytes and call, however many taps and outputs there are.
 * (Neighbours in one row would have to be paired anew for every tap: a shuffle for each 8 usmmla.)
 *
 * The unit of work is 8 outputs of 4 columns of such a pair: 16 accumulators of 2 x 2. For 8 input channels that takes 4 loads of
 * activations, 4 of weights and 16 usmmla: 2 for each load, where the pipes can start 1.3. */
enum { OUTPUTS = 8, COLUMNS = 4, VECTORS = OUTPUTS / 2, CHUNK = 8, PAIRS = VRCNN_ROWS / 2 };

/* Packed, for each 8 outputs: their biases with the rounding term added, as the accumulators want them (outputs 0 1 0 1, 2 3 2 3, ...),
 * then for each 8 values of a window, in the order row, column, input, four vectors of 2 outputs x 8 values. */
enum { BIAS_BYTES = VECTORS * 16, CHUNK_BYTES = OUTPUTS * CHUNK };

/* Values in all rows of a window together. */
static int window_values(const VrcnnConvLayer *layer, const VrcnnConv *conv)
{
    return layer->inputs == 1 ? window_length(conv->kernel_size) : conv->kernel_size * conv->kernel_size * layer->src_pitch;
}

static size_t block_size(const VrcnnConvLayer *layer, const VrcnnConv *conv)
{
    return BIAS_BYTES + (size_t)OUTPUTS * (size_t)window_values(layer, conv);
}

static size_t packed_size_i8mm(const VrcnnConvLayer *layer)
{
    size_t size = 0;
    if (layer->heads)
        return packed_size_joint(layer);
    if (layer->outputs == 1)
        return packed_size_last(layer);
    for (int b = 0; b < layer->branches; b++)
        size += (size_t)(layer->conv[b].outputs / OUTPUTS) * block_size(layer, layer->conv + b);
    return size;
}

/* 8 outputs; weights: of the first of them. */
static void pack_block(uint8_t *packed, const VrcnnConvLayer *layer, const VrcnnConv *conv, const int8_t *weights, const int32_t *bias)
{
    const int area = conv->kernel_size * conv->kernel_size, inputs = layer->inputs;
    int8_t *out = (int8_t *)packed + BIAS_BYTES;
    memset(packed, 0, block_size(layer, conv));
    for (int o = 0; o < OUTPUTS; o++) {
        int32_t sum = 0;
        for (int tap = 0; tap < area; tap++)
            for (int i = 0; i < inputs; i++) {
                const int at = tap * layer->src_pitch + i;
                const int8_t weight = weights[(o * inputs + i) * area + tap];
                out[at / CHUNK * CHUNK_BYTES + o * CHUNK + at % CHUNK] = weight;
                sum += weight;
            }
        const int32_t value = bias[o] + rounding_term(conv->shift) - (inputs < 16 ? 128 * sum : 0);
        memcpy(packed + o / 2 * 16 + o % 2 * 4, &value, sizeof value);
        memcpy(packed + o / 2 * 16 + o % 2 * 4 + 8, &value, sizeof value);
    }
}

static void pack_i8mm(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    uint8_t *out = packed;
    if (layer->heads) {
        pack_joint(packed, layer, weights, bias);
        return;
    }
    if (layer->outputs == 1) {
        pack_last(packed, layer, weights[0], bias[0]);
        return;
    }
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int per_output = layer->inputs * conv->kernel_size * conv->kernel_size;
        for (int o = 0; o < conv->outputs; o += OUTPUTS, out += block_size(layer, conv))
            pack_block(out, layer, conv, weights[b] + o * per_output, bias[b] + o);
    }
}

/* One paired row of 2 * bytes: 8 bytes of the upper row, 8 of the lower, and so on. bytes: a multiple of 16. */
static void pair_rows(uint8_t *out, const uint8_t *upper, const uint8_t *lower, ptrdiff_t bytes)
{
    for (ptrdiff_t i = 0; i < bytes; i += 16) {
        const uint64x2_t u = vreinterpretq_u64_u8(vld1q_u8(upper + i)), l = vreinterpretq_u64_u8(vld1q_u8(lower + i));
        vst1q_u8(out + 2 * i, vreinterpretq_u8_u64(vzip1q_u64(u, l)));
        vst1q_u8(out + 2 * i + 16, vreinterpretq_u8_u64(vzip2q_u64(u, l)));
    }
}

/* 8 values of the windows of 4 columns of a pair, 8 outputs. */
static inline __attribute__((always_inline)) void add_chunk(int32x4_t acc[COLUMNS][VECTORS], const uint8_t *paired, ptrdiff_t pitch,
                                                            const int8_t *weights)
{
    uint8x16_t a[COLUMNS];
#pragma GCC unroll 4
    for (int n = 0; n < COLUMNS; n++)
        a[n] = vld1q_u8(paired + n * pitch);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
        const int8x16_t w = vld1q_s8(weights + v * 16);
#pragma GCC unroll 4
        for (int n = 0; n < COLUMNS; n++)
            acc[n][v] = vusmmlaq_s32(acc[n][v], a[n], w);
    }
}

/* Lanes of two accumulators, (upper: outputs o, o + 1; lower: o, o + 1) and the same of o + 2, as four outputs of one row. */
static inline int32x4_t upper_row(int32x4_t a, int32x4_t b)
{
    return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

static inline int32x4_t lower_row(int32x4_t a, int32x4_t b)
{
    return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

/* 8 outputs of VRCNN_ROWS rows. window[i]: where, in the paired row whose upper row is row i of the window of output row 0, the window of
 * column 0 begins; it has `rows` rows of `length` values of each sample, and the next column's lies `pitch` bytes on. added: NULL or what
 * the kernel was given. */
static void convolve(uint8_t *const *dst, const uint8_t *const *added, int channel, const uint8_t *const *window, ptrdiff_t pitch, int rows,
                     int length, int columns, const VrcnnConvLayer *layer, const VrcnnConv *conv, const uint8_t *packed)
{
    const int32_t *bias = (const int32_t *)(const void *)packed;
    const int32x4_t shift = vdupq_n_s32(-conv->shift);
    const int16x8_t multiplier = vdupq_n_s16((int16_t)conv->multiplier);
    for (int pair = 0; pair < PAIRS; pair++)
        for (int x = 0; x < columns; x += COLUMNS) {
            const int8_t *w = (const int8_t *)packed + BIAS_BYTES;
            int32x4_t acc[COLUMNS][VECTORS];
#pragma GCC unroll 4
            for (int n = 0; n < COLUMNS; n++)
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; v++)
                    acc[n][v] = vld1q_s32(bias + 4 * v);
            for (int ky = 0; ky < rows; ky++) {
                const uint8_t *a = window[2 * pair + ky] + x * pitch;
                for (int i = 0; i < length; i += CHUNK, w += CHUNK_BYTES)
                    add_chunk(acc, a + 2 * i, pitch, w);
            }
#pragma GCC unroll 4
            for (int n = 0; n < COLUMNS; n++) {
                const ptrdiff_t at = (ptrdiff_t)(x + n) * layer->dst_pitch + channel;
                const uint8_t *upper = added ? added[2 * pair] + at : NULL, *lower = added ? added[2 * pair + 1] + at : NULL;
                vst1_u8(dst[2 * pair] + at,
                        requantize(upper_row(acc[n][0], acc[n][1]), upper_row(acc[n][2], acc[n][3]), shift, multiplier, upper));
                vst1_u8(dst[2 * pair + 1] + at,
                        requantize(lower_row(acc[n][0], acc[n][1]), lower_row(acc[n][2], acc[n][3]), shift, multiplier, lower));
            }
        }
}

static int whole_units(int columns)
{
    return (columns + COLUMNS - 1) / COLUMNS * COLUMNS;
}

/* Bytes of the samples of one row of src that a call reads; a paired row has twice as many. */
static ptrdiff_t row_bytes(const VrcnnConvLayer *layer, int columns)
{
    return (ptrdiff_t)(whole_units(columns) + 2 * layer->radius) * layer->src_pitch;
}

/* A luma network's first layer: the windows of VRCNN_ROWS rows, then their paired rows. Other layers: all paired rows. */
static size_t scratch_size_i8mm(const VrcnnConvLayer *layer, int columns)
{
    if (layer->heads || layer->outputs == 1)
        return 0;
    if (layer->inputs == 1)
        return (size_t)whole_units(columns) * VRCNN_ROWS * WINDOW * 2;
    return (size_t)(VRCNN_ROWS + 2 * layer->radius - 1) * (size_t)row_bytes(layer, columns) * 2;
}

/* A sample's pitch is its channels, so that a row of a window is one piece of kernel_size * inputs bytes of each sample; in a joint
 * network's first layer it is eight, two of which have weights of 0. Branches share the paired rows. 8 outputs are carried through the
 * whole call before the next: of layer 2's 5x5 their weights are 13 KB. */
static void conv_hidden_i8mm(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                             const VrcnnConvLayer *layer, void *scratch)
{
    const ptrdiff_t bytes = row_bytes(layer, columns), pitch = layer->src_pitch, left = layer->radius * pitch;
    const uint8_t *packed = layer->packed, *paired = scratch;
    int channel = 0;
    /* With 1x1 branches alone nobody needs the pairs of rows 1 and 2. */
    for (int i = 0; i < VRCNN_ROWS + 2 * layer->radius - 1; i += layer->radius ? 1 : 2)
        pair_rows((uint8_t *)scratch + i * bytes * 2, src[i] - left, src[i + 1] - left, bytes);
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int k = conv->kernel_size, inset = layer->radius - k / 2;
        const uint8_t *window[VRCNN_ROWS + 4];
        for (int i = 0; i < VRCNN_ROWS + k - 2; i++)
            window[i] = paired + (inset + i) * bytes * 2 + inset * pitch * 2;
        for (int o = 0; o < conv->outputs; o += OUTPUTS, channel += OUTPUTS, packed += block_size(layer, conv))
            convolve(dst, added, channel, window, pitch * 2, k, k * (int)pitch, columns, layer, conv, packed);
    }
}

static void conv_first_i8mm(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    if (layer->inputs > 1) {
        conv_hidden_i8mm(dst, src, NULL, columns, layer, scratch);
        return;
    }
    const ptrdiff_t gathered = whole_units(columns), bytes = gathered * WINDOW;
    uint8_t *windows = scratch, *paired = windows + VRCNN_ROWS * bytes;
    const uint8_t *packed = layer->packed;
    int channel = 0;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const uint8_t *window[VRCNN_ROWS];
        for (int y = 0; y < VRCNN_ROWS; y++)
            gather_windows(windows + y * bytes, src + layer->radius - conv->kernel_size / 2 + y, (int)gathered, conv->kernel_size, 0);
        for (int y = 0; y < VRCNN_ROWS; y += 2) {
            window[y] = paired + y * bytes;
            pair_rows(paired + y * bytes, windows + y * bytes, windows + (y + 1) * bytes, bytes);
        }
        for (int o = 0; o < conv->outputs; o += OUTPUTS, channel += OUTPUTS, packed += block_size(layer, conv))
            convolve(dst, NULL, channel, window, 2 * WINDOW, 1, window_length(conv->kernel_size), columns, layer, conv, packed);
    }
}

void vrcnn_conv_init_neon_i8mm(VrcnnKernelTable *table)
{
    memset(table, 0, sizeof *table);
    table->kernel = VRCNN_KERNEL_NEON_I8MM;
    table->channel_multiple = 16;
    table->block_columns = 32; /* layer 2: 7 paired rows of 36 samples are 32 KB, beside 13 KB of weights: these cores' L1 has 64 */
    table->packed_size = packed_size_i8mm;
    table->pack = pack_i8mm;
    table->scratch_size = scratch_size_i8mm;
    table->conv_first = conv_first_i8mm;
    table->conv_hidden = conv_hidden_i8mm;
    table->conv_last = conv_last_neon;
    table->conv_joint = conv_joint_neon;
}

#endif
