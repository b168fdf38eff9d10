/* Fuzz target: the side information. What is parsed must survive writing and parsing, and the writer may not need more bytes for it.
 * Input: a byte (bit 0: IRAP picture; bit 1: write a map of the rest instead), width and height (2 bytes each), the extension.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fuzz.h"

static uint8_t unit[VRCNN_MAX_UNITS], again[VRCNN_MAX_UNITS];

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
    if (vrcnn_sideinfo_parse(&info, unit, sizeof unit, data + 5, size - 5, data[0] & 1, width, height))
        return 0;
    round_trip(&info, width, height, size - 5);
    return 0;
}
