"""The same network in other engines, for codec-bridge bench --peers: OpenVINO, ONNX Runtime and PyTorch, side by side with the C library.

Each contender runs in a process of its own (``python -m codec_bridge.bench.peers``), so that thread pools and memory are apart and an
instruction set can be forbidden by the environment; the processes take turns. Pictures and results of the peers are float32 arrays that
exist already: converting 8-bit samples is not counted for them, as it is for the C library.
"""

import importlib.metadata
import importlib.util
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bench.input import OURS, PeerError, fill, float_network, network_for
from codec_bridge.bench.run import photograph, resident
from codec_bridge.filter import Filter, kernels
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path
from vrcnn_int.network import FloatNetwork

LARGEST = 2560 * 1600  # samples: beyond that, engines that keep feature maps take several GB
BITS_SIZE = (416, 240)
PHOTOGRAPH, CALIBRATION, ONNX_FILE = "photograph.npy", "calibration.npy", "int8.onnx"
"""What the contenders' processes are given in a folder: the picture to filter, others to quantize with, the quantized model."""

ADVICE = "pip install '.[bench]'"

ROUNDS = 5
SLOW = 1.0  # seconds a picture, from which on a contender takes part in only SLOW_ROUNDS
SLOW_ROUNDS = 3
TURN = 0.1  # seconds of pictures a turn, at least one
PAUSE = 0.02  # seconds before each turn: the threads of the one before may still spin

ISA = {"avx2": "AVX2", "avxvnni": "AVX2_VNNI", "avx512vnni": "AVX512_CORE_VNNI"}
"""What oneDNN calls the instruction sets of our kernels, worst first (ONEDNN_MAX_CPU_ISA)."""

Float = NDArray[np.float32]  # [1, 1, height, width]
Prepare = Callable[[Float], Callable[[], Float]]


@dataclass(frozen=True)
class Peer:
    """name: as in tables. packages: what it needs. one_dnn: whether ONEDNN_MAX_CPU_ISA tells it which instructions to use."""

    name: str
    packages: tuple[str, ...]
    one_dnn: bool


PEERS = (
    Peer("OpenVINO int8", ("openvino", "onnx", "onnxruntime"), True),  # onnxruntime quantizes the ONNX model
    Peer("ONNX Runtime int8", ("onnx", "onnxruntime"), False),
    Peer("torch fp32", ("torch",), True),
    Peer("torch bf16", ("torch",), True),
    Peer("torch int8", ("torch",), True),
)


def installed() -> tuple[list[Peer], list[str]]:
    """The peers that can run, and a line about each that cannot. Raises PeerError if there are none."""
    found, lines = [], []
    for peer in PEERS:
        missing = [package for package in peer.packages if importlib.util.find_spec(package) is None]
        if missing:
            lines.append(f"{peer.name} is left out: {', '.join(missing)} not installed ({ADVICE})")
        else:
            found.append(peer)
    if not found:
        raise PeerError(f"no peer is installed; {ADVICE}")
    return found, lines


def versions() -> dict[str, str]:
    """Versions of the packages that peers need, of those that are installed."""
    packages = sorted({package for peer in PEERS for package in peer.packages})
    return {package: importlib.metadata.version(package) for package in packages if importlib.util.find_spec(package)}


def load_calibration(folder: Path) -> list[Float]:
    """Pictures to quantize with, as the network's input."""
    return [as_input(plane) for plane in np.load(folder / CALIBRATION)]


def check(model: Path | None) -> None:
    """Raise VrcnnError if there is nothing to compare with: no peer, or no float network beside the model set."""
    installed()
    float_network(model or builtin_path())


# The peers' side: what runs in processes of its own.


def as_input(plane: NDArray[np.uint8]) -> Float:
    """Samples as the network's input: (s - 128) / 255, [1, 1, height, width]."""
    return ((plane.astype(np.float32) - np.float32(128)) / np.float32(255))[None, None]


def as_samples(filtered: Float) -> NDArray[np.uint8]:
    """The network's output, rounded and clipped to 8-bit samples [height, width]."""
    samples: NDArray[np.uint8] = np.clip(np.floor(filtered[0, 0].astype(np.float64) * 255 + 128.5), 0, 255).astype(np.uint8)
    return samples


