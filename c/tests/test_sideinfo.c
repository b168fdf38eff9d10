/* Tests of the side information's writer and parser: test_sideinfo [SEED [MUTATIONS]]. tests/codec_bridge/bitstream/test_sideinfo.py
 * compares them with the parser in Python. Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocations.h"
#include "support.h"

/* 0 .. below - 1. */
static unsigned draw(unsigned below)
{
    return random_bits() % below;
}

/* ---- helpers ---- */

static uint8_t unit[VRCNN_MAX_UNITS], found_unit[VRCNN_MAX_UNITS];

static size_t units_of(const VrcnnSideinfo *info, int width, int height)
{
    const int s = info->unit_size;
    return info->mode == VRCNN_MODE_MAP ? (size_t)((width + s - 1) / s) * (size_t)((height + s - 1) / s) : 0;
}

static int is_same(const VrcnnSideinfo *a, const VrcnnSideinfo *b)
{
    return a->has_identity == b->has_identity && !memcmp(a->identity, b->identity, sizeof a->identity) && a->mode == b->mode &&
           a->position == b->position && a->networks == b->networks && !memcmp(a->index, b->index, sizeof a->index) &&
           a->scale == b->scale && a->unit_size == b->unit_size;
}

/* From a copy of exactly `size` bytes, with a map of exactly `units` units, so that a sanitizer sees a step too far. */
static VrcnnError parse_tightly(VrcnnSideinfo *info, const uint8_t *data, size_t size, int is_irap, int width, int height, size_t units)
{
    uint8_t *copy = get(size), *map = get(units);
    memcpy(copy, data, size);
    const unsigned long before = allocations;
    const VrcnnError error = vrcnn_sideinfo_parse(info, map, units, size ? copy : NULL, size, is_irap, width, height);
    CHECK(allocations == before);
    if (!error)
        memcpy(found_unit, map, units_of(info, width, height));
    free(copy);
    free(map);
    return error;
}

/* Whatever the mode, a random choice of all that it has use for. */
static VrcnnSideinfo random_info(void)
{
    VrcnnSideinfo info;
    memset(&info, 0, sizeof info);
    info.has_identity = (int)draw(2);
    for (int i = 0; info.has_identity && i < VRCNN_SIDEINFO_ID_SIZE; i++)
        info.identity[i] = (uint8_t)draw(256);
    info.mode = (VrcnnMode)draw(3);
    if (info.mode == VRCNN_MODE_OFF)
        return info;
    info.position = (VrcnnPosition)draw(2);
    info.networks = info.mode == VRCNN_MODE_MAP ? 1 + (int)draw(3) : 1;
    for (int i = 0; i < info.networks; i++) {
        info.index[i] = (int)draw(32);
        for (int j = 0; j < i; j++)
            if (info.index[i] == info.index[j])
                i--, j = i;
    }
    info.scale = 1 + (int)draw(10);
    info.unit_size = info.mode == VRCNN_MODE_MAP ? 64 << draw(4) : 0;
    return info;
}

/* likeness 0: every unit for itself; higher: the more like its neighbours. */
static void random_map(size_t columns, size_t units, int networks, unsigned likeness)
{
    for (size_t i = 0; i < units; i++) {
        unit[i] = (uint8_t)draw((unsigned)networks + 1);
        if (i % columns && draw(likeness + 1))
            unit[i] = unit[i - 1];
        if (i >= columns && draw(likeness + 1))
            unit[i] = unit[i - columns];
    }
    unit[draw((unsigned)units)] = 1;
}

/* ---- tests ---- */

