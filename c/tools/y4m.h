/* The lines of text in Y4M, between which pictures lie.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_TOOLS_Y4M_H
#define VRCNN_TOOLS_Y4M_H

#include <stddef.h>
#include <stdio.h>

enum { Y4M_LINE = 4096 };

/* A line with its end, as it was read: it is written as it is, so that whatever it says is kept. */
typedef struct Y4mLine {
    char text[Y4M_LINE + 1];
    size_t length;
} Y4mLine;

typedef struct Y4mLayout {
    int width, height;
    int format; /* 400, 420, 422, 444 */
    int depth;  /* 8 to 10, or 12 */
} Y4mLayout;

/* The stream's first line. name: the input's, for what fail() says, which ends the program for all that is not progressive Y4M of 8 to 10
 * or 12 bits. */
Y4mLayout read_y4m_header(FILE *in, const char *name, Y4mLine *line);

/* The line before a picture; 0 at the end of the stream. Ends the program for anything else. */
int read_y4m_frame(FILE *in, const char *name, unsigned long long picture, Y4mLine *line);

#endif
