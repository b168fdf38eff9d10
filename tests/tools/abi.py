"""The C library's ABI as text, and the rule of vrcnn.h for changing it. `make generated` writes c/abi.txt from it.

Functions, constants and the layout of structs are what the compiler made of vrcnn.h, on a machine with 64-bit pointers.
"""

import re
import sys
from pathlib import Path

from codec_bridge.library._vrcnn import ffi, lib

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import write_text

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "c/abi.txt"
GROWS = "VrcnnSettings"
"""States its own size, so fields may be added at its end."""
OPAQUE = ("VrcnnModel", "VrcnnContext", "VrcnnDecider", "VrcnnPlaneDecider", "VrcnnReceiver", "VrcnnSender")


def soversion() -> int:
    return int(re.findall(r"^SOVERSION := (\d+)$", (ROOT / "c/Makefile").read_text(), re.M)[0])


def version() -> str:
    return ".".join(re.findall(r"^#define VRCNN_VERSION_\w+ (\d+)$", (ROOT / "c/include/vrcnn/vrcnn.h").read_text(), re.M))


def describe() -> str:
    """The text of c/abi.txt for the library as it is now."""
    lines = []
    for name in dir(lib):
        value = getattr(lib, name)
        if isinstance(value, int):
            lines.append(f"{name} = {value}")
        elif not name.startswith("vrcnn_bench_"):
            lines.append(f"{name}: {ffi.typeof(value).cname}")
    for name in ffi.list_types()[0]:
        if ffi.typeof(name).kind == "struct" and name not in OPAQUE:
            size = ffi.sizeof(name)  # first: cffi completes structs when it is asked for their size
            lines += [f"{name}.{field}: {inner.type.cname} at {inner.offset}" for field, inner in ffi.typeof(name).fields]
            lines += [f"{name}: {size} bytes"] if name != GROWS else []
    return "\n".join([f"soversion {soversion()}", f"version {version()}", *lines, ""])


def verdict(old: str, new: str, unreleased: bool) -> str:
    """What has to be done before ``new`` may replace ``old``; "" if nothing has. unreleased: nobody has a library of old's version yet."""
    (old_so, old_version, *old_lines), (new_so, new_version, *new_lines) = old.splitlines(), new.splitlines()
    gone, added = [line for line in old_lines if line not in new_lines], [line for line in new_lines if line not in old_lines]
    if unreleased or new_so != old_so:
        return ""
    if gone:
        return f"`{gone[0]}` is not as it was: raise SOVERSION in c/Makefile"
    major_minor = [words.rpartition(".")[0] for words in (old_version, new_version)]
    if added and major_minor[0] == major_minor[1]:
        return f"`{added[0]}` is new: raise VRCNN_VERSION_MINOR in vrcnn.h"
    return ""


def is_unreleased(text: str) -> bool:
    """Whether CHANGELOG.md calls the version of this ABI unreleased."""
    number = text.splitlines()[1].removeprefix("version ")
    return f"## {number} (unreleased)" in (ROOT / "CHANGELOG.md").read_text()


def main() -> None:
    """Write c/abi.txt, if the rule allows it."""
    new = describe()
    if GOLDEN.exists():
        old = GOLDEN.read_text()
        if problem := verdict(old, new, is_unreleased(old)):
            raise VrcnnError(f"the ABI of the C library has changed: {problem}")
    write_text(GOLDEN, new)


if __name__ == "__main__":
    try:
        main()
    except VrcnnError as error:
        sys.exit(f"error: {error}")
