/* vrcnn_filter: filters planar yuv and Y4M. See usage_text in options.c.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "options.h"
#include "sets.h"
#include "y4m.h"

static VrcnnModel *load_model(const char *path)
{
    VrcnnModel *model;
    VrcnnFault fault;
    VrcnnError error;
    size_t builtin_size;
    const void *const builtin = vrcnn_builtin_file(path, &builtin_size);
    if (builtin) {
        if ((error = vrcnn_model_load(&model, builtin, builtin_size, NULL)))
            fail("%s: %s", path, vrcnn_strerror(error));
        return model;
    }
    if (!strchr(path, '/') && !is_there(path)) {
        char names[512];
        names_of_sets(names, sizeof names, -1, VRCNN_LUMA);
        fail("%s: there is no such file, nor such a built-in set; built in are %s", path, names);
    }
    unsigned long long size;
    FILE *file = open_file(path, &size);
    if (size > UINT32_MAX)
        fail("%s: %s", path, vrcnn_strerror(VRCNN_ERROR_NOT_A_MODEL));
    uint8_t *data = allocate((size_t)size + 1);
    if (fread(data, 1, (size_t)size, file) != size)
        fail("%s: cannot be read", path);
    fclose(file);
    error = vrcnn_model_load(&model, data, (size_t)size, &fault);
    free(data);
    if (error && *fault.field) {
        /* For people, layers and branches are counted from 1, as in the papers; networks and channels are indices. */
        const char *const names[] = {"network", "layer", "branch", "channel"};
        const int numbers[] = {fault.network, fault.layer, fault.branch, fault.channel}, firsts[] = {0, 1, 1, 0};
        char place[128] = "";
        int length = 0;
        for (int i = 0; i < 4; i++)
            if (numbers[i] >= 0)
                length += snprintf(place + length, sizeof place - (size_t)length, "%s %d, ", names[i], numbers[i] + firsts[i]);
        fail("%s: %s: %s%s = %lld", path, vrcnn_strerror(error), place, fault.field, (long long)fault.value);
    }
    if (error)
        fail("%s: %s", path, vrcnn_strerror(error));
    return model;
}

/* On a set that exists: what a kernel can do does not depend on it. Returns NULL and the error if there is no such context. */
static VrcnnContext *try_context(const VrcnnModel *model, int kernel, int threads, VrcnnError *error)
{
    VrcnnContext *context = NULL;
    VrcnnSettings settings;
    *error = vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = threads;
    if (!*error)
        *error = vrcnn_open(&context, model, &settings);
    return context;
}

static VrcnnContext *open_context(const VrcnnModel *model, const char *word, int threads)
{
    VrcnnError error;
    const int kernel = vrcnn_kernel_by_name(word); /* what is none of the kernels is refused as such */
    VrcnnContext *context = try_context(model, kernel, threads, &error);
    if (!context && error == VRCNN_ERROR_THREADS)
        fail("--threads %d: %s", threads, vrcnn_strerror(error));
    if (!context)
        fail("--kernel %s: %s", word, vrcnn_strerror(error));
    return context;
}

static void list_kernels(void)
{
    VrcnnModel *model = load_model(default_set(VRCNN_BEFORE_DEBLOCKING, 1));
    for (int kernel = 0; vrcnn_kernel_name(kernel); kernel++) {
        VrcnnError error;
        VrcnnContext *context = try_context(model, kernel, 1, &error);
        const char *is = kernel == VRCNN_KERNEL_AUTO && context ? vrcnn_kernel_name(vrcnn_context_kernel(context)) : "available";
        printf("%-12s%s\n", vrcnn_kernel_name(kernel), context ? is : vrcnn_strerror(error));
        vrcnn_close(context);
    }
    vrcnn_model_free(model);
}

/* The set's name, or its file. A position is said with --qp alone. */
static const char *set_of(const Options *o)
{
    if (o->model)
        return o->model;
    return default_set(o->has_qp ? o->position : VRCNN_BEFORE_DEBLOCKING, o->has_kind && o->kind == VRCNN_LUMA);
}

static int choose_network(const Options *o, const VrcnnModel *model)
{
    const char *set = set_of(o);
    if (o->has_index) {
        if (o->index >= vrcnn_model_networks(model))
            fail("--index %d: %s has networks 0 to %d", o->index, set, vrcnn_model_networks(model) - 1);
        return o->index;
    }
    const VrcnnKind kind = o->has_kind ? o->kind : kind_of_set(model);
    const int index = vrcnn_model_find(model, o->position, kind, o->network_size, o->qp);
    if (index < 0) {
        char names[512];
        names_of_sets(names, sizeof names, o->position, kind);
        fail("%s: %s%s%s", set, vrcnn_strerror(index), *names ? "; of the built-in sets there is one in " : "", names);
    }
    return index;
}

/* As many weights as the network has heads. Hidden layers need none. */
static void check_weights(const Options *o, const VrcnnModel *model, int index)
{
    const int heads = vrcnn_model_network_heads(model, index);
    if (o->layer < 0 && o->weight_count[0] != heads)
        fail("--weights: network %d has %d head%s; give as many weights for luma and for chroma", index, heads, heads > 1 ? "s" : "");
}

