/* Allocation, watched through the linker's --wrap: how often memory was asked for, and how often it is given. For one thread.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_TESTS_ALLOCATIONS_H
#define VRCNN_TESTS_ALLOCATIONS_H

extern unsigned long allocations; /* so far */
extern unsigned long allowed;     /* that many are given: allocations + n for n more, 0 for none; at first, and with ALL_ALLOWED, all */

#define ALL_ALLOWED ((unsigned long)-1)

#endif
