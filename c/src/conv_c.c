/* Scalar kernels: portable C, laid out so that a compiler turns the inner products into 16-bit multiply-adds.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "conv.h"
#include "requant.h"

/* Samples handled together: each group of four outputs reads its weights once for all of them. */
enum { SAMPLES = 16 };

/* The inner products of one sample run over `segments` pieces of `length` values, one piece per kernel row. With one input channel
 * the window is gathered into a single piece instead, padded to a multiple of 8 values. */
typedef struct Shape {
    int segments;
    int length;
    ptrdiff_t sample_step;  /* between the windows of neighbouring samples */
    ptrdiff_t segment_step; /* between the pieces of one window */
} Shape;

static Shape shape_of(int kernel_size, int inputs)
{
    Shape s;
    if (inputs == 1) { /* a joint network's first layer has six, and is like a hidden one */
        s.segments = 1;
        s.length = (kernel_size * kernel_size + 7) & ~7;
        s.sample_step = s.length;
        s.segment_step = 0;
    } else {
        s.segments = kernel_size;
        s.length = kernel_size * inputs;
        s.sample_step = inputs;
        s.segment_step = (ptrdiff_t)(SAMPLES + kernel_size - 1) * inputs;
    }
    return s;
}

static size_t weight_values(const VrcnnConv *conv, int inputs)
{
    const Shape s = shape_of(conv->kernel_size, inputs);
    return (size_t)conv->outputs * (size_t)s.segments * (size_t)s.length;
}

static size_t window_values(int kernel_size, int inputs)
{
    const Shape s = shape_of(kernel_size, inputs);
    return inputs == 1 ? (size_t)SAMPLES * (size_t)s.length : (size_t)s.segments * (size_t)s.segment_step;
}

/* Packed: the biases of all branches, then the weights of each. */
static size_t packed_size_c(const VrcnnConvLayer *layer)
{
    size_t size = (size_t)layer->outputs * sizeof(int32_t);
    for (int b = 0; b < layer->branches; b++)
        size += weight_values(layer->conv + b, layer->inputs) * sizeof(int16_t);
    return size;
}

static void pack_c(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    int32_t *bias_out = packed;
    int16_t *out = (int16_t *)(bias_out + layer->outputs);
    memset(packed, 0, packed_size_c(layer));
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Shape s = shape_of(conv->kernel_size, layer->inputs);
        const int area = conv->kernel_size * conv->kernel_size;
        const int8_t *w = weights[b];
        for (int o = 0; o < conv->outputs; o++) {
            int32_t sum = 0;
            for (int tap = 0; tap < area; tap++)
                for (int i = 0; i < layer->inputs; i++) {
                    out[tap * layer->inputs + i] = w[i * area + tap];
                    sum += w[i * area + tap];
                }
            /* The first layer is fed x + 128. */
            *bias_out++ = bias[b][o] - (layer->inputs < 16 ? 128 * sum : 0);
            out += s.segments * s.length;
            w += layer->inputs * area;
        }
    }
}

static size_t scratch_size_c(const VrcnnConvLayer *layer, int columns)
{
    size_t most = 0;
    (void)columns;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int outputs = layer->heads ? layer->outputs : conv->outputs;
        const size_t size =
            (size_t)SAMPLES * (size_t)outputs * sizeof(int32_t) + window_values(conv->kernel_size, layer->inputs) * sizeof(int16_t);
        most = size > most ? size : most;
    }
    return most;
}

/* Widens the windows of `count` samples whose first value lies at src[row][0]; those of the samples up to SAMPLES that do not exist are 0.
 */
static void load_windows(int16_t *restrict windows, const uint8_t *const *src, ptrdiff_t offset, int pitch, int count, int kernel_size,
                         int inputs)
{
    const Shape s = shape_of(kernel_size, inputs);
    if (inputs == 1) {
        memset(windows, 0, (size_t)SAMPLES * (size_t)s.length * sizeof *windows);
        for (int ky = 0; ky < kernel_size; ky++)
            for (int n = 0; n < count; n++)
                for (int kx = 0; kx < kernel_size; kx++)
                    windows[n * s.length + ky * kernel_size + kx] = src[ky][offset + n + kx];
        return;
    }
    const int present = count + kernel_size - 1;
    for (int ky = 0; ky < kernel_size; ky++) {
        int16_t *restrict row = windows + ky * s.segment_step;
        for (int n = 0; n < present; n++) {
            const uint8_t *restrict from = src[ky] + offset + (ptrdiff_t)n * pitch;
            for (int i = 0; i < inputs; i++)
                row[n * inputs + i] = from[i];
        }
        memset(row + (ptrdiff_t)present * inputs, 0, (size_t)(s.segment_step - (ptrdiff_t)present * inputs) * sizeof *row);
    }
}

