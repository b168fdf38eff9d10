"""What the commands that evaluate a plan have in common: where results are kept, progress, and what is said about them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from codec_bridge.evaluation import cluster
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.progress import Bars, json_line
from codec_bridge.evaluation.settings import load_models
from codec_bridge.evaluation.store import Store
from codec_bridge.figures.row import INSIDE, Row
from codec_bridge.report.document import Flag
from vrcnn_int.errors import VrcnnError
from vrcnn_int.extras import require
from vrcnn_int.io.console import console, notices
from vrcnn_int.text import counted


@contextmanager
def results_folder(results: Path | None, kept: str = "jobs") -> Iterator[Path]:
    """The folder that the user named, or one that goes away; an interruption says what is left. kept: folder inside, of results."""
    try:
        if results:
            yield results
        else:
            with tempfile.TemporaryDirectory(prefix="vrcnn-results-") as folder:
                yield Path(folder)
    except KeyboardInterrupt:
        text = "nothing is kept: with --results FOLDER an evaluation can go on"
        if results:
            count = len(list(results.glob(f"{kept}/*.json")))
            text = f"{counted(count, 'result')} {'is' if count == 1 else 'are'} kept in {results}; the same command goes on from there"
        notices.print(text, highlight=False, soft_wrap=True)
        raise


def evaluate(plan: Plan, store: Store, place: cluster.Place, json_lines: bool = False) -> cluster.Evaluation:
    """cluster.evaluate() with progress on standard error, or events on standard output. Raises VrcnnError without the extra eval."""
    require("an evaluation", "eval")
    if json_lines:
        return cluster.evaluate(plan, store, place, json_line)
    with Bars().shown() as bars:
        return cluster.evaluate(plan, store, place, bars)


def fail_if_flagged(flags: list[Flag]) -> None:
    """Raise VrcnnError if results are missing; what is only doubtful is no error."""
    errors = [str(flag) for flag in flags if flag.severity == "error"]
    if errors:
        results = "1 result is" if len(errors) == 1 else f"{len(errors)} results are"
        raise VrcnnError(f"{results} missing: {errors[0]}" + (" (more above)" if len(errors) > 1 else ""))


def filtered_planes(plan: Plan) -> str:
    """What networks filter, in words."""
    has_chroma = any(sequence.chroma_format == "420" for sequence in plan.sequences)
    return planes_of(plan.runs[0].kind_in(load_models(plan.runs[0])), has_chroma)


def planes_of(kind: str, has_chroma: bool) -> str:
    """What networks of a kind filter, in words. has_chroma: of the format that joint networks filter."""
    return "luma and chroma" if kind == "joint" and has_chroma else "luma"


def say_far_qps(plan: Plan) -> None:
    """A note where networks of a plan are meant for other QPs than those that they are used at."""
    for text in dict.fromkeys(settings.far_qps(load_models(settings)) for settings in plan.runs):
        say_far(text)


def say_far(text: str | None) -> None:
    """A note of what settings.far_qps() says, if it says something."""
    if text:
        notices.print(f"note: {text}", highlight=False, soft_wrap=True)


def say_checked(pictures: int, samples: int, kernel: str, planes: str, console: Console = console) -> None:
    """One line on what was compared. planes: see planes_of."""
    library = "CUDA library" if kernel == "cuda" else f"C library ({kernel})"
    console.print(
        f"bit-consistency: {counted(pictures, 'coded picture')}, {samples} {planes} samples: oracle = {library} = "
        "filtered decoder output, no sample differs; every picture hash verified",
        highlight=False,
        soft_wrap=True,
    )


def say_checked_in_loop(pictures: int, samples: int, kernel: str, planes: str, replayed: bool, console: Console = console) -> None:
    """What was compared with a codec that has the filter inside. planes: see planes_of; replayed: all-intra pictures were among them."""
    replay = " = offline replay by the oracle (all-intra)" if replayed else ""
    console.print(
        f"bit-consistency: {counted(pictures, 'coded picture')}, {samples} {planes} samples: "
        f"encoder's reconstruction = decoder's output ({kernel})"
        f"{replay}, no sample differs; every picture hash verified",
        highlight=False,
        soft_wrap=True,
    )


def kernels_of(rows: list[Row]) -> list[str]:
    """Those that filtered, sorted."""
    return sorted({row.figures.kernel for row in rows if row.figures and row.figures.kernel})


def say_rows_checked(rows: list[Row], planes: str, console: Console = console) -> None:
    """One line on what was compared for rows of one codec. planes: see planes_of."""
    checked = [row for row in rows if row.figures and row.figures.checked_pictures]
    figures = [row.figures for row in checked if row.figures]
    pictures, samples = sum(one.checked_pictures for one in figures), sum(one.checked_samples for one in figures)
    kernels = ", ".join(kernels_of(rows))
    if any(row.variant in INSIDE for row in checked):
        say_checked_in_loop(pictures, samples, kernels, planes, any(row.configuration == "ai" for row in checked), console)
    else:
        say_checked(pictures, samples, kernels, planes, console)
