/* Side information of a picture: written and read as SPECIFICATION.md, section 6, says; the names of fields are those of that section.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "sideinfo.h"

#include <string.h>

#include "map.h"

enum { VERSION = 1 };

/* 1 if the first networks of index are in range and differ. */
static int are_indices(const int *index, int networks)
{
    for (int i = 0; i < networks; i++) {
        if (index[i] < 0 || index[i] >= VRCNN_MAX_NETWORKS)
            return 0;
        for (int j = 0; j < i; j++)
            if (index[i] == index[j])
                return 0;
    }
    return 1;
}

static int is_writable(const VrcnnSideinfo *info)
{
    if (info->has_identity != 0 && info->has_identity != 1)
        return 0;
    if (info->mode == VRCNN_MODE_OFF)
        return 1;
    if (info->position != VRCNN_BEFORE_DEBLOCKING && info->position != VRCNN_AFTER_SAO)
        return 0;
    if (info->networks < 1 || info->networks > VRCNN_MAX_CHOICES || !are_indices(info->index, info->networks))
        return 0;
    if (info->scale < 1 || info->scale > 10)
        return 0;
    if (info->mode == VRCNN_MODE_ALL)
        return info->networks == 1;
    return info->mode == VRCNN_MODE_MAP && vrcnn_unit_size_index(info->unit_size) >= 0;
}

VrcnnError vrcnn_sideinfo_write(uint8_t *out, size_t *size, const VrcnnSideinfo *info, const uint8_t *unit, int width, int height)
{
    uint8_t data[VRCNN_SIDEINFO_SIZE] = {0};
    Writer writer = {data, 0};
    VrcnnMap map = {{0, 0, 0, 0}, 0, 0};
    if (!out || !size || !info || (info->mode == VRCNN_MODE_MAP && !unit))
        return VRCNN_ERROR_ARGUMENT;
    if (!vrcnn_sideinfo_is_size(width, height))
        return VRCNN_ERROR_PLANE;
    if (!is_writable(info))
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    if (info->mode == VRCNN_MODE_MAP) {
        map.grid = vrcnn_grid(width, height, info->unit_size);
        map.networks = info->networks;
        if (vrcnn_map_check(&map, unit))
            return VRCNN_ERROR_UNITS;
    }

    if (info->has_identity) {
        put(&writer, SIDEINFO_MAGIC, 16);
        put(&writer, VERSION, 8);
        for (int i = 0; i < VRCNN_SIDEINFO_ID_SIZE; i++)
            put(&writer, info->identity[i], 8);
    }
    put(&writer, (unsigned)info->mode, 2);
    put(&writer, info->mode == VRCNN_MODE_OFF ? 0U : (unsigned)info->position, 1);
    if (info->mode != VRCNN_MODE_OFF) {
        if (info->mode == VRCNN_MODE_MAP)
            put(&writer, (unsigned)info->networks - 1, 2);
        for (int i = 0; i < info->networks; i++)
            put(&writer, (unsigned)info->index[i], 5);
        put(&writer, (unsigned)info->scale, 4);
        if (info->mode == VRCNN_MODE_MAP)
            vrcnn_map_put(&writer, &map, unit);
    }
    if (writer.at > MAX_BITS)
        return VRCNN_ERROR_SIDEINFO_SPACE;
    *size = (writer.at + 7) / 8;
    memcpy(out, data, *size);
    return VRCNN_OK;
}

int vrcnn_sideinfo_is_size(int width, int height)
{
    return width >= 1 && width <= VRCNN_MAX_SIZE && height >= 1 && height <= VRCNN_MAX_SIZE;
}

int vrcnn_sideinfo_has_magic(const uint8_t *data, size_t size)
{
    return size >= 2 && data[0] == SIDEINFO_MAGIC >> 8 && data[1] == (SIDEINFO_MAGIC & 255);
}

/* From magic to model_set_identity. */
static VrcnnError get_identity(VrcnnSideinfo *info, Reader *reader)
{
    unsigned value;
    VrcnnError error;
    if (get(&value, reader, 16) || value != SIDEINFO_MAGIC)
        return VRCNN_ERROR_SIDEINFO_FOREIGN;
    error = get(&value, reader, 8);
    if (error)
        return error;
    if (value != VERSION)
        return VRCNN_ERROR_SIDEINFO_VERSION;
    for (int i = 0; i < VRCNN_SIDEINFO_ID_SIZE; i++) {
        error = get(&value, reader, 8);
        if (error)
            return error;
        info->identity[i] = (uint8_t)value;
    }
    info->has_identity = 1;
    return VRCNN_OK;
}

/* From num_networks_minus1 to output_scale. */
static VrcnnError get_networks(VrcnnSideinfo *info, Reader *reader)
{
    unsigned value = 0;
    VrcnnError error;
    if (info->mode == VRCNN_MODE_MAP) {
        error = get(&value, reader, 2);
        if (error)
            return error;
        if (value >= VRCNN_MAX_CHOICES)
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
    }
    info->networks = (int)value + 1;
    for (int i = 0; i < info->networks; i++) {
        error = get(&value, reader, 5);
        if (error)
            return error;
        info->index[i] = (int)value;
        if (!are_indices(info->index, i + 1))
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
    }
    error = get(&value, reader, 4);
    if (error)
        return error;
    info->scale = (int)value;
    return value >= 1 && value <= 10 ? VRCNN_OK : VRCNN_ERROR_SIDEINFO_SYNTAX;
}

VrcnnError vrcnn_sideinfo_parse(VrcnnSideinfo *info, uint8_t *unit, size_t units, const uint8_t *data, size_t size, int is_irap, int width,
                                int height)
{
    VrcnnSideinfo read;
    /* Too many bytes are one bit too many here: size * 8 could be more than a size_t holds. */
    Reader reader = {data, size > VRCNN_SIDEINFO_SIZE ? MAX_BITS + 1 : size * 8, 0};
    unsigned value;
    VrcnnError error;
    if (!info || !unit || (!data && size))
        return VRCNN_ERROR_ARGUMENT;
    if (!vrcnn_sideinfo_is_size(width, height))
        return VRCNN_ERROR_PLANE;
    memset(&read, 0, sizeof read);

    if (is_irap) {
        error = get_identity(&read, &reader);
        if (error)
            return error;
    }
    if (reader.bits > MAX_BITS)
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    error = get(&value, &reader, 3);
    if (error)
        return error;
    if (value >> 1 > VRCNN_MODE_MAP)
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    read.mode = (VrcnnMode)(value >> 1);
    read.position = (VrcnnPosition)(value & 1);
    if (read.mode == VRCNN_MODE_OFF && read.position)
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    if (read.mode != VRCNN_MODE_OFF) {
        error = get_networks(&read, &reader);
        if (error)
            return error;
    }
    if (read.mode == VRCNN_MODE_MAP) {
        VrcnnMap map = {{0, 0, 0, 0}, read.networks, 0};
        error = vrcnn_map_get(&map, unit, units, &reader, width, height);
        if (error)
            return error;
        read.unit_size = map.grid.size;
    }
    while (reader.at % 8)
        if (get_bit(&reader))
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
    if (reader.at != reader.bits)
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    *info = read;
    return VRCNN_OK;
}
