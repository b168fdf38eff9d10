/* Fuzz target: pictures of three planes, their regions, unit maps and hidden layers, with networks of both kinds. As fuzz_picture.c: a call
 * is drawn that is right, then some of its numbers are replaced by any others; a right one gives the samples that the scalar kernel gives
 * for the whole picture and writes nothing else, a wrong one writes nothing.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "calls.h"

enum { NETWORKS = 4, PLANES = 3, MOST_FIELDS = 80 };

typedef enum Op { PICTURE, REGION, UNITS, LAYER, OPS } Op;

typedef struct Place {
    int64_t is_there, stride, width, height, bit_depth, bytes;
} Place;

typedef struct Weights2 {
    int64_t luma[VRCNN_MAX_HEADS], chroma[VRCNN_MAX_HEADS];
} Weights2;

/* Everything that a call is given, but for pointers. */
typedef struct Call {
    Op op;
    int64_t index, layer;
    Weights2 weights;
    Place src[PLANES], dst[PLANES], values;
    int64_t x, y, width, height;
    int64_t unit_size, filters, unit_index[VRCNN_MAX_CHOICES], has_map[2];
    Weights2 unit_weights[VRCNN_MAX_CHOICES];
} Call;

static VrcnnModel *model;
static TNetwork network[NETWORKS];
static VrcnnContext *contexts[VRCNN_KERNEL_CUDA][2];

