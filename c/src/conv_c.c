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
    if (inputs == 1) {
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

static size_t window_values(int kernel_size, int inputs)
{
    const Shape s = shape_of(kernel_size, inputs);
    return inputs == 1 ? (size_t)SAMPLES * (size_t)s.length : (size_t)s.segments * (size_t)s.segment_step;
}

static size_t packed_size_c(int kernel_size, int inputs, int outputs)
{
    const Shape s = shape_of(kernel_size, inputs);
    return (size_t)outputs * (size_t)s.segments * (size_t)s.length * sizeof(int16_t);
}

static void pack_c(void *packed, const int8_t *weights, int kernel_size, int inputs, int outputs)
{
    const Shape s = shape_of(kernel_size, inputs);
    const int area = kernel_size * kernel_size;
    int16_t *out = packed;
    memset(packed, 0, packed_size_c(kernel_size, inputs, outputs));
    for (int o = 0; o < outputs; o++) {
        for (int tap = 0; tap < area; tap++)
            for (int i = 0; i < inputs; i++)
                out[tap * inputs + i] = weights[i * area + tap];
        out += s.segments * s.length;
        weights += inputs * area;
    }
}

static size_t scratch_size_c(int kernel_size, int inputs, int outputs)
{
    return (size_t)SAMPLES * (size_t)outputs * sizeof(int32_t) + window_values(kernel_size, inputs) * sizeof(int16_t);
}

/* Widens the windows of `count` samples; those of the samples up to SAMPLES that do not exist are 0. */
static void load_windows(int16_t *restrict windows, const uint8_t *restrict src, ptrdiff_t src_stride, int count, int kernel_size,
                         int inputs)
{
    const Shape s = shape_of(kernel_size, inputs);
    if (inputs == 1) {
        memset(windows, 0, (size_t)SAMPLES * (size_t)s.length * sizeof *windows);
        for (int ky = 0; ky < kernel_size; ky++)
            for (int n = 0; n < count; n++)
                for (int kx = 0; kx < kernel_size; kx++)
                    windows[n * s.length + ky * kernel_size + kx] = src[ky * src_stride + n + kx];
        return;
    }
    const int present = (count + kernel_size - 1) * inputs;
    for (int ky = 0; ky < kernel_size; ky++) {
        int16_t *restrict row = windows + ky * s.segment_step;
        const uint8_t *restrict from = src + ky * src_stride;
        for (int i = 0; i < present; i++)
            row[i] = from[i];
        memset(row + present, 0, (size_t)(s.segment_step - present) * sizeof *row);
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

static void requant_samples(uint8_t *restrict dst, int dst_channels, const int32_t *restrict sums, int count, const VrcnnConv *conv)
{
    const int outputs = conv->outputs, shift = conv->shift;
    const int32_t multiplier = conv->multiplier;
    const int32_t *restrict bias = conv->bias;
    for (int n = 0; n < count; n++)
        for (int o = 0; o < outputs; o++)
            dst[n * dst_channels + o] = vrcnn_requant_hidden(sums[n * outputs + o] + bias[o], shift, multiplier);
}

static void conv_hidden_c(uint8_t *dst, ptrdiff_t dst_stride, int dst_channels, const uint8_t *src, ptrdiff_t src_stride, int width,
                          int height, const VrcnnConv *conv, void *scratch)
{
    const Shape s = shape_of(conv->kernel_size, conv->inputs);
    const int outputs = conv->outputs;
    int32_t *sums = scratch;
    int16_t *windows = (int16_t *)(sums + SAMPLES * outputs);
    const int16_t *weights = conv->weights;
    for (int y = 0; y < height; y++, dst += dst_stride, src += src_stride)
        for (int x = 0; x < width; x += SAMPLES) {
            const int count = width - x < SAMPLES ? width - x : SAMPLES;
            load_windows(windows, src + (ptrdiff_t)x * conv->inputs, src_stride, count, conv->kernel_size, conv->inputs);
            for (int o = 0; o < outputs; o += 4)
                for (int n = 0; n < count; n += 2) {
                    int32_t d[8];
                    dot_2x4(d, windows + n * s.sample_step, weights + (ptrdiff_t)o * s.segments * s.length, &s);
                    memcpy(sums + n * outputs + o, d, 4 * sizeof *d);
                    memcpy(sums + (n + 1) * outputs + o, d + 4, 4 * sizeof *d);
                }
            requant_samples(dst + (ptrdiff_t)x * dst_channels, dst_channels, sums, count, conv);
        }
}

static void conv_residual_c(int16_t *dst, ptrdiff_t dst_stride, const uint8_t *src, ptrdiff_t src_stride, int width, int height,
                            const VrcnnConv *conv, int shift, int multiplier, void *scratch)
{
    const Shape s = shape_of(conv->kernel_size, conv->inputs);
    int32_t *sums = scratch;
    int16_t *windows = (int16_t *)(sums + SAMPLES);
    for (int y = 0; y < height; y++, dst += dst_stride, src += src_stride)
        for (int x = 0; x < width; x += SAMPLES) {
            const int count = width - x < SAMPLES ? width - x : SAMPLES;
            load_windows(windows, src + (ptrdiff_t)x * conv->inputs, src_stride, count, conv->kernel_size, conv->inputs);
            for (int n = 0; n < count; n += 4)
                dot_4x1(sums + n, windows + n * s.sample_step, conv->weights, &s);
            for (int n = 0; n < count; n++)
                dst[x + n] = (int16_t)vrcnn_round_multiply(vrcnn_preshift(sums[n] + conv->bias[0], shift), multiplier);
        }
}

void vrcnn_conv_init_c(VrcnnKernelTable *table)
{
    table->kernel = VRCNN_KERNEL_SCALAR;
    table->packed_size = packed_size_c;
    table->pack = pack_c;
    table->scratch_size = scratch_size_c;
    table->conv_hidden = conv_hidden_c;
    table->conv_residual = conv_residual_c;
}
