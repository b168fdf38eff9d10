"""Runs an implementation on the conformance suite and says what differs, by vector and sample."""

import itertools
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from vrcnn_int.conformance import (
    FILTER_PARTS,
    PARTS,
    FilterVector,
    JointVector,
    RefusedVector,
    SideinfoVector,
    Suite,
    SuiteError,
    plane_bytes,
)
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import IntegerNetwork, ModelError, ModelSet, filter_plane, filter_planes, joint_layer_outputs, layer_outputs
from vrcnn_int.io.console import console, show_table
from vrcnn_int.proofs import ProofError, prove
from vrcnn_int.text import counted

JOINT_PLACES = ("model", "network", "width", "height", "format", "depths", "depth", "chroma_depth")
PLACES = {
    "command": ("model", "network", "width", "height", "depth", "scale", "input", "output"),
    "layer_command": ("model", "network", "width", "height", "depth", "layer", "input", "output"),
    "joint_command": (*JOINT_PLACES, "weights", "input", "output"),
    "joint_layer_command": (*JOINT_PLACES, "layer", "input", "output"),
    "sideinfo_command": ("width", "height", "irap", "version", "input"),
}
"""What may stand in braces in a command."""
MOST_PROBLEMS = 20
"""Printed."""


class Failure(Exception):
    """An implementation gave no result for a vector; the argument says why."""


class Implementation(Protocol):
    """What can be verified. A method raises Failure where there is no result; methods of parts that are not named are not called."""

    @property
    def parts(self) -> Collection[str]:
        """Of PARTS, those that it can be asked for."""

    def filtered(self, suite: Suite, vector: FilterVector) -> bytes:
        """The filtered picture, as plane_bytes() has it."""

    def hidden(self, suite: Suite, vector: FilterVector, layer: int) -> bytes:
        """The values of a hidden layer (from 0), a byte each, in the order channel, row, column."""

    def joint_filtered(self, suite: Suite, vector: JointVector) -> bytes:
        """The filtered planes, one after the other, each as plane_bytes() has it."""

    def joint_hidden(self, suite: Suite, vector: JointVector, layer: int) -> bytes:
        """The values of a hidden layer (from 0), a byte each, in the order channel, row, column of sites."""

    def refuses(self, suite: Suite, vector: RefusedVector) -> bool:
        """Whether it refuses the model."""

    def sideinfo(self, vector: SideinfoVector) -> str:
        """The lines of the specification, section 9."""


class Oracle:
    """The oracle of this installation: whether it still gives the bits of the suite. It reads no side information."""

    parts = tuple(part for part in PARTS if part != "sideinfo")

    def __init__(self) -> None:
        self._name, self._hidden = "", list[bytes]()

    def network(self, suite: Suite, vector: FilterVector | JointVector) -> IntegerNetwork:
        return ModelSet.load(suite.path(vector.model)).networks[vector.network]

    def filtered(self, suite: Suite, vector: FilterVector) -> bytes:
        return plane_bytes(filter_plane(self.network(suite, vector), suite.plane(vector), vector.bit_depth, vector.scale))

    def hidden(self, suite: Suite, vector: FilterVector, layer: int) -> bytes:
        return self._layer(vector, layer, lambda: layer_outputs(self.network(suite, vector), suite.plane(vector), vector.bit_depth))

    def joint_filtered(self, suite: Suite, vector: JointVector) -> bytes:
        weights = vector.luma_weights, vector.chroma_weights
        return b"".join(map(plane_bytes, filter_planes(self.network(suite, vector), *_picture(suite, vector), *weights)))

    def joint_hidden(self, suite: Suite, vector: JointVector, layer: int) -> bytes:
        return self._layer(vector, layer, lambda: joint_layer_outputs(self.network(suite, vector), *_picture(suite, vector)))

    def _layer(self, vector: FilterVector | JointVector, layer: int, compute: Callable[[], list[NDArray[np.int64]]]) -> bytes:
        """The layers of a vector are asked for one after the other."""
        if self._name != vector.name:
            self._name, self._hidden = vector.name, [values.astype(np.uint8).tobytes() for values in compute()]
        return self._hidden[layer]

    def refuses(self, suite: Suite, vector: RefusedVector) -> bool:
        try:
            for network in ModelSet.load(suite.path(vector.model)).networks:
                prove(network)
        except (ModelError, ProofError):
            return True
        return False

    def sideinfo(self, vector: SideinfoVector) -> str:
        raise NotImplementedError


