"""Only what pyproject.toml cannot say: the cffi extension that holds the C library, whose kernels have compiler flags of their own."""

import sysconfig
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext


def kernel_flags() -> dict[str, list[str]]:
    """Source file -> flags, for the machine that Python was built for."""
    tag = sysconfig.get_platform().split("-")[-1].lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(tag, tag)
    lines = (Path(__file__).parent / "c/kernel_flags.txt").read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {f"c/{source}": flags for source, target, *flags in fields if target == machine}


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
        super().build_extensions()


setup(cffi_modules=["codec_bridge/library/_build.py:ffibuilder"], cmdclass={"build_ext": BuildKernels})
