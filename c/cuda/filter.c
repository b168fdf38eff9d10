/* Checks callers' pictures and what they want done to them, and does it on the GPU.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "job.h"

/* ---- what callers may give ---- */

int vrcnn_gpu_check_picture(VrcnnGpuPicture *picture, const VrcnnGpuPictures *pictures, int number)
{
    memset(picture, 0, sizeof *picture);
    for (int p = 0; p < pictures->planes; p++) {
        picture->dst[p] = pictures->dst[(ptrdiff_t)number * pictures->planes + p];
        picture->src[p] = pictures->src[(ptrdiff_t)number * pictures->planes + p];
    }
    return vrcnn_check_planes(picture->read, picture->written, picture->dst, picture->src, VRCNN_USUAL);
}

/* Pictures of a call have the same planes, of the same size and format. */
static int are_alike(const VrcnnGpuPicture *a, const VrcnnGpuPicture *b)
{
    for (int p = 0; p < VRCNN_PLANES; p++) {
        if (!a->src[p].data != !b->src[p].data || !a->dst[p].data != !b->dst[p].data)
            return 0;
        if (a->src[p].data && (!vrcnn_is_alike(a->src + p, b->src + p) || a->src[p].bytes_per_sample != b->src[p].bytes_per_sample))
            return 0;
        if (a->dst[p].data && a->dst[p].bytes_per_sample != b->dst[p].bytes_per_sample)
            return 0;
    }
    return 1;
}

static int do_overlap(const VrcnnGpuPicture *a, const VrcnnGpuPicture *b)
{
    for (int p = 0; p < VRCNN_PLANES; p++)
        for (int q = 0; q < VRCNN_PLANES; q++)
            if (vrcnn_overlap(a->written[p], b->read[q]) || vrcnn_overlap(b->written[p], a->read[q]) ||
                vrcnn_overlap(a->written[p], b->written[q]))
                return 1;
    return 0;
}

static int check_pictures(const VrcnnGpuPictures *pictures)
{
    VrcnnGpuPicture first, picture, other;
    int error;
    for (int i = 0; i < pictures->count; i++) {
        if ((error = vrcnn_gpu_check_picture(&picture, pictures, i)))
            return error;
        if (i == 0)
            first = picture;
        if (!are_alike(&picture, &first))
            return VRCNN_ERROR_PLANE;
        for (int j = 0; j < i; j++)
            if (!vrcnn_gpu_check_picture(&other, pictures, j) && do_overlap(&picture, &other))
                return VRCNN_ERROR_OVERLAP;
    }
    return VRCNN_OK;
}

/* The network of filter `number`, and its weights. */
static int add_filter(VrcnnGpuJob *job, int number, int index, const VrcnnWeights *weights, int writes_chroma)
{
    if (index < 0 || index >= job->context->networks)
        return VRCNN_ERROR_INDEX;
    const VrcnnGpuNetwork *network = job->context->network + index;
    job->network[number] = network;
    job->pipeline[number].is_joint = network->nature.is_joint;
    job->pipeline[number].strip_columns = VRCNN_MAX_SIZE;
    job->choices.index[number] = number;
    job->choices.weights[number] = *weights;
    return vrcnn_check_filter(network->nature, weights, writes_chroma);
}

