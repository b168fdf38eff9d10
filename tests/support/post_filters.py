"""NNPFC and NNPFA messages: all of their syntax, read as Rec. ITU-T H.274 has it (8.28.1.1, 8.28.2.1), and streams with and without them.

Nothing of the project's own reader of payloads is used.
"""

from codec_bridge.bitstream import nal
from tests.support.hm_streams import escaped
from tests.support.streams import join


class Payload:
    """Bits of a payload, and what was read of it, by the names of the syntax elements."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0
        self.found: dict[str, int | bytes] = {}

    def u(self, name: str, count: int = 1) -> int:
        """u(n)."""
        assert self.at + count <= len(self.text), f"{name} is cut off"
        value = int(self.text[self.at : self.at + count], 2)
        self.at += count
        self.found[name] = value
        return value

    def ue(self, *names: str) -> int:
        """ue(v), one or more; the last one's value."""
        value = 0
        for name in names:
            zeros = self.text.index("1", self.at) - self.at
            self.at += zeros
            value = self.u(name, zeros + 1) - 1
            self.found[name] = value
        return value

    def st(self, name: str) -> None:
        """st(v)."""
        read = bytearray()
        while byte := self.u(name, 8):
            read.append(byte)
        self.found[name] = bytes(read)

    def end(self) -> dict[str, int | bytes]:
        """What was read; behind it nothing, or payload_bit_equal_to_one and zeros to the end of the byte."""
        rest = self.text[self.at :]
        assert rest == "" or (len(rest) < 8 and rest[0] == "1" and "1" not in rest[1:])
        return self.found


def characteristics(data: bytes) -> dict[str, int | bytes]:
    """Of NNPFC for visual quality alone, as the 2023 edition has it."""
    bits = Payload(data)
    assert bits.u("nnpfc_purpose", 16) == 1
    bits.ue("nnpfc_id")
    bits.u("nnpfc_base_flag")
    if bits.ue("nnpfc_mode_idc") == 1:
        while bits.at % 8:
            assert not bits.u("nnpfc_alignment_zero_bit_a")
        bits.st("nnpfc_tag_uri")
        bits.st("nnpfc_uri")
    if bits.u("nnpfc_property_present_flag"):
        _properties(bits)
    return bits.end()


def _properties(bits: Payload) -> None:
    assert bits.ue("nnpfc_num_input_pics_minus1") == 0
    bits.u("nnpfc_component_last_flag")
    integers = bits.ue("nnpfc_inp_format_idc")
    bits.ue("nnpfc_auxiliary_inp_idc")
    order = bits.ue("nnpfc_inp_order_idc")
    _depths(bits, "inp", integers, order)
    integers = bits.ue("nnpfc_out_format_idc")
    out_order = bits.ue("nnpfc_out_order_idc")
    _depths(bits, "out", integers, out_order)
    assert not bits.u("nnpfc_separate_colour_description_present_flag")
    if out_order:
        assert not bits.u("nnpfc_chroma_loc_info_present_flag")
    bits.ue("nnpfc_overlap")
    if bits.u("nnpfc_constant_patch_size_flag"):
        bits.ue("nnpfc_patch_width_minus1", "nnpfc_patch_height_minus1")
    else:
        bits.ue("nnpfc_extended_patch_width_cd_delta_minus1", "nnpfc_extended_patch_height_cd_delta_minus1")
    if bits.ue("nnpfc_padding_type") == 4:
        bits.ue(*["nnpfc_luma_padding_val"] * (order != 1), *["nnpfc_cb_padding_val", "nnpfc_cr_padding_val"] * (order != 0))
    assert not bits.u("nnpfc_complexity_info_present_flag")
    assert bits.ue("nnpfc_metadata_extension_num_bits") == 0


def _depths(bits: Payload, side: str, integers: int, order: int) -> None:
    if integers == 1:
        planes = ["luma"] * (order != 1) + ["chroma"] * (order != 0)
        bits.ue(*(f"nnpfc_{side}_tensor_{plane}_bitdepth_minus8" for plane in planes))


def activation(data: bytes) -> dict[str, int | bytes]:
    """Of NNPFA."""
    bits = Payload(data)
    bits.ue("nnpfa_target_id")
    if not bits.u("nnpfa_cancel_flag"):
        persistence = bits.u("nnpfa_persistence_flag")
        bits.u("nnpfa_target_base_flag")
        bits.u("nnpfa_no_prev_clvs_flag")
        if persistence:
            bits.u("nnpfa_no_foll_clvs_flag")
        for i in range(bits.ue("nnpfa_num_output_entries")):
            bits.u(f"nnpfa_output_flag[{i}]")
    return bits.end()


def message(*parts: tuple[int, bytes], temporal_id: int = 0) -> nal.Nal:
    """A prefix SEI NAL unit with messages of these payloadTypes and payloads."""
    rbsp = b"".join(bytes([kind, len(payload)]) + payload for kind, payload in parts) + b"\x80"
    return nal.Nal(bytes([nal.PREFIX_SEI << 1, temporal_id + 1]) + escaped(rbsp), 0)


def with_messages(stream: bytes, picture: int, *messages: nal.Nal) -> bytes:
    """The stream with NAL units before the first slice of a picture, counted in decoding order."""
    units = nal.access_units(nal.split(stream))
    first = next(at for at, part in enumerate(units[picture]) if part.is_slice)
    units[picture][first:first] = messages
    return join(part for unit in units for part in unit)


def without_messages(stream: bytes) -> bytes:
    """The stream without NAL units that hold NNPFC or NNPFA."""
    found = bytearray()
    for part in nal.split(stream):
        held = {kind for kind, _ in nal.sei_messages(part)} if part.type == nal.PREFIX_SEI else set()
        at = len(found)
        found += b"" if held & {210, 211} else b"\0" * (part.size - len(part.data) - 3) + b"\0\0\1" + part.data
        assert len(found) in (at, at + part.size)
    return bytes(found)
