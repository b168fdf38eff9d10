/* Kernels for 64-bit ARM with the dot product instructions (sdot; optional from ARMv8.2 on, mandatory from ARMv8.4).
 *
 * sdot adds to each of the four 32-bit lanes of an accumulator a sum of four products of signed bytes, exactly. Hidden activations are
 * 0..127 and pass as signed bytes as they are; the first layer's x + 128 turns into x by flipping its highest bit, on the way into scratch.
 *
 * Speed could not be measured where this was written; it is laid out for cores with four (Neoverse V1, V2, Cortex-X) or two (Cortex-A76 and
 * on, Neoverse N) vector pipes and two or three loads a cycle.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "conv.h"

#if defined(__aarch64__)

#if !defined(__ARM_FEATURE_DOTPROD)
#error "compile this file with the flags of kernel_flags.txt"
#endif

#include "neon.h"

/* The unit of work is 16 outputs of 4 neighbouring samples: 16 accumulators of 4 outputs each. For 16 input channels that takes 4 loads of
 * activations (one a sample) and 16 of weights (4 outputs x 4 inputs each), and 64 sdot: 3.2 for each load, where the pipes can start
 * at most 2. The 16 sums are independent, more than latency times pipes asks for, and leave half of the 32 registers for operands. */
enum { OUTPUTS = 16, SAMPLES = 4, VECTORS = OUTPUTS / 4, CHUNK = CHUNK_VALUES };

/* Packed, for each 16 outputs: their biases with the rounding term added, then for each 16 values of a window, in the order row, column,
 * input, what dot_chunk wants. */
enum { BIAS_BYTES = OUTPUTS * 4, CHUNK_BYTES = OUTPUTS * CHUNK };

/* Values of a row of a window, which lie side by side: a luma network's first layer has the whole window in one row, a joint network's
 * whole vectors, the last of which may reach into the next sample. */
static int row_length(const VrcnnConvLayer *layer, int kernel_size)
{
    return layer->inputs == 1 ? window_length(kernel_size) : (kernel_size * layer->src_pitch + CHUNK - 1) / CHUNK * CHUNK;
}

static int window_rows(const VrcnnConvLayer *layer, int kernel_size)
{
    return layer->inputs == 1 ? 1 : kernel_size;
}

static size_t block_size(const VrcnnConvLayer *layer, const VrcnnConv *conv)
{
    const int k = conv->kernel_size;
    return BIAS_BYTES + (size_t)OUTPUTS * (size_t)(window_rows(layer, k) * row_length(layer, k));
}

static size_t packed_size_dot(const VrcnnConvLayer *layer)
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

/* 16 outputs; weights: of the first of them. */
static void pack_block(uint8_t *packed, const VrcnnConvLayer *layer, const VrcnnConv *conv, const int8_t *weights, const int32_t *bias)
{
    const int k = conv->kernel_size, inputs = layer->inputs, length = row_length(layer, k);
    int8_t *out = (int8_t *)packed + BIAS_BYTES;
    memset(packed, 0, block_size(layer, conv));
    for (int o = 0; o < OUTPUTS; o++) {
        const int32_t value = bias[o] + rounding_term(conv->shift);
        memcpy(packed + 4 * o, &value, sizeof value);
        for (int ky = 0; ky < k; ky++)
            for (int kx = 0; kx < k; kx++)
                for (int i = 0; i < inputs; i++) {
                    const int at = inputs == 1 ? ky * k + kx : ky * length + kx * layer->src_pitch + i;
                    out[at / 4 * (4 * OUTPUTS) + o * 4 + at % 4] = weights[((o * inputs + i) * k + ky) * k + kx];
                }
    }
}

static void pack_dot(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
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

/* 16 outputs of VRCNN_ROWS rows. window[i]: the leftmost value that column 0 of row 0 needs of row i of its window; a window has
 * some rows of some values each, those of the next column lie `pitch` bytes on, those of the next output row one pointer on. added: NULL or
 * what the kernel was given. */
static void convolve(uint8_t *const *dst, const uint8_t *const *added, int channel, const uint8_t *const *window, ptrdiff_t pitch,
                     int columns, const VrcnnConvLayer *layer, const VrcnnConv *conv, const uint8_t *packed)
{
    const int rows = window_rows(layer, conv->kernel_size), length = row_length(layer, conv->kernel_size);
    const int32_t *bias = (const int32_t *)(const void *)packed;
    const int32x4_t shift = vdupq_n_s32(-conv->shift);
    const int16x8_t multiplier = vdupq_n_s16((int16_t)conv->multiplier);
    for (int y = 0; y < VRCNN_ROWS; y++)
        for (int x = 0; x < columns; x += SAMPLES) {
            const int8_t *w = (const int8_t *)packed + BIAS_BYTES;
            int32x4_t acc[SAMPLES * VECTORS];
#pragma GCC unroll 4
            for (int n = 0; n < SAMPLES; n++)
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; v++)
                    acc[n * VECTORS + v] = vld1q_s32(bias + 4 * v);
            for (int ky = 0; ky < rows; ky++) {
                const uint8_t *a = window[y + ky] + x * pitch;
                for (int i = 0; i < length; i += CHUNK, w += CHUNK_BYTES)
                    dot_chunk(acc, a + i, pitch, w, SAMPLES, VECTORS);
            }
#pragma GCC unroll 4
            for (int n = 0; n < SAMPLES; n++) {
                const ptrdiff_t at = (ptrdiff_t)(x + n) * layer->dst_pitch + channel;
                const uint8_t *more = added ? added[y] + at : NULL;
                const int32x4_t *sums = acc + n * VECTORS;
                const uint8x8_t low = requantize(sums[0], sums[1], shift, multiplier, more);
                const uint8x8_t high = requantize(sums[2], sums[3], shift, multiplier, more ? more + 8 : NULL);
                vst1q_u8(dst[y] + at, vcombine_u8(low, high));
            }
        }
}

