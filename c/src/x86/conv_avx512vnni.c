/* AVX-512 VNNI kernels.
 *
 * vpdpbusd takes 16 groups of four unsigned bytes and 16 groups of four signed bytes, and adds the inner product of each pair of groups to
 * one of 16 sums of 32 bits, exactly. Here a vector of sums is 16 output channels of one sample; the unsigned groups are four input
 * channels of one sample, the same in all 16 places (a broadcast, which costs no more than a load), and the signed ones the weights from
 * these four inputs to the 16 outputs.
 *
 * The machine starts two such instructions a cycle and two loads, and the 32 registers hold what is used again: a block of 24 vectors of
 * sums, weights, one broadcast. See hidden_block for the layers that matter.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "../conv.h"

#if defined(__x86_64__)

#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512VL__) || !defined(__AVX512VNNI__)
#error "compile this file with the flags of kernel_flags.txt"
#endif

#include <immintrin.h>
#include <string.h>

#include "interleave.h"
#include "vectors.h"

enum {
    LANES = 16,        /* sums in a vector */
    BYTES = 64,        /* of a vector */
    BLOCK = 24,        /* vectors of sums that a block has in registers */
    FIRST_COLUMNS = 4, /* of a block in the first layer */
    LAST_COLUMNS = 4   /* of a block in the last layer */
};

/* ---- shared by all layers ---- */

/* sums += activations (unsigned) * weights (signed). Not the intrinsic: gcc 12 moves the sums to memory and back around it. */
INLINE __m512i dot(__m512i sums, __m512i activations, __m512i weights)
{
#if defined(VRCNN_EMULATED)
    return _mm512_dpbusd_epi32(sums, activations, weights);
#else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(activations), "v"(weights));
    return sums;
#endif
}

INLINE __m512i load(const void *from)
{
    return _mm512_loadu_si512(from);
}

INLINE __m512i broadcast(const uint8_t *four)
{
    int32_t value;
    memcpy(&value, four, sizeof value);
    return _mm512_set1_epi32(value);
}

/* How the sums of a branch become samples: t = sat16(sum >> shift), v = (t * multiplier + 2^14) >> 15. The rounding term of the shift is in
 * what the sums start from. */
typedef struct Requant {
    int shift;
    __m512i shifts, multipliers;
} Requant;

INLINE Requant requant_of(int shift, int multiplier)
{
    const Requant q = {shift, _mm512_set1_epi32(shift), _mm512_set1_epi16((short)multiplier)};
    return q;
}

INLINE __m512i shifted(__m512i sums, const Requant *q)
{
    return q->shift ? _mm512_srav_epi32(sums, q->shifts) : sums;
}

INLINE __m512i pack16(__m512i a, __m512i b, const Requant *q)
{
    return _mm512_mulhrs_epi16(_mm512_packs_epi32(shifted(a, q), shifted(b, q)), q->multipliers);
}

/* What pack16 left of four vectors of sums becomes bytes 0..127. The packing instructions work in each quarter of a register on its own:
 * quarter i of the result has the sums 4i .. 4i+3 of a, then those of b, c and d. */
INLINE __m512i clip(__m512i ab, __m512i cd)
{
    return _mm512_max_epi8(_mm512_packs_epi16(ab, cd), _mm512_setzero_si512());
}

INLINE __m512i requant(__m512i a, __m512i b, __m512i c, __m512i d, const Requant *q)
{
    return clip(pack16(a, b, q), pack16(c, d, q));
}

/* The outputs of a layer that is added to values in 16 bits, before they are clipped to 0..127. The sum may saturate: it is 32767 then
 * where it would be more, and becomes 127 either way. (It cannot be too small: what is added is 0..127.) */
INLINE __m512i plus(__m512i values, __m256i added)
{
    return _mm512_adds_epi16(values, _mm512_cvtepu8_epi16(added));
}

/* 16 outputs each of two samples, four by four, as pack16 leaves them. */
INLINE __m256i in_quarters(const uint8_t *a, const uint8_t *b)
{
    const __m128i from_a = _mm_loadu_si128((const __m128i *)a), from_b = _mm_loadu_si128((const __m128i *)b);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi32(from_a, from_b)), _mm_unpackhi_epi32(from_a, from_b), 1);
}

/* Which of the 16 * vectors outputs of a slice is in a place of vector v: chosen so that after requant the outputs that belong to one
 * quarter of one sample are neighbours, in order. */
