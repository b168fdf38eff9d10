/* What codecs need beside the filter: side information in the bitstream, an encoder's decision, a decoder's side. Included by vrcnn.h,
 * whose rules hold here too.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_VRCNN_CODEC_H
#define VRCNN_VRCNN_CODEC_H

#include "vrcnn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Side information: what the bitstream says of a picture, SPECIFICATION.md section 6. Version 1: luma alone. */

typedef enum VrcnnMode { VRCNN_MODE_OFF = 0, VRCNN_MODE_ALL = 1, VRCNN_MODE_MAP = 2 } VrcnnMode;

typedef struct VrcnnSideinfo {
    int has_identity;                         /* 1 at every IRAP picture, 0 at all others */
    uint8_t identity[VRCNN_SIDEINFO_ID_SIZE]; /* the first bytes of the model set's, where has_identity is 1 */
    VrcnnMode mode; /* off: ordinary deblocking and SAO; what a mode has no use for below is 0, and ignored when it is written */
    VrcnnPosition position;
    int networks;                 /* 1..3; 1 if mode is all */
    int index[VRCNN_MAX_CHOICES]; /* of these networks in the set, 0..31, each another one */
    int scale;                    /* 1..10 */
    int unit_size;                /* 64, 128, 256 or 512 if mode is map, else 0 */
} VrcnnSideinfo;

/* Writes the side information of a width x height picture into out (VRCNN_SIDEINFO_SIZE bytes) and its length into *size. unit: the map
 * as in VrcnnUnits; may be NULL unless info->mode is VRCNN_MODE_MAP. Equal input gives equal bytes. Allocates nothing.
 * VRCNN_ERROR_ARGUMENT, PLANE (width or height outside 1..16384), SIDEINFO_SYNTAX (a field of info), UNITS (a unit names no listed network,
 * or no unit of the map has a network: such a picture is off), SIDEINFO_SPACE. */
VRCNN_API VrcnnError vrcnn_sideinfo_write(uint8_t *out, size_t *size, const VrcnnSideinfo *info, const uint8_t *unit, int width,
                                          int height);

/* Reads it; is_irap tells whether it is an IRAP picture's. Believes nothing: whatever the bytes, it reads only them. data may be NULL if
 * size is 0. unit gets the map in raster scan if mode is map; it has room for `units` of them (VRCNN_MAX_UNITS is always enough).
 * Whether the model set has the networks named is the caller's to check. Allocates nothing.
 * VRCNN_ERROR_ARGUMENT, PLANE, UNITS (too little room), SIDEINFO_FOREIGN (IRAP only), SIDEINFO_VERSION, SIDEINFO_TRUNCATED,
 * SIDEINFO_SYNTAX; *info is untouched after any of them, unit may not be. */
VRCNN_API VrcnnError vrcnn_sideinfo_parse(VrcnnSideinfo *info, uint8_t *unit, size_t units, const uint8_t *data, size_t size, int is_irap,
                                          int width, int height);

/* Version 2: luma and chroma, joint networks. Streams of version 1 stay what they are, and the calls below read both. */

/* A filter of the list that units choose from: a network of the set, and how it is weighted. */
typedef struct VrcnnListedFilter {
    int index;            /* 0..31 */
    int heads;            /* of the network: 1 or 2 */
    VrcnnWeights weights; /* those of a plane whose mode is off are 0, and ignored when they are written */
} VrcnnListedFilter;

typedef struct VrcnnPlaneSideinfo {
    int version;                              /* 1 or 2: of the last IRAP picture */
    int has_identity;                         /* 1 at every IRAP picture, 0 at all others */
    uint8_t identity[VRCNN_SIDEINFO_ID_SIZE]; /* the first bytes of the model set's, where has_identity is 1: 4 in version 1, 3 in 2 */
    VrcnnMode luma_mode, chroma_mode; /* off: ordinary deblocking and SAO; all: filter[0]. What modes have no use for below is 0, and
                                       * ignored when it is written */
    int shares_map;                   /* 1: the mode of both is map, and chroma's map is luma's */
    VrcnnPosition position;
    int filters;                                 /* 1..3; 1 if no mode is map */
    VrcnnListedFilter filter[VRCNN_MAX_CHOICES]; /* no two alike in all that a mode has use for */
    int luma_unit_size, chroma_unit_size;        /* luma samples, 64, 128, 256 or 512, for each map of its own, else 0 */
} VrcnnPlaneSideinfo;

