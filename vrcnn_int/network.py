"""Networks as data: their layers, and the weights of a trained float network. No torch here (the ``nn.Module`` is in module.py).

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
from vrcnn_int.inputs import MOST_MODEL_BYTES, open_archive

FLOAT_FORMATS = ("vrcnn-int float 1", "vrcnn-int float 2")
"""Of files of float networks; the second has networks of other kinds and sizes than luma and best, and additions."""
WIRING = ("kind", "size", "heads", "added")
"""What the second format says of a network beyond the first."""
POSITIONS = ("before_deblocking", "after_sao")
KINDS = ("luma", "joint")
"""What a network filters: the luma plane, or luma and chroma together, a site of 2x2 luma samples and its Cb and Cr at a time."""
PLANES = ("Y", "Cb", "Cr")
"""Of a picture, in words."""
INPUTS = {"luma": 1, "joint": 6}
"""Channels of the first layer's input."""
DEEP = 12
"""The bit depth that only some joint networks filter (IntegerNetwork.is_deep)."""
BIT_DEPTHS = (8, 9, 10, DEEP)
"""Of samples."""
SIZES = ("fast", "best")
"""What an encoder chooses a network by, beside QP, position and kind."""


@dataclass(frozen=True)
class Convolution:
    """One branch of a layer: ``channels`` outputs, ``kernel`` x ``kernel`` taps, stride 1, as many samples out as in."""

    channels: int
    kernel: int


Layers = tuple[tuple[Convolution, ...], ...]
"""Layers of branches; the outputs of a layer's branches are concatenated."""


@dataclass(frozen=True)
class Architecture:
    """What a network is but for its weights.

    ``layers``: the last one gives one residual plane, or, for the ``kind`` joint, of a luma and a chroma branch, 4 and 2 for each of
    ``heads`` heads. ``added``: for each layer 0, or how many layers before it stands the one whose output it adds, before its activation;
    not given: none adds. ``size``: what encoders call it.
    """

    layers: Layers
    kind: str = "luma"
    size: str = "best"
    heads: int = 1
    added: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.added:
            object.__setattr__(self, "added", (0,) * len(self.layers))


def joint(size: str, channels: int, blocks: int, heads: int = 1) -> Architecture:
    """Kind joint: convolution 3x3, residual blocks (3x3, BReLU, 3x3, add the block's input, BReLU), convolution 3x3."""
    hidden = ((Convolution(channels, 3),),) * (1 + 2 * blocks)
    last = (Convolution(4 * heads, 3), Convolution(2 * heads, 3))
    return Architecture((*hidden, last), "joint", size, heads, (0, *(0, 2) * blocks, 0))


VRCNN = Architecture(
    (
        (Convolution(64, 5),),
        (Convolution(16, 5), Convolution(32, 3)),
        (Convolution(16, 3), Convolution(32, 1)),
        (Convolution(1, 3),),
    )
)

VDSR = Architecture(((Convolution(64, 3),),) * 19 + ((Convolution(1, 3),),))
"""Kim, Lee, Lee, "Accurate image super-resolution using very deep convolutional networks", CVPR 2016."""

VRCNN_WIDE = Architecture(
    tuple(tuple(Convolution(2 * b.channels, b.kernel) for b in layer) for layer in VRCNN.layers[:-1]) + VRCNN.layers[-1:]
)
"""A teacher (see teach.py): four times VRCNN's multiplications."""

NETWORKS = {
    "vrcnn": VRCNN,
    "vrcnn-wide": VRCNN_WIDE,
    "vdsr": VDSR,
    "joint-fast": joint("fast", 32, 3),
    "joint-best": joint("best", 64, 3),
}
"""By name, as training takes them."""


