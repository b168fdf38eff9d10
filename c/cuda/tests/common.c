/* common.h.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sha256.h"

enum { MOST_FILE = 1 << 22 };

unsigned long long pictures, samples;
int largest, is_emulated;
VrcnnDriver driver;
CUcontext device_context;
char doing[256];
static uint64_t state;

void seed(uint64_t number)
{
    state = (number + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

uint32_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

int between(int low, int high)
{
    return low + (int)(draw() % (unsigned)(high - low + 1));
}

void fail(const char *what)
{
    fprintf(stderr, "test_cuda: %s: %s\n", doing, what);
    exit(1);
}

void check(int condition, const char *what)
{
    if (!condition)
        fail(what);
}

void expect(int error, int wanted)
{
    char text[256];
    if (error == wanted)
        return;
    snprintf(text, sizeof text, "error %d (%s), expected %d (%s)", error, vrcnn_cuda_strerror(error), wanted, vrcnn_cuda_strerror(wanted));
    fail(text);
}

void *take(size_t size)
{
    void *memory = malloc(size ? size : 1);
    check(memory != NULL, "out of memory");
    return memory;
}

/* ---- model files ---- */

void put(File *file, uint64_t value, int bytes)
{
    check(file->size + 8 < MOST_FILE, "the test's model is too large");
    for (int i = 0; i < bytes; i++)
        file->data[file->size++] = (uint8_t)(value >> 8 * i);
}

File begin_file(int version, int networks)
{
    File file = {take(MOST_FILE), 8};
    memcpy(file.data, "VRCNNINT", 8);
    put(&file, (uint64_t)version, 2);
    put(&file, (uint64_t)networks, 2);
    put(&file, 0, 4);
    return file;
}

void end_file(File *file)
{
    for (int i = 0; i < 4; i++)
        file->data[12 + i] = (uint8_t)((file->size + VRCNN_ID_SIZE) >> 8 * i);
    vrcnn_sha256(file->data + file->size, file->data, file->size);
    file->size += VRCNN_ID_SIZE;
}

/* What a branch is like: weights within the limits, or the largest; biases that fit them, or any, or the last ones that are allowed. A
 * shift and a multiplier that spread the outputs over 0..127, or any. */
void put_branch(File *file, int inputs, int outputs, int size, int is_last, int is_extreme)
{
    const int macs = inputs * size * size, is_first = inputs < 16, limit = is_extreme ? between(0, 2) : 0;
    int8_t *weights = take((size_t)outputs * (size_t)macs);
    double spread = 1;
    while (spread * spread < macs)
        spread++;
    spread *= is_first ? 127. * 128 / 3 : 73. * 64;
    int shift = between(0, 15), multiplier = between(1, 32767);
    if (is_last) {
        shift = between(2, 15);
        multiplier = between(512, 1023);
    } else if (!is_extreme) {
        shift = between(0, 4);
        const double fits = 127. * 32768 * (1 << shift) / spread / 2;
        multiplier = fits < 1 ? 1 : fits > 32767 ? 32767 : (int)fits;
    }
    put(file, (uint64_t)size, 1);
    put(file, (uint64_t)shift, 1);
    put(file, (uint64_t)multiplier, 2);
    put(file, (uint64_t)outputs, 2);
    put(file, 0, 2);
    for (int i = 0; i < outputs * macs; i++)
        weights[i] = (int8_t)(is_extreme ? 254 * between(0, 1) - 127 : between(-127, 127));
    for (int o = 0; o < outputs; o++) {
        int64_t low = 0, high = 0; /* of the sum without the bias */
        for (int i = 0; i < macs; i++) {
            const int w = weights[o * macs + i], least = is_first ? -128 * w : 0, most = 127 * w;
            low += least < most ? least : most;
            high += least < most ? most : least;
        }
        const int64_t lowest = INT32_MIN - low, highest = INT32_MAX - ((1 << shift) >> 1) - high;
        const int64_t any = is_extreme ? between(-2000000000, 2000000000) : between(-(int)spread, (int)spread);
        put(file, (uint64_t)(limit == 0 ? any : limit == 1 ? lowest : highest), 4);
    }
    for (int i = 0; i < outputs * macs; i++)
        put(file, (uint64_t)(int64_t)weights[i], 1);
    free(weights);
}

