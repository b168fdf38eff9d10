/* vrcnn_extended: runs an extended network (vrcnn_int/research/extended.py), which the library refuses, on one 8-bit plane. Apart from the
 * library, with whole values in memory, a loop for each operation and no kernels: it shows that another implementation computes the
 * oracle's integers. Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sha256.h"

static const char usage_text[] =
    "usage: vrcnn_extended MODEL WIDTHxHEIGHT INPUT OUTPUT [VALUE]\n"
    "Filters a plane of 8-bit samples with an extended network. With VALUE, the number of an operation from 1,\n"
    "the values that it gives are written instead: channel after channel, 32 bits each, as this machine stores them.\n";

enum { VERSION = 257, HEAD = 16, DIGEST = 32, MOST_INPUTS = 8, MOST_CHANNELS = 1024, MOST_OPERATIONS = 1024, MOST_SIZE = 16384 };
enum Kind { CONVOLVE = 1, REQUANTIZE, ADD, CONCATENATE };

typedef struct Operation {
    int kind, inputs, input[MOST_INPUTS];
    int channels; /* of what it gives */
    int k, sources, multipliers;
    int32_t low, high, *bias, *multiplier;
    int32_t *weights; /* the zero point taken off */
    uint8_t *shift;
    int64_t *least, *most; /* of each channel, proven */
    int32_t *values;
    int last_read;
} Operation;

typedef struct Reader {
    const uint8_t *data;
    size_t size, at;
} Reader;

static const char *unfinished;

#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 1, 2)))
#endif
static void fail(const char *format, ...)
{
    va_list arguments;
    fputs("vrcnn_extended: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    if (unfinished)
        remove(unfinished);
    exit(1);
}

static void *allocate(size_t count, size_t size)
{
    void *p = count ? calloc(count, size) : NULL;
    if (!p)
        fail("out of memory");
    return p;
}

/* The whole file. */
static uint8_t *slurp(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("cannot open %s: %s", path, strerror(errno));
    size_t room = 1 << 16;
    uint8_t *data = allocate(room, 1);
    *size = fread(data, 1, room, file);
    while (*size == room) {
        uint8_t *more = room > SIZE_MAX / 2 ? NULL : realloc(data, room * 2);
        if (!more)
            fail("out of memory");
        data = more;
        *size += fread(data + room, 1, room, file);
        room *= 2;
    }
    if (ferror(file))
        fail("cannot read %s", path);
    fclose(file);
    return data;
}

/* ---- the file ---- */

static uint32_t take(Reader *r, int bytes)
{
    if (r->size - r->at < (size_t)bytes)
        fail("the model ends inside an operation");
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)r->data[r->at++] << (8 * i);
    return value;
}

static int32_t take_signed(Reader *r, int bytes)
{
    const int64_t value = take(r, bytes), half = INT64_C(1) << (8 * bytes - 1);
    return (int32_t)(value < half ? value : value - 2 * half);
}

