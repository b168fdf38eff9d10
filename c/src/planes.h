/* Pictures of three planes, luma, Cb, Cr: what callers may give.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_PLANES_H
#define VRCNN_SRC_PLANES_H

#include "plane.h"
#include "schedule.h"

enum { VRCNN_PLANES = 3 };

/* What is to be known of a network here. deepest: VRCNN_DEEP if it filters 12 bits, else VRCNN_USUAL. */
typedef struct VrcnnNature {
    int is_joint, heads, deepest;
} VrcnnNature;

/* Luma, and of chroma either both planes of 4:2:0 or none; where there is no plane, there is no extent. deepest: of luma, and of chroma
 * where luma has it. */
VrcnnError vrcnn_check_read(VrcnnExtent read[VRCNN_PLANES], const VrcnnConstPlane *src, int deepest);

/* Those, and the planes of dst, which must be apart from all others. */
VrcnnError vrcnn_check_planes(VrcnnExtent read[VRCNN_PLANES], VrcnnExtent written[VRCNN_PLANES], const VrcnnPlane *dst,
                              const VrcnnConstPlane *src, int deepest);

/* A filter that is to write luma, chroma, or both. VRCNN_ERROR_KIND, SCALE. */
VrcnnError vrcnn_check_filter(VrcnnNature network, const VrcnnWeights *weights, int writes_chroma);

/* 1 if the region is not empty and lies in the plane. */
int vrcnn_is_inside(VrcnnRegion region, const VrcnnConstPlane *plane);

/* 1 if a network of this kind can filter the region of luma samples: sites are whole, but at the picture's right and bottom. */
int vrcnn_is_of_sites(VrcnnRegion region, const VrcnnConstPlane *luma, VrcnnNature network);

/* The size of units and the number of filters. VRCNN_ERROR_UNITS. */
VrcnnError vrcnn_check_units(const VrcnnPlaneUnits *units);

/* The maps, for planes and filters that are checked. networks: of the filters. VRCNN_ERROR_OVERLAP, UNITS, KIND. */
VrcnnError vrcnn_check_maps(const VrcnnPlaneUnits *units, const VrcnnNature networks[VRCNN_MAX_CHOICES],
                            const VrcnnExtent written[VRCNN_PLANES], const VrcnnConstPlane *luma);

/* What they choose for the planes of dst that there are, index included. */
VrcnnChoices vrcnn_choices_of(const VrcnnPlaneUnits *units, const VrcnnPlane *dst);

#endif
