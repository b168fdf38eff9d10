/* vrcnn_filter: filters the luma of a planar yuv file. See usage() below.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vrcnn/vrcnn.h"

static const char usage_text[] =
    "usage: vrcnn_filter --size WIDTHxHEIGHT (--qp QP | --index N) [options] INPUT.yuv OUTPUT.yuv\n"
    "Filters the luma of every picture; chroma is passed through. Samples of more than 8 bits are 16-bit little-endian.\n"
    "  --size WxH      luma samples of a picture, as coded (before cropping)\n"
    "  --qp QP         use the network for this QP (-12..51)\n"
    "  --index N       use network N of the model set instead\n"
    "  --position P    with --qp: before_deblocking (default) or after_sao\n"
    "  --bit-depth B   8 (default), 9 or 10\n"
    "  --format F      chroma format: 420 (default), 400, 422, 444\n"
    "  --scale C       output scale 1..10 (default 8: as trained)\n"
    "  --layer L       write the outputs of hidden layer L, from 0, instead: a byte each, channel after channel\n"
    "  --model FILE    a model set instead of the one built in\n"
    "  --kernel K      auto (default), or one that --kernels lists; all give the same bits\n"
    "  --threads T     threads that work on a picture, 1 (default) to 64\n"
    "  --kernels       list the kernels that this build and this machine have, and which of them auto takes\n"
    "  --help          this text\n";

typedef struct Options {
    const char *input, *output, *model, *kernel, *position;
    int width, height, bit_depth, format, scale, threads, qp, index, layer, has_qp, has_index;
} Options;

/* Removed when the program ends before the output is complete, by a signal too: never freed, since a signal may come at any time. */
static char *unfinished;

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING_SIGNALS = sizeof ending_signals / sizeof *ending_signals };

static void remove_unfinished(int signal_number)
{
    unlink(unfinished);
    _exit(128 + signal_number);
}

#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 1, 2)))
#endif
static void fail(const char *format, ...)
{
    va_list arguments;
    fputs("vrcnn_filter: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    if (unfinished)
        unlink(unfinished);
    exit(1);
}

static void *allocate(size_t size)
{
    void *p = malloc(size);
    if (!p)
        fail("out of memory");
    return p;
}

static int number(const char *option, const char *text, int low, int high)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < low || value > high)
        fail("%s %s: must be a whole number from %d to %d", option, text, low, high);
    return (int)value;
}

static void parse_size(const char *text, Options *o)
{
    char *x, *end;
    const long width = strtol(text, &x, 10), height = *x == 'x' ? strtol(x + 1, &end, 10) : 0;
    if (width < 1 || height < 1 || width > VRCNN_MAX_SIZE || height > VRCNN_MAX_SIZE || *end)
        fail("--size %s: must be WIDTHxHEIGHT, each from 1 to %d", text, VRCNN_MAX_SIZE);
    o->width = (int)width;
    o->height = (int)height;
}

static void list_kernels(void);

static Options parse(int argc, char **argv)
{
    Options o = {NULL, NULL, NULL, "auto", "before_deblocking", 0, 0, 8, 420, VRCNN_SCALE_TRAINED, 1, 0, 0, -1, 0, 0};
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (!strcmp(option, "--help")) {
            fputs(usage_text, stdout);
            exit(0);
        }
        if (!strcmp(option, "--kernels")) {
            list_kernels();
            exit(0);
        }
        if (strncmp(option, "--", 2) != 0) {
            if (o.output)
                fail("%s: one input and one output are enough (--help shows how)", option);
            *(o.input ? &o.output : &o.input) = option;
            continue;
        }
        const char *value = i + 1 < argc ? argv[++i] : NULL;
        if (!value)
            fail("%s: a value is missing, or there is no such option (--help lists them)", option);
        if (!strcmp(option, "--size"))
            parse_size(value, &o);
        else if (!strcmp(option, "--qp"))
            o.qp = number(option, value, -12, 51), o.has_qp = 1;
        else if (!strcmp(option, "--index"))
            o.index = number(option, value, 0, VRCNN_MAX_NETWORKS - 1), o.has_index = 1;
        else if (!strcmp(option, "--position"))
            o.position = value;
        else if (!strcmp(option, "--bit-depth"))
            o.bit_depth = number(option, value, 8, 10);
        else if (!strcmp(option, "--format"))
            o.format = number(option, value, 400, 444);
        else if (!strcmp(option, "--scale"))
            o.scale = number(option, value, 1, 10);
        else if (!strcmp(option, "--layer"))
            o.layer = number(option, value, 0, VRCNN_MAX_LAYERS - 2);
        else if (!strcmp(option, "--model"))
            o.model = value;
        else if (!strcmp(option, "--kernel"))
            o.kernel = value;
        else if (!strcmp(option, "--threads"))
            o.threads = number(option, value, 1, VRCNN_MAX_THREADS);
        else
            fail("%s: there is no such option (--help lists them)", option);
    }
    if (!o.output)
        fail("an input and an output file are needed (--help shows how)");
    if (!o.width)
        fail("--size WIDTHxHEIGHT is needed");
    if (o.has_qp == o.has_index)
        fail("give --qp or --index, one of the two");
    if (o.format != 400 && o.format != 420 && o.format != 422 && o.format != 444)
        fail("--format %d: must be 400, 420, 422 or 444", o.format);
    if ((o.format == 420 || o.format == 422) && o.width % 2)
        fail("--size %dx%d: format %d needs an even width", o.width, o.height, o.format);
    if (o.format == 420 && o.height % 2)
        fail("--size %dx%d: format %d needs an even height", o.width, o.height, o.format);
    return o;
}

