"""What a result file says about how it came to be."""

import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from vrcnn_int import __version__


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


def provenance(**more: Any) -> dict[str, Any]:
    """Version, git revision, command line, machine and time, and ``more`` (model identity, kernel, encoder, ...).

    Of paths in the command line the last part is left.
    """
    return {
        "vrcnn_int": __version__,
        "git_revision": git_revision(),
        "command_line": [re.sub(r"[^=,]*/", "", word) for word in sys.argv],
        "machine": platform.machine(),
        "processor": processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }
