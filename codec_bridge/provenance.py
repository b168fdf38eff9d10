"""What a result file says about how it came to be."""

import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any

from vrcnn_int.text import named
from vrcnn_int.version import __version__

WORD, COMMAND_LINE = 200, 2000
"""Characters of a word and of all words that a record keeps of a command line."""


@cache
def git_revision() -> str | None:
    """Revision of the checkout this package runs from, with '+' if it has changes; None outside a checkout."""
    folder = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Installed inside somebody else's checkout, its revision would say nothing about this code.
        if Path(git("rev-parse", "--show-toplevel")) != folder.parent:
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str | None:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def without_paths(text: str) -> str:
    """Text with the last part of each absolute path only: where files lie is nothing to a result."""
    return re.sub(r"(?<![\w.:/])/(?:[^\s/'\"]+/)+", "", text)


def command_line(words: Sequence[str]) -> list[str]:
    """A command without the folders of its paths, and not longer than COMMAND_LINE characters: a record, not a burden of every file."""
    last = [re.sub("[^=,]+", lambda path: path[0].rpartition("/")[2], word) for word in words]
    said = [word if len(word) <= WORD else f"{word[: WORD - 40]}...{word[-37:]}" for word in last]
    kept = list(takewhile(lambda length: length <= COMMAND_LINE, accumulate(len(word) + 1 for word in said)))
    return said if len(kept) == len(said) else [*said[: len(kept)], f"... ({len(said) - len(kept)} more)"]


def provenance(**more: Any) -> dict[str, Any]:
    """Version, git revision, command line, machine and time, and ``more`` (model identity, kernel, encoder, ...).

    Of paths in the command line the last part is left, and of a very long one its beginning.
    """
    return {
        "vrcnn_int": __version__,
        "git_revision": git_revision(),
        "command_line": command_line([named(word) for word in sys.argv]),
        "machine": platform.machine(),
        "processor": processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }
