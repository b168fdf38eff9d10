/* AMX-INT8 kernels, with AVX-512 for what is not a sum of products.
 *
 * What the instruction set offers: eight registers of 16 rows x 64 bytes, called tiles. A tile product takes 16 rows of 64 unsigned bytes
 * (here: 16 neighbouring samples, 64 channels each), and a tile of signed bytes (the weights of these 64 inputs for 16 outputs), and adds
 * to a tile of 16 x 16 sums. One row of samples, 64 bytes each, is already what a product wants: a kernel of 3 x 3 is nine products with
 * tiles that are loaded one sample, or one row, further on. In the weights' tile four inputs of one output lie side by side:
 * weights[input / 4][output][input % 4].
 *
 * What it costs (measured; VM on a Xeon): a product takes 16 cycles, whatever it multiplies, so the number of products is the limit that
 * all this is measured against; for 16 columns x 4 rows of VRCNN's layers 16 + 172 + 44 + 6 of them; of a joint network's layers of 32
 * channels, 3 x 3, 16 + 40 each + 20. A tile load takes 8 cycles of the load
 * ports (45 if its rows straddle cache lines) and a tile store 16 cycles, in which little else is issued. A store waits for the product
 * before it and holds up the products behind it, unless some four products lie between them. Hence the pattern throughout: sums leave
 * their tile just before it is wanted for other sums; they are requantized by vector instructions between the next block's products.
 * Dense products with many loads also cost clock frequency (3.8 to 3.3 GHz), so loads are saved even where there is time for them.
 *
 * What a joint network's hidden layer of 32 channels costs beyond its products (parts left out in turn; of some 970 cycles for 40
 * products, which need 640): the requantized samples' stores 110 to 140, as they miss the first-level cache; the pairs of rows 120; all
 * else of the requantization 60; what is added 110. Tried and no faster: requantization in smaller pieces or after every product; sums
 * that wait longer, in a third slot; prefetching where samples are stored or added (5 to 10 % slower).
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "../conv.h"
#include "../integers.h"

#if defined(__x86_64__) && !defined(_WIN32) /* there nobody grants the tiles, and gcc 12 has them wrong */

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

