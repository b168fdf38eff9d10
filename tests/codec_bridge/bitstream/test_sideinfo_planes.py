"""Side information of version 2: the C library's writer and parser, the parser in Python, the independent one; whole and damaged bytes."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi, lib

from codec_bridge.bitstream import sideinfo
from codec_bridge.bitstream.sideinfo import MODES, SequenceReader, Sideinfo, TruncatedError, VersionError, parse_planes
from tests import independent
from tests.codec_bridge.bitstream.test_sideinfo import CODES, Outcome, likely_map, shape
from vrcnn_int.network import POSITIONS

NAMES = {"FOREIGN": "ForeignError", "VERSION": "VersionError", "TRUNCATED": "TruncatedError", "SYNTAX": "SyntaxElementError"}
PAIRS = [
    pair for pair in itertools.product(MODES, (*MODES, "luma's")) if pair != ("off", "off") and (pair[1] != "luma's" or pair[0] == "map")
]
"""Modes of luma and of chroma of pictures that are filtered."""


def write(info: Sideinfo, width: int, height: int, **changes: Any) -> bytes | int:
    """The C library's bytes, or its error code."""
    out, size = ffi.new("uint8_t[]", lib.VRCNN_SIDEINFO_SIZE), ffi.new("size_t *")
    listed = zip(info.indices, info.luma_weights, info.chroma_weights, strict=True)
    fields = {
        "version": 2,
        "has_identity": info.identity is not None,
        "identity": info.identity or b"",
        "luma_mode": MODES.index(info.mode),
        "chroma_mode": MODES.index(info.chroma_mode),
        "shares_map": info.shares_map,
        "position": POSITIONS.index(info.position),
        "filters": len(info.indices),
        "filter": [{"index": i, "heads": len(luma), "weights": {"luma": luma, "chroma": chroma}} for i, luma, chroma in listed],
        "luma_unit_size": info.unit_size,
        "chroma_unit_size": info.chroma_unit_size,
    }
    maps = [
        ffi.NULL if units is None else ffi.from_buffer("uint8_t[]", np.ascontiguousarray(units))
        for units in (info.units, None if info.shares_map else info.chroma_units)
    ]
    code = lib.vrcnn_sideinfo_write_planes(out, size, ffi.new("VrcnnPlaneSideinfo *", fields | changes), *maps, width, height)
    return int(code) if code else bytes(ffi.buffer(out, size[0]))


def in_c(data: bytes, is_irap: bool, width: int, height: int, version: int = 2) -> Outcome:
    found, units = ffi.new("VrcnnPlaneSideinfo *"), np.full((2, lib.VRCNN_MAX_UNITS), 9, np.uint8)
    rooms = [ffi.from_buffer("uint8_t[]", room) for room in units]
    code = lib.vrcnn_sideinfo_parse_planes(found, *rooms, units.shape[1], data, len(data), version, is_irap, width, height)
    if code:
        return CODES[code]
    assert found.version in (1, 2)
    filters = list(found.filter[0 : found.filters])
    if found.version == 1:
        assert (found.chroma_mode, found.shares_map, found.chroma_unit_size) == (lib.VRCNN_MODE_OFF, 0, 0)
        assert all((one.heads, one.weights.luma[0]) == (1, filters[0].weights.luma[0]) for one in filters)
        weights: tuple[Any, ...] = tuple((one.weights.luma[0],) for one in filters), ()
    else:
        weights = tuple(
            tuple(tuple(getattr(one.weights, name)[0 : one.heads]) if mode else () for one in filters)
            for name, mode in (("luma", found.luma_mode), ("chroma", found.chroma_mode))
        )
    maps = [
        room[: np.prod(shape(size, width, height))].tobytes() if size else b""
        for room, size in zip(units, (found.luma_unit_size, found.chroma_unit_size), strict=True)
    ]
    return (
        bytes(found.identity)[: 4 if found.version == 1 else 3] if found.has_identity else None,
        (MODES[found.luma_mode], MODES[found.chroma_mode], bool(found.shares_map)),
        POSITIONS[found.position],
        tuple(one.index for one in filters),
        weights,
        (found.luma_unit_size, found.chroma_unit_size),
        tuple(maps),
    )


