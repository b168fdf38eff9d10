/* Filtering pictures of three planes.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "context.h"
#include "units.h"

enum { PLANES = 3 };

/* Luma, and of chroma either both planes of 4:2:0 or none. */
static VrcnnError check_read(VrcnnExtent read[PLANES], const VrcnnConstPlane *src)
{
    VrcnnError error = vrcnn_check_plane(read, src);
    const VrcnnConstPlane *cb = src + 1, *cr = src + 2;
    if (error || (!cb->data && !cr->data))
        return error;
    if ((error = vrcnn_check_plane(read + 1, cb)) || (error = vrcnn_check_plane(read + 2, cr)))
        return error;
    return vrcnn_is_alike(cb, cr) && cb->width == (src->width + 1) / 2 && cb->height == (src->height + 1) / 2 ? VRCNN_OK
                                                                                                              : VRCNN_ERROR_PLANE;
}

/* The planes of dst, which must be apart from all others. */
static VrcnnError check_planes(VrcnnExtent written[PLANES], const VrcnnPlane *dst, const VrcnnConstPlane *src)
{
    VrcnnExtent read[PLANES] = {{0, 0}, {0, 0}, {0, 0}};
    VrcnnError error = check_read(read, src);
    if (error)
        return error;
    if (!dst[0].data && !dst[1].data && !dst[2].data)
        return VRCNN_ERROR_ARGUMENT;
    for (int plane = 0; plane < PLANES; plane++) {
        if (!dst[plane].data)
            continue;
        if (!src[plane].data)
            return VRCNN_ERROR_PLANE;
        if ((error = vrcnn_check_written(written + plane, dst + plane, src + plane)))
            return error;
        for (int other = 0; other < PLANES; other++)
            if (vrcnn_overlap(written[plane], read[other]) || (other < plane && vrcnn_overlap(written[plane], written[other])))
                return VRCNN_ERROR_OVERLAP;
    }
    return VRCNN_OK;
}

/* A filter that is to write luma, chroma, or both. */
static VrcnnError check_filter(const VrcnnContext *context, int index, const VrcnnWeights *weights, int writes_chroma)
{
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    if (!context->pipeline[index].is_joint && writes_chroma)
        return VRCNN_ERROR_KIND;
    const int least = context->heads[index] > 1 ? -5 : 1, most = 10, is_joint = context->pipeline[index].is_joint;
    for (int head = 0; head < context->heads[index]; head++)
        if (weights->luma[head] < least || weights->luma[head] > most ||
            (is_joint && (weights->chroma[head] < least || weights->chroma[head] > most)))
            return VRCNN_ERROR_SCALE;
    return VRCNN_OK;
}

/* Sites are whole, but at the picture's right and bottom. */
static int is_of_sites(VrcnnRegion region, const VrcnnConstPlane *luma)
{
    return !(region.x & 1) && !(region.y & 1) && (!(region.width & 1) || region.x + region.width == luma->width) &&
           (!(region.height & 1) || region.y + region.height == luma->height);
}

static VrcnnError filter(VrcnnContext *context, int index, const VrcnnWeights *weights, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                         const VrcnnRegion *wanted)
{
    VrcnnError error;
    VrcnnExtent written[PLANES] = {{0, 0}, {0, 0}, {0, 0}};
    if (!context || !weights || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = check_filter(context, index, weights, dst[1].data || dst[2].data)) || (error = check_planes(written, dst, src)))
        return error;
    const VrcnnRegion whole = {0, 0, src->width, src->height}, region = wanted ? *wanted : whole;
    if (!vrcnn_is_inside(region, src) || (context->pipeline[index].is_joint && !is_of_sites(region, src)))
        return VRCNN_ERROR_REGION;
    const VrcnnChoices choices = {.index = {index}, .weights = {*weights}, .region = region};
    const VrcnnWork work = {.src = src, .dst = dst};
    vrcnn_context_run(context, &work, &choices);
    return VRCNN_OK;
}

VrcnnError vrcnn_filter_planes(VrcnnContext *context, int index, const VrcnnWeights *weights, const VrcnnPlane dst[3],
                               const VrcnnConstPlane src[3])
{
    return filter(context, index, weights, dst, src, NULL);
}

VrcnnError vrcnn_filter_planes_region(VrcnnContext *context, int index, const VrcnnWeights *weights, const VrcnnPlane dst[3],
                                      const VrcnnConstPlane src[3], int x, int y, int width, int height)
{
    const VrcnnRegion region = {x, y, width, height};
    return filter(context, index, weights, dst, src, &region);
}