static int output_at(int vectors, int v, int place)
{
    return place / 4 * 4 * vectors + 4 * v + place % 4;
}

/* Branches are computed in slices of 16 * vectors outputs, as wide as possible. */
static int slice_vectors(int outputs_left, int widest)
{
    return outputs_left >= LANES * widest ? widest : 1;
}

/* The first column of the block after the one at x: blocks side by side, but the last one moved to the left so as to end with the row. */
INLINE int next_block(int x, int width, int columns)
{
    return x + 2 * width <= columns || x + width >= columns ? x + width : columns - width;
}

/* Puts together what requant left in quarters: four samples of 16 outputs each. */
INLINE void store_4x16(uint8_t *p0, uint8_t *p1, uint8_t *p2, uint8_t *p3, __m512i bytes)
{
    bytes = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
    _mm_store_si128((__m128i *)p0, _mm512_castsi512_si128(bytes));
    _mm_store_si128((__m128i *)p1, _mm512_extracti32x4_epi32(bytes, 1));
    _mm_store_si128((__m128i *)p2, _mm512_extracti32x4_epi32(bytes, 2));
    _mm_store_si128((__m128i *)p3, _mm512_extracti32x4_epi32(bytes, 3));
}

/* The same for two samples of 32 outputs each. (One sample of 64 is in order already.) */
INLINE void store_2x32(uint8_t *p0, uint8_t *p1, __m512i bytes)
{
    bytes = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), bytes);
    _mm256_storeu_si256((__m256i *)p0, _mm512_castsi512_si256(bytes));
    _mm256_storeu_si256((__m256i *)p1, _mm512_extracti64x4_epi64(bytes, 1));
}

/* The rounding term of a shift. */
static int32_t half_of(int shift)
{
    return (INT32_C(1) << shift) >> 1;
}

/* What the sums of a slice start from. Returns what follows it. */
static int8_t *pack_start(int8_t *packed, int vectors, const int32_t *bias, int32_t half)
{
    for (int v = 0; v < vectors; v++)
        for (int place = 0; place < LANES; place++, packed += sizeof(int32_t)) {
            const int32_t start = bias[output_at(vectors, v, place)] + half;
            memcpy(packed, &start, sizeof start);
        }
    return packed;
}

/* ---- hidden layers ---- */

/* What a slice of a branch has in packed memory: the vectors of start values, then for every column of the kernel, every four inputs,
 * every row of the kernel: the vectors of weights. */
static size_t hidden_slice_size(int kernel_size, int inputs, int vectors)
{
    return (size_t)BYTES * (size_t)vectors * (size_t)(1 + kernel_size * kernel_size * inputs / 4);
}

/* The sums of a block: rows, columns, vectors of a slice. */
typedef struct Sums {
    __m512i of[VRCNN_ROWS][BLOCK / VRCNN_ROWS][2];
} Sums;

/* `step` input channels, 4 or 8, of one sample: 8 take two neighbouring places of a vector in turn. */
INLINE __m512i broadcast_step(const uint8_t *from, int step)
{
    int64_t eight;
    if (step == 4)
        return broadcast(from);
    memcpy(&eight, from, sizeof eight);
    return _mm512_set1_epi64(eight);
}

/* The windows of a block of 4 rows and some columns; src points to its rows.
 *
 * The four rows together make the loads few. For one column of the kernel and four input channels, the weights of all kernel rows (at most
 * 5, or 3 * 2 vectors) are loaded into registers once; then the 4 + k - 1 rows of the source are walked, and each broadcast serves every
 * output row whose window it is in. In layer 2 that is, for the 5x5 kernel (6 columns), 5 + 8 * 6 loads for 5 * 4 * 6 multiplications, for
 * the 3x3 kernel (3 columns, two vectors of outputs) 6 + 6 * 3 loads for 3 * 4 * 3 * 2: less than half a load each where a whole one would
 * do. 24 vectors of sums, up to 6 of weights and one broadcast fill the 32 registers but one.
 *
 * pitch: of a sample, all of which is input, so that the channels of all columns of a window's row are i = 0, 1, ... */
