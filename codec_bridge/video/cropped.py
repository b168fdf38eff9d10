"""Whether a container says that only a part of its pictures is to be shown: FFmpeg decodes all of them, and does not pass that on.

Source: ISO/IEC 14496-12, clause 12.1.4 (clap); RFC 9559, section 5.1.4.1.28 (PixelCrop).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from codec_bridge.video.whole import read_number

_EBML = b"\x1a\x45\xdf\xa3"
_DESCRIPTIONS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_TRACKS = (0x18538067, 0x1654AE6B, 0xAE, 0xE0)  # Segment, Tracks, TrackEntry, Video
_PIXEL_CROP = range(0x54AA, 0x54DE, 0x11)  # bottom, top, left, right


def states_cropping(path: Path) -> bool:
    """Of an MP4 or Matroska file, by any of its tracks."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == _EBML:
            return any(any(value) for value in _elements(file, 0, path.stat().st_size, _TRACKS))
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"):
            return False
        return any(_crops(file, begin, end) for begin, end in _inside(file, 0, path.stat().st_size, _DESCRIPTIONS))


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Names of the boxes between two bytes of a file, and where their contents begin and end."""
    while at + 8 <= end:
        file.seek(at)
        size, name, begin = int.from_bytes(file.read(4), "big"), file.read(4), at + 8
        if size == 1:
            size, begin = int.from_bytes(file.read(8), "big"), at + 16
        stop = end if size == 0 else at + size
        if stop < begin or stop > end:
            return
        yield name, begin, stop
        at = stop


def _inside(file: BinaryIO, at: int, end: int, wanted: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Where the contents of boxes begin and end that are in each other, outermost first."""
    for name, begin, stop in _boxes(file, at, end):
        if name == wanted[0]:
            yield from _inside(file, begin, stop, wanted[1:]) if wanted[1:] else iter([(begin, stop)])


def _crops(file: BinaryIO, begin: int, end: int) -> bool:
    """Whether a sample entry in the contents of stsd has a clean aperture that is not the whole picture."""
    for _, entry, stop in _boxes(file, begin + 8, end):
        file.seek(entry)
        fields = file.read(78)  # of a visual sample entry
        width, height = (int.from_bytes(fields[at : at + 2], "big") for at in (24, 26))
        for kind, at, _ in _boxes(file, entry + 78, stop):
            file.seek(at)
            numbers = [int.from_bytes(file.read(4), "big") for _ in range(8)]
            whole = numbers[0] == width * numbers[1] and numbers[2] == height * numbers[3] and numbers[4] == numbers[6] == 0
            if kind == b"clap" and not whole:
                return True
    return False


def _elements(file: BinaryIO, at: int, end: int, wanted: tuple[int, ...]) -> Iterator[bytes]:
    """Values of the elements of PixelCrop between two bytes of a file. wanted: the elements that they are in, outermost first."""
    while at < end:
        file.seek(at)
        name, name_bytes = read_number(file, keep=True)
        size, size_bytes = read_number(file)
        if not name_bytes or not size_bytes:
            return
        begin = at + name_bytes + size_bytes
        at = end if size == (1 << 7 * size_bytes) - 1 else begin + size
        if wanted and name == wanted[0]:
            yield from _elements(file, begin, min(at, end), wanted[1:])
        elif not wanted and name in _PIXEL_CROP:
            yield file.read(min(size, 8))