/* An open regular file and its size. */
static FILE *open_input(const char *path, unsigned long long *size)
{
    struct stat status;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &status))
        fail("%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        fail("%s: not a regular file", path);
    *size = (unsigned long long)status.st_size;
    return file;
}

static VrcnnModel *load_model(const char *path)
{
    VrcnnModel *model;
    VrcnnFault fault;
    VrcnnError error;
    if (!path) {
        if ((error = vrcnn_model_builtin(&model, VRCNN_BEFORE_DEBLOCKING)))
            fail("built-in model set: %s", vrcnn_strerror(error));
        return model;
    }
    unsigned long long size;
    FILE *file = open_input(path, &size);
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
    if (!context)
        fail("--kernel %s, --threads %d: %s", word, threads, vrcnn_strerror(error));
    return context;
}

static void list_kernels(void)
{
    VrcnnModel *model = load_model(NULL);
    for (int kernel = 0; vrcnn_kernel_name(kernel); kernel++) {
        VrcnnError error;
        VrcnnContext *context = try_context(model, kernel, 1, &error);
        const char *is = kernel == VRCNN_KERNEL_AUTO && context ? vrcnn_kernel_name(vrcnn_context_kernel(context)) : "available";
        printf("%-12s%s\n", vrcnn_kernel_name(kernel), context ? is : vrcnn_strerror(error));
        vrcnn_close(context);
    }
    vrcnn_model_free(model);
}

