"""A filtered video beside what it was: a split screen, and the crop in which most has changed."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec_bridge.evaluation.contact_sheet import CROP, best_crop
from codec_bridge.evaluation.filtering import Triple
from codec_bridge.video.frames import frame_from_picture
from codec_bridge.video.metadata import Metadata
from codec_bridge.video.picture import Picture
from vrcnn_int.files import replacing

_LINE = 2
"""Luma columns of the white line between two halves."""
_TIMES, _CAPTION = 3, 16
"""How large a crop's samples are drawn, and the height of what is written above them, in the picture's own."""


def split_screen(before: Picture, after: Picture) -> Picture:
    """The left half of one picture and the right half of another like it, with a white line between."""
    middle = before.width // 4 * 2
    planes = []
    for index, (left, right) in enumerate(zip(before.planes, after.planes, strict=True)):
        cut, line = (size * left.shape[1] // before.width for size in (middle, _LINE))
        plane = np.concatenate((left[:, :cut], right[:, cut:]), axis=1)
        plane[:, cut : cut + line] = (128 if index else 235) << before.bit_depth - 8
        planes.append(plane)
    return after.with_planes(tuple(planes))


class BestCrop:
    """The crop of a video whose luma filtering has brought nearest to the original, or without one has changed most."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._most: int | None = None
        self._pictures: list[Picture] = []
        self.picture = self.x = self.y = 0

    def watch(self, pictures: Iterable[Triple]) -> Iterator[Triple]:
        """The same, which are seen on the way."""
        for number, (before, after, original) in enumerate(pictures):
            self._see(number, before, after, original)
            yield before, after, original

    def _see(self, number: int, before: Picture, after: Picture, original: Picture | None) -> None:
        aim = after if original is None else original
        y, x = best_crop(aim.planes[0], before.planes[0], after.planes[0])
        wanted, was, became = (some.planes[0][y : y + CROP[0], x : x + CROP[1]].astype(np.int64) for some in (aim, before, after))
        gain = int(((was - wanted) ** 2 - (became - wanted) ** 2).sum())
        if self._most is None or gain > self._most:
            self._most, self.picture, self.x, self.y = gain, number, x, y
            self._pictures = [before, after, *([original] if original is not None else [])]

    def write(self, path: Path) -> None:
        """As a picture file: before, after and original side by side."""
        from PIL import Image, ImageDraw

        crops = [self._colours(picture) for picture in self._pictures]
        height, width = crops[0].shape[:2]
        sheet = Image.new("RGB", (len(crops) * _TIMES * width, _TIMES * height + _CAPTION), "white")
        for column, (crop, name) in enumerate(zip(crops, ("before", "after", "original"), strict=False)):
            at = column * _TIMES * width
            sheet.paste(Image.fromarray(crop).resize((_TIMES * width, _TIMES * height), Image.Resampling.NEAREST), (at, _CAPTION))
            ImageDraw.Draw(sheet).text((at + 4, 2), name, fill="black")
        with replacing(path) as temporary:
            sheet.save(temporary, "PNG")

    def _colours(self, picture: Picture) -> NDArray[np.uint8]:
        frame = frame_from_picture(picture)
        frame.color_range = 2 if self._metadata.full_range else 1
        if self._metadata.colours:
            frame.colorspace = self._metadata.colours[2]
        shown = frame.to_ndarray(format="rgb24").astype(np.uint8)
        return shown[self.y : self.y + CROP[0], self.x : self.x + CROP[1]]
