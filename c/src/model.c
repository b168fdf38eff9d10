/* Reads model sets: SPECIFICATION.md, sections 3 to 5.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "sha256.h"

enum { HEADER_SIZE = 16, NETWORK_HEADER_SIZE = 4, BRANCH_HEADER_SIZE = 8 };

static const uint8_t file_magic[8] = {'V', 'R', 'C', 'N', 'N', 'I', 'N', 'T'};

typedef struct Reader {
    const uint8_t *at, *end; /* end: where the identity begins */
    VrcnnFault *fault;
} Reader;

static uint32_t read_u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t read_u32(const uint8_t *p)
{
    return read_u16(p) | read_u16(p + 2) << 16;
}

static int32_t read_i32(const uint8_t *p)
{
    const uint32_t u = read_u32(p);
    int32_t value;
    memcpy(&value, &u, sizeof value);
    return value;
}

static int read_i8(uint8_t byte)
{
    return byte < 128 ? byte : byte - 256;
}

int32_t vrcnn_bias(const VrcnnBranch *branch, int output)
{
    return read_i32(branch->bias + 4 * output);
}

static size_t weights_per_output(const VrcnnBranch *branch)
{
    return (size_t)branch->inputs * (size_t)branch->kernel_size * (size_t)branch->kernel_size;
}

int64_t vrcnn_bias_fold(const VrcnnBranch *branch, int output)
{
    const size_t count = weights_per_output(branch);
    const int8_t *weights = branch->weights + (size_t)output * count;
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += weights[i];
    return 128 * sum;
}

