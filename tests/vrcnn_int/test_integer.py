"""The oracle, the model format and its limits."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.models import random_network
from vrcnn_int import integer
from vrcnn_int.integer import ModelError, ModelSet
from vrcnn_int.models import builtin_path
from vrcnn_int.requant import pre_shift, requantize


@pytest.fixture(scope="module")
def shipped() -> ModelSet:
    return ModelSet.load(builtin_path())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_products_are_the_int64_sums(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    branch = network.layers[1][0]
    values = rng.integers(0, 128, (branch.weights.shape[1], height, width))
    np.testing.assert_array_equal(integer.accumulate(values, branch), integer.accumulate_int64(values, branch))


def test_products_are_exact_at_the_extremes() -> None:
    """All weights of one sign, all inputs at their limit, bias at the end of int32's range: the largest sums there are."""
    for weight in (-127, 127):
        weights = np.full((16, 256, 5, 5), weight, np.int8)
        bias = np.full(16, 2**31 - 1 if weight < 0 else -(2**31), np.int32)
        branch = integer.Branch(5, 0, 1, weights, bias)
        values = np.full((256, 6, 6), 127, np.int64)
        np.testing.assert_array_equal(integer.accumulate(values, branch), integer.accumulate_int64(values, branch))


@pytest.mark.parametrize("sign", [1, -1])
def test_products_are_exact_where_float32_would_round(sign: int) -> None:
    """Large odd sums: summed in float32 at once (up to 10^8) they lose their last bits."""
    rng = np.random.default_rng(4)
    weights = (sign * rng.integers(100, 128, (16, 256, 5, 5))).astype(np.int8)
    branch = integer.Branch(5, 0, 1, weights, np.zeros(16, np.int32))
    values = rng.integers(100, 128, (256, 6, 6))
    expected = integer.accumulate_int64(values, branch)
    assert np.abs(expected).max() > 1 << 24
    assert (expected != expected.astype(np.float32)).any()
    np.testing.assert_array_equal(integer.accumulate(values, branch), expected)


def scalar_requantize(acc: int, s1: int, m: int) -> int:
    """The specification's lines, with Python's integers."""
    t = min(max((acc + ((1 << s1) >> 1)) >> s1, -32768), 32767)
    return min(max((t * m + 16384) >> 15, 0), 127)


@given(st.integers(-(2**31), 2**31 - 1 - 2**14), st.integers(0, 15), st.integers(1, 32767))
def test_requantize_is_the_specification(acc: int, s1: int, m: int) -> None:
    assert requantize(np.array([acc], np.int64), s1, m)[0] == scalar_requantize(acc, s1, m)


@pytest.mark.parametrize(("acc", "shift", "expected"), [(-3, 1, -1), (3, 1, 2), (-2, 2, 0), (-3, 2, -1), (5, 0, 5), (10**7, 3, 32767)])
def test_rounding_is_half_up_also_below_zero(acc: int, shift: int, expected: int) -> None:
    assert pre_shift(np.array([acc]), shift)[0] == expected


def naive_filter(network: integer.IntegerNetwork, plane: np.ndarray, bit_depth: int, scale: int) -> np.ndarray:
    """The specification with loops over every sample and tap."""
    height, width = plane.shape
    eight = plane.astype(int) if bit_depth == 8 else (plane.astype(int) + (1 << (bit_depth - 9))) >> (bit_depth - 8)
    x = np.minimum(255, eight) - 128
    values = [x]
    for i, layer in enumerate(network.layers):
        outputs = []
        for branch in layer:
            reach = branch.kernel // 2
            for o in range(len(branch.bias)):
                out = np.zeros((height, width), int)
                for y in range(height):
                    for col in range(width):
                        acc = int(branch.bias[o])
                        for c, value in enumerate(values):
                            for ky in range(branch.kernel):
                                for kx in range(branch.kernel):
                                    sy, sx = y + ky - reach, col + kx - reach
                                    if 0 <= sy < height and 0 <= sx < width:
                                        acc += int(branch.weights[o, c, ky, kx]) * int(value[sy, sx])
                        if i < len(network.layers) - 1:
                            out[y, col] = scalar_requantize(acc, branch.shift, branch.multiplier)
                        else:
                            q = branch.shift - (bit_depth - 8)
                            t = min(max((acc + ((1 << q) >> 1)) >> q, -32768), 32767)
                            r = (t * ((branch.multiplier * scale) >> 3) + 16384) >> 15
                            out[y, col] = min(max(int(plane[y, col]) + r, 0), (1 << bit_depth) - 1)
                outputs.append(out)
        values = outputs
    return values[0].astype(plane.dtype)


