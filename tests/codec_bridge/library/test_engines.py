"""Every engine behind Filter gives the oracle's bits, at the extremes too, and opens only what is its own."""

from collections.abc import Iterator

import numpy as np
import pytest

from codec_bridge.evaluation import settings
from codec_bridge.filter import BACKENDS, ErrorCode, Filter
from codec_bridge.library import cuda, native
from codec_bridge.library.engines import ENGINES
from tests.support.errors import refused_as
from tests.support.models import extreme_network, picture, random_network
from vrcnn_int import integer
from vrcnn_int.integer import ModelSet

SHAPE = [[(3, 16)], [(1, 16), (3, 32)], [(3, 1)]]
RNG = np.random.default_rng(20)
MODELS = ModelSet((random_network(RNG, SHAPE, 32), extreme_network("high", "high", 0, 32767), extreme_network("low", "low", 15, 1)))
"""One within the limits, two at them."""

RESIDUAL = [[(3, 32)], [(3, 32)], [(3, 32)], [(3, 1)]]
JOINT = ModelSet(
    (
        random_network(RNG, RESIDUAL, 32, added=(0, 0, 2, 0), heads=1),
        extreme_network("high", "high", 0, 32767, heads=2, hidden=32),
        extreme_network("alternating", "zero", 3, 20000, heads=1, hidden=64),
        random_network(RNG, [[(3, 16)], [(5, 16)], [(1, 16)], [(3, 1)]], 32, added=(0, 1, 2, 0)),
        extreme_network("low", "high", 3, 32767, heads=2),
    )
)
"""Joint networks within the limits and at them, of 32, 64 and 16 channels, and one of the kind luma whose layers add."""


def opened(models: ModelSet, backend: str) -> Filter:
    if backend == "cuda":
        try:
            cuda.devices()
        except cuda.CudaError as error:
            pytest.skip(f"no GPU: {error}")
    return Filter(models, backend=backend, threads=2)


@pytest.fixture(params=BACKENDS)
def filter_(request: pytest.FixtureRequest) -> Iterator[Filter]:
    """MODELS in a backend."""
    with opened(MODELS, request.param) as filter_:
        yield filter_


@pytest.fixture(params=BACKENDS)
def joint(request: pytest.FixtureRequest) -> Iterator[Filter]:
    """JOINT in a backend."""
    with opened(JOINT, request.param) as filter_:
        yield filter_


@pytest.mark.parametrize("bit_depth", [8, 9, 10])
@pytest.mark.parametrize("contents", ["random", "zero", "max"])
def test_planes_and_regions_are_the_oracle_s(filter_: Filter, contents: str, bit_depth: int) -> None:
    plane = picture(np.random.default_rng(bit_depth), contents, 7, 11, bit_depth)
    for index, network in enumerate(MODELS.networks):
        scale = 10 if index else bit_depth
        expected = integer.filter_plane(network, plane, bit_depth, scale)
        result = filter_.filter_plane(plane, bit_depth, index, scale)
        assert result.dtype == plane.dtype
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(filter_.filter_region(plane, bit_depth, index, 3, 4, 8, 2, scale), expected[4:6, 3:11])


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_units_are_the_oracle_s(filter_: Filter, bit_depth: int) -> None:
    rng = np.random.default_rng(bit_depth)
    plane, other = (picture(rng, "random", 66, 130, bit_depth) for _ in range(2))
    units = np.array([[1, 0, 2], [2, 1, 0]], np.uint8)
    chosen = units.repeat(64, 0).repeat(64, 1)[:66, :130]
    whole = [integer.filter_plane(MODELS.networks[index], plane, bit_depth, 3) for index in (2, 0)]
    for background in (None, other):
        given = [array.copy() for array in (plane, other)]
        result = filter_.filter_units(plane, bit_depth, [2, 0], units, 64, 3, background)
        np.testing.assert_array_equal(result, np.choose(chosen, [plane if background is None else other, *whole]))
        np.testing.assert_array_equal([plane, other], given)


