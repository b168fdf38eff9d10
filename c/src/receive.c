/* A decoder's side of the filter: the state of a stream, from one IRAP picture to the next, and what is done to each of its pictures.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "conv.h"
#include "model.h"
#include "settings.h"
#include "sideinfo.h"

enum { FIRST_IRAP = 16, LAST_IRAP = 23 }; /* values of nal_unit_type */

struct VrcnnReceiver {
    VrcnnSettings settings;
    VrcnnModel *given; /* NULL: only what is built in */
    VrcnnModel *model; /* in use, as is the context */
    VrcnnContext *context;

    /* Of slice segments, which may be ahead of the pictures. */
    int are_signalled; /* the last IRAP picture whose first segment is known carried the magic */
    int has_segment;   /* there was one, the last of them: */
    int nal_unit_type, poc, address;

    /* Of pictures. */
    int is_signalled; /* as are_signalled */
    VrcnnError error; /* until the next IRAP picture */
    VrcnnSideinfo info;
    int width, height;
    uint8_t unit[VRCNN_MAX_UNITS];
};

/* Returns the error, if it is one, and again for each picture to come. */
static VrcnnError hold(VrcnnReceiver *receiver, VrcnnError error)
{
    receiver->error = error;
    return error;
}

/* ---- opening ---- */

VrcnnError vrcnn_receiver_open(VrcnnReceiver **out, const VrcnnSettings *settings, const void *file, size_t size)
{
    VrcnnSettings known;
    VrcnnKernelTable table;
    VrcnnModel *given = NULL;
    VrcnnError error;
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    if (!file && size)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = vrcnn_read_settings(&known, settings)))
        return error;
    /* Not with auto, which always finds some: it would ask the system for AMX, maybe for nothing. */
    if (known.kernel != VRCNN_KERNEL_AUTO && (error = vrcnn_kernel_table(&table, known.kernel)))
        return error;
    if (file && (error = vrcnn_model_load(&given, file, size, NULL)))
        return error;
    VrcnnReceiver *receiver = calloc(1, sizeof *receiver);
    if (!receiver) {
        vrcnn_model_free(given);
        return VRCNN_ERROR_MEMORY;
    }
    receiver->settings = known;
    receiver->given = given;
    *out = receiver;
    return VRCNN_OK;
}

static void close_set(VrcnnReceiver *receiver)
{
    vrcnn_close(receiver->context);
    if (receiver->model != receiver->given)
        vrcnn_model_free(receiver->model);
    receiver->context = NULL;
    receiver->model = NULL;
}

void vrcnn_receiver_close(VrcnnReceiver *receiver)
{
    if (!receiver)
        return;
    close_set(receiver);
    vrcnn_model_free(receiver->given);
    free(receiver);
}

void vrcnn_receiver_reset(VrcnnReceiver *receiver)
{
    if (!receiver)
        return;
    receiver->are_signalled = receiver->has_segment = receiver->is_signalled = 0;
    receiver->error = VRCNN_OK;
    receiver->info.mode = VRCNN_MODE_OFF;
}

const VrcnnContext *vrcnn_receiver_context(const VrcnnReceiver *receiver)
{
    return receiver ? receiver->context : NULL;
}

const VrcnnModel *vrcnn_receiver_model(const VrcnnReceiver *receiver)
{
    return receiver ? receiver->model : NULL;
}

/* ---- the stream's model set ---- */

static int has_identity(const VrcnnModel *model, const uint8_t identity[VRCNN_SIDEINFO_ID_SIZE])
{
    uint8_t id[VRCNN_ID_SIZE];
    return model && !vrcnn_model_id(model, id) && !memcmp(id, identity, VRCNN_SIDEINFO_ID_SIZE);
}

/* The set with an identity that begins so: the one that was given, or one that is built in. */
static VrcnnError find_set(VrcnnReceiver *receiver, VrcnnModel **model, const uint8_t identity[VRCNN_SIDEINFO_ID_SIZE])
{
    static const VrcnnPosition positions[] = {VRCNN_BEFORE_DEBLOCKING, VRCNN_AFTER_SAO};
    *model = receiver->given;
    if (has_identity(*model, identity))
        return VRCNN_OK;
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        const VrcnnError error = vrcnn_model_builtin(model, positions[i]);
        if (!error && has_identity(*model, identity))
            return VRCNN_OK;
        vrcnn_model_free(*model);
        if (error == VRCNN_ERROR_MEMORY)
            return error;
    }
    return VRCNN_ERROR_SIDEINFO_MODEL;
}

