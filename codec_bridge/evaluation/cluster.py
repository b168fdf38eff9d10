"""Jobs on Dask: threads of this process, the workers of a scheduler that runs already, or Slurm jobs.

What is done is kept at once. A worker that dies costs what it was working on: Dask gives its tasks to others, up to three times each.
"""

import logging
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from codec_bridge.evaluation.jobs import Job, expanding, groups, in_order
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import EvaluationError
from codec_bridge.evaluation.sources import Pictures
from codec_bridge.evaluation.store import LOCK, DamagedError, Result, Store
from codec_bridge.evaluation.worker import Shared, Task, run
from codec_bridge.figures.row import Row
from codec_bridge.video.picture import Picture
from vrcnn_int.models import builtin_path

if TYPE_CHECKING:
    from distributed import Client

TOPIC = "vrcnn-int"
WAIT = 30
"""Seconds for a scheduler to answer and a first worker to be there."""

Listener = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Place:
    """Where jobs run. workers: threads of this process, None for one a core. scheduler: the address of one that runs already.
    slurm: the plan's Slurm jobs."""

    workers: int | None = None
    scheduler: str | None = None
    slurm: bool = False


@dataclass(frozen=True)
class Evaluation:
    """The rows of all jobs of a plan, in its order, and what a document's provenance calls timing."""

    jobs: list[Job]
    rows: list[Row]
    timing: dict[str, Any]


def evaluate(
    plan: Plan, store: Store, place: Place = Place(), listen: Listener = lambda _: None, pictures: Pictures | None = None
) -> Evaluation:
    """Do the jobs of a plan that the store does not hold. listen: called, from several threads, with an event at each turn of a job.

    pictures: keeps what was read for other evaluations of the same sequences. Several evaluations may run in one process.
    A job that fails gives a flagged row; the others go on. Raises VrcnnError if there is nowhere to run.
    """
    start = time.perf_counter()
    shared = Shared(pictures or Pictures())
    rows_of: dict[str, Row] = {}
    expanded: list[list[Job]] = []
    taken: set[str] = set()
    cached = 0

    def tasks() -> Iterator[list[Job]]:
        """What is to be done, while sequences are still being read."""
        nonlocal cached
        for jobs in expanding(plan, shared.pictures):
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
        busy, workers = 0.0, place.workers or os.cpu_count() or 1
        wanted = tasks()
        listen({"event": "start", "jobs": len(plan.sequences) * sum(len(run.variants) * len(run.qps) for run in plan.runs)})
        for first in wanted:
            with connect(plan, place, shared) as client:
                busy, workers = _run(client, plan, place, shared.pictures, chain([first], wanted), store, rows_of, listen)
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


def _run(
    client: "Client",
    plan: Plan,
    place: Place,
    pictures: Pictures,
    waiting: Iterator[list[Job]],
    store: Store,
    rows: dict[str, Row],
    listen: Listener,
) -> tuple[float, int]:
    """Fill ``rows``; returns the seconds that workers spent in encoders, decoders, filters and metrics, and how many threads worked."""
    from distributed import as_completed

    uploads = plan.transfer == "upload"
    client.subscribe_topic(TOPIC, lambda event: listen(event[1]))
    running: dict[Any, list[Job]] = {}
    sources: dict[str | None, Any] = {}
    unfinished = Counter[str | None]()
    busy, threads = 0.0, 1
    done = as_completed(loop=client.loop)

    def submit(jobs: list[Job]) -> None:
        first, folder, originals, model = jobs[0], None, None, None
        if uploads:
            md5 = first.source.md5
            if md5 not in sources:
                sources[md5] = client.submit(_same, pictures.read(first.source.sequence, first.source.pictures)[0], key=f"pictures-{md5}")
            originals, model = sources[md5], (first.settings.model or builtin_path()).read_bytes()
        else:
            folder = store.folder.resolve()
        task = Task(tuple(jobs), plan.keep_streams, model)
        unfinished[first.source.md5] += 1
        future = client.submit(_work, task, folder, originals, key=f"{first}-{first.key}", pure=False)
        running[future.key] = jobs
        done.add(future)

    # Here twice as many tasks as threads, so that none waits while a sequence is read. Elsewhere no more than threads: Dask blames a
    # worker's death on all tasks that it had, and one that only waited there must not be given up for it.
    at_once = 1 if place.scheduler or place.slurm else 2
    while True:
        threads = max(threads, sum(client.nthreads().values()))
        for jobs in islice(waiting, max(0, at_once * threads - len(running))):
            submit(jobs)
        if not running:
            return busy, threads
        future = next(done)
        jobs = running.pop(future.key)
        unfinished[jobs[0].source.md5] -= 1
        if not unfinished[jobs[0].source.md5]:
            sources.pop(jobs[0].source.md5, None)
        if future.status == "finished":
            results: list[Result] = future.result()
        elif future.status == "error":
            why = f"it could not be run: {str(future.exception()).split('. ')[0]}"
            results = [Result(job.key, job.inputs, job.flagged(why), why) for job in jobs]
        else:
            raise EvaluationError("the scheduler is gone; the same command goes on where this run ended")
        for job, result in zip(jobs, results, strict=True):
            if uploads or future.status == "error":
                store.save(result)
            busy += result.busy
            rows[job.key] = result.row
            event = "done" if result.row.flag is None else "failed"
            listen({"event": event, "text": result.row.flag, "cost": job.cost, **job.event})


