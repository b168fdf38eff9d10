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
FILE *open_file(const char *path, unsigned long long *size);

/* The same, or a pipe, or standard input ("-"): their *size is UNKNOWN_SIZE. */
#define UNKNOWN_SIZE (~0ull)
FILE *open_input(const char *path, unsigned long long *size);

/* A file of a temporary name beside the output; it is gone if the program ends before finish() gives it its name. The output must not be an
 * input; model: NULL for none. Where it is a link, the file that it leads to is replaced. Pipes, character devices and standard output
 * ("-") are written through instead. */
FILE *create_output(const char *output, const char *input, const char *model);
/* After each picture: it is on its way if the output is written through. */
void write_out(FILE *out, const void *data, size_t size, const char *output);
void picture_done(FILE *out, const char *output);
void finish(FILE *out, const char *output);

#endif
