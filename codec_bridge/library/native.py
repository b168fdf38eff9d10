"""The C library through cffi: model sets, contexts and planes, for the engine, the decider and the conformance suite.

Nothing but this module and its neighbours in this folder sees cffi. Everything that a call refuses is a FilterError.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library._vrcnn import ffi, lib
from codec_bridge.library.errors import ErrorCode, FilterError, check, known
from codec_bridge.library.owner import Owner, Single
from vrcnn_int.integer import Plane
from vrcnn_int.network import KINDS, POSITIONS, SIZES

MAX_SIZE = int(lib.VRCNN_MAX_SIZE)
MAX_THREADS = int(lib.VRCNN_MAX_THREADS)
MAX_CHOICES = int(lib.VRCNN_MAX_CHOICES)


class Weights(NamedTuple):
    """c_h in eighths of each head of a joint network, for luma and for chroma; of a luma network, the output scale."""

    luma: tuple[int, ...]
    chroma: tuple[int, ...]


class Region(NamedTuple):
    """A rectangle of a picture, in samples."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Units:
    """Which networks filter the square units of a picture.

    indices: 1 to MAX_CHOICES networks of the set. choice: uint8 [rows, columns] of units; 0: no network, n: indices[n - 1]. size: of a
    unit, in samples.
    """

    indices: Sequence[int]
    choice: NDArray[np.uint8]
    size: int


PlaneFilter = tuple[int, Sequence[int], Sequence[int]]
"""A network's index, and its weights for luma and for chroma."""


@dataclass(frozen=True)
class PlaneUnits:
    """Which networks filter the square units of a picture of three planes.

    indices, weights: of 1 to MAX_CHOICES filters. luma, chroma: as Units.choice, or None: no unit of these planes has a filter. size: of a
    unit, in luma samples.
    """

    indices: Sequence[int]
    weights: Sequence[Weights]
    luma: NDArray[np.uint8] | None
    chroma: NDArray[np.uint8] | None
    size: int


@dataclass(frozen=True)
class NetworkInfo:
    """One network of a model set.

    qp: nominal QP. position: before_deblocking or after_sao. channels: outputs of each layer, the last one included.
    halo: how many luma samples on each side a filtered sample depends on. kind: luma or joint. size: fast or best. heads: how many
    residuals a joint network gives for each sample.
    """

    qp: int
    position: str
    channels: tuple[int, ...]
    halo: int
    kind: str = "luma"
    size: str = "best"
    heads: int = 1


def kernels() -> list[tuple[str, bool]]:
    """Every kernel by name (auto, scalar, avx2, ...), and whether this build has it and this CPU can run it."""
    listed: list[tuple[str, bool]] = []
    while name := lib.vrcnn_kernel_name(len(listed)):
        listed.append((ffi.string(name).decode("ascii"), bool(lib.vrcnn_kernel_supported(len(listed)))))
    return listed


def kernel_number(name: str) -> int:
    """What the C library calls a kernel. Raises FilterError for an unknown one."""
    names = [listed for listed, _ in kernels()]
    return names.index(known(name, names, "kernel", ErrorCode.KERNEL_UNKNOWN))


def instruction(kernel: str) -> str | None:
    """The instruction whose peak rate a kernel is compared with; None if none is known."""
    name = lib.vrcnn_bench_instruction(kernel_number(kernel))
    return ffi.string(name).decode("ascii") if name else None


def peak(kernel: str, seconds: float) -> float:
    """10^9 multiply-accumulates a second of a kernel's instruction in the calling thread; 0 if there is no such figure."""
    return float(lib.vrcnn_bench_peak(kernel_number(kernel), seconds))


class FilterSingle(Single):
    """Misused, it raises a FilterError."""

    def _misused(self, why: str) -> FilterError:
        return FilterError(why, ErrorCode.ARGUMENT)


class FilterOwner(FilterSingle, Owner):
    """The same of what is closed."""


