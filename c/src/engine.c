/* The row-streaming engine.
 *
 * Each layer's inputs live in a ring of a few rows. A step adds VRCNN_ROWS rows to every ring: four picture rows are fetched, the first
 * layer makes four rows from what its ring holds, the second four rows from those, and so on; each layer lags behind the one before it by
 * its kernel's radius. No feature map ever exists, so memory does not grow with the height of the picture, and what a layer reads has just
 * been written. What is needed around the rectangle is computed again by its neighbours.
 *
 * Stage 0 fetches samples, stage i runs layer i - 1; "ring i" is between stage i and stage i + 1: the inputs of layer i. A layer that adds
 * an earlier one's output finds it in the ring of that one's successor, which has the rows for it.
 *
 * Networks of the kind joint run on sites of 2x2 luma samples with their chroma: fetching gathers six planes' worth of samples into one
 * row, and the last step scatters the residuals again. Rows, columns and regions are of sites then.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <string.h>

#include "integers.h"
#include "samples.h"

#ifndef VRCNN_WIDEST_STRIP /* tests make it less, to have many strips in small pictures */
#define VRCNN_WIDEST_STRIP 656
#endif

enum {
    ALIGNMENT = 64,
    RING_BYTES = 1 << 20,              /* what the rings of a strip should fit: half of a usual L2 cache */
    WIDEST_STRIP = VRCNN_WIDEST_STRIP, /* wider ones gain nothing */
    NARROWEST_IN_HALO = 16             /* but at least so many times the network's halo, or too much is computed twice */
};

/* What one site is wide and high in luma samples. */
static int site(const VrcnnPipeline *pipeline)
{
    return pipeline->is_joint ? 2 : 1;
}

static int sites_in(const VrcnnPipeline *pipeline, int samples)
{
    return (samples + site(pipeline) - 1) / site(pipeline);
}

/* How far the layers first .. end - 1 reach together. */
static int reach(const VrcnnPipeline *pipeline, int first, int end)
{
    int sum = 0;
    for (int i = first; i < end; i++)
        sum += pipeline->layer[i].radius;
    return sum;
}

static int64_t macs(const VrcnnConvLayer *layer)
{
    int64_t sum = 0;
    for (int b = 0; b < layer->branches; b++)
        sum += (int64_t)layer->conv[b].kernel_size * layer->conv[b].kernel_size * layer->conv[b].outputs * layer->inputs;
    return sum;
}

void vrcnn_pipeline_plan(VrcnnPipeline *pipeline, const VrcnnKernelTable *table)
{
    const int halo = reach(pipeline, 0, pipeline->layers);
    size_t column_bytes = 1, at = 0, scratch = 0; /* the column of residuals is about as much */
    pipeline->heaviest = 0;
    for (int i = 0; i < pipeline->layers; i++) {
        const VrcnnConvLayer *layer = pipeline->layer + i;
        int lag = 2 * layer->radius; /* of the oldest row that is needed behind the newest group */
        for (int j = i; j < pipeline->layers && j < i + VRCNN_MOST_ADDED; j++)
            if (pipeline->layer[j].added && j + 1 - pipeline->layer[j].added == i)
                lag = larger(lag, reach(pipeline, i, j + 1));
        pipeline->ring_rows[i] = VRCNN_ROWS + lag;
        column_bytes += (size_t)pipeline->ring_rows[i] * (size_t)layer->src_pitch;
        if (macs(layer) > macs(pipeline->layer + pipeline->heaviest))
            pipeline->heaviest = i;
    }
    pipeline->strip_columns =
        smaller(WIDEST_STRIP, up_to_multiple(larger((int)(RING_BYTES / column_bytes), NARROWEST_IN_HALO * larger(halo, 4)), VRCNN_COLUMNS));
    pipeline->origin = VRCNN_SLACK + halo;
    pipeline->columns = up_to_multiple(pipeline->origin + pipeline->strip_columns + halo + VRCNN_COLUMNS + VRCNN_SLACK, VRCNN_COLUMNS);
    pipeline->zeros = 0;
    for (int i = 0; i < pipeline->layers; i++) {
        const VrcnnConvLayer *layer = pipeline->layer + i;
        /* An odd number of cache lines more than whole pages, so that the rows of a column do not share cache sets. */
        const size_t page = 4096, skew = 17 * ALIGNMENT;
        const size_t row = (size_t)pipeline->columns * (size_t)layer->src_pitch;
        pipeline->row_bytes[i] = i == 0 ? size_to_multiple(row, ALIGNMENT) : (row + page - 1 - skew) / page * page + skew;
        pipeline->ring_at[i] = at;
        at += (size_t)pipeline->ring_rows[i] * pipeline->row_bytes[i];
        if (i > 0)
            pipeline->zeros = larger_size(pipeline->zeros, row);
        scratch = larger_size(scratch, table->scratch_size(layer, pipeline->columns));
    }
    const size_t columns = (size_t)pipeline->columns;
    pipeline->planes_at = at;
    at += pipeline->is_joint ? size_to_multiple(4 * columns * sizeof(int16_t), ALIGNMENT) : 0;
    pipeline->residual_at = at;
    at += size_to_multiple(VRCNN_ROWS * columns * sizeof(int16_t) * (pipeline->is_joint ? VRCNN_JOINT_OUTPUTS : 1), ALIGNMENT);
    pipeline->scratch_at = at;
    pipeline->memory = at + size_to_multiple(scratch, ALIGNMENT);
}

