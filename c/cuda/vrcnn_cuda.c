/* The host's side: checks what callers give, holds the memory of the GPU, and launches the kernels on bands of pictures.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn/vrcnn_cuda.h"

#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "image.h"
#include "integers.h"
#include "launch.h"
#include "model.h"
#include "pack.h"
#include "plane.h"
#include "variants.h"

enum {
    SLOTS = 3, /* pictures of vrcnn_cuda_filter_host on their way at once */
    ALIGNMENT = 256,
    MOST_BLOCKS = 1 << 30,
    NAME_SIZE = 128
};

static const size_t default_map_size = (size_t)1 << 30;

typedef struct Shape {
    const char *name;
    int threads, shared;
    int rows, columns; /* samples of a tile of outputs */
} Shape;

#define FIRST(name, rows, columns, width, blocks)                                                                                          \
    {#name, 32 * (rows) * (columns), VRCNN_CUDA_FIRST_SHARED(rows, columns, width), 16 * (rows), (width) * (columns)},
#define SECOND(name, warps, rows, columns, width, blocks)                                                                                  \
    {#name, 32 * (warps), VRCNN_CUDA_SECOND_SHARED(rows, columns, width), 16 * (rows) - 2, (width) * (columns) - 2},
static const Shape first_shapes[] = {VRCNN_CUDA_FIRST_VARIANTS(FIRST)};
static const Shape second_shapes[] = {VRCNN_CUDA_SECOND_VARIANTS(SECOND)};
enum { FIRST_SHAPES = sizeof first_shapes / sizeof first_shapes[0], SECOND_SHAPES = sizeof second_shapes / sizeof second_shapes[0] };

/* A kernel that walks over tiles with as many blocks as the GPU can hold. */
typedef struct Persistent {
    const Shape *shape;
    CUfunction function;
    int blocks; /* on a multiprocessor */
} Persistent;

typedef struct Network {
    int is_fused, layers;
    VrcnnLayer layer[VRCNN_MAX_LAYERS]; /* bias and weights point nowhere */
    uint64_t first, second;             /* weights of the fused kernels on the GPU */
    uint64_t simple[VRCNN_MAX_LAYERS][VRCNN_MAX_BRANCHES];
    int widest; /* channels of its widest map between layers */
} Network;

/* What a picture of vrcnn_cuda_filter_host passes through. */
typedef struct Slot {
    CUstream stream;
    CUdeviceptr src, dst;
    void *pinned_src, *pinned_dst;
    size_t src_size, dst_size; /* of both kinds of memory */
    int pending;               /* the picture whose result is awaited, or -1 */
} Slot;

struct VrcnnCuda {
    VrcnnDriver driver;
    CUdevice device;
    CUcontext context;
    CUmodule module;
    char name[NAME_SIZE];
    int capability, multiprocessors;
    size_t map_size, memory;
    CUfunction simple_first, simple_hidden, simple_last, peak;
    Persistent first, second;
    CUdeviceptr weights;
    CUdeviceptr map[2];
    size_t map_sizes[2];
    CUevent done; /* recorded when the maps are free again */
    int used;     /* done has been recorded */
    Slot slot[SLOTS];
    int networks;
    Network network[];
};

const char *vrcnn_cuda_strerror(int error)
{
    switch (error) {
    case VRCNN_CUDA_ERROR_NO_DRIVER: return "there is no CUDA driver here (libcuda.so.1)";
    case VRCNN_CUDA_ERROR_OLD_DRIVER: return "the CUDA driver is too old for these kernels";
    case VRCNN_CUDA_ERROR_NO_DEVICE: return "the CUDA driver finds no GPU";
    case VRCNN_CUDA_ERROR_DEVICE_NUMBER: return "there is no GPU of this number";
    case VRCNN_CUDA_ERROR_DEVICE_KIND: return "the GPU is older than compute capability 8.0";
    case VRCNN_CUDA_ERROR_MEMORY: return "out of memory on the GPU";
    case VRCNN_CUDA_ERROR_DEVICE_FAILED:
        return "the GPU failed or is lost, or a pointer does not lead to its memory; start the process anew";
    case VRCNN_CUDA_ERROR_METHOD: return "there is no such method, or a network of the set has no fused kernels";
    case VRCNN_CUDA_ERROR_SHAPE: return "there is no such shape of tiles, or it does not fit this GPU";
    default: return vrcnn_strerror(error);
    }
}

int vrcnn_cuda_default_settings(VrcnnCudaSettings *settings, size_t size)
{
    if (!settings || size < sizeof *settings)
        return VRCNN_ERROR_ARGUMENT;
    memset(settings, 0, size);
    settings->size = size;
    return VRCNN_OK;
}

int vrcnn_cuda_compiler(void)
{
    return vrcnn_cuda_image_compiler;
}

const char *vrcnn_cuda_shape_name(int kernel, int shape)
{
    const Shape *shapes = kernel ? second_shapes : first_shapes;
    const int count = kernel ? SECOND_SHAPES : FIRST_SHAPES;
    return kernel < 0 || kernel > 1 || shape < 1 || shape > count ? NULL : shapes[shape - 1].name;
}

int vrcnn_cuda_devices(void)
{
    VrcnnDriver driver;
    int count = 0, error = vrcnn_driver_open(&driver);
    if (!error)
        error = vrcnn_driver_error(driver.device_count(&count));
    vrcnn_driver_close(&driver);
    return error ? error : count > 0 ? count : (int)VRCNN_CUDA_ERROR_NO_DEVICE;
}

static int read_settings(VrcnnCudaSettings *known, const VrcnnCudaSettings *given)
{
    if (!given)
        return vrcnn_cuda_default_settings(known, sizeof *known);
    if (given->size < sizeof *given)
        return VRCNN_ERROR_ARGUMENT;
    for (size_t i = sizeof *given; i < given->size; i++)
        if (((const uint8_t *)given)[i])
            return VRCNN_ERROR_ARGUMENT;
    *known = *given;
    return VRCNN_OK;
}

/* Makes the GPU's context the thread's; leave() gives back the one before. */
static int enter(VrcnnCuda *c)
{
    return vrcnn_driver_error(c->driver.push(c->context));
}

static int leave(VrcnnCuda *c, int error)
{
    CUcontext popped;
    const int problem = vrcnn_driver_error(c->driver.pop(&popped));
    return error ? error : problem;
}

static int allocate(VrcnnCuda *c, CUdeviceptr *out, size_t size)
{
    const int error = vrcnn_driver_error(c->driver.allocate(out, size));
    if (error)
        *out = 0;
    else
        c->memory += size;
    return error;
}

static void release(VrcnnCuda *c, CUdeviceptr *pointer, size_t size)
{
    if (*pointer) {
        c->driver.free(*pointer);
        c->memory -= size;
    }
    *pointer = 0;
}

/* The networks' weights one after the other; without a block it only counts. base: where the block will be on the GPU. */
static size_t pack_networks(VrcnnCuda *c, const VrcnnModel *model, uint8_t *block, uint64_t base)
{
    size_t at = 0;
    for (int n = 0; n < model->networks; n++) {
        const VrcnnNetwork *from = model->network + n;
        Network *to = c->network + n;
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
        Network *to = c->network + n;
        to->layers = model->network[n].layers;
        memcpy(to->layer, model->network[n].layer, sizeof to->layer);
        for (int l = 0; l + 1 < to->layers; l++)
            if (to->layer[l].outputs > to->widest)
                to->widest = to->layer[l].outputs;
        to->is_fused = method != VRCNN_CUDA_SIMPLE && vrcnn_pack_is_fused(model->network + n);
        if (method == VRCNN_CUDA_FUSED && !to->is_fused)
            return VRCNN_CUDA_ERROR_METHOD;
    }
    const size_t size = pack_networks(c, model, NULL, 0);
    int error = allocate(c, &c->weights, size);
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
static int choose_shape(VrcnnCuda *c, Persistent *kernel, const Shape *shapes, int count, int wanted, int most_shared)
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

static int open_device(VrcnnCuda *c, int number, int *most_shared)
{
    int error, count, major, minor;
    if ((error = vrcnn_driver_open(&c->driver)) || (error = vrcnn_driver_error(c->driver.device_count(&count))))
        return error;
    if (count < 1)
        return VRCNN_CUDA_ERROR_NO_DEVICE;
    if (number < 0 || number >= count)
        return VRCNN_CUDA_ERROR_DEVICE_NUMBER;
    const struct {
        int *value, attribute;
    } wanted[] = {{&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR},
                  {&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR},
                  {&c->multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT},
                  {most_shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN}};
    if ((error = vrcnn_driver_error(c->driver.device(&c->device, number))) ||
        (error = vrcnn_driver_error(c->driver.device_name(c->name, NAME_SIZE, c->device))))
        return error;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if ((error = vrcnn_driver_error(c->driver.device_attribute(wanted[i].value, wanted[i].attribute, c->device))))
            return error;
    c->capability = 10 * major + minor;
    if (major < 8)
        return VRCNN_CUDA_ERROR_DEVICE_KIND;
    return vrcnn_driver_error(c->driver.retain(&c->context, c->device));
}

static int open_context(VrcnnCuda *c, const VrcnnModel *model, const VrcnnCudaSettings *settings)
{
    int error, most_shared;
    if ((error = open_device(c, settings->device, &most_shared)))
        return error;
    if ((error = enter(c)))
        return error;
    if (!(error = load_kernels(c, settings, most_shared)) && !(error = load_weights(c, model, settings->method)))
        error = vrcnn_driver_error(c->driver.create_event(&c->done, CU_EVENT_DISABLE_TIMING));
    return leave(c, error);
}

int vrcnn_cuda_open(VrcnnCuda **out, const void *data, size_t size, const VrcnnCudaSettings *settings)
{
    VrcnnCudaSettings known;
    VrcnnModel *model;
    int error;
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    if ((!data && size) || read_settings(&known, settings))
        return VRCNN_ERROR_ARGUMENT;
    if (known.method < VRCNN_CUDA_AUTO || known.method > VRCNN_CUDA_FUSED)
        return VRCNN_CUDA_ERROR_METHOD;
    if ((error = data ? vrcnn_model_load(&model, data, size, NULL) : vrcnn_model_builtin(&model, VRCNN_BEFORE_DEBLOCKING)))
        return error;
    VrcnnCuda *c = calloc(1, sizeof *c + (size_t)model->networks * sizeof c->network[0]);
    if (!c) {
        vrcnn_model_free(model);
        return VRCNN_ERROR_MEMORY;
    }
    c->networks = model->networks;
    c->map_size = known.map_size ? known.map_size : default_map_size;
    error = open_context(c, model, &known);
    vrcnn_model_free(model);
    if (error) {
        vrcnn_cuda_close(c);
        return error;
    }
    *out = c;
    return VRCNN_OK;
}

static void close_slot(VrcnnCuda *c, Slot *slot)
{
    if (slot->stream)
        c->driver.destroy_stream(slot->stream);
    if (slot->pinned_src)
        c->driver.free_host(slot->pinned_src);
    if (slot->pinned_dst)
        c->driver.free_host(slot->pinned_dst);
    release(c, &slot->src, slot->src_size);
    release(c, &slot->dst, slot->dst_size);
    memset(slot, 0, sizeof *slot);
}

void vrcnn_cuda_close(VrcnnCuda *c)
{
    if (!c)
        return;
    if (c->context && !enter(c)) {
        if (c->used)
            c->driver.synchronize_event(c->done);
        for (int i = 0; i < SLOTS; i++)
            close_slot(c, c->slot + i);
        for (int i = 0; i < 2; i++)
            release(c, c->map + i, c->map_sizes[i]);
        release(c, &c->weights, 0);
        if (c->done)
            c->driver.destroy_event(c->done);
        if (c->module)
            c->driver.unload_module(c->module);
        leave(c, 0);
        c->driver.release(c->device);
    }
    vrcnn_driver_close(&c->driver);
    free(c);
}

const char *vrcnn_cuda_device_name(const VrcnnCuda *context)
{
    return context ? context->name : NULL;
}

int vrcnn_cuda_capability(const VrcnnCuda *context)
{
    return context ? context->capability : (int)VRCNN_ERROR_ARGUMENT;
}

int vrcnn_cuda_method(const VrcnnCuda *context, int index)
{
    if (!context)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    return context->network[index].is_fused ? VRCNN_CUDA_FUSED : VRCNN_CUDA_SIMPLE;
}

size_t vrcnn_cuda_memory(const VrcnnCuda *context)
{
    return context ? context->memory : 0;
}

static int check_pictures(const VrcnnCuda *c, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
{
    int error;
    if (!c || !dst || !src || count < 0)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= c->networks)
        return VRCNN_ERROR_INDEX;
    if (scale < 1 || scale > 10)
        return VRCNN_ERROR_SCALE;
    for (int i = 0; i < count; i++) {
        VrcnnExtent read, written;
        const VrcnnConstPlane out = vrcnn_reading(dst + i);
        if ((error = vrcnn_check_plane(&read, src + i)) || (error = vrcnn_check_plane(&written, &out)))
            return error;
        if (!vrcnn_is_alike(src + i, src) || !vrcnn_is_alike(&out, src) || src[i].bytes_per_sample != src->bytes_per_sample ||
            out.bytes_per_sample != dst->bytes_per_sample)
            return VRCNN_ERROR_PLANE;
        for (int j = 0; j <= i; j++) {
            VrcnnExtent other_read, other_written;
            const VrcnnConstPlane other = vrcnn_reading(dst + j);
            if ((error = vrcnn_check_plane(&other_read, src + j)) || (error = vrcnn_check_plane(&other_written, &other)))
                return error;
            if (vrcnn_overlap(written, other_read) || vrcnn_overlap(other_written, read) ||
                (j < i && vrcnn_overlap(written, other_written)))
                return VRCNN_ERROR_OVERLAP;
        }
    }
    return VRCNN_OK;
}

static int launch(VrcnnCuda *c, CUfunction function, int64_t blocks, int threads, int shared, const void *parameter, CUstream stream)
{
    /* The driver only reads it, but takes what is not const. */
    void *parameters[1];
    memcpy((void *)parameters, (const void *)&parameter, sizeof parameter);
    return vrcnn_driver_error(
        c->driver.launch(function, (unsigned)blocks, 1, 1, (unsigned)threads, 1, 1, (unsigned)shared, stream, parameters, NULL));
}

static int launch_persistent(VrcnnCuda *c, const Persistent *kernel, const VrcnnCudaLaunch *l, int rows, CUstream stream)
{
    const Shape *shape = kernel->shape;
    const int64_t across = (l->width + shape->columns - 1) / shape->columns, down = (rows + shape->rows - 1) / shape->rows;
    const int64_t tiles = across * down * l->pictures, most = (int64_t)kernel->blocks * c->multiprocessors;
    return launch(c, kernel->function, tiles < most ? tiles : most, shape->threads, shape->shared, l, stream);
}

static VrcnnCudaRequant requant_of(const VrcnnLayer *layer, int branch)
{
    const VrcnnCudaRequant requant = {layer->branch[branch].shift, layer->branch[branch].multiplier};
    return requant;
}

static int launch_first(VrcnnCuda *c, const Network *network, VrcnnCudaLaunch *l, CUstream stream)
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
static int launch_second(VrcnnCuda *c, const Network *network, VrcnnCudaLaunch *l, CUstream stream)
{
    l->weights = network->second;
    l->requant[1] = requant_of(network->layer + 2, 0);
    l->requant[2] = requant_of(network->layer + 2, 1);
    return launch_persistent(c, &c->second, l, l->bottom - l->top, stream);
}

static int launch_fused(VrcnnCuda *c, const Network *network, VrcnnCudaLaunch *l, CUstream stream)
{
    const int error = launch_first(c, network, l, stream);
    return error ? error : launch_second(c, network, l, stream);
}

static int reach(const Network *network, int first)
{
    int sum = 0;
    for (int i = first; i < network->layers; i++)
        sum += network->layer[i].margin;
    return sum;
}

static int launch_simple(VrcnnCuda *c, const Network *network, VrcnnCudaLaunch *l, CUstream stream)
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
        const int error =
            blocks > MOST_BLOCKS ? (int)VRCNN_CUDA_ERROR_MEMORY : launch(c, function, blocks, VRCNN_CUDA_SIMPLE_THREADS, 0, l, stream);
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

static MapPlan plan_map(const Network *network)
{
    const MapPlan fused = {VRCNN_CUDA_FUSED_MAP, 2, 1}, simple = {(size_t)network->widest, reach(network, 1), 2};
    return network->is_fused ? fused : simple;
}

/* Memory for the maps of bands of *rows rows; fewer rows if the whole picture would need more than it may. */
static int reserve_maps(VrcnnCuda *c, const Network *network, int pictures, int width, int height, int *rows)
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
        release(c, c->map + i, c->map_sizes[i]);
        c->map_sizes[i] = 0;
        if ((error = allocate(c, c->map + i, size)))
            return error;
        c->map_sizes[i] = size;
    }
    return VRCNN_OK;
}

/* All of a launch but the band. */
static VrcnnCudaLaunch describe(const Network *network, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
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
    const Network *network = c->network + index;
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

int vrcnn_cuda_filter(VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count, void *stream)
{
    int error = check_pictures(context, index, scale, dst, src, count);
    if (error || !count || (error = enter(context)))
        return error;
    /* Pictures that do not fit the maps' memory together go one by one. */
    const size_t picture = plan_map(context->network + index).sample * (size_t)src->width * (size_t)src->height;
    const int together = (int)(context->map_size / picture < VRCNN_CUDA_BATCH ? context->map_size / picture : VRCNN_CUDA_BATCH);
    for (int i = 0; i < count && !error;) {
        const int some = smaller(larger(1, together), count - i);
        error = filter_batch(context, index, scale, dst + i, src + i, some, stream);
        i += some;
    }
    return leave(context, error);
}

static void copy_rows(uint8_t *to, ptrdiff_t to_stride, const uint8_t *from, ptrdiff_t from_stride, size_t row, int rows)
{
    for (int y = 0; y < rows; y++)
        memcpy(to + y * to_stride, from + y * from_stride, row);
}

static int grow(VrcnnCuda *c, CUdeviceptr *device, void **pinned, size_t *size, size_t wanted)
{
    int error;
    if (*size >= wanted)
        return VRCNN_OK;
    release(c, device, *size);
    if (*pinned)
        c->driver.free_host(*pinned);
    *pinned = NULL;
    *size = 0;
    if ((error = allocate(c, device, wanted)))
        return error;
    if ((error = vrcnn_driver_error(c->driver.allocate_host(pinned, wanted, 0)))) {
        *pinned = NULL;
        release(c, device, wanted);
        return error;
    }
    *size = wanted;
    return VRCNN_OK;
}

/* Waits for the slot's picture, if there is one, and hands its samples over. */
static int finish(VrcnnCuda *c, Slot *slot, const VrcnnPlane *dst)
{
    if (slot->pending < 0)
        return VRCNN_OK;
    const VrcnnPlane *to = dst + slot->pending;
    const size_t row = (size_t)to->width * (size_t)to->bytes_per_sample;
    const int error = vrcnn_driver_error(c->driver.synchronize(slot->stream));
    if (!error)
        copy_rows(to->data, to->stride, slot->pinned_dst, (ptrdiff_t)row, row, to->height);
    slot->pending = -1;
    return error;
}

static int begin(VrcnnCuda *c, Slot *slot, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int picture)
{
    const VrcnnConstPlane *from = src + picture;
    const size_t src_row = (size_t)from->width * (size_t)from->bytes_per_sample, src_size = src_row * (size_t)from->height;
    const size_t dst_row = (size_t)from->width * (size_t)dst->bytes_per_sample, dst_size = dst_row * (size_t)from->height;
    int error;
    if (!slot->stream && (error = vrcnn_driver_error(c->driver.create_stream(&slot->stream, CU_STREAM_NON_BLOCKING))))
        return error;
    if ((error = grow(c, &slot->src, &slot->pinned_src, &slot->src_size, src_size)) ||
        (error = grow(c, &slot->dst, &slot->pinned_dst, &slot->dst_size, dst_size)))
        return error;
    copy_rows(slot->pinned_src, (ptrdiff_t)src_row, from->data, from->stride, src_row, from->height);
    VrcnnConstPlane device_src = *from;
    VrcnnPlane device_dst = dst[picture];
    device_src.data = vrcnn_driver_pointer(slot->src);
    device_src.stride = (ptrdiff_t)src_row;
    device_dst.data = vrcnn_driver_pointer(slot->dst);
    device_dst.stride = (ptrdiff_t)dst_row;
    slot->pending = picture;
    if ((error = vrcnn_driver_error(c->driver.to_device(slot->src, slot->pinned_src, src_size, slot->stream))) ||
        (error = filter_batch(c, index, scale, &device_dst, &device_src, 1, slot->stream)))
        return error;
    return vrcnn_driver_error(c->driver.to_host(slot->pinned_dst, slot->dst, dst_size, slot->stream));
}

int vrcnn_cuda_filter_host(VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
{
    int error = check_pictures(context, index, scale, dst, src, count);
    if (error || !count || (error = enter(context)))
        return error;
    for (int i = 0; i < SLOTS; i++)
        context->slot[i].pending = -1;
    for (int i = 0; i < count && !error; i++) {
        Slot *slot = context->slot + i % SLOTS;
        if (!(error = finish(context, slot, dst)))
            error = begin(context, slot, index, scale, dst, src, i);
    }
    for (int i = 0; i < SLOTS; i++) { /* the oldest first; after an error only to leave nothing behind */
        const int problem = finish(context, context->slot + (count + i) % SLOTS, dst);
        error = error ? error : problem;
    }
    return leave(context, error);
}

/* Seconds of so many rounds; negative: an error. */
static double time_peak(VrcnnCuda *c, VrcnnCudaPeak *peak, int blocks, CUevent before, CUevent after)
{
    float milliseconds = 0;
    int error;
    if ((error = vrcnn_driver_error(c->driver.record(before, NULL))) ||
        (error = launch(c, c->peak, blocks, VRCNN_CUDA_PEAK_THREADS, 0, peak, NULL)) ||
        (error = vrcnn_driver_error(c->driver.record(after, NULL))) || (error = vrcnn_driver_error(c->driver.synchronize_event(after))) ||
        (error = vrcnn_driver_error(c->driver.elapsed(&milliseconds, before, after))))
        return error;
    return milliseconds / 1e3;
}

double vrcnn_cuda_peak(VrcnnCuda *c, double milliseconds)
{
    enum { TRIAL = 16, WARPS = VRCNN_CUDA_PEAK_THREADS / 32 };
    CUevent before = NULL, after = NULL;
    CUdeviceptr result = 0;
    double rate = 0;
    int error, blocks;
    if (!c || !(milliseconds > 0))
        return VRCNN_ERROR_ARGUMENT;
    if ((error = enter(c)))
        return error;
    if ((error = vrcnn_driver_error(c->driver.occupancy(&blocks, c->peak, VRCNN_CUDA_PEAK_THREADS, 0))))
        return leave(c, error);
    blocks *= c->multiprocessors;
    const size_t size = (size_t)blocks * VRCNN_CUDA_PEAK_THREADS * 4;
    if (!(error = vrcnn_driver_error(c->driver.create_event(&before, CU_EVENT_DEFAULT))) &&
        !(error = vrcnn_driver_error(c->driver.create_event(&after, CU_EVENT_DEFAULT))) && !(error = allocate(c, &result, size))) {
        VrcnnCudaPeak peak = {result, TRIAL};
        /* The first run loads the kernel, the second says how long one takes, the third brings up the clock. */
        double seconds = time_peak(c, &peak, blocks, before, after);
        for (int i = 0; i < 3 && seconds > 0; i++) {
            seconds = time_peak(c, &peak, blocks, before, after);
            if (i == 0 && seconds > 0) {
                const double wanted = TRIAL * milliseconds / 1e3 / seconds;
                peak.rounds = wanted < 1e9 ? 1 + (int32_t)wanted : 1000000000;
            }
        }
        const double macs = (double)blocks * WARPS * VRCNN_CUDA_PEAK_PRODUCTS * peak.rounds * 16 * 8 * 32;
        rate = seconds > 0 ? macs / seconds / 1e9 : seconds;
    }
    release(c, &result, size);
    if (before)
        c->driver.destroy_event(before);
    if (after)
        c->driver.destroy_event(after);
    error = leave(c, error);
    return error ? error : rate;
}
