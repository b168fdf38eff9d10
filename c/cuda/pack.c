/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "pack.h"

#include <string.h>

#include "launch.h"

enum { LANES = 32, MOST_INPUTS = 32, PAIR_OUTPUTS = 16 };

/* The factor b of two neighbouring products: [input][output], of whose rows INPUTS are used. */
typedef struct Factor {
    int8_t at[MOST_INPUTS][PAIR_OUTPUTS];
} Factor;

static int8_t weight(const VrcnnBranch *branch, int output, int input, int tap)
{
    const int taps = branch->kernel_size * branch->kernel_size;
    return branch->weights[(output * branch->inputs + input) * taps + tap];
}

/* Which channel stands at a byte of a sample between layers 1 and 2: thread t of four wrote bytes 16 t.. */
static int channel_of_64(int place)
{
    return place % 16 / 2 * 8 + place / 16 * 2 + place % 2;
}

/* Between layers 2 and 3: thread t wrote bytes 8 t.. and 32 + 4 t.. */
static int channel_of_48(int place)
{
    return place < 32 ? place % 8 / 2 * 8 + place / 8 * 2 + place % 2 : 32 + place % 4 / 2 * 8 + (place - 32) / 4 * 2 + place % 2;
}

/* Which output of layer 3 a thread holds as input `place` of layer 4's product. */
static int channel_in_registers(int place)
{
    return place / 16 * 16 + place % 4 / 2 * 8 + place % 16 / 4 * 2 + place % 2;
}

/* Lane 4 g + t: of both products the inputs 4 t.. and, if there are 32, 16 + 4 t.. of output g. Returns what follows. */
static uint8_t *put_pair(uint8_t *to, const Factor *factor, int inputs)
{
    for (int lane = 0; lane < LANES; lane++)
        for (int product = 0; product < 2; product++)
            for (int k = 0; k < inputs; k += 16)
                for (int i = 0; i < 4; i++)
                    *to++ = (uint8_t)factor->at[k + lane % 4 * 4 + i][product * 8 + lane / 4];
    return to;
}

/* Outputs first .. first + 15 of one tap for inputs at places place .. place + inputs - 1. */
static uint8_t *put_tap(uint8_t *to, const VrcnnBranch *branch, int first, int tap, int (*channel)(int), int place, int inputs)
{
    Factor factor;
    for (int k = 0; k < inputs; k++)
        for (int o = 0; o < PAIR_OUTPUTS; o++)
            factor.at[k][o] = weight(branch, first + o, channel(place + k), tap);
    return put_pair(to, &factor, inputs);
}

/* As add_branches (fused.cuh) reads them: a row of taps of the larger kernel, then that of the smaller one if it has it. */
static uint8_t *put_branches(uint8_t *to, const VrcnnLayer *layer, int (*channel)(int), int place, int inputs)
{
    const VrcnnBranch *large = layer->branch, *small = layer->branch + 1;
    for (int row = 0; row < large->kernel_size; row++) {
        for (int column = 0; column < large->kernel_size; column++)
            to = put_tap(to, large, 0, row * large->kernel_size + column, channel, place, inputs);
        if (row == 0 || row == large->kernel_size - 1)
            continue;
        for (int column = 0; column < small->kernel_size; column++)
            for (int first = 0; first < small->outputs; first += PAIR_OUTPUTS)
                to = put_tap(to, small, first, (row - 1) * small->kernel_size + column, channel, place, inputs);
    }
    return to;
}

/* Biases with the rounding term of the shift, for the first layer those of x + 128. */
static uint8_t *put_biases(uint8_t *to, const VrcnnLayer *layer)
{
    for (int b = 0; b < layer->branches; b++) {
        const VrcnnBranch *branch = layer->branch + b;
        for (int o = 0; o < branch->outputs; o++, to += 4) {
            const int64_t fold = branch->inputs == 1 ? vrcnn_bias_fold(branch, o) : 0;
            /* Inside int32: SPECIFICATION.md, section 3, accumulator bound. */
            const int32_t bias = (int32_t)(vrcnn_bias(branch, o) - fold + ((1 << branch->shift) >> 1));
            memcpy(to, &bias, 4);
        }
    }
    return to;
}

