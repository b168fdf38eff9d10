"""Bjøntegaard deltas as a table in the terminal, as CSV, Markdown, a workbook and JSON."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codec_bridge.figures.bd_rate import METHODS
from codec_bridge.points.compare import Delta, Mean, class_words, in_decibels, name_of
from codec_bridge.points.curves import Curves
from codec_bridge.points.record import PointsError
from codec_bridge.report.markdown import escaped
from codec_bridge.report.tables import safe_cell
from codec_bridge.report.view import origin_lines, signed
from vrcnn_int.files import write_bytes, write_text
from vrcnn_int.text import plain

if TYPE_CHECKING:
    from rich.console import Console

HEADS = (
    *("test", "configuration", "class", "sequence", "metric", "points"),
    *(f"bd_rate_{name}_percent" for name in METHODS),
    *("bd_quality", "overlap_percent", "rises", "notes"),
)
"""Of the CSV file and the workbook; bd_quality is in the metric's unit, at equal rate, by the method that was asked for."""

NONE = "\N{EN DASH}"

MOST_FILES = 200
"""That are named, of the folders that are given."""

Origin = Sequence[tuple[str, str | list[str]]]
"""How figures came to be: names, and a text or texts a line each."""


@dataclass(frozen=True)
class Comparison:
    """What is shown of one run.

    anchor: its label. method: of BD-quality, means and errors. left_out: sentences on what is in no table. origin: how it came to be.
    """

    deltas: Sequence[Delta]
    means: Sequence[Mean]
    anchor: str
    method: str
    left_out: Sequence[str] = ()
    origin: Origin = ()


def origin(anchor: Curves, tests: Sequence[Curves], method: str, command: Mapping[str, Any]) -> Origin:
    """The files with the curves that they are, how these are interpolated, and what ``provenance`` says of the command."""
    others = ", ".join(name for name in METHODS if name != method)
    used = f"{method} (of BD-quality, means and errors), beside it {others}"
    sources = [source for curves in (anchor, *tests) for source in curves.sources]
    files = list(dict.fromkeys(f"{source.name}: {source.kind.name}, SHA-256 {source.sha256}" for source in sources))
    more = [f"and {len(files) - MOST_FILES} more"] if len(files) > MOST_FILES else []
    return [
        ("anchor", [_of_files(anchor)]),
        ("tests", [_of_files(test) for test in tests]),
        ("files", [*files[:MOST_FILES], *more]),
        ("method", used),
        *origin_lines(command),
    ]


def _of_files(curves: Curves) -> str:
    """'slow of slow.csv', 'noloop of 4 files in noloop'."""
    names = [source.name for source in curves.sources]
    place = names[0] if len(names) == 1 else f"{len(names)} files in {names[0].partition('/')[0]}"
    return f"{curves.label} of {place}"


def lines(deltas: Sequence[Delta], means: Sequence[Mean]) -> list[list[Any]]:
    """The cells of every comparison, then those of the means, under HEADS; None where there is no figure."""
    cells: list[list[Any]] = []
    for delta in deltas:
        rates = [delta.results[name].bd_rate if name in delta.results else None for name in METHODS]
        anchor, test = map(len, delta.curves)
        points = str(test) if anchor == test else f"{test} ({anchor} of the anchor)"
        quality, overlap = (delta.result.bd_psnr, delta.result.overlap) if delta.result else (None, None)
        rises = "yes" if delta.rises else "no"
        notes = "; ".join([*([f"error: {delta.error}"] if delta.error else []), *delta.notes])
        names = [delta.test, delta.configuration, delta.class_name, delta.sequence, delta.metric]
        cells.append([*names, points if test else "", *rates, quality, overlap, rises if test else "", notes])
    for mean in means:
        group = "all" if mean.class_name is None else class_words(mean.class_name)
        names = [mean.test, mean.configuration, mean.class_name or "", f"mean of {mean.sequences}, {group}", mean.metric]
        cells.append([*names, "", *(mean.bd_rates[name] for name in METHODS), mean.bd_quality, None, "", "; ".join(mean.notes)])
    return cells


