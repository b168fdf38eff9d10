/* Tests of the decoder's side: test_receive [SEED]. Streams of side information go through a receiver, and what it makes of each picture is
 * made again, sample by sample, from the outputs of whole networks.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocations.h"
#include "support.h"

/* ---- model sets ---- */

enum { NETWORKS = 4, SETS = 2, TRAIL = 1, IDR = 19, CRA = 21 };

typedef struct Set {
    Bytes file;
    VrcnnModel *model;
    VrcnnContext *context;
    uint8_t id[VRCNN_ID_SIZE];
} Set;

/* Two sets of files, of NETWORKS networks, then the one that is built in. */
static Set sets[SETS + 1];

static void make_sets(void)
{
    for (int i = 0; i <= SETS; i++) {
        Set *set = sets + i;
        if (i < SETS) {
            TNetwork networks[NETWORKS];
            for (int n = 0; n < NETWORKS; n++)
                networks[n] = n % 2 ? random_network(3, 16, RANDOM_WEIGHTS, SMALL_BIASES) : small_network(20 + n, n / 2);
            set->file = write_set(networks, NETWORKS);
            for (int n = 0; n < NETWORKS; n++)
                free_network(networks + n);
            CHECK_ERROR(vrcnn_model_load(&set->model, set->file.data, set->file.size, NULL), VRCNN_OK);
        } else {
            CHECK_ERROR(vrcnn_model_builtin(&set->model, VRCNN_BEFORE_DEBLOCKING), VRCNN_OK);
        }
        CHECK_ERROR(vrcnn_model_id(set->model, set->id), VRCNN_OK);
        set->context = open_context(set->model, VRCNN_KERNEL_AUTO, 1);
    }
}

static void free_sets(void)
{
    for (int i = 0; i <= SETS; i++) {
        vrcnn_close(sets[i].context);
        vrcnn_model_free(sets[i].model);
        free(sets[i].file.data);
    }
}

static VrcnnReceiver *open_receiver(const Set *given, int kernel, int threads)
{
    VrcnnReceiver *receiver = NULL;
    VrcnnSettings settings;
    vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = threads;
    CHECK_ERROR(vrcnn_receiver_open(&receiver, &settings, given ? given->file.data : NULL, given ? given->file.size : 0), VRCNN_OK);
    if (!receiver)
        exit(2);
    return receiver;
}

/* ---- pictures ---- */

enum { MOST = 272 * 200, MOST_BLOCKS = VRCNN_MAX_SIZE / 8 };

typedef struct Picture {
    int width, height, bit_depth, bytes;
    VrcnnSideinfo info;
    uint8_t unit[16 * 16];
    size_t size; /* of the side information */
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    uint8_t kept[MOST_BLOCKS];
    const uint8_t *has_kept;
    uint16_t source[MOST], base[MOST], wanted[MOST];
} Picture;

static int grid(int size, int unit)
{
    return (size + unit - 1) / unit;
}

static VrcnnPlane plane_of(const Picture *picture, void *samples, int bytes)
{
    const VrcnnPlane plane = {samples, (ptrdiff_t)picture->width * bytes, picture->width, picture->height, picture->bit_depth, bytes};
    return plane;
}

static VrcnnSideinfo random_info(const Set *set, int is_irap)
{
    VrcnnSideinfo info;
    memset(&info, 0, sizeof info);
    info.has_identity = is_irap;
    if (is_irap)
        memcpy(info.identity, set->id, sizeof info.identity);
    info.mode = (VrcnnMode)between(0, 2);
    if (info.mode == VRCNN_MODE_OFF)
        return info;
    info.position = (VrcnnPosition)between(0, 1);
    info.networks = info.mode == VRCNN_MODE_MAP ? between(1, 3) : 1;
    info.scale = between(1, 10);
    info.unit_size = info.mode == VRCNN_MODE_MAP ? 64 << between(0, 3) : 0;
    for (int first = between(0, NETWORKS - 1), i = 0; i < info.networks; i++)
        info.index[i] = (first + i) % NETWORKS;
    return info;
}

static void write_info(Picture *picture)
{
    picture->size = 0;
    CHECK_ERROR(vrcnn_sideinfo_write(picture->data, &picture->size, &picture->info, picture->unit, picture->width, picture->height),
                VRCNN_OK);
}

static int network_at(const Picture *picture, int x, int y)
{
    const VrcnnSideinfo *info = &picture->info;
    if (info->mode == VRCNN_MODE_OFF)
        return -1;
    const int choice =
        info->mode == VRCNN_MODE_ALL ? 1 : picture->unit[y / info->unit_size * grid(picture->width, info->unit_size) + x / info->unit_size];
    return choice ? info->index[choice - 1] : -1;
}

/* What the picture has to become, from the outputs of its networks on all of it. */
static void set_wanted(Picture *picture, const Set *set)
{
    static uint16_t outputs[NETWORKS][MOST];
    for (int i = 0; i < picture->info.networks; i++) {
        const VrcnnPlane src = plane_of(picture, picture->source, 2), dst = plane_of(picture, outputs[picture->info.index[i]], 2);
        const VrcnnConstPlane reading = constant(&src);
        CHECK_ERROR(vrcnn_filter_picture(set->context, picture->info.index[i], picture->info.scale, &dst, &reading), VRCNN_OK);
    }
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++) {
            const int at = y * picture->width + x, index = network_at(picture, x, y);
            const int is_kept =
                picture->info.mode != VRCNN_MODE_OFF && picture->has_kept && picture->kept[y / 8 * grid(picture->width, 8) + x / 8];
            picture->wanted[at] = is_kept     ? (uint16_t)clip(0, (1 << picture->bit_depth) - 1, picture->source[at])
                                  : index < 0 ? picture->base[at]
                                              : outputs[index][at];
        }
}

