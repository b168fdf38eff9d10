"""Slice segment headers of HEVC, read up to their extension: what a picture's side information travels in.

Source: Rec. ITU-T H.265, clauses 7.3.2.2, 7.3.2.3, 7.3.4, 7.3.6 and 7.3.7; names are those of the standard. Base layer only.
"""

from dataclasses import dataclass

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError

PPS = 34
_HEADER_BYTES = 16384  # more than a slice segment header can have in the levels that the standard knows


@dataclass(frozen=True)
class SliceSegment:
    """A coded slice segment: ``extension`` is what its header's extension holds, ``extension_bits`` what it costs with its length.

    extension_at: where it begins, in bits of the RBSP. width, height: of the picture in luma samples, before cropping.
    """

    nal_unit_type: int
    first_in_picture: bool
    width: int
    height: int
    extension: bytes
    extension_bits: int
    extension_at: int

    @property
    def is_irap(self) -> bool:
        """Whether it belongs to an IRAP picture."""
        return 16 <= self.nal_unit_type <= 23


ShortTermSet = list[tuple[int, bool]]
"""Of each picture: its POC relative to the current one's, and whether it is used by it."""


@dataclass(frozen=True)
class _Sps:
    chroma_format_idc: int
    separate_colour_plane: bool
    width: int
    height: int
    poc_bits: int
    ctbs: int
    short_term_sets: list[ShortTermSet]
    long_term_present: bool
    long_term_used: tuple[int, ...]
    temporal_mvp: bool
    sao: bool


@dataclass(frozen=True)
class _Pps:
    sps_id: int
    dependent_segments: bool
    output_flag_present: bool
    extra_bits: int
    cabac_init_present: bool
    default_references: tuple[int, int]
    chroma_qp_offsets_present: bool
    weighted: tuple[bool, bool]
    entry_points: bool
    filter_across_slices: bool
    deblocking_override: bool
    deblocking_disabled: bool
    lists_modification_present: bool
    extension_present: bool
    chroma_qp_adjustment: bool


class _Reader(nal.Bits):
    def se(self) -> int:
        value = self.ue()
        return (value + 1) // 2 if value & 1 else -(value // 2)

    def flag(self) -> bool:
        return bool(self.u(1))


def segments(stream: bytes) -> list[SliceSegment]:
    """The slice segments of the base layer of an Annex B stream, in decoding order. Raises CodecError if a header is damaged."""
    spss: dict[int, _Sps] = {}
    ppss: dict[int, _Pps] = {}
    found = []
    for unit in nal.split(stream):
        if unit.layer:
            continue
        reader = _Reader(nal.Nal(unit.data[:_HEADER_BYTES], 0).rbsp)
        if unit.type == nal.SPS:
            number, sps = _sps(reader)
            spss[number] = sps
        elif unit.type == PPS:
            number, pps = _pps(reader)
            ppss[number] = pps
        elif unit.type < 10 or 16 <= unit.type <= 21:
            found.append(_segment(reader, unit.type, spss, ppss))
    return found


def pictures(stream: bytes) -> list[list[SliceSegment]]:
    """The segments grouped by picture. A picture whose first segment is lost counts to the one before it."""
    groups: list[list[SliceSegment]] = []
    for segment in segments(stream):
        if segment.first_in_picture or not groups:
            groups.append([])
        groups[-1].append(segment)
    return groups


def _sps(bits: _Reader) -> tuple[int, _Sps]:
    bits.u(4)
    sub_layers = bits.u(3)
    bits.u(1 + 88 + 8)
    present = [(bits.u(1), bits.u(1)) for _ in range(8 if sub_layers else 0)]
    for profile, level in present[:sub_layers]:
        bits.u(88 * profile + 8 * level)
    number = bits.ue()
    chroma = bits.ue()
    separate = chroma == 3 and bits.flag()
    width, height = bits.ue(), bits.ue()
    if bits.flag():
        for _ in range(4):
            bits.ue()
    bits.ue(), bits.ue()
    poc_bits = bits.ue() + 4
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        bits.ue(), bits.ue(), bits.ue()
    log2_ctb = bits.ue() + 3
    log2_ctb += bits.ue()
    for _ in range(4):
        bits.ue()
    if bits.flag() and bits.flag():
        _scaling_lists(bits, chroma)
    bits.u(1)
    sao = bits.flag()
    if bits.flag():
        bits.u(8)
        bits.ue(), bits.ue()
        bits.u(1)
    sets: list[ShortTermSet] = []
    count = bits.ue()
    if count > 64 or log2_ctb > 6:
        raise CodecError("damaged HEVC stream: a sequence parameter set breaks the limits of the standard")
    if not (1 <= width <= 16384 and 1 <= height <= 16384):
        raise CodecError(f"the stream has pictures of {width}x{height} samples; side information is read of 1x1 to 16384x16384")
    for i in range(count):
        sets.append(_short_term_set(bits, i, count, sets))
    long_term = bits.flag()
    long_term_used = []
    for _ in range(bits.ue() if long_term else 0):
        bits.u(poc_bits)
        long_term_used.append(bits.u(1))
    mvp = bits.flag()
    ctb = 1 << log2_ctb
    ctbs = -(-width // ctb) * -(-height // ctb)
    return number, _Sps(chroma, separate, width, height, poc_bits, ctbs, sets, long_term, tuple(long_term_used), mvp, sao)


def _scaling_lists(bits: _Reader, chroma: int) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << 4 + (size << 1))):
                bits.se()


