/* Pictures of three planes: every way to call libvrcnn_cuda against the scalar kernels of the C library, for equality in every byte.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANES = 3, MOST = 3, NETWORKS = 9, FIRST_LUMA = 5, OTHER_CHANNELS = 7, LEAST_UNIT = 64 };

/* ---- networks ---- */

static void begin_network(File *file, int layers, int is_joint, int heads)
{
    put(file, 32, 1);
    put(file, 0, 1);
    put(file, (uint64_t)layers, 1);
    put(file, (uint64_t)is_joint, 1);
    put(file, 0, 1); /* fast, so that networks of the kind luma are of version 2 */
    put(file, (uint64_t)heads, 1);
    put(file, 0, 2);
}

static void begin_layer(File *file, int branches, int added)
{
    put(file, (uint64_t)branches, 1);
    put(file, (uint64_t)added, 1);
}

static void put_last(File *file, int inputs, int size, int heads, int is_extreme)
{
    begin_layer(file, heads ? 2 : 1, 0);
    put_branch(file, inputs, heads ? 4 * heads : 1, size, 1, is_extreme);
    if (heads)
        put_branch(file, inputs, 2 * heads, size, 1, is_extreme && between(0, 1));
}

/* A trunk of residual blocks, as the shipped joint networks have. */
static void put_residual(File *file, int channels, int blocks, int heads, int is_extreme)
{
    begin_network(file, 2 + 2 * blocks, 1, heads);
    for (int l = 0; l < 1 + 2 * blocks; l++) {
        begin_layer(file, 1, l && l % 2 == 0 ? 2 : 0);
        put_branch(file, l ? channels : 6, channels, 3, 0, is_extreme && between(0, 1));
    }
    put_last(file, channels, 3, heads, is_extreme);
}

/* Any layers of one or the other number of channels, in one to four branches, which add each other at any distance; heads: 0, of the kind
 * luma. */
static void put_any(File *file, const int channels[2], int heads, int is_extreme)
{
    const int layers = between(4, 7);
    int outputs[8] = {0}, inputs = heads ? 6 : 1;
    begin_network(file, layers, heads > 0, heads ? heads : 1);
    for (int l = 0; l + 1 < layers; l++) {
        outputs[l] = channels[between(0, 1)];
        const int before = l && between(0, 3) ? between(1, l < 4 ? l : 4) : 0;
        const int added = before && outputs[l - before] == outputs[l] ? before : 0;
        const int most = added ? 1 : outputs[l] / 16, branches = between(1, most < 4 ? most : 4);
        begin_layer(file, branches, added);
        for (int b = 0, left = outputs[l]; b < branches; b++) {
            const int size = b == branches - 1 ? left : 16 * between(1, left / 16 - (branches - 1 - b));
            put_branch(file, inputs, size, 1 + 2 * between(0, 2), 0, is_extreme && between(0, 1));
            left -= size;
        }
        inputs = outputs[l];
    }
    put_last(file, inputs, 1 + 2 * between(0, 2), heads, is_extreme);
}

/* The widest kernels of 64 channels, whose weights do not fit a block of the tensor cores' kernels together. */
static void put_wide(File *file)
{
    begin_network(file, 4, 1, 2);
    for (int l = 0; l < 3; l++) {
        begin_layer(file, l == 1 ? 4 : 1, l == 2 ? 2 : 0);
        for (int b = 0; b < (l == 1 ? 4 : 1); b++)
            put_branch(file, l ? 64 : 6, l == 1 ? 16 : 64, l == 1 ? 5 - b / 2 * 2 : 5, 0, 0);
    }
    put_last(file, 64, 5, 2, 0);
}

static const int heads_of[NETWORKS] = {1, 2, 2, 1, 2, 0, 0, 1, 2};

static File make_file(void)
{
    static const int usual[2] = {32, 64}, other[2] = {16, 48}, one[2] = {32, 32};
    File file = begin_file(2, NETWORKS);
    put_residual(&file, 32, 2, 1, 0);
    put_residual(&file, 64, 1, 2, 0);
    put_residual(&file, 32, 1, 2, 1);
    put_any(&file, usual, 1, 0);
    put_any(&file, usual, 2, 1);
    put_any(&file, one, 0, 0);
    put_any(&file, one, 0, 1);
    put_any(&file, other, 1, between(0, 1));
    put_wide(&file);
    end_file(&file);
    return file;
}

