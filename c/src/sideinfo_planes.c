/* Side information of version 2: filters for luma and chroma. The names of fields are those of SPECIFICATION.md, section 6.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "map.h"
#include "sideinfo.h"

enum {
    VERSION = 2,
    LUMA_MAP = 3, /* chroma_mode: a map, which is luma's */
    LEAST_WEIGHT = -5,
    LEAST_SINGLE_WEIGHT = 1, /* of a network with one head */
    MOST_WEIGHT = 10
};

static int is_on(const VrcnnPlaneSideinfo *info)
{
    return info->luma_mode != VRCNN_MODE_OFF || info->chroma_mode != VRCNN_MODE_OFF;
}

static int has_own_chroma_map(const VrcnnPlaneSideinfo *info)
{
    return info->chroma_mode == VRCNN_MODE_MAP && !info->shares_map;
}

/* 1 if several filters can be listed. */
static int has_map(const VrcnnPlaneSideinfo *info)
{
    return info->luma_mode == VRCNN_MODE_MAP || info->chroma_mode == VRCNN_MODE_MAP;
}

static VrcnnMap map_of(const VrcnnPlaneSideinfo *info, int is_followed)
{
    const VrcnnMap map = {{0, 0, 0, 0}, info->filters, is_followed};
    return map;
}

/* Of one plane's weights, those that a network with so many heads has. */
static int is_alike(const int *a, const int *b, int heads)
{
    return !memcmp(a, b, (size_t)heads * sizeof *a);
}

/* 1 if two filters have the same network and, where a plane has use for them, the same weights. */
static int is_same_filter(const VrcnnPlaneSideinfo *info, const VrcnnListedFilter *a, const VrcnnListedFilter *b)
{
    return a->index == b->index && a->heads == b->heads &&
           (info->luma_mode == VRCNN_MODE_OFF || is_alike(a->weights.luma, b->weights.luma, a->heads)) &&
           (info->chroma_mode == VRCNN_MODE_OFF || is_alike(a->weights.chroma, b->weights.chroma, a->heads));
}

static int is_listed_before(const VrcnnPlaneSideinfo *info, int i)
{
    for (int j = 0; j < i; j++)
        if (is_same_filter(info, info->filter + i, info->filter + j))
            return 1;
    return 0;
}

static int is_weight(int weight, int heads)
{
    return weight >= (heads > 1 ? LEAST_WEIGHT : LEAST_SINGLE_WEIGHT) && weight <= MOST_WEIGHT;
}

/* ---- writing ---- */

static int is_filter(const VrcnnPlaneSideinfo *info, const VrcnnListedFilter *filter)
{
    if (filter->index < 0 || filter->index >= VRCNN_MAX_NETWORKS || filter->heads < 1 || filter->heads > VRCNN_MAX_HEADS)
        return 0;
    for (int head = 0; head < filter->heads; head++)
        if ((info->luma_mode != VRCNN_MODE_OFF && !is_weight(filter->weights.luma[head], filter->heads)) ||
            (info->chroma_mode != VRCNN_MODE_OFF && !is_weight(filter->weights.chroma[head], filter->heads)))
            return 0;
    return 1;
}

static int is_mode(VrcnnMode mode)
{
    return mode == VRCNN_MODE_OFF || mode == VRCNN_MODE_ALL || mode == VRCNN_MODE_MAP;
}

