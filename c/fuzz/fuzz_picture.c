/* Fuzz target: pictures, regions, unit maps and hidden layers. A call is drawn that is right, then some of its numbers are replaced by any
 * others. What the header says decides what the call must answer: a right one gives the samples that the scalar kernel gives for the whole
 * picture and writes nothing else, a wrong one writes nothing. Memory is exactly as large as the planes say, so a sanitizer sees a step too
 * far.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "calls.h"
#include "support.h"

enum { NETWORKS = 3 };

typedef enum Op { PICTURE, REGION, UNITS, LAYER, OPS } Op;

/* Everything that a call is given, but for pointers. */
typedef struct Call {
    Op op;
    int64_t index, scale, layer;
    int64_t src_stride, src_width, src_height, src_bit_depth, src_bytes;
    int64_t dst_stride, dst_width, dst_height, dst_bit_depth, dst_bytes;
    int64_t x, y, width, height;
    int64_t unit_size, networks, unit_index[VRCNN_MAX_CHOICES];
} Call;

static VrcnnModel *model;
static TNetwork network[NETWORKS];
static VrcnnContext *contexts[VRCNN_KERNEL_CUDA][2];

/* Halo 0, the shape of VRCNN, and something deeper. */
static void set_up(void)
{
    seed_random(1);
    network[0] = small_network(22, 0);
    add_branch(&network[1], 0, 5, 16, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&network[1], 1, 3, 16, 2, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&network[1], 1, 1, 16, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&network[1], 2, 3, 1, 6, 1000, RANDOM_WEIGHTS, SMALL_BIASES);
    for (int l = 0; l < 4; l++)
        add_branch(&network[2], l, l == 2 ? 1 : l == 1 ? 5 : 3, 16, l ? 2 : 0, l ? 500 : 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&network[2], 4, 5, 1, 6, 1000, RANDOM_WEIGHTS, SMALL_BIASES);
    model = load(network, NETWORKS);
    for (int kernel = VRCNN_KERNEL_SCALAR; kernel < VRCNN_KERNEL_CUDA; kernel++)
        for (int i = 0; i < 2 && vrcnn_kernel_supported(kernel); i++)
            contexts[kernel][i] = open_context(model, kernel, i ? 3 : 1);
}

static Call draw_call(Input *in)
{
    Call c = {0};
    c.op = (Op)pick(in, 0, OPS - 1);
    c.index = pick(in, 0, NETWORKS - 1);
    c.scale = pick(in, 1, 10);
    c.layer = pick(in, 0, network[c.index].layers - 2);
    c.src_width = c.dst_width = pick(in, 0, 3) ? pick(in, 1, 90) : pick(in, 1, 700);
    c.src_height = c.dst_height = pick(in, 1, (int)(MOST_AREA / c.src_width < 90 ? MOST_AREA / c.src_width : 90));
    c.src_bit_depth = c.dst_bit_depth = pick(in, 8, 10);
    c.src_bytes = c.src_bit_depth > 8 ? 2 : pick(in, 1, 2);
    c.dst_bytes = c.src_bit_depth > 8 ? 2 : pick(in, 1, 2);
    c.x = pick(in, 0, (int)c.src_width - 1);
    c.y = pick(in, 0, (int)c.src_height - 1);
    c.width = pick(in, 1, (int)(c.src_width - c.x));
    c.height = pick(in, 1, (int)(c.src_height - c.y));
    c.src_stride = (c.src_width * c.src_bytes + pick(in, 0, 9)) * (pick(in, 0, 1) ? -1 : 1);
    const int64_t row = c.op == LAYER ? c.width * network[c.index].layer[c.layer].outputs : c.dst_width * c.dst_bytes;
    c.dst_stride = (row + pick(in, 0, 9)) * (pick(in, 0, 1) ? -1 : 1);
    c.unit_size = 64 << pick(in, 0, 3);
    c.networks = pick(in, 1, VRCNN_MAX_CHOICES);
    for (int i = 0; i < VRCNN_MAX_CHOICES; i++)
        c.unit_index[i] = pick(in, 0, NETWORKS - 1);
    return c;
}

