/* vrcnnfilter: libvrcnn as an element of GStreamer 1.x. Properties: qp, strength, size, position, threads, kind, model.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include <gst/gst.h>
#include <gst/video/gstvideofilter.h>
#include <gst/video/video.h>

#include "../sets.h"

enum { NO_QP = LOWEST_QP - 1, DEFAULT_KIND = -1 };
enum { PROPERTY_QP = 1, PROPERTY_STRENGTH, PROPERTY_SIZE, PROPERTY_POSITION, PROPERTY_THREADS, PROPERTY_KIND, PROPERTY_MODEL };

#if G_BYTE_ORDER == G_LITTLE_ENDIAN
#define NATIVE(format) format "LE"
#else
#define NATIVE(format) format "BE"
#endif
#define FORMATS "{ I420, YV12, Y42B, Y444, GRAY8, " NATIVE("I420_10") ", " NATIVE("I422_10") ", " NATIVE("Y444_10") " }"

/* Any thread may set properties, the streaming thread alone filters. */
struct _GstVrcnnFilter {
    GstVideoFilter parent;
    /* Properties, under the object's lock. */
    int qp, strength, size, position, threads, kind;
    gchar *name;      /* of the model set */
    gboolean is_open; /* what follows is what name and threads say */
    /* The streaming thread's. */
    VrcnnModel *model;
    VrcnnContext *context;
};

#define GST_TYPE_VRCNN_FILTER gst_vrcnn_filter_get_type()
G_DECLARE_FINAL_TYPE(GstVrcnnFilter, gst_vrcnn_filter, GST, VRCNN_FILTER, GstVideoFilter)
G_DEFINE_TYPE(GstVrcnnFilter, gst_vrcnn_filter, GST_TYPE_VIDEO_FILTER)
GST_ELEMENT_REGISTER_DEFINE(vrcnnfilter, "vrcnnfilter", GST_RANK_NONE, GST_TYPE_VRCNN_FILTER)

static const GEnumValue sizes[] = {{VRCNN_FAST, "fast", "fast"}, {VRCNN_BEST, "best", "best"}, {0, NULL, NULL}};
static const GEnumValue positions[] = {{VRCNN_BEFORE_DEBLOCKING, "decoded without loop filters", "before_deblocking"},
                                       {VRCNN_AFTER_SAO, "decoded with its loop filters", "after_sao"},
                                       {0, NULL, NULL}};
static const GEnumValue kinds[] = {{DEFAULT_KIND, "what the set has, luma if it has both", "default"},
                                   {VRCNN_LUMA, "luma", "luma"},
                                   {VRCNN_JOINT, "luma and 4:2:0 chroma", "joint"},
                                   {0, NULL, NULL}};

static void close_model(GstVrcnnFilter *self)
{
    vrcnn_close(self->context);
    vrcnn_model_free(self->model);
    self->context = NULL;
    self->model = NULL;
}

/* Makes model and context as the properties say; FALSE after an error was posted. */
static gboolean open_model(GstVrcnnFilter *self)
{
    VrcnnSettings settings;
    vrcnn_default_settings(&settings, sizeof settings);
    GST_OBJECT_LOCK(self);
    gchar *name = g_strdup(self->name ? self->name : default_set((VrcnnPosition)self->position, self->kind == VRCNN_LUMA));
    settings.threads = self->threads;
    self->is_open = TRUE; /* what is set from here on is seen at the next picture */
    GST_OBJECT_UNLOCK(self);
    close_model(self);
    const char *fault;
    self->model = load_set(name, &fault);
    if (!self->model) {
        GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND, ("model=%s: %s", name, fault), (NULL));
    } else {
        const VrcnnError error = vrcnn_open(&self->context, self->model, &settings);
        if (error)
            GST_ELEMENT_ERROR(self, LIBRARY, INIT, ("threads=%d: %s", settings.threads, vrcnn_strerror(error)), (NULL));
    }
    g_free(name);
    return self->context != NULL;
}

static gboolean start(GstBaseTransform *base)
{
    return open_model(GST_VRCNN_FILTER(base));
}

static gboolean stop(GstBaseTransform *base)
{
    close_model(GST_VRCNN_FILTER(base));
    return TRUE;
}

/* Values that controllers have for the time of the picture. */
static void before_transform(GstBaseTransform *base, GstBuffer *buffer)
{
    const GstClockTime time = gst_segment_to_stream_time(&base->segment, GST_FORMAT_TIME, GST_BUFFER_TIMESTAMP(buffer));
    if (GST_CLOCK_TIME_IS_VALID(time))
        gst_object_sync_values(GST_OBJECT(base), time);
}

