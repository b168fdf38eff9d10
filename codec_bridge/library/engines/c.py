"""The C library."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library.engines.base import Engine, cut
from codec_bridge.library.native import Context, Model, PlaneUnits, Region, Units, Weights
from vrcnn_int.integer import Plane


class CEngine(Engine):
    """A context of the C library. Raises FilterError for a kernel that cannot run here."""

    def __init__(self, model: Model, kernel: str = "auto", threads: int = 1) -> None:
        self._context, self._networks = Context(model, kernel, threads), model.networks
        self.kernel, self.threads, self.memory = self._context.kernel, self._context.threads, self._context.memory

    def region(self, plane: Plane, bit_depth: int, index: int, scale: int, region: Region) -> Plane:
        filtered = np.empty_like(plane)
        self._context.filter_region(filtered, plane, bit_depth, index, scale, region)
        x, y, width, height = region
        return filtered if (height, width) == plane.shape else filtered[y : y + height, x : x + width].copy()

    def units(self, out: Plane, plane: Plane, bit_depth: int, units: Units, scale: int) -> None:
        self._context.filter_units(out, plane, bit_depth, units, scale)()

    def layer(self, plane: Plane, bit_depth: int, index: int, layer: int, region: Region) -> NDArray[np.uint8]:
        out = np.empty((region.height, region.width, self._networks[index].channels[layer]), np.uint8)
        self._context.filter_layer(out, plane, bit_depth, index, layer, region)
        return np.ascontiguousarray(out.transpose(2, 0, 1))

    def planes(self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, weights: Weights) -> tuple[Plane, ...]:
        filtered = [np.empty_like(plane) for plane in self._changed(planes, index)]
        self._context.filter_planes(filtered, planes, bit_depths, index, weights)()
        return (*filtered, *planes[len(filtered) :])

    def planes_region(
        self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, weights: Weights, region: Region
    ) -> tuple[Plane, ...]:
        filtered = [np.empty_like(plane) for plane in self._changed(planes, index)]
        self._context.filter_planes_region(filtered, planes, bit_depths, index, weights, region)
        return cut((*filtered, *planes[len(filtered) :]), region)

    def planes_units(self, out: Sequence[Plane], planes: Sequence[Plane], bit_depths: tuple[int, int], units: PlaneUnits) -> None:
        self._context.filter_planes_units(out, planes, bit_depths, units)()

    def prepare_planes(
        self,
        out: Sequence[Plane],
        planes: Sequence[Plane],
        bit_depths: tuple[int, int],
        index: int,
        weights: Weights,
        units: PlaneUnits | None,
    ) -> Callable[[], None]:
        if units is None:
            return self._context.filter_planes(self._changed(out, index), planes, bit_depths, index, weights)
        return self._context.filter_planes_units(out, planes, bit_depths, units)

    def _changed(self, planes: Sequence[Plane], index: int) -> Sequence[Plane]:
        """Those that a network filters."""
        return planes if self._networks[index].kind == "joint" else planes[:1]

    def planes_layer(self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, layer: int) -> NDArray[np.uint8]:
        height, width = ((side + 1) // 2 for side in planes[0].shape)
        out = np.empty((height, width, self._networks[index].channels[layer]), np.uint8)
        self._context.filter_planes_layer(out, planes, bit_depths, index, layer, Region(0, 0, width, height))
        return np.ascontiguousarray(out.transpose(2, 0, 1))

    def prepare(self, out: Plane, plane: Plane, bit_depth: int, index: int, scale: int, units: Units | None) -> Callable[[], None]:
        if units is None:
            return self._context.filter_picture(out, plane, bit_depth, index, scale)
        return self._context.filter_units(out, plane, bit_depth, units, scale)

    def close(self) -> None:
        self._context.close()