def print_table(deltas: Sequence[Delta], means: Sequence[Mean], console: "Console") -> None:
    """A table for each test and configuration, and what is doubtful or wrong below it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from vrcnn_int.io.console import show_table

    cells = lines(deltas, means)
    for test, configuration in dict.fromkeys((line[0], line[1]) for line in cells):
        title = "BD-rate (%), " + ", ".join(filter(None, (test, configuration))) + ", negative is better"
        table = Table(title=plain(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for head in ("sequence", "metric"):
            table.add_column(head, no_wrap=True)
        for head in (*METHODS, "BD-quality", "overlap"):
            table.add_column(head, justify="right", no_wrap=True)
        for line in (line for line in cells if (line[0], line[1]) == (test, configuration)):
            names, rates, (quality, overlap) = line[3:5], line[6 : 6 + len(METHODS)], line[6 + len(METHODS) : 8 + len(METHODS)]
            shown = [Text(NONE) if rate is None else Text(f"{rate:+.2f}", style="green" if rate < 0 else "red") for rate in rates]
            means_style = "bold" if str(line[3]).startswith("mean of ") and not line[5] else None
            gained = quality_text(quality, line[4])
            overlap_text = NONE if overlap is None else f"{overlap:.0f} %"
            table.add_row(plain(names[0] or NONE), plain(name_of(names[1])), *shown, gained, overlap_text, style=means_style)
        show_table(table, console)
    entries: list[Delta | Mean] = [*deltas, *means]
    for entry in entries:
        for text, style in [
            *([(f"error: {entry}: {entry.error}", "red")] if isinstance(entry, Delta) and entry.error else []),
            *((f"warning: {entry}: {note}", "yellow") for note in entry.notes),
        ]:
            console.print(plain(text), style=style, markup=False, highlight=False, soft_wrap=True)


def quality_text(value: float | None, metric: str) -> str:
    """A BD-quality with its unit."""
    if value is None:
        return NONE
    return f"{value:+.3f} dB" if in_decibels(metric) else f"{value:+.5f}"


def signed_quality(value: float | None, metric: str) -> str:
    """The same with the minus sign of reports."""
    return quality_text(value, metric).replace("-", "\N{MINUS SIGN}")


def write_csv(path: Path, deltas: Sequence[Delta], means: Sequence[Mean]) -> None:
    """Comparisons and means with a line of titles; missing figures are empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADS)
    writer.writerows([safe_cell(cell) for cell in line] for line in lines(deltas, means))
    write_text(path, text.getvalue())


def write_markdown(path: Path, shown: Comparison) -> None:
    """Comparisons and means as a table, and what is not in it. Raises VrcnnError if the file cannot be written."""
    heads = [
        "test",
        "configuration",
        "class",
        "sequence",
        "metric",
        "points",
        *METHODS,
        f"BD-quality ({shown.method})",
        "overlap",
        "rises",
        "notes",
    ]
    cells = [_markdown_line(line) for line in lines(shown.deltas, shown.means)]
    rule = [":--"] * 5 + ["--:"] * (len(METHODS) + 3) + [":--"] * 2
    table = [f"| {' | '.join(row)} |" for row in ([escaped(head) for head in heads], rule, *cells)]
    title = f"# BD-rate (%) against {escaped(shown.anchor)}\n\nAt equal quality, negative is better; BD-quality at equal rate.\n\n"
    said = "".join(f"\n{escaped(text)}\n" for text in shown.left_out)
    facts = [f"| {escaped(key)} | {escaped(value if isinstance(value, str) else '; '.join(value))} |" for key, value in shown.origin]
    end = ["", "## Provenance", "", "| what | value |", "| :-- | :-- |", *facts, ""] if facts else []
    write_text(path, title + "\n".join(table) + "\n" + said + "\n".join(end))


def _markdown_line(line: Sequence[Any]) -> list[str]:
    names, points, rates, (quality, overlap), rest = line[:5], line[5], line[6:9], line[9:11], line[11:]
    texts = [*names[:4], name_of(names[4]), points]
    figures = map(signed, rates)
    return [
        *map(escaped, texts),
        *figures,
        signed_quality(quality, names[4]),
        NONE if overlap is None else f"{overlap:.0f} %",
        *map(escaped, rest),
    ]


def write_workbook(path: Path, shown: Comparison) -> None:
    """A sheet of comparisons and means, one of the points that they are made of, and one of how they came to be.

    Raises PointsError without openpyxl.
    """
    need_openpyxl()
    openpyxl = import_module("openpyxl")
    book = openpyxl.Workbook()
    _fill(book.active, "BD-rate", HEADS, lines(shown.deltas, shown.means))
    points = [
        [delta.test if of_test else "anchor", delta.configuration, delta.sequence, delta.metric, rate, quality]
        for delta in shown.deltas
        for of_test, curve in zip((False, True), delta.curves, strict=True)
        for rate, quality in curve
    ]
    unique = list(dict.fromkeys(map(tuple, points)))
    _fill(book.create_sheet(), "points", ("curve", "configuration", "sequence", "metric", "rate", "quality"), unique)
    facts = [(key, text) for key, value in shown.origin for text in ([value] if isinstance(value, str) else value)]
    if facts:
        _fill(book.create_sheet(), "provenance", ("what", "value"), facts)
    data = io.BytesIO()
    book.save(data)
    write_bytes(path, data.getvalue())


def need_openpyxl() -> None:
    """Raise PointsError if workbooks cannot be written here."""
    try:
        import_module("openpyxl")
    except ImportError:
        raise PointsError("workbooks need openpyxl; install it with: pip install 'vrcnn-int[sheets]'") from None


def _fill(sheet: Any, title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    sheet.title = title
    sheet.append(list(heads))
    for row in rows:
        sheet.append([safe_cell(cell) for cell in row])
    sheet.freeze_panes = "A2"
