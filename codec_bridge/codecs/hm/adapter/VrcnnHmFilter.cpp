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
    static VrcnnHmOptions options = {false, 0, "builtin", 1, 1, "auto"};
    return options;
}

/* ---- planes ---- */

void VrcnnHmLuma::copy(const TComPicYuv &picture)
{
    const Pel *source = picture.getAddr(COMPONENT_Y);
    const int stride = picture.getStride(COMPONENT_Y);
    width = picture.getWidth(COMPONENT_Y);
    height = picture.getHeight(COMPONENT_Y);
    samples.resize((size_t)width * height);
    for (int y = 0; y < height; y++)
        memcpy(&samples[(size_t)y * width], source + (ptrdiff_t)y * stride, width * sizeof(Pel));
}

VrcnnConstPlane VrcnnHmLuma::constPlane(int bitDepth) const
{
    const VrcnnConstPlane plane = {&samples[0], (ptrdiff_t)(width * sizeof(Pel)), width, height, bitDepth, (int)sizeof(Pel)};
    return plane;
}

VrcnnPlane vrcnnHmPlane(TComPicYuv &picture, int bitDepth)
{
    const VrcnnPlane plane = {picture.getAddr(COMPONENT_Y),
                              (ptrdiff_t)(picture.getStride(COMPONENT_Y) * sizeof(Pel)),
                              picture.getWidth(COMPONENT_Y),
                              picture.getHeight(COMPONENT_Y),
                              bitDepth,
                              (int)sizeof(Pel)};
    return plane;
}

VrcnnConstPlane vrcnnHmReading(const VrcnnPlane &plane)
{
    const VrcnnConstPlane result = {plane.data, plane.stride, plane.width, plane.height, plane.bit_depth, plane.bytes_per_sample};
    return result;
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
    if (options.model == "builtin")
        return std::vector<char>();
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
    if (error == VRCNN_ERROR_SIDEINFO_MODEL)
        vrcnnHmFail("the stream needs the model set %02x%02x%02x%02x..., which is not built in; name its file with --VRCNNModel",
                    identity[0], identity[1], identity[2], identity[3]);
    for (int i = 0; i < m_info.networks; i++)
        if (error == VRCNN_ERROR_INDEX && m_info.index[i] >= networks)
            vrcnnHmFail("POC %d: the side information names network %d, the model set has %d", poc, m_info.index[i], networks);
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
        error = vrcnn_receiver_picture(m_receiver, data, size, slice.isIRAP(), reconstruction.getWidth(COMPONENT_Y),
                                       reconstruction.getHeight(COMPONENT_Y), &m_info);
    if (error)
        fail(error, slice.getPOC());
}

void VrcnnHmDecoder::beforeDeblocking(TComPic *picture)
{
    if (m_info.mode != VRCNN_MODE_OFF && m_info.position == VRCNN_BEFORE_DEBLOCKING)
        m_source.copy(*picture->getPicYuvRec());
}

static bool hasLumaSao(TComPic &picture)
{
    for (UInt i = 0; i < picture.getNumAllocatedSlice(); i++)
        if (picture.getSlice(i)->getSaoEnabledFlag(CHANNEL_TYPE_LUMA) && picture.getSlice(i)->getSPS()->getUseSAO())
            return true;
    return false;
}

void VrcnnHmDecoder::afterSao(TComPic *picture)
{
    if (m_info.mode == VRCNN_MODE_OFF)
        return;
    const double start = vrcnnHmSeconds();
    TComPicYuv &reconstruction = *picture->getPicYuvRec();
    const TComSlice &slice = *picture->getSlice(0);
    const int bitDepth = slice.getSPS()->getBitDepth(CHANNEL_TYPE_LUMA);
    if (m_info.position == VRCNN_AFTER_SAO)
        m_source.copy(reconstruction);
    const VrcnnPlane target = vrcnnHmPlane(reconstruction, bitDepth);
    const VrcnnConstPlane source = m_source.constPlane(bitDepth);
    const uint8_t *const kept = vrcnnHmKept(*picture, m_kept) ? &m_kept[0] : NULL;
    const VrcnnError error = vrcnn_receiver_filter(m_receiver, hasLumaSao(*picture), kept, &target, &source);
    if (error)
        fail(error, slice.getPOC());
    m_pictures++;
    m_seconds += vrcnnHmSeconds() - start;
}