static void add_last(TNetwork *n, int k, int q)
{
    const int last = n->layers;
    add_branch(n, last, k, 4 * n->heads, q, 1000, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(n, last, k, 2 * n->heads, q, 700, RANDOM_WEIGHTS, SMALL_BIASES);
}

/* Luma; a residual block; two heads, two additions, other kernels; halo 0. */
static void set_up(void)
{
    seed_random(1);
    network[0] = small_network(22, 0);
    for (int n = 1; n < NETWORKS; n++) {
        network[n].is_joint = 1;
        network[n].heads = n == 2 ? 2 : 1;
        network[n].qp = 20 + n;
    }
    for (int l = 0; l < 3; l++)
        add_branch(&network[1], l, 3, 32, l ? 3 : 0, l ? 500 : 900, RANDOM_WEIGHTS, SMALL_BIASES);
    network[1].layer[2].added = 2;
    add_last(&network[1], 3, 6);
    for (int l = 0; l < 4; l++)
        add_branch(&network[2], l, l == 1 ? 5 : l == 2 ? 1 : 3, 16, l ? 2 : 0, l ? 500 : 900, RANDOM_WEIGHTS, SMALL_BIASES);
    network[2].layer[1].added = 1;
    network[2].layer[3].added = 3;
    add_last(&network[2], 5, 6);
    add_branch(&network[3], 0, 1, 48, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_last(&network[3], 1, 5);
    model = load(network, NETWORKS);
    for (int kernel = VRCNN_KERNEL_SCALAR; kernel < VRCNN_KERNEL_CUDA; kernel++)
        for (int i = 0; i < 2 && vrcnn_kernel_supported(kernel); i++)
            contexts[kernel][i] = open_context(model, kernel, i ? 3 : 1);
}

/* ---- the call ---- */

static Weights2 draw_weights(Input *in, int64_t index)
{
    const int least = network[index].heads > 1 ? -5 : 1;
    Weights2 w;
    for (int i = 0; i < VRCNN_MAX_HEADS; i++) {
        w.luma[i] = pick(in, least, 10);
        w.chroma[i] = pick(in, least, 10);
    }
    return w;
}

static void draw_plane(Input *in, Place *p, int64_t width, int64_t height, int64_t bit_depth)
{
    p->is_there = 1;
    p->width = width;
    p->height = height;
    p->bit_depth = bit_depth;
    p->bytes = bit_depth > 8 ? 2 : pick(in, 1, 2);
    p->stride = (width * p->bytes + pick(in, 0, 9)) * (pick(in, 0, 1) ? -1 : 1);
}

static Call draw_call(Input *in)
{
    Call c = {0};
    c.op = (Op)pick(in, 0, OPS - 1);
    c.index = pick(in, 0, NETWORKS - 1);
    c.weights = draw_weights(in, c.index);
    c.layer = pick(in, 0, network[c.index].layers - 2);
    const int is_joint = network[c.index].is_joint, site = is_joint ? 2 : 1;
    const int width = pick(in, 0, 3) ? pick(in, 1, 90) : pick(in, 1, 700),
              height = pick(in, 1, MOST_AREA / width < 90 ? MOST_AREA / width : 90);
    const int depth = pick(in, 8, 10), chroma_depth = pick(in, 8, 10), has_chroma = pick(in, 0, 7) > 0, written = pick(in, 1, 7);
    for (int i = 0; i < PLANES; i++) {
        const int w = i ? (width + 1) / 2 : width, h = i ? (height + 1) / 2 : height, d = i ? chroma_depth : depth;
        draw_plane(in, c.src + i, w, h, d);
        draw_plane(in, c.dst + i, w, h, d);
        c.src[i].is_there = !i || has_chroma;
        c.dst[i].is_there = c.src[i].is_there && written >> i & 1;
    }
    if (!has_chroma)
        c.dst[0].is_there = 1;
    const int across = c.op == LAYER ? (width + site - 1) / site : width, down = c.op == LAYER ? (height + site - 1) / site : height;
    c.x = pick(in, 0, across - 1);
    c.y = pick(in, 0, down - 1);
    c.width = pick(in, 1, across - (int)c.x);
    c.height = pick(in, 1, down - (int)c.y);
    if (c.op == REGION && is_joint) { /* whole sites, but at the picture's right and bottom */
        c.width += c.x & 1, c.height += c.y & 1;
        c.x &= ~1, c.y &= ~1;
        c.width += (c.width & 1) && c.x + c.width < width;
        c.height += (c.height & 1) && c.y + c.height < height;
    }
    draw_plane(in, &c.values, c.width * network[c.index].layer[c.layer].outputs, c.height, 8);
    c.values.bytes = 1;
    c.values.stride = (c.values.width + pick(in, 0, 9)) * (pick(in, 0, 1) ? -1 : 1);
    c.unit_size = 64 << pick(in, 0, 3);
    c.filters = pick(in, 1, VRCNN_MAX_CHOICES);
    for (int i = 0; i < VRCNN_MAX_CHOICES; i++) {
        c.unit_index[i] = pick(in, 0, NETWORKS - 1);
        c.unit_weights[i] = draw_weights(in, c.unit_index[i]);
    }
    const int maps = pick(in, 1, 3);
    c.has_map[0] = maps & 1;
    c.has_map[1] = maps >> 1;
    return c;
}

/* The fields that may be spoiled; *strides: how many of them, the first ones, are strides. */
static int list_fields(Call *c, int64_t *fields[MOST_FIELDS], int *strides)
{
    int count = 0;
    for (int i = 0; i < PLANES; i++) {
        fields[count++] = &c->src[i].stride;
        fields[count++] = &c->dst[i].stride;
    }
    fields[count++] = &c->values.stride;
    *strides = count;
    for (int i = 0; i < PLANES; i++) {
        int64_t *const those[] = {&c->src[i].is_there, &c->src[i].width, &c->src[i].height, &c->src[i].bit_depth, &c->src[i].bytes,
                                  &c->dst[i].is_there, &c->dst[i].width, &c->dst[i].height, &c->dst[i].bit_depth, &c->dst[i].bytes};
        for (size_t k = 0; k < sizeof those / sizeof *those; k++)
            fields[count++] = those[k];
    }
    int64_t *const others[] = {
        &c->index,   &c->layer,  &c->x,          &c->y,           &c->width,           &c->height,        &c->unit_size,
        &c->filters, c->has_map, c->has_map + 1, c->weights.luma, c->weights.luma + 1, c->weights.chroma, c->weights.chroma + 1};
    for (size_t k = 0; k < sizeof others / sizeof *others; k++)
        fields[count++] = others[k];
    for (int i = 0; i < VRCNN_MAX_CHOICES; i++) {
        fields[count++] = c->unit_index + i;
        fields[count++] = c->unit_weights[i].luma;
        fields[count++] = c->unit_weights[i].chroma + 1;
    }
    return count;
}

static void spoil(Input *in, Call *c)
{
    int64_t *fields[MOST_FIELDS];
    int strides;
    const int count = list_fields(c, fields, &strides), i = pick(in, 0, count - 1);
    *fields[i] = other_number(in, *fields[i], i < strides);
    for (int p = 0; p < PLANES; p++) { /* 12 bits, which only some of the networks filter, are not tried here */
        c->src[p].bit_depth -= c->src[p].bit_depth == 12;
        c->dst[p].bit_depth -= c->dst[p].bit_depth == 12;
    }
}

/* ---- what it deserves ---- */

static int is_choice(int64_t index)
{
    return index >= 0 && index < NETWORKS;
}

static int is_joint(int64_t index)
{
    return is_choice(index) && network[index].is_joint;
}

static Answers judge_filter(int64_t index, const Weights2 *w)
{
    if (!is_choice(index))
        return answer(1, VRCNN_ERROR_INDEX);
    const int heads = network[index].is_joint ? network[index].heads : 1, least = heads > 1 ? -5 : 1;
    int is_wrong = 0;
    for (int i = 0; i < heads; i++)
        is_wrong |= w->luma[i] < least || w->luma[i] > 10 || (network[index].is_joint && (w->chroma[i] < least || w->chroma[i] > 10));
    return answer(is_wrong, VRCNN_ERROR_SCALE);
}

static int are_alike(const Place *a, const Place *b)
{
    return a->width == b->width && a->height == b->height && a->bit_depth == b->bit_depth;
}

static Answers judge_place(size_t *span, const Place *p)
{
    *span = 0;
    return p->is_there ? judge_plane(span, p->stride, p->width, p->height, p->bit_depth, p->bytes) : 0;
}

static Answers judge_src(const Call *c, size_t span[PLANES])
{
    Answers a = answer(!c->src[0].is_there, VRCNN_ERROR_ARGUMENT);
    for (int i = 0; i < PLANES; i++)
        a |= judge_place(span + i, c->src + i);
    const Place *luma = c->src, *cb = c->src + 1, *cr = c->src + 2;
    if (!cb->is_there && !cr->is_there)
        return a;
    a |= answer(!cb->is_there || !cr->is_there, VRCNN_ERROR_ARGUMENT);
    return a | answer(!are_alike(cb, cr) || cb->width != (luma->width + 1) / 2 || cb->height != (luma->height + 1) / 2, VRCNN_ERROR_PLANE);
}

static Answers judge_dst(const Call *c, size_t span[PLANES])
{
    Answers a = answer(!c->dst[0].is_there && !c->dst[1].is_there && !c->dst[2].is_there, VRCNN_ERROR_ARGUMENT);
    for (int i = 0; i < PLANES; i++) {
        a |= judge_place(span + i, c->dst + i);
        a |= answer(c->dst[i].is_there && (!c->src[i].is_there || !are_alike(c->src + i, c->dst + i)), VRCNN_ERROR_PLANE);
    }
    return a;
}

static Answers judge_region(const Call *c, int64_t width, int64_t height)
{
    const int is_outside = c->x < 0 || c->y < 0 || c->width < 1 || c->height < 1 || c->x + c->width > width || c->y + c->height > height;
    const int is_odd =
        c->op == REGION && is_joint(c->index) &&
        ((c->x & 1) || (c->y & 1) || ((c->width & 1) && c->x + c->width != width) || ((c->height & 1) && c->y + c->height != height));
    return answer(is_outside || is_odd, VRCNN_ERROR_REGION);
}

static Answers judge_units(const Call *c)
{
    const int64_t size = c->unit_size, n = c->filters;
    Answers a = answer(!c->has_map[0] && !c->has_map[1], VRCNN_ERROR_ARGUMENT);
    a |= answer((size != 64 && size != 128 && size != 256 && size != 512) || n < 1 || n > VRCNN_MAX_CHOICES, VRCNN_ERROR_UNITS);
    for (int i = 0; i < VRCNN_MAX_CHOICES && i < n; i++)
        a |= judge_filter(c->unit_index[i], c->unit_weights + i);
    return a;
}

/* All that is wrong with a call, but for overlap and what the units of its maps choose. spans: of src, of dst, of the values. */
static Answers judge(const Call *c, size_t spans[2 * PLANES + 1])
{
    memset(spans, 0, (2 * PLANES + 1) * sizeof *spans);
    Answers a = judge_src(c, spans);
    if (c->op == LAYER) {
        const int site = is_joint(c->index) ? 2 : 1,
                  is_none = !is_choice(c->index) || c->layer < 0 || c->layer > network[c->index].layers - 2;
        const Answers region = judge_region(c, (c->src[0].width + site - 1) / site, (c->src[0].height + site - 1) / site);
        a |= region | answer(!is_choice(c->index), VRCNN_ERROR_INDEX) | answer(is_none, VRCNN_ERROR_LAYER);
        if (!is_none && !region)
            spans[2 * PLANES] = span_of(c->values.stride, c->width * network[c->index].layer[c->layer].outputs, c->height);
        return a | answer(!spans[2 * PLANES], VRCNN_ERROR_PLANE);
    }
    a |= judge_dst(c, spans + PLANES);
    if (c->op == UNITS)
        return a | judge_units(c);
    a |= judge_filter(c->index, &c->weights);
    a |= answer(is_choice(c->index) && !is_joint(c->index) && (c->dst[1].is_there || c->dst[2].is_there), VRCNN_ERROR_KIND);
    return c->op == REGION ? a | judge_region(c, c->src[0].width, c->src[0].height) : a;
}

/* ---- what is expected ---- */

static VrcnnWeights weights_of(const Weights2 *w)
{
    const VrcnnWeights weights = {{(int)w->luma[0], (int)w->luma[1]}, {(int)w->chroma[0], (int)w->chroma[1]}};
    return weights;
}

/* The whole picture with the scalar kernel, planes without gaps. */
static void filter_whole(uint16_t *whole[PLANES], const VrcnnConstPlane src[PLANES], int index, const Weights2 *w)
{
    VrcnnPlane dst[PLANES] = {{0}};
    const VrcnnWeights weights = weights_of(w);
    for (int i = 0; i < PLANES; i++) {
        whole[i] = NULL;
        if (!src[i].data || (i && !network[index].is_joint))
            continue;
        whole[i] = get((size_t)src[i].width * (size_t)src[i].height * sizeof *whole[i]);
        const VrcnnPlane plane = {whole[i], src[i].width * (ptrdiff_t)2, src[i].width, src[i].height, src[i].bit_depth, 2};
        dst[i] = plane;
    }
    MUST(!vrcnn_filter_planes(contexts[VRCNN_KERNEL_SCALAR][0], index, &weights, dst, src));
}

/* Which filter a sample has, 0: none. */
static int choice_at(const Call *c, uint8_t *const unit[2], int plane, int64_t x, int64_t y)
{
    const int half = plane > 0; /* in luma samples the first of its site */
    x <<= half, y <<= half;
    if (c->op == REGION)
        return x >= c->x && x < c->x + c->width && y >= c->y && y < c->y + c->height;
    if (c->op != UNITS)
        return 1;
    const uint8_t *map = c->has_map[half] ? unit[half] : NULL;
    return map ? map[y / c->unit_size * ((c->src[0].width - 1) / c->unit_size + 1) + x / c->unit_size] : 0;
}

/* Writes the samples that a plane must have over the guards in `wanted`, where its first row begins. */
static void expect_plane(const Call *c, uint8_t *const unit[2], int plane, uint16_t *whole[][PLANES], uint8_t *wanted)
{
    const Place *p = c->dst + plane;
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++) {
            const int choice = choice_at(c, unit, plane, x, y);
            if (!choice)
                continue;
            const uint16_t sample = whole[choice - 1][plane][y * p->width + x];
            uint8_t *to = wanted + y * p->stride + x * p->bytes;
            if (p->bytes == 1)
                *to = (uint8_t)sample;
            else
                memcpy(to, &sample, sizeof sample);
        }
}

static void expect_layer(const Call *c, const VrcnnConstPlane src[PLANES], uint8_t *wanted)
{
    const int site = is_joint(c->index) ? 2 : 1, channels = network[c->index].layer[c->layer].outputs;
    const int width = (src->width + site - 1) / site, height = (src->height + site - 1) / site;
    const ptrdiff_t row = (ptrdiff_t)width * channels;
    uint8_t *values = get((size_t)row * (size_t)height);
    MUST(!vrcnn_filter_planes_layer(contexts[VRCNN_KERNEL_SCALAR][0], (int)c->index, (int)c->layer, values, row, src, 0, 0, width, height));
    for (int64_t y = 0; y < c->height; y++)
        memcpy(wanted + y * c->values.stride, values + (c->y + y) * row + c->x * channels, (size_t)(c->width * channels));
    free(values);
}

/* ---- memory ---- */

typedef struct Block {
    uint8_t *memory, *data, *copy; /* data: the first row; copy: what it must look like afterwards */
    size_t size, span;
} Block;

static Block take_block(Input *in, size_t span, int64_t stride, int64_t row)
{
    Block b = {.span = span};
    b.memory = take_plane(in, span, span ? stride : 0, row, &b.size, &b.data);
    b.copy = get(b.size);
    return b;
}

static void free_block(Block *b)
{
    free(b->memory);
    free(b->copy);
}

/* Maps of exactly as many units as there are, one of them for chroma, and what is wrong with their choices. */
static void take_units(Input *in, const Call *c, uint8_t *unit[2], Answers *answers)
{
    size_t count = 1;
    int chosen = 0;
    if (c->op == UNITS && !*answers)
        count = (size_t)(((c->src[0].width - 1) / c->unit_size + 1) * ((c->src[0].height - 1) / c->unit_size + 1));
    for (int k = 0; k < 2; k++) {
        unit[k] = get(count);
        for (size_t i = 0; i < count; i++) {
            const int drawn = pick(in, 0, 255);
            unit[k][i] = (uint8_t)(drawn < 250 && c->filters > 0 && c->filters < 4 ? drawn % (int)(c->filters + 1) : drawn);
        }
    }
    if (c->op != UNITS || *answers)
        return;
    Answers found = 0;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < count && c->has_map[k]; i++) {
            found |= answer(unit[k][i] > c->filters, VRCNN_ERROR_UNITS);
            chosen = unit[k][i] <= c->filters ? unit[k][i] : 0;
            found |= answer(k && chosen && !is_joint(c->unit_index[chosen - 1]), VRCNN_ERROR_KIND);
        }
    *answers |= found;
}

