/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "VrcnnHmEncoder.h"

#include <algorithm>
#include <cstdio>

#include "SyntaxElementWriter.h"
#include "TEncSbac.h"
#include "TLibCommon/TComBitCounter.h"
#include "TLibCommon/TComPic.h"

VrcnnHmEncoder::VrcnnHmEncoder()
    : m_model(NULL), m_context(NULL), m_decider(NULL), m_position(VRCNN_BEFORE_DEBLOCKING), m_pictures(0), m_filtered(0), m_seconds(0)
{
}

VrcnnHmEncoder::~VrcnnHmEncoder()
{
    if (m_pictures)
        printf("\nVRCNN: %d of %d pictures filtered, %.3f sec. for filter and decisions (kernels %s, %d threads)\n", m_filtered, m_pictures,
               m_seconds, vrcnn_kernel_name(vrcnn_context_kernel(m_context)), vrcnn_context_threads(m_context));
    vrcnn_decider_close(m_decider);
    vrcnn_close(m_context);
    vrcnn_model_free(m_model);
}

void VrcnnHmEncoder::open(const VrcnnHmOptions &options)
{
    const std::vector<char> file = vrcnnHmModelFile(options);
    const VrcnnSettings settings = vrcnnHmSettings(options);
    m_position = (VrcnnPosition)options.position;
    const VrcnnError error =
        file.empty() ? vrcnn_model_builtin(&m_model, m_position) : vrcnn_model_load(&m_model, &file[0], file.size(), NULL);
    vrcnnHmCheckOpened(error, options);
    vrcnnHmCheckOpened(vrcnn_open(&m_context, m_model, &settings), options);
}

void VrcnnHmEncoder::initPps(TComPPS &pps, const TComSPS &sps)
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    const int bitDepth = sps.getBitDepth(CHANNEL_TYPE_LUMA);
    if (!options.enabled)
        return;
    if (options.position != VRCNN_BEFORE_DEBLOCKING && options.position != VRCNN_AFTER_SAO)
        vrcnnHmFail("--VRCNNPosition=%d: there are 0, before deblocking, and 1, after SAO", options.position);
    if (options.map != 0 && options.map != 1)
        vrcnnHmFail("--VRCNNMap=%d: there are 0, whole pictures, and 1, units", options.map);
    if (bitDepth < 8 || bitDepth > 10)
        vrcnnHmFail("the filter works on 8 to 10 bits of luma, not on %d: change --InternalBitDepth", bitDepth);
    pps.setSliceHeaderExtensionPresentFlag(true);
    VrcnnHmEncoder().open(options);
}

/* HM's own writer of syntax elements, which is for classes that derive from it. */
struct VrcnnHmWriter : SyntaxElementWriter {
    VrcnnHmWriter(TComBitIf &bitstream)
    {
        setBitstream(&bitstream);
    }
    void write(const VrcnnHmExtension &extension)
    {
        xWriteUvlc((UInt)extension.size());
        for (size_t i = 0; i < extension.size(); i++)
            xWriteCode(extension.data()[i], 8);
    }
};

void VrcnnHmEncoder::writeExtension(TComOutputBitstream &bitstream, const TComSlice &slice)
{
    if (VrcnnHmOptions::get().enabled)
        VrcnnHmWriter(bitstream).write(slice.vrcnnExtension);
}

void VrcnnHmEncoder::beforeDeblocking(TComPic *picture)
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    if (!options.enabled)
        return;
    if (!m_model) {
        uint8_t identity[VRCNN_ID_SIZE];
        open(options);
        vrcnn_model_id(m_model, identity);
        printf("VRCNN: model set %02x%02x%02x%02x, %s, kernels %s, %d threads\n", identity[0], identity[1], identity[2], identity[3],
               m_position == VRCNN_AFTER_SAO ? "after SAO" : "before deblocking", vrcnn_kernel_name(vrcnn_context_kernel(m_context)),
               vrcnn_context_threads(m_context));
        printf("VRCNN: the stream conforms to no profile: decoders without the filter show pictures that drift\n");
        const TComPicYuv &reconstruction = *picture->getPicYuvRec();
        const int width = reconstruction.getWidth(COMPONENT_Y), height = reconstruction.getHeight(COMPONENT_Y);
        const VrcnnError error = vrcnn_decider_open(&m_decider, m_model, width, height);
        if (error)
            vrcnnHmFail("%dx%d pictures: %s", width, height, vrcnn_strerror(error));
    }
    if (m_position == VRCNN_BEFORE_DEBLOCKING)
        m_source.copy(*picture->getPicYuvRec());
}

void VrcnnHmEncoder::afterDeblocking(TComPic *picture)
{
    if (VrcnnHmOptions::get().enabled && m_position == VRCNN_BEFORE_DEBLOCKING)
        m_base.copy(*picture->getPicYuvRec());
}

/* ---- SAO ---- */

/* Luma SAO parameters out of a CTU's; a merged CTU stays merged, for its chroma's sake. */
static void dropLuma(SAOBlkParam &parameters)
{
    if (parameters[COMPONENT_Y].modeIdc == SAO_MODE_NEW)
        parameters[COMPONENT_Y].modeIdc = SAO_MODE_OFF;
}

