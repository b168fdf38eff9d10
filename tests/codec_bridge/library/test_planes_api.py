"""vrcnn_filter_planes_region and _units, and what the calls for three planes refuse."""

from typing import Any

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi, lib

from codec_bridge.filter import ErrorCode, Filter, FilterError
from codec_bridge.library.native import Context, Model
from tests.codec_bridge.library.test_planes import NETWORKS, planes
from tests.support.models import random_network, shipped
from vrcnn_int import integer
from vrcnn_int.integer import ModelSet

RNG = np.random.default_rng(7)
LUMA = len(NETWORKS)
SET = ModelSet((*NETWORKS, shipped().networks[0]))
"""Joint networks, then two of the kind luma: one with layers that add, one of format 1."""
JOINT = [index for index, network in enumerate(NETWORKS) if network.kind == "joint"]
UNTOUCHED = 77


@pytest.fixture(scope="module")
def context() -> Context:
    return Context(Model(SET.to_bytes(), "set"), "auto", 2)


def three(kind: str, arrays: "list[np.ndarray | None]", depths: tuple[int, int] = (8, 8)) -> Any:
    described = ffi.new(kind)
    for number, array in enumerate(arrays):
        if array is not None:
            height, width = array.shape
            fields = ffi.cast("void *", array.ctypes.data), array.strides[0], width, height, depths[number > 0], array.itemsize
            described[number] = fields
    return described


def weights_of(index: int) -> Any:
    described = ffi.new("VrcnnWeights *")
    described.luma, described.chroma = [8, 3], [8, -2 if index < LUMA and NETWORKS[index].heads > 1 else 3]
    return described


