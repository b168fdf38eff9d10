"""vrcnn_filter, run."""

import subprocess
from pathlib import Path


def tool(prefix: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """prefix: where the C library is installed."""
    return subprocess.run([prefix / "bin/vrcnn_filter", *map(str, arguments)], capture_output=True, text=True)
