/* The row-streaming engine.
 *
 * Each layer's inputs live in a ring of a few rows. A step adds VRCNN_ROWS rows to every ring: four picture rows are fetched, the first
 * layer makes four rows from what its ring holds, the second four rows from those, and so on; each layer lags behind the one before it by
 * its kernel's radius. No feature map ever exists, so memory does not grow with the height of the picture, and what a layer reads has just
 * been written. What is needed around the rectangle is computed again by its neighbours.
 *
 * Stage 0 fetches samples, stage i runs layer i - 1; "ring i" is between stage i and stage i + 1: the inputs of layer i.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <string.h>

#include "integers.h"

#ifndef VRCNN_WIDEST_STRIP /* tests make it less, to have many strips in small pictures */
#define VRCNN_WIDEST_STRIP 656
#endif

enum {
    ALIGNMENT = 64,
    RING_BYTES = 1 << 20,              /* what the rings of a strip should fit: half of a usual L2 cache */
    WIDEST_STRIP = VRCNN_WIDEST_STRIP, /* wider ones gain nothing */
    NARROWEST_IN_HALO = 16             /* but at least so many times the network's halo, or too much is computed twice */
};

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
        pipeline->ring_rows[i] = VRCNN_ROWS + 2 * layer->radius;
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
    pipeline->residual_at = at;
    at += size_to_multiple(VRCNN_ROWS * (size_t)pipeline->columns * sizeof(int16_t), ALIGNMENT);
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

static int sample_at(const uint8_t *row, int x, const VrcnnConstPlane *plane)
{
    uint16_t sample;
    if (plane->bytes_per_sample == 1)
        return row[x];
    memcpy(&sample, row + 2 * (size_t)x, sizeof sample);
    return smaller(sample, (1 << plane->bit_depth) - 1);
}

/* The columns begin .. end - 1 of row y as x + 128; 128 outside the picture. */
static void fetch_row(uint8_t *to, const VrcnnConstPlane *src, int y, int begin, int end)
{
    if (y < 0 || y >= src->height) {
        memset(to, 128, (size_t)(end - begin));
        return;
    }
    const uint8_t *row = (const uint8_t *)src->data + y * src->stride;
    const int first = larger(begin, 0), last = smaller(end, src->width);
    memset(to, 128, (size_t)(first - begin));
    to += first - begin;
    if (src->bytes_per_sample == 1) {
        memcpy(to, row + first, (size_t)(last - first));
    } else {
        const int down = src->bit_depth - 8, half = (1 << down) >> 1;
        for (int x = first; x < last; x++)
            to[x - first] = (uint8_t)smaller((sample_at(row, x, src) + half) >> down, 255);
    }
    memset(to + (last - first), 128, (size_t)(end - last));
}

/* out = clip(s + r) for the columns begin .. end - 1 of row y. 16 bits are enough: |r| <= 10 * 1023 / 8 rounded up. */
static void add_residual(const VrcnnPlane *dst, const VrcnnConstPlane *src, int y, int begin, int end, const int16_t *restrict residual)
{
    const int in_bytes = src->bytes_per_sample, out_bytes = dst->bytes_per_sample, count = end - begin;
    const uint8_t *restrict in = (const uint8_t *)src->data + y * src->stride + (ptrdiff_t)begin * in_bytes;
    uint8_t *restrict out = (uint8_t *)dst->data + y * dst->stride + (ptrdiff_t)begin * out_bytes;
    const int16_t max = (int16_t)((1 << src->bit_depth) - 1);
    /* Loops of their own for what is usual, so that the compiler makes vectors of them. */
    if (in_bytes == 1 && out_bytes == 1) {
        for (int i = 0; i < count; i++) {
            int16_t sum = (int16_t)(in[i] + residual[i]);
            sum = sum < 0 ? 0 : sum;
            out[i] = (uint8_t)(sum > 255 ? 255 : sum);
        }
    } else if (in_bytes == 2 && out_bytes == 2) {
        for (int i = 0; i < count; i++) {
            uint16_t sample;
            memcpy(&sample, in + 2 * (size_t)i, sizeof sample);
            int16_t sum = (int16_t)((sample > max ? max : sample) + residual[i]);
            sum = sum < 0 ? 0 : sum;
            sum = sum > max ? max : sum;
            memcpy(out + 2 * (size_t)i, &sum, sizeof sum);
        }
    } else {
        for (int i = 0; i < count; i++) {
            const int16_t sum = (int16_t)larger(smaller(sample_at(in, i, src) + residual[i], max), 0);
            if (out_bytes == 1)
                out[i] = (uint8_t)sum;
            else
                memcpy(out + 2 * (size_t)i, &sum, sizeof sum);
        }
    }
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
    for (int row = 0; row < VRCNN_ROWS + 2 * layer->radius; row++) {
        /* Ring i's current group begins where layer i's rows end, but for the radius. */
        const int below = first + row - run->stage[i].row;
        src[row] = i > 0 && (first + row < 0 || first + row >= run->work->src->height)
                       ? run->zeros + (size_t)VRCNN_SLACK * (size_t)layer->src_pitch
                       : in_ring(run, i, below, x);
    }
}

