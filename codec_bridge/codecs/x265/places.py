"""x265 with the filter: what the adapter changes in its source tree."""

from codec_bridge.codecs.insertion import Codec, Edit, cmake

COMMON, ENCODER = "source/common", "source/encoder"

HELP = tuple(
    f'        H0("   {option:<31}{text} Default {default});'
    for option, text, default in (
        ("--[no-]vrcnn", "CNN in-loop filter, decided for each picture.", r'%s\n", OPT(param->vrcnn.bEnable)'),
        ("--vrcnn-model <set>", "Model set of the CNN filter: joint_intra, joint_inter, ..., a file.", r'vrcnn_intra\n"'),
        ("--vrcnn-size <fast|best>", "Its networks, where the set has joint ones of both sizes.", r'best\n"'),
        ("--vrcnn-position <0|1>", "CNN filter before deblocking (0) or after SAO (1).", r'%d\n", param->vrcnn.position'),
        ("--[no-]vrcnn-map", "CNN filter on or off for units of a picture.", r'%s\n", OPT(param->vrcnn.bMap)'),
        ("--[no-]vrcnn-sei", "SEI message that the stream needs the CNN filter.", r'%s\n", OPT(param->vrcnn.bSei)'),
        ("--vrcnn-threads <integer>", "Threads of the CNN filter, for each frame thread.", r'%d\n", param->vrcnn.threads'),
        ("--vrcnn-kernel <string>", "Kernels of the CNN filter: auto, scalar, avx2, ...", r'auto\n"'),
    )
)
"""Lines of the program's help: option, text, and what is its default."""

