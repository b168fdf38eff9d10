"""IntegerNetwork, ModelSet and the oracle: the numpy forward that defines the bits, exact in int64 (c/SPECIFICATION.md). No torch here."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing
from vrcnn_int.network import POSITIONS, Architecture, Convolution
from vrcnn_int.requant import pre_shift, requantize

SIGNATURE = b"VRCNNINT"
VERSION = 1
Plane = NDArray[Any]
"""Samples of a plane, [height, width]: uint8 at bit depth 8, uint16 at 9 and 10."""

UNIT_SCALE = 8
"""The output scale c that leaves the residual as trained."""


class ModelError(VrcnnError):
    """A model set is damaged, foreign, or outside the limits of the specification."""


@dataclass(frozen=True)
class Branch:
    """One convolution and its requantization.

    ``weights`` int8 [out, in, k, k] in -127 .. 127, ``bias`` int32 [out], ``shift`` s1 and ``multiplier`` m as in section 2.
    """

    kernel: int
    shift: int
    multiplier: int
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]


@dataclass(frozen=True)
class IntegerNetwork:
    """Layers of branches, the nominal ``qp`` and the ``position`` (before_deblocking or after_sao)."""

    layers: tuple[tuple[Branch, ...], ...]
    qp: int
    position: str

    @property
    def architecture(self) -> Architecture:
        """The layers that the weights' shapes describe."""
        return tuple(tuple(Convolution(b.weights.shape[0], b.kernel) for b in layer) for layer in self.layers)


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

    def index_for_qp(self, qp: int, position: str = "before_deblocking") -> int:
        """The network an encoder uses by default: nearest nominal QP at that position, the lowest index on ties.

        Raises ModelError if the set has no network for the position.
        """
        candidates = [(abs(network.qp - qp), n) for n, network in enumerate(self.networks) if network.position == position]
        if not candidates:
            raise ModelError(f"the model set has no network for position {position}")
        return min(candidates)[1]

    def _body(self) -> bytes:
        networks = b"".join(_network_bytes(network) for network in self.networks)
        size = len(SIGNATURE) + 8 + len(networks) + 32
        return SIGNATURE + struct.pack("<HHI", VERSION, len(self.networks), size) + networks

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
            raise ModelError(f"{name} is truncated: {len(data)} bytes")
        version, count, size = struct.unpack_from("<HHI", data, 8)
        if version != VERSION:
            raise ModelError(f"{name} has model format version {version}; this program reads version {VERSION}")
        if len(data) != size:
            raise ModelError(f"{name} is {'truncated' if len(data) < size else 'too long'}: {len(data)} bytes, {size} expected")
        if hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise ModelError(f"{name} is damaged: its SHA-256 does not match")
        reader = Reader(data[:-32], 16, name)
        networks = tuple(_read_network(reader) for _ in range(count))
        if reader.offset != len(reader.data):
            raise ModelError(f"{name} has {len(reader.data) - reader.offset} bytes after its last network")
        return ModelSet(networks)

    @staticmethod
    def load(path: str | Path) -> "ModelSet":
        """Read a binary model file; raises ModelError."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read model {path}: {error.strerror}") from None
        return ModelSet.from_bytes(data, str(path))

    def save(self, path: str | Path) -> None:
        """Write the binary model, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_bytes(self.to_bytes())