static void test_bytes(void)
{
    static const uint8_t off[] = {0x00}, all[] = {0x63, 0x80}, off_irap[] = {0x56, 0x4e, 1, 0xde, 0xad, 0xbe, 0xef, 0};
    /* 10 0 01 00111 11111 0001 01 1 | 01 00 10 10 | 00: two networks, 7 and 31, scale 1, units of 128, raw: 1 0 2 2. */
    static const uint8_t map[] = {0x89, 0xfe, 0x2d, 0x28};
    VrcnnSideinfo info, read;
    uint8_t out[VRCNN_SIDEINFO_SIZE];
    size_t size = 0;

    memset(&info, 0, sizeof info);
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, NULL, 1, 1), VRCNN_OK);
    CHECK(size == sizeof off && !memcmp(out, off, size));
    info.position = VRCNN_AFTER_SAO, info.networks = 9, info.scale = -3, info.unit_size = 5; /* of no use when off */
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, NULL, 16384, 16384), VRCNN_OK);
    CHECK(size == sizeof off && !memcmp(out, off, size));
    info.has_identity = 1;
    memcpy(info.identity, off_irap + 3, 4);
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, NULL, 64, 64), VRCNN_OK);
    CHECK(size == sizeof off_irap && !memcmp(out, off_irap, size));
    info = (VrcnnSideinfo){0, {0}, VRCNN_MODE_ALL, VRCNN_AFTER_SAO, 1, {3, 0, 0}, 8, 0};
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, NULL, 64, 64), VRCNN_OK);
    CHECK(size == sizeof all && !memcmp(out, all, size));
    CHECK_ERROR(parse_tightly(&read, all, sizeof all, 0, 64, 64, 0), VRCNN_OK);
    CHECK(is_same(&read, &info));

    info = (VrcnnSideinfo){0, {0}, VRCNN_MODE_MAP, VRCNN_BEFORE_DEBLOCKING, 2, {7, 31, 0}, 1, 128};
    CHECK_ERROR(parse_tightly(&read, map, sizeof map, 0, 129, 256, 4), VRCNN_OK);
    CHECK(is_same(&read, &info) && !memcmp(found_unit, "\1\0\2\2", 4));
    CHECK_ERROR(parse_tightly(&read, map, sizeof map, 0, 129, 256, 3), VRCNN_ERROR_UNITS);
    CHECK_ERROR(parse_tightly(&read, map, sizeof map, 0, 257, 256, 6), VRCNN_ERROR_SIDEINFO_TRUNCATED);
    CHECK_ERROR(parse_tightly(&read, map, sizeof map, 0, 128, 128, 1), VRCNN_ERROR_SIDEINFO_SYNTAX);
}

static void expect(const char *hex, int is_irap, VrcnnError wanted, int line)
{
    VrcnnSideinfo info, before;
    uint8_t data[300];
    size_t size = 0;
    for (; hex[2 * size] && size < sizeof data; size++) {
        const char digits[3] = {hex[2 * size], hex[2 * size + 1], 0};
        char *end;
        data[size] = (uint8_t)strtoul(digits, &end, 16);
        check(end == digits + 2, __FILE__, line, "%s is not hexadecimal", hex);
    }
    memset(&info, 0x5a, sizeof info);
    before = info;
    check_error(parse_tightly(&info, data, size, is_irap, 64, 64, 1), wanted, __FILE__, line, hex);
    if (wanted)
        check(!memcmp(&info, &before, sizeof info), __FILE__, line, "%s changed info", hex);
}

