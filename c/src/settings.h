/* What a caller wants of a context.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_SETTINGS_H
#define VRCNN_SRC_SETTINGS_H

#include "vrcnn/vrcnn.h"

/* vrcnn.c: the fields that this version knows, of its own size, with at least one thread. given may be NULL: the defaults.
 * VRCNN_ERROR_ARGUMENT, THREADS. Kernels are for vrcnn_kernel_table to check. */
VrcnnError vrcnn_read_settings(VrcnnSettings *known, const VrcnnSettings *given);

#endif
