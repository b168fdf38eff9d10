"""Command lines of a codec, as a plan writes them: words with placeholders, no shell."""

import re
import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import which

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs.base import Request

FILES = ("input", "output", "recon")
"""Placeholders that are names of files: of the encoder the pictures, the stream and, if it writes that, its reconstruction; of the decoder
the stream and the pictures."""
VALUES = ("qp", "width", "height", "fps", "fps_num", "fps_den", "frames", "depth", "format", "chroma")
INPUTS = ("yuv", "y4m")
STATED = ("pictures", "psnr_y")
"""What a log pattern may find, by the names of its groups."""

NAME = re.compile("[a-z0-9][a-z0-9._-]{0,30}")
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True)
class Commands:
    """A codec of a plan. encode, decode: command lines with placeholders, of FILES and VALUES. folder: of the plan, where programs and
    files in them are looked for first.

    log: a regular expression whose groups, named as in STATED, find in what the encoder prints how many pictures it coded and their mean
    luma PSNR in dB. version: a command line that prints name and version first. input: what the encoder reads, one of INPUTS; the decoder
    writes planar yuv of the same format. suffix: of the stream's file. configuration: what the command line codes, as ai or ra.

    Raises CodecError for what cannot be one.
    """

    name: str
    encode: str
    decode: str
    folder: Path
    configuration: str = "ai"
    log: str | None = None
    version: str | None = None
    input: str = "yuv"
    suffix: str = ".bin"

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise CodecError(f"codec {self.name!r:.60}: a name has small letters, digits, points and dashes, 31 at most")
        if not re.fullmatch("[a-z0-9]{1,8}", self.configuration):
            raise CodecError(f"codec {self.name}: configuration {self.configuration!r:.40} is not a word such as ai, ra, ldb or ldp")
        if self.input not in INPUTS:
            raise CodecError(f"codec {self.name}: input {self.input!r:.40} is neither yuv nor y4m")
        if not SUFFIX.fullmatch(self.suffix):
            raise CodecError(f"codec {self.name}: suffix {self.suffix!r:.40} is not an ending such as .ivf")
        used = {field: self._fields(field, more) for field, more in (("encode", FILES), ("decode", FILES[:2]))}
        for field, needed in (("encode", {"input", "output", "qp"}), ("decode", {"input", "output"})):
            if missing := sorted(needed - used[field]):
                raise CodecError(f"codec {self.name}: {field} lacks {', '.join(f'{{{name}}}' for name in missing)}")
        self._pattern_of_log()
        if self.log is None and not self.gives_recon:
            raise CodecError(
                f"codec {self.name}: nothing would tell that the decoder has the encoder's pictures: "
                "give {recon} in encode, or a log pattern with a group pictures or psnr_y"
            )

    def _fields(self, field: str, files: tuple[str, ...]) -> set[str]:
        """The placeholders of a command line. Raises CodecError for unknown ones."""
        try:
            words = shlex.split(getattr(self, field))
            found = {name for word in words for _, name, spec, conversion in string.Formatter().parse(word) if name is not None}
            plain = all(not spec and not conversion for word in words for _, _, spec, conversion in string.Formatter().parse(word))
        except ValueError as error:
            raise CodecError(f"codec {self.name}: {field}: {error}") from None
        unknown = sorted(found - {*files, *VALUES})
        if not words or unknown or not plain:
            what = (
                f"{{{unknown[0]:.40}}} is unknown" if unknown else "no program is named" if not words else "a placeholder is a name alone"
            )
            raise CodecError(f"codec {self.name}: {field}: {what}; there are {', '.join(f'{{{name}}}' for name in (*files, *VALUES))}")
        return found

    def _pattern_of_log(self) -> None:
        if self.log is None:
            return
        try:
            groups = set(re.compile(self.log).groupindex)
        except re.error as error:
            raise CodecError(f"codec {self.name}: log: {error}") from None
        if not groups or groups - set(STATED):
            raise CodecError(f"codec {self.name}: log: name its groups (?P<pictures>...) and (?P<psnr_y>...), one of them or both")

    @property
    def gives_recon(self) -> bool:
        """Whether the encoder writes its reconstruction."""
        return "{recon}" in self.encode

    @cached_property
    def programs(self) -> dict[str, Path]:
        """The programs of both command lines, by role. Raises CodecError for what is not there."""
        return {role: self._program(shlex.split(line)[0]) for role, line in (("encoder", self.encode), ("decoder", self.decode))}

    @cached_property
    def files(self) -> dict[str, Path]:
        """Files that words of the command lines name, by their names: configurations, models."""
        words = [word for line in (self.encode, self.decode) for word in shlex.split(line)[1:]]
        return {path.name: path for word in words if (path := self._file(word))}

    def _program(self, word: str) -> Path:
        found = which(str(self.folder / word)) if "/" in word else which(word)
        if not found:
            raise CodecError(f"codec {self.name}: there is no program {word}")
        return Path(found).resolve()

    def _file(self, word: str) -> Path | None:
        path = self.folder / word
        return path.resolve() if "{" not in word and not word.startswith("-") and path.is_file() else None

    def template(self, line: str, request: Request) -> list[str]:
        """The words of a command line with values, with placeholders for files and without folders: the same on every machine."""
        program, *words = shlex.split(line)
        kept = {name: f"{{{name}}}" for name in FILES}
        filled = [path.name if (path := self._file(word)) else word.format(**values(request), **kept) for word in words]
        return [Path(program).name, *filled]

    def command(self, line: str, request: Request, files: Mapping[str, Path]) -> list[str]:
        """What is run: a program and its arguments."""
        program, *words = shlex.split(line)
        named = {name: str(path) for name, path in files.items()}
        filled = [str(self._file(word) or word.format(**values(request), **named)) for word in words]
        return [str(self._program(program)), *filled]

    def stated(self, log: str) -> dict[str, float]:
        """What the encoder's log says, by the groups of the pattern; of several places the last. Raises CodecError if it says nothing."""
        if self.log is None:
            return {}
        found = list(re.finditer(self.log, log, re.M))
        try:
            return {name: float(value) for name, value in found[-1].groupdict().items() if value is not None}
        except (IndexError, ValueError):
            raise CodecError(f"codec {self.name}: the encoder's log has nothing like {self.log!r:.80}") from None


def values(request: Request) -> dict[str, str]:
    """Of the placeholders that are no files."""
    like, rate = request.like, request.rate
    base = "gray" if like.chroma_format == "400" else f"yuv{like.chroma_format}p"
    return {
        "qp": str(request.qp),
        "width": str(like.width),
        "height": str(like.height),
        "fps": str(rate) if rate.denominator == 1 else f"{float(rate):.6g}",
        "fps_num": str(rate.numerator),
        "fps_den": str(rate.denominator),
        "frames": str(request.pictures),
        "depth": str(like.bit_depth),
        "format": base if like.bit_depth == 8 else f"{base}{like.bit_depth}le",
        "chroma": like.chroma_format,
    }
