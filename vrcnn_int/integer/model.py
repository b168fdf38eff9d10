"""IntegerNetwork: the layers of a network in integers, and the limits of c/SPECIFICATION.md, section 3."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import INPUTS, KINDS, POSITIONS, SIZES, Architecture, Convolution
from vrcnn_int.text import counted

MOST_ADDED = 4
"""A layer may add the output of one so many layers before it, or nearer."""


class ModelError(VrcnnError):
    """A model set is damaged, foreign, or outside the limits of the specification."""


@dataclass(frozen=True)
class Branch:
    """One convolution and its requantization.

    ``weights`` int8 [out, in, k, k] in -127 .. 127, ``bias`` int32 [out], ``shift`` s1 and ``multiplier`` m as in section 2.
    """

    kernel: int
    shift: int
    multiplier: int
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]


@dataclass(frozen=True)
class IntegerNetwork:
    """Layers of branches, the nominal ``qp`` and the ``position`` (before_deblocking or after_sao).

    ``kind``: luma (one plane) or joint (sites of luma and chroma). ``size``: fast or best. ``heads``: residuals that the last layer of the
    kind joint gives for each sample, 1 or 2. ``added``: for each layer 0, or how many layers before it stands the one whose output it
    adds; not given: none adds.
    """

    layers: tuple[tuple[Branch, ...], ...]
    qp: int
    position: str
    kind: str = "luma"
    size: str = "best"
    heads: int = 1
    added: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.added:
            object.__setattr__(self, "added", (0,) * len(self.layers))

    @property
    def is_deep(self) -> bool:
        """Whether it filters pictures of 12 bits (section 2): joint, and no shift of the last layer would be negative."""
        return self.kind == "joint" and all(branch.shift >= 4 for branch in self.layers[-1])

    @property
    def architecture(self) -> Architecture:
        """With the layers that the weights' shapes describe."""
        layers = tuple(tuple(Convolution(b.weights.shape[0], b.kernel) for b in layer) for layer in self.layers)
        return Architecture(layers, self.kind, self.size, self.heads, self.added)


def check_limits(network: IntegerNetwork, name: str) -> None:
    """Raise ModelError, naming layer, branch and value, if a field is outside the limits of section 3."""
    count, kind = len(network.layers), network.kind
    _need(-12 <= network.qp <= 51, name, f"nominal QP {network.qp} is not in -12..51")
    _need(network.position in POSITIONS, name, f"unknown position {network.position!r}")
    _need(kind in KINDS, name, f"unknown kind {kind!r}")
    _need(network.size in SIZES, name, f"unknown size {network.size!r}")
    _need(1 <= network.heads <= (2 if kind == "joint" else 1), name, f"{counted(network.heads, 'head')} in a network of the kind {kind}")
    _need(2 <= count <= 32, name, f"{counted(count, 'layer')}; 2 to 32 are allowed")
    _need(len(network.added) == count, name, f"additions are given for {len(network.added)} of {count} layers")
    inputs = INPUTS[kind]
    outputs: list[int] = []
    for i, layer in enumerate(network.layers):
        _check_layer(network, i, inputs, f"{name}: layer {i + 1}")
        inputs = sum(len(branch.bias) for branch in layer)
        outputs.append(inputs)
        back = network.added[i]
        if back:
            _need(inputs == outputs[i - back], f"{name}: layer {i + 1}", f"{inputs} output channels cannot add {outputs[i - back]}")


def _check_layer(network: IntegerNetwork, number: int, inputs: int, name: str) -> None:
    layer, last, back = network.layers[number], number == len(network.layers) - 1, network.added[number]
    _need(0 <= back <= (0 if last else min(number, MOST_ADDED)), name, f"adds the layer {back} before it")
    final = {"luma": [1], "joint": [4 * network.heads, 2 * network.heads]}[network.kind]
    fits = len(layer) == len(final) if last else 1 <= len(layer) <= (1 if back else 4)
    _need(fits, name, f"{len(layer)} branches")
    for j, branch in enumerate(layer):
        here, outputs = f"{name}, branch {j + 1}", len(branch.bias)
        _need(branch.kernel in (1, 3, 5), here, f"kernel size {branch.kernel} is not 1, 3 or 5")
        _need(not last or branch.kernel == layer[0].kernel, here, f"kernel size {branch.kernel} is not that of the first branch")
        _need(outputs == final[j] if last else outputs % 16 == 0 and 16 <= outputs <= 256, here, f"{outputs} output channels")
        shape = (outputs, inputs, branch.kernel, branch.kernel)
        _need(branch.weights.shape == shape, here, f"weights have shape {branch.weights.shape}, {shape} expected")
        _need(branch.weights.dtype == np.int8 and branch.bias.dtype == np.int32, here, "weights must be int8, biases int32")
        _need(not (branch.weights == -128).any(), here, "a weight is -128; the smallest is -127")
        low, high = (2, 15) if last else (0, 15)
        _need(low <= branch.shift <= high, here, f"shift {branch.shift} is not in {low}..{high}")
        low, high = (512, 1023) if last else (1, 32767)
        _need(low <= branch.multiplier <= high, here, f"multiplier {branch.multiplier} is not in {low}..{high}")
    total = sum(len(branch.bias) for branch in layer)
    _need(total <= 256, name, f"{total} output channels; at most 256 are allowed")


def _need(condition: bool, name: str, what: str) -> None:
    if not condition:
        raise ModelError(f"{name}: {what}")
