"""PSNR and SSIM."""

import math

import numpy as np
import pytest

from codec_bridge.figures.metrics import IDENTICAL, picture_psnr, psnr, ssim
from codec_bridge.video.picture import Picture
from tests.support import media
from vrcnn_int.errors import VrcnnError


def test_psnr_by_hand() -> None:
    zero = np.zeros((4, 5), np.uint8)
    one = zero.copy()
    one[0, 0] = 3
    assert psnr(one, zero, 8) == psnr(zero, one, 8)
    assert math.isclose(psnr(one, zero, 8), 10 * math.log10(255**2 / (9 / 20)))
    assert psnr(zero, np.full((4, 5), 255, np.uint8), 8) == 0.0


def test_equal_planes_have_what_hm_prints() -> None:
    assert psnr(np.ones((4, 4), np.uint8), np.ones((4, 4), np.uint8), 8) == IDENTICAL == 999.99


def test_ten_bits_compare_with_eight() -> None:
    a, b = (picture.planes[0] for picture in media.pictures(2, 32, 32))
    assert math.isclose(psnr(a, b, 8), psnr(a.astype(np.uint16) * 4, b.astype(np.uint16) * 4, 10))


def test_large_errors_do_not_overflow() -> None:
    low, high = np.zeros((1080, 1920), np.uint16), np.full((1080, 1920), 1020, np.uint16)
    assert psnr(low, high, 10) == 0.0


def test_pictures_are_cropped_first() -> None:
    original = media.pictures(1, 32, 16)[0]
    luma = original.planes[0].copy()
    luma[:, 30:] ^= 128
    crop = (0, 0, 2, 0)
    damaged = Picture((luma, *original.planes[1:]), 8, "420", crop)
    assert picture_psnr(damaged, Picture(original.planes, 8, "420", crop)) == (IDENTICAL, IDENTICAL, IDENTICAL)
    assert picture_psnr(Picture(damaged.planes, 8, "420"), original)[0] < 40
    assert len(picture_psnr(*media.pictures(2, 16, 16, 8, "400"))) == 1


def test_ssim_is_that_of_the_paper() -> None:
    """Against the formula of Wang et al. written out for the one window that fits an 11x11 plane."""
    generator = np.random.default_rng(2)
    a = generator.integers(0, 256, (11, 11), dtype=np.uint8)
    b = (a // 2 + generator.integers(0, 64, a.shape)).astype(np.uint8)
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    x, y = a.astype(float), b.astype(float)
    mx, my = (window * x).sum(), (window * y).sum()
    vx, vy, vxy = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2, (window * x * y).sum() - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert math.isclose(ssim(a, b, 8), expected, rel_tol=1e-9)


def test_ssim_bounds_and_bit_depth() -> None:
    a, b = (picture.planes[0] for picture in media.pictures(2, 64, 48))
    assert ssim(a, a, 8) == 1.0
    eight, ten = ssim(a, b, 8), ssim(a.astype(np.uint16) * 4, b.astype(np.uint16) * 4, 10)
    assert 0 < eight < 1
    assert abs(eight - ten) < 1e-3  # data ranges 255 and 1023


def test_unlike_planes_are_refused() -> None:
    a, b = np.zeros((16, 16), np.uint8), np.zeros((16, 8), np.uint8)
    for function in (psnr, ssim):
        with pytest.raises(VrcnnError, match="16x16 samples with one of 8x16"):
            function(a, b, 8)
    with pytest.raises(VrcnnError, match="at least 11x11"):
        ssim(a[:10], a[:10], 8)
    with pytest.raises(VrcnnError, match="yuv420p picture with a gray"):
        picture_psnr(media.pictures(1, 16, 16)[0], media.pictures(1, 16, 16, 8, "400")[0])
