"""libvrcnn_cuda from Python: numpy arrays, and arrays that lie on a GPU already. Needs numpy and the library (``make cuda``).

By ctypes, with structures of its own, since it must run where the C library's extension is not built (codec_bridge.bench.cuda_check).
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from codec_bridge.library.owner import Owner
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import UNIT_SCALE

LIBRARY = "libvrcnn_cuda.so.0"
METHODS = ("auto", "simple", "fused")
LEGACY_STREAM = 1
"""What __dlpack__ and __cuda_array_interface__ call CUDA's default stream."""

_DLPACK_CUDA = 2  # kDLCUDA


class CudaError(VrcnnError):
    """libvrcnn_cuda is not there, finds no GPU that it can use, or refuses a call."""


_ADVICE = {
    -64: "install the NVIDIA driver, or use another backend",
    -65: "install a newer NVIDIA driver",
    -66: "use another backend",
    -69: "close other filters, or filter fewer pictures at once",
}


class _Settings(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("device", ctypes.c_int),
        ("method", ctypes.c_int),
        ("map_size", ctypes.c_size_t),
        ("first_shape", ctypes.c_int),
        ("second_shape", ctypes.c_int),
    )


class _Plane(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("stride", ctypes.c_ssize_t),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("bit_depth", ctypes.c_int),
        ("bytes_per_sample", ctypes.c_int),
    )


class _Weights(ctypes.Structure):
    _fields_ = (("luma", ctypes.c_int * 2), ("chroma", ctypes.c_int * 2))


class _PlaneUnits(ctypes.Structure):
    _fields_ = (
        ("unit_size", ctypes.c_int),
        ("filters", ctypes.c_int),
        ("index", ctypes.c_int * 3),
        ("weights", _Weights * 3),
        ("luma", ctypes.c_char_p),
        ("chroma", ctypes.c_char_p),
    )


@cache
def library() -> ctypes.CDLL:
    """libvrcnn_cuda: what VRCNN_CUDA_LIBRARY names; else the one built here; else the system's. Raises CudaError if there is none."""
    built = Path(__file__).resolve().parents[2] / "c/build/cuda" / LIBRARY
    named = os.environ.get("VRCNN_CUDA_LIBRARY")
    path = named or (str(built) if built.exists() else LIBRARY)
    try:
        found = ctypes.CDLL(path)
    except OSError as error:
        raise CudaError(f"cannot load {path} ({error}); build it with `make cuda`, or name it in VRCNN_CUDA_LIBRARY") from None
    planes = ctypes.POINTER(_Plane)
    call = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, planes, planes, ctypes.c_int]
    declared: dict[str, tuple[Any, list[Any]]] = {
        "default_settings": (ctypes.c_int, [ctypes.POINTER(_Settings), ctypes.c_size_t]),
        "strerror": (ctypes.c_char_p, [ctypes.c_int]),
        "compiler": (ctypes.c_int, []),
        "devices": (ctypes.c_int, []),
        "open": (ctypes.c_int, [ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(_Settings)]),
        "close": (None, [ctypes.c_void_p]),
        "device_name": (ctypes.c_char_p, [ctypes.c_void_p]),
        "capability": (ctypes.c_int, [ctypes.c_void_p]),
        "method": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int]),
        "memory": (ctypes.c_size_t, [ctypes.c_void_p]),
        "filter": (ctypes.c_int, [*call, ctypes.c_void_p]),
        "filter_host": (ctypes.c_int, call),
        "filter_planes_host": (ctypes.c_int, [*call[:2], ctypes.POINTER(_Weights), *call[3:]]),
        "filter_planes_region_host": (ctypes.c_int, [*call[:2], ctypes.POINTER(_Weights), planes, planes, *4 * [ctypes.c_int]]),
        "filter_planes_units_host": (ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(_PlaneUnits), planes, planes]),
        "peak": (ctypes.c_double, [ctypes.c_void_p, ctypes.c_double]),
    }
    for name, (result, arguments) in declared.items():
        function = getattr(found, f"vrcnn_cuda_{name}")
        function.restype, function.argtypes = result, arguments
    return found


