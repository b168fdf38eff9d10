"""Picture hashes of HEVC: MD5, CRC and checksum of decoded planes. Source: Rec. ITU-T H.265, clause D.3.19."""

import binascii
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream.errors import CodecError
from vrcnn_int.network import PLANES

NAMES = ("MD5", "CRC", "checksum")  # by hash_type
_BYTES = (16, 2, 4)
# crc_hqx begins with the register that clause D.3.19 has after its first sixteen bits, and needs none behind the last sample.
_CRC_START = 0x1D0F

Plane = NDArray[np.uint8] | NDArray[np.uint16]


def plane_hash(kind: int, plane: Plane) -> bytes:
    """The hash of one plane of decoded samples, uint8 at 8 bits and uint16 above. kind: hash_type, 0..2."""
    if kind == 2:
        return _checksum(plane).to_bytes(4, "big")
    data = plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes()
    if kind == 1:
        return binascii.crc_hqx(data, _CRC_START).to_bytes(2, "big")
    return hashlib.md5(data, usedforsecurity=False).digest()


def _checksum(plane: Plane) -> int:
    height, width = plane.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    mask = ((rows & 255) ^ (rows >> 8) ^ (columns & 255) ^ (columns >> 8)).astype(np.uint16)
    total = int(np.bitwise_xor(plane & 255, mask).sum(dtype=np.uint64))
    if plane.dtype.itemsize > 1:
        total += int(np.bitwise_xor(plane >> 8, mask).sum(dtype=np.uint64))
    return total & 0xFFFFFFFF


def mismatch(payloads: Sequence[bytes], planes: Sequence[Plane], ctb: int) -> str | None:
    """What of a picture's hash messages its planes do not match, in words; None if they match all.

    payloads: of the messages, hash_type first. planes: Y, or Y, U, V, uncropped. ctb: side of a luma coding tree block in samples: x265
    gives as CRC of U and V that of their last row of blocks, which is taken, too. Raises CodecError for a hash of an unknown kind.
    """
    for payload in payloads:
        kind = payload[0] if payload else 255
        if kind >= len(NAMES):
            raise CodecError(f"it carries a picture hash of kind {kind}, which cannot be checked")
        size = _BYTES[kind]
        if len(payload) != 1 + size * len(planes):
            return f"its {NAMES[kind]} picture hash (wrong length)"
        stated = [payload[1 + size * k : 1 + size * (k + 1)] for k in range(len(planes))]
        wrong = [name for name, plane, value in zip(PLANES, planes, stated, strict=False) if plane_hash(kind, plane) != value]
        if NAMES[kind] == "CRC" and wrong == list(PLANES[1:]):
            last = (planes[0].shape[0] - 1) // ctb * ctb * planes[1].shape[0] // planes[0].shape[0]
            wrong = [
                name for name, plane, value in zip(PLANES[1:], planes[1:], stated[1:], strict=True) if plane_hash(1, plane[last:]) != value
            ]
        if wrong:
            return f"its {NAMES[kind]} picture hash ({', '.join(wrong)})"
    return None
