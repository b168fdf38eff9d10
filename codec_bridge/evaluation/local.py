"""Jobs on this machine, in this process or in processes of their own, which are spoken to through pipes: no port is opened.

A worker that dies costs what it was working on: flagged rows that say so. The others go on, and so does the next run.
"""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.process import parent_process
from pathlib import Path
from typing import Any

from codec_bridge.evaluation.crew import Crew, not_run
from codec_bridge.evaluation.jobs import Job
from codec_bridge.evaluation.settings import EvaluationError
from codec_bridge.evaluation.sources import KEPT_BYTES, Pictures
from codec_bridge.evaluation.store import Result
from codec_bridge.evaluation.worker import Task, run, step_event
from vrcnn_int.files import one_line
from vrcnn_int.process import HEARD, SIGNALS, unwind_at

GRACE = 3.0
"""Seconds that workers have to end their programs and to clean up."""

Listener = Callable[[Mapping[str, Any]], None]


class Here(Crew):
    """This process, one task after the other."""

    workers = 1

    def __init__(self, keep_streams: bool, pictures: Pictures, listen: Listener) -> None:
        self.keep_streams, self.pictures, self.listen = keep_streams, pictures, listen
        self._waiting: list[Job] = []

    @property
    def room(self) -> int:
        """One, as nothing is done before ``finished``."""
        return int(self.is_idle)

    @property
    def is_idle(self) -> bool:
        """Whether no task was given."""
        return not self._waiting

    def submit(self, jobs: list[Job]) -> None:
        """Keep it for ``finished``."""
        self._waiting = jobs

    def finished(self) -> tuple[list[Job], list[Result]]:
        """Do it."""
        jobs, self._waiting = self._waiting, []
        return jobs, _done(Task(tuple(jobs), self.keep_streams), "1", self.listen, self.pictures)


@dataclass(frozen=True)
class _Worker:
    """One process, and this end of the pipe to it. number: from 1."""

    number: int
    process: SpawnProcess
    connection: Connection


class Processes(Crew):
    """Up to ``most`` processes, started when there is something to do. folder: where they keep temporary files, removed by the caller."""

    def __init__(self, most: int, keep_streams: bool, folder: Path, listen: Listener) -> None:
        self.most, self.keep_streams, self.folder, self.listen = most, keep_streams, folder, listen
        self._all: list[_Worker] = []
        self._free: list[_Worker] = []
        self._heard: set[int] = set()
        self._busy: dict[Connection, tuple[_Worker, list[Job]]] = {}

    @property
    def workers(self) -> int:
        """Those that there may be."""
        return self.most

    @property
    def room(self) -> int:
        """Those without a task."""
        return self.most - len(self._busy)

    @property
    def is_idle(self) -> bool:
        """Whether nobody has a task."""
        return not self._busy

    def submit(self, jobs: list[Job]) -> None:
        """Give it to a process, or to a new one."""
        while self._free:
            worker = self._free.pop()
            if self._give(worker, jobs):
                return
        self._give(self._start(), jobs)

    def finished(self) -> tuple[list[Job], list[Result]]:
        """Tell the listener of steps until a task ends, or its worker dies."""
        while True:
            for connection in wait(list(self._busy), HEARD):
                assert isinstance(connection, Connection)
                worker, jobs = self._busy[connection]
                try:
                    message: Any = connection.recv()
                except (EOFError, OSError):
                    del self._busy[connection]
                    return jobs, not_run(jobs, self._bury(worker))
                self._heard.add(worker.number)
                if isinstance(message, list):
                    del self._busy[connection]
                    self._free.append(worker)
                    return jobs, message
                self.listen(message)

    def _give(self, worker: _Worker, jobs: list[Job]) -> bool:
        """False if the worker died while it had nothing to do."""
        try:
            worker.connection.send(Task(tuple(jobs), self.keep_streams))
        except OSError:
            self._bury(worker)
            return False
        self._busy[worker.connection] = worker, jobs
        return True

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        number = len(self._all) + 1
        process = context.Process(target=_work, args=(theirs, number, self.folder, KEPT_BYTES // self.most), daemon=True)
        with _started_whole(), _born_deaf():
            process.start()
            theirs.close()
            self._all.append(worker := _Worker(number, process, ours))
        return worker

    def _bury(self, worker: _Worker) -> str:
        """What became of a worker that is gone. Raises EvaluationError for one that could not even begin, as no other would."""
        worker.connection.close()
        worker.process.join(GRACE)
        code = worker.process.exitcode
        if code == -signal.SIGKILL:
            return f"worker {worker.number} was killed (SIGKILL), as systems do where memory runs out; --workers with fewer needs less"
        if code is not None and code < 0:
            return f"worker {worker.number} was ended by signal {-code} ({signal.strsignal(-code)})"
        if worker.number not in self._heard:
            raise EvaluationError(f"a worker's process does not start (exit code {code}); --workers 1 needs none")
        return f"worker {worker.number} ended (exit code {code})"

    def end(self) -> None:
        """Have every process end its programs and itself; those that do not are killed."""
        try:
            for worker in self._all:
                worker.process.terminate()
            until = time.monotonic() + GRACE
            for worker in self._all:
                worker.process.join(max(0.0, until - time.monotonic()))
        finally:
            for worker in self._all:
                worker.process.kill()
                worker.process.join()
                worker.connection.close()


@contextmanager
def _born_deaf() -> Iterator[None]:
    """Processes that start in the block never see Ctrl-C, which goes to every process of a terminal: this one alone says what it means."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # The first process starts this tracker before itself, which unblocks SIGINT: it must be there already.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _started_whole() -> Iterator[None]:
    """Signals that would unwind the block wait for its end: a process that is told but half of what it is to do ends in a traceback.

    A mask would not do, as another thread would take the signal, and the main thread its consequences. In other threads nothing unwinds.
    """
    received: list[signal.Signals] = []
    before: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for each in SIGNALS:
                if callable(handler := signal.getsignal(each)):
                    before[each] = handler
                    signal.signal(each, lambda number, _: received.append(signal.Signals(number)))
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for each in received:
            signal.raise_signal(each)


@contextmanager
def processes(most: int, keep_streams: bool, listen: Listener) -> Iterator[Processes]:
    """Processes that end with the block; what they leave behind in temporary files, even killed, goes with it."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vrcnn-", ignore_cleanup_errors=True))
        crew = Processes(most, keep_streams, Path(folder), listen)
        stack.callback(crew.end)
        yield crew


def _work(connection: Connection, number: int, folder: Path, kept_bytes: int) -> None:
    """In a process of its own: do tasks as they come, until told to end or the evaluation is gone."""
    unwind_at(signal.SIGTERM, signal.SIGHUP)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tempfile.tempdir = str(folder)
    pictures = Pictures(kept_bytes)
    with suppress(EOFError, OSError):
        while True:
            connection.send(_done(connection.recv(), str(number), connection.send, pictures))


def _done(task: Task, name: str, listen: Listener, pictures: Pictures) -> list[Result]:
    """A task's results. name: of the worker."""
    from threadpoolctl import threadpool_limits

    where = {"worker": f"process {os.getpid()}"}
    try:
        with threadpool_limits(1, "blas"):  # threads of their own for matrix products would only wait for each other: one job a core
            return run(task, lambda step: listen(step_event(task.jobs, step, name) | where), None, pictures)
    except Exception as error:
        return not_run(list(task.jobs), one_line(error), traceback.format_exc())


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
