/* Filtering a picture as its side information says.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "apply.h"

#include <string.h>

#include "integers.h"
#include "plane.h"
#include "units.h"

static int is_written(const VrcnnPlaneSideinfo *info, int plane)
{
    return (plane ? info->chroma_mode : info->luma_mode) != VRCNN_MODE_OFF;
}

/* A filter's, also for planes that are not written: filters want some that are in range. */
static VrcnnWeights weights_of(const VrcnnPlaneSideinfo *info, int i)
{
    VrcnnWeights weights = info->filter[i].weights;
    for (int head = 0; head < VRCNN_MAX_HEADS; head++) {
        if (!is_written(info, 0))
            weights.luma[head] = VRCNN_SCALE_TRAINED;
        if (!is_written(info, 1))
            weights.chroma[head] = VRCNN_SCALE_TRAINED;
    }
    return weights;
}

/* A plane's map in units of `size`, which is that of its own or a fraction of it. own_size 0: one unit is the picture. */
static const uint8_t *in_units(uint8_t *scratch, const uint8_t *unit, int own_size, int size, const VrcnnConstPlane *luma)
{
    if (own_size == size)
        return unit;
    const VrcnnGrid grid = vrcnn_grid(luma->width, luma->height, size);
    const int columns = own_size ? vrcnn_grid(luma->width, luma->height, own_size).columns : 0;
    for (int i = 0; i < grid.count; i++)
        scratch[i] = own_size ? unit[vrcnn_unit_y(&grid, i) / own_size * columns + vrcnn_unit_x(&grid, i) / own_size] : 1;
    return scratch;
}

/* In units of the smaller size of both maps, of which one at most has to be written anew. */
static VrcnnPlaneUnits units_of(const VrcnnPlaneSideinfo *info, const VrcnnMaps *maps, const VrcnnConstPlane *luma)
{
    const int luma_size = info->luma_unit_size, chroma_size = info->shares_map ? luma_size : info->chroma_unit_size;
    const int is_luma_smaller = luma_size && (!chroma_size || luma_size < chroma_size);
    VrcnnPlaneUnits units = {.unit_size = is_luma_smaller ? luma_size : chroma_size, .filters = info->filters};
    for (int i = 0; i < info->filters; i++) {
        units.index[i] = info->filter[i].index;
        units.weights[i] = weights_of(info, i);
    }
    if (info->luma_mode != VRCNN_MODE_OFF)
        units.luma = in_units(maps->scratch, maps->luma, luma_size, units.unit_size, luma);
    if (info->chroma_mode != VRCNN_MODE_OFF)
        units.chroma = info->shares_map ? units.luma : in_units(maps->scratch, maps->chroma, chroma_size, units.unit_size, luma);
    return units;
}

static VrcnnError filter(VrcnnContext *context, const VrcnnPlaneSideinfo *info, const VrcnnMaps *maps, const VrcnnPlane *dst,
                         const VrcnnConstPlane *src)
{
    if (info->luma_mode != VRCNN_MODE_MAP && info->chroma_mode != VRCNN_MODE_MAP) {
        const VrcnnWeights weights = weights_of(info, 0);
        return vrcnn_filter_planes(context, info->filter[0].index, &weights, dst, src);
    }
    const VrcnnPlaneUnits units = units_of(info, maps, src);
    return vrcnn_filter_planes_units(context, &units, dst, src);
}

/* Lossless blocks, and PCM blocks without loop filter, keep the samples of the network's input. size: of a block's side in this plane. */
static void restore(const uint8_t *kept, const VrcnnPlane *dst, const VrcnnConstPlane *src, int size)
{
    const VrcnnGrid blocks = vrcnn_grid(src->width, src->height, size);
    for (int i = 0; i < blocks.count; i++) {
        const int x = vrcnn_unit_x(&blocks, i), y = vrcnn_unit_y(&blocks, i), count = smaller(size, src->width - x);
        for (int row = y; kept[i] && row < smaller(y + size, src->height); row++) {
            uint16_t samples[VRCNN_KEPT_BLOCK];
            vrcnn_read_row(samples, src, x, row, count);
            vrcnn_write_row(dst, x, row, samples, count);
        }
    }
}

VrcnnError vrcnn_apply(VrcnnContext *context, const VrcnnPlaneSideinfo *info, const VrcnnMaps *maps, const uint8_t *kept,
                       const VrcnnPlane dst[3], const VrcnnConstPlane src[3])
{
    VrcnnPlane written[3];
    memcpy(written, dst, sizeof written);
    for (int plane = 0; plane < 3; plane++)
        if (!is_written(info, plane))
            written[plane].data = NULL;
    const VrcnnError error = filter(context, info, maps, written, src);
    for (int plane = 0; plane < 3 && !error && kept; plane++)
        if (is_written(info, plane))
            restore(kept, dst + plane, src + plane, plane ? VRCNN_KEPT_BLOCK / 2 : VRCNN_KEPT_BLOCK);
    return error;
}
