/* An encoder's side of the filter: a model set and all that deciding on a stream's pictures needs, in the version of side information that
 * the set's networks are for.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "decide.h"
#include "decide_planes.h"
#include "sideinfo.h"

enum { ANY_QP = 32 }; /* whether there is a network does not depend on it */

struct VrcnnSender {
    VrcnnModel *model;
    VrcnnContext *context;
    VrcnnPosition position;
    VrcnnKind kind;
    VrcnnDecider *luma; /* one of them, by the kind */
    VrcnnPlaneDecider *planes;
};

/* Joint networks come first: who wants the luma networks of a set that has both takes a set of these alone. */
static VrcnnError find_kind(VrcnnSender *sender)
{
    static const VrcnnKind kinds[] = {VRCNN_JOINT, VRCNN_LUMA};
    int found = VRCNN_ERROR_POSITION;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && found < 0; i++) {
        sender->kind = kinds[i];
        found = vrcnn_model_find(sender->model, sender->position, kinds[i], VRCNN_BEST, ANY_QP);
    }
    return found < 0 ? (VrcnnError)found : VRCNN_OK;
}

VrcnnError vrcnn_sender_open(VrcnnSender **out, const VrcnnSettings *settings, const void *file, size_t size, VrcnnPosition position,
                             int width, int height)
{
    VrcnnError error;
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    if (!file && size)
        return VRCNN_ERROR_ARGUMENT;
    VrcnnSender *sender = calloc(1, sizeof *sender);
    if (!sender)
        return VRCNN_ERROR_MEMORY;
    sender->position = position;
    error = file ? vrcnn_model_load(&sender->model, file, size, NULL) : vrcnn_model_builtin(&sender->model, position);
    if (!error)
        error = find_kind(sender);
    if (!error)
        error = vrcnn_open(&sender->context, sender->model, settings);
    if (!error)
        error = sender->kind == VRCNN_JOINT ? vrcnn_plane_decider_open(&sender->planes, sender->model, width, height, VRCNN_MAX_CHOICES)
                                            : vrcnn_decider_open(&sender->luma, sender->model, width, height);
    if (error) {
        vrcnn_sender_close(sender);
        return error;
    }
    *out = sender;
    return VRCNN_OK;
}

void vrcnn_sender_close(VrcnnSender *sender)
{
    if (!sender)
        return;
    vrcnn_decider_close(sender->luma);
    vrcnn_plane_decider_close(sender->planes);
    vrcnn_close(sender->context);
    vrcnn_model_free(sender->model);
    free(sender);
}

int vrcnn_sender_kind(const VrcnnSender *sender)
{
    return sender ? (int)sender->kind : VRCNN_ERROR_ARGUMENT;
}

const VrcnnContext *vrcnn_sender_context(const VrcnnSender *sender)
{
    return sender ? sender->context : NULL;
}

const VrcnnModel *vrcnn_sender_model(const VrcnnSender *sender)
{
    return sender ? sender->model : NULL;
}

/* user_data_unregistered( ) with a UUID of its own and a text, whose places for version and identity are filled in. */
VrcnnError vrcnn_sender_sei(const VrcnnSender *sender, uint8_t rbsp[VRCNN_SEI_SIZE])
{
    static const uint8_t head[] = {5, 50, 0x5f, 0x30, 0x36, 0xe8, 0x7c, 0xfd, 0x41, 0x0d, 0x84, 0x4d, 0x95, 0x42, 0x6d, 0x70, 0x8d, 0x4a};
    static const char text[] = "vrcnn-int loop v", digits[] = "0123456789abcdef";
    uint8_t identity[VRCNN_ID_SIZE];
    if (!sender || !rbsp)
        return VRCNN_ERROR_ARGUMENT;
    uint8_t *at = rbsp;
    memcpy(at, head, sizeof head);
    at += sizeof head;
    memcpy(at, text, sizeof text - 1);
    at += sizeof text - 1;
    *at++ = sender->kind == VRCNN_JOINT ? '2' : '1';
    *at++ = ' ';
    vrcnn_model_id(sender->model, identity);
    for (int i = 0; i < 8; i++) {
        *at++ = (uint8_t)digits[identity[i] >> 4];
        *at++ = (uint8_t)digits[identity[i] & 15];
    }
    *at = 0x80;
    return VRCNN_OK;
}

static VrcnnError decide_luma(VrcnnSender *sender, const VrcnnPlaneDecisionInput *input, const VrcnnPlane *dst,
                              VrcnnPlaneDecision *decision)
{
    const VrcnnDecisionInput luma = {.original = input->original[0],
                                     .source = input->source[0],
                                     .base = input->base[0],
                                     .kept = input->kept,
                                     .position = sender->position,
                                     .qp = input->qp,
                                     .is_irap = input->is_irap,
                                     .map = input->map,
                                     .lambda = input->lambda,
                                     .ordinary_cost = input->luma_cost};
    VrcnnDecision found;
    const VrcnnError error = vrcnn_decide(sender->luma, sender->context, &luma, dst, &found);
    if (error)
        return error;
    *decision =
        (VrcnnPlaneDecision){.info = vrcnn_sideinfo_of_luma(&found.info), .luma = found.unit, .size = found.size, .cost = found.cost};
    for (size_t i = 0; i < found.size; i++)
        decision->data[i] = found.data[i];
    return VRCNN_OK;
}

VrcnnError vrcnn_sender_decide(VrcnnSender *sender, const VrcnnPlaneDecisionInput *input, const VrcnnPlane dst[3],
                               VrcnnPlaneDecision *decision)
{
    if (!sender || !input || !dst || !decision)
        return VRCNN_ERROR_ARGUMENT;
    if (sender->kind == VRCNN_LUMA)
        return decide_luma(sender, input, dst, decision);
    VrcnnPlaneDecisionInput own = *input;
    own.position = sender->position;
    own.kind = sender->kind;
    return vrcnn_decide_planes(sender->planes, sender->context, &own, dst, decision);
}
