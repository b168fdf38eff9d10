"""What callers may give: numbers and planes, checked before the C library sees them. Every refusal is a FilterError."""

from collections.abc import Iterable
from operator import index as whole_number
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library.errors import ErrorCode, FilterError, refuse
from codec_bridge.library.native import MAX_SIZE
from vrcnn_int.integer import Plane


def whole(value: SupportsIndex, what: str, code: ErrorCode) -> int:
    """An int, or what is one to Python, numpy's for example; a truth value is none."""
    try:
        number = None if isinstance(value, bool | np.bool_) else whole_number(value)
    except TypeError:
        number = None
    if number is None:
        raise FilterError(f"{what} is a whole number, not {_shown(value)}", code)
    if number.bit_length() > 63:
        raise FilterError(f"{what} is a whole number, but not one of {number.bit_length()} bits", code)
    return number


def _shown(value: object) -> str:
    return f"{type(value).__name__} {' '.join(repr(value).split())[:40]}"


def wholes(values: Iterable[SupportsIndex], what: str, code: ErrorCode) -> list[int]:
    """Several of them."""
    try:
        given = list(values)
    except TypeError:
        raise FilterError(f"{what}s are a sequence of whole numbers, not {_shown(values)}", code) from None
    return [whole(value, what, code) for value in given]


def described(array: object) -> str:
    """An argument that should be an array, in a few words."""
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


def depth(bit_depth: SupportsIndex) -> int:
    """A bit depth, 8 to 10."""
    bits = whole(bit_depth, "the bit depth", ErrorCode.BIT_DEPTH)
    if not 8 <= bits <= 10:
        refuse(ErrorCode.BIT_DEPTH, f"bit depth {bits}")
    return bits


def samples(plane: Plane, bit_depth: SupportsIndex) -> Plane:
    """The plane as a C-contiguous array in the machine's byte order, every sample in range."""
    bits = depth(bit_depth)
    wanted = f"a {bits}-bit plane must be a {'uint8 or uint16' if bits == 8 else 'uint16'} array [height, width]"
    if not isinstance(plane, np.ndarray):
        raise FilterError(f"{wanted}, not {described(plane)}", ErrorCode.PLANE)
    if plane.ndim != 2 or plane.dtype.kind != "u" or not (bits + 7) // 8 <= plane.dtype.itemsize <= 2:
        raise FilterError(f"{wanted}, not {described(plane)}", ErrorCode.PLANE)
    if not all(1 <= size <= MAX_SIZE for size in plane.shape):
        refuse(ErrorCode.PLANE, f"plane of {plane.shape[1]}x{plane.shape[0]} samples")
    native = np.ascontiguousarray(plane, plane.dtype.newbyteorder("="))
    highest, limit = int(native.max()), (1 << bits) - 1
    if highest > limit:
        message = f"a sample is {highest}, but {bits} bits allow at most {limit}; give the right bit depth"
        raise FilterError(message, ErrorCode.SAMPLE)
    return native


def bytes_of(array: NDArray[np.uint8], shape: tuple[int, ...], highest: int, what: str, code: ErrorCode) -> NDArray[np.uint8]:
    """A uint8 array of a shape with values 0 to ``highest``, C-contiguous."""
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != np.uint8 or int(array.max()) > highest:
        up_to = f" up to {array.max()}" if isinstance(array, np.ndarray) and array.size else ""
        raise FilterError(f"{what} is a uint8 array {shape} of values 0 to {highest}, not {described(array)}{up_to}", code)
    return np.ascontiguousarray(array)
