/* AMX-INT8 kernels, with AVX-512 for what is not a sum of products.
 *
 * What the instruction set offers: eight registers of 16 rows x 64 bytes, called tiles. A tile product takes 16 rows of 64 unsigned bytes
 * (here: 16 neighbouring samples, 64 channels each), and a tile of signed bytes (the weights of these 64 inputs for 16 outputs), and adds
 * to a tile of 16 x 16 sums. One row of samples, 64 bytes each, is already what a product wants: a kernel of 3 x 3 is nine products with
 * tiles that are loaded one sample, or one row, further on. In the weights' tile four inputs of one output lie side by side:
 * weights[input / 4][output][input % 4].
 *
 * What it costs (measured; VM on a Xeon): a product takes 16 cycles, whatever it multiplies, so the number of products is the limit that
 * all this is measured against; for 16 columns x 4 rows of VRCNN's layers 16 + 172 + 44 + 6 of them. A tile load takes 8 cycles of the load
 * ports (45 if its rows straddle cache lines) and a tile store 16 cycles, in which little else is issued. A store waits for the product
 * before it and holds up the products behind it, unless some four products lie between them. Hence the pattern throughout: sums leave
 * their tile just before it is wanted for other sums; they are requantized by vector instructions between the next block's products.
 * Dense products with many loads also cost clock frequency (3.8 to 3.3 GHz), so loads are saved even where there is time for them.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "../conv.h"
#include "../integers.h"

#if defined(__x86_64__)

#if !(defined(__AMX_INT8__) || defined(__AMXINT8__)) || !defined(__AVX512BW__) || !defined(__AVX512VNNI__)
#error "compile this file with the flags that c/kernel_flags.txt names"
#endif

#include <immintrin.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    TILES = 8,
    LINE = 64,       /* bytes in a row of a tile, and in a cache line */
    SUMS = 16 * 16,  /* in a tile */
    BLOCK = 16,      /* columns that are computed together: the rows of a tile */
    UNIT = 16,       /* outputs that are computed together: the columns of a tile of sums */
    GROUP = 4 * UNIT /* outputs that are requantized together: a cache line */
};

typedef int8_t WeightTile[16][UNIT][4];

