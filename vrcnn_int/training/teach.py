"""Distillation: pair files whose originals are the outputs of float networks that are too large for the filter, or too many.

A training picture's error is mostly noise that no network can know; what a teacher makes of it has far less. A pair file with the
teacher's outputs in the originals' place trains as any other does: nothing else in training knows of teachers.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, pad

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.pairs import PairFile, Plane
from vrcnn_int.network import FloatNetwork
from vrcnn_int.training.module import Network, module_from

ORIENTATIONS = 8


def turned(x: Tensor, turn: int) -> Tensor:
    """Planes [..., H, W] in one of 8 orientations: bit 0 mirrors rows, bit 1 columns, bit 2 transposes after that."""
    axes = [axis for bit, axis in ((1, -2), (2, -1)) if turn & bit]
    x = x.flip(axes) if axes else x
    return x.transpose(-2, -1) if turn & 4 else x


def turned_back(x: Tensor, turn: int) -> Tensor:
    """Inverse of turned."""
    x = x.transpose(-2, -1) if turn & 4 else x
    axes = [axis for bit, axis in ((1, -2), (2, -1)) if turn & bit]
    return x.flip(axes) if axes else x


def plane_output(network: Network, x: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """The network's residual of a plane [1, 1, H, W], zeros around it. Faster than the module: a layer's branches are one
    convolution, the first layer is a matrix product, and only the picture is padded (convolutions of one channel, and pad, are slow)."""
    layers = network.convolutions()
    values = x.to(dtype)
    for i, layer in enumerate(layers):
        reach = max(conv.kernel for conv in layer) // 2
        weight = torch.cat([pad(conv.weight, (reach - conv.kernel // 2,) * 4) for conv in layer]).to(dtype)
        bias = torch.cat([conv.bias for conv in layer]).to(dtype)
        if i == 0:
            side = 2 * reach + 1
            columns = pad(values[0, 0], (reach,) * 4).unfold(0, side, 1).unfold(1, side, 1).reshape(-1, side * side)
            values = torch.addmm(bias, columns, weight.flatten(1).T).view(1, *x.shape[2:], -1).permute(0, 3, 1, 2)
        else:
            values = conv2d(values, weight.contiguous(memory_format=torch.channels_last), bias, padding=reach)
        if i < len(network.activations):
            values = values.clamp_(0, float(network.activations[i].bound))  # type: ignore[arg-type]
    return values


def ensemble(teachers: Sequence[Network], recon: Plane, orientations: int = ORIENTATIONS, device: str = "cpu") -> NDArray[np.float32]:
    """What the teachers make of a plane, float32 [H, W] in 0..255, computed in bf16: the mean over them and over orientations."""
    x = ((torch.from_numpy(recon.astype(np.float32)).to(device) - 128) / 255)[None, None]
    total = torch.zeros_like(x)
    with torch.no_grad():
        for turn in range(orientations):
            for teacher in teachers:
                total += turned_back(plane_output(teacher, turned(x, turn)).float(), turn)
    residual = total[0, 0].cpu().numpy() * (255 / (orientations * len(teachers)))
    filtered: NDArray[np.float32] = np.clip(recon + residual, 0, 255)
    return filtered


def dithered(values: NDArray[np.floating], number: int, seed: int) -> Plane:
    """Values in 0..255 rounded up or down at random, so that their mean is kept: to the nearest, residuals below a half would vanish."""
    u = np.random.default_rng((seed, number)).random(values.shape, np.float32)
    whole: Plane = np.clip(np.floor(values + u), 0, 255).astype(np.uint8)
    return whole


def teach(
    source: PairFile,
    networks: Sequence[FloatNetwork],
    share: float = 1.0,
    orientations: int = ORIENTATIONS,
    seed: int = 1,
    device: str = "cpu",
    advance: Callable[[], None] = lambda: None,
) -> tuple[PairFile, float, float]:
    """(pair file with taught originals, mean PSNR of the unfiltered pictures, mean gain of the teachers over them; both in dB).

    ``share``: of the teachers in the new originals; the rest is the original's.
    Raises VrcnnError for networks of another position or kind, tuned ones, and a device that is not there.
    """
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise VrcnnError(f"there is no device {device} here; cpu is always there")
    if any(network.tuning for network in networks):
        raise VrcnnError("teachers are float networks of stage 1 (float.npz), not tuned ones")
    if any(network.kind != "luma" for network in networks):
        raise VrcnnError("only luma networks can teach yet")
    if any(network.position != source.meta["position"] for network in networks):
        raise VrcnnError(f"the pair file is of position {source.meta['position']}; its teachers must be, too")
    teachers = [module_from(network).to(device).eval() for network in networks]
    originals, figures = [], []
    for number, (recon, original) in enumerate(zip(source.recon, source.original, strict=True)):
        filtered = ensemble(teachers, recon, orientations, device)
        figures.append(
            [float(10 * np.log10(255**2 / max(((original - x) ** 2).mean(), 1e-9))) for x in (recon.astype(np.float32), filtered)]
        )
        originals.append(dithered(share * filtered + (1 - share) * original, number, seed))
        advance()
    before, after = np.mean(figures, axis=0).tolist()
    taught = {"teachers": [network.identity for network in networks], "share": share, "orientations": orientations, "seed": seed}
    meta = {**source.meta, "taught": taught, "coding_errors": source.coding_errors}
    return PairFile(source.recon, originals, meta), before, after - before
