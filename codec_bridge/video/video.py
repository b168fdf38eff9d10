"""Reading and writing video: planar yuv, Y4M, containers and HEVC streams, picture files; one Picture type for all of them."""

import hashlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing

Plane = NDArray[Any]  # uint8 or uint16, two dimensions

PICTURE_FILES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
RAW_STREAMS = (".hevc", ".h265", ".265", ".bin", ".264", ".h264")
VIDEO_FILES = (".yuv", ".y4m", ".mkv", ".mp4", ".mov", ".avi", ".webm", ".nut", ".ivf", *RAW_STREAMS)
_STEPS = {"400": (1, 1), "420": (2, 2), "422": (2, 1), "444": (1, 1)}  # luma samples per chroma sample, across and down


class VideoError(VrcnnError):
    """A video or picture file is missing, damaged, or of a kind that cannot be read."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of planar samples.

    planes: Y, or Y, U, V; C-contiguous arrays (height, width), uint8 at bit depth 8 and uint16 at 9 and 10, values
    0..2^bit_depth - 1.
    chroma_format: "400", "420", "422" or "444".
    crop: the part of the planes outside the conformance window: left, top, right, bottom in luma samples.
    Raises VideoError if these do not fit together.
    """

    planes: tuple[Plane, ...]
    bit_depth: int
    chroma_format: str
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        shapes = plane_shapes(self.planes[0].shape[1], self.planes[0].shape[0], self.chroma_format) if self.planes else []
        if [plane.shape for plane in self.planes] != shapes:
            found = [plane.shape for plane in self.planes]
            raise VideoError(f"planes of shapes {found} are not a {self.chroma_format} picture")
        dtype = _dtype(self.bit_depth)
        if any(plane.dtype != dtype or not plane.flags.c_contiguous for plane in self.planes):
            raise VideoError(f"planes of a {self.bit_depth}-bit picture must be C-contiguous {dtype}")
        left, top, right, bottom = self.crop
        x, y = _STEPS[self.chroma_format]
        outside = min(self.crop) < 0 or left + right >= self.width or top + bottom >= self.height
        if outside or left % x or right % x or top % y or bottom % y:
            raise VideoError(f"crop {self.crop} does not fit a {self.width}x{self.height} {self.chroma_format} picture")

    @property
    def width(self) -> int:
        """Width of the luma plane in samples, before cropping."""
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        """Height of the luma plane in samples, before cropping."""
        return int(self.planes[0].shape[0])

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the sample layout, such as yuv420p or gray10le."""
        base = "gray" if self.chroma_format == "400" else f"yuv{self.chroma_format}p"
        return base if self.bit_depth == 8 else f"{base}{self.bit_depth}le"

    def cropped(self) -> "Picture":
        """The picture inside the conformance window (itself if nothing is outside)."""
        if self.crop == (0, 0, 0, 0):
            return self
        left, top, right, bottom = self.crop
        planes = []
        for index, plane in enumerate(self.planes):
            x, y = _STEPS[self.chroma_format] if index else (1, 1)
            height, width = plane.shape
            planes.append(np.ascontiguousarray(plane[top // y : height - bottom // y, left // x : width - right // x]))
        return Picture(tuple(planes), self.bit_depth, self.chroma_format)

    def with_luma(self, plane: Plane) -> "Picture":
        """The same picture with another luma plane of the same shape and dtype."""
        return replace(self, planes=(plane, *self.planes[1:]))


class Video:
    """A video file. Iterating reads it picture by picture, from the start each time.

    As a context manager it closes the file wherever an iteration has not come to its end.

    name: the file's name without folder and ending. width, height: size of the pictures' planes. rate: pictures per
    second, or None where the file does not say. pictures: how many iterating gives, or None where only reading tells.
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
    ) -> None:
        self.path = path
        self.name = path.stem
        self.width, self.height = size
        self.bit_depth = bit_depth
        self.chroma_format = chroma_format
        self.rate = rate
        self.pictures = pictures
        self._read = read
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


