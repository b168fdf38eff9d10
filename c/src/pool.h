/* A pool of threads that work through one list of tasks at a time.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_POOL_H
#define VRCNN_SRC_POOL_H

#include <stdint.h>

#include "threads.h"
#include "vrcnn/vrcnn.h"

typedef struct VrcnnPool VrcnnPool;

/* Called once in each thread for a job; worker 0 is the caller's thread, numbers are below the pool's threads. */
typedef void (*VrcnnJob)(void *job, int worker);

typedef struct VrcnnPoolThread {
    VrcnnPool *pool;
    int worker;
    VrcnnThread thread;
} VrcnnPoolThread;

/* No field is for others to touch. */
struct VrcnnPool {
    int threads; /* the caller's included */
    int64_t process;
    VrcnnMutex mutex;
    VrcnnCondition wake, idle;
    unsigned generation; /* counts jobs */
    int busy;            /* workers that have not finished the current job */
    int stop;
    VrcnnJob run;
    void *job;
    VrcnnPoolThread thread[VRCNN_MAX_THREADS];
};

/* VRCNN_ERROR_THREADS if the system gives no more threads; nothing is left behind then. */
VrcnnError vrcnn_pool_start(VrcnnPool *pool, int threads);

void vrcnn_pool_stop(VrcnnPool *pool);

/* Runs job in all threads and returns when all have finished. In a child process, which has none of the threads, in the caller's alone. */
void vrcnn_pool_run(VrcnnPool *pool, VrcnnJob run, void *job);

#endif
