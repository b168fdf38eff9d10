"""What a run begins with: bounds of the activations, and the weights of another network."""

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io import pairs
from vrcnn_int.network import NETWORKS, FloatNetwork, widened
from vrcnn_int.quantize import bounds
from vrcnn_int.training.brelu import BReLU
from vrcnn_int.training.module import Network, watch_activations
from vrcnn_int.training.sampling import Patches
from vrcnn_int.training.settings import STAGES, TrainSettings
from vrcnn_int.training.team import Team


def choose_bounds(files: list[pairs.PairFile], settings: TrainSettings) -> tuple[float, tuple[float, ...]]:
    """(r, bounds h_rf): geometric progression from the settings' r, its quantile on the data, or the authors' value."""
    residual = settings.residual
    if settings.residual_quantile is not None:
        sample = [o.astype(np.float32) - r for file in files for r, o in zip(file.recon[::8], file.original[::8], strict=True)]
        differences: NDArray[np.floating] = np.concatenate([plane.ravel() for plane in sample])
        residual = bounds.residual_quantile(differences, settings.residual_quantile)
    if residual is None:
        residual = bounds.residual_for_qp(files[0].qp)
    return residual, bounds.bounds_for(NETWORKS[settings.network], residual)


def fitting_start(networks: Sequence[FloatNetwork], settings: TrainSettings, qp: int, position: str) -> FloatNetwork:
    """The network to begin with among those of a file: the only one, or the first of the run's QP, position and, if any is, architecture.

    Of a file without a network of that position: the first of the QP, of the other position, which reads the same pictures but for the
    ordinary filters. Sets have specialists behind the networks for whole pictures. Raises VrcnnError where none is for that QP, and for one
    that neither has the run's architecture nor can be widened to it.
    """
    there = [network for network in networks if network.position == position] or networks
    alike = [network for network in there if network.qp == qp]
    own = [network for network in alike if network.architecture == NETWORKS[settings.network]]
    found = [*networks] if len(networks) == 1 else [*own, *alike]
    if not found:
        has = ", ".join(dict.fromkeys(f"QP {network.qp} {network.position}" for network in networks))
        raise VrcnnError(f"no network of the file to start with is for QP {qp}, {position}; it has {has or 'none'}")
    with suppress(VrcnnError):
        widened(found[0], NETWORKS[settings.network])
        return found[0]
    name = next((name for name, known in NETWORKS.items() if known == found[0].architecture), f"{found[0].kind} {found[0].size}")
    raise VrcnnError(
        f"the network to start with is {name}, which is not, and cannot be widened to, network={settings.network}: "
        f"give --set network={name}, or another --start"
    )


def begin_with(network: Network, start: FloatNetwork, scale: float = 1.0) -> None:
    """Give a network another's function: its weights, scaled to the network's own bounds (BReLU(c x; c h) = c BReLU(x; h)).

    ``scale``: factor on the residual. QP and position may differ, and the network may be wider (network.widened).
    Raises VrcnnError for another architecture, and for a network whose bounds are quantized or infinite.
    """
    if start.architecture != network.export().architecture:
        start = widened(start, network.export().architecture)
    limits = [float(activation.bound) for activation in network.activations]  # type: ignore[arg-type]
    if start.tuning or not np.isfinite([*limits, *start.bounds]).all():
        raise VrcnnError("training starts from a network of stage 1 (float.npz) with bounds, and with bounds of its own")
    ratios = [1.0, *(own / other for own, other in zip(limits, start.bounds, strict=True))]
    with torch.no_grad():
        for i, layer in enumerate(network.convolutions()):
            after = ratios[i + 1] if i < len(limits) else scale
            for conv, weight, bias in zip(layer, start.weights[i], start.biases[i], strict=True):
                conv.weight.copy_(torch.from_numpy(weight * np.float32(after / ratios[i])))
                conv.bias.copy_(torch.from_numpy(bias * np.float32(after)))


def begin_team(settings: TrainSettings, limits: tuple[float, ...], qp: int, position: str, start: FloatNetwork | None) -> Team:
    """The networks of a run, on its device, before the first step.

    ``limits``: bounds h_rf by the geometric progression, for the settings' rule. ``start``: the network that they begin with, if any.
    Raises VrcnnError for settings about a network to start with where there is none, and as begin_with does.
    """
    limits = {"geometric": limits, "relu6": (6.0,) * len(limits)}.get(settings.bound_rule, (float("inf"),) * len(limits))
    networks = [Network(NETWORKS[settings.network], limits, qp, position) for _ in range(settings.specialists)]
    with torch.no_grad():
        for network in networks:
            network.weight_limit = settings.weight_limit
            for conv in network.convolutions()[-1]:
                conv.weight.mul_(settings.last_layer / 0.1)  # the module starts with 0.1
    rival = None
    if start is not None:
        for network, scale in zip(networks, np.linspace(1 - settings.spread, 1 + settings.spread, settings.specialists), strict=True):
            begin_with(network, start, scale)
        if settings.beside_start:
            rival = deepcopy(networks[0])
            begin_with(rival, start)
    elif settings.beside_start or settings.spread:
        raise VrcnnError("beside_start and spread are about the network of --start, which is missing")
    team: Team = Team(networks, rival).to(device=settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return team


def measure_bounds(team: Team, patches: Patches, settings: TrainSettings, batches: int = 8) -> None:
    """Set the bounds of the hidden layers from the values before each activation: by the n-sigma rule, or (relu) their maximum."""
    inputs = range_batches(patches, batches)
    n_sigma = settings.bound_rule == "n-sigma"
    for network in team:
        if n_sigma:
            values = watch_activations(network, inputs, lambda x: bounds.n_sigma([x.float().cpu().numpy()], settings.sigma))
        else:
            values = watch_activations(network, inputs, lambda x: float(x.max()))
        for activation, seen in zip(network.activations, values, strict=True):
            assert isinstance(activation, BReLU)
            activation.bound = sum(seen) / len(seen) if n_sigma else max(seen)


def range_batches(patches: Patches, batches: int = 8) -> list[torch.Tensor]:
    """Training inputs [N, C, H, W] that ranges are measured on; always the same for a seed."""
    return [patches.cut(torch.from_numpy(patches.draw(len(STAGES), number)[0]).to(patches.device)).x for number in range(batches)]
