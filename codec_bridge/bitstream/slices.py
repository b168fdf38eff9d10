"""Slice segment headers of HEVC, read up to their extension: what pictures refer to, QPs, filters in the loop, side information.

Source: Rec. ITU-T H.265, clauses 7.3.6 and 7.4.7; names are those of the standard. Base layer only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.parameter_sets import PPS, SPS, VPS, Bits, Pps, ShortTermSet, Sps, parse_pps, parse_sps, short_term_set

_HEADER_BYTES = 16384  # more than a slice segment header can have in the levels that the standard knows


@dataclass(frozen=True)
class Independent:
    """What dependent slice segments take from the independent one before them.

    poc_lsb, references (by POC relative to this picture's), long_term: slice_pic_order_cnt_lsb and the reference picture set.
    qp: SliceQpY. deblocking, sao: whether these filters work on luma in this slice.
    """

    output: bool
    poc_lsb: int
    references: ShortTermSet
    long_term: tuple[tuple[int, bool, bool], ...]
    """Of each long-term picture: its POC, whether that is the whole POC relative to this picture's or its low bits, whether it is used."""
    qp: int
    deblocking: bool
    sao: bool


@dataclass(frozen=True)
class SliceSegment:
    """A coded slice segment: ``extension`` is what its header's extension holds, ``extension_bits`` what it costs with its length.

    address: of its first CTB. extension_at: where the extension begins, in bits of the RBSP. sps: the active one. header: what it says
    itself, None if it is a dependent segment. discards_earlier: no_output_of_prior_pics_flag. sets: the active VPS, SPS and PPS, as NAL
    units without start codes; the VPS may be missing.
    """

    nal_unit_type: int
    first_in_picture: bool
    discards_earlier: bool
    address: int
    extension: bytes
    extension_bits: int
    extension_at: int
    sps: Sps
    sets: tuple[bytes, ...]
    header: Independent | None

    @property
    def is_irap(self) -> bool:
        """Whether it belongs to an IRAP picture."""
        return 16 <= self.nal_unit_type <= 23

    @property
    def width(self) -> int:
        """Of the picture in luma samples, before cropping."""
        return self.sps.width

    @property
    def height(self) -> int:
        """Of the picture in luma samples, before cropping."""
        return self.sps.height


class SliceReader:
    """Reads slice segment headers with the parameter sets that were last sent under their numbers."""

    def __init__(self) -> None:
        self._sps: dict[int, Sps] = {}
        self._pps: dict[int, Pps] = {}
        self._data: dict[tuple[int, int], bytes] = {}
        self._damaged: CodecError | None = None

    def read(self, unit: nal.Nal) -> SliceSegment | None:
        """The segment in a NAL unit, None for others. Raises CodecError if a header, or a parameter set that it refers to, is damaged."""
        if unit.layer:
            return None
        rbsp = nal.Nal(unit.data[:_HEADER_BYTES], 0).rbsp
        if unit.type in (VPS, SPS, PPS):
            self._keep(unit, rbsp)
        return _segment(Bits(rbsp), unit.type, self) if unit.is_slice else None

    def _keep(self, unit: nal.Nal, rbsp: bytes) -> None:
        """Damaged parameter sets, and what nobody refers to, are no error before a slice wants them."""
        try:
            number = Bits(rbsp).u(4)
            if unit.type == SPS:
                sps = parse_sps(rbsp)
                number = sps.number
                self._sps[number] = sps
            elif unit.type == PPS:
                pps = parse_pps(rbsp)
                number = pps.number
                self._pps[number] = pps
            self._data[unit.type, number] = unit.data
        except CodecError as error:
            self._damaged = error

    def active(self, number: int) -> tuple[Pps, Sps]:
        """The parameter sets that a slice refers to by the number of its PPS. Raises CodecError if they are not there."""
        pps = self._pps.get(number)
        sps = self._sps.get(pps.sps_id) if pps else None
        if pps is None or sps is None:
            raise self._damaged or CodecError("damaged HEVC stream: a slice refers to parameter sets that are not there")
        return pps, sps

    def data(self, pps: Pps, sps: Sps) -> tuple[bytes, ...]:
        """These and their VPS as they were sent."""
        wanted = (VPS, sps.vps_id), (SPS, sps.number), (PPS, pps.number)
        return tuple(self._data[key] for key in wanted if key in self._data)


def segments(stream: bytes) -> list[SliceSegment]:
    """The slice segments of the base layer of an Annex B stream, in decoding order. Raises CodecError if a header is damaged."""
    return list(_read_all(nal.scan(stream)))


def _read_all(units: Iterable[nal.Nal]) -> Iterable[SliceSegment]:
    reader = SliceReader()
    return (segment for segment in map(reader.read, units) if segment)


def pictures(stream: bytes) -> list[list[SliceSegment]]:
    """The segments grouped by picture. A picture whose first segment is lost counts to the one before it."""
    groups: list[list[SliceSegment]] = []
    for segment in segments(stream):
        if segment.first_in_picture or not groups:
            groups.append([])
        groups[-1].append(segment)
    return groups


def _segment(bits: Bits, kind: int, reader: SliceReader) -> SliceSegment:
    total = bits.left
    first = bits.flag()
    discards = 16 <= kind <= 23 and bits.flag()
    pps, sps = reader.active(bits.ue())
    dependent, address = False, 0
    if not first:
        dependent = pps.dependent_segments and bits.flag()
        address = bits.u((sps.ctbs - 1).bit_length())
    header = None if dependent else _independent(bits, kind, sps, pps)
    if pps.entry_points:
        count = bits.ue()
        if count > 440 * 256:
            raise CodecError("damaged HEVC stream: a slice has more entry points than the standard allows")
        size = bits.ue() + 1 if count else 0
        for _ in range(count):
            bits.u(size)
    extension = b""
    extension_bits = 0
    before = bits.left
    if pps.extension_present:
        length = bits.ue()
        if length > 256:
            raise CodecError(f"damaged HEVC stream: a slice header extension of {length} bytes")
        extension = bytes(bits.u(8) for _ in range(length))
        extension_bits = before - bits.left
    return SliceSegment(kind, first, discards, address, extension, extension_bits, total - before, sps, reader.data(pps, sps), header)


def _independent(bits: Bits, kind: int, sps: Sps, pps: Pps) -> Independent:
    """The part of the header that dependent slice segments lack."""
    chroma_array = 0 if sps.separate_colour_plane else sps.chroma_format_idc
    bits.u(pps.extra_bits)
    slice_type = bits.ue()  # 0 B, 1 P, 2 I
    output = bits.flag() if pps.output_flag_present else True
    if sps.separate_colour_plane:
        bits.u(2)
    mvp = False
    poc = 0
    references: ShortTermSet = []
    long_term: list[tuple[int, bool, bool]] = []
    if kind not in (19, 20):
        poc = bits.u(sps.poc_bits)
        references = _short_term(bits, sps)
        if sps.long_term_present:
            long_term = _long_term(bits, sps, poc)
        if sps.temporal_mvp:
            mvp = bits.flag()
    sao = sao_chroma = False
    if sps.sao:
        sao = bits.flag()
        sao_chroma = bool(chroma_array) and bits.flag()
    if slice_type != 2:
        current = sum(used for _, used in references) + sum(used for _, _, used in long_term)  # NumPicTotalCurr
        _inter(bits, slice_type, mvp, current, chroma_array, pps)
    qp = pps.init_qp + bits.se()
    if pps.chroma_qp_offsets_present:
        bits.se(), bits.se()
    if pps.chroma_qp_adjustment:
        bits.u(1)
    disabled = pps.deblocking_disabled
    if pps.deblocking_override and bits.flag():
        disabled = bits.flag()
        if not disabled:
            bits.se(), bits.se()
    if pps.filter_across_slices and (sao or sao_chroma or not disabled):
        bits.u(1)
    return Independent(output, poc, references, tuple(long_term), qp, not disabled, sao)


def _short_term(bits: Bits, sps: Sps) -> ShortTermSet:
    known = len(sps.short_term_sets)
    if not bits.flag():
        return short_term_set(bits, known, known, sps.short_term_sets)
    index = bits.u((known - 1).bit_length()) if known else 0
    if index >= known:
        raise CodecError("damaged HEVC stream: a slice refers to a reference picture set that is not there")
    return sps.short_term_sets[index]


def _long_term(bits: Bits, sps: Sps, poc: int) -> list[tuple[int, bool, bool]]:
    """As `Independent.long_term` has them: POCs that are whole are relative to the picture's (equation 7-52)."""
    found = []
    in_sps = bits.ue() if sps.long_term else 0
    count = in_sps + bits.ue()
    cycles = 0
    for i in range(count):
        if i < in_sps:
            index = bits.u((len(sps.long_term) - 1).bit_length())
            if index >= len(sps.long_term):
                raise CodecError("damaged HEVC stream: a slice refers to a long-term picture that is not there")
            lsb, used = sps.long_term[index]
        else:
            lsb, used = bits.u(sps.poc_bits), bits.flag()
        whole = bits.flag()
        if i in (0, in_sps):
            cycles = 0
        if whole:
            cycles += bits.ue()
        found.append((lsb - poc - (cycles << sps.poc_bits) if whole else lsb, whole, used))
    return found


def _inter(bits: Bits, slice_type: int, mvp: bool, current: int, chroma_array: int, pps: Pps) -> None:
    """From num_ref_idx_active_override_flag to five_minus_max_num_merge_cand."""
    is_b = slice_type == 0
    references = list(pps.default_references)
    if bits.flag():
        references[0] = bits.ue() + 1
        if is_b:
            references[1] = bits.ue() + 1
    if max(references) > 16:
        raise CodecError("damaged HEVC stream: a slice with more than 16 reference pictures")
    if pps.lists_modification_present and current > 1:
        for count in references[: 1 + is_b]:
            if bits.flag():
                bits.u(count * (current - 1).bit_length())
    if is_b:
        bits.u(1)
    if pps.cabac_init_present:
        bits.u(1)
    if mvp:
        from_l0 = bits.flag() if is_b else True
        if references[0 if from_l0 else 1] > 1:
            bits.ue()
    if pps.weighted[is_b]:
        bits.ue()
        if chroma_array:
            bits.se()
        for count in references[: 1 + is_b]:
            luma = [bits.flag() for _ in range(count)]
            chroma = [bool(chroma_array) and bits.flag() for _ in range(count)]
            for has_luma, has_chroma in zip(luma, chroma, strict=True):
                for _ in range(2 * has_luma + 4 * has_chroma):
                    bits.se()
    bits.ue()
