"""What callers may give: numbers, planes and model sets, checked before the C library sees them. Every refusal is a FilterError."""

from collections.abc import Iterable, Sequence
from numbers import Real
from operator import index as whole_number
from pathlib import Path
from typing import Any, SupportsIndex, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codec_bridge.library.errors import ErrorCode, FilterError, refuse
from codec_bridge.library.native import MAX_SIZE, MAX_THREADS, PlaneFilter, Region, Weights
from vrcnn_int.errors import VrcnnError
from vrcnn_int.inputs import MOST_MODEL_BYTES, read_bytes
from vrcnn_int.integer import ModelSet, Plane
from vrcnn_int.models import builtin_path, model_path, set_names
from vrcnn_int.network import BIT_DEPTHS, DEEP
from vrcnn_int.text import counted, plain


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
    return [whole(value, what, code) for value in _listed(values, f"{what}: give a sequence of whole numbers", code)]


def items(values: Iterable[Any], count: int, what: str, code: ErrorCode) -> list[Any]:
    """What a sequence of so many holds. (cffi takes shorter ones, too, and puts zeros where there is nothing.)"""
    given = _listed(values, f"{what}: give {count}", code)
    if len(given) != count:
        raise FilterError(f"{what}: give {count}, not {len(given)}", code)
    return given


def _listed(values: Iterable[Any], wanted: str, code: ErrorCode) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise FilterError(f"{wanted}, not {_shown(values)}", code) from None


def real(value: float, what: str, code: ErrorCode) -> float:
    """A float, or what is a real number to Python, numpy's for example; a truth value is none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise FilterError(f"{what} is a number, not {_shown(value)}", code)
    try:
        return float(value)
    except OverflowError:
        raise FilterError(f"{what} is a number, but not one that large", code) from None


def reals(values: Iterable[float], count: int, what: str, code: ErrorCode) -> list[float]:
    """So many of them."""
    return [real(value, what, code) for value in items(values, count, what, code)]


def truth(value: object, what: str, code: ErrorCode) -> bool:
    """True or False, Python's, numpy's, or as 1 or 0."""
    if not isinstance(value, bool | np.bool_ | int | np.integer) or value not in (0, 1):
        raise FilterError(f"{what} is True or False, not {_shown(value)}", code)
    return bool(value)


def picture_size(width: SupportsIndex, height: SupportsIndex) -> tuple[int, int]:
    """The size of pictures in samples."""
    size = whole(width, "the width", ErrorCode.PLANE), whole(height, "the height", ErrorCode.PLANE)
    if not all(1 <= side <= MAX_SIZE for side in size):
        refuse(ErrorCode.PLANE, f"pictures of {size[0]}x{size[1]} samples")
    return size


def threads_of(threads: SupportsIndex) -> int:
    """How many threads work on a picture."""
    number = whole(threads, "the number of threads", ErrorCode.THREADS)
    if not 1 <= number <= MAX_THREADS:
        refuse(ErrorCode.THREADS, counted(number, "thread"))
    return number


def described(array: object) -> str:
    """An argument that should be an array, in a few words."""
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


def depth(bit_depth: SupportsIndex, deep: bool = False) -> int:
    """A bit depth, 8 to 10. deep: or 12, which joint networks filter."""
    bits = whole(bit_depth, "the bit depth", ErrorCode.BIT_DEPTH)
    if bits not in BIT_DEPTHS or (bits == DEEP and not deep):
        refuse(ErrorCode.BIT_DEPTH, f"bit depth {bits}")
    return bits


def samples(plane: Plane, bit_depth: SupportsIndex, deep: bool = False) -> Plane:
    """The plane as a C-contiguous array in the machine's byte order, every sample in range. deep: as for `depth`."""
    bits = depth(bit_depth, deep)
    if not isinstance(plane, np.ndarray) or plane.ndim != 2 or not _holds(plane.dtype, bits):
        raise _no_plane(bits, described(plane))
    if np.ma.is_masked(plane):
        raise FilterError("a plane has masked samples, which the filter would read: give plane.filled(...)", ErrorCode.PLANE)
    if not all(1 <= size <= MAX_SIZE for size in plane.shape):
        refuse(ErrorCode.PLANE, f"plane of {plane.shape[1]}x{plane.shape[0]} samples")
    native = np.ascontiguousarray(plane, plane.dtype.newbyteorder("="))
    highest, limit = int(native.max()), (1 << bits) - 1
    if highest > limit:
        message = f"a sample is {highest}, but {bits} bits allow at most {limit}; give the right bit depth"
        raise FilterError(message, ErrorCode.SAMPLE)
    return native


