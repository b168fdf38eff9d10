"""HM, the HEVC reference software, with the filter: what the adapter changes in a checkout."""

from codec_bridge.codecs.insertion import Build, Codec, Edit, cmake

COMMON, DECODER, ENCODER = "source/Lib/TLibCommon", "source/Lib/TLibDecoder", "source/Lib/TLibEncoder"

MAKE = Build(
    "make",
    "build/linux/common/makefile.base",
    r"^ifeq \(\$\(HIGHBITDEPTH\), 1\)",
    'CPPFLAGS += -I"{}"',
    ("STAT_RELEASE_LIBS += {}", "STAT_DEBUG_LIBS += {}"),
    more=tuple(
        Edit(f"build/linux/lib/{folder}/makefile", r"^MAKE_FILE_NAME\b", (f"OBJS += $(OBJ_DIR)/{name}.o",))
        for folder, name in (("TLibCommon", "VrcnnHmFilter"), ("TLibEncoder", "VrcnnHmEncoder"))
    ),
)
"""HM's own makefiles, which 16.20 has instead of CMake files."""

HM = Codec(
    name="HM",
    version=(f"{COMMON}/CommonDef.h", r'^#define\s+NV_VERSION\s+"([^"]+)"'),
    tested=("16.20", "16.21", "16.22", "16.23", "16.24", "16.25", "16.26", "18.0"),
    package="codec_bridge.codecs.hm",
    adapter={
        "VrcnnHm.h": COMMON,
        "VrcnnHmFilter.h": COMMON,
        "VrcnnHmFilter.cpp": COMMON,
        "VrcnnHmEncoder.h": ENCODER,
        "VrcnnHmEncoder.cpp": ENCODER,
    },
    edits=(
        # The bytes of the extension belong to the slice.
        Edit(f"{COMMON}/TComSlice.h", r'^#include "CommonDef\.h"', ('#include "VrcnnHm.h"',), after=True),
        Edit(f"{COMMON}/TComSlice.h", r"^\{", ("public:", "  VrcnnHmExtension vrcnnExtension;"), "class TComSlice", after=True, first=True),
        # Decoder: read the extension, filter the picture.
        Edit(
            f"{DECODER}/TDecCAVLC.cpp",
            r"\bgetSliceHeaderExtensionPresentFlag\(\)",
            ("  pcSlice->vrcnnExtension.clear();",),
            "TDecCavlc::parseSliceHeader",
        ),
        Edit(
            f"{DECODER}/TDecCAVLC.cpp",
            r'READ_CODE\s*\(\s*8\s*,\s*(\w+)\s*,\s*"slice_segment_header_extension_data_byte"',
            (r"      pcSlice->vrcnnExtension.append(\1);",),
            "TDecCavlc::parseSliceHeader",
            after=True,
        ),
        Edit(f"{DECODER}/TDecGop.h", r'^#include "TLibCommon/TComPic\.h"', ('#include "TLibCommon/VrcnnHmFilter.h"',), after=True),
        Edit(f"{DECODER}/TDecGop.h", r"^\{", ("  VrcnnHmDecoder m_vrcnn;",), "class TDecGop", after=True, first=True),
        Edit(f"{DECODER}/TDecGop.cpp", None, ("  m_vrcnn.init();",), "TDecGop::init"),
        Edit(
            f"{DECODER}/TDecGop.cpp", r"\bgetCurrSliceIdx\s*\(", ("  m_vrcnn.beforeSlice(pcPic);",), "TDecGop::decompressSlice", after=True
        ),
        Edit(f"{DECODER}/TDecGop.cpp", r"\bloopFilterPic\s*\(", ("  m_vrcnn.beforeDeblocking(pcPic);",), "TDecGop::filterPicture"),
        Edit(f"{DECODER}/TDecGop.cpp", r"\bcompressMotion\s*\(", ("  m_vrcnn.afterSao(pcPic);",), "TDecGop::filterPicture"),
        # Encoder: samples, decision, and the extension after the entry points instead of before them.
        Edit(f"{ENCODER}/TEncGOP.h", r'^#include "TEncSlice\.h"', ('#include "VrcnnHmEncoder.h"',), after=True),
        Edit(f"{ENCODER}/TEncGOP.h", r"^\{", ("  VrcnnHmEncoder m_vrcnn;",), "class TEncGOP", after=True, first=True),
        Edit(
            f"{ENCODER}/TEncGOP.cpp",
            r"\bloopFilterPic\s*\(",
            ("    m_vrcnn.beforeDeblocking(pcPic);",),
            "TEncGOP::compressGOP",
        ),
        Edit(
            f"{ENCODER}/TEncGOP.cpp",
            r"\bloopFilterPic\s*\(",
            ("    m_vrcnn.afterDeblocking(pcPic);",),
            "TEncGOP::compressGOP",
            after=True,
        ),
        Edit(
            f"{ENCODER}/TEncGOP.cpp",
            r"^\s*std::size_t\s+binCountsInNalUnits\b",
            ("    m_vrcnn.afterSao(pcPic, m_pcEncTop->getRDGoOnSbacCoder());",),
            "TEncGOP::compressGOP",
        ),
        Edit(
            f"{ENCODER}/TEncGOP.cpp",
            r"^\s*m_bSeqFirst\s*=\s*false;",
            ("      if (m_bSeqFirst) m_vrcnn.writeSei(accessUnit);",),
            "TEncGOP::compressGOP",
        ),
        Edit(
            f"{ENCODER}/TEncGOP.cpp",
            r"\bencodeTilesWPPEntryPoint\s*\(",
            ("        VrcnnHmEncoder::writeExtension(nalu.m_Bitstream, *pcSlice);",),
            "TEncGOP::compressGOP",
            after=True,
        ),
        Edit(
            f"{ENCODER}/TEncCavlc.cpp",
            r"\bgetSliceHeaderExtensionPresentFlag\(\)",
            ("  if (!VrcnnHmOptions::get().enabled) // else VrcnnHmEncoder::writeExtension writes it, after the entry points",),
            "TEncCavlc::codeSliceHeader",
        ),
        Edit(f"{ENCODER}/TEncTop.cpp", None, ("  VrcnnHmEncoder::initPps(pps, sps);",), "TEncTop::xInitPPS"),
        # Options.
        *(
            edit
            for side, word in (("Decoder", "Dec"), ("Encoder", "Enc"))
            for edit in (
                Edit(
                    f"source/App/TApp{side}/TApp{word}Cfg.cpp",
                    rf'^#include "TApp{word}Cfg\.h"',
                    ('#include "TLibCommon/VrcnnHm.h"',),
                    after=True,
                ),
                Edit(
                    f"source/App/TApp{side}/TApp{word}Cfg.cpp",
                    r"\bsetDefaults\s*\(\s*opts\s*\)",
                    (f"  VrcnnHmOptions::get().add{side}(opts);",),
                    f"TApp{word}Cfg::parseCfg",
                ),
            )
        ),
    ),
    builds=(cmake("CMakeLists.txt", r'^add_subdirectory\s*\(\s*"source/'), MAKE),
    following="build HM, then code with --VRCNN=1",
    notice="streams coded with --VRCNN=1 do not conform to Main, Main 10 or any other profile: other decoders parse them, "
    "but their pictures drift",
    tree="checkout",
    option="--hm",
)
"""Changes that the adapter needs."""
