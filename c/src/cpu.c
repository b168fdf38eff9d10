/* What the machine can do. A test that emulates instructions has a file of its own in place of this one.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* syscall */
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "conv.h"

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))

#include <cpuid.h>

/* Which register states the operating system saves (XCR0). */
static uint64_t enabled_states(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

unsigned vrcnn_cpu_flags(void)
{
    const uint64_t ymm = 0x6, zmm = 0xe6, tiles = 0x60000;
    const unsigned osxsave = 1u << 27;
    const unsigned avx512 = 1u << 16 | 1u << 30 | 1u << 31; /* F, BW, VL in EBX of leaf 7 */
    unsigned a, b, c, d, flags = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
        return 0;
    const uint64_t states = enabled_states();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    const unsigned subleaves = a;
    if ((states & ymm) == ymm && b & 1u << 5)
        flags |= VRCNN_CPU_AVX2;
    if ((states & zmm) == zmm && (b & avx512) == avx512 && c & 1u << 11)
        flags |= VRCNN_CPU_AVX512VNNI;
    if ((states & tiles) == tiles && d & 1u << 24 && d & 1u << 25) /* AMX-TILE, AMX-INT8 */
        flags |= VRCNN_CPU_AMX;
    if (subleaves >= 1 && flags & VRCNN_CPU_AVX2 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 4)
        flags |= VRCNN_CPU_AVXVNNI;
    return flags;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

unsigned vrcnn_cpu_flags(void)
{
    const unsigned long hwcap_asimddp = 1ul << 20, hwcap2_i8mm = 1ul << 13;
    return (getauxval(AT_HWCAP) & hwcap_asimddp ? VRCNN_CPU_NEON_DOT : 0u) |
           (getauxval(AT_HWCAP2) & hwcap2_i8mm ? VRCNN_CPU_NEON_I8MM : 0u);
}

#else

unsigned vrcnn_cpu_flags(void)
{
    return 0;
}

#endif

/* Linux lets a process use the AMX tile registers only after it has asked; the answer holds for the whole process, and asking again is
 * free. Elsewhere nobody has shown us how: refused. */
#if defined(__x86_64__) && defined(__linux__)
int vrcnn_tiles_granted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#else
int vrcnn_tiles_granted(void)
{
    return 0;
}
#endif
