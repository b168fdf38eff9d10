/* AMX-INT8 kernels.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "../conv.h"

#if defined(__x86_64__)

#if !defined(__AMX_INT8__) || !defined(__AVX512BW__) || !defined(__AVX512VNNI__)
#error "compile this file with the flags that c/kernel_flags.txt names"
#endif

#include <immintrin.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    LINE = 64,        /* bytes in a row of a tile, and in a cache line */
    TILE = 16 * LINE, /* bytes in a tile */
    SUMS = TILE / 4   /* sums in a tile */
};

/* The compiler does not know that tile loads read memory: no store may be moved past this line. */
ALWAYS_INLINE void settle_memory(void)
{
    __asm__ volatile("" ::: "memory");
}

static int round_up(int n, int multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static void begin_amx(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {0};
    config.palette = 1;
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = LINE;
        config.rows[i] = 16;
    }
    __asm__ volatile("" ::"r"(&config) : "memory"); /* gcc 12 believes that the next line reads only the first bytes */
    _tile_loadconfig(&config);
}

static void end_amx(void)
{
    _tile_release();
}

/* ---- Requantization ---- */

typedef struct Requant {
    __m512i shift;      /* of 16 sums */
    __m512i multiplier; /* of 32 shifted sums */
} Requant;

/* 64 sums become 64 bytes. The packs work in lanes of 128 bits: lane l of the result is a[4l .. 4l + 3], then the same of b, c, d. */
ALWAYS_INLINE __m512i requantize(const int32_t *a, const int32_t *b, const int32_t *c, const int32_t *d, const Requant *q)
{
    const __m512i ab = _mm512_packs_epi32(_mm512_srav_epi32(_mm512_load_si512(a), q->shift), _mm512_srav_epi32(_mm512_load_si512(b), q->shift));
    const __m512i cd = _mm512_packs_epi32(_mm512_srav_epi32(_mm512_load_si512(c), q->shift), _mm512_srav_epi32(_mm512_load_si512(d), q->shift));
    const __m512i v = _mm512_packs_epi16(_mm512_mulhrs_epi16(ab, q->multiplier), _mm512_mulhrs_epi16(cd, q->multiplier));
    return _mm512_max_epi8(v, _mm512_setzero_si512());
}

/* ---- The first layer ---- */

typedef struct FirstUnit {
    int32_t bias[4][16];
    int32_t shift[16];
    int16_t multiplier[32];
    int8_t weights[VRCNN_ROWS][4][16][16][4];
} FirstUnit;

typedef struct FirstScratch {
    int32_t sums[3][4][SUMS];
    uint8_t nowhere[16][LINE];
    uint8_t windows[2][16][LINE];
    uint8_t columns[2][32][8];
} FirstScratch;

static size_t first_packed_size(const VrcnnConvLayer *layer)
{
    return (size_t)round_up(layer->outputs, 64) / 64 * sizeof(FirstUnit);
}

static void first_pack(FirstUnit *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    int channel = 0;
    for (int i = 0; i < layer->branches; i++) {
        const VrcnnConv *conv = &layer->conv[i];
        const int k = conv->kernel_size, inset = layer->radius - k / 2;
        for (int o = 0; o < conv->outputs; o++, channel++) {
            FirstUnit *unit = packed + channel / 64;
            const int lane = channel % 64 / 16, tile = channel % 16 / 4, column = 4 * lane + channel % 4;
            int32_t sum = 0;
            for (int ky = 0; ky < k; ky++)
                for (int kx = 0; kx < k; kx++) {
                    const int8_t w = weights[i][(o * k + ky) * k + kx];
                    sum += w;
                    for (int j = 0; j < VRCNN_ROWS; j++) {
                        const int at = (inset + kx) * 8 + inset + ky + j;
                        unit->weights[j][tile][at / 4][column][at % 4] = w;
                    }
                }
            unit->bias[tile][column] = bias[i][o] - 128 * sum + ((1 << conv->shift) >> 1);
            for (int n = 0; n < 4; n++)
                unit->shift[4 * lane + n] = conv->shift;
            for (int n = 0; n < 8; n++)
                unit->multiplier[8 * lane + n] = (int16_t)conv->multiplier;
        }
    }
}

