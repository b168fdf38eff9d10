"""How the upper bounds of bounded ReLU are chosen: pure functions (Zhao et al. 2020, section 3.2.2)."""

from collections.abc import Iterable
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import Architecture

INPUT_BOUND = 128 / 255
"""Largest |x| of the re-normalized input x = (s - 128) / 255 (section 3.4.1)."""

RESIDUALS = {22: 10.0, 27: 15.0, 32: 20.0, 37: 30.0}
"""Largest residual that the network should be able to emit at a QP, in 8-bit sample steps: the authors' own choice."""


def residual_for_qp(qp: int) -> float:
    """The authors' residual range for the nearest trained QP (the lower one on ties), in 8-bit sample steps."""
    return RESIDUALS[min(RESIDUALS, key=lambda trained: (abs(trained - qp), trained))]


def residual_quantile(differences: NDArray[np.floating], fraction: float) -> float:
    """The alternative: the value that only ``1 - fraction`` of |original - recon| (8-bit sample steps) exceeds."""
    if not 0 < fraction < 1:
        raise VrcnnError(f"the quantile must lie between 0 and 1, not {fraction}")
    return max(1.0, float(np.quantile(np.abs(differences), fraction)))


def geometric_progression(residual: float, layers: int) -> tuple[float, ...]:
    """Bounds h_rf of the hidden layers 1 .. layers-1 (Eq. 6).

    a_0 = 128/255 and a_n = residual/255 are the ranges of input and output, a_i = a_n^(i/n) * a_0^((n-i)/n).
    ``residual``: 8-bit sample steps, above 0. Raises VrcnnError otherwise.
    """
    if residual <= 0 or layers < 2:
        raise VrcnnError(f"geometric progression needs a residual above 0 and two layers, not {residual} and {layers}")
    last = residual / 255
    return tuple(last ** (i / layers) * INPUT_BOUND ** ((layers - i) / layers) for i in range(1, layers))


def bounds_for(architecture: Architecture, residual: float) -> tuple[float, ...]:
    """Bounds h_rf of the hidden layers: the geometric progression, or, where layers are added to each other, its first for all of them.

    What is added must have the bound of the sum, and along such layers values become no smaller. Raises as geometric_progression does.
    """
    bounds = geometric_progression(residual, len(architecture.layers))
    return bounds[:1] * len(bounds) if any(architecture.added) else bounds


def gaussian_tail(n: float) -> float:
    """Fraction of a normal distribution above n sigma (n = 3: 0.135 %, the paper's 0.15 %)."""
    return 0.5 * erfc(n / sqrt(2))


def n_sigma(batches: Iterable[NDArray[np.floating]], n: float = 3.0) -> float:
    """Bound h_rf of one layer: the value that only gaussian_tail(n) of a feature map exceeds, averaged over batches.

    ``batches``: the layer's values before the activation, any shape, one array a batch. Raises VrcnnError without batches.
    """
    values = [float(np.quantile(batch, 1 - gaussian_tail(n))) for batch in batches]
    if not values:
        raise VrcnnError("n-sigma needs at least one batch")
    return sum(values) / len(values)