static VrcnnError call(VrcnnContext *context, const Call *c, const VrcnnPlane dst[PLANES], const VrcnnConstPlane src[PLANES],
                       uint8_t *values, uint8_t *const unit[2])
{
    const VrcnnWeights weights = weights_of(&c->weights);
    VrcnnPlaneUnits units = {.unit_size = (int)c->unit_size,
                             .filters = (int)c->filters,
                             .luma = c->has_map[0] ? unit[0] : NULL,
                             .chroma = c->has_map[1] ? unit[1] : NULL};
    for (int i = 0; i < VRCNN_MAX_CHOICES; i++) {
        units.index[i] = (int)c->unit_index[i];
        units.weights[i] = weights_of(c->unit_weights + i);
    }
    switch (c->op) {
    case PICTURE: return vrcnn_filter_planes(context, (int)c->index, &weights, dst, src);
    case REGION:
        return vrcnn_filter_planes_region(context, (int)c->index, &weights, dst, src, (int)c->x, (int)c->y, (int)c->width, (int)c->height);
    case UNITS: return vrcnn_filter_planes_units(context, &units, dst, src);
    default:
        return vrcnn_filter_planes_layer(context, (int)c->index, (int)c->layer, values, (ptrdiff_t)c->values.stride, src, (int)c->x,
                                         (int)c->y, (int)c->width, (int)c->height);
    }
}

