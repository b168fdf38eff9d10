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
    VRCNN_CUDA_PLANES = 3,
    VRCNN_CUDA_HEADS = 2,
    VRCNN_CUDA_SITE = 6, /* samples of a site: four of luma, Cb, Cr */
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

/* A plane of a picture. src is 0 where the picture has no chroma that is filtered, dst where the plane is not written. */
typedef struct VrcnnCudaPlane {
    uint64_t src, dst;
    int64_t src_stride, dst_stride; /* bytes */
} VrcnnCudaPlane;

typedef struct VrcnnCudaFormat {
    int32_t bit_depth, src_bytes, dst_bytes; /* the last two: of a sample */
} VrcnnCudaFormat;

typedef struct VrcnnCudaRequant {
    int32_t shift, multiplier;
} VrcnnCudaRequant;

/* A branch of the last layer, for the planes' bit depth and the weights of its heads. */
typedef struct VrcnnCudaLast {
    int32_t shift, multiplier[VRCNN_CUDA_HEADS];
} VrcnnCudaLast;

/* One branch of a layer of the simple kernels. */
typedef struct VrcnnCudaBranch {
    int32_t kernel_size, outputs;
    VrcnnCudaRequant requant;
    uint64_t weights; /* int8, for each group of 16 outputs (1 in the last layer): row, column, input / 4, output, input % 4; in the first
                       * layer row, column, input, output */
    uint64_t bias;    /* int32 */
} VrcnnCudaBranch;

/* A band of rows of the pictures: what is seen of them, and what of that is written. Rows and columns are of samples, or of sites where
 * the network is joint. Maps hold the rows map_top .. map_bottom - 1 of every picture, one picture after the other, each sample with its
 * channels side by side. */
typedef struct VrcnnCudaLaunch {
    int32_t pictures, width, height;  /* all that is seen; beyond are zeros */
    int32_t top, bottom, left, right; /* what is written */
    int32_t luma_width, luma_height;  /* of joint networks: what is seen in luma samples */
    int32_t heads;                    /* of joint networks; 0: a luma network */
    VrcnnCudaFormat format[VRCNN_CUDA_PLANES];
    VrcnnCudaPlane picture[VRCNN_CUDA_BATCH][VRCNN_CUDA_PLANES];
    VrcnnCudaLast last[2]; /* of luma, of chroma */

    /* The fused kernels. */
    uint64_t weights; /* of this kernel */
    uint64_t map;     /* between the two kernels */
    int32_t map_top, map_bottom;
    VrcnnCudaRequant requant[3]; /* first kernel: layer 1, then the branches of layer 2; second: [1], [2] those of layer 3 */

    /* The simple kernels: one layer, from map `src_map` (the picture in the first layer) to `dst_map` (the picture in the last). */
    uint64_t src_map, dst_map;
    int32_t src_top, src_bottom, dst_top, dst_bottom;
    uint64_t added_map; /* 0: the layer adds none */
    int32_t added_top, added_bottom;
    int32_t inputs, outputs, branches;
    VrcnnCudaBranch branch[VRCNN_CUDA_BRANCHES];
} VrcnnCudaLaunch;

/* Measures how fast the machine multiplies: every warp does `rounds` rounds and leaves something in `result`. */
typedef struct VrcnnCudaPeak {
    uint64_t result;
    int32_t rounds;
} VrcnnCudaPeak;

#endif
