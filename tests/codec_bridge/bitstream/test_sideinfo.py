"""Side information: the C library's writer and parser against the parser in Python, which was written from the specification alone."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi, lib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_bridge.bitstream import sideinfo
from codec_bridge.bitstream.sideinfo import (
    MODES,
    ForeignError,
    SequenceReader,
    Sideinfo,
    SyntaxElementError,
    TruncatedError,
    VersionError,
    parse,
)
from vrcnn_int.network import POSITIONS

CODES = {
    lib.VRCNN_ERROR_SIDEINFO_FOREIGN: ForeignError,
    lib.VRCNN_ERROR_SIDEINFO_VERSION: VersionError,
    lib.VRCNN_ERROR_SIDEINFO_TRUNCATED: TruncatedError,
    lib.VRCNN_ERROR_SIDEINFO_SYNTAX: SyntaxElementError,
}
Outcome = tuple[Any, ...] | type[Exception]


def shape(unit_size: int, width: int, height: int) -> tuple[int, int]:
    return -(-height // unit_size), -(-width // unit_size)


def write(info: Sideinfo, width: int, height: int) -> bytes | int:
    """The C library's bytes, or its error code."""
    out, size = ffi.new("uint8_t[]", lib.VRCNN_SIDEINFO_SIZE), ffi.new("size_t *")
    fields = {
        "has_identity": info.identity is not None,
        "identity": info.identity or bytes(4),
        "mode": MODES.index(info.mode),
        "position": POSITIONS.index(info.position),
        "networks": len(info.indices),
        "index": info.indices,
        "scale": info.scale,
        "unit_size": info.unit_size,
    }
    units = ffi.NULL if info.units is None else ffi.from_buffer("uint8_t[]", np.ascontiguousarray(info.units))
    code = lib.vrcnn_sideinfo_write(out, size, ffi.new("VrcnnSideinfo *", fields), units, width, height)
    return int(code) if code else bytes(ffi.buffer(out, size[0]))


def in_c(data: bytes, is_irap: bool, width: int, height: int) -> Outcome:
    found, units = ffi.new("VrcnnSideinfo *"), np.empty(lib.VRCNN_MAX_UNITS, np.uint8)
    buffer = ffi.from_buffer("uint8_t[]", units)
    code = lib.vrcnn_sideinfo_parse(found, buffer, units.size, data, len(data), is_irap, width, height)
    if code:
        return CODES[code]
    size = shape(found.unit_size, width, height) if found.mode == lib.VRCNN_MODE_MAP else (0, 0)
    return (
        bytes(found.identity) if found.has_identity else None,
        MODES[found.mode],
        POSITIONS[found.position],
        tuple(found.index[0 : found.networks]),
        found.scale,
        found.unit_size,
        units[: size[0] * size[1]].tobytes(),
    )


def fields(info: Sideinfo) -> tuple[Any, ...]:
    units = b"" if info.units is None else info.units.tobytes()
    return info.identity, info.mode, info.position, info.indices, info.scale, info.unit_size, units


def in_python(data: bytes, is_irap: bool, width: int, height: int) -> Outcome:
    try:
        return fields(parse(data, is_irap, width, height))
    except sideinfo.SideinfoError as error:
        return type(error)


def header_bits(info: Sideinfo) -> int:
    """Bits before the map."""
    return 56 * (info.identity is not None) + 3 + 2 + 5 * len(info.indices) + 4 + 3


def likely_map(rng: np.random.Generator, size: tuple[int, int], networks: int, likeness: float) -> NDArray[np.uint8]:
    """Random choices, each with a probability of ``likeness`` that of its left or upper neighbour; not all 0."""
    units = rng.integers(0, networks + 1, size, np.uint8)
    for y, x in np.argwhere(rng.random(size) < likeness):
        if rng.random() < 0.5 and x:
            units[y, x] = units[y, x - 1]
        elif y:
            units[y, x] = units[y - 1, x]
    if not units.any():
        units.flat[rng.integers(units.size)] = networks
    return units


def random_info(rng: np.random.Generator, width: int, height: int) -> Sideinfo:
    identity = rng.bytes(4) if rng.random() < 0.5 else None
    mode = MODES[rng.choice(3, p=[0.1, 0.2, 0.7])]
    if mode == "off":
        return Sideinfo(identity, mode)
    networks = int(rng.integers(1, 4)) if mode == "map" else 1
    indices = tuple(int(index) for index in rng.choice(32, networks, replace=False))
    unit_size = 64 << int(rng.integers(4)) if mode == "map" else 0
    units = likely_map(rng, shape(unit_size, width, height), networks, rng.choice([0, 0.5, 0.9, 1])) if mode == "map" else None
    return Sideinfo(identity, mode, POSITIONS[rng.integers(2)], indices, int(rng.integers(1, 11)), unit_size, units)


