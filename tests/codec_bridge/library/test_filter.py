"""codec_bridge.filter: what it accepts, what it refuses and how it says so."""

import hashlib
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.filter import ErrorCode, Filter, kernels
from codec_bridge.video.picture import Picture
from tests.support.errors import refused_as
from tests.support.models import picture, random_network, shipped
from vrcnn_int import integer
from vrcnn_int.integer import ModelSet

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
        (ErrorCode.PLANE, "height, width", lambda: call(plane[None], 8, 0)),
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


def test_bad_models(model_set: ModelSet, tmp_path: Path) -> None:
    good = model_set.to_bytes()
    flipped = bytearray(good)
    flipped[1000] ^= 4
    cases = [
        (ErrorCode.TRUNCATED, "cut off", good[:-1]),
        (ErrorCode.TRUNCATED, "cut off", b""),
        (ErrorCode.NOT_A_MODEL, "not a vrcnn-int model", b"PK\x03\x04 something else"),
        (ErrorCode.VERSION, "version", resealed(good, 8, b"\x02\x00")),
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
