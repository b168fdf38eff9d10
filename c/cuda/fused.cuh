/* VRCNN in two kernels on int8 tensor cores: layers 1 and 2, and layers 3 and 4. Between layers 1 and 2 the feature map lives in shared
 * memory, between 3 and 4 in registers; only the 48 channels between layers 2 and 3 go through global memory (the L2 cache).
 *
 * A matrix product (multiply) takes 16 samples that lie below each other, 32 of their channels, and 8 outputs of one tap. A warp computes
 * 16 rows x COLUMNS columns of samples, all their outputs. For each row of taps it holds the weights in registers and walks over the
 * columns of inputs: what it loads of a column serves all outputs that the column is a neighbour of, whatever the tap; no im2col.
 * Rows of a map in shared memory are an odd number of 16 bytes apart, so that a column is read without bank conflicts.
 *
 * The channels of a map stand in the order in which threads hold them after a product, so that a thread writes words. A thread t of four
 * holds outputs 8 j + 2 t + (0, 1) of products j = 0, 1, ...: pack.c says which channel stands where, and packs the next layer's weights
 * in that order. Outside the picture a map is 0, inputs of layer 1 are 128.
 *
 * NOTES.md: instruction counts and what they predict.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_FUSED_CUH
#define VRCNN_CUDA_FUSED_CUH

#include "tensor.cuh"
#include "variants.h"

/* Two branches, as in VRCNN's layers 2 and 3: products 0, 1 are those of the larger kernel, 2..5 those of the smaller one. */
enum { PRODUCTS = 6, LARGE_PRODUCTS = 2, SMALL_PRODUCTS = PRODUCTS - LARGE_PRODUCTS };

/* Adds, for INPUTS channels, the kernels of both branches: the larger with radius RADIUS, the smaller with one less. samples: shared
 * memory, the first of the INPUTS channels of the sample RADIUS rows above and RADIUS columns left of the warp's top left one; weights: for
 * each row of taps the larger kernel's, then the smaller one's, a pair of products each. Returns where the weights end. */
template <int RADIUS, int INPUTS, int COLUMNS>
DEVICE const uint8_t *add_branches(int32_t (&acc)[COLUMNS][PRODUCTS][4], const uint8_t *samples, int pitch, int sample_pitch,
                                   const uint8_t *weights)
{
    constexpr int SIZE = 2 * RADIUS + 1, PAIR = VRCNN_CUDA_PAIR / 32 * INPUTS;
    const int lane = lane_index();
    const uint8_t *row = samples + lane % 16 * pitch + (INPUTS == 32 ? lane / 16 * 16 : 0);
#pragma unroll
    for (int dy = 0; dy < SIZE; dy++, row += pitch) {
        const bool both = dy > 0 && dy < SIZE - 1;
        Pair<INPUTS> large[SIZE], small[SIZE - 2][SMALL_PRODUCTS / 2];
#pragma unroll
        for (int dx = 0; dx < SIZE; dx++, weights += PAIR)
            large[dx].load(weights);
        if (both) {
#pragma unroll
            for (int dx = 0; dx < SIZE - 2; dx++)
#pragma unroll
                for (int pair = 0; pair < SMALL_PRODUCTS / 2; pair++, weights += PAIR)
                    small[dx][pair].load(weights);
        }
#pragma unroll
        for (int column = 0; column < COLUMNS + 2 * RADIUS; column++) {
            uint32_t a[INPUTS / 8];
            load_matrix(a, row + column * sample_pitch);
#pragma unroll
            for (int x = 0; x < COLUMNS; x++) {
                const int dx = column - x;
                if (dx >= 0 && dx < SIZE)
                    large[dx].multiply_by(acc[x][0], acc[x][1], a);
                if (both && dx >= 1 && dx < SIZE - 1) {
#pragma unroll
                    for (int pair = 0; pair < SMALL_PRODUCTS / 2; pair++)
                        small[dx - 1][pair].multiply_by(acc[x][LARGE_PRODUCTS + 2 * pair], acc[x][LARGE_PRODUCTS + 2 * pair + 1], a);
                }
            }
        }
    }
    return weights;
}

