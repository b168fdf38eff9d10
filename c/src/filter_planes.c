/* Filtering pictures of three planes.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "context.h"
#include "integers.h"
#include "planes.h"

static VrcnnNature nature(const VrcnnContext *context, int index)
{
    const VrcnnPipeline *pipeline = context->pipeline + index;
    const VrcnnConv *last = pipeline->layer[pipeline->layers - 1].conv;
    const int is_deep = pipeline->is_joint && last[0].shift >= VRCNN_DEEP - 8 && last[1].shift >= VRCNN_DEEP - 8; /* or q is negative */
    const VrcnnNature network = {pipeline->is_joint, context->heads[index], is_deep ? VRCNN_DEEP : VRCNN_USUAL};
    return network;
}

static VrcnnError check_filter(const VrcnnContext *context, int index, const VrcnnWeights *weights, int writes_chroma)
{
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    return vrcnn_check_filter(nature(context, index), weights, writes_chroma);
}

static VrcnnError filter(VrcnnContext *context, int index, const VrcnnWeights *weights, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                         const VrcnnRegion *wanted)
{
    VrcnnError error;
    VrcnnExtent read[VRCNN_PLANES], written[VRCNN_PLANES];
    if (!context || !weights || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = check_filter(context, index, weights, dst[1].data || dst[2].data)) ||
        (error = vrcnn_check_planes(read, written, dst, src, nature(context, index).deepest)))
        return error;
    const VrcnnRegion whole = {0, 0, src->width, src->height}, region = wanted ? *wanted : whole;
    if (!vrcnn_is_inside(region, src) || !vrcnn_is_of_sites(region, src, nature(context, index)))
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

VrcnnError vrcnn_filter_planes_units(VrcnnContext *context, const VrcnnPlaneUnits *units, const VrcnnPlane dst[3],
                                     const VrcnnConstPlane src[3])
{
    VrcnnError error;
    VrcnnNature networks[VRCNN_MAX_CHOICES] = {{0}};
    int deepest = VRCNN_DEEP;
    VrcnnExtent read[VRCNN_PLANES], written[VRCNN_PLANES];
    if (!context || !units || (!units->luma && !units->chroma) || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = vrcnn_check_units(units)))
        return error;
    for (int i = 0; i < units->filters; i++) {
        if ((error = check_filter(context, units->index[i], units->weights + i, 0)))
            return error;
        networks[i] = nature(context, units->index[i]);
        deepest = smaller(deepest, networks[i].deepest);
    }
    if ((error = vrcnn_check_planes(read, written, dst, src, deepest)) || (error = vrcnn_check_maps(units, networks, written, src)))
        return error;
    const VrcnnChoices choices = vrcnn_choices_of(units, dst);
    const VrcnnWork work = {.src = src, .dst = dst};
    vrcnn_context_run(context, &work, &choices);
    return VRCNN_OK;
}

VrcnnError vrcnn_filter_planes_layer(VrcnnContext *context, int index, int layer, uint8_t *dst, ptrdiff_t dst_stride,
                                     const VrcnnConstPlane src[3], int x, int y, int width, int height)
{
    VrcnnError error;
    VrcnnExtent read[VRCNN_PLANES], written;
    if (!context || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    const VrcnnPipeline *pipeline = context->pipeline + index;
    if (layer < 0 || layer >= pipeline->layers - 1)
        return VRCNN_ERROR_LAYER;
    if ((error = vrcnn_check_read(read, src, nature(context, index).deepest)))
        return error;
    const int site = pipeline->is_joint ? 2 : 1;
    const VrcnnConstPlane sites = {src->data, 0, (src->width + site - 1) / site, (src->height + site - 1) / site, 8, 1};
    const VrcnnRegion region = {x, y, width, height};
    if (!vrcnn_is_inside(region, &sites))
        return VRCNN_ERROR_REGION;
    const size_t channels = (size_t)pipeline->layer[layer].outputs;
    if ((error = vrcnn_find_extent(&written, dst, dst_stride, (size_t)width * channels, height)))
        return error;
    for (int plane = 0; plane < VRCNN_PLANES; plane++)
        if (vrcnn_overlap(read[plane], written))
            return VRCNN_ERROR_OVERLAP;
    const VrcnnRegion samples = {x * site, y * site, width * site, height * site};
    const VrcnnChoices choices = {.index = {index}, .region = samples};
    const VrcnnWork work = {.src = src, .values = dst, .values_stride = dst_stride, .layer = layer, .x = x, .y = y};
    vrcnn_context_run(context, &work, &choices);
    return VRCNN_OK;
}
