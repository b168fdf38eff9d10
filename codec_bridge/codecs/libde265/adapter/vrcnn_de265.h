/* vrcnn-int in libde265: what a program that uses libde265 may set and ask about the filter.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_DE265_H
#define VRCNN_DE265_H

#include "libde265/de265.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Before the first picture. model: NULL, "builtin" or a name of a set that is compiled in, of which each is found anyway; else a file,
 * where the set is looked for first. kernel: NULL or "auto", "scalar", ... threads: that work on a picture; 0: as many as the decoder has.
 */
LIBDE265_API de265_error vrcnn_de265_set(de265_decoder_context *decoder, const char *model, const char *kernel, int threads);

/* Before the first picture: every picture that is output is written to the file in decoding order, as networks of the position (0 or
 * 1, VrcnnPosition) would read it, whether the stream has side information or not. For each a line of text,
 *     picture POC NAL-UNIT-TYPE TEMPORAL-ID SLICE-TYPE QP WIDTH HEIGHT CHROMA-FORMAT LUMA-BITS CHROMA-BITS
 * (slice type I, P or B: the one that allows most; QP: of the first slice; chroma format 0 to 3), then all samples of Y, Cb and Cr, row by
 * row, in one byte each, or two, the lower first, where the plane has more than 8 bits. */
LIBDE265_API de265_error vrcnn_de265_dump(de265_decoder_context *decoder, const char *file, int position);

/* Before the first picture. is_wanted: 1: behind the samples of a picture in that file stands what it was predicted from: for each block of
 * 4x4 luma samples, row by row, for list 0 and then list 1, the reference picture's POC minus the picture's own, 0 where nothing was
 * predicted by that list, and the motion vector's x and y in quarter luma samples: six numbers of four bytes, the lowest first, in two's
 * complement. */
LIBDE265_API void vrcnn_de265_dump_motion(de265_decoder_context *decoder, int is_wanted);

/* Before the first picture. are_used: 0: pictures are put out as they were decoded, whatever post-filter SEI messages name; 1, as it is
 * without this call: filtered by it. */
LIBDE265_API void vrcnn_de265_post_filters(de265_decoder_context *decoder, int are_used);

/* 1 if the filter is the cause of this error: the pictures from here to the next IRAP picture are not output. */
LIBDE265_API int vrcnn_de265_is_error(de265_error error);

/* One line on the last error of the filter, with the picture's number; "" if there was none. Valid until the next call on the decoder. */
LIBDE265_API const char *vrcnn_de265_message(de265_decoder_context *decoder);

/* Pictures that were filtered and the wall time that this took. Returns the kernels in use, NULL if no picture was filtered. */
LIBDE265_API const char *vrcnn_de265_statistics(de265_decoder_context *decoder, int *pictures, double *seconds);

#ifdef __cplusplus
}
#endif

#endif
