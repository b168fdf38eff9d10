/* The model sets that are compiled in. The headers are generated: vrcnn-int export.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "builtin_vrcnn_intra.h"
#include "model.h"

const unsigned char *vrcnn_builtin_file(VrcnnPosition position, size_t *size)
{
    if (position != VRCNN_BEFORE_DEBLOCKING)
        return NULL;
    *size = sizeof vrcnn_intra;
    return vrcnn_intra;
}
