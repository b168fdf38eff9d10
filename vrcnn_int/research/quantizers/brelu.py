"""Bounded ReLU (Zhao et al. 2020): the product's own way, and its other rules for the bounds, behind the common interface.

What it does stands in module.Network, quantize.py and bounds.py; here are only its stages. With 7-bit activations the network is normative.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import check_limits
from vrcnn_int.network import FloatNetwork
from vrcnn_int.quantize.bounds import n_sigma
from vrcnn_int.quantize.plan import Plan, integer_layers, make_plan, to_integer
from vrcnn_int.requant import LEVELS, QuantizationError
from vrcnn_int.research.extended import RESIDUAL, AnyInteger
from vrcnn_int.research.quantizers.base import Quantizer, Stage
from vrcnn_int.research.quantizers.codes import Codes, chain
from vrcnn_int.training.brelu import BReLU
from vrcnn_int.training.module import Network, module_from, watch_activations


class Geometric(Quantizer):
    """Bounds by geometric progression, there from the first step of float training. Stages as in training: ``weights``, ``bounds``."""

    name = "brelu"
    float_rule = "geometric"

    def prepare(self, network: FloatNetwork, batches: Sequence[Tensor]) -> Network:
        return module_from(network).to(batches[0].device)

    def next_stage(self, gains: dict[str, float], steps: tuple[int, int]) -> Stage | None:
        if "weights" not in gains:
            return Stage("weights", steps[0])
        return Stage("bounds", steps[1], "weights") if "bounds" not in gains else None

    def enter(self, stage: str, network: Network, batches: Sequence[Tensor]) -> None:
        if stage == "weights":
            network.discretize_weights(self.weight_levels)
        else:
            network.quantize_bounds(self.plan(network.export()))

    def finish(self, network: Network) -> tuple[AnyInteger, str]:
        exported = network.export()
        plan = network.plan or self.plan(exported)
        if plan.levels != LEVELS:
            return extended(exported, plan), f"activations of 0..{plan.levels}, not 0..{LEVELS}"
        try:
            normative = to_integer(exported)
            check_limits(normative, "the network")
            return normative, ""
        except VrcnnError as error:
            return extended(exported, plan), str(error)

    def plan(self, network: FloatNetwork) -> Plan:
        """The normative plan, or where the last layer's multiplier leaves no room for it one that is not."""
        try:
            return make_plan(network, self.levels, self.weight_levels)
        except QuantizationError:
            return make_plan(network, self.levels, self.weight_levels, wide=True)


class Fixed(Geometric):
    """The same with ReLU6, the paper's row to compare with: all bounds 6."""

    name = "relu6"
    float_rule = "relu6"


class NSigma(Geometric):
    """Algorithm 1: float training without bounds, discretized weights, then bounds by the n-sigma rule, n from 3 in steps of 0.5.

    Each n starts from the discretized network; n grows until the loss against that network is at most ``threshold`` dB, a larger n is worse
    than the one before it, or ``last`` is reached. The network of the best n is kept. Stages: ``weights``, ``n=3.0``, ``n=3.5``, ...
    """

    name = "n-sigma"
    float_rule = "relu"

    def __init__(
        self, weight_bits: int = 8, activation_bits: int = 7, first: float = 3.0, last: float = 6.0, threshold: float = 0.005
    ) -> None:
        super().__init__(weight_bits, activation_bits)
        self.first, self.last, self.threshold = first, last, threshold

    def prepare(self, network: FloatNetwork, batches: Sequence[Tensor]) -> Network:
        module = super().prepare(network, batches)
        for activation in module.activations:
            activation.bound = float("inf")  # type: ignore[assignment]
        return module

    def next_stage(self, gains: dict[str, float], steps: tuple[int, int]) -> Stage | None:
        if "weights" not in gains:
            return Stage("weights", steps[0])
        tried = [name for name in gains if name != "weights"]
        if not tried:
            return Stage(f"n={self.first}", steps[1], "weights")
        n = float(tried[-1].removeprefix("n="))
        worse = len(tried) > 1 and gains[tried[-1]] < gains[tried[-2]]
        if gains[tried[-1]] >= gains["weights"] - self.threshold or worse or n >= self.last:
            return None
        return Stage(f"n={n + 0.5}", steps[1], "weights")

    def kept(self, gains: dict[str, float]) -> str:
        return max((name for name in gains if name != "weights"), key=gains.__getitem__)

    def enter(self, stage: str, network: Network, batches: Sequence[Tensor]) -> None:
        if stage != "weights":
            n = float(stage.removeprefix("n="))
            found = watch_activations(network, batches, lambda x: n_sigma([x.float().cpu().numpy()], n))
            for activation, values in zip(network.activations, found, strict=True):
                assert isinstance(activation, BReLU)
                activation.bound = sum(values) / len(values)
        super().enter(stage, network, batches)


def extended(network: FloatNetwork, plan: Plan) -> AnyInteger:
    """The integer network under a plan of any number of levels; pre-shift and multiplier are one 32-bit product with one rounding."""
    layers = []
    for i, branches in enumerate(integer_layers(network, plan)):
        limits = RESIDUAL if i == len(plan.branches) - 1 else (0, plan.levels)
        bits = 8 if i in (0, len(plan.branches) - 1) else (plan.weight_levels + 1).bit_length()
        layers.append(
            [
                (
                    Codes(branch.weights.astype(np.int16), 0, bits, rescale.delta, np.zeros(0)),
                    branch.bias.tolist(),
                    branch.multiplier,
                    branch.shift + 15,
                    *limits,
                )
                for branch, rescale in zip(branches, plan.branches[i], strict=True)
            ]
        )
    return chain(layers, network.qp, network.position)
