"""Commands on research networks, the only ones that import them."""

from pathlib import Path
from typing import Annotated

import typer

from codec_bridge.cli.options import DEFAULT_QPS, Force, Frames, Qps, SearchPath, parse_frames, parse_numbers, parse_sequences
from codec_bridge.evaluation.settings import MOST_FRAMES, Settings
from codec_bridge.research import compare
from codec_bridge.research.super_resolution import make as upscale
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs
from vrcnn_int.io import pairs
from vrcnn_int.io.console import console, progress_bar, show_table
from vrcnn_int.research import comparison
from vrcnn_int.text import counted


def compare_methods(
    folder: Annotated[Path, typer.Argument(help="What `vrcnn-int compare --out` wrote.")],
    validate: Annotated[list[Path], typer.Option(help="Pair file that the C library is compared with the oracle on, of each QP.")],
    sequences: Annotated[list[str] | None, typer.Option(help="Also BD-rate on these: a set, a folder or a video file.")] = None,
    qp: Qps = DEFAULT_QPS,
    frames: Frames = "auto",
    search_path: SearchPath = None,
) -> None:
    """Complete a comparison of quantization methods: every kernel of the C library against the oracle, and BD-rate where asked.

    What was evaluated before is kept in the folder. Exit code 1 if a kernel differs.
    """
    settings = Settings(qps=parse_numbers(qp), frames=parse_frames(frames))
    chosen = parse_sequences(sequences, search_path) if sequences else ()
    warnings: list[str] = []
    with progress_bar() as progress:
        task = progress.add_task("comparing", total=None)
        held_out = [pairs.read(path) for path in validate]
        rows, more = compare.columns(
            folder, held_out, chosen, settings, lambda text: progress.update(task, description=text), warnings.append
        )
    show_table(comparison.table(rows, more))
    for text in warnings:
        console.print(f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for line in comparison.reasons(rows):
        console.print(line, highlight=False, soft_wrap=True)
    wrong = [f"{method}: {text}" for method, text in more["exact"].items() if text.startswith("NO")]
    if wrong:
        raise VrcnnError(f"the C library differs from the oracle: {'; '.join(wrong)}")


def upscale_pairs(
    source: Annotated[Path, typer.Argument(help="Video, or a folder of pictures.")],
    out: Annotated[Path, typer.Option(help="Pair file to write (.npz).")],
    factor: Annotated[int, typer.Option(help="How much smaller they are made, and as large again.", min=2, max=8)] = 2,
    force: Force = False,
    frames: Annotated[int | None, typer.Option(help="At most so many pictures.", min=1, max=MOST_FRAMES)] = None,
) -> None:
    """Pack pictures beside themselves made smaller and upscaled, for super-resolution: `vrcnn-int train --set network=vdsr`."""
    check_outputs([out], [source], force)
    count = upscale(source, out, factor, frames)
    console.print(f"wrote {out}: {counted(count, 'picture')}, factor {factor}", soft_wrap=True)
