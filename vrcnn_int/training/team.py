"""Networks that are trained together: each learns most from the patches that it filters best (an encoder chooses a network per unit)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.pairs import PairFile, Plane
from vrcnn_int.network import FloatNetwork
from vrcnn_int.quantize.plan import Plan
from vrcnn_int.training.module import Network
from vrcnn_int.training.sampling import planes_of, sites_of

UNIT = 64
"""Side of the units that validation lets choose their network."""

GENERAL = 0.1
"""Share of every patch's error that all networks learn from alike, so that none is left without work."""


class Team(nn.Module):
    """One or more networks of the same QP and position, through the same stages.

    ``rival``: one more that an encoder will choose among, which stays as it is: what it filters best, the others need not learn.
    """

    def __init__(self, networks: Sequence[Network], rival: Network | None = None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.rival = rival.requires_grad_(False) if rival is not None else None

    def __iter__(self) -> Iterator[Network]:
        for network in self.networks:
            assert isinstance(network, Network)
            yield network

    def round_first_layers(self, inputs: Sequence[Tensor]) -> None:
        """Network.round_first_layer of every network."""
        for network in self:
            network.round_first_layer(inputs)

    def round_first_activations(self) -> None:
        """Network.round_first_activations of every network, and of the rival, which an encoder has in integers, too."""
        for network in self:
            network.round_first_activations()
        if isinstance(self.rival, Network):
            self.rival.round_first_activations()

    def round_layers(self, inputs: Sequence[Tensor]) -> None:
        """Network.round_layers of every network."""
        for network in self:
            network.round_layers(inputs)

    def hold_first_layers(self) -> None:
        """Network.hold_first_layer of every network."""
        for network in self:
            network.hold_first_layer()

    def discretize_weights(self) -> None:
        """Second training stage of every network."""
        for network in self:
            network.discretize_weights()

    def quantize_bounds(self, plans: Sequence[Plan | None]) -> None:
        """Third training stage of every network."""
        for network, plan in zip(self, plans, strict=True):
            network.quantize_bounds(plan)

    def clamp_weights(self) -> None:
        """Network.clamp_weights of every network."""
        for network in self:
            network.clamp_weights()

    def export(self) -> list[FloatNetwork]:
        """The weights as numpy data."""
        return [network.export() for network in self]


def shares(errors: Tensor, difficulty: Tensor | None, rival: Tensor | None = None) -> Tensor:
    """How much of each patch's error each network learns from: [K, N], columns sum to 1, or to GENERAL where the rival is best.

    ``errors`` [K, N]: of each network on each patch; ``rival`` [N]: of the rival. ``difficulty`` [N]: at the start, when the networks do
    not differ yet, patches are dealt out by it, the easiest to the first network; None: to the network that is best.
    """
    count, patches = errors.shape
    if difficulty is None:
        owner = (errors if rival is None else torch.cat([errors, rival[None]])).detach().argmin(0)
    else:
        owner = difficulty.argsort().argsort() * count // patches
    owned = (torch.arange(count, device=errors.device)[:, None] == owner).to(errors.dtype)
    return owned if count == 1 and rival is None else owned * (1 - GENERAL) + GENERAL / count


def unit_errors(samples: NDArray[np.floating], original: NDArray[np.uint8], side: int = UNIT) -> NDArray[np.floating]:
    """Sum of squared errors of each unit of a plane, of side x side samples."""
    squares = (samples - original) ** 2
    rows = np.add.reduceat(squares, np.arange(0, squares.shape[0], side), axis=0)
    sums: NDArray[np.floating] = np.add.reduceat(rows, np.arange(0, squares.shape[1], side), axis=1)
    return sums


@dataclass(frozen=True)
class Gains:
    """PSNR in dB, means over pictures. ``before``: of unfiltered luma; ``gain``: where each unit has the best network of the team (with
    one network: everywhere that one); ``each``: of each network everywhere, the rival's last. ``chroma``: of Cb and Cr, as ``gain``, of
    pictures that have colour; empty of networks that do not filter it."""

    before: float
    gain: float
    each: list[float]
    chroma: list[float]


def psnr_gain(team: Team, files: list[PairFile], device: str, precision: str = "fp32") -> Gains:
    """What the team gains on the pictures of pair files.

    Planes that equal their originals, before or after, have no PSNR and are left out; raises VrcnnError if luma has no others.
    """
    found: list[list[list[float]]] = [[], [], []]
    team.eval()
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        for recon, original in (pair for file in files for pair in file.planes()):
            outputs = filtered(team, recon, device)
            for number, planes in enumerate(zip(*outputs, strict=True)):
                side = UNIT if number == 0 else UNIT // 2
                errors = np.stack([unit_errors(output, original[number], side) for output in (recon[number].astype(np.float64), *planes)])
                compared = (errors[0], errors[1:].min(axis=0), *errors[1:])
                if all(error.any() for error in compared):
                    found[number].append([float(10 * np.log10(255**2 / (error.sum() / recon[number].size))) for error in compared])
    team.train()
    if not found[0]:
        raise VrcnnError("the validation pictures equal their originals: there is no PSNR to gain")
    before, best, *single = np.mean(found[0], axis=0).tolist()
    chroma = [np.mean(results, axis=0).tolist() for results in found[1:] if results]
    return Gains(before, best - before, [value - before for value in single], [values[1] - values[0] for values in chroma])


def filtered(team: Team, recon: tuple[Plane, ...], device: str) -> list[tuple[NDArray[np.floating], ...]]:
    """What each network of the team, and then the rival, makes of a picture's planes, float64 rounded to samples; luma alone or all."""
    everyone = [*team, *([team.rival] if team.rival is not None else [])]
    kind = everyone[0].architecture.kind
    sites = sites_of(recon, kind)
    x = (torch.from_numpy(sites.astype(np.float32)).to(device) - 128) / 255
    x = x.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
    outputs = []
    for network in everyone:
        residual = planes_of(network(x)[0].float().cpu().numpy() * 255, recon[0].shape)
        sums = [plane + difference for plane, difference in zip(recon, residual, strict=False)]
        outputs.append(tuple(np.clip(np.floor(plane + 0.5), 0, 255) for plane in sums))
    return outputs