/* Between the file's little-endian samples and the machine's. */
static void swap_if_big_endian(uint8_t *data, size_t size)
{
    const uint16_t one = 1;
    if (*(const uint8_t *)&one)
        return;
    for (size_t i = 0; i + 1 < size; i += 2) {
        const uint8_t low = data[i];
        data[i] = data[i + 1];
        data[i + 1] = low;
    }
}

/* A picture in memory as it is in the file: planes one after the other. */
typedef struct Layout {
    int planes, width[3], height[3], depth[3];
    size_t bytes[3]; /* of a sample */
    size_t at[3];    /* where a plane begins */
    size_t size;
} Layout;

static Layout layout_of(const Options *o)
{
    Layout l = {.planes = o->format == 400 ? 1 : 3};
    for (int p = 0; p < l.planes; p++) {
        l.width[p] = p && o->format != 444 ? (o->width + 1) / 2 : o->width;
        l.height[p] = p && o->format == 420 ? (o->height + 1) / 2 : o->height;
        l.depth[p] = o->depth[p > 0];
        l.bytes[p] = l.depth[p] > 8 ? 2 : 1;
        l.at[p] = l.size;
        l.size += (size_t)l.width[p] * (size_t)l.height[p] * l.bytes[p];
    }
    return l;
}

static size_t plane_size(const Layout *l, int p)
{
    return (size_t)l->width[p] * (size_t)l->height[p] * l->bytes[p];
}

static VrcnnPlane plane_in(uint8_t *picture, const Layout *l, int p)
{
    const VrcnnPlane plane = {picture + l->at[p], (ptrdiff_t)((size_t)l->width[p] * l->bytes[p]), l->width[p], l->height[p], l->depth[p],
                              (int)l->bytes[p]};
    return plane;
}

static void check_range(const Options *o, const Layout *l, int p, const uint8_t *plane, unsigned long long picture)
{
    static const char *const names[3] = {"luma", "Cb", "Cr"};
    const int max = (1 << l->depth[p]) - 1, width = l->width[p];
    const size_t samples = plane_size(l, p) / 2;
    const char *const said = o->is_y4m ? "the header's bit depth" : p ? "--chroma-depth" : "--bit-depth";
    for (size_t i = 0; i < samples; i++) {
        uint16_t sample;
        memcpy(&sample, plane + 2 * i, sizeof sample);
        if (sample > max)
            fail("%s: picture %llu: %s sample %zu,%zu is %d, above %d: is %s %d right?", o->input, picture, names[p], i % (size_t)width,
                 i / (size_t)width, sample, max, said, l->depth[p]);
    }
}

/* How many planes the network reads: all three of 4:2:0 if it is joint and the depth of chroma serves, else luma's. */
static int planes_read(const Options *o, VrcnnKind kind)
{
    const int serves = o->depth[1] <= 10 || (o->depth[1] == 12 && o->depth[0] == 12);
    return kind == VRCNN_JOINT && o->format == 420 && serves ? 3 : 1;
}

/* Everything that filtering pictures needs. */
typedef struct Filter {
    const Options *o;
    const VrcnnModel *model;
    VrcnnContext *context;
    int index, is_joint, planes; /* that the network reads */
    unsigned long long size;     /* of the input, or UNKNOWN_SIZE */
    Layout layout;
    uint8_t *picture, *filtered;
    VrcnnConstPlane src[3];
    VrcnnPlane dst[3];
} Filter;

static void prepare(Filter *f)
{
    f->picture = allocate(f->layout.size);
    f->filtered = allocate(f->layout.size);
    memset(f->src, 0, sizeof f->src);
    memset(f->dst, 0, sizeof f->dst);
    for (int p = 0; p < f->planes; p++) {
        const VrcnnPlane from = plane_in(f->picture, &f->layout, p);
        const VrcnnConstPlane read = {from.data, from.stride, from.width, from.height, from.bit_depth, from.bytes_per_sample};
        f->src[p] = read;
        f->dst[p] = plane_in(f->filtered, &f->layout, p);
    }
}

/* Writes the outputs of the hidden layer, channel after channel. */
static void write_layer(FILE *out, const Filter *f)
{
    const Options *o = f->o;
    VrcnnNetworkInfo info;
    vrcnn_model_network_info(f->model, f->index, &info);
    if (o->layer > info.layers - 2)
        fail("--layer %d: network %d has hidden layers 0 to %d", o->layer, f->index, info.layers - 2);
    const int site = f->is_joint ? 2 : 1, width = (o->width + site - 1) / site, height = (o->height + site - 1) / site;
    const size_t channels = (size_t)info.channels[o->layer], samples = (size_t)width * (size_t)height;
    if (samples > SIZE_MAX / channels)
        fail("out of memory");
    uint8_t *values = allocate(samples * channels), *plane = allocate(samples);
    const ptrdiff_t stride = (ptrdiff_t)(channels * (size_t)width);
    const VrcnnError error = vrcnn_filter_planes_layer(f->context, f->index, o->layer, values, stride, f->src, 0, 0, width, height);
    if (error)
        fail("%s: %s", o->input, vrcnn_strerror(error));
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < samples; i++)
            plane[i] = values[i * channels + c];
        write_out(out, plane, samples, o->output);
    }
    free(values);
    free(plane);
}

