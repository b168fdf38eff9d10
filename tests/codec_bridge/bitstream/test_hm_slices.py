"""Slice headers are read up to their extension, in streams of a real encoder and in streams written bit by bit."""

from fractions import Fraction

import numpy as np
import pytest

from codec_bridge.bitstream import slices
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.sideinfo import SequenceReader
from codec_bridge.codecs import pyav
from codec_bridge.video.picture import Picture
from tests.support.hm_streams import BitWriter, escaped, unit, with_extension

WIDTH, HEIGHT = 200, 72
IDR, TRAIL = 19, 1


def sps(long_term: bool = False, sets: int = 2) -> bytes:
    bits = BitWriter().u(0, 4).u(0, 3).u(1, 1).u(0, 96)
    bits.ue(0, 1, WIDTH, HEIGHT).u(1, 1).ue(0, 1, 0, 2).ue(0, 0, 4).u(1, 1).ue(4, 2, 0)
    bits.ue(0, 3, 0, 3, 1, 1)  # blocks of 8 to 64 samples
    bits.u(1, 1).u(1, 1)  # scaling lists, explicit
    for size in range(4):
        for matrix in range(0, 6, 3 if size == 3 else 1):
            explicit = (size + matrix) % 2
            bits.u(explicit, 1)
            if not explicit:
                bits.ue(0)
            else:
                if size > 1:
                    bits.se(3)
                for i in range(min(64, 1 << 4 + 2 * size)):
                    bits.se(i % 5 - 2)
    bits.u(0, 1).u(1, 1)  # amp, sao
    bits.u(1, 1).u(7, 4).u(7, 4).ue(0, 2).u(1, 1)  # pcm
    bits.ue(sets)
    if sets:
        bits.ue(2, 1).ue(0).u(1, 1).ue(1).u(0, 1).ue(2).u(1, 1)  # -1 used, -3 not, +3 used
    if sets > 1:
        bits.u(1, 1).u(1, 1).ue(0)  # predicted from the first with delta -1: every picture one lower, and -1
        bits.u(1, 1).u(0, 1).u(1, 1).u(1, 1).u(1, 1)
    bits.u(long_term, 1)
    if long_term:
        bits.ue(2).u(5, 8).u(1, 1).u(9, 8).u(0, 1)
    return bits.u(1, 1).u(0, 1).u(0, 2).data()


def pps(wavefronts: int = 0, extension: int = 1, more: bool = False) -> bytes:
    """more: everything that lengthens a slice header."""
    bits = BitWriter().ue(0, 0).u(more, 1).u(more, 1).u(2 if more else 0, 3).u(0, 1).u(more, 1).ue(1, 1).se(0).u(0, 1).u(1, 1)
    bits.u(1, 1).ue(1).se(0, 0).u(more, 1).u(more, 1).u(more, 1).u(0, 1).u(0, 1).u(wavefronts, 1).u(1, 1)
    bits.u(more, 1)
    if more:
        bits.u(1, 1).u(0, 1).se(1, -1)
    return bits.u(0, 1).u(more, 1).ue(0).u(extension, 1).u(0, 1).data()


def extended(bits: BitWriter, data: bytes) -> BitWriter:
    bits.ue(len(data))
    for byte in data:
        bits.u(byte, 8)
    return bits


def test_a_real_encoder_s_headers_are_understood() -> None:
    """x265 sends no extension; that nothing is read beyond a header shows in slices of every type being parsed without an error."""
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 256, (64, 96)).astype(np.uint8) for _ in range(3)]
    pictures = [Picture((plane, plane[::2, ::2].copy(), plane[::2, ::2].copy()), 8, "420") for plane in noise]
    stream = pyav.encode(pictures, 32, rate=Fraction(25)).data
    found = slices.segments(stream)
    assert [(s.first_in_picture, s.width, s.height, s.extension, s.extension_bits, s.is_irap) for s in found] == [
        (True, 96, 64, b"", 0, True)
    ] * 3


@pytest.mark.parametrize("size", [0, 1, 2, 17, 256])
def test_extension_of_an_idr_picture(size: int) -> None:
    data = bytes(i % 4 for i in range(size))  # needs emulation prevention
    bits = extended(BitWriter().u(1, 1).u(0, 1).ue(0).ue(2).u(1, 1).u(0, 1).se(5).u(1, 1), data)
    stream = unit(33, sps()) + unit(34, pps()) + unit(IDR, bits.data() + b"\0\0\1payload")
    (found,) = slices.segments(stream)
    assert (found.extension, found.is_irap, found.first_in_picture) == (data, True, True)
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert found.extension_bits == 8 * size + 2 * (size + 1).bit_length() - 1
    assert bits.text[: found.extension_at] + bits.text[found.extension_at + found.extension_bits :] == bits.text[: found.extension_at]


