/* Bits of side information, most significant first.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_BITS_H
#define VRCNN_SRC_BITS_H

#include "vrcnn/vrcnn.h"

enum { MAX_BITS = VRCNN_SIDEINFO_SIZE * 8 };

typedef struct Writer {
    uint8_t *data; /* VRCNN_SIDEINFO_SIZE bytes, 0 beyond the last bit */
    unsigned at;   /* bits written; MAX_BITS + 1 once there was one too many */
} Writer;

static inline void put_bit(Writer *writer, unsigned bit)
{
    if (writer->at < MAX_BITS)
        writer->data[writer->at >> 3] |= (uint8_t)(bit << (7 - (writer->at & 7)));
    if (writer->at <= MAX_BITS)
        writer->at++;
}

static inline void put(Writer *writer, unsigned value, int bits)
{
    while (bits--)
        put_bit(writer, value >> bits & 1);
}

/* Adds one to the number that the bits so far are. */
static inline void carry(Writer *writer)
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
static inline unsigned get_bit(Reader *reader)
{
    const size_t at = reader->at++;
    return at < reader->bits ? reader->data[at >> 3] >> (7 - (at & 7)) & 1U : 0;
}

static inline VrcnnError get(unsigned *value, Reader *reader, int bits)
{
    if (reader->bits - reader->at < (size_t)bits)
        return VRCNN_ERROR_SIDEINFO_TRUNCATED;
    *value = 0;
    while (bits--)
        *value = *value << 1 | get_bit(reader);
    return VRCNN_OK;
}

#endif
