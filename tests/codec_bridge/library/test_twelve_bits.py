"""Pictures of 12 bits: joint networks filter them alike everywhere, and nobody else does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.filter import ErrorCode, Filter, FilterError, kernels
from codec_bridge.video.files import write_y4m
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture
from tests import independent
from tests.support import media
from tests.support.models import random_network
from vrcnn_int.conformance.networks import JOINT_ADDED, JOINT_EXTREME, at_least_shift, extreme_joint_networks
from vrcnn_int.integer import IntegerNetwork, ModelError, ModelSet, filter_plane, filter_planes
from vrcnn_int.models import builtin_path

MOST = 4095
KERNELS = [name for name, available in kernels() if available and name != "auto"]


def networks() -> list[IntegerNetwork]:
    """Random ones, and those at the limits, with the smallest shift that 12 bits have."""
    rng = np.random.default_rng(12)
    shapes = [(JOINT_EXTREME, 1), (JOINT_EXTREME, 2), ([(3, 32)], [(3, 32)], [(3, 1)])]
    found = [random_network(rng, JOINT_EXTREME, 32, added=JOINT_ADDED, heads=heads) for heads in (1, 2)]
    found.append(random_network(rng, shapes[2], 32, heads=1))
    found += list(extreme_joint_networks())
    return [at_least_shift(network, 4) for network in found]


def contents(rng: np.random.Generator) -> list[Callable[[tuple[int, int]], np.ndarray]]:
    return [
        lambda shape: rng.integers(0, MOST + 1, shape),
        lambda shape: rng.choice([0, MOST], shape),
        lambda shape: rng.integers(MOST - 15, MOST + 1, shape),  # of which the highest would round to 256
        lambda shape: np.full(shape, MOST),
        lambda shape: np.zeros(shape),
    ]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("depths", [(12, 12), (12, 10), (12, 8)])
def test_every_kernel_gives_the_oracle_s_bits(kernel: str, depths: tuple[int, int]) -> None:
    models = ModelSet(tuple(networks()))
    rng = np.random.default_rng(list(depths))
    with Filter(models, kernel=kernel, threads=2) as filter_:
        for index, network in enumerate(models.networks):
            for make in contents(rng):
                height, width = (int(side) for side in rng.integers(1, 40, 2))
                shapes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
                planes = tuple(
                    (make(shape).astype(int) >> 12 - depth).astype(np.uint8 if depth == 8 else np.uint16)
                    for shape, depth in zip(shapes, (depths[0], depths[1], depths[1]), strict=True)
                )
                weights = [tuple(int(w) for w in rng.integers(1, 11, network.heads)) for _ in range(2)]
                found = filter_.filter_planes(planes, depths, index, *weights)
                for plane, expected in zip(found, filter_planes(network, planes, depths, "420", *weights), strict=True):
                    np.testing.assert_array_equal(plane, expected)
                grey = filter_.filter_planes(planes[:1], depths, index, *weights)[0]
                np.testing.assert_array_equal(grey, filter_planes(network, planes[:1], depths, "400", *weights)[0])


def test_the_oracle_is_the_specification(tmp_path: Path) -> None:
    """As tests/independent.py reads it."""
    models = ModelSet(tuple(networks()))
    others = independent.read_model(models.to_bytes())
    rng = np.random.default_rng(3)
    for network, other in zip(models.networks, others, strict=True):
        for make in contents(rng)[:3]:
            planes = [make(shape).astype(np.uint16) for shape in ((5, 6), (3, 3), (3, 3))]
            weights = [[int(w) for w in rng.integers(1, 11, network.heads)] for _ in range(2)]
            found = independent.filter_planes(other, [plane.tolist() for plane in planes], [12, 12], 420, *weights)
            expected = filter_planes(network, planes, (12, 12), "420", *weights)
            assert found == [plane.tolist() for plane in expected]


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(FilterError) as caught:
        call()
    assert caught.value.code is ErrorCode.BIT_DEPTH


@pytest.mark.parametrize("backend", ["c", "oracle"])
def test_who_does_not_filter_them(backend: str) -> None:
    plane, chroma = np.full((8, 8), MOST, np.uint16), np.full((4, 4), MOST, np.uint16)
    eight = np.zeros((8, 8), np.uint8)
    with Filter(backend=backend) as luma, Filter("joint_intra", backend=backend) as joint:
        refused(lambda: luma.filter_plane(plane, 12, 0))
        refused(lambda: luma.filter_planes((plane,), (12, 12), 0))
        refused(lambda: luma.filter_planes((plane, chroma, chroma), (12, 12), 0))
        refused(lambda: luma.filter_units(plane, 12, [0], np.ones((1, 1), np.uint8), 64))
        refused(lambda: joint.filter_planes((eight, chroma, chroma), (8, 12), 0))
        refused(lambda: joint.filter_planes((plane,), (11, 11), 0))
    low = next(network for network in extreme_joint_networks() if not network.is_deep)
    with Filter(ModelSet((low,)), backend=backend) as filter_:
        weights = (8,) * low.heads
        refused(lambda: filter_.filter_planes((plane, chroma, chroma), (12, 12), 0, weights, weights))
        refused(lambda: filter_.filter_planes((plane,), (12, 12), 0, weights, weights))


def test_the_oracle_refuses_too() -> None:
    plane = np.zeros((4, 4), np.uint16)
    luma, joint = (ModelSet.load(builtin_path(name)).networks[0] for name in ("vrcnn_intra", "joint_intra"))
    with pytest.raises(ModelError, match="does not filter 12 bits"):
        filter_plane(luma, plane, 12)
    with pytest.raises(ModelError, match="does not filter 12 bits"):
        filter_planes(replace(joint, layers=at_shift(joint, 3)), [plane], (12, 12), "400")
    with pytest.raises(ModelError, match="11 bits are not filtered"):
        filter_planes(joint, [plane], (11, 11), "400")


def at_shift(network: IntegerNetwork, shift: int) -> tuple[tuple[object, ...], ...]:
    return *network.layers[:-1], tuple(replace(branch, shift=shift) for branch in network.layers[-1])


def test_files_of_12_bits(tmp_path: Path) -> None:
    clip = media.pictures(2, 32, 16, 12)
    write_y4m(tmp_path / "a.y4m", clip, 25)
    assert b" C420p12\n" in (tmp_path / "a.y4m").read_bytes()
    assert media.equal(open_video(tmp_path / "a.y4m"), clip)
    assert media.equal(open_video(media.write_container(tmp_path / "a.mkv", clip)), clip)
    with Filter("joint_intra") as filter_:
        assert isinstance(filter_.filter_picture(clip[0], qp=32, kind="joint"), Picture)
