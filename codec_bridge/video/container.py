"""Containers and raw streams through FFmpeg: which of its streams is meant, what it says, its pictures.

Nothing but the file itself is opened: its name is a name and no address. What would read other files (playlists, references) is refused.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from errno import EINVAL
from fractions import Fraction
from functools import partial
from io import SEEK_SET, FileIO
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NoReturn, cast

import av
from av.sidedata.sidedata import SideData
from av.stream import Disposition

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.avc import FrameNumbers
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.parameter_sets import Sps, Vui
from codec_bridge.bitstream.pictures import Coding, Unit, read_units
from codec_bridge.video.clock import Clock
from codec_bridge.video.cropped import states_cropping
from codec_bridge.video.files import Account, Video
from codec_bridge.video.frames import picture_from_frame
from codec_bridge.video.hevc import Decoder
from codec_bridge.video.in_loop import InLoopError, refuse_in_loop
from codec_bridge.video.metadata import SITINGS, Metadata
from codec_bridge.video.picture import Picture, VideoError, parse_pixel_format, plane_shapes
from codec_bridge.video.whole import missing_end

_FORMATS = (
    "asf,av1,avi,dirac,dv,evc,flv,gxf,h261,h263,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,rm,vc1,vvc,wtv,"
    "yuv4mpegpipe"
)
"""Of FFmpeg's readers: those that read one file, with pictures in it."""
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0", b"[playlist]", b"<smil", b"<SmoothStreamingMedia", b"RTSPtext")
_HEVC_ENDINGS = (".hevc", ".h265", ".265", ".bin")
_HEVC_BEGINNING = re.compile(rb"\x00{2,12}\x01[\x02\x26\x28\x2a\x40\x42\x44\x46\x4e][\x01-\x07]")
"""A start code and a NAL unit of the base layer: FFmpeg does not recognize streams without a random access point."""
_TRIED_PACKETS = 50
_UNSPECIFIED = 2  # of colour descriptions
NOT_A_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


class _File(FileIO):
    """A file that does not tell FFmpeg its name, only the name's ending: streams without a container are recognized by that, too.

    Seeking and reading raise nothing, as PyAV prints what its callbacks raise: FFmpeg asks for impossible places to see what they give,
    and a file that cannot be read ends there. problem: the system's words for that.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        ending = path.suffix.lower()
        self.name = f"video{ending if re.fullmatch('[.][a-z0-9]+', ending) else ''}"
        self.problem = ""

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as error:
            return -(error.errno or EINVAL)

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return super().read(-1 if size is None else size) or b""
        except OSError as error:
            self.problem = self.problem or error.strerror or str(error)
            return b""


def _refuse(address: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise VideoError(f"it refers to another file, {address!r}, which is not read")


@contextmanager
def _reading(path: Path, file: _File) -> Iterator[None]:
    """Raises VideoError where the system could not read the file, whatever was made of that, such as a file that is truncated."""
    try:
        yield
    except (av.FFmpegError, VideoError, CodecError):
        if not file.problem:
            raise
    if file.problem:
        raise VideoError(f"cannot read {path}: {file.problem}")


@contextmanager
def opened(path: Path) -> "Iterator[tuple[av.container.InputContainer, av.VideoStream]]":
    """A container and the stream of it that is meant: the default one, never a cover picture."""
    with _File(path) as file, _reading(path, file):
        head = file.read(16)
        if head.lstrip(b"\xef\xbb\xbf \r\n").startswith(_PLAYLISTS):
            raise VideoError(f"{path} is a playlist or description of other files, not a video; give the video itself")
        file.seek(0)
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
        kind = "hevc" if path.suffix.lower() in _HEVC_ENDINGS and _HEVC_BEGINNING.match(head) else None
        with av.open(file, "r", format=kind, container_options=options, io_open=_refuse) as container:
            videos = [stream for stream in container.streams.video if not stream.disposition & NOT_A_VIDEO]
            if not videos:
                raise VideoError(f"{path} has no video stream{', only pictures attached to it' if container.streams.video else ''}")
            yield container, max(videos, key=_rank)


def _rank(stream: av.VideoStream) -> tuple[bool, int]:
    """The largest of the default streams, as FFmpeg's own program has it; the first of equals."""
    context = stream.codec_context  # none where the codec is not known
    return bool(stream.disposition & Disposition.default), context.width * context.height if context else 0


@dataclass(frozen=True)
class _Header:
    """What a container or stream says of its video."""

    size: tuple[int, int]
    chroma_format: str
    bit_depth: int
    rate: Fraction | None
    is_hevc: bool
    is_avc: bool
    raw: bool
    """A stream without a container."""
    metadata: Metadata


