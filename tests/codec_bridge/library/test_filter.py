"""codec_bridge.filter: what it accepts, what it refuses and how it says so."""

import hashlib
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_bridge.filter import ErrorCode, Filter, kernels
from codec_bridge.video.picture import Picture
from tests.support.errors import refused_as
from tests.support.models import picture, random_network, shipped
from vrcnn_int import integer
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import set_names

SHAPE = [[(3, 16)], [(1, 16), (3, 32)], [(3, 1)]]


@pytest.fixture(scope="module")
def model_set() -> ModelSet:
    rng = np.random.default_rng(0)
    networks = [random_network(rng, SHAPE, qp) for qp in (22, 32)]
    return ModelSet((*networks, random_network(rng, SHAPE, 27, "after_sao")))


@pytest.fixture
def filter_(model_set: ModelSet) -> Filter:
    return Filter(model_set)


def resealed(data: bytes, offset: int, change: bytes) -> bytes:
    body = data[:offset] + change + data[offset + len(change) : -32]
    return body + hashlib.sha256(body).digest()


def test_models_from_everywhere(model_set: ModelSet, tmp_path: Path) -> None:
    path = tmp_path / "set.vrcnn"
    model_set.save(path)
    filters = [Filter(model) for model in (model_set, model_set.to_bytes(), path, str(path))]
    assert {f.identity for f in filters} == {model_set.identity}
    assert Filter().identity == shipped().identity == Filter(backend="oracle").identity
    info = filters[0].networks
    assert [(n.qp, n.position, n.channels, n.halo) for n in info] == [
        (22, "before_deblocking", (16, 48, 1), 3),
        (32, "before_deblocking", (16, 48, 1), 3),
        (27, "after_sao", (16, 48, 1), 3),
    ]


def test_kernels() -> None:
    names = ["auto", "scalar", "avx2", "avxvnni", "avx512vnni", "amx", "neon_dot", "neon_i8mm", "cuda"]
    assert [name for name, _ in kernels()] == names
    assert dict(kernels())["auto"]
    assert dict(kernels())["scalar"]
    for name, supported in kernels():
        if supported:
            assert dict(kernels())[Filter(kernel=name).kernel]
        else:
            with refused_as(ErrorCode.KERNEL_UNSUPPORTED, match="use auto"):
                Filter(kernel=name)
    assert Filter(kernel="scalar").kernel == "scalar"
    assert Filter().kernel != "auto"


@pytest.mark.parametrize("position", ["before_deblocking", "after_sao"])
def test_index_for_qp_is_the_oracles(model_set: ModelSet, filter_: Filter, position: str) -> None:
    for qp in range(-12, 52):
        assert filter_.index_for_qp(qp, position) == model_set.index_for_qp(qp, position)


def test_picture_keeps_chroma_and_crop(model_set: ModelSet, filter_: Filter) -> None:
    rng = np.random.default_rng(1)
    planes = tuple(picture(rng, "random", h, w, 10) for h, w in ((16, 24), (8, 12), (8, 12)))
    given = Picture(planes, 10, "420", (0, 0, 2, 4))
    result = filter_.filter_picture(given, qp=30)
    np.testing.assert_array_equal(result.planes[0], integer.filter_plane(model_set.networks[1], planes[0], 10))
    for before, after in zip(planes[1:], result.planes[1:], strict=True):
        np.testing.assert_array_equal(before, after)
    assert (result.bit_depth, result.chroma_format, result.crop) == (10, "420", (0, 0, 2, 4))
    by_position = filter_.filter_picture(given, qp=30, position="after_sao", scale=3)
    expected = integer.filter_plane(model_set.networks[2], planes[0], 10, 3)
    np.testing.assert_array_equal(by_position.planes[0], expected)
    np.testing.assert_array_equal(filter_.filter_picture(given, index=2, scale=3).planes[0], expected)
    for arguments in ({}, {"qp": 30, "index": 1}):
        with refused_as(ErrorCode.ARGUMENT, match="QP or by its index"):
            filter_.filter_picture(given, **arguments)


