"""Files of a source tree that change together: all of them, or none."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from vrcnn_int.errors import VrcnnError


class InsertionError(VrcnnError):
    """The folder is not a source tree that can be changed, or libvrcnn is not there."""


@dataclass(frozen=True)
class _Change:
    """target: no link. new: what takes its place, None: nothing. old: what stood there, if anything did."""

    target: Path
    new: Path | None
    old: Path

    def make(self) -> None:
        if self.new:
            os.replace(self.new, self.target)
        else:
            os.replace(self.target, self.old)

    def undo(self) -> None:
        """Also where it was not made."""
        if self.old.exists():
            os.replace(self.old, self.target)
        elif self.new:
            self.target.unlink(missing_ok=True)


def change(files: Mapping[Path, bytes | None], like: Path) -> None:
    """Write files, and remove those with None.

    Modes and owners stay; a new file gets those of the file ``like``. A link stays: what it leads to is written. Raises
    InsertionError, with nothing changed, if one of them cannot be.
    """
    changes: dict[Path, _Change] = {}
    with ExitStack() as stack:
        at = like
        try:
            for at, data in files.items():
                changes[at] = _prepare(stack, at, data, like)
            if len({change.target for change in changes.values()}) < len(changes):
                raise InsertionError("two of the files that are to change are links to one; nothing was changed")
            for at in changes:
                changes[at].make()
        except BaseException as error:
            for made in reversed(changes.values()):
                made.undo()
            if isinstance(error, OSError):
                raise InsertionError(f"cannot change {at}: {error.strerror or error}; nothing was changed") from None
            raise


def _prepare(stack: ExitStack, path: Path, data: bytes | None, like: Path) -> _Change:
    """Everything that needs room or rights, in a folder beside the file."""
    target = path if data is None else path.resolve()
    folder = Path(tempfile.mkdtemp(prefix=".vrcnn-int.", dir=target.parent))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    new, old = folder / "new", folder / "old"
    if data is None:
        return _Change(target, None, old)
    new.write_bytes(data)
    status = (target if target.exists() else like).stat()
    with suppress(OSError):  # only root gives files away
        os.chown(new, status.st_uid, status.st_gid)
    new.chmod(status.st_mode & 0o7777)
    if target.exists():
        try:
            os.link(target, old)
        except OSError:  # not every file system has links
            shutil.copy2(target, old)
    return _Change(target, new, old)
