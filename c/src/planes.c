/* What callers may give of three planes.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "planes.h"

#include <string.h>

#include "units.h"

VrcnnError vrcnn_check_read(VrcnnExtent read[VRCNN_PLANES], const VrcnnConstPlane *src, int deepest)
{
    memset(read, 0, VRCNN_PLANES * sizeof *read);
    VrcnnError error = vrcnn_check_plane(read, src, deepest);
    const int deepest_chroma = src->bit_depth == VRCNN_DEEP ? deepest : VRCNN_USUAL;
    const VrcnnConstPlane *cb = src + 1, *cr = src + 2;
    if (error || (!cb->data && !cr->data))
        return error;
    if ((error = vrcnn_check_plane(read + 1, cb, deepest_chroma)) || (error = vrcnn_check_plane(read + 2, cr, deepest_chroma)))
        return error;
    return vrcnn_is_alike(cb, cr) && cb->width == (src->width + 1) / 2 && cb->height == (src->height + 1) / 2 ? VRCNN_OK
                                                                                                              : VRCNN_ERROR_PLANE;
}

VrcnnError vrcnn_check_planes(VrcnnExtent read[VRCNN_PLANES], VrcnnExtent written[VRCNN_PLANES], const VrcnnPlane *dst,
                              const VrcnnConstPlane *src, int deepest)
{
    memset(written, 0, VRCNN_PLANES * sizeof *written);
    VrcnnError error = vrcnn_check_read(read, src, deepest);
    if (error)
        return error;
    if (!dst[0].data && !dst[1].data && !dst[2].data)
        return VRCNN_ERROR_ARGUMENT;
    for (int plane = 0; plane < VRCNN_PLANES; plane++) {
        if (!dst[plane].data)
            continue;
        if (!src[plane].data)
            return VRCNN_ERROR_PLANE;
        if ((error = vrcnn_check_written(written + plane, dst + plane, src + plane, deepest)))
            return error;
        for (int other = 0; other < VRCNN_PLANES; other++)
            if (vrcnn_overlap(written[plane], read[other]) || (other < plane && vrcnn_overlap(written[plane], written[other])))
                return VRCNN_ERROR_OVERLAP;
    }
    return VRCNN_OK;
}

VrcnnError vrcnn_check_filter(VrcnnNature network, const VrcnnWeights *weights, int writes_chroma)
{
    if (!network.is_joint && writes_chroma)
        return VRCNN_ERROR_KIND;
    const int least = network.heads > 1 ? -5 : 1, most = 10;
    for (int head = 0; head < network.heads; head++)
        if (weights->luma[head] < least || weights->luma[head] > most ||
            (network.is_joint && (weights->chroma[head] < least || weights->chroma[head] > most)))
            return VRCNN_ERROR_SCALE;
    return VRCNN_OK;
}

int vrcnn_is_inside(VrcnnRegion region, const VrcnnConstPlane *plane)
{
    return region.x >= 0 && region.y >= 0 && region.width >= 1 && region.height >= 1 && region.x < plane->width &&
           region.y < plane->height && region.width <= plane->width - region.x && region.height <= plane->height - region.y;
}

int vrcnn_is_of_sites(VrcnnRegion region, const VrcnnConstPlane *luma, VrcnnNature network)
{
    return !network.is_joint || (!(region.x & 1) && !(region.y & 1) && (!(region.width & 1) || region.x + region.width == luma->width) &&
                                 (!(region.height & 1) || region.y + region.height == luma->height));
}

VrcnnError vrcnn_check_units(const VrcnnPlaneUnits *units)
{
    const int is_right = vrcnn_unit_size_index(units->unit_size) >= 0 && units->filters >= 1 && units->filters <= VRCNN_MAX_CHOICES;
    return is_right ? VRCNN_OK : VRCNN_ERROR_UNITS;
}

/* A map's choices, and that it is apart from what is written. *chosen: a bit for each filter that a unit has. */
static VrcnnError check_map(unsigned *chosen, const uint8_t *unit, int count, int filters, const VrcnnExtent written[VRCNN_PLANES])
{
    const uintptr_t first = (uintptr_t)unit;
    const VrcnnExtent map = {first, first + (size_t)count};
    *chosen = 0;
    for (int plane = 0; plane < VRCNN_PLANES; plane++)
        if (vrcnn_overlap(map, written[plane]))
            return VRCNN_ERROR_OVERLAP;
    for (int i = 0; i < count; i++) {
        if (unit[i] > filters)
            return VRCNN_ERROR_UNITS;
        *chosen |= 1u << unit[i];
    }
    return VRCNN_OK;
}

VrcnnError vrcnn_check_maps(const VrcnnPlaneUnits *units, const VrcnnNature networks[VRCNN_MAX_CHOICES],
                            const VrcnnExtent written[VRCNN_PLANES], const VrcnnConstPlane *luma)
{
    const int count = vrcnn_grid(luma->width, luma->height, units->unit_size).count;
    unsigned of_luma = 0, of_chroma = 0;
    VrcnnError error;
    if ((units->luma && (error = check_map(&of_luma, units->luma, count, units->filters, written))) ||
        (units->chroma && (error = check_map(&of_chroma, units->chroma, count, units->filters, written))))
        return error;
    for (int i = 0; i < units->filters; i++)
        if (of_chroma >> (i + 1) & 1 && !networks[i].is_joint)
            return VRCNN_ERROR_KIND;
    return VRCNN_OK;
}

VrcnnChoices vrcnn_choices_of(const VrcnnPlaneUnits *units, const VrcnnPlane *dst)
{
    VrcnnChoices choices = {.unit_size = units->unit_size,
                            .luma = dst[0].data ? units->luma : NULL,
                            .chroma = dst[1].data || dst[2].data ? units->chroma : NULL};
    for (int i = 0; i < units->filters; i++) {
        choices.index[i] = units->index[i];
        choices.weights[i] = units->weights[i];
    }
    return choices;
}
