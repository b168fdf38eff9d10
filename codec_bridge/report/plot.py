"""RD curves as one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codec_bridge.figures.metrics import is_identical
from codec_bridge.figures.row import VARIANTS, Row
from codec_bridge.report import view
from codec_bridge.report.document import Compared, Document
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import write_bytes
from vrcnn_int.io.drawing import new_figure, png
from vrcnn_int.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("0.25", "tab:red", "tab:blue", "tab:green", "tab:orange", "tab:purple", "tab:brown", "tab:olive")
MARKERS = "ovs^PDX*"
"""Of VARIANTS, in their order."""


def write_plot(path: str | Path, document: Document) -> None:
    """Write a PNG with one panel per sequence: luma PSNR over rate, a curve per variant. Raises VrcnnError if it cannot be written."""
    if not document.rows:
        raise VrcnnError("there are no results to plot")
    entries = document.summary.sequences
    variants = [variant for variant in VARIANTS if any(row.variant == variant for row in document.rows)]
    named = view.words(document)
    alone = len({(entry.codec, entry.configuration) for entry in entries}) == 1
    columns = min(4, len(entries)) if len(entries) != 5 else 3
    lines = -(-len(entries) // columns)
    figure = new_figure(max(3.6 * columns, 5), 3.0 * lines + 0.7)
    for index, entry in enumerate(entries):
        axes = figure.add_subplot(lines, columns, index + 1)
        rows = [row for row in document.rows if _panel(row) == _panel(entry)]
        _draw(axes, rows, variants, named if index == 0 else {})
        axes.set_title(_title(entry, variants, named, alone), fontsize=8, parse_math=False)
        if index % columns == 0:
            axes.set_ylabel("luma PSNR (dB)", fontsize=9)
        if index >= len(entries) - columns:
            axes.set_xlabel("rate (kbit/s)", fontsize=9)
    origin = document.provenance
    lengths = {"model": 16, "encoder": 40, "git_revision": 40, "time": 40}
    words = [f"{key} {str(origin[key])[:length]}" for key, length in lengths.items() if origin.get(key)]
    figure.supxlabel(plain(", ".join(words)), x=0.995, ha="right", fontsize=6, color="0.4", parse_math=False)
    figure.legend(loc="outside upper center", ncols=len(variants), frameon=False, fontsize=9)
    write_bytes(path, png(figure, 130))


def _panel(of: Row | Compared) -> tuple[str, str, str]:
    return of.sequence, of.codec, of.configuration


def _draw(axes: "Axes", rows: Sequence[Row], variants: Sequence[str], named: Mapping[str, str]) -> None:
    """The curves of a sequence. named: variants in words, for the legend."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    for variant in variants:
        curve = [row.figures for row in rows if row.variant == variant and row.figures and not row.flag]
        points = sorted((figures.kbps, figures.psnr_y) for figures in curve if not is_identical(figures.psnr_y))
        rates, qualities = [rate for rate, _ in points], [quality for _, quality in points]
        dashes = "--" if variant in ("none", "float") else "-"
        look = VARIANTS.index(variant)
        (line,) = axes.plot(rates, qualities, dashes, color=COLOURS[look], marker=MARKERS[look], markersize=3.5, linewidth=1.2)
        if variant in named:
            line.set_label(named[variant])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)
    axes.grid(color="0.9")


def _title(entry: Compared, variants: Sequence[str], named: Mapping[str, str], alone: bool) -> str:
    """Its name and luma BD-rates, two a line. alone: there is one codec and configuration."""
    gains = {variant: entry.variants[variant].bd_rate_y for variant in variants if variant in entry.variants}
    shown = [f"{named[variant]} {gain:+.2f} %" for variant, gain in gains.items() if gain is not None]
    name = plain(entry.sequence if alone else f"{entry.sequence}, {view.label(entry.codec, entry.configuration)}")
    return "\n".join([name, *(", ".join(shown[k : k + 2]) for k in range(0, len(shown), 2))])
