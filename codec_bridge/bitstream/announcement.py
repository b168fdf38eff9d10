"""The SEI message by which a stream says that it needs the filter in its loop (c/SPECIFICATION.md, section 6.7)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError

UUID_OF_OURS = UUID("5f3036e8-7cfd-410d-844d-95426d708d4a")
USER_DATA_UNREGISTERED = 5  # SEI payloadType
_TEXT = re.compile(rb"vrcnn-int loop v([1-9][0-9]{0,2}) ([0-9a-f]{16})(?: .*)?", re.S)


@dataclass(frozen=True)
class Announcement:
    """version: of the side information. identity: the first 16 hexadecimal digits of the model set's."""

    version: int
    identity: str

    def __str__(self) -> str:
        return f"side information of version {self.version}, model set {self.identity}"


def announced(units: Iterable[nal.Nal]) -> Announcement | None:
    """What the first such message among NAL units says; None: there is none. Damaged messages, and texts of other kinds, are none."""
    for unit in units:
        if unit.type == nal.PREFIX_SEI and unit.layer == 0:
            try:
                messages = nal.sei_messages(unit)
            except CodecError:
                continue
            for kind, payload in messages:
                found = _TEXT.fullmatch(payload[16:])
                if kind == USER_DATA_UNREGISTERED and payload[:16] == UUID_OF_OURS.bytes and found:
                    return Announcement(int(found[1]), found[2].decode())
    return None
