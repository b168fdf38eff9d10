/* What an encoder's decision consists of: sums over cells and units (decide.c), and the choices that they tell the cost of (choose.c).
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_DECIDE_H
#define VRCNN_DECIDE_H

#include "model.h"
#include "units.h"

enum { CELL = VRCNN_LEAST_UNIT, SCALES = 10 };

/* Of a cell or unit, against the original: squared error of the network's input and of what takes over without a network; product of
 * each network's residual with the input's error, and its energy. */
typedef struct Sums {
    double source, base, product[VRCNN_MAX_CHOICES], energy[VRCNN_MAX_CHOICES];
} Sums;

typedef struct Choice {
    VrcnnSideinfo info;
    uint8_t *unit;
    double cost;
} Choice;

struct VrcnnDecider {
    const VrcnnModel *model;
    int width, height;
    VrcnnGrid cells;
    int networks, network[VRCNN_MAX_CHOICES];
    Sums *cell, *units;
    uint16_t *result[VRCNN_MAX_CHOICES], *final; /* planes without gaps */
    uint8_t *unit;                               /* of the choice that is being tried */
    Choice best, trained, tried;                 /* trained: the best at the trained scale, whose cost is not estimated */
};

static inline void add_sums(Sums *to, const Sums *from)
{
    to->source += from->source;
    to->base += from->base;
    for (int k = 0; k < VRCNN_MAX_CHOICES; k++) {
        to->product[k] += from->product[k];
        to->energy[k] += from->energy[k];
    }
}

/* What is tried, with the sums of cells (whole pictures) or units (maps of them); the best so far is kept in d. */
void vrcnn_try_whole(VrcnnDecider *d, const VrcnnSideinfo *off, const VrcnnDecisionInput *in);

/* units: of unit_size, as many as there are. subset: bit k for the candidate k. first, last: the scales that are tried. */
void vrcnn_try_map(VrcnnDecider *d, const VrcnnSideinfo *off, const VrcnnDecisionInput *in, int unit_size, int units, unsigned subset,
                   int first, int last);

/* choice becomes what was tried, if that is cheaper. */
void vrcnn_keep_better(Choice *choice, const Choice *tried, int units);

/* Bytes of the side information, or a negative error. */
int vrcnn_write_choice(const VrcnnDecider *d, const Choice *choice, uint8_t data[VRCNN_SIDEINFO_SIZE]);

/* The logarithm of x >= 1, digit by digit: the same on every machine, and the library needs no libm. */
double vrcnn_log2(double x);

/* Squared error of `count` samples, of a cell's row at most. */
int32_t vrcnn_row_error(const uint16_t *a, const uint16_t *b, int count);

/* The same of a region of planes, cut off at their edges. */
double vrcnn_squared_error(const VrcnnConstPlane *a, const VrcnnConstPlane *b, int left, int top, int size);

/* Room for `count` times `size` bytes of zeros; *error is set if there is none. */
void *vrcnn_take(size_t count, size_t size, VrcnnError *error);

#endif