def reach(architecture: Architecture) -> int:
    """Samples (kind joint: sites) that the filter looks beyond one on each side."""
    return sum(max(branch.kernel for branch in layer) // 2 for layer in architecture.layers)


def halo(architecture: Architecture) -> int:
    """Luma samples that the filter looks beyond a sample on each side (VRCNN: 6, joint-fast: 16)."""
    return reach(architecture) * (2 if architecture.kind == "joint" else 1)


def macs_per_sample(architecture: Architecture) -> int:
    """Multiply-accumulates a luma sample (VRCNN: 54 512); kind joint: a quarter of a site's (joint-fast: 14 688)."""
    total, inputs = 0, INPUTS[architecture.kind]
    for layer in architecture.layers:
        total += sum(branch.channels * branch.kernel**2 * inputs for branch in layer)
        inputs = sum(branch.channels for branch in layer)
    return total // (4 if architecture.kind == "joint" else 1)


@dataclass(frozen=True)
class FloatNetwork:
    """A trained float network: per layer and branch ``weights`` float32 [out, in, k, k] and ``biases`` float32 [out].

    ``bounds`` are the upper bounds of the BReLU after each hidden layer, in float units (the input is (s - 128) / 255).
    ``tuning`` carries the frozen quantization (see quantize.Plan) after the last training stage, else None. ``kind``, ``size``, ``heads``,
    ``added``: as in Architecture.
    """

    weights: tuple[tuple[NDArray[np.float32], ...], ...]
    biases: tuple[tuple[NDArray[np.float32], ...], ...]
    bounds: tuple[float, ...]
    qp: int
    position: str
    tuning: dict[str, Any] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    kind: str = "luma"
    size: str = "best"
    heads: int = 1
    added: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.added:
            object.__setattr__(self, "added", (0,) * len(self.weights))

    @property
    def architecture(self) -> Architecture:
        """With the layers that the weights' shapes describe."""
        layers = tuple(tuple(Convolution(w.shape[0], w.shape[2]) for w in layer) for layer in self.weights)
        return Architecture(layers, self.kind, self.size, self.heads, self.added)

    @property
    def format(self) -> str:
        """The oldest format of files that has room for the network."""
        old = (self.kind, self.size) == ("luma", "best") and not any(self.added)
        return FLOAT_FORMATS[0 if old else 1]

    @property
    def identity(self) -> str:
        """SHA-256 over shapes, weights, biases and bounds, little-endian float32 (bounds float64)."""
        described = [self.architecture_list(), self.qp, self.position]
        if self.format != FLOAT_FORMATS[0]:
            described += [self.kind, self.size, self.heads, self.added]
        digest = hashlib.sha256(json.dumps(described).encode())
        for weights, biases in zip(self.weights, self.biases, strict=True):
            for weight, bias in zip(weights, biases, strict=True):
                digest.update(weight.astype("<f4").tobytes())
                digest.update(bias.astype("<f4").tobytes())
        digest.update(np.array(self.bounds, "<f8").tobytes())
        return digest.hexdigest()

    def architecture_list(self) -> list[list[list[int]]]:
        """The architecture as plain lists, for JSON."""
        return [[[branch.channels, branch.kernel] for branch in layer] for layer in self.architecture.layers]


def widened(network: FloatNetwork, architecture: Architecture) -> FloatNetwork:
    """The same function in an architecture whose branches have a multiple of the channels (Chen, Goodfellow, Shlens, "Net2Net", ICLR 2016).

    Each channel is there several times, and the weights that read it are divided among its copies, unequally so that they learn apart.
    Raises VrcnnError for an architecture that is not a multiple.
    """
    own = network.architecture
    fits = (own.kind, own.heads, own.added) == (architecture.kind, architecture.heads, architecture.added) and [
        [branch.kernel for branch in layer] for layer in own.layers
    ] == [[branch.kernel for branch in layer] for layer in architecture.layers]
    if not fits or any(
        wide.channels % branch.channels
        for layer, others in zip(own.layers, architecture.layers, strict=True)
        for branch, wide in zip(layer, others, strict=True)
    ):
        raise VrcnnError("a network can only be widened to an architecture whose branches have multiples of its channels")
    rng = np.random.default_rng(0)
    all_weights, all_biases = [], []
    sources = np.arange(INPUTS[own.kind])  # which of the narrow layer's channels each input is
    for layer, others, biases in zip(network.weights, architecture.layers, network.biases, strict=True):
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
    return replace(network, weights=tuple(all_weights), biases=tuple(all_biases), size=architecture.size)


def save_float_networks(path: str | Path, networks: Sequence[FloatNetwork], meta: dict[str, Any] | None = None) -> None:
    """Write float networks and ``meta`` (JSON values) as one compressed ``.npz``."""
    arrays: dict[str, NDArray[Any]] = {}
    version = max((network.format for network in networks), default=FLOAT_FORMATS[0])
    entries = []
    for n, network in enumerate(networks):
        wiring = {} if version == FLOAT_FORMATS[0] else {name: getattr(network, name) for name in WIRING}
        entries.append(
            {
                **wiring,
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
    head = json.dumps({"format": version, "networks": entries, **(meta or {})}, sort_keys=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, head=np.array(head), **arrays)


def load_float_networks(path: str | Path, kinds: Sequence[str] = ("luma",)) -> tuple[list[FloatNetwork], dict[str, Any]]:
    """Read what save_float_networks wrote: the networks and the meta values.

    Raises VrcnnError if the file is missing, damaged, something else, if a network's identity does not match its weights, or if it is of
    another kind than ``kinds``.
    """
    try:
        with open_archive(path, MOST_MODEL_BYTES) as file, np.load(file, allow_pickle=False) as arrays:
            head = json.loads(str(arrays["head"]))
            if not isinstance(head, dict) or head.get("format") not in FLOAT_FORMATS:
                raise VrcnnError(f"{path} is not a float network file of this version ({FLOAT_FORMATS[-1]})")
            networks = []
            for n, entry in enumerate(head.pop("networks")):
                layers = [range(len(layer)) for layer in entry["architecture"]]
                old: list[Any] = ["luma", "best", 1, []]
                kind, size, heads, added = old if head["format"] == FLOAT_FORMATS[0] else [entry[name] for name in WIRING]
                network = FloatNetwork(
                    tuple(tuple(arrays[f"network{n}_layer{i}_branch{j}_weight"] for j in b) for i, b in enumerate(layers)),
                    tuple(tuple(arrays[f"network{n}_layer{i}_branch{j}_bias"] for j in b) for i, b in enumerate(layers)),
                    tuple(float(bound) for bound in entry["bounds"]),
                    int(entry["qp"]),
                    str(entry["position"]),
                    entry["tuning"],
                    entry["provenance"],
                    str(kind),
                    str(size),
                    int(heads),
                    tuple(map(int, added)),
                )
                if not _is_whole(network):
                    raise VrcnnError(f"{path} is damaged: the arrays of network {n} do not fit together")
                if network.identity != entry["identity"]:
                    raise VrcnnError(f"{path} is damaged: network {n} does not have the identity written in the file")
                if network.kind not in kinds:
                    raise VrcnnError(f"network {n} of {path} is of the kind {network.kind}; give one of the kind {' or '.join(kinds)}")
                networks.append(network)
    except VrcnnError:
        raise
    except FileNotFoundError:
        raise VrcnnError(f"no float network file {path}") from None
    except Exception as error:  # numpy, zipfile and zlib raise whatever they like
        raise VrcnnError(f"{path} is not a readable float network file ({one_line(error)})") from None
    return networks, head


def _is_whole(network: FloatNetwork) -> bool:
    """Whether weights and biases are float32 arrays of which each layer takes what the one before it gives, and adds what is like it."""
    count = len(network.weights)
    if network.kind not in KINDS or network.size not in SIZES or len(network.added) != count or network.added[-1]:
        return False
    inputs, outputs = INPUTS[network.kind], list[int]()
    for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        for weight, bias in zip(weights, biases, strict=True):
            shapes = weight.ndim == 4 and weight.shape[1:] == (inputs, weight.shape[2], weight.shape[2]) and bias.shape == weight.shape[:1]
            if not shapes or weight.dtype != np.float32 or bias.dtype != np.float32:
                return False
        inputs = sum(len(bias) for bias in biases)
        outputs.append(inputs)
        back = network.added[i]
        if not 0 <= back <= i or outputs[i - back] != inputs:
            return False
    if network.kind == "joint" and [len(bias) for bias in network.biases[-1]] != [4 * network.heads, 2 * network.heads]:
        return False
    return network.position in POSITIONS