def check_limits(network: IntegerNetwork, name: str) -> None:
    """Raise ModelError, naming layer, branch and value, if a field is outside the limits of section 3."""

    def need(condition: bool, what: str) -> None:
        if not condition:
            raise ModelError(f"{name}: {what}")

    need(-12 <= network.qp <= 51, f"nominal QP {network.qp} is not in -12..51")
    need(network.position in POSITIONS, f"unknown position {network.position!r}")
    need(2 <= len(network.layers) <= 32, f"{len(network.layers)} layers; 2 to 32 are allowed")
    inputs = 1
    for i, layer in enumerate(network.layers):
        last = i == len(network.layers) - 1
        where = f"layer {i + 1}"
        need(1 <= len(layer) <= (1 if last else 4), f"{where} has {len(layer)} branches")
        for j, branch in enumerate(layer):
            here = f"{where}, branch {j + 1}"
            outputs = len(branch.bias)
            need(branch.kernel in (1, 3, 5), f"{here}: kernel size {branch.kernel} is not 1, 3 or 5")
            need(outputs == 1 if last else outputs % 16 == 0 and 16 <= outputs <= 256, f"{here}: {outputs} output channels")
            shape = (outputs, inputs, branch.kernel, branch.kernel)
            need(branch.weights.shape == shape, f"{here}: weights have shape {branch.weights.shape}, {shape} expected")
            need(branch.weights.dtype == np.int8 and branch.bias.dtype == np.int32, f"{here}: weights must be int8, biases int32")
            need(not (branch.weights == -128).any(), f"{here}: a weight is -128; the smallest is -127")
            low, high = (2, 15) if last else (0, 15)
            need(low <= branch.shift <= high, f"{here}: shift {branch.shift} is not in {low}..{high}")
            low, high = (512, 1023) if last else (1, 32767)
            need(low <= branch.multiplier <= high, f"{here}: multiplier {branch.multiplier} is not in {low}..{high}")
        inputs = sum(len(branch.bias) for branch in layer)
        need(inputs <= 256, f"{where} has {inputs} output channels; at most 256 are allowed")


def _network_bytes(network: IntegerNetwork) -> bytes:
    parts = [struct.pack("<bBBB", network.qp, POSITIONS.index(network.position), len(network.layers), 0)]
    for layer in network.layers:
        parts.append(struct.pack("<B", len(layer)))
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


def _read_network(reader: Reader) -> IntegerNetwork:
    qp, position, layer_count, zero = reader.take("<bBBB")
    if zero or position >= len(POSITIONS):
        raise ModelError(f"{reader.name}: position {position} or a reserved field has an unknown value")
    inputs, layers = 1, []
    for _ in range(layer_count):
        (branch_count,) = reader.take("<B")
        branches = []
        for _ in range(branch_count):
            kernel, shift, multiplier, outputs, zero = reader.take("<BBHHH")
            if zero:
                raise ModelError(f"{reader.name}: a reserved field has an unknown value")
            bias = np.frombuffer(reader.bytes(4 * outputs), "<i4").astype(np.int32)
            weights = np.frombuffer(reader.bytes(outputs * inputs * kernel**2), np.int8)
            branches.append(Branch(kernel, shift, multiplier, weights.reshape(outputs, inputs, kernel, kernel).copy(), bias))
        inputs = sum(len(branch.bias) for branch in branches)
        layers.append(tuple(branches))
    return IntegerNetwork(tuple(layers), qp, POSITIONS[position])


# The oracle.


EXACT_PRODUCTS = 1024
"""So many products of a weight (at most 127) and an input (at most 128) stay below 2^24, where float32 sums are exact."""
BLOCK = 2048
"""Samples at a time: what they touch stays in the second-level cache."""

Values = NDArray[np.int64]


