"""A sheet of picture crops: the original, coded without in-loop filters, with deblocking and SAO, with the network, and what it added."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec_bridge.codecs import decoder, pyav
from codec_bridge.evaluation.given import builtin_name
from codec_bridge.evaluation.settings import Settings
from codec_bridge.figures.metrics import level_text, psnr
from codec_bridge.filter import Filter
from codec_bridge.video.catalogue import Sequence as VideoSequence
from codec_bridge.video.frames import frame_from_picture
from codec_bridge.video.picture import Picture
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import write_bytes
from vrcnn_int.integer import ModelSet
from vrcnn_int.io.drawing import new_figure, png
from vrcnn_int.models import builtin_path
from vrcnn_int.text import plain

CROP = (112, 176)
"""Height and width of a crop in samples."""

AMPLIFIED = 8
"""The residual is shown so many times as strong, on grey."""

COLUMNS = ("original", "no in-loop filter", "deblocking and SAO")
NETWORK = {"before_deblocking": "network in their place", "after_sao": "network after them"}
RESIDUAL = f"network's residual in luma, {AMPLIFIED} times"


def best_crop(original: NDArray[np.uint8], before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[int, int]:
    """Top left corner (y, x), multiples of 8, of the crop in which the network lowers the squared error most."""
    gain = (before - original.astype(np.int64)) ** 2 - (after - original.astype(np.int64)) ** 2
    sums = np.pad(gain.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = (min(most, size) for most, size in zip(CROP, original.shape, strict=True))
    crops = sums[height::8, width::8]  # by bottom right corner
    ys, xs = (slice(0, 8 * count, 8) for count in crops.shape)
    found = crops - sums[ys, width::8] - sums[height::8, xs] + sums[ys, xs]
    y, x = np.unravel_index(int(found.argmax()), found.shape)
    return 8 * int(y), 8 * int(x)


def colours(picture: Picture) -> NDArray[np.uint8]:
    """What is seen of a picture: [height, width, 3], or its luma [height, width] if it has no chroma."""
    shown = picture.planes[0] if picture.chroma_format == "400" else frame_from_picture(picture).to_ndarray(format="rgb24")
    return shown.astype(np.uint8)


def levels(picture: Picture, original: Picture) -> str:
    """PSNR of the planes, in words."""
    found = [level_text(psnr(a, b, 8), 2) for a, b in zip(picture.planes, original.planes, strict=True)]
    return " / ".join([*(level.removesuffix(" dB") for level in found[:-1]), found[-1]])


def make(out: Path, sequences: Sequence[VideoSequence], qp: int, model: Path | None = None, position: str = "before_deblocking") -> None:
    """Code the first picture of each sequence with x265 at a QP, filter it at a position, and write the sheet as PNG, in colour.

    Raises VrcnnError for sequences that cannot be read or coded, for sets without networks for the position, and where the file cannot be
    written.
    """
    if not sequences:
        raise VrcnnError("there are no pictures to show")
    titles = (*COLUMNS, NETWORK[position], RESIDUAL)
    figure = new_figure(2.36 * len(titles), 1.78 * len(sequences) + 0.3)
    index = Settings(position=position).network_in(ModelSet.load(model or builtin_path()), qp)
    with Filter(model) as filter_:
        for row, sequence in enumerate(sequences):
            (picture,) = sequence.open(1)
            if picture.bit_depth != 8:
                raise VrcnnError(f"{sequence.name} has {picture.bit_depth} bits; the sheet shows 8-bit pictures")
            (unfiltered,), (ordinary,) = (
                decoder.decode(pyav.encode([picture], qp, filters=on).data, cropping=False) for on in (False, True)
            )
            given = ordinary if position == "after_sao" else unfiltered
            shown = [some.cropped() for some in (picture, unfiltered, ordinary, filter_.filter_picture(given, index=index))]
            original, before, filtered = (some.cropped().planes[0] for some in (picture, given, shown[-1]))
            y, x = best_crop(original, before, filtered)
            residual = np.clip(128 + AMPLIFIED * (filtered.astype(np.int64) - before), 0, 255)
            names = [plain(sequence.name), *(levels(some, shown[0]) for some in shown[1:]), ""]
            for column, samples in enumerate([*map(colours, shown), residual.astype(np.uint8)]):
                axes = figure.add_subplot(len(sequences), len(titles), row * len(titles) + column + 1)
                axes.imshow(samples[y : y + CROP[0], x : x + CROP[1]], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axes.set_axis_off()
                if row == 0:
                    axes.set_title(titles[column], fontsize=9)
                axes.text(0.5, -0.02, names[column], ha="center", va="top", fontsize=8, transform=axes.transAxes, parse_math=False)
        shipped = builtin_name(filter_.identity)
        text = f"x265 all-intra at QP {qp}; PSNR of the whole picture's planes; the crop in which luma gains most; model set "
        text += f"{shipped} ({filter_.identity[:16]})" if shipped else filter_.identity[:16]
        figure.supxlabel(text, fontsize=7, color="0.4", parse_math=False)
    write_bytes(out, png(figure, 120))
