/* Contexts, and how a picture is cut into pieces for the kernels.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn/vrcnn.h"

#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "model.h"

/* A picture is filtered in tiles: every layer on the tile and the margin that later layers read, from one buffer into the other. */
enum { TILE_WIDTH = 128, TILE_HEIGHT = 64, ALIGNMENT = 64 };

typedef struct Layer {
    int branches, inputs, outputs;
    int margin;
    VrcnnConv conv[VRCNN_MAX_BRANCHES];
} Layer;

typedef struct Network {
    int layers;
    Layer layer[VRCNN_MAX_LAYERS];
} Network;

struct VrcnnContext {
    void *block; /* as malloc gave it: the context and all that it points to */
    VrcnnKernelTable table;
    int networks;
    Network *network;
    uint8_t *buffers[2]; /* values between layers */
    int16_t *residual;   /* of one tile */
    void *scratch;       /* the kernels' */
};

typedef struct Region {
    int x, y, width, height;
} Region;

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
    arena->used = at + (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return arena->base ? arena->base + at : NULL;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static int smaller_int(int a, int b)
{
    return a < b ? a : b;
}

static int larger_int(int a, int b)
{
    return a > b ? a : b;
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
    return VRCNN_OK;
}

/* A caller compiled against a later version may have more fields, as long as it leaves them 0. */
static VrcnnError read_settings(VrcnnSettings *known, const VrcnnSettings *given)
{
    if (!given)
        return vrcnn_default_settings(known, sizeof *known);
    if (given->size < sizeof *given)
        return VRCNN_ERROR_ARGUMENT;
    for (size_t i = sizeof *given; i < given->size; i++)
        if (((const uint8_t *)given)[i])
            return VRCNN_ERROR_ARGUMENT;
    *known = *given;
    return VRCNN_OK;
}

static void open_branch(VrcnnConv *conv, const VrcnnKernelTable *table, const VrcnnBranch *branch, int is_first, Arena *arena)
{
    int32_t *bias = take(arena, (size_t)branch->outputs * sizeof *bias);
    void *weights = take(arena, table->packed_size(branch->kernel_size, branch->inputs, branch->outputs));
    if (!arena->base)
        return;
    for (int i = 0; i < branch->outputs; i++)
        bias[i] = (int32_t)(vrcnn_bias(branch, i) - (is_first ? vrcnn_bias_fold(branch, i) : 0));
    table->pack(weights, branch->weights, branch->kernel_size, branch->inputs, branch->outputs);
    conv->kernel_size = branch->kernel_size;
    conv->inputs = branch->inputs;
    conv->outputs = branch->outputs;
    conv->shift = branch->shift;
    conv->multiplier = branch->multiplier;
    conv->bias = bias;
    conv->weights = weights;
}

/* Without a block in the arena: only counts. */
static VrcnnContext *lay_out(Arena *arena, const VrcnnKernelTable *table, const VrcnnModel *model)
{
    size_t values[2] = {0, 0}, scratch = 0;
    VrcnnContext *context = take(arena, sizeof *context);
    Network *networks = take(arena, (size_t)model->networks * sizeof *networks);
    for (int n = 0; n < model->networks; n++) {
        const VrcnnNetwork *from = model->network + n;
        int halo = 0; /* of the layer's inputs */
        for (int i = from->layers - 1; i >= 0; i--) {
            const VrcnnLayer *layer = from->layer + i;
            Layer *to = networks ? networks[n].layer + i : NULL;
            halo += layer->margin;
            const size_t samples = (size_t)(TILE_WIDTH + 2 * halo) * (size_t)(TILE_HEIGHT + 2 * halo);
            values[i & 1] = larger(values[i & 1], samples * (size_t)layer->inputs);
            for (int b = 0; b < layer->branches; b++) {
                const VrcnnBranch *branch = layer->branch + b;
                open_branch(to ? to->conv + b : NULL, table, branch, i == 0, arena);
                scratch = larger(scratch, table->scratch_size(branch->kernel_size, branch->inputs, branch->outputs));
            }
            if (to) {
                to->branches = layer->branches;
                to->inputs = layer->inputs;
                to->outputs = layer->outputs;
                to->margin = layer->margin;
            }
        }
        if (networks)
            networks[n].layers = from->layers;
    }
    uint8_t *even = take(arena, values[0]);
    uint8_t *odd = take(arena, values[1]);
    int16_t *residual = take(arena, TILE_WIDTH * TILE_HEIGHT * sizeof *residual);
    void *kernel_scratch = take(arena, scratch);
    if (context) {
        context->table = *table;
        context->networks = model->networks;
        context->network = networks;
        context->buffers[0] = even;
        context->buffers[1] = odd;
        context->residual = residual;
        context->scratch = kernel_scratch;
    }
    return context;
}

VrcnnError vrcnn_open(VrcnnContext **out, const VrcnnModel *model, const VrcnnSettings *settings)
{
    VrcnnSettings known;
    VrcnnKernelTable table;
    Arena arena = {NULL, 0, 0};
    VrcnnError error;
    if (out)
        *out = NULL;
    if (!out || !model)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = read_settings(&known, settings)) || (error = vrcnn_kernel_table(&table, known.kernel)))
        return error;
    lay_out(&arena, &table, model);
    void *block = arena.overflow ? NULL : malloc(arena.used + ALIGNMENT);
    if (!block)
        return VRCNN_ERROR_MEMORY;
    arena.base = (uint8_t *)block + (ALIGNMENT - (uintptr_t)block % ALIGNMENT);
    arena.used = 0;
    *out = lay_out(&arena, &table, model);
    (*out)->block = block;
    return VRCNN_OK;
}