static size_t bytes_left(const Reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static VrcnnError refuse(Reader *reader, VrcnnError error, const char *field, int64_t value)
{
    reader->fault->field = field;
    reader->fault->value = value;
    return error;
}

static VrcnnError in_range(Reader *reader, const char *field, int64_t value, int64_t low, int64_t high)
{
    return value < low || value > high ? refuse(reader, VRCNN_ERROR_LIMIT, field, value) : VRCNN_OK;
}

/* The interval that each accumulator can reach, from the weights themselves. The folded bias of layer 0 is the accumulator of x = -128
 * everywhere, so it lies in the same interval. */
static VrcnnError prove_branch(Reader *reader, const VrcnnBranch *branch, int is_first)
{
    const size_t count = weights_per_output(branch);
    const int64_t low = is_first ? -128 : 0, high = 127;
    const int64_t half = (INT64_C(1) << branch->shift) >> 1;
    for (int output = 0; output < branch->outputs; output++) {
        const int8_t *weights = branch->weights + (size_t)output * count;
        int64_t least = vrcnn_bias(branch, output), most = least;
        reader->fault->channel = output;
        for (size_t i = 0; i < count; i++) {
            const int64_t w = weights[i];
            if (w == -128)
                return refuse(reader, VRCNN_ERROR_LIMIT, "weight", w);
            least += w < 0 ? w * high : w * low;
            most += w < 0 ? w * low : w * high;
        }
        if (least < INT32_MIN)
            return refuse(reader, VRCNN_ERROR_OVERFLOW, "lo", least);
        if (most + half > INT32_MAX)
            return refuse(reader, VRCNN_ERROR_OVERFLOW, "hi with rounding", most + half);
    }
    reader->fault->channel = -1;
    return VRCNN_OK;
}

static VrcnnError read_branch(Reader *reader, VrcnnBranch *branch, int is_first, int is_last)
{
    VrcnnError error;
    if (bytes_left(reader) < BRANCH_HEADER_SIZE)
        return VRCNN_ERROR_SIZE;
    const uint8_t *header = reader->at;
    branch->kernel_size = header[0];
    branch->shift = header[1];
    branch->multiplier = (int)read_u16(header + 2);
    branch->outputs = (int)read_u16(header + 4);
    reader->at += BRANCH_HEADER_SIZE;
    if (branch->kernel_size != 1 && branch->kernel_size != 3 && branch->kernel_size != 5)
        return refuse(reader, VRCNN_ERROR_LIMIT, "kernel_size", branch->kernel_size);
    if ((error = in_range(reader, "s1", branch->shift, is_last ? 2 : 0, 15)) ||
        (error = in_range(reader, "m", branch->multiplier, is_last ? 512 : 1, is_last ? 1023 : 32767)) ||
        (error = in_range(reader, "output_channels", branch->outputs, is_last ? 1 : 16, is_last ? 1 : VRCNN_MAX_CHANNELS)) ||
        (error = in_range(reader, "reserved_zero", read_u16(header + 6), 0, 0)))
        return error;
    if (!is_last && branch->outputs % 16)
        return refuse(reader, VRCNN_ERROR_LIMIT, "output_channels", branch->outputs);

    const size_t bias_size = 4 * (size_t)branch->outputs, weights_size = (size_t)branch->outputs * weights_per_output(branch);
    if (bytes_left(reader) < bias_size + weights_size)
        return VRCNN_ERROR_SIZE;
    branch->bias = reader->at;
    branch->weights = (const int8_t *)(reader->at + bias_size);
    reader->at += bias_size + weights_size;
    return prove_branch(reader, branch, is_first);
}

static VrcnnError read_layer(Reader *reader, VrcnnLayer *layer, int inputs, int is_first, int is_last)
{
    VrcnnError error;
    if (bytes_left(reader) < 1)
        return VRCNN_ERROR_SIZE;
    layer->branches = *reader->at++;
    if ((error = in_range(reader, "branch_count", layer->branches, 1, is_last ? 1 : VRCNN_MAX_BRANCHES)))
        return error;
    layer->inputs = inputs;
    for (int i = 0; i < layer->branches; i++) {
        VrcnnBranch *branch = layer->branch + i;
        branch->inputs = inputs;
        reader->fault->branch = i;
        if ((error = read_branch(reader, branch, is_first, is_last)))
            return error;
        layer->outputs += branch->outputs;
        if (branch->kernel_size / 2 > layer->margin)
            layer->margin = branch->kernel_size / 2;
    }
    reader->fault->branch = -1;
    return in_range(reader, "output channels of the layer", layer->outputs, 1, VRCNN_MAX_CHANNELS);
}

static VrcnnError read_network(Reader *reader, VrcnnNetwork *network)
{
    VrcnnError error;
    int inputs = 1;
    if (bytes_left(reader) < NETWORK_HEADER_SIZE)
        return VRCNN_ERROR_SIZE;
    network->nominal_qp = read_i8(reader->at[0]);
    network->position = reader->at[1];
    network->layers = reader->at[2];
    if ((error = in_range(reader, "nominal_qp", network->nominal_qp, -12, 51)) ||
        (error = in_range(reader, "position", network->position, 0, 1)) ||
        (error = in_range(reader, "layer_count", network->layers, 2, VRCNN_MAX_LAYERS)) ||
        (error = in_range(reader, "reserved_zero", reader->at[3], 0, 0)))
        return error;
    reader->at += NETWORK_HEADER_SIZE;
    for (int i = 0; i < network->layers; i++) {
        reader->fault->layer = i;
        if ((error = read_layer(reader, network->layer + i, inputs, i == 0, i == network->layers - 1)))
            return error;
        inputs = network->layer[i].outputs;
    }
    reader->fault->layer = -1;
    return VRCNN_OK;
}

/* Everything that can be said before the networks are looked at. */
static VrcnnError check_envelope(const uint8_t *file, size_t size, VrcnnFault *fault)
{
    Reader reader = {file, file, fault};
    uint8_t digest[VRCNN_ID_SIZE];
    if (memcmp(file, file_magic, size < sizeof file_magic ? size : sizeof file_magic) != 0)
        return VRCNN_ERROR_NOT_A_MODEL;
    if (size < HEADER_SIZE)
        return VRCNN_ERROR_TRUNCATED;
    if (read_u16(file + 8) != 1)
        return VRCNN_ERROR_VERSION;
    const size_t stated = read_u32(file + 12);
    if (size < stated)
        return VRCNN_ERROR_TRUNCATED;
    if (size > stated || stated < HEADER_SIZE + VRCNN_ID_SIZE)
        return VRCNN_ERROR_SIZE;
    vrcnn_sha256(digest, file, size - VRCNN_ID_SIZE);
    if (memcmp(digest, file + (size - VRCNN_ID_SIZE), VRCNN_ID_SIZE) != 0)
        return VRCNN_ERROR_CHECKSUM;
    return in_range(&reader, "network_count", read_u16(file + 10), 1, VRCNN_MAX_NETWORKS);
}

VrcnnError vrcnn_model_load(VrcnnModel **out, const void *data, size_t size, VrcnnFault *fault)
{
    const VrcnnFault none = {-1, -1, -1, -1, -1, ""};
    VrcnnFault local;
    if (!fault)
        fault = &local;
    *fault = none;
    if (out)
        *out = NULL;
    if (!out || !data)
        return VRCNN_ERROR_ARGUMENT;
    VrcnnError error = check_envelope(data, size, fault);
    if (error)
        return error;

    const int networks = (int)read_u16((const uint8_t *)data + 10);
    const size_t file_offset = sizeof(VrcnnModel) + (size_t)networks * sizeof(VrcnnNetwork);
    VrcnnModel *model = size > SIZE_MAX - file_offset ? NULL : malloc(file_offset + size);
    if (!model)
        return VRCNN_ERROR_MEMORY;
    memset(model, 0, file_offset);
    uint8_t *file = (uint8_t *)model + file_offset;
    memcpy(file, data, size);
    model->networks = networks;
    model->file = file;
    model->size = size;

    Reader reader = {file + HEADER_SIZE, file + (size - VRCNN_ID_SIZE), fault};
    for (int i = 0; i < networks && !error; i++) {
        fault->network = i;
        error = read_network(&reader, model->network + i);
    }
    if (!error && bytes_left(&reader))
        error = VRCNN_ERROR_SIZE;
    if (error != VRCNN_ERROR_LIMIT && error != VRCNN_ERROR_OVERFLOW)
        *fault = none;
    if (error)
        vrcnn_model_free(model);
    else
        *out = model;
    return error;
}

VrcnnError vrcnn_model_builtin(VrcnnModel **out, VrcnnPosition position)
{
    size_t size;
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    const unsigned char *file = vrcnn_builtin_file(position, &size);
    return file ? vrcnn_model_load(out, file, size, NULL) : VRCNN_ERROR_POSITION;
}

void vrcnn_model_free(VrcnnModel *model)
{
    free(model);
}

VrcnnError vrcnn_model_id(const VrcnnModel *model, uint8_t id[VRCNN_ID_SIZE])
{
    if (!model || !id)
        return VRCNN_ERROR_ARGUMENT;
    memcpy(id, model->file + (model->size - VRCNN_ID_SIZE), VRCNN_ID_SIZE);
    return VRCNN_OK;
}

int vrcnn_model_networks(const VrcnnModel *model)
{
    return model ? model->networks : (int)VRCNN_ERROR_ARGUMENT;
}

VrcnnError vrcnn_model_network_info(const VrcnnModel *model, int index, VrcnnNetworkInfo *info)
{
    if (!model || !info)
        return VRCNN_ERROR_ARGUMENT;
    if (index < 0 || index >= model->networks)
        return VRCNN_ERROR_INDEX;
    const VrcnnNetwork *network = model->network + index;
    memset(info, 0, sizeof *info);
    info->nominal_qp = network->nominal_qp;
    info->position = (VrcnnPosition)network->position;
    info->layers = network->layers;
    for (int i = 0; i < network->layers; i++) {
        info->halo += network->layer[i].margin;
        info->channels[i] = network->layer[i].outputs;
    }
    return VRCNN_OK;
}

int vrcnn_model_index_for_qp(const VrcnnModel *model, VrcnnPosition position, int qp)
{
    int best = VRCNN_ERROR_POSITION, best_distance = 0;
    if (!model)
        return VRCNN_ERROR_ARGUMENT;
    if (qp < -12 || qp > 51)
        return VRCNN_ERROR_QP;
    for (int i = 0; i < model->networks; i++) {
        const int distance = abs(model->network[i].nominal_qp - qp);
        if (model->network[i].position == (int)position && (best < 0 || distance < best_distance)) {
            best = i;
            best_distance = distance;
        }
    }
    return best;
}
