/* test_cuda [--rounds N] [--largest SAMPLES] [SEED]: libvrcnn_cuda against the scalar kernels of the C library, for equality; on a GPU, or
 * on the emulated one (LD_LIBRARY_PATH with the fake libcuda.so.1), where errors of the driver are tested as well.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L

#include "common.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    EMULATED_ROUNDS = 1,
    DEVICE_ROUNDS = 30,
    EMULATED_LARGEST = 40,
    DEVICE_LARGEST = 700,
    HUGE_WIDTH = 8191, /* on a GPU: a map of 1.7 GB in one piece, and in bands */
    HUGE_HEIGHT = 4323,
    BATCH = 10,
    REFERENCE_THREADS = 16
};

static void put_any_network(File *file)
{
    const int layers = between(2, 5);
    int inputs = 1;
    put(file, 20, 1);
    put(file, 0, 1);
    put(file, (uint64_t)layers, 1);
    put(file, 0, 1);
    for (int l = 0; l < layers; l++) {
        const int is_last = l == layers - 1, branches = is_last ? 1 : between(1, 4);
        int outputs = 0;
        put(file, (uint64_t)branches, 1);
        for (int b = 0; b < branches; b++) {
            const int channels = is_last ? 1 : 16 * between(1, 2);
            put_branch(file, inputs, channels, 1 + 2 * between(0, 2), is_last, 0);
            outputs += channels;
        }
        inputs = outputs;
    }
}

typedef struct Set {
    int count, width, height, bit_depth;
    Memory src_memory[BATCH], dst_memory[BATCH], wanted_memory[BATCH];
    VrcnnPlane src[BATCH], dst[BATCH], wanted[BATCH];
    VrcnnConstPlane from[BATCH];
} Set;

static Set make_set(VrcnnContext *reference, int index, int scale, int count, int width, int height, int bit_depth)
{
    const int src_bytes = bit_depth > 8 ? 2 : between(1, 2), dst_bytes = bit_depth > 8 ? 2 : between(1, 2);
    Set s;
    memset(&s, 0, sizeof s);
    s.count = count;
    s.width = width;
    s.height = height;
    s.bit_depth = bit_depth;
    for (int i = 0; i < count; i++) {
        s.src_memory[i] = make_memory(s.src + i, width, height, bit_depth, src_bytes);
        s.dst_memory[i] = make_memory(s.dst + i, width, height, bit_depth, dst_bytes);
        s.wanted_memory[i] = s.dst_memory[i];
        s.wanted_memory[i].block = take(s.dst_memory[i].size);
        memset(s.wanted_memory[i].block, GUARD, s.dst_memory[i].size);
        s.wanted[i] = s.dst[i];
        s.wanted[i].data = s.wanted_memory[i].block + s.dst_memory[i].offset;
        fill(s.src + i);
        s.from[i] = constant(s.src + i);
        expect(vrcnn_filter_picture(reference, index, scale, s.wanted + i, s.from + i), VRCNN_OK);
    }
    return s;
}

static void free_set(Set *s)
{
    for (int i = 0; i < s->count; i++) {
        free(s->src_memory[i].block);
        free(s->dst_memory[i].block);
        free(s->wanted_memory[i].block);
    }
}

/* Every byte, also those between rows; then the results are wiped. */
static void compare(Set *s)
{
    for (int i = 0; i < s->count; i++) {
        const uint8_t *got = s->dst_memory[i].block, *wanted = s->wanted_memory[i].block;
        for (size_t at = 0; at < s->dst_memory[i].size; at++)
            if (got[at] != wanted[at]) {
                char text[160];
                const size_t stride = (size_t)(s->dst[i].stride < 0 ? -s->dst[i].stride : s->dst[i].stride);
                const size_t first =
                    s->dst[i].stride < 0 ? s->dst_memory[i].offset - stride * (size_t)(s->height - 1) : s->dst_memory[i].offset;
                snprintf(text, sizeof text, "picture %d of %d, memory row %td, byte %td: got %d, expected %d", i, s->count,
                         ((ptrdiff_t)at - (ptrdiff_t)first) / (ptrdiff_t)stride, ((ptrdiff_t)at - (ptrdiff_t)first) % (ptrdiff_t)stride,
                         got[at], wanted[at]);
                fail(text);
            }
        memset(s->dst_memory[i].block, GUARD, s->dst_memory[i].size);
        pictures++;
        samples += (unsigned)(s->width * s->height);
    }
}