/* Another number for one field. */
static void spoil(Input *in, Call *c)
{
    int64_t *const fields[] = {&c->index,         &c->scale,         &c->layer,     &c->src_stride, &c->src_width,
                               &c->src_height,    &c->src_bit_depth, &c->src_bytes, &c->dst_stride, &c->dst_width,
                               &c->dst_height,    &c->dst_bit_depth, &c->dst_bytes, &c->x,          &c->y,
                               &c->width,         &c->height,        &c->unit_size, &c->networks,   c->unit_index,
                               c->unit_index + 1, c->unit_index + 2};
    const int i = pick(in, 0, (int)(sizeof fields / sizeof *fields) - 1);
    *fields[i] = other_number(in, *fields[i], fields[i] == &c->src_stride || fields[i] == &c->dst_stride);
}

static int is_choice(int64_t index)
{
    return index >= 0 && index < NETWORKS;
}

/* All that is wrong with a call, but for overlap and the units of a map. */
static Answers judge(const Call *c, size_t *src_span, size_t *dst_span)
{
    Answers a = judge_plane(src_span, c->src_stride, c->src_width, c->src_height, c->src_bit_depth, c->src_bytes);
    const int is_outside =
        c->x < 0 || c->y < 0 || c->width < 1 || c->height < 1 || c->x + c->width > c->src_width || c->y + c->height > c->src_height;
    if (c->op != UNITS)
        a |= answer(!is_choice(c->index), VRCNN_ERROR_INDEX);
    if (c->op == LAYER) {
        const int is_none = !is_choice(c->index) || c->layer < 0 || c->layer > network[c->index].layers - 2;
        *dst_span = is_none || is_outside ? 0 : span_of(c->dst_stride, c->width * network[c->index].layer[c->layer].outputs, c->height);
        return a | answer(is_none, VRCNN_ERROR_LAYER) | answer(is_outside, VRCNN_ERROR_REGION) | answer(!*dst_span, VRCNN_ERROR_PLANE);
    }
    a |= judge_plane(dst_span, c->dst_stride, c->dst_width, c->dst_height, c->dst_bit_depth, c->dst_bytes);
    a |= answer(c->dst_width != c->src_width || c->dst_height != c->src_height || c->dst_bit_depth != c->src_bit_depth, VRCNN_ERROR_PLANE);
    a |= answer(c->scale < 1 || c->scale > 10, VRCNN_ERROR_SCALE);
    if (c->op == REGION)
        a |= answer(is_outside, VRCNN_ERROR_REGION);
    if (c->op == UNITS) {
        const int64_t size = c->unit_size, n = c->networks;
        a |= answer((size != 64 && size != 128 && size != 256 && size != 512) || n < 1 || n > VRCNN_MAX_CHOICES, VRCNN_ERROR_UNITS);
        for (int i = 0; i < VRCNN_MAX_CHOICES && i < n; i++)
            a |= answer(!is_choice(c->unit_index[i]), VRCNN_ERROR_INDEX);
    }
    return a;
}

/* The whole picture, with the scalar kernel and planes without gaps. */
static uint16_t *filtered_whole(const Call *c, const VrcnnConstPlane *src, int index)
{
    uint16_t *samples = get((size_t)(c->src_width * c->src_height) * sizeof *samples);
    const VrcnnPlane dst = {samples, (ptrdiff_t)c->src_width * 2, src->width, src->height, src->bit_depth, 2};
    MUST(!vrcnn_filter_picture(contexts[VRCNN_KERNEL_SCALAR][0], index, (int)c->scale, &dst, src));
    return samples;
}

