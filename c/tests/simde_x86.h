/* Instructions that the machine at hand may not have, for the kernels' intrinsics: AVX-512 and AVX-VNNI by SIMDe (Debian: libsimde-dev),
 * AMX's tiles by the functions below. Included before all else in those kernels by tests/simde_flags.txt; the CPU needs AVX2.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_TESTS_SIMDE_X86_H
#define VRCNN_TESTS_SIMDE_X86_H

#include <simde/x86/avx512.h>

#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the kernels ask for before they compile. */
#define __AVX512F__ 1
#define __AVX512BW__ 1
#define __AVX512VL__ 1
#define __AVX512VNNI__ 1
#define __AVXVNNI__ 1
#define __AMX_TILE__ 1
#define __AMX_INT8__ 1
#define VRCNN_EMULATED 1 /* no instructions written out as assembly */

/* ---- AVX-512, AVX-VNNI ---- */

#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32

#define __m512i simde__m512i
#undef _mm512_add_epi32
#define _mm512_add_epi32 simde_mm512_add_epi32
#undef _mm512_adds_epi8
#define _mm512_adds_epi8 simde_mm512_adds_epi8
#undef _mm512_adds_epi16
#define _mm512_adds_epi16 simde_mm512_adds_epi16
#undef _mm512_castsi128_si512
#define _mm512_castsi128_si512 simde_mm512_castsi128_si512
#undef _mm512_castsi512_si128
#define _mm512_castsi512_si128 simde_mm512_castsi512_si128
#undef _mm512_castsi512_si256
#define _mm512_castsi512_si256 simde_mm512_castsi512_si256
#undef _mm512_cvtsepi32_epi16
#define _mm512_cvtsepi32_epi16 simde_mm512_cvtsepi32_epi16
#undef _mm512_dpbusd_epi32
#define _mm512_dpbusd_epi32 simde_mm512_dpbusd_epi32
#undef _mm512_extracti32x4_epi32
#define _mm512_extracti32x4_epi32 simde_mm512_extracti32x4_epi32
#undef _mm512_extracti64x4_epi64
#define _mm512_extracti64x4_epi64 simde_mm512_extracti64x4_epi64
#undef _mm512_inserti32x4
#define _mm512_inserti32x4 simde_mm512_inserti32x4
#undef _mm512_load_si512
#define _mm512_load_si512 simde_mm512_load_si512
#undef _mm512_loadu_si512
#define _mm512_loadu_si512 simde_mm512_loadu_si512
#undef _mm512_madd_epi16
#define _mm512_madd_epi16 simde_mm512_madd_epi16
#undef _mm512_max_epi8
#define _mm512_max_epi8 simde_mm512_max_epi8
#undef _mm512_mulhrs_epi16
#define _mm512_mulhrs_epi16 simde_mm512_mulhrs_epi16
#undef _mm512_packs_epi16
#define _mm512_packs_epi16 simde_mm512_packs_epi16
#undef _mm512_packs_epi32
#define _mm512_packs_epi32 simde_mm512_packs_epi32
#undef _mm512_permutex2var_epi32
#define _mm512_permutex2var_epi32 simde_mm512_permutex2var_epi32
#undef _mm512_permutexvar_epi16
#define _mm512_permutexvar_epi16 simde_mm512_permutexvar_epi16
#undef _mm512_permutexvar_epi32
#define _mm512_permutexvar_epi32 simde_mm512_permutexvar_epi32
#undef _mm512_permutexvar_epi64
#define _mm512_permutexvar_epi64 simde_mm512_permutexvar_epi64
#undef _mm512_set1_epi16
#define _mm512_set1_epi16 simde_mm512_set1_epi16
#undef _mm512_set1_epi32
#define _mm512_set1_epi32 simde_mm512_set1_epi32
#undef _mm512_set1_epi64
#define _mm512_set1_epi64 simde_mm512_set1_epi64
#undef _mm512_set_epi16
#define _mm512_set_epi16 simde_mm512_set_epi16
#undef _mm512_setr_epi32
#define _mm512_setr_epi32 simde_mm512_setr_epi32
#undef _mm512_setr_epi64
#define _mm512_setr_epi64 simde_mm512_setr_epi64
#undef _mm512_setzero_si512
#define _mm512_setzero_si512 simde_mm512_setzero_si512
#undef _mm512_shuffle_i32x4
#define _mm512_shuffle_i32x4 simde_mm512_shuffle_i32x4
#undef _mm512_store_si512
#define _mm512_store_si512 simde_mm512_store_si512
#undef _mm512_storeu_si512
#define _mm512_storeu_si512 simde_mm512_storeu_si512
#undef _mm512_unpackhi_epi32
#define _mm512_unpackhi_epi32 simde_mm512_unpackhi_epi32
#undef _mm512_unpackhi_epi64
#define _mm512_unpackhi_epi64 simde_mm512_unpackhi_epi64
#undef _mm512_unpacklo_epi32
#define _mm512_unpacklo_epi32 simde_mm512_unpacklo_epi32
#undef _mm512_inserti64x4
#define _mm512_inserti64x4 simde_mm512_inserti64x4
#undef _mm512_castsi256_si512
#define _mm512_castsi256_si512 simde_mm512_castsi256_si512
#undef _mm512_unpacklo_epi64
#define _mm512_unpacklo_epi64 simde_mm512_unpacklo_epi64

