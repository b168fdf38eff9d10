"""Gain by distance from a picture's edge: what zero padding, or training that never saw an edge, costs shows there first."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.integer import Plane

RINGS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 8), (8, 16), (16, None))
"""Distances from the nearest edge in samples of the plane, the second one left out; None: all beyond. 0 is the outermost ring."""


def distances(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Of each sample of a plane from its nearest edge, [height, width]."""
    rows, columns = (np.minimum(np.arange(size), np.arange(size)[::-1]) for size in shape)
    found: NDArray[np.int64] = np.minimum(rows[:, None], columns)
    return found


def ring_gains(
    triples: Iterable[tuple[Sequence[Plane], Sequence[Plane], Sequence[Plane]]],
) -> list[tuple[list[float | None], float | None]]:
    """(gain in each of RINGS, gain of all samples) of each plane in dB, means of the pictures' PSNR; None where no picture has a gain.

    triples: planes before and after filtering and of the original, 8 bits. Where a ring, or the plane, has no error before or after, the
    picture is left out of that mean.
    """
    gains: list[list[list[float]]] = []
    for before, after, original in triples:
        gains = gains or [[[] for _ in (*RINGS, None)] for _ in original]
        for found, *planes in zip(gains, before, after, original, strict=True):
            away = distances(planes[0].shape)
            for values, (first, last) in zip(found, (*RINGS, (0, None)), strict=True):
                here = (away >= first) & (away < (away.max() + 1 if last is None else last))
                errors = [int(np.square(np.subtract(plane[here], planes[2][here], dtype=np.int64)).sum()) for plane in planes[:2]]
                if all(errors):
                    values.append(10 * math.log10(errors[0] / errors[1]))
    means = [[float(np.mean(values)) if values else None for values in found] for found in gains]
    return [(found[:-1], found[-1]) for found in means]
