/* checkkernel [--kernel NAME] [--only calls|pictures] [--rounds N] [--samples N] [SEED]: every kernel that this build and CPU have, bit for
 * bit.
 *
 * Calls: each function of a kernel's table, on rows of one layer, against plain loops over 64-bit integers; among them accumulators at both
 * ends of what the model's proof lets them reach. What a kernel may read but
 * must not depend on is filled with two different poisons, rows end or begin at a page that cannot be touched, and every byte around what
 * it may write is looked at afterwards. Pictures: the library's functions with each kernel and 1, 2 and 5 threads, against the scalar
 * kernels with one. --samples N does something else: large pictures, until N samples of each kernel have been compared with the fastest
 * one's. Exit code: 0 all equal, 1 a difference, 2 wrong use.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(_WIN32)
#include <io.h>
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "conv.h"
#include "model.h"
#include "vrcnn/vrcnn.h"

enum { MAX_KERNELS = 16, MAX_SOURCE_ROWS = VRCNN_ROWS + 4, SWEEP = 67, DEFAULT_ROUNDS = 8, MOST_MESSAGES = 8 };

typedef struct Kernel {
    int id;
    const char *name;
    VrcnnKernelTable table;
    unsigned long long values, calls, samples, pictures, differences;
} Kernel;

static Kernel kernels[MAX_KERNELS];
static int kernel_count;
static uint64_t seed;

/* ---- memory: taken for one case, given back after it ---- */

typedef union Taken {
    union Taken *next;
    long double align;
} Taken;

static Taken *taken;

static void *take(size_t size)
{
    Taken *t = calloc(1, sizeof *t + size);
    if (!t) {
        fprintf(stderr, "checkkernel: out of memory\n");
        exit(2);
    }
    t->next = taken;
    taken = t;
    return t + 1;
}

static void give_back(void)
{
    while (taken) {
        Taken *next = taken->next;
        free(taken);
        taken = next;
    }
}

/* ---- randomness ---- */

static uint64_t state;

static uint32_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static int between(int low, int high)
{
    return low + (int)(random_bits() % (uint32_t)(high - low + 1));
}

static const int kernel_sizes[3] = {1, 3, 5};

/* ---- what is being done, for the messages ---- */

static char doing[512];

static void differs(Kernel *kernel, const char *what)
{
    if (kernel->differences++ < MOST_MESSAGES)
        printf("%s%s\n", doing, what);
}

/* ---- layers ---- */

/* PAIRS: the sign changes every two channels. LIMIT: all equal, and so large that with inputs of 127 just as many products as fit 16 bits
 * do, or one unit too many. */
typedef enum Weights { RANDOM_WEIGHTS, SMALL_WEIGHTS, ALL_HIGH, ALL_LOW, ALTERNATING, PAIRS, LIMIT, ONE_TAP, WEIGHTS } Weights;
typedef enum Biases { SMALL_BIASES, MIDDLE_BIASES, HIGHEST_BIASES, LOWEST_BIASES, TIES, BIASES } Biases;
/* MAXIMUM and all that alternate: 0 and 127, in the first layer 0 and 255. FEW: 0..3, in the first layer 127..130. MOST, LEAST: random,
 * but for the window of one sample, with which one output's sum is the largest or the smallest that there is. */
typedef enum Content { RANDOM_CONTENT, ZERO, MAXIMUM, BY_CHANNEL, BY_COLUMN, BY_ROW, EITHER_END, FEW, MOST, LEAST, CONTENTS } Content;

static int32_t to_i32(int64_t value, int64_t low, int64_t high)
{
    return (int32_t)(value < low ? low : value > high ? high : value);
}

/* An accumulator at, just below or just above a place where the result turns: t's rounding, the product's rounding, the clips of both. */
static int64_t turning_point(int shift, int multiplier)
{
    static const int edges[] = {-32769, -32768, -32767, -1, 0, 1, 32766, 32767, 32768};
    const int64_t one = INT64_C(1) << shift;
    int64_t t;
    switch (between(0, 3)) {
    case 0: t = edges[between(0, 8)]; break;
    case 1: t = between(-33000, 33000); break;
    default:
        t = (between(0, 3) ? between(0, 129) : between(-1300, 1300)) * INT64_C(32768) - 16384; /* t * m at a tie of the product */
        t = t / multiplier + between(-1, 1);
        if (t < -32769 || t > 32769)
            t = between(-33000, 33000);
    }
    return t * one - one / 2 + between(-2, 2);
}

/* The biases that the specification allows an output. */
static void bias_interval(const VrcnnBranch *b, int o, int64_t *least, int64_t *most)
{
    const int per_output = b->inputs * b->kernel_size * b->kernel_size;
    const int low = b->inputs < 16 ? -128 : 0;
    *least = INT32_MIN;
    *most = INT32_MAX - ((INT64_C(1) << b->shift) >> 1);
    for (int i = 0; i < per_output; i++) {
        const int w = b->weights[o * per_output + i];
        *least -= w < 0 ? w * 127 : w * low;
        *most -= w > 0 ? w * 127 : w * low;
    }
}

static void set_bias(uint8_t *bias, int32_t value)
{
    for (int i = 0; i < 4; i++)
        bias[i] = (uint8_t)((uint32_t)value >> (8 * i));
}

static void fill_weights(int8_t *w, int outputs, int per_output, int area, Weights weights)
{
    const int summands = 4 << between(0, 2), level = 258 / summands, rest = 258 % summands + between(0, 1);
    const int sign = between(0, 1) ? 1 : -1, special = between(0, outputs * per_output - 1);
    for (int o = 0; o < outputs; o++) {
        const int tap = between(0, per_output - 1);
        for (int i = 0; i < per_output; i++, w++)
            switch (weights) {
            case SMALL_WEIGHTS: *w = (int8_t)between(-32, 32); break;
            case ALL_HIGH: *w = 127; break;
            case ALL_LOW: *w = -127; break;
            case ALTERNATING: *w = (i + o) & 1 ? 127 : -127; break;
            case PAIRS: *w = (i / area / 2 + o) & 1 ? 127 : -127; break;
            case LIMIT: *w = (int8_t)(sign * (level + (o * per_output + i == special ? rest : 0))); break;
            case ONE_TAP: *w = (int8_t)(i != tap ? 0 : o & 1 ? -1 : 1); break;
            default: *w = (int8_t)between(-127, 127);
            }
    }
}

static void fill_branch(VrcnnBranch *b, Weights weights, Biases biases)
{
    const int area = b->kernel_size * b->kernel_size;
    int8_t *w = take((size_t)b->outputs * (size_t)b->inputs * (size_t)area);
    uint8_t *bias = take(4 * (size_t)b->outputs);
    fill_weights(w, b->outputs, b->inputs * area, area, weights);
    b->weights = w;
    b->bias = bias;
    for (int o = 0; o < b->outputs; o++) {
        int64_t least, most;
        bias_interval(b, o, &least, &most);
        const int64_t wanted = biases == HIGHEST_BIASES  ? most
                               : biases == LOWEST_BIASES ? least
                               : biases == TIES          ? turning_point(b->shift, b->multiplier)
                                                         : between(-1000, 1000) * (biases == MIDDLE_BIASES ? 1000 : 1);
        set_bias(bias + 4 * o, to_i32(wanted, least, most));
    }
}

static void add_branch(VrcnnLayer *l, int inputs, int kernel_size, int outputs, int shift, int multiplier, Weights weights, Biases biases)
{
    VrcnnBranch *b = &l->branch[l->branches++];
    b->kernel_size = kernel_size;
    b->shift = shift;
    b->multiplier = multiplier;
    b->inputs = l->inputs = inputs;
    b->outputs = outputs;
    l->outputs += outputs;
    l->margin = l->margin > kernel_size / 2 ? l->margin : kernel_size / 2;
    fill_branch(b, weights, biases);
}

/* Shift and multiplier with which random weights give values that neither vanish nor all saturate. */
static void usual_scale(int inputs, int kernel_size, Weights weights, int *shift, int *multiplier)
{
    const int taps = inputs * kernel_size * kernel_size, quarter = weights == SMALL_WEIGHTS ? 4 : 1;
    int root = 1;
    while (root * root < taps)
        root++;
    *shift = 0;
    while (*shift < 15 && 4400 / quarter * root >> *shift > 16000)
        ++*shift;
    *multiplier = (447 * quarter << *shift) / root * between(5, 20) / 10 + 1;
    *multiplier = *multiplier > 32767 ? 32767 : *multiplier;
}

/* Layer 0..3 of VRCNN, with this shift and multiplier in every branch; shift -1: usual ones. */
static VrcnnLayer vrcnn_layer(int which, int shift, int multiplier, Weights weights, Biases biases)
{
    static const int shape[4][2][3] = {{{1, 5, 64}}, {{64, 5, 16}, {64, 3, 32}}, {{48, 3, 16}, {48, 1, 32}}, {{48, 3, 1}}};
    VrcnnLayer l = {0};
    for (int b = 0; b < 2 && shape[which][b][0]; b++) {
        const int *s = shape[which][b];
        int usual_shift, usual_multiplier;
        usual_scale(s[0], s[1], weights, &usual_shift, &usual_multiplier);
        if (which == 3) {
            usual_shift += usual_shift < 2 ? 2 : 0;
            usual_multiplier = between(512, 1023);
        }
        add_branch(&l, s[0], s[1], s[2], shift < 0 ? usual_shift : shift, shift < 0 ? usual_multiplier : multiplier, weights, biases);
    }
    return l;
}

