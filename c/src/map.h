/* The map of a picture's units in its side information.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_MAP_H
#define VRCNN_SRC_MAP_H

#include "bits.h"
#include "units.h"

typedef struct VrcnnMap {
    VrcnnGrid grid;
    int networks;    /* 1..3; a unit is 0..networks */
    int is_followed; /* by another map, whose bits are not zeros */
} VrcnnMap;

/* VRCNN_ERROR_UNITS: a unit names no listed network, or none of them has one. */
VrcnnError vrcnn_map_check(const VrcnnMap *map, const uint8_t *unit);

/* From log2_unit_size_minus6 to the last unit, raw or coded, whichever is shorter. */
void vrcnn_map_put(Writer *writer, const VrcnnMap *map, const uint8_t *unit);

/* The same, for a picture of width x height; map->grid is written, the rest is known. units: room in unit.
 * VRCNN_ERROR_UNITS (too little room), SIDEINFO_TRUNCATED, SIDEINFO_SYNTAX. */
VrcnnError vrcnn_map_get(VrcnnMap *map, uint8_t *unit, size_t units, Reader *reader, int width, int height);

#endif
