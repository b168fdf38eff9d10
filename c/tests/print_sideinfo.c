/* print_sideinfo WIDTH HEIGHT IRAP VERSION FILE: the side information in a file, as SPECIFICATION.md, section 9, prints it.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "vrcnn/vrcnn.h"

static uint8_t data[VRCNN_SIDEINFO_SIZE + 1], luma[VRCNN_MAX_UNITS], chroma[VRCNN_MAX_UNITS];

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

static void print_map(const char *name, const uint8_t *unit, int size, int width, int height)
{
    const int count = ((width + size - 1) / size) * ((height + size - 1) / size);
    printf("%sUnitSize %d\n%sunit_choice", name, size, name);
    for (int i = 0; i < count; i++)
        printf(" %d", unit[i]);
    putchar('\n');
}

static void print_luma_filters(const VrcnnPlaneSideinfo *info)
{
    printf("filter_mode %d\nfilter_position %d\n", (int)info->luma_mode, (int)info->position);
    if (!info->filters)
        return;
    fputs("network_index", stdout);
    for (int i = 0; i < info->filters; i++)
        printf(" %d", info->filter[i].index);
    printf("\noutput_scale %d\n", info->filter[0].weights.luma[0]);
}

static void print_weights(const char *name, const VrcnnPlaneSideinfo *info, int is_chroma)
{
    fputs(name, stdout);
    for (int i = 0; i < info->filters; i++) {
        const int *weight = is_chroma ? info->filter[i].weights.chroma : info->filter[i].weights.luma;
        for (int head = 0; head < info->filter[i].heads; head++)
            printf("%c%d", head ? ',' : ' ', weight[head]);
    }
    putchar('\n');
}

static void print_plane_filters(const VrcnnPlaneSideinfo *info)
{
    printf("luma_mode %d\nchroma_mode %d\n", (int)info->luma_mode, (int)info->chroma_mode + info->shares_map);
    if (!info->filters)
        return;
    printf("filter_position %d\nnetwork_index", (int)info->position);
    for (int i = 0; i < info->filters; i++)
        printf(" %d", info->filter[i].index);
    fputs("\nheads", stdout);
    for (int i = 0; i < info->filters; i++)
        printf(" %d", info->filter[i].heads);
    putchar('\n');
    if (info->luma_mode != VRCNN_MODE_OFF)
        print_weights("luma_weights", info, 0);
    if (info->chroma_mode != VRCNN_MODE_OFF)
        print_weights("chroma_weights", info, 1);
}

int main(int argc, char **argv)
{
    FILE *file = argc == 6 ? fopen(argv[5], "rb") : NULL;
    if (!file) {
        fputs("usage: print_sideinfo WIDTH HEIGHT IRAP VERSION FILE\n", stderr);
        return 2;
    }
    const int width = (int)strtol(argv[1], NULL, 10), height = (int)strtol(argv[2], NULL, 10), irap = *argv[3] == '1';
    const int version = (int)strtol(argv[4], NULL, 10);
    const size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    VrcnnPlaneSideinfo info;
    const VrcnnError error = vrcnn_sideinfo_parse_planes(&info, luma, chroma, sizeof luma, data, size, version, irap, width, height);
    if (error) {
        printf("error %s\n", error_name(error));
        return 0;
    }
    if (info.has_identity) {
        fputs("model_set_identity ", stdout);
        for (int i = 0; i < (info.version == 1 ? VRCNN_SIDEINFO_ID_SIZE : VRCNN_SIDEINFO_SHORT_ID_SIZE); i++)
            printf("%02x", info.identity[i]);
        putchar('\n');
    }
    if (info.version == 1)
        print_luma_filters(&info);
    else
        print_plane_filters(&info);
    if (info.luma_unit_size)
        print_map(info.version == 1 ? "" : "luma_", luma, info.luma_unit_size, width, height);
    if (info.chroma_unit_size)
        print_map("chroma_", chroma, info.chroma_unit_size, width, height);
    return 0;
}
