"""Branches in integers, and chains of them as extended networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.requant import QuantizationError, round_half_up
from vrcnn_int.research.extended import Builder, Convolve, ExtendedNetwork, Operation, Requantize


@dataclass(frozen=True)
class Codes:
    """A branch in integers: ``weights`` (int16 codes of ``bits`` bits), real weight = (code - zero_point) * step, real ``bias`` float64."""

    weights: NDArray[np.int16]
    zero_point: int
    bits: int
    step: Fraction
    bias: NDArray[np.float64]


def integer_bias(codes: Codes, ratio_in: Fraction) -> list[int]:
    """Biases in accumulator steps."""
    return [round_half_up(Fraction(float(value)) * ratio_in / codes.step) for value in codes.bias]


def int32(values: list[int]) -> NDArray[np.int32]:
    """Biases as int32; raises QuantizationError if one does not fit."""
    if any(not -(1 << 31) <= value < 1 << 31 for value in values):
        raise QuantizationError(f"a bias of {max(values, key=abs)} does not fit 32 bits")
    return np.array(values, np.int32)


ChainBranch = tuple[Codes, list[int], int, int, int, int]
"""(codes, bias, multiplier, shift, low, high) of a branch."""


def chain(layers: Sequence[Sequence[ChainBranch]], qp: int, position: str) -> ExtendedNetwork:
    """Layers of concatenated branches as an extended network."""
    build = Builder()
    value = 0
    for layer in layers:
        outputs = []
        for codes, bias, multiplier, shift, low, high in layer:
            convolution: Operation = Convolve((value,), codes.weights, codes.zero_point, codes.bits, int32(bias))
            one = np.array([multiplier], np.int32), np.array([shift], np.uint8)
            outputs.append(build.add(Requantize((build.add(convolution),), *one, low, high)))
        value = build.concatenate(outputs)
    return ExtendedNetwork(tuple(build.operations), 1, {"qp": qp, "position": position})