static int is_writable(const VrcnnPlaneSideinfo *info)
{
    if ((info->has_identity != 0 && info->has_identity != 1) || !is_mode(info->luma_mode) || !is_mode(info->chroma_mode))
        return 0;
    if (!is_on(info))
        return 1;
    if (info->position != VRCNN_BEFORE_DEBLOCKING && info->position != VRCNN_AFTER_SAO)
        return 0;
    if (info->chroma_mode == VRCNN_MODE_MAP &&
        (info->shares_map ? info->shares_map != 1 || info->luma_mode != VRCNN_MODE_MAP : vrcnn_unit_size_index(info->chroma_unit_size) < 0))
        return 0;
    if (info->luma_mode == VRCNN_MODE_MAP && vrcnn_unit_size_index(info->luma_unit_size) < 0)
        return 0;
    if (info->filters < 1 || info->filters > (has_map(info) ? VRCNN_MAX_CHOICES : 1))
        return 0;
    for (int i = 0; i < info->filters; i++)
        if (!is_filter(info, info->filter + i) || is_listed_before(info, i))
            return 0;
    return 1;
}

static void put_weights(Writer *writer, const int *weight, int heads)
{
    for (int head = 0; head < heads; head++)
        put(writer, (unsigned)(weight[head] - LEAST_WEIGHT), 4);
}

static int is_trained(const int *weight, int heads)
{
    for (int head = 0; head < heads; head++)
        if (weight[head] != VRCNN_SCALE_TRAINED)
            return 0;
    return 1;
}

static void put_filter(Writer *writer, const VrcnnPlaneSideinfo *info, const VrcnnListedFilter *filter)
{
    const int luma = info->luma_mode != VRCNN_MODE_OFF, chroma = info->chroma_mode != VRCNN_MODE_OFF;
    const int trained =
        (!luma || is_trained(filter->weights.luma, filter->heads)) && (!chroma || is_trained(filter->weights.chroma, filter->heads));
    put(writer, (unsigned)filter->index, 5);
    put(writer, (unsigned)filter->heads - 1, 1);
    put(writer, (unsigned)trained, 1);
    if (!trained && luma)
        put_weights(writer, filter->weights.luma, filter->heads);
    if (!trained && chroma)
        put_weights(writer, filter->weights.chroma, filter->heads);
}

static void put_filters(Writer *writer, const VrcnnPlaneSideinfo *info)
{
    put(writer, (unsigned)info->luma_mode, 2);
    put(writer, info->chroma_mode == VRCNN_MODE_MAP && info->shares_map ? (unsigned)LUMA_MAP : (unsigned)info->chroma_mode, 2);
    put(writer, (unsigned)info->position, 1);
    if (has_map(info))
        put(writer, (unsigned)info->filters - 1, 2);
    for (int i = 0; i < info->filters; i++)
        put_filter(writer, info, info->filter + i);
}

VrcnnError vrcnn_sideinfo_write_planes(uint8_t *out, size_t *size, const VrcnnPlaneSideinfo *info, const uint8_t *luma,
                                       const uint8_t *chroma, int width, int height)
{
    uint8_t data[VRCNN_SIDEINFO_SIZE] = {0};
    Writer writer = {data, 0};
    if (!out || !size || !info || (info->luma_mode == VRCNN_MODE_MAP && !luma) || (has_own_chroma_map(info) && !chroma))
        return VRCNN_ERROR_ARGUMENT;
    if (!vrcnn_sideinfo_is_size(width, height))
        return VRCNN_ERROR_PLANE;
    if (info->version != VERSION)
        return VRCNN_ERROR_SIDEINFO_VERSION;
    if (!is_writable(info))
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    VrcnnMap of_luma = map_of(info, has_own_chroma_map(info)), of_chroma = map_of(info, 0);
    if (info->luma_mode == VRCNN_MODE_MAP) {
        of_luma.grid = vrcnn_grid(width, height, info->luma_unit_size);
        if (vrcnn_map_check(&of_luma, luma))
            return VRCNN_ERROR_UNITS;
    }
    if (has_own_chroma_map(info)) {
        of_chroma.grid = vrcnn_grid(width, height, info->chroma_unit_size);
        if (vrcnn_map_check(&of_chroma, chroma))
            return VRCNN_ERROR_UNITS;
    }

    if (info->has_identity) {
        put(&writer, SIDEINFO_MAGIC, 16);
        put(&writer, VERSION, 8);
        for (int i = 0; i < VRCNN_SIDEINFO_SHORT_ID_SIZE; i++)
            put(&writer, info->identity[i], 8);
    }
    if (is_on(info))
        put_filters(&writer, info);
    if (info->luma_mode == VRCNN_MODE_MAP)
        vrcnn_map_put(&writer, &of_luma, luma);
    if (has_own_chroma_map(info))
        vrcnn_map_put(&writer, &of_chroma, chroma);
    if (writer.at > MAX_BITS)
        return VRCNN_ERROR_SIDEINFO_SPACE;
    *size = (writer.at + 7) / 8;
    memcpy(out, data, *size);
    return VRCNN_OK;
}