/* Samples that share a cache line: two, with up to 32 channels, else one, which has one line or more. */
static int samples_in_line(int pitch)
{
    return pitch < LINE ? 2 : 1;
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
 * of the result holds the sums 4l .. 4l + 3 of the first tile, then those of the second, third and fourth. Negative ones are left. */
ALWAYS_INLINE __m512i requantize(const int32_t *a, const int32_t *b, const int32_t *c, const int32_t *d, const Requant *q, int shifted)
{
    const __m512i ab = shift_and_saturate(a, b, q->shift[0], q->shift[1], shifted);
    const __m512i cd = shift_and_saturate(c, d, q->shift[2], q->shift[3], shifted);
    return _mm512_packs_epi16(_mm512_mulhrs_epi16(ab, q->multiplier[0]), _mm512_mulhrs_epi16(cd, q->multiplier[1]));
}

/* ---- A luma network's first layer ----
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
    for (int i = half % 2 * 8; i < half % 2 * 8 + 8; i++) {
        const __m512i any = requantize(sums[0] + 16 * i, sums[1] + 16 * i, sums[2] + 16 * i, sums[3] + 16 * i, q, shifted);
        const __m512i v = _mm512_max_epi8(any, _mm512_setzero_si512());
        if (pitch < LINE)
            _mm256_storeu_si256((__m256i *)(dst + i * pitch), _mm512_castsi512_si256(v));
        else
            _mm512_store_si512(dst + i * pitch, v);
    }
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

static void conv_luma(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, FirstScratch *scratch)
{
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
 * units, 5x5 with 100 products and twice 3x3 with 36 each; layer 3 has one of 3x3 and two of 1x1 with 4 products. Two or four units make a
 * group, of half a cache line or a whole one. Block by block all units of a group are computed, one after the other, and their sums stored:
 * 4 KB for each. The next block's first unit has the group's requantization, spread over its products: then there is never more than one
 * block's sums to compete for the first-level cache with weights (43 KB in layer 2) and samples. Where two units fill half a line they are
 * a group, and the strip is walked once for each group: with 3 x 3 and 64 inputs its weights are 18 KB then instead of 36.
 *
 * Samples of up to 32 channels lie two in a line, so two taps of a kernel's row are one product. Loads must be of whole lines to be fast;
 * so a block is 32 columns then, in two phases: the first samples of 16 lines, and the second ones. Their weights differ, so each phase
 * has groups and walks of its own, with 20 KB of weights. (If only one of src and dst has such samples, a phase is every other sample of
 * the other one.) Of a row of three taps two are in a sample's own line; the third, half a line, is put together in scratch with that of
 * the row below, once for all outputs of a group. So 3x3 takes 3 products and 2, with 288 of 320 weights not zero; as these pairs of rows
 * are the same for all output rows, an even output row has its three taps in the first pair and the upper half of the next, an odd one in
 * a lower half and the pair after it.
 *
 * Within a unit the order is by columns of lines: three taps on top of each other are three tiles of weights and serve six rows of samples,
 * 12 products with 9 loads. Tap by tap there would be 15. */

typedef struct HiddenUnit {
    int32_t bias[UNIT];   /* with the rounding term; a joint network's last layer: without */
    WeightTile weights[]; /* line, kernel row; with pairs of rows after them: pair, output rows even and odd. Unused inputs: zero */
} HiddenUnit;

enum { PAIRS = 3 /* of the six rows that 3x3 needs for four */ };

/* The third tap of a phase: of each line of a block two rows. */
typedef uint8_t PairLines[PAIRS][BLOCK][2][LINE / 2];

typedef struct HiddenScratch {
    int32_t sums[4][VRCNN_ROWS][SUMS]; /* slot, row: see Task */
    PairLines pairs[2][2];             /* of two blocks in turn; a joint network's last layer: phase */
    int32_t bias[UNIT];                /* a joint network's last layer: with the rounding term of this call */
} HiddenScratch;

/* Whether a kernel's third column of taps lies in pairs of rows. */
static int has_pairs(const VrcnnConvLayer *layer, int kernel_size)
{
    return samples_in_line(layer->src_pitch) == 2 && kernel_size == 3;
}

/* Which lines of a source row a kernel takes as they are: `count` from line `first` on, counted from the one of a block's first sample. */
typedef struct Lines {
    int first, count;
} Lines;

static Lines lines_of(const VrcnnConvLayer *layer, int kernel_size, int phase)
{
    const int radius = has_pairs(layer, kernel_size) ? 0 : kernel_size / 2, far = 16; /* lines, for a division of what is not negative */
    const int begin = (phase - radius) * layer->src_pitch + far * LINE, end = (phase + radius + 1) * layer->src_pitch + far * LINE;
    const Lines lines = {begin / LINE - far, up_to_multiple(end, LINE) / LINE - begin / LINE};
    return lines;
}

/* The same for both phases. */
static size_t unit_size(const VrcnnConvLayer *layer, const VrcnnConv *conv)
{
    const int k = conv->kernel_size, tiles = lines_of(layer, k, 0).count * k + (has_pairs(layer, k) ? 2 * 2 : 0);
    return sizeof(HiddenUnit) + (size_t)tiles * sizeof(WeightTile);
}

static size_t hidden_packed_size(const VrcnnConvLayer *layer)
{
    size_t size = 0;
    for (int i = 0; i < layer->branches; i++)
        size += (size_t)(layer->conv[i].outputs / UNIT * samples_in_line(layer->src_pitch)) * unit_size(layer, &layer->conv[i]);
    return size;
}

/* The branch that output channel `channel` of the layer belongs to; *at: where its unit for this phase is, in bytes. Each unit is there
 * for every place of a sample in its line. */
static const VrcnnConv *find_unit(const VrcnnConvLayer *layer, int channel, int phase, size_t *at)
{
    const int places = samples_in_line(layer->src_pitch);
    const VrcnnConv *conv = layer->conv;
    *at = 0;
    for (; channel >= conv->outputs; channel -= conv->outputs, conv++)
        *at += (size_t)(conv->outputs / UNIT * places) * unit_size(layer, conv);
    *at += (size_t)(channel / UNIT * places + phase % places) * unit_size(layer, conv);
    return conv;
}

/* A weight into column `column` of the tiles; in_line: which byte of a line it multiplies. */
static void pack_weight(WeightTile *tile, int in_line, int column, int8_t weight)
{
    (*tile)[in_line / 4][column][in_line % 4] = weight;
}

/* The weights of one output. */
static void pack_output(WeightTile *tiles, const VrcnnConvLayer *layer, int k, int phase, int column, const int8_t *weights)
{
    const Lines lines = lines_of(layer, k, phase);
    for (int kx = 0; kx < k; kx++)
        for (int i = 0; i < layer->inputs; i++) {
            const int at = (phase - k / 2 + kx) * layer->src_pitch + i - lines.first * LINE;
            const int is_outside = at < 0 || at >= lines.count * LINE; /* only with pairs */
            for (int ky = 0; ky < k; ky++) {
                const int8_t weight = weights[(i * k + ky) * k + kx];
                if (!is_outside)
                    pack_weight(tiles + at / LINE * k + ky, at % LINE, column, weight);
                for (int odd = 0; odd < 2 && is_outside; odd++)
                    pack_weight(tiles + k + (ky + odd) / 2 * 2 + odd, (ky + odd) % 2 * LINE / 2 + i, column, weight);
            }
        }
}

static void hidden_pack(uint8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    int channel = 0;
    for (int b = 0; b < layer->branches; b++)
        for (int o = 0; o < layer->conv[b].outputs; o++, channel++)
            for (int phase = 0; phase < samples_in_line(layer->src_pitch); phase++) {
                size_t at;
                const VrcnnConv *conv = find_unit(layer, channel, phase, &at);
                HiddenUnit *unit = (HiddenUnit *)(void *)(packed + at);
                const int per_output = layer->inputs * conv->kernel_size * conv->kernel_size;
                unit->bias[o % UNIT] = bias[b][o] + ((1 << conv->shift) >> 1);
                pack_output(unit->weights, layer, conv->kernel_size, phase, o % UNIT, weights[b] + o * per_output);
            }
}

/* What becomes of sums. */
enum {
    SHIFTED = 1 /* there are shifts */,
    ADDED = 2 /* the layer adds another one's output */,
    HALVES = 4 /* half a line for each sample: that of two units */,
    MIXED = 8 /* residuals of a joint network */
};

/* A block with all its sums, waiting to become lines of 64 bytes. */
typedef struct PendingBlock {
    Requant requant;        /* residuals: shift[0] of a sample's sums, multiplier[0] of its heads' pairs */
    ptrdiff_t step;         /* from one line to the next; residuals: 64 */
    int phases, all;        /* all: bytes or halves of lines in a row */
    const int32_t *sums[4]; /* of each slot: 4 rows x 16 columns x 16 outputs; residuals: of each phase */
    uint8_t *dst[VRCNN_ROWS];
    const uint8_t *added[VRCNN_ROWS];
    int from, to;    /* of each row what may be written: bytes, counted along its lines, or halves of lines */
    int next, lines; /* in all four rows */
} PendingBlock;

ALWAYS_INLINE int is_whole(const PendingBlock *block)
{
    return block->from == 0 && block->to == block->all;
}

/* A line, or as much of it as may be written. line: in its row. */
ALWAYS_INLINE void store_line(uint8_t *to, __m512i bytes, const PendingBlock *block, int line, int whole)
{
    const int before = larger(block->from - line * LINE, 0), after = larger((line + 1) * LINE - block->to, 0);
    if (whole)
        _mm512_storeu_si512(to, bytes);
    else if (before < LINE && after < LINE)
        _mm512_mask_storeu_epi8(to, ~UINT64_C(0) << before & ~UINT64_C(0) >> after, bytes);
}

/* The value before an addition is saturated to 8 bits, and so is the sum. That changes nothing: a value below -128 gives a negative sum,
 * as -128 does, and one above 127 a sum of 127 or more; what is added is 0..127. (It may be anything in channels that do not exist.) */
ALWAYS_INLINE void requantize_lines(PendingBlock *block, int lines, int how, int whole)
{
    /* From lanes with four channels of each unit to units with all their channels. */
    const __m512i channel_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const int32_t *a = block->sums[0] + block->next * UNIT, *b = block->sums[1] + block->next * UNIT;
    const int32_t *c = block->sums[2] + block->next * UNIT, *d = block->sums[3] + block->next * UNIT;
    const int row = block->next / BLOCK, first = block->next % BLOCK;
    uint8_t *dst = block->dst[row] + first * block->step;
    const uint8_t *added = how & ADDED ? block->added[row] + first * block->step : NULL;
    for (int i = 0; i < lines; i++, dst += block->step) {
        __m512i v = requantize(a + i * UNIT, b + i * UNIT, c + i * UNIT, d + i * UNIT, &block->requant, how & SHIFTED);
        v = _mm512_permutexvar_epi32(channel_order, v);
        if (how & ADDED)
            v = _mm512_adds_epi8(v, _mm512_loadu_si512(added + i * block->step));
        store_line(dst, _mm512_max_epi8(v, _mm512_setzero_si512()), block, first + i, whole);
    }
}

/* The residuals of two samples. The sums of both heads lie side by side: eight for luma, then four for chroma. */
ALWAYS_INLINE __m512i mix_two(const int32_t *a, const int32_t *b, const Requant *q)
{
    const __m512i sums = _mm512_madd_epi16(shift_and_saturate(a, b, q->shift[0], q->shift[0], 1), q->multiplier[0]);
    return _mm512_srai_epi32(_mm512_add_epi32(sums, _mm512_set1_epi32(1 << 14)), 15);
}

/* A line is four samples. */
ALWAYS_INLINE void mix_lines(PendingBlock *block, int lines, int whole)
{
    /* After the packs lane 0 has the first two residuals of each sample, lane 1 the next two, lane 2 those of chroma. */
    const __m512i sample_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const int in_row = block->lines / VRCNN_ROWS, phases = block->phases;
    for (int i = block->next; i < block->next + lines; i++) {
        const int row = i / in_row, line = i % in_row, at = (row * BLOCK + 4 / phases * line) * UNIT;
        const int32_t *a = block->sums[0] + at, *b = phases == 2 ? block->sums[1] + at : a + UNIT;
        const int32_t *c = a + (phases == 2 ? 1 : 2) * UNIT, *d = b + (phases == 2 ? 1 : 2) * UNIT;
        const __m512i v = _mm512_packs_epi32(mix_two(a, b, &block->requant), mix_two(c, d, &block->requant));
        store_line(block->dst[row] + line * LINE, _mm512_permutexvar_epi32(sample_order, v), block, line, whole);
    }
}

/* Two samples make a vector. */
ALWAYS_INLINE void requantize_halves(PendingBlock *block, int halves, int how, int whole)
{
    /* After the packs a lane has four channels of each unit, of the first sample and of the second. */
    const __m512i channel_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const int32_t *a = block->sums[0] + block->next * UNIT, *b = block->sums[1] + block->next * UNIT;
    const int row = block->next / BLOCK, first = block->next % BLOCK;
    uint8_t *dst = block->dst[row] + first * block->step;
    const uint8_t *added = how & ADDED ? block->added[row] + first * block->step : NULL;
    for (int i = 0; i < halves; i += 2, dst += 2 * block->step) {
        __m512i v = requantize(a + i * UNIT, b + i * UNIT, a + (i + 1) * UNIT, b + (i + 1) * UNIT, &block->requant, how & SHIFTED);
        v = _mm512_permutexvar_epi32(channel_order, v);
        if (how & ADDED) {
            const __m256i left = _mm256_loadu_si256((const __m256i *)(added + i * block->step));
            const __m256i right = _mm256_loadu_si256((const __m256i *)(added + (i + 1) * block->step));
            v = _mm512_adds_epi8(v, _mm512_inserti64x4(_mm512_castsi256_si512(left), right, 1));
        }
        v = _mm512_max_epi8(v, _mm512_setzero_si512());
        if (whole || (first + i >= block->from && first + i < block->to))
            _mm256_storeu_si256((__m256i *)dst, _mm512_castsi512_si256(v));
        if (whole || (first + i + 1 >= block->from && first + i + 1 < block->to))
            _mm256_storeu_si256((__m256i *)(dst + block->step), _mm512_extracti64x4_epi64(v, 1));
    }
}

ALWAYS_INLINE void finish(PendingBlock *block, int lines, int how, int whole)
{
    if (how & MIXED)
        mix_lines(block, lines, whole);
    else if (how & HALVES)
        requantize_halves(block, lines, how, whole);
    else
        requantize_lines(block, lines, how, whole);
}

/* For the first and last blocks of a row, of which not all may be written. */
static __attribute__((noinline)) void finish_at_edge(PendingBlock *block, int lines, int how)
{
    finish(block, lines, how, 0);
}

/* `lines` divides 16. */
ALWAYS_INLINE void finish_lines(PendingBlock *block, int lines, int how)
{
    if (block->next == block->lines)
        return;
    if (is_whole(block))
        finish(block, lines, how, 1);
    else
        finish_at_edge(block, lines, how);
    block->next += lines;
}

ALWAYS_INLINE void finish_block(PendingBlock *block, int how)
{
    while (block->next < block->lines)
        finish_lines(block, 8, how);
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
                            int lines, int how)
{
    _tile_loadd(5, weights[0], LINE);
    _tile_loadd(4, rows[0] + at, pitch);
    _tile_dpbusd(0, 4, 5);
    _tile_loadd(6, weights[1], LINE);
    _tile_loadd(4, rows[1] + at, pitch);
    _tile_dpbusd(1, 4, 5);
    _tile_dpbusd(0, 4, 6);
    finish_lines(block, lines, how);
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
                              int32_t (*finished)[SUMS], PendingBlock *block, int lines, int how)
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
    finish_lines(block, lines, how);
    _tile_loadd(4, rows[3] + at, pitch);
    _tile_dpbusd(3, 4, 5);
    _tile_dpbusd(2, 4, 6);
    _tile_dpbusd(1, 4, 7);
    finish_lines(block, lines, how);
    _tile_loadd(4, rows[4] + at, pitch);
    _tile_dpbusd(3, 4, 6);
    _tile_dpbusd(2, 4, 7);
    finish_lines(block, lines, how);
    _tile_loadd(4, rows[5] + at, pitch);
    _tile_dpbusd(3, 4, 7);
}

