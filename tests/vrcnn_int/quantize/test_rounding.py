"""Rounding a filter's weights together: no worse than one by one, nothing better near by, the largest weight untouched."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vrcnn_int.quantize.rounding import round_together, second_moment


def error(steps: NDArray[np.integer], weights: NDArray[np.floating], moment: NDArray[np.float64]) -> float:
    """Expected squared error of the output."""
    difference = steps - weights
    return float(difference @ moment @ difference)


def nearest(weights: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.floor(weights + 0.5).astype(np.int64)


@given(st.integers(0, 2**32), st.integers(1, 5), st.floats(0, 30))
def test_no_change_of_one_weight_or_two_is_better(seed: int, count: int, brightness: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(-6, 6, count)
    moment = second_moment(rng.normal(size=(50, count)) + brightness)
    found = round_together(weights, moment, levels=6)
    least = error(found, weights, moment)
    assert least <= error(nearest(weights), weights, moment) * (1 + 1e-9)
    assert np.abs(found).max() <= 6
    for change in product((-1, 0, 1), repeat=count):
        other = found + change
        is_one_or_a_pair = (np.abs(change).sum(), sum(change)) in ((1, 1), (1, -1), (2, 0))
        if is_one_or_a_pair and np.abs(found[np.nonzero(change)]).max() < 6 and np.abs(other).max() <= 6:
            assert error(other, weights, moment) >= least * (1 - 1e-9) - 1e-9


def test_errors_of_a_filter_that_sees_brightness_cancel() -> None:
    weights = np.full(24, 0.3)  # one by one they all become 0, and the filter sees nothing of 7.2 times the brightness
    rng = np.random.default_rng(1)
    moment = second_moment(100 + rng.normal(size=(1000, 24)))
    assert nearest(weights).sum() == 0
    assert round_together(weights, moment).sum() == 7
    assert error(round_together(weights, moment), weights, moment) < 0.01 * error(nearest(weights), weights, moment)


def test_the_weight_that_defines_the_step_stays() -> None:
    weights = np.array([127.0, 40.4, -127.0, 0.4])
    found = round_together(weights, np.ones((4, 4)) + 1e-3 * np.eye(4))
    assert (found[0], found[2]) == (127, -127)
    assert found.sum() == 41


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_that_are_whole_stay(dtype: type[np.floating]) -> None:
    weights = np.array([3, -5, 0], dtype)
    assert round_together(weights, second_moment(np.random.default_rng(2).normal(size=(9, 3)))).tolist() == [3, -5, 0]
