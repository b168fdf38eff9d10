/* How a picture is cut into pieces for the threads and the engine.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_SCHEDULE_H
#define VRCNN_SRC_SCHEDULE_H

#include "engine.h"
#include "units.h"

/* Rectangles of one network each (a picture, a region, or the units of a map with neighbours put together) are cut into bands of rows for
 * the threads, and bands into strips of columns for the engine. Needs no memory of its own, however many pieces there are. */
typedef struct VrcnnSchedule {
    const VrcnnPipeline *pipelines; /* of the set's networks */
    int threads;
    const VrcnnUnits *units; /* NULL: one rectangle */
    VrcnnGrid grid;          /* of the units */
    int width, height;       /* of the picture */
    int64_t samples;         /* in all rectangles */
    int column, row;         /* the next unit to look at */
    VrcnnRegion rectangle;   /* the current one */
    int index;               /* its network */
    int band_rows;           /* of its bands but the last */
    VrcnnRegion rest;        /* of its current band */
} VrcnnSchedule;

/* Either units, or `index` on `region`. size of the picture: width x height; only needed with units. */
void vrcnn_schedule_start(VrcnnSchedule *schedule, const VrcnnPipeline *pipelines, int threads, int index, VrcnnRegion region,
                          const VrcnnUnits *units, int width, int height);

/* The next piece and its network; 0 when there are no more. */
int vrcnn_schedule_next(VrcnnSchedule *schedule, VrcnnRegion *piece, int *index);

#endif
