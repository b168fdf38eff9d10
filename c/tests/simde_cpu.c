/* What the CPU can do when tests/simde_x86.h emulates instructions: in these builds src/cpu.c answers under the names below.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "conv.h"

unsigned machine_cpu_flags(void);
int machine_tiles_granted(void);

unsigned vrcnn_cpu_flags(void)
{
    return machine_cpu_flags() | VRCNN_CPU_AVXVNNI | VRCNN_CPU_AVX512VNNI | VRCNN_CPU_AMX;
}

int vrcnn_tiles_granted(void)
{
    return 1;
}