def _same(pictures: list[Picture]) -> list[Picture]:
    return pictures


def _work(task: Task, folder: Path | None, originals: list[Picture] | None) -> list[Result]:
    """On a worker: do a task; keep the results in the shared folder, or return all of them."""
    from distributed import get_worker

    _one_thread_each()
    worker = get_worker()
    if folder and not (folder / LOCK).exists():
        raise EvaluationError(f'worker {worker.name} does not have the results folder; set transfer = "upload" in the plan')
    # Dask adds the worker's address, as "worker".
    say = partial(_say, worker, task.jobs[0].event | {"variant": ", ".join(job.variant for job in task.jobs), "name": str(worker.name)})
    results = run(task, say, originals, _shared(worker))
    if folder:
        store = Store(folder)
        for result in results:
            store.save(result)
            result.files, result.log = {}, ""
    return results


def _shared(worker: Any, shared: Shared | None = None) -> Shared:
    """What the jobs on a worker share: the evaluation's own for workers in its process, elsewhere the worker's."""
    kept: Shared = vars(worker).setdefault("vrcnn_shared", shared or Shared())
    return kept


def _say(worker: Any, names: dict[str, Any], step: str) -> None:
    worker.log_event(TOPIC, {"event": "step", "step": step, **names})


@cache
def _one_thread_each() -> None:
    """Matrix products with threads of their own would only wait for each other: one job a core."""
    threadpool_limits(1, "blas")


@contextmanager
def connect(plan: Plan, place: Place, shared: Shared) -> "Iterator[Client]":
    """A client of the cluster that the jobs run on. On the way out after an error, jobs in flight are given up."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
    with ExitStack() as stack:
        if place.slurm:
            cluster: Any = stack.enter_context(slurm_cluster(plan))
            cluster.scale(jobs=plan.slurm.get("jobs", 1))
        elif not place.scheduler:
            # Threads: encoders are programs or leave the interpreter alone, and so does the C library; no second start-up, no copies.
            threads = place.workers or os.cpu_count() or 1
            local = LocalCluster(n_workers=1, threads_per_worker=threads, processes=False, dashboard_address="127.0.0.1:0", memory_limit=0)
            cluster = stack.enter_context(local)
            for worker in cluster.workers.values():
                _shared(worker, shared)
        try:
            client = stack.enter_context(Client(place.scheduler or cluster, timeout=WAIT))
            if place.scheduler:
                client.wait_for_workers(1, timeout=WAIT)
        except (OSError, TimeoutError, ValueError) as error:
            raise EvaluationError(f"no workers at the scheduler {place.scheduler}: {error or 'it does not answer'}") from None
        try:
            yield client
        except BaseException:
            shared.stop.set()  # jobs end at their next picture, programs at once
            raise


def slurm_cluster(plan: Plan) -> Any:
    """A cluster whose workers are Slurm jobs, as the plan's table slurm says; nothing is submitted yet. Raises EvaluationError."""
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise EvaluationError("Slurm needs dask-jobqueue; install it with: pip install 'vrcnn-int[cluster]'") from None
    options = {name: value for name, value in plan.slurm.items() if name != "jobs"}
    try:
        return SLURMCluster(**options)
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"the plan's table slurm: {' '.join(str(error).split())}") from None
