/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn_x265.h"

#include <fstream>
#include <iterator>

#include "constants.h"
#include "cudata.h"
#include "encoder.h"
#include "frame.h"
#include "framedata.h"
#include "frameencoder.h"
#include "framefilter.h"
#include "nal.h"
#include "picyuv.h"
#include "slice.h"

using namespace X265_NS;

/* Since 4.0 a picture has an array of reconstructions, of which the first is the one that filters change, and rows belong to a layer. */
static PicYuv &first(PicYuv &picture)
{
    return picture;
}

static PicYuv &first(PicYuv *picture)
{
    return *picture;
}

static void finishRow(FrameFilter &filter, void (FrameFilter::*finish)(int), int row)
{
    (filter.*finish)(row);
}

static void finishRow(FrameFilter &filter, void (FrameFilter::*finish)(int, int), int row)
{
    (filter.*finish)(row, 0);
}

VrcnnX265::VrcnnX265()
    : m_sender(NULL), m_param(NULL), m_width(0), m_height(0), m_planes(1), m_finishing(false), m_pictures(0), m_filtered(0), m_seconds(0)
{
    memset(&m_decision, 0, sizeof m_decision);
}

VrcnnX265::~VrcnnX265()
{
    const VrcnnContext *const context = vrcnn_sender_context(m_sender);
    if (m_pictures)
        x265_log(m_param, X265_LOG_INFO, "vrcnn: %d of %d pictures filtered, %.3f s for filter and decisions (kernels %s, %d threads)\n",
                 m_filtered, m_pictures, m_seconds, vrcnn_kernel_name(vrcnn_context_kernel(context)), vrcnn_context_threads(context));
    vrcnn_sender_close(m_sender);
}

/* ---- opening ---- */

bool VrcnnX265::copy(char *field, size_t size, const char *value)
{
    return snprintf(field, size, "%s", value) < (int)size;
}

bool VrcnnX265::refuses(const x265_param *param)
{
    const char *objection = NULL;
    if (!param->vrcnn.bEnable)
        return false;
    if (X265_DEPTH > 10)
        objection = "the filter works on 8 to 10 bits, not on 12";
    else if (param->vrcnn.position != VRCNN_BEFORE_DEBLOCKING && param->vrcnn.position != VRCNN_AFTER_SAO)
        objection = "--vrcnn-position: there are 0, before deblocking, and 1, after SAO";
    else if (param->vrcnn.size[0] && strcmp(param->vrcnn.size, "fast") && strcmp(param->vrcnn.size, "best"))
        objection = "--vrcnn-size: there are fast and best";
    else if (param->vrcnn.threads < 1 || param->vrcnn.threads > VRCNN_MAX_THREADS)
        objection = "--vrcnn-threads: 1 to 64";
    else if (param->maxSlices > 1)
        objection = "--slices: the filter works on pictures of one slice";
#if X265_BUILD >= 212
    else if (param->numScalableLayers > 1 || param->numViews > 1)
        objection = "--alpha, --num-views: the filter works on streams of one layer";
    else if (param->bEnableSCC)
        objection = "--scc: the filter does not know the second reconstruction of screen content";
#endif
    if (objection)
        x265_log(param, X265_LOG_ERROR, "vrcnn: %s\n", objection);
    /* What would fail later is tried at once: x265 does not survive every failure of a frame encoder. */
    return objection || !VrcnnX265().open(param, X265_MAX(param->sourceWidth, 1), X265_MAX(param->sourceHeight, 1));
}

void VrcnnX265::warn(const x265_param *param)
{
    x265_log(param, X265_LOG_WARNING, "vrcnn: the stream conforms to no profile: decoders without the filter show pictures that drift\n");
}

