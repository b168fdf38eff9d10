/* The row-streaming engine: a network as a list of layers, run on a rectangle of a picture without feature maps.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_ENGINE_H
#define VRCNN_SRC_ENGINE_H

#include "conv.h"

/* Of a picture's luma samples, or of its sites; which, is the network's kind. */
typedef struct VrcnnRegion {
    int x, y, width, height;
} VrcnnRegion;

/* A network made ready for a set of kernels. */
typedef struct VrcnnPipeline {
    int layers;
    int is_joint;
    int heaviest;      /* the layer with most multiplications: rows and columns are cut so that none of its work is wasted */
    int strip_columns; /* the widest strip that the rings are laid out for */
    int columns;       /* of a ring's row, margins included */
    int origin;        /* where a strip's first column lies in it */
    VrcnnConvLayer layer[VRCNN_MAX_LAYERS];
    size_t row_bytes[VRCNN_MAX_LAYERS]; /* row_bytes[i], ring_rows[i], ring_at[i]: the ring of layer i's inputs */
    int ring_rows[VRCNN_MAX_LAYERS];
    size_t ring_at[VRCNN_MAX_LAYERS]; /* in the worker's memory */
    size_t planes_at;                 /* of joint networks: rows of samples or residuals of single planes */
    size_t residual_at, scratch_at;
    size_t memory; /* that a worker needs */
    size_t zeros;  /* bytes of the longest row of zeros */
} VrcnnPipeline;

/* What is to be computed: one network on one rectangle. */
typedef struct VrcnnWork {
    const VrcnnKernelTable *table;
    const VrcnnPipeline *pipeline;
    const VrcnnConstPlane *src;     /* three planes: luma, Cb, Cr; those of chroma may be without data */
    const VrcnnPlane *dst;          /* likewise; a plane without data is not written */
    int writes_luma, writes_chroma; /* 0: as if the planes of dst were without data */
    VrcnnRegion region;             /* inside the picture, at most strip_columns wide */
    const VrcnnWeights *weights;
    /* Instead of dst, the outputs of hidden layer `layer`: values[0] belongs to the sample (x, y) of the picture. */
    uint8_t *values; /* NULL: filter to dst */
    ptrdiff_t values_stride;
    int layer, x, y;
} VrcnnWork;

/* Fills in everything but the layers themselves, which must be set. */
void vrcnn_pipeline_plan(VrcnnPipeline *pipeline, const VrcnnKernelTable *table);

/* The width of the first strip that a region should be cut into: the region's own if that is not too wide. */
int vrcnn_strip_width(const VrcnnPipeline *pipeline, VrcnnRegion region);

/* memory: pipeline->memory bytes for this call alone; zeros: pipeline->zeros bytes that are 0. Both aligned to 64 bytes. table->begin
 * must have been called on this thread. */
void vrcnn_engine_run(const VrcnnWork *work, uint8_t *memory, const uint8_t *zeros);

#endif
