"""Pictures of the conformance suite. Equal on every machine."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.conformance import plane_shapes
from vrcnn_int.conformance.noise import noise

CONTENTS = ("noise", "black", "narrow", "white", "real", "ramp", "extremes", "grey", "checkerboard")
JOINT_CONTENTS = tuple("colour" if content == "real" else content for content in CONTENTS)


def picture(content: str, width: int, height: int, bit_depth: int, plane: int = 0) -> NDArray[Any]:
    """A plane, uint8 or uint16 [height, width]; content: one of CONTENTS, or colour; plane: 0 luma, 1 Cb, 2 Cr, which are not alike."""
    top, count, step = (1 << bit_depth) - 1, width * height, 1 << (bit_depth - 8)
    y, x = np.mgrid[:height, :width]
    label = f"{content} {width}x{height} {bit_depth}" + f" {plane}" * (plane > 0)
    contents: dict[str, Callable[[], NDArray[np.int64]]] = {
        "noise": lambda: noise(label, count, 0, top),
        "narrow": lambda: noise(label, count, top // 2 - 4, top // 2 + 5),
        "extremes": lambda: noise(label, count, 0, 1) * top,
        "black": lambda: np.zeros(count, np.int64),
        "grey": lambda: np.full(count, (top + 1) // 2),
        "white": lambda: np.full(count, top),
        "checkerboard": lambda: (x ^ y ^ plane) % 2 * top,
        "ramp": lambda: (7 * x + 3 * y + 50 * plane) % (top + 1),
        "real": lambda: photograph(width, height) * step + noise(label, count, 0, step - 1),
        "colour": lambda: colour_photograph(width, height, plane) * step + noise(label, count, 0, step - 1),
    }
    return contents[content]().reshape(height, width).astype(np.uint8 if bit_depth == 8 else np.uint16)


def photograph(width: int, height: int) -> NDArray[np.int64]:
    """A piece of scikit-image's picture `camera` (CC0), int64 [height * width], 0 .. 255, from column 48 and row 100 on."""
    camera = import_module("skimage.data").camera()
    return np.asarray(camera)[100 : 100 + height, 48 : 48 + width].astype(np.int64).reshape(-1)


def colour_photograph(width: int, height: int, plane: int) -> NDArray[np.int64]:
    """A plane of a piece of scikit-image's picture `astronaut` (public domain), from column 150 on, int64 [height * width], 16 .. 240.

    plane: 0 luma (BT.601), 1 Cb, 2 Cr, both at half resolution.
    """
    step = 2 if plane else 1
    astronaut = np.asarray(import_module("skimage.data").astronaut())
    pixels = astronaut[: step * height, 150 : 150 + step * width].astype(np.int64)
    weights, offset = (((66, 129, 25), 16), ((-38, -74, 112), 128), ((112, -94, -18), 128))[plane]
    sums: NDArray[np.int64] = (pixels * np.array(weights)).sum(2).reshape(height, step, width, step).sum((1, 3))
    total = 256 * step**2
    return ((sums + total // 2) // total).reshape(-1) + offset


def joint_picture(content: str, width: int, height: int, depths: Sequence[int], chroma_format: int) -> tuple[NDArray[Any], ...]:
    """The planes of a picture: luma and, unless chroma_format is 400, Cb and Cr; content: one of JOINT_CONTENTS."""
    shapes = plane_shapes(width, height, chroma_format)
    return tuple(picture(content, across, down, depths[n > 0], n) for n, (down, across) in enumerate(shapes))