ALWAYS_INLINE void interleave_columns(uint8_t (*columns)[8], const uint8_t *const *rows, int x)
{
    __m128i r[8], p[8], q[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm_loadu_si128((const __m128i *)(rows[i] + x));
    for (int i = 0; i < 4; i++) {
        p[i] = _mm_unpacklo_epi8(r[2 * i], r[2 * i + 1]);
        p[4 + i] = _mm_unpackhi_epi8(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        q[i] = _mm_unpacklo_epi16(p[2 * i], p[2 * i + 1]);
        q[4 + i] = _mm_unpackhi_epi16(p[2 * i], p[2 * i + 1]);
    }
    /* q: rows 0-3 of columns 0-3, rows 4-7 of columns 0-3, 0-3 of 8-11, 4-7 of 8-11, 0-3 of 4-7, 4-7 of 4-7, 0-3 of 12-15, 4-7 of 12-15. */
    for (int i = 0; i < 4; i++) {
        uint8_t(*at)[8] = columns + (i & 1) * 8 + (i >> 1) * 4;
        _mm_store_si128((__m128i *)at[0], _mm_unpacklo_epi32(q[2 * i], q[2 * i + 1]));
        _mm_store_si128((__m128i *)at[2], _mm_unpackhi_epi32(q[2 * i], q[2 * i + 1]));
    }
}

ALWAYS_INLINE void first_requantize(uint8_t *dst, ptrdiff_t pitch, int32_t (*sums)[SUMS], int first, const Requant *q)
{
    for (int i = first; i < first + 4; i++)
        _mm512_store_si512(dst + i * pitch, requantize(sums[0] + 16 * i, sums[1] + 16 * i, sums[2] + 16 * i, sums[3] + 16 * i, q));
}

ALWAYS_INLINE void first_store_sums(int32_t (*sums)[SUMS])
{
    _tile_stored(0, sums[0], LINE);
    _tile_stored(1, sums[1], LINE);
    _tile_stored(2, sums[2], LINE);
    _tile_stored(3, sums[3], LINE);
}

static void first_unit(uint8_t *const *dst, ptrdiff_t pitch, const uint8_t *const *rows, int columns, const FirstUnit *unit, FirstScratch *scratch)
{
    const Requant q = {_mm512_load_si512(unit->shift), _mm512_load_si512(unit->multiplier)};
    int32_t(*done)[SUMS] = scratch->sums[0], (*ready)[SUMS] = scratch->sums[1], (*spare)[SUMS] = scratch->sums[2];
    uint8_t *done_dst = NULL, *ready_dst = NULL;
    interleave_columns(scratch->columns[0], rows, 0);
    for (int x = 0; x < columns; x += 16) {
        interleave_columns(scratch->columns[0] + 16, rows, x + 16);
        settle_memory();
        for (int i = 0; i < 16; i++)
            _mm512_store_si512(scratch->windows[0][i], _mm512_loadu_si512(scratch->columns[0][i]));
        memcpy(scratch->columns[0][0], scratch->columns[0] + 16, 128);
        settle_memory();
        _tile_loadd(4, scratch->windows[0], LINE);
        for (int j = 0; j < VRCNN_ROWS; j++) {
            _tile_loadd(5, unit->weights[j][0], LINE);
            _tile_stored(0, done[0], LINE);
            _tile_loadd(0, unit->bias[0], 0);
            _tile_dpbusd(0, 4, 5);
            if (ready_dst)
                first_requantize(ready_dst, pitch, ready, 0, &q);
            _tile_loadd(5, unit->weights[j][1], LINE);
            _tile_stored(1, done[1], LINE);
            _tile_loadd(1, unit->bias[1], 0);
            _tile_dpbusd(1, 4, 5);
            if (ready_dst)
                first_requantize(ready_dst, pitch, ready, 4, &q);
            _tile_loadd(5, unit->weights[j][2], LINE);
            _tile_stored(2, done[2], LINE);
            _tile_loadd(2, unit->bias[2], 0);
            _tile_dpbusd(2, 4, 5);
            if (ready_dst)
                first_requantize(ready_dst, pitch, ready, 8, &q);
            _tile_loadd(5, unit->weights[j][3], LINE);
            _tile_stored(3, done[3], LINE);
            _tile_loadd(3, unit->bias[3], 0);
            _tile_dpbusd(3, 4, 5);
            if (ready_dst)
                first_requantize(ready_dst, pitch, ready, 12, &q);
            ready_dst = done_dst;
            done_dst = dst[j] + x * pitch;
            int32_t(*next)[SUMS] = ready;
            ready = done;
            done = spare;
            spare = next;
        }
    }
    first_store_sums(done);
    for (int i = 0; i < 16; i += 4)
        first_requantize(ready_dst, pitch, ready, i, &q);
    for (int i = 0; i < 16; i += 4)
        first_requantize(done_dst, pitch, done, i, &q);
}

static void conv_first_amx(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    const uint8_t *rows[8];
    for (int i = 0; i < 8; i++)
        rows[i] = src[i < VRCNN_ROWS + 2 * layer->radius ? i : 0] - layer->radius;
    const FirstUnit *unit = layer->packed;
    for (int channel = 0; channel < layer->outputs; channel += 64, unit++) {
        uint8_t *const at[VRCNN_ROWS] = {dst[0] + channel, dst[1] + channel, dst[2] + channel, dst[3] + channel};
        first_unit(at, layer->dst_pitch, rows, columns, unit, scratch);
    }
}

/* ---- Hidden layers ---- */

typedef struct HiddenUnit {
    int32_t bias[16];
    int8_t weights[][16][16][4]; /* tap, chunk of 64 inputs */
} HiddenUnit;

static size_t unit_size(const VrcnnConv *conv, int inputs)
{
    return LINE + (size_t)(conv->kernel_size * conv->kernel_size) * (size_t)(round_up(inputs, 64) / 64) * TILE;
}

static size_t hidden_packed_size(const VrcnnConvLayer *layer)
{
    size_t size = 0;
    for (int i = 0; i < layer->branches; i++)
        size += (size_t)(layer->conv[i].outputs / 16) * unit_size(&layer->conv[i], layer->inputs);
    return size;
}

static void hidden_pack(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int chunks = round_up(layer->inputs, 64) / 64;
    uint8_t *at = packed;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = &layer->conv[b];
        const int taps = conv->kernel_size * conv->kernel_size;
        for (int o = 0; o < conv->outputs; o++) {
            HiddenUnit *unit = (HiddenUnit *)(void *)(at + (size_t)(o / 16) * unit_size(conv, layer->inputs));
            unit->bias[o % 16] = bias[b][o] + ((1 << conv->shift) >> 1);
            for (int i = 0; i < layer->inputs; i++)
                for (int tap = 0; tap < taps; tap++)
                    unit->weights[tap * chunks + i / 64][i % 64 / 4][o % 16][i % 4] = weights[b][(o * layer->inputs + i) * taps + tap];
        }
        at += (size_t)(conv->outputs / 16) * unit_size(conv, layer->inputs);
    }
}

/* A block of 16 columns x 4 rows x 16 channels: its sums, and where they go. */
typedef struct Block {
    int32_t (*sums)[SUMS]; /* one tile for each row */
    uint8_t *dst[VRCNN_ROWS];
    ptrdiff_t pitch;
    Requant requant;
    int left; /* groups of four samples that are still to be requantized */
} Block;

typedef struct HiddenScratch {
    int32_t sums[3][VRCNN_ROWS][SUMS];
} HiddenScratch;

ALWAYS_INLINE void requantize_group(Block *block)
{
    const __m512i sample_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const int group = --block->left;
    const int32_t *sums = block->sums[0] + group * 64;
    uint8_t *dst = block->dst[group >> 2] + (group & 3) * 4 * block->pitch;
    const __m512i v = _mm512_permutexvar_epi32(sample_order, requantize(sums, sums + 16, sums + 32, sums + 48, &block->requant));
    _mm_store_si128((__m128i *)dst, _mm512_castsi512_si128(v));
    _mm_store_si128((__m128i *)(dst + block->pitch), _mm512_extracti32x4_epi32(v, 1));
    _mm_store_si128((__m128i *)(dst + 2 * block->pitch), _mm512_extracti32x4_epi32(v, 2));
    _mm_store_si128((__m128i *)(dst + 3 * block->pitch), _mm512_extracti32x4_epi32(v, 3));
}

ALWAYS_INLINE void requantize_groups(Block *block, int groups)
{
    for (; groups > 0 && block->left > 0; groups--)
        requantize_group(block);
}

ALWAYS_INLINE void multiply_block(const uint8_t *const *rows, int k, ptrdiff_t pitch, int chunks, const HiddenUnit *unit, Block *done, Block *ready)
{
    const int8_t(*weights)[16][16][4] = unit->weights;
    const int groups = (16 + k * k - 1) / (k * k);
    _tile_stored(0, done->sums[0], LINE);
    _tile_loadd(0, unit->bias, 0);
    _tile_stored(1, done->sums[1], LINE);
    _tile_loadd(1, unit->bias, 0);
    _tile_stored(2, done->sums[2], LINE);
    _tile_loadd(2, unit->bias, 0);
    _tile_stored(3, done->sums[3], LINE);
    _tile_loadd(3, unit->bias, 0);
    for (int ky = 0; ky < k; ky++)
        for (int kx = 0; kx < k; kx++) {
            for (int c = 0; c < chunks; c++, weights++) {
                const ptrdiff_t at = kx * pitch + c * LINE;
                _tile_loadd(7, weights, LINE);
                _tile_loadd(4, rows[ky] + at, pitch);
                _tile_dpbusd(0, 4, 7);
                _tile_loadd(5, rows[ky + 1] + at, pitch);
                _tile_dpbusd(1, 5, 7);
                _tile_loadd(4, rows[ky + 2] + at, pitch);
                _tile_dpbusd(2, 4, 7);
                _tile_loadd(5, rows[ky + 3] + at, pitch);
                _tile_dpbusd(3, 5, 7);
            }
            requantize_groups(ready, groups);
        }
}

static void conv_hidden_amx(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch_memory)
{
    HiddenScratch *scratch = scratch_memory;
    const int chunks = round_up(layer->inputs, 64) / 64;
    const ptrdiff_t pitch = layer->src_pitch;
    const uint8_t *packed = layer->packed;
    Block block[3];
    int current = 0;
    for (int i = 0; i < 3; i++) {
        block[i].sums = scratch->sums[i];
        block[i].left = 0;
    }
    int channel = 0;
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnConv *conv = &layer->conv[b];
        const int k = conv->kernel_size, inset = layer->radius - k / 2;
        const Requant requant = {_mm512_set1_epi32(conv->shift), _mm512_set1_epi16((short)conv->multiplier)};
        for (int o = 0; o < conv->outputs; o += 16, channel += 16, packed += unit_size(conv, layer->inputs)) {
            const HiddenUnit *unit = (const HiddenUnit *)(const void *)packed;
            for (int x = 0; x < columns; x += 16) {
                const uint8_t *rows[8];
                for (int i = 0; i < VRCNN_ROWS + k - 1; i++)
                    rows[i] = src[inset + i] + (x - k / 2) * pitch;
                Block *done = &block[current == 0 ? 2 : current - 1], *ready = &block[current == 2 ? 0 : current + 1];
                if (k == 5)
                    multiply_block(rows, 5, pitch, chunks, unit, done, ready);
                else if (k == 3)
                    multiply_block(rows, 3, pitch, chunks, unit, done, ready);
                else
                    multiply_block(rows, 1, pitch, chunks, unit, done, ready);
                Block *now = &block[current];
                for (int j = 0; j < VRCNN_ROWS; j++)
                    now->dst[j] = dst[j] + x * (ptrdiff_t)layer->dst_pitch + channel;
                now->pitch = layer->dst_pitch;
                now->requant = requant;
                now->left = 16;
                current = current == 2 ? 0 : current + 1;
            }
        }
    }
    Block *done = &block[current == 0 ? 2 : current - 1], *ready = &block[current == 2 ? 0 : current + 1];
    _tile_stored(0, done->sums[0], LINE);
    _tile_stored(1, done->sums[1], LINE);
    _tile_stored(2, done->sums[2], LINE);
    _tile_stored(3, done->sums[3], LINE);
    requantize_groups(ready, 16);
    requantize_groups(done, 16);
}

