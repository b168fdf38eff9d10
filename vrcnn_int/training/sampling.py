"""Random training patches from pair files, kept and cut out on the training device: same seed, same patches, on any device.

A patch is a square of sites: samples of the luma plane (kind luma), or 2x2 luma samples with their Cb and Cr (kind joint, six channels as
in c/SPECIFICATION.md, section 2).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.pairs import PairFile, Plane
from vrcnn_int.network import INPUTS, Architecture, reach
from vrcnn_int.sites import PHASES, luma_of, to_sites
from vrcnn_int.training.settings import TrainSettings

TURNS = 8
"""Mirrored and transposed views: bit 0 mirrors rows, bit 1 columns, bit 2 transposes."""


@dataclass(frozen=True)
class Sampling:
    """How patches are drawn."""

    seed: int
    batch: int
    size: int
    """Side of a patch with its margin, in sites."""
    margin: int
    """Sites on each side that the network reads but the loss does not see."""
    augment: bool
    neighbours: float
    """Share of patches from files of other QPs than the first file's."""
    balance: float
    """Weight of a picture's patches in the loss: (mean error of the training set / its own error) to this power."""
    kind: str = "luma"
    borders: bool = False
    """Whether margins may lie outside the picture, and the samples at its edges are seen as often as others."""
    chroma: float = 0.0
    """Weight of Cb and of Cr in the loss, both errors in proportion to their means over the training set; luma has 1."""
    edge_weight: float = 1.0
    """Weight in the loss of what lies in the two outermost rows and columns of a picture's luma samples; the rest has 1."""


def sampling_of(settings: TrainSettings, architecture: Architecture) -> Sampling:
    """How a run draws its patches."""
    margin = 0 if settings.padded else reach(architecture)
    patch = settings.patch // 2 if architecture.kind == "joint" else settings.patch
    drawn = settings.seed, settings.batch, patch + 2 * margin, margin, settings.augment, settings.neighbours, settings.balance
    return Sampling(*drawn, architecture.kind, settings.borders and not settings.padded, settings.chroma, settings.edge_weight)


@dataclass(frozen=True)
class Cut:
    """Patches as the network takes them. ``x`` [N, C, size, size] and ``residual`` [N, C, patch, patch]: float32, re-normalized by 1/255.
    ``inside`` [N, 1, size, size]: 1 where a site lies in the picture, 0 outside, where every layer reads 0; None: all do.
    ``weight`` [N, 1, patch, patch]: of each site in the loss; None: 1."""

    x: Tensor
    residual: Tensor
    inside: Tensor | None
    weight: Tensor | None = None


