/* vrcnn-int: integer-only CNN in-loop filter for HEVC. What is computed: SPECIFICATION.md.
 *
 * Rules that hold for every function:
 *  - Nothing here prints, aborts or exits. A function that can fail returns VRCNN_OK or a negative VrcnnError, and on failure has
 *    written nothing to its outputs (an `out` handle is set to NULL), except where its comment says otherwise.
 *  - Pointers may not be NULL unless the comment says so; a NULL is answered with VRCNN_ERROR_ARGUMENT.
 *  - The library has no mutable global state. A VrcnnModel may be read by any number of threads at once. A VrcnnContext serves one
 *    call at a time; use one for each thread.
 *  - A child process (fork) has a copy of its parent's models, contexts, deciders and receivers. Those that no call was using at the
 *    moment of the fork may be used and closed there; they then work in the calling thread alone. New ones can be opened as anywhere.
 *  - Samples and model files need no alignment in memory.
 *  - A program runs with every library of the SOVERSION (libvrcnn.so.N) that it was linked with, of the same VRCNN_VERSION or a later one.
 *    Whatever takes away or changes a function, a constant or a struct raises SOVERSION, whatever adds one VRCNN_VERSION_MINOR. A struct
 *    that states its own size may grow. c/abi.txt records all of it for a test.
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

#define VRCNN_SIDEINFO_SIZE 256        /* bytes that the side information of a picture may have: a slice header extension */
#define VRCNN_SIDEINFO_ID_SIZE 4       /* bytes of the identity in it */
#define VRCNN_SIDEINFO_SHORT_ID_SIZE 3 /* the same in version 2 */
#define VRCNN_SEI_SIZE 53              /* bytes of the SEI message that a stream needs the filter: an RBSP */
#define VRCNN_ID_SIZE 32               /* bytes of a model set's identity, a SHA-256 */
#define VRCNN_MAX_NETWORKS 32          /* networks in a model set */
#define VRCNN_MAX_LAYERS 32            /* layers in a network */
#define VRCNN_MAX_CHANNELS 256         /* output channels of a layer */
#define VRCNN_MAX_SIZE 16384           /* samples, width or height of a plane */
#define VRCNN_MAX_THREADS 64           /* threads of a context */
#define VRCNN_MAX_CHOICES 3            /* networks that the units of one picture may choose from */
#define VRCNN_MAX_UNITS 65536          /* units of a map: the largest picture in the smallest units */
#define VRCNN_MAX_HEADS 2              /* residuals that a joint network may give for each sample */
#define VRCNN_SCALE_TRAINED 8          /* the output scale that leaves the residual as it was trained */

