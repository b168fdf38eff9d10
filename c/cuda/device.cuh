/* The few things that kernels need of the machine: who a thread is, barriers, and the instructions of the tensor cores.
 *
 * nvcc compiles them to instructions. A C++ compiler for the host compiles the same kernels against tests/emulator.h, which defines these
 * functions anew, with the layouts of the PTX manual, for threads that the test runs one after the other.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_DEVICE_CUH
#define VRCNN_CUDA_DEVICE_CUH

#include <stdint.h>

#if defined(__CUDACC__)

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__

struct alignas(16) Bytes16 {
    uint32_t word[4];
};
struct alignas(8) Bytes8 {
    uint32_t word[2];
};

DEVICE int thread_index()
{
    return static_cast<int>(threadIdx.x);
}

DEVICE int thread_count()
{
    return static_cast<int>(blockDim.x);
}

DEVICE int block_index()
{
    return static_cast<int>(blockIdx.x);
}

DEVICE int block_count()
{
    return static_cast<int>(gridDim.x);
}

/* All threads of the block. */
DEVICE void synchronize()
{
    __syncthreads();
}

DEVICE uint32_t shared_address(const void *p)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/* A 16 x 32 (16 x 16) matrix of bytes from shared memory, as the first factor of multiply. Threads 0..15 give the addresses of the rows'
 * first 16 bytes, 16..31 those of the second 16 (unused). */
DEVICE void load_matrix(uint32_t (&a)[4], const uint8_t *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
                 : "r"(shared_address(row)));
}

DEVICE void load_matrix(uint32_t (&a)[2], const uint8_t *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(a[0]), "=r"(a[1]) : "r"(shared_address(row)));
}

/* acc (16 x 8 int32) += a (16 x 32 u8) times b (32 x 8 s8). */
DEVICE void multiply(int32_t (&acc)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(acc[0]), "+r"(acc[1]), "+r"(acc[2]), "+r"(acc[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* acc (16 x 8 int32) += a (16 x 16 u8) times b (16 x 8 s8). */
DEVICE void multiply(int32_t (&acc)[4], const uint32_t (&a)[2], uint32_t b)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+r"(acc[0]), "+r"(acc[1]), "+r"(acc[2]), "+r"(acc[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b));
}

/* sum + the sum of 4 products, unsigned bytes of a by signed bytes of b. */
DEVICE int32_t dot(uint32_t a, uint32_t b, int32_t sum)
{
    asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

/* Four values, each clipped to 0..255, v0 in the lowest byte. */
DEVICE uint32_t pack_clipped(int32_t v0, int32_t v1, int32_t v2, int32_t v3)
{
    uint32_t high, all;
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(high) : "r"(v3), "r"(v2), "r"(0));
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(all) : "r"(v1), "r"(v0), "r"(high));
    return all;
}

/* value clipped to 0..high; one instruction from sm_90 on. */
DEVICE int32_t clip_to(int32_t value, int32_t high)
{
    return __vimin_s32_relu(value, high);
}

/* Sixteen bytes from global to shared memory, or zeros if they are not there; done after wait_for_copies by the thread that asked. */
DEVICE void copy_16(uint8_t *shared, const uint8_t *global, bool there)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(there ? 16 : 0)
                 : "memory");
}

DEVICE void wait_for_copies()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

#else
#include "emulator.h"
#endif

#endif
