/* What an encoder's decision on three planes consists of: sums over cells and units (decide_planes.c), and the choices that they tell the
 * cost of (choose_planes.c). Luma is one group of planes, Cb and Cr are the other.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_DECIDE_PLANES_H
#define VRCNN_DECIDE_PLANES_H

#include "model.h"
#include "units.h"

enum { LUMA, CHROMA, GROUPS, BOTH = GROUPS /* in one map */, MAPS };

/* How weights are found: as trained, or the best by the sums. Sums tell the error of the first exactly. */
enum { AS_TRAINED, FITTED, WAYS };

/* Of a network's residuals in a cell or unit: its products with the input's error, and with themselves. The first is the residual as
 * trained, the second, of networks with two heads, that of head 0 alone, which the first contains. */
typedef struct Fit {
    double product[2], energy[2], mixed;
} Fit;

/* Of a group in a cell or unit, against the original; Cb and Cr by their weights. Squared error of the networks' input, and of what takes
 * over without a filter. */
typedef struct PlaneSums {
    double source, base;
    Fit fit[VRCNN_MAX_CHOICES];
} PlaneSums;

/* A map of one group, or of both, and what it costs. */
typedef struct MapOption {
    int unit_size;
    uint8_t *unit;
    VrcnnWeights weights[VRCNN_MAX_CHOICES]; /* of the members of its subset, in their order */
    double error[GROUPS];
    double cost; /* with its bits, if there were nothing else */
} MapOption;

typedef struct PlaneChoice {
    VrcnnPlaneSideinfo info;
    uint8_t *unit[GROUPS];
    double error[GROUPS]; /* of a group that is off: 0, its ordinary cost counts */
    double rank;          /* its cost, and what decoders pay */
} PlaneChoice;

struct VrcnnPlaneDecider {
    const VrcnnModel *model;
    int width, height;
    VrcnnGrid cells;
    int most_networks;                                                                    /* that may be tried */
    uint16_t *result[VRCNN_MAX_CHOICES][3], *first_head[VRCNN_MAX_CHOICES][3], *final[3]; /* planes without gaps */
    PlaneSums *cell[GROUPS], *units[GROUPS];
    uint8_t *unit, *scratch; /* unit: of the map that is being tried */
    MapOption map[MAPS][WAYS];
    PlaneChoice best, trained, tried;

    /* Of the picture. */
    int groups; /* 1: luma alone */
    int networks, network[VRCNN_MAX_CHOICES], heads[VRCNN_MAX_CHOICES];
    VrcnnPlaneSideinfo off;
    PlaneSums whole[GROUPS];
};

static inline size_t plane_width(const VrcnnPlaneDecider *d, int plane)
{
    return (size_t)(plane ? (d->width + 1) / 2 : d->width);
}

static inline size_t plane_height(const VrcnnPlaneDecider *d, int plane)
{
    return (size_t)(plane ? (d->height + 1) / 2 : d->height);
}

static inline int first_plane(int group)
{
    return group == LUMA ? 0 : 1;
}

static inline int last_plane(int group)
{
    return group == LUMA ? 0 : 2;
}

static inline double plane_weight(const VrcnnPlaneDecisionInput *in, int plane)
{
    return plane ? in->chroma_weight[plane - 1] : 1;
}

/* The sums of all cells and of the picture, for the candidates that have filtered it (sum_planes.c). */
void vrcnn_sum_planes(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in);

/* The subset's choices for this picture; the best so far are kept in d. subset: bit k for the candidate k. */
void vrcnn_try_planes(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, unsigned subset);

void vrcnn_add_plane_sums(PlaneSums *to, const PlaneSums *from);

/* Bits of the slice header's extension, its length included, or a negative error. */
int vrcnn_plane_bits(const VrcnnPlaneDecider *d, const PlaneChoice *choice, uint8_t data[VRCNN_SIDEINFO_SIZE], size_t *size);

/* Errors of the groups that are filtered, ordinary costs of the others, and bits; DBL_MAX if the side information has no room. */
double vrcnn_plane_cost(const VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, const PlaneChoice *choice);
double vrcnn_plane_rank(const VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, const PlaneChoice *choice);

void vrcnn_copy_plane_choice(const VrcnnPlaneDecider *d, PlaneChoice *to, const PlaneChoice *from);

#endif
