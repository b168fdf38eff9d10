/* Which products of the AVX2 kernels may be added up in 16 bits, found out from the weights.
 *
 * A group is the weights from four inputs at one place of the kernel to the 16 outputs of a slice. Multiplied by four inputs it gives 32
 * sums of two products. A run is some groups of which these sums are added up in 16 bits. That is safe if no input can make a sum leave 16
 * bits; inputs are 0..127, so a sum is largest when they are 127 where the weights are positive and 0 elsewhere, and smallest the other way
 * round.
 *
 * The order of the groups is free. Large weights come together in the middle of a kernel and in some channels, so the groups are dealt out:
 * the heaviest first, each to the run in which it does least harm.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_X86_RUNS_H
#define VRCNN_SRC_X86_RUNS_H

#include <stdint.h>
#include <string.h>

#include "ymm.h"

enum {
    VRCNN_SIDES = 4 * SLICE, /* of a group: 2 sums of each output, the positive weights of each and the negative */
    VRCNN_MOST_GROUPS = 5 * 5 * VRCNN_MAX_CHANNELS / 4, /* of a slice */
    VRCNN_MOST_WEIGHT = INT16_MAX / 127                 /* on one side of a run */
};

typedef struct VrcnnSlice {
    int inputs, area;             /* area: of the kernel */
    const int8_t *kernels[SLICE]; /* the weights to each output: input, row, column. NULL: all 0 */
} VrcnnSlice;

static inline int vrcnn_groups(const VrcnnSlice *slice)
{
    return slice->area * slice->inputs / 4;
}

/* The weight from input e of a group to an output. Groups are numbered by place in the kernel, then by inputs. */
static inline int8_t vrcnn_group_weight(const VrcnnSlice *slice, int group, int output, int e)
{
    const int per_tap = slice->inputs / 4, tap = group / per_tap, input = group % per_tap * 4 + e;
    return slice->kernels[output] ? slice->kernels[output][input * slice->area + tap] : 0;
}

static inline void vrcnn_group_sides(int16_t *sides, const VrcnnSlice *slice, int group)
{
    memset(sides, 0, VRCNN_SIDES * sizeof *sides);
    for (int output = 0; output < SLICE; output++)
        for (int e = 0; e < 4; e++) {
            const int w = vrcnn_group_weight(slice, group, output, e);
            int16_t *pair = sides + 4 * output + e / 2 * 2;
            if (w < 0)
                pair[1] = (int16_t)(pair[1] - w);
            else
                pair[0] = (int16_t)(pair[0] + w);
        }
}

/* The heaviest side of a run with a group added to it; or `enough` or more, if it is. */
static inline int vrcnn_heaviest_side(const int16_t *run, const int16_t *group, int enough)
{
    int heaviest = 0;
    for (int i = 0; i < VRCNN_SIDES && heaviest < enough; i++)
        heaviest = run[i] + group[i] > heaviest ? run[i] + group[i] : heaviest;
    return heaviest;
}

/* Deals the groups of a slice out to runs of `length`, which divides their number: place[i] becomes the place of group i, runs lying side
 * by side. Returns 0 if that does not succeed. work: VRCNN_SIDES values for every run. */
static inline int vrcnn_deal_runs(int16_t *place, const VrcnnSlice *slice, int length, int16_t *work)
{
    const int groups = vrcnn_groups(slice), runs = groups / length;
    int16_t sides[VRCNN_SIDES], weight[VRCNN_MOST_GROUPS], used[VRCNN_MOST_GROUPS];
    for (int i = 0; i < groups; i++) {
        vrcnn_group_sides(sides, slice, i);
        weight[i] = 0;
        for (int side = 0; side < VRCNN_SIDES; side++)
            weight[i] = sides[side] > weight[i] ? sides[side] : weight[i];
    }
    memset(work, 0, (size_t)runs * VRCNN_SIDES * sizeof *work);
    memset(used, 0, sizeof used);
    for (int dealt = 0; dealt < groups; dealt++) {
        int group = 0, run = 0, least = VRCNN_MOST_WEIGHT + 1;
        for (int i = 1; i < groups; i++)
            group = weight[i] > weight[group] ? i : group;
        vrcnn_group_sides(sides, slice, group);
        for (int i = 0; i < runs; i++)
            if (used[i] < length) {
                const int heaviest = vrcnn_heaviest_side(work + i * VRCNN_SIDES, sides, least);
                if (heaviest < least) {
                    least = heaviest;
                    run = i;
                }
            }
        if (least > VRCNN_MOST_WEIGHT)
            return 0;
        for (int side = 0; side < VRCNN_SIDES; side++)
            work[run * VRCNN_SIDES + side] = (int16_t)(work[run * VRCNN_SIDES + side] + sides[side]);
        place[group] = (int16_t)(run * length + used[run]++);
        weight[group] = -1;
    }
    return 1;
}

/* The same with the longest runs that are safe: 8, 4, 2 groups or 1. Returns their length. work: VRCNN_SIDES / 2 values for every group. */
static inline int vrcnn_deal_longest_runs(int16_t *place, const VrcnnSlice *slice, int16_t *work)
{
    const int groups = vrcnn_groups(slice);
    for (int length = 8; length > 1; length /= 2)
        if (groups % length == 0 && vrcnn_deal_runs(place, slice, length, work))
            return length;
    for (int i = 0; i < groups; i++)
        place[i] = (int16_t)i;
    return 1;
}

#endif
