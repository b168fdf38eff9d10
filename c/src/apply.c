/* Filtering a picture as its side information says.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "apply.h"

#include <string.h>

#include "integers.h"
#include "plane.h"
#include "units.h"

static VrcnnError filter(VrcnnContext *context, const VrcnnSideinfo *info, const uint8_t *unit, const VrcnnPlane *dst,
                         const VrcnnConstPlane *src)
{
    if (info->mode == VRCNN_MODE_ALL)
        return vrcnn_filter_picture(context, info->index[0], info->scale, dst, src);
    VrcnnUnits units = {info->unit_size, info->networks, {0}, info->scale, unit};
    memcpy(units.index, info->index, sizeof units.index);
    return vrcnn_filter_units(context, &units, dst, src);
}

/* Lossless blocks, and PCM blocks without loop filter, keep the samples of the network's input. */
static void restore(const uint8_t *kept, const VrcnnPlane *dst, const VrcnnConstPlane *src)
{
    const VrcnnGrid blocks = vrcnn_grid(src->width, src->height, VRCNN_KEPT_BLOCK);
    for (int i = 0; i < blocks.count; i++) {
        const int x = vrcnn_unit_x(&blocks, i), y = vrcnn_unit_y(&blocks, i), count = smaller(VRCNN_KEPT_BLOCK, src->width - x);
        for (int row = y; kept[i] && row < smaller(y + VRCNN_KEPT_BLOCK, src->height); row++) {
            uint16_t samples[VRCNN_KEPT_BLOCK];
            vrcnn_read_row(samples, src, x, row, count);
            vrcnn_write_row(dst, x, row, samples, count);
        }
    }
}

VrcnnError vrcnn_apply(VrcnnContext *context, const VrcnnSideinfo *info, const uint8_t *unit, const uint8_t *kept, const VrcnnPlane *dst,
                       const VrcnnConstPlane *src)
{
    const VrcnnError error = filter(context, info, unit, dst, src);
    if (!error && kept)
        restore(kept, dst, src);
    return error;
}
