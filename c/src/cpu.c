/* What the machine can do, and which kernels that allows.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
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

const char *vrcnn_kernel_name(int kernel)
{
    static const char names[][12] = {"auto", "scalar", "avx2", "avxvnni", "avx512vnni", "amx", "neon_dot", "neon_i8mm", "cuda"};
    return kernel < 0 || kernel >= (int)(sizeof names / sizeof names[0]) ? NULL : names[kernel];
}

VrcnnError vrcnn_kernel_table(VrcnnKernelTable *table, VrcnnKernel kernel)
{
    if (!vrcnn_kernel_name((int)kernel))
        return VRCNN_ERROR_KERNEL_UNKNOWN;
    /* Each tier overrides the entries that it does better and sets table->kernel, from the slowest up to the one asked for. */
    vrcnn_conv_init_c(table);
    return kernel == VRCNN_KERNEL_AUTO || kernel == table->kernel ? VRCNN_OK : VRCNN_ERROR_KERNEL_UNSUPPORTED;
}

int vrcnn_kernel_supported(int kernel)
{
    VrcnnKernelTable table;
    return vrcnn_kernel_name(kernel) && vrcnn_kernel_table(&table, (VrcnnKernel)kernel) == VRCNN_OK;
}
