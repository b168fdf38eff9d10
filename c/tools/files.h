/* Files, and what ends the program.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_TOOLS_FILES_H
#define VRCNN_TOOLS_FILES_H

#include <stddef.h>
#include <stdio.h>

/* One line on standard error; removes what is unfinished; exit code 1. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 1, 2)))
#endif
void fail(const char *format, ...);

void *allocate(size_t size);

/* An open regular file and its size. */
FILE *open_input(const char *path, unsigned long long *size);

/* A file of a temporary name beside the output; it is gone if the program ends before finish() gives it its name. The output must not be an
 * input; model: NULL for none. Where it is a link, the file that it leads to is replaced. */
FILE *create_unfinished(const char *output, const char *input, const char *model);
void finish(FILE *out, const char *output);

#endif
