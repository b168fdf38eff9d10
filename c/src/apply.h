/* Filtering a picture as its side information says: what encoders and decoders have in common.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_APPLY_H
#define VRCNN_SRC_APPLY_H

#include "vrcnn/vrcnn.h"

/* info: mode all, or map with its units. dst has what units without a network show. kept: NULL, or as in VrcnnDecisionInput: these blocks
 * get the samples of src. Errors of vrcnn_filter_picture and vrcnn_filter_units; dst is untouched after any of them. */
VrcnnError vrcnn_apply(VrcnnContext *context, const VrcnnSideinfo *info, const uint8_t *unit, const uint8_t *kept, const VrcnnPlane *dst,
                       const VrcnnConstPlane *src);

#endif
