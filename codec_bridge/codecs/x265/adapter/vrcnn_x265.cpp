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
#include "picyuv.h"
#include "slice.h"

using namespace X265_NS;

VrcnnX265::VrcnnX265()
    : m_model(NULL), m_context(NULL), m_decider(NULL), m_param(NULL), m_position(VRCNN_BEFORE_DEBLOCKING), m_width(0), m_height(0),
      m_finishing(false), m_pictures(0), m_filtered(0), m_seconds(0)
{
    memset(&m_decision, 0, sizeof m_decision);
}

VrcnnX265::~VrcnnX265()
{
    if (m_pictures)
        x265_log(m_param, X265_LOG_INFO, "vrcnn: %d of %d pictures filtered, %.3f s for filter and decisions (kernels %s, %d threads)\n",
                 m_filtered, m_pictures, m_seconds, vrcnn_kernel_name(vrcnn_context_kernel(m_context)), vrcnn_context_threads(m_context));
    vrcnn_decider_close(m_decider);
    vrcnn_close(m_context);
    vrcnn_model_free(m_model);
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
    else if (param->vrcnn.threads < 1 || param->vrcnn.threads > VRCNN_MAX_THREADS)
        objection = "--vrcnn-threads: 1 to 64";
    else if (param->maxSlices > 1)
        objection = "--slices: the filter works on pictures of one slice";
    if (objection)
        x265_log(param, X265_LOG_ERROR, "vrcnn: %s\n", objection);
    /* What would fail later is tried at once: x265 does not survive every failure of a frame encoder. */
    return objection || !VrcnnX265().open(param, X265_MAX(param->sourceWidth, 1), X265_MAX(param->sourceHeight, 1));
}

void VrcnnX265::warn(const x265_param *param)
{
    x265_log(param, X265_LOG_WARNING, "vrcnn: the stream conforms to no profile: decoders without the filter show pictures that drift\n");
}

