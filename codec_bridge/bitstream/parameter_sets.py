"""Sequence and picture parameter sets of HEVC, as far as slice headers and readers of pictures want them.

Source: Rec. ITU-T H.265, clauses 7.3.2.2, 7.3.2.3, 7.3.4, 7.3.7 and E.2.1; names are those of the standard.
"""

from dataclasses import dataclass
from fractions import Fraction

from codec_bridge.bitstream.errors import CodecError

VPS, SPS, PPS = 32, 33, 34
CHROMA_FORMATS = ("400", "420", "422", "444")  # by chroma_format_idc
_EXTENDED_SAR = 255
_ASPECT_RATIOS = (
    "1:1 12:11 10:11 16:11 40:33 24:11 20:11 32:11 80:33 18:11 15:11 64:33 160:99 4:3 3:2 2:1"
    """Width by height of a sample, by aspect_ratio_idc from 1 on."""
)


class Bits:
    """Reads u(n), ue(v) and se(v). Raises CodecError at the end."""

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

    def flag(self) -> bool:
        """One bit."""
        return bool(self.u(1))

    def ue(self) -> int:
        """An Exp-Golomb code, 0..2^32 - 2 (clause 9.2)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 31:
                raise CodecError("damaged HEVC stream: a parameter set or slice header has a number of more than 32 bits")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb code."""
        value = self.ue()
        return (value + 1) // 2 if value & 1 else -(value // 2)


ShortTermSet = list[tuple[int, bool]]
"""Of each picture: its POC relative to the current one's, and whether it is used by it."""


@dataclass(frozen=True)
class Vui:
    """What a stream says of how its pictures are shown; None and 0 where it says nothing.

    aspect: of a sample, width by height. full_range: samples use all values. siting: chroma_sample_loc_type, of frames.
    described: colour primaries, transfer and matrix are given. fields: each picture is a field.
    """

    aspect: Fraction | None = None
    full_range: bool = False
    described: bool = False
    siting: int | None = None
    fields: bool = False


@dataclass(frozen=True)
class Sps:
    """What a sequence parameter set says: coded luma size, format, depths, and what slice headers depend on.

    window: the part outside the conformance window: left, top, right, bottom in luma samples.
    """

    vps_id: int
    number: int
    chroma_format_idc: int
    separate_colour_plane: bool
    width: int
    height: int
    window: tuple[int, int, int, int]
    bit_depth: int
    bit_depth_chroma: int
    poc_bits: int
    dpb: int
    """Pictures in the decoded picture buffer, of all sub-layers; 16 where it names more than the standard has."""
    ctb: int
    """Side of a coding tree block of luma in samples."""
    ctbs: int
    short_term_sets: list[ShortTermSet]
    long_term_present: bool
    long_term: tuple[tuple[int, bool], ...]
    """Of each long-term picture that it lists: its POC's low bits, and whether it is used by the picture that names it."""
    temporal_mvp: bool
    sao: bool
    vui: Vui

    @property
    def chroma_format(self) -> str:
        """400, 420, 422 or 444; 400 where the colour planes are coded like pictures without chroma."""
        return "400" if self.separate_colour_plane else CHROMA_FORMATS[self.chroma_format_idc]


@dataclass(frozen=True)
class Pps:
    """What a picture parameter set says, as far as slice headers depend on it. init_qp: SliceQpY without slice_qp_delta."""

    number: int
    sps_id: int
    dependent_segments: bool
    output_flag_present: bool
    extra_bits: int
    cabac_init_present: bool
    default_references: tuple[int, int]
    init_qp: int
    chroma_qp_offsets_present: bool
    weighted: tuple[bool, bool]
    entry_points: bool
    filter_across_slices: bool
    deblocking_override: bool
    deblocking_disabled: bool
    lists_modification_present: bool
    extension_present: bool
    chroma_qp_adjustment: bool


