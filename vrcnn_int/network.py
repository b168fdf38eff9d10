"""VRCNN as data: its layers, and the weights of a trained float network. No torch here (the ``nn.Module`` is in module.py).

VRCNN: Dai, Liu, Wu, "A convolutional neural network approach for post-processing in HEVC intra coding", MMM 2017.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import one_line, replacing

FLOAT_FORMAT = "vrcnn-int float 1"
POSITIONS = ("before_deblocking", "after_sao")
KINDS = ("luma", "joint")
"""What a network filters: the luma plane, or luma and chroma together, a site of 2x2 luma samples and its Cb and Cr at a time."""
INPUTS = {"luma": 1, "joint": 6}
"""Channels of the first layer's input."""
SIZES = ("fast", "best")
"""What an encoder chooses a network by, beside QP, position and kind."""


@dataclass(frozen=True)
class Convolution:
    """One branch of a layer: ``channels`` outputs, ``kernel`` x ``kernel`` taps, stride 1, as many samples out as in."""

    channels: int
    kernel: int


Architecture = tuple[tuple[Convolution, ...], ...]
"""Layers of branches; the outputs of a layer's branches are concatenated. The last layer gives one residual plane."""

VRCNN: Architecture = (
    (Convolution(64, 5),),
    (Convolution(16, 5), Convolution(32, 3)),
    (Convolution(16, 3), Convolution(32, 1)),
    (Convolution(1, 3),),
)

VDSR: Architecture = ((Convolution(64, 3),),) * 19 + ((Convolution(1, 3),),)
"""Kim, Lee, Lee, "Accurate image super-resolution using very deep convolutional networks", CVPR 2016."""

VRCNN_WIDE: Architecture = tuple(tuple(Convolution(2 * b.channels, b.kernel) for b in layer) for layer in VRCNN[:-1]) + VRCNN[-1:]
"""A teacher (see teach.py): four times VRCNN's multiplications."""

NETWORKS = {"vrcnn": VRCNN, "vrcnn-wide": VRCNN_WIDE, "vdsr": VDSR}
"""By the name that training takes."""


