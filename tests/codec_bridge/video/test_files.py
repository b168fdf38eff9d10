"""Planar yuv and Y4M, read and written."""

from fractions import Fraction
from pathlib import Path

import pytest

from codec_bridge.video.files import write_y4m, write_yuv
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture, VideoError
from tests.support import media

FORMATS = [("420", 8), ("420", 9), ("420", 10), ("422", 8), ("422", 10), ("444", 8), ("444", 10), ("400", 8), ("400", 10)]


@pytest.mark.parametrize(("chroma_format", "bit_depth"), FORMATS)
def test_yuv_and_y4m_keep_every_sample(tmp_path: Path, chroma_format: str, bit_depth: int) -> None:
    clip = media.pictures(3, 34, 18, bit_depth, chroma_format)
    assert write_yuv(tmp_path / "a.yuv", iter(clip)) == 3
    assert write_y4m(tmp_path / "a.y4m", iter(clip), Fraction(30000, 1001)) == 3
    raw = open_video(tmp_path / "a.yuv", (34, 18), clip[0].pixel_format, 50)
    y4m = open_video(tmp_path / "a.y4m")
    for video, rate in ((raw, Fraction(50)), (y4m, Fraction(30000, 1001))):
        assert media.equal(video, clip)
        assert media.equal(video, clip), "a second pass starts over"
        assert (video.width, video.height, video.bit_depth, video.chroma_format) == (34, 18, bit_depth, chroma_format)
        assert (video.rate, video.pictures, video.name) == (rate, 3, "a")


def test_frames_limits_and_context_manager_closes(tmp_path: Path) -> None:
    clip = media.pictures(3, 16, 16)
    write_yuv(tmp_path / "a.yuv", clip)
    with open_video(tmp_path / "a.yuv", (16, 16), "yuv420p", frames=2) as video:
        assert media.equal(video, clip[:2])
        assert video.pictures == 2
        iterator = iter(video)
        next(iterator)
    assert list(iterator) == []
    with pytest.raises(VideoError, match="at least one"):
        open_video(tmp_path / "a.yuv", (16, 16), "yuv420p", frames=0)


