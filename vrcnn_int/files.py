"""Whole files or none: results are written under a temporary name and renamed when complete."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vrcnn_int.errors import VrcnnError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, delete it on any error.

    Raises VrcnnError if the folder does not exist or is not writable.
    """
    target = Path(path)
    if target.is_dir():
        raise VrcnnError(f"cannot write {target}: it is a folder; give a file name")
    try:
        # The ending is kept: writers such as numpy and matplotlib choose the format by it.
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise VrcnnError(f"cannot write {target}: {error.strerror or error}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; a result is an ordinary file
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def one_line(error: BaseException) -> str:
    """What an error of another library says, or its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
