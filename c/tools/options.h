/* What vrcnn_filter is asked to do.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_TOOLS_OPTIONS_H
#define VRCNN_TOOLS_OPTIONS_H

#include "vrcnn/vrcnn.h"

typedef struct Options {
    const char *input, *output, *model, *kernel;
    VrcnnPosition position;
    VrcnnKind kind;
    VrcnnSize network_size;
    int width, height, format, threads, qp, index, layer; /* layer: -1 for none */
    int depth[2];                                         /* of luma and of chroma */
    int weight_count[2];                                  /* how many are given, of luma and of chroma */
    VrcnnWeights weights;
    int has_qp, has_index, has_kind, lists_kernels, is_y4m;
} Options;

/* Ends the program for --help and for whatever is wrong. */
Options parse_options(int argc, char **argv);

#endif
