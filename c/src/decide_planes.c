/* An encoder's decision about the filter of three planes, picture by picture: for luma and for chroma off, one filter, or a map of filters.
 * Sums over cells of 64x64 luma samples with the trained residuals tell the cost of every choice without filtering again; the winner's
 * samples are made for real, and it has to win with them.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "decide.h"
#include "decide_planes.h"
#include "integers.h"
#include "planes.h"

/* ---- memory ---- */

static void take_picture(VrcnnPlaneDecider *d, uint16_t *planes[VRCNN_PLANES], VrcnnError *error)
{
    for (int plane = 0; plane < VRCNN_PLANES; plane++)
        planes[plane] = vrcnn_take(plane_width(d, plane) * plane_height(d, plane), sizeof **planes, error);
}

/* 1 if a network of the set has several heads, whose residuals are needed apart. */
static int has_heads(const VrcnnModel *model)
{
    for (int i = 0; i < model->networks; i++)
        if (model->network[i].heads > 1)
            return 1;
    return 0;
}

VrcnnError vrcnn_plane_decider_open(VrcnnPlaneDecider **out, const VrcnnModel *model, int width, int height, int networks)
{
    VrcnnError error = VRCNN_OK;
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    if (!model || networks < 1 || networks > VRCNN_MAX_CHOICES)
        return VRCNN_ERROR_ARGUMENT;
    if (width < 1 || width > VRCNN_MAX_SIZE || height < 1 || height > VRCNN_MAX_SIZE)
        return VRCNN_ERROR_PLANE;
    VrcnnPlaneDecider *d = calloc(1, sizeof *d);
    if (!d)
        return VRCNN_ERROR_MEMORY;
    d->model = model;
    d->width = width;
    d->height = height;
    d->most_networks = networks;
    d->cells = vrcnn_grid(width, height, CELL);
    const size_t cells = (size_t)d->cells.count;
    d->unit = vrcnn_take(cells, 1, &error);
    for (int group = 0; group < GROUPS; group++) {
        d->cell[group] = vrcnn_take(cells, sizeof *d->cell[group], &error);
        d->units[group] = vrcnn_take(cells, sizeof *d->units[group], &error);
        d->best.unit[group] = vrcnn_take(cells, 1, &error);
        d->trained.unit[group] = vrcnn_take(cells, 1, &error);
        d->tried.unit[group] = vrcnn_take(cells, 1, &error);
    }
    for (int which = 0; which < MAPS; which++)
        for (int way = 0; way < WAYS; way++)
            d->map[which][way].unit = vrcnn_take(cells, 1, &error);
    d->scratch = vrcnn_take(cells, 1, &error);
    for (int k = 0; k < networks; k++) {
        take_picture(d, d->result[k], &error);
        if (has_heads(model))
            take_picture(d, d->first_head[k], &error);
    }
    take_picture(d, d->final, &error);
    if (error) {
        vrcnn_plane_decider_close(d);
        return error;
    }
    *out = d;
    return VRCNN_OK;
}

static void free_picture(uint16_t *planes[VRCNN_PLANES])
{
    for (int plane = 0; plane < VRCNN_PLANES; plane++)
        free(planes[plane]);
}

void vrcnn_plane_decider_close(VrcnnPlaneDecider *decider)
{
    if (!decider)
        return;
    for (int k = 0; k < VRCNN_MAX_CHOICES; k++) {
        free_picture(decider->result[k]);
        free_picture(decider->first_head[k]);
    }
    free_picture(decider->final);
    for (int group = 0; group < GROUPS; group++) {
        free(decider->cell[group]);
        free(decider->units[group]);
        free(decider->best.unit[group]);
        free(decider->trained.unit[group]);
        free(decider->tried.unit[group]);
    }
    for (int which = 0; which < MAPS; which++)
        for (int way = 0; way < WAYS; way++)
            free(decider->map[which][way].unit);
    free(decider->unit);
    free(decider->scratch);
    free(decider);
}

/* ---- samples ---- */

