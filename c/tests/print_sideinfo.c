/* print_sideinfo WIDTH HEIGHT IRAP FILE: the side information in a file, as SPECIFICATION.md, section 9, prints it.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "vrcnn/vrcnn.h"

static uint8_t data[VRCNN_SIDEINFO_SIZE + 1], unit[VRCNN_MAX_UNITS];

static const char *error_name(VrcnnError error)
{
    switch (error) {
    case VRCNN_ERROR_SIDEINFO_FOREIGN: return "FOREIGN";
    case VRCNN_ERROR_SIDEINFO_VERSION: return "VERSION";
    case VRCNN_ERROR_SIDEINFO_TRUNCATED: return "TRUNCATED";
    case VRCNN_ERROR_SIDEINFO_SYNTAX: return "SYNTAX";
    default: return vrcnn_strerror(error);
    }
}

int main(int argc, char **argv)
{
    FILE *file = argc == 5 ? fopen(argv[4], "rb") : NULL;
    if (!file) {
        fputs("usage: print_sideinfo WIDTH HEIGHT IRAP FILE\n", stderr);
        return 2;
    }
    const int width = (int)strtol(argv[1], NULL, 10), height = (int)strtol(argv[2], NULL, 10), irap = *argv[3] == '1';
    const size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    VrcnnSideinfo info;
    const VrcnnError error = vrcnn_sideinfo_parse(&info, unit, sizeof unit, data, size, irap, width, height);
    if (error) {
        printf("error %s\n", error_name(error));
        return 0;
    }
    if (info.has_identity)
        printf("model_set_identity %02x%02x%02x%02x\n", info.identity[0], info.identity[1], info.identity[2], info.identity[3]);
    printf("filter_mode %d\nfilter_position %d\n", (int)info.mode, (int)info.position);
    if (info.mode != VRCNN_MODE_OFF) {
        fputs("network_index", stdout);
        for (int i = 0; i < info.networks; i++)
            printf(" %d", info.index[i]);
        printf("\noutput_scale %d\n", info.scale);
    }
    if (info.mode == VRCNN_MODE_MAP) {
        const int across = (width + info.unit_size - 1) / info.unit_size, down = (height + info.unit_size - 1) / info.unit_size;
        printf("UnitSize %d\nunit_choice", info.unit_size);
        for (int i = 0; i < across * down; i++)
            printf(" %d", unit[i]);
        putchar('\n');
    }
    return 0;
}
