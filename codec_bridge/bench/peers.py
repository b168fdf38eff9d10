"""The same network in other engines, for codec-bridge bench --peers: OpenVINO, ONNX Runtime and PyTorch, side by side with the C library.

Each contender runs in a process of its own (contender.py); the processes take turns. Pictures and results of the peers are float32 arrays
that exist already: converting 8-bit samples is not counted for them, as it is for the C library.
"""

import importlib.metadata
import importlib.util
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bench.contender import CALIBRATION, ONNX_FILE, PHOTOGRAPH, Worker, load_calibration
from codec_bridge.bench.input import OURS, PeerError, as_input, float_network, subjects
from codec_bridge.bench.onnx_peer import as_onnx, write_int8
from codec_bridge.bench.run import photographs
from codec_bridge.filter import kernels
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

LARGEST = 2560 * 1600  # samples: beyond that, engines that keep feature maps take several GB
BITS_SIZE = (416, 240)

ADVICE = "pip install '.[bench]'"

ROUNDS = 5
SLOW = 1.0  # seconds a picture, from which on a contender takes part in only SLOW_ROUNDS
SLOW_ROUNDS = 3
TURN = 0.1  # seconds of pictures a turn, at least one
PAUSE = 0.02  # seconds before each turn: the threads of the one before may still spin

ISA = {"avx2": "AVX2", "avxvnni": "AVX2_VNNI", "avx512vnni": "AVX512_CORE_VNNI"}
"""What oneDNN calls the instruction sets of our kernels, worst first (ONEDNN_MAX_CPU_ISA)."""


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


def compared(model: Path | None, kind: str | None, size: str | None) -> tuple[str, str]:
    """Kind and size of the network that peers run: as asked for, else luma if the set has it, best if it has that."""
    path = model or builtin_path()
    found = [one.network for one in subjects(path, kind or ModelSet.load(path).kinds[0], size)]
    return found[-1].kind, found[-1].size


def check(model: Path | None, kind: str | None = None, size: str | None = None) -> None:
    """Raise VrcnnError if there is nothing to compare with: no peer, or no float network beside the model set."""
    installed()
    float_network(model or builtin_path(), *compared(model, kind, size))


def compare(
    sizes: Sequence[tuple[int, int]],
    threads: Sequence[int],
    model: Path | None = None,
    kernel: str = "auto",
    progress: Callable[[str, float], None] = lambda _what, _share: None,
    kind: str | None = None,
    network_size: str | None = None,
) -> dict[str, Any]:
    """Time the peers and the C library in alternating runs, and count the samples that change with the instruction set.

    Returns the parts of a document. network: the name of the one that all run (see compared). versions: of packages. left_out: lines on
    peers that are not installed. failures: lines on those that failed, and have no rows. timings: contender, width, height, threads, ms
    (median), ms_minimum, repeats, ratio (ms by that of the C library), resident (bytes by which the contender's process has grown at its
    largest, counted from before the engine is loaded).
    bits: see changed_samples.
    """
    peers, left_out = installed()
    path = Path(model or builtin_path()).resolve()
    kind, size = compared(path, kind, network_size)
    network, (subject,) = float_network(path, kind, size), subjects(path, kind, size)
    failures: list[str] = []
    timings: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        common = {"model": str(path), "folder": folder, "kernel": kernel, "kind": kind, "size": size}
        progress("coding pictures", 0)
        np.savez(Path(folder) / PHOTOGRAPH, *photographs())
        others = [subject.planes(photographs(name), *BITS_SIZE) for name in ("coffee", "chelsea", "rocket")]
        np.save(Path(folder) / CALIBRATION, [as_input(*planes) for planes in others])
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
    return {"network": subject.name, "versions": versions(), "left_out": left_out, "failures": failures, "timings": timings, "bits": bits}


