/* Contexts: checks what callers give, holds the memory, and has the threads run the engine on the pieces of a picture.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn/vrcnn.h"

#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "engine.h"
#include "integers.h"
#include "model.h"
#include "plane.h"
#include "pool.h"
#include "schedule.h"
#include "settings.h"
#include "units.h"

enum { ALIGNMENT = 64 };

struct VrcnnContext {
    void *block; /* as malloc gave it: the context and all that it points to */
    size_t memory;
    VrcnnKernelTable table;
    int networks;
    VrcnnPipeline *pipeline;
    uint8_t *zeros;
    uint8_t *worker_memory; /* of all threads */
    size_t worker_bytes;    /* of each */
    VrcnnPool pool;
    pthread_mutex_t mutex; /* of the schedule of the picture in work */
};

/* Hands out one block of memory piece by piece; without a block it only counts. */
typedef struct Arena {
    uint8_t *base;
    size_t used;
    int overflow;
} Arena;

static void *take(Arena *arena, size_t size)
{
    const size_t at = arena->used;
    if (size > SIZE_MAX / 4 || at > SIZE_MAX / 4) {
        arena->overflow = 1;
        return NULL;
    }
    arena->used = at + size_to_multiple(size, ALIGNMENT);
    return arena->base ? arena->base + at : NULL;
}

unsigned vrcnn_version(void)
{
    return VRCNN_VERSION_MAJOR << 16 | VRCNN_VERSION_MINOR << 8 | VRCNN_VERSION_PATCH;
}

const char *vrcnn_strerror(int error)
{
    switch (error) {
    case VRCNN_OK: return "no error";
    case VRCNN_ERROR_ARGUMENT: return "a pointer is NULL or a settings struct has an impossible size";
    case VRCNN_ERROR_MEMORY: return "out of memory";
    case VRCNN_ERROR_TRUNCATED: return "the model is cut off before its end";
    case VRCNN_ERROR_NOT_A_MODEL: return "this is not a vrcnn-int model set";
    case VRCNN_ERROR_VERSION: return "the model has a version that this library does not know";
    case VRCNN_ERROR_SIZE: return "the model's networks do not fill the size that it states";
    case VRCNN_ERROR_CHECKSUM: return "the model is damaged: its bytes do not give its identity";
    case VRCNN_ERROR_LIMIT: return "the model has a field outside its limits";
    case VRCNN_ERROR_OVERFLOW: return "the model could overflow a 32-bit accumulator";
    case VRCNN_ERROR_POSITION: return "there is no network for this position in the codec";
    case VRCNN_ERROR_QP: return "the QP is outside -12..51";
    case VRCNN_ERROR_KERNEL_UNKNOWN: return "there is no such kernel";
    case VRCNN_ERROR_KERNEL_UNSUPPORTED: return "this kernel is not available in this build or on this CPU";
    case VRCNN_ERROR_INDEX: return "the model set has no network of this index";
    case VRCNN_ERROR_LAYER: return "the network has no hidden layer of this number";
    case VRCNN_ERROR_SCALE: return "the output scale is outside 1..10";
    case VRCNN_ERROR_BIT_DEPTH: return "the bit depth is outside 8..10";
    case VRCNN_ERROR_PLANE: return "a plane has an impossible size, stride or sample size, or dst and src do not match";
    case VRCNN_ERROR_REGION: return "the region is empty or not inside the picture";
    case VRCNN_ERROR_OVERLAP: return "dst and src overlap in memory";
    case VRCNN_ERROR_KERNEL_REFUSED: return "the operating system does not grant this process the registers that this kernel needs";
    case VRCNN_ERROR_THREADS: return "the number of threads is outside 1..64, or the system gives no more threads";
    case VRCNN_ERROR_UNITS: return "the unit map has an impossible unit size, number of networks or choice";
    case VRCNN_ERROR_SIDEINFO_FOREIGN: return "the side information at a random access point is not vrcnn-int's";
    case VRCNN_ERROR_SIDEINFO_VERSION: return "the side information has a version that this library does not know";
    case VRCNN_ERROR_SIDEINFO_TRUNCATED: return "the side information is missing or cut off";
    case VRCNN_ERROR_SIDEINFO_SYNTAX: return "the side information contradicts itself";
    case VRCNN_ERROR_SIDEINFO_SPACE: return "the side information does not fit into a slice header extension";
    case VRCNN_ERROR_SIDEINFO_LOST: return "the first slice segment of a picture, which has the side information, is lost";
    case VRCNN_ERROR_SIDEINFO_MODEL: return "the stream's model set is neither built in nor the one given";
    case VRCNN_ERROR_SIDEINFO_SAO: return "the picture has both luma SAO and a network before deblocking";
    default: return "unknown error";
    }
}

