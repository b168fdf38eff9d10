/* What a set of kernels looks like. Kernels never allocate, read CPU flags or know about pictures.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_CONV_H
#define VRCNN_SRC_CONV_H

#include <stddef.h>
#include <stdint.h>

#include "vrcnn/vrcnn.h"

/* One branch, ready for a kernel. Values between kernels are unsigned bytes, the channels of a sample side by side (NHWC):
 * 0..127 after a hidden layer; layer 0 is fed x + 128 (0..255, 128 outside the picture) and its bias has 128 * sum(w) taken off. */
typedef struct VrcnnConv {
    int kernel_size;
    int inputs;  /* 1 in layer 0, else a multiple of 16 */
    int outputs; /* 1 in the last layer, else a multiple of 16 */
    int shift;
    int multiplier;
    const int32_t *bias;
    const void *weights; /* as pack wrote them */
} VrcnnConv;

/* Bytes that pack writes for such a branch. */
typedef size_t (*VrcnnPackedSize)(int kernel_size, int inputs, int outputs);

/* Reorders weights[output][input][row][column] for this kernel. */
typedef void (*VrcnnPack)(void *packed, const int8_t *weights, int kernel_size, int inputs, int outputs);

/* Bytes of scratch that the convolutions need for such a branch. */
typedef size_t (*VrcnnScratchSize)(int kernel_size, int inputs, int outputs);

/* A hidden branch on width x height samples. dst: its first channel at the first sample; the next sample is dst_channels on, the next
 * row dst_stride. src: all inputs of the sample at the top left of the first kernel window; rows are src_stride apart. The kernel
 * reads (width + kernel_size - 1) x (height + kernel_size - 1) samples and nothing beyond them. */
typedef void (*VrcnnConvHidden)(uint8_t *dst, ptrdiff_t dst_stride, int dst_channels, const uint8_t *src, ptrdiff_t src_stride, int width,
                                int height, const VrcnnConv *conv, void *scratch);

/* The last layer: r of SPECIFICATION.md, with shift q and multiplier (m * c) >> 3 instead of the branch's own. dst_stride in elements. */
typedef void (*VrcnnConvResidual)(int16_t *dst, ptrdiff_t dst_stride, const uint8_t *src, ptrdiff_t src_stride, int width, int height,
                                  const VrcnnConv *conv, int shift, int multiplier, void *scratch);

typedef struct VrcnnKernelTable {
    VrcnnKernel kernel;
    VrcnnPackedSize packed_size;
    VrcnnPack pack;
    VrcnnScratchSize scratch_size;
    VrcnnConvHidden conv_hidden;
    VrcnnConvResidual conv_residual;
} VrcnnKernelTable;

/* conv_c.c: fills the whole table. Later tiers override what they do better. */
void vrcnn_conv_init_c(VrcnnKernelTable *table);

/* cpu.c: the table for a kernel that the caller asks for (auto: the best here). */
VrcnnError vrcnn_kernel_table(VrcnnKernelTable *table, VrcnnKernel kernel);

#endif
