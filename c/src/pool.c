/* Threads sleep until there is a job, work, and sleep again: nobody spins.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L /* sigfillset, pthread_sigmask */
#include "pool.h"

#include <signal.h>
#include <unistd.h>

static void *work(void *argument)
{
    VrcnnPoolThread *self = argument;
    VrcnnPool *pool = self->pool;
    unsigned seen = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (!pool->stop && pool->generation == seen)
            pthread_cond_wait(&pool->wake, &pool->mutex);
        if (pool->stop)
            break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->mutex);
        pool->run(pool->job, self->worker);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void stop_threads(VrcnnPool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->stop = 1;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 1; i < pool->threads; i++)
        pthread_join(pool->thread[i].thread, NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
}

VrcnnError vrcnn_pool_start(VrcnnPool *pool, int threads)
{
    sigset_t all, before;
    pool->threads = 1;
    pool->process = (int64_t)getpid();
    pool->generation = 0;
    pool->busy = 0;
    pool->stop = 0;
    if (threads == 1)
        return VRCNN_OK;
    if (pthread_mutex_init(&pool->mutex, NULL))
        return VRCNN_ERROR_THREADS;
    if (pthread_cond_init(&pool->wake, NULL)) {
        pthread_mutex_destroy(&pool->mutex);
        return VRCNN_ERROR_THREADS;
    }
    if (pthread_cond_init(&pool->idle, NULL)) {
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->mutex);
        return VRCNN_ERROR_THREADS;
    }
    /* Signals belong to the program's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    for (int i = 1; i < threads && !failed; i++) {
        pool->thread[i].pool = pool;
        pool->thread[i].worker = i;
        failed = pthread_create(&pool->thread[i].thread, NULL, work, pool->thread + i);
        pool->threads += !failed;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        stop_threads(pool);
        return VRCNN_ERROR_THREADS;
    }
    return VRCNN_OK;
}

static int is_alone(const VrcnnPool *pool)
{
    return pool->threads == 1 || pool->process != (int64_t)getpid();
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
    pthread_mutex_lock(&pool->mutex);
    pool->run = run;
    pool->job = job;
    pool->busy = pool->threads - 1;
    pool->generation++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    run(job, 0);
    pthread_mutex_lock(&pool->mutex);
    while (pool->busy)
        pthread_cond_wait(&pool->idle, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
