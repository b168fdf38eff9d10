/* The model set that is compiled in; it has networks for both positions. The header is generated: vrcnn-int export.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "builtin_vrcnn_intra.h"
#include "model.h"

const unsigned char *vrcnn_builtin_file(VrcnnPosition position, size_t *size)
{
    if (position != VRCNN_BEFORE_DEBLOCKING && position != VRCNN_AFTER_SAO)
        return NULL;
    *size = sizeof vrcnn_intra;
    return vrcnn_intra;
}
