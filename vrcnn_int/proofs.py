"""Overflow proofs from the actual weights (c/SPECIFICATION.md, section 3); a network that fails one is refused. No torch here."""

from dataclasses import dataclass

import numpy as np

from vrcnn_int.integer import Branch, IntegerNetwork
from vrcnn_int.requant import LEVELS, QuantizationError

INT32 = 1 << 31
FLOAT32_EXACT = 1 << 24


class ProofError(QuantizationError):
    """A layer could overflow; the message names layer, channel and value."""


@dataclass(frozen=True)
class LayerProof:
    """What one branch's accumulators can reach, over all inputs: exact lowest and highest sums, rounding term left out.

    ``float32_exact``: every sum stays within 2^24, where float32 would have been exact. ``pair_sum``: the largest |sum of two
    neighbouring products| of unsigned activations and signed weights; at most 32767 means `vpmaddubsw` cannot saturate.
    """

    layer: int
    branch: int
    lowest: int
    highest: int
    float32_exact: bool
    pair_sum: int


def accumulator_range(branch: Branch, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of each output channel's accumulator for inputs in low .. high: two int64 arrays [out]."""
    weights = branch.weights.astype(np.int64).reshape(len(branch.bias), -1)
    positive, negative = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1)
    bias = branch.bias.astype(np.int64)
    return bias + positive * low + negative * high, bias + positive * high + negative * low


def prove(network: IntegerNetwork) -> list[LayerProof]:
    """The proofs of every branch. Raises ProofError for the first layer and channel whose sums can leave int32.

    Layer 1 reads -128 .. 127, in all its channels, the others 0 .. 127. What a layer adds is added after its accumulators, to 16 bits, and
    saturation there changes nothing (c/SPECIFICATION.md, section 2). (Kernels that feed layer 1 unsigned samples fold 128 * sum(w) into
    the bias; that folded bias is the accumulator of x = -128 everywhere, so this interval covers it.)
    """
    proofs = []
    for i, layer in enumerate(network.layers):
        for j, branch in enumerate(layer):
            where = f"layer {i + 1}, branch {j + 1}"
            lowest, highest = accumulator_range(branch, -128 if i == 0 else 0, LEVELS)
            half = (1 << branch.shift) >> 1
            if lowest.min() < -INT32:
                raise ProofError(f"{where}, channel {lowest.argmin()}: the accumulator can reach {lowest.min()}, below int32")
            if highest.max() + half > INT32 - 1:
                raise ProofError(f"{where}, channel {highest.argmax()}: the accumulator can reach {highest.max() + half}, above int32")
            largest = int(max(-lowest.min(), highest.max()))
            weight = np.abs(branch.weights.astype(np.int64)).max()
            pair_sum = int(2 * weight * (255 if i == 0 else LEVELS))
            exact = largest <= FLOAT32_EXACT
            proofs.append(LayerProof(i + 1, j + 1, int(lowest.min()), int(highest.max()), exact, pair_sum))
    return proofs