/* A picture of the set with everything random. */
static Picture *make_picture(const Set *set, int is_irap)
{
    static Picture picture;
    const int max = (picture.bit_depth = between(8, 10), (1 << picture.bit_depth) - 1);
    picture.bytes = picture.bit_depth == 8 ? between(1, 2) : 2;
    picture.width = between(0, 3) ? between(1, 272) : between(1, 9);
    picture.height = between(0, 3) ? between(1, 200) : between(1, 9);
    if (between(0, 60) == 0) {
        const int width = between(0, 1) ? VRCNN_MAX_SIZE : between(1, 3);
        picture.height = width > 3 ? between(1, 3) : VRCNN_MAX_SIZE;
        picture.width = width;
    }
    picture.info = random_info(set, is_irap);
    for (size_t i = 0; i < sizeof picture.unit; i++)
        picture.unit[i] = (uint8_t)between(0, picture.info.networks);
    if (picture.info.mode == VRCNN_MODE_MAP) /* at least one with a network */
        picture.unit[between(0, grid(picture.width, picture.info.unit_size) * grid(picture.height, picture.info.unit_size) - 1)] = 1;
    write_info(&picture);
    for (int i = 0; i < picture.width * picture.height; i++) {
        /* Now and then one that is taken for the highest. */
        picture.source[i] = (uint16_t)(picture.bit_depth > 8 && between(0, 99) == 0 ? between(max, 65535) : between(0, max));
        picture.base[i] = (uint16_t)between(0, max);
    }
    picture.has_kept = between(0, 1) ? picture.kept : NULL;
    for (int i = 0; i < MOST_BLOCKS; i++)
        picture.kept[i] = (uint8_t)(between(0, 3) ? 0 : between(1, 255));
    set_wanted(&picture, set);
    return &picture;
}

static int is_same(const VrcnnSideinfo *a, const VrcnnSideinfo *b)
{
    return a->has_identity == b->has_identity && !memcmp(a->identity, b->identity, sizeof a->identity) && a->mode == b->mode &&
           a->position == b->position && a->networks == b->networks && !memcmp(a->index, b->index, sizeof a->index) &&
           a->scale == b->scale && a->unit_size == b->unit_size;
}

/* Whether pictures go through the calls for three planes, which take version 1 as the others do. Joint networks and version 2 are in
 * tests/codec_bridge/library/test_receiver.py. */
static int uses_planes;

static VrcnnError picture_planes(VrcnnReceiver *receiver, const uint8_t *data, size_t size, int is_irap, int width, int height,
                                 VrcnnSideinfo *info)
{
    VrcnnPlaneSideinfo planes, untouched;
    memset(&planes, 0x5a, sizeof planes);
    untouched = planes;
    const VrcnnError error = vrcnn_receiver_picture_planes(receiver, data, size, is_irap, width, height, &planes);
    if (!memcmp(&planes, &untouched, sizeof planes))
        return error;
    memset(info, 0, sizeof *info);
    info->has_identity = planes.has_identity;
    memcpy(info->identity, planes.identity, sizeof info->identity);
    info->mode = planes.luma_mode;
    info->position = planes.position;
    info->networks = planes.filters;
    for (int i = 0; i < planes.filters; i++)
        info->index[i] = planes.filter[i].index;
    info->scale = planes.filter[0].weights.luma[0];
    info->unit_size = planes.luma_unit_size;
    CHECK(!planes.chroma_mode && !planes.chroma_unit_size && planes.version <= 1);
    return error;
}

static VrcnnError filter_planes(VrcnnReceiver *receiver, int luma_sao, const uint8_t *kept, const VrcnnPlane *dst,
                                const VrcnnConstPlane *src)
{
    const VrcnnPlane written[3] = {*dst};
    const VrcnnConstPlane read[3] = {*src};
    return uses_planes ? vrcnn_receiver_filter_planes(receiver, luma_sao, between(0, 1), kept, written, read)
                       : vrcnn_receiver_filter(receiver, luma_sao, kept, dst, src);
}

static VrcnnError begin_picture(VrcnnReceiver *receiver, const Picture *picture, int is_irap, VrcnnSideinfo *info)
{
    /* From a copy of exactly so many bytes, which is gone before the picture is filtered. */
    uint8_t *copy = get(picture->size);
    memcpy(copy, picture->data, picture->size);
    const VrcnnError error = (uses_planes ? picture_planes : vrcnn_receiver_picture)(receiver, picture->size ? copy : NULL, picture->size,
                                                                                     is_irap, picture->width, picture->height, info);
    free(copy);
    return error;
}

/* Filters from a plane of `bytes` a sample into one of picture->bytes, and counts the samples that are not `wanted`. */
static int filter_picture(VrcnnReceiver *receiver, const Picture *picture, int luma_sao, VrcnnError wanted_error, const uint16_t *wanted)
{
    static uint16_t in[MOST], out[MOST];
    const int bytes = picture->bit_depth == 8 ? between(1, 2) : 2;
    const VrcnnPlane src = plane_of(picture, in, bytes), dst = plane_of(picture, out, picture->bytes);
    const VrcnnConstPlane reading = constant(&src);
    fill_plane(&src, picture->source);
    fill_plane(&dst, picture->base);
    const unsigned long before = allocations;
    CHECK_ERROR(filter_planes(receiver, luma_sao, picture->has_kept, &dst, &reading), wanted_error);
    CHECK(allocations == before);
    int differ = 0;
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++)
            differ += get_sample(&dst, x, y) != wanted[y * picture->width + x];
    return differ;
}

/* A random picture through the receiver, as it should be. */
static void receive(VrcnnReceiver *receiver, const Set *set, int is_irap)
{
    const Picture *picture = make_picture(set, is_irap);
    VrcnnSideinfo info;
    memset(&info, 0x5a, sizeof info);
    CHECK_ERROR(begin_picture(receiver, picture, is_irap, &info), VRCNN_OK);
    CHECK(is_same(&info, &picture->info));
    const int luma_sao = info.position == VRCNN_AFTER_SAO || info.mode == VRCNN_MODE_OFF ? between(0, 1) : 0;
    CHECK(filter_picture(receiver, picture, luma_sao, VRCNN_OK, picture->wanted) == 0);
}

