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
    VrcnnPlaneSideinfo info;
    int width, height;
    uint8_t luma[VRCNN_MAX_UNITS], chroma[VRCNN_MAX_UNITS], scratch[VRCNN_MAX_UNITS];
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
    receiver->info.luma_mode = receiver->info.chroma_mode = VRCNN_MODE_OFF;
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

/* 1 if the set's identity begins with what the side information has of it. */
static int is_named(const VrcnnModel *model, const VrcnnPlaneSideinfo *info)
{
    uint8_t id[VRCNN_ID_SIZE];
    const size_t size = info->version == 1 ? VRCNN_SIDEINFO_ID_SIZE : VRCNN_SIDEINFO_SHORT_ID_SIZE;
    return model && !vrcnn_model_id(model, id) && !memcmp(id, info->identity, size);
}

/* The set that is named: the one that was given, or one that is built in. */
static VrcnnError find_set(VrcnnReceiver *receiver, VrcnnModel **model, const VrcnnPlaneSideinfo *info)
{
    *model = receiver->given;
    if (is_named(*model, info))
        return VRCNN_OK;
    for (int i = 0; vrcnn_builtin_name(i); i++) {
        size_t size = 0;
        const void *const file = vrcnn_builtin_file(vrcnn_builtin_name(i), &size);
        const VrcnnError error = vrcnn_model_load(model, file, size, NULL);
        if (!error && is_named(*model, info))
            return VRCNN_OK;
        vrcnn_model_free(*model);
        if (error == VRCNN_ERROR_MEMORY)
            return error;
    }
    return VRCNN_ERROR_SIDEINFO_MODEL;
}

