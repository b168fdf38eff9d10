/* bench_cuda PICTURE WIDTH HEIGHT [smoke]: times libvrcnn_cuda on this machine's first GPU and prints one JSON object. PICTURE: 8-bit
 * samples, row after row; it is mirrored on and on to fill the sizes that are timed. Joint networks, of both sizes, have weights drawn by
 * chance, which take the same time. Times on the device are differences of events, medians
 * of many pictures that lie in different memory; those from host memory are of the whole call. The peak is measured before and after each
 * row.
 *
 * smoke: tiny pictures, few of them, to see that it works.
 *
 * The library's bands.c is part of this program, so that its two kernels can be timed apart.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L

#include "../bands.c" /* NOLINT(bugprone-suspicious-include) */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sha256.h"

enum { REPEATS = 100, SETS = 8, STREAM_PICTURES = 64, STREAM_REPEATS = 5, PLANES = VRCNN_CUDA_BATCH * VRCNN_CUDA_PLANES, BLOCKS = 3 };

/* What is timed. channels: of a joint network; 0: the built-in set's. macs: of a luma sample, all planes. */
typedef struct Timed {
    const char *name;
    int channels, index, macs;
} Timed;

static const Timed vrcnn = {"vrcnn", 0, 2 /* QP 32 */, 54512}, fast = {"fast", 32, 0, 14688}, best = {"best", 64, 0, 57024};

static double peak_milliseconds = 20, enough_milliseconds = 1500;
static int stream_pictures = STREAM_PICTURES;
static uint8_t *photograph;
static int photograph_width, photograph_height;
static const char *separator = "";

static void check(int error, const char *what)
{
    if (error >= 0)
        return;
    fprintf(stderr, "bench_cuda: %s: %s\n", what, vrcnn_cuda_strerror(error));
    exit(1);
}

static void driver_check(CUresult result, const char *what)
{
    check(vrcnn_driver_error(result), what);
}

static void *take(size_t size)
{
    void *memory = malloc(size);
    if (!memory)
        check(VRCNN_ERROR_MEMORY, "bench");
    return memory;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int mirrored(int at, int size)
{
    const int place = at % (2 * size);
    return place < size ? place : 2 * size - 1 - place;
}

/* The photograph at a size and bit depth; `turn` shifts it, so that no two pictures are the same. */
static void draw(uint8_t *to, int width, int height, int bit_depth, int turn)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int sample = photograph[mirrored(y, photograph_height) * photograph_width + mirrored(x + 16 * turn, photograph_width)];
            if (bit_depth == 8) {
                *to++ = (uint8_t)sample;
            } else {
                const int more = sample << (bit_depth - 8);
                *to++ = (uint8_t)more;
                *to++ = (uint8_t)(more >> 8);
            }
        }
}

/* ---- a set of one joint network ---- */

typedef struct File {
    uint8_t data[1 << 19];
    size_t size;
} File;

static void put(File *file, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        file->data[file->size++] = (uint8_t)(value >> 8 * i);
}

static void put_branch(File *file, int inputs, int outputs)
{
    static uint32_t state = 1;
    put(file, 3, 1);
    put(file, 8, 1);
    put(file, 600, 2);
    put(file, (uint64_t)outputs, 2);
    put(file, 0, 2);
    for (int i = 0; i < outputs; i++)
        put(file, 0, 4);
    for (int i = 0; i < 9 * inputs * outputs; i++) {
        state = state * 1664525 + 1013904223;
        put(file, (uint64_t)(int64_t)((int)(state >> 16) % 255 - 127), 1);
    }
}

static void put_layer(File *file, int branches, int added, int inputs, int outputs)
{
    put(file, (uint64_t)branches, 1);
    put(file, (uint64_t)added, 1);
    put_branch(file, inputs, outputs);
}

