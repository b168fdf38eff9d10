"""What a command line makes of its process: signals end it with a line, standard streams show all they are given and say what fails.

Loaded before all else, so it loads next to nothing itself: until `begin`, Ctrl-C ends in a traceback.
"""

import io
import os
import signal
import sys
from types import FrameType

TYPE_CHECKING = False  # as in typing, which takes longer to load than everything here
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from typing import TextIO

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
"""Those that end a command, and what is said then. Exit codes are 128 and the signal's number, as shells have it."""

GRACE = 0.5
"""Seconds that are left to clean up after a second signal."""


HEARD = 0.5
"""Seconds after which waiting for others looks for signals: one that comes just before the system is told to wait, or that another thread
is interrupted by, does not end it."""

LATER = 0.005
"""Seconds until a signal is raised again that interrupted what nothing can be raised in."""


class ReaderGone(BaseException):
    """Whoever read standard output or error has closed it, as `head` does: there is no use in going on, and nothing to complain of."""


class _Stream(io.TextIOWrapper):
    """Standard output or error. It shows what its encoding lacks as escapes.

    Raises ReaderGone, in the main thread, and OSError that names the stream; once: what comes afterwards is dropped.
    """

    def __init__(self, number: int, name: str, before: "TextIO | None") -> None:
        file = io.FileIO(number, "w", closefd=False)
        encoding, lines = getattr(before, "encoding", None), number == 2 or file.isatty()
        super().__init__(io.BufferedWriter(file), encoding, errors="backslashreplace", line_buffering=lines)
        self._number, self._what, self.unread = number, name, False

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._number)
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise OSError(error.errno, error.strerror, self._what) from None
        self.unread = True
        _wake_main_thread()


def _wake_main_thread() -> None:
    import threading

    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGPIPE)


def begin() -> None:
    """Before anything else is loaded: signals end the process at once, and the standard streams are prepared."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and background jobs of shells want it
            signal.signal(number, _leave)
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file that is opened would take its place
            os.open(os.devnull, os.O_RDWR)
    streams = _Stream(1, "standard output", sys.stdout), _Stream(2, "standard error", sys.stderr)

    def end_unread(_number: int, _frame: FrameType | None) -> None:
        """Any pipe that breaks comes here; the others are their writers' business."""
        if any(stream.unread for stream in streams):
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            raise ReaderGone

    signal.signal(signal.SIGPIPE, end_unread)
    sys.stdout, sys.stderr = streams


def run_until_signals() -> None:
    """While a command runs, a signal unwinds it, so that no temporary file stays; another one leaves it GRACE seconds for that."""
    sys.unraisablehook = _raise_later
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _unwind)


def leave_at_once(yes: bool) -> None:
    """While what is being loaded would make something else of a signal, as torch does: nothing is there to be cleaned up yet."""
    now, then = (_unwind, _leave) if yes else (_leave, _unwind)
    for number in SIGNALS:
        if signal.getsignal(number) is now:
            signal.signal(number, then)


def unwind_at(*numbers: signal.Signals) -> None:
    """For a worker's process: each of these signals unwinds it, without a word."""
    sys.unraisablehook = _raise_later
    for number in numbers:
        signal.signal(number, _exit)


def _raise_later(swallowed: "UnraisableHookArgs") -> None:
    """What interrupts a destructor or a callback of a weak reference, Python prints and drops; the signal's is raised again instead."""
    import threading

    value = swallowed.exc_value
    here = threading.current_thread() is threading.main_thread()  # which alone hears signals
    if not here or not isinstance(value, (KeyboardInterrupt, SystemExit, ReaderGone)):
        sys.__unraisablehook__(swallowed)
        return
    again: BaseException = value  # without what its traceback holds

    def alarm(_number: int, _frame: FrameType | None) -> None:
        raise again.with_traceback(None)

    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, LATER)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


unwinding: list[int] = []
"""The signal that a command ends by, whatever what it interrupted has made of that."""


def _unwind(number: int, _frame: FrameType | None) -> None:
    unwinding.append(number)
    for other in SIGNALS:
        if signal.getsignal(other) is not signal.SIG_IGN:
            signal.signal(other, _leave_soon)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    _exit(number, None)


def _leave_soon(number: int, _frame: FrameType | None) -> None:
    import threading

    timer = threading.Timer(GRACE, _leave, (number, None))
    timer.daemon = True
    timer.start()
    signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    if files := sys.modules.get("vrcnn_int.files"):
        files.remove_unfinished()
    os.write(2, SIGNALS[signal.Signals(number)].encode() + b"\n")
    os._exit(128 + number)
