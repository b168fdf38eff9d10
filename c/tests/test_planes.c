/* Tests of three planes from an encoder to a decoder: test_planes [SEED]. What is decided on pictures goes through a receiver, which has to
 * make the encoder's samples of it. The networks are those of the conformance suite; tests/codec_bridge/library compares with the oracle.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocations.h"
#include "support.h"

enum { WIDTH = 205, HEIGHT = 131, PLANES = 3, SAMPLES = WIDTH * HEIGHT, MOST_BLOCKS = (WIDTH / 8 + 1) * (HEIGHT / 8 + 1) };

/* ---- model sets ---- */

static Bytes read_file(const char *name)
{
    char path[256];
    Bytes file = {get(1 << 16), 0};
    snprintf(path, sizeof path, "../vrcnn_int/conformance/vectors/models/%s.vrcnn", name);
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        fprintf(stderr, "cannot read %s: run this in the folder c\n", path);
        exit(2);
    }
    file.size = fread(file.data, 1, 1 << 16, stream);
    fclose(stream);
    return file;
}

/* ---- pictures ---- */

typedef struct Picture {
    uint16_t plane[PLANES][SAMPLES];
} Picture;

static Picture original, source, base, decided, decoded;
static uint8_t kept[MOST_BLOCKS];

static int plane_width(int plane)
{
    return plane ? (WIDTH + 1) / 2 : WIDTH;
}

static int plane_height(int plane)
{
    return plane ? (HEIGHT + 1) / 2 : HEIGHT;
}

static VrcnnPlane plane_of(Picture *picture, int plane, int bit_depth)
{
    const VrcnnPlane found = {picture->plane[plane], plane_width(plane) * 2, plane_width(plane), plane_height(plane), bit_depth, 2};
    return found;
}

static VrcnnConstPlane reading(Picture *picture, int plane, int bit_depth)
{
    const VrcnnPlane found = plane_of(picture, plane, bit_depth);
    return constant(&found);
}

/* Waves as an original, coarse steps as what coding leaves of it, and that with noise as deblocked; lossless blocks keep their samples. */
static void make_picture(const int bit_depth[2], int has_kept)
{
    for (int i = 0; i < MOST_BLOCKS; i++)
        kept[i] = (uint8_t)(between(0, 9) ? 0 : between(1, 255));
    for (int plane = 0; plane < PLANES; plane++) {
        const int depth = bit_depth[plane > 0], unit = 1 << (depth - 8), most = (1 << depth) - 1, step = between(2, 30) * unit;
        const int width = plane_width(plane), period = between(5, 40), side = plane ? 4 : 8;
        for (int i = 0; i < width * plane_height(plane); i++) {
            const int x = i % width, y = i / width, is_kept = has_kept && kept[y / side * ((WIDTH + 7) / 8) + x / side];
            const int value = (128 + x * y / period % 50 - 25 + (x / 29 + y / 17) % 2 * 30 + between(-2, 2)) * unit;
            original.plane[plane][i] = (uint16_t)clip(0, most, value);
            source.plane[plane][i] = (uint16_t)clip(0, most, value / step * step + step / 2 + between(-1, 1));
            base.plane[plane][i] = is_kept ? source.plane[plane][i] : (uint16_t)clip(0, most, source.plane[plane][i] + between(-4, 4));
        }
    }
}

static double squared_error(const Picture *picture, int first, int last, const double *weight)
{
    double sum = 0;
    for (int plane = first; plane <= last; plane++)
        for (int i = 0; i < plane_width(plane) * plane_height(plane); i++) {
            const double error = picture->plane[plane][i] - original.plane[plane][i];
            sum += (plane ? weight[plane - 1] : 1) * error * error;
        }
    return sum;
}

