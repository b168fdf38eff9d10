/* Filtering a picture as its side information says: what encoders and decoders have in common.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_APPLY_H
#define VRCNN_SRC_APPLY_H

#include "vrcnn/vrcnn.h"

/* The maps that planes have, in memory: chroma is not read where its map is luma's. */
typedef struct VrcnnMaps {
    const uint8_t *luma, *chroma;
    uint8_t *scratch; /* VRCNN_MAX_UNITS; not needed for version 1 */
} VrcnnMaps;

/* info: a mode is not off. Planes whose mode is off are not written, and may be absent; the others have in dst what units without a filter
 * show. kept: NULL, or as in VrcnnDecisionInput: these blocks get the samples of src, in each plane that is written. Errors of
 * vrcnn_filter_planes and vrcnn_filter_planes_units; dst is untouched after any of them. */
VrcnnError vrcnn_apply(VrcnnContext *context, const VrcnnPlaneSideinfo *info, const VrcnnMaps *maps, const uint8_t *kept,
                       const VrcnnPlane dst[3], const VrcnnConstPlane src[3]);

#endif
