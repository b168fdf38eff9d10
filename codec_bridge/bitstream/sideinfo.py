"""Side information of pictures, read as c/SPECIFICATION.md, section 6, says. It shares nothing with the C library."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream import slices
from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import POSITIONS

MAGIC = b"\x56\x4e"
VERSIONS = (1, 2)
MAX_BYTES = 256
MODES = ("off", "all", "map")


class SideinfoError(VrcnnError):
    """Side information that cannot be read. There is one subclass for each error of the specification, section 6.5."""


class ForeignError(SideinfoError):
    """An IRAP picture's extension does not begin with the magic: it is somebody else's, and nothing is filtered."""


class VersionError(SideinfoError):
    """side_information_version is not one of VERSIONS."""


class TruncatedError(SideinfoError):
    """A syntax element does not fit into the bytes, or there are none."""


class SyntaxElementError(SideinfoError):
    """A value that shall not occur, a non-zero padding bit, or bytes left over."""


@dataclass(frozen=True, eq=False)
class Sideinfo:
    """What the bitstream says of a picture.

    identity: 4 bytes (3 in version 2) at an IRAP picture, None at others. mode: luma's, one of MODES. position: one of POSITIONS.
    indices: networks in the model set of the listed filters, () if no plane has any. scale: 1..10 in version 1, 0 if off, and in version 2.
    unit_size: in luma samples, 0 unless mode is map. units: uint8 [rows, columns], 0 no filter, n indices[n - 1]; None unless mode is
    map. coded: the map was not raw.

    Version 2 alone: chroma_mode, chroma_unit_size, chroma_units: likewise, of Cb and Cr; shares_map: they are luma's. luma_weights,
    chroma_weights: c_h of each filter's heads, -5..10, also of a plane that is off (8 each).
    """

    identity: bytes | None
    mode: str
    position: str = POSITIONS[0]
    indices: tuple[int, ...] = ()
    scale: int = 0
    unit_size: int = 0
    units: NDArray[np.uint8] | None = None
    coded: bool = False
    version: int = 1
    chroma_mode: str = MODES[0]
    shares_map: bool = False
    luma_weights: tuple[tuple[int, ...], ...] = ()
    chroma_weights: tuple[tuple[int, ...], ...] = ()
    chroma_unit_size: int = 0
    chroma_units: NDArray[np.uint8] | None = None

    @property
    def filters(self) -> bool:
        """Whether any plane is filtered."""
        return self.mode != "off" or self.chroma_mode != "off"

    @property
    def modes(self) -> str:
        """In a word, as encoders print it: luma's mode; in version 2, a slash and chroma's."""
        return self.mode if self.version == 1 else f"{self.mode}/{self.chroma_mode}"

    def choices(self, width: int, height: int) -> NDArray[np.uint8]:
        """uint8 [height, width]: for each luma sample 0 or the number (from 1) of its filter in ``indices``."""
        return _choices(self.mode, self.units, self.unit_size, width, height)

    def chroma_choices(self, width: int, height: int) -> NDArray[np.uint8]:
        """The same for Cb and Cr, width and height still of luma: for each luma sample what its chroma has."""
        return _choices(self.chroma_mode, self.chroma_units, self.chroma_unit_size, width, height)

    def plane_units(self, width: int, height: int) -> tuple[int, NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
        """What version 2 says, as maps in units of one size: that size, luma's map and chroma's, None where a plane is off."""
        size = min(self.unit_size or 512, self.chroma_unit_size or 512)
        luma, chroma = self.choices(width, height)[::size, ::size], self.chroma_choices(width, height)[::size, ::size]
        return size, None if self.mode == "off" else luma, None if self.chroma_mode == "off" else chroma


def _choices(mode: str, units: NDArray[np.uint8] | None, unit_size: int, width: int, height: int) -> NDArray[np.uint8]:
    if units is None:
        return np.full((height, width), mode == "all", np.uint8)
    return units.repeat(unit_size, 0).repeat(unit_size, 1)[:height, :width]


class _Bits:
    """Bits of a byte string, most significant first."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def u(self, bits: int, name: str) -> int:
        if self.at + bits > len(self.text):
            raise TruncatedError(f"the side information ends before {name}: the stream is damaged")
        self.at += bits
        return int(self.text[self.at - bits : self.at], 2)

    def padded(self) -> int:
        """The next bit, 0 beyond the end."""
        self.at += 1
        return int(self.text[self.at - 1 : self.at] or "0")


