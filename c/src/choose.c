/* What the choices of a decision cost, estimated from sums over cells and units: whole pictures, maps of networks, output scales.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <float.h>
#include <string.h>

#include "decide.h"

/* Estimated from the samples of the trained scale: the residual is taken to be in proportion to the scale. */
static double estimate(const Sums *sums, int k, int scale)
{
    const double c = scale / (double)VRCNN_SCALE_TRAINED;
    return sums->source - 2 * c * sums->product[k] + c * c * sums->energy[k];
}

double vrcnn_log2(double x)
{
    double result = 0, digit = 1;
    while (x >= 2) {
        x /= 2;
        result += 1;
    }
    for (int i = 0; i < 24; i++) {
        digit /= 2;
        x *= x;
        if (x >= 2) {
            x /= 2;
            result += digit;
        }
    }
    return result;
}

int vrcnn_write_choice(const VrcnnDecider *d, const Choice *choice, uint8_t data[VRCNN_SIDEINFO_SIZE])
{
    size_t size = 0;
    const VrcnnError error = vrcnn_sideinfo_write(data, &size, &choice->info, choice->unit, d->width, d->height);
    return error ? (int)error : (int)size;
}

void vrcnn_keep_better(Choice *choice, const Choice *tried, int units)
{
    if (tried->cost < choice->cost) {
        choice->info = tried->info;
        choice->cost = tried->cost;
        memcpy(choice->unit, tried->unit, (size_t)units);
    }
}

/* What was tried, against the best so far. */
static void judge(VrcnnDecider *d, int units)
{
    vrcnn_keep_better(&d->best, &d->tried, units);
    if (d->tried.info.scale == VRCNN_SCALE_TRAINED)
        vrcnn_keep_better(&d->trained, &d->tried, units);
}

void vrcnn_try_whole(VrcnnDecider *d, const VrcnnSideinfo *off, const VrcnnDecisionInput *in)
{
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    Sums sums = {0};
    for (int i = 0; i < d->cells.count; i++)
        add_sums(&sums, &d->cell[i]);
    for (int k = 0; k < d->networks; k++) {
        VrcnnSideinfo *info = &d->tried.info;
        *info = *off;
        info->mode = VRCNN_MODE_ALL;
        info->position = in->position;
        info->networks = 1;
        info->index[0] = d->network[k];
        const double scale = sums.energy[k] > 0 ? VRCNN_SCALE_TRAINED * sums.product[k] / sums.energy[k] + 0.5 : VRCNN_SCALE_TRAINED;
        const int scales[2] = {VRCNN_SCALE_TRAINED, scale < 1 ? 1 : scale > SCALES ? SCALES : (int)scale};
        for (int i = 0; i < 2; i++) {
            info->scale = scales[i];
            const int size = vrcnn_write_choice(d, &d->tried, data);
            d->tried.cost = estimate(&sums, k, info->scale) + in->lambda * 8 * size;
            if (size >= 0)
                judge(d, 0);
        }
    }
}

void vrcnn_try_map(VrcnnDecider *d, const VrcnnSideinfo *off, const VrcnnDecisionInput *in, int unit_size, int units, unsigned subset,
                   int first, int last)
{
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    int member[VRCNN_MAX_CHOICES] = {0};
    VrcnnSideinfo *info = &d->tried.info;
    *info = *off;
    info->mode = VRCNN_MODE_MAP;
    info->position = in->position;
    info->unit_size = unit_size;
    for (int k = 0; k < d->networks; k++)
        if (subset >> k & 1) {
            member[info->networks] = k;
            info->index[info->networks++] = d->network[k];
        }
    const int values = info->networks + 1;
    double price[VRCNN_MAX_CHOICES + 1] = {0};
    /* The second pass knows how often each value occurs, and so what it costs. */
    for (int pass = 0; pass < 2; pass++) {
        double lowest = DBL_MAX;
        for (int scale = first; scale <= last; scale++) {
            double total = 0;
            for (int i = 0; i < units; i++) {
                double cost = d->units[i].base + price[0];
                d->unit[i] = 0;
                for (int v = 1; v < values; v++) {
                    const double with = estimate(&d->units[i], member[v - 1], scale) + price[v];
                    if (with < cost) {
                        cost = with;
                        d->unit[i] = (uint8_t)v;
                    }
                }
                total += cost;
            }
            if (total < lowest) {
                lowest = total;
                info->scale = scale;
                memcpy(d->tried.unit, d->unit, (size_t)units);
            }
        }
        double count[VRCNN_MAX_CHOICES + 1] = {0}, prices = 0;
        for (int i = 0; i < units; i++) {
            count[d->tried.unit[i]]++;
            prices += price[d->tried.unit[i]];
        }
        const int size = vrcnn_write_choice(d, &d->tried, data);
        d->tried.cost = lowest - prices + in->lambda * 8 * size;
        if (size >= 0)
            judge(d, units);
        for (int v = 0; v < values; v++)
            price[v] = in->lambda * vrcnn_log2((units + 0.5 * values) / (count[v] + 0.5));
    }
}