static inline simde__m512i _mm512_cvtepu8_epi16_emulated(__m256i bytes)
{
    const __m256i halves[2] = {_mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes)),
                               _mm256_cvtepu8_epi16(_mm256_extracti128_si256(bytes, 1))};
    simde__m512i values;
    memcpy(&values, halves, sizeof values);
    return values;
}
#undef _mm512_cvtepu8_epi16
#define _mm512_cvtepu8_epi16 _mm512_cvtepu8_epi16_emulated

static inline simde__m512i _mm512_srav_epi32_emulated(simde__m512i values, simde__m512i counts)
{
    int32_t v[16], n[16];
    memcpy(v, &values, sizeof v);
    memcpy(n, &counts, sizeof n);
    for (int i = 0; i < 16; i++)
        v[i] >>= (uint32_t)n[i] > 31 ? 31 : n[i];
    memcpy(&values, v, sizeof v);
    return values;
}
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(values, count) _mm512_srav_epi32_emulated(values, simde_mm512_set1_epi32(count))
#undef _mm512_srav_epi32
#define _mm512_srav_epi32 _mm512_srav_epi32_emulated

static inline void _mm512_mask_storeu_epi8_emulated(void *to, uint64_t mask, simde__m512i values)
{
    uint8_t bytes[64];
    memcpy(bytes, &values, sizeof bytes);
    for (int i = 0; i < 64; i++)
        if (mask >> i & 1)
            ((uint8_t *)to)[i] = bytes[i];
}
#undef _mm512_mask_storeu_epi8
#define _mm512_mask_storeu_epi8 _mm512_mask_storeu_epi8_emulated

/* ---- AMX ----
 *
 * What raises #UD or #GP on the machine ends the program, and so does a product of tiles that nothing was loaded into. */

enum { EMULATED_TILES = 8, EMULATED_ROWS = 16, EMULATED_BYTES = 64 };

typedef struct EmulatedTile {
    int rows, bytes, is_loaded;
    uint8_t data[EMULATED_ROWS][EMULATED_BYTES];
} EmulatedTile;

static __thread EmulatedTile emulated_tile[EMULATED_TILES];
static __thread int emulated_palette;

static inline void emulated_trap(int wrong, const char *what)
{
    if (wrong) {
        fprintf(stderr, "AMX: %s\n", what);
        abort();
    }
}

static inline EmulatedTile *emulated_in_use(int tile)
{
    emulated_trap(!emulated_palette, "a tile is used and none is configured");
    emulated_trap(tile < 0 || tile >= EMULATED_TILES || !emulated_tile[tile].rows || !emulated_tile[tile].bytes, "no such tile");
    return emulated_tile + tile;
}

