"""What each part of the quantization is worth (the paper's Tables 3 and 5), measured on float forms of the integer arithmetic.

No fine-tuning: every form is made from the same float network, so rows differ in one thing.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from vrcnn_int.io.pairs import PairFile
from vrcnn_int.network import FloatNetwork, load_float_networks
from vrcnn_int.quantize.plan import INPUT_RATIO, make_plan, weight_step
from vrcnn_int.quantize.ratio_sync import Rescale
from vrcnn_int.requant import LEVELS, multiplier_and_shift, round_half_up
from vrcnn_int.training.module import Network, module_from
from vrcnn_int.training.team import Team, psnr_gain

BITS = (8, 7, 6, 5, 4)


def quantized(network: FloatNetwork, bits: int = 7) -> Network:
    """The bounded form of a float network: 8-bit weights, activations of ``bits`` bits, ratios synchronized."""
    module = module_from(replace(network, tuning=None))
    module.quantize_bounds()
    for activation in module.activations:
        activation.levels = (1 << bits) - 1  # type: ignore[assignment]
    return module


def unsynchronized(network: FloatNetwork) -> Network:
    """The same with 7-bit activations and every branch at the ratio that its own weight step and multiplier give.

    The next layer takes all branches for the one of the smallest ratio, so the others come out too large.
    """
    module = module_from(replace(network, tuning=None))
    plan = make_plan(module.export())
    module.quantize_bounds(plan)  # the last layer and its output ratio stay as they are
    ratio = INPUT_RATIO
    for i, layer in enumerate(module.convolutions()[:-1]):
        branches = []
        for j, weight in enumerate(network.weights[i]):
            delta = weight_step(weight)
            bound = round_half_up(Fraction(network.bounds[i]) * ratio / delta)
            multiplier, shift = multiplier_and_shift(bound, f"layer {i + 1}, branch {j + 1}")
            branches.append(Rescale(delta, multiplier, shift, ratio / delta * Fraction(multiplier, 1 << (shift + 15))))
        ratio = min(branch.ratio for branch in branches)
        for conv, weight, bias, branch in zip(layer, network.weights[i], network.biases[i], branches, strict=True):
            steps = torch.floor(torch.from_numpy(weight) / float(branch.delta) + 0.5).clamp(-LEVELS, LEVELS)
            excess = float(branch.ratio / ratio)
            with torch.no_grad():
                conv.weight.copy_(steps * float(branch.delta) * excess)
                conv.bias.copy_(torch.from_numpy(bias) * excess)
            conv.step = None
        module.activations[i].bound = float(LEVELS / ratio)  # type: ignore[assignment]
    return module


FORMS = ("float", "unsynchronized", *(f"{bits} bits" for bits in BITS))
"""What is measured of each network."""


def networks_of(paths: list[Path], held_out: list[PairFile]) -> list[tuple[FloatNetwork, list[PairFile]]]:
    """The networks of float network files that have pair files of their QP and position, with these."""
    found = []
    for network in (network for path in paths for network in load_float_networks(path)[0]):
        files = [file for file in held_out if file.qp == network.qp and file.meta["position"] == network.position]
        if files:
            found.append((network, files))
    return found


def measure(
    network: FloatNetwork, files: list[PairFile], device: str = "cpu", advance: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """PSNR gains (dB) of a network on pair files: float, unsynchronized, and by activation bits; its QP and its rule for bounds."""
    row: dict[str, Any] = {"qp": network.qp, "bound_rule": network.provenance.get("settings", {}).get("bound_rule", "")}
    for form in FORMS:
        if form == "float":
            module = module_from(replace(network, tuning=None))
        else:
            module = unsynchronized(network) if form == "unsynchronized" else quantized(network, int(form.split()[0]))
        row[form] = psnr_gain(Team([module]).to(device), files, device).gain
        advance()
    return row
