/* Files, and what ends the program.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700
#define _FILE_OFFSET_BITS 64

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Removed when the program ends before the output is complete, by a signal too: never freed, since a signal may come at any time. */
static char *unfinished;
static char *target; /* what it is renamed to: the output, links followed; NULL if the output is written through */

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING_SIGNALS = sizeof ending_signals / sizeof *ending_signals };

static void remove_unfinished(int signal_number)
{
    unlink(unfinished);
    _exit(128 + signal_number);
}

void fail(const char *format, ...)
{
    va_list arguments;
    fputs("vrcnn_filter: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    if (unfinished)
        unlink(unfinished);
    exit(1);
}

void *allocate(size_t size)
{
    void *p = malloc(size);
    if (!p)
        fail("out of memory");
    return p;
}

/* An open regular file and its size. A pipe is not waited for. */
FILE *open_file(const char *path, unsigned long long *size)
{
    struct stat status;
    const int descriptor = open(path, O_RDONLY | O_NONBLOCK);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "rb");
    if (!file || fstat(descriptor, &status))
        fail("%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        fail("%s: not a regular file", path);
    *size = (unsigned long long)status.st_size;
    return file;
}

FILE *open_input(const char *path, unsigned long long *size)
{
    struct stat status;
    const int is_standard = !strcmp(path, "-");
    FILE *file = is_standard ? stdin : fopen(path, "rb");
    if (!file || fstat(fileno(file), &status))
        fail("%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode))
        fail("%s: neither a regular file nor a pipe", is_standard ? "standard input" : path);
    /* Of standard input a part may have been read before. */
    *size = S_ISREG(status.st_mode) && !is_standard ? (unsigned long long)status.st_size : UNKNOWN_SIZE;
    return file;
}

static int same(const char *path, const struct stat *status)
{
    struct stat other;
    const int missing = path && !strcmp(path, "-") ? fstat(STDIN_FILENO, &other) : !path || stat(path, &other);
    return !missing && other.st_dev == status->st_dev && other.st_ino == status->st_ino;
}

/* Standard output, a pipe or a character device, open; NULL if the output is none. */
static FILE *open_stream(const char *output, const char *input, const char *model)
{
    struct stat status;
    const int is_standard = !strcmp(output, "-");
    if (is_standard ? fstat(STDOUT_FILENO, &status) : stat(output, &status))
        return NULL;
    if (!is_standard && !S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))
        return NULL;
    if (!S_ISCHR(status.st_mode) && (same(input, &status) || same(model, &status)))
        fail("%s: is an input; give the output another name", output);
    if (is_standard && isatty(STDOUT_FILENO))
        fail("standard output is a terminal; pictures are no text: give it to a program or a file");
    FILE *file = is_standard ? stdout : fopen(output, "wb");
    if (!file)
        fail("%s: %s", output, strerror(errno));
    return file;
}

/* Where the output goes, links followed. */
static char *checked_output(const char *output, const char *input, const char *model)
{
    struct stat status;
    if (stat(output, &status)) {
        if (!lstat(output, &status))
            fail("%s: is a symbolic link that leads to no file", output);
        return memcpy(allocate(strlen(output) + 1), output, strlen(output) + 1);
    }
    if (!S_ISREG(status.st_mode))
        fail("%s: exists and is not a regular file", output);
    if (same(input, &status) || same(model, &status))
        fail("%s: is an input; give the output another name", output);
    char *path = realpath(output, NULL);
    if (!path)
        fail("%s: %s", output, strerror(errno));
    return path;
}

FILE *create_output(const char *output, const char *input, const char *model)
{
    FILE *stream = open_stream(output, input, model);
    if (stream)
        return stream;
    target = checked_output(output, input, model);
    const size_t size = strlen(target) + 32;
    char *path = allocate(size);
    snprintf(path, size, "%s.%ld.tmp", target, (long)getpid());
    sigset_t ending, before;
    sigemptyset(&ending);
    for (int i = 0; i < ENDING_SIGNALS; i++)
        sigaddset(&ending, ending_signals[i]);
    sigprocmask(SIG_BLOCK, &ending, &before); /* until it is known what to remove */
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (descriptor < 0)
        fail("%s: cannot be written: %s", output, strerror(errno));
    unfinished = path;
    signal(SIGXFSZ, SIG_IGN); /* a file limit is then an error of the write */
    for (int i = 0; i < ENDING_SIGNALS; i++)
        if (signal(ending_signals[i], remove_unfinished) == SIG_IGN)
            signal(ending_signals[i], SIG_IGN); /* as whoever started the program wants it: nohup */
    sigprocmask(SIG_SETMASK, &before, NULL);
    FILE *file = fdopen(descriptor, "wb");
    if (!file)
        fail("%s: %s", output, strerror(errno));
    return file;
}

/* Whoever read the output has seen enough: no fault, so nothing is said. As the signal that ends a program then, where it is not ignored.
 */
static void fail_writing(const char *output)
{
    if (errno == EPIPE)
        _exit(128 + SIGPIPE);
    fail("%s: %s", output, strerror(errno));
}

void write_out(FILE *out, const void *data, size_t size, const char *output)
{
    if (fwrite(data, 1, size, out) != size)
        fail_writing(output);
}

void picture_done(FILE *out, const char *output)
{
    if (!target && fflush(out))
        fail_writing(output);
}

void finish(FILE *out, const char *output)
{
    if (fclose(out))
        fail_writing(output);
    if (target && rename(unfinished, target))
        fail("%s: %s", output, strerror(errno));
}
