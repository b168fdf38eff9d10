"""Builds the extension codec_bridge._vrcnn (cffi, API mode) from the C library's sources. Paths are relative to the project root."""

from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).resolve().parent
_SOURCE = Path("c") / "src"


def _files(pattern: str) -> list[str]:
    return sorted((_SOURCE / path.name).as_posix() for path in (_HERE.parent / _SOURCE).glob(pattern))


ffibuilder = FFI()
ffibuilder.cdef((_HERE / "_vrcnn.cdef.txt").read_text(encoding="ascii"))
ffibuilder.set_source(
    "codec_bridge._vrcnn",
    '#include "vrcnn/vrcnn.h"',
    sources=_files("*.c"),
    include_dirs=["c/include"],
    depends=[*_files("*.h"), "c/include/vrcnn/vrcnn.h", "codec_bridge/_vrcnn.cdef.txt"],
    # -O3: the scalar kernels rely on the compiler to vectorize them.
    extra_compile_args=["-O3", "-fvisibility=hidden"],
)
