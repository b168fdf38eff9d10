"""The numbers that the conformance suite is made of. Equal on every machine."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def noise(label: str, count: int, low: int, high: int) -> NDArray[np.int64]:
    """``count`` integers low .. high, uniform but for 1 part in 2^20: the little-endian 32-bit words of SHAKE-256 of the label, reduced."""
    words = np.frombuffer(hashlib.shake_256(label.encode("ascii")).digest(4 * count), "<u4")
    return low + words.astype(np.int64) % (high - low + 1)
