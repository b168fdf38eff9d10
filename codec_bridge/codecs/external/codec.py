"""A codec of a plan's table ``codec``: its programs are run as that says, behind the gates that every codec has."""

import re
import shlex
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import ClassVar

import numpy as np

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs import gates, programs
from codec_bridge.codecs.base import ORDINARY, Codec, Coded, Decoded, Loop, Request
from codec_bridge.codecs.external.commands import Commands, values
from codec_bridge.video.files import write_y4m, write_yuv
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture
from vrcnn_int.text import counted

NEAR = 0.011
"""Decibels that a mean PSNR which an encoder prints, in hundredths, may be from that of the decoded pictures."""

_VERSION_LINE = re.compile(r"\S.*")


@dataclass(frozen=True)
class Logged(Coded):
    """With what the encoder's log says of its pictures, and the luma that it was given, to tell by whether the decoder has them."""

    stated: Mapping[str, float] = field(default_factory=dict)
    originals: list[Picture] = field(default_factory=list)


class External(Codec):
    """Programs of others, which know nothing of the filter. The whole file that the encoder writes counts."""

    commands: ClassVar[Commands]
    inside = False
    variants = ("anchor",)
    default_variants = ("anchor",)
    origin = "the plan's"
    qps = range(256)
    cost = 10.0

    def check(self, configuration: str) -> None:
        """The programs."""
        self.files()

    def files(self) -> list[Path]:
        """The programs, and files that their command lines name."""
        return [*self.commands.programs.values(), *self.commands.files.values()]

    def programs(self, request: Request) -> programs.Programs:
        """Programs, the libraries that code and decode, and files of the command lines."""
        return programs.describe(self._version, self.commands.programs, self.commands.files)

    def _version(self, encoder: Path) -> str:
        return _version(self.commands, programs.file_hash(encoder))

    def loop_options(self, loop: Loop) -> tuple[str, ...]:
        """The command lines. Raises CodecError for another loop than the encoder's own."""
        if loop != ORDINARY:
            raise CodecError(f"codec {self.name} has the filters of its own command line alone")
        return (self.commands.encode, self.commands.decode, self.commands.input, self.commands.suffix, self.commands.log or "")

    def arguments(self, request: Request) -> list[str]:
        """Both command lines, and what of the log is compared."""
        both = [word for line in (self.commands.encode, self.commands.decode) for word in (*self.commands.template(line, request), ";")]
        return [*both, self.commands.input, self.commands.suffix, *([self.commands.log] if self.commands.log else [])]

    def code(self, request: Request, pictures: Iterable[Picture]) -> Coded:
        """Code with the program."""
        given = [picture.cropped() for picture in pictures]
        with tempfile.TemporaryDirectory(prefix="vrcnn-codec-") as folder:
            place = Path(folder)
            paths = {
                "input": place / f"input.{self.commands.input}",
                "output": place / f"stream{self.commands.suffix}",
                "recon": place / "recon.yuv",
            }
            if self.commands.input == "y4m":
                write_y4m(paths["input"], given, request.rate)
            else:
                write_yuv(paths["input"], given)
            ran = programs.run(self.commands.command(self.commands.encode, request, paths), f"encoder of {self.name}")
            data = _written(paths["output"], f"the encoder of {self.name} wrote no stream").read_bytes()
            recon = self._pictures(paths["recon"], request, "encoder") if self.commands.gives_recon else []
        stated = self.commands.stated(ran.log)
        coded = stated.get("pictures", len(given))
        if coded != len(given) or (self.commands.gives_recon and len(recon) != len(given)):
            counts = f"its log has {coded:g}" + (f" and its reconstruction {len(recon)}" if self.commands.gives_recon else "")
            raise CodecError(f"the encoder of {self.name} was given {counted(len(given), 'picture')}, {counts}")
        command = " ".join(self.commands.template(self.commands.encode, request))
        encoder = self._version(self.commands.programs["encoder"])
        return Logged(data, 8 * len(data), len(given), encoder, command, ran.seconds, recon=recon, stated=stated, originals=given)

    def decode(self, request: Request, coded: Coded) -> Decoded:
        """Decode with the program; as many pictures as were coded, and the encoder's own: its reconstruction, or the PSNR of its log."""
        decoded = self._decode(request, coded.data)
        if isinstance(coded, Logged):
            if coded.recon:
                gates.compare_pictures(coded.recon, decoded.pictures)
            if "psnr_y" in coded.stated:
                self._compare_psnr(coded.stated["psnr_y"], coded.originals, decoded.pictures)
        return decoded

    def decode_kept(self, request: Request, coded: Coded) -> Iterator[Picture]:
        """The same without the encoder's side, which was compared before the stream was kept."""
        yield from self._decode(request, coded.data).pictures

    def lagrangian(self, qp: int, bit_depth: int) -> float:
        """Raises CodecError: nothing is decided about these streams."""
        raise CodecError(f"what a bit is worth to the encoder of {self.name} is not known")

    def _decode(self, request: Request, data: bytes) -> Decoded:
        with tempfile.TemporaryDirectory(prefix="vrcnn-codec-") as folder:
            paths = {"input": Path(folder) / f"stream{self.commands.suffix}", "output": Path(folder) / "output.yuv"}
            paths["input"].write_bytes(data)
            ran = programs.run(self.commands.command(self.commands.decode, request, paths), f"decoder of {self.name}")
            pictures = self._pictures(paths["output"], request, "decoder")
        if len(pictures) != request.pictures:
            raise gates.Inconsistency(f"{counted(request.pictures, 'picture')} coded, {len(pictures)} decoded")
        return Decoded(pictures, ran.seconds)

    def _pictures(self, path: Path, request: Request, side: str) -> list[Picture]:
        """Of a file that the program of one side wrote."""
        return list(
            open_video(
                _written(path, f"the {side} of {self.name} wrote no pictures"),
                (request.like.width, request.like.height),
                values(request)["format"],
            )
        )

    def _compare_psnr(self, stated: float, originals: list[Picture], decoded: list[Picture]) -> None:
        own = fmean(_psnr(*pair) for pair in zip(originals, decoded, strict=True))
        if own != stated and not abs(own - stated) <= NEAR:  # both are infinite without loss
            said = f"the encoder of {self.name} says a luma PSNR of {stated:g} dB"
            raise gates.Inconsistency(f"{said}, the decoder's pictures have {own:.4f} dB: they are not its own")