/* Pictures of one unit. */
static void test_parser_refusals(void)
{
    uint8_t long_data[400];
    VrcnnSideinfo info;
    expect("", 1, VRCNN_ERROR_SIDEINFO_FOREIGN, __LINE__);
    expect("56", 1, VRCNN_ERROR_SIDEINFO_FOREIGN, __LINE__);
    expect("4e56010102030400", 1, VRCNN_ERROR_SIDEINFO_FOREIGN, __LINE__);
    expect("564e", 1, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
    expect("564e00", 1, VRCNN_ERROR_SIDEINFO_VERSION, __LINE__);
    expect("564e02010203040000", 1, VRCNN_ERROR_SIDEINFO_VERSION, __LINE__);
    expect("564e01", 1, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
    expect("564e01010203", 1, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
    expect("564e0101020304", 1, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
    expect("564e010102030400", 1, VRCNN_OK, __LINE__);
    expect("564e01010203040000", 1, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);
    expect("564e010102030400", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);
    expect("", 0, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
    expect("00", 0, VRCNN_OK, __LINE__);
    expect("01", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);   /* padding */
    expect("10", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);   /* padding */
    expect("20", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);   /* off, position 1 */
    expect("0000", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__); /* a byte too many */
    expect("c0", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);   /* mode 3 */
    expect("40", 0, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
    expect("4000", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__); /* scale 0 */
    expect("4010", 0, VRCNN_OK, __LINE__);                    /* scale 1 */
    expect("5fa0", 0, VRCNN_OK, __LINE__);                    /* scale 10, index 31 */
    expect("40b0", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__); /* scale 11 */
    expect("4018", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__); /* padding */
    expect("401000", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);
    expect("98", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);     /* map, four networks */
    expect("8800", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__);   /* map, network 0 twice */
    expect("900840", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__); /* map, networks 0, 4, 4 */
    /* Map of one network, scale 1: 10 0 00 00000 0001 00 1 u. */
    expect("8004c0", 0, VRCNN_OK, __LINE__);                    /* raw 1 */
    expect("800480", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__); /* raw 0: no unit with a network */
    expect("8004e0", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__); /* padding */
    expect("8004", 0, VRCNN_ERROR_SIDEINFO_TRUNCATED, __LINE__);
    /* Coded: one bin of counts 1, 3; a one is the upper three quarters, with no doubling: one bit. */
    expect("800440", 0, VRCNN_OK, __LINE__);
    expect("800400", 0, VRCNN_ERROR_SIDEINFO_SYNTAX, __LINE__); /* none */

    memset(long_data, 0, sizeof long_data);
    for (size_t size = 255; size < sizeof long_data; size++)
        CHECK_ERROR(parse_tightly(&info, long_data, size, 0, 64, 64, 1), VRCNN_ERROR_SIDEINFO_SYNTAX);
    memcpy(long_data, "VN\2", 3);
    CHECK_ERROR(parse_tightly(&info, long_data, 257, 1, 64, 64, 1), VRCNN_ERROR_SIDEINFO_VERSION);
    long_data[0] = 0;
    CHECK_ERROR(parse_tightly(&info, long_data, 257, 1, 64, 64, 1), VRCNN_ERROR_SIDEINFO_FOREIGN);

    /* Raw maps: after 17 bits 256 bytes have room for 2031 units of one network. */
    long_data[0] = 0x80, long_data[1] = 0x04, long_data[2] = 0xc0;
    memset(long_data + 3, 0xff, sizeof long_data - 3);
    unit[0] = 1;
    CHECK_ERROR(parse_tightly(&info, long_data, 256, 0, 64 * 77, 64 * 26, 2002), VRCNN_ERROR_SIDEINFO_SYNTAX);
    CHECK_ERROR(parse_tightly(&info, long_data, 256, 0, 64 * 127, 64 * 16, 2032), VRCNN_ERROR_SIDEINFO_TRUNCATED);
    memset(long_data + 3, 0, 253);
    CHECK_ERROR(parse_tightly(&info, long_data, 256, 0, 64 * 225, 64 * 9, 2025), VRCNN_OK);
    CHECK_ERROR(parse_tightly(&info, long_data, 257, 0, 64 * 225, 64 * 9, 2025), VRCNN_ERROR_SIDEINFO_SYNTAX);

    CHECK_ERROR(vrcnn_sideinfo_parse(NULL, unit, 1, long_data, 1, 0, 64, 64), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sideinfo_parse(&info, NULL, 1, long_data, 1, 0, 64, 64), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sideinfo_parse(&info, unit, 1, NULL, 1, 0, 64, 64), VRCNN_ERROR_ARGUMENT);
    for (int i = 0; i < 4; i++) {
        static const int sizes[4][2] = {{0, 64}, {64, 0}, {16385, 64}, {64, 16385}};
        CHECK_ERROR(vrcnn_sideinfo_parse(&info, unit, 1, long_data, 1, 0, sizes[i][0], sizes[i][1]), VRCNN_ERROR_PLANE);
    }
}

static void test_writer_refusals(void)
{
    const VrcnnSideinfo good = {1, {1, 2, 3, 4}, VRCNN_MODE_MAP, VRCNN_AFTER_SAO, 3, {0, 31, 5}, 10, 64};
    VrcnnSideinfo info = good;
    uint8_t out[VRCNN_SIDEINFO_SIZE], untouched[VRCNN_SIDEINFO_SIZE];
    size_t size = 77;
    memset(out, 0x5a, sizeof out);
    memset(untouched, 0x5a, sizeof untouched);
    memset(unit, 0, sizeof unit);
    unit[1] = 3;
    CHECK_ERROR(vrcnn_sideinfo_write(NULL, &size, &info, unit, 65, 64), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sideinfo_write(out, NULL, &info, unit, 65, 64), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, NULL, unit, 65, 64), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, NULL, 65, 64), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 0, 64), VRCNN_ERROR_PLANE);
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 65, 16385), VRCNN_ERROR_PLANE);
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 64, 64), VRCNN_ERROR_UNITS); /* its only unit has no network */
    unit[1] = 4;
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 65, 64), VRCNN_ERROR_UNITS);
    unit[1] = 3, info.networks = 2;
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 65, 64), VRCNN_ERROR_UNITS);
#define REFUSED(field, value)                                                                                                              \
    do {                                                                                                                                   \
        info = good;                                                                                                                       \
        info.field = (value);                                                                                                              \
        CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 65, 64), VRCNN_ERROR_SIDEINFO_SYNTAX);                                   \
    } while (0)
    REFUSED(has_identity, 2);
    REFUSED(has_identity, -1);
    REFUSED(mode, (VrcnnMode)3);
    REFUSED(mode, VRCNN_MODE_ALL); /* of three networks */
    REFUSED(position, (VrcnnPosition)2);
    REFUSED(networks, 0);
    REFUSED(networks, 4);
    REFUSED(index[0], -1);
    REFUSED(index[2], 32);
    REFUSED(index[2], 0);
    REFUSED(index[1], 5);
    REFUSED(scale, 0);
    REFUSED(scale, 11);
    REFUSED(unit_size, 0);
    REFUSED(unit_size, 65);
    REFUSED(unit_size, 1024);
    REFUSED(unit_size, -64);