class Model(FilterSingle):
    """A model set that the C library has read and checked; networks: what it holds, identity: its SHA-256, 64 hex digits.

    data: the bytes of a model set file. source: what messages call it. Threads may share it.
    """

    what = "model set"

    def __init__(self, data: bytes, source: str) -> None:
        self.data, self.source = data, source
        self.handle = _load(data, source)
        digest = ffi.new("uint8_t[]", int(lib.VRCNN_ID_SIZE))
        check(lib.vrcnn_model_id(self.handle, digest), source)
        self.identity = bytes(digest).hex()
        self.networks = tuple(self._network(n) for n in range(lib.vrcnn_model_networks(self.handle)))

    def find(self, qp: int, position: str, kind: str, size: str) -> int:
        """The network of a kind for a QP, of that size if there is one, as vrcnn_model_find chooses it."""
        at_most = 1 << 20  # any int is to reach the library's own check
        words = POSITIONS.index(position), KINDS.index(kind), SIZES.index(size)
        code = lib.vrcnn_model_find(self.handle, *words, max(-at_most, min(qp, at_most)))
        return check(code, self.source, f"QP {qp}, {position}, {kind}")

    def _network(self, index: int) -> NetworkInfo:
        info = ffi.new("VrcnnNetworkInfo *")
        check(lib.vrcnn_model_network_info(self.handle, index, info), self.source)
        kind, size = lib.vrcnn_model_network_kind(self.handle, index), lib.vrcnn_model_network_size(self.handle, index)
        channels, heads = tuple(info.channels[0 : info.layers]), lib.vrcnn_model_network_heads(self.handle, index)
        return NetworkInfo(info.nominal_qp, POSITIONS[info.position], channels, info.halo, KINDS[kind], SIZES[size], heads)


class Context(FilterOwner):
    """A model set ready to filter. kernel and threads: those in use; memory: bytes held. The functions that methods return are calls, too.

    Arrays are C-contiguous, uint8 or uint16 in the machine's byte order, and of the shapes that the C library expects.
    """

    what = "context"

    def __init__(self, model: Model, kernel: str = "auto", threads: int = 1) -> None:
        settings = ffi.new("VrcnnSettings *")
        check(lib.vrcnn_default_settings(settings, ffi.sizeof("VrcnnSettings")), "settings")
        settings.kernel, settings.threads = kernel_number(kernel), threads
        out = ffi.new("VrcnnContext **")
        check(lib.vrcnn_open(out, model.handle, settings), f"kernel {kernel}, threads {threads}")
        self._handle = ffi.gc(out[0], lib.vrcnn_close)
        super().__init__()
        self.kernel, _ = kernels()[lib.vrcnn_context_kernel(self._handle)]
        self.threads = int(lib.vrcnn_context_threads(self._handle))
        self.memory = int(lib.vrcnn_context_memory(self._handle))

    def _free(self) -> None:
        ffi.release(self._handle)

    def call(self, function: Callable[..., int], subject: str, *arguments: Any, before: tuple[Any, ...] = ()) -> None:
        """Call a function of the C library with what stands ``before`` the context, the context, and arguments. subject: for messages."""
        with self._lock:
            self._refuse_closed()
            check(function(*before, self._handle, *arguments), subject)

    def filter_picture(self, out: Plane, plane: Plane, bit_depth: int, index: int, scale: int) -> Callable[[], None]:
        """A function that filters plane into out."""
        dst, src = describe(out, bit_depth), describe_const(plane, bit_depth)

        def call(_alive: tuple[Plane, Plane] = (out, plane)) -> None:
            self.call(lib.vrcnn_filter_picture, "the plane", index, scale, dst, src)

        return call

    def filter_units(self, out: Plane, plane: Plane, bit_depth: int, units: Units, scale: int) -> Callable[[], None]:
        """A function that filters plane into out where a unit has a network; elsewhere out stays as it is."""
        dst, src = describe(out, bit_depth), describe_const(plane, bit_depth)
        choice = np.ascontiguousarray(units.choice)
        fields = units.size, len(units.indices), list(units.indices), scale, ffi.from_buffer("uint8_t[]", choice)
        described = ffi.new("VrcnnUnits *", fields)

        def call(_alive: tuple[Plane, Plane, Plane] = (out, plane, choice)) -> None:
            self.call(lib.vrcnn_filter_units, "the plane", described, dst, src)

        return call

    def filter_region(self, out: Plane, plane: Plane, bit_depth: int, index: int, scale: int, region: Region) -> None:
        """Filter a region of plane into the same place of out, which is as large as plane."""
        dst, src = describe(out, bit_depth), describe_const(plane, bit_depth)
        self.call(lib.vrcnn_filter_region, "the plane", index, scale, dst, src, *region)

    def filter_planes(
        self, out: Sequence[Plane | None], planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, weights: Weights
    ) -> Callable[[], None]:
        """A function that filters planes, luma or luma, Cb and Cr of 4:2:0, into those of out that are not None."""
        dst, src = _three("VrcnnPlane[3]", out, bit_depths), _three("VrcnnConstPlane[3]", planes, bit_depths)
        described = ffi.new("VrcnnWeights *", weights)

        def call(_alive: tuple[Sequence[Plane | None], Sequence[Plane]] = (out, planes)) -> None:
            self.call(lib.vrcnn_filter_planes, "the planes", index, described, dst, src)

        return call

    def filter_planes_region(
        self,
        out: Sequence[Plane | None],
        planes: Sequence[Plane],
        bit_depths: tuple[int, int],
        index: int,
        weights: Weights,
        region: Region,
    ) -> None:
        """Filter a region, in luma samples, of planes into the same place of those of out, which are as large as planes."""
        dst, src = _three("VrcnnPlane[3]", out, bit_depths), _three("VrcnnConstPlane[3]", planes, bit_depths)
        self.call(lib.vrcnn_filter_planes_region, "the planes", index, ffi.new("VrcnnWeights *", weights), dst, src, *region)

    def filter_planes_units(
        self, out: Sequence[Plane | None], planes: Sequence[Plane], bit_depths: tuple[int, int], units: PlaneUnits
    ) -> Callable[[], None]:
        """A function that filters planes into out where a unit has a filter; elsewhere out stays as it is."""
        dst, src = _three("VrcnnPlane[3]", out, bit_depths), _three("VrcnnConstPlane[3]", planes, bit_depths)
        maps = [None if each is None else np.ascontiguousarray(each) for each in (units.luma, units.chroma)]
        rooms = [ffi.NULL if each is None else ffi.from_buffer("uint8_t[]", each) for each in maps]
        described = ffi.new("VrcnnPlaneUnits *", (units.size, len(units.indices), list(units.indices), list(units.weights), *rooms))

        def call(_alive: tuple[object, ...] = (out, planes, maps)) -> None:
            self.call(lib.vrcnn_filter_planes_units, "the planes", described, dst, src)

        return call

    def filter_planes_layer(
        self, out: NDArray[np.uint8], planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, layer: int, region: Region
    ) -> None:
        """Write the outputs of a hidden layer for a region (of sites, if it is joint) into out, uint8 [height, width, channels]."""
        data, src = ffi.from_buffer("uint8_t[]", out), _three("VrcnnConstPlane[3]", planes, bit_depths)
        self.call(lib.vrcnn_filter_planes_layer, f"layer {layer}", index, layer, data, out.strides[0], src, *region)

    def filter_layer(self, out: NDArray[np.uint8], plane: Plane, bit_depth: int, index: int, layer: int, region: Region) -> None:
        """Write the outputs of a hidden layer for a region of plane into out, uint8 [height, width, channels]."""
        data, src = ffi.from_buffer("uint8_t[]", out), describe_const(plane, bit_depth)
        self.call(lib.vrcnn_filter_layer, f"layer {layer}", index, layer, data, out.strides[0], src, *region)


