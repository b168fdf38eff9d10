"""H.264 streams, as far as it takes to see that reference pictures are missing, of which FFmpeg shows the rest without a word, and to
know the QPs of slices.

Source: Rec. ITU-T H.264, clauses 7.3.2.1, 7.3.2.2, 7.3.3 and 7.4.3 (frame_num, slice_qp_delta); ISO/IEC 14496-15, clause 5.3.3.1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.parameter_sets import Bits, vui_parameters
from codec_bridge.bitstream.pictures import Coding

_SLICES = (1, 2, 5)  # of no partition, the first partition, IDR
_IDR, _SPS, _PPS = 5, 7, 8
_WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
_HEADER_BYTES = 4096
_RESET = 5  # memory_management_control_operation


@dataclass(frozen=True)
class _Sps:
    separate_colour_plane: bool
    chroma_array: int
    frame_num_bits: int
    poc_type: int
    poc_bits: int
    delta_always_zero: bool
    gaps_allowed: bool
    frames_only: bool
    siting: int | None


@dataclass(frozen=True)
class _Pps:
    sps_id: int
    cabac: bool
    bottom_field_order: bool
    references: tuple[int, int]
    weighted: bool
    weighted_b: bool
    qp: int
    deblocking_control: bool
    redundant: bool


@dataclass(frozen=True)
class _Slice:
    frame_num: int
    resets: bool
    sps: _Sps
    coding: Coding | None


class FrameNumbers:
    """Follows frame_num from packet to packet. record: what a container says of the stream, b"" if nothing."""

    def __init__(self, record: bytes = b"") -> None:
        self._sps: dict[int, _Sps] = {}
        self._pps: dict[int, _Pps] = {}
        self._length_bytes = 0
        self._before: int | None = None  # PrevRefFrameNum
        self.begin(record)

    def begin(self, record: bytes) -> None:
        """What a container says of the packets from here on."""
        for unit in self._record(record):
            self._read(unit)

    @property
    def siting(self) -> int | None:
        """chroma_sample_loc_type of frames, of the first sequence parameter set; None where it says nothing."""
        return next((sps.siting for sps in self._sps.values()), None)

    def gap(self, packet: bytes) -> str:
        """What is missing before the picture or field in a packet, "" for nothing. Headers that cannot be read say nothing."""
        for unit in self._units(packet):
            found = self._read(unit)
            if found is None:
                continue
            span, before = 1 << found.sps.frame_num_bits, self._before
            is_idr, is_reference = unit[0] & 31 == _IDR, bool(unit[0] & 0x60)
            if is_reference:
                self._before = 0 if found.resets else found.frame_num
            if is_idr or before is None or found.frame_num in (before, (before + 1) % span):
                return ""
            if not is_reference:
                self._before = (found.frame_num - 1) % span
            said = f"reference pictures before it are lost: frame_num goes from {before} to {found.frame_num}"
            return "" if found.sps.gaps_allowed else said
        return ""

    def coding(self, packet: bytes) -> Coding | None:
        """Mean SliceQPY of the picture or field in a packet, and whether one of its slices is deblocked; None where that cannot be read."""
        found = [one.coding for unit in self._units(packet) if (one := self._read(unit)) and one.coding]
        if not found:
            return None
        return Coding(sum(one.qp for one in found) / len(found), any(one.deblocking for one in found), False)

    def _record(self, data: bytes) -> list[bytes]:
        """The parameter sets of a decoder configuration record (avcC), or of a byte stream."""
        if data[:1] != b"\1" or len(data) < 7:
            return list(_scan(data))
        self._length_bytes = 1 + (data[4] & 3)
        units, at = [], 5
        for mask in (31, 255):
            count = data[at] & mask if at < len(data) else 0
            at += 1
            for _ in range(count):
                size = int.from_bytes(data[at : at + 2], "big")
                units.append(data[at + 2 : at + 2 + size])
                at += 2 + size
        return [unit for unit in units if unit]

    def _units(self, packet: bytes) -> Iterator[bytes]:
        if not self._length_bytes:
            yield from _scan(packet)
            return
        at = 0
        while at < len(packet):
            size = int.from_bytes(packet[at : at + self._length_bytes], "big")
            at += self._length_bytes
            if 0 < size <= len(packet) - at:
                yield packet[at : at + size]
            at += size

    def _read(self, unit: bytes) -> _Slice | None:
        """The header of a slice; parameter sets are kept."""
        kind = unit[0] & 31
        bits = Bits(unit[1:_HEADER_BYTES].replace(b"\0\0\3", b"\0\0"))
        try:
            if kind == _SPS:
                number, sps = _sps(bits)
                self._sps[number] = sps
            elif kind == _PPS:
                number, pps = _pps(bits)
                self._pps[number] = pps
            elif kind in _SLICES:
                bits.ue()
                slice_type = bits.ue() % 5
                pps_of = self._pps[bits.ue()]
                return _slice(bits, slice_type, unit[0], self._sps[pps_of.sps_id], pps_of)
        except (CodecError, KeyError):
            pass
        return None


def _scan(stream: bytes) -> Iterator[bytes]:
    starts = [match.end() for match in re.finditer(b"\0\0\1", stream)]
    for start, end in pairwise([*starts, len(stream) + 3]):
        if start < end - 3:
            yield stream[start : end - 3]


def _sps(bits: Bits) -> tuple[int, _Sps]:
    profile = bits.u(8)
    bits.u(16)
    number = bits.ue()
    chroma, separate = 1, False
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.ue()
        separate = chroma == 3 and bits.flag()
        bits.ue(), bits.ue()
        bits.u(1)
        if bits.flag():
            for index in range(12 if chroma == 3 else 8):
                if bits.flag():
                    _scaling_list(bits, 16 if index < 6 else 64)
    frame_num_bits = bits.ue() + 4
    poc_type, poc_bits, always_zero = bits.ue(), 0, False
    if poc_type == 0:
        poc_bits = bits.ue() + 4
    elif poc_type == 1:
        always_zero = bits.flag()
        bits.se(), bits.se()
        for _ in range(_at_most(bits.ue(), 255)):
            bits.se()
    bits.ue()
    gaps = bits.flag()
    bits.ue(), bits.ue()
    _at_most(max(frame_num_bits, poc_bits), 16)
    array, frames_only = 0 if separate else chroma, bits.flag()
    return number, _Sps(separate, array, frame_num_bits, poc_type, poc_bits, always_zero, gaps, frames_only, _siting(bits, frames_only))


def _siting(bits: Bits, frames_only: bool) -> int | None:
    """From mb_adaptive_frame_field_flag to the VUI's siting of chroma; it changes no sample, so that nothing is said if it is cut off."""
    try:
        bits.u(1 if frames_only else 2)
        if bits.flag():
            for _ in range(4):
                bits.ue()
        return vui_parameters(bits).siting if bits.flag() else None
    except CodecError:
        return None