def open_video(
    path: str | Path,
    size: tuple[int, int] | None = None,
    pixel_format: str | None = None,
    rate: Fraction | int | None = None,
    frames: int | None = None,
    cropping: bool = True,
) -> Video:
    """Open a video or picture file.

    size (width, height) and pixel_format (yuv420p, yuv420p10le, gray, ...): needed for .yuv, refused for files that
    state their own. rate: pictures per second, instead of what the file says. frames: read at most so many pictures.
    cropping: False gives pictures of an HEVC stream as coded, with ``crop`` saying what lies outside the conformance
    window; every other input has nothing outside.

    MD5 picture hashes of HEVC streams are checked where there are any. Full-range video (yuvj420p) is read as it is.
    Picture files become BT.601 pictures (`picture_from_rgb`).
    Raises VideoError for a file that is missing, truncated, empty, undecodable or of an unsupported format; for a
    truncated .yuv or .y4m it names the size that was expected.
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path} is a folder, not a video file" if path.is_dir() else f"there is no video file {path}")
    suffix = path.suffix.lower()
    if suffix != ".yuv" and (size is not None or pixel_format is not None):
        raise VideoError(f"size and pixel format can be given for .yuv files only; {path} states its own")
    try:
        if suffix == ".yuv":
            video = _open_yuv(path, size, pixel_format)
        elif suffix == ".y4m":
            video = _open_y4m(path)
        elif suffix in PICTURE_FILES:
            video = _open_picture_file(path)
        else:
            video = _open_container(path, cropping)
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error.strerror or error}") from None
    if rate is not None:
        if rate <= 0:
            raise VideoError(f"a rate of {rate} pictures per second is not possible")
        video.rate = Fraction(rate)
    return video.limited(frames)


def parse_pixel_format(name: str, what: str = "pixel format") -> tuple[str, int]:
    """Chroma format and bit depth of FFmpeg's pixel format ``name``.

    Raises VideoError for all but planar yuv and gray of 8 to 10 bits.
    """
    match = re.fullmatch(r"(?:yuvj?(420|422|444)p|gray)(?:(9|10)le)?", name)
    if not match:
        raise VideoError(
            f"{what} {name} is not supported; supported are yuv420p, yuv422p, yuv444p and gray with 8 bits, "
            "and with 9 or 10 bits as in yuv420p10le"
        )
    return match[1] or "400", int(match[2] or 8)


def plane_shapes(width: int, height: int, chroma_format: str) -> list[tuple[int, int]]:
    """(height, width) of each plane. Raises VideoError for an unknown chroma format or a size it does not divide."""
    if chroma_format not in _STEPS:
        raise VideoError(f"chroma format {chroma_format} is not supported; supported are {', '.join(_STEPS)}")
    if width < 1 or height < 1:
        raise VideoError(f"a picture of {width}x{height} samples is not possible")
    x, y = _STEPS[chroma_format]
    if width % x or height % y:
        raise VideoError(f"a {width}x{height} picture cannot have chroma format {chroma_format}: odd sizes are not supported")
    return [(height, width)] + ([] if chroma_format == "400" else 2 * [(height // y, width // x)])


def sample_bytes(plane: Plane) -> bytes:
    """The samples of a plane row by row, two bytes each above 8 bits, the lower one first: as in yuv files and picture hashes."""
    return plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes()


def samples_md5(pictures: Iterable[Picture]) -> str:
    """MD5 of all samples of all planes in order, 32 hexadecimal digits: of a yuv file with these pictures."""
    digest = hashlib.md5(usedforsecurity=False)
    for picture in pictures:
        for plane in picture.planes:
            digest.update(sample_bytes(plane))
    return digest.hexdigest()


def picture_from_rgb(array: NDArray[np.uint8]) -> Picture:
    """A photograph as an 8-bit BT.601 limited-range picture, cropped to multiples of 8 at its right and bottom.

    array: uint8, (height, width, 3) gives 4:2:0 with chroma as the mean of 2x2 samples, (height, width) gives 4:0:0.
    Integer arithmetic, rounded to nearest, so every machine gets the same samples. Raises VideoError for other shapes
    and types and for less than 8x8 samples.
    """
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        found = f"shape {array.shape} and type {array.dtype}"
        raise VideoError(f"a picture of {found} is not supported: give 8-bit gray or RGB")
    height, width = array.shape[0] // 8 * 8, array.shape[1] // 8 * 8
    if not height or not width:
        raise VideoError(f"a picture of {array.shape[1]}x{array.shape[0]} samples is too small: give at least 8x8")
    samples = array[:height, :width].astype(np.int64)
    if array.ndim == 2:
        return Picture(((16 + (219 * samples + 127) // 255).astype(np.uint8),), 8, "400")
    # Rec. ITU-R BT.601 weights times 1000: Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, and so on.
    luma = 16 + (samples @ np.array([65481, 128553, 24966]) + 127500) // 255000
    sums = samples.reshape(height // 2, 2, width // 2, 2, 3).sum(axis=(1, 3))
    u = 128 + (sums @ np.array([-37797, -74203, 112000]) + 510000) // 1020000
    v = 128 + (sums @ np.array([112000, -93786, -18214]) + 510000) // 1020000
    return Picture(tuple(np.ascontiguousarray(plane.astype(np.uint8)) for plane in (luma, u, v)), 8, "420")


def picture_from_frame(frame: av.VideoFrame, crop: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Picture:
    """The samples of a decoded frame, copied. Raises VideoError for an unsupported pixel format or size."""
    chroma_format, bit_depth = parse_pixel_format(frame.format.name)
    dtype = np.dtype(_dtype(bit_depth))
    planes = []
    for plane, (height, width) in zip(frame.planes, plane_shapes(frame.width, frame.height, chroma_format), strict=True):
        if plane.line_size <= 0:
            raise VideoError("pictures stored bottom-up are not supported")
        rows = np.frombuffer(bytes(plane), np.uint8, height * plane.line_size).reshape(height, plane.line_size)
        planes.append(np.ascontiguousarray(rows[:, : width * dtype.itemsize]).view(dtype))
    return Picture(tuple(planes), bit_depth, chroma_format, crop)


def frame_from_picture(picture: Picture) -> av.VideoFrame:
    """A PyAV frame with the samples of ``picture`` (all of its planes: crop before if need be)."""
    frame = av.VideoFrame(picture.width, picture.height, picture.pixel_format)
    for target, plane in zip(frame.planes, picture.planes, strict=True):
        buffer = np.zeros(target.buffer_size, np.uint8)
        rows = buffer[: plane.shape[0] * target.line_size].reshape(plane.shape[0], target.line_size)
        rows[:, : plane.shape[1] * plane.itemsize] = plane.view(np.uint8)
        target.update(buffer.tobytes())
    return frame


def write_yuv(path: str | Path, pictures: Iterable[Picture]) -> int:
    """Write pictures, cropped, as planar yuv (little-endian above 8 bits); returns how many.

    The file appears when it is complete. Raises VideoError if there are no pictures or they differ in size or format.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        return sum(_write_planes(file, picture) for picture in _uniform(pictures))