/* As the shipped ones: a layer, blocks of two layers whose second adds the block's input, a layer. */
static File *make_joint(int channels)
{
    File *file = take(sizeof *file);
    memset(file, 0, sizeof *file);
    memcpy(file->data, "VRCNNINT", 8);
    file->size = 8;
    put(file, 2, 2);
    put(file, 1, 2);
    put(file, 0, 4);
    const uint8_t head[8] = {32, 0, 2 + 2 * BLOCKS, 1, 0, 1, 0, 0};
    memcpy(file->data + file->size, head, sizeof head);
    file->size += sizeof head;
    put_layer(file, 1, 0, VRCNN_CUDA_SITE, channels);
    for (int i = 0; i < 2 * BLOCKS; i++)
        put_layer(file, 1, i % 2 * 2, channels, channels);
    put_layer(file, 2, 0, channels, 4);
    put_branch(file, channels, 2);
    for (int i = 0; i < 4; i++)
        file->data[12 + i] = (uint8_t)((file->size + VRCNN_ID_SIZE) >> 8 * i);
    vrcnn_sha256(file->data + file->size, file->data, file->size);
    file->size += VRCNN_ID_SIZE;
    return file;
}

static VrcnnCuda *open_cuda(const Timed *timed, VrcnnCudaMethod method, int first, int second, size_t map_size)
{
    VrcnnCudaSettings settings;
    VrcnnCuda *cuda;
    File *file = timed->channels ? make_joint(timed->channels) : NULL;
    check(vrcnn_cuda_default_settings(&settings, sizeof settings), "settings");
    settings.method = method;
    settings.first_shape = first;
    settings.second_shape = second;
    settings.map_size = map_size;
    const int error = vrcnn_cuda_open(&cuda, file ? file->data : NULL, file ? file->size : 0, &settings);
    free(file);
    if (error == VRCNN_CUDA_ERROR_SHAPE)
        return NULL;
    check(error, "open");
    return cuda;
}

typedef struct Times {
    double median, least;
    int count;
} Times;

static Times summary(double *times, int count)
{
    qsort(times, (size_t)count, sizeof *times, by_size);
    const Times t = {count % 2 ? times[count / 2] : (times[count / 2 - 1] + times[count / 2]) / 2, times[0], count};
    return t;
}

/* All of a network, or one of VRCNN's fused kernels. */
typedef enum Part { WHOLE, FIRST_KERNEL, SECOND_KERNEL } Part;

static int planes_of(const Timed *timed)
{
    return timed->channels ? VRCNN_CUDA_PLANES : 1;
}

static int run_part(VrcnnCuda *c, const Timed *timed, Part part, const VrcnnPlane *dst, const VrcnnConstPlane *src, int batch,
                    CUstream stream)
{
    const VrcnnWeights weights = {{VRCNN_SCALE_TRAINED}, {VRCNN_SCALE_TRAINED}};
    const int site = timed->channels ? 2 : 1;
    const VrcnnRegion whole = {0, 0, (src->width + site - 1) / site, (src->height + site - 1) / site};
    const VrcnnGpuNetwork *network = c->network + timed->index;
    const VrcnnGpuWork work = {network, &weights, 1, timed->channels > 0, whole};
    const VrcnnGpuPictures pictures = {batch, planes_of(timed), dst, src};
    if (part == WHOLE)
        return filter_batch(c, &work, &pictures, stream);
    VrcnnCudaLaunch l = describe(&work, &pictures);
    if (part == FIRST_KERNEL)
        return launch_first(c, network, &l, stream);
    l.map = c->map[0];
    l.map_bottom = src->height;
    return launch_second(c, network, &l, stream);
}

/* Milliseconds of a call, by events. */
static Times time_on_device(VrcnnCuda *c, const Timed *timed, Part part, VrcnnPlane (*dst)[PLANES], VrcnnConstPlane (*src)[PLANES],
                            int batch, CUstream stream)
{
    double times[REPEATS], sum = 0;
    CUevent event[2];
    int count = 0;
    for (int i = 0; i < 2; i++)
        driver_check(c->driver.create_event(event + i, CU_EVENT_DEFAULT), "event");
    for (int i = 0; i < 3; i++)
        check(run_part(c, timed, WHOLE, dst[i], src[i], batch, stream), "warm up");
    driver_check(c->driver.synchronize(stream), "warm up");
    while (count < REPEATS && (count < 3 || sum < enough_milliseconds)) {
        float milliseconds;
        /* Something before it, so that the GPU is at work when the first event is reached. */
        check(run_part(c, timed, part, dst[(count + 1) % SETS], src[(count + 1) % SETS], batch, stream), "filter");
        driver_check(c->driver.record(event[0], stream), "record");
        check(run_part(c, timed, part, dst[count % SETS], src[count % SETS], batch, stream), "filter");
        driver_check(c->driver.record(event[1], stream), "record");
        driver_check(c->driver.synchronize_event(event[1]), "filter");
        driver_check(c->driver.elapsed(&milliseconds, event[0], event[1]), "elapsed");
        times[count++] = milliseconds;
        sum += milliseconds;
    }
    for (int i = 0; i < 2; i++)
        driver_check(c->driver.destroy_event(event[i]), "event");
    return summary(times, count);
}

