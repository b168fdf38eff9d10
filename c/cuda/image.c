/* VRCNN_CUDA_IMAGE: the fat binary's file, in quotation marks; VRCNN_CUDA_COMPILER: its compiler's version. The emulated GPU takes any
 * image. Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "image.h"

const int vrcnn_cuda_image_compiler = VRCNN_CUDA_COMPILER;

#ifdef VRCNN_CUDA_IMAGE
__asm__(".section .rodata\n"
        ".balign 64\n"
        ".global vrcnn_cuda_image\n"
        ".hidden vrcnn_cuda_image\n"
        ".type vrcnn_cuda_image, %object\n"
        "vrcnn_cuda_image:\n"
        ".incbin \"" VRCNN_CUDA_IMAGE "\"\n"
        ".size vrcnn_cuda_image, . - vrcnn_cuda_image\n"
        ".previous\n");
#else
const unsigned char vrcnn_cuda_image[1] = {0};
#endif