/* ---- pictures ---- */

/* One to three pictures, alike in what they have; wanted is what the C library makes of them. */
typedef struct Pictures {
    int count, width, height, depths[2];
    Memory src_memory[MOST][PLANES], dst_memory[MOST][PLANES], wanted_memory[MOST][PLANES];
    VrcnnPlane src[MOST][PLANES], dst[MOST][PLANES], wanted[MOST][PLANES];
    VrcnnConstPlane from[MOST][PLANES];
} Pictures;

/* written: a bit for each plane of dst. */
static Pictures make_pictures(int count, int width, int height, int has_chroma, int written)
{
    Pictures s;
    int src_bytes[PLANES], dst_bytes[PLANES];
    memset(&s, 0, sizeof s);
    s.count = count;
    s.width = width;
    s.height = height;
    s.depths[0] = between(8, 10);
    s.depths[1] = between(0, 1) ? s.depths[0] : between(8, 10);
    for (int p = 0; p < PLANES; p++) {
        src_bytes[p] = s.depths[p > 0] > 8 ? 2 : between(1, 2);
        dst_bytes[p] = s.depths[p > 0] > 8 ? 2 : between(1, 2);
    }
    for (int i = 0; i < count; i++)
        for (int p = 0; p < (has_chroma ? PLANES : 1); p++) {
            const int w = p ? (width + 1) / 2 : width, h = p ? (height + 1) / 2 : height;
            s.src_memory[i][p] = make_memory(s.src[i] + p, w, h, s.depths[p > 0], src_bytes[p]);
            fill(s.src[i] + p);
            s.from[i][p] = constant(s.src[i] + p);
            if (!(written >> p & 1))
                continue;
            s.dst_memory[i][p] = make_memory(s.dst[i] + p, w, h, s.depths[p > 0], dst_bytes[p]);
            s.wanted_memory[i][p] = s.dst_memory[i][p];
            s.wanted_memory[i][p].block = take(s.dst_memory[i][p].size);
            memset(s.wanted_memory[i][p].block, GUARD, s.dst_memory[i][p].size);
            s.wanted[i][p] = s.dst[i][p];
            s.wanted[i][p].data = s.wanted_memory[i][p].block + s.dst_memory[i][p].offset;
        }
    return s;
}

static void free_pictures(Pictures *s)
{
    for (int i = 0; i < s->count; i++)
        for (int p = 0; p < PLANES; p++) {
            free(s->src_memory[i][p].block);
            free(s->dst_memory[i][p].block);
            free(s->wanted_memory[i][p].block);
        }
}

/* Every byte, also those between rows and around regions; then the results are wiped. */
static void compare(Pictures *s)
{
    for (int i = 0; i < s->count; i++) {
        for (int p = 0; p < PLANES; p++)
            for (size_t at = 0; at < s->dst_memory[i][p].size; at++)
                if (s->dst_memory[i][p].block[at] != s->wanted_memory[i][p].block[at]) {
                    char text[160];
                    snprintf(text, sizeof text,
                             "picture %d of %d, plane %d, stride %td, byte %td from the first sample: got %d, expected %d", i, s->count, p,
                             s->dst[i][p].stride, (ptrdiff_t)at - (ptrdiff_t)s->dst_memory[i][p].offset, s->dst_memory[i][p].block[at],
                             s->wanted_memory[i][p].block[at]);
                    fail(text);
                }
        for (int p = 0; p < PLANES; p++)
            if (s->dst_memory[i][p].block) {
                memset(s->dst_memory[i][p].block, GUARD, s->dst_memory[i][p].size);
                samples += (unsigned)(s->dst[i][p].width * s->dst[i][p].height);
            }
        pictures++;
    }
}

static void wipe_wanted(Pictures *s)
{
    for (int i = 0; i < s->count; i++)
        for (int p = 0; p < PLANES; p++)
            if (s->wanted_memory[i][p].block)
                memset(s->wanted_memory[i][p].block, GUARD, s->wanted_memory[i][p].size);
}

