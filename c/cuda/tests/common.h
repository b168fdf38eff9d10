/* What the parts of test_cuda share: randomness, complaints, model files, planes in memory that is watched.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_TESTS_COMMON_H
#define VRCNN_CUDA_TESTS_COMMON_H

#include "vrcnn/vrcnn_cuda.h"

#include <stdint.h>

#include "driver.h"
#include "model.h"

enum { GUARD = 0xa5 };

extern unsigned long long pictures, samples; /* that have been compared */
extern int largest, is_emulated;             /* the largest width and height of most pictures */
extern VrcnnDriver driver;
extern CUcontext device_context;
extern char doing[256]; /* what a complaint begins with */

void seed(uint64_t number);
uint32_t draw(void);
int between(int low, int high);

void fail(const char *what);
void check(int condition, const char *what);
void expect(int error, int wanted);
void *take(size_t size);

typedef struct File {
    uint8_t *data;
    size_t size;
} File;

void put(File *file, uint64_t value, int bytes);
File begin_file(int version, int networks);
void end_file(File *file);
void put_branch(File *file, int inputs, int outputs, int size, int is_last, int is_extreme);

/* A network of VRCNN's shape, as version 1 writes it. */
void put_vrcnn(File *file, int is_extreme);

typedef struct Memory {
    uint8_t *block;
    size_t size;
    size_t offset; /* of the plane's first sample */
} Memory;

/* A plane with gaps, maybe upside down, at any address; all of its memory is GUARD. */
Memory make_memory(VrcnnPlane *plane, int width, int height, int bit_depth, int bytes);
void fill(const VrcnnPlane *plane);
VrcnnConstPlane constant(const VrcnnPlane *plane);

void driver_check(CUresult result);
void open_streams(CUstream *stream, int count);
void close_streams(const CUstream *stream, int count);

/* NULL: this GPU has no such shape. */
VrcnnCuda *open_cuda(const File *file, VrcnnCudaMethod method, int first, int second, size_t map_size);

/* test_planes.c: pictures of three planes against the C library; what is refused. */
void check_planes(void);
void check_plane_arguments(void);

#endif