static double cost_of(const Picture *picture, const VrcnnPlaneDecisionInput *input, const VrcnnPlaneDecision *decision)
{
    double cost = input->lambda * 8 * (double)decision->size, bits = 1;
    for (size_t rest = decision->size + 1; rest > 1; rest >>= 1)
        bits += 2;
    cost += input->lambda * bits;
    cost += decision->info.luma_mode ? squared_error(picture, 0, 0, NULL) : input->luma_cost;
    if (input->source[1].data && input->kind == VRCNN_JOINT)
        cost += decision->info.chroma_mode ? squared_error(picture, 1, 2, input->chroma_weight) : input->chroma_cost;
    return cost;
}

/* ---- tests ---- */

/* What the networks make of a picture is taken for the original, here and there: so that it is decided for them. */
static void bring_near(VrcnnContext *context, int index, const int bit_depth[2], int planes)
{
    VrcnnPlane dst[PLANES] = {{0}};
    VrcnnConstPlane src[PLANES] = {{0}};
    const VrcnnWeights weights = {{between(1, 10), between(0, 8)}, {between(1, 10), between(0, 8)}};
    for (int plane = 0; plane < planes; plane++) {
        dst[plane] = plane_of(&decoded, plane, bit_depth[plane > 0]);
        src[plane] = reading(&source, plane, bit_depth[plane > 0]);
    }
    CHECK_ERROR(vrcnn_filter_planes(context, index, &weights, dst, src), VRCNN_OK);
    for (int plane = 0; plane < planes; plane++)
        for (int i = 0, all = between(0, 2), width = plane_width(plane); i < width * plane_height(plane); i++)
            original.plane[plane][i] =
                all || (i % width / (plane ? 32 : 64) + i / width / (plane ? 32 : 64)) % 2 ? decoded.plane[plane][i] : base.plane[plane][i];
}

static void one_picture(VrcnnPlaneDecider *decider, VrcnnContext *context, VrcnnReceiver *receiver, VrcnnPosition position, int networks,
                        int is_irap, int modes[2][3])
{
    const int bit_depth[2] = {between(8, 10), between(8, 10)}, planes = between(0, 4) ? PLANES : 1, has_kept = between(0, 1);
    VrcnnPlaneDecisionInput input = {.kept = has_kept ? kept : NULL,
                                     .position = position,
                                     .kind = VRCNN_JOINT,
                                     .size = between(0, 1) ? VRCNN_FAST : VRCNN_BEST,
                                     .qp = between(20, 51),
                                     .is_irap = is_irap,
                                     .map = between(0, 4) > 0,
                                     .lambda = between(0, 60),
                                     .chroma_weight = {between(0, 200) / 100.0, 1.25}};
    make_picture(bit_depth, has_kept);
    if (between(0, 3))
        bring_near(context, between(0, networks - 1), bit_depth, planes);
    VrcnnPlane dst[PLANES] = {{0}};
    VrcnnConstPlane src[PLANES] = {{0}};
    for (int plane = 0; plane < planes; plane++) {
        input.original[plane] = reading(&original, plane, bit_depth[plane > 0]);
        src[plane] = input.source[plane] = reading(&source, plane, bit_depth[plane > 0]);
        input.base[plane] = reading(&base, plane, bit_depth[plane > 0]);
        dst[plane] = plane_of(&decided, plane, bit_depth[plane > 0]);
    }
    input.luma_cost = squared_error(&base, 0, 0, NULL);
    input.chroma_cost = squared_error(&base, 1, 2, input.chroma_weight);

    VrcnnPlaneDecision decision;
    VrcnnPlaneSideinfo info;
    decided = base;
    const unsigned long before = allocations;
    CHECK_ERROR(vrcnn_decide_planes(decider, context, &input, dst, &decision), VRCNN_OK);
    CHECK(allocations == before);
    CHECK(fabs(decision.cost - cost_of(&decided, &input, &decision)) <= 1e-9 * decision.cost);
    CHECK(decision.cost <= input.luma_cost + (planes > 1 ? input.chroma_cost : 0) + input.lambda * (is_irap ? 53 : 1));
    CHECK(decision.info.luma_mode == VRCNN_MODE_MAP ? decision.luma != NULL : decision.luma == NULL);
    CHECK(decision.info.chroma_mode == VRCNN_MODE_MAP ? decision.chroma != NULL : decision.chroma == NULL);
    modes[0][decision.info.luma_mode]++;
    modes[1][decision.info.chroma_mode]++;

    CHECK_ERROR(vrcnn_receiver_picture_planes(receiver, decision.data, decision.size, is_irap, WIDTH, HEIGHT, &info), VRCNN_OK);
    CHECK(!memcmp(&info, &decision.info, sizeof info));
    decoded = base;
    for (int plane = 0; plane < planes; plane++)
        dst[plane] = plane_of(&decoded, plane, bit_depth[plane > 0]);
    const unsigned long received = allocations;
    CHECK_ERROR(vrcnn_receiver_filter_planes(receiver, 0, 0, input.kept, dst, src), VRCNN_OK);
    CHECK(allocations == received);
    CHECK(!memcmp(&decoded, &decided, sizeof decoded));
    /* In place. */
    for (int plane = 0; plane < planes; plane++)
        dst[plane] = plane_of(&base, plane, bit_depth[plane > 0]);
    VrcnnPlaneDecision again;
    CHECK_ERROR(vrcnn_decide_planes(decider, context, &input, dst, &again), VRCNN_OK);
    CHECK(again.cost == decision.cost && again.size == decision.size && !memcmp(again.data, decision.data, again.size));
    CHECK(!memcmp(&base, &decided, sizeof base));
}

