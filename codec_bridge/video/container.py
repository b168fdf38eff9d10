"""Containers and HEVC streams through PyAV, and picture files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.video.files import Video
from codec_bridge.video.picture import Picture, VideoError, parse_pixel_format, picture_from_rgb, plane_shapes, sample_type


def picture_from_frame(frame: av.VideoFrame, crop: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Picture:
    """The samples of a decoded frame, copied. Raises VideoError for an unsupported pixel format or size."""
    chroma_format, bit_depth = parse_pixel_format(frame.format.name)
    dtype = np.dtype(sample_type(bit_depth))
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


def open_picture_file(path: Path) -> Video:
    """A picture file as a video of one picture (picture.picture_from_rgb). VideoError: it cannot be decoded or is transparent."""
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


@dataclass(frozen=True)
class _Header:
    """What a container or stream says of its video. packets, end (seconds): 0 where it does not say."""

    size: tuple[int, int]
    chroma_format: str
    bit_depth: int
    rate: Fraction | None
    is_hevc: bool
    raw: bool
    """A stream without a container."""
    uncropped: bool
    crop: tuple[int, int, int, int]
    packets: int
    end: Fraction


def open_container(path: Path, cropping: bool) -> Video:
    """Open whatever FFmpeg can decode. cropping: as for open.open_video. Raises VideoError for what cannot be decoded."""
    header = _read_header(path, cropping)
    rate = Fraction(header.rate) if header.rate else None
    return Video(path, header.size, header.bit_depth, header.chroma_format, rate, header.packets or None, lambda: _read(path, header))


def _read_header(path: Path, cropping: bool) -> _Header:
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
            uncropped = is_hevc and not cropping
            if uncropped:
                sps = nal.find_sps(context.extradata or b"")
                size, crop = (sps.width, sps.height), sps.window
            plane_shapes(*size, chroma_format)
            end = _header_end(container, stream)
            return _Header(size, chroma_format, bit_depth, rate, is_hevc, raw, uncropped, crop, stream.frames, end)
    except CodecError as error:
        raise VideoError(f"cannot read {path}: {error}") from None
    except av.FFmpegError as error:
        raise VideoError(f"cannot read {path} as a video: {_ffmpeg_text(error)}") from None


def _read(path: Path, header: _Header) -> Iterator[Picture]:
    count = packets = 0
    end: int | Fraction = 0
    try:
        with av.open(str(path)) as container:
            for packet in _packets(path, header, container):
                packets += packet.size > 0
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                for frame in packet.decode():
                    layout = (frame.width, frame.height), parse_pixel_format(frame.format.name)
                    if layout != (header.size, (header.chroma_format, header.bit_depth)):
                        kind = f"{frame.width}x{frame.height} {frame.format.name}"
                        raise VideoError(f"{path}: picture {count} is {kind}, unlike what its header says")
                    yield picture_from_frame(frame, header.crop)
                    count += 1
    except CodecError as error:
        raise VideoError(f"cannot decode {path} after picture {count}: {error}") from None
    except av.FFmpegError as error:
        raise VideoError(f"cannot decode {path} after picture {count}: {_ffmpeg_text(error)}") from None
    if packets < header.packets:
        raise VideoError(f"{path} is truncated: {header.packets} pictures were expected, it has {packets}")
    if header.rate and header.end and header.end - end > Fraction(1, 2) / header.rate:
        expected = f"{float(header.end):.3f} s ({round(header.end * header.rate)} pictures) were expected"
        raise VideoError(f"{path} is truncated: {expected}, it has {count} pictures")


def _packets(path: Path, header: _Header, container: av.container.InputContainer) -> "Iterator[av.Packet[av.VideoStream]]":
    """The packets of the video. Raises VideoError for one that is cut off, CodecError for a picture without the hash that others have."""
    stream = container.streams.video[0]
    context = stream.codec_context
    # FFmpeg's frame threads drop damaged HEVC pictures without an error, even with "explode".
    context.thread_count = 1
    context.options = {"err_detect": "crccheck+explode"}
    if header.uncropped:
        context.options |= {"apply_cropping": "0"}
    count = 0
    hashed: bool | None = None
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise VideoError(f"{path} is truncated: coded picture {count} is incomplete")
        if header.raw and header.is_hevc and packet.size:
            # FFmpeg takes the picture of a stream that ends within it for whole; its hash is what is missing.
            has_hash = bool(nal.picture_hashes(nal.split(bytes(packet))))
            hashed = has_hash if hashed is None else hashed
            if hashed and not has_hash:
                raise CodecError(f"picture {count} lacks its hash")
        count += packet.size > 0
        yield packet


def _header_end(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction:
    """End of the video in seconds as a Matroska header promises it, 0 where unknown; other containers count pictures."""
    if "matroska" not in container.format.name:
        return Fraction(0)
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match:
        return 3600 * Fraction(match[1]) + 60 * Fraction(match[2]) + Fraction(match[3])
    alone = len(container.streams) == 1
    return Fraction(container.duration or 0 if alone else 0, 1_000_000)
