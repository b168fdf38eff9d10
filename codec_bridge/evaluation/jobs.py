"""A plan as jobs, one for each row, keyed by everything that determines its figures.

Jobs that need the same stream go to a worker together, so that no stream is coded or decoded twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from codec_bridge.evaluation.keys import inputs_of
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings, frames_of, load_models
from codec_bridge.evaluation.sources import Pictures, Source
from codec_bridge.evaluation.store import digest
from codec_bridge.figures import perceptual
from codec_bridge.figures.row import Crop, Figures, Row
from codec_bridge.provenance import without_paths
from codec_bridge.video.catalogue import Sequence as VideoSequence
from vrcnn_int.integer import ModelSet

READ_AHEAD = 2
"""Sequences that are read while others are coded."""


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
        shares_all = "choice" in self.settings.variants or (self.settings.check and self.settings.coder.inside)
        if not shares_all:
            names.append("command")
        return digest({name: self.inputs[name] for name in names})

    @property
    def cost(self) -> float:
        """About in proportion to the time that it takes."""
        samples = self.source.sequence.width * self.source.sequence.height * self.source.pictures
        return float(samples * self.settings.coder.cost * 2 ** ((37 - self.qp) / 15))

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
    return in_order(plan, expanding(plan, Pictures()))


def in_order(plan: Plan, expanded: Iterable[list[Job]]) -> list[Job]:
    """What ``expanding`` gave, in the order of the plan's rows."""
    by_name = {jobs[0].source.sequence.name: jobs for jobs in expanded}
    return [job for sequence in plan.sequences for job in by_name[sequence.name]]


def expanding(plan: Plan, pictures: Pictures) -> Iterator[list[Job]]:
    """The jobs of a plan, one sequence after the other, each as soon as it has been read for its MD5.

    The smallest sequence comes first, so that work begins at once, then the largest, so that none comes last. Sequences are read a little
    ahead, not all: workers that share ``pictures`` find them in memory.
    """
    models = {settings.model: load_models(settings) for settings in plan.runs}
    order = sorted(plan.sequences, key=lambda sequence: -sequence.width * sequence.height)
    order.insert(0, order.pop())
    reading: dict[str, Future[list[Job]]] = {}
    with ThreadPoolExecutor(READ_AHEAD) as pool:
        for number, sequence in enumerate(order):
            for ahead in order[number : number + READ_AHEAD]:
                if ahead.name not in reading:
                    reading[ahead.name] = pool.submit(_jobs_of, ahead, plan.runs, models, pictures)
            yield reading[sequence.name].result()


def _jobs_of(sequence: VideoSequence, runs: Sequence[Settings], models: Mapping[Path | None, ModelSet], pictures: Pictures) -> list[Job]:
    sources: dict[tuple[int, bool], Source] = {}
    jobs = []
    for settings in runs:
        wanted = frames_of(sequence, settings), settings.frames is None
        used = models[settings.model]
        which = used.identity, settings.kind_in(used)
        source = sources.get(wanted) or sources.setdefault(wanted, pictures.look(sequence, *wanted))
        for variant in settings.variants:
            for qp in settings.qps:
                inputs = inputs_of(sequence, source.pictures, source.md5, qp, variant, settings, *which)
                jobs.append(Job(source, qp, variant, settings, inputs))
    return jobs


def groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs that share a stream together, about the longest first."""
    by_stream: dict[str, dict[str, Job]] = {}
    for job in jobs:
        by_stream.setdefault(job.stream, {})[job.key] = job  # sequences with equal samples have the same jobs
    return sorted((list(group.values()) for group in by_stream.values()), key=_order)


def _order(group: list[Job]) -> tuple[int, str, float]:
    """Large sequences first; those of one sequence after each other, so that it is read once."""
    sequence = group[0].source.sequence
    return -sequence.width * sequence.height * group[0].source.pictures, sequence.name, -sum(job.cost for job in group)


def facts(plan: Plan, jobs: Sequence[Job]) -> dict[str, Any]:
    """The part ``plan`` of a document (report/document.py)."""
    first = plan.runs[0]
    models = load_models(first)
    kind = first.kind_in(models)
    sources = {(job.source.sequence.name, job.source.pictures): job.source for job in jobs}.values()
    return {
        "sequences": [source.facts for source in sources],
        "runs": [{"codec": run.codec, "configuration": run.configuration, "variants": list(run.variants)} for run in plan.runs],
        "qps": list(first.qps),
        "frames": first.frames,
        "model": models.identity,
        "kernel": first.kernel,
        "position": first.position,
        "preset": first.preset,
        "method": plan.method,
        "check": first.check,
        "apart": list(plan.apart),
        **({"metrics": perceptual.measured_by(first.metrics)} if first.metrics else {}),
        **({"against": plan.against} if plan.against else {}),
        **({"kind": kind, "network_size": first.network_size} if (kind, first.network_size) != ("luma", "best") else {}),
    }


def programs_of(jobs: Sequence[Job]) -> dict[str, Any]:
    """What coded and decoded, by codec: see ``provenance`` in report/document.py."""
    by_codec: dict[str, Any] = {}
    for job in jobs:
        used = job.inputs["programs"]
        files = by_codec.get(job.settings.codec, {}).get("files", {})
        by_codec[job.settings.codec] = {"encoder": used["encoder"], "files": files | used["files"]}
    return by_codec