INLINE void add_windows(Sums *sums, const uint8_t *const *src, ptrdiff_t pitch, int kernel_size, int vectors, int step,
                        const uint8_t *packed)
{
    enum { ROWS = VRCNN_ROWS };
    const int columns = BLOCK / ROWS / vectors;
    const uint8_t *rows[ROWS + 4];
    UNROLL (r, ROWS + kernel_size - 1)
        rows[r] = src[r];
    for (int i = 0; i < kernel_size * pitch; i += step) {
        __m512i weights[5][2];
        UNROLL (ky, kernel_size)
            UNROLL (v, vectors)
                weights[ky][v] = load(packed + (ky * vectors + v) * BYTES);
        packed += kernel_size * vectors * BYTES;
        UNROLL (r, ROWS + kernel_size - 1)
            UNROLL (c, columns) {
                const __m512i activations = broadcast_step(rows[r] + c * pitch + i, step);
                UNROLL (j, ROWS)
                    if (j <= r && r - j < kernel_size) /* row r is row r - j of the window of output row j */
                        UNROLL (v, vectors)
                            sums->of[j][c][v] = dot(sums->of[j][c][v], activations, weights[r - j][v]);
            }
    }
}

/* One slice of a branch for a block of 4 rows and some columns; src, dst and added (NULL: none) point to its rows. */
INLINE void hidden_block(uint8_t *const *dst, ptrdiff_t dst_pitch, const uint8_t *const *src, ptrdiff_t src_pitch,
                         const uint8_t *const *added, int kernel_size, int vectors, const uint8_t *packed, const Requant *q)
{
    const int columns = BLOCK / VRCNN_ROWS / vectors;
    Sums sums;
    UNROLL (j, VRCNN_ROWS)
        UNROLL (c, columns)
            UNROLL (v, vectors)
                sums.of[j][c][v] = load(packed + v * BYTES);
    add_windows(&sums, src, src_pitch, kernel_size, vectors, 4, packed + vectors * BYTES);

    UNROLL (c, columns) {
        const ptrdiff_t at = c * dst_pitch;
        __m512i values[VRCNN_ROWS]; /* with one vector a slice, of two rows each */
        UNROLL (i, 2 * vectors) {
            values[i] =
                vectors == 1 ? pack16(sums.of[2 * i][c][0], sums.of[2 * i + 1][c][0], q) : pack16(sums.of[i][c][0], sums.of[i][c][1], q);
            if (added && vectors == 1)
                values[i] = plus(values[i], in_quarters(added[2 * i] + at, added[2 * i + 1] + at));
            else if (added)
                values[i] = plus(values[i], _mm256_loadu_si256((const __m256i *)(added[i] + at)));
        }
        if (vectors == 1)
            store_4x16(dst[0] + at, dst[1] + at, dst[2] + at, dst[3] + at, clip(values[0], values[1]));
        else
            UNROLL (pair, VRCNN_ROWS / 2)
                store_2x32(dst[2 * pair] + at, dst[2 * pair + 1] + at, clip(values[2 * pair], values[2 * pair + 1]));
    }
}

INLINE void hidden_slice(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                         const VrcnnConvLayer *layer, int kernel_size, int vectors, const uint8_t *packed, const Requant *q)
{
    const int width = BLOCK / VRCNN_ROWS / vectors, reach = kernel_size / 2;
    for (int x = 0; x < columns; x = next_block(x, width, columns)) {
        const uint8_t *from[VRCNN_ROWS + 4], *addends[VRCNN_ROWS];
        uint8_t *to[VRCNN_ROWS];
        for (int r = 0; r < VRCNN_ROWS + kernel_size - 1; r++)
            from[r] = src[r] + (x - reach) * layer->src_pitch;
        for (int j = 0; j < VRCNN_ROWS; j++)
            to[j] = dst[j] + x * layer->dst_pitch;
        for (int j = 0; added && j < VRCNN_ROWS; j++)
            addends[j] = added[j] + x * layer->dst_pitch;
        hidden_block(to, layer->dst_pitch, from, layer->src_pitch, added ? addends : NULL, kernel_size, vectors, packed, q);
    }
}

INLINE void hidden_branch(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                          const VrcnnConvLayer *layer, int kernel_size, int vectors, const uint8_t *packed, const Requant *q)
{
    switch (kernel_size * 2 + vectors) {
    case 5 * 2 + 2: hidden_slice(dst, src, added, columns, layer, 5, 2, packed, q); break;
    case 5 * 2 + 1: hidden_slice(dst, src, added, columns, layer, 5, 1, packed, q); break;
    case 3 * 2 + 2: hidden_slice(dst, src, added, columns, layer, 3, 2, packed, q); break;
    case 3 * 2 + 1: hidden_slice(dst, src, added, columns, layer, 3, 1, packed, q); break;
    case 1 * 2 + 2: hidden_slice(dst, src, added, columns, layer, 1, 2, packed, q); break;
    default: hidden_slice(dst, src, added, columns, layer, 1, 1, packed, q); break;
    }
}