@pytest.mark.parametrize("seed", range(4))
def test_written_in_c_read_in_both(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = coded = 0
    for _ in range(1000):
        width, height = (int(n) for n in rng.integers(1, 1500, 2))
        info = random_info(rng, width, height)
        data = write(info, width, height)
        bits = 2 if len(info.indices) > 1 else 1
        if data == lib.VRCNN_ERROR_SIDEINFO_SPACE:
            assert info.units is not None
            assert header_bits(info) + bits * info.units.size > 2048
            continue
        assert isinstance(data, bytes), data
        irap = info.identity is not None
        assert in_c(data, irap, width, height) == fields(info)
        read = parse(data, irap, width, height)
        assert fields(read) == fields(info)
        if info.units is None:
            assert len(data) == 7 * irap + (1 if info.mode == "off" else 2)
        else:
            assert len(data) <= -(-(header_bits(info) + bits * info.units.size) // 8)
            raw, coded = raw + (not read.coded), coded + read.coded
    assert raw > 50
    assert coded > 300


@pytest.mark.parametrize("networks", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 2), (2, 3), (3, 2)])
def test_every_small_map(networks: int, size: tuple[int, int]) -> None:
    rows, columns = size
    for choices in itertools.product(range(networks + 1), repeat=rows * columns):
        units = np.array(choices, np.uint8).reshape(size)
        info = Sideinfo(None, "map", POSITIONS[1], tuple(range(networks)), 8, 256, units)
        data = write(info, 256 * columns - 255, 256 * rows)
        if any(choices):
            assert isinstance(data, bytes)
            assert in_python(data, False, 256 * columns - 255, 256 * rows) == fields(info)
        else:
            assert data == lib.VRCNN_ERROR_UNITS


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_meet_the_same_answer(seed: int) -> None:
    rng, draw = np.random.default_rng(100 + seed), random.Random(seed)
    outcomes = dict.fromkeys([*CODES.values(), tuple], 0)
    for _ in range(1500):
        width, height = draw.randint(1, 900), draw.randint(1, 900)
        info = random_info(rng, width, height)
        written = write(info, width, height)
        if isinstance(written, int):
            continue
        data = bytearray(written)
        match draw.randrange(5):
            case 0:
                del data[draw.randrange(len(data)) :]
            case 1:
                data += bytes(draw.choice([0, draw.randrange(256)]) for _ in range(draw.randint(1, 300)))
            case 2:
                start = draw.randrange(len(data))
                data[start:] = draw.randbytes(len(data) - start)
            case _:
                for _ in range(draw.randint(1, 3)):
                    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        irap = (info.identity is not None) ^ (draw.random() < 0.1)
        found = in_c(bytes(data), irap, width, height)
        assert found == in_python(bytes(data), irap, width, height), (bytes(data).hex(), irap, width, height)
        outcomes[tuple if isinstance(found, tuple) else found] += 1
    assert all(count > 5 for count in outcomes.values()), outcomes


@pytest.mark.parametrize("size", [(64, 64), (200, 130)])
def test_every_extension_of_up_to_two_bytes(size: tuple[int, int]) -> None:
    for length in range(3):
        for data in itertools.product(range(256), repeat=length):
            assert in_c(bytes(data), False, *size) == in_python(bytes(data), False, *size), bytes(data).hex()


def test_bytes_of_a_map() -> None:
    """A third of the values of either of the two bytes in which a map stands."""
    for start, width in itertools.product((b"\x80\x04", b"\x88\x04", b"\x90\x02"), (64, 500)):
        for data in itertools.product(range(0, 256, 3), repeat=2):
            assert in_c(start + bytes(data), False, width, 128) == in_python(start + bytes(data), False, width, 128)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Sideinfo, int, int]:
    width, height = draw(st.integers(1, 700)), draw(st.integers(1, 700))
    identity = draw(st.none() | st.binary(min_size=4, max_size=4))
    mode = draw(st.sampled_from(MODES))
    if mode == "off":
        return Sideinfo(identity, mode), width, height
    indices = draw(st.lists(st.integers(0, 31), min_size=1, max_size=3 if mode == "map" else 1, unique=True))
    position, scale = draw(st.sampled_from(POSITIONS)), draw(st.integers(1, 10))
    if mode == "all":
        return Sideinfo(identity, mode, position, tuple(indices), scale), width, height
    unit_size = draw(st.sampled_from([64, 128, 256, 512]))
    rows, columns = shape(unit_size, width, height)
    choice = st.integers(0, len(indices))
    units = np.array(draw(st.lists(choice, min_size=rows * columns, max_size=rows * columns)), np.uint8).reshape(rows, columns)
    units[-1, -1] = units[-1, -1] if units.any() else 1
    return Sideinfo(identity, mode, position, tuple(indices), scale, unit_size, units), width, height


