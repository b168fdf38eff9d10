"""A plan as jobs, one for each row, keyed by everything that determines its figures; and what a worker does with them.

Jobs that need the same stream go to a worker together, so that no stream is coded or decoded twice.
"""

import hashlib
import io
import logging
import re
import subprocess
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs import pyav as x265
from codec_bridge.codecs.base import IN_LOOP, Format
from codec_bridge.codecs.hm import run as hm
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.store import Result, digest
from codec_bridge.evaluation.work import (
    BY_BACKEND,
    Measured,
    Settings,
    Stopped,
    Work,
    encoder_arguments,
    frames_of,
    load_models,
)
from codec_bridge.figures import metrics
from codec_bridge.figures.row import AFTER_DECODING, INSIDE, Crop, Figures, Row, Units
from codec_bridge.library import _vrcnn, cuda
from codec_bridge.provenance import git_revision, without_paths
from codec_bridge.video.catalogue import Sequence as VideoSequence
from codec_bridge.video.picture import Picture, samples_md5
from vrcnn_int.errors import VrcnnError
from vrcnn_int.models import builtin_path, float_file

SCHEMA = 1
"""Of the rows in result files. A job's key holds it, so that rows of another schema are never taken for these."""

CROP = (256, 192)
"""Width and height of what the report shows of a picture, at most."""

KEPT_BYTES = 1 << 30
"""Of luma samples, that a process keeps of the sequences it read last."""

_pictures: dict[tuple[VideoSequence, int, int, int], tuple[list[Picture], str]] = {}
_lock = threading.Lock()

READ_AHEAD = 2
"""Sequences that are read while others are coded."""

_COSTS = {"x265": 1, "x265-loop": 1, "hm": 10}  # seconds a picture, in proportion


@dataclass(frozen=True)
class Source:
    """What was found of a sequence when the plan was made: how many pictures, their MD5, or the problem with them."""

    sequence: VideoSequence
    pictures: int
    md5: str | None
    problem: str | None

    @property
    def class_name(self) -> str:
        """Of the catalogue, or by size."""
        samples = self.sequence.width * self.sequence.height
        sizes = (("A", 3_000_000), ("B", 1_500_000), ("E", 700_000), ("C", 250_000), ("D", 0))
        return self.sequence.class_name or next(f"{letter} (size)" for letter, least in sizes if samples >= least)


@dataclass(frozen=True)
class Job:
    """One row to be: a variant of a sequence at a QP. inputs: all that determines it, its key their hash."""

    source: Source
    qp: int
    variant: str
    settings: Settings
    inputs: Mapping[str, Any] = field(repr=False)

    @cached_property
    def key(self) -> str:
        """64 hexadecimal digits."""
        return digest(self.inputs)

    @property
    def stream(self) -> str:
        """Equal for jobs that share a stream. Choices, and checks in the loop, need several: then all share."""
        names = ["sequence", "codec", "configuration", "qp", "programs"]
        shares_all = "choice" in self.settings.variants or (self.settings.check and self.settings.codec in IN_LOOP)
        if not shares_all:
            names.append("command")
        return digest({name: self.inputs[name] for name in names})

    @property
    def cost(self) -> float:
        """About in proportion to the time that it takes."""
        samples = self.source.sequence.width * self.source.sequence.height * self.source.pictures
        return float(samples * _COSTS[self.settings.codec] * 2 ** ((37 - self.qp) / 15))

    @property
    def names(self) -> dict[str, Any]:
        """What a row says of the job, whatever came of it."""
        return self.row().names

    @property
    def event(self) -> dict[str, Any]:
        """What progress says of it."""
        return {name: self.names[name] for name in ("sequence", "codec", "configuration", "qp", "variant", "key")}

    def __str__(self) -> str:
        return f"{self.source.sequence.name}, {self.settings.codec} {self.settings.configuration}, QP {self.qp}, {self.variant}"

    def row(
        self, figures: Figures | None = None, crop: Crop | None = None, git_revision: str | None = None, flag: str | None = None
    ) -> Row:
        """What came of the job."""
        sequence = self.source.sequence
        return Row(
            sequence=sequence.name,
            class_name=self.source.class_name,
            width=sequence.width,
            height=sequence.height,
            bit_depth=sequence.bit_depth,
            pictures=self.source.pictures,
            qp=self.qp,
            variant=self.variant,
            codec=self.settings.codec,
            configuration=self.settings.configuration,
            md5=self.source.md5,
            key=self.key,
            figures=figures,
            crop=crop,
            git_revision=git_revision,
            flag=flag,
        )

    def flagged(self, why: str) -> Row:
        """The row of a job without figures."""
        return self.row(flag=without_paths(why))

    def renamed(self, row: Row) -> Row:
        """The row of a job with the same key, whose sequence may have another name."""
        return self.row(row.figures, row.crop, row.git_revision, row.flag)


