"""Integer networks outside the normative filter: a list of operations and the numpy oracle that runs them. No torch here.

For what c/SPECIFICATION.md has no room for: 8-bit activations, zero points of weights, a multiplier a channel, additions, strides,
pooling. The C library and the codec adapters refuse these files by their format version; the normative filter stays as it is.
c/research/vrcnn_extended.c runs those of them that filter a plane, bit for bit.
"""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import write_bytes
from vrcnn_int.inputs import MOST_MODEL_BYTES, read_bytes
from vrcnn_int.integer import SIGNATURE, IntegerNetwork, ModelError, Reader, input_values
from vrcnn_int.io.documents import DocumentError, checked, parse_json

VERSION = 257
"""The format version of these files; those of normative model sets are below it."""
RESIDUAL = (-512, 511)
"""Range of a residual in 8-bit sample steps: beyond what any sample can take, so that it clips nothing."""

INT32 = 1 << 31
Values = NDArray[np.int64]
Interval = tuple[Values, Values]
"""Lowest and highest value of each channel, int64 [C]."""


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
        """Lowest and highest output of each channel for inputs within ``intervals``; of a sum also what any part of it can reach."""
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

    @cached_property
    def taps(self) -> NDArray[np.float64]:
        """Weights without zero point, [k, k, out, in]."""
        return (self.weights.astype(np.float64) - self.zero_point).transpose(2, 3, 0, 1).copy()

    def run(self, *values: Values, plain: bool = False) -> Values:
        (x,) = values
        k = self.weights.shape[2]
        padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
        if plain:
            weights = self.weights.astype(np.int64) - self.zero_point
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
            acc += self.taps[y, column] @ window.reshape(len(window), -1)
        return acc.astype(np.int64).reshape(-1, height, width)

    def interval(self, *intervals: Interval) -> Interval:
        ((low, high),) = intervals
        low, high = np.minimum(low, 0), np.maximum(high, 0)  # borders are 0
        weights = self.weights.astype(np.int64) - self.zero_point
        positive, negative, bias = np.maximum(weights, 0).sum((2, 3)), np.minimum(weights, 0).sum((2, 3)), self.bias.astype(np.int64)
        return bias + positive @ low + negative @ high, bias + positive @ high + negative @ low


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
        multiplier, shift = self.multiplier.astype(np.int64), self.shift.astype(np.int64)
        ends = [np.clip((end * multiplier + ((1 << shift) >> 1)) >> shift, self.low, self.high) for end in (low, high)]
        return np.minimum(*ends), np.maximum(*ends)


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
        return np.concatenate([low for low, _ in intervals]), np.concatenate([high for _, high in intervals])


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
        return np.minimum(intervals[0][0], 0), np.maximum(intervals[0][1], 0)


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


KINDS: tuple[type[Operation], ...] = (Convolve, Requantize, Add, Concatenate, MaxPool, SumPool)
"""In the order of their numbers in files, from 1."""


