/* Contexts: a model set made ready for kernels, and all memory that filtering needs.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn/vrcnn.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "integers.h"
#include "model.h"
#include "settings.h"

enum { ALIGNMENT = 64 };

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
    case VRCNN_ERROR_ARGUMENT: return "a pointer is NULL, a settings struct has an impossible size, or a cost is negative or not finite";
    case VRCNN_ERROR_MEMORY: return "out of memory";
    case VRCNN_ERROR_TRUNCATED: return "the model is cut off before its end";
    case VRCNN_ERROR_NOT_A_MODEL: return "this is not a vrcnn-int model set";
    case VRCNN_ERROR_VERSION: return "the model has a version that this library does not know";
    case VRCNN_ERROR_SIZE: return "the model's networks do not fill the size that it states";
    case VRCNN_ERROR_CHECKSUM: return "the model is damaged: its bytes do not give its identity";
    case VRCNN_ERROR_LIMIT: return "the model has a field outside its limits";
    case VRCNN_ERROR_OVERFLOW: return "the model could overflow a 32-bit accumulator";
    case VRCNN_ERROR_POSITION: return "there is no network of this kind for this position in the codec";
    case VRCNN_ERROR_QP: return "the QP is outside -12..51";
    case VRCNN_ERROR_KERNEL_UNKNOWN: return "there is no such kernel";
    case VRCNN_ERROR_KERNEL_UNSUPPORTED: return "this kernel is not available in this build or on this CPU";
    case VRCNN_ERROR_INDEX: return "the model set has no network of this index";
    case VRCNN_ERROR_LAYER: return "the network has no hidden layer of this number";
    case VRCNN_ERROR_SCALE: return "the output scale is outside 1..10, or a weight of two heads outside -5..10";
    case VRCNN_ERROR_BIT_DEPTH: return "the bit depth is outside 8..10, and not 12 for a joint network that has it";
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
    case VRCNN_ERROR_SIDEINFO_SAO: return "a plane of the picture has both SAO and a network before deblocking";
    case VRCNN_ERROR_KIND: return "the network is of another kind than the call filters with";
    case VRCNN_ERROR_SIDEINFO_HEADS: return "the side information gives the network another number of heads than it has";
    case VRCNN_ERROR_SIDEINFO_CHROMA: return "the side information filters chroma, which is not 4:2:0 of 8 to 10 bits";
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

/* A layer; its weights are packed once there is memory. heads: of a joint network's last layer, else 0. biases: room for VRCNN_MAX_CHANNELS
 * of each branch. */
static void open_layer(VrcnnConvLayer *to, const VrcnnKernelTable *table, const VrcnnLayer *from, int is_last, int heads, Arena *arena,
                       int32_t *biases)
{
    to->inputs = from->inputs;
    to->outputs = from->outputs;
    to->radius = from->margin;
    to->branches = from->branches;
    to->added = from->added;
    to->heads = heads;
    to->src_pitch = from->inputs == 1 ? 1 : from->inputs == VRCNN_JOINT_INPUTS ? VRCNN_JOINT_PITCH : vrcnn_pitch(table, from->inputs);
    to->dst_pitch = is_last ? 0 : vrcnn_pitch(table, from->outputs);
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
        pipeline->is_joint = from->kind == VRCNN_JOINT;
        for (int i = 0; i < from->layers; i++) {
            const int is_last = i == from->layers - 1;
            open_layer(pipeline->layer + i, table, from->layer + i, is_last, is_last && pipeline->is_joint ? from->heads : 0, arena,
                       biases);
        }
        vrcnn_pipeline_plan(pipeline, table);
        memory = larger_size(memory, pipeline->memory);
        zeros = larger_size(zeros, pipeline->zeros);
    }
    uint8_t *no_samples = take(arena, zeros);
    uint8_t *worker_memory = take(arena, memory * (size_t)threads);
    if (context) {
        context->table = *table;
        context->networks = model->networks;
        for (int n = 0; n < model->networks; n++)
            context->heads[n] = model->network[n].heads;
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
    if (vrcnn_mutex_open(&context->mutex)) {
        free(block);
        return VRCNN_ERROR_THREADS;
    }
    if ((error = vrcnn_pool_start(&context->pool, threads))) {
        vrcnn_mutex_close(&context->mutex);
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
        vrcnn_mutex_close(&context->mutex);
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
