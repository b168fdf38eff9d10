/* What the library needs of threads: the POSIX ones, and those of Windows under the same names. What may fail returns 0 for success.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_THREADS_H
#define VRCNN_SRC_THREADS_H

#include <stdint.h>

#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#include <process.h>
#include <windows.h>

typedef SRWLOCK VrcnnMutex;
typedef CONDITION_VARIABLE VrcnnCondition;
typedef HANDLE VrcnnThread;
typedef unsigned VrcnnThreadResult;
#define VRCNN_THREAD_CALL __stdcall

static inline int vrcnn_mutex_open(VrcnnMutex *mutex)
{
    InitializeSRWLock(mutex);
    return 0;
}

static inline void vrcnn_mutex_close(VrcnnMutex *mutex)
{
    (void)mutex;
}

static inline void vrcnn_lock(VrcnnMutex *mutex)
{
    AcquireSRWLockExclusive(mutex);
}

static inline void vrcnn_unlock(VrcnnMutex *mutex)
{
    ReleaseSRWLockExclusive(mutex);
}

static inline int vrcnn_condition_open(VrcnnCondition *condition)
{
    InitializeConditionVariable(condition);
    return 0;
}

static inline void vrcnn_condition_close(VrcnnCondition *condition)
{
    (void)condition;
}

static inline void vrcnn_wait(VrcnnCondition *condition, VrcnnMutex *mutex)
{
    SleepConditionVariableSRW(condition, mutex, INFINITE, 0);
}

static inline void vrcnn_wake_one(VrcnnCondition *condition)
{
    WakeConditionVariable(condition);
}

static inline void vrcnn_wake_all(VrcnnCondition *condition)
{
    WakeAllConditionVariable(condition);
}

static inline int vrcnn_thread_start(VrcnnThread *thread, VrcnnThreadResult(VRCNN_THREAD_CALL *run)(void *), void *argument)
{
    *thread = (HANDLE)_beginthreadex(NULL, 0, run, argument, 0, NULL);
    return !*thread;
}

static inline void vrcnn_thread_join(VrcnnThread thread)
{
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

static inline int64_t vrcnn_process(void)
{
    return _getpid();
}

#else

#include <pthread.h>
#include <unistd.h>

typedef pthread_mutex_t VrcnnMutex;
typedef pthread_cond_t VrcnnCondition;
typedef pthread_t VrcnnThread;
typedef void *VrcnnThreadResult;
#define VRCNN_THREAD_CALL

static inline int vrcnn_mutex_open(VrcnnMutex *mutex)
{
    return pthread_mutex_init(mutex, NULL);
}

static inline void vrcnn_mutex_close(VrcnnMutex *mutex)
{
    pthread_mutex_destroy(mutex);
}

static inline void vrcnn_lock(VrcnnMutex *mutex)
{
    pthread_mutex_lock(mutex);
}

static inline void vrcnn_unlock(VrcnnMutex *mutex)
{
    pthread_mutex_unlock(mutex);
}

static inline int vrcnn_condition_open(VrcnnCondition *condition)
{
    return pthread_cond_init(condition, NULL);
}

static inline void vrcnn_condition_close(VrcnnCondition *condition)
{
    pthread_cond_destroy(condition);
}

static inline void vrcnn_wait(VrcnnCondition *condition, VrcnnMutex *mutex)
{
    pthread_cond_wait(condition, mutex);
}

static inline void vrcnn_wake_one(VrcnnCondition *condition)
{
    pthread_cond_signal(condition);
}

static inline void vrcnn_wake_all(VrcnnCondition *condition)
{
    pthread_cond_broadcast(condition);
}

static inline int vrcnn_thread_start(VrcnnThread *thread, VrcnnThreadResult (*run)(void *), void *argument)
{
    return pthread_create(thread, NULL, run, argument);
}

static inline void vrcnn_thread_join(VrcnnThread thread)
{
    pthread_join(thread, NULL);
}

static inline int64_t vrcnn_process(void)
{
    return (int64_t)getpid();
}

#endif

#endif
