"""What is timed: a picture of any size and a set's networks, integer and float. Without C library, for cuda_check."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.models import builtin_path, float_file
from vrcnn_int.network import KINDS, SIZES, FloatNetwork, load_float_networks, macs_per_sample
from vrcnn_int.sites import to_sites

QP = 32
OURS = "vrcnn-int"
"""What this project is called among the engines that it is compared with."""

Samples = NDArray[np.uint8]  # [height, width]
Planes = tuple[Samples, ...]  # luma, or luma, Cb and Cr of 4:2:0
Float = NDArray[np.float32]  # [1, 1, height, width], or of a joint network [1, 6, rows of sites, sites in a row]
Prepare = Callable[[Float], Callable[[], Float]]
"""What an engine is: makes itself ready for an input and returns what filters it."""


class PeerError(VrcnnError):
    """A peer is not installed, or does not do what it is here for."""


def fill(photo: Samples, width: int, height: int) -> Samples:
    """The photograph, mirrored on and on until it fills [height, width]."""
    plane = photo[:height, :width]
    return np.pad(plane, ((0, height - plane.shape[0]), (0, width - plane.shape[1])), mode="symmetric")


@dataclass(frozen=True)
class Subject:
    """A network that is timed, one of those of its kind and size in a model set: models holds these, and index is its number there."""

    models: ModelSet
    index: int

    @property
    def network(self) -> IntegerNetwork:
        return self.models.networks[self.index]

    @property
    def name(self) -> str:
        """luma, luma fast, joint fast, joint best."""
        usual = (self.network.kind, self.network.size) == ("luma", "best")
        return "luma" if usual else f"{self.network.kind} {self.network.size}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates a luma sample."""
        return macs_per_sample(self.network.architecture)

    def planes(self, photo: Planes, width: int, height: int) -> Planes:
        """What the network filters of a photograph that fills so many luma samples."""
        if self.network.kind == "luma":
            return (fill(photo[0], width, height),)
        half = (width + 1) // 2, (height + 1) // 2
        return fill(photo[0], width, height), *(np.ascontiguousarray(fill(plane, *half)) for plane in photo[1:])


def subjects(model: Path | None, kind: str | None = None, size: str | None = None) -> list[Subject]:
    """A network of each kind and size that a set has, or of those that are named; first the shipped luma network if the set has none.

    Raises VrcnnError where none is left.
    """
    models = ModelSet.load(model or builtin_path())
    found = [one for k in KINDS for s in SIZES if kind in (None, k) and size in (None, s) and (one := _subject(models, k, s))]
    if not found:
        words = " ".join(word for word in (kind, size) if word)
        raise VrcnnError(f"the model set has no {words} network")
    if kind is None and "luma" not in models.kinds:
        found[:0] = subjects(None, "luma", "best")
    return found


def _subject(models: ModelSet, kind: str, size: str) -> Subject | None:
    networks = tuple(network for network in models.networks if (network.kind, network.size) == (kind, size))
    return Subject(own := ModelSet(networks), network_for(own, kind)) if networks else None


def network_for(models: ModelSet, kind: str = "luma", size: str | None = None) -> int:
    """The network of a kind that is timed: the one for a QP nearest the test picture's. Raises VrcnnError if there is none."""
    fitting = [n for n, network in enumerate(models.networks) if network.kind == kind and size in (None, network.size)]
    if not fitting:
        raise PeerError(f"the model set has no {kind} network{f' of the size {size}' if size else ''}")
    return min(fitting, key=lambda n: abs(models.networks[n].qp - QP))


def float_network(model: Path, kind: str = "luma", size: str | None = None) -> FloatNetwork:
    """The float network that belongs to the network that is timed. Raises VrcnnError if there is none beside the model set."""
    models = ModelSet.load(model)
    path = float_file(model)
    networks, meta = load_float_networks(path, KINDS)
    if meta.get("set") != models.identity:
        raise PeerError(f"{path} belongs to model set {meta.get('set')}, not to {models.identity}")
    network = networks[network_for(models, kind, size)]
    if network.heads > 1:
        raise PeerError("peers run networks of one head")
    return network


def as_input(*planes: Samples) -> Float:
    """Samples as the network's input: (s - 128) / 255, [1, 1, height, width]; of luma, Cb and Cr [1, 6, rows of sites, sites in a row]."""
    values = [_centred(plane) for plane in planes]
    return to_sites(values)[None] if len(values) > 1 else values[0][None, None]


def _centred(plane: Samples) -> Float:
    centred: Float = (plane.astype(np.float32) - np.float32(128)) / np.float32(255)
    return centred


def as_samples(filtered: Float) -> Samples:
    """The network's output, rounded and clipped to 8-bit samples: [height, width], or [6, rows, columns] of sites."""
    samples: Samples = np.clip(np.floor(filtered[0].astype(np.float64) * 255 + 128.5), 0, 255).astype(np.uint8)
    return samples[0] if len(samples) == 1 else samples


def as_sites(planes: Sequence[Samples]) -> Samples:
    """Filtered planes in the form that as_samples gives."""
    return as_samples(as_input(*planes))
