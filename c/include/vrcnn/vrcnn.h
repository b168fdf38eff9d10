/* vrcnn-int: integer-only CNN in-loop filter for HEVC luma. What is computed: SPECIFICATION.md.
 *
 * Rules that hold for every function:
 *  - Nothing here prints, aborts or exits. A function that can fail returns VRCNN_OK or a negative VrcnnError, and on failure has
 *    written nothing to its outputs (an `out` handle is set to NULL), except where its comment says otherwise.
 *  - Pointers may not be NULL unless the comment says so; a NULL is answered with VRCNN_ERROR_ARGUMENT.
 *  - The library has no mutable global state. A VrcnnModel may be read by any number of threads at once. A VrcnnContext serves one
 *    call at a time; use one for each thread.
 *  - Samples and model files need no alignment in memory.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_VRCNN_H
#define VRCNN_VRCNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VRCNN_API __attribute__((visibility("default")))
#else
#define VRCNN_API
#endif

#define VRCNN_VERSION_MAJOR 0
#define VRCNN_VERSION_MINOR 1
#define VRCNN_VERSION_PATCH 0

#define VRCNN_ID_SIZE 32       /* bytes of a model set's identity, a SHA-256 */
#define VRCNN_MAX_NETWORKS 32  /* networks in a model set */
#define VRCNN_MAX_LAYERS 32    /* layers in a network */
#define VRCNN_MAX_CHANNELS 256 /* output channels of a layer */
#define VRCNN_MAX_SIZE 16384   /* samples, width or height of a plane */
#define VRCNN_SCALE_TRAINED 8  /* the output scale that leaves the residual as it was trained */

typedef enum VrcnnError {
    VRCNN_OK = 0,
    VRCNN_ERROR_ARGUMENT = -1,            /* a pointer is NULL, or a settings struct has a size that no version of it had */
    VRCNN_ERROR_MEMORY = -2,              /* no memory */
    VRCNN_ERROR_TRUNCATED = -3,           /* model: it ends before the size that its header states, or before its header does */
    VRCNN_ERROR_NOT_A_MODEL = -4,         /* model: it does not begin with VRCNNINT */
    VRCNN_ERROR_VERSION = -5,             /* model: a version that this library does not know */
    VRCNN_ERROR_SIZE = -6,                /* model: longer than its header states, or the networks do not fill that size exactly */
    VRCNN_ERROR_CHECKSUM = -7,            /* model: its bytes do not give its identity */
    VRCNN_ERROR_LIMIT = -8,               /* model: a field is out of the range of SPECIFICATION.md, section 3 */
    VRCNN_ERROR_OVERFLOW = -9,            /* model: an accumulator could leave 32 bits */
    VRCNN_ERROR_POSITION = -10,           /* no such position, or no network (no built-in set) for it */
    VRCNN_ERROR_QP = -11,                 /* QP outside -12..51 */
    VRCNN_ERROR_KERNEL_UNKNOWN = -12,     /* not one of VrcnnKernel */
    VRCNN_ERROR_KERNEL_UNSUPPORTED = -13, /* this build or this CPU has no such kernel */
    VRCNN_ERROR_INDEX = -14,              /* no network of this index in the set */
    VRCNN_ERROR_LAYER = -15,              /* the network has no hidden layer of this number */
    VRCNN_ERROR_SCALE = -16,              /* output scale outside 1..10 */
    VRCNN_ERROR_BIT_DEPTH = -17,          /* bit depth outside 8..10 */
    VRCNN_ERROR_PLANE = -18,              /* plane: size, stride or bytes per sample out of range; or dst and src differ in size or depth */
    VRCNN_ERROR_REGION = -19,             /* the region is empty or not inside the picture */
    VRCNN_ERROR_OVERLAP = -20             /* dst and src share memory */
} VrcnnError;

/* Sets of kernels, numbered from 0 without gaps. Every one of them gives the same bits. */
typedef enum VrcnnKernel {
    VRCNN_KERNEL_AUTO = 0, /* the fastest that is supported here */
    VRCNN_KERNEL_SCALAR = 1,
    VRCNN_KERNEL_AVX2 = 2,
    VRCNN_KERNEL_AVXVNNI = 3,
    VRCNN_KERNEL_AVX512VNNI = 4,
    VRCNN_KERNEL_AMX = 5,
    VRCNN_KERNEL_NEON_DOT = 6,
    VRCNN_KERNEL_NEON_I8MM = 7,
    VRCNN_KERNEL_CUDA = 8
} VrcnnKernel;