/* Whatever stands in the extension, the picture is not filtered. */
static void receive_unsignalled(VrcnnReceiver *receiver, int is_irap)
{
    Picture *picture = make_picture(sets + SETS, !is_irap);
    VrcnnSideinfo info;
    memset(&info, 0x5a, sizeof info);
    if (between(0, 1))
        for (picture->size = (size_t)between(0, VRCNN_SIDEINFO_SIZE); picture->size > 2 && is_irap;)
            picture->data[--picture->size] = (uint8_t)between(0, 255);
    if (is_irap)
        picture->data[0] = 'v';
    CHECK_ERROR(begin_picture(receiver, picture, is_irap, &info), VRCNN_OK);
    CHECK(info.mode == VRCNN_MODE_OFF && !info.has_identity && !info.networks);
    CHECK(filter_picture(receiver, picture, between(0, 1), VRCNN_OK, picture->base) == 0);
}

/* ---- streams as they should be ---- */

static void test_streams(void)
{
    for (int round = 0; round < 12; round++) {
        const Set *given = round % 3 ? sets + between(0, SETS - 1) : NULL;
        VrcnnReceiver *receiver = open_receiver(given, VRCNN_KERNEL_AUTO, between(0, 4));
        CHECK(!vrcnn_receiver_context(receiver) && !vrcnn_receiver_model(receiver));
        for (int i = between(0, 2); i > 0; i--)
            receive_unsignalled(receiver, 0);
        for (int intra = 0; intra < 5; intra++) {
            if (between(0, 4) == 0) {
                for (int i = between(1, 3), is_irap = 1; i > 0; i--, is_irap = 0)
                    receive_unsignalled(receiver, is_irap);
                continue;
            }
            const Set *set = given && between(0, 1) ? given : sets + SETS;
            for (int i = between(1, 6), is_irap = 1; i > 0; i--, is_irap = 0)
                receive(receiver, set, is_irap);
            CHECK(vrcnn_receiver_context(receiver) && vrcnn_receiver_model(receiver));
            uint8_t id[VRCNN_ID_SIZE];
            CHECK_ERROR(vrcnn_model_id(vrcnn_receiver_model(receiver), id), VRCNN_OK);
            CHECK(!memcmp(id, set->id, sizeof id));
        }
        vrcnn_receiver_close(receiver);
    }
}

/* Each of the sets that are built in is found by what a stream says of it, and the receiver changes from one to another. */
static void test_built_in_sets(void)
{
    VrcnnReceiver *receiver = open_receiver(NULL, VRCNN_KERNEL_AUTO, 1);
    int number = 0;
    for (const char *name; (name = vrcnn_builtin_name(number)); number++) {
        uint8_t id[2][VRCNN_ID_SIZE], data[VRCNN_SIDEINFO_SIZE];
        size_t size = 0;
        VrcnnModel *model;
        const void *const file = vrcnn_builtin_file(name, &size);
        CHECK_ERROR(vrcnn_model_load(&model, file, size, NULL), VRCNN_OK);
        CHECK_ERROR(vrcnn_model_id(model, id[0]), VRCNN_OK);
        VrcnnNetworkInfo network;
        CHECK_ERROR(vrcnn_model_network_info(model, 0, &network), VRCNN_OK);
        VrcnnPlaneSideinfo info, read;
        memset(&info, 0, sizeof info);
        info.version = 2;
        info.has_identity = info.filters = 1;
        memcpy(info.identity, id[0], VRCNN_SIDEINFO_SHORT_ID_SIZE);
        info.luma_mode = VRCNN_MODE_ALL;
        info.position = network.position;
        info.filter[0].heads = vrcnn_model_network_heads(model, 0);
        for (int head = 0; head < info.filter[0].heads; head++)
            info.filter[0].weights.luma[head] = 8;
        vrcnn_model_free(model);
        CHECK_ERROR(vrcnn_sideinfo_write_planes(data, &size, &info, NULL, NULL, 40, 24), VRCNN_OK);
        CHECK_ERROR(vrcnn_receiver_picture_planes(receiver, data, size, 1, 40, 24, &read), VRCNN_OK);
        if (vrcnn_receiver_model(receiver))
            CHECK_ERROR(vrcnn_model_id(vrcnn_receiver_model(receiver), id[1]), VRCNN_OK);
        CHECK(vrcnn_receiver_model(receiver) && !memcmp(id[0], id[1], sizeof id[0]));
    }
    CHECK(number > 1);
    vrcnn_receiver_close(receiver);
}

static void test_kernels_and_threads(void)
{
    for (int kernel = 0; vrcnn_kernel_name(kernel); kernel++)
        for (int threads = 1; threads <= 5 && vrcnn_kernel_supported(kernel); threads += 2) {
            VrcnnReceiver *receiver = open_receiver(sets, kernel, threads);
            for (int i = 0; i < 4; i++)
                receive(receiver, sets, i == 0);
            CHECK(vrcnn_context_threads(vrcnn_receiver_context(receiver)) == threads);
            CHECK(kernel == VRCNN_KERNEL_AUTO || vrcnn_context_kernel(vrcnn_receiver_context(receiver)) == kernel);
            vrcnn_receiver_close(receiver);
        }
}