#undef REFUSED

    /* No way to get random choices of 16384 units into 256 bytes. */
    info = good;
    random_map(128, 16384, 3, 0);
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 8192, 8192), VRCNN_ERROR_SIDEINFO_SPACE);
    CHECK(size == 77 && !memcmp(out, untouched, sizeof out));
    info.unit_size = 512;
    CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 8192, 8192), VRCNN_OK);
    CHECK(size <= 7 + 4 + 64);
    /* But of 65536 alike. */
    info.unit_size = 64;
    for (uint8_t choice = 1; choice <= 3; choice++) {
        memset(unit, choice, sizeof unit);
        CHECK_ERROR(vrcnn_sideinfo_write(out, &size, &info, unit, 16384, 16384), VRCNN_OK);
        CHECK(size < VRCNN_SIDEINFO_SIZE);
        CHECK_ERROR(parse_tightly(&info, out, size, 1, 16384, 16384, 65536), VRCNN_OK);
        CHECK(is_same(&info, &good) && !memcmp(unit, found_unit, sizeof unit));
        CHECK_ERROR(parse_tightly(&info, out, size, 1, 16384, 16384, 65535), VRCNN_ERROR_UNITS);
    }
}

/* Random side information, as written, damaged in some way: no crash, and what is accepted round-trips. */
static void test_random(unsigned long mutations)
{
    unsigned long round_trips = 0, accepted = 0, tried = 0;
    while (tried < mutations) {
        const VrcnnSideinfo info = random_info();
        const unsigned most = draw(8) ? 1200 : 9000;
        const int width = 1 + (int)draw(most), height = 1 + (int)draw(most);
        const size_t units = units_of(&info, width, height);
        VrcnnSideinfo read;
        uint8_t out[VRCNN_SIDEINFO_SIZE], again[VRCNN_SIDEINFO_SIZE];
        size_t size, size_again;
        VrcnnError error;
        if (units)
            random_map((size_t)((width + info.unit_size - 1) / info.unit_size), units, info.networks, draw(20));
        const unsigned long before = allocations;
        error = vrcnn_sideinfo_write(out, &size, &info, unit, width, height);
        CHECK(allocations == before);
        if (error) {
            const size_t header = (info.has_identity ? 56U : 0U) + 12 + (size_t)info.networks * 5;
            CHECK_ERROR(error, VRCNN_ERROR_SIDEINFO_SPACE);
            CHECK(header + units * (info.networks > 1 ? 2 : 1) > 2048);
            tried++;
            continue;
        }
        CHECK(size >= 1 && size <= sizeof out);
        CHECK_ERROR(parse_tightly(&read, out, size, info.has_identity, width, height, units), VRCNN_OK);
        CHECK(is_same(&read, &info) && !memcmp(unit, found_unit, units));
        CHECK(!vrcnn_sideinfo_write(again, &size_again, &info, unit, width, height) && size_again == size && !memcmp(out, again, size));
        round_trips++;

        for (int i = 0; i < 10; i++, tried++) {
            uint8_t damaged[VRCNN_SIDEINFO_SIZE + 8];
            size_t length = size;
            memcpy(damaged, out, size);
            switch (draw(6)) {
            case 0: length = draw((unsigned)size); break;
            case 1:
                for (unsigned n = 1 + draw(8); n > 0; n--)
                    damaged[length++] = (uint8_t)(draw(2) ? draw(256) : 0);
                break;
            case 2:
                for (size_t at = draw((unsigned)size); at < length; at++)
                    damaged[at] = (uint8_t)draw(256);
                break;
            default:
                for (unsigned n = 1 + draw(4); n > 0; n--)
                    damaged[draw((unsigned)size)] ^= (uint8_t)(1U << draw(8));
            }
            const int is_irap = draw(10) ? info.has_identity : !info.has_identity;
            const size_t room = VRCNN_MAX_UNITS >> (draw(10) ? 0 : draw(16));
            error = parse_tightly(&read, damaged, length, is_irap, width, height, room);
            CHECK(error == VRCNN_OK || error == VRCNN_ERROR_UNITS ||
                  (error <= VRCNN_ERROR_SIDEINFO_FOREIGN && error >= VRCNN_ERROR_SIDEINFO_SYNTAX));
            CHECK(is_irap || (error != VRCNN_ERROR_SIDEINFO_FOREIGN && error != VRCNN_ERROR_SIDEINFO_VERSION));
            if (error)
                continue;
            accepted++;
            const size_t found_units = units_of(&read, width, height);
            memcpy(unit, found_unit, found_units);
            CHECK(length <= sizeof again && read.has_identity == is_irap);
            CHECK_ERROR(vrcnn_sideinfo_write(again, &size_again, &read, unit, width, height), VRCNN_OK);
            CHECK(size_again <= length);
            const VrcnnSideinfo kept = read;
            CHECK_ERROR(parse_tightly(&read, again, size_again, is_irap, width, height, found_units), VRCNN_OK);
            CHECK(is_same(&read, &kept) && !memcmp(unit, found_unit, found_units));
        }
    }
    printf("%lu round trips, %lu mutations, %lu of them accepted\n", round_trips, tried, accepted);
    CHECK(round_trips > tried / 20 && accepted > tried / 100 && accepted < tried / 2);
}

