/* Tests of the row-streaming engine: test_engine [SEED]. Its kernels are the scalar ones behind a watchman, who looks at every pointer
 * that they are given and uses every right that conv.h gives a kernel.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "support.h"

/* ---- the watchman ---- */

static VrcnnKernelTable scalar;
static const VrcnnPipeline *pipeline;
static const uint8_t *memory, *zeros;
static int is_wrong;

static size_t up_to_columns(int columns)
{
    return (size_t)((columns + VRCNN_COLUMNS - 1) / VRCNN_COLUMNS) * VRCNN_COLUMNS;
}

static int is_inside(const uint8_t *begin, const uint8_t *end, const uint8_t *from, size_t size)
{
    return begin >= from && end <= from + size;
}

/* The row of ring i that the bytes begin..end lie in, -1 for the row of zeros; -2 if they lie in no single one. */
static int row_of(int i, const uint8_t *begin, const uint8_t *end)
{
    const uint8_t *ring = memory + pipeline->ring_at[i];
    for (int row = 0; row < pipeline->ring_rows[i]; row++)
        if (is_inside(begin, end, ring + (size_t)row * pipeline->row_bytes[i], pipeline->row_bytes[i]))
            return row;
    return i > 0 && is_inside(begin, end, zeros, pipeline->zeros) ? -1 : -2;
}

/* What may be read lies in a row of the layer's ring, each in another one, with all of the slack. */
static void watch_sources(const uint8_t *const *src, int columns, const VrcnnConvLayer *layer)
{
    const int i = (int)(layer - pipeline->layer);
    const size_t pitch = (size_t)layer->src_pitch, slack = VRCNN_SLACK * pitch;
    unsigned seen = 0;
    for (int j = 0; j < VRCNN_ROWS + 2 * layer->radius; j++) {
        const int row = row_of(i, src[j] - slack, src[j] + up_to_columns(columns) * pitch + slack);
        is_wrong |= row == -2 || (row >= 0 && seen >> row & 1);
        if (row >= 0)
            seen |= 1u << row;
    }
}

/* What may be written lies in a row of the next layer's ring. Writes rubbish wherever a kernel may: beyond the columns that are wanted, and
 * between a sample's channels and its pitch. */
static void spoil_rows(uint8_t *const *dst, int columns, const VrcnnConvLayer *layer)
{
    const int i = (int)(layer - pipeline->layer) + 1;
    const size_t pitch = (size_t)layer->dst_pitch, used = (size_t)layer->outputs, all = up_to_columns(columns);
    for (int j = 0; j < VRCNN_ROWS; j++) {
        is_wrong |= row_of(i, dst[j], dst[j] + all * pitch) < 0;
        for (size_t x = 0; x < all; x++)
            for (size_t c = x < (size_t)columns ? used : 0; c < pitch; c++)
                dst[j][x * pitch + c] = (uint8_t)random_bits();
    }
}

static void conv_first(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    watch_sources(src, columns, layer);
    scalar.conv_first(dst, src, columns, layer, scratch);
    spoil_rows(dst, columns, layer);
}

static void conv_hidden(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                        const VrcnnConvLayer *layer, void *scratch)
{
    watch_sources(src, columns, layer);
    scalar.conv_hidden(dst, src, added, columns, layer, scratch);
    spoil_rows(dst, columns, layer);
}

static void conv_last(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int shift, int multiplier,
                      void *scratch)
{
    const int16_t *residual = (const int16_t *)(const void *)(memory + pipeline->residual_at);
    watch_sources(src, columns, layer);
    scalar.conv_last(dst, src, columns, layer, shift, multiplier, scratch);
    for (int j = 0; j < VRCNN_ROWS; j++) {
        is_wrong |= dst[j] < residual + j * pipeline->columns ||
                    dst[j] + up_to_columns(columns) > residual + (ptrdiff_t)(j + 1) * pipeline->columns;
        for (size_t x = (size_t)columns; x < up_to_columns(columns); x++)
            dst[j][x] = (int16_t)random_bits();
    }
}