class _Found(ctypes.Structure):
    """What dladdr tells."""

    _fields_ = (("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p), ("address", ctypes.c_void_p))


def library_path() -> Path:
    """The file that library() loaded. Raises CudaError if there is none."""
    found = _Found()
    address = ctypes.cast(library().vrcnn_cuda_devices, ctypes.c_void_p)
    if not ctypes.CDLL(None).dladdr(address, ctypes.byref(found)) or not found.file:
        raise CudaError("the system does not tell which file libvrcnn_cuda was loaded from; name it in VRCNN_CUDA_LIBRARY")
    return Path(os.fsdecode(found.file))


def _check(code: int, subject: str) -> int:
    if code >= 0:
        return code
    said = library().vrcnn_cuda_strerror(code).decode("ascii")
    raise CudaError(f"{subject}: {said}" + (f"; {_ADVICE[code]}" if code in _ADVICE else ""))


def devices() -> int:
    """How many GPUs there are. Raises CudaError if there is none, or no library or driver."""
    return _check(library().vrcnn_cuda_devices(), "CUDA")


class _Tensor(ctypes.Structure):
    """What a DLPack capsule begins with."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    )


class _OnDevice:
    """Where the samples of an array on a GPU are: address, shape [..., height, width], strides in bytes, bytes a sample."""

    def __init__(self, array: Any, stream: int, device: int) -> None:
        self.keep: Any = array
        where = array.__dlpack_device__() if hasattr(array, "__dlpack_device__") else None
        # DLPack first: it names the GPU, and makes the stream wait for what the array's library still writes.
        if where is not None and tuple(where) == (_DLPACK_CUDA, device):
            try:
                self.keep = array.__dlpack__(stream=stream)
            except (BufferError, RuntimeError) as error:
                raise CudaError(f"the array cannot be shared: {' '.join(str(error).split())}") from None
            pointer = ctypes.pythonapi.PyCapsule_GetPointer
            pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
            tensor = _Tensor.from_address(pointer(self.keep, b"dltensor"))
            kind, self.item = "u" if tensor.code == 1 and tensor.lanes == 1 else "?", tensor.bits // 8
            self.address, self.read_only = (tensor.data or 0) + tensor.offset, False
            self.shape = tuple(tensor.shape[: tensor.ndim])
            strides = tuple(s * self.item for s in tensor.strides[: tensor.ndim]) if tensor.strides else None
        elif where is not None:
            raise CudaError(f"the array is not on GPU {device} (its DLPack device is {tuple(where)})")
        elif hasattr(array, "__cuda_array_interface__"):
            described = array.__cuda_array_interface__
            kind, self.item = described["typestr"][1], int(described["typestr"][2:])
            self.address, self.read_only = described["data"]
            self.shape = tuple(described["shape"])
            strides = described.get("strides")
            other = described.get("stream")
            if other is not None and other != stream:
                raise CudaError(f"the array is being written in CUDA stream {other}; filter in that stream (stream=...)")
        else:
            raise CudaError(f"a {type(array).__name__} is no array on a GPU: it has neither __cuda_array_interface__ nor __dlpack__")
        if kind != "u" or self.item not in (1, 2) or len(self.shape) not in (2, 3):
            raise CudaError(f"an array on a GPU must be uint8 or uint16, [height, width] or [pictures, height, width], not {self.shape}")
        height, width = self.shape[-2:]
        self.strides = tuple(strides) if strides else (height * width * self.item, width * self.item, self.item)[-len(self.shape) :]
        if self.strides[-1] != self.item and width > 1:
            raise CudaError("the samples of a row of an array on a GPU must lie side by side")

    def planes(self, bit_depth: int) -> Any:
        """A VrcnnPlane for each picture."""
        height, width = self.shape[-2:]
        count = self.shape[0] if len(self.shape) == 3 else 1
        step = self.strides[0] if len(self.shape) == 3 else 0
        described = [_Plane(self.address + i * step, self.strides[-2], width, height, bit_depth, self.item) for i in range(count)]
        return (_Plane * count)(*described)


class Cuda(Owner):
    """A model set on a GPU. Use codec_bridge.filter.Filter(backend="cuda"), which checks what it is given; this is what it calls.

    data: bytes of a model set file; None: the library's own set. device: number of the GPU. method: auto, simple or fused; all give the
    same bits. Threads may share it, one call runs at a time. Raises CudaError.
    """

    what = "GPU's model set"

    def __init__(self, data: bytes | None = None, device: int = 0, method: str = "auto") -> None:
        self._library = library()
        settings, out = _Settings(), ctypes.c_void_p()
        _check(self._library.vrcnn_cuda_default_settings(settings, ctypes.sizeof(settings)), "settings")
        if method not in METHODS:
            raise CudaError(f"method {method!r} is not known; use one of {', '.join(METHODS)}")
        settings.device, settings.method = device, METHODS.index(method)
        _check(self._library.vrcnn_cuda_open(out, data, len(data or b""), settings), f"GPU {device}")
        self._context = out
        super().__init__()
        self.device = device
        self.name: str = self._library.vrcnn_cuda_device_name(out).decode("ascii", "replace")

    def __del__(self) -> None:
        if getattr(self, "_is_open", False):
            self.close()

    def _misused(self, why: str) -> CudaError:
        return CudaError(why)

    def _free(self) -> None:
        self._library.vrcnn_cuda_close(self._context)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self._lock:
            self._refuse_closed()
            return function(self._context, *arguments)

    @property
    def memory(self) -> int:
        """Bytes held on the GPU."""
        return int(self._call(self._library.vrcnn_cuda_memory))

    def filter_host(
        self, out: Sequence[NDArray[Any]], planes: Sequence[NDArray[Any]], bit_depth: int, index: int, scale: int = UNIT_SCALE
    ) -> None:
        """Filter planes (numpy, [height, width], all alike) into the arrays of out; copies to and from the GPU run beside the work."""
        if len(out) != len(planes):
            raise CudaError(f"{len(planes)} planes and {len(out)} arrays for the results")
        described = [_described(arrays, bit_depth) for arrays in (out, planes)]
        _check(self._call(self._library.vrcnn_cuda_filter_host, index, scale, *described, len(planes)), "the planes")

    def filter_planes_host(
        self,
        out: Sequence[NDArray[Any] | None],
        planes: Sequence[NDArray[Any]],
        bit_depths: tuple[int, int],
        index: int,
        weights: tuple[Sequence[int], Sequence[int]],
        region: Sequence[int] | None = None,
    ) -> None:
        """Filter a picture's planes (numpy), luma or luma, Cb and Cr of 4:2:0, into those of out that are not None.

        bit_depths and weights: of luma and of chroma; weights: c_h of each head. region: x, y, width, height in luma samples, all that is
        written; None: the picture.
        """
        described, given = (_three(out, bit_depths), _three(planes, bit_depths)), _weights(weights)
        if region is None:
            code = self._call(self._library.vrcnn_cuda_filter_planes_host, index, given, *described, 1)
        else:
            code = self._call(self._library.vrcnn_cuda_filter_planes_region_host, index, given, *described, *region)
        _check(code, "the planes")

    def filter_units_host(
        self,
        out: Sequence[NDArray[Any] | None],
        planes: Sequence[NDArray[Any]],
        bit_depths: tuple[int, int],
        filters: Sequence[tuple[int, tuple[Sequence[int], Sequence[int]]]],
        maps: tuple[NDArray[Any] | None, NDArray[Any] | None],
        size: int,
    ) -> None:
        """The same in the square units of size luma samples that a map gives a filter. filters: one to three (index, weights). maps: of
        luma and of chroma, uint8 [rows, columns]; 0: none, n: filters[n - 1]."""
        units = _PlaneUnits(unit_size=size, filters=len(filters))
        for number, (index, weights) in enumerate(filters):
            units.index[number], units.weights[number] = index, _weights(weights)
        rooms = [None if each is None else each.tobytes() for each in maps]
        units.luma, units.chroma = rooms
        described = _three(out, bit_depths), _three(planes, bit_depths)
        _check(self._call(self._library.vrcnn_cuda_filter_planes_units_host, units, *described), "the planes")

    def filter_device(
        self, out: Any, planes: Any, bit_depth: int, index: int, scale: int = UNIT_SCALE, stream: int = LEGACY_STREAM
    ) -> None:
        """Filter what lies on the GPU, [height, width] or [pictures, height, width], into out, without copies.

        Both: uint8 or uint16 with __dlpack__ or __cuda_array_interface__ (PyTorch, CuPy, ...), apart from each other. stream: handle of
        the CUDA stream to work in, 0 or 1: the default one. Returns when the work is in the stream; both arrays must stay until it is done.
        """
        self.prepare_device(out, planes, bit_depth, index, scale, stream)()

    def prepare_device(
        self, out: Any, planes: Any, bit_depth: int, index: int, scale: int = UNIT_SCALE, stream: int = LEGACY_STREAM
    ) -> Callable[[], None]:
        """A function that does what filter_device does whenever it is called; the arrays are looked at here, once."""
        stream = stream or LEGACY_STREAM
        to, source = _OnDevice(out, stream, self.device), _OnDevice(planes, stream, self.device)
        if to.read_only:
            raise CudaError("the array for the results is read-only")
        if to.shape != source.shape:
            raise CudaError(f"the array for the results is {to.shape}, the planes are {source.shape}")
        written, read = to.planes(bit_depth), source.planes(bit_depth)
        handle = None if stream == LEGACY_STREAM else stream

        def call(_keep: tuple[_OnDevice, _OnDevice] = (to, source)) -> None:
            _check(self._call(self._library.vrcnn_cuda_filter, index, scale, written, read, len(read), handle), "the planes")

        return call

    def peak(self, milliseconds: float = 20) -> float:
        """10^9 multiply-accumulates a second of the GPU's int8 matrix products, with nothing else to do."""
        rate = float(self._call(self._library.vrcnn_cuda_peak, milliseconds))
        _check(int(rate) if rate < 0 else 0, "the peak")
        return rate


def _described(arrays: Sequence[NDArray[Any]], bit_depth: int) -> Any:
    for array in arrays:
        if array.ndim != 2 or array.dtype.kind != "u" or array.dtype.itemsize > 2 or array.strides[1] != array.itemsize:
            raise CudaError(f"a plane is a uint8 or uint16 array [height, width] with whole rows, not {array.dtype} {array.shape}")
    planes = [_Plane(a.ctypes.data, a.strides[0], a.shape[1], a.shape[0], bit_depth, a.itemsize) for a in arrays]
    return (_Plane * len(planes))(*planes)


def _three(arrays: Sequence[NDArray[Any] | None], bit_depths: tuple[int, int]) -> Any:
    """Luma, Cb and Cr; those that are not there have no data."""
    three = (_Plane * 3)()
    for number, array in enumerate(arrays):
        if array is not None:
            three[number] = _described([array], bit_depths[number > 0])[0]
    return three


def _weights(weights: tuple[Sequence[int], Sequence[int]]) -> _Weights:
    return _Weights(*((ctypes.c_int * 2)(*values) for values in weights))
