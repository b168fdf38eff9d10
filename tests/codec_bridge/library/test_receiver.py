"""The decoder's side of version 2: what a receiver makes of three planes is what the oracle and section 8 of the specification give."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi, lib

from codec_bridge.bitstream.sideinfo import MODES, Sideinfo
from codec_bridge.filter import ErrorCode, kernels
from codec_bridge.library.native import describe, describe_const
from tests.codec_bridge.bitstream.test_sideinfo import likely_map, shape
from tests.codec_bridge.bitstream.test_sideinfo_planes import PAIRS, write
from tests.support.models import joint_set, picture
from vrcnn_int import integer
from vrcnn_int.network import POSITIONS

MODELS = joint_set(luma=True)
IDENTITY = bytes.fromhex(MODELS.identity)
LUMA, FAST, BEST, OTHER, TWO_HEADS = range(5)
Planes = tuple[np.ndarray[Any, Any], ...]
CODES = {code.value: code.name for code in ErrorCode}


class Receiver:
    """vrcnn_receiver_... with arrays."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.info = ffi.new("VrcnnPlaneSideinfo *")

    def picture(self, data: bytes, irap: bool, size: tuple[int, int]) -> str:
        """The name of the error, OK without."""
        code = lib.vrcnn_receiver_picture_planes(self.handle, data or ffi.NULL, len(data), irap, *size, self.info)
        return CODES.get(code, "OK")

    def filter(self, dst: Planes, src: Planes, depths: tuple[int, int] = (8, 8), kept: Any = None, sao: tuple[int, int] = (0, 0)) -> str:
        """Writes to dst. Planes that are not there are absent."""
        planes, reading = ffi.new("VrcnnPlane[3]"), ffi.new("VrcnnConstPlane[3]")
        for n, array in enumerate(dst):
            planes[n] = describe(array, depths[n > 0])[0]
        for n, array in enumerate(src):
            reading[n] = describe_const(array, depths[n > 0])[0]
        mask = ffi.NULL if kept is None else ffi.from_buffer("uint8_t[]", kept)
        return CODES.get(lib.vrcnn_receiver_filter_planes(self.handle, *sao, mask, planes, reading), "OK")


@contextmanager
def receiver(kernel: str = "auto", threads: int = 1, models: integer.ModelSet = MODELS) -> Iterator[Receiver]:
    settings, out, data = ffi.new("VrcnnSettings *"), ffi.new("VrcnnReceiver **"), models.to_bytes()
    lib.vrcnn_default_settings(settings, ffi.sizeof("VrcnnSettings"))
    settings.kernel, settings.threads = lib.vrcnn_kernel_by_name(kernel.encode()), threads
    assert lib.vrcnn_receiver_open(out, settings, data, len(data)) == 0
    try:
        yield Receiver(out[0])
    finally:
        lib.vrcnn_receiver_close(out[0])


def random_planes(rng: np.random.Generator, size: tuple[int, int], depths: tuple[int, int], chroma: bool) -> Planes:
    (width, height), contents = size, ("random", "random", "narrow", "max", "zero", "checkerboard")
    shapes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2][: 3 if chroma else 1]
    return tuple(picture(rng, str(rng.choice(contents)), *each, depths[n > 0]) for n, each in enumerate(shapes))


def random_info(rng: np.random.Generator, size: tuple[int, int], pair: tuple[str, str], irap: bool) -> Sideinfo:
    """Networks of MODELS, joint ones where chroma is filtered."""
    luma, chroma = pair
    shares = chroma == "luma's"
    count = int(rng.integers(1, 4)) if "map" in pair else 1
    filters = dict[Any, None]()
    while len(filters) < count:
        index = int(rng.integers(LUMA if chroma == "off" else FAST, TWO_HEADS + 1))
        heads = MODELS.networks[index].heads
        weights = [tuple(rng.integers(-5 if heads == 2 else 1, 11, heads).tolist()) if mode != "off" else (8,) * heads for mode in pair]
        filters[index, *weights] = None
    indices, of_luma, of_chroma = zip(*filters, strict=True)
    units = [64 << int(rng.integers(3)) if mode == "map" else 0 for mode in pair]
    maps = [likely_map(rng, shape(unit, *size), count, 0.3) if unit else None for unit in units]
    if shares:
        units[1], maps[1] = units[0], maps[0]
    return Sideinfo(
        IDENTITY[:3] if irap else None,
        luma,
        POSITIONS[rng.integers(2)],
        indices,
        unit_size=units[0],
        units=maps[0],
        version=2,
        chroma_mode="map" if shares else chroma,
        shares_map=shares,
        luma_weights=of_luma,
        chroma_weights=of_chroma,
        chroma_unit_size=units[1],
        chroma_units=maps[1],
    )