typedef enum VrcnnError {
    VRCNN_OK = 0,
    VRCNN_ERROR_ARGUMENT = -1,            /* a pointer is NULL, a settings struct has a size of no version, or a cost is not finite */
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
    VRCNN_ERROR_KERNEL_UNKNOWN = -12,     /* not one of VrcnnKernel, or not the word for one */
    VRCNN_ERROR_KERNEL_UNSUPPORTED = -13, /* this build or this CPU has no such kernel */
    VRCNN_ERROR_INDEX = -14,              /* no network of this index in the set */
    VRCNN_ERROR_LAYER = -15,              /* the network has no hidden layer of this number */
    VRCNN_ERROR_SCALE = -16,              /* output scale outside 1..10 */
    VRCNN_ERROR_BIT_DEPTH = -17,          /* bit depth outside 8..10, and not one of 12 that is filtered */
    VRCNN_ERROR_PLANE = -18,              /* plane: size, stride or bytes per sample out of range; or dst and src differ in size or depth */
    VRCNN_ERROR_REGION = -19,             /* the region is empty or not inside the picture */
    VRCNN_ERROR_OVERLAP = -20,            /* dst and src share memory */
    VRCNN_ERROR_KERNEL_REFUSED = -21,     /* the operating system does not grant this process the registers of this kernel (AMX) */
    VRCNN_ERROR_THREADS = -22,            /* threads outside 0..64, or the system gives no more of them */
    VRCNN_ERROR_UNITS = -23,              /* unit map: unit size, number of networks or a unit's choice out of range */
    VRCNN_ERROR_SIDEINFO_FOREIGN = -24,   /* side information: at an IRAP picture, it is not ours: there is no magic */
    VRCNN_ERROR_SIDEINFO_VERSION = -25,   /* side information: a version that this library does not know */
    VRCNN_ERROR_SIDEINFO_TRUNCATED = -26, /* side information: it ends early (or is missing altogether) */
    VRCNN_ERROR_SIDEINFO_SYNTAX = -27,    /* side information: a field out of range, or bytes left over */
    VRCNN_ERROR_SIDEINFO_SPACE = -28,     /* side information: it does not fit into a slice header extension; take larger units */
    VRCNN_ERROR_SIDEINFO_LOST = -29,      /* side information: the first slice segment of a picture, which has it, is lost */
    VRCNN_ERROR_SIDEINFO_MODEL = -30,     /* side information: its model set is neither built in nor the one that was given */
    VRCNN_ERROR_SIDEINFO_SAO = -31,       /* side information: a network before deblocking in a plane with SAO */
    VRCNN_ERROR_KIND = -32,               /* the network is of another kind than the call filters with */
    VRCNN_ERROR_SIDEINFO_HEADS = -33,     /* side information: another number of heads than the network has */
    VRCNN_ERROR_SIDEINFO_CHROMA = -34     /* side information: a chroma mode in a picture without 4:2:0 chroma of 8 to 10 bits */
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

/* What a network filters: luma by itself, or luma and 4:2:0 chroma together. */
typedef enum VrcnnKind { VRCNN_LUMA = 0, VRCNN_JOINT = 1 } VrcnnKind;

/* What a network costs, in words. */
typedef enum VrcnnSize { VRCNN_FAST = 0, VRCNN_BEST = 1 } VrcnnSize;

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

/* A plane of samples. data points to the sample at the top left; row y begins y * stride bytes on (stride may be negative, and odd).
 * Samples of two bytes are in the machine's byte order. |stride| is at least width * bytes_per_sample unless height is 1. */
typedef struct VrcnnPlane {
    void *data;
    ptrdiff_t stride;     /* bytes */
    int width, height;    /* samples, 1..16384 */
    int bit_depth;        /* 8..10; 12 see vrcnn_filter_planes */
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
    int threads; /* that work on a picture, the caller's included: 1..64; 0 is 1 */
} VrcnnSettings;

/* A map of square units, each with its network or none. Units at the right and bottom edge may be cut off by the picture. */
typedef struct VrcnnUnits {
    int unit_size;                /* samples: 64, 128, 256 or 512 */
    int networks;                 /* 1..3 */
    int index[VRCNN_MAX_CHOICES]; /* of these networks in the set */
    int scale;                    /* output scale of the picture, 1..10 */
    const uint8_t *unit;          /* in raster scan, ceil(width / unit_size) a row: 0 no network, n: index[n - 1] */
} VrcnnUnits;

/* c_h of SPECIFICATION.md for luma and for chroma: one for each head of the network, the rest is ignored. 1..10 if it has one head
 * (VRCNN_SCALE_TRAINED: as trained), -5..10 if it has two. */
typedef struct VrcnnWeights {
    int luma[VRCNN_MAX_HEADS], chroma[VRCNN_MAX_HEADS];
} VrcnnWeights;

/* Maps of square units for luma and for chroma, each with its filter or none. */
typedef struct VrcnnPlaneUnits {
    int unit_size;                           /* luma samples: 64, 128, 256 or 512 */
    int filters;                             /* 1..3 */
    int index[VRCNN_MAX_CHOICES];            /* of their networks in the set; the same network may be there with other weights */
    VrcnnWeights weights[VRCNN_MAX_CHOICES]; /* of each */
    const uint8_t *luma;   /* in raster scan, ceil(luma width / unit_size) a row: 0 no filter, n: index[n - 1]; NULL: none anywhere */
    const uint8_t *chroma; /* the same for Cb and Cr; may be luma's map itself */
} VrcnnPlaneUnits;

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
    int halo;                       /* luma samples on each side that a filtered sample depends on */
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

/* The kernel of a word, so that vrcnn_kernel_name gives the word again. VRCNN_ERROR_ARGUMENT; VRCNN_ERROR_KERNEL_UNKNOWN. */
VRCNN_API int vrcnn_kernel_by_name(const char *name);

/* 1 if a context with this kernel can be opened here, 0 if not or if there is no such kernel. Asking for AMX (by name here, or with auto in
 * vrcnn_open) asks the operating system for the tile registers, once for the whole process; Linux then wants larger alternate signal
 * stacks (sigaltstack) from it. A process that minds names another kernel. */
VRCNN_API int vrcnn_kernel_supported(int kernel);

/* Writes the defaults, and size, into the first `size` bytes: call it with sizeof *settings.
 * VRCNN_ERROR_ARGUMENT: NULL, or size smaller than the struct ever was. */
VRCNN_API VrcnnError vrcnn_default_settings(VrcnnSettings *settings, size_t size);

/* The name of a model set compiled into the library, a constant string; NULL if there is none: count up from 0 to list them all. */
VRCNN_API const char *vrcnn_builtin_name(int number);

/* The file of the model set of a name ("vrcnn_intra", "joint_intra", ...), constant, and its size, for all calls that take a model set
 * file; NULL, with *size untouched, if no set of this name is compiled in. */
VRCNN_API const void *vrcnn_builtin_file(const char *name, size_t *size);

/* The set vrcnn_intra, whose luma networks stand at both positions. The caller frees *out with vrcnn_model_free.
 * VRCNN_ERROR_ARGUMENT; VRCNN_ERROR_POSITION: no such position; VRCNN_ERROR_MEMORY. */
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

/* VRCNN_LUMA or VRCNN_JOINT; VRCNN_FAST or VRCNN_BEST; 1 or 2; or VRCNN_ERROR_ARGUMENT, VRCNN_ERROR_INDEX. */
VRCNN_API int vrcnn_model_network_kind(const VrcnnModel *model, int index);
VRCNN_API int vrcnn_model_network_size(const VrcnnModel *model, int index);
VRCNN_API int vrcnn_model_network_heads(const VrcnnModel *model, int index);

/* The index of the network of a kind that an encoder uses for this QP unless it knows better: of the size, or of the other one if there is
 * none; or a negative error as of vrcnn_model_index_for_qp. */
VRCNN_API int vrcnn_model_find(const VrcnnModel *model, VrcnnPosition position, VrcnnKind kind, VrcnnSize size, int qp);

/* The index of the luma network that an encoder uses for this QP unless it knows better, or a negative error:
 * VRCNN_ERROR_ARGUMENT; VRCNN_ERROR_QP; VRCNN_ERROR_POSITION: not a position, or no luma network of the set is meant for it. */
VRCNN_API int vrcnn_model_index_for_qp(const VrcnnModel *model, VrcnnPosition position, int qp);

/* Takes all memory that filtering will need. settings may be NULL (defaults). Keeps no reference to model or settings. The caller closes
 * *out with vrcnn_close. VRCNN_ERROR_ARGUMENT: NULL, settings->size too small, or bytes set beyond the fields that this version knows;
 * VRCNN_ERROR_MEMORY; VRCNN_ERROR_KERNEL_UNKNOWN; VRCNN_ERROR_KERNEL_UNSUPPORTED; VRCNN_ERROR_KERNEL_REFUSED (auto then takes the next
 * best instead: vrcnn_context_kernel tells); VRCNN_ERROR_THREADS. */
VRCNN_API VrcnnError vrcnn_open(VrcnnContext **out, const VrcnnModel *model, const VrcnnSettings *settings);

/* NULL is allowed. No call may be using the context. */
VRCNN_API void vrcnn_close(VrcnnContext *context);

/* The kernel that the context uses, never VRCNN_KERNEL_AUTO; or VRCNN_ERROR_ARGUMENT. */
VRCNN_API int vrcnn_context_kernel(const VrcnnContext *context);

/* How many threads work on a picture, or VRCNN_ERROR_ARGUMENT. */
VRCNN_API int vrcnn_context_threads(const VrcnnContext *context);

/* Bytes of memory that the context holds, weights and all threads' buffers included (not the threads' stacks); 0 for NULL. */
VRCNN_API size_t vrcnn_context_memory(const VrcnnContext *context);

/* Filters a whole picture with network `index` and output scale 1..10 (8: as trained). dst and src have the same width, height and bit
 * depth; their bytes per sample may differ. They may not overlap: the memory from a plane's first to its last sample, whatever lies
 * between its rows, counts as the plane's. Only samples are written, not what lies between rows. Allocates nothing.
 * VRCNN_ERROR_ARGUMENT, INDEX, KIND (not a luma network), SCALE, PLANE, BIT_DEPTH, OVERLAP; dst is untouched after any of them. */
VRCNN_API VrcnnError vrcnn_filter_picture(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src);

/* As vrcnn_filter_picture, but writes only the samples of the region, with the bits that the whole picture would give there. dst and src
 * describe the whole picture; src is read up to the network's halo around the region. Also VRCNN_ERROR_REGION. */
VRCNN_API VrcnnError vrcnn_filter_region(VrcnnContext *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                                         int x, int y, int width, int height);

/* Filters the units of a map: those with a network get the bits that vrcnn_filter_picture with that network would give there; in those
 * without one dst is untouched. The map may not lie in dst's memory. Allocates nothing. VRCNN_ERROR_ARGUMENT (also units->unit), UNITS,
 * INDEX, SCALE, PLANE, BIT_DEPTH, OVERLAP; dst is untouched after any of them. */
VRCNN_API VrcnnError vrcnn_filter_units(VrcnnContext *context, const VrcnnUnits *units, const VrcnnPlane *dst, const VrcnnConstPlane *src);

/* Pictures of three planes: luma, Cb, Cr, in this order. In src a luma plane is needed; Cb and Cr are those of 4:2:0, half of luma's width
 * and height rounded up, of one bit depth, which may differ from luma's; or both are absent (data NULL), which is how pictures of 4:0:0,
 * 4:2:2, 4:4:4, and those with chroma of another depth than 8..10 are filtered. In dst any plane may be absent and is then not written, but
 * not all; those that are there are like src's. No plane of dst may overlap any other plane. Networks of either kind serve; one of the kind
 * luma reads and writes luma alone, so Cb and Cr are absent from dst then (VRCNN_ERROR_KIND if not). */

/* As vrcnn_filter_picture, for three planes. VRCNN_ERROR_ARGUMENT, INDEX, KIND, SCALE (a weight), PLANE, BIT_DEPTH, OVERLAP; dst is
 * untouched after any of them. */
VRCNN_API VrcnnError vrcnn_filter_planes(VrcnnContext *context, int index, const VrcnnWeights *weights, const VrcnnPlane dst[3],
                                         const VrcnnConstPlane src[3]);

/* As vrcnn_filter_region: x, y, width, height in luma samples. With a joint network x and y are even, and width and height are too
 * unless the region ends with the picture. Also VRCNN_ERROR_REGION. */
VRCNN_API VrcnnError vrcnn_filter_planes_region(VrcnnContext *context, int index, const VrcnnWeights *weights, const VrcnnPlane dst[3],
                                                const VrcnnConstPlane src[3], int x, int y, int width, int height);

/* As vrcnn_filter_units, with a map for luma and one for chroma; a plane of dst that has no map is not written. Also VRCNN_ERROR_KIND: the
 * chroma map chooses a luma network. */
VRCNN_API VrcnnError vrcnn_filter_planes_units(VrcnnContext *context, const VrcnnPlaneUnits *units, const VrcnnPlane dst[3],
                                               const VrcnnConstPlane src[3]);

/* As vrcnn_filter_layer; x, y, width and height count sites of 2x2 luma samples if the network is joint. */
VRCNN_API VrcnnError vrcnn_filter_planes_layer(VrcnnContext *context, int index, int layer, uint8_t *dst, ptrdiff_t dst_stride,
                                               const VrcnnConstPlane src[3], int x, int y, int width, int height);

/* The outputs (0..127) of hidden layer 0 .. layers - 2 for a region of the picture, to find where two implementations first differ.
 * dst: height rows, dst_stride bytes apart, of width samples of as many bytes as the layer has channels (VrcnnNetworkInfo); the first
 * belongs to the sample (x, y). dst_stride may be negative; its amount is at least a row's bytes unless height is 1. Allocates nothing.
 * VRCNN_ERROR_ARGUMENT, INDEX, LAYER, BIT_DEPTH, REGION, OVERLAP, PLANE (also for dst_stride); dst is untouched after any of them. */
VRCNN_API VrcnnError vrcnn_filter_layer(VrcnnContext *context, int index, int layer, uint8_t *dst, ptrdiff_t dst_stride,
                                        const VrcnnConstPlane *src, int x, int y, int width, int height);

#ifdef __cplusplus
}
#endif

#include "vrcnn_codec.h"

#endif