def inter_header(address: int, dependent: bool, wavefronts: bool, data: bytes) -> BitWriter:
    """A B slice with everything in it: reference sets predicted in the header, long-term pictures, modifications, weights."""
    bits = BitWriter().u(address == 0, 1).ue(0)
    if address:
        bits.u(dependent, 1).u(address, 3)  # 4 x 2 CTUs
    if not dependent:
        bits.u(3, 2).ue(0).u(1, 1).u(77, 8)  # reserved flags, B, output, POC
        # A set predicted from the last one of the SPS, which has pictures -4, -2, +2 and -1 (three of them used).
        bits.u(0, 1).u(1, 1).ue(0).u(0, 1).ue(1)
        bits.u(1, 1).u(1, 1).u(0, 1).u(0, 1).u(1, 1).u(1, 1)
        bits.ue(1).ue(1)  # long-term: one of the SPS, one of its own
        bits.u(0, 1).u(1, 1).ue(4)
        bits.u(200, 8).u(1, 1).u(0, 1)
        bits.u(1, 1)  # temporal motion vector prediction
        bits.u(1, 1).u(0, 1)  # SAO
        bits.u(1, 1).ue(2, 1)  # three and two references
        current = 4 + 1 + 1
        width = (current - 1).bit_length()
        bits.u(1, 1).u(0, 3 * width).u(0, 1)
        bits.u(1, 1).u(0, 1).u(0, 1).ue(1)  # mvd_l1_zero, cabac_init, collocated in list 1, its index
        bits.ue(3).se(-1)
        for count in (3, 2):
            bits.u((1 << count) - 2, count).u(1, count)
            for i in range(count):
                bits.se(*([4, -5] if i < count - 1 else []))
                bits.se(*([1, -2, 3, -4] if i == count - 1 else []))
        bits.ue(2).se(-3).se(1, 2)
        bits.u(1, 1).u(0, 1).se(2, -2)
        bits.u(1, 1)
    if wavefronts:
        bits.ue(1).ue(9).u(513, 10)
    return extended(bits, data)


@pytest.mark.parametrize("wavefronts", [0, 1])
def test_extension_of_inter_slices(wavefronts: int) -> None:
    parts = [(0, False, b"VN and more"), (3, True, b""), (5, False, b"\0\0\0")]
    stream = unit(33, sps(long_term=True)) + unit(34, pps(wavefronts, more=True))
    for address, dependent, data in parts:
        stream += unit(TRAIL, inter_header(address, dependent, bool(wavefronts), data).data() + b"\x55")
    found = slices.segments(stream)
    assert [s.extension for s in found] == [data for _, _, data in parts]
    assert [s.first_in_picture for s in found] == [True, False, False]
    assert len(slices.pictures(stream)) == 1


def test_other_layers_and_missing_parameter_sets() -> None:
    header = extended(BitWriter().u(1, 1).u(0, 1).ue(0).ue(2).u(1, 1).u(0, 1).se(5).u(1, 1), b"x").data() + b"\x55"
    other = b"\0\0\1" + bytes([IDR << 1, 1 << 3 | 1]) + escaped(header)
    assert slices.segments(unit(33, sps()) + unit(34, pps()) + other) == []
    with pytest.raises(CodecError, match="parameter sets that are not there"):
        slices.segments(unit(33, sps()) + unit(IDR, header))
    with pytest.raises(CodecError, match="cut off"):
        slices.segments(unit(33, sps()) + unit(34, pps()) + unit(IDR, header[:3]))


def test_another_extension() -> None:
    header = extended(BitWriter().u(1, 1).u(0, 1).ue(0).ue(2).u(1, 1).u(0, 1).se(5).u(1, 1), b"abc").data()
    stream = unit(33, sps()) + unit(34, pps()) + unit(IDR, header + b"one") + unit(IDR, header + b"two")
    for number, data in enumerate((b"\0\0\1\0\0\0", b"")):
        changed = with_extension(stream, number, data)
        assert [s.extension for s in slices.segments(changed)] == [data if i == number else b"abc" for i in range(2)]
        assert changed.endswith(b"two")
        assert with_extension(changed, number, b"abc") == stream


def test_random_damage_raises_nothing_but_codec_errors() -> None:
    rng = np.random.default_rng(7)
    stream = (
        unit(33, sps(long_term=True)) + unit(34, pps(1, more=True)) + unit(TRAIL, inter_header(0, False, True, b"VN").data() + b"\x55" * 20)
    )
    errors = 0
    for _ in range(3000):
        damaged = bytearray(stream)
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(4, len(damaged)))] = int(rng.integers(0, 256))
        try:
            slices.segments(bytes(damaged))
        except CodecError:
            errors += 1
    assert errors > 100


def test_pictures_without_magic_are_somebody_else_s() -> None:
    header = extended(BitWriter().u(1, 1).u(0, 1).ue(0).ue(2).u(1, 1).u(0, 1).se(5).u(1, 1), b"other").data()
    stream = unit(33, sps()) + unit(34, pps()) + unit(IDR, header + b"\x55")
    (picture,) = slices.pictures(stream)
    assert SequenceReader().read(picture[0].extension, picture[0].is_irap, WIDTH, HEIGHT) is None
