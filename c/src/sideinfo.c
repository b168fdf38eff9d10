/* Side information of a picture: written and read as SPECIFICATION.md, section 6, says; the names of fields are those of that section.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "units.h"
#include "vrcnn/vrcnn.h"

enum {
    MAGIC = 0x564e, /* "VN" */
    VERSION = 1,
    MAX_BITS = VRCNN_SIDEINFO_SIZE * 8,
    COUNT_STEP = 2,    /* what a bin adds to its count */
    COUNT_LIMIT = 256, /* both counts are halved beyond this sum */
    FULL_RANGE = 1 << 16,
    HALF_RANGE = 1 << 15
};

/* ---- bits ---- */

typedef struct Writer {
    uint8_t *data; /* VRCNN_SIDEINFO_SIZE bytes, 0 beyond the last bit */
    unsigned at;   /* bits written; MAX_BITS + 1 once there was one too many */
} Writer;

static void put_bit(Writer *writer, unsigned bit)
{
    if (writer->at < MAX_BITS)
        writer->data[writer->at >> 3] |= (uint8_t)(bit << (7 - (writer->at & 7)));
    if (writer->at <= MAX_BITS)
        writer->at++;
}

static void put(Writer *writer, unsigned value, int bits)
{
    while (bits--)
        put_bit(writer, value >> bits & 1);
}

/* Adds one to the number that the bits so far are. */
static void carry(Writer *writer)
{
    unsigned at = writer->at;
    unsigned mask;
    if (at > MAX_BITS)
        return;
    do {
        at--;
        mask = 0x80U >> (at & 7);
        writer->data[at >> 3] ^= (uint8_t)mask;
    } while (!(writer->data[at >> 3] & mask) && at > 0);
}

typedef struct Reader {
    const uint8_t *data;
    size_t bits, at;
} Reader;

/* Beyond the end there are zeros. */
static unsigned get_bit(Reader *reader)
{
    const size_t at = reader->at++;
    return at < reader->bits ? reader->data[at >> 3] >> (7 - (at & 7)) & 1U : 0;
}

static VrcnnError get(unsigned *value, Reader *reader, int bits)
{
    if (reader->bits - reader->at < (size_t)bits)
        return VRCNN_ERROR_SIDEINFO_TRUNCATED;
    *value = 0;
    while (bits--)
        *value = *value << 1 | get_bit(reader);
    return VRCNN_OK;
}

/* ---- adaptive binary coder ---- */

typedef struct Context {
    unsigned count[2];
} Context;

/* One context for each bin of a unit and what its neighbours (left, above) say of that bin: more of them 0, undecided, more of them 1. */
typedef struct Contexts {
    Context context[VRCNN_MAX_CHOICES][3];
} Contexts;

/* Units are likely to be like their neighbours, and to be filtered. */
static const Contexts initial_contexts = {{{{{3, 1}}, {{1, 3}}, {{1, 5}}}, {{{3, 1}}, {{2, 2}}, {{1, 3}}}, {{{3, 1}}, {{2, 2}}, {{1, 3}}}}};

/* The part of the range that belongs to a zero: at least 1, less than the range. */
static uint32_t zero_range(uint32_t range, const Context *context)
{
    return range * context->count[0] / (context->count[0] + context->count[1]);
}

static void adapt(Context *context, unsigned bin)
{
    context->count[bin] += COUNT_STEP;
    if (context->count[0] + context->count[1] > COUNT_LIMIT) {
        context->count[0] = (context->count[0] + 1) / 2;
        context->count[1] = (context->count[1] + 1) / 2;
    }
}

typedef struct Encoder {
    Writer *writer;
    uint32_t low, range;
} Encoder;

static void encode(Encoder *encoder, Context *context, unsigned bin)
{
    const uint32_t zero = zero_range(encoder->range, context);
    if (bin) {
        encoder->low += zero;
        encoder->range -= zero;
        if (encoder->low >= FULL_RANGE) {
            encoder->low -= FULL_RANGE;
            carry(encoder->writer);
        }
    } else {
        encoder->range = zero;
    }
    adapt(context, bin);
    while (encoder->range < HALF_RANGE) {
        put_bit(encoder->writer, encoder->low >> 15);
        encoder->low = encoder->low << 1 & (FULL_RANGE - 1);
        encoder->range <<= 1;
    }
}

