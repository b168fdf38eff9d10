/* What the host library tells a kernel, and where things lie in the weights that it packs; shared by C (host) and CUDA C++ (device).
 * Addresses of device memory are 64-bit numbers.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_LAUNCH_H
#define VRCNN_CUDA_LAUNCH_H

#include <stdint.h>

enum {
    VRCNN_CUDA_BATCH = 8, /* pictures that one launch filters */
    VRCNN_CUDA_BRANCHES = 4,
    VRCNN_CUDA_SIMPLE_THREADS = 128,
    VRCNN_CUDA_PEAK_THREADS = 256,
    VRCNN_CUDA_PEAK_PRODUCTS = 32 /* matrix products of a warp in a round of the peak kernel */
};

/* The weights of the fused kernels: VRCNN's four layers in the order in which warps load them, in pieces of PAIR bytes: what 32 threads
 * hold (16 bytes each) of the 32 inputs x 16 outputs of two matrix products; half as much where there are only 16 inputs. Biases are
 * int32. Offsets in bytes, multiples of 16. */
enum {
    VRCNN_CUDA_PAIR = 512,
    VRCNN_CUDA_FUSED_MAP = 48, /* bytes of a sample between the two kernels */

    VRCNN_CUDA_BIAS_1 = 0,                             /* 64 outputs */
    VRCNN_CUDA_BIAS_2 = VRCNN_CUDA_BIAS_1 + 64 * 4,    /* 48 */
    VRCNN_CUDA_WEIGHTS_1 = VRCNN_CUDA_BIAS_2 + 48 * 4, /* 4 pairs */
    VRCNN_CUDA_WEIGHTS_2 = VRCNN_CUDA_WEIGHTS_1 + 4 * VRCNN_CUDA_PAIR,
    VRCNN_CUDA_FIRST_SIZE = VRCNN_CUDA_WEIGHTS_2 + 2 * (25 + 9 * 2) * VRCNN_CUDA_PAIR,

    VRCNN_CUDA_BIAS_3 = 0,                          /* 48 */
    VRCNN_CUDA_BIAS_4 = VRCNN_CUDA_BIAS_3 + 48 * 4, /* 1, and padding */
    VRCNN_CUDA_WEIGHTS_3 = VRCNN_CUDA_BIAS_4 + 16,  /* 32 inputs, then 16 */
    VRCNN_CUDA_WEIGHTS_4 = VRCNN_CUDA_WEIGHTS_3 + (9 + 2) * (VRCNN_CUDA_PAIR + VRCNN_CUDA_PAIR / 2),
    VRCNN_CUDA_SECOND_SIZE = VRCNN_CUDA_WEIGHTS_4 + VRCNN_CUDA_PAIR + VRCNN_CUDA_PAIR / 2
};

typedef struct VrcnnCudaPicture {
    uint64_t src, dst;
    int64_t src_stride, dst_stride; /* bytes */
} VrcnnCudaPicture;

typedef struct VrcnnCudaRequant {
    int32_t shift, multiplier;
} VrcnnCudaRequant;

/* One branch of a layer of the simple kernels. */
typedef struct VrcnnCudaBranch {
    int32_t kernel_size, outputs;
    VrcnnCudaRequant requant;
    uint64_t weights; /* int8, for each group of 16 outputs (1 in the last layer): row, column, input / 4, output, input % 4 */
    uint64_t bias;    /* int32 */
} VrcnnCudaBranch;

/* A band of rows of the pictures. Maps hold the rows map_top .. map_bottom - 1 of every picture, one picture after the other, each sample
 * with its channels side by side. */
typedef struct VrcnnCudaLaunch {
    int32_t pictures, width, height, bit_depth, src_bytes, dst_bytes; /* the last two: of a sample */
    int32_t top, bottom;                                              /* of the band, in rows of the picture */
    VrcnnCudaPicture picture[VRCNN_CUDA_BATCH];
    VrcnnCudaRequant last; /* of the last layer, for this bit depth and scale */

    /* The fused kernels. */
    uint64_t weights; /* of this kernel */
    uint64_t map;     /* between the two kernels */
    int32_t map_top, map_bottom;
    VrcnnCudaRequant requant[3]; /* first kernel: layer 1, then the branches of layer 2; second: [1], [2] those of layer 3 */

    /* The simple kernels: one layer, from map `src_map` (the picture in the first layer) to `dst_map` (the picture in the last). */
    uint64_t src_map, dst_map;
    int32_t src_top, src_bottom, dst_top, dst_bottom;
    int32_t inputs, outputs, branches;
    VrcnnCudaBranch branch[VRCNN_CUDA_BRANCHES];
} VrcnnCudaLaunch;

/* Measures how fast the machine multiplies: every warp does `rounds` rounds and leaves something in `result`. */
typedef struct VrcnnCudaPeak {
    uint64_t result;
    int32_t rounds;
} VrcnnCudaPeak;

#endif
