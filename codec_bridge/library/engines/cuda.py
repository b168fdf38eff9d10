"""A GPU, with libvrcnn_cuda."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from codec_bridge.library.cuda import Cuda
from codec_bridge.library.engines.base import Engine, cut
from codec_bridge.library.native import Model, PlaneUnits, Region, Weights
from vrcnn_int.integer import Plane


class CudaEngine(Engine):
    """A model set on the first GPU. memory: the GPU's, at the start. Raises CudaError, also while filtering."""

    kernel = "cuda"

    def __init__(self, model: Model, _kernel: str = "auto", threads: int = 1) -> None:
        self.cuda, self._networks = Cuda(model.data), model.networks
        self.threads, self.memory = threads, self.cuda.memory

    def region(self, plane: Plane, bit_depth: int, index: int, scale: int, region: Region) -> Plane:
        x, y, width, height = region
        halo = self._networks[index].halo  # what lies beyond it has no say
        left, top = max(0, x - halo), max(0, y - halo)
        part = np.ascontiguousarray(plane[top : y + height + halo, left : x + width + halo])
        filtered = np.empty_like(part)
        self.cuda.filter_host([filtered], [part], bit_depth, index, scale)
        return filtered if (height, width) == part.shape else filtered[y - top :, x - left :][:height, :width].copy()

    def on_device(self, out: Any, planes: Any, bit_depth: int, index: int, scale: int, stream: int) -> None:
        self.cuda.filter_device(out, planes, bit_depth, index, scale, stream)

    def planes(self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, weights: Weights) -> tuple[Plane, ...]:
        filtered = self._changed(planes, index)
        self.cuda.filter_planes_host(filtered, planes, bit_depths, index, weights)
        return (*filtered, *planes[len(filtered) :])

    def planes_region(
        self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, weights: Weights, region: Region
    ) -> tuple[Plane, ...]:
        filtered = self._changed(planes, index)
        self.cuda.filter_planes_host(filtered, planes, bit_depths, index, weights, region)
        return cut((*filtered, *planes[len(filtered) :]), region)

    def planes_units(self, out: Sequence[Plane], planes: Sequence[Plane], bit_depths: tuple[int, int], units: PlaneUnits) -> None:
        filters = list(zip(units.indices, units.weights, strict=True))
        self.cuda.filter_units_host(out, planes, bit_depths, filters, (units.luma, units.chroma), units.size)

    def _changed(self, planes: Sequence[Plane], index: int) -> list[Plane]:
        """Room for the planes that a network filters."""
        return [np.empty_like(plane) for plane in (planes if self._networks[index].kind == "joint" else planes[:1])]

    def close(self) -> None:
        self.cuda.close()
