/* The one rounding rule: add half, shift down. SPECIFICATION.md, section 2.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_REQUANT_H
#define VRCNN_SRC_REQUANT_H

#include <stdint.h>

/* C leaves >> of a negative integer to the compiler; the arithmetic here needs the flooring shift that every known one has. */
typedef char vrcnn_assert_flooring_shift[(-3 >> 1) == -2 ? 1 : -1];

/* sat16((acc + half) >> shift); the model's proof keeps acc + half inside int32. */
static inline int32_t vrcnn_preshift(int32_t acc, int shift)
{
    const int32_t t = (acc + ((INT32_C(1) << shift) >> 1)) >> shift;
    return t < INT16_MIN ? INT16_MIN : t > INT16_MAX ? INT16_MAX : t;
}

/* (t * multiplier + half) >> 15 for |t| <= 2^15 and 0 <= multiplier < 2^15. */
static inline int32_t vrcnn_round_multiply(int32_t t, int32_t multiplier)
{
    return (t * multiplier + (INT32_C(1) << 14)) >> 15;
}

/* A hidden layer's output, 0..127; added: of the layer that it adds. */
static inline uint8_t vrcnn_requant_hidden(int32_t acc, int shift, int32_t multiplier, int32_t added)
{
    const int32_t v = vrcnn_round_multiply(vrcnn_preshift(acc, shift), multiplier) + added;
    return (uint8_t)(v < 0 ? 0 : v > 127 ? 127 : v);
}

#endif
