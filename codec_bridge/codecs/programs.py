"""Codecs' programs: run with time limits and a log, and named by their hashes."""

import hashlib
import logging
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, TypeVar

from codec_bridge.bitstream.errors import CodecError
from vrcnn_int.process import HEARD

if TYPE_CHECKING:
    import psutil

STALLED = 300.0
"""Seconds without any processor time after which a program is taken to hang, and ended: x265 3.5 can, in a race of its threads."""

_logger = logging.getLogger(__name__)  # command lines and what the programs print

_CODING = "vrcnn|x26[45]|de265|SvtAv1|aom|dav1d|rav1e|vpx|vvenc|vvdec|kvazaar|openh264|theora|xvidcore|avcodec"
"""Libraries that code and decode, by what their names begin with."""

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_REFUSAL = re.compile(r"^VRCNN: (?!\d)", re.M)
_TELLING = re.compile(r"x265 \[error\]|VRCNN: (?!\d)")


@dataclass(frozen=True)
class Programs:
    """The encoder's name and version, and the SHA-256 of each program, library and configuration file that codes and decodes."""

    encoder: str
    files: dict[str, str]


@dataclass(frozen=True)
class Output:
    """What a program printed on its two streams, and the wall time that it took."""

    out: str
    errors: str
    seconds: float

    @property
    def log(self) -> str:
        """Both streams."""
        return f"{self.out}\n{self.errors}"


class _Running:
    """The programs that the threads of an ``at_once`` run."""

    def __init__(self) -> None:
        self._lock, self.is_over = Lock(), False
        self._all: list[subprocess.Popen[str]] = []
        self.why: BaseException | None = None
        """What a job raised that ended them."""

    def check(self) -> None:
        """Raise CodecError if they were ended."""
        if self.is_over:
            raise CodecError("given up, as another job ended this command")

    @contextmanager
    def started(self, start: "Callable[[], subprocess.Popen[str]]") -> "Iterator[subprocess.Popen[str]]":
        """A program, from its start to its end. Raises CodecError, with none started, if they were ended."""
        with self._lock:
            self.check()
            process = start()
            self._all.append(process)
        try:
            with process:
                yield process
        finally:
            with self._lock:
                self._all.remove(process)

    def end(self, why: BaseException | None = None) -> None:
        """End all of them; there will be no more. why: the exception of a job, kept if they were not ended before."""
        with self._lock:
            self.why = self.why if self.is_over else why
            self.is_over = True
            for process in self._all:
                _end(process)


_running: ContextVar[_Running] = ContextVar("_running")
"""Of the thread."""


def at_once(do: Callable[[_Job], _Result], jobs: Iterable[_Job], workers: int) -> list[_Result]:
    """What ``do`` gives for each job, in order, in as many threads.

    The first exception of a job, and one that a signal raises here, ends the programs that other jobs run; these end with the next
    program that they would start, or where they call ``go_on``.
    """
    running, given = _Running(), list(jobs)
    found: dict[int, _Result] = {}
    # Queues alone stand between this thread and the others: what a signal raises between the locks of a pool, of futures or of conditions
    # would leave one locked, and threads waiting for it.
    waiting: SimpleQueue[int] = SimpleQueue()
    ended: SimpleQueue[None] = SimpleQueue()
    for number in range(len(given)):
        waiting.put(number)

    def work() -> None:
        _running.set(running)
        while not running.is_over:
            try:
                number = waiting.get_nowait()
            except Empty:
                return
            try:
                found[number] = do(given[number])
            except BaseException as error:
                running.end(error)  # here, before this thread takes the next job
            finally:
                ended.put(None)

    threads = [Thread(target=work) for _ in range(min(workers, len(given)))]
    try:
        for thread in threads:
            thread.start()
        for _ in given:
            _taken(ended)
            if running.why is not None:
                raise running.why
        return [found[number] for number in range(len(given))]
    finally:
        running.end()
        for thread in threads:
            if thread.is_alive():
                thread.join()


def _taken(queue: "SimpleQueue[None]") -> None:
    """Wait for an entry, as long as it takes."""
    while True:
        with suppress(Empty):
            return queue.get(timeout=HEARD)


def go_on() -> None:
    """Between pictures of long work in a thread of ``at_once``: raise CodecError if it is not wanted any more."""
    if running := _running.get(None):
        running.check()


