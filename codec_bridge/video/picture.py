"""Pictures of planar samples: one type for all that reads, codes, filters and measures them."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream.pictures import Coding
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import Plane
from vrcnn_int.network import BIT_DEPTHS

_STEPS = {"400": (1, 1), "420": (2, 2), "422": (2, 1), "444": (1, 1)}  # luma samples per chroma sample, across and down


class VideoError(VrcnnError):
    """A video or picture file is missing, damaged, or of a kind that cannot be read."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of planar samples.

    planes: Y, or Y, U, V; C-contiguous arrays (height, width), uint8 at bit depth 8 and uint16 at 9, 10 and 12, values
    0..2^bit_depth - 1.
    chroma_format: "400", "420", "422" or "444".
    crop: the part of the planes outside the conformance window: left, top, right, bottom in luma samples.
    coding: what the stream that it was decoded from says of it, None where there is none. time: in seconds, at which its container shows
    it, None where nobody says.
    Raises VideoError if these do not fit together.
    """

    planes: tuple[Plane, ...]
    bit_depth: int
    chroma_format: str
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    coding: Coding | None = None
    time: Fraction | None = None

    def __post_init__(self) -> None:
        shapes = plane_shapes(self.planes[0].shape[1], self.planes[0].shape[0], self.chroma_format) if self.planes else []
        if [plane.shape for plane in self.planes] != shapes:
            found = [plane.shape for plane in self.planes]
            raise VideoError(f"planes of shapes {found} are not a {self.chroma_format} picture")
        dtype = sample_type(self.bit_depth)
        if any(plane.dtype != dtype or not plane.flags.c_contiguous for plane in self.planes):
            raise VideoError(f"planes of {self.bit_depth}-bit pictures must be C-contiguous {dtype}")
        left, top, right, bottom = self.crop
        x, y = _STEPS[self.chroma_format]
        outside = min(self.crop) < 0 or left + right >= self.width or top + bottom >= self.height
        if outside or left % x or right % x or top % y or bottom % y:
            raise VideoError(f"crop {self.crop} does not fit a {self.chroma_format} picture of {self.width}x{self.height}")

    @property
    def width(self) -> int:
        """Width of the luma plane in samples, before cropping."""
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        """Height of the luma plane in samples, before cropping."""
        return int(self.planes[0].shape[0])

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the sample layout, such as yuv420p or gray10le."""
        base = "gray" if self.chroma_format == "400" else f"yuv{self.chroma_format}p"
        return base if self.bit_depth == 8 else f"{base}{self.bit_depth}le"

    def cropped(self) -> "Picture":
        """The picture inside the conformance window (itself if nothing is outside)."""
        if self.crop == (0, 0, 0, 0):
            return self
        left, top, right, bottom = self.crop
        planes = []
        for index, plane in enumerate(self.planes):
            x, y = _STEPS[self.chroma_format] if index else (1, 1)
            height, width = plane.shape
            planes.append(np.ascontiguousarray(plane[top // y : height - bottom // y, left // x : width - right // x]))
        return replace(self, planes=tuple(planes), crop=(0, 0, 0, 0))

    def with_luma(self, plane: Plane) -> "Picture":
        """The same picture with another luma plane of the same shape and dtype."""
        return self.with_planes((plane, *self.planes[1:]))

    def with_planes(self, planes: tuple[Plane, ...]) -> "Picture":
        """The same picture with other planes of the same shapes and dtypes."""
        return replace(self, planes=planes)


def parse_pixel_format(name: str, what: str = "pixel format") -> tuple[str, int]:
    """Chroma format and bit depth of FFmpeg's pixel format ``name``.

    Raises VideoError for all but planar yuv and gray of 8 to 10 and 12 bits.
    """
    match = re.fullmatch(r"(?:yuvj?(420|422|444)p|gray)(?:(9|10|12)le)?", name)
    if not match:
        raise VideoError(
            f"{what} {name} is not supported; supported are yuv420p, yuv422p, yuv444p and gray with 8 bits, "
            "and with 9, 10 or 12 bits as in yuv420p10le"
        )
    return match[1] or "400", int(match[2] or 8)


def sample_type(bit_depth: int) -> type[np.uint8] | type[np.uint16]:
    """The type of samples of a bit depth. Raises VideoError for all but 8, 9, 10 and 12."""
    if bit_depth not in BIT_DEPTHS:
        raise VideoError(f"bit depth {bit_depth} is not supported; supported are 8, 9, 10 and 12")
    return np.uint8 if bit_depth == 8 else np.uint16


def plane_shapes(width: int, height: int, chroma_format: str) -> list[tuple[int, int]]:
    """(height, width) of each plane. Raises VideoError for an unknown chroma format or a size it does not divide."""
    if chroma_format not in _STEPS:
        raise VideoError(f"chroma format {chroma_format} is not supported; supported are {', '.join(_STEPS)}")
    if width < 1 or height < 1:
        raise VideoError(f"a picture of {width}x{height} samples is not possible")
    x, y = _STEPS[chroma_format]
    if width % x or height % y:
        odd = "odd sizes are not supported here; vrcnn_filter filters them"
        raise VideoError(f"a picture of {width}x{height} cannot have chroma format {chroma_format}: {odd}")
    return [(height, width)] + ([] if chroma_format == "400" else 2 * [(height // y, width // x)])


def sample_bytes(plane: Plane) -> bytes:
    """The samples of a plane row by row, two bytes each above 8 bits, the lower one first: as in yuv files and picture hashes."""
    return plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes()


def samples_md5(pictures: Iterable[Picture]) -> str:
    """MD5 of all samples of all planes in order, 32 hexadecimal digits: of a yuv file with these pictures."""
    digest = hashlib.md5(usedforsecurity=False)
    for picture in pictures:
        for plane in picture.planes:
            digest.update(sample_bytes(plane))
    return digest.hexdigest()


def picture_from_rgb(array: NDArray[np.uint8]) -> Picture:
    """A photograph as an 8-bit BT.601 limited-range picture, cropped to multiples of 8 at its right and bottom.

    array: uint8, (height, width, 3) gives 4:2:0 with chroma as the mean of 2x2 samples, (height, width) gives 4:0:0.
    Integer arithmetic, rounded to nearest, so every machine gets the same samples. Raises VideoError for other shapes
    and types and for less than 8x8 samples.
    """
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        found = f"shape {array.shape} and type {array.dtype}"
        raise VideoError(f"a picture of {found} is not supported: give 8-bit gray or RGB")
    height, width = array.shape[0] // 8 * 8, array.shape[1] // 8 * 8
    if not height or not width:
        raise VideoError(f"a picture of {array.shape[1]}x{array.shape[0]} samples is too small: give at least 8x8")
    samples = array[:height, :width].astype(np.int64)
    if array.ndim == 2:
        return Picture(((16 + (219 * samples + 127) // 255).astype(np.uint8),), 8, "400")
    # Rec. ITU-R BT.601 weights times 1000: Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, and so on.
    luma = 16 + (samples @ np.array([65481, 128553, 24966]) + 127500) // 255000
    sums = samples.reshape(height // 2, 2, width // 2, 2, 3).sum(axis=(1, 3))
    u = 128 + (sums @ np.array([-37797, -74203, 112000]) + 510000) // 1020000
    v = 128 + (sums @ np.array([112000, -93786, -18214]) + 510000) // 1020000
    return Picture(tuple(np.ascontiguousarray(plane.astype(np.uint8)) for plane in (luma, u, v)), 8, "420")
