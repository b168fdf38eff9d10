/* The kernels' names, and which of them the machine allows.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "conv.h"

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

/* What this build has, slowest first. */
static const VrcnnKernel tiers[] = {
    VRCNN_KERNEL_SCALAR,
#if defined(__x86_64__)
    VRCNN_KERNEL_AVX2,   VRCNN_KERNEL_AVXVNNI, VRCNN_KERNEL_AVX512VNNI,
#if !defined(_WIN32)
    VRCNN_KERNEL_AMX,
#endif
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
    if (kernel == VRCNN_KERNEL_AMX && !vrcnn_tiles_granted())
        return VRCNN_ERROR_KERNEL_REFUSED;
    return VRCNN_OK;
}

static void fill(VrcnnKernelTable *table, VrcnnKernel kernel)
{
    switch (kernel) {
#if defined(__x86_64__)
    case VRCNN_KERNEL_AVX2: vrcnn_conv_init_avx2(table); break;
    case VRCNN_KERNEL_AVXVNNI: vrcnn_conv_init_avxvnni(table); break;
    case VRCNN_KERNEL_AVX512VNNI: vrcnn_conv_init_avx512vnni(table); break;
#if !defined(_WIN32)
    case VRCNN_KERNEL_AMX: vrcnn_conv_init_amx(table); break;
#endif
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