/* As vrcnn_sideinfo_write, of version 2. luma, chroma: their maps, as in VrcnnPlaneUnits but each in units of its own size; may be NULL
 * where there is none. A picture that is off has no bytes but an IRAP picture's first six. VRCNN_ERROR_ARGUMENT, PLANE, SIDEINFO_VERSION
 * (info->version is not 2), SIDEINFO_SYNTAX, UNITS, SIDEINFO_SPACE. */
VRCNN_API VrcnnError vrcnn_sideinfo_write_planes(uint8_t *out, size_t *size, const VrcnnPlaneSideinfo *info, const uint8_t *luma,
                                                 const uint8_t *chroma, int width, int height);

/* As vrcnn_sideinfo_parse, of versions 1 and 2. version: of the last IRAP picture; an IRAP picture states its own, whatever is given here.
 * luma, chroma: room for `units` each. Errors as there; SIDEINFO_VERSION also for such a version. */
VRCNN_API VrcnnError vrcnn_sideinfo_parse_planes(VrcnnPlaneSideinfo *info, uint8_t *luma, uint8_t *chroma, size_t units,
                                                 const uint8_t *data, size_t size, int version, int is_irap, int width, int height);

/* An encoder's decision about the filter, picture by picture. */

/* Everything that deciding needs for pictures of one size, in memory. Serves one call at a time. */
typedef struct VrcnnDecider VrcnnDecider;

/* A picture as an encoder has it after its in-loop filters. Costs are squared errors of samples as they are, plus lambda times bits. */
typedef struct VrcnnDecisionInput {
    VrcnnConstPlane original; /* true samples, uncoded */
    VrcnnConstPlane source;   /* what the networks read: before deblocking, or after SAO */
    VrcnnConstPlane base;     /* what units without a network show: deblocked, or after SAO */
    const uint8_t *kept;      /* NULL, or for each 8x8 block in raster scan, ceil(width / 8) a row: not 0 if it is lossless or PCM */
    VrcnnPosition position;
    int qp;               /* of the picture, -12..51 */
    int is_irap;          /* the side information states the model set */
    int map;              /* 0: whole pictures only; 1: also units */
    double lambda;        /* squared error that a bit is worth, 0 or more; this and the next are finite, also together with 2048 bits */
    double ordinary_cost; /* of the picture without the filter: its squared error, and lambda times the bits that are spent on luma SAO if
                           * the position is before deblocking */
} VrcnnDecisionInput;

typedef struct VrcnnDecision {
    VrcnnSideinfo info;
    const uint8_t *unit; /* the map if the mode is map, else NULL; valid until the decider's next call */
    size_t size;         /* bytes of side information */
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    double cost; /* with side information */
} VrcnnDecision;

/* Takes all memory that deciding will need. The model has to live until the decider is closed with vrcnn_decider_close.
 * VRCNN_ERROR_ARGUMENT; VRCNN_ERROR_PLANE: width or height outside 1..16384; VRCNN_ERROR_MEMORY. */
VRCNN_API VrcnnError vrcnn_decider_open(VrcnnDecider **out, const VrcnnModel *model, int width, int height);

/* NULL is allowed. No call may be using the decider. */
VRCNN_API void vrcnn_decider_close(VrcnnDecider *decider);

/* Chooses the way of least cost: off (the ordinary filters), one network, or a map of units that choose among up to three networks, at one
 * output scale. They are the one for the QP, others of its nominal QP, then its neighbours in QP. If the mode is not off, the filtered luma
 * is written to dst, as its last act: dst may be the memory of any plane of the input. context is of the same model. Equal input gives
 * equal decisions, whatever the kernels. Allocates nothing. VRCNN_ERROR_ARGUMENT (also lambda and ordinary_cost), POSITION, QP, PLANE (not
 * the decider's size, or planes of different bit depths), BIT_DEPTH, INDEX (the context is of another model); dst and *decision are
 * untouched after any of them. */
