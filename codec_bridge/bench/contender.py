"""One engine in a process of its own, so that thread pools and memory are apart and an instruction set can be forbidden by the environment.

``Worker`` starts ``python -m codec_bridge.bench.contender`` and asks it, a line of JSON each way.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from codec_bridge.bench.input import OURS, Float, PeerError, Prepare, as_input, as_samples, as_sites, float_network, subjects
from codec_bridge.bench.onnx_peer import run_in_onnxruntime, run_in_openvino
from codec_bridge.bench.run import resident
from codec_bridge.filter import Filter
from vrcnn_int.network import FloatNetwork

PHOTOGRAPH, CALIBRATION, ONNX_FILE = "photograph.npz", "calibration.npy", "int8.onnx"
"""What the contenders' processes are given in a folder: the picture to filter, inputs to quantize with, the quantized model."""


class Worker:
    """A contender's process. Errors of the engine are PeerErrors here."""

    def __init__(self, name: str, environment: dict[str, str] | None = None, wrapper: Sequence[str] = (), **arguments: Any) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "codec_bridge.bench.contender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            start_new_session=True,  # Ctrl-C is this process's business
        )
        self.send("open", name=name, **arguments)

    def send(self, action: str, **arguments: Any) -> None:
        """Ask for something; receive() waits for the answer."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # receive() says why
            print(json.dumps({"do": action, "with": arguments}), file=self._process.stdin, flush=True)

    def receive(self) -> dict[str, Any]:
        """The answer to the oldest request."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise PeerError(f"{self.name} ended with {code}" + (f": {said[-1]}" if said else ""))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.name}: {answer['error']}")
        return answer

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        self.send(action, **arguments)
        return self.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            if file is not None:
                with suppress(BrokenPipeError):
                    file.close()


class Contender:
    """One engine in its process: filters the bench's picture at the size asked for, with the network of a kind and size."""

    def __init__(self, name: str, model: str, folder: str, threads: int, kernel: str, kind: str = "luma", size: str = "best") -> None:
        with np.load(Path(folder) / PHOTOGRAPH) as photograph:
            self.photograph = tuple(photograph.values())
        (self.subject,) = subjects(Path(model), kind, size)
        self.before = resident()
        self.ours = Filter(self.subject.models, kernel=kernel, threads=threads) if name == OURS else None
        self.peer = _load_peer(name, float_network(Path(model), kind, size), Path(folder), threads) if self.ours is None else None
        self.run: Callable[[], Any] = lambda: None

    def prepare(self, width: int, height: int) -> dict[str, Any]:
        """Make ready for a size, and filter once."""
        planes = self.subject.planes(self.photograph, width, height)
        if self.ours is not None:
            out = [plane.copy() for plane in planes]
            call = self.ours.prepare_planes(planes, out, (8, 8), self.subject.index)
            self.run = lambda: call() or out
        elif self.peer is not None:
            self.run = self.peer(as_input(*planes))
        start = time.perf_counter()
        self.run()
        return {"seconds": time.perf_counter() - start}

    def measure(self, seconds: float) -> dict[str, Any]:
        """Filter pictures for so long, at least one; the seconds each took."""
        times: list[float] = []
        while sum(times) < seconds:
            start = time.perf_counter()
            self.run()
            times.append(time.perf_counter() - start)
        peak = _peak_resident()
        return {"times": times, "resident": None if peak is None or self.before is None else peak - self.before}

    def save(self, path: str) -> dict[str, Any]:
        """Write the filtered samples as .npy."""
        filtered = self.run()
        np.save(path, as_sites(filtered) if self.ours is not None else as_samples(filtered))
        return {}


def _load_peer(name: str, network: FloatNetwork, folder: Path, threads: int) -> Prepare:
    if name == "OpenVINO int8":
        return run_in_openvino(network, folder / ONNX_FILE, threads)
    if name == "ONNX Runtime int8":
        return run_in_onnxruntime(network, folder / ONNX_FILE, threads)
    from codec_bridge.bench.torch_peer import run_in_torch

    return run_in_torch(network, name.removeprefix("torch "), threads, load_calibration(folder))


def load_calibration(folder: Path) -> list[Float]:
    """Pictures to quantize with, as the network's input."""
    return list(np.load(folder / CALIBRATION))


def _peak_resident() -> int | None:
    """The most memory that this process ever held, in bytes; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def serve() -> None:
    """Answer requests, a line of JSON each, until standard input ends. What engines print goes to standard error."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        contender: Contender | None = None
        for line in sys.stdin:
            request = json.loads(line)
            action, arguments = request["do"], request["with"]
            try:
                if contender is None:
                    contender, answer = Contender(**arguments), {}
                else:
                    answer = getattr(contender, action)(**arguments)
            except Exception as error:
                answer = {"error": " ".join(f"{error or type(error).__name__}".split())[:400]}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
