"""Training pairs: the luma planes of coded pictures beside their originals, packed for vrcnn_int.train."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec_bridge.catalogue import resolve
from codec_bridge.provenance import provenance
from codec_bridge.video import Picture, open_video
from vrcnn_int import pairs
from vrcnn_int.errors import VrcnnError


def pictures_of(
    path: Path, size: tuple[int, int] | None = None, pixel_format: str | None = None, frames: int | None = None
) -> Iterator[Picture]:
    """Pictures of a video file, or of all videos and picture files of a folder in the order of their names."""
    if path.is_dir():
        sequences = resolve(path, size=size, pixel_format=pixel_format, rate=Fraction(1))
        yield from islice(chain.from_iterable(sequence.open() for sequence in sequences), frames)
        return
    raw = path.suffix.lower() == ".yuv"
    with open_video(path, size if raw else None, pixel_format if raw else None, frames=frames) as video:
        yield from video


def make(
    original: Path,
    recon: Path,
    out: Path,
    qp: int,
    position: str,
    size: tuple[int, int] | None = None,
    pixel_format: str | None = None,
    frames: int | None = None,
) -> int:
    """Write the pair file ``out`` from an original and its coded reconstruction; returns the number of pictures.

    ``original``: a video or picture folder. ``recon``: the HEVC stream (decoded here, hashes checked), a yuv, or any video.
    ``size``, ``pixel_format``: of yuv files. Raises VrcnnError if the two differ in size or number of pictures, or are not 8 bits.
    """

    def planes() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        sources = pictures_of(original, size, pixel_format, frames), pictures_of(recon, size, pixel_format, frames)
        for number, (left, right) in enumerate(zip_longest(*sources)):
            if left is None or right is None:
                short, long = (original, recon) if left is None else (recon, original)
                raise VrcnnError(f"{short} ends after {number} pictures, {long} goes on: they are not the same sequence")
            if left.bit_depth != 8 or right.bit_depth != 8:
                raise VrcnnError(f"only 8-bit pictures can be packed; {original if left.bit_depth != 8 else recon} has more bits")
            yield right.planes[0].astype(np.uint8), left.planes[0].astype(np.uint8)

    meta = {"qp": qp, "position": position, "original": original.name, "recon": recon.name, "frames": frames, "provenance": provenance()}
    return pairs.write(out, planes(), meta)
