"""Bounds of bounded ReLU."""

from itertools import pairwise

import numpy as np
import pytest

from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import VRCNN, halo, macs_per_sample
from vrcnn_int.quantize import bounds


def test_geometric_progression_has_one_quotient_from_input_to_residual() -> None:
    values = (128 / 255, *bounds.geometric_progression(30, 4), 30 / 255)
    quotients = [b / a for a, b in pairwise(values)]
    assert quotients == pytest.approx([quotients[0]] * 4)
    assert len(values) == 5


def test_impossible_progressions_are_refused() -> None:
    with pytest.raises(VrcnnError, match="above 0"):
        bounds.geometric_progression(0, 4)


def test_residuals_of_the_authors() -> None:
    assert [bounds.residual_for_qp(qp) for qp in (22, 27, 32, 37, 24, 51)] == [10, 15, 20, 30, 10, 30]


def test_quantile_is_what_a_fraction_exceeds() -> None:
    values = np.arange(-1000, 1001, dtype=np.float32)
    quantile = bounds.residual_quantile(values, 0.9)
    assert (np.abs(values) > quantile).mean() == pytest.approx(0.1, abs=0.001)
    with pytest.raises(VrcnnError, match="between 0 and 1"):
        bounds.residual_quantile(values, 1.0)


def test_three_sigma_of_a_gaussian_is_three_sigma() -> None:
    assert bounds.gaussian_tail(3) == pytest.approx(0.00135, abs=1e-5)
    rng = np.random.default_rng(1)
    assert bounds.n_sigma((rng.normal(0, 2, 200_000) for _ in range(4)), 3) == pytest.approx(6, rel=0.02)
    with pytest.raises(VrcnnError, match="at least one batch"):
        bounds.n_sigma([])


def test_vrcnn_is_the_paper_s_network() -> None:
    assert macs_per_sample(VRCNN) == 54_512
    assert halo(VRCNN) == 6
