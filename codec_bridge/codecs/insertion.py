"""Put an adapter and its calls into the source tree of a codec, say what is there, and take everything out again.

The tree's files are changed by whole inserted lines only, each with a mark at its end, so that removing the marked lines undoes the
installation exactly. The places are found by the function or class around them and a short pattern inside it. Nothing is written
unless every place was found.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from codec_bridge.codecs import together
from codec_bridge.codecs.together import InsertionError

MARK = "vrcnn-int"


@dataclass(frozen=True)
class Edit:
    """``lines`` go into ``file`` before or after the line that matches ``anchor``, the only one in the scope.

    ``scope``: the function (A::b) or class (class A) to look in; it ends with the next line that begins with a closing brace.
    None: the whole file. ``anchor`` None: the end of the scope. ``first``: the first match counts, further ones are no error.
    ``lines`` may refer to groups of the anchor by number, as \\1.
    """

    file: str
    anchor: str | None
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
class Build:
    """A way in which a codec is built, and where libvrcnn is made known there.

    name: cmake or make. file: the build file, which tells whether a tree is built this way; ``place`` is the pattern of the line that ours
    go before. include, link: our lines, with braces where the folder of the headers and the linker's words, quoted, go. more: edits of
    other build files.
    """

    name: str
    file: str
    place: str
    include: str
    link: tuple[str, ...]
    more: tuple[Edit, ...] = ()

    def edits(self, library: Library) -> tuple[Edit, ...]:
        """The lines that name the library."""
        # CMake quotes paths for the shell, but no flags.
        flags = {word: re.sub(r"(.*,)(.*)", r"\1'\2'", word) for word in library.link if self.name == "cmake" and " " in word}
        words = " ".join(f'"{flags.get(word, word) if word.startswith("-") else word}"' for word in library.link)
        lines = (self.include.format(library.include), *(line.format(words) for line in self.link))
        return (Edit(self.file, self.place, lines, first=True), *self.more)

    def library(self, text: str) -> Library:
        """The library that the lines in the text of the build file name; an empty one if there are none."""
        found = []
        for line in (self.include, self.link[0]):
            pattern = re.escape(line).replace(r"\{\}", "(.*)") + f" # {MARK}$"
            match = re.search(pattern, text.replace("\r", ""), re.M)
            found.append(match[1] if match else "")
        return Library(Path(found[0]), tuple(re.sub("^(-.*,)'(.*)'$", r"\1\2", word) for word in re.findall('"([^"]*)"', found[1])))


def cmake(file: str, place: str) -> Build:
    """A tree that is built with CMake."""
    return Build("cmake", file, place, 'include_directories("{}")', ("link_libraries({})",))


@dataclass(frozen=True)
class Codec:
    """A program that an adapter goes into.

    version: file and pattern (with one group) that tell which it is. tested: versions that were built and run with the adapter.
    package: where the adapter's files are, in its folder ``adapter``; adapter: their names, and the folders where they go. builds: the ways
    of building, of which the first that a tree has counts. tree: what its source is called; option: how its folder is given. following,
    notice: for the user after installation.
    """

    name: str
    version: tuple[str, str]
    tested: tuple[str, ...]
    package: str
    adapter: dict[str, str]
    edits: tuple[Edit, ...]
    builds: tuple[Build, ...]
    following: str
    notice: str
    tree: str = "source tree"
    option: str = "--source"

    def build(self, source: Path) -> Build:
        """How a source tree is built. Raises InsertionError if that is not known."""
        for build in self.builds:
            if (source / build.file).is_file():
                return build
        files = " nor ".join(build.file for build in self.builds)
        raise InsertionError(
            f"{source} has {'neither' if len(self.builds) > 1 else 'no'} {files}: this {self.name}'s way of building is not known"
        )


@dataclass(frozen=True)
class Status:
    """What is in a source tree. ``state``: installed, not installed, or partly installed; ``library``: what will be linked."""

    version: str
    build: str
    state: str
    library: str


def find_library(prefix: Path | None = None) -> Library:
    """The libvrcnn installed under ``prefix``, or the one that pkg-config knows. Raises InsertionError."""
    if prefix is None:
        try:
            values = [
                os.fsdecode(subprocess.run(["pkg-config", f"--variable={name}", "vrcnn"], capture_output=True, check=True).stdout).strip()
                for name in ("includedir", "libdir")
            ]
        except (OSError, subprocess.CalledProcessError):
            raise InsertionError(
                "pkg-config does not know libvrcnn; install it (make install PREFIX=...) and give --vrcnn PREFIX or set PKG_CONFIG_PATH"
            ) from None
        # It writes blanks in paths as a shell wants them.
        include, folder = (Path(" ".join(shlex.split(value))).resolve() for value in values)
    else:
        include, folder = prefix.resolve() / "include", prefix.resolve() / "lib"
    header = include / "vrcnn" / "vrcnn.h"
    advice = f"install the C library with: make install PREFIX={shlex.quote(str(prefix or '/usr/local'))}"
    if not header.is_file():
        raise InsertionError(f"there is no {header}; {advice}")
    headers = [path for path in (header, header.with_name("vrcnn_codec.h")) if path.is_file()]
    if not any("vrcnn_receiver_open" in _read(path) for path in headers):
        raise InsertionError(f"{header} is of an earlier version, without the decoder's side; {advice}")
    for name, more in (("libvrcnn.a", ()), ("libvrcnn.so", (f"-Wl,-rpath,{folder}",))):
        if (folder / name).is_file():
            return Library(include, (str(folder / name), *more, "-lpthread"))
    raise InsertionError(f"there is no libvrcnn.a or libvrcnn.so in {folder}")


def version(codec: Codec, source: Path) -> str:
    """The version that a source tree states. Raises InsertionError if it is something else."""
    file, pattern = codec.version
    if not source.is_dir():
        raise InsertionError(f"there is no folder {source}")
    match = re.search(pattern, _read(source / file), re.M) if (source / file).is_file() else None
    if not match:
        raise InsertionError(f"{source} is not a {codec.tree} of {codec.name}: {file} does not state a version")
    return match[1]


def status(codec: Codec, source: Path) -> Status:
    """What is installed in a source tree. Raises InsertionError if it is no such tree."""
    found, build = version(codec, source), codec.build(source)
    library = build.library(_read(source / build.file))
    edits = (*codec.edits, *build.edits(library))
    marked = [file for file in _files(edits) if (source / file).is_file() and MARK in _read(source / file)]
    adapter = _adapter(codec)
    copied = [path for path in adapter if (source / path).is_file()]
    if not marked and not copied:
        state = "not installed"
    elif any(old != new for _, old, new in _changes(source, edits)) or any(_read(source / path) != adapter[path] for path in copied):
        state = "installed by another version, or changed since; install again"
    elif len(copied) < len(adapter):
        state = "partly installed; install again"
    else:
        state = "installed"
    return Status(found, build.name, state, library.link[0] if library.link else "")


def install(codec: Codec, source: Path, library: Library, force: bool = False) -> list[Path]:
    """Install into a source tree, over an earlier installation if there is one; returns the files that changed.

    Raises InsertionError, with nothing changed, for versions that were never tested (without ``force``) and for places not found.
    """
    found, build = version(codec, source), codec.build(source)
    if found not in codec.tested and not force:
        *others, last = codec.tested
        tested = f"{', '.join(others)} and {last} were" if others else f"{last} was"
        raise InsertionError(f"{codec.name} {found} was never tested, only {tested}; try it with --force")
    for value in (str(library.include), *library.link):
        if re.search(r'[^\S ]|["$#\\;`]', value):
            raise InsertionError(f"{codec.name}'s build files cannot hold this path: {value!r}")
    wanted: dict[str, str | None] = {file: new for file, old, new in _changes(source, (*codec.edits, *build.edits(library))) if old != new}
    for path, text in _adapter(codec).items():
        if (source / path).is_symlink():
            raise InsertionError(f"{source / path} is a link, and a file of the adapter goes there; remove it")
        if not (source / path).is_file() or _read(source / path) != text:
            wanted[path] = text
    return _change(codec, source, wanted)


def uninstall(codec: Codec, source: Path) -> list[Path]:
    """Take every inserted line and every adapter file out; returns the files that changed. Raises InsertionError."""
    version(codec, source)
    wanted: dict[str, str | None] = {}
    for file in _files((*codec.edits, *codec.build(source).edits(Library(Path(), ())))):
        if (source / file).is_file():
            old = _read(source / file)
            new = _without_marked(old)
            if old != new:
                wanted[file] = new
    return _change(codec, source, wanted | {path: None for path in _adapter(codec) if (source / path).is_file()})


def _files(edits: Iterable[Edit]) -> list[str]:
    return list(dict.fromkeys(edit.file for edit in edits))


def _changes(source: Path, edits: tuple[Edit, ...]) -> Iterator[tuple[str, str, str]]:
    """File, its text as it is, its text as it will be. Raises InsertionError for a place that is not found."""
    for file in _files(edits):
        if not (source / file).is_file():
            raise InsertionError(f"{source} has no {file}")
        old = _read(source / file)
        new = _without_marked(old)
        for edit in edits:
            if edit.file == file:
                new = apply(edit, new)
        yield file, old, new


def apply(edit: Edit, text: str) -> str:
    """The text with the lines of the edit in it. Raises InsertionError if the place is not there, or not unique."""
    lines = _lines(text)
    start, end = 0, len(lines)
    if edit.scope:
        starts = [i for i, line in enumerate(lines) if edit.begins(line)]
        if len(starts) != 1:
            raise InsertionError(f"{edit.place}: found {len(starts) or 'no'} such places instead of one")
        start = starts[0]
        end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("}")), -1)
        if end < 0:
            raise InsertionError(f"{edit.place}: its end is not found")
    at = end
    groups: tuple[str, ...] = ()
    if edit.anchor is not None:
        plain = [i for i in range(start, end) if not lines[i].rstrip().endswith(MARK)]
        found = [(i, match) for i in plain if (match := re.search(edit.anchor, lines[i]))]
        if not found or (len(found) > 1 and not edit.first):
            raise InsertionError(f"{edit.place}: {len(found) or 'no'} lines match {edit.anchor} instead of one")
        at, groups = found[0][0] + edit.after, found[0][1].groups()
    # Lines that stand at a place already stay before those that come later.
    while edit.anchor is not None and edit.after and at < len(lines) and lines[at].rstrip().endswith(MARK):
        at += 1
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    comment = "#" if edit.file.endswith((".txt", "makefile", "makefile.base")) else "//"
    new = []
    for line in edit.lines:
        for number, group in enumerate(groups, 1):
            line = line.replace(f"\\{number}", group)
        new.append(f"{line} {comment} {MARK}{ending}")
    return "".join([*lines[:at], *new, *lines[at:]])


def _lines(text: str) -> list[str]:
    """With their ends, as compilers see them; to Unicode, more than that ends a line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _without_marked(text: str) -> str:
    return "".join(line for line in _lines(text) if not re.search(rf" (?://|#) {MARK}\s*$", line))


def _adapter(codec: Codec) -> dict[str, str]:
    """Paths in the source tree of the adapter's files, and their texts."""
    folder = resources.files(codec.package).joinpath("adapter")
    return {f"{place}/{name}": folder.joinpath(name).read_text(encoding="utf-8") for name, place in codec.adapter.items()}


def _read(path: Path) -> str:
    """As it is: undoing is exact, whatever the encoding and line endings. What is no UTF-8 comes as in file names."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InsertionError(f"cannot read {path}: {error.strerror or error}") from None


def _change(codec: Codec, source: Path, texts: dict[str, str | None]) -> list[Path]:
    """All of them or none; None: the file goes. A new file is like the one that states the version."""
    files = {source / path: None if text is None else text.encode("utf-8", "surrogateescape") for path, text in texts.items()}
    together.change(files, source / codec.version[0])
    return list(files)
