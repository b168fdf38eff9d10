"""HM's encoder and decoder, built by the user, as programs, and what they print.

The encoder and the decoder are those of a checkout with the adapter in it (`codec-bridge hm install`); with ``--VRCNN=0`` the encoder
is the unchanged one to the bit, so the anchor needs no second build.
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
    "ai": "encoder_intra_main",
    "ra": "encoder_randomaccess_main",
    "ldb": "encoder_lowdelay_main",
    "ldp": "encoder_lowdelay_P_main",
}
"""The configurations of the common test conditions, by their usual abbreviations; files for 10 bits end with 10."""

_PICTURE = re.compile(
    r"^POC\s+(?P<poc>-?\d+).*?\(\s*(?P<type>\w)-SLICE.*?(?P<bits>\d+) bits "
    r"\[Y\s+(?P<y>\S+) dB(?:\s+U\s+(?P<u>\S+) dB\s+V\s+(?P<v>\S+) dB)?",
    re.M,
)
_DECIDED = re.compile(
    r"^VRCNN POC\s+(?P<poc>-?\d+): (?:(?P<mode>off|all|map)|luma (?P<luma>off|all|map), chroma (?P<chroma>off|all|map))\b.*?"
    r"\[(?P<bytes>\d+) bytes\] \[VT (?P<seconds>[\d.]+)\]$",
    re.M,
)
_VERDICT = re.compile(r"^POC\s+(?P<poc>-?\d+) .*?\[\w*:[0-9a-f,]*,\((?P<verdict>OK|unk|\*\*\*ERROR\*\*\*)\)\]", re.M)
_KERNEL = re.compile(r"^VRCNN: model set [0-9a-f]+, .*kernels (\w+)", re.M)
_TOTAL = re.compile(r"^ Total Time:\s+([\d.]+) sec", re.M)


@dataclass(frozen=True)
class Tools:
    """The programs, the folder with HM's configuration files, and the encoder for anchors (the same one, with the filter off)."""

    encoder: Path
    decoder: Path
    configurations: Path
    anchor: Path

    def configuration(self, name: str, bit_depth: int) -> Path:
        """The file of one of CONFIGURATIONS. Raises CodecError."""
        if name not in CONFIGURATIONS:
            raise CodecError(f"unknown configuration {name!r}; there are {', '.join(CONFIGURATIONS)}")
        path = self.configurations / f"{CONFIGURATIONS[name]}{'10' if bit_depth > 8 else ''}.cfg"
        if not path.is_file():
            raise CodecError(f"HM's configuration file {path} is not there")
        return path


@dataclass(frozen=True)
class CodedPicture:
    """What the encoder printed about a picture, in coding order. psnr: Y, U, V as printed.

    decided: as Sideinfo.modes says it, None with the filter off.
    """

    poc: int
    slice_type: str
    bits: int
    psnr: tuple[float, ...]
    decided: str | None
    filter_seconds: float


def find_tools(hm: Path | None = None, anchor: Path | None = None) -> Tools:
    """The programs of the checkout ``hm``; None: of environment variable HM_ROOT. HM_ENCODER and HM_DECODER come first.

    anchor: checkout of an unchanged HM for anchors. Raises CodecError for what is not there.
    """
    root = hm or (Path(os.environ["HM_ROOT"]) if os.environ.get("HM_ROOT") else None)
    paths = []
    for word, variable in (("Encoder", "HM_ENCODER"), ("Decoder", "HM_DECODER")):
        if hm is None and os.environ.get(variable):
            program = Path(os.environ[variable])
            if not os.access(program, os.X_OK) or program.is_dir():
                raise CodecError(f"{variable}: there is no program {program}")
            paths.append(program)
        elif root is None:
            raise CodecError(f"give HM's folder with --hm, or in HM_ROOT (or the program in {variable})")
        else:
            paths.append(_program(root, word))
    configurations = (root / "cfg") if root else next((p / "cfg" for p in paths[0].resolve().parents if (p / "cfg").is_dir()), None)
    if configurations is None or not configurations.is_dir():
        raise CodecError("HM's folder of configuration files (cfg) is not found; give HM's folder with --hm or HM_ROOT")
    return Tools(paths[0], paths[1], configurations, _program(anchor, "Encoder") if anchor else paths[0])


def _program(root: Path, word: str) -> Path:
    for name in (f"TApp{word}Static", f"TApp{word}", f"TApp{word}Staticr"):
        for path in (root / "bin" / name, *sorted(root.glob(f"bin/umake/*/*/release/{name}"))):
            if path.is_file() and os.access(path, os.X_OK):
                return path
    raise CodecError(f"{root} has no built TApp{word} in bin; build HM as its manual says")


def version(encoder: Path) -> str:
    """HM's name and version, as the program prints them. Raises CodecError."""
    stated = re.search(r"HM software: Encoder Version \[([^\]]+)\]", programs.run([str(encoder)], "HM", ok=(0, 1), quiet=True).out)
    if not stated:
        raise CodecError(f"{encoder} is not HM's encoder")
    return f"HM {stated[1]}"


