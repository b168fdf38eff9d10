"""BD-rate against published and independently computed figures, and curves that allow none."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from codec_bridge.figures import bd_rate as module
from codec_bridge.figures.bd_rate import METHODS, BdRateError, DoubtfulError, bd_rate

# The example of the bjontegaard package's README (two x265 presets).
ANCHOR = [(9487.76, 40.037), (4593.60, 38.615), (2486.44, 36.845), (1358.24, 34.851)]
TEST = [(9787.80, 40.121), (4469.00, 38.651), (2451.52, 36.970), (1356.24, 34.987)]
# The example that goes with the widespread VCEG-M33 scripts.
ANCHOR_2 = [(686.76, 40.28), (309.58, 37.18), (157.11, 34.24), (85.95, 31.42)]
TEST_2 = [(893.34, 40.39), (407.8, 37.21), (204.93, 34.17), (112.75, 31.24)]


# JCTVC-E137 (Geneva 2011), two of its sequences, with the figures of the standardization group's own spreadsheet; also used by the tests
# of VMAF's BD-rate calculator (python/test/bd_rate_calculator_test.py).
JCTVC_E137 = [
    (
        [(108048.8736, 43.6471), (61279.976, 40.3953), (33905.6656, 37.247), (18883.6928, 34.2911)],
        [(108061.2784, 43.6768), (61299.9936, 40.4232), (33928.7472, 37.2761), (18910.912, 34.3147)],
        -0.465215420752807,
    ),
    (
        [(40433.8848, 37.5761), (7622.7456, 35.3756), (2394.488, 33.8977), (1017.6184, 32.0603)],
        [(40370.12, 37.5982), (7587.0024, 35.4025), (2390.0944, 33.9194), (1017.0984, 32.0822)],
        -1.8779823450567612,
    ),
]


def spreadsheet(anchor: list[tuple[float, float]], test: list[tuple[float, float]]) -> float:
    """BD-rate as the common test conditions' spreadsheets (JCTVC-L1100, JVET-T2010) have it: log10 rate over PSNR, piecewise cubic
    with tangents of its own, integrated piece by piece.

    A tangent is the weighted harmonic mean of the slopes beside it, 0 where they differ in sign; at an end, the parabola's through
    three points, limited so that the piece stays monotonic (Fritsch and Butland 1984).
    """
    low = max(min(quality for _, quality in points) for points in (anchor, test))
    high = min(max(quality for _, quality in points) for points in (anchor, test))
    integrals = []
    for points in (anchor, test):
        quality, rate = zip(*sorted((quality, math.log10(rate)) for rate, quality in points), strict=True)
        steps = [b - a for a, b in pairwise(quality)]
        slopes = [(b - a) / step for (a, b), step in zip(pairwise(rate), steps, strict=True)]

        def end(near: float, far: float, slope: float, next_slope: float) -> float:
            tangent = ((2 * near + far) * slope - near * next_slope) / (near + far)
            if tangent * slope < 0:
                return 0.0
            return 3 * slope if slope * next_slope < 0 and abs(tangent) > abs(3 * slope) else tangent

        tangents = [end(steps[0], steps[1], slopes[0], slopes[1])]
        for (h, k), (s, t) in zip(pairwise(steps), pairwise(slopes), strict=True):
            tangents.append(3 * (h + k) / ((2 * k + h) / s + (k + 2 * h) / t) if s * t > 0 else 0.0)
        tangents.append(end(steps[-1], steps[-2], slopes[-1], slopes[-2]))
        total = 0.0
        for i, (step, slope) in enumerate(zip(steps, slopes, strict=True)):
            cubic = (tangents[i] - 2 * slope + tangents[i + 1]) / step**2
            square = (3 * slope - 2 * tangents[i] - tangents[i + 1]) / step
            antiderivative = np.polynomial.Polynomial([rate[i], tangents[i], square, cubic]).integ()
            bounds = [min(max(bound, quality[i]), quality[i + 1]) - quality[i] for bound in (low, high)]
            total += antiderivative(bounds[1]) - antiderivative(bounds[0])
        integrals.append(total)
    return 100 * (10 ** ((integrals[1] - integrals[0]) / (high - low)) - 1)


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


@pytest.mark.parametrize(("anchor", "test", "expected"), JCTVC_E137)
def test_a_contribution_to_the_standard(anchor: list[tuple[float, float]], test: list[tuple[float, float]], expected: float) -> None:
    assert math.isclose(bd_rate(anchor, test).bd_rate, expected, abs_tol=1e-9)
    assert math.isclose(spreadsheet(anchor, test), expected, abs_tol=1e-9)


def test_pchip_is_the_spreadsheet_s_method() -> None:
    rng = np.random.default_rng(5)
    curves = [(ANCHOR, TEST), (ANCHOR_2, TEST_2), *((anchor, test) for anchor, test, _ in JCTVC_E137)]
    for count in (4, 4, 4, 5, 6, 8):
        rates = np.cumsum(rng.uniform(100, 5000, (2, count)), axis=1)
        qualities = 30 + np.cumsum(rng.uniform(0.05, 4, (2, count)), axis=1)
        curves.append(tuple(list(zip(r.tolist(), q.tolist(), strict=True)) for r, q in zip(rates, qualities, strict=True)))  # type: ignore[arg-type]
    for anchor, test in curves:
        assert math.isclose(bd_rate(anchor, test).bd_rate, spreadsheet(anchor, test), rel_tol=1e-9, abs_tol=1e-9)


def test_bd_psnr_of_the_published_example() -> None:
    """The example of VCEG-M33's widespread scripts, by its own definition: PSNR over log rate, one cubic polynomial."""
    functions = [np.poly1d(np.polyfit(np.log10([rate for rate, _ in points]), [q for _, q in points], 3)) for points in (ANCHOR_2, TEST_2)]
    low = math.log10(max(min(rate for rate, _ in points) for points in (ANCHOR_2, TEST_2)))
    high = math.log10(min(max(rate for rate, _ in points) for points in (ANCHOR_2, TEST_2)))
    whole = [function.integ()(high) - function.integ()(low) for function in functions]
    found = bd_rate(ANCHOR_2, TEST_2, "cubic").bd_psnr
    assert found is not None
    assert math.isclose(found, (whole[1] - whole[0]) / (high - low), abs_tol=1e-9)


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
    result = bd_rate(ANCHOR, backwards, "cubic")
    assert math.isclose(result.bd_rate, by_hand(ANCHOR, backwards, "cubic"), rel_tol=1e-6)
    assert any("falls" in warning for warning in result.warnings)
    with pytest.raises(DoubtfulError, match="the test's cubic interpolation leaves the range of its points"):
        bd_rate(ANCHOR, [*TEST[:3], (1356.24, 37.5)], "cubic")


