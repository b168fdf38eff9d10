/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "VrcnnHmEncoder.h"

#include <algorithm>
#include <cstdio>

#include "NALwrite.h"
#include "SyntaxElementWriter.h"
#include "TEncSbac.h"
#include "TLibCommon/AccessUnit.h"
#include "TLibCommon/TComBitCounter.h"
#include "TLibCommon/TComPic.h"

/* In HM's words and the library's. */
static bool isBeforeDeblocking()
{
    return VrcnnHmOptions::get().position == VRCNN_BEFORE_DEBLOCKING;
}

VrcnnHmEncoder::VrcnnHmEncoder() : m_sender(NULL), m_pictures(0), m_filtered(0), m_seconds(0)
{
}

VrcnnHmEncoder::~VrcnnHmEncoder()
{
    const VrcnnContext *const context = vrcnn_sender_context(m_sender);
    if (m_pictures)
        printf("\nVRCNN: %d of %d pictures filtered, %.3f sec. for filter and decisions (kernels %s, %d threads)\n", m_filtered, m_pictures,
               m_seconds, vrcnn_kernel_name(vrcnn_context_kernel(context)), vrcnn_context_threads(context));
    vrcnn_sender_close(m_sender);
}

void VrcnnHmEncoder::open(const TComSPS &sps)
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    const std::vector<char> file = vrcnnHmModelFile(options);
    const VrcnnSettings settings = vrcnnHmSettings(options);
    const int width = sps.getPicWidthInLumaSamples(), height = sps.getPicHeightInLumaSamples();
    const VrcnnError error = vrcnn_sender_open(&m_sender, &settings, file.empty() ? NULL : &file[0], file.size(),
                                               (VrcnnPosition)options.position, width, height);
    if (error == VRCNN_ERROR_PLANE)
        vrcnnHmFail("%dx%d pictures: %s", width, height, vrcnn_strerror(error));
    vrcnnHmCheckOpened(error, options);
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
    if (options.size != "fast" && options.size != "best")
        vrcnnHmFail("--VRCNNSize=%s: there are fast and best", options.size.c_str());
    if (bitDepth < 8 || bitDepth > 10)
        vrcnnHmFail("the filter works on 8 to 10 bits of luma, not on %d: change --InternalBitDepth", bitDepth);
    pps.setSliceHeaderExtensionPresentFlag(true);
    VrcnnHmEncoder().open(sps);
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

void VrcnnHmEncoder::writeSei(AccessUnit &accessUnit) const
{
    uint8_t rbsp[VRCNN_SEI_SIZE];
    if (!VrcnnHmOptions::get().enabled || !VrcnnHmOptions::get().sei || vrcnn_sender_sei(m_sender, rbsp))
        return;
    OutputNALUnit nalu(NAL_UNIT_PREFIX_SEI);
    for (int i = 0; i < VRCNN_SEI_SIZE; i++)
        nalu.m_Bitstream.write(rbsp[i], 8);
    accessUnit.push_back(new NALUnitEBSP(nalu));
}

/* Chroma is there only where networks have a use for it. */
VrcnnHmPlanes VrcnnHmEncoder::planes(TComPicYuv &picture, const TComSPS &sps) const
{
    return VrcnnHmPlanes(picture, sps, vrcnn_sender_kind(m_sender) == VRCNN_JOINT);
}

