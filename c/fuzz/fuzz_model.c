/* Fuzz target: the reader of model sets. What it accepts is filtered with.
 * Input: a byte (bit 0: magic, version, size and identity are made right, so that the networks are looked at; bit 1: to version 2), kernel,
 * threads, the file.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fuzz.h"
#include "sha256.h"
#include "support.h"

enum {
    WIDTH = 21,
    HEIGHT = 6,
    CHROMA_WIDTH = 11,
    CHROMA_HEIGHT = 3,
    LUMA = WIDTH * HEIGHT,
    CHROMA = CHROMA_WIDTH * CHROMA_HEIGHT,
    IDENTITY = 32
};

/* The file in memory of exactly its size. */
static uint8_t *make_file(Input *in, int is_made_right, int version, size_t *size)
{
    const size_t given = left(in);
    uint8_t *file;
    *size = given + (is_made_right ? IDENTITY : 0);
    file = malloc(*size ? *size : 1);
    MUST(file);
    if (given)
        memcpy(file, in->at, given);
    if (is_made_right && given >= 16) {
        memcpy(file, "VRCNNINT", 8);
        file[8] = (uint8_t)version;
        file[9] = 0;
        for (int i = 0; i < 4; i++)
            file[12 + i] = (uint8_t)(*size >> 8 * i);
    }
    if (is_made_right)
        vrcnn_sha256(file + given, file, given);
    return file;
}

static void check_refusal(VrcnnError error, const VrcnnModel *model, const VrcnnFault *fault)
{
    const int is_explained = error == VRCNN_ERROR_LIMIT || error == VRCNN_ERROR_OVERFLOW;
    MUST(error <= VRCNN_ERROR_TRUNCATED && error >= VRCNN_ERROR_OVERFLOW && !model);
    MUST(fault->field && is_explained == (*fault->field != 0));
    MUST(is_explained || (fault->network == -1 && fault->layer == -1 && fault->branch == -1 && fault->channel == -1));
}

/* Three planes of 4:2:0, one after the other. */
static void lay_out(VrcnnPlane planes[3], uint8_t samples[LUMA + 2 * CHROMA])
{
    for (int i = 0; i < 3; i++) {
        const VrcnnPlane plane = {samples + (i ? LUMA + (i - 1) * CHROMA : 0),
                                  i ? CHROMA_WIDTH : WIDTH,
                                  i ? CHROMA_WIDTH : WIDTH,
                                  i ? CHROMA_HEIGHT : HEIGHT,
                                  8,
                                  1};
        planes[i] = plane;
    }
}

/* Of heads' weights, any that are allowed. */
static VrcnnWeights weights_of(int n, int heads)
{
    const VrcnnWeights one = {{1 + n % 10, 0}, {10 - n % 10, 0}}, two = {{n % 16 - 5, 8}, {10 - n % 16, -5}};
    return heads > 1 ? two : one;
}

/* A picture, with the kernel that the input wants and the scalar one. */
static void filter_with(VrcnnContext *const contexts[2], int n, int is_joint, int heads)
{
    static uint8_t in[LUMA + 2 * CHROMA], out[2][LUMA + 2 * CHROMA];
    const VrcnnWeights weights = weights_of(n, heads);
    VrcnnPlane planes[3];
    VrcnnConstPlane src[3];
    for (int i = 0; i < LUMA + 2 * CHROMA; i++)
        in[i] = (uint8_t)(i * i * 37 + i);
    lay_out(planes, in);
    for (int i = 0; i < 3; i++)
        src[i] = constant(planes + i);
    for (int i = 0; i < 2; i++) {
        memcpy(out[i], in, sizeof in);
        lay_out(planes, out[i]);
        if (!is_joint)
            MUST(!vrcnn_filter_picture(contexts[i], n, 1 + n % 10, planes, src));
        else
            MUST(vrcnn_filter_picture(contexts[i], n, 8, planes, src) == VRCNN_ERROR_KIND &&
                 !vrcnn_filter_planes(contexts[i], n, &weights, planes, src));
    }
    MUST(!memcmp(out[0], out[1], sizeof out[0]));
}

/* What the library says of every network, and what it does with it. */
static void look_at(const VrcnnModel *model, VrcnnContext *context)
{
    VrcnnContext *contexts[2] = {context, NULL};
    VrcnnSettings settings;
    MUST(!vrcnn_default_settings(&settings, sizeof settings));
    settings.kernel = VRCNN_KERNEL_SCALAR;
    MUST(!vrcnn_open(contexts + 1, model, &settings));
    for (int n = 0; n < vrcnn_model_networks(model); n++) {
        VrcnnNetworkInfo info;
        MUST(!vrcnn_model_network_info(model, n, &info));
        const int kind = vrcnn_model_network_kind(model, n), outputs = info.channels[info.layers - 1];
        MUST(kind == VRCNN_LUMA || kind == VRCNN_JOINT);
        MUST(info.layers >= 2 && info.layers <= VRCNN_MAX_LAYERS && info.halo >= 0 && info.halo <= 4 * VRCNN_MAX_LAYERS);
        MUST(info.nominal_qp >= -12 && info.nominal_qp <= 51);
        MUST(kind == VRCNN_JOINT ? outputs == 6 || outputs == 12 : outputs == 1);
        MUST(kind == VRCNN_JOINT || vrcnn_model_index_for_qp(model, info.position, info.nominal_qp) <= n);
        for (int i = 0; i < VRCNN_MAX_LAYERS; i++)
            MUST(i < info.layers - 1 ? info.channels[i] >= 16 && info.channels[i] <= VRCNN_MAX_CHANNELS && info.channels[i] % 16 == 0
                                     : i == info.layers - 1 || !info.channels[i]);
        filter_with(contexts, n, kind == VRCNN_JOINT, outputs / 6);
    }
    vrcnn_close(contexts[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = {data, data + size};
    const int first = pick(&in, 0, 255), is_made_right = first & 1;
    Input choice = in;
    VrcnnModel *model;
    VrcnnFault fault;
    size_t file_size;
    in.at += left(&in) < 2 ? left(&in) : 2;
    uint8_t *file = make_file(&in, is_made_right, first & 2 ? 2 : 1, &file_size);
    const VrcnnError error = vrcnn_model_load(&model, file, file_size, &fault);
    if (error) {
        check_refusal(error, model, &fault);
    } else {
        uint8_t id[VRCNN_ID_SIZE];
        MUST(!vrcnn_model_id(model, id) && !memcmp(id, file + file_size - IDENTITY, sizeof id));
        VrcnnContext *context = open_any(&choice, model);
        look_at(model, context);
        vrcnn_close(context);
        vrcnn_model_free(model);
    }
    free(file);
    return 0;
}
