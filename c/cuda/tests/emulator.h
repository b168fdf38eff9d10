/* A block of threads on the host, to test the kernels where there is no GPU: the functions of device.cuh for a C++ compiler.
 *
 * Every thread is a fiber. A warp's fibers run until all 32 stand at the same matrix instruction, which is then carried out for all of them
 * with the layouts of the PTX manual; a block's warps run, in an order drawn by chance, each until it stands at a barrier or has ended.
 * What real threads can do wrong is reported, and ends the program: different instructions in one warp, some threads at a barrier and
 * others at the end, copies that nobody waited for, misaligned addresses. Shared memory is as large as it was asked for, ends at an
 * unmapped page and begins with noise; copy_16 writes when it is waited for, and noise until then.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_TESTS_EMULATOR_H
#define VRCNN_CUDA_TESTS_EMULATOR_H

#include <cstddef>
#include <cstdint>

#include "../launch.h"

#define DEVICE static inline
#define DEVICE_MEMBER

struct alignas(16) Bytes16 {
    uint32_t word[4];
};
struct alignas(8) Bytes8 {
    uint32_t word[2];
};

namespace emulator
{

struct Position {
    int thread, threads, block, blocks;
};
extern Position position; /* of the fiber that runs */

void synchronize();
void load_matrix(uint32_t *a, const uint8_t *row, int matrices);               /* of 8 x 16 bytes */
void multiply(int32_t *acc, const uint32_t *a, const uint32_t *b, int inputs); /* 32 or 16 */
void copy_16(uint8_t *shared, const uint8_t *global, bool there);
void wait_for_copies();

typedef void (*Kernel)(const void *launch, uint8_t *shared);
void run(Kernel kernel, const void *launch, int blocks, int threads, size_t shared_size);

uint32_t noise();
/* Memory whose last byte (but for the alignment to 16) is the last before an unmapped page, full of noise; free with `give_back`. */
uint8_t *take(size_t size);
void give_back(uint8_t *memory, size_t size);

} // namespace emulator

DEVICE int thread_index()
{
    return emulator::position.thread;
}

DEVICE int thread_count()
{
    return emulator::position.threads;
}

DEVICE int block_index()
{
    return emulator::position.block;
}

DEVICE int block_count()
{
    return emulator::position.blocks;
}

DEVICE void synchronize()
{
    emulator::synchronize();
}

DEVICE void load_matrix(uint32_t (&a)[4], const uint8_t *row)
{
    emulator::load_matrix(a, row, 4);
}

DEVICE void load_matrix(uint32_t (&a)[2], const uint8_t *row)
{
    emulator::load_matrix(a, row, 2);
}

DEVICE void multiply(int32_t (&acc)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    const uint32_t b[2] = {b0, b1};
    emulator::multiply(acc, a, b, 32);
}

DEVICE void multiply(int32_t (&acc)[4], const uint32_t (&a)[2], uint32_t b)
{
    emulator::multiply(acc, a, &b, 16);
}

DEVICE int32_t dot(uint32_t a, uint32_t b, int32_t sum)
{
    for (int i = 0; i < 32; i += 8)
        sum += static_cast<int32_t>(a >> i & 255) * static_cast<int8_t>(b >> i & 255);
    return sum;
}

DEVICE int32_t clip_to(int32_t value, int32_t high)
{
    return value < 0 ? 0 : value > high ? high : value;
}

DEVICE uint32_t pack_clipped(int32_t v0, int32_t v1, int32_t v2, int32_t v3)
{
    return static_cast<uint32_t>(clip_to(v0, 255) | clip_to(v1, 255) << 8 | clip_to(v2, 255) << 16) |
           static_cast<uint32_t>(clip_to(v3, 255)) << 24;
}

DEVICE void copy_16(uint8_t *shared, const uint8_t *global, bool there)
{
    emulator::copy_16(shared, global, there);
}

DEVICE void wait_for_copies()
{
    emulator::wait_for_copies();
}

#endif