def expected(info: Sideinfo, src: Planes, base: Planes, depths: tuple[int, int], kept: np.ndarray[Any, Any] | None) -> list[Any]:
    """Section 8 with the oracle. base: of units without a filter, and of planes that are off."""
    return put_together(info, [base, *filtered(info, src, depths)], src, kept)


def filtered(info: Sideinfo, src: Planes, depths: tuple[int, int]) -> list[Planes]:
    """The whole picture by each of the listed filters."""
    given = src, depths, "420" if len(src) == 3 else "400"
    listed = zip(info.indices, info.luma_weights, info.chroma_weights, strict=True)
    return [integer.filter_planes(MODELS.networks[index], *given, *weights) for index, *weights in listed]


def put_together(info: Sideinfo, ways: list[Planes], src: Planes, kept: np.ndarray[Any, Any] | None) -> list[Any]:
    """ways: without a filter, then by each."""
    height, width = src[0].shape
    out = []
    for n, plane in enumerate(src):
        choices = info.chroma_choices(width, height)[::2, ::2] if n else info.choices(width, height)
        found = np.choose(choices, [way[n] for way in ways])
        if kept is not None and (info.chroma_mode if n else info.mode) != "off":
            side = 4 if n else 8
            mask = kept.repeat(side, 0).repeat(side, 1)[: plane.shape[0], : plane.shape[1]]
            found = np.where(mask, src[n], found)
        out.append(found)
    return out


