"""The oracle."""

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


PLANES = [np.random.default_rng(9).integers(0, 256, shape).astype(np.uint8) for shape in ((5, 7), (3, 4), (3, 4))]
JOINT = [[(3, 16)], [(1, 16)], [(3, 16)], [(3, 1)]]


def joint(seed: int, heads: int = 1) -> integer.IntegerNetwork:
    return random_network(np.random.default_rng(seed), JOINT, added=(0, 1, 2, 0), heads=heads)


def test_sites_of_an_odd_picture() -> None:
    """The samples of the section's table, one by one; outside the picture x is 0, which is the sample 128."""
    values = integer.site_values(PLANES, (8, 8), "420")
    assert values.shape == (6, 3, 4)
    luma = np.full((6, 8), 128)
    luma[:5, :7] = PLANES[0]
    for y, x in np.ndindex(3, 4):
        square = [luma[2 * y, 2 * x], luma[2 * y, 2 * x + 1], luma[2 * y + 1, 2 * x], luma[2 * y + 1, 2 * x + 1]]
        assert values[:, y, x].tolist() == [int(s) - 128 for s in (*square, PLANES[1][y, x], PLANES[2][y, x])]


def test_an_added_layer_is_added_before_the_limits() -> None:
    network = joint(1)
    values = integer.site_values(PLANES, (8, 8), "420")
    one, two, three = integer.joint_layer_outputs(network, PLANES, (8, 8))
    for layer, source, added, found in ((0, values, 0, one), (1, one, one, two), (2, two, one, three)):
        branch = network.layers[layer][0]
        t = pre_shift(integer.accumulate_int64(source, branch), branch.shift)
        unlimited = ((t * branch.multiplier + 16384) >> 15) + added
        assert (unlimited < 0).any()
        assert (unlimited > 127).any()
        np.testing.assert_array_equal(found, unlimited.clip(0, 127))


def test_absent_chroma_is_zero_and_stays() -> None:
    """Only 4:2:0 with chroma of 8 to 10 bits has a chroma that a joint network reads; luma comes out as with mid-grey chroma planes."""
    network = joint(2)
    grey = [PLANES[0], *[np.full((3, 4), 128, np.uint8)] * 2]
    expected = integer.filter_planes(network, grey, (8, 8))[0]
    assert (expected != integer.filter_planes(network, PLANES, (8, 8))[0]).any()
    wide, full, deep = (np.full(shape, 9, np.uint16) for shape in ((5, 4), (5, 7), (3, 4)))
    for chroma, depths, chroma_format in (
        ([], (8, 8), "400"),
        ([wide, wide], (8, 8), "422"),
        ([full, full], (8, 8), "444"),
        ([deep, deep], (8, 12), "420"),
    ):
        found = integer.filter_planes(network, [PLANES[0], *chroma], depths, chroma_format)
        np.testing.assert_array_equal(found[0], expected)
        assert [id(plane) for plane in found[1:]] == [id(plane) for plane in chroma]


def test_a_luma_network_changes_luma_only() -> None:
    network = random_network(np.random.default_rng(3))
    found = integer.filter_planes(network, PLANES, (8, 8), "420", [5])
    np.testing.assert_array_equal(found[0], integer.filter_plane(network, PLANES[0], 8, 5))
    assert [id(plane) for plane in found[1:]] == [id(plane) for plane in PLANES[1:]]


def test_heads_are_mixed_by_their_weights() -> None:
    """One head of weight 8 beside one of weight 0 is that head alone."""
    network = joint(4, heads=2)
    luma, chroma = network.layers[-1]

    def alone(head: int) -> integer.IntegerNetwork:
        parts = [
            replace(b, weights=b.weights[n * head : n * head + n], bias=b.bias[n * head : n * head + n])
            for b, n in ((luma, 4), (chroma, 2))
        ]
        return replace(network, heads=1, layers=(*network.layers[:-1], tuple(parts)))

    for head, weights in enumerate(((8, 0), (0, 8))):
        found = integer.filter_planes(network, PLANES, (8, 8), "420", weights, weights)
        for plane, expected in zip(found, integer.filter_planes(alone(head), PLANES, (8, 8)), strict=True):
            np.testing.assert_array_equal(plane, expected)
    mixed = integer.filter_planes(network, PLANES, (8, 8), "420", (-5, 3), (1, -1))
    assert any((plane != before).any() for plane, before in zip(mixed, PLANES, strict=True))


def test_wrong_pictures_and_weights_are_refused() -> None:
    network, two = joint(5), joint(6, heads=2)
    luma = random_network(np.random.default_rng(3))
    for planes, depths, chroma_format, message in (
        (PLANES[:1], (8, 8), "420", "420 picture of 1 plane"),
        (PLANES, (8, 8), "400", "400 picture of 3 planes"),
        (PLANES, (8, 8), "411", "411"),
        ([PLANES[0], PLANES[0], PLANES[0]], (8, 8), "420", "chroma planes of shapes"),
        (PLANES, (12, 8), "420", "12 bits"),
        (PLANES, (8, 10), "420", "does not fit uint8"),
    ):
        with pytest.raises(ModelError, match=message):
            integer.filter_planes(network, planes, depths, chroma_format)
    for filter_, weights in (
        (network, (11,)),
        (network, (0,)),
        (network, (8, 8)),
        (two, (8,)),
        (two, (-6, 8)),
        (two, (8, 11)),
        (luma, (0,)),
    ):
        with pytest.raises(ModelError, match="luma weights"):
            integer.filter_planes(filter_, PLANES, (8, 8), "420", weights, (8,) * filter_.heads)
    with pytest.raises(ModelError, match="chroma weights"):
        integer.filter_planes(network, PLANES, (8, 8), "420", (8,), (11,))
    with pytest.raises(ModelError, match="kind joint, not luma"):
        integer.filter_plane(network, PLANES[0], 8)
    with pytest.raises(ModelError, match="kind luma, not joint"):
        integer.joint_layer_outputs(luma, PLANES, (8, 8))
