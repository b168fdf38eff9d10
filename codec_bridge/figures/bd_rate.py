"""Bjøntegaard delta rate and PSNR through the `bjontegaard` package, with the checks it leaves to its caller."""

import math
import warnings as python_warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.drawing import any_backend

METHODS = ("pchip", "cubic", "akima")
MIN_POINTS = 4
MIN_OVERLAP = 75.0  # percent; below it the figure rests on a small part of the curves

Point = tuple[float, float]


BEYOND = 0.1
"""Of its points' range, that an interpolation may go beyond it: a polynomial between points of a smooth curve does so by a little."""

GRID = 200
"""Places that it is looked at."""

MOST_LISTED = 12
"""Points in a message."""

APART = 5.0
"""Percentage points, and half of the figure, that interpolations may be apart."""


class BdRateError(VrcnnError):
    """The curves allow no BD-rate."""


class DoubtfulError(BdRateError):
    """An interpolation is not to be believed."""


@dataclass(frozen=True)
class Quality:
    """What curves have over the rate, in messages. digits: of its figures behind the point."""

    name: str = "PSNR"
    unit: str = " dB"
    digits: int = 2

    def text(self, value: float, more: int = 0) -> str:
        """'38.12 dB'. more: digits."""
        return f"{value:.{self.digits + more}f}{self.unit}"


PSNR = Quality()


