"""HEVC as NAL units: byte streams and what containers hold, access units of the base layer, SEI messages.

Source: Rec. ITU-T H.265, clauses 7.3, 7.4.2.4.4 and annex B; ISO/IEC 14496-15, clause 8.3.3.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from mmap import mmap

from codec_bridge.bitstream.errors import CodecError

AUD, END_OF_SEQUENCE, END_OF_BITSTREAM, PREFIX_SEI, SUFFIX_SEI = 35, 36, 37, 39, 40
PICTURE_HASH = 132  # SEI payloadType
_STARTS_ACCESS_UNIT = frozenset((*range(32, 36), PREFIX_SEI, *range(41, 45), *range(48, 56)))
_AFTER_PICTURE = frozenset((END_OF_SEQUENCE, END_OF_BITSTREAM, SUFFIX_SEI, *range(45, 48), *range(56, 64)))


@dataclass(frozen=True)
class Nal:
    """One NAL unit: ``data`` from its two-byte header on, as in the stream; ``size`` in bytes with its start code.

    time: in seconds, at which a container shows the picture; shown: whether its edit list does.
    """

    data: bytes
    size: int
    time: Fraction | None = None
    shown: bool = True

    @property
    def type(self) -> int:
        """nal_unit_type, 0..63; below 32 is a coded slice segment."""
        return self.data[0] >> 1 & 63

    @property
    def layer(self) -> int:
        """nuh_layer_id, 0..63."""
        return (self.data[0] & 1) << 5 | self.data[1] >> 3

    @property
    def is_slice(self) -> bool:
        """Whether it is a slice segment of the base layer."""
        return (self.type < 10 or 16 <= self.type <= 21) and self.layer == 0

    @property
    def begins_picture(self) -> bool:
        """Whether it is the first slice segment of a picture of the base layer."""
        return self.is_slice and len(self.data) > 2 and self.data[2] >> 7 == 1

    @property
    def rbsp(self) -> bytes:
        """The payload after the header, without emulation prevention bytes."""
        return self.data[2:].replace(b"\0\0\3", b"\0\0")


def escaped(rbsp: bytes) -> bytes:
    """With emulation prevention bytes."""
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", rbsp)


def scan(stream: bytes | mmap, lenient: bool = False, time: Fraction | None = None, shown: bool = True) -> Iterator[Nal]:
    """NAL units of an Annex B stream; their sizes add up to the stream's. lenient: what is none is passed over.

    time, shown: of all of them. Raises CodecError, unless lenient, for a stream that does not begin with a start code and for empty units.
    """
    codes = (match.start() for match in re.finditer(b"\0\0\1", stream))
    code = next(codes, None)
    if code is None or (not lenient and stream[:code].strip(b"\0")):
        raise CodecError("not an HEVC byte stream: it does not begin with a start code")
    start = 0
    while code is not None:
        following = next(codes, None)
        # A zero byte before the start code is part of it; further zero bytes end the previous NAL unit.
        end = len(stream) if following is None else following - (stream[following - 1] == 0)
        data = stream[code + 3 : end].rstrip(b"\0")
        if len(data) > 1:
            yield Nal(data, end - start, time, shown)
        elif not lenient:
            raise CodecError(f"damaged HEVC stream: empty NAL unit at byte {start}")
        code, start = following, end


def split(stream: bytes) -> list[Nal]:
    """All of `scan`."""
    return list(scan(stream))


def is_record(data: bytes) -> bool:
    """Whether a container's data about its stream are a decoder configuration record: its packets have lengths then, no start codes."""
    return len(data) > 22 and data[:3] != b"\0\0\1" and data[:4] != b"\0\0\0\1" and data[0] <= 1


