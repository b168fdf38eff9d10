"""BD-rate against published and independently computed figures, and curves that allow none."""

import math

import numpy as np
import pytest
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from codec_bridge.bd_rate import METHODS, BdRateError, bd_rate

# The example of the bjontegaard package's README (two x265 presets).
ANCHOR = [(9487.76, 40.037), (4593.60, 38.615), (2486.44, 36.845), (1358.24, 34.851)]
TEST = [(9787.80, 40.121), (4469.00, 38.651), (2451.52, 36.970), (1356.24, 34.987)]
# The example that goes with the widespread VCEG-M33 scripts.
ANCHOR_2 = [(686.76, 40.28), (309.58, 37.18), (157.11, 34.24), (85.95, 31.42)]
TEST_2 = [(893.34, 40.39), (407.8, 37.21), (204.93, 34.17), (112.75, 31.24)]


def by_hand(anchor: list[tuple[float, float]], test: list[tuple[float, float]], method: str) -> float:
    """VCEG-M33: mean distance of log rate over the common PSNR, integrated numerically."""
    functions = []
    for points in (anchor, test):
        quality, rate = np.array(sorted((quality, math.log(rate)) for rate, quality in points)).T
        functions.append(
            np.poly1d(np.polyfit(quality, rate, 3))
            if method == "cubic"
            else {"pchip": PchipInterpolator, "akima": Akima1DInterpolator}[method](quality, rate)
        )
    low = max(min(quality for _, quality in points) for points in (anchor, test))
    high = min(max(quality for _, quality in points) for points in (anchor, test))
    grid = np.linspace(low, high, 200_001)
    return 100 * math.expm1(float(np.trapezoid(functions[1](grid) - functions[0](grid), grid)) / (high - low))


@pytest.mark.parametrize(("curves", "expected"), [((ANCHOR, TEST), -4.4204627), ((ANCHOR_2, TEST_2), 31.3973741)])
def test_published_examples(curves: tuple[list[tuple[float, float]], list[tuple[float, float]]], expected: float) -> None:
    assert math.isclose(bd_rate(*curves, method="cubic").bd_rate, expected, abs_tol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_against_its_definition(method: str) -> None:
    for anchor, test in ((ANCHOR, TEST), (ANCHOR_2, TEST_2), (TEST_2, ANCHOR_2)):
        assert math.isclose(bd_rate(anchor, test, method).bd_rate, by_hand(anchor, test, method), abs_tol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_known_answers(method: str) -> None:
    less = [(0.9 * rate, quality) for rate, quality in ANCHOR]
    result = bd_rate(ANCHOR, less, method)
    assert math.isclose(result.bd_rate, -10, abs_tol=1e-9)
    assert result.overlap == 100
    assert result.bd_psnr is not None
    assert result.bd_psnr > 0
    assert result.warnings == ()
    better = bd_rate(ANCHOR, [(rate, quality + 0.5) for rate, quality in ANCHOR], method)
    assert better.bd_psnr is not None
    assert math.isclose(better.bd_psnr, 0.5, abs_tol=1e-9)
    assert bd_rate(ANCHOR, ANCHOR, method).bd_rate == 0


def test_order_and_unit_do_not_matter() -> None:
    result = bd_rate(ANCHOR, TEST)
    shuffled = bd_rate([ANCHOR[k] for k in (2, 0, 3, 1)], [(1000 * rate, quality) for rate, quality in TEST[::-1]])
    assert bd_rate(ANCHOR[::-1], TEST[::-1]) == result
    assert bd_rate([ANCHOR[k] for k in (2, 0, 3, 1)], TEST) == result
    assert shuffled.bd_rate != result.bd_rate
    both = bd_rate(*([(1000 * rate, quality) for rate, quality in curve] for curve in (ANCHOR, TEST)))
    assert math.isclose(both.bd_rate, result.bd_rate, abs_tol=1e-9)


def test_more_than_four_points() -> None:
    extra = [*ANCHOR, (20000.0, 41.5)]
    assert math.isclose(bd_rate(extra, [(0.8 * rate, quality) for rate, quality in extra]).bd_rate, -20)
    assert bd_rate(extra, TEST).bd_rate < 0  # not the same number of points


def test_small_overlap_warns() -> None:
    shifted = [(rate, quality + 3.5) for rate, quality in ANCHOR]
    result = bd_rate(ANCHOR, shifted)
    assert math.isclose(result.overlap, 100 * (40.037 - 38.351) / (43.537 - 34.851))
    assert any("share only 19 %" in warning for warning in result.warnings)


def test_rates_without_overlap_have_no_bd_psnr() -> None:
    result = bd_rate(ANCHOR, [(100 * rate, quality) for rate, quality in ANCHOR])
    assert math.isclose(result.bd_rate, 9900)
    assert result.bd_psnr is None
    assert any("no rate in common" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("test", "message"),
    [(TEST[:3], "the test has 3"),
     ([], "the test has 0"),
     ([(rate, quality + 10) for rate, quality in TEST], r"no PSNR in common.*34\.85 to 40\.04 dB.*44\.99 to 50\.12 dB"),
     ([*TEST[:3], (float("nan"), 34.0)], "not finite"),
     ([*TEST[:3], (1000.0, float("inf"))], "not finite"),
     ([*TEST[:3], (0.0, 34.0)], "not positive"),
     ([*TEST[:3], (2451.52, 34.0)], "equal rate or PSNR"),
     ([*TEST[:3], (1356.24, 36.970)], "equal rate or PSNR"),
     ([(rate, 999.99) for rate, _ in TEST], "equal rate or PSNR"),
     ([*TEST[:3], (1356.24, 37.5)], "PSNR falls while its rate rises")],
)  # fmt: skip
def test_curves_that_allow_none(test: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(BdRateError, match=message):
        bd_rate(ANCHOR, test)
    with pytest.raises(BdRateError):
        bd_rate(test, ANCHOR)


def test_a_falling_curve_is_only_a_warning_for_one_polynomial() -> None:
    backwards = [(rate, quality) for (rate, _), (_, quality) in zip(TEST, TEST[::-1], strict=True)]
    for falling in ([*TEST[:3], (1356.24, 37.5)], backwards):
        result = bd_rate(ANCHOR, falling, "cubic")
        assert math.isclose(result.bd_rate, by_hand(ANCHOR, falling, "cubic"), rel_tol=1e-6)
        assert any("falls" in warning for warning in result.warnings)


def test_unknown_method() -> None:
    with pytest.raises(BdRateError, match="unknown BD-rate method 'spline'; known: pchip, cubic, akima"):
        bd_rate(ANCHOR, TEST, "spline")
