"""Pictures of three planes through the C library: every kernel against the oracle."""

import numpy as np
import pytest

from codec_bridge.filter import Filter, kernels
from codec_bridge.library.engines.c import CEngine
from codec_bridge.library.native import Model
from tests.support.models import picture, random_network
from vrcnn_int import integer
from vrcnn_int.integer import ModelSet

RNG = np.random.default_rng(22)
RESIDUAL = (((3, 32),), ((3, 32),), ((3, 32),), ((3, 32),), ((3, 32),), ((3, 1),))
WIDE = (((5, 16), (1, 32)), ((3, 48),), ((5, 48),), ((1, 48),), ((5, 48),), ((5, 1),))
NETWORKS = (
    random_network(RNG, RESIDUAL, 32, added=(0, 0, 2, 0, 2, 0), heads=1),
    random_network(RNG, WIDE, 32, added=(0, 1, 2, 3, 4, 0), heads=2, size="fast"),
    random_network(RNG, (((3, 64),), ((3, 64),), ((3, 64),), ((1, 1),)), 37, added=(0, 0, 2, 0), heads=2),
    random_network(RNG, (((3, 16),), ((3, 16),), ((3, 16),), ((3, 1),)), 37, added=(0, 1, 2, 0)),
)
MODELS = ModelSet(NETWORKS)
KERNELS = [name for name, supported in kernels() if supported and name != "auto"]


def planes(width: int, height: int, depths: tuple[int, int], content: str = "random", chroma: bool = True) -> tuple[np.ndarray, ...]:
    luma = picture(RNG, content, height, width, depths[0])
    return (luma, *(picture(RNG, content, (height + 1) // 2, (width + 1) // 2, depths[1]) for _ in range(2 * chroma)))


def weights(index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    heads = NETWORKS[index].heads
    low = -5 if heads > 1 else 1
    return tuple(RNG.integers(low, 11, heads).tolist()), tuple(RNG.integers(low, 11, heads).tolist())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kernel", KERNELS)
def test_planes_are_the_oracle_s(kernel: str, threads: int) -> None:
    with Filter(MODELS, kernel, threads=threads) as filter_:
        for index, network in enumerate(NETWORKS):
            for width, height, depths, content in (
                (1, 1, (8, 8), "random"),
                (2, 2, (8, 10), "max"),
                (97, 71, (10, 8), "random"),
                (130, 70, (8, 8), "checkerboard"),
                (33, 140, (9, 9), "narrow"),
            ):
                for chroma in (True, False):
                    given, chosen = planes(width, height, depths, content, chroma), weights(index)
                    expected = integer.filter_planes(network, given, depths, "420" if chroma else "400", *chosen)
                    got = filter_.filter_planes(given, depths, index, *chosen)
                    for plane, (a, b) in enumerate(zip(got, expected, strict=True)):
                        np.testing.assert_array_equal(a, b, f"{kernel}, network {index}, {width}x{height}, plane {plane}")


@pytest.mark.parametrize("kernel", KERNELS)
def test_hidden_layers_of_sites(kernel: str) -> None:
    engine = CEngine(Model(MODELS.to_bytes(), "set"), kernel)
    for index in (0, 1, 2):
        given = planes(61, 43, (8, 8))
        for layer, values in enumerate(integer.joint_layer_outputs(NETWORKS[index], given, (8, 8))):
            np.testing.assert_array_equal(engine.planes_layer(given, (8, 8), index, layer), values, f"network {index}, layer {layer}")
