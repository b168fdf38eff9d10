"""check finds planted differences and says where they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.bitstream.sideinfo import MODES, Sideinfo
from codec_bridge.codecs import gates
from codec_bridge.evaluation import check
from codec_bridge.evaluation.measure import complexity
from codec_bridge.filter import Filter
from codec_bridge.video.picture import Picture
from tests import independent
from tests.support import media
from tests.support.models import joint_set
from vrcnn_int import integer
from vrcnn_int.integer import Branch, IntegerNetwork, ModelSet
from vrcnn_int.models import builtin_path
from vrcnn_int.network import PLANES, POSITIONS, macs_per_sample

MODELS = ModelSet.load(builtin_path())
NETWORKS = MODELS.networks
PLANE = np.random.default_rng(1).integers(0, 256, (40, 48)).astype(np.uint8)


def grey(plane: np.ndarray) -> Picture:
    return Picture((plane,), 8, "400")


def changed(network: IntegerNetwork, layer: int, branch: int, **changes: object) -> IntegerNetwork:
    layers = [list(branches) for branches in network.layers]
    layers[layer][branch] = replace(layers[layer][branch], **changes)
    return IntegerNetwork(tuple(tuple(branches) for branches in layers), network.qp, network.position)


def test_equal_networks_pass() -> None:
    with Filter(MODELS) as filter_:
        check.compare_oracle(filter_, NETWORKS[1], 1, grey(PLANE), filter_.filter_picture(grey(PLANE), index=1), "picture 7")


@pytest.mark.parametrize(("layer", "branch", "channel"), [(0, 0, 5), (1, 0, 3), (1, 1, 20), (2, 1, 9)])
def test_one_changed_weight_is_found_in_its_layer_and_channel(layer: int, branch: int, channel: int) -> None:
    """The library filters with a set in which one bit of one weight differs from the oracle's."""
    network = MODELS.networks[3]
    victim: Branch = network.layers[layer][branch]
    weights = victim.weights.copy()
    weights[channel, 0, 0, 0] ^= 64
    weights[channel, :, 0, 0] = np.maximum(weights[channel, :, 0, 0], -127)
    other = ModelSet((*MODELS.networks[:3], changed(network, layer, branch, weights=weights)))
    assert other.identity != MODELS.identity
    with Filter(other) as filter_:
        # A weight may be dead on one plane; several make sure that its channel shows.
        for seed in range(8):
            plane = np.random.default_rng(seed).integers(0, 256, (32, 32)).astype(np.uint8)
            difference = check.locate(filter_, network, grey(plane), 3)
            if difference:
                break
    assert difference is not None
    before = sum(len(b.bias) for b in network.layers[layer][:branch])
    assert (difference.layer, difference.channel) == (layer + 1, before + channel)


def test_a_difference_in_the_last_layer_is_named() -> None:
    network = MODELS.networks[0]
    last = network.layers[-1][0]
    other = ModelSet((changed(network, 3, 0, bias=last.bias + (1 << (last.shift + 3))), *MODELS.networks[1:]))
    with Filter(other) as filter_:
        filtered = filter_.filter_picture(grey(PLANE), index=0)
        with pytest.raises(gates.Inconsistency, match=r"picture 7: .*layer 4, channel 0"):
            check.compare_oracle(filter_, network, 0, grey(PLANE), filtered, "picture 7")


def test_regions_are_the_whole_picture() -> None:
    with Filter(MODELS) as filter_:
        for plane in (PLANE, np.random.default_rng(2).integers(0, 256, (130, 70)).astype(np.uint8)):
            whole = filter_.filter_picture(grey(plane), index=2)
            for apart in (check.filter_by_regions, check.filter_by_maps):
                assert media.equal([apart(filter_, NETWORKS[2], 2, grey(plane))], [whole])


JOINT = joint_set(luma=True)


@pytest.mark.parametrize("chroma_format", ["400", "420", "422"])
@pytest.mark.parametrize("index", [1, 4])
def test_joint_networks_are_checked_in_all_planes_that_they_filter(index: int, chroma_format: str) -> None:
    network = JOINT.networks[index]
    (picture,) = media.pictures(1, 150, 70, 10, chroma_format)
    with Filter(JOINT) as one, Filter(JOINT, threads=3) as other:
        filtered = one.filter_picture(picture, index=index)
        compared = check.check_picture((one, other), network, index, picture, filtered, picture, "cat")
        assert compared == 150 * 70 * (3 if chroma_format == "420" else 2) // 2
        for number, plane in enumerate(PLANES[: 3 if chroma_format == "420" else 1]):
            wrong = [one.copy() for one in filtered.planes]
            wrong[number][3, 7] ^= 1
            where = rf"cat, plane {plane}: kernel .* layer 4, channel 0, sample \(7, 3\)"
            with pytest.raises(gates.Inconsistency, match=where):
                check.compare_oracle(one, network, index, picture, picture.with_planes(tuple(wrong)), "cat")


def test_a_changed_weight_of_a_joint_network_is_found_in_its_layer_and_channel() -> None:
    network = JOINT.networks[1]
    weights = network.layers[1][0].weights.copy()
    weights[5] = 127 - np.abs(weights[5])
    layers = list(network.layers)
    layers[1] = (replace(layers[1][0], weights=weights),)
    other = ModelSet((JOINT.networks[0], replace(network, layers=tuple(layers))))
    (picture,) = media.pictures(1, 64, 48)
    with Filter(other) as filter_:
        difference = check.locate(filter_, network, picture, 1)
    assert difference is not None
    assert (difference.layer, difference.channel) == (2, 5)


