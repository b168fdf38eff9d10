"""Video files: planar yuv and Y4M, read and written; what every kind of video file is once it is open."""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from codec_bridge.bitstream.pictures import Coding
from codec_bridge.video.metadata import LARGEST, NOTHING, Metadata, y4m_header, y4m_metadata, y4m_rate
from codec_bridge.video.picture import Picture, VideoError, parse_pixel_format, plane_shapes, sample_bytes, sample_type
from vrcnn_int.files import writing
from vrcnn_int.text import named

STANDARD_INPUT = "/dev/stdin"
_LINE = 4096
"""Bytes of a line of Y4M, at most."""


class Account:
    """What reading a video has found so far: faults, a line each, that were gone over; notes, a line each, of what else is to be known."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._notes: Callable[[], list[str]] = list

    def begin(self, faults: list[str], notes: Callable[[], list[str]]) -> None:
        """Of a new iteration, which fills these."""
        self.faults, self._notes = faults, notes

    @property
    def notes(self) -> list[str]:
        """As they are now."""
        return self._notes()


class Video:
    """A video file. Iterating reads it picture by picture, from the start each time.

    As a context manager it closes the file wherever an iteration has not come to its end.

    name: the file's name without folder and ending. width, height: size of the pictures' planes. rate: pictures per
    second, or None where the file does not say. pictures: how many iterating gives, or None where only reading tells.
    metadata: what it says beside samples. contained: it is a stream of a container, which may hold others. account: of the last iteration.
    Iterating raises VideoError where the file is damaged.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        bit_depth: int,
        chroma_format: str,
        rate: Fraction | None,
        pictures: int | None,
        read: Callable[[], Iterator[Picture]],
        metadata: Metadata = NOTHING,
        account: Account | None = None,
        survey: Callable[[int | None], list[Coding]] | None = None,
    ) -> None:
        self.path = path
        self.name = named(path.stem)
        self.width, self.height = size
        self.bit_depth = bit_depth
        self.chroma_format = chroma_format
        self.rate = rate
        self.pictures = pictures
        self.metadata = metadata
        self.contained = False
        self.account = account or Account()
        self._read = read
        self._survey = survey
        self._limit: int | None = None
        self._running: list[Generator[Picture, None, None]] = []

    def limited(self, frames: int | None) -> "Video":
        """This video, ending after ``frames`` pictures (None: all). Raises VideoError if that is not a positive number."""
        if frames is not None:
            if frames < 1:
                raise VideoError(f"cannot read {frames} pictures of {self.path}: ask for at least one")
            self._limit = frames
            self.pictures = None if self.pictures is None else min(self.pictures, frames)
        return self

    def codings(self) -> list[Coding]:
        """What the stream says of how its pictures were coded, in decoding order, without decoding them; [] where it does not say.

        Raises VideoError where the file is damaged.
        """
        return self._survey(self._limit) if self._survey else []

    def __iter__(self) -> Iterator[Picture]:
        generator = self._generate()
        self._running.append(generator)
        return generator

    def _generate(self) -> Generator[Picture, None, None]:
        count = 0
        for picture in islice(self._read(), self._limit):
            count += 1
            yield picture
        if not count:
            raise VideoError(f"{self.path} has no pictures")

    def close(self) -> None:
        """Close the file wherever an iteration has not come to its end."""
        while self._running:
            self._running.pop().close()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def write_yuv(path: str | Path, pictures: Iterable[Picture]) -> int:
    """Write pictures, cropped, as planar yuv (little-endian above 8 bits); returns how many.

    The file appears when it is complete; a pipe gets each picture at once. Raises
    VideoError if there are no pictures or they differ in size or format.
    """
    with writing(path) as file:
        return sum(_write_planes(file, picture) for picture in _uniform(pictures))


def write_y4m(path: str | Path, pictures: Iterable[Picture], rate: Fraction | int | None, metadata: Metadata = NOTHING) -> int:
    """Write pictures, cropped, as Y4M; returns how many. Otherwise like `write_yuv`.

    rate: pictures per second, None for unknown; raises VideoError for one that Y4M cannot say. metadata: what the header can hold of it.
    """
    count = 0
    try:
        number = y4m_rate(Fraction(rate or 0))
    except ValueError:
        raise VideoError(f"a rate of {float(rate or 0):g} pictures a second does not fit into a Y4M file; give another one") from None
    with writing(path) as file:
        for picture in _uniform(pictures):
            if not count:
                header = y4m_header((picture.width, picture.height), picture.chroma_format, picture.bit_depth, number, metadata)
                file.write(f"{header}\n".encode())
            file.write(b"FRAME\n")
            count += _write_planes(file, picture)
    return count