/* Lines that have two rows each. A pair of rows for the output rows 0 and 1, the next for 2 and 3, with weights for even ones and for odd
 * ones: 4 products, 4 loads. Tile 7: the second pair. */
ALWAYS_INLINE void pair_products(const void *upper, const void *lower, ptrdiff_t pitch, const WeightTile *weights, const int32_t *bias,
                                 int32_t (*finished)[SUMS])
{
    _tile_loadd(5, weights[0], LINE);
    if (bias)
        next_sums(0, finished[0], bias);
    _tile_loadd(4, upper, pitch);
    _tile_dpbusd(0, 4, 5);
    _tile_loadd(6, weights[1], LINE);
    if (bias)
        next_sums(1, finished[1], bias);
    _tile_dpbusd(1, 4, 6);
    if (bias)
        next_sums(2, finished[2], bias);
    _tile_loadd(7, lower, pitch);
    _tile_dpbusd(2, 7, 5);
    if (bias)
        next_sums(3, finished[3], bias);
    _tile_dpbusd(3, 7, 6);
}

/* A unit's place in a group, and what it multiplies. */
typedef struct Task {
    const int32_t *bias;
    const WeightTile *weights;
    const VrcnnConv *conv;
    ptrdiff_t at; /* from a block's first sample to the first line that the unit takes */
    int lines, phase;
    int slot; /* which quarter of the group's lines is the unit's; in a joint network's last layer, its phase */
} Task;