def describe(array: Plane, bit_depth: int) -> Any:
    """A VrcnnPlane of a C-contiguous array, which must outlive it."""
    return ffi.new("VrcnnPlane *", _fields(array, bit_depth))


def describe_const(array: Plane, bit_depth: int) -> Any:
    """A VrcnnConstPlane of a C-contiguous array, which must outlive it."""
    return ffi.new("VrcnnConstPlane *", _fields(array, bit_depth))


def _three(kind: str, planes: Sequence[Plane | None], bit_depths: tuple[int, int]) -> Any:
    """Luma, Cb and Cr of C-contiguous arrays, which must outlive it; those that are not given or None are absent."""
    described = ffi.new(kind)
    for number, plane in enumerate(planes):
        if plane is not None:
            described[number] = _fields(plane, bit_depths[number > 0])
    return described


def _fields(array: Plane, bit_depth: int) -> tuple[Any, ...]:
    height, width = array.shape
    return ffi.cast("void *", array.ctypes.data), array.strides[0], width, height, bit_depth, array.itemsize


def _load(data: bytes, source: str) -> Any:
    """A VrcnnModel that frees itself."""
    out, fault = ffi.new("VrcnnModel **"), ffi.new("VrcnnFault *")
    code = lib.vrcnn_model_load(out, ffi.from_buffer(data), len(data), fault)
    # For people, layers and branches are counted from 1, as in the papers; networks and channels are indices.
    counted = (("network", 0), ("layer", 1), ("branch", 1), ("channel", 0))
    places = [f"{name} {getattr(fault, name) + first}" for name, first in counted if getattr(fault, name) >= 0]
    field = ffi.string(fault.field).decode("ascii")
    check(code, source, ", ".join([*places, f"{field} = {fault.value}"]) if field else "")
    return ffi.gc(out[0], lib.vrcnn_model_free)
