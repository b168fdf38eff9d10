"""What a worker does with the jobs that share a stream: figures, or a flag that says why there are none."""

import io
import logging
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.evaluation.crops import crops_of
from codec_bridge.evaluation.jobs import Job
from codec_bridge.evaluation.keys import inputs_of
from codec_bridge.evaluation.settings import Settings, load_models
from codec_bridge.evaluation.sources import Pictures
from codec_bridge.evaluation.steps import Steps
from codec_bridge.evaluation.store import Result
from codec_bridge.evaluation.work import Work
from codec_bridge.provenance import git_revision
from codec_bridge.video.picture import Picture, samples_md5
from vrcnn_int.errors import VrcnnError


@dataclass(frozen=True)
class Task:
    """Jobs that share a stream, as they go to a worker. model: bytes of the set where the plan uploads, None for a shared path."""

    jobs: tuple[Job, ...]
    keep_streams: bool
    model: bytes | None = None


def step_event(jobs: Sequence[Job], step: str, name: str) -> dict[str, Any]:
    """What progress says of jobs that share a stream at a step. name: of the worker."""
    return {"event": "step", "step": step, **jobs[0].event, "variant": ", ".join(job.variant for job in jobs), "name": name}


def run(
    task: Task, say: Callable[[str], None] = lambda _: None, originals: list[Picture] | None = None, pictures: Pictures | None = None
) -> list[Result]:
    """Do the jobs of a task. originals: None to read them from the sequence's path. say: called with a word at each step.

    What fails gives a flagged row. pictures: keeps what was read for other tasks.
    """
    pictures = pictures or Pictures()
    steps = Steps(say)
    results = []
    work: Work | None = None
    md5 = ""
    with _transcript() as transcript, tempfile.TemporaryDirectory(prefix="vrcnn-") as folder:
        settings = _settings_here(task, Path(folder))
        for job in task.jobs:
            before = sum(steps.spent.values())
            files: dict[str, bytes] = {}
            try:
                if work is None:
                    work, md5 = _begin(job, settings, steps, pictures, originals)
                _compare(job, settings, work, md5)
                measured = work.measure(job.variant)
                files, crop = crops_of(job, measured, work.originals)
                row = job.row(measured.figures, crop, git_revision())
                if task.keep_streams:
                    files[f"streams/{job.key}{settings.coder.suffix}"] = measured.stream
            except (VrcnnError, OSError) as error:
                row = job.flagged(str(error))
            except Exception as error:
                transcript.write(traceback.format_exc())
                row = job.flagged(f"a fault of vrcnn-int: {type(error).__name__}: {error}; its log has the traceback")
            outcome = "failed: " + row.flag if row.flag else f"spent, in seconds: {dict(steps.spent)}"
            log = f"{job}\n{transcript.getvalue()}{outcome}\n"
            results.append(Result(job.key, job.inputs, row, log, sum(steps.spent.values()) - before, files))
    return results


def _begin(job: Job, settings: Settings, steps: Steps, pictures: Pictures, originals: list[Picture] | None) -> tuple[Work, str]:
    """The pictures, read or as they came, and their MD5."""
    sequence = job.source.sequence
    if originals is None:
        steps.say("read")
        originals, md5 = pictures.read(sequence, job.source.pictures)
    else:
        md5 = samples_md5(originals)
    determined = {name: job.inputs[name] for name in ("sequence", "codec", "configuration", "qp", "programs")} | {"preset": settings.preset}
    return Work(originals, job.qp, sequence.rate or Fraction(25), settings, load_models(settings), steps, determined), md5


def _compare(job: Job, settings: Settings, work: Work, md5: str) -> None:
    """Raise CodecError if this machine does not have what the job's key says."""
    own = inputs_of(
        job.source.sequence, len(work.originals), md5, job.qp, job.variant, settings, work.models.identity, settings.kind_in(work.models)
    )
    for name, planned in job.inputs.items():
        if own[name] != planned:
            raise CodecError(f"this worker's {name} is not the plan's: {_difference(planned, own[name])}")


def _difference(planned: Any, found: Any) -> str:
    while isinstance(planned, dict) and isinstance(found, dict):
        name = next(name for name in {**planned, **found} if planned.get(name) != found.get(name))
        planned, found = planned.get(name), found.get(name)
        if not isinstance(planned, dict):
            return f"{name}: {planned} planned, {found} found"
    return f"{planned} planned, {found} found"


def _settings_here(task: Task, folder: Path) -> Settings:
    """The settings with paths of this machine: the uploaded model's, and the programs' where the plan's are not there."""
    settings = task.jobs[0].settings
    if task.model is None:
        return settings
    model = folder / "model.vrcnn" if settings.model else None
    if model:
        model.write_bytes(task.model)
    folders = {name: path for name, path in settings.folders.items() if path.exists()}
    return replace(settings, model=model, folders=folders)


@contextmanager
def _transcript() -> Iterator[io.StringIO]:
    """What the codecs log in this thread: command lines and what the programs print."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    thread = threading.get_ident()
    handler.addFilter(lambda record: record.thread == thread)
    logger = logging.getLogger("codec_bridge.codecs")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield text
    finally:
        logger.removeHandler(handler)
