"""Pictures that are lost from containers and streams of other codecs than HEVC: FFmpeg shows the rest without a word."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from codec_bridge.bitstream.avc import FrameNumbers
from codec_bridge.video.clock import Clock
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import VideoError
from tests.support import media, streams

AVC = {
    "plain": "bframes=0",
    "B pictures that are references": "bframes=3:b-pyramid=normal:b-adapt=0:direct=temporal:ref=4",
    "weights and no CABAC": "bframes=2:b-adapt=0:weightp=2:weightb=1:cabac=0",
    "slices": "slices=3:bframes=1:aud=1",
    "an IDR picture in between": "keyint=5:min-keyint=5:bframes=0:scenecut=0",
    "intra refresh": "intra-refresh=1:bframes=0:keyint=8",
    "MBAFF": "interlaced=1:bframes=1",
}


def packets(path: Path) -> list[av.Packet]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def references(path: Path) -> list[int]:
    """Numbers of the packets that others refer to, by nal_ref_idc, without the first and the last one; nor what is last before an IDR
    picture, which nobody misses."""
    found: list[int] = []
    for number, packet in enumerate(packets(path)):
        data, at = bytes(packet), 0
        while at < len(data):
            size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4]
            if kind & 31 in (1, 5):
                found = [before for before in found if before != number - 1 or kind & 31 != 5]
                found += [number] if kind & 0x60 else []
                break
            at += 4 + size
    return found[1:-1]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "h264"])
@pytest.mark.parametrize("parameters", AVC.values(), ids=list(AVC))
def test_whole_h264_has_no_gap(parameters: str, suffix: str, tmp_path: Path) -> None:
    path = streams.contained(tmp_path / f"a.{suffix}", 24, parameters, "libx264")
    video = open_video(path, lenient=True)
    assert len(list(video)) == 24
    assert video.account.faults == []


@pytest.mark.parametrize("parameters", AVC.values(), ids=list(AVC))
def test_lost_reference_pictures_of_h264_are_noticed(parameters: str, tmp_path: Path) -> None:
    whole = streams.contained(tmp_path / "a.mkv", 16, parameters, "libx264")
    lost = references(whole)
    assert len(lost) >= 3
    for suffix in ("mkv", "h264"):
        for number in lost[:4]:
            path = streams.remuxed(whole, tmp_path / f"b.{suffix}", lambda at, number=number: at != number)
            with pytest.raises(VideoError, match=r"reference pictures before it are lost: frame_num goes from|is interlaced"):
                list(open_video(path))
            video = open_video(path, lenient=True)
            assert len(list(video)) >= 10
            assert any("frame_num goes from" in fault for fault in video.account.faults)


def test_frame_numbers_of_a_stream_alone(tmp_path: Path) -> None:
    path = streams.contained(tmp_path / "a.mkv", 12, "bframes=0", "libx264")
    with av.open(str(path)) as container:
        record = container.streams.video[0].codec_context.extradata
    data = [bytes(packet) for packet in packets(path)]

    def gaps(chosen: list[bytes]) -> list[str]:
        numbers = FrameNumbers(record or b"")
        return [numbers.gap(one) for one in chosen]

    assert gaps(data) == [""] * 12
    assert [bool(gap) for gap in gaps(data[:3] + data[5:])] == [False] * 3 + [True] + [False] * 6
    assert "from 2 to 5" in gaps(data[:3] + data[5:])[3]
    # Neither what cannot be read nor what is cut off is a gap.
    assert FrameNumbers().gap(data[0]) == ""
    for cut in range(0, len(record or b""), 3):
        numbers = FrameNumbers((record or b"")[:cut])
        assert all("\n" not in numbers.gap(one) for one in data[:4])
    assert gaps([data[0], *(one[: 4 + at] for at, one in enumerate(data[1:4]))])[0] == ""


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "libvpx", "libvpx-vp9", "ffv1"])
def test_a_hole_in_the_times_of_pictures_is_said(codec: str, tmp_path: Path) -> None:
    whole = media.write_container(tmp_path / "a.mkv", media.pictures(8, 96, 64), codec)
    video = open_video(whole)
    assert len(list(video)) == 8
    assert not any("missing" in note for note in video.account.notes)
    video = open_video(streams.remuxed(whole, tmp_path / "b.mkv", lambda number: number not in (4, 5)))
    assert len(list(video)) == 6
    assert [note for note in video.account.notes if "missing" in note] == [
        "pictures may be missing (2): they are 0.040 s apart but for 1 hole, from 0.120 to 0.240 s"
    ]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([0, 40, 80, 120], []),
        ([0, 40, 42, 44, 46], ["not evenly"]),
        ([0, 40, 81, 123, 166, 210, 255], ["not evenly"]),
        ([0, 0, 40, 120], ["not evenly"]),
        ([0, 40, 80, 100, 140], ["not evenly"]),
        (
            [0, 40, 120, 160, 200, 320, 360],
            ["not evenly", "pictures may be missing (3): they are 0.040 s apart but for 2 holes, the first from 0.040"],
        ),
    ],
)
def test_what_is_said_of_times(times: list[int], said: list[str]) -> None:
    clock = Clock()
    for time in times:
        clock.see(Fraction(time, 1000))
    notes = clock.notes()
    assert len(notes) == len(said)
    assert all(word in note for word, note in zip(said, notes, strict=True))


def test_a_video_that_begins_within_is_refused(tmp_path: Path) -> None:
    whole = media.write_container(tmp_path / "a.mkv", media.pictures(8, 96, 64), "mpeg4")
    path = streams.remuxed(whole, tmp_path / "b.mkv", lambda number: number > 2)
    with pytest.raises(VideoError, match=r"b\.mkv after picture 0: the video begins with pictures that refer to others"):
        list(open_video(path))
    video = open_video(path, lenient=True)
    assert len(list(video)) == 5
    assert len(video.account.faults) == 1