def assert_received(opened: Receiver, rng: np.random.Generator, pair: tuple[str, str], irap: bool, chroma: bool = True) -> None:
    size = int(rng.integers(1, 200)), int(rng.integers(1, 140))
    depths = int(rng.integers(8, 11)), int(rng.integers(8, 11))
    info = random_info(rng, size, pair, irap)
    data = write(info, *size)
    assert isinstance(data, bytes)
    assert opened.picture(data, irap, size) == "OK"
    assert (MODES[opened.info.luma_mode], MODES[opened.info.chroma_mode]) == (info.mode, info.chroma_mode)
    src, base = (random_planes(rng, size, depths, chroma) for _ in range(2))
    blocks = -(-size[1] // 8), -(-size[0] // 8)
    kept = None if rng.random() < 0.5 else rng.choice(np.array([0, 0, 0, 1, 255], np.uint8), blocks)
    before = [plane.copy() for plane in src]
    dst = tuple(plane.copy() for plane in base)
    position = info.position == POSITIONS[1]
    sao = (
        int(rng.integers(2)) if position or info.mode == "off" else 0,
        int(rng.integers(2)) if position or info.chroma_mode == "off" else 0,
    )
    assert opened.filter(dst, src, depths, kept, sao) == "OK"
    for found, wanted in zip(dst, expected(info, src, base, depths, kept), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert all((a == b).all() for a, b in zip(before, src, strict=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_planes_are_those_of_the_oracle(pair: tuple[str, str], seed: int) -> None:
    rng = np.random.default_rng([seed, PAIRS.index(pair)])
    with receiver(threads=int(rng.integers(1, 4))) as opened:
        for irap in (True, False, False):
            assert_received(opened, rng, pair, irap)


@pytest.mark.parametrize("kernel", [name for name, supported in kernels() if supported and name != "auto"])
def test_every_kernel(kernel: str) -> None:
    rng = np.random.default_rng(9)
    with receiver(kernel, 2) as opened:
        for n, pair in enumerate(PAIRS):
            assert_received(opened, rng, pair, n == 0)


@pytest.mark.parametrize("luma", ["all", "map"])
def test_luma_without_chroma(luma: str) -> None:
    """4:0:0, 4:2:2, 4:4:4, and chroma of other bit depths."""
    rng = np.random.default_rng(10)
    with receiver() as opened:
        for irap in (True, False, False, False):
            assert_received(opened, rng, (luma, "off"), irap, chroma=False)


def test_pictures_that_are_off() -> None:
    rng = np.random.default_rng(11)
    with receiver() as opened:
        for data, irap, version in (
            (b"", False, 0),
            (b"foreign", True, 0),
            (b"x", False, 0),
            (b"VN\2" + IDENTITY[:3], True, 2),
            (b"", False, 2),
        ):
            assert opened.picture(data, irap, (40, 30)) == "OK"
            assert (opened.info.luma_mode, opened.info.chroma_mode, opened.info.version) == (0, 0, version)
            src, base = (random_planes(rng, (40, 30), (8, 8), True) for _ in range(2))
            dst = tuple(plane.copy() for plane in base)
            assert opened.filter(dst, src, sao=(1, 1)) == "OK"
            assert all((a == b).all() for a, b in zip(dst, base, strict=True))


def test_both_versions_in_one_stream() -> None:
    rng = np.random.default_rng(12)
    src, base = (random_planes(rng, (70, 66), (8, 8), True) for _ in range(2))
    with receiver() as opened:
        for _ in range(2):
            assert opened.picture(b"VN\1" + IDENTITY[:4] + bytes([0b01000000, 0b00110000]), True, (70, 66)) == "OK"  # network 0, scale 3
            dst = tuple(plane.copy() for plane in base)
            assert opened.filter(dst, src, sao=(0, 1)) == "OK"
            np.testing.assert_array_equal(dst[0], integer.filter_plane(MODELS.networks[0], src[0], 8, 3))
            assert all((a == b).all() for a, b in zip(dst[1:], base[1:], strict=True))
            assert opened.picture(b"", False, (70, 66)) == "SIDEINFO_TRUNCATED"
            assert_received(opened, rng, ("map", "luma's"), True)
            assert opened.picture(b"", False, (70, 66)) == "OK"


def simple(luma: str, chroma: str, index: int, heads: int = 1, position: int = 0, irap: bool = False) -> bytes:
    """A filter as trained."""
    weights = ((8,) * heads,)
    info = Sideinfo(
        IDENTITY[:3] if irap else None,
        luma,
        POSITIONS[position],
        (index,),
        version=2,
        chroma_mode=chroma,
        luma_weights=weights,
        chroma_weights=weights,
    )
    data = write(info, 40, 30)
    assert isinstance(data, bytes)
    return data


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (simple("all", "all", 5), "INDEX"),
        (simple("all", "all", LUMA), "KIND"),
        (simple("off", "all", LUMA), "KIND"),
        (simple("all", "all", FAST, 2), "SIDEINFO_HEADS"),
        (simple("all", "off", LUMA, 2), "SIDEINFO_HEADS"),
        (simple("all", "off", TWO_HEADS, 1), "SIDEINFO_HEADS"),
        (b"\0", "SIDEINFO_SYNTAX"),
        (b"\x51", "SIDEINFO_TRUNCATED"),
        (b"VN\2" + bytes(byte ^ 1 for byte in IDENTITY[:3]), "SIDEINFO_MODEL"),
        (b"VN\1" + IDENTITY[:4] + bytes([0b01000001, 0b01000000]), "KIND"),
        (b"VN\3" + IDENTITY[:3], "SIDEINFO_VERSION"),
    ],
)
def test_errors_of_side_information_hold_up_to_the_next_irap_picture(data: bytes, error: str) -> None:
    rng = np.random.default_rng(13)
    irap = data[:2] == b"VN"
    src = random_planes(rng, (40, 30), (8, 8), True)
    with receiver() as opened:
        assert opened.picture(simple("all", "all", BEST, irap=True), True, (40, 30)) == "OK"
        assert opened.picture(data, irap, (40, 30)) == error
        told = error in ("INDEX", "KIND", "SIDEINFO_HEADS", "SIDEINFO_MODEL")
        assert (opened.info.filters, opened.info.filter[0].index) != (1, BEST) or not told
        for _ in range(2):
            dst = tuple(np.zeros_like(plane) for plane in src)
            assert opened.filter(dst, src) == error
            assert not any(plane.any() for plane in dst)
            assert opened.picture(b"", False, (40, 30)) == error
        assert_received(opened, rng, ("all", "all"), True)


def test_errors_of_pictures() -> None:
    rng = np.random.default_rng(14)
    whole = random_planes(rng, (40, 30), (8, 8), True)
    deep = random_planes(rng, (40, 30), (10, 10), True)
    off, joint = simple("off", "all", BEST), simple("all", "all", BEST)
    after = simple("all", "all", BEST, position=1)
    cases: list[tuple[bytes, Planes, tuple[int, int], tuple[int, int], str]] = [
        (joint, whole, (8, 8), (1, 0), "SIDEINFO_SAO"),
        (joint, whole, (8, 8), (0, 1), "SIDEINFO_SAO"),
        (off, whole, (8, 8), (0, 1), "SIDEINFO_SAO"),
        (simple("all", "off", BEST), whole, (8, 8), (1, 0), "SIDEINFO_SAO"),
        (off, whole, (8, 8), (1, 0), "OK"),
        (simple("all", "off", BEST), whole, (8, 8), (0, 1), "OK"),
        (after, whole, (8, 8), (1, 1), "OK"),
        (joint, whole[:1], (8, 8), (0, 0), "SIDEINFO_CHROMA"),
        (off, whole[:1], (8, 8), (0, 0), "SIDEINFO_CHROMA"),
        (simple("all", "off", BEST), whole[:1], (8, 8), (0, 0), "OK"),
        (joint, deep, (10, 12), (0, 0), "SIDEINFO_CHROMA"),
        (joint, deep, (12, 10), (0, 0), "BIT_DEPTH"),
        (joint, tuple(plane[:-2] for plane in whole), (8, 8), (0, 0), "PLANE"),
        (joint, (whole[0], whole[1][:-1], whole[2][:-1]), (8, 8), (0, 0), "PLANE"),
    ]
    with receiver() as opened:
        for data, src, depths, sao, error in cases:
            assert opened.picture(simple("all", "all", FAST, irap=True), True, (40, 30)) == "OK"
            assert opened.picture(data, False, (40, 30)) == "OK"
            dst = tuple(np.zeros_like(plane) for plane in whole if plane.dtype == src[0].dtype) or tuple(map(np.zeros_like, deep))
            assert opened.filter(dst, src, depths, None, sao) == error
            assert error == "OK" or not any(plane.any() for plane in dst)
            assert opened.picture(b"", False, (40, 30)) == error
        assert opened.picture(simple("all", "all", FAST, irap=True), True, (40, 30)) == "OK"
        assert opened.filter((), whole) == "ARGUMENT"  # the caller's mistake, not the stream's
        assert opened.filter((np.zeros_like(whole[0]),), whole) == "ARGUMENT"
        assert opened.filter(tuple(map(np.zeros_like, whole)), whole) == "OK"


def test_lost_pictures() -> None:
    with receiver() as opened:
        segment = ffi.new("VrcnnSegment *", {"is_first": 1, "nal_unit_type": 19, "poc": 0, "address": 0})
        data = simple("all", "all", FAST, irap=True)
        segment.extension, segment.size = (extension := ffi.from_buffer(data)), len(data)
        assert lib.vrcnn_receiver_segment(opened.handle, segment) == 0
        assert extension
        assert opened.picture(data, True, (40, 30)) == "OK"
        segment = ffi.new("VrcnnSegment *", {"is_first": 0, "nal_unit_type": 1, "poc": 1, "address": 4})
        assert CODES[lib.vrcnn_receiver_segment(opened.handle, segment)] == "SIDEINFO_LOST"
        assert opened.picture(b"", False, (40, 30)) == "SIDEINFO_LOST"


def test_luma_calls_refuse_version_2() -> None:
    info = ffi.new("VrcnnSideinfo *")
    plane = np.zeros((30, 40), np.uint8)
    with receiver() as opened:
        data = simple("all", "off", LUMA, irap=True)
        code = lib.vrcnn_receiver_picture(opened.handle, data, len(data), 1, 40, 30, info)
        assert CODES[code] == "SIDEINFO_VERSION"
        assert opened.picture(data, True, (40, 30)) == "OK"
        code = lib.vrcnn_receiver_filter(opened.handle, 0, ffi.NULL, describe(plane.copy(), 8), describe_const(plane, 8))
        assert CODES[code] == "ARGUMENT"
        assert opened.filter((plane.copy(),), (plane,)) == "OK"


def test_every_pair_of_unit_sizes() -> None:
    """Maps of both planes are filtered in the smaller units of both."""
    rng = np.random.default_rng(15)
    size = 530, 66
    src, base = (random_planes(rng, size, (8, 8), True) for _ in range(2))
    weights = ((8,), (5,))
    ways = [base]
    with receiver() as opened:
        assert opened.picture(b"VN\2" + IDENTITY[:3], True, size) == "OK"
        for sizes in itertools.product((64, 128, 256, 512), repeat=2):
            maps = [rng.integers(0, 3, shape(unit, *size), np.uint8) | np.eye(*shape(unit, *size), dtype=np.uint8) for unit in sizes]
            maps = [np.minimum(units, 2) for units in maps]
            info = Sideinfo(
                None, "map", POSITIONS[0], (FAST, BEST), 0, sizes[0], maps[0], False, 2, "map", False, weights, weights, sizes[1], maps[1]
            )
            data = write(info, *size)
            assert isinstance(data, bytes)
            assert opened.picture(data, False, size) == "OK"
            dst = tuple(plane.copy() for plane in base)
            assert opened.filter(dst, src) == "OK"
            ways = ways if len(ways) > 1 else [base, *filtered(info, src, (8, 8))]
            for found, wanted in zip(dst, put_together(info, ways, src, None), strict=True):
                np.testing.assert_array_equal(found, wanted)
