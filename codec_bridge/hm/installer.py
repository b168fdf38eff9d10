"""Put the adapter and its calls into a checkout of HM, say what is there, and take everything out again.

HM's files are changed by whole inserted lines only, each with a mark at its end, so that removing the marked lines undoes the
installation exactly. The places are found by the function or class around them and a short pattern inside it. Nothing is written
unless every place was found.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing

TESTED = ("16.20", "18.0")
"""HM versions that were built and run with the adapter."""

MARK = "vrcnn-int"
VERSION_FILE = "source/Lib/TLibCommon/CommonDef.h"
ADAPTER = {
    "VrcnnHm.h": "source/Lib/TLibCommon",
    "VrcnnHmFilter.h": "source/Lib/TLibCommon",
    "VrcnnHmFilter.cpp": "source/Lib/TLibCommon",
    "VrcnnHmEncoder.h": "source/Lib/TLibEncoder",
    "VrcnnHmEncoder.cpp": "source/Lib/TLibEncoder",
}
"""The adapter's files, and their folders in HM."""

NOT_CONFORMING = (
    "streams coded with --VRCNN=1 do not conform to Main, Main 10 or any other profile: other decoders parse them, but their pictures drift"
)


class InstallError(VrcnnError):
    """The folder is not an HM that can be changed, or libvrcnn is not there."""


@dataclass(frozen=True)
class Edit:
    """``lines`` go into ``file`` before or after the line that matches ``anchor``, the only one in the scope.

    ``scope``: the function (A::b) or class (class A) to look in; it ends with the next line that begins with a closing brace.
    None: the whole file. ``anchor`` None: the end of the scope. ``first``: the first match counts, further ones are no error.
    ``lines`` may refer to groups of the anchor by number, as \\1.
    """

    file: str
    anchor: str | None
    lines: tuple[str, ...]
    scope: str | None = None
    after: bool = False
    first: bool = False

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.file}{': in ' + self.scope if self.scope else ''}"

    def begins(self, line: str) -> bool:
        """Whether the scope begins with this line."""
        assert self.scope
        pattern = rf"^{self.scope}\b[^;]*$" if self.scope.startswith("class ") else rf"^\S.*\b{self.scope}\s*\([^;]*$"
        return bool(re.search(pattern, line.rstrip()))


COMMON, DECODER, ENCODER = "source/Lib/TLibCommon", "source/Lib/TLibDecoder", "source/Lib/TLibEncoder"

SOURCE_EDITS = (
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
    Edit(f"{DECODER}/TDecGop.cpp", r"\bgetCurrSliceIdx\s*\(", ("  m_vrcnn.beforeSlice(pcPic);",), "TDecGop::decompressSlice", after=True),
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
)


@dataclass(frozen=True)
class Library:
    """An installed libvrcnn: folder of its headers, and what a linker is told."""

    include: Path
    link: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """What is in a checkout. ``state``: installed, not installed, or partly installed; ``library``: what HM will be linked with."""

    version: str
    build: str
    state: str
    library: str


def find_library(prefix: Path | None = None) -> Library:
    """The libvrcnn installed under ``prefix``, or the one that pkg-config knows. Raises InstallError."""
    if prefix is None:
        try:
            values = [
                subprocess.run(["pkg-config", f"--variable={name}", "vrcnn"], capture_output=True, text=True, check=True).stdout.strip()
                for name in ("includedir", "libdir")
            ]
        except (OSError, subprocess.CalledProcessError):
            raise InstallError(
                "pkg-config does not know libvrcnn; install it (make install PREFIX=...) and give --vrcnn PREFIX or set PKG_CONFIG_PATH"
            ) from None
        include, folder = (Path(value).resolve() for value in values)
    else:
        include, folder = prefix.resolve() / "include", prefix.resolve() / "lib"
    header = include / "vrcnn" / "vrcnn.h"
    advice = f"install the C library with: make install PREFIX={prefix or '/usr/local'}"
    if not header.is_file():
        raise InstallError(f"there is no {header}; {advice}")
    if "vrcnn_filter_units" not in header.read_text(encoding="utf-8"):
        raise InstallError(f"{header} is of an earlier version, without unit maps; {advice}")
    for name, more in (("libvrcnn.a", ()), ("libvrcnn.so", (f"-Wl,-rpath,{folder}",))):
        if (folder / name).is_file():
            return Library(include, (str(folder / name), *more, "-lpthread"))
    raise InstallError(f"there is no libvrcnn.a or libvrcnn.so in {folder}")


