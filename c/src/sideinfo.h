/* What both versions of side information have in common.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_SIDEINFO_H
#define VRCNN_SRC_SIDEINFO_H

#include "vrcnn/vrcnn.h"

enum { SIDEINFO_MAGIC = 0x564e /* "VN" */ };

/* 1 for a picture that there may be. */
int vrcnn_sideinfo_is_size(int width, int height);

/* 1 if the extension of an IRAP picture's first slice segment is ours, of whatever version. data may be NULL if size is 0. */
int vrcnn_sideinfo_has_magic(const uint8_t *data, size_t size);

/* What version 1 says in the fields of version 2. */
VrcnnPlaneSideinfo vrcnn_sideinfo_of_luma(const VrcnnSideinfo *old);

#endif
