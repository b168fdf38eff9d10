/* One kernel for each layer of any network: a thread computes the outputs of one group (16, in the last layer 1) of one sample.
 * Short and slow; the fused kernels are held against it.
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
                const int32_t value = first_input(launch, picture, sx, sy) - 128;
                for (int o = 0; o < OUTPUTS; o++)
                    acc[o] += value * reinterpret_cast<const int8_t *>(weights)[tap * OUTPUTS + o];
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

template <Stage STAGE> DEVICE void simple_layer(const VrcnnCudaLaunch &launch)
{
    constexpr int OUTPUTS = STAGE == LAST_LAYER ? 1 : 16;
    const int64_t rows = launch.dst_bottom - launch.dst_top, samples = rows * launch.width * launch.pictures;
    const int64_t index = static_cast<int64_t>(block_index()) * thread_count() + thread_index();
    const int64_t sample = index % samples;
    int group = static_cast<int>(index / samples), channel = group * OUTPUTS, b = 0;
    if (channel >= launch.outputs)
        return;
    const int x = static_cast<int>(sample % launch.width), row = static_cast<int>(sample / launch.width % rows);
    const int y = launch.dst_top + row, picture = static_cast<int>(sample / launch.width / rows);
    for (; group * OUTPUTS >= launch.branch[b].outputs; b++)
        group -= launch.branch[b].outputs / OUTPUTS;
    const VrcnnCudaBranch &branch = launch.branch[b];

    int32_t acc[OUTPUTS];
    for (int o = 0; o < OUTPUTS; o++)
        acc[o] = reinterpret_cast<const int32_t *>(branch.bias)[group * OUTPUTS + o];
    const int taps = branch.kernel_size * branch.kernel_size;
    convolve<STAGE>(acc, launch, picture, x, y, branch.kernel_size,
                    reinterpret_cast<const uint8_t *>(branch.weights) + group * taps * launch.inputs * OUTPUTS);
    if (STAGE == LAST_LAYER) {
        const VrcnnCudaRequant last = launch.last;
        write_filtered(launch, picture, x, y, acc[0] + half_of(last.shift), last);
    } else {
        uint8_t *out = reinterpret_cast<uint8_t *>(launch.dst_map) + sample * launch.outputs + channel;
        for (int o = 0; o < OUTPUTS; o += 4) {
            int32_t values[4];
            for (int i = 0; i < 4; i++)
                values[i] = acc[(o + i) % OUTPUTS] + half_of(branch.requant.shift);
            *reinterpret_cast<uint32_t *>(out + o) = requantize(values[0], values[1], values[2], values[3], branch.requant);
        }
    }
}

#endif
