"""Affine quantization with ranges from moving averages (Jacob et al. 2018), batch normalization folded in training.

real = step * (code - zero_point). Weights: ranges of the tensor, nudged so that 0 has a code; codes 1 .. 2^bits - 1, so that as signed
integers the lowest is never taken (section 3). Activations: ranges by moving average; after ReLU the zero point is 0. Biases: int32 at the
product of both steps. Multipliers: 31 bits (section 2.2), one rounding of the 64-bit product.

``symmetric`` weights and 7-bit activations fit the normative filter; the paper's own form (zero points of weights, 8 bits) does not.
Zero points of weights cannot be folded into the bias: what they take off is the sum of the inputs, which is no constant.
The first layer's input has the zero point 128 and is 128 less in the filter already: borders of 0 are its zero point.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d

from vrcnn_int.network import FloatNetwork
from vrcnn_int.research.extended import AnyInteger
from vrcnn_int.research.quantizers.base import Quantizer, Stage
from vrcnn_int.research.quantizers.network import ActivationQuantizer, QuantizedConv, QuantizedNetwork, WeightQuantizer
from vrcnn_int.training.module import Network

DECAY = 0.99
"""Of the moving averages of ranges and moments."""

EPSILON = 1e-5


def nudge(low: Tensor, high: Tensor, least: int, most: int) -> tuple[Tensor, Tensor]:
    """(step, zero point) of a range: codes ``least`` .. ``most``, 0 exactly a code (Jacob et al. 2018, section 3). All scalars."""
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    step = (high - low).clamp(min=1e-12) / (most - least)
    return step, torch.floor(least - low / step + 0.5).clamp(least, most)


class FakeQuantize(torch.autograd.Function):
    """Rounded to codes within the range; gradient 1 inside the range, 0 outside (straight through)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, zero_point: Tensor, least: int, most: int) -> Tensor:
        ctx.save_for_backward(x, (least - zero_point) * step, (most - zero_point) * step)
        return (torch.floor(x / step + 0.5).add(zero_point).clamp(least, most) - zero_point) * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, low, high = ctx.saved_tensors
        return gradients[0] * ((x >= low) & (x <= high)), None, None, None, None


class AffineWeights(WeightQuantizer):
    """Range of the tensor, nudged; ``symmetric``: its largest magnitude both ways, which makes the zero point the middle code."""

    def __init__(self, bits: int, symmetric: bool) -> None:
        super().__init__()
        self.bits, self.symmetric = bits, symmetric

    def parameters_of(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(step, zero point)."""
        low, high = weight.detach().min(), weight.detach().max()
        if self.symmetric:
            high = torch.maximum(-low, high)
            low = -high
        return nudge(low, high, 1, (1 << self.bits) - 1)

    def forward(self, weight: Tensor) -> Tensor:
        step, zero_point = self.parameters_of(weight)
        result: Tensor = FakeQuantize.apply(weight, step, zero_point, 1, (1 << self.bits) - 1)  # type: ignore[no-untyped-call]
        return result

    def codes(self, weight: Tensor) -> tuple[NDArray[np.int16], int, Fraction]:
        step, zero_point = self.parameters_of(weight)
        codes = torch.floor(weight.detach() / step + 0.5).add(zero_point).clamp(1, (1 << self.bits) - 1).cpu().numpy().astype(np.int16)
        if self.symmetric:
            return codes - np.int16(zero_point), 0, Fraction(float(step))
        return codes, int(zero_point), Fraction(float(step))


class MovingRange(ActivationQuantizer):
    """ReLU, then 0 .. levels over a range that follows the largest value of each training batch.

    ``active``: False while ranges are only watched (the paper starts activation quantization late).
    """

    low: Tensor
    high: Tensor

    def __init__(self, levels: int) -> None:
        super().__init__(levels)
        self.active = False
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def watch(self, x: Tensor, decay: float) -> None:
        """Take the range of a batch into the averages."""
        self.low.lerp_(x.detach().min().to(self.low), 1 - decay)
        self.high.lerp_(x.detach().max().to(self.high), 1 - decay)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        if self.training:
            self.watch(x, DECAY)
        if not self.active:
            return x
        step, zero_point = nudge(self.low, self.high, 0, self.levels)  # zero_point is 0: nothing after ReLU is below 0
        result: Tensor = FakeQuantize.apply(x, step, zero_point, 0, self.levels)  # type: ignore[no-untyped-call]
        return result

    def step(self) -> Fraction:
        return Fraction(float(nudge(self.low, self.high, 0, self.levels)[0]))


class FoldedConv(QuantizedConv):
    """Convolution and batch normalization as one: W gamma / sqrt(average of the variance + epsilon), quantized (Eq. 14).

    In training a plain convolution gives the moments of each batch, which the averages follow. ``start`` makes the normalization
    leave the function as it was.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, quantizer: WeightQuantizer) -> None:
        super().__init__(weight, bias, quantizer)
        outputs = len(bias)
        self.gamma = nn.Parameter(torch.ones(outputs))
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("variance", torch.ones(outputs))

    def watch(self, x: Tensor, decay: float) -> None:
        """Take the moments of a batch of inputs into the averages."""
        with torch.no_grad():
            variance, mean = torch.var_mean(conv2d(x, self.weight), (0, 2, 3))
            self.mean.lerp_(mean, 1 - decay)
            self.variance.lerp_(variance, 1 - decay)

    def start(self, x: Tensor) -> None:
        """gamma and bias such that the normalization by the moments of ``x`` changes nothing."""
        self.watch(x, 0.0)
        with torch.no_grad():
            self.gamma.copy_((self.variance + EPSILON).sqrt())
            self.bias.add_(self.mean)

    def folded(self) -> tuple[Tensor, Tensor]:
        factor = self.gamma / (self.variance + EPSILON).sqrt()
        return self.weight * factor[:, None, None, None], self.bias - self.mean * factor

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.watch(x, DECAY)
        return super().forward(x)


