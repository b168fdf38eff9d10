"""The SEI message that a stream needs the filter: as the C library writes it, and what else may lie in its place."""

import pytest
from codec_bridge.library._vrcnn import ffi, lib

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.announcement import UUID_OF_OURS, Announcement, announced
from tests.support.hm_streams import unit
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

TEXT = b"vrcnn-int loop v2 80a3726c166ce144"


def message(payload: bytes, kind: int = 5) -> bytes:
    return bytes([kind, len(payload)]) + payload


def found(*messages: bytes, nal_unit_type: int = nal.PREFIX_SEI, end: bytes = b"\x80") -> Announcement | None:
    return announced(nal.split(unit(32, b"\1\2\3") + unit(nal_unit_type, b"".join(messages) + end)))


@pytest.mark.parametrize(("name", "version"), [("joint_intra", 2), ("vrcnn_intra", 1)])
def test_the_c_library_s_message_is_read(name: str, version: int) -> None:
    data = builtin_path(name).read_bytes()
    sender, rbsp = ffi.new("VrcnnSender **"), ffi.new("uint8_t[]", lib.VRCNN_SEI_SIZE)
    assert lib.vrcnn_sender_open(sender, ffi.NULL, data, len(data), lib.VRCNN_BEFORE_DEBLOCKING, 64, 64) == 0
    assert lib.vrcnn_sender_sei(sender[0], rbsp) == 0
    lib.vrcnn_sender_close(sender[0])
    wanted = Announcement(version, ModelSet.load(builtin_path(name)).identity[:16])
    raw = bytes(ffi.buffer(rbsp))
    assert announced(nal.split(b"\0\0\1\x4e\1" + raw)) == wanted
    assert raw == unit(nal.PREFIX_SEI, raw)[6:], "no emulation prevention"
    assert raw[2:18] == UUID_OF_OURS.bytes
    assert raw == message(raw[2:-1]) + b"\x80"


def test_what_is_read_and_what_is_not() -> None:
    ours = message(UUID_OF_OURS.bytes + TEXT)
    assert found(ours) == Announcement(2, "80a3726c166ce144")
    assert found(message(bytes(16) + TEXT), message(b"", 6), ours, ours) == Announcement(2, "80a3726c166ce144")
    assert found(message(UUID_OF_OURS.bytes + TEXT + b" more")) == Announcement(2, "80a3726c166ce144")
    assert str(found(ours)) == "side information of version 2, model set 80a3726c166ce144"
    for text in (b"", TEXT[:-1], TEXT + b"0", TEXT.replace(b"loop", b"post"), TEXT.replace(b"v2", b"v02"), TEXT.upper(), b" " + TEXT):
        assert found(message(UUID_OF_OURS.bytes + text)) is None
    assert found(message(UUID_OF_OURS.bytes + TEXT, 4)) is None
    assert found(message(UUID_OF_OURS.bytes[:-1] + b"\0" + TEXT)) is None
    assert found(ours, nal_unit_type=nal.SUFFIX_SEI) is None
    assert found(ours[:-4]) is None
    assert found(ours[:-4], end=b"") is None
    assert announced([]) is None


def test_another_layer_s_is_not_ours() -> None:
    data = unit(nal.PREFIX_SEI, message(UUID_OF_OURS.bytes + TEXT) + b"\x80")
    assert announced(nal.split(data[:5] + b"\x09" + data[6:])) is None
