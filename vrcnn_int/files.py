"""The one way to write a file: whole or not at all, never over what is read, through links, and into devices instead of over them."""

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vrcnn_int.errors import VrcnnError
from vrcnn_int.process import ReaderGone

TEMPORARY = ".vrcnn-tmp-"
"""What the names of unfinished files begin with: whoever finds one that nobody writes any more may delete it."""

_OF_WRITING = {None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Errors that a write may end with, where the system does not say in which file; None: numpy's own, of a short write."""


@dataclass(frozen=True)
class _Place:
    """Where an output goes. path: as it was given. real: links followed. descriptor: where it is a stream that this process has open.
    status: None where nothing is there yet."""

    path: str
    real: str
    descriptor: int | None
    status: os.stat_result | None

    @property
    def is_stream(self) -> bool:
        """Whether it is written through: devices and pipes, and the files that standard output and error go to."""
        return self.descriptor is not None or (self.status is not None and not stat.S_ISREG(self.status.st_mode))

    def error(self, why: str) -> VrcnnError:
        return VrcnnError(f"cannot write {self.path}: {why}")


def _place(path: str | Path) -> _Place:
    """Raises VrcnnError for what cannot be an output."""
    text = os.fspath(path)
    try:
        descriptor = _descriptor(text)
        status = os.stat(text) if descriptor is None else os.fstat(descriptor)
    except FileNotFoundError:
        descriptor, status = None, None
    except (OSError, ValueError) as error:
        raise VrcnnError(f"cannot write {text}: {getattr(error, 'strerror', None) or error}") from None
    real = os.path.realpath(text)
    place = _Place(text, real, descriptor, status)
    if status is None or descriptor is not None:
        return place
    if stat.S_ISDIR(status.st_mode):
        raise place.error("it is a folder; give a file name")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode)):
        raise place.error("it is neither a file nor a pipe nor a character device")
    if stat.S_ISREG(status.st_mode):
        streams = (number for number in (1, 2) if _is_descriptor(number, status))
        place = _Place(text, real, next(streams, None), status)
        if not os.access(text, os.W_OK):
            raise place.error("it is write-protected")
        if not os.path.exists(real) or not os.path.samestat(os.stat(real), status):
            raise place.error("this file has no name that it could be replaced under")
    return place


def _descriptor(path: str) -> int | None:
    """N for /dev/fd/N, /proc/self/fd/N and links to them such as /dev/stdout, None for all else."""
    for _ in range(40):  # as many links as Linux follows
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        if name.isdecimal() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(name)
        path = os.path.join(folder, name)
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))
    return None


def _is_descriptor(number: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(number), status)
    except OSError:
        return False


def is_stream(path: str | Path) -> bool:
    """Whether an output is written through, so that its name says nothing of its format."""
    return _place(path).is_stream


def is_standard_output(path: str | Path) -> bool:
    """Whether an output goes where a command prints, which should then say things on standard error."""
    status = _place(path).status
    return status is not None and _is_descriptor(1, status) and not _is_null(status)


