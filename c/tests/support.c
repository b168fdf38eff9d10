/* What test programs and fuzz targets share.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "support.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sha256.h"

/* ---- counting ---- */

static unsigned long passed, failed;

int check(int ok, const char *file, int line, const char *format, ...)
{
    if (ok) {
        passed++;
    } else if (failed++ < 50) {
        va_list arguments;
        const char *name = strrchr(file, '/');
        va_start(arguments, format);
        printf("%s:%d: ", name ? name + 1 : file, line);
        vprintf(format, arguments);
        printf("\n");
        va_end(arguments);
    }
    return ok;
}

int check_error(int got, int wanted, const char *file, int line, const char *call)
{
    return check(got == wanted, file, line, "%s gave %d (%s), not %d", call, got, vrcnn_strerror(got), wanted);
}

int report(void)
{
    printf("%lu passed, %lu failed\n", passed, failed);
    return failed ? 1 : 0;
}

void *get(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return p;
}

/* ---- randomness ---- */

static uint64_t state;

void seed_random(uint64_t seed)
{
    state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

uint32_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

int between(int low, int high)
{
    return low + (int)(random_bits() % (uint32_t)(high - low + 1));
}
size_t per_output(const TBranch *b)
{
    return (size_t)b->inputs * (size_t)b->k * (size_t)b->k;
}

void sum_interval(const TBranch *b, int o, int is_first, int64_t *lo, int64_t *hi)
{
    *lo = *hi = 0;
    for (size_t i = 0; i < per_output(b); i++) {
        const int64_t w = b->weights[(size_t)o * per_output(b) + i], at_least = w * (is_first ? -128 : 0), at_most = w * 127;
        *lo += at_least < at_most ? at_least : at_most;
        *hi += at_least < at_most ? at_most : at_least;
    }
}

void set_biases(TBranch *b, int is_first, Biases biases)
{
    for (int o = 0; o < b->outputs; o++) {
        int64_t lo, hi;
        sum_interval(b, o, is_first, &lo, &hi);
        b->bias[o] = biases == HIGHEST_BIASES  ? (int32_t)(INT32_MAX - hi - ((INT64_C(1) << b->s1) >> 1))
                     : biases == LOWEST_BIASES ? (int32_t)(INT32_MIN - lo)
                                               : between(-1000, 1000) * (biases == MIDDLE_BIASES ? 1000 : 1);
    }
}

void add_branch(TNetwork *n, int layer, int k, int outputs, int s1, int m, Weights weights, Biases biases)
{
    TLayer *l = &n->layer[layer];
    TBranch *b = &l->branch[l->branches++];
    b->k = k, b->s1 = s1, b->m = m, b->outputs = outputs;
    b->inputs = layer ? n->layer[layer - 1].outputs : n->is_joint ? 6 : 1;
    b->bias = get((size_t)outputs * sizeof *b->bias);
    b->weights = get((size_t)outputs * per_output(b));
    l->outputs += outputs;
    if (layer >= n->layers)
        n->layers = layer + 1;
    for (size_t i = 0; i < (size_t)outputs * per_output(b); i++)
        b->weights[i] = (int8_t)(weights == ALL_HIGH      ? 127
                                 : weights == ALL_LOW     ? -127
                                 : weights == ALTERNATING ? (i & 1 ? 127 : -127)
                                 : weights == SPARSE      ? (random_bits() % 8 ? 0 : between(-127, 127))
                                                          : between(-127, 127));
    set_biases(b, layer == 0, biases);
}

void free_network(TNetwork *n)
{
    for (int l = 0; l < n->layers; l++)
        for (int b = 0; b < n->layer[l].branches; b++) {
            free(n->layer[l].branch[b].bias);
            free(n->layer[l].branch[b].weights);
        }
}

/* ---- files ---- */

static void put(Bytes *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to->data[to->size++] = (uint8_t)(value >> (8 * i));
}

void seal(Bytes *file)
{
    for (int i = 0; i < 4; i++)
        file->data[12 + i] = (uint8_t)(file->size >> (8 * i));
    vrcnn_sha256(file->data + file->size - 32, file->data, file->size - 32);
}

/* 1 if the set needs the second version of the format. */
static int is_second(const TNetwork *networks, int count)
{
    for (int n = 0; n < count; n++) {
        if (networks[n].is_joint)
            return 1;
        for (int l = 0; l < networks[n].layers; l++)
            if (networks[n].layer[l].added)
                return 1;
    }
    return 0;
}

static void put_branch(Bytes *f, const TBranch *b)
{
    put(f, (uint64_t)b->k, 1);
    put(f, (uint64_t)b->s1, 1);
    put(f, (uint64_t)b->m, 2);
    put(f, (uint64_t)b->outputs, 2);
    put(f, 0, 2);
    for (int o = 0; o < b->outputs; o++)
        put(f, (uint64_t)(int64_t)b->bias[o], 4);
    memcpy(f->data + f->size, b->weights, (size_t)b->outputs * per_output(b));
    f->size += (size_t)b->outputs * per_output(b);
}

Bytes write_set(const TNetwork *networks, int count)
{
    const int second = is_second(networks, count);
    size_t size = 16 + 32;
    for (int n = 0; n < count; n++)
        for (int l = 0; l < networks[n].layers; l++)
            for (int b = 0; b < networks[n].layer[l].branches; b++) {
                const TBranch *branch = &networks[n].layer[l].branch[b];
                size += 64 + (size_t)branch->outputs * (4 + per_output(branch));
            }
    Bytes f = {get(size), 0};
    memcpy(f.data, "VRCNNINT", 8);
    f.size = 8;
    put(&f, second ? 2 : 1, 2);
    put(&f, (uint64_t)count, 2);
    put(&f, 0, 4);
    for (int n = 0; n < count; n++) {
        put(&f, (uint64_t)(int64_t)networks[n].qp, 1);
        put(&f, (uint64_t)networks[n].position, 1);
        put(&f, (uint64_t)networks[n].layers, 1);
        if (second) {
            put(&f, (uint64_t)networks[n].is_joint, 1);
            put(&f, VRCNN_BEST, 1);
            put(&f, networks[n].is_joint ? (uint64_t)networks[n].heads : 1, 1);
        }
        put(&f, 0, second ? 2 : 1);
        for (int l = 0; l < networks[n].layers; l++) {
            put(&f, (uint64_t)networks[n].layer[l].branches, 1);
            if (second)
                put(&f, (uint64_t)networks[n].layer[l].added, 1);
            for (int i = 0; i < networks[n].layer[l].branches; i++)
                put_branch(&f, &networks[n].layer[l].branch[i]);
        }
    }
    f.size += 32;
    seal(&f);
    return f;
}

TNetwork small_network(int qp, int position)
{
    TNetwork n = {0};
    n.qp = qp;
    n.position = position;
    add_branch(&n, 0, 1, 16, 0, 2000, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&n, 1, 1, 1, 4, 800, RANDOM_WEIGHTS, SMALL_BIASES);
    return n;
}

TNetwork random_network(int layers, int most_channels, Weights weights, Biases biases)
{
    TNetwork n = {0};
    static const int sizes[3] = {1, 3, 5};
    n.qp = between(-12, 51);
    for (int l = 0; l < layers - 1; l++) {
        const int branches = between(1, most_channels / 16 < 4 ? most_channels / 16 : 4);
        for (int b = 0; b < branches; b++) {
            const int k = sizes[between(0, 2)], outputs = 16 * between(1, most_channels / 16 / branches);
            /* So that values neither vanish nor all saturate. */
            const int inputs = l ? n.layer[l - 1].outputs : 1, s1 = weights == RANDOM_WEIGHTS ? between(0, 4) : between(0, 15);
            const int m = weights == RANDOM_WEIGHTS ? 200 * between(1, 40) / (inputs / 16 + 1) + 1 : between(1, 32767);
            add_branch(&n, l, k, outputs, s1, m, weights, biases);
        }
    }
    add_branch(&n, layers - 1, sizes[between(0, 2)], 1, between(2, 15), between(512, 1023), weights, biases);
    return n;
}
VrcnnModel *load(const TNetwork *networks, int count)
{
    Bytes f = write_set(networks, count);
    VrcnnModel *model = NULL;
    CHECK_ERROR(vrcnn_model_load(&model, f.data, f.size, NULL), VRCNN_OK);
    free(f.data);
    if (!model)
        exit(2);
    return model;
}

VrcnnContext *open_context(const VrcnnModel *model, int kernel, int threads)
{
    VrcnnSettings settings;
    VrcnnContext *context = NULL;
    CHECK_ERROR(vrcnn_default_settings(&settings, sizeof settings), VRCNN_OK);
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = threads;
    CHECK_ERROR(vrcnn_open(&context, model, &settings), VRCNN_OK);
    if (!context)
        exit(2);
    return context;
}

/* ---- the specification, word for word ---- */

int64_t floor_shift(int64_t value, int bits)
{
    const int64_t divisor = INT64_C(1) << bits;
    return value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor);
}

