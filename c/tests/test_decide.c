/* Tests of the encoder's decision: test_decide [SEED]. What a decision says is done again with the library's filters and compared sample by
 * sample, and its cost computed again.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocations.h"
#include "support.h"

/* 0 .. below - 1. */
static int draw(int below)
{
    return between(0, below - 1);
}

/* ---- pictures ---- */

enum { WIDTH = 208, HEIGHT = 136, SAMPLES = WIDTH * HEIGHT, BLOCKS = (WIDTH / 8) * (HEIGHT / 8) };

static uint16_t original[SAMPLES], source[SAMPLES], base[SAMPLES], result[SAMPLES], again[SAMPLES];
static uint8_t kept[BLOCKS];

static VrcnnConstPlane reading(const uint16_t *samples, int bit_depth)
{
    const VrcnnConstPlane plane = {samples, WIDTH * 2, WIDTH, HEIGHT, bit_depth, 2};
    return plane;
}

static VrcnnPlane writing(uint16_t *samples, int bit_depth)
{
    const VrcnnPlane plane = {samples, WIDTH * 2, WIDTH, HEIGHT, bit_depth, 2};
    return plane;
}

static uint16_t sample(int value, int bit_depth)
{
    return (uint16_t)clip(0, (1 << bit_depth) - 1, value);
}

/* Waves and edges as an original; coarse steps as what coding leaves of it, and that with noise as deblocked. */
static void make_picture(int bit_depth, int coarse)
{
    const int unit = 1 << (bit_depth - 8), period = 5 + draw(40);
    for (int i = 0; i < SAMPLES; i++) {
        const int x = i % WIDTH, y = i / WIDTH;
        const int value = 128 + (x * y / period) % 50 - 25 + (x / 29 + y / 17) % 2 * 30 + draw(5) - 2;
        original[i] = sample(value * unit, bit_depth);
        const int step = 1 + coarse * unit;
        source[i] = sample(original[i] / step * step + step / 2 + draw(3) - 1, bit_depth);
        base[i] = sample(source[i] + draw(9) - 4, bit_depth);
    }
}

