/* Planes: what callers may give, and rows of samples out of them.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_PLANE_H
#define VRCNN_SRC_PLANE_H

#include "vrcnn/vrcnn.h"

/* The memory from a plane's first to its last byte, whatever lies between its rows. */
typedef struct VrcnnExtent {
    uintptr_t begin, end;
} VrcnnExtent;

/* Of `height` rows of `row` bytes each. VRCNN_ERROR_PLANE: the stride is less than a row, or leads out of the address space. */
VrcnnError vrcnn_find_extent(VrcnnExtent *extent, const void *data, ptrdiff_t stride, size_t row, int height);

int vrcnn_overlap(VrcnnExtent a, VrcnnExtent b);

/* Bit depths that are allowed: 8 to 10, and with VRCNN_DEEP 12. */
enum { VRCNN_USUAL = 10, VRCNN_DEEP = 12 };

/* deepest: VRCNN_USUAL or VRCNN_DEEP. VRCNN_ERROR_ARGUMENT (no data), BIT_DEPTH, PLANE; the plane's memory is not touched. */
VrcnnError vrcnn_check_plane(VrcnnExtent *extent, const VrcnnConstPlane *plane, int deepest);

/* 1 for planes of one size and bit depth. */
int vrcnn_is_alike(const VrcnnConstPlane *a, const VrcnnConstPlane *b);

VrcnnConstPlane vrcnn_reading(const VrcnnPlane *plane);

/* dst, a plane of the picture src in everything, and apart from it in memory; where it is written. VRCNN_ERROR_PLANE, OVERLAP and those of
 * vrcnn_check_plane. */
VrcnnError vrcnn_check_written(VrcnnExtent *written, const VrcnnPlane *dst, const VrcnnConstPlane *src, int deepest);

/* `count` samples of row y from column x on; those above the bit depth's maximum become that. */
void vrcnn_read_row(uint16_t *out, const VrcnnConstPlane *plane, int x, int y, int count);

void vrcnn_write_row(const VrcnnPlane *plane, int x, int y, const uint16_t *samples, int count);

#endif
