/* The command line.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

static const char usage_text[] =
    "usage: vrcnn_filter --size WIDTHxHEIGHT (--qp QP | --index N) [options] INPUT.yuv OUTPUT.yuv\n"
    "       vrcnn_filter --y4m (--qp QP | --index N) [options] INPUT.y4m OUTPUT.y4m\n"
    "Filters every picture: luma, with a joint network also 4:2:0 chroma; other chroma is passed through. Samples of more than 8 bits\n"
    "are 16-bit little-endian. INPUT and OUTPUT are files, pipes, or - for standard input and output.\n"
    "  --y4m           input and output are Y4M, which says size, format and bit depth; all that its header says is kept\n"
    "  --size WxH      luma samples of a picture, as coded (before cropping)\n"
    "  --qp QP         use the network for this QP (-12..51)\n"
    "  --index N       use network N of the model set instead\n"
    "  --kind K        with --qp: luma or joint; default: what the set has, luma if it has both\n"
    "  --network-size S  with --qp: best (default) or fast\n"
    "  --position P    with --qp: before_deblocking (default) or after_sao\n"
    "  --bit-depth B   8 (default), 9 or 10; with joint networks also 12\n"
    "  --chroma-depth B  of the chroma planes, if it is another one: 8 to 10 (12 if luma has 12) are filtered, up to 16 passed through\n"
    "  --format F      chroma format: 420 (default), 400, 422, 444\n"
    "  --scale C       output scale 1..10 (default 8: as trained)\n"
    "  --weights L/C   instead: of a joint network for luma and chroma, with a comma between two heads', such as 8/8 or 6,3/8,-2\n"
    "  --layer L       write the outputs of hidden layer L, from 0, instead: a byte each, channel after channel\n"
    "  --model SET     the file of a model set, or one that is built in: vrcnn_intra, vrcnn_borders, joint_intra, joint_best,\n"
    "                  joint_inter, joint_inter_best, joint_post, joint_sao, joint_sao_best; default: joint_post with --position\n"
    "                  after_sao, else, and with --kind luma, vrcnn_intra\n"
    "  --kernel K      auto (default), or one that --kernels lists; all give the same bits\n"
    "  --threads T     threads that work on a picture, 1 (default) to 64\n"
    "  --kernels       list the kernels that this build and this machine have, and which of them auto takes\n"
    "  --version       the library's version\n"
    "  --help          this text\n";

static int number(const char *option, const char *text, int low, int high)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < low || value > high)
        fail("%s %s: must be a whole number from %d to %d", option, text, low, high);
    return (int)value;
}

static int depth(const char *option, const char *text)
{
    const int bits = number(option, text, 8, 12);
    if (bits == 11)
        fail("%s %s: must be 8, 9, 10 or 12", option, text);
    return bits;
}

/* One of two words: 0 or 1. */
static int one_of(const char *option, const char *text, const char *first, const char *second)
{
    if (strcmp(text, first) != 0 && strcmp(text, second) != 0)
        fail("%s %s: must be %s or %s", option, text, first, second);
    return !strcmp(text, second);
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

/* Up to VRCNN_MAX_HEADS numbers with commas between them, and what follows; NULL if that is not there. */
static const char *parse_weights(const char *at, int *weight, int *count)
{
    for (*count = 0; *count < VRCNN_MAX_HEADS;) {
        char *end;
        const long value = strtol(at, &end, 10);
        if (end == at || value < -5 || value > 10)
            return NULL;
        weight[(*count)++] = (int)value;
        if (*end != ',')
            return end;
        at = end + 1;
    }
    return NULL;
}

static void parse_both_weights(const char *text, Options *o)
{
    const char *at = parse_weights(text, o->weights.luma, o->weight_count);
    at = at && *at == '/' ? parse_weights(at + 1, o->weights.chroma, o->weight_count + 1) : NULL;
    if (!at || *at || o->weight_count[0] != o->weight_count[1])
        fail("--weights %s: must be such as 8/8 or, of two heads, 6,3/8,-2: each from -5 to 10", text);
}

static void check_options(Options *o)
{
    if (o->lists_kernels)
        return;
    if (!o->output)
        fail("an input and an output file are needed (--help shows how)");
    if (o->is_y4m && (o->width || o->format || o->depth[0] || o->depth[1]))
        fail("--y4m: Y4M says its size, format and bit depth itself; --size, --format, --bit-depth and --chroma-depth are for yuv");
    if (o->is_y4m && o->layer >= 0)
        fail("--layer: what it writes is no Y4M; give it a yuv file");
    if (!o->is_y4m && !o->width)
        fail("--size WIDTHxHEIGHT is needed (or --y4m)");
    if (o->has_qp == o->has_index)
        fail("give --qp or --index, one of the two");
    if (!o->format)
        o->format = 420;
    if (!o->depth[0])
        o->depth[0] = 8;
    if (o->format != 400 && o->format != 420 && o->format != 422 && o->format != 444)
        fail("--format %d: must be 400, 420, 422 or 444", o->format);
    if (!o->depth[1])
        o->depth[1] = o->depth[0];
}

static int set_option(Options *o, const char *option, const char *value)
{
    if (!strcmp(option, "--size"))
        parse_size(value, o);
    else if (!strcmp(option, "--qp"))
        o->qp = number(option, value, -12, 51), o->has_qp = 1;
    else if (!strcmp(option, "--index"))
        o->index = number(option, value, 0, VRCNN_MAX_NETWORKS - 1), o->has_index = 1;
    else if (!strcmp(option, "--kind"))
        o->kind = one_of(option, value, "luma", "joint") ? VRCNN_JOINT : VRCNN_LUMA, o->has_kind = 1;
    else if (!strcmp(option, "--network-size"))
        o->network_size = one_of(option, value, "fast", "best") ? VRCNN_BEST : VRCNN_FAST;
    else if (!strcmp(option, "--position"))
        o->position = one_of(option, value, "before_deblocking", "after_sao") ? VRCNN_AFTER_SAO : VRCNN_BEFORE_DEBLOCKING;
    else if (!strcmp(option, "--bit-depth"))
        o->depth[0] = depth(option, value);
    else if (!strcmp(option, "--chroma-depth"))
        o->depth[1] = number(option, value, 8, 16);
    else if (!strcmp(option, "--format"))
        o->format = number(option, value, 400, 444);
    else if (!strcmp(option, "--scale"))
        o->weights.luma[0] = o->weights.chroma[0] = number(option, value, 1, 10);
    else if (!strcmp(option, "--weights"))
        parse_both_weights(value, o);
    else if (!strcmp(option, "--layer"))
        o->layer = number(option, value, 0, VRCNN_MAX_LAYERS - 2);
    else if (!strcmp(option, "--model"))
        o->model = value;
    else if (!strcmp(option, "--kernel"))
        o->kernel = value;
    else if (!strcmp(option, "--threads"))
        o->threads = number(option, value, 1, VRCNN_MAX_THREADS);
    else
        return 0;
    return 1;
}

Options parse_options(int argc, char **argv)
{
    Options o = {.kernel = "auto",
                 .network_size = VRCNN_BEST,
                 .threads = 1,
                 .layer = -1,
                 .weight_count = {1, 1},
                 .weights = {{VRCNN_SCALE_TRAINED}, {VRCNN_SCALE_TRAINED}}};
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (!strcmp(option, "--help")) {
            fputs(usage_text, stdout);
            exit(0);
        }
        if (!strcmp(option, "--version")) {
            printf("vrcnn_filter %d.%d.%d\n", VRCNN_VERSION_MAJOR, VRCNN_VERSION_MINOR, VRCNN_VERSION_PATCH);
            exit(0);
        }
        if (!strcmp(option, "--kernels")) {
            o.lists_kernels = 1;
            return o;
        }
        if (!strcmp(option, "--y4m")) {
            o.is_y4m = 1;
            continue;
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
        if (!set_option(&o, option, value))
            fail("%s: there is no such option (--help lists them)", option);
    }
    check_options(&o);
    return o;
}