static int start_job(VrcnnGpuJob *job, VrcnnCuda *context, int planes, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
{
    if (!context || !dst || !src || count < 0)
        return VRCNN_ERROR_ARGUMENT;
    const VrcnnGpuPictures pictures = {count, planes, dst, src};
    memset(job, 0, sizeof *job);
    job->context = context;
    job->pictures = pictures;
    return VRCNN_OK;
}

/* Of no pictures nothing may be read. */
static VrcnnRegion whole(const VrcnnGpuJob *job)
{
    const VrcnnConstPlane *luma = job->pictures.src;
    VrcnnRegion region = {0, 0, 0, 0};
    if (job->pictures.count) {
        region.width = luma->width;
        region.height = luma->height;
    }
    return region;
}

/* Luma alone, with a luma network. */
static int plan_luma(VrcnnGpuJob *job, VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                     int count)
{
    const VrcnnWeights weights = {{scale}, {0}};
    int error = start_job(job, context, 1, dst, src, count);
    if (error)
        return error;
    if (index >= 0 && index < context->networks && context->network[index].nature.is_joint)
        return VRCNN_ERROR_KIND;
    if ((error = add_filter(job, 0, index, &weights, 0)) || (error = check_pictures(&job->pictures)))
        return error;
    job->choices.region = whole(job);
    return VRCNN_OK;
}

/* One network on whole pictures, or on a region of them. */
static int plan_planes(VrcnnGpuJob *job, VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane *dst,
                       const VrcnnConstPlane *src, int count, const VrcnnRegion *wanted)
{
    int error = start_job(job, context, VRCNN_PLANES, dst, src, count);
    if (error || !weights)
        return VRCNN_ERROR_ARGUMENT;
    if ((error = add_filter(job, 0, index, weights, count && (dst[1].data || dst[2].data))) || (error = check_pictures(&job->pictures)))
        return error;
    if (wanted && (!vrcnn_is_inside(*wanted, src) || !vrcnn_is_of_sites(*wanted, src, job->network[0]->nature)))
        return VRCNN_ERROR_REGION;
    job->choices.region = wanted ? *wanted : whole(job);
    return VRCNN_OK;
}

static int plan_units(VrcnnGpuJob *job, VrcnnCuda *context, const VrcnnPlaneUnits *units, const VrcnnPlane *dst, const VrcnnConstPlane *src)
{
    VrcnnNature networks[VRCNN_MAX_CHOICES] = {{0}};
    VrcnnGpuPicture picture;
    int error = start_job(job, context, VRCNN_PLANES, dst, src, 1);
    if (error || !units || (!units->luma && !units->chroma))
        return VRCNN_ERROR_ARGUMENT;
    if ((error = vrcnn_check_units(units)))
        return error;
    job->choices = vrcnn_choices_of(units, dst);
    for (int i = 0; i < units->filters; i++) {
        if ((error = add_filter(job, i, units->index[i], units->weights + i, 0)))
            return error;
        networks[i] = job->network[i]->nature;
    }
    if ((error = vrcnn_gpu_check_picture(&picture, &job->pictures, 0)))
        return error;
    return vrcnn_check_maps(units, networks, picture.written, src);
}

/* ---- on the GPU ---- */

void vrcnn_gpu_start_schedule(VrcnnSchedule *schedule, const VrcnnGpuJob *job)
{
    vrcnn_schedule_start(schedule, job->pipeline, 1, &job->choices, job->pictures.src->width, job->pictures.src->height);
}

int vrcnn_gpu_run(const VrcnnGpuJob *job, const VrcnnGpuPictures *pictures, CUstream stream)
{
    VrcnnSchedule schedule;
    VrcnnPiece piece;
    int error = VRCNN_OK;
    vrcnn_gpu_start_schedule(&schedule, job);
    while (!error && vrcnn_schedule_next(&schedule, &piece)) {
        const VrcnnGpuWork work = {job->network[piece.filter], job->choices.weights + piece.filter, piece.writes_luma, piece.writes_chroma,
                                   piece.region};
        error = vrcnn_gpu_filter(job->context, &work, pictures, stream);
    }
    return error;
}

static int run_on_device(const VrcnnGpuJob *job, void *stream)
{
    int error;
    if (!job->pictures.count)
        return VRCNN_OK;
    if ((error = vrcnn_gpu_enter(job->context)))
        return error;
    return vrcnn_gpu_leave(job->context, vrcnn_gpu_run(job, &job->pictures, stream));
}

/* ---- calls ---- */

int vrcnn_cuda_filter(VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count, void *stream)
{
    VrcnnGpuJob job;
    const int error = plan_luma(&job, context, index, scale, dst, src, count);
    return error ? error : run_on_device(&job, stream);
}

int vrcnn_cuda_filter_host(VrcnnCuda *context, int index, int scale, const VrcnnPlane *dst, const VrcnnConstPlane *src, int count)
{
    VrcnnGpuJob job;
    const int error = plan_luma(&job, context, index, scale, dst, src, count);
    return error ? error : vrcnn_gpu_run_on_host(&job);
}

int vrcnn_cuda_filter_planes(VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane *dst, const VrcnnConstPlane *src,
                             int count, void *stream)
{
    VrcnnGpuJob job;
    const int error = plan_planes(&job, context, index, weights, dst, src, count, NULL);
    return error ? error : run_on_device(&job, stream);
}

int vrcnn_cuda_filter_planes_host(VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane *dst,
                                  const VrcnnConstPlane *src, int count)
{
    VrcnnGpuJob job;
    const int error = plan_planes(&job, context, index, weights, dst, src, count, NULL);
    return error ? error : vrcnn_gpu_run_on_host(&job);
}

int vrcnn_cuda_filter_planes_region(VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane dst[3],
                                    const VrcnnConstPlane src[3], int x, int y, int width, int height, void *stream)
{
    const VrcnnRegion region = {x, y, width, height};
    VrcnnGpuJob job;
    const int error = plan_planes(&job, context, index, weights, dst, src, 1, &region);
    return error ? error : run_on_device(&job, stream);
}

int vrcnn_cuda_filter_planes_region_host(VrcnnCuda *context, int index, const VrcnnWeights *weights, const VrcnnPlane dst[3],
                                         const VrcnnConstPlane src[3], int x, int y, int width, int height)
{
    const VrcnnRegion region = {x, y, width, height};
    VrcnnGpuJob job;
    const int error = plan_planes(&job, context, index, weights, dst, src, 1, &region);
    return error ? error : vrcnn_gpu_run_on_host(&job);
}

int vrcnn_cuda_filter_planes_units(VrcnnCuda *context, const VrcnnPlaneUnits *units, const VrcnnPlane dst[3], const VrcnnConstPlane src[3],
                                   void *stream)
{
    VrcnnGpuJob job;
    const int error = plan_units(&job, context, units, dst, src);
    return error ? error : run_on_device(&job, stream);
}

int vrcnn_cuda_filter_planes_units_host(VrcnnCuda *context, const VrcnnPlaneUnits *units, const VrcnnPlane dst[3],
                                        const VrcnnConstPlane src[3])
{
    VrcnnGpuJob job;
    const int error = plan_units(&job, context, units, dst, src);
    return error ? error : vrcnn_gpu_run_on_host(&job);
}
