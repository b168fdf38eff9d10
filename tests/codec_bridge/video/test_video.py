"""Reading and writing video."""

import hashlib
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from skimage import io

from codec_bridge.codecs import pyav as x265
from codec_bridge.video.video import (
    Picture,
    VideoError,
    frame_from_picture,
    open_video,
    parse_pixel_format,
    picture_from_frame,
    picture_from_rgb,
    write_y4m,
    write_yuv,
)
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


@pytest.mark.parametrize("name", ["yuv420p12le", "yuv420p10be", "nv12", "rgb24", "yuv411p", "yuva420p", "gray12le", "yuv420p8", ""])
def test_unsupported_pixel_format_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yuv").write_bytes(bytes(384))
    with pytest.raises(VideoError, match=rf"pixel format {name} is not supported"):
        open_video(tmp_path / "a.yuv", (16, 16), name)


def test_full_range_formats_are_read_as_they_are() -> None:
    assert parse_pixel_format("yuvj420p") == ("420", 8)
    assert parse_pixel_format("gray10le") == ("400", 10)


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
    (tmp_path / "empty.yuv").touch()
    with pytest.raises(VideoError, match=r"no video file .*nowhere\.mkv"):
        open_video(tmp_path / "nowhere.mkv")
    with pytest.raises(VideoError, match="is a folder"):
        open_video(tmp_path)
    with pytest.raises(VideoError, match="no pictures"):
        open_video(tmp_path / "empty.yuv", (16, 16), "yuv420p")
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
     (b"YUV4MPEG2 W16 H8 F25:1 C420p12\n", "C420p12 is not supported"),
     (b"YUV4MPEG2 W16 H8 F25:1\n", "no pictures"),
     (b"YUV4MPEG2 W16 H8 F25:1\nFRUME\n" + bytes(192), "does not begin with FRAME"),
     (b"RIFF", "not a Y4M file"),
     (b"", "not a Y4M file")],
)  # fmt: skip
def test_wrong_y4m(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.y4m").write_bytes(data)
    with pytest.raises(VideoError, match=message):
        open_video(tmp_path / "a.y4m")


@pytest.mark.parametrize(("chroma_format", "bit_depth"), [f for f in FORMATS if f != ("422", 9) and f != ("420", 9)])
def test_containers_keep_every_sample(tmp_path: Path, chroma_format: str, bit_depth: int) -> None:
    clip = media.pictures(3, 98, 50, bit_depth, chroma_format)  # narrower than FFmpeg's line sizes
    video = open_video(media.write_container(tmp_path / "a.mkv", clip))
    assert (video.width, video.height, video.bit_depth, video.chroma_format) == (98, 50, bit_depth, chroma_format)
    assert video.rate == 25
    assert media.equal(video, clip)


def test_frames_and_pictures_are_inverse() -> None:
    for picture in media.pictures(1, 100, 60) + media.pictures(1, 33, 5, 10, "444"):
        assert media.equal([picture_from_frame(frame_from_picture(picture))], [picture])


@pytest.mark.parametrize(("suffix", "options"), [("mkv", {}), ("mp4", {"movflags": "faststart"}), ("avi", {})])
def test_truncated_container(tmp_path: Path, suffix: str, options: dict[str, str]) -> None:
    clip = media.pictures(8, 96, 64)
    path = media.write_container(tmp_path / f"a.{suffix}", clip, "libx264", qp="0", bf="0", **options)
    assert media.equal(open_video(path), clip)
    data = path.read_bytes()
    for part in (0.97, 0.9, 0.5, 0.2, 0.05, 0.01):
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(VideoError, match=re.escape(str(path))):
            list(open_video(path))


def test_containers_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    for data in (b"", b"hello", bytes(10_000)):
        path.write_bytes(data)
        with pytest.raises(VideoError, match="cannot read"):
            open_video(path)
    media.write_container(path, media.pictures(2, 32, 32, 10), "libx264", pix_fmt="yuv420p10le")
    assert open_video(path).bit_depth == 10


def test_unsupported_container_formats_are_named(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p12le"
        output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p12le")))
        output.mux(stream.encode(None))
    with pytest.raises(VideoError, match="pixel format yuv420p12le is not supported"):
        open_video(tmp_path / "a.mkv")


@pytest.mark.parametrize("suffix", ["hevc", "mkv", "mp4"])
def test_hevc_with_and_without_cropping(tmp_path: Path, suffix: str) -> None:
    clip = media.pictures(3, 100, 60)
    coded = x265.encode(clip, 30)
    if suffix == "hevc":
        path = tmp_path / "a.hevc"
        path.write_bytes(coded.data)
    else:
        params = x265.x265_params(30, True)
        path = media.write_container(tmp_path / f"a.{suffix}", clip, "libx265", **{"x265-params": params})
    full, inside = open_video(path, cropping=False), open_video(path)
    assert (full.width, full.height) == (104, 64)
    assert (inside.width, inside.height) == (100, 60)
    pictures = list(full)
    assert [picture.crop for picture in pictures] == 3 * [(0, 0, 4, 4)]
    assert media.equal((picture.cropped() for picture in pictures), inside)
    # The samples outside the window are the decoder's own: the MD5 hash, which covers them, was checked by x265.decode.
    assert media.equal(pictures, x265.decode(coded.data))


def test_real_960x540_stream_is_544_rows_inside(tmp_path: Path) -> None:
    clip = media.pictures(1, 960, 540)
    (tmp_path / "a.hevc").write_bytes(x265.encode(clip, 37, preset="ultrafast").data)
    (picture,) = open_video(tmp_path / "a.hevc", cropping=False)
    assert (picture.width, picture.height, picture.crop) == (960, 544, (0, 0, 0, 4))
    (inside,) = open_video(tmp_path / "a.hevc")
    assert media.equal([picture.cropped()], [inside])


SHARED = Path(__file__).parents[4] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")


@needs_shared
@pytest.mark.parametrize(
    ("name", "md5"),
    [
        ("BasketballPass_416x240_50", "fa5aedd8c05f9b15e44f2029657804dc"),
        ("RaceHorsesC_832x480_30", "523564cc727178e5f57452b30667a240"),
        ("aspen_960x540_30", "f81c179bd7e7067f05211796a1f6c639"),
        ("foreman_352x288_30", "e9196f8bb1a25503d000c5d8e92fdb4e"),
    ],
)
def test_real_clips_have_their_published_md5(name: str, md5: str) -> None:
    digest = hashlib.md5()
    for picture in open_video(SHARED / "test" / f"{name}.mkv"):
        for plane in picture.planes:
            digest.update(plane.tobytes())
    assert digest.hexdigest() == md5


@needs_shared
def test_real_hm_stream() -> None:
    path = SHARED / "train" / "train_496x496.hm18-ai-nofilters-q37.hevc"
    video = open_video(path, cropping=False)
    assert (video.width, video.height, video.rate) == (496, 496, None)
    assert media.equal(video, x265.decode(path.read_bytes(), pictures=42))


def test_hevc_stream_rate_is_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "a.hevc").write_bytes(x265.encode(media.pictures(1, 32, 32), 30, rate=Fraction(60)).data)
    assert open_video(tmp_path / "a.hevc").rate == 60


def test_damaged_hevc_stream_is_refused(tmp_path: Path) -> None:
    data = bytearray(x265.encode(media.pictures(4, 100, 60), 30).data)
    path = tmp_path / "a.hevc"
    for position in (len(data) // 3, len(data) // 2, len(data) - 20):
        data[position] ^= 1
        path.write_bytes(data)
        with pytest.raises(VideoError, match="cannot decode"):
            list(open_video(path))
        data[position] ^= 1
    for cut in (10, 100, 300):
        path.write_bytes(data[: len(data) - cut])
        with pytest.raises(VideoError, match="cannot decode"):
            list(open_video(path))


def test_picture_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    colour = generator.integers(0, 256, (43, 70, 3), dtype=np.uint8)
    opaque = np.dstack([colour, np.full((43, 70), 255, np.uint8)])
    for name, array in (("c.png", colour), ("c.bmp", colour), ("c.tif", colour), ("o.png", opaque)):
        io.imsave(tmp_path / name, array, check_contrast=False)
        video = open_video(tmp_path / name)
        assert (video.width, video.height, video.chroma_format, video.pictures, video.rate) == (64, 40, "420", 1, None)
        assert media.equal(video, [picture_from_rgb(colour)])
    io.imsave(tmp_path / "g.png", colour[:, :, 0], check_contrast=False)
    assert media.equal(open_video(tmp_path / "g.png"), [picture_from_rgb(colour[:, :, 0])])

    io.imsave(tmp_path / "t.png", opaque - np.array([0, 0, 0, 9], np.uint8), check_contrast=False)
    io.imsave(tmp_path / "deep.png", colour[:, :, 0].astype(np.uint16) * 257, check_contrast=False)
    io.imsave(tmp_path / "small.png", colour[:7], check_contrast=False)
    (tmp_path / "cut.png").write_bytes((tmp_path / "c.png").read_bytes()[:-900])
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    for name, message in (("t", "transparent"), ("deep", "uint16"), ("small", "70x7"), ("cut", "cannot decode")):
        with pytest.raises(VideoError, match=message):
            open_video(tmp_path / f"{name}.png")
    with pytest.raises(VideoError, match="cannot decode") as error:
        open_video(tmp_path / "no.jpg")
    assert "\n" not in str(error.value)


def test_bt601_conversion_against_the_real_valued_formula() -> None:
    generator = np.random.default_rng(7)
    array = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    r, g, b = (array[:, :, k] / 255 for k in range(3))
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 - 37.797 * r - 74.203 * g + 112.0 * b
    v = 128 + 112.0 * r - 93.786 * g - 18.214 * b
    picture = picture_from_rgb(array)
    assert np.abs(picture.planes[0] - y).max() <= 0.5 + 1e-9
    for plane, exact in zip(picture.planes[1:], (u, v), strict=True):
        assert np.abs(plane - exact.reshape(12, 2, 16, 2).mean(axis=(1, 3))).max() <= 0.5 + 1e-9
    for value, luma in ((0, 16), (255, 235)):
        gray = picture_from_rgb(np.full((8, 8, 3), value, np.uint8))
        assert [int(plane[0, 0]) for plane in gray.planes] == [luma, 128, 128]
        assert picture_from_rgb(np.full((8, 8), value, np.uint8)).planes[0][0, 0] == luma


def test_picture_refuses_what_does_not_fit() -> None:
    good = media.pictures(1, 16, 8)[0]
    y, u, v = good.planes
    for planes, bit_depth, chroma_format, crop in (
        ((y, u), 8, "420", (0, 0, 0, 0)),
        ((y, u, v), 8, "444", (0, 0, 0, 0)),
        ((y, u, v), 8, "411", (0, 0, 0, 0)),
        ((y, u, v), 10, "420", (0, 0, 0, 0)),
        ((y, u, v), 12, "420", (0, 0, 0, 0)),
        ((y[:, ::2], u[:, ::2], v[:, ::2]), 8, "420", (0, 0, 0, 0)),
        ((y, u, v), 8, "420", (1, 0, 0, 0)),
        ((y, u, v), 8, "420", (0, 0, 0, 8)),
        ((y, u, v), 8, "420", (0, -2, 0, 0)),
        ((), 8, "400", (0, 0, 0, 0)),
    ):
        with pytest.raises((VideoError, IndexError)):
            Picture(planes, bit_depth, chroma_format, crop)
    with pytest.raises(VideoError):
        good.with_luma(y[:4])
    changed = good.with_luma(y + 1)
    assert np.array_equal(changed.planes[0], y + 1)
    assert changed.planes[1] is u


def test_cropping() -> None:
    picture = media.pictures(1, 32, 16)[0]
    inside = Picture(picture.planes, 8, "420", (2, 4, 6, 8)).cropped()
    assert np.array_equal(inside.planes[0], picture.planes[0][4:8, 2:26])
    assert np.array_equal(inside.planes[2], picture.planes[2][2:4, 1:13])
    assert (inside.width, inside.height, inside.crop) == (24, 4, (0, 0, 0, 0))
    assert picture.cropped() is picture


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


def test_interlaced_y4m_is_refused(tmp_path: Path) -> None:
    (tmp_path / "i.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 It A1:1 C420\nFRAME\n" + bytes(16 * 16 * 3 // 2))
    with pytest.raises(VideoError, match="interlaced"):
        open_video(tmp_path / "i.y4m")