/* The compiler does not know that tile loads read memory: no store of ours may be moved past this line. */
ALWAYS_INLINE void settle_memory(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Tiles of weights that the inputs of one tap fill. */
static int chunks_of(const VrcnnConvLayer *layer)
{
    return up_to_multiple(layer->inputs, LINE) / LINE;
}

/* All tiles at their full size. Smaller ones for layers of fewer inputs gain nothing. */
static void begin_amx(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {0};
    config.palette = 1;
    for (int i = 0; i < TILES; i++) {
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

/* Stores the sums of tile 0, 1, 2 or 3 (a constant) and lets new ones begin: with the bias, the same in each of the 16 rows. */
ALWAYS_INLINE void next_sums(int tile, int32_t *finished, const int32_t *bias)
{
    switch (tile) {
    case 0:
        _tile_stored(0, finished, LINE);
        _tile_loadd(0, bias, 0);
        break;
    case 1:
        _tile_stored(1, finished, LINE);
        _tile_loadd(1, bias, 0);
        break;
    case 2:
        _tile_stored(2, finished, LINE);
        _tile_loadd(2, bias, 0);
        break;
    default: _tile_stored(3, finished, LINE); _tile_loadd(3, bias, 0);
    }
}

ALWAYS_INLINE void last_sums(int32_t *finished0, int32_t *finished1, int32_t *finished2, int32_t *finished3)
{
    _tile_stored(0, finished0, LINE);
    _tile_stored(1, finished1, LINE);
    _tile_stored(2, finished2, LINE);
    _tile_stored(3, finished3, LINE);
}

/* ---- Requantization ---- */

typedef struct Requant {
    __m512i shift[4];      /* of the 16 sums in a row of each of four tiles */
    __m512i multiplier[2]; /* of the shifted sums of the first two tiles and of the others, in the order that the first packs leaves */
} Requant;

/* Trained networks have no shift: then a saturating pack is all that is left of it. */
static int has_shift(const VrcnnConvLayer *layer)
{
    int shift = 0;
    for (int i = 0; i < layer->branches; i++)
        shift |= layer->conv[i].shift;
    return shift != 0;
}

ALWAYS_INLINE __m512i shift_and_saturate(const int32_t *a, const int32_t *b, __m512i shift_a, __m512i shift_b, int shifted)
{
    const __m512i va = _mm512_load_si512(a), vb = _mm512_load_si512(b);
    return shifted ? _mm512_packs_epi32(_mm512_srav_epi32(va, shift_a), _mm512_srav_epi32(vb, shift_b)) : _mm512_packs_epi32(va, vb);
}

/* 64 sums, one row of each of four tiles, become 64 bytes. The rounding term is part of the bias. Packs work in lanes of 128 bits: lane l
 * of the result holds the sums 4l .. 4l + 3 of the first tile, then those of the second, third and fourth. */
ALWAYS_INLINE __m512i requantize(const int32_t *a, const int32_t *b, const int32_t *c, const int32_t *d, const Requant *q, int shifted)
{
    const __m512i ab = shift_and_saturate(a, b, q->shift[0], q->shift[1], shifted);
    const __m512i cd = shift_and_saturate(c, d, q->shift[2], q->shift[3], shifted);
    const __m512i v = _mm512_packs_epi16(_mm512_mulhrs_epi16(ab, q->multiplier[0]), _mm512_mulhrs_epi16(cd, q->multiplier[1]));
    return _mm512_max_epi8(v, _mm512_setzero_si512());
}

/* ---- The first layer ----
 *
 * One input channel would leave 63 of a row's 64 bytes empty. So a row of the samples' tile is a window of 8 columns x 8 picture rows,
 * stored column by column: all that the four output rows need of a column with a kernel of up to 5 x 5. The windows of neighbouring
 * columns overlap; with the picture rows interleaved bytewise they begin 8 bytes apart, and the tile load gathers them by itself. What
 * distinguishes the output rows is the weights: those of output row j are moved down by j rows in the window and zero elsewhere.
 *
 * A product makes 16 of the 64 channels for 16 columns of one row: 16 products for 16 columns x 4 rows, in each of which only 25 of 64
 * weights are not zero. There are as many tile stores, and each of these sums needs requantizing: this layer's limit is not the products
 * but the vector port that stores and packs share. Two blocks of columns share each load of weights. */

typedef struct FirstGroup {
    int32_t bias[4][UNIT]; /* less 128 * sum(w), because samples are x + 128; plus the rounding term */
    int32_t shift[UNIT];
    int16_t multiplier[2 * UNIT];
    WeightTile weights[VRCNN_ROWS][4];
} FirstGroup;

typedef struct FirstScratch {
    int32_t sums[2][2][4][SUMS]; /* row even or odd, block, tile */
    uint8_t columns[][8];        /* picture rows interleaved */
} FirstScratch;

static size_t first_scratch_size(int columns)
{
    return sizeof(FirstScratch) + (size_t)(up_to_multiple(columns, BLOCK) + BLOCK) * 8;
}

static size_t first_packed_size(const VrcnnConvLayer *layer)
{
    return (size_t)up_to_multiple(layer->outputs, GROUP) / GROUP * sizeof(FirstGroup);
}

/* Channels are dealt out to tiles such that requantize leaves them in order. A lane's 16 channels belong to one branch, so that shifts
 * and multipliers are the same for all four tiles. Outputs beyond the last one get weights of zero. */
static void first_pack(FirstGroup *groups, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    int channel = 0;
    for (int i = 0; i < layer->branches; i++) {
        const VrcnnConv *conv = &layer->conv[i];
        const int k = conv->kernel_size, inset = layer->radius - k / 2;
        for (int o = 0; o < conv->outputs; o++, channel++) {
            FirstGroup *group = groups + channel / GROUP;
            const int lane = channel % GROUP / 16, tile = channel % 16 / 4, column = 4 * lane + channel % 4;
            int32_t sum = 0;
            for (int ky = 0; ky < k; ky++)
                for (int kx = 0; kx < k; kx++) {
                    const int8_t w = weights[i][(o * k + ky) * k + kx];
                    sum += w;
                    for (int j = 0; j < VRCNN_ROWS; j++) {
                        const int at = (inset + kx) * 8 + inset + ky + j;
                        group->weights[j][tile][at / 4][column][at % 4] = w;
                    }
                }
            group->bias[tile][column] = bias[i][o] - 128 * sum + ((1 << conv->shift) >> 1);
            for (int n = 0; n < 4; n++)
                group->shift[4 * lane + n] = conv->shift;
            for (int n = 0; n < 8; n++)
                group->multiplier[8 * lane + n] = (int16_t)conv->multiplier;
        }
    }
}

/* 16 columns of 8 rows: a transposition of bytes. */
ALWAYS_INLINE void interleave_rows(uint8_t (*columns)[8], const uint8_t *const *rows, int x)
{
    __m128i r[8], pairs[8], fours[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm_loadu_si128((const __m128i *)(rows[i] + x));
    for (int i = 0; i < 4; i++) { /* rows 2i and 2i + 1: columns 0-7; columns 8-15 */
        pairs[i] = _mm_unpacklo_epi8(r[2 * i], r[2 * i + 1]);
        pairs[4 + i] = _mm_unpackhi_epi8(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) { /* even i: rows 0-3, odd i: rows 4-7; of columns 0-3 (i < 2) or 8-11; then the same 4 columns on */
        fours[i] = _mm_unpacklo_epi16(pairs[2 * i], pairs[2 * i + 1]);
        fours[4 + i] = _mm_unpackhi_epi16(pairs[2 * i], pairs[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        uint8_t (*at)[8] = columns + (i & 1) * 8 + (i >> 1) * 4;
        _mm_storeu_si128((__m128i *)at[0], _mm_unpacklo_epi32(fours[2 * i], fours[2 * i + 1]));
        _mm_storeu_si128((__m128i *)at[2], _mm_unpackhi_epi32(fours[2 * i], fours[2 * i + 1]));
    }
}

/* One row of two blocks. */
typedef struct FirstRow {
    uint8_t *dst[2];          /* NULL: none yet */
    int32_t (*sums)[4][SUMS]; /* block, tile */
} FirstRow;

/* Half a block: 8 samples. */
ALWAYS_INLINE void first_requantize(const FirstRow *row, int half, ptrdiff_t pitch, const Requant *q, int shifted)
{
    if (!row->dst[0])
        return;
    int32_t (*sums)[SUMS] = row->sums[half / 2];
    uint8_t *dst = row->dst[half / 2];
    for (int i = half % 2 * 8; i < half % 2 * 8 + 8; i++)
        _mm512_store_si512(dst + i * pitch, requantize(sums[0] + 16 * i, sums[1] + 16 * i, sums[2] + 16 * i, sums[3] + 16 * i, q, shifted));
}

/* 64 channels. Tiles 0 to 3: sums; 4 and 5: the windows of two blocks; 6 and 7: weights. */
ALWAYS_INLINE void first_group(uint8_t *const *dst, int columns, ptrdiff_t pitch, const FirstGroup *group, FirstScratch *scratch,
                               int shifted)
{
    Requant q;
    for (int i = 0; i < 4; i++)
        q.shift[i] = _mm512_load_si512(group->shift);
    q.multiplier[0] = q.multiplier[1] = _mm512_load_si512(group->multiplier);
    /* A row's sums lie in tiles until the next row's products begin, then in memory until those of the row after it are half done. */
    FirstRow previous = {{NULL, NULL}, scratch->sums[1]}, oldest = previous;
    for (int x0 = 0; x0 < columns; x0 += 2 * BLOCK) {
        const int x1 = x0 + BLOCK < columns ? x0 + BLOCK : x0; /* the last block may have to be its own neighbour */
        _tile_loadd(4, scratch->columns[x0], 8);
        _tile_loadd(5, scratch->columns[x1], 8);
        for (int j = 0; j < VRCNN_ROWS; j++) {
            const FirstRow row = {{dst[j] + x0 * pitch, dst[j] + x1 * pitch}, scratch->sums[j % 2]};
            _tile_loadd(6, group->weights[j][0], LINE);
            next_sums(0, previous.sums[0][2], group->bias[0]);
            _tile_dpbusd(0, 4, 6);
            next_sums(1, previous.sums[1][2], group->bias[0]);
            _tile_dpbusd(1, 5, 6);
            first_requantize(&oldest, 2, pitch, &q, shifted);
            _tile_loadd(7, group->weights[j][1], LINE);
            next_sums(2, previous.sums[0][3], group->bias[1]);
            _tile_dpbusd(2, 4, 7);
            next_sums(3, previous.sums[1][3], group->bias[1]);
            _tile_dpbusd(3, 5, 7);
            first_requantize(&oldest, 3, pitch, &q, shifted);
            _tile_loadd(6, group->weights[j][2], LINE);
            next_sums(0, row.sums[0][0], group->bias[2]);
            _tile_dpbusd(0, 4, 6);
            next_sums(1, row.sums[1][0], group->bias[2]);
            _tile_dpbusd(1, 5, 6);
            first_requantize(&previous, 0, pitch, &q, shifted);
            _tile_loadd(7, group->weights[j][3], LINE);
            next_sums(2, row.sums[0][1], group->bias[3]);
            _tile_dpbusd(2, 4, 7);
            next_sums(3, row.sums[1][1], group->bias[3]);
            _tile_dpbusd(3, 5, 7);
            first_requantize(&previous, 1, pitch, &q, shifted);
            oldest = previous;
            previous = row;
        }
    }
    last_sums(previous.sums[0][2], previous.sums[1][2], previous.sums[0][3], previous.sums[1][3]);
    first_requantize(&oldest, 2, pitch, &q, shifted);
    first_requantize(&oldest, 3, pitch, &q, shifted);
    for (int half = 0; half < 4; half++)
        first_requantize(&previous, half, pitch, &q, shifted);
}

static void conv_first_amx(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch_memory)
{
    FirstScratch *scratch = scratch_memory;
    const uint8_t *rows[8]; /* those that no kernel reaches meet weights of zero: any row will do */
    for (int i = 0; i < 8; i++)
        rows[i] = src[i < VRCNN_ROWS + 2 * layer->radius ? i : 0] - layer->radius;
    for (int x = 0; x < columns + BLOCK; x += BLOCK)
        interleave_rows(scratch->columns + x, rows, x);
    settle_memory();
    const FirstGroup *group = layer->packed;
    for (int channel = 0; channel < layer->outputs; channel += GROUP, group++) {
        uint8_t *const at[VRCNN_ROWS] = {dst[0] + channel, dst[1] + channel, dst[2] + channel, dst[3] + channel};
        if (has_shift(layer))
            first_group(at, columns, layer->dst_pitch, group, scratch, 1);
        else
            first_group(at, columns, layer->dst_pitch, group, scratch, 0);
    }
}

/* ---- Hidden layers ----
 *
 * A unit is 16 outputs of one branch on a block of 16 columns x 4 rows: four tiles of sums, one for each row. Layer 2 of VRCNN has three
 * units, 5x5 with 100 products and twice 3x3 with 36 each; layer 3 has one of 3x3 and two of 1x1 with 4 products. Up to four units make a
 * group of 64 channels. Block by block all units of a group are computed, one after the other, and their sums stored: 4 KB for each.
 * The next block's first unit has the group's requantization, a sample with all its channels at a time, spread over its products: then a
 * cache line is written once and as a whole, and there is never more than one block's sums to compete for the first-level cache with
 * weights (43 KB in layer 2) and samples.
 *
 * Within a unit the order is by kernel columns: three taps on top of each other are three tiles of weights and serve six rows of samples,
 * 12 products with 9 loads. Tap by tap there would be 15. */

typedef struct HiddenUnit {
    int32_t bias[UNIT];   /* with the rounding term */
    WeightTile weights[]; /* kernel column, chunk of 64 inputs, kernel row: as they are used; unused inputs have weights of zero */
} HiddenUnit;

typedef struct HiddenScratch {
    int32_t sums[4][VRCNN_ROWS][SUMS]; /* unit, row */
} HiddenScratch;

static size_t unit_size(const VrcnnConvLayer *layer, const VrcnnConv *conv)
{
    return sizeof(HiddenUnit) + (size_t)(conv->kernel_size * conv->kernel_size * chunks_of(layer)) * sizeof(WeightTile);
}

static size_t hidden_packed_size(const VrcnnConvLayer *layer)
{
    size_t size = 0;
    for (int i = 0; i < layer->branches; i++)
        size += (size_t)(layer->conv[i].outputs / UNIT) * unit_size(layer, &layer->conv[i]);
    return size;
}

/* The branch that output channel `channel` of the layer belongs to; *at: where its unit's weights are, in bytes. */
static const VrcnnConv *find_unit(const VrcnnConvLayer *layer, int channel, size_t *at)
{
    const VrcnnConv *conv = layer->conv;
    *at = 0;
    for (; channel >= conv->outputs; channel -= conv->outputs, conv++)
        *at += (size_t)(conv->outputs / UNIT) * unit_size(layer, conv);
    *at += (size_t)(channel / UNIT) * unit_size(layer, conv);
    return conv;
}

static void hidden_pack(uint8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int chunks = chunks_of(layer);
    int channel = 0;
    for (int b = 0; b < layer->branches; b++)
        for (int o = 0; o < layer->conv[b].outputs; o++, channel++) {
            size_t at;
            const VrcnnConv *conv = find_unit(layer, channel, &at);
            HiddenUnit *unit = (HiddenUnit *)(void *)(packed + at);
            const int k = conv->kernel_size;
            unit->bias[o % UNIT] = bias[b][o] + ((1 << conv->shift) >> 1);
            for (int i = 0; i < layer->inputs; i++)
                for (int ky = 0; ky < k; ky++)
                    for (int kx = 0; kx < k; kx++)
                        unit->weights[(kx * chunks + i / LINE) * k + ky][i % LINE / 4][o % UNIT][i % 4] =
                            weights[b][((o * layer->inputs + i) * k + ky) * k + kx];
        }
}

/* A block with all its sums, waiting for requantization. */
typedef struct PendingBlock {
    Requant requant;
    ptrdiff_t pitch;
    const int32_t *sums[4]; /* of each unit: 4 rows x 16 columns x 16 outputs */
    uint8_t *dst[VRCNN_ROWS];
    int next; /* of its 64 samples */
} PendingBlock;

/* `samples` divides 16. */
ALWAYS_INLINE void requantize_samples(PendingBlock *block, int samples, int shifted)
{
    /* From lanes with four channels of each unit to units with all their channels. */
    const __m512i channel_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    if (block->next == VRCNN_ROWS * BLOCK)
        return;
    const int32_t *a = block->sums[0] + block->next * UNIT, *b = block->sums[1] + block->next * UNIT;
    const int32_t *c = block->sums[2] + block->next * UNIT, *d = block->sums[3] + block->next * UNIT;
    uint8_t *dst = block->dst[block->next / BLOCK] + block->next % BLOCK * block->pitch;
    for (int i = 0; i < samples; i++, dst += block->pitch) {
        const __m512i v = requantize(a + i * UNIT, b + i * UNIT, c + i * UNIT, d + i * UNIT, &block->requant, shifted);
        _mm512_store_si512(dst, _mm512_permutexvar_epi32(channel_order, v));
    }
    block->next += samples;
}

/* What the functions below have in common. Tiles 0 to 3: sums of the four rows; 4: samples; 5 to 7: weights.
 * rows[i] + at: the samples that the uppermost tap takes for output row i.
 * finished: where the sums in the tiles go when the new unit begins with its bias; bias is NULL when it has begun. */

/* One tap: 4 products, 5 loads. */
ALWAYS_INLINE void one_tap(const uint8_t *const *rows, ptrdiff_t at, ptrdiff_t pitch, const WeightTile *weights, const int32_t *bias,
                           int32_t (*finished)[SUMS])
{
    _tile_loadd(5, weights[0], LINE);
    if (bias)
        next_sums(0, finished[0], bias);
    _tile_loadd(4, rows[0] + at, pitch);
    _tile_dpbusd(0, 4, 5);
    if (bias)
        next_sums(1, finished[1], bias);
    _tile_loadd(4, rows[1] + at, pitch);
    _tile_dpbusd(1, 4, 5);
    if (bias)
        next_sums(2, finished[2], bias);
    _tile_loadd(4, rows[2] + at, pitch);
    _tile_dpbusd(2, 4, 5);
    if (bias)
        next_sums(3, finished[3], bias);
    _tile_loadd(4, rows[3] + at, pitch);
    _tile_dpbusd(3, 4, 5);
}

/* Two taps on top of each other: 8 products, 7 loads. */
ALWAYS_INLINE void two_taps(const uint8_t *const *rows, ptrdiff_t at, ptrdiff_t pitch, const WeightTile *weights, PendingBlock *block,
                            int samples, int shifted)
{
    _tile_loadd(5, weights[0], LINE);
    _tile_loadd(4, rows[0] + at, pitch);
    _tile_dpbusd(0, 4, 5);
    _tile_loadd(6, weights[1], LINE);
    _tile_loadd(4, rows[1] + at, pitch);
    _tile_dpbusd(1, 4, 5);
    _tile_dpbusd(0, 4, 6);
    requantize_samples(block, samples, shifted);
    _tile_loadd(4, rows[2] + at, pitch);
    _tile_dpbusd(2, 4, 5);
    _tile_dpbusd(1, 4, 6);
    _tile_loadd(4, rows[3] + at, pitch);
    _tile_dpbusd(3, 4, 5);
    _tile_dpbusd(2, 4, 6);
    _tile_loadd(4, rows[4] + at, pitch);
    _tile_dpbusd(3, 4, 6);
}

/* Three taps: 12 products, 9 loads. Between a tile's last product here and its next_sums at the next unit's beginning lie at least four
 * products. */
ALWAYS_INLINE void three_taps(const uint8_t *const *rows, ptrdiff_t at, ptrdiff_t pitch, const WeightTile *weights, const int32_t *bias,
                              int32_t (*finished)[SUMS], PendingBlock *block, int samples, int shifted)
{
    if (bias)
        next_sums(0, finished[0], bias);
    _tile_loadd(5, weights[0], LINE);
    _tile_loadd(4, rows[0] + at, pitch);
    _tile_dpbusd(0, 4, 5);
    if (bias)
        next_sums(1, finished[1], bias);
    _tile_loadd(6, weights[1], LINE);
    _tile_loadd(4, rows[1] + at, pitch);
    _tile_dpbusd(1, 4, 5);
    _tile_dpbusd(0, 4, 6);
    if (bias)
        next_sums(2, finished[2], bias);
    _tile_loadd(7, weights[2], LINE);
    _tile_loadd(4, rows[2] + at, pitch);
    _tile_dpbusd(2, 4, 5);
    _tile_dpbusd(1, 4, 6);
    _tile_dpbusd(0, 4, 7);
    if (bias)
        next_sums(3, finished[3], bias);
    requantize_samples(block, samples, shifted);
    _tile_loadd(4, rows[3] + at, pitch);
    _tile_dpbusd(3, 4, 5);
    _tile_dpbusd(2, 4, 6);
    _tile_dpbusd(1, 4, 7);
    requantize_samples(block, samples, shifted);
    _tile_loadd(4, rows[4] + at, pitch);
    _tile_dpbusd(3, 4, 6);
    _tile_dpbusd(2, 4, 7);
    requantize_samples(block, samples, shifted);
    _tile_loadd(4, rows[5] + at, pitch);
    _tile_dpbusd(3, 4, 7);
}

/* Where a unit's kernel lies in the source rows. */
typedef struct UnitSource {
    const uint8_t *rows[VRCNN_ROWS + 4]; /* at the kernel's left column */
    ptrdiff_t pitch;
    int chunks; /* of 64 inputs */
} UnitSource;

/* One unit of one block, k * k * chunks * 4 products, together with all that is pending. */
ALWAYS_INLINE void multiply_unit(int k, const UnitSource *source, const HiddenUnit *unit, int32_t (*finished)[SUMS], PendingBlock *block,
                                 int shifted)
{
    /* In short bursts the vector work disturbs the products more, in long ones it begins too late to end in time: found by trying. */
    const int samples = k == 5 ? 4 : 8;
    const WeightTile *weights = unit->weights;
    const int32_t *bias = unit->bias;
    for (int kx = 0; kx < k; kx++)
        for (int chunk = 0; chunk < source->chunks; chunk++, weights += k, bias = NULL) {
            const ptrdiff_t at = kx * source->pitch + chunk * LINE;
            if (k == 1)
                one_tap(source->rows, at, source->pitch, weights, bias, finished);
            else
                three_taps(source->rows, at, source->pitch, weights, bias, finished, block, samples, shifted);
            if (k == 5)
                two_taps(source->rows + 3, at, source->pitch, weights + 3, block, samples, shifted);
        }
    while (block->next < VRCNN_ROWS * BLOCK)
        requantize_samples(block, samples, shifted);
}

/* The channels channel .. channel + 63, or as many as there are. */
ALWAYS_INLINE void hidden_group(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int channel,
                                HiddenScratch *scratch, int shifted)
{
    const int units = layer->outputs - channel < GROUP ? (layer->outputs - channel) / UNIT : 4;
    const HiddenUnit *unit[4];
    int kernel_size[4], shift[4] = {0, 0, 0, 0}, multiplier[4] = {0, 0, 0, 0};
    for (int u = 0; u < units; u++) {
        size_t at;
        const VrcnnConv *conv = find_unit(layer, channel + u * UNIT, &at);
        unit[u] = (const HiddenUnit *)(const void *)((const uint8_t *)layer->packed + at);
        kernel_size[u] = conv->kernel_size;
        shift[u] = conv->shift;
        multiplier[u] = conv->multiplier;
    }
    PendingBlock block = {.pitch = layer->dst_pitch, .next = VRCNN_ROWS * BLOCK};
    for (int u = 0; u < 4; u++) { /* units that do not exist: multiplied by zero, into the bytes between channels and pitch */
        block.sums[u] = scratch->sums[u < units ? u : 0][0];
        block.requant.shift[u] = _mm512_set1_epi32(shift[u]);
    }
    for (int i = 0; i < 2; i++)
        block.requant.multiplier[i] =
            _mm512_unpacklo_epi64(_mm512_set1_epi16((short)multiplier[2 * i]), _mm512_set1_epi16((short)multiplier[2 * i + 1]));

    UnitSource source = {.pitch = layer->src_pitch, .chunks = chunks_of(layer)};
    int32_t (*finished)[SUMS] = scratch->sums[0]; /* nobody reads what the tiles hold now */
    for (int x = 0; x < columns; x += BLOCK) {
        for (int u = 0; u < units; u++) {
            const int radius = kernel_size[u] / 2;
            for (int i = 0; i < VRCNN_ROWS + 2 * radius; i++)
                source.rows[i] = src[layer->radius - radius + i] + (x - radius) * source.pitch;
            if (kernel_size[u] == 5)
                multiply_unit(5, &source, unit[u], finished, &block, shifted);
            else if (kernel_size[u] == 3)
                multiply_unit(3, &source, unit[u], finished, &block, shifted);
            else
                multiply_unit(1, &source, unit[u], finished, &block, shifted);
            finished = scratch->sums[u];
        }
        for (int j = 0; j < VRCNN_ROWS; j++)
            block.dst[j] = dst[j] + x * block.pitch + channel;
        block.next = 0;
    }
    last_sums(finished[0], finished[1], finished[2], finished[3]);
    while (block.next < VRCNN_ROWS * BLOCK)
        requantize_samples(&block, 8, shifted);
}

static void conv_hidden_amx(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                            const VrcnnConvLayer *layer, void *scratch)
{
    (void)added;
    for (int channel = 0; channel < layer->outputs; channel += GROUP)
        if (has_shift(layer))
            hidden_group(dst, src, columns, layer, channel, scratch, 1);
        else
            hidden_group(dst, src, columns, layer, channel, scratch, 0);
}

/* ---- The last layer ----
 *
 * One output would leave 15 of a tile's 16 columns of sums empty. So column 4 * kx + j of the sums is what output row j takes through
 * kernel column kx: each source row is multiplied once, for all output rows and up to four kernel columns, and the sums of output column x
 * then lie in the rows x + kx of the tile; adding them up is vector work. A fifth kernel column needs sums of its own ("half" 1).
 * With 3 x 3 and 48 inputs these are 6 products for 16 columns x 4 rows. Four blocks share each load of weights. */

enum { LAST_COLUMNS = 4 * BLOCK, LAST_BEFORE = 4 /* columns of sums kept from the blocks before: kernel size - 1 at most */ };

typedef struct LastUnit {
    int32_t bias, padding[UNIT - 1];
    WeightTile weights[]; /* half, source row, chunk of 64 inputs */
} LastUnit;

typedef struct LastScratch {
    int32_t sums[2][LAST_BEFORE + LAST_COLUMNS][16]; /* half, column, 4 * kx + j */
} LastScratch;

static int halves_of(int kernel_size)
{
    return kernel_size > 4 ? 2 : 1;
}

static size_t last_packed_size(const VrcnnConvLayer *layer)
{
    const int k = layer->conv[0].kernel_size;
    return sizeof(LastUnit) + (size_t)((VRCNN_ROWS + k - 1) * halves_of(k) * chunks_of(layer)) * sizeof(WeightTile);
}

static void last_pack(LastUnit *unit, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int k = layer->conv[0].kernel_size, chunks = chunks_of(layer), rows = VRCNN_ROWS + k - 1;
    unit->bias = bias[0][0];
    for (int kx = 0; kx < k; kx++)
        for (int ky = 0; ky < k; ky++)
            for (int j = 0; j < VRCNN_ROWS; j++)
                for (int i = 0; i < layer->inputs; i++)
                    unit->weights[(kx / 4 * rows + ky + j) * chunks + i / LINE][i % LINE / 4][kx % 4 * 4 + j][i % 4] =
                        weights[0][(i * k + ky) * k + kx];
}

typedef struct LastFinish {
    int k;
    __m512i bias /* with the rounding term */, shift, multiplier;
} LastFinish;

/* Four output columns; lane l has the four rows of column l. sums: those that the first column takes through kernel column 0. */
ALWAYS_INLINE __m512i last_add(int32_t (*const sums[2])[16], int x, const LastFinish *f)
{
    __m128i column[4];
    for (int i = 0; i < 4; i++) {
        column[i] = _mm_load_si128((const __m128i *)sums[0][x + i]);
        for (int kx = 1; kx < f->k; kx++)
            column[i] = _mm_add_epi32(column[i], _mm_load_si128((const __m128i *)(sums[kx / 4][x + i + kx] + kx % 4 * 4)));
    }
    __m512i v = _mm512_castsi128_si512(column[0]);
    v = _mm512_inserti32x4(v, column[1], 1);
    v = _mm512_inserti32x4(v, column[2], 2);
    v = _mm512_inserti32x4(v, column[3], 3);
    return _mm512_srav_epi32(_mm512_add_epi32(v, f->bias), f->shift);
}

/* Eight output columns, from column x of dst on. */
ALWAYS_INLINE void last_finish(int16_t *const *dst, int x, LastScratch *scratch, const LastFinish *f)
{
    /* After the pack lane l has the rows of column l, then those of column l + 4. */
    const __m512i row_order = _mm512_set_epi16(31, 23, 15, 7, 27, 19, 11, 3, 30, 22, 14, 6, 26, 18, 10, 2, 29, 21, 13, 5, 25, 17, 9, 1, 28,
                                               20, 12, 4, 24, 16, 8, 0);
    const int first = LAST_BEFORE - (f->k - 1), at = x % LAST_COLUMNS;
    int32_t (*const sums[2])[16] = {scratch->sums[0] + first, scratch->sums[1] + first};
    const __m512i t = _mm512_packs_epi32(last_add(sums, at, f), last_add(sums, at + 4, f));
    const __m512i r = _mm512_permutexvar_epi16(row_order, _mm512_mulhrs_epi16(t, f->multiplier));
    _mm_storeu_si128((__m128i *)(dst[0] + x), _mm512_castsi512_si128(r));
    _mm_storeu_si128((__m128i *)(dst[1] + x), _mm512_extracti32x4_epi32(r, 1));
    _mm_storeu_si128((__m128i *)(dst[2] + x), _mm512_extracti32x4_epi32(r, 2));
    _mm_storeu_si128((__m128i *)(dst[3] + x), _mm512_extracti32x4_epi32(r, 3));
}

/* The output columns next .. end - 1 have their sums in scratch and wait to be finished. */
typedef struct LastPending {
    int next, end;
} LastPending;

ALWAYS_INLINE void last_finish_some(int16_t *const *dst, LastPending *pending, int steps, LastScratch *scratch, const LastFinish *f)
{
    for (; steps > 0 && pending->next < pending->end; steps--, pending->next += 8)
        last_finish(dst, pending->next, scratch, f);
}

/* One source row of four blocks: 4 products for each chunk of inputs, 5 loads. Tiles 0 to 3: sums of the blocks; 4 and 5: samples; 7:
 * weights. finished: as in hidden layers; NULL: go on with the sums in the tiles. */
ALWAYS_INLINE void last_row(const uint8_t *row, const ptrdiff_t block[4], ptrdiff_t pitch, const WeightTile *weights,
                            int32_t (*finished)[16])
{
    static const int32_t zeros[UNIT] __attribute__((aligned(LINE)));
    _tile_loadd(7, weights, LINE);
    if (finished)
        next_sums(0, finished[0], zeros);
    _tile_loadd(4, row + block[0], pitch);
    _tile_dpbusd(0, 4, 7);
    if (finished)
        next_sums(1, finished[BLOCK], zeros);
    _tile_loadd(5, row + block[1], pitch);
    _tile_dpbusd(1, 5, 7);
    if (finished)
        next_sums(2, finished[2 * BLOCK], zeros);
    _tile_loadd(4, row + block[2], pitch);
    _tile_dpbusd(2, 4, 7);
    if (finished)
        next_sums(3, finished[3 * BLOCK], zeros);
    _tile_loadd(5, row + block[3], pitch);
    _tile_dpbusd(3, 5, 7);
}

/* To finish output column x takes sums of the columns x - radius .. x + radius; the sums' columns are therefore those of dst moved on by
 * radius. What the first output columns need on their left is computed beforehand, by four blocks that are all the same one. */
ALWAYS_INLINE void last_layer(int16_t *const *dst, const uint8_t *const *rows, int columns, const VrcnnConvLayer *layer,
                              const LastFinish *f, LastScratch *scratch)
{
    const int k = f->k, radius = k / 2, chunks = chunks_of(layer);
    const int last_block = (columns - 1) / BLOCK * BLOCK + radius;
    const LastUnit *unit = layer->packed;
    LastPending pending = {0, 0};
    int32_t (*finished)[16] = scratch->sums[0] + LAST_BEFORE; /* nobody reads what the tiles hold now */
    for (int x = -LAST_COLUMNS; x < columns; x += LAST_COLUMNS) {
        ptrdiff_t block[4];
        for (int i = 0; i < 4; i++) {
            const int at = x < 0 ? radius - BLOCK : x + i * BLOCK + radius;
            block[i] = (at < last_block ? at : last_block) * (ptrdiff_t)layer->src_pitch;
        }
        const WeightTile *weights = unit->weights;
        for (int half = 0; half < halves_of(k); half++) {
            for (int row = 0; row < VRCNN_ROWS + k - 1; row++) {
                for (int chunk = 0; chunk < chunks; chunk++, weights++, finished = NULL)
                    last_row(rows[row] + chunk * LINE, block, layer->src_pitch, weights, finished);
                if (row > 0)
                    last_finish_some(dst, &pending, 2, scratch, f);
            }
            if (half == 0) { /* before this half's sums are stored over the old ones */
                last_finish_some(dst, &pending, LAST_COLUMNS / 8, scratch, f);
                memcpy(scratch->sums[0], scratch->sums[0] + LAST_COLUMNS, sizeof(int32_t[LAST_BEFORE][16]));
                memcpy(scratch->sums[1], scratch->sums[1] + LAST_COLUMNS, sizeof(int32_t[LAST_BEFORE][16]));
                settle_memory();
            }
            finished = scratch->sums[half] + LAST_BEFORE;
        }
        if (x >= 0) {
            pending.next = x;
            pending.end = columns - x < LAST_COLUMNS ? columns : x + LAST_COLUMNS;
        }
    }
    last_sums(finished[0], finished[BLOCK], finished[2 * BLOCK], finished[3 * BLOCK]);
    last_finish_some(dst, &pending, LAST_COLUMNS / 8, scratch, f);
}

static void conv_last_amx(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int shift,
                          int multiplier, void *scratch)
{
    const LastUnit *unit = layer->packed;
    LastFinish f = {0, _mm512_set1_epi32(unit->bias + ((1 << shift) >> 1)), _mm512_set1_epi32(shift), _mm512_set1_epi16((short)multiplier)};
    switch (layer->conv[0].kernel_size) {
    case 5:
        f.k = 5;
        last_layer(dst, src, columns, layer, &f, scratch);
        break;
    case 3:
        f.k = 3;
        last_layer(dst, src, columns, layer, &f, scratch);
        break;
    default: f.k = 1; last_layer(dst, src, columns, layer, &f, scratch);
    }
}

/* ---- The table ---- */

static int is_first(const VrcnnConvLayer *layer)
{
    return layer->inputs == 1;
}

static int is_last(const VrcnnConvLayer *layer)
{
    return layer->outputs == 1;
}

static size_t packed_size_amx(const VrcnnConvLayer *layer)
{
    return is_first(layer) ? first_packed_size(layer) : is_last(layer) ? last_packed_size(layer) : hidden_packed_size(layer);
}

static void pack_amx(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    memset(packed, 0, packed_size_amx(layer));
    if (is_first(layer))
        first_pack(packed, layer, weights, bias);
    else if (is_last(layer))
        last_pack(packed, layer, weights, bias);
    else
        hidden_pack(packed, layer, weights, bias);
}

static size_t scratch_size_amx(const VrcnnConvLayer *layer, int columns)
{
    return is_first(layer) ? first_scratch_size(columns) : is_last(layer) ? sizeof(LastScratch) : sizeof(HiddenScratch);
}

void vrcnn_conv_init_amx(VrcnnKernelTable *table)
{
    const VrcnnKernelTable amx = {
        .kernel = VRCNN_KERNEL_AMX,
        .channel_multiple = LINE, /* a sample is a row of a tile */
        .block_columns = 0,       /* whole strips: products wait for the second-level cache as little as for the first */
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