def as_onnx(network: FloatNetwork) -> Any:
    """The float network as an ONNX model: x [1, 1, height, width] -> y = x + residual."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    x = "x"
    for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        outputs = []
        for j, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            name, size = f"layer{i}branch{j}", weight.shape[2]
            parameters = [constant(f"{name}.weight", weight), constant(f"{name}.bias", bias)]
            nodes.append(helper.make_node("Conv", [x, *parameters], [name], name, kernel_shape=[size] * 2, pads=[size // 2] * 4))
            if i < len(network.bounds):
                limits = [constant(f"{name}.low", 0), constant(f"{name}.high", network.bounds[i])]
                nodes.append(helper.make_node("Clip", [name, *limits], [f"{name}.clipped"], f"{name}.clip"))
            outputs.append(nodes[-1].output[0])
        if len(outputs) > 1:
            nodes.append(helper.make_node("Concat", outputs, [f"layer{i}"], f"layer{i}.concat", axis=1))
        x = nodes[-1].output[0]
    nodes.append(helper.make_node("Add", ["x", x], ["y"], "add"))
    first, last = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, "height", "width"]) for name in "xy")
    graph = helper.make_graph(nodes, "vrcnn", [first], [last], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def write_int8(model: Any, path: Path, calibration: list[Float]) -> None:
    """Quantize an ONNX model (QDQ) and write it: weights by channel, activations by tensor, ranges from calibration pictures."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Pictures(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = iter(calibration)

        def get_next(self) -> dict[str, Float] | None:
            picture = next(self.rest, None)
            return None if picture is None else {"x": picture}

    # The 256 values of a sample are the 256 steps of input and output.
    samples = [{"quant_type": QuantType.QUInt8, "scale": np.array(1 / 255, np.float32), "zero_point": np.array(128, np.uint8)}]
    options = {"WeightSymmetric": True, "TensorQuantOverrides": {"x": samples, "y": samples}}
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    logging.disable(logging.WARNING)  # it recommends steps that this model has no use for
    try:
        quantize_static(model, path, Pictures(), quant_format=QuantFormat.QDQ, per_channel=True, extra_options=options, **types)
    finally:
        logging.disable(logging.NOTSET)


def _check_int8(found: int, network: FloatNetwork) -> None:
    wanted = sum(map(len, network.weights))
    if found != wanted:
        raise PeerError(f"{found} of {wanted} convolutions run in int8")


def run_in_openvino(network: FloatNetwork, onnx_file: Path, threads: int) -> Prepare:
    """OpenVINO on the CPU. Raises PeerError unless every convolution runs in int8, which the compiled model tells."""
    # Its import would report over the network that it was imported, from a forked process that outlives this one's end.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    core = openvino.Core()
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}

    def prepare(x: Float) -> Callable[[], Float]:
        model = core.read_model(onnx_file)
        model.reshape(list(x.shape))
        compiled = core.compile_model(model, "CPU", config)
        infos = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ordered_ops()]
        kinds = [tuple(str(info[key].astype(str)) for key in ("layerType", "runtimePrecision")) for info in infos]
        _check_int8(sum(kind == "Convolution" and precision in ("u8", "i8") for kind, precision in kinds), network)
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(x))

        def run() -> Float:
            request.infer()
            filtered: Float = request.get_output_tensor().data
            return filtered

        return run

    return prepare


