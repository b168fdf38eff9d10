/* Joint networks of 32 and 64 channels on int8 tensor cores, a kernel for each layer: maps lie in global memory, as those of the simple
 * kernels do, and NOTES.md says why. Kernels of 1, 3 and 5 taps, any branches, added layers, one or two heads.
 *
 * As in fused.cuh a product takes 16 sites that lie below each other, and a warp walks over the columns of inputs with the weights of a
 * group of neighbouring taps in registers. A unit of work is 16 rows x WIDTH columns of sites and one slice of outputs. Branches with a
 * smaller kernel than their layer's widest have it in the middle of that, with zeros around: pack.c.
 *
 * The channels of a map stand, within each slice, in the order in which threads hold them after a product: thread t of four wrote bytes
 * 8 t.. of a slice. Outside the picture a map is 0, inputs of the first layer are 128.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_JOINT_CUH
#define VRCNN_CUDA_JOINT_CUH

#include "tensor.cuh"

enum {
    JOINT_THREADS = 32 * VRCNN_CUDA_JOINT_WARPS,
    JOINT_WIDTH = VRCNN_CUDA_JOINT_WIDTH,
    JOINT_PRODUCTS = VRCNN_CUDA_SLICE / 8,
    JOINT_PRODUCTS_LAST = VRCNN_CUDA_SLICE_LAST / 8
};

/* Where a warp works: the rows and columns of its unit in the tile, and which of the block's slices it computes. */
struct Unit {
    int top, left, slice;
};

DEVICE Unit find_unit(const VrcnnCudaLaunch &launch, int number)
{
    const int units = launch.joint.unit_rows * VRCNN_CUDA_JOINT_UNITS, unit = number % units;
    return {unit / VRCNN_CUDA_JOINT_UNITS * 16, unit % VRCNN_CUDA_JOINT_UNITS * JOINT_WIDTH, number / units};
}

DEVICE int window_rows(const VrcnnCudaJoint &joint)
{
    return 16 * joint.unit_rows + 2 * joint.radius;
}

/* What a site's channels have at (x, y) of a map that begins with row `top`. */
DEVICE int64_t site_of(const VrcnnCudaLaunch &launch, int picture, int x, int y, int top, int bottom)
{
    return (picture * static_cast<int64_t>(bottom - top) + y - top) * launch.width + x;
}

/* The tile's window of the map before this layer; a warp takes a row. */
template <int INPUTS> DEVICE void load_window(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *window)
{
    constexpr int PIECES = INPUTS / 16;
    const VrcnnCudaJoint &joint = launch.joint;
    const uint8_t *from = reinterpret_cast<const uint8_t *>(launch.src_map);
    for (int row = warp_index(); row < window_rows(joint); row += VRCNN_CUDA_JOINT_WARPS)
        for (int i = lane_index(); i < joint.columns * PIECES; i += 32) {
            const int x = tile.x - joint.radius + i / PIECES, y = tile.y - joint.radius + row;
            const bool there = x >= 0 && x < launch.width && y >= launch.src_top && y < launch.src_bottom;
            const int64_t site = there ? site_of(launch, tile.picture, x, y, launch.src_top, launch.src_bottom) : 0;
            copy_16(window + row * joint.pitch + 16 * i, from + site * INPUTS + i % PIECES * 16, there);
        }
}

/* The first layer's window: of each site its six samples. */
DEVICE void load_sites(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *window)
{
    const VrcnnCudaJoint &joint = launch.joint;
    for (int row = warp_index(); row < window_rows(joint); row += VRCNN_CUDA_JOINT_WARPS)
        for (int column = lane_index(); column < joint.columns; column += 32) {
            const int x = tile.x - joint.radius + column, y = tile.y - joint.radius + row;
            const bool inside = x >= 0 && x < launch.width && y >= 0 && y < launch.height;
            Bytes8 site = {{0, 0}};
#pragma unroll
            for (int channel = 0; channel < VRCNN_CUDA_SITE; channel++) {
                const int32_t value = inside ? site_input(launch, tile.picture, channel, x, y) : 128;
                site.word[channel / 4] |= static_cast<uint32_t>(value) << channel % 4 * 8;
            }
            *reinterpret_cast<Bytes8 *>(window + row * joint.pitch + column * VRCNN_CUDA_FIRST_SITE) = site;
        }
}

