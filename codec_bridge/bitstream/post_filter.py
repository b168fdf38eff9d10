"""The SEI messages by which a stream names a filter of its decoded pictures (c/SPECIFICATION.md, section 10).

They are neural-network post-filter characteristics (NNPFC) and activation (NNPFA) of Rec. ITU-T H.265 and H.274, clauses 8.28.1 and 8.28.2.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.parameter_sets import Bits, Sps
from vrcnn_int.network import BIT_DEPTHS, DEEP

NNPFC, NNPFA = 210, 211  # SEI payloadTypes
TAG = b"tag:vrcnn-int.invalid,2026:post/1"
_URI = re.compile(rb"tag:vrcnn-int\.invalid,2026:set/([0-9a-f]{16})/(?:(luma|joint)/(fast|best)|([12]?[0-9]|3[01]))")
IDS = range(7, 15)
"""Of nnpfc_id, for any use; with these NNPFA is of whole bytes: VTM takes a bit behind its end for another flag."""
MOST_MESSAGES = 64
"""Of both kinds that count in a picture."""
_LEADING = range(6, 10)
_IRAP = range(16, 24)
_URI_MODE = 1  # nnpfc_mode_idc
_RESERVED = (range(256, 512), range(1 << 31, 1 << 32))  # of nnpfc_id: messages to be ignored
_VISUAL_QUALITY, _BY_QP, _INTEGERS, _FIXED_PADDING = 1, 1, 1, 4
_LUMA, _SITES = 0, 3  # of nnpfc_inp_order_idc and nnpfc_out_order_idc


class PostFilterError(CodecError):
    """A message of ours that is damaged, or stands where it has no meaning."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the SEI message of its post-filter is damaged: {what}")


@dataclass(frozen=True)
class PostFilter:
    """What filters decoded pictures.

    identity: the first 16 hexadecimal digits of the model set's. kind, size: of the networks after SAO of which each picture has the one
    for its QP; None where index says which network it is. qp: SliceQpY of a picture's first slice, None where no picture is meant.
    """

    identity: str
    kind: str | None = None
    size: str | None = None
    index: int | None = None
    qp: int | None = None

    @property
    def uri(self) -> str:
        """nnpfc_uri."""
        return f"tag:vrcnn-int.invalid,2026:set/{self.identity}/{f'{self.kind}/{self.size}' if self.index is None else self.index}"

    def __str__(self) -> str:
        which = f"{self.kind} networks, {self.size}, by QP" if self.index is None else f"network {self.index}"
        return f"{which}, of set {self.identity}"


# ---- writing ----


