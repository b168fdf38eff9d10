"""What is measured of an integer network: PSNR gain, size, floats that are left, two ways of computing compared. No torch here."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int import integer
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.io.pairs import PairFile
from vrcnn_int.network import FloatNetwork
from vrcnn_int.requant import requantize
from vrcnn_int.research.extended import AnyInteger, Convolve, ExtendedNetwork, Requantize

CROP = 24
"""Side of the picture parts that the slow way of computing is compared on."""


def label(file: PairFile) -> str:
    """What a pair file's results stand under: its QP, or its factor of super-resolution."""
    return f"x{file.meta['factor']}" if "factor" in file.meta else f"QP {file.qp}"


def psnr(samples: NDArray[Any], original: NDArray[np.uint8]) -> float:
    """PSNR (dB) of an 8-bit plane; infinite where it equals its original."""
    error = float(np.mean((samples.astype(np.float64) - original) ** 2))
    return float(10 * np.log10(255**2 / error)) if error else math.inf


def mean_psnrs(file: PairFile, run: Callable[[NDArray[np.uint8]], NDArray[Any]]) -> tuple[float, float]:
    """Mean PSNR (dB) of a file's pictures before and after a filter, over those that do not equal their originals, before or after.

    Raises VrcnnError if there is none."""
    both = [(psnr(recon, original), psnr(run(recon), original)) for recon, original in zip(file.recon, file.original, strict=True)]
    finite = [levels for levels in both if math.isfinite(sum(levels))]
    if not finite:
        raise VrcnnError("the pictures equal their originals: there is no PSNR to compare")
    before, after = (fmean(levels) for levels in zip(*finite, strict=True))
    return before, after


def filtered(network: AnyInteger, plane: NDArray[np.uint8]) -> NDArray[np.integer[Any]]:
    """An 8-bit plane through the oracle of either kind of network."""
    return integer.filter_plane(network, plane, 8) if isinstance(network, IntegerNetwork) else network.filter_plane(plane)


@dataclass(frozen=True)
class Gain:
    """Means over a file's pictures, dB: ``psnr`` of the unfiltered pictures and the ``gain`` over it."""

    psnr: float
    gain: float


def integer_gain(network: AnyInteger, file: PairFile) -> Gain:
    """Of an integer network, by its oracle."""
    before, after = mean_psnrs(file, lambda plane: filtered(network, plane))
    return Gain(before, after - before)


def parameter_bytes(network: AnyInteger | FloatNetwork, weight_bits: int = 8) -> int:
    """Bytes of the parameters, weights packed at their bits: first and last layer 8, the others ``weight_bits``; biases of 4 bytes.

    Multiplier and shift: 3 bytes a branch in the normative filter, 5 each in an extended network. Float networks: 4 bytes a parameter.
    """
    if isinstance(network, FloatNetwork):
        return 4 * sum(a.size for arrays in (network.weights, network.biases) for layer in arrays for a in layer)
    if isinstance(network, ExtendedNetwork):
        total = 0
        for operation in network.operations:
            if isinstance(operation, Convolve):
                total += (operation.weights.size * operation.bits + 7) // 8 + 4 * len(operation.bias) + (operation.zero_point != 0)
            elif isinstance(operation, Requantize):
                total += 5 * len(operation.multiplier)
        return total
    last = len(network.layers) - 1
    return sum(
        (branch.weights.size * (8 if i in (0, last) else weight_bits) + 7) // 8 + 4 * len(branch.bias) + 3
        for i, layer in enumerate(network.layers)
        for branch in layer
    )


def integer_only(network: AnyInteger | FloatNetwork) -> bool:
    """Whether every number that the network computes with is an integer."""
    if isinstance(network, FloatNetwork):
        return False
    if isinstance(network, ExtendedNetwork):
        return all(array.dtype.kind in "iu" for array in network.arrays())
    branches = [branch for layer in network.layers for branch in layer]
    arrays = all(array.dtype.kind in "iu" for b in branches for array in (b.weights, b.bias))
    return arrays and all(isinstance(value, int) for b in branches for value in (b.shift, b.multiplier))


def computed_alike(network: AnyInteger, plane: NDArray[np.uint8]) -> int:
    """Compute every layer of a part of a picture in two ways, by products and by int64 sums; the number of equal values.

    Raises VrcnnError naming the layer in which they differ.
    """
    part = plane[:CROP, :CROP]
    x = integer.input_values(part, 8)
    if isinstance(network, ExtendedNetwork):
        pairs = list(zip(network.run(x), network.run(x, plain=True), strict=True))
    else:
        pairs = []
        for layer, outputs in zip(network.layers, [*integer.layer_outputs(network, part, 8), None], strict=True):
            sums = [integer.accumulate_int64(x, branch) for branch in layer]
            if outputs is None:
                pairs.append((integer.accumulate(x, layer[0]), sums[0]))
            else:
                x = np.concatenate([requantize(acc, b.shift, b.multiplier) for acc, b in zip(sums, layer, strict=True)])
                pairs.append((outputs, x))
    for number, (fast, plain) in enumerate(pairs):
        if not np.array_equal(fast, plain):
            raise VrcnnError(f"the oracle's two ways of computing differ in step {number}; please report this")
    return sum(fast.size for fast, _ in pairs)


def save(network: AnyInteger, path: Any) -> None:
    """Write either kind of network: a normative one as a model set of one."""
    (ModelSet((network,)) if isinstance(network, IntegerNetwork) else network).save(path)


def load(path: Any) -> AnyInteger:
    """Read what save() wrote."""
    try:
        return ModelSet.load(path).networks[0]
    except integer.ModelError as error:
        if "format version" not in str(error):
            raise
    return ExtendedNetwork.load(path)
