"""codec-bridge bd: Bjøntegaard deltas of anybody's RD points."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from codec_bridge.figures.bd_rate import METHODS
from codec_bridge.points import show
from codec_bridge.points.compare import compare, left_out, means
from codec_bridge.points.curves import chosen, files_of, refuse_unused
from codec_bridge.points.formats import FORMATS
from codec_bridge.points.page import write_html
from codec_bridge.points.record import METRICS, Columns
from codec_bridge.provenance import provenance
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs
from vrcnn_int.io.console import console_beside
from vrcnn_int.text import plain

_KINDS = "; ".join(kind.name for kind in FORMATS)


def bd(
    anchor: Annotated[str, typer.Argument(metavar="ANCHOR", help="File or folder of files; FILE#LABEL for one curve of several.")],
    tests: Annotated[list[str] | None, typer.Argument(metavar="[TEST]...", help="The same; default: the other curves of ANCHOR.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help=f"Quality: {', '.join(METRICS)}, or one named by --column; default: all.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="NAME=TITLE of a table's column; NAME: rate, sequence, class, configuration, label, qp or a metric."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of workbooks; default: all that have points.")] = None,
    method: Annotated[str, typer.Option(help=f"Of BD-quality, means and errors: {', '.join(METHODS)}.")] = "pchip",
    csv_file: Annotated[Path | None, typer.Option("--csv", help="The table.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="The table as Markdown.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Table, curves and gains as one page that needs nothing else.")] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", help="Table and points as a workbook.")] = None,
) -> None:
    """BD-rate of TESTs against ANCHOR, by every method, from files of other programs.

    Read are logs of HM, VTM, FFmpeg, x264 and x265, x265's CSV, tables as CSV, JSON and workbooks (JVET's and AOM's too), and results of
    bdrate. A log is a point: give a folder of them. Every curve needs four points or more; points that allow no curve are refused by name.
    """
    if method not in METHODS:
        raise VrcnnError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    outputs = [path for path in (csv_file, markdown, html, xlsx) if path]
    check_outputs(outputs, [path for argument in (anchor, *(tests or ())) for path in files_of(argument)], make_folders=True)
    if xlsx:
        show.need_openpyxl()
    columns = Columns(_all_named(column or ()), sheet)
    base, others = chosen(anchor, tests or (), columns)
    refuse_unused(columns, [base, *others])
    deltas = compare(base, others, metric or (), method)
    averages = means(deltas)
    console = console_beside(*outputs)
    show.print_table(deltas, averages, console)
    shown = show.Comparison(deltas, averages, base.label, method, left_out(base, others), show.origin(base, others, method, provenance()))
    for text in shown.left_out:
        console.print(plain(f"warning: {text}"), style="yellow", markup=False, highlight=False, soft_wrap=True)
    if csv_file:
        show.write_csv(csv_file, deltas, averages)
    if markdown:
        show.write_markdown(markdown, shown)
    if html:
        write_html(html, shown)
    if xlsx:
        show.write_workbook(xlsx, shown)
    if outputs:
        console.print(f"wrote {', '.join(map(str, outputs))}", soft_wrap=True, highlight=False)
    errors = [f"{delta}: {delta.error}" for delta in deltas if delta.error]
    if errors:
        raise VrcnnError(
            f"{len(errors)} of {len(deltas)} comparisons have no BD-rate: {errors[0]}" + (" (more above)" if len(errors) > 1 else "")
        )


def _all_named(texts: Iterable[str]) -> dict[str, str]:
    """The titles by what they are. Raises VrcnnError where one is named twice."""
    found: dict[str, str] = {}
    for name, title in map(_named, texts):
        if name in found:
            raise VrcnnError(f"--column {name} is given twice: {found[name]!r:.60} and {title!r:.60}")
        if title.casefold() in map(str.casefold, found.values()):
            raise VrcnnError(f"the column {title!r:.60} is named twice")
        found[name] = title
    return found


def _named(text: str) -> tuple[str, str]:
    """'rate=Bitrate (kbps)' -> ('rate', 'Bitrate (kbps)')."""
    name, equals, title = text.partition("=")
    if not equals or not title.strip() or not re.fullmatch("[a-z][a-z0-9_]{0,30}", name.strip()):
        raise VrcnnError(f"{text!r:.60} is not NAME=TITLE such as rate=Bitrate")
    return name.strip(), title.strip()
