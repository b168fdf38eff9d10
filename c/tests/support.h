/* What test programs and fuzz targets share: counting, randomness, networks and their files, and the specification word for word.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_TESTS_SUPPORT_H
#define VRCNN_TESTS_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#include "vrcnn/vrcnn.h"

/* ---- counting ---- */

/* Prints what failed, up to 50 times. Returns ok. */
#if defined(__GNUC__)
#if defined(__MINGW32__) /* which has Microsoft's printf beside the standard's */
__attribute__((format(gnu_printf, 4, 5)))
#else
__attribute__((format(printf, 4, 5)))
#endif
#endif
int check(int ok, const char *file, int line, const char *format, ...);
int check_error(int got, int wanted, const char *file, int line, const char *call);

#define CHECK(condition) check(!!(condition), __FILE__, __LINE__, "%s", #condition)
#define CHECK_ERROR(call, wanted) check_error((call), (wanted), __FILE__, __LINE__, #call)

/* Prints the counts; what main returns. */
int report(void);

/* malloc, or the program ends. */
void *get(size_t size);

/* ---- randomness ---- */

void seed_random(uint64_t seed);
uint32_t random_bits(void);
int between(int low, int high);

/* ---- networks ---- */

enum { MAX_BRANCHES = 4 };

typedef struct TBranch {
    int k, s1, m, inputs, outputs;
    int32_t *bias;
    int8_t *weights;
} TBranch;

typedef struct TLayer {
    int branches, outputs, added;
    TBranch branch[MAX_BRANCHES];
} TLayer;

/* is_joint, heads: set before the first branch is added; zeros are of the kind luma. */
typedef struct TNetwork {
    int qp, position, layers, is_joint, heads;
    TLayer layer[VRCNN_MAX_LAYERS];
} TNetwork;

typedef enum Weights { RANDOM_WEIGHTS, ALL_HIGH, ALL_LOW, ALTERNATING, SPARSE } Weights;
typedef enum Biases { SMALL_BIASES, MIDDLE_BIASES, HIGHEST_BIASES, LOWEST_BIASES } Biases;

size_t per_output(const TBranch *b);

/* The interval that an output's sum, without its bias, can reach. */
void sum_interval(const TBranch *b, int o, int is_first, int64_t *lo, int64_t *hi);

/* Biases that the specification allows; the highest and the lowest are the last ones that it does. */
void set_biases(TBranch *b, int is_first, Biases biases);

/* To the last layer so far, or a new one. */
void add_branch(TNetwork *n, int layer, int k, int outputs, int s1, int m, Weights weights, Biases biases);

void free_network(TNetwork *n);

/* Two layers: as few bytes as a network can have. */
TNetwork small_network(int qp, int position);
TNetwork random_network(int layers, int most_channels, Weights weights, Biases biases);

/* ---- files ---- */

typedef struct Bytes {
    uint8_t *data;
    size_t size;
} Bytes;

/* Makes size and identity those of the bytes before. */
void seal(Bytes *file);

/* A model set; the caller frees its data. */
Bytes write_set(const TNetwork *networks, int count);

/* Loads them, which must succeed. */
VrcnnModel *load(const TNetwork *networks, int count);

/* A context, which must open. */
VrcnnContext *open_context(const VrcnnModel *model, int kernel, int threads);

/* ---- the specification, word for word ---- */

int64_t floor_shift(int64_t value, int bits);
int64_t clip(int64_t low, int64_t high, int64_t value);

/* acc of one output channel; in[channel][row][column]. */
int64_t accumulate(const TBranch *b, int o, const int16_t *in, int width, int height, int x, int y);

/* The outputs of the layers before `stop`, [channel][row][column]; the caller frees. */
int16_t *reference_values(const TNetwork *n, int stop, const uint16_t *samples, int width, int height, int bit_depth);

void reference_filter(const TNetwork *n, int scale, uint16_t *out, const uint16_t *samples, int width, int height, int bit_depth);

/* ---- planes ---- */

int get_sample(const VrcnnPlane *p, int x, int y);
void set_sample(const VrcnnPlane *p, int x, int y, int value);
VrcnnConstPlane constant(const VrcnnPlane *p);
void fill_plane(const VrcnnPlane *p, const uint16_t *samples);

typedef enum Content { RANDOM_SAMPLES, ALL_ZERO, ALL_MAX, CHECKERBOARD, NARROW, CONTENTS } Content;

/* The caller frees. */
uint16_t *make_samples(int width, int height, int bit_depth, Content content);

#endif