static VrcnnPlane plane_of(GstVideoFrame *frame, guint component)
{
    const VrcnnPlane plane = {GST_VIDEO_FRAME_COMP_DATA(frame, component),       GST_VIDEO_FRAME_COMP_STRIDE(frame, component),
                              GST_VIDEO_FRAME_COMP_WIDTH(frame, component),      GST_VIDEO_FRAME_COMP_HEIGHT(frame, component),
                              (int)GST_VIDEO_FRAME_COMP_DEPTH(frame, component), GST_VIDEO_FRAME_COMP_PSTRIDE(frame, component)};
    return plane;
}

/* All three planes of 4:2:0 if the network is joint, else luma; the others are copied. */
static VrcnnError filter_frame(GstVrcnnFilter *self, int index, int strength, GstVideoFrame *in, GstVideoFrame *out)
{
    const GstVideoFormatInfo *format = in->info.finfo;
    const guint count = GST_VIDEO_FRAME_N_COMPONENTS(in);
    const gboolean is_420 = count == 3 && GST_VIDEO_FORMAT_INFO_W_SUB(format, 1) == 1 && GST_VIDEO_FORMAT_INFO_H_SUB(format, 1) == 1;
    const guint filtered = is_420 && vrcnn_model_network_kind(self->model, index) == VRCNN_JOINT ? 3 : 1;
    const VrcnnWeights weights = weights_of(strength);
    VrcnnConstPlane src[3] = {{0}};
    VrcnnPlane dst[3] = {{0}};
    for (guint c = 0; c < filtered; c++) {
        const VrcnnPlane from = plane_of(in, c);
        const VrcnnConstPlane read = {from.data, from.stride, from.width, from.height, from.bit_depth, from.bytes_per_sample};
        src[c] = read;
        dst[c] = plane_of(out, c);
    }
    for (guint c = filtered; c < count; c++)
        gst_video_frame_copy_plane(out, in, GST_VIDEO_FORMAT_INFO_PLANE(format, c));
    return vrcnn_filter_planes(self->context, index, &weights, dst, src);
}

static GstFlowReturn transform_frame(GstVideoFilter *filter, GstVideoFrame *in, GstVideoFrame *out)
{
    GstVrcnnFilter *self = GST_VRCNN_FILTER(filter);
    if (GST_VIDEO_FRAME_IS_INTERLACED(in)) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("the video is interlaced: put the element deinterlace before"), (NULL));
        return GST_FLOW_ERROR;
    }
    GST_OBJECT_LOCK(self);
    const gboolean is_open = self->is_open;
    const int qp = self->qp, strength = self->strength, size = self->size, position = self->position, given = self->kind;
    GST_OBJECT_UNLOCK(self);
    if (!is_open && !open_model(self))
        return GST_FLOW_ERROR;
    if (qp == NO_QP) {
        GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS, ("no QP: set the property qp, such as qp=32, from -12 to 51"), (NULL));
        return GST_FLOW_ERROR;
    }
    const VrcnnKind kind = given == DEFAULT_KIND ? kind_of_set(self->model) : (VrcnnKind)given;
    const int index = vrcnn_model_find(self->model, (VrcnnPosition)position, kind, (VrcnnSize)size, qp);
    const VrcnnError error = index < 0 ? (VrcnnError)index : filter_frame(self, index, strength, in, out);
    if (!error)
        return GST_FLOW_OK;
    GST_ELEMENT_ERROR(self, LIBRARY, FAILED, ("%s", vrcnn_strerror(error)), (NULL));
    return GST_FLOW_ERROR;
}

/* Position or kind, which decide what set is opened where none is named. Controllers set them for each picture: most often to what they
 * are. */
static void set_choice(GstVrcnnFilter *self, int *choice, int value)
{
    if (*choice != value && !self->name)
        self->is_open = FALSE;
    *choice = value;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    GstVrcnnFilter *self = GST_VRCNN_FILTER(object);
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROPERTY_QP: self->qp = g_value_get_int(value); break;
    case PROPERTY_STRENGTH: self->strength = g_value_get_int(value); break;
    case PROPERTY_SIZE: self->size = g_value_get_enum(value); break;
    case PROPERTY_POSITION: set_choice(self, &self->position, g_value_get_enum(value)); break;
    case PROPERTY_KIND: set_choice(self, &self->kind, g_value_get_enum(value)); break;
    case PROPERTY_THREADS:
        self->threads = g_value_get_int(value);
        self->is_open = FALSE;
        break;
    case PROPERTY_MODEL:
        g_free(self->name);
        self->name = g_strdup(g_value_get_string(value));
        self->is_open = FALSE;
        break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec); break;
    }
    GST_OBJECT_UNLOCK(self);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    GstVrcnnFilter *self = GST_VRCNN_FILTER(object);
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROPERTY_QP: g_value_set_int(value, self->qp); break;
    case PROPERTY_STRENGTH: g_value_set_int(value, self->strength); break;
    case PROPERTY_SIZE: g_value_set_enum(value, self->size); break;
    case PROPERTY_POSITION: g_value_set_enum(value, self->position); break;
    case PROPERTY_KIND: g_value_set_enum(value, self->kind); break;
    case PROPERTY_THREADS: g_value_set_int(value, self->threads); break;
    case PROPERTY_MODEL: g_value_set_string(value, self->name); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec); break;
    }
    GST_OBJECT_UNLOCK(self);
}

