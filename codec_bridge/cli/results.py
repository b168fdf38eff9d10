"""codec-bridge results: whether published figures come out again."""

from pathlib import Path
from typing import Annotated

import typer

from codec_bridge.cli.evaluation import evaluate, results_folder
from codec_bridge.cli.options import Workers
from codec_bridge.evaluation import claims, cluster
from codec_bridge.evaluation.store import Store
from codec_bridge.report.summary import summarise
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.console import console
from vrcnn_int.text import counted


def check_results(
    results: Annotated[Path | None, typer.Option(help="Folder that keeps each result; what it holds is not computed again.")] = None,
    workers: Workers = None,
) -> None:
    """Measure again what docs/RESULTS.md claims of pictures that everybody has, and compare.

    Minutes: the ten photographs of scikit-image, coded with PyAV's x265. A figure may be 0.05 percentage points off. Exit code 1 where one
    is further, or where another model set is shipped than the one that the claim names.
    """
    wrong: list[str] = []
    stated = claims.load()
    with results_folder(results) as folder:
        for claim in stated:
            problems = check(claim, folder, cluster.Place(workers))
            console.print(f"{claim.row} ({claim.identity}): {'; '.join(problems) or 'as claimed'}", highlight=False, soft_wrap=True)
            wrong += [f"{claim.row}: {problem}" for problem in problems]
    if wrong:
        raise VrcnnError(
            f"{counted(len(wrong), 'figure')} of docs/RESULTS.md {'does' if len(wrong) == 1 else 'do'} not come out: {wrong[0]}"
        )


def check(claim: claims.Claim, folder: Path, place: cluster.Place) -> list[str]:
    """What does not come out as a claim says."""
    if refusal := claim.refusal():
        return [refusal]
    rows = evaluate(claim.plan(folder / "kept-streams"), Store(folder), place).rows
    (means,) = summarise(rows).means
    found = {variant: {plane: mean.bd_rate(plane) for plane in claims.PLANES} for variant, mean in means.variants.items()}
    differences = claim.differences(found)
    others = claim.other_encoders(rows)
    return [f"{text} (measured with {claim.encoder}, here {', '.join(others)})" if others else text for text in differences]
