"""Pictures of planar samples."""

import numpy as np
import pytest

from codec_bridge.video.picture import Picture, VideoError, parse_pixel_format, picture_from_rgb
from tests.support import media


def test_full_range_formats_are_read_as_they_are() -> None:
    assert parse_pixel_format("yuvj420p") == ("420", 8)
    assert parse_pixel_format("gray10le") == ("400", 10)


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
