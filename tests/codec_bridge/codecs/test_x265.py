"""The x265 codec: fixed QP, all-intra, filters on and off, and no damage that goes unnoticed."""

import random
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from codec_bridge.bitstream import hashes, nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.slices import segments
from codec_bridge.codecs import decoder, pyav
from codec_bridge.codecs import find as find_codec
from codec_bridge.figures.metrics import picture_psnr
from codec_bridge.video.frames import frame_from_picture, picture_from_frame
from codec_bridge.video.picture import Picture
from tests.support import media


def slices(data: bytes) -> list[bytes]:
    return [unit.data for unit in nal.split(data) if unit.type < 32]


@pytest.fixture(scope="module")
def clip() -> list[Picture]:
    return media.pictures(3, 100, 60)


@pytest.fixture(scope="module")
def coded(clip: list[Picture]) -> bytes:
    return pyav.encode(clip, 30).data


@pytest.mark.parametrize(
    ("chroma_format", "bit_depth"),
    [("420", 8), ("420", 10), ("400", 8), ("400", 10), ("422", 8), ("422", 10), ("444", 8), ("444", 10)],
)
def test_round_trip(chroma_format: str, bit_depth: int) -> None:
    clip = media.pictures(2, 100, 60, bit_depth, chroma_format)
    coded = pyav.encode(iter(clip), 22, rate=Fraction(50))
    decoded = list(decoder.decode(coded.data, pictures=2))
    assert coded.pictures == 2
    for picture, original in zip(decoded, clip, strict=True):
        assert (picture.width, picture.height, picture.crop) == (104, 64, (0, 0, 4, 4))
        assert picture.pixel_format == original.pixel_format
        assert min(picture_psnr(picture, original)) > 35
    assert media.equal(decoder.decode(coded.data, cropping=True), (picture.cropped() for picture in decoded))


@pytest.mark.parametrize("size", [(16, 16), (18, 26), (64, 64), (66, 16), (130, 70)])
def test_sizes(size: tuple[int, int]) -> None:
    clip = media.pictures(1, *size)
    (decoded,) = decoder.decode(pyav.encode(clip, 27).data)
    assert decoded.width % 8 == decoded.height % 8 == 0
    assert decoded.cropped().planes[0].shape == clip[0].planes[0].shape


def test_every_slice_is_intra_and_at_the_qp(tmp_path: Path) -> None:
    """x265's own log of a run with the same parameters; and no CU may differ (cu_qp_delta_enabled_flag)."""
    clip = media.pictures(4, 128, 64)
    for pps in (unit for unit in nal.split(pyav.encode(clip, 30).data) if unit.type == 34):
        bits = f"{int.from_bytes(pps.rbsp, 'big'):0{8 * len(pps.rbsp)}b}"
        # pps_id 0, sps_id 0, 7 flags and bits, two reference counts of 1, init_qp_minus26 0 are one bit each but for the 7.
        assert bits[:2] == "11"
        assert bits[9:11] == "11"
        init_qp = re.match("0*1", bits[11:])
        assert init_qp
        after = 11 + 2 * init_qp.end() - 1
        assert bits[after + 2] == "0"
    for qp in (22, 37):
        log = tmp_path / f"{qp}.csv"
        params = f"{pyav.x265_params(qp, True)}:csv={log}:csv-log-level=2"
        media.write_container(tmp_path / "a.mkv", clip, "libx265", preset="medium", **{"x265-params": params})
        rows = [[field.strip() for field in line.split(",")] for line in log.read_text().splitlines()[1:]]
        assert [(row[2], row[4]) for row in rows[:4]] == 4 * [("I-SLICE", f"{qp}.00")]


def test_bits_fall_with_qp_and_leave_out_the_hash(clip: list[Picture]) -> None:
    bits = [pyav.encode(clip, qp).bits for qp in (0, 22, 37, 51)]
    assert bits == sorted(bits, reverse=True)
    coded = pyav.encode(clip, 37)
    units = nal.split(coded.data)
    assert sum(unit.size for unit in units) == len(coded.data)
    hashes = [unit for unit in units if unit.type == nal.SUFFIX_SEI]
    assert len(hashes) == 3
    assert coded.bits == 8 * (len(coded.data) - sum(unit.size for unit in hashes))
    # Header, payload type and size, hash_type, three MD5s and the stop bit, with a start code.
    assert all(unit.size >= 3 + 2 + 2 + 1 + 48 + 1 for unit in hashes)