/* Bits of the SAO parameters of all CTUs, as the arithmetic coder counts them. */
static double saoBits(TComPic &picture, TEncSbac &counter, bool luma)
{
    TComSlice &slice = *picture.getSlice(0);
    const int columns = (int)picture.getFrameWidthInCtus();
    TComBitCounter bits;
    Bool enabled[MAX_NUM_COMPONENT];
    bool any = false;
    for (int component = 0; component < MAX_NUM_COMPONENT; component++) {
        enabled[component] = component < (int)picture.getNumberValidComponents() && (component > 0 || luma) &&
                             slice.getSaoEnabledFlag(toChannelType(ComponentID(component)));
        any |= enabled[component];
    }
    if (!any)
        return 0;
    bits.resetBits();
    counter.setBitstream(&bits);
    counter.resetEntropy(&slice);
    counter.resetBits();
    for (int address = 0; address < (int)picture.getNumberOfCtusInFrame(); address++) {
        SAOBlkParam parameters = picture.getPicSym()->getSAOBlkParam()[address];
        const bool left = address % columns > 0 && picture.getSAOMergeAvailability(address, address - 1);
        const bool above = address >= columns && picture.getSAOMergeAvailability(address, address - columns);
        if (!luma)
            dropLuma(parameters);
        counter.codeSAOBlkParam(parameters, slice.getSPS()->getBitDepths(), enabled, left, above);
    }
    const double result = counter.getNumberOfWrittenBits();
    counter.setBitstream(NULL);
    return result;
}

static void switchLumaSaoOff(TComPic &picture)
{
    for (UInt slice = 0; slice < picture.getNumAllocatedSlice(); slice++)
        picture.getSlice(slice)->setSaoEnabledFlag(CHANNEL_TYPE_LUMA, false);
    for (UInt address = 0; address < picture.getNumberOfCtusInFrame(); address++)
        dropLuma(picture.getPicSym()->getSAOBlkParam()[address]);
}

/* ---- decision ---- */

static double squaredError(const VrcnnConstPlane &a, const VrcnnConstPlane &b)
{
    Int64 sum = 0;
    for (int y = 0; y < a.height; y++) {
        const Pel *rowA = (const Pel *)((const char *)a.data + y * a.stride), *rowB = (const Pel *)((const char *)b.data + y * b.stride);
        for (int x = 0; x < a.width; x++)
            sum += (Int64)(rowA[x] - rowB[x]) * (rowA[x] - rowB[x]);
    }
    return (double)sum;
}

void VrcnnHmEncoder::afterSao(TComPic *picture, TEncSbac *counter)
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    if (!options.enabled)
        return;
    const double start = vrcnnHmSeconds();
    TComSlice &slice = *picture->getSlice(0);
    const int bitDepth = slice.getSPS()->getBitDepth(CHANNEL_TYPE_LUMA);
    const bool before = m_position == VRCNN_BEFORE_DEBLOCKING;
    const VrcnnPlane reconstruction = vrcnnHmPlane(*picture->getPicYuvRec(), bitDepth);
    const VrcnnConstPlane ordinary = vrcnnHmReading(reconstruction);

    VrcnnDecisionInput input = VrcnnDecisionInput();
    input.original = vrcnnHmReading(vrcnnHmPlane(*picture->getPicYuvTrueOrg(), bitDepth));
    input.source = before ? m_source.constPlane(bitDepth) : ordinary;
    input.base = before ? m_base.constPlane(bitDepth) : ordinary;
    input.kept = vrcnnHmKept(*picture, m_kept) ? &m_kept[0] : NULL;
    input.position = m_position;
    input.qp = std::max(-12, std::min(51, slice.getSliceQp()));
    input.is_irap = slice.isIRAP();
    input.map = options.map;
    /* HM's is for squared errors in steps of eight bits. */
    input.lambda = slice.getLambdas()[COMPONENT_Y] * (1 << 2 * DISTORTION_PRECISION_ADJUSTMENT(bitDepth - 8));
    input.ordinary_cost = squaredError(ordinary, input.original);
    if (before)
        input.ordinary_cost += input.lambda * (saoBits(*picture, *counter, true) - saoBits(*picture, *counter, false));
    VrcnnDecision decision;
    const VrcnnError error = vrcnn_decide(m_decider, m_context, &input, &reconstruction, &decision);
    if (error)
        vrcnnHmFail("POC %d: %s", slice.getPOC(), vrcnn_strerror(error));
    const VrcnnSideinfo &info = decision.info;
    if (info.mode != VRCNN_MODE_OFF) {
        if (before)
            switchLumaSaoOff(*picture);
        m_filtered++;
    }
    for (UInt i = 0; i < picture->getNumAllocatedSlice(); i++)
        picture->getSlice(i)->vrcnnExtension.clear();
    slice.vrcnnExtension.assign(decision.data, decision.size);

    static const char *const words[] = {"off", "all", "map"};
    m_pictures++;
    const double seconds = vrcnnHmSeconds() - start;
    m_seconds += seconds;
    printf("VRCNN POC %4d: %s", slice.getPOC(), words[info.mode]);
    for (int i = 0; i < info.networks; i++)
        printf("%s%d", i ? "," : " of networks ", info.index[i]);
    if (info.mode != VRCNN_MODE_OFF)
        printf(" scale %d", info.scale);
    if (info.mode == VRCNN_MODE_MAP)
        printf(" units of %d", info.unit_size);
    printf(" [%d bytes] [VT %.3f]\n", (int)decision.size, seconds);
}