/* The bytes of the model set, none for the one that is taken without a name. */
bool VrcnnX265::load(std::vector<char> &file) const
{
    const char *const name = m_param->vrcnn.model;
    size_t size;
    file.clear();
    if (!name[0] || !strcmp(name, "builtin"))
        return true;
    if (const char *const builtin = (const char *)vrcnn_builtin_file(name, &size)) {
        file.assign(builtin, builtin + size);
        return true;
    }
    std::ifstream stream(name, std::ios::binary);
    file.assign((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (stream.is_open() && !stream.bad() && !file.empty())
        return true;
    x265_log(m_param, X265_LOG_ERROR, "--vrcnn-model: cannot read %s\n", name);
    return false;
}

bool VrcnnX265::open(const x265_param *param, int width, int height)
{
    std::vector<char> file;
    m_param = param;
    m_width = width;
    m_height = height;
    if (!param->vrcnn.bEnable)
        return true;
    if (!load(file))
        return false;
    VrcnnSettings settings;
    const char *const name = param->vrcnn.kernel[0] ? param->vrcnn.kernel : "auto";
    const int kernel = vrcnn_kernel_by_name(name);
    vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = kernel < 0 ? VRCNN_KERNEL_AUTO : (VrcnnKernel)kernel;
    settings.threads = param->vrcnn.threads;
    const VrcnnError error = kernel < 0 ? (VrcnnError)kernel
                                        : vrcnn_sender_open(&m_sender, &settings, file.empty() ? NULL : &file[0], file.size(),
                                                            (VrcnnPosition)param->vrcnn.position, width, height);
    if (error == VRCNN_ERROR_PLANE)
        x265_log(param, X265_LOG_ERROR, "vrcnn: %dx%d: %s\n", width, height, vrcnn_strerror(error));
    else if (error == VRCNN_ERROR_THREADS || error == VRCNN_ERROR_KERNEL_UNKNOWN || error == VRCNN_ERROR_KERNEL_UNSUPPORTED ||
             error == VRCNN_ERROR_KERNEL_REFUSED)
        x265_log(param, X265_LOG_ERROR, "--vrcnn-kernel %s --vrcnn-threads %d: %s\n", name, param->vrcnn.threads, vrcnn_strerror(error));
    else if (error)
        x265_log(param, X265_LOG_ERROR, "--vrcnn-model %s --vrcnn-position %d: %s\n",
                 param->vrcnn.model[0] ? param->vrcnn.model : "builtin", param->vrcnn.position, vrcnn_strerror(error));
    if (error)
        return false;
    m_planes = vrcnn_sender_kind(m_sender) == VRCNN_JOINT && param->internalCsp == X265_CSP_I420 ? 3 : 1;
    for (int plane = 0; plane < m_planes && isBefore(); plane++) {
        m_source[plane].resize((size_t)this->width(plane) * this->height(plane));
        m_base[plane].resize(m_source[plane].size());
    }
    return true;
}

/* ---- samples ---- */

void VrcnnX265::start(const Entropy &state)
{
    if (!on())
        return;
    m_state.load(state);
    m_finishing = false;
}

void VrcnnX265::keep(std::vector<pixel> *planes, const PicYuv &picture, int row, int column) const
{
    for (int plane = 0; plane < m_planes; plane++) {
        const int size = (int)m_param->maxCUSize >> !!plane, x = column * size, y = row * size;
        const intptr_t stride = plane ? picture.m_strideC : picture.m_stride;
        const size_t bytes = (size_t)X265_MIN(size, width(plane) - x) * sizeof(pixel);
        for (int line = y; line < X265_MIN(y + size, height(plane)); line++)
            memcpy(&planes[plane][(size_t)line * width(plane) + x], picture.m_picOrg[plane] + line * stride + x, bytes);
    }
}

void VrcnnX265::keepSource(const Frame &frame, int row, int column)
{
    if (on() && isBefore())
        keep(m_source, first(*frame.m_reconPic), row, column);
}

void VrcnnX265::keepDeblocked(const FrameData &data, int row, int column)
{
    if (on() && isBefore())
        keep(m_base, first(*data.m_reconPic), row, column);
}

VrcnnConstPlane VrcnnX265::kept(const std::vector<pixel> *planes, int plane) const
{
    const VrcnnConstPlane result = {&planes[plane][0], (ptrdiff_t)(width(plane) * sizeof(pixel)), width(plane), height(plane), X265_DEPTH,
                                    (int)sizeof(pixel)};
    return result;
}

VrcnnPlane VrcnnX265::place(const PicYuv &picture, int plane) const
{
    const intptr_t stride = plane ? picture.m_strideC : picture.m_stride;
    const VrcnnPlane result = {picture.m_picOrg[plane], (ptrdiff_t)(stride * sizeof(pixel)), width(plane), height(plane), X265_DEPTH,
                               (int)sizeof(pixel)};
    return result;
}

static VrcnnConstPlane reading(const VrcnnPlane &plane)
{
    const VrcnnConstPlane result = {plane.data, plane.stride, plane.width, plane.height, plane.bit_depth, plane.bytes_per_sample};
    return result;
}

/* ---- decision ---- */

/* Bits of the SAO parameters of all CTUs, as the arithmetic coder counts them, of a picture that has SAO in luma, in chroma, or in both. */
double VrcnnX265::saoBits(const Frame &frame, bool luma, bool chroma)
{
    const FrameData &data = *frame.m_encData;
    const SAOParam &sao = *data.m_saoParam;
    const int columns = (int)data.m_slice->m_sps->numCuInWidth, count = (int)data.m_slice->m_sps->numCUsInFrame;
    Entropy counter;
    if (!luma && !chroma)
        return 0;
    counter.load(m_state);
    counter.zeroFract();
    for (int address = 0; address < count; address++) {
        const SaoMergeMode merge = sao.ctuParam[0][address].mergeMode;
        const bool left = address % columns && merge == SAO_MERGE_LEFT, up = address >= columns && merge == SAO_MERGE_UP;
        if (address % columns)
            counter.codeSaoMerge(left);
        if (address >= columns && !left)
            counter.codeSaoMerge(up);
        if (left || up)
            continue;
        if (luma)
            counter.codeSaoOffset(sao.ctuParam[0][address], 0);
        for (int plane = 1; plane < 3 && chroma; plane++)
            counter.codeSaoOffset(sao.ctuParam[plane][address], plane);
    }
    return counter.getNumberOfWrittenBits();
}

/* Which blocks of 8x8 are lossless; NULL if there cannot be any. */
const uint8_t *VrcnnX265::lossless(Frame &frame)
{
    FrameData &data = *frame.m_encData;
    if (!data.m_slice->m_pps->bTransquantBypassEnabled)
        return NULL;
    const int columns = (m_width + 7) / 8;
    m_kept.assign((size_t)columns * ((m_height + 7) / 8), 0);
    for (uint32_t address = 0; address < data.m_slice->m_sps->numCUsInFrame; address++) {
        const CUData &ctu = *data.getPicCTU(address);
        for (uint32_t part = 0; part < m_param->num4x4Partitions; part += 4) {
            const int x = (int)(ctu.m_cuPelX + g_zscanToPelX[part]), y = (int)(ctu.m_cuPelY + g_zscanToPelY[part]);
            if (x < m_width && y < m_height)
                m_kept[(size_t)(y / 8) * columns + x / 8] = ctu.m_tqBypass[part];
        }
    }
    return &m_kept[0];
}

double VrcnnX265::squaredError(const PicYuv &a, const PicYuv &b, int plane) const
{
    const intptr_t strideA = plane ? a.m_strideC : a.m_stride, strideB = plane ? b.m_strideC : b.m_stride;
    double total = 0;
    for (int y = 0; y < height(plane); y++) {
        const pixel *rowA = a.m_picOrg[plane] + y * strideA, *rowB = b.m_picOrg[plane] + y * strideB;
        int64_t sum = 0;
        for (int x = 0; x < width(plane); x++)
            sum += (int64_t)(rowA[x] - rowB[x]) * (rowA[x] - rowB[x]);
        total += (double)sum;
    }
    return total;
}

/* Lambda, the weights of chroma and the costs of the ordinary filters. x265 weighs chroma in SAO by the lambda of Cb's QP, for Cr too. */
void VrcnnX265::weigh(const Frame &frame, VrcnnPlaneDecisionInput &input)
{
    const Slice &slice = *frame.m_encData->m_slice;
    const SAOParam &sao = *frame.m_encData->m_saoParam;
    const bool hasSao = isBefore() && slice.m_sps->bUseSAO && slice.m_bUseSao, luma = hasSao && sao.bSaoFlag[0],
               chroma = hasSao && sao.bSaoFlag[1];
    const int qp = X265_MAX(slice.m_sliceQp, 0);
    const int offset = slice.m_sliceQp + slice.m_pps->chromaQpOffset[0] + slice.m_chromaQpOffset[0];
    const int qpCb = x265_clip3(m_param->rc.qpMin, m_param->rc.qpMax, (int)g_chromaScale[x265_clip3(QP_MIN, QP_MAX_MAX, offset)]);
    const PicYuv &recon = first(*frame.m_reconPic);
    const double all = saoBits(frame, luma, chroma);
    input.lambda = x265_lambda2_tab[qp];
    input.chroma_weight[0] = input.chroma_weight[1] = input.lambda / x265_lambda2_tab[X265_MAX(qpCb, 0)];
    input.luma_cost = squaredError(recon, *frame.m_fencPic, 0) + input.lambda * (all - saoBits(frame, false, chroma));
    if (m_planes > 1)
        input.chroma_cost = input.lambda * (all - saoBits(frame, luma, false));
    for (int plane = 1; plane < m_planes; plane++)
        input.chroma_cost += input.chroma_weight[plane - 1] * squaredError(recon, *frame.m_fencPic, plane);
}

void VrcnnX265::decide(FrameFilter &filter)
{
    const int64_t begin = x265_mdate();
    Frame &frame = *filter.m_frame;
    FrameData &data = *frame.m_encData;
    const Slice &slice = *data.m_slice;
    PicYuv &picture = first(*frame.m_reconPic);
    const bool hasSao = slice.m_sps->bUseSAO && slice.m_bUseSao;

    VrcnnPlaneDecisionInput input;
    VrcnnPlane target[3];
    memset(&input, 0, sizeof input);
    memset(target, 0, sizeof target);
    for (int plane = 0; plane < m_planes; plane++) {
        target[plane] = place(picture, plane);
        input.original[plane] = reading(place(*frame.m_fencPic, plane));
        input.source[plane] = isBefore() ? kept(m_source, plane) : reading(target[plane]);
        input.base[plane] = isBefore() && hasSao && data.m_saoParam->bSaoFlag[plane > 0] ? kept(m_base, plane) : reading(target[plane]);
    }
    input.kept = lossless(frame);
    input.size = strcmp(m_param->vrcnn.size, "fast") ? VRCNN_BEST : VRCNN_FAST;
    input.qp = x265_clip3(-12, 51, slice.m_sliceQp);
    input.is_irap = slice.isIRAP();
    input.map = m_param->vrcnn.bMap;
    weigh(frame, input);
    const VrcnnError error = vrcnn_sender_decide(m_sender, &input, target, &m_decision);
    if (error) {
        /* Not for want of anything that opening did not check. A stream without side information would be a wrong one. */
        x265_log(m_param, X265_LOG_ERROR, "vrcnn: POC %d: %s\n", slice.m_poc, vrcnn_strerror(error));
        filter.m_frameEncoder->m_top->m_aborted = true;
        m_decision.size = 0;
        return;
    }
    const VrcnnPlaneSideinfo &info = m_decision.info;
    const bool isFiltered[2] = {info.luma_mode != VRCNN_MODE_OFF, info.chroma_mode != VRCNN_MODE_OFF};
    for (int plane = 0; plane < m_planes; plane++)
        if (isFiltered[plane > 0]) {
            if (isBefore() && hasSao)
                data.m_saoParam->bSaoFlag[plane > 0] = false;
            extendPicBorder(picture.m_picOrg[plane], plane ? picture.m_strideC : picture.m_stride, width(plane), height(plane),
                            plane ? picture.m_chromaMarginX : picture.m_lumaMarginX,
                            plane ? picture.m_chromaMarginY : picture.m_lumaMarginY);
        }
    m_filtered += isFiltered[0] || isFiltered[1];
    m_pictures++;
    const double seconds = (x265_mdate() - begin) / 1e6;
    m_seconds += seconds;

    static const char *const words[] = {"off", "all", "map"};
    const bool isOld = info.version == 1;
    x265_log(m_param, X265_LOG_DEBUG, "vrcnn: POC %d %s%s%s filters %d units %d/%d [%d bytes] [%.3f s]\n", slice.m_poc,
             words[info.luma_mode], isOld ? "" : "/", isOld ? "" : words[info.chroma_mode], info.filters, info.luma_unit_size,
             info.chroma_unit_size, (int)m_decision.size, seconds);
}

bool VrcnnX265::defers(FrameFilter &filter, int row)
{
    if (!on() || m_finishing)
        return false;
    const int rows = filter.m_numRows;
    if (row != rows - 1)
        return true;
    decide(filter);
    m_finishing = true;
    /* With the last of them the picture is complete, and this object may be at work on the next one. */
    for (int i = 0; i < rows; i++)
        finishRow(filter, &FrameFilter::processPostRow, i);
    return true;
}

void VrcnnX265::writeSei(const Frame &frame, NALList &list) const
{
    Bitstream bitstream;
    uint8_t rbsp[VRCNN_SEI_SIZE];
    if (!on() || frame.m_encodeOrder || !m_param->vrcnn.bSei || vrcnn_sender_sei(m_sender, rbsp))
        return;
    for (int i = 0; i < VRCNN_SEI_SIZE; i++)
        bitstream.writeByte(rbsp[i]);
    list.serialize(NAL_UNIT_PREFIX_SEI, bitstream);
}

void VrcnnX265::writeExtension(Bitstream &bitstream) const
{
    if (!on())
        return;
    SyntaxElementWriter writer;
    writer.m_bitIf = &bitstream;
    writer.writeUvlc((uint32_t)m_decision.size);
    for (size_t i = 0; i < m_decision.size; i++)
        writer.writeCode(m_decision.data[i], 8);
}
