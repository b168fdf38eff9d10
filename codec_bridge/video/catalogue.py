"""Test sequences by name: the catalogues in sequences/, folders of videos, and single files."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from codec_bridge.video.files import Video
from codec_bridge.video.open import PICTURE_FILES, VIDEO_FILES, check_file, open_video
from codec_bridge.video.picture import VideoError, samples_md5
from vrcnn_int.errors import VrcnnError
from vrcnn_int.extras import extra_of, require
from vrcnn_int.files import one_line
from vrcnn_int.io.documents import DocumentError, checked, read_toml

SEARCH_VARIABLE = "VRCNN_SEQUENCES"
SETS = ("builtin", "ctc")
_CONTAINERS = (".y4m", ".mkv", ".mp4")  # a catalogued .yuv may also be kept losslessly in one of these


class CatalogueError(VrcnnError):
    """A sequence or set is unknown, or its file is not found."""


Size = Annotated[int, Meta(ge=1, le=65535)]


class Entry(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a catalogue says of a sequence. files: names that it usually has. package: that installs the file, None: find it."""

    name: str
    class_name: str = field(name="class")
    files: Annotated[list[str], Meta(min_length=1)]
    width: Size
    height: Size
    rate: Annotated[str, Meta(pattern=r"^[1-9]\d{0,8}(/[1-9]\d{0,8})?$")]
    bit_depth: Annotated[int, Meta(ge=8, le=16)]
    chroma_format: Literal["400", "420", "422", "444"] = "420"
    frames: Annotated[int, Meta(ge=1)]
    md5: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] | None = None
    source: str
    licence: str
    package: str | None = None


@dataclass(frozen=True)
class Sequence:
    """One test sequence.

    path: its file. class_name: the class within its set, "" outside the catalogues. rate: pictures per second, None
    where unknown; one-picture sequences count as one picture a second. frames: pictures in the file, None where only
    reading tells. md5: of all samples as planar yuv, None where unknown.
    """

    name: str
    path: Path
    class_name: str
    width: int
    height: int
    rate: Fraction | None
    bit_depth: int
    chroma_format: str
    frames: int | None
    md5: str | None = None
    source: str = ""
    licence: str = ""

    def open(self, frames: int | None = None) -> Video:
        """The first ``frames`` pictures (None: all). Raises VideoError if the file is damaged or not what the catalogue says."""
        raw = self.path.suffix.lower() == ".yuv"
        base = "gray" if self.chroma_format == "400" else f"yuv{self.chroma_format}p"
        pixel_format = base if self.bit_depth == 8 else f"{base}{self.bit_depth}le"
        size = self.width, self.height
        known = self.md5 is not None
        video = open_video(self.path, size if raw else None, pixel_format if raw else None, self.rate, frames, as_stored=known)
        if (video.width, video.height, video.bit_depth) != (*size, self.bit_depth):
            raise VideoError(
                f"{self.path} has {video.width}x{video.height} {video.bit_depth}-bit pictures, "
                f"{self.name} should have {self.width}x{self.height} {self.bit_depth}-bit ones"
            )
        return video

    def verify(self) -> None:
        """Read all pictures and compare their MD5. Raises VideoError if it differs or is not known."""
        if self.md5 is None:
            raise VideoError(f"the MD5 of {self.name} is not known")
        found = samples_md5(self.open())
        if found != self.md5:
            raise VideoError(f"{self.path} is not {self.name} as catalogued: MD5 {found} instead of {self.md5}")


def auto_frames(width: int, height: int) -> int:
    """How many pictures are enough in all-intra coding: 4 under 110 000 luma samples, 2 under 900 000, else 1."""
    return 4 if width * height < 110_000 else 2 if width * height < 900_000 else 1


def resolve(
    set_or_path: str | Path,
    search_path: str | Path | Iterable[str | Path] | None = None,
    *,
    size: tuple[int, int] | None = None,
    pixel_format: str | None = None,
    rate: Fraction | int | None = None,
) -> list[Sequence]:
    """The sequences that a word or path means.

    set_or_path: a set (builtin, ctc), one class of it (ctc:B), a catalogued sequence (BasketballDrive), a folder (all
    its videos and picture files, by name) or a file. search_path: folders to look for catalogued files in, their
    subfolders included; a list, or text separated like PATH; None takes the environment variable VRCNN_SEQUENCES.
    size, pixel_format: of .yuv files outside the catalogues. rate: of files that do not state their own.
    Raises CatalogueError for unknown names, missing files and empty folders, VideoError for files that cannot be opened.
    """
    word = str(set_or_path)
    path = Path(set_or_path)
    name, _, class_name = word.partition(":")
    if name.lower() in SETS:
        entries = _entries(name.lower())
        classes = sorted({entry.class_name for entry in entries})
        if class_name and class_name.upper() not in (known.upper() for known in classes):
            raise CatalogueError(f"set {name} has no class {class_name!r}; it has {', '.join(classes)}")
        chosen = [entry for entry in entries if not class_name or entry.class_name.upper() == class_name.upper()]
        return [_catalogued(entry, search_path) for entry in chosen]
    if path.is_dir():
        kinds = VIDEO_FILES + PICTURE_FILES
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in kinds and file.is_file())
        if not files:
            raise CatalogueError(f"folder {path} has no video or picture files")
        return [_from_file(file, size, pixel_format, rate) for file in files]
    if word == "-" or os.path.lexists(path):
        check_file(path)
        return [_from_file(path, size, pixel_format, rate)]
    for known in SETS:
        for entry in _entries(known):
            if entry.name.lower() == word.lower():
                return [_catalogued(entry, search_path)]
    raise CatalogueError(
        f"{word!r} is neither a file or folder nor a known name; known are the sets {', '.join(SETS)}, "
        "a class such as ctc:B, and single sequences such as BasketballDrive"
    )