/* Runs stage i on the columns up to `end` of its current group. */
static void advance(Run *run, int i, int end)
{
    const VrcnnWork *work = run->work;
    const VrcnnPipeline *pipeline = run->pipeline;
    const VrcnnConvLayer *layer = pipeline->layer + (i - 1);
    Stage *stage = run->stage + i;
    const int begin = stage->column;
    const uint8_t *src[VRCNN_ROWS + 2 * 2];
    void *scratch = run->memory + pipeline->scratch_at;
    find_sources(run, i - 1, begin, src);
    if (i < run->layers || work->values) {
        uint8_t *dst[VRCNN_ROWS];
        for (int row = 0; row < VRCNN_ROWS; row++)
            dst[row] = in_ring(run, i, row, begin);
        (i == 1 ? work->table->conv_first : work->table->conv_hidden)(dst, src, end - begin, layer, scratch);
        /* The call may have written beyond the picture's edge, where the next layer must find zeros. */
        if (end == stage->right && end == work->src->width)
            clear_columns(run, i, VRCNN_ROWS, end, pipeline->layer[i].radius);
        if (i == run->layers)
            for (int row = 0; row < VRCNN_ROWS; row++)
                for (int x = begin; x < end && stage->row + row >= stage->top && stage->row + row < stage->bottom; x++)
                    memcpy(work->values + (stage->row + row - work->y) * work->values_stride + (ptrdiff_t)(x - work->x) * layer->outputs,
                           in_ring(run, i, row, x), (size_t)layer->outputs);
        return;
    }
    int16_t *residual[VRCNN_ROWS];
    for (int row = 0; row < VRCNN_ROWS; row++)
        residual[row] = (int16_t *)(run->memory + pipeline->residual_at) + row * pipeline->columns;
    work->table->conv_last(residual, src, end - begin, layer, layer->conv[0].shift - (work->src->bit_depth - 8),
                           (layer->conv[0].multiplier * work->scale) >> 3, scratch);
    for (int row = 0; row < VRCNN_ROWS; row++)
        if (stage->row + row >= stage->top && stage->row + row < stage->bottom)
            add_residual(work->dst, work->src, stage->row + row, begin, end, residual[row]);
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
    if (is_needed(fetch))
        for (int row = 0; row < VRCNN_ROWS; row++)
            fetch_row(in_ring(run, 0, row, fetch->left), work->src, fetch->row + row, fetch->left, fetch->right);
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
    for (int i = 0; i <= layers; i++) {
        Stage *stage = run.stage + i;
        const int margin = reach(pipeline, i, layers);
        stage->top = region.y - margin;
        stage->bottom = region.y + region.height + margin;
        stage->left = region.x - margin;
        stage->right = region.x + region.width + margin;
        if (i > 0) {
            stage->top = larger(stage->top, 0);
            stage->bottom = smaller(stage->bottom, work->src->height);
            stage->left = larger(stage->left, 0);
            stage->right = smaller(stage->right, work->src->width);
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
