/* Reads model sets: SPECIFICATION.md, sections 3 to 5.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "sha256.h"

enum { HEADER_SIZE = 16, BRANCH_HEADER_SIZE = 8 };

static const uint8_t file_magic[8] = {'V', 'R', 'C', 'N', 'N', 'I', 'N', 'T'};

typedef struct Reader {
    const uint8_t *at, *end; /* end: where the identity begins */
    VrcnnFault *fault;
    unsigned version;
} Reader;

/* Where a layer stands in its network. */
typedef struct Place {
    int is_first, is_last;
    int branch; /* of the layer */
    const VrcnnNetwork *network;
} Place;

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

/* How many outputs a branch may have. */
static VrcnnError check_outputs(Reader *reader, const VrcnnBranch *branch, const Place *place)
{
    const int heads = place->network->heads, is_joint = place->network->kind == VRCNN_JOINT;
    const int last = !is_joint ? 1 : place->branch ? 2 * heads : 4 * heads;
    const int low = place->is_last ? last : 16, high = place->is_last ? last : VRCNN_MAX_CHANNELS;
    if (branch->outputs < low || branch->outputs > high || (!place->is_last && branch->outputs % 16))
        return refuse(reader, VRCNN_ERROR_LIMIT, "output_channels", branch->outputs);
    return VRCNN_OK;
}

static VrcnnError read_branch(Reader *reader, VrcnnBranch *branch, const Place *place)
{
    const int is_first = place->is_first, is_last = place->is_last;
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
        (error = check_outputs(reader, branch, place)) || (error = in_range(reader, "reserved_zero", read_u16(header + 6), 0, 0)))
        return error;

    const size_t bias_size = 4 * (size_t)branch->outputs, weights_size = (size_t)branch->outputs * weights_per_output(branch);
    if (bytes_left(reader) < bias_size + weights_size)
        return VRCNN_ERROR_SIZE;
    branch->bias = reader->at;
    branch->weights = (const int8_t *)(reader->at + bias_size);
    reader->at += bias_size + weights_size;
    return prove_branch(reader, branch, is_first);
}

/* How many branches the layer has, and which layer it adds. */
static VrcnnError read_layer_header(Reader *reader, VrcnnLayer *layer, int number, const Place *place)
{
    VrcnnError error;
    const size_t size = reader->version == 1 ? 1 : 2;
    const int is_joint = place->network->kind == VRCNN_JOINT, last = is_joint ? 2 : 1;
    if (bytes_left(reader) < size)
        return VRCNN_ERROR_SIZE;
    layer->branches = reader->at[0];
    layer->added = reader->version == 1 ? 0 : reader->at[1];
    reader->at += size;
    if ((error =
             in_range(reader, "branch_count", layer->branches, place->is_last ? last : 1, place->is_last ? last : VRCNN_MAX_BRANCHES)) ||
        (error = in_range(reader, "added", layer->added, 0,
                          place->is_last              ? 0
                          : number < VRCNN_MOST_ADDED ? number
                                                      : VRCNN_MOST_ADDED)))
        return error;
    return layer->added ? in_range(reader, "branch_count", layer->branches, 1, 1) : VRCNN_OK;
}

/* layer: one of the network's, with its inputs set; number: its own. */
static VrcnnError read_layer(Reader *reader, VrcnnLayer *layer, int number, const VrcnnNetwork *network)
{
    VrcnnError error;
    Place place = {number == 0, number == network->layers - 1, 0, network};
    if ((error = read_layer_header(reader, layer, number, &place)))
        return error;
    for (int i = 0; i < layer->branches; i++) {
        VrcnnBranch *branch = layer->branch + i;
        branch->inputs = layer->inputs;
        reader->fault->branch = i;
        place.branch = i;
        if ((error = read_branch(reader, branch, &place)))
            return error;
        if (place.is_last && i > 0 && branch->kernel_size != layer->branch[0].kernel_size)
            return refuse(reader, VRCNN_ERROR_LIMIT, "kernel_size", branch->kernel_size);
        layer->outputs += branch->outputs;
        if (branch->kernel_size / 2 > layer->margin)
            layer->margin = branch->kernel_size / 2;
    }
    reader->fault->branch = -1;
    if (layer->added > 0 && layer->added <= number && layer->outputs != network->layer[number - layer->added].outputs)
        return refuse(reader, VRCNN_ERROR_LIMIT, "output channels of the layer", layer->outputs);
    return in_range(reader, "output channels of the layer", layer->outputs, 1, VRCNN_MAX_CHANNELS);
}

static VrcnnError read_network_header(Reader *reader, VrcnnNetwork *network)
{
    VrcnnError error;
    const uint8_t *at = reader->at;
    const size_t size = reader->version == 1 ? 4 : 8;
    if (bytes_left(reader) < size)
        return VRCNN_ERROR_SIZE;
    network->nominal_qp = read_i8(at[0]);
    network->position = at[1];
    network->layers = at[2];
    network->kind = reader->version == 1 ? VRCNN_LUMA : at[3];
    network->size = reader->version == 1 ? VRCNN_BEST : at[4];
    network->heads = reader->version == 1 ? 1 : at[5];
    const unsigned zero = reader->version == 1 ? at[3] : read_u16(at + 6);
    reader->at += size;
    if ((error = in_range(reader, "nominal_qp", network->nominal_qp, -12, 51)) ||
        (error = in_range(reader, "position", network->position, 0, 1)) ||
        (error = in_range(reader, "layer_count", network->layers, 2, VRCNN_MAX_LAYERS)) ||
        (error = in_range(reader, "kind", network->kind, VRCNN_LUMA, VRCNN_JOINT)) ||
        (error = in_range(reader, "size_class", network->size, VRCNN_FAST, VRCNN_BEST)) ||
        (error = in_range(reader, "heads", network->heads, 1, network->kind == VRCNN_JOINT ? VRCNN_MAX_HEADS : 1)))
        return error;
    return in_range(reader, "reserved_zero", zero, 0, 0);
}

