/* Integers: the smaller and the larger of two, and multiples.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_INTEGERS_H
#define VRCNN_SRC_INTEGERS_H

#include <stddef.h>

static inline int smaller(int a, int b)
{
    return a < b ? a : b;
}

static inline int larger(int a, int b)
{
    return a > b ? a : b;
}

static inline size_t larger_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The least multiple that is not less than value, which is not negative. */
static inline int up_to_multiple(int value, int multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static inline size_t size_to_multiple(size_t value, size_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

#endif
