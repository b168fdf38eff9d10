/* Tests of what threads, processes and a system without resources do to the library: test_threads [SEED].
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700 /* fork, sigaction */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

/* Under ThreadSanitizer, which makes everything slow and cannot start threads in a child process. */
#if defined(__SANITIZE_THREAD__)
#define IS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IS_TSAN 1
#endif
#endif
#ifndef IS_TSAN
#define IS_TSAN 0
#endif

/* The allocators of AddressSanitizer and MemorySanitizer have locks that a fork does not free in the child, which then waits for ever for
 * one that another thread of its parent held at that moment. glibc's has none of that. */
#if defined(__SANITIZE_ADDRESS__)
#define MALLOC_FORKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define MALLOC_FORKS 0
#endif
#endif
#ifndef MALLOC_FORKS
#define MALLOC_FORKS 1
#endif

/* ---- everything that the system can refuse, watched through the linker's --wrap ---- */

/* How many more of them it gives, -1: any number; and how many it has given and not had back. Only for one thread at a time. */
static int granted = -1;
static int held;

static int is_refused(void)
{
    if (granted == 0)
        return 1;
    granted -= granted > 0;
    held++;
    return 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void __real_free(void *memory);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __real_pthread_join(pthread_t thread, void **result);
int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __real_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __real_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __real_pthread_cond_destroy(pthread_cond_t *condition);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *memory);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __wrap_pthread_cond_destroy(pthread_cond_t *condition);

static int is_watching; /* else several threads may be about */

void *__wrap_malloc(size_t size)
{
    return is_watching && is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (!is_watching)
        return __real_calloc(count, size);
    if (is_refused())
        return NULL;
    is_watching = 0; /* in a static program musl's calloc calls the malloc above */
    void *const memory = __real_calloc(count, size);
    is_watching = 1;
    return memory;
}

void __wrap_free(void *memory)
{
    if (is_watching)
        held -= memory != NULL;
    __real_free(memory);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    return is_watching && is_refused() ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    if (is_watching)
        held--;
    return __real_pthread_join(thread, result);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    return is_watching && is_refused() ? ENOMEM : __real_pthread_mutex_init(mutex, attributes);
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    if (is_watching)
        held--;
    return __real_pthread_mutex_destroy(mutex);
}

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    return is_watching && is_refused() ? ENOMEM : __real_pthread_cond_init(condition, attributes);
}

int __wrap_pthread_cond_destroy(pthread_cond_t *condition)
{
    if (is_watching)
        held--;
    return __real_pthread_cond_destroy(condition);
}

/* ---- a picture and what it must become ---- */

enum { WIDTH = 150, HEIGHT = 140, AREA = WIDTH * HEIGHT };

static VrcnnModel *model;
static uint8_t original[AREA], wanted[AREA];
static const VrcnnConstPlane source = {original, WIDTH, WIDTH, HEIGHT, 8, 1};

/* 1 if the context gives the picture that is wanted. */
static int is_right(VrcnnContext *context)
{
    uint8_t *out = get(AREA);
    const VrcnnPlane dst = {out, WIDTH, WIDTH, HEIGHT, 8, 1};
    memset(out, 0x5a, AREA);
    const int right = !vrcnn_filter_picture(context, 0, 8, &dst, &source) && !memcmp(out, wanted, AREA);
    free(out);
    return right;
}

/* 1 if out is the wanted picture where the map, of units of 64 samples, is not 0, and untouched elsewhere. */
static int is_right_in(const uint8_t *map, const uint8_t *out)
{
    int wrong = 0;
    for (int i = 0; i < AREA; i++)
        wrong += out[i] != (map[i / WIDTH / 64 * 3 + i % WIDTH / 64] ? wanted[i] : 0x5a);
    return !wrong;
}