/* ---- version 2 ---- */

static uint8_t chroma[VRCNN_MAX_UNITS], found_chroma[VRCNN_MAX_UNITS];

static size_t count_units(int size, int width, int height)
{
    return size ? (size_t)((width + size - 1) / size) * (size_t)((height + size - 1) / size) : 0;
}

/* As parse_tightly. */
static VrcnnError parse_planes(VrcnnPlaneSideinfo *info, const uint8_t *data, size_t size, int version, int is_irap, int width, int height,
                               size_t units)
{
    uint8_t *copy = get(size), *luma_map = get(units), *chroma_map = get(units);
    memcpy(copy, data, size);
    const unsigned long before = allocations;
    const VrcnnError error =
        vrcnn_sideinfo_parse_planes(info, luma_map, chroma_map, units, size ? copy : NULL, size, version, is_irap, width, height);
    CHECK(allocations == before);
    if (!error) {
        memcpy(found_unit, luma_map, count_units(info->luma_unit_size, width, height));
        memcpy(found_chroma, chroma_map, count_units(info->chroma_unit_size, width, height));
    }
    free(copy);
    free(luma_map);
    free(chroma_map);
    return error;
}

static int is_listed(const VrcnnPlaneSideinfo *info, const VrcnnListedFilter *filter)
{
    for (int i = 0; i < info->filters; i++)
        if (!memcmp(info->filter + i, filter, sizeof *filter))
            return 1;
    return 0;
}