static VrcnnPlane plane_of(const VrcnnPlaneDecider *d, uint16_t *samples, int plane, int bit_depth)
{
    const int width = (int)plane_width(d, plane), height = (int)plane_height(d, plane);
    const VrcnnPlane found = {samples, width * (ptrdiff_t)sizeof *samples, width, height, bit_depth, 2};
    return found;
}

/* Squared error of a group in a square of so many luma samples, against the original. */
static double group_error(const VrcnnPlaneDecisionInput *in, const VrcnnConstPlane *planes, int group, int left, int top, int size)
{
    double error = 0;
    for (int plane = first_plane(group); plane <= last_plane(group); plane++) {
        const int step = plane ? 2 : 1;
        error += plane_weight(in, plane) * vrcnn_squared_error(planes + plane, in->original + plane, left / step, top / step, size / step);
    }
    return error;
}

/* A unit of one plane over another. */
static void copy_unit(const VrcnnPlaneDecider *d, int plane, const VrcnnConstPlane *src, const VrcnnGrid *grid, int unit)
{
    const int step = plane ? 2 : 1, size = grid->size / step, width = (int)plane_width(d, plane), height = (int)plane_height(d, plane);
    const int left = vrcnn_unit_x(grid, unit) / step, top = vrcnn_unit_y(grid, unit) / step;
    for (int y = top; y < smaller(top + size, height); y++)
        vrcnn_read_row(d->final[plane] + (size_t)y * (size_t)width + left, src, left, y, smaller(size, width - left));
}

/* ---- networks and sums ---- */

/* The network for the QP; and as far as that is wanted, others of its kind and size: of the same nominal QP by index, and the first one of
 * the next QP below and of the next above. */
static VrcnnError list_networks(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in)
{
    const int nearest = vrcnn_model_find(d->model, in->position, in->kind, in->size, in->qp);
    if (nearest < 0)
        return (VrcnnError)nearest;
    const VrcnnNetwork *own = &d->model->network[nearest];
    int below = -1, above = -1, found[VRCNN_MAX_NETWORKS + 3], count = 0;
    found[count++] = nearest;
    for (int i = 0; i < d->model->networks; i++) {
        const VrcnnNetwork *network = &d->model->network[i];
        if (i == nearest || network->kind != own->kind || network->size != own->size || network->position != own->position)
            continue;
        if (network->nominal_qp == own->nominal_qp)
            found[count++] = i;
        else if (network->nominal_qp < own->nominal_qp)
            below = below < 0 || network->nominal_qp > d->model->network[below].nominal_qp ? i : below;
        else
            above = above < 0 || network->nominal_qp < d->model->network[above].nominal_qp ? i : above;
    }
    if (below >= 0)
        found[count++] = below;
    if (above >= 0)
        found[count++] = above;
    d->networks = smaller(count, d->most_networks);
    for (int k = 0; k < d->networks; k++) {
        d->network[k] = found[k];
        d->heads[k] = d->model->network[found[k]].heads;
    }
    return VRCNN_OK;
}

/* The whole picture by a candidate with these weights, in all planes that it filters. */
static VrcnnError run(VrcnnPlaneDecider *d, VrcnnContext *context, const VrcnnPlaneDecisionInput *in, int k, int first, int second,
                      uint16_t *planes[VRCNN_PLANES])
{
    VrcnnPlaneSideinfo all = d->off;
    VrcnnPlane dst[VRCNN_PLANES];
    all.luma_mode = VRCNN_MODE_ALL;
    all.chroma_mode = d->groups > 1 ? VRCNN_MODE_ALL : VRCNN_MODE_OFF;
    all.filters = 1;
    all.filter[0].index = d->network[k];
    all.filter[0].weights = (VrcnnWeights){{first, second}, {first, second}};
    for (int plane = 0; plane < VRCNN_PLANES; plane++)
        dst[plane] = plane_of(d, planes[plane], plane, in->source[plane].bit_depth);
    return vrcnn_apply(context, &all, NULL, in->kept, dst, in->source);
}

