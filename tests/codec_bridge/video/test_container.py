"""Containers, HEVC streams and picture files."""

import errno
import hashlib
import os
import re
from fractions import Fraction
from io import FileIO
from pathlib import Path

import av
import numpy as np
import pytest
from skimage import io

from codec_bridge.codecs import decoder, pyav
from codec_bridge.video import container
from codec_bridge.video.frames import frame_from_picture, picture_from_frame
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import VideoError, picture_from_rgb
from tests.support import media

FORMATS = [(form, depth) for form in ("420", "422", "444", "400") for depth in (8, 10)]


@pytest.mark.parametrize(("chroma_format", "bit_depth"), FORMATS)
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
    for data in (b"hello", bytes(10_000)):
        path.write_bytes(data)
        with pytest.raises(VideoError, match="cannot read"):
            open_video(path)
    media.write_container(path, media.pictures(2, 32, 32, 10), "libx264", pix_fmt="yuv420p10le")
    assert open_video(path).bit_depth == 10


def test_impossible_seeks_are_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg asks for places that there are not; it gets the system's error, and PyAV has nothing to print."""
    with (tmp_path / "a.h264").open("wb"), container._File(tmp_path / "a.h264") as file:
        assert file.seek(-1, os.SEEK_END) == -errno.EINVAL
        assert file.seek(3) == file.tell() == 3
    monkeypatch.setattr("codec_bridge.video.open.check_file", lambda path: None)
    with pytest.raises(VideoError, match=r"a\.h264"):
        open_video(tmp_path / "a.h264")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("good", [0, 2, 9])
def test_a_file_that_cannot_be_read_on_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    """What the system cannot read is said once, and is not taken for the file's end. good: reads that succeed."""
    path = media.write_container(tmp_path / "a.mkv", media.pictures(8, 320, 192), "libx264", qp="0")
    reads = iter([True] * good)

    class Failing(FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not next(reads, False):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size) or b""

    class Broken(container._File, Failing):
        pass

    monkeypatch.setattr(container, "_File", Broken)
    with pytest.raises(VideoError, match=r"cannot read .*a\.mkv: Input/output error"):
        list(open_video(path))
    assert capfd.readouterr() == ("", "")


def test_unsupported_container_formats_are_named(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p14le"
        output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p14le")))
        output.mux(stream.encode(None))
    with pytest.raises(VideoError, match="pixel format yuv420p14le is not supported"):
        open_video(tmp_path / "a.mkv")


@pytest.mark.parametrize("suffix", ["hevc", "mkv", "mp4"])
def test_hevc_with_and_without_cropping(tmp_path: Path, suffix: str) -> None:
    clip = media.pictures(3, 100, 60)
    coded = pyav.encode(clip, 30)
    if suffix == "hevc":
        path = tmp_path / "a.hevc"
        path.write_bytes(coded.data)
    else:
        params = pyav.x265_params(30, True)
        path = media.write_container(tmp_path / f"a.{suffix}", clip, "libx265", **{"x265-params": params})
    full, inside = open_video(path, cropping=False), open_video(path)
    assert (full.width, full.height) == (104, 64)
    assert (inside.width, inside.height) == (100, 60)
    pictures = list(full)
    assert [picture.crop for picture in pictures] == 3 * [(0, 0, 4, 4)]
    assert media.equal((picture.cropped() for picture in pictures), inside)
    # The samples outside the window are the decoder's own: the MD5 hash, which covers them, was checked by decoder.decode.
    assert media.equal(pictures, decoder.decode(coded.data))


def test_real_960x540_stream_is_544_rows_inside(tmp_path: Path) -> None:
    clip = media.pictures(1, 960, 540)
    (tmp_path / "a.hevc").write_bytes(pyav.encode(clip, 37, preset="ultrafast").data)
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
    assert media.equal(video, decoder.decode(path.read_bytes(), pictures=42))


def test_hevc_stream_rate_is_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "a.hevc").write_bytes(pyav.encode(media.pictures(1, 32, 32), 30, rate=Fraction(60)).data)
    assert open_video(tmp_path / "a.hevc").rate == 60


def test_damaged_hevc_stream_is_refused(tmp_path: Path) -> None:
    data = bytearray(pyav.encode(media.pictures(4, 100, 60), 30).data)
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
    for name, message in (("t", "transparent"), ("deep", "more than 8 bits"), ("small", "70x7"), ("cut", "cannot decode")):
        with pytest.raises(VideoError, match=message):
            open_video(tmp_path / f"{name}.png")
    with pytest.raises(VideoError, match="cannot decode") as error:
        open_video(tmp_path / "no.jpg")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparency_beside_the_pictures_is_refused(codec: str, tmp_path: Path) -> None:
    """As that within them is: VP8 and VP9 have it in packets of its own, and the container says so."""
    with av.open(str(tmp_path / "a.webm"), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["alpha_mode"] = "1"
        frame = av.VideoFrame(64, 48, "yuv420p")
        frame.pts = 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    for lenient in (False, True):
        with pytest.raises(VideoError, match=r"a\.webm has an alpha plane \(transparency\)"):
            open_video(tmp_path / "a.webm", lenient=lenient)