STEEP = (
    [(1000.0, 97.0), (1010.0, 97.01), (4000.0, 99.0), (8000.0, 99.9)],
    [(1000.0, 97.1), (1500.0, 97.11), (1600.0, 99.2), (8000.0, 100.0)],
)


def test_an_interpolation_that_leaves_its_points_is_no_figure() -> None:
    """Curves that rise everywhere, of nearly lossless coding."""
    assert -50 < bd_rate(*STEEP).bd_rate < 0
    with pytest.raises(DoubtfulError, match="the test's cubic interpolation leaves the range of its points"):
        bd_rate(*STEEP, "cubic")
    akima = bd_rate(*STEEP, "akima")
    assert akima.bd_psnr is None
    assert akima.warnings == ("there is no BD-PSNR: the test's akima interpolation leaves the range of its points",)


def test_interpolations_that_disagree_are_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"pchip": -3.14, "cubic": 100421.0, "akima": -4.0}
    monkeypatch.setattr(module, "_rate", lambda _anchor, _test, method: rates[method])
    assert (bd_rate(ANCHOR, TEST).bd_rate, bd_rate(ANCHOR, TEST, "akima").bd_rate) == (-3.14, -4.0)
    with pytest.raises(DoubtfulError, match=r"disagree wildly: cubic \+100421.00 %, pchip -3.14 %"):
        bd_rate(ANCHOR, TEST, "cubic")
    rates["cubic"] = math.nan
    with pytest.raises(DoubtfulError, match="disagree wildly"):
        bd_rate(ANCHOR, TEST, "cubic")


def test_points_may_be_arrays() -> None:
    assert bd_rate(np.array(ANCHOR), np.array(TEST)) == bd_rate(ANCHOR, TEST)  # type: ignore[arg-type]
    for wrong in (np.zeros(4), np.zeros((4, 3)), 5, None, [("a", "b")] * 4, "abcd"):
        with pytest.raises(BdRateError, match="the anchor's points must be pairs of numbers"):
            bd_rate(wrong, TEST)  # type: ignore[arg-type]


def test_unknown_method() -> None:
    with pytest.raises(BdRateError, match="unknown BD-rate method 'spline'; known: pchip, cubic, akima"):
        bd_rate(ANCHOR, TEST, "spline")
