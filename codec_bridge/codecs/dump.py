"""What the filter reads of every picture of a stream, in or out of a loop, as dec265 with the adapter writes it."""

import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.parameter_sets import CHROMA_FORMATS
from codec_bridge.codecs import programs
from codec_bridge.codecs.x265.run import find_tools
from codec_bridge.video.picture import Picture, plane_shapes
from vrcnn_int.network import POSITIONS

_HEAD = re.compile(rb"picture (-?\d+) (\d+) (\d+) ([IPB]) (-?\d+) (\d+) (\d+) ([0-3]) (\d+) (\d+)\n")
NEW_COUNT = range(16, 21)
"""Types of NAL units from which picture order counts begin anew: BLA and IDR."""


@dataclass(frozen=True)
class Dumped:
    """A picture as networks read it. slice_type: I, P or B, of its slices the one that allows most. qp: of its first slice.

    temporal_id: 0 for pictures that others may refer to whatever is left out. order: pictures are put out by it: the number of their coded
    video sequence, and their POC. number: in decoding order, from 0. motion: None unless it was asked for; int32 [rows, columns, 2, 3]:
    of each block of 4x4 luma samples and each list, POC of the reference minus the picture's (0: nothing was predicted by that list), and
    the motion vector's x and y in quarter luma samples.
    """

    picture: Picture
    slice_type: str
    qp: int
    temporal_id: int
    order: tuple[int, int]
    number: int
    motion: NDArray[np.int32] | None = None


def find_decoder(folders: Mapping[str, Path]) -> Path:
    """dec265 with the adapter, where `make codecs` puts it or ``folders`` names it. Raises CodecError."""
    return find_tools(folders.get("codecs")).decoder


def check_motion(decoder: Path) -> None:
    """Raise CodecError unless the program can write motion, too."""
    if "--vrcnn-dump-motion" not in programs.run([str(decoder), "--help"], "dec265", quiet=True).log:
        raise CodecError(f"{decoder} is older than this version and cannot write motion; build it again with: make codecs")


def dump(decoder: Path, data: bytes, position: str, options: Sequence[str] = (), motion: bool = False) -> list[Dumped]:
    """Decode a stream with dec265, every hash verified; the pictures in output order.

    position: one of POSITIONS, of what is wanted; filters of either may be in the loop. options: dec265's own.
    motion: also what blocks were predicted from. Raises CodecError for a stream that it refuses, for planes of unequal bit depths, and for
    a program that cannot write motion.
    """
    if motion:
        check_motion(decoder)
    with tempfile.TemporaryDirectory(prefix="dump-") as folder:
        stream, file = Path(folder) / "stream.hevc", Path(folder) / "pictures"
        stream.write_bytes(data)
        wanted = ["--vrcnn-dump", str(file), "--vrcnn-dump-position", str(POSITIONS.index(position))]
        wanted += ["--vrcnn-dump-motion"] * motion
        programs.run([str(decoder), "-q", "-c", *wanted, *options, str(stream)], "dec265")
        with file.open("rb") as pictures:
            return sorted(_pictures(pictures, motion), key=lambda dumped: dumped.order)


def _pictures(file: BinaryIO, motion: bool) -> Iterator[Dumped]:
    count = number = 0
    while line := file.readline(200):
        match = _HEAD.fullmatch(line)
        if not match:
            raise CodecError("dec265 wrote a dump of another form; build it again: make codecs")
        poc, unit, layer, qp, width, height, chroma, bits, chroma_bits = map(int, match.group(1, 2, 3, 5, 6, 7, 8, 9, 10))
        if chroma and bits != chroma_bits:
            raise CodecError(f"luma has {bits} bits, chroma {chroma_bits}: there are no pairs of such pictures")
        count += unit in NEW_COUNT
        planes = []
        for shape in plane_shapes(width, height, CHROMA_FORMATS[chroma]):
            kind = np.dtype(np.uint8 if bits == 8 else "<u2")
            planes.append(np.frombuffer(file.read(shape[0] * shape[1] * kind.itemsize), kind).reshape(shape))
        vectors = None
        if motion:
            blocks = -(-height // 4), -(-width // 4), 2, 3
            vectors = np.frombuffer(file.read(4 * math.prod(blocks)), "<i4").reshape(blocks)
        picture = Picture(tuple(planes), bits, CHROMA_FORMATS[chroma])
        yield Dumped(picture, match[4].decode(), qp, layer, (count, poc), number, vectors)
        number += 1
