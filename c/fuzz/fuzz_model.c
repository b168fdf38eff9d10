/* Fuzz target: the reader of model sets. What it accepts is filtered with.
 * Input: a byte (bit 0: magic, version, size and identity are made right, so that the networks are looked at), kernel, threads, the file.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fuzz.h"
#include "sha256.h"

enum { WIDTH = 21, HEIGHT = 6, IDENTITY = 32 };

/* The file in memory of exactly its size. */
static uint8_t *make_file(Input *in, int is_made_right, size_t *size)
{
    const size_t given = left(in);
    uint8_t *file;
    *size = given + (is_made_right ? IDENTITY : 0);
    file = malloc(*size ? *size : 1);
    MUST(file);
    if (given)
        memcpy(file, in->at, given);
    if (is_made_right && given >= 16) {
        memcpy(file, "VRCNNINT\1", 10);
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

/* Every network, with the kernel that the input wants and the scalar one. */
static void filter_with(const VrcnnModel *model, VrcnnContext *context)
{
    static uint8_t in[WIDTH * HEIGHT], out[2][WIDTH * HEIGHT];
    const VrcnnConstPlane src = {in, WIDTH, WIDTH, HEIGHT, 8, 1};
    const VrcnnPlane dst[2] = {{out[0], WIDTH, WIDTH, HEIGHT, 8, 1}, {out[1], WIDTH, WIDTH, HEIGHT, 8, 1}};
    VrcnnContext *scalar;
    VrcnnSettings settings;
    MUST(!vrcnn_default_settings(&settings, sizeof settings));
    settings.kernel = VRCNN_KERNEL_SCALAR;
    MUST(!vrcnn_open(&scalar, model, &settings));
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        in[i] = (uint8_t)(i * i * 37 + i);
    for (int n = 0; n < vrcnn_model_networks(model); n++) {
        VrcnnNetworkInfo info;
        MUST(!vrcnn_model_network_info(model, n, &info));
        MUST(info.layers >= 2 && info.layers <= VRCNN_MAX_LAYERS && info.halo >= 0 && info.halo <= 2 * VRCNN_MAX_LAYERS);
        MUST(info.nominal_qp >= -12 && info.nominal_qp <= 51 && vrcnn_model_index_for_qp(model, info.position, info.nominal_qp) <= n);
        for (int i = 0; i < VRCNN_MAX_LAYERS; i++)
            MUST(i < info.layers - 1 ? info.channels[i] >= 16 && info.channels[i] <= VRCNN_MAX_CHANNELS && info.channels[i] % 16 == 0
                                     : info.channels[i] == (i == info.layers - 1));
        MUST(!vrcnn_filter_picture(context, n, 1 + n % 10, &dst[0], &src) && !vrcnn_filter_picture(scalar, n, 1 + n % 10, &dst[1], &src));
        MUST(!memcmp(out[0], out[1], sizeof out[0]));
    }
    vrcnn_close(scalar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = {data, data + size};
    const int is_made_right = pick(&in, 0, 255) & 1;
    Input choice = in;
    VrcnnModel *model;
    VrcnnFault fault;
    size_t file_size;
    in.at += left(&in) < 2 ? left(&in) : 2;
    uint8_t *file = make_file(&in, is_made_right, &file_size);
    const VrcnnError error = vrcnn_model_load(&model, file, file_size, &fault);
    if (error) {
        check_refusal(error, model, &fault);
    } else {
        uint8_t id[VRCNN_ID_SIZE];
        MUST(!vrcnn_model_id(model, id) && !memcmp(id, file + file_size - IDENTITY, sizeof id));
        VrcnnContext *context = open_any(&choice, model);
        filter_with(model, context);
        vrcnn_close(context);
        vrcnn_model_free(model);
    }
    free(file);
    return 0;
}
