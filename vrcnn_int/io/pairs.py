"""Pair files: the planes of coded pictures beside their originals, as training patches.

A pair file is an uncompressed ``.npz`` with ``recon`` and ``original`` (all luma planes flattened one after the other, uint8),
``shapes`` (int32, pictures x 2: height, width of luma) and ``meta`` (JSON text: QP, position, where the pictures came from). The second
format has ``recon_chroma`` and ``original_chroma`` as well: Cb and Cr of each picture, 4:2:0, likewise; a picture that has no such planes
has 128 there. ``codec-bridge pairs make`` writes pair files; training reads them. No torch here.

A packed pair file holds the same, losslessly compressed to about half, for machines that files must be carried to: ``planes``
(bytes: for each plane LZMA of the recon's differences and LZMA of original - recon), ``lengths`` (int64, pictures x 2, in the second
format x 6), ``shapes`` and ``meta``; with a size limit it is a seeded subset, which ``meta`` states.
"""

import hashlib
import json
import lzma
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import one_line, replacing
from vrcnn_int.inputs import MOST_RATIO, SMALL, open_archive
from vrcnn_int.io.documents import checked, parse_json
from vrcnn_int.text import counted

FORMATS = ("vrcnn-int pairs 1", "vrcnn-int pairs 2")
PACKED = ("vrcnn-int packed pairs 1", "vrcnn-int packed pairs 2")
"""Of files with luma, and of files with luma and chroma."""
FILTERS: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]
MOST_TEXT = 16 << 20
"""Bytes of a file's meta values."""
GREY = 2
"""Between the smallest and largest sample of a chroma plane that has no colour."""
Plane = NDArray[np.uint8]


class _Meta(Struct):
    """What reading wants of the meta values; there are more."""

    qp: Annotated[int, Meta(ge=-12, le=51)]
    position: Literal["before_deblocking", "after_sao"]
    coding_errors: list[Annotated[float, Meta(ge=0)]] | None = None


Chroma = tuple[Plane, Plane]
"""Cb and Cr of a 4:2:0 picture."""
Sides = tuple[list[list[Plane]], list[list[Plane]]]
"""The planes of each picture: coded, and original."""


@dataclass(frozen=True)
class PairFile:
    """Planes of coded pictures (``recon``) and of their originals, uint8: luma, lists of arrays of equal shapes (H, W), and chroma, which
    has ceil(H / 2) x ceil(W / 2) samples, or is empty where the file has luma alone."""

    recon: list[Plane]
    original: list[Plane]
    meta: dict[str, Any]
    recon_chroma: Sequence[Chroma] = ()
    original_chroma: Sequence[Chroma] = ()

    @property
    def qp(self) -> int:
        """QP the pictures were coded at."""
        return int(self.meta["qp"])

    @property
    def coding_errors(self) -> list[float]:
        """Mean squared luma error of each coded picture; of taught pairs (see teach.py) that to its own original, which they state."""
        stated: list[float] | None = self.meta.get("coding_errors")
        if stated is not None:
            return stated
        return [_error(*planes) for planes in zip(self.recon, self.original, strict=True)]

    @property
    def chroma_errors(self) -> list[tuple[float, float]]:
        """Mean squared errors of Cb and Cr of each coded picture; 0 of a plane that is one grey in the original."""
        return [
            (_chroma_error(recon[0], original[0]), _chroma_error(recon[1], original[1]))
            for recon, original in zip(self.recon_chroma, self.original_chroma, strict=True)
        ]

    @property
    def md5(self) -> str:
        """MD5 over all luma samples: names the data in the logs of networks that read luma."""
        return self.md5_for("luma")

    def md5_for(self, kind: str) -> str:
        """MD5 over all samples that networks of a kind learn from (luma, then chroma): names the data in their logs."""
        digest = hashlib.md5(usedforsecurity=False)
        for recon, original in zip(self.recon, self.original, strict=True):
            digest.update(recon.tobytes())
            digest.update(original.tobytes())
        if kind == "joint":
            for pair in zip(self.recon_chroma, self.original_chroma, strict=True):
                for plane in chain(*pair):
                    digest.update(plane.tobytes())
        return digest.hexdigest()

    def planes(self) -> Iterator[tuple[tuple[Plane, ...], tuple[Plane, ...]]]:
        """(recon, original) of each picture: luma alone, or Y, Cb and Cr."""
        for number, (recon, original) in enumerate(zip(self.recon, self.original, strict=True)):
            has = bool(self.recon_chroma)
            yield (recon, *(self.recon_chroma[number] if has else ())), (original, *(self.original_chroma[number] if has else ()))