static VrcnnError run_all(VrcnnPlaneDecider *d, VrcnnContext *context, const VrcnnPlaneDecisionInput *in)
{
    VrcnnError error = VRCNN_OK;
    for (int k = 0; k < VRCNN_MAX_CHOICES && k < d->networks && !error; k++) {
        error = run(d, context, in, k, VRCNN_SCALE_TRAINED, VRCNN_SCALE_TRAINED, d->result[k]);
        if (!error && d->heads[k] > 1)
            error = run(d, context, in, k, VRCNN_SCALE_TRAINED, 0, d->first_head[k]);
    }
    return error;
}

/* ---- the winner ---- */

static VrcnnMode mode_of(const VrcnnPlaneSideinfo *info, int group)
{
    return group == LUMA ? info->luma_mode : info->chroma_mode;
}

/* The map of a group, and its grid. */
static const uint8_t *map_of(const VrcnnPlaneDecider *d, const PlaneChoice *choice, int group, VrcnnGrid *grid)
{
    const int of = group == CHROMA && choice->info.shares_map ? LUMA : group;
    *grid = vrcnn_grid(d->width, d->height, of == LUMA ? choice->info.luma_unit_size : choice->info.chroma_unit_size);
    return choice->unit[of];
}

static int is_trained(const VrcnnPlaneSideinfo *info)
{
    for (int i = 0; i < info->filters; i++)
        for (int head = 0; head < info->filter[i].heads; head++)
            if ((info->luma_mode != VRCNN_MODE_OFF && info->filter[i].weights.luma[head] != VRCNN_SCALE_TRAINED) ||
                (info->chroma_mode != VRCNN_MODE_OFF && info->filter[i].weights.chroma[head] != VRCNN_SCALE_TRAINED))
                return 0;
    return 1;
}

static void fill(const VrcnnPlaneDecider *d, const VrcnnConstPlane *src, int plane)
{
    for (int y = 0; y < src->height; y++)
        vrcnn_read_row(d->final[plane] + (size_t)y * plane_width(d, plane), src, 0, y, src->width);
}

static int candidate_of(const VrcnnPlaneDecider *d, const VrcnnPlaneSideinfo *info, int choice)
{
    int k = 0;
    while (d->network[k] != info->filter[choice - 1].index)
        k++;
    return k;
}

/* The samples of a choice with weights as trained, which are there already. */
static void put_together(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, const PlaneChoice *choice)
{
    for (int plane = 0; plane < VRCNN_PLANES; plane++) {
        const int group = plane ? CHROMA : LUMA;
        const VrcnnMode mode = mode_of(&choice->info, group);
        if (mode == VRCNN_MODE_OFF)
            continue;
        VrcnnGrid grid = d->cells;
        const uint8_t *unit = mode == VRCNN_MODE_MAP ? map_of(d, choice, group, &grid) : NULL;
        for (int i = 0; i < grid.count; i++) {
            const int value = unit ? unit[i] : 1;
            const VrcnnPlane result =
                value ? plane_of(d, d->result[candidate_of(d, &choice->info, value)][plane], plane, in->source[plane].bit_depth)
                      : (VrcnnPlane){0};
            const VrcnnConstPlane reading = value ? vrcnn_reading(&result) : in->base[plane];
            copy_unit(d, plane, &reading, &grid, i);
        }
    }
}

static VrcnnError filter(VrcnnPlaneDecider *d, VrcnnContext *context, const VrcnnPlaneDecisionInput *in, const PlaneChoice *choice)
{
    VrcnnPlane dst[VRCNN_PLANES];
    const VrcnnMaps maps = {choice->unit[LUMA], choice->unit[CHROMA], d->scratch};
    for (int plane = 0; plane < VRCNN_PLANES; plane++) {
        dst[plane] = plane_of(d, d->final[plane], plane, in->source[plane].bit_depth);
        if (mode_of(&choice->info, plane ? CHROMA : LUMA) == VRCNN_MODE_MAP)
            fill(d, in->base + plane, plane);
    }
    return vrcnn_apply(context, &choice->info, &maps, in->kept, dst, in->source);
}