def whole(index: int, given: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    weights = weights_of(index)
    heads = SET.networks[index].heads
    chosen = tuple(weights.luma)[:heads], tuple(weights.chroma)[:heads]
    return integer.filter_planes(SET.networks[index], given, (8, 8), "420", *chosen)


@pytest.mark.parametrize(("width", "height"), [(97, 71), (64, 40)])
def test_regions_are_the_whole_picture_s(context: Context, width: int, height: int) -> None:
    given = planes(width, height, (8, 8))
    for index in JOINT:
        expected = whole(index, given)
        for _ in range(6):
            x, y = 2 * int(RNG.integers(0, width // 2)), 2 * int(RNG.integers(0, height // 2))
            w, h = int(RNG.integers(1, width - x + 1)), int(RNG.integers(1, height - y + 1))
            w, h = w + (w % 2 and x + w < width), h + (h % 2 and y + h < height)
            got = [np.full_like(plane, UNTOUCHED) for plane in given]
            src, dst = three("VrcnnConstPlane[3]", list(given)), three("VrcnnPlane[3]", list(got))
            assert lib.vrcnn_filter_planes_region(context._handle, index, weights_of(index), dst, src, x, y, w, h) == 0
            for plane, (a, b) in enumerate(zip(got, expected, strict=True)):
                half = 2 if plane else 1
                wanted = np.full_like(b, UNTOUCHED)
                place = slice(y // half, -(-(y + h) // half)), slice(x // half, -(-(x + w) // half))
                wanted[place] = b[place]
                np.testing.assert_array_equal(a, wanted)


def test_maps_of_luma_and_chroma(context: Context) -> None:
    """Each plane is that of the unit's filter; without one, or in a plane without a map, dst stays as it is."""
    width, height = 330, 201
    given = planes(width, height, (8, 8))
    filters = (0, 1, LUMA)
    filtered = [whole(index, given) for index in filters]
    rows, columns = -(-height // 64), -(-width // 64)
    luma = RNG.integers(0, 4, (rows, columns), dtype=np.uint8)
    for chroma in (RNG.integers(0, 3, (rows, columns), dtype=np.uint8), luma * (luma < 3), None):
        units = ffi.new("VrcnnPlaneUnits *")
        units.unit_size, units.filters, units.index = 64, 3, list(filters)
        for number, index in enumerate(filters):
            units.weights[number] = weights_of(index)[0]
        units.luma = ffi.from_buffer("uint8_t[]", luma)
        if chroma is not None:
            units.chroma = ffi.from_buffer("uint8_t[]", chroma)
        got = [np.full_like(plane, UNTOUCHED) for plane in given]
        src, dst = three("VrcnnConstPlane[3]", list(given)), three("VrcnnPlane[3]", list(got))
        assert lib.vrcnn_filter_planes_units(context._handle, units, dst, src) == 0
        for plane, a in enumerate(got):
            choice = luma if plane == 0 else chroma
            wanted = np.full_like(a, UNTOUCHED)
            if choice is not None:
                side = 32 if plane else 64
                each = choice.repeat(side, 0).repeat(side, 1)[: a.shape[0], : a.shape[1]]
                for number, result in enumerate(filtered, 1):
                    np.copyto(wanted, result[plane], where=each == number)
            np.testing.assert_array_equal(a, wanted, f"plane {plane}")


def test_planes_that_are_absent_are_not_written(context: Context) -> None:
    given = planes(40, 30, (8, 8))
    expected = whole(0, given)
    for wanted in ((0,), (1,), (2,), (0, 2), (1, 2)):
        got = [np.full_like(plane, UNTOUCHED) if number in wanted else None for number, plane in enumerate(given)]
        dst = three("VrcnnPlane[3]", list(got))
        assert lib.vrcnn_filter_planes(context._handle, 0, weights_of(0), dst, three("VrcnnConstPlane[3]", list(given))) == 0
        for number in wanted:
            np.testing.assert_array_equal(got[number], expected[number])


def test_refusals(context: Context) -> None:
    """Each leaves dst as it is."""
    given = planes(40, 30, (8, 8))
    out = [np.full_like(plane, UNTOUCHED) for plane in given]

    def call(index: int = 0, weights: Any = None, dst: Any = None, src: Any = None, region: tuple[int, int, int, int] | None = None) -> int:
        to = three("VrcnnPlane[3]", dst if dst is not None else list(out))
        read = three("VrcnnConstPlane[3]", src if src is not None else list(given))
        chosen = weights_of(index) if weights is None else weights
        if region is None:
            return int(lib.vrcnn_filter_planes(context._handle, index, chosen, to, read))
        return int(lib.vrcnn_filter_planes_region(context._handle, index, chosen, to, read, *region))

    low, high = ffi.new("VrcnnWeights *"), ffi.new("VrcnnWeights *")
    low.luma, low.chroma = [8, 8], [0, 8]
    high.luma, high.chroma = [8, 11], [8, 8]
    larger = np.zeros((16, 20), np.uint8)
    assert call(index=len(SET.networks)) == ErrorCode.INDEX
    assert call(index=-1) == ErrorCode.INDEX
    assert call(index=LUMA) == ErrorCode.KIND
    assert call(index=LUMA, dst=[out[0]]) == 0
    out[0][:] = UNTOUCHED
    assert call(weights=low) == ErrorCode.SCALE
    assert call(index=1, weights=high) == ErrorCode.SCALE
    assert call(dst=[None, None, None]) == ErrorCode.ARGUMENT
    assert call(src=[None, given[1], given[2]]) == ErrorCode.ARGUMENT
    assert call(src=[given[0], given[1], None]) == ErrorCode.ARGUMENT
    assert call(src=[given[0], larger, larger]) == ErrorCode.PLANE
    assert call(src=[given[0]]) == ErrorCode.PLANE
    assert call(dst=[out[0], larger, out[2]]) == ErrorCode.PLANE
    assert call(dst=[given[0], out[1], out[2]]) == ErrorCode.OVERLAP
    assert call(dst=[out[0], given[2], out[2]]) == ErrorCode.OVERLAP
    assert call(dst=[out[0], out[1], out[1]]) == ErrorCode.OVERLAP
    for region in ((1, 0, 4, 4), (0, 1, 4, 4), (0, 0, 3, 4), (0, 0, 4, 3), (0, 0, 0, 4), (38, 0, 4, 4), (-2, 0, 4, 4)):
        assert call(region=region) == ErrorCode.REGION
    for array in out:
        assert (array == UNTOUCHED).all()


def test_luma_calls_refuse_joint_networks() -> None:
    plane = planes(16, 16, (8, 8))[0]
    with Filter(SET) as filter_:
        for call in (
            lambda: filter_.filter_plane(plane, 8, 0),
            lambda: filter_.layer(plane, 8, 0, 0),
            lambda: filter_.filter_units(plane, 8, [LUMA, 0], np.zeros((1, 1), np.uint8), 64),
        ):
            with pytest.raises(FilterError) as refused:
                call()
            assert refused.value.code == ErrorCode.KIND
        assert filter_.index_for_qp(22) == LUMA
    joint = Filter(ModelSet(NETWORKS[:3]))
    assert joint.networks[joint.index_for_qp(32)].kind == "joint"
    with pytest.raises(FilterError) as none:
        joint.index_for_qp(32, kind="luma")
    assert none.value.code == ErrorCode.POSITION


def test_memory_of_a_thread() -> None:
    """At most 2 MB: fast and best, with the widest rings that they can ask for."""
    for channels in (32, 64):
        shape = ((((3, channels),),) * 7) + (((3, 1),),)
        models = ModelSet((random_network(RNG, shape, 37, added=(0, 0, 2, 0, 2, 0, 2, 0), heads=1),))
        one, two = (Filter(models, threads=threads).memory for threads in (1, 2))
        assert two - one <= 2 << 20