/* Before the first picture. */
void VrcnnHmEncoder::start(TComPic &picture)
{
    const TComSPS &sps = *picture.getSlice(0)->getSPS();
    uint8_t identity[VRCNN_ID_SIZE];
    open(sps);
    const VrcnnContext *const context = vrcnn_sender_context(m_sender);
    const bool isJoint = vrcnn_sender_kind(m_sender) == VRCNN_JOINT;
    vrcnn_model_id(vrcnn_sender_model(m_sender), identity);
    printf("VRCNN: model set %02x%02x%02x%02x, %s%s, kernels %s, %d threads\n", identity[0], identity[1], identity[2], identity[3],
           isJoint ? "luma and chroma, " : "", isBeforeDeblocking() ? "before deblocking" : "after SAO",
           vrcnn_kernel_name(vrcnn_context_kernel(context)), vrcnn_context_threads(context));
    if (isJoint && picture.getChromaFormat() != CHROMA_400 && !planes(*picture.getPicYuvRec(), sps).plane[1].data)
        printf("VRCNN: luma only: chroma is not 4:2:0 of 8 to 10 bits, and has the ordinary filters\n");
    printf("VRCNN: the stream conforms to no profile: decoders without the filter show pictures that drift\n");
}

void VrcnnHmEncoder::beforeDeblocking(TComPic *picture)
{
    if (!VrcnnHmOptions::get().enabled)
        return;
    if (!m_sender)
        start(*picture);
    if (isBeforeDeblocking())
        m_source.copy(planes(*picture->getPicYuvRec(), *picture->getSlice(0)->getSPS()));
}

void VrcnnHmEncoder::afterDeblocking(TComPic *picture)
{
    if (VrcnnHmOptions::get().enabled && isBeforeDeblocking())
        m_base.copy(planes(*picture->getPicYuvRec(), *picture->getSlice(0)->getSPS()));
}

/* ---- SAO ---- */

/* SAO parameters of a channel out of a CTU's; a merged CTU stays merged, for the other channel's sake. */
static void dropSao(SAOBlkParam &parameters, ChannelType channel)
{
    for (int component = 0; component < MAX_NUM_COMPONENT; component++)
        if (toChannelType(ComponentID(component)) == channel && parameters[component].modeIdc == SAO_MODE_NEW)
            parameters[component].modeIdc = SAO_MODE_OFF;
}

/* Bits of the SAO parameters of all CTUs, as the arithmetic coder counts them. dropped: a channel without, or none (MAX_NUM_CHANNEL_TYPE).
 */
static double saoBits(TComPic &picture, TEncSbac &counter, ChannelType dropped)
{
    TComSlice &slice = *picture.getSlice(0);
    const int columns = (int)picture.getFrameWidthInCtus();
    TComBitCounter bits;
    Bool enabled[MAX_NUM_COMPONENT];
    bool any = false;
    for (int component = 0; component < MAX_NUM_COMPONENT; component++) {
        const ChannelType channel = toChannelType(ComponentID(component));
        enabled[component] = component < (int)picture.getNumberValidComponents() && channel != dropped && slice.getSaoEnabledFlag(channel);
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
        dropSao(parameters, dropped);
        counter.codeSAOBlkParam(parameters, slice.getSPS()->getBitDepths(), enabled, left, above);
    }
    const double result = counter.getNumberOfWrittenBits();
    counter.setBitstream(NULL);
    return result;
}

