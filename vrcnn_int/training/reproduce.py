"""The first steps of a recorded training run, again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrcnn_int import pairs
from vrcnn_int.errors import VrcnnError
from vrcnn_int.training.loop import first_losses
from vrcnn_int.training.runs import find_start, logged_losses, read_log
from vrcnn_int.training.settings import TrainSettings


@dataclass(frozen=True)
class Recorded:
    """A run as it was recorded. losses: (step, loss), as runs.logged_losses. start: identity of the network that it began with, or None."""

    record: Path
    settings: TrainSettings
    threads: int
    losses: list[tuple[int, float]]
    start: str | None


def read_record(record: Path, training: list[Path], number: int) -> Recorded:
    """The ``number``th run, from 1, that trained from these pair files, in a model set's record (.json) or a training folder.

    Its settings are for the CPU and without a limit of time. Raises VrcnnError if there is no such run, or the record is damaged.
    """
    try:
        text = (record / "settings.json" if record.is_dir() else record).read_text()
        runs = _fitting(record, json.loads(text), [pairs.read(path).md5 for path in training])
        if not runs:
            raise VrcnnError(f"{record} names no network that was trained from these pair files")
        if number > len(runs):
            raise VrcnnError(f"{record} has {len(runs)} runs that trained from these pair files, not {number}")
        run = runs[number - 1]
        settings = TrainSettings(**{**run["settings"], "device": "cpu", "minutes": None})
        return Recorded(record, settings, run["threads"], [(int(step), float(loss)) for step, loss in run["losses"]], run.get("start"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VrcnnError(f"{record} is not a record that this version can run again ({type(error).__name__}: {error})") from None


def _fitting(record: Path, content: dict[str, Any], training: list[str]) -> list[dict[str, Any]]:
    """The runs of a record that trained from files with these MD5s."""
    if record.is_dir():
        runs = [{**content, "losses": logged_losses(read_log(record))}]
    else:
        runs = [*content["networks"], *content.get("starts", [])]
    fitting: list[dict[str, Any]] = []
    for run in (run for run in runs if run["training"] == training):
        if all(run["losses"] != other["losses"] for other in fitting):  # networks trained together are one run
            fitting.append(run)
    return fitting


def again(run: Recorded, training: list[Path], steps: int, starts: list[Path]) -> list[tuple[int, float, float]]:
    """(step, logged loss, loss now) of the first ``steps`` steps that were logged, trained again.

    starts: files that the network which the run began with may be in. Raises VrcnnError if it or the losses are missing.
    """
    logged = [(step, loss) for step, loss in run.losses if step <= steps]
    if not logged:
        raise VrcnnError(f"{run.record} has no losses of the first {steps} steps")
    if run.start and not starts:
        raise VrcnnError(f"{run.record} began with another network; give its file with --start")
    losses = dict(first_losses(training, run.settings, logged[-1][0], find_start(starts, run.start) if run.start else None))
    return [(step, loss, losses[step]) for step, loss in logged]