# ---- from a plan to its jobs ----


def expand(plan: Plan) -> list[Job]:
    """The jobs of a plan, in the order of its rows. Reads every sequence once, for its MD5."""
    return in_order(plan, expanding(plan))


def in_order(plan: Plan, found: Iterable[list[Job]]) -> list[Job]:
    """What ``expanding`` gave, in the order of the plan's rows."""
    by_name = {jobs[0].source.sequence.name: jobs for jobs in found}
    return [job for sequence in plan.sequences for job in by_name[sequence.name]]


def expanding(plan: Plan) -> Iterator[list[Job]]:
    """The jobs of a plan, one sequence after the other, each as soon as it has been read for its MD5.

    The smallest sequence comes first, so that work begins at once, then the largest, so that none comes last. Sequences are read a little
    ahead, not all: workers in this process find them in memory.
    """
    identities = {settings.model: load_models(settings).identity for settings in plan.runs}
    order = sorted(plan.sequences, key=lambda sequence: -sequence.width * sequence.height)
    order.insert(0, order.pop())
    reading: dict[str, Future[list[Job]]] = {}
    with ThreadPoolExecutor(READ_AHEAD) as pool:
        for number, sequence in enumerate(order):
            for ahead in order[number : number + READ_AHEAD]:
                if ahead.name not in reading:
                    reading[ahead.name] = pool.submit(_jobs_of, ahead, plan.runs, identities)
            yield reading[sequence.name].result()


def _jobs_of(sequence: VideoSequence, runs: Sequence[Settings], identities: Mapping[Path | None, str]) -> list[Job]:
    sources: dict[tuple[int, bool], Source] = {}
    jobs = []
    for settings in runs:
        wanted = frames_of(sequence, settings), settings.frames is None
        source = sources.get(wanted) or sources.setdefault(wanted, _look(sequence, *wanted))
        for variant in settings.variants:
            for qp in settings.qps:
                inputs = inputs_of(sequence, source.pictures, source.md5, qp, variant, settings, identities[settings.model])
                jobs.append(Job(source, qp, variant, settings, inputs))
    return jobs


def _look(sequence: VideoSequence, frames: int, by_rule: bool) -> Source:
    try:
        pictures, md5 = read(sequence, frames)
    except (VrcnnError, OSError) as error:
        return Source(sequence, 0, None, str(error))
    fewer = len(pictures) < frames and (sequence.class_name or not by_rule)
    return Source(sequence, len(pictures), md5, f"the sequence ends after {len(pictures)} of {frames} pictures" if fewer else None)


def read(sequence: VideoSequence, frames: int) -> tuple[list[Picture], str]:
    """The first pictures of a sequence, cropped, and the MD5 of their samples. Those of the last sequences are kept."""
    state = sequence.path.stat()
    key = sequence, frames, state.st_size, state.st_mtime_ns
    with _lock:
        found = _pictures.pop(key, None)
    if found is None:
        with sequence.open(frames) as video:
            pictures = [picture.cropped() for picture in video]
        found = pictures, samples_md5(pictures)
    with _lock:
        _pictures[key] = found
        while len(_pictures) > 1 and sum(len(pictures) * pictures[0].planes[0].nbytes for pictures, _ in _pictures.values()) > KEPT_BYTES:
            del _pictures[next(iter(_pictures))]
    return found


def groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs that share a stream together, about the longest first."""
    found: dict[str, dict[str, Job]] = {}
    for job in jobs:
        found.setdefault(job.stream, {})[job.key] = job  # sequences with equal samples have the same jobs
    return sorted((list(group.values()) for group in found.values()), key=_order)


def _order(group: list[Job]) -> tuple[int, str, float]:
    """Large sequences first; those of one sequence after each other, so that it is read once."""
    sequence = group[0].source.sequence
    return -sequence.width * sequence.height * group[0].source.pictures, sequence.name, -sum(job.cost for job in group)


def facts(plan: Plan, jobs: Sequence[Job]) -> dict[str, Any]:
    """The part ``plan`` of a document (report.py)."""
    first = plan.runs[0]
    sources = {(job.source.sequence.name, job.source.pictures): job.source for job in jobs}.values()
    return {
        "sequences": [
            {
                "name": source.sequence.name, "class": source.class_name, "width": source.sequence.width, "height": source.sequence.height,
                "bit_depth": source.sequence.bit_depth, "rate": str(source.sequence.rate or 25), "pictures": source.pictures,
                "md5": source.md5,
            }
            for source in sources
        ],
        "runs": [{"codec": run.codec, "configuration": run.configuration, "variants": list(run.variants)} for run in plan.runs],
        "qps": list(first.qps), "frames": first.frames, "model": load_models(first).identity, "kernel": first.kernel,
        "position": first.position, "preset": first.preset, "method": plan.method, "check": first.check,
        "apart": list(plan.apart),
    }  # fmt: skip


def programs_of(jobs: Sequence[Job]) -> dict[str, Any]:
    """What coded and decoded, by codec: see ``provenance`` in report.py."""
    found: dict[str, Any] = {}
    for job in jobs:
        used = job.inputs["programs"]
        files = found.get(job.settings.codec, {}).get("files", {})
        found[job.settings.codec] = {"encoder": used["encoder"], "files": files | used["files"]}
    return found


# ---- keys ----


def inputs_of(
    sequence: VideoSequence, pictures: int, md5: str | None, qp: int, variant: str, settings: Settings, model: str
) -> dict[str, Any]:
    """All that determines the figures of a row. model: the set's identity, which stands for its file's path."""
    rate = sequence.rate or Fraction(25)
    command = encoder_arguments(settings, variant, qp, sequence, pictures, rate)
    inputs: dict[str, Any] = {
        "schema": SCHEMA,
        "metrics": [metrics.VERSION, _installed("scikit-image")],
        "sequence": {
            "md5": md5, "width": sequence.width, "height": sequence.height, "bit_depth": sequence.bit_depth,
            "chroma_format": sequence.chroma_format, "rate": str(rate), "pictures": pictures,
        },
        "codec": settings.codec,
        "configuration": settings.configuration,
        "qp": qp,
        "variant": variant,
        "programs": programs(settings, sequence),
        "command": [word.replace(str(settings.model), model) if settings.model else word for word in command],
    }  # fmt: skip
    if variant in (*INSIDE, *AFTER_DECODING):
        inputs |= {"model": model, "kernel": settings.kernel, "position": settings.position, "check": settings.check}
    if variant == "choice":
        inputs["ordinary"] = encoder_arguments(settings, "anchor", qp, sequence, pictures, rate)
    if variant in AFTER_DECODING or inputs.get("check"):
        inputs["library"] = file_hash(Path(_vrcnn.__file__))
    if settings.backend != "c" and variant in BY_BACKEND:
        inputs |= {"backend": settings.backend, "cuda": file_hash(cuda.library_path())}
    if variant == "float":
        inputs["float"] = [file_hash(float_file(settings.model or builtin_path())), _installed("torch")]
    return inputs


def programs(settings: Settings, like: Format) -> dict[str, Any]:
    """The encoder's name and version, and the SHA-256 of each program, library and configuration file that codes and decodes."""
    if settings.codec == "x265":
        return {"encoder": x265.encoder_version(), "files": {path.name: file_hash(path) for path in x265.libraries()}}
    if settings.codec == "hm":
        tools = hm.find_tools(settings.hm, settings.anchor_hm)
        ask, paths = hm.version, {"encoder": tools.encoder, "anchor": tools.anchor, "decoder": tools.decoder}
        configuration = tools.configuration(settings.configuration, like.bit_depth)
        files = {configuration.name: file_hash(configuration)}
    else:
        loop = x265_loop.find_tools(settings.codecs)
        encoder = loop.encoder if like.bit_depth == 8 else loop.encoder_10bit
        ask, paths, files = x265_loop.version, {"encoder": encoder, "decoder": loop.decoder}, {}
    for word, path in paths.items():
        files[word] = file_hash(path)
        files |= {library.name: file_hash(library) for library in _linked(path, files[word])}
    return {"encoder": _version(ask, paths["encoder"], files["encoder"]), "files": files}


@cache
def _version(ask: Callable[[Path], str], encoder: Path, _hash: str) -> str:
    return ask(encoder)


_installed = cache(version)


