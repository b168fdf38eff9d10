"""What a worker does for a job, step by step: told, and timed."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Steps:
    """``spent``: seconds in encode, decode, filter, metrics and check. say: called with a word at each step."""

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self.say = say
        self.spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def step(self, word: str) -> Iterator[None]:
        """Time what happens inside."""
        self.say(word)
        start = time.perf_counter()
        yield
        self.spent[word] += time.perf_counter() - start
