/* What a context needs on the GPU from the beginning: kernels, in the shapes that fit it best, and the networks' weights.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "image.h"
#include "integers.h"
#include "launch.h"
#include "pack.h"
#include "variants.h"

enum { ALIGNMENT = 256 };

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

/* The networks' weights one after the other; without a block it only counts. base: where the block will be on the GPU. */
static size_t pack_networks(VrcnnCuda *c, const VrcnnModel *model, uint8_t *block, uint64_t base)
{
    size_t at = 0;
    for (int n = 0; n < model->networks; n++) {
        const VrcnnNetwork *from = model->network + n;
        VrcnnGpuNetwork *to = c->network + n;
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

static int load_weights(VrcnnCuda *c, const VrcnnModel *model, VrcnnCudaMethod method)
{
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
    }
    const size_t size = pack_networks(c, model, NULL, 0);
    int error = vrcnn_gpu_allocate(c, &c->weights, size);
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
        if ((error = vrcnn_driver_error(c->driver.function(&function, c->module, shapes[i].name))) ||
            (error = vrcnn_driver_error(
                 c->driver.set_attribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shapes[i].shared))) ||
            (error = vrcnn_driver_error(c->driver.set_attribute(function, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 100))) ||
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
        (error = choose_shape(c, &c->first, first_shapes, FIRST_SHAPES, settings->first_shape, most_shared)))
        return error;
    return choose_shape(c, &c->second, second_shapes, SECOND_SHAPES, settings->second_shape, most_shared);
}

int vrcnn_gpu_load(VrcnnCuda *c, const VrcnnModel *model, const VrcnnCudaSettings *settings, int most_shared)
{
    const int error = load_kernels(c, settings, most_shared);
    return error ? error : load_weights(c, model, settings->method);
}