/* Any layer that the specification allows; most_channels: of the layer's outputs. */
static VrcnnLayer random_layer(int inputs, int most_channels, int is_last)
{
    VrcnnLayer l = {0};
    const int usual = between(0, 1), most_branches = most_channels / 16 < 4 ? most_channels / 16 : 4;
    const int branches = is_last ? 1 : between(1, most_branches);
    l.added = !is_last && inputs >= 16 && branches == 1 && between(0, 1);
    for (int b = 0; b < branches; b++) {
        const int k = kernel_sizes[between(0, 2)], outputs = is_last ? 1 : 16 * between(1, most_channels / 16 / branches);
        int shift, multiplier;
        const Weights weights = (Weights)(usual ? between(RANDOM_WEIGHTS, SMALL_WEIGHTS) : between(0, WEIGHTS - 1));
        usual_scale(inputs, k, weights, &shift, &multiplier);
        if (is_last)
            shift = between(2, 15), multiplier = between(512, 1023);
        else if (!usual)
            shift = between(0, 15), multiplier = between(1, 32767);
        add_branch(&l, inputs, k, outputs, shift, multiplier, weights, usual ? SMALL_BIASES : (Biases)between(0, BIASES - 1));
    }
    return l;
}

/* ---- calls: the reference ---- */

typedef struct Case {
    const char *name;
    VrcnnLayer layer;
    int is_first, is_last;
    int heads; /* of a joint network's last layer, else 0 */
    int width;
    /* As the kernels are fed: VRCNN_ROWS + 2 * margin rows of width + 2 * margin samples of `inputs` bytes. */
    uint8_t *in;
    int row, column, output; /* of the extreme sum, where the content is MOST or LEAST */
    uint8_t *added;          /* what the layer adds, if it does, like `expected` */
    int64_t *acc;            /* VRCNN_ROWS rows of width samples of `outputs` accumulators */
    uint8_t *expected;       /* the same, hidden layers' results */
    int16_t *residual;       /* the last layer's, for this shift and multiplier or this mix, of VRCNN_JOINT_OUTPUTS values a sample then */
    int shift, multiplier;
    VrcnnMix mix;
} Case;

static int64_t floor_shift(int64_t value, int bits)
{
    const int64_t divisor = INT64_C(1) << bits;
    return value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor);
}

static int64_t preshifted(int64_t acc, int shift)
{
    return to_i32(floor_shift(acc + floor_shift(INT64_C(1) << shift, 1), shift), -32768, 32767);
}

static int source_value(Content content, int low, int high, int row, int column, int channel)
{
    switch (content) {
    case ZERO: return low;
    case MAXIMUM: return high;
    case BY_CHANNEL: return channel & 1 ? low : high;
    case BY_COLUMN: return column & 1 ? low : high;
    case BY_ROW: return row & 1 ? low : high;
    case EITHER_END: return between(0, 1) ? low : high;
    case FEW: return between(0, 3) + (high == 255 ? 127 : 0);
    default: return between(low, high);
    }
}

/* acc of one output from the rows as they are, first sample of the window at in[0]: a 32-bit sum (256 * 25 * 255 * 127 fits) plus bias. */
static int64_t accumulate(const VrcnnBranch *b, const int16_t *w, int o, const uint8_t *in, ptrdiff_t row_step)
{
    const int zero = b->inputs < 16 ? 128 : 0, length = b->kernel_size * b->inputs;
    int32_t sum = 0;
    for (int ky = 0; ky < b->kernel_size; ky++)
        for (int i = 0; i < length; i++)
            sum += w[ky * length + i] * (in[ky * row_step + i] - zero);
    return (int64_t)vrcnn_bias(b, o) + sum;
}

/* output, row, column, input */
static int16_t *rearranged(const VrcnnBranch *b)
{
    const int area = b->kernel_size * b->kernel_size, per_output = area * b->inputs;
    int16_t *w = take((size_t)b->outputs * (size_t)per_output * sizeof *w), *to = w;
    for (int o = 0; o < b->outputs; o++)
        for (int tap = 0; tap < area; tap++)
            for (int i = 0; i < b->inputs; i++)
                *to++ = b->weights[o * per_output + i * area + tap];
    return w;
}

/* New biases, with which the sample whose window begins at `in` gets a result that is neither clipped nor 0: where every sum is extreme,
 * a wrong one would not show otherwise. */
static void centre_branch(VrcnnBranch *b, const int16_t *w, const uint8_t *in, ptrdiff_t row_step)
{
    uint8_t *bias = take(4 * (size_t)b->outputs);
    for (int o = 0; o < b->outputs; o++) {
        int64_t least, most;
        const int64_t sum = accumulate(b, w + o * b->inputs * b->kernel_size * b->kernel_size, o, in, row_step) - vrcnn_bias(b, o);
        const int32_t t = to_i32(between(1, 126) * INT64_C(32768) / b->multiplier, 0, 32767);
        bias_interval(b, o, &least, &most);
        set_bias(bias + 4 * o, to_i32((int64_t)t * (1 << b->shift) - sum + between(0, 7), least, most));
    }
    b->bias = bias;
}

/* Steps in c->in: to the next row, and to the window of branch b for the sample at (0, 0). */
static ptrdiff_t row_step_of(const Case *c)
{
    return (ptrdiff_t)(c->width + 2 * c->layer.margin) * c->layer.inputs;
}

static ptrdiff_t first_window(const Case *c, const VrcnnBranch *b)
{
    return (c->layer.margin - b->kernel_size / 2) * (row_step_of(c) + c->layer.inputs);
}

/* Gives one sample the window with which an output of the first branch has its largest or smallest sum. */
static void aim(Case *c, int at_most)
{
    const VrcnnBranch *b = c->layer.branch;
    const int area = b->kernel_size * b->kernel_size, high = c->is_first ? 255 : 127;
    c->row = between(0, VRCNN_ROWS - 1);
    c->column = between(0, c->width - 1);
    c->output = between(0, b->outputs - 1);
    uint8_t *window = c->in + first_window(c, b) + c->row * row_step_of(c) + c->column * b->inputs;
    for (int tap = 0; tap < area; tap++)
        for (int i = 0; i < b->inputs; i++) {
            const int w = b->weights[(c->output * b->inputs + i) * area + tap];
            window[tap / b->kernel_size * row_step_of(c) + tap % b->kernel_size * b->inputs + i] = (uint8_t)(w > 0   ? (at_most ? high : 0)
                                                                                                             : w < 0 ? (at_most ? 0 : high)
                                                                                                                     : between(0, high));
        }
}

/* Accumulators and results for c->in. centre: with other biases than the layer's, see centre_branch. */
static void evaluate(Case *c, int centre)
{
    const ptrdiff_t row_step = row_step_of(c);
    int channel = 0;
    for (int i = 0; i < c->layer.branches; i++) {
        VrcnnBranch *b = c->layer.branch + i;
        const int per_output = b->inputs * b->kernel_size * b->kernel_size;
        const int16_t *weights = rearranged(b);
        const uint8_t *first = c->in + first_window(c, b);
        if (centre)
            centre_branch(b, weights, first + between(0, VRCNN_ROWS - 1) * row_step + between(0, c->width - 1) * b->inputs, row_step);
        for (int y = 0; y < VRCNN_ROWS; y++)
            for (int x = 0; x < c->width; x++)
                for (int o = 0; o < b->outputs; o++) {
                    const ptrdiff_t at = ((ptrdiff_t)y * c->width + x) * c->layer.outputs + channel + o;
                    c->acc[at] = accumulate(b, weights + o * per_output, o, first + y * row_step + x * b->inputs, row_step);
                    const int64_t v = floor_shift(preshifted(c->acc[at], b->shift) * b->multiplier + 16384, 15);
                    c->expected[at] = (uint8_t)to_i32(v + (c->added ? c->added[at] : 0), 0, 127);
                }
        channel += b->outputs;
    }
}

/* What is added: anything, the ends more often. */
static uint8_t *make_added(size_t count)
{
    uint8_t *added = take(count);
    for (size_t i = 0; i < count; i++)
        added[i] = (uint8_t)(between(0, 3) ? between(0, 127) : 127 * between(0, 1));
    return added;
}

static Case make_case(const char *name, VrcnnLayer layer, Content content, int width, int centre)
{
    Case c = {0};
    c.name = name;
    c.layer = layer;
    c.is_first = layer.inputs < 16;
    c.is_last = layer.outputs < 16;
    c.heads = c.is_last && layer.branches == 2 ? layer.branch[1].outputs / 2 : 0;
    c.width = width;
    const int across = width + 2 * layer.margin, rows = VRCNN_ROWS + 2 * layer.margin;
    uint8_t *in = c.in = take((size_t)(rows * row_step_of(&c)));
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < across; x++)
            for (int i = 0; i < layer.inputs; i++)
                *in++ = (uint8_t)source_value(content, 0, c.is_first ? 255 : 127, y, x, i);
    if (content == MOST || content == LEAST)
        aim(&c, content == MOST);
    const size_t outputs = VRCNN_ROWS * (size_t)width * (size_t)layer.outputs;
    c.acc = take(outputs * sizeof *c.acc);
    c.expected = take(outputs);
    c.residual = take(VRCNN_ROWS * (size_t)width * (c.heads ? VRCNN_JOINT_OUTPUTS : 1) * sizeof *c.residual);
    c.added = layer.added ? make_added(outputs) : NULL;
    evaluate(&c, centre);
    return c;
}

static void expect_residual(Case *c, int shift, int multiplier)
{
    c->shift = shift;
    c->multiplier = multiplier;
    for (int i = 0; i < VRCNN_ROWS * c->width; i++)
        c->residual[i] = (int16_t)floor_shift(preshifted(c->acc[i], shift) * multiplier + 16384, 15);
}

