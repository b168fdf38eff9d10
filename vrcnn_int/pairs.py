"""Packed pair files: the luma planes of coded pictures beside their originals, as training patches.

A pair file is an uncompressed ``.npz`` with ``recon`` and ``original`` (all planes flattened one after the other, uint8),
``shapes`` (int32, pictures x 2: height, width) and ``meta`` (JSON text: QP, position, where the pictures came from).
``codec-bridge pairs make`` writes it; training reads it. No torch here.

A packed pair file holds the same, losslessly compressed to about half, for machines that files must be carried to: ``planes``
(bytes: for each picture LZMA of the recon's differences and LZMA of original - recon), ``lengths`` (int64, pictures x 2),
``shapes`` and ``meta``; with a size limit it is a seeded subset, which ``meta`` states.
"""

import hashlib
import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from vrcnn_int.documents import checked, parse_json
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import one_line, replacing

FORMAT = "vrcnn-int pairs 1"
PACKED = "vrcnn-int packed pairs 1"
FILTERS: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]
MOST_TEXT = 16 << 20
"""Bytes of a file's meta values."""
Plane = NDArray[np.uint8]


class _Meta(Struct):
    """What reading wants of the meta values; there are more."""

    qp: Annotated[int, Meta(ge=-12, le=51)]
    position: Literal["before_deblocking", "after_sao"]
    coding_errors: list[Annotated[float, Meta(ge=0)]] | None = None


@dataclass(frozen=True)
class PairFile:
    """Luma planes of coded pictures (``recon``) and of their originals, both lists of uint8 arrays of equal shapes (H, W)."""

    recon: list[Plane]
    original: list[Plane]
    meta: dict[str, Any]

    @property
    def qp(self) -> int:
        """QP the pictures were coded at."""
        return int(self.meta["qp"])

    @property
    def coding_errors(self) -> list[float]:
        """Mean squared error of each coded picture; of taught pairs (see teach.py) that to the picture's own original, which they state."""
        stated: list[float] | None = self.meta.get("coding_errors")
        if stated is not None:
            return stated
        return [float(np.mean(np.square(o.astype(np.float32) - r))) for r, o in zip(self.recon, self.original, strict=True)]

    @property
    def md5(self) -> str:
        """MD5 over all samples: names the data in training logs."""
        digest = hashlib.md5(usedforsecurity=False)
        for recon, original in zip(self.recon, self.original, strict=True):
            digest.update(recon.tobytes())
            digest.update(original.tobytes())
        return digest.hexdigest()


def write(path: str | Path, pairs: Iterable[tuple[Plane, Plane]], meta: dict[str, Any]) -> int:
    """Write ``pairs`` of (recon, original) uint8 luma planes, return their number.

    ``meta`` needs at least ``qp`` (int) and ``position`` (``before_deblocking`` or ``after_sao``).
    Raises VrcnnError for planes of other types, of unequal shapes, or none at all.
    """
    recon: list[Plane] = []
    original: list[Plane] = []
    for number, (left, right) in enumerate(pairs):
        if left.shape != right.shape or left.ndim != 2:
            raise VrcnnError(f"pair {number}: the coded picture is {left.shape}, the original {right.shape}; they must match")
        if left.dtype != np.uint8 or right.dtype != np.uint8:
            raise VrcnnError(f"pair {number}: only 8-bit pictures can be packed, not {left.dtype} and {right.dtype}")
        recon.append(left)
        original.append(right)
    if not recon:
        raise VrcnnError("no pictures to pack")
    shapes = np.array([plane.shape for plane in recon], np.int32)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            recon=np.concatenate([plane.ravel() for plane in recon]),
            original=np.concatenate([plane.ravel() for plane in original]),
            shapes=shapes,
            meta=np.array(json.dumps({**meta, "format": FORMAT}, sort_keys=True)),
        )
    return len(recon)


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
    for number in order:
        recon, original = source.recon[number], source.original[number]
        pair = [lzma.compress(plane.tobytes(), lzma.FORMAT_RAW, filters=FILTERS) for plane in (_differences(recon), original - recon)]
        # 4096 and 32 a picture: more than zip's heads, the shapes and the lengths take.
        if limit is not None and 4096 + head + 32 * len(chosen) + sum(map(len, blobs + pair)) > limit:
            break
        blobs += pair
        chosen.append(number)
    if not chosen:
        raise VrcnnError(f"not one picture fits into {limit} bytes")
    subset = {"of": len(order), "seed": seed, "pictures": len(chosen)} if len(chosen) < len(order) else None
    meta = {**source.meta, "format": PACKED, "subset": subset}
    if "coding_errors" in meta:
        meta["coding_errors"] = [meta["coding_errors"][number] for number in chosen]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            planes=np.frombuffer(b"".join(blobs), np.uint8),
            lengths=np.array([len(blob) for blob in blobs], np.int64).reshape(-1, 2),
            shapes=np.array([source.recon[number].shape for number in chosen], np.int32),
            meta=np.array(json.dumps(meta, sort_keys=True)),
        )
    return len(chosen)


