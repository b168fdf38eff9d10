/* A caller's pictures, and what is to be done to them.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_CUDA_JOB_H
#define VRCNN_CUDA_JOB_H

#include "context.h"

/* What a call asks for. */
typedef struct VrcnnGpuJob {
    VrcnnCuda *context;
    VrcnnGpuPictures pictures;
    const VrcnnGpuNetwork *network[VRCNN_MAX_CHOICES]; /* of the filters */
    VrcnnPipeline pipeline[VRCNN_MAX_CHOICES];         /* of the filters: all that the schedule asks of a network */
    VrcnnChoices choices;                              /* whose indices are those of the filters */
} VrcnnGpuJob;

/* A picture's three planes; those that there are not have no data. */
typedef struct VrcnnGpuPicture {
    VrcnnPlane dst[VRCNN_PLANES];
    VrcnnConstPlane src[VRCNN_PLANES];
    VrcnnExtent read[VRCNN_PLANES], written[VRCNN_PLANES];
} VrcnnGpuPicture;

/* Picture `number`, and whether its planes are what callers may give; its memory is not touched. */
int vrcnn_gpu_check_picture(VrcnnGpuPicture *picture, const VrcnnGpuPictures *pictures, int number);

void vrcnn_gpu_start_schedule(VrcnnSchedule *schedule, const VrcnnGpuJob *job);

/* Filters pictures that lie in the GPU's memory. */
int vrcnn_gpu_run(const VrcnnGpuJob *job, const VrcnnGpuPictures *pictures, CUstream stream);

/* host.c: filters the job's pictures, which lie in ordinary memory. */
int vrcnn_gpu_run_on_host(const VrcnnGpuJob *job);

#endif
