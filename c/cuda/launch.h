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

/* Joint networks on tensor cores (joint.cuh), a kernel for each layer. Outputs are packed in slices: the biases, then, for each row of taps
 * and each group of neighbouring taps in it, the weights in pieces of PAIR bytes as above. A group is GROUP taps of all the layer's inputs;
 * in the first layer, whose sites take 8 bytes, the FIRST_GROUP taps that fill one product's inputs. Weights beyond a kernel are 0. */
enum {
    VRCNN_CUDA_SLICE = 32,      /* outputs of a slice of a hidden layer: two pairs of products */
    VRCNN_CUDA_SLICE_LAST = 16, /* of the last layer: a product for each head, of 4 luma and 2 chroma outputs and 2 that are 0 */
    VRCNN_CUDA_GROUP = 3,
    VRCNN_CUDA_FIRST_GROUP = 4,
    VRCNN_CUDA_FIRST_SITE = 8, /* bytes: the six inputs, and two zeros */
    VRCNN_CUDA_JOINT_WARPS = 6,
    VRCNN_CUDA_JOINT_WIDTH = 6, /* columns that a warp computes at once, of 16 rows: a unit */
    VRCNN_CUDA_JOINT_UNITS = 3, /* units side by side in a tile */
    VRCNN_CUDA_JOINT_COLUMNS = VRCNN_CUDA_JOINT_WIDTH * VRCNN_CUDA_JOINT_UNITS,
    VRCNN_CUDA_JOINT_GROUPS = 4 /* of 16 outputs, which have a requantization each: as many as 64 channels have */
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

/* What a layer of a joint network takes in the shared memory of a block: its slices, then the window, that is all inputs of a tile of
 * 16 unit_rows x JOINT_COLUMNS sites. load.c plans it. */
typedef struct VrcnnCudaJoint {
    int32_t radius, groups; /* of the kernel: taps on each side, groups in a row of taps */
    int32_t unit_rows;
    int32_t columns, pitch;      /* of the window: sites in a row, bytes from row to row */
    int32_t windows;             /* 2: the next tile's is loaded while this one is computed */
    int32_t slices, slice_bytes; /* slices that one launch computes */
} VrcnnCudaJoint;

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
    uint64_t weights; /* of this kernel, as of those for joint networks */
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

    /* Joint networks on tensor cores: one layer, from map to map as above, with `weights` of its slices from the one on that begins at
     * output `first_output`. */
    VrcnnCudaJoint joint;
    int32_t first_output;
    VrcnnCudaRequant group[VRCNN_CUDA_JOINT_GROUPS]; /* from first_output on */
} VrcnnCudaLaunch;

/* Measures how fast the machine multiplies: every warp does `rounds` rounds and leaves something in `result`. */
typedef struct VrcnnCudaPeak {
    uint64_t result;
    int32_t rounds;
} VrcnnCudaPeak;

#endif
