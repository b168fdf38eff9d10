"""Containers in which the first thing found is not the thing meant: pictures are counted as FFmpeg's decoders give them."""

import re
from pathlib import Path

import pytest

from codec_bridge.bitstream import nal
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.cropped import states_cropping
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import VideoError
from tests.support import media, streams

EOS, EOB = b"\0\0\1\x48\x01", b"\0\0\1\x4a\x01"


def read(path: Path, count: int) -> list[str]:
    """Check that a video has so many pictures of 64x48, as FFmpeg counts them; returns what else was said."""
    video = open_video(path)
    pictures = list(video)
    assert len(pictures) == count == streams.counted_by_ffmpeg(path)
    assert video.pictures in (None, count)
    assert {(picture.width, picture.height) for picture in pictures} == {(64, 48)}
    return [*video.metadata.further, *video.account.notes]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts", "nut", "flv"])
@pytest.mark.parametrize("codec", ["libx265", "libx264"])
def test_ordinary_containers(tmp_path: Path, suffix: str, codec: str) -> None:
    parameters = streams.INTER + ":hash=1:repeat-headers=1" if codec == "libx265" else ""
    assert read(streams.contained(tmp_path / f"a.{suffix}", 10, parameters, codec), 10) == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cover_is_never_the_video(tmp_path: Path, suffix: str) -> None:
    plain = streams.contained(tmp_path / "a.mkv")
    (said,) = read(streams.remuxed(plain, tmp_path / f"b.{suffix}", cover=True), 10)
    assert said in ("1 attached picture", "1 further video stream")  # Matroska keeps pictures as attachments only


def test_a_cover_alone_is_no_video(tmp_path: Path) -> None:
    plain = streams.contained(tmp_path / "a.mkv")
    path = streams.remuxed(plain, tmp_path / "b.mp4", cover=True, keep=lambda number: False)
    with pytest.raises(VideoError, match=re.escape(str(path))):
        list(open_video(path))


@pytest.mark.parametrize("suffix", ["mkv", "nut"])  # in MP4 the first alone is a default stream
def test_the_largest_of_several_default_streams_is_meant(tmp_path: Path, suffix: str) -> None:
    plain = streams.contained(tmp_path / "a.mkv")
    assert read(streams.remuxed(plain, tmp_path / f"b.{suffix}", further=True), 10) == ["1 further video stream"]


