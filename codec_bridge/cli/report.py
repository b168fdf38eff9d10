"""codec-bridge report and contact-sheet: what was evaluated, and what networks do, to look at."""

from pathlib import Path
from typing import Annotated

import typer

from codec_bridge.cli.options import (
    CsvFile,
    HtmlFile,
    MarkdownFile,
    ModelFile,
    PlotFile,
    Position,
    SearchPath,
    Sequences,
    check_position,
    parse_sequences,
)
from codec_bridge.cli.outputs import Outputs, check_png
from codec_bridge.evaluation import contact_sheet
from codec_bridge.evaluation.store import own_places
from codec_bridge.report.document import RESULT_FILE, read, rendering
from codec_bridge.report.tables import print_table
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs
from vrcnn_int.io.console import console, console_beside
from vrcnn_int.models import read_files


def make_contact_sheet(
    out: Annotated[Path, typer.Option(help="PNG file to write.")],
    sequences: Sequences = ["astronaut", "chelsea", "coffee", "camera"],  # noqa: B006 (typer copies it)
    qp: Annotated[int, typer.Option(help="QP.", min=0, max=51)] = 37,
    model: ModelFile = None,
    position: Position = "before_deblocking",
    search_path: SearchPath = None,
) -> None:
    """Show crops of pictures before and after the network, beside the original and the ordinary filters, in one picture."""
    check_png(out)
    check_position(position)
    chosen = parse_sequences(sequences, search_path)
    check_outputs([out], [*read_files(model), *(sequence.path for sequence in chosen)])
    contact_sheet.make(out, chosen, qp, model, position)
    console_beside(out).print(f"wrote {out}", soft_wrap=True, highlight=False)


def make_report(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="JSON file of bdrate, or the results folder that one was kept in.")],
    results: Annotated[Path | None, typer.Option(help="Results folder with the crops; default: the JSON file's folder.")] = None,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
    csv_file: CsvFile = None,
    plot: PlotFile = None,
) -> None:
    """Make tables, page and plot again from what bdrate found; without options: print the table."""
    outputs = Outputs(None, csv_file, html, markdown, plot)
    path = result / RESULT_FILE if result.is_dir() else result
    if result.is_dir() and not path.exists():
        raise VrcnnError(f"the folder {result} has no {RESULT_FILE}: give one that bdrate --results kept, or the file of its --json")
    folder = results or (path.parent if (path.parent / "crops").is_dir() else None)
    outputs.prepare([path], own_places(folder) if folder else ())
    document = read(path)
    with rendering(path):
        outputs.write_rows(document)
        outputs.write_views(document, folder)
        if not outputs.files:
            print_table(document, console)
    outputs.say_written()
