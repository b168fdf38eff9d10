"""Results: summaries per sequence, and their tables, files and plots.

A row is one sequence at one QP in one variant, a dictionary with the keys of `ROW_KEYS`. A document is what the JSON file holds:
``{"provenance": {...}, "rows": [...], "sequences": [{"sequence": ..., <variant>: {...}}], "mean": {<variant>: {...}}}``.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from codec_bridge.bd_rate import BdRateError, bd_rate
from codec_bridge.metrics import IDENTICAL
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

VARIANTS = ("anchor", "none", "integer", "float", "picture", "map", "after")
PLANES = ("y", "u", "v")
ROW_KEYS = (
    "sequence", "width", "height", "pictures", "qp", "variant", "codec", "configuration", "bits", "side_information_bits", "kbps",
    "psnr_y", "psnr_u", "psnr_v", "ssim_y", "encode_seconds", "filter_seconds", "model", "kernel", "encoder", "git_revision",
)  # fmt: skip

Row = Mapping[str, Any]
Document = Mapping[str, Any]


def summarise(rows: Sequence[Row], method: str = "pchip") -> dict[str, Any]:
    """The ``sequences`` and ``mean`` parts of a document: BD-rates of every variant against the anchor.

    For each sequence and variant: bd_rate_y, bd_rate_u, bd_rate_v in percent, bd_psnr_y in dB, overlap_y in percent,
    has_chroma, and warnings. A figure that cannot be had is None: chroma of 4:0:0, and curves that allow no BD-rate,
    with the reason among the warnings. The mean is over the sequences that have the plane; one of them without a figure
    makes it None.
    Raises VrcnnError for a sequence without anchor and for two rows of the same sequence, QP and variant.
    """
    names = list(dict.fromkeys(row["sequence"] for row in rows))
    variants = [variant for variant in VARIANTS[1:] if any(row["variant"] == variant for row in rows)]
    sequences = []
    for name in names:
        curves = {variant: _curve(rows, name, variant) for variant in VARIANTS}
        if not curves["anchor"]:
            raise VrcnnError(f"{name} has no anchor to compare with: run the variant anchor too")
        result: dict[str, Any] = {"sequence": name}
        for variant in variants:
            if curves[variant]:
                result[variant] = _compare(curves["anchor"], curves[variant], method)
        sequences.append(result)
    mean = {variant: _mean([entry[variant] for entry in sequences if variant in entry]) for variant in variants}
    return {"sequences": sequences, "mean": mean}


def missing(document: Document) -> list[str]:
    """Which luma BD-rates could not be had, each with its reason: "sequence, variant: reason"."""
    found = []
    for entry in document["sequences"]:
        for variant, result in entry.items():
            if variant != "sequence" and result["bd_rate_y"] is None:
                found.append(f"{entry['sequence']}, {variant}: {'; '.join(result['warnings'])}")
    return found


def print_table(document: Document, console: "Console") -> None:
    """Print BD-rates per sequence and their mean, then the warnings; as many variants beside each other as fit."""
    from rich import box
    from rich.table import Table

    sizes = {row["sequence"]: f"{row['pictures']} of {row['width']}x{row['height']}" for row in document["rows"]}
    names = [entry["sequence"] for entry in document["sequences"]]
    widths = [max(map(len, texts)) + 1 for texts in (["sequence", *names], ["pictures", *sizes.values()])]
    together = max(1, (console.width - sum(widths) - 1) // (3 * 8))
    variants = list(document["mean"])
    for some in (variants[k : k + together] for k in range(0, len(variants), together)):
        table = Table(title="BD-rate (%), negative is better", box=box.SIMPLE_HEAD, padding=0)
        table.add_column("sequence", no_wrap=True)
        table.add_column("pictures", justify="right", no_wrap=True)
        for variant in some:
            for plane in PLANES:
                table.add_column(f"{variant}\n{plane.upper()}", justify="right", no_wrap=True, min_width=7)
        for entry in document["sequences"]:
            figures = [_figure(entry.get(variant, {}).get(f"bd_rate_{plane}")) for variant in some for plane in PLANES]
            table.add_row(entry["sequence"], sizes[entry["sequence"]], *figures)
        table.add_section()
        means = [_figure(document["mean"][variant][f"bd_rate_{plane}"]) for variant in some for plane in PLANES]
        table.add_row("mean", "", *means, style="bold")
        console.print(table)
    overlaps = [
        (entry[variant]["overlap_y"], entry["sequence"], variant)
        for entry in document["sequences"]
        for variant in variants
        if entry.get(variant, {}).get("overlap_y") is not None
    ]
    if overlaps:
        least, name, variant = min(overlaps)
        console.print(f"luma curves overlap by at least {least:.0f} % ({name}, {variant})", markup=False, highlight=False)
    for entry in document["sequences"]:
        for variant in variants:
            for text in entry.get(variant, {}).get("warnings", ()):
                warning = f"warning: {entry['sequence']}, {variant}: {text}"
                console.print(warning, style="yellow", markup=False, highlight=False, soft_wrap=True)


def write_json(path: str | Path, document: Document) -> None:
    """Write a document as JSON. Raises VrcnnError if the file cannot be written, ValueError for numbers that JSON does not have."""
    text = json.dumps(document, indent=1, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(path: str | Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV with a header line; missing values are empty. Raises VrcnnError if the file cannot be written."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ROW_KEYS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_plot(path: str | Path, document: Document) -> None:
    """Write a PNG with one panel per sequence: luma PSNR over rate, a curve per variant. Raises VrcnnError if it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    rows = document["rows"]
    if not rows:
        raise VrcnnError("there are no results to plot")
    names = [entry["sequence"] for entry in document["sequences"]]
    variants = [variant for variant in VARIANTS if any(row["variant"] == variant for row in rows)]
    colours = ("0.25", "tab:red", "tab:blue", "tab:green", "tab:orange", "tab:purple", "tab:brown")
    looks = tuple(zip(colours, "ovs^PDX", strict=True))
    styles = dict(zip(VARIANTS, looks, strict=True))
    columns = min(4, len(names)) if len(names) != 5 else 3
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(max(3.6 * columns, 5), 3.0 * lines + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    for index, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, index + 1)
        for variant in variants:
            curve = [row for row in rows if row["sequence"] == name and row["variant"] == variant]
            points = sorted((row["kbps"], row["psnr_y"]) for row in curve)
            colour, marker = styles[variant]
            dashes = "--" if variant in ("none", "float") else "-"
            axes.plot(
                [rate for rate, _ in points], [quality for _, quality in points], dashes, color=colour, marker=marker,
                markersize=3.5, linewidth=1.2, label=variant if not index else None,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        gains = {variant: document["sequences"][index].get(variant, {}).get("bd_rate_y") for variant in variants}
        shown = [f"{variant} {gain:+.2f} %" for variant, gain in gains.items() if gain is not None]
        axes.set_title("\n".join([name, *(", ".join(shown[k : k + 2]) for k in range(0, len(shown), 2))]), fontsize=9, parse_math=False)
        axes.tick_params(labelsize=8)
        axes.grid(color="0.9")
        if index % columns == 0:
            axes.set_ylabel("luma PSNR (dB)", fontsize=9)
        if index >= len(names) - columns:
            axes.set_xlabel("rate (kbit/s)", fontsize=9)
    origin = document["provenance"]
    said = [f"{key} {str(origin[key])[:40]}" for key in ("model", "encoder", "git_revision", "time") if origin.get(key)]
    figure.supxlabel(", ".join(said), x=0.995, ha="right", fontsize=6, color="0.4", parse_math=False)
    figure.legend(loc="outside upper center", ncols=len(variants), frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def _curve(rows: Sequence[Row], sequence: str, variant: str) -> list[Row]:
    curve = [row for row in rows if row["sequence"] == sequence and row["variant"] == variant]
    qps = [row["qp"] for row in curve]
    if len(set(qps)) < len(qps):
        raise VrcnnError(f"{sequence}, {variant}: there are two results for the same QP ({sorted(qps)})")
    return curve


def _compare(anchor: Sequence[Row], test: Sequence[Row], method: str) -> dict[str, Any]:
    result: dict[str, Any] = {"bd_rate_y": None, "bd_rate_u": None, "bd_rate_v": None, "bd_psnr_y": None, "overlap_y": None}
    warnings: list[str] = []
    for plane in PLANES:
        key = f"psnr_{plane}"
        if any(row[key] is None for row in (*anchor, *test)):
            continue
        if any(row[key] >= IDENTICAL for row in (*anchor, *test)):
            warnings.append(f"{plane.upper()}: planes equal to the original have no PSNR, so there is no BD-rate")
            continue
        try:
            found = bd_rate([(row["bits"], row[key]) for row in anchor], [(row["bits"], row[key]) for row in test], method)
        except BdRateError as error:
            warnings.append(f"{plane.upper()}: {error}")
            continue
        result[f"bd_rate_{plane}"] = found.bd_rate
        if plane == "y":
            result |= {"bd_psnr_y": found.bd_psnr, "overlap_y": found.overlap}
        warnings += [f"{plane.upper()}: {text}" for text in found.warnings]
    has_chroma = all(row["psnr_u"] is not None for row in (*anchor, *test))
    return result | {"has_chroma": has_chroma, "warnings": warnings}


def _mean(results: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    mean: dict[str, float | None] = {}
    for plane in PLANES:
        values = [result[f"bd_rate_{plane}"] for result in results if plane == "y" or result["has_chroma"]]
        mean[f"bd_rate_{plane}"] = fmean(values) if values and None not in values else None
    return mean


def _figure(value: float | None) -> "Text":
    from rich.text import Text

    return Text("-") if value is None else Text(f"{value:+.2f}", style="green" if value < 0 else "red")
