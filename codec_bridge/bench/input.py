"""What is timed: a picture of any size and one of a set's networks, integer and float. Without C library, for cuda_check."""

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