def record_units(data: bytes) -> list[Nal]:
    """The NAL units in a decoder configuration record (hvcC). Raises CodecError if it is cut off."""
    nals = []
    position = 23
    for _ in range(data[22]):
        count = int.from_bytes(data[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            size = int.from_bytes(data[position : position + 2], "big")
            if size > 1:
                nals.append(Nal(data[position + 2 : position + 2 + size], size + 2))
            position += 2 + size
            if position > len(data):
                raise CodecError("damaged HEVC stream: its decoder configuration record is cut off")
    return nals


def packet_units(data: bytes, length_bytes: int, time: Fraction | None = None, shown: bool = True) -> Iterator[Nal]:
    """The NAL units of a container's packet, each after its length. Raises CodecError if one is cut off."""
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + length_bytes], "big")
        position += length_bytes
        if position + size > len(data):
            raise CodecError("damaged HEVC stream: a NAL unit is longer than the container's packet that holds it")
        if size > 1:
            yield Nal(data[position : position + size], length_bytes + size, time, shown)
        position += size


def group(nals: Iterable[Nal]) -> Iterator[list[Nal]]:
    """Access units of the base layer, one by one. One without a slice segment has lost its picture, or stands at the stream's end.

    What other layers have is kept, in the unit that it stands in.
    """
    unit: list[Nal] = []
    ended = False  # by a picture, or by what comes behind one
    for nal in nals:
        if unit and nal.layer == 0 and ((ended and (nal.begins_picture or nal.type in _STARTS_ACCESS_UNIT)) or nal.type == AUD):
            yield unit
            unit, ended = [], False
        ended |= nal.is_slice or (nal.layer == 0 and nal.type in _AFTER_PICTURE)
        unit.append(nal)
    if unit:
        yield unit


def access_units(nals: Iterable[Nal]) -> list[list[Nal]]:
    """NAL units grouped by coded picture. Raises CodecError if a group has no coded picture."""
    units = list(group(nals))
    for number, unit in enumerate(units):
        if not any(nal.is_slice for nal in unit):
            where = "it ends without a coded picture" if number == len(units) - 1 else f"picture {number} has no slice"
            raise CodecError(f"damaged HEVC stream: {where}")
    return units


def sei_messages(nal: Nal, cut: bool = False) -> list[tuple[int, bytes]]:
    """(payloadType, payload) of every message in an SEI NAL unit. Raises CodecError if a message is cut off.

    cut: such a message ends the list instead, with as much of its payload as is there.
    """
    data = nal.rbsp
    messages = []
    position = 0
    while position < len(data) and data[position : position + 2] != b"\x80":
        values = []
        for _ in range(2):
            value = 0
            while position < len(data) and data[position] == 255:
                value += 255
                position += 1
            value += data[position] if position < len(data) else 0
            position += 1
            values.append(value)
        kind, size = values
        if position + size > len(data) and not cut:
            raise CodecError("damaged HEVC stream: an SEI message is cut off")
        messages.append((kind, data[position : position + size]))
        position += size
    if position >= len(data) and not cut:
        raise CodecError("damaged HEVC stream: an SEI message is cut off")
    return messages


def picture_hashes(unit: list[Nal]) -> list[bytes]:
    """Payloads (hash_type, then the values) of the picture hash messages in an access unit."""
    suffixes = (nal for nal in unit if nal.type == SUFFIX_SEI and nal.layer == 0)
    return [payload for nal in suffixes for kind, payload in sei_messages(nal) if kind == PICTURE_HASH]


def bits_without_hash(stream: bytes) -> int:
    """Bits of a stream, start codes included, without the NAL units that hold nothing but picture hashes."""
    return sum(_bits(nal) for nal in split(stream))


def picture_bits(stream: bytes) -> list[int]:
    """The same for each picture in decoding order; what stands before a picture is the picture's."""
    return [sum(map(_bits, unit)) for unit in access_units(split(stream))]


def _bits(nal: Nal) -> int:
    if nal.type == SUFFIX_SEI and {kind for kind, _ in sei_messages(nal)} == {PICTURE_HASH}:
        return 0
    return 8 * nal.size
