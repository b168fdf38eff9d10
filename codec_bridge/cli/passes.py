"""codec-bridge passes: what a second and a third pass of a network gains."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from codec_bridge.cli.evaluation import results_folder
from codec_bridge.cli.options import (
    DEFAULT_QPS,
    Configuration,
    Folders,
    Force,
    ModelFile,
    NetworkSize,
    Position,
    Workers,
    takes_folders,
)
from codec_bridge.cli.pairs import INSIDE, in_loop
from codec_bridge.codecs.dump import find_decoder
from codec_bridge.evaluation.settings import MOST_FRAMES, load_models
from codec_bridge.research import passes
from codec_bridge.video.catalogue import resolve
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_folder, check_outputs, write_text
from vrcnn_int.io.console import console_beside, progress_bar, show_table
from vrcnn_int.network import PLANES

KEPT = "passes"
"""Folder inside that of --results."""
TITLES = {"layer": "temporal layer and slice type", "passes": "how often what samples were predicted from was filtered"}


@takes_folders(anchors=False)
def measure_passes(
    clips: Annotated[Path, typer.Argument(help="A video, or a folder of videos.")],
    out: Annotated[Path | None, typer.Option(help="The tables as JSON, with all sums.")] = None,
    model: ModelFile = None,
    qps: Annotated[str, typer.Option("--qp", help="QPs of the streams, separated by commas.")] = DEFAULT_QPS,
    position: Position = "before_deblocking",
    codec: Annotated[str, typer.Option(help=f"Encoder: {', '.join(each.name for each in INSIDE)}.")] = INSIDE[0].name,
    configuration: Configuration = "ra",
    network_size: NetworkSize = "best",
    frames: Annotated[int, typer.Option(help="At most so many pictures of a clip.", min=1, max=MOST_FRAMES)] = 17,
    workers: Workers = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder to keep what is measured of each stream in: with it an interrupted run goes on.")
    ] = None,
    folders: Folders = MappingProxyType({}),
    force: Force = False,
) -> None:
    """Code clips with networks in the loop, and tell what these gain by temporal layer and by how often references were filtered.

    Gains compare what networks read with what is put out, in squared errors added up over all pictures and clips (`codec-bridge pairs
    rings` takes the mean of pictures' dB instead): where a network filtered, and everywhere, which counts also what deblocking and SAO did
    to the rest. Needs the programs of `make codecs` for every codec: dec265 decodes, and writes motion.
    """
    coder, settings = in_loop(
        "map",
        qps,
        codec=codec,
        configuration=configuration,
        model=model,
        position=position,
        network_size=network_size,
        folders=folders,
    )
    decoder = find_decoder(folders)
    check_outputs([out] if out else [], [clips, *coder.files(), decoder, *([model] if model else [])], force)
    filters = settings.loop("map", load_models(settings).identity)
    if out and results and out.resolve().is_relative_to(results.resolve() / KEPT):
        raise VrcnnError(f"{out} is where results are kept; give the output another name")
    if results:
        check_folder(results / KEPT)
    with results_folder(results, KEPT) as folder, progress_bar() as progress:
        task = progress.add_task("streams", total=len(resolve(clips)) * len(settings.qps))
        requests = [(qp, filters) for qp in settings.qps]
        found = passes.measure(
            clips, requests, coder, decoder, configuration, frames, folder / KEPT, workers, lambda: progress.advance(task)
        )
    console = console_beside(out)
    for by in passes.BY:
        show_table(table(found, by), console)
    console.print(f"layers: {', '.join(found['layers'])}", highlight=False, soft_wrap=True)
    if out:
        write_text(out, json.dumps(found, indent=1) + "\n")


def table(found: dict[str, Any], by: str) -> Table:
    """Shares of luma samples, and gains of planes, a section a QP. found: of passes.measure. by: one of passes.BY.

    Chroma of which networks filtered nothing is left out: it has no passes. One QP is not shown twice.
    """
    shown = Table(title=f"gain (dB) by {TITLES[by]}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("QP")
    shown.add_column(by, no_wrap=True)
    filtered = {row["plane"] for row in found["rows"][passes.ALL] if row["filtered"]}
    planes = [name for name in PLANES if name in {"Y", *filtered}]
    for head in (
        "share of Y",
        "filtered of Y",
        *(f"{name}, where filtered" for name in planes),
        *(f"{name}, everywhere" for name in planes),
    ):
        shown.add_column(head, justify="right")
    for qp, rows in list(found["rows"].items())[: 1 if len(found["rows"]) == 2 else None]:
        cells = {(row["label"], row["plane"]): row for row in rows if row["by"] == by and row["plane"] in planes}
        for label in sorted({label for label, _ in cells}, key=passes.place):
            luma = cells.get((label, "Y"))  # chroma has passes of its own
            shares = [f"{luma[key]:.1%}" if luma else "" for key in ("share", "filtered_share")]
            gains = [
                _gain(cells[label, name][key]) if (label, name) in cells else "" for key in ("gain_filtered", "gain") for name in planes
            ]
            shown.add_row(qp, label, *shares, *gains)
        shown.add_section()
    return shown


def _gain(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"
