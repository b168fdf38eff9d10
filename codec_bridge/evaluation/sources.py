"""The pictures of a plan's sequences: read once, kept for a while, known by their MD5."""

from dataclasses import dataclass
from threading import Lock
from typing import Any

from codec_bridge.video.catalogue import Sequence
from codec_bridge.video.picture import Picture, samples_md5
from vrcnn_int.errors import VrcnnError

KEPT_BYTES = 1 << 30
"""Of luma samples, that a machine keeps of the sequences read last."""


@dataclass(frozen=True)
class Source:
    """What was found of a sequence when the plan was made: how many pictures, their MD5, or the problem with them."""

    sequence: Sequence
    pictures: int
    md5: str | None
    problem: str | None

    @property
    def class_name(self) -> str:
        """Of the catalogue, or by size."""
        samples = self.sequence.width * self.sequence.height
        sizes = (("A", 3_000_000), ("B", 1_500_000), ("E", 700_000), ("C", 250_000), ("D", 0))
        return self.sequence.class_name or next(f"{letter} (size)" for letter, least in sizes if samples >= least)

    @property
    def facts(self) -> dict[str, Any]:
        """What documents say of it."""
        sequence = self.sequence
        return {
            "name": sequence.name,
            "class": self.class_name,
            "width": sequence.width,
            "height": sequence.height,
            "bit_depth": sequence.bit_depth,
            "rate": str(sequence.rate or 25),
            "pictures": self.pictures,
            "md5": self.md5,
        }


class Pictures:
    """The first pictures of sequences, cropped, and the MD5 of their samples; those of the last sequences stay in memory.

    For several threads at once. kept_bytes: so many, and never less than one sequence.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._most = kept_bytes
        self._kept: dict[tuple[Sequence, int, int, int], tuple[list[Picture], str]] = {}
        self._lock = Lock()

    def read(self, sequence: Sequence, frames: int) -> tuple[list[Picture], str]:
        """Up to so many pictures. Raises VrcnnError or OSError for a file that cannot be read."""
        state = sequence.path.stat()
        key = sequence, frames, state.st_size, state.st_mtime_ns
        with self._lock:
            known = self._kept.pop(key, None)
        if known is None:
            with sequence.open(frames) as video:
                pictures = [picture.cropped() for picture in video]
            known = pictures, samples_md5(pictures)
        with self._lock:
            self._kept[key] = known
            while len(self._kept) > 1 and self._bytes() > self._most:
                del self._kept[next(iter(self._kept))]
        return known

    def look(self, sequence: Sequence, frames: int, by_rule: bool) -> Source:
        """Read a sequence of which so many pictures are wanted. by_rule: fewer are enough where the catalogue does not know it."""
        try:
            pictures, md5 = self.read(sequence, frames)
        except (VrcnnError, OSError) as error:
            return Source(sequence, 0, None, str(error))
        fewer = len(pictures) < frames and (sequence.class_name or not by_rule)
        return Source(sequence, len(pictures), md5, f"the sequence ends after {len(pictures)} of {frames} pictures" if fewer else None)

    def _bytes(self) -> int:
        return sum(len(pictures) * pictures[0].planes[0].nbytes for pictures, _ in self._kept.values())