def run_in_onnxruntime(network: FloatNetwork, onnx_file: Path, threads: int) -> Prepare:
    """ONNX Runtime on the CPU. Raises PeerError unless every convolution is one of int8 in the optimized model."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
        operators = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    _check_int8(operators.count("QLinearConv"), network)

    def prepare(x: Float) -> Callable[[], Float]:
        def run() -> Float:
            filtered: Float = session.run(None, {"x": x})[0]
            return filtered

        return run

    return prepare


def _load_peer(name: str, model: Path, folder: Path, threads: int) -> Prepare:
    network = float_network(model)
    if name == "OpenVINO int8":
        return run_in_openvino(network, folder / ONNX_FILE, threads)
    if name == "ONNX Runtime int8":
        return run_in_onnxruntime(network, folder / ONNX_FILE, threads)
    from codec_bridge.bench.torch_peer import run_in_torch

    return run_in_torch(network, name.removeprefix("torch "), threads, load_calibration(folder))


class Contender:
    """One engine in its process: filters the bench's picture at the size asked for."""

    def __init__(self, name: str, model: str, folder: str, threads: int, kernel: str) -> None:
        self.photograph = np.load(Path(folder) / PHOTOGRAPH)
        self.index = network_for(ModelSet.load(model))
        self.before = resident()
        self.ours = Filter(model, kernel=kernel, threads=threads) if name == OURS else None
        self.peer = _load_peer(name, Path(model), Path(folder), threads) if self.ours is None else None
        self.run: Callable[[], Any] = lambda: None

    def prepare(self, width: int, height: int) -> dict[str, Any]:
        """Make ready for a size, and filter once."""
        plane = fill(self.photograph, width, height)
        if self.ours is not None:
            out = plane.copy()
            call = self.ours.prepare(plane, out, 8, self.index)
            self.run = lambda: call() or out
        elif self.peer is not None:
            self.run = self.peer(as_input(plane))
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
        np.save(path, filtered if self.ours is not None else as_samples(filtered))
        return {}


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


# This side: the process that compares.


class Worker:
    """A contender's process. Errors of the engine are PeerErrors here."""

    def __init__(self, name: str, environment: dict[str, str] | None = None, wrapper: Sequence[str] = (), **arguments: Any) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "codec_bridge.bench.peers"],
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


def compare(
    sizes: Sequence[tuple[int, int]],
    threads: Sequence[int],
    model: Path | None = None,
    kernel: str = "auto",
    progress: Callable[[str, float], None] = lambda _what, _share: None,
) -> dict[str, Any]:
    """Time the peers and the C library in alternating runs, and count the samples that change with the instruction set.

    Returns the parts of a document. versions: of packages. left_out: lines on peers that are not installed. failures: lines on those that
    failed, and have no rows. timings: contender, width, height, threads, ms (median), ms_minimum, repeats, ratio (ms by that of the C
    library), resident (bytes by which the contender's process has grown at its largest, counted from before the engine is loaded).
    bits: see changed_samples.
    """
    peers, left_out = installed()
    path = Path(model or builtin_path()).resolve()
    network = float_network(path)
    failures: list[str] = []
    timings: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        common = {"model": str(path), "folder": folder, "kernel": kernel}
        progress("coding pictures", 0)
        np.save(Path(folder) / PHOTOGRAPH, photograph())
        np.save(Path(folder) / CALIBRATION, [fill(photograph(name), *BITS_SIZE) for name in ("coffee", "chelsea", "rocket")])
        if any("onnx" in peer.packages for peer in peers):
            progress("quantizing for ONNX", 0)
            write_int8(as_onnx(network), Path(folder) / ONNX_FILE, load_calibration(Path(folder)))
        steps = len(threads) + 1
        for step, count in enumerate(threads):
            for what, share in _time(peers, sorted(sizes), count, common, timings, failures):
                progress(what, (step + share) / steps)
        bits: list[dict[str, Any]] = []
        for what, share in changed_samples(peers, common, bits, failures):
            progress(what, (steps - 1 + share) / steps)
    return {"versions": versions(), "left_out": left_out, "failures": failures, "timings": timings, "bits": bits}