void vrcnn_close(VrcnnContext *context)
{
    if (context)
        free(context->block);
}

int vrcnn_context_kernel(const VrcnnContext *context)
{
    return context ? (int)context->table.kernel : (int)VRCNN_ERROR_ARGUMENT;
}

/* The part of a region that lies inside the picture. */
static Region inside(Region region, int width, int height)
{
    const int right = smaller_int(region.x + region.width, width), bottom = smaller_int(region.y + region.height, height);
    region.x = larger_int(region.x, 0);
    region.y = larger_int(region.y, 0);
    region.width = right - region.x;
    region.height = bottom - region.y;
    return region;
}

static Region grown(Region region, int margin)
{
    region.x -= margin;
    region.y -= margin;
    region.width += 2 * margin;
    region.height += 2 * margin;
    return region;
}

static size_t offset_in(Region region, int x, int y, int channels)
{
    return ((size_t)(y - region.y) * (size_t)region.width + (size_t)(x - region.x)) * (size_t)channels;
}

/* Sets the values of a region that lie outside its part `core`. */
static void fill_around(uint8_t *values, Region region, Region core, int channels, int value)
{
    const size_t row = (size_t)region.width * (size_t)channels;
    const size_t left = (size_t)(core.x - region.x) * (size_t)channels, middle = (size_t)core.width * (size_t)channels;
    for (int y = region.y; y < region.y + region.height; y++, values += row)
        if (y < core.y || y >= core.y + core.height) {
            memset(values, value, row);
        } else {
            memset(values, value, left);
            memset(values + left + middle, value, row - left - middle);
        }
}

static int read_sample(const uint8_t *row, int x, const VrcnnConstPlane *plane)
{
    uint16_t sample;
    if (plane->bytes_per_sample == 1)
        return row[x];
    memcpy(&sample, row + 2 * (size_t)x, sizeof sample);
    return smaller_int(sample, (1 << plane->bit_depth) - 1);
}

/* The input of layer 0, as x + 128. */
static void load_samples(uint8_t *values, Region region, const VrcnnConstPlane *src)
{
    const Region core = inside(region, src->width, src->height);
    const int down = src->bit_depth - 8, half = (1 << down) >> 1;
    fill_around(values, region, core, 1, 128);
    for (int y = core.y; y < core.y + core.height; y++) {
        const uint8_t *row = (const uint8_t *)src->data + y * src->stride;
        uint8_t *to = values + offset_in(region, core.x, y, 1);
        if (src->bytes_per_sample == 1)
            memcpy(to, row + core.x, (size_t)core.width);
        else
            for (int x = 0; x < core.width; x++)
                to[x] = (uint8_t)smaller_int((read_sample(row, core.x + x, src) + half) >> down, 255);
    }
}

/* Runs the layers before `stop` on a tile and returns that layer's input buffer; *region becomes the part of the picture in it: the tile
 * and the margin of layer `stop`, if that layer is to run at all. */