def _folder() -> Traversable:
    try:
        return resources.files("codec_bridge.sequences")
    except ModuleNotFoundError:  # a checkout that is not installed
        return Path(__file__).resolve().parents[2] / "sequences"


def read_catalogue(path: Path) -> list[Entry]:
    """The sequences of a catalogue; what its head says holds for each that does not say otherwise. Raises DocumentError, OSError."""
    head = read_toml(path)
    entries = checked(head.pop("sequence", None), list[dict[str, object]], str(path), prefix="sequence")
    return [checked(head | entry, Entry, str(path), prefix=f"sequence[{number}].") for number, entry in enumerate(entries)]


def _entries(name: str) -> list[Entry]:
    try:
        with resources.as_file(_folder() / f"{name}.toml") as path:
            return read_catalogue(path)
    except (OSError, DocumentError) as error:
        raise CatalogueError(f"cannot read the catalogue {name}.toml: {one_line(error)}; reinstall vrcnn-int") from None


def _catalogued(entry: Entry, search_path: str | Path | Iterable[str | Path] | None) -> Sequence:
    return _sequence(entry, _package_file(entry, entry.package) if entry.package else _find(entry, search_path))


def _sequence(entry: Entry, path: Path) -> Sequence:
    return Sequence(
        name=entry.name,
        path=path,
        class_name=entry.class_name,
        width=entry.width,
        height=entry.height,
        rate=Fraction(entry.rate),
        bit_depth=entry.bit_depth,
        chroma_format=entry.chroma_format,
        frames=entry.frames,
        md5=entry.md5,
        source=entry.source,
        licence=entry.licence,
    )


def _package_file(entry: Entry, package: str) -> Path:
    if extra := extra_of(package):
        require(entry.name, extra, package)
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, *entry.files[0].split("/"))
        if path.is_file():
            return path
    raise CatalogueError(f"{entry.name}: the installed {package} has no {entry.files[0]}")


def _find(entry: Entry, search_path: str | Path | Iterable[str | Path] | None) -> Path:
    if search_path is None:
        search_path = os.environ.get(SEARCH_VARIABLE, "")
    if isinstance(search_path, str | Path):
        search_path = str(search_path).split(os.pathsep)
    names = [Path(file).with_suffix(suffix).name for file in entry.files for suffix in (".yuv", *_CONTAINERS)]
    looked = [Path(folder) for folder in search_path if str(folder)]
    for folder in looked:
        inside = sorted(sub for sub in folder.iterdir() if sub.is_dir()) if folder.is_dir() else []
        for candidate in (place / name for place in (folder, *inside) for name in names):
            if candidate.is_file():
                return candidate
    where = f"looked in {', '.join(map(str, looked))} and their subfolders" if looked else "the search path is empty"
    raise CatalogueError(
        f"{entry.name}: there is no {' or '.join(entry.files)} ({where}); "
        f"set {SEARCH_VARIABLE} to the folders that hold the sequences, separated by {os.pathsep!r}"
    )


def _from_file(path: Path, size: tuple[int, int] | None, pixel_format: str | None, rate: Fraction | int | None) -> Sequence:
    raw = path.suffix.lower() == ".yuv"
    if raw and size is None and pixel_format is None:
        for entry in _entries("ctc"):
            if path.name in entry.files:
                return _sequence(entry, path)
    video = open_video(path, size if raw else None, pixel_format if raw else None)
    stated = video.rate or rate or (1 if path.suffix.lower() in PICTURE_FILES else None)
    return Sequence(
        name=video.name,
        path=path,
        class_name="",
        width=video.width,
        height=video.height,
        rate=Fraction(stated) if stated else None,
        bit_depth=video.bit_depth,
        chroma_format=video.chroma_format,
        frames=video.pictures,
    )
