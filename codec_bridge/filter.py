"""Filter: the C library for numpy arrays. Neither torch nor training code is imported here."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library._vrcnn import ffi, lib
from codec_bridge.library.cuda import LEGACY_STREAM, Cuda
from codec_bridge.video.picture import Picture
from vrcnn_int import integer
from vrcnn_int.errors import VrcnnError
from vrcnn_int.models import builtin_path
from vrcnn_int.network import POSITIONS

Plane = NDArray[Any]  # uint8 or uint16, two dimensions

BACKENDS = ("c", "oracle", "cuda")
TRAINED_SCALE = int(lib.VRCNN_SCALE_TRAINED)


class FilterError(VrcnnError):
    """A filter cannot be made or cannot filter this. There is one subclass for each error of the C library, and SampleError."""

    advice = ""


class CallError(FilterError):
    """VRCNN_ERROR_ARGUMENT. Also raised for a filter that is closed."""


class OutOfMemoryError(FilterError):
    """VRCNN_ERROR_MEMORY."""

    advice = "close other filters, or use a machine with more memory"


class TruncatedModelError(FilterError):
    """VRCNN_ERROR_TRUNCATED."""

    advice = "copy or export the file again"


class NotAModelError(FilterError):
    """VRCNN_ERROR_NOT_A_MODEL."""

    advice = "give a .vrcnn file, as vrcnn-int export writes it"


class ModelVersionError(FilterError):
    """VRCNN_ERROR_VERSION."""

    advice = "update vrcnn-int, or export the model again with this version"


class ModelSizeError(FilterError):
    """VRCNN_ERROR_SIZE."""

    advice = "copy or export the file again"


class ModelChecksumError(FilterError):
    """VRCNN_ERROR_CHECKSUM."""

    advice = "copy or export the file again"


class ModelLimitError(FilterError):
    """VRCNN_ERROR_LIMIT. The message names network (from 0), layer and branch (from 1) and value."""

    advice = "see c/SPECIFICATION.md, section 3, and export the model again"


class ModelOverflowError(FilterError):
    """VRCNN_ERROR_OVERFLOW. The message names network and channel (from 0), layer and branch (from 1) and value."""

    advice = "quantize the network again; vrcnn-int export runs the same proof"


class PositionError(FilterError):
    """VRCNN_ERROR_POSITION."""

    advice = "use a model set that has networks for it, or name the network by its index"


class QpError(FilterError):
    """VRCNN_ERROR_QP."""

    advice = "give the QP of the slices, or name the network by its index"


class UnknownKernelError(FilterError):
    """VRCNN_ERROR_KERNEL_UNKNOWN."""


class UnsupportedKernelError(FilterError):
    """VRCNN_ERROR_KERNEL_UNSUPPORTED."""

    advice = "use auto, or one that `codec-bridge bench` lists"


class NetworkIndexError(FilterError):
    """VRCNN_ERROR_INDEX."""


class LayerError(FilterError):
    """VRCNN_ERROR_LAYER."""


class ScaleError(FilterError):
    """VRCNN_ERROR_SCALE."""

    advice = f"{TRAINED_SCALE} leaves the residual as trained"


class BitDepthError(FilterError):
    """VRCNN_ERROR_BIT_DEPTH."""

    advice = "pictures of other bit depths are not filtered"


class PlaneError(FilterError):
    """VRCNN_ERROR_PLANE. Also raised for an array of another dtype or number of dimensions."""

    advice = f"a plane has 1 to {int(lib.VRCNN_MAX_SIZE)} samples in each direction"


class RegionError(FilterError):
    """VRCNN_ERROR_REGION."""


class OverlapError(FilterError):
    """VRCNN_ERROR_OVERLAP: the array for the results shares memory with what is filtered."""


class RefusedKernelError(FilterError):
    """VRCNN_ERROR_KERNEL_REFUSED."""

    advice = "use auto, which takes the next best kernel, or allow the process AMX"


class ThreadsError(FilterError):
    """VRCNN_ERROR_THREADS."""

    advice = f"give 1 to {int(lib.VRCNN_MAX_THREADS)}"


class UnitsError(FilterError):
    """VRCNN_ERROR_UNITS. Also raised for a map of another shape than the picture needs."""

    advice = f"units are 64, 128, 256 or 512 samples wide and choose among at most {int(lib.VRCNN_MAX_CHOICES)} networks"


class ForeignSideinfoError(FilterError):
    """VRCNN_ERROR_SIDEINFO_FOREIGN."""


class SideinfoVersionError(FilterError):
    """VRCNN_ERROR_SIDEINFO_VERSION."""

    advice = "update vrcnn-int"


class TruncatedSideinfoError(FilterError):
    """VRCNN_ERROR_SIDEINFO_TRUNCATED."""


class SideinfoSyntaxError(FilterError):
    """VRCNN_ERROR_SIDEINFO_SYNTAX."""


class SideinfoSpaceError(FilterError):
    """VRCNN_ERROR_SIDEINFO_SPACE."""

    advice = "use larger units"


class SampleError(FilterError):
    """A sample is larger than the bit depth allows. The C library would clip it; here it is taken for a mistake."""


_ERRORS: dict[int, type[FilterError]] = {
    lib.VRCNN_ERROR_ARGUMENT: CallError,
    lib.VRCNN_ERROR_MEMORY: OutOfMemoryError,
    lib.VRCNN_ERROR_TRUNCATED: TruncatedModelError,
    lib.VRCNN_ERROR_NOT_A_MODEL: NotAModelError,
    lib.VRCNN_ERROR_VERSION: ModelVersionError,
    lib.VRCNN_ERROR_SIZE: ModelSizeError,
    lib.VRCNN_ERROR_CHECKSUM: ModelChecksumError,
    lib.VRCNN_ERROR_LIMIT: ModelLimitError,
    lib.VRCNN_ERROR_OVERFLOW: ModelOverflowError,
    lib.VRCNN_ERROR_POSITION: PositionError,
    lib.VRCNN_ERROR_QP: QpError,
    lib.VRCNN_ERROR_KERNEL_UNKNOWN: UnknownKernelError,
    lib.VRCNN_ERROR_KERNEL_UNSUPPORTED: UnsupportedKernelError,
    lib.VRCNN_ERROR_INDEX: NetworkIndexError,
    lib.VRCNN_ERROR_LAYER: LayerError,
    lib.VRCNN_ERROR_SCALE: ScaleError,
    lib.VRCNN_ERROR_BIT_DEPTH: BitDepthError,
    lib.VRCNN_ERROR_PLANE: PlaneError,
    lib.VRCNN_ERROR_REGION: RegionError,
    lib.VRCNN_ERROR_OVERLAP: OverlapError,
    lib.VRCNN_ERROR_KERNEL_REFUSED: RefusedKernelError,
    lib.VRCNN_ERROR_THREADS: ThreadsError,
    lib.VRCNN_ERROR_UNITS: UnitsError,
    lib.VRCNN_ERROR_SIDEINFO_FOREIGN: ForeignSideinfoError,
    lib.VRCNN_ERROR_SIDEINFO_VERSION: SideinfoVersionError,
    lib.VRCNN_ERROR_SIDEINFO_TRUNCATED: TruncatedSideinfoError,
    lib.VRCNN_ERROR_SIDEINFO_SYNTAX: SideinfoSyntaxError,
    lib.VRCNN_ERROR_SIDEINFO_SPACE: SideinfoSpaceError,
}


def _check(code: int, subject: str, detail: str = "", advice: str = "") -> int:
    """Return a code that is no error; raise the class for one that is: subject: what is wrong (detail); what to do."""
    if code >= 0:
        return code
    kind = _ERRORS.get(code, FilterError)
    message = f"{subject}: {ffi.string(lib.vrcnn_strerror(code)).decode('ascii')}"
    if detail:
        message += f" ({detail})"
    if advice or kind.advice:
        message += f"; {advice or kind.advice}"
    raise kind(message)


def kernels() -> list[tuple[str, bool]]:
    """Every kernel by name (auto, scalar, avx2, ...), and whether this build has it and this CPU can run it."""
    found: list[tuple[str, bool]] = []
    while name := lib.vrcnn_kernel_name(len(found)):
        found.append((ffi.string(name).decode("ascii"), bool(lib.vrcnn_kernel_supported(len(found)))))
    return found


@dataclass(frozen=True)
class NetworkInfo:
    """One network of a model set.

    qp: nominal QP. position: before_deblocking or after_sao. channels: outputs of each layer, the last one (1) included.
    halo: how many samples on each side a filtered sample depends on.
    """

    qp: int
    position: str
    channels: tuple[int, ...]
    halo: int


class Filter:
    """A model set ready to filter luma planes; also a context manager.

    model: None (the shipped set), a path, the bytes of a model set file, or a ModelSet.
    kernel: auto or a name from kernels(); every kernel gives the same bits.
    backend: "c" (the library), "oracle" (vrcnn_int.integer in numpy: slow, the definition of the bits; no kernel is used) or "cuda" (a
    GPU, with libvrcnn_cuda; kernel and threads have no say). All give the same bits.
    threads: how many work on a picture, 1..64; any number gives the same bits.
    identity: SHA-256 of the set, 64 hex digits. kernel: the kernel in use. networks: what the set holds. memory: bytes that the library
    holds for filtering, weights and all threads' buffers; for cuda, the GPU's memory at the start.
    Threads of the caller may share a filter, one call runs at a time; a filter for each thread runs in parallel (the GIL is released).
    Raises a FilterError for a model, kernel or backend that cannot be used; with cuda, all methods may raise CudaError.
    """

    def __init__(
        self,
        model: str | Path | bytes | integer.ModelSet | None = None,
        kernel: str = "auto",
        backend: str = "c",
        threads: int = 1,
    ) -> None:
        if backend not in BACKENDS:
            raise FilterError(f"backend {backend!r} is not known; use one of {', '.join(BACKENDS)}")
        names = [name for name, _ in kernels()]
        if kernel not in names:
            raise UnknownKernelError(f"kernel {kernel!r} is not known; use one of {', '.join(names)}")
        data, source = _read_model(builtin_path() if model is None and backend != "c" else model)
        self._model = _load(data, source)
        self._source = source
        self._oracle = integer.ModelSet.from_bytes(data, source) if backend == "oracle" and data is not None else None
        self._cuda = Cuda(data) if backend == "cuda" else None
        self._lock = threading.Lock()

        settings = ffi.new("VrcnnSettings *")
        _check(lib.vrcnn_default_settings(settings, ffi.sizeof("VrcnnSettings")), "settings")
        settings.kernel = names.index(kernel)
        if not 1 <= threads <= lib.VRCNN_MAX_THREADS:
            _check(lib.VRCNN_ERROR_THREADS, f"{threads} threads")
        settings.threads = threads
        out = ffi.new("VrcnnContext **")
        _check(lib.vrcnn_open(out, self._model, settings), f"kernel {kernel}, threads {threads}")
        self._context = ffi.gc(out[0], lib.vrcnn_close)
        self.threads = int(lib.vrcnn_context_threads(self._context))
        self.memory = self._cuda.memory if self._cuda else int(lib.vrcnn_context_memory(self._context))

        digest = ffi.new("uint8_t[]", int(lib.VRCNN_ID_SIZE))
        _check(lib.vrcnn_model_id(self._model, digest), source)
        self.identity: str = bytes(digest).hex()
        self.kernel: str = names[lib.vrcnn_context_kernel(self._context)] if backend == "c" else backend
        self.networks = tuple(self._network_info(n) for n in range(lib.vrcnn_model_networks(self._model)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back now. Filtering afterwards raises CallError; closing twice is allowed."""
        with self._lock:
            if self._context is not None:
                ffi.release(self._context)
                self._context = None
            if self._cuda is not None:
                self._cuda.close()

    def index_for_qp(self, qp: int, position: str = "before_deblocking") -> int:
        """The network that an encoder uses for a QP (-12..51) by default: the nearest nominal QP, the lowest index on ties.

        Raises QpError, PositionError.
        """
        if position not in POSITIONS:
            raise PositionError(f"position {position!r} is not known; use one of {', '.join(POSITIONS)}")
        at_most = 1 << 20  # any int is to reach the library's own check
        clipped = max(-at_most, min(qp, at_most))
        code = lib.vrcnn_model_index_for_qp(self._model, POSITIONS.index(position), clipped)
        return _check(code, self._source, f"QP {qp}, {position}")

    def filter_plane(self, plane: Plane, bit_depth: int, index: int, scale: int = TRAINED_SCALE) -> Plane:
        """The filtered luma plane, a new array of the same shape and dtype.

        plane: [height, width], uint8 (8 bits) or uint16 (8 to 10 bits), values 0..2^bit_depth - 1. index: of the network in the
        set. scale: the output scale, 1..10. Raises BitDepthError, PlaneError, SampleError, NetworkIndexError, ScaleError.
        """
        height, width = plane.shape if plane.ndim == 2 else (0, 0)
        return self._filter(plane, bit_depth, index, scale, (0, 0, width, height))

    def filter_region(
        self, plane: Plane, bit_depth: int, index: int, x: int, y: int, width: int, height: int, scale: int = TRAINED_SCALE
    ) -> Plane:
        """The filtered samples of a region, a new array [height, width]: the bits that the whole plane would give there.

        plane is the whole picture's; the rest as for filter_plane. Also raises RegionError.
        """
        return self._filter(plane, bit_depth, index, scale, (x, y, width, height))

    def filter_units(
        self,
        plane: Plane,
        bit_depth: int,
        indices: Sequence[int],
        units: NDArray[np.uint8],
        unit_size: int,
        scale: int = TRAINED_SCALE,
        background: Plane | None = None,
    ) -> Plane:
        """The plane with each square unit filtered by its own network or by none, a new array of the plane's shape and dtype.

        indices: one to three networks of the set. units: [ceil(height / unit_size), ceil(width / unit_size)], uint8; 0: no network,
        n: indices[n - 1]. unit_size: 64, 128, 256 or 512 samples. background: an array like plane with what units without a network
        show; None: the plane's own samples. Raises as filter_plane does, and UnitsError.
        """
        samples = self._samples(plane, bit_depth)
        described = self._units(samples, indices, units, unit_size, scale)
        if background is not None and (background.shape != plane.shape or background.dtype != plane.dtype):
            raise PlaneError(f"the background is like the plane, {plane.dtype} {plane.shape}, not {background.dtype} {background.shape}")
        filtered = samples.copy() if background is None else self._samples(background, bit_depth).copy()
        with self._lock:
            self._check_open()
            if self._oracle is not None or self._cuda is not None:
                chosen = units.repeat(unit_size, 0).repeat(unit_size, 1)[: samples.shape[0], : samples.shape[1]]
                for n, index in enumerate(indices, 1):
                    filtered = np.where(chosen == n, self._whole(samples, bit_depth, index, scale), filtered)
                return filtered
            dst = _plane(filtered, bit_depth, "VrcnnPlane *")
            _check(lib.vrcnn_filter_units(self._context, described[0], dst, _plane(samples, bit_depth)), "the unit map")
        return filtered

    def prepare(
        self,
        plane: Plane,
        out: Plane,
        bit_depth: int,
        index: int,
        units: tuple[Sequence[int], NDArray[np.uint8], int] | None = None,
        scale: int = TRAINED_SCALE,
    ) -> Callable[[], None]:
        """A function that filters plane into out whenever it is called, as fast as the library can: everything is checked here, once.

        plane as for filter_plane, C-contiguous; its samples may change between calls. out: an array like plane, apart from it. units:
        indices, map and unit size as for filter_units, instead of index; where a unit has no network, out stays as it is. Raises as these
        do, and CallError for the oracle.
        """
        in_place = self._samples(plane, bit_depth).ctypes.data == plane.ctypes.data
        if not in_place or out.shape != plane.shape or out.dtype != plane.dtype or not (out.flags.c_contiguous and out.flags.writeable):
            raise PlaneError("plane and out must be C-contiguous arrays of the same shape and dtype")
        if self._oracle is not None or self._cuda is not None:
            raise CallError("only the C library filters in place of a given array")
        self._network(index)
        if not 1 <= scale <= 10:
            _check(lib.VRCNN_ERROR_SCALE, f"scale {scale}")
        described = None if units is None else self._units(plane, *units, scale)

        def call() -> None:
            with self._lock:
                self._check_open()
                dst, src = _plane(out, bit_depth, "VrcnnPlane *"), _plane(plane, bit_depth)
                if described is None:
                    code = lib.vrcnn_filter_picture(self._context, index, scale, dst, src)
                else:
                    code = lib.vrcnn_filter_units(self._context, described[0], dst, src)
                _check(code, "the plane")

        return call

    def filter_on_device(
        self, out: Any, planes: Any, bit_depth: int, index: int, scale: int = TRAINED_SCALE, stream: int = LEGACY_STREAM
    ) -> None:
        """Filter what lies on the GPU into out, without copies; backend cuda only.

        planes, out: uint8 (8 bits) or uint16 (8 to 10 bits) arrays of one shape, [height, width] or [pictures, height, width], with
        __cuda_array_interface__ or __dlpack__ (PyTorch, CuPy, ...); a sample beyond the bit depth is clipped. stream: handle of the CUDA
        stream to work in, 1: the default one. Returns when the work is in the stream; both arrays must stay until it is done. Raises
        BitDepthError, NetworkIndexError, ScaleError, CudaError, and CallError for another backend.
        """
        if self._cuda is None:
            raise CallError("only the cuda backend filters arrays on a GPU")
        if not 8 <= bit_depth <= 10:
            _check(lib.VRCNN_ERROR_BIT_DEPTH, f"bit depth {bit_depth}")
        self._network(index)
        if not 1 <= scale <= 10:
            _check(lib.VRCNN_ERROR_SCALE, f"scale {scale}")
        with self._lock:
            self._check_open()
            self._cuda.filter_device(out, planes, bit_depth, index, scale, stream)

    def filter_picture(
        self,
        picture: Picture,
        qp: int | None = None,
        index: int | None = None,
        scale: int = TRAINED_SCALE,
        position: str = "before_deblocking",
    ) -> Picture:
        """The picture with filtered luma; chroma is passed through. The network: by QP and position, or by index.

        Raises as filter_plane and index_for_qp do, and CallError unless exactly one of qp and index is given.
        """
        if (qp is None) == (index is None):
            raise CallError("name the network by its QP or by its index, one of the two")
        if index is None and qp is not None:
            index = self.index_for_qp(qp, position)
        assert index is not None
        return picture.with_luma(self.filter_plane(picture.planes[0], picture.bit_depth, index, scale))

    def layer(
        self,
        plane: Plane,
        bit_depth: int,
        index: int,
        layer: int,
        x: int = 0,
        y: int = 0,
        width: int | None = None,
        height: int | None = None,
    ) -> NDArray[np.uint8]:
        """The outputs 0..127 of a hidden layer (counted from 0) for a region, by default the whole plane: [channels, height, width].

        Raises as filter_region does, and LayerError.
        """
        samples = self._samples(plane, bit_depth)
        network = self._network(index)
        region = (x, y, samples.shape[1] - x if width is None else width, samples.shape[0] - y if height is None else height)
        hidden = len(network.channels) - 1
        if not 0 <= layer < hidden:
            _check(lib.VRCNN_ERROR_LAYER, f"layer {layer}", advice=f"network {index} has hidden layers 0 to {hidden - 1}")
        self._check_region(region, samples)
        left, top, across, down = region
        with self._lock:
            self._check_open()
            if self._cuda is not None:
                raise CallError("the cuda backend does not show hidden layers; use another one for that")
            if self._oracle is not None:
                values = integer.layer_outputs(self._oracle.networks[index], samples, bit_depth)[layer]
                return values[:, top : top + down, left : left + across].astype(np.uint8)
            out = np.empty((down, across, network.channels[layer]), np.uint8)
            code = lib.vrcnn_filter_layer(
                self._context, index, layer, ffi.from_buffer("uint8_t[]", out), out.strides[0], _plane(samples, bit_depth), *region
            )
            _check(code, f"layer {layer}")
        return np.ascontiguousarray(out.transpose(2, 0, 1))

    def _units(
        self, samples: Plane, indices: Sequence[int], units: NDArray[np.uint8], unit_size: int, scale: int
    ) -> tuple[Any, NDArray[np.uint8]]:
        """A description of a unit map for the C library, checked, and the array that must outlive it."""
        for index in indices:
            self._network(index)
        if not 1 <= scale <= 10:
            _check(lib.VRCNN_ERROR_SCALE, f"scale {scale}")
        if unit_size not in (64, 128, 256, 512) or not 1 <= len(indices) <= lib.VRCNN_MAX_CHOICES:
            _check(lib.VRCNN_ERROR_UNITS, f"units of {unit_size} samples, {len(indices)} networks")
        wanted = tuple(-(-size // unit_size) for size in samples.shape)
        if units.shape != wanted or units.dtype != np.uint8 or int(units.max()) > len(indices):
            choices = f"0 to {len(indices)}"
            raise UnitsError(f"the map is a uint8 array {wanted} of values {choices}, not {units.dtype} {units.shape} up to {units.max()}")
        raster = np.ascontiguousarray(units)
        data = ffi.from_buffer("uint8_t[]", raster)
        return ffi.new("VrcnnUnits *", (unit_size, len(indices), list(indices), scale, data)), raster

    def _filter(self, plane: Plane, bit_depth: int, index: int, scale: int, region: tuple[int, int, int, int]) -> Plane:
        samples = self._samples(plane, bit_depth)
        self._network(index)
        if not 1 <= scale <= 10:
            _check(lib.VRCNN_ERROR_SCALE, f"scale {scale}")
        self._check_region(region, samples)
        x, y, width, height = region
        with self._lock:
            self._check_open()
            if self._oracle is not None:
                filtered = self._whole(samples, bit_depth, index, scale)
            elif self._cuda is not None:  # what lies beyond the halo has no say
                halo = self.networks[index].halo
                left, top = max(0, x - halo), max(0, y - halo)
                part = np.ascontiguousarray(samples[top : y + height + halo, left : x + width + halo])
                return self._whole(part, bit_depth, index, scale)[y - top :, x - left :][:height, :width].copy()
            else:
                filtered = np.empty_like(samples)
                dst = _plane(filtered, bit_depth, "VrcnnPlane *")
                code = lib.vrcnn_filter_region(self._context, index, scale, dst, _plane(samples, bit_depth), *region)
                _check(code, "the plane")
        return filtered if (height, width) == samples.shape else filtered[y : y + height, x : x + width].copy()

    def _whole(self, samples: Plane, bit_depth: int, index: int, scale: int) -> Plane:
        """The filtered plane where it is not the C library that filters; the lock is held, everything is checked."""
        if self._oracle is not None:
            return integer.filter_plane(self._oracle.networks[index], samples, bit_depth, scale)
        assert self._cuda is not None
        filtered = np.empty_like(samples)
        self._cuda.filter_host([filtered], [samples], bit_depth, index, scale)
        return filtered

    def _network_info(self, index: int) -> NetworkInfo:
        info = ffi.new("VrcnnNetworkInfo *")
        _check(lib.vrcnn_model_network_info(self._model, index, info), self._source)
        return NetworkInfo(info.nominal_qp, POSITIONS[info.position], tuple(info.channels[0 : info.layers]), info.halo)

    def _network(self, index: int) -> NetworkInfo:
        if not 0 <= index < len(self.networks):
            _check(lib.VRCNN_ERROR_INDEX, f"network {index}", advice=f"it has networks 0 to {len(self.networks) - 1}")
        return self.networks[index]

    def _check_open(self) -> None:
        if self._context is None:
            raise CallError("the filter is closed; make a new one")

    @staticmethod
    def _samples(plane: Plane, bit_depth: int) -> Plane:
        """The plane as a C-contiguous array in the machine's byte order, every sample in range."""
        if not 8 <= bit_depth <= 10:
            _check(lib.VRCNN_ERROR_BIT_DEPTH, f"bit depth {bit_depth}")
        if plane.ndim != 2 or plane.dtype.kind != "u" or plane.dtype.itemsize > 2 or plane.dtype.itemsize < (bit_depth + 7) // 8:
            wanted = "uint8 or uint16" if bit_depth == 8 else "uint16"
            raise PlaneError(f"a {bit_depth}-bit plane must be a {wanted} array [height, width], not {plane.dtype} {plane.shape}")
        if not all(1 <= size <= lib.VRCNN_MAX_SIZE for size in plane.shape):
            _check(lib.VRCNN_ERROR_PLANE, f"plane of {plane.shape[1]}x{plane.shape[0]} samples")
        samples = np.ascontiguousarray(plane, plane.dtype.newbyteorder("="))
        highest = int(samples.max())
        if highest >= 1 << bit_depth:
            limit = (1 << bit_depth) - 1
            raise SampleError(f"a sample is {highest}, but {bit_depth} bits allow at most {limit}; give the right bit depth")
        return samples

    @staticmethod
    def _check_region(region: tuple[int, int, int, int], samples: Plane) -> None:
        x, y, width, height = region
        rows, columns = samples.shape
        if x < 0 or y < 0 or width < 1 or height < 1 or x + width > columns or y + height > rows:
            where = f"region of {width}x{height} samples at ({x}, {y})"
            _check(lib.VRCNN_ERROR_REGION, where, advice=f"the picture has {columns}x{rows} samples")


def _plane(samples: Plane, bit_depth: int, kind: str = "VrcnnConstPlane *") -> Any:
    """A description of a contiguous array for the C library; the array must outlive it."""
    data = ffi.cast("void *", samples.ctypes.data)
    height, width = samples.shape
    return ffi.new(kind, (data, samples.strides[0], width, height, bit_depth, samples.itemsize))


def _read_model(model: str | Path | bytes | integer.ModelSet | None) -> tuple[bytes | None, str]:
    """The bytes of a model set (None: the one built into the library) and what to call it in messages."""
    if model is None:
        return None, "shipped model set"
    if isinstance(model, integer.ModelSet):
        return model.to_bytes(), "model set"
    if isinstance(model, bytes):
        return model, "model"
    try:
        return Path(model).read_bytes(), str(model)
    except OSError as error:
        raise FilterError(f"cannot read model {model}: {error.strerror or error}") from None


def _load(data: bytes | None, source: str) -> Any:
    """A VrcnnModel that frees itself."""
    out, fault = ffi.new("VrcnnModel **"), ffi.new("VrcnnFault *")
    detail = ""
    if data is None:
        code = lib.vrcnn_model_builtin(out, lib.VRCNN_BEFORE_DEBLOCKING)
    else:
        code = lib.vrcnn_model_load(out, ffi.from_buffer(data), len(data), fault)
        # For people, layers and branches are counted from 1, as in the papers; networks and channels are indices.
        counted = (("network", 0), ("layer", 1), ("branch", 1), ("channel", 0))
        places = [f"{name} {getattr(fault, name) + first}" for name, first in counted if getattr(fault, name) >= 0]
        if field := ffi.string(fault.field).decode("ascii"):
            detail = ", ".join([*places, f"{field} = {fault.value}"])
    _check(code, source, detail)
    return ffi.gc(out[0], lib.vrcnn_model_free)