/* ---- calls ---- */

/* What is asked for: whole pictures, a region of one, or a map. */
typedef struct Request {
    int index, region[4]; /* x, y, width, height; width 0: whole pictures */
    VrcnnWeights weights;
    const VrcnnPlaneUnits *units; /* NULL: the network `index` */
} Request;

static int filter_reference(VrcnnContext *context, const Request *r, const VrcnnPlane *dst, const VrcnnConstPlane *src)
{
    const int *at = r->region;
    if (r->units)
        return vrcnn_filter_planes_units(context, r->units, dst, src);
    return at[2] ? vrcnn_filter_planes_region(context, r->index, &r->weights, dst, src, at[0], at[1], at[2], at[3])
                 : vrcnn_filter_planes(context, r->index, &r->weights, dst, src);
}

static int filter_host(VrcnnCuda *cuda, const Request *r, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
{
    const int *at = r->region;
    if (r->units)
        return vrcnn_cuda_filter_planes_units_host(cuda, r->units, dst, src);
    return at[2] ? vrcnn_cuda_filter_planes_region_host(cuda, r->index, &r->weights, dst, src, at[0], at[1], at[2], at[3])
                 : vrcnn_cuda_filter_planes_host(cuda, r->index, &r->weights, dst, src, count);
}

static int filter_device(VrcnnCuda *cuda, const Request *r, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count, CUstream stream)
{
    const int *at = r->region;
    if (r->units)
        return vrcnn_cuda_filter_planes_units(cuda, r->units, dst, src, stream);
    return at[2] ? vrcnn_cuda_filter_planes_region(cuda, r->index, &r->weights, dst, src, at[0], at[1], at[2], at[3], stream)
                 : vrcnn_cuda_filter_planes(cuda, r->index, &r->weights, dst, src, count, stream);
}

/* The same with all planes in the GPU's memory. */
static void filter_on_device(VrcnnCuda *cuda, const Request *r, Pictures *s)
{
    CUstream stream;
    CUdeviceptr memory[MOST][PLANES][2];
    VrcnnPlane dst[MOST][PLANES];
    VrcnnConstPlane src[MOST][PLANES];
    memset(memory, 0, sizeof memory);
    memset(dst, 0, sizeof dst);
    memset(src, 0, sizeof src);
    open_streams(&stream, 1);
    for (int i = 0; i < s->count; i++)
        for (int p = 0; p < PLANES; p++)
            for (int written = 0; written < 2; written++) {
                const Memory *from = written ? s->dst_memory[i] + p : s->src_memory[i] + p;
                CUdeviceptr *to = memory[i][p] + written;
                if (!from->block)
                    continue;
                driver_check(driver.allocate(to, from->size));
                driver_check(driver.to_device(*to, from->block, from->size, stream));
                if (written) {
                    dst[i][p] = s->dst[i][p];
                    dst[i][p].data = vrcnn_driver_pointer(*to + from->offset);
                } else {
                    src[i][p] = s->from[i][p];
                    src[i][p].data = vrcnn_driver_pointer(*to + from->offset);
                }
            }
    expect(filter_device(cuda, r, dst[0], src[0], s->count, stream), VRCNN_OK);
    for (int i = 0; i < s->count; i++)
        for (int p = 0; p < PLANES; p++)
            if (memory[i][p][1])
                driver_check(driver.to_host(s->dst_memory[i][p].block, memory[i][p][1], s->dst_memory[i][p].size, stream));
    driver_check(driver.synchronize(stream));
    for (int i = 0; i < s->count; i++)
        for (int p = 0; p < PLANES; p++)
            for (int written = 0; written < 2; written++)
                if (memory[i][p][written])
                    driver_check(driver.free(memory[i][p][written]));
    close_streams(&stream, 1);
}

/* ---- equality ---- */

typedef struct Contexts {
    VrcnnContext *reference;
    VrcnnCuda *cuda[3]; /* simple; any method; bands of few rows */
} Contexts;

static Contexts open_contexts(const File *file)
{
    Contexts c;
    VrcnnModel *model;
    VrcnnSettings settings;
    expect(vrcnn_model_load(&model, file->data, file->size, NULL), VRCNN_OK);
    vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = VRCNN_KERNEL_SCALAR;
    settings.threads = is_emulated ? 1 : 16;
    expect(vrcnn_open(&c.reference, model, &settings), VRCNN_OK);
    vrcnn_model_free(model);
    c.cuda[0] = open_cuda(file, VRCNN_CUDA_SIMPLE, 0, 0, 0);
    c.cuda[1] = open_cuda(file, VRCNN_CUDA_AUTO, 0, 0, 0);
    c.cuda[2] = open_cuda(file, VRCNN_CUDA_AUTO, 0, 0, (size_t)between(1, 20000));
    return c;
}

static void close_contexts(Contexts *c)
{
    vrcnn_close(c->reference);
    for (int i = 0; i < 3; i++)
        vrcnn_cuda_close(c->cuda[i]);
}

static VrcnnWeights draw_weights(int heads)
{
    const int least = heads > 1 ? -5 : 1;
    VrcnnWeights w;
    for (int h = 0; h < VRCNN_MAX_HEADS; h++) {
        w.luma[h] = between(least, 10);
        w.chroma[h] = between(least, 10);
    }
    return w;
}

/* Through contexts first .. end - 1, on the host and on the GPU. */
static void check_request(Contexts *c, int first, int end, const Request *r, Pictures *s)
{
    wipe_wanted(s);
    for (int i = 0; i < s->count; i++)
        expect(filter_reference(c->reference, r, s->wanted[i], s->from[i]), VRCNN_OK);
    for (int i = first; i < end; i++) {
        snprintf(doing, sizeof doing, "planes, context %d, network %d%s, region %d,%d %dx%d, %d pictures of %dx%d, %d and %d bit", i,
                 r->index, r->units ? " (a map)" : "", r->region[0], r->region[1], r->region[2], r->region[3], s->count, s->width,
                 s->height, s->depths[0], s->depths[1]);
        expect(filter_host(c->cuda[i], r, s->dst[0], s->from[0], s->count), VRCNN_OK);
        compare(s);
        filter_on_device(c->cuda[i], r, s);
        compare(s);
    }
}

/* A region that the network may have: sites are whole. */
static void draw_region(int region[4], int width, int height, int is_joint)
{
    const int sizes[2] = {width, height};
    for (int i = 0; i < 2; i++) {
        const int site = is_joint ? 2 : 1, first = between(0, (sizes[i] - 1) / site) * site, size = between(1, sizes[i] - first);
        region[i] = first;
        region[2 + i] = size % site && first + size < sizes[i] ? size + 1 : size;
    }
}

static void check_network(Contexts *c, int index, int heads)
{
    const int most = is_emulated || largest < 160 ? largest : largest / 4; /* the C library's scalar kernels have to keep up */
    for (int turn = 0; turn < 3; turn++) {
        const int has_chroma = heads ? turn < 2 : between(0, 1), any = between(0, 2);
        const int written = !heads || !has_chroma ? 1 : turn ? between(1, 7) : 7, count = turn == 2 ? between(2, MOST) : 1;
        Pictures s = make_pictures(count, between(1, most / count), between(1, most / count), has_chroma, written);
        Request r = {index, {0, 0, 0, 0}, draw_weights(heads), NULL};
        check_request(c, turn ? any : 0, turn ? any + 1 : 3, &r, &s);
        if (count == 1) {
            draw_region(r.region, s.width, s.height, heads > 0);
            check_request(c, any, any + 1, &r, &s);
        }
        free_pictures(&s);
    }
}

/* A picture of several tiles of the tensor cores' kernels, in rows and in columns. */
static void check_tiles(Contexts *c, int index)
{
    Pictures s = make_pictures(1, between(73, 90), between(65, 80), 1, 7);
    const Request r = {index, {0, 0, 0, 0}, draw_weights(heads_of[index]), NULL};
    const int any = between(1, 2);
    check_request(c, any, any + 1, &r, &s);
    free_pictures(&s);
}

/* Networks of both kinds in the units of one picture, with one map for luma and chroma, two maps, or a map for one of them. */
static void check_maps(Contexts *c)
{
    uint8_t maps[2][9];
    for (int turn = 0; turn < 3; turn++) {
        VrcnnPlaneUnits units = {LEAST_UNIT,
                                 3,
                                 {0, FIRST_LUMA, 1},
                                 {draw_weights(heads_of[0]), draw_weights(1), draw_weights(heads_of[1])},
                                 turn == 2 ? NULL : maps[0],
                                 turn == 1   ? maps[1]
                                 : turn == 2 ? maps[1]
                                             : maps[0]};
        const int any = between(0, 2), width = LEAST_UNIT + between(1, 40), height = LEAST_UNIT + between(1, 20);
        for (int i = 0; i < 9; i++) {
            maps[0][i] = (uint8_t)(turn ? between(0, 3) : 2 * between(0, 1) + between(0, 1));
            maps[0][i] = !turn && maps[0][i] == 2 ? 0 : maps[0][i];
            maps[1][i] = (uint8_t)(between(0, 1) ? 0 : between(0, 1) ? 1 : 3);
        }
        Pictures s = make_pictures(1, width, height, 1, turn == 1 ? between(1, 7) : 7);
        const Request r = {0, {0, 0, 0, 0}, draw_weights(1), &units};
        check_request(c, any, any + 1, &r, &s);
        free_pictures(&s);
    }
}

void check_planes(void)
{
    File file = make_file();
    Contexts c = open_contexts(&file);
    for (int index = 0; index < NETWORKS; index++)
        check_network(&c, index, heads_of[index]);
    for (int index = 0; index < 2; index++)
        check_tiles(&c, index);
    check_maps(&c);
    close_contexts(&c);
    free(file.data);

    file = begin_file(1, 1); /* the fused kernels with regions */
    put_vrcnn(&file, 0);
    end_file(&file);
    c = open_contexts(&file);
    check_network(&c, 0, 0);
    close_contexts(&c);
    free(file.data);
}

/* ---- errors ---- */

/* A picture of 16x15 luma samples in 4:2:0, and a call that would succeed. */
typedef struct Call {
    uint8_t memory[2][PLANES][16 * 16];
    VrcnnPlane dst[PLANES];
    VrcnnConstPlane src[PLANES];
    VrcnnWeights weights;
    VrcnnPlaneUnits units;
    uint8_t map[1];
    int index, region[4];
} Call;

static void make_call(Call *call)
{
    memset(call, 0, sizeof *call);
    for (int p = 0; p < PLANES; p++) {
        const VrcnnPlane to = {call->memory[0][p], 16, p ? 8 : 16, p ? 8 : 15, 8, 1};
        const VrcnnConstPlane from = {call->memory[1][p], 16, p ? 8 : 16, p ? 8 : 15, 8, 1};
        call->dst[p] = to;
        call->src[p] = from;
    }
    const VrcnnWeights weights = {{8, 8}, {8, 8}};
    const VrcnnPlaneUnits units = {64, 1, {0}, {weights}, call->map, call->map};
    call->map[0] = 1;
    call->weights = weights;
    call->units = units;
    call->region[2] = 16;
    call->region[3] = 15;
}

/* All calls must answer alike: the C library's tests say that these are the right errors. What is not refused lies on the host. */
static void refuse(VrcnnCuda *cuda, const Call *call, int error)
{
    const int *r = call->region;
    expect(vrcnn_cuda_filter_planes_host(cuda, call->index, &call->weights, call->dst, call->src, 1), error);
    expect(vrcnn_cuda_filter_planes_region_host(cuda, call->index, &call->weights, call->dst, call->src, r[0], r[1], r[2], r[3]), error);
    if (!error)
        return;
    expect(vrcnn_cuda_filter_planes(cuda, call->index, &call->weights, call->dst, call->src, 1, NULL), error);
    expect(vrcnn_cuda_filter_planes_region(cuda, call->index, &call->weights, call->dst, call->src, r[0], r[1], r[2], r[3], NULL), error);
}

static void refuse_units(VrcnnCuda *cuda, const Call *call, int error)
{
    expect(vrcnn_cuda_filter_planes_units_host(cuda, &call->units, call->dst, call->src), error);
    if (error)
        expect(vrcnn_cuda_filter_planes_units(cuda, &call->units, call->dst, call->src, NULL), error);
}

static void check_refused_pictures(VrcnnCuda *cuda, Call *call)
{
    static const struct {
        int what, error;
    } faults[] = {{0, VRCNN_ERROR_ARGUMENT}, {1, VRCNN_ERROR_PLANE},   {2, VRCNN_ERROR_PLANE},   {3, VRCNN_ERROR_BIT_DEPTH},
                  {4, VRCNN_ERROR_ARGUMENT}, {5, VRCNN_ERROR_OVERLAP}, {6, VRCNN_ERROR_OVERLAP}, {7, VRCNN_ERROR_PLANE}};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        make_call(call);
        switch (faults[i].what) {
        case 0: call->src[2].data = NULL; break;
        case 1: call->src[1].width = call->src[2].width = 7; break;
        case 2: call->src[1].bit_depth = 9; break;
        case 3: call->src[0].bit_depth = call->dst[0].bit_depth = 12; break;
        case 4: call->dst[0].data = call->dst[1].data = call->dst[2].data = NULL; break;
        case 5: call->dst[2].data = call->memory[0][1] + 15; break;
        case 6: call->dst[1].data = call->memory[1][0]; break;
        default: call->src[1].data = call->src[2].data = NULL; break;
        }
        if (faults[i].what == 2)
            call->src[1].bytes_per_sample = 2;
        if (faults[i].what == 3)
            call->src[0].bytes_per_sample = call->dst[0].bytes_per_sample = 2;
        refuse(cuda, call, faults[i].error);
        refuse_units(cuda, call, faults[i].error);
    }
}