@pytest.mark.parametrize(("bit_depth", "scale"), [(8, 8), (8, 3), (9, 10), (10, 8), (10, 1)])
def test_oracle_is_the_specification_written_with_loops(bit_depth: int, scale: int) -> None:
    rng = np.random.default_rng(bit_depth * 16 + scale)
    network = random_network(rng)
    plane = rng.integers(0, 1 << bit_depth, (4, 3)).astype(np.uint8 if bit_depth == 8 else np.uint16)
    np.testing.assert_array_equal(integer.filter_plane(network, plane, bit_depth, scale), naive_filter(network, plane, bit_depth, scale))


def test_set_survives_its_binary_form(shipped: ModelSet) -> None:
    data = shipped.to_bytes()
    again = ModelSet.from_bytes(data)
    assert again.to_bytes() == data
    assert again.identity == shipped.identity == data[-32:].hex()


def test_every_flipped_bit_is_refused() -> None:
    data = ModelSet((random_network(np.random.default_rng(5)),)).to_bytes()
    rng = np.random.default_rng(6)
    for position in [*range(40), *rng.integers(0, len(data), 200).tolist(), len(data) - 1]:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        with pytest.raises(ModelError):
            ModelSet.from_bytes(bytes(damaged))


def test_every_truncation_is_refused() -> None:
    data = ModelSet((random_network(np.random.default_rng(7)),)).to_bytes()
    for size in [*range(60), *range(60, len(data), 997), len(data) - 1]:
        with pytest.raises(ModelError, match=r"truncated|not a vrcnn-int"):
            ModelSet.from_bytes(data[:size])


def test_rehashed_damage_is_refused_by_its_field() -> None:
    """Somebody who computes the hash again still cannot bring in a value outside the limits."""
    import hashlib

    network = random_network(np.random.default_rng(8))
    good = ModelSet((network,)).to_bytes()

    def patched(offset: int, layout: str, value: int) -> bytes:
        body = bytearray(good[:-32])
        struct.pack_into(layout, body, offset, value)
        return bytes(body) + hashlib.sha256(body).digest()

    for offset, layout, value, message in [
        (16, "<b", 60, "nominal QP"),
        (17, "<B", 2, "position"),
        (18, "<B", 1, "."),
        (19, "<B", 1, "reserved"),
        (20, "<B", 0, "."),
        (21, "<B", 7, "."),
        (22, "<B", 16, "shift 16"),
        (23, "<H", 0, "multiplier 0"),
        (23, "<H", 32768, "multiplier 32768"),
        (27, "<H", 1, "reserved"),
        (29 + 4 * len(network.layers[0][0].bias), "<b", -128, "-128"),
    ]:
        with pytest.raises(ModelError, match=message):
            ModelSet.from_bytes(patched(offset, layout, value))


def test_nearest_network_lowest_index_on_ties(shipped: ModelSet) -> None:
    assert [shipped.index_for_qp(qp) for qp in (-12, 22, 24, 25, 27, 34, 35, 51)] == [0, 0, 0, 1, 1, 2, 3, 3]
    network = shipped.networks[0]
    twice = ModelSet((replace(network, qp=30), replace(network, qp=20), replace(network, qp=20)))
    assert [twice.index_for_qp(qp) for qp in (25, 20, 26)] == [0, 1, 0]
    assert [shipped.index_for_qp(qp, "after_sao") for qp in (22, 27, 34, 35)] == [12, 13, 14, 15]
    with pytest.raises(ModelError, match="after_sao"):
        twice.index_for_qp(22, "after_sao")


def test_wrong_planes_are_refused(shipped: ModelSet) -> None:
    network = shipped.networks[0]
    with pytest.raises(ModelError, match="12 bits"):
        integer.filter_plane(network, np.zeros((8, 8), np.uint16), 12)
    with pytest.raises(ModelError, match="do not fit 10 bits"):
        integer.filter_plane(network, np.full((8, 8), 1024, np.uint16), 10)
    with pytest.raises(ModelError, match="does not fit uint8"):
        integer.filter_plane(network, np.zeros((8, 8), np.uint8), 10)
    with pytest.raises(ModelError, match="scale 11"):
        integer.filter_plane(network, np.zeros((8, 8), np.uint8), 8, 11)
    with pytest.raises(ModelError, match="two-dimensional"):
        integer.filter_plane(network, np.zeros((8, 8, 3), np.uint8), 8)


def test_a_missing_model_is_named(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.vrcnn"):
        ModelSet.load(tmp_path / "nothing.vrcnn")