/* Also a joint network's first layer, with a pitch of 8 bytes of which the weights of two are 0. */
static void conv_hidden(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                        const VrcnnConvLayer *layer, void *scratch)
{
    const uint8_t *packed = layer->packed;
    int channel = 0;
    (void)scratch;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Requant q = requant_of(conv->shift, conv->multiplier);
        const uint8_t *const *from = src + layer->radius - conv->kernel_size / 2;
        for (int vectors, o = 0; o < conv->outputs; o += LANES * vectors, channel += LANES * vectors) {
            uint8_t *to[VRCNN_ROWS];
            const uint8_t *addends[VRCNN_ROWS];
            for (int j = 0; j < VRCNN_ROWS; j++) {
                to[j] = dst[j] + channel;
                addends[j] = added ? added[j] + channel : NULL;
            }
            vectors = slice_vectors(conv->outputs - o, 2);
            hidden_branch(to, from, added ? addends : NULL, columns, layer, conv->kernel_size, vectors, packed, &q);
            packed += hidden_slice_size(conv->kernel_size, layer->src_pitch, vectors);
        }
    }
}

/* The bias of an output of a hidden layer, or of a joint network's first one, which is fed x + 128. */
static int32_t start_of(const VrcnnConvLayer *layer, int32_t bias, const int8_t *kernel, int area)
{
    return layer->inputs == VRCNN_JOINT_INPUTS ? vrcnn_joint_bias(bias, kernel, area) : bias;
}

static void pack_hidden(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int k = conv->kernel_size;
        for (int vectors, first = 0; first < conv->outputs; first += LANES * vectors) {
            int32_t start[2 * LANES];
            vectors = slice_vectors(conv->outputs - first, 2);
            for (int o = 0; o < LANES * vectors; o++)
                start[o] = start_of(layer, bias[b][first + o], weights[b] + (first + o) * layer->inputs * k * k, k * k);
            packed = pack_start(packed, vectors, start, half_of(conv->shift));
            for (int kx = 0; kx < k; kx++)
                for (int i = 0; i < layer->src_pitch; i += 4)
                    for (int ky = 0; ky < k; ky++)
                        for (int v = 0; v < vectors; v++)
                            for (int place = 0; place < LANES; place++)
                                for (int e = 0; e < 4; e++) {
                                    const int o = first + output_at(vectors, v, place), input = i + e;
                                    *packed++ = input < layer->inputs ? weights[b][((o * layer->inputs + input) * k + ky) * k + kx] : 0;
                                }
        }
    }
}

/* ---- the first layer ---- */

static size_t first_slice_size(int kernel_size, int vectors)
{
    return (size_t)BYTES * (size_t)vectors * (size_t)(1 + vrcnn_tap_groups(kernel_size));
}

/* One slice of a branch for FIRST_COLUMNS samples of a row. columns: their windows in the interleaved copy; row: the fifth row of the
 * windows. The packed weights are in the order of the steps. */
INLINE void first_block(uint8_t *dst, ptrdiff_t dst_pitch, const uint8_t *columns, const uint8_t *row, int kernel_size, int vectors,
                        const uint8_t *packed, const Requant *q)
{
    __m512i sums[FIRST_COLUMNS][4];
    UNROLL (c, FIRST_COLUMNS)
        UNROLL (v, vectors)
            sums[c][v] = load(packed + v * BYTES);
    packed += vectors * BYTES;

    for (int step = 0; step < vrcnn_tap_groups(kernel_size); step++, packed += vectors * BYTES) {
        const uint8_t *const from = step < kernel_size ? columns + step * VRCNN_INTERLEAVED : row + 4 * (step - kernel_size);
        const ptrdiff_t pitch = step < kernel_size ? VRCNN_INTERLEAVED : 1;
        UNROLL (c, FIRST_COLUMNS) {
            const __m512i samples = broadcast(from + c * pitch);
            UNROLL (v, vectors)
                sums[c][v] = dot(sums[c][v], samples, load(packed + v * BYTES));
        }
    }

    if (vectors == 1)
        store_4x16(dst, dst + dst_pitch, dst + 2 * dst_pitch, dst + 3 * dst_pitch,
                   requant(sums[0][0], sums[1][0], sums[2][0], sums[3][0], q));
    else
        UNROLL (c, FIRST_COLUMNS)
            _mm512_storeu_si512(dst + c * dst_pitch, requant(sums[c][0], sums[c][1], sums[c][2], sums[c][3], q));
}