def accumulate(values: Values, branch: Branch, finish: Callable[[Values], Values] = lambda acc: acc) -> Values:
    """finish(bias + sum(weight * value)), exactly: int64 [in, H, W] -> int64 [out, H, W], zero outside the picture.

    ``finish`` is applied to parts of the accumulators, int64 [out, any], and must treat each sample alone.

    A tap is a matrix product with the flattened, padded picture, shifted. Products are summed in float32 as long as no sum can reach
    2^24 (so that nothing is ever rounded), then in int64. Tests compare this with accumulate_int64().
    """
    reach = branch.kernel // 2
    outputs, inputs = branch.weights.shape[:2]
    height, width = values.shape[1:]
    pitch = width + 2 * reach
    padded = np.zeros((inputs, height + 2 * reach + 1, pitch), np.float32)  # one more row: the last shifts run past the end
    padded[:, reach : reach + height, reach : reach + width] = values
    flat = padded.reshape(inputs, -1)
    shifts = [dy * pitch + dx for dy, dx in np.ndindex(branch.kernel, branch.kernel)]
    taps = branch.weights.astype(np.float32).transpose(0, 2, 3, 1).reshape(outputs, len(shifts), inputs)
    exact = EXACT_PRODUCTS // inputs
    together = max(1, 32 // inputs)  # the first layer has one input: its taps share a product
    bias = branch.bias.astype(np.int64)[:, None]
    result = np.empty((outputs, height * pitch), np.int64)
    for start in range(0, height * pitch, BLOCK):
        stop = min(start + BLOCK, height * pitch)
        acc = np.repeat(bias, stop - start, axis=1)
        for first in range(0, len(shifts), exact):
            end = min(first + exact, len(shifts))
            sums = np.zeros((outputs, stop - start), np.float32)
            for tap in range(first, end, together):
                windows = [flat[:, start + shift : stop + shift] for shift in shifts[tap : min(tap + together, end)]]
                weights = taps[:, tap : tap + len(windows)].reshape(outputs, -1)
                sums += weights @ (windows[0] if len(windows) == 1 else np.concatenate(windows))
            acc += sums.astype(np.int64)
        result[:, start:stop] = finish(acc)
    return result.reshape(outputs, height, pitch)[:, :, :width]


def accumulate_int64(values: NDArray[np.int64], branch: Branch) -> NDArray[np.int64]:
    """The same sums in int64 throughout: slow, the definition that accumulate() is tested against."""
    reach = branch.kernel // 2
    windows = sliding_window_view(np.pad(values, ((0, 0), (reach, reach), (reach, reach))), (branch.kernel, branch.kernel), (1, 2))
    total: NDArray[np.int64] = np.einsum("ihwyx,oiyx->ohw", windows, branch.weights.astype(np.int64))
    return total + branch.bias.astype(np.int64)[:, None, None]


def input_values(plane: NDArray[np.integer], bit_depth: int) -> NDArray[np.int64]:
    """The input of the first layer, -128 .. 127, int64 [1, H, W]. Raises ModelError for other planes than 8 to 10 bits."""
    if not 8 <= bit_depth <= 10:
        raise ModelError(f"pictures of {bit_depth} bits are not filtered; 8, 9 and 10 bits are")
    if plane.ndim != 2 or 0 in plane.shape or plane.dtype.kind not in "iu":
        raise ModelError(f"a plane is a non-empty two-dimensional integer array, not {plane.dtype} {plane.shape}")
    if np.iinfo(plane.dtype).max < (1 << bit_depth) - 1:
        raise ModelError(f"a {bit_depth}-bit plane does not fit {plane.dtype}")
    samples: NDArray[np.int64] = plane.astype(np.int64)[None]
    if samples.min() < 0 or samples.max() >= 1 << bit_depth:
        raise ModelError(f"samples up to {samples.max()} do not fit {bit_depth} bits")
    if bit_depth > 8:
        samples = np.minimum(255, (samples + (1 << (bit_depth - 9))) >> (bit_depth - 8))
    return samples - 128


def layer_outputs(network: IntegerNetwork, plane: NDArray[np.integer], bit_depth: int) -> list[NDArray[np.int64]]:
    """Activations 0 .. 127 of every hidden layer, int64 [C, H, W] each. ``plane``: integer [H, W], 8 <= bit_depth <= 10."""
    values = input_values(plane, bit_depth)
    outputs = []
    for layer in network.layers[:-1]:
        values = np.concatenate([accumulate(values, b, partial(requantize, shift=b.shift, multiplier=b.multiplier)) for b in layer])
        outputs.append(values)
    return outputs


def filter_plane(network: IntegerNetwork, plane: NDArray[np.integer], bit_depth: int, scale: int = UNIT_SCALE) -> NDArray[np.integer]:
    """The filtered luma plane, same shape and dtype (section 2): the bits that every implementation must give.

    ``plane``: integer [H, W], values 0 .. 2^bit_depth - 1; ``scale``: output scale c, 1 .. 10. Raises ModelError.
    """
    if not 1 <= scale <= 10:
        raise ModelError(f"output scale {scale} is not in 1..10")
    values = layer_outputs(network, plane, bit_depth)[-1]
    branch = network.layers[-1][0]
    t = pre_shift(accumulate(values, branch)[0], branch.shift - (bit_depth - 8))
    residual = (t * ((branch.multiplier * scale) >> 3) + (1 << 14)) >> 15
    filtered: NDArray[np.integer] = np.clip(plane.astype(np.int64) + residual, 0, (1 << bit_depth) - 1).astype(plane.dtype)
    return filtered