/* A context is opened where the set changes, and nowhere else is memory taken. */
static void test_one_context(void)
{
    VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
    static const int order[] = {0, 0, 2, 2, 0};
    const VrcnnContext *context = NULL;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        for (int n = 0; n < 3; n++) {
            const Picture *picture = make_picture(sets + order[i], n == 0);
            VrcnnSideinfo info;
            const int changes = n == 0 && (i == 0 || order[i] != order[i - 1]);
            const unsigned long before = allocations;
            CHECK_ERROR(vrcnn_receiver_picture(receiver, picture->data, picture->size, n == 0, picture->width, picture->height, &info),
                        VRCNN_OK);
            CHECK((allocations > before) == changes);
            CHECK(changes || vrcnn_receiver_context(receiver) == context);
            context = vrcnn_receiver_context(receiver);
            CHECK(filter_picture(receiver, picture, 0, VRCNN_OK, picture->wanted) == 0);
        }
    vrcnn_receiver_reset(receiver);
    CHECK(vrcnn_receiver_context(receiver) == context);
    vrcnn_receiver_close(receiver);
}

/* What an encoder decides comes out at the decoder. */
static void test_decisions(void)
{
    enum { WIDTH = 176, HEIGHT = 104 };
    VrcnnReceiver *receiver = open_receiver(NULL, VRCNN_KERNEL_AUTO, 2);
    VrcnnDecider *decider = NULL;
    int modes[3] = {0};
    CHECK_ERROR(vrcnn_decider_open(&decider, sets[SETS].model, WIDTH, HEIGHT), VRCNN_OK);
    for (int round = 0; decider && round < 24; round++) {
        Picture *picture = make_picture(sets + SETS, 0);
        static uint16_t original[MOST], decided[MOST];
        const int period = between(5, 40), step = between(1, 24), is_irap = round % 4 == 0;
        picture->width = WIDTH, picture->height = HEIGHT, picture->bit_depth = 8, picture->bytes = between(1, 2);
        for (int i = 0; i < WIDTH * HEIGHT; i++) {
            const int x = i % WIDTH, y = i / WIDTH, is_kept = picture->has_kept && picture->kept[y / 8 * (WIDTH / 8) + x / 8];
            original[i] = (uint16_t)(100 + (x * y / period) % 50 + (x / 29 + y / 17) % 2 * 30 + between(0, 4));
            picture->source[i] = (uint16_t)clip(0, 255, original[i] / step * step + step / 2);
            picture->base[i] = is_kept ? picture->source[i] : (uint16_t)clip(0, 255, picture->source[i] + between(-4, 4));
        }
        const VrcnnPlane planes[] = {plane_of(picture, original, 2), plane_of(picture, picture->source, 2),
                                     plane_of(picture, picture->base, 2), plane_of(picture, decided, 2)};
        const VrcnnDecisionInput input = {.original = constant(planes),
                                          .source = constant(planes + 1),
                                          .base = constant(planes + 2),
                                          .kept = picture->has_kept,
                                          .position = (VrcnnPosition)between(0, 1),
                                          .qp = between(20, 40),
                                          .is_irap = is_irap,
                                          .map = 1,
                                          .lambda = 20,
                                          .ordinary_cost = 1e9};
        VrcnnDecision decision;
        VrcnnSideinfo info;
        memcpy(decided, picture->base, sizeof decided);
        CHECK_ERROR(vrcnn_decide(decider, sets[SETS].context, &input, planes + 3, &decision), VRCNN_OK);
        CHECK_ERROR(vrcnn_receiver_picture(receiver, decision.data, decision.size, is_irap, WIDTH, HEIGHT, &info), VRCNN_OK);
        CHECK(is_same(&info, &decision.info));
        CHECK(filter_picture(receiver, picture, 0, VRCNN_OK, decided) == 0);
        modes[info.mode]++;
    }
    CHECK(modes[VRCNN_MODE_ALL] + modes[VRCNN_MODE_MAP] > 0);
    vrcnn_decider_close(decider);
    vrcnn_receiver_close(receiver);
}

/* ---- errors of the stream ---- */

/* After the error no picture is let through before the next IRAP picture; that one is as if nothing had been. */
static void verify_error(VrcnnReceiver *receiver, VrcnnError error)
{
    VrcnnSideinfo info, untouched;
    memset(&info, 0x5a, sizeof info);
    untouched = info;
    for (int i = 0; i < 2; i++) {
        const Picture *picture = make_picture(sets, 0);
        CHECK_ERROR(begin_picture(receiver, picture, 0, &info), error);
        CHECK(filter_picture(receiver, picture, 0, error, picture->base) == 0);
    }
    CHECK(is_same(&info, &untouched));
    if (between(0, 1))
        receive_unsignalled(receiver, 1);
    receive(receiver, sets, 1);
    receive(receiver, sets, 0);
}

static void refuse(VrcnnReceiver *receiver, const Picture *picture, int is_irap, VrcnnError error, int line)
{
    VrcnnSideinfo info, untouched;
    memset(&info, 0x5a, sizeof info);
    untouched = info;
    check_error(begin_picture(receiver, picture, is_irap, &info), error, __FILE__, line, "vrcnn_receiver_picture");
    const int is_told = error == VRCNN_ERROR_SIDEINFO_MODEL || error == VRCNN_ERROR_INDEX;
    check(is_told ? is_same(&info, &picture->info) : is_same(&info, &untouched), __FILE__, line, "info is not as it should be");
    check(filter_picture(receiver, picture, 0, error, picture->base) == 0, __FILE__, line, "samples changed");
    verify_error(receiver, error);
}

