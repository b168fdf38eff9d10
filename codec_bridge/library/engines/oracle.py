"""vrcnn_int.integer in numpy: slow, the definition of the bits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library.engines.base import Engine
from codec_bridge.library.errors import ErrorCode, refuse
from codec_bridge.library.native import Model, Region, Weights
from vrcnn_int import integer
from vrcnn_int.integer import Plane
from vrcnn_int.network import DEEP


class OracleEngine(Engine):
    """The oracle, which reads the model set's bytes itself."""

    kernel = "oracle"
    memory = 0

    def __init__(self, model: Model, _kernel: str = "auto", threads: int = 1) -> None:
        self._networks = integer.ModelSet.from_bytes(model.data, model.source).networks
        self.threads = threads

    def region(self, plane: Plane, bit_depth: int, index: int, scale: int, region: Region) -> Plane:
        x, y, width, height = region
        filtered = integer.filter_plane(self._networks[index], plane, bit_depth, scale)
        return filtered if (height, width) == plane.shape else filtered[y : y + height, x : x + width].copy()

    def layer(self, plane: Plane, bit_depth: int, index: int, layer: int, region: Region) -> NDArray[np.uint8]:
        x, y, width, height = region
        values = integer.layer_outputs(self._networks[index], plane, bit_depth)[layer]
        return values[:, y : y + height, x : x + width].astype(np.uint8)

    def planes(self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, weights: Weights) -> tuple[Plane, ...]:
        self._need_depth(index, bit_depths[0])
        chroma_format = "400" if len(planes) == 1 else "420"
        return integer.filter_planes(self._networks[index], planes, bit_depths, chroma_format, *weights)

    def planes_layer(self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, layer: int) -> NDArray[np.uint8]:
        self._need_depth(index, bit_depths[0])
        chroma_format = "400" if len(planes) == 1 else "420"
        return integer.joint_layer_outputs(self._networks[index], planes, bit_depths, chroma_format)[layer].astype(np.uint8)

    def _need_depth(self, index: int, bit_depth: int) -> None:
        if bit_depth == DEEP and not self._networks[index].is_deep:
            refuse(ErrorCode.BIT_DEPTH, f"bit depth {bit_depth}")

    def close(self) -> None:
        """There is nothing to give back."""
