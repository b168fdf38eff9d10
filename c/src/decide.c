/* An encoder's decision about the filter, picture by picture: off, one network, or a map of networks. Sums over cells of 64x64 samples
 * with the trained residual tell the cost of every choice at every output scale without filtering again; the winner is filtered for real
 * and has to win with its own samples.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "decide.h"
#include "integers.h"
#include "plane.h"
#include "sideinfo.h"

void *vrcnn_take(size_t count, size_t size, VrcnnError *error)
{
    void *memory = calloc(count, size);
    if (!memory)
        *error = VRCNN_ERROR_MEMORY;
    return memory;
}

VrcnnError vrcnn_decider_open(VrcnnDecider **out, const VrcnnModel *model, int width, int height)
{
    VrcnnError error = VRCNN_OK;
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    if (!model)
        return VRCNN_ERROR_ARGUMENT;
    if (width < 1 || width > VRCNN_MAX_SIZE || height < 1 || height > VRCNN_MAX_SIZE)
        return VRCNN_ERROR_PLANE;
    VrcnnDecider *d = calloc(1, sizeof *d);
    if (!d)
        return VRCNN_ERROR_MEMORY;
    d->model = model;
    d->width = width;
    d->height = height;
    d->cells = vrcnn_grid(width, height, CELL);
    const size_t cells = (size_t)d->cells.count;
    d->cell = vrcnn_take(cells, sizeof *d->cell, &error);
    d->units = vrcnn_take(cells, sizeof *d->units, &error);
    d->unit = vrcnn_take(cells, 1, &error);
    d->best.unit = vrcnn_take(cells, 1, &error);
    d->trained.unit = vrcnn_take(cells, 1, &error);
    d->tried.unit = vrcnn_take(cells, 1, &error);
    for (int k = 0; k < VRCNN_MAX_CHOICES; k++)
        d->result[k] = vrcnn_take((size_t)width * (size_t)height, sizeof *d->result[k], &error);
    d->final = vrcnn_take((size_t)width * (size_t)height, sizeof *d->final, &error);
    if (error) {
        vrcnn_decider_close(d);
        return error;
    }
    *out = d;
    return VRCNN_OK;
}

void vrcnn_decider_close(VrcnnDecider *decider)
{
    if (!decider)
        return;
    for (int k = 0; k < VRCNN_MAX_CHOICES; k++)
        free(decider->result[k]);
    free(decider->final);
    free(decider->cell);
    free(decider->units);
    free(decider->unit);
    free(decider->best.unit);
    free(decider->trained.unit);
    free(decider->tried.unit);
    free(decider);
}

/* ---- samples ---- */