/* Of every picture in its turn: an IRAP picture, one after it. */
static void test_wrong_side_information(void)
{
    VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
    receive(receiver, sets, 1);
    for (int is_irap = 0; is_irap < 2; is_irap++) {
        Picture *picture = make_picture(sets, is_irap);
        picture->size--;
        if (picture->size)
            refuse(receiver, picture, is_irap, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
        picture = make_picture(sets, is_irap);
        picture->size = is_irap ? 2 : 0;
        refuse(receiver, picture, is_irap, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
        picture = make_picture(sets, is_irap);
        if (picture->size < VRCNN_SIDEINFO_SIZE) {
            picture->data[picture->size++] = 0;
            refuse(receiver, picture, is_irap, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);
        }
        /* A network that the set does not have, in each place. */
        for (int place = 0; place < 3; place++) {
            picture = make_picture(sets, is_irap);
            picture->info.mode = VRCNN_MODE_MAP;
            picture->info.position = VRCNN_AFTER_SAO;
            picture->info.networks = 3;
            picture->info.scale = 8;
            picture->info.unit_size = 64;
            for (int i = 0; i < 3; i++)
                picture->info.index[i] = i == place ? between(NETWORKS, 31) : i;
            memset(picture->unit, 1 + (place + 1) % 3, sizeof picture->unit); /* no unit's choice */
            write_info(picture);
            refuse(receiver, picture, is_irap, VRCNN_ERROR_INDEX, __LINE__);
        }
    }
    Picture *picture = make_picture(sets, 1);
    picture->data[2] = uses_planes ? 3 : 2;
    refuse(receiver, picture, 1, VRCNN_ERROR_SIDEINFO_VERSION, __LINE__);
    for (int byte = 0; byte < VRCNN_SIDEINFO_ID_SIZE; byte++) {
        picture = make_picture(sets, 1);
        picture->info.identity[byte] ^= (uint8_t)(1 << between(0, 7));
        write_info(picture);
        refuse(receiver, picture, 1, VRCNN_ERROR_SIDEINFO_MODEL, __LINE__);
    }
    /* Once again a set of the other file, which this receiver does not know. */
    picture = make_picture(sets + 1, 1);
    refuse(receiver, picture, 1, VRCNN_ERROR_SIDEINFO_MODEL, __LINE__);
    vrcnn_receiver_close(receiver);
}

/* The first picture of all is wrong, or there is none before it. */
static void test_no_picture_before(void)
{
    VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
    Picture *picture = make_picture(sets, 1);
    picture->data[2] = 9;
    refuse(receiver, picture, 1, VRCNN_ERROR_SIDEINFO_VERSION, __LINE__);
    vrcnn_receiver_close(receiver);

    receiver = open_receiver(NULL, VRCNN_KERNEL_AUTO, 1);
    VrcnnSideinfo info;
    picture = make_picture(sets, 1);
    CHECK_ERROR(begin_picture(receiver, picture, 1, &info), VRCNN_ERROR_SIDEINFO_MODEL);
    CHECK(!vrcnn_receiver_context(receiver) && !vrcnn_receiver_model(receiver));
    CHECK(filter_picture(receiver, picture, 0, VRCNN_ERROR_SIDEINFO_MODEL, picture->base) == 0);
    receive(receiver, sets + SETS, 1);
    vrcnn_receiver_close(receiver);

    receiver = open_receiver(NULL, VRCNN_KERNEL_AUTO, 1);
    const VrcnnPlane dst = plane_of(picture, picture->base, 2), src = plane_of(picture, picture->source, 2);
    const VrcnnConstPlane reading = constant(&src);
    CHECK_ERROR(vrcnn_receiver_filter(receiver, 0, NULL, &dst, &reading), VRCNN_OK);
    vrcnn_receiver_close(receiver);
}

/* A picture that is filtered, before deblocking or after SAO. */
static Picture *make_filtered(VrcnnPosition position)
{
    Picture *picture = make_picture(sets, 0);
    while (picture->info.mode == VRCNN_MODE_OFF || picture->info.position != position)
        picture = make_picture(sets, 0);
    return picture;
}

static void test_wrong_pictures(void)
{
    VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
    VrcnnSideinfo info;
    receive(receiver, sets, 1);
    Picture *picture = make_filtered(VRCNN_BEFORE_DEBLOCKING);
    CHECK_ERROR(begin_picture(receiver, picture, 0, &info), VRCNN_OK);
    CHECK(filter_picture(receiver, picture, 1, VRCNN_ERROR_SIDEINFO_SAO, picture->base) == 0);
    verify_error(receiver, VRCNN_ERROR_SIDEINFO_SAO);
    picture = make_filtered(VRCNN_AFTER_SAO);
    CHECK_ERROR(begin_picture(receiver, picture, 0, &info), VRCNN_OK);
    CHECK(filter_picture(receiver, picture, 1, VRCNN_OK, picture->wanted) == 0);

#define REFUSED(change, error)                                                                                                             \
    do {                                                                                                                                   \
        picture = make_filtered((VrcnnPosition)between(0, 1));                                                                             \
        CHECK_ERROR(begin_picture(receiver, picture, 0, &info), VRCNN_OK);                                                                 \
        static uint16_t out[MOST];                                                                                                         \
        memset(out, 0x5a, sizeof out);                                                                                                     \
        VrcnnPlane dst = plane_of(picture, out, 2), in = plane_of(picture, picture->source, 2);                                            \
        VrcnnConstPlane src = constant(&in);                                                                                               \
        change;                                                                                                                            \
        CHECK_ERROR(filter_planes(receiver, 0, picture->has_kept, &dst, &src), error);                                                     \
        int differ = 0;                                                                                                                    \
        for (int i = 0; i < MOST; i++)                                                                                                     \
            differ += out[i] != 0x5a5a;                                                                                                    \
        CHECK(differ == 0);                                                                                                                \
        verify_error(receiver, error);                                                                                                     \
    } while (0)
    REFUSED(dst.bit_depth = src.bit_depth = 12, VRCNN_ERROR_BIT_DEPTH);
    REFUSED(dst.bit_depth = src.bit_depth = 7, VRCNN_ERROR_BIT_DEPTH);
    REFUSED((dst.width++, src.width++, dst.stride += 2, src.stride += 2), VRCNN_ERROR_PLANE);
    REFUSED((dst.height++, src.height++), VRCNN_ERROR_PLANE);
    REFUSED(dst.width++, VRCNN_ERROR_PLANE);
    REFUSED((dst.height = src.height = 0), VRCNN_ERROR_PLANE);
    REFUSED((src.height = INT32_MAX), VRCNN_ERROR_PLANE);
    REFUSED((src.bytes_per_sample = 3), VRCNN_ERROR_PLANE);
    REFUSED((dst.data = picture->source), VRCNN_ERROR_OVERLAP);
    if (picture->height > 1)
        REFUSED((dst.stride = picture->height > 1 ? PTRDIFF_MIN : dst.stride, dst.bytes_per_sample = picture->height > 1 ? 2 : 3),
                VRCNN_ERROR_PLANE);
#undef REFUSED
    /* Sizes that no plane has; a stream without side information may have them. */
    static const int sizes[][2] = {{0, 8}, {8, -1}, {VRCNN_MAX_SIZE + 1, 8}, {8, INT32_MAX}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        picture = make_picture(sets, 0);
        CHECK_ERROR(vrcnn_receiver_picture(receiver, picture->data, picture->size, 0, sizes[i][0], sizes[i][1], &info), VRCNN_ERROR_PLANE);
        verify_error(receiver, VRCNN_ERROR_PLANE);
        CHECK_ERROR(vrcnn_receiver_picture(receiver, NULL, 0, 1, sizes[i][0], sizes[i][1], &info), VRCNN_OK);
        CHECK_ERROR(vrcnn_receiver_picture(receiver, NULL, 0, 0, sizes[i][0], sizes[i][1], &info), VRCNN_OK);
        receive(receiver, sets, 1);
    }
    vrcnn_receiver_close(receiver);
}

/* Bytes of all kinds: what is refused is refused until the next IRAP picture, what is not is what the parser says. */
static void test_any_bytes(void)
{
    static uint8_t unit[VRCNN_MAX_UNITS];
    VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
    unsigned long refused = 0, taken = 0;
    for (int round = 0; round < 3000; round++) {
        VrcnnSideinfo info, read;
        memset(&info, 0x5a, sizeof info);
        receive(receiver, sets, 1);
        const int is_irap = between(0, 3) == 0;
        Picture *picture = make_picture(sets, is_irap);
        for (int n = between(1, 3); n > 0; n--)
            picture->data[between(is_irap ? 7 : 0, (int)picture->size - 1)] ^= (uint8_t)(1 << between(0, 7));
        const VrcnnError parsed =
            vrcnn_sideinfo_parse(&read, unit, sizeof unit, picture->data, picture->size, is_irap, picture->width, picture->height);
        int is_there = 1;
        for (int i = 0; !parsed && i < read.networks; i++)
            is_there &= read.index[i] < NETWORKS;
        CHECK_ERROR(begin_picture(receiver, picture, is_irap, &info), parsed ? parsed : is_there ? VRCNN_OK : VRCNN_ERROR_INDEX);
        CHECK(parsed || is_same(&info, &read));
        if (parsed || !is_there) {
            refused++;
            CHECK(filter_picture(receiver, picture, 0, parsed ? parsed : VRCNN_ERROR_INDEX, picture->base) == 0);
            continue;
        }
        taken++;
        picture->info = read;
        memcpy(picture->unit, unit, sizeof picture->unit);
        set_wanted(picture, sets);
        CHECK(filter_picture(receiver, picture, 0, VRCNN_OK, picture->wanted) == 0);
    }
    printf("%lu refused, %lu taken\n", refused, taken);
    CHECK(refused > 500 && taken > 100);
    vrcnn_receiver_close(receiver);
}

/* ---- slice segments ---- */

static VrcnnError segment(VrcnnReceiver *receiver, int is_first, int type, int poc, int address, const char *extension)
{
    const VrcnnSegment it = {
        is_first, type, poc, address, extension ? (const uint8_t *)extension : NULL, extension ? strlen(extension) : 0};
    const unsigned long before = allocations;
    const VrcnnError error = vrcnn_receiver_segment(receiver, &it);
    CHECK(allocations == before);
    return error;
}

static void test_segments(void)
{
    VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
    const VrcnnError lost = VRCNN_ERROR_SIDEINFO_LOST;
    /* Before the first IRAP picture nobody asks for side information. */
    CHECK_ERROR(segment(receiver, 0, TRAIL, 0, 5, NULL), VRCNN_OK);
    CHECK_ERROR(vrcnn_receiver_lost(receiver, 0), VRCNN_OK);
    /* A stream without the magic is anybody's, whatever it lacks. */
    for (int type = 0; type < 32; type++) {
        CHECK_ERROR(segment(receiver, 0, type, 100 + type, 5, "VN"), VRCNN_OK);
        CHECK_ERROR(vrcnn_receiver_lost(receiver, type >= 16 && type <= 23), VRCNN_OK);
        receive_unsignalled(receiver, 0);
        CHECK_ERROR(segment(receiver, 1, type, 200 + type, 0, "vN"), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, type, 200 + type, 1, NULL), VRCNN_OK);
    }
    /* A lost IRAP picture is taken to be as the last one that is known, however many are lost. */
    for (int signalled = 1; signalled >= 0; signalled--)
        for (int type = 0; type < 32; type++) {
            const VrcnnError error = signalled ? lost : VRCNN_OK;
            CHECK_ERROR(segment(receiver, 1, IDR, 0, 0, signalled ? "VN\1" : "V"), VRCNN_OK);
            CHECK_ERROR(segment(receiver, 1, TRAIL, 1, 0, "VN"), VRCNN_OK);
            for (int i = 0; i < 2; i++) {
                CHECK_ERROR(segment(receiver, 0, type, 100 + i, 5, "VN"), error);
                CHECK_ERROR(vrcnn_receiver_lost(receiver, 1), error);
            }
            if (signalled)
                verify_error(receiver, lost);
        }
    /* Signalled: order is everything. */
    for (int signalled = 1; signalled >= 0; signalled--) {
        const VrcnnError error = signalled ? lost : VRCNN_OK;
        CHECK_ERROR(segment(receiver, 1, CRA, 0, 0, signalled ? "VN\1" : "V"), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, CRA, 0, 3, NULL), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, CRA, 0, 4, "VN"), VRCNN_OK); /* not the first's: ignored */
        CHECK_ERROR(segment(receiver, 1, TRAIL, 1, 0, ""), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, TRAIL, 1, 9, NULL), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 1, TRAIL, 2, 0, NULL), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, TRAIL, 3, 7, NULL), error); /* another picture's */
        CHECK_ERROR(segment(receiver, 1, TRAIL, 4, 0, NULL), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, TRAIL, 4, 6, NULL), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, TRAIL, 4, 6, NULL), error); /* not after the one before */
        CHECK_ERROR(segment(receiver, 1, TRAIL, 5, 0, NULL), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, TRAIL - 1, 5, 6, NULL), error); /* another kind of picture */
        CHECK_ERROR(segment(receiver, 1, TRAIL, -6, 0, NULL), VRCNN_OK);
        CHECK_ERROR(segment(receiver, 0, TRAIL, -6, INT32_MAX, NULL), VRCNN_OK);
        CHECK_ERROR(vrcnn_receiver_lost(receiver, 0), error);
        if (signalled)
            verify_error(receiver, lost);
    }
    CHECK_ERROR(segment(receiver, 1, IDR, 0, 0, "VN"), VRCNN_OK);
    CHECK_ERROR(vrcnn_receiver_lost(receiver, 0), lost);
    vrcnn_receiver_reset(receiver);
    CHECK_ERROR(segment(receiver, 0, IDR, 0, 1, NULL), VRCNN_OK); /* of another stream */
    CHECK_ERROR(vrcnn_receiver_lost(receiver, 0), VRCNN_OK);
    CHECK_ERROR(segment(receiver, 0, TRAIL, 0, 1, NULL), VRCNN_OK);
    receive_unsignalled(receiver, 0);
    CHECK_ERROR(vrcnn_receiver_segment(receiver, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(segment(NULL, 1, IDR, 0, 0, "VN"), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_receiver_lost(NULL, 1), VRCNN_ERROR_ARGUMENT);
    const VrcnnSegment bad = {1, IDR, 0, 0, NULL, 1};
    CHECK_ERROR(vrcnn_receiver_segment(receiver, &bad), VRCNN_ERROR_ARGUMENT);
    receive_unsignalled(receiver, 0);
    vrcnn_receiver_close(receiver);
}

/* Headers that are read ahead of pictures: the stream's state is one thing, the picture's another. */
static void test_segments_ahead(void)
{
    VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
    CHECK_ERROR(segment(receiver, 1, IDR, 0, 0, "VN\1"), VRCNN_OK);
    CHECK_ERROR(segment(receiver, 1, TRAIL, 1, 0, NULL), VRCNN_OK);
    CHECK_ERROR(segment(receiver, 1, IDR, 0, 0, "else"), VRCNN_OK);
    receive(receiver, sets, 1);
    receive(receiver, sets, 0);
    CHECK_ERROR(vrcnn_receiver_lost(receiver, 0), VRCNN_OK);
    receive(receiver, sets, 0);
    CHECK_ERROR(segment(receiver, 1, IDR, 0, 0, "VN\1"), VRCNN_OK);
    receive_unsignalled(receiver, 1);
    CHECK_ERROR(vrcnn_receiver_lost(receiver, 0), VRCNN_ERROR_SIDEINFO_LOST);
    verify_error(receiver, VRCNN_ERROR_SIDEINFO_LOST);
    vrcnn_receiver_close(receiver);
}

/* ---- what a receiver still knows ---- */

/* Each picture states all: nothing of the one before it, refused or not, is left. */
static void test_planted_state(void)
{
    VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
    for (int round = 0; round < 200; round++) {
        VrcnnSideinfo info;
        receive(receiver, sets, 1);
        Picture *picture = make_filtered((VrcnnPosition)between(0, 1));
        CHECK_ERROR(begin_picture(receiver, picture, 0, &info), VRCNN_OK); /* and is not filtered */
        if (between(0, 1)) {
            picture = make_picture(sets, 0);
            picture->info.mode = VRCNN_MODE_OFF;
            write_info(picture);
            CHECK_ERROR(begin_picture(receiver, picture, 0, &info), VRCNN_OK);
            CHECK(filter_picture(receiver, picture, between(0, 1), VRCNN_OK, picture->base) == 0);
        } else if (between(0, 1)) {
            receive_unsignalled(receiver, 1);
            receive_unsignalled(receiver, 0);
        } else {
            vrcnn_receiver_reset(receiver);
            CHECK(filter_picture(receiver, picture, between(0, 1), VRCNN_OK, picture->base) == 0);
            receive_unsignalled(receiver, 0);
        }
    }
    /* The set of an IRAP picture that was refused is not the next one's. */
    receive(receiver, sets + SETS, 1);
    Picture *picture = make_picture(sets + 1, 1);
    refuse(receiver, picture, 1, VRCNN_ERROR_SIDEINFO_MODEL, __LINE__);
    receive(receiver, sets, 0);
    /* Twice the same picture, as long as it is the last. */
    picture = make_filtered(VRCNN_AFTER_SAO);
    VrcnnSideinfo info;
    CHECK_ERROR(begin_picture(receiver, picture, 0, &info), VRCNN_OK);
    for (int i = 0; i < 2; i++)
        CHECK(filter_picture(receiver, picture, i, VRCNN_OK, picture->wanted) == 0);
    vrcnn_receiver_close(receiver);
}

/* ---- opening, and no memory ---- */

static void test_opening(void)
{
    VrcnnReceiver *receiver = (VrcnnReceiver *)sets;
    VrcnnSettings settings;
    const Bytes *file = &sets[0].file;
    CHECK_ERROR(vrcnn_receiver_open(NULL, NULL, NULL, 0), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_receiver_open(&receiver, NULL, NULL, 5), VRCNN_ERROR_ARGUMENT);
    CHECK(!receiver);
#define REFUSED(change, error)                                                                                                             \
    do {                                                                                                                                   \
        vrcnn_default_settings(&settings, sizeof settings);                                                                                \
        change;                                                                                                                            \
        receiver = (VrcnnReceiver *)sets;                                                                                                  \
        CHECK_ERROR(vrcnn_receiver_open(&receiver, &settings, file->data, file->size), error);                                             \
        CHECK(!receiver);                                                                                                                  \
    } while (0)
    REFUSED(settings.size--, VRCNN_ERROR_ARGUMENT);
    REFUSED(settings.kernel = (VrcnnKernel)99, VRCNN_ERROR_KERNEL_UNKNOWN);
    REFUSED(settings.kernel = VRCNN_KERNEL_CUDA, VRCNN_ERROR_KERNEL_UNSUPPORTED);
    REFUSED(settings.threads = -1, VRCNN_ERROR_THREADS);
    REFUSED(settings.threads = VRCNN_MAX_THREADS + 1, VRCNN_ERROR_THREADS);
#undef REFUSED
    CHECK_ERROR(vrcnn_receiver_open(&receiver, NULL, file->data, file->size - 1), VRCNN_ERROR_TRUNCATED);
    CHECK_ERROR(vrcnn_receiver_open(&receiver, NULL, file->data, 0), VRCNN_ERROR_TRUNCATED);
    CHECK_ERROR(vrcnn_receiver_open(&receiver, NULL, "not a model set, is it", 22), VRCNN_ERROR_NOT_A_MODEL);
    CHECK(!receiver);

    /* Settings of a later version, and a file that is gone after opening. */
    struct {
        VrcnnSettings known;
        int more[4];
    } later;
    uint8_t *copy = get(file->size);
    memcpy(copy, file->data, file->size);
    memset(&later, 0, sizeof later);
    later.known.size = sizeof later;
    later.known.threads = 2;
    CHECK_ERROR(vrcnn_receiver_open(&receiver, &later.known, copy, file->size), VRCNN_OK);
    memset(copy, 0, file->size);
    memset(&later, 0x5a, sizeof later);
    free(copy);
    receive(receiver, sets, 1);
    CHECK(vrcnn_context_threads(vrcnn_receiver_context(receiver)) == 2);

    Picture *picture = make_picture(sets, 1);
    VrcnnSideinfo info, untouched;
    memset(&info, 0x5a, sizeof info);
    untouched = info;
    CHECK_ERROR(vrcnn_receiver_picture(NULL, picture->data, picture->size, 1, 8, 8, &info), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_receiver_picture(receiver, NULL, picture->size, 1, 8, 8, &info), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_receiver_picture(receiver, picture->data, picture->size, 1, 8, 8, NULL), VRCNN_ERROR_ARGUMENT);
    const VrcnnPlane dst = plane_of(picture, picture->base, 2), src = plane_of(picture, picture->source, 2);
    const VrcnnConstPlane reading = constant(&src);
    CHECK_ERROR(vrcnn_receiver_filter(NULL, 0, NULL, &dst, &reading), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_receiver_filter(receiver, 0, NULL, NULL, &reading), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_receiver_filter(receiver, 0, NULL, &dst, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK(is_same(&info, &untouched));
    receive(receiver, sets, 0); /* a caller's mistake is none of the stream's */
    vrcnn_receiver_close(receiver);
    vrcnn_receiver_close(NULL);
    vrcnn_receiver_reset(NULL);
    CHECK(!vrcnn_receiver_context(NULL) && !vrcnn_receiver_model(NULL));
}

/* However little memory there is, at opening or where a set is opened: an error, nothing lost, and the next IRAP picture works again. */
static void test_no_memory(void)
{
    for (unsigned long n = 0;; n++) {
        VrcnnReceiver *receiver = NULL;
        allowed = allocations + n;
        const VrcnnError error = vrcnn_receiver_open(&receiver, NULL, sets[0].file.data, sets[0].file.size);
        allowed = ALL_ALLOWED;
        vrcnn_receiver_close(receiver);
        if (!error) {
            CHECK(n > 1);
            break;
        }
        if (!CHECK(error == VRCNN_ERROR_MEMORY && !receiver))
            break;
    }
    for (int set = 0; set <= SETS; set += SETS)
        for (unsigned long n = 0;; n++) {
            VrcnnReceiver *receiver = open_receiver(sets, VRCNN_KERNEL_AUTO, 1);
            VrcnnSideinfo info, untouched;
            memset(&info, 0x5a, sizeof info);
            untouched = info;
            receive(receiver, sets + SETS - set, 1);
            const Picture *picture = make_picture(sets + set, 1);
            allowed = allocations + n;
            const VrcnnError error =
                vrcnn_receiver_picture(receiver, picture->data, picture->size, 1, picture->width, picture->height, &info);
            allowed = ALL_ALLOWED;
            CHECK(is_same(&info, error ? &untouched : &picture->info));
            CHECK(filter_picture(receiver, picture, 0, error, error ? picture->base : picture->wanted) == 0);
            if (error)
                verify_error(receiver, VRCNN_ERROR_MEMORY);
            vrcnn_receiver_close(receiver);
            if (!CHECK(n < 100) || !error) {
                CHECK(n > 0);
                break;
            }
        }
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);
    seed_random(seed);
    make_sets();
    for (uses_planes = 0; uses_planes < 2; uses_planes++) {
        test_streams();
        test_kernels_and_threads();
        test_one_context();
        test_decisions();
        test_wrong_side_information();
        test_no_picture_before();
        test_wrong_pictures();
        test_any_bytes();
    }
    uses_planes = 0;
    test_segments();
    test_segments_ahead();
    test_planted_state();
    test_built_in_sets();
    test_opening();
    test_no_memory();
    free_sets();
    return report();
}