VrcnnError vrcnn_default_settings(VrcnnSettings *settings, size_t size)
{
    if (!settings || size < sizeof *settings)
        return VRCNN_ERROR_ARGUMENT;
    memset(settings, 0, size);
    settings->size = size;
    settings->kernel = VRCNN_KERNEL_AUTO;
    settings->threads = 1;
    return VRCNN_OK;
}

/* A caller compiled against a later version may have more fields, as long as it leaves them 0. */
VrcnnError vrcnn_read_settings(VrcnnSettings *known, const VrcnnSettings *given)
{
    if (!given)
        return vrcnn_default_settings(known, sizeof *known);
    if (given->size < sizeof *given)
        return VRCNN_ERROR_ARGUMENT;
    for (size_t i = sizeof *given; i < given->size; i++)
        if (((const uint8_t *)given)[i])
            return VRCNN_ERROR_ARGUMENT;
    *known = *given;
    known->size = sizeof *known;
    if (known->threads < 0 || known->threads > VRCNN_MAX_THREADS)
        return VRCNN_ERROR_THREADS;
    known->threads = larger(known->threads, 1);
    return VRCNN_OK;
}

/* The layers of one network; their weights are packed once there is memory. biases: room for VRCNN_MAX_CHANNELS of each branch. */
static void open_layer(VrcnnConvLayer *to, const VrcnnKernelTable *table, const VrcnnLayer *from, Arena *arena, int32_t *biases)
{
    to->inputs = from->inputs;
    to->outputs = from->outputs;
    to->radius = from->margin;
    to->branches = from->branches;
    to->src_pitch = from->inputs == 1 ? 1 : up_to_multiple(from->inputs, table->channel_multiple);
    to->dst_pitch = from->outputs == 1 ? 0 : up_to_multiple(from->outputs, table->channel_multiple);
    for (int b = 0; b < from->branches; b++) {
        const VrcnnBranch *branch = from->branch + b;
        const VrcnnConv conv = {branch->kernel_size, branch->outputs, branch->shift, branch->multiplier};
        to->conv[b] = conv;
    }
    void *packed = take(arena, table->packed_size(to));
    to->packed = packed;
    if (!packed)
        return;
    const int8_t *weights[VRCNN_MAX_BRANCHES];
    const int32_t *bias[VRCNN_MAX_BRANCHES];
    for (int b = 0; b < from->branches; b++) {
        weights[b] = from->branch[b].weights;
        bias[b] = biases;
        for (int o = 0; o < from->branch[b].outputs; o++)
            *biases++ = vrcnn_bias(from->branch + b, o);
    }
    table->pack(packed, to, weights, bias);
}

/* Without a block in the arena: only counts. `plan` is room for one network meanwhile. */
static VrcnnContext *lay_out(Arena *arena, const VrcnnKernelTable *table, const VrcnnModel *model, int threads, VrcnnPipeline *plan)
{
    size_t memory = 0, zeros = 0;
    VrcnnContext *context = take(arena, sizeof *context);
    VrcnnPipeline *pipelines = take(arena, (size_t)model->networks * sizeof *pipelines);
    for (int n = 0; n < model->networks; n++) {
        int32_t biases[VRCNN_MAX_CHANNELS];
        const VrcnnNetwork *from = model->network + n;
        VrcnnPipeline *pipeline = pipelines ? pipelines + n : plan;
        pipeline->layers = from->layers;
        for (int i = 0; i < from->layers; i++)
            open_layer(pipeline->layer + i, table, from->layer + i, arena, biases);
        vrcnn_pipeline_plan(pipeline, table);
        memory = larger_size(memory, pipeline->memory);
        zeros = larger_size(zeros, pipeline->zeros);
    }
    uint8_t *no_samples = take(arena, zeros);
    uint8_t *worker_memory = take(arena, memory * (size_t)threads);
    if (context) {
        context->table = *table;
        context->networks = model->networks;
        context->pipeline = pipelines;
        context->zeros = no_samples;
        context->worker_memory = worker_memory;
        context->worker_bytes = memory;
        /* Also the workers' memory: kernels may load, without effect, what was never written. */
        memset(no_samples, 0, zeros);
        memset(worker_memory, 0, memory * (size_t)threads);
    }
    return context;
}

