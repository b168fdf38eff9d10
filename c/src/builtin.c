/* The model sets that are compiled in, in the order of their names. Their bytes are written out by the build.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "model.h"

typedef struct Builtin {
    const char *name;
    const unsigned char *file;
    size_t size;
} Builtin;

#include "builtin_sets.inc"

#define SETS ((int)(sizeof builtin_sets / sizeof builtin_sets[0]))

const char *vrcnn_builtin_name(int number)
{
    return number >= 0 && number < SETS ? builtin_sets[number].name : NULL;
}

VrcnnError vrcnn_model_by_name(VrcnnModel **out, const char *name)
{
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    for (int i = 0; name && i < SETS; i++)
        if (!strcmp(name, builtin_sets[i].name))
            return vrcnn_model_load(out, builtin_sets[i].file, builtin_sets[i].size, NULL);
    return VRCNN_ERROR_ARGUMENT;
}

VrcnnError vrcnn_model_builtin(VrcnnModel **out, VrcnnPosition position)
{
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    if (position != VRCNN_BEFORE_DEBLOCKING && position != VRCNN_AFTER_SAO)
        return VRCNN_ERROR_POSITION;
    return vrcnn_model_by_name(out, "vrcnn_intra");
}
