/* What a set of kernels looks like. Kernels never allocate, read CPU flags or know about pictures.
 *
 * The engine (engine.c) streams rows through the layers, VRCNN_ROWS at a time. Between layers a row holds its samples side by side, and a
 * sample its channels (NHWC): unsigned bytes 0..127, in `pitch` bytes a sample. The first layer is fed x + 128 (0..255), one byte a
 * sample. Outside the picture a sample is 0 (first layer: 128, so x = 0); the engine sees to that, kernels need not know.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_CONV_H
#define VRCNN_SRC_CONV_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "vrcnn/vrcnn.h"

/* Older compilers do not know all instructions that the kernels use. (Apple's clang has version numbers of its own.) */
#if defined(__x86_64__) || defined(__aarch64__)
#if defined(__clang__) ? !defined(__apple_build_version__) && __clang_major__ < 12 : defined(__GNUC__) && __GNUC__ < 11
#error "gcc 11 or clang 12, or later, is needed"
#endif
#endif

enum {
    VRCNN_ROWS = 4,     /* rows that a call computes */
    VRCNN_COLUMNS = 16, /* a call may write up to the next multiple of this many columns */
    VRCNN_SLACK = 32    /* columns before the first and after the last (rounded up) one that may be read, and hold no secret: see below */
};

typedef struct VrcnnConv {
    int kernel_size; /* 1, 3, 5 */
    int outputs;     /* a multiple of 16; in the last layer 1, of a joint network 4 * heads (luma) and 2 * heads (chroma) */
    int shift;       /* s1, 0..15 */
    int multiplier;  /* m, 1..32767 */
} VrcnnConv;

/* One layer of a network, ready for the kernels that packed it. */
typedef struct VrcnnConvLayer {
    int inputs;  /* 1 in the first layer, 6 in a joint network's, else a multiple of 16, at most 256 */
    int outputs; /* of all branches together */
    int radius;  /* of the widest kernel: 0, 1, 2 */
    int branches;
    int heads;                /* of a joint network's last layer, 0 elsewhere */
    int added;                /* hidden layers: how many layers before it the one is whose output it adds; 0: none */
    int src_pitch, dst_pitch; /* bytes from one sample to the next; dst_pitch is 0 in the last layer */
    VrcnnConv conv[VRCNN_MAX_BRANCHES];
    const void *packed; /* 64-byte aligned, as pack wrote it; everything that the kernels need of weights and biases */
} VrcnnConvLayer;

enum {
    VRCNN_JOINT_PITCH = 8,  /* bytes from one site to the next in a joint network's input: six inputs and two bytes of anything */
    VRCNN_JOINT_OUTPUTS = 8 /* values from one site to the next in its residuals: four of luma, Cb, Cr, and two of anything */
};

/* How a joint network's last layer mixes its heads: for luma [0] and chroma [1] the shift q (0..15), and for each head (m * c_h) >> 3. */
typedef struct VrcnnMix {
    int shift[2];
    int multiplier[2][VRCNN_MAX_HEADS];
} VrcnnMix;

/* A set of kernels. In each call:
 *
 * dst[0..3]: column 0 of the rows to be written. src[0 .. 3 + 2 * radius]: column 0 of the rows that are read; src[radius + j] is the row
 * of dst[j], and column x of dst needs the columns x - radius .. x + radius of src. The kernel computes columns 0 .. columns - 1; it may
 * also write anything into columns up to the next multiple of VRCNN_COLUMNS, and into the bytes between a sample's channels and its pitch,
 * but nothing else. It may read VRCNN_SLACK columns before column 0 and after the last one, rounded up: whatever it finds there, and in the
 * bytes between channels and pitch, must not matter. Samples are aligned to 64 bytes where the pitch is a multiple of 64, else to 16 (in
 * the engine a sample that is aligned to 64 bytes in one row of a call is so in all of them: of use for speed, not to be relied on); rows
 * of the first layer's input (a joint network's: to VRCNN_JOINT_PITCH) and the last layer's dst to nothing more than their type. scratch:
 * 64-byte aligned, scratch_size bytes, one for each thread; nothing in it survives from call to call. */
typedef struct VrcnnKernelTable {
    VrcnnKernel kernel;
    int channel_multiple; /* a sample's pitch is its channels rounded up to this many bytes: 16, 32 or 64 */
    int least_pitch;      /* or this many, if they fit: 0 or 32 */
    int block_columns;    /* how many columns a call is best given; the engine walks all layers block by block. 0: whole strips */

    /* Called by each thread before its first and after its last kernel of a picture; may be NULL. */
    void (*begin)(void);
    void (*end)(void);

    size_t (*packed_size)(const VrcnnConvLayer *layer);
    /* weights[branch]: output, input, row, column; bias[branch]: as in the model, that is for x in -128..127 in the first layer. */
    void (*pack)(void *packed, const VrcnnConvLayer *layer, const int8_t *const *weights, const int32_t *const *bias);
    /* For calls of at most `columns` columns. */
    size_t (*scratch_size)(const VrcnnConvLayer *layer, int columns);

    /* The first layer; never the last as well. */
    void (*conv_first)(uint8_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, void *scratch);
    /* added: NULL, or, if the layer adds another one, column 0 of the rows that are added to those of dst; they have dst_pitch, and the
     * memory after and between them is like src's. */
    void (*conv_hidden)(uint8_t *const *dst, const uint8_t *const *src, const uint8_t *const *added, int columns,
                        const VrcnnConvLayer *layer, void *scratch);
    /* The last layer: r of SPECIFICATION.md, with shift q (0..15) and multiplier (m * c) >> 3 instead of the branch's own. */
    void (*conv_last)(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, int shift, int multiplier,
                      void *scratch);
    /* A joint network's last layer: r of SPECIFICATION.md, VRCNN_JOINT_OUTPUTS for each site. */
    void (*conv_joint)(int16_t *const *dst, const uint8_t *const *src, int columns, const VrcnnConvLayer *layer, const VrcnnMix *mix,
                       void *scratch);
} VrcnnKernelTable;

/* Bytes from one sample of so many channels to the next. */
static inline int vrcnn_pitch(const VrcnnKernelTable *table, int channels)
{
    return channels <= table->least_pitch ? table->least_pitch
                                          : (channels + table->channel_multiple - 1) / table->channel_multiple * table->channel_multiple;
}

/* Each fills the whole table. The file of each is compiled with flags of its own (kernel_flags.txt); only kernels.c decides whether
 * the machine can run it. */
void vrcnn_conv_init_c(VrcnnKernelTable *table);
#if defined(__x86_64__)
void vrcnn_conv_init_avx2(VrcnnKernelTable *table);
void vrcnn_conv_init_avxvnni(VrcnnKernelTable *table);
void vrcnn_conv_init_avx512vnni(VrcnnKernelTable *table);
void vrcnn_conv_init_amx(VrcnnKernelTable *table);
#elif defined(__aarch64__)
void vrcnn_conv_init_neon_dot(VrcnnKernelTable *table);
void vrcnn_conv_init_neon_i8mm(VrcnnKernelTable *table);
#endif

/* cpu.c: whether the operating system lets this process use the AMX tile registers. */
int vrcnn_tiles_granted(void);

/* kernels.c: the table for a kernel that the caller asks for (auto: the fastest here). */
VrcnnError vrcnn_kernel_table(VrcnnKernelTable *table, VrcnnKernel kernel);

#endif