@settings(max_examples=300, deadline=None)
@given(pictures())
def test_round_trip(picture: tuple[Sideinfo, int, int]) -> None:
    info, width, height = picture
    data = write(info, width, height)
    assert isinstance(data, bytes)
    assert data == write(info, width, height)
    assert in_c(data, info.identity is not None, width, height) == fields(info)
    assert in_python(data, info.identity is not None, width, height) == fields(info)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.booleans(), st.integers(1, 2000), st.integers(1, 2000))
def test_any_bytes(data: bytes, magic: bool, irap: bool, width: int, height: int) -> None:
    data = b"VN\x01" + data if magic else data
    assert in_c(data, irap, width, height) == in_python(data, irap, width, height)


@settings(max_examples=100, deadline=None)
@given(pictures(), st.data())
def test_every_truncation_is_noticed_or_another_map(picture: tuple[Sideinfo, int, int], draw: st.DataObject) -> None:
    """Cut off before its map, side information is never accepted; in a coded map it may be."""
    info, width, height = picture
    irap = info.identity is not None
    data = write(info, width, height)
    assert isinstance(data, bytes)
    cut = data[: draw.draw(st.integers(0, len(data) - 1))]
    found = in_python(cut, irap, width, height)
    assert found == in_c(cut, irap, width, height)
    if len(cut) < 7 * irap + 3:
        assert found is (ForeignError if irap and len(cut) < 2 else TruncatedError)
    elif isinstance(found, tuple):
        assert found[:6] == fields(info)[:6]


MAP = "01010102020303010100000203030101000000020201010101020202"  # rows of seven units


# Written down when the syntax was settled: a change of them is a change of the syntax.
@pytest.mark.parametrize(
    ("data", "size", "expected"),
    [
        ("00", (64, 64), (None, "off", POSITIONS[0], (), 0, 0, b"")),
        ("564e01deadbeef00", (64, 64), (bytes.fromhex("deadbeef"), "off", POSITIONS[0], (), 0, 0, b"")),
        ("6380", (64, 64), (None, "all", POSITIONS[1], (3,), 8, 0, b"")),
        ("564e01010203044f40", (64, 64), (b"\1\2\3\4", "all", POSITIONS[0], (15,), 4, 0, b"")),
        ("89fe2d28", (129, 256), (None, "map", POSITIONS[0], (7, 31), 1, 128, b"\1\0\2\2")),
        ("800440", (64, 64), (None, "map", POSITIONS[0], (0,), 1, 64, b"\1")),
        (
            "b250a71008c96bc808",
            (416, 240),
            (None, "map", POSITIONS[1], (9, 8, 10), 7, 64, bytes.fromhex(MAP)),
        ),
    ],
)
def test_known_bytes(data: str, size: tuple[int, int], expected: Outcome) -> None:
    irap = isinstance(expected, tuple) and expected[0] is not None
    assert in_python(bytes.fromhex(data), irap, *size) == expected
    assert in_c(bytes.fromhex(data), irap, *size) == expected


@pytest.mark.parametrize(
    ("data", "irap", "error"),
    [
        ("", True, ForeignError),
        ("56", True, ForeignError),
        ("4e56010000000000", True, ForeignError),
        ("00" * 300, True, ForeignError),
        ("564e", True, TruncatedError),
        ("564e02", True, VersionError),
        ("564e02" + "00" * 300, True, VersionError),
        ("564e01" + "00" * 300, True, SyntaxElementError),
        ("564e01deadbeef", True, TruncatedError),
        ("", False, TruncatedError),
        ("564e01deadbeef00", False, SyntaxElementError),
        ("20", False, SyntaxElementError),
        ("01", False, SyntaxElementError),
        ("0000", False, SyntaxElementError),
        ("c0", False, SyntaxElementError),
        ("40", False, TruncatedError),
        ("4000", False, SyntaxElementError),
        ("40b0", False, SyntaxElementError),
        ("4018", False, SyntaxElementError),
        ("98", False, SyntaxElementError),
        ("8800", False, SyntaxElementError),
        ("8004", False, TruncatedError),
        ("800400", False, SyntaxElementError),
        ("800480", False, SyntaxElementError),
        ("8004e0", False, SyntaxElementError),
        ("80044000", False, SyntaxElementError),
    ],
)
def test_refusals(data: str, irap: bool, error: type[Exception]) -> None:
    assert in_python(bytes.fromhex(data), irap, 64, 64) is error
    assert in_c(bytes.fromhex(data), irap, 64, 64) is error


