"""Float network -> IntegerNetwork: weight steps, ratios and requantization of every layer (Zhao et al. 2020, section 3.3).

A Plan is everything that is frozen when bounds are quantized. The last training stage runs under it; the integer network is
what its weights round to. A float network without a plan is quantized by a plan made from its weights (no fine-tuning).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.integer import Branch, IntegerNetwork
from vrcnn_int.network import FloatNetwork
from vrcnn_int.proofs import prove
from vrcnn_int.quantize.ratio_sync import Rescale, reach, synchronize
from vrcnn_int.requant import LEVELS, QuantizationError, last_multiplier, multiplier_and_shift, round_half_up

INPUT_RATIO = Fraction(255)
"""ratio_X: integer steps of the input for 1.0 of the float input (section 3.4.1)."""


@dataclass(frozen=True)
class Plan:
    """Frozen quantization of a network: per layer and branch a Rescale; ratio_in of each layer; float bounds of hidden layers.

    ``levels``: largest activation, 127 in the normative filter. ``weight_levels``: largest weight of the layers between first and last,
    which keep 127 (see layer_levels).
    """

    branches: tuple[tuple[Rescale, ...], ...]
    ratios_in: tuple[Fraction, ...]
    bounds: tuple[Fraction, ...]
    levels: int = LEVELS
    weight_levels: int = LEVELS

    def to_json(self) -> dict[str, Any]:
        """Exact JSON form: fractions as 'numerator/denominator'."""
        return {
            "branches": [[[str(b.delta), b.multiplier, b.shift, str(b.ratio)] for b in layer] for layer in self.branches],
            "ratios_in": [str(ratio) for ratio in self.ratios_in],
            "bounds": [str(bound) for bound in self.bounds],
            **({} if self.levels == self.weight_levels == LEVELS else {"levels": self.levels, "weight_levels": self.weight_levels}),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Plan":
        """Inverse of to_json."""
        return Plan(
            tuple(tuple(Rescale(Fraction(d), m, s, Fraction(r)) for d, m, s, r in layer) for layer in value["branches"]),
            tuple(Fraction(ratio) for ratio in value["ratios_in"]),
            tuple(Fraction(bound) for bound in value["bounds"]),
            value.get("levels", LEVELS),
            value.get("weight_levels", LEVELS),
        )


def weight_step(weights: NDArray[np.float32], levels: int = LEVELS) -> Fraction:
    """delta = max|W| / ``levels`` (127), exactly (Eq. 1 and 2). Raises QuantizationError if all weights are zero or one is not finite."""
    largest = float(np.abs(weights).max())
    if not 0 < largest < float("inf"):
        raise QuantizationError(f"weights reach {largest}: a weight step needs a finite value above 0")
    return Fraction(largest) / levels


def layer_levels(weight_levels: int, layer: int, layers: int) -> int:
    """Largest weight of layer number ``layer``: where weights have fewer bits, first and last layer keep 8 (as in Jain et al. 2019)."""
    return LEVELS if layer in (0, layers - 1) else weight_levels


def make_plan(network: FloatNetwork, levels: int = LEVELS, weight_levels: int = LEVELS, wide: bool = False) -> Plan:
    """Choose weight steps, multipliers, shifts and bounds (Eq. 8 to 13; Algorithm 2 for concatenations).

    A layer that adds another ends at that one's ratio, as the same fraction (section 4.1), by its weight step alone: what is added needs no
    multiplier. Its bound must be that one's.

    ``levels``: largest activation (127: 7 bits), ``weight_levels``: largest weight (127: 8 bits, 7: 4 bits). ``wide``: the last layer's
    multiplier may be any below 2^15, beyond what the normative filter has.

    Raises QuantizationError naming layer and branch (both counted from 1) and the value that does not fit.
    """
    ratio = INPUT_RATIO
    layers: list[tuple[Rescale, ...]] = []
    ratios_in: list[Fraction] = []
    bounds: list[Fraction] = []
    for i, weights in enumerate(network.weights[:-1]):
        ratios_in.append(ratio)
        name, back = f"layer {i + 1}", network.added[i]
        largest = layer_levels(weight_levels, i, len(network.weights))
        coarse = largest < LEVELS
        if back:
            if network.bounds[i] != network.bounds[i - back]:
                added = f"layer {i - back + 1}, which it adds, has {network.bounds[i - back]}"
                raise QuantizationError(f"{name} has the bound {network.bounds[i]}, and {added}: they must be equal")
            target = layers[i - back][0].ratio
            layers.append(tuple(reach(ratio, weight_step(weight, largest), target, name, levels, coarse) for weight in weights))
        else:
            wanted = []
            for j, weight in enumerate(weights):
                delta = weight_step(weight, largest)
                ratio_acc = ratio / delta  # ratio_Y
                bound = round_half_up(Fraction(network.bounds[i]) * ratio_acc)  # Eq. 8
                multiplier, shift = multiplier_and_shift(bound, f"{name}, branch {j + 1}", levels, coarse)  # Eq. 9, 10
                wanted.append(Rescale(delta, multiplier, shift, ratio_acc * Fraction(multiplier, 1 << (shift + 15))))  # Eq. 11
            layers.append(tuple(synchronize(ratio, wanted, name, levels, coarse)))
        ratio = layers[-1][0].ratio
        bounds.append(levels / ratio)  # Eq. 12
    ratios_in.append(ratio)
    layers.append(tuple(_last_rescale(weights, ratio, len(network.weights), j, wide) for j, weights in enumerate(network.weights[-1])))
    return Plan(tuple(layers), tuple(ratios_in), tuple(bounds), levels, weight_levels)


def _last_rescale(weights: NDArray[np.float32], ratio: Fraction, layer: int, branch: int, wide: bool) -> Rescale:
    """A branch of the last layer: the residual comes out in 8-bit sample steps exactly, ratio_Y * m / 2^(s1+15) = 255."""
    name = f"layer {layer}" + f", branch {branch + 1}" * (branch > 0)
    multiplier, shift = last_multiplier(INPUT_RATIO * weight_step(weights) / ratio, name, wide)
    return Rescale(ratio * Fraction(multiplier, 1 << (shift + 15)) / INPUT_RATIO, multiplier, shift, INPUT_RATIO)


def to_integer(network: FloatNetwork) -> IntegerNetwork:
    """Round weights and biases of a float network to its integer network, under its tuned plan or one made from its weights.

    Raises QuantizationError or ProofError naming the layer and the value, or if the plan has other activations than 7 bits.
    """
    plan = Plan.from_json(network.tuning) if network.tuning else make_plan(network)
    if plan.levels != LEVELS:
        raise QuantizationError(f"activations of 0..{plan.levels} are not the normative filter's, which are 0..{LEVELS}")
    wiring = network.kind, network.size, network.heads, network.added
    integer = IntegerNetwork(integer_layers(network, plan), network.qp, network.position, *wiring)
    prove(integer)
    return integer


def integer_layers(network: FloatNetwork, plan: Plan) -> tuple[tuple[Branch, ...], ...]:
    """Weights and biases rounded under a plan, with its shifts and multipliers."""
    layers = []
    for i, rescales in enumerate(plan.branches):
        largest = layer_levels(plan.weight_levels, i, len(plan.branches))
        branches = []
        for j, rescale in enumerate(rescales):
            weight, bias = network.weights[i][j].astype(np.float64), network.biases[i][j]
            steps = np.clip(np.floor(weight / float(rescale.delta) + 0.5), -largest, largest).astype(np.int8)
            ratio_acc = plan.ratios_in[i] / rescale.delta
            values = [round_half_up(Fraction(float(value)) * ratio_acc) for value in bias]
            if any(abs(value) >= 1 << 31 for value in values):
                raise QuantizationError(f"layer {i + 1}, branch {j + 1}: a bias of {max(values, key=abs)} does not fit 32 bits")
            branches.append(Branch(weight.shape[2], rescale.shift, rescale.multiplier, steps, np.array(values, np.int32)))
        layers.append(tuple(branches))
    return tuple(layers)