static VrcnnError read_network(Reader *reader, VrcnnNetwork *network)
{
    VrcnnError error = read_network_header(reader, network);
    int inputs = network->kind == VRCNN_JOINT ? VRCNN_JOINT_INPUTS : 1;
    for (int i = 0; !error && i < network->layers; i++) {
        reader->fault->layer = i;
        network->layer[i].inputs = inputs;
        error = read_layer(reader, network->layer + i, i, network);
        inputs = network->layer[i].outputs;
    }
    if (!error)
        reader->fault->layer = -1;
    return error;
}

int vrcnn_is_plain(const VrcnnNetwork *network)
{
    int added = 0;
    for (int i = 0; i < network->layers; i++)
        added |= network->layer[i].added;
    return network->kind == VRCNN_LUMA && network->size == VRCNN_BEST && !added;
}

/* A set has the lowest version that can hold it. */
static VrcnnError check_version(Reader *reader, const VrcnnModel *model)
{
    for (int i = 0; i < model->networks; i++)
        if (reader->version == 1 || !vrcnn_is_plain(model->network + i))
            return VRCNN_OK;
    reader->fault->network = -1;
    return refuse(reader, VRCNN_ERROR_LIMIT, "version", reader->version);
}

/* Everything that can be said before the networks are looked at. */
static VrcnnError check_envelope(const uint8_t *file, size_t size, VrcnnFault *fault)
{
    Reader reader = {file, file, fault, 0};
    uint8_t digest[VRCNN_ID_SIZE];
    if (memcmp(file, file_magic, size < sizeof file_magic ? size : sizeof file_magic) != 0)
        return VRCNN_ERROR_NOT_A_MODEL;
    if (size < HEADER_SIZE)
        return VRCNN_ERROR_TRUNCATED;
    if (read_u16(file + 8) != 1 && read_u16(file + 8) != 2)
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

    Reader reader = {file + HEADER_SIZE, file + (size - VRCNN_ID_SIZE), fault, read_u16(file + 8)};
    for (int i = 0; i < networks && !error; i++) {
        fault->network = i;
        error = read_network(&reader, model->network + i);
    }
    if (!error && bytes_left(&reader))
        error = VRCNN_ERROR_SIZE;
    if (!error)
        error = check_version(&reader, model);
    if (error != VRCNN_ERROR_LIMIT && error != VRCNN_ERROR_OVERFLOW)
        *fault = none;
    if (error)
        vrcnn_model_free(model);
    else
        *out = model;
    return error;
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
        info->halo += network->layer[i].margin * (network->kind == VRCNN_JOINT ? 2 : 1);
        info->channels[i] = network->layer[i].outputs;
    }
    return VRCNN_OK;
}

int vrcnn_model_network_kind(const VrcnnModel *model, int index)
{
    if (!model)
        return VRCNN_ERROR_ARGUMENT;
    return index < 0 || index >= model->networks ? (int)VRCNN_ERROR_INDEX : model->network[index].kind;
}

int vrcnn_model_network_size(const VrcnnModel *model, int index)
{
    if (!model)
        return VRCNN_ERROR_ARGUMENT;
    return index < 0 || index >= model->networks ? (int)VRCNN_ERROR_INDEX : model->network[index].size;
}

int vrcnn_model_network_heads(const VrcnnModel *model, int index)
{
    if (!model)
        return VRCNN_ERROR_ARGUMENT;
    return index < 0 || index >= model->networks ? (int)VRCNN_ERROR_INDEX : model->network[index].heads;
}

/* The nearest of those that `size` allows: one size, or any if it is negative. */
static int nearest(const VrcnnModel *model, VrcnnPosition position, int kind, int size, int qp)
{
    int best = VRCNN_ERROR_POSITION, best_distance = 0;
    for (int i = 0; i < model->networks; i++) {
        const VrcnnNetwork *network = model->network + i;
        const int distance = abs(network->nominal_qp - qp);
        if (network->position == (int)position && network->kind == kind && (size < 0 || network->size == size) &&
            (best < 0 || distance < best_distance)) {
            best = i;
            best_distance = distance;
        }
    }
    return best;
}

int vrcnn_model_find(const VrcnnModel *model, VrcnnPosition position, VrcnnKind kind, VrcnnSize size, int qp)
{
    if (!model)
        return VRCNN_ERROR_ARGUMENT;
    if (qp < -12 || qp > 51)
        return VRCNN_ERROR_QP;
    const int of_size = nearest(model, position, (int)kind, (int)size, qp);
    return of_size >= 0 ? of_size : nearest(model, position, (int)kind, -1, qp);
}

int vrcnn_model_index_for_qp(const VrcnnModel *model, VrcnnPosition position, int qp)
{
    if (!model)
        return VRCNN_ERROR_ARGUMENT;
    return qp < -12 || qp > 51 ? (int)VRCNN_ERROR_QP : nearest(model, position, VRCNN_LUMA, -1, qp);
}