def _uniform(pictures: Iterable[Picture]) -> Iterator[Picture]:
    first: Picture | None = None
    for picture in pictures:
        picture = picture.cropped()
        first = first or picture
        if (picture.pixel_format, picture.width, picture.height) != (first.pixel_format, first.width, first.height):
            raise VideoError(
                f"pictures of one file must be alike: {first.width}x{first.height} {first.pixel_format}, "
                f"then {picture.width}x{picture.height} {picture.pixel_format}"
            )
        yield picture
    if first is None:
        raise VideoError("there are no pictures to write")


def _write_planes(file: BinaryIO, picture: Picture) -> int:
    for plane in picture.planes:
        file.write(sample_bytes(plane))
    file.flush()
    return 1


def _read_planes(file: BinaryIO, path: Path, index: int, shapes: list[tuple[int, int]], bit_depth: int, chroma_format: str) -> Picture:
    dtype = np.dtype(sample_type(bit_depth))
    planes = []
    for height, width in shapes:
        data = file.read(height * width * dtype.itemsize)
        if len(data) < height * width * dtype.itemsize:
            what = "became shorter while it was read" if path.is_file() else "ends early"
            raise VideoError(f"{path} {what}: picture {index} is cut off")
        plane = np.frombuffer(data, dtype.newbyteorder("<")).reshape(height, width).astype(dtype, copy=False)
        if bit_depth > 8 and int(plane.max()) >> bit_depth:
            raise VideoError(
                f"{path}, picture {index}: sample {plane.max()} does not fit {bit_depth} bits; is it little-endian {bit_depth}-bit?"
            )
        planes.append(plane)
    return Picture(tuple(planes), bit_depth, chroma_format)


def open_yuv(path: Path, size: tuple[int, int] | None, pixel_format: str | None) -> Video:
    """Open planar yuv, which does not say its size and format. Raises VideoError without them, and for a file that is not whole."""
    if size is None or pixel_format is None:
        wanted = (("its size", size), ("its pixel format (such as yuv420p)", pixel_format))
        missing = " and ".join(word for word, value in wanted if value is None)
        raise VideoError(f"{path} does not say how to read it: give {missing} (--size, --format)")
    chroma_format, bit_depth = parse_pixel_format(pixel_format)
    shapes = plane_shapes(*size, chroma_format)
    picture_bytes = sum(height * width for height, width in shapes) * np.dtype(sample_type(bit_depth)).itemsize
    total = path.stat().st_size
    count, rest = divmod(total, picture_bytes)
    what = f"{size[0]}x{size[1]} {pixel_format} ({picture_bytes} bytes a picture)"
    if rest:
        expected = f"{count + 1} picture{'s' if count else ''} would be {(count + 1) * picture_bytes}"
        raise VideoError(f"{path} is truncated or not {what}: it has {total} bytes, {expected}")

    def read() -> Iterator[Picture]:
        with path.open("rb") as file:
            for index in range(count):
                yield _read_planes(file, path, index, shapes, bit_depth, chroma_format)

    return Video(path, size, bit_depth, chroma_format, None, count, read)


def _number(text: str) -> int:
    """Digits and nothing else, where int() takes signs and underscores too; as large as programs that read Y4M take."""
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > LARGEST:
        raise ValueError(text)
    return int(text)


def _y4m_values(path: Path, fields: list[str]) -> dict[str, str]:
    """Of the fields of a Y4M file's first line, but comments (X). Raises VideoError for what is said twice, XCOLORRANGE too."""
    values: dict[str, str] = {}
    for field in fields:
        name, value = (field[0], field[1:]) if field[0] != "X" else field.partition("=")[::2]
        if name in values and (name == "XCOLORRANGE" or name[0] != "X"):
            raise VideoError(f"{path}: the Y4M header gives {name} twice: {values[name]:.40} and {value:.40}")
        values[name] = value
    return values


@dataclass(frozen=True)
class _Y4m:
    """What a Y4M header says. shapes, picture_bytes: of a picture."""

    size: tuple[int, int]
    chroma_format: str
    bit_depth: int
    rate: Fraction | None
    metadata: Metadata
    shapes: list[tuple[int, int]]
    picture_bytes: int


