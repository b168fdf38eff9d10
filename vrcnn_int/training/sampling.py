"""Random training patches from pair files, kept and cut out on the training device: same seed, same patches, on any device."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrcnn_int.errors import VrcnnError
from vrcnn_int.pairs import PairFile


@dataclass(frozen=True)
class Sampling:
    """How patches are drawn."""

    seed: int
    batch: int
    size: int
    """Side of a patch with its margin."""
    margin: int
    """Samples on each side that the network reads but the loss does not see."""
    augment: bool
    neighbours: float
    """Share of patches from files of other QPs than the first file's."""
    balance: float
    """Weight of a picture's patches in the loss: (mean error of the training set / its own error) to this power."""


class Patches:
    """Draws batches of (input, target, weight) from the planes of pair files."""

    def __init__(self, files: list[PairFile], sampling: Sampling, device: str) -> None:
        recon, original = ([plane for file in files for plane in getattr(file, side)] for side in ("recon", "original"))
        if any(min(plane.shape) < sampling.size for plane in recon):
            raise VrcnnError(f"training pictures must be at least {sampling.size} samples high and wide")
        self.sampling, self.device = sampling, device
        self.recon, self.original = (
            torch.from_numpy(np.concatenate([plane.ravel() for plane in planes])).to(device) for planes in (recon, original)
        )
        self.heights, self.widths = (np.array([plane.shape[axis] for plane in recon]) for axis in (0, 1))
        self.starts = np.concatenate([[0], np.cumsum(self.heights * self.widths)[:-1]])
        own = np.array([file.qp == files[0].qp for file in files for _ in file.recon])
        self.groups = np.flatnonzero(own), np.flatnonzero(~own)
        if sampling.neighbours > 0 and not len(self.groups[1]):
            raise VrcnnError("patches of neighbouring QPs are asked for, but all training pairs are of one QP")
        errors = np.maximum(np.array([error for file in files for error in file.coding_errors], np.float32), np.float32(1e-2))
        weights = (errors[own].mean() / errors) ** sampling.balance
        self.weights = weights / weights[own].mean()

    def draw(self, stage: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places of the patches of a step, int64 [N, 3]: start, stride down, stride right in the flat planes; and their weights [N].

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
        width = self.widths[plane]
        y = (u[:, 2] * (self.heights[plane] - s.size + 1)).astype(np.int64)
        x = (u[:, 3] * (width - s.size + 1)).astype(np.int64)
        start = self.starts[plane] + y * width + x
        down, right = width, np.ones_like(width)
        if s.augment:  # mirroring and transposition are other strides through the same samples
            turn = (u[:, 4] * 8).astype(int)
            start = start + np.where(turn & 1, (s.size - 1) * down, 0) + np.where(turn & 2, (s.size - 1) * right, 0)
            down, right = np.where(turn & 1, -down, down), np.where(turn & 2, -right, right)
            down, right = np.where(turn & 4, right, down), np.where(turn & 4, down, right)
        return np.stack([start, down, right], 1), self.weights[plane].astype(np.float32)

    def cut(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """(recon [N, 1, size, size], residual [N, 1, patch, patch]) of places drawn, float32, re-normalized by 1/255."""
        m, steps = self.sampling.margin, torch.arange(self.sampling.size, device=places.device)
        start, down, right = (column[:, None, None] for column in places.unbind(1))
        index = start + down * steps[:, None] + right * steps
        recon = self.recon[index].float()
        original = self.original[index[:, m : self.sampling.size - m, m : self.sampling.size - m]].float()
        inside = recon[:, m : self.sampling.size - m, m : self.sampling.size - m]
        return ((recon - 128) / 255)[:, None], ((original - inside) / 255)[:, None]