/* 1 if the other calls that work on a picture do the same: a region, units, and an encoder's decision with a decider of its own. */
static int others_are_right(VrcnnContext *context)
{
    static const uint8_t chess[9] = {1, 0, 1, 0, 1, 0, 1, 0, 1}, corner[9] = {0, 0, 0, 0, 1, 1, 0, 1, 1},
                         all[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const VrcnnUnits units = {64, 1, {0}, 8, chess};
    const VrcnnConstPlane truth = {wanted, WIDTH, WIDTH, HEIGHT, 8, 1};
    const VrcnnDecisionInput input = {truth, source, source, NULL, VRCNN_BEFORE_DEBLOCKING, 0, 1, 1, 1, 1e12};
    uint8_t *out = get(AREA);
    const VrcnnPlane dst = {out, WIDTH, WIDTH, HEIGHT, 8, 1};
    VrcnnDecider *decider;
    VrcnnDecision decision;
    memset(out, 0x5a, AREA);
    int right = !vrcnn_filter_region(context, 0, 8, &dst, &source, 64, 64, WIDTH - 64, HEIGHT - 64) && is_right_in(corner, out);
    memset(out, 0x5a, AREA);
    right &= !vrcnn_filter_units(context, &units, &dst, &source) && is_right_in(chess, out);
    memset(out, 0x5a, AREA);
    if (vrcnn_decider_open(&decider, model, WIDTH, HEIGHT))
        right = 0;
    else
        right &= !vrcnn_decide(decider, context, &input, &dst, &decision) && decision.info.mode == VRCNN_MODE_ALL && is_right_in(all, out);
    vrcnn_decider_close(decider);
    free(out);
    return right;
}

static VrcnnError open_with(VrcnnContext **context, int kernel, int threads)
{
    VrcnnSettings settings;
    const VrcnnError error = vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = threads;
    return error ? error : vrcnn_open(context, model, &settings);
}

static void set_up(void)
{
    TNetwork n = {0};
    add_branch(&n, 0, 5, 16, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&n, 1, 3, 16, 2, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&n, 1, 1, 16, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&n, 2, 3, 1, 6, 1000, RANDOM_WEIGHTS, SMALL_BIASES);
    model = load(&n, 1);
    uint16_t *samples = make_samples(WIDTH, HEIGHT, 8, RANDOM_SAMPLES), *filtered = get(AREA * sizeof *filtered);
    reference_filter(&n, 8, filtered, samples, WIDTH, HEIGHT, 8);
    for (int i = 0; i < AREA; i++) {
        original[i] = (uint8_t)samples[i];
        wanted[i] = (uint8_t)filtered[i];
    }
    free(samples);
    free(filtered);
    free_network(&n);
}

/* ---- what the system refuses ---- */

static VrcnnError load_builtin(void)
{
    VrcnnModel *loaded;
    const VrcnnError error = vrcnn_model_builtin(&loaded, VRCNN_BEFORE_DEBLOCKING);
    CHECK(!error == (loaded != NULL));
    vrcnn_model_free(loaded);
    return error;
}

static VrcnnError open_and_filter(void)
{
    VrcnnContext *context;
    const VrcnnError error = open_with(&context, VRCNN_KERNEL_AUTO, 4);
    CHECK(!error == (context != NULL));
    if (!error) {
        is_watching = 0; /* the test's own memory */
        CHECK(is_right(context));
        is_watching = 1;
    }
    vrcnn_close(context);
    return error;
}

static VrcnnError open_decider(void)
{
    VrcnnDecider *decider;
    const VrcnnError error = vrcnn_decider_open(&decider, model, 200, 100);
    CHECK(!error == (decider != NULL));
    vrcnn_decider_close(decider);
    return error;
}

/* Refuses the first, the second, ... of all things that are asked for, until nothing was refused. */
static void refuse_each(VrcnnError (*action)(void), int at_least, const char *what)
{
    sigset_t before, after;
    VrcnnError error = VRCNN_ERROR_MEMORY;
    int given = 0;
    is_watching = 1;
    for (; error && given < 1000; given++) {
        granted = given;
        held = 0;
        pthread_sigmask(SIG_SETMASK, NULL, &before);
        error = action();
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        check(!held, __FILE__, __LINE__, "%s, %d given: %d not given back", what, given, held);
        check(!error || error == VRCNN_ERROR_MEMORY || error == VRCNN_ERROR_THREADS, __FILE__, __LINE__, "%s, %d given: %s", what, given,
              vrcnn_strerror(error));
        for (int i = 1; i < 32; i++)
            check(sigismember(&before, i) == sigismember(&after, i), __FILE__, __LINE__, "%s, %d given: signal %d is blocked now", what,
                  given, i);
    }
    granted = -1;
    is_watching = 0;
    check(!error && given > at_least, __FILE__, __LINE__, "%s: works with %d things given", what, given - 1);
}

/* A worker that takes the program's signals would run its handlers. */
static volatile sig_atomic_t handled;

static void handle(int number)
{
    (void)number;
    handled = 1;
}

static void test_signals(void)
{
    struct sigaction action, old;
    sigset_t one, before;
    VrcnnContext *context = open_context(model, VRCNN_KERNEL_AUTO, 4);
    int number = 0;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    sigaction(SIGUSR1, &action, &old);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, &before);
    CHECK(is_right(context));
    kill(getpid(), SIGUSR1);
    CHECK(is_right(context));
    if (CHECK(!handled))
        CHECK(!sigwait(&one, &number) && number == SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGUSR1, &old, NULL);
    vrcnn_close(context);
}

/* ---- threads ---- */

