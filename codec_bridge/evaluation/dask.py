"""Jobs on a Dask cluster: the workers of a scheduler that runs already, or Slurm jobs. Nothing else here imports Dask.

A worker that dies costs what it was working on: Dask gives its tasks to others, up to three times each.
"""

import asyncio
import importlib
import logging
import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codec_bridge.evaluation.crew import Crew, not_run
from codec_bridge.evaluation.jobs import Job
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import EvaluationError
from codec_bridge.evaluation.sources import Pictures
from codec_bridge.evaluation.store import LOCK, Result, Store
from codec_bridge.evaluation.worker import Task, run, step_event
from codec_bridge.video.picture import Picture
from vrcnn_int.extras import require
from vrcnn_int.files import one_line
from vrcnn_int.inputs import MOST_MODEL_BYTES, read_bytes
from vrcnn_int.models import builtin_path

if TYPE_CHECKING:
    from distributed import Client

TOPIC = "vrcnn-int"
WAIT = 30
"""Seconds for a scheduler to answer, for a first worker to be there, and for it to say that it can work."""

Listener = Callable[[Mapping[str, Any]], None]


class Cluster(Crew):
    """The workers of a Dask cluster. store: the results folder, which they share unless the plan uploads."""

    def __init__(self, client: "Client", plan: Plan, store: Store, pictures: Pictures, listen: Listener) -> None:
        from distributed import as_completed

        self.client, self.plan, self.store, self.pictures = client, plan, store, pictures
        self._done = as_completed(loop=client.loop)
        self._running: dict[Any, list[Job]] = {}
        self._sources: dict[str | None, Any] = {}
        self._unfinished = Counter[str | None]()
        client.subscribe_topic(TOPIC, lambda event: listen(event[1]))

    @property
    def workers(self) -> int:
        """Threads of all workers, which may come and go."""
        return sum(self.client.nthreads().values())

    @property
    def room(self) -> int:
        """No more than threads: Dask blames a worker's death on all tasks that it had, and one that only waited there must not be given
        up for it."""
        return max(1, self.workers) - len(self._running)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    def submit(self, jobs: list[Job]) -> None:
        """Send the samples, too, where the plan says so, once a sequence."""
        first, folder, originals, model = jobs[0], None, None, None
        md5 = first.source.md5
        if self.plan.transfer == "upload":
            if md5 not in self._sources:
                pictures = self.pictures.read(first.source.sequence, first.source.pictures)[0]
                self._sources[md5] = self.client.submit(_same, pictures, key=f"pictures-{md5}")
            originals, model = self._sources[md5], read_bytes(first.settings.model or builtin_path(), MOST_MODEL_BYTES)
        else:
            folder = self.store.folder.resolve()
        task = Task(tuple(jobs), self.plan.keep_streams, model)
        self._unfinished[md5] += 1
        future = self.client.submit(_work, task, folder, originals, key=f"{first}-{first.key}", pure=False)
        self._running[future.key] = jobs
        self._done.add(future)

    def finished(self) -> tuple[list[Job], list[Result]]:
        """Raises EvaluationError if the scheduler is gone."""
        future = next(self._done)
        jobs = self._running.pop(future.key)
        md5 = jobs[0].source.md5
        self._unfinished[md5] -= 1
        if not self._unfinished[md5]:
            self._sources.pop(md5, None)
        if future.status == "finished":
            results: list[Result] = future.result()
            return jobs, results
        if future.status == "error":
            return jobs, not_run(jobs, str(future.exception()).split(". ")[0])
        raise EvaluationError("the scheduler is gone; the same command goes on where this run ended")