/* One bit more names a number in the last interval, with zeros to follow. */
static void finish(Encoder *encoder)
{
    if (encoder->low > HALF_RANGE)
        carry(encoder->writer);
    put_bit(encoder->writer, encoder->low > 0 && encoder->low <= HALF_RANGE);
}

typedef struct Decoder {
    Reader *reader;
    uint32_t value, range;
} Decoder;

static unsigned decode(Decoder *decoder, Context *context)
{
    const uint32_t zero = zero_range(decoder->range, context);
    const unsigned bin = decoder->value >= zero;
    if (bin)
        decoder->value -= zero;
    decoder->range = bin ? decoder->range - zero : zero;
    adapt(context, bin);
    while (decoder->range < HALF_RANGE) {
        decoder->range <<= 1;
        decoder->value = decoder->value << 1 | get_bit(decoder->reader);
    }
    return bin;
}

/* ---- maps ---- */

typedef struct Map {
    VrcnnGrid grid;
    int networks;
} Map;

static Map map_of(const VrcnnSideinfo *info, int width, int height)
{
    return (Map){vrcnn_grid(width, height, info->unit_size), info->networks};
}

static int raw_bits(const Map *map)
{
    return map->networks > 1 ? 2 : 1;
}

/* What a neighbour says of bin `bin` ("more than bin"): 1, -1, or 0 if its own bins ended before that one. */
static int vote(int neighbour, int bin)
{
    return neighbour > bin ? 1 : neighbour < bin ? 0 : -1;
}

static Context *context_of(Contexts *contexts, const Map *map, const uint8_t *unit, int i, int bin)
{
    const int left = i % map->grid.columns > 0 ? vote(unit[i - 1], bin) : 0;
    const int above = i >= map->grid.columns ? vote(unit[i - map->grid.columns], bin) : 0;
    const int votes = left + above;
    return &contexts->context[bin][votes < 0 ? 0 : votes > 0 ? 2 : 1];
}

static void put_coded(Writer *writer, const Map *map, const uint8_t *unit)
{
    Encoder encoder = {writer, 0, FULL_RANGE};
    Contexts contexts = initial_contexts;
    for (int i = 0; i < map->grid.count && writer->at <= MAX_BITS; i++)
        for (int bin = 0; bin < map->networks && unit[i] >= bin; bin++)
            encode(&encoder, context_of(&contexts, map, unit, i, bin), unit[i] > bin);
    finish(&encoder);
}

static void put_raw(Writer *writer, const Map *map, const uint8_t *unit)
{
    for (int i = 0; i < map->grid.count && writer->at <= MAX_BITS; i++)
        put(writer, unit[i], raw_bits(map));
}

static VrcnnError get_coded(uint8_t *unit, Reader *reader, const Map *map)
{
    Decoder decoder = {reader, 0, FULL_RANGE};
    Contexts contexts = initial_contexts;
    for (int i = 0; i < 16; i++)
        decoder.value = decoder.value << 1 | get_bit(reader);
    for (int i = 0; i < map->grid.count; i++) {
        unit[i] = 0;
        while (unit[i] < map->networks && decode(&decoder, context_of(&contexts, map, unit, i, unit[i])))
            unit[i]++;
    }
    reader->at -= 15; /* of the 16 bits in value the map owns the first */
    return reader->at <= reader->bits ? VRCNN_OK : VRCNN_ERROR_SIDEINFO_TRUNCATED;
}

static VrcnnError get_raw(uint8_t *unit, Reader *reader, const Map *map)
{
    unsigned value;
    for (int i = 0; i < map->grid.count; i++) {
        const VrcnnError error = get(&value, reader, raw_bits(map));
        if (error)
            return error;
        if (value > (unsigned)map->networks)
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
        unit[i] = (uint8_t)value;
    }
    return VRCNN_OK;
}