/* A map's choices, and that it is apart from what is written. *chosen: a bit for each filter that a unit has. */
static VrcnnError check_map(unsigned *chosen, const uint8_t *unit, int count, int filters, const VrcnnExtent written[PLANES])
{
    const uintptr_t first = (uintptr_t)unit;
    const VrcnnExtent map = {first, first + (size_t)count};
    *chosen = 0;
    for (int plane = 0; plane < PLANES; plane++)
        if (vrcnn_overlap(map, written[plane]))
            return VRCNN_ERROR_OVERLAP;
    for (int i = 0; i < count; i++) {
        if (unit[i] > filters)
            return VRCNN_ERROR_UNITS;
        *chosen |= 1u << unit[i];
    }
    return VRCNN_OK;
}

VrcnnError vrcnn_filter_planes_units(VrcnnContext *context, const VrcnnPlaneUnits *units, const VrcnnPlane dst[3],
                                     const VrcnnConstPlane src[3])
{
    VrcnnChoices choices = {0};
    VrcnnError error;
    VrcnnExtent written[PLANES] = {{0, 0}, {0, 0}, {0, 0}};
    unsigned luma = 0, chroma = 0;
    if (!context || !units || (!units->luma && !units->chroma) || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (vrcnn_unit_size_index(units->unit_size) < 0 || units->filters < 1 || units->filters > VRCNN_MAX_CHOICES)
        return VRCNN_ERROR_UNITS;
    for (int i = 0; i < units->filters; i++) {
        if ((error = check_filter(context, units->index[i], units->weights + i, 0)))
            return error;
        choices.index[i] = units->index[i];
        choices.weights[i] = units->weights[i];
    }
    if ((error = check_planes(written, dst, src)))
        return error;
    const int count = vrcnn_grid(src->width, src->height, units->unit_size).count;
    if ((units->luma && (error = check_map(&luma, units->luma, count, units->filters, written))) ||
        (units->chroma && (error = check_map(&chroma, units->chroma, count, units->filters, written))))
        return error;
    for (int i = 0; i < units->filters; i++)
        if (chroma >> (i + 1) & 1 && !context->pipeline[units->index[i]].is_joint)
            return VRCNN_ERROR_KIND;
    choices.unit_size = units->unit_size;
    choices.luma = dst[0].data ? units->luma : NULL;
    choices.chroma = dst[1].data || dst[2].data ? units->chroma : NULL;
    const VrcnnWork work = {.src = src, .dst = dst};
    vrcnn_context_run(context, &work, &choices);
    return VRCNN_OK;
}

VrcnnError vrcnn_filter_planes_layer(VrcnnContext *context, int index, int layer, uint8_t *dst, ptrdiff_t dst_stride,
                                     const VrcnnConstPlane src[3], int x, int y, int width, int height)
{
    VrcnnError error;
    VrcnnExtent read[PLANES] = {{0, 0}, {0, 0}, {0, 0}}, written;
    if (!context || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    const VrcnnPipeline *pipeline = context->pipeline + index;
    if (layer < 0 || layer >= pipeline->layers - 1)
        return VRCNN_ERROR_LAYER;
    if ((error = check_read(read, src)))
        return error;
    const int site = pipeline->is_joint ? 2 : 1;
    const VrcnnConstPlane sites = {src->data, 0, (src->width + site - 1) / site, (src->height + site - 1) / site, 8, 1};
    const VrcnnRegion region = {x, y, width, height};
    if (!vrcnn_is_inside(region, &sites))
        return VRCNN_ERROR_REGION;
    const size_t channels = (size_t)pipeline->layer[layer].outputs;
    if ((error = vrcnn_find_extent(&written, dst, dst_stride, (size_t)width * channels, height)))
        return error;
    for (int plane = 0; plane < PLANES; plane++)
        if (vrcnn_overlap(read[plane], written))
            return VRCNN_ERROR_OVERLAP;
    const VrcnnRegion samples = {x * site, y * site, width * site, height * site};
    const VrcnnChoices choices = {.index = {index}, .region = samples};
    const VrcnnWork work = {.src = src, .values = dst, .values_stride = dst_stride, .layer = layer, .x = x, .y = y};
    vrcnn_context_run(context, &work, &choices);
    return VRCNN_OK;
}
