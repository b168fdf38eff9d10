/* What the machine can do, and which kernels that allows.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* syscall */
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <string.h>

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

int vrcnn_kernel_by_name(const char *name)
{
    const char *word;
    if (!name)
        return VRCNN_ERROR_ARGUMENT;
    for (int kernel = 0; (word = vrcnn_kernel_name(kernel)) != NULL; kernel++)
        if (!strcmp(word, name))
            return kernel;
    return VRCNN_ERROR_KERNEL_UNKNOWN;
}

/* Linux lets a process use the AMX tile registers only after it has asked; the answer holds for the whole process, and asking again is
 * free. Elsewhere nobody has shown us how: refused. */
#if defined(__x86_64__) && defined(__linux__)
static int tiles_granted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#elif defined(__x86_64__)
static int tiles_granted(void)
{
    return 0;
}
#endif

/* What this build has, slowest first. */
static const VrcnnKernel tiers[] = {
    VRCNN_KERNEL_SCALAR,
#if defined(__x86_64__)
    VRCNN_KERNEL_AVX2,   VRCNN_KERNEL_AVXVNNI, VRCNN_KERNEL_AVX512VNNI, VRCNN_KERNEL_AMX,
#elif defined(__aarch64__)
    VRCNN_KERNEL_NEON_DOT,
    VRCNN_KERNEL_NEON_I8MM,
#endif
};

/* The CPU flags that a kernel needs. */
static unsigned needed_flags(VrcnnKernel kernel)
{
    switch (kernel) {
    case VRCNN_KERNEL_AVX2: return VRCNN_CPU_AVX2;
    case VRCNN_KERNEL_AVXVNNI: return VRCNN_CPU_AVXVNNI;
    case VRCNN_KERNEL_AVX512VNNI: return VRCNN_CPU_AVX512VNNI;
    case VRCNN_KERNEL_AMX: return VRCNN_CPU_AMX | VRCNN_CPU_AVX512VNNI;
    case VRCNN_KERNEL_NEON_DOT: return VRCNN_CPU_NEON_DOT;
    case VRCNN_KERNEL_NEON_I8MM: return VRCNN_CPU_NEON_DOT | VRCNN_CPU_NEON_I8MM;
    default: return 0;
    }
}

static VrcnnError usable(VrcnnKernel kernel)
{
    if ((vrcnn_cpu_flags() & needed_flags(kernel)) != needed_flags(kernel))
        return VRCNN_ERROR_KERNEL_UNSUPPORTED;
#if defined(__x86_64__)
    if (kernel == VRCNN_KERNEL_AMX && !tiles_granted())
        return VRCNN_ERROR_KERNEL_REFUSED;
#endif
    return VRCNN_OK;
}

static void fill(VrcnnKernelTable *table, VrcnnKernel kernel)
{
    switch (kernel) {
#if defined(__x86_64__)
    case VRCNN_KERNEL_AVX2: vrcnn_conv_init_avx2(table); break;
    case VRCNN_KERNEL_AVXVNNI: vrcnn_conv_init_avxvnni(table); break;
    case VRCNN_KERNEL_AVX512VNNI: vrcnn_conv_init_avx512vnni(table); break;
    case VRCNN_KERNEL_AMX: vrcnn_conv_init_amx(table); break;
#elif defined(__aarch64__)
    case VRCNN_KERNEL_NEON_DOT: vrcnn_conv_init_neon_dot(table); break;
    case VRCNN_KERNEL_NEON_I8MM: vrcnn_conv_init_neon_i8mm(table); break;
#endif
    default: vrcnn_conv_init_c(table); break;
    }
}

VrcnnError vrcnn_kernel_table(VrcnnKernelTable *table, VrcnnKernel kernel)
{
    if (!vrcnn_kernel_name((int)kernel))
        return VRCNN_ERROR_KERNEL_UNKNOWN;
    for (size_t i = sizeof tiers / sizeof tiers[0]; i-- > 0;) {
        if (kernel != VRCNN_KERNEL_AUTO && kernel != tiers[i])
            continue;
        const VrcnnError error = usable(tiers[i]);
        if (!error)
            fill(table, tiers[i]);
        if (!error || kernel != VRCNN_KERNEL_AUTO)
            return error;
    }
    return VRCNN_ERROR_KERNEL_UNSUPPORTED;
}

int vrcnn_kernel_supported(int kernel)
{
    VrcnnKernelTable table;
    return vrcnn_kernel_name(kernel) && vrcnn_kernel_table(&table, (VrcnnKernel)kernel) == VRCNN_OK;
}
