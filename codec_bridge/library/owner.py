"""What objects over the memory of a C library have in common: never copied, one call at a time, closed once."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, NoReturn, Self

from vrcnn_int.errors import VrcnnError


class Single(ABC):
    """It cannot be copied or pickled: two would free the same memory."""

    what: ClassVar[str]
    """What messages call it."""

    @abstractmethod
    def _misused(self, why: str) -> VrcnnError:
        """The error for what a caller must not do with it."""

    def __reduce__(self) -> NoReturn:
        raise self._misused(f"a {self.what} cannot be pickled or copied; make one in each process")


class Owner(Single):
    """A context manager that gives memory back when it is closed; ``super().__init__()`` stands where the memory is taken.

    The C libraries take one call at a time, and the GIL is released in it: a method holds ``_lock`` and calls ``_refuse_closed``.
    A child process (fork) may use it if no call was running at the moment of the fork.
    """

    def __init__(self) -> None:
        self._lock, self._is_open = threading.Lock(), True

    @abstractmethod
    def _free(self) -> None:
        """Give the memory back; called once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back, after the call that is running. Calls afterwards are refused; closing twice is allowed."""
        with self._lock:
            is_open, self._is_open = self._is_open, False
            if is_open:
                self._free()

    def _refuse_closed(self) -> None:
        if not self._is_open:
            raise self._misused(f"the {self.what} is closed; make a new one")