def write_y4m(path: str | Path, pictures: Iterable[Picture], rate: Fraction | int | None) -> int:
    """Write pictures, cropped, as Y4M; returns how many. Otherwise like `write_yuv`.

    rate: pictures per second, None for unknown.
    """
    count = 0
    number = Fraction(rate or 0)
    with replacing(path) as temporary, temporary.open("wb") as file:
        for picture in _uniform(pictures):
            if not count:
                depth = "" if picture.bit_depth == 8 else str(picture.bit_depth)
                colour = f"mono{depth}" if picture.chroma_format == "400" else picture.chroma_format + ("p" + depth if depth else "")
                fraction = f"{number.numerator}:{number.denominator if number else 0}"
                file.write(f"YUV4MPEG2 W{picture.width} H{picture.height} F{fraction} Ip A0:0 C{colour}\n".encode())
            file.write(b"FRAME\n")
            count += _write_planes(file, picture)
    return count


def _dtype(bit_depth: int) -> type[np.uint8] | type[np.uint16]:
    if not 8 <= bit_depth <= 10:
        raise VideoError(f"bit depth {bit_depth} is not supported; supported are 8, 9 and 10")
    return np.uint8 if bit_depth == 8 else np.uint16


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
    return 1


def _read_planes(file: BinaryIO, path: Path, index: int, shapes: list[tuple[int, int]], bit_depth: int, chroma_format: str) -> Picture:
    dtype = np.dtype(_dtype(bit_depth))
    planes = []
    for height, width in shapes:
        data = file.read(height * width * dtype.itemsize)
        if len(data) < height * width * dtype.itemsize:
            raise VideoError(f"{path} became shorter while it was read: picture {index} is cut off")
        plane = np.frombuffer(data, dtype.newbyteorder("<")).reshape(height, width).astype(dtype, copy=False)
        if bit_depth > 8 and int(plane.max()) >> bit_depth:
            raise VideoError(
                f"{path}, picture {index}: sample {plane.max()} does not fit {bit_depth} bits; is it little-endian {bit_depth}-bit?"
            )
        planes.append(plane)
    return Picture(tuple(planes), bit_depth, chroma_format)