/* ---- reading ---- */

/* side_information_version of an IRAP picture, or 0 if the bytes end before it, or if they are not ours. */
static int version_of(const uint8_t *data, size_t size)
{
    return vrcnn_sideinfo_has_magic(data, size) && size > 2 ? data[2] : 0;
}

static VrcnnError get_identity(VrcnnPlaneSideinfo *info, Reader *reader)
{
    reader->at = 24; /* magic and version are known */
    for (int i = 0; i < VRCNN_SIDEINFO_SHORT_ID_SIZE; i++) {
        unsigned value;
        const VrcnnError error = get(&value, reader, 8);
        if (error)
            return error;
        info->identity[i] = (uint8_t)value;
    }
    info->has_identity = 1;
    return VRCNN_OK;
}

static VrcnnError get_modes(VrcnnPlaneSideinfo *info, Reader *reader)
{
    unsigned luma, chroma;
    VrcnnError error = get(&luma, reader, 2);
    if (error)
        return error;
    if (luma > VRCNN_MODE_MAP)
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    error = get(&chroma, reader, 2);
    if (error)
        return error;
    if ((chroma == LUMA_MAP && luma != VRCNN_MODE_MAP) || (!luma && !chroma))
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    info->luma_mode = (VrcnnMode)luma;
    info->shares_map = chroma == LUMA_MAP;
    info->chroma_mode = info->shares_map ? VRCNN_MODE_MAP : (VrcnnMode)chroma;
    return VRCNN_OK;
}

static VrcnnError get_weights(int *weight, int heads, int is_coded, Reader *reader)
{
    for (int head = 0; head < heads; head++) {
        unsigned value;
        weight[head] = VRCNN_SCALE_TRAINED;
        if (!is_coded)
            continue;
        const VrcnnError error = get(&value, reader, 4);
        if (error)
            return error;
        weight[head] = (int)value + LEAST_WEIGHT;
        if (!is_weight(weight[head], heads))
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
    }
    return VRCNN_OK;
}

static VrcnnError get_filter(VrcnnListedFilter *filter, const VrcnnPlaneSideinfo *info, Reader *reader)
{
    unsigned value;
    VrcnnError error = get(&value, reader, 5);
    if (error)
        return error;
    filter->index = (int)value;
    error = get(&value, reader, 1);
    if (error)
        return error;
    filter->heads = (int)value + 1;
    error = get(&value, reader, 1);
    if (!error && info->luma_mode != VRCNN_MODE_OFF)
        error = get_weights(filter->weights.luma, filter->heads, !value, reader);
    if (!error && info->chroma_mode != VRCNN_MODE_OFF)
        error = get_weights(filter->weights.chroma, filter->heads, !value, reader);
    return error;
}

/* From luma_mode to the last filter. */
static VrcnnError get_filters(VrcnnPlaneSideinfo *info, Reader *reader)
{
    unsigned value;
    VrcnnError error = get_modes(info, reader);
    if (error)
        return error;
    error = get(&value, reader, 1);
    if (error)
        return error;
    info->position = (VrcnnPosition)value;
    value = 0;
    if (has_map(info)) {
        error = get(&value, reader, 2);
        if (error)
            return error;
        if (value >= VRCNN_MAX_CHOICES)
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
    }
    info->filters = (int)value + 1;
    for (int i = 0; i < info->filters; i++) {
        error = get_filter(info->filter + i, info, reader);
        if (error)
            return error;
        if (is_listed_before(info, i))
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
    }
    return VRCNN_OK;
}