def test_deblocking_and_sao_do_something_and_deblocking_leaves_the_slice_data_alone() -> None:
    clip = media.pictures(2, 128, 128)
    on, off = pyav.encode(clip, 37), pyav.encode(clip, 37, filters=False)
    deblocked = pyav.encode(clip, 37, sao=False)
    decoded = [list(decoder.decode(coded.data)) for coded in (on, off, deblocked)]
    assert not media.equal(decoded[0], decoded[1])
    assert not media.equal(decoded[0], decoded[2])
    assert not media.equal(decoded[1], decoded[2])
    assert "no-deblock=1:no-sao=1" in off.command
    assert "no-deblock" not in on.command + deblocked.command

    # The pictures before deblocking (FFmpeg can leave the filters out) are those of the stream without filters.
    context = av.CodecContext.create("hevc", "r")
    context.options = {"skip_loop_filter": "all", "apply_cropping": "0"}
    context.thread_count = 1
    frames = [frame for packet in [*context.parse(deblocked.data), *context.parse(), None] for frame in context.decode(packet)]
    assert media.equal(map(picture_from_frame, frames), decoded[1])
    for a, b in zip(slices(deblocked.data), slices(off.data), strict=True):
        assert a[-len(a) * 3 // 4 :] == b[-len(a) * 3 // 4 :], "only slice headers may differ"


def test_streams_are_the_same_every_time(clip: list[Picture]) -> None:
    assert pyav.encode(clip, 32).data == pyav.encode(clip, 32).data
    # Pictures do not depend on each other.
    assert slices(pyav.encode(clip, 32).data)[:1] == slices(pyav.encode(clip[:1], 32).data)


def test_only_the_inside_is_coded(clip: list[Picture]) -> None:
    wide = media.pictures(1, 108, 68)[0]
    marked = Picture(wide.planes, 8, "420", (4, 2, 4, 6))
    assert pyav.encode([marked], 30).data == pyav.encode([marked.cropped()], 30).data


def test_encoder_states_its_version(clip: list[Picture]) -> None:
    encoder = pyav.encode(clip[:1], 30).encoder
    name, version, *build = encoder.split()
    assert name == "x265"
    assert version[0].isdigit()
    assert build[0] == "(build"


def test_hashes_are_those_of_the_spec(coded: bytes) -> None:
    """The MD5s that x265 wrote are the ones this project computes of the uncropped planes; a wrong one is refused."""
    units = nal.access_units(nal.split(coded))
    assert [len(nal.picture_hashes(unit)) for unit in units] == [1, 1, 1]
    assert all(nal.picture_hashes(unit)[0][0] == 0 and len(nal.picture_hashes(unit)[0]) == 49 for unit in units)


def find(data: bytes, kind: int, index: int) -> int:
    """Where the payload of the ``index``-th NAL unit of a type begins."""
    position = 0
    for unit in nal.split(data):
        if unit.type == kind:
            if not index:
                return position + unit.size - len(unit.data)
            index -= 1
        position += unit.size
    raise AssertionError


def test_one_flipped_bit_in_the_hash_is_caught(coded: bytes) -> None:
    for picture in range(3):
        begin = find(coded, nal.SUFFIX_SEI, picture)
        data = bytearray(coded)
        data[begin + 20] ^= 4
        with pytest.raises(CodecError, match=f"picture {picture} does not match its MD5 picture hash"):
            list(decoder.decode(bytes(data)))
        assert len(list(decoder.decode(bytes(data), check_hash=False))) == 3


def test_one_flipped_bit_in_slice_data_is_caught(coded: bytes) -> None:
    for picture in range(3):
        begin = find(coded, 20, picture)
        data = bytearray(coded)
        data[begin + 200] ^= 16
        with pytest.raises(CodecError, match=f"picture {picture} "):
            list(decoder.decode(bytes(data)))


def test_no_flipped_bit_gives_other_pictures(coded: bytes) -> None:
    """Anywhere in the stream: an error, or the very same pictures (bits that mean nothing to the samples)."""
    right = list(decoder.decode(coded))
    generator = random.Random(3)
    caught = 0
    for _ in range(250):
        data = bytearray(coded)
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            pictures = list(decoder.decode(bytes(data), pictures=3))
        except CodecError:
            caught += 1
            continue
        for a, b in zip(pictures, right, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
    assert caught > 200


def test_truncation_is_caught(coded: bytes) -> None:
    for left in (*range(0, len(coded), 97), len(coded) - 1, len(coded) - 40):
        with pytest.raises(CodecError):
            list(decoder.decode(coded[:left], pictures=3))


def test_streams_without_a_hash_are_refused_and_every_kind_of_hash_is_verified(clip: list[Picture], coded: bytes) -> None:
    kept = [b"\0\0\0\1" + unit.data for unit in nal.split(coded) if unit.type != nal.SUFFIX_SEI]
    with pytest.raises(CodecError, match="picture 0 has no picture hash, which checking it needs: code it with one"):
        list(decoder.decode(b"".join(kept)))
    assert len(list(decoder.decode(b"".join(kept), check_hash=False))) == 3
    for kind in (2, 3):  # CRC, checksum
        context = av.CodecContext.create("libx265", "w")
        context.width, context.height, context.pix_fmt, context.time_base = 100, 60, "yuv420p", Fraction(1, 25)
        context.options = {"x265-params": pyav.x265_params(30, True).replace("hash=1", f"hash={kind}")}
        packets = context.encode(frame_from_picture(clip[0])) + context.encode(None)
        data = b"".join(bytes(packet) for packet in packets)
        assert len(list(decoder.decode(data))) == 1
        damaged = bytearray(data)
        damaged[find(data, nal.SUFFIX_SEI, 0) + 5] ^= 1  # in the hash of luma
        with pytest.raises(CodecError, match=f"picture 0 does not match its {hashes.NAMES[kind - 1]} picture hash"):
            list(decoder.decode(bytes(damaged)))
        assert nal.bits_without_hash(data) < 8 * len(data)


def test_wrong_picture_count(coded: bytes) -> None:
    with pytest.raises(CodecError, match="3 pictures instead of 4"):
        list(decoder.decode(coded, pictures=4))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100), b"\0\0\1", b"\0\0\1\0\0\1", b"\0\0\0\1\x40\x01\x0c"])
