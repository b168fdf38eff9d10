/* The model sets that are compiled in, in the order of their names. Their bytes are written out by the build. With VRCNN_NO_SETS there are
 * none: the Python extension is built so, beside which they lie as files.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "model.h"

/* No pointers: the table needs no relocation, so it is constant in a position-independent library, too. */
typedef struct Builtin {
    char name[32];
    size_t offset, size; /* in builtin_bytes */
} Builtin;

#if defined(VRCNN_NO_SETS)
static const unsigned char builtin_bytes[1];
static const Builtin builtin_sets[1];
#define SETS 0
#else
#include "builtin_sets.inc"
#define SETS ((int)(sizeof builtin_sets / sizeof builtin_sets[0]))
#endif

const char *vrcnn_builtin_name(int number)
{
    return number >= 0 && number < SETS ? builtin_sets[number].name : NULL;
}

const void *vrcnn_builtin_file(const char *name, size_t *size)
{
    for (int i = 0; name && size && i < SETS; i++)
        if (!strcmp(name, builtin_sets[i].name)) {
            *size = builtin_sets[i].size;
            return builtin_bytes + builtin_sets[i].offset;
        }
    return NULL;
}

VrcnnError vrcnn_model_builtin(VrcnnModel **out, VrcnnPosition position)
{
    if (!out)
        return VRCNN_ERROR_ARGUMENT;
    *out = NULL;
    if (position != VRCNN_BEFORE_DEBLOCKING && position != VRCNN_AFTER_SAO)
        return VRCNN_ERROR_POSITION;
    size_t size = 0;
    const void *const file = vrcnn_builtin_file("vrcnn_intra", &size);
    return vrcnn_model_load(out, file, size, NULL);
}
