/* What the fuzz targets share that make calls with planes: numbers to spoil them with, what they deserve, memory.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_FUZZ_CALLS_H
#define VRCNN_FUZZ_CALLS_H

#include "fuzz.h"
#include "support.h"

enum { MOST_AREA = 1500, MOST_BYTES = 1 << 20, GUARD = 0xa5 };

/* A number for a field that has `value`. */
static inline int64_t other_number(Input *in, int64_t value, int is_stride)
{
    static const int64_t ends[] = {0, -1, 1, INT32_MAX, INT32_MIN, PTRDIFF_MAX, PTRDIFF_MIN, VRCNN_MAX_SIZE, VRCNN_MAX_SIZE + 1};
    switch (pick(in, 0, 3)) {
    case 0: value = ends[pick(in, 0, (int)(sizeof ends / sizeof *ends) - 1)]; break;
    case 1: value = (int64_t)((uint64_t)value + (uint64_t)pick(in, 0, 4) - 2); break; /* wraps: a field may be spoiled twice */
    case 2: value = (int16_t)number(in, 2); break;
    default: value = (int64_t)number(in, 8);
    }
    return is_stride ? (int64_t)(ptrdiff_t)value : (int64_t)(int32_t)value;
}

/* Codes that a call deserves, bit -code. */
typedef uint64_t Answers;

static inline Answers answer(int is_wrong, VrcnnError error)
{
    return is_wrong ? UINT64_C(1) << -(int)error : 0;
}

/* Bytes from the first to the last of `rows` rows; 0 if the stride is out of range. */
static inline size_t span_of(int64_t stride, int64_t row, int64_t rows)
{
    const uint64_t step = stride < 0 ? (uint64_t)0 - (uint64_t)stride : (uint64_t)stride, most = PTRDIFF_MAX - (uint64_t)row;
    if (rows > 1 && (step < (uint64_t)row || step > most / (uint64_t)(rows - 1)))
        return 0;
    return (size_t)(step * (uint64_t)(rows - 1) + (uint64_t)row);
}

/* Also sets the plane's span, 0 if it has none. */
static inline Answers judge_plane(size_t *span, int64_t stride, int64_t width, int64_t height, int64_t bit_depth, int64_t bytes)
{
    const int is_deep = bit_depth < 8 || bit_depth > 10;
    const int is_odd =
        width < 1 || width > VRCNN_MAX_SIZE || height < 1 || height > VRCNN_MAX_SIZE || bytes < (bit_depth > 8 ? 2 : 1) || bytes > 2;
    *span = is_deep || is_odd ? 0 : span_of(stride, width * bytes, height);
    return answer(is_deep, VRCNN_ERROR_BIT_DEPTH) | answer(is_odd || !*span, VRCNN_ERROR_PLANE);
}

/* Memory that ends with the plane; *data is where its first row begins. */
static inline uint8_t *take_plane(Input *in, size_t span, int64_t stride, int64_t row, size_t *size, uint8_t **data)
{
    const size_t before = (size_t)pick(in, 0, 3);
    *size = before + span;
    uint8_t *memory = get(*size);
    *data = memory + before + (stride < 0 ? span - (size_t)row : 0);
    return memory;
}

#endif