@dataclass(frozen=True)
class ExtendedNetwork:
    """Operations in order; the last one's output is the network's. Construction proves that nothing leaves int32.

    ``channels``: of the input, whose values are -128 .. 127. ``meta``: JSON values (method, QP, ...).
    """

    operations: tuple[Operation, ...]
    channels: int
    meta: dict[str, Any]

    INPUT: ClassVar[tuple[int, int]] = (-128, 127)

    def __post_init__(self) -> None:
        self.intervals()

    def intervals(self) -> list[Interval]:
        """What each value, the input first, can reach. Raises ModelError, and RangeError where that is beyond int32."""
        low, high = (np.full(self.channels, end, np.int64) for end in self.INPUT)
        found = [(low, high)]
        for n, operation in enumerate(self.operations, 1):
            if not operation.inputs or not all(0 <= i < n for i in operation.inputs):
                raise ModelError(f"operation {n} reads a value that is not there yet")
            try:
                low, high = operation.interval(*(found[i] for i in operation.inputs))
            except (ValueError, TypeError):
                raise ModelError(f"operation {n} ({type(operation).__name__}): its inputs do not have the channels that it reads") from None
            if low.min() < -INT32 or high.max() >= INT32:
                reached = low.min() if low.min() < -INT32 else high.max()
                raise RangeError(f"operation {n} ({type(operation).__name__}): values can reach {reached}, beyond int32")
            found.append((low, high))
        return found

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
        """The file, all little-endian: signature, u16 version, u16 1, u32 size of the file, u16 channels, u16 number of operations; each
        operation; ``meta`` as JSON; SHA-256.

        An operation: u8 kind, u8 number of inputs, u16 each input, and by kind
        convolve: u16 outputs, u16 inputs, u8 kernel, u8 stride, u8 bits, u8 0, i16 zero point, i32 biases, i16 weights;
        requantize: u16 channels, i32 low, i32 high, i32 multipliers, u8 shifts; max pool: u8 kernel, u8 stride; sum pool: u32 samples.
        """
        parts = [struct.pack("<HH", self.channels, len(self.operations))]
        for o in self.operations:
            parts.append(struct.pack(f"<BB{len(o.inputs)}H", KINDS.index(type(o)) + 1, len(o.inputs), *o.inputs))
            if isinstance(o, Convolve):
                outputs, inputs, kernel = o.weights.shape[:3]
                parts.append(struct.pack("<HHBBBBh", outputs, inputs, kernel, o.stride, o.bits, 0, o.zero_point))
                parts += [o.bias.astype("<i4").tobytes(), o.weights.astype("<i2").tobytes()]
            elif isinstance(o, Requantize):
                parts.append(struct.pack("<Hii", len(o.multiplier), o.low, o.high))
                parts += [o.multiplier.astype("<i4").tobytes(), o.shift.astype("u1").tobytes()]
            elif isinstance(o, MaxPool):
                parts.append(struct.pack("<BB", o.kernel, o.stride))
            elif isinstance(o, SumPool):
                parts.append(struct.pack("<I", o.samples))
        parts.append(json.dumps(self.meta, sort_keys=True).encode())
        size = 16 + sum(map(len, parts)) + 32
        body = SIGNATURE + struct.pack("<HHI", VERSION, 1, size) + b"".join(parts)
        return body + hashlib.sha256(body).digest()

    @staticmethod
    def from_bytes(data: bytes, name: str = "model") -> "ExtendedNetwork":
        """Inverse of to_bytes; raises ModelError."""
        if data[:8] != SIGNATURE or len(data) < 52 or struct.unpack_from("<H", data, 8)[0] != VERSION:
            raise ModelError(f"{name} is not an extended network (format version {VERSION})")
        if hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise ModelError(f"{name} is damaged: its SHA-256 does not match")
        reader = Reader(data[:-32], 16, name)
        try:
            channels, count = reader.take("<HH")
            operations = tuple(_read_operation(reader) for _ in range(count))
            meta = checked(parse_json(reader.bytes(len(reader.data) - reader.offset), "its last part"), dict[str, Any], "its last part")
            return ExtendedNetwork(operations, channels, meta)
        except (ValueError, IndexError, DocumentError) as error:
            raise ModelError(f"{name} is not an extended network of this version ({type(error).__name__}: {error})") from None

    @staticmethod
    def load(path: str | Path) -> "ExtendedNetwork":
        """Read a file; raises ModelError."""
        try:
            return ExtendedNetwork.from_bytes(read_bytes(path, MOST_MODEL_BYTES), str(path))
        except OSError as error:
            raise ModelError(f"cannot read model {path}: {error.strerror or error}") from None

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_bytes(path, self.to_bytes())


AnyInteger = IntegerNetwork | ExtendedNetwork