def test_what_is_no_stream(data: bytes) -> None:
    with pytest.raises(CodecError):
        list(decoder.decode(data))


def test_impossible_settings(clip: list[Picture]) -> None:
    for qp in (-1, 52):
        with pytest.raises(CodecError, match=f"QP {qp}"):
            pyav.encode(clip, qp)
    with pytest.raises(CodecError, match="preset 'best'"):
        pyav.encode(clip, 30, preset="best")
    with pytest.raises(CodecError, match="no pictures"):
        pyav.encode([], 30)
    with pytest.raises(CodecError, match="pictures of 14x20: give at least 16x16"):
        pyav.encode(media.pictures(1, 14, 20), 30)
    with pytest.raises(CodecError, match="9-bit"):
        pyav.encode(media.pictures(1, 16, 16, 9), 30)
    with pytest.raises(CodecError, match="alike"):
        pyav.encode(clip + media.pictures(1, 16, 16), 30)


def test_an_encoder_that_fails_is_one_clear_error(clip: list[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, "x265_params", lambda qp, filters, sao: "qp=30:level-idc=1:min-cu-size=128:log-level=none")
    monkeypatch.setattr(pyav, "MIN_SIZE", 1)
    with pytest.raises(CodecError, match="x265 failed at picture 1"):
        pyav.encode(media.pictures(1, 8, 8), 30)


def test_codecs_are_found_by_word() -> None:
    assert find_codec("x265") is pyav.X265
    with pytest.raises(CodecError, match="unknown codec 'av1'; known: x265, hm, x265-loop"):
        find_codec("av1")


def test_sps_fields(coded: bytes) -> None:
    sps = segments(coded)[0].sps
    assert (sps.width, sps.height, sps.chroma_format, sps.bit_depth, sps.bit_depth_chroma) == (104, 64, "420", 8, 8)
    assert sps.window == (0, 0, 4, 4)
    ten = segments(pyav.encode(media.pictures(1, 98, 50, 10, "422"), 30).data)[0].sps
    assert (ten.chroma_format, ten.bit_depth, ten.bit_depth_chroma, ten.window) == ("422", 10, 10, (0, 0, 6, 6))
