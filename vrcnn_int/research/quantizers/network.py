"""The network of fake-quantized convolutions that three of the quantizers share."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import Branch, IntegerNetwork, check_limits
from vrcnn_int.network import FloatNetwork
from vrcnn_int.proofs import prove
from vrcnn_int.quantize.plan import INPUT_RATIO
from vrcnn_int.quantize.ratio_sync import Rescale, reach
from vrcnn_int.requant import LEVELS, QuantizationError, last_multiplier
from vrcnn_int.research.extended import RESIDUAL, AnyInteger, ExtendedNetwork, fixed_point
from vrcnn_int.research.quantizers.codes import Codes, chain, int32, integer_bias
from vrcnn_int.training.module import DiscretizedConv, Network


class WeightQuantizer(nn.Module):
    """Fake quantization of a weight tensor; ``bits`` of its codes."""

    bits: int

    def forward(self, weight: Tensor) -> Tensor:
        """The quantized weights, real values, with the method's gradient."""
        raise NotImplementedError

    def codes(self, weight: Tensor) -> tuple[NDArray[np.int16], int, Fraction]:
        """(codes, zero point, step) of the same weights."""
        raise NotImplementedError


class ActivationQuantizer(nn.Module):
    """ReLU with fake quantization to 0 .. ``levels`` times a step; what BReLU is in module.Network."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def step(self) -> Fraction:
        """Real value of one integer step, exactly as the float numbers have it."""
        raise NotImplementedError

    @property
    def bound(self) -> float:
        """The upper limit in float units."""
        return float(self.levels * self.step())


class QuantizedConv(DiscretizedConv):
    """Convolution with a weight quantizer. ``frozen``: the weights' step once it is fixed, in place of the quantizer's."""

    def __init__(self, weight: Tensor, bias: Tensor, quantizer: WeightQuantizer) -> None:
        super().__init__(weight.shape[1], weight.shape[0], weight.shape[2])
        with torch.no_grad():
            self.weight.copy_(weight)
            self.bias.copy_(bias)
        self.quantizer = quantizer
        self.frozen: Fraction | None = None

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias as the convolution uses them, before quantization."""
        return self.weight, self.bias

    def quantized(self, weight: Tensor) -> Tensor:
        """Fake-quantized ``weight``."""
        if self.frozen is None:
            return self.quantizer(weight)  # type: ignore[no-any-return]
        codes, step = self.frozen_codes(weight)
        return torch.from_numpy(codes).to(weight.dtype) * float(step)

    def forward_weight(self) -> Tensor:
        return self.quantized(self.folded()[0])

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.forward_weight(), self.folded()[1])

    def frozen_codes(self, weight: Tensor) -> tuple[NDArray[np.int16], Fraction]:
        """Codes at the frozen step, limited as the quantizer's are."""
        assert self.frozen is not None
        limit = (1 << (self.quantizer.bits - 1)) - 1
        steps = np.floor(weight.detach().cpu().numpy().astype(np.float64) / float(self.frozen) + 0.5)
        return np.clip(steps, -limit, limit).astype(np.int16), self.frozen

    def integers(self) -> Codes:
        """The branch in integers."""
        weight, bias = self.folded()
        real_bias = bias.detach().cpu().numpy().astype(np.float64)
        if self.frozen is not None:
            codes, step = self.frozen_codes(weight)
            return Codes(codes, 0, self.quantizer.bits, step, real_bias)
        codes, zero_point, step = self.quantizer.codes(weight)
        return Codes(codes, zero_point, self.quantizer.bits, step, real_bias)


