/* Launches the kernels on bands of pictures, whose maps fit the memory that they may take.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "context.h"
#include "integers.h"
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

/* As many blocks as the GPU holds at once (`blocks` a multiprocessor), or as there are tiles. */
static int launch_persistent(VrcnnCuda *c, CUfunction function, int blocks, const VrcnnGpuShape *shape, const VrcnnCudaLaunch *l, int rows,
                             CUstream stream)
{
    const int64_t across = (l->width + shape->columns - 1) / shape->columns, down = (rows + shape->rows - 1) / shape->rows;
    const int64_t tiles = across * down * l->pictures, most = (int64_t)blocks * c->multiprocessors;
    return vrcnn_gpu_launch(c, function, tiles < most ? tiles : most, shape->threads, shape->shared, l, stream);
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
    return launch_persistent(c, c->first.function, c->first.blocks, c->first.shape, l, l->map_bottom - l->map_top, stream);
}

/* After launch_first. */
static int launch_second(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
{
    l->weights = network->second;
    l->requant[1] = requant_of(network->layer + 2, 0);
    l->requant[2] = requant_of(network->layer + 2, 1);
    return launch_persistent(c, c->second.function, c->second.blocks, c->second.shape, l, l->bottom - l->top, stream);
}

static int launch_vrcnn(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
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

/* Where the output of layer `layer` begins and ends, for the band of l. */
static void find_rows(const VrcnnGpuNetwork *network, const VrcnnCudaLaunch *l, int layer, int32_t *top, int32_t *bottom)
{
    const int margin = reach(network, layer + 1);
    *top = larger(0, l->top - margin);
    *bottom = smaller(l->height, l->bottom + margin);
}

/* The last layer's groups are the samples of a site. */
static int groups_of(const VrcnnGpuNetwork *network, int layer)
{
    const int samples = network->nature.is_joint ? VRCNN_CUDA_SITE : 1;
    return layer == network->layers - 1 ? samples : network->layer[layer].outputs / 16;
}

static void describe_branches(const VrcnnGpuNetwork *network, int layer, VrcnnCudaLaunch *l)
{
    const VrcnnLayer *from = network->layer + layer;
    l->inputs = from->inputs;
    l->outputs = from->outputs;
    l->branches = from->branches;
    for (int b = 0; b < from->branches; b++) {
        VrcnnCudaBranch *to = l->branch + b;
        to->kernel_size = from->branch[b].kernel_size;
        to->outputs = from->branch[b].outputs;
        to->requant = requant_of(from, b);
        to->weights = network->simple[layer][b];
        to->bias = to->weights + vrcnn_pack_simple_weights_size(from->branch + b);
    }
}

/* Layer i reads map i - 1, adds maybe an earlier one, and writes map i; the output of layer i is in map i % maps. */
static void describe_maps(const VrcnnCuda *c, const VrcnnGpuNetwork *network, int i, VrcnnCudaLaunch *l)
{
    const int before = i - network->layer[i].added;
    l->src_map = i ? c->map[(i - 1) % network->maps] : 0;
    l->src_top = l->dst_top;
    l->src_bottom = l->dst_bottom;
    l->dst_map = c->map[i % network->maps];
    find_rows(network, l, i, &l->dst_top, &l->dst_bottom);
    l->added_map = before < i ? c->map[before % network->maps] : 0;
    find_rows(network, l, before, &l->added_top, &l->added_bottom);
}

/* Layer by layer, a thread for each group of outputs. */
static int launch_simple(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
{
    for (int i = 0; i < network->layers; i++) {
        describe_maps(c, network, i, l);
        describe_branches(network, i, l);
        const int64_t threads = (int64_t)groups_of(network, i) * l->pictures * (l->dst_bottom - l->dst_top) * l->width;
        const int64_t blocks = (threads + VRCNN_CUDA_SIMPLE_THREADS - 1) / VRCNN_CUDA_SIMPLE_THREADS;
        const CUfunction function = i == 0 ? c->simple_first : i == network->layers - 1 ? c->simple_last : c->simple_hidden;
        const int error = blocks > MOST_BLOCKS ? (int)VRCNN_CUDA_ERROR_MEMORY
                                               : vrcnn_gpu_launch(c, function, blocks, VRCNN_CUDA_SIMPLE_THREADS, 0, l, stream);
        if (error)
            return error;
    }
    return VRCNN_OK;
}

/* The requantization of outputs first, first + 16, ... */
static void describe_groups(const VrcnnLayer *layer, int first, VrcnnCudaLaunch *l)
{
    int group = 0;
    for (int b = 0; b < layer->branches; b++)
        for (int o = 0; o < layer->branch[b].outputs; o += 16, first -= 16)
            if (first <= 0)
                l->group[group++] = requant_of(layer, b);
}

/* Layer by layer on tensor cores; a layer whose weights do not fit a block together is more than one launch. */
static int launch_joint(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
{
    for (int i = 0; i < network->layers; i++) {
        const int is_last = i == network->layers - 1, slices = vrcnn_pack_slices(network->layer + i, is_last);
        const VrcnnGpuJoint *joint = network->joint + i;
        const VrcnnGpuShape shape = {NULL, 32 * VRCNN_CUDA_JOINT_WARPS, joint->shared, 16 * joint->plan.unit_rows,
                                     VRCNN_CUDA_JOINT_COLUMNS};
        describe_maps(c, network, i, l);
        l->outputs = network->layer[i].outputs;
        l->joint = joint->plan;
        for (int slice = 0; slice < slices; slice += joint->plan.slices) {
            l->weights = joint->weights + (uint64_t)slice * (uint64_t)joint->plan.slice_bytes;
            l->first_output = slice * VRCNN_CUDA_SLICE;
            if (!is_last)
                describe_groups(network->layer + i, l->first_output, l);
            const int error = launch_persistent(c, joint->function, joint->blocks, &shape, l, l->dst_bottom - l->dst_top, stream);
            if (error)
                return error;
        }
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
    const MapPlan fused = {VRCNN_CUDA_FUSED_MAP, 2, 1}, layers = {(size_t)network->widest, reach(network, 1), network->maps};
    return network->is_fused && !network->nature.is_joint ? fused : layers;
}

/* Memory for the maps of bands of *rows rows of what l describes; fewer rows if all of them would need more than it may. */
static int reserve_maps(VrcnnCuda *c, const VrcnnGpuNetwork *network, const VrcnnCudaLaunch *l, int *rows)
{
    const MapPlan plan = plan_map(network);
    const size_t row = plan.sample * (size_t)l->width * (size_t)l->pictures;
    const size_t most = c->map_size / row;
    *rows = l->bottom - l->top;
    if (most < (size_t)smaller(l->height, *rows + 2 * plan.margin))
        *rows = larger(1, (int)most - 2 * plan.margin);
    const size_t size = row * (size_t)smaller(l->height, *rows + 2 * plan.margin);
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

static void describe_last(const VrcnnGpuWork *work, VrcnnCudaLaunch *l)
{
    const VrcnnGpuNetwork *network = work->network;
    for (int b = 0; b < (network->nature.is_joint ? 2 : 1); b++) {
        const VrcnnBranch *last = network->layer[larger(network->layers, 1) - 1].branch + b; /* there are two at least */
        const int *weights = b ? work->weights->chroma : work->weights->luma;
        l->last[b].shift = last->shift - (l->format[b].bit_depth - 8);
        for (int head = 0; head < network->nature.heads; head++)
            l->last[b].multiplier[head] = (last->multiplier * weights[head]) >> 3;
    }
}

/* One picture's planes, from the sample on that belongs to what is seen at (x, y), in samples or sites. */
static void describe_planes(const VrcnnGpuWork *work, const VrcnnPlane *dst, const VrcnnConstPlane *src, int planes, int x, int y,
                            VrcnnCudaPlane *to)
{
    for (int p = 0; p < planes; p++) {
        const int step = p == 0 && work->network->nature.is_joint ? 2 : 1;
        const int is_written = dst[p].data && (p ? work->writes_chroma : work->writes_luma);
        const int64_t row = (int64_t)y * step, column = (int64_t)x * step;
        if (!src[p].data)
            continue;
        to[p].src = (uint64_t)((int64_t)(uintptr_t)src[p].data + row * src[p].stride + column * src[p].bytes_per_sample);
        to[p].src_stride = src[p].stride;
        if (!is_written)
            continue;
        to[p].dst = (uint64_t)((int64_t)(uintptr_t)dst[p].data + row * dst[p].stride + column * dst[p].bytes_per_sample);
        to[p].dst_stride = dst[p].stride;
    }
}

/* All of a launch but the band. What is seen of the pictures is the region and all that it depends on. */
static VrcnnCudaLaunch describe(const VrcnnGpuWork *work, const VrcnnGpuPictures *pictures)
{
    const VrcnnGpuNetwork *network = work->network;
    const VrcnnConstPlane *src = pictures->src;
    const VrcnnRegion region = work->region;
    const int site = network->nature.is_joint ? 2 : 1, halo = reach(network, 0);
    const int x = larger(0, region.x - halo), y = larger(0, region.y - halo);
    VrcnnCudaLaunch l;
    memset(&l, 0, sizeof l);
    l.pictures = pictures->count;
    l.width = smaller((src->width + site - 1) / site, region.x + region.width + halo) - x;
    l.height = smaller((src->height + site - 1) / site, region.y + region.height + halo) - y;
    l.luma_width = smaller(src->width - site * x, site * l.width);
    l.luma_height = smaller(src->height - site * y, site * l.height);
    l.left = region.x - x;
    l.right = l.left + region.width;
    l.top = region.y - y;
    l.bottom = l.top + region.height;
    l.heads = network->nature.is_joint ? network->nature.heads : 0;
    for (int p = 0; p < VRCNN_CUDA_PLANES; p++) {
        const int is_there = p < pictures->planes && src[p].data;
        l.format[p].bit_depth = is_there ? src[p].bit_depth : 8; /* without chroma its values are dropped; any depth serves */
        l.format[p].src_bytes = is_there ? src[p].bytes_per_sample : 1;
        l.format[p].dst_bytes = is_there ? pictures->dst[p].bytes_per_sample : 1;
    }
    describe_last(work, &l);
    for (int i = 0; i < pictures->count; i++) {
        const ptrdiff_t first = (ptrdiff_t)i * pictures->planes;
        describe_planes(work, pictures->dst + first, src + first, pictures->planes, x, y, l.picture[i]);
    }
    return l;
}

/* The band that l describes. */
static int launch(VrcnnCuda *c, const VrcnnGpuNetwork *network, VrcnnCudaLaunch *l, CUstream stream)
{
    if (!network->is_fused)
        return launch_simple(c, network, l, stream);
    return network->nature.is_joint ? launch_joint(c, network, l, stream) : launch_vrcnn(c, network, l, stream);
}

/* At most VRCNN_CUDA_BATCH pictures. */
static int filter_batch(VrcnnCuda *c, const VrcnnGpuWork *work, const VrcnnGpuPictures *pictures, CUstream stream)
{
    const VrcnnGpuNetwork *network = work->network;
    VrcnnCudaLaunch l = describe(work, pictures);
    const int bottom = l.bottom;
    int rows, error;
    if ((error = reserve_maps(c, network, &l, &rows)))
        return error;
    if (c->used && (error = vrcnn_driver_error(c->driver.wait(stream, c->done, 0))))
        return error;
    for (int top = l.top; top < bottom && !error; top += rows) {
        l.top = top;
        l.bottom = smaller(bottom, top + rows);
        error = launch(c, network, &l, stream);
    }
    const int problem = vrcnn_driver_error(c->driver.record(c->done, stream));
    c->used = 1;
    return error ? error : problem;
}

int vrcnn_gpu_filter(VrcnnCuda *c, const VrcnnGpuWork *work, const VrcnnGpuPictures *pictures, CUstream stream)
{
    int error = VRCNN_OK;
    /* Pictures that do not fit the maps' memory together go one by one. */
    const size_t picture = plan_map(work->network).sample * (size_t)work->region.width * (size_t)work->region.height;
    const int together = (int)(c->map_size / picture < VRCNN_CUDA_BATCH ? c->map_size / picture : VRCNN_CUDA_BATCH);
    VrcnnGpuPictures some = *pictures;
    for (int i = 0; i < pictures->count && !error; i += some.count) {
        some.count = smaller(larger(1, together), pictures->count - i);
        error = filter_batch(c, work, &some, stream);
        some.dst += (ptrdiff_t)some.count * some.planes;
        some.src += (ptrdiff_t)some.count * some.planes;
    }
    return error;
}