static void test_set(const char *name, VrcnnPosition position)
{
    VrcnnModel *model = NULL;
    VrcnnReceiver *receiver = NULL;
    const Bytes file = read_file(name);
    int modes[2][3] = {{0}};
    CHECK_ERROR(vrcnn_model_load(&model, file.data, file.size, NULL), VRCNN_OK);
    CHECK_ERROR(vrcnn_receiver_open(&receiver, NULL, file.data, file.size), VRCNN_OK);
    VrcnnContext *context = open_context(model, VRCNN_KERNEL_AUTO, between(1, 3));
    for (int networks = 1; receiver && networks <= VRCNN_MAX_CHOICES; networks++) {
        VrcnnPlaneDecider *decider = NULL;
        CHECK_ERROR(vrcnn_plane_decider_open(&decider, model, WIDTH, HEIGHT, networks), VRCNN_OK);
        for (int i = 0; decider && i < 12; i++)
            one_picture(decider, context, receiver, position, vrcnn_model_networks(model), i == 0, modes);
        vrcnn_plane_decider_close(decider);
    }
    printf("%s: luma %d %d %d, chroma %d %d %d\n", name, modes[0][0], modes[0][1], modes[0][2], modes[1][0], modes[1][1], modes[1][2]);
    CHECK(modes[0][0] < 36 && modes[1][0] < 36);
    vrcnn_close(context);
    vrcnn_receiver_close(receiver);
    vrcnn_model_free(model);
    free(file.data);
}