static void switchSaoOff(TComPic &picture, ChannelType channel)
{
    for (UInt slice = 0; slice < picture.getNumAllocatedSlice(); slice++)
        picture.getSlice(slice)->setSaoEnabledFlag(channel, false);
    for (UInt address = 0; address < picture.getNumberOfCtusInFrame(); address++)
        dropSao(picture.getPicSym()->getSAOBlkParam()[address], channel);
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

/* HM weighs errors in steps of eight bits. */
static double stepsOfEightBits(const TComSPS &sps, ChannelType channel)
{
    return 1 << 2 * DISTORTION_PRECISION_ADJUSTMENT(sps.getBitDepth(channel) - 8);
}

static void printDecision(const VrcnnPlaneDecision &decision, int poc, double seconds)
{
    static const char *const words[] = {"off", "all", "map"};
    const VrcnnPlaneSideinfo &info = decision.info;
    if (info.version == 1)
        printf("VRCNN POC %4d: %s", poc, words[info.luma_mode]);
    else
        printf("VRCNN POC %4d: luma %s, chroma %s", poc, words[info.luma_mode], words[info.chroma_mode]);
    for (int i = 0; i < info.filters; i++)
        printf("%s%d", i ? "," : " of networks ", info.filter[i].index);
    if (info.version == 1 && info.filters)
        printf(" scale %d", info.filter[0].weights.luma[0]);
    if (info.luma_unit_size)
        printf(" units of %d", info.luma_unit_size);
    if (info.chroma_unit_size)
        printf(" chroma units of %d", info.chroma_unit_size);
    printf(" [%d bytes] [VT %.3f]\n", (int)decision.size, seconds);
}

void VrcnnHmEncoder::afterSao(TComPic *picture, TEncSbac *counter)
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    if (!options.enabled)
        return;
    const double start = vrcnnHmSeconds();
    TComSlice &slice = *picture->getSlice(0);
    const TComSPS &sps = *slice.getSPS();
    const VrcnnHmPlanes reconstruction = planes(*picture->getPicYuvRec(), sps);
    VrcnnConstPlane ordinary[3];
    reconstruction.read(ordinary);

    VrcnnPlaneDecisionInput input = VrcnnPlaneDecisionInput();
    planes(*picture->getPicYuvTrueOrg(), sps).read(input.original);
    reconstruction.read(input.source);
    reconstruction.read(input.base);
    if (isBeforeDeblocking()) {
        m_source.read(input.source);
        m_base.read(input.base);
    }
    input.kept = vrcnnHmKept(*picture, m_kept) ? &m_kept[0] : NULL;
    input.size = options.size == "fast" ? VRCNN_FAST : VRCNN_BEST;
    input.qp = std::max(-12, std::min(51, slice.getSliceQp()));
    input.is_irap = slice.isIRAP();
    input.map = options.map;
    input.lambda = slice.getLambdas()[COMPONENT_Y] * stepsOfEightBits(sps, CHANNEL_TYPE_LUMA);
    input.luma_cost = squaredError(ordinary[0], input.original[0]);
    for (int i = 1; i < 3 && ordinary[i].data; i++) {
        /* HM's weight of a component is how much smaller its lambda is. */
        input.chroma_weight[i - 1] = input.lambda / (slice.getLambdas()[i] * stepsOfEightBits(sps, CHANNEL_TYPE_CHROMA));
        input.chroma_cost += input.chroma_weight[i - 1] * squaredError(ordinary[i], input.original[i]);
    }
    if (isBeforeDeblocking()) {
        const double all = saoBits(*picture, *counter, MAX_NUM_CHANNEL_TYPE);
        input.luma_cost += input.lambda * (all - saoBits(*picture, *counter, CHANNEL_TYPE_LUMA));
        if (ordinary[1].data)
            input.chroma_cost += input.lambda * (all - saoBits(*picture, *counter, CHANNEL_TYPE_CHROMA));
    }
    VrcnnPlaneDecision decision;
    const VrcnnError error = vrcnn_sender_decide(m_sender, &input, reconstruction.plane, &decision);
    if (error)
        vrcnnHmFail("POC %d: %s", slice.getPOC(), vrcnn_strerror(error));
    const bool luma = decision.info.luma_mode != VRCNN_MODE_OFF, chroma = decision.info.chroma_mode != VRCNN_MODE_OFF;
    if (luma && isBeforeDeblocking())
        switchSaoOff(*picture, CHANNEL_TYPE_LUMA);
    if (chroma && isBeforeDeblocking())
        switchSaoOff(*picture, CHANNEL_TYPE_CHROMA);
    for (UInt i = 0; i < picture->getNumAllocatedSlice(); i++)
        picture->getSlice(i)->vrcnnExtension.clear();
    slice.vrcnnExtension.assign(decision.data, decision.size);

    const double seconds = vrcnnHmSeconds() - start;
    m_pictures++;
    m_filtered += luma || chroma;
    m_seconds += seconds;
    printDecision(decision, slice.getPOC(), seconds);
}