static void print_row(const VrcnnCuda *c, const Timed *timed, const char *kind, const char *part, int width, int height, int bit_depth,
                      int batch, Times t, double peak, size_t map_size)
{
    const double gmacs = (double)timed->macs * width * height * batch / t.median / 1e6;
    const int is_fused = c->network[timed->index].is_fused, has_shapes = is_fused && !timed->channels;
    printf("%s\n  {\"network\": \"%s\", \"kind\": \"%s\", \"method\": \"%s\", \"first\": \"%s\", \"second\": \"%s\", \"part\": \"%s\", "
           "\"map_size\": %zu, ",
           separator, timed->name, kind, is_fused ? "fused" : "simple", has_shapes ? c->first.shape->name : "",
           has_shapes ? c->second.shape->name : "", part, map_size);
    printf("\"width\": %d, \"height\": %d, \"bit_depth\": %d, \"batch\": %d, \"ms\": %.6f, \"ms_minimum\": %.6f, \"repeats\": %d, ", width,
           height, bit_depth, batch, t.median, t.least, t.count);
    printf("\"pictures_per_second\": %.3f, \"gmacs\": %.1f, \"peak_gmacs\": %.1f}", 1000. * batch / t.median, gmacs, peak);
    separator = ",";
}

/* A plane of each picture in the GPU's memory; the photograph is drawn on each of them. */
static void make_planes(VrcnnCuda *c, const Timed *timed, int width, int height, int bit_depth, int turn, VrcnnPlane *dst,
                        VrcnnConstPlane *src, CUstream stream)
{
    const int bytes = bit_depth > 8 ? 2 : 1;
    for (int p = 0; p < planes_of(timed); p++) {
        const int w = p ? (width + 1) / 2 : width, h = p ? (height + 1) / 2 : height;
        const size_t size = (size_t)w * (size_t)h * (size_t)bytes;
        uint8_t *picture = take(size);
        CUdeviceptr memory[2];
        draw(picture, w, h, bit_depth, turn);
        for (int j = 0; j < 2; j++)
            driver_check(c->driver.allocate(memory + j, size), "memory");
        driver_check(c->driver.to_device(memory[0], picture, size, stream), "copy");
        driver_check(c->driver.synchronize(stream), "copy");
        const VrcnnConstPlane from = {vrcnn_driver_pointer(memory[0]), (ptrdiff_t)w * bytes, w, h, bit_depth, bytes};
        const VrcnnPlane to = {vrcnn_driver_pointer(memory[1]), from.stride, w, h, bit_depth, bytes};
        src[p] = from;
        dst[p] = to;
        free(picture);
    }
}