/* A set's pictures in the GPU's memory. */
typedef struct OnDevice {
    CUdeviceptr memory[BATCH][2];
    VrcnnPlane dst[BATCH];
    VrcnnConstPlane src[BATCH];
} OnDevice;

static OnDevice put_on_device(const Set *s)
{
    OnDevice d;
    memset(&d, 0, sizeof d);
    for (int i = 0; i < s->count; i++) {
        driver_check(driver.allocate(d.memory[i], s->src_memory[i].size));
        driver_check(driver.allocate(d.memory[i] + 1, s->dst_memory[i].size));
        driver_check(driver.to_device(d.memory[i][0], s->src_memory[i].block, s->src_memory[i].size, NULL));
        driver_check(driver.to_device(d.memory[i][1], s->dst_memory[i].block, s->dst_memory[i].size, NULL));
        d.src[i] = s->from[i];
        d.src[i].data = vrcnn_driver_pointer(d.memory[i][0] + s->src_memory[i].offset);
        d.dst[i] = s->dst[i];
        d.dst[i].data = vrcnn_driver_pointer(d.memory[i][1] + s->dst_memory[i].offset);
    }
    driver_check(driver.synchronize(NULL));
    return d;
}

/* What has been filtered in a stream; then the memory goes back. */
static void get_from_device(Set *s, const OnDevice *d, int first, int end, CUstream stream)
{
    for (int i = first; i < end; i++)
        driver_check(driver.to_host(s->dst_memory[i].block, d->memory[i][1], s->dst_memory[i].size, stream));
    driver_check(driver.synchronize(stream));
    for (int i = first; i < end; i++) {
        driver_check(driver.free(d->memory[i][0]));
        driver_check(driver.free(d->memory[i][1]));
    }
}

/* The pictures in the GPU's memory, each call in one of two streams. */
static void filter_on_device(VrcnnCuda *cuda, int index, int scale, Set *s)
{
    CUstream stream[2];
    if (s->count < 0 || s->count > BATCH)
        abort();
    const int half = s->count / 2;
    open_streams(stream, 2);
    const OnDevice d = put_on_device(s);
    expect(vrcnn_cuda_filter(cuda, index, scale, d.dst, d.src, half, stream[0]), VRCNN_OK);
    expect(vrcnn_cuda_filter(cuda, index, scale, d.dst + half, d.src + half, s->count - half, stream[1]), VRCNN_OK);
    get_from_device(s, &d, 0, half, stream[0]);
    get_from_device(s, &d, half, s->count, stream[1]);
    close_streams(stream, 2);
}

/* ---- equality ---- */

typedef struct Contexts {
    VrcnnContext *reference;
    VrcnnCuda *cuda[16];
    char name[16][80];
    int count;
} Contexts;

static void add_context(Contexts *c, const File *file, VrcnnCudaMethod method, int first, int second, size_t map_size)
{
    VrcnnCuda *cuda = open_cuda(file, method, first, second, map_size);
    if (!cuda)
        return;
    const char *names[2] = {vrcnn_cuda_shape_name(0, first), vrcnn_cuda_shape_name(1, second)};
    snprintf(c->name[c->count], sizeof c->name[0], "%s %s %s, maps of %zu bytes", method == VRCNN_CUDA_SIMPLE ? "simple" : "any method",
             names[0] ? names[0] : "", names[1] ? names[1] : "", map_size);
    c->cuda[c->count++] = cuda;
}

