/* What a context needs on the GPU from the beginning: kernels, in the shapes that fit it best, and the networks' weights.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "image.h"
#include "integers.h"
#include "pack.h"
#include "variants.h"

enum {
    ALIGNMENT = 256,
    LEAST_SHARED = 99 << 10, /* bytes of shared memory that every GPU has for a block: compute capability 8.6 and 8.9 have the least */
    MOST_SLICES = 64 << 10,  /* bytes of the slices of a joint network's layer that a block holds at once, beside its window */
    MOST_UNIT_ROWS = 2
};

#define FIRST(name, rows, columns, width, blocks)                                                                                          \
    {#name, 32 * (rows) * (columns), VRCNN_CUDA_FIRST_SHARED(rows, columns, width), 16 * (rows), (width) * (columns)},
#define SECOND(name, warps, rows, columns, width, blocks)                                                                                  \
    {#name, 32 * (warps), VRCNN_CUDA_SECOND_SHARED(rows, columns, width), 16 * (rows) - 2, (width) * (columns) - 2},
static const VrcnnGpuShape first_shapes[] = {VRCNN_CUDA_FIRST_VARIANTS(FIRST)};
static const VrcnnGpuShape second_shapes[] = {VRCNN_CUDA_SECOND_VARIANTS(SECOND)};
enum { FIRST_SHAPES = sizeof first_shapes / sizeof first_shapes[0], SECOND_SHAPES = sizeof second_shapes / sizeof second_shapes[0] };

const char *vrcnn_cuda_shape_name(int kernel, int shape)
{
    const VrcnnGpuShape *shapes = kernel ? second_shapes : first_shapes;
    const int count = kernel ? SECOND_SHAPES : FIRST_SHAPES;
    return kernel < 0 || kernel > 1 || shape < 1 || shape > count ? NULL : shapes[shape - 1].name;
}

static int shared_of(const VrcnnCudaJoint *plan)
{
    return plan->slices * plan->slice_bytes + plan->windows * (16 * plan->unit_rows + 2 * plan->radius) * plan->pitch;
}

/* What a layer of a joint network takes: of its slices and rows of units as much as fits the least GPU, with one window. The widest kernels
 * of 64 inputs go slice by slice, and in low tiles. */
static void plan_joint(VrcnnCudaJoint *plan, const VrcnnLayer *layer, int is_last)
{
    const int is_first = layer->inputs == VRCNN_CUDA_SITE, size = 2 * layer->margin + 1;
    const int site = is_first ? VRCNN_CUDA_FIRST_SITE : layer->inputs, group = is_first ? VRCNN_CUDA_FIRST_GROUP : VRCNN_CUDA_GROUP;
    plan->radius = layer->margin;
    plan->groups = (size + group - 1) / group;
    plan->columns = VRCNN_CUDA_JOINT_COLUMNS + group * plan->groups - 1;
    plan->pitch = ((plan->columns * site + 15) / 16 | 1) * 16; /* odd: rows begin in other banks */
    plan->windows = 1;
    plan->slice_bytes = (int32_t)vrcnn_pack_slice_size(layer, is_last);
    plan->slices = vrcnn_pack_slices(layer, is_last);
    if (plan->slices * plan->slice_bytes > MOST_SLICES)
        plan->slices = 1;
    plan->unit_rows = MOST_UNIT_ROWS;
    while (shared_of(plan) > LEAST_SHARED)
        plan->unit_rows--;
}

/* The networks' weights one after the other; without a block it only counts. base: where the block will be on the GPU. */
static size_t pack_networks(VrcnnCuda *c, const VrcnnModel *model, uint8_t *block, uint64_t base)
{
    size_t at = 0;
    for (int n = 0; n < model->networks; n++) {
        const VrcnnNetwork *from = model->network + n;
        VrcnnGpuNetwork *to = c->network + n;
        if (to->is_fused && to->nature.is_joint) {
            for (int l = 0; l < from->layers; l++) {
                const VrcnnLayer *layer = from->layer + l;
                const int is_last = l == from->layers - 1;
                to->joint[l].weights = base + at;
                if (block)
                    vrcnn_pack_joint(block + at, layer, is_last);
                at += size_to_multiple((size_t)vrcnn_pack_slices(layer, is_last) * vrcnn_pack_slice_size(layer, is_last), ALIGNMENT);
            }
            continue;
        }
        if (to->is_fused) {
            to->first = base + at;
            if (block)
                vrcnn_pack_first(block + at, from);
            at += size_to_multiple(VRCNN_CUDA_FIRST_SIZE, ALIGNMENT);
            to->second = base + at;
            if (block)
                vrcnn_pack_second(block + at, from);
            at += size_to_multiple(VRCNN_CUDA_SECOND_SIZE, ALIGNMENT);
            continue;
        }
        for (int l = 0; l < from->layers; l++)
            for (int b = 0; b < from->layer[l].branches; b++) {
                const VrcnnBranch *branch = from->layer[l].branch + b;
                to->simple[l][b] = base + at;
                if (block)
                    vrcnn_pack_simple(block + at, branch);
                at += size_to_multiple(vrcnn_pack_simple_weights_size(branch) + 4 * (size_t)branch->outputs, ALIGNMENT);
            }
    }
    return at;
}

static int count_joint_blocks(VrcnnCuda *c, VrcnnGpuJoint *joint)
{
    joint->shared = shared_of(&joint->plan);
    return vrcnn_driver_error(c->driver.occupancy(&joint->blocks, joint->function, 32 * VRCNN_CUDA_JOINT_WARPS, (size_t)joint->shared));
}

/* How the layers of a joint network are computed on tensor cores. A second window is good where a multiprocessor still has two blocks. */
static int load_joint(VrcnnCuda *c, VrcnnGpuNetwork *network)
{
    for (int l = 0; l < network->layers; l++) {
        const int is_last = l == network->layers - 1, wide = network->layer[l].inputs == 64;
        VrcnnGpuJoint *joint = network->joint + l;
        int error;
        plan_joint(&joint->plan, network->layer + l, is_last);
        joint->function = l == 0 ? c->joint_first : is_last ? c->joint_last[wide] : c->joint_hidden[wide];
        joint->plan.windows = 2;
        if (shared_of(&joint->plan) <= LEAST_SHARED) {
            if ((error = count_joint_blocks(c, joint)))
                return error;
            if (joint->blocks >= 2)
                continue;
        }
        joint->plan.windows = 1;
        if ((error = count_joint_blocks(c, joint)))
            return error;
    }
    return VRCNN_OK;
}

static int load_weights(VrcnnCuda *c, const VrcnnModel *model, VrcnnCudaMethod method)
{
    int error;
    for (int n = 0; n < model->networks; n++) {
        VrcnnGpuNetwork *to = c->network + n;
        to->layers = model->network[n].layers;
        to->nature.is_joint = model->network[n].kind == VRCNN_JOINT;
        to->nature.heads = model->network[n].heads;
        to->maps = 2;
        memcpy(to->layer, model->network[n].layer, sizeof to->layer);
        for (int l = 0; l + 1 < to->layers; l++) {
            to->widest = larger(to->widest, to->layer[l].outputs);
            to->maps = larger(to->maps, to->layer[l].added + 1);
        }
        to->is_fused = method != VRCNN_CUDA_SIMPLE && vrcnn_pack_is_fused(model->network + n);
        if (method == VRCNN_CUDA_FUSED && !to->is_fused)
            return VRCNN_CUDA_ERROR_METHOD;
        if (to->is_fused && to->nature.is_joint && (error = load_joint(c, to)))
            return error;
    }
    const size_t size = pack_networks(c, model, NULL, 0);
    error = vrcnn_gpu_allocate(c, &c->weights, size);
    if (error)
        return error;
    uint8_t *block = size ? calloc(1, size) : NULL;
    if (!block)
        return VRCNN_ERROR_MEMORY;
    pack_networks(c, model, block, c->weights);
    if (!(error = vrcnn_driver_error(c->driver.to_device(c->weights, block, size, NULL))))
        error = vrcnn_driver_error(c->driver.synchronize(NULL));
    free(block);
    for (int n = 0; n < c->networks; n++) /* they were the model's */
        for (int l = 0; l < VRCNN_MAX_LAYERS; l++)
            for (int b = 0; b < VRCNN_MAX_BRANCHES; b++) {
                c->network[n].layer[l].branch[b].bias = NULL;
                c->network[n].layer[l].branch[b].weights = NULL;
            }
    return error;
}

/* A kernel, and that it may have so many bytes of shared memory in a block. */
static int find_kernel(VrcnnCuda *c, CUfunction *function, const char *name, int shared)
{
    int error;
    if ((error = vrcnn_driver_error(c->driver.function(function, c->module, name))) ||
        (error = vrcnn_driver_error(c->driver.set_attribute(*function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared))))
        return error;
    return vrcnn_driver_error(c->driver.set_attribute(*function, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 100));
}

/* The shape of which most threads fit a multiprocessor, the first of several: with two blocks, one can multiply while the other
 * requantizes. */
static int choose_shape(VrcnnCuda *c, VrcnnGpuKernel *kernel, const VrcnnGpuShape *shapes, int count, int wanted, int most_shared)
{
    int most_threads = 0;
    if (wanted < 0 || wanted > count)
        return VRCNN_CUDA_ERROR_SHAPE;
    for (int i = wanted ? wanted - 1 : 0; i < (wanted ? wanted : count); i++) {
        CUfunction function;
        int blocks, error;
        if (shapes[i].shared > most_shared)
            continue;
        if ((error = find_kernel(c, &function, shapes[i].name, shapes[i].shared)) ||
            (error = vrcnn_driver_error(c->driver.occupancy(&blocks, function, shapes[i].threads, (size_t)shapes[i].shared))))
            return error;
        if (blocks * shapes[i].threads > most_threads) {
            most_threads = blocks * shapes[i].threads;
            kernel->shape = shapes + i;
            kernel->function = function;
            kernel->blocks = blocks;
        }
    }
    return most_threads ? VRCNN_OK : VRCNN_CUDA_ERROR_SHAPE;
}

static int load_kernels(VrcnnCuda *c, const VrcnnCudaSettings *settings, int most_shared)
{
    int error, driver_version;
    if ((error = vrcnn_driver_error(c->driver.load_module(&c->module, vrcnn_cuda_image)))) {
        c->module = NULL;
        if (error == VRCNN_CUDA_ERROR_DEVICE_FAILED && !c->driver.version(&driver_version) && driver_version < vrcnn_cuda_image_compiler)
            error = VRCNN_CUDA_ERROR_OLD_DRIVER;
        return error;
    }
    if ((error = vrcnn_driver_error(c->driver.function(&c->simple_first, c->module, "vrcnn_simple_first"))) ||
        (error = vrcnn_driver_error(c->driver.function(&c->simple_hidden, c->module, "vrcnn_simple_hidden"))) ||
        (error = vrcnn_driver_error(c->driver.function(&c->simple_last, c->module, "vrcnn_simple_last"))) ||
        (error = vrcnn_driver_error(c->driver.function(&c->peak, c->module, "vrcnn_peak"))) ||
        (error = find_kernel(c, &c->joint_first, "vrcnn_joint_first", LEAST_SHARED)) ||
        (error = find_kernel(c, c->joint_hidden, "vrcnn_joint_hidden_32", LEAST_SHARED)) ||
        (error = find_kernel(c, c->joint_hidden + 1, "vrcnn_joint_hidden_64", LEAST_SHARED)) ||
        (error = find_kernel(c, c->joint_last, "vrcnn_joint_last_32", LEAST_SHARED)) ||
        (error = find_kernel(c, c->joint_last + 1, "vrcnn_joint_last_64", LEAST_SHARED)) ||
        (error = choose_shape(c, &c->first, first_shapes, FIRST_SHAPES, settings->first_shape, most_shared)))
        return error;
    return choose_shape(c, &c->second, second_shapes, SECOND_SHAPES, settings->second_shape, most_shared);
}

int vrcnn_gpu_load(VrcnnCuda *c, const VrcnnModel *model, const VrcnnCudaSettings *settings, int most_shared)
{
    const int error = load_kernels(c, settings, most_shared);
    return error ? error : load_weights(c, model, settings->method);
}
