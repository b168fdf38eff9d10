"""The one way to read a file whole: never more than it may hold, never waiting for what nobody writes."""

import errno
import os
import stat
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vrcnn_int.errors import VrcnnError

MOST_MODEL_BYTES = 256 << 20
"""Of a model set, or of float networks when they are unpacked: a thousand times those that are shipped."""

MOST_RATIO = 256
"""Of what an archive of pictures or tensors holds to its own size: packed pictures are about half of what they were."""

_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Flags of os.open: do not wait for who writes into a pipe (Windows has no such pipes), and change no byte (which only Windows would)."""

SMALL = 64 << 20
"""Bytes that an archive may hold whatever its own size."""


@contextmanager
def open_to_read(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file, a pipe or a device. Raises OSError, also for a pipe that nobody writes into, where reading would wait for ever."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _AT_ONCE)) as file:
        if sys.platform != "win32":
            os.set_blocking(file.fileno(), True)
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode) and not file.peek(1):
            raise OSError(errno.EPIPE, "nobody writes into this pipe, or it has been read already; give a file", os.fspath(path))
        yield file


def read_bytes(path: str | Path, most: int) -> bytes:
    """What a file, a pipe or a device holds. Raises OSError where it cannot be read, also if it holds more bytes than that."""
    data = bytearray()
    try:
        with open_to_read(path) as file:
            known = os.fstat(file.fileno()).st_size  # 0 of pipes and devices
            # Not at once: a buffer of the limit's size would be taken first.
            while max(known, len(data)) <= most and (part := file.read(1 << 20)):
                data += part
    except ValueError as error:  # a null character in the path
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from None
    if max(known, len(data)) > most:
        size = f"{most >> 20} MiB" if most >> 20 else f"{most} bytes"
        raise OSError(errno.EFBIG, f"it is larger than {size}, the most that is read", os.fspath(path))
    return bytes(data)


@contextmanager
def open_archive(path: str | Path, most: int | None = None) -> Iterator[BinaryIO]:
    """Open a zip archive, as numpy and torch write them, whose files have no more bytes than that when they are unpacked.

    most: None for MOST_RATIO times the archive's own size, and SMALL. It is read here and there, so that pipes and devices cannot be
    archives. Raises VrcnnError for them and for what is too large, FileNotFoundError, other OSErrors, and zipfile.BadZipFile.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _AT_ONCE)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise VrcnnError(f"cannot read {path}: it is no file but a pipe or device; copy what comes from it into a file first")
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > (MOST_RATIO * status.st_size + SMALL if most is None else most):
            raise VrcnnError(f"cannot read {path}: of {status.st_size} bytes it would become {size}, which no such file does")
        file.seek(0)
        yield file
