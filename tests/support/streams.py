"""HEVC streams for tests of what reads them: coded on the spot, taken apart and put together again, in containers."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from codec_bridge.bitstream import nal, slices
from codec_bridge.bitstream.announcement import USER_DATA_UNREGISTERED, UUID_OF_OURS
from tests.support.hm_streams import escaped, with_extension
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

JOINT_INTRA = ModelSet.load(builtin_path("joint_intra")).identity[:16]
OFF = "no-deblock=1:no-sao=1"
INTRA = f"qp=32:keyint=1:{OFF}"
INTER = "qp=32:bframes=2:b-adapt=0"


def frames(count: int, width: int, height: int, pixel_format: str = "yuv420p") -> list[av.VideoFrame]:
    """Moving waves with noise."""
    samples = np.random.default_rng(1)
    y, x = np.mgrid[: height * 3 // 2, :width]
    made = []
    for number in range(count):
        waves = 128 + 60 * np.sin((x + 3 * number) / 9) + 40 * np.cos((y + 2 * number) / 11)
        noisy = (waves + samples.integers(-5, 6, waves.shape)).clip(0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(noisy, format="yuv420p").reformat(format=pixel_format)
        frame.pts = number
        made.append(frame)
    return made


def hevc(
    parameters: str = INTRA + ":hash=1",
    count: int = 4,
    width: int = 64,
    height: int = 48,
    pixel_format: str = "yuv420p",
    still: bool = False,
) -> bytes:
    """A stream by PyAV's x265. still: nothing moves."""
    codec = av.CodecContext.create("libx265", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, pixel_format
    codec.time_base, codec.framerate = Fraction(1, 25), Fraction(25)
    codec.options = {"x265-params": f"log-level=none:pools=none:frame-threads=1:{parameters}"}
    packets = []
    for number, frame in enumerate(frames(1, width, height, pixel_format) * count if still else frames(count, width, height, pixel_format)):
        frame.pts = number
        packets += codec.encode(frame)
    return b"".join(map(bytes, [*packets, *codec.encode(None)]))


def join(parts: Iterable[nal.Nal]) -> bytes:
    """NAL units as a byte stream."""
    return b"".join(b"\0\0\0\1" + part.data for part in parts)


def without(stream: bytes, number: int, kind: Callable[[nal.Nal], bool] = lambda part: part.is_slice) -> bytes:
    """The stream without its NAL unit of a kind that is counted from 0."""
    parts = nal.split(stream)
    chosen = [at for at, part in enumerate(parts) if kind(part)][number]
    return join(parts[:chosen] + parts[chosen + 1 :])


def without_picture(stream: bytes, number: int) -> bytes:
    """The stream without a whole access unit but for its parameter sets."""
    units = nal.access_units(nal.split(stream))
    return join(part for at, unit in enumerate(units) for part in unit if at != number or part.type in (32, 33, 34))


def carrying(stream: bytes, irap: bytes = b"VN\1abcd\0", other: bytes = b"\0") -> bytes:
    """A stream of x265 with slice header extensions, by default side information that filters nothing, as every picture has it then."""
    kinds = [segment.is_irap for segment in slices.segments(stream)]
    for number, is_irap in enumerate(kinds):
        stream = with_extension(stream, number, irap if is_irap else other)
    parts = []
    for part in nal.split(stream):
        if part.type == 34:
            # The last three bits: pps_slice_segment_header_extension_present_flag, pps_extension_present_flag, the stop bit.
            bits = "".join(f"{byte:08b}" for byte in part.rbsp)
            at = bits.rindex("1") - 2
            rbsp = int(bits[:at] + "1" + bits[at + 1 :], 2).to_bytes(len(bits) // 8, "big")
            part = nal.Nal(part.data[:2] + escaped(rbsp), 0)
        parts.append(part)
    return join(parts)


def announcing(stream: bytes, identity: str = JOINT_INTRA, version: int = 2) -> bytes:
    """The stream with the SEI message that it needs the filter, before its first picture."""
    payload = UUID_OF_OURS.bytes + f"vrcnn-int loop v{version} {identity}".encode()
    message = nal.Nal(bytes([nal.PREFIX_SEI << 1, 1, USER_DATA_UNREGISTERED, len(payload)]) + payload + b"\x80", 0)
    parts = nal.split(stream)
    first = next(at for at, part in enumerate(parts) if part.is_slice)
    return join([*parts[:first], message, *parts[first:]])


def write(path: Path, data: bytes) -> Path:
    """A file with these bytes."""
    path.write_bytes(data)
    return path


def contained(path: Path, count: int = 10, parameters: str = INTER + ":hash=1", codec: str = "libx265", **options: str) -> Path:
    """A clip coded into a container."""
    with av.open(str(path), "w", options=options) as output:
        name = "x265-params" if codec == "libx265" else "x264-params"
        given = {name: f"{parameters}:log-level=none:pools=none"} if codec == "libx265" else {name: parameters} if parameters else {}
        stream = output.add_stream(codec, rate=25, options=given)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in frames(count, 64, 48):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def remuxed(
    source: Path,
    target: Path,
    keep: Callable[[int], bool] = lambda number: True,
    time: Callable[[int], int] | None = None,
    rotation: int = 0,
    cover: bool = False,
    further: bool = False,
) -> Path:
    """The packets of a video in another container. keep: which of them. time: in milliseconds, instead of their own.

    cover: behind a cover picture. further: behind another, smaller video stream.
    """
    with av.open(str(source)) as given, av.open(str(target), "w") as output:
        others = []
        for wanted, codec, pixel_format in ((cover, "mjpeg", "yuvj420p"), (further, "mpeg4", "yuv420p")):
            if wanted:
                other = output.add_stream(codec, rate=25)
                other.width, other.height, other.pix_fmt = 32, 32, pixel_format
                if cover:
                    other.disposition = av.stream.Disposition.attached_pic
                others.append(other)
        stream = output.add_stream_from_template(given.streams.video[0])
        if rotation:
            stream.set_display_rotation(rotation)
        for other in others:
            for frame in frames(1, 32, 32, other.pix_fmt or ""):
                output.mux(other.encode(frame) + other.encode(None))
        for number, packet in enumerate(packet for packet in given.demux(given.streams.video[0]) if packet.size):
            if keep(number):
                if time:
                    packet.pts = packet.dts = time(number)
                    packet.time_base = Fraction(1, 1000)
                packet.stream = stream
                output.mux(packet)
    return target


def counted_by_ffmpeg(path: Path) -> int:
    """How many pictures FFmpeg gives of the largest video stream."""
    with av.open(str(path)) as container:
        largest = max(container.streams.video, key=lambda stream: stream.codec_context.width)
        return sum(1 for _ in container.decode(largest))
