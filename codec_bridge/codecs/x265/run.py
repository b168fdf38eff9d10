"""x265 and libde265 with the filter inside, as `make codecs` builds them: their programs, and what they print.

With the filter off they are the unchanged programs to the bit, so the anchor needs no second build.
"""

import logging
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs.base import Encoded, Format
from codec_bridge.video.files import write_yuv
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture

CONFIGURATIONS = {
    "ai": ("--keyint", "1", "--bframes", "0", "--ipratio", "1"),
    "ldp": ("--keyint", "-1", "--bframes", "0"),
    "ra": ("--keyint", "32", "--min-keyint", "32", "--bframes", "4", "--b-adapt", "0"),
}
"""All-intra; one I picture and P pictures after it; I, P and B pictures, B pictures as references too. x265's own QP offsets."""

DEFAULT_FOLDER = Path("build/codecs/bin")

STALLED = 300.0
"""Seconds without any processor time after which a program is taken to hang, and ended."""

_logger = logging.getLogger(__name__)  # command lines and what the programs print

_DECIDED = re.compile(r"vrcnn: POC -?\d+ (?P<mode>off|all|map) .*?\[(?P<bytes>\d+) bytes\] \[(?P<seconds>[\d.]+) s\]")
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


@dataclass(frozen=True)
class Coded(Encoded):
    """A coded sequence and the encoder's side of it.

    recon: the encoder's reconstruction, cropped, in output order. decided: how many pictures have which mode, empty with the filter
    off. filter_seconds: for filter and decisions. kernel: that the filter ran on, None with the filter off.
    """

    recon: list[Picture]
    decided: Counter[str]
    filter_seconds: float
    kernel: str | None


@dataclass(frozen=True)
class Decoded:
    """The decoder's output, cropped, in output order; every picture hash was right. filtered: pictures that were."""

    pictures: list[Picture]
    count: int
    filtered: int
    seconds: float
    filter_seconds: float


def find_tools(folder: Path | None = None) -> Tools:
    """The programs in ``folder``; None: in environment variable VRCNN_CODECS, or where `make codecs` puts them. Raises CodecError."""
    found = folder or Path(os.environ.get("VRCNN_CODECS") or DEFAULT_FOLDER)
    programs = [found / name for name in ("x265", "x265-10bit", "dec265")]
    for program in programs:
        if not program.is_file() or not os.access(program, os.X_OK):
            raise CodecError(f"there is no program {program}; build it with: make codecs (or give its folder: --codecs, VRCNN_CODECS)")
    return Tools(*programs)


def _processor_time(pid: int) -> str | None:
    """What a process and its threads have used so far, None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return " ".join(fields[11:13])


def _finished(command: list[str], what: str) -> subprocess.CompletedProcess[str]:
    """A program's exit code and everything that it printed. Raises CodecError if it hangs: x265 3.5 can, in a race of its threads."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", stdin=subprocess.DEVNULL
    ) as process:
        used, since = None, time.monotonic()
        try:
            while True:
                try:
                    output, _ = process.communicate(timeout=STALLED / 4)
                    return subprocess.CompletedProcess(command, process.returncode, output)
                except subprocess.TimeoutExpired:
                    before, used = used, _processor_time(process.pid)
                    if used is None or used != before:
                        since = time.monotonic()
                    elif time.monotonic() - since > STALLED:
                        raise CodecError(
                            f"{what} hangs: it has used no processor time for {STALLED:g} s and was ended; try again"
                        ) from None
        except BaseException:
            process.kill()
            raise


def _run(command: list[str], what: str) -> tuple[str, float]:
    """Everything that was printed, and wall time. Raises CodecError with the last line that tells of an error."""
    start = time.perf_counter()
    try:
        done = _finished(command, what)
    except OSError as error:
        raise CodecError(f"cannot run {command[0]}: {error.strerror}") from None
    _logger.info("$ %s\n%s", shlex.join(command), done.stdout)
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        telling = next((line for line in lines if re.match(r"x265 \[error\]|VRCNN: (?!\d)", line)), None)
        telling = telling or next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "it said nothing")
        ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise CodecError(f"{what} failed ({ended}): {telling}")
    return done.stdout, time.perf_counter() - start


def version(encoder: Path) -> str:
    """x265's name and version, as the program prints them. Raises CodecError."""
    found = _VERSION.search(_run([str(encoder), "--version"], "x265")[0])
    if not found:
        raise CodecError(f"{encoder} is not x265's encoder")
    return f"x265 {found[1]}"


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
    return [*form, *settings, "--no-info", "--hash", "1", *options]


def encode(
    tools: Tools,
    pictures: Sequence[Picture],
    qp: int,
    *,
    configuration: str = "ai",
    preset: str = "medium",
    rate: Fraction = Fraction(25),
    options: Sequence[str] = (),
) -> Coded:
    """Code pictures with one of CONFIGURATIONS at a fixed QP; ``options`` are x265's own, after all others. Raises CodecError."""
    if not pictures:
        raise CodecError("there are no pictures to code")
    pictures = [picture.cropped() for picture in pictures]
    first = pictures[0]
    settings = arguments(first, len(pictures), qp, configuration, preset, rate, options)
    program = tools.encoder if first.bit_depth == 8 else tools.encoder_10bit
    with tempfile.TemporaryDirectory(prefix="x265-") as folder:
        source, stream, recon = (Path(folder) / file for file in ("source.yuv", "stream.hevc", "recon.yuv"))
        write_yuv(source, pictures)
        files = ["--input", str(source), "-o", str(stream), "--recon", str(recon)]
        log, seconds = _run([str(program), *files, *settings], "x265")
        data = stream.read_bytes()
        output = list(open_video(recon, (first.width, first.height), first.pixel_format))
    if len(output) != len(pictures):
        raise CodecError(f"x265 was given {len(pictures)} pictures, its reconstruction has {len(output)}")
    decided = [(match["mode"], float(match["seconds"])) for match in _DECIDED.finditer(log)]
    version, kernel = _VERSION.search(log), _KERNEL.search(log)
    return Coded(
        data,
        nal.bits_without_hash(data),
        len(pictures),
        f"x265 {version[1] if version else 'of unknown version'}",
        " ".join(settings),
        seconds,
        output,
        Counter(mode for mode, _ in decided),
        sum(spent for _, spent in decided),
        kernel[1] if kernel and decided else None,
    )


def decode(tools: Tools, data: bytes, like: Picture | None = None, options: Sequence[str] = ()) -> Decoded:
    """Decode a stream and check its picture hashes. Pictures are read if ``like`` tells size and format. Raises CodecError."""
    with tempfile.TemporaryDirectory(prefix="dec265-") as folder:
        stream, output = Path(folder) / "stream.hevc", Path(folder) / "output.yuv"
        stream.write_bytes(data)
        write = ["-o", str(output)] if like else []
        log, seconds = _run([str(tools.decoder), "-q", "-c", *write, *options, str(stream)], "dec265")
        frames, filtered = _FRAMES.search(log), _FILTERED.search(log)
        if not frames or int(frames[1]) == 0:
            raise CodecError("dec265 found no picture in the stream")
        pictures = []
        if like:
            like = like.cropped()
            pictures = list(open_video(output, (like.width, like.height), like.pixel_format))
    return Decoded(pictures, int(frames[1]), int(filtered[1]) if filtered else 0, seconds, float(filtered[2]) if filtered else 0.0)