VRCNN_API VrcnnError vrcnn_decide(VrcnnDecider *decider, VrcnnContext *context, const VrcnnDecisionInput *input, const VrcnnPlane *dst,
                                  VrcnnDecision *decision);

/* The same for three planes, with side information of version 2. */

/* Everything that deciding on three planes needs for pictures of one size, in memory. Serves one call at a time. */
typedef struct VrcnnPlaneDecider VrcnnPlaneDecider;

/* A picture as an encoder has it after its in-loop filters. A cost is the squared error of luma, plus those of Cb and Cr by their weights,
 * plus lambda times bits. The planes of original, source and base are as those of src in vrcnn_filter_planes: chroma is there if it is
 * 4:2:0 of 8 to 10 bits, whatever is to be done with it, else absent. Numbers are finite, also in sums, and not negative. */
typedef struct VrcnnPlaneDecisionInput {
    VrcnnConstPlane original[3]; /* true samples, uncoded */
    VrcnnConstPlane source[3];   /* what the networks read: before deblocking, or after SAO */
    VrcnnConstPlane base[3];     /* what units without a filter show: deblocked, or after SAO */
    const uint8_t *kept;         /* as in VrcnnDecisionInput */
    VrcnnPosition position;
    VrcnnKind kind; /* of the networks; luma: chroma stays off */
    VrcnnSize size; /* of the networks, unless the set has none of it */
    int qp;         /* of the picture, -12..51 */
    int is_irap;    /* the side information states the model set */
    int map;        /* 0: whole planes only; 1: also units */
    double lambda;
    double chroma_weight[2]; /* of Cb and of Cr */
    double luma_cost;        /* of luma without the filter: its squared error, and lambda times the bits that are spent on luma SAO if the
                              * position is before deblocking */
    double chroma_cost;      /* of Cb and Cr likewise, by their weights; ignored without chroma */
} VrcnnPlaneDecisionInput;

typedef struct VrcnnPlaneDecision {
    VrcnnPlaneSideinfo info;
    const uint8_t *luma, *chroma; /* the maps that there are, else NULL; valid until the decider's next call */
    size_t size;                  /* bytes of side information */
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    double cost; /* with side information and its length */
} VrcnnPlaneDecision;

/* Takes all memory that deciding will need. networks: that may be tried for a picture, 1..3; each costs a pass over it. The model has to
 * live until the decider is closed with vrcnn_plane_decider_close. VRCNN_ERROR_ARGUMENT (also networks); VRCNN_ERROR_PLANE: width or height
 * outside 1..16384; VRCNN_ERROR_MEMORY. */
VRCNN_API VrcnnError vrcnn_plane_decider_open(VrcnnPlaneDecider **out, const VrcnnModel *model, int width, int height, int networks);

/* NULL is allowed. No call may be using the decider. */
VRCNN_API void vrcnn_plane_decider_close(VrcnnPlaneDecider *decider);

/* Chooses the way of least cost: for luma and for chroma off (the ordinary filters), one filter, or a map of units that choose among up to
 * three; weights are those of the training or of least squares. Tried are, as far as the decider may, the network for the QP, others of its
 * kind, size and nominal QP, then its neighbours in QP. Where luma and chroma of a square of 64x64 would have two networks, the second
 * counts eight bits more, as it doubles a decoder's work. The cost is that of the real samples, never more than without the filter. Planes
 * that are filtered are written to dst, as the last act: dst may be the memory of any plane of the input; planes of dst are like those of
 * source, and absent where they are. context is of the same model. Equal input gives equal decisions, whatever the kernels. Allocates
 * nothing. VRCNN_ERROR_ARGUMENT (also costs, weights, kind and size), POSITION (also: no network of the kind for it), QP, PLANE, BIT_DEPTH,
 * INDEX (the context is of another model); dst and *decision are untouched after any of them. */
VRCNN_API VrcnnError vrcnn_decide_planes(VrcnnPlaneDecider *decider, VrcnnContext *context, const VrcnnPlaneDecisionInput *input,
                                         const VrcnnPlane dst[3], VrcnnPlaneDecision *decision);

/* An encoder's side: the decision on each picture of a stream, in the version of side information that its networks need. */

/* A model set, its context and all that deciding needs for pictures of one size. Serves one call at a time. */
typedef struct VrcnnSender VrcnnSender;