/* The simple kernels, every shape of the fused ones, and bands of few rows. */
static Contexts open_contexts(const File *file)
{
    Contexts c = {NULL, {NULL}, {{0}}, 0};
    VrcnnModel *model;
    if (file)
        expect(vrcnn_model_load(&model, file->data, file->size, NULL), VRCNN_OK);
    else
        expect(vrcnn_model_builtin(&model, VRCNN_BEFORE_DEBLOCKING), VRCNN_OK);
    VrcnnSettings settings;
    vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = VRCNN_KERNEL_SCALAR;
    settings.threads = is_emulated ? 1 : REFERENCE_THREADS;
    expect(vrcnn_open(&c.reference, model, &settings), VRCNN_OK);
    vrcnn_model_free(model);
    add_context(&c, file, VRCNN_CUDA_SIMPLE, 0, 0, 0);
    add_context(&c, file, VRCNN_CUDA_AUTO, 0, 0, 0);
    for (int shape = 1; vrcnn_cuda_shape_name(0, shape) || vrcnn_cuda_shape_name(1, shape); shape++)
        add_context(&c, file, VRCNN_CUDA_AUTO, vrcnn_cuda_shape_name(0, shape) ? shape : 0, vrcnn_cuda_shape_name(1, shape) ? shape : 0, 0);
    add_context(&c, file, VRCNN_CUDA_AUTO, 0, 0, (size_t)between(1, 200000));
    add_context(&c, file, VRCNN_CUDA_SIMPLE, 0, 0, (size_t)between(1, 200000));
    return c;
}

static void close_contexts(Contexts *c)
{
    vrcnn_close(c->reference);
    for (int i = 0; i < c->count; i++)
        vrcnn_cuda_close(c->cuda[i]);
}

/* One set of pictures through contexts first .. end - 1. */
static void check_set(Contexts *c, int first, int end, int index, int count, int width, int height)
{
    const int bit_depth = between(8, 10), scale = between(0, 1) ? VRCNN_SCALE_TRAINED : between(1, 10);
    Set s = make_set(c->reference, index, scale, count, width, height, bit_depth);
    for (int i = first; i < end && i < c->count; i++) {
        snprintf(doing, sizeof doing, "%s, network %d, %d pictures of %dx%d, %d bit, bytes %d to %d, scale %d", c->name[i], index, count,
                 width, height, bit_depth, s.src->bytes_per_sample, s.dst->bytes_per_sample, scale);
        expect(vrcnn_cuda_filter_host(c->cuda[i], index, scale, s.dst, s.from, count), VRCNN_OK);
        compare(&s);
        filter_on_device(c->cuda[i], index, scale, &s);
        compare(&s);
    }
    free_set(&s);
}

static void check_networks(const File *file, int networks)
{
    Contexts c = open_contexts(file);
    for (int index = 0; index < networks; index++) {
        check_set(&c, 0, c.count, index, 1, between(1, largest), between(1, largest));
        const int one = between(0, c.count - 1);
        check_set(&c, one, one + 1, index, 1, between(1, 9), between(1, largest));
        check_set(&c, one, one + 1, index, between(2, BATCH), between(1, largest / 3), between(1, largest / 3));
    }
    close_contexts(&c);
}

/* ---- several contexts ---- */

enum { CONTEXTS = 3, TURNS = 3, AT_ONCE = 2 };

typedef struct Lane {
    pthread_t thread;
    VrcnnCuda *cuda;
    Set set[TURNS];
    int index, error;
} Lane;

static void *filter_lane(void *argument)
{
    Lane *lane = argument;
    for (int turn = 0; turn < TURNS && !lane->error; turn++) {
        const Set *s = lane->set + turn;
        lane->error = vrcnn_cuda_filter_host(lane->cuda, lane->index, VRCNN_SCALE_TRAINED, s->dst, s->from, s->count);
    }
    return NULL;
}