static void conv_first(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    if (layer->inputs == VRCNN_JOINT_INPUTS) {
        conv_hidden(dst, src, NULL, columns, layer, scratch);
        return;
    }
    const uint8_t *packed = layer->packed, *interleaved = scratch;
    int channel = 0;
    vrcnn_interleave(scratch, src, columns, layer->radius);
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const Requant q = requant_of(conv->shift, conv->multiplier);
        const int k = conv->kernel_size, inset = layer->radius - k / 2; /* of its window in the layer's */
        for (int vectors, o = 0; o < conv->outputs; o += LANES * vectors, channel += LANES * vectors) {
            vectors = slice_vectors(conv->outputs - o, 4);
            for (int j = 0; j < VRCNN_ROWS; j++)
                for (int x = 0; x < columns; x += FIRST_COLUMNS) {
                    uint8_t *to = dst[j] + x * layer->dst_pitch + channel;
                    const uint8_t *from = interleaved + (x + inset) * VRCNN_INTERLEAVED + inset + j;
                    const uint8_t *row = src[j + 2 * layer->radius] + x - k / 2;
                    if (vectors == 4)
                        first_block(to, layer->dst_pitch, from, row, k, 4, packed, &q);
                    else
                        first_block(to, layer->dst_pitch, from, row, k, 1, packed, &q);
                }
            packed += first_slice_size(k, vectors);
        }
    }
}

static void pack_first(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int k = conv->kernel_size;
        for (int vectors, first = 0; first < conv->outputs; first += LANES * vectors) {
            int32_t start[4 * LANES];
            vectors = slice_vectors(conv->outputs - first, 4);
            for (int o = 0; o < LANES * vectors; o++)
                start[o] = vrcnn_first_bias(bias[b][first + o], weights[b] + (first + o) * k * k, k);
            packed = pack_start(packed, vectors, start, half_of(conv->shift));
            for (int step = 0; step < vrcnn_tap_groups(k); step++)
                for (int v = 0; v < vectors; v++)
                    for (int place = 0; place < LANES; place++)
                        for (int e = 0; e < 4; e++)
                            *packed++ = vrcnn_tap_weight(weights[b] + (first + output_at(vectors, v, place)) * k * k, k, step, e);
        }
    }
}

/* ---- the last layer ---- */

/* With a single output the 16 sums of a vector are partial sums of one sample, over every 16th group of four input channels; at the end
 * they are added up, for the 16 samples of a block at once. Channels come in chunks of 64, with weights 0 for those that do not exist.
 * Packed: the bias in a vector of its own, then for every column of the kernel, every chunk, every row of the kernel: a vector. */
static int last_chunks(int inputs)
{
    return (inputs + BYTES - 1) / BYTES;
}

/* The sums of the 16 places of each of sums[row][column], in the order of rows and columns. */
INLINE __m512i add_across(__m512i sums[VRCNN_ROWS][LAST_COLUMNS])
{
    __m512i rows[VRCNN_ROWS];
    UNROLL (j, VRCNN_ROWS) { /* in each quarter of rows[j]: what is left of columns 0, 1, 2, 3 */
        const __m512i *s = sums[j];
        const __m512i left = _mm512_add_epi32(_mm512_unpacklo_epi32(s[0], s[1]), _mm512_unpackhi_epi32(s[0], s[1]));
        const __m512i right = _mm512_add_epi32(_mm512_unpacklo_epi32(s[2], s[3]), _mm512_unpackhi_epi32(s[2], s[3]));
        rows[j] = _mm512_add_epi32(_mm512_unpacklo_epi64(left, right), _mm512_unpackhi_epi64(left, right));
    }
    /* Quarters of the rows 0, 0, 1, 1 and 2, 2, 3, 3; then of the rows 0, 1, 2, 3. */
    const __m512i upper = _mm512_add_epi32(_mm512_shuffle_i32x4(rows[0], rows[1], 0x44), _mm512_shuffle_i32x4(rows[0], rows[1], 0xee));
    const __m512i lower = _mm512_add_epi32(_mm512_shuffle_i32x4(rows[2], rows[3], 0x44), _mm512_shuffle_i32x4(rows[2], rows[3], 0xee));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(upper, lower, 0x88), _mm512_shuffle_i32x4(upper, lower, 0xdd));
}

