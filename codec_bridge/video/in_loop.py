"""Streams with networks in the loop, which no decoder here can decode: how they are refused."""

from codec_bridge.bitstream.announcement import Announcement, announced
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.pictures import Unit

IN_LOOP = (
    "the stream carries side information of vrcnn-int, networks in the loop: decode it with dec265 of `make codecs` (-c verifies "
    "picture hashes), or with HM with the filter inside (codec-bridge hm)"
)
TAKEN_OUT = "the stream says that it needs the filter of vrcnn-int in the loop, but carries no side information: it was taken out"


class InLoopError(CodecError):
    """A stream with networks in the loop. announcement: what its SEI message says, None if it has none."""

    def __init__(self, announcement: Announcement | None) -> None:
        super().__init__(IN_LOOP)
        self.announcement = announcement


def refuse_in_loop(unit: Unit) -> None:
    """Raise InLoopError if networks filter in the loop from this access unit on."""
    if unit.carries_magic:
        raise InLoopError(announced(unit.nals))