/* ---- the whole ---- */

static int is_size(int width, int height)
{
    return width >= 1 && width <= VRCNN_MAX_SIZE && height >= 1 && height <= VRCNN_MAX_SIZE;
}

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

static VrcnnError check_map(const Map *map, const uint8_t *unit)
{
    unsigned any = 0;
    for (int i = 0; i < map->grid.count; i++) {
        if (unit[i] > map->networks)
            return VRCNN_ERROR_UNITS;
        any |= unit[i];
    }
    return any ? VRCNN_OK : VRCNN_ERROR_UNITS;
}

static void put_map(Writer *writer, const VrcnnSideinfo *info, const uint8_t *unit, const Map *map)
{
    uint8_t coded_data[VRCNN_SIDEINFO_SIZE];
    Writer coded = {coded_data, writer->at};
    memcpy(coded_data, writer->data, sizeof coded_data);
    put(&coded, (unsigned)vrcnn_unit_size_index(info->unit_size) << 1, 3);
    put_coded(&coded, map, unit);
    put(writer, (unsigned)vrcnn_unit_size_index(info->unit_size) << 1 | 1, 3);
    put_raw(writer, map, unit);
    if (coded.at < writer->at) {
        memcpy(writer->data, coded_data, sizeof coded_data);
        writer->at = coded.at;
    }
}

VrcnnError vrcnn_sideinfo_write(uint8_t *out, size_t *size, const VrcnnSideinfo *info, const uint8_t *unit, int width, int height)
{
    uint8_t data[VRCNN_SIDEINFO_SIZE] = {0};
    Writer writer = {data, 0};
    Map map = {{0, 0, 0, 0}, 0};
    if (!out || !size || !info || (info->mode == VRCNN_MODE_MAP && !unit))
        return VRCNN_ERROR_ARGUMENT;
    if (!is_size(width, height))
        return VRCNN_ERROR_PLANE;
    if (!is_writable(info))
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    if (info->mode == VRCNN_MODE_MAP) {
        map = map_of(info, width, height);
        if (check_map(&map, unit))
            return VRCNN_ERROR_UNITS;
    }

    if (info->has_identity) {
        put(&writer, MAGIC, 16);
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
            put_map(&writer, info, unit, &map);
    }
    if (writer.at > MAX_BITS)
        return VRCNN_ERROR_SIDEINFO_SPACE;
    *size = (writer.at + 7) / 8;
    memcpy(out, data, *size);
    return VRCNN_OK;
}

/* From magic to model_set_identity. */
static VrcnnError get_identity(VrcnnSideinfo *info, Reader *reader)
{
    unsigned value;
    VrcnnError error;
    if (get(&value, reader, 16) || value != MAGIC)
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

/* From log2_unit_size_minus6 to the last unit. */
static VrcnnError get_map(VrcnnSideinfo *info, uint8_t *unit, size_t units, Reader *reader, int width, int height)
{
    unsigned value;
    Map map;
    VrcnnError error = get(&value, reader, 3);
    if (error)
        return error;
    info->unit_size = VRCNN_LEAST_UNIT << (value >> 1);
    map = map_of(info, width, height);
    if ((size_t)map.grid.count > units)
        return VRCNN_ERROR_UNITS;
    error = value & 1 ? get_raw(unit, reader, &map) : get_coded(unit, reader, &map);
    if (error)
        return error;
    return check_map(&map, unit) ? VRCNN_ERROR_SIDEINFO_SYNTAX : VRCNN_OK;
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
    if (!is_size(width, height))
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
        error = get_map(&read, unit, units, &reader, width, height);
        if (error)
            return error;
    }
    while (reader.at % 8)
        if (get_bit(&reader))
            return VRCNN_ERROR_SIDEINFO_SYNTAX;
    if (reader.at != reader.bits)
        return VRCNN_ERROR_SIDEINFO_SYNTAX;
    *info = read;
    return VRCNN_OK;
}