VrcnnError vrcnn_open(VrcnnContext **out, const VrcnnModel *model, const VrcnnSettings *settings)
{
    VrcnnSettings known;
    VrcnnKernelTable table;
    VrcnnPipeline plan;
    Arena arena = {NULL, 0, 0};
    VrcnnError error;
    if (out)
        *out = NULL;
    if (!out || !model)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = vrcnn_read_settings(&known, settings)) || (error = vrcnn_kernel_table(&table, known.kernel)))
        return error;
    const int threads = known.threads;
    lay_out(&arena, &table, model, threads, &plan);
    void *block = arena.overflow ? NULL : malloc(arena.used + ALIGNMENT);
    if (!block)
        return VRCNN_ERROR_MEMORY;
    const size_t size = arena.used + ALIGNMENT;
    arena.base = (uint8_t *)block + (ALIGNMENT - (uintptr_t)block % ALIGNMENT);
    arena.used = 0;
    VrcnnContext *context = lay_out(&arena, &table, model, threads, &plan);
    context->block = block;
    context->memory = size;
    if (pthread_mutex_init(&context->mutex, NULL)) {
        free(block);
        return VRCNN_ERROR_THREADS;
    }
    if ((error = vrcnn_pool_start(&context->pool, threads))) {
        pthread_mutex_destroy(&context->mutex);
        free(block);
        return error;
    }
    *out = context;
    return VRCNN_OK;
}

void vrcnn_close(VrcnnContext *context)
{
    if (context) {
        vrcnn_pool_stop(&context->pool);
        pthread_mutex_destroy(&context->mutex);
        free(context->block);
    }
}

int vrcnn_context_kernel(const VrcnnContext *context)
{
    return context ? (int)context->table.kernel : (int)VRCNN_ERROR_ARGUMENT;
}

int vrcnn_context_threads(const VrcnnContext *context)
{
    return context ? context->pool.threads : (int)VRCNN_ERROR_ARGUMENT;
}

size_t vrcnn_context_memory(const VrcnnContext *context)
{
    return context ? context->memory : 0;
}

static int is_inside(VrcnnRegion region, const VrcnnConstPlane *plane)
{
    return region.x >= 0 && region.y >= 0 && region.width >= 1 && region.height >= 1 && region.x < plane->width &&
           region.y < plane->height && region.width <= plane->width - region.x && region.height <= plane->height - region.y;
}

/* What the threads of a context do together. */
typedef struct Job {
    VrcnnContext *context;
    VrcnnWork work; /* what all pieces share */
    VrcnnSchedule schedule;
} Job;

static void run_job(void *argument, int worker)
{
    Job *job = argument;
    VrcnnContext *context = job->context;
    VrcnnWork work = job->work;
    int index;
    if (context->table.begin)
        context->table.begin();
    for (;;) {
        pthread_mutex_lock(&context->mutex);
        const int more = vrcnn_schedule_next(&job->schedule, &work.region, &index);
        pthread_mutex_unlock(&context->mutex);
        if (!more)
            break;
        work.pipeline = context->pipeline + index;
        vrcnn_engine_run(&work, context->worker_memory + (size_t)worker * context->worker_bytes, context->zeros);
    }
    if (context->table.end)
        context->table.end();
}

