/* What the fuzz targets share. An input is read from its front; beyond its end there are zeros.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_FUZZ_FUZZ_H
#define VRCNN_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "vrcnn/vrcnn.h"

/* What libFuzzer and replay.c call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) ((condition) ? (void)0 : must_not(__FILE__, __LINE__, #condition))

static inline void must_not(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    abort();
}

typedef struct Input {
    const uint8_t *at, *end;
} Input;

static inline uint64_t number(Input *in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | (in->at < in->end ? *in->at++ : 0);
    return value;
}

static inline int pick(Input *in, int low, int high)
{
    const uint64_t count = (uint64_t)(high - low) + 1;
    return low + (int)(number(in, count > 256 ? 2 : 1) % count);
}

static inline size_t left(const Input *in)
{
    return (size_t)(in->end - in->at);
}

/* One of the kernels that run here, and 1 to 3 threads. */
static inline VrcnnContext *open_any(Input *in, const VrcnnModel *model)
{
    VrcnnSettings settings;
    VrcnnContext *context;
    int kernel = pick(in, VRCNN_KERNEL_SCALAR, VRCNN_KERNEL_AMX);
    while (!vrcnn_kernel_supported(kernel))
        kernel = kernel + 1 < VRCNN_KERNEL_CUDA ? kernel + 1 : VRCNN_KERNEL_SCALAR;
    MUST(!vrcnn_default_settings(&settings, sizeof settings));
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = pick(in, 1, 3);
    MUST(!vrcnn_open(&context, model, &settings));
    return context;
}

#endif
