/* Fuzz target: a network and a picture drawn from the input, filtered with every kernel that runs here, against the specification word for
 * word where the picture is small, and against the scalar kernel.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fuzz.h"
#include "support.h"

enum { MOST_MACS = 600000, MOST_REFERENCE_MACS = 100000, MOST_WIDTH = 1500 };

/* What a sample costs. */
static int macs(const TNetwork *n)
{
    int sum = 0;
    for (int l = 0; l < n->layers; l++)
        for (int b = 0; b < n->layer[l].branches; b++)
            sum += n->layer[l].branch[b].outputs * (int)per_output(&n->layer[l].branch[b]);
    return sum;
}

/* A few weights as the input has them; then biases that the specification allows. */
static void change_weights(Input *in, TBranch *b, int is_first)
{
    const Biases biases = (Biases)pick(in, SMALL_BIASES, LOWEST_BIASES);
    for (int i = pick(in, 0, 3); i > 0; i--) {
        const size_t at = (size_t)number(in, 2) % ((size_t)b->outputs * per_output(b));
        b->weights[at] = (int8_t)pick(in, -127, 127);
    }
    set_biases(b, is_first, biases);
}

static TNetwork draw_network(Input *in)
{
    static const int sizes[3] = {1, 3, 5};
    TNetwork n = {0};
    const int layers = pick(in, 2, 6);
    for (int l = 0; l < layers; l++) {
        const int is_last = l == layers - 1, branches = is_last ? 1 : pick(in, 1, 3);
        for (int i = 0; i < branches; i++) {
            const int k = sizes[pick(in, 0, 2)], outputs = is_last ? 1 : 16 * pick(in, 1, branches > 1 ? 2 : 5);
            const int s1 = pick(in, is_last ? 2 : 0, 15), m = is_last ? pick(in, 512, 1023) : pick(in, 1, 32767);
            add_branch(&n, l, k, outputs, s1, m, (Weights)pick(in, RANDOM_WEIGHTS, SPARSE), SMALL_BIASES);
            change_weights(in, &n.layer[l].branch[i], l == 0);
        }
    }
    return n;
}

static VrcnnPlane plane_of(uint16_t *samples, int width, int height, int bit_depth)
{
    const VrcnnPlane p = {samples, (ptrdiff_t)width * 2, width, height, bit_depth, 2};
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = {data, data + size};
    seed_random(number(&in, 2));
    TNetwork network = draw_network(&in);
    const int cost = macs(&network), most = MOST_MACS / (cost + 1) + 1;
    const int width = pick(&in, 1, most < MOST_WIDTH ? most : MOST_WIDTH), rows = most / width < 64 ? most / width : 64;
    const int height = pick(&in, 1, rows), area = width * height, bit_depth = pick(&in, 8, 10), scale = pick(&in, 1, 10);
    uint16_t *samples = make_samples(width, height, bit_depth, (Content)pick(&in, 0, CONTENTS - 1));
    uint16_t *wanted = get((size_t)area * sizeof *wanted), *got = get((size_t)area * sizeof *got);
    const VrcnnPlane src_plane = plane_of(samples, width, height, bit_depth), dst = plane_of(got, width, height, bit_depth);
    const VrcnnConstPlane src = constant(&src_plane);
    VrcnnModel *model = load(&network, 1);
    const int threads = pick(&in, 1, 4);
    for (int i = 0; i < area && left(&in); i++)
        samples[i] = (uint16_t)pick(&in, 0, (1 << bit_depth) - 1);
    for (int kernel = VRCNN_KERNEL_SCALAR; vrcnn_kernel_name(kernel); kernel++) {
        if (!vrcnn_kernel_supported(kernel))
            continue;
        VrcnnContext *context = open_context(model, kernel, kernel == VRCNN_KERNEL_SCALAR ? 1 : threads);
        MUST(!vrcnn_filter_picture(context, 0, scale, &dst, &src));
        vrcnn_close(context);
        if (kernel == VRCNN_KERNEL_SCALAR && cost * area <= MOST_REFERENCE_MACS) {
            reference_filter(&network, scale, wanted, samples, width, height, bit_depth);
            MUST(!memcmp(wanted, got, (size_t)area * sizeof *got));
        }
        if (kernel == VRCNN_KERNEL_SCALAR)
            memcpy(wanted, got, (size_t)area * sizeof *got);
        MUST(!memcmp(wanted, got, (size_t)area * sizeof *got));
    }
    vrcnn_model_free(model);
    free_network(&network);
    free(samples);
    free(wanted);
    free(got);
    return 0;
}