/* ---- The last layer ---- */

enum { LAST_COLUMNS = 64 };

typedef struct LastUnit {
    int32_t bias;
    int8_t padding[LINE - 4];
    int8_t weights[][16][16][4]; /* input row, half of the columns, chunk of 64 inputs */
} LastUnit;

typedef struct LastScratch {
    int32_t sums[2][2][16 + LAST_COLUMNS][16]; /* block, half, column, sum */
} LastScratch;

static size_t last_packed_size(const VrcnnConvLayer *layer)
{
    const int k = layer->conv[0].kernel_size, halves = k > 4 ? 2 : 1;
    return sizeof(LastUnit) + (size_t)((VRCNN_ROWS + k - 1) * halves * (round_up(layer->inputs, 64) / 64)) * TILE;
}

static void last_pack(LastUnit *unit, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int k = layer->conv[0].kernel_size, halves = k > 4 ? 2 : 1, chunks = round_up(layer->inputs, 64) / 64;
    unit->bias = bias[0][0];
    for (int row = 0; row < VRCNN_ROWS + k - 1; row++)
        for (int kx = 0; kx < k; kx++)
            for (int j = 0; j < VRCNN_ROWS; j++) {
                const int ky = row - j;
                if (ky < 0 || ky >= k)
                    continue;
                for (int i = 0; i < layer->inputs; i++)
                    unit->weights[(row * halves + kx / 4) * chunks + i / 64][i % 64 / 4][kx % 4 * 4 + j][i % 4] =
                        weights[0][(i * k + ky) * k + kx];
            }
}