def _scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _pps(bits: Bits) -> tuple[int, _Pps]:
    number, sps_id = bits.ue(), bits.ue()
    cabac = bits.flag()
    order = bits.flag()
    _at_most(bits.ue(), 0)  # slice groups, which no decoder at hand has
    references = bits.ue() + 1, bits.ue() + 1
    weighted, weighted_b = bits.flag(), bits.u(2) == 1
    qp = 26 + bits.se()
    bits.se(), bits.se()
    control = bits.flag()
    bits.u(1)
    return number, _Pps(sps_id, cabac, order, references, weighted, weighted_b, qp, control, bits.flag())


def _slice(bits: Bits, kind: int, first: int, sps: _Sps, pps: _Pps) -> _Slice | None:
    """kind: slice_type % 5: P, B, I, SP, SI. first: byte of the NAL unit. None for a redundant picture."""
    bits.u(2 * sps.separate_colour_plane)
    frame_num = bits.u(sps.frame_num_bits)
    field = not sps.frames_only and bits.flag()
    bits.u(1 if field else 0)
    is_idr = first & 31 == _IDR
    if is_idr:
        bits.ue()
    if sps.poc_type == 0:
        bits.u(sps.poc_bits)
    if sps.poc_type < 2 and not sps.delta_always_zero:
        for _ in range((sps.poc_type == 1) + (pps.bottom_field_order and not field)):
            bits.se()
    if pps.redundant and bits.ue():
        return None
    resets, is_marked = False, bool(first & 0x60) and not is_idr
    if is_marked:
        _before_marking(bits, kind, field, sps, pps)
        resets = _marking_resets(bits)
    try:
        if not is_marked:
            _before_marking(bits, kind, field, sps, pps)
            bits.u(2 * is_idr)
        coding = _coding(bits, kind, pps)
    except CodecError:
        coding = None
    return _Slice(frame_num, resets, sps, coding)


def _coding(bits: Bits, kind: int, pps: _Pps) -> Coding:
    """From cabac_init_idc to disable_deblocking_filter_idc."""
    if pps.cabac and kind not in (2, 4):
        bits.ue()
    qp = pps.qp + bits.se()
    if kind == 3:
        bits.u(1)
    if kind in (3, 4):
        bits.se()
    return Coding(qp, not pps.deblocking_control or bits.ue() != 1, False)


def _before_marking(bits: Bits, kind: int, field: bool, sps: _Sps, pps: _Pps) -> None:
    """From direct_spatial_mv_pred_flag to the weights of references."""
    is_b, is_p = kind == 1, kind in (0, 3)
    if is_b:
        bits.u(1)
    references = list(pps.references)
    if (is_b or is_p) and bits.flag():
        references[0] = bits.ue() + 1
        if is_b:
            references[1] = bits.ue() + 1
    _at_most(max(references), 32)
    lists = 2 if is_b else 1 if is_p else 0
    for _ in range(lists):
        if bits.flag():
            while bits.ue() != 3:
                bits.ue()
    if (is_p and pps.weighted) or (is_b and pps.weighted_b):
        bits.ue()
        if sps.chroma_array:
            bits.ue()
        for count in references[:lists]:
            for _ in range(count):
                for numbers in (2, 4) if sps.chroma_array else (2,):
                    if bits.flag():
                        for _ in range(numbers):
                            bits.se()


def _marking_resets(bits: Bits) -> bool:
    """Whether dec_ref_pic_marking( ) forgets all pictures, so that numbers begin again."""
    if not bits.flag():
        return False
    resets = False
    while operation := bits.ue():
        resets |= operation == _RESET
        for _ in range({1: 1, 2: 1, 3: 2, 4: 1, _RESET: 0, 6: 1}.get(operation, 0)):
            bits.ue()
    return resets


def _at_most(value: int, limit: int) -> int:
    if value > limit:
        raise CodecError("damaged H.264 stream: a header breaks the limits of the standard")
    return value