static void finalize(GObject *object)
{
    g_free(GST_VRCNN_FILTER(object)->name);
    G_OBJECT_CLASS(gst_vrcnn_filter_parent_class)->finalize(object);
}

static void install_properties(GObjectClass *class)
{
    const GParamFlags opening = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
    const GParamFlags flags = opening | GST_PARAM_CONTROLLABLE;
    const GType size = g_enum_register_static("GstVrcnnFilterSize", sizes);
    const GType position = g_enum_register_static("GstVrcnnFilterPosition", positions);
    const GType kind = g_enum_register_static("GstVrcnnFilterKind", kinds);
    g_object_class_install_property(
        class, PROPERTY_QP,
        g_param_spec_int("qp", "QP", "QP that the video was coded with, -12 to 51; -13: not said, and refused when pictures come", NO_QP,
                         HIGHEST_QP, NO_QP, flags));
    g_object_class_install_property(
        class, PROPERTY_STRENGTH,
        g_param_spec_int("strength", "Strength", "Output scale, 8: as trained", 1, 10, VRCNN_SCALE_TRAINED, flags));
    g_object_class_install_property(
        class, PROPERTY_SIZE,
        g_param_spec_enum("size", "Size", "Of the network; where the set has none of it, the other one serves", size, VRCNN_BEST, flags));
    g_object_class_install_property(
        class, PROPERTY_POSITION,
        g_param_spec_enum("position", "Position", "Where pictures come from in the codec", position, VRCNN_AFTER_SAO, flags));
    g_object_class_install_property(class, PROPERTY_KIND,
                                    g_param_spec_enum("kind", "Kind", "What the network filters", kind, DEFAULT_KIND, flags));
    g_object_class_install_property(class, PROPERTY_THREADS,
                                    g_param_spec_int("threads", "Threads", "That work on a picture; any number gives the same samples", 1,
                                                     VRCNN_MAX_THREADS, 1, opening));
    g_object_class_install_property(
        class, PROPERTY_MODEL,
        g_param_spec_string("model", "Model set",
                            "A built-in set or the file of one; default: joint_post, before deblocking and with "
                            "kind=luma vrcnn_intra",
                            NULL, opening));
}

static void gst_vrcnn_filter_class_init(GstVrcnnFilterClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseTransformClass *transform = GST_BASE_TRANSFORM_CLASS(class);
    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    install_properties(object);
    transform->start = start;
    transform->stop = stop;
    transform->before_transform = before_transform;
    GST_VIDEO_FILTER_CLASS(class)->transform_frame = transform_frame;
    gst_element_class_set_static_metadata(element, "VRCNN filter", "Filter/Effect/Video", "Integer-only CNN filter for coded video",
                                          "the vrcnn-int authors");
    const GstPadDirection directions[] = {GST_PAD_SINK, GST_PAD_SRC};
    GstCaps *caps = gst_caps_from_string(GST_VIDEO_CAPS_MAKE(FORMATS));
    for (int i = 0; i < 2; i++)
        gst_element_class_add_pad_template(element, gst_pad_template_new(i ? "src" : "sink", directions[i], GST_PAD_ALWAYS, caps));
    gst_caps_unref(caps);
}

/* The defaults of properties. A value out of range is warned of and never arrives, also where it is given at construction. */
static void gst_vrcnn_filter_init(GstVrcnnFilter *self)
{
    self->qp = NO_QP;
    self->strength = VRCNN_SCALE_TRAINED;
    self->size = VRCNN_BEST;
    self->position = VRCNN_AFTER_SAO;
    self->kind = DEFAULT_KIND;
    self->threads = 1;
}

static gboolean register_elements(GstPlugin *plugin)
{
    return GST_ELEMENT_REGISTER(vrcnnfilter, plugin);
}

#define STRING_OF(number) #number
#define VERSION_OF(major, minor, patch) STRING_OF(major) "." STRING_OF(minor) "." STRING_OF(patch)
#define PACKAGE "vrcnn-int"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, vrcnn, "Integer-only CNN filter for coded video", register_elements,
                  VERSION_OF(VRCNN_VERSION_MAJOR, VRCNN_VERSION_MINOR, VRCNN_VERSION_PATCH), "BSD", "vrcnn-int", "vrcnn-int")