@cache
def _linked(program: Path, _hash: str) -> list[Path]:
    """The codec's and our own libraries that a program is linked with."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(r"=> (\S*lib(?:vrcnn|x265|de265)\S*)", said)]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits. Raises CodecError if it cannot be read."""
    try:
        found = path.stat()
        return _file_hash(path, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise CodecError(f"cannot read {path}: {error.strerror or error}") from None


@cache
def _file_hash(path: Path, _size: int, _time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- on a worker ----


@dataclass(frozen=True)
class Task:
    """Jobs that share a stream, as they go to a worker. model: bytes of the set where the plan uploads, None for a shared path."""

    jobs: tuple[Job, ...]
    keep_streams: bool
    model: bytes | None = None


def run(task: Task, say: Callable[[str], None], originals: list[Picture] | None = None) -> list[Result]:
    """Do the jobs of a task. originals: None to read them from the sequence's path. say: called with a word at each step.

    What fails gives a flagged row. Raises evaluate.Stopped where the evaluation ends early.
    """
    results = []
    work: Work | None = None
    md5 = ""
    with _transcript() as transcript, tempfile.TemporaryDirectory(prefix="vrcnn-") as folder:
        settings = _settings_here(task, Path(folder))
        for job in task.jobs:
            before = sum(work.spent.values()) if work else 0.0
            files: dict[str, bytes] = {}
            try:
                if work is None:
                    work, md5 = _begin(job, settings, say, originals)
                _compare(job, settings, work, md5)
                measured = work.measure(job.variant)
                files, crop = _crops(job, measured, work.originals)
                row = job.row(measured.figures, crop, git_revision())
                if task.keep_streams:
                    files[f"streams/{job.key}.hevc"] = measured.stream
            except Stopped:
                raise
            except (VrcnnError, OSError) as error:
                row = job.flagged(str(error))
            except Exception as error:
                transcript.write(traceback.format_exc())
                row = job.flagged(f"a fault of vrcnn-int: {type(error).__name__}: {error}; its log has the traceback")
            said = "failed: " + row.flag if row.flag else f"spent, in seconds: {dict(work.spent) if work else {}}"
            log = f"{job}\n{transcript.getvalue()}{said}\n"
            results.append(Result(job.key, job.inputs, row, log, sum(work.spent.values()) - before if work else 0.0, files))
    return results


def _begin(job: Job, settings: Settings, say: Callable[[str], None], originals: list[Picture] | None) -> tuple[Work, str]:
    """The pictures, read or as they came, and their MD5."""
    sequence = job.source.sequence
    if originals is None:
        say("read")
        originals, md5 = read(sequence, job.source.pictures)
    else:
        md5 = samples_md5(originals)
    determined = {name: job.inputs[name] for name in ("sequence", "codec", "configuration", "qp", "programs")} | {"preset": settings.preset}
    return Work(originals, job.qp, sequence.rate or Fraction(25), settings, load_models(settings), say, determined), md5


def _compare(job: Job, settings: Settings, work: Work, md5: str) -> None:
    """Raise CodecError if this machine does not have what the job's key says."""
    found = inputs_of(job.source.sequence, len(work.originals), md5, job.qp, job.variant, settings, work.models.identity)
    for name, planned in job.inputs.items():
        if found[name] != planned:
            raise CodecError(f"this worker's {name} is not the plan's: {_difference(planned, found[name])}")


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
    hm, anchor_hm, codecs = (path if path and path.exists() else None for path in (settings.hm, settings.anchor_hm, settings.codecs))
    return replace(settings, model=model, hm=hm, anchor_hm=anchor_hm, codecs=codecs)


def _crops(job: Job, measured: Measured, originals: list[Picture]) -> tuple[dict[str, bytes], Crop]:
    """PNG files of the middle of a picture, by name, and what the row says of them."""
    # Side information comes in decoding order, which is the order of the pictures but for random access, and there of the first one.
    number = 0 if job.settings.configuration == "ra" else len(originals) // 2
    depth, luma = originals[number].bit_depth, originals[number].planes[0]
    width, height = (min(most, size) for most, size in zip(CROP, luma.shape[::-1], strict=True))
    x, y = ((size - part) // 2 // 8 * 8 for size, part in zip(luma.shape[::-1], (width, height), strict=True))
    names = f"crops/{job.key}.png", f"crops/{job.source.md5}-{number}.png"
    planes = [measured.pictures[number].planes[0]]
    if job.variant == "anchor":  # every report has one
        planes.append(luma)
    files = {name: _png(plane[y : y + height, x : x + width], depth) for name, plane in zip(names, planes, strict=False)}
    units = None
    information = measured.side[number] if job.variant in ("map", "choice", "after") else None
    if information is not None:
        whole = [[int(information.mode == "all")]]
        size, choices = (max(luma.shape), whole) if information.units is None else (information.unit_size, information.units.tolist())
        units = Units(information.mode, list(information.indices), size, choices)
    return files, Crop(*names, number, x, y, width, height, units)


def _png(plane: NDArray[np.integer], bit_depth: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((plane >> (bit_depth - 8)).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@contextmanager
def _transcript() -> Iterator[io.StringIO]:
    """What the codecs log in this thread: command lines and what the programs print."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    here = threading.get_ident()
    handler.addFilter(lambda record: record.thread == here)
    logger = logging.getLogger("codec_bridge.codecs")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield text
    finally:
        logger.removeHandler(handler)
