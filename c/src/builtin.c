/* The model set that is compiled in; it has networks for both positions. Its bytes are written out by the build.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

static const unsigned char vrcnn_intra[] = {
#include "vrcnn_intra.inc"
};

const unsigned char *vrcnn_builtin_file(VrcnnPosition position, size_t *size)
{
    if (position != VRCNN_BEFORE_DEBLOCKING && position != VRCNN_AFTER_SAO)
        return NULL;
    *size = sizeof vrcnn_intra;
    return vrcnn_intra;
}