bool VrcnnX265::load()
{
    const char *const file = m_param->vrcnn.model;
    VrcnnError error;
    if (!file[0] || !strcmp(file, "builtin")) {
        error = vrcnn_model_builtin(&m_model, m_position);
        if (error)
            x265_log(m_param, X265_LOG_ERROR, "--vrcnn-model builtin --vrcnn-position %d: %s\n", (int)m_position, vrcnn_strerror(error));
        return !error;
    }
    std::ifstream stream(file, std::ios::binary);
    const std::vector<char> data((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (!stream.is_open() || stream.bad() || data.empty()) {
        x265_log(m_param, X265_LOG_ERROR, "--vrcnn-model: cannot read %s\n", file);
        return false;
    }
    error = vrcnn_model_load(&m_model, &data[0], data.size(), NULL);
    if (!error && vrcnn_model_index_for_qp(m_model, m_position, 32) < 0)
        error = VRCNN_ERROR_POSITION;
    if (error)
        x265_log(m_param, X265_LOG_ERROR, "--vrcnn-model %s --vrcnn-position %d: %s\n", file, (int)m_position, vrcnn_strerror(error));
    return !error;
}

bool VrcnnX265::open(const x265_param *param, int width, int height)
{
    m_param = param;
    m_width = width;
    m_height = height;
    m_position = (VrcnnPosition)param->vrcnn.position;
    if (!param->vrcnn.bEnable)
        return true;
    if (!load())
        return false;
    VrcnnSettings settings;
    const char *const name = param->vrcnn.kernel[0] ? param->vrcnn.kernel : "auto";
    const int kernel = vrcnn_kernel_by_name(name);
    vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = kernel < 0 ? VRCNN_KERNEL_AUTO : (VrcnnKernel)kernel;
    settings.threads = param->vrcnn.threads;
    VrcnnError error = kernel < 0 ? (VrcnnError)kernel : vrcnn_open(&m_context, m_model, &settings);
    if (error) {
        x265_log(param, X265_LOG_ERROR, "--vrcnn-kernel %s --vrcnn-threads %d: %s\n", name, param->vrcnn.threads, vrcnn_strerror(error));
        return false;
    }
    error = vrcnn_decider_open(&m_decider, m_model, width, height);
    if (error) {
        x265_log(param, X265_LOG_ERROR, "vrcnn: %dx%d: %s\n", width, height, vrcnn_strerror(error));
        return false;
    }
    if (m_position == VRCNN_BEFORE_DEBLOCKING) {
        m_source.resize((size_t)width * height);
        m_base.resize((size_t)width * height);
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

void VrcnnX265::keep(std::vector<pixel> &plane, const PicYuv &picture, int row, int column) const
{
    const int size = (int)m_param->maxCUSize, x = column * size, y = row * size;
    const size_t bytes = (size_t)X265_MIN(size, m_width - x) * sizeof(pixel);
    for (int line = y; line < X265_MIN(y + size, m_height); line++)
        memcpy(&plane[(size_t)line * m_width + x], picture.m_picOrg[0] + line * picture.m_stride + x, bytes);
}

void VrcnnX265::keepSource(const PicYuv &picture, int row, int column)
{
    if (on() && m_position == VRCNN_BEFORE_DEBLOCKING)
        keep(m_source, picture, row, column);
}

void VrcnnX265::keepDeblocked(const PicYuv &picture, int row, int column)
{
    if (on() && m_position == VRCNN_BEFORE_DEBLOCKING)
        keep(m_base, picture, row, column);
}

VrcnnConstPlane VrcnnX265::kept(const std::vector<pixel> &plane) const
{
    const VrcnnConstPlane result = {&plane[0], (ptrdiff_t)(m_width * sizeof(pixel)), m_width, m_height, X265_DEPTH, (int)sizeof(pixel)};
    return result;
}

VrcnnConstPlane VrcnnX265::luma(const PicYuv &picture) const
{
    const VrcnnConstPlane result = {picture.m_picOrg[0], (ptrdiff_t)(picture.m_stride * sizeof(pixel)), m_width, m_height, X265_DEPTH,
                                    (int)sizeof(pixel)};
    return result;
}

/* ---- decision ---- */

/* Bits of the SAO parameters of all CTUs, as the arithmetic coder counts them. */
double VrcnnX265::saoBits(const Frame &frame, bool luma)
{
    const FrameData &data = *frame.m_encData;
    const SAOParam &sao = *data.m_saoParam;
    const int columns = (int)data.m_slice->m_sps->numCuInWidth, count = (int)data.m_slice->m_sps->numCUsInFrame;
    Entropy counter;
    if (!luma && !sao.bSaoFlag[1])
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
        for (int plane = 1; plane < 3 && sao.bSaoFlag[1]; plane++)
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

static double squaredError(const PicYuv &a, const PicYuv &b, int width, int height)
{
    double total = 0;
    for (int y = 0; y < height; y++) {
        const pixel *rowA = a.m_picOrg[0] + y * a.m_stride, *rowB = b.m_picOrg[0] + y * b.m_stride;
        int64_t sum = 0;
        for (int x = 0; x < width; x++)
            sum += (int64_t)(rowA[x] - rowB[x]) * (rowA[x] - rowB[x]);
        total += (double)sum;
    }
    return total;
}

void VrcnnX265::decide(FrameFilter &filter)
{
    const int64_t begin = x265_mdate();
    Frame &frame = *filter.m_frame;
    FrameData &data = *frame.m_encData;
    const Slice &slice = *data.m_slice;
    PicYuv &picture = *frame.m_reconPic;
    const bool before = m_position == VRCNN_BEFORE_DEBLOCKING;
    const bool lumaSao = slice.m_sps->bUseSAO && slice.m_bUseSao && data.m_saoParam->bSaoFlag[0];

    VrcnnDecisionInput input;
    memset(&input, 0, sizeof input);
    input.original = luma(*frame.m_fencPic);
    input.source = before ? kept(m_source) : luma(picture);
    input.base = before && lumaSao ? kept(m_base) : luma(picture);
    input.kept = lossless(frame);
    input.position = m_position;
    input.qp = x265_clip3(-12, 51, slice.m_sliceQp);
    input.is_irap = slice.isIRAP();
    input.map = m_param->vrcnn.bMap;
    input.lambda = x265_lambda2_tab[X265_MAX(slice.m_sliceQp, 0)];
    input.ordinary_cost = squaredError(picture, *frame.m_fencPic, m_width, m_height);
    if (before && lumaSao)
        input.ordinary_cost += input.lambda * (saoBits(frame, true) - saoBits(frame, false));
    const VrcnnPlane target = {picture.m_picOrg[0], (ptrdiff_t)(picture.m_stride * sizeof(pixel)), m_width, m_height, X265_DEPTH,
                               (int)sizeof(pixel)};
    const VrcnnError error = vrcnn_decide(m_decider, m_context, &input, &target, &m_decision);
    if (error) {
        /* Not for want of anything that opening did not check. A stream without side information would be a wrong one. */
        x265_log(m_param, X265_LOG_ERROR, "vrcnn: POC %d: %s\n", slice.m_poc, vrcnn_strerror(error));
        filter.m_frameEncoder->m_top->m_aborted = true;
        m_decision.size = 0;
        return;
    }
    if (m_decision.info.mode != VRCNN_MODE_OFF) {
        if (before && lumaSao)
            data.m_saoParam->bSaoFlag[0] = false;
        extendPicBorder(picture.m_picOrg[0], picture.m_stride, m_width, m_height, picture.m_lumaMarginX, picture.m_lumaMarginY);
        m_filtered++;
    }
    m_pictures++;
    const double seconds = (x265_mdate() - begin) / 1e6;
    m_seconds += seconds;

    static const char *const words[] = {"off", "all", "map"};
    x265_log(m_param, X265_LOG_DEBUG, "vrcnn: POC %d %s networks %d scale %d units %d [%d bytes] [%.3f s]\n", slice.m_poc,
             words[m_decision.info.mode], m_decision.info.networks, m_decision.info.scale, m_decision.info.unit_size, (int)m_decision.size,
             seconds);
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
        filter.processPostRow(i);
    return true;
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