class Patches:
    """Draws batches of patches and weights from the planes of pair files."""

    def __init__(self, files: list[PairFile], sampling: Sampling, device: str) -> None:
        self.sampling, self.device = sampling, device
        if sampling.kind == "joint" and not all(file.recon_chroma for file in files):
            raise VrcnnError("joint networks learn from pair files with chroma; make them again from 4:2:0 video")
        sites = [[sites_of(planes, sampling.kind) for planes in pair] for file in files for pair in file.planes()]
        self.least = sampling.size - 2 * sampling.margin * sampling.borders
        if any(min(recon.shape[:2]) < self.least for recon, _ in sites):
            side = self.least * (2 if sampling.kind == "joint" else 1)
            raise VrcnnError(f"training pictures must be at least {side} samples high and wide")
        flat = [np.concatenate([pictures.reshape(-1) for pictures in planes]) for planes in zip(*sites, strict=True)]
        self.recon, self.original = (torch.from_numpy(samples).to(device) for samples in flat)
        self.heights, self.widths = (np.array([recon.shape[axis] for recon, _ in sites]) for axis in (0, 1))
        self.starts = np.concatenate([[0], np.cumsum(self.heights * self.widths)[:-1]])
        self.channels = torch.from_numpy(turned_channels(sampling.kind)).to(device)
        own = np.array([file.qp == files[0].qp for file in files for _ in file.recon])
        self.groups = np.flatnonzero(own), np.flatnonzero(~own)
        if sampling.neighbours > 0 and not len(self.groups[1]):
            raise VrcnnError("patches of neighbouring QPs are asked for, but all training pairs are of one QP")
        self.weights = self.weigh(files, own)

    def weigh(self, files: list[PairFile], own: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Weight of each picture's channels in the loss, [pictures, C]: of luma in the mean 1. A plane without colour has none."""
        errors = np.maximum(np.array([error for file in files for error in file.coding_errors], np.float32), np.float32(1e-2))
        weights = (errors[own].mean() / errors) ** self.sampling.balance
        weights = weights / weights[own].mean()
        columns = [weights[:, None]] if self.sampling.kind == "luma" else [weights[:, None] / 4] * 4
        for chroma in np.array([error for file in files for error in file.chroma_errors], np.float32).T if len(columns) > 1 else ():
            coloured = chroma > 0
            if not (own & coloured).any():
                raise VrcnnError("the training pictures have no colour")
            mean = chroma[own & coloured].mean()
            known = np.maximum(chroma, np.float32(1e-2))
            relative = np.where(coloured, (mean / known) ** self.sampling.balance, 0)
            relative = relative / relative[own & coloured].mean()
            columns.append((self.sampling.chroma * errors[own].mean() / mean * relative)[:, None])
        return np.concatenate(columns, 1).astype(np.float32)

    def draw(self, stage: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places of the patches of a step, int64 [N, 6]: start, height and width of the picture among the flat sites, top and left of the
        patch in it (with its margin: may be negative), turn; and the weights of their channels [N, C].

        A function of seed, stage and step alone: a run that goes on needs no state of a generator.
        """
        s = self.sampling
        u = np.random.default_rng((s.seed, stage, step)).random((s.batch, 5))
        other = u[:, 0] < s.neighbours
        plane = np.where(
            other,
            self.groups[1][(u[:, 1] * len(self.groups[1])).astype(int)] if len(self.groups[1]) else 0,
            self.groups[0][(u[:, 1] * len(self.groups[0])).astype(int)],
        )
        height, width = self.heights[plane], self.widths[plane]
        y, x = self.along(u[:, 2], height), self.along(u[:, 3], width)
        turn = (u[:, 4] * TURNS).astype(np.int64) * s.augment
        return np.stack([self.starts[plane], height, width, y, x, turn], 1), self.weights[plane].astype(np.float32)

    def along(self, u: NDArray[np.float64], length: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where patches begin (with their margins), for u from 0 to 1, in pictures so long.

        With borders also those that would lie beyond an edge are drawn, and moved to it: what is at an edge is then seen as often as the
        rest, while one start in hundreds would be at an edge otherwise.
        """
        if not self.sampling.borders:
            return (u * (length - self.least + 1)).astype(np.int64)
        beyond = self.least - 1
        starts = np.floor(u * (length + beyond)).astype(np.int64) - beyond
        return np.clip(starts, 0, length - self.least) - self.sampling.margin

    def cut(self, places: Tensor) -> Cut:
        """The patches at places drawn."""
        m, size = self.sampling.margin, self.sampling.size
        start, height, width, top, left, turn = (column[:, None, None] for column in places.unbind(1))
        steps = torch.arange(size, device=places.device)
        down, right = steps[:, None], steps[None, :]
        transposed = turn & 4 > 0
        row, column = torch.where(transposed, right, down), torch.where(transposed, down, right)
        y = top + torch.where(turn & 1 > 0, size - 1 - row, row)
        x = left + torch.where(turn & 2 > 0, size - 1 - column, column)
        inside = None
        if self.sampling.borders:
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            y, x = y.clamp_min(0).minimum(height - 1), x.clamp_min(0).minimum(width - 1)
        channels = self.channels[places[:, 5]]
        index = (start + y * width + x)[..., None] * channels.shape[1] + channels[:, None, None]
        middle = slice(m, size - m)
        recon = self.recon[index].float()
        original = self.original[index[:, middle, middle]].float()
        residual = _channels_first((original - recon[:, middle, middle]) / 255)
        values = _channels_first((recon - 128) / 255)
        if inside is None:
            return Cut(values, residual, None)
        mask = inside[:, None].float()
        weight = None
        if self.sampling.edge_weight != 1:
            distance = torch.minimum(torch.minimum(y, height - 1 - y), torch.minimum(x, width - 1 - x))[:, None, middle, middle]
            weight = torch.where(distance < (2 if self.sampling.kind == "luma" else 1), self.sampling.edge_weight, 1.0)
        return Cut(values * mask, residual, mask, weight)


def _channels_first(x: Tensor) -> Tensor:
    """[N, H, W, C] as [N, C, H, W]; one channel in the layout that records of luma runs were made in, down to the order of sums."""
    return x[..., 0][:, None] if x.shape[3] == 1 else x.permute(0, 3, 1, 2)


def sites_of(planes: tuple[Plane, ...], kind: str) -> NDArray[np.uint8]:
    """Planes of a picture as sites [H, W, C]; luma samples that a site has beyond the picture are 128, as which the filter reads them."""
    return planes[0][..., None] if kind == "luma" else to_sites(planes, 128).transpose(1, 2, 0)


def planes_of(sites: NDArray[np.floating], shape: tuple[int, ...]) -> tuple[NDArray[np.floating], ...]:
    """Inverse of sites_of for values [C, H, W] of sites: luma of that shape, or with it Cb and Cr."""
    return (sites[0],) if len(sites) == 1 else (luma_of(sites, shape), *sites[4:])


def turned_channels(kind: str) -> NDArray[np.int64]:
    """For each turn the channel of the picture's site that each channel of the turned site is, [TURNS, C]: phases change places."""
    if INPUTS[kind] == 1:
        return np.zeros((TURNS, 1), np.int64)
    found = []
    for turn in range(TURNS):
        phases = [(column, row) if turn & 4 else (row, column) for row, column in PHASES]
        found.append([2 * (row ^ (turn & 1)) + (column ^ (turn >> 1 & 1)) for row, column in phases] + [4, 5])
    return np.array(found, np.int64)