def fields(info: Sideinfo) -> tuple[Any, ...]:
    chroma_size, chroma = (0, None) if info.shares_map else (info.chroma_unit_size, info.chroma_units)
    weights: tuple[Any, ...] = tuple((info.scale,) for _ in info.indices), ()
    if info.version == 2:
        pairs = (info.mode, info.luma_weights), (info.chroma_mode, info.chroma_weights)
        weights = tuple(tuple(each if mode != "off" else () for each in listed) for mode, listed in pairs)
    return (
        info.identity,
        (info.mode, info.chroma_mode, info.shares_map),
        info.position,
        info.indices,
        weights,
        (info.unit_size, chroma_size),
        tuple(b"" if units is None else units.tobytes() for units in (info.units, chroma)),
    )


def in_python(data: bytes, is_irap: bool, width: int, height: int, version: int = 2) -> Outcome:
    try:
        return fields(parse_planes(data, is_irap, width, height, version))
    except sideinfo.SideinfoError as error:
        return type(error)


def independently(data: bytes, is_irap: bool, width: int, height: int, version: int = 2) -> Outcome:
    try:
        info = independent.read_sideinfo(data, is_irap, width, height, version)
    except independent.Refused as refusal:
        return getattr(sideinfo, NAMES[str(refusal)])  # type: ignore[no-any-return]
    identity = info.get("model_set_identity")
    count = len(info.get("network_index", []))
    if "filter_mode" in info:
        modes: tuple[Any, ...] = MODES[info["filter_mode"]], "off", False
        weights: tuple[Any, ...] = ((info.get("output_scale"),),) * count, ()
    else:
        modes = MODES[info["luma_mode"]], MODES[min(info["chroma_mode"], 2)], info["chroma_mode"] == 3
        weights = tuple(tuple(tuple(one) for one in info.get(name, [()] * count)) for name in ("luma_weights", "chroma_weights"))
    names = [("UnitSize", "unit_choice")] if "filter_mode" in info else [("luma_UnitSize", "luma_unit_choice")]
    names.append(("chroma_UnitSize", "chroma_unit_choice"))
    return (
        None if identity is None else identity.to_bytes(4 if "filter_mode" in info else 3, "big"),
        modes,
        POSITIONS[info.get("filter_position", 0)],
        tuple(info.get("network_index", [])),
        weights,
        tuple(info.get(size, 0) for size, _ in names),
        tuple(bytes(info.get(units, [])) for _, units in names),
    )


def random_info(rng: np.random.Generator, width: int, height: int) -> Sideinfo:
    identity = rng.bytes(3) if rng.random() < 0.3 else None
    if rng.random() < 0.05:
        return Sideinfo(identity, "off", version=2)
    luma, chroma = PAIRS[rng.integers(len(PAIRS))]
    shares = chroma == "luma's"
    count = int(rng.integers(1, 4)) if "map" in (luma, chroma) else 1
    filters = dict[Any, None]()
    while len(filters) < count:
        heads = int(rng.integers(1, 3))
        weights = [tuple(rng.integers(1 if heads == 1 else -5, 11, heads).tolist()) if rng.random() < 0.6 else (8,) * heads for _ in "YC"]
        filters[
            int(rng.choice([rng.integers(32), 5])),
            *(w if on else (8,) * heads for w, on in zip(weights, (luma != "off", chroma != "off"), strict=True)),
        ] = None
    sizes = [64 << int(rng.integers(4)) if mode == "map" else 0 for mode in (luma, chroma)]
    maps = [likely_map(rng, shape(size, width, height), count, rng.choice([0, 0.5, 0.9, 1])) if size else None for size in sizes]
    if shares:
        sizes[1], maps[1] = sizes[0], maps[0]
    indices, of_luma, of_chroma = zip(*filters, strict=True)
    return Sideinfo(
        identity,
        luma,
        POSITIONS[rng.integers(2)],
        indices,
        unit_size=sizes[0],
        units=maps[0],
        version=2,
        chroma_mode="map" if shares else chroma,
        shares_map=shares,
        luma_weights=of_luma,
        chroma_weights=of_chroma,
        chroma_unit_size=sizes[1],
        chroma_units=maps[1],
    )


def header_bits(info: Sideinfo) -> int:
    """Bits of everything but the choices of units."""
    bits = 48 * (info.identity is not None)
    if not info.filters:
        return bits
    bits += (
        5
        + 2 * ("map" in (info.mode, info.chroma_mode))
        + 3 * (info.mode == "map")
        + 3 * (info.chroma_mode == "map" and not info.shares_map)
    )
    for luma, chroma in zip(info.luma_weights, info.chroma_weights, strict=True):
        written = (luma if info.mode != "off" else ()) + (chroma if info.chroma_mode != "off" else ())
        bits += 7 + (0 if set(written) == {8} else 4 * len(written))
    return bits