def parse_sps(rbsp: bytes) -> Sps:
    """A sequence parameter set of the base layer, without its NAL unit's header. Raises CodecError if it is damaged."""
    bits = Bits(rbsp)
    vps_id = bits.u(4)
    sub_layers = bits.u(3)
    bits.u(1 + 88 + 8)  # general profile, tier and level
    present = [(bits.u(1), bits.u(1)) for _ in range(8 if sub_layers else 0)]
    for profile, level in present[:sub_layers]:
        bits.u(88 * profile + 8 * level)
    number = bits.ue()
    chroma = bits.ue()
    if chroma > 3:
        raise CodecError(f"damaged HEVC stream: chroma_format_idc {chroma}")
    separate = chroma == 3 and bits.flag()
    width, height = bits.ue(), bits.ue()
    if not (1 <= width <= 16384 and 1 <= height <= 16384):
        raise CodecError(f"the stream has pictures of {width}x{height} samples; they are read of 1x1 to 16384x16384")
    window = _window(bits, chroma)
    if window[0] + window[2] >= width or window[1] + window[3] >= height:
        raise CodecError(f"damaged HEVC stream: a picture of {width}x{height} with conformance window {window}")
    depth, depth_chroma = 8 + bits.ue(), 8 + bits.ue()
    poc_bits = bits.ue() + 4
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        dpb = bits.ue() + 1
        bits.ue(), bits.ue()
    log2_ctb = bits.ue() + 3
    log2_ctb += bits.ue()
    for _ in range(4):
        bits.ue()
    if bits.flag() and bits.flag():
        _scaling_lists(bits)
    bits.u(1)
    sao = bits.flag()
    if bits.flag():
        bits.u(8)
        bits.ue(), bits.ue()
        bits.u(1)
    count = bits.ue()
    if number > 15 or count > 64 or log2_ctb > 6 or poc_bits > 16 or max(depth, depth_chroma) > 16:
        raise CodecError("damaged HEVC stream: a sequence parameter set breaks the limits of the standard")
    sets: list[ShortTermSet] = []
    for i in range(count):
        sets.append(short_term_set(bits, i, count, sets))
    long_term_present = bits.flag()
    long_term = tuple((bits.u(poc_bits), bits.flag()) for _ in range(bits.ue() if long_term_present else 0))
    mvp = bits.flag()
    ctb = 1 << log2_ctb
    return Sps(
        vps_id=vps_id,
        number=number,
        chroma_format_idc=chroma,
        separate_colour_plane=separate,
        width=width,
        height=height,
        window=window,
        bit_depth=depth,
        bit_depth_chroma=depth_chroma,
        poc_bits=poc_bits,
        dpb=min(dpb, 16),
        ctb=ctb,
        ctbs=-(-width // ctb) * -(-height // ctb),
        short_term_sets=sets,
        long_term_present=long_term_present,
        long_term=long_term,
        temporal_mvp=mvp,
        sao=sao,
        vui=_vui(bits),
    )


def _window(bits: Bits, chroma: int) -> tuple[int, int, int, int]:
    left, right, top, bottom = [bits.ue() for _ in range(4)] if bits.flag() else (0, 0, 0, 0)
    x, y = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    return left * x, top * y, right * x, bottom * y


def _vui(bits: Bits) -> Vui:
    """What stands in vui_parameters( ) before its display window. It changes no sample, so that nothing is said if it is cut off."""
    try:
        bits.u(1)
        return vui_parameters(bits) if bits.flag() else Vui()
    except CodecError:
        return Vui()


def vui_parameters(bits: Bits) -> Vui:
    """To where a display window is in HEVC. H.264 has the same up to the siting of chroma."""
    aspect: Fraction | None = None
    if bits.flag():
        kind = bits.u(8)
        if kind == _EXTENDED_SAR:
            width, height = bits.u(16), bits.u(16)
            aspect = Fraction(width, height) if width and height else None
        elif 1 <= kind <= 16:
            aspect = Fraction(_ASPECT_RATIOS.split()[kind - 1].replace(":", "/"))
    if bits.flag():
        bits.u(1)
    full_range = described = False
    if bits.flag():
        bits.u(3)
        full_range, described = bits.flag(), bits.flag()
        bits.u(24 * described)
    siting: int | None = None
    if bits.flag():
        siting = bits.ue()
        bits.ue()
    bits.u(1)
    return Vui(aspect, full_range, described, siting, bits.flag())


def _scaling_lists(bits: Bits) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << 4 + (size << 1))):
                bits.se()


def short_term_set(bits: Bits, index: int, count: int, known: list[ShortTermSet]) -> ShortTermSet:
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


def parse_pps(rbsp: bytes) -> Pps:
    """A picture parameter set, without its NAL unit's header. Raises CodecError if it is damaged."""
    bits = Bits(rbsp)
    number, sps_id = bits.ue(), bits.ue()
    dependent, output = bits.flag(), bits.flag()
    extra = bits.u(3)
    bits.u(1)
    cabac = bits.flag()
    references = bits.ue() + 1, bits.ue() + 1
    init_qp = 26 + bits.se()
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
        _scaling_lists(bits)
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
    return Pps(
        number=number,
        sps_id=sps_id,
        dependent_segments=dependent,
        output_flag_present=output,
        extra_bits=extra,
        cabac_init_present=cabac,
        default_references=references,
        init_qp=init_qp,
        chroma_qp_offsets_present=chroma_offsets,
        weighted=weighted,
        entry_points=tiles or wavefronts,
        filter_across_slices=across,
        deblocking_override=override,
        deblocking_disabled=disabled,
        lists_modification_present=modification,
        extension_present=extension,
        chroma_qp_adjustment=adjustment,
    )
