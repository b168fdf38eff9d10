"""The encoder's decision about the filter, as the C library takes it, for numpy arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.filter import FilterError
from codec_bridge.library._vrcnn import ffi, lib
from vrcnn_int.network import POSITIONS

Plane = NDArray[Any]  # uint8 or uint16, two dimensions

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
        self._model = self._context = self._decider = None
        out = ffi.new("VrcnnModel **")
        if model is None:
            self._check(lib.vrcnn_model_builtin(out, 0))
        else:
            self._check(lib.vrcnn_model_load(out, model, len(model), ffi.NULL))
        self._model = ffi.gc(out[0], lib.vrcnn_model_free)
        context = ffi.new("VrcnnContext **")
        self._check(lib.vrcnn_open(context, self._model, ffi.NULL))
        self._context = ffi.gc(context[0], lib.vrcnn_close)
        decider = ffi.new("VrcnnDecider **")
        self._check(lib.vrcnn_decider_open(decider, self._model, width, height))
        self._decider = ffi.gc(decider[0], lib.vrcnn_decider_close)

    def __enter__(self) -> "Decider":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        for handle in (self._decider, self._context, self._model):
            if handle is not None:
                ffi.release(handle)
        self._decider = self._context = self._model = None

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
        arrays = [np.ascontiguousarray(array, np.uint16 if bit_depth > 8 else np.uint8) for array in (original, source, base)]
        out = np.empty_like(arrays[0])
        given = ffi.new("VrcnnDecisionInput *")
        for name, array in zip(("original", "source", "base"), arrays, strict=True):
            self._describe(getattr(given, name), array, bit_depth)
        mask = None if kept is None else np.ascontiguousarray(kept, np.uint8)
        given.kept = ffi.NULL if mask is None else ffi.cast("const uint8_t *", mask.ctypes.data)
        given.position = POSITIONS.index(position)
        given.qp, given.is_irap, given.map, given.ordinary_cost = qp, is_irap, units, ordinary_cost
        setattr(given, "lambda", lam)
        target, decision = ffi.new("VrcnnPlane *"), ffi.new("VrcnnDecision *")
        self._describe(target, out, bit_depth)
        if self._decider is None:
            raise FilterError("the decider is closed")
        self._check(lib.vrcnn_decide(self._decider, self._context, given, target, decision))
        mode = _MODES[decision.info.mode]
        data = bytes(ffi.buffer(decision.data, decision.size))
        return Decision(mode, data, None if mode == "off" else out, decision.cost)

    @staticmethod
    def _check(error: int) -> None:
        if error:
            raise FilterError(ffi.string(lib.vrcnn_strerror(error)).decode())

    @staticmethod
    def _describe(plane: Any, array: Plane, bit_depth: int) -> None:
        plane.data = ffi.cast("void *", array.ctypes.data)
        plane.stride = array.strides[0]
        plane.height, plane.width = array.shape
        plane.bit_depth, plane.bytes_per_sample = bit_depth, array.itemsize