def _time(
    peers: list[Peer],
    sizes: Sequence[tuple[int, int]],
    threads: int,
    common: dict[str, Any],
    timings: list[dict[str, Any]],
    failures: list[str],
) -> Iterator[tuple[str, float]]:
    """Adds to timings and failures; yields what it is about and the share done. Sizes ascend, so that peak memory is that of the size."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, threads=threads, **common)) for name in (OURS, *(peer.name for peer in peers))}

        def ask(name: str, action: str, **arguments: Any) -> dict[str, Any] | None:
            """None from a contender that fails, now and later."""
            if name not in workers:
                return None
            try:
                return workers[name].ask(action, **arguments) if action else workers[name].receive()
            except PeerError as error:
                if name == OURS:
                    raise
                failures.append(str(error))
                del workers[name]
                return None

        for name in list(workers):
            yield f"starting {name}", 0
            ask(name, "")
        total = sum(width * height for width, height in sizes)
        done = 0
        for width, height in sizes:
            what = f"{width}x{height}, {threads} thread{'s' * (threads > 1)}"
            rounds = {}
            for name in list(workers):
                yield f"{what}: {name}", done / total
                first = ask(name, "prepare", width=width, height=height)
                rounds[name] = SLOW_ROUNDS if first is None or first["seconds"] > SLOW else ROUNDS
            results: dict[str, tuple[list[float], int | None]] = {}
            for turn in range(ROUNDS):
                for name in [name for name in workers if turn < rounds[name]]:
                    time.sleep(PAUSE)
                    answer = ask(name, "measure", seconds=TURN)
                    if answer is not None:
                        results[name] = (results[name][0] if name in results else []) + answer["times"], answer["resident"]
                    yield f"{what}: {name}", (done + width * height * turn / ROUNDS) / total
            done += width * height
            ours = statistics.median(results[OURS][0])
            for name, (times, grown) in results.items():
                median = statistics.median(times)
                timings.append(
                    {
                        "contender": name,
                        "width": width,
                        "height": height,
                        "threads": threads,
                        "ms": median * 1000,
                        "ms_minimum": min(times) * 1000,
                        "repeats": len(times),
                        "ratio": median / ours,
                        "resident": grown,
                    }
                )


def changed_samples(
    peers: list[Peer], common: dict[str, Any], bits: list[dict[str, Any]], failures: list[str]
) -> Iterator[tuple[str, float]]:
    """Adds to bits what each contender changes when it has a lesser instruction set; yields what it is about and the share done.

    A row: contender, isa (the name of our kernel with that instruction set), method (how it was forbidden the better ones), samples,
    changed (how many 8-bit samples differ from the run with everything this machine has), largest (difference); or the same with changed
    None and the reason as method. The C library is told to take that kernel, oneDNN by ONEDNN_MAX_CPU_ISA; ONNX Runtime can only be
    deceived: an emulated processor (qemu-x86_64) has AVX2 and nothing better.
    """
    supported = [name for name, there in kernels() if there]
    lesser = [name for name in supported[:-1] if name in ISA]
    emulator = shutil.which("qemu-x86_64")
    jobs: list[tuple[str, str, str, dict[str, str], list[str], str]] = []
    for isa in lesser:
        one_dnn = {"ONEDNN_MAX_CPU_ISA": ISA[isa]} | ({"ATEN_CPU_CAPABILITY": "avx2"} if isa.startswith("avx2") else {})
        jobs.append((OURS, isa, f"kernel {isa}", {}, [], isa))
        for peer in peers:
            if peer.one_dnn:
                jobs.append((peer.name, isa, " ".join(f"{key}={value}" for key, value in one_dnn.items()), one_dnn, [], "auto"))
            elif isa == "avx2" and emulator:
                jobs.append((peer.name, isa, "qemu-x86_64 -cpu max", {}, [emulator, "-cpu", "max"], "auto"))
            elif isa == "avx2":
                bits.append({"contender": peer.name, "isa": isa, "method": "needs qemu-x86_64 (qemu-user)", "samples": 0, "changed": None})
    reference: dict[str, NDArray[np.uint8] | None] = {}

    def output(name: str, environment: dict[str, str], wrapper: list[str], kernel: str) -> NDArray[np.uint8] | None:
        path = Path(common["folder"]) / "samples.npy"
        with Worker(name, environment, wrapper, threads=1, **{**common, "kernel": kernel}) as worker:
            try:
                worker.receive()
                worker.ask("prepare", width=BITS_SIZE[0], height=BITS_SIZE[1])
                worker.ask("save", path=str(path))
            except PeerError as error:
                failures.append(f"{error} ({' '.join([*wrapper, *map('='.join, environment.items())]) or 'as usual'})")
                return None
        samples: NDArray[np.uint8] = np.load(path)
        return samples

    for place, (name, isa, method, environment, wrapper, kernel) in enumerate(jobs):
        yield f"bits: {name}, {isa}", place / len(jobs)
        if name not in reference:
            reference[name] = output(name, {}, [], common["kernel"])
        expected, got = reference[name], output(name, environment, wrapper, kernel)
        if expected is not None and got is not None:
            difference = np.abs(expected.astype(int) - got)
            row = {"contender": name, "isa": isa, "method": method, "samples": got.size, "changed": int((difference > 0).sum())}
            bits.append(row | {"largest": int(difference.max())})


if __name__ == "__main__":
    serve()