def _unpack(planes: Plane, lengths: NDArray[np.int64], shapes: NDArray[np.int32]) -> tuple[list[Plane], list[Plane]]:
    recon, original, start = [], [], 0
    for (first, second), shape in zip(lengths.tolist(), shapes.tolist(), strict=True):
        blobs = planes[start : start + first], planes[start + first : start + first + second]
        start += first + second
        differences, residual = (_decompress(blob, *shape) for blob in blobs)
        recon.append(_sums(differences))
        original.append(recon[-1] + residual)
    return recon, original


def _decompress(blob: Plane, height: int, width: int) -> Plane:
    """Never more samples than the picture has."""
    samples = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS).decompress(blob.tobytes(), height * width + 1)
    return np.frombuffer(samples, np.uint8).reshape(height, width)


def _split(flat: Plane, shapes: NDArray[np.int32]) -> Iterator[Plane]:
    start = 0
    for height, width in shapes.tolist():
        yield flat[start : start + height * width].reshape(height, width)
        start += height * width


def _array(arrays: Any, name: str, most: int) -> NDArray[Any]:
    """An array of a file, of no more bytes than that: what is compressed may become any number of them."""
    if arrays.zip.getinfo(f"{name}.npy").file_size > most:
        raise VrcnnError(f"its {name} are larger than its pictures say")
    found: NDArray[Any] = arrays[name]
    return found


def read(path: str | Path) -> PairFile:
    """Read a pair file, packed or not. Raises VrcnnError if it is missing, damaged or something else."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            meta = parse_json(str(_array(arrays, "meta", MOST_TEXT)).encode(), str(path))
            if not isinstance(meta, dict) or meta.get("format") not in (FORMAT, PACKED):
                raise VrcnnError(f"{path} is not a pair file of this version ({FORMAT})")
            known = checked(meta, _Meta, str(path))
            shapes = _array(arrays, "shapes", MOST_TEXT)
            if shapes.dtype != np.int32 or shapes.ndim != 2 or shapes.shape[1] != 2 or not len(shapes) or shapes.min() < 1:
                raise VrcnnError(f"{path} is damaged: it does not say the sizes of its pictures")
            if known.coding_errors is not None and len(known.coding_errors) != len(shapes):
                raise VrcnnError(f"{path}: coding_errors: {len(known.coding_errors)} for {len(shapes)} pictures")
            samples = int(shapes.astype(np.int64).prod(axis=1).sum())
            if meta["format"] == PACKED:
                planes, lengths = _array(arrays, "planes", 4 * samples + MOST_TEXT), _array(arrays, "lengths", MOST_TEXT)
                found = PairFile(*_unpack(planes, lengths, shapes), meta)
            else:
                recon, original = (_array(arrays, name, samples + MOST_TEXT) for name in ("recon", "original"))
                if any(array.dtype != np.uint8 or array.shape != (samples,) for array in (recon, original)):
                    raise VrcnnError(f"{path} is damaged: {samples} samples expected, {recon.size} and {original.size} found")
                found = PairFile(list(_split(recon, shapes)), list(_split(original, shapes)), meta)
            return found
    except VrcnnError:
        raise
    except FileNotFoundError:
        raise VrcnnError(f"no pair file {path}; make one with `codec-bridge pairs make`") from None
    except Exception as error:  # numpy, zipfile, zlib and lzma raise whatever they like
        raise VrcnnError(f"{path} is not a readable pair file ({one_line(error)}); make it again with `codec-bridge pairs make`") from None