/* The errors of the filtered samples, where the choice had an estimate; units that lose are given back. One group, or both by one map. */
static void measure_map(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, PlaneChoice *choice, const VrcnnConstPlane *final,
                        int first, int last)
{
    VrcnnGrid grid;
    map_of(d, choice, first, &grid);
    for (int group = first; group <= last; group++)
        choice->error[group] = 0;
    for (int i = 0; i < grid.count; i++) {
        const int x = vrcnn_unit_x(&grid, i), y = vrcnn_unit_y(&grid, i);
        double base[GROUPS], with[GROUPS], loss = 0;
        for (int group = first; group <= last; group++) {
            base[group] = group_error(in, in->base, group, x, y, grid.size);
            with[group] = choice->unit[first][i] ? group_error(in, final, group, x, y, grid.size) : base[group];
            loss += with[group] - base[group];
        }
        const int is_given_back = choice->unit[first][i] && loss >= 0;
        for (int group = first; group <= last; group++) {
            choice->error[group] += is_given_back ? base[group] : with[group];
            for (int plane = first_plane(group); is_given_back && plane <= last_plane(group); plane++)
                copy_unit(d, plane, in->base + plane, &grid, i);
        }
        if (is_given_back)
            choice->unit[first][i] = 0;
    }
}

static void measure(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, PlaneChoice *choice)
{
    const VrcnnPlaneSideinfo *info = &choice->info;
    VrcnnConstPlane final[VRCNN_PLANES];
    for (int plane = 0; plane < VRCNN_PLANES; plane++) {
        const VrcnnPlane samples = plane_of(d, d->final[plane], plane, in->source[plane].bit_depth);
        final[plane] = vrcnn_reading(&samples);
    }
    for (int group = 0; group < d->groups; group++)
        if (mode_of(info, group) == VRCNN_MODE_ALL)
            choice->error[group] = group_error(in, final, group, 0, 0, 2 * VRCNN_MAX_SIZE);
        else if (mode_of(info, group) == VRCNN_MODE_MAP && (group == LUMA || !info->shares_map))
            measure_map(d, in, choice, final, group, info->shares_map ? CHROMA : group);
}

/* ---- input ---- */

/* Also in sums with the most that side information can cost; NaN is not. */
static int is_finite(const VrcnnPlaneDecisionInput *in)
{
    const double costs[] = {in->lambda, in->chroma_weight[0], in->chroma_weight[1], in->luma_cost, in->chroma_cost};
    double most = in->luma_cost + in->chroma_cost + in->lambda * 16 * VRCNN_SIDEINFO_SIZE;
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++)
        if (!(costs[i] >= 0 && costs[i] <= DBL_MAX))
            return 0;
    for (int i = 0; i < 2; i++) /* times all errors that there may be, and those of residuals */
        most += in->chroma_weight[i] * 400.0 * 1024 * 1024 * VRCNN_MAX_SIZE * VRCNN_MAX_SIZE;
    return most <= DBL_MAX;
}

static VrcnnError valid(const VrcnnPlaneDecider *d, const VrcnnPlane *dst, const VrcnnPlaneDecisionInput *in)
{
    VrcnnConstPlane target[VRCNN_PLANES];
    for (int plane = 0; plane < VRCNN_PLANES; plane++)
        target[plane] = vrcnn_reading(dst + plane);
    const VrcnnConstPlane *const pictures[] = {in->source, in->original, in->base, target};
    if (in->position != VRCNN_BEFORE_DEBLOCKING && in->position != VRCNN_AFTER_SAO)
        return VRCNN_ERROR_POSITION;
    if ((in->kind != VRCNN_LUMA && in->kind != VRCNN_JOINT) || (in->size != VRCNN_FAST && in->size != VRCNN_BEST) || !is_finite(in))
        return VRCNN_ERROR_ARGUMENT;
    for (size_t i = 0; i < sizeof pictures / sizeof pictures[0]; i++) {
        VrcnnExtent any[VRCNN_PLANES];
        const VrcnnError error = vrcnn_check_read(any, pictures[i], VRCNN_USUAL);
        if (error)
            return error;
        for (int plane = 0; plane < VRCNN_PLANES; plane++)
            if (!pictures[i][plane].data != !in->source[plane].data ||
                (pictures[i][plane].data && pictures[i][plane].bit_depth != in->source[plane].bit_depth))
                return VRCNN_ERROR_PLANE;
        if (pictures[i]->width != d->width || pictures[i]->height != d->height)
            return VRCNN_ERROR_PLANE;
    }
    return VRCNN_OK;
}