class _MapDecoder:
    """coded_map( ), section 6.4."""

    def __init__(self, bits: _Bits) -> None:
        self.bits = bits
        self.start = bits.at
        self.range = 65536
        self.value = 0
        for _ in range(16):
            self.value = 2 * self.value + bits.padded()
        self.shifts = 0
        others = [[3, 1], [2, 2], [1, 3]]
        self.contexts = [[[3, 1], [1, 3], [1, 5]], others, [counts.copy() for counts in others]]

    def bin(self, counts: list[int]) -> int:
        zero = self.range * counts[0] // sum(counts)
        if self.value < zero:
            found = 0
            self.range = zero
        else:
            found = 1
            self.range -= zero
            self.value -= zero
        counts[found] += 2
        if sum(counts) > 256:
            counts[:] = [(count + 1) // 2 for count in counts]
        while self.range < 32768:
            self.range *= 2
            self.value = 2 * self.value + self.bits.padded()
            self.shifts += 1
        return found

    def units(self, rows: int, columns: int, networks: int, end_bits: int) -> NDArray[np.uint8]:
        found = np.zeros((rows, columns), np.uint8)
        for y in range(rows):
            for x in range(columns):
                neighbours = [int(found[y, x - 1])] * (x > 0) + [int(found[y - 1, x])] * (y > 0)
                choice = 0
                while choice < networks:
                    votes = sum(n > choice for n in neighbours) - sum(n == choice for n in neighbours)
                    if not self.bin(self.contexts[choice][1 + (votes > 0) - (votes < 0)]):
                        break
                    choice += 1
                found[y, x] = choice
        end = self.start + self.shifts + end_bits
        if end > len(self.bits.text):
            raise TruncatedError("the side information ends inside its map: the stream is damaged")
        self.bits.at = end
        return found


def _raw_units(bits: _Bits, rows: int, columns: int, networks: int) -> NDArray[np.uint8]:
    found = np.zeros(rows * columns, np.uint8)
    for i in range(found.size):
        choice = bits.u(1 if networks == 1 else 2, f"unit_choice[{i}]")
        if choice > networks:
            raise SyntaxElementError(f"unit_choice[{i}] is {choice} with {networks} networks: the stream is damaged")
        found[i] = choice
    return found.reshape(rows, columns)


def _identity(bits: _Bits, latest: int) -> tuple[int, bytes]:
    """Version, of those up to the latest, and identity."""
    if not bits.text.startswith("".join(f"{byte:08b}" for byte in MAGIC)):
        raise ForeignError("the slice header extension of the IRAP picture is not side information of vrcnn-int")
    bits.at = 8 * len(MAGIC)
    version = bits.u(8, "side_information_version")
    if version not in VERSIONS[:latest]:
        raise VersionError(f"the side information has version {version}, this program knows {latest}: update vrcnn-int")
    return version, bytes(bits.u(8, "model_set_identity") for _ in range(4 if version == 1 else 3))


def _map(bits: _Bits, networks: int, width: int, height: int, is_followed: bool = False) -> tuple[int, NDArray[np.uint8], bool]:
    unit_size = 64 << bits.u(2, "log2_unit_size_minus6")
    coded = not bits.u(1, "raw_map_flag")
    rows, columns = -(-height // unit_size), -(-width // unit_size)
    units = _MapDecoder(bits).units(rows, columns, networks, 1 + is_followed) if coded else _raw_units(bits, rows, columns, networks)
    if not units.any():
        raise SyntaxElementError("no unit of the map has a network: the stream is damaged")
    return unit_size, units, coded


def _luma_filters(bits: _Bits, identity: bytes | None, width: int, height: int) -> Sideinfo:
    """luma_filters( ): version 1."""
    mode = bits.u(2, "filter_mode")
    if mode >= len(MODES):
        raise SyntaxElementError(f"filter_mode is {mode}: the stream is damaged")
    position = bits.u(1, "filter_position")
    if mode == 0 and position:
        raise SyntaxElementError("filter_position is 1 in a picture that is not filtered: the stream is damaged")
    indices: list[int] = []
    scale, unit_size, units, coded = 0, 0, None, False
    if mode:
        for i in range(_count(bits) if mode == 2 else 1):
            index = bits.u(5, f"network_index[{i}]")
            if index in indices:
                raise SyntaxElementError(f"the side information lists network {index} twice: the stream is damaged")
            indices.append(index)
        scale = bits.u(4, "output_scale")
        if not 1 <= scale <= 10:
            raise SyntaxElementError(f"output_scale is {scale}, not 1..10: the stream is damaged")
    if mode == 2:
        unit_size, units, coded = _map(bits, len(indices), width, height)
    return Sideinfo(identity, MODES[mode], POSITIONS[position], tuple(indices), scale, unit_size, units, coded)


def _count(bits: _Bits) -> int:
    count = bits.u(2, "num_networks_minus1") + 1
    if count > 3:
        raise SyntaxElementError(f"the side information lists {count} networks, more than 3: the stream is damaged")
    return count


def _weights(bits: _Bits, name: str, heads: int, is_coded: bool) -> tuple[int, ...]:
    weights = []
    for head in range(heads if is_coded else 0):
        weight = bits.u(4, f"{name}_weight_plus5[{head}]") - 5
        if heads == 1 and weight < 1:
            raise SyntaxElementError(f"a weight of {name} is {weight}, not 1..10: the stream is damaged")
        weights.append(weight)
    return tuple(weights) if is_coded else (8,) * heads


def _plane_filters(bits: _Bits, identity: bytes | None, width: int, height: int) -> Sideinfo:
    """plane_filters( ): version 2."""
    luma = bits.u(2, "luma_mode")
    if luma >= len(MODES):
        raise SyntaxElementError(f"luma_mode is {luma}: the stream is damaged")
    chroma = bits.u(2, "chroma_mode")
    shares_map = chroma == 3
    if (shares_map and luma != 2) or luma == chroma == 0:
        raise SyntaxElementError(f"chroma_mode is {chroma} and luma_mode {luma}: the stream is damaged")
    position = bits.u(1, "filter_position")
    filters: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []
    for i in range(_count(bits) if 2 in (luma, chroma) else 1):
        index = bits.u(5, f"network_index[{i}]")
        heads = bits.u(1, f"num_heads_minus1[{i}]") + 1
        is_coded = not bits.u(1, f"trained_weights_flag[{i}]")
        luma_weights = _weights(bits, "luma", heads, is_coded and luma > 0)
        found = index, luma_weights, _weights(bits, "chroma", heads, is_coded and chroma > 0)
        if found in filters:
            raise SyntaxElementError(f"the side information lists a filter with network {index} twice: the stream is damaged")
        filters.append(found)
    unit_size, units, coded = _map(bits, len(filters), width, height, chroma == 2) if luma == 2 else (0, None, False)
    chroma_unit_size, chroma_units = (unit_size, units) if shares_map else (0, None)
    if chroma == 2:
        chroma_unit_size, chroma_units, _ = _map(bits, len(filters), width, height)
    indices, of_luma, of_chroma = zip(*filters, strict=True)
    return Sideinfo(
        identity,
        MODES[luma],
        POSITIONS[position],
        indices,
        0,
        unit_size,
        units,
        coded,
        2,
        MODES[min(chroma, 2)],
        shares_map,
        of_luma,
        of_chroma,
        chroma_unit_size,
        chroma_units,
    )


def parse(data: bytes, is_irap: bool, width: int, height: int) -> Sideinfo:
    """Read a picture's slice header extension of version 1; width and height are the picture's in luma samples, before cropping.

    Raises ForeignError (IRAP pictures only), VersionError, TruncatedError or SyntaxElementError; ValueError for a size outside 1..16384.
    """
    return _parse(data, is_irap, width, height, 1, 1)


def parse_planes(data: bytes, is_irap: bool, width: int, height: int, version: int) -> Sideinfo:
    """The same of either version: that of the last IRAP picture, or its own."""
    return _parse(data, is_irap, width, height, version, VERSIONS[-1])


def _parse(data: bytes, is_irap: bool, width: int, height: int, version: int, latest: int) -> Sideinfo:
    if not (1 <= width <= 16384 and 1 <= height <= 16384):
        raise ValueError(f"no picture is {width}x{height}")
    bits = _Bits(data)
    version, identity = _identity(bits, latest) if is_irap else (version, None)
    if len(data) > MAX_BYTES:
        raise SyntaxElementError(f"the side information has {len(data)} bytes, more than {MAX_BYTES}: the stream is damaged")
    if version == 1:
        found = _luma_filters(bits, identity, width, height)
    elif bits.at < len(bits.text):
        found = _plane_filters(bits, identity, width, height)
    else:
        return Sideinfo(identity, MODES[0], version=2)
    while bits.at % 8:
        if bits.u(1, "zero_bit"):
            raise SyntaxElementError("a padding bit of the side information is 1: the stream is damaged")
    if bits.at < len(bits.text):
        left = len(data) - bits.at // 8
        raise SyntaxElementError(f"the side information has {left} bytes too many: the stream is damaged")
    return found


class SequenceReader:
    """Reads the extensions of a stream's pictures in decoding order and knows which are signalled (section 6.1)."""

    def __init__(self) -> None:
        self.identity: bytes | None = None
        """The first bytes of the model set's identity (four, or three in version 2); None while pictures are not signalled."""
        self._version = 1
        self._error: SideinfoError | None = None
        self._signalled = False  # the last IRAP picture whose first slice segment is there carried the magic

    def read(self, data: bytes | None, is_irap: bool, width: int, height: int) -> Sideinfo | None:
        """The side information of the next picture in decoding order; None if it is not a signalled picture.

        ``data``: the extension of its first slice segment, b"" if that has none, None if that segment is lost.
        Raises SideinfoError as ``parse_planes`` does, but never ForeignError; TruncatedError for a lost segment, an IRAP picture's if
        the one before it carried the magic; and the same error again up to the next IRAP picture.
        """
        if is_irap:
            self.identity = self._error = None
            if data is not None:
                self._signalled = data.startswith(MAGIC)
            elif not self._signalled:
                return None
        elif self._error:
            raise self._error
        elif self.identity is None:
            return None
        try:
            if data is None:
                raise TruncatedError("the first slice segment of the picture is lost, and its side information with it")
            found = parse_planes(data, is_irap, width, height, self._version)
        except ForeignError:
            return None
        except SideinfoError as error:
            self._error = error
            raise
        if is_irap:
            self.identity, self._version = found.identity, found.version
        return found


def side_information(stream: bytes) -> list[Sideinfo | None]:
    """The side information of each picture of a stream, in decoding order; None for pictures without.

    Raises CodecError or SideinfoError for a damaged stream.
    """
    reader = SequenceReader()
    information = []
    for picture in slices.pictures(stream):
        first = picture[0]
        information.append(reader.read(first.extension if first.first_in_picture else None, first.is_irap, first.width, first.height))
    return information


def side_information_bits(stream: bytes) -> int:
    """Bits of all slice header extensions of a stream, their lengths included."""
    return sum(segment.extension_bits for segment in slices.segments(stream))
