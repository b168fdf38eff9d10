"""x265 and libde265 with the filter inside, as `make codecs` builds them: their programs, and what they print.

With the filter off they are the unchanged programs to the bit, so the anchor needs no second build.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs import programs
from codec_bridge.codecs.base import Coded, Decoded, Format
from codec_bridge.video.files import write_yuv
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture
from vrcnn_int.text import counted

CONFIGURATIONS = {
    "ai": ("--keyint", "1", "--bframes", "0", "--ipratio", "1"),
    "ldp": ("--keyint", "-1", "--bframes", "0"),
    "ra": ("--keyint", "32", "--min-keyint", "32", "--bframes", "4", "--b-adapt", "0"),
}
"""All-intra; one I picture and P pictures after it; I, P and B pictures, B pictures as references too. x265's own QP offsets."""

CTU_SIZES = (64, 32, 16)
SMALL_CTU_PRESETS = ("ultrafast", "superfast")
"""x265's presets that begin with CTUs of 32x32; all others do with 64x64."""

DEFAULT_FOLDER = Path(__file__).resolve().parents[3] / "build/codecs/bin"
"""Of this checkout: programs of whatever folder somebody stands in are not run."""

_DECIDED = re.compile(
    r"vrcnn: POC -?\d+ (?P<mode>(?:off|all|map)(?:/(?:off|all|map))?) .*?\[(?P<bytes>\d+) bytes\] \[(?P<seconds>[\d.]+) s\]"
)
_KERNEL = re.compile(r"vrcnn: .*\(kernels (\w+)")
_VERSION = re.compile(r"HEVC encoder version (\S+)")
_FILTERED = re.compile(r"^VRCNN: (\d+) pictures filtered in ([\d.]+) s", re.M)
_FRAMES = re.compile(r"nFrames decoded: (\d+)")


@dataclass(frozen=True)
class Tools:
    """The programs: encoders for 8 and 10 bits, and the decoder."""

    encoder: Path
    encoder_10bit: Path
    decoder: Path

    def encoder_for(self, bit_depth: int) -> Path:
        """Each has one depth."""
        return self.encoder if bit_depth == 8 else self.encoder_10bit


def find_tools(folder: Path | None = None) -> Tools:
    """The programs in ``folder``; None: in environment variable VRCNN_CODECS, or where `make codecs` puts them. Raises CodecError."""
    named = folder or (Path(os.environ["VRCNN_CODECS"]) if os.environ.get("VRCNN_CODECS") else None)
    if named is None and not (DEFAULT_FOLDER.parents[2] / "Makefile").is_file():
        raise CodecError(
            "an installed package has no programs of x265-loop, and looks nowhere for them: give build/codecs/bin of a checkout, "
            "which `make codecs` fills, with --codecs or in VRCNN_CODECS"
        )
    # Absolute: "./x265" as a Path is "x265", which would be looked for in PATH.
    place = (named or DEFAULT_FOLDER).absolute()
    tools = Tools(place / "x265", place / "x265-10bit", place / "dec265")
    for program in (tools.encoder, tools.encoder_10bit, tools.decoder):
        if not program.is_file() or not os.access(program, os.X_OK):
            raise CodecError(f"there is no program {program}; build it with: make codecs (or give its folder: --codecs, VRCNN_CODECS)")
    return tools


def version(encoder: Path) -> str:
    """x265's name and version, as the program prints them. Raises CodecError."""
    stated = _VERSION.search(programs.run([str(encoder), "--version"], "x265", quiet=True).log)
    if not stated:
        raise CodecError(f"{encoder} is not x265's encoder")
    return f"x265 {stated[1]}"


def ctu_options(like: Format, configuration: str, preset: str) -> tuple[str, ...]:
    """A smaller CTU where pictures need one. Raises CodecError for pictures that are too small for any.

    x265 3.5 wants pictures of a CTU in both directions, or says so and then hangs; and those that predict from pictures of one column of
    CTUs alone do not come out of any decoder as it coded them.
    """
    usual = CTU_SIZES[preset in SMALL_CTU_PRESETS]
    more = configuration != "ai"
    fitting = [size for size in CTU_SIZES if size <= usual and like.width >= size + more and like.height >= size]
    if not fitting:
        least = CTU_SIZES[-1]
        width = f"wider than {least} and at least {least} high" if more else f"at least {least}x{least}"
        raise CodecError(f"x265 cannot code pictures of {like.width}x{like.height}: give such as are {width}, or --codec hm")
    return () if fitting[0] == usual else ("--ctu", str(fitting[0]))