static VrcnnPlaneSideinfo without_filter(const VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in)
{
    VrcnnPlaneSideinfo off = {.version = 2, .has_identity = in->is_irap != 0};
    if (off.has_identity) {
        uint8_t identity[VRCNN_ID_SIZE];
        vrcnn_model_id(d->model, identity);
        memcpy(off.identity, identity, VRCNN_SIDEINFO_SHORT_ID_SIZE);
    }
    return off;
}

static void start(PlaneChoice *choice, const VrcnnPlaneSideinfo *info)
{
    choice->info = *info;
    memset(choice->error, 0, sizeof choice->error);
}

static void tell(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in, const VrcnnPlane *dst, VrcnnPlaneDecision *decision)
{
    const VrcnnPlaneSideinfo *info = &d->best.info;
    vrcnn_plane_bits(d, &d->best, decision->data, &decision->size);
    decision->info = *info;
    decision->luma = info->luma_mode == VRCNN_MODE_MAP ? d->best.unit[LUMA] : NULL;
    decision->chroma = info->chroma_mode != VRCNN_MODE_MAP ? NULL : info->shares_map ? decision->luma : d->best.unit[CHROMA];
    decision->cost = vrcnn_plane_cost(d, in, &d->best);
    for (int plane = 0; plane < VRCNN_PLANES; plane++)
        if (mode_of(info, plane ? CHROMA : LUMA) != VRCNN_MODE_OFF)
            for (int y = 0; y < in->source[plane].height; y++)
                vrcnn_write_row(dst + plane, 0, y, d->final[plane] + (size_t)y * plane_width(d, plane), in->source[plane].width);
}

VrcnnError vrcnn_decide_planes(VrcnnPlaneDecider *decider, VrcnnContext *context, const VrcnnPlaneDecisionInput *input,
                               const VrcnnPlane dst[3], VrcnnPlaneDecision *decision)
{
    VrcnnPlaneDecider *d = decider;
    if (!d || !context || !input || !dst || !decision)
        return VRCNN_ERROR_ARGUMENT;
    VrcnnError error = valid(d, dst, input);
    if (error || (error = list_networks(d, input)))
        return error;
    d->groups = input->kind == VRCNN_JOINT && input->source[1].data ? GROUPS : 1;
    d->off = without_filter(d, input);
    start(&d->tried, &d->off);
    start(&d->best, &d->off);
    start(&d->trained, &d->off);
    d->trained.rank = d->best.rank = vrcnn_plane_rank(d, input, &d->best);

    if ((error = run_all(d, context, input)))
        return error;
    vrcnn_sum_planes(d, input);
    for (unsigned subset = 1; subset < 1U << d->networks; subset++)
        vrcnn_try_planes(d, input, subset);

    if (!is_trained(&d->best.info)) {
        if ((error = filter(d, context, input, &d->best)))
            return error;
        measure(d, input, &d->best);
        d->best.rank = vrcnn_plane_rank(d, input, &d->best);
        /* The estimate may have promised too much: rounding breaks the proportion where residuals are small. */
        if (d->best.rank < d->trained.rank) {
            tell(d, input, dst, decision);
            return VRCNN_OK;
        }
        vrcnn_copy_plane_choice(d, &d->best, &d->trained);
    }
    put_together(d, input, &d->best);
    tell(d, input, dst, decision);
    return VRCNN_OK;
}