/* 4 rows of LAST_COLUMNS samples, by the same walk as in hidden_block. */
INLINE void last_block(int16_t *const *dst, const uint8_t *const *src, ptrdiff_t src_pitch, int inputs, int kernel_size,
                       const uint8_t *packed, __m512i start, const Requant *q)
{
    enum { ROWS = VRCNN_ROWS };
    const uint8_t *rows[ROWS + 4];
    __m512i sums[ROWS][LAST_COLUMNS];
    UNROLL (r, ROWS + kernel_size - 1)
        rows[r] = src[r];
    UNROLL (j, ROWS)
        UNROLL (c, LAST_COLUMNS)
            sums[j][c] = _mm512_setzero_si512();

    for (int kx = 0; kx < kernel_size; kx++)
        for (int i = 0; i < inputs; i += BYTES) {
            __m512i weights[5];
            UNROLL (ky, kernel_size)
                weights[ky] = load(packed + ky * BYTES);
            packed += kernel_size * BYTES;
            UNROLL (r, ROWS + kernel_size - 1)
                UNROLL (c, LAST_COLUMNS) {
                    const __m512i activations = load(rows[r] + (kx + c) * src_pitch + i);
                    UNROLL (j, ROWS)
                        if (j <= r && r - j < kernel_size)
                            sums[j][c] = dot(sums[j][c], activations, weights[r - j]);
                }
        }

    const __m512i total = _mm512_add_epi32(add_across(sums), start);
    const __m512i residual = pack16(total, total, q); /* in each quarter a row's four samples, twice */
    _mm_storel_epi64((__m128i *)dst[0], _mm512_castsi512_si128(residual));
    _mm_storel_epi64((__m128i *)dst[1], _mm512_extracti32x4_epi32(residual, 1));
    _mm_storel_epi64((__m128i *)dst[2], _mm512_extracti32x4_epi32(residual, 2));
    _mm_storel_epi64((__m128i *)dst[3], _mm512_extracti32x4_epi32(residual, 3));
}

static void conv_last(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int shift, int multiplier,
                      void *scratch)
{
    const uint8_t *packed = layer->packed;
    const int k = layer->conv[0].kernel_size;
    const Requant q = requant_of(shift, multiplier);
    const __m512i start = _mm512_add_epi32(load(packed), _mm512_set1_epi32(half_of(shift)));
    (void)scratch;
    packed += BYTES;
    for (int x = 0; x < columns; x += LAST_COLUMNS) {
        const uint8_t *from[VRCNN_ROWS + 4] = {NULL};
        int16_t *const to[] = {dst[0] + x, dst[1] + x, dst[2] + x, dst[3] + x};
        for (int r = 0; r < VRCNN_ROWS + k - 1; r++)
            from[r] = src[r] + (x - k / 2) * layer->src_pitch;
        switch (k) {
        case 5: last_block(to, from, layer->src_pitch, layer->inputs, 5, packed, start, &q); break;
        case 3: last_block(to, from, layer->src_pitch, layer->inputs, 3, packed, start, &q); break;
        default: last_block(to, from, layer->src_pitch, layer->inputs, 1, packed, start, &q); break;
        }
    }
}

static void pack_last(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *weights, int32_t bias)
{
    const int k = layer->conv[0].kernel_size;
    const int32_t start[LANES] = {bias, bias, bias, bias, bias, bias, bias, bias, bias, bias, bias, bias, bias, bias, bias, bias};
    packed = pack_start(packed, 1, start, 0);
    for (int kx = 0; kx < k; kx++)
        for (int chunk = 0; chunk < last_chunks(layer->inputs); chunk++)
            for (int ky = 0; ky < k; ky++)
                for (int i = chunk * BYTES; i < (chunk + 1) * BYTES; i++)
                    *packed++ = i < layer->inputs ? weights[(i * k + ky) * k + kx] : 0;
}

/* ---- a joint network's last layer ---- */