@pytest.mark.parametrize("size", [1, 383, 385, 767, 768 + 300])
def test_truncated_yuv_names_sizes(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.yuv"
    path.write_bytes(bytes(size))
    expected = (size // 384 + 1) * 384
    with pytest.raises(VideoError, match=rf"truncated.*it has {size} bytes.* would be {expected}$"):
        open_video(path, (16, 16), "yuv420p")


def test_yuv_states_nothing_and_is_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "BasketballPass_416x240_50.yuv"
    path.write_bytes(bytes(416 * 240 * 3 // 2))
    for size, pixel_format, missing in (
        (None, None, "its size and its pixel format"),
        (None, "yuv420p", r"give its size \("),
        ((416, 240), None, "give its pixel format"),
    ):
        with pytest.raises(VideoError, match=missing):
            open_video(path, size, pixel_format)
    assert open_video(path, (416, 240), "yuv420p").rate is None


@pytest.mark.parametrize("name", ["yuv420p14le", "yuv420p10be", "nv12", "rgb24", "yuv411p", "yuva420p", "gray14le", "yuv420p8", ""])
def test_unsupported_pixel_format_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yuv").write_bytes(bytes(384))
    with pytest.raises(VideoError, match=rf"pixel format {name} is not supported"):
        open_video(tmp_path / "a.yuv", (16, 16), name)


@pytest.mark.parametrize(("size", "pixel_format"), [((15, 16), "yuv420p"), ((16, 15), "yuv420p"), ((15, 16), "yuv422p")])
def test_odd_sizes_are_refused(tmp_path: Path, size: tuple[int, int], pixel_format: str) -> None:
    (tmp_path / "a.yuv").write_bytes(bytes(1000))
    with pytest.raises(VideoError, match=rf"{size[0]}x{size[1]}.*odd"):
        open_video(tmp_path / "a.yuv", size, pixel_format)


def test_odd_sizes_that_chroma_divides_are_read(tmp_path: Path) -> None:
    for chroma_format, size in (("400", (15, 7)), ("444", (15, 7)), ("422", (16, 7))):
        clip = media.pictures(2, *size, 8, chroma_format)
        write_yuv(tmp_path / "a.yuv", clip)
        assert media.equal(open_video(tmp_path / "a.yuv", size, clip[0].pixel_format), clip)


def test_samples_beyond_the_bit_depth_are_refused(tmp_path: Path) -> None:
    samples = media.pictures(1, 16, 16, 10)[0]
    path = tmp_path / "a.yuv"
    path.write_bytes(b"".join(plane.astype(">u2").tobytes() for plane in samples.planes))
    with pytest.raises(VideoError, match=r"picture 0: sample \d+ does not fit 10 bits"):
        list(open_video(path, (16, 16), "yuv420p10le"))


def test_missing_file_folder_empty_file_and_useless_options(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"no video file .*nowhere\.mkv"):
        open_video(tmp_path / "nowhere.mkv")
    with pytest.raises(VideoError, match="is a folder"):
        open_video(tmp_path)
    for name in ("empty.yuv", "empty.y4m", "empty.mkv", "empty.mp4", "empty.hevc", "empty.png"):
        (tmp_path / name).touch()
        with pytest.raises(VideoError, match=f"{name} has no pictures: the file is empty"):
            open_video(tmp_path / name)
    write_y4m(tmp_path / "a.y4m", media.pictures(1, 16, 16), None)
    with pytest.raises(VideoError, match=r"for \.yuv files only"):
        open_video(tmp_path / "a.y4m", size=(16, 16))
    with pytest.raises(VideoError, match="rate of 0"):
        open_video(tmp_path / "a.y4m", rate=0)
    assert open_video(tmp_path / "a.y4m").rate is None


@pytest.mark.parametrize(
    ("colour", "expected"),
    [(" C420jpeg", ("420", 8)), (" C420mpeg2", ("420", 8)), (" C420paldv", ("420", 8)), ("", ("420", 8)),
     (" C420p10 XYSCSS=420P10", ("420", 10)), (" Cmono", ("400", 8)), (" C422", ("422", 8)), (" C444p10", ("444", 10))],
)  # fmt: skip
def test_y4m_headers(tmp_path: Path, colour: str, expected: tuple[str, int]) -> None:
    clip = media.pictures(2, 16, 8, expected[1], expected[0])
    path = tmp_path / "a.y4m"
    body = [b"FRAME Ip XCOMMENT\n" + b"".join(plane.tobytes() for plane in picture.planes) for picture in clip]
    path.write_bytes(f"YUV4MPEG2 H8 W16 F25:1{colour}\n".encode() + b"".join(body))
    video = open_video(path)
    assert (video.chroma_format, video.bit_depth, video.rate) == (*expected, 25)
    assert media.equal(video, clip)


@pytest.mark.parametrize("left", [1, 3, 6, 7, 191, 192 + 5, 192 + 6 + 100])
def test_truncated_y4m_names_the_byte(tmp_path: Path, left: int) -> None:
    path = tmp_path / "a.y4m"
    write_y4m(path, media.pictures(2, 16, 8), 25)
    data = path.read_bytes()
    start = data.index(b"FRAME")
    path.write_bytes(data[: start + left])
    count, rest = divmod(left, 198)
    if rest:
        ends = start + (count + 1) * 198
        with pytest.raises(VideoError, match=f"picture {count} ends at byte {ends}, the file has {start + left} bytes"):
            open_video(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"YUV4MPEG2 W16 F25:1\nFRAME\n", "no valid width, height or rate"),
     (b"YUV4MPEG2 W16 Hx F25:1\n", "no valid width, height or rate"),
     (b"YUV4MPEG2 W16 H8 F25\n", "no valid width, height or rate"),
     (b"YUV4MPEG2 W1_6 H+8 F25:1\n", "no valid width, height or rate"),
     (b"YUV4MPEG2 W16 H8 F25:" + b"9" * 4000 + b"\n", "no valid width, height or rate"),
     (b"YUV4MPEG2 W0 H8 F25:1\n", "0x8"),
     (b"YUV4MPEG2 W15 H8 F25:1\n", "odd"),
     (b"YUV4MPEG2 W16 H8 F25:1 C411\n", "C411 is not supported"),
     (b"YUV4MPEG2 W16 H8 F25:1 C420p14\n", "C420p14 is not supported"),
     (b"YUV4MPEG2 W16 H8 F25:1\n", "no pictures"),
     (b"YUV4MPEG2 W16 H8 F25:1\nFRUME\n" + bytes(192), "does not begin with FRAME"),
     (b"RIFF", "not a Y4M file"),
     (b"\n", "not a Y4M file")],
)  # fmt: skip
def test_wrong_y4m(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.y4m").write_bytes(data)
    with pytest.raises(VideoError, match=message):
        open_video(tmp_path / "a.y4m")


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    unlike = media.pictures(1, 16, 16) + media.pictures(1, 16, 8)
    for pictures in ([], unlike):
        with pytest.raises(VideoError):
            write_yuv(tmp_path / "a.yuv", pictures)
        with pytest.raises(VideoError):
            write_y4m(tmp_path / "a.y4m", pictures, 25)
    assert list(tmp_path.iterdir()) == []


def test_writing_crops(tmp_path: Path) -> None:
    picture = media.pictures(1, 32, 16)[0]
    marked = Picture(picture.planes, 8, "420", (0, 0, 8, 4))
    write_yuv(tmp_path / "a.yuv", [marked])
    assert media.equal(open_video(tmp_path / "a.yuv", (24, 12), "yuv420p"), [marked.cropped()])


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("W16 H16 F25:1 W32 Cmono", "gives W twice: 16 and 32"),
        ("W16 H16 F25:1 Cmono C420", "gives C twice: mono and 420"),
        ("W16 H16 F25:1 F25:1 Cmono", "gives F twice: 25:1 and 25:1"),
        ("W16 H16 A1:1 A2:1 Cmono", "gives A twice"),
        ("W16 H16 Cmono XCOLORRANGE=FULL XCOLORRANGE=LIMITED", "gives XCOLORRANGE twice: FULL and LIMITED"),
    ],
)
def test_y4m_that_says_a_thing_twice_is_refused(header: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(f"YUV4MPEG2 {header}\nFRAME\n".encode() + bytes(256))
    with pytest.raises(VideoError, match=f"a.y4m: the Y4M header {said}"):
        open_video(path)


@pytest.mark.parametrize(
    ("field", "refused"), [("It", 1), ("Ib", 1), ("ITip", 1), ("I1i", 1), ("I1p", 0), ("I2pp", 0), ("XIt", 0), ("", 0)]
)
def test_y4m_pictures_of_two_fields_are_refused(field: str, refused: int, tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W16 H16 Ip Cmono XA=1 XA=2\nFRAME\n" + bytes(256) + f"FRAME {field}\n".encode() + bytes(256))
    if refused:
        with pytest.raises(VideoError, match=rf"a\.y4m: picture 1 is interlaced \({field}\)"):
            open_video(path)
    else:
        assert open_video(path).pictures == 2


def test_interlaced_y4m_is_refused(tmp_path: Path) -> None:
    (tmp_path / "i.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 It A1:1 C420\nFRAME\n" + bytes(16 * 16 * 3 // 2))
    with pytest.raises(VideoError, match="interlaced"):
        open_video(tmp_path / "i.y4m")
