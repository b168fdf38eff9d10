/* All kernels under the names by which the host library finds them.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "fused.cuh"
#include "joint.cuh"
#include "simple.cuh"
#include "variants.h"

#define SIMPLE(name, ...)                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(VRCNN_CUDA_SIMPLE_THREADS) name(const __grid_constant__ VrcnnCudaLaunch launch)           \
    {                                                                                                                                      \
        __VA_ARGS__(launch);                                                                                                               \
    }
SIMPLE(vrcnn_simple_first, simple_layer<FIRST_LAYER>)
SIMPLE(vrcnn_simple_hidden, simple_layer<HIDDEN_LAYER>)
SIMPLE(vrcnn_simple_last, simple_last)

extern __shared__ __align__(16) uint8_t dynamic_shared[];

#define FUSED(name, blocks, ...)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(__VA_ARGS__::THREADS, blocks) name(const __grid_constant__ VrcnnCudaLaunch launch)        \
    {                                                                                                                                      \
        __VA_ARGS__::run(launch, dynamic_shared);                                                                                          \
    }
#define FIRST(name, rows, columns, width, blocks) FUSED(name, blocks, First<rows, columns, width>)
#define SECOND(name, warps, rows, columns, width, blocks) FUSED(name, blocks, Second<warps, rows, columns, width>)
VRCNN_CUDA_FIRST_VARIANTS(FIRST)
VRCNN_CUDA_SECOND_VARIANTS(SECOND)

/* Two blocks on a multiprocessor: one multiplies while the other requantizes, loads or stores. */
#define JOINT(name, ...)                                                                                                                   \
    extern "C" __global__ void __launch_bounds__(JOINT_THREADS, 2) name(const __grid_constant__ VrcnnCudaLaunch launch)                    \
    {                                                                                                                                      \
        joint_layer<__VA_ARGS__>(launch, dynamic_shared);                                                                                  \
    }
JOINT(vrcnn_joint_first, JointFirst)
JOINT(vrcnn_joint_hidden_32, JointHidden<32>)
JOINT(vrcnn_joint_hidden_64, JointHidden<64>)
JOINT(vrcnn_joint_last_32, JointLast<32>)
JOINT(vrcnn_joint_last_64, JointLast<64>)

extern "C" __global__ void __launch_bounds__(VRCNN_CUDA_PEAK_THREADS) vrcnn_peak(const __grid_constant__ VrcnnCudaPeak peak)
{
    measure_peak(peak);
}