/* For pictures of width x height. file: a model set file in memory, which may be freed afterwards; NULL, with size 0: the set that is built
 * in. settings may be NULL (defaults). The caller closes *out with vrcnn_sender_close. Errors: those of vrcnn_model_builtin,
 * vrcnn_model_load, vrcnn_open and vrcnn_plane_decider_open; VRCNN_ERROR_POSITION also: the set has no network for the position. */
VRCNN_API VrcnnError vrcnn_sender_open(VrcnnSender **out, const VrcnnSettings *settings, const void *file, size_t size,
                                       VrcnnPosition position, int width, int height);

/* NULL is allowed. No call may be using the sender. */
VRCNN_API void vrcnn_sender_close(VrcnnSender *sender);

/* VRCNN_JOINT if the set has joint networks for the position, of which up to three are tried for a picture: luma and chroma are decided
 * together, in version 2. Else VRCNN_LUMA: luma alone, in version 1. Or VRCNN_ERROR_ARGUMENT. */
VRCNN_API int vrcnn_sender_kind(const VrcnnSender *sender);

/* The context and the model set in use, to ask about; they are the sender's. NULL for NULL. */
VRCNN_API const VrcnnContext *vrcnn_sender_context(const VrcnnSender *sender);
VRCNN_API const VrcnnModel *vrcnn_sender_model(const VrcnnSender *sender);

/* The SEI message that says that a stream needs this filter, SPECIFICATION.md section 6.7: the RBSP of a prefix SEI NAL unit, in which no
 * emulation prevention byte is needed. For the first access unit of a stream, if it is wanted at all. VRCNN_ERROR_ARGUMENT. */
VRCNN_API VrcnnError vrcnn_sender_sei(const VrcnnSender *sender, uint8_t rbsp[VRCNN_SEI_SIZE]);

/* As vrcnn_decide_planes with joint networks, else as vrcnn_decide on the first planes, of which *decision is in terms of version 2.
 * Position and kind are the sender's, whatever input says; luma networks have no use for its planes of chroma, their weights and cost, and
 * size. Allocates nothing. Errors as there; dst and *decision are untouched after any of them. */
VRCNN_API VrcnnError vrcnn_sender_decide(VrcnnSender *sender, const VrcnnPlaneDecisionInput *input, const VrcnnPlane dst[3],
                                         VrcnnPlaneDecision *decision);

/* A decoder's side: what the side information in a stream does to each of its pictures, SPECIFICATION.md sections 6 to 8. */

/* What is known of a stream, and all that filtering its pictures needs. Serves one call at a time. An error of the stream stays: each call
 * for a picture gives it again up to the next IRAP picture, since none of them may be output. */
typedef struct VrcnnReceiver VrcnnReceiver;

/* Of a slice segment header. */
typedef struct VrcnnSegment {
    int is_first;             /* first_slice_segment_in_pic_flag */
    int nal_unit_type;        /* 0..31 */
    int poc;                  /* picture order count of its picture, or as many of its lower bits as tell neighbours apart */
    int address;              /* of its first CTU, counted in decoding order: with tiles in tile scan */
    const uint8_t *extension; /* slice_segment_header_extension_data_byte; NULL is allowed if size is 0 */
    size_t size;
} VrcnnSegment;

/* file: a model set file in memory, which may be freed afterwards; the streams' sets are looked for in it first and then among those that
 * are built in. NULL, with size 0: these only. settings may be NULL (defaults). A context is opened only when a picture needs one. The
 * caller closes *out with vrcnn_receiver_close. Errors: those of vrcnn_model_load and vrcnn_open. */
VRCNN_API VrcnnError vrcnn_receiver_open(VrcnnReceiver **out, const VrcnnSettings *settings, const void *file, size_t size);

/* NULL is allowed. No call may be using the receiver. */
VRCNN_API void vrcnn_receiver_close(VrcnnReceiver *receiver);

/* Forgets the stream: the next picture is the first of another one. The model set in use stays open. NULL is allowed. */
VRCNN_API void vrcnn_receiver_reset(VrcnnReceiver *receiver);

