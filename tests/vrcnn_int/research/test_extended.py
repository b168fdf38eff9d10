"""Extended networks: their operations, proof, files, and that everything normative refuses them."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_bridge.filter import ErrorCode, Filter
from tests.support.errors import refused_as
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelError, ModelSet
from vrcnn_int.research import extended
from vrcnn_int.research.extended import (
    Add,
    Builder,
    Concatenate,
    Convolve,
    ExtendedNetwork,
    MaxPool,
    RangeError,
    Requantize,
    SumPool,
    fixed_point,
)


def convolve(rng: np.random.Generator, source: int, inputs: int, outputs: int, k: int, stride: int = 1, zero_point: int = 0) -> Convolve:
    weights = rng.integers(1 if zero_point else -127, 256 if zero_point else 128, (outputs, inputs, k, k)).astype(np.int16)
    return Convolve((source,), weights, zero_point, 8, rng.integers(-500, 500, outputs).astype(np.int32), stride)


def network(seed: int = 1) -> ExtendedNetwork:
    """Every kind of operation: two ways that are added, a concatenation, strides, both poolings, a multiplier a channel."""
    rng = np.random.default_rng(seed)
    build = Builder()

    def requantize(source: int, channels: int, low: int, high: int, bits: int = 24) -> int:
        multiplier = rng.integers(1 << (bits - 4), 1 << bits, channels).astype(np.int32)
        return build.add(Requantize((source,), multiplier, np.full(channels, 31, np.uint8), low, high))

    first = requantize(build.add(convolve(rng, 0, 2, 4, 3, 1, 130)), 4, 0, 255)
    pooled = build.add(MaxPool((first,), 3, 2))
    left = requantize(build.add(convolve(rng, pooled, 4, 4, 3, 2)), 4, -1000, 1000)
    right = requantize(build.add(convolve(rng, pooled, 4, 4, 1, 2)), 1, -1000, 1000)
    total = requantize(build.add(Add((left, right))), 1, 0, 127, 30)
    both = build.concatenate([total, left])
    build.add(convolve(rng, build.add(SumPool((both,), 20)), 8, 3, 1))
    return ExtendedNetwork(tuple(build.operations), 2, {"classes": 3})


def picture(seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (2, 16, 18))


def test_both_ways_of_computing_agree() -> None:
    found = network()
    fast, plain = (found.run(picture(), way) for way in (False, True))
    assert [v.shape for v in fast][-1] == (3, 1, 1)
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(len(np.unique(v)) > 2 for v in fast)


def test_a_strided_convolution_is_every_second_sample() -> None:
    rng = np.random.default_rng(3)
    for height, width in ((8, 8), (9, 7), (1, 2)):
        x = rng.integers(-128, 128, (2, height, width))
        for k in (1, 3, 5):
            one = convolve(rng, 0, 2, 3, k)
            two = Convolve(one.inputs, one.weights, 0, 8, one.bias, 2)
            np.testing.assert_array_equal(two.run(x), one.run(x)[:, ::2, ::2])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31 - 1))
def test_intervals_hold_every_value(seed: int) -> None:
    """Weights at their ends and inputs that reach for the extremes stay inside what the proof says, and the extremes are reached."""
    rng = np.random.default_rng(seed)
    weights = rng.choice([-127, 127, 0, 5], (2, 3, 3, 3)).astype(np.int16)
    operation = Convolve((0,), weights, int(rng.integers(-3, 4)), 8, rng.integers(-9, 9, 2).astype(np.int32))
    low, high = operation.interval((np.zeros(3, np.int64), np.full(3, 127)))
    effective = weights.astype(int) - operation.zero_point
    for o in range(2):
        reached = []
        for sign in (1, -1):
            x = np.zeros((3, 3, 3), np.int64)
            x[sign * effective[o] > 0] = 127
            reached.append(operation.run(x)[o, 1, 1])
        assert reached == [high[o], low[o]]


def test_a_network_that_could_overflow_is_refused() -> None:
    weights = np.full((1, 520, 16, 16), 127, np.int16)
    with pytest.raises(RangeError, match=r"operation 1 \(Convolve\).*beyond int32"):
        ExtendedNetwork((Convolve((0,), weights, 0, 8, np.zeros(1, np.int32)),), 520, {})
    with pytest.raises(ModelError, match="not there yet"):
        ExtendedNetwork((Concatenate((0, 1)),), 1, {})


def test_files_survive_and_damage_is_refused(tmp_path) -> None:
    found = network()
    found.save(tmp_path / "a.vrcnn")
    again = ExtendedNetwork.load(tmp_path / "a.vrcnn")
    assert again.to_bytes() == found.to_bytes()
    assert again.meta == {"classes": 3}
    for a, b in zip(again.run(picture()), found.run(picture()), strict=True):
        np.testing.assert_array_equal(a, b)
    data = found.to_bytes()
    rng = np.random.default_rng(1)
    for position in [*range(24), *rng.integers(0, len(data), 100).tolist()]:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        with pytest.raises(ModelError):
            ExtendedNetwork.from_bytes(bytes(damaged))
    for size in (0, 7, 30, len(data) - 1):
        with pytest.raises(ModelError):
            ExtendedNetwork.from_bytes(data[:size])
    for meta in (b"[" * 100_000, b"[]", b"{"):
        body = bytearray(data[: data.index(b'{"classes')] + meta)
        body[12:16] = (len(body) + 32).to_bytes(4, "little")
        with pytest.raises(ModelError, match=r"a\.vrcnn is not an extended network.*its last part"):
            ExtendedNetwork.from_bytes(bytes(body) + hashlib.sha256(body).digest(), "a.vrcnn")
    with pytest.raises(ModelError, match="cannot read model"):
        ExtendedNetwork.load(tmp_path / "missing.vrcnn")


def test_everything_normative_refuses_an_extended_network(tmp_path) -> None:
    network().save(tmp_path / "a.vrcnn")
    with pytest.raises(ModelError, match="format version 257"):
        ModelSet.load(tmp_path / "a.vrcnn")
    with refused_as(ErrorCode.VERSION):
        Filter(tmp_path / "a.vrcnn")


def test_pooling_of_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match="pools 4 values"):
        SumPool((0,), 4).run(np.zeros((1, 3, 3), np.int64))


@settings(deadline=None)
@given(st.floats(2.0**-31, 1.0, exclude_max=True))
def test_multipliers_have_31_bits(ratio: float) -> None:
    multiplier, shift = fixed_point(ratio)
    assert 1 << 30 <= multiplier < 1 << 31
    assert 30 <= shift <= 62
    assert abs(multiplier / 2**shift - ratio) <= ratio * 2.0**-31 * 1.0001


def test_ratios_that_no_multiplier_has_are_refused() -> None:
    for ratio in (1.0, 2.0**-32, 0.0):
        with pytest.raises(VrcnnError, match="outside"):
            fixed_point(ratio)


def test_kinds_are_all_there() -> None:
    assert {type(o).__name__ for o in network().operations} == {kind.__name__ for kind in extended.KINDS}
