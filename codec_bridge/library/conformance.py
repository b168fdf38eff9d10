"""The C library on the conformance suite of vrcnn_int.conformance."""

from typing import Any

import numpy as np

from codec_bridge.library._vrcnn import ffi, lib
from codec_bridge.library.arrays import read_model
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
        self._model, self._engine = "", CEngine(Model(*read_model(None)), kernel, threads)
        self.name = f"C library, {self._engine.kernel}, {threads} thread{'s' * (threads > 1)}"

    def _open(self, suite: Suite, model: str) -> CEngine:
        """The vectors of a model follow each other."""
        if self._model != model:
            data, _ = read_model(suite.path(model))
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
        info, units, data = ffi.new("VrcnnPlaneSideinfo *"), np.empty((2, lib.VRCNN_MAX_UNITS), np.uint8), bytes.fromhex(vector.data)
        rooms = [ffi.from_buffer("uint8_t[]", room) for room in units]
        size = vector.width, vector.height
        code = lib.vrcnn_sideinfo_parse_planes(info, *rooms, units.shape[1], data, len(data), vector.version, vector.irap, *size)
        if code:
            return f"error {SIDEINFO_ERRORS.get(code, code)}\n"
        lines = [f"model_set_identity {bytes(info.identity)[: 4 if info.version == 1 else 3].hex()}"] if info.has_identity else []
        lines += _luma_lines(info) if info.version == 1 else _plane_lines(info)
        names = ("",) if info.version == 1 else ("luma_", "chroma_")
        for name, room, unit in zip(names, units, (info.luma_unit_size, info.chroma_unit_size), strict=False):
            if unit:
                choices = room[: -(-vector.width // unit) * -(-vector.height // unit)]
                lines += [f"{name}UnitSize {unit}", f"{name}unit_choice {' '.join(map(str, choices))}"]
        return "".join(f"{line}\n" for line in lines)


def _luma_lines(info: Any) -> list[str]:
    """Of version 1, up to the map."""
    filters = list(info.filter[0 : info.filters])
    lines = [f"filter_mode {info.luma_mode}", f"filter_position {info.position}"]
    if filters:
        lines.append(f"network_index {' '.join(str(one.index) for one in filters)}")
        lines.append(f"output_scale {filters[0].weights.luma[0]}")
    return lines


def _plane_lines(info: Any) -> list[str]:
    """Of version 2, up to the maps."""
    filters = list(info.filter[0 : info.filters])
    lines = [f"luma_mode {info.luma_mode}", f"chroma_mode {info.chroma_mode + info.shares_map}"]
    if not filters:
        return lines
    lines += [f"filter_position {info.position}", f"network_index {' '.join(str(one.index) for one in filters)}"]
    lines.append(f"heads {' '.join(str(one.heads) for one in filters)}")
    for name, mode in (("luma", info.luma_mode), ("chroma", info.chroma_mode)):
        weights = (",".join(map(str, getattr(one.weights, name)[0 : one.heads])) for one in filters)
        lines += [f"{name}_weights {' '.join(weights)}"] if mode else []
    return lines


def _read(vector: JointVector, planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
    """The planes that a joint network reads."""
    return planes if vector.chroma_format == 420 else planes[:1]