def own_maps(info: Sideinfo) -> list[np.ndarray[Any, Any]]:
    return [units for units in (info.units, None if info.shares_map else info.chroma_units) if units is not None]


@pytest.mark.parametrize("seed", range(4))
def test_written_in_c_read_in_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = set()
    for _ in range(600):
        width, height = (int(n) for n in rng.integers(1, 1500, 2))
        info = random_info(rng, width, height)
        data = write(info, width, height)
        raw = (2 if len(info.indices) > 1 else 1) * sum(units.size for units in own_maps(info))
        if data == lib.VRCNN_ERROR_SIDEINFO_SPACE:
            assert header_bits(info) + raw > 2048
            continue
        assert isinstance(data, bytes), data
        given = data, info.identity is not None, width, height
        assert in_c(*given) == in_python(*given) == independently(*given) == fields(info)
        if own_maps(info):
            assert len(data) <= -(-(header_bits(info) + raw) // 8)
        else:
            assert len(data) == -(-header_bits(info) // 8)
        pairs.add((info.mode, info.chroma_mode, info.shares_map))
    assert len(pairs) == len(PAIRS) + 1


@pytest.mark.parametrize("filters", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2)])
def test_every_pair_of_small_maps(filters: int, size: tuple[int, int]) -> None:
    """What follows luma's map must not change it: coded, its end is another one there."""
    rows, columns = size
    choices = list(itertools.product(range(filters + 1), repeat=rows * columns))
    weights = ((8,),) * filters
    for luma, chroma in itertools.product(choices, choices if len(choices) < 65 else random.Random(1).sample(choices, 40)):
        maps = [np.array(each, np.uint8).reshape(size) for each in (luma, chroma)]
        info = Sideinfo(
            None, "map", POSITIONS[0], tuple(range(filters)), 0, 512, maps[0], False, 2, "map", False, weights, weights, 512, maps[1]
        )
        where = 512 * columns - 511, 512 * rows
        data = write(info, *where)
        if any(luma) and any(chroma):
            assert isinstance(data, bytes)
            assert in_python(data, False, *where) == in_c(data, False, *where) == fields(info)
        else:
            assert data == lib.VRCNN_ERROR_UNITS


def damaged(written: bytes, draw: random.Random) -> bytes:
    data = bytearray(written)
    match draw.randrange(6):
        case 0:
            del data[draw.randrange(len(data) + 1) :]
        case 1:
            data += bytes(draw.choice([0, draw.randrange(256)]) for _ in range(draw.randint(1, 300)))
        case 2:
            start = draw.randrange(len(data) + 1)
            data[start:] = draw.randbytes(len(data) - start)
        case 3:
            at = draw.randrange(min(len(data), 9) + 1)
            data[at : at + 1] = draw.randbytes(draw.randint(1, 2))
        case _:
            for _ in range(draw.randint(1, 3) if data else 0):
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_damaged_extensions_meet_the_same_answer(seed: int) -> None:
    rng, draw = np.random.default_rng(200 + seed), random.Random(seed)
    outcomes = dict.fromkeys([*CODES.values(), tuple], 0)
    tried = 0
    while tried < 2500:
        width, height = draw.randint(1, 700), draw.randint(1, 700)
        info = random_info(rng, width, height)
        written = write(info, width, height)
        if isinstance(written, int):
            continue
        tried += 1
        irap = (info.identity is not None) ^ (draw.random() < 0.05)
        given = damaged(written, draw), irap, width, height, draw.choice([1, 2, 2, 2, 2, 2, 2, 2, 2])
        found = in_c(*given)
        assert found == in_python(*given) == independently(*given), (given[0].hex(), *given[1:])
        outcomes[tuple if isinstance(found, tuple) else found] += 1
    assert all(count > 5 for count in outcomes.values()), outcomes


@pytest.mark.parametrize("size", [(64, 64), (200, 130)])
def test_every_extension_of_up_to_two_bytes(size: tuple[int, int]) -> None:
    for length in range(3):
        for data in itertools.product(range(256), repeat=length):
            given = bytes(data), False, *size
            assert in_c(*given) == in_python(*given) == independently(*given), bytes(data).hex()


def test_bytes_of_two_maps() -> None:
    """Every eleventh value of either of the three bytes in which two maps stand."""
    for data in itertools.product(range(1, 256, 11), repeat=3):
        given = bytes.fromhex("a002") + bytes(data), False, 129, 64
        assert in_c(*given) == in_python(*given) == independently(*given), bytes(data).hex()