/* What dst must look like: writes the samples that are asked for into `wanted`, which has the guards everywhere. */
static void expect(const Call *c, const VrcnnConstPlane *src, const uint8_t *unit, uint8_t *wanted)
{
    if (c->op == LAYER) {
        const int channels = network[c->index].layer[c->layer].outputs;
        const ptrdiff_t row = (ptrdiff_t)c->src_width * channels;
        uint8_t *values = get((size_t)row * (size_t)c->src_height);
        MUST(!vrcnn_filter_layer(contexts[VRCNN_KERNEL_SCALAR][0], (int)c->index, (int)c->layer, values, row, src, 0, 0, src->width,
                                 src->height));
        for (int64_t y = 0; y < c->height; y++)
            memcpy(wanted + y * c->dst_stride, values + (c->y + y) * row + c->x * channels, (size_t)(c->width * channels));
        free(values);
        return;
    }
    uint16_t *whole[VRCNN_MAX_CHOICES] = {NULL};
    const int64_t across = c->op == UNITS ? (c->src_width - 1) / c->unit_size + 1 : 1;
    for (int i = 0; i < (c->op == UNITS ? c->networks : 1); i++)
        whole[i] = filtered_whole(c, src, (int)(c->op == UNITS ? c->unit_index[i] : c->index));
    for (int64_t y = 0; y < c->src_height; y++)
        for (int64_t x = 0; x < c->src_width; x++) {
            int choice = 1;
            if (c->op == REGION)
                choice = x >= c->x && x < c->x + c->width && y >= c->y && y < c->y + c->height;
            else if (c->op == UNITS)
                choice = unit[y / c->unit_size * across + x / c->unit_size];
            if (!choice)
                continue;
            const uint16_t sample = whole[choice - 1][y * c->src_width + x];
            uint8_t *to = wanted + y * c->dst_stride + x * c->dst_bytes;
            if (c->dst_bytes == 1)
                *to = (uint8_t)sample;
            else
                memcpy(to, &sample, sizeof sample);
        }
    for (int i = 0; i < VRCNN_MAX_CHOICES; i++)
        free(whole[i]);
}

static VrcnnError call(VrcnnContext *context, const Call *c, const VrcnnPlane *dst, const VrcnnConstPlane *src, const uint8_t *unit)
{
    VrcnnUnits units = {(int)c->unit_size, (int)c->networks, {0}, (int)c->scale, unit};
    const int index = (int)c->index, scale = (int)c->scale;
    for (int i = 0; i < VRCNN_MAX_CHOICES; i++)
        units.index[i] = (int)c->unit_index[i];
    switch (c->op) {
    case PICTURE: return vrcnn_filter_picture(context, index, scale, dst, src);
    case REGION: return vrcnn_filter_region(context, index, scale, dst, src, (int)c->x, (int)c->y, (int)c->width, (int)c->height);
    case UNITS: return vrcnn_filter_units(context, &units, dst, src);
    default:
        return vrcnn_filter_layer(context, index, (int)c->layer, dst->data, dst->stride, src, (int)c->x, (int)c->y, (int)c->width,
                                  (int)c->height);
    }
}

/* A map of exactly as many units as there are, and whether one of them is out of range; NULL if there cannot be one. */
static uint8_t *take_units(Input *in, const Call *c, Answers *answers)
{
    if (c->op != UNITS || *answers)
        return get(1);
    const size_t count = (size_t)(((c->src_width - 1) / c->unit_size + 1) * ((c->src_height - 1) / c->unit_size + 1));
    uint8_t *unit = get(count);
    for (size_t i = 0; i < count; i++) {
        const int drawn = pick(in, 0, 255);
        unit[i] = (uint8_t)(drawn < 250 ? drawn % (int)(c->networks + 1) : drawn);
        *answers |= answer(unit[i] > c->networks, VRCNN_ERROR_UNITS);
    }
    return unit;
}

