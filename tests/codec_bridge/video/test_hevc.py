"""HEVC streams decoded strictly and leniently: what is damaged or lost is noticed and named."""

from functools import cache
from pathlib import Path

import pytest

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.pictures import read_units
from codec_bridge.video.hevc import Decoder, Findings
from codec_bridge.video.in_loop import InLoopError
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture, VideoError
from tests.support import media, streams


@cache
def inter(parameters: str = "hash=1", count: int = 8) -> bytes:
    return streams.hevc(f"{streams.INTER}:{parameters}", count)


def decode(stream: bytes, lenient: bool = False) -> tuple[list[Picture], Findings]:
    decoder = Decoder(lenient)
    return list(decoder.decode(read_units(nal.scan(stream, lenient)))), decoder.findings


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "gray", "yuv444p"])
def test_whole_streams_come_out_whole(kind: int, pixel_format: str) -> None:
    stream = streams.hevc(f"{streams.INTER}:hash={kind}", 6, 80, 72, pixel_format)
    pictures, findings = decode(stream)
    assert len(pictures) == findings.pictures == 6
    assert findings.unverified == (0 if kind else 6)
    assert [picture.pixel_format for picture in pictures] == [pixel_format] * 6
    assert {picture.crop for picture in pictures} == {(0, 0, 0, 0)}
    assert all(picture.coding for picture in pictures)


