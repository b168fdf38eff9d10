"""Bjøntegaard delta rate and PSNR through the `bjontegaard` package, with the checks it leaves to its caller."""

import math
import warnings as python_warnings
from collections.abc import Sequence
from dataclasses import dataclass

from vrcnn_int.drawing import any_backend
from vrcnn_int.errors import VrcnnError

METHODS = ("pchip", "cubic", "akima")
MIN_POINTS = 4
MIN_OVERLAP = 75.0  # percent; below it the figure rests on a small part of the curves

Point = tuple[float, float]


class BdRateError(VrcnnError):
    """The curves allow no BD-rate."""


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


def bd_rate(anchor: Sequence[Point], test: Sequence[Point], method: str = "pchip") -> BdResult:
    """Compare two rate-distortion curves.

    anchor, test: at least four (rate, PSNR in dB) points each, in any order; rates in any unit, the same for both.
    method: pchip (piecewise cubic, as in the JCT-VC common test conditions), cubic (one third-order polynomial,
    VCEG-M33) or akima.
    Raises BdRateError for an unknown method, fewer than four points, values that are not finite, rates that are not
    positive, points of equal rate or PSNR, curves whose PSNR falls with rate (cubic only warns), and curves without
    common PSNR.
    """
    if method not in METHODS:
        raise BdRateError(f"unknown BD-rate method {method!r}; known: {', '.join(METHODS)}")
    found: list[str] = []
    curves = []
    for name, points in (("anchor", anchor), ("test", test)):
        if len(points) < MIN_POINTS:
            raise BdRateError(f"BD-rate needs at least {MIN_POINTS} points (QPs) a curve; the {name} has {len(points)}")
        if not all(math.isfinite(value) for point in points for value in point):
            raise BdRateError(f"the {name} has points that are not finite numbers: {list(points)}")
        rates, qualities = zip(*sorted(points), strict=True)
        if rates[0] <= 0:
            raise BdRateError(f"the {name} has a rate that is not positive: {rates[0]}")
        if len(set(rates)) < len(rates) or len(set(qualities)) < len(qualities):
            raise BdRateError(f"the {name} has two points of equal rate or PSNR: {list(points)}")
        if list(qualities) != sorted(qualities):
            text = f"the {name}'s PSNR falls while its rate rises"
            if method != "cubic":
                raise BdRateError(f"{text}: {[(float(rate), float(quality)) for rate, quality in sorted(points)]}")
            found.append(text)
        curves.append((rates, qualities))
    (anchor_rates, anchor_qualities), (test_rates, test_qualities) = curves
    common = _overlap(anchor_qualities, test_qualities)
    if common <= 0:
        raise BdRateError(
            f"the curves have no PSNR in common: the anchor has {min(anchor_qualities):.2f} to {max(anchor_qualities):.2f} dB, "
            f"the test {min(test_qualities):.2f} to {max(test_qualities):.2f} dB; choose QPs that overlap"
        )
    if common < MIN_OVERLAP:
        found.append(f"the curves share only {common:.0f} % of their PSNR range")

    with any_backend():
        import bjontegaard  # imports matplotlib

    settings = {"method": method, "require_matching_points": False, "min_overlap": 0}
    psnr: float | None = None
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # numpy's on cubic fits; the overlap is reported above
        # The package wants each call's own axis sorted.
        (anchor_q, anchor_r), (test_q, test_r) = (zip(*sorted(zip(q, r, strict=True)), strict=True) for r, q in curves)
        rate = float(bjontegaard.bd_rate(anchor_r, anchor_q, test_r, test_q, **settings))
        if _overlap(anchor_rates, test_rates) > 0:
            psnr = float(bjontegaard.bd_psnr(anchor_rates, anchor_qualities, test_rates, test_qualities, **settings))
    if psnr is None:
        found.append("the curves have no rate in common, so there is no BD-PSNR")
    return BdResult(rate, psnr, common, tuple(found))


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Common part of two ranges in percent of their union."""
    shared = min(max(a), max(b)) - max(min(a), min(b))
    return max(100 * shared / (max(*a, *b) - min(*a, *b)), 0.0)
