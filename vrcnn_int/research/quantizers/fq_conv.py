"""FQ-Conv (Verhoef et al. 2019): fully quantized convolution with learned ranges, gradual quantization and noise.

Q(x) = e^s * round(clip(x / e^s, b, 1) * n) / n with b = -1 for weights and 0 for activations (the quantizer is the nonlinearity), n the
largest integer: 127, 7 and 1 for weights of 8, 4 and 2 bits. s learns by the gradient that autograd gives with rounding straight through:

    d Q / d s = Q - x inside the range, Q outside;        d Q / d x = 1 inside, 0 outside

Quantization is gradual: weights of 8, then 4, then 2 bits (ternary), each stage from the network of the one before. Noise can be added
in training to weights, activations and convolution outputs. Rounding is half up, the integer filter's only rule. At the start of each stage
the weights' ranges are set to those of least squared quantization error (our choice).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import exp, log
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

RATE = 10.0
"""Ranges learn at this multiple of the weights' rate."""


class LearnedRange(torch.autograd.Function):
    """Q(x; s) and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, s: Tensor, lowest: int, n: int) -> Tensor:
        scaled = x / s.exp()
        quantized = torch.floor(scaled.clamp(lowest, 1) * n + 0.5) / n * s.exp()
        ctx.save_for_backward(x, quantized, (scaled >= lowest) & (scaled <= 1))
        return quantized

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, quantized, inside = ctx.saved_tensors
        slope = torch.where(inside, quantized - x, quantized)
        return gradients[0] * inside, (gradients[0] * slope).sum(), None, None


@dataclass(frozen=True)
class Noise:
    """Standard deviations of Gaussian noise in integer steps; of convolution ``outputs`` in steps of the activations they become."""

    weights: float = 0.0
    activations: float = 0.0
    outputs: float = 0.0


def learned(value: float) -> nn.Parameter:
    """The parameter s of a range."""
    parameter = nn.Parameter(torch.tensor(log(max(value, 1e-8))))
    parameter.factor = RATE  # type: ignore[attr-defined]
    return parameter


def best_range(weight: Tensor, n: int) -> float:
    """The range, of 64 shares of max|W|, whose quantization to -n .. n has the least squared error."""
    largest = float(weight.detach().abs().max())
    candidates = torch.linspace(1 / 64, 1, 64, device=weight.device) * max(largest, 1e-8)
    scaled = (weight.detach().reshape(1, -1) / candidates[:, None]).clamp(-1, 1)
    errors = (torch.floor(scaled * n + 0.5) / n * candidates[:, None] - weight.detach().reshape(1, -1)).square().sum(1)
    return float(candidates[errors.argmin()])


class RangeWeights(WeightQuantizer):
    """Learned range of a weight tensor."""

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.s = learned(1.0)
        self.narrow(weight, bits)

    def narrow(self, weight: Tensor, bits: int) -> None:
        """Start with so many bits: n and the range of least error."""
        self.bits, self.n = bits, (1 << (bits - 1)) - 1
        with torch.no_grad():
            self.s.fill_(log(best_range(weight, self.n)))

    def forward(self, weight: Tensor) -> Tensor:
        result: Tensor = LearnedRange.apply(weight, self.s, -1, self.n)  # type: ignore[no-untyped-call]
        return result

    def codes(self, weight: Tensor) -> tuple[NDArray[np.int16], int, Fraction]:
        codes = torch.floor((weight.detach() / self.s.detach().exp()).clamp(-1, 1) * self.n + 0.5)
        return codes.cpu().numpy().astype(np.int16), 0, Fraction(exp(float(self.s.detach()))) / self.n


class RangeActivations(ActivationQuantizer):
    """Learned range of an activation tensor, 0 .. levels: nonlinearity and quantizer in one."""

    def __init__(self, levels: int) -> None:
        super().__init__(levels)
        self.s = learned(1.0)
        self.active = False
        self.noise = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return x.relu()
        result: Tensor = LearnedRange.apply(x, self.s, 0, self.levels)  # type: ignore[no-untyped-call]
        if self.training and self.noise:
            result = result + torch.randn_like(result) * (self.noise * self.s.detach().exp() / self.levels)
        return result

    def step(self) -> Fraction:
        return Fraction(exp(float(self.s.detach()))) / self.levels


class NoisyConv(QuantizedConv):
    """Convolution that adds noise in training. ``following``: the activations whose step its output noise is measured in."""

    def __init__(self, weight: Tensor, bias: Tensor, quantizer: RangeWeights, noise: Noise) -> None:
        super().__init__(weight, bias, quantizer)
        self.noise = noise
        self.following: list[RangeActivations] = []  # a list, so that it is no submodule

    def forward_weight(self) -> Tensor:
        weight = super().forward_weight()
        if self.training and self.noise.weights:
            assert isinstance(self.quantizer, RangeWeights)
            weight = weight + torch.randn_like(weight) * (self.noise.weights * self.quantizer.s.detach().exp() / self.quantizer.n)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.training and self.noise.outputs and self.following:
            (activation,) = self.following
            y = y + torch.randn_like(y) * (self.noise.outputs * activation.s.detach().exp() / activation.levels)
        return y


class FQConv(Quantizer):
    """Verhoef et al. 2019: stages ``8 bits``, ``4 bits``, ``2 bits`` down to the weights' own, each with an equal share of the steps."""

    name = "fq-conv"
    GRADES = (8, 4, 2)

    def __init__(self, weight_bits: int = 2, activation_bits: int = 7, noise: Noise | None = None) -> None:
        super().__init__(weight_bits, activation_bits)
        self.noise = noise or Noise()
        self.grades = [bits for bits in self.GRADES if bits > weight_bits] + [weight_bits]

    def prepare(self, network: FloatNetwork, batches: Sequence[Tensor]) -> Network:
        def convolution(weight: Tensor, bias: Tensor, bits: int) -> QuantizedConv:
            return NoisyConv(weight, bias, RangeWeights(weight, bits), self.noise)

        module = QuantizedNetwork(network, convolution, lambda _: RangeActivations(self.levels), 8)
        module.to(batches[0].device).eval()
        found = watch_activations(module, batches, lambda x: float(x.max()))
        for layer, activation, values in zip(module.quantized_convolutions(), module.activations, found, strict=False):
            assert isinstance(activation, RangeActivations)
            with torch.no_grad():
                activation.s.fill_(log(max(*values, 1e-8)))
            activation.active, activation.noise = True, self.noise.activations
            for conv in layer:
                assert isinstance(conv, NoisyConv)
                conv.following = [activation]
        return module.train()

    def next_stage(self, gains: dict[str, float], steps: tuple[int, int]) -> Stage | None:
        if len(gains) == len(self.grades):
            return None
        names = [f"{bits} bits" for bits in self.grades]
        return Stage(names[len(gains)], max(1, sum(steps) // len(names)), names[len(gains) - 1] if gains else None)

    def enter(self, stage: str, network: Network, batches: Sequence[Tensor]) -> None:
        assert isinstance(network, QuantizedNetwork)
        bits = int(stage.split()[0])
        if bits < 8:
            for layer in network.quantized_convolutions()[1:-1]:
                for conv in layer:
                    assert isinstance(conv.quantizer, RangeWeights)
                    conv.quantizer.narrow(conv.weight, bits)

    def finish(self, network: Network) -> tuple[AnyInteger, str]:
        assert isinstance(network, QuantizedNetwork)
        return network.finish()
