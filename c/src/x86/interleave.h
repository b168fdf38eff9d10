/* The first layer's input, laid out for kernels that multiply four 8-bit values at a time.
 *
 * The first layer has one input channel, so the four neighbours of a multiplication have to come from different places of the window.
 * Column by column they do: with the rows that a call reads interleaved bytewise, eight bytes a column, the window of output row j has the
 * first four of its rows at byte j of every column, wherever the column. One such copy serves the four output rows and all kernels of the
 * layer.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_X86_INTERLEAVE_H
#define VRCNN_SRC_X86_INTERLEAVE_H

#include <emmintrin.h>
#include <stdint.h>

#include "../conv.h"

enum { VRCNN_INTERLEAVED = 8 }; /* bytes a column: VRCNN_ROWS and a radius of at most 2 above and below */

/* Columns that are interleaved for a call: its own, up to VRCNN_COLUMNS, and the radius on both sides, in full vectors. */
static inline int vrcnn_interleaved_columns(int columns, int radius)
{
    return (((columns + VRCNN_COLUMNS - 1) & -VRCNN_COLUMNS) + 2 * radius + 15) & ~15;
}

/* Interleaves rows src[0 .. 3 + 2 * radius] from column -radius on. Bytes of rows that the layer does not read are anything. */
static inline void vrcnn_interleave(uint8_t *to, const uint8_t *const *src, int columns, int radius)
{
    const uint8_t *row[VRCNN_INTERLEAVED];
    const int rows = VRCNN_ROWS + 2 * radius;
    for (int r = 0; r < VRCNN_INTERLEAVED; r++)
        row[r] = src[r < rows ? r : rows - 1] - radius;
    for (int x = 0; x < vrcnn_interleaved_columns(columns, radius); x += 16) {
        __m128i bytes[VRCNN_INTERLEAVED];
        for (int r = 0; r < VRCNN_INTERLEAVED; r++)
            bytes[r] = _mm_loadu_si128((const __m128i *)(row[r] + x));
        for (int quarter = 0; quarter < 4; quarter++) { /* of the 16 columns */
            __m128i pairs[4];                           /* rows 2i and 2i + 1, eight columns */
            for (int i = 0; i < 4; i++)
                pairs[i] =
                    quarter < 2 ? _mm_unpacklo_epi8(bytes[2 * i], bytes[2 * i + 1]) : _mm_unpackhi_epi8(bytes[2 * i], bytes[2 * i + 1]);
            const int right = quarter % 2;
            const __m128i upper = right ? _mm_unpackhi_epi16(pairs[0], pairs[1]) : _mm_unpacklo_epi16(pairs[0], pairs[1]);
            const __m128i lower = right ? _mm_unpackhi_epi16(pairs[2], pairs[3]) : _mm_unpacklo_epi16(pairs[2], pairs[3]);
            __m128i *out = (__m128i *)(to + (x + 4 * quarter) * VRCNN_INTERLEAVED);
            _mm_store_si128(out, _mm_unpacklo_epi32(upper, lower));
            _mm_store_si128(out + 1, _mm_unpackhi_epi32(upper, lower));
        }
    }
}

/* The window of a kernel is then covered by groups of four taps: the first four rows of each of its columns; and the fifth row of a 5x5
 * kernel, read from the source itself, by four columns and the one that is left. */
static inline int vrcnn_tap_groups(int kernel_size)
{
    return kernel_size == 5 ? 5 + 2 : kernel_size;
}

/* The weight of tap e of a group, 0 where the group has no use for it. kernel: of one output. */
static inline int8_t vrcnn_tap_weight(const int8_t *kernel, int kernel_size, int group, int e)
{
    const int row = group < kernel_size ? e : 4, column = group < kernel_size ? group : 4 * (group - kernel_size) + e;
    return row < kernel_size && column < kernel_size ? kernel[row * kernel_size + column] : 0;
}

/* The bias of an output for samples x + 128. */
static inline int32_t vrcnn_first_bias(int32_t bias, const int8_t *kernel, int kernel_size)
{
    for (int tap = 0; tap < kernel_size * kernel_size; tap++)
        bias -= 128 * kernel[tap];
    return bias;
}

/* The same in a joint network. kernel: the weights from its six inputs. */
static inline int32_t vrcnn_joint_bias(int32_t bias, const int8_t *kernel, int area)
{
    for (int i = 0; i < VRCNN_JOINT_INPUTS * area; i++)
        bias -= 128 * kernel[i];
    return bias;
}

#endif