def _open_yuv(path: Path, size: tuple[int, int] | None, pixel_format: str | None) -> Video:
    if size is None or pixel_format is None:
        wanted = (("its size", size), ("its pixel format (such as yuv420p)", pixel_format))
        missing = " and ".join(word for word, value in wanted if value is None)
        raise VideoError(f"{path} does not say how to read it: give {missing} (--size, --format)")
    chroma_format, bit_depth = parse_pixel_format(pixel_format)
    shapes = plane_shapes(*size, chroma_format)
    picture_bytes = sum(height * width for height, width in shapes) * np.dtype(_dtype(bit_depth)).itemsize
    total = path.stat().st_size
    count, rest = divmod(total, picture_bytes)
    what = f"{size[0]}x{size[1]} {pixel_format} ({picture_bytes} bytes a picture)"
    if rest:
        expected = f"{count + 1} picture{'s' if count else ''} would be {(count + 1) * picture_bytes}"
        raise VideoError(f"{path} is truncated or not {what}: it has {total} bytes, {expected}")
    if not count:
        raise VideoError(f"{path} has no pictures: the file is empty")

    def read() -> Iterator[Picture]:
        with path.open("rb") as file:
            for index in range(count):
                yield _read_planes(file, path, index, shapes, bit_depth, chroma_format)

    return Video(path, size, bit_depth, chroma_format, None, count, read)


def _number(text: str) -> int:
    """Digits and nothing else, where int() takes signs and underscores too; as many as programs that read Y4M take."""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def _open_y4m(path: Path) -> Video:
    with path.open("rb") as file:
        header = file.readline(4096)
        fields = header.decode("ascii", "replace").split()
        if not fields or fields[0] != "YUV4MPEG2" or not header.endswith(b"\n"):
            raise VideoError(f"{path} is not a Y4M file: it does not begin with a YUV4MPEG2 line")
        values = {field[0]: field[1:] for field in reversed(fields[1:]) if field[0] != "X"}
        if values.get("I", "p") not in ("p", "?"):
            raise VideoError(f"{path} is interlaced (I{values['I']}); give its fields as pictures of their own")
        try:
            width, height = _number(values["W"]), _number(values["H"])
            number, period = (_number(part) for part in values.get("F", "0:0").split(":"))
        except (KeyError, ValueError):
            raise VideoError(f"{path}: the Y4M header has no valid width, height or rate: {' '.join(fields)}") from None
        colour = values.get("C", "420")
        match = re.fullmatch(r"(?:(420)(?:jpeg|mpeg2|paldv)?|(420|422|444)(?:p(9|10))?|mono(9|10)?)", colour)
        if not match:
            raise VideoError(
                f"{path}: Y4M colour space C{colour} is not supported; supported are 4:2:0, 4:2:2, 4:4:4 and mono of 8 to 10 bits"
            )
        chroma_format, bit_depth = match[1] or match[2] or "400", int(match[3] or match[4] or 8)
        shapes = plane_shapes(width, height, chroma_format)
        picture_bytes = sum(rows * columns for rows, columns in shapes) * np.dtype(_dtype(bit_depth)).itemsize

        total = path.stat().st_size
        starts: list[int] = []
        while line := file.readline(4096):
            begin = file.tell()
            complete = line.endswith(b"\n")
            if (complete or len(line) >= 5) and line.split()[:1] != [b"FRAME"]:
                raise VideoError(f"{path}: picture {len(starts)} does not begin with FRAME at byte {begin - len(line)}")
            if not complete or begin + picture_bytes > total:
                needed = begin + picture_bytes + (0 if complete else len(b"FRAME\n") - len(line))
                raise VideoError(f"{path} is truncated: picture {len(starts)} ends at byte {needed}, the file has {total} bytes")
            starts.append(begin)
            file.seek(begin + picture_bytes)
    if not starts:
        raise VideoError(f"{path} has no pictures")

    def read() -> Iterator[Picture]:
        with path.open("rb") as file:
            for index, start in enumerate(starts):
                file.seek(start)
                yield _read_planes(file, path, index, shapes, bit_depth, chroma_format)

    rate = Fraction(number, period) if number > 0 and period > 0 else None
    return Video(path, (width, height), bit_depth, chroma_format, rate, len(starts), read)


