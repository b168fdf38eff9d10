"""ModelSet: networks under one identity, and their bytes (c/SPECIFICATION.md, section 4)."""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vrcnn_int.files import write_bytes
from vrcnn_int.inputs import MOST_MODEL_BYTES, read_bytes
from vrcnn_int.integer.model import Branch, IntegerNetwork, ModelError, check_limits
from vrcnn_int.network import INPUTS, KINDS, POSITIONS, SIZES
from vrcnn_int.text import counted

SIGNATURE = b"VRCNNINT"
VERSIONS = (1, 2)


@dataclass(frozen=True)
class ModelSet:
    """1 to 32 networks under one identity (section 4). Construction checks every limit of section 3 but the proofs."""

    networks: tuple[IntegerNetwork, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.networks) <= 32:
            raise ModelError(f"a model set holds 1 to 32 networks, not {len(self.networks)}")
        for n, network in enumerate(self.networks):
            check_limits(network, f"network {n}")

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical serialization, 64 hexadecimal digits."""
        return hashlib.sha256(self._body()).hexdigest()

    @property
    def version(self) -> int:
        """Of the model format: 1 if all networks can be written in it."""
        return 1 if all(n.kind == "luma" and n.size == "best" and not any(n.added) for n in self.networks) else 2

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of its networks, luma first."""
        return tuple(kind for kind in KINDS if any(network.kind == kind for network in self.networks))

    def index_for_qp(self, qp: int, position: str = "before_deblocking", kind: str = "luma", size: str | None = None) -> int:
        """The network an encoder uses by default: nearest nominal QP among those of that position, kind and size, the lowest index on ties.

        ``size``: fast or best, of which the other one serves where the set has none; None: any. Raises ModelError if the set has no
        network of the position and kind.
        """
        candidates = [(abs(each.qp - qp), n) for n, each in enumerate(self.networks) if (each.position, each.kind) == (position, kind)]
        if not candidates:
            raise ModelError(f"the model set has no {kind} network for position {position}")
        return min([(far, n) for far, n in candidates if self.networks[n].size == size] or candidates)[1]

    def _body(self) -> bytes:
        version = self.version
        networks = b"".join(_network_bytes(network, version) for network in self.networks)
        size = len(SIGNATURE) + 8 + len(networks) + 32
        return SIGNATURE + struct.pack("<HHI", version, len(self.networks), size) + networks

    def to_bytes(self) -> bytes:
        """The binary model: canonical serialization and its SHA-256."""
        body = self._body()
        return body + hashlib.sha256(body).digest()

    @staticmethod
    def from_bytes(data: bytes, name: str = "model") -> "ModelSet":
        """Read a binary model; raises ModelError that says what is wrong with it. Does not run the proofs (see proofs.py)."""
        if data[:8] != SIGNATURE[: len(data)]:
            raise ModelError(f"{name} is not a vrcnn-int model set")
        if len(data) < 16:
            raise ModelError(f"{name} is truncated: {counted(len(data), 'byte')}")
        version, count, size = struct.unpack_from("<HHI", data, 8)
        if version not in VERSIONS:
            raise ModelError(f"{name} has model format version {version}; this program reads versions 1 and 2")
        if len(data) != size:
            raise ModelError(f"{name} is {'truncated' if len(data) < size else 'too long'}: {len(data)} bytes, {size} expected")
        if hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise ModelError(f"{name} is damaged: its SHA-256 does not match")
        reader = Reader(data[:-32], 16, name)
        models = ModelSet(tuple(_read_network(reader, version) for _ in range(count)))
        if reader.offset != len(reader.data):
            raise ModelError(f"{name} has {counted(len(reader.data) - reader.offset, 'byte')} after its last network")
        if models.version != version:
            raise ModelError(f"{name} is not canonical: it has version {version}, but its networks are those of version {models.version}")
        return models

    @staticmethod
    def load(path: str | Path) -> "ModelSet":
        """Read a binary model file; raises ModelError."""
        try:
            data = read_bytes(path, MOST_MODEL_BYTES)
        except OSError as error:
            raise ModelError(f"cannot read model {path}: {error.strerror or error}") from None
        return ModelSet.from_bytes(data, str(path))

    def save(self, path: str | Path) -> None:
        """Write the binary model, whole or not at all."""
        write_bytes(path, self.to_bytes())


def _network_bytes(network: IntegerNetwork, version: int) -> bytes:
    parts = [struct.pack("<bBB", network.qp, POSITIONS.index(network.position), len(network.layers))]
    if version == 1:
        parts.append(b"\0")
    else:
        parts.append(struct.pack("<BBBH", KINDS.index(network.kind), SIZES.index(network.size), network.heads, 0))
    for layer, added in zip(network.layers, network.added, strict=True):
        parts.append(struct.pack("<B", len(layer)) if version == 1 else struct.pack("<BB", len(layer), added))
        for branch in layer:
            parts.append(struct.pack("<BBHHH", branch.kernel, branch.shift, branch.multiplier, len(branch.bias), 0))
            parts.append(branch.bias.astype("<i4").tobytes())
            parts.append(branch.weights.astype("i1").tobytes())
    return b"".join(parts)


@dataclass
class Reader:
    """Fields of a model file, one after the other; raises ModelError where it ends too early."""

    data: bytes
    offset: int
    name: str

    def take(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self.bytes(struct.calcsize(layout)))

    def bytes(self, count: int) -> bytes:
        if self.offset + count > len(self.data):
            raise ModelError(f"{self.name} ends inside a network")
        self.offset += count
        return self.data[self.offset - count : self.offset]

    def word(self, words: tuple[str, ...], value: int, what: str) -> str:
        """The word that a value stands for."""
        if value >= len(words):
            raise ModelError(f"{self.name}: {what} {value} is unknown")
        return words[value]

    def zero(self, value: int) -> None:
        if value:
            raise ModelError(f"{self.name}: a reserved field is {value}; only 0 is known")


def _read_network(reader: Reader, version: int) -> IntegerNetwork:
    qp, position, layer_count = reader.take("<bBB")
    kind, size, heads, zero = (0, 1, 1, *reader.take("<B")) if version == 1 else reader.take("<BBBH")
    reader.zero(zero)
    words = (
        reader.word(POSITIONS, position, "position"),
        reader.word(KINDS, kind, "kind"),
        reader.word(SIZES, size, "size"),
    )
    inputs, layers, added = INPUTS[words[1]], [], []
    for _ in range(layer_count):
        branch_count, back = (*reader.take("<B"), 0) if version == 1 else reader.take("<BB")
        branches = tuple(_read_branch(reader, inputs) for _ in range(branch_count))
        inputs = sum(len(branch.bias) for branch in branches)
        layers.append(branches)
        added.append(back)
    return IntegerNetwork(tuple(layers), qp, *words, heads, tuple(added))


def _read_branch(reader: Reader, inputs: int) -> Branch:
    kernel, shift, multiplier, outputs, zero = reader.take("<BBHHH")
    reader.zero(zero)
    bias = np.frombuffer(reader.bytes(4 * outputs), "<i4").astype(np.int32)
    weights = np.frombuffer(reader.bytes(outputs * inputs * kernel**2), np.int8)
    return Branch(kernel, shift, multiplier, weights.reshape(outputs, inputs, kernel, kernel).copy(), bias)
