"""Multiplier and shift search, ratio synchronization, plans and proofs."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import models
from tests.support.models import random_network
from vrcnn_int.integer import Branch, IntegerNetwork
from vrcnn_int.network import FloatNetwork, joint
from vrcnn_int.proofs import ProofError, accumulator_range, prove
from vrcnn_int.quantize.plan import Plan, make_plan, to_integer
from vrcnn_int.quantize.ratio_sync import Rescale, reach, synchronize
from vrcnn_int.requant import QuantizationError, last_multiplier, multiplier_and_shift, requantize, round_half_up, smallest_multiplier

BOUNDS = (0.2, 0.15, 0.1)


def float_network() -> FloatNetwork:
    return replace(models.float_network(), bounds=BOUNDS)


@given(st.integers(256, 32767 * 32768 - 1))
def test_bound_maps_to_127_and_nothing_above_it_wraps(bound: int) -> None:
    multiplier, shift = multiplier_and_shift(bound, "layer")
    assert 1 <= multiplier <= 32767
    assert 0 <= shift <= 15
    assert shift == 0 or (bound >> (shift - 1)) >= (1 << 15) - 1  # the smallest
    at_bound = requantize(np.array([bound, bound + 1, 2 * bound, 2**31 - 1 - 2**14]), shift, multiplier)
    assert at_bound.tolist() == [127] * 4
    assert requantize(np.array([0, -1, -(2**31)]), shift, multiplier)[1:].tolist() == [0, 0]


def test_bounds_outside_are_refused_with_layer_and_value() -> None:
    with pytest.raises(QuantizationError, match=r"layer 3.*255"):
        multiplier_and_shift(255, "layer 3")
    with pytest.raises(QuantizationError, match="above 15"):
        multiplier_and_shift(1 << 31, "layer 3")


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(10**3, 10**6))
def test_synchronized_ratios_are_equal_numbers_and_no_step_shrinks(first: int, second: int, ratio: int) -> None:
    ratio_in = Fraction(ratio, 997)
    branches = []
    for numerator in (first, second):
        delta = Fraction(numerator % 4000 + 1000, 10**6)
        bound = round_half_up(Fraction(3, 10) * ratio_in / delta)
        multiplier, shift = multiplier_and_shift(max(bound, 256), "layer")
        branches.append(Rescale(delta, multiplier, shift, ratio_in / delta * Fraction(multiplier, 1 << (shift + 15))))
    together = synchronize(ratio_in, branches, "layer")
    assert together[0].ratio == together[1].ratio == min(b.ratio for b in branches)
    for before, after in zip(branches, together, strict=True):
        assert after.delta >= before.delta
        assert ratio_in / after.delta * Fraction(after.multiplier, 1 << (after.shift + 15)) == after.ratio


def test_an_addition_can_be_synchronized() -> None:
    multiplier, shift = smallest_multiplier(Fraction(100, 700), "skip")
    ratio = Fraction(700) * Fraction(multiplier, 1 << (shift + 15))
    path = reach(Fraction(450), Fraction(1, 300), ratio, "conv")
    assert Fraction(450) / path.delta * Fraction(path.multiplier, 1 << (path.shift + 15)) == ratio
    assert path.delta >= Fraction(1, 300)


@given(st.integers(1, 2**40))
def test_last_multiplier_is_in_its_range_or_refused(number: int) -> None:
    ratio = Fraction(number, 2**42)
    if ratio > Fraction(1023, 1 << 17):
        with pytest.raises(QuantizationError, match="1023"):
            last_multiplier(ratio, "layer 4")
        return
    multiplier, shift = last_multiplier(ratio, "layer 4")
    assert 512 <= multiplier <= 1023
    assert 2 <= shift <= 15
    assert Fraction(multiplier, 1 << (shift + 15)) >= ratio


def test_a_plan_is_exact_and_survives_json() -> None:
    network = float_network()
    plan = make_plan(network)
    assert Plan.from_json(plan.to_json()) == plan
    ratio = Fraction(255)
    for i, layer in enumerate(plan.branches):
        assert plan.ratios_in[i] == ratio
        for j, rescale in enumerate(layer):
            assert ratio / rescale.delta * Fraction(rescale.multiplier, 1 << (rescale.shift + 15)) == rescale.ratio
            assert rescale.delta >= Fraction(float(np.abs(network.weights[i][j]).max())) / 127
        assert len({rescale.ratio for rescale in layer}) == 1
        ratio = layer[0].ratio
    assert ratio == 255  # the residual comes out in 8-bit sample steps
    # The bounds may move only by what a multiplier cannot express.
    for wanted, bound in zip(BOUNDS, plan.bounds, strict=True):
        assert float(bound) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("heads", [1, 2])
def test_additions_and_both_branches_of_the_last_layer_are_exact(heads: int) -> None:
    network = models.float_network(3, joint("fast", 16, 3, heads))
    plan = make_plan(network)
    assert Plan.from_json(plan.to_json()) == plan
    ratio = Fraction(255)
    ratios = []
    for i, layer in enumerate(plan.branches):
        assert plan.ratios_in[i] == ratio
        for j, rescale in enumerate(layer):
            assert ratio / rescale.delta * Fraction(rescale.multiplier, 1 << (rescale.shift + 15)) == rescale.ratio
            assert rescale.delta >= Fraction(float(np.abs(network.weights[i][j]).max())) / 127
            assert float(rescale.delta) == pytest.approx(np.abs(network.weights[i][j]).max() / 127, rel=0.01)
        ratio = layer[0].ratio
        ratios.append(ratio)
    assert ratios[0] == ratios[2] == ratios[4] == ratios[6]
    assert [rescale.ratio for rescale in plan.branches[-1]] == [255, 255]
    assert len({plan.bounds[i] for i in (0, 2, 4, 6)}) == 1
    integers = to_integer(network)
    assert (integers.kind, integers.size, integers.heads, integers.added) == ("joint", "fast", heads, (0, 0, 2, 0, 2, 0, 2, 0))
    assert integers.architecture == network.architecture
    models.ModelSet((integers,))


def test_layers_that_add_have_the_bound_of_what_they_add() -> None:
    network = models.float_network(3, joint("fast", 16, 1))
    assert len(set(network.bounds)) == 1
    with pytest.raises(QuantizationError, match=r"layer 3 has the bound 0.3, and layer 1, which it adds, has"):
        make_plan(replace(network, bounds=(*network.bounds[:2], 0.3)))
    make_plan(replace(network, bounds=(network.bounds[0], 0.3, network.bounds[2])))


def test_integer_weights_are_the_rounded_float_weights() -> None:
    network = float_network()
    plan, integers = make_plan(network), to_integer(network)
    for i, layer in enumerate(integers.layers):
        for j, branch in enumerate(layer):
            steps = network.weights[i][j].astype(np.float64) / float(plan.branches[i][j].delta)
            assert np.abs(branch.weights - steps).max() <= 0.5
            assert np.abs(branch.weights.astype(int)).max() >= 120


def test_networks_that_cannot_be_integers_are_refused() -> None:
    network = float_network()
    zero = (np.zeros_like(network.weights[1][0]), network.weights[1][1])
    with pytest.raises(QuantizationError, match="weight step"):
        to_integer(replace(network, weights=(network.weights[0], zero, *network.weights[2:])))
    with pytest.raises(QuantizationError, match="layer 1"):
        to_integer(replace(network, bounds=(1e-5, *BOUNDS[1:])))
    huge = (np.full_like(network.biases[0][0], 1e9),)
    with pytest.raises(QuantizationError, match=r"layer 1.*32 bits"):
        to_integer(replace(network, biases=(huge, *network.biases[1:])))


def test_pair_sums_of_hidden_layers_fit_16_bits() -> None:
    """vpmaddubsw cannot saturate on 7-bit activations, and can in the first layer."""
    proofs = prove(to_integer(float_network()))
    assert [proof.layer for proof in proofs] == [1, 2, 2, 3, 3, 4]
    assert proofs[0].pair_sum == 2 * 127 * 255 > 32767
    for proof, (_, branch) in zip(proofs[1:], enumerate(b for layer in to_integer(float_network()).layers[1:] for b in layer), strict=True):
        assert proof.pair_sum == 2 * np.abs(branch.weights.astype(int)).max() * 127 <= 32258


def test_proofs_are_exact_and_refuse_just_beyond() -> None:
    network = random_network(np.random.default_rng(3))
    branch = network.layers[1][0]
    lowest, highest = accumulator_range(branch, 0, 127)
    room_above = 2**31 - 1 - ((1 << branch.shift) >> 1) - int(highest[0])
    room_below = int(lowest[0]) + 2**31

    def with_bias(change: int) -> IntegerNetwork:
        bias = branch.bias.copy()
        bias[0] += change
        layers = [list(layer) for layer in network.layers]
        layers[1][0] = Branch(branch.kernel, branch.shift, branch.multiplier, branch.weights, bias)
        return IntegerNetwork(tuple(tuple(layer) for layer in layers), network.qp, network.position)

    reached = prove(with_bias(room_above))
    assert max(proof.highest for proof in reached) + ((1 << branch.shift) >> 1) == 2**31 - 1
    with pytest.raises(ProofError, match=r"layer 2, branch 1, channel 0.*above int32"):
        prove(with_bias(room_above + 1))
    assert min(proof.lowest for proof in prove(with_bias(-room_below))) == -(2**31)
    with pytest.raises(ProofError, match=r"layer 2, branch 1, channel 0.*below int32"):
        prove(with_bias(-room_below - 1))