def _read_operation(reader: Reader) -> Operation:
    kind, count = reader.take("<BB")
    if not 1 <= kind <= len(KINDS):
        raise ModelError(f"{reader.name}: unknown operation {kind}")
    read = reader.take(f"<{count}H")

    def array(dtype: str, count: int) -> NDArray[Any]:
        found = np.frombuffer(reader.bytes(count * np.dtype(dtype).itemsize), dtype)
        return found.astype(found.dtype.newbyteorder("="))

    if KINDS[kind - 1] is Convolve:
        outputs, inputs, kernel, stride, bits, _, zero_point = reader.take("<HHBBBBh")
        if kernel % 2 == 0 or stride < 1:
            raise ModelError(f"{reader.name}: kernel size {kernel} or stride {stride} is not allowed")
        bias, weights = array("<i4", outputs), array("<i2", outputs * inputs * kernel**2)
        return Convolve(read, weights.reshape(outputs, inputs, kernel, kernel), zero_point, bits, bias, stride)
    if KINDS[kind - 1] is Requantize:
        channels, low, high = reader.take("<Hii")
        multiplier, shift = array("<i4", channels), array("u1", channels)
        if shift.max() > 62 or low > high:
            raise ModelError(f"{reader.name}: shift {shift.max()} or limits {low}..{high} are not allowed")
        return Requantize(read, multiplier, shift, low, high)
    if KINDS[kind - 1] is MaxPool:
        return MaxPool(read, *reader.take("<BB"))
    if KINDS[kind - 1] is SumPool:
        return SumPool(read, *reader.take("<I"))
    return Add(read) if KINDS[kind - 1] is Add else Concatenate(read)


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


def prune(network: ExtendedNetwork) -> tuple[ExtendedNetwork, dict[int, list[int]]]:
    """Take out the channels that the proof shows to be 0 for every input; the network's last value stays what it was.

    Returns the network and, by number of the value that convolutions read, the channels that are gone. Values that an operation takes
    channel by channel (requantization, addition, pooling) lose a channel together or not at all: where a convolution reads one of them,
    the channel must be 0. Values that are concatenated, the input and the last one stay whole.
    """
    intervals = network.intervals()
    group = list(range(len(intervals)))  # numbers of values that share their channels -> one of them

    def find(n: int) -> int:
        return n if group[n] == n else find(group[n])

    whole = {0, len(intervals) - 1}
    for n, operation in enumerate(network.operations, 1):
        if isinstance(operation, Concatenate):
            whole |= {n, *operation.inputs}
        elif not isinstance(operation, Convolve):
            for i in operation.inputs:
                group[find(i)] = find(n)
    whole = {find(n) for n in whole}
    read = {i for o in network.operations if isinstance(o, Convolve) for i in o.inputs}
    kept: dict[int, NDArray[np.bool_]] = {}
    for n in sorted(read):
        low, high = intervals[n]
        kept[find(n)] = kept.get(find(n), np.zeros(len(low), bool)) | (low != 0) | (high != 0)
    for root, alive in kept.items():
        alive |= root in whole
        alive[0] |= not alive.any()  # a value has a channel
    operations: list[Operation] = []
    for n, operation in enumerate(network.operations, 1):
        alive = kept.get(find(n), np.ones(len(intervals[n][0]), bool))
        if isinstance(operation, Convolve):
            weights = operation.weights[alive][:, kept.get(find(operation.inputs[0]), np.ones(operation.weights.shape[1], bool))]
            operation = replace(operation, weights=weights, bias=operation.bias[alive])
        elif isinstance(operation, Requantize) and len(operation.multiplier) > 1:
            operation = replace(operation, multiplier=operation.multiplier[alive], shift=operation.shift[alive])
        operations.append(operation)
    gone = {n: np.flatnonzero(~kept[find(n)]).tolist() for n in sorted(read) if not kept[find(n)].all()}
    return ExtendedNetwork(tuple(operations), network.channels, network.meta), gone
