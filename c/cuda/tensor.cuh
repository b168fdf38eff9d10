/* What the kernels for tensor cores share (fused.cuh, joint.cuh): warps and their share of weights, accumulators, tiles.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_TENSOR_CUH
#define VRCNN_CUDA_TENSOR_CUH

#include "device.cuh"
#include "launch.h"
#include "picture.cuh"

DEVICE int lane_index()
{
    return thread_index() % 32;
}

DEVICE int warp_index()
{
    return thread_index() / 32;
}

/* A warp's share of two neighbouring products' weights: `INPUTS` inputs x 16 outputs. */
template <int INPUTS> struct Pair;
template <> struct Pair<32> {
    Bytes16 part;
    DEVICE_MEMBER void load(const uint8_t *weights)
    {
        part = reinterpret_cast<const Bytes16 *>(weights)[lane_index()];
    }
    DEVICE_MEMBER void multiply_by(int32_t (&low)[4], int32_t (&high)[4], const uint32_t (&a)[4]) const
    {
        multiply(low, a, part.word[0], part.word[1]);
        multiply(high, a, part.word[2], part.word[3]);
    }
};
template <> struct Pair<16> {
    Bytes8 part;
    DEVICE_MEMBER void load(const uint8_t *weights)
    {
        part = reinterpret_cast<const Bytes8 *>(weights)[lane_index()];
    }
    DEVICE_MEMBER void multiply_by(int32_t (&low)[4], int32_t (&high)[4], const uint32_t (&a)[2]) const
    {
        multiply(low, a, part.word[0]);
        multiply(high, a, part.word[1]);
    }
};

/* Copies from global to shared memory by all threads; size is a multiple of 16. */
DEVICE void copy_weights(uint8_t *shared, uint64_t global, int size)
{
    for (int i = thread_index() * 16; i < size; i += thread_count() * 16)
        copy_16(shared + i, reinterpret_cast<const uint8_t *>(global) + i, true);
}

/* Accumulators of outputs 8 j + 2 t and + 1 begin with the bias. */
template <int COUNT> DEVICE void begin_with_bias(int32_t (&acc)[COUNT][4], const uint8_t *bias)
{
    const int32_t *from = reinterpret_cast<const int32_t *>(bias) + lane_index() % 4 * 2;
#pragma unroll
    for (int j = 0; j < COUNT; j++) {
        acc[j][0] = acc[j][2] = from[8 * j];
        acc[j][1] = acc[j][3] = from[8 * j + 1];
    }
}

/* Outputs of products j and j + 1 for the thread's upper (row 0) or lower (row 1) sample. */
template <int COUNT> DEVICE uint32_t requantize_pair(const int32_t (&acc)[COUNT][4], int j, int row, VrcnnCudaRequant requant)
{
    return requantize(acc[j][2 * row], acc[j][2 * row + 1], acc[j + 1][2 * row], acc[j + 1][2 * row + 1], requant);
}

/* Where a tile of outputs lies. */
struct Tile {
    int picture, x, y;
};

DEVICE Tile locate(int tile, int across, int down, int columns, int rows, int top)
{
    const int column = tile % across, row = tile / across % down;
    return {tile / across / down, column * columns, top + row * rows};
}

DEVICE int tiles_along(int size, int tile)
{
    return (size + tile - 1) / tile;
}

#endif
