"""x265 through PyAV: all-intra coding at a fixed QP.

In all-intra coding the prediction uses samples before the in-loop filters, so filtering the pictures of a stream coded
with the filters off, after decoding, gives exactly what a codec with that filter inside would give. x265's deblocking
does not change its coding decisions; its SAO does, through the entropy coder's state, so a stream with SAO differs in
more than SAO's syntax.
"""

import logging
import math
import re
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs.base import NO_SAO, OFF, ORDINARY, PRESETS, Codec, Coded, Decoded, Loop, Request
from codec_bridge.codecs.programs import Programs, file_hash
from codec_bridge.video.frames import frame_from_picture
from codec_bridge.video.picture import Picture
from vrcnn_int.text import counted

if TYPE_CHECKING:
    import av

_logger = logging.getLogger(__name__)

MIN_SIZE = 16  # x265 refuses narrower and lower pictures


def x265_params(qp: int, filters: bool, sao: bool = True) -> str:
    """The x265-params string: one thread and no wavefronts, so that the stream is the same on every machine."""
    params = f"qp={qp}:keyint=1:ipratio=1:aq-mode=0:cutree=0:hash=1:info=0"
    params += ":wpp=0:pools=none:frame-threads=1:log-level=none"
    return params + ("" if filters else ":no-deblock=1") + ("" if filters and sao else ":no-sao=1")


def encode(
    pictures: Iterable[Picture],
    qp: int,
    *,
    filters: bool = True,
    sao: bool = True,
    rate: Fraction = Fraction(25),
    preset: str = "medium",
) -> Coded:
    """Code pictures all-intra at QP ``qp`` (0..51), every slice at that QP, with MD5 picture hashes.

    pictures: alike in size (at least 16x16) and format (4:0:0, 4:2:0, 4:2:2 or 4:4:4; 8 or 10 bits); what ``crop``
    excludes is not coded. filters: deblocking and SAO on, or both off; sao=False with filters=True gives deblocking
    alone. rate: pictures per second, written into the stream, without influence on the coding.
    The parameter sets are repeated with every picture, as x265 does in all-intra coding, and count.
    Raises CodecError for impossible settings and pictures and where the encoder fails.
    """
    import av

    if not 0 <= qp <= 51:
        raise CodecError(f"x265 cannot code at QP {qp}: give 0 to 51")
    if preset not in PRESETS:
        raise CodecError(f"x265 has no preset {preset!r}; it has {', '.join(PRESETS)}")
    command = x265_params(qp, filters, sao)
    context: av.VideoCodecContext | None = None
    data = bytearray()
    count = 0
    seconds = 0.0
    layout: tuple[int, int, str] | None = None
    try:
        for picture in pictures:
            picture = picture.cropped()
            if layout is None:
                layout = (picture.width, picture.height, picture.pixel_format)
                if min(layout[:2]) < MIN_SIZE:
                    size = f"{layout[0]}x{layout[1]}"
                    raise CodecError(f"x265 cannot code pictures of {size}: give at least {MIN_SIZE}x{MIN_SIZE}")
                if picture.bit_depth == 9:
                    raise CodecError("x265 cannot code 9-bit pictures: give 8 or 10 bits")
                _logger.info("libx265, %sx%s %s, preset %s, %s", *layout, preset, command)
                context = _context(*layout, Fraction(rate), {"x265-params": command, "preset": preset})
            own = (picture.width, picture.height, picture.pixel_format)
            if context is None or own != layout:
                raise CodecError(f"pictures of one stream must be alike: {layout}, then {own}")
            frame = frame_from_picture(picture)
            frame.pts = count
            count += 1
            start = perf_counter()
            for packet in context.encode(frame):
                data += bytes(packet)
            seconds += perf_counter() - start
        if context is None:
            raise CodecError("there are no pictures to code")
        start = perf_counter()
        for packet in context.encode(None):
            data += bytes(packet)
        seconds += perf_counter() - start
    except av.FFmpegError as error:
        raise CodecError(f"x265 failed at picture {count} ({layout}, QP {qp}): {error.strerror or error}") from None
    coded = len(nal.access_units(nal.split(bytes(data)))) if data else 0
    if coded != count:
        raise CodecError(f"x265 failed: it was given {counted(count, 'picture')} and coded {coded}")
    return Coded(bytes(data), nal.bits_without_hash(bytes(data)), count, encoder_version(), f"{command} preset={preset}", seconds)


