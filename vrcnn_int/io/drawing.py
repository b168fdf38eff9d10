"""Pictures by matplotlib, whatever backend the environment names: notebooks name one that other programs need not have."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def any_backend() -> Iterator[None]:
    """Around what may load matplotlib: a backend of the environment that is not there is no error. One that is there stays chosen."""
    named = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
            import matplotlib

            with suppress(ValueError):
                matplotlib.rcParams["backend"] = named


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of a size in inches that needs no screen."""
    with any_backend():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: "Figure", dpi: int) -> bytes:
    """A figure as a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