/* (m * c) >> 3 for any m and c that a head can be given; a single one's c is positive. */
static int any_weighted(int heads)
{
    return (int)floor_shift(between(512, 1023) * (heads > 1 ? between(-5, 10) : between(1, 10)), 3);
}

/* Any mix, and what it gives; most_shift: of luma and of chroma. */
static void expect_mix(Case *c, int most_luma, int most_chroma)
{
    const int heads = c->heads;
    c->mix.shift[0] = between(0, 1) ? most_luma : between(0, most_luma);
    c->mix.shift[1] = between(0, 1) ? most_chroma : between(0, most_chroma);
    for (int chroma = 0; chroma < 2; chroma++)
        for (int h = 0; h < VRCNN_MAX_HEADS; h++)
            c->mix.multiplier[chroma][h] = h < heads ? any_weighted(heads) : between(-2000, 2000);
    for (int i = 0; i < VRCNN_ROWS * c->width; i++)
        for (int o = 0; o < 6; o++) {
            const int chroma = o > 3, first = chroma ? 4 * heads + o - 4 : o, step = chroma ? 2 : 4;
            int64_t sum = 16384;
            for (int h = 0; h < heads; h++)
                sum += preshifted(c->acc[(ptrdiff_t)i * c->layer.outputs + first + h * step], c->mix.shift[chroma]) *
                       c->mix.multiplier[chroma][h];
            c->residual[i * VRCNN_JOINT_OUTPUTS + o] = (int16_t)floor_shift(sum, 15);
        }
}

/* ---- calls: memory that shows what a kernel does to it ---- */

enum { AROUND = 1024, FENCE = 1 << 16, POISON_BYTES = 1 << 18 };

/* Whole pages, with FENCE bytes before and after them that cannot be touched. */
typedef struct Arena {
    uint8_t *base;
    size_t size;
} Arena;

static Arena source_arenas[MAX_SOURCE_ROWS], added_arenas[VRCNN_ROWS], dst_arenas[VRCNN_ROWS], packed_arena, scratch_arena;
static uint8_t *source_copies[MAX_SOURCE_ROWS];
static uint8_t random_poison[2 * POISON_BYTES];

/* Memory of `size` bytes with a fence on either side, which nobody can touch; NULL if there is none. Never given back. */
static uint8_t *fenced(size_t size)
{
#if defined(_WIN32)
    uint8_t *const all = VirtualAlloc(NULL, size + 2 * FENCE, MEM_RESERVE, PAGE_NOACCESS);
    return all ? VirtualAlloc(all + FENCE, size, MEM_COMMIT, PAGE_READWRITE) : NULL;
#else
    uint8_t *const all = mmap(NULL, size + 2 * FENCE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return all == MAP_FAILED || mprotect(all + FENCE, size, PROT_READ | PROT_WRITE) ? NULL : all + FENCE;
#endif
}

static Arena make_arena(size_t size)
{
    const Arena a = {fenced(size), size};
    if (!a.base) {
        fprintf(stderr, "checkkernel: out of memory\n");
        exit(2);
    }
    return a;
}

static void make_arenas(void)
{
    for (int i = 0; i < MAX_SOURCE_ROWS; i++) {
        source_arenas[i] = make_arena(POISON_BYTES);
        source_copies[i] = make_arena(POISON_BYTES).base;
    }
    for (int i = 0; i < VRCNN_ROWS; i++) {
        added_arenas[i] = make_arena(POISON_BYTES);
        dst_arenas[i] = make_arena(POISON_BYTES);
    }
    packed_arena = make_arena(1 << 25);
    scratch_arena = make_arena(1 << 24);
    for (size_t i = 0; i < sizeof random_poison; i++)
        random_poison[i] = (uint8_t)random_bits();
}

static int in_fence(const Arena *a, const uint8_t *address)
{
    return (address >= a->base - FENCE && address < a->base) || (address >= a->base + a->size && address < a->base + a->size + FENCE);
}

/* A kernel that leaves its memory ends here, and one whose instructions the CPU lacks. */
static void crashed(const uint8_t *address, int is_unknown)
{
    const char *what = ": memory touched that is not its own\n";
    for (int i = 0; i < MAX_SOURCE_ROWS; i++)
        if (in_fence(source_arenas + i, address))
            what = ": touched what lies beyond a row of src and its slack\n";
    for (int i = 0; i < VRCNN_ROWS; i++)
        if (in_fence(dst_arenas + i, address))
            what = ": touched what lies beyond a row of dst\n";
        else if (in_fence(added_arenas + i, address))
            what = ": touched what lies beyond a row that is added and its slack\n";
    if (in_fence(&packed_arena, address))
        what = ": touched what lies beyond packed_size\n";
    if (in_fence(&scratch_arena, address))
        what = ": touched what lies beyond scratch_size\n";
    if (is_unknown)
        what = ": an instruction that this CPU does not have\n";
#if defined(_WIN32)
    _write(1, doing, (unsigned)strlen(doing));
    _write(1, what, (unsigned)strlen(what));
    ExitProcess(1);
#else
    ssize_t n = write(1, doing, strlen(doing));
    n += write(1, what, strlen(what));
    _exit(n < 0 ? 2 : 1);
#endif
}

#if defined(_WIN32)
static LONG WINAPI take_exception(EXCEPTION_POINTERS *exception)
{
    const EXCEPTION_RECORD *const record = exception->ExceptionRecord;
    const ULONG_PTR address = record->NumberParameters > 1 ? record->ExceptionInformation[1] : 0;
    crashed((const uint8_t *)address, record->ExceptionCode == EXCEPTION_ILLEGAL_INSTRUCTION);
    return EXCEPTION_CONTINUE_SEARCH;
}

static void watch(void)
{
    SetUnhandledExceptionFilter(take_exception);
}
#else
static void take_signal(int number, siginfo_t *info, void *unused)
{
    (void)unused;
    crashed(info->si_addr, number == SIGILL);
}

static void watch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = take_signal;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
}
#endif

typedef enum Place { AT_START, AT_END, ANYWHERE } Place;

/* Where `size` bytes go; at the end: as near to it as the alignment lets them. */
static uint8_t *place(const Arena *a, size_t size, size_t alignment, Place where)
{
    if (size > a->size) {
        fprintf(stderr, "%s: %zu bytes wanted, more than a kernel can need\n", doing, size);
        exit(1);
    }
    const size_t room = (a->size - size) / alignment;
    size_t steps = where == AT_START ? 0 : where == AT_END ? room : random_bits() % (room + 1);
    return a->base + steps * alignment;
}

/* Poison 0 is random, poison 1 one extreme value throughout. */
static void put_poison(uint8_t *to, size_t size, int poison)
{
    static const uint8_t extremes[4] = {0x00, 0x7f, 0x80, 0xff};
    const size_t most = size < POISON_BYTES ? size : POISON_BYTES;
    if (poison)
        memset(to, extremes[between(0, 3)], size);
    else
        for (size_t at = 0; at < size; at += most)
            memcpy(to + at, random_poison + random_bits() % POISON_BYTES, size - at < most ? size - at : most);
}

/* The bytes around what may be written, as far as the arena goes. */
static void put_guard(const Arena *a, uint8_t *from, size_t size, int value)
{
    uint8_t *const end = a->base + a->size, *const to = from + size;
    memset(from - a->base < AROUND ? a->base : from - AROUND, value, from - a->base < AROUND ? (size_t)(from - a->base) : AROUND);
    memset(to, value, end - to < AROUND ? (size_t)(end - to) : AROUND);
}

static int guard_intact(const Arena *a, const uint8_t *from, size_t size, int value)
{
    const uint8_t *const end = a->base + a->size, *const to = from + size;
    for (const uint8_t *p = from - a->base < AROUND ? a->base : from - AROUND; p < from; p++)
        if (*p != value)
            return 0;
    for (const uint8_t *p = to; p < end && p < to + AROUND; p++)
        if (*p != value)
            return 0;
    return 1;
}

