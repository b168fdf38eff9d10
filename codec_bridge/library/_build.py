"""Builds the extension codec_bridge.library._vrcnn (cffi, API mode) from the C library's sources. Paths: from the root."""

import os
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent.parent
_SOURCE = Path("c") / "src"
# Python has -g among its own flags, which would be half of a wheel; who asks for it, as Debian's packages do, gets it.
_DEBUG = [] if "-g" in os.environ.get("CFLAGS", "").split() else ["-g0"]


def _files(pattern: str) -> list[str]:
    return sorted((_SOURCE / path.relative_to(_ROOT / _SOURCE)).as_posix() for path in (_ROOT / _SOURCE).rglob(pattern))


ffibuilder = FFI()
ffibuilder.cdef((_HERE / "_vrcnn.cdef.txt").read_text(encoding="ascii"))
ffibuilder.set_source(
    "codec_bridge.library._vrcnn",
    '#include "vrcnn/vrcnn.h"\n#include "peak.h"',
    # The peak rates that codec-bridge bench compares with are part of the extension only, not of the library.
    sources=[*_files("*.c"), "c/bench/peak.c"],
    include_dirs=["c/include", "c/src", "c/bench"],
    define_macros=[("VRCNN_NO_SETS", None)],  # they lie in vrcnn_int/models, where Python reads them
    depends=[
        *_files("*.h"),
        "c/bench/peak.h",
        "c/include/vrcnn/vrcnn.h",
        "c/include/vrcnn/vrcnn_codec.h",
        "c/kernel_flags.txt",
        "codec_bridge/library/_vrcnn.cdef.txt",
    ],
    # -O3: the scalar kernels rely on the compiler to vectorize them.
    extra_compile_args=["-O3", *_DEBUG, "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
)
