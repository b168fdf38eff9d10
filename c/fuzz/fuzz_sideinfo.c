/* Fuzz target: the side information. What is parsed must survive writing and parsing, and the writer may not need more bytes for it.
 * Input: a byte (bit 0: IRAP picture; bit 1: write a map of the rest instead; bit 5: version 2, unless it is one), width and height
 * (2 bytes each), the extension, which is read in both ways.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fuzz.h"

static uint8_t unit[VRCNN_MAX_UNITS], again[VRCNN_MAX_UNITS], chroma[VRCNN_MAX_UNITS], chroma_again[VRCNN_MAX_UNITS];

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

/* Writes, parses and compares. most: bytes that the writer may need; 0: it may find no way at all. */
static void round_trip(const VrcnnSideinfo *info, int width, int height, size_t most)
{
    uint8_t written[VRCNN_SIDEINFO_SIZE];
    size_t size;
    VrcnnSideinfo read;
    const size_t units = units_of(info, width, height);
    const VrcnnError error = vrcnn_sideinfo_write(written, &size, info, unit, width, height);
    if (error) {
        MUST(!most);
        return;
    }
    MUST(size >= 1 && size <= (most ? most : sizeof written));
    /* A room of exactly as many units ends where `again` does, so that a sanitizer sees a unit too many. */
    uint8_t *room = again + (sizeof again - units);
    MUST(!vrcnn_sideinfo_parse(&read, room, units, written, size, info->has_identity, width, height));
    MUST(is_same(info, &read) && !memcmp(unit, room, units));
    MUST(!units || vrcnn_sideinfo_parse(&read, again, units - 1, written, size, info->has_identity, width, height) == VRCNN_ERROR_UNITS);
}

static size_t count_units(int size, int width, int height)
{
    return size ? (size_t)((width + size - 1) / size) * (size_t)((height + size - 1) / size) : 0;
}

/* The call that reads both versions, which reads version 1 as the other call does. */
static void read_planes(const uint8_t *data, size_t size, int version, int is_irap, int width, int height)
{
    VrcnnPlaneSideinfo info, read;
    VrcnnSideinfo old;
    uint8_t written[VRCNN_SIDEINFO_SIZE];
    size_t written_size;
    const VrcnnError error = vrcnn_sideinfo_parse_planes(&info, unit, chroma, sizeof unit, data, size, version, is_irap, width, height);
    const VrcnnError old_error = vrcnn_sideinfo_parse(&old, again, sizeof again, data, size, is_irap, width, height);
    if (error) {
        MUST(error == old_error || version == 2 || (is_irap && old_error == VRCNN_ERROR_SIDEINFO_VERSION));
        return;
    }
    const size_t units = count_units(info.luma_unit_size, width, height), of_chroma = count_units(info.chroma_unit_size, width, height);
    if (info.version == 1) {
        MUST(!old_error && old.mode == info.luma_mode && !info.chroma_mode && old.networks == info.filters);
        MUST(units == units_of(&old, width, height) && !memcmp(unit, again, units));
        return;
    }
    MUST(!vrcnn_sideinfo_write_planes(written, &written_size, &info, unit, chroma, width, height) && written_size <= size);
    const size_t room = units > of_chroma ? units : of_chroma;
    uint8_t *luma_room = again + (sizeof again - room), *chroma_room = chroma_again + (sizeof chroma_again - room);
    MUST(!vrcnn_sideinfo_parse_planes(&read, luma_room, chroma_room, room, written, written_size, 2, info.has_identity, width, height));
    MUST(!memcmp(&read, &info, sizeof read) && !memcmp(unit, luma_room, units) && !memcmp(chroma, chroma_room, of_chroma));
    MUST(!room || vrcnn_sideinfo_parse_planes(&read, again, chroma_again, room - 1, written, written_size, 2, info.has_identity, width,
                                              height) == VRCNN_ERROR_UNITS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VrcnnSideinfo info;
    int width, height;
    if (size < 5)
        return 0;
    width = data[1] << 8 | data[2];
    height = data[3] << 8 | data[4];
    if (data[0] & 2 && size > 7) {
        const size_t given = size - 7;
        memset(&info, 0, sizeof info);
        info.has_identity = data[0] & 1;
        info.mode = VRCNN_MODE_MAP;
        info.position = data[0] & 4 ? VRCNN_AFTER_SAO : VRCNN_BEFORE_DEBLOCKING;
        info.networks = 1 + data[5] % 3;
        for (int i = 0; i < info.networks; i++)
            info.index[i] = (data[5] + 7 * i) % 32;
        info.scale = 1 + data[6] % 10;
        info.unit_size = 64 << (data[0] >> 3 & 3);
        for (size_t i = 0; i < sizeof unit; i++)
            unit[i] = data[7 + i % given] % 4;
        round_trip(&info, width, height, 0);
        return 0;
    }
    read_planes(data + 5, size - 5, data[0] & 32 ? 2 : 1, data[0] & 1, width, height);
    if (vrcnn_sideinfo_parse(&info, unit, sizeof unit, data + 5, size - 5, data[0] & 1, width, height))
        return 0;
    round_trip(&info, width, height, size - 5);
    return 0;
}
