/* How a picture is cut into pieces.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "schedule.h"

#include <string.h>

#include "integers.h"

enum { MIN_BAND_ROWS = 32 }; /* lower bands would compute more again than they share */

/* 0 outside the map. */
static int unit_at(const VrcnnSchedule *schedule, int column, int row)
{
    const VrcnnGrid *grid = &schedule->grid;
    const int is_inside = row >= 0 && row < grid->rows && column >= 0 && column < grid->columns;
    return is_inside ? schedule->units->unit[row * grid->columns + column] : 0;
}

/* How many units of one network follow each other from this one on; 0 if a run does not begin here. */
static int run_length(const VrcnnSchedule *schedule, int column, int row)
{
    const int unit = unit_at(schedule, column, row);
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
            const int unit = unit_at(schedule, column, row);
            int end = row + 1;
            schedule->column += length ? length : 1;
            if (unit < 1 || !length || is_below_its_like(schedule, column, row, length))
                continue;
            while (run_length(schedule, column, end) == length && is_below_its_like(schedule, column, end, length))
                end++;
            schedule->index = schedule->units->index[unit - 1];
            schedule->rectangle.x = column * size;
            schedule->rectangle.y = row * size;
            schedule->rectangle.width = smaller((column + length) * size, schedule->width) - schedule->rectangle.x;
            schedule->rectangle.height = smaller(end * size, schedule->height) - schedule->rectangle.y;
            return 1;
        }
    return 0;
}

/* As many bands as the rectangle's share of all samples is worth threads. */
static void start_rectangle(VrcnnSchedule *schedule)
{
    const VrcnnRegion rectangle = schedule->rectangle;
    const int64_t samples = (int64_t)rectangle.width * rectangle.height;
    int bands = (int)((samples * schedule->threads + schedule->samples - 1) / schedule->samples);
    bands = smaller(bands, (rectangle.height + MIN_BAND_ROWS - 1) / MIN_BAND_ROWS);
    const int rows = (rectangle.height + bands - 1) / bands;
    schedule->band_rows = up_to_multiple(rows, VRCNN_ROWS);
    schedule->rest = rectangle;
    schedule->rest.height = smaller(schedule->band_rows, rectangle.height);
}

void vrcnn_schedule_start(VrcnnSchedule *schedule, const VrcnnPipeline *pipelines, int threads, int index, VrcnnRegion region,
                          const VrcnnUnits *units, int width, int height)
{
    memset(schedule, 0, sizeof *schedule);
    schedule->pipelines = pipelines;
    schedule->threads = threads;
    schedule->units = units;
    schedule->width = width;
    schedule->height = height;
    if (!units) {
        schedule->index = index;
        schedule->rectangle = region;
        schedule->samples = (int64_t)region.width * region.height;
        start_rectangle(schedule);
        return;
    }
    schedule->grid = vrcnn_grid(width, height, units->unit_size);
    while (next_rectangle(schedule))
        schedule->samples += (int64_t)schedule->rectangle.width * schedule->rectangle.height;
    schedule->column = 0;
    schedule->row = 0;
    memset(&schedule->rectangle, 0, sizeof schedule->rectangle);
}

int vrcnn_schedule_next(VrcnnSchedule *schedule, VrcnnRegion *piece, int *index)
{
    const VrcnnRegion *rectangle = &schedule->rectangle;
    VrcnnRegion *rest = &schedule->rest;
    if (!rest->width) {
        rest->x = rectangle->x;
        rest->width = rectangle->width;
        rest->y += rest->height;
        rest->height = smaller(schedule->band_rows, rectangle->y + rectangle->height - rest->y);
    }
    if (rest->height <= 0) {
        if (!schedule->units || !next_rectangle(schedule))
            return 0;
        start_rectangle(schedule);
    }
    *piece = *rest;
    piece->width = vrcnn_strip_width(schedule->pipelines + schedule->index, *rest);
    *index = schedule->index;
    rest->x += piece->width;
    rest->width -= piece->width;
    return 1;
}