/* Contexts that work at once: first in streams that nobody waits for until all is said, then each in a thread of its own. */
static void check_at_once(void)
{
    Contexts c = open_contexts(NULL);
    Lane lane[CONTEXTS];
    OnDevice on[CONTEXTS][TURNS];
    CUstream stream[CONTEXTS];
    memset(lane, 0, sizeof lane);
    open_streams(stream, CONTEXTS);
    for (int i = 0; i < CONTEXTS; i++) {
        lane[i].cuda = c.cuda[i == 0 ? 1 : c.count - i]; /* fused, and those with bands */
        lane[i].index = i;
        for (int turn = 0; turn < TURNS; turn++) {
            lane[i].set[turn] = make_set(c.reference, i, VRCNN_SCALE_TRAINED, AT_ONCE, between(1, largest), between(1, largest), 8 + turn);
            on[i][turn] = put_on_device(lane[i].set + turn);
        }
    }
    snprintf(doing, sizeof doing, "%d contexts in %d streams", CONTEXTS, CONTEXTS);
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < CONTEXTS; i++)
            expect(vrcnn_cuda_filter(lane[i].cuda, i, VRCNN_SCALE_TRAINED, on[i][turn].dst, on[i][turn].src, AT_ONCE,
                                     stream[(i + turn) % CONTEXTS]),
                   VRCNN_OK);
    for (int i = 0; i < CONTEXTS; i++)
        for (int turn = 0; turn < TURNS; turn++) {
            get_from_device(lane[i].set + turn, &on[i][turn], 0, AT_ONCE, stream[(i + turn) % CONTEXTS]);
            compare(lane[i].set + turn);
        }
    close_streams(stream, CONTEXTS);
    snprintf(doing, sizeof doing, "%d contexts in %d threads", CONTEXTS, CONTEXTS);
    for (int i = 0; i < CONTEXTS; i++)
        check(!pthread_create(&lane[i].thread, NULL, filter_lane, lane + i), "no thread");
    for (int i = 0; i < CONTEXTS; i++) {
        check(!pthread_join(lane[i].thread, NULL), "a thread is lost");
        expect(lane[i].error, VRCNN_OK);
        for (int turn = 0; turn < TURNS; turn++) {
            compare(lane[i].set + turn);
            free_set(lane[i].set + turn);
        }
    }
    close_contexts(&c);
}

static void check_huge(void)
{
    Contexts c = open_contexts(NULL);
    check_set(&c, 0, 2, 2, 1, HUGE_WIDTH, HUGE_HEIGHT);
    VrcnnCuda *const whole = open_cuda(NULL, VRCNN_CUDA_AUTO, 0, 0, (size_t)4 << 30);
    vrcnn_cuda_close(c.cuda[1]);
    c.cuda[1] = whole;
    check_set(&c, 1, 2, 1, 1, HUGE_WIDTH, HUGE_HEIGHT);
    close_contexts(&c);
}

/* ---- errors ---- */

