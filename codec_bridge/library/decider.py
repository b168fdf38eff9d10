"""The encoder's decision about the filter, as the C library takes it, for numpy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library._vrcnn import ffi, lib
from codec_bridge.library.arrays import bytes_of, samples, whole
from codec_bridge.library.errors import ErrorCode, FilterError, check
from codec_bridge.library.native import Context, Model, describe, describe_const
from vrcnn_int.integer import Plane
from vrcnn_int.network import KINDS, POSITIONS, SIZES
from vrcnn_int.text import counted

_MODES = ("off", "all", "map")


@dataclass(frozen=True)
class Decision:
    """What was decided on a picture: the mode (off, all, map), its side information, the filtered luma (None if off) and the cost."""

    mode: str
    data: bytes
    luma: Plane | None
    cost: float


@dataclass(frozen=True)
class PlaneDecision:
    """What was decided on three planes: the modes of luma and chroma (off, all, map), side information of version 2, the filtered planes
    (None where a mode is off), and the cost."""

    modes: tuple[str, str]
    data: bytes
    planes: tuple[Plane | None, ...]
    cost: float


class Decider:
    """Decides on pictures of one size with a model set (bytes of a .vrcnn file, None: the shipped one). Close it, or use it in a with."""

    def __init__(self, width: int, height: int, model: bytes | None = None) -> None:
        self._model = Model(model, "the decider's model set")  # it has to live as long as the decider
        self._context: Context | None = Context(self._model)
        out = ffi.new("VrcnnDecider **")
        check(lib.vrcnn_decider_open(out, self._model.handle, width, height), f"deciding on pictures of {width}x{height} samples")
        self._decider = ffi.gc(out[0], lib.vrcnn_decider_close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back; closing twice is allowed."""
        if self._context is not None:
            ffi.release(self._decider)
            self._context.close()
        self._context = None

    def decide(
        self,
        original: Plane,
        source: Plane,
        base: Plane,
        bit_depth: int,
        *,
        qp: int,
        lam: float,
        ordinary_cost: float,
        position: str = "before_deblocking",
        is_irap: bool = False,
        units: bool = True,
        kept: NDArray[np.uint8] | None = None,
    ) -> Decision:
        """Decide on one picture; c/include/vrcnn/vrcnn_codec.h says what is what. lam: squared error that a bit is worth.

        kept: [ceil(height / 8), ceil(width / 8)], not 0 for lossless blocks. Raises FilterError.
        """
        if self._context is None:
            raise FilterError("the decider is closed", ErrorCode.ARGUMENT)
        arrays = [samples(array, bit_depth) for array in (original, source, base)]
        given = ffi.new("VrcnnDecisionInput *")
        given.original, given.source, given.base = (describe_const(array, bit_depth)[0] for array in arrays)
        mask = _mask(kept, arrays[0])
        given.kept = ffi.NULL if mask is None else ffi.cast("const uint8_t *", mask.ctypes.data)
        given.position = _index(position, POSITIONS, "position", ErrorCode.POSITION)
        given.is_irap, given.map, given.ordinary_cost = is_irap, units, ordinary_cost
        given.qp = whole(qp, "the QP", ErrorCode.QP)
        setattr(given, "lambda", lam)
        luma = np.empty_like(arrays[0])
        decision = ffi.new("VrcnnDecision *")
        check(lib.vrcnn_decide(self._decider, self._context.handle, given, describe(luma, bit_depth), decision), "the decision")
        mode = _MODES[decision.info.mode]
        return Decision(mode, bytes(ffi.buffer(decision.data, decision.size)), None if mode == "off" else luma, decision.cost)