class Affine(Quantizer):
    """Jacob et al. 2018. Stages: ``ranges`` (weights quantized, ranges of activations watched), ``activations`` (both quantized).

    ``symmetric``: weights without zero point. ``batch_norm``: every convolution gets a batch normalization, folded in training.
    """

    name = "affine"

    def __init__(self, weight_bits: int = 8, activation_bits: int = 8, symmetric: bool = False, batch_norm: bool = False) -> None:
        super().__init__(weight_bits, activation_bits)
        self.symmetric, self.batch_norm = symmetric, batch_norm

    def prepare(self, network: FloatNetwork, batches: Sequence[Tensor]) -> Network:
        def convolution(weight: Tensor, bias: Tensor, bits: int) -> QuantizedConv:
            return (FoldedConv if self.batch_norm else QuantizedConv)(weight, bias, AffineWeights(bits, self.symmetric))

        module = QuantizedNetwork(network, convolution, lambda _: MovingRange(self.levels), self.weight_bits).eval()
        module.to(batches[0].device)
        hooks = [conv.register_forward_pre_hook(_start) for layer in module.quantized_convolutions() for conv in layer]
        with torch.no_grad():
            module(batches[0], valid=True)
        for hook in hooks:
            hook.remove()
        for number, batch in enumerate(batches):  # the averages start as plain means
            decay = number / (number + 1)
            hooks = [a.register_forward_pre_hook(lambda a, inputs, d=decay: a.watch(inputs[0].relu(), d)) for a in module.activations]
            with torch.no_grad():
                module(batch, valid=True)
            for hook in hooks:
                hook.remove()
        return module.train()

    def next_stage(self, gains: dict[str, float], steps: tuple[int, int]) -> Stage | None:
        if "ranges" not in gains:
            return Stage("ranges", steps[0])
        return Stage("activations", steps[1], "ranges") if "activations" not in gains else None

    def enter(self, stage: str, network: Network, batches: Sequence[Tensor]) -> None:
        for activation in network.activations:
            assert isinstance(activation, MovingRange)
            activation.active = stage == "activations"

    def finish(self, network: Network) -> tuple[AnyInteger, str]:
        assert isinstance(network, QuantizedNetwork)
        return network.finish()


def _start(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if isinstance(conv, FoldedConv):
        conv.start(inputs[0])
