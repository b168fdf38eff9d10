"""Picture hashes are those of the standard, written once more as it writes them."""

import numpy as np
import pytest

from codec_bridge.bitstream import hashes
from codec_bridge.bitstream.errors import CodecError


def crc(plane: np.ndarray[tuple[int, int], np.dtype[np.uint16]], bit_depth: int) -> int:
    """Clause D.3.19, bit by bit."""
    value = 0xFFFF
    for sample in plane.ravel().tolist():
        for byte in [sample & 255] + ([sample >> 8] if bit_depth > 8 else []):
            for bit in range(7, -1, -1):
                top = value >> 15 & 1
                value = ((value << 1) + (byte >> bit & 1) & 0xFFFF) ^ top * 0x1021
    for _ in range(16):
        top = value >> 15 & 1
        value = (value << 1 & 0xFFFF) ^ top * 0x1021
    return value


def checksum(plane: np.ndarray[tuple[int, int], np.dtype[np.uint16]], bit_depth: int) -> int:
    total = 0
    for y, row in enumerate(plane.tolist()):
        for x, sample in enumerate(row):
            mask = (x & 255) ^ (y & 255) ^ (x >> 8) ^ (y >> 8)
            total += ((sample & 255) ^ mask) + (((sample >> 8) ^ mask) if bit_depth > 8 else 0)
    return total & 0xFFFFFFFF


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_crc_and_checksum_are_the_standard_s(bit_depth: int) -> None:
    plane = np.random.default_rng(bit_depth).integers(0, 1 << bit_depth, (3, 300)).astype(np.uint16)
    given = plane.astype(np.uint8 if bit_depth == 8 else np.uint16)
    assert hashes.plane_hash(1, given) == crc(plane, bit_depth).to_bytes(2, "big")
    assert hashes.plane_hash(2, given) == checksum(plane, bit_depth).to_bytes(4, "big")


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_sample_that_differs_is_named_by_its_plane(kind: int) -> None:
    planes = [np.full((8 >> (k > 0), 16 >> (k > 0)), 7, np.uint8) for k in range(3)]
    payload = bytes([kind]) + b"".join(hashes.plane_hash(kind, plane) for plane in planes)
    assert hashes.mismatch([payload], planes, 16) is None
    planes[1][2, 3] = 8
    assert hashes.mismatch([payload], planes, 16) == f"its {hashes.NAMES[kind]} picture hash (Cb)"
    assert hashes.mismatch([payload[:-1]], planes, 16) == f"its {hashes.NAMES[kind]} picture hash (wrong length)"


def test_every_hash_of_a_picture_counts_and_unknown_kinds_are_refused() -> None:
    plane = np.full((4, 4), 9, np.uint8)
    right, wrong = b"\2" + hashes.plane_hash(2, plane), b"\0" + bytes(16)
    assert hashes.mismatch([right], [plane], 16) is None
    assert hashes.mismatch([right, wrong], [plane], 16) == "its MD5 picture hash (Y)"
    for payload in (b"", b"\3"):
        with pytest.raises(CodecError, match="cannot be checked"):
            hashes.mismatch([payload], [plane], 16)


def test_x265_s_crc_of_chroma_is_that_of_the_last_row_of_blocks() -> None:
    planes = [np.random.default_rng(k).integers(0, 256, (40 >> (k > 0), 16)).astype(np.uint8) for k in range(3)]
    payload = b"\1" + hashes.plane_hash(1, planes[0]) + b"".join(hashes.plane_hash(1, plane[16:]) for plane in planes[1:])
    assert hashes.mismatch([payload], planes, 16) is None
    planes[2][18, 0] ^= 1
    assert hashes.mismatch([payload], planes, 16) == "its CRC picture hash (Cr)"