/* The same call with src and dst in one block of memory, dst somewhere in or right after src. */
static void check_overlap(Input *in, VrcnnContext *context, const Call *c, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                          const uint8_t *unit, const uint8_t *first, size_t src_span, const uint8_t *wanted, size_t dst_span)
{
    const size_t apart = (size_t)number(in, 2) % (src_span + 1);
    uint8_t *memory = get(src_span + dst_span);
    VrcnnConstPlane from = *src;
    VrcnnPlane to = *dst;
    memset(memory, GUARD, src_span + dst_span);
    memcpy(memory, first, src_span);
    from.data = memory + ((const uint8_t *)src->data - first);
    to.data = memory + apart +
              (dst->stride < 0 ? (size_t)(c->op == LAYER ? c->height : c->dst_height) - 1 : 0) * ((size_t)0 - (size_t)dst->stride);
    const VrcnnError error = call(context, c, &to, &from, unit);
    MUST(error == (apart < src_span ? VRCNN_ERROR_OVERLAP : VRCNN_OK) && !memcmp(memory, first, src_span));
    MUST(error || !memcmp(memory + apart, wanted, dst_span));
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = {data, data + size};
    size_t src_span, dst_span, src_size, dst_size;
    uint8_t *src_data, *dst_data;
    if (!model)
        set_up();
    int kernel = pick(&in, VRCNN_KERNEL_SCALAR, VRCNN_KERNEL_CUDA - 1);
    VrcnnContext *context = contexts[contexts[kernel][0] ? kernel : VRCNN_KERNEL_SCALAR][pick(&in, 0, 1)];
    Call c = draw_call(&in);
    for (int i = pick(&in, 0, 3); i > 0; i--)
        spoil(&in, &c);
    Answers answers = judge(&c, &src_span, &dst_span);
    const int64_t dst_row = c.op != LAYER ? c.dst_width * c.dst_bytes : dst_span ? c.width * network[c.index].layer[c.layer].outputs : 0;
    if (src_span > MOST_BYTES || dst_span > MOST_BYTES || (!answers && c.src_width * c.src_height > 2 * MOST_AREA)) {
        if (!answers)
            return 0;                                                             /* right, but there is no such memory */
        answers |= answer(1, VRCNN_ERROR_PLANE) | answer(1, VRCNN_ERROR_OVERLAP); /* also so, as far as pointers can tell */
        src_span = dst_span = 0;
    }
    const int64_t src_row = c.src_width * c.src_bytes;
    uint8_t *src_memory = take_plane(&in, src_span, src_span ? c.src_stride : 0, src_row, &src_size, &src_data);
    uint8_t *dst_memory = take_plane(&in, dst_span, dst_span ? c.dst_stride : 0, dst_row, &dst_size, &dst_data);
    uint8_t *unit = take_units(&in, &c, &answers), *wanted = get(dst_size), *original = get(src_size);
    for (size_t i = 0; i < src_size; i++)
        src_memory[i] = left(&in) ? (uint8_t)number(&in, 1) : (uint8_t)(i * 7 + i / 64);
    memset(dst_memory, GUARD, dst_size);
    memset(wanted, GUARD, dst_size);
    memcpy(original, src_memory, src_size);
    const VrcnnConstPlane src = {src_data,          (ptrdiff_t)c.src_stride, (int)c.src_width,
                                 (int)c.src_height, (int)c.src_bit_depth,    (int)c.src_bytes};
    const VrcnnPlane dst = {dst_data, (ptrdiff_t)c.dst_stride, (int)c.dst_width, (int)c.dst_height, (int)c.dst_bit_depth, (int)c.dst_bytes};
    const VrcnnError error = call(context, &c, &dst, &src, unit);
    MUST(answers ? error < 0 && answers >> -(int)error & 1 : !error);
    if (!error)
        expect(&c, &src, unit, wanted + (dst_data - dst_memory));
    MUST(!memcmp(wanted, dst_memory, dst_size) && !memcmp(original, src_memory, src_size));
    if (!error)
        check_overlap(&in, context, &c, &dst, &src, unit, src_memory + (src_size - src_span), src_span, wanted + (dst_size - dst_span),
                      dst_span);
    free(src_memory);
    free(dst_memory);
    free(unit);
    free(wanted);
    free(original);
    return 0;
}
