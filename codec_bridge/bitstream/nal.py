"""Annex B byte streams of HEVC: NAL units, picture hash SEI messages and the conformance window.

Source: Rec. ITU-T H.265, clause 7.3 and annexes B and D.
"""

import re
from dataclasses import dataclass

from codec_bridge.bitstream.errors import CodecError

SPS = 33
SUFFIX_SEI = 40
PICTURE_HASH = 132  # SEI payloadType
MD5 = 0  # hash_type
CHROMA_FORMATS = ("400", "420", "422", "444")  # by chroma_format_idc
_STARTS_ACCESS_UNIT = frozenset((*range(32, 36), 39, *range(41, 45), *range(48, 56)))  # clause 7.4.2.4.4


@dataclass(frozen=True)
class Nal:
    """One NAL unit: ``data`` from its two-byte header on, as in the stream; ``size`` in bytes with its start code."""

    data: bytes
    size: int

    @property
    def type(self) -> int:
        """nal_unit_type, 0..63; below 32 is a coded slice segment."""
        return self.data[0] >> 1 & 63

    @property
    def layer(self) -> int:
        """nuh_layer_id, 0..63."""
        return (self.data[0] & 1) << 5 | self.data[1] >> 3

    @property
    def rbsp(self) -> bytes:
        """The payload after the header, without emulation prevention bytes."""
        return self.data[2:].replace(b"\0\0\3", b"\0\0")


@dataclass(frozen=True)
class Sps:
    """What a sequence parameter set says about the planes: coded luma size, format, depths and the conformance window.

    ``window`` is left, top, right, bottom in luma samples.
    """

    width: int
    height: int
    chroma_format: str
    bit_depth: int
    bit_depth_chroma: int
    window: tuple[int, int, int, int]


def split(stream: bytes) -> list[Nal]:
    """NAL units of an Annex B stream; their sizes add up to the stream's. Raises CodecError if it is not one."""
    codes = [match.start() for match in re.finditer(b"\0\0\1", stream)]
    if not codes or stream[: codes[0]].strip(b"\0"):
        raise CodecError("not an HEVC byte stream: it does not begin with a start code")
    # A zero byte before the start code is part of it; further zero bytes end the previous NAL unit.
    starts = [0] + [code - (stream[code - 1] == 0) for code in codes[1:]]
    nals = []
    for code, start, end in zip(codes, starts, [*starts[1:], len(stream)], strict=True):
        data = stream[code + 3 : end].rstrip(b"\0")
        if len(data) < 2:
            raise CodecError(f"damaged HEVC stream: empty NAL unit at byte {start}")
        nals.append(Nal(data, end - start))
    return nals


def access_units(nals: list[Nal]) -> list[list[Nal]]:
    """NAL units grouped by coded picture. Raises CodecError if a group has no coded picture."""
    units: list[list[Nal]] = [[]]
    coded = False
    for nal in nals:
        first_slice = nal.type < 32 and nal.layer == 0 and len(nal.data) > 2 and nal.data[2] >> 7 == 1
        if coded and (first_slice or nal.type in _STARTS_ACCESS_UNIT):
            units.append([])
            coded = False
        coded |= nal.type < 32
        units[-1].append(nal)
    if not coded:
        raise CodecError("damaged HEVC stream: it ends without a coded picture")
    return units


def sei_messages(nal: Nal) -> list[tuple[int, bytes]]:
    """(payloadType, payload) of every message in an SEI NAL unit. Raises CodecError if a message is cut off."""
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
        if position + size > len(data):
            raise CodecError("damaged HEVC stream: an SEI message is cut off")
        messages.append((kind, data[position : position + size]))
        position += size
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


class Bits:
    """Reads u(n) and ue(v). Raises CodecError at the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = 8 * len(data)

    def u(self, count: int) -> int:
        """The next ``count`` bits as a number."""
        self.left -= count
        if self.left < 0:
            raise CodecError("damaged HEVC stream: a parameter set or slice header is cut off")
        end = 8 * len(self.data) - self.left
        # Of these bytes only: numbers as long as the data would make reading it quadratic.
        touched = self.data[(end - count) // 8 : -(-end // 8)]
        return int.from_bytes(touched, "big") >> (-end % 8) & (1 << count) - 1

    def ue(self) -> int:
        """An Exp-Golomb code, 0..2^32 - 2 (clause 9.2)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 31:
                raise CodecError("damaged HEVC stream: a parameter set or slice header has a number of more than 32 bits")
        return (1 << zeros) - 1 + self.u(zeros)


def parse_sps(nal: Nal) -> Sps:
    """The beginning of a sequence parameter set (clause 7.3.2.2). Raises CodecError if it is damaged."""
    bits = Bits(nal.rbsp)
    bits.u(4)
    sub_layers = bits.u(3)
    bits.u(1)
    bits.u(88 + 8)  # general profile, tier and level
    present = [(bits.u(1), bits.u(1)) for _ in range(8 if sub_layers else 0)]
    for profile, level in present[:sub_layers]:
        bits.u(88 * profile + 8 * level)
    bits.ue()
    chroma = bits.ue()
    if chroma > 3:
        raise CodecError(f"damaged HEVC stream: chroma_format_idc {chroma}")
    separate = bits.u(1) if chroma == 3 else 0
    width, height = bits.ue(), bits.ue()
    left, right, top, bottom = [bits.ue() for _ in range(4)] if bits.u(1) else (0, 0, 0, 0)
    x, y = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    window = (left * x, top * y, right * x, bottom * y)
    if window[0] + window[2] >= width or window[1] + window[3] >= height:
        raise CodecError(f"damaged HEVC stream: a {width}x{height} picture with conformance window {window}")
    return Sps(width, height, "400" if separate else CHROMA_FORMATS[chroma], 8 + bits.ue(), 8 + bits.ue(), window)


def find_sps(data: bytes) -> Sps:
    """The first base-layer SPS in an Annex B stream or in an hvcC record (ISO/IEC 14496-15, clause 8.3.3).

    Raises CodecError if there is none.
    """
    if data[:3] == b"\0\0\1" or data[:4] == b"\0\0\0\1":
        nals = split(data)
    else:
        nals = []
        position = 23
        for _ in range(data[22] if len(data) > 22 else 0):
            count = int.from_bytes(data[position + 1 : position + 3], "big")
            position += 3
            for _ in range(count):
                size = int.from_bytes(data[position : position + 2], "big")
                nals.append(Nal(data[position + 2 : position + 2 + size], size + 2))
                position += 2 + size
                if position > len(data):
                    raise CodecError("damaged HEVC stream: its decoder configuration record is cut off")
    for nal in nals:
        if len(nal.data) > 2 and nal.type == SPS and nal.layer == 0:
            return parse_sps(nal)
    raise CodecError("HEVC stream without a sequence parameter set")