def _is_null(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev


def _same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    return one is not None and other is not None and os.path.samestat(one, other)


def check_outputs(
    outputs: Iterable[str | Path], inputs: Iterable[str | Path | None] = (), replace: bool = True, make_folders: bool = False
) -> None:
    """Raise VrcnnError, before any work is done, for an output that cannot or must not be written.

    It must not be an input of the same command, nor another of its outputs, also by another name; without ``replace`` it must not be
    there yet, but for devices and pipes. inputs: files, folders whose files are read, and None for what was not given. make_folders: make
    the folders that are missing.
    """
    read = [(path, status) for given in inputs if given is not None for path, status in _files(given)]
    places: list[_Place] = []
    for path in outputs:
        place = _place(path)
        _refuse_conflicts(place, places, read)
        if place.status is not None and not place.is_stream and not replace:
            raise VrcnnError(f"{place.path} exists; give another name, or --force to replace it")
        places.append(place)
    for place in places:
        if not place.is_stream:
            if make_folders:
                _make_folder(place)
            os.unlink(_create(place))
        elif place.descriptor is None and not os.access(place.path, os.W_OK):
            raise place.error("it is write-protected")


def _refuse_conflicts(place: _Place, others: Iterable[_Place], read: Iterable[tuple[str, os.stat_result]]) -> None:
    if place.status is not None and _is_null(place.status):
        return
    for other in others:
        if place.real == other.real or _same(place.status, other.status):
            raise VrcnnError(f"{place.path} and {other.path} are the same file; every output needs a file of its own")
    for source, status in read:
        if _same(place.status, status) and not stat.S_ISCHR(status.st_mode):
            raise VrcnnError(f"{place.path} is an input of this command ({source}); give the output another name")


def _make_folder(place: _Place) -> None:
    folder = os.path.dirname(place.real)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise place.error(f"{error.filename or folder}: {error.strerror}") from None


def check_folder(folder: str | Path) -> None:
    """Make a folder if it is not there. Raises VrcnnError if it cannot be, or files cannot be made in it."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=folder):
            pass
    except OSError as error:
        raise VrcnnError(f"cannot write into {folder}: {error.strerror or error}") from None


def own_path(path: Path) -> Path:
    """A path in a folder that holds a program's own files. Raises VrcnnError if a link stands there: it might lead to others' files."""
    if path.is_symlink():
        raise VrcnnError(f"{path} is a symbolic link, where there are only files and folders that were made here; remove it")
    return path


def _files(path: str | Path) -> Iterator[tuple[str, os.stat_result]]:
    """A file, or those of a folder, and what they are, links followed; nothing where there is none."""
    with suppress(OSError, ValueError):
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            yield os.fspath(path), status
            return
        for entry in os.scandir(path):
            with suppress(OSError):
                yield entry.path, os.stat(entry.path)


def _create(place: _Place) -> str:
    """A new file of a temporary name, in the folder of the one that it will be. Raises VrcnnError."""
    # A short ending is kept: for whoever looks at the folder, and for writers that choose the format by it.
    ending = Path(place.real).suffix
    folder = os.path.dirname(place.real)
    try:
        os.lstat(place.real)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise place.error(error.strerror or str(error)) from None
    if not os.path.isdir(folder):
        raise place.error(f"there is no folder {folder}")
    name = os.path.join(folder, TEMPORARY + os.urandom(8).hex() + (ending if len(ending) <= 16 else ""))
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise place.error(error.strerror or str(error)) from None
    return name


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; on success its content becomes that of ``path``, on any error it is deleted.

    A file appears, or takes an older one's place, at once; where ``path`` is a symbolic link, the file that it points to. Devices, pipes
    and the descriptors of this process are written when everything is there. Raises VrcnnError, which names the file, where it cannot
    be written.
    """
    place = _place(path)
    if place.is_stream:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
            temporary = Path(folder) / ("stream" + Path(path).suffix)
            temporary.touch()
            with _naming(place, temporary):
                yield temporary
            _write_through(place, temporary)
        return
    temporary = Path(_create(place))
    _unfinished.add(temporary)
    try:
        with _naming(place, temporary):
            yield temporary
            if place.status is not None:
                temporary.chmod(place.status.st_mode & 0o777)
            os.replace(temporary, place.real)
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


_unfinished: set[Path] = set()


def remove_unfinished() -> None:
    """Delete what this process is still writing: for a process that ends at once."""
    for temporary in list(_unfinished):
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file, as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole file in UTF-8, line ends as they are, as `replacing` does. What is no Unicode, in file names, is written as escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def append_text(path: str | Path, text: str) -> None:
    """Add to a file, all or nothing. Raises VrcnnError, which names it."""
    try:
        with open(path, "ab") as file:
            size = file.tell()
            try:
                file.write(text.encode(errors="backslashreplace"))
                file.flush()
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise VrcnnError(f"cannot write {path}: {error.strerror or error}") from None


@contextmanager
def _naming(place: _Place, temporary: Path) -> Iterator[None]:
    """The system's errors of writing, which name no file or the temporary one, name the output."""
    try:
        yield
    except OSError as error:
        if error.filename == str(temporary) or (error.filename is None and error.errno in _OF_WRITING):
            raise place.error(error.strerror or str(error)) from None
        raise


def _write_through(place: _Place, temporary: Path) -> None:
    try:
        with _through(place) as out, temporary.open("rb") as file:
            shutil.copyfileobj(file, out)
    except BrokenPipeError:
        if place.descriptor == 1:
            raise ReaderGone from None  # standard output's has seen enough, which is no error of the file's
        raise place.error("whoever reads it has gone") from None
    except OSError as error:
        raise place.error(error.strerror or str(error)) from None


def _through(place: _Place) -> BinaryIO:
    """A stream, open."""
    if place.descriptor is None:
        return os.fdopen(os.open(place.path, os.O_WRONLY), "wb")
    if sys.stdout is not None:
        sys.stdout.flush()
    return os.fdopen(os.dup(place.descriptor), "wb")


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Yield a file to write to. As `replacing`, but devices, pipes and descriptors are written at once: for what comes piece by piece.

    Raises ReaderGone where the reader of a pipe has seen enough.
    """
    place = _place(path)
    if not place.is_stream:
        with replacing(path) as temporary, temporary.open("wb") as file:
            yield file
        return
    try:
        with _through(place) as out:
            yield out
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        if error.filename is None and error.errno in _OF_WRITING:
            raise place.error(error.strerror or str(error)) from None
        raise


def one_line(error: BaseException) -> str:
    """What an error of another library says, or its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
