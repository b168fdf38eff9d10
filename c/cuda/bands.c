/* Launches the kernels on bands of pictures, whose maps fit the memory that they may take.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "context.h"
#include "integers.h"
#include "launch.h"
#include "pack.h"

enum { MOST_BLOCKS = 1 << 30 };

int vrcnn_gpu_launch(VrcnnCuda *c, CUfunction function, int64_t blocks, int threads, int shared, const void *parameter, CUstream stream)
{
    /* The driver only reads it, but takes what is not const. */
    void *parameters[1];
    memcpy((void *)parameters, (const void *)&parameter, sizeof parameter);
    return vrcnn_driver_error(
        c->driver.launch(function, (unsigned)blocks, 1, 1, (unsigned)threads, 1, 1, (unsigned)shared, stream, parameters, NULL));
}

static int launch_persistent(VrcnnCuda *c, const VrcnnGpuKernel *kernel, const VrcnnCudaLaunch *l, int rows, CUstream stream)
{
    const VrcnnGpuShape *shape = kernel->shape;
    const int64_t across = (l->width + shape->columns - 1) / shape->columns, down = (rows + shape->rows - 1) / shape->rows;
    const int64_t tiles = across * down * l->pictures, most = (int64_t)kernel->blocks * c->multiprocessors;
    return vrcnn_gpu_launch(c, kernel->function, tiles < most ? tiles : most, shape->threads, shape->shared, l, stream);
}

static VrcnnCudaRequant requant_of(const VrcnnLayer *layer, int branch)
{
    const VrcnnCudaRequant requant = {layer->branch[branch].shift, layer->branch[branch].multiplier};
    return requant;
}