static int round_up(int value, int multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* ---- calls: one kernel, one case ---- */

static const char *function_name(const Case *c)
{
    return c->is_first  ? "conv_first"
           : c->heads   ? "conv_joint"
           : c->is_last ? "conv_last"
           : c->added   ? "conv_hidden, adding"
                        : "conv_hidden";
}

static void describe(const Kernel *kernel, const Case *c, int columns)
{
    int n = snprintf(doing, sizeof doing, "%s: %s, %s, %d ->", kernel->name, function_name(c), c->name, c->layer.inputs);
    for (int i = 0; i < c->layer.branches; i++) {
        const VrcnnBranch *b = c->layer.branch + i;
        n += snprintf(doing + n, sizeof doing - (size_t)n, " %dx%d %d (s1 %d, m %d)", b->kernel_size, b->kernel_size, b->outputs,
                      c->heads     ? c->mix.shift[i]
                      : c->is_last ? c->shift
                                   : b->shift,
                      c->heads     ? c->mix.multiplier[i][0]
                      : c->is_last ? c->multiplier
                                   : b->multiplier);
    }
    snprintf(doing + n, sizeof doing - (size_t)n, ", %d columns", columns);
}

/* The first value of row y, column x that is not as expected, as a text; 0 if all are. */
static int find_difference(char *text, size_t size, const Case *c, const VrcnnConvLayer *layer, uint8_t *const *dst, int y, int x)
{
    const ptrdiff_t sample = (ptrdiff_t)y * c->width + x;
    const int values = c->heads ? 6 : layer->outputs, step = c->heads ? VRCNN_JOINT_OUTPUTS : 1;
    for (int o = 0; o < values; o++) {
        int16_t got, wanted;
        if (c->is_last) {
            memcpy(&got, dst[y] + ((ptrdiff_t)x * step + o) * (ptrdiff_t)sizeof got, sizeof got);
            wanted = c->residual[sample * step + o];
        } else {
            got = dst[y][(ptrdiff_t)x * layer->dst_pitch + o];
            wanted = c->expected[sample * layer->outputs + o];
        }
        if (got == wanted)
            continue;
        const int output = c->heads && o > 3 ? 4 * c->heads + o - 4 : o;
        snprintf(text, size, ": row %d, column %d, channel %d (acc %" PRId64 "): got %d, expected %d", y, x, o,
                 c->acc[sample * layer->outputs + output], got, wanted);
        return 1;
    }
    return 0;
}

/* Rows of `count` samples of `values` bytes each, `pitch` apart, with slack on both sides, in an arena; returns column 0. from: the first
 * sample that there is, at column -margin. */
static uint8_t *lay_row(const Arena *arena, const uint8_t *from, int columns, int margin, int values, int pitch, size_t align, int poison)
{
    const size_t bytes = (size_t)(VRCNN_SLACK + round_up(columns, VRCNN_COLUMNS) + VRCNN_SLACK) * (size_t)pitch;
    uint8_t *base = place(arena, bytes, align, (Place)between(0, 2)), *row = base + VRCNN_SLACK * pitch;
    put_poison(base, bytes, poison);
    for (int x = -margin; x < columns + margin; x++)
        memcpy(row + (ptrdiff_t)x * pitch, from + (ptrdiff_t)(x + margin) * values, (size_t)values);
    return row;
}

/* One call with one poison; 0 after a difference. */
static int check_call(Kernel *kernel, const Case *c, const VrcnnConvLayer *layer, int columns, int poison)
{
    const VrcnnKernelTable *table = &kernel->table;
    const int margin = layer->radius, across = c->width + 2 * margin, rows = VRCNN_ROWS + 2 * margin;
    const int written = round_up(columns, VRCNN_COLUMNS);
    const int dst_step = c->heads ? 2 * VRCNN_JOINT_OUTPUTS : c->is_last ? 2 : layer->dst_pitch;
    const size_t source_align = layer->inputs == 1 ? 1 : c->is_first ? VRCNN_JOINT_PITCH : layer->src_pitch % 64 ? 16 : 64;
    const size_t dst_align = c->is_last ? 2 : layer->dst_pitch % 64 ? 16 : 64;
    const size_t source_bytes = (size_t)(VRCNN_SLACK + written + VRCNN_SLACK) * (size_t)layer->src_pitch;
    const size_t dst_bytes = (size_t)written * (size_t)dst_step;
    const int guard = poison ? 0xa5 : 0x5a;
    const uint8_t *src[MAX_SOURCE_ROWS], *added[VRCNN_ROWS] = {NULL, NULL, NULL, NULL};
    uint8_t *dst[VRCNN_ROWS];
    int16_t *residual[VRCNN_ROWS];
    char text[160];

    for (int y = 0; y < rows; y++) {
        src[y] = lay_row(&source_arenas[y], c->in + (ptrdiff_t)y * across * layer->inputs, columns, margin, layer->inputs, layer->src_pitch,
                         source_align, poison);
        memcpy(source_copies[y], src[y] - VRCNN_SLACK * layer->src_pitch, source_bytes);
    }
    for (int y = 0; y < VRCNN_ROWS; y++) {
        if (c->added)
            added[y] = lay_row(&added_arenas[y], c->added + (ptrdiff_t)y * c->width * layer->outputs, columns, 0, layer->outputs,
                               layer->dst_pitch, dst_align, poison);
        dst[y] = place(&dst_arenas[y], dst_bytes, dst_align, (Place)between(0, 2));
        residual[y] = (int16_t *)(void *)dst[y];
        put_poison(dst[y], dst_bytes, poison);
        put_guard(&dst_arenas[y], dst[y], dst_bytes, guard);
    }
    const size_t scratch_bytes = table->scratch_size(layer, columns + (between(0, 3) ? 0 : between(0, 100)));
    uint8_t *scratch = place(&scratch_arena, scratch_bytes, 64, (Place)between(0, 1));
    put_poison(scratch, scratch_bytes, poison);
    put_guard(&scratch_arena, scratch, scratch_bytes, guard);

    if (c->heads)
        table->conv_joint(residual, src, columns, layer, &c->mix, scratch);
    else if (c->is_last)
        table->conv_last(residual, src, columns, layer, c->shift, c->multiplier, scratch);
    else if (c->is_first)
        table->conv_first(dst, src, columns, layer, scratch);
    else
        table->conv_hidden(dst, src, c->added ? added : NULL, columns, layer, scratch);

    kernel->calls++;
    kernel->values += (unsigned long long)VRCNN_ROWS * (unsigned)columns * (unsigned)(c->heads ? 6 : layer->outputs);
    for (int y = 0; y < VRCNN_ROWS; y++)
        for (int x = 0; x < columns; x++)
            if (find_difference(text, sizeof text, c, layer, dst, y, x)) {
                differs(kernel, text);
                return 0;
            }
    for (int y = 0; y < VRCNN_ROWS; y++)
        if (!guard_intact(&dst_arenas[y], dst[y], dst_bytes, guard)) {
            snprintf(text, sizeof text, ": written outside row %d of dst", y);
            differs(kernel, text);
            return 0;
        }
    for (int y = 0; y < rows; y++)
        if (memcmp(src[y] - VRCNN_SLACK * layer->src_pitch, source_copies[y], source_bytes) != 0) {
            snprintf(text, sizeof text, ": row %d of src changed", y);
            differs(kernel, text);
            return 0;
        }
    if (!guard_intact(&scratch_arena, scratch, scratch_bytes, guard)) {
        differs(kernel, ": written outside scratch");
        return 0;
    }
    return 1;
}

static void check_case(Kernel *kernel, const Case *c, const int *widths, int count)
{
    const VrcnnKernelTable *table = &kernel->table;
    const int8_t *weights[VRCNN_MAX_BRANCHES];
    const int32_t *bias[VRCNN_MAX_BRANCHES];
    VrcnnConvLayer layer = {0};
    describe(kernel, c, widths[0]);
    layer.inputs = c->layer.inputs;
    layer.outputs = c->layer.outputs;
    layer.radius = c->layer.margin;
    layer.branches = c->layer.branches;
    layer.heads = c->heads;
    layer.added = c->layer.added;
    layer.src_pitch = layer.inputs == 1 ? 1 : c->is_first ? VRCNN_JOINT_PITCH : vrcnn_pitch(table, layer.inputs);
    layer.dst_pitch = c->is_last ? 0 : vrcnn_pitch(table, layer.outputs);
    for (int i = 0; i < layer.branches; i++) {
        const VrcnnBranch *b = c->layer.branch + i;
        int32_t *values = take((size_t)b->outputs * sizeof *values);
        for (int o = 0; o < b->outputs; o++)
            values[o] = vrcnn_bias(b, o);
        weights[i] = b->weights;
        bias[i] = values;
        layer.conv[i].kernel_size = b->kernel_size;
        layer.conv[i].outputs = b->outputs;
        layer.conv[i].shift = b->shift;
        layer.conv[i].multiplier = b->multiplier;
    }
    const size_t size = table->packed_size(&layer);
    uint8_t *packed = place(&packed_arena, size, 64, AT_END);
    put_poison(packed, size, between(0, 1));
    put_guard(&packed_arena, packed, size, 0x3c);
    layer.packed = packed;
    table->pack(packed, &layer, weights, bias);
    if (!guard_intact(&packed_arena, packed, size, 0x3c)) {
        differs(kernel, ": pack wrote outside packed_size");
        return;
    }
    uint8_t *copy = take(size);
    memcpy(copy, packed, size);
    if (table->begin)
        table->begin();
    for (int i = 0, ok = 1; i < count && ok; i++) {
        describe(kernel, c, widths[i]);
        ok = check_call(kernel, c, &layer, widths[i], 0) && check_call(kernel, c, &layer, widths[i], 1);
    }
    if (table->end)
        table->end();
    if (memcmp(packed, copy, size) != 0)
        differs(kernel, ": packed weights changed");
}

/* Every kernel gets the same memory and the same poison, and what follows does not depend on how many kernels there are. */
static void check_all(const Case *c, const int *widths, int count)
{
    const uint64_t before = state;
    for (int i = 0; i < kernel_count; i++) {
        state = before;
        check_case(kernels + i, c, widths, count);
    }
    state = before;
    random_bits();
}

/* Any multiplier that the last layer can be given: (m * c) >> 3 for m in 512..1023, c in 1..10. */
static int last_multiplier(void)
{
    return between(512, 1023) * between(1, 10) >> 3;
}

/* Every width from 1 to 2 tiles + 1; if wanted also those next to any multiple of 32, up to 8 of them, and a strip's. */
static void check_widths(const char *name, VrcnnLayer layer, Content content, int centre, int wide)
{
    int widths[SWEEP + 19 + 1], count = 0, most = SWEEP;
    for (int n = 1; n <= SWEEP; n++)
        widths[count++] = n;
    for (int n = 96; n <= 256 && wide; n += 32)
        for (int i = -1; i <= 1; i++)
            widths[count++] = n + i;
    if (wide)
        widths[count++] = most = between(600, 680);
    Case c = make_case(name, layer, content, most, centre);
    if (c.heads)
        expect_mix(&c, between(0, 5), between(0, 5));
    else if (c.is_last)
        expect_residual(&c, between(0, 5), last_multiplier());
    check_all(&c, widths, count);
    give_back();
}

/* Up to this many columns. */
static void check_one(const char *name, VrcnnLayer layer, Content content, int most, int centre)
{
    const int columns = between(1, most);
    Case c = make_case(name, layer, content, columns, centre);
    if (c.heads)
        expect_mix(&c, layer.branch[0].shift, layer.branch[1].shift);
    else if (c.is_last) {
        const int shift = layer.branch->shift, multiplier = layer.branch->multiplier;
        expect_residual(&c, between(0, 1) ? shift : between(0, shift), between(0, 1) ? multiplier : multiplier * between(1, 10) >> 3);
    }
    check_all(&c, &columns, 1);
    give_back();
}

static int any_multiplier(int is_last)
{
    static const int few[] = {1, 2, 127, 128, 129, 255, 16383, 16384, 16385, 32766, 32767};
    return is_last ? between(512, 1023) : between(0, 1) ? few[between(0, 10)] : between(1, 32767);
}

static Content any_content(void)
{
    return (Content)between(0, CONTENTS - 1);
}

/* ---- calls: proofs ---- */

static void check_here(Case *c, const char *name)
{
    c->name = name;
    if (c->is_last)
        expect_residual(c, c->layer.branch->shift, c->layer.branch->multiplier);
    check_all(c, &c->width, 1);
}

static ptrdiff_t aimed_at(const Case *c)
{
    return ((ptrdiff_t)c->row * c->width + c->column) * c->layer.outputs + c->output;
}

static int64_t result_of(const VrcnnBranch *b, int64_t acc)
{
    const int64_t r = floor_shift(preshifted(acc, b->shift) * b->multiplier + 16384, 15);
    return b->outputs == 1 ? r : to_i32(r, 0, 127);
}

/* With the largest or smallest sum that there is, biases that make the accumulator `wanted`. */
static void move_to(Case *c, int64_t wanted)
{
    VrcnnBranch *b = c->layer.branch;
    uint8_t *bias = take(4 * (size_t)b->outputs);
    memcpy(bias, b->bias, 4 * (size_t)b->outputs);
    set_bias(bias + 4 * c->output, (int32_t)(vrcnn_bias(b, c->output) + wanted - c->acc[aimed_at(c)]));
    b->bias = bias;
    evaluate(c, 0);
}

/* One layer of one branch, once with each sign: the accumulator at the end of its proven interval, which is that of 32 bits; and the same
 * sum with a bias that brings the accumulator to where the result changes, so that the result tells the accumulator exactly. */
static void check_extreme(int inputs, int kernel_size, int outputs, int shift, Weights weights)
{
    static const char *const ends[2] = {"accumulator at -2^31", "accumulator at 2^31 - 1 - rounding"};
    for (int side = 0; side < 2; side++, give_back()) {
        VrcnnLayer layer = {0};
        const int multiplier = outputs == 1 ? last_multiplier() : shift ? between(1, 32767) : 32767;
        add_branch(&layer, inputs, kernel_size, outputs, shift, multiplier, weights, side ? HIGHEST_BIASES : LOWEST_BIASES);
        Case c = make_case(ends[side], layer, side ? MOST : LEAST, between(1, 20), 0);
        const int64_t end = side ? INT32_MAX - ((INT64_C(1) << shift) >> 1) : INT32_MIN;
        if (c.acc[aimed_at(&c)] != end) {
            printf("checkkernel: %s: the test itself does not reach it: %" PRId64 "\n", ends[side], c.acc[aimed_at(&c)]);
            exit(1);
        }
        check_here(&c, ends[side]);
        /* The result is that of the turn, and one less is another. */
        const VrcnnBranch *b = c.layer.branch;
        int64_t turn;
        do
            turn = turning_point(shift, multiplier);
        while (result_of(b, turn) == result_of(b, turn - 1));
        move_to(&c, turn);
        check_here(&c, "extreme sum, accumulator where the result turns");
        move_to(&c, turn - 1);
        check_here(&c, "extreme sum, accumulator one below where the result turns");
    }
}

/* First, hidden and last layers, weights of one sign and of both. */
static void check_extremes(void)
{
    static const Weights kinds[4] = {ALL_HIGH, ALL_LOW, ALTERNATING, RANDOM_WEIGHTS};
    static const int hidden[4] = {16, 48, 64, 256};
    for (int i = 0; i < 4; i++)
        for (int k = 1; k <= 5; k += 2) {
            check_extreme(1, k, 16 * between(1, 8), i % 2 ? between(0, 15) : 15 * (i / 2), kinds[i]);
            check_extreme(hidden[i], k, 16 * between(1, 4), between(0, 1) ? between(0, 15) : 15 * between(0, 1), kinds[i]);
            check_extreme(hidden[between(0, 3)], k, 16, between(0, 15), kinds[i]);
            check_extreme(hidden[i], k, 1, between(0, 15), kinds[i]);
        }
}

/* A joint network's last layer. */
static VrcnnLayer joint_last(int inputs, int kernel_size, int heads, Weights weights, Biases biases)
{
    VrcnnLayer l = {0};
    for (int chroma = 0; chroma < 2; chroma++)
        add_branch(&l, inputs, kernel_size, (chroma ? 2 : 4) * heads, between(2, 15), between(512, 1023), weights, biases);
    return l;
}

/* The layers of joint networks: 6 -> C, C -> C with and without an addition, C -> 6 and 12. */
static VrcnnLayer joint_layer(int which, int channels, int kernel_size, Weights weights, Biases biases)
{
    VrcnnLayer l = {0};
    const int inputs = which ? channels : VRCNN_JOINT_INPUTS;
    int shift, multiplier;
    if (which > 2)
        return joint_last(channels, kernel_size, which - 2, weights, biases);
    usual_scale(inputs, kernel_size, weights, &shift, &multiplier);
    add_branch(&l, inputs, kernel_size, channels, shift, multiplier, weights, biases);
    l.added = which == 2;
    return l;
}

static void check_joint_layers(int round)
{
    static const int channels[] = {16, 32, 48, 64, 96, 128};
    enum { WHICH = 5 };
    for (int which = 0; which < WHICH; which++) {
        for (int i = 0; i < 6; i++)
            check_widths("joint layer", joint_layer(which, channels[i], 3, (Weights)(round % WEIGHTS), SMALL_BIASES),
                         round ? any_content() : RANDOM_CONTENT, round > 0, round == 1 && i % 2);
        for (int i = 0; i < 12; i++)
            check_one("any joint layer", joint_layer(which, 16 * between(1, 16), kernel_sizes[i % 3], RANDOM_WEIGHTS, SMALL_BIASES),
                      RANDOM_CONTENT, SWEEP, 0);
        for (int i = 0; i < CONTENTS; i++)
            for (int weights = 0; weights < WEIGHTS; weights++) {
                const int c = channels[between(0, 5)], k = kernel_sizes[between(0, 2)];
                check_one("joint layer", joint_layer(which, c, k, (Weights)weights, (Biases)between(0, BIASES - 1)), (Content)i, 12,
                          which < 3 && between(0, 1));
            }
        check_one("joint layer", joint_layer(which, 32, 3, ALL_HIGH, HIGHEST_BIASES), MAXIMUM, 35, 0);
        check_one("joint layer", joint_layer(which, 64, 3, ALL_LOW, LOWEST_BIASES), MAXIMUM, 35, 0);
        /* The rounding, at every shift. */
        for (int shift = which > 2 ? 2 : 0; shift < 16; shift++) {
            VrcnnLayer l = joint_layer(which, 32, 3, ONE_TAP, TIES);
            for (int b = 0; b < l.branches; b++) {
                l.branch[b].shift = shift;
                l.branch[b].multiplier = which > 2 ? between(512, 1023) : any_multiplier(0);
                fill_branch(l.branch + b, ONE_TAP, TIES);
            }
            check_one("joint layer, rounding", l, FEW, 35, 0);
        }
    }
    for (int i = 0; i < 3; i++) {
        check_extreme(VRCNN_JOINT_INPUTS, kernel_sizes[i], 16 * between(1, 8), between(0, 15), (Weights)(ALL_HIGH + round % 3));
    }
}

/* The shapes that kernels have fast paths for. */
static void check_vrcnn_layers(int round, const VrcnnModel *builtin)
{
    static const char *const names[4] = {"VRCNN layer 1", "VRCNN layer 2", "VRCNN layer 3", "VRCNN layer 4"};
    for (int which = 0; which < 4; which++) {
        const char *name = names[which];
        /* Usual data first, then something extreme, then what is shipped. */
        check_widths(name, vrcnn_layer(which, -1, 0, (Weights)(round % WEIGHTS), SMALL_BIASES), round ? any_content() : RANDOM_CONTENT,
                     round > 0, round == 1);
        for (int i = 0; i < builtin->networks; i++)
            if (builtin->network[i].layers == 4)
                check_one("built-in network", builtin->network[i].layer[which], any_content(), 35, between(0, 1));
        /* Sums that an instruction which saturates would not give. */
        for (int i = 0; i < CONTENTS; i++)
            for (int weights = 0; weights < ONE_TAP; weights++)
                check_one(name, vrcnn_layer(which, -1, 0, (Weights)weights, SMALL_BIASES), (Content)i, 12, 1);
        /* Accumulators at both ends of 32 bits. */
        for (int weights = 0; weights < WEIGHTS; weights++) {
            check_one(name, vrcnn_layer(which, -1, 0, (Weights)weights, HIGHEST_BIASES), any_content(), 12, 0);
            check_one(name, vrcnn_layer(which, -1, 0, (Weights)weights, LOWEST_BIASES), any_content(), 12, 0);
        }
        check_one(name, vrcnn_layer(which, -1, 0, ALL_HIGH, HIGHEST_BIASES), MAXIMUM, 35, 0);
        check_one(name, vrcnn_layer(which, -1, 0, ALL_LOW, LOWEST_BIASES), MAXIMUM, 35, 0);
        for (int shift = 0; shift < 16; shift++)
            check_one(name, vrcnn_layer(which, shift, any_multiplier(which == 3), ONE_TAP, TIES), FEW, 35, 0);
    }
}

static VrcnnLayer one_branch(int inputs, int kernel_size, int outputs)
{
    VrcnnLayer l = {0};
    const Weights weights = (Weights)between(RANDOM_WEIGHTS, SMALL_WEIGHTS);
    int shift, multiplier;
    usual_scale(inputs, kernel_size, weights, &shift, &multiplier);
    if (outputs == 1)
        shift = between(2, 15), multiplier = between(512, 1023);
    add_branch(&l, inputs, kernel_size, outputs, shift, multiplier, weights, outputs == 1 ? MIDDLE_BIASES : SMALL_BIASES);
    return l;
}

/* Numbers of channels, the smaller ones more often. */
static int any_channels(void)
{
    return 16 * between(1, between(1, 16));
}

/* Every number of channels in and out (over two rounds), every kernel size, every shift; then layers of several branches. */
static void check_any_layers(int round)
{
    static const int inputs[3] = {1, 16, 64};
    for (int channels = 16 + round % 2 * 16; channels <= 256; channels += 32)
        for (int i = 0; i < 3; i++) {
            const int k = kernel_sizes[i];
            check_one("any layer", one_branch(channels, k, any_channels()), RANDOM_CONTENT, 20, 0);
            check_one("any layer", one_branch(any_channels(), k, channels), RANDOM_CONTENT, 20, 0);
            check_one("any first layer", one_branch(1, k, channels), RANDOM_CONTENT, SWEEP, 0);
            check_one("any last layer", one_branch(channels, k, 1), RANDOM_CONTENT, SWEEP, 0);
        }
    for (int i = 0; i < 24; i++) {
        check_one("random layer", random_layer(any_channels(), 16 * between(1, 16), 0), any_content(), 24, between(0, 1));
        check_one("random first layer", random_layer(1, 16 * between(1, 16), 0), any_content(), SWEEP, between(0, 1));
        check_one("random last layer", random_layer(16 * between(1, 16), 16, 1), any_content(), SWEEP, between(0, 1));
    }
    for (int shift = 0; shift < 16; shift++)
        for (int i = 0; i < 4; i++) {
            VrcnnLayer l = {0};
            add_branch(&l, inputs[between(0, 2)], kernel_sizes[between(0, 2)], 256, shift, i ? any_multiplier(0) : 32767, ONE_TAP, TIES);
            check_one("rounding", l, FEW, 20, 0);
        }
}

/* The last layer's rounding: every q with every multiplier (over eight rounds), accumulators next to where the result turns. */
static void check_last_rounding(int round)
{
    for (int q = 0; q < 16; q++)
        for (int m = 64 + round % DEFAULT_ROUNDS; m <= 1278; m += DEFAULT_ROUNDS) {
            const int columns = between(1, 20);
            VrcnnLayer l = {0};
            add_branch(&l, 16, kernel_sizes[q % 3 / 2], 1, q, m, ONE_TAP, TIES);
            Case c = make_case("rounding", l, FEW, columns, 0);
            expect_residual(&c, q, m);
            check_all(&c, &columns, 1);
            give_back();
        }
}

/* ---- pictures ---- */

enum { NETWORKS = 3 /* of the kind luma */, JOINT = NETWORKS /* and one more */, THREAD_COUNTS = 3, PLANE_GUARD = 256 };

static const int thread_counts[THREAD_COUNTS] = {1, 2, 5};

/* A plane in memory of exactly its size and PLANE_GUARD bytes on both sides. */
typedef struct Picture {
    uint8_t *memory;
    size_t size;
    VrcnnPlane plane;
} Picture;

static Picture make_picture(int width, int height, int bit_depth)
{
    Picture p;
    const int bytes = bit_depth > 8 ? 2 : between(1, 2);
    const ptrdiff_t stride = (ptrdiff_t)width * bytes + (between(0, 3) ? between(0, 37) : 0);
    const int upside_down = between(0, 1), unaligned = between(0, 3) ? between(0, 63) : 0;
    p.size = (size_t)(stride * (height - 1)) + (size_t)width * (size_t)bytes + 2 * PLANE_GUARD + (size_t)unaligned;
    p.memory = take(p.size);
    p.plane.data = p.memory + PLANE_GUARD + unaligned + (upside_down ? stride * (height - 1) : 0);
    p.plane.stride = upside_down ? -stride : stride;
    p.plane.width = width;
    p.plane.height = height;
    p.plane.bit_depth = bit_depth;
    p.plane.bytes_per_sample = bytes;
    return p;
}

static uint8_t *sample_at(const VrcnnPlane *p, int x, int y)
{
    return (uint8_t *)p->data + y * p->stride + (ptrdiff_t)x * p->bytes_per_sample;
}

static void set_sample(const VrcnnPlane *p, int x, int y, int value)
{
    const uint16_t v = (uint16_t)value;
    if (p->bytes_per_sample == 1)
        *sample_at(p, x, y) = (uint8_t)value;
    else
        memcpy(sample_at(p, x, y), &v, sizeof v);
}

static int get_sample(const VrcnnPlane *p, int x, int y)
{
    uint16_t v;
    if (p->bytes_per_sample == 1)
        return *sample_at(p, x, y);
    memcpy(&v, sample_at(p, x, y), sizeof v);
    return v;
}

static VrcnnConstPlane constant(const VrcnnPlane *p)
{
    const VrcnnConstPlane c = {p->data, p->stride, p->width, p->height, p->bit_depth, p->bytes_per_sample};
    return c;
}

static void fill_picture(const Picture *p, Content content)
{
    const int most = (1 << p->plane.bit_depth) - 1, low = between(0, 1) ? 0 : most / 2 - 2, high = low ? most / 2 + 2 : most;
    memset(p->memory, between(0, 255), p->size);
    for (int y = 0; y < p->plane.height; y++)
        for (int x = 0; x < p->plane.width; x++)
            set_sample(&p->plane, x, y, content == FEW ? most / 2 + between(-3, 3) : source_value(content, low, high, y, x, x));
}

typedef struct Contexts {
    VrcnnModel *model;
    VrcnnContext *reference;
    VrcnnContext *context[MAX_KERNELS][THREAD_COUNTS];
} Contexts;

static VrcnnContext *open_context(const VrcnnModel *model, int kernel, int threads)
{
    VrcnnContext *context;
    VrcnnSettings settings;
    vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = threads;
    const VrcnnError error = vrcnn_open(&context, model, &settings);
    if (error) {
        fprintf(stderr, "checkkernel: %s with %d threads does not open: %s\n", vrcnn_kernel_name(kernel), threads, vrcnn_strerror(error));
        exit(1);
    }
    return context;
}

/* How many layers before layer l one lies that it can add; 0: there is none. */
static int any_addend(const VrcnnNetwork *n, int l)
{
    int found = 0;
    for (int before = 1, count = 0; before <= VRCNN_MOST_ADDED && before <= l; before++)
        if (n->layer[l - before].outputs == n->layer[l].outputs && between(0, count++) == 0)
            found = before;
    return found;
}

static VrcnnNetwork random_network(int layers, int most_channels)
{
    VrcnnNetwork n = {0};
    int inputs = 1;
    n.layers = layers;
    for (int l = 0; l < layers; l++) {
        n.layer[l] = random_layer(inputs, most_channels, l == layers - 1);
        if (n.layer[l].added)
            n.layer[l].added = any_addend(&n, l);
        inputs = n.layer[l].outputs;
    }
    return n;
}

static VrcnnNetwork joint_network(void)
{
    VrcnnNetwork n = {0};
    const int channels = between(0, 1) ? 32 : 16 * between(1, 5);
    n.kind = VRCNN_JOINT;
    n.heads = between(1, VRCNN_MAX_HEADS);
    n.layers = between(3, 8);
    for (int l = 0; l < n.layers - 1; l++) {
        n.layer[l] =
            joint_layer(l ? between(1, 2) : 0, channels, between(0, 3) ? 3 : kernel_sizes[between(0, 2)], RANDOM_WEIGHTS, SMALL_BIASES);
        if (n.layer[l].added)
            n.layer[l].added = any_addend(&n, l);
    }
    VrcnnLayer *last = &n.layer[n.layers - 1];
    *last = joint_last(channels, 3, n.heads, RANDOM_WEIGHTS, SMALL_BIASES);
    for (int b = 0; b < 2; b++) /* residuals that do not all saturate */
        last->branch[b].shift = between(3, 6);
    return n;
}

/* VRCNN (random or as shipped), something deep, something wide, and something joint. */
static Contexts open_contexts(const VrcnnNetwork *shipped)
{
    Contexts c;
    c.model = take(sizeof *c.model + (NETWORKS + 1) * sizeof *c.model->network);
    c.model->networks = NETWORKS + 1;
    c.model->network[0].layers = 4;
    for (int l = 0; l < 4; l++)
        c.model->network[0].layer[l] = vrcnn_layer(l, -1, 0, RANDOM_WEIGHTS, SMALL_BIASES);
    if (shipped)
        c.model->network[0] = *shipped;
    c.model->network[1] = random_network(between(5, 9), 32);
    c.model->network[2] = random_network(between(2, 4), between(0, 3) ? 96 : 256);
    c.model->network[JOINT] = joint_network();
    c.reference = open_context(c.model, VRCNN_KERNEL_SCALAR, 1);
    for (int k = 0; k < kernel_count; k++)
        for (int t = 0; t < THREAD_COUNTS; t++)
            c.context[k][t] = open_context(c.model, kernels[k].id, thread_counts[t]);
    return c;
}

static void close_contexts(Contexts *c)
{
    vrcnn_close(c->reference);
    for (int k = 0; k < kernel_count; k++)
        for (int t = 0; t < THREAD_COUNTS; t++)
            vrcnn_close(c->context[k][t]);
}

/* Both were given the same guards before the call, so that every byte must be the same. */
static void compare_pictures(Kernel *kernel, int error, const Picture *got, const Picture *wanted, int samples)
{
    char text[160];
    kernel->pictures++;
    kernel->samples += (unsigned)samples;
    if (error) {
        snprintf(text, sizeof text, ": %s", vrcnn_strerror(error));
        differs(kernel, text);
        return;
    }
    if (!memcmp(got->memory, wanted->memory, got->size))
        return;
    for (int y = 0; y < got->plane.height; y++)
        for (int x = 0; x < got->plane.width; x++)
            if (get_sample(&got->plane, x, y) != get_sample(&wanted->plane, x, y)) {
                snprintf(text, sizeof text, ": row %d, column %d: got %d, expected %d", y, x, get_sample(&got->plane, x, y),
                         get_sample(&wanted->plane, x, y));
                differs(kernel, text);
                return;
            }
    differs(kernel, ": written outside the picture");
}

static void describe_picture(const Kernel *kernel, const char *function, int threads, const Picture *dst, const Picture *src, int network)
{
    snprintf(doing, sizeof doing, "%s: %s, %d threads, network %d, %dx%d, %d bit, bytes %d to %d, strides %td to %td", kernel->name,
             function, threads, network, src->plane.width, src->plane.height, src->plane.bit_depth, src->plane.bytes_per_sample,
             dst->plane.bytes_per_sample, src->plane.stride, dst->plane.stride);
}

static Picture blank_like(const Picture *p, int guard)
{
    Picture copy = *p;
    copy.memory = take(p->size);
    copy.plane.data = copy.memory + ((uint8_t *)p->plane.data - p->memory);
    memset(copy.memory, guard, copy.size);
    return copy;
}

/* The whole picture; `threads` of thread_counts. */
static void check_picture(const Contexts *c, int network, int width, int height, int threads)
{
    const int bit_depth = between(8, 10), scale = between(0, 1) ? VRCNN_SCALE_TRAINED : between(1, 10);
    const Picture src = make_picture(width, height, bit_depth), wanted = make_picture(width, height, bit_depth);
    fill_picture(&src, (Content)(between(0, 1) ? RANDOM_CONTENT : between(0, CONTENTS - 1)));
    memset(wanted.memory, 0xa5, wanted.size);
    const VrcnnConstPlane from = constant(&src.plane);
    vrcnn_filter_picture(c->reference, network, scale, &wanted.plane, &from);
    for (int k = 0; k < kernel_count; k++)
        for (int t = 0; t < threads; t++) {
            const Picture got = blank_like(&wanted, 0xa5);
            describe_picture(kernels + k, "vrcnn_filter_picture", thread_counts[t], &got, &src, network);
            const int error = vrcnn_filter_picture(c->context[k][t], network, scale, &got.plane, &from);
            compare_pictures(kernels + k, error, &got, &wanted, width * height);
        }
}

/* Copies the samples of a region. */
static void copy_region(const Picture *to, const Picture *from, int x0, int y0, int width, int height)
{
    for (int y = y0; y < y0 + height && y < to->plane.height; y++)
        for (int x = x0; x < x0 + width && x < to->plane.width; x++)
            set_sample(&to->plane, x, y, get_sample(&from->plane, x, y));
}

static void check_region(const Contexts *c, int network, int width, int height)
{
    const int bit_depth = between(8, 10), x = between(0, width - 1), y = between(0, height - 1);
    const int across = between(1, width - x), down = between(1, height - y);
    const Picture src = make_picture(width, height, bit_depth), whole = make_picture(width, height, bit_depth);
    fill_picture(&src, RANDOM_CONTENT);
    const VrcnnConstPlane from = constant(&src.plane);
    vrcnn_filter_picture(c->reference, network, 8, &whole.plane, &from);
    const Picture wanted = blank_like(&whole, 0x5a);
    copy_region(&wanted, &whole, x, y, across, down);
    for (int k = 0; k < kernel_count; k++)
        for (int t = 0; t < THREAD_COUNTS; t++) {
            const Picture got = blank_like(&whole, 0x5a);
            describe_picture(kernels + k, "vrcnn_filter_region", thread_counts[t], &got, &src, network);
            const int error = vrcnn_filter_region(c->context[k][t], network, 8, &got.plane, &from, x, y, across, down);
            compare_pictures(kernels + k, error, &got, &wanted, across * down);
        }
}

/* An even region's end: the picture's or any. */
static int even_part(int size, int begin)
{
    return between(0, 1) || size - begin < 2 ? size - begin : 2 * between(1, (size - begin) / 2);
}

/* A region of three planes, or of luma alone, through the joint network; `threads` of thread_counts. */
static void check_planes(const Contexts *c, int width, int height, int threads)
{
    const int depth[2] = {between(8, 10), between(8, 10)}, planes = between(0, 5) ? 3 : 1, heads = c->model->network[JOINT].heads;
    const int whole = between(0, 1), x = whole ? 0 : 2 * between(0, (width - 1) / 2), y = whole ? 0 : 2 * between(0, (height - 1) / 2);
    const int across = whole ? width : even_part(width, x), down = whole ? height : even_part(height, y);
    VrcnnWeights weights = {{0}, {0}};
    VrcnnConstPlane from[3] = {{0}};
    VrcnnPlane to[3] = {{0}};
    Picture src[3], wanted[3];
    for (int h = 0; h < heads; h++) {
        weights.luma[h] = between(heads > 1 ? -5 : 1, 10);
        weights.chroma[h] = between(heads > 1 ? -5 : 1, 10);
    }
    for (int p = 0; p < planes; p++) {
        src[p] = make_picture(p ? (width + 1) / 2 : width, p ? (height + 1) / 2 : height, depth[p > 0]);
        wanted[p] = make_picture(src[p].plane.width, src[p].plane.height, depth[p > 0]);
        fill_picture(&src[p], (Content)(between(0, 1) ? RANDOM_CONTENT : between(0, CONTENTS - 1)));
        memset(wanted[p].memory, 0xa5, wanted[p].size);
        from[p] = constant(&src[p].plane);
        to[p] = wanted[p].plane;
    }
    vrcnn_filter_planes_region(c->reference, JOINT, &weights, to, from, x, y, across, down);
    for (int k = 0; k < kernel_count; k++)
        for (int t = 0; t < threads; t++) {
            Picture got[3];
            for (int p = 0; p < planes; p++) {
                got[p] = blank_like(&wanted[p], 0xa5);
                to[p] = got[p].plane;
            }
            describe_picture(kernels + k, "vrcnn_filter_planes_region", thread_counts[t], got, src, JOINT);
            const int error = vrcnn_filter_planes_region(c->context[k][t], JOINT, &weights, to, from, x, y, across, down);
            for (int p = 0; p < planes; p++)
                compare_pictures(kernels + k, error, &got[p], &wanted[p], p ? (across + 1) / 2 * ((down + 1) / 2) : across * down);
        }
}

static void check_units(const Contexts *c, int width, int height)
{
    const int bit_depth = between(8, 10), size = 64 << between(0, 1), across = (width + size - 1) / size;
    const int count = across * ((height + size - 1) / size);
    const Picture src = make_picture(width, height, bit_depth), any = make_picture(width, height, bit_depth);
    const Picture wanted = blank_like(&any, 0x5a);
    const VrcnnConstPlane from = constant(&src.plane);
    uint8_t *unit = take((size_t)count);
    VrcnnUnits units = {size, NETWORKS, {0, 1, 2}, between(1, 10), unit};
    fill_picture(&src, RANDOM_CONTENT);
    for (int i = 0; i < count; i++)
        unit[i] = (uint8_t)between(0, NETWORKS);
    for (int network = 0; network < NETWORKS; network++) {
        vrcnn_filter_picture(c->reference, network, units.scale, &any.plane, &from);
        for (int i = 0; i < count; i++)
            if (unit[i] == network + 1)
                copy_region(&wanted, &any, i % across * size, i / across * size, size, size);
    }
    for (int k = 0; k < kernel_count; k++)
        for (int t = 0; t < THREAD_COUNTS; t++) {
            const Picture got = blank_like(&any, 0x5a);
            describe_picture(kernels + k, "vrcnn_filter_units", thread_counts[t], &got, &src, -1);
            const int error = vrcnn_filter_units(c->context[k][t], &units, &got.plane, &from);
            compare_pictures(kernels + k, error, &got, &wanted, width * height);
        }
}

/* Values of a hidden layer; the rows of values pass as those of a picture. */
static void check_hidden(const Contexts *c, int network, int width, int height)
{
    const int layer = between(0, c->model->network[network].layers - 2), channels = c->model->network[network].layer[layer].outputs;
    const int x = between(0, width - 1), y = between(0, height - 1), across = between(1, width - x), down = between(1, height - y);
    const Picture src = make_picture(width, height, between(8, 10));
    fill_picture(&src, RANDOM_CONTENT);
    const VrcnnConstPlane from = constant(&src.plane);
    Picture wanted = make_picture(across * channels, down, 8);
    while (wanted.plane.bytes_per_sample != 1)
        wanted = make_picture(across * channels, down, 8);
    memset(wanted.memory, 0x5a, wanted.size);
    vrcnn_filter_layer(c->reference, network, layer, wanted.plane.data, wanted.plane.stride, &from, x, y, across, down);
    for (int k = 0; k < kernel_count; k++)
        for (int t = 0; t < THREAD_COUNTS; t++) {
            const Picture got = blank_like(&wanted, 0x5a);
            describe_picture(kernels + k, "vrcnn_filter_layer", thread_counts[t], &got, &src, network);
            const int error =
                vrcnn_filter_layer(c->context[k][t], network, layer, got.plane.data, got.plane.stride, &from, x, y, across, down);
            compare_pictures(kernels + k, error, &got, &wanted, across * down);
        }
}

static void check_pictures(int round, const VrcnnModel *builtin)
{
    Contexts c = open_contexts(round % 2 ? builtin->network + between(0, builtin->networks - 1) : NULL);
    Taken *const kept = taken;
    taken = NULL;
    for (int width = 1; width <= SWEEP; width++, give_back())
        if (width % (NETWORKS + 1) == round % (NETWORKS + 1))
            check_planes(&c, width, between(1, 18), 1);
        else
            check_picture(&c, (width + round) % NETWORKS, width, between(1, 9), 1);
    for (int network = 0; network < NETWORKS; network++, give_back()) {
        const int most = network == 2 ? 60 : 150;
        check_picture(&c, network, between(1, most), between(1, most), THREAD_COUNTS);
        check_region(&c, network, between(1, most), between(1, most));
        check_hidden(&c, network, between(1, most), between(1, most));
    }
    check_picture(&c, 0, between(600, 1400), between(1, 9), THREAD_COUNTS); /* wider than the library cuts them */
    check_picture(&c, 1, between(600, 1400), between(10, 20), THREAD_COUNTS);
    check_units(&c, between(1, 200), between(1, 150));
    for (int i = 0; i < 3; i++, give_back())
        check_planes(&c, between(1, 300), between(1, 150), THREAD_COUNTS);
    check_planes(&c, between(1300, 3000), between(1, 18), THREAD_COUNTS);
    give_back();
    close_contexts(&c);
    taken = kept;
    give_back();
}

/* ---- counted samples ---- */

/* The built-in networks in turn, and random weights in VRCNN's shape. */
static VrcnnModel *model_for_counting(const VrcnnModel *builtin)
{
    const int networks = builtin->networks < VRCNN_MAX_NETWORKS ? builtin->networks : VRCNN_MAX_NETWORKS - 1;
    VrcnnModel *model = take(sizeof *model + ((size_t)networks + 1) * sizeof *model->network);
    model->networks = networks + 1;
    memcpy(model->network, builtin->network, (size_t)networks * sizeof *model->network);
    model->network[networks].layers = 4;
    for (int l = 0; l < 4; l++)
        model->network[networks].layer[l] = vrcnn_layer(l, -1, 0, RANDOM_WEIGHTS, SMALL_BIASES);
    return model;
}

/* Slopes, edges and noise: what residuals of all sizes come from. */
static void fill_like_a_scene(const Picture *p)
{
    const int most = (1 << p->plane.bit_depth) - 1, across = between(3, 90), down = between(3, 90),
              noise = between(0, 40) * (most + 1) / 256;
    for (int y = 0; y < p->plane.height; y++)
        for (int x = 0; x < p->plane.width; x++) {
            const int edge = (x / across + y / down) % 2 * (most / 3), slope = (x + 2 * y) % (most + 1) / 2;
            set_sample(&p->plane, x, y, to_i32(edge + slope + between(-noise, noise), 0, most));
        }
}

static uint64_t count_differences(const Picture *a, const Picture *b)
{
    uint64_t count = 0;
    for (int y = 0; y < a->plane.height; y++)
        for (int x = 0; x < a->plane.width; x++)
            count += get_sample(&a->plane, x, y) != get_sample(&b->plane, x, y);
    return count;
}

/* Every kernel against the fastest one, until `samples` of each have been compared. Returns 1 after a difference. */
static int compare_samples(const VrcnnModel *builtin, uint64_t samples)
{
    const int is_large = samples >= 1920 * 1080, width = is_large ? 1920 : 160, height = is_large ? 1080 : 96;
    const VrcnnModel *model = model_for_counting(builtin);
    VrcnnContext *reference = open_context(model, VRCNN_KERNEL_AUTO, thread_counts[1]);
    Taken *const kept = taken;
    int failed = 0;
    taken = NULL;
    printf("compared with kernel %s\n", vrcnn_kernel_name(vrcnn_context_kernel(reference)));
    for (int i = 0; i < kernel_count; i++) {
        uint64_t compared = 0, differ = 0;
        if (kernels[i].id == vrcnn_context_kernel(reference))
            continue;
        VrcnnContext *context = open_context(model, kernels[i].id, thread_counts[1]);
        for (int picture = 0; compared < samples; picture++, give_back()) {
            const int bit_depth = between(8, 10), network = picture % model->networks,
                      scale = picture % 3 ? VRCNN_SCALE_TRAINED : between(1, 10);
            const Picture src = make_picture(width, height, bit_depth), wanted = make_picture(width, height, bit_depth);
            const Picture got = blank_like(&wanted, 0xa5);
            const VrcnnConstPlane from = constant(&src.plane);
            fill_like_a_scene(&src);
            if (vrcnn_filter_picture(reference, network, scale, &wanted.plane, &from) ||
                vrcnn_filter_picture(context, network, scale, &got.plane, &from))
                exit(1);
            differ += count_differences(&got, &wanted);
            compared += (uint64_t)width * (uint64_t)height;
        }
        printf("kernel %s: %" PRIu64 " samples compared, %" PRIu64 " differ\n", kernels[i].name, compared, differ);
        failed |= differ > 0;
        vrcnn_close(context);
    }
    vrcnn_close(reference);
    taken = kept;
    give_back();
    return failed;
}

/* ---- the program ---- */

static int usage(const char *problem, const char *word)
{
    fprintf(stderr, "checkkernel: %s%s (usage: checkkernel [--kernel NAME] [--only calls|pictures] [--rounds N] [--samples N] [SEED])\n",
            problem, word);
    return 2;
}

static void find_kernels(const char *wanted)
{
    char missing[256] = "";
    for (int id = VRCNN_KERNEL_AUTO + 1; vrcnn_kernel_name(id) && kernel_count < MAX_KERNELS; id++) {
        Kernel *k = kernels + kernel_count;
        k->id = id;
        k->name = vrcnn_kernel_name(id);
        if (wanted && strcmp(wanted, k->name) != 0)
            continue;
        if (vrcnn_kernel_table(&k->table, (VrcnnKernel)id)) {
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s%s", *missing ? ", " : "", k->name);
        } else if ((int)k->table.kernel != id) {
            fprintf(stderr, "checkkernel: the table of %s says that it is kernel %d\n", k->name, (int)k->table.kernel);
            exit(1);
        } else {
            kernel_count++;
        }
    }
    if (*missing)
        printf("not run here: %s\n", missing);
}

int main(int argc, char **argv)
{
    const char *wanted = NULL, *only = "";
    int rounds = DEFAULT_ROUNDS;
    uint64_t samples = 0;
    VrcnnModel *builtin;
    char *end;
    seed = (uint64_t)time(NULL);
    for (int i = 1; i < argc; i++) {
        const int last = i + 1 == argc;
        if (!strcmp(argv[i], "--kernel") && !last) {
            wanted = argv[++i];
        } else if (!strcmp(argv[i], "--only") && !last) {
            only = argv[++i];
            if (strcmp(only, "calls") != 0 && strcmp(only, "pictures") != 0)
                return usage("--only takes calls or pictures, not ", only);
        } else if (!strcmp(argv[i], "--rounds") && !last) {
            const long n = strtol(argv[++i], &end, 10);
            if (*end || end == argv[i] || n < 1 || n > 1000000)
                return usage("--rounds takes a number from 1 on, not ", argv[i]);
            rounds = (int)n;
        } else if (!strcmp(argv[i], "--samples") && !last) {
            samples = strtoull(argv[++i], &end, 10);
            if (*end || end == argv[i] || *argv[i] == '-' || !samples)
                return usage("--samples takes a number from 1 on, not ", argv[i]);
        } else {
            seed = strtoull(argv[i], &end, 10);
            if (*end || end == argv[i])
                return usage("unexpected argument ", argv[i]);
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("checkkernel: seed %" PRIu64 "\n", seed);
    state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    find_kernels(wanted);
    if (!kernel_count)
        return usage("no such kernel here: ", wanted ? wanted : "");
    watch();
    make_arenas();
    const VrcnnError error = vrcnn_model_builtin(&builtin, VRCNN_BEFORE_DEBLOCKING);
    if (error) {
        fprintf(stderr, "checkkernel: built-in model: %s\n", vrcnn_strerror(error));
        return 1;
    }
    if (samples) {
        const int differ = compare_samples(builtin, samples);
        vrcnn_model_free(builtin);
        return differ;
    }
    for (int round = 0; round < rounds; round++) {
        if (strcmp(only, "pictures") != 0) {
            check_extremes();
            check_vrcnn_layers(round, builtin);
            check_joint_layers(round);
            check_any_layers(round);
            check_last_rounding(round);
        }
        if (strcmp(only, "calls") != 0)
            check_pictures(round, builtin);
    }
    vrcnn_model_free(builtin);
    int failed = 0;
    for (int i = 0; i < kernel_count; i++) {
        const Kernel *k = kernels + i;
        printf("%-10s %llu values of %llu calls, %llu samples of %llu pictures: ", k->name, k->values, k->calls, k->samples, k->pictures);
        if (k->differences)
            printf("%llu DIFFERENCES\n", k->differences);
        else
            printf("all equal\n");
        failed |= k->differences > 0;
    }
    return failed;
}