typedef struct LastFinish {
    __m512i bias, shift, multiplier;
    int k;
} LastFinish;

/* Four columns: lane l has the four rows of column l. sums: those of column 0 - radius. */
ALWAYS_INLINE __m512i last_columns(int32_t (*const halves[2])[16], int at, const LastFinish *f)
{
    __m128i column[4];
    for (int i = 0; i < 4; i++) {
        column[i] = _mm_load_si128((const __m128i *)halves[0][at + i]);
        for (int kx = 1; kx < f->k; kx++)
            column[i] = _mm_add_epi32(column[i], _mm_load_si128((const __m128i *)(halves[kx / 4][at + i + kx] + kx % 4 * 4)));
    }
    __m512i v = _mm512_castsi128_si512(column[0]);
    v = _mm512_inserti32x4(v, column[1], 1);
    v = _mm512_inserti32x4(v, column[2], 2);
    v = _mm512_inserti32x4(v, column[3], 3);
    return _mm512_srav_epi32(_mm512_add_epi32(v, f->bias), f->shift);
}

/* Eight columns. */
ALWAYS_INLINE void last_finish(int16_t *const *dst, int x, int32_t (*const halves[2])[16], int at, const LastFinish *f)
{
    const __m512i row_order = _mm512_set_epi16(31, 23, 15, 7, 27, 19, 11, 3, 30, 22, 14, 6, 26, 18, 10, 2, 29, 21, 13, 5, 25, 17, 9, 1, 28, 20,
                                               12, 4, 24, 16, 8, 0);
    const __m512i t = _mm512_packs_epi32(last_columns(halves, at, f), last_columns(halves, at + 4, f));
    const __m512i r = _mm512_permutexvar_epi16(row_order, _mm512_mulhrs_epi16(t, f->multiplier));
    _mm_storeu_si128((__m128i *)(dst[0] + x), _mm512_castsi512_si128(r));
    _mm_storeu_si128((__m128i *)(dst[1] + x), _mm512_extracti32x4_epi32(r, 1));
    _mm_storeu_si128((__m128i *)(dst[2] + x), _mm512_extracti32x4_epi32(r, 2));
    _mm_storeu_si128((__m128i *)(dst[3] + x), _mm512_extracti32x4_epi32(r, 3));
}