/* rows: those that the layer needs, at column 0. A sample's pitch is its channels, so that a row of a window is one piece of bytes. 16
 * outputs are carried through the whole call before the next: of layer 2's 5x5 their weights are 25 KB, which stay in the first-level
 * cache. */
static void convolve_rows(uint8_t *const *dst, const uint8_t *const *rows, const uint8_t *const *added, int columns,
                          const VrcnnConvLayer *layer)
{
    const uint8_t *packed = layer->packed;
    int channel = 0;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int reach = conv->kernel_size / 2;
        const uint8_t *window[VRCNN_ROWS + 4];
        for (int i = 0; i < VRCNN_ROWS + 2 * reach; i++)
            window[i] = rows[layer->radius - reach + i] - (ptrdiff_t)reach * layer->src_pitch;
        for (int o = 0; o < conv->outputs; o += OUTPUTS, channel += OUTPUTS, packed += block_size(layer, conv))
            convolve(dst, added, channel, window, layer->src_pitch, columns, layer, conv, packed);
    }
}

static void conv_hidden_dot(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                            const VrcnnConvLayer *layer, void *scratch)
{
    (void)scratch;
    convolve_rows(dst, src, added, columns, layer);
}

static int whole_units(int columns)
{
    return (columns + SAMPLES - 1) / SAMPLES * SAMPLES;
}

/* Bytes of a row of sites that a call reads: the columns around them, and the rest of the last vector. */
static ptrdiff_t sites_bytes(const VrcnnConvLayer *layer, int columns)
{
    return (ptrdiff_t)(whole_units(columns) + 2 * layer->radius + 2) * VRCNN_JOINT_PITCH;
}

static size_t scratch_size_dot(const VrcnnConvLayer *layer, int columns)
{
    return layer->inputs == 1                    ? (size_t)whole_units(columns) * VRCNN_ROWS * WINDOW
           : layer->inputs == VRCNN_JOINT_INPUTS ? (size_t)(VRCNN_ROWS + 2 * layer->radius) * (size_t)sites_bytes(layer, columns)
                                                 : 0;
}

static void conv_luma(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, uint8_t *windows)
{
    const int gathered = whole_units(columns);
    const uint8_t *packed = layer->packed;
    int channel = 0;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const uint8_t *window[VRCNN_ROWS];
        for (int y = 0; y < VRCNN_ROWS; y++) {
            uint8_t *row = windows + (ptrdiff_t)y * gathered * WINDOW;
            gather_windows(row, src + layer->radius - conv->kernel_size / 2 + y, gathered, conv->kernel_size, 0x80);
            window[y] = row;
        }
        for (int o = 0; o < conv->outputs; o += OUTPUTS, channel += OUTPUTS, packed += block_size(layer, conv))
            convolve(dst, NULL, channel, window, WINDOW, columns, layer, conv, packed);
    }
}

static void conv_sites(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, uint8_t *flipped)
{
    const ptrdiff_t bytes = sites_bytes(layer, columns), left = (ptrdiff_t)layer->radius * VRCNN_JOINT_PITCH;
    const uint8_t *rows[VRCNN_ROWS + 4];
    for (int y = 0; y < VRCNN_ROWS + 2 * layer->radius; y++) {
        uint8_t *row = flipped + y * bytes;
        for (ptrdiff_t i = 0; i < bytes; i += 16)
            vst1q_u8(row + i, veorq_u8(vld1q_u8(src[y] - left + i), vdupq_n_u8(0x80)));
        rows[y] = row + left;
    }
    convolve_rows(dst, rows, NULL, columns, layer);
}

static void conv_first_dot(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    if (layer->inputs == 1)
        conv_luma(dst, src, columns, layer, scratch);
    else
        conv_sites(dst, src, columns, layer, scratch);
}

void vrcnn_conv_init_neon_dot(VrcnnKernelTable *table)
{
    memset(table, 0, sizeof *table);
    table->kernel = VRCNN_KERNEL_NEON_DOT;
    table->channel_multiple = 16;
    table->block_columns = 32; /* layer 2: 8 rows of 36 samples are 18 KB, beside 25 KB of weights: most L1 caches have 64 */
    table->packed_size = packed_size_dot;
    table->pack = pack_dot;
    table->scratch_size = scratch_size_dot;
    table->conv_first = conv_first_dot;
    table->conv_hidden = conv_hidden_dot;
    table->conv_last = conv_last_neon;
    table->conv_joint = conv_joint_neon;
}

#endif