@cache
def encoder_version() -> str:
    """Name and version of PyAV's x265 library, as it writes them into its own SEI message.

    Raises CodecError if there is no such library or message.
    """
    context = _context(64, 64, "yuv420p", Fraction(25), {"x265-params": "info=1:log-level=none:pools=none"})
    from av.codec.context import Flags

    context.flags |= Flags.global_header
    context.open()
    match = re.search(rb"x265 \(build (\d+)\) - ([\w.+-]+)", context.extradata or b"")
    if not match:
        raise CodecError("the x265 library does not state its version")
    return f"x265 {match[2].decode()} (build {match[1].decode()})"


@cache
def libraries() -> list[Path]:
    """The files of the libraries that code and decode here: libavcodec, and libx265 where it is one of its own. Raises CodecError."""
    import psutil

    encoder_version()  # the libraries are loaded by now
    try:
        mapped = {str(one.path) for one in psutil.Process().memory_maps()}
    except (psutil.Error, AttributeError):  # macOS has no such call
        mapped = set()
    loaded = sorted(Path(name) for name in mapped if re.search(r"[/\\](lib)?(avcodec|x265)[^/\\]*\.(so|dll)[^/\\]*$", name))
    if not any("avcodec" in path.name for path in loaded):
        raise CodecError("cannot tell which FFmpeg library codes here: the system does not name it")
    return loaded


def _context(width: int, height: int, pixel_format: str, rate: Fraction, options: dict[str, str]) -> "av.VideoCodecContext":
    import av

    try:
        context = av.CodecContext.create("libx265", "w")
    except av.FFmpegError as error:
        raise CodecError(f"this PyAV has no libx265 ({error}): install the av wheel from PyPI") from None
    if not isinstance(context, av.VideoCodecContext):
        raise CodecError("libx265 is not a video encoder here")
    context.width, context.height, context.pix_fmt = width, height, pixel_format
    context.framerate, context.time_base = rate, 1 / rate
    context.options = options
    return context


class X265(Codec):
    """x265 as it comes with PyAV: it knows nothing of the filter."""

    name = "x265"
    origin = "through PyAV"
    inside = False
    variants = ("anchor", "none", "integer", "float", "choice")
    default_variants = ("anchor", "none", "integer")
    configurations = ("ai",)
    cropped = False

    def check(self, configuration: str) -> None:
        """Nothing: the library is loaded when it is wanted."""

    def programs(self, request: Request) -> Programs:
        """PyAV's libraries."""
        return Programs(encoder_version(), {path.name: file_hash(path) for path in libraries()})

    def loop_options(self, loop: Loop) -> tuple[str, ...]:
        """As x265's program is told it. Raises CodecError for networks, and for SAO without deblocking."""
        if loop not in (ORDINARY, NO_SAO, OFF):
            raise CodecError("x265 through PyAV has deblocking and SAO, deblocking, or no filters in the loop")
        return (*(() if loop.deblocking else ("--no-deblock",)), *(() if loop.sao else ("--no-sao",)))

    def arguments(self, request: Request) -> list[str]:
        """Preset and parameters."""
        return ["preset", request.preset, "x265-params", x265_params(request.qp, request.loop.deblocking, request.loop.sao)]

    def code(self, request: Request, pictures: Iterable[Picture]) -> Coded:
        """Code with the library in this process."""
        filters, sao = request.loop.deblocking, request.loop.sao
        return encode(pictures, request.qp, filters=filters, sao=sao, rate=request.rate, preset=request.preset)

    def decode(self, request: Request, coded: Coded) -> Decoded:
        """Decode with FFmpeg. The encoder gives no reconstruction: its MD5 of each picture stands for it."""
        start = perf_counter()
        pictures = list(self.decode_plain(coded.data, coded.pictures))
        return Decoded(pictures, perf_counter() - start)

    def lagrangian(self, qp: int, bit_depth: int) -> float:
        """x265's, for fixed QPs."""
        return lagrangian(qp, bit_depth)


CODEC = X265


def lagrangian(qp: int, bit_depth: int) -> float:
    """Squared error that a bit is worth to x265."""
    return 0.038 * math.exp(0.234 * qp) * float(4 ** (bit_depth - 8))
