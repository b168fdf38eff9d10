"""The encoder's decision about the filter, as the C library takes it, for numpy arrays."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library._vrcnn import ffi, lib
from codec_bridge.library.arrays import bytes_of, samples, whole
from codec_bridge.library.errors import ErrorCode, FilterError, check
from codec_bridge.library.native import Context, Model, describe, describe_const
from vrcnn_int.integer import Plane
from vrcnn_int.network import POSITIONS

_MODES = ("off", "all", "map")


@dataclass(frozen=True)
class Decision:
    """What was decided on a picture: the mode (off, all, map), its side information, the filtered luma (None if off) and the cost."""

    mode: str
    data: bytes
    luma: Plane | None
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
        """Decide on one picture; c/include/vrcnn/vrcnn.h says what is what. lam: squared error that a bit is worth.

        kept: [ceil(height / 8), ceil(width / 8)], not 0 for lossless blocks. Raises FilterError.
        """
        if self._context is None:
            raise FilterError("the decider is closed", ErrorCode.ARGUMENT)
        arrays = [samples(array, bit_depth) for array in (original, source, base)]
        if position not in POSITIONS:
            raise FilterError(f"position {position!r} is not known; use one of {', '.join(POSITIONS)}", ErrorCode.POSITION)
        blocks = tuple(-(-size // 8) for size in arrays[0].shape)
        given = ffi.new("VrcnnDecisionInput *")
        given.original, given.source, given.base = (describe_const(array, bit_depth)[0] for array in arrays)
        mask = None if kept is None else bytes_of(kept, blocks, 255, "what is kept", ErrorCode.PLANE)
        given.kept = ffi.NULL if mask is None else ffi.cast("const uint8_t *", mask.ctypes.data)
        given.position = POSITIONS.index(position)
        given.is_irap, given.map, given.ordinary_cost = is_irap, units, ordinary_cost
        given.qp = whole(qp, "the QP", ErrorCode.QP)
        setattr(given, "lambda", lam)
        luma = np.empty_like(arrays[0])
        decision = ffi.new("VrcnnDecision *")
        check(lib.vrcnn_decide(self._decider, self._context.handle, given, describe(luma, bit_depth), decision), "the decision")
        mode = _MODES[decision.info.mode]
        return Decision(mode, bytes(ffi.buffer(decision.data, decision.size)), None if mode == "off" else luma, decision.cost)
