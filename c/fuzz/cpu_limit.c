/* A fuzzer that has used its CPU time (ulimit -t) stops as if interrupted: with its figures.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700 /* SIGXCPU */
#include <signal.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);

static void stop(int signal_number)
{
    (void)signal_number;
    raise(SIGINT);
}

/* What libFuzzer calls first. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return signal(SIGXCPU, stop) == SIG_ERR;
}