static VrcnnError open_set(VrcnnReceiver *receiver, const VrcnnPlaneSideinfo *info)
{
    VrcnnModel *model;
    if (receiver->context && is_named(receiver->model, info))
        return VRCNN_OK;
    VrcnnError error = find_set(receiver, &model, info);
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

static VrcnnError check_filter(const VrcnnModel *model, const VrcnnPlaneSideinfo *info, const VrcnnListedFilter *filter)
{
    if (filter->index >= model->networks)
        return VRCNN_ERROR_INDEX;
    const VrcnnNetwork *network = &model->network[filter->index];
    if (info->version == 1 ? network->kind != VRCNN_LUMA : network->kind != VRCNN_JOINT && info->chroma_mode != VRCNN_MODE_OFF)
        return VRCNN_ERROR_KIND;
    return filter->heads == network->heads ? VRCNN_OK : VRCNN_ERROR_SIDEINFO_HEADS;
}

/* Sees to it that all networks that the side information names are there. */
static VrcnnError open_networks(VrcnnReceiver *receiver, const VrcnnPlaneSideinfo *info)
{
    VrcnnError error = info->has_identity ? open_set(receiver, info) : VRCNN_OK;
    for (int i = 0; i < VRCNN_MAX_CHOICES && i < info->filters && !error; i++)
        error = check_filter(receiver->model, info, info->filter + i);
    return error;
}

/* The side information of a signalled picture. old: where it goes too, if no other version than the first is wanted. */
static VrcnnError read_sideinfo(VrcnnReceiver *receiver, VrcnnPlaneSideinfo *info, VrcnnSideinfo *old, const uint8_t *extension,
                                size_t size, int is_irap)
{
    const int width = receiver->width, height = receiver->height;
    if (!old)
        return vrcnn_sideinfo_parse_planes(info, receiver->luma, receiver->chroma, VRCNN_MAX_UNITS, extension, size, receiver->info.version,
                                           is_irap, width, height);
    const VrcnnError error = vrcnn_sideinfo_parse(old, receiver->luma, VRCNN_MAX_UNITS, extension, size, is_irap, width, height);
    *info = vrcnn_sideinfo_of_luma(old);
    return error;
}

/* What both calls do. *is_read: receiver->info, and *old, are the picture's, whatever else is wrong. */
static VrcnnError begin(VrcnnReceiver *receiver, int *is_read, VrcnnSideinfo *old, const uint8_t *extension, size_t size, int is_irap,
                        int width, int height)
{
    VrcnnPlaneSideinfo read = {0};
    VrcnnError error = VRCNN_OK;
    if (is_irap) {
        receiver->is_signalled = vrcnn_sideinfo_has_magic(extension, size);
        receiver->error = VRCNN_OK;
    }
    receiver->width = width;
    receiver->height = height;
    if (receiver->error)
        return receiver->error;
    if (receiver->is_signalled)
        error = read_sideinfo(receiver, &read, old, extension, size, is_irap);
    if (error)
        return hold(receiver, error);
    *is_read = 1;
    receiver->info = read;
    return hold(receiver, open_networks(receiver, &read));
}

VrcnnError vrcnn_receiver_picture(VrcnnReceiver *receiver, const uint8_t *extension, size_t size, int is_irap, int width, int height,
                                  VrcnnSideinfo *info)
{
    VrcnnSideinfo read = {0};
    int is_read = 0;
    if (!receiver || !info || (!extension && size))
        return VRCNN_ERROR_ARGUMENT;
    const VrcnnError error = begin(receiver, &is_read, &read, extension, size, is_irap, width, height);
    if (is_read && (!error || error == VRCNN_ERROR_SIDEINFO_MODEL || error == VRCNN_ERROR_INDEX))
        *info = read;
    return error;
}

VrcnnError vrcnn_receiver_picture_planes(VrcnnReceiver *receiver, const uint8_t *extension, size_t size, int is_irap, int width, int height,
                                         VrcnnPlaneSideinfo *info)
{
    int is_read = 0;
    if (!receiver || !info || (!extension && size))
        return VRCNN_ERROR_ARGUMENT;
    const VrcnnError error = begin(receiver, &is_read, NULL, extension, size, is_irap, width, height);
    if (is_read && (!error || error == VRCNN_ERROR_SIDEINFO_MODEL || error == VRCNN_ERROR_INDEX || error == VRCNN_ERROR_KIND ||
                    error == VRCNN_ERROR_SIDEINFO_HEADS))
        *info = receiver->info;
    return error;
}

/* ---- samples ---- */

static int is_depth(int bit_depth)
{
    return bit_depth >= 8 && bit_depth <= 10;
}

/* What the stream may not have, in the specification's order. */
static VrcnnError check_planes(const VrcnnReceiver *receiver, int luma_sao, int chroma_sao, const VrcnnConstPlane *src)
{
    const VrcnnPlaneSideinfo *info = &receiver->info;
    const int luma = info->luma_mode != VRCNN_MODE_OFF, chroma = info->chroma_mode != VRCNN_MODE_OFF;
    if (!is_depth(src[0].bit_depth))
        return VRCNN_ERROR_BIT_DEPTH;
    if (chroma && (!src[1].data || !src[2].data || !is_depth(src[1].bit_depth)))
        return VRCNN_ERROR_SIDEINFO_CHROMA;
    if (info->position == VRCNN_BEFORE_DEBLOCKING && ((luma && luma_sao) || (chroma && chroma_sao)))
        return VRCNN_ERROR_SIDEINFO_SAO;
    return src[0].width == receiver->width && src[0].height == receiver->height ? VRCNN_OK : VRCNN_ERROR_PLANE;
}

static VrcnnError apply(VrcnnReceiver *receiver, const uint8_t *kept, const VrcnnPlane *dst, const VrcnnConstPlane *src)
{
    const VrcnnMaps maps = {receiver->luma, receiver->chroma, receiver->scratch};
    return hold(receiver, vrcnn_apply(receiver->context, &receiver->info, &maps, kept, dst, src));
}

VrcnnError vrcnn_receiver_filter(VrcnnReceiver *receiver, int luma_sao, const uint8_t *kept, const VrcnnPlane *dst,
                                 const VrcnnConstPlane *src)
{
    if (!receiver || !dst || !src)
        return VRCNN_ERROR_ARGUMENT;
    const VrcnnPlaneSideinfo *info = &receiver->info;
    if (receiver->error || (info->luma_mode == VRCNN_MODE_OFF && info->chroma_mode == VRCNN_MODE_OFF))
        return receiver->error;
    if (info->version != 1)
        return VRCNN_ERROR_ARGUMENT;
    if (info->position == VRCNN_BEFORE_DEBLOCKING && luma_sao)
        return hold(receiver, VRCNN_ERROR_SIDEINFO_SAO);
    if (src->width != receiver->width || src->height != receiver->height)
        return hold(receiver, VRCNN_ERROR_PLANE);
    const VrcnnPlane written[3] = {*dst};
    const VrcnnConstPlane read[3] = {*src};
    return apply(receiver, kept, written, read);
}

VrcnnError vrcnn_receiver_filter_planes(VrcnnReceiver *receiver, int luma_sao, int chroma_sao, const uint8_t *kept, const VrcnnPlane dst[3],
                                        const VrcnnConstPlane src[3])
{
    VrcnnError error;
    if (!receiver || !dst || !src || !src[0].data)
        return VRCNN_ERROR_ARGUMENT;
    const VrcnnPlaneSideinfo *info = &receiver->info;
    const int luma = info->luma_mode != VRCNN_MODE_OFF, chroma = info->chroma_mode != VRCNN_MODE_OFF;
    if (receiver->error || (!luma && !chroma))
        return receiver->error;
    if ((luma && !dst[0].data) || (chroma && (!dst[1].data || !dst[2].data)))
        return VRCNN_ERROR_ARGUMENT;
    if ((error = check_planes(receiver, luma_sao, chroma_sao, src)))
        return hold(receiver, error);
    return apply(receiver, kept, dst, src);
}
