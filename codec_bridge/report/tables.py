"""Documents as tables: in the terminal, and rows as CSV."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codec_bridge.figures.row import KEYS, MoreLevels, Row, names
from codec_bridge.report import view
from codec_bridge.report.document import LABELS, PLANES, BdFigures, Document, Mean, population
from codec_bridge.report.summary import MORE
from vrcnn_int.files import write_text
from vrcnn_int.text import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

T = TypeVar("T")
Line = tuple[str, str, Mapping[str, BdFigures]]
"""A sequence, its pictures, and the figures of its variants."""


def print_table(document: Document, console: "Console") -> None:
    """Print BD-rates per sequence, class and in the mean, then what is flagged; as many variants beside each other as fit."""
    for means in document.summary.means:
        _print_group(document, console, means.codec, means.configuration, means.variants)
    named = _named(document)
    for flag in document.summary.flags:
        style = "red" if flag.severity == "error" else "yellow"
        console.print(
            f"{flag.severity}: {replace(flag, variant=named.get(flag.variant, flag.variant))}",
            style=style,
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _named(document: Document) -> dict[str, str]:
    """Variants that the terminal calls as reports do; the others by their keys, which --variants has: words in them would be too wide."""
    return {"anchor": view.AS_CODED} if view.against(document) else {}


def _print_group(document: Document, console: "Console", codec: str, configuration: str, means: Mapping[str, Mean]) -> None:
    summary = document.summary
    named = _named(document)
    entries = [entry for entry in summary.sequences if (entry.codec, entry.configuration) == (codec, configuration)]
    rows = [row for row in document.rows if (row.codec, row.configuration) == (codec, configuration)]
    sizes = {row.sequence: f"{row.pictures} of {row.width}x{row.height}" for row in rows}
    lines, apart = (
        [(entry.sequence, sizes[entry.sequence], entry.variants) for entry in entries if entry.apart is which] for which in (False, True)
    )
    classes = [entry for entry in summary.classes if (entry.codec, entry.configuration) == (codec, configuration)]
    sums: list[Line] = [(f"class {entry.class_name}", "", entry.variants) for entry in classes] if len(classes) > 1 else []
    sums.append(("mean", "", means))
    unflagged = {variant: mean.unflagged or BdFigures() for variant, mean in means.items()}
    if any(unflagged[variant] != mean.of_all() for variant, mean in means.items()):
        sums.append(("mean, unflagged", "", unflagged))
    other = f" against {view.reference_curve(document)}" if view.against(document) else ""
    _print_bd_rates(
        f"BD-rate (%), {view.label(codec, configuration)}{other}, negative is better",
        lines,
        sums,
        apart,
        {v: named.get(v, v) for v in means},
        console,
    )
    groups: dict[str, tuple[str | None, bool]] = {"mean": (None, False), "mean, unflagged": (None, True)}
    groups |= {f"class {entry.class_name}": (entry.class_name, False) for entry in classes}
    for name, _, variants in sums:
        class_name, sound = groups[name]
        some = [entry for entry in entries if entry.in_group(class_name, codec, configuration)]
        unlike: dict[str, list[str]] = {}
        for variant in variants:
            unlike.setdefault(_unlike(*population(some, variant, sound)), []).append(variant)
        for text, which in unlike.items():
            of = f"{', '.join(named.get(variant, variant) for variant in which)}: " if len(unlike) > 1 else ""
            if text:
                console.print(f"{name}: {of}{text}", style="dim", markup=False, highlight=False)
    if apart:
        console.print("The sequences below the mean are not in it, as the plan says.", style="dim", highlight=False)
    called = {named.get(variant, variant): mean for variant, mean in means.items()}
    _print_gains(called, console)
    _print_costs(called, console)
    compared = ((entry.sequence, variant, result.overlap_y) for entry in entries for variant, result in entry.variants.items())
    overlaps = [(overlap, name, variant) for name, variant, overlap in compared if overlap is not None]
    if overlaps:
        least, name, variant = min(overlaps)
        console.print(
            f"luma curves overlap by at least {math.floor(least)} % ({name}, {named.get(variant, variant)})", markup=False, highlight=False
        )


def _print_bd_rates(
    title: str, lines: Sequence[Line], sums: Sequence[Line], apart: Sequence[Line], variants: Mapping[str, str], console: "Console"
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from vrcnn_int.io.console import show_table

    texts = [("sequence", "pictures"), *(line[:2] for line in (*lines, *sums, *apart))]
    widths = [max(map(len, column)) + 1 for column in zip(*texts, strict=True)]
    for some in _fitting(list(variants), console.width - sum(widths), 3 * 8):
        table = Table(title=title, box=box.SIMPLE_HEAD, padding=0)
        table.add_column("sequence", no_wrap=True)
        table.add_column("pictures", justify="right", no_wrap=True)
        for variant in some:
            for plane in PLANES[:3]:
                table.add_column(Text("\n".join([*variants[variant].split(), LABELS[plane]])), justify="right", no_wrap=True, min_width=7)
        for group, style in ((lines, None), (sums, "bold"), (apart, "dim")):
            for name, size, results in group:
                rates = [results[variant].bd_rate(plane) if variant in results else None for variant in some for plane in PLANES[:3]]
                table.add_row(name, size, *map(_figure, rates), style=style)
            table.add_section()
        show_table(table, console)


def _unlike(luma: int, chroma: int) -> str:
    """What a mean over unlike numbers of sequences says of them."""
    return f"Y over {luma} sequences, Cb and Cr over the {chroma} that {'has' if chroma == 1 else 'have'} them" if 0 < chroma < luma else ""


def _print_gains(means: Mapping[str, Mean], console: "Console") -> None:
    from rich import box
    from rich.table import Table

    from vrcnn_int.io.console import show_table

    gains = {variant: dict(mean.gains_y) for variant, mean in means.items() if mean.gains_y}
    qps = list(dict.fromkeys(qp for values in gains.values() for qp in values))
    for some in _fitting(qps, console.width - max(map(len, ("variant", *gains))) - 1, 10):
        table = Table(title="luma PSNR above the anchor's at the same QP (dB), means", box=box.SIMPLE_HEAD, padding=0)
        table.add_column("variant", no_wrap=True)
        for qp in some:
            table.add_column(f"QP {qp}", justify="right", no_wrap=True, min_width=9)
        for variant, values in gains.items():
            table.add_row(variant, *(f"{values[qp]:+.4f}" if qp in values else "-" for qp in some))
        show_table(table, console)


def _print_costs(means: Mapping[str, Mean], console: "Console") -> None:
    """What a decoder pays, and what other qualities say."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from vrcnn_int.io.console import show_table

    known = [mean.more for mean in means.values()]
    metrics = [metric for metric in MORE if any(metric in more and more[metric].bd_rate is not None for more in known)]
    heads = [("decoding", "(%)"), ("kMAC a", "sample"), *(("BD-rate", MORE[metric].name) for metric in metrics)]
    cells: dict[str, list[Any]] = {}
    for variant, mean in means.items():
        time = "-" if mean.decode_time is None else f"{mean.decode_time:.0f}"
        kmac = "-" if mean.kmac_per_sample is None else f"{mean.kmac_per_sample:.1f}"
        rates = [_figure(mean.more[metric].bd_rate if metric in mean.more else None) for metric in metrics]
        cells[variant] = [time, kmac, *rates]
    columns = list(range(len(heads)))
    for some in _fitting(columns, console.width - max(map(len, ("variant", *means))) - 1, 10):
        table = Table(title="decoding time (% of the anchor's), kMAC, BD-rate over other qualities, means", box=box.SIMPLE_HEAD, padding=0)
        table.add_column("variant", no_wrap=True)
        for column in some:
            table.add_column(Text("\n".join(heads[column])), justify="right", no_wrap=True, min_width=9)
        for variant, values in cells.items():
            table.add_row(variant, *(values[column] for column in some))
        show_table(table, console)
    for variant, mean in means.items():
        fewer = [
            f"{MORE[metric].name} over {mean.more[metric].sequences}"
            for metric in mean.more
            if mean.more[metric].sequences < mean.sequences
        ]
        if fewer:
            console.print(f"mean, {variant}: {', '.join(fewer)} of {mean.sequences} sequences", style="dim", markup=False, highlight=False)


