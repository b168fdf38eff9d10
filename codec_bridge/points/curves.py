"""Files as rate-distortion curves: which there are, and which of them was meant."""

import codecs
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codec_bridge.points.formats import FORMATS
from codec_bridge.points.record import Columns, PointsError, Record, Source
from vrcnn_int.inputs import read_bytes

MOST_BYTES = 256 << 20
HEAD = 1 << 14
"""Bytes by which a format knows its files: HM's logs begin with a page of settings."""

READ = (".log", ".txt", ".csv", ".tsv", ".json", ".xlsx", ".xlsm")
"""Of a folder."""

ANCHORS = ("anchor", "reference")
"""What the curve of an anchor is called in files that have several; JVET's sheets say more after it."""


@dataclass(frozen=True)
class Curves:
    """Curves of one label: the points of each configuration and sequence, in the order of the file. sources: the files."""

    label: str
    points: dict[tuple[str, str], list[Record]]
    sources: tuple[Source, ...] = ()

    @property
    def classes(self) -> dict[tuple[str, str], str]:
        """By configuration and sequence."""
        return {key: next((record.class_name for record in some if record.class_name), "") for key, some in self.points.items()}


def read(argument: str, columns: Columns) -> list[Curves]:
    """The curves that an argument names: a file, a folder of files, or FILE#LABEL for one of the curves in it.

    Raises PointsError for what is not there, is of no known format, or has no such label.
    """
    path, label = _split(argument)
    files = _files(path)
    found = {file: _records(file, columns) for file in files}
    sources: dict[str, list[Source]] = {}
    for source, some in found.values():
        for name in dict.fromkeys(record.label for record in some):
            # The folder was given, and its name tells what its files are of.
            named = f"{path.resolve().name}/{source.name}" if path.is_dir() else source.name
            sources.setdefault(name, []).append(replace(source, name=named))
    records = [record for _, some in found.values() for record in some]
    by_label: dict[str, dict[tuple[str, str], list[Record]]] = {}
    for record in records:
        by_label.setdefault(record.label, {}).setdefault((record.configuration, record.sequence), []).append(record)
    whole = path.name if path.is_dir() else path.stem
    curves = [Curves(name or whole, points, tuple(sources[name])) for name, points in by_label.items()]
    return curves if label is None else [_chosen(curves, label, str(path))]


def anchor_of(argument: str, curves: Sequence[Curves]) -> Curves:
    """The anchor of an argument's curves: the only one, or the one that is called so. Raises PointsError."""
    if len(curves) == 1:
        return curves[0]
    called = [curve for curve in curves if curve.label.casefold().startswith(ANCHORS)]
    if len(called) != 1:
        raise PointsError(f"{argument} has several curves; say which is the anchor: {_offers(argument, curves)}")
    return called[0]


def chosen(anchor: str, tests: Sequence[str], columns: Columns) -> tuple[Curves, list[Curves]]:
    """The anchor of an argument, and the tests of others; without others, all that the anchor's file has beside it.

    Tests of equal names are called after their files. Raises PointsError as ``read`` does, and where nothing is left to be compared.
    """
    offered = read(anchor, columns)
    base = anchor_of(anchor, offered)
    if not tests:
        rest = [curve for curve in read(str(_split(anchor)[0]), columns) if curve.label != base.label]
        if not rest:
            raise PointsError(f"{anchor} has one curve; give a test to compare with it")
        return base, rest
    found: list[tuple[str, Curves]] = []
    for argument in tests:
        curves = read(argument, columns)
        same_file = _split(argument)[0] == _split(anchor)[0]
        own = [(argument, curve) for curve in curves if len(curves) == 1 or not (same_file and curve.label == base.label)]
        for _, curve in own:
            if any(curve.label == other.label and _same(argument, given) for given, other in found):
                raise PointsError(f"{argument} is given twice{f': {curve.label}' if len(curves) > 1 else ''}")
        found += own
    labels = [curve.label for _, curve in found]
    return base, [curve if labels.count(curve.label) == 1 else replace(curve, label=_full(argument, curve)) for argument, curve in found]


def _same(argument: str, other: str) -> bool:
    """Whether two arguments are of one file."""
    return _split(argument)[0].resolve() == _split(other)[0].resolve()


def _full(argument: str, curve: Curves) -> str:
    """A label with the file that it is of."""
    name = str(_split(argument)[0])
    return name if curve.label in (Path(name).name, Path(name).stem) else f"{name}#{curve.label}"


def _offers(argument: str, curves: Iterable[Curves]) -> str:
    return ", ".join(f"{argument}#{curve.label}" for curve in curves)


def _chosen(curves: Sequence[Curves], label: str, name: str) -> Curves:
    """The one whose label it is, or the only one that it is part of."""
    exact = [curve for curve in curves if curve.label.casefold() == label.casefold()]
    near = exact or [curve for curve in curves if label.casefold() in curve.label.casefold()]
    if len(near) != 1:
        raise PointsError(f"{name} has {'no' if not near else 'more than one'} curve {label!r:.60}; it has {_offers(name, curves)}")
    return near[0]


def _split(argument: str) -> tuple[Path, str | None]:
    if Path(argument).exists() or "#" not in argument:
        return Path(argument), None
    name, _, label = argument.rpartition("#")
    return Path(name), label


def files_of(argument: str) -> list[Path]:
    """The files that an argument reads."""
    return _files(_split(argument)[0])


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in READ and not file.name.startswith("."))
    if not files:
        raise PointsError(f"folder {path} has no files that end with {', '.join(READ)}")
    return files


def _in_utf8(path: Path, content: bytes) -> bytes:
    """Text without a mark of its encoding, which says UTF-16 of what PowerShell and spreadsheets write; all else as it is."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise PointsError(f"{path} begins as text in UTF-16 and is none; save it in UTF-8") from None
    return content.removeprefix(codecs.BOM_UTF8)


def refuse_unused(columns: Columns, curves: Iterable[Curves]) -> None:
    """Raise PointsError where columns or a sheet are named and no file that was read has such."""
    kinds = list(dict.fromkeys(source.kind for some in curves for source in some.sources))
    said = f"{'the file is' if len(kinds) == 1 else 'the files are'} of the kind {' and '.join(kind.name for kind in kinds)}"
    if columns.named and not any(kind.columns for kind in kinds):
        raise PointsError(f"--column names columns of tables, and none is given: {said}; leave it out")
    if columns.sheet is not None and not any(kind.sheets for kind in kinds):
        raise PointsError(f"--sheet names a sheet of workbooks, and none is given: {said}; leave it out")


def _records(path: Path, columns: Columns) -> tuple[Source, list[Record]]:
    try:
        content = read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise PointsError(f"cannot read {path}: {error.strerror or error}") from None
    if not content:
        raise PointsError(f"{path} has no RD points: the file is empty")
    digest = hashlib.sha256(content).hexdigest()
    content = _in_utf8(path, content)
    kind = next((kind for kind in FORMATS if kind.claims(path, content[:HEAD])), None)
    if kind is None:
        raise PointsError(f"{path} is of no known format; known are: {'; '.join(kind.name for kind in FORMATS)}")
    return Source(path.name, kind, digest), kind.read(path, content, columns)