int64_t clip(int64_t low, int64_t high, int64_t value)
{
    return value < low ? low : value > high ? high : value;
}

int64_t accumulate(const TBranch *b, int o, const int16_t *in, int width, int height, int x, int y)
{
    const int p = (b->k - 1) / 2;
    int64_t acc = b->bias[o];
    for (int i = 0; i < b->inputs; i++)
        for (int ky = 0; ky < b->k; ky++)
            for (int kx = 0; kx < b->k; kx++) {
                const int yy = y + ky - p, xx = x + kx - p;
                if (yy >= 0 && yy < height && xx >= 0 && xx < width)
                    acc += (int64_t)b->weights[((o * b->inputs + i) * b->k + ky) * b->k + kx] * in[(i * height + yy) * width + xx];
            }
    return acc;
}

int16_t *reference_values(const TNetwork *n, int stop, const uint16_t *samples, int width, int height, int bit_depth)
{
    const int area = width * height;
    int16_t *in = get((size_t)area * sizeof *in);
    for (int i = 0; i < area; i++)
        in[i] = (int16_t)(bit_depth == 8 ? samples[i] - 128
                                         : clip(0, 255, floor_shift(samples[i] + (1 << (bit_depth - 9)), bit_depth - 8)) - 128);
    for (int l = 0; l < stop; l++) {
        int16_t *out = get((size_t)(area * n->layer[l].outputs) * sizeof *out), *to = out;
        for (int i = 0; i < n->layer[l].branches; i++) {
            const TBranch *b = &n->layer[l].branch[i];
            for (int o = 0; o < b->outputs; o++)
                for (int y = 0; y < height; y++)
                    for (int x = 0; x < width; x++) {
                        const int64_t acc = accumulate(b, o, in, width, height, x, y);
                        const int64_t t = clip(-32768, 32767, floor_shift(acc + floor_shift(INT64_C(1) << b->s1, 1), b->s1));
                        *to++ = (int16_t)clip(0, 127, floor_shift(t * b->m + 16384, 15));
                    }
        }
        free(in);
        in = out;
    }
    return in;
}

