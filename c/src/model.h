/* A model set in memory: the validated file, and where its parts are.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_MODEL_H
#define VRCNN_SRC_MODEL_H

#include "vrcnn/vrcnn.h"

enum { VRCNN_MAX_BRANCHES = 4, VRCNN_MOST_ADDED = 4 /* layers back that a layer may add */, VRCNN_JOINT_INPUTS = 6 };

typedef struct VrcnnBranch {
    int kernel_size, shift, multiplier, inputs, outputs;
    const uint8_t *bias;   /* little-endian i32, in the file */
    const int8_t *weights; /* output, input, row, column, in the file */
} VrcnnBranch;

typedef struct VrcnnLayer {
    int branches;
    int inputs, outputs;
    int margin; /* samples (sites) on each side that its widest kernel reads */
    int added;  /* adds the output of the layer so many before it; 0: of none */
    VrcnnBranch branch[VRCNN_MAX_BRANCHES];
} VrcnnLayer;

typedef struct VrcnnNetwork {
    int nominal_qp, position, layers;
    int kind, size, heads; /* VrcnnKind, VrcnnSize */
    VrcnnLayer layer[VRCNN_MAX_LAYERS];
} VrcnnNetwork;

struct VrcnnModel {
    int networks;
    const uint8_t *file; /* follows the networks in the same allocation */
    size_t size;
    VrcnnNetwork network[];
};

int32_t vrcnn_bias(const VrcnnBranch *branch, int output);

/* 1 if a file of version 1 can hold the network. */
int vrcnn_is_plain(const VrcnnNetwork *network);

/* 128 times the sum of an output's weights: what feeding layer 0 with x + 128 takes off its bias. */
int64_t vrcnn_bias_fold(const VrcnnBranch *branch, int output);

#endif