class QuantizedNetwork(Network):
    """module.Network with a method's own quantizers of weights and activations.

    ``convolution(weight, bias, bits)`` and ``activation(number)`` make its parts, the first with the bits of its layer.
    """

    def __init__(
        self,
        network: FloatNetwork,
        convolution: Callable[[Tensor, Tensor, int], QuantizedConv],
        activation: Callable[[int], ActivationQuantizer],
        weight_bits: int,
    ) -> None:
        super().__init__(network.architecture, network.bounds, network.qp, network.position)
        layers = []
        for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
            bits = 8 if i in (0, len(network.weights) - 1) else weight_bits
            branches = zip(weights, biases, strict=True)
            layers.append(nn.ModuleList(convolution(torch.from_numpy(w), torch.from_numpy(b), bits) for w, b in branches))
        self.layers = nn.ModuleList(layers)
        self.activations = nn.ModuleList(activation(i) for i in range(len(network.weights) - 1))

    def quantized_convolutions(self) -> list[list[QuantizedConv]]:
        """The convolutions by layer and branch."""
        return [[conv for conv in layer if isinstance(conv, QuantizedConv)] for layer in self.convolutions()]

    def quantizers(self) -> list[ActivationQuantizer]:
        """The quantizers of the hidden layers' activations."""
        return [a for a in self.activations if isinstance(a, ActivationQuantizer)]

    def clamp_weights(self) -> None:
        """Nothing: these methods do not hold weights within limits."""

    def ratios_in(self) -> list[Fraction]:
        """Integer steps per 1.0 of each layer's input."""
        return [INPUT_RATIO, *(1 / activation.step() for activation in self.quantizers())]

    def freeze(self) -> list[list[Rescale]]:
        """Fix every weight step so that the normative filter's multipliers are exact, as bounded ReLU's ratio synchronization does.

        Each step grows to the next that can be expressed (by less than 1/127, in the last layer 1/512; powers of two stay), and the weights
        are rounded to it. Raises QuantizationError if the normative filter has no room for the network.
        """
        ratios = self.ratios_in()
        plan: list[list[Rescale]] = []
        for i, layer in enumerate(self.quantized_convolutions()):
            rescales = []
            for j, conv in enumerate(layer):
                name = f"layer {i + 1}, branch {j + 1}"
                conv.frozen = None
                codes = conv.integers()
                if codes.zero_point or np.abs(codes.weights).max() > LEVELS:
                    raise QuantizationError(f"{name}: weights have a zero point")
                if i < len(self.activations):
                    if self.quantizers()[i].levels != LEVELS:
                        raise QuantizationError(f"activations of 0..{self.quantizers()[i].levels}, not 0..{LEVELS}")
                    rescales.append(reach(ratios[i], codes.step, ratios[i + 1], name, coarse=True))
                else:
                    multiplier, shift = last_multiplier(INPUT_RATIO * codes.step / ratios[i], name)
                    step = ratios[i] * Fraction(multiplier, 1 << (shift + 15)) / INPUT_RATIO
                    rescales.append(Rescale(step, multiplier, shift, INPUT_RATIO))
            plan.append(rescales)
        for layer, rescales in zip(self.quantized_convolutions(), plan, strict=True):
            for conv, rescale in zip(layer, rescales, strict=True):
                conv.frozen = rescale.delta
        return plan

    def normative(self, floors: bool = False) -> IntegerNetwork:
        """Freeze, and give the integer network; raises QuantizationError or ModelError if it does not fit.

        ``floors``: where all multipliers are powers of two. Half a step of the pre-shift is taken off the bias then, so that the pre-shift
        floors, and two shifts round as one.
        """
        plan = self.freeze()
        layers = []
        for ratio, convs, rescales in zip(self.ratios_in(), self.quantized_convolutions(), plan, strict=True):
            branches = []
            for conv, rescale in zip(convs, rescales, strict=True):
                codes = conv.integers()
                half = (1 << rescale.shift) >> 1 if floors else 0
                bias = [value - half for value in integer_bias(codes, ratio)]
                weights = codes.weights.astype(np.int8)
                branches.append(Branch(weights.shape[2], rescale.shift, rescale.multiplier, weights, int32(bias)))
            layers.append(tuple(branches))
        network = IntegerNetwork(tuple(layers), self.qp, self.position)
        check_limits(network, "the network")
        prove(network)
        return network

    def extended(self) -> ExtendedNetwork:
        """The integer network with a multiplier of 31 bits for each branch (Jacob et al. 2018, section 2.2)."""
        for layer in self.quantized_convolutions():
            for conv in layer:
                conv.frozen = None
        ratios, levels = self.ratios_in(), [activation.levels for activation in self.quantizers()]
        layers = []
        for i, layer in enumerate(self.quantized_convolutions()):
            ratio_out = ratios[i + 1] if i < len(levels) else INPUT_RATIO
            limits = (0, levels[i]) if i < len(levels) else RESIDUAL
            branches = []
            for conv in layer:
                codes = conv.integers()
                multiplier, shift = fixed_point(float(codes.step * ratio_out / ratios[i]))
                branches.append((codes, integer_bias(codes, ratios[i]), multiplier, shift, *limits))
            layers.append(branches)
        return chain(layers, self.qp, self.position)

    def finish(self, floors: bool = False) -> tuple[AnyInteger, str]:
        """The normative network and "", or the extended one and why it is not normative."""
        try:
            return self.normative(floors), ""
        except VrcnnError as error:
            return self.extended(), str(error)