enum { CLIENTS = 6 };

typedef struct Client {
    pthread_t thread;
    int number, rounds, wrong;
} Client;

/* Opens, filters and closes, on the model that all clients share. */
static void *run_client(void *argument)
{
    Client *self = argument;
    for (int round = 0; round < self->rounds; round++) {
        VrcnnContext *context;
        int kernel = 1 + (self->number + round) % VRCNN_KERNEL_AMX;
        if (!vrcnn_kernel_supported(kernel))
            kernel = VRCNN_KERNEL_AUTO;
        if (open_with(&context, kernel, 1 + (self->number * 3 + round) % 5)) {
            self->wrong++;
            continue;
        }
        for (int picture = 0; picture < 3; picture++)
            self->wrong += !is_right(context);
        if (round % 4 == 0)
            self->wrong += !others_are_right(context);
        vrcnn_close(context);
    }
    return NULL;
}

static void start_clients(Client *clients, int rounds)
{
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].number = i;
        clients[i].rounds = rounds;
        clients[i].wrong = 0;
        if (pthread_create(&clients[i].thread, NULL, run_client, clients + i))
            exit(2);
    }
}

static void join_clients(Client *clients)
{
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        check(!clients[i].wrong, __FILE__, __LINE__, "client %d: %d pictures or contexts wrong", i, clients[i].wrong);
    }
}

static void test_shared_model(void)
{
    Client clients[CLIENTS];
    start_clients(clients, IS_TSAN ? 4 : 20);
    join_clients(clients);
}

/* The same picture 1000 times, with another kernel or number of threads each time. */
static void test_determinism(void)
{
    static const int counts[5] = {1, 2, 3, 5, 8};
    VrcnnContext *contexts[VRCNN_KERNEL_CUDA * 5];
    const int runs = IS_TSAN ? 60 : 1000;
    int count = 0, wrong = 0;
    for (int kernel = VRCNN_KERNEL_SCALAR; vrcnn_kernel_name(kernel); kernel++)
        for (int i = 0; i < 5 && vrcnn_kernel_supported(kernel); i++)
            contexts[count++] = open_context(model, kernel, counts[i]);
    for (int run = 0; run < runs; run++) {
        VrcnnContext **context = contexts + between(0, count - 1);
        if (run % 16 == 0) { /* now and then a new one */
            const int kernel = vrcnn_context_kernel(*context);
            vrcnn_close(*context);
            *context = open_context(model, kernel, counts[between(0, 4)]);
        }
        wrong += !is_right(*context);
    }
    check(!wrong, __FILE__, __LINE__, "%d of %d runs differ", wrong, runs);
    for (int i = 0; i < count; i++)
        vrcnn_close(contexts[i]);
}

/* ---- processes ---- */

/* 0 if the child ends by itself and finds nothing wrong. */
static int status_of(pid_t child)
{
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

/* What vrcnn.h promises a child process. */
static int use_in_child(VrcnnContext *context)
{
    VrcnnContext *own = NULL;
    int wrong = !is_right(context);
    vrcnn_close(context);
    wrong |= open_with(&own, VRCNN_KERNEL_AUTO, IS_TSAN ? 1 : 3) != VRCNN_OK;
    wrong |= own && !is_right(own);
    vrcnn_close(own);
    wrong |= load_builtin() != VRCNN_OK;
    return wrong;
}

/* A child process has none of its parent's threads. Contexts that no call was using work in it all the same, whatever the parent's other
 * threads do meanwhile with theirs; and a grandchild is no different. */
static void test_fork(void)
{
    Client clients[CLIENTS];
    VrcnnContext *context = open_context(model, VRCNN_KERNEL_AUTO, 3);
    CHECK(is_right(context));
    if (MALLOC_FORKS)
        start_clients(clients, IS_TSAN ? 2 : 10);
    for (int i = 0; i < (IS_TSAN ? 2 : 10); i++) {
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            const pid_t grandchild = fork();
            if (grandchild == 0)
                _exit(use_in_child(context));
            _exit(status_of(grandchild) != 0 || use_in_child(context));
        }
        const int status = status_of(child);
        check(status == 0, __FILE__, __LINE__, "child process: status %d", status);
        CHECK(is_right(context));
    }
    if (MALLOC_FORKS)
        join_clients(clients);
    vrcnn_close(context);
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);
    seed_random(seed);
    alarm(900); /* a deadlock fails */
    set_up();
    refuse_each(load_builtin, 1, "model");
    refuse_each(open_and_filter, 8, "context");
    refuse_each(open_decider, 6, "decider");
    test_signals();
    test_shared_model();
    test_determinism();
    test_fork();
    vrcnn_model_free(model);
    return report();
}