static double squared_error(const uint16_t *a, const uint16_t *b)
{
    double sum = 0;
    for (int i = 0; i < SAMPLES; i++)
        sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static VrcnnDecisionInput input_of(int bit_depth, double lambda)
{
    VrcnnDecisionInput input = {0};
    input.original = reading(original, bit_depth);
    input.source = reading(source, bit_depth);
    input.base = reading(base, bit_depth);
    input.qp = 32;
    input.map = 1;
    input.lambda = lambda;
    input.ordinary_cost = squared_error(base, original);
    return input;
}

/* ---- tests ---- */

static VrcnnModel *model;
static VrcnnContext *context;
static VrcnnDecider *decider;

/* Whether the decision's bytes say what it says, its samples are those that a decoder makes of them, and its cost is theirs. */
static void verify(const VrcnnDecisionInput *input, const VrcnnDecision *decision, int bit_depth)
{
    static uint8_t unit[VRCNN_MAX_UNITS];
    VrcnnSideinfo read;
    CHECK_ERROR(vrcnn_sideinfo_parse(&read, unit, sizeof unit, decision->data, decision->size, input->is_irap, WIDTH, HEIGHT), VRCNN_OK);
    CHECK(read.mode == decision->info.mode && read.has_identity == input->is_irap);
    const double rate = input->lambda * 8 * (double)decision->size;
    if (read.mode == VRCNN_MODE_OFF) {
        CHECK(decision->cost == input->ordinary_cost + rate && decision->unit == NULL);
        return;
    }
    CHECK(read.position == input->position && decision->info.position == input->position);
    for (int i = 0; i < read.networks; i++) {
        VrcnnNetworkInfo network;
        CHECK_ERROR(vrcnn_model_network_info(model, read.index[i], &network), VRCNN_OK);
        CHECK(network.position == input->position);
    }
    const VrcnnConstPlane src = reading(source, bit_depth);
    const VrcnnPlane dst = writing(again, bit_depth);
    memcpy(again, base, sizeof again);
    if (read.mode == VRCNN_MODE_ALL) {
        CHECK_ERROR(vrcnn_filter_picture(context, read.index[0], read.scale, &dst, &src), VRCNN_OK);
    } else {
        VrcnnUnits units = {read.unit_size, read.networks, {0}, read.scale, unit};
        memcpy(units.index, read.index, sizeof units.index);
        CHECK(input->map && decision->unit != NULL);
        CHECK_ERROR(vrcnn_filter_units(context, &units, &dst, &src), VRCNN_OK);
    }
    for (int i = 0; i < SAMPLES && input->kept; i++)
        if (kept[i / WIDTH / 8 * (WIDTH / 8) + i % WIDTH / 8])
            again[i] = source[i];
    CHECK(!memcmp(again, result, sizeof again));
    CHECK(decision->cost == squared_error(result, original) + rate);
    const size_t off = input->is_irap ? 8 : 1;
    CHECK(decision->cost < input->ordinary_cost + input->lambda * 8 * (double)off);
}

static VrcnnDecision decide(const VrcnnDecisionInput *input, int bit_depth)
{
    VrcnnDecision decision;
    const VrcnnPlane dst = writing(result, bit_depth);
    memset(&decision, 0, sizeof decision);
    memset(result, 0x5a, sizeof result);
    const unsigned long before = allocations;
    CHECK_ERROR(vrcnn_decide(decider, context, input, &dst, &decision), VRCNN_OK);
    CHECK(allocations == before);
    verify(input, &decision, bit_depth);
    if (decision.info.mode == VRCNN_MODE_OFF)
        for (int i = 0; i < SAMPLES; i++)
            if (!CHECK(result[i] == 0x5a5a))
                break;
    return decision;
}

static void test_random(void)
{
    int modes[3] = {0};
    for (int round = 0; round < 60; round++) {
        const int bit_depth = draw(2) ? 8 : 10;
        make_picture(bit_depth, draw(24));
        if (draw(3)) {
            /* Something that a network can win with, here and there. */
            const VrcnnConstPlane src = reading(source, bit_depth);
            const VrcnnPlane dst = writing(again, bit_depth);
            const int left = draw(WIDTH), noise = 1 + draw(12);
            CHECK_ERROR(vrcnn_filter_picture(context, draw(vrcnn_model_networks(model)), 1 + draw(10), &dst, &src), VRCNN_OK);
            for (int i = 0; i < SAMPLES; i++)
                original[i] = sample((i % WIDTH < left ? base[i] : again[i]) + draw(noise) - noise / 2, bit_depth);
        }
        VrcnnDecisionInput input = input_of(bit_depth, (double)(1 << draw(9)) * (bit_depth == 10 ? 16 : 1));
        input.qp = draw(64) - 12;
        input.position = (VrcnnPosition)draw(2);
        input.is_irap = draw(2);
        input.map = draw(4) > 0;
        if (draw(3) == 0) {
            for (int i = 0; i < BLOCKS; i++)
                kept[i] = draw(5) == 0;
            for (int i = 0; i < SAMPLES; i++)
                if (kept[i / WIDTH / 8 * (WIDTH / 8) + i % WIDTH / 8])
                    base[i] = source[i];
            input.kept = kept;
            input.ordinary_cost = squared_error(base, original);
        }
        const VrcnnDecision first = decide(&input, bit_depth);
        modes[first.info.mode]++;
        const VrcnnDecision second = decide(&input, bit_depth);
        CHECK(first.size == second.size && !memcmp(first.data, second.data, first.size) && first.cost == second.cost);
        input.map = 0;
        CHECK(decide(&input, bit_depth).info.mode != VRCNN_MODE_MAP);
    }
    printf("off %d, all %d, map %d\n", modes[0], modes[1], modes[2]);
    CHECK(modes[VRCNN_MODE_OFF] > 0 && modes[VRCNN_MODE_ALL] > 0 && modes[VRCNN_MODE_MAP] > 0);
}

/* The original is a network's output, everywhere or on one side: then the choice is known. */
static void test_known(void)
{
    make_picture(8, 12);
    const VrcnnConstPlane src = reading(source, 8);
    for (int index = 0; index < vrcnn_model_networks(model); index++) {
        VrcnnNetworkInfo network;
        const VrcnnPlane dst = writing(original, 8);
        vrcnn_model_network_info(model, index, &network);
        CHECK_ERROR(vrcnn_filter_picture(context, index, VRCNN_SCALE_TRAINED, &dst, &src), VRCNN_OK);
        VrcnnDecisionInput input = input_of(8, 1);
        input.qp = network.nominal_qp;
        input.position = network.position;
        VrcnnDecision decision = decide(&input, 8);
        CHECK(decision.info.mode == VRCNN_MODE_ALL && decision.info.index[0] == index && decision.info.scale == VRCNN_SCALE_TRAINED);
        CHECK(decision.cost == 8 * (double)decision.size);
        /* Left of sample 128 the background is right. */
        for (int i = 0; i < SAMPLES; i++)
            if (i % WIDTH < 128)
                original[i] = base[i];
        input.ordinary_cost = squared_error(base, original);
        decision = decide(&input, 8);
        const int size = decision.info.unit_size, columns = (WIDTH + 63) / 64;
        CHECK(decision.info.mode == VRCNN_MODE_MAP && decision.cost == 8 * (double)decision.size);
        if (decision.unit && CHECK(size == 64 || size == 128))
            for (int i = 0; i < columns * ((HEIGHT + 63) / 64); i++) {
                const int x = i % columns * 64, y = i / columns * 64;
                CHECK(!decision.unit[y / size * ((WIDTH + size - 1) / size) + x / size] == (x < 128));
            }
        /* Half the residual is a lower scale, or another network: specialists are weaker and stronger filters of the same kind. */
        CHECK_ERROR(vrcnn_filter_picture(context, index, 4, &dst, &src), VRCNN_OK);
        input.ordinary_cost = squared_error(base, original);
        decision = decide(&input, 8);
        CHECK(decision.info.mode != VRCNN_MODE_OFF);
        CHECK(decision.info.scale < VRCNN_SCALE_TRAINED || decision.info.networks > 1 || decision.info.index[0] != index);
    }
}

static void test_kernels(void)
{
    VrcnnSettings settings;
    vrcnn_default_settings(&settings, sizeof settings);
    make_picture(8, 9);
    const VrcnnDecisionInput input = input_of(8, 40);
    const VrcnnDecision wanted = decide(&input, 8);
    for (int kernel = 1; vrcnn_kernel_name(kernel); kernel++) {
        VrcnnContext *other, *const own = context;
        settings.kernel = (VrcnnKernel)kernel;
        if (!vrcnn_kernel_supported(kernel) || vrcnn_open(&other, model, &settings))
            continue;
        context = other;
        const VrcnnDecision got = decide(&input, 8);
        CHECK(got.size == wanted.size && !memcmp(got.data, wanted.data, got.size) && got.cost == wanted.cost);
        context = own;
        vrcnn_close(other);
    }
}

/* Bytes instead of 16-bit samples, odd strides, and the output over the background. */
static void test_planes(void)
{
    static uint8_t bytes[3][HEIGHT][WIDTH + 3];
    make_picture(8, 9);
    VrcnnDecisionInput input = input_of(8, 20);
    const VrcnnDecision wanted = decide(&input, 8);
    CHECK(wanted.info.mode != VRCNN_MODE_OFF);
    VrcnnConstPlane *planes[] = {&input.original, &input.source, &input.base};
    const uint16_t *samples[] = {original, source, base};
    for (int p = 0; p < 3; p++) {
        const VrcnnConstPlane plane = {bytes[p][0], WIDTH + 3, WIDTH, HEIGHT, 8, 1};
        for (int i = 0; i < SAMPLES; i++)
            bytes[p][i / WIDTH][i % WIDTH] = (uint8_t)samples[p][i];
        *planes[p] = plane;
    }
    const VrcnnPlane dst = {bytes[2][0], WIDTH + 3, WIDTH, HEIGHT, 8, 1};
    VrcnnDecision got;
    CHECK_ERROR(vrcnn_decide(decider, context, &input, &dst, &got), VRCNN_OK);
    CHECK(got.size == wanted.size && !memcmp(got.data, wanted.data, got.size) && got.cost == wanted.cost);
    int differ = 0;
    for (int i = 0; i < SAMPLES; i++)
        differ += bytes[2][i / WIDTH][i % WIDTH] != result[i];
    CHECK(differ == 0);
}

static void test_refusals(void)
{
    VrcnnDecider *none = NULL;
    CHECK_ERROR(vrcnn_decider_open(NULL, model, WIDTH, HEIGHT), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decider_open(&none, NULL, WIDTH, HEIGHT), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decider_open(&none, model, 0, HEIGHT), VRCNN_ERROR_PLANE);
    CHECK_ERROR(vrcnn_decider_open(&none, model, WIDTH, VRCNN_MAX_SIZE + 1), VRCNN_ERROR_PLANE);
    for (unsigned long n = 0;; n++) {
        allowed = allocations + n;
        const VrcnnError error = vrcnn_decider_open(&none, model, WIDTH, HEIGHT);
        allowed = ALL_ALLOWED;
        if (!error) {
            CHECK(n > 5);
            break;
        }
        if (!CHECK(error == VRCNN_ERROR_MEMORY && !none))
            break;
    }
    vrcnn_decider_close(none);
    vrcnn_decider_close(NULL);

    make_picture(8, 9);
    const VrcnnDecisionInput good = input_of(8, 20);
    const VrcnnPlane dst = writing(result, 8);
    VrcnnDecision decision, untouched;
    memset(&decision, 0x5a, sizeof decision);
    memset(result, 0x5a, sizeof result);
    untouched = decision;
    CHECK_ERROR(vrcnn_decide(NULL, context, &good, &dst, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide(decider, NULL, &good, &dst, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide(decider, context, NULL, &dst, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide(decider, context, &good, NULL, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide(decider, context, &good, &dst, NULL), VRCNN_ERROR_ARGUMENT);
#define REFUSED(change, error)                                                                                                             \
    do {                                                                                                                                   \
        VrcnnDecisionInput bad = good;                                                                                                     \
        VrcnnPlane out = dst;                                                                                                              \
        change;                                                                                                                            \
        CHECK_ERROR(vrcnn_decide(decider, context, &bad, &out, &decision), error);                                                         \
    } while (0)
    REFUSED(bad.original.data = NULL, VRCNN_ERROR_ARGUMENT);
    REFUSED(out.data = NULL, VRCNN_ERROR_ARGUMENT);
    REFUSED(bad.position = (VrcnnPosition)2, VRCNN_ERROR_POSITION);
    REFUSED(bad.qp = 52, VRCNN_ERROR_QP);
    const double infinity = HUGE_VAL, none_at_all = infinity - infinity;
    REFUSED(bad.lambda = none_at_all, VRCNN_ERROR_ARGUMENT);
    REFUSED(bad.lambda = infinity, VRCNN_ERROR_ARGUMENT);
    REFUSED(bad.lambda = DBL_MAX, VRCNN_ERROR_ARGUMENT);
    REFUSED(bad.lambda = -1e-300, VRCNN_ERROR_ARGUMENT);
    REFUSED(bad.ordinary_cost = none_at_all, VRCNN_ERROR_ARGUMENT);
    REFUSED(bad.ordinary_cost = infinity, VRCNN_ERROR_ARGUMENT);
    REFUSED(bad.ordinary_cost = -infinity, VRCNN_ERROR_ARGUMENT);
    REFUSED((bad.lambda = infinity, bad.ordinary_cost = -infinity), VRCNN_ERROR_ARGUMENT);
    REFUSED(bad.base.width--, VRCNN_ERROR_PLANE);
    REFUSED(out.height++, VRCNN_ERROR_PLANE);
    REFUSED(bad.source.stride--, VRCNN_ERROR_PLANE);
    REFUSED(bad.source.stride = 1 - bad.source.stride, VRCNN_ERROR_PLANE);
    REFUSED(bad.source.stride = PTRDIFF_MIN, VRCNN_ERROR_PLANE);
    REFUSED(out.stride = PTRDIFF_MIN, VRCNN_ERROR_PLANE);
    REFUSED(bad.original.stride = PTRDIFF_MAX, VRCNN_ERROR_PLANE); /* out of the address space, as the next two */
    REFUSED(bad.base.stride = PTRDIFF_MAX / (HEIGHT - 1), VRCNN_ERROR_PLANE);
    REFUSED(out.stride = PTRDIFF_MIN / HEIGHT, VRCNN_ERROR_PLANE);
    REFUSED(bad.original.bytes_per_sample = 3, VRCNN_ERROR_PLANE);
    REFUSED(bad.base.bit_depth = 10, VRCNN_ERROR_PLANE);
    REFUSED(bad.original.bit_depth = 11, VRCNN_ERROR_BIT_DEPTH);
    int differ = 0;
    for (int i = 0; i < SAMPLES; i++)
        differ += result[i] != 0x5a5a;
    const void *before = &untouched, *after = &decision;
    CHECK(differ == 0 && !memcmp(before, after, sizeof decision));
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);
    seed_random(seed);
    if (vrcnn_model_builtin(&model, VRCNN_BEFORE_DEBLOCKING) || vrcnn_open(&context, model, NULL) ||
        vrcnn_decider_open(&decider, model, WIDTH, HEIGHT)) {
        fprintf(stderr, "test_decide: out of memory\n");
        return 2;
    }
    test_random();
    test_known();
    test_kernels();
    test_planes();
    test_refusals();
    vrcnn_decider_close(decider);
    vrcnn_close(context);
    vrcnn_model_free(model);
    return report();
}
