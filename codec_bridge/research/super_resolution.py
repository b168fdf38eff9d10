"""Pairs for super-resolution: pictures made smaller and as large again by bicubic interpolation, beside the pictures themselves."""

from pathlib import Path

import numpy as np

from codec_bridge.pairs import pictures_of
from codec_bridge.provenance import provenance
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io import pairs
from vrcnn_int.io.pairs import Plane
from vrcnn_int.text import named


def resized(plane: Plane, width: int, height: int) -> Plane:
    """A luma plane in another size, bicubic (a = -0.5, widened where it shrinks), rounded to 8 bits."""
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC), np.uint8)


def upscaled(plane: Plane, factor: int) -> tuple[Plane, Plane]:
    """(the plane made smaller by ``factor`` and as large again, the plane), both cut to a multiple of ``factor``."""
    height, width = (size // factor * factor for size in plane.shape)
    if not height or not width:
        raise VrcnnError(f"a picture of {plane.shape[1]}x{plane.shape[0]} samples is too small for factor {factor}")
    original = plane[:height, :width]
    return resized(resized(original, width // factor, height // factor), width, height), original


def make(source: Path, out: Path, factor: int, frames: int | None = None) -> int:
    """Write the pair file ``out`` from a video or a folder of 8-bit pictures; returns the number of pictures.

    Its QP is 0 for every factor, so that one network can train on several. Raises VrcnnError.
    """

    def planes() -> list[tuple[Plane, Plane]]:
        found = []
        for picture in pictures_of(source, frames=frames):
            if picture.bit_depth != 8:
                raise VrcnnError(f"only 8-bit pictures can be packed; {source} has {picture.bit_depth} bits")
            found.append(upscaled(picture.planes[0].astype(np.uint8), factor))
        return found

    meta = {"qp": 0, "position": "before_deblocking", "factor": factor, "provenance": provenance(original=named(source.name))}
    return pairs.write(out, planes(), meta)
