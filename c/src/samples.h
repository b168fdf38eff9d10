/* Samples of planes into a network's first ring, residuals back to them.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_SAMPLES_H
#define VRCNN_SRC_SAMPLES_H

#include "vrcnn/vrcnn.h"

/* The columns begin .. end - 1 of row y as x + 128; 128 outside the picture. */
void vrcnn_fetch_row(uint8_t *to, const VrcnnConstPlane *src, int y, int begin, int end);

/* The sites begin .. end - 1 of row y of a joint network's input, VRCNN_JOINT_PITCH bytes each, from three planes of which chroma's may be
 * absent. planes: memory for 6 * (end - begin) bytes. */
void vrcnn_fetch_sites(uint8_t *restrict to, const VrcnnConstPlane *src, int y, int begin, int end, uint8_t *planes);

/* out = clip(s + r) for the columns begin .. end - 1 of row y. 16 bits are enough: |r| <= 2 * 10 * 1023 / 8 rounded up. */
void vrcnn_add_residual(const VrcnnPlane *dst, const VrcnnConstPlane *src, int y, int begin, int end, const int16_t *restrict residual);

/* The same for row y of sites, VRCNN_JOINT_OUTPUTS residuals each: the four of luma from residual on; the one of a chroma plane. row:
 * memory for 2 * (end - begin) values. */
void vrcnn_add_luma_sites(const VrcnnPlane *dst, const VrcnnConstPlane *src, int y, int begin, int end, const int16_t *residual,
                          int16_t *restrict row);
void vrcnn_add_chroma_sites(const VrcnnPlane *dst, const VrcnnConstPlane *src, int y, int begin, int end, const int16_t *residual,
                            int16_t *restrict row);

#endif
