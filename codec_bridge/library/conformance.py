"""The C library on the conformance suite of vrcnn_int.conformance."""

import numpy as np

from codec_bridge.library._vrcnn import ffi, lib
from codec_bridge.library.engines.c import CEngine
from codec_bridge.library.errors import FilterError
from codec_bridge.library.native import Model, Region, Weights
from vrcnn_int.conformance import PARTS, FilterVector, JointVector, RefusedVector, SideinfoVector, Suite, plane_bytes
from vrcnn_int.integer import Plane

SIDEINFO_ERRORS = {
    lib.VRCNN_ERROR_SIDEINFO_FOREIGN: "FOREIGN",
    lib.VRCNN_ERROR_SIDEINFO_VERSION: "VERSION",
    lib.VRCNN_ERROR_SIDEINFO_TRUNCATED: "TRUNCATED",
    lib.VRCNN_ERROR_SIDEINFO_SYNTAX: "SYNTAX",
}


class CLibrary:
    """An implementation for vrcnn_int.conformance.verify, with this kernel and so many threads. Raises a FilterError for others."""

    parts = PARTS

    def __init__(self, kernel: str = "auto", threads: int = 1) -> None:
        self.kernel, self.threads = kernel, threads
        self._model, self._engine = "", CEngine(Model(None, "shipped model set"), kernel, threads)
        self.name = f"C library, {self._engine.kernel}, {threads} thread{'s' * (threads > 1)}"

    def _open(self, suite: Suite, model: str) -> CEngine:
        """The vectors of a model follow each other."""
        if self._model != model:
            data = suite.path(model).read_bytes()
            self._model, self._engine = model, CEngine(Model(data, model), self.kernel, self.threads)
        return self._engine

    def filtered(self, suite: Suite, vector: FilterVector) -> bytes:
        engine, whole = self._open(suite, vector.model), Region(0, 0, vector.width, vector.height)
        return plane_bytes(engine.region(suite.plane(vector), vector.bit_depth, vector.network, vector.scale, whole))

    def hidden(self, suite: Suite, vector: FilterVector, layer: int) -> bytes:
        engine, whole = self._open(suite, vector.model), Region(0, 0, vector.width, vector.height)
        return engine.layer(suite.plane(vector), vector.bit_depth, vector.network, layer, whole).tobytes()

    def joint_filtered(self, suite: Suite, vector: JointVector) -> bytes:
        planes = suite.planes(vector)
        weights = Weights(tuple(vector.luma_weights), tuple(vector.chroma_weights))
        engine, read = self._open(suite, vector.model), _read(vector, planes)
        filtered = engine.planes(read, (vector.bit_depths[0], vector.bit_depths[1]), vector.network, weights)
        return b"".join(map(plane_bytes, (*filtered, *planes[len(filtered) :])))

    def joint_hidden(self, suite: Suite, vector: JointVector, layer: int) -> bytes:
        engine, read = self._open(suite, vector.model), _read(vector, suite.planes(vector))
        return engine.planes_layer(read, (vector.bit_depths[0], vector.bit_depths[1]), vector.network, layer).tobytes()

    def refuses(self, suite: Suite, vector: RefusedVector) -> bool:
        try:
            self._open(suite, vector.model)
        except FilterError:
            return True
        return False

    def sideinfo(self, vector: SideinfoVector) -> str:
        info, units, data = ffi.new("VrcnnSideinfo *"), np.empty(lib.VRCNN_MAX_UNITS, np.uint8), bytes.fromhex(vector.data)
        room = ffi.from_buffer("uint8_t[]", units)
        code = lib.vrcnn_sideinfo_parse(info, room, units.size, data, len(data), vector.irap, vector.width, vector.height)
        if code:
            return f"error {SIDEINFO_ERRORS.get(code, code)}\n"
        lines = [f"model_set_identity {bytes(info.identity).hex()}"] if info.has_identity else []
        lines += [f"filter_mode {info.mode}", f"filter_position {info.position}"]
        if info.mode != lib.VRCNN_MODE_OFF:
            lines += [f"network_index {' '.join(map(str, info.index[0 : info.networks]))}", f"output_scale {info.scale}"]
        if info.mode == lib.VRCNN_MODE_MAP:
            count = -(-vector.width // info.unit_size) * -(-vector.height // info.unit_size)
            lines += [f"UnitSize {info.unit_size}", f"unit_choice {' '.join(map(str, units[:count]))}"]
        return "".join(f"{line}\n" for line in lines)


def _read(vector: JointVector, planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
    """The planes that a joint network reads."""
    return planes if vector.chroma_format == 420 else planes[:1]
