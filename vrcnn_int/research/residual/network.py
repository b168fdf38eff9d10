"""Residual networks with batch normalization: as data, merged, with ratios synchronized at additions, as integers. No torch here.

He et al., "Deep residual learning for image recognition", CVPR 2016; quantized as in Zhao et al. 2020, sections 3.4 and 4.1. Two networks:
an in-loop filter and ResNet-18. Both are extended networks (extended.py): the normative filter has no addition.

What is added keeps WIDE steps for each step of an activation (the paper adds before activations are quantized). A block:

    v ---- first: convolution -> 0..127 ---- second: convolution -> wide --+
                                                                            + -> sum -> 0..127: the next v
    sum before, 0..bound -> wide (identity)  or  v -> 1x1 convolution -> wide
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.quantize.plan import INPUT_RATIO
from vrcnn_int.requant import LEVELS, QuantizationError, round_half_up
from vrcnn_int.research.extended import RESIDUAL, Add, Builder, Convolve, ExtendedNetwork, MaxPool, Requantize, SumPool

WIDE = 64
"""Steps of a sum for each step of an activation: rounding before the addition is then 1/64 of the rounding after it."""
LIMIT = 1 << 23
"""Addends are held within this: far beyond what any sum that is not clipped to 0 or its bound needs."""
MULTIPLIER_BITS = 8
"""Of multipliers. Unsynchronized, ratios may be off by half of 1/128; synchronized, weight steps grow by less than 1/128 instead."""
LEAST_RATIO = Fraction(1, 1 << 24)
"""Weight steps are not so small that more than 2^24 steps of an accumulator are one step of what follows."""
LARGEST_BIAS = 1 << 30
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """Two 3x3 convolutions to ``channels``, the first with the ``stride``, and a skip: 1x1 convolution where it changes the shape."""

    channels: int
    stride: int = 1


@dataclass(frozen=True)
class Design:
    """3x3 stem of ``stem`` channels, perhaps pooled (3x3 maximum, every second), ``blocks``, and a last layer.

    ``classes`` 0: a filter, whose last layer is a 3x3 convolution to one residual plane. Else: mean over each channel and a linear layer.
    """

    inputs: int
    stem: int
    blocks: tuple[Block, ...]
    pool: bool = False
    classes: int = 0

    def projected(self, number: int) -> bool:
        """Whether the skip of a block (from 0) is a 1x1 convolution."""
        return self.blocks[number].stride > 1 or self.blocks[number].channels != self.inputs_of(number)

    def inputs_of(self, number: int) -> int:
        """Channels that a block reads."""
        return self.blocks[number - 1].channels if number else self.stem

    @property
    def halo(self) -> int:
        """Samples that a filter looks beyond a sample on each side."""
        return 2 + 2 * len(self.blocks)

    def macs_per_sample(self) -> int:
        """Multiply-accumulates a luma sample of a filter."""
        total = 9 * self.inputs * self.stem + 9 * self.blocks[-1].channels
        for n, block in enumerate(self.blocks):
            total += block.channels * (9 * self.inputs_of(n) + 9 * block.channels + self.projected(n) * self.inputs_of(n))
        return total


FILTER = Design(1, 16, (Block(16), Block(16), Block(32), Block(32)))
"""In-loop filter: 10 layers in a row, both kinds of skip, 42.4 kMAC a sample (VRCNN: 54.5)."""


def resnet18(classes: int, inputs: int, width: int = 64, pool: bool = False) -> Design:
    """ResNet-18 with a small stem: 3x3 and stride 1 where the paper's, for 224x224 pictures, is 7x7 and stride 2."""
    blocks = tuple(Block(width << n, 2 if n and not i else 1) for n in range(4) for i in range(2))
    return Design(inputs, width, blocks, pool, classes)


@dataclass(frozen=True)
class Layer:
    """A convolution with its batch normalization merged into it: ``weights`` float64 [out, in, k, k], ``bias`` float64 [out]."""

    weights: FloatArray
    bias: FloatArray
    stride: int = 1


def merge(weights: FloatArray, scale: FloatArray, shift: FloatArray, mean: FloatArray, deviation: FloatArray, stride: int) -> Layer:
    """The convolution that equals convolution and batch normalization: y = (conv(x) - mean) / deviation * scale + shift, all by channel.

    Each channel's weights change by their own factor, and so does its weight step (section 3.4.3).
    """
    factor = scale / deviation
    return Layer(weights * factor[:, None, None, None], shift - mean * factor, stride)


