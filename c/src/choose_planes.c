/* What the choices of a decision on three planes cost, estimated from sums over cells and units: whole planes, maps, head weights.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <float.h>
#include <string.h>

#include "decide.h"
#include "decide_planes.h"

/* What a decoder's work is worth, in bits for each cell of 64x64 luma samples that two networks filter, luma by one and chroma by another.
 * A joint network computes both whatever is taken of it, so that the second one doubles the work. */
enum { SECOND_NETWORK_BITS = 8 };

enum { LEAST_WEIGHT = -5, LEAST_SINGLE_WEIGHT = 1, MOST_WEIGHT = 10 };

/* The networks of a subset, by their places among the candidates. */
typedef struct Members {
    int count, candidate[VRCNN_MAX_CHOICES];
} Members;

/* ---- errors and weights ---- */

static int *group_weights(VrcnnWeights *weights, int group)
{
    return group == LUMA ? weights->luma : weights->chroma;
}

static const int *weights_of_group(const VrcnnWeights *weights, int group)
{
    return group == LUMA ? weights->luma : weights->chroma;
}

/* Squared error with these weights: residuals are taken to be in proportion to them, which is exact as trained. */
static double estimate(const PlaneSums *sums, int k, int heads, const int *weight)
{
    const Fit *fit = &sums->fit[k];
    const double a = weight[heads - 1] / (double)VRCNN_SCALE_TRAINED;
    double error = sums->source - 2 * a * fit->product[0] + a * a * fit->energy[0];
    if (heads > 1) {
        const double b = (weight[0] - weight[1]) / (double)VRCNN_SCALE_TRAINED;
        error += b * b * fit->energy[1] + 2 * a * b * fit->mixed - 2 * b * fit->product[1];
    }
    return error;
}

static void set_trained(int *weight)
{
    for (int head = 0; head < VRCNN_MAX_HEADS; head++)
        weight[head] = VRCNN_SCALE_TRAINED;
}

/* Least squares, among all weights that there are. */
static void fit_weights(int *weight, const PlaneSums *sums, int k, int heads)
{
    set_trained(weight);
    double lowest = estimate(sums, k, heads, weight);
    for (int first = heads > 1 ? LEAST_WEIGHT : LEAST_SINGLE_WEIGHT; first <= MOST_WEIGHT; first++)
        for (int second = heads > 1 ? LEAST_WEIGHT : MOST_WEIGHT; second <= MOST_WEIGHT; second++) {
            const int tried[VRCNN_MAX_HEADS] = {first, second};
            const double error = estimate(sums, k, heads, tried);
            if (error < lowest) {
                lowest = error;
                memcpy(weight, tried, sizeof tried);
            }
        }
}

void vrcnn_add_plane_sums(PlaneSums *to, const PlaneSums *from)
{
    to->source += from->source;
    to->base += from->base;
    for (int k = 0; k < VRCNN_MAX_CHOICES; k++) {
        for (int i = 0; i < 2; i++) {
            to->fit[k].product[i] += from->fit[k].product[i];
            to->fit[k].energy[i] += from->fit[k].energy[i];
        }
        to->fit[k].mixed += from->fit[k].mixed;
    }
}

/* The cells put together to units of a group; returns how many. */
static int sum_units(VrcnnPlaneDecider *d, int group, int size)
{
    const VrcnnGrid units = vrcnn_grid(d->width, d->height, size);
    memset(d->units[group], 0, (size_t)units.count * sizeof *d->units[group]);
    for (int i = 0; i < d->cells.count; i++)
        vrcnn_add_plane_sums(&d->units[group][vrcnn_unit_y(&d->cells, i) / size * units.columns + vrcnn_unit_x(&d->cells, i) / size],
                             &d->cell[group][i]);
    return units.count;
}

/* ---- costs ---- */

/* Of slice_segment_header_extension_length, ue(v). */
static int length_bits(size_t size)
{
    int bits = 1;
    for (size_t rest = size + 1; rest > 1; rest >>= 1)
        bits += 2;
    return bits;
}