static int choose_network(const Options *o, const VrcnnModel *model)
{
    const char *set = o->model ? o->model : "built-in model set";
    if (o->has_index) {
        if (o->index >= vrcnn_model_networks(model))
            fail("--index %d: %s has networks 0 to %d", o->index, set, vrcnn_model_networks(model) - 1);
        return o->index;
    }
    const int after = !strcmp(o->position, "after_sao");
    if (!after && strcmp(o->position, "before_deblocking") != 0)
        fail("--position %s: must be before_deblocking or after_sao", o->position);
    const int index = vrcnn_model_index_for_qp(model, after ? VRCNN_AFTER_SAO : VRCNN_BEFORE_DEBLOCKING, o->qp);
    if (index < 0)
        fail("%s: %s", set, vrcnn_strerror(index));
    return index;
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

static void check_range(const Options *o, const uint8_t *luma, size_t samples, unsigned long long picture)
{
    const int max = (1 << o->bit_depth) - 1;
    for (size_t i = 0; i < samples; i++) {
        uint16_t sample;
        memcpy(&sample, luma + 2 * i, sizeof sample);
        if (sample > max)
            fail("%s: picture %llu: luma sample %zu,%zu is %d, above %d: is --bit-depth %d right?", o->input, picture, i % (size_t)o->width,
                 i / (size_t)o->width, sample, max, o->bit_depth);
    }
}

/* A file of a temporary name beside the output. */
static FILE *create_unfinished(const char *output)
{
    struct stat status;
    if (!stat(output, &status) && !S_ISREG(status.st_mode))
        fail("%s: exists and is not a regular file", output);
    const size_t size = strlen(output) + 32;
    char *path = allocate(size);
    snprintf(path, size, "%s.%ld.tmp", output, (long)getpid());
    sigset_t ending, before;
    sigemptyset(&ending);
    for (int i = 0; i < ENDING_SIGNALS; i++)
        sigaddset(&ending, ending_signals[i]);
    sigprocmask(SIG_BLOCK, &ending, &before); /* until it is known what to remove */
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (descriptor < 0)
        fail("%s: %s", path, strerror(errno));
    unfinished = path;
    signal(SIGXFSZ, SIG_IGN); /* a file limit is then an error of the write */
    for (int i = 0; i < ENDING_SIGNALS; i++)
        if (signal(ending_signals[i], remove_unfinished) == SIG_IGN)
            signal(ending_signals[i], SIG_IGN); /* as whoever started the program wants it: nohup */
    sigprocmask(SIG_SETMASK, &before, NULL);
    FILE *file = fdopen(descriptor, "wb");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    return file;
}

/* Writes the outputs of the hidden layer o->layer, channel after channel. */
static void write_layer(FILE *out, const Options *o, VrcnnContext *context, const VrcnnModel *model, int index, const VrcnnConstPlane *src)
{
    VrcnnNetworkInfo info;
    vrcnn_model_network_info(model, index, &info);
    if (o->layer > info.layers - 2)
        fail("--layer %d: network %d has hidden layers 0 to %d", o->layer, index, info.layers - 2);
    const size_t channels = (size_t)info.channels[o->layer], samples = (size_t)o->width * (size_t)o->height;
    if (samples > SIZE_MAX / channels)
        fail("out of memory");
    uint8_t *values = allocate(samples * channels), *plane = allocate(samples);
    const ptrdiff_t stride = (ptrdiff_t)(channels * (size_t)o->width);
    const VrcnnError error = vrcnn_filter_layer(context, index, o->layer, values, stride, src, 0, 0, o->width, o->height);
    if (error)
        fail("%s: %s", o->input, vrcnn_strerror(error));
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < samples; i++)
            plane[i] = values[i * channels + c];
        if (fwrite(plane, 1, samples, out) != samples)
            fail("%s: %s", o->output, strerror(errno));
    }
    free(values);
    free(plane);
}

int main(int argc, char **argv)
{
    const Options o = parse(argc, argv);
    const size_t bytes = o.bit_depth > 8 ? 2 : 1, samples = (size_t)o.width * (size_t)o.height;
    const size_t luma_size = samples * bytes;
    const size_t chroma_size = o.format == 400 ? 0 : o.format == 420 ? luma_size / 2 : o.format == 422 ? luma_size : 2 * luma_size;
    const size_t picture_size = luma_size + chroma_size;

    unsigned long long size;
    FILE *in = open_input(o.input, &size);
    if (!size || size % picture_size)
        fail("%s: %llu bytes are not a whole number of pictures of %zu bytes (%dx%d, format %d, %d bits)", o.input, size, picture_size,
             o.width, o.height, o.format, o.bit_depth);
    VrcnnModel *model = load_model(o.model);
    const int index = choose_network(&o, model);
    VrcnnContext *context = open_context(model, o.kernel, o.threads);
    uint8_t *picture = allocate(picture_size), *filtered = allocate(luma_size);
    const VrcnnConstPlane src = {picture, (ptrdiff_t)((size_t)o.width * bytes), o.width, o.height, o.bit_depth, (int)bytes};
    const VrcnnPlane dst = {filtered, src.stride, o.width, o.height, o.bit_depth, (int)bytes};

    FILE *out = create_unfinished(o.output);
    for (unsigned long long i = 0; i < size / picture_size; i++) {
        if (fread(picture, 1, picture_size, in) != picture_size)
            fail("%s: picture %llu cannot be read", o.input, i);
        if (bytes == 2) {
            swap_if_big_endian(picture, luma_size);
            check_range(&o, picture, samples, i);
        }
        if (o.layer >= 0) {
            write_layer(out, &o, context, model, index, &src);
            continue;
        }
        const VrcnnError error = vrcnn_filter_picture(context, index, o.scale, &dst, &src);
        if (error)
            fail("%s: picture %llu: %s", o.input, i, vrcnn_strerror(error));
        if (bytes == 2)
            swap_if_big_endian(filtered, luma_size);
        if (fwrite(filtered, 1, luma_size, out) != luma_size || fwrite(picture + luma_size, 1, chroma_size, out) != chroma_size)
            fail("%s: %s", o.output, strerror(errno));
    }
    if (fclose(out) || rename(unfinished, o.output))
        fail("%s: %s", o.output, strerror(errno));
    fclose(in);
    free(picture);
    free(filtered);
    vrcnn_close(context);
    vrcnn_model_free(model);
    return 0;
}