def test_oracle_backend_is_the_same(model_set: ModelSet, filter_: Filter) -> None:
    rng = np.random.default_rng(2)
    plane = picture(rng, "random", 20, 30, 9)
    oracle = Filter(model_set, backend="oracle")
    assert (oracle.kernel, oracle.identity) == ("oracle", filter_.identity)
    np.testing.assert_array_equal(oracle.filter_plane(plane, 9, 1, 4), filter_.filter_plane(plane, 9, 1, 4))
    np.testing.assert_array_equal(oracle.filter_region(plane, 9, 0, 3, 4, 5, 6), filter_.filter_region(plane, 9, 0, 3, 4, 5, 6))
    np.testing.assert_array_equal(oracle.layer(plane, 9, 2, 1, 3, 4, 5, 6), filter_.layer(plane, 9, 2, 1, 3, 4, 5, 6))


def test_arrays_of_any_layout(model_set: ModelSet, filter_: Filter) -> None:
    rng = np.random.default_rng(3)
    for bit_depth in (8, 10):
        large = picture(rng, "random", 60, 80, bit_depth)
        for plane in (large[::2, ::3], large[::-1], large[:, ::-1], large.T, large[7:33, 5:20]):
            expected = integer.filter_plane(model_set.networks[0], plane, bit_depth)
            np.testing.assert_array_equal(filter_.filter_plane(plane, bit_depth, 0), expected)
    narrow = picture(rng, "random", 9, 11, 8)
    wide = filter_.filter_plane(narrow.astype(np.uint16), 8, 0)
    assert wide.dtype == np.uint16
    np.testing.assert_array_equal(wide, filter_.filter_plane(narrow, 8, 0))
    samples = picture(rng, "random", 9, 11, 10)
    for order in "<>":
        np.testing.assert_array_equal(filter_.filter_plane(samples.astype(f"{order}u2"), 10, 0), filter_.filter_plane(samples, 10, 0))
    samples.flags.writeable = False
    assert filter_.filter_plane(samples, 10, 0).flags.writeable


def test_bad_calls(filter_: Filter) -> None:
    plane = np.zeros((8, 12), np.uint8)
    deep = np.zeros((8, 12), np.uint16)
    deep[3, 4] = 1024
    call = filter_.filter_plane
    cases = [
        (ErrorCode.BIT_DEPTH, "bit depth 12", lambda: call(deep, 12, 0)),
        (ErrorCode.BIT_DEPTH, "bit depth 7", lambda: call(plane, 7, 0)),
        (ErrorCode.PLANE, "uint16", lambda: call(plane, 10, 0)),
        (ErrorCode.PLANE, "int64", lambda: call(plane.astype(np.int64), 8, 0)),
        (ErrorCode.PLANE, "float", lambda: call(plane.astype(float), 8, 0)),
        (ErrorCode.PLANE, "uint32", lambda: call(plane.astype(np.uint32), 10, 0)),
        (ErrorCode.PLANE, "height, width", lambda: call(plane[None, None], 8, 0)),
        (ErrorCode.PLANE, "12x0", lambda: call(plane[:0], 8, 0)),
        (ErrorCode.PLANE, "16385x1", lambda: call(np.zeros((1, 16385), np.uint8), 8, 0)),
        (ErrorCode.SAMPLE, "1024, but 10 bits allow at most 1023", lambda: call(deep, 10, 0)),
        (ErrorCode.SAMPLE, "1024, but 8 bits", lambda: call(deep, 8, 0)),
        (ErrorCode.INDEX, "networks 0 to 2", lambda: call(plane, 8, 3)),
        (ErrorCode.INDEX, "networks 0 to 2", lambda: call(plane, 8, -1)),
        (ErrorCode.SCALE, "scale 0", lambda: call(plane, 8, 0, 0)),
        (ErrorCode.SCALE, "scale 11", lambda: call(plane, 8, 0, 11)),
        (ErrorCode.REGION, "12x8 samples", lambda: filter_.filter_region(plane, 8, 0, 11, 0, 2, 1)),
        (ErrorCode.REGION, "region", lambda: filter_.filter_region(plane, 8, 0, 0, 0, 0, 1)),
        (ErrorCode.REGION, "region", lambda: filter_.filter_region(plane, 8, 0, -1, 0, 2, 1)),
        (ErrorCode.REGION, "region", lambda: filter_.layer(plane, 8, 0, 0, 12)),
        (ErrorCode.LAYER, "hidden layers 0 to 1", lambda: filter_.layer(plane, 8, 0, 2)),
        (ErrorCode.LAYER, "hidden layers 0 to 1", lambda: filter_.layer(plane, 8, 0, -1)),
        (ErrorCode.QP, "52", lambda: filter_.index_for_qp(52)),
        (ErrorCode.QP, "-13", lambda: filter_.index_for_qp(-13)),
        (ErrorCode.QP, str(1 << 40), lambda: filter_.index_for_qp(1 << 40)),
        (ErrorCode.POSITION, "somewhere", lambda: filter_.index_for_qp(30, "somewhere")),
        (ErrorCode.POSITION, "after_sao", lambda: Filter(ModelSet(shipped().networks[:1])).index_for_qp(30, "after_sao")),
        (ErrorCode.KERNEL_UNKNOWN, "scalar", lambda: Filter(kernel="fast")),
        (ErrorCode.BACKEND, "oracle", lambda: Filter(backend="gpu")),
    ]
    for code, message, bad in cases:
        with refused_as(code, match=message):
            bad()