def test_an_edit_list_counts(tmp_path: Path) -> None:
    path = streams.contained(tmp_path / "a.mp4", 30, "qp=32:keyint=10:hash=1")
    data = bytearray(path.read_bytes())
    start = data.index(b"elst") + 16
    ticks = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    data[start : start + 4] = (int.from_bytes(data[start : start + 4], "big") + 8 * ticks // 25).to_bytes(4, "big")
    assert read(streams.write(tmp_path / "b.mp4", bytes(data)), 22) == []
    (sequence,) = resolve(tmp_path / "b.mp4")
    assert sequence.frames is None
    with sequence.open(25) as video:
        assert len(list(video)) == 22


def test_a_decoder_configuration_record_may_be_empty(tmp_path: Path) -> None:
    """As in hev1 tracks, where the parameter sets stand in the stream."""
    stream = streams.write(tmp_path / "a.hevc", streams.hevc(streams.INTRA + ":hash=1", 6))
    path = streams.remuxed(stream, tmp_path / "a.mp4", time=lambda number: 40 * number)
    data = bytearray(path.read_bytes())
    count = data.index(b"hvcC") + 4 + 22
    assert data[count]
    data[count] = 0
    read(streams.write(tmp_path / "b.mp4", bytes(data)), 6)


def test_headers_of_an_avi_file_may_count_pictures_that_are_repeated(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in streams.frames(6, 64, 48):
            frame.pts = 3 * (frame.pts or 0)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 6
    read(path, 6)


def test_ends_of_sequences_in_streams_and_containers(tmp_path: Path) -> None:
    plain = streams.hevc(streams.INTER + ":hash=1", 6)
    for number, data in enumerate((plain + EOS + EOB, plain + EOB, plain + EOS + plain)):
        stream = streams.write(tmp_path / f"{number}.hevc", data)
        read(stream, 12 if number == 2 else 6)
        intra = streams.write(tmp_path / f"{number}i.hevc", streams.hevc(count=6) + EOS + EOB)
        read(streams.remuxed(intra, tmp_path / f"{number}.mkv", time=lambda number: 40 * number), 6)


def test_a_container_that_begins_with_leading_pictures(tmp_path: Path) -> None:
    parameters = "qp=32:hash=1:keyint=8:min-keyint=8:open-gop=1:bframes=3:b-adapt=0:scenecut=0"
    path = streams.contained(tmp_path / "a.mkv", 24, parameters)
    import av

    with av.open(str(path)) as container:
        keys = [number for number, packet in enumerate(container.demux(container.streams.video[0])) if packet.is_keyframe]
    cut = streams.remuxed(path, tmp_path / "b.mkv", keep=lambda number: number >= keys[1])
    (said,) = read(cut, streams.counted_by_ffmpeg(cut))
    assert "leading pictures refer to what is before the stream's beginning" in said


def test_several_pictures_in_a_packet_and_several_packets_of_a_picture(tmp_path: Path) -> None:
    """Matroska's blocks need not be access units."""
    data = streams.hevc(streams.INTRA + ":hash=1", 4)
    whole = streams.write(tmp_path / "a.hevc", data)
    path = streams.remuxed(whole, tmp_path / "a.mkv", time=lambda number: 40 * number)
    assert media.equal(open_video(path), open_video(whole))
    doubled = nal.split(data)
    import av

    with av.open(str(whole)) as given, av.open(str(tmp_path / "b.mkv"), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        units = nal.access_units(doubled)
        for number in range(0, 4, 2):
            packet = av.Packet(streams.join([*units[number], *units[number + 1]]))
            packet.stream = stream
            packet.pts = packet.dts = 80 * number
            output.mux(packet)
    assert media.equal(open_video(tmp_path / "b.mkv"), open_video(whole))


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_times_that_one_rate_does_not_tell_are_said(tmp_path: Path, suffix: str) -> None:
    plain = streams.write(tmp_path / "a.hevc", streams.hevc(count=6))
    even = streams.remuxed(plain, tmp_path / f"b.{suffix}", time=lambda number: [0, 33, 67, 100, 133, 167][number])
    assert read(even, 6) == []
    uneven = streams.remuxed(plain, tmp_path / f"c.{suffix}", time=lambda number: [0, 40, 80, 200, 240, 280][number])
    assert "not evenly timed (0.040 to 0.120 s apart)" in read(uneven, 6)[0]


def test_rotation_is_known(tmp_path: Path) -> None:
    plain = streams.write(tmp_path / "a.hevc", streams.hevc(count=2))
    path = streams.remuxed(plain, tmp_path / "b.mp4", time=lambda number: 40 * number, rotation=90)
    assert open_video(path).metadata.rotation == 90


def test_interlaced_frames_are_refused_or_said(tmp_path: Path) -> None:
    path = streams.contained(tmp_path / "a.mkv", 3, "tff=1", "libx264")
    with pytest.raises(VideoError, match="picture 0 is interlaced"):
        list(open_video(path))
    video = open_video(path, lenient=True)
    assert len(list(video)) == 3
    assert "that its pictures are interlaced" in video.metadata.lost(".y4m", "420", 8)
    fields = streams.write(tmp_path / "a.hevc", streams.hevc("qp=32:interlace=tff:hash=1", 4))
    assert "that its pictures are single fields" in open_video(fields).metadata.lost(".y4m", "420", 8)


NAMES = ("concat:a.hevc", "subfile,,start,0,end,9,,:a.hevc", "http:x.hevc", "-", "pipe:0.mkv", "%03d.hevc", "a?b.hevc", "file:a.hevc")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    streams.write(Path("a.hevc"), streams.hevc(count=2))
    streams.write(Path(name), streams.hevc(count=3))
    assert len(list(open_video(name))) == 3


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile.hevc\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile file.hevc\n",
        '<?xml version="1.0"?>\n<MPD></MPD>\n',
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "[playlist]\nFile1=file.hevc\n",
    ],
)
def test_a_playlist_under_a_video_s_name_is_refused(tmp_path: Path, text: str) -> None:
    streams.write(tmp_path / "file.hevc", streams.hevc(count=1))
    for suffix in ("mkv", "mp4", "hevc"):
        path = streams.write(tmp_path / f"a.{suffix}", text.encode())
        with pytest.raises(VideoError, match=rf"a\.{suffix} is a playlist"):
            open_video(path)


@pytest.mark.parametrize(("suffix", "flags"), [("mkv", ""), ("mp4", "faststart"), ("mp4", "frag_keyframe"), ("avi", "")])
def test_a_container_that_is_cut_off_between_packets(tmp_path: Path, suffix: str, flags: str) -> None:
    options = {"movflags": flags} if flags else {}
    path = streams.contained(tmp_path / f"a.{suffix}", 10, "keyint=1", "libx264", **options)
    assert len(list(open_video(path))) == 10
    data = path.read_bytes()
    for end in range(len(data) // 2, len(data) - 1, len(data) // 11):
        path.write_bytes(data[:end])
        with pytest.raises(VideoError, match=re.escape(str(path))):
            list(open_video(path))


def test_what_is_no_ordinary_file_is_said(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.mkv")
    (tmp_path / "loop.mkv").symlink_to(tmp_path / "loop.mkv")
    for name, message in (("pipe.mkv", "is a pipe"), ("loop.mkv", "symbolic links"), ("none.mkv", "there is no video file")):
        with pytest.raises(VideoError, match=message):
            open_video(tmp_path / name)
    with pytest.raises(VideoError, match="is a device"):
        open_video("/dev/null")


def box(name: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return (8 + len(data)).to_bytes(4, "big") + name + data


def element(name: str, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return bytes.fromhex(name) + (1 << 28 | len(data)).to_bytes(4, "big") + data


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((64, 1, 48, 1, 0, 1, 0, 1), False),
        ((128, 2, 96, 2, 0, 1, 0, 1), False),
        ((32, 1, 48, 1, 0, 1, 0, 1), True),
        ((64, 1, 48, 1, 1, 2, 0, 1), True),
    ],
)
def test_a_clean_aperture_is_known(numbers: tuple[int, ...], said: bool, after: bool, tmp_path: Path) -> None:
    clap = box(b"clap", *(number.to_bytes(4, "big") for number in numbers))
    fields = bytes(24) + (64).to_bytes(2, "big") + (48).to_bytes(2, "big") + bytes(50)
    moov = bytes(8) + box(b"hvc1", fields, box(b"hvcC", bytes(9)), clap)
    for name in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        moov = box(name, moov)
    parts = [moov, box(b"mdat", bytes(100))]
    path = streams.write(tmp_path / "a.mp4", box(b"ftyp", b"isom") + b"".join(reversed(parts) if after else parts))
    assert states_cropping(path) is said
    for cut in range(0, path.stat().st_size, 7):
        states_cropping(streams.write(tmp_path / "b.mp4", path.read_bytes()[:cut]))


@pytest.mark.parametrize("which", ["54aa", "54bb", "54cc", "54dd"])
def test_a_pixel_crop_is_known(which: str, tmp_path: Path) -> None:
    for value in (0, 8):
        video = element("e0", element("b0", b"\x40"), element(which, bytes([0, value])))
        tracks = element("1654ae6b", element("ae", element("d7", b"\1")), element("ae", element("d7", b"\2"), video))
        data = element("1a45dfa3", element("4282", b"webm")) + element(
            "18538067", element("ec", bytes(9)), tracks, element("1f43b675", bytes(9))
        )
        path = streams.write(tmp_path / "a.mkv", data)
        assert states_cropping(path) is (value > 0)
        for cut in range(0, len(data), 5):
            states_cropping(streams.write(tmp_path / "b.mkv", data[:cut]))


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_ordinary_containers_crop_nothing(suffix: str, tmp_path: Path) -> None:
    path = streams.remuxed(streams.contained(tmp_path / "a.mkv", 2), tmp_path / f"b.{suffix}")
    assert open_video(path).metadata.lost(".y4m", "420", 8) == []
