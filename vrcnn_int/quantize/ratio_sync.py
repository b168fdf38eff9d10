"""Ratio synchronization: branches that meet in a concatenation or an addition end at one ratio, exactly.

Zhao et al. 2020, Algorithm 2 and section 3.4.2. Ratios are ``Fraction``: floats cannot make them equal as real numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vrcnn_int.requant import LEVELS, smallest_multiplier


@dataclass(frozen=True)
class Rescale:
    """How one branch reaches the common ratio: weight step ``delta``, multiplier m, pre-shift s1 and the ratio ratio_V."""

    delta: Fraction
    multiplier: int
    shift: int
    ratio: Fraction


def synchronize(ratio_in: Fraction, branches: Sequence[Rescale], layer: str, levels: int = LEVELS, coarse: bool = False) -> list[Rescale]:
    """Bring the branches of a concatenation to the smallest of their ratios (so that none overflows).

    ``ratio_in``: ratio of the input that all branches share. Each branch gets a multiplier and shift close to
    ratio_min / ratio_Y, and then the weight step that makes the equality exact:
    delta = ratio_in * m / (2^(s1+15) * ratio_min). m is rounded up, so no delta shrinks and no weight clips.
    """
    target = min(branch.ratio for branch in branches)
    return [branch if branch.ratio == target else reach(ratio_in, branch.delta, target, layer, levels, coarse) for branch in branches]


def reach(ratio_in: Fraction, delta: Fraction, target: Fraction, layer: str, levels: int = LEVELS, coarse: bool = False) -> Rescale:
    """The smallest weight step not below ``delta`` with which a branch fed at ``ratio_in`` ends at exactly ``target``.

    Also synchronizes an addition (section 4.1): the convolution is brought to the ratio of the other summand.
    Raises QuantizationError if the accumulator that becomes ``levels`` (127) is below 256 or needs a pre-shift above 15.
    """
    multiplier, shift = smallest_multiplier(target * delta / ratio_in, layer, levels, coarse)
    return Rescale(ratio_in * Fraction(multiplier, 1 << (shift + 15)) / target, multiplier, shift, target)