ALWAYS_INLINE void last_multiply(int32_t (*const to[2])[16], const uint8_t *const *rows, const ptrdiff_t tile[4], const LastUnit *unit, int k,
                                 int chunks, ptrdiff_t pitch)
{
    const int halves = k > 4 ? 2 : 1;
    for (int half = 0; half < halves; half++) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int row = 0; row < VRCNN_ROWS + k - 1; row++)
            for (int c = 0; c < chunks; c++) {
                const uint8_t *s = rows[row] + c * LINE;
                _tile_loadd(7, unit->weights[(row * halves + half) * chunks + c], LINE);
                _tile_loadd(4, s + tile[0], pitch);
                _tile_dpbusd(0, 4, 7);
                _tile_loadd(5, s + tile[1], pitch);
                _tile_dpbusd(1, 5, 7);
                _tile_loadd(4, s + tile[2], pitch);
                _tile_dpbusd(2, 4, 7);
                _tile_loadd(5, s + tile[3], pitch);
                _tile_dpbusd(3, 5, 7);
            }
        _tile_stored(0, to[half][0], LINE);
        _tile_stored(1, to[half][16], LINE);
        _tile_stored(2, to[half][32], LINE);
        _tile_stored(3, to[half][48], LINE);
    }
}

ALWAYS_INLINE void last_layer(int16_t *const *dst, const uint8_t *const *rows, int columns, const VrcnnConvLayer *layer, int k,
                              const LastFinish *f, LastScratch *scratch)
{
    const int chunks = round_up(layer->inputs, 64) / 64, radius = k / 2;
    const ptrdiff_t pitch = layer->src_pitch;
    const LastUnit *unit = layer->packed;
    const int last_tile = (columns - 1) / 16 * 16 + radius;
    {
        const ptrdiff_t at = (radius - 16) * pitch;
        const ptrdiff_t tile[4] = {at, at, at, at};
        int32_t(*const to[2])[16] = {scratch->sums[0][0], scratch->sums[0][1]};
        last_multiply(to, rows, tile, unit, k, chunks, pitch);
    }
    int slot = 0;
    for (int x = 0; x < columns; x += LAST_COLUMNS, slot ^= 1) {
        ptrdiff_t tile[4];
        for (int i = 0; i < 4; i++) {
            const int at = x + radius + 16 * i;
            tile[i] = (at < last_tile ? at : last_tile) * pitch;
        }
        int32_t(*const to[2])[16] = {scratch->sums[slot][0] + 16, scratch->sums[slot][1] + 16};
        last_multiply(to, rows, tile, unit, k, chunks, pitch);
        int32_t(*const from[2])[16] = {scratch->sums[slot][0] + 16 - 2 * radius, scratch->sums[slot][1] + 16 - 2 * radius};
        for (int i = 0; i < LAST_COLUMNS && x + i < columns; i += 8)
            last_finish(dst, x + i, from, i, f);
        for (int half = 0; half < (k > 4 ? 2 : 1); half++)
            for (int i = 0; i < 2 * radius; i++)
                memcpy(scratch->sums[slot ^ 1][half][16 - 2 * radius + i], scratch->sums[slot][half][16 + LAST_COLUMNS - 2 * radius + i], LINE);
        settle_memory();
    }
}

