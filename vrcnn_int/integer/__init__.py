"""Integer networks (model.py), their files (model_file.py), and the oracle that defines the bits (oracle.py). No torch here."""

from vrcnn_int.integer.model import Branch, IntegerNetwork, ModelError, check_limits
from vrcnn_int.integer.model_file import SIGNATURE, ModelSet, Reader
from vrcnn_int.integer.oracle import (
    UNIT_SCALE,
    Plane,
    accumulate,
    accumulate_int64,
    filter_plane,
    filter_planes,
    input_values,
    joint_layer_outputs,
    layer_outputs,
    site_values,
)

__all__ = [
    "SIGNATURE",
    "UNIT_SCALE",
    "Branch",
    "IntegerNetwork",
    "ModelError",
    "ModelSet",
    "Plane",
    "Reader",
    "accumulate",
    "accumulate_int64",
    "check_limits",
    "filter_plane",
    "filter_planes",
    "input_values",
    "joint_layer_outputs",
    "layer_outputs",
    "site_values",
]
