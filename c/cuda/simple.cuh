/* One kernel for each layer of any network: a thread computes the outputs of one group of one sample or site, 16 in a hidden layer; in the
 * last one all heads of one sample. Short and slow; the fused kernels are held against it.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_SIMPLE_CUH
#define VRCNN_CUDA_SIMPLE_CUH

#include "device.cuh"
#include "launch.h"
#include "picture.cuh"

enum Stage { FIRST_LAYER, HIDDEN_LAYER, LAST_LAYER };

/* accumulators += kernel times the inputs around (x, y); weights: of this group of outputs. */
template <Stage STAGE, int OUTPUTS>
DEVICE void convolve(int32_t (&acc)[OUTPUTS], const VrcnnCudaLaunch &launch, int picture, int x, int y, int size, const uint8_t *weights)
{
    const int radius = size / 2, words = launch.inputs / 4;
    const int64_t rows = launch.src_bottom - launch.src_top;
    for (int ky = 0; ky < size; ky++)
        for (int kx = 0; kx < size; kx++) {
            const int sx = x + kx - radius, sy = y + ky - radius, tap = ky * size + kx;
            if (sx < 0 || sx >= launch.width || sy < 0 || sy >= launch.height)
                continue;
            if (STAGE == FIRST_LAYER) {
                for (int i = 0; i < launch.inputs; i++) {
                    const int32_t value =
                        (launch.heads ? site_input(launch, picture, i, sx, sy) : first_input(launch, picture, 0, sx, sy)) - 128;
                    for (int o = 0; o < OUTPUTS; o++)
                        acc[o] += value * reinterpret_cast<const int8_t *>(weights)[(tap * launch.inputs + i) * OUTPUTS + o];
                }
            } else {
                const int64_t sample = (picture * rows + sy - launch.src_top) * launch.width + sx;
                const uint32_t *in = reinterpret_cast<const uint32_t *>(launch.src_map) + sample * words;
                const uint32_t *w = reinterpret_cast<const uint32_t *>(weights) + tap * words * OUTPUTS;
                for (int i = 0; i < words; i++)
                    for (int o = 0; o < OUTPUTS; o++)
                        acc[o] = dot(in[i], w[i * OUTPUTS + o], acc[o]);
            }
        }
}

/* The accumulators of a group of a branch's outputs for one sample. */
template <Stage STAGE, int OUTPUTS>
DEVICE void accumulate(int32_t (&acc)[OUTPUTS], const VrcnnCudaLaunch &launch, const VrcnnCudaBranch &branch, int group, int picture, int x,
                       int y)
{
    const int taps = branch.kernel_size * branch.kernel_size;
    for (int o = 0; o < OUTPUTS; o++)
        acc[o] = reinterpret_cast<const int32_t *>(branch.bias)[group * OUTPUTS + o];
    convolve<STAGE>(acc, launch, picture, x, y, branch.kernel_size,
                    reinterpret_cast<const uint8_t *>(branch.weights) + static_cast<int64_t>(group) * taps * launch.inputs * OUTPUTS);
}

/* Where a thread works: group `group` of one sample of the rows dst_top .. dst_bottom - 1. */
struct Thread {
    int64_t sample; /* in the map */
    int group, picture, x, y;
};

DEVICE Thread find_thread(const VrcnnCudaLaunch &launch)
{
    const int64_t rows = launch.dst_bottom - launch.dst_top, samples = rows * launch.width * launch.pictures;
    const int64_t index = static_cast<int64_t>(block_index()) * thread_count() + thread_index(), sample = index % samples;
    return {sample, static_cast<int>(index / samples), static_cast<int>(sample / launch.width / rows),
            static_cast<int>(sample % launch.width), launch.dst_top + static_cast<int>(sample / launch.width % rows)};
}

/* The first layer, and all others but the last. */
template <Stage STAGE> DEVICE void simple_layer(const VrcnnCudaLaunch &launch)
{
    constexpr int OUTPUTS = 16;
    const Thread at = find_thread(launch);
    int group = at.group, b = 0;
    if (group * OUTPUTS >= launch.outputs)
        return;
    for (; group * OUTPUTS >= launch.branch[b].outputs; b++)
        group -= launch.branch[b].outputs / OUTPUTS;
    const VrcnnCudaBranch &branch = launch.branch[b];
    int32_t acc[OUTPUTS];
    accumulate<STAGE>(acc, launch, branch, group, at.picture, at.x, at.y);

    const int64_t added_rows = launch.added_bottom - launch.added_top;
    const int64_t added_sample = (at.picture * added_rows + at.y - launch.added_top) * launch.width + at.x;
    const uint8_t *added = reinterpret_cast<const uint8_t *>(launch.added_map) + added_sample * launch.outputs + at.group * OUTPUTS;
    uint8_t *out = reinterpret_cast<uint8_t *>(launch.dst_map) + at.sample * launch.outputs + at.group * OUTPUTS;
    for (int o = 0; o < OUTPUTS; o += 4) {
        int32_t v[4];
        for (int i = 0; i < 4; i++)
            v[i] = acc[o + i] + half_of(branch.requant.shift);
        *reinterpret_cast<uint32_t *>(out + o) =
            launch.added_map ? requantize_added(v[0], v[1], v[2], v[3], branch.requant, *reinterpret_cast<const uint32_t *>(added + o))
                             : requantize(v[0], v[1], v[2], v[3], branch.requant);
    }
}

/* The last layer: group g is the sample that is channel g of a site; of a luma network the sample itself. */
DEVICE void simple_last(const VrcnnCudaLaunch &launch)
{
    const Thread at = find_thread(launch);
    if (at.group >= (launch.heads ? VRCNN_CUDA_SITE : 1) || at.x < launch.left || at.x >= launch.right)
        return;
    const SitePlace luma = {0, at.x, at.y}, place = launch.heads ? place_of(at.group, at.x, at.y) : luma;
    if (!launch.picture[at.picture][place.plane].dst || (launch.heads && !is_seen(launch, place)))
        return;
    const int chroma = place.plane > 0, of_head = chroma ? 2 : 4, heads = launch.heads ? launch.heads : 1;
    const VrcnnCudaLast &last = launch.last[chroma];
    int32_t sum = 0;
    for (int head = 0; head < heads; head++) {
        int32_t acc[1];
        accumulate<LAST_LAYER>(acc, launch, launch.branch[chroma], head * of_head + at.group - (chroma ? 4 : 0), at.picture, at.x, at.y);
        sum += weigh(acc[0] + half_of(last.shift), last, head);
    }
    write_filtered(launch, at.picture, place.plane, place.x, place.y, sum);
}

#endif
