/* How a picture is cut into pieces.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "schedule.h"

#include <string.h>

#include "integers.h"

enum { MIN_BAND_ROWS = 32 }; /* lower bands would compute more again than they share */

/* Luma's filter, 0..3, and four times chroma's; 0 outside the maps. */
static unsigned unit_at(const VrcnnSchedule *schedule, int column, int row)
{
    const VrcnnGrid *grid = &schedule->grid;
    const VrcnnChoices *choices = schedule->choices;
    const int unit = row * grid->columns + column;
    if (row < 0 || row >= grid->rows || column < 0 || column >= grid->columns)
        return 0;
    return (choices->luma ? choices->luma[unit] : 0U) + 4 * (choices->chroma ? choices->chroma[unit] : 0U);
}

/* How many units of the same filters follow each other from this one on; 0 if a run does not begin here. */
static int run_length(const VrcnnSchedule *schedule, int column, int row)
{
    const unsigned unit = unit_at(schedule, column, row);
    int end = column;
    if (!unit || unit_at(schedule, column - 1, row) == unit)
        return 0;
    while (unit_at(schedule, end, row) == unit)
        end++;
    return end - column;
}

/* Whether the run of this length that begins here has the same above it: then both belong to one rectangle. */
static int is_below_its_like(const VrcnnSchedule *schedule, int column, int row, int length)
{
    return unit_at(schedule, column, row - 1) == unit_at(schedule, column, row) && run_length(schedule, column, row - 1) == length;
}

/* The next rectangle of the map, cut off at the picture's edge; 0 at the end. */
static int next_rectangle(VrcnnSchedule *schedule)
{
    const int size = schedule->grid.size;
    for (; schedule->row < schedule->grid.rows; schedule->row++, schedule->column = 0)
        while (schedule->column < schedule->grid.columns) {
            const int column = schedule->column, row = schedule->row, length = run_length(schedule, column, row);
            const unsigned unit = unit_at(schedule, column, row);
            int end = row + 1;
            schedule->column += length ? length : 1;
            if (!unit || !length || is_below_its_like(schedule, column, row, length))
                continue;
            while (run_length(schedule, column, end) == length && is_below_its_like(schedule, column, end, length))
                end++;
            schedule->code = unit;
            schedule->rectangle.x = column * size;
            schedule->rectangle.y = row * size;
            schedule->rectangle.width = smaller((column + length) * size, schedule->width) - schedule->rectangle.x;
            schedule->rectangle.height = smaller(end * size, schedule->height) - schedule->rectangle.y;
            return 1;
        }
    return 0;
}

/* Begins with what is left of the rectangle's filters: the one for luma, and for chroma too if it is the same there; then chroma's. 0 if
 * nothing is. */
static int start_filter(VrcnnSchedule *schedule)
{
    VrcnnPiece *piece = &schedule->piece;
    const unsigned luma = schedule->code % 4, chroma = schedule->code / 4, code = luma ? luma : chroma;
    if (!code)
        return 0;
    piece->filter = (int)code - 1;
    piece->writes_luma = luma > 0;
    piece->writes_chroma = chroma == code;
    schedule->code -= (piece->writes_luma ? luma : 0) + (piece->writes_chroma ? 4 * chroma : 0);
    return 1;
}

/* As many bands as the rectangle's share of all samples is worth threads. */
static void start_bands(VrcnnSchedule *schedule)
{
    const VrcnnRegion rectangle = schedule->rectangle;
    const int site = schedule->pipelines[schedule->choices->index[schedule->piece.filter]].is_joint ? 2 : 1;
    const VrcnnRegion sites = {rectangle.x / site, rectangle.y / site, (rectangle.width + site - 1) / site,
                               (rectangle.height + site - 1) / site};
    const int64_t samples = (int64_t)rectangle.width * rectangle.height;
    int bands = (int)((samples * schedule->threads + schedule->samples - 1) / schedule->samples);
    bands = smaller(bands, (sites.height + MIN_BAND_ROWS - 1) / MIN_BAND_ROWS);
    const int rows = (sites.height + bands - 1) / bands;
    schedule->band_rows = up_to_multiple(rows, VRCNN_ROWS);
    schedule->piece.region = sites;
    schedule->rest = sites;
    schedule->rest.height = smaller(schedule->band_rows, sites.height);
}

void vrcnn_schedule_start(VrcnnSchedule *schedule, const VrcnnPipeline *pipelines, int threads, const VrcnnChoices *choices, int width,
                          int height)
{
    memset(schedule, 0, sizeof *schedule);
    schedule->pipelines = pipelines;
    schedule->threads = threads;
    schedule->choices = choices;
    schedule->width = width;
    schedule->height = height;
    if (!choices->unit_size) {
        schedule->rectangle = choices->region;
        schedule->samples = (int64_t)choices->region.width * choices->region.height;
        schedule->code = 1 + 4;
        start_filter(schedule);
        start_bands(schedule);
        return;
    }
    schedule->grid = vrcnn_grid(width, height, choices->unit_size);
    while (next_rectangle(schedule))
        schedule->samples += (int64_t)schedule->rectangle.width * schedule->rectangle.height;
    schedule->column = 0;
    schedule->row = 0;
    schedule->code = 0;
    memset(&schedule->rectangle, 0, sizeof schedule->rectangle);
}

int vrcnn_schedule_next(VrcnnSchedule *schedule, VrcnnPiece *piece)
{
    const VrcnnRegion *sites = &schedule->piece.region;
    VrcnnRegion *rest = &schedule->rest;
    if (!rest->width) {
        rest->x = sites->x;
        rest->width = sites->width;
        rest->y += rest->height;
        rest->height = smaller(schedule->band_rows, sites->y + sites->height - rest->y);
    }
    if (rest->height <= 0) {
        if (!start_filter(schedule) && !(schedule->choices->unit_size && next_rectangle(schedule) && start_filter(schedule)))
            return 0;
        start_bands(schedule);
    }
    *piece = schedule->piece;
    piece->region = *rest;
    piece->region.width = vrcnn_strip_width(schedule->pipelines + schedule->choices->index[piece->filter], *rest);
    rest->x += piece->region.width;
    rest->width -= piece->region.width;
    return 1;
}