/* Layers 1 and 2, in tiles of 16 WARP_ROWS x COLUMNS WARP_COLUMNS samples of layer 2. */
template <int WARP_ROWS, int WARP_COLUMNS, int COLUMNS> struct First {
    static constexpr int THREADS = 32 * WARP_ROWS * WARP_COLUMNS;
    static constexpr int TILE_ROWS = 16 * WARP_ROWS, TILE_COLUMNS = COLUMNS * WARP_COLUMNS;
    /* Outputs of layer 1, 64 bytes a sample, two more samples on each side. */
    static constexpr int MAP_ROWS = TILE_ROWS + 4, MAP_COLUMNS = TILE_COLUMNS + 4;
    static constexpr int MAP_PITCH = 64 * MAP_COLUMNS + 16;
    /* Inputs of layer 1: four more rows and columns; a word reaches three columns further. */
    static constexpr int RAW_ROWS = MAP_ROWS + 4, RAW_COLUMNS = MAP_COLUMNS + 4, RAW_PITCH = RAW_COLUMNS + 4;
    static constexpr int ACROSS_PITCH = RAW_COLUMNS; /* words */

    static constexpr int MAP = VRCNN_CUDA_FIRST_SIZE;
    static constexpr int RAW = MAP + MAP_ROWS * MAP_PITCH;
    static constexpr int ACROSS = RAW + (RAW_ROWS * RAW_PITCH + 15) / 16 * 16;
    static constexpr int DOWN = ACROSS + RAW_ROWS * ACROSS_PITCH * 4;
    static constexpr int SHARED = DOWN + MAP_ROWS * MAP_COLUMNS * 4;
    static_assert(SHARED == VRCNN_CUDA_FIRST_SHARED(WARP_ROWS, WARP_COLUMNS, COLUMNS), "the host library counts otherwise");

    /* Byte (row, column) of raw: the sample 4 rows above and 4 columns left of the tile's (row, column). */
    DEVICE_MEMBER static void load_samples(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *raw)
    {
        for (int i = thread_index(); i < RAW_ROWS * RAW_PITCH; i += THREADS) {
            const int x = tile.x - 4 + i % RAW_PITCH, y = tile.y - 4 + i / RAW_PITCH;
            const bool inside = x >= 0 && x < launch.width && y >= 0 && y < launch.height;
            raw[i] = static_cast<uint8_t>(inside ? first_input(launch, tile.picture, 0, x, y) : 128);
        }
    }

    /* across: the word that begins at each sample; down: for each output of layer 1 the right ends of the first four of its five rows. */
    DEVICE_MEMBER static void make_words(const uint8_t *raw, uint32_t *across, uint32_t *down)
    {
        for (int i = thread_index(); i < RAW_ROWS * ACROSS_PITCH; i += THREADS) {
            const uint8_t *p = raw + i / ACROSS_PITCH * RAW_PITCH + i % ACROSS_PITCH;
            across[i] = p[0] | p[1] << 8 | p[2] << 16 | static_cast<uint32_t>(p[3]) << 24;
        }
        for (int i = thread_index(); i < MAP_ROWS * MAP_COLUMNS; i += THREADS) {
            const uint8_t *p = raw + i / MAP_COLUMNS * RAW_PITCH + i % MAP_COLUMNS + 4;
            down[i] = p[0] | p[RAW_PITCH] << 8 | p[2 * RAW_PITCH] << 16 | static_cast<uint32_t>(p[3 * RAW_PITCH]) << 24;
        }
    }

    /* Layer 1 for 16 samples at a time, in raster scan. Its 25 taps in the 32 inputs of a product: thread t of four holds inputs 4 t.. (the
     * first four columns of row t) and 16 + 4 t..: t = 0: the same of row 4; 1: column 4 of rows 0..3; 2: column 4 of row 4, and three
     * more samples that meet weights of 0, as everything of t = 3 does. */
    DEVICE_MEMBER static void layer_1(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *shared)
    {
        constexpr int SAMPLES = MAP_ROWS * MAP_COLUMNS;
        const uint32_t *across = reinterpret_cast<const uint32_t *>(shared + ACROSS),
                       *down = reinterpret_cast<const uint32_t *>(shared + DOWN);
        const int lane = lane_index(), t = lane % 4;
        Pair<32> weights[4];
#pragma unroll
        for (int pair = 0; pair < 4; pair++)
            weights[pair].load(shared + VRCNN_CUDA_WEIGHTS_1 + pair * VRCNN_CUDA_PAIR);
        for (int first = warp_index() * 16; first < SAMPLES; first += THREADS / 2) {
            int32_t acc[8][4];
            uint32_t a[4];
            begin_with_bias(acc, shared + VRCNN_CUDA_BIAS_1);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int wanted = first + lane / 4 + 8 * half, sample = wanted < SAMPLES ? wanted : SAMPLES - 1;
                const uint32_t *p = across + sample / MAP_COLUMNS * ACROSS_PITCH + sample % MAP_COLUMNS;
                a[half] = p[t * ACROSS_PITCH];
                a[2 + half] = *(t == 1 ? down + sample : p + 4 * ACROSS_PITCH + (t == 2 ? 4 : 0));
            }
#pragma unroll
            for (int pair = 0; pair < 4; pair++)
                weights[pair].multiply_by(acc[2 * pair], acc[2 * pair + 1], a);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int sample = first + lane / 4 + 8 * half, row = sample / MAP_COLUMNS, column = sample % MAP_COLUMNS;
                const int x = tile.x - 2 + column, y = tile.y - 2 + row;
                const bool inside = x >= 0 && x < launch.width && y >= 0 && y < launch.height;
                Bytes16 out;
#pragma unroll
                for (int i = 0; i < 4; i++)
                    out.word[i] = inside ? requantize_pair(acc, 2 * i, half, launch.requant[0]) : 0;
                if (sample < SAMPLES)
                    *reinterpret_cast<Bytes16 *>(shared + MAP + row * MAP_PITCH + column * 64 + 16 * t) = out;
            }
        }
    }

    DEVICE_MEMBER static void layer_2(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *shared)
    {
        const int lane = lane_index(), t = lane % 4, warp_row = warp_index() / WARP_COLUMNS, warp_column = warp_index() % WARP_COLUMNS;
        int32_t acc[COLUMNS][PRODUCTS][4];
#pragma unroll
        for (int x = 0; x < COLUMNS; x++)
            begin_with_bias(acc[x], shared + VRCNN_CUDA_BIAS_2);
        const uint8_t *samples = shared + MAP + 16 * warp_row * MAP_PITCH + COLUMNS * warp_column * 64,
                      *weights = shared + VRCNN_CUDA_WEIGHTS_2;
#pragma unroll 1
        for (int half = 0; half < 2; half++)
            weights = add_branches<2, 32, COLUMNS>(acc, samples + 32 * half, MAP_PITCH, 64, weights);

        const int64_t rows = launch.map_bottom - launch.map_top;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int y = tile.y + 16 * warp_row + lane / 4 + 8 * half;
            if (y >= launch.map_bottom)
                continue;
            const int left = tile.x + COLUMNS * warp_column;
            uint8_t *out = reinterpret_cast<uint8_t *>(launch.map) +
                           ((tile.picture * rows + y - launch.map_top) * launch.width + left) * VRCNN_CUDA_FUSED_MAP;
#pragma unroll
            for (int x = 0; x < COLUMNS; x++, out += VRCNN_CUDA_FUSED_MAP)
                if (left + x < launch.width) {
                    Bytes8 low;
                    low.word[0] = requantize_pair(acc[x], 0, half, launch.requant[1]);
                    low.word[1] = requantize_pair(acc[x], 2, half, launch.requant[2]);
                    *reinterpret_cast<Bytes8 *>(out + 8 * t) = low;
                    *reinterpret_cast<uint32_t *>(out + 32 + 4 * t) = requantize_pair(acc[x], 4, half, launch.requant[2]);
                }
        }
    }

    DEVICE_MEMBER static void run(const VrcnnCudaLaunch &launch, uint8_t *shared)
    {
        const int across = tiles_along(launch.width, TILE_COLUMNS), down = tiles_along(launch.map_bottom - launch.map_top, TILE_ROWS);
        copy_weights(shared, launch.weights, VRCNN_CUDA_FIRST_SIZE);
        wait_for_copies();
        for (int i = block_index(); i < across * down * launch.pictures; i += block_count()) {
            const Tile tile = locate(i, across, down, TILE_COLUMNS, TILE_ROWS, launch.map_top);
            load_samples(launch, tile, shared + RAW);
            synchronize(); /* also: nobody is in layer 2 of the tile before */
            make_words(shared + RAW, reinterpret_cast<uint32_t *>(shared + ACROSS), reinterpret_cast<uint32_t *>(shared + DOWN));
            synchronize();
            layer_1(launch, tile, shared);
            synchronize();
            layer_2(launch, tile, shared);
        }
    }
};