#undef _tile_loadconfig
#define _tile_loadconfig emulated_tile_loadconfig
static inline void emulated_tile_loadconfig(const void *memory)
{
    uint8_t config[64];
    memcpy(config, memory, sizeof config);
    memset(emulated_tile, 0, sizeof emulated_tile);
    emulated_palette = config[0];
    emulated_trap(config[0] > 1, "there is no such palette");
    for (int i = 1; i < 16; i++)
        emulated_trap(config[i] != 0, "the configuration has a start row, or reserved bytes that are not 0");
    for (int i = 0; i < 16; i++) {
        const int bytes = config[16 + 2 * i] + 256 * config[17 + 2 * i], rows = config[48 + i];
        emulated_trap(i >= EMULATED_TILES ? bytes || rows : bytes > EMULATED_BYTES || rows > EMULATED_ROWS || bytes % 4 || !bytes != !rows,
                      "a tile is configured with an impossible size");
        if (i < EMULATED_TILES) {
            emulated_tile[i].rows = rows;
            emulated_tile[i].bytes = bytes;
        }
    }
}

#undef _tile_release
#define _tile_release emulated_tile_release
static inline void emulated_tile_release(void)
{
    emulated_palette = 0;
}

#undef _tile_zero
#define _tile_zero emulated_tile_zero
static inline void emulated_tile_zero(int tile)
{
    EmulatedTile *t = emulated_in_use(tile);
    memset(t->data, 0, sizeof t->data);
    t->is_loaded = 1;
}

#undef _tile_loadd
#define _tile_loadd emulated_tile_loadd
static inline void emulated_tile_loadd(int tile, const void *from, ptrdiff_t stride)
{
    EmulatedTile *t = emulated_in_use(tile);
    memset(t->data, 0, sizeof t->data);
    for (int row = 0; row < t->rows; row++)
        memcpy(t->data[row], (const uint8_t *)from + row * stride, (size_t)t->bytes);
    t->is_loaded = 1;
}

#undef _tile_stored
#define _tile_stored emulated_tile_stored
static inline void emulated_tile_stored(int tile, void *to, ptrdiff_t stride)
{
    const EmulatedTile *t = emulated_in_use(tile);
    for (int row = 0; row < t->rows; row++)
        memcpy((uint8_t *)to + row * stride, t->data[row], (size_t)t->bytes);
}

/* sums += unsigned * signed, in groups of four; the sums wrap around as those of the machine do. */
#undef _tile_dpbusd
#define _tile_dpbusd emulated_tile_dpbusd
static inline void emulated_tile_dpbusd(int sums, int samples, int weights)
{
    EmulatedTile *c = emulated_in_use(sums);
    const EmulatedTile *a = emulated_in_use(samples), *b = emulated_in_use(weights);
    emulated_trap(c == a || c == b || a == b, "a product of one tile twice");
    emulated_trap(c->rows != a->rows || c->bytes != b->bytes || a->bytes != 4 * b->rows, "a product of tiles that do not fit");
    emulated_trap(!c->is_loaded || !a->is_loaded || !b->is_loaded, "a product of a tile that nothing was loaded into");
    for (int m = 0; m < c->rows; m++) {
        __m256i pairs[4]; /* two sums of each output, to be added up at the end */
        for (int i = 0; i < 4; i++)
            pairs[i] = _mm256_setzero_si256();
        for (int k = 0; k < b->rows; k++) {
            int32_t four;
            memcpy(&four, a->data[m] + 4 * k, sizeof four);
            const __m256i values = _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(four)));
            for (int i = 0; i < 4; i++) {
                const __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(b->data[k] + 16 * i)));
                pairs[i] = _mm256_add_epi32(pairs[i], _mm256_madd_epi16(values, w));
            }
        }
        for (int n = 0; n < c->bytes / 4; n++) {
            uint32_t sum, two[2];
            memcpy(&sum, c->data[m] + 4 * n, sizeof sum);
            memcpy(two, (const uint8_t *)pairs + 8 * n, sizeof two);
            sum += two[0] + two[1];
            memcpy(c->data[m] + 4 * n, &sum, sizeof sum);
        }
    }
}

#endif