def test_sides_that_differ_are_named() -> None:
    picture = Picture((PLANE, PLANE[::2, ::2].copy(), PLANE[::2, ::2].copy()), 8, "420")
    gates.compare_sides(picture, picture, "same")
    chroma = picture.planes[2].copy()
    chroma[3, 7] ^= 1
    other = Picture((PLANE, picture.planes[1], chroma), 8, "420")
    with pytest.raises(gates.Inconsistency, match=r"plane Cr at sample \(7, 3\).*1 sample differs"):
        gates.compare_sides(picture, other, "clip")


def test_first_difference_is_the_first() -> None:
    a = np.zeros((3, 4, 5), np.int64)
    b = a.copy()
    b[2, 0, 0] = b[1, 3, 4] = 9
    found = check.first_difference(a, b, 2)
    assert found == check.Difference(2, 1, 3, 4, 0, 9)
    assert "layer 2, channel 1, sample (4, 3): 0 expected, 9 found" in str(found)
    with pytest.raises(gates.Inconsistency, match="shape"):
        check.first_difference(a, b[:2], 2)


def test_another_set_than_the_oracle_s_is_refused(tmp_path: Path) -> None:
    """The library's built-in set and the shipped file must be the same."""
    with Filter() as filter_:
        assert filter_.identity == MODELS.identity
    plane = integer.filter_plane(MODELS.networks[0], PLANE, 8)
    with Filter() as filter_:
        np.testing.assert_array_equal(filter_.filter_plane(PLANE, 8, 0), plane)


INDICES = 2, 4
SIZE = 130, 4
MAPS = np.array([[1, 0, 2]], np.uint8), np.array([[2, 1]], np.uint8)
"""In units of 64 and of 128."""


def side_of(luma: str, chroma: str, position: str = POSITIONS[0]) -> Sideinfo:
    """Version 2: networks 2 and 4 of JOINT, the second with two heads."""
    shares = chroma == "luma's"
    count = 2 if "map" in (luma, chroma) else 1
    weights = [((8,), (3, -2))[:count], ((4,), (10, 7))[:count]]
    own = chroma == "map"
    maps = [MAPS[0] if luma == "map" else None, MAPS[1] if own else MAPS[0] if shares else None]
    return Sideinfo(
        None,
        luma,
        position,
        INDICES[:count],
        unit_size=64 if luma == "map" else 0,
        units=maps[0],
        version=2,
        chroma_mode="map" if shares else chroma,
        shares_map=shares,
        luma_weights=weights[0],
        chroma_weights=weights[1],
        chroma_unit_size=128 if own else 64 if shares else 0,
        chroma_units=maps[1],
    )


def noise_picture(rng: np.random.Generator) -> Picture:
    width, height = SIZE
    shapes = (height, width), (height // 2, width // 2), (height // 2, width // 2)
    return Picture(tuple(rng.integers(0, 512, shape).astype(np.uint16) for shape in shapes), 9, "420")


@pytest.mark.parametrize("chroma", [*MODES, "luma's"])
@pytest.mark.parametrize("luma", MODES)
@pytest.mark.parametrize("position", POSITIONS)
def test_planes_are_replayed(luma: str, chroma: str, position: str) -> None:
    """The replay of version 2 against the independent implementation of section 8."""
    if chroma == "luma's" and luma != "map":
        return
    rng = np.random.default_rng(len(luma) * 5 + len(chroma))
    side = side_of(luma, chroma, position)
    ways = [noise_picture(rng) for _ in range(3)]
    info = {"luma_mode": MODES.index(luma), "chroma_mode": 3 if side.shares_map else MODES.index(chroma)}
    info |= {"filter_position": POSITIONS.index(position), "network_index": list(side.indices)}
    info |= {"luma_weights": [*map(list, side.luma_weights)], "chroma_weights": [*map(list, side.chroma_weights)]}
    info |= {"luma_UnitSize": 64, "luma_unit_choice": MAPS[0].reshape(-1).tolist()} if luma == "map" else {}
    info |= {"chroma_UnitSize": 128, "chroma_unit_choice": MAPS[1].reshape(-1).tolist()} if chroma == "map" else {}
    kept = [[[0] * plane.shape[1]] * plane.shape[0] for plane in ways[0].planes]
    given = [[plane.tolist() for plane in way.planes] for way in ways]
    networks = independent.read_model(JOINT.to_bytes())
    expected = independent.decoded_planes(info, networks, [9, 9], 420, *given, kept)
    with Filter(JOINT) as filter_:
        found = check.replay(filter_, side, *ways)
    assert [plane.tolist() for plane in found.planes] == expected


def test_complexity_of_planes() -> None:
    """A network runs once for luma and chroma together."""
    costs = [macs_per_sample(JOINT.networks[index].architecture) / 1000 for index in INDICES]
    share, kmac = complexity([side_of("all", "all")], JOINT, *SIZE)
    assert (share, kmac) == (1, pytest.approx(costs[0]))
    assert complexity([side_of("off", "all")], JOINT, *SIZE) == (0, pytest.approx(costs[0]))
    share, kmac = complexity([side_of("map", "luma's")], JOINT, *SIZE)
    assert share == pytest.approx(66 / 130)
    assert kmac == pytest.approx((64 * costs[0] + 2 * costs[1]) / 130)
    share, kmac = complexity([side_of("map", "map")], JOINT, *SIZE)
    assert share == pytest.approx(66 / 130)
    assert kmac == pytest.approx((66 * costs[0] + 130 * costs[1]) / 130)
    assert complexity([side_of("off", "off"), None], JOINT, *SIZE) == (0, 0)
