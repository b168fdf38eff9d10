/* Filtering luma: checks what callers give, and has the threads run the engine on the pieces of a picture.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "context.h"
#include "planes.h"
#include "units.h"

/* What the threads of a context do together. */
typedef struct Job {
    VrcnnContext *context;
    VrcnnWork work; /* what all pieces share */
    const VrcnnChoices *choices;
    VrcnnSchedule schedule;
} Job;

static void run_job(void *argument, int worker)
{
    Job *job = argument;
    VrcnnContext *context = job->context;
    VrcnnWork work = job->work;
    VrcnnPiece piece;
    if (context->table.begin)
        context->table.begin();
    for (;;) {
        vrcnn_lock(&context->mutex);
        const int more = vrcnn_schedule_next(&job->schedule, &piece);
        vrcnn_unlock(&context->mutex);
        if (!more)
            break;
        work.pipeline = context->pipeline + job->choices->index[piece.filter];
        work.weights = job->choices->weights + piece.filter;
        work.writes_luma = piece.writes_luma;
        work.writes_chroma = piece.writes_chroma;
        work.region = piece.region;
        vrcnn_engine_run(&work, context->worker_memory + (size_t)worker * context->worker_bytes, context->zeros);
    }
    if (context->table.end)
        context->table.end();
}

void vrcnn_context_run(VrcnnContext *context, const VrcnnWork *work, const VrcnnChoices *choices)
{
    Job job;
    job.context = context;
    job.work = *work;
    job.work.table = &context->table;
    job.choices = choices;
    vrcnn_schedule_start(&job.schedule, context->pipeline, context->pool.threads, choices, work->src->width, work->src->height);
    vrcnn_pool_run(&context->pool, run_job, &job);
}

static VrcnnError check_network(const VrcnnContext *context, int index)
{
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    return context->pipeline[index].is_joint ? VRCNN_ERROR_KIND : VRCNN_OK;
}

/* Either the choices' maps or their region, of a luma plane. */
static void run(VrcnnContext *context, const VrcnnPlane *dst, const VrcnnConstPlane *src, const VrcnnChoices *choices)
{
    const VrcnnPlane to[3] = {*dst, {0}, {0}};
    const VrcnnConstPlane from[3] = {*src, {0}, {0}};
    const VrcnnWork work = {.src = from, .dst = to};
    vrcnn_context_run(context, &work, choices);
}

static VrcnnError filter(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                         const VrcnnRegion *wanted)
{
    VrcnnError error;
    VrcnnExtent written;
    if (!context || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = check_network(context, index)))
        return error;
    if (scale < 1 || scale > 10)
        return VRCNN_ERROR_SCALE;
    if ((error = vrcnn_check_written(&written, dst, src, VRCNN_USUAL)))
        return error;
    const VrcnnRegion whole = {0, 0, src->width, src->height}, region = wanted ? *wanted : whole;
    if (!vrcnn_is_inside(region, src))
        return VRCNN_ERROR_REGION;
    const VrcnnChoices choices = {.index = {index}, .weights = {{{scale}, {0}}}, .region = region};
    run(context, dst, src, &choices);
    return VRCNN_OK;
}

VrcnnError vrcnn_filter_picture(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src)
{
    return filter(context, index, scale, dst, src, NULL);
}

VrcnnError vrcnn_filter_region(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int x, int y,
                               int width, int height)
{
    const VrcnnRegion region = {x, y, width, height};
    return filter(context, index, scale, dst, src, &region);
}

VrcnnError vrcnn_filter_units(VrcnnContext *context, const VrcnnUnits *units, const VrcnnPlane *dst, const VrcnnConstPlane *src)
{
    VrcnnChoices choices = {0};
    VrcnnError error;
    VrcnnExtent written;
    if (!context || !units || !units->unit || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (vrcnn_unit_size_index(units->unit_size) < 0 || units->networks < 1 || units->networks > VRCNN_MAX_CHOICES)
        return VRCNN_ERROR_UNITS;
    for (int i = 0; i < units->networks; i++) {
        if ((error = check_network(context, units->index[i])))
            return error;
        choices.index[i] = units->index[i];
        choices.weights[i].luma[0] = units->scale;
    }
    if (units->scale < 1 || units->scale > 10)
        return VRCNN_ERROR_SCALE;
    if ((error = vrcnn_check_written(&written, dst, src, VRCNN_USUAL)))
        return error;
    const VrcnnGrid grid = vrcnn_grid(src->width, src->height, units->unit_size);
    const uintptr_t first = (uintptr_t)units->unit;
    const VrcnnExtent map = {first, first + (size_t)grid.count};
    if (vrcnn_overlap(written, map))
        return VRCNN_ERROR_OVERLAP;
    for (int i = 0; i < grid.count; i++)
        if (units->unit[i] > units->networks)
            return VRCNN_ERROR_UNITS;
    choices.unit_size = units->unit_size;
    choices.luma = units->unit;
    run(context, dst, src, &choices);
    return VRCNN_OK;
}

VrcnnError vrcnn_filter_layer(VrcnnContext *context, int index, int layer, uint8_t *dst, ptrdiff_t dst_stride, const VrcnnConstPlane *src,
                              int x, int y, int width, int height)
{
    VrcnnError error;
    if (!context || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = check_network(context, index)))
        return error;
    const VrcnnConstPlane planes[3] = {*src, {0}, {0}};
    return vrcnn_filter_planes_layer(context, index, layer, dst, dst_stride, planes, x, y, width, height);
}