def run(command: list[str], what: str, ok: tuple[int, ...] = (0,), quiet: bool = False) -> Output:
    """Run a program to its end; an exception that a signal raises ends it, and what it started. quiet: leave it out of the log.

    Raises CodecError, with the line that tells most, for exit codes other than ``ok``, if the filter refuses, and for a program that hangs.
    """
    start = time.perf_counter()
    try:
        code, output, errors = _finished(command, what)
    except OSError as error:
        raise CodecError(f"cannot run {command[0]}: {error.strerror}") from None
    if not quiet:
        _logger.info("$ %s\n%s%s", shlex.join(command), output, errors)
    if code not in ok or _REFUSAL.search(errors):
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise CodecError(f"{what} failed ({ended}): {_telling_line(output, errors)}")
    return Output(output, errors, time.perf_counter() - start)


def _finished(command: list[str], what: str) -> tuple[int, str, str]:
    """Exit code and what was printed."""

    def start() -> subprocess.Popen[str]:
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, stdin=nothing, text=True, errors="replace")

    with (_running.get(None) or _Running()).started(start) as process:
        hanging = _Hanging(process.pid, what)
        try:
            while True:
                try:
                    output, errors = process.communicate(timeout=min(HEARD, STALLED / 4))
                    return process.returncode, output, errors
                except subprocess.TimeoutExpired:
                    hanging.look()
        except BaseException:
            _end(process)
            raise


class _Hanging:
    """Knows how much processor time a program and its children have used so far."""

    def __init__(self, pid: int, what: str) -> None:
        self.pid, self.what = pid, what
        self.used: float | None = None
        self.since = self.looked = time.monotonic()

    def look(self) -> None:
        """Raise CodecError if the program hangs. Never where the system does not tell what it used."""
        now = time.monotonic()
        if now - self.looked < STALLED / 4:
            return
        before, self.used, self.looked = self.used, _processor_time(self.pid), now
        if self.used is None or self.used != before:
            self.since = now
        elif now - self.since > STALLED:
            raise CodecError(f"{self.what} hangs: it has used no processor time for {STALLED:g} s and was ended; try again")


def _tree(pid: int) -> "list[psutil.Process]":
    """A process and what it started."""
    import psutil

    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _processor_time(pid: int) -> float | None:
    import psutil

    used = None
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        used = (used or 0.0) + times.user + times.system
    return used


def _end(process: subprocess.Popen[str]) -> None:
    """A program, at once, and what it started."""
    import psutil

    for each in _tree(process.pid) if process.poll() is None else []:
        try:
            each.terminate()
        except psutil.Error:
            continue
    process.kill()


def _telling_line(output: str, errors: str) -> str:
    """The line that says most about a failure."""
    lines = [line for line in map(str.strip, (errors.strip() or output).splitlines()) if line.strip(" *")]
    telling = next((line for line in lines if _TELLING.match(line)), None)
    return telling or next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "it said nothing")


def describe(version: Callable[[Path], str], programs: Mapping[str, Path], files: Mapping[str, Path] | None = None) -> Programs:
    """Programs by their roles (encoder, decoder, ...), and further files by their names. version: asks the encoder for its own."""
    hashes = {name: file_hash(path) for name, path in (files or {}).items()}
    for role, path in programs.items():
        hashes[role] = file_hash(path)
        for library in _linked(path, hashes[role]):
            found = file_hash(library)
            other = hashes.get(library.name, found) != found  # encoder and decoder may have each its own
            hashes[f"{role}: {library.name}" if other else library.name] = found
    return Programs(_version(version, programs["encoder"], hashes["encoder"]), hashes)


@cache
def _version(version: Callable[[Path], str], encoder: Path, _hash: str) -> str:
    return version(encoder)


@cache
def _linked(program: Path, _hash: str) -> list[Path]:
    """The codecs' and our own libraries that a program is linked with."""
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(rf"=> (.*/lib(?:{_CODING})[^/]*) \(0x", listed)]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits. Raises CodecError if it cannot be read."""
    try:
        status = path.stat()
        return _file_hash(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise CodecError(f"cannot read {path}: {error.strerror or error}") from None


@cache
def _file_hash(path: Path, _size: int, _time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