int32_t vrcnn_row_error(const uint16_t *a, const uint16_t *b, int count)
{
    int32_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static VrcnnConstPlane const_plane(const VrcnnDecider *d, const uint16_t *samples, int bit_depth)
{
    const VrcnnConstPlane plane = {samples, d->width * (ptrdiff_t)sizeof *samples, d->width, d->height, bit_depth, 2};
    return plane;
}

static VrcnnPlane plane_of(const VrcnnDecider *d, uint16_t *samples, int bit_depth)
{
    const VrcnnPlane plane = {samples, d->width * (ptrdiff_t)sizeof *samples, d->width, d->height, bit_depth, 2};
    return plane;
}

double vrcnn_squared_error(const VrcnnConstPlane *a, const VrcnnConstPlane *b, int left, int top, int size)
{
    uint16_t row_a[CELL], row_b[CELL];
    int64_t sum = 0;
    for (int y = top; y < smaller(top + size, a->height); y++)
        for (int x = left; x < smaller(left + size, a->width); x += CELL) {
            const int count = smaller(CELL, smaller(left + size, a->width) - x);
            vrcnn_read_row(row_a, a, x, y, count);
            vrcnn_read_row(row_b, b, x, y, count);
            sum += vrcnn_row_error(row_a, row_b, count);
        }
    return (double)sum;
}

/* A unit of one plane over another. */
static void copy_unit(const VrcnnDecider *d, uint16_t *dst, const VrcnnConstPlane *src, const VrcnnGrid *grid, int unit)
{
    const int left = vrcnn_unit_x(grid, unit), top = vrcnn_unit_y(grid, unit);
    for (int y = top; y < smaller(top + grid->size, d->height); y++)
        vrcnn_read_row(dst + (size_t)y * (size_t)d->width + left, src, left, y, smaller(grid->size, d->width - left));
}

/* ---- networks and sums ---- */

/* To luma alone. */
static VrcnnError apply(VrcnnContext *context, const VrcnnSideinfo *info, const uint8_t *unit, const VrcnnDecisionInput *in,
                        const VrcnnPlane *dst)
{
    const VrcnnPlaneSideinfo planes = vrcnn_sideinfo_of_luma(info);
    const VrcnnMaps maps = {.luma = unit};
    const VrcnnPlane written[3] = {*dst};
    const VrcnnConstPlane read[3] = {in->source};
    return vrcnn_apply(context, &planes, &maps, in->kept, written, read);
}

static VrcnnError run(VrcnnDecider *d, VrcnnContext *context, int k, const VrcnnDecisionInput *in)
{
    const VrcnnPlane dst = plane_of(d, d->result[k], in->source.bit_depth);
    const VrcnnSideinfo all = {.mode = VRCNN_MODE_ALL, .networks = 1, .index = {d->network[k]}, .scale = VRCNN_SCALE_TRAINED};
    return apply(context, &all, NULL, in, &dst);
}

/* The candidates: the network for the QP, others of the position with the same nominal QP by index, and while there is room the first
 * network of the next QP below and of the next above. */
static VrcnnError list_networks(VrcnnDecider *d, const VrcnnDecisionInput *in)
{
    const int nearest = vrcnn_model_index_for_qp(d->model, in->position, in->qp);
    if (nearest < 0)
        return (VrcnnError)nearest;
    int below = -1, above = -1;
    const int qp = d->model->network[nearest].nominal_qp;
    d->networks = 0;
    d->network[d->networks++] = nearest;
    for (int i = 0; i < d->model->networks; i++) {
        const VrcnnNetwork *network = &d->model->network[i];
        if (network->kind != VRCNN_LUMA || network->position != (int)in->position || i == nearest)
            continue;
        if (network->nominal_qp == qp) {
            if (d->networks < VRCNN_MAX_CHOICES)
                d->network[d->networks++] = i;
        } else if (network->nominal_qp < qp) {
            if (below < 0 || network->nominal_qp > d->model->network[below].nominal_qp)
                below = i;
        } else if (above < 0 || network->nominal_qp < d->model->network[above].nominal_qp) {
            above = i;
        }
    }
    if (below >= 0 && d->networks < VRCNN_MAX_CHOICES)
        d->network[d->networks++] = below;
    if (above >= 0 && d->networks < VRCNN_MAX_CHOICES)
        d->network[d->networks++] = above;
    return VRCNN_OK;
}

static void sum_cell(const VrcnnDecider *d, Sums *sums, const VrcnnDecisionInput *in, int left, int top)
{
    uint16_t truth[CELL], source[CELL], base[CELL];
    int64_t source_error = 0, base_error = 0, product[VRCNN_MAX_CHOICES] = {0}, energy[VRCNN_MAX_CHOICES] = {0};
    const int count = smaller(CELL, d->width - left);
    for (int y = top; y < smaller(top + CELL, d->height); y++) {
        vrcnn_read_row(truth, &in->original, left, y, count);
        vrcnn_read_row(source, &in->source, left, y, count);
        vrcnn_read_row(base, &in->base, left, y, count);
        source_error += vrcnn_row_error(source, truth, count);
        base_error += vrcnn_row_error(base, truth, count);
        for (int k = 0; k < d->networks; k++) {
            const uint16_t *result = d->result[k] + (size_t)y * (size_t)d->width + left;
            int32_t row_product = 0, row_energy = 0;
            for (int x = 0; x < count; x++) {
                const int residual = result[x] - source[x];
                row_product += (truth[x] - source[x]) * residual;
                row_energy += residual * residual;
            }
            product[k] += row_product;
            energy[k] += row_energy;
        }
    }
    sums->source = (double)source_error;
    sums->base = (double)base_error;
    for (int k = 0; k < VRCNN_MAX_CHOICES; k++) {
        sums->product[k] = (double)product[k];
        sums->energy[k] = (double)energy[k];
    }
}

/* The cells put together to units; returns how many. */
static int sum_units(VrcnnDecider *d, int size)
{
    const VrcnnGrid units = vrcnn_grid(d->width, d->height, size);
    memset(d->units, 0, (size_t)units.count * sizeof *d->units);
    for (int i = 0; i < d->cells.count; i++)
        add_sums(&d->units[vrcnn_unit_y(&d->cells, i) / size * units.columns + vrcnn_unit_x(&d->cells, i) / size], &d->cell[i]);
    return units.count;
}

/* ---- the winner ---- */

/* Its samples. Those of the trained scale are there already. */
static VrcnnError filter(VrcnnDecider *d, VrcnnContext *context, const VrcnnDecisionInput *in)
{
    const VrcnnSideinfo *info = &d->best.info;
    const VrcnnPlane dst = plane_of(d, d->final, in->source.bit_depth);
    const int whole = info->mode == VRCNN_MODE_ALL;
    const VrcnnGrid units = vrcnn_grid(d->width, d->height, whole ? CELL : info->unit_size);
    if (!whole)
        for (int y = 0; y < d->height; y++)
            vrcnn_read_row(d->final + (size_t)y * (size_t)d->width, &in->base, 0, y, d->width);
    if (info->scale == VRCNN_SCALE_TRAINED) {
        for (int i = 0; i < units.count; i++) {
            const int choice = whole ? 1 : d->best.unit[i];
            for (int k = 0; k < d->networks && k < VRCNN_MAX_CHOICES && choice; k++)
                if (d->network[k] == info->index[choice - 1]) {
                    const VrcnnConstPlane result = const_plane(d, d->result[k], in->source.bit_depth);
                    copy_unit(d, d->final, &result, &units, i);
                }
        }
        return VRCNN_OK;
    }
    return apply(context, info, d->best.unit, in, &dst);
}

/* Gives back units that lose after all: at another scale than the trained one the choice was an estimate. Returns the squared error. */
static double refine(VrcnnDecider *d, const VrcnnDecisionInput *in)
{
    const VrcnnConstPlane final = const_plane(d, d->final, in->source.bit_depth);
    if (d->best.info.mode == VRCNN_MODE_ALL)
        return vrcnn_squared_error(&final, &in->original, 0, 0, VRCNN_MAX_SIZE);
    const VrcnnGrid units = vrcnn_grid(d->width, d->height, d->best.info.unit_size);
    const int size = units.size;
    double total = 0;
    for (int i = 0; i < units.count; i++) {
        const int x = vrcnn_unit_x(&units, i), y = vrcnn_unit_y(&units, i);
        const double base = vrcnn_squared_error(&in->base, &in->original, x, y, size),
                     with = vrcnn_squared_error(&final, &in->original, x, y, size);
        total += base < with ? base : with;
        if (base <= with && d->best.unit[i]) {
            d->best.unit[i] = 0;
            copy_unit(d, d->final, &in->base, &units, i);
        }
    }
    return total;
}

/* Also in sums with the most that side information can cost; NaN is not. */
static int is_finite(const VrcnnDecisionInput *in)
{
    const double most = in->ordinary_cost + in->lambda * 8 * VRCNN_SIDEINFO_SIZE;
    return in->lambda >= 0 && most >= -DBL_MAX && most <= DBL_MAX;
}

static VrcnnError valid(const VrcnnDecider *d, const VrcnnPlane *dst, const VrcnnDecisionInput *in)
{
    const VrcnnConstPlane target = vrcnn_reading(dst), *const planes[] = {&in->original, &in->source, &in->base, &target};
    if (in->position != VRCNN_BEFORE_DEBLOCKING && in->position != VRCNN_AFTER_SAO)
        return VRCNN_ERROR_POSITION;
    if (!is_finite(in))
        return VRCNN_ERROR_ARGUMENT;
    for (size_t i = 0; i < sizeof planes / sizeof planes[0]; i++) {
        VrcnnExtent any;
        const VrcnnError error = vrcnn_check_plane(&any, planes[i], VRCNN_USUAL);
        if (error)
            return error;
        if (planes[i]->width != d->width || planes[i]->height != d->height || planes[i]->bit_depth != in->source.bit_depth)
            return VRCNN_ERROR_PLANE;
    }
    return VRCNN_OK;
}

VrcnnError vrcnn_decide(VrcnnDecider *decider, VrcnnContext *context, const VrcnnDecisionInput *input, const VrcnnPlane *dst,
                        VrcnnDecision *decision)
{
    VrcnnDecider *d = decider;
    if (!d || !context || !input || !dst || !decision)
        return VRCNN_ERROR_ARGUMENT;
    VrcnnError error = valid(d, dst, input);
    if (!error)
        error = list_networks(d, input);
    if (error)
        return error;

    VrcnnSideinfo off = {0};
    off.has_identity = input->is_irap != 0;
    off.mode = VRCNN_MODE_OFF;
    if (off.has_identity) {
        uint8_t identity[VRCNN_ID_SIZE];
        vrcnn_model_id(d->model, identity);
        memcpy(off.identity, identity, sizeof off.identity);
    }
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    d->best.info = off;
    d->best.cost = input->ordinary_cost + input->lambda * 8 * vrcnn_write_choice(d, &d->best, data);
    const double off_cost = d->best.cost;
    d->trained.info = off;
    d->trained.cost = off_cost;

    for (int k = 0; k < d->networks && !error; k++)
        error = run(d, context, k, input);
    if (error)
        return error;
    for (int i = 0; i < d->cells.count; i++)
        sum_cell(d, &d->cell[i], input, vrcnn_unit_x(&d->cells, i), vrcnn_unit_y(&d->cells, i));
    vrcnn_try_whole(d, &off, input);
    for (int size = CELL; input->map && size <= 8 * CELL; size *= 2) {
        const int units = sum_units(d, size);
        for (unsigned subset = 1; units > 1 && subset < 1U << d->networks; subset++) {
            vrcnn_try_map(d, &off, input, size, units, subset, 1, SCALES);
            vrcnn_try_map(d, &off, input, size, units, subset, VRCNN_SCALE_TRAINED, VRCNN_SCALE_TRAINED);
        }
    }
    double cost = off_cost;
    for (int again = 0; again < 2 && d->best.info.mode != VRCNN_MODE_OFF; again++) {
        error = filter(d, context, input);
        if (error)
            return error;
        cost = refine(d, input);
        const int size = vrcnn_write_choice(d, &d->best, data);
        cost += input->lambda * 8 * size;
        if (size >= 0 && cost < off_cost && (again || d->best.info.scale == VRCNN_SCALE_TRAINED || cost <= d->trained.cost))
            break;
        /* The estimate promised too much. Rounding breaks the proportion where residuals are small. */
        d->best.info = off;
        d->best.cost = cost = off_cost;
        if (!again)
            vrcnn_keep_better(&d->best, &d->trained, d->cells.count);
    }

    const int size = vrcnn_write_choice(d, &d->best, decision->data);
    if (size < 0)
        return (VrcnnError)size;
    decision->info = d->best.info;
    decision->unit = d->best.info.mode == VRCNN_MODE_MAP ? d->best.unit : NULL;
    decision->size = (size_t)size;
    decision->cost = cost;
    if (d->best.info.mode != VRCNN_MODE_OFF)
        for (int y = 0; y < d->height; y++)
            vrcnn_write_row(dst, 0, y, d->final + (size_t)y * (size_t)d->width, d->width);
    return VRCNN_OK;
}