/* ---- pipelines ---- */

static void *get_aligned(size_t size, void **block)
{
    *block = get(size + 63);
    return (uint8_t *)*block + (64 - (uintptr_t)*block % 64) % 64;
}

/* A network made ready for a table; blocks[l]: what holds the weights of layer l. */
static void prepare(VrcnnPipeline *p, const VrcnnKernelTable *table, const TNetwork *n, void **blocks)
{
    memset(p, 0, sizeof *p);
    p->layers = n->layers;
    for (int l = 0; l < n->layers; l++) {
        VrcnnConvLayer *to = p->layer + l;
        const TLayer *from = n->layer + l;
        const int8_t *weights[MAX_BRANCHES];
        const int32_t *bias[MAX_BRANCHES];
        const int multiple = table->channel_multiple;
        to->inputs = from->branch[0].inputs;
        to->outputs = from->outputs;
        to->branches = from->branches;
        to->src_pitch = l ? (to->inputs + multiple - 1) / multiple * multiple : 1;
        to->dst_pitch = l < n->layers - 1 ? (to->outputs + multiple - 1) / multiple * multiple : 0;
        for (int b = 0; b < from->branches; b++) {
            const TBranch *branch = from->branch + b;
            const VrcnnConv conv = {branch->k, branch->outputs, branch->s1, branch->m};
            to->conv[b] = conv;
            to->radius = branch->k / 2 > to->radius ? branch->k / 2 : to->radius;
            weights[b] = branch->weights;
            bias[b] = branch->bias;
        }
        void *packed = get_aligned(table->packed_size(to), blocks + l);
        table->pack(packed, to, weights, bias);
        to->packed = packed;
    }
    vrcnn_pipeline_plan(p, table);
}

/* ---- tests ---- */

/* No strip is wider than what the rings have room for, none is empty, and they fill the region. */
static void check_strips(const VrcnnPipeline *p)
{
    for (int width = 1; width < 3 * p->strip_columns + 50; width++)
        for (int x = 0; x < 20; x++) {
            VrcnnRegion rest = {x, 0, width, 1};
            while (rest.width > 0) {
                const int strip = vrcnn_strip_width(p, rest);
                if (!check(strip >= 1 && strip <= p->strip_columns && strip <= rest.width, __FILE__, __LINE__,
                           "strip of %d columns at %d, %d left, at most %d fit", strip, rest.x, rest.width, p->strip_columns))
                    return;
                rest.x += strip;
                rest.width -= strip;
            }
        }
}