def _holds(dtype: np.dtype[Any], bits: int) -> bool:
    """Whether planes of so many bits may have this type."""
    return dtype.kind == "u" and (bits + 7) // 8 <= dtype.itemsize <= 2


def _no_plane(bits: int, given: str) -> FilterError:
    wanted = f"a plane of {bits} bits must be a {'uint8 or uint16' if bits == 8 else 'uint16'} array [height, width]"
    return FilterError(f"{wanted}, not {given}", ErrorCode.PLANE)


def taken(plane: ArrayLike, bit_depth: SupportsIndex, deep: bool = False) -> Plane:
    """A numpy array as it is. Of lists and whatever else numpy takes its array, of whole numbers in range as uint8 (8 bits) or uint16.

    What numpy makes no array of comes back as it is, for `samples` to refuse. deep: as for `depth`.
    """
    bits = depth(bit_depth, deep)
    if isinstance(plane, np.ndarray):
        return plane
    try:
        array = np.asarray(plane)
    except (ValueError, TypeError, OverflowError, RuntimeError, BufferError):  # ragged lists; what others' __array__ raises
        return cast(Plane, plane)
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "iu":
        raise _no_plane(bits, f"{described(plane)} of {array.dtype} {array.shape}")
    lowest, highest, limit = int(array.min()), int(array.max()), (1 << bits) - 1
    if lowest < 0 or highest > limit:
        wrong = lowest if lowest < 0 else highest
        raise FilterError(f"a sample is {wrong}, but {bits} bits allow 0 to {limit}; give the right bit depth", ErrorCode.SAMPLE)
    return array if _holds(array.dtype, bits) else array.astype(np.uint8 if bits == 8 else np.uint16)


def all_taken(planes: Sequence[ArrayLike], bit_depths: Iterable[SupportsIndex]) -> Sequence[Plane]:
    """Each of a picture's planes, luma 8 to 10 or 12 bits and chroma likewise; what is no such picture comes back as it is."""
    if not isinstance(planes, Sequence) or len(planes) not in (1, 3) or all(isinstance(plane, np.ndarray) for plane in planes):
        return cast(Sequence[Plane], planes)
    depths = wholes(bit_depths, "a bit depth", ErrorCode.BIT_DEPTH)
    if len(depths) != 2:
        return cast(Sequence[Plane], planes)
    return [taken(plane, depths[number > 0], depths[0] == DEEP) for number, plane in enumerate(planes)]