@contextmanager
def connected(plan: Plan, scheduler: str | None, store: Store, pictures: Pictures, listen: Listener) -> Iterator[Cluster]:
    """The workers of a scheduler, or the plan's Slurm jobs. Raises EvaluationError where nobody can work, after ``WAIT`` seconds a step."""
    require("--scheduler" if scheduler else "--slurm", "cluster", "distributed")
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
    with ExitStack() as stack:
        if scheduler:
            _ask(scheduler)
            client = stack.enter_context(Client(scheduler, timeout=WAIT, set_as_default=False))
            _try_one(client, scheduler)
        else:
            cluster = stack.enter_context(slurm_cluster(plan))
            cluster.scale(jobs=plan.slurm.get("jobs", 1))
            client = stack.enter_context(Client(cluster, timeout=WAIT))
        yield Cluster(client, plan, store, pictures, listen)


def _ask(address: str) -> None:
    """Raise EvaluationError unless a scheduler answers. Before there is a Client: one without its scheduler is slow to go away."""
    from distributed import rpc
    from distributed.security import Security

    async def answer() -> Any:
        async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
            return await scheduler.identity()

    try:
        asyncio.run(asyncio.wait_for(answer(), WAIT))
    except TimeoutError:
        raise EvaluationError(f"no scheduler answers at {address} within {WAIT} s") from None
    except Exception as error:
        # Dask has no error of its own for a bad address: ValueError, TypeError, OSError, by protocol.
        raise EvaluationError(f"cannot use the scheduler {address!r}: {one_line(error)}") from None


def _try_one(client: "Client", address: str) -> None:
    """Raise EvaluationError unless there is a worker, and can import this project."""
    try:
        client.wait_for_workers(1, timeout=WAIT)
    except TimeoutError:
        raise EvaluationError(f"no workers at the scheduler {address} within {WAIT} s") from None
    try:
        # By name first: a worker, and a scheduler, that does not have our functions says nothing of it when it gets one.
        imported = client.submit(importlib.import_module, __name__, pure=False)
        if error := imported.exception(timeout=WAIT):
            raise EvaluationError(f"the workers of {address} cannot work: {one_line(error)}; install the same vrcnn-int there")
        client.submit(_can_work, pure=False).result(timeout=WAIT)
    except TimeoutError:
        raise EvaluationError(
            f"the workers of {address} do nothing within {WAIT} s; is the same vrcnn-int where its scheduler runs?"
        ) from None


def _can_work() -> bool:
    return True


def _same(pictures: list[Picture]) -> list[Picture]:
    return pictures


def _work(task: Task, folder: Path | None, originals: list[Picture] | None) -> list[Result]:
    """On a worker: do a task; keep the results in the shared folder, or return all of them."""
    from distributed import get_worker

    _one_thread_each()
    worker = get_worker()
    if folder and not (folder / LOCK).exists():
        raise EvaluationError(f'worker {worker.name} does not have the results folder; set transfer = "upload" in the plan')
    pictures: Pictures = vars(worker).setdefault("vrcnn_pictures", Pictures())
    # Dask adds the worker's address, as "worker".
    say = partial(_say, worker, list(task.jobs))
    results = run(task, say, originals, pictures)
    if folder:
        store = Store(folder)
        for result in results:
            store.save(result)
            result.files, result.log, result.kept = {}, "", True
    return results


def _say(worker: Any, jobs: list[Job], step: str) -> None:
    worker.log_event(TOPIC, step_event(jobs, step, str(worker.name)))


@cache
def _one_thread_each() -> None:
    """Matrix products with threads of their own would only wait for each other: one job a core."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, "blas")


def slurm_cluster(plan: Plan) -> Any:
    """A cluster whose workers are Slurm jobs, as the plan's table slurm says; nothing is submitted yet. Raises EvaluationError."""
    require("--slurm", "cluster", "dask_jobqueue")
    from dask_jobqueue.slurm import SLURMCluster

    options = {name: value for name, value in plan.slurm.items() if name != "jobs"}
    if shlex.quote(sys.executable) != sys.executable:  # it starts a line of a shell script
        options.setdefault("python", shlex.quote(sys.executable))
    try:
        return SLURMCluster(**options)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise EvaluationError(f"the plan's table slurm: {one_line(error)}") from None
