"""What is timed: a picture of any size and one of a set's networks, integer and float. Without C library, for cuda_check."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import float_file
from vrcnn_int.network import FloatNetwork, load_float_networks

QP = 32
OURS = "vrcnn-int"
"""What this project is called among the engines that it is compared with."""

Float = NDArray[np.float32]  # [1, 1, height, width]
Prepare = Callable[[Float], Callable[[], Float]]
"""What an engine is: makes itself ready for an input and returns what filters it."""


class PeerError(VrcnnError):
    """A peer is not installed, or does not do what it is here for."""


def fill(photo: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The photograph, mirrored on and on until it fills [height, width]."""
    plane = photo[:height, :width]
    return np.pad(plane, ((0, height - plane.shape[0]), (0, width - plane.shape[1])), mode="symmetric")


def network_for(models: ModelSet) -> int:
    """The network that is timed: the one for a QP nearest the test picture's."""
    return min(range(len(models.networks)), key=lambda n: abs(models.networks[n].qp - QP))


def float_network(model: Path) -> FloatNetwork:
    """The float network that belongs to the network that is timed. Raises VrcnnError if there is none beside the model set."""
    models = ModelSet.load(model)
    path = float_file(model)
    networks, meta = load_float_networks(path)
    if meta.get("set") != models.identity:
        raise PeerError(f"{path} belongs to model set {meta.get('set')}, not to {models.identity}")
    return networks[network_for(models)]


def as_input(plane: NDArray[np.uint8]) -> Float:
    """Samples as the network's input: (s - 128) / 255, [1, 1, height, width]."""
    return ((plane.astype(np.float32) - np.float32(128)) / np.float32(255))[None, None]


def as_samples(filtered: Float) -> NDArray[np.uint8]:
    """The network's output, rounded and clipped to 8-bit samples [height, width]."""
    samples: NDArray[np.uint8] = np.clip(np.floor(filtered[0, 0].astype(np.float64) * 255 + 128.5), 0, 255).astype(np.uint8)
    return samples