/* Where in the codec a network's input samples are taken. */
typedef enum VrcnnPosition { VRCNN_BEFORE_DEBLOCKING = 0, VRCNN_AFTER_SAO = 1 } VrcnnPosition;

/* Bits of vrcnn_cpu_flags. */
enum {
    VRCNN_CPU_AVX2 = 1 << 0,
    VRCNN_CPU_AVXVNNI = 1 << 1,
    VRCNN_CPU_AVX512VNNI = 1 << 2, /* with AVX512F, BW and VL */
    VRCNN_CPU_AMX = 1 << 3,        /* AMX-INT8 in CPU and OS; a process has yet to be granted its use */
    VRCNN_CPU_NEON_DOT = 1 << 4,
    VRCNN_CPU_NEON_I8MM = 1 << 5
};

/* A model set: 1 to 32 networks and one identity. Immutable. */
typedef struct VrcnnModel VrcnnModel;

/* A model set made ready for one kind of kernel, with all the memory that filtering needs. */
typedef struct VrcnnContext VrcnnContext;

/* A luma plane. data points to the sample at the top left; row y begins y * stride bytes on (stride may be negative, and odd).
 * Samples of two bytes are in the machine's byte order. |stride| is at least width * bytes_per_sample unless height is 1. */
typedef struct VrcnnPlane {
    void *data;
    ptrdiff_t stride;     /* bytes */
    int width, height;    /* samples, 1..16384 */
    int bit_depth;        /* 8..10 */
    int bytes_per_sample; /* 1 (bit depth 8 only) or 2 */
} VrcnnPlane;

/* The same, to read from. A two-byte sample above (1 << bit_depth) - 1 is taken to be that value. */
typedef struct VrcnnConstPlane {
    const void *data;
    ptrdiff_t stride;
    int width, height;
    int bit_depth;
    int bytes_per_sample;
} VrcnnConstPlane;

/* Fill with vrcnn_default_settings, then change what is wanted. Later versions add fields at the end. */
typedef struct VrcnnSettings {
    size_t size; /* sizeof(VrcnnSettings) where the caller was compiled */
    VrcnnKernel kernel;
} VrcnnSettings;

/* What vrcnn_model_load objects to. A number is -1 where it does not apply. */
typedef struct VrcnnFault {
    int network, layer, branch, channel;
    int64_t value;     /* the value that is refused; for VRCNN_ERROR_OVERFLOW the bound of the accumulator */
    const char *field; /* its name in SPECIFICATION.md: a constant string, never NULL, "" where none applies */
} VrcnnFault;

typedef struct VrcnnNetworkInfo {
    int nominal_qp;
    VrcnnPosition position;
    int layers;                     /* the last one included */
    int halo;                       /* samples on each side that a filtered sample depends on */
    int channels[VRCNN_MAX_LAYERS]; /* output channels of each layer, 0 beyond the last */
} VrcnnNetworkInfo;

/* The library's version: major << 16 | minor << 8 | patch. */
VRCNN_API unsigned vrcnn_version(void);

/* One line on an error code, without a full stop; a constant string, never NULL, for any value. */
VRCNN_API const char *vrcnn_strerror(int error);

/* What this CPU and operating system offer, as VRCNN_CPU_ bits. */
VRCNN_API unsigned vrcnn_cpu_flags(void);

/* The word for a kernel ("auto", "scalar", ...), a constant string; NULL if there is none: count up from 0 to list them all. */
VRCNN_API const char *vrcnn_kernel_name(int kernel);

/* 1 if a context with this kernel can be opened here, 0 if not or if there is no such kernel. */
VRCNN_API int vrcnn_kernel_supported(int kernel);

/* Writes the defaults, and size, into the first `size` bytes: call it with sizeof *settings.
 * VRCNN_ERROR_ARGUMENT: NULL, or size smaller than the struct ever was. */
VRCNN_API VrcnnError vrcnn_default_settings(VrcnnSettings *settings, size_t size);

/* The model set compiled into the library for a position. The caller frees *out with vrcnn_model_free.
 * VRCNN_ERROR_ARGUMENT; VRCNN_ERROR_POSITION: none is built in for it; VRCNN_ERROR_MEMORY. */
VRCNN_API VrcnnError vrcnn_model_builtin(VrcnnModel **out, VrcnnPosition position);