def arguments(
    like: Format, pictures: int, qp: int, rate: Fraction = Fraction(25), network: bool = False, options: Sequence[str] = ()
) -> list[str]:
    """What the encoder is told beside its configuration and the names of files. ``like``: what is coded, ``options`` HM's own."""
    settings = [
        *("-wdt", str(like.width), "-hgt", str(like.height), "-fr", str(max(1, round(rate))), "-f", str(pictures), "-q", str(qp)),
        f"--InputBitDepth={like.bit_depth}",
        f"--InternalBitDepth={like.bit_depth}",
        f"--InputChromaFormat={like.chroma_format}",
        f"--ChromaFormatIDC={like.chroma_format}",
        "--ConformanceWindowMode=1",
        "--SEIDecodedPictureHash=1",
        *(["--VRCNN=1"] if network else []),
        *options,
    ]
    return settings if like.chroma_format == "420" else [*settings, "--Profile=main-RExt"]


def encode(
    tools: Tools,
    pictures: Iterable[Picture],
    qp: int,
    *,
    configuration: str = "ai",
    rate: Fraction = Fraction(25),
    network: bool = False,
    options: Sequence[str] = (),
) -> Coded:
    """Code pictures with one of CONFIGURATIONS at a QP; ``options`` are HM's own, after all others.

    network: --VRCNN=1 in the encoder with the adapter, without the SEI message that the stream needs the filter, unless ``--VRCNNSEI=1``
    is among the options; otherwise the anchor's encoder runs. Raises CodecError.
    """
    pictures = [picture.cropped() for picture in pictures]
    if not pictures:
        raise CodecError("there are no pictures to code")
    first = pictures[0]
    program = tools.encoder if network else tools.anchor
    settings = arguments(first, len(pictures), qp, rate, network, options)
    name = tools.configuration(configuration, first.bit_depth)
    with tempfile.TemporaryDirectory(prefix="hm-") as folder:
        source, stream, recon = (Path(folder) / file for file in ("source.yuv", "stream.bin", "recon.yuv"))
        write_yuv(source, pictures)
        # These clips are short: what is said once in a stream would weigh on each of their pictures.
        quiet = ["--VRCNNSEI=0"] if network else []
        command = ["-c", str(name), "-i", str(source), "-b", str(stream), "-o", str(recon), "-d", "0", *quiet, *settings]
        ran = programs.run([str(program), *command], "HM's encoder")
        data = stream.read_bytes()
        output = list(open_video(recon, (first.width, first.height), first.pixel_format))
    log = parse_encoder_log(ran.out)
    if len(log) != len(pictures) or len(output) != len(pictures):
        raise CodecError(
            f"HM's encoder was given {counted(len(pictures), 'picture')}, its log has {len(log)} and its reconstruction {len(output)}"
        )
    total, kernel = _TOTAL.search(ran.out), _KERNEL.search(ran.out)
    return Coded(
        data,
        nal.bits_without_hash(data),
        len(pictures),
        version(program),
        f"{name.name} {' '.join(settings)}",
        ran.seconds,
        float(total[1]) if total else ran.seconds,
        output,
        [picture.decided for picture in log],
        sum(picture.filter_seconds for picture in log),
        kernel[1] if kernel else None,
    )


def decode(tools: Tools, data: bytes, like: Picture | None = None, options: Sequence[str] = ()) -> Decoded:
    """Decode a stream with the decoder that has the adapter. Pictures are read if ``like`` tells size and format.

    Raises CodecError where the decoder fails; wrong hashes are told by the verdicts.
    """
    with tempfile.TemporaryDirectory(prefix="hm-") as folder:
        stream, output = Path(folder) / "stream.bin", Path(folder) / "output.yuv"
        stream.write_bytes(data)
        write = ["-o", str(output), "-d", "0"] if like else []
        ran = programs.run([str(tools.decoder), "-b", str(stream), *write, *options], "HM's decoder", ok=(0, 1))
        verdicts = [(int(match["poc"]), match["verdict"].strip("*")) for match in _VERDICT.finditer(ran.out)]
        if not verdicts:
            raise CodecError("HM's decoder found no picture in the stream")
        pictures = []
        if like:
            like = like.cropped()
            pictures = list(open_video(output, (like.width, like.height), like.pixel_format))
    total = _TOTAL.search(ran.out)
    return Decoded(pictures, ran.seconds, float(total[1]) if total else ran.seconds, verdicts)


def parse_encoder_log(text: str) -> list[CodedPicture]:
    """The pictures of an encoder's log, in coding order."""
    decided = {
        int(match["poc"]): (match["mode"] or f"{match['luma']}/{match['chroma']}", float(match["seconds"]))
        for match in _DECIDED.finditer(text)
    }
    pictures = []
    for match in _PICTURE.finditer(text):
        psnr = tuple(float(match[plane]) for plane in "yuv" if match[plane] is not None)
        mode, seconds = decided.get(int(match["poc"]), (None, 0.0))
        pictures.append(CodedPicture(int(match["poc"]), match["type"], int(match["bits"]), psnr, mode, seconds))
    return pictures