/* Two samples, four outputs. */
static void dot_2x4(int32_t sums[8], const int16_t *windows, const int16_t *weights, const Shape *s)
{
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    const int length = s->length;
    const ptrdiff_t output_step = (ptrdiff_t)s->segments * length;
    for (int segment = 0; segment < s->segments; segment++) {
        const int16_t *restrict a = windows + segment * s->segment_step;
        const int16_t *restrict b = a + s->sample_step;
        const int16_t *restrict w0 = weights + segment * length;
        const int16_t *restrict w1 = w0 + output_step;
        const int16_t *restrict w2 = w1 + output_step;
        const int16_t *restrict w3 = w2 + output_step;
        for (int i = 0; i < length; i++) {
            a0 += a[i] * w0[i];
            a1 += a[i] * w1[i];
            a2 += a[i] * w2[i];
            a3 += a[i] * w3[i];
            b0 += b[i] * w0[i];
            b1 += b[i] * w1[i];
            b2 += b[i] * w2[i];
            b3 += b[i] * w3[i];
        }
    }
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;
    sums[4] = b0, sums[5] = b1, sums[6] = b2, sums[7] = b3;
}

/* Four samples, one output. */
static void dot_4x1(int32_t sums[4], const int16_t *windows, const int16_t *weights, const Shape *s)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const int length = s->length;
    for (int segment = 0; segment < s->segments; segment++) {
        const int16_t *restrict a = windows + segment * s->segment_step;
        const int16_t *restrict b = a + s->sample_step;
        const int16_t *restrict c = b + s->sample_step;
        const int16_t *restrict d = c + s->sample_step;
        const int16_t *restrict w = weights + segment * length;
        for (int i = 0; i < length; i++) {
            s0 += a[i] * w[i];
            s1 += b[i] * w[i];
            s2 += c[i] * w[i];
            s3 += d[i] * w[i];
        }
    }
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

/* added: of the first sample, or NULL. */
static void requant_samples(uint8_t *restrict dst, int pitch, const int32_t *restrict sums, const uint8_t *added, int count,
                            const VrcnnConv *conv, const int32_t *restrict bias)
{
    const int outputs = conv->outputs, shift = conv->shift;
    const int32_t multiplier = conv->multiplier;
    for (int n = 0; n < count; n++)
        for (int o = 0; o < outputs; o++)
            dst[n * pitch + o] = vrcnn_requant_hidden(sums[n * outputs + o] + bias[o], shift, multiplier, added ? added[n * pitch + o] : 0);
}

static void conv_hidden_c(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                          const VrcnnConvLayer *layer, void *scratch)
{
    const int32_t *bias = layer->packed;
    const int16_t *weights = (const int16_t *)(bias + layer->outputs);
    int channel = 0;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int outputs = conv->outputs, reach = conv->kernel_size / 2;
        const Shape s = shape_of(conv->kernel_size, layer->inputs);
        int32_t *sums = scratch;
        int16_t *windows = (int16_t *)(sums + SAMPLES * outputs);
        for (int y = 0; y < VRCNN_ROWS; y++)
            for (int x = 0; x < columns; x += SAMPLES) {
                const int count = columns - x < SAMPLES ? columns - x : SAMPLES;
                load_windows(windows, src + y + layer->radius - reach, (ptrdiff_t)(x - reach) * layer->src_pitch, layer->src_pitch, count,
                             conv->kernel_size, layer->inputs);
                for (int o = 0; o < outputs; o += 4)
                    for (int n = 0; n < count; n += 2) {
                        int32_t d[8];
                        dot_2x4(d, windows + n * s.sample_step, weights + (ptrdiff_t)o * s.segments * s.length, &s);
                        memcpy(sums + n * outputs + o, d, 4 * sizeof *d);
                        memcpy(sums + (n + 1) * outputs + o, d + 4, 4 * sizeof *d);
                    }
                const ptrdiff_t at = (ptrdiff_t)x * layer->dst_pitch + channel;
                requant_samples(dst[y] + at, layer->dst_pitch, sums, added ? added[y] + at : NULL, count, conv, bias + channel);
            }
        channel += outputs;
        weights += weight_values(conv, layer->inputs);
    }
}