static void random_weights(int *weight, int heads)
{
    const int as_trained = draw(3) == 0;
    for (int head = 0; head < heads; head++)
        weight[head] = as_trained ? VRCNN_SCALE_TRAINED : heads > 1 ? (int)draw(16) - 5 : 1 + (int)draw(10);
}

static VrcnnPlaneSideinfo random_planes(void)
{
    VrcnnPlaneSideinfo info;
    memset(&info, 0, sizeof info);
    info.version = 2;
    info.has_identity = (int)draw(2);
    for (int i = 0; info.has_identity && i < VRCNN_SIDEINFO_SHORT_ID_SIZE; i++)
        info.identity[i] = (uint8_t)draw(256);
    info.luma_mode = (VrcnnMode)draw(3);
    info.chroma_mode = (VrcnnMode)draw(3);
    if (info.luma_mode == VRCNN_MODE_OFF && info.chroma_mode == VRCNN_MODE_OFF)
        return info;
    const int has_map = info.luma_mode == VRCNN_MODE_MAP || info.chroma_mode == VRCNN_MODE_MAP;
    info.shares_map = info.luma_mode == VRCNN_MODE_MAP && info.chroma_mode == VRCNN_MODE_MAP && draw(2);
    info.position = (VrcnnPosition)draw(2);
    for (const int count = has_map ? 1 + (int)draw(3) : 1; info.filters < count;) {
        VrcnnListedFilter filter;
        memset(&filter, 0, sizeof filter);
        filter.index = (int)(draw(2) ? draw(32) : 3);
        filter.heads = 1 + (int)draw(2);
        if (info.luma_mode != VRCNN_MODE_OFF)
            random_weights(filter.weights.luma, filter.heads);
        if (info.chroma_mode != VRCNN_MODE_OFF)
            random_weights(filter.weights.chroma, filter.heads);
        if (!is_listed(&info, &filter))
            info.filter[info.filters++] = filter;
    }
    info.luma_unit_size = info.luma_mode == VRCNN_MODE_MAP ? 64 << draw(4) : 0;
    info.chroma_unit_size = info.chroma_mode == VRCNN_MODE_MAP && !info.shares_map ? 64 << draw(4) : 0;
    return info;
}