/* A picture in bands of rows and these in strips, in memory of exactly the planned size. */
static void check_network(const TNetwork *n, int width, int height, int block_columns, int channel_multiple)
{
    VrcnnKernelTable table = scalar;
    VrcnnPipeline p;
    void *blocks[VRCNN_MAX_LAYERS], *memory_block, *zeros_block;
    table.conv_first = conv_first;
    table.conv_hidden = conv_hidden;
    table.conv_last = conv_last;
    table.block_columns = block_columns;
    table.channel_multiple = channel_multiple;
    prepare(&p, &table, n, blocks);
    check_strips(&p);
    uint8_t *const work_memory = get_aligned(p.memory, &memory_block), *const no_samples = get_aligned(p.zeros, &zeros_block);
    uint16_t *samples = make_samples(width, height, 8, RANDOM_SAMPLES), *wanted = get((size_t)(width * height) * sizeof *wanted);
    uint16_t *got = get((size_t)(width * height) * sizeof *got);
    const VrcnnPlane dst = {got, (ptrdiff_t)width * 2, width, height, 8, 2}, from = {samples, (ptrdiff_t)width * 2, width, height, 8, 2};
    const VrcnnConstPlane src[3] = {constant(&from), {0}, {0}};
    const VrcnnWeights weights = {{8}, {0}};
    pipeline = &p;
    memory = work_memory;
    zeros = no_samples;
    memset(no_samples, 0, p.zeros);
    for (size_t i = 0; i < p.memory; i++)
        work_memory[i] = (uint8_t)random_bits();
    reference_filter(n, 8, wanted, samples, width, height, 8);
    memset(got, 0xff, (size_t)(width * height) * sizeof *got);
    is_wrong = 0;
    for (int y = 0, rows; y < height; y += rows) {
        rows = between(1, height - y);
        VrcnnRegion rest = {0, y, width, rows};
        while (rest.width > 0) {
            VrcnnRegion strip = rest;
            strip.width = vrcnn_strip_width(&p, rest);
            const VrcnnWork work = {
                .table = &table, .pipeline = &p, .src = src, .dst = &dst, .writes_luma = 1, .region = strip, .weights = &weights};
            vrcnn_engine_run(&work, work_memory, no_samples);
            rest.x += strip.width;
            rest.width -= strip.width;
        }
    }
    check(!is_wrong, __FILE__, __LINE__, "%dx%d, %d layers: a kernel was given memory beyond its rows and their slack", width, height,
          n->layers);
    check(!memcmp(got, wanted, (size_t)(width * height) * sizeof *got), __FILE__, __LINE__, "%dx%d, %d layers, blocks of %d: differs",
          width, height, n->layers, block_columns);
    for (size_t i = 0; i < p.zeros; i++)
        is_wrong |= no_samples[i];
    check(!is_wrong, __FILE__, __LINE__, "the row of zeros was written to");
    for (int l = 0; l < n->layers; l++)
        free(blocks[l]);
    free(memory_block);
    free(zeros_block);
    free(samples);
    free(wanted);
    free(got);
}

/* The library itself, with whatever strips this engine cuts, with every kernel. */
static void check_kernels(const TNetwork *n, int width, int height)
{
    VrcnnModel *model = load(n, 1);
    uint16_t *samples = make_samples(width, height, 10, RANDOM_SAMPLES), *wanted = get((size_t)(width * height) * sizeof *wanted);
    uint16_t *got = get((size_t)(width * height) * sizeof *got);
    const VrcnnPlane dst = {got, (ptrdiff_t)width * 2, width, height, 10, 2}, from = {samples, (ptrdiff_t)width * 2, width, height, 10, 2};
    const VrcnnConstPlane src = constant(&from);
    reference_filter(n, 5, wanted, samples, width, height, 10);
    for (int kernel = VRCNN_KERNEL_SCALAR; vrcnn_kernel_name(kernel); kernel++)
        for (int threads = 1; threads < 4 && vrcnn_kernel_supported(kernel); threads += 2) {
            VrcnnContext *context = open_context(model, kernel, threads);
            memset(got, 0xff, (size_t)(width * height) * sizeof *got);
            CHECK_ERROR(vrcnn_filter_picture(context, 0, 5, &dst, &src), VRCNN_OK);
            check(!memcmp(got, wanted, (size_t)(width * height) * sizeof *got), __FILE__, __LINE__, "kernel %s, %d threads, %dx%d: differs",
                  vrcnn_kernel_name(kernel), threads, width, height);
            vrcnn_close(context);
        }
    vrcnn_model_free(model);
    free(samples);
    free(wanted);
    free(got);
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);
    seed_random(seed);
    vrcnn_conv_init_c(&scalar);
    for (int round = 0; round < 24; round++) {
        TNetwork n = random_network(between(2, 7), 16 * between(1, 2), RANDOM_WEIGHTS, SMALL_BIASES);
        const int blocks = round % 3 * 16, multiple = 16 << round % 3;
        check_network(&n, between(1, 90), between(1, 30), blocks, multiple);
        if (round < 6)
            check_network(&n, between(657, 1400), between(1, 3), blocks, multiple); /* more than one strip in any case */
        if (round % 4 == 0)
            check_kernels(&n, between(30, 120), between(1, 30));
        free_network(&n);
    }
    return report();
}