def chroma_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Of the chroma planes beside a luma plane of that shape, 4:2:0."""
    return (shape[0] + 1) // 2, (shape[1] + 1) // 2


def write(path: str | Path, pairs: Iterable[tuple[Plane | Sequence[Plane], Plane | Sequence[Plane]]], meta: dict[str, Any]) -> int:
    """Write ``pairs`` of (recon, original) uint8, each a luma plane or Y, Cb, Cr of a 4:2:0 picture; return their number.

    Where some pictures have chroma, those without get 128. ``meta`` needs at least ``qp`` (int) and ``position`` (``before_deblocking`` or
    ``after_sao``). Raises VrcnnError for planes of other types, of unequal shapes, or none at all.
    """
    pictures = []
    for number, pair in enumerate(pairs):
        recon, original = ((side,) if isinstance(side, np.ndarray) else tuple(side) for side in pair)
        if [plane.shape for plane in recon] != [plane.shape for plane in original] or recon[0].ndim != 2:
            shapes = [planes[0].shape if len(planes) == 1 else [plane.shape for plane in planes] for planes in (recon, original)]
            raise VrcnnError(f"pair {number}: the coded picture is {shapes[0]}, the original {shapes[1]}; they must match")
        if any(plane.dtype != np.uint8 for plane in recon + original):
            raise VrcnnError(f"pair {number}: only 8-bit pictures can be packed, not {recon[0].dtype} and {original[0].dtype}")
        if [plane.shape for plane in recon[1:]] not in ([], [chroma_shape(recon[0].shape)] * 2):
            raise VrcnnError(f"pair {number}: chroma must be that of 4:2:0, not {[plane.shape for plane in recon[1:]]}")
        pictures.append((recon, original))
    if not pictures:
        raise VrcnnError("no pictures to pack")
    has = any(len(recon) > 1 for recon, _ in pictures)
    arrays: dict[str, NDArray[Any]] = {}
    for name, planes in zip(("recon", "original"), zip(*pictures, strict=True), strict=True):
        arrays[name] = np.concatenate([picture[0].ravel() for picture in planes])
        if has:
            chroma = chain.from_iterable(p[1:] or [np.full(chroma_shape(p[0].shape), 128, np.uint8)] * 2 for p in planes)
            arrays[f"{name}_chroma"] = np.concatenate([plane.ravel() for plane in chroma])
    arrays["shapes"] = np.array([recon[0].shape for recon, _ in pictures], np.int32)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays, meta=np.array(json.dumps({**meta, "format": FORMATS[has]}, sort_keys=True)))
    return len(pictures)


def _error(recon: Plane, original: Plane) -> float:
    return float(np.mean(np.square(original.astype(np.float32) - recon)))


def _chroma_error(recon: Plane, original: Plane) -> float:
    return _error(recon, original) if np.ptp(original) > GREY else 0.0


def _differences(plane: Plane) -> Plane:
    """Each sample minus left plus upper minus upper left neighbour, modulo 256."""
    down: Plane = np.diff(plane, axis=0, prepend=np.uint8(0))
    return np.diff(down, axis=1, prepend=np.uint8(0))


def _sums(plane: Plane) -> Plane:
    """Inverse of _differences."""
    return np.cumsum(np.cumsum(plane, axis=1, dtype=np.uint8), axis=0, dtype=np.uint8)


def pack(source: PairFile, path: str | Path, limit: int | None = None, seed: int = 1) -> int:
    """Write ``source`` as packed pair file, return the number of pictures.

    ``limit``: bytes; as many pictures as fit, in an order drawn from ``seed``, which the file's meta values state.
    Raises VrcnnError if not one picture fits.
    """
    order = np.random.default_rng(seed).permutation(len(source.recon)).tolist() if limit is not None else list(range(len(source.recon)))
    head = len(json.dumps(source.meta))
    blobs: list[bytes] = []
    chosen: list[int] = []
    pictures = list(source.planes())
    for number in order:
        planes = [plane for pair in zip(*pictures[number], strict=True) for plane in (_differences(pair[0]), pair[1] - pair[0])]
        compressed = [lzma.compress(plane.tobytes(), lzma.FORMAT_RAW, filters=FILTERS) for plane in planes]
        # 4096 and 64 a picture: more than zip's heads, the shapes and the lengths take.
        if limit is not None and 4096 + head + 64 * len(chosen) + sum(map(len, blobs + compressed)) > limit:
            break
        blobs += compressed
        chosen.append(number)
    if not chosen:
        raise VrcnnError(f"not one picture fits into {limit} bytes")
    subset = {"of": len(order), "seed": seed, "pictures": len(chosen)} if len(chosen) < len(order) else None
    meta = {**source.meta, "format": PACKED[bool(source.recon_chroma)], "subset": subset}
    if "coding_errors" in meta:
        meta["coding_errors"] = [meta["coding_errors"][number] for number in chosen]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            planes=np.frombuffer(b"".join(blobs), np.uint8),
            lengths=np.array([len(blob) for blob in blobs], np.int64).reshape(len(chosen), -1),
            shapes=np.array([source.recon[number].shape for number in chosen], np.int32),
            meta=np.array(json.dumps(meta, sort_keys=True)),
        )
    return len(chosen)


def _unpack(planes: Plane, lengths: NDArray[np.int64], shapes: NDArray[np.int32], luma: bool) -> Sides:
    """Planes of each picture, coded and original."""
    recon: list[list[Plane]] = []
    original: list[list[Plane]] = []
    start = 0
    for row, shape in zip(lengths.tolist(), shapes.tolist(), strict=True):
        sizes = [shape] if luma else [shape, *[chroma_shape(shape)] * 2]
        found = []
        for length, size in zip(row, [size for size in sizes for _ in range(2)], strict=True):
            found.append(_decompress(planes[start : start + length], *size))
            start += length
        recon.append([_sums(differences) for differences in found[::2]])
        original.append([plane + residual for plane, residual in zip(recon[-1], found[1::2], strict=True)])
    return recon, original


def _decompress(blob: Plane, height: int, width: int) -> Plane:
    """Never more samples than the picture has."""
    samples = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS).decompress(blob.tobytes(), height * width + 1)
    return np.frombuffer(samples, np.uint8).reshape(height, width)


def _split(flat: Plane, shapes: Iterable[Sequence[int]]) -> Iterator[Plane]:
    start = 0
    for height, width in shapes:
        yield flat[start : start + height * width].reshape(height, width)
        start += height * width


def _array(arrays: Any, name: str, most: int) -> NDArray[Any]:
    """An array of a file, of no more bytes than that: what is compressed may become any number of them."""
    if arrays.zip.getinfo(f"{name}.npy").file_size > most:
        raise VrcnnError(f"its {name} are larger than its pictures say")
    found: NDArray[Any] = arrays[name]
    return found


def _read_packed(arrays: Any, shapes: NDArray[np.int32], luma: bool, _name: str) -> Sides:
    samples = sum(height * width for height, width in shapes.tolist())
    return _unpack(_array(arrays, "planes", 8 * samples + MOST_TEXT), _array(arrays, "lengths", MOST_TEXT), shapes, luma)


def _read_plain(arrays: Any, shapes: NDArray[np.int32], luma: bool, name: str) -> Sides:
    both = []
    for side in ("recon", "original"):
        pictures = [[plane] for plane in _split(_samples(arrays, side, shapes.tolist(), name), shapes.tolist())]
        if not luma:
            sizes = [size for shape in shapes.tolist() for size in [chroma_shape(shape)] * 2]
            chroma = list(_split(_samples(arrays, f"{side}_chroma", sizes, name), sizes))
            pictures = [[*picture, *chroma[2 * i : 2 * i + 2]] for i, picture in enumerate(pictures)]
        both.append(pictures)
    return both[0], both[1]


def _samples(arrays: Any, name: str, shapes: Sequence[Sequence[int]], path: str) -> Plane:
    """A flat array of so many samples as planes of these shapes have."""
    samples = sum(height * width for height, width in shapes)
    found = _array(arrays, name, samples * 8 + MOST_TEXT)
    if found.dtype != np.uint8:
        raise VrcnnError(f"{path} is damaged: samples of {name.replace('_', ' ')} are {found.dtype}, not uint8")
    if found.shape != (samples,):
        raise VrcnnError(f"{path} is damaged: {samples} samples of {name.replace('_', ' ')} expected, {found.size} found")
    return found


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[BinaryIO, Any, dict[str, Any]]]:
    """The file, its arrays and its meta values. Raises VrcnnError for all that goes wrong with it inside."""
    try:
        with open_archive(path) as file, np.load(file, allow_pickle=False) as arrays:
            meta = parse_json(str(_array(arrays, "meta", MOST_TEXT)).encode(), str(path))
            if not isinstance(meta, dict) or meta.get("format") not in FORMATS + PACKED:
                raise VrcnnError(f"{path} is not a pair file of this version ({FORMATS[-1]})")
            yield file, arrays, meta
    except VrcnnError:
        raise
    except FileNotFoundError:
        raise VrcnnError(f"no pair file {path}; make one with `codec-bridge pairs make`") from None
    except IsADirectoryError:
        raise VrcnnError(f"{path} is a folder; give the pair files in it") from None
    except Exception as error:  # numpy, zipfile, zlib and lzma raise whatever they like
        raise VrcnnError(f"{path} is not a readable pair file ({one_line(error)}); make it again with `codec-bridge pairs make`") from None


def look(path: str | Path) -> dict[str, Any]:
    """The meta values of a pair file, without its pictures. Raises VrcnnError as ``read`` does for them."""
    with _opened(path) as (_, _, meta):
        checked(meta, _Meta, str(path))
        return meta


def read(path: str | Path) -> PairFile:
    """Read a pair file, packed or not. Raises VrcnnError if it is missing, damaged or something else."""
    with _opened(path) as (file, arrays, meta):
        known = checked(meta, _Meta, str(path))
        shapes = _array(arrays, "shapes", MOST_TEXT)
        if shapes.dtype != np.int32 or shapes.ndim != 2 or shapes.shape[1] != 2 or not len(shapes) or shapes.min() < 1:
            raise VrcnnError(f"{path} is damaged: it does not say the sizes of its pictures")
        if known.coding_errors is not None and len(known.coding_errors) != len(shapes):
            raise VrcnnError(f"{path}: coding_errors: {len(known.coding_errors)} for {counted(len(shapes), 'picture')}")
        luma = meta["format"] in (FORMATS[0], PACKED[0])
        samples, size = sum(2 * height * width for height, width in shapes.tolist()), os.fstat(file.fileno()).st_size
        if samples > MOST_RATIO * size + SMALL:
            raise VrcnnError(f"{path} is damaged: {size} bytes do not hold pictures of {samples} samples")
        found = (_read_packed if meta["format"] in PACKED else _read_plain)(arrays, shapes, luma, str(path))
        recon, original = ([planes[0] for planes in side] for side in found)
        chroma = ([] if luma else [(planes[1], planes[2]) for planes in side] for side in found)
        return PairFile(recon, original, meta, *chroma)