int vrcnn_strip_width(const VrcnnPipeline *pipeline, VrcnnRegion region)
{
    if (region.width <= pipeline->strip_columns)
        return region.width;
    /* Strips of nearly equal width, and such that the heaviest layer's columns fill its calls. */
    const int strips = (region.width + pipeline->strip_columns - 1) / pipeline->strip_columns;
    const int margin = reach(pipeline, pipeline->heaviest + 1, pipeline->layers);
    const int around = margin + smaller(margin, region.x);
    const int width = up_to_multiple((region.width + strips - 1) / strips + around, VRCNN_COLUMNS) - around;
    return smaller(width, pipeline->strip_columns);
}

/* One stage on one rectangle: the rows and columns of the picture that it must produce, and where it stands. */
typedef struct Stage {
    int top, bottom, left, right; /* needed by later stages, clipped to the picture (stage 0: not clipped) */
    int row;                      /* its next group of rows */
    int column;                   /* the next column in the current group */
} Stage;

typedef struct Run {
    const VrcnnWork *work;
    const VrcnnPipeline *pipeline;
    int layers; /* that are run */
    uint8_t *memory;
    const uint8_t *zeros;
    int width, height; /* of the picture, in sites for joint networks */
    Stage stage[VRCNN_MAX_LAYERS + 1];
    int slot[VRCNN_MAX_LAYERS]; /* in ring i, of the first row of stage i's group */
} Run;

/* Column x of the row that lies `rows` below the current group of stage i, in ring i. */
static uint8_t *in_ring(const Run *run, int i, int rows, int x)
{
    const VrcnnPipeline *pipeline = run->pipeline;
    const int count = pipeline->ring_rows[i];
    const size_t row = (size_t)((run->slot[i] + rows + count) % count);
    const ptrdiff_t column = (ptrdiff_t)x - run->work->region.x + pipeline->origin;
    return run->memory + pipeline->ring_at[i] + row * pipeline->row_bytes[i] + column * pipeline->layer[i].src_pitch;
}

/* Zeroes `count` columns from x on in rows of ring i. */
static void clear_columns(const Run *run, int i, int rows, int x, int count)
{
    for (int row = 0; row < rows; row++)
        memset(in_ring(run, i, row, x), 0, (size_t)count * (size_t)run->pipeline->layer[i].src_pitch);
}

/* The rows of ring i that layer i needs for its next group, at column x; outside the picture they are zeros. */
static void find_sources(const Run *run, int i, int x, const uint8_t **src)
{
    const VrcnnConvLayer *layer = run->pipeline->layer + i;
    const int first = run->stage[i + 1].row - layer->radius;
    /* As far along their row as the samples in the rings: a call's rows all lie alike in cache lines. */
    const uint8_t *zeros = run->zeros + (ptrdiff_t)(x - run->work->region.x + run->pipeline->origin) * layer->src_pitch;
    for (int row = 0; row < VRCNN_ROWS + 2 * layer->radius; row++) {
        /* Ring i's current group begins where layer i's rows end, but for the radius. */
        const int below = first + row - run->stage[i].row;
        src[row] = i > 0 && (first + row < 0 || first + row >= run->height) ? zeros : in_ring(run, i, below, x);
    }
}

/* The rows that layer i adds to those of its next group, at column x; what lies outside the picture is of no account. */
static void find_added(const Run *run, int i, int x, const uint8_t **added)
{
    const int ring = i + 1 - run->pipeline->layer[i].added;
    for (int row = 0; row < VRCNN_ROWS; row++)
        added[row] = in_ring(run, ring, run->stage[i + 1].row + row - run->stage[ring].row, x);
}