/* The same call with a plane of dst somewhere in the memory of one of src, which needs no more than that. */
static void check_overlap(Input *in, VrcnnContext *context, const Call *c, const VrcnnPlane dst[PLANES], const VrcnnConstPlane src[PLANES],
                          Block blocks[2 * PLANES + 1], uint8_t *const unit[2])
{
    const int to = pick(in, 0, PLANES - 1), from = pick(in, 0, PLANES - 1);
    VrcnnPlane other[PLANES];
    memcpy(other, dst, sizeof other);
    if (c->op == LAYER || !dst[to].data || !src[from].data)
        return;
    /* The spans touch whatever lies between the rows. */
    Block *b = blocks + from;
    uint8_t *first = b->memory + (b->size - b->span);
    const size_t apart = (size_t)number(in, 2) % b->span, span = blocks[PLANES + to].span;
    uint8_t *memory = get(b->span + span);
    memset(memory, GUARD, b->span + span);
    memcpy(memory, first, b->span);
    uint8_t *before = get(b->span + span);
    memcpy(before, memory, b->span + span);
    VrcnnConstPlane reading[PLANES];
    memcpy(reading, src, sizeof reading);
    reading[from].data = memory + ((const uint8_t *)src[from].data - first);
    other[to].data = memory + apart + (dst[to].stride < 0 ? span - (size_t)(dst[to].width * dst[to].bytes_per_sample) : 0);
    MUST(call(context, c, other, reading, NULL, unit) == VRCNN_ERROR_OVERLAP);
    MUST(!memcmp(memory, before, b->span + span));
    free(before);
    free(memory);
}

