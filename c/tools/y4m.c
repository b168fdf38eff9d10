/* The lines of text in Y4M, between which pictures lie.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700

#include "y4m.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "vrcnn/vrcnn.h"

/* Up to and with the end of the line, or as much as there is; 0 at the end of the stream. */
static size_t read_line(FILE *in, const char *name, Y4mLine *line)
{
    line->length = 0;
    for (int byte; line->length < Y4M_LINE && (byte = getc(in)) != EOF;) {
        line->text[line->length++] = (char)byte;
        if (byte == '\n')
            break;
    }
    if (ferror(in))
        fail("%s: cannot be read: %s", name, strerror(errno));
    line->text[line->length] = '\0';
    return line->length;
}

static int is_whole(const Y4mLine *line)
{
    /* A zero byte would hide what follows it. */
    return line->length && line->text[line->length - 1] == '\n' && strlen(line->text) == line->length;
}

/* The word at *at, which is moved behind it; its length, 0 for none. */
static size_t next_word(const char **at, const char **word)
{
    *word = *at + strspn(*at, " \n");
    *at = *word + strcspn(*word, " \n");
    return (size_t)(*at - *word);
}

static int is_word(const char *word, size_t length, const char *other)
{
    return strlen(other) == length && !memcmp(word, other, length);
}

static int size_of(const char *name, const char *word, size_t length)
{
    int value = 0;
    for (size_t i = 1; i < length; i++) {
        value = word[i] >= '0' && word[i] <= '9' ? 10 * value + (word[i] - '0') : -1;
        if (value < 0 || value > VRCNN_MAX_SIZE)
            break;
    }
    if (value < 1 || value > VRCNN_MAX_SIZE)
        fail("%s: the Y4M header says %.*s: width and height are from 1 to %d", name, (int)(length < 40 ? length : 40), word,
             VRCNN_MAX_SIZE);
    return value;
}

static void read_colour(const char *name, const char *word, size_t length, Y4mLayout *layout)
{
    static const struct {
        const char *word;
        int format, depth;
    } colours[] = {{"C420", 420, 8},     {"C420jpeg", 420, 8}, {"C420mpeg2", 420, 8}, {"C420paldv", 420, 8}, {"C422", 422, 8},
                   {"C444", 444, 8},     {"Cmono", 400, 8},    {"C420p9", 420, 9},    {"C422p9", 422, 9},    {"C444p9", 444, 9},
                   {"Cmono9", 400, 9},   {"C420p10", 420, 10}, {"C422p10", 422, 10},  {"C444p10", 444, 10},  {"Cmono10", 400, 10},
                   {"C420p12", 420, 12}, {"C422p12", 422, 12}, {"C444p12", 444, 12},  {"Cmono12", 400, 12}};
    for (size_t i = 0; i < sizeof colours / sizeof *colours; i++)
        if (is_word(word, length, colours[i].word)) {
            layout->format = colours[i].format;
            layout->depth = colours[i].depth;
            return;
        }
    fail("%s: Y4M colour space %.*s is not supported; supported are 4:2:0, 4:2:2, 4:4:4 and mono of 8 to 10 and 12 bits", name,
         (int)(length < 40 ? length : 40), word);
}

Y4mLayout read_y4m_header(FILE *in, const char *name, Y4mLine *line)
{
    Y4mLayout layout = {.format = 420, .depth = 8};
    char seen[] = "WHICFA";
    const char *word, *at = line->text;
    read_line(in, name, line);
    size_t length = is_whole(line) ? next_word(&at, &word) : 0;
    if (!length || word != line->text || !is_word(word, length, "YUV4MPEG2"))
        fail("%s is not Y4M: it does not begin with a YUV4MPEG2 line", name);
    while ((length = next_word(&at, &word))) {
        char *const first = strchr(seen, *word);
        if (*word != 'X' && strchr("WHICFA", *word) && !first)
            fail("%s: the Y4M header gives %c twice", name, *word);
        if (first)
            *first = '.';
        if (*word == 'W')
            layout.width = size_of(name, word, length);
        else if (*word == 'H')
            layout.height = size_of(name, word, length);
        else if (*word == 'C')
            read_colour(name, word, length, &layout);
        else if (*word == 'I' && !is_word(word, length, "Ip") && !is_word(word, length, "I?"))
            fail("%s is interlaced (%.*s); give its fields as pictures of their own", name, (int)(length < 40 ? length : 40), word);
    }
    if (!layout.width || !layout.height)
        fail("%s: the Y4M header has no width or height", name);
    return layout;
}

/* Ixyz: x how the picture is shown, y how it was sampled in time. */
static int says_fields(const char *word, size_t length)
{
    return length > 1 && *word == 'I' && (strchr("tTbB", word[1]) || (length > 2 && word[2] == 'i'));
}

int read_y4m_frame(FILE *in, const char *name, unsigned long long picture, Y4mLine *line)
{
    if (!read_line(in, name, line))
        return 0;
    const char *word, *at = line->text;
    size_t length = is_whole(line) ? next_word(&at, &word) : 0;
    if (!length || word != line->text || !is_word(word, length, "FRAME"))
        fail("%s: picture %llu does not begin with a FRAME line", name, picture);
    while ((length = next_word(&at, &word)))
        if (says_fields(word, length))
            fail("%s: picture %llu is interlaced (%.*s); give its fields as pictures of their own", name, picture,
                 (int)(length < 40 ? length : 40), word);
    return 1;
}
