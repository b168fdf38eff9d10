/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "VrcnnHmFilter.h"

#include <algorithm>
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

VrcnnHmFilter::VrcnnHmFilter() : m_model(NULL), m_context(NULL)
{
    memset(m_identity, 0, sizeof m_identity);
}

VrcnnHmFilter::~VrcnnHmFilter()
{
    close();
}

void VrcnnHmFilter::close()
{
    vrcnn_close(m_context);
    vrcnn_model_free(m_model);
    m_context = NULL;
    m_model = NULL;
}

void VrcnnHmFilter::load(const std::string &file)
{
    std::ifstream stream(file.c_str(), std::ios::binary);
    const std::vector<char> data((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (!stream.is_open() || stream.bad() || data.empty())
        vrcnnHmFail("cannot read model set %s", file.c_str());
    const VrcnnError error = vrcnn_model_load(&m_model, &data[0], data.size(), NULL);
    if (error)
        vrcnnHmFail("%s: %s", file.c_str(), vrcnn_strerror(error));
}

void VrcnnHmFilter::openContext(const VrcnnHmOptions &options)
{
    VrcnnSettings settings;
    int kernel = 0;
    vrcnn_default_settings(&settings, sizeof settings);
    while (vrcnn_kernel_name(kernel) && options.kernel != vrcnn_kernel_name(kernel))
        kernel++;
    if (!vrcnn_kernel_name(kernel))
        vrcnnHmFail("--VRCNNKernel: there is no %s", options.kernel.c_str());
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = options.threads;
    const VrcnnError error = vrcnn_open(&m_context, m_model, &settings);
    if (error == VRCNN_ERROR_THREADS)
        vrcnnHmFail("--VRCNNThreads=%d: %s", options.threads, vrcnn_strerror(error));
    if (error)
        vrcnnHmFail("--VRCNNKernel=%s: %s", options.kernel.c_str(), vrcnn_strerror(error));
    vrcnn_model_id(m_model, m_identity);
}

void VrcnnHmFilter::open(const VrcnnHmOptions &options, VrcnnPosition position)
{
    close();
    if (options.model == "builtin") {
        const VrcnnError error = vrcnn_model_builtin(&m_model, position);
        if (error)
            vrcnnHmFail("--VRCNNModel=builtin --VRCNNPosition=%d: %s", (int)position, vrcnn_strerror(error));
    } else {
        load(options.model);
    }
    openContext(options);
}

void VrcnnHmFilter::openIdentity(const VrcnnHmOptions &options, const uint8_t identity[VRCNN_SIDEINFO_ID_SIZE])
{
    static const VrcnnPosition positions[] = {VRCNN_BEFORE_DEBLOCKING, VRCNN_AFTER_SAO};
    if (m_context && !memcmp(m_identity, identity, VRCNN_SIDEINFO_ID_SIZE))
        return;
    for (size_t i = options.model == "builtin" ? 1 : 0; i <= sizeof positions / sizeof positions[0]; i++) {
        close();
        if (i == 0)
            load(options.model);
        else if (vrcnn_model_builtin(&m_model, positions[i - 1]))
            continue;
        vrcnn_model_id(m_model, m_identity);
        if (!memcmp(m_identity, identity, VRCNN_SIDEINFO_ID_SIZE)) {
            openContext(options);
            return;
        }
    }
    vrcnnHmFail("the stream needs the model set %02x%02x%02x%02x..., which is not built in; name its file with --VRCNNModel", identity[0],
                identity[1], identity[2], identity[3]);
}

const char *VrcnnHmFilter::kernel() const
{
    return vrcnn_kernel_name(vrcnn_context_kernel(m_context));
}

int VrcnnHmFilter::threads() const
{
    return vrcnn_context_threads(m_context);
}

void VrcnnHmFilter::filterPicture(int index, int scale, const VrcnnPlane &dst, const VrcnnConstPlane &src)
{
    const VrcnnError error = vrcnn_filter_picture(m_context, index, scale, &dst, &src);
    if (error)
        vrcnnHmFail("%dx%d picture of %d bits, network %d: %s", src.width, src.height, src.bit_depth, index, vrcnn_strerror(error));
}

void VrcnnHmFilter::filterUnits(const VrcnnUnits &units, const VrcnnPlane &dst, const VrcnnConstPlane &src)
{
    const VrcnnError error = vrcnn_filter_units(m_context, &units, &dst, &src);
    if (error)
        vrcnnHmFail("%dx%d picture of %d bits: %s", src.width, src.height, src.bit_depth, vrcnn_strerror(error));
}

/* ---- decoder ---- */

VrcnnHmDecoder::VrcnnHmDecoder() : m_active(false), m_pictures(0), m_seconds(0)
{
    memset(&m_info, 0, sizeof m_info);
}

VrcnnHmDecoder::~VrcnnHmDecoder()
{
    if (m_pictures)
        printf("\nVRCNN: %d pictures filtered in %.3f sec. (kernels %s, %d threads)\n", m_pictures, m_seconds, m_filter.kernel(),
               m_filter.threads());
}

void VrcnnHmDecoder::init()
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    if (options.model != "builtin" || options.kernel != "auto" || options.threads != 1)
        m_filter.open(options, VRCNN_BEFORE_DEBLOCKING);
}

void VrcnnHmDecoder::parse(TComPic &picture)
{
    const TComSlice &slice = *picture.getSlice(0);
    const VrcnnHmExtension &extension = slice.vrcnnExtension;
    const TComPicYuv &reconstruction = *picture.getPicYuvRec();
    const bool irap = slice.isIRAP();
    VrcnnError error;
    memset(&m_info, 0, sizeof m_info);
    if (!m_active && !irap)
        return;
    m_unit.resize(VRCNN_MAX_UNITS);
    error = vrcnn_sideinfo_parse(&m_info, &m_unit[0], m_unit.size(), extension.data() ? extension.data() : &m_unit[0], extension.size(),
                                 irap, reconstruction.getWidth(COMPONENT_Y), reconstruction.getHeight(COMPONENT_Y));
    if (error == VRCNN_ERROR_SIDEINFO_FOREIGN) {
        m_active = false;
        return;
    }
    if (error)
        vrcnnHmFail("POC %d: %s", slice.getPOC(), vrcnn_strerror(error));
    if (irap)
        m_filter.openIdentity(VrcnnHmOptions::get(), m_info.identity);
    m_active = true;
    for (int i = 0; i < m_info.networks; i++) {
        VrcnnNetworkInfo network;
        if (vrcnn_model_network_info(m_filter.model(), m_info.index[i], &network))
            vrcnnHmFail("POC %d: the side information names network %d, the model set has %d", slice.getPOC(), m_info.index[i],
                        vrcnn_model_networks(m_filter.model()));
    }
}

void VrcnnHmDecoder::beforeSlice(TComPic *picture)
{
    const UInt index = picture->getCurrSliceIdx();
    const TComSlice &slice = *picture->getSlice(index);
    const UInt start = slice.getSliceSegmentCurStartCtuTsAddr();
    bool lost = index == 0 && start != 0 && (m_active || slice.isIRAP());
    /* Without its first segment a picture is none to HM: the others are found behind those of the picture before it. */
    if (index > 0 && m_active)
        lost =
            slice.getPOC() != picture->getSlice(0)->getPOC() || start <= picture->getSlice(index - 1)->getSliceSegmentCurStartCtuTsAddr();
    if (lost)
        vrcnnHmFail("POC %d: the first slice segment of a picture, which has the side information, is lost", slice.getPOC());
    if (index == 0)
        parse(*picture);
}

void VrcnnHmDecoder::beforeDeblocking(TComPic *picture)
{
    if (m_info.mode != VRCNN_MODE_OFF && m_info.position == VRCNN_BEFORE_DEBLOCKING)
        m_source.copy(*picture->getPicYuvRec());
}

void VrcnnHmDecoder::restore(TComPic &picture)
{
    TComPicYuv &reconstruction = *picture.getPicYuvRec();
    const int columns = (m_source.width + 7) / 8;
    if (!vrcnnHmKept(picture, m_kept))
        return;
    for (size_t i = 0; i < m_kept.size(); i++) {
        const int x = (int)(i % columns) * 8, y = (int)(i / columns) * 8;
        for (int row = y; m_kept[i] && row < std::min(y + 8, m_source.height); row++)
            memcpy(reconstruction.getAddr(COMPONENT_Y) + (ptrdiff_t)row * reconstruction.getStride(COMPONENT_Y) + x,
                   &m_source.samples[(size_t)row * m_source.width + x], std::min(8, m_source.width - x) * sizeof(Pel));
    }
}

void VrcnnHmDecoder::afterSao(TComPic *picture)
{
    if (m_info.mode == VRCNN_MODE_OFF)
        return;
    const double start = vrcnnHmSeconds();
    TComPicYuv &reconstruction = *picture->getPicYuvRec();
    const int bitDepth = picture->getSlice(0)->getSPS()->getBitDepth(CHANNEL_TYPE_LUMA);
    if (m_info.position == VRCNN_AFTER_SAO)
        m_source.copy(reconstruction);
    else
        for (UInt i = 0; i < picture->getNumAllocatedSlice(); i++)
            if (picture->getSlice(i)->getSaoEnabledFlag(CHANNEL_TYPE_LUMA) && picture->getSlice(i)->getSPS()->getUseSAO())
                vrcnnHmFail("POC %d: the picture has both luma SAO and a network before deblocking", picture->getSlice(0)->getPOC());
    const VrcnnConstPlane source = m_source.constPlane(bitDepth);
    if (m_info.mode == VRCNN_MODE_ALL) {
        m_filter.filterPicture(m_info.index[0], m_info.scale, vrcnnHmPlane(reconstruction, bitDepth), source);
    } else {
        VrcnnUnits units = {m_info.unit_size, m_info.networks, {0}, m_info.scale, &m_unit[0]};
        memcpy(units.index, m_info.index, sizeof units.index);
        m_filter.filterUnits(units, vrcnnHmPlane(reconstruction, bitDepth), source);
    }
    restore(*picture);
    m_pictures++;
    m_seconds += vrcnnHmSeconds() - start;
}