static int launch_first(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
{
    l->map = c->map[0];
    l->map_top = larger(0, l->top - 2);
    l->map_bottom = smaller(l->height, l->bottom + 2);
    l->weights = network->first;
    l->requant[0] = requant_of(network->layer, 0);
    l->requant[1] = requant_of(network->layer + 1, 0);
    l->requant[2] = requant_of(network->layer + 1, 1);
    return launch_persistent(c, &c->first, l, l->map_bottom - l->map_top, stream);
}

/* After launch_first. */
static int launch_second(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
{
    l->weights = network->second;
    l->requant[1] = requant_of(network->layer + 2, 0);
    l->requant[2] = requant_of(network->layer + 2, 1);
    return launch_persistent(c, &c->second, l, l->bottom - l->top, stream);
}

static int launch_fused(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
{
    const int error = launch_first(c, network, l, stream);
    return error ? error : launch_second(c, network, l, stream);
}

static int reach(const VrcnnGpuNetwork *network, int first)
{
    int sum = 0;
    for (int i = first; i < network->layers; i++)
        sum += network->layer[i].margin;
    return sum;
}

static int launch_simple(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
{
    for (int i = 0; i < network->layers; i++) {
        const VrcnnLayer *layer = network->layer + i;
        const int is_last = i == network->layers - 1, margin = reach(network, i + 1);
        l->src_map = c->map[(i + 1) % 2];
        l->dst_map = c->map[i % 2];
        l->src_top = l->dst_top;
        l->src_bottom = l->dst_bottom;
        l->dst_top = larger(0, l->top - margin);
        l->dst_bottom = smaller(l->height, l->bottom + margin);
        l->inputs = layer->inputs;
        l->outputs = layer->outputs;
        l->branches = layer->branches;
        for (int b = 0; b < layer->branches; b++) {
            VrcnnCudaBranch *to = l->branch + b;
            to->kernel_size = layer->branch[b].kernel_size;
            to->outputs = layer->branch[b].outputs;
            to->requant = requant_of(layer, b);
            to->weights = network->simple[i][b];
            to->bias = to->weights + vrcnn_pack_simple_weights_size(layer->branch + b);
        }
        const int64_t groups = is_last ? 1 : layer->outputs / 16;
        const int64_t threads = groups * l->pictures * (l->dst_bottom - l->dst_top) * l->width;
        const int64_t blocks = (threads + VRCNN_CUDA_SIMPLE_THREADS - 1) / VRCNN_CUDA_SIMPLE_THREADS;
        const CUfunction function = i == 0 ? c->simple_first : is_last ? c->simple_last : c->simple_hidden;
        const int error = blocks > MOST_BLOCKS ? (int)VRCNN_CUDA_ERROR_MEMORY
                                               : vrcnn_gpu_launch(c, function, blocks, VRCNN_CUDA_SIMPLE_THREADS, 0, l, stream);
        if (error)
            return error;
    }
    return VRCNN_OK;
}

/* Bytes of a map for a sample, rows that a band's map has more than the band, and how many maps there are. */
typedef struct MapPlan {
    size_t sample;
    int margin, maps;
} MapPlan;

static MapPlan plan_map(const VrcnnGpuNetwork *network)
{
    const MapPlan fused = {VRCNN_CUDA_FUSED_MAP, 2, 1}, simple = {(size_t)network->widest, reach(network, 1), 2};
    return network->is_fused ? fused : simple;
}

/* Memory for the maps of bands of *rows rows; fewer rows if the whole picture would need more than it may. */
static int reserve_maps(VrcnnCuda *c, const VrcnnGpuNetwork *network, int pictures, int width, int height, int *rows)
{
    const MapPlan plan = plan_map(network);
    const size_t row = plan.sample * (size_t)width * (size_t)pictures;
    const size_t most = c->map_size / row;
    int map_rows = height;
    *rows = height;
    if (most < (size_t)height) {
        *rows = larger(1, (int)most - 2 * plan.margin);
        map_rows = smaller(height, *rows + 2 * plan.margin);
    }
    const size_t size = row * (size_t)map_rows;
    for (int i = 0; i < plan.maps; i++) {
        if (c->map_sizes[i] >= size)
            continue;
        /* Somebody may still work with the old one. */
        int error = c->used ? vrcnn_driver_error(c->driver.synchronize_event(c->done)) : VRCNN_OK;
        if (error)
            return error;
        vrcnn_gpu_release(c, c->map + i, c->map_sizes[i]);
        c->map_sizes[i] = 0;
        if ((error = vrcnn_gpu_allocate(c, c->map + i, size)))
            return error;
        c->map_sizes[i] = size;
    }
    return VRCNN_OK;
}

/* All of a launch but the band. */
static VrcnnCudaLaunch describe(const VrcnnGpuNetwork *network, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
{
    const VrcnnBranch *last = network->layer[network->layers - 1].branch;
    VrcnnCudaLaunch l;
    memset(&l, 0, sizeof l);
    l.pictures = count;
    l.width = src->width;
    l.height = src->height;
    l.bit_depth = src->bit_depth;
    l.src_bytes = src->bytes_per_sample;
    l.dst_bytes = dst->bytes_per_sample;
    l.last.shift = last->shift - (src->bit_depth - 8);
    l.last.multiplier = last->multiplier * scale >> 3;
    for (int i = 0; i < count; i++) {
        l.picture[i].src = (uintptr_t)src[i].data;
        l.picture[i].dst = (uintptr_t)dst[i].data;
        l.picture[i].src_stride = src[i].stride;
        l.picture[i].dst_stride = dst[i].stride;
    }
    return l;
}

/* At most VRCNN_CUDA_BATCH pictures, already checked. */
static int filter_batch(VrcnnCuda *c, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count, CUstream stream)
{
    const VrcnnGpuNetwork *network = c->network + index;
    VrcnnCudaLaunch l = describe(network, scale, dst, src, count);
    int rows, error;
    if ((error = reserve_maps(c, network, count, src->width, src->height, &rows)))
        return error;
    if (c->used && (error = vrcnn_driver_error(c->driver.wait(stream, c->done, 0))))
        return error;
    for (int top = 0; top < src->height && !error; top += rows) {
        l.top = top;
        l.bottom = smaller(src->height, top + rows);
        error = network->is_fused ? launch_fused(c, network, &l, stream) : launch_simple(c, network, &l, stream);
    }
    const int problem = vrcnn_driver_error(c->driver.record(c->done, stream));
    c->used = 1;
    return error ? error : problem;
}

int vrcnn_gpu_filter(VrcnnCuda *c, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count, CUstream stream)
{
    int error = VRCNN_OK;
    /* Pictures that do not fit the maps' memory together go one by one. */
    const size_t picture = plan_map(c->network + index).sample * (size_t)src->width * (size_t)src->height;
    const int together = (int)(c->map_size / picture < VRCNN_CUDA_BATCH ? c->map_size / picture : VRCNN_CUDA_BATCH);
    for (int i = 0; i < count && !error;) {
        const int some = smaller(larger(1, together), count - i);
        error = filter_batch(c, index, scale, dst + i, src + i, some, stream);
        i += some;
    }
    return error;
}