def hm_version(hm: Path) -> str:
    """The version that a checkout states. Raises InstallError if it is no HM."""
    text = _read(hm / VERSION_FILE) if (hm / VERSION_FILE).is_file() else ""
    match = re.search(r'^#define\s+NV_VERSION\s+"([^"]+)"', text, re.M)
    if not match:
        raise InstallError(f"{hm} is not a checkout of HM: {VERSION_FILE} does not state a version")
    return match[1]


def build_system(hm: Path) -> str:
    """cmake or make. Raises InstallError if there is neither."""
    if (hm / "CMakeLists.txt").is_file():
        return "cmake"
    if (hm / "build/linux/common/makefile.base").is_file():
        return "make"
    raise InstallError(f"{hm} has neither CMakeLists.txt nor build/linux/common/makefile.base: this HM's way of building is not known")


def status(hm: Path) -> Status:
    """What is installed in a checkout. Raises InstallError if it is no HM."""
    version, build = hm_version(hm), build_system(hm)
    marked = [path for path in _edited_files(build) if (hm / path).is_file() and MARK in _read(hm / path)]
    copied = [name for name, folder in ADAPTER.items() if (hm / folder / name).is_file()]
    library = ""
    for path in marked:
        found = re.search(r"^(?:link_libraries\(|STAT_RELEASE_LIBS \+=)\s*\"?([^\s\")]+)", _read(hm / path), re.M)
        library = found[1] if found else library
    if not marked and not copied:
        state = "not installed"
    elif any(plain != text for _, plain, text in _changes(hm, build, _library_lines(hm, build))) or any(
        _read(hm / folder / name) != _adapter(name) for name, folder in ADAPTER.items() if name in copied
    ):
        state = "installed by another version, or changed since; install again"
    elif len(copied) < len(ADAPTER):
        state = "partly installed; install again"
    else:
        state = "installed"
    return Status(version, build, state, library)


def install(hm: Path, library: Library, force: bool = False) -> list[Path]:
    """Install into a checkout, over an earlier installation if there is one; returns the files that changed.

    Raises InstallError, with nothing changed, for versions that were never tested (without ``force``) and for places not found.
    """
    version, build = hm_version(hm), build_system(hm)
    if version not in TESTED and not force:
        raise InstallError(f"HM {version} was never tested, only {' and '.join(TESTED)} were; try it with --force")
    written = []
    changes = list(_changes(hm, build, _build_edits(build, library)))
    for path, old, new in changes:
        if old != new:
            written.append(_write(hm, path, new))
    for name, folder in ADAPTER.items():
        target = hm / folder / name
        if not target.is_file() or _read(target) != _adapter(name):
            written.append(_write(hm, f"{folder}/{name}", _adapter(name)))
    return written


def uninstall(hm: Path) -> list[Path]:
    """Take every inserted line and every adapter file out; returns the files that changed. Raises InstallError if it is no HM."""
    hm_version(hm)
    written = []
    for path in _edited_files(build_system(hm)):
        if (hm / path).is_file():
            old = _read(hm / path)
            new = _without_marked(old)
            if old != new:
                written.append(_write(hm, path, new))
    for name, folder in ADAPTER.items():
        target = hm / folder / name
        if target.is_file():
            target.unlink()
            written.append(target)
    return written


def _build_edits(build: str, library: Library) -> tuple[Edit, ...]:
    for value in (str(library.include), *library.link):
        if re.search(r'[\s"$#\\]', value):
            raise InstallError(f"HM's build files cannot hold this path: {value!r}")
    if build == "cmake":
        lines = (f'include_directories("{library.include}")', "link_libraries({})".format(" ".join(f'"{part}"' for part in library.link)))
        return (Edit("CMakeLists.txt", r"^\s*add_subdirectory\s*\(", lines, first=True),)
    makefile = Edit(
        "build/linux/common/makefile.base",
        r"^ifeq \(\$\(HIGHBITDEPTH\), 1\)",
        (
            f"CPPFLAGS += -I{library.include}",
            f"STAT_RELEASE_LIBS += {' '.join(library.link)}",
            f"STAT_DEBUG_LIBS += {' '.join(library.link)}",
        ),
        first=True,
    )
    objects = [
        Edit(f"build/linux/lib/{folder}/makefile", r"^MAKE_FILE_NAME\b", (f"OBJS += $(OBJ_DIR)/{name}.o",))
        for folder, name in (("TLibCommon", "VrcnnHmFilter"), ("TLibEncoder", "VrcnnHmEncoder"))
    ]
    return (makefile, *objects)