/* Pairs of rows for a phase of the block at column x: the sample before the first of each line, or the one after the second. */
ALWAYS_INLINE void gather_pairs(PairLines pairs, const VrcnnConvLayer *layer, const uint8_t *const *src, int x, int phase)
{
    const ptrdiff_t at = (ptrdiff_t)(x + (phase ? 2 : -1)) * layer->src_pitch;
    for (int pair = 0; pair < PAIRS; pair++) {
        const uint8_t *upper = src[layer->radius - 1 + 2 * pair] + at, *lower = src[layer->radius + 2 * pair] + at;
        for (int line = 0; line < BLOCK; line++) {
            const __m256i u = _mm256_loadu_si256((const __m256i *)(upper + line * LINE));
            const __m256i l = _mm256_loadu_si256((const __m256i *)(lower + line * LINE));
            _mm512_store_si512(pairs[pair][line], _mm512_inserti64x4(_mm512_castsi256_si512(u), l, 1));
        }
    }
    settle_memory();
}

/* One unit on the block at column x, together with all that is pending. */
ALWAYS_INLINE void multiply_unit(int k, const Task *task, const VrcnnConvLayer *layer, const uint8_t *const *src, int x, PairLines pairs,
                                 int32_t (*finished)[SUMS], PendingBlock *block, int how)
{
    /* In short bursts the vector work disturbs the products more, in long ones it begins too late to end in time: found by trying. */
    const int burst = k == 5 ? 4 : 8;
    const ptrdiff_t pitch = (ptrdiff_t)block->phases * layer->src_pitch;
    const WeightTile *weights = task->weights;
    const int32_t *bias = task->bias;
    const uint8_t *rows[VRCNN_ROWS + 4];
    for (int i = 0; i < VRCNN_ROWS + k - 1; i++)
        rows[i] = src[layer->radius - k / 2 + i] + (ptrdiff_t)x * layer->src_pitch + task->at;
    for (int line = 0; line < task->lines; line++, weights += k, bias = NULL) {
        const ptrdiff_t at = (ptrdiff_t)line * LINE;
        if (k == 1)
            one_tap(rows, at, pitch, weights, bias, finished);
        else
            three_taps(rows, at, pitch, weights, bias, finished, block, burst, how);
        if (k == 5)
            two_taps(rows + 3, at, pitch, weights + 3, block, burst, how);
    }
    if (k == 3 && pairs)
        for (int pair = 0; pair < PAIRS - 1; pair++, weights += 2) {
            finish_lines(block, 8, how);
            finish_lines(block, 8, how);
            pair_products(pairs[pair], pairs[pair + 1], LINE, weights, NULL, finished);
        }
    finish_block(block, how);
}

