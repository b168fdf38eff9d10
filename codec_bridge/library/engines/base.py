"""Engine: what filters for codec_bridge.filter.Filter."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.library.errors import ErrorCode, FilterError
from codec_bridge.library.native import PlaneUnits, Region, Units, Weights
from vrcnn_int.integer import Plane


class Engine(ABC):
    """A model set, ready to filter. All engines give the same bits; what one cannot do it refuses with ErrorCode.ARGUMENT.

    Whoever calls has checked every argument (bit depth, samples, index, scale 1..10, region inside the plane, map) and makes one call at
    a time. plane: uint8 or uint16 [height, width], C-contiguous, in the machine's byte order; it is not changed.
    kernel: its name in results. threads: how many work on a picture. memory: bytes held for filtering.
    """

    kernel: str
    threads: int
    memory: int

    @abstractmethod
    def region(self, plane: Plane, bit_depth: int, index: int, scale: int, region: Region) -> Plane:
        """The filtered samples of a region, a new array [height, width] of plane's dtype."""

    def units(self, out: Plane, plane: Plane, bit_depth: int, units: Units, scale: int) -> None:
        """Filter each unit of plane into out, a C-contiguous array like plane; where a unit has no network, out stays as it is."""
        height, width = plane.shape
        choice = units.choice.repeat(units.size, 0).repeat(units.size, 1)[:height, :width]
        for n, index in enumerate(units.indices, 1):
            np.copyto(out, self.region(plane, bit_depth, index, scale, Region(0, 0, width, height)), where=choice == n)

    def layer(self, plane: Plane, bit_depth: int, index: int, layer: int, region: Region) -> NDArray[np.uint8]:
        """The outputs 0..127 of a hidden layer for a region: [channels, height, width]."""
        raise FilterError(f"the {self.kernel} backend does not show hidden layers; use another one for that", ErrorCode.ARGUMENT)

    @abstractmethod
    def planes(self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, weights: Weights) -> tuple[Plane, ...]:
        """The filtered planes, luma or luma, Cb and Cr of 4:2:0: new arrays, but for those that the network does not change."""

    def planes_region(
        self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, weights: Weights, region: Region
    ) -> tuple[Plane, ...]:
        """The filtered samples of a region, in luma samples, of each plane."""
        return cut(self.planes(planes, bit_depths, index, weights), region)

    def planes_units(self, out: Sequence[Plane], planes: Sequence[Plane], bit_depths: tuple[int, int], units: PlaneUnits) -> None:
        """Filter each unit of planes into out, arrays like planes; where a unit of a plane has no filter, out stays as it is."""
        for n, (index, weights) in enumerate(zip(units.indices, units.weights, strict=True), 1):
            filtered = self.planes(planes, bit_depths, index, weights)
            for number, (before, after) in enumerate(zip(out, filtered, strict=True)):
                choice, size = (units.chroma, units.size // 2) if number else (units.luma, units.size)
                if choice is not None:
                    chosen = choice.repeat(size, 0).repeat(size, 1)[: before.shape[0], : before.shape[1]]
                    np.copyto(before, after, where=chosen == n)

    def planes_layer(self, planes: Sequence[Plane], bit_depths: tuple[int, int], index: int, layer: int) -> NDArray[np.uint8]:
        """The outputs 0..127 of a hidden layer of a joint network for all sites: [channels, height, width]."""
        raise FilterError(f"the {self.kernel} backend does not show hidden layers; use another one for that", ErrorCode.ARGUMENT)

    def prepare(self, out: Plane, plane: Plane, bit_depth: int, index: int, scale: int, units: Units | None) -> Callable[[], None]:
        """A function that filters plane, or its units, into out, a C-contiguous array like plane, whenever it is called."""
        raise FilterError("only the C library filters in place of a given array", ErrorCode.ARGUMENT)

    def prepare_planes(
        self,
        out: Sequence[Plane],
        planes: Sequence[Plane],
        bit_depths: tuple[int, int],
        index: int,
        weights: Weights,
        units: PlaneUnits | None,
    ) -> Callable[[], None]:
        """The same for planes, and arrays like them."""
        raise FilterError("only the C library filters in place of given arrays", ErrorCode.ARGUMENT)

    def on_device(self, out: Any, planes: Any, bit_depth: int, index: int, scale: int, stream: int) -> None:
        """Filter what lies on the GPU, as Filter.filter_on_device."""
        raise FilterError("only the cuda backend filters arrays on a GPU", ErrorCode.ARGUMENT)

    @abstractmethod
    def close(self) -> None:
        """Give the memory back now, once; no call may follow."""


def cut(planes: Sequence[Plane], region: Region) -> tuple[Plane, ...]:
    """A region, in luma samples, of luma or of luma, Cb and Cr of 4:2:0: copies."""
    x, y, width, height = region
    luma = planes[0][y : y + height, x : x + width].copy()
    return luma, *(plane[y // 2 : (y + height + 1) // 2, x // 2 : (x + width + 1) // 2].copy() for plane in planes[1:])