def open_container(path: Path, cropping: bool, lenient: bool) -> Video:
    """Open whatever FFmpeg can decode. cropping, lenient: as for open.open_video. Raises VideoError for what cannot be decoded."""
    with _errors(path, f"cannot read {path} as a video"):
        header = _read_header(path, cropping, lenient)
    account = Account()
    read = partial(_read_hevc if header.is_hevc else _read_other, path, header, cropping, lenient, account)
    survey = partial(_survey, path, header, lenient) if header.is_hevc else partial(_survey_avc, path) if header.is_avc else None
    video = Video(path, header.size, header.bit_depth, header.chroma_format, header.rate, None, read, header.metadata, account, survey)
    video.contained = not header.raw
    return video


@contextmanager
def _errors(path: Path, what: str) -> Iterator[None]:
    """Errors of streams and of FFmpeg as VideoErrors that name the file."""
    try:
        yield
    except InLoopError as error:
        raise VideoError(f"{path}: {error}") from error
    except CodecError as error:
        raise VideoError(f"{what}: {error}") from None
    except av.FFmpegError as error:
        raise VideoError(f"{what}: {error.strerror or error}") from None


def _read_header(path: Path, cropping: bool, lenient: bool) -> _Header:
    with opened(path) as (container, stream):
        context = stream.codec_context
        if not context or not context.name:
            raise VideoError(f"{path} has no decodable video: it is truncated, damaged or of an unknown codec")
        # A raw stream has no clock: what FFmpeg reports as average rate is its own assumption of 25.
        raw = container.format.name == context.name and context.name in ("hevc", "h264")
        rate = context.framerate if raw else stream.average_rate
        is_hevc, is_avc = context.name == "hevc", context.name == "h264"
        if not is_hevc and (not context.pix_fmt or not context.width):
            raise VideoError(f"{path} has no decodable video: it is truncated, damaged or of an unknown codec")
        if {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode", "0") != "0":
            raise VideoError(f"{path} has an alpha plane (transparency) beside its pictures, which is not supported")
        size, pixel_format = (context.width, context.height), context.pix_fmt or ""
        frame = _first_frame(container, stream)
        metadata = replace(_metadata(container, stream, frame), cropped=states_cropping(path))
    if is_hevc:
        sps = _first_sps(path, raw, lenient)
        left, top, right, bottom = sps.window if cropping else (0, 0, 0, 0)
        size, pixel_format = (sps.width - left - right, sps.height - top - bottom), _pixel_format(path, sps)
        metadata = _hevc_metadata(metadata, sps.vui)
    chroma_format, bit_depth = parse_pixel_format(pixel_format, f"{path}: pixel format")
    plane_shapes(*size, chroma_format)
    return _Header(size, chroma_format, bit_depth, Fraction(rate) if rate else None, is_hevc, is_avc, raw, metadata)


def _pixel_format(path: Path, sps: Sps) -> str:
    if sps.bit_depth != sps.bit_depth_chroma and sps.chroma_format != "400":
        raise VideoError(f"{path} has {sps.bit_depth}-bit luma and {sps.bit_depth_chroma}-bit chroma, which is not supported")
    base = "gray" if sps.chroma_format == "400" else f"yuv{sps.chroma_format}p"
    return base if sps.bit_depth == 8 else f"{base}{sps.bit_depth}le"


def _first_sps(path: Path, raw: bool, lenient: bool) -> Sps:
    """That of the first picture. Raises CodecError for a stream with networks in the loop."""
    with _hevc_units(path, raw, lenient) as units:
        damage = ""
        for unit in units:
            refuse_in_loop(unit)
            if unit.sps:
                return unit.sps
            damage = damage or next((f"picture {unit.number}: {problem}" for problem in unit.problems), "")
            if damage and not lenient:
                break
    raise CodecError(damage or "it has no picture")


def _first_frame(container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame | None:
    """What FFmpeg knows of the first picture that it can decode, if that is among the first packets."""
    for packet in islice(container.demux(stream), _TRIED_PACKETS):
        try:
            for frame in packet.decode():
                return frame
        except av.FFmpegError:
            continue
    return None


def _metadata(container: av.container.InputContainer, stream: av.VideoStream, frame: av.VideoFrame | None) -> Metadata:
    context = stream.codec_context
    colours = int(context.color_primaries), int(context.color_trc), int(context.colorspace)
    kinds: dict[str, int] = {}
    for other in container.streams:
        if other.index != stream.index:
            kind = "attached picture" if other.disposition & NOT_A_VIDEO else f"{other.type} stream"
            kinds[kind] = kinds.get(kind, 0) + 1
    return Metadata(
        aspect=stream.sample_aspect_ratio or context.sample_aspect_ratio or None,
        full_range={1: False, 2: True}.get(int(context.color_range)),
        siting=_siting(FrameNumbers(context.extradata or b"").siting if context.name == "h264" else None),
        interlaced=frame is not None and frame.interlaced_frame,
        rotation=frame.rotation if frame is not None else 0,
        colours=colours if any(value != _UNSPECIFIED for value in colours) else (),
        matrix=_display_matrix(frame),
        further=tuple(f"{count} {'further ' if kind == 'video stream' else ''}{kind}{'s' * (count > 1)}" for kind, count in kinds.items()),
    )


def _hevc_metadata(said: Metadata, vui: Vui) -> Metadata:
    """What the container says, and for what it does not say, the stream."""
    return replace(said, aspect=said.aspect or vui.aspect, siting=_siting(vui.siting), interlaced=False, fields=vui.fields)


def _siting(number: int | None) -> str:
    """By chroma_sample_loc_type; empty for none and for one that there is not."""
    return SITINGS[number] if number is not None and number < len(SITINGS) else ""


def _display_matrix(frame: av.VideoFrame | None) -> tuple[int, ...]:
    found = [] if frame is None else [data for data in cast(Iterable[SideData], frame.side_data) if data.type.name == "DISPLAYMATRIX"]
    return struct.unpack("9i", bytes(found[0])) if found else ()


@contextmanager
def _hevc_units(path: Path, raw: bool, lenient: bool) -> Iterator[Iterator[Unit]]:
    """The access units of an HEVC stream, with what they say."""
    if raw:
        with path.open("rb") as file:
            # Not closed here: a reader that did not come to the end still looks into it.
            yield read_units(nal.scan(mmap(file.fileno(), 0, access=ACCESS_READ), lenient))
    else:
        with opened(path) as (container, stream):
            yield read_units(_contained(path, container, stream, lenient))


def _contained(path: Path, container: av.container.InputContainer, stream: av.VideoStream, lenient: bool) -> Iterator[nal.Nal]:
    """The NAL units of an HEVC stream in a container: its parameter sets, then those of its packets."""
    length_bytes = 0
    for number, packet in enumerate(container.demux(stream)):
        changed = bytes(packet.get_sidedata("new_extradata")) if packet.has_sidedata("new_extradata") else b""
        record = changed or (b"" if number else stream.codec_context.extradata or b"")
        if nal.is_record(record):
            length_bytes = 1 + (record[21] & 3)
            yield from nal.record_units(record)
        elif record:
            length_bytes = 0
            yield from nal.scan(record, lenient)
        if packet.is_corrupt and not lenient:
            raise VideoError(f"{path} is truncated: coded picture {number} is incomplete")
        data = bytes(packet) if packet.size else b""
        time = None if packet.pts is None or packet.time_base is None else packet.pts * packet.time_base
        if data:
            yield from _packet_units(data, length_bytes, time, not packet.is_discard, lenient)


def _packet_units(data: bytes, length_bytes: int, time: Fraction | None, shown: bool, lenient: bool) -> Iterator[nal.Nal]:
    try:
        yield from nal.packet_units(data, length_bytes, time, shown) if length_bytes else nal.scan(data, lenient, time, shown)
    except CodecError:
        if not lenient:
            raise


def _survey(path: Path, header: _Header, lenient: bool, frames: int | None) -> list[Coding]:
    """What the headers say of the first pictures in decoding order."""
    with _errors(path, f"cannot read {path}"), _hevc_units(path, header.raw, lenient) as units:
        codings = (unit.coding for unit in units if unit.coding and not unit.leading_skipped)
        return list(islice(codings, frames))


def _survey_avc(path: Path, frames: int | None) -> list[Coding]:
    """The same of H.264."""
    with _errors(path, f"cannot read {path}"), opened(path) as (container, stream):
        numbers = FrameNumbers(stream.codec_context.extradata or b"")
        return list(islice(filter(None, (_avc_coding(numbers, packet) for packet in container.demux(stream))), frames))


def _avc_coding(numbers: FrameNumbers, packet: "av.Packet[av.VideoStream]") -> Coding | None:
    if packet.has_sidedata("new_extradata"):
        numbers.begin(bytes(packet.get_sidedata("new_extradata")))
    return numbers.coding(bytes(packet)) if packet.size else None


def _read_hevc(path: Path, header: _Header, cropping: bool, lenient: bool, account: Account) -> Iterator[Picture]:
    decoder = Decoder(lenient)
    clock = Clock()
    account.begin(decoder.findings.faults, lambda: [*decoder.findings.notes(), *clock.notes()])
    like: Picture | None = None
    with _errors(path, f"cannot decode {path}"), _hevc_units(path, header.raw, lenient) as units:
        for number, picture in enumerate(decoder.decode(clock.watch(units))):
            inside = picture.cropped()
            like = like or inside
            _check_alike(path, number, inside, like)
            yield inside if cropping else picture
    _check_whole(path, decoder.findings.faults if lenient else None)


def _read_other(path: Path, header: _Header, cropping: bool, lenient: bool, account: Account) -> Iterator[Picture]:
    faults: list[str] = []
    clock = Clock()
    account.begin(faults, clock.notes)
    like: Picture | None = None
    number = 0
    with _errors(path, f"cannot decode {path}"), opened(path) as (container, stream):
        codings: dict[int | None, Coding] = {}
        for frame in _frames(path, container, stream, lenient, faults, codings):
            if frame.interlaced_frame and not lenient:
                raise VideoError(f"{path}: picture {number} is interlaced; give its fields as pictures of their own")
            time = frame.pts * frame.time_base if frame.pts is not None and frame.time_base is not None else None
            picture = replace(picture_from_frame(frame), coding=codings.pop(frame.pts, None), time=time)
            like = like or picture
            _check_alike(path, number, picture, like)
            clock.see(time)
            yield picture
            number += 1
    _check_whole(path, faults if lenient else None)


def _frames(
    path: Path,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    lenient: bool,
    faults: list[str],
    codings: dict[int | None, Coding],
) -> Iterator[av.VideoFrame]:
    """The decoded frames; codings is filled for H.264 whose container has times, by these.

    Raises VideoError where a packet is cut off or a frame damaged; with lenient, they are among the faults.
    """
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"flags": "+output_corrupt"} if lenient else {"err_detect": "crccheck+explode"}
    count = 0
    numbers = FrameNumbers(stream.codec_context.extradata or b"") if stream.codec_context.name == "h264" else None
    first: av.Packet[av.VideoStream] | None = None
    for packet in container.demux(stream):
        problem = "the file ends within it" if packet.is_corrupt else ""
        first = first or (packet if packet.size else None)
        if numbers and packet.has_sidedata("new_extradata"):
            numbers.begin(bytes(packet.get_sidedata("new_extradata")))
        if numbers and packet.size:
            problem = problem or numbers.gap(bytes(packet))
            if packet.pts is not None and (coding := numbers.coding(bytes(packet))):
                codings[packet.pts] = coding
        frames: list[av.VideoFrame] = []
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            problem = problem or str(error.strerror or error)
        if frames and not count and first and _begins_within(first, frames[0]):
            problem = problem or "the video begins with pictures that refer to others before them, which it does not have"
        for frame in frames:
            problem = problem or ("the decoder says that it is damaged" if frame.is_corrupt else "")
        if problem and not lenient:
            raise VideoError(f"cannot decode {path} after picture {count}: {problem}")
        if problem:
            faults.append(f"picture {count}: {problem}")
        count += len(frames)
        yield from frames


def _begins_within(first: "av.Packet[av.VideoStream]", frame: av.VideoFrame) -> bool:
    """Whether decoding cannot start with the first packet. Not every container says which pictures are key frames; then decoders do."""
    return not first.is_keyframe and not (frame.key_frame and frame.pts in (None, first.pts))


def _check_alike(path: Path, number: int, picture: Picture, like: Picture) -> None:
    """Files that we write, and everything that measures, have pictures of one size."""
    if (picture.width, picture.height, picture.pixel_format) != (like.width, like.height, like.pixel_format):
        raise VideoError(
            f"{path}: picture {number} is {picture.width}x{picture.height} {picture.pixel_format}, those before it "
            f"{like.width}x{like.height} {like.pixel_format}; split the stream where its size changes, or read fewer --frames"
        )


def _check_whole(path: Path, faults: list[str] | None) -> None:
    """Raises VideoError, or notes it among the faults, where the file is shorter than it says itself."""
    end = missing_end(path)
    if end is None:
        return
    message = f"{path} is truncated: it should have {end} bytes, and has {path.stat().st_size}"
    if faults is None:
        raise VideoError(message)
    faults.append(message)