/* Layers 3 and 4, in tiles of 16 UNIT_ROWS x COLUMNS UNIT_COLUMNS samples of layer 3, one more on each side than of layer 4. */
template <int WARPS, int UNIT_ROWS, int UNIT_COLUMNS, int COLUMNS> struct Second {
    static constexpr int THREADS = 32 * WARPS, TAPS = 9;
    static constexpr int INNER_ROWS = 16 * UNIT_ROWS, INNER_COLUMNS = COLUMNS * UNIT_COLUMNS;
    static constexpr int TILE_ROWS = INNER_ROWS - 2, TILE_COLUMNS = INNER_COLUMNS - 2;
    /* Outputs of layer 2. */
    static constexpr int MAP_ROWS = INNER_ROWS + 2, MAP_COLUMNS = INNER_COLUMNS + 2;
    static constexpr int MAP_PITCH = VRCNN_CUDA_FUSED_MAP * MAP_COLUMNS + (MAP_COLUMNS % 2 ? 0 : 16);
    /* What each sample of layer 3 adds to each tap of layer 4: int32, a plane for each tap. */
    static constexpr int TERM_PITCH = INNER_COLUMNS + 1;
    static constexpr int TERM_PLANE = (INNER_ROWS * TERM_PITCH + 15) / 16 * 16 + 4;

    static constexpr int MAP = VRCNN_CUDA_SECOND_SIZE;
    static constexpr int TERMS = MAP + MAP_ROWS * MAP_PITCH;
    static constexpr int SHARED = TERMS + TAPS * TERM_PLANE * 4;
    static_assert(SHARED == VRCNN_CUDA_SECOND_SHARED(UNIT_ROWS, UNIT_COLUMNS, COLUMNS), "the host library counts otherwise");

    DEVICE_MEMBER static void load_map(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *map)
    {
        constexpr int PIECES = VRCNN_CUDA_FUSED_MAP / 16;
        const int64_t rows = launch.map_bottom - launch.map_top;
        const uint8_t *from = reinterpret_cast<const uint8_t *>(launch.map);
        for (int i = thread_index(); i < MAP_ROWS * MAP_COLUMNS * PIECES; i += THREADS) {
            const int row = i / (MAP_COLUMNS * PIECES), column = i / PIECES % MAP_COLUMNS, piece = i % PIECES;
            const int x = tile.x - 2 + column, y = tile.y - 2 + row;
            const bool there = x >= 0 && x < launch.width && y >= launch.map_top && y < launch.map_bottom;
            const int64_t sample = there ? (tile.picture * rows + y - launch.map_top) * launch.width + x : 0;
            copy_16(map + row * MAP_PITCH + column * VRCNN_CUDA_FUSED_MAP + 16 * piece, from + sample * VRCNN_CUDA_FUSED_MAP + 16 * piece,
                    there);
        }
    }

    /* Layer 3 and the products of layer 4 for 16 rows x COLUMNS columns. */
    DEVICE_MEMBER static void layer_3(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *shared, int unit)
    {
        const int lane = lane_index(), t = lane % 4, top = unit / UNIT_COLUMNS * 16, left = unit % UNIT_COLUMNS * COLUMNS;
        int32_t acc[COLUMNS][PRODUCTS][4];
#pragma unroll
        for (int x = 0; x < COLUMNS; x++)
            begin_with_bias(acc[x], shared + VRCNN_CUDA_BIAS_3);
        const uint8_t *samples = shared + MAP + top * MAP_PITCH + left * VRCNN_CUDA_FUSED_MAP, *weights = shared + VRCNN_CUDA_WEIGHTS_3;
        weights = add_branches<1, 32, COLUMNS>(acc, samples, MAP_PITCH, VRCNN_CUDA_FUSED_MAP, weights);
        add_branches<1, 16, COLUMNS>(acc, samples + 32, MAP_PITCH, VRCNN_CUDA_FUSED_MAP, weights);

        Pair<32> low;
        Pair<16> high;
        low.load(shared + VRCNN_CUDA_WEIGHTS_4);
        high.load(shared + VRCNN_CUDA_WEIGHTS_4 + VRCNN_CUDA_PAIR);
        int32_t *terms = reinterpret_cast<int32_t *>(shared + TERMS);
#pragma unroll
        for (int x = 0; x < COLUMNS; x++) {
            /* What a thread holds of layer 3's outputs is what it must hold of the next product's inputs, in the order of channels that
             * layer 4's weights are packed in. */
            uint32_t a[4], b[2];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int px = tile.x - 1 + left + x, py = tile.y - 1 + top + lane / 4 + 8 * half;
                const bool inside = px >= 0 && px < launch.width && py >= 0 && py < launch.height;
                a[half] = inside ? requantize_pair(acc[x], 0, half, launch.requant[1]) : 0;
                a[2 + half] = inside ? requantize_pair(acc[x], 2, half, launch.requant[2]) : 0;
                b[half] = inside ? requantize_pair(acc[x], 4, half, launch.requant[2]) : 0;
            }
            int32_t taps[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
            low.multiply_by(taps[0], taps[1], a);
            high.multiply_by(taps[0], taps[1], b);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int32_t *to = terms + (top + lane / 4 + 8 * half) * TERM_PITCH + left + x;
                to[2 * t * TERM_PLANE] = taps[0][2 * half];
                to[(2 * t + 1) * TERM_PLANE] = taps[0][2 * half + 1];
                if (t == 0)
                    to[8 * TERM_PLANE] = taps[1][2 * half];
            }
        }
    }

    DEVICE_MEMBER static void layer_4(const VrcnnCudaLaunch &launch, const Tile &tile, const uint8_t *shared)
    {
        const int32_t *terms = reinterpret_cast<const int32_t *>(shared + TERMS);
        const VrcnnCudaLast last = launch.last[0];
        const int32_t bias = *reinterpret_cast<const int32_t *>(shared + VRCNN_CUDA_BIAS_4) + half_of(last.shift);
        for (int i = thread_index(); i < TILE_ROWS * TILE_COLUMNS; i += THREADS) {
            const int row = i / TILE_COLUMNS, column = i % TILE_COLUMNS, x = tile.x + column, y = tile.y + row;
            if (x < launch.left || x >= launch.right || y >= launch.bottom)
                continue;
            int32_t acc = bias;
#pragma unroll
            for (int tap = 0; tap < TAPS; tap++)
                acc += terms[tap * TERM_PLANE + (row + tap / 3) * TERM_PITCH + column + tap % 3];
            write_filtered(launch, tile.picture, 0, x, y, weigh(acc, last, 0));
        }
    }

    DEVICE_MEMBER static void run(const VrcnnCudaLaunch &launch, uint8_t *shared)
    {
        const int across = tiles_along(launch.width, TILE_COLUMNS), down = tiles_along(launch.bottom - launch.top, TILE_ROWS);
        const int tiles = across * down * launch.pictures;
        copy_weights(shared, launch.weights, VRCNN_CUDA_SECOND_SIZE);
        int i = block_index();
        if (i < tiles)
            load_map(launch, locate(i, across, down, TILE_COLUMNS, TILE_ROWS, launch.top), shared + MAP);
        while (i < tiles) {
            const Tile tile = locate(i, across, down, TILE_COLUMNS, TILE_ROWS, launch.top);
            wait_for_copies();
            synchronize(); /* also: nobody reads the terms of the tile before */
            for (int unit = warp_index(); unit < UNIT_ROWS * UNIT_COLUMNS; unit += WARPS)
                layer_3(launch, tile, shared, unit);
            synchronize();
            i += block_count();
            if (i < tiles)
                load_map(launch, locate(i, across, down, TILE_COLUMNS, TILE_ROWS, launch.top), shared + MAP);
            layer_4(launch, tile, shared);
        }
        wait_for_copies();
    }
};

/* Matrix products on nothing but registers: what the machine can do, for bench. */
DEVICE void measure_peak(const VrcnnCudaPeak &peak)
{
    constexpr int ACCUMULATORS = 8;
    int32_t acc[ACCUMULATORS][4] = {};
    uint32_t a[4], sum = 0;
    const uint32_t b = 0x01ff7f03u * static_cast<uint32_t>(lane_index() + 1);
#pragma unroll
    for (int i = 0; i < 4; i++)
        a[i] = b >> i & 0x7f7f7f7f;
    for (int round = 0; round < peak.rounds; round++)
#pragma unroll
        for (int i = 0; i < VRCNN_CUDA_PEAK_PRODUCTS; i++)
            multiply(acc[i % ACCUMULATORS], a, b, b ^ 0x05050505u);
#pragma unroll
    for (int i = 0; i < ACCUMULATORS; i++)
        for (int j = 0; j < 4; j++)
            sum += static_cast<uint32_t>(acc[i][j]);
    reinterpret_cast<uint32_t *>(peak.result)[block_index() * thread_count() + thread_index()] = sum;
}

#endif
