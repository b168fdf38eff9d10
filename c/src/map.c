/* Maps of units: their adaptive binary code, SPECIFICATION.md, section 6.4; the names are those of that section.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "map.h"

#include <string.h>

enum {
    COUNT_STEP = 2,    /* what a bin adds to its count */
    COUNT_LIMIT = 256, /* both counts are halved beyond this sum */
    FULL_RANGE = 1 << 16,
    HALF_RANGE = 1 << 15
};

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

/* What of the 16 bits in low belongs to the map when it ends. */
static int end_bits(int is_followed)
{
    return is_followed ? 2 : 1;
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

/* One bit more names a number in the last interval, with zeros to follow; two do whatever follows. */
static void finish(Encoder *encoder, int is_followed)
{
    const int bits = end_bits(is_followed);
    const uint32_t step = FULL_RANGE >> bits, end = (encoder->low + step - 1) / step;
    if (end >> bits)
        carry(encoder->writer);
    put(encoder->writer, end, bits);
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

/* ---- units ---- */

static int raw_bits(const VrcnnMap *map)
{
    return map->networks > 1 ? 2 : 1;
}

/* What a neighbour says of bin `bin` ("more than bin"): 1, -1, or 0 if its own bins ended before that one. */
static int vote(int neighbour, int bin)
{
    return neighbour > bin ? 1 : neighbour < bin ? 0 : -1;
}

static Context *context_of(Contexts *contexts, const VrcnnMap *map, const uint8_t *unit, int i, int bin)
{
    const int left = i % map->grid.columns > 0 ? vote(unit[i - 1], bin) : 0;
    const int above = i >= map->grid.columns ? vote(unit[i - map->grid.columns], bin) : 0;
    const int votes = left + above;
    return &contexts->context[bin][votes < 0 ? 0 : votes > 0 ? 2 : 1];
}

static void put_coded(Writer *writer, const VrcnnMap *map, const uint8_t *unit)
{
    Encoder encoder = {writer, 0, FULL_RANGE};
    Contexts contexts = initial_contexts;
    for (int i = 0; i < map->grid.count && writer->at <= MAX_BITS; i++)
        for (int bin = 0; bin < VRCNN_MAX_CHOICES && bin < map->networks && unit[i] >= bin; bin++)
            encode(&encoder, context_of(&contexts, map, unit, i, bin), unit[i] > bin);
    finish(&encoder, map->is_followed);
}

static void put_raw(Writer *writer, const VrcnnMap *map, const uint8_t *unit)
{
    for (int i = 0; i < map->grid.count && writer->at <= MAX_BITS; i++)
        put(writer, unit[i], raw_bits(map));
}

static VrcnnError get_coded(uint8_t *unit, Reader *reader, const VrcnnMap *map)
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
    reader->at -= (size_t)(16 - end_bits(map->is_followed)); /* of the 16 bits in value the others are not the map's */
    return reader->at <= reader->bits ? VRCNN_OK : VRCNN_ERROR_SIDEINFO_TRUNCATED;
}

static VrcnnError get_raw(uint8_t *unit, Reader *reader, const VrcnnMap *map)
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

VrcnnError vrcnn_map_check(const VrcnnMap *map, const uint8_t *unit)
{
    unsigned any = 0;
    for (int i = 0; i < map->grid.count; i++) {
        if (unit[i] > map->networks)
            return VRCNN_ERROR_UNITS;
        any |= unit[i];
    }
    return any ? VRCNN_OK : VRCNN_ERROR_UNITS;
}

void vrcnn_map_put(Writer *writer, const VrcnnMap *map, const uint8_t *unit)
{
    const unsigned size = (unsigned)vrcnn_unit_size_index(map->grid.size);
    uint8_t coded_data[VRCNN_SIDEINFO_SIZE];
    Writer coded = {coded_data, writer->at};
    memcpy(coded_data, writer->data, sizeof coded_data);
    put(&coded, size << 1, 3);
    put_coded(&coded, map, unit);
    put(writer, size << 1 | 1, 3);
    put_raw(writer, map, unit);
    if (coded.at < writer->at) {
        memcpy(writer->data, coded_data, sizeof coded_data);
        writer->at = coded.at;
    }
}

VrcnnError vrcnn_map_get(VrcnnMap *map, uint8_t *unit, size_t units, Reader *reader, int width, int height)
{
    unsigned value;
    VrcnnError error = get(&value, reader, 3);
    if (error)
        return error;
    map->grid = vrcnn_grid(width, height, VRCNN_LEAST_UNIT << (value >> 1));
    if ((size_t)map->grid.count > units)
        return VRCNN_ERROR_UNITS;
    error = value & 1 ? get_raw(unit, reader, map) : get_coded(unit, reader, map);
    if (error)
        return error;
    return vrcnn_map_check(map, unit) ? VRCNN_ERROR_SIDEINFO_SYNTAX : VRCNN_OK;
}
