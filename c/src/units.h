/* The one grid of square units over a picture: maps of networks, cells of sums, blocks that keep their samples.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_UNITS_H
#define VRCNN_SRC_UNITS_H

enum {
    VRCNN_LEAST_UNIT = 64, /* samples, the side of the smallest unit of a map */
    VRCNN_UNIT_SIZES = 4,  /* of which each is twice the one before */
    VRCNN_KEPT_BLOCK = 8   /* samples, the side of the blocks that may keep theirs */
};

/* Units in raster scan; those at the right and the bottom are cut off by the picture's edge. */
typedef struct VrcnnGrid {
    int size; /* samples, the side of a unit */
    int columns, rows, count;
} VrcnnGrid;

static inline VrcnnGrid vrcnn_grid(int width, int height, int size)
{
    const int columns = (width - 1) / size + 1, rows = (height - 1) / size + 1;
    const VrcnnGrid grid = {size, columns, rows, columns * rows};
    return grid;
}

/* Where a unit begins. */
static inline int vrcnn_unit_x(const VrcnnGrid *grid, int unit)
{
    return unit % grid->columns * grid->size;
}

static inline int vrcnn_unit_y(const VrcnnGrid *grid, int unit)
{
    return unit / grid->columns * grid->size;
}

/* log2_unit_size_minus6 of SPECIFICATION.md, or -1 if maps have no units of this size. */
static inline int vrcnn_unit_size_index(int size)
{
    for (int index = 0; index < VRCNN_UNIT_SIZES; index++)
        if (size == VRCNN_LEAST_UNIT << index)
            return index;
    return -1;
}

#endif
