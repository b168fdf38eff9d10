"""Filter: the C library for numpy arrays. Needs numpy and cffi; neither torch nor anything of video is imported here."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codec_bridge.library.arrays import (
    all_taken,
    bytes_of,
    depth,
    described,
    filters_of,
    inside,
    items,
    pictures_in,
    planes_of,
    read_model,
    samples,
    scale_of,
    shipped_with,
    taken,
    threads_of,
    weights_of,
    whole,
    wholes,
)
from codec_bridge.library.cuda import LEGACY_STREAM
from codec_bridge.library.engines import ENGINES
from codec_bridge.library.engines.base import Engine
from codec_bridge.library.errors import ErrorCode, FilterError, known, refuse
from codec_bridge.library.native import (
    MAX_CHOICES,
    FilterOwner,
    Model,
    NetworkInfo,
    PlaneFilter,
    PlaneUnits,
    Region,
    Units,
    kernel_number,
    kernels,
)
from codec_bridge.library.pictures import AnyPicture, LumaPicture, PlanarPicture
from vrcnn_int.integer import UNIT_SCALE, ModelSet, Plane
from vrcnn_int.network import KINDS, POSITIONS, SIZES
from vrcnn_int.text import counted

__all__ = ["BACKENDS", "ErrorCode", "Filter", "FilterError", "NetworkInfo", "kernels"]

BACKENDS = tuple(ENGINES)


_UNITS = "indices, map and size of units"


class Filter(FilterOwner):
    """A model set ready to filter luma planes, or with joint networks luma and chroma; also a context manager.

    model: None (the shipped set vrcnn_intra), the name of a shipped set (joint_intra), a path, the bytes of a model set file, or a
    ModelSet.
    kernel: auto or a name from kernels(); every kernel gives the same bits.
    backend: "c" (the library), "oracle" (vrcnn_int.integer in numpy: slow, the definition of the bits; no kernel is used) or "cuda" (a
    GPU, with libvrcnn_cuda; kernel and threads have no say). All give the same bits.
    threads: how many work on a picture, 1..64; any number gives the same bits.
    Numbers are whole: int, or numpy's integers. Arrays are numpy's; any layout and byte order will do, they are only read. Pictures
    and regions of them may be lists, or anything else that numpy takes.
    identity: SHA-256 of the set, 64 hex digits. kernel: the kernel in use. networks: what the set holds. memory: bytes that the library
    holds for filtering, weights and all threads' buffers; for cuda, the GPU's memory at the start; for oracle, 0.
    Threads of the caller may share a filter, one call runs at a time; a filter for each thread runs in parallel (the GIL is released).
    Pickled or copied it is made anew from its arguments, with the set's bytes: in another process, with that machine's kernel for auto.
    Raises a FilterError for a model, kernel or backend that cannot be used; with cuda, all methods may raise CudaError.
    FilterError.code says which refusal it is; the methods name the ErrorCodes that they add to ARGUMENT, the code of a closed filter.
    """

    what = "filter"

    def __init__(
        self,
        model: str | Path | bytes | ModelSet | None = None,
        kernel: str = "auto",
        backend: str = "c",
        threads: int = 1,
    ) -> None:
        known(backend, BACKENDS, "backend", ErrorCode.BACKEND)
        kernel_number(kernel)
        data, described_as = read_model(model)
        self._made_of = None if model is None else data, kernel, backend, threads
        self._model = Model(data, described_as)
        self._engine: Engine = ENGINES[backend](self._model, kernel, threads_of(threads))
        super().__init__()
        self.kernel, self.threads, self.memory = self._engine.kernel, self._engine.threads, self._engine.memory
        self.identity, self.networks = self._model.identity, self._model.networks

    def _free(self) -> None:
        self._engine.close()

    def __reduce__(self) -> tuple[type[Self], tuple[bytes | None, str, str, int]]:  # type: ignore[override]
        """What makes another one. Refused when closed, as all else."""
        self._refuse_closed()
        return type(self), self._made_of

    def index_for_qp(self, qp: int, position: str = "before_deblocking", kind: str | None = None, size: str = "best") -> int:
        """The network that an encoder uses for a QP (-12..51) by default: the nearest nominal QP, the lowest index on ties.

        kind: luma or joint; None: what the set has, luma if it has both. size: fast or best, of which the other one serves where the
        set has none. ErrorCodes: QP, POSITION, ARGUMENT.
        """
        if kind is None:
            kind = "luma" if any(network.kind == "luma" for network in self.networks) else "joint"
        known(position, POSITIONS, "position", ErrorCode.POSITION)
        known(kind, KINDS, "kind", ErrorCode.ARGUMENT)
        known(size, SIZES, "size", ErrorCode.ARGUMENT)
        qp = whole(qp, "the QP", ErrorCode.QP)
        fits = any((network.position, network.kind) == (position, kind) for network in self.networks)
        if not fits and (others := shipped_with(position, kind)):
            detail = f"QP {qp}, {position}, {kind}"
            refuse(ErrorCode.POSITION, self._model.source, detail, f"shipped sets that have such: {', '.join(others)}")
        return self._model.find(qp, position, kind, size)

    def filter_plane(
        self,
        plane: ArrayLike,
        bit_depth: int,
        index: int | None = None,
        scale: int = UNIT_SCALE,
        *,
        qp: int | None = None,
        position: str = "before_deblocking",
        size: str = "best",
    ) -> Plane:
        """The filtered luma plane, a new array of the same shape and dtype.

        plane: [height, width], or [pictures, height, width] for several; uint8 (8 bits) or uint16 (8 to 10 bits), values 0 to
        2^bit_depth - 1; a list or anything else that numpy takes is such an array, of uint8 or, beyond 8 bits, uint16. The network: by
        index in the set, or by qp, position and size as for index_for_qp. scale: the output scale, 1..10. ErrorCodes: BIT_DEPTH, PLANE,
        SAMPLE, INDEX, KIND, SCALE, those of index_for_qp, and ARGUMENT unless exactly one of qp and index is given.
        """
        index = self._named(index, qp, position, "luma", size)
        plane = taken(plane, bit_depth)
        if isinstance(plane, np.ndarray) and plane.ndim == 3 and len(plane):
            return np.stack([self.filter_plane(one, bit_depth, index, scale) for one in plane]).astype(plane.dtype, copy=False)
        checked = samples(plane, bit_depth)
        height, width = checked.shape
        return self._region(plane, checked, bit_depth, index, Region(0, 0, width, height), scale)

    def filter_region(
        self,
        plane: ArrayLike,
        bit_depth: int,
        index: int | None = None,
        x: int = 0,
        y: int = 0,
        width: int | None = None,
        height: int | None = None,
        scale: int = UNIT_SCALE,
        *,
        qp: int | None = None,
        position: str = "before_deblocking",
        size: str = "best",
    ) -> Plane:
        """The filtered samples of a region, a new array [height, width]: the bits that the whole plane would give there.

        plane: the whole picture's, [rows, columns]. x, y, width, height: the region in samples; None: up to the edge. The rest as for
        filter_plane, and the ErrorCode REGION.
        """
        index = self._named(index, qp, position, "luma", size)
        plane = taken(plane, bit_depth)
        checked = samples(plane, bit_depth)
        return self._region(plane, checked, bit_depth, index, _region_of(checked, x, y, width, height), scale)

    def filter_units(
        self,
        plane: Plane,
        bit_depth: int,
        indices: Sequence[int],
        units: NDArray[np.uint8],
        unit_size: int,
        scale: int = UNIT_SCALE,
        background: Plane | None = None,
    ) -> Plane:
        """The plane with each square unit filtered by its own network or by none, a new array of the plane's shape and dtype.

        indices: one to three networks of the set. units: [ceil(height / unit_size), ceil(width / unit_size)], uint8; 0: no network,
        n: indices[n - 1]. unit_size: 64, 128, 256 or 512 samples. background: an array like plane with what units without a network
        show; None: the plane's own samples. ErrorCodes as for filter_plane, and UNITS.
        """
        checked = samples(plane, bit_depth)
        choice = self._luma_units(checked, (indices, units, unit_size))
        if background is not None and described(background) != described(plane):
            raise FilterError(f"the background is like the plane, {described(plane)}, not {described(background)}", ErrorCode.PLANE)
        filtered = checked.copy() if background is None else samples(background, bit_depth).copy()
        scale = scale_of(scale)
        with self._lock:
            self._opened().units(filtered, checked, depth(bit_depth), choice, scale)
        return filtered.astype(plane.dtype, copy=False)

    def prepare(
        self,
        plane: Plane,
        out: Plane,
        bit_depth: int,
        index: int | None = None,
        units: tuple[Sequence[int], NDArray[np.uint8], int] | None = None,
        scale: int = UNIT_SCALE,
        *,
        qp: int | None = None,
        position: str = "before_deblocking",
        size: str = "best",
    ) -> Callable[[], None]:
        """A function that filters plane into out whenever it is called, as fast as the library can: everything is checked here, once.

        plane: [height, width] as for filter_plane, C-contiguous; its samples may change between calls. out: an array like plane, apart
        from it. The network as for filter_plane; or units: indices, map and unit size as for filter_units, and whatever index and qp say
        has no effect; where a unit has no network, out stays as it is. ErrorCodes as there, and ARGUMENT for another backend than c.
        """
        in_place = samples(plane, bit_depth).ctypes.data == plane.ctypes.data
        if not in_place or described(out) != described(plane) or not (out.flags.c_contiguous and out.flags.writeable):
            raise FilterError("plane and out must be C-contiguous arrays of the same shape and dtype", ErrorCode.PLANE)
        choice = None if units is None else self._luma_units(plane, units)
        number = self._luma_index(self._named(index, qp, position, "luma", size)) if choice is None else choice.indices[0]
        prepared = self._opened().prepare(out, plane, depth(bit_depth), number, scale_of(scale), choice)

        def call() -> None:
            with self._lock:
                self._opened()
                prepared()

        return call

    def filter_on_device(
        self,
        out: Any,
        planes: Any,
        bit_depth: int,
        index: int | None = None,
        scale: int = UNIT_SCALE,
        stream: int = LEGACY_STREAM,
        *,
        qp: int | None = None,
        position: str = "before_deblocking",
        size: str = "best",
    ) -> None:
        """Filter what lies on the GPU into out, without copies; backend cuda only.

        planes, out: uint8 (8 bits) or uint16 (8 to 10 bits) arrays of one shape, [height, width] or [pictures, height, width], with
        __cuda_array_interface__ or __dlpack__ (PyTorch, CuPy, ...); a sample beyond the bit depth is clipped. The network as for
        filter_plane. stream: handle of the CUDA stream to work in, 1: the default one. Returns when the work is in the stream; both arrays
        must stay until it is done. ErrorCodes: BIT_DEPTH, INDEX, KIND, SCALE, and ARGUMENT for another backend.
        """
        index = self._luma_index(self._named(index, qp, position, "luma", size))
        bits, scale = depth(bit_depth), scale_of(scale)
        stream = whole(stream, "the stream's handle", ErrorCode.ARGUMENT)
        with self._lock:
            self._opened().on_device(out, planes, bits, index, scale, stream)

    def filter_picture(
        self,
        picture: AnyPicture,
        qp: int | None = None,
        index: int | None = None,
        scale: int = UNIT_SCALE,
        position: str = "before_deblocking",
        kind: str | None = None,
        size: str = "best",
    ) -> AnyPicture:
        """The picture with filtered luma and, by a joint network, filtered chroma of 4:2:0; other chroma is passed through.

        The network: by QP, position, kind and size, or by index. scale: of luma and chroma, for each head. ErrorCodes as for
        filter_planes and index_for_qp, and ARGUMENT unless exactly one of qp and index is given.
        """
        index = self._named(index, qp, position, kind, size)
        network = self.networks[self._index(index)]
        if network.kind == "luma":
            if not isinstance(picture, LumaPicture):
                raise FilterError("a luma network filters pictures that have planes, a bit_depth and with_luma()", ErrorCode.ARGUMENT)
            return picture.with_luma(self.filter_plane(picture.planes[0], picture.bit_depth, index, scale))
        if not isinstance(picture, PlanarPicture):
            raise FilterError("a joint network filters pictures that have a chroma_format and with_planes()", ErrorCode.ARGUMENT)
        read = tuple(picture.planes) if picture.chroma_format == "420" else tuple(picture.planes[:1])
        weights = (scale_of(scale),) * network.heads
        filtered = self.filter_planes(read, (picture.bit_depth,) * 2, index, weights, weights)
        return picture.with_planes((*filtered, *picture.planes[len(filtered) :]))

    def filter_planes(
        self,
        planes: Sequence[ArrayLike],
        bit_depths: tuple[int, int],
        index: int | None = None,
        luma_weights: Sequence[int] = (UNIT_SCALE,),
        chroma_weights: Sequence[int] = (UNIT_SCALE,),
        *,
        qp: int | None = None,
        position: str = "before_deblocking",
        kind: str | None = None,
        size: str = "best",
    ) -> tuple[Plane, ...]:
        """The filtered planes of a picture, luma and chroma together if the network is joint; new arrays of their shapes and dtypes.

        planes: luma [height, width]; or luma and, of 4:2:0, Cb and Cr [ceil(height / 2), ceil(width / 2)], each as for filter_plane; of
        several pictures each plane is [pictures, height, width]. The chroma of other formats, or of depths beyond 8..10 bits, is not
        filtered: give luma alone. bit_depths: of luma and of chroma; joint networks filter 12 bits too, chroma's where luma has 12
        (c/SPECIFICATION.md, section 2).
        luma_weights, chroma_weights: c_h for each head of the network, 1..10 for one head (8: as trained), -5..10 for two
        (c/SPECIFICATION.md, section 2). A luma network gives the chroma planes back as they are. The network: by index, or by qp,
        position, kind (None: what the set has, luma if it has both) and size. ErrorCodes as for filter_plane.
        """
        planes = all_taken(planes, bit_depths)
        if count := pictures_in(planes):
            index = self._planes_index(index, qp, position, kind, size)
            alone = [[plane[number] for plane in planes] for number in range(count)]
            pictures = [self.filter_planes(one, bit_depths, index, luma_weights, chroma_weights) for one in alone]
            return _typed([np.stack(those) for those in zip(*pictures, strict=True)], planes)
        checked, depths = planes_of(planes, bit_depths, deep=True)
        index = self._planes_index(index, qp, position, kind, size)
        weights = weights_of(luma_weights, chroma_weights, self.networks[index].heads)
        with self._lock:
            filtered = self._opened().planes(checked, depths, index, weights)
        return _typed(filtered, planes)

    def filter_planes_region(
        self,
        planes: Sequence[ArrayLike],
        bit_depths: tuple[int, int],
        index: int | None = None,
        x: int = 0,
        y: int = 0,
        width: int | None = None,
        height: int | None = None,
        luma_weights: Sequence[int] = (UNIT_SCALE,),
        chroma_weights: Sequence[int] = (UNIT_SCALE,),
        *,
        qp: int | None = None,
        position: str = "before_deblocking",
        kind: str | None = None,
        size: str = "best",
    ) -> tuple[Plane, ...]:
        """The filtered samples of a region of each plane, new arrays: the bits that filter_planes would give there.

        x, y, width, height: in luma samples, None: up to the edge; with a joint network x and y are even, and width and height are too
        unless the region ends with the picture. The rest as for filter_planes, and the ErrorCode REGION.
        """
        planes = all_taken(planes, bit_depths)
        checked, depths = planes_of(planes, bit_depths, deep=True)
        index = self._planes_index(index, qp, position, kind, size)
        region = inside(_region_of(checked[0], x, y, width, height), checked[0])
        ends = (region.x + region.width, checked[0].shape[1]), (region.y + region.height, checked[0].shape[0])
        if self.networks[index].kind == "joint" and (region.x % 2 or region.y % 2 or any(end % 2 and end < edge for end, edge in ends)):
            refuse(ErrorCode.REGION, f"region {tuple(region)}", advice="a joint network filters whole sites of 2x2 luma samples")
        weights = weights_of(luma_weights, chroma_weights, self.networks[index].heads)
        with self._lock:
            filtered = self._opened().planes_region(checked, depths, index, weights, region)
        return _typed(filtered, planes)

    def filter_planes_units(
        self,
        planes: Sequence[Plane],
        bit_depths: tuple[int, int],
        filters: Sequence[PlaneFilter],
        luma: NDArray[np.uint8] | None,
        chroma: NDArray[np.uint8] | None,
        unit_size: int,
        background: Sequence[Plane] | None = None,
    ) -> tuple[Plane, ...]:
        """The planes with each square unit filtered by its own filter or by none, new arrays of their shapes and dtypes.

        filters: one to three. luma, chroma: maps of these planes' units as in filter_units, unit_size in luma samples for both; None: no
        unit is filtered. background: arrays like planes with what units without a filter show; None: the planes' own samples. ErrorCodes
        as for filter_planes, UNITS, and KIND for a luma network in the map of chroma.
        """
        checked, depths = planes_of(planes, bit_depths, deep=True)
        units = self._plane_units(checked, filters, luma, chroma, unit_size)
        if background is not None and not _alike(background, planes):
            raise FilterError("the background's planes are like those of the picture", ErrorCode.PLANE)
        filtered = [plane.copy() for plane in (checked if background is None else planes_of(background, depths, deep=True)[0])]
        with self._lock:
            self._opened().planes_units(filtered, checked, depths, units)
        return _typed(filtered, planes)

    def prepare_planes(
        self,
        planes: Sequence[Plane],
        out: Sequence[Plane],
        bit_depths: tuple[int, int],
        index: int | None = None,
        units: tuple[Sequence[int], NDArray[np.uint8], int] | None = None,
        *,
        qp: int | None = None,
        position: str = "before_deblocking",
        kind: str | None = None,
        size: str = "best",
    ) -> Callable[[], None]:
        """As prepare, for planes as filter_planes takes them and arrays like them. units: of luma and of chroma, instead of a network.

        ErrorCodes as for filter_planes and prepare.
        """
        checked, depths = planes_of(planes, bit_depths, deep=True)
        in_place = all(ours.ctypes.data == theirs.ctypes.data for ours, theirs in zip(checked, planes, strict=True))
        if not in_place or not _alike(out, planes) or not all(plane.flags.c_contiguous and plane.flags.writeable for plane in out):
            raise FilterError("planes and out must be C-contiguous arrays of the same shapes and dtypes", ErrorCode.PLANE)
        choice = None
        if units is not None:
            indices, chosen, unit_size = items(units, 3, _UNITS, ErrorCode.UNITS)
            filters = [(number, *self._trained(number)) for number in wholes(indices, "a network's index", ErrorCode.INDEX)]
            choice = self._plane_units(checked, filters, chosen, chosen if len(checked) > 1 else None, unit_size)
        index = self._planes_index(index, qp, position, kind, size) if choice is None else choice.indices[0]
        weights = weights_of(*self._trained(index), self.networks[index].heads)
        prepared = self._opened().prepare_planes(out, planes, depths, index, weights, choice)

        def call() -> None:
            with self._lock:
                self._opened()
                prepared()

        return call

    def planes_layer(self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, layer: int) -> NDArray[np.uint8]:
        """The outputs 0..127 of a hidden layer (counted from 0) of a joint network for all sites: [channels, rows, columns].

        ErrorCodes as for filter_planes, LAYER, KIND, and ARGUMENT for the backend cuda.
        """
        checked, depths = planes_of(planes, bit_depths, deep=True)
        index = self._index(index)
        if self.networks[index].kind != "joint":
            refuse(ErrorCode.KIND, f"network {index}")
        layer = self._layer(index, layer)
        with self._lock:
            return self._opened().planes_layer(checked, depths, index, layer)

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

        ErrorCodes as for filter_region, LAYER, and ARGUMENT for the backend cuda.
        """
        checked, index = samples(plane, bit_depth), self._luma_index(index)
        layer = self._layer(index, layer)
        region = inside(_region_of(checked, x, y, width, height), checked)
        with self._lock:
            return self._opened().layer(checked, depth(bit_depth), index, layer, region)

    def _opened(self) -> Engine:
        self._refuse_closed()
        return self._engine

    def _region(self, plane: Plane, checked: Plane, bit_depth: int, index: int, region: Region, scale: int) -> Plane:
        """A region of a plane, whose samples are given once more as they were checked."""
        index, scale, region = self._luma_index(index), scale_of(scale), inside(region, checked)
        with self._lock:
            return self._opened().region(checked, depth(bit_depth), index, scale, region).astype(plane.dtype, copy=False)

    def _named(self, index: int | None, qp: int | None, position: str, kind: str | None, size: str) -> int:
        """The network that a caller names by one of the two."""
        if index is not None and qp is None:
            return index
        if index is None and qp is not None:
            return self.index_for_qp(qp, position, kind, size)
        raise FilterError("name the network by its QP or by its index, one of the two", ErrorCode.ARGUMENT)

    def _planes_index(self, index: int | None, qp: int | None, position: str, kind: str | None, size: str) -> int:
        """The same for planes, an index that the set has."""
        return self._index(self._named(index, qp, position, kind, size))

    def _index(self, index: SupportsIndex) -> int:
        number = whole(index, "a network's index", ErrorCode.INDEX)
        if not 0 <= number < len(self.networks):
            refuse(ErrorCode.INDEX, f"network {number}", advice=f"it has networks 0 to {len(self.networks) - 1}")
        return number

    def _layer(self, index: int, layer: int) -> int:
        hidden = len(self.networks[index].channels) - 1
        number = whole(layer, "the layer", ErrorCode.LAYER)
        if not 0 <= number < hidden:
            refuse(ErrorCode.LAYER, f"layer {number}", advice=f"network {index} has hidden layers 0 to {hidden - 1}")
        return number

    def _trained(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """A network's weights as trained."""
        return ((UNIT_SCALE,) * self.networks[self._index(index)].heads,) * 2

    def _luma_index(self, index: SupportsIndex) -> int:
        number = self._index(index)
        if self.networks[number].kind != "luma":
            refuse(ErrorCode.KIND, f"network {number}")
        return number

    def _units(self, plane: Plane, given: tuple[Sequence[int], NDArray[np.uint8], int]) -> Units:
        """Indices, map and unit size, checked."""
        numbers, choice, width = items(given, 3, _UNITS, ErrorCode.UNITS)
        indices = [self._index(number) for number in wholes(numbers, "a network's index", ErrorCode.INDEX)]
        size = whole(width, "the size of units", ErrorCode.UNITS)
        if size not in (64, 128, 256, 512) or not 1 <= len(indices) <= MAX_CHOICES:
            refuse(ErrorCode.UNITS, f"units of {size} samples, {counted(len(indices), 'network')}")
        shape = tuple(-(-length // size) for length in plane.shape)
        return Units(indices, bytes_of(choice, shape, len(indices), "the map", ErrorCode.UNITS), size)

    def _luma_units(self, plane: Plane, given: tuple[Sequence[int], NDArray[np.uint8], int]) -> Units:
        units = self._units(plane, given)
        return replace(units, indices=[self._luma_index(index) for index in units.indices])

    def _plane_units(
        self,
        planes: Sequence[Plane],
        filters: Sequence[PlaneFilter],
        luma: NDArray[np.uint8] | None,
        chroma: NDArray[np.uint8] | None,
        size: int,
    ) -> PlaneUnits:
        """The filters and their maps, checked."""
        filters = filters_of(filters)
        given = [
            None if choice is None else self._units(planes[0], ([one[0] for one in filters], choice, size)) for choice in (luma, chroma)
        ]
        both = next((units for units in given if units is not None), None)
        if both is None or (chroma is not None and len(planes) < 3):
            refuse(ErrorCode.UNITS, "units of no plane")
        for number in np.unique(chroma) if chroma is not None else ():
            if number and self.networks[index := both.indices[number - 1]].kind != "joint":
                refuse(ErrorCode.KIND, f"network {index} in the map of chroma")
        weights = [weights_of(one[1], one[2], self.networks[index].heads) for index, one in zip(both.indices, filters, strict=True)]
        maps = [None if units is None else units.choice for units in given]
        return PlaneUnits(both.indices, weights, maps[0], maps[1], both.size)


def _alike(planes: object, others: Sequence[Plane]) -> bool:
    """Whether they are as many arrays, each of the same shape and dtype as the other one."""
    return isinstance(planes, Sequence) and [described(plane) for plane in planes] == [described(plane) for plane in others]


def _region_of(plane: Plane, x: int, y: int, width: int | None, height: int | None) -> Region:
    """What a caller gives, up to the edge of the plane where no size is given; not yet checked to lie in it."""
    x, y = wholes((x, y), "a place in the picture", ErrorCode.REGION)
    return Region(x, y, plane.shape[1] - x if width is None else width, plane.shape[0] - y if height is None else height)


def _typed(filtered: Sequence[Plane], like: Sequence[Plane]) -> tuple[Plane, ...]:
    """Planes in the byte order that they came in."""
    return tuple(plane.astype(given.dtype, copy=False) for plane, given in zip(filtered, like, strict=True))