def _y4m(path: Path, header: bytes) -> _Y4m:
    fields = header.decode("ascii", "replace").split()
    if not fields or fields[0] != "YUV4MPEG2" or not header.endswith(b"\n"):
        raise VideoError(f"{path} is not a Y4M file: it does not begin with a YUV4MPEG2 line")
    values = _y4m_values(path, fields[1:])
    if values.get("I", "p") not in ("p", "?"):
        raise VideoError(f"{path} is interlaced (I{values['I']}); give its fields as pictures of their own")
    try:
        width, height = _number(values["W"]), _number(values["H"])
        number, period = (_number(part) for part in values.get("F", "0:0").split(":"))
    except (KeyError, ValueError):
        raise VideoError(f"{path}: the Y4M header has no valid width, height or rate: {' '.join(fields)}") from None
    colour = values.get("C", "420")
    match = re.fullmatch(r"(?:(420)(?:jpeg|mpeg2|paldv)?|(420|422|444)(?:p(9|10|12))?|mono(9|10|12)?)", colour)
    if not match:
        raise VideoError(
            f"{path}: Y4M colour space C{colour} is not supported; supported are 4:2:0, 4:2:2, 4:4:4 and mono of 8 to 10 and 12 bits"
        )
    chroma_format, bit_depth = match[1] or match[2] or "400", int(match[3] or match[4] or 8)
    shapes = plane_shapes(width, height, chroma_format)
    picture_bytes = sum(rows * columns for rows, columns in shapes) * np.dtype(sample_type(bit_depth)).itemsize
    rate = Fraction(number, period) if number > 0 and period > 0 else None
    return _Y4m((width, height), chroma_format, bit_depth, rate, y4m_metadata(fields, colour), shapes, picture_bytes)


def _check_frame(path: Path, number: int, line: bytes, begin: int | None = None) -> None:
    """Raises VideoError for a line that is not FRAME, or says of two fields: Ixyz, x how the picture is shown, y how it was sampled."""
    if line.split()[:1] != [b"FRAME"]:
        raise VideoError(f"{path}: picture {number} does not begin with FRAME{'' if begin is None else f' at byte {begin}'}")
    for field in line.decode("ascii", "replace").split()[1:]:
        if re.match("I([tTbB]|.i)", field):
            raise VideoError(f"{path}: picture {number} is interlaced ({field:.40}); give its fields as pictures of their own")


def open_y4m(path: Path) -> Video:
    """Open Y4M. Raises VideoError for what is not progressive, not supported or not whole."""
    with path.open("rb") as file:
        said = _y4m(path, file.readline(_LINE))
        total = path.stat().st_size
        starts: list[int] = []
        while line := file.readline(_LINE):
            begin = file.tell()
            complete = line.endswith(b"\n")
            if complete or len(line) >= 5:
                _check_frame(path, len(starts), line, begin - len(line))
            if not complete or begin + said.picture_bytes > total:
                needed = begin + said.picture_bytes + (0 if complete else len(b"FRAME\n") - len(line))
                raise VideoError(f"{path} is truncated: picture {len(starts)} ends at byte {needed}, the file has {total} bytes")
            starts.append(begin)
            file.seek(begin + said.picture_bytes)
    if not starts:
        raise VideoError(f"{path} has no pictures")

    def read() -> Iterator[Picture]:
        with path.open("rb") as file:
            for index, start in enumerate(starts):
                file.seek(start)
                yield _read_planes(file, path, index, said.shapes, said.bit_depth, said.chroma_format)

    return Video(path, said.size, said.bit_depth, said.chroma_format, said.rate, len(starts), read, said.metadata)


def open_y4m_pipe(path: Path) -> Video:
    """Open Y4M that comes through a pipe, or standard input (/dev/stdin): picture by picture, and once.

    Raises VideoError as `open_y4m` does; where a picture is cut off, when it comes to it.
    """
    # Closed when the last picture was read, or an iteration is.
    file = open(0, "rb", closefd=False) if str(path) == STANDARD_INPUT else path.open("rb")  # noqa: SIM115
    said = _y4m(path, file.readline(_LINE))

    def read() -> Iterator[Picture]:
        if file.closed:
            raise VideoError(f"{path} is a pipe, which is read once")
        with file:
            number = 0
            while line := file.readline(_LINE):
                _check_frame(path, number, line)
                yield _read_planes(file, path, number, said.shapes, said.bit_depth, said.chroma_format)
                number += 1

    return Video(path, said.size, said.bit_depth, said.chroma_format, said.rate, None, read, said.metadata)
