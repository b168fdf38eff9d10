/* replay FILE...: what a fuzz target makes of each file, without a fuzzer. Ends where the target does.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fuzz.h"

/* A copy of exactly its size, so that a sanitizer sees a step too far. */
static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long length = -1;
    if (file && !fseek(file, 0, SEEK_END))
        length = ftell(file);
    if (length >= 0)
        data = malloc(length ? (size_t)length : 1);
    if (!data || fseek(file, 0, SEEK_SET) || fread(data, 1, (size_t)length, file) != (size_t)length) {
        fprintf(stderr, "replay: %s cannot be read\n", path);
        exit(2);
    }
    fclose(file);
    *size = (size_t)length;
    return data;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t size;
        uint8_t *data = read_file(argv[i], &size);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    printf("%d inputs replayed\n", argc - 1);
    return argc > 1 ? 0 : 2;
}