static int32_t *take_array(Reader *r, size_t count, int bytes)
{
    if ((r->size - r->at) / (size_t)bytes < count)
        fail("the model ends inside an operation");
    int32_t *values = allocate(count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = take_signed(r, bytes);
    return values;
}

static size_t weights_of(const Operation *o)
{
    return (size_t)o->sources * (size_t)(o->k * o->k);
}

static void need(int condition, int number, const char *what)
{
    if (!condition)
        fail("operation %d: %s", number, what);
}

/* operations[0] is the input. Everything that is computed with is checked here. */
static void read_operation(Reader *r, Operation *operations, int number)
{
    Operation *o = &operations[number];
    o->kind = (int)take(r, 1);
    o->inputs = (int)take(r, 1);
    need(o->kind >= CONVOLVE && o->kind <= CONCATENATE, number, "pooling and unknown operations are not run here");
    const int wanted = o->kind == ADD ? 2 : o->kind == CONCATENATE ? o->inputs : 1;
    need(o->inputs == wanted && o->inputs >= 1 && o->inputs <= MOST_INPUTS, number, "wrong number of inputs");
    int together = 0;
    for (int i = 0; i < o->inputs; i++) {
        o->input[i] = (int)take(r, 2);
        need(o->input[i] < number, number, "reads a value that is not there yet");
        together += operations[o->input[i]].channels;
    }
    o->channels = operations[o->input[0]].channels;
    if (o->kind == CONVOLVE) {
        o->channels = (int)take(r, 2);
        o->sources = (int)take(r, 2);
        o->k = (int)take(r, 1);
        const uint32_t stride = take(r, 1);
        take(r, 2); /* bits of the codes, 0 */
        const int32_t zero_point = take_signed(r, 2);
        need(stride == 1, number, "strides are not run here");
        need(o->k % 2 == 1 && o->k <= 7, number, "kernel size");
        need(o->sources == operations[o->input[0]].channels, number, "reads another number of channels");
        need(o->channels >= 1 && o->channels <= MOST_CHANNELS, number, "number of channels");
        o->bias = take_array(r, (size_t)o->channels, 4);
        const size_t count = (size_t)o->channels * weights_of(o);
        o->weights = take_array(r, count, 2);
        for (size_t i = 0; i < count; i++)
            o->weights[i] -= zero_point;
    } else if (o->kind == REQUANTIZE) {
        o->multipliers = (int)take(r, 2);
        o->low = take_signed(r, 4);
        o->high = take_signed(r, 4);
        need(o->multipliers == 1 || o->multipliers == o->channels, number, "number of multipliers");
        need(o->low <= o->high, number, "limits");
        o->multiplier = take_array(r, (size_t)o->multipliers, 4);
        o->shift = allocate((size_t)o->multipliers, 1);
        for (int i = 0; i < o->multipliers; i++) {
            o->shift[i] = (uint8_t)take(r, 1);
            need(o->shift[i] <= 62, number, "shift");
        }
    } else if (o->kind == ADD) {
        need(operations[o->input[1]].channels == o->channels, number, "adds values of different shapes");
    } else {
        o->channels = together;
        need(together <= MOST_CHANNELS, number, "number of channels");
    }
    for (int i = 0; i < o->inputs; i++)
        operations[o->input[i]].last_read = number;
}

static int64_t requantized(int64_t value, const Operation *o, int c)
{
    const int i = o->multipliers > 1 ? c : 0;
    const int64_t scaled = (value * o->multiplier[i] + ((INT64_C(1) << o->shift[i]) >> 1)) >> o->shift[i];
    return scaled < o->low ? o->low : scaled > o->high ? o->high : scaled;
}

/* No sum, nor part of one, leaves int32. At most 1024 channels, 7x7 and weights of 17 bits: nothing here leaves int64. */
static void prove(Operation *operations, int number)
{
    Operation *o = &operations[number];
    const Operation *a = &operations[o->input[0]], *b = &operations[o->input[o->inputs - 1]];
    o->least = allocate((size_t)o->channels, sizeof *o->least);
    o->most = allocate((size_t)o->channels, sizeof *o->most);
    int copied = 0;
    for (int i = 0; o->kind == CONCATENATE && i < o->inputs; i++) {
        const Operation *source = &operations[o->input[i]];
        for (int c = 0; c < source->channels; c++, copied++) {
            o->least[copied] = source->least[c];
            o->most[copied] = source->most[c];
        }
    }
    for (int c = 0; c < o->channels; c++) {
        if (o->kind == CONVOLVE) {
            o->least[c] = o->most[c] = o->bias[c];
            for (size_t i = 0; i < weights_of(o); i++) {
                const int64_t w = o->weights[(size_t)c * weights_of(o) + i];
                const int source = (int)(i / (size_t)(o->k * o->k));
                const int64_t low = a->least[source] < 0 ? a->least[source] : 0, high = a->most[source] > 0 ? a->most[source] : 0;
                o->least[c] += w > 0 ? w * low : w * high;
                o->most[c] += w > 0 ? w * high : w * low;
            }
        } else if (o->kind == REQUANTIZE) {
            const int64_t x = requantized(a->least[c], o, c), y = requantized(a->most[c], o, c);
            o->least[c] = x < y ? x : y;
            o->most[c] = x < y ? y : x;
        } else if (o->kind == ADD) {
            o->least[c] = a->least[c] + b->least[c];
            o->most[c] = a->most[c] + b->most[c];
        }
        need(o->least[c] >= INT32_MIN && o->most[c] <= INT32_MAX, number, "values can leave 32 bits");
    }
}

static Operation *load(const uint8_t *data, size_t size, int *count)
{
    Reader r = {data, size, 8};
    uint8_t digest[DIGEST];
    if (size < HEAD + 4 + DIGEST || memcmp(data, "VRCNNINT", 8) != 0 || take(&r, 2) != VERSION || take(&r, 2) != 1)
        fail("not an extended network (format version %d)", VERSION);
    vrcnn_sha256(digest, data, size - DIGEST);
    if (take(&r, 4) != size || memcmp(digest, data + size - DIGEST, DIGEST) != 0)
        fail("the model is damaged");
    r.size -= DIGEST;
    const uint32_t channels = take(&r, 2);
    *count = (int)take(&r, 2);
    if (channels != 1 || *count < 1 || *count > MOST_OPERATIONS)
        fail("%u input channels and %d operations: this is no filter", (unsigned)channels, *count);
    Operation *operations = allocate((size_t)*count + 1, sizeof *operations);
    operations[0].channels = 1;
    operations[0].least = allocate(1, sizeof *operations[0].least);
    operations[0].most = allocate(1, sizeof *operations[0].most);
    operations[0].least[0] = -128;
    operations[0].most[0] = 127;
    for (int n = 1; n <= *count; n++) {
        read_operation(&r, operations, n);
        prove(operations, n);
    }
    if (operations[*count].channels != 1)
        fail("the last value has %d channels: this is no filter", operations[*count].channels);
    return operations;
}

/* ---- the arithmetic ---- */

/* One row of one output channel. Sums wrap modulo 2^32, and what they end at is proven to fit. */
static void convolve_row(const Operation *o, const int32_t *in, int c, int y, int width, int height, uint32_t *restrict acc)
{
    const int reach = o->k / 2;
    for (int x = 0; x < width; x++)
        acc[x] = (uint32_t)o->bias[c];
    const int32_t *w = o->weights + (size_t)c * weights_of(o);
    for (int i = 0; i < o->sources; i++)
        for (int dy = -reach; dy <= reach; dy++)
            for (int dx = -reach; dx <= reach; dx++, w++) {
                if (y + dy < 0 || y + dy >= height)
                    continue;
                const uint32_t weight = (uint32_t)*w;
                const int32_t *row = in + ((size_t)i * (size_t)height + (size_t)(y + dy)) * (size_t)width;
                const int start = dx < 0 ? -dx : 0, stop = dx > 0 ? width - dx : width;
                for (int x = start; x < stop; x++)
                    acc[x] += weight * (uint32_t)row[x + dx];
            }
}

static void requantize_plane(const Operation *o, int c, int32_t *restrict out, const int32_t *in, size_t samples)
{
    for (size_t i = 0; i < samples; i++)
        out[i] = (int32_t)requantized(in[i], o, c);
}

static void add_planes(int32_t *restrict out, const int32_t *a, const int32_t *b, size_t samples)
{
    for (size_t i = 0; i < samples; i++)
        out[i] = a[i] + b[i];
}

static void run(Operation *operations, int number, int width, int height)
{
    Operation *o = &operations[number];
    const size_t plane = (size_t)width * (size_t)height;
    const int32_t *a = operations[o->input[0]].values, *b = operations[o->input[o->inputs - 1]].values;
    o->values = allocate((size_t)o->channels * plane, sizeof *o->values);
    int copied = 0;
    for (int i = 0; o->kind == CONCATENATE && i < o->inputs; i++) {
        const Operation *source = &operations[o->input[i]];
        memcpy(o->values + (size_t)copied * plane, source->values, (size_t)source->channels * plane * sizeof *o->values);
        copied += source->channels;
    }
    for (int c = 0; c < o->channels; c++) {
        const size_t at = (size_t)c * plane;
        int32_t *out = o->values + at;
        if (o->kind == CONVOLVE)
            for (int y = 0; y < height; y++)
                convolve_row(o, a, c, y, width, height, (uint32_t *)out + (size_t)y * (size_t)width);
        else if (o->kind == REQUANTIZE)
            requantize_plane(o, c, out, a + at, plane);
        else if (o->kind == ADD)
            add_planes(out, a + at, b + at, plane);
    }
    for (int n = 0; n < number; n++) /* what nothing reads any more */
        if (operations[n].last_read <= number) {
            free(operations[n].values);
            operations[n].values = NULL;
        }
}

static void release(Operation *operations, int count)
{
    for (int n = 0; n <= count; n++) {
        Operation *o = &operations[n];
        free(o->bias);
        free(o->multiplier);
        free(o->weights);
        free(o->shift);
        free(o->least);
        free(o->most);
        free(o->values);
    }
    free(operations);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        fputs(usage_text, stdout);
        return 0;
    }
    if (argc != 5 && argc != 6) {
        fputs(usage_text, stderr);
        return 2;
    }
    char *x, *end = NULL;
    const long width = strtol(argv[2], &x, 10), height = *x == 'x' ? strtol(x + 1, &end, 10) : 0;
    if (!end || *end || width < 1 || height < 1 || width > MOST_SIZE || height > MOST_SIZE)
        fail("%s: must be WIDTHxHEIGHT, each from 1 to %d", argv[2], MOST_SIZE);
    size_t size, samples;
    uint8_t *data = slurp(argv[1], &size);
    int count;
    Operation *operations = load(data, size, &count);
    const int operations_read = count;
    long value = 0;
    if (argc == 6) {
        value = strtol(argv[5], &end, 10);
        if (*end || value < 1 || value > count)
            fail("%s: must be the number of an operation, 1 to %d", argv[5], count);
        count = (int)value;
    }
    uint8_t *plane = slurp(argv[3], &samples);
    if (samples != (size_t)width * (size_t)height)
        fail("%s has %zu samples, not %ld", argv[3], samples, width * height);
    operations[0].values = allocate((size_t)width * (size_t)height, sizeof *operations[0].values);
    for (size_t i = 0; i < samples; i++)
        operations[0].values[i] = plane[i] - 128;
    for (int n = 1; n <= count; n++)
        run(operations, n, (int)width, (int)height);
    const Operation *last = &operations[count];
    for (size_t i = 0; !value && i < samples; i++) {
        const int64_t sample = (int64_t)plane[i] + last->values[i];
        plane[i] = (uint8_t)(sample < 0 ? 0 : sample > 255 ? 255 : sample);
    }
    const size_t unit = value ? sizeof *last->values : 1, units = value ? samples * (size_t)last->channels : samples;
    FILE *out = fopen(argv[4], "wb");
    if (!out)
        fail("cannot write %s: %s", argv[4], strerror(errno));
    unfinished = argv[4];
    if (fwrite(value ? (const void *)last->values : plane, unit, units, out) != units || fclose(out))
        fail("cannot write %s: %s", argv[4], strerror(errno));
    unfinished = NULL;
    release(operations, operations_read);
    free(plane);
    free(data);
    return 0;
}
