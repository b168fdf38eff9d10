/* Weights in the order in which the kernels load them (launch.h).
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_PACK_H
#define VRCNN_CUDA_PACK_H

#include "model.h"

/* Whether the fused kernels can run it: the kernels and channels of VRCNN, or any joint network whose hidden layers have 32 or 64 channels;
 * whatever weights and requantization. */
int vrcnn_pack_is_fused(const VrcnnNetwork *network);

/* VRCNN_CUDA_FIRST_SIZE and VRCNN_CUDA_SECOND_SIZE bytes. */
void vrcnn_pack_first(uint8_t *to, const VrcnnNetwork *network);
void vrcnn_pack_second(uint8_t *to, const VrcnnNetwork *network);

/* A layer of a joint network in slices (launch.h), one after the other: how many there are, the bytes of each. */
int vrcnn_pack_slices(const VrcnnLayer *layer, int is_last);
size_t vrcnn_pack_slice_size(const VrcnnLayer *layer, int is_last);
void vrcnn_pack_joint(uint8_t *to, const VrcnnLayer *layer, int is_last);

/* A branch for the simple kernels; biases follow as int32. Sizes are multiples of 4 bytes. */
size_t vrcnn_pack_simple_weights_size(const VrcnnBranch *branch);
void vrcnn_pack_simple(uint8_t *to, const VrcnnBranch *branch);

#endif
