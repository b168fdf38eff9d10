/* The compiled kernels: a fat binary that the build writes into image.c's object (c/Makefile).
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_IMAGE_H
#define VRCNN_CUDA_IMAGE_H

extern const unsigned char vrcnn_cuda_image[];
extern const int vrcnn_cuda_image_compiler; /* the CUDA version of its compiler, 1000 * major + 10 * minor */

#endif
