"""The encoder's decision about the filter, as the C library takes it, for numpy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library._vrcnn import ffi, lib
from codec_bridge.library.arrays import bytes_of, picture_size, planes_of, read_model, real, reals, samples, threads_of, truth, whole
from codec_bridge.library.errors import ErrorCode, FilterError, check, known
from codec_bridge.library.native import MAX_CHOICES, Context, FilterOwner, Model, describe, describe_const
from vrcnn_int.integer import ModelSet, Plane
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


AnyModel = str | Path | bytes | ModelSet | None


class _Decider(FilterOwner):
    """What deciders have in common. model: has to live as long as they."""

    what = "decider"

    def __init__(self, model: Model, context: Context, decider: Any) -> None:
        self._model, self._context, self._decider = model, context, decider
        super().__init__()

    def _free(self) -> None:
        ffi.release(self._decider)
        self._context.close()

    def _decide(self, function: Any, given: Any, out: Any, decision: Any) -> None:
        with self._lock:
            self._refuse_closed()
            self._context.call(function, "the decision", given, out, decision, before=(self._decider,))


class Decider(_Decider):
    """Decides on pictures of one size with a model set, given as to Filter. Close it, or use it in a with.

    Threads may share it, one call runs at a time. It cannot be pickled or copied. Raises FilterError.
    """

    def __init__(self, width: int, height: int, model: AnyModel = None) -> None:
        width, height = picture_size(width, height)
        opened = Model(*read_model(model))
        context, out = Context(opened), ffi.new("VrcnnDecider **")
        check(lib.vrcnn_decider_open(out, opened.handle, width, height), f"deciding on pictures of {width}x{height} samples")
        super().__init__(opened, context, ffi.gc(out[0], lib.vrcnn_decider_close))

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
        self._refuse_closed()
        arrays = [samples(array, bit_depth) for array in (original, source, base)]
        given = ffi.new("VrcnnDecisionInput *")
        given.original, given.source, given.base = (describe_const(array, bit_depth)[0] for array in arrays)
        mask = _mask(kept, arrays[0])
        given.kept = ffi.NULL if mask is None else ffi.cast("const uint8_t *", mask.ctypes.data)
        _describe(given, position, is_irap, units, qp, lam)
        given.ordinary_cost = real(ordinary_cost, "the ordinary cost", ErrorCode.ARGUMENT)
        luma = np.empty_like(arrays[0])
        decision = ffi.new("VrcnnDecision *")
        self._decide(lib.vrcnn_decide, given, describe(luma, bit_depth), decision)
        mode = _MODES[decision.info.mode]
        return Decision(mode, bytes(ffi.buffer(decision.data, decision.size)), None if mode == "off" else luma, decision.cost)


class PlaneDecider(_Decider):
    """Decides on three planes of pictures of one size, luma's, with a model set, given as to Filter. Close it, or use it in a with.

    networks: how many may be tried for a picture, 1..3. kernel, threads: of the filter. Threads of the caller may share it, one call runs
    at a time. It cannot be pickled or copied. Raises FilterError.
    """

    def __init__(self, width: int, height: int, model: AnyModel = None, networks: int = 1, kernel: str = "auto", threads: int = 1) -> None:
        width, height = picture_size(width, height)
        number = whole(networks, "the number of networks", ErrorCode.ARGUMENT)
        if not 1 <= number <= MAX_CHOICES:
            raise FilterError(f"1 to {MAX_CHOICES} networks may be tried for a picture, not {number}", ErrorCode.ARGUMENT)
        opened = Model(*read_model(model))
        context, out = Context(opened, kernel, threads_of(threads)), ffi.new("VrcnnPlaneDecider **")
        code = lib.vrcnn_plane_decider_open(out, opened.handle, width, height, number)
        check(code, f"deciding on pictures of {width}x{height} samples by {counted(number, 'network')}")
        super().__init__(opened, context, ffi.gc(out[0], lib.vrcnn_plane_decider_close))

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
        self._refuse_closed()
        (first, depths), *others = (planes_of(each, bit_depths) for each in (original, source, base))
        pictures = first, *(planes for planes, _ in others)
        given = ffi.new("VrcnnPlaneDecisionInput *")
        for name, planes in zip(("original", "source", "base"), pictures, strict=True):
            for n, plane in enumerate(planes):
                getattr(given, name)[n] = describe_const(plane, depths[n > 0])[0]
        mask = _mask(kept, pictures[0][0])
        given.kept = ffi.NULL if mask is None else ffi.cast("const uint8_t *", mask.ctypes.data)
        _describe(given, position, is_irap, units, qp, lam)
        given.kind = KINDS.index(known(kind, KINDS, "kind", ErrorCode.ARGUMENT))
        given.size = SIZES.index(known(size, SIZES, "size", ErrorCode.ARGUMENT))
        given.chroma_weight = reals(chroma_weights, 2, "weights of Cb and Cr", ErrorCode.ARGUMENT)
        given.luma_cost, given.chroma_cost = reals(costs, 2, "costs of luma and chroma", ErrorCode.ARGUMENT)
        filtered = [np.empty_like(plane) for plane in pictures[1]]
        dst, decision = ffi.new("VrcnnPlane[3]"), ffi.new("VrcnnPlaneDecision *")
        for n, plane in enumerate(filtered):
            dst[n] = describe(plane, depths[n > 0])[0]
        self._decide(lib.vrcnn_decide_planes, given, dst, decision)
        modes = _MODES[decision.info.luma_mode], _MODES[decision.info.chroma_mode]
        decided = tuple(None if modes[n > 0] == "off" else plane for n, plane in enumerate(filtered))
        return PlaneDecision(modes, bytes(ffi.buffer(decision.data, decision.size)), decided, decision.cost)


def _mask(kept: NDArray[np.uint8] | None, luma: Plane) -> Any:
    """What is kept, checked, for each 8x8 block."""
    blocks = tuple(-(-size // 8) for size in luma.shape)
    return None if kept is None else bytes_of(kept, blocks, 255, "what is kept", ErrorCode.PLANE)


def _describe(given: Any, position: str, is_irap: bool, units: bool, qp: int, lam: float) -> None:
    """What both kinds of inputs have."""
    given.position = POSITIONS.index(known(position, POSITIONS, "position", ErrorCode.POSITION))
    given.is_irap, given.map = truth(is_irap, "is_irap", ErrorCode.ARGUMENT), truth(units, "units", ErrorCode.ARGUMENT)
    given.qp = max(-128, min(whole(qp, "the QP", ErrorCode.QP), 127))  # any int is to reach the library's own check
    setattr(given, "lambda", real(lam, "lambda", ErrorCode.ARGUMENT))