static void write_filtered(FILE *out, const Filter *f, unsigned long long picture)
{
    const Layout *l = &f->layout;
    const VrcnnError error = vrcnn_filter_planes(f->context, f->index, &f->o->weights, f->dst, f->src);
    if (error)
        fail("%s: picture %llu: %s", f->o->input, picture, vrcnn_strerror(error));
    for (int p = 0; p < l->planes; p++) {
        uint8_t *plane = (p < f->planes ? f->filtered : f->picture) + l->at[p];
        if (l->bytes[p] == 2 && p < f->planes)
            swap_if_big_endian(plane, plane_size(l, p));
        write_out(out, plane, plane_size(l, p), f->o->output);
    }
}

/* What begins with whole pictures may end anywhere if it is a pipe, or if others cut it while it is read. */
static int read_picture(FILE *in, const Filter *f, Y4mLine *line, unsigned long long picture)
{
    const char *const name = f->o->input;
    if (f->o->is_y4m && !read_y4m_frame(in, name, picture, line))
        return 0;
    const size_t size = fread(f->picture, 1, f->layout.size, in);
    if (ferror(in))
        fail("%s: picture %llu cannot be read: %s", name, picture, strerror(errno));
    if (!size && !f->o->is_y4m)
        return 0;
    if (size != f->layout.size)
        fail("%s: ends within picture %llu, which has %zu of %zu bytes", name, picture, size, f->layout.size);
    for (int p = 0; p < f->planes; p++)
        if (f->layout.bytes[p] == 2) {
            uint8_t *plane = f->picture + f->layout.at[p];
            swap_if_big_endian(plane, plane_size(&f->layout, p));
            check_range(f->o, &f->layout, p, plane, picture);
        }
    return 1;
}

/* Size, format and depths of Y4M, from its header; or what the options say is compared with a yuv file's size. */
static void read_layout(FILE *in, Options *o, unsigned long long size, Layout *layout, Y4mLine *line)
{
    if (o->is_y4m) {
        const Y4mLayout said = read_y4m_header(in, o->input, line);
        o->width = said.width;
        o->height = said.height;
        o->format = said.format;
        o->depth[0] = o->depth[1] = said.depth;
    }
    *layout = layout_of(o);
    if (!o->is_y4m && size != UNKNOWN_SIZE && (!size || size % layout->size))
        fail("%s: %llu bytes are not a whole number of pictures of %zu bytes (%dx%d, format %d, %d bits)", o->input, size, layout->size,
             o->width, o->height, o->format, o->depth[0]);
}

/* All pictures, as they come: never more than one is held. */
static void filter_pictures(FILE *in, FILE *out, const Filter *f, Y4mLine *line)
{
    const Options *o = f->o;
    unsigned long long count = 0;
    if (o->is_y4m)
        write_out(out, line->text, line->length, o->output);
    for (; read_picture(in, f, line, count); count++) {
        if (o->is_y4m)
            write_out(out, line->text, line->length, o->output);
        if (o->layer >= 0)
            write_layer(out, f);
        else
            write_filtered(out, f, count);
        picture_done(out, o->output);
    }
    if (!count)
        fail("%s: has no pictures", o->input);
    if (!o->is_y4m && f->size != UNKNOWN_SIZE && count != f->size / f->layout.size)
        fail("%s: became shorter while it was read", o->input);
}

int main(int argc, char **argv)
{
    static Y4mLine line;
    Options o = parse_options(argc, argv);
    if (o.lists_kernels) {
        list_kernels();
        return 0;
    }
    Filter f = {.o = &o};
    FILE *in = open_input(o.input, &f.size);
    read_layout(in, &o, f.size, &f.layout, &line);
    VrcnnModel *model = load_model(set_of(&o));
    f.model = model;
    f.index = choose_network(&o, model);
    check_weights(&o, model, f.index);
    if (o.depth[0] == 12 && vrcnn_model_network_kind(model, f.index) != VRCNN_JOINT)
        fail("12 bits are filtered by joint networks only, and network %d is none: give another --model, such as joint_intra", f.index);
    f.is_joint = vrcnn_model_network_kind(model, f.index) == VRCNN_JOINT;
    f.planes = planes_read(&o, f.is_joint ? VRCNN_JOINT : VRCNN_LUMA);
    if (f.is_joint && f.planes == 1 && o.format != 400)
        fputs("vrcnn_filter: note: chroma is passed through: joint networks filter that of format 420 with 8 to 10 bits, or 12 as luma\n",
              stderr);
    f.context = open_context(model, o.kernel, o.threads);
    prepare(&f);

    FILE *out = create_output(o.output, o.input, o.model);
    filter_pictures(in, out, &f, &line);
    finish(out, o.output);
    fclose(in);
    free(f.picture);
    free(f.filtered);
    vrcnn_close(f.context);
    vrcnn_model_free(model);
    return 0;
}
