/* vrcnn-int on NVIDIA GPUs: the same bits as vrcnn.h's kernels. A library of its own, libvrcnn_cuda.so, which needs nothing to be loaded:
 * it opens the CUDA driver when a context is opened. GPUs of compute capability 8.0 and later (Ampere, Ada, Hopper, ...).
 *
 * The rules of vrcnn.h hold here too: nothing prints or exits, errors are negative numbers, there is no mutable global state, and a
 * context serves one call at a time. Contexts work in the device's primary context, so that their pointers and streams are those of
 * the CUDA runtime, PyTorch and CuPy. The calling thread's current CUDA context is the same after a call as before.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_VRCNN_CUDA_H
#define VRCNN_VRCNN_CUDA_H

#include "vrcnn/vrcnn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Besides those of VrcnnError. */
typedef enum VrcnnCudaError {
    VRCNN_CUDA_ERROR_NO_DRIVER = -64,     /* there is no CUDA driver (libcuda.so.1) */
    VRCNN_CUDA_ERROR_OLD_DRIVER = -65,    /* the driver is older than this library's kernels need */
    VRCNN_CUDA_ERROR_NO_DEVICE = -66,     /* the driver finds no GPU */
    VRCNN_CUDA_ERROR_DEVICE_NUMBER = -67, /* there is no GPU of this number */
    VRCNN_CUDA_ERROR_DEVICE_KIND = -68,   /* the GPU is older than compute capability 8.0 */
    VRCNN_CUDA_ERROR_MEMORY = -69,        /* no memory on the GPU, or none that it can copy from; the context can still be used */
    VRCNN_CUDA_ERROR_DEVICE_FAILED = -70, /* the GPU is lost or a pointer was wrong: this process can use it no more */
    VRCNN_CUDA_ERROR_METHOD = -71,        /* no such method, or the network has no fused kernels */
    VRCNN_CUDA_ERROR_SHAPE = -72          /* no such shape of tiles, or it does not fit this GPU */
} VrcnnCudaError;

/* How layers are computed. Both give the same bits. */
typedef enum VrcnnCudaMethod {
    VRCNN_CUDA_AUTO = 0,   /* fused where a network allows it, else simple */
    VRCNN_CUDA_SIMPLE = 1, /* a kernel for each layer, any network; slow */
    VRCNN_CUDA_FUSED = 2   /* tensor cores: luma networks of VRCNN's shape in two kernels, joint networks whose hidden layers have 32 or 64
                            * channels in one for each layer; no other networks */
} VrcnnCudaMethod;

/* Fill with vrcnn_cuda_default_settings, then change what is wanted. Later versions add fields at the end. */
typedef struct VrcnnCudaSettings {
    size_t size;                   /* sizeof(VrcnnCudaSettings) where the caller was compiled */
    int device;                    /* number of the GPU, from 0 */
    VrcnnCudaMethod method;        /* */
    size_t map_size;               /* most bytes of a feature map on the GPU: larger pictures are cut into bands of rows. 0: 1 GiB */
    int first_shape, second_shape; /* of the tiles of VRCNN's fused kernels, for measurements: 0 the best for this GPU, n: the n-th */
} VrcnnCudaSettings;

/* A model set on a GPU. */
typedef struct VrcnnCuda VrcnnCuda;

/* As vrcnn_default_settings. */
VRCNN_API int vrcnn_cuda_default_settings(VrcnnCudaSettings *settings, size_t size);

/* One line on any error of this library, VrcnnError included, without a full stop; a constant string, never NULL. */
VRCNN_API const char *vrcnn_cuda_strerror(int error);

/* The CUDA version (1000 * major + 10 * minor) whose nvcc compiled the kernels. */
VRCNN_API int vrcnn_cuda_compiler(void);

/* How many GPUs the driver finds, or NO_DRIVER, OLD_DRIVER, NO_DEVICE. */
VRCNN_API int vrcnn_cuda_devices(void);

/* The name of VRCNN's fused kernel (0: layers 1 and 2; 1: 3 and 4) in the shape 1, 2, ...; NULL beyond the last. */
VRCNN_API const char *vrcnn_cuda_shape_name(int kernel, int shape);

/* Brings a model set file (NULL and 0: the built-in set) to a GPU. It is checked as by vrcnn_model_load, which also says what is wrong
 * with it. Keeps no reference to data or settings (NULL: defaults). The caller closes *out with vrcnn_cuda_close.
 * The errors of vrcnn_model_load and all of VrcnnCudaError. */