/* The columns begin .. end - 1 of hidden layer i's next group, into ring i + 1. */
static void run_hidden(Run *run, int i, const uint8_t *const *src, int begin, int end)
{
    const VrcnnKernelTable *table = run->work->table;
    const VrcnnConvLayer *layer = run->pipeline->layer + i;
    const Stage *stage = run->stage + (i + 1);
    void *scratch = run->memory + run->pipeline->scratch_at;
    const uint8_t *added[VRCNN_ROWS];
    uint8_t *dst[VRCNN_ROWS];
    for (int row = 0; row < VRCNN_ROWS; row++)
        dst[row] = in_ring(run, i + 1, row, begin);
    if (layer->added)
        find_added(run, i, begin, added);
    if (i == 0)
        table->conv_first(dst, src, end - begin, layer, scratch);
    else
        table->conv_hidden(dst, src, layer->added ? added : NULL, end - begin, layer, scratch);
    /* The call may have written beyond the picture's edge, where the next layer must find zeros. */
    if (end == stage->right && end == run->width)
        clear_columns(run, i + 1, VRCNN_ROWS, end, run->pipeline->layer[i + 1].radius);
}

/* What hidden layer i has just computed, to whom it is wanted by. */
static void copy_values(const Run *run, int i, int begin, int end)
{
    const VrcnnWork *work = run->work;
    const Stage *stage = run->stage + (i + 1);
    const int outputs = run->pipeline->layer[i].outputs;
    for (int row = 0; row < VRCNN_ROWS; row++)
        for (int x = begin; x < end && stage->row + row >= stage->top && stage->row + row < stage->bottom; x++)
            memcpy(work->values + (stage->row + row - work->y) * work->values_stride + (ptrdiff_t)(x - work->x) * outputs,
                   in_ring(run, i + 1, row, x), (size_t)outputs);
}

/* The residuals of row y of sites, begin .. end - 1, to the planes that they belong to. */
static void add_sites(const Run *run, int y, int begin, int end, const int16_t *residual)
{
    const VrcnnWork *work = run->work;
    int16_t *row = (int16_t *)(run->memory + run->pipeline->planes_at);
    if (work->writes_luma && work->dst[0].data)
        vrcnn_add_luma_sites(work->dst, work->src, y, begin, end, residual, row);
    for (int plane = 1; plane < 3 && work->writes_chroma; plane++)
        if (work->dst[plane].data)
            vrcnn_add_chroma_sites(work->dst + plane, work->src + plane, y, begin, end, residual + 3 + plane, row);
}

/* (m * c) >> 3: the specification's flooring shift. */
static int weighted(int multiplier, int weight)
{
    return (multiplier * weight) >> 3;
}

/* The last layer, for the columns begin .. end - 1 of its next group. */
static void run_last(Run *run, const uint8_t *const *src, int begin, int end)
{
    const VrcnnWork *work = run->work;
    const VrcnnPipeline *pipeline = run->pipeline;
    const VrcnnConvLayer *layer = pipeline->layer + (run->layers - 1);
    const VrcnnConv *luma = layer->conv;
    const Stage *stage = run->stage + run->layers;
    const int luma_shift = luma->shift - (work->src->bit_depth - 8), step = pipeline->is_joint ? VRCNN_JOINT_OUTPUTS : 1;
    void *scratch = run->memory + pipeline->scratch_at;
    int16_t *residual[VRCNN_ROWS];
    for (int row = 0; row < VRCNN_ROWS; row++)
        residual[row] = (int16_t *)(run->memory + pipeline->residual_at) + row * pipeline->columns * step;
    if (pipeline->is_joint) {
        /* Without chroma its residuals are dropped; any depth serves. */
        const VrcnnConv *chroma = layer->conv + 1;
        VrcnnMix mix = {{luma_shift, chroma->shift - ((work->src[1].data ? work->src[1].bit_depth : 8) - 8)}, {{0}}};
        for (int head = 0; head < layer->heads; head++) {
            mix.multiplier[0][head] = weighted(luma->multiplier, work->weights->luma[head]);
            mix.multiplier[1][head] = weighted(chroma->multiplier, work->weights->chroma[head]);
        }
        work->table->conv_joint(residual, src, end - begin, layer, &mix, scratch);
    } else {
        work->table->conv_last(residual, src, end - begin, layer, luma_shift, weighted(luma->multiplier, work->weights->luma[0]), scratch);
    }
    for (int row = 0; row < VRCNN_ROWS; row++) {
        const int y = stage->row + row;
        if (y < stage->top || y >= stage->bottom)
            continue;
        if (pipeline->is_joint)
            add_sites(run, y, begin, end, residual[row]);
        else
            vrcnn_add_residual(work->dst, work->src, y, begin, end, residual[row]);
    }
}

