/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#include <dlfcn.h>
#include <string.h>

#include "vrcnn/vrcnn_cuda.h"

int vrcnn_driver_error(CUresult result)
{
    switch (result) {
    case CUDA_SUCCESS: return VRCNN_OK;
    case CUDA_ERROR_OUT_OF_MEMORY: return VRCNN_CUDA_ERROR_MEMORY;
    case CUDA_ERROR_STUB_LIBRARY: return VRCNN_CUDA_ERROR_NO_DRIVER;
    case CUDA_ERROR_NO_DEVICE: return VRCNN_CUDA_ERROR_NO_DEVICE;
    case CUDA_ERROR_INVALID_DEVICE: return VRCNN_CUDA_ERROR_DEVICE_NUMBER;
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: return VRCNN_CUDA_ERROR_OLD_DRIVER;
    default: return VRCNN_CUDA_ERROR_DEVICE_FAILED;
    }
}

int vrcnn_driver_open(VrcnnDriver *driver)
{
    memset(driver, 0, sizeof *driver);
    /* It has threads of its own, so it must not be unloaded. */
    driver->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!driver->library)
        return VRCNN_CUDA_ERROR_NO_DRIVER;
    void *symbol;
    /* A pointer to data is none to a function in C, but POSIX wants them alike. */
#define FIND(name, in_library, parameters)                                                                                                 \
    if (!(symbol = dlsym(driver->library, #in_library)))                                                                                   \
        return VRCNN_CUDA_ERROR_OLD_DRIVER;                                                                                                \
    memcpy((void *)&driver->name, (const void *)&symbol, sizeof driver->name);
    VRCNN_DRIVER_FUNCTIONS(FIND)
#undef FIND
    return vrcnn_driver_error(driver->init(0));
}

void vrcnn_driver_close(VrcnnDriver *driver)
{
    if (driver->library)
        dlclose(driver->library);
    driver->library = NULL;
}
