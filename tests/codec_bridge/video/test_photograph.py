"""Picture files are converted rightly, or refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from codec_bridge.video.open import open_video
from codec_bridge.video.picture import VideoError, picture_from_rgb
from tests.support import media

COLOUR = np.random.default_rng(5).integers(0, 256, (16, 24, 3), dtype=np.uint8)
CMYK = np.zeros((16, 16, 4), np.uint8)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_refused(tmp_path: Path, name: str) -> None:
    Image.fromarray(CMYK, "CMYK").save(tmp_path / name)
    with pytest.raises(VideoError, match=rf"{name} is a CMYK picture; convert it to RGB first"):
        open_video(tmp_path / name)


@pytest.mark.parametrize("mode", ["LAB", "YCbCr"])
def test_other_colour_spaces_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (16, 16)).save(tmp_path / "a.tif")
    with pytest.raises(VideoError, match=f"is a {mode} picture"):
        open_video(tmp_path / "a.tif")


def test_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    deep = np.arange(16 * 16, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(deep).save(tmp_path / "gray.png")
    Image.fromarray(deep.astype(np.float32)).save(tmp_path / "float.tif")
    (tmp_path / "rgb.png").write_bytes(png_of_16_bits(np.dstack([deep] * 3)))
    for name in ("gray.png", "float.tif", "rgb.png"):
        with pytest.raises(VideoError, match=f"{name} has more than 8 bits a sample"):
            open_video(tmp_path / name)


def png_of_16_bits(samples: np.ndarray[tuple[int, int, int], np.dtype[np.uint16]]) -> bytes:
    """Pillow reads such files, and writes none."""
    import struct
    import zlib

    height, width, _ = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def test_palettes_and_bits_are_converted(tmp_path: Path) -> None:
    few = (COLOUR // 64 * 64).astype(np.uint8)
    palette = Image.fromarray(few).quantize(256)
    palette.save(tmp_path / "p.png")
    assert media.equal(open_video(tmp_path / "p.png"), [picture_from_rgb(np.array(palette.convert("RGB")))])
    bits = Image.fromarray(COLOUR[:, :, 0] > 128)
    bits.save(tmp_path / "b.png")
    assert media.equal(open_video(tmp_path / "b.png"), [picture_from_rgb((COLOUR[:, :, 0] > 128).astype(np.uint8) * 255)])


def test_turns_of_cameras_are_followed(tmp_path: Path) -> None:
    for turn, array in ((3, COLOUR[::-1, ::-1]), (6, np.rot90(COLOUR, -1)), (8, np.rot90(COLOUR))):
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
        assert media.equal(open_video(tmp_path / "a.png"), [picture_from_rgb(np.ascontiguousarray(array))])


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_several_pictures_in_a_file_are_refused(tmp_path: Path, name: str) -> None:
    first = Image.fromarray(COLOUR)
    first.save(tmp_path / name, save_all=True, append_images=[Image.fromarray(255 - COLOUR)])
    with pytest.raises(VideoError, match=f"{name} has 2 pictures in it"):
        open_video(tmp_path / name)


def test_transparency_is_refused_wherever_it_is_said(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).quantize(16).save(tmp_path / "p.png", transparency=3)
    Image.fromarray(np.dstack([COLOUR[:, :, 0], COLOUR[:, :, 1]]), "LA").save(tmp_path / "la.png")
    for name in ("p.png", "la.png"):
        with pytest.raises(VideoError, match=f"{name} has transparent samples"):
            open_video(tmp_path / name)


def test_colour_profiles(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "srgb.png", icc_profile=srgb)
    assert media.equal(open_video(tmp_path / "srgb.png"), [picture_from_rgb(COLOUR)])
    image.save(tmp_path / "broken.png", icc_profile=b"no profile")
    assert media.equal(open_video(tmp_path / "broken.png"), [picture_from_rgb(COLOUR)])
    swapped = bytearray(srgb)
    red, green = (swapped.index(name) for name in (b"rXYZ", b"gXYZ"))
    swapped[red : red + 4], swapped[green : green + 4] = swapped[green : green + 4], swapped[red : red + 4]
    image.save(tmp_path / "other.png", icc_profile=bytes(swapped))
    with pytest.raises(VideoError, match=r"other\.png has a colour profile other than sRGB"):
        open_video(tmp_path / "other.png")
    assert media.equal(open_video(tmp_path / "other.png", as_stored=True), [picture_from_rgb(COLOUR)])