class PlaneDecider:
    """Decides on three planes of pictures of one size, luma's, with a model set (None: the shipped one). Close it, or use it in a with.

    networks: how many may be tried for a picture, 1..3. kernel, threads: of the filter. Raises FilterError.
    """

    def __init__(
        self, width: int, height: int, model: bytes | None = None, networks: int = 1, kernel: str = "auto", threads: int = 1
    ) -> None:
        self._model = Model(model, "the decider's model set")  # it has to live as long as the decider
        self._context: Context | None = Context(self._model, kernel, threads)
        out = ffi.new("VrcnnPlaneDecider **")
        number = whole(networks, "the number of networks", ErrorCode.ARGUMENT)
        opened = lib.vrcnn_plane_decider_open(out, self._model.handle, width, height, number)
        check(opened, f"deciding on pictures of {width}x{height} samples by {counted(networks, 'network')}")
        self._decider = ffi.gc(out[0], lib.vrcnn_plane_decider_close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back; closing twice is allowed."""
        if self._context is not None:
            ffi.release(self._decider)
            self._context.close()
        self._context = None

    def decide(
        self,
        original: Sequence[Plane],
        source: Sequence[Plane],
        base: Sequence[Plane],
        bit_depths: tuple[int, int],
        *,
        qp: int,
        lam: float,
        costs: tuple[float, float],
        chroma_weights: tuple[float, float] = (1, 1),
        kind: str = "joint",
        size: str = "fast",
        position: str = "before_deblocking",
        is_irap: bool = False,
        units: bool = True,
        kept: NDArray[np.uint8] | None = None,
    ) -> PlaneDecision:
        """Decide on one picture; c/include/vrcnn/vrcnn_codec.h says what is what. costs: of luma and of chroma without the filter.

        original, source, base: luma, Cb and Cr of 4:2:0, or luma alone. lam: squared error of luma that a bit is worth. kept: for each 8x8
        block of luma. Raises FilterError.
        """
        if self._context is None:
            raise FilterError("the decider is closed", ErrorCode.ARGUMENT)
        depths = [bit_depths[n > 0] for n in range(3)]
        pictures = [[samples(plane, depth) for plane, depth in zip(each, depths, strict=False)] for each in (original, source, base)]
        given = ffi.new("VrcnnPlaneDecisionInput *")
        for name, planes in zip(("original", "source", "base"), pictures, strict=True):
            for n, plane in enumerate(planes):
                getattr(given, name)[n] = describe_const(plane, depths[n])[0]
        mask = _mask(kept, pictures[0][0])
        given.kept = ffi.NULL if mask is None else ffi.cast("const uint8_t *", mask.ctypes.data)
        given.position = _index(position, POSITIONS, "position", ErrorCode.POSITION)
        given.kind = _index(kind, KINDS, "kind", ErrorCode.ARGUMENT)
        given.size = _index(size, SIZES, "size", ErrorCode.ARGUMENT)
        given.is_irap, given.map, given.chroma_weight = is_irap, units, chroma_weights
        given.luma_cost, given.chroma_cost = costs
        given.qp = whole(qp, "the QP", ErrorCode.QP)
        setattr(given, "lambda", lam)
        filtered = [np.empty_like(plane) for plane in pictures[1]]
        dst, decision = ffi.new("VrcnnPlane[3]"), ffi.new("VrcnnPlaneDecision *")
        for n, plane in enumerate(filtered):
            dst[n] = describe(plane, depths[n])[0]
        check(lib.vrcnn_decide_planes(self._decider, self._context.handle, given, dst, decision), "the decision")
        modes = _MODES[decision.info.luma_mode], _MODES[decision.info.chroma_mode]
        decided = tuple(None if modes[n > 0] == "off" else plane for n, plane in enumerate(filtered))
        return PlaneDecision(modes, bytes(ffi.buffer(decision.data, decision.size)), decided, decision.cost)


def _mask(kept: NDArray[np.uint8] | None, luma: Plane) -> Any:
    """What is kept, checked, for each 8x8 block."""
    blocks = tuple(-(-size // 8) for size in luma.shape)
    return None if kept is None else bytes_of(kept, blocks, 255, "what is kept", ErrorCode.PLANE)


def _index(word: str, words: Sequence[str], name: str, code: ErrorCode) -> int:
    if word not in words:
        raise FilterError(f"{name} {word!r} is not known; use one of {', '.join(words)}", code)
    return words.index(word)