static int is_branch(const VrcnnBranch *branch, int kernel_size, int outputs)
{
    return branch->kernel_size == kernel_size && branch->outputs == outputs;
}

int vrcnn_pack_is_fused(const VrcnnNetwork *network)
{
    const VrcnnLayer *layer = network->layer;
    for (int l = 0; l < network->layers; l++)
        if (layer[l].added)
            return 0;
    return network->kind == VRCNN_LUMA && network->layers == 4 && layer[0].branches == 1 && is_branch(layer[0].branch, 5, 64) &&
           layer[1].branches == 2 && is_branch(layer[1].branch, 5, 16) && is_branch(layer[1].branch + 1, 3, 32) && layer[2].branches == 2 &&
           is_branch(layer[2].branch, 3, 16) && is_branch(layer[2].branch + 1, 1, 32) && is_branch(layer[3].branch, 3, 1);
}

void vrcnn_pack_first(uint8_t *to, const VrcnnNetwork *network)
{
    const VrcnnBranch *first = network->layer[0].branch;
    uint8_t *at = put_biases(put_biases(to, network->layer), network->layer + 1);
    for (int outputs = 0; outputs < first->outputs; outputs += PAIR_OUTPUTS) {
        Factor factor = {{{0}}};
        for (int o = 0; o < PAIR_OUTPUTS; o++)
            for (int row = 0; row < 5; row++)
                for (int column = 0; column < 5; column++) {
                    const int right = row == 4 ? 24 : 20 + row; /* column 4 stands behind the others (layer_1 in fused.cuh) */
                    factor.at[column == 4 ? right : 4 * row + column][o] = weight(first, outputs + o, 0, 5 * row + column);
                }
        at = put_pair(at, &factor, 32);
    }
    at = put_branches(at, network->layer + 1, channel_of_64, 0, 32);
    put_branches(at, network->layer + 1, channel_of_64, 32, 32);
}

void vrcnn_pack_second(uint8_t *to, const VrcnnNetwork *network)
{
    const VrcnnBranch *last = network->layer[3].branch;
    uint8_t *at = put_biases(to, network->layer + 2);
    const int32_t bias[4] = {vrcnn_bias(last, 0), 0, 0, 0};
    memcpy(at, bias, sizeof bias);
    at += sizeof bias;
    at = put_branches(at, network->layer + 2, channel_of_48, 0, 32);
    at = put_branches(at, network->layer + 2, channel_of_48, 32, 16);
    for (int first = 0; first < 48; first += 32) {
        const int inputs = first ? 16 : 32;
        Factor factor = {{{0}}};
        for (int k = 0; k < inputs; k++)
            for (int tap = 0; tap < 9; tap++)
                factor.at[k][tap] = weight(last, 0, channel_in_registers(first + k), tap);
        at = put_pair(at, &factor, inputs);
    }
}

size_t vrcnn_pack_simple_weights_size(const VrcnnBranch *branch)
{
    const size_t size = (size_t)branch->kernel_size;
    return (size * size * (size_t)branch->inputs * (size_t)branch->outputs + 3) / 4 * 4;
}

void vrcnn_pack_simple(uint8_t *to, const VrcnnBranch *branch)
{
    const int taps = branch->kernel_size * branch->kernel_size, group = branch->outputs % 16 ? 1 : 16;
    const int together = branch->inputs % 4 ? 1 : 4;
    uint8_t *at = to;
    for (int first = 0; first < branch->outputs; first += group)
        for (int tap = 0; tap < taps; tap++)
            for (int input = 0; input < branch->inputs; input += together)
                for (int o = 0; o < group; o++)
                    for (int i = 0; i < together; i++)
                        *at++ = (uint8_t)weight(branch, first + o, input + i, tap);
    at = to + vrcnn_pack_simple_weights_size(branch);
    for (int o = 0; o < branch->outputs; o++, at += 4) {
        const int32_t bias = vrcnn_bias(branch, o);
        memcpy(at, &bias, 4);
    }
}