# Written down when the syntax was settled: a change of them is a change of the syntax.
@pytest.mark.parametrize(
    ("data", "size", "expected"),
    [
        ("", (64, 64), (None, ("off", "off", False), POSITIONS[0], (), ((), ()), (0, 0), (b"", b""))),
        ("564e02c0ffee", (1, 1), (b"\xc0\xff\xee", ("off", "off", False), POSITIONS[0], (), ((), ()), (0, 0), (b"", b""))),
        # 01 01 0 00111 0 1 and padding
        ("51d0", (64, 64), (None, ("all", "all", False), POSITIONS[0], (7,), (((8,),), ((8,),)), (0, 0), (b"", b""))),
        # 01 00 1 11111 1 0 0000 1111
        ("4fe0f0", (64, 64), (None, ("all", "off", False), POSITIONS[1], (31,), (((-5, 10),), ((),)), (0, 0), (b"", b""))),
        # 10 11 0 01 | 00001 0 1 | 00010 0 0 1101 0110 | 01 1 01 10 00 10
        (
            "b21446b362",
            (129, 256),
            (None, ("map", "map", True), POSITIONS[0], (1, 2), (((8,), (8,)), ((8,), (1,))), (128, 0), (b"\1\2\0\2", b"")),
        ),
    ],
)
def test_known_bytes(data: str, size: tuple[int, int], expected: Outcome) -> None:
    given = bytes.fromhex(data), data.startswith("564e"), *size
    assert in_c(*given) == in_python(*given) == independently(*given) == expected


def test_version_1_is_read_as_before() -> None:
    for data, irap in (("6380", False), ("564e01deadbeef00", True), ("89fe2d28", False), ("00", False), ("", False), ("564e", True)):
        given = bytes.fromhex(data), irap, 129, 256, 1
        assert in_c(*given) == in_python(*given) == independently(*given)
    assert in_c(b"\x63\x80", False, 129, 256, 3) is VersionError
    assert in_c(b"VN\2abc", True, 129, 256, 1) == in_c(b"VN\2abc", True, 129, 256, 7)


def test_writer_refuses() -> None:
    rng = np.random.default_rng(3)
    units = np.ones((2, 2), np.uint8)
    good = Sideinfo(None, "map", POSITIONS[0], (1, 2), 0, 64, units, False, 2, "map", False, ((1,), (-5, 10)), ((10,), (0, 0)), 64, units)
    assert isinstance(write(good, 128, 128), bytes)
    syntax = lib.VRCNN_ERROR_SIDEINFO_SYNTAX

    def listed(*filters: tuple[int, int, list[int], list[int]]) -> dict[str, Any]:
        return {
            "filters": len(filters),
            "filter": [{"index": i, "heads": h, "weights": {"luma": a, "chroma": b}} for i, h, a, b in filters],
        }

    for changes in (
        {"has_identity": 2},
        {"luma_mode": 3},
        {"chroma_mode": 3},
        {"shares_map": 2},
        {"shares_map": 1, "luma_mode": 1},
        {"position": 2},
        {"filters": 0},
        {"filters": 4},
        {"luma_mode": 1, "chroma_mode": 0},  # two filters without a map
        {"luma_unit_size": 0},
        {"chroma_unit_size": 96},
        listed((32, 1, [8], [8])),
        listed((-1, 1, [8], [8])),
        listed((1, 0, [8], [8])),
        listed((1, 3, [8], [8])),
        listed((1, 1, [0], [8])),
        listed((1, 1, [8], [11])),
        listed((1, 2, [8, -6], [8, 8])),
        listed((1, 2, [8, 8], [8, 11])),
        listed((1, 1, [8, 4], [8]), (1, 1, [8, 5], [8])),
        listed((1, 1, [8], [8]), (1, 1, [9], [8]), (1, 1, [8], [8])),
    ):
        assert write(good, 128, 128, **changes) == syntax, changes
    assert write(good, 128, 128, version=1) == write(good, 128, 128, version=3) == lib.VRCNN_ERROR_SIDEINFO_VERSION
    assert isinstance(write(good, 128, 128, luma_mode=0, **listed((1, 1, [99], [8]))), bytes)  # of no use: luma is off
    assert write(good, 128, 128, chroma_mode=0, **listed((1, 1, [8], [7]), (1, 1, [8], [8]))) == syntax
    for width, height in ((0, 1), (1, 16385)):
        assert write(good, width, height) == lib.VRCNN_ERROR_PLANE
    for at in ("units", "chroma_units"):
        for wrong in (np.zeros((2, 2), np.uint8), np.full((2, 2), 3, np.uint8)):
            assert write(Sideinfo(**{**good.__dict__, at: wrong}), 128, 128) == lib.VRCNN_ERROR_UNITS
        assert write(Sideinfo(**{**good.__dict__, at: None}), 128, 128) == lib.VRCNN_ERROR_ARGUMENT
    wild = rng.integers(0, 3, shape(64, 2048, 2048), np.uint8)
    assert write(Sideinfo(**{**good.__dict__, "units": wild, "chroma_units": wild}), 2048, 2048) == lib.VRCNN_ERROR_SIDEINFO_SPACE


