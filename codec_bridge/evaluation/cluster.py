"""A plan's jobs, done by whoever is there: this process, processes of this machine, a Dask scheduler's workers, Slurm jobs.

What is done is kept at once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from codec_bridge.evaluation.crew import Crew
from codec_bridge.evaluation.dask import connected
from codec_bridge.evaluation.jobs import Job, expanding, groups, in_order
from codec_bridge.evaluation.local import Here, processes
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import EvaluationError
from codec_bridge.evaluation.sources import Pictures
from codec_bridge.evaluation.store import DamagedError, Store
from codec_bridge.evaluation.stream_cache import StreamCache
from codec_bridge.figures.row import Row
from vrcnn_int.machine import cores

Listener = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Place:
    """Where jobs run. workers: processes of this machine, None for one a core; 1 is this process itself. scheduler: the address of one
    that runs already. slurm: the plan's Slurm jobs."""

    workers: int | None = None
    scheduler: str | None = None
    slurm: bool = False

    def __post_init__(self) -> None:
        if self.scheduler == "":
            raise EvaluationError("--scheduler needs an address, such as tcp://host:8786")

    @property
    def here(self) -> int:
        """Workers on this machine."""
        return self.workers or cores()


THIS_PROCESS = Place(1)


@dataclass(frozen=True)
class Evaluation:
    """The rows of all jobs of a plan, in its order, and what a document's provenance calls timing."""

    jobs: list[Job]
    rows: list[Row]
    timing: dict[str, Any]


def evaluate(
    plan: Plan, store: Store, place: Place = THIS_PROCESS, listen: Listener = lambda _: None, pictures: Pictures | None = None
) -> Evaluation:
    """Do the jobs of a plan that the store does not hold. listen: called with an event at each turn of a job, on Dask from several threads.

    pictures: keeps what was read for other evaluations of the same sequences. Several evaluations may run in one process.
    A program that asks for several workers has ``if __name__ == "__main__"`` around what it does, as for every process of its own.
    A job that fails gives a flagged row; the others go on. Raises VrcnnError if there is nowhere to run.
    """
    start = time.perf_counter()
    known = pictures or Pictures()
    rows_of: dict[str, Row] = {}
    expanded: list[list[Job]] = []
    taken: set[str] = set()
    cached = 0

    def tasks() -> Iterator[list[Job]]:
        """What is to be done, while sequences are still being read."""
        nonlocal cached
        for jobs in expanding(plan, known):
            expanded.append(jobs)
            kept, missing = look_up(jobs, store, listen)
            missing = [job for job in missing if job.key not in taken]
            taken.update(job.key for job in missing)
            rows_of.update(kept)
            cached += len(kept)
            event = {"event": "planned", "sequence": jobs[0].source.sequence.name, "jobs": len(jobs), "cached": len(kept)}
            listen(event | {"cost": sum(job.cost for job in missing)})
            for job in jobs:
                if job.source.problem:
                    listen({"event": "failed", "text": job.source.problem, "cost": 0.0, **job.event})
            yield from groups(missing)

    with store.locked():
        for folder in dict.fromkeys(settings.stream_cache for settings in plan.runs):
            if folder:
                StreamCache(folder).check()
        busy, workers = 0.0, place.here
        wanted = tasks()
        listen({"event": "start", "jobs": len(plan.sequences) * sum(len(run.variants) * len(run.qps) for run in plan.runs)})
        for first in wanted:
            with connect(plan, place, store, known, listen) as crew:
                busy, workers = _run(crew, chain([first], wanted), store, rows_of, listen)
        jobs = in_order(plan, expanded)
    wall = time.perf_counter() - start
    rows = [job.flagged(job.source.problem) if job.source.problem else job.renamed(rows_of[job.key]) for job in jobs]
    failed = sum(row.flag is not None for row in rows)
    timing = {
        "wall_seconds": wall,
        "workers": workers,
        "busy_seconds": busy,
        "overhead_percent": 100 - 100 * busy / (workers * wall) if busy else None,
        "jobs": {"done": len(jobs) - cached - failed, "failed": failed, "cached": cached},
    }
    return Evaluation(jobs, rows, timing)


def look_up(jobs: list[Job], store: Store, listen: Listener = lambda _: None) -> tuple[dict[str, Row], list[Job]]:
    """The rows that the store holds, by key, and the jobs to be done: not those that are impossible."""
    rows, missing = {}, []
    for job in jobs:
        if job.source.problem:
            continue
        try:
            row = store.load(job.key)
        except DamagedError as error:
            listen({"event": "damaged", "text": str(error), **job.event})
            row = None
        if row is None:
            missing.append(job)
        else:
            rows[job.key] = row
            listen({"event": "cached", **job.event})
    return rows, missing


def _run(crew: Crew, waiting: Iterator[list[Job]], store: Store, rows: dict[str, Row], listen: Listener) -> tuple[float, int]:
    """Fill ``rows``; returns the seconds that workers spent in encoders, decoders, filters and metrics, and how many worked."""
    busy, workers = 0.0, 1
    while True:
        workers = max(workers, crew.workers)
        for jobs in islice(waiting, max(0, crew.room)):
            crew.submit(jobs)
        if crew.is_idle:
            return busy, workers
        jobs, results = crew.finished()
        for job, result in zip(jobs, results, strict=True):
            if not result.kept:
                store.save(result)
            busy += result.busy
            rows[job.key] = result.row
            event = "done" if result.row.flag is None else "failed"
            listen({"event": event, "text": result.row.flag, "cost": job.cost, **job.event})


def connect(plan: Plan, place: Place, store: Store, pictures: Pictures, listen: Listener) -> AbstractContextManager[Crew]:
    """Those who do the jobs. On the way out after an error, jobs in flight are given up."""
    if place.scheduler is not None or place.slurm:
        return connected(plan, place.scheduler, store, pictures, listen)
    if place.here == 1:
        return nullcontext(Here(plan.keep_streams, pictures, listen))
    return processes(place.here, plan.keep_streams, listen)
