"""What a running evaluation tells: bars on a terminal, or a line of JSON for each event.

An event is a dictionary with ``event``: "start" (jobs), "planned" (a sequence has been read: its jobs, how many are cached, and the rest
as ``cost``, in no unit), "cached" and "damaged" (a result file that is there, is not usable), "step" (what a worker does for a job, or
several that share a stream: read, encode, decode, filter, check, metrics), "done" and "failed" (with ``cost``), and at the end "summary"
(the document's timing, means and flags). Those of a job name it: sequence, codec, configuration, qp, variant, key; ``text`` says what is
wrong.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vrcnn_int.io.console import Description, notices


def describe(event: Mapping[str, Any]) -> str:
    """The job of an event."""
    return f"{event['sequence']}, {event['codec']} {event['configuration']}, QP {event['qp']}, {event['variant']}"


def json_line(event: Mapping[str, Any]) -> None:
    """Print an event on standard output, in one piece."""
    print(json.dumps(event) + "\n", end="", flush=True)


class Bars:
    """On standard error: all jobs, by what they cost, with the time left, and what each worker does; what failed stays on the screen."""

    def __init__(self) -> None:
        columns = Description(), BarColumn(), TextColumn("{task.fields[count]}")
        self._progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=notices, disable=not notices.is_terminal)
        self._all = self._progress.add_task("jobs", count="")
        self._running: dict[str, TaskID] = {}
        self._lock = Lock()
        self._jobs = self._over = self._failed = 0
        self._cost = 0.0

    @contextmanager
    def shown(self) -> Iterator["Bars"]:
        """While the bars are on the screen."""
        with self._progress:
            yield self

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take an event of cluster.evaluate, in any thread."""
        with self._lock:
            kind = event["event"]
            if kind == "start":
                self._jobs = event["jobs"]
            elif kind == "planned":
                self._over += event["cached"]
                self._cost += event["cost"]
                self._progress.update(self._all, total=self._cost)
            elif kind == "step":
                key, text = event["key"], f"{describe(event)}: {event['step']}"
                if key in self._running:
                    self._progress.update(self._running[key], description=text)
                else:
                    self._running[key] = self._progress.add_task(text, total=None, count="")
            elif kind in ("done", "failed"):
                self._over += 1
                self._progress.advance(self._all, event["cost"])
                if event["key"] in self._running:
                    self._progress.remove_task(self._running.pop(event["key"]))
            if kind == "failed":
                self._failed += 1
            if kind in ("failed", "damaged") and notices.is_terminal:
                self._progress.print(f"{kind}: {describe(event)}: {event['text']}", markup=False, highlight=False)
            failed = f", {self._failed} failed" if self._failed else ""
            self._progress.update(self._all, count=f"{self._over}/{self._jobs}{failed}")
