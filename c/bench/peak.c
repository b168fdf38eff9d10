/* Peak rates of multiply instructions. Each loop below only multiplies and accumulates, in registers, into as many accumulators as hide the
 * latency. All of it is inline assembly, so that the compiler neither needs flags for an instruction set nor drops a loop whose results
 * nobody reads. What the registers hold does not matter.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 199309L
#include "peak.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "vrcnn/vrcnn.h"

typedef struct Peak {
    VrcnnKernel kernel;
    int macs; /* multiply-accumulates a round */
    const char *instruction;
    void (*loop)(long rounds);
} Peak;

/* A round is 8 times the instructions given, each of these written out once for every accumulator number \n in the list: then the two
 * instructions of the loop itself do not count. */
#define ROUND(accumulators, instructions) "1:\n .rept 8\n .irp n," accumulators "\n" instructions "\n .endr\n .endr\n" COUNT_DOWN

#if defined(__x86_64__) && defined(__GNUC__)

#define COUNT_DOWN "dec %0\n jnz 1b\n"
/* Compilers know the wider registers by the names of their lowest 128 bits. */
#define CLOBBERED                                                                                                                          \
    "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",     \
        "xmm15"

/* Without any option compilers may assume SSE2 only, and vectorize the scalar kernels with this. */
static void loop_sse2(long rounds)
{
    __asm__ volatile(ROUND("0,1,2,3,4,5,6,7,8,9", "movdqa %%xmm15, %%xmm13\n pmaddwd %%xmm14, %%xmm13\n paddd %%xmm13, %%xmm\\n")
                     : "+r"(rounds)
                     :
                     : CLOBBERED);
}

/* Without VNNI, bytes are multiplied and added in pairs, and these sums in 16 bits: the least there can be to it. (How long 16 bits last
 * depends on the weights; every now and then a kernel has to widen them, which costs more.) */
static void loop_avx2(long rounds)
{
    __asm__ volatile(
        ROUND("0,1,2,3,4,5,6,7,8,9", "vpmaddubsw %%ymm14, %%ymm15, %%ymm13\n vpaddw %%ymm13, %%ymm\\n, %%ymm\\n") "vzeroupper\n"
        : "+r"(rounds)
        :
        : CLOBBERED);
}

static void loop_avxvnni(long rounds)
{
    __asm__ volatile(ROUND("0,1,2,3,4,5,6,7,8,9,10,11,12,13", "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm\\n") "vzeroupper\n"
                     : "+r"(rounds)
                     :
                     : CLOBBERED);
}

static void loop_avx512vnni(long rounds)
{
    __asm__ volatile(ROUND("0,1,2,3,4,5,6,7,8,9,10,11,12,13", "vpdpbusd %%zmm14, %%zmm15, %%zmm\\n") "vzeroupper\n"
                     : "+r"(rounds)
                     :
                     : CLOBBERED);
}

/* Full tiles: 16 rows of 64 bytes each (palette 1). Nothing else uses tiles, so there is nothing to save. */
typedef struct Tiles {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} Tiles;

static void loop_amx(long rounds)
{
    static const Tiles tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    /* ldtilecfg also zeroes the tiles. Each product takes 16 cycles: four accumulators hide its latency of 52. */
    __asm__ volatile("ldtilecfg %1\n" ROUND("0,1,2,3", "tdpbusd %%tmm6, %%tmm4, %%tmm\\n") "tilerelease\n"
                     : "+r"(rounds)
                     : "m"(tiles)
                     : "cc");
}

static const Peak peaks[] = {
    {VRCNN_KERNEL_SCALAR, 8 * 10 * 8, "pmaddwd (SSE2)", loop_sse2},
    {VRCNN_KERNEL_AVX2, 8 * 10 * 32, "vpmaddubsw, vpaddw", loop_avx2},
    {VRCNN_KERNEL_AVXVNNI, 8 * 14 * 32, "vpdpbusd ymm", loop_avxvnni},
    {VRCNN_KERNEL_AVX512VNNI, 8 * 14 * 64, "vpdpbusd zmm", loop_avx512vnni},
    {VRCNN_KERNEL_AMX, 8 * 4 * 16 * 16 * 64, "tdpbusd", loop_amx},
};

#elif defined(__aarch64__) && defined(__GNUC__)

#define COUNT_DOWN "subs %0, %0, #1\n b.ne 1b\n"
#define ALL "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define CLOBBERED "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17"

/* The instructions by their codes: assemblers refuse the optional ones by name unless an option allows them.
 * What every 64-bit ARM has, 4 products of 16-bit numbers: smlal vN.4s, v16.4h, v17.4h */
static void loop_smlal(long rounds)
{
    __asm__ volatile(ROUND(ALL, ".inst 0x0e718200 + \\n") : "+r"(rounds) : : CLOBBERED);
}

/* sdot vN.4s, v16.16b, v17.16b */
static void loop_neon_dot(long rounds)
{
    __asm__ volatile(ROUND(ALL, ".inst 0x4e919600 + \\n") : "+r"(rounds) : : CLOBBERED);
}

/* usmmla vN.4s, v16.16b, v17.16b */
static void loop_neon_i8mm(long rounds)
{
    __asm__ volatile(ROUND(ALL, ".inst 0x4e91ae00 + \\n") : "+r"(rounds) : : CLOBBERED);
}

static const Peak peaks[] = {
    {VRCNN_KERNEL_SCALAR, 8 * 16 * 4, "smlal", loop_smlal},
    {VRCNN_KERNEL_NEON_DOT, 8 * 16 * 16, "sdot", loop_neon_dot},
    {VRCNN_KERNEL_NEON_I8MM, 8 * 16 * 32, "usmmla", loop_neon_i8mm},
};

#else

static const Peak peaks[] = {{VRCNN_KERNEL_AUTO, 0, NULL, NULL}};

#endif

static const Peak *find(int kernel)
{
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++) {
        if ((int)peaks[i].kernel == kernel && peaks[i].loop)
            return peaks + i;
    }
    return NULL;
}

const char *vrcnn_bench_instruction(int kernel)
{
    const Peak *peak = find(kernel);
    return peak ? peak->instruction : NULL;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double rate(const Peak *peak, double seconds)
{
    const long some = 500; /* rounds, some 15 microseconds or more: neither setup nor clock count */
    const double start = now();
    double elapsed, macs = 0;
    do {
        peak->loop(some);
        macs += (double)peak->macs * (double)some;
        elapsed = now() - start;
    } while (elapsed < seconds);
    return macs / elapsed * 1e-9;
}

double vrcnn_bench_peak(int kernel, double seconds)
{
    const Peak *peak = find(kernel);
    if (!peak || !vrcnn_kernel_supported(kernel)) /* for AMX, this also asks the operating system for the tiles */
        return 0;
    (void)rate(peak, seconds); /* until clocks are up and threads that start at the same time have a core each */
    return rate(peak, seconds);
}
