/* What plugins and vrcnn_filter have in common: a model set by its name, and what is meant where none, or no kind, is named.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_PLUGINS_SETS_H
#define VRCNN_PLUGINS_SETS_H

#include "vrcnn/vrcnn.h"

enum { LOWEST_QP = -12, HIGHEST_QP = 51 };

/* A built-in set, or the file of one, which the caller frees; NULL, and in *fault what is wrong, a constant string. */
VrcnnModel *load_set(const char *name, const char **fault);

/* The built-in set of a call that names none: decoded video is filtered by what learned from it, unless luma networks are asked for. */
const char *default_set(VrcnnPosition position, int luma);

/* Names of built-in sets, "a, b": all of them (position -1), or those with networks of the position and kind; "" for none. */
void names_of_sets(char *text, size_t size, int position, VrcnnKind kind);

/* Whether there is a file, or a folder, of that name. */
int is_there(const char *path);

/* Luma, unless the set has joint networks only. */
VrcnnKind kind_of_set(const VrcnnModel *model);

/* Every head's weight. */
VrcnnWeights weights_of(int strength);

#endif
