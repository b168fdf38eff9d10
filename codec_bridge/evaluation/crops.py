"""Crops of pictures, for reports: what a row measured, beside its original."""

import io

import numpy as np
from numpy.typing import NDArray

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
    names = f"crops/{job.key}.png", f"crops/{job.source.md5}-{number}.png"
    planes = [measured.pictures[number].planes[0]]
    if job.variant == "anchor":  # every report has one
        planes.append(luma)
    files = {name: _png(plane[y : y + height, x : x + width], depth) for name, plane in zip(names, planes, strict=False)}
    units = None
    information = measured.side[number] if job.variant in ("map", "choice", "after") else None
    if information is not None:
        whole = [[int(information.mode == "all")]]
        size, choices = (max(luma.shape), whole) if information.units is None else (information.unit_size, information.units.tolist())
        units = Units(information.mode, list(information.indices), size, choices)
    return files, Crop(*names, number, x, y, width, height, units)


def _png(plane: NDArray[np.integer], bit_depth: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((plane >> (bit_depth - 8)).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
