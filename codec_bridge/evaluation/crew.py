"""What an evaluation asks of those who do its jobs, wherever they are: local.py on this machine, dask.py on others."""

from abc import ABC, abstractmethod

from codec_bridge.evaluation.jobs import Job
from codec_bridge.evaluation.store import Result


class Crew(ABC):
    """Workers, each with jobs that share a stream at a time. Steps of jobs go to a listener of the evaluation's."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many work."""

    @property
    @abstractmethod
    def room(self) -> int:
        """How many tasks can be given now."""

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether every task has ended."""

    @abstractmethod
    def submit(self, jobs: list[Job]) -> None:
        """Give jobs that share a stream, where there is room."""

    @abstractmethod
    def finished(self) -> tuple[list[Job], list[Result]]:
        """The next task that ends: its jobs and their results, flagged where they could not be run. Waits for it."""


def not_run(jobs: list[Job], why: str, log: str = "") -> list[Result]:
    """The flagged results of jobs that no worker could run. log: more than the flag says."""
    why = f"it could not be run: {why}"
    return [Result(job.key, job.inputs, job.flagged(why), f"{job}\n{log}{why}\n") for job in jobs]