def _open_picture_file(path: Path) -> Video:
    from skimage import io

    try:
        array = io.imread(path)
    except Exception as error:  # the readers behind scikit-image raise whatever they like
        raise VideoError(f"cannot decode {path}: {' '.join(str(error).split()) or type(error).__name__}") from None
    if array.ndim == 3 and array.shape[2] == 4 and array.dtype == np.uint8:
        if array[:, :, 3].min() < 255:
            raise VideoError(f"{path} has transparent samples; flatten it first")
        array = array[:, :, :3]
    try:
        picture = picture_from_rgb(array)
    except VideoError as error:
        raise VideoError(f"{path}: {error}") from None
    return Video(path, (picture.width, picture.height), 8, picture.chroma_format, None, 1, lambda: iter((picture,)))


def _ffmpeg_text(error: av.FFmpegError) -> str:
    return str(error.strerror or error)


def _open_container(path: Path, cropping: bool) -> Video:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{path} has no video stream")
            stream = container.streams.video[0]
            context = stream.codec_context
            if not context or not context.pix_fmt or not context.width:
                raise VideoError(f"{path} has no decodable video: it is truncated, damaged or of an unknown codec")
            # A raw stream has no clock: what FFmpeg reports as average rate is its own assumption of 25.
            raw = container.format.name == context.name and context.name in ("hevc", "h264")
            rate = context.framerate if raw else stream.average_rate
            is_hevc = context.name == "hevc"
            chroma_format, bit_depth = parse_pixel_format(context.pix_fmt, f"{path}: pixel format")
            size = context.width, context.height
            crop = (0, 0, 0, 0)
            if is_hevc and not cropping:
                sps = nal.find_sps(context.extradata or b"")
                size, crop = (sps.width, sps.height), sps.window
            plane_shapes(*size, chroma_format)
            expected_packets = stream.frames  # 0 where the container does not say
            expected_end = _header_end(container, stream)
    except CodecError as error:
        raise VideoError(f"cannot read {path}: {error}") from None
    except av.FFmpegError as error:
        raise VideoError(f"cannot read {path} as a video: {_ffmpeg_text(error)}") from None

    def read() -> Iterator[Picture]:
        count = packets = 0
        end: int | Fraction = 0
        hashed: bool | None = None
        try:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                context = stream.codec_context
                # FFmpeg's frame threads drop damaged HEVC pictures without an error, even with "explode".
                context.thread_count = 1
                context.options = {"err_detect": "crccheck+explode"}
                if is_hevc and not cropping:
                    context.options |= {"apply_cropping": "0"}
                for packet in container.demux(stream):
                    if packet.is_corrupt:
                        raise VideoError(f"{path} is truncated: coded picture {packets} is incomplete")
                    if raw and is_hevc and packet.size:
                        # FFmpeg takes the picture of a stream that ends within it for whole; its hash is what is missing.
                        has_hash = bool(nal.picture_hashes(nal.split(bytes(packet))))
                        hashed = has_hash if hashed is None else hashed
                        if hashed and not has_hash:
                            raise CodecError(f"picture {packets} lacks its hash")
                    packets += packet.size > 0
                    if packet.pts is not None and packet.time_base is not None:
                        end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                    for frame in packet.decode():
                        layout = (frame.width, frame.height), parse_pixel_format(frame.format.name)
                        if layout != (size, (chroma_format, bit_depth)):
                            found = f"{frame.width}x{frame.height} {frame.format.name}"
                            raise VideoError(f"{path}: picture {count} is {found}, unlike what its header says")
                        yield picture_from_frame(frame, crop)
                        count += 1
        except CodecError as error:
            raise VideoError(f"cannot decode {path} after picture {count}: {error}") from None
        except av.FFmpegError as error:
            raise VideoError(f"cannot decode {path} after picture {count}: {_ffmpeg_text(error)}") from None
        if packets < expected_packets:
            raise VideoError(f"{path} is truncated: {expected_packets} pictures were expected, it has {packets}")
        if rate and expected_end and expected_end - end > Fraction(1, 2) / rate:
            expected = f"{float(expected_end):.3f} s ({round(expected_end * rate)} pictures) were expected"
            raise VideoError(f"{path} is truncated: {expected}, it has {count} pictures")

    return Video(path, size, bit_depth, chroma_format, Fraction(rate) if rate else None, expected_packets or None, read)


def _header_end(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction:
    """End of the video in seconds as a Matroska header promises it, 0 where unknown; other containers count pictures."""
    if "matroska" not in container.format.name:
        return Fraction(0)
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match:
        return 3600 * Fraction(match[1]) + 60 * Fraction(match[2]) + Fraction(match[3])
    alone = len(container.streams) == 1
    return Fraction(container.duration or 0 if alone else 0, 1_000_000)