VRCNN_API int vrcnn_cuda_open(VrcnnCuda **out, const void *data, size_t size, const VrcnnCudaSettings *settings);

/* NULL is allowed. No call may be using the context; waits for what it still does on the GPU. */
VRCNN_API void vrcnn_cuda_close(VrcnnCuda *context);

/* The GPU's name, until the context is closed; NULL for NULL. */
VRCNN_API const char *vrcnn_cuda_device_name(const VrcnnCuda *context);

/* 10 * major + minor of its compute capability, or VRCNN_ERROR_ARGUMENT. */
VRCNN_API int vrcnn_cuda_capability(const VrcnnCuda *context);

/* VRCNN_CUDA_SIMPLE or VRCNN_CUDA_FUSED: how network `index` is computed; or VRCNN_ERROR_ARGUMENT, VRCNN_ERROR_INDEX. */
VRCNN_API int vrcnn_cuda_method(const VrcnnCuda *context, int index);

/* Bytes that the context holds on the GPU now; it takes more for larger pictures. 0 for NULL. */
VRCNN_API size_t vrcnn_cuda_memory(const VrcnnCuda *context);

/* Filters `count` pictures that lie in the GPU's memory with a luma network, as vrcnn_filter_picture would each: dst[i] from src[i]. All
 * have one size, bit depth and number of bytes a sample (that of dst may differ from that of src). Returns when the work is in the stream
 * (a CUstream or cudaStream_t; NULL: the default one); the pictures must stay until it is done. Calls on different streams may follow each
 * other, but the context then lets them work one after the other: for overlap take one context for each. Not to be captured into a CUDA
 * graph. VRCNN_ERROR_ARGUMENT, INDEX, KIND, SCALE, PLANE, BIT_DEPTH, OVERLAP (of a picture with any other that is written), MEMORY;
 * VRCNN_CUDA_ERROR_MEMORY, DEVICE_FAILED. */
VRCNN_API int vrcnn_cuda_filter(VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count,
                                void *stream);

/* The same for pictures in ordinary memory: copies them to the GPU and back while it works on others, and returns when all are done.
 * The same errors; after VRCNN_CUDA_ERROR_* any of dst may have been written. */
VRCNN_API int vrcnn_cuda_filter_host(VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                                     int count);

/* Pictures of three planes, luma, Cb, Cr, as vrcnn_filter_planes takes them: each of `count` pictures has three planes in dst and three in
 * src, one picture after the other. Of the pictures of a call all have the same planes, in sizes, bit depths and bytes a sample alike.
 * Otherwise as vrcnn_cuda_filter and vrcnn_cuda_filter_host, and the errors of both and of vrcnn_filter_planes. */
VRCNN_API int vrcnn_cuda_filter_planes(VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane *dst,
                                       const VrcnnConstPlane *src, int count, void *stream);
VRCNN_API int vrcnn_cuda_filter_planes_host(VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane *dst,
                                            const VrcnnConstPlane *src, int count);

/* As vrcnn_filter_planes_region, for one picture. Nothing but the region is written. Also VRCNN_ERROR_REGION. */
VRCNN_API int vrcnn_cuda_filter_planes_region(VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane dst[3],
                                              const VrcnnConstPlane src[3], int x, int y, int width, int height, void *stream);
VRCNN_API int vrcnn_cuda_filter_planes_region_host(VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane dst[3],
                                                   const VrcnnConstPlane src[3], int x, int y, int width, int height);

/* As vrcnn_filter_planes_units, for one picture. The maps lie in ordinary memory and may go when the call returns. Also VRCNN_ERROR_UNITS.
 */
VRCNN_API int vrcnn_cuda_filter_planes_units(VrcnnCuda *context, const VrcnnPlaneUnits *units, const VrcnnPlane dst[3],
                                             const VrcnnConstPlane src[3], void *stream);
VRCNN_API int vrcnn_cuda_filter_planes_units_host(VrcnnCuda *context, const VrcnnPlaneUnits *units, const VrcnnPlane dst[3],
                                                  const VrcnnConstPlane src[3]);

/* 10^9 multiply-accumulates a second that the GPU reaches in products of the kind that the fused kernels use, with nothing else to do, in
 * about so many milliseconds; negative: an error. */
VRCNN_API double vrcnn_cuda_peak(VrcnnCuda *context, double milliseconds);

#ifdef __cplusplus
}
#endif

#endif