/* Either units, or `index` on the region; work->src and where the results go are set. */
static void run(VrcnnContext *context, const VrcnnWork *work, int index, VrcnnRegion region, const VrcnnUnits *units)
{
    Job job;
    job.context = context;
    job.work = *work;
    job.work.table = &context->table;
    vrcnn_schedule_start(&job.schedule, context->pipeline, context->pool.threads, index, region, units, work->src->width,
                         work->src->height);
    vrcnn_pool_run(&context->pool, run_job, &job);
}

/* What filtering a picture needs, whatever its part. */
static VrcnnError check_picture(VrcnnExtent *written, const VrcnnPlane *dst, const VrcnnConstPlane *src, int scale)
{
    VrcnnError error;
    VrcnnExtent read;
    if (scale < 1 || scale > 10)
        return VRCNN_ERROR_SCALE;
    const VrcnnConstPlane dst_to_read = vrcnn_reading(dst);
    if ((error = vrcnn_check_plane(&read, src)) || (error = vrcnn_check_plane(written, &dst_to_read)))
        return error;
    if (!vrcnn_is_alike(&dst_to_read, src))
        return VRCNN_ERROR_PLANE;
    return vrcnn_overlap(read, *written) ? VRCNN_ERROR_OVERLAP : VRCNN_OK;
}

static VrcnnError filter(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                         const VrcnnRegion *wanted)
{
    VrcnnWork work = {0};
    VrcnnError error;
    VrcnnExtent written;
    if (!context || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    if ((error = check_picture(&written, dst, src, scale)))
        return error;
    const VrcnnRegion whole = {0, 0, src->width, src->height}, region = wanted ? *wanted : whole;
    if (!is_inside(region, src))
        return VRCNN_ERROR_REGION;
    work.src = src;
    work.dst = dst;
    work.scale = scale;
    run(context, &work, index, region, NULL);
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
    const VrcnnRegion none = {0, 0, 0, 0};
    VrcnnWork work = {0};
    VrcnnError error;
    VrcnnExtent written;
    if (!context || !units || !units->unit || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (vrcnn_unit_size_index(units->unit_size) < 0 || units->networks < 1 || units->networks > VRCNN_MAX_CHOICES)
        return VRCNN_ERROR_UNITS;
    for (int i = 0; i < units->networks; i++)
        if (units->index[i] < 0 || units->index[i] >= context->networks)
            return VRCNN_ERROR_INDEX;
    if ((error = check_picture(&written, dst, src, units->scale)))
        return error;
    const VrcnnGrid grid = vrcnn_grid(src->width, src->height, units->unit_size);
    const uintptr_t first = (uintptr_t)units->unit;
    const VrcnnExtent map = {first, first + (size_t)grid.count};
    if (vrcnn_overlap(written, map))
        return VRCNN_ERROR_OVERLAP;
    for (int i = 0; i < grid.count; i++)
        if (units->unit[i] > units->networks)
            return VRCNN_ERROR_UNITS;
    work.src = src;
    work.dst = dst;
    work.scale = units->scale;
    run(context, &work, 0, none, units);
    return VRCNN_OK;
}

VrcnnError vrcnn_filter_layer(VrcnnContext *context, int index, int layer, uint8_t *dst, ptrdiff_t dst_stride, const VrcnnConstPlane *src,
                              int x, int y, int width, int height)
{
    const VrcnnRegion region = {x, y, width, height};
    VrcnnWork work = {0};
    VrcnnError error;
    VrcnnExtent read, written;
    if (!context || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    const VrcnnPipeline *pipeline = context->pipeline + index;
    if (layer < 0 || layer >= pipeline->layers - 1)
        return VRCNN_ERROR_LAYER;
    if ((error = vrcnn_check_plane(&read, src)))
        return error;
    if (!is_inside(region, src))
        return VRCNN_ERROR_REGION;
    const size_t channels = (size_t)pipeline->layer[layer].outputs;
    if ((error = vrcnn_find_extent(&written, dst, dst_stride, (size_t)width * channels, height)))
        return error;
    if (vrcnn_overlap(read, written))
        return VRCNN_ERROR_OVERLAP;
    work.src = src;
    work.values = dst;
    work.values_stride = dst_stride;
    work.layer = layer;
    work.x = x;
    work.y = y;
    run(context, &work, index, region, NULL);
    return VRCNN_OK;
}