int vrcnn_plane_bits(const VrcnnPlaneDecider *d, const PlaneChoice *choice, uint8_t data[VRCNN_SIDEINFO_SIZE], size_t *size)
{
    const VrcnnError error =
        vrcnn_sideinfo_write_planes(data, size, &choice->info, choice->unit[LUMA], choice->unit[CHROMA], d->width, d->height);
    return error ? (int)error : (int)(8 * *size) + length_bits(*size);
}

/* The number of a cell's filter in a map of units of this size, from 1; 0: it has none. */
static int filter_of_cell(const VrcnnPlaneDecider *d, const uint8_t *unit, int size, int cell)
{
    const int columns = vrcnn_grid(d->width, d->height, size).columns;
    return unit[vrcnn_unit_y(&d->cells, cell) / size * columns + vrcnn_unit_x(&d->cells, cell) / size];
}

/* Cells whose luma and chroma different networks filter. */
static int cells_of_two(const VrcnnPlaneDecider *d, const PlaneChoice *choice)
{
    const VrcnnPlaneSideinfo *info = &choice->info;
    int count = 0;
    if (!info->luma_mode || !info->chroma_mode || info->shares_map)
        return 0;
    for (int i = 0; i < d->cells.count; i++) {
        const int luma = info->luma_unit_size ? filter_of_cell(d, choice->unit[LUMA], info->luma_unit_size, i) : 1;
        const int chroma = info->chroma_unit_size ? filter_of_cell(d, choice->unit[CHROMA], info->chroma_unit_size, i) : 1;
        count += luma && chroma && luma != chroma;
    }
    return count;
}

double vrcnn_plane_cost(const VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, const PlaneChoice *choice)
{
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    size_t size;
    const int bits = vrcnn_plane_bits(d, choice, data, &size);
    if (bits < 0)
        return DBL_MAX;
    double cost = choice->info.luma_mode == VRCNN_MODE_OFF ? in->luma_cost : choice->error[LUMA];
    if (d->groups > 1)
        cost += choice->info.chroma_mode == VRCNN_MODE_OFF ? in->chroma_cost : choice->error[CHROMA];
    return cost + in->lambda * bits;
}

/* The cost, and what a second network costs decoders: choices are compared by it. */
double vrcnn_plane_rank(const VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, const PlaneChoice *choice)
{
    return vrcnn_plane_cost(d, in, choice) + in->lambda * (SECOND_NETWORK_BITS * cells_of_two(d, choice));
}

void vrcnn_copy_plane_choice(const VrcnnPlaneDecider *d, PlaneChoice *to, const PlaneChoice *from)
{
    const int sizes[GROUPS] = {from->info.luma_unit_size, from->info.chroma_unit_size};
    to->info = from->info;
    to->rank = from->rank;
    for (int group = 0; group < GROUPS; group++) {
        to->error[group] = from->error[group];
        if (sizes[group])
            memcpy(to->unit[group], from->unit[group], (size_t)vrcnn_grid(d->width, d->height, sizes[group]).count);
    }
}

static void keep_better(const VrcnnPlaneDecider *d, PlaneChoice *choice, const PlaneChoice *tried)
{
    if (tried->rank < choice->rank)
        vrcnn_copy_plane_choice(d, choice, tried);
}

/* ---- maps ---- */

static int is_in(int which, int group)
{
    return which == BOTH || which == group;
}

/* Side information whose planes have nothing but filters of the subset; modes and maps are the caller's. */
static void list_filters(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, const Members *members)
{
    VrcnnPlaneSideinfo *info = &d->tried.info;
    *info = d->off;
    info->position = in->position;
    info->filters = members->count;
    for (int i = 0; i < members->count; i++) {
        info->filter[i].index = d->network[members->candidate[i]];
        info->filter[i].heads = d->heads[members->candidate[i]];
    }
}

static void give_weights(VrcnnPlaneDecider *d, const VrcnnWeights *weights, int group)
{
    for (int i = 0; i < d->tried.info.filters; i++)
        memcpy(group_weights(&d->tried.info.filter[i].weights, group), weights_of_group(weights + i, group),
               (size_t)d->tried.info.filter[i].heads * sizeof(int));
}