static VrcnnError open_set(VrcnnReceiver *receiver, const uint8_t identity[VRCNN_SIDEINFO_ID_SIZE])
{
    VrcnnModel *model;
    if (receiver->context && has_identity(receiver->model, identity))
        return VRCNN_OK;
    VrcnnError error = find_set(receiver, &model, identity);
    if (error)
        return error;
    close_set(receiver); /* before the other one is opened: only one of them takes memory */
    receiver->model = model;
    if ((error = vrcnn_open(&receiver->context, model, &receiver->settings)))
        close_set(receiver);
    return error;
}

/* ---- slice segments ---- */

VrcnnError vrcnn_receiver_lost(VrcnnReceiver *receiver, int is_irap)
{
    if (!receiver)
        return VRCNN_ERROR_ARGUMENT;
    /* An IRAP picture, too: whether a lost one carried the magic nobody knows, so it is taken to be as the one before it. */
    (void)is_irap;
    return receiver->are_signalled ? hold(receiver, VRCNN_ERROR_SIDEINFO_LOST) : VRCNN_OK;
}

/* 1 if the segment is of the same picture as the last one. */
static int continues(const VrcnnReceiver *receiver, const VrcnnSegment *segment)
{
    return receiver->has_segment && receiver->nal_unit_type == segment->nal_unit_type && receiver->poc == segment->poc &&
           receiver->address < segment->address;
}

VrcnnError vrcnn_receiver_segment(VrcnnReceiver *receiver, const VrcnnSegment *segment)
{
    VrcnnError error;
    if (!receiver || !segment || (!segment->extension && segment->size))
        return VRCNN_ERROR_ARGUMENT;
    const int is_irap = segment->nal_unit_type >= FIRST_IRAP && segment->nal_unit_type <= LAST_IRAP;
    if (!segment->is_first && !continues(receiver, segment) && (error = vrcnn_receiver_lost(receiver, is_irap)))
        return error;
    if (segment->is_first && is_irap)
        receiver->are_signalled = vrcnn_sideinfo_has_magic(segment->extension, segment->size);
    receiver->has_segment = 1;
    receiver->nal_unit_type = segment->nal_unit_type;
    receiver->poc = segment->poc;
    receiver->address = segment->address;
    return VRCNN_OK;
}

/* ---- pictures ---- */

/* Sees to it that all networks that the side information names are there. */
static VrcnnError open_networks(VrcnnReceiver *receiver, const VrcnnSideinfo *info)
{
    VrcnnError error = info->has_identity ? open_set(receiver, info->identity) : VRCNN_OK;
    for (int i = 0; i < VRCNN_MAX_CHOICES && i < info->networks && !error; i++)
        if (info->index[i] >= receiver->model->networks)
            error = VRCNN_ERROR_INDEX;
        else if (receiver->model->network[info->index[i]].kind != VRCNN_LUMA)
            error = VRCNN_ERROR_KIND; /* version 1 knows luma only */
    return error;
}

VrcnnError vrcnn_receiver_picture(VrcnnReceiver *receiver, const uint8_t *extension, size_t size, int is_irap, int width, int height,
                                  VrcnnSideinfo *info)
{
    VrcnnSideinfo read = {0};
    VrcnnError error = VRCNN_OK;
    if (!receiver || !info || (!extension && size))
        return VRCNN_ERROR_ARGUMENT;
    if (is_irap) {
        receiver->is_signalled = vrcnn_sideinfo_has_magic(extension, size);
        receiver->error = VRCNN_OK;
    }
    receiver->width = width;
    receiver->height = height;
    if (receiver->error)
        return receiver->error;
    if (receiver->is_signalled)
        error = vrcnn_sideinfo_parse(&read, receiver->unit, VRCNN_MAX_UNITS, extension, size, is_irap, width, height);
    if (error)
        return hold(receiver, error);
    receiver->info = read;
    error = open_networks(receiver, &read);
    if (!error || error == VRCNN_ERROR_SIDEINFO_MODEL || error == VRCNN_ERROR_INDEX)
        *info = read;
    return hold(receiver, error);
}

VrcnnError vrcnn_receiver_filter(VrcnnReceiver *receiver, int luma_sao, const uint8_t *kept, const VrcnnPlane *dst,
                                 const VrcnnConstPlane *src)
{
    if (!receiver || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    const VrcnnSideinfo *info = &receiver->info;
    if (receiver->error || info->mode == VRCNN_MODE_OFF)
        return receiver->error;
    if (info->position == VRCNN_BEFORE_DEBLOCKING && luma_sao)
        return hold(receiver, VRCNN_ERROR_SIDEINFO_SAO);
    if (src->width != receiver->width || src->height != receiver->height)
        return hold(receiver, VRCNN_ERROR_PLANE);
    return hold(receiver, vrcnn_apply(receiver->context, info, receiver->unit, kept, dst, src));
}