def _picture(suite: Suite, vector: JointVector) -> tuple[tuple[NDArray[Any], ...], tuple[int, int], str]:
    """Planes, bit depths and chroma format, as the oracle takes them."""
    return suite.planes(vector), (vector.bit_depths[0], vector.bit_depths[1]), str(vector.chroma_format)


MOST_SECONDS = 10**6


class Program:
    """Any program, run once for each result. Commands are words as in a shell, with PLACES in braces; no shell runs them."""

    def __init__(
        self,
        command: str | None,
        layer_command: str | None = None,
        sideinfo_command: str | None = None,
        joint_command: str | None = None,
        joint_layer_command: str | None = None,
        *,
        timeout: float = 600,
    ) -> None:
        """timeout: seconds for one run, at most MOST_SECONDS. Raises VrcnnError, also for a command that cannot be understood."""
        if not 0 < timeout <= MOST_SECONDS:
            raise VrcnnError(f"a program has 0 to {MOST_SECONDS} seconds for one run, not {timeout}")
        self.command = _words("command", command)
        self.layer_command = _words("layer_command", layer_command)
        self.sideinfo_command = _words("sideinfo_command", sideinfo_command)
        self.joint_command = _words("joint_command", joint_command)
        self.joint_layer_command = _words("joint_layer_command", joint_layer_command)
        self.timeout = timeout
        needed = {**dict.fromkeys((*FILTER_PARTS, "refused"), command), "layers": layer_command, "sideinfo": sideinfo_command}
        needed |= {"joint": joint_command, "joint-layers": joint_layer_command}
        self.parts = [part for part in PARTS if needed[part]]

    def filtered(self, suite: Suite, vector: FilterVector) -> bytes:
        return self._plane(self.command, suite, vector, vector.samples * vector.bytes_per_sample, scale=vector.scale)

    def hidden(self, suite: Suite, vector: FilterVector, layer: int) -> bytes:
        return self._plane(self.layer_command, suite, vector, vector.samples * _channels(suite, vector, layer), layer=layer)

    def joint_filtered(self, suite: Suite, vector: JointVector) -> bytes:
        weights = "/".join(",".join(map(str, each)) for each in (vector.luma_weights, vector.chroma_weights))
        return self._planes(self.joint_command, suite, vector, vector.size, weights=weights)

    def joint_hidden(self, suite: Suite, vector: JointVector, layer: int) -> bytes:
        rows, across = vector.sites
        return self._planes(self.joint_layer_command, suite, vector, rows * across * _channels(suite, vector, layer), layer=layer)

    def refuses(self, suite: Suite, vector: RefusedVector) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source, output = Path(folder) / "input.raw", Path(folder) / "output.raw"
            source.write_bytes(bytes(64))
            places = {"network": 0, "width": 8, "height": 8, "depth": 8, "scale": 8, "input": source, "output": output}
            done = self._run(self.command, model=suite.path(vector.model), **places)
            return done.returncode > 0 and not output.exists()

    def sideinfo(self, vector: SideinfoVector) -> str:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "input.bin"
            source.write_bytes(bytes.fromhex(vector.data))
            places = {"width": vector.width, "height": vector.height, "irap": int(vector.irap), "version": vector.version}
            done = self._succeed(self.sideinfo_command, **places, input=source)
            return done.stdout.decode("ascii", "replace")

    def _plane(self, words: list[str], suite: Suite, vector: FilterVector, size: int, **more: object) -> bytes:
        return self._output(words, suite, vector, size, depth=vector.bit_depth, **more)

    def _planes(self, words: list[str], suite: Suite, vector: JointVector, size: int, **more: object) -> bytes:
        luma, chroma = vector.bit_depths
        depths = {"depths": f"{luma},{chroma}", "depth": luma, "chroma_depth": chroma}
        return self._output(words, suite, vector, size, format=vector.chroma_format, **depths, **more)

    def _output(self, words: list[str], suite: Suite, vector: FilterVector | JointVector, size: int, **more: object) -> bytes:
        """What the command writes, which must have so many bytes."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "output.raw"
            files = {"model": suite.path(vector.model), "input": suite.path(vector.picture), "output": output}
            self._succeed(words, network=vector.network, width=vector.width, height=vector.height, **files, **more)
            if not output.is_file():
                raise Failure("no output was written")
            if (found := output.stat().st_size) != size:
                raise Failure(f"the output has {counted(found, 'byte')}, {size} are expected")
            return output.read_bytes()

    def _succeed(self, words: list[str], **places: object) -> "subprocess.CompletedProcess[bytes]":
        """Run; an exit code other than 0 is a Failure too."""
        done = self._run(words, **places)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise Failure(f"exit code {done.returncode}{': ' + said[-1][:200] if said else ''}")
        return done

    def _run(self, words: list[str], **places: object) -> "subprocess.CompletedProcess[bytes]":
        """Run in a process group of its own, which is ended as a whole after the timeout. Raises Failure for that and for a crash."""
        command = [word.format(**places) for word in words]
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True)
        except OSError as error:
            raise VrcnnError(f"cannot run {command[0]}: {error.strerror or error}") from None
        with process:
            try:
                out, err = process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                raise Failure(f"no result within {self.timeout:g} seconds") from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode < 0:
            raise Failure(f"ended by signal {-process.returncode}: {signal.strsignal(-process.returncode)}")
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def _channels(suite: Suite, vector: FilterVector | JointVector, layer: int) -> int:
    """Of a hidden layer."""
    return sum(len(branch.bias) for branch in Oracle().network(suite, vector).layers[layer])


def _words(name: str, command: str | None) -> list[str]:
    if command is None:
        return []
    option = "--" + name.replace("_", "-")
    try:
        words = shlex.split(command)
        for word in words:
            word.format(**dict.fromkeys(PLACES[name], ""))
    except (ValueError, LookupError, AttributeError):
        places = " ".join(f"{{{place}}}" for place in PLACES[name])
        raise VrcnnError(f"{option} {command!r} cannot be understood; in braces it may have {places}") from None
    if not words:
        raise VrcnnError(f"{option} is empty; give a program and its arguments")
    return words


@dataclass
class PartResult:
    """What one part of the suite showed.

    compared: samples, values of layers, models or extensions; differ: how many of them are wrong; missing: vectors without a result.
    problems: a line for each vector that is not as it should be, in the suite's order.
    """

    vectors: int = 0
    compared: int = 0
    differ: int = 0
    missing: int = 0
    problems: list[str] = field(default_factory=list)


def verify(
    suite: Suite, implementation: Implementation, largest: int | None = None, show: Callable[[str], None] = lambda name: None
) -> dict[str, PartResult]:
    """Compare an implementation with the suite, part by part. Raises SuiteError.

    ``largest``: leave out pictures of more samples. ``show`` is called with the name of each vector before it is asked for.
    """
    results = {part: PartResult() for part in PARTS if part in implementation.parts}
    _refuse_misfits(suite)
    for vector in suite.filter:
        if largest is None or vector.samples <= largest:
            show(vector.name)
            if vector.part in results:
                _compare(results[vector.part], suite, vector, None, implementation)
            for layer in range(len(vector.layer_md5) if "layers" in results else 0):
                _compare(results["layers"], suite, vector, layer, implementation)
    for joint in suite.joint if "joint" in results or "joint-layers" in results else []:
        if largest is None or joint.samples <= largest:
            show(joint.name)
            if "joint" in results:
                _compare(results["joint"], suite, joint, None, implementation)
            for layer in range(len(joint.layer_md5) if "joint-layers" in results else 0):
                _compare(results["joint-layers"], suite, joint, layer, implementation)
    for refused in suite.refused if "refused" in results else []:
        show(refused.name)
        with _counting(results["refused"], refused.name) as wrong:
            if not implementation.refuses(suite, refused):
                wrong(f"the model is not refused; its error is {refused.error}")
    for extension in suite.sideinfo if "sideinfo" in results else []:
        show(extension.name)
        with _counting(results["sideinfo"], extension.name) as wrong:
            found = implementation.sideinfo(extension)
            if found != extension.text:
                lines = itertools.zip_longest(extension.text.splitlines(), found.splitlines(), fillvalue="nothing")
                first = next(((a, b) for a, b in lines if a != b), ("the same lines", "other line ends"))
                wrong(f"{first[0][:100]!r} expected, {first[1][:100]!r} found")
    return results


def _refuse_misfits(suite: Suite) -> None:
    """Raise SuiteError for a vector that its model cannot have made."""
    vectors: list[FilterVector | JointVector] = [*suite.filter, *suite.joint]
    models = {name: ModelSet.load(suite.path(name)).networks for name in {vector.model for vector in vectors}}
    for vector in vectors:
        network = next(iter(models[vector.model][vector.network :]), None)
        heads = [len(vector.luma_weights), len(vector.chroma_weights)] if isinstance(vector, JointVector) else [1, 1]
        kind = "joint" if isinstance(vector, JointVector) else "luma"
        fields = kind, heads, len(vector.layer_md5)
        if not network or fields != (network.kind, [network.heads] * 2, len(network.layers) - 1):
            where = f"network {vector.network} of {vector.model}"
            raise SuiteError(f"{suite.folder}: {vector.name} has other fields than {where} has; make the suite again")


def show_results(name: str, results: dict[str, PartResult]) -> None:
    """Print what verify() found. Raises VrcnnError if anything is not as the suite says."""
    for line in name.splitlines():
        console.print(line, highlight=False, soft_wrap=True)
    table = Table("part", "vectors", "compared", "differ", "no result", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for part, result in results.items():
        table.add_row(part, *map(str, (result.vectors, result.compared, result.differ, result.missing)))
    show_table(table)
    problems = [problem for result in results.values() for problem in result.problems]
    for problem in problems[:MOST_PROBLEMS]:
        console.print(problem, highlight=False, soft_wrap=True)
    total = sum(result.vectors for result in results.values())
    if not total:
        raise VrcnnError("nothing was compared: the suite has no vectors for what was asked")
    if problems:
        more = f"; the first {MOST_PROBLEMS} are above" if len(problems) > MOST_PROBLEMS else ""
        raise VrcnnError(f"{len(problems)} of {total} vectors are not as the suite says{more}")


@contextmanager
def _counting(result: PartResult, name: str) -> Iterator[Callable[[str], None]]:
    """Counts a vector that is compared as a whole; what is yielded is called if it is wrong."""

    def wrong(problem: str) -> None:
        result.differ += 1
        result.problems.append(f"{name}: {problem}")

    result.vectors += 1
    try:
        yield wrong
        result.compared += 1
    except Failure as failure:
        result.missing += 1
        result.problems.append(f"{name}: {failure}")


def _compare(
    result: PartResult, suite: Suite, vector: FilterVector | JointVector, layer: int | None, implementation: Implementation
) -> None:
    """A filtered picture, or the values of one layer."""

    def ask(whom: Implementation) -> bytes:
        if isinstance(vector, JointVector):
            return whom.joint_filtered(suite, vector) if layer is None else whom.joint_hidden(suite, vector, layer)
        return whom.filtered(suite, vector) if layer is None else whom.hidden(suite, vector, layer)

    name = vector.name if layer is None else f"{vector.name}, layer {layer + 1}"
    expected = vector.md5 if layer is None else vector.layer_md5[layer]
    result.vectors += 1
    try:
        data = ask(implementation)
    except Failure as failure:
        result.missing += 1
        result.problems.append(f"{name}: {failure}")
        return
    result.compared += vector.samples if layer is None else len(data)
    if md5(data).hexdigest() == expected:
        return
    right = ask(Oracle())
    if md5(right).hexdigest() != expected:
        raise SuiteError(f"{name}: the oracle gives other values than the suite: the suite is damaged, or this installation is")
    differ = 0
    for where, one, other in zip(*_parts(vector, layer, right), _parts(vector, layer, data)[1], strict=True):
        unequal = np.argwhere(one != other)
        if len(unequal) and not differ:
            y, x = (int(n) for n in unequal[0])
            first = f"{where} ({x}, {y}): {one[y, x]} expected, {other[y, x]} found"
        differ += len(unequal)
    result.differ += differ
    result.problems.append(f"{name}: {first}; {differ} differ")


def _parts(vector: FilterVector | JointVector, layer: int | None, data: bytes) -> tuple[list[str], list[NDArray[Any]]]:
    """What the planes of a picture, or the channels of a layer, are called, and their values [row, column]."""
    joint = isinstance(vector, JointVector)
    if layer is None:
        if isinstance(vector, JointVector):
            return ["sample", "Cb, sample", "Cr, sample"][: len(vector.shapes)], list(vector.split(data))
        dtype = "u1" if vector.bytes_per_sample == 1 else "<u2"
        return ["sample"], [np.frombuffer(data, dtype).reshape(vector.height, vector.width)]
    shape = vector.sites if isinstance(vector, JointVector) else (vector.height, vector.width)
    channels = np.frombuffer(data, np.uint8).reshape(-1, *shape)
    return [f"channel {channel}, {'site' if joint else 'sample'}" for channel in range(len(channels))], list(channels)
