/* What codec-bridge bench measures a kernel against. Part of the Python extension, not of the library.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_BENCH_PEAK_H
#define VRCNN_BENCH_PEAK_H

/* The instruction that a VrcnnKernel does its multiplications with ("tdpbusd"): a constant string, or NULL if none is known for it. */
const char *vrcnn_bench_instruction(int kernel);

/* How many 10^9 multiply-accumulates a second the calling thread reaches with nothing but that instruction, operands in registers.
 * Measures for about `seconds`, after as long to get going. 0 if the kernel cannot run here or has no instruction above. */
double vrcnn_bench_peak(int kernel, double seconds);

#endif