static VrcnnError get_maps(VrcnnPlaneSideinfo *info, uint8_t *luma, uint8_t *chroma, size_t units, Reader *reader, int width, int height)
{
    VrcnnError error = VRCNN_OK;
    if (info->luma_mode == VRCNN_MODE_MAP) {
        VrcnnMap map = map_of(info, has_own_chroma_map(info));
        error = vrcnn_map_get(&map, luma, units, reader, width, height);
        info->luma_unit_size = map.grid.size;
    }
    if (!error && has_own_chroma_map(info)) {
        VrcnnMap map = map_of(info, 0);
        error = vrcnn_map_get(&map, chroma, units, reader, width, height);
        info->chroma_unit_size = map.grid.size;
    }
    return error;
}

static VrcnnError parse(VrcnnPlaneSideinfo *info, uint8_t *luma, uint8_t *chroma, size_t units, Reader *reader, int is_irap, int width,
                        int height)
{
    VrcnnError error = is_irap ? get_identity(info, reader) : VRCNN_OK;
    if (error)
        return error;
    if (reader->bits > MAX_BITS)
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    if (reader->at == reader->bits)
        return VRCNN_OK; /* off */
    if ((error = get_filters(info, reader)) || (error = get_maps(info, luma, chroma, units, reader, width, height)))
        return error;
    while (reader->at % 8)
        if (get_bit(reader))
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
    return reader->at == reader->bits ? VRCNN_OK : VRCNN_ERROR_SIDEINFO_SYNTAX;
}

VrcnnPlaneSideinfo vrcnn_sideinfo_of_luma(const VrcnnSideinfo *old)
{
    VrcnnPlaneSideinfo info = {.version = 1,
                               .has_identity = old->has_identity,
                               .luma_mode = old->mode,
                               .position = old->position,
                               .filters = old->networks,
                               .luma_unit_size = old->unit_size};
    memcpy(info.identity, old->identity, sizeof info.identity);
    for (int i = 0; i < old->networks; i++) {
        info.filter[i].index = old->index[i];
        info.filter[i].heads = 1;
        info.filter[i].weights.luma[0] = old->scale;
    }
    return info;
}

VrcnnError vrcnn_sideinfo_parse_planes(VrcnnPlaneSideinfo *info, uint8_t *luma, uint8_t *chroma, size_t units, const uint8_t *data,
                                       size_t size, int version, int is_irap, int width, int height)
{
    /* Too many bytes are one bit too many here: size * 8 could be more than a size_t holds. */
    Reader reader = {data, size > VRCNN_SIDEINFO_SIZE ? MAX_BITS + 1 : size * 8, 0};
    if (!info || !luma || !chroma || (!data && size))
        return VRCNN_ERROR_ARGUMENT;
    if (!vrcnn_sideinfo_is_size(width, height))
        return VRCNN_ERROR_PLANE;
    if (is_irap)
        version = version_of(data, size) == VERSION ? VERSION : 1;
    if (version == 1) {
        VrcnnSideinfo old;
        const VrcnnError error = vrcnn_sideinfo_parse(&old, luma, units, data, size, is_irap, width, height);
        if (!error)
            *info = vrcnn_sideinfo_of_luma(&old);
        return error;
    }
    if (version != VERSION)
        return VRCNN_ERROR_SIDEINFO_VERSION;
    VrcnnPlaneSideinfo read = {.version = VERSION};
    const VrcnnError error = parse(&read, luma, chroma, units, &reader, is_irap, width, height);
    if (!error)
        *info = read;
    return error;
}