/* pairs: of the task's phase; NULL if the layer has none. */
ALWAYS_INLINE void run_task(const Task *task, const VrcnnConvLayer *layer, const uint8_t *const *src, int x, PairLines pairs,
                            int32_t (*finished)[SUMS], PendingBlock *block, int how)
{
    if (task->conv->kernel_size == 5)
        multiply_unit(5, task, layer, src, x, pairs, finished, block, how);
    else if (task->conv->kernel_size == 3)
        multiply_unit(3, task, layer, src, x, pairs, finished, block, how);
    else
        multiply_unit(1, task, layer, src, x, pairs, finished, block, how);
}

/* Nothing is pending yet. */
ALWAYS_INLINE PendingBlock no_block(int phases, int step, int lines, int all)
{
    const PendingBlock block = {.phases = phases, .step = step, .all = all, .next = lines, .lines = lines};
    return block;
}

static int phases_of(const VrcnnConvLayer *layer)
{
    return larger(samples_in_line(layer->src_pitch), samples_in_line(layer->dst_pitch));
}

/* The blocks of a call with two phases begin where lines do, at column 0 or before it. */
static int first_block(int phases, const uint8_t *row)
{
    return phases == 2 && (uintptr_t)row % LINE == LINE / 2 ? -1 : 0;
}

/* The block after the one at x. One of 32 columns begins 16 earlier if so many are left, or it would read beyond VRCNN_SLACK. */
static int next_block(int x, int phases, int columns)
{
    x += phases * BLOCK;
    return phases == 2 && x < columns && x + BLOCK >= columns ? x - BLOCK : x;
}

static void set_requant(Requant *requant, const int shift[4], const int multiplier[4])
{
    for (int i = 0; i < 4; i++)
        requant->shift[i] = _mm512_set1_epi32(shift[i]);
    for (int i = 0; i < 2; i++)
        requant->multiplier[i] =
            _mm512_unpacklo_epi64(_mm512_set1_epi16((short)multiplier[2 * i]), _mm512_set1_epi16((short)multiplier[2 * i + 1]));
}

/* The units of a group: two or four, of one phase. Returns how many of them there are. */
static int group_tasks(Task *tasks, PendingBlock *block, const VrcnnConvLayer *layer, int channel, int phase, int units,
                       HiddenScratch *scratch)
{
    int count = 0, shift[4] = {0, 0, 0, 0}, multiplier[4] = {0, 0, 0, 0};
    for (int slot = 0; slot < units; slot++, channel += UNIT) {
        /* Units that do not exist: multiplied by zero, into the bytes between channels and pitch. */
        block->sums[slot] = scratch->sums[channel < layer->outputs ? slot : 0][0];
        if (channel >= layer->outputs)
            continue;
        size_t at;
        const VrcnnConv *conv = find_unit(layer, channel, phase, &at);
        const HiddenUnit *unit = (const HiddenUnit *)(const void *)((const uint8_t *)layer->packed + at);
        const Lines lines = lines_of(layer, conv->kernel_size, phase);
        const Task task = {unit->bias, unit->weights, conv, (ptrdiff_t)lines.first * LINE, lines.count, phase, slot};
        tasks[count++] = task;
        for (int of = slot; of < 4; of += units) {
            shift[of] = conv->shift;
            multiplier[of] = conv->multiplier;
        }
    }
    set_requant(&block->requant, shift, multiplier);
    return count;
}

/* The group's sums of the block at column x wait from now on. */
ALWAYS_INLINE void await_block(PendingBlock *block, uint8_t *const *dst, const uint8_t *const *added, const VrcnnConvLayer *layer, int x,
                               int channel)
{
    const ptrdiff_t at = (ptrdiff_t)x * layer->dst_pitch + channel;
    for (int j = 0; j < VRCNN_ROWS; j++) {
        block->dst[j] = dst[j] + at;
        block->added[j] = added ? added[j] + at : NULL;
    }
    block->next = 0;
}

static int layer_has_pairs(const VrcnnConvLayer *layer)
{
    for (int b = 0; b < layer->branches; b++)
        if (has_pairs(layer, layer->conv[b].kernel_size))
            return 1;
    return 0;
}

/* 64 channels of one phase, or as many as there are; HALVES: 32. */
ALWAYS_INLINE void hidden_group(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                                const VrcnnConvLayer *layer, int channel, int phase, HiddenScratch *scratch, int how)
{
    const int phases = phases_of(layer), end = up_to_multiple(columns, VRCNN_COLUMNS), piece = how & HALVES ? 1 : LINE;
    PendingBlock block = no_block(phases, phases * layer->dst_pitch, VRCNN_ROWS * BLOCK, BLOCK * piece);
    Task tasks[4];
    const int count = group_tasks(tasks, &block, layer, channel, phase, how & HALVES ? 2 : 4, scratch), pairs = layer_has_pairs(layer);
    int32_t (*finished)[SUMS] = scratch->sums[0]; /* nobody reads what the tiles hold now */
    int x = first_block(phases, samples_in_line(layer->dst_pitch) == 2 ? dst[0] : src[0]), turn = 0;
    if (pairs)
        gather_pairs(scratch->pairs[turn][0], layer, src, x, phase);
    while (x < columns) {
        const int next = next_block(x, phases, columns);
        for (const Task *task = tasks; task < tasks + count; task++) {
            run_task(task, layer, src, x, pairs ? scratch->pairs[turn][0] : NULL, finished, &block, how);
            finished = scratch->sums[task->slot];
            if (pairs && task == tasks && next < columns)
                gather_pairs(scratch->pairs[1 - turn][0], layer, src, next, phase);
        }
        await_block(&block, dst, added, layer, x + phase, channel);
        block.from = x + phase < 0 ? piece : 0;
        block.to = smaller(BLOCK, (end - x - phase + phases - 1) / phases) * piece;
        x = next;
        turn = 1 - turn;
    }
    last_sums(finished[0], finished[1], finished[2], finished[3]);
    finish_block(&block, how);
}

