"""codec-bridge conformance: the C library against the suite."""

from pathlib import Path
from typing import Annotated

import typer

from codec_bridge.cli.options import Kernel
from codec_bridge.library.conformance import CLibrary
from vrcnn_int.conformance import Suite
from vrcnn_int.conformance.verify import show_results, verify


def check_conformance(
    folder: Annotated[Path | None, typer.Argument(help="The suite; default: the one that is shipped.")] = None,
    kernel: Kernel = "auto",
    threads: Annotated[int, typer.Option(help="Threads that work on a picture.", min=1, max=64)] = 1,
) -> None:
    """Compare the C library with the conformance suite, bit for bit (`vrcnn-int conformance verify` does it for any program)."""
    library = CLibrary(kernel, threads)
    show_results(library.name, verify(Suite.load(folder), library))