X265 = Codec(
    name="x265",
    version=("x265Version.txt", r"^releasetag:\s*(\S+)"),
    tested=("3.5", "4.1"),
    package="codec_bridge.codecs.x265",
    adapter={"vrcnn_x265.h": ENCODER, "vrcnn_x265.cpp": ENCODER},
    edits=(
        # Options.
        Edit(
            "source/x265.h",
            r"^\} x265_param;",
            (
                "    /* CNN in-loop filter. model: empty for vrcnn_intra; size: empty for best; kernel: empty for the fastest. */",
                "    struct { int bEnable, position, bMap, threads; char kernel[16]; char size[8]; char model[1024]; int bSei; } vrcnn;",
            ),
        ),
        Edit(f"{COMMON}/param.cpp", r'^#include "param\.h"', ('#include "vrcnn_x265.h"',), after=True, first=True),
        Edit(
            f"{COMMON}/param.cpp",
            r"\bparam->selectiveSAO = 0;",
            ("    param->vrcnn.bMap = param->vrcnn.bSei = param->vrcnn.threads = 1;",),
            "x265_param_default",
            after=True,
        ),
        Edit(
            f"{COMMON}/param.cpp",
            r'^\s*OPT\("sao"\) p->bEnableSAO',
            (
                '    OPT("vrcnn") p->vrcnn.bEnable = atobool(value);',
                '    OPT("vrcnn-position") p->vrcnn.position = atoi(value);',
                '    OPT("vrcnn-map") p->vrcnn.bMap = atobool(value);',
                '    OPT("vrcnn-sei") p->vrcnn.bSei = atobool(value);',
                '    OPT("vrcnn-threads") p->vrcnn.threads = atoi(value);',
                '    OPT("vrcnn-kernel") bError |= !VrcnnX265::copy(p->vrcnn.kernel, sizeof(p->vrcnn.kernel), value);',
                '    OPT("vrcnn-size") bError |= !VrcnnX265::copy(p->vrcnn.size, sizeof(p->vrcnn.size), value);',
                '    OPT("vrcnn-model") bError |= !VrcnnX265::copy(p->vrcnn.model, sizeof(p->vrcnn.model), value);',
            ),
            "x265_param_parse",
            after=True,
        ),
        Edit(
            f"{COMMON}/param.cpp",
            r"^\s*int check_failed = 0;",
            ("    check_failed |= VrcnnX265::refuses(param);",),
            "x265_check_params",
            after=True,
        ),
        Edit(
            f"{COMMON}/param.cpp",
            r'^\s*TOOLOPT\(param->bEnableLoopFilter, "deblock"\)',
            ('            TOOLOPT(param->vrcnn.bEnable, "vrcnn");',),
        ),
        Edit(
            f"{COMMON}/param.cpp",
            r'^\s*BOOL\(p->bEnableSAO, "sao"\)',
            ('    if (p->vrcnn.bEnable) s += sprintf(s, " vrcnn vrcnn-position=%d vrcnn-map=%d", p->vrcnn.position, p->vrcnn.bMap);',),
            "x265_param2string",
        ),
        Edit(f"{COMMON}/param.cpp", r"^\s*dst->selectiveSAO = src->selectiveSAO;", ("    dst->vrcnn = src->vrcnn;",), "x265_copy_params"),
        Edit(
            "source/x265cli.h",
            r'^\s*\{ "sao",',
            (
                '    { "vrcnn",                no_argument, NULL, 0 },',
                '    { "no-vrcnn",             no_argument, NULL, 0 },',
                '    { "vrcnn-map",            no_argument, NULL, 0 },',
                '    { "no-vrcnn-map",         no_argument, NULL, 0 },',
                '    { "vrcnn-sei",            no_argument, NULL, 0 },',
                '    { "no-vrcnn-sei",         no_argument, NULL, 0 },',
                '    { "vrcnn-model",    required_argument, NULL, 0 },',
                '    { "vrcnn-size",     required_argument, NULL, 0 },',
                '    { "vrcnn-position", required_argument, NULL, 0 },',
                '    { "vrcnn-threads",  required_argument, NULL, 0 },',
                '    { "vrcnn-kernel",   required_argument, NULL, 0 },',
            ),
            after=True,
        ),
        Edit(
            "source/x265cli.cpp",
            r"^\s*H0\(\"   --\[no-\]sao  ",
            (*HELP,),
        ),
        # x265's program hangs or crashes where the encoder cannot be opened: what the filter refuses ends it before that.
        Edit("source/x265cli.cpp", r'^#include "svt\.h"', ('#include "vrcnn_x265.h"',), after=True),
        Edit(
            "source/x265cli.cpp",
            r"\bgeneral_log_file\(param, this->output->getName\(\)",
            ("        if (VrcnnX265::refuses(param)) return true;",),
            after=True,
        ),
        # x265's reader of pictures may still run when what it shares with others is freed: the program can hang at its end.
        Edit("source/abrEncApp.h", r"^\s*Reader\(int id, PassEncoder", ("        ThreadSafeInteger m_vrcnnEnded;",)),
        Edit("source/abrEncApp.cpp", r"^\s*x265_picture_free\(src\);", ("        m_vrcnnEnded.incr();",), after=True),
        Edit(
            "source/abrEncApp.cpp",
            r"^\s*m_parent->m_numActiveEncodes\.decr\(\);",
            (
                "            while (m_reader && !m_ret && !b_ctrl_c && !m_reader->m_vrcnnEnded.get())",
                "                m_reader->m_vrcnnEnded.waitForChange(0);",
            ),
        ),
        # Parameter sets and slice headers.
        Edit(
            f"{COMMON}/slice.h",
            r"^\s*uint32_t maxCuDQPDepth;",
            ("    bool     vrcnn;",),
            "struct PPS",
        ),
        Edit(
            f"{ENCODER}/encoder.cpp",
            r"^\s*pps->chromaQpOffset\[0\]",
            ("    pps->vrcnn = !!m_param->vrcnn.bEnable;", "    if (pps->vrcnn) VrcnnX265::warn(m_param);"),
            "Encoder::initPPS",
        ),
        # Behind the parameter sets of the first picture; those of later ones are repetitions.
        Edit(
            f"{ENCODER}/frameencoder.cpp",
            r"^\s*// Weighted Prediction parameters estimation\.",
            ("    m_frameFilter.m_vrcnn.writeSei(vrcnnFrame(m_frame), m_nalList);",),
            "FrameEncoder::compressFrame",
        ),
        Edit(
            f"{ENCODER}/entropy.cpp",
            r'"slice_segment_header_extension_present_flag"',
            ('    if (pps.vrcnn) WRITE_FLAG(1, "slice_segment_header_extension_present_flag"); else',),
            "Entropy::codePPS",
        ),
        Edit(
            f"{ENCODER}/frameencoder.cpp",
            r"\bcodeSliceHeaderWPPEntryPoints\(m_substreamSizes, \(slice",
            ("        m_frameFilter.m_vrcnn.writeExtension(m_bs);",),
            "FrameEncoder::compressFrame",
            after=True,
        ),
        # Samples and decision.
        Edit(
            f"{ENCODER}/frameencoder.cpp",
            r"\browCoder\.encodeCTU\(",
            ("        m_frameFilter.m_vrcnn.keepSource(vrcnnFrame(m_frame), row, col);",),
            "FrameEncoder::processRowEncoder",
            after=True,
        ),
        Edit(f"{ENCODER}/framefilter.h", r'^#include "sao\.h"', ('#include "vrcnn_x265.h"',), after=True),
        Edit(f"{ENCODER}/framefilter.h", r"^\s*x265_param\*\s+m_param;", ("    VrcnnX265     m_vrcnn;",), "class FrameFilter"),
        Edit(
            f"{ENCODER}/framefilter.cpp",
            r"^\s*m_saoRowDelay =",
            (
                "    if (!m_vrcnn.open(m_param, top->m_sps.picWidthInLumaSamples, top->m_sps.picHeightInLumaSamples))",
                "        top->m_aborted = true;",
            ),
            "FrameFilter::init",
        ),
        Edit(f"{ENCODER}/framefilter.cpp", r"^\s*m_frame = frame;", ("    m_vrcnn.start(initState);",), "FrameFilter::start", after=True),
        Edit(
            f"{ENCODER}/framefilter.cpp",
            r"^\s*if \(saoParam->bSaoFlag\[0\]\)",
            ("    m_frameFilter->m_vrcnn.keepDeblocked(*m_encData, m_row, col);",),
            "FrameFilter::ParallelFilter::processSaoCTU",
        ),
        # Rows are finished together, so their flags tell nothing: what SAO counts at the last row is still due there.
        Edit(
            f"{ENCODER}/framefilter.cpp",
            r"^\s*if \(numRowFinished == m_numRows\)",
            ("    if (m_vrcnn.on() && row == m_numRows - 1) numRowFinished = m_numRows;",),
            "FrameFilter::processRow",
        ),
        Edit(
            f"{ENCODER}/framefilter.cpp",
            r"^\s*PicYuv \*reconPic = m_frame->m_reconPic(?:\[0\])?;",
            ("    if (m_vrcnn.defers(*this, row)) return;",),
            "FrameFilter::processPostRow",
        ),
        Edit(f"{ENCODER}/CMakeLists.txt", r"^add_library\(encoder OBJECT", ("    vrcnn_x265.h vrcnn_x265.cpp",), after=True),
    ),
    builds=(cmake("source/CMakeLists.txt", r"^add_subdirectory\(encoder\)"),),
    following="build x265 with CMake, then code with --vrcnn",
    notice="what is built from this source tree is under x265's licence, GPL-2.0 or later (or its makers' commercial one)",
)
"""Changes that the adapter needs."""