OTHERS: list[Any] = [True, 1.0, np.float32(1), np.True_, "1", None, [1], np.array([1, 2])]
"""What no whole number is."""


def test_whole_numbers(model_set: ModelSet, filter_: Filter) -> None:
    plane, units = np.zeros((70, 66), np.uint8), np.ones((2, 2), np.uint8)
    calls: list[tuple[ErrorCode, Callable[[Any], object]]] = [
        (ErrorCode.BIT_DEPTH, lambda wrong: filter_.filter_plane(plane, wrong, 0)),
        (ErrorCode.INDEX, lambda wrong: filter_.filter_plane(plane, 8, "0" if wrong is None else wrong)),
        (ErrorCode.SCALE, lambda wrong: filter_.filter_plane(plane, 8, 0, wrong)),
        (ErrorCode.REGION, lambda wrong: filter_.filter_region(plane, 8, 0, 0, "0" if wrong is None else wrong, 4, 4)),
        (ErrorCode.REGION, lambda wrong: filter_.filter_region(plane, 8, 0, 0, 0, "0" if wrong is None else wrong, 4)),
        (ErrorCode.REGION, lambda wrong: filter_.layer(plane, 8, 0, 0, "0" if wrong is None else wrong)),
        (ErrorCode.LAYER, lambda wrong: filter_.layer(plane, 8, 0, wrong)),
        (ErrorCode.INDEX, lambda wrong: filter_.filter_units(plane, 8, [0, wrong], units, 64)),
        (ErrorCode.UNITS, lambda wrong: filter_.filter_units(plane, 8, [0], units, wrong)),
        (ErrorCode.THREADS, lambda wrong: Filter(model_set, threads=wrong)),
        (ErrorCode.QP, filter_.index_for_qp),
    ]
    for code, call in calls:
        for wrong in OTHERS:
            with refused_as(code, match="whole number"):
                call(wrong)
        for huge in (1 << 40, -(1 << 70), 10**6000):
            with refused_as(code):
                call(huge)
    for code, planes, depths, weights in (
        (ErrorCode.PLANE, plane, (8, 8), (8,)),
        (ErrorCode.PLANE, None, (8, 8), (8,)),
        (ErrorCode.PLANE, [[1, 2]], (8, 8), (8,)),
        (ErrorCode.BIT_DEPTH, [plane], 8, (8,)),
        (ErrorCode.BIT_DEPTH, [plane], (8,), (8,)),
        (ErrorCode.BIT_DEPTH, [plane], (8.0, 8), (8,)),
        (ErrorCode.SCALE, [plane], (8, 8), 8),
        (ErrorCode.SCALE, [plane], (8, 8), (True,)),
    ):
        wrong: tuple[Any, ...] = planes, depths, 0, weights
        with refused_as(code):
            filter_.filter_planes(*wrong)
    kinds: tuple[Any, ...] = np.int64, np.uint8, np.array
    wanted = filter_.filter_plane(plane, 8, 1, 3)
    for kind in kinds:
        np.testing.assert_array_equal(filter_.filter_plane(plane, kind(8), kind(1), kind(3)), wanted)
        assert Filter(model_set, threads=kind(2)).threads == 2
    one: Any = 1
    with refused_as(ErrorCode.INDEX, match="a sequence of whole numbers, not int 1"):
        filter_.filter_units(plane, 8, one, units, 64)