def planes_of(
    planes: Sequence[Plane], bit_depths: Iterable[SupportsIndex], deep: bool = False
) -> tuple[tuple[Plane, ...], tuple[int, int]]:
    """Luma, or luma, Cb and Cr of 4:2:0, as C-contiguous arrays in the machine's byte order, every sample in range; both bit depths.

    deep: as for `depth`, of luma, and of chroma where luma has it.
    """
    if not isinstance(planes, Sequence) or len(planes) not in (1, 3):
        given = f"{len(planes)} planes" if isinstance(planes, Sequence) else described(planes)
        raise FilterError(f"a picture has its luma plane, or luma, Cb and Cr of 4:2:0, not {given}", ErrorCode.PLANE)
    depths = wholes(bit_depths, "a bit depth", ErrorCode.BIT_DEPTH)
    if len(depths) != 2:
        raise FilterError(f"there are bit depths of luma and of chroma, two, not {len(depths)}", ErrorCode.BIT_DEPTH)
    checked = tuple(samples(plane, depths[number > 0], deep and depths[0] == DEEP) for number, plane in enumerate(planes))
    half = tuple((side + 1) // 2 for side in checked[0].shape)
    if any(plane.shape != half for plane in checked[1:]):
        raise FilterError(f"the chroma planes of {checked[0].shape} luma samples in 4:2:0 are {half}, both", ErrorCode.PLANE)
    return checked, (depths[0], depths[1])


def pictures_in(planes: Sequence[Plane]) -> int:
    """How many pictures planes of three dimensions hold; 0: they are one picture's, or no such planes. All have as many, or none."""
    if not isinstance(planes, Sequence):
        return 0
    counts = {len(plane) if isinstance(plane, np.ndarray) and plane.ndim == 3 else 0 for plane in planes}
    if len(counts) > 1:
        given = ", ".join(described(plane) for plane in planes)
        raise FilterError(f"of several pictures each plane is [pictures, height, width], with as many in all, not {given}", ErrorCode.PLANE)
    return counts.pop() if counts else 0


def bytes_of(array: NDArray[np.uint8], shape: tuple[int, ...], highest: int, what: str, code: ErrorCode) -> NDArray[np.uint8]:
    """A uint8 array of a shape with values 0 to ``highest``, C-contiguous."""
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != np.uint8 or int(array.max()) > highest:
        up_to = f" up to {array.max()}" if isinstance(array, np.ndarray) and array.size else ""
        raise FilterError(f"{what} is a uint8 array {shape} of values 0 to {highest}, not {described(array)}{up_to}", code)
    return np.ascontiguousarray(array)


def weights_of(luma: Sequence[int], chroma: Sequence[int], heads: int) -> Weights:
    """c_h of each head of a network, for luma and for chroma: 1 to 10 if it has one head, -5 to 10 if it has two."""
    weights = Weights(*(tuple(wholes(given, "a weight", ErrorCode.SCALE)) for given in (luma, chroma)))
    for values in weights:
        if len(values) != heads or not all((-5 if heads > 1 else 1) <= value <= 10 for value in values):
            refuse(ErrorCode.SCALE, f"weights {values} of {heads} head{'s' * (heads > 1)}")
    return weights


def filters_of(filters: Iterable[PlaneFilter]) -> list[PlaneFilter]:
    """Networks with their weights, each a triple; what is in it is yet to be checked."""
    given = _listed(filters, "filters: give a sequence of (index, luma weights, chroma weights)", ErrorCode.UNITS)
    triples = [items(one, 3, "index, luma weights and chroma weights of a filter", ErrorCode.UNITS) for one in given]
    return [(index, luma, chroma) for index, luma, chroma in triples]


def scale_of(scale: SupportsIndex) -> int:
    """An output scale, 1 to 10."""
    number = whole(scale, "the scale", ErrorCode.SCALE)
    if not 1 <= number <= 10:
        refuse(ErrorCode.SCALE, f"scale {number}")
    return number


def inside(region: Region, plane: Plane) -> Region:
    """A region that lies within a plane."""
    x, y, width, height = wholes(region, "a place in the picture", ErrorCode.REGION)
    rows, columns = plane.shape
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > columns or y + height > rows:
        where = f"region of {width}x{height} samples at ({x}, {y})"
        refuse(ErrorCode.REGION, where, advice=f"the picture has {columns}x{rows} samples")
    return Region(x, y, width, height)


def shipped_with(position: str, kind: str | None) -> list[str]:
    """The names of the shipped sets with networks for a position, of a kind if one is given."""
    sets = {name: ModelSet.load(builtin_path(name)).networks for name in set_names()}
    return [name for name, found in sets.items() if any(each.position == position and kind in (None, each.kind) for each in found)]


def read_model(model: str | Path | bytes | ModelSet | None) -> tuple[bytes, str]:
    """The bytes of a model set (None: vrcnn_intra) and what to call it in messages. Text: a name or path."""
    if isinstance(model, str):
        try:
            model = model_path(model)
        except VrcnnError as error:
            raise FilterError(str(error), ErrorCode.FILE) from None
    if model is None:
        model = builtin_path()
    if isinstance(model, ModelSet):
        return model.to_bytes(), "model set"
    if isinstance(model, bytes | bytearray | memoryview):
        return bytes(model), "model"
    if not isinstance(model, Path):
        wanted = "None, a path, the bytes of a model set file or a ModelSet"
        raise FilterError(f"a model is {wanted}, not {type(model).__name__}", ErrorCode.ARGUMENT)
    try:
        return read_bytes(model, MOST_MODEL_BYTES), str(model)
    except OSError as error:
        raise FilterError(f"cannot read model {plain(str(model))}: {error.strerror or error}", ErrorCode.FILE) from None
