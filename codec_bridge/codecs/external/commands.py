"""Command lines of a codec, as a plan writes them: words with placeholders, no shell."""

import os
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
ROLES = ("encoder", "decoder")
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
        return "recon" in self._fields("encode", FILES)

    @cached_property
    def programs(self) -> dict[str, Path]:
        """The programs of both command lines, by role. Raises CodecError for what is not there."""
        return {role: self._program(shlex.split(line)[0]) for role, line in zip(ROLES, (self.encode, self.decode), strict=True)}

    @cached_property
    def files(self) -> dict[str, Path]:
        """Files that words of the command lines name, by their names: configurations, models. Of equal names each has one of its own."""
        words = [word for line in (self.encode, self.decode) for word in shlex.split(line)[1:]]
        found: dict[str, Path] = {}
        for path in dict.fromkeys(path for word in words if (path := self._file(word)[1])):
            same = sum(other.name == path.name for other in found.values()) + (path.name in ROLES)
            found[f"{path.name} ({same + 1})" if same else path.name] = path
        return found

    def _program(self, word: str) -> Path:
        found = which(str(self.folder / word)) if "/" in word else which(word)
        if not found:
            raise CodecError(f"codec {self.name}: there is no program {word}")
        return Path(found).resolve()

    def _file(self, word: str) -> tuple[str, Path | None]:
        """What of a word stands before a file that it names, as --config= does, and the file."""
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        path = self.folder / value
        there = value and "{" not in word and (equals or not option) and os.path.isfile(path)  # False for what is too long for a name
        return option + equals, path.resolve() if there else None

    def _filled(self, word: str, named: Mapping[str, str], whole: bool) -> str:
        """A word as it is run. whole: with the folder of a file that it names."""
        option, path = self._file(word)
        return f"{option}{path if whole else path.name}" if path else word.format(**named)

    def template(self, line: str, request: Request) -> list[str]:
        """The words of a command line with values, with placeholders for files and without folders: the same on every machine."""
        program, *words = shlex.split(line)
        kept = {name: f"{{{name}}}" for name in FILES}
        return [Path(program).name, *(self._filled(word, values(request) | kept, whole=False) for word in words)]

    def command(self, line: str, request: Request, files: Mapping[str, Path]) -> list[str]:
        """What is run: a program and its arguments."""
        program, *words = shlex.split(line)
        named = {name: str(path) for name, path in files.items()}
        return [str(self._program(program)), *(self._filled(word, values(request) | named, whole=True) for word in words)]

    def stated(self, log: str) -> dict[str, float]:
        """What the encoder's log says, by the groups of the pattern; of several places each group's last. Raises CodecError for one that is
        nowhere in it."""
        if self.log is None:
            return {}
        found: dict[str, str] = {}
        for match in re.finditer(self.log, log, re.M):
            found |= {name: value for name, value in match.groupdict().items() if value is not None}
        try:
            return {name: float(found[name]) for name in re.compile(self.log).groupindex}
        except (KeyError, ValueError) as error:
            group = f", which is to say {error.args[0]}" if found and isinstance(error, KeyError) else ""
            raise CodecError(f"codec {self.name}: the encoder's log has nothing like {self.log!r:.80}{group}") from None


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