class Foreign:
    """Of another library: an array to numpy."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.array


def test_what_numpy_takes(filter_: Filter) -> None:
    rng = np.random.default_rng(3)
    for bits, dtype in ((8, np.uint8), (10, np.uint16)):
        plane = rng.integers(0, 1 << bits, (20, 18)).astype(dtype)
        expected = filter_.filter_plane(plane, bits, 0)
        for same in (plane.tolist(), tuple(map(tuple, plane.tolist())), memoryview(plane), Foreign(plane), Foreign(plane.astype(np.int64))):
            got = filter_.filter_plane(same, bits, 0)
            assert got.dtype == dtype
            assert np.array_equal(got, expected)
            assert np.array_equal(filter_.filter_region(same, bits, 0, 2, 4, 10, 8), expected[4:12, 2:12])
            (of_planes,) = filter_.filter_planes([same], (bits, bits), 0)
            assert np.array_equal(of_planes, expected)
            (part,) = filter_.filter_planes_region([same], (bits, bits), 0, 2, 4, 10, 8)
            assert np.array_equal(part, expected[4:12, 2:12])
        pictures = filter_.filter_plane([plane.tolist(), plane.tolist()], bits, 0)
        assert np.array_equal(pictures, [expected] * 2)
        for value in (-1, 1 << bits):
            with refused_as(ErrorCode.SAMPLE, match=f"a sample is {value}, but {bits} bits allow 0 to {(1 << bits) - 1}"):
                filter_.filter_plane([[value]], bits, 0)
    with refused_as(ErrorCode.PLANE, match=r"array \[height, width\], not list of float64 \(1, 2\)"):
        filter_.filter_plane([[0.5, 1]], 8, 0)
    with refused_as(ErrorCode.PLANE):  # an array says what it is
        filter_.filter_plane(plane.astype(np.int64), 10, 0)


def test_what_is_no_array(filter_: Filter) -> None:
    plane, units = np.zeros((70, 66), np.uint8), np.ones((2, 2), np.uint8)
    wrong: Any
    for wrong in ([[1, 2]], [[1, 2], [3]], [[0.5]], [["1"]], [[10**30]], [[]], 7, None, "plane", b"\0\0", memoryview(b"\0\0")):
        for call in (
            *([] if wrong == [[1, 2]] else [filter_.filter_plane]),
            *([] if wrong == [[1, 2]] else [lambda *words: filter_.filter_region(*words, 0, 0, 1, 1)]),
            lambda *words: filter_.layer(*words, 0),
        ):
            with refused_as(ErrorCode.PLANE, match=f"array .height, width., not {type(wrong).__name__}"):
                call(wrong, 8, 0)
        with refused_as(ErrorCode.PLANE):
            filter_.prepare(wrong, plane, 8, 0)
        with refused_as(ErrorCode.PLANE):
            filter_.prepare(plane, wrong, 8, 0)
        with refused_as(ErrorCode.ARGUMENT, match="pictures that have planes"):
            filter_.filter_picture(wrong, index=0)
        with refused_as(ErrorCode.UNITS, match=f"not {type(wrong).__name__}"):
            filter_.filter_units(plane, 8, [0], wrong, 64)
        if wrong is not None:
            with refused_as(ErrorCode.PLANE, match=f"like the plane, uint8 .70, 66., not {type(wrong).__name__}"):
                filter_.filter_units(plane, 8, [0], units, 64, background=wrong)
    for wrong in (5, ([0], units), ([0], units, 64, 1)):
        with refused_as(ErrorCode.UNITS, match="indices, map and size of units"):
            filter_.prepare(plane, plane.copy(), 8, 0, units=wrong)
    for empty in (np.zeros((0, 0), np.uint8), np.zeros((0, 5), np.uint8), np.zeros(0, np.uint8), np.zeros((), np.uint8)):
        with refused_as(ErrorCode.PLANE):
            filter_.filter_plane(empty, 8, 0)
        with refused_as(ErrorCode.UNITS):
            filter_.filter_units(plane, 8, [0], empty, 64)
    for wrong in (3, 1.5, ["model"], np.zeros(3, np.uint8)):
        with refused_as(ErrorCode.ARGUMENT, match=f"a model is None, a path, .*, not {type(wrong).__name__}"):
            Filter(wrong)
    with refused_as(ErrorCode.FILE, match="there is no such file"):
        Filter("a\0b.vrcnn")
    for wrong in (None, 3, "auto\0", "\udc80", ["auto"]):
        with refused_as(ErrorCode.KERNEL_UNKNOWN, match="is not known"):
            Filter(kernel=wrong)
        with refused_as(ErrorCode.BACKEND, match="is not known"):
            Filter(backend=wrong)
        with refused_as(ErrorCode.POSITION, match="is not known"):
            filter_.index_for_qp(30, wrong)


def test_byte_order_and_bytes(model_set: ModelSet, filter_: Filter) -> None:
    """What comes out is of the kind that was given."""
    samples = picture(np.random.default_rng(5), "random", 70, 66, 10)
    units = np.ones((2, 2), np.uint8)
    for given in (samples.astype(">u2"), samples.astype("<u2")):
        assert filter_.filter_plane(given, 10, 0).dtype == given.dtype
        kinds = filter_.filter_units(given, 10, [0], units, 64, background=given), filter_.filter_region(given, 10, 0, 0, 0, 66, 70)
        for found in kinds:
            assert found.dtype == given.dtype
            np.testing.assert_array_equal(found, filter_.filter_plane(samples, 10, 0))
    for data in (bytearray(model_set.to_bytes()), memoryview(model_set.to_bytes())):
        assert Filter(data).identity == filter_.identity


def test_bad_models(model_set: ModelSet, tmp_path: Path) -> None:
    good = model_set.to_bytes()
    flipped = bytearray(good)
    flipped[1000] ^= 4
    cases = [
        (ErrorCode.TRUNCATED, "cut off", good[:-1]),
        (ErrorCode.TRUNCATED, "cut off", b""),
        (ErrorCode.NOT_A_MODEL, "not a vrcnn-int model", b"PK\x03\x04 something else"),
        (ErrorCode.VERSION, "version", resealed(good, 8, b"\x03\x00")),
        (ErrorCode.SIZE, "size", good + b"\x00"),
        (ErrorCode.SIZE, "size", resealed(good, 10, struct.pack("<H", 4))),
        (ErrorCode.CHECKSUM, "damaged", bytes(flipped)),
        (ErrorCode.LIMIT, r"network 0, layer 1, branch 1, s1 = 16", resealed(good, 16 + 5 + 1, b"\x10")),
        (ErrorCode.LIMIT, r"\(network 0, nominal_qp = 99\)", resealed(good, 16, b"\x63")),
        (
            ErrorCode.OVERFLOW,
            r"network 0, layer 1, branch 1, channel 2, hi with rounding = 21",
            resealed(good, 16 + 5 + 8 + 8, struct.pack("<i", 2**31 - 1)),
        ),
    ]
    path = tmp_path / "bad.vrcnn"
    for code, message, data in cases:
        path.write_bytes(data)
        for model in (data, path):
            with refused_as(code, match=message):
                Filter(model)
        with refused_as(code, match=str(path)):
            Filter(path)
    with refused_as(ErrorCode.FILE, match=r"none\.vrcnn: No such file"):
        Filter(tmp_path / "none.vrcnn")
    with refused_as(ErrorCode.FILE, match="cannot read model"):
        Filter(tmp_path)
    with refused_as(ErrorCode.FILE, match=f"model joint_bst: there is no such file, .* shipped are {', '.join(set_names())}$"):
        Filter("joint_bst")


def test_a_set_that_would_do_is_named() -> None:
    with Filter("joint_intra") as filter_:
        said = r"\(QP 32, after_sao, joint\); shipped sets that have such: joint_post, joint_sao, joint_sao_best$"
        with refused_as(ErrorCode.POSITION, match=said):
            filter_.index_for_qp(32, "after_sao")
        with refused_as(ErrorCode.POSITION, match="shipped sets that have such: vrcnn_borders, vrcnn_intra$"):
            filter_.filter_plane(np.zeros((8, 8), np.uint8), 8, qp=32)


def test_closed(model_set: ModelSet) -> None:
    plane = np.zeros((4, 4), np.uint8)
    with Filter(model_set) as filter_:
        filter_.filter_plane(plane, 8, 0)
    filter_.close()
    for call in (lambda: filter_.filter_plane(plane, 8, 0), lambda: filter_.layer(plane, 8, 0, 0)):
        with refused_as(ErrorCode.ARGUMENT, match="closed"):
            call()


def test_threads(model_set: ModelSet) -> None:
    """One filter each, and one for all."""
    rng = np.random.default_rng(4)
    planes = [picture(rng, "random", 70, 140, 8) for _ in range(4)]
    expected = [integer.filter_plane(model_set.networks[0], plane, 8) for plane in planes]
    for shared in (None, Filter(model_set)):
        results: list[np.ndarray | None] = [None] * 4

        def work(i: int, shared: Filter | None = shared, results: list[np.ndarray | None] = results) -> None:
            filter_ = shared or Filter(model_set)
            for _ in range(3):
                results[i] = filter_.filter_plane(planes[i], 8, 0)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_several_planes_at_once(filter_: Filter, dtype: str) -> None:
    planes = np.random.default_rng(8).integers(0, 256, (3, 20, 30)).astype(dtype)
    found = filter_.filter_plane(planes, 8, 1, 5)
    assert (found.shape, found.dtype) == (planes.shape, planes.dtype)
    for one, plane in zip(found, planes, strict=True):
        np.testing.assert_array_equal(one, filter_.filter_plane(plane, 8, 1, 5))
    for wrong in (planes[:0], planes[None]):
        with refused_as(ErrorCode.PLANE):
            filter_.filter_plane(wrong, 8, 1)


def test_networks_by_qp() -> None:
    rng = np.random.default_rng(9)
    planes = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((20, 30), (10, 15), (10, 15))]
    with Filter() as luma, Filter("joint_intra") as joint:
        for position in ("before_deblocking", "after_sao"):
            index = luma.index_for_qp(28, position)
            expected = luma.filter_plane(planes[0], 8, index)
            np.testing.assert_array_equal(luma.filter_plane(planes[0], 8, qp=28, position=position), expected)
            np.testing.assert_array_equal(luma.filter_planes(planes, (8, 8), qp=28, position=position)[0], expected)
            part = luma.filter_region(planes[0], 8, x=3, y=5, width=7, qp=28, position=position)
            np.testing.assert_array_equal(part, expected[5:, 3:10])
            out = np.zeros_like(planes[0])
            luma.prepare(planes[0], out, 8, qp=28, position=position)()
            np.testing.assert_array_equal(out, expected)
        expected_planes = joint.filter_planes(planes, (8, 8), joint.index_for_qp(36, kind="joint"))
        for found, plane in zip(joint.filter_planes(planes, (8, 8), qp=36), expected_planes, strict=True):
            np.testing.assert_array_equal(found, plane)
        parts = joint.filter_planes_region(planes, (8, 8), x=4, y=2, height=6, qp=36)
        outs = [np.zeros_like(plane) for plane in planes]
        joint.prepare_planes(planes, outs, (8, 8), qp=36)()
        for plane, part, found in zip(expected_planes, parts, outs, strict=True):
            half = 1 if plane.shape[1] == 30 else 2
            np.testing.assert_array_equal(part, plane[2 // half : 8 // half, 4 // half :])
            np.testing.assert_array_equal(found, plane)
        calls: list[Callable[..., object]] = [
            lambda **words: luma.filter_plane(planes[0], 8, **words),
            lambda **words: luma.filter_planes(planes, (8, 8), **words),
            lambda **words: luma.filter_region(planes[0], 8, **words),
            lambda **words: luma.filter_planes_region(planes, (8, 8), **words),
            lambda **words: luma.prepare(planes[0], planes[0].copy(), 8, **words),
            lambda **words: luma.prepare_planes(planes, [plane.copy() for plane in planes], (8, 8), **words),
        ]
        for call in calls:
            for words in ({}, {"index": 0, "qp": 28}):
                with refused_as(ErrorCode.ARGUMENT, match="by its QP or by its index"):
                    call(**words)
            with refused_as(ErrorCode.QP):
                call(qp=52)
        with refused_as(ErrorCode.POSITION):
            joint.filter_planes(planes, (8, 8), qp=28, kind="luma")