static void check_refused_filters(VrcnnCuda *cuda, Call *call)
{
    make_call(call);
    call->index = call->units.index[0] = NETWORKS;
    refuse(cuda, call, VRCNN_ERROR_INDEX);
    refuse_units(cuda, call, VRCNN_ERROR_INDEX);
    call->index = call->units.index[0] = FIRST_LUMA;
    refuse(cuda, call, VRCNN_ERROR_KIND);
    refuse_units(cuda, call, VRCNN_ERROR_KIND);
    make_call(call);
    call->weights.chroma[0] = call->units.weights[0].chroma[0] = 0; /* one head */
    refuse(cuda, call, VRCNN_ERROR_SCALE);
    refuse_units(cuda, call, VRCNN_ERROR_SCALE);
    call->index = call->units.index[0] = 1; /* two */
    call->weights.luma[1] = call->units.weights[0].luma[1] = -6;
    refuse(cuda, call, VRCNN_ERROR_SCALE);
    refuse_units(cuda, call, VRCNN_ERROR_SCALE);
    make_call(call);
    call->map[0] = 2;
    refuse_units(cuda, call, VRCNN_ERROR_UNITS);
    call->map[0] = 1;
    call->units.unit_size = 32;
    refuse_units(cuda, call, VRCNN_ERROR_UNITS);
    call->units.unit_size = 64;
    call->units.luma = call->memory[0][0];
    refuse_units(cuda, call, VRCNN_ERROR_OVERLAP);
    call->units.luma = call->units.chroma = NULL;
    refuse_units(cuda, call, VRCNN_ERROR_ARGUMENT);
}

