/* core.vrcnn.Filter(clip, qp, strength, size, position, threads, kind, model): libvrcnn as a filter of VapourSynth (API 4).
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700

#include <VapourSynth4.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sets.h"

enum { QPS = HIGHEST_QP - LOWEST_QP + 1, NO_QP = HIGHEST_QP + 1 };

/* What a call of Filter has made. VapourSynth asks for frames from several threads at once: each takes a context, which nobody else uses
 * meanwhile, and leaves it for others; so there are as many as frames were ever filtered at once. */
typedef struct Filter {
    VSNode *clip;
    VSVideoInfo info;
    VrcnnModel *model;
    VrcnnSettings settings;
    VrcnnWeights weights;
    int qp;         /* NO_QP: each frame's */
    int index[QPS]; /* of the network for a QP, by QP - LOWEST_QP */
    pthread_mutex_t lock;
    VrcnnContext **idle;
    int idle_count, opened;
} Filter;

static VrcnnError take_context(Filter *f, VrcnnContext **context)
{
    pthread_mutex_lock(&f->lock);
    *context = f->idle_count ? f->idle[--f->idle_count] : NULL;
    pthread_mutex_unlock(&f->lock);
    if (*context)
        return VRCNN_OK;
    const VrcnnError error = vrcnn_open(context, f->model, &f->settings);
    if (error)
        return error;
    pthread_mutex_lock(&f->lock);
    VrcnnContext **const idle = (VrcnnContext **)realloc((void *)f->idle, (size_t)(f->opened + 1) * sizeof *idle);
    if (idle) {
        f->idle = idle;
        f->opened++;
    }
    pthread_mutex_unlock(&f->lock);
    if (idle)
        return VRCNN_OK;
    vrcnn_close(*context);
    return VRCNN_ERROR_MEMORY;
}

static void leave_context(Filter *f, VrcnnContext *context)
{
    pthread_mutex_lock(&f->lock);
    f->idle[f->idle_count++] = context; /* there is room for all that were opened */
    pthread_mutex_unlock(&f->lock);
}

static void release(Filter *f, const VSAPI *api)
{
    while (f->idle_count)
        vrcnn_close(f->idle[--f->idle_count]);
    free((void *)f->idle);
    vrcnn_model_free(f->model);
    api->freeNode(f->clip);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void VS_CC release_filter(void *data, VSCore *core, const VSAPI *api)
{
    (void)core;
    release(data, api);
}

/* The QP of a frame: what the call said, or the frame's property QP or _QP. NO_QP if there is none. */
static int qp_of(const Filter *f, const VSMap *properties, const VSAPI *api)
{
    static const char *const names[] = {"QP", "_QP"};
    if (f->qp != NO_QP)
        return f->qp;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int error;
        const int64_t whole = api->mapGetInt(properties, names[i], 0, &error);
        if (!error)
            return whole < LOWEST_QP || whole > HIGHEST_QP ? NO_QP : (int)whole;
        const double mean = api->mapGetFloat(properties, names[i], 0, &error); /* of a picture whose units have QPs of their own */
        if (!error)
            return mean >= LOWEST_QP && mean <= HIGHEST_QP ? (int)floor(mean + 0.5) : NO_QP;
    }
    return NO_QP;
}

/* How many planes a network filters: all three of 4:2:0 if it is joint, else luma. */
static int planes_of(const Filter *f, int index)
{
    const VSVideoFormat *format = &f->info.format;
    const int is_420 = format->colorFamily == cfYUV && format->subSamplingW == 1 && format->subSamplingH == 1;
    return is_420 && vrcnn_model_network_kind(f->model, index) == VRCNN_JOINT ? 3 : 1;
}

static const VSFrame *filtered(Filter *f, const VSFrame *source, int index, VSFrameContext *frame, VSCore *core, const VSAPI *api)
{
    const VSVideoFormat *format = api->getVideoFrameFormat(source);
    const int count = planes_of(f, index), numbers[3] = {0, 1, 2};
    const VSFrame *kept[3] = {NULL, count == 1 ? source : NULL, count == 1 ? source : NULL};
    VSFrame *out = api->newVideoFrame2(format, api->getFrameWidth(source, 0), api->getFrameHeight(source, 0), kept, numbers, source, core);
    VrcnnConstPlane src[3] = {{0}};
    VrcnnPlane dst[3] = {{0}};
    for (int p = 0; p < count; p++) {
        const int width = api->getFrameWidth(source, p), height = api->getFrameHeight(source, p);
        const VrcnnConstPlane from = {api->getReadPtr(source, p), api->getStride(source, p), width, height,
                                      format->bitsPerSample,      format->bytesPerSample};
        const VrcnnPlane to = {api->getWritePtr(out, p), api->getStride(out, p), width, height,
                               format->bitsPerSample,    format->bytesPerSample};
        src[p] = from;
        dst[p] = to;
    }
    VrcnnContext *context;
    VrcnnError error = take_context(f, &context);
    if (!error) {
        error = vrcnn_filter_planes(context, index, &f->weights, dst, src);
        leave_context(f, context);
    }
    if (!error)
        return out;
    char text[256];
    snprintf(text, sizeof text, "vrcnn.Filter: %s", vrcnn_strerror(error));
    api->setFilterError(text, frame);
    api->freeFrame(out);
    return NULL;
}