static void check_arguments(void)
{
    VrcnnCudaSettings settings;
    VrcnnCuda *cuda;
    uint8_t memory[2][16 * 16];
    VrcnnPlane dst = {memory[0], 16, 16, 16, 8, 1};
    VrcnnConstPlane src = {memory[1], 16, 16, 16, 8, 1};
    snprintf(doing, sizeof doing, "arguments");
    expect(vrcnn_cuda_default_settings(NULL, sizeof settings), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_default_settings(&settings, sizeof settings - 1), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_open(NULL, NULL, 0, NULL), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_open(&cuda, NULL, 1, NULL), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_open(&cuda, "VRCNNINT", 8, NULL), VRCNN_ERROR_TRUNCATED);
    check(cuda == NULL, "a handle after an error");
    vrcnn_cuda_default_settings(&settings, sizeof settings);
    settings.device = 1000;
    expect(vrcnn_cuda_open(&cuda, NULL, 0, &settings), VRCNN_CUDA_ERROR_DEVICE_NUMBER);
    settings.device = -1;
    expect(vrcnn_cuda_open(&cuda, NULL, 0, &settings), VRCNN_CUDA_ERROR_DEVICE_NUMBER);
    settings.device = 0;
    settings.method = (VrcnnCudaMethod)3; /* NOLINT(clang-analyzer-optin.core.EnumCastOutOfRange) */
    expect(vrcnn_cuda_open(&cuda, NULL, 0, &settings), VRCNN_CUDA_ERROR_METHOD);
    settings.method = VRCNN_CUDA_AUTO;
    settings.first_shape = 100;
    expect(vrcnn_cuda_open(&cuda, NULL, 0, &settings), VRCNN_CUDA_ERROR_SHAPE);
    settings.size--;
    expect(vrcnn_cuda_open(&cuda, NULL, 0, &settings), VRCNN_ERROR_ARGUMENT);
    File file = begin_file(1, 1);
    put_any_network(&file);
    end_file(&file);
    vrcnn_cuda_default_settings(&settings, sizeof settings);
    settings.method = VRCNN_CUDA_FUSED;
    expect(vrcnn_cuda_open(&cuda, file.data, file.size, &settings), VRCNN_CUDA_ERROR_METHOD);
    free(file.data);

    check(vrcnn_cuda_devices() >= 1, "no device, and yet the test runs");
    check(vrcnn_cuda_shape_name(0, 0) == NULL && vrcnn_cuda_shape_name(2, 1) == NULL, "a name for a shape that is none");
    expect(vrcnn_cuda_open(&cuda, NULL, 0, NULL), VRCNN_OK);
    expect(vrcnn_cuda_method(cuda, 0), VRCNN_CUDA_FUSED);
    expect(vrcnn_cuda_method(cuda, 99), VRCNN_ERROR_INDEX);
    check(vrcnn_cuda_memory(cuda) > 0 && vrcnn_cuda_capability(cuda) >= 80, "memory or capability");
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 0), VRCNN_OK);
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, -1), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_filter_host(NULL, 0, 8, &dst, &src, 1), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, NULL, &src, 1), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_filter_host(cuda, 30, 8, &dst, &src, 1), VRCNN_ERROR_INDEX);
    expect(vrcnn_cuda_filter(cuda, -1, 8, &dst, &src, 1, NULL), VRCNN_ERROR_INDEX);
    expect(vrcnn_cuda_filter_host(cuda, 0, 0, &dst, &src, 1), VRCNN_ERROR_SCALE);
    expect(vrcnn_cuda_filter_host(cuda, 0, 11, &dst, &src, 1), VRCNN_ERROR_SCALE);
    src.bit_depth = 11;
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_ERROR_BIT_DEPTH);
    src.bit_depth = 9;
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_ERROR_PLANE);
    src.bit_depth = 8;
    src.width = 15;
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_ERROR_PLANE);
    src.width = 16;
    src.stride = 15;
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_ERROR_PLANE);
    src.stride = 16;
    src.data = memory[0] + 255;
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_ERROR_OVERLAP);
    src.data = NULL;
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_ERROR_ARGUMENT);
    const VrcnnPlane twice[2] = {dst, dst};
    src.data = memory[1];
    const VrcnnConstPlane both[2] = {src, src};
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, twice, both, 2), VRCNN_ERROR_OVERLAP);
    check(vrcnn_cuda_peak(cuda, 0) == VRCNN_ERROR_ARGUMENT, "a peak in no time");
    check(vrcnn_cuda_peak(cuda, is_emulated ? 1e-3 : 1) > 0, "no peak");
    vrcnn_cuda_close(cuda);
    vrcnn_cuda_close(NULL);
    check(vrcnn_cuda_memory(NULL) == 0 && vrcnn_cuda_device_name(NULL) == NULL, "NULL");
    expect(vrcnn_cuda_method(NULL, 0), VRCNN_ERROR_ARGUMENT);
    expect(vrcnn_cuda_capability(NULL), VRCNN_ERROR_ARGUMENT);
}

static void emulate(const char *what)
{
    setenv("EMULATED_CUDA", what, 1);
    snprintf(doing, sizeof doing, "emulated driver: %s", what);
}

