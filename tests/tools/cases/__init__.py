"""Faults that users and hostile inputs found, tried again: python -m tests.tools.cases.

A case is a function in one of the modules here, registered by ``@case("A 3", "outputs overwrite inputs")``. It gets a `Bench`: an empty
folder of its own, the program that is tried, and the inputs that `inputs` makes. It returns an `Outcome`: whether the behaviour is right,
and what was seen, in a few words.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """right: whether the program did what it should. seen: in a few words, for the table."""

    right: bool
    seen: str


@dataclass(frozen=True)
class Ran:
    """A program that ended: code (None: it did not within its time), what it printed."""

    code: int | None
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line it printed, errors first."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1] if lines else ""

    @property
    def is_refusal(self) -> bool:
        """A user's mistake as it should be answered: one line, no traceback, exit code 1 or 2."""
        return self.code in (1, 2) and "Traceback" not in self.err and len(self.err.strip().splitlines()) <= 2


@dataclass(frozen=True)
class Bench:
    """folder: empty, of this case alone; commands run in it. programs: the folder with ``codec-bridge``, ``vrcnn-int`` and ``python``
    of the version that is tried. codecs: its folder of hooked x265 and dec265, which need not exist. patience: factor on the time that
    commands may take, for machines that are busy otherwise."""

    folder: Path
    programs: Path
    codecs: Path
    patience: float = 1.0

    def run(self, *command: object, timeout: float = 120, stdin: str | None = None, **environment: str) -> Ran:
        """Run any command in the folder; environment is added to this process's."""
        try:
            done = subprocess.run(
                [str(word) for word in command],
                cwd=self.folder,
                env={**os.environ, **environment},
                input=stdin or "",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout * self.patience,
            )
        except subprocess.TimeoutExpired:
            return Ran(None, "", f"not ended after {timeout * self.patience:g} s")
        return Ran(done.returncode, done.stdout, done.stderr)

    def bridge(self, *arguments: object, timeout: float = 120, stdin: str | None = None, **environment: str) -> Ran:
        """Run codec-bridge."""
        return self.run(self.programs / "codec-bridge", *arguments, timeout=timeout, stdin=stdin, **environment)

    def model(self, *arguments: object, timeout: float = 120, **environment: str) -> Ran:
        """Run vrcnn-int."""
        return self.run(self.programs / "vrcnn-int", *arguments, timeout=timeout, **environment)

    def python(self, code: str, timeout: float = 120, **environment: str) -> Ran:
        """Run Python code with the packages of the version that is tried."""
        return self.run(self.programs / "python", "-c", code, timeout=timeout, **environment)


class Skip(Exception):
    """This machine lacks what the case needs; the message says what."""


@dataclass(frozen=True)
class Case:
    """name: as on the page of faults, a letter and a number, perhaps more for a sibling. what: the fault, in a few words."""

    name: str
    what: str
    attempt: Callable[[Bench], Outcome]


CASES: list[Case] = []


def case(name: str, what: str) -> Callable[[Callable[[Bench], Outcome]], Callable[[Bench], Outcome]]:
    """Register a case."""

    def register(attempt: Callable[[Bench], Outcome]) -> Callable[[Bench], Outcome]:
        if any(name == other.name for other in CASES):
            raise ValueError(f"there are two cases {name}")
        CASES.append(Case(name, what, attempt))
        return attempt

    return register


HERE = Path(sys.executable).parent
"""Where the programs of this version are."""