def test_messages_are_one_line_and_name_the_fault() -> None:
    with pytest.raises(SyntaxElementError, match=r"^output_scale is 11, not 1\.\.10: the stream is damaged$"):
        parse(b"\x40\xb0", False, 64, 64)
    with pytest.raises(VersionError, match=r"^the side information has version 7, this program knows 1: update vrcnn-int$"):
        parse(b"VN\7", True, 64, 64)
    with pytest.raises(TruncatedError, match=r"ends before output_scale"):
        parse(b"\x40", False, 64, 64)
    with pytest.raises(ValueError, match="0x64"):
        parse(b"\0", False, 0, 64)


def test_limits() -> None:
    rng = np.random.default_rng(5)
    size = shape(64, 16384, 16384)
    alike = Sideinfo(None, "map", POSITIONS[0], (1, 2, 3), 8, 64, np.full(size, 3, np.uint8))
    data = write(alike, 16384, 16384)
    assert isinstance(data, bytes)
    assert in_python(data, False, 16384, 16384) == in_c(data, False, 16384, 16384) == fields(alike)
    wild = Sideinfo(None, "map", POSITIONS[0], (1, 2, 3), 8, 64, rng.integers(0, 4, shape(64, 4096, 4096), np.uint8))
    assert write(wild, 4096, 4096) == lib.VRCNN_ERROR_SIDEINFO_SPACE
    bad = Sideinfo(None, "map", POSITIONS[0], (1, 2), 8, 64, np.full((1, 1), 3, np.uint8))
    assert write(bad, 64, 64) == lib.VRCNN_ERROR_UNITS


def test_a_map_with_neighbours_alike_costs_less_than_raw() -> None:
    units = np.ones((8, 13), np.uint8)
    units[2:5, 4:9] = 0
    data = write(Sideinfo(None, "map", POSITIONS[0], (2,), 8, 64, units), 832, 480)
    assert isinstance(data, bytes)
    assert len(data) <= 9  # raw: 16


def test_choices_of_samples() -> None:
    units = np.array([[1, 0, 2], [0, 2, 1]], np.uint8)
    found = Sideinfo(None, "map", POSITIONS[0], (4, 5), 8, 64, units).choices(150, 70)
    assert found.shape == (70, 150)
    for y, x in ((0, 0), (63, 63), (0, 64), (63, 149), (64, 0), (69, 127), (69, 149)):
        assert found[y, x] == units[y // 64, x // 64]
    assert np.array_equal(Sideinfo(None, "all", POSITIONS[0], (4,), 8).choices(3, 2), np.ones((2, 3)))
    assert not Sideinfo(None, "off").choices(3, 2).any()


def test_sequence_reader() -> None:
    reader = SequenceReader()
    assert reader.read(b"foreign", False, 64, 64) is None  # before any IRAP picture
    first = reader.read(b"VN\1abcd\0", True, 64, 64)
    assert first is not None
    assert (first.mode, first.identity, reader.identity) == ("off", b"abcd", b"abcd")
    second = reader.read(b"\x63\x80", False, 64, 64)
    assert second is not None
    assert (second.indices, second.identity, reader.identity) == ((3,), None, b"abcd")
    for data in (b"", None):
        with pytest.raises(TruncatedError):
            reader.read(data, False, 64, 64)
        with pytest.raises(TruncatedError):  # and so up to the next IRAP picture
            reader.read(b"\0", False, 64, 64)
        assert reader.read(b"VN\1efgh\0", True, 64, 64) is not None
    assert reader.identity == b"efgh"
    assert reader.read(b"", True, 64, 64) is None  # a sequence without the filter
    assert reader.identity is None
    assert reader.read(b"\xff", False, 64, 64) is None
    with pytest.raises(VersionError):
        reader.read(b"VN\3", True, 64, 64)
    with pytest.raises(VersionError):
        reader.read(b"\0", False, 64, 64)
    for _ in range(2):  # lost: taken to be as the last one that is known, which carried the magic
        with pytest.raises(TruncatedError):
            reader.read(None, True, 64, 64)
        with pytest.raises(TruncatedError):
            reader.read(b"\0", False, 64, 64)
    for known in ((), (b"",), (b"VN\1abcd\0", b"V")):
        reader = SequenceReader()
        for data in known:
            reader.read(data, True, 64, 64)
        for data, is_irap in ((None, True), (b"\xff", False), (None, False), (None, True)):
            assert reader.read(data, is_irap, 64, 64) is None  # an ordinary stream, whatever it lacks