def _library_lines(hm: Path, build: str) -> tuple[Edit, ...]:
    """The edits of the build files as they were made: with the library that is named there."""
    file = "CMakeLists.txt" if build == "cmake" else "build/linux/common/makefile.base"
    marked = [line for line in _read(hm / file).splitlines() if line.rstrip().endswith(MARK)]
    include = next((match[1] for line in marked if (match := re.search(r'(?:include_directories\("|-I)([^\s")]+)', line))), "")
    link = next((line for line in marked if "ibraries(" in line or "STAT_RELEASE_LIBS" in line), "")
    words = re.findall(r'"([^"]+)"', link) if build == "cmake" else link.partition("+=")[2].partition("#")[0].split()
    return _build_edits(build, Library(Path(include), tuple(words)))


def _edited_files(build: str) -> list[str]:
    edits = (*SOURCE_EDITS, *_build_edits(build, Library(Path("/"), ())))
    return list(dict.fromkeys(edit.file for edit in edits))


def _changes(hm: Path, build: str, build_edits: tuple[Edit, ...]) -> Iterator[tuple[str, str, str]]:
    """File, its text as it is, its text as it will be. Raises InstallError for a place that is not found."""
    edits = (*SOURCE_EDITS, *build_edits)
    for file in _edited_files(build):
        if not (hm / file).is_file():
            raise InstallError(f"{hm} has no {file}")
        old = _read(hm / file)
        new = _without_marked(old)
        for edit in edits:
            if edit.file == file:
                new = _apply(edit, new)
        yield file, old, new


def _apply(edit: Edit, text: str) -> str:
    lines = text.splitlines(keepends=True)
    start, end = 0, len(lines)
    if edit.scope:
        starts = [i for i, line in enumerate(lines) if edit.begins(line)]
        if len(starts) != 1:
            raise InstallError(f"{edit.place}: found {len(starts) or 'no'} such places instead of one")
        start = starts[0]
        end = next((i for i in range(start, len(lines)) if lines[i].startswith("}")), -1)
        if end < 0:
            raise InstallError(f"{edit.place}: its end is not found")
    groups: tuple[str, ...] = ()
    if edit.anchor is None:
        at = end
    else:
        plain = [i for i in range(start, end) if not lines[i].rstrip().endswith(MARK)]
        found = [(i, match) for i in plain if (match := re.search(edit.anchor, lines[i]))]
        if not found or (len(found) > 1 and not edit.first):
            raise InstallError(f"{edit.place}: {len(found) or 'no'} lines match {edit.anchor} instead of one")
        at, groups = found[0][0] + edit.after, found[0][1].groups()
    # Lines that stand at a place already stay before those that come later.
    while edit.anchor is not None and edit.after and at < len(lines) and lines[at].rstrip().endswith(MARK):
        at += 1
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    comment = "#" if "akefile" in edit.file or edit.file.endswith(".txt") else "//"
    new = []
    for line in edit.lines:
        for number, group in enumerate(groups, 1):
            line = line.replace(f"\\{number}", group)
        new.append(f"{line} {comment} {MARK}{ending}")
    return "".join(lines[:at] + new + lines[at:])


def _without_marked(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not re.search(rf" (?://|#) {MARK}\s*$", line))


def _adapter(name: str) -> str:
    return resources.files("codec_bridge.hm").joinpath("adapter", name).read_text(encoding="utf-8")


def _read(path: Path) -> str:
    """As it is: undoing is exact, whatever the encoding and line endings."""
    with path.open(encoding="latin-1", newline="") as file:
        return file.read()


def _write(hm: Path, path: str, text: str) -> Path:
    target = hm / path
    mode = target.stat().st_mode if target.exists() else None
    with replacing(target) as temporary, temporary.open("w", encoding="latin-1", newline="") as file:
        file.write(text)
    if mode is not None:
        os.chmod(target, mode)
    shutil.copymode(hm / VERSION_FILE, target) if mode is None else None
    return target