/* Adds the first layer's kernels. window: at the unit's first site. Four threads hold, of each of two rows, four neighbouring sites: thread
 * t bytes 4 t.. and 16 + 4 t.. */
DEVICE void add_first(int32_t (&acc)[JOINT_WIDTH][JOINT_PRODUCTS][4], const VrcnnCudaJoint &joint, const uint8_t *window,
                      const uint8_t *weights)
{
    constexpr int SITE = VRCNN_CUDA_FIRST_SITE;
    const int lane = lane_index();
    const uint8_t *row = window + lane / 4 * joint.pitch + lane % 4 * 4;
#pragma unroll 1
    for (int dy = 0; dy <= 2 * joint.radius; dy++, row += joint.pitch)
#pragma unroll 1
        for (int group = 0; group < joint.groups; group++) {
            Pair<32> taps[JOINT_PRODUCTS / 2];
#pragma unroll
            for (int pair = 0; pair < JOINT_PRODUCTS / 2; pair++, weights += VRCNN_CUDA_PAIR)
                taps[pair].load(weights);
#pragma unroll
            for (int x = 0; x < JOINT_WIDTH; x++) {
                const uint8_t *upper = row + (x + VRCNN_CUDA_FIRST_GROUP * group) * SITE, *lower = upper + 8 * joint.pitch;
                const uint32_t a[4] = {*reinterpret_cast<const uint32_t *>(upper), *reinterpret_cast<const uint32_t *>(lower),
                                       *reinterpret_cast<const uint32_t *>(upper + 16), *reinterpret_cast<const uint32_t *>(lower + 16)};
#pragma unroll
                for (int pair = 0; pair < JOINT_PRODUCTS / 2; pair++)
                    taps[pair].multiply_by(acc[x][2 * pair], acc[x][2 * pair + 1], a);
            }
        }
}

/* Adds the kernels of any other layer for 8 PRODUCTS outputs. window: at the unit's first site. */
template <int INPUTS, int PRODUCTS_OF_SLICE>
DEVICE void add_taps(int32_t (&acc)[JOINT_WIDTH][PRODUCTS_OF_SLICE][4], const VrcnnCudaJoint &joint, const uint8_t *window,
                     const uint8_t *weights)
{
    constexpr int GROUP = VRCNN_CUDA_GROUP, PAIRS = PRODUCTS_OF_SLICE / 2;
    const int lane = lane_index();
    const uint8_t *row = window + lane % 16 * joint.pitch + lane / 16 * 16;
#pragma unroll 1
    for (int dy = 0; dy <= 2 * joint.radius; dy++, row += joint.pitch)
#pragma unroll 1
        for (int group = 0; group < joint.groups; group++) {
            const uint8_t *sites = row + GROUP * group * INPUTS;
#pragma unroll 1
            for (int input = 0; input < INPUTS; input += 32) {
                Pair<32> taps[GROUP][PAIRS];
#pragma unroll
                for (int dx = 0; dx < GROUP; dx++)
#pragma unroll
                    for (int pair = 0; pair < PAIRS; pair++, weights += VRCNN_CUDA_PAIR)
                        taps[dx][pair].load(weights);
#pragma unroll
                for (int column = 0; column < JOINT_WIDTH + GROUP - 1; column++) {
                    uint32_t a[4];
                    load_matrix(a, sites + column * INPUTS + input);
#pragma unroll
                    for (int x = 0; x < JOINT_WIDTH; x++) {
                        const int dx = column - x;
                        if (dx < 0 || dx >= GROUP)
                            continue;
#pragma unroll
                        for (int pair = 0; pair < PAIRS; pair++)
                            taps[dx][pair].multiply_by(acc[x][2 * pair], acc[x][2 * pair + 1], a);
                    }
                }
            }
        }
}

/* A word of outputs: products j and j + 1 for the thread's upper (row 0) or lower (row 1) site. */
DEVICE uint32_t requantize_added_pair(const int32_t (&acc)[JOINT_PRODUCTS][4], int j, int row, VrcnnCudaRequant requant, uint32_t added)
{
    return requantize_added(acc[j][2 * row], acc[j][2 * row + 1], acc[j + 1][2 * row], acc[j + 1][2 * row + 1], requant, added);
}

