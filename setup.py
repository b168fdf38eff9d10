"""Only what pyproject.toml cannot say: the cffi extension that holds the C library, whose kernels have compiler flags of their own; and the
model sets in it."""

import sysconfig
from itertools import accumulate
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext

MODELS = Path(__file__).parent / "vrcnn_int/models"


def kernel_flags() -> dict[str, list[str]]:
    """Source file -> flags, for the machine that Python was built for."""
    tag = sysconfig.get_platform().split("-")[-1].lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(tag, tag)
    lines = (Path(__file__).parent / "c/kernel_flags.txt").read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {f"c/{source}": flags for source, target, *flags in fields if target == machine}


def sets_source(folder: Path) -> str:
    """A folder's model sets as the C source that c/src/builtin.c includes, the same text that c/Makefile writes."""
    files = sorted(folder.glob("*.vrcnn"))
    offsets = accumulate((file.stat().st_size for file in files), initial=0)
    table = "".join(f'    {{"{file.stem}", {offset}, {file.stat().st_size}}},\n' for file, offset in zip(files, offsets, strict=False))
    numbers = "".join(model_source(file.read_bytes()) for file in files)
    return f"static const unsigned char builtin_bytes[] = {{\n{numbers}}};\nstatic const Builtin builtin_sets[] = {{\n{table}}};\n"


def model_source(data: bytes) -> str:
    """A model set's bytes in decimal, 16 a line."""
    return "".join("".join(f"{byte}," for byte in data[start : start + 16]) + "\n" for start in range(0, len(data), 16))


class BuildKernels(build_ext):
    def build_extensions(self) -> None:
        flags, compile_one = kernel_flags(), self.compiler._compile
        if self.compiler.compiler_type == "msvc":  # it knows none of these flags, and the kernels compile to nothing there
            flags = {}
            for extension in self.extensions:
                extension.extra_compile_args, extension.extra_link_args = ["/O2", "/std:c11"], []

        def compile_with_own_flags(obj: str, src: str, ext: str, cc_args: Any, extra_postargs: list[str], pp_opts: Any) -> None:
            compile_one(obj, src, ext, cc_args, [*extra_postargs, *flags.get(Path(src).as_posix(), [])], pp_opts)

        self.compiler._compile = compile_with_own_flags
        self.write_models()
        super().build_extensions()

    def write_models(self) -> None:
        """builtin_sets.inc, which c/src/builtin.c includes, into the folder of the objects."""
        folder = Path(self.build_temp)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "builtin_sets.inc").write_text(sets_source(MODELS), encoding="ascii", newline="\n")
        self.compiler.add_include_dir(str(folder))


setup(cffi_modules=["codec_bridge/library/_build.py:ffibuilder"], cmdclass={"build_ext": BuildKernels})
