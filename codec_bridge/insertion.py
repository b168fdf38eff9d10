"""Put an adapter and its calls into the source tree of a codec, say what is there, and take everything out again.

The tree's files are changed by whole inserted lines only, each with a mark at its end, so that removing the marked lines undoes the
installation exactly. The places are found by the function or class around them and a short pattern inside it. Nothing is written
unless every place was found.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing

MARK = "vrcnn-int"


class InsertionError(VrcnnError):
    """The folder is not a source tree that can be changed, or libvrcnn is not there."""


@dataclass(frozen=True)
class Edit:
    """``lines`` go into ``file`` before or after the line that matches ``anchor``, the only one in the scope.

    ``scope``: the function (A::b) or class (class A) to look in; it ends with the next line that begins with a closing brace.
    None: the whole file. ``first``: the first match counts, further ones are no error.
    """

    file: str
    anchor: str
    lines: tuple[str, ...]
    scope: str | None = None
    after: bool = False
    first: bool = False

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.file}{': in ' + self.scope if self.scope else ''}"

    def begins(self, line: str) -> bool:
        """Whether the scope begins with this line."""
        assert self.scope
        if self.scope.startswith(("class ", "struct ")):
            return bool(re.search(rf"^(?:typedef )?{self.scope}\b[^;]*$", line.rstrip()))
        return bool(re.search(rf"^\S.*\b{self.scope}\s*\([^;]*$", line.rstrip()))


@dataclass(frozen=True)
class Library:
    """An installed libvrcnn: folder of its headers, and what a linker is told."""

    include: Path
    link: tuple[str, ...]


@dataclass(frozen=True)
class Codec:
    """A program that an adapter goes into.

    version: file and pattern (with one group) that tell which it is. tested: versions that were built and run with the adapter.
    package: where the adapter's files are, in its folder ``adapter``; folder: where they go. build_file: the CMake file with the
    place (a pattern) where libvrcnn is made known. notice: lines for the user after installation.
    """

    name: str
    version: tuple[str, str]
    tested: tuple[str, ...]
    package: str
    adapter: tuple[str, ...]
    folder: str
    edits: tuple[Edit, ...]
    build_file: str
    build_place: str
    notice: str

    def build_edits(self, library: Library) -> tuple[Edit, ...]:
        """Where CMake is told of libvrcnn. Raises InsertionError."""
        for value in (str(library.include), *library.link):
            if re.search(r'[\s"$#\\;]', value):
                raise InsertionError(f"CMake files cannot hold this path: {value!r}")
        lines = (f'include_directories("{library.include}")', "link_libraries({})".format(" ".join(f'"{part}"' for part in library.link)))
        return (Edit(self.build_file, self.build_place, lines, first=True),)


@dataclass(frozen=True)
class Status:
    """What is in a source tree. ``state``: installed, not installed, or partly installed; ``library``: what will be linked."""

    version: str
    state: str
    library: str


def find_library(prefix: Path | None = None) -> Library:
    """The libvrcnn installed under ``prefix``, or the one that pkg-config knows. Raises InsertionError."""
    if prefix is None:
        try:
            values = [
                subprocess.run(["pkg-config", f"--variable={name}", "vrcnn"], capture_output=True, text=True, check=True).stdout.strip()
                for name in ("includedir", "libdir")
            ]
        except (OSError, subprocess.CalledProcessError):
            raise InsertionError(
                "pkg-config does not know libvrcnn; install it (make install PREFIX=...) and give --vrcnn PREFIX or set PKG_CONFIG_PATH"
            ) from None
        include, folder = (Path(value).resolve() for value in values)
    else:
        include, folder = prefix.resolve() / "include", prefix.resolve() / "lib"
    header = include / "vrcnn" / "vrcnn.h"
    advice = f"install the C library with: make install PREFIX={prefix or '/usr/local'}"
    if not header.is_file():
        raise InsertionError(f"there is no {header}; {advice}")
    if "vrcnn_decide" not in header.read_text(encoding="utf-8"):
        raise InsertionError(f"{header} is of an earlier version, without the encoder's decision; {advice}")
    for name, more in (("libvrcnn.a", ()), ("libvrcnn.so", (f"-Wl,-rpath,{folder}",))):
        if (folder / name).is_file():
            return Library(include, (str(folder / name), *more, "-lpthread"))
    raise InsertionError(f"there is no libvrcnn.a or libvrcnn.so in {folder}")


def version(codec: Codec, source: Path) -> str:
    """The version that a source tree states. Raises InsertionError if it is something else."""
    file, pattern = codec.version
    match = re.search(pattern, _read(source / file), re.M) if (source / file).is_file() else None
    if not match:
        raise InsertionError(f"{source} is not a source tree of {codec.name}: {file} does not state a version")
    return match[1]


def status(codec: Codec, source: Path) -> Status:
    """What is installed in a source tree. Raises InsertionError if it is no such tree."""
    found = version(codec, source)
    marked = [file for file in _edited_files(codec) if (source / file).is_file() and MARK in _read(source / file)]
    copied = [name for name in codec.adapter if (source / codec.folder / name).is_file()]
    library = _library_there(codec, source)
    if not marked and not copied:
        state = "not installed"
    elif any(old != new for _, old, new in _changes(codec, source, codec.build_edits(library))) or any(
        _read(source / codec.folder / name) != _adapter(codec, name) for name in copied
    ):
        state = "installed by another version, or changed since; install again"
    elif len(copied) < len(codec.adapter):
        state = "partly installed; install again"
    else:
        state = "installed"
    return Status(found, state, library.link[0] if library.link else "")


def install(codec: Codec, source: Path, library: Library, force: bool = False) -> list[Path]:
    """Install into a source tree, over an earlier installation if there is one; returns the files that changed.

    Raises InsertionError, with nothing changed, for versions that were never tested (without ``force``) and for places not found.
    """
    found = version(codec, source)
    if found not in codec.tested and not force:
        raise InsertionError(f"{codec.name} {found} was never tested, only {' and '.join(codec.tested)}; try it with --force")
    written = []
    changes = list(_changes(codec, source, codec.build_edits(library)))
    for file, old, new in changes:
        if old != new:
            written.append(_write(source / file, new))
    for name in codec.adapter:
        target = source / codec.folder / name
        if not target.is_file() or _read(target) != _adapter(codec, name):
            written.append(_write(target, _adapter(codec, name)))
    return written


def uninstall(codec: Codec, source: Path) -> list[Path]:
    """Take every inserted line and every adapter file out; returns the files that changed. Raises InsertionError."""
    version(codec, source)
    written = []
    for file in _edited_files(codec):
        if (source / file).is_file():
            old = _read(source / file)
            new = _without_marked(old)
            if old != new:
                written.append(_write(source / file, new))
    for name in codec.adapter:
        target = source / codec.folder / name
        if target.is_file():
            target.unlink()
            written.append(target)
    return written


def _library_there(codec: Codec, source: Path) -> Library:
    """The library that the build file names."""
    marked = [line for line in _read(source / codec.build_file).splitlines() if line.rstrip().endswith(MARK)]
    include = next((match[1] for line in marked if (match := re.search(r'include_directories\("([^"]+)"', line))), "")
    link = next((line for line in marked if line.startswith("link_libraries(")), "")
    return Library(Path(include), tuple(re.findall(r'"([^"]+)"', link)))


def _edited_files(codec: Codec) -> list[str]:
    return list(dict.fromkeys([*(edit.file for edit in codec.edits), codec.build_file]))


def _changes(codec: Codec, source: Path, build_edits: tuple[Edit, ...]) -> Iterator[tuple[str, str, str]]:
    """File, its text as it is, its text as it will be. Raises InsertionError for a place that is not found."""
    for file in _edited_files(codec):
        if not (source / file).is_file():
            raise InsertionError(f"{source} has no {file}")
        old = _read(source / file)
        new = _without_marked(old)
        for edit in (*codec.edits, *build_edits):
            if edit.file == file:
                new = apply(edit, new)
        yield file, old, new


def apply(edit: Edit, text: str) -> str:
    """The text with the lines of the edit in it. Raises InsertionError if the place is not there, or not unique."""
    lines = text.splitlines(keepends=True)
    start, end = 0, len(lines)
    if edit.scope:
        starts = [i for i, line in enumerate(lines) if edit.begins(line)]
        if len(starts) != 1:
            raise InsertionError(f"{edit.place}: found {len(starts) or 'no'} such places instead of one")
        start = starts[0]
        end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("}")), -1)
        if end < 0:
            raise InsertionError(f"{edit.place}: its end is not found")
    found = [i for i in range(start, end) if not lines[i].rstrip().endswith(MARK) and re.search(edit.anchor, lines[i])]
    if not found or (len(found) > 1 and not edit.first):
        raise InsertionError(f"{edit.place}: {len(found) or 'no'} lines match {edit.anchor} instead of one")
    at = found[0] + edit.after
    # Lines that stand at a place already stay before those that come later.
    while edit.after and at < len(lines) and lines[at].rstrip().endswith(MARK):
        at += 1
    ending = "\r\n" if lines[0].endswith("\r\n") else "\n"
    comment = "#" if edit.file.endswith(".txt") else "//"
    return "".join([*lines[:at], *(f"{line} {comment} {MARK}{ending}" for line in edit.lines), *lines[at:]])


def _without_marked(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not re.search(rf" (?://|#) {MARK}\s*$", line))


def _adapter(codec: Codec, name: str) -> str:
    return resources.files(codec.package).joinpath("adapter", name).read_text(encoding="utf-8")


def _read(path: Path) -> str:
    """As it is: undoing is exact, whatever the encoding and line endings."""
    with path.open(encoding="latin-1", newline="") as file:
        return file.read()


def _write(path: Path, text: str) -> Path:
    mode = path.stat().st_mode if path.exists() else None
    with replacing(path) as temporary, temporary.open("w", encoding="latin-1", newline="") as file:
        file.write(text)
    if mode is None:
        shutil.copymode(next(other for other in path.parent.iterdir() if other.is_file() and other != path), path)
    else:
        os.chmod(path, mode)
    return path
