/* The shapes of tiles that are compiled, and what each takes: needed by the kernels and by the host library, which chooses one.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_VARIANTS_H
#define VRCNN_CUDA_VARIANTS_H

#include "launch.h"

/* First (fused.cuh): DO(name, rows and columns of warps, columns of a warp, blocks that the registers must allow on a multiprocessor). */
#define VRCNN_CUDA_FIRST_VARIANTS(DO)                                                                                                      \
    DO(vrcnn_first_1x6x4, 1, 6, 4, 2)                                                                                                      \
    DO(vrcnn_first_2x6x4, 2, 6, 4, 1)                                                                                                      \
    DO(vrcnn_first_2x4x6, 2, 4, 6, 1)                                                                                                      \
    DO(vrcnn_first_2x4x4, 2, 4, 4, 1)

/* Second: DO(name, warps, rows and columns of units, columns of a unit, blocks). */
#define VRCNN_CUDA_SECOND_VARIANTS(DO)                                                                                                     \
    DO(vrcnn_second_6_2x6x4, 6, 2, 6, 4, 2)                                                                                                \
    DO(vrcnn_second_12_2x6x4, 12, 2, 6, 4, 1)                                                                                              \
    DO(vrcnn_second_8_2x6x4, 8, 2, 6, 4, 1)

/* Bytes of shared memory of a block. */
#define VRCNN_CUDA_UP_TO_16(size) (((size) + 15) / 16 * 16)
#define VRCNN_CUDA_FIRST_SHARED_OF(map_rows, map_columns)                                                                                  \
    (VRCNN_CUDA_FIRST_SIZE + (map_rows) * (64 * (map_columns) + 16) + VRCNN_CUDA_UP_TO_16(((map_rows) + 4) * ((map_columns) + 8)) +        \
     ((map_rows) + 4) * ((map_columns) + 4) * 4 + (map_rows) * (map_columns) * 4)
#define VRCNN_CUDA_FIRST_SHARED(rows, columns, width) VRCNN_CUDA_FIRST_SHARED_OF(16 * (rows) + 4, (width) * (columns) + 4)
#define VRCNN_CUDA_SECOND_SHARED_OF(inner_rows, inner_columns)                                                                             \
    (VRCNN_CUDA_SECOND_SIZE + ((inner_rows) + 2) * (VRCNN_CUDA_FUSED_MAP * ((inner_columns) + 2) + ((inner_columns) % 2 ? 0 : 16)) +       \
     9 * 4 * (VRCNN_CUDA_UP_TO_16((inner_rows) * ((inner_columns) + 1)) + 4))
#define VRCNN_CUDA_SECOND_SHARED(rows, columns, width) VRCNN_CUDA_SECOND_SHARED_OF(16 * (rows), (width) * (columns))

#endif
