"""A results folder: one file for each job that is done, complete or not there; beside them its log and its crops.

jobs/KEY.json      what determined the result (its hash is KEY), the row, and a checksum
logs/KEY.log       command lines, what the programs printed, the failure; also of jobs that failed
crops/*.png        for the report
streams/KEY.hevc   if the plan keeps them; other codecs' by their own endings
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from codec_bridge.figures.row import Row
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import TEMPORARY, check_folder, own_path, replacing, write_bytes
from vrcnn_int.io.documents import DocumentError, read_json
from vrcnn_int.text import plain

_Kept = TypeVar("_Kept")

LOCK = ".lock"
FOLDERS = ("jobs", "logs", "crops", "streams")


def own_places(folder: Path) -> list[Path]:
    """What a results folder keeps for itself."""
    return [folder / name for name in (*FOLDERS, LOCK)]


class DamagedError(VrcnnError):
    """A result file is not what was written; the message names it."""


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, 64 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def keep(path: Path, content: Mapping[str, Any]) -> None:
    """Write content, whose ``inputs`` are what determined it, with a checksum: complete or not at all."""
    own_path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump({**content, "sha256": digest(content)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def kept(path: Path, key: str, parse: Callable[[dict[str, Any]], _Kept], then: str) -> _Kept | None:
    """What ``parse`` makes of the content that ``keep`` wrote, None if there is none.

    key: the digest of its inputs. Raises DamagedError for another file; then: what follows from that.
    """
    try:
        content = read_json(path)
        stated = content.pop("sha256")
        if digest(content["inputs"]) != key or digest(content) != stated:
            raise ValueError("its checksum is wrong")
        return parse(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DocumentError) as error:
        raise DamagedError(f"{path} is damaged ({error}); {then}") from None


@dataclass
class Result:
    """What a job gave. row: figures, or their absence with a flag. busy: seconds in encoder, decoder, filter, metrics and checks,
    counted once for jobs that share a stream. files: by name inside the results folder, each the same whoever writes it. kept: by whoever
    did the job, in the results folder."""

    key: str
    inputs: Mapping[str, Any]
    row: Row
    log: str
    busy: float = 0.0
    files: dict[str, bytes] = field(default_factory=dict)
    kept: bool = False


class Store:
    """The results in a folder; it need not be there to look for some. Only what was made here is ever replaced or deleted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else works on the folder, which is made if it is not there; what a killed run left half-written is removed.

        Raises VrcnnError if somebody does, if results cannot be written, and where links lead out of the folder.
        """
        for place in own_places(self.folder):
            own_path(place)
        for name in FOLDERS[:3]:
            check_folder(self.folder / name)
        with _locked(self.folder):
            for name in FOLDERS:
                for path in (self.folder / name).glob(TEMPORARY + "*"):
                    path.unlink(missing_ok=True)
            yield

    def save(self, result: Result) -> None:
        """Keep a result; its JSON file comes last, and only if it has figures."""
        log = "\n".join(map(plain, result.log.splitlines())) + "\n"
        files = {f"logs/{result.key}.log": log.encode(), **result.files}
        for name, data in files.items():
            path = own_path(self.folder / name)
            if not name.startswith("crops/") or not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, data)
        if result.row.flag is None:
            keep(self._path(result.key), {"inputs": result.inputs, "row": result.row.to_json()})

    def load(self, key: str) -> Row | None:
        """The row of a job, None if it is not done. Raises DamagedError."""
        path = self._path(key)
        return kept(path, key, lambda content: Row.from_json(content["row"], path.name, "row."), "its job is run again")

    def own(self, name: str) -> Path:
        """The path of a file of the folder. Raises VrcnnError if a link stands there."""
        return own_path(self.folder / name)

    def _path(self, key: str) -> Path:
        return self.folder / "jobs" / f"{key}.json"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else works on the folder inside this. Raises VrcnnError if another run does, or if no lock file is in its place."""
    from filelock import FileLock, Timeout

    path = folder / LOCK
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise VrcnnError(f"{path} is not the file that a results folder has there; remove it")
    except FileNotFoundError:
        pass
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise VrcnnError(f"another run works on {folder}; wait for it, or give another folder with --results") from None
    except OSError as error:
        raise VrcnnError(f"cannot use {path}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()
