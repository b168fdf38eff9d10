/* How a picture is cut into pieces for the threads and the engine.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_SCHEDULE_H
#define VRCNN_SRC_SCHEDULE_H

#include "engine.h"
#include "units.h"

/* What filters a picture: the filters that there are, and where each does. */
typedef struct VrcnnChoices {
    int index[VRCNN_MAX_CHOICES]; /* of the filters' networks */
    VrcnnWeights weights[VRCNN_MAX_CHOICES];
    int unit_size;                /* luma samples; 0: no maps, the first filter alone */
    const uint8_t *luma, *chroma; /* maps of units; NULL: no filter anywhere */
    VrcnnRegion region;           /* without maps: where, in luma samples */
} VrcnnChoices;

/* A piece of work: one filter on one rectangle, for luma, chroma or both. */
typedef struct VrcnnPiece {
    int filter;
    int writes_luma, writes_chroma;
    VrcnnRegion region; /* of sites, if the network is joint */
} VrcnnPiece;

/* Rectangles of one filter each (a picture, a region, or the units of a map with neighbours put together) are cut into bands of rows for
 * the threads, and bands into strips of columns for the engine. Needs no memory of its own, however many pieces there are. */
typedef struct VrcnnSchedule {
    const VrcnnPipeline *pipelines; /* of the set's networks */
    int threads;
    const VrcnnChoices *choices;
    VrcnnGrid grid;        /* of the units */
    int width, height;     /* of the picture, in luma samples */
    int64_t samples;       /* in all rectangles */
    int column, row;       /* the next unit to look at */
    VrcnnRegion rectangle; /* the current one, in luma samples */
    unsigned code;         /* its filters, as of unit_at */
    VrcnnPiece piece;      /* what its bands and strips have in common; region: the rectangle in the network's sites */
    int band_rows;         /* of its bands but the last */
    VrcnnRegion rest;      /* of its current band */
} VrcnnSchedule;

/* size of the picture: width x height luma samples. choices are kept by reference. */
void vrcnn_schedule_start(VrcnnSchedule *schedule, const VrcnnPipeline *pipelines, int threads, const VrcnnChoices *choices, int width,
                          int height);

/* The next piece; 0 when there are no more. */
int vrcnn_schedule_next(VrcnnSchedule *schedule, VrcnnPiece *piece);

#endif