/* A head has 6 outputs, four of luma and two of chroma, and takes a vector of 8 outputs, the last two of which are anything. Each has two
 * sums in neighbouring places: of inputs 0..3 and of inputs 4..7 of every eight. At the end these are added up, and 16 values come
 * together: with one head those of two samples, with two heads those of one sample, where the heads of an output are neighbours. */

/* Which output of its branch (luma's for output 0..3 of the 8, else chroma's) is one of head's; -1: none. */
static int joint_output(int head, int output)
{
    return output < 4 ? 4 * head + output : output < 6 ? 2 * head + output - 4 : -1;
}

/* In place i of the 16 values: the output, 0..7, and the head. */
static int output_of_value(int heads, int i)
{
    return heads == 1 ? i % 8 : i / 2;
}

static int head_of_value(int heads, int i)
{
    return heads == 1 ? 0 : i % 2;
}

static size_t joint_packed_size(const VrcnnConvLayer *layer)
{
    const int k = layer->conv[0].kernel_size;
    return (size_t)BYTES * (size_t)(1 + k * k * layer->inputs / 8 * layer->heads);
}

/* Packed: the biases of the 16 values; then for every column of the kernel, every eight inputs, every row of the kernel: a vector for each
 * head. */
static void pack_joint(int8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int k = layer->conv[0].kernel_size, heads = layer->heads;
    for (int i = 0; i < LANES; i++, packed += sizeof(int32_t)) {
        const int output = output_of_value(heads, i), o = joint_output(head_of_value(heads, i), output);
        const int32_t start = o < 0 ? 0 : bias[output / 4][o];
        memcpy(packed, &start, sizeof start);
    }
    for (int kx = 0; kx < k; kx++)
        for (int i = 0; i < layer->inputs; i += 8)
            for (int ky = 0; ky < k; ky++)
                for (int head = 0; head < heads; head++)
                    for (int place = 0; place < LANES; place++)
                        for (int e = 0; e < 4; e++) {
                            const int output = place / 2, o = joint_output(head, output), input = i + place % 2 * 4 + e;
                            *packed++ = o < 0 ? 0 : weights[output / 4][((o * layer->inputs + input) * k + ky) * k + kx];
                        }
}

/* VrcnnMix in the places of the 16 values. */
typedef struct Mix {
    __m512i start, shifts;
    __m256i multipliers; /* of 16 bits */
} Mix;

static Mix mix_of(const VrcnnMix *given, int heads, const uint8_t *packed)
{
    int32_t halves[LANES], shifts[LANES];
    int16_t multipliers[LANES];
    for (int i = 0; i < LANES; i++) {
        const int is_chroma = output_of_value(heads, i) / 4;
        shifts[i] = given->shift[is_chroma];
        halves[i] = half_of(shifts[i]);
        multipliers[i] = (int16_t)given->multiplier[is_chroma][head_of_value(heads, i)];
    }
    const Mix mix = {_mm512_add_epi32(load(packed), load(halves)), load(shifts), _mm256_loadu_si256((const __m256i *)multipliers)};
    return mix;
}

/* t, 16 values, of the sums of two samples or of two heads. */
INLINE __m256i joint_values(__m512i a, __m512i b, int heads, const Mix *mix)
{
    const __m512i left = heads == 1 ? _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
                                    : _mm512_setr_epi32(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
    const __m512i right = _mm512_add_epi32(left, _mm512_set1_epi32(1));
    const __m512i sums = _mm512_add_epi32(_mm512_permutex2var_epi32(a, left, b), _mm512_permutex2var_epi32(a, right, b));
    return _mm512_cvtsepi32_epi16(_mm512_srav_epi32(_mm512_add_epi32(sums, mix->start), mix->shifts));
}

INLINE void joint_block(int16_t *const *dst, const uint8_t *const *src, ptrdiff_t src_pitch, int kernel_size, int heads,
                        const uint8_t *packed, const Mix *mix)
{
    const int columns = BLOCK / VRCNN_ROWS / heads;
    Sums sums;
    UNROLL (j, VRCNN_ROWS)
        UNROLL (c, columns)
            UNROLL (v, heads)
                sums.of[j][c][v] = _mm512_setzero_si512();
    add_windows(&sums, src, src_pitch, kernel_size, heads, 8, packed + BYTES);
    UNROLL (j, VRCNN_ROWS)
        UNROLL (i, BLOCK / VRCNN_ROWS / 2) {
            if (heads == 1) { /* two samples */
                const __m256i values = joint_values(sums.of[j][2 * i][0], sums.of[j][2 * i + 1][0], heads, mix);
                _mm256_storeu_si256((__m256i *)(dst[j] + 2 * i * VRCNN_JOINT_OUTPUTS), _mm256_mulhrs_epi16(values, mix->multipliers));
            } else {
                const __m256i values = joint_values(sums.of[j][i][0], sums.of[j][i][1], heads, mix);
                const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(values, mix->multipliers), _mm256_set1_epi32(1 << 14));
                const __m256i mixed = _mm256_srai_epi32(products, 15);
                _mm_storeu_si128((__m128i *)(dst[j] + i * VRCNN_JOINT_OUTPUTS),
                                 _mm_packs_epi32(_mm256_castsi256_si128(mixed), _mm256_extracti128_si256(mixed, 1)));
            }
        }
}