def _fitting(columns: Sequence[T], room: int, width: int) -> Iterator[Sequence[T]]:
    """As many columns beside each other as fit into a line that has this room for them, at least one. width: of each, its gap included."""
    together = max(1, (room - 1) // width)
    return (columns[start : start + together] for start in range(0, len(columns), together))


def _figure(value: float | None) -> "Text":
    from rich.text import Text

    return Text("-") if value is None else Text(f"{value:+.2f}", style="green" if value < 0 else "red")


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV with a header line; missing values are empty. Raises VrcnnError if the file cannot be written."""
    text = io.StringIO(newline="")
    all_of_them = [row.to_json() for row in rows]
    more = names(MoreLevels) if any("more" in row for row in all_of_them) else []
    writer = csv.DictWriter(text, [*(key for key in KEYS if key != "crop"), *more], extrasaction="ignore")
    writer.writeheader()
    writer.writerows({key: safe_cell(value) for key, value in (row | row.get("more", {})).items()} for row in all_of_them)
    write_text(path, text.getvalue())


def safe_cell(value: object) -> object:
    """Text without control characters, and with an apostrophe before what a spreadsheet would take for a formula."""
    if not isinstance(value, str):
        return value
    return "'" + plain(value) if value.startswith(tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")) else plain(value)