static void check_refused_regions(VrcnnCuda *cuda, Call *call)
{
    static const int regions[][4] = {{1, 0, 2, 2}, {0, 1, 2, 2}, {0, 0, 3, 2}, {0, 0, 2, 3}, {0, 0, 0, 2}, {0, 14, 2, 2}, {-2, 0, 4, 4}};
    for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        const int *r = regions[i];
        make_call(call);
        expect(vrcnn_cuda_filter_planes_region_host(cuda, 0, &call->weights, call->dst, call->src, r[0], r[1], r[2], r[3]),
               VRCNN_ERROR_REGION);
    }
}

/* Which kernels a network gets, and which it can be made to have. */
static void check_methods(void)
{
    VrcnnCudaSettings settings;
    VrcnnCuda *cuda;
    File file = make_file();
    snprintf(doing, sizeof doing, "methods");
    for (int method = VRCNN_CUDA_AUTO; method <= VRCNN_CUDA_SIMPLE; method++) {
        cuda = open_cuda(&file, (VrcnnCudaMethod)method, 0, 0, 0);
        for (int i = 0; i < NETWORKS; i++) {
            const int is_fused = method == VRCNN_CUDA_AUTO && heads_of[i] && i != OTHER_CHANNELS;
            expect(vrcnn_cuda_method(cuda, i), is_fused ? VRCNN_CUDA_FUSED : VRCNN_CUDA_SIMPLE);
        }
        vrcnn_cuda_close(cuda);
    }
    vrcnn_cuda_default_settings(&settings, sizeof settings);
    settings.method = VRCNN_CUDA_FUSED;
    expect(vrcnn_cuda_open(&cuda, file.data, file.size, &settings), VRCNN_CUDA_ERROR_METHOD);
    free(file.data);
    file = begin_file(2, 1);
    put_residual(&file, 64, 1, 1, 0);
    end_file(&file);
    cuda = open_cuda(&file, VRCNN_CUDA_FUSED, 0, 0, 0);
    expect(vrcnn_cuda_method(cuda, 0), VRCNN_CUDA_FUSED);
    vrcnn_cuda_close(cuda);
    free(file.data);
}

