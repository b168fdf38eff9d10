"""Crops of pictures, for reports: what a row measured, beside its original."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.evaluation.jobs import Job
from codec_bridge.evaluation.work import Measured
from codec_bridge.figures.row import Crop, Units
from codec_bridge.video.picture import Picture

CROP = (256, 192)
"""Width and height of what the report shows of a picture, at most."""


def crops_of(job: Job, measured: Measured, originals: list[Picture]) -> tuple[dict[str, bytes], Crop]:
    """PNG files of the middle of a picture, by name, and what the row says of them."""
    # Side information comes in decoding order, which is the order of the pictures but for random access, and there of the first one.
    number = 0 if job.settings.configuration == "ra" else len(originals) // 2
    depth, luma = originals[number].bit_depth, originals[number].planes[0]
    width, height = (min(most, size) for most, size in zip(CROP, luma.shape[::-1], strict=True))
    x, y = ((size - part) // 2 // 8 * 8 for size, part in zip(luma.shape[::-1], (width, height), strict=True))
    names = f"crops/{job.key}.png", f"crops/{job.source.md5}-{number}-{width}x{height}-{originals[number].chroma_format}.png"
    shown = [measured.pictures[number]]
    if job.variant == "anchor":  # every report has one
        shown.append(originals[number])
    files = {name: _png(_cut(picture, x, y, width, height), depth) for name, picture in zip(names, shown, strict=False)}
    information = measured.side[number] if job.variant in ("map", "choice", "after") else None
    luma_units, chroma_units = _units(information, measured.pictures[number]) if information else (None, None)
    return files, Crop(*names, number, x, y, width, height, luma_units, measured.pictures[number].chroma_format, chroma_units)


def _units(information: Sideinfo, picture: Picture) -> tuple[Units, Units | None]:
    """What networks filter of luma and of chroma, None where they leave chroma alone whatever is decided."""

    def of_plane(mode: str, size: int, units: NDArray[np.uint8] | None, weights: Sequence[Sequence[int]]) -> Units:
        whole = [[int(mode == "all")]]
        size, choices = (max(picture.height, picture.width), whole) if units is None else (size, units.tolist())
        return Units(mode, list(information.indices), size, choices, [list(some) for some in weights])

    if information.version == 1:
        return of_plane(information.mode, information.unit_size, information.units, len(information.indices) * [[information.scale]]), None
    luma = of_plane(information.mode, information.unit_size, information.units, information.luma_weights)
    chroma = of_plane(information.chroma_mode, information.chroma_unit_size, information.chroma_units, information.chroma_weights)
    return luma, chroma


def _cut(picture: Picture, x: int, y: int, width: int, height: int) -> NDArray[np.integer]:
    """A part of a picture's planes below each other, each at the left."""
    luma = picture.planes[0]
    parts = []
    for plane in picture.planes:
        down, across = (whole // part for whole, part in zip(luma.shape, plane.shape, strict=True))
        part = plane[y // down : (y + height) // down, x // across : (x + width) // across]
        parts.append(np.pad(part, ((0, 0), (0, width - part.shape[1]))))
    return np.concatenate(parts)


def _png(plane: NDArray[np.integer], bit_depth: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((plane >> (bit_depth - 8)).astype(np.uint8)).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()