/* The place in a map that begins with row `top` of what the thread holds of the unit's leftmost site in row y. */
DEVICE int64_t place_in_map(const VrcnnCudaLaunch &launch, const Tile &tile, const Unit &unit, int y, int top, int bottom)
{
    const int byte = launch.first_output + VRCNN_CUDA_SLICE * unit.slice + lane_index() % 4 * 8;
    return site_of(launch, tile.picture, tile.x + unit.left, y, top, bottom) * launch.outputs + byte;
}

/* A unit's outputs of a hidden layer to the map after it. */
DEVICE void store(const VrcnnCudaLaunch &launch, const Tile &tile, const Unit &unit, const int32_t (&acc)[JOINT_WIDTH][JOINT_PRODUCTS][4])
{
    const VrcnnCudaRequant low = launch.group[2 * unit.slice], high = launch.group[2 * unit.slice + 1];
    const int columns = launch.width - tile.x - unit.left;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int y = tile.y + unit.top + lane_index() / 4 + 8 * half;
        if (y >= launch.dst_bottom)
            continue;
        uint8_t *out = reinterpret_cast<uint8_t *>(launch.dst_map) + place_in_map(launch, tile, unit, y, launch.dst_top, launch.dst_bottom);
        if (!launch.added_map) {
#pragma unroll
            for (int x = 0; x < JOINT_WIDTH; x++, out += launch.outputs)
                if (x < columns)
                    *reinterpret_cast<Bytes8 *>(out) = {{requantize_pair(acc[x], 0, half, low), requantize_pair(acc[x], 2, half, high)}};
            continue;
        }
        const uint8_t *from = reinterpret_cast<const uint8_t *>(launch.added_map) +
                              place_in_map(launch, tile, unit, y, launch.added_top, launch.added_bottom);
        Bytes8 added[JOINT_WIDTH]; /* all on their way before the first is needed */
#pragma unroll
        for (int x = 0; x < JOINT_WIDTH; x++, from += launch.outputs)
            added[x] = x < columns ? *reinterpret_cast<const Bytes8 *>(from) : Bytes8{{0, 0}};
#pragma unroll
        for (int x = 0; x < JOINT_WIDTH; x++, out += launch.outputs)
            if (x < columns)
                *reinterpret_cast<Bytes8 *>(out) = {{requantize_added_pair(acc[x], 0, half, low, added[x].word[0]),
                                                     requantize_added_pair(acc[x], 2, half, high, added[x].word[1])}};
    }
}

/* A unit of the last layer to the picture. Thread t of four holds, of each head, the outputs for channels 2 t and 2 t + 1 of a site. */
DEVICE void write_sites(const VrcnnCudaLaunch &launch, const Tile &tile, const Unit &unit,
                        const int32_t (&acc)[JOINT_WIDTH][JOINT_PRODUCTS_LAST][4])
{
    const int lane = lane_index(), first = lane % 4 * 2, left = tile.x + unit.left;
    if (first >= VRCNN_CUDA_SITE)
        return;
    const VrcnnCudaLast &last = launch.last[first >= 4];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int y = tile.y + unit.top + lane / 4 + 8 * half;
        if (y >= launch.dst_bottom)
            continue;
#pragma unroll
        for (int x = 0; x < JOINT_WIDTH; x++) {
            if (left + x < launch.left || left + x >= launch.right)
                continue;
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const SitePlace place = place_of(first + i, left + x, y);
                if (!is_seen(launch, place) || !launch.picture[tile.picture][place.plane].dst)
                    continue;
                int32_t sum = 0;
#pragma unroll
                for (int head = 0; head < VRCNN_CUDA_HEADS; head++)
                    if (head < launch.heads)
                        sum += weigh(acc[x][head][2 * half + i] + half_of(last.shift), last, head);
                write_filtered(launch, tile.picture, place.plane, place.x, place.y, sum);
            }
        }
    }
}

/* The stages of a joint network: how a block loads a tile's window, and what a warp does with it. weights: of the unit's slice. */
struct JointFirst {
    DEVICE_MEMBER static void load(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *window)
    {
        load_sites(launch, tile, window);
    }
    DEVICE_MEMBER static void compute(const VrcnnCudaLaunch &launch, const Tile &tile, const Unit &unit, const uint8_t *window,
                                      const uint8_t *weights)
    {
        int32_t acc[JOINT_WIDTH][JOINT_PRODUCTS][4];
#pragma unroll
        for (int x = 0; x < JOINT_WIDTH; x++)
            begin_with_bias(acc[x], weights);
        add_first(acc, launch.joint, window + unit.top * launch.joint.pitch + unit.left * VRCNN_CUDA_FIRST_SITE,
                  weights + 4 * VRCNN_CUDA_SLICE);
        store(launch, tile, unit, acc);
    }
};