def halo(architecture: Architecture) -> int:
    """Samples that the filter looks beyond a sample on each side (VRCNN: 6)."""
    return sum(max(branch.kernel for branch in layer) // 2 for layer in architecture)


def macs_per_sample(architecture: Architecture) -> int:
    """Multiply-accumulates a luma sample (VRCNN: 54 512)."""
    total, inputs = 0, 1
    for layer in architecture:
        total += sum(branch.channels * branch.kernel**2 * inputs for branch in layer)
        inputs = sum(branch.channels for branch in layer)
    return total


@dataclass(frozen=True)
class FloatNetwork:
    """A trained float network: per layer and branch ``weights`` float32 [out, in, k, k] and ``biases`` float32 [out].

    ``bounds`` are the upper bounds of the BReLU after each hidden layer, in float units (the input is (s - 128) / 255).
    ``tuning`` carries the frozen quantization (see quantize.Plan) after the last training stage, else None.
    """

    weights: tuple[tuple[NDArray[np.float32], ...], ...]
    biases: tuple[tuple[NDArray[np.float32], ...], ...]
    bounds: tuple[float, ...]
    qp: int
    position: str
    tuning: dict[str, Any] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> Architecture:
        """The layers that the weights' shapes describe."""
        return tuple(tuple(Convolution(w.shape[0], w.shape[2]) for w in layer) for layer in self.weights)

    @property
    def identity(self) -> str:
        """SHA-256 over shapes, weights, biases and bounds, little-endian float32 (bounds float64)."""
        digest = hashlib.sha256(json.dumps([self.architecture_list(), self.qp, self.position]).encode())
        for weights, biases in zip(self.weights, self.biases, strict=True):
            for weight, bias in zip(weights, biases, strict=True):
                digest.update(weight.astype("<f4").tobytes())
                digest.update(bias.astype("<f4").tobytes())
        digest.update(np.array(self.bounds, "<f8").tobytes())
        return digest.hexdigest()

    def architecture_list(self) -> list[list[list[int]]]:
        """The architecture as plain lists, for JSON."""
        return [[[branch.channels, branch.kernel] for branch in layer] for layer in self.architecture]


def widened(network: FloatNetwork, architecture: Architecture) -> FloatNetwork:
    """The same function in an architecture whose branches have a multiple of the channels (Chen, Goodfellow, Shlens, "Net2Net", ICLR 2016).

    Each channel is there several times, and the weights that read it are divided among its copies, unequally so that they learn apart.
    Raises VrcnnError for an architecture that is not a multiple.
    """
    fits = [[branch.kernel for branch in layer] for layer in network.architecture] == [
        [branch.kernel for branch in layer] for layer in architecture
    ]
    if not fits or any(
        wide.channels % branch.channels
        for layer, others in zip(network.architecture, architecture, strict=True)
        for branch, wide in zip(layer, others, strict=True)
    ):
        raise VrcnnError("a network can only be widened to an architecture whose branches have multiples of its channels")
    rng = np.random.default_rng(0)
    all_weights, all_biases = [], []
    sources = np.zeros(1, np.int64)  # which of the narrow layer's channels each input is
    for layer, others, biases in zip(network.weights, architecture, network.biases, strict=True):
        weights, first = [], 0
        next_sources = []
        for weight, wide in zip(layer, others, strict=True):
            times = wide.channels // len(weight)
            spread = np.repeat(weight, times, axis=0)[:, sources]
            shares = rng.uniform(0.5, 1.5, spread.shape[:2])
            for source in np.unique(sources):
                alike = sources == source
                shares[:, alike] /= shares[:, alike].sum(axis=1, keepdims=True)
            weights.append((spread * shares[:, :, None, None]).astype(np.float32))
            next_sources.append(np.repeat(np.arange(first, first + len(weight)), times))
            first += len(weight)
        all_weights.append(tuple(weights))
        all_biases.append(tuple(np.repeat(bias, wide.channels // len(bias)) for bias, wide in zip(biases, others, strict=True)))
        sources = np.concatenate(next_sources)
    return replace(network, weights=tuple(all_weights), biases=tuple(all_biases))


def save_float_networks(path: str | Path, networks: Sequence[FloatNetwork], meta: dict[str, Any] | None = None) -> None:
    """Write float networks and ``meta`` (JSON values) as one compressed ``.npz``."""
    arrays: dict[str, NDArray[Any]] = {}
    heads = []
    for n, network in enumerate(networks):
        heads.append(
            {
                "architecture": network.architecture_list(),
                "bounds": list(network.bounds),
                "qp": network.qp,
                "position": network.position,
                "tuning": network.tuning,
                "provenance": network.provenance,
                "identity": network.identity,
            }
        )
        for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
            for j, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                arrays[f"network{n}_layer{i}_branch{j}_weight"] = weight
                arrays[f"network{n}_layer{i}_branch{j}_bias"] = bias
    head = json.dumps({"format": FLOAT_FORMAT, "networks": heads, **(meta or {})}, sort_keys=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, head=np.array(head), **arrays)


def load_float_networks(path: str | Path) -> tuple[list[FloatNetwork], dict[str, Any]]:
    """Read what save_float_networks wrote: the networks and the meta values.

    Raises VrcnnError if the file is missing, damaged, something else, or if a network's identity does not match its weights.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            head = json.loads(str(arrays["head"]))
            if not isinstance(head, dict) or head.get("format") != FLOAT_FORMAT:
                raise VrcnnError(f"{path} is not a float network file of this version ({FLOAT_FORMAT})")
            networks = []
            for n, entry in enumerate(head.pop("networks")):
                layers = [range(len(layer)) for layer in entry["architecture"]]
                network = FloatNetwork(
                    tuple(tuple(arrays[f"network{n}_layer{i}_branch{j}_weight"] for j in b) for i, b in enumerate(layers)),
                    tuple(tuple(arrays[f"network{n}_layer{i}_branch{j}_bias"] for j in b) for i, b in enumerate(layers)),
                    tuple(float(bound) for bound in entry["bounds"]),
                    int(entry["qp"]),
                    str(entry["position"]),
                    entry["tuning"],
                    entry["provenance"],
                )
                if not _is_whole(network):
                    raise VrcnnError(f"{path} is damaged: the arrays of network {n} do not fit together")
                if network.identity != entry["identity"]:
                    raise VrcnnError(f"{path} is damaged: network {n} does not have the identity written in the file")
                networks.append(network)
    except VrcnnError:
        raise
    except FileNotFoundError:
        raise VrcnnError(f"no float network file {path}") from None
    except Exception as error:  # numpy, zipfile and zlib raise whatever they like
        raise VrcnnError(f"{path} is not a readable float network file ({one_line(error)})") from None
    return networks, head


def _is_whole(network: FloatNetwork) -> bool:
    """Whether weights and biases are float32 arrays of which each layer takes what the one before it gives."""
    inputs = 1
    for weights, biases in zip(network.weights, network.biases, strict=True):
        for weight, bias in zip(weights, biases, strict=True):
            shapes = weight.ndim == 4 and weight.shape[1:] == (inputs, weight.shape[2], weight.shape[2]) and bias.shape == weight.shape[:1]
            if not shapes or weight.dtype != np.float32 or bias.dtype != np.float32:
                return False
        inputs = sum(len(bias) for bias in biases)
    return network.position in POSITIONS
