"""The first steps of a recorded training run, again."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io import pairs
from vrcnn_int.io.documents import DocumentError, checked, read_json
from vrcnn_int.network import KINDS, NETWORKS
from vrcnn_int.text import counted
from vrcnn_int.training.loop import first_losses
from vrcnn_int.training.runs import MOST_THREADS, Step, find_start, logged_losses, read_log
from vrcnn_int.training.settings import TrainSettings

BEFORE = {"borders": False}
"""What settings that a record does not name had when it was made."""


class _Run(Struct):
    """What a record, or settings.json, says of a run; more is not read. training: MD5 of its pair files."""

    settings: dict[str, Any]
    training: list[str]
    threads: Annotated[int, Meta(ge=1, le=MOST_THREADS)]
    start: str | None = None
    losses: list[tuple[Step, Annotated[float, Meta(ge=0)]]] = []


class _Record(Struct):
    """What is read of a model set's record."""

    networks: list[_Run]
    starts: list[_Run] = []


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
    path = record / "settings.json" if record.is_dir() else record
    try:
        files = [pairs.read(file) for file in training]
        runs = _fitting(record, read_json(path), str(path), {kind: [file.md5_for(kind) for file in files] for kind in KINDS})
        if not runs:
            raise VrcnnError(f"{record} names no network that was trained from these pair files")
        if number > len(runs):
            raise VrcnnError(f"{record} has {counted(len(runs), 'run')} that trained from these pair files, not {number}")
        run = runs[number - 1]
        settings = {**BEFORE, **run.settings, "device": "cpu", "minutes": None}
        if unknown := settings.keys() - {field.name for field in fields(TrainSettings)}:
            raise DocumentError(f"{path}: unknown key settings.{min(unknown)}")
        return Recorded(record, checked(settings, TrainSettings, str(path), prefix="settings."), run.threads, run.losses, run.start)
    except FileNotFoundError:
        raise VrcnnError(f"there is no {path}") from None
    except DocumentError as error:
        raise VrcnnError(f"{error}; {record} is not a record that this version can run again") from None


def _fitting(record: Path, content: Any, name: str, training: dict[str, list[str]]) -> list[_Run]:
    """The runs of a record that trained from files with these MD5s, by kind of network. name: of the file that the content is of."""
    if record.is_dir():
        run = checked(content, _Run, name)
        run.losses = logged_losses(read_log(record))
        runs = [run]
    else:
        document = checked(content, _Record, name)
        runs = [*document.networks, *document.starts]
    fitting: list[_Run] = []
    for run in (run for run in runs if run.training == training[_kind(run)]):
        if all(run.losses != other.losses for other in fitting):  # networks trained together are one run
            fitting.append(run)
    return fitting


def _kind(run: _Run) -> str:
    """What the networks of a run filter; luma where the record does not say so in a way that this version knows."""
    architecture = NETWORKS.get(str(run.settings.get("network")))
    return architecture.kind if architecture else "luma"


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