void check_plane_arguments(void)
{
    Call *call = take(sizeof *call);
    File file = make_file();
    snprintf(doing, sizeof doing, "arguments of planes");
    VrcnnCuda *cuda = open_cuda(&file, VRCNN_CUDA_AUTO, 0, 0, 0);
    make_call(call);
    refuse(cuda, call, VRCNN_OK);
    refuse_units(cuda, call, VRCNN_OK);
    check_refused_pictures(cuda, call);
    check_refused_filters(cuda, call);
    check_refused_regions(cuda, call);
    make_call(call);
    expect(vrcnn_cuda_filter_planes_host(cuda, 0, &call->weights, call->dst, call->src, 0), VRCNN_OK);
    expect(vrcnn_cuda_filter_planes_host(cuda, 0, &call->weights, call->dst, call->src, -1), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_filter_planes_host(cuda, 0, NULL, call->dst, call->src, 1), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_filter_planes_host(NULL, 0, &call->weights, call->dst, call->src, 1), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_filter_planes_units_host(cuda, NULL, call->dst, call->src), VRCNN_ERROR_ARGUMENT);
    /* Luma calls and joint networks. */
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, call->dst, call->src, 1), VRCNN_ERROR_KIND);
    expect(vrcnn_cuda_filter(cuda, 1, 8, call->dst, call->src, 1, NULL), VRCNN_ERROR_KIND);
    expect(vrcnn_cuda_filter_host(cuda, FIRST_LUMA, 8, call->dst, call->src, 1), VRCNN_OK);
    /* Pictures that are not alike. */
    VrcnnPlane two[2 * PLANES];
    VrcnnConstPlane both[2 * PLANES];
    memcpy(two, call->dst, sizeof call->dst);
    memcpy(both, call->src, sizeof call->src);
    memcpy(both + PLANES, call->src, sizeof call->src);
    memset(two + PLANES, 0, sizeof call->dst);
    uint8_t *more = take(3 * 256);
    for (int p = 0; p < PLANES; p++) {
        two[PLANES + p] = call->dst[p];
        two[PLANES + p].data = more + p * 256;
    }
    expect(vrcnn_cuda_filter_planes_host(cuda, 0, &call->weights, two, both, 2), VRCNN_OK);
    two[PLANES].data = NULL;
    expect(vrcnn_cuda_filter_planes_host(cuda, 0, &call->weights, two, both, 2), VRCNN_ERROR_PLANE);
    two[PLANES].data = more;
    two[PLANES + 1].data = call->dst[1].data;
    expect(vrcnn_cuda_filter_planes_host(cuda, 0, &call->weights, two, both, 2), VRCNN_ERROR_OVERLAP);
    vrcnn_cuda_close(cuda);
    free(more);
    free(file.data);
    free(call);
    check_methods();
}