@dataclass(frozen=True)
class BdResult:
    """Two curves compared.

    bd_rate: mean rate difference of the test at equal PSNR in percent, negative is better. bd_psnr: mean PSNR
    difference at equal rate in dB, None where the rates do not overlap. overlap: the part that both curves cover of the
    PSNR range that they cover together, in percent.
    """

    bd_rate: float
    bd_psnr: float | None
    overlap: float
    warnings: tuple[str, ...]


Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Rates, rising, and the PSNR at each."""


def bd_rate(anchor: Sequence[Point], test: Sequence[Point], method: str = "pchip", quality: Quality = PSNR) -> BdResult:
    """Compare two rate-distortion curves.

    anchor, test: at least four (rate, PSNR in dB) points each, in any order, also as array [n, 2]; rates in any unit, the same for both.
    quality: what messages call it, where it is another one than PSNR; more of it must be better.
    method: pchip (piecewise cubic, as in the JCT-VC common test conditions), cubic (one third-order polynomial,
    VCEG-M33) or akima.
    Raises BdRateError for an unknown method, fewer than four points, values that are not finite, rates that are not
    positive, points of equal rate or PSNR, curves whose PSNR falls with rate (cubic only warns), and curves without
    common PSNR; DoubtfulError where an interpolation leaves the range of its points, or disagrees wildly with pchip.
    """
    if method not in METHODS:
        raise BdRateError(f"unknown BD-rate method {method!r}; known: {', '.join(METHODS)}")
    found: list[str] = []
    anchor_curve, test_curve = (_curve(name, points, method, found, quality) for name, points in (("anchor", anchor), ("test", test)))
    (anchor_rates, anchor_qualities), (test_rates, test_qualities) = anchor_curve, test_curve
    common = _overlap(anchor_qualities, test_qualities)
    if common <= 0:
        raise BdRateError(
            f"the curves have no {quality.name} in common: the anchor has {min(anchor_qualities):.{quality.digits}f} to "
            f"{quality.text(max(anchor_qualities))}, the test {min(test_qualities):.{quality.digits}f} to "
            f"{quality.text(max(test_qualities))}; choose QPs that overlap"
        )
    if common < MIN_OVERLAP:
        found.append(f"the curves share only {common:.0f} % of their {quality.name} range")
    psnr: float | None = None
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # numpy's on cubic fits; the overlap is reported above
        rate = _rate(anchor_curve, test_curve, method)
        if method != "pchip":
            _refuse_disagreement(rate, _rate(anchor_curve, test_curve, "pchip"), method)
        if _overlap(anchor_rates, test_rates) <= 0:
            found.append(f"the curves have no rate in common, so there is no BD-{quality.name}")
        else:
            try:
                psnr = _psnr(anchor_curve, test_curve, method)
            except DoubtfulError as error:
                found.append(f"there is no BD-{quality.name}: {error}")
    return BdResult(rate, psnr, common, tuple(found))


def _curve(name: str, given: Sequence[Point], method: str, found: list[str], quality: Quality) -> Curve:
    """Points in the order of their rates. found: gets what is only doubtful."""
    try:
        points = sorted((float(rate), float(level)) for rate, level in given)
    except (TypeError, ValueError):
        raise BdRateError(f"the {name}'s points must be pairs of numbers, (rate, {quality.name})") from None
    if len(points) < MIN_POINTS:
        raise BdRateError(f"BD-rate needs at least {MIN_POINTS} points (QPs) a curve; the {name} has {len(points)}")
    if not all(math.isfinite(value) for point in points for value in point):
        wrong = [point for point in points if not all(map(math.isfinite, point))]
        raise BdRateError(f"the {name} has points that are not finite numbers: {_listed(points, quality, wrong)}")
    rates, qualities = zip(*points, strict=True)
    if rates[0] <= 0:
        raise BdRateError(f"the {name} has a rate that is not positive: {rates[0]}")
    if len(set(rates)) < len(rates) or len(set(qualities)) < len(qualities):
        times = [Counter(axis) for axis in (rates, qualities)]
        wrong = [point for point in points if any(count[value] > 1 for count, value in zip(times, point, strict=True))]
        raise BdRateError(f"the {name} has two points of equal rate or {quality.name}: {_listed(points, quality, wrong)}")
    if list(qualities) != sorted(qualities):
        text = f"the {name}'s {quality.name} falls while its rate rises"
        if method != "cubic":
            wrong = next([left, right] for left, right in pairwise(points) if left[1] > right[1])
            raise BdRateError(f"{text}: {_listed(points, quality, wrong)}")
        found.append(text)
    return rates, qualities


def _rate(anchor: Curve, test: Curve, method: str) -> float:
    """BD-rate in percent."""
    with any_backend():
        import bjontegaard  # imports matplotlib

    # The package wants each call's own axis sorted.
    (anchor_q, anchor_r), (test_q, test_r) = (zip(*sorted(zip(q, r, strict=True)), strict=True) for r, q in (anchor, test))
    settings = {"method": method, "require_matching_points": False, "min_overlap": 0, "interpolators": True}
    rate, *functions = bjontegaard.bd_rate(anchor_r, anchor_q, test_r, test_q, **settings)
    for name, function, x, y in zip(("anchor", "test"), functions, (anchor_q, test_q), (anchor_r, test_r), strict=True):
        _refuse_leaving(name, method, function, x, np.log10(y))
    return float(rate)


def _psnr(anchor: Curve, test: Curve, method: str) -> float:
    """BD-PSNR in dB."""
    with any_backend():
        import bjontegaard

    settings = {"method": method, "require_matching_points": False, "min_overlap": 0, "interpolators": True}
    psnr, *functions = bjontegaard.bd_psnr(*anchor, *test, **settings)
    for name, function, (rates, qualities) in zip(("anchor", "test"), functions, (anchor, test), strict=True):
        _refuse_leaving(name, method, function, np.log10(rates), qualities)
    return float(psnr)


def _refuse_leaving(name: str, method: str, function: Callable[..., Any], x: ArrayLike, y: ArrayLike) -> None:
    """Raise DoubtfulError for an interpolation that goes where none of its points is."""
    low, high = float(np.min(y)), float(np.max(y))
    reached = np.asarray(function(np.linspace(np.min(x), np.max(x), GRID)), float)
    beyond = max(low - float(reached.min()), float(reached.max()) - high)
    if not beyond <= BEYOND * (high - low):
        raise DoubtfulError(f"the {name}'s {method} interpolation leaves the range of its points")


def _refuse_disagreement(rate: float, reference: float, method: str) -> None:
    """Raise DoubtfulError where a method's BD-rate is far from pchip's, which keeps to its points."""
    apart = abs(rate - reference)
    if not (apart <= APART or apart <= max(abs(rate), abs(reference)) / 2):
        raise DoubtfulError(f"the interpolations disagree wildly: {method} {rate:+.2f} %, pchip {reference:+.2f} %")


def _listed(points: Sequence[Point], quality: Quality, wrong: Sequence[Point]) -> str:
    """Points as a message says them: all, or of many the first of those that are wrong."""
    said = points if len(points) <= MOST_LISTED else wrong[:MOST_LISTED]
    return ", ".join(f"{rate:.6g} at {quality.text(level, 1)}" for rate, level in said)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Common part of two ranges in percent of their union."""
    shared = min(max(a), max(b)) - max(min(a), min(b))
    return max(100 * shared / (max(*a, *b) - min(*a, *b)), 0.0)