static void test_opening(void)
{
    VrcnnModel *model = NULL;
    VrcnnPlaneDecider *decider = (VrcnnPlaneDecider *)&model;
    const Bytes file = read_file("joint-heads");
    CHECK_ERROR(vrcnn_model_load(&model, file.data, file.size, NULL), VRCNN_OK);
    CHECK_ERROR(vrcnn_plane_decider_open(NULL, model, 8, 8, 1), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_plane_decider_open(&decider, NULL, 8, 8, 1), VRCNN_ERROR_ARGUMENT);
    CHECK(!decider);
    CHECK_ERROR(vrcnn_plane_decider_open(&decider, model, 8, 8, 4), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_plane_decider_open(&decider, model, VRCNN_MAX_SIZE + 1, 8, 1), VRCNN_ERROR_PLANE);
    /* Whatever is refused, nothing is lost. */
    int given = 0;
    for (VrcnnError error = VRCNN_ERROR_MEMORY; error; given++) {
        allowed = allocations + (unsigned long)given;
        error = vrcnn_plane_decider_open(&decider, model, 100, 70, 3);
        allowed = ALL_ALLOWED;
        CHECK(error ? error == VRCNN_ERROR_MEMORY && !decider : decider != NULL);
    }
    CHECK(given > 20);
    VrcnnContext *context = open_context(model, VRCNN_KERNEL_AUTO, 1);
    const VrcnnPlaneDecisionInput input = {.kind = VRCNN_JOINT};
    const VrcnnPlane dst[PLANES] = {{0}};
    VrcnnPlaneDecision decision;
    CHECK_ERROR(vrcnn_decide_planes(NULL, context, &input, dst, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide_planes(decider, NULL, &input, dst, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide_planes(decider, context, NULL, dst, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide_planes(decider, context, &input, NULL, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide_planes(decider, context, &input, dst, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_decide_planes(decider, context, &input, dst, &decision), VRCNN_ERROR_ARGUMENT); /* no planes */
    vrcnn_close(context);
    vrcnn_plane_decider_close(decider);
    vrcnn_plane_decider_close(NULL);
    vrcnn_model_free(model);
    free(file.data);
}

/* ---- the encoder's side ---- */

/* A picture, near to what the networks of the set make of it; the caller fills in position, kind, size and map. */
static VrcnnPlaneDecisionInput sent_picture(VrcnnContext *context, int networks, int planes)
{
    const int bit_depth[2] = {between(8, 10), between(8, 10)};
    VrcnnPlaneDecisionInput input = {.kept = between(0, 1) ? kept : NULL, .lambda = between(0, 60), .chroma_weight = {1.5, 1.25}};
    make_picture(bit_depth, input.kept != NULL);
    bring_near(context, between(0, networks - 1), bit_depth, planes);
    for (int plane = 0; plane < planes; plane++) {
        input.original[plane] = reading(&original, plane, bit_depth[plane > 0]);
        input.source[plane] = reading(&source, plane, bit_depth[plane > 0]);
        input.base[plane] = reading(&base, plane, bit_depth[plane > 0]);
    }
    input.qp = between(20, 51);
    input.luma_cost = squared_error(&base, 0, 0, NULL);
    input.chroma_cost = squared_error(&base, 1, 2, input.chroma_weight);
    return input;
}

/* Joint networks: what vrcnn_decide_planes says, with three networks. name NULL: the built-in set's luma networks, vrcnn_decide's. */
static void test_sender(const char *name, VrcnnPosition position)
{
    const Bytes file = name ? read_file(name) : (Bytes){NULL, 0};
    VrcnnSender *sender = NULL;
    VrcnnDecider *luma = NULL;
    VrcnnPlaneDecider *joint = NULL;
    CHECK_ERROR(vrcnn_sender_open(&sender, NULL, file.data, file.size, position, WIDTH, HEIGHT), VRCNN_OK);
    const VrcnnModel *model = vrcnn_sender_model(sender);
    CHECK(vrcnn_sender_kind(sender) == (name ? VRCNN_JOINT : VRCNN_LUMA));
    CHECK(vrcnn_context_threads(vrcnn_sender_context(sender)) == 1);
    VrcnnContext *context = open_context(model, VRCNN_KERNEL_AUTO, 1);
    CHECK_ERROR(vrcnn_decider_open(&luma, model, WIDTH, HEIGHT), VRCNN_OK);
    CHECK_ERROR(vrcnn_plane_decider_open(&joint, model, WIDTH, HEIGHT, VRCNN_MAX_CHOICES), VRCNN_OK);
    int filtered = 0;
    for (int i = 0; luma && joint && i < 8; i++) {
        const int planes = name && i < 6 ? PLANES : 1;
        VrcnnPlaneDecisionInput input = sent_picture(context, vrcnn_model_networks(model), planes);
        VrcnnPlaneDecision sent, wanted;
        VrcnnDecision old;
        VrcnnPlane dst[2][PLANES] = {{{0}}};
        input.is_irap = i == 0;
        input.map = i % 3 > 0;
        input.size = i % 2 ? VRCNN_FAST : VRCNN_BEST;
        input.kind = VRCNN_LUMA; /* neither this nor the position counts */
        input.position = (VrcnnPosition)!position;
        decided = decoded = base;
        for (int plane = 0; plane < planes; plane++) {
            dst[0][plane] = plane_of(&decided, plane, input.source[plane].bit_depth);
            dst[1][plane] = plane_of(&decoded, plane, input.source[plane].bit_depth);
        }
        const unsigned long before = allocations;
        CHECK_ERROR(vrcnn_sender_decide(sender, &input, dst[0], &sent), VRCNN_OK);
        CHECK(allocations == before);
        input.position = position;
        input.kind = VRCNN_JOINT;
        if (name) {
            CHECK_ERROR(vrcnn_decide_planes(joint, context, &input, dst[1], &wanted), VRCNN_OK);
            CHECK(sent.cost == wanted.cost && sent.size == wanted.size && !memcmp(sent.data, wanted.data, sent.size));
            CHECK(!memcmp(&sent.info, &wanted.info, sizeof sent.info));
        } else {
            const VrcnnDecisionInput given = {input.original[0], input.source[0], input.base[0], input.kept,   position,
                                              input.qp,          input.is_irap,   input.map,     input.lambda, input.luma_cost};
            CHECK_ERROR(vrcnn_decide(luma, context, &given, dst[1], &old), VRCNN_OK);
            CHECK(sent.cost == old.cost && sent.size == old.size && !memcmp(sent.data, old.data, sent.size));
            CHECK(sent.info.version == 1 && sent.info.luma_mode == old.info.mode && sent.info.chroma_mode == VRCNN_MODE_OFF);
            CHECK(!sent.luma == !old.unit && !sent.chroma);
        }
        CHECK(!memcmp(&decided, &decoded, sizeof decided));
        filtered += sent.info.luma_mode != VRCNN_MODE_OFF;
    }
    CHECK(filtered > 0);
    vrcnn_decider_close(luma);
    vrcnn_plane_decider_close(joint);
    vrcnn_close(context);
    vrcnn_sender_close(sender);
    free(file.data);
}

/* The message, which a reader finds by its UUID, names the version and the set. */
static void test_sei(const char *name)
{
    static const uint8_t head[] = "\x05\x32\x5f\x30\x36\xe8\x7c\xfd\x41\x0d\x84\x4d\x95\x42\x6d\x70\x8d\x4avrcnn-int loop v";
    const Bytes file = name ? read_file(name) : (Bytes){NULL, 0};
    VrcnnSender *sender = NULL;
    uint8_t rbsp[VRCNN_SEI_SIZE + 1], identity[VRCNN_ID_SIZE];
    char text[2 + 16 + 1];
    CHECK_ERROR(vrcnn_sender_open(&sender, NULL, file.data, file.size, VRCNN_BEFORE_DEBLOCKING, WIDTH, HEIGHT), VRCNN_OK);
    CHECK_ERROR(vrcnn_model_id(vrcnn_sender_model(sender), identity), VRCNN_OK);
    for (int i = 0; i < 8; i++)
        snprintf(text + 2 * i, 3, "%02x", identity[i]);
    memset(rbsp, 0x5a, sizeof rbsp);
    CHECK_ERROR(vrcnn_sender_sei(sender, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sender_sei(NULL, rbsp), VRCNN_ERROR_ARGUMENT);
    CHECK(rbsp[0] == 0x5a);
    CHECK_ERROR(vrcnn_sender_sei(sender, rbsp), VRCNN_OK);
    CHECK(!memcmp(rbsp, head, sizeof head - 1) && rbsp[1] == VRCNN_SEI_SIZE - 3);
    CHECK(rbsp[34] == (name ? '2' : '1') && rbsp[35] == ' ' && !memcmp(rbsp + 36, text, 16));
    CHECK(rbsp[VRCNN_SEI_SIZE - 1] == 0x80 && rbsp[VRCNN_SEI_SIZE] == 0x5a);
    vrcnn_sender_close(sender);
    free(file.data);
}

static void test_opening_a_sender(void)
{
    VrcnnSender *sender = (VrcnnSender *)&original;
    const Bytes file = read_file("joint-heads"); /* for the first position only */
    VrcnnSettings settings;
    CHECK_ERROR(vrcnn_sender_open(NULL, NULL, file.data, file.size, VRCNN_BEFORE_DEBLOCKING, 8, 8), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sender_open(&sender, NULL, NULL, 1, VRCNN_BEFORE_DEBLOCKING, 8, 8), VRCNN_ERROR_ARGUMENT);
    CHECK(!sender);
    CHECK_ERROR(vrcnn_sender_open(&sender, NULL, file.data, file.size, VRCNN_AFTER_SAO, 8, 8), VRCNN_ERROR_POSITION);
    CHECK_ERROR(vrcnn_sender_open(&sender, NULL, file.data, file.size, (VrcnnPosition)2, 8, 8), VRCNN_ERROR_POSITION);
    CHECK_ERROR(vrcnn_sender_open(&sender, NULL, file.data, file.size - 1, VRCNN_BEFORE_DEBLOCKING, 8, 8), VRCNN_ERROR_TRUNCATED);
    CHECK_ERROR(vrcnn_sender_open(&sender, NULL, file.data, file.size, VRCNN_BEFORE_DEBLOCKING, 0, 8), VRCNN_ERROR_PLANE);
    vrcnn_default_settings(&settings, sizeof settings);
    settings.threads = VRCNN_MAX_THREADS + 1;
    CHECK_ERROR(vrcnn_sender_open(&sender, &settings, NULL, 0, VRCNN_AFTER_SAO, 8, 8), VRCNN_ERROR_THREADS);
    CHECK(!sender);
    for (int is_joint = 0; is_joint < 2; is_joint++) {
        int given = 0;
        for (VrcnnError error = VRCNN_ERROR_MEMORY; error; given++) {
            allowed = allocations + (unsigned long)given;
            error = is_joint ? vrcnn_sender_open(&sender, NULL, file.data, file.size, VRCNN_BEFORE_DEBLOCKING, 100, 70)
                             : vrcnn_sender_open(&sender, NULL, NULL, 0, VRCNN_BEFORE_DEBLOCKING, 100, 70);
            allowed = ALL_ALLOWED;
            CHECK(error ? error == VRCNN_ERROR_MEMORY && !sender : sender != NULL);
        }
        CHECK(given > 10);
        vrcnn_sender_close(sender);
    }
    CHECK_ERROR(vrcnn_sender_open(&sender, NULL, NULL, 0, VRCNN_BEFORE_DEBLOCKING, 8, 8), VRCNN_OK);
    const VrcnnPlaneDecisionInput input = {.qp = 32};
    const VrcnnPlane dst[PLANES] = {{0}};
    VrcnnPlaneDecision decision;
    CHECK_ERROR(vrcnn_sender_decide(NULL, &input, dst, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sender_decide(sender, NULL, dst, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sender_decide(sender, &input, NULL, &decision), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sender_decide(sender, &input, dst, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sender_decide(sender, &input, dst, &decision), VRCNN_ERROR_ARGUMENT); /* no planes */
    CHECK_ERROR(vrcnn_sender_kind(NULL), VRCNN_ERROR_ARGUMENT);
    CHECK(!vrcnn_sender_context(NULL) && !vrcnn_sender_model(NULL));
    vrcnn_sender_close(sender);
    vrcnn_sender_close(NULL);
    free(file.data);
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);
    seed_random(seed);
    test_set("joint-fast", VRCNN_BEFORE_DEBLOCKING);
    test_set("joint-heads", VRCNN_BEFORE_DEBLOCKING);
    test_set("joint-additions", VRCNN_AFTER_SAO);
    test_opening();
    test_sender("joint-fast", VRCNN_BEFORE_DEBLOCKING);
    test_sender("joint-additions", VRCNN_AFTER_SAO);
    test_sender(NULL, VRCNN_BEFORE_DEBLOCKING);
    test_sender(NULL, VRCNN_AFTER_SAO);
    test_sei("joint-fast");
    test_sei(NULL);
    test_opening_a_sender();
    return report();
}