static void test_bytes_of_planes(void)
{
    static const uint8_t off_irap[] = {0x56, 0x4e, 2, 0xc0, 0xff, 0xee}, all[] = {0x51, 0xd0};
    /* 10 11 0 01 | 00001 0 1 | 00010 0 0 1101 0110 | 01 1 01 10 00 10: the weights of network 2 are 8 and 1; raw: 1 2 0 2. */
    static const uint8_t map[] = {0xb2, 0x14, 0x46, 0xb3, 0x62};
    static const VrcnnPlaneSideinfo filtered = {
        .version = 2, .luma_mode = VRCNN_MODE_ALL, .chroma_mode = VRCNN_MODE_ALL, .filters = 1, .filter = {{7, 1, {{8, 0}, {8, 0}}}}};
    static const VrcnnPlaneSideinfo shared = {.version = 2,
                                              .luma_mode = VRCNN_MODE_MAP,
                                              .chroma_mode = VRCNN_MODE_MAP,
                                              .shares_map = 1,
                                              .filters = 2,
                                              .filter = {{1, 1, {{8, 0}, {8, 0}}}, {2, 1, {{8, 0}, {1, 0}}}},
                                              .luma_unit_size = 128};
    VrcnnPlaneSideinfo info, read;
    uint8_t out[VRCNN_SIDEINFO_SIZE];
    size_t size = 77;

    memset(&info, 0, sizeof info);
    info.version = 2;
    CHECK_ERROR(vrcnn_sideinfo_write_planes(out, &size, &info, NULL, NULL, 1, 1), VRCNN_OK);
    CHECK(size == 0);
    info.position = VRCNN_AFTER_SAO, info.filters = 9, info.luma_unit_size = 5, info.shares_map = 7; /* of no use when off */
    CHECK_ERROR(vrcnn_sideinfo_write_planes(out, &size, &info, NULL, NULL, 1, 1), VRCNN_OK);
    CHECK(size == 0);
    info.has_identity = 1;
    memcpy(info.identity, "\xc0\xff\xee\x01", 4);
    CHECK_ERROR(vrcnn_sideinfo_write_planes(out, &size, &info, NULL, NULL, 16384, 16384), VRCNN_OK);
    CHECK(size == sizeof off_irap && !memcmp(out, off_irap, size));
    CHECK_ERROR(vrcnn_sideinfo_write_planes(out, &size, &filtered, NULL, NULL, 64, 64), VRCNN_OK);
    CHECK(size == sizeof all && !memcmp(out, all, size));
    CHECK_ERROR(parse_planes(&read, all, sizeof all, 2, 0, 64, 64, 0), VRCNN_OK);
    CHECK(!memcmp(&read, &filtered, sizeof read));
    CHECK_ERROR(parse_planes(&read, map, sizeof map, 2, 0, 129, 256, 4), VRCNN_OK);
    CHECK(!memcmp(&read, &shared, sizeof read) && !memcmp(found_unit, "\1\2\0\2", 4));
    CHECK_ERROR(parse_planes(&read, map, sizeof map, 2, 0, 129, 256, 3), VRCNN_ERROR_UNITS);
    CHECK_ERROR(parse_planes(&read, map, sizeof map, 2, 0, 257, 256, 6), VRCNN_ERROR_SIDEINFO_TRUNCATED);
    CHECK_ERROR(parse_planes(&read, map, sizeof map, 2, 0, 128, 128, 1), VRCNN_ERROR_SIDEINFO_SYNTAX);
}