/* Runs stage i on the columns up to `end` of its current group. */
static void advance(Run *run, int i, int end)
{
    const int begin = run->stage[i].column;
    const uint8_t *src[VRCNN_ROWS + 2 * 2];
    find_sources(run, i - 1, begin, src);
    if (i == run->layers && !run->work->values) {
        run_last(run, src, begin, end);
        return;
    }
    run_hidden(run, i - 1, src, begin, end);
    if (i == run->layers)
        copy_values(run, i - 1, begin, end);
}

static int is_needed(const Stage *stage)
{
    return stage->row + VRCNN_ROWS > stage->top && stage->row < stage->bottom;
}

/* One group of rows in every stage. All layers walk along the strip together, a block of columns at a time, so that a layer finds in
 * the nearest cache what the one before it wrote. */
static void step(Run *run)
{
    const VrcnnWork *work = run->work;
    Stage *fetch = run->stage;
    for (int row = 0; row < VRCNN_ROWS && is_needed(fetch); row++) {
        uint8_t *to = in_ring(run, 0, row, fetch->left);
        if (run->pipeline->is_joint)
            vrcnn_fetch_sites(to, work->src, fetch->row + row, fetch->left, fetch->right, run->memory + run->pipeline->planes_at);
        else
            vrcnn_fetch_row(to, work->src, fetch->row + row, fetch->left, fetch->right);
    }
    for (int i = 1; i <= run->layers; i++)
        run->stage[i].column = run->stage[i].left;
    for (int complete = 0; !complete;) {
        int available = fetch->right, is_last = 1;
        for (int i = 1; i <= run->layers; i++) {
            Stage *stage = run->stage + i;
            int end = stage->right;
            if (i == 1 && work->table->block_columns && end - stage->column > work->table->block_columns) {
                end = stage->column + work->table->block_columns;
                is_last = 0;
            } else if (!is_last) {
                const int ready = available - run->pipeline->layer[i - 1].radius - stage->left;
                end = smaller(end, stage->left + ready / VRCNN_COLUMNS * VRCNN_COLUMNS);
            }
            if (is_needed(stage) && end > stage->column)
                advance(run, i, end);
            stage->column = larger(stage->column, end);
            available = stage->column;
        }
        complete = is_last;
    }
    for (int i = 0; i <= run->layers; i++)
        run->stage[i].row += VRCNN_ROWS;
    for (int i = 0; i < run->pipeline->layers; i++)
        run->slot[i] = (run->slot[i] + VRCNN_ROWS) % run->pipeline->ring_rows[i];
}

void vrcnn_engine_run(const VrcnnWork *work, uint8_t *memory, const uint8_t *zeros)
{
    const VrcnnPipeline *pipeline = work->pipeline;
    const VrcnnRegion region = work->region;
    const int layers = work->values ? work->layer + 1 : pipeline->layers;
    if (layers < 1 || layers > VRCNN_MAX_LAYERS) /* cannot be; but this is for whoever reads the loops, compilers among them */
        return;
    Run run = {.work = work, .pipeline = pipeline, .layers = layers, .memory = memory, .zeros = zeros};
    run.width = sites_in(pipeline, work->src->width);
    run.height = sites_in(pipeline, work->src->height);
    for (int i = 0; i <= layers; i++) {
        Stage *stage = run.stage + i;
        const int margin = reach(pipeline, i, layers);
        stage->top = region.y - margin;
        stage->bottom = region.y + region.height + margin;
        stage->left = region.x - margin;
        stage->right = region.x + region.width + margin;
        if (i > 0) {
            stage->top = larger(stage->top, 0);
            stage->bottom = smaller(stage->bottom, run.height);
            stage->left = larger(stage->left, 0);
            stage->right = smaller(stage->right, run.width);
        }
    }
    /* The heaviest layer's groups begin exactly where its rows do; the others' follow from the lags. Then back to a group of stage 0 that
     * is not beyond the first row that it must fetch. */
    const int heaviest = smaller(pipeline->heaviest, layers - 1);
    int first = run.stage[heaviest + 1].top + reach(pipeline, 0, heaviest + 1);
    while (first > run.stage[0].top)
        first -= VRCNN_ROWS;
    for (int i = 0; i <= layers; i++)
        run.stage[i].row = first - reach(pipeline, 0, i);
    for (int i = 1; i < layers + (work->values != NULL); i++)
        if (run.stage[i].left == 0)
            clear_columns(&run, i, pipeline->ring_rows[i], -pipeline->layer[i].radius, pipeline->layer[i].radius);
    while (run.stage[layers].row < run.stage[layers].bottom)
        step(&run);
}