/* Groups of 32 channels, where no half of a line is without any, as their weights and sums leave room in the first-level cache. */
ALWAYS_INLINE void hidden_layer(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                                const VrcnnConvLayer *layer, HiddenScratch *scratch, int how)
{
    const int halves = layer->dst_pitch < LINE || layer->outputs % (2 * UNIT) == 0;
    for (int channel = 0; channel < layer->outputs; channel += halves ? 2 * UNIT : GROUP)
        for (int phase = 0; phase < phases_of(layer); phase++)
            if (halves)
                hidden_group(dst, src, added, columns, layer, channel, phase, scratch, how | HALVES);
            else
                hidden_group(dst, src, added, columns, layer, channel, phase, scratch, how);
}

static void conv_hidden_amx(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                            const VrcnnConvLayer *layer, void *scratch)
{
    if (added && has_shift(layer))
        hidden_layer(dst, src, added, columns, layer, scratch, ADDED | SHIFTED);
    else if (added)
        hidden_layer(dst, src, added, columns, layer, scratch, ADDED);
    else if (has_shift(layer))
        hidden_layer(dst, src, NULL, columns, layer, scratch, SHIFTED);
    else
        hidden_layer(dst, src, NULL, columns, layer, scratch, 0);
}

/* ---- A joint network's first layer ----
 *
 * A site has eight bytes, six of which are inputs. For a kernel of 3 x 3 a row of a tile would have to be three pieces of 24 bytes; what
 * fits is two picture rows of four sites. These lines are put together in scratch, for each pair of rows and each column: one load and one
 * store for each makes sixteen tile loads fast. The output rows 0 and 2 find the rows of their window in pairs from the first of the one
 * or the other on, 1 and 3 from the second, so there are weights for even rows and for odd ones: of a kernel of 3 x 3 two tiles each. A
 * fifth kernel column is that of the line four columns further on.
 *
 * With 3 x 3 a unit has 8 products, with 54 of 128 weights not zero. All that follows is as in hidden layers. */

enum { SITES_PAIRS = (VRCNN_ROWS + 4) / 2, SITES_COLUMNS = 2 * BLOCK + 4 /* that a block needs lines of */ };

typedef struct SitesUnit {
    int32_t bias[UNIT];      /* less 128 * sum(w), because samples are x + 128; plus the rounding term */
    WeightTile weights[][2]; /* group of four columns, pair of rows; output rows even, odd */
} SitesUnit;

typedef struct SitesScratch {
    int32_t sums[4][VRCNN_ROWS][SUMS];                   /* slot, row */
    uint8_t lines[2][SITES_PAIRS][SITES_COLUMNS][2][32]; /* of two blocks in turn: pair, column, row */
} SitesScratch;

static int column_groups(const VrcnnConvLayer *layer)
{
    return layer->radius == 2 ? 2 : 1;
}

static size_t sites_unit_size(const VrcnnConvLayer *layer)
{
    return sizeof(SitesUnit) + (size_t)(column_groups(layer) * (layer->radius + 1) * 2) * sizeof(WeightTile);
}

static size_t sites_packed_size(const VrcnnConvLayer *layer)
{
    return (size_t)(layer->outputs / UNIT) * sites_unit_size(layer);
}

static void sites_pack(uint8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    int channel = 0;
    for (int b = 0; b < layer->branches; b++)
        for (int o = 0; o < layer->conv[b].outputs; o++, channel++) {
            const int k = layer->conv[b].kernel_size, inset = layer->radius - k / 2;
            SitesUnit *unit = (SitesUnit *)(void *)(packed + (size_t)(channel / UNIT) * sites_unit_size(layer));
            int32_t sum = 0;
            for (int at = 0; at < layer->inputs * k * k; at++) {
                const int8_t w = weights[b][o * layer->inputs * k * k + at];
                const int input = at / (k * k), row = inset + at / k % k, column = inset + at % k;
                sum += w;
                for (int odd = 0; odd < 2; odd++) {
                    const int in_line = (row + odd) % 2 * 32 + column % 4 * VRCNN_JOINT_PITCH + input;
                    unit->weights[column / 4 * (layer->radius + 1) + (row + odd) / 2][odd][in_line / 4][o % UNIT][in_line % 4] = w;
                }
            }
            unit->bias[o % UNIT] = bias[b][o] - 128 * sum + ((1 << layer->conv[b].shift) >> 1);
        }
}

/* The lines of the block at column x. */
ALWAYS_INLINE void sites_lines(uint8_t (*lines)[SITES_COLUMNS][2][32], const uint8_t *const *src, int x, int phases,
                               const VrcnnConvLayer *layer)
{
    const int columns = phases * BLOCK + (column_groups(layer) - 1) * 4;
    for (int pair = 0; pair < layer->radius + 2; pair++) {
        const uint8_t *upper = src[2 * pair] + (ptrdiff_t)(x - layer->radius) * VRCNN_JOINT_PITCH;
        const uint8_t *lower = src[2 * pair + 1] + (ptrdiff_t)(x - layer->radius) * VRCNN_JOINT_PITCH;
        for (int i = 0; i < columns; i++) {
            const __m256i u = _mm256_loadu_si256((const __m256i *)(upper + (ptrdiff_t)i * VRCNN_JOINT_PITCH));
            const __m256i l = _mm256_loadu_si256((const __m256i *)(lower + (ptrdiff_t)i * VRCNN_JOINT_PITCH));
            _mm512_store_si512(lines[pair][i][0], _mm512_inserti64x4(_mm512_castsi256_si512(u), l, 1));
        }
    }
    settle_memory();
}