/* What only the emulated driver can show. */
static void check_driver_errors(void)
{
    static const struct {
        const char *what;
        int error;
    } at_open[] = {{"no_device", VRCNN_CUDA_ERROR_NO_DEVICE},
                   {"old_driver", VRCNN_CUDA_ERROR_OLD_DRIVER},
                   {"old_gpu", VRCNN_CUDA_ERROR_DEVICE_KIND},
                   {"memory", VRCNN_CUDA_ERROR_MEMORY}};
    VrcnnCuda *cuda;
    uint8_t memory[2][16 * 16] = {{0}};
    const VrcnnPlane dst = {memory[0], 16, 16, 16, 8, 1};
    const VrcnnConstPlane src = {memory[1], 16, 16, 16, 8, 1};
    for (size_t i = 0; i < sizeof at_open / sizeof at_open[0]; i++) {
        emulate(at_open[i].what);
        expect(vrcnn_cuda_open(&cuda, NULL, 0, NULL), at_open[i].error);
        check(cuda == NULL, "a handle after an error");
    }
    emulate("");
    expect(vrcnn_cuda_open(&cuda, NULL, 0, NULL), VRCNN_OK);
    emulate("memory");
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_CUDA_ERROR_MEMORY);
    emulate("lost");
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_CUDA_ERROR_DEVICE_FAILED);
    emulate("");
    expect(vrcnn_cuda_filter_host(cuda, 0, 8, &dst, &src, 1), VRCNN_OK);
    vrcnn_cuda_close(cuda);
}

static int usage(void)
{
    fprintf(stderr, "usage: test_cuda [--rounds N] [--largest SAMPLES] [SEED]\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t number = (uint64_t)time(NULL);
    int rounds = 0;
    VrcnnCuda *cuda;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char *end;
        const int is_option = argv[i][0] == '-';
        if (is_option && i + 1 == argc)
            return usage();
        const long long value = strtoll(argv[i + is_option], &end, 10);
        if (*end || value < is_option || (is_option && value > 16384))
            return usage();
        if (!is_option)
            number = (uint64_t)value;
        else if (!strcmp(argv[i], "--rounds"))
            rounds = (int)value;
        else if (!strcmp(argv[i], "--largest"))
            largest = (int)value;
        else
            return usage();
        i += is_option;
    }
    seed(number);
    const int error = vrcnn_cuda_open(&cuda, NULL, 0, NULL);
    if (error == VRCNN_CUDA_ERROR_NO_DRIVER || error == VRCNN_CUDA_ERROR_NO_DEVICE) {
        fprintf(stderr, "test_cuda: %s\n", vrcnn_cuda_strerror(error));
        return 77; /* skipped, for those who know */
    }
    snprintf(doing, sizeof doing, "opening the built-in set");
    expect(error, VRCNN_OK);
    is_emulated = !strcmp(vrcnn_cuda_device_name(cuda), "emulated GPU");
    printf("test_cuda: %s, compute capability %d, seed %" PRIu64 "\n", vrcnn_cuda_device_name(cuda), vrcnn_cuda_capability(cuda), number);
    vrcnn_cuda_close(cuda);
    rounds = rounds ? rounds : is_emulated ? EMULATED_ROUNDS : DEVICE_ROUNDS;
    largest = largest ? largest : is_emulated ? EMULATED_LARGEST : DEVICE_LARGEST;
    CUdevice device;
    expect(vrcnn_driver_open(&driver), VRCNN_OK);
    driver_check(driver.device(&device, 0));
    driver_check(driver.retain(&device_context, device));
    for (int round = 0; round < rounds; round++) {
        File file = begin_file(1, 3);
        put_vrcnn(&file, 0);
        put_vrcnn(&file, 1);
        put_any_network(&file);
        end_file(&file);
        check_networks(&file, 3);
        check_networks(NULL, 4);
        check_at_once();
        free(file.data);
        check_planes();
    }
    if (!is_emulated && largest >= DEVICE_LARGEST)
        check_huge();
    driver_check(driver.release(device));
    check_arguments();
    check_plane_arguments();
    if (is_emulated)
        check_driver_errors();
    vrcnn_driver_close(&driver);
    printf("test_cuda: %llu pictures, %llu samples, all equal\n", pictures, samples);
    return 0;
}