@dataclass(frozen=True)
class MergedNetwork:
    """A trained network in float64: stem, blocks of (first, second, skip or None), last layer; ``bounds`` of the bounded ReLUs after the
    stem and, for each block, after its first convolution and after its addition."""

    design: Design
    stem: Layer
    blocks: tuple[tuple[Layer, Layer, Layer | None], ...]
    last: Layer
    bounds: tuple[float, ...]

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        layers = [self.stem, self.last, *(layer for block in self.blocks for layer in block if layer)]
        return sum(layer.weights.size + layer.bias.size for layer in layers)


@dataclass(frozen=True)
class Addition:
    """Ratios (integer steps for 1.0) of what an addition adds, by channel: synchronized, all of them are one number."""

    skip: tuple[Fraction, ...]
    convolution: tuple[Fraction, ...]


@dataclass(frozen=True)
class Quantized:
    """The integer network and the ratios that meet in its additions."""

    network: ExtendedNetwork
    additions: tuple[Addition, ...]


def multiplier(ratio: Fraction, bits: int, up: bool) -> tuple[int, int]:
    """(m, s) with m / 2^s next to ``ratio`` and 2^(bits-1) <= m < 2^bits; ``up``: at or above it. Raises QuantizationError."""
    if ratio <= 0:
        raise QuantizationError(f"no multiplier is {ratio}")
    shift = bits - (ratio.numerator.bit_length() - ratio.denominator.bit_length())
    while ratio * Fraction(2) ** shift >= 1 << bits:
        shift -= 1
    scaled = ratio * Fraction(2) ** shift
    m = -(-scaled.numerator // scaled.denominator) if up else round_half_up(scaled)
    if m == 1 << bits:
        m, shift = m >> 1, shift - 1
    if not 0 <= shift <= 62:
        raise QuantizationError(f"an accumulator step of {float(ratio):.3g} output steps needs a shift of {shift}, outside 0..62")
    return m, shift


@dataclass(frozen=True)
class Way:
    """How a convolution's channels reach a ratio: their weight steps, multipliers and shifts."""

    deltas: list[Fraction]
    multipliers: list[int]
    shifts: list[int]

    def ratios(self, ratio_in: Fraction) -> tuple[Fraction, ...]:
        """The ratios that the channels really have."""
        return tuple(ratio_in / d * Fraction(m, 1 << s) for d, m, s in zip(self.deltas, self.multipliers, self.shifts, strict=True))


def weight_step(weights: FloatArray, bias: FloatArray, ratio_in: Fraction) -> Fraction:
    """max|W| / 127 (Eq. 2), or the larger step that biases need to stay within LARGEST_BIAS. Raises QuantizationError unless finite."""
    largest, offset = float(np.abs(weights).max()), float(np.abs(bias).max())
    if not np.isfinite([largest, offset]).all():
        raise QuantizationError("a weight or bias is not finite: the training diverged")
    return max(Fraction(largest) / LEVELS, Fraction(offset) * ratio_in / LARGEST_BIAS)


class Quantizer:
    """Writes a merged network as operations. ``synchronize`` False: every channel keeps the ratio nearest to the wanted one that its own
    weight step and multiplier give, and the addition adds them as if they were equal: the paper's row without ratio synchronization."""

    def __init__(self, bits: int, synchronize: bool) -> None:
        self.bits, self.synchronize = bits, synchronize
        self.build = Builder()

    def way(self, layer: Layer, ratio_in: Fraction, target: Fraction) -> Way:
        """A weight step for each channel (Eq. 2), grown until the channel's ratio is exactly ``target`` if ratios are synchronized.

        A channel whose weights are nearly 0 gets a step so large that all its integer weights are 0: the paper's dead channels.
        """
        deltas, multipliers, shifts = [], [], []
        for weights, bias in zip(layer.weights, layer.bias, strict=True):
            delta = max(weight_step(weights, bias, ratio_in), LEAST_RATIO * ratio_in / target)
            m, s = multiplier(target * delta / ratio_in, self.bits, self.synchronize)
            deltas.append(ratio_in * Fraction(m, 1 << s) / target if self.synchronize else delta)
            multipliers.append(m)
            shifts.append(s)
        return Way(deltas, multipliers, shifts)

    def convolve(self, source: int, layer: Layer, ratio_in: Fraction, deltas: Sequence[Fraction]) -> int:
        """Weights and biases rounded to their channels' steps."""
        steps = np.array([float(delta) for delta in deltas])[:, None, None, None]
        weights = np.clip(np.floor(layer.weights / steps + 0.5), -LEVELS, LEVELS).astype(np.int16)
        bias = [round_half_up(Fraction(float(b)) * ratio_in / d) for b, d in zip(layer.bias, deltas, strict=True)]
        return self.build.add(Convolve((source,), weights, 0, 8, np.array(bias, np.int32), layer.stride))

    def requantize(self, source: int, multipliers: Sequence[int], shifts: Sequence[int], low: int, high: int) -> int:
        """One multiplier and shift a channel, or one for all."""
        return self.build.add(Requantize((source,), np.array(multipliers, np.int32), np.array(shifts, np.uint8), low, high))

    def layer(self, source: int, layer: Layer, ratio_in: Fraction, target: Fraction, low: int, high: int) -> tuple[int, Way]:
        """A convolution and its way to the ratio ``target``."""
        way = self.way(layer, ratio_in, target)
        accumulators = self.convolve(source, layer, ratio_in, way.deltas)
        return self.requantize(accumulators, way.multipliers, way.shifts, low, high), way

    def activation(self, wide: int) -> int:
        """Sums to activations 0 .. 127."""
        return self.requantize(wide, [1], [WIDE.bit_length() - 1], 0, LEVELS)


def quantize(
    network: MergedNetwork, meta: dict[str, Any] | None = None, synchronize: bool = True, bits: int = MULTIPLIER_BITS
) -> Quantized:
    """The integer network of a merged one. ``bits``: of multipliers, 2 to 15.

    Input: -128 .. 127 at ratio 255, [inputs, H, W]. Output of a filter: the residual in sample steps; of a classifier: a sum for each
    class, [classes, 1, 1], all at one ratio. Raises QuantizationError or RangeError.
    """
    if any(not 0 < bound < float("inf") for bound in network.bounds):
        raise QuantizationError(
            f"a bound of {network.bounds} is not a number above 0: the network is not quantized yet, or a layer is dead"
        )
    q = Quantizer(bits, synchronize)
    bounds = iter(Fraction(bound) for bound in network.bounds)
    top = WIDE * LEVELS
    ratio_sum = top / next(bounds)
    total, _ = q.layer(0, network.stem, INPUT_RATIO, ratio_sum, 0, top)
    if network.design.pool:
        total = q.build.add(MaxPool((total,), 3, 2))
    v, ratio_v = q.activation(total), ratio_sum / WIDE
    additions = []
    for first, second, skip in network.blocks:
        ratio_inner = LEVELS / next(bounds)
        inner, _ = q.layer(v, first, ratio_v, ratio_inner, 0, LEVELS)
        target = top / next(bounds)
        if skip is None:  # the skip path is rescaled by a multiplier and shift of its own; the convolution follows it
            m, s = multiplier(target / ratio_sum, bits, False)
            skipped = (ratio_sum * Fraction(m, 1 << s),) * len(second.bias)
            beside = q.requantize(total, [m], [s], 0, (top * m + (1 << s >> 1)) >> s)
            target = skipped[0] if synchronize else target
        else:
            beside, way = q.layer(v, skip, ratio_v, target, -LIMIT, LIMIT)
            skipped = way.ratios(ratio_v)
        added, way = q.layer(inner, second, ratio_inner, target, -LIMIT, LIMIT)
        additions.append(Addition(skipped, way.ratios(ratio_inner)))
        total, ratio_sum = q.build.add(Add((added, beside))), target
        v, ratio_v = q.activation(total), ratio_sum / WIDE
    if network.design.classes:
        size = _side(meta or {}, network.design)
        pooled = q.build.add(SumPool((v,), size**2))
        delta = weight_step(network.last.weights, network.last.bias, ratio_v * size**2)  # one for all classes, whose sums are compared
        if not delta:
            raise QuantizationError("all weights and biases of the last layer are 0")
        q.convolve(pooled, network.last, ratio_v * size**2, [delta] * network.design.classes)
    else:
        q.layer(v, network.last, ratio_v, INPUT_RATIO, *RESIDUAL)
    return Quantized(ExtendedNetwork(tuple(q.build.operations), network.design.inputs, meta or {}), tuple(additions))


def _side(meta: dict[str, Any], design: Design) -> int:
    """Side of the planes that a classifier's mean is over, for pictures of meta["size"]."""
    size = int(meta["size"])
    for stride in (2 if design.pool else 1, *(block.stride for block in design.blocks)):
        size = (size - 1) // stride + 1
    return size