@dataclass
class Contest:
    """Contenders in their processes. One that fails is out, and ``failures`` says why; ours must not fail."""

    workers: dict[str, Worker]
    failures: list[str]

    def ask(self, name: str, action: str, **arguments: Any) -> dict[str, Any] | None:
        """A contender's answer, to what it was asked at its start if there is no action; None from one that fails, now and later."""
        if name not in self.workers:
            return None
        try:
            return self.workers[name].ask(action, **arguments) if action else self.workers[name].receive()
        except PeerError as error:
            if name == OURS:
                raise
            self.failures.append(str(error))
            del self.workers[name]
            return None

    def take_turns(
        self, width: int, height: int, times: dict[str, list[float]], resident: dict[str, int | None]
    ) -> Iterator[tuple[str, float]]:
        """Adds the seconds of each contender's pictures and its memory; yields whose turn it is, and the share done."""
        rounds = {}
        for name in list(self.workers):
            yield name, 0
            first = self.ask(name, "prepare", width=width, height=height)
            rounds[name] = SLOW_ROUNDS if first is None or first["seconds"] > SLOW else ROUNDS
        for turn in range(ROUNDS):
            for name in [name for name in self.workers if turn < rounds[name]]:
                time.sleep(PAUSE)
                answer = self.ask(name, "measure", seconds=TURN)
                if answer is not None:
                    times.setdefault(name, []).extend(answer["times"])
                    resident[name] = answer["resident"]
                yield name, turn / ROUNDS


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
        names = (OURS, *(peer.name for peer in peers))
        contest = Contest({name: stack.enter_context(Worker(name, threads=threads, **common)) for name in names}, failures)
        for name in names:
            yield f"starting {name}", 0
            contest.ask(name, "")
        total = sum(width * height for width, height in sizes)
        done = 0
        for width, height in sizes:
            times: dict[str, list[float]] = {}
            resident: dict[str, int | None] = {}
            for name, share in contest.take_turns(width, height, times, resident):
                yield f"{width}x{height}, {threads} thread{'s' * (threads > 1)}: {name}", (done + width * height * share) / total
            done += width * height
            ours = statistics.median(times[OURS])
            for name, seconds in times.items():
                median = statistics.median(seconds)
                place = {"contender": name, "width": width, "height": height, "threads": threads}
                row = {"ms": median * 1000, "ms_minimum": min(seconds) * 1000, "repeats": len(seconds), "ratio": median / ours}
                timings.append(place | row | {"resident": resident[name]})


@dataclass(frozen=True)
class Lesser:
    """A contender that has a lesser instruction set: isa, by the name of our kernel with it; method: how the better ones are forbidden."""

    name: str
    isa: str
    method: str
    environment: dict[str, str]
    wrapper: tuple[str, ...] = ()
    kernel: str = "auto"


def lessers(peers: list[Peer]) -> tuple[list[Lesser], list[dict[str, Any]]]:
    """All that can be run here, and rows, as changed_samples makes them, for those that cannot.

    The C library is told to take a kernel, oneDNN by ONEDNN_MAX_CPU_ISA; ONNX Runtime can only be deceived: an emulated processor
    (qemu-x86_64) has AVX2 and nothing better.
    """
    supported = [name for name, there in kernels() if there]
    emulator = shutil.which("qemu-x86_64")
    runs, impossible = [], []
    for isa in (name for name in supported[:-1] if name in ISA):
        one_dnn = {"ONEDNN_MAX_CPU_ISA": ISA[isa]} | ({"ATEN_CPU_CAPABILITY": "avx2"} if isa.startswith("avx2") else {})
        runs.append(Lesser(OURS, isa, f"kernel {isa}", {}, kernel=isa))
        for peer in peers:
            if peer.one_dnn:
                runs.append(Lesser(peer.name, isa, " ".join(f"{key}={value}" for key, value in one_dnn.items()), one_dnn))
            elif isa == "avx2" and emulator:
                runs.append(Lesser(peer.name, isa, "qemu-x86_64 -cpu max", {}, (emulator, "-cpu", "max")))
            elif isa == "avx2":
                method = "needs qemu-x86_64 (qemu-user)"
                impossible.append({"contender": peer.name, "isa": isa, "method": method, "samples": 0, "changed": None})
    return runs, impossible


def changed_samples(
    peers: list[Peer], common: dict[str, Any], bits: list[dict[str, Any]], failures: list[str]
) -> Iterator[tuple[str, float]]:
    """Adds to bits what each contender changes when it has a lesser instruction set; yields what it is about and the share done.

    A row: contender, isa and method as in Lesser, samples, changed (how many 8-bit samples differ from the run with everything this
    machine has), largest (difference); or the same with changed None and the reason as method.
    """
    runs, impossible = lessers(peers)
    bits += impossible
    reference: dict[str, NDArray[np.uint8] | None] = {}

    def output(name: str, environment: dict[str, str], wrapper: tuple[str, ...], kernel: str) -> NDArray[np.uint8] | None:
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

    for place, run in enumerate(runs):
        yield f"bits: {run.name}, {run.isa}", place / len(runs)
        if run.name not in reference:
            reference[run.name] = output(run.name, {}, (), common["kernel"])
        expected, got = reference[run.name], output(run.name, run.environment, run.wrapper, run.kernel)
        if expected is not None and got is not None:
            difference = np.abs(expected.astype(int) - got)
            row = {"contender": run.name, "isa": run.isa, "method": run.method, "samples": got.size}
            bits.append(row | {"changed": int((difference > 0).sum()), "largest": int(difference.max())})
