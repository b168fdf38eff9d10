"""Picture quality: PSNR as the HM reference software computes it, and SSIM."""

import math
from importlib import import_module
from typing import Protocol, Self

import numpy as np

from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import Plane

VERSION = 1  # of what is measured; results of another version are not reused
IDENTICAL = 999.99  # what HM prints where there is no error; JSON has no infinity. In no mean, no difference, no curve: is_identical


class Picture(Protocol):
    """Planes, Y or Y, U, V, of one bit depth, some of which may lie outside what is shown."""

    @property
    def planes(self) -> tuple[Plane, ...]: ...
    @property
    def bit_depth(self) -> int: ...
    @property
    def pixel_format(self) -> str: ...
    def cropped(self) -> Self: ...


def psnr(plane: Plane, original: Plane, bit_depth: int) -> float:
    """PSNR in dB of two planes of the same shape and bit depth; 999.99 where they are equal.

    The peak is 255 * 2^(bit_depth - 8), as in HM, so that 8-bit and 10-bit figures compare. Sequences report the mean
    of their pictures' PSNR. Raises VrcnnError if the shapes differ.
    """
    _same(plane, original)
    error = np.subtract(plane, original, dtype=np.int32).ravel()
    squares = int(np.dot(error.astype(np.float64), error))  # exact: below 2^53
    peak = 255 << bit_depth - 8
    return 10 * math.log10(peak * peak * error.size / squares) if squares else IDENTICAL


def is_identical(*levels: float) -> bool:
    """Whether one of these is no PSNR but stands for planes that equal their originals."""
    return any(level >= IDENTICAL for level in levels)


def level_text(psnr: float, digits: int = 3) -> str:
    """'35.108 dB', or 'identical'."""
    return "identical" if is_identical(psnr) else f"{psnr:.{digits}f} dB"


def picture_psnr(picture: Picture, original: Picture) -> tuple[float, ...]:
    """PSNR of each plane, Y or Y, U, V, of two pictures after cropping. Raises VrcnnError if they are not alike."""
    picture, original = picture.cropped(), original.cropped()
    if picture.pixel_format != original.pixel_format:
        raise VrcnnError(f"cannot compare a {picture.pixel_format} picture with a {original.pixel_format} one")
    return tuple(psnr(a, b, picture.bit_depth) for a, b in zip(picture.planes, original.planes, strict=True))


def ssim(plane: Plane, original: Plane, bit_depth: int) -> float:
    """Mean SSIM (Wang et al. 2004: Gaussian window, sigma 1.5) of two planes of the same shape, at least 11x11, and bit depth.

    Raises VrcnnError if the shapes differ or are smaller.
    """
    _same(plane, original)
    if min(plane.shape) < 11:
        raise VrcnnError(f"SSIM needs planes of at least 11x11 samples, not {plane.shape[1]}x{plane.shape[0]}")
    # Imported here, as it takes long, and by name, as it has no type hints.
    structural_similarity = import_module("skimage.metrics").structural_similarity
    value = structural_similarity(
        plane, original, data_range=(1 << bit_depth) - 1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(value)


def _same(plane: Plane, original: Plane) -> None:
    if plane.shape != original.shape:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (plane.shape, original.shape)]
        raise VrcnnError(f"cannot compare a plane of {sizes[0]} samples with one of {sizes[1]}")