/* Reads a model set file from memory; data may be freed afterwards. Everything in it is checked, nothing is believed. The caller frees
 * *out with vrcnn_model_free. fault may be NULL; otherwise it is always written: all -1 and "" unless the error is LIMIT or OVERFLOW.
 * VRCNN_ERROR_ARGUMENT, MEMORY, TRUNCATED, NOT_A_MODEL, VERSION, SIZE, CHECKSUM, LIMIT, OVERFLOW. */
VRCNN_API VrcnnError vrcnn_model_load(VrcnnModel **out, const void *data, size_t size, VrcnnFault *fault);

/* NULL is allowed. Contexts that were opened on the model stay valid. */
VRCNN_API void vrcnn_model_free(VrcnnModel *model);

/* Writes the identity. VRCNN_ERROR_ARGUMENT. */
VRCNN_API VrcnnError vrcnn_model_id(const VrcnnModel *model, uint8_t id[VRCNN_ID_SIZE]);

/* How many networks the set has, or VRCNN_ERROR_ARGUMENT. */
VRCNN_API int vrcnn_model_networks(const VrcnnModel *model);

/* VRCNN_ERROR_ARGUMENT, VRCNN_ERROR_INDEX. */
VRCNN_API VrcnnError vrcnn_model_network_info(const VrcnnModel *model, int index, VrcnnNetworkInfo *info);

/* The index of the network that an encoder uses for this QP unless it knows better, or a negative error:
 * VRCNN_ERROR_ARGUMENT; VRCNN_ERROR_QP; VRCNN_ERROR_POSITION: not a position, or no network of the set is meant for it. */
VRCNN_API int vrcnn_model_index_for_qp(const VrcnnModel *model, VrcnnPosition position, int qp);

/* Takes all memory that filtering will need. settings may be NULL (defaults). Keeps no reference to model or settings. The caller closes
 * *out with vrcnn_close. VRCNN_ERROR_ARGUMENT: NULL, settings->size too small, or bytes set beyond the fields that this version knows;
 * VRCNN_ERROR_MEMORY; VRCNN_ERROR_KERNEL_UNKNOWN; VRCNN_ERROR_KERNEL_UNSUPPORTED. */
VRCNN_API VrcnnError vrcnn_open(VrcnnContext **out, const VrcnnModel *model, const VrcnnSettings *settings);

/* NULL is allowed. No call may be using the context. */
VRCNN_API void vrcnn_close(VrcnnContext *context);

/* The kernel that the context uses, never VRCNN_KERNEL_AUTO; or VRCNN_ERROR_ARGUMENT. */
VRCNN_API int vrcnn_context_kernel(const VrcnnContext *context);

/* Filters a whole picture with network `index` and output scale 1..10 (8: as trained). dst and src have the same width, height and bit
 * depth; their bytes per sample may differ. They may not overlap: the memory from a plane's first to its last sample, whatever lies
 * between its rows, counts as the plane's. Only samples are written, not what lies between rows. Allocates nothing.
 * VRCNN_ERROR_ARGUMENT, INDEX, SCALE, PLANE, BIT_DEPTH, OVERLAP; dst is untouched after any of them. */
VRCNN_API VrcnnError vrcnn_filter_picture(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src);

/* As vrcnn_filter_picture, but writes only the samples of the region, with the bits that the whole picture would give there. dst and src
 * describe the whole picture; src is read up to the network's halo around the region. Also VRCNN_ERROR_REGION. */
VRCNN_API VrcnnError vrcnn_filter_region(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                                         int x, int y, int width, int height);

/* The outputs (0..127) of hidden layer 0 .. layers - 2 for a region of the picture, to find where two implementations first differ.
 * dst: height rows, dst_stride bytes apart, of width samples of as many bytes as the layer has channels (VrcnnNetworkInfo); the first
 * belongs to the sample (x, y). dst_stride may be negative; its amount is at least a row's bytes unless height is 1. Allocates nothing.
 * VRCNN_ERROR_ARGUMENT, INDEX, LAYER, BIT_DEPTH, REGION, OVERLAP, PLANE (also for dst_stride); dst is untouched after any of them. */
VRCNN_API VrcnnError vrcnn_filter_layer(VrcnnContext *context, int index, int layer, uint8_t *dst, ptrdiff_t dst_stride,
                                        const VrcnnConstPlane *src, int x, int y, int width, int height);

#ifdef __cplusplus
}
#endif

#endif
