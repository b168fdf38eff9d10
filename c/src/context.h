/* What a context is, for the files that filter with it.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_CONTEXT_H
#define VRCNN_SRC_CONTEXT_H

#include "engine.h"
#include "plane.h"
#include "pool.h"
#include "schedule.h"

struct VrcnnContext {
    void *block; /* as malloc gave it: the context and all that it points to */
    size_t memory;
    VrcnnKernelTable table;
    int networks;
    int heads[VRCNN_MAX_NETWORKS]; /* of each network */
    VrcnnPipeline *pipeline;
    uint8_t *zeros;
    uint8_t *worker_memory; /* of all threads */
    size_t worker_bytes;    /* of each */
    VrcnnPool pool;
    VrcnnMutex mutex; /* of the schedule of the picture in work */
};

/* filter.c: has the threads run the engine on the pieces of a picture. work: its planes, or where values go; all of it checked. */
void vrcnn_context_run(VrcnnContext *context, const VrcnnWork *work, const VrcnnChoices *choices);

#endif
