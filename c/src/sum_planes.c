/* What a decision on three planes goes by: sums over cells of 64x64 luma samples, of errors and of the candidates' residuals.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "decide.h"
#include "decide_planes.h"
#include "integers.h"
#include "plane.h"

/* Of one row of a cell in one plane; a row's sums fit 32 bits. */
typedef struct RowFit {
    int32_t product[2], energy[2], mixed;
} RowFit;

static RowFit fit_row(const uint16_t *truth, const uint16_t *source, const uint16_t *result, const uint16_t *first_head, int count)
{
    RowFit fit = {{0, 0}, {0, 0}, 0};
    for (int x = 0; x < count; x++) {
        const int error = truth[x] - source[x], residual = result[x] - source[x];
        fit.product[0] += error * residual;
        fit.energy[0] += residual * residual;
    }
    for (int x = 0; first_head && x < count; x++) {
        const int error = truth[x] - source[x], residual = result[x] - source[x], first = first_head[x] - source[x];
        fit.product[1] += error * first;
        fit.energy[1] += first * first;
        fit.mixed += residual * first;
    }
    return fit;
}

static void add_row_fit(Fit *to, const RowFit *row, double weight)
{
    for (int i = 0; i < 2; i++) {
        to->product[i] += weight * row->product[i];
        to->energy[i] += weight * row->energy[i];
    }
    to->mixed += weight * row->mixed;
}

static void sum_cell(const VrcnnPlaneDecider *d, PlaneSums *sums, const VrcnnPlaneDecisionInput *in, int group, int cell)
{
    memset(sums, 0, sizeof *sums);
    for (int plane = first_plane(group); plane <= last_plane(group); plane++) {
        uint16_t truth[CELL], source[CELL], base[CELL];
        const int step = plane ? 2 : 1, size = CELL / step, left = vrcnn_unit_x(&d->cells, cell) / step;
        const int width = (int)plane_width(d, plane), count = smaller(size, width - left), top = vrcnn_unit_y(&d->cells, cell) / step;
        const double weight = plane_weight(in, plane);
        for (int y = top; y < smaller(top + size, (int)plane_height(d, plane)); y++) {
            const size_t at = (size_t)y * (size_t)width + (size_t)left;
            vrcnn_read_row(truth, in->original + plane, left, y, count);
            vrcnn_read_row(source, in->source + plane, left, y, count);
            vrcnn_read_row(base, in->base + plane, left, y, count);
            sums->source += weight * vrcnn_row_error(source, truth, count);
            sums->base += weight * vrcnn_row_error(base, truth, count);
            for (int k = 0; k < d->networks; k++) {
                const RowFit row =
                    fit_row(truth, source, d->result[k][plane] + at, d->heads[k] > 1 ? d->first_head[k][plane] + at : NULL, count);
                add_row_fit(&sums->fit[k], &row, weight);
            }
        }
    }
}

void vrcnn_sum_planes(VrcnnPlaneDecider *d, const VrcnnPlaneDecisionInput *in)
{
    for (int group = 0; group < d->groups; group++) {
        for (int i = 0; i < d->cells.count; i++)
            sum_cell(d, &d->cell[group][i], in, group, i);
        memset(&d->whole[group], 0, sizeof d->whole[group]);
        for (int i = 0; i < d->cells.count; i++)
            vrcnn_add_plane_sums(&d->whole[group], &d->cell[group][i]);
    }
}