/* One unit on one block, whose phase it is, together with all that is pending. */
ALWAYS_INLINE void sites_unit(uint8_t (*lines)[SITES_COLUMNS][2][32], int phase, const SitesUnit *unit, const VrcnnConvLayer *layer,
                              int32_t (*finished)[SUMS], PendingBlock *block, int how)
{
    const ptrdiff_t pitch = (ptrdiff_t)block->phases * LINE;
    const int32_t *bias = unit->bias;
    const WeightTile(*weights)[2] = unit->weights;
    for (int group = 0; group < column_groups(layer); group++)
        for (int pair = 0; pair <= layer->radius; pair++, weights++, bias = NULL) {
            const int column = phase + 4 * group;
            pair_products(lines[pair][column], lines[pair + 1][column], pitch, *weights, bias, finished);
            finish_lines(block, 16, how);
            finish_lines(block, 16, how);
        }
    finish_block(block, how);
}

typedef struct SitesTask {
    const SitesUnit *unit;
    int phase, slot;
} SitesTask;

/* The units of a group of 64 channels, or of both phases' channels. Returns their number. */
static int sites_tasks(SitesTask *tasks, PendingBlock *block, const VrcnnConvLayer *layer, int channel, SitesScratch *scratch)
{
    int count = 0, shift[4] = {0, 0, 0, 0}, multiplier[4] = {0, 0, 0, 0};
    for (int slot = 0; slot < 4; slot++) {
        const int own_channel = channel + (block->phases == 2 ? slot % 2 : slot) * UNIT;
        block->sums[slot] = scratch->sums[own_channel < layer->outputs ? slot : 0][0];
        if (own_channel >= layer->outputs)
            continue;
        const uint8_t *unit = (const uint8_t *)layer->packed + (size_t)(own_channel / UNIT) * sites_unit_size(layer);
        const VrcnnConv *conv = layer->conv;
        for (int c = own_channel; c >= conv->outputs; conv++)
            c -= conv->outputs;
        const SitesTask task = {(const SitesUnit *)(const void *)unit, block->phases == 2 ? slot / 2 : 0, slot};
        tasks[count++] = task;
        shift[slot] = conv->shift;
        multiplier[slot] = conv->multiplier;
    }
    set_requant(&block->requant, shift, multiplier);
    return count;
}

ALWAYS_INLINE void sites_group(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int channel,
                               SitesScratch *scratch, int how)
{
    const int phases = samples_in_line(layer->dst_pitch), end = up_to_multiple(columns, VRCNN_COLUMNS);
    PendingBlock block = no_block(phases, phases * layer->dst_pitch, VRCNN_ROWS * BLOCK, BLOCK * LINE);
    SitesTask tasks[4];
    const int count = sites_tasks(tasks, &block, layer, channel, scratch);
    int32_t (*finished)[SUMS] = scratch->sums[0]; /* nobody reads what the tiles hold now */
    int x = first_block(phases, dst[0]), half = 0;
    sites_lines(scratch->lines[half], src, x, phases, layer);
    while (x < columns) {
        const int next = next_block(x, phases, columns);
        for (const SitesTask *task = tasks; task < tasks + count; task++) {
            sites_unit(scratch->lines[half], task->phase, task->unit, layer, finished, &block, how);
            finished = scratch->sums[task->slot];
            if (task == tasks && next < columns)
                sites_lines(scratch->lines[1 - half], src, next, phases, layer);
        }
        await_block(&block, dst, NULL, layer, x, channel);
        block.from = larger(-x, 0) * layer->dst_pitch;
        block.to = phases == 2 ? smaller(2 * BLOCK, end - x) * layer->dst_pitch : BLOCK * LINE;
        x = next;
        half = 1 - half;
    }
    last_sums(finished[0], finished[1], finished[2], finished[3]);
    finish_block(&block, how);
}

static void conv_sites(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, SitesScratch *scratch)
{
    for (int channel = 0; channel < layer->outputs; channel += GROUP)
        if (has_shift(layer))
            sites_group(dst, src, columns, layer, channel, scratch, SHIFTED);
        else
            sites_group(dst, src, columns, layer, channel, scratch, 0);
}

/* ---- A luma network's last layer ----
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

/* ---- A joint network's last layer ----
 *
 * One unit, of which up to 12 outputs are used: those of both branches, whose kernels have one size. Output 2 * j + h of the unit is luma
 * output j of head h, output 8 + 2 * c + h is Cb's or Cr's: so a multiply-add of pairs mixes two heads, or takes one head alone. */

static size_t mix_packed_size(const VrcnnConvLayer *layer)
{
    return (size_t)samples_in_line(layer->src_pitch) * unit_size(layer, layer->conv);
}

static const HiddenUnit *mix_unit(const VrcnnConvLayer *layer, const void *packed, int phase)
{
    return (const HiddenUnit *)(const void *)((const uint8_t *)packed + (size_t)phase * unit_size(layer, layer->conv));
}

static void mix_pack(uint8_t *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    const int k = layer->conv->kernel_size;
    for (int phase = 0; phase < samples_in_line(layer->src_pitch); phase++) {
        HiddenUnit *unit = (HiddenUnit *)(void *)(packed + (size_t)phase * unit_size(layer, layer->conv));
        for (int b = 0; b < 2; b++)
            for (int o = 0; o < layer->conv[b].outputs; o++) {
                const int in_head = layer->conv[b].outputs / layer->heads, column = 8 * b + o % in_head * 2 + o / in_head;
                unit->bias[column] = bias[b][o];
                pack_output(unit->weights, layer, k, phase, column, weights[b] + o * layer->inputs * k * k);
            }
    }
}

