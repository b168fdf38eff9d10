"""Labelled pictures, and integer classifiers on them: by the numpy oracle only. No torch here (training is in resnet.py).

A folder of labelled pictures has a folder for each label with picture files in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.research.extended import ExtendedNetwork, Values
from vrcnn_int.text import counted

if TYPE_CHECKING:
    pass

KIND = "classifier"


@dataclass(frozen=True)
class Pictures:
    """``samples`` uint8 [N, channels, size, size]; ``labels`` int64 [N], numbers into ``names``."""

    samples: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over samples, labels and names."""
        text = "\n".join(self.names).encode()
        return sha256(self.samples.tobytes() + self.labels.astype("<i8").tobytes() + text).hexdigest()


def read(folder: Path, size: int, channels: int | None = None, names: Sequence[str] | None = None) -> Pictures:
    """Pictures of a folder, brought to ``size`` x ``size`` by Pillow's bicubic filter.

    ``channels``: 1 or 3; None: 1 if all pictures are grey, else 3. ``names``: the labels that a model knows; None: those of the folder.
    Raises VrcnnError if there are no labels or pictures, other labels, or files that are no pictures.
    """
    from PIL import Image

    if not folder.is_dir():
        raise VrcnnError(f"{folder} is not a folder; give one that has a folder of pictures for each label")
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    known = list(names or found)
    if unknown := sorted(set(found) - set(known)):
        raise VrcnnError(f"{folder} has pictures labelled {unknown[0]!r}, which the network does not know; it knows {', '.join(known)}")
    pictures: list[Image.Image] = []
    labels: list[int] = []
    for name in found:
        for path in sorted(path for path in (folder / name).iterdir() if not path.name.startswith(".")):
            try:
                with Image.open(path) as image:
                    image.load()
                    pictures.append(image.copy())
            except (OSError, ValueError) as error:
                raise VrcnnError(f"{path} is not a readable picture ({error}); a label's folder holds nothing else") from None
            labels.append(known.index(name))
    if not pictures or len(known) < 2:
        raise VrcnnError(
            f"{folder} has {counted(len(pictures), 'picture')} of {counted(len(known), 'label')}; two labels and a picture are the least"
        )
    channels = channels or (1 if all(image.mode in ("1", "L") for image in pictures) else 3)
    mode = "L" if channels == 1 else "RGB"
    planes = [np.asarray(image.convert(mode).resize((size, size), Image.Resampling.BICUBIC), np.uint8) for image in pictures]
    samples = np.stack(planes).reshape(len(planes), size, size, channels).transpose(0, 3, 1, 2)
    return Pictures(np.ascontiguousarray(samples), np.array(labels, np.int64), tuple(known))


@dataclass(frozen=True)
class Accuracy:
    """Shares of pictures whose label is the highest sum, or among the five highest."""

    top1: float
    top5: float


def accuracy(scores: NDArray[Any], labels: NDArray[np.int64]) -> Accuracy:
    """``scores`` [N, classes]; of equal ones the first class counts as higher."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hit = order == labels[:, None]
    return Accuracy(float(hit[:, 0].mean()), float(hit[:, :5].any(1).mean()))


def classifier(path: Path) -> ExtendedNetwork:
    """Read a classifier; VrcnnError if the file is something else."""
    network = ExtendedNetwork.load(path)
    if network.meta.get("kind") != KIND:
        raise VrcnnError(f"{path} is no classifier; make one with `vrcnn-int classify train`")
    return network


def sums(network: ExtendedNetwork, pictures: Pictures) -> Values:
    """The integer network's sums, int64 [N, classes]."""
    return np.stack([network.run(samples.astype(np.int64) - 128)[-1][:, 0, 0] for samples in pictures.samples])