/* A group becomes filtered by a map; which: of what the map is. */
static void give_map(VrcnnPlaneDecider *d, const MapOption *option, int which, int group)
{
    VrcnnPlaneSideinfo *info = &d->tried.info;
    give_weights(d, option->weights, group);
    d->tried.error[group] = option->error[group];
    if (group == LUMA)
        info->luma_mode = VRCNN_MODE_MAP;
    else
        info->chroma_mode = VRCNN_MODE_MAP;
    if (which == BOTH && group == CHROMA) {
        info->shares_map = 1;
        return;
    }
    if (group == LUMA)
        info->luma_unit_size = option->unit_size;
    else
        info->chroma_unit_size = option->unit_size;
    memcpy(d->tried.unit[group], option->unit, (size_t)vrcnn_grid(d->width, d->height, option->unit_size).count);
}

/* For each unit the filter of least cost, at these prices for each value. */
static void choose_units(VrcnnPlaneDecider *d, MapOption *option, const Members *members, int which, int units, const double *price)
{
    memset(option->error, 0, sizeof option->error);
    for (int i = 0; i < units; i++) {
        double lowest = DBL_MAX, error[GROUPS] = {0, 0};
        for (int value = 0; value <= members->count; value++) {
            double with[GROUPS] = {0, 0};
            for (int group = 0; group < d->groups; group++) {
                const PlaneSums *sums = &d->units[group][i];
                const int k = value ? members->candidate[value - 1] : 0;
                if (is_in(which, group))
                    with[group] = value ? estimate(sums, k, d->heads[k], weights_of_group(option->weights + value - 1, group)) : sums->base;
            }
            const double cost = with[LUMA] + with[CHROMA] + price[value];
            if (cost < lowest) {
                lowest = cost;
                d->unit[i] = (uint8_t)value;
                memcpy(error, with, sizeof error);
            }
        }
        for (int group = 0; group < GROUPS; group++)
            option->error[group] += error[group];
    }
}

/* To the units that have each filter; a filter that no unit has keeps its weights. */
static void fit_to_units(VrcnnPlaneDecider *d, MapOption *option, const Members *members, int which, int units)
{
    for (int m = 0; m < members->count; m++)
        for (int group = 0; group < d->groups; group++) {
            const int k = members->candidate[m];
            int any = 0;
            PlaneSums sums = {0};
            for (int i = 0; i < units && is_in(which, group); i++)
                if (d->unit[i] == m + 1) {
                    vrcnn_add_plane_sums(&sums, &d->units[group][i]);
                    any = 1;
                }
            if (any)
                fit_weights(group_weights(option->weights + m, group), &sums, k, d->heads[k]);
        }
}

/* As it stands in d->unit, with its bits if there were nothing else. best: the best so far, of each way. */
static void judge_map(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, MapOption *best, MapOption *option, const Members *members,
                      int which, int units, int way)
{
    option->unit = d->unit;
    list_filters(d, in, members);
    for (int group = 0; group < d->groups; group++)
        if (is_in(which, group))
            give_map(d, option, which, group);
    option->cost = vrcnn_plane_cost(d, in, &d->tried);
    for (int to = way; to < WAYS; to++) { /* what is as trained may be the best of all */
        MapOption *kept = best + to;
        if (option->cost < kept->cost) {
            uint8_t *unit = kept->unit;
            *kept = *option;
            kept->unit = unit;
            memcpy(unit, d->unit, (size_t)units);
        }
    }
}

static void try_map(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, MapOption *best, const Members *members, int which, int size,
                    int units, int way)
{
    MapOption option = {.unit_size = size};
    double price[VRCNN_MAX_CHOICES + 1] = {0};
    for (int m = 0; m < members->count; m++)
        for (int group = 0; group < GROUPS; group++) {
            const int k = members->candidate[m];
            set_trained(group_weights(option.weights + m, group));
            if (way == FITTED && group < d->groups && is_in(which, group))
                fit_weights(group_weights(option.weights + m, group), &d->whole[group], k, d->heads[k]);
        }
    /* The second pass knows how often each value occurs, and so what it costs. */
    for (int pass = 0; pass < 2; pass++) {
        choose_units(d, &option, members, which, units, price);
        if (way == FITTED) {
            fit_to_units(d, &option, members, which, units);
            choose_units(d, &option, members, which, units, price);
        }
        judge_map(d, in, best, &option, members, which, units, way);
        double count[VRCNN_MAX_CHOICES + 1] = {0};
        for (int i = 0; i < units; i++)
            count[d->unit[i]]++;
        for (int value = 0; value <= members->count; value++)
            price[value] = in->lambda * vrcnn_log2((units + 0.5 * (members->count + 1)) / (count[value] + 0.5));
    }
}

