"""A checkout that looks like HM to the installer: the places that it wants, and nothing of HM."""

from pathlib import Path

FILES = {
    "source/Lib/TLibCommon/CommonDef.h": '#define NV_VERSION        "{version}"\n',
    "source/Lib/TLibCommon/TComSlice.h": (
        '#include <vector>\n#include "CommonDef.h"\n\nclass TComSlice;\nclass TComSlice\n{{\n\nprivate:\n  int a;\n}};\n'
    ),
    "source/Lib/TLibDecoder/TDecCAVLC.cpp": (
        "Void TDecCavlc::parsePPS(TComPPS* pps)\n{{\n  x(pps->getSliceHeaderExtensionPresentFlag());\n}}\n\n"
        "Void TDecCavlc::parseSliceHeader (TComSlice* pcSlice)\n{{\n  if(pps->getSliceHeaderExtensionPresentFlag())\n  {{\n"
        '    READ_CODE(8, nothing, "slice_segment_header_extension_data_byte");\n  }}\n}}\n'
    ),
    "source/Lib/TLibDecoder/TDecGop.h": '#include "TLibCommon/TComPic.h"\n\nclass TDecGop\n{{\nprivate:\n  int a;\n}};\n',
    "source/Lib/TLibDecoder/TDecGop.cpp": (
        "Void TDecGop::init( int a,\n   int b)\n{{\n  m_a = a;\n}}\n"
        "Void TDecGop::decompressSlice(TComPic* pcPic)\n{{\n  TComSlice* pcSlice = pcPic->getSlice(pcPic->getCurrSliceIdx());\n}}\n"
        "Void TDecGop::filterPicture(TComPic* pcPic)\n{{\n  m_pcLoopFilter->loopFilterPic( pcPic );\n  pcPic->compressMotion();\n}}\n"
    ),
    "source/Lib/TLibEncoder/TEncGOP.h": '#include "TEncSlice.h"\nclass TEncGOP\n{{\n  class DUData\n  {{\n  }};\n}};\n',
    "source/Lib/TLibEncoder/TEncGOP.cpp": (
        "Void TEncGOP::compressGOP( int a )\n{{\n  m_pcLoopFilter->loopFilterPic( pcPic );\n    std::size_t binCountsInNalUnits   = 0;\n"
        "      m_bSeqFirst = false;\n  m_pcEntropyCoder->encodeTilesWPPEntryPoint( pcSlice );\n}}\n"
        "Void TEncGOP::other()\n{{\n  m_pcLoopFilter->loopFilterPic( pcPic );\n}}\n"
    ),
    "source/Lib/TLibEncoder/TEncCavlc.cpp": (
        "Void TEncCavlc::codeSliceHeader         ( TComSlice* pcSlice )\n{{\n"
        "  if(pcSlice->getPPS()->getSliceHeaderExtensionPresentFlag())\n  {{\n  }}\n}}\n"
    ),
    "source/Lib/TLibEncoder/TEncTop.cpp": "Void TEncTop::xInitPPS(TComPPS &pps, const TComSPS &sps)\n{{\n  a();\n}}\n",
    "source/App/TAppDecoder/TAppDecCfg.cpp": (
        '#include "TAppDecCfg.h"\nBool TAppDecCfg::parseCfg( Int argc, TChar* argv[] )\n{{\n  po::setDefaults(opts);\n}}\n'
    ),
    "source/App/TAppEncoder/TAppEncCfg.cpp": (
        '#include "TAppEncCfg.h"\nBool TAppEncCfg::parseCfg( Int argc, TChar* argv[] )\n{{\n  po::setDefaults(opts);\n}}\n'
    ),
}
CMAKE = {
    "CMakeLists.txt": (
        'project( HM )\n\nif( XCODE )\n  add_subdirectory( "lldb" )\nendif()\n\n'  # as 16.21 has it
        'add_subdirectory( "source/Lib/TLibCommon" )\nadd_subdirectory( "source/Lib/TLibDecoder" )\n'
    )
}
MAKE = {
    "build/linux/common/makefile.base": "CPPFLAGS = $(DEFS)\nifeq ($(HIGHBITDEPTH), 1)\nCPPFLAGS += -DX\nendif\n",
    "build/linux/lib/TLibCommon/makefile": "OBJS = a.o\nMAKE_FILE_NAME = ../../common/makefile.base\n",
    "build/linux/lib/TLibEncoder/makefile": "OBJS = b.o\nMAKE_FILE_NAME = ../../common/makefile.base\n",
}


def make_checkout(folder: Path, version: str = "18.0", build: str = "cmake", newline: str = "\n") -> Path:
    """Write such a checkout."""
    for name, text in (FILES | (CMAKE if build == "cmake" else MAKE)).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("{version}", version).replace("{{", "{").replace("}}", "}").replace("\n", newline).encode())
    return folder


def make_library(prefix: Path, shared: bool = False) -> Path:
    """Write what looks like an installed libvrcnn."""
    (prefix / "include/vrcnn").mkdir(parents=True)
    (prefix / "include/vrcnn/vrcnn.h").write_text("int vrcnn_receiver_open(void);\n")
    (prefix / "lib").mkdir()
    (prefix / ("lib/libvrcnn.so" if shared else "lib/libvrcnn.a")).write_bytes(b"")
    return prefix
