"""Planes of a 4:2:0 picture as sites, what joint networks read: 2x2 luma samples with their Cb and Cr (c/SPECIFICATION.md, section 2)."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

PHASES = tuple((row, column) for row in (0, 1) for column in (0, 1))
"""Row and column in a site of the luma sample that each of the channels 0 to 3 is; 4 is Cb, 5 is Cr."""


def to_sites(planes: Sequence[NDArray[Number]], outside: int = 0) -> NDArray[Number]:
    """[6, ceil(H / 2), ceil(W / 2)] of luma [H, W] and, if they are given, Cb and Cr [ceil(H / 2), ceil(W / 2)], of any one dtype.

    ``outside``: what luma samples of a site beyond the picture are, and chroma that there is not: 0 of x, 128 of 8-bit samples.
    """
    luma, *chroma = planes
    padded = np.pad(luma, [(0, side % 2) for side in luma.shape], constant_values=outside)
    channels = [padded[row::2, column::2] for row, column in PHASES]
    return np.stack([*channels, *(chroma or [np.full_like(channels[0], outside)] * 2)])


def luma_of(sites: NDArray[Number], shape: Sequence[int]) -> NDArray[Number]:
    """The luma samples [H, W], of that shape, of sites [4 or 6, ceil(H / 2), ceil(W / 2)]: a copy."""
    luma = np.empty((2 * sites.shape[1], 2 * sites.shape[2]), sites.dtype)
    for channel, (row, column) in enumerate(PHASES):
        luma[row::2, column::2] = sites[channel]
    return luma[: shape[0], : shape[1]]
