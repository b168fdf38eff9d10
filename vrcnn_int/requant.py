"""Requantization: the one rounding rule, and the search for multiplier and pre-shift (c/SPECIFICATION.md, section 2)."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError

LEVELS = 127
"""Largest activation (7-bit activations)."""


class QuantizationError(VrcnnError):
    """The network cannot be expressed in the integer format; the message names the layer and the value."""


def round_half_up(value: Fraction) -> int:
    """Nearest integer, halves up: the rounding of the integer filter, for exact numbers."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def pre_shift(acc: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """sat16((acc + half) >> shift) for int64 accumulators of any shape."""
    saturated: NDArray[np.int64] = np.clip((acc + ((1 << shift) >> 1)) >> shift, -32768, 32767)
    return saturated


def rescale(acc: NDArray[np.int64], shift: int, multiplier: int) -> NDArray[np.int64]:
    """int64 accumulators of any shape -> -32768 .. 32767: pre-shift and 16-bit rounding multiply."""
    return (pre_shift(acc, shift) * multiplier + (1 << 14)) >> 15


def requantize(acc: NDArray[np.int64], shift: int, multiplier: int) -> NDArray[np.int64]:
    """int64 accumulators of any shape -> activations 0 .. 127 of a layer that adds none: rescale() and BReLU's two limits."""
    values: NDArray[np.int64] = np.clip(rescale(acc, shift, multiplier), 0, LEVELS)
    return values


def multiplier_and_shift(bound: int, layer: str, levels: int = LEVELS, coarse: bool = False) -> tuple[int, int]:
    """(m, s1) that map the integer bound h_ri to ``levels`` (Eq. 9 and 10, with shift = s1 + 15).

    s1 is the smallest in 0 .. 15 with bound >> s1 < 2^15 - 1. Raises QuantizationError where no pair exists. ``coarse``: accumulators may
    have fewer steps than activations (weights of few bits).
    """
    least = levels + 1 if coarse else 2 * (levels + 1)
    if bound < least:
        finer = f"coarser than {(levels + 1).bit_length() - 1} bits" if not coarse else "larger than their accumulators"
        raise QuantizationError(f"{layer}: integer bound {bound} is below {least}; its activations would be {finer}")
    for shift in range(16):
        if bound >> shift < (1 << 15) - 1:
            multiplier = round_half_up(Fraction(levels << (shift + 15), bound))
            return multiplier, shift
    raise QuantizationError(f"{layer}: integer bound {bound} needs a pre-shift above 15")


def smallest_multiplier(ratio: Fraction, layer: str, levels: int = LEVELS, coarse: bool = False) -> tuple[int, int]:
    """(m, s1) with m / 2^(s1+15) >= ratio, as close as a 15-bit m allows with the smallest pre-shift that an int16 needs.

    Used for synchronization: the weight step takes up the difference, and because m is rounded up it never shrinks.
    """
    # The accumulator that maps to the highest level must fit 16 bits after the pre-shift, as in multiplier_and_shift.
    bound = round_half_up(levels / ratio)
    _, shift = multiplier_and_shift(bound, layer, levels, coarse)
    return -((-ratio.numerator << (shift + 15)) // ratio.denominator), shift


def last_multiplier(ratio: Fraction, layer: str, wide: bool = False) -> tuple[int, int]:
    """(m, s1) of the last layer: m in 512 .. 1023 and s1 in 2 .. 15 with m / 2^(s1+15) >= ratio, m rounded up.

    ``wide``: m up to 32767 and s1 down to 0, which is not normative.
    """
    lowest, least, most = (0, 1, 32767) if wide else (2, 512, 1023)
    for shift in range(15, lowest - 1, -1):
        multiplier = -((-ratio.numerator << (shift + 15)) // ratio.denominator)
        if multiplier <= most:
            return max(multiplier, least), shift
    raise QuantizationError(f"{layer}: {float(ratio):.3g} output steps an accumulator step need a multiplier above {most}")
