"""What the Python fuzz targets have kept, without a fuzzer; and inputs whose time or memory once grew faster than their size."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec_bridge.bitstream import nal, slices
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.parameter_sets import Bits, parse_sps
from tests.fuzz.targets import TARGETS
from tests.support.hm_streams import BitWriter, unit

FOLDER = Path(__file__).parent
MEMORY = 1 << 25
"""Bytes: enough for any input of a corpus, and for the C library's map of units beside it."""


@pytest.mark.parametrize("name", TARGETS)
def test_corpus_and_regressions(name: str) -> None:
    inputs = sorted([*(FOLDER / "corpus" / name).iterdir(), *(FOLDER / "regressions").glob(f"{name}/*")])
    assert len(inputs) > 5
    tracemalloc.start()
    try:
        for path in inputs:
            data = path.read_bytes()
            tracemalloc.reset_peak()
            TARGETS[name](data)
            assert tracemalloc.get_traced_memory()[1] < MEMORY, path.name
    finally:
        tracemalloc.stop()


SLICE = b"\0\0\1\x26\x01\xff"
"""It refers to parameter sets: damaged ones are no error before."""

# Time that grew with the square of the size: such a test would not end.


def test_many_sei_messages() -> None:
    count = 1_000_000
    assert len(nal.sei_messages(nal.Nal(b"\x50\x01" + b"\x05\x00" * count + b"\x80", 0))) == count


def test_numbers_without_end() -> None:
    zeros = b"\0\0\3" * 1_000_000
    with pytest.raises(CodecError, match="more than 32 bits"):
        parse_sps(nal.Nal(b"\x42\x01" + bytes(13) + zeros + b"\x80", 0).rbsp)
    with pytest.raises(CodecError, match="more than 32 bits"):
        slices.segments(b"\0\0\0\1\x42\x01\1" + zeros + b"\x80" + SLICE)


def test_a_configuration_record_that_promises_more_than_it_has() -> None:
    with pytest.raises(CodecError, match="record is cut off"):
        nal.record_units(bytes(22) + b"\xff" + b"\x21\xff\xff" + b"\0\2\x42\x01")


@given(st.binary(max_size=20), st.lists(st.integers(0, 40)))
def test_bits_are_those_of_the_bytes(data: bytes, counts: list[int]) -> None:
    text, bits = "".join(f"{byte:08b}" for byte in data), Bits(data)
    for count in counts:
        if count > len(text):
            with pytest.raises(CodecError, match="cut off"):
                bits.u(count)
            return
        assert bits.u(count) == int(text[:count] or "0", 2)
        text = text[count:]
        assert bits.left == len(text)


@pytest.mark.parametrize("size", [(0, 8), (8, 16385), (2**32 - 2, 8)])
def test_sizes_that_no_stream_with_side_information_has(size: tuple[int, int]) -> None:
    bits = BitWriter().u(0, 4).u(0, 3).u(1, 1).u(0, 96).ue(0, 1, *size).u(0, 1).ue(0, 0, 4).u(1, 1).ue(4, 2, 0).ue(0, 3, 0, 3, 1, 1)
    bits.u(0, 1).u(0, 3).ue(0).u(0, 3)
    with pytest.raises(CodecError, match="16384x16384"):
        slices.segments(unit(33, bits.data()) + SLICE)