void reference_filter(const TNetwork *n, int scale, uint16_t *out, const uint16_t *samples, int width, int height, int bit_depth)
{
    const TBranch *b = n->layer[n->layers - 1].branch;
    const int q = b->s1 - (bit_depth - 8);
    int16_t *in = reference_values(n, n->layers - 1, samples, width, height, bit_depth);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int64_t acc = accumulate(b, 0, in, width, height, x, y);
            const int64_t t = clip(-32768, 32767, floor_shift(acc + floor_shift(INT64_C(1) << q, 1), q));
            const int64_t r = floor_shift(t * floor_shift((int64_t)b->m * scale, 3) + 16384, 15);
            out[y * width + x] = (uint16_t)clip(0, (1 << bit_depth) - 1, samples[y * width + x] + r);
        }
    free(in);
}
/* ---- planes ---- */

static uint8_t *at(const VrcnnPlane *p, int x, int y)
{
    return (uint8_t *)p->data + y * p->stride + (ptrdiff_t)x * p->bytes_per_sample;
}

int get_sample(const VrcnnPlane *p, int x, int y)
{
    uint16_t v;
    if (p->bytes_per_sample == 1)
        return *at(p, x, y);
    memcpy(&v, at(p, x, y), sizeof v);
    return v;
}

void set_sample(const VrcnnPlane *p, int x, int y, int value)
{
    const uint16_t v = (uint16_t)value;
    if (p->bytes_per_sample == 1)
        *at(p, x, y) = (uint8_t)value;
    else
        memcpy(at(p, x, y), &v, sizeof v);
}

VrcnnConstPlane constant(const VrcnnPlane *p)
{
    const VrcnnConstPlane c = {p->data, p->stride, p->width, p->height, p->bit_depth, p->bytes_per_sample};
    return c;
}

void fill_plane(const VrcnnPlane *p, const uint16_t *samples)
{
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++)
            set_sample(p, x, y, samples[y * p->width + x]);
}

uint16_t *make_samples(int width, int height, int bit_depth, Content content)
{
    const int max = (1 << bit_depth) - 1;
    uint16_t *s = get((size_t)(width * height) * sizeof *s);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            s[y * width + x] = (uint16_t)(content == ALL_ZERO       ? 0
                                          : content == ALL_MAX      ? max
                                          : content == CHECKERBOARD ? ((x ^ y) & 1 ? max : 0)
                                          : content == NARROW       ? between(max / 2 - 8, max / 2 + 8)
                                                                    : between(0, max));
    return s;
}
