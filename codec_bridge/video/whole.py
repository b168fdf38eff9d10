"""Whether a container's file is as long as its own structure says: what a cut-off download is known by."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def missing_end(path: Path) -> int | None:
    """The byte at which a part of an MP4, Matroska or AVI file ends that is beyond the file's end; None if all is there, or nobody says."""
    total = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof"):
            parts = _boxes(file, total)
        elif head[:4] == b"RIFF":
            parts = _riff(file, total)
        elif head[:4] == _EBML.to_bytes(4, "big"):
            parts = _elements(file, total)
        else:
            return None
        return next((end for end in parts if end > total), None)


def _boxes(file: BinaryIO, total: int) -> Iterator[int]:
    """Ends of the top-level boxes of ISO/IEC 14496-12."""
    at = 0
    while at + 8 <= total:
        file.seek(at)
        size = int.from_bytes(file.read(4), "big")
        file.read(4)
        if size == 0:  # to the file's end
            return
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if size < 8:
            return
        at += size
        yield at


def _riff(file: BinaryIO, total: int) -> Iterator[int]:
    """Ends of the RIFF chunks of an AVI file; one that nobody completed says 0."""
    at = 0
    while at + 8 <= total:
        file.seek(at)
        name, size = file.read(4), int.from_bytes(file.read(4), "little")
        if name != b"RIFF" or not size:
            return
        at += 8 + size
        yield at
        at += size & 1


def _elements(file: BinaryIO, total: int) -> Iterator[int]:
    """Ends of the top-level elements of EBML; a segment that was written live does not say how long it is."""
    at = 0
    while at < total:
        file.seek(at)
        name, name_bytes = read_number(file, keep=True)
        size, size_bytes = read_number(file)
        if not name_bytes or not size_bytes or size == (1 << 7 * size_bytes) - 1:
            return
        at += name_bytes + size_bytes + size
        yield at
        if name not in (_EBML, _SEGMENT):
            return


def read_number(file: BinaryIO, keep: bool = False) -> tuple[int, int]:
    """A number of EBML and its bytes, 0 if there is none. keep: with the bit that tells its length, as names have it."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, 0
    length = 9 - first[0].bit_length()
    data = first + file.read(length - 1)
    value = int.from_bytes(data, "big")
    return value if keep else value & (1 << 7 * length) - 1, length if len(data) == length else 0
