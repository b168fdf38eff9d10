"""A results folder: one file for each job that is done, complete or not there; beside them its log and its crops.

jobs/KEY.json      what determined the result (its hash is KEY), the row, and a checksum
logs/KEY.log       command lines, what the programs printed, the failure; also of jobs that failed
crops/*.png        for the report
streams/KEY.hevc   if the plan keeps them
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codec_bridge.figures.row import Row
from vrcnn_int.documents import DocumentError, read_json
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing

LOCK = ".lock"
FOLDERS = ("jobs", "logs", "crops", "streams")


class DamagedError(VrcnnError):
    """A result file is not what was written; the message names it."""


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, 64 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


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
    """The results in a folder, which is made if it is not there. Raises VrcnnError if that cannot be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            for name in FOLDERS[:3]:
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VrcnnError(f"cannot use {folder} for results: {error.strerror or error}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else works on the folder; what a killed run left half-written is removed. Raises VrcnnError if somebody does."""
        with (self.folder / LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise VrcnnError(f"another run works on {self.folder}; wait for it, or give another folder with --results") from None
            for name in FOLDERS:
                for path in (self.folder / name).glob(".*"):
                    path.unlink(missing_ok=True)
            yield

    def save(self, result: Result) -> None:
        """Keep a result; its JSON file comes last, and only if it has figures."""
        files = {f"logs/{result.key}.log": result.log.encode(), **result.files}
        for name, data in files.items():
            path = self.folder / name
            if not name.startswith("crops/") or not path.exists():
                path.parent.mkdir(exist_ok=True)
                with replacing(path) as temporary:
                    temporary.write_bytes(data)
        if result.row.flag is None:
            content = {"inputs": result.inputs, "row": result.row.to_json()}
            with replacing(self._path(result.key)) as temporary, temporary.open("w", encoding="utf-8") as file:
                json.dump({**content, "sha256": digest(content)}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())

    def load(self, key: str) -> Row | None:
        """The row of a job, None if it is not done. Raises DamagedError."""
        path = self._path(key)
        try:
            content = read_json(path)
            stated = content.pop("sha256")
            if digest(content["inputs"]) != key or digest(content) != stated:
                raise ValueError("its checksum is wrong")
            return Row.from_json(content["row"], path.name, "row.")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, DocumentError) as error:
            raise DamagedError(f"{path} is damaged ({error}); its job is run again") from None

    def _path(self, key: str) -> Path:
        return self.folder / "jobs" / f"{key}.json"