void put_vrcnn(File *file, int is_extreme)
{
    static const struct {
        int inputs, branches, size[2], outputs[2];
    } layers[] = {{1, 1, {5, 0}, {64, 0}}, {64, 2, {5, 3}, {16, 32}}, {48, 2, {3, 1}, {16, 32}}, {48, 1, {3, 0}, {1, 0}}};
    put(file, 32, 1);
    put(file, 0, 1);
    put(file, 4, 1);
    put(file, 0, 1);
    for (int l = 0; l < 4; l++) {
        put(file, (uint64_t)layers[l].branches, 1);
        for (int b = 0; b < layers[l].branches; b++)
            put_branch(file, layers[l].inputs, layers[l].outputs[b], layers[l].size[b], l == 3, is_extreme && between(0, 1));
    }
}

/* ---- pictures ---- */

Memory make_memory(VrcnnPlane *plane, int width, int height, int bit_depth, int bytes)
{
    const int gap = between(0, 1) ? between(0, 70) : 0, is_negative = between(0, 3) == 0;
    const size_t stride = (size_t)width * (size_t)bytes + (size_t)gap, before = (size_t)between(0, 5);
    Memory m;
    m.size = before + stride * (size_t)height + 5;
    m.block = take(m.size);
    memset(m.block, GUARD, m.size);
    m.offset = before + (is_negative ? stride * (size_t)(height - 1) : 0);
    const VrcnnPlane made = {m.block + m.offset, is_negative ? -(ptrdiff_t)stride : (ptrdiff_t)stride, width, height, bit_depth, bytes};
    *plane = made;
    return m;
}

void fill(const VrcnnPlane *plane)
{
    const int most = (1 << plane->bit_depth) - 1, kind = between(0, 4), level = between(0, most);
    for (int y = 0; y < plane->height; y++)
        for (int x = 0; x < plane->width; x++) {
            int value = between(0, most);
            if (kind == 1)
                value = between(0, 1) * most;
            else if (kind == 2)
                value = (level + 3 * x + 5 * y) % (most + 1);
            else if (kind == 3)
                value = plane->bytes_per_sample == 2 ? between(0, 65535) : value; /* beyond the bit depth: clipped */
            uint8_t *at = (uint8_t *)plane->data + y * plane->stride + x * plane->bytes_per_sample;
            at[0] = (uint8_t)value;
            if (plane->bytes_per_sample == 2)
                at[1] = (uint8_t)(value >> 8);
        }
}

VrcnnConstPlane constant(const VrcnnPlane *plane)
{
    const VrcnnConstPlane c = {plane->data, plane->stride, plane->width, plane->height, plane->bit_depth, plane->bytes_per_sample};
    return c;
}

void driver_check(CUresult result)
{
    expect(vrcnn_driver_error(result), VRCNN_OK);
}

void open_streams(CUstream *stream, int count)
{
    driver_check(driver.push(device_context));
    for (int i = 0; i < count; i++)
        driver_check(driver.create_stream(stream + i, CU_STREAM_NON_BLOCKING));
}

void close_streams(const CUstream *stream, int count)
{
    CUcontext popped;
    for (int i = 0; i < count; i++)
        driver_check(driver.destroy_stream(stream[i]));
    driver_check(driver.pop(&popped));
}

VrcnnCuda *open_cuda(const File *file, VrcnnCudaMethod method, int first, int second, size_t map_size)
{
    VrcnnCudaSettings settings;
    VrcnnCuda *cuda;
    expect(vrcnn_cuda_default_settings(&settings, sizeof settings), VRCNN_OK);
    settings.method = method;
    settings.first_shape = first;
    settings.second_shape = second;
    settings.map_size = map_size;
    const int error = vrcnn_cuda_open(&cuda, file ? file->data : NULL, file ? file->size : 0, &settings);
    if (error == VRCNN_CUDA_ERROR_SHAPE && (first || second))
        return NULL; /* not on this GPU */
    expect(error, VRCNN_OK);
    return cuda;
}