/* The block's shifts and multipliers, and the sums that all begin with. */
static void prepare_mix(Requant *requant, int32_t *begin, const VrcnnConvLayer *layer, const VrcnnMix *mix)
{
    int32_t shift[UNIT] __attribute__((aligned(LINE))) = {0};
    int16_t multiplier[2 * UNIT] __attribute__((aligned(LINE))) = {0};
    const HiddenUnit *unit = mix_unit(layer, layer->packed, 0);
    for (int i = 0; i < UNIT; i++) {
        shift[i] = mix->shift[i / 8];
        begin[i] = unit->bias[i] + ((1 << shift[i]) >> 1);
    }
    for (int i = 0; i < 2 * UNIT; i++) /* lanes of eight: two samples' four sums each */
        multiplier[i] = (int16_t)(i % 2 < layer->heads ? mix->multiplier[i / UNIT][i % 2] : 0);
    requant->shift[0] = _mm512_load_si512(shift);
    requant->multiplier[0] = _mm512_load_si512(multiplier);
    settle_memory();
}

static void conv_joint_amx(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, const VrcnnMix *mix,
                           void *scratch_memory)
{
    HiddenScratch *scratch = scratch_memory;
    const int phases = samples_in_line(layer->src_pitch), end = up_to_multiple(columns, VRCNN_COLUMNS);
    const int sample = VRCNN_JOINT_OUTPUTS * (int)sizeof **dst, pairs = layer_has_pairs(layer);
    PendingBlock block = no_block(phases, LINE, VRCNN_ROWS * phases * BLOCK * sample / LINE, phases * BLOCK * sample);
    int32_t (*finished)[SUMS] = scratch->sums[0]; /* nobody reads what the tiles hold now */
    Task tasks[2];
    prepare_mix(&block.requant, scratch->bias, layer, mix);
    for (int phase = 0; phase < phases; phase++) {
        const Lines lines = lines_of(layer, layer->conv->kernel_size, phase);
        const HiddenUnit *unit = mix_unit(layer, layer->packed, phase);
        const Task task = {scratch->bias, unit->weights, layer->conv, (ptrdiff_t)lines.first * LINE, lines.count, phase, phase};
        tasks[phase] = task;
        block.sums[phase] = scratch->sums[phase][0];
    }
    int x = first_block(phases, src[0]), turn = 0;
    for (int phase = 0; phase < phases && pairs; phase++)
        gather_pairs(scratch->pairs[turn][phase], layer, src, x, phase);
    while (x < columns) {
        const int next = next_block(x, phases, columns);
        for (const Task *task = tasks; task < tasks + phases; task++) {
            run_task(task, layer, src, x, pairs ? scratch->pairs[turn][task->phase] : NULL, finished, &block, MIXED);
            finished = scratch->sums[task->slot];
            if (pairs && next < columns)
                gather_pairs(scratch->pairs[1 - turn][task->phase], layer, src, next, task->phase);
        }
        for (int j = 0; j < VRCNN_ROWS; j++)
            block.dst[j] = (uint8_t *)dst[j] + (ptrdiff_t)x * sample;
        block.from = larger(-x, 0) * sample;
        block.to = smaller(phases * BLOCK, end - x) * sample;
        block.next = 0;
        x = next;
        turn = 1 - turn;
    }
    last_sums(finished[0], finished[1], finished[2], finished[3]);
    finish_block(&block, MIXED);
}

/* ---- The table ---- */

typedef enum Kind { FIRST, SITES, HIDDEN, LAST, MIX } Kind;

static Kind kind_of(const VrcnnConvLayer *layer)
{
    return layer->heads ? MIX : layer->outputs == 1 ? LAST : layer->inputs == 1 ? FIRST : layer->inputs < UNIT ? SITES : HIDDEN;
}

static size_t packed_size_amx(const VrcnnConvLayer *layer)
{
    switch (kind_of(layer)) {
    case FIRST: return first_packed_size(layer);
    case SITES: return sites_packed_size(layer);
    case HIDDEN: return hidden_packed_size(layer);
    case LAST: return last_packed_size(layer);
    default: return mix_packed_size(layer);
    }
}

static void pack_amx(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias)
{
    memset(packed, 0, packed_size_amx(layer));
    switch (kind_of(layer)) {
    case FIRST: first_pack(packed, layer, weights, bias); break;
    case SITES: sites_pack(packed, layer, weights, bias); break;
    case HIDDEN: hidden_pack(packed, layer, weights, bias); break;
    case LAST: last_pack(packed, layer, weights, bias); break;
    default: mix_pack(packed, layer, weights, bias);
    }
}

static size_t scratch_size_amx(const VrcnnConvLayer *layer, int columns)
{
    switch (kind_of(layer)) {
    case FIRST: return first_scratch_size(columns);
    case SITES: return sizeof(SitesScratch);
    case LAST: return sizeof(LastScratch);
    default: return sizeof(HiddenScratch);
    }
}

static void conv_first_amx(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch)
{
    if (layer->inputs == 1)
        conv_luma(dst, src, columns, layer, scratch);
    else
        conv_sites(dst, src, columns, layer, scratch);
}

void vrcnn_conv_init_amx(VrcnnKernelTable *table)
{
    const VrcnnKernelTable amx = {
        .kernel = VRCNN_KERNEL_AMX,
        .channel_multiple = LINE, /* a sample is a row of a tile, */
        .least_pitch = LINE / 2,  /* or half of one */
        .block_columns = 0,       /* whole strips: products wait for the second-level cache as little as for the first */
        .begin = begin_amx,
        .end = end_amx,
        .packed_size = packed_size_amx,
        .pack = pack_amx,
        .scratch_size = scratch_size_amx,
        .conv_first = conv_first_amx,
        .conv_hidden = conv_hidden_amx,
        .conv_last = conv_last_amx,
        .conv_joint = conv_joint_amx,
    };
    *table = amx;
}

#endif
