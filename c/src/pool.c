/* Threads sleep until there is a job, work, and sleep again: nobody spins.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L /* sigfillset, pthread_sigmask */
#include "pool.h"

#include <stddef.h>

#if !defined(_WIN32)
#include <signal.h>
#endif

static VrcnnThreadResult VRCNN_THREAD_CALL work(void *argument)
{
    VrcnnPoolThread *self = argument;
    VrcnnPool *pool = self->pool;
    unsigned seen = 0;
    vrcnn_lock(&pool->mutex);
    for (;;) {
        while (!pool->stop && pool->generation == seen)
            vrcnn_wait(&pool->wake, &pool->mutex);
        if (pool->stop)
            break;
        seen = pool->generation;
        vrcnn_unlock(&pool->mutex);
        pool->run(pool->job, self->worker);
        vrcnn_lock(&pool->mutex);
        if (--pool->busy == 0)
            vrcnn_wake_one(&pool->idle);
    }
    vrcnn_unlock(&pool->mutex);
    return 0;
}

static void stop_threads(VrcnnPool *pool)
{
    vrcnn_lock(&pool->mutex);
    pool->stop = 1;
    vrcnn_wake_all(&pool->wake);
    vrcnn_unlock(&pool->mutex);
    for (int i = 1; i < pool->threads; i++)
        vrcnn_thread_join(pool->thread[i].thread);
    vrcnn_condition_close(&pool->idle);
    vrcnn_condition_close(&pool->wake);
    vrcnn_mutex_close(&pool->mutex);
}

/* Starts the threads, and counts those that there are. Signals belong to the program's own threads; Windows has none. */
static int start_threads(VrcnnPool *pool, int threads)
{
#if !defined(_WIN32)
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
    int failed = 0;
    for (int i = 1; i < threads && !failed; i++) {
        pool->thread[i].pool = pool;
        pool->thread[i].worker = i;
        failed = vrcnn_thread_start(&pool->thread[i].thread, work, pool->thread + i);
        pool->threads += !failed;
    }
#if !defined(_WIN32)
    pthread_sigmask(SIG_SETMASK, &before, NULL);
#endif
    return failed;
}

VrcnnError vrcnn_pool_start(VrcnnPool *pool, int threads)
{
    pool->threads = 1;
    pool->process = vrcnn_process();
    pool->generation = 0;
    pool->busy = 0;
    pool->stop = 0;
    if (threads == 1)
        return VRCNN_OK;
    if (vrcnn_mutex_open(&pool->mutex))
        return VRCNN_ERROR_THREADS;
    if (vrcnn_condition_open(&pool->wake)) {
        vrcnn_mutex_close(&pool->mutex);
        return VRCNN_ERROR_THREADS;
    }
    if (vrcnn_condition_open(&pool->idle)) {
        vrcnn_condition_close(&pool->wake);
        vrcnn_mutex_close(&pool->mutex);
        return VRCNN_ERROR_THREADS;
    }
    if (start_threads(pool, threads)) {
        stop_threads(pool);
        return VRCNN_ERROR_THREADS;
    }
    return VRCNN_OK;
}

static int is_alone(const VrcnnPool *pool)
{
    return pool->threads == 1 || pool->process != vrcnn_process();
}

void vrcnn_pool_stop(VrcnnPool *pool)
{
    if (!is_alone(pool))
        stop_threads(pool);
}

void vrcnn_pool_run(VrcnnPool *pool, VrcnnJob run, void *job)
{
    if (is_alone(pool)) {
        run(job, 0);
        return;
    }
    vrcnn_lock(&pool->mutex);
    pool->run = run;
    pool->job = job;
    pool->busy = pool->threads - 1;
    pool->generation++;
    vrcnn_wake_all(&pool->wake);
    vrcnn_unlock(&pool->mutex);
    run(job, 0);
    vrcnn_lock(&pool->mutex);
    while (pool->busy)
        vrcnn_wait(&pool->idle, &pool->mutex);
    vrcnn_unlock(&pool->mutex);
}