static void conv_last_amx(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int shift, int multiplier,
                          void *scratch)
{
    const LastUnit *unit = layer->packed;
    const int k = layer->conv[0].kernel_size;
    const LastFinish f = {_mm512_set1_epi32(unit->bias + ((1 << shift) >> 1)), _mm512_set1_epi32(shift), _mm512_set1_epi16((short)multiplier),
                          k};
    const uint8_t *rows[8];
    for (int i = 0; i < VRCNN_ROWS + k - 1; i++)
        rows[i] = src[i] - (k / 2) * 0;
    if (k == 5)
        last_layer(dst, rows, columns, layer, 5, &f, scratch);
    else if (k == 3)
        last_layer(dst, rows, columns, layer, 3, &f, scratch);
    else
        last_layer(dst, rows, columns, layer, 1, &f, scratch);
}

/* ---- The table ---- */

static int is_last(const VrcnnConvLayer *layer)
{
    return layer->outputs == 1;
}

static size_t packed_size_amx(const VrcnnConvLayer *layer)
{
    return is_last(layer) ? last_packed_size(layer) : layer->inputs == 1 ? first_packed_size(layer) : hidden_packed_size(layer);
}

static void pack_amx(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    memset(packed, 0, packed_size_amx(layer));
    if (is_last(layer))
        last_pack(packed, layer, weights, bias);
    else if (layer->inputs == 1)
        first_pack(packed, layer, weights, bias);
    else
        hidden_pack(packed, layer, weights, bias);
}

static size_t scratch_size_amx(const VrcnnConvLayer *layer, int columns)
{
    (void)columns;
    return is_last(layer) ? sizeof(LastScratch) : layer->inputs == 1 ? sizeof(FirstScratch) : sizeof(HiddenScratch);
}

void vrcnn_conv_init_amx(VrcnnKernelTable *table)
{
    const VrcnnKernelTable amx = {
        .kernel = VRCNN_KERNEL_AMX,
        .channel_multiple = 64,
        .block_columns = 0,
        .begin = begin_amx,
        .end = end_amx,
        .packed_size = packed_size_amx,
        .pack = pack_amx,
        .scratch_size = scratch_size_amx,
        .conv_first = conv_first_amx,
        .conv_hidden = conv_hidden_amx,
        .conv_last = conv_last_amx,
    };
    *table = amx;
}

#endif