static void conv_last_c(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int shift, int multiplier,
                        void *scratch)
{
    const int32_t *bias = layer->packed;
    const int16_t *weights = (const int16_t *)(bias + layer->outputs);
    const VrcnnConv *conv = layer->conv;
    const Shape s = shape_of(conv->kernel_size, layer->inputs);
    int32_t *sums = scratch;
    int16_t *windows = (int16_t *)(sums + SAMPLES);
    for (int y = 0; y < VRCNN_ROWS; y++)
        for (int x = 0; x < columns; x += SAMPLES) {
            const int count = columns - x < SAMPLES ? columns - x : SAMPLES;
            load_windows(windows, src + y, (ptrdiff_t)(x - layer->radius) * layer->src_pitch, layer->src_pitch, count, conv->kernel_size,
                         layer->inputs);
            for (int n = 0; n < count; n += 4)
                dot_4x1(sums + n, windows + n * s.sample_step, weights, &s);
            for (int n = 0; n < count; n++)
                dst[y][x + n] = (int16_t)vrcnn_round_multiply(vrcnn_preshift(sums[n] + bias[0], shift), multiplier);
        }
}

static void conv_first_c(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    conv_hidden_c(dst, src, NULL, columns, layer, scratch);
}

/* The residual of a sample: the mixed outputs of its heads, whose accumulators are `step` values apart. */
static int16_t mix_heads(const int32_t *acc, const int32_t *bias, int step, int heads, int shift, const int *multiplier)
{
    int32_t sum = INT32_C(1) << 14;
    for (int head = 0; head < heads; head++)
        sum += vrcnn_preshift(acc[head * step * SAMPLES] + bias[head * step], shift) * multiplier[head];
    return (int16_t)(sum >> 15);
}

static void conv_joint_c(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, const VrcnnMix *mix,
                         void *scratch)
{
    const int32_t *bias = layer->packed;
    const int16_t *weights = (const int16_t *)(bias + layer->outputs);
    const int heads = layer->heads;
    const Shape s = shape_of(layer->conv[0].kernel_size, layer->inputs);
    int32_t *sums = scratch; /* [output][SAMPLES] */
    int16_t *windows = (int16_t *)(sums + SAMPLES * layer->outputs);
    for (int y = 0; y < VRCNN_ROWS; y++)
        for (int x = 0; x < columns; x += SAMPLES) {
            const int count = columns - x < SAMPLES ? columns - x : SAMPLES;
            load_windows(windows, src + y, (ptrdiff_t)(x - layer->radius) * layer->src_pitch, layer->src_pitch, count,
                         layer->conv[0].kernel_size, layer->inputs);
            for (int o = 0; o < layer->outputs; o++)
                for (int n = 0; n < count; n += 4)
                    dot_4x1(sums + o * SAMPLES + n, windows + n * s.sample_step, weights + (ptrdiff_t)o * s.segments * s.length, &s);
            for (int n = 0; n < count; n++) {
                int16_t *to = dst[y] + (x + n) * VRCNN_JOINT_OUTPUTS;
                for (int o = 0; o < 4; o++)
                    to[o] = mix_heads(sums + o * SAMPLES + n, bias + o, 4, heads, mix->shift[0], mix->multiplier[0]);
                for (int o = 0; o < 2; o++)
                    to[4 + o] =
                        mix_heads(sums + (4 * heads + o) * SAMPLES + n, bias + 4 * heads + o, 2, heads, mix->shift[1], mix->multiplier[1]);
            }
        }
}

void vrcnn_conv_init_c(VrcnnKernelTable *table)
{
    memset(table, 0, sizeof *table);
    table->kernel = VRCNN_KERNEL_SCALAR;
    table->channel_multiple = 16;
    table->packed_size = packed_size_c;
    table->pack = pack_c;
    table->scratch_size = scratch_size_c;
    table->conv_first = conv_first_c;
    table->conv_hidden = conv_hidden_c;
    table->conv_last = conv_last_c;
    table->conv_joint = conv_joint_c;
}