static const uint8_t *run_hidden(VrcnnContext *context, const Network *network, int stop, int margin, const VrcnnConstPlane *src,
                                 Region tile, Region *region)
{
    int halo = margin;
    for (int i = 0; i < stop; i++)
        halo += network->layer[i].margin;
    Region from = grown(tile, halo);
    load_samples(context->buffers[0], from, src);
    for (int i = 0; i < stop; i++) {
        const Layer *layer = network->layer + i;
        const uint8_t *values = context->buffers[i & 1];
        uint8_t *out = context->buffers[~i & 1];
        halo -= layer->margin;
        const Region to = grown(tile, halo), core = inside(to, src->width, src->height);
        fill_around(out, to, core, layer->outputs, 0);
        out += offset_in(to, core.x, core.y, layer->outputs);
        for (int b = 0; b < layer->branches; b++) {
            const VrcnnConv *conv = layer->conv + b;
            const int reach = conv->kernel_size / 2;
            context->table.conv_hidden(out, (ptrdiff_t)to.width * layer->outputs, layer->outputs,
                                       values + offset_in(from, core.x - reach, core.y - reach, layer->inputs),
                                       (ptrdiff_t)from.width * layer->inputs, core.width, core.height, conv, context->scratch);
            out += conv->outputs;
        }
        from = to;
    }
    *region = from;
    return context->buffers[stop & 1];
}

static void filter_tile(VrcnnContext *context, const Network *network, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                        Region tile)
{
    const Layer *last = network->layer + (network->layers - 1);
    const VrcnnConv *conv = last->conv;
    const int max = (1 << src->bit_depth) - 1;
    Region from;
    const uint8_t *values = run_hidden(context, network, network->layers - 1, last->margin, src, tile, &from);
    context->table.conv_residual(context->residual, tile.width, values, (ptrdiff_t)from.width * last->inputs, tile.width, tile.height, conv,
                                 conv->shift - (src->bit_depth - 8), (conv->multiplier * scale) >> 3, context->scratch);
    for (int y = 0; y < tile.height; y++) {
        const uint8_t *in = (const uint8_t *)src->data + (tile.y + y) * src->stride;
        uint8_t *out = (uint8_t *)dst->data + (tile.y + y) * dst->stride;
        const int16_t *residual = context->residual + (ptrdiff_t)y * tile.width;
        for (int x = 0; x < tile.width; x++) {
            const int sum = read_sample(in, tile.x + x, src) + residual[x];
            const uint16_t sample = (uint16_t)larger_int(smaller_int(sum, max), 0);
            if (dst->bytes_per_sample == 1)
                out[tile.x + x] = (uint8_t)sample;
            else
                memcpy(out + 2 * (size_t)(tile.x + x), &sample, sizeof sample);
        }
    }
}

/* The memory from a plane's first to its last byte. */
typedef struct Extent {
    uintptr_t begin, end;
} Extent;

static VrcnnError find_extent(Extent *extent, const void *data, ptrdiff_t stride, size_t row, int height)
{
    const size_t step = stride < 0 ? (size_t)0 - (size_t)stride : (size_t)stride, rows = (size_t)height - 1;
    if (rows && (step < row || step > (PTRDIFF_MAX - row) / rows))
        return VRCNN_ERROR_PLANE;
    const size_t span = rows * step;
    const uintptr_t first = (uintptr_t)data;
    if (stride < 0 ? first < span || first - span > UINTPTR_MAX - (span + row) : first > UINTPTR_MAX - (span + row))
        return VRCNN_ERROR_PLANE;
    extent->begin = stride < 0 ? first - span : first;
    extent->end = extent->begin + span + row;
    return VRCNN_OK;
}

static VrcnnError check_plane(Extent *extent, const VrcnnConstPlane *plane)
{
    if (!plane->data)
        return VRCNN_ERROR_ARGUMENT;
    if (plane->bit_depth < 8 || plane->bit_depth > 10)
        return VRCNN_ERROR_BIT_DEPTH;
    if (plane->width < 1 || plane->width > VRCNN_MAX_SIZE || plane->height < 1 || plane->height > VRCNN_MAX_SIZE ||
        plane->bytes_per_sample < (plane->bit_depth > 8 ? 2 : 1) || plane->bytes_per_sample > 2)
        return VRCNN_ERROR_PLANE;
    return find_extent(extent, plane->data, plane->stride, (size_t)plane->width * (size_t)plane->bytes_per_sample, plane->height);
}

