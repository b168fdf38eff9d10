/* Loaded before a program (LD_PRELOAD): after REFUSE_AFTER allocations, the C library's own included, there is no more memory.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* glibc's, under the names that nobody replaces. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static long granted = -1; /* -1: not asked for yet */

static int is_refused(void)
{
    if (granted < 0) {
        const char *text = getenv("REFUSE_AFTER");
        granted = text ? strtol(text, NULL, 10) : 0;
    }
    if (granted == 0) {
        errno = ENOMEM;
        return 1;
    }
    granted--;
    return 0;
}

void *malloc(size_t size)
{
    return is_refused() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return is_refused() ? NULL : __libc_realloc(memory, size);
}
