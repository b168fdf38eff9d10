/* Opens and closes contexts, and says what they are.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn/vrcnn_cuda.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "image.h"

static const size_t default_map_size = (size_t)1 << 30;

const char *vrcnn_cuda_strerror(int error)
{
    switch (error) {
    case VRCNN_CUDA_ERROR_NO_DRIVER: return "there is no CUDA driver here (libcuda.so.1)";
    case VRCNN_CUDA_ERROR_OLD_DRIVER: return "the CUDA driver is too old for these kernels";
    case VRCNN_CUDA_ERROR_NO_DEVICE: return "the CUDA driver finds no GPU";
    case VRCNN_CUDA_ERROR_DEVICE_NUMBER: return "there is no GPU of this number";
    case VRCNN_CUDA_ERROR_DEVICE_KIND: return "the GPU is older than compute capability 8.0";
    case VRCNN_CUDA_ERROR_MEMORY: return "out of memory on the GPU";
    case VRCNN_CUDA_ERROR_DEVICE_FAILED:
        return "the GPU failed or is lost, or a pointer does not lead to its memory; start the process anew";
    case VRCNN_CUDA_ERROR_METHOD: return "there is no such method, or a network of the set has no fused kernels";
    case VRCNN_CUDA_ERROR_SHAPE: return "there is no such shape of tiles, or it does not fit this GPU";
    default: return vrcnn_strerror(error);
    }
}

int vrcnn_cuda_default_settings(VrcnnCudaSettings *settings, size_t size)
{
    if (!settings || size < sizeof *settings)
        return VRCNN_ERROR_ARGUMENT;
    memset(settings, 0, size);
    settings->size = size;
    return VRCNN_OK;
}

int vrcnn_cuda_compiler(void)
{
    return vrcnn_cuda_image_compiler;
}

int vrcnn_cuda_devices(void)
{
    VrcnnDriver driver;
    int count = 0, error = vrcnn_driver_open(&driver);
    if (!error)
        error = vrcnn_driver_error(driver.device_count(&count));
    vrcnn_driver_close(&driver);
    return error ? error : count > 0 ? count : (int)VRCNN_CUDA_ERROR_NO_DEVICE;
}

static int read_settings(VrcnnCudaSettings *known, const VrcnnCudaSettings *given)
{
    if (!given)
        return vrcnn_cuda_default_settings(known, sizeof *known);
    if (given->size < sizeof *given)
        return VRCNN_ERROR_ARGUMENT;
    for (size_t i = sizeof *given; i < given->size; i++)
        if (((const uint8_t *)given)[i])
            return VRCNN_ERROR_ARGUMENT;
    *known = *given;
    return VRCNN_OK;
}

int vrcnn_gpu_enter(VrcnnCuda *c)
{
    return vrcnn_driver_error(c->driver.push(c->context));
}

int vrcnn_gpu_leave(VrcnnCuda *c, int error)
{
    CUcontext popped;
    const int problem = vrcnn_driver_error(c->driver.pop(&popped));
    return error ? error : problem;
}

int vrcnn_gpu_allocate(VrcnnCuda *c, CUdeviceptr *out, size_t size)
{
    const int error = vrcnn_driver_error(c->driver.allocate(out, size));
    if (error)
        *out = 0;
    else
        c->memory += size;
    return error;
}

void vrcnn_gpu_release(VrcnnCuda *c, CUdeviceptr *pointer, size_t size)
{
    if (*pointer) {
        c->driver.free(*pointer);
        c->memory -= size;
    }
    *pointer = 0;
}

static int open_device(VrcnnCuda *c, int number, int *most_shared)
{
    int error, count, major, minor;
    if ((error = vrcnn_driver_open(&c->driver)) || (error = vrcnn_driver_error(c->driver.device_count(&count))))
        return error;
    if (count < 1)
        return VRCNN_CUDA_ERROR_NO_DEVICE;
    if (number < 0 || number >= count)
        return VRCNN_CUDA_ERROR_DEVICE_NUMBER;
    const struct {
        int *value, attribute;
    } wanted[] = {{&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR},
                  {&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR},
                  {&c->multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT},
                  {most_shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN}};
    if ((error = vrcnn_driver_error(c->driver.device(&c->device, number))) ||
        (error = vrcnn_driver_error(c->driver.device_name(c->name, VRCNN_GPU_NAME_SIZE, c->device))))
        return error;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if ((error = vrcnn_driver_error(c->driver.device_attribute(wanted[i].value, wanted[i].attribute, c->device))))
            return error;
    c->capability = 10 * major + minor;
    if (major < 8)
        return VRCNN_CUDA_ERROR_DEVICE_KIND;
    return vrcnn_driver_error(c->driver.retain(&c->context, c->device));
}

static int open_context(VrcnnCuda *c, const VrcnnModel *model, const VrcnnCudaSettings *settings)
{
    int error, most_shared;
    if ((error = open_device(c, settings->device, &most_shared)))
        return error;
    if ((error = vrcnn_gpu_enter(c)))
        return error;
    if (!(error = vrcnn_gpu_load(c, model, settings, most_shared)))
        error = vrcnn_driver_error(c->driver.create_event(&c->done, CU_EVENT_DISABLE_TIMING));
    return vrcnn_gpu_leave(c, error);
}

int vrcnn_cuda_open(VrcnnCuda **out, const void *data, size_t size, const VrcnnCudaSettings *settings)
{
    VrcnnCudaSettings known;
    VrcnnModel *model;
    int error;
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    if ((!data && size) || read_settings(&known, settings))
        return VRCNN_ERROR_ARGUMENT;
    if (known.method < VRCNN_CUDA_AUTO || known.method > VRCNN_CUDA_FUSED)
        return VRCNN_CUDA_ERROR_METHOD;
    if ((error = data ? vrcnn_model_load(&model, data, size, NULL) : vrcnn_model_builtin(&model, VRCNN_BEFORE_DEBLOCKING)))
        return error;
    VrcnnCuda *c = calloc(1, sizeof *c + (size_t)model->networks * sizeof c->network[0]);
    if (!c) {
        vrcnn_model_free(model);
        return VRCNN_ERROR_MEMORY;
    }
    c->networks = model->networks;
    c->map_size = known.map_size ? known.map_size : default_map_size;
    error = open_context(c, model, &known);
    vrcnn_model_free(model);
    if (error) {
        vrcnn_cuda_close(c);
        return error;
    }
    *out = c;
    return VRCNN_OK;
}

void vrcnn_cuda_close(VrcnnCuda *c)
{
    if (!c)
        return;
    if (c->context && !vrcnn_gpu_enter(c)) {
        if (c->used)
            c->driver.synchronize_event(c->done);
        vrcnn_gpu_close_slots(c);
        for (int i = 0; i < VRCNN_GPU_MAPS; i++)
            vrcnn_gpu_release(c, c->map + i, c->map_sizes[i]);
        vrcnn_gpu_release(c, &c->weights, 0);
        if (c->done)
            c->driver.destroy_event(c->done);
        if (c->module)
            c->driver.unload_module(c->module);
        vrcnn_gpu_leave(c, 0);
        c->driver.release(c->device);
    }
    vrcnn_driver_close(&c->driver);
    free(c);
}

const char *vrcnn_cuda_device_name(const VrcnnCuda *context)
{
    return context ? context->name : NULL;
}

int vrcnn_cuda_capability(const VrcnnCuda *context)
{
    return context ? context->capability : (int)VRCNN_ERROR_ARGUMENT;
}

int vrcnn_cuda_method(const VrcnnCuda *context, int index)
{
    if (!context)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= context->networks)
        return VRCNN_ERROR_INDEX;
    return context->network[index].is_fused ? VRCNN_CUDA_FUSED : VRCNN_CUDA_SIMPLE;
}

size_t vrcnn_cuda_memory(const VrcnnCuda *context)
{
    return context ? context->memory : 0;
}
