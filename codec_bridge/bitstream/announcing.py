"""An ordinary HEVC stream, and in it the SEI messages that name a filter of its decoded pictures (c/SPECIFICATION.md, section 10)."""

from codec_bridge.bitstream import nal, post_filter
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.pictures import Unit, read_units
from codec_bridge.bitstream.post_filter import IDS, NNPFA, NNPFC, PostFilter

_RADL = (6, 7)


def announce(stream: bytes, wanted: PostFilter, joint: bool) -> tuple[bytes, int]:
    """The stream with the messages, all else byte for byte as it was; and how many pictures have some.

    joint: the filter's networks are of this kind. Raises CodecError for a damaged stream, and for one that has a filter already, after its
    loop or in it.
    """
    units = list(read_units(nal.scan(stream)))
    refuse_unfit(units)
    used = {post_filter.number_of(payload) for payload in _characteristics(units)}
    number = min(set(IDS) - used, default=None)
    if number is None:
        raise CodecError(f"the stream has post-filters of others under each nnpfc_id from {IDS[0]} to {IDS[-1]}")
    written = bytearray()
    at = count = 0
    for unit in units:
        starts = unit.is_irap or unit.nal_unit_type in _RADL
        for place, part in enumerate(unit.nals):
            if part.is_slice and starts:
                written += _message(unit, part, number, wanted, joint, place == 0)
                count += 1
                starts = False
            written += stream[at : at + part.size]
            at += part.size
    return bytes(written), count


def _characteristics(units: list[Unit]) -> list[bytes]:
    return [payload for unit in units for kind, payload in post_filter.messages(unit.nals) if kind == NNPFC]


def refuse_unfit(units: list[Unit]) -> None:
    """Raise CodecError for what `announce` refuses of a stream, whatever the filter is."""
    if not any(unit.has_picture for unit in units):
        raise CodecError("the stream has no picture")
    for unit in units:
        if unit.carries_magic:
            raise CodecError("the stream has networks in the loop: a filter after it was not trained for such pictures")
        for problem in unit.problems:
            raise CodecError(f"picture {unit.number}: {problem}")
    for found in filter(None, map(post_filter.read_characteristics, _characteristics(units))):
        raise CodecError(f"the stream names a post-filter already: {found[1]}")


def _message(unit: Unit, part: nal.Nal, number: int, wanted: PostFilter, joint: bool, is_first: bool) -> bytes:
    """A prefix SEI NAL unit for the place before a picture's first slice segment. is_first: it begins the access unit."""
    assert unit.sps is not None
    messages = [(NNPFA, post_filter.activation(number))]
    if unit.is_irap:
        messages.insert(0, (NNPFC, post_filter.characteristics(number, wanted, unit.sps, joint)))
    rbsp = b"".join(bytes([kind, len(payload)]) + payload for kind, payload in messages) + b"\x80"
    # nuh_temporal_id_plus1 is that of the picture.
    return (b"\0" if is_first else b"") + b"\0\0\1" + bytes([nal.PREFIX_SEI << 1, part.data[1] & 7]) + nal.escaped(rbsp)