static const VSFrame *VS_CC get_frame(int n, int reason, void *data, void **frame_data, VSFrameContext *frame, VSCore *core,
                                      const VSAPI *api)
{
    (void)frame_data;
    Filter *f = data;
    if (reason == arInitial)
        api->requestFrameFilter(n, f->clip, frame);
    if (reason != arAllFramesReady)
        return NULL;
    const VSFrame *source = api->getFrameFilter(n, f->clip, frame), *out = NULL;
    const VSMap *properties = api->getFramePropertiesRO(source);
    int unset;
    const int64_t fields = api->mapGetInt(properties, "_FieldBased", 0, &unset);
    const int qp = qp_of(f, properties, api);
    if (!unset && fields)
        api->setFilterError("vrcnn.Filter: the frame is interlaced (_FieldBased): separate its fields before, std.SeparateFields", frame);
    else if (qp == NO_QP)
        api->setFilterError("vrcnn.Filter: no QP: give qp=, or frames a property QP from -12 to 51", frame);
    else
        out = filtered(f, source, f->index[qp - LOWEST_QP], frame, core, api);
    api->freeFrame(source);
    return out;
}

/* One of two words: 0 or 1; -1 for another one. What is not given is 1. */
static int word(const VSMap *in, const char *name, const char *first, const char *second, const VSAPI *api)
{
    int unset;
    const char *text = api->mapGetData(in, name, 0, &unset);
    return unset || !strcmp(text, second) ? 1 : strcmp(text, first) ? -1 : 0;
}

/* A whole number; `otherwise` if it is not given. Returns 0 if it is out of its range. */
static int number(const VSMap *in, const char *name, int low, int high, int otherwise, int *value, const VSAPI *api)
{
    int unset;
    const int64_t given = api->mapGetInt(in, name, 0, &unset);
    *value = unset ? otherwise : (int)given;
    return unset || (given >= low && given <= high);
}

/* NULL, or what is wrong with the arguments. */
static const char *read_arguments(Filter *f, const VSMap *in, const VSAPI *api)
{
    int unset, strength;
    const VSVideoFormat *format = &f->info.format;
    if (format->colorFamily == cfUndefined || !f->info.width)
        return "a clip whose frames differ in format or size is not supported";
    if ((format->colorFamily != cfGray && format->colorFamily != cfYUV) || format->sampleType != stInteger ||
        (format->bitsPerSample > 10 && format->bitsPerSample != 12))
        return "clip: must be GRAY or YUV of 8 to 10 or 12 bits";
    if (!number(in, "qp", LOWEST_QP, HIGHEST_QP, NO_QP, &f->qp, api))
        return "qp: must be from -12 to 51";
    if (!number(in, "strength", 1, 10, VRCNN_SCALE_TRAINED, &strength, api))
        return "strength: must be from 1 to 10 (8: as trained)";
    if (!number(in, "threads", 1, VRCNN_MAX_THREADS, 1, &f->settings.threads, api))
        return "threads: must be from 1 to 64";
    const int size = word(in, "size", "fast", "best", api), position = word(in, "position", "before_deblocking", "after_sao", api);
    if (size < 0)
        return "size: must be fast or best";
    if (position < 0)
        return "position: must be before_deblocking or after_sao";
    int kind = word(in, "kind", "luma", "joint", api), any_kind;
    if (kind < 0)
        return "kind: must be luma or joint";
    api->mapGetData(in, "kind", 0, &any_kind);
    const char *name = api->mapGetData(in, "model", 0, &unset), *fault = NULL;
    f->model = load_set(unset ? default_set((VrcnnPosition)position, !any_kind && kind == VRCNN_LUMA) : name, &fault);
    if (!f->model)
        return fault;
    if (any_kind)
        kind = (int)kind_of_set(f->model);
    if (format->bitsPerSample == 12 && kind != VRCNN_JOINT)
        return "clip: 12 bits are filtered by joint networks only: give a model that has some, and kind=\"joint\" if it has others too";
    f->weights = weights_of(strength);
    for (int i = 0; i < QPS; i++)
        f->index[i] = vrcnn_model_find(f->model, (VrcnnPosition)position, (VrcnnKind)kind, (VrcnnSize)size, LOWEST_QP + i);
    return *f->index < 0 ? vrcnn_strerror(*f->index) : NULL;
}

static void VS_CC create(const VSMap *in, VSMap *out, void *data, VSCore *core, const VSAPI *api)
{
    (void)data;
    Filter *f = calloc(1, sizeof *f);
    if (!f || pthread_mutex_init(&f->lock, NULL)) {
        free(f);
        api->mapSetError(out, "vrcnn.Filter: out of memory");
        return;
    }
    f->clip = api->mapGetNode(in, "clip", 0, NULL);
    f->info = *api->getVideoInfo(f->clip);
    vrcnn_default_settings(&f->settings, sizeof f->settings);
    const char *fault = read_arguments(f, in, api);
    VrcnnContext *first = NULL; /* whatever keeps contexts from being opened is said now, not in the middle of a video */
    const VrcnnError error = fault ? VRCNN_OK : take_context(f, &first);
    if (error)
        fault = vrcnn_strerror(error);
    if (fault) {
        char text[512];
        snprintf(text, sizeof text, "vrcnn.Filter: %s", fault);
        api->mapSetError(out, text);
        release(f, api);
        return;
    }
    leave_context(f, first);
    const VSFilterDependency needs[] = {{f->clip, rpStrictSpatial}};
    api->createVideoFilter(out, "Filter", &f->info, get_frame, release_filter, fmParallel, needs, 1, f, core);
}

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *api);

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *api)
{
    api->configPlugin("org.vrcnn.vrcnn", "vrcnn", "Integer-only CNN filter for coded video",
                      VS_MAKE_VERSION(VRCNN_VERSION_MAJOR, VRCNN_VERSION_MINOR), VAPOURSYNTH_API_VERSION, 0, plugin);
    api->registerFunction("Filter",
                          "clip:vnode;qp:int:opt;strength:int:opt;size:data:opt;position:data:opt;threads:int:opt;kind:data:opt;"
                          "model:data:opt;",
                          "clip:vnode;", create, NULL, plugin);
}
