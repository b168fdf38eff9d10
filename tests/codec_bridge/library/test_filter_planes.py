"""Filter with joint networks: planes, regions, maps and hidden layers are the oracle's in every backend that has them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from codec_bridge.filter import ErrorCode, Filter
from codec_bridge.video.picture import Picture
from tests.support.errors import refused_as
from tests.support.models import joint_set, picture
from vrcnn_int import integer

MODELS = joint_set(luma=True)
LUMA, FAST, BEST, TWO_HEADS = 0, 1, 2, 4
WEIGHTS = {LUMA: ((5,), (8,)), FAST: ((8,), (3,)), BEST: ((10,), (1,)), TWO_HEADS: ((8, -3), (2, 10))}
WIDTH, HEIGHT = 131, 71


@pytest.fixture(params=["c", "oracle"])
def filter_(request: pytest.FixtureRequest) -> Iterator[Filter]:
    with Filter(MODELS, backend=request.param, threads=2) as opened:
        yield opened


def planes(depths: tuple[int, int] = (8, 8)) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(depths[0])
    half = ((HEIGHT + 1) // 2, (WIDTH + 1) // 2)
    return (picture(rng, "random", HEIGHT, WIDTH, depths[0]), *(picture(rng, "random", *half, depths[1]) for _ in range(2)))


def whole(index: int, given: tuple[np.ndarray, ...], depths: tuple[int, int]) -> tuple[np.ndarray, ...]:
    return integer.filter_planes(MODELS.networks[index], given, depths, "420", *WEIGHTS[index])


@pytest.mark.parametrize("index", WEIGHTS)
@pytest.mark.parametrize("depths", [(8, 8), (10, 8), (8, 9)])
def test_planes_and_regions(filter_: Filter, depths: tuple[int, int], index: int) -> None:
    given = planes(depths)
    expected = whole(index, given, depths)
    found = filter_.filter_planes(given, depths, index, *WEIGHTS[index])
    for x, y, width, height in ((0, 0, WIDTH, HEIGHT), (2, 4, 64, 10), (64, 64, WIDTH - 64, HEIGHT - 64)):
        region = filter_.filter_planes_region(given, depths, index, x, y, width, height, *WEIGHTS[index])
        for number, (a, b, part) in enumerate(zip(expected, found, region, strict=True)):
            np.testing.assert_array_equal(a, b)
            step = 2 if number else 1
            np.testing.assert_array_equal(part, a[y // step : -(-(y + height) // step), x // step : -(-(x + width) // step)])
            assert part.dtype == a.dtype


@pytest.mark.parametrize(("count", "depths"), [(1, (8, 8)), (3, (10, 8))])
def test_several_pictures(filter_: Filter, count: int, depths: tuple[int, int]) -> None:
    pictures = [tuple(np.roll(plane, number, 0) for plane in planes(depths)) for number in range(count)]
    several = tuple(np.stack(those) for those in zip(*pictures, strict=True))
    several = (several[0].astype(several[0].dtype.newbyteorder()), *several[1:])
    found = filter_.filter_planes(several, depths, FAST, *WEIGHTS[FAST])
    assert [plane.dtype for plane in found] == [plane.dtype for plane in several]
    for number, given in enumerate(pictures):
        for a, b in zip(whole(FAST, given, depths), found, strict=True):
            np.testing.assert_array_equal(a, b[number])
    (luma,) = filter_.filter_planes([several[0]], depths, qp=32, kind="joint", size="fast")
    assert luma.shape == (count, HEIGHT, WIDTH)
    for wrong in ([several[0][:, :, 0], *several[1:]], [several[0], several[1][:0], several[2]], [plane[:0] for plane in several]):
        with refused_as(ErrorCode.PLANE):
            filter_.filter_planes(wrong, depths, FAST)


def test_maps(filter_: Filter) -> None:
    given = planes()
    other = tuple(np.roll(plane, 3, 1) for plane in given)
    filters = [(index, *WEIGHTS[index]) for index in (TWO_HEADS, FAST, LUMA)]
    filtered = [whole(index, given, (8, 8)) for index, *_ in filters]
    luma, chroma = np.array([[1, 0, 3], [2, 3, 1]], np.uint8), np.array([[0, 2, 1], [2, 0, 2]], np.uint8)
    for maps in ((luma, chroma), (luma, None), (None, chroma)):
        for background in (None, other):
            found = filter_.filter_planes_units(given, (8, 8), filters, *maps, 64, background)
            for number, plane in enumerate(found):
                before = (background or given)[number]
                choice, size = (maps[1], 32) if number else (maps[0], 64)
                wanted = before
                if choice is not None:
                    chosen = choice.repeat(size, 0).repeat(size, 1)[: plane.shape[0], : plane.shape[1]]
                    wanted = np.choose(chosen, [before, *(each[number] for each in filtered)])
                np.testing.assert_array_equal(plane, wanted)


def test_hidden_layers(filter_: Filter) -> None:
    given = planes()
    for layer, values in enumerate(integer.joint_layer_outputs(MODELS.networks[BEST], given, (8, 8))):
        np.testing.assert_array_equal(filter_.planes_layer(given, (8, 8), BEST, layer), values)


@pytest.mark.parametrize("chroma_format", ["400", "420", "422", "444"])
def test_pictures(filter_: Filter, chroma_format: str) -> None:
    shapes = {"400": [], "420": [(8, 12)] * 2, "422": [(16, 12)] * 2, "444": [(16, 24)] * 2}[chroma_format]
    rng = np.random.default_rng(4)
    luma = picture(rng, "random", 16, 24, 10)
    given = Picture((luma, *(picture(rng, "random", *shape, 10) for shape in shapes)), 10, chroma_format, (0, 0, 2, 4))
    found = filter_.filter_picture(given, qp=30, scale=5, kind="joint", size="fast")
    expected = integer.filter_planes(MODELS.networks[FAST], given.planes, (10, 10), chroma_format, (5,), (5,))
    assert (found.chroma_format, found.crop) == (chroma_format, given.crop)
    for a, b in zip(found.planes, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(filter_.filter_picture(given, qp=30).planes[0], filter_.filter_plane(luma, 10, LUMA))
    both = filter_.filter_picture(given, index=TWO_HEADS)
    expected = integer.filter_planes(MODELS.networks[TWO_HEADS], given.planes, (10, 10), chroma_format, (8, 8), (8, 8))
    np.testing.assert_array_equal(both.planes[0], expected[0])


def test_which_network() -> None:
    with Filter(MODELS) as filter_:
        for qp in range(-12, 52):
            for kind in ("luma", "joint"):
                for size in ("fast", "best"):
                    assert filter_.index_for_qp(qp, kind=kind, size=size) == MODELS.index_for_qp(qp, kind=kind, size=size)
        assert [filter_.index_for_qp(30, kind="joint", size=size) for size in ("fast", "best")] == [FAST, BEST]
        for wrong in ({"kind": "chroma"}, {"size": "small"}):
            with refused_as(ErrorCode.ARGUMENT, match="use one of"):
                filter_.index_for_qp(30, **wrong)


def test_prepared_planes() -> None:
    given = planes()
    out = [np.zeros_like(plane) for plane in given]
    with Filter(MODELS) as filter_:
        call = filter_.prepare_planes(given, out, (8, 8), FAST)
        call()
        for a, b in zip(out, filter_.filter_planes(given, (8, 8), FAST), strict=True):
            np.testing.assert_array_equal(a, b)
        units = np.array([[1, 0, 2], [0, 2, 1]], np.uint8)
        filter_.prepare_planes(given, out, (8, 8), FAST, ([FAST, TWO_HEADS], units, 64))()
        filters: list[Any] = [(FAST, (8,), (8,)), (TWO_HEADS, (8, 8), (8, 8))]
        expected = filter_.filter_planes_units(given, (8, 8), filters, units, units, 64, filter_.filter_planes(given, (8, 8), FAST))
        for a, b in zip(out, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        bad: Any
        for bad in ([plane[:, ::2] for plane in given], [plane.astype(np.uint16) for plane in given], None, 5, given[:1]):
            with refused_as(ErrorCode.PLANE):
                filter_.prepare_planes(given, bad, (8, 8), FAST)
        for bad in (5, ([FAST], units), "abc", ([FAST], units, None)):
            with refused_as(ErrorCode.INDEX if bad == "abc" else ErrorCode.UNITS):
                filter_.prepare_planes(given, out, (8, 8), FAST, bad)
    with refused_as(ErrorCode.ARGUMENT, match="closed"):
        call()
    with Filter(MODELS, backend="oracle") as oracle, refused_as(ErrorCode.ARGUMENT):
        oracle.prepare_planes(given, out, (8, 8), FAST)


@pytest.mark.parametrize("backend", ["c", "oracle"])
def test_filters_and_backgrounds_that_are_none(backend: str) -> None:
    given, ones, good = planes(), np.ones((2, 3), np.uint8), [(FAST, (8,), (8,))]
    wrong: Any
    with Filter(MODELS, backend=backend) as filter_:
        for wrong in ([1], [(FAST,)], 5, None, [(FAST, (8,), (8,), 1)], [], "a"):
            with refused_as(ErrorCode.UNITS):
                filter_.filter_planes_units(given, (8, 8), wrong, ones, ones, 64)
        for wrong in ([(FAST, (8, 8), (8,))], [(FAST, 8, (8,))]):
            with refused_as(ErrorCode.SCALE):
                filter_.filter_planes_units(given, (8, 8), wrong, ones, ones, 64)
        for wrong in (5, given[:1], [5, 5, 5], given[0], ()):
            with refused_as(ErrorCode.PLANE):
                filter_.filter_planes_units(given, (8, 8), good, ones, ones, 64, wrong)
        for wrong in (5, [[1] * 3] * 2, ones[:1]):
            for maps in ((wrong, ones), (ones, wrong)):
                with refused_as(ErrorCode.UNITS):
                    filter_.filter_planes_units(given, (8, 8), good, *maps, 64)


def test_refusals(filter_: Filter) -> None:
    given, ones = planes(), np.ones((2, 3), np.uint8)
    fast, luma = (FAST, (8,), (8,)), (LUMA, (8,), (8,))
    for code, call in (
        (ErrorCode.REGION, lambda: filter_.filter_planes_region(given, (8, 8), FAST, 1, 0, 4, 4)),
        (ErrorCode.REGION, lambda: filter_.filter_planes_region(given, (8, 8), FAST, 0, 0, 3, 4)),
        (ErrorCode.REGION, lambda: filter_.filter_planes_region(given, (8, 8), FAST, 0, 70, 4, 2)),
        (ErrorCode.SCALE, lambda: filter_.filter_planes_region(given, (8, 8), TWO_HEADS, 0, 0, 4, 4)),
        (ErrorCode.UNITS, lambda: filter_.filter_planes_units(given, (8, 8), [fast], None, None, 64)),
        (ErrorCode.UNITS, lambda: filter_.filter_planes_units(given[:1], (8, 8), [fast], ones, ones, 64)),
        (ErrorCode.UNITS, lambda: filter_.filter_planes_units(given, (8, 8), [fast], 2 * ones, None, 64)),
        (ErrorCode.KIND, lambda: filter_.filter_planes_units(given, (8, 8), [fast, luma], ones, 2 * ones, 64)),
        (ErrorCode.PLANE, lambda: filter_.filter_planes_units(given, (8, 8), [fast], ones, None, 64, given[:1])),
        (ErrorCode.KIND, lambda: filter_.planes_layer(given, (8, 8), LUMA, 0)),
        (ErrorCode.LAYER, lambda: filter_.planes_layer(given, (8, 8), FAST, 3)),
    ):
        with refused_as(code):
            call()

    masked = np.ma.masked_array(given[0], given[0] < given[0].max())
    with refused_as(ErrorCode.PLANE, match="masked samples"):
        filter_.filter_planes((masked, *given[1:]), (8, 8), index=FAST)
    bare = np.ma.masked_array(given[0])  # nothing is masked
    assert np.array_equal(
        filter_.filter_planes((bare, *given[1:]), (8, 8), index=FAST)[0], filter_.filter_planes(given, (8, 8), index=FAST)[0]
    )

    class Bare:
        planes, bit_depth = given, 8

    with refused_as(ErrorCode.ARGUMENT, match="with_planes"):
        filter_.filter_picture(Bare(), index=FAST)
