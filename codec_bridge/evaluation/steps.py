"""What a worker does for a job, step by step: told, timed, and given up where the evaluation ends early."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event

from codec_bridge.video.picture import Picture


class Stopped(Exception):
    """A job gave up because the evaluation ends."""


class Steps:
    """``spent``: seconds in encode, decode, filter, metrics and check. say: called with a word at each step.

    stop: set, by another thread, where the evaluation ends early; everything here then raises Stopped.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None, stop: Event | None = None) -> None:
        self.say, self.stop = say, stop or Event()
        self.spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def step(self, word: str) -> Iterator[None]:
        """Time what happens inside."""
        self.begin(word)
        start = time.perf_counter()
        yield
        self.spent[word] += time.perf_counter() - start

    def begin(self, word: str) -> None:
        """Tell of a step that tells itself how long it takes."""
        self.go_on()
        self.say(word)

    def go_on(self) -> None:
        """Raise Stopped if the evaluation ends."""
        if self.stop.is_set():
            raise Stopped

    def watch(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """Pictures as they come, until the evaluation ends."""
        for picture in pictures:
            self.go_on()
            yield picture
