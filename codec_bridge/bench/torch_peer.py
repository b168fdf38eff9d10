"""The float network as PyTorch runs it without this project: what codec-bridge bench compares with. Nothing else needs this module."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import FloatNetwork

FORMS = ("fp32", "bf16", "int8")


class Plain(nn.Module):
    """Convolutions that pad for themselves, activations between them, channels last: what PyTorch is fast with.

    forward: x [N, C, H, W], (s - 128) / 255 -> x + residual. ``clipped``: activations end at the bounds; without, in int8, the 8-bit
    scale ends there.
    """

    def __init__(self, network: FloatNetwork, clipped: bool) -> None:
        super().__init__()
        self.entry = nn.Identity()  # so that quantization can be told what x is like, apart from what layer 1 gives
        self.layers = nn.ModuleList()
        self.sums = nn.ModuleList()  # what ends the layers that add
        self.added = network.added
        for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
            layer = nn.ModuleList()
            for weight, bias in zip(weights, biases, strict=True):
                outputs, inputs, size, _ = weight.shape
                branch = nn.Sequential(nn.Conv2d(inputs, outputs, size, padding=size // 2))
                branch[0].weight = nn.Parameter(torch.from_numpy(weight.copy()))
                branch[0].bias = nn.Parameter(torch.from_numpy(bias.copy()))
                if i < len(network.bounds) and not network.added[i]:
                    branch.append(self._activation(network.bounds[i], clipped))
                layer.append(branch)
            self.layers.append(layer)
            self.sums.append(self._activation(network.bounds[i], clipped) if network.added[i] else nn.Identity())
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    def _activation(bound: float, clipped: bool) -> nn.Module:
        return nn.Hardtanh(0, bound, inplace=True) if clipped else nn.ReLU()

    def residual(self, x: Tensor) -> Tensor:
        results: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleList)
            outputs = [branch(x) for branch in layer]
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)
            if self.added[i]:
                x = self.sums[i](x + results[i - self.added[i]])
            results.append(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        return x + self.residual(x)


def run_in_torch(
    network: FloatNetwork, form: str, threads: int, calibration: list[NDArray[np.float32]]
) -> Callable[[NDArray[np.float32]], Callable[[], NDArray[np.float32]]]:
    """A function of x [1, C, H, W] that gives a function that filters it, in fp32, bf16 or int8, eagerly and on so many threads.

    int8: weights by channel, activations by layer, quantized with ``calibration`` pictures (oneDNN where it is there). bf16: the
    residual, which is added to x in fp32. Raises VrcnnError if not all convolutions have become int8.
    """
    torch.set_num_threads(threads)
    module = Plain(network, clipped=form != "int8").eval()
    apply: Callable[[Tensor], Tensor] = module
    if form == "int8":
        apply = _quantized(module, network, calibration)
    elif form == "bf16":
        module.bfloat16()

        def apply(x: Tensor) -> Tensor:
            return x + module.residual(x.bfloat16()).float()

    def prepare(x: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
        tensor = torch.from_numpy(x)

        def run() -> NDArray[np.float32]:
            with torch.inference_mode():
                filtered: NDArray[np.float32] = apply(tensor).numpy()
            return filtered

        return run

    return prepare


def _quantized(module: Plain, network: FloatNetwork, calibration: list[NDArray[np.float32]]) -> Callable[[Tensor], Tensor]:
    """Static quantization by FX graph mode. Hidden activations: 0..255 steps of bound / 255; input and output: the 256 sample values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao.nn import quantized
        from torch.ao.quantization import FixedQParamsObserver, MinMaxObserver, QConfig, QConfigMapping, default_per_channel_weight_observer
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        def fixed(scale: float, zero_point: int) -> QConfig:
            observer = FixedQParamsObserver.with_args(scale=scale, zero_point=zero_point, dtype=torch.quint8, quant_min=0, quant_max=255)
            return QConfig(observer, default_per_channel_weight_observer)  # type: ignore[no-untyped-call]

        engines = torch.backends.quantized.supported_engines
        torch.backends.quantized.engine = "onednn" if "onednn" in engines else "qnnpack"
        mapping = QConfigMapping().set_global(fixed(1 / 255, 128)).set_object_type(torch.cat, fixed(1, 0))
        for i, bound in enumerate(network.bounds):
            mapping = mapping.set_module_name(f"{'sums' if network.added[i] else 'layers'}.{i}", fixed(bound / 255, 0))
        ranged = MinMaxObserver.with_args(dtype=torch.quint8, qscheme=torch.per_tensor_affine)
        last = QConfig(ranged, default_per_channel_weight_observer)  # type: ignore[no-untyped-call]
        for i, back in enumerate(network.added):
            if back or i == len(network.bounds):
                mapping = mapping.set_module_name(f"layers.{i}", last)
        example = torch.from_numpy(calibration[0])
        observed = prepare_fx(module, mapping, (example,))
        with torch.inference_mode():
            for picture in calibration:
                observed(torch.from_numpy(picture))
            converted = convert_fx(observed)
    wanted = sum(map(len, network.weights))
    found = sum(isinstance(part, quantized.Conv2d) for part in converted.modules())
    if found != wanted:
        raise VrcnnError(f"only {found} of {wanted} convolutions became int8")
    result: Callable[[Tensor], Tensor] = converted
    return result