def _psnr(original: Picture, decoded: Picture) -> float:
    """Of luma, in dB, with the largest sample as peak, as encoders print it; infinite where they are equal."""
    error = np.subtract(original.planes[0], decoded.planes[0], dtype=np.int64)
    squares = float(np.mean(error * error))
    return 10 * float(np.log10(((1 << original.bit_depth) - 1) ** 2 / squares)) if squares else float("inf")


def _written(path: Path, otherwise: str) -> Path:
    """A file that a program was to write. Raises CodecError where it did not, or made a pipe or a link of it, without an end."""
    try:
        status = path.lstat()
    except OSError:
        raise CodecError(otherwise) from None
    if not stat.S_ISREG(status.st_mode):
        raise CodecError(f"{otherwise}: {path.name} is not a file")
    if not status.st_size:
        raise CodecError(otherwise)
    return path


@cache
def _version(commands: Commands, _hash: str) -> str:
    """The first line that the version command prints, or the codec's name."""
    if commands.version is None:
        return commands.name
    program, *words = shlex.split(commands.version)
    path = which_beside(commands, program)
    found = _VERSION_LINE.search(programs.run([path, *words], f"version of {commands.name}", quiet=True, ok=tuple(range(256))).log)
    if not found:
        raise CodecError(f"codec {commands.name}: {commands.version} prints no version")
    return found[0].strip()[:120]


def which_beside(commands: Commands, program: str) -> str:
    """A program of the plan's folder, or of the path."""
    return str(commands.folder / program) if "/" in program else program


@cache
def codec_of(commands: Commands) -> type[Codec]:
    """The class of a plan's codec."""
    own = {
        "name": commands.name,
        "commands": commands,
        "configurations": (commands.configuration,),
        "suffix": commands.suffix,
        "__doc__": External.__doc__,
    }
    return type("External", (External,), own)