@pytest.mark.parametrize(("kind", "name"), [(1, "MD5"), (2, "CRC"), (3, "checksum")])
def test_a_changed_sample_is_caught_by_every_kind_of_hash(kind: int, name: str) -> None:
    stream = streams.hevc(f"{streams.INTRA}:hash={kind}", 3)
    parts = nal.split(stream)
    slices = [at for at, part in enumerate(parts) if part.is_slice]
    data = bytearray(parts[slices[1]].data)
    data[len(data) // 2] ^= 16
    parts[slices[1]] = nal.Nal(bytes(data), 0)
    with pytest.raises(CodecError, match=f"picture 1 (does not match its {name} picture hash|cannot be decoded)"):
        decode(streams.join(parts))
    pictures, findings = decode(streams.join(parts), lenient=True)
    assert len(pictures) == 3
    assert len(findings.faults) == 1


@pytest.mark.parametrize("parameters", [streams.INTRA, "qp=20:bframes=0", "qp=28:bframes=3", "lossless=1"])
def test_a_slice_that_is_cut_off_is_noticed_without_hashes(parameters: str) -> None:
    stream = streams.hevc(f"{parameters}:hash=0", 5)
    assert len(decode(stream)[0]) == 5
    for cut in (8, 20, 40):
        with pytest.raises(CodecError, match=r"picture 4(:| is incomplete| cannot be decoded)"):
            decode(stream[:-cut])
        _, findings = decode(stream[:-cut], lenient=True)
        assert len(findings.faults) == 1


def test_a_slice_that_is_cut_off_within_the_stream_is_noticed_without_hashes() -> None:
    parts = nal.split(streams.hevc(f"{streams.INTRA}:hash=0"))
    at = [at for at, part in enumerate(parts) if part.is_slice][1]
    parts[at] = nal.Nal(parts[at].data[:-60], 0)
    with pytest.raises(CodecError, match="picture 1 is incomplete"):
        decode(streams.join(parts))


@pytest.mark.parametrize(
    ("parameters", "pixel_format"),
    [("qp=32:bframes=0", "yuv420p"), ("qp=32:bframes=3:b-pyramid=1", "yuv420p10le"), ("qp=32:keyint=1", "gray"), ("qp=20", "yuv444p")],
)
def test_any_lost_slice_is_noticed_without_hashes(parameters: str, pixel_format: str) -> None:
    """Also where nothing moves, so that what lies in memory looks like what is lost."""
    for still in (False, True):
        stream = streams.hevc(f"{parameters}:slices=3:ctu=32:pools=2:hash=0", 6, 96, 96, pixel_format, still=still)
        assert len(decode(stream)[0]) == 6
        parts = [part for part in nal.split(stream) if part.is_slice]
        later = [at for at, part in enumerate(parts) if not part.data[2] & 128]
        assert len(later) == 12
        for lost in later:
            with pytest.raises(CodecError, match=r"picture \d is incomplete: a slice of it"):
                decode(streams.without(stream, lost))
        assert 1 <= len(decode(streams.without(stream, later[-1]), lenient=True)[1].faults) <= 6


def test_slices_of_two_pictures_are_not_one() -> None:
    stream = streams.hevc("qp=32:bframes=0:slices=3:ctu=32:pools=2:hash=0", 4, 96, 96)
    for _ in range(3):  # the last slice of picture 1, and all others of picture 2
        stream = streams.without(stream, 5)
    with pytest.raises(CodecError, match="picture 1: its slice segments are of different pictures"):
        decode(stream)


@pytest.mark.parametrize("parameters", ["bframes=8:b-adapt=0:b-pyramid=1:keyint=10:open-gop=1", "ref=8:bframes=0:weightp=2", "ctu=16"])
def test_memory_changes_no_whole_picture(parameters: str) -> None:
    """Odd sizes, references far away and outside, sequences that begin again: with and without hashes the same, and no fault."""
    for pixel_format in ("yuv420p", "yuv422p10le"):
        hashed = 2 * streams.hevc(f"qp=30:hash=1:{parameters}", 24, 70, 58, pixel_format)
        pictures, findings = decode(streams.join(part for part in nal.split(hashed) if part.type != nal.SUFFIX_SEI))
        assert media.equal(pictures, decode(hashed)[0])
        assert findings.unverified == 48


def test_hashes_that_begin_or_end_within_a_stream() -> None:
    bare = streams.hevc(f"{streams.INTRA}:hash=0")
    hashed = streams.hevc()
    for stream in (hashed + bare, bare + hashed):
        pictures, findings = decode(stream)
        assert (len(pictures), findings.unverified) == (8, 4)
        assert findings.notes() == ["4 of 8 pictures carry no hash: only damage that a decoder notices is noticed in them"]
    with pytest.raises(CodecError, match="picture 7 is incomplete"):
        decode((hashed + bare)[:-40])


def test_lost_pictures_are_named_and_gone_over() -> None:
    for stream, fault in (
        (streams.without(streams.hevc(), 1), "picture 1: the picture has lost its slices"),
        (streams.without_picture(inter(), 1), "picture 1: it refers to a picture that the stream does not have"),
        (streams.without_picture(inter(), 0), "picture 0: decoding cannot start with it"),
    ):
        with pytest.raises(CodecError, match=fault):
            decode(stream)
        pictures, findings = decode(stream, lenient=True)
        assert len(pictures) in (3, 7)
        assert findings.faults[0].startswith(fault)


def test_a_stream_without_a_random_access_point_is_opened_all_the_same(tmp_path: Path) -> None:
    for suffix in ("hevc", "bin"):
        path = streams.write(tmp_path / f"a.{suffix}", streams.without_picture(inter(), 0))
        with pytest.raises(VideoError, match="picture 0: decoding cannot start with it"):
            list(open_video(path))
        video = open_video(path, lenient=True)
        assert len(list(video)) == 7
        assert video.account.faults[0].startswith("picture 0")


def test_a_lost_picture_that_no_other_refers_to_is_mentioned() -> None:
    units = nal.access_units(nal.split(inter("b-pyramid=0:hash=1")))
    unused = next(at for at, unit in enumerate(units) if any(part.is_slice and part.type == 0 for part in unit))
    pictures, findings = decode(streams.without_picture(inter("b-pyramid=0:hash=1"), unused))
    assert len(pictures) == 7
    assert len(findings.notes()) == 1
    assert findings.notes()[0].startswith("pictures may be missing (1)")
    assert decode(inter())[1].notes() == []


def test_faults_are_one_a_picture() -> None:
    _, findings = decode(streams.without_picture(inter(), 1), lenient=True)
    numbers = [fault.split()[1].strip(":") for fault in findings.faults]
    assert len(set(numbers)) == len(numbers)


def test_a_stream_goes_on_behind_parameter_sets_that_come_too_late() -> None:
    parts = nal.split(inter())
    sets = [part for part in parts if part.type in (32, 33, 34)]
    rest = [part for part in parts if part.type not in (32, 33, 34)]
    late = streams.join(rest) + streams.join(sets + rest)
    with pytest.raises(CodecError, match=r"picture 0: .*parameter sets that are not there"):
        decode(late)
    pictures, findings = decode(late, lenient=True)
    assert len(pictures) == 8
    assert len(findings.faults) == 8


def test_unused_and_other_parameter_sets_are_not_the_pictures() -> None:
    """Nor are they the decoder's: FFmpeg refuses those that it cannot read, whether they are active or not."""
    other = next(part for part in nal.split(streams.hevc(count=1, width=128, height=96)) if part.type == 33)
    for extra in (other, nal.Nal(other.data[:9], 0), nal.Nal(b"\x44\x01\xff", 0)):
        pictures, _ = decode(streams.join([extra]) + inter())
        assert [(picture.width, picture.height) for picture in pictures] == [(64, 48)] * 8


def test_every_picture_is_cropped_with_its_own_parameter_set(tmp_path: Path) -> None:
    stream = streams.hevc(count=2, width=70, height=58) + streams.hevc(count=2, width=66, height=58)
    pictures, _ = decode(stream)
    assert [picture.crop for picture in pictures] == [(0, 0, 2, 6)] * 2 + [(0, 0, 6, 6)] * 2
    path = streams.write(tmp_path / "a.hevc", stream)
    for lenient in (False, True):
        with pytest.raises(VideoError, match=r"a\.hevc: picture 2 is 66x58 yuv420p, those before it 70x58"):
            list(open_video(path, lenient=lenient))
    assert len(list(open_video(path, frames=2))) == 2


def test_streams_with_networks_in_the_loop_are_refused_everywhere(tmp_path: Path) -> None:
    stream = streams.carrying(inter())
    foreign = streams.carrying(inter(), b"somebody else's", b"")
    assert len(decode(foreign)[0]) == 8
    for lenient in (False, True):
        with pytest.raises(CodecError, match=r"side information of vrcnn-int.*dec265 of `make codecs`"):
            decode(stream, lenient)
        for suffix in ("hevc", "mkv", "mp4", "ts"):
            path = streams.write(tmp_path / "a.hevc", stream)
            if suffix != "hevc":
                path = streams.remuxed(path, tmp_path / f"a.{suffix}", time=lambda number: 40 * number)
            with pytest.raises(VideoError, match=rf"a\.{suffix}: the stream carries side information of vrcnn-int.*dec265"):
                open_video(path, lenient=lenient)


def test_a_stream_says_what_it_needs_where_its_side_information_may_be_gone(tmp_path: Path) -> None:
    plain = inter()
    for stream, words in ((streams.carrying(plain), None), (streams.announcing(streams.carrying(plain)), streams.JOINT_INTRA)):
        with pytest.raises(InLoopError) as caught:
            decode(stream)
        assert (caught.value.announcement and caught.value.announcement.identity) == words
    stripped = streams.announcing(plain)
    with pytest.raises(CodecError, match=r"picture 0: the stream says that it needs the filter .* but carries no side information"):
        decode(stripped)
    pictures, findings = decode(stripped, lenient=True)
    assert (len(pictures), len(findings.faults)) == (8, 1)
    with pytest.raises(VideoError, match=r"a\.hevc: picture 0: the stream says that it needs the filter"):
        list(open_video(streams.write(tmp_path / "a.hevc", stripped)))


def test_pictures_outside_the_output_are_none(tmp_path: Path) -> None:
    path = streams.write(tmp_path / "a.hevc", inter())
    with open_video(path, frames=3) as video:
        assert media.equal(list(video), list(open_video(path))[:3])
        assert video.account.faults == []