static void time_device(const Timed *timed, VrcnnCudaMethod method, int first, int second, size_t map_size, int width, int height,
                        int bit_depth, int batch, int parts)
{
    static const char *const names[] = {"whole", "first", "second"};
    VrcnnPlane dst[SETS][PLANES];
    VrcnnConstPlane src[SETS][PLANES];
    CUstream stream;
    VrcnnCuda *c = open_cuda(timed, method, first, second, map_size);
    if (!c)
        return;
    const int planes = planes_of(timed);
    check(vrcnn_gpu_enter(c), "enter");
    driver_check(c->driver.create_stream(&stream, CU_STREAM_NON_BLOCKING), "stream");
    for (int s = 0; s < SETS; s++)
        for (int i = 0; i < batch; i++)
            make_planes(c, timed, width, height, bit_depth, s * batch + i, dst[s] + (ptrdiff_t)i * planes, src[s] + (ptrdiff_t)i * planes,
                        stream);
    for (int part = WHOLE; part <= (parts ? SECOND_KERNEL : WHOLE); part++) {
        const double before = vrcnn_cuda_peak(c, peak_milliseconds);
        const Times t = time_on_device(c, timed, (Part)part, dst, src, batch, stream);
        const double after = vrcnn_cuda_peak(c, peak_milliseconds);
        check(before < 0 ? (int)before : after < 0 ? (int)after : 0, "peak");
        print_row(c, timed, "device", names[part], width, height, bit_depth, batch, t, (before + after) / 2, map_size);
    }
    for (int s = 0; s < SETS; s++)
        for (int i = 0; i < batch * planes; i++) {
            driver_check(c->driver.free((CUdeviceptr)(uintptr_t)src[s][i].data), "free");
            driver_check(c->driver.free((CUdeviceptr)(uintptr_t)dst[s][i].data), "free");
        }
    driver_check(c->driver.destroy_stream(stream), "stream");
    check(vrcnn_gpu_leave(c, 0), "leave");
    vrcnn_cuda_close(c);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Pictures from ordinary memory and back, many in a call. */
static void time_host(int width, int height, int bit_depth)
{
    VrcnnPlane dst[STREAM_PICTURES];
    VrcnnConstPlane src[STREAM_PICTURES];
    double times[STREAM_REPEATS];
    VrcnnCuda *c = open_cuda(&vrcnn, VRCNN_CUDA_AUTO, 0, 0, 0);
    const int bytes = bit_depth > 8 ? 2 : 1;
    const size_t size = (size_t)width * (size_t)height * (size_t)bytes;
    uint8_t *memory = calloc(2 * (size_t)stream_pictures, size);
    check(memory ? VRCNN_OK : VRCNN_ERROR_MEMORY, "bench");
    memset(dst, 0, sizeof dst);
    memset(src, 0, sizeof src);
    for (int i = 0; i < stream_pictures; i++) {
        uint8_t *at = memory + 2 * (size_t)i * size;
        draw(at, width, height, bit_depth, i);
        const VrcnnConstPlane from = {at, (ptrdiff_t)(size / (size_t)height), width, height, bit_depth, bytes};
        const VrcnnPlane to = {at + size, from.stride, width, height, bit_depth, bytes};
        src[i] = from;
        dst[i] = to;
    }
    const double before = vrcnn_cuda_peak(c, peak_milliseconds);
    check(vrcnn_cuda_filter_host(c, vrcnn.index, VRCNN_SCALE_TRAINED, dst, src, stream_pictures < 8 ? stream_pictures : 8), "warm up");
    for (int i = 0; i < STREAM_REPEATS; i++) {
        const double start = now();
        check(vrcnn_cuda_filter_host(c, vrcnn.index, VRCNN_SCALE_TRAINED, dst, src, stream_pictures), "filter");
        times[i] = now() - start;
    }
    print_row(c, &vrcnn, "host", "whole", width, height, bit_depth, stream_pictures, summary(times, STREAM_REPEATS), before, 0);
    vrcnn_cuda_close(c);
    free(memory);
}

/* 0 if it is no number of samples. */
static int number(const char *word)
{
    char *end;
    const long value = strtol(word, &end, 10);
    return *end || value < 1 || value > VRCNN_MAX_SIZE ? 0 : (int)value;
}

int main(int argc, char **argv)
{
    static const int all_sizes[][2] = {{416, 240}, {832, 480}, {1920, 1080}, {3840, 2160}, {2560, 1600}}, smoke_sizes[][2] = {{70, 40}};
    const int is_smoke = argc == 5 && !strcmp(argv[4], "smoke");
    const int (*sizes)[2] = is_smoke ? smoke_sizes : all_sizes;
    const size_t count = is_smoke ? 1 : sizeof all_sizes / sizeof all_sizes[0];
    const int width = sizes[count - 1][0], height = sizes[count - 1][1];
    int driver_version = 0;
    if ((argc != 4 && !is_smoke) || (photograph_width = number(argv[2])) < 1 || (photograph_height = number(argv[3])) < 1) {
        fprintf(stderr, "usage: bench_cuda PICTURE WIDTH HEIGHT [smoke]\n");
        return 2;
    }
    const size_t size = (size_t)photograph_width * (size_t)photograph_height;
    photograph = take(size);
    FILE *file = fopen(argv[1], "rb");
    const int is_read = file && fread(photograph, 1, size, file) == size;
    if (file)
        fclose(file);
    if (!is_read) {
        fprintf(stderr, "bench_cuda: cannot read %zu bytes of %s\n", size, argv[1]);
        return 1;
    }
    if (is_smoke) {
        peak_milliseconds = enough_milliseconds = 1e-3;
        stream_pictures = 4;
    }
    VrcnnCuda *c = open_cuda(&vrcnn, VRCNN_CUDA_AUTO, 0, 0, 0);
    c->driver.version(&driver_version);
    printf("{\"device\": \"%s\", \"capability\": %d, \"multiprocessors\": %d, \"driver\": %d, \"compiler\": %d,\n \"first\": \"%s\", "
           "\"first_blocks\": %d, \"second\": \"%s\", \"second_blocks\": %d,\n \"rows\": [",
           c->name, c->capability, c->multiprocessors, driver_version, vrcnn_cuda_compiler(), c->first.shape->name, c->first.blocks,
           c->second.shape->name, c->second.blocks);
    vrcnn_cuda_close(c);
    for (size_t i = 0; i < count; i++)
        time_device(&vrcnn, VRCNN_CUDA_AUTO, 0, 0, 0, sizes[i][0], sizes[i][1], 8, 1, 1);
    time_device(&vrcnn, VRCNN_CUDA_AUTO, 0, 0, 0, sizes[0][0], sizes[0][1], 8, VRCNN_CUDA_BATCH, 0);
    time_device(&vrcnn, VRCNN_CUDA_AUTO, 0, 0, 0, width, height, 10, 1, 0);
    for (int shape = 1; vrcnn_cuda_shape_name(0, shape); shape++)
        time_device(&vrcnn, VRCNN_CUDA_AUTO, shape, 0, 0, width, height, 8, 1, 1);
    for (int shape = 1; vrcnn_cuda_shape_name(1, shape); shape++)
        time_device(&vrcnn, VRCNN_CUDA_AUTO, 0, shape, 0, width, height, 8, 1, 1);
    for (size_t map_size = (size_t)16 << 20; map_size <= (size_t)64 << 20; map_size *= 2)
        time_device(&vrcnn, VRCNN_CUDA_AUTO, 0, 0, map_size, width, height, 8, 1, 0);
    time_device(&vrcnn, VRCNN_CUDA_SIMPLE, 0, 0, 0, width, height, 8, 1, 0);
    for (int is_best = 0; is_best < 2; is_best++) {
        const Timed *joint = is_best ? &best : &fast;
        for (size_t i = 0; i < count; i++)
            time_device(joint, VRCNN_CUDA_AUTO, 0, 0, 0, sizes[i][0], sizes[i][1], 8, 1, 0);
        time_device(joint, VRCNN_CUDA_AUTO, 0, 0, 0, sizes[0][0], sizes[0][1], 8, VRCNN_CUDA_BATCH, 0);
        time_device(joint, VRCNN_CUDA_AUTO, 0, 0, 0, width, height, 10, 1, 0);
        for (size_t map_size = (size_t)4 << 20; map_size <= (size_t)16 << 20; map_size *= 2)
            time_device(joint, VRCNN_CUDA_AUTO, 0, 0, map_size, width, height, 8, 1, 0);
        time_device(joint, VRCNN_CUDA_SIMPLE, 0, 0, 0, width, height, 8, 1, 0);
    }
    for (size_t i = count > 2 ? 2 : 0; i < count; i++)
        time_host(sizes[i][0], sizes[i][1], 8);
    time_host(sizes[count > 2 ? 2 : 0][0], sizes[count > 2 ? 2 : 0][1], 10);
    printf("]}\n");
    free(photograph);
    return 0;
}
