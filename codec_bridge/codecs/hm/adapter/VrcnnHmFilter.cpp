/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "VrcnnHmFilter.h"

#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "TComPic.h"

void vrcnnHmFail(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "VRCNN: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(EXIT_FAILURE);
}

double vrcnnHmSeconds()
{
    typedef std::chrono::steady_clock Clock;
    return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

VrcnnHmOptions &VrcnnHmOptions::get()
{
    static VrcnnHmOptions options = {false, 0, "builtin", "best", 1, true, 1, "auto"};
    return options;
}

/* ---- planes ---- */

VrcnnHmPlanes::VrcnnHmPlanes()
{
    memset(plane, 0, sizeof plane);
}

VrcnnHmPlanes::VrcnnHmPlanes(TComPicYuv &picture, const TComSPS &sps, bool withChroma)
{
    const int chromaDepth = sps.getBitDepth(CHANNEL_TYPE_CHROMA);
    const bool hasChroma = withChroma && picture.getChromaFormat() == CHROMA_420 && chromaDepth >= 8 && chromaDepth <= 10;
    memset(plane, 0, sizeof plane);
    for (int i = 0; i < (hasChroma ? 3 : 1); i++) {
        const ComponentID component = ComponentID(i);
        const VrcnnPlane found = {picture.getAddr(component),
                                  (ptrdiff_t)(picture.getStride(component) * sizeof(Pel)),
                                  picture.getWidth(component),
                                  picture.getHeight(component),
                                  sps.getBitDepth(toChannelType(component)),
                                  (int)sizeof(Pel)};
        plane[i] = found;
    }
}

void VrcnnHmPlanes::read(VrcnnConstPlane reading[3]) const
{
    for (int i = 0; i < 3; i++) {
        const VrcnnPlane &p = plane[i];
        const VrcnnConstPlane found = {p.data, p.stride, p.width, p.height, p.bit_depth, p.bytes_per_sample};
        reading[i] = found;
    }
}

void VrcnnHmCopy::copy(const VrcnnHmPlanes &planes)
{
    m_planes = planes;
    for (int i = 0; i < 3 && planes.plane[i].data; i++) {
        VrcnnPlane &own = m_planes.plane[i];
        const char *const source = (const char *)own.data;
        const ptrdiff_t stride = own.stride;
        m_samples[i].resize((size_t)own.width * own.height);
        own.data = &m_samples[i][0];
        own.stride = (ptrdiff_t)(own.width * sizeof(Pel));
        for (int y = 0; y < own.height; y++)
            memcpy((char *)own.data + y * own.stride, source + y * stride, own.width * sizeof(Pel));
    }
}

bool vrcnnHmKept(TComPic &picture, std::vector<uint8_t> &kept)
{
    const TComSPS &sps = *picture.getSlice(0)->getSPS();
    const bool pcm = sps.getUsePCM() && sps.getPCMFilterDisableFlag();
    if (!pcm && !picture.getSlice(0)->getPPS()->getTransquantBypassEnabledFlag())
        return false;
    const int width = picture.getPicYuvRec()->getWidth(COMPONENT_Y), height = picture.getPicYuvRec()->getHeight(COMPONENT_Y);
    const int columns = (width + 7) / 8;
    kept.assign((size_t)columns * ((height + 7) / 8), 0);
    for (UInt address = 0; address < picture.getNumberOfCtusInFrame(); address++) {
        TComDataCU &ctu = *picture.getCtu(address);
        for (UInt part = 0; part < picture.getNumPartitionsInCtu(); part++) {
            const int x = (int)(ctu.getCUPelX() + g_auiRasterToPelX[g_auiZscanToRaster[part]]);
            const int y = (int)(ctu.getCUPelY() + g_auiRasterToPelY[g_auiZscanToRaster[part]]);
            /* All parts of a block are in one coding unit. */
            if (x < width && y < height)
                kept[(size_t)(y / 8) * columns + x / 8] = (pcm && ctu.getIPCMFlag(part)) || ctu.isLosslessCoded(part);
        }
    }
    return true;
}

/* ---- the library ---- */

VrcnnSettings vrcnnHmSettings(const VrcnnHmOptions &options)
{
    VrcnnSettings settings;
    const int kernel = vrcnn_kernel_by_name(options.kernel.c_str());
    if (kernel < 0)
        vrcnnHmFail("--VRCNNKernel: there is no %s", options.kernel.c_str());
    vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = options.threads;
    return settings;
}

std::vector<char> vrcnnHmModelFile(const VrcnnHmOptions &options)
{
    size_t size;
    const char *const builtin = (const char *)vrcnn_builtin_file(options.model.c_str(), &size);
    if (options.model == "builtin")
        return std::vector<char>();
    if (builtin)
        return std::vector<char>(builtin, builtin + size);
    std::ifstream stream(options.model.c_str(), std::ios::binary);
    const std::vector<char> data((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (!stream.is_open() || stream.bad() || data.empty())
        vrcnnHmFail("cannot read model set %s", options.model.c_str());
    return data;
}

void vrcnnHmCheckOpened(VrcnnError error, const VrcnnHmOptions &options)
{
    if (error == VRCNN_ERROR_THREADS)
        vrcnnHmFail("--VRCNNThreads=%d: %s", options.threads, vrcnn_strerror(error));
    if (error == VRCNN_ERROR_KERNEL_UNSUPPORTED || error == VRCNN_ERROR_KERNEL_REFUSED)
        vrcnnHmFail("--VRCNNKernel=%s: %s", options.kernel.c_str(), vrcnn_strerror(error));
    if (error)
        vrcnnHmFail("%s: %s", options.model.c_str(), vrcnn_strerror(error));
}

/* ---- decoder ---- */

VrcnnHmDecoder::VrcnnHmDecoder() : m_receiver(NULL), m_pictures(0), m_seconds(0)
{
    memset(&m_info, 0, sizeof m_info);
}

VrcnnHmDecoder::~VrcnnHmDecoder()
{
    const VrcnnContext *context = vrcnn_receiver_context(m_receiver);
    if (m_pictures)
        printf("\nVRCNN: %d pictures filtered in %.3f sec. (kernels %s, %d threads)\n", m_pictures, m_seconds,
               vrcnn_kernel_name(vrcnn_context_kernel(context)), vrcnn_context_threads(context));
    vrcnn_receiver_close(m_receiver);
}

void VrcnnHmDecoder::init()
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    const VrcnnSettings settings = vrcnnHmSettings(options);
    const std::vector<char> file = vrcnnHmModelFile(options);
    vrcnn_receiver_close(m_receiver);
    vrcnnHmCheckOpened(vrcnn_receiver_open(&m_receiver, &settings, file.empty() ? NULL : &file[0], file.size()), options);
}

void VrcnnHmDecoder::fail(VrcnnError error, int poc) const
{
    const uint8_t *const identity = m_info.identity;
    const int networks = vrcnn_model_networks(vrcnn_receiver_model(m_receiver));
    char digits[2 * VRCNN_SIDEINFO_ID_SIZE + 1] = "";
    for (int i = 0; i < (m_info.version == 1 ? VRCNN_SIDEINFO_ID_SIZE : VRCNN_SIDEINFO_SHORT_ID_SIZE); i++)
        snprintf(digits + 2 * i, 3, "%02x", identity[i]);
    if (error == VRCNN_ERROR_SIDEINFO_MODEL)
        vrcnnHmFail("the stream needs the model set %s..., which is not built in; name its file with --VRCNNModel", digits);
    for (int i = 0; i < m_info.filters; i++)
        if (error == VRCNN_ERROR_INDEX && m_info.filter[i].index >= networks)
            vrcnnHmFail("POC %d: the side information names network %d, the model set has %d", poc, m_info.filter[i].index, networks);
    vrcnnHmFail("POC %d: %s", poc, vrcnn_strerror(error));
}

void VrcnnHmDecoder::beforeSlice(TComPic *picture)
{
    const UInt index = picture->getCurrSliceIdx();
    const TComSlice &slice = *picture->getSlice(index);
    const TComPicYuv &reconstruction = *picture->getPicYuvRec();
    const int start = (int)slice.getSliceSegmentCurStartCtuTsAddr();
    /* A picture that HM decodes without its first segment: what the others carry is not meant for us. */
    const uint8_t *const data = start == 0 ? slice.vrcnnExtension.data() : NULL;
    const size_t size = start == 0 ? slice.vrcnnExtension.size() : 0;
    /* Without its first segment a picture is none to HM: the others are found behind those of the picture before it. */
    const VrcnnSegment segment = {start == 0, (int)slice.getNalUnitType(), slice.getPOC(), start, data, size};
    VrcnnError error = vrcnn_receiver_segment(m_receiver, &segment);
    if (!error && index == 0)
        error = vrcnn_receiver_picture_planes(m_receiver, data, size, slice.isIRAP(), reconstruction.getWidth(COMPONENT_Y),
                                              reconstruction.getHeight(COMPONENT_Y), &m_info);
    if (error)
        fail(error, slice.getPOC());
}

VrcnnHmPlanes VrcnnHmDecoder::planes(TComPic &picture) const
{
    return VrcnnHmPlanes(*picture.getPicYuvRec(), *picture.getSlice(0)->getSPS(), m_info.version > 1);
}

void VrcnnHmDecoder::beforeDeblocking(TComPic *picture)
{
    if (filters() && m_info.position == VRCNN_BEFORE_DEBLOCKING)
        m_source.copy(planes(*picture));
}

static bool hasSao(TComPic &picture, ChannelType channel)
{
    for (UInt i = 0; i < picture.getNumAllocatedSlice(); i++)
        if (picture.getSlice(i)->getSaoEnabledFlag(channel) && picture.getSlice(i)->getSPS()->getUseSAO())
            return true;
    return false;
}

void VrcnnHmDecoder::afterSao(TComPic *picture)
{
    if (!filters())
        return;
    const double start = vrcnnHmSeconds();
    const VrcnnHmPlanes target = planes(*picture);
    VrcnnConstPlane source[3];
    if (m_info.position == VRCNN_AFTER_SAO)
        m_source.copy(target);
    m_source.read(source);
    const uint8_t *const kept = vrcnnHmKept(*picture, m_kept) ? &m_kept[0] : NULL;
    const bool lumaSao = hasSao(*picture, CHANNEL_TYPE_LUMA), chromaSao = hasSao(*picture, CHANNEL_TYPE_CHROMA);
    const VrcnnError error = vrcnn_receiver_filter_planes(m_receiver, lumaSao, chromaSao, kept, target.plane, source);
    if (error)
        fail(error, picture->getSlice(0)->getPOC());
    m_pictures++;
    m_seconds += vrcnnHmSeconds() - start;
}
