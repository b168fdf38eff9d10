/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L

#include "sets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A regular file that is open, or NULL and what is wrong. A pipe is not waited for. */
static FILE *open_set(const char *path, const char **fault)
{
    struct stat status;
    const int descriptor = open(path, O_RDONLY | O_NONBLOCK);
    const int is_file = descriptor >= 0 && !fstat(descriptor, &status) && S_ISREG(status.st_mode);
    FILE *file = is_file ? fdopen(descriptor, "rb") : NULL;
    if (descriptor < 0)
        *fault = errno == ENOENT ? "there is no such file, nor such a built-in set" : "this file cannot be read";
    else if (!is_file)
        *fault = "this is not a regular file";
    if (descriptor >= 0 && !file)
        close(descriptor);
    return file;
}

VrcnnModel *load_set(const char *name, const char **fault)
{
    enum { LARGEST = 64 << 20 }; /* far more than 32 networks have */
    VrcnnModel *model = NULL;
    size_t size;
    const void *builtin = vrcnn_builtin_file(name, &size);
    VrcnnError error = VRCNN_ERROR_MEMORY;
    *fault = NULL;
    if (builtin) {
        error = vrcnn_model_load(&model, builtin, size, NULL);
    } else {
        FILE *file = open_set(name, fault);
        unsigned char *data = file ? malloc(LARGEST) : NULL;
        if (data)
            error = vrcnn_model_load(&model, data, fread(data, 1, LARGEST, file), NULL);
        free(data);
        if (file)
            fclose(file);
    }
    if (error && !*fault)
        *fault = vrcnn_strerror(error);
    return model;
}

const char *default_set(VrcnnPosition position, int luma)
{
    return position == VRCNN_AFTER_SAO && !luma ? "joint_post" : "vrcnn_intra";
}

void names_of_sets(char *text, size_t size, int position, VrcnnKind kind)
{
    size_t length = 0;
    text[0] = 0;
    for (int i = 0; vrcnn_builtin_name(i); i++) {
        const char *fault;
        VrcnnModel *model = position < 0 ? NULL : load_set(vrcnn_builtin_name(i), &fault);
        const int fits = position < 0 || (model && vrcnn_model_find(model, (VrcnnPosition)position, kind, VRCNN_BEST, 32) >= 0);
        vrcnn_model_free(model);
        if (fits && length < size) {
            const int added = snprintf(text + length, size - length, "%s%s", length ? ", " : "", vrcnn_builtin_name(i));
            length += added > 0 ? (size_t)added : 0;
        }
    }
}

int is_there(const char *path)
{
    return !access(path, F_OK) || errno != ENOENT;
}

VrcnnKind kind_of_set(const VrcnnModel *model)
{
    for (int i = 0; i < vrcnn_model_networks(model); i++)
        if (vrcnn_model_network_kind(model, i) == VRCNN_LUMA)
            return VRCNN_LUMA;
    return VRCNN_JOINT;
}

VrcnnWeights weights_of(int strength)
{
    VrcnnWeights weights;
    for (int h = 0; h < VRCNN_MAX_HEADS; h++)
        weights.luma[h] = weights.chroma[h] = strength;
    return weights;
}
