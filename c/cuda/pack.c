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

/* Its inputs are samples. */
static int is_first(const VrcnnLayer *layer)
{
    return layer->inputs < MOST_INPUTS;
}

/* With the rounding term of the shift; in the first layer that of x + 128. Inside int32: SPECIFICATION.md, section 3, accumulator bound. */
static uint8_t *put_bias(uint8_t *to, const VrcnnLayer *layer, const VrcnnBranch *branch, int output)
{
    const int64_t fold = is_first(layer) ? vrcnn_bias_fold(branch, output) : 0;
    const int32_t bias = (int32_t)(vrcnn_bias(branch, output) - fold + ((1 << branch->shift) >> 1));
    memcpy(to, &bias, 4);
    return to + 4;
}

static uint8_t *put_biases(uint8_t *to, const VrcnnLayer *layer)
{
    for (int b = 0; b < layer->branches; b++)
        for (int o = 0; o < layer->branch[b].outputs; o++)
            to = put_bias(to, layer, layer->branch + b, o);
    return to;
}

static int is_branch(const VrcnnBranch *branch, int kernel_size, int outputs)
{
    return branch->kernel_size == kernel_size && branch->outputs == outputs;
}

int vrcnn_pack_is_fused(const VrcnnNetwork *network)
{
    const VrcnnLayer *layer = network->layer;
    const int is_joint = network->kind == VRCNN_JOINT;
    for (int l = 0; l + 1 < network->layers; l++)
        if (is_joint ? layer[l].outputs != 32 && layer[l].outputs != 64 : layer[l].added)
            return 0;
    if (is_joint)
        return 1;
    return network->layers == 4 && layer[0].branches == 1 && is_branch(layer[0].branch, 5, 64) && layer[1].branches == 2 &&
           is_branch(layer[1].branch, 5, 16) && is_branch(layer[1].branch + 1, 3, 32) && layer[2].branches == 2 &&
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

/* ---- joint networks ---- */

/* Where an output of a slice comes from. branch NULL: from nowhere, it is 0. */
typedef struct Source {
    const VrcnnBranch *branch;
    int output;
} Source;

static Source find_output(const VrcnnLayer *layer, int output)
{
    const VrcnnBranch *branch = layer->branch;
    while (output >= branch->outputs)
        output -= branch++->outputs;
    const Source source = {branch, output};
    return source;
}

/* Of the last layer: each head has 8 places, for 4 outputs of the luma branch and 2 of the chroma branch. */
static Source find_last(const VrcnnLayer *layer, int place)
{
    const int head = place / 8, channel = place % 8, heads = layer->branch[0].outputs / 4;
    Source source = {NULL, 0};
    if (head >= heads || channel >= VRCNN_JOINT_INPUTS)
        return source;
    source.branch = layer->branch + (channel >= 4);
    source.output = channel < 4 ? 4 * head + channel : 2 * head + channel - 4;
    return source;
}

static int slice_outputs(int is_last)
{
    return is_last ? VRCNN_CUDA_SLICE_LAST : VRCNN_CUDA_SLICE;
}

static Source find_place(const VrcnnLayer *layer, int is_last, int place)
{
    return is_last ? find_last(layer, place) : find_output(layer, place);
}

/* A weight in the kernel of the layer's widest branch: those of others stand in its middle. */
static int8_t weight_amid(const VrcnnLayer *layer, Source source, int input, int row, int column)
{
    if (!source.branch || input >= layer->inputs)
        return 0;
    const int size = source.branch->kernel_size, before = layer->margin - size / 2;
    if (row < before || row >= before + size || column < before || column >= before + size)
        return 0;
    return weight(source.branch, source.output, input, (row - before) * size + column - before);
}

/* The products of one row of taps: of how many neighbouring taps, of which inputs. */
typedef struct Step {
    int row, column; /* of the first tap */
    int input;       /* the first of 32; in the first layer all of FIRST_GROUP sites */
} Step;

static uint8_t *put_step(uint8_t *to, const VrcnnLayer *layer, int is_last, int first, Step step)
{
    for (int pair = 0; pair < slice_outputs(is_last); pair += PAIR_OUTPUTS) {
        Factor factor;
        for (int k = 0; k < MOST_INPUTS; k++)
            for (int o = 0; o < PAIR_OUTPUTS; o++) {
                const Source source = find_place(layer, is_last, first + pair + o);
                factor.at[k][o] = is_first(layer) ? weight_amid(layer, source, k % VRCNN_CUDA_FIRST_SITE, step.row,
                                                                step.column + k / VRCNN_CUDA_FIRST_SITE)
                                                  : weight_amid(layer, source, step.input + channel_of_48(k), step.row, step.column);
            }
        to = put_pair(to, &factor, MOST_INPUTS);
    }
    return to;
}

/* As add_first and add_taps (joint.cuh) read them. */
static uint8_t *put_slice(uint8_t *to, const VrcnnLayer *layer, int is_last, int first)
{
    const int size = 2 * layer->margin + 1, group = is_first(layer) ? VRCNN_CUDA_FIRST_GROUP : VRCNN_CUDA_GROUP;
    for (int o = 0; o < slice_outputs(is_last); o++) {
        const Source source = find_place(layer, is_last, first + o);
        /* The last layer's rounding term depends on the bit depth. */
        const int32_t bias = is_last && source.branch ? vrcnn_bias(source.branch, source.output) : 0;
        memcpy(to, &bias, 4);
        if (!is_last)
            put_bias(to, layer, source.branch, source.output);
        to += 4;
    }
    for (int row = 0; row < size; row++)
        for (int column = 0; column < size; column += group)
            for (int input = 0; input < layer->inputs; input += MOST_INPUTS)
                for (int tap = 0; tap < (is_first(layer) ? 1 : group); tap++) {
                    const Step step = {row, column + tap, input};
                    to = put_step(to, layer, is_last, first, step);
                }
    return to;
}

int vrcnn_pack_slices(const VrcnnLayer *layer, int is_last)
{
    return is_last ? 1 : layer->outputs / VRCNN_CUDA_SLICE;
}

size_t vrcnn_pack_slice_size(const VrcnnLayer *layer, int is_last)
{
    const size_t size = 2 * (size_t)layer->margin + 1, outputs = (size_t)slice_outputs(is_last);
    const size_t group = is_first(layer) ? VRCNN_CUDA_FIRST_GROUP : VRCNN_CUDA_GROUP, groups = (size + group - 1) / group;
    const size_t products = is_first(layer) ? 1 : group * (size_t)layer->inputs / MOST_INPUTS;
    return 4 * outputs + size * groups * products * outputs / PAIR_OUTPUTS * VRCNN_CUDA_PAIR;
}

void vrcnn_pack_joint(uint8_t *to, const VrcnnLayer *layer, int is_last)
{
    for (int slice = 0; slice < vrcnn_pack_slices(layer, is_last); slice++)
        to = put_slice(to, layer, is_last, slice * VRCNN_CUDA_SLICE);
}

/* ---- simple kernels ---- */

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
