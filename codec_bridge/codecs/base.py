"""Codecs, one module each, found by their word on the command line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from codec_bridge.bitstream.errors import CodecError

if TYPE_CHECKING:
    from codec_bridge.video.picture import Picture

OFFLINE = ("x265",)
"""Codecs that know nothing of the filter: all-intra, their pictures are filtered after decoding."""

IN_LOOP = ("hm", "x265-loop")
"""Codecs with the filter inside, in any configuration; `evaluate` knows how to run each of them."""

CODECS = OFFLINE + IN_LOOP


class Format(Protocol):
    """What is said of pictures before they are read: by a picture of them, or by the catalogue."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def bit_depth(self) -> int: ...
    @property
    def chroma_format(self) -> str: ...


@dataclass(frozen=True)
class Encoded:
    """A coded sequence.

    ``data`` is the whole stream; ``bits`` counts it without the picture hash SEI NAL units. ``encoder`` is the
    encoder's name and version as it states them itself, ``command`` the settings it ran with, ``seconds`` the wall time
    spent in it.
    """

    data: bytes
    bits: int
    pictures: int
    encoder: str
    command: str
    seconds: float


class Codec(Protocol):
    """What the module of every offline codec has."""

    def encode(
        self,
        pictures: "Iterable[Picture]",
        qp: int,
        *,
        filters: bool = True,
        sao: bool = True,
        rate: Fraction = Fraction(25),
        preset: str = "medium",
    ) -> Encoded:
        """Code pictures all-intra at a fixed QP; raises CodecError."""

    def decode(self, data: bytes, *, cropping: bool = False, check_hash: bool = True, pictures: int | None = None) -> "Iterator[Picture]":
        """Decode a stream, checking its picture hashes; raises CodecError."""


def get_codec(name: str) -> Codec:
    """The module of an offline codec. Raises CodecError, listing the known names, if there is none."""
    if name not in CODECS:
        raise CodecError(f"unknown codec {name!r}; known: {', '.join(CODECS)}")
    if name not in OFFLINE:
        raise CodecError(f"codec {name} has the filter inside; this wants one of {', '.join(OFFLINE)}")
    return cast(Codec, import_module("codec_bridge.codecs.pyav"))
