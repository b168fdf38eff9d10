"""Integer networks outside the normative filter: a list of operations and the numpy oracle that runs them. No torch here.

For what c/SPECIFICATION.md has no room for: 8-bit activations, zero points of weights, a multiplier a channel, additions, strides,
pooling. The C library and the codec adapters refuse these files by their format version; the normative filter stays as it is.
"""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing
from vrcnn_int.integer import SIGNATURE, ModelError, input_values

VERSION = 256
"""The format version of these files; those of normative model sets are below it."""

INT32 = 1 << 31
Values = NDArray[np.int64]
Interval = tuple[int, int]


class RangeError(ModelError):
    """An accumulator could leave int32; the message names the operation and the value."""


@dataclass(frozen=True)
class Operation:
    """One step of a network. ``inputs``: numbers of the values that it reads; 0 is the network's input, n the output of operation n."""

    inputs: tuple[int, ...]

    def run(self, *values: Values, plain: bool = False) -> Values:
        """The output, int64 [C, H, W]. ``plain``: by another way of computing the same, to compare with."""
        raise NotImplementedError

    def interval(self, *intervals: Interval) -> Interval:
        """Lowest and highest output for inputs within ``intervals``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Convolve(Operation):
    """Convolution, zeros outside; int32 accumulators out.

    ``weights``: integer [out, in, k, k], codes of ``bits`` bits that ``zero_point`` is taken from. ``bias`` int32 [out].
    """

    weights: NDArray[np.int16]
    zero_point: int
    bits: int
    bias: NDArray[np.int32]
    stride: int = 1

    def run(self, *values: Values, plain: bool = False) -> Values:
        (x,) = values
        weights = self.weights.astype(np.int64) - self.zero_point
        k = weights.shape[2]
        padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
        if plain:
            windows = sliding_window_view(padded, (k, k), (1, 2))[:, :: self.stride, :: self.stride]
            total: Values = np.einsum("ihwyx,oiyx->ohw", windows, weights)
            return total + self.bias.astype(np.int64)[:, None, None]
        # Products of float64 are exact: interval() holds every sum below 2^31.
        height, width = ((size - 1) // self.stride + 1 for size in x.shape[1:])
        acc = np.repeat(self.bias.astype(np.float64)[:, None], height * width, axis=1)
        floats = padded.astype(np.float64)
        for y, column in np.ndindex(k, k):
            window = floats[:, y : y + (height - 1) * self.stride + 1 : self.stride]
            window = window[:, :, column : column + (width - 1) * self.stride + 1 : self.stride]
            acc += weights[:, :, y, column].astype(np.float64) @ window.reshape(len(window), -1)
        return acc.astype(np.int64).reshape(-1, height, width)

    def interval(self, *intervals: Interval) -> Interval:
        ((low, high),) = intervals
        low, high = min(low, 0), max(high, 0)  # borders are 0
        weights = (self.weights.astype(np.int64) - self.zero_point).reshape(len(self.bias), -1)
        positive, negative, bias = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1), self.bias.astype(np.int64)
        # Every partial sum, too: the sums of the positive and of the negative products alone.
        least, most = positive * min(low, 0) + negative * high, positive * high + negative * min(low, 0)
        return int((bias + least).min()), int((bias + most).max())


@dataclass(frozen=True)
class Requantize(Operation):
    """min(max((value * multiplier + half) >> shift, low), high); ``multiplier`` int32 and ``shift`` uint8, [C] or [1]."""

    multiplier: NDArray[np.int32]
    shift: NDArray[np.uint8]
    low: int
    high: int

    def run(self, *values: Values, plain: bool = False) -> Values:
        (x,) = values
        if plain:  # Python's own integers, element by element
            outputs = [
                [min(max((int(v) * int(m) + (1 << int(s) >> 1)) >> int(s), self.low), self.high) for v in channel.ravel()]
                for channel, m, s in zip(x, np.resize(self.multiplier, len(x)), np.resize(self.shift, len(x)), strict=True)
            ]
            return np.array(outputs, np.int64).reshape(x.shape)
        multiplier, shift = (a.astype(np.int64)[:, None, None] for a in (self.multiplier, self.shift))
        result: Values = np.clip((x * multiplier + ((1 << shift) >> 1)) >> shift, self.low, self.high)
        return result

    def interval(self, *intervals: Interval) -> Interval:
        ((low, high),) = intervals
        ends = [
            (end * int(m) + (1 << int(s) >> 1)) >> int(s)
            for end in (low, high)
            for m, s in zip(*np.broadcast_arrays(self.multiplier, self.shift), strict=True)
        ]
        return max(min(ends), self.low), min(max(ends), self.high)


@dataclass(frozen=True)
class Add(Operation):
    """Sum of two values of equal shape and, as the network is made, of equal ratio."""

    def run(self, *values: Values, plain: bool = False) -> Values:
        return values[0] + values[1]

    def interval(self, *intervals: Interval) -> Interval:
        return intervals[0][0] + intervals[1][0], intervals[0][1] + intervals[1][1]


@dataclass(frozen=True)
class Concatenate(Operation):
    """Values one after the other along the channels."""

    def run(self, *values: Values, plain: bool = False) -> Values:
        return np.concatenate(values)

    def interval(self, *intervals: Interval) -> Interval:
        return min(low for low, _ in intervals), max(high for _, high in intervals)


@dataclass(frozen=True)
class MaxPool(Operation):
    """Largest of ``kernel`` x ``kernel`` values, ``stride`` apart; outside the picture is 0, the least that an activation can be."""

    kernel: int
    stride: int

    def run(self, *values: Values, plain: bool = False) -> Values:
        k = self.kernel
        padded = np.pad(values[0], ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
        windows = sliding_window_view(padded, (k, k), (1, 2))[:, :: self.stride, :: self.stride]
        if plain:
            return np.array([[[window.max() for window in row] for row in channel] for channel in windows], np.int64)
        result: Values = windows.max((3, 4))
        return result

    def interval(self, *intervals: Interval) -> Interval:
        return min(intervals[0][0], 0), max(intervals[0][1], 0)


@dataclass(frozen=True)
class SumPool(Operation):
    """Sum over the whole of each channel, ``samples`` values: the mean, at ``samples`` times the ratio. [C, 1, 1]."""

    samples: int

    def run(self, *values: Values, plain: bool = False) -> Values:
        x = values[0]
        if x[0].size != self.samples:
            raise ModelError(f"this network pools {self.samples} values a channel, not {x[0].size}; pictures must have its size")
        total: Values = x.sum((1, 2), keepdims=True)
        return total

    def interval(self, *intervals: Interval) -> Interval:
        return intervals[0][0] * self.samples, intervals[0][1] * self.samples


KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Convolve, Requantize, Add, Concatenate, MaxPool, SumPool)}


@dataclass(frozen=True)
class ExtendedNetwork:
    """Operations in order; the last one's output is the network's. Construction proves that nothing leaves int32.

    ``channels``: of the input, whose values are -128 .. 127. ``meta``: JSON values (method, QP, ...).
    """

    operations: tuple[Operation, ...]
    channels: int
    meta: dict[str, Any]

    INPUT: ClassVar[Interval] = (-128, 127)

    def __post_init__(self) -> None:
        intervals = [self.INPUT]
        for n, operation in enumerate(self.operations, 1):
            if not operation.inputs or not all(0 <= i < n for i in operation.inputs):
                raise ModelError(f"operation {n} reads a value that is not there yet")
            low, high = operation.interval(*(intervals[i] for i in operation.inputs))
            if low < -INT32 or high >= INT32:
                reached = low if low < -INT32 else high
                raise RangeError(f"operation {n} ({type(operation).__name__}): values can reach {reached}, beyond int32")
            intervals.append((low, high))

    def run(self, values: Values, plain: bool = False) -> list[Values]:
        """All values, the input first. ``values``: int64 [channels, H, W], -128 .. 127."""
        outputs = [values]
        for operation in self.operations:
            outputs.append(operation.run(*(outputs[i] for i in operation.inputs), plain=plain))
        return outputs

    def arrays(self) -> list[NDArray[Any]]:
        """Every array that the network computes with."""
        return [v for o in self.operations for f in fields(o) if isinstance(v := getattr(o, f.name), np.ndarray)]

    def filter_plane(self, plane: NDArray[np.integer], plain: bool = False) -> NDArray[np.uint8]:
        """The filtered 8-bit luma plane: the last output is the residual in sample steps."""
        residual = self.run(input_values(plane, 8), plain)[-1][0]
        filtered: NDArray[np.uint8] = np.clip(plane.astype(np.int64) + residual, 0, 255).astype(np.uint8)
        return filtered

    def to_bytes(self) -> bytes:
        """Signature, version 256, JSON head, arrays, SHA-256; little-endian."""
        blobs: list[bytes] = []
        entries = []
        for operation in self.operations:
            entry: dict[str, Any] = {"kind": type(operation).__name__}
            for field in fields(operation):
                value = getattr(operation, field.name)
                if isinstance(value, np.ndarray):
                    blobs.append(value.astype(value.dtype.newbyteorder("<")).tobytes())
                    value = [value.dtype.name, list(value.shape)]
                entry[field.name] = value
            entries.append(entry)
        head = json.dumps({"operations": entries, "channels": self.channels, "meta": self.meta}, sort_keys=True).encode()
        body = SIGNATURE + struct.pack("<HHI", VERSION, 1, 16 + 4 + len(head) + sum(map(len, blobs)) + 32)
        body += struct.pack("<I", len(head)) + head + b"".join(blobs)
        return body + hashlib.sha256(body).digest()

    @staticmethod
    def from_bytes(data: bytes, name: str = "model") -> "ExtendedNetwork":
        """Inverse of to_bytes; raises ModelError."""
        if data[:8] != SIGNATURE or len(data) < 52 or struct.unpack_from("<H", data, 8)[0] != VERSION:
            raise ModelError(f"{name} is not an extended network (format version {VERSION})")
        if hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise ModelError(f"{name} is damaged: its SHA-256 does not match")
        (length,) = struct.unpack_from("<I", data, 16)
        offset, operations = 20 + length, []
        try:
            head = json.loads(data[20:offset])
            for entry in head["operations"]:
                kind, values = KINDS[entry.pop("kind")], {}
                for field in fields(kind):
                    value = entry[field.name]
                    if isinstance(value, list) and field.name != "inputs":
                        dtype, shape = np.dtype(value[0]).newbyteorder("<"), value[1]
                        count = int(np.prod(shape))
                        value = np.frombuffer(data[:-32], dtype, count, offset).astype(value[0]).reshape(shape)
                        offset += count * dtype.itemsize
                    values[field.name] = tuple(value) if field.name == "inputs" else value
                operations.append(kind(**values))
            return ExtendedNetwork(tuple(operations), head["channels"], head["meta"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ModelError(f"{name} is not an extended network of this version ({type(error).__name__}: {error})") from None

    @staticmethod
    def load(path: str | Path) -> "ExtendedNetwork":
        """Read a file; raises ModelError."""
        try:
            return ExtendedNetwork.from_bytes(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise ModelError(f"cannot read model {path}: {error.strerror}") from None

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_bytes(self.to_bytes())


class Builder:
    """Collects operations; each method gives the number of the new value."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(self, operation: Operation) -> int:
        self.operations.append(operation)
        return len(self.operations)

    def concatenate(self, inputs: Sequence[int]) -> int:
        """The values one after the other; nothing to do for one."""
        return inputs[0] if len(inputs) == 1 else self.add(Concatenate(tuple(inputs)))


def fixed_point(ratio: float) -> tuple[int, int]:
    """(multiplier, shift): multiplier / 2^shift is nearest to ``ratio``, the multiplier of 31 bits (Jacob et al. 2018, Eq. 6).

    Raises VrcnnError unless 2^-31 <= ratio < 1.
    """
    if not 2.0**-31 <= ratio < 1:
        raise VrcnnError(f"an accumulator step of {ratio:.3g} output steps is outside 2^-31 .. 1")
    mantissa, exponent = np.frexp(ratio)  # mantissa in 0.5 .. 1
    multiplier = int(np.floor(float(mantissa) * 2**31 + 0.5))
    shift = 31 - int(exponent)
    return (multiplier >> 1, shift - 1) if multiplier == 1 << 31 else (multiplier, shift)