static int has_memory(const size_t spans[2 * PLANES + 1])
{
    for (int i = 0; i < 2 * PLANES + 1; i++)
        if (spans[i] > MOST_BYTES)
            return 0;
    return 1;
}

/* Fills the blocks: samples into those of src, guards into the others. */
static void fill(Input *in, Block blocks[2 * PLANES + 1])
{
    for (int i = 0; i < 2 * PLANES + 1; i++) {
        Block *b = blocks + i;
        memset(b->memory, GUARD, b->size);
        for (size_t k = 0; k < b->size && i < PLANES; k++)
            b->memory[k] = left(in) ? (uint8_t)number(in, 1) : (uint8_t)(k * 7 + k / 64 + (size_t)i);
        memcpy(b->copy, b->memory, b->size);
    }
}

/* Puts into the blocks' copies what a right call writes. */
static void expect(const Call *c, const VrcnnConstPlane src[PLANES], uint8_t *const unit[2], Block blocks[2 * PLANES + 1])
{
    uint16_t *whole[VRCNN_MAX_CHOICES][PLANES] = {{NULL}};
    if (c->op == LAYER) {
        Block *b = blocks + 2 * PLANES;
        expect_layer(c, src, b->copy + (b->data - b->memory));
        return;
    }
    for (int i = 0; i < (c->op == UNITS ? c->filters : 1); i++)
        filter_whole(whole[i], src, (int)(c->op == UNITS ? c->unit_index[i] : c->index),
                     c->op == UNITS ? c->unit_weights + i : &c->weights);
    for (int i = 0; i < PLANES; i++)
        if (c->dst[i].is_there) {
            Block *b = blocks + PLANES + i;
            expect_plane(c, unit, i, whole, b->copy + (b->data - b->memory));
        }
    for (int i = 0; i < VRCNN_MAX_CHOICES; i++)
        for (int k = 0; k < PLANES; k++)
            free(whole[i][k]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = {data, data + size};
    size_t spans[2 * PLANES + 1];
    Block blocks[2 * PLANES + 1];
    uint8_t *unit[2];
    VrcnnConstPlane src[PLANES] = {{0}};
    VrcnnPlane dst[PLANES] = {{0}};
    if (!model)
        set_up();
    const int kernel = pick(&in, VRCNN_KERNEL_SCALAR, VRCNN_KERNEL_CUDA - 1);
    VrcnnContext *context = contexts[contexts[kernel][0] ? kernel : VRCNN_KERNEL_SCALAR][pick(&in, 0, 1)];
    Call c = draw_call(&in);
    for (int i = pick(&in, 0, 3); i > 0; i--)
        spoil(&in, &c);
    Answers answers = judge(&c, spans);
    if (!has_memory(spans) || (!answers && c.src[0].width * c.src[0].height > 2 * MOST_AREA)) {
        if (!answers)
            return 0;                                                             /* right, but there is no such memory */
        answers |= answer(1, VRCNN_ERROR_PLANE) | answer(1, VRCNN_ERROR_OVERLAP); /* also so, as far as pointers can tell */
        memset(spans, 0, sizeof spans);
    }
    for (int i = 0; i < 2 * PLANES + 1; i++) {
        const Place *p = i < PLANES ? c.src + i : i < 2 * PLANES ? c.dst + (i - PLANES) : &c.values;
        const int64_t row = i < 2 * PLANES ? p->width * p->bytes : spans[i] ? c.width * network[c.index].layer[c.layer].outputs : 0;
        blocks[i] = take_block(&in, spans[i], p->stride, row);
        const VrcnnPlane plane = {blocks[i].data, (ptrdiff_t)p->stride, (int)p->width, (int)p->height, (int)p->bit_depth, (int)p->bytes};
        if (i < PLANES && p->is_there)
            src[i] = constant(&plane);
        else if (i >= PLANES && i < 2 * PLANES && p->is_there)
            dst[i - PLANES] = plane;
    }
    take_units(&in, &c, unit, &answers);
    fill(&in, blocks);
    const VrcnnError error = call(context, &c, dst, src, blocks[2 * PLANES].data, unit);

    MUST(answers ? error < 0 && answers >> -(int)error & 1 : !error);
    if (!error)
        expect(&c, src, unit, blocks);
    for (int i = 0; i < 2 * PLANES + 1; i++)
        MUST(!memcmp(blocks[i].memory, blocks[i].copy, blocks[i].size));
    if (!error)
        check_overlap(&in, context, &c, dst, src, blocks, unit);
    for (int i = 0; i < 2 * PLANES + 1; i++)
        free_block(blocks + i);
    free(unit[0]);
    free(unit[1]);
    return 0;
}
