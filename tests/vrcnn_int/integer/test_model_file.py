"""Model sets as files, their limits, and the choice of a network."""

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import random_network
from vrcnn_int.integer import Branch, IntegerNetwork, ModelError, ModelSet
from vrcnn_int.models import builtin_path

JOINT = [[(3, 16)], [(1, 32)], [(3, 16)], [(1, 16)], [(3, 1)]]


@pytest.fixture(scope="module")
def shipped() -> ModelSet:
    return ModelSet.load(builtin_path())


def joint(heads: int = 1) -> IntegerNetwork:
    return random_network(np.random.default_rng(heads), JOINT, added=(0, 0, 2, 3, 0), heads=heads)


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


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.vrcnn"):
        ModelSet.load(tmp_path / "nothing.vrcnn")


def alike(one: ModelSet, other: ModelSet) -> bool:
    """Whether two sets hold the same networks; a network's arrays are compared by their values."""

    def plain(network: IntegerNetwork) -> object:
        layers = [[(b.kernel, b.shift, b.multiplier, b.weights.tolist(), b.bias.tolist()) for b in layer] for layer in network.layers]
        return layers, network.qp, network.position, network.kind, network.size, network.heads, network.added

    return [plain(network) for network in one.networks] == [plain(network) for network in other.networks]


def test_version_2_survives_its_binary_form() -> None:
    luma = random_network(np.random.default_rng(3), [[(3, 16)], [(3, 16)], [(1, 1)]], added=(0, 1, 0))
    models = ModelSet((joint(1), luma, replace(joint(2), size="fast", position="after_sao", qp=-12)))
    data = models.to_bytes()
    assert struct.unpack_from("<H", data, 8) == (2,)
    again = ModelSet.from_bytes(data)
    assert alike(again, models)
    assert again.to_bytes() == data
    assert again.identity == data[-32:].hex()


def test_version_is_the_lowest_that_can_be() -> None:
    """What version 1 can say has version 1, and the bytes of version 2 for it are refused."""
    plain = random_network(np.random.default_rng(4), [[(3, 16)], [(3, 16)], [(1, 1)]])
    others = (replace(plain, size="fast"), replace(plain, added=(0, 1, 0)), joint())
    assert [ModelSet(networks).version for networks in ((plain,), *((plain, other) for other in others))] == [1, 2, 2, 2]
    data = ModelSet((replace(plain, size="fast"),)).to_bytes()
    body = bytearray(data[:-32])
    body[20] = 1  # size_class: best
    with pytest.raises(ModelError, match="not canonical"):
        ModelSet.from_bytes(bytes(body) + hashlib.sha256(body).digest())


def branch(network: IntegerNetwork, layer: int, number: int, **changes: object) -> IntegerNetwork:
    layers = [list(branches) for branches in network.layers]
    layers[layer][number] = replace(layers[layer][number], **changes)
    return replace(network, layers=tuple(map(tuple, layers)))


def thinner(given: Branch) -> Branch:
    return replace(given, weights=given.weights[:-1], bias=given.bias[:-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "chroma"}, "kind 'chroma'"),
        ({"size": "small"}, "size 'small'"),
        ({"heads": 0}, "0 heads"),
        ({"heads": 3}, "3 heads"),
        ({"heads": 2}, "layer 5, branch 1: 4 output channels"),
        ({"kind": "luma"}, "layer 1, branch 1: weights have shape"),
        ({"added": (0, 0, 2, 3)}, "for 4 of 5 layers"),
        ({"added": (1, 0, 0, 0, 0)}, "layer 1: adds the layer 1 before it"),
        ({"added": (0, 0, 3, 0, 0)}, "layer 3: adds the layer 3 before it"),
        ({"added": (0, 0, 0, 0, 1)}, "layer 5: adds the layer 1 before it"),
        ({"added": (0, -1, 0, 0, 0)}, "layer 2: adds the layer -1 before it"),
        ({"added": (0, 1, 0, 0, 0)}, "layer 2: 32 output channels cannot add 16"),
    ],
)
def test_limits_of_joint_networks(changes: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelSet((replace(joint(), **changes),))


def test_limits_of_layers() -> None:
    network = joint()
    luma, chroma = network.layers[-1]
    six = random_network(np.random.default_rng(1), [[(1, 16)]] * 6 + [[(1, 1)]], added=(0, 0, 0, 0, 4, 0, 0), heads=2)
    ModelSet((six,))
    small = np.zeros((2, 16, 1, 1), np.int8)
    two = replace(network, layers=(network.layers[0], network.layers[0] * 2, *network.layers[2:]))
    for wrong, message in (
        (replace(network, layers=(*network.layers[:-1], (luma,))), "layer 5: 1 branches"),
        (replace(network, layers=(*network.layers[:-1], (luma, chroma, chroma))), "layer 5: 3 branches"),
        (replace(network, layers=(*network.layers[:-1], (luma, thinner(chroma)))), "layer 5, branch 2: 1 output channels"),
        (branch(network, 4, 1, kernel=1, weights=small), "layer 5, branch 2: kernel size 1 is not that of the first"),
        (branch(network, 4, 1, shift=1), "layer 5, branch 2: shift 1"),
        (branch(network, 4, 0, multiplier=1024), "layer 5, branch 1: multiplier 1024"),
        (replace(network, layers=(*network.layers[:2], network.layers[2] * 2, *network.layers[3:])), "layer 3: 2 branches"),
        (replace(six, added=(0, 0, 0, 0, 0, 5, 0)), "layer 6: adds the layer 5 before it"),
        (replace(two, added=(0,) * 5), "layer 2, branch 1: weights"),
    ):
        with pytest.raises(ModelError, match=message):
            ModelSet((wrong,))


def test_choice_by_kind_and_size() -> None:
    luma = random_network(np.random.default_rng(1), [[(1, 16)], [(1, 1)]], 37)
    sizes = [replace(joint(), qp=qp, size=size) for qp, size in ((22, "fast"), (37, "fast"), (30, "best"))]
    models = ModelSet((luma, *sizes))
    assert [models.index_for_qp(20, kind="joint", size=size) for size in ("fast", "best", None)] == [1, 3, 1]
    assert [models.index_for_qp(20, size=size) for size in ("fast", "best", None)] == [0, 0, 0]
    with pytest.raises(ModelError, match="no joint network for position after_sao"):
        models.index_for_qp(20, "after_sao", "joint")


@pytest.mark.parametrize("offset", [19, 20, 21, 22, 23, 25])
def test_rehashed_damage_of_version_2(offset: int) -> None:
    """kind, size_class, heads, both bytes of reserved_zero, and the first layer's added."""
    good = ModelSet((joint(),)).to_bytes()
    body = bytearray(good[:-32])
    body[offset] = 7
    with pytest.raises(ModelError, match=r"kind 7|size 7|7 heads|reserved|layer 7"):
        ModelSet.from_bytes(bytes(body) + hashlib.sha256(body).digest())