INLINE void joint_rows(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int kernel_size, int heads,
                       const Mix *mix)
{
    const int width = BLOCK / VRCNN_ROWS / heads, reach = kernel_size / 2;
    for (int x = 0; x < columns; x = next_block(x, width, columns)) {
        const uint8_t *from[VRCNN_ROWS + 4];
        int16_t *to[VRCNN_ROWS];
        for (int r = 0; r < VRCNN_ROWS + kernel_size - 1; r++)
            from[r] = src[r] + (x - reach) * layer->src_pitch;
        for (int j = 0; j < VRCNN_ROWS; j++)
            to[j] = dst[j] + x * VRCNN_JOINT_OUTPUTS;
        joint_block(to, from, layer->src_pitch, kernel_size, heads, layer->packed, mix);
    }
}

static void conv_joint(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, const VrcnnMix *given,
                       void *scratch)
{
    const Mix mix = mix_of(given, layer->heads, layer->packed);
    (void)scratch;
    switch (layer->conv[0].kernel_size * 2 + layer->heads) {
    case 5 * 2 + 2: joint_rows(dst, src, columns, layer, 5, 2, &mix); break;
    case 5 * 2 + 1: joint_rows(dst, src, columns, layer, 5, 1, &mix); break;
    case 3 * 2 + 2: joint_rows(dst, src, columns, layer, 3, 2, &mix); break;
    case 3 * 2 + 1: joint_rows(dst, src, columns, layer, 3, 1, &mix); break;
    case 1 * 2 + 2: joint_rows(dst, src, columns, layer, 1, 2, &mix); break;
    default: joint_rows(dst, src, columns, layer, 1, 1, &mix); break;
    }
}

/* ---- the table ---- */

static size_t packed_size(const VrcnnConvLayer *layer)
{
    size_t size = 0;
    if (layer->heads)
        return joint_packed_size(layer);
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = layer->conv + b;
        const int k = conv->kernel_size, widest = layer->inputs == 1 ? 4 : 2;
        if (conv->outputs == 1)
            return (size_t)BYTES * (size_t)(1 + k * k * last_chunks(layer->inputs));
        for (int vectors, o = 0; o < conv->outputs; o += LANES * vectors) {
            vectors = slice_vectors(conv->outputs - o, widest);
            size += layer->inputs == 1 ? first_slice_size(k, vectors) : hidden_slice_size(k, layer->src_pitch, vectors);
        }
    }
    return size;
}

static void pack(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    if (layer->inputs == 1)
        pack_first(packed, layer, weights, bias);
    else if (layer->heads)
        pack_joint(packed, layer, weights, bias);
    else if (layer->outputs == 1)
        pack_last(packed, layer, weights[0], bias[0][0]);
    else
        pack_hidden(packed, layer, weights, bias);
}

static size_t scratch_size(const VrcnnConvLayer *layer, int columns)
{
    return layer->inputs == 1 ? (size_t)vrcnn_interleaved_columns(columns, layer->radius) * VRCNN_INTERLEAVED : 0;
}

void vrcnn_conv_init_avx512vnni(VrcnnKernelTable *table)
{
    const VrcnnKernelTable avx512vnni = {
        .kernel = VRCNN_KERNEL_AVX512VNNI,
        .channel_multiple = 16,
        .block_columns = 0,
        .packed_size = packed_size,
        .pack = pack,
        .scratch_size = scratch_size,
        .conv_first = conv_first,
        .conv_hidden = conv_hidden,
        .conv_last = conv_last,
        .conv_joint = conv_joint,
    };
    *table = avx512vnni;
}

#endif