/* Random side information of version 2, as written, damaged in some way. */
static void test_random_planes(unsigned long mutations)
{
    unsigned long round_trips = 0, accepted = 0, tried = 0;
    while (tried < mutations) {
        const VrcnnPlaneSideinfo info = random_planes();
        const unsigned most = draw(8) ? 1200 : 9000;
        const int width = 1 + (int)draw(most), height = 1 + (int)draw(most);
        const size_t units = count_units(info.luma_unit_size, width, height), of_chroma = count_units(info.chroma_unit_size, width, height);
        VrcnnPlaneSideinfo read;
        uint8_t out[VRCNN_SIDEINFO_SIZE], again[VRCNN_SIDEINFO_SIZE];
        size_t size, size_again;
        if (of_chroma) {
            random_map((size_t)((width + info.chroma_unit_size - 1) / info.chroma_unit_size), of_chroma, info.filters, draw(20));
            memcpy(chroma, unit, of_chroma);
        }
        if (units)
            random_map((size_t)((width + info.luma_unit_size - 1) / info.luma_unit_size), units, info.filters, draw(20));
        const unsigned long before = allocations;
        VrcnnError error = vrcnn_sideinfo_write_planes(out, &size, &info, unit, chroma, width, height);
        CHECK(allocations == before);
        if (error) {
            CHECK_ERROR(error, VRCNN_ERROR_SIDEINFO_SPACE);
            CHECK(48 + 13 + 3 * 23 + (units + of_chroma) * (info.filters > 1 ? 2 : 1) > 2048);
            tried++;
            continue;
        }
        CHECK_ERROR(parse_planes(&read, out, size, 2, info.has_identity, width, height, units > of_chroma ? units : of_chroma), VRCNN_OK);
        CHECK(!memcmp(&read, &info, sizeof read) && !memcmp(unit, found_unit, units) && !memcmp(chroma, found_chroma, of_chroma));
        round_trips++;
        for (int i = 0; i < 10; i++, tried++) {
            uint8_t damaged[VRCNN_SIDEINFO_SIZE + 8];
            size_t length = size;
            memcpy(damaged, out, size);
            switch (size ? draw(5) : 1) {
            case 0: length = draw((unsigned)size); break;
            case 1:
                for (unsigned n = 1 + draw(8); n > 0; n--)
                    damaged[length++] = (uint8_t)(draw(2) ? draw(256) : 0);
                break;
            case 2:
                for (size_t at = draw((unsigned)size); at < length; at++)
                    damaged[at] = (uint8_t)draw(256);
                break;
            default:
                for (unsigned n = 1 + draw(4); n > 0; n--)
                    damaged[draw((unsigned)size)] ^= (uint8_t)(1U << draw(8));
            }
            const int is_irap = draw(10) ? info.has_identity : !info.has_identity;
            error = parse_planes(&read, damaged, length, draw(10) ? 2 : 1, is_irap, width, height,
                                 VRCNN_MAX_UNITS >> (draw(10) ? 0 : draw(16)));
            CHECK(error == VRCNN_OK || error == VRCNN_ERROR_UNITS ||
                  (error <= VRCNN_ERROR_SIDEINFO_FOREIGN && error >= VRCNN_ERROR_SIDEINFO_SYNTAX));
            if (error || read.version == 1)
                continue;
            accepted++;
            memcpy(unit, found_unit, count_units(read.luma_unit_size, width, height));
            memcpy(chroma, found_chroma, count_units(read.chroma_unit_size, width, height));
            const VrcnnPlaneSideinfo kept = read;
            CHECK_ERROR(vrcnn_sideinfo_write_planes(again, &size_again, &kept, unit, chroma, width, height), VRCNN_OK);
            CHECK(size_again <= length);
            CHECK_ERROR(parse_planes(&read, again, size_again, 2, is_irap, width, height, VRCNN_MAX_UNITS), VRCNN_OK);
            CHECK(!memcmp(&read, &kept, sizeof read));
        }
    }
    printf("version 2: %lu round trips, %lu mutations, %lu of them accepted\n", round_trips, tried, accepted);
    CHECK(round_trips > tried / 20 && accepted > tried / 100 && accepted < tried * 2 / 3);
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    const unsigned long mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : 20000;
    printf("seed %" PRIu64 "\n", seed);
    seed_random(seed);
    test_bytes();
    test_parser_refusals();
    test_writer_refusals();
    test_random(mutations);
    test_bytes_of_planes();
    test_random_planes(mutations);
    return report();
}