class _Writer:
    def __init__(self) -> None:
        self.text = ""

    def u(self, value: int, bits: int = 1) -> None:
        self.text += f"{value:0{bits}b}"

    def ue(self, *values: int) -> None:
        for value in values:
            text = f"{value + 1:b}"
            self.text += "0" * (len(text) - 1) + text

    def string(self, value: bytes) -> None:
        """st(v), on a byte's boundary."""
        self.text += "0" * (-len(self.text) % 8) + "".join(f"{byte:08b}" for byte in value + b"\0")

    def payload(self) -> bytes:
        """With what ends an SEI payload, unless it is whole bytes."""
        if len(self.text) % 8:
            self.u(1)
            self.text += "0" * (-len(self.text) % 8)
        return int(self.text, 2).to_bytes(len(self.text) // 8, "big")


def characteristics(number: int, wanted: PostFilter, sps: Sps, joint: bool) -> bytes:
    """The payload of an NNPFC message. number: nnpfc_id. joint: the networks are of this kind."""
    bits = _Writer()
    bits.u(_VISUAL_QUALITY, 16)
    bits.ue(number)
    bits.u(1)  # nnpfc_base_flag
    bits.ue(_URI_MODE)
    bits.string(TAG)
    bits.string(wanted.uri.encode())
    bits.u(1)  # nnpfc_property_present_flag
    bits.ue(0)  # nnpfc_num_input_pics_minus1
    bits.u(0)  # nnpfc_component_last_flag
    bits.ue(_INTEGERS, _BY_QP if wanted.index is None else 0)
    chroma = joint and filters_chroma(sps)
    order = _SITES if chroma else _LUMA
    depths = [sps.bit_depth - 8, sps.bit_depth_chroma - 8][: 1 + chroma]
    bits.ue(order, *depths)
    bits.ue(_INTEGERS, order, *depths)
    bits.u(0)  # nnpfc_separate_colour_description_present_flag
    if chroma:
        bits.u(0)  # nnpfc_chroma_loc_info_present_flag
    bits.ue(0)  # nnpfc_overlap
    bits.u(0)  # nnpfc_constant_patch_size_flag
    bits.ue(0, 0)  # nnpfc_extended_patch_width_cd_delta_minus1, and height
    bits.ue(_FIXED_PADDING, *(128 << depth for depth in depths + depths[1:]))
    bits.u(0)  # nnpfc_complexity_info_present_flag
    bits.ue(0)  # nnpfc_metadata_extension_num_bits
    return bits.payload()


def activation(number: int) -> bytes:
    """The payload of an NNPFA message for the filter with this nnpfc_id, one of IDS: from this picture on in output order."""
    bits = _Writer()
    bits.ue(number)
    bits.u(0b01100, 5)  # no cancel, persistence, target_base, no_prev_clvs, no_foll_clvs
    bits.ue(1)  # nnpfa_num_output_entries
    bits.u(1)  # nnpfa_output_flag[ 0 ]
    return bits.payload()


def filters_chroma(sps: Sps) -> bool:
    """Whether joint networks filter chroma of such pictures."""
    deep = (DEEP,) if sps.bit_depth == DEEP else ()
    return sps.chroma_format == "420" and sps.bit_depth_chroma in (*BIT_DEPTHS[:3], *deep)


# ---- reading ----


def messages(parts: Iterable[nal.Nal]) -> Iterator[tuple[int, bytes]]:
    """The NNPFC and NNPFA messages in prefix SEI NAL units of the base layer, ours or not; of one that is cut off what is there."""
    for part in parts:
        if part.type == nal.PREFIX_SEI and part.layer == 0:
            yield from (found for found in nal.sei_messages(part, cut=True) if found[0] in (NNPFC, NNPFA))


def number_of(payload: bytes) -> int | None:
    """nnpfc_id of an NNPFC message, whoever's; None where it has none."""
    try:
        return Bits(payload[2:]).ue()
    except CodecError:
        return None


def read_characteristics(payload: bytes) -> tuple[int, PostFilter] | None:
    """nnpfc_id and the filter; None: somebody else's. Raises PostFilterError."""
    bits = Bits(payload)
    try:
        bits.u(16)
        number, base, mode = bits.ue(), bits.flag(), bits.ue()
    except CodecError:
        return None
    zeros = bits.u(bits.left % 8)
    tag, there, rest = payload[len(payload) - bits.left // 8 :].partition(b"\0")
    if mode != _URI_MODE or tag != TAG or any(number in some for some in _RESERVED):
        return None
    uri, ends, _ = rest.partition(b"\0")
    found = _URI.fullmatch(uri)
    if not base:
        raise PostFilterError("nnpfc_base_flag is 0")
    if zeros:
        raise PostFilterError("an alignment bit is 1")
    if not (there and ends):
        raise PostFilterError("it is cut off")
    if not found:
        raise PostFilterError("nnpfc_uri names no network")
    identity, kind, size, index = (None if word is None else word.decode() for word in found.groups())
    return number, PostFilter(identity or "", kind, size, None if index is None else int(index))


def _read_activation(payload: bytes, number: int) -> bool:
    """Whether an NNPFA message is of the filter with this nnpfc_id. Raises PostFilterError."""
    bits = Bits(payload)
    try:
        if bits.ue() != number:
            return False
        cancel = bits.flag()
        persistence, base, _ = (not cancel and bits.flag() for _ in range(3))
        plain = not cancel and persistence and base
        if plain:
            bits.flag()
            entries = bits.ue()
            plain = entries == 0 or (entries == 1 and bits.flag())
    except CodecError:
        raise PostFilterError("it is cut off") from None
    if not plain:
        raise PostFilterError("it activates the filter in another way than section 10 allows")
    return True


class PostFilterReader:
    """Reads the messages of a stream's pictures in decoding order, and knows which of them are filtered."""

    def __init__(self) -> None:
        self._filter: tuple[int, PostFilter] | None = None
        self._active = self._before = False  # _before: the last IRAP picture

    def read(self, parts: Iterable[nal.Nal], nal_unit_type: int, starts: bool, qp: int, in_loop: bool = False) -> PostFilter | None:
        """What filters a picture, None: nothing does.

        parts: its NAL units. starts: it begins a coded video sequence. qp: SliceQpY of its first slice. in_loop: networks filter in the
        loop, too. Raises PostFilterError; then nothing is filtered before the next IRAP picture that says so.
        """
        if starts:
            self._forget()
        try:
            return self._read(parts, nal_unit_type, qp, in_loop)
        except PostFilterError:
            self._forget()
            raise

    def _forget(self) -> None:
        self._filter, self._active, self._before = None, False, False

    def _read(self, parts: Iterable[nal.Nal], nal_unit_type: int, qp: int, in_loop: bool) -> PostFilter | None:
        activated = False
        for kind, payload in islice(messages(parts), MOST_MESSAGES):
            if kind == NNPFC and (found := read_characteristics(payload)):
                if nal_unit_type not in _IRAP:
                    raise PostFilterError("NNPFC in a picture that is no IRAP picture")
                if self._filter not in (None, found):
                    raise PostFilterError("another NNPFC than before in the coded video sequence")
                self._filter = found
            elif kind == NNPFA and self._filter:
                activated |= _read_activation(payload, self._filter[0])
        if in_loop and self._filter:
            raise PostFilterError("networks filter in the loop already")
        if nal_unit_type in _IRAP:
            self._before = self._active
            self._active |= activated
        elif activated and not self._active and nal_unit_type not in _LEADING:
            raise PostFilterError("NNPFA within a coded video sequence that goes on without")
        # Leading pictures come before their IRAP picture in output order.
        is_filtered = self._before or activated if nal_unit_type in _LEADING else self._active
        return replace(self._filter[1], qp=qp) if self._filter and is_filtered else None