def test_room_for_units() -> None:
    units = np.ones((2, 2), np.uint8)
    weights = ((8,),)
    info = Sideinfo(None, "map", POSITIONS[0], (1,), 0, 128, units[:1, :1], False, 2, "map", False, weights, weights, 64, units)
    data = write(info, 128, 128)
    found, room = ffi.new("VrcnnPlaneSideinfo *"), ffi.new("uint8_t[4]")
    for rooms, wanted in ((4, 0), (3, lib.VRCNN_ERROR_UNITS), (0, lib.VRCNN_ERROR_UNITS)):
        assert lib.vrcnn_sideinfo_parse_planes(found, room, ffi.new("uint8_t[4]"), rooms, data, len(data), 2, 0, 128, 128) == wanted
    for arguments in ((ffi.NULL, room, room), (found, ffi.NULL, room), (found, room, ffi.NULL)):
        assert lib.vrcnn_sideinfo_parse_planes(*arguments, 4, data, len(data), 2, 0, 128, 128) == lib.VRCNN_ERROR_ARGUMENT
    assert lib.vrcnn_sideinfo_parse_planes(found, room, room, 4, ffi.NULL, 1, 2, 0, 128, 128) == lib.VRCNN_ERROR_ARGUMENT
    assert lib.vrcnn_sideinfo_parse_planes(found, room, room, 4, data, len(data), 2, 0, 0, 128) == lib.VRCNN_ERROR_PLANE


def test_a_sequence_of_both_versions() -> None:
    """An IRAP picture's version holds up to the next one's."""
    reader = SequenceReader()
    assert reader.read(b"VN\2\1\2\3", True, 64, 64).filters is False  # type: ignore[union-attr]
    assert reader.identity == b"\1\2\3"
    for data in (b"", b"\x51\xd0"):
        found = reader.read(data, False, 64, 64)
        assert found is not None
        assert (found.version, found.filters) == (2, bool(data))
    assert reader.read(b"VN\1\1\2\3\4\0", True, 64, 64).version == 1  # type: ignore[union-attr]
    assert reader.read(b"\x63\x80", False, 64, 64).version == 1  # type: ignore[union-attr]
    with pytest.raises(TruncatedError):
        reader.read(b"", False, 64, 64)
    assert reader.read(b"VN\2\1\2\3", True, 64, 64).version == 2  # type: ignore[union-attr]
    with pytest.raises(TruncatedError, match="lost"):
        reader.read(None, False, 64, 64)
    with pytest.raises(VersionError, match="version 3, this program knows 2"):
        reader.read(b"VN\3\1\2\3", True, 64, 64)
    with pytest.raises(VersionError):
        reader.read(b"", False, 64, 64)


def test_maps_of_both_planes_in_units_of_one_size() -> None:
    luma, chroma = np.array([[1, 0], [2, 1]], np.uint8), np.array([[2]], np.uint8)
    weights = ((8,), (7,))
    both = Sideinfo(None, "map", POSITIONS[0], (3, 4), 0, 128, luma, False, 2, "map", False, weights, weights, 256, chroma)
    size, *maps = both.plane_units(200, 130)
    assert size == 128
    assert [units.tolist() for units in maps if units is not None] == [[[1, 0], [2, 1]], [[2, 2], [2, 2]]]
    assert both.chroma_choices(200, 130).min() == 2
    size, of_luma, of_chroma = Sideinfo(None, "off", POSITIONS[0], (3,), version=2, chroma_mode="all").plane_units(600, 100)
    assert (size, of_luma) == (512, None)
    assert of_chroma is not None
    assert of_chroma.tolist() == [[1, 1]]
