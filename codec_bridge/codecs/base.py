"""What a codec is to the rest of the bridge: what it is asked, what it gives, and what every one of them can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Protocol

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.codecs import decoder
from codec_bridge.codecs.programs import Programs
from codec_bridge.video.picture import Picture

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
"""Of x265. Codecs without presets ignore them, so that one plan can run several codecs."""


class Format(Protocol):
    """What is known of pictures before they are read: by a picture of them, or by the catalogue."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def bit_depth(self) -> int: ...
    @property
    def chroma_format(self) -> str: ...


@dataclass(frozen=True)
class Network:
    """Networks in the loop. position: one of network.POSITIONS. units: chosen for units of a picture, or for whole pictures only.

    kernel: a word of the C library. model: a model set's file, None for the built-in one; identity: of the set, 64 hexadecimal digits.
    size: of joint networks, one of network.SIZES; where the set has none of that size, the other serves.
    """

    position: str
    units: bool
    kernel: str = "auto"
    model: Path | None = None
    identity: str = ""
    size: str = "best"


@dataclass(frozen=True)
class Loop:
    """What filters stand in the loop."""

    deblocking: bool = True
    sao: bool = True
    network: Network | None = None


ORDINARY, NO_SAO, OFF = Loop(), Loop(sao=False), Loop(deblocking=False, sao=False)


@dataclass(frozen=True)
class Request:
    """How pictures are coded. like: their size and format; pictures: how many. qp: 0..51. preset: one of PRESETS.

    configuration: one of the codec's. rate: pictures a second, which the stream only mentions.
    """

    qp: int
    like: Format
    pictures: int
    configuration: str = "ai"
    preset: str = "medium"
    rate: Fraction = Fraction(25)
    loop: Loop = ORDINARY


@dataclass(frozen=True)
class Coded:
    """A coded sequence, and the encoder's side of it.

    data: the whole stream. bits: of it, without picture hash SEI NAL units. pictures: how many. encoder: name and version, as the encoder
    states them. command: the settings that it ran with. seconds: wall time in it; cpu_seconds: processor time, where it tells.
    recon: its reconstruction, cropped, in output order; empty if it gives none. decided: what it printed of each picture with networks
    in the loop (``Sideinfo.modes``, None for none), in the order of its log. filter_seconds: in filter and decisions.
    kernel: that the filter ran on, None without networks.
    """

    data: bytes
    bits: int
    pictures: int
    encoder: str
    command: str
    seconds: float
    cpu_seconds: float | None = None
    recon: list[Picture] = field(default_factory=list)
    decided: list[str | None] = field(default_factory=list)
    filter_seconds: float = 0.0
    kernel: str | None = None


@dataclass(frozen=True)
class Decoded:
    """What came out of a decoder, in output order, and what the stream says.

    verdicts: by POC, in decoding order, whether the picture hash was OK, wrong or missing; empty where a wrong one is an error.
    filtered: pictures that the decoder says a network filtered, None where it does not tell; filter_seconds: it spent so long on them.
    side: the side information of each picture in decoding order, read without the C library; side_bits: what it costs.
    """

    pictures: list[Picture]
    seconds: float
    cpu_seconds: float | None = None
    verdicts: list[tuple[int, str]] = field(default_factory=list)
    filtered: int | None = None
    filter_seconds: float = 0.0
    side: list[Sideinfo | None] = field(default_factory=list)
    side_bits: int = 0


class Codec(ABC):
    """A codec with its settings. Every method raises CodecError where the codec fails or is not there.

    folders: where its programs are, by the names in ``settings``.
    """

    name: ClassVar[str]
    """Its word on the command line."""
    origin: ClassVar[str]
    """Where it comes from, in a few words."""
    inside: ClassVar[bool]
    """Whether it has the filter inside; the decoded pictures of others are filtered."""
    variants: ClassVar[tuple[str, ...]]
    default_variants: ClassVar[tuple[str, ...]]
    configurations: ClassVar[tuple[str, ...]]
    settings: ClassVar[Mapping[str, str]] = {}
    """The folders that it wants, in words, by name: options of the command line, keys of a plan's table programs. The first is of the codec
    with the filter, others of the anchor's."""
    qps: ClassVar[range] = range(52)
    """That it can be asked for."""
    cost: ClassVar[float] = 1.0
    """Seconds a picture, in proportion to the others'."""
    cropped: ClassVar[bool] = True
    """Whether its decoder puts out what is inside the conformance window only."""
    suffix: ClassVar[str] = ".hevc"
    """Of files that keep its streams."""
    joint: ClassVar[bool] = False
    """Whether the filter inside takes joint networks, which it prefers where a set has them for the position."""
    sao_steers: ClassVar[bool] = False
    """Whether SAO changes what the encoder decides, so that streams with it are not alike before SAO."""

    def __init__(self, folders: Mapping[str, Path] | None = None) -> None:
        self.folders = dict(folders or {})

    @abstractmethod
    def check(self, configuration: str) -> None:
        """Raise CodecError unless the codec's programs and files for one of ``configurations`` are there."""

    def files(self) -> list[Path]:
        """The programs and folders of files that it reads. Raises CodecError for what is not there."""
        return []

    @abstractmethod
    def programs(self, request: Request) -> Programs:
        """What codes and decodes."""

    @abstractmethod
    def loop_options(self, loop: Loop) -> tuple[str, ...]:
        """What the encoder is told of the filters in the loop. Part of the names of kept streams: it never changes."""

    @abstractmethod
    def arguments(self, request: Request) -> list[str]:
        """Everything that the encoder is told but the names of files. Part of the keys of results: it never changes."""

    @abstractmethod
    def code(self, request: Request, pictures: Iterable[Picture]) -> Coded:
        """Code pictures, cropped, of the request's format."""

    @abstractmethod
    def decode(self, request: Request, coded: Coded) -> Decoded:
        """Decode what ``code`` gave for a request; raises gates.Inconsistency unless all that the two sides know agrees."""

    @abstractmethod
    def lagrangian(self, qp: int, bit_depth: int) -> float:
        """Squared error that a bit is worth to the encoder."""

    def decode_plain(self, data: bytes, pictures: int | None = None) -> Iterator[Picture]:
        """Decode a stream without networks, uncropped, every picture verified. pictures: how many there must be."""
        return decoder.decode(data, pictures=pictures)

    def decode_kept(self, request: Request, coded: Coded) -> Iterator[Picture]:
        """Decode a stream without networks that passed ``decode`` when it was coded, uncropped unless only the program could decode it."""
        return self.decode_plain(coded.data, request.pictures)

    def check_stream(self, data: bytes, network: Network) -> tuple[int, int]:
        """Decode any stream, every picture hash verified; how many pictures it has, and how many of them networks filter."""
        raise CodecError(f"codec {self.name} has no filter inside, whose streams could be checked by themselves")
