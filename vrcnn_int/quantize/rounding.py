"""Rounding weights by what it does to a layer's outputs, not weight by weight.

The first layer sees samples of one sign and size over its whole reach: many small rounding errors that point the same way make a filter
that should see no brightness see it, in every sample. Of all rounding this costs most; chosen together, the errors cancel.
"""

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.requant import LEVELS


def second_moment(inputs: NDArray[np.floating]) -> NDArray[np.float64]:
    """E[x x^T], float64 [n, n], of the vectors [count, n] that an output is a weighted sum of."""
    values = inputs.astype(np.float64)
    moment: NDArray[np.float64] = values.T @ values / len(values)
    return moment


def round_together(weights: NDArray[np.floating], moment: NDArray[np.float64], levels: int = LEVELS) -> NDArray[np.int64]:
    """Weights in steps, [n] -> integers [n] of -levels .. levels with a small expected squared error of the output, e^T moment e.

    Begins with the nearest integers (halves up) and takes the best change of one weight by 1, or of two by +1 and -1, as long as
    that lowers the error. Weights at +-levels stay: the largest defines the step.
    """
    steps = np.floor(weights.astype(np.float64) + 0.5)
    errors = steps - weights
    power = np.diag(moment)
    none = float(errors @ moment @ errors) * 1e-12  # a change by less than this is rounding
    while True:
        free = np.abs(steps) < levels
        slope = moment @ errors
        up, down = (np.where(free, sign * 2 * slope + power, np.inf) for sign in (1, -1))
        both = up[:, None] + down[None] - 2 * moment
        np.fill_diagonal(both, np.inf)
        one_up, one_down, pair = int(up.argmin()), int(down.argmin()), np.unravel_index(both.argmin(), both.shape)
        least = min(up[one_up], down[one_down], both[pair])
        if not least < -none:
            return steps.astype(np.int64)
        change = np.zeros(len(steps))
        if least == both[pair]:
            change[pair[0]], change[pair[1]] = 1, -1
        elif least == up[one_up]:
            change[one_up] = 1
        else:
            change[one_down] = -1
        steps += change
        errors += change