@pytest.mark.parametrize(
    ("width", "height", "depths", "contents"),
    [(9, 7, (8, 8), "random"), (12, 11, (10, 8), "max"), (1, 1, (9, 9), "zero"), (7, 10, (8, 10), "checkerboard")],
)
def test_pictures_of_three_planes_are_the_oracle_s(joint: Filter, width: int, height: int, depths: tuple[int, int], contents: str) -> None:
    rng = np.random.default_rng(width)
    shapes = ((height, width), *2 * (((height + 1) // 2, (width + 1) // 2),))
    planes = tuple(picture(rng, contents, *shape, depths[number > 0]) for number, shape in enumerate(shapes))
    for index, network in enumerate(JOINT.networks):
        weights = [(8,), (5,)] if network.heads == 1 else [(-5, 10), (3, -2)]
        for given, chroma_format in ((planes, "420"), (planes[:1], "400")):
            expected = integer.filter_planes(network, given, depths, chroma_format, *weights)
            for plane, wanted in zip(joint.filter_planes(given, depths, index, *weights), expected, strict=True):
                assert plane.dtype == wanted.dtype
                np.testing.assert_array_equal(plane, wanted, f"network {index}")


def test_regions_and_units_of_three_planes_are_the_oracle_s(joint: Filter) -> None:
    rng = np.random.default_rng(4)
    planes = tuple(picture(rng, "random", *shape, 8) for shape in ((9, 67), (5, 34), (5, 34)))
    weights = (3, 8), (10, -5)
    whole = integer.filter_planes(JOINT.networks[1], planes, (8, 8), "420", *weights)
    luma = integer.filter_planes(JOINT.networks[3], planes, (8, 8), "420", (5,), (8,))[0]
    for plane, wanted, half in zip(joint.filter_planes_region(planes, (8, 8), 1, 60, 2, 7, 6, *weights), whole, (1, 2, 2), strict=True):
        np.testing.assert_array_equal(plane, wanted[2 // half : 8 // half, 60 // half :])
    filters = [(1, *weights), (3, (5,), (8,))]
    maps = np.array([[2, 1]], np.uint8), np.array([[1, 0]], np.uint8)
    found = joint.filter_planes_units(planes, (8, 8), filters, *maps, 64)
    np.testing.assert_array_equal(found[0], np.concatenate([luma[:, :64], whole[0][:, 64:]], 1))
    for plane, given, wanted in zip(found[1:], planes[1:], whole[1:], strict=True):
        np.testing.assert_array_equal(plane, np.concatenate([wanted[:, :32], given[:, 32:]], 1))


def test_calls_for_luma_refuse_joint_networks(joint: Filter) -> None:
    plane, units = np.zeros((8, 8), np.uint8), np.ones((1, 1), np.uint8)
    for call in (
        lambda: joint.filter_plane(plane, 8, 0),
        lambda: joint.filter_region(plane, 8, 1, 0, 0, 2, 2),
        lambda: joint.filter_units(plane, 8, [3, 2], units, 64),
        lambda: joint.layer(plane, 8, 0, 0),
        lambda: joint.prepare(plane, plane.copy(), 8, 0),
        lambda: joint.filter_on_device(plane, plane, 8, 0),
    ):
        with refused_as(ErrorCode.KIND):
            call()
    np.testing.assert_array_equal(joint.filter_plane(plane, 8, 3), integer.filter_plane(JOINT.networks[3], plane, 8))


def test_an_engine_shows_the_oracle_s_layers_or_refuses(filter_: Filter) -> None:
    plane = picture(np.random.default_rng(5), "random", 9, 14, 9)
    if filter_.kernel == "cuda":
        with refused_as(ErrorCode.ARGUMENT, match="hidden layers"):
            filter_.layer(plane, 9, 0, 1)
        return
    for index, network in enumerate(MODELS.networks):
        for number, values in enumerate(integer.layer_outputs(network, plane, 9)):
            np.testing.assert_array_equal(filter_.layer(plane, 9, index, number, 3, 1, 7, 8), values[:, 1:9, 3:10])


def test_what_only_one_engine_can_is_refused_by_the_others(filter_: Filter) -> None:
    plane = np.zeros((8, 8), np.uint8)
    if filter_.kernel in ("oracle", "cuda"):
        with refused_as(ErrorCode.ARGUMENT, match="in place"):
            filter_.prepare(plane, plane.copy(), 8, 0)
    if filter_.kernel != "cuda":
        with refused_as(ErrorCode.ARGUMENT, match="cuda backend"):
            filter_.filter_on_device(None, None, 8, 0)


def test_a_closed_filter_refuses_everything(filter_: Filter) -> None:
    plane = np.zeros((8, 8), np.uint8)
    filter_.close()
    filter_.close()
    for call in (filter_.filter_plane, filter_.prepare, filter_.layer, filter_.filter_on_device):
        arguments = (plane, plane.copy(), 8, 0) if call in (filter_.prepare, filter_.filter_on_device) else (plane, 8, 0)
        with refused_as(ErrorCode.ARGUMENT, match="closed"):
            call(*arguments, *((0,) if call == filter_.layer else ()))


def test_the_oracle_opens_no_context_of_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "Context", None)
    monkeypatch.setattr("codec_bridge.library.engines.c.Context", None)
    with Filter(MODELS, backend="oracle", threads=64) as oracle:
        assert (oracle.kernel, oracle.threads, oracle.memory, oracle.identity) == ("oracle", 64, 0, MODELS.identity)
    with pytest.raises(TypeError):
        Filter(MODELS)


def test_backends_are_listed_once() -> None:
    assert BACKENDS == tuple(ENGINES) == ("c", "oracle", "cuda")
    assert settings.BACKENDS == ("c", "cuda")