template <int INPUTS> struct JointHidden {
    DEVICE_MEMBER static void load(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *window)
    {
        load_window<INPUTS>(launch, tile, window);
    }
    DEVICE_MEMBER static void compute(const VrcnnCudaLaunch &launch, const Tile &tile, const Unit &unit, const uint8_t *window,
                                      const uint8_t *weights)
    {
        int32_t acc[JOINT_WIDTH][JOINT_PRODUCTS][4];
#pragma unroll
        for (int x = 0; x < JOINT_WIDTH; x++)
            begin_with_bias(acc[x], weights);
        add_taps<INPUTS>(acc, launch.joint, window + unit.top * launch.joint.pitch + unit.left * INPUTS, weights + 4 * VRCNN_CUDA_SLICE);
        store(launch, tile, unit, acc);
    }
};

template <int INPUTS> struct JointLast {
    DEVICE_MEMBER static void load(const VrcnnCudaLaunch &launch, const Tile &tile, uint8_t *window)
    {
        load_window<INPUTS>(launch, tile, window);
    }
    DEVICE_MEMBER static void compute(const VrcnnCudaLaunch &launch, const Tile &tile, const Unit &unit, const uint8_t *window,
                                      const uint8_t *weights)
    {
        int32_t acc[JOINT_WIDTH][JOINT_PRODUCTS_LAST][4];
#pragma unroll
        for (int x = 0; x < JOINT_WIDTH; x++)
            begin_with_bias(acc[x], weights);
        add_taps<INPUTS>(acc, launch.joint, window + unit.top * launch.joint.pitch + unit.left * INPUTS,
                         weights + 4 * VRCNN_CUDA_SLICE_LAST);
        write_sites(launch, tile, unit, acc);
    }
};

/* One layer: blocks walk over the tiles of its outputs. */
template <class STAGE_OF_JOINT> DEVICE void joint_layer(const VrcnnCudaLaunch &launch, uint8_t *shared)
{
    const VrcnnCudaJoint &joint = launch.joint;
    const int rows = 16 * joint.unit_rows, units = joint.unit_rows * VRCNN_CUDA_JOINT_UNITS * joint.slices;
    const int across = tiles_along(launch.width, VRCNN_CUDA_JOINT_COLUMNS), down = tiles_along(launch.dst_bottom - launch.dst_top, rows);
    const int tiles = across * down * launch.pictures;
    uint8_t *window = shared + joint.slices * joint.slice_bytes;
    int other = joint.windows > 1 ? window_rows(joint) * joint.pitch : 0;
    copy_weights(shared, launch.weights, joint.slices * joint.slice_bytes);
    STAGE_OF_JOINT::load(launch, locate(block_index(), across, down, VRCNN_CUDA_JOINT_COLUMNS, rows, launch.dst_top), window);
    for (int i = block_index(); i < tiles; i += block_count()) {
        const Tile tile = locate(i, across, down, VRCNN_CUDA_JOINT_COLUMNS, rows, launch.dst_top);
        const int next = i + block_count();
        wait_for_copies();
        synchronize(); /* also: all have read the other window */
        if (other && next < tiles)
            STAGE_OF_JOINT::load(launch, locate(next, across, down, VRCNN_CUDA_JOINT_COLUMNS, rows, launch.dst_top), window + other);
        for (int number = warp_index(); number < units; number += VRCNN_CUDA_JOINT_WARPS) {
            const Unit unit = find_unit(launch, number);
            STAGE_OF_JOINT::compute(launch, tile, unit, window, shared + unit.slice * joint.slice_bytes);
        }
        if (!other && next < tiles) {
            synchronize(); /* all have read the only window */
            STAGE_OF_JOINT::load(launch, locate(next, across, down, VRCNN_CUDA_JOINT_COLUMNS, rows, launch.dst_top), window);
        }
        window += other;
        other = -other;
    }
}

#endif
