"""Trained quantization thresholds (Jain et al. 2019): power-of-two steps, one a tensor, whose thresholds learn by gradient.

q(x) = clip(round(x / s), n, p) * s with s = 2^ceil(log2 t) / 2^(bits - 1) (activations after ReLU: 2^bits). Gradients (the paper's Eq. 6
to 8), with ceil straight through:

    d q / d log2 t = s ln 2 * (round(x / s) - x / s    inside;    n    below;    p    above)
    d q / d x      = 1 inside, 0 outside

Two things differ from the paper. Rounding is half up, the integer filter's only rule, not half to even. Weights are -127 .. 127: the filter
has no -128. Where 7-bit activations meet 8-bit weights, all multipliers are powers of two, and the normative filter gives exactly the
integers of the fake-quantized network.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import log, log2
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vrcnn_int.network import FloatNetwork
from vrcnn_int.research.extended import AnyInteger
from vrcnn_int.research.quantizers.base import Quantizer, Stage
from vrcnn_int.research.quantizers.network import ActivationQuantizer, QuantizedConv, QuantizedNetwork, WeightQuantizer
from vrcnn_int.training.module import Network, watch_activations

UNIT = Fraction(256, 255)
"""Activation steps are powers of two of this: one step of the input, 1/255, is then 2^-8, and so is one of the output."""

RATE = 100.0
"""Thresholds learn at this multiple of the weights' rate: 1e-2 beside 1e-4 (the paper: 1e-2 beside 1e-6)."""


def step_of(log_threshold: Tensor, bits: int) -> Tensor:
    """s for a threshold and so many magnitude bits (weights: one less than their width)."""
    return torch.exp2(torch.ceil(log_threshold) - bits)


class TQTFunction(torch.autograd.Function):
    """q(x; log2 t) and its gradients. ``unit``: what the threshold is a multiple of."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_threshold: Tensor, bits: int, least: int, most: int, unit: float) -> Tensor:
        step = step_of(log_threshold, bits) * unit
        steps = torch.floor(x / step + 0.5)
        ctx.save_for_backward(x / step, steps, step)
        ctx.limits = least, most
        return steps.clamp(least, most) * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        scaled, steps, step = ctx.saved_tensors
        least, most = ctx.limits
        inside = (steps >= least) & (steps <= most)
        slope = step * log(2) * torch.where(inside, steps - scaled, steps.clamp(least, most))
        return gradients[0] * inside, (gradients[0] * slope).sum(), None, None, None, None


class Threshold(nn.Module):
    """log2 t, learned; ``magnitude_bits`` as in step_of."""

    def __init__(self, magnitude_bits: int, value: float) -> None:
        super().__init__()
        self.magnitude_bits = magnitude_bits
        self.log_threshold = nn.Parameter(torch.tensor(log2(max(value, 1e-8))))
        self.log_threshold.factor = RATE  # type: ignore[attr-defined]

    def step(self) -> Fraction:
        """The power of two, exactly."""
        return Fraction(2) ** int(torch.ceil(self.log_threshold.detach()) - self.magnitude_bits)


class TQTWeights(WeightQuantizer):
    """Threshold of a weight tensor; starts at 3 standard deviations, the paper's choice."""

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.limit = (1 << (bits - 1)) - 1
        self.threshold = Threshold(bits - 1, 3 * float(weight.std()))

    def forward(self, weight: Tensor) -> Tensor:
        t = self.threshold
        result: Tensor = TQTFunction.apply(weight, t.log_threshold, t.magnitude_bits, -self.limit, self.limit, 1.0)  # type: ignore[no-untyped-call]
        return result

    def codes(self, weight: Tensor) -> tuple[NDArray[np.int16], int, Fraction]:
        step = self.threshold.step()
        steps = torch.floor(weight.detach() / float(step) + 0.5).clamp(-self.limit, self.limit)
        return steps.cpu().numpy().astype(np.int16), 0, step


class TQTActivations(ActivationQuantizer):
    """ReLU and threshold of an activation tensor, 0 .. levels. Starts at the largest value of the batches it is prepared with."""

    def __init__(self, levels: int) -> None:
        super().__init__(levels)
        self.threshold = Threshold((levels + 1).bit_length() - 1, 1.0)
        self.active = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return x.relu()
        t = self.threshold
        result: Tensor = TQTFunction.apply(x.relu(), t.log_threshold, t.magnitude_bits, 0, self.levels, float(UNIT))  # type: ignore[no-untyped-call]
        return result

    def step(self) -> Fraction:
        return self.threshold.step() * UNIT


class TQT(Quantizer):
    """Jain et al. 2019: one stage, ``thresholds``, in which weights and thresholds learn together."""

    name = "tqt"

    def prepare(self, network: FloatNetwork, batches: Sequence[Tensor]) -> Network:
        def convolution(weight: Tensor, bias: Tensor, bits: int) -> QuantizedConv:
            return QuantizedConv(weight, bias, TQTWeights(weight, bits))

        module = QuantizedNetwork(network, convolution, lambda _: TQTActivations(self.levels), self.weight_bits)
        module.to(batches[0].device).eval()
        found = watch_activations(module, batches, lambda x: float(x.max()))
        for activation, values in zip(module.activations, found, strict=True):
            assert isinstance(activation, TQTActivations)
            with torch.no_grad():
                activation.threshold.log_threshold.fill_(log2(max(max(values) / float(UNIT), 1e-8)))
            activation.active = True
        return module.train()

    def next_stage(self, gains: dict[str, float], steps: tuple[int, int]) -> Stage | None:
        return None if gains else Stage("thresholds", sum(steps))

    def enter(self, stage: str, network: Network, batches: Sequence[Tensor]) -> None:
        """Nothing: the prepared network is in its form."""

    def finish(self, network: Network) -> tuple[AnyInteger, str]:
        assert isinstance(network, QuantizedNetwork)
        return network.finish(floors=True)