def _short_term_set(bits: _Reader, index: int, count: int, known: list[ShortTermSet]) -> ShortTermSet:
    """st_ref_pic_set( index ): the pictures before the current one, then those after it, each from near to far."""
    if index and bits.flag():
        reference = index - (bits.ue() + 1 if index == count else 1)
        if reference < 0:
            raise CodecError("damaged HEVC stream: a reference picture set refers to one before the first")
        sign = bits.u(1)
        delta = (1 - 2 * sign) * (bits.ue() + 1)
        source = [(poc, used) for poc, used in known[reference]] + [(0, True)]
        chosen = []
        for poc, _ in source:
            used = bits.flag()
            if used or bits.flag():
                chosen.append((poc + delta, used))
        return sorted((c for c in chosen if c[0] < 0), reverse=True) + sorted(c for c in chosen if c[0] > 0)
    negative, positive = bits.ue(), bits.ue()
    if negative + positive > 16:
        raise CodecError("damaged HEVC stream: a reference picture set has more than 16 pictures")
    found: ShortTermSet = []
    for sign, number in ((-1, negative), (1, positive)):
        poc = 0
        for _ in range(number):
            poc += sign * (bits.ue() + 1)
            found.append((poc, bits.flag()))
    return found


def _pps(bits: _Reader) -> tuple[int, _Pps]:
    number = bits.ue()
    sps_id = bits.ue()
    dependent, output = bits.flag(), bits.flag()
    extra = bits.u(3)
    bits.u(1)
    cabac = bits.flag()
    references = bits.ue() + 1, bits.ue() + 1
    bits.se()
    bits.u(1)
    transform_skip = bits.flag()
    if bits.flag():
        bits.ue()
    bits.se(), bits.se()
    chroma_offsets = bits.flag()
    weighted = bits.flag(), bits.flag()
    bits.u(1)
    tiles, wavefronts = bits.flag(), bits.flag()
    if tiles:
        columns, rows = bits.ue(), bits.ue()
        if not bits.flag():
            for _ in range(columns + rows):
                bits.ue()
        bits.u(1)
    across = bits.flag()
    override = disabled = False
    if bits.flag():
        override, disabled = bits.flag(), bits.flag()
        if not disabled:
            bits.se(), bits.se()
    if bits.flag():
        _scaling_lists(bits, 1)
    modification = bits.flag()
    bits.ue()
    extension = bits.flag()
    adjustment = False
    if bits.flag():
        is_range = bits.flag()
        bits.u(7)
        if is_range:
            if transform_skip:
                bits.ue()
            bits.u(1)
            adjustment = bits.flag()
    return number, _Pps(
        sps_id, dependent, output, extra, cabac, references, chroma_offsets, weighted, tiles or wavefronts, across, override, disabled,
        modification, extension, adjustment,
    )  # fmt: skip


def _segment(bits: _Reader, kind: int, spss: dict[int, _Sps], ppss: dict[int, _Pps]) -> SliceSegment:
    total = bits.left
    first = bits.flag()
    if 16 <= kind <= 23:
        bits.u(1)
    pps = ppss.get(bits.ue())
    sps = spss.get(pps.sps_id) if pps else None
    if pps is None or sps is None:
        raise CodecError("damaged HEVC stream: a slice refers to parameter sets that are not there")
    dependent = False
    if not first:
        dependent = pps.dependent_segments and bits.flag()
        bits.u((sps.ctbs - 1).bit_length())
    if not dependent:
        _independent(bits, kind, sps, pps)
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
    return SliceSegment(kind, first, sps.width, sps.height, extension, extension_bits, total - before)


def _independent(bits: _Reader, kind: int, sps: _Sps, pps: _Pps) -> None:
    """The part of the header that dependent slice segments lack."""
    chroma_array = 0 if sps.separate_colour_plane else sps.chroma_format_idc
    bits.u(pps.extra_bits)
    slice_type = bits.ue()  # 0 B, 1 P, 2 I
    if pps.output_flag_present:
        bits.u(1)
    if sps.separate_colour_plane:
        bits.u(2)
    mvp = False
    current = 0  # NumPicTotalCurr
    if kind not in (19, 20):
        bits.u(sps.poc_bits)
        if not bits.flag():
            known = len(sps.short_term_sets)
            own = _short_term_set(bits, known, known, sps.short_term_sets)
        else:
            index = bits.u((len(sps.short_term_sets) - 1).bit_length())
            if index >= len(sps.short_term_sets):
                raise CodecError("damaged HEVC stream: a slice refers to a reference picture set that is not there")
            own = sps.short_term_sets[index]
        current = sum(used for _, used in own)
        if sps.long_term_present:
            in_sps = bits.ue() if sps.long_term_used else 0
            for i in range(in_sps + bits.ue()):
                if i < in_sps:
                    index = bits.u((len(sps.long_term_used) - 1).bit_length())
                    if index >= len(sps.long_term_used):
                        raise CodecError("damaged HEVC stream: a slice refers to a long-term picture that is not there")
                    current += sps.long_term_used[index]
                else:
                    bits.u(sps.poc_bits)
                    current += bits.u(1)
                if bits.flag():
                    bits.ue()
        if sps.temporal_mvp:
            mvp = bits.flag()
    sao = False
    if sps.sao:
        sao = bits.flag()
        if chroma_array:
            sao |= bits.flag()
    if slice_type != 2:
        _inter(bits, slice_type, mvp, current, chroma_array, pps)
    bits.se()
    if pps.chroma_qp_offsets_present:
        bits.se(), bits.se()
    if pps.chroma_qp_adjustment:
        bits.u(1)
    disabled = pps.deblocking_disabled
    if pps.deblocking_override and bits.flag():
        disabled = bits.flag()
        if not disabled:
            bits.se(), bits.se()
    if pps.filter_across_slices and (sao or not disabled):
        bits.u(1)


def _inter(bits: _Reader, slice_type: int, mvp: bool, current: int, chroma_array: int, pps: _Pps) -> None:
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