/* Called for every slice segment in the stream's order, maybe ahead of its picture's other calls, it finds pictures whose first slice
 * segment, and with it the side information, is missing. VRCNN_ERROR_ARGUMENT; VRCNN_ERROR_SIDEINFO_LOST: it is, and the last IRAP picture
 * before it carried the magic. Never for a stream in which none did: it decodes as without the filter, whatever it lacks. */
VRCNN_API VrcnnError vrcnn_receiver_segment(VrcnnReceiver *receiver, const VrcnnSegment *segment);

/* Instead, for a slice segment whose header cannot be used; is_irap: its NAL unit is of an IRAP picture, which makes no difference.
 * Errors as there. */
VRCNN_API VrcnnError vrcnn_receiver_lost(VrcnnReceiver *receiver, int is_irap);

/* A picture of width x height begins. extension: of its first slice segment; NULL is allowed if size is 0. *info says what applies to it:
 * mode off also for pictures without side information. At an IRAP picture with another model set than before, looks for that and opens a
 * context; allocates nothing otherwise. *info is untouched after an error, but not after SIDEINFO_MODEL and INDEX: there it is what the
 * side information says. VRCNN_ERROR_ARGUMENT; of the stream: SIDEINFO_LOST, SIDEINFO_VERSION, SIDEINFO_TRUNCATED, SIDEINFO_SYNTAX,
 * SIDEINFO_MODEL, INDEX (the set has no such network), PLANE (width or height outside 1..16384), and what vrcnn_open finds. */
VRCNN_API VrcnnError vrcnn_receiver_picture(VrcnnReceiver *receiver, const uint8_t *extension, size_t size, int is_irap, int width,
                                            int height, VrcnnSideinfo *info);

/* Does it, which is nothing if the mode is off. luma_sao: slice_sao_luma_flag is 1 in a slice of the picture. kept: as in
 * VrcnnDecisionInput. src: the samples that the network reads, from before deblocking or after SAO; dst: those after SAO, which become the
 * picture's. They do not overlap. Allocates nothing. VRCNN_ERROR_ARGUMENT; of the stream: SIDEINFO_SAO, BIT_DEPTH, and those of
 * vrcnn_receiver_picture; PLANE (also: not the picture's size), OVERLAP. dst is untouched after any of them. */
VRCNN_API VrcnnError vrcnn_receiver_filter(VrcnnReceiver *receiver, int luma_sao, const uint8_t *kept, const VrcnnPlane *dst,
                                           const VrcnnConstPlane *src);

/* The same for streams of either version. A receiver gets all its pictures through these two calls, or all through those two, which refuse
 * version 2. */

/* As vrcnn_receiver_picture. info->version is 0 for pictures without side information. *info is what it says also after KIND (a joint
 * network in version 1; a luma network where the chroma mode is not off) and SIDEINFO_HEADS. */
VRCNN_API VrcnnError vrcnn_receiver_picture_planes(VrcnnReceiver *receiver, const uint8_t *extension, size_t size, int is_irap, int width,
                                                   int height, VrcnnPlaneSideinfo *info);

/* As vrcnn_receiver_filter, for the planes whose mode is not off; the others are not touched. chroma_sao: slice_sao_chroma_flag is 1 in a
 * slice of the picture. kept: blocks of 8x8 luma samples and of the 4x4 samples of each chroma plane that belong to them. src and dst as in
 * vrcnn_filter_planes: chroma is there if it is 4:2:0 of 8 to 10 bits, else absent; in dst also where its mode is off. Also
 * VRCNN_ERROR_ARGUMENT: dst lacks a plane that is to be written; of the stream: SIDEINFO_CHROMA. */
VRCNN_API VrcnnError vrcnn_receiver_filter_planes(VrcnnReceiver *receiver, int luma_sao, int chroma_sao, const uint8_t *kept,
                                                  const VrcnnPlane dst[3], const VrcnnConstPlane src[3]);

/* The context and the model set in use, to ask about; they are the receiver's. NULL before there was a picture with side information. */
VRCNN_API const VrcnnContext *vrcnn_receiver_context(const VrcnnReceiver *receiver);
VRCNN_API const VrcnnModel *vrcnn_receiver_model(const VrcnnReceiver *receiver);

#ifdef __cplusplus
}
#endif

#endif
