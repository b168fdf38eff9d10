/* The CUDA driver, opened when it is needed: the library is built and loaded without it. Declared here and not in cuda.h, so that a C
 * compiler is enough for everything but the kernels; names and numbers are those of the CUDA driver interface.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_DRIVER_H
#define VRCNN_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_STUB_LIBRARY = 34,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_IMAGE = 200,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_INVALID_PTX = 218,
    CUDA_ERROR_JIT_COMPILER_NOT_FOUND = 221,
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
    CUDA_ERROR_NOT_FOUND = 500,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803,

    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,

    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
    CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT = 9,

    CU_STREAM_NON_BLOCKING = 1,
    CU_EVENT_DEFAULT = 0,
    CU_EVENT_DISABLE_TIMING = 2
};

/* DO(name here, name in the library, parameters) */
#define VRCNN_DRIVER_FUNCTIONS(DO)                                                                                                         \
    DO(init, cuInit, (unsigned))                                                                                                           \
    DO(version, cuDriverGetVersion, (int *))                                                                                               \
    DO(device_count, cuDeviceGetCount, (int *))                                                                                            \
    DO(device, cuDeviceGet, (CUdevice *, int))                                                                                             \
    DO(device_name, cuDeviceGetName, (char *, int, CUdevice))                                                                              \
    DO(device_attribute, cuDeviceGetAttribute, (int *, int, CUdevice))                                                                     \
    DO(retain, cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                                                                          \
    DO(release, cuDevicePrimaryCtxRelease_v2, (CUdevice))                                                                                  \
    DO(push, cuCtxPushCurrent_v2, (CUcontext))                                                                                             \
    DO(pop, cuCtxPopCurrent_v2, (CUcontext *))                                                                                             \
    DO(load_module, cuModuleLoadData, (CUmodule *, const void *))                                                                          \
    DO(unload_module, cuModuleUnload, (CUmodule))                                                                                          \
    DO(function, cuModuleGetFunction, (CUfunction *, CUmodule, const char *))                                                              \
    DO(set_attribute, cuFuncSetAttribute, (CUfunction, int, int))                                                                          \
    DO(occupancy, cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *, CUfunction, int, size_t))                                           \
    DO(launch, cuLaunchKernel,                                                                                                             \
       (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **))                     \
    DO(allocate, cuMemAlloc_v2, (CUdeviceptr *, size_t))                                                                                   \
    DO(free, cuMemFree_v2, (CUdeviceptr))                                                                                                  \
    DO(allocate_host, cuMemHostAlloc, (void **, size_t, unsigned))                                                                         \
    DO(free_host, cuMemFreeHost, (void *))                                                                                                 \
    DO(to_device, cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void *, size_t, CUstream))                                                     \
    DO(to_host, cuMemcpyDtoHAsync_v2, (void *, CUdeviceptr, size_t, CUstream))                                                             \
    DO(create_stream, cuStreamCreate, (CUstream *, unsigned))                                                                              \
    DO(destroy_stream, cuStreamDestroy_v2, (CUstream))                                                                                     \
    DO(synchronize, cuStreamSynchronize, (CUstream))                                                                                       \
    DO(wait, cuStreamWaitEvent, (CUstream, CUevent, unsigned))                                                                             \
    DO(create_event, cuEventCreate, (CUevent *, unsigned))                                                                                 \
    DO(destroy_event, cuEventDestroy_v2, (CUevent))                                                                                        \
    DO(record, cuEventRecord, (CUevent, CUstream))                                                                                         \
    DO(synchronize_event, cuEventSynchronize, (CUevent))                                                                                   \
    DO(elapsed, cuEventElapsedTime, (float *, CUevent, CUevent))

typedef struct VrcnnDriver {
    void *library;
/* NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define VRCNN_DRIVER_MEMBER(name, symbol, parameters) CUresult(*name) parameters;
    VRCNN_DRIVER_FUNCTIONS(VRCNN_DRIVER_MEMBER)
#undef VRCNN_DRIVER_MEMBER
} VrcnnDriver;

/* Where in the GPU's memory something lies, as the library's interface says it. */
static inline void *vrcnn_driver_pointer(CUdeviceptr address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

/* Opens the driver's library and initializes it: a VrcnnError or VrcnnCudaError. Close it with vrcnn_driver_close whatever the answer. */
int vrcnn_driver_open(VrcnnDriver *driver);
void vrcnn_driver_close(VrcnnDriver *driver);

/* The error that a driver's answer stands for. */
int vrcnn_driver_error(CUresult result);

#endif
