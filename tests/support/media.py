"""Small clips for tests, made on the spot."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from codec_bridge.video.frames import frame_from_picture
from codec_bridge.video.picture import Picture, plane_shapes


def pictures(
    count: int = 2, width: int = 100, height: int = 60, bit_depth: int = 8, chroma_format: str = "420", seed: int = 1
) -> list[Picture]:
    """Moving blocks and ramps with a little noise: something for an encoder to do, the same on every machine."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 120, (height // 8 + 2, width // 8 + 2))
    result = []
    for index in range(count):
        planes = []
        for rows, columns in plane_shapes(width, height, chroma_format):
            y, x = np.mgrid[:rows, :columns]
            base = 40 + blocks[(y * height // rows + index) // 8, (x * width // columns + 2 * index) // 8] + x // 4
            plane = (base + generator.integers(-4, 5, base.shape)).clip(0, 255) << bit_depth - 8
            planes.append(plane.astype(np.uint8 if bit_depth == 8 else np.uint16))
        result.append(Picture(tuple(planes), bit_depth, chroma_format))
    return result


def equal(a: Iterable[Picture], b: Iterable[Picture]) -> bool:
    """Whether two lists of pictures have the same formats and samples."""
    a, b = list(a), list(b)
    return len(a) == len(b) and all(
        (x.pixel_format, x.crop) == (y.pixel_format, y.crop) and all(np.array_equal(p, q) for p, q in zip(x.planes, y.planes, strict=True))
        for x, y in zip(a, b, strict=True)
    )


def write_container(path: Path, clip: list[Picture], codec: str = "ffv1", rate: int = 25, **options: str) -> Path:
    """Mux a clip, coded losslessly unless options say otherwise."""
    container = {"movflags": options.pop("movflags")} if "movflags" in options else {}
    with av.open(str(path), "w", options=container) as output:
        stream = output.add_stream(codec, rate=Fraction(rate), options=options)
        stream.width, stream.height, stream.pix_fmt = clip[0].width, clip[0].height, clip[0].pixel_format
        for index, picture in enumerate(clip):
            frame = frame_from_picture(picture)
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