/* ---- pictures ---- */

/* A group becomes filtered everywhere by the first member. */
static void give_all(VrcnnPlaneDecider *d, const Members *members, int group, int way)
{
    const int k = members->candidate[0];
    VrcnnWeights weights[VRCNN_MAX_CHOICES];
    for (int m = 0; m < VRCNN_MAX_CHOICES; m++)
        set_trained(group_weights(weights + m, group));
    if (way == FITTED)
        fit_weights(group_weights(weights, group), &d->whole[group], k, d->heads[k]);
    give_weights(d, weights, group);
    d->tried.error[group] = estimate(&d->whole[group], k, d->heads[k], weights_of_group(weights, group));
    if (group == LUMA)
        d->tried.info.luma_mode = VRCNN_MODE_ALL;
    else
        d->tried.info.chroma_mode = VRCNN_MODE_ALL;
}

/* What a group may be: off, all, a map of its own, the map of both. */
enum { IS_OFF, IS_ALL, HAS_OWN_MAP, HAS_SHARED_MAP, KINDS };

static int can_be(const VrcnnPlaneDecider *d, const Members *members, int luma, int chroma, int way)
{
    const int has_map = luma >= HAS_OWN_MAP || chroma >= HAS_OWN_MAP;
    if ((luma == HAS_SHARED_MAP) != (chroma == HAS_SHARED_MAP) || (luma == IS_OFF && chroma == IS_OFF))
        return 0;
    if (!has_map && members->count > 1)
        return 0;
    return (luma != HAS_SHARED_MAP || d->map[BOTH][way].cost < DBL_MAX) && (luma != HAS_OWN_MAP || d->map[LUMA][way].cost < DBL_MAX) &&
           (chroma != HAS_OWN_MAP || d->map[CHROMA][way].cost < DBL_MAX);
}

static void try_picture(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, const Members *members, const int kind[GROUPS], int way)
{
    if (!can_be(d, members, kind[LUMA], kind[CHROMA], way))
        return;
    list_filters(d, in, members);
    for (int group = 0; group < d->groups; group++) {
        const int which = kind[group] == HAS_SHARED_MAP ? BOTH : group;
        if (kind[group] == IS_ALL)
            give_all(d, members, group, way);
        else if (kind[group] != IS_OFF)
            give_map(d, &d->map[which][way], which, group);
    }
    d->tried.rank = vrcnn_plane_rank(d, in, &d->tried);
    keep_better(d, &d->best, &d->tried);
    if (way == AS_TRAINED)
        keep_better(d, &d->trained, &d->tried);
}

void vrcnn_try_planes(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, unsigned subset)
{
    Members members = {0, {0}};
    for (int k = 0; k < d->networks; k++)
        if (subset >> k & 1)
            members.candidate[members.count++] = k;
    for (int which = 0; which < MAPS; which++)
        for (int way = 0; way < WAYS; way++)
            d->map[which][way].cost = DBL_MAX;
    for (int size = VRCNN_LEAST_UNIT; in->map && size <= VRCNN_LEAST_UNIT << (VRCNN_UNIT_SIZES - 1); size *= 2) {
        int units = 0;
        for (int group = 0; group < d->groups; group++)
            units = sum_units(d, group, size);
        for (int which = 0; units > 1 && which < (d->groups > 1 ? MAPS : 1); which++)
            for (int way = 0; way < WAYS; way++)
                try_map(d, in, d->map[which], &members, which, size, units, way);
    }
    for (int way = 0; way < WAYS; way++)
        for (int luma = 0; luma < KINDS; luma++)
            for (int chroma = 0; chroma < (d->groups > 1 ? KINDS : 1); chroma++) {
                const int kind[GROUPS] = {luma, chroma};
                try_picture(d, in, &members, kind, way);
            }
}