def arguments(
    like: Format,
    pictures: int,
    qp: int,
    configuration: str = "ai",
    preset: str = "medium",
    rate: Fraction = Fraction(25),
    options: Sequence[str] = (),
) -> list[str]:
    """What the encoder is told beside the names of files. ``like``: what is coded, ``options`` x265's own. Raises CodecError."""
    if configuration not in CONFIGURATIONS:
        raise CodecError(f"unknown configuration {configuration!r}; x265-loop has {', '.join(CONFIGURATIONS)}")
    if like.bit_depth == 9:
        raise CodecError("x265 cannot code 9-bit pictures: give 8 or 10 bits")
    form = ["--input-res", f"{like.width}x{like.height}", "--input-csp", f"i{like.chroma_format}", "--input-depth", str(like.bit_depth)]
    form += ["--fps", f"{rate.numerator}/{rate.denominator}", "--frames", str(pictures), "--log-level", "debug"]
    settings = ["--preset", preset, "--tune", "psnr", "--qp", str(qp), "--aq-mode", "0", "--no-scenecut", *CONFIGURATIONS[configuration]]
    return [*form, *settings, *ctu_options(like, configuration, preset), "--no-info", "--hash", "1", *options]


def encode(
    tools: Tools,
    pictures: Iterable[Picture],
    qp: int,
    *,
    configuration: str = "ai",
    preset: str = "medium",
    rate: Fraction = Fraction(25),
    options: Sequence[str] = (),
) -> Coded:
    """Code pictures with one of CONFIGURATIONS at a fixed QP; ``options`` are x265's own, after all others. Raises CodecError.

    Streams have no SEI message that they need the filter, unless ``--vrcnn-sei`` is among the options.
    """
    pictures = [picture.cropped() for picture in pictures]
    if not pictures:
        raise CodecError("there are no pictures to code")
    first = pictures[0]
    settings = arguments(first, len(pictures), qp, configuration, preset, rate, options)
    with tempfile.TemporaryDirectory(prefix="x265-") as folder:
        source, stream, recon = (Path(folder) / file for file in ("source.yuv", "stream.hevc", "recon.yuv"))
        write_yuv(source, pictures)
        files = ["--input", str(source), "-o", str(stream), "--recon", str(recon)]
        # These clips are short: what is said once in a stream would weigh on each of their pictures. --no-info is x265's own.
        quiet = ["--no-vrcnn-sei"] if "--vrcnn" in options else []
        ran = programs.run([str(tools.encoder_for(first.bit_depth)), *files, *quiet, *settings], "x265")
        data = stream.read_bytes()
        output = list(open_video(recon, (first.width, first.height), first.pixel_format))
    if len(output) != len(pictures):
        raise CodecError(f"x265 was given {counted(len(pictures), 'picture')}, its reconstruction has {len(output)}")
    decided = [(match["mode"], float(match["seconds"])) for match in _DECIDED.finditer(ran.log)]
    version, kernel = _VERSION.search(ran.log), _KERNEL.search(ran.log)
    return Coded(
        data,
        nal.bits_without_hash(data),
        len(pictures),
        f"x265 {version[1] if version else 'of unknown version'}",
        " ".join(settings),
        ran.seconds,
        None,
        output,
        [mode for mode, _ in decided],
        sum(spent for _, spent in decided),
        kernel[1] if kernel and decided else None,
    )


def decode(tools: Tools, data: bytes, like: Picture | None = None, options: Sequence[str] = ()) -> Decoded:
    """Decode a stream and check its picture hashes. Pictures are read if ``like`` tells size and format. Raises CodecError."""
    with tempfile.TemporaryDirectory(prefix="dec265-") as folder:
        stream, output = Path(folder) / "stream.hevc", Path(folder) / "output.yuv"
        stream.write_bytes(data)
        write = ["-o", str(output)] if like else []
        ran = programs.run([str(tools.decoder), "-q", "-c", *write, *options, str(stream)], "dec265")
        frames, filtered = _FRAMES.search(ran.log), _FILTERED.search(ran.log)
        if not frames or int(frames[1]) == 0:
            raise CodecError("dec265 found no picture in the stream")
        pictures = []
        if like:
            like = like.cropped()
            pictures = list(open_video(output, (like.width, like.height), like.pixel_format))
    # The program ends with an error at the first hash that is wrong.
    verdicts = [(number, "OK") for number in range(int(frames[1]))]
    count, spent = (int(filtered[1]), float(filtered[2])) if filtered else (0, 0.0)
    return Decoded(pictures, ran.seconds, None, verdicts, count, spent)