static int overlap(Extent a, Extent b)
{
    return a.begin < b.end && b.begin < a.end;
}

static int is_inside(Region region, const VrcnnConstPlane *plane)
{
    return region.x >= 0 && region.y >= 0 && region.width >= 1 && region.height >= 1 && region.x < plane->width &&
           region.y < plane->height && region.width <= plane->width - region.x && region.height <= plane->height - region.y;
}

/* Walks over a region in tiles of nearly equal size. Begin with tile = {0}; 0 at the end. */
static int next_tile(Region *tile, Region region)
{
    const int columns = (region.width + TILE_WIDTH - 1) / TILE_WIDTH, width = (region.width + columns - 1) / columns;
    const int rows = (region.height + TILE_HEIGHT - 1) / TILE_HEIGHT, height = (region.height + rows - 1) / rows;
    if (!tile->width) {
        tile->x = region.x;
        tile->y = region.y;
    } else {
        tile->x += tile->width;
    }
    if (tile->x >= region.x + region.width) {
        tile->x = region.x;
        tile->y += tile->height;
    }
    tile->width = smaller_int(width, region.x + region.width - tile->x);
    tile->height = smaller_int(height, region.y + region.height - tile->y);
    return tile->height > 0;
}

static VrcnnError filter(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                         const Region *wanted)
{
    VrcnnError error;
    Extent read, written;
    if (!context || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    if (scale < 1 || scale > 10)
        return VRCNN_ERROR_SCALE;
    const VrcnnConstPlane dst_to_read = {dst->data, dst->stride, dst->width, dst->height, dst->bit_depth, dst->bytes_per_sample};
    if ((error = check_plane(&read, src)) || (error = check_plane(&written, &dst_to_read)))
        return error;
    if (dst->width != src->width || dst->height != src->height || dst->bit_depth != src->bit_depth)
        return VRCNN_ERROR_PLANE;
    const Region whole = {0, 0, src->width, src->height}, region = wanted ? *wanted : whole;
    if (!is_inside(region, src))
        return VRCNN_ERROR_REGION;
    if (overlap(read, written))
        return VRCNN_ERROR_OVERLAP;
    for (Region tile = {0, 0, 0, 0}; next_tile(&tile, region);)
        filter_tile(context, context->network + index, scale, dst, src, tile);
    return VRCNN_OK;
}

VrcnnError vrcnn_filter_picture(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src)
{
    return filter(context, index, scale, dst, src, NULL);
}

VrcnnError vrcnn_filter_region(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int x, int y,
                               int width, int height)
{
    const Region region = {x, y, width, height};
    return filter(context, index, scale, dst, src, &region);
}

VrcnnError vrcnn_filter_layer(VrcnnContext *context, int index, int layer, uint8_t *dst, ptrdiff_t dst_stride, const VrcnnConstPlane *src,
                              int x, int y, int width, int height)
{
    const Region region = {x, y, width, height};
    VrcnnError error;
    Extent read, written;
    if (!context || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    const Network *network = context->network + index;
    if (layer < 0 || layer >= network->layers - 1)
        return VRCNN_ERROR_LAYER;
    if ((error = check_plane(&read, src)))
        return error;
    if (!is_inside(region, src))
        return VRCNN_ERROR_REGION;
    const size_t channels = (size_t)network->layer[layer].outputs;
    if ((error = find_extent(&written, dst, dst_stride, (size_t)width * channels, height)))
        return error;
    if (overlap(read, written))
        return VRCNN_ERROR_OVERLAP;
    for (Region tile = {0, 0, 0, 0}; next_tile(&tile, region);) {
        Region from;
        const uint8_t *values = run_hidden(context, network, layer + 1, 0, src, tile, &from);
        const size_t row = (size_t)tile.width * channels;
        for (int i = 0; i < tile.height; i++, values += row)
            memcpy(dst + (tile.y - y + i) * dst_stride + (ptrdiff_t)((size_t)(tile.x - x) * channels), values, row);
    }
    return VRCNN_OK;
}
