"""The cuda backend's speed on this machine's GPU, beside the rate of its int8 tensor cores measured in the same run, and PyTorch's for the
same network. For codec-bridge bench --backend cuda; codec_bridge.bench.cuda_check, which times more, takes its PyTorch part from here.

Two paths: ``device``, pictures that lie in the GPU's memory, timed by its own clock; ``host``, from ordinary memory and back, many in a
call: libvrcnn_cuda copies some to and from pinned memory while it works on others.
"""

import ctypes
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bench.input import OURS, PeerError, fill, float_network, network_for
from codec_bridge.library import cuda
from vrcnn_int.inputs import MOST_MODEL_BYTES, read_bytes
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.models import builtin_path
from vrcnn_int.network import FloatNetwork, macs_per_sample

INSTRUCTION = "mma.sync.m16n8k32, u8 by s8"

SETS = 8  # pictures in different memory take turns, so that none is found in a cache
HOST_PICTURES = 64  # in a call
HOST_BYTES = 1 << 29  # of all these pictures at most
ENOUGH = 1000.0  # milliseconds of measured pictures after which a row needs no more
TURN = 5.0  # milliseconds on the GPU between two events, at least one picture
PEAK_MILLISECONDS = 20.0
PEERS_LARGEST = 2560 * 1600
PEER_SECONDS = 300.0


@dataclass(frozen=True)
class OnGpu:
    """8-bit samples [height, width] in the GPU's memory."""

    address: int
    shape: tuple[int, ...]

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"data": (self.address, False), "shape": self.shape, "typestr": "|u1", "version": 3}


class Gpu:
    """Memory and clock of a GPU, by the CUDA driver; a context manager, used in one thread. All methods raise CudaError."""

    def __init__(self, number: int = 0) -> None:
        try:
            self._driver = ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise cuda.CudaError("there is no CUDA driver here (libcuda.so.1)") from None
        self._device, self._context, self._number = ctypes.c_int(), ctypes.c_void_p(), number
        self._events = ctypes.c_void_p(), ctypes.c_void_p()
        self._taken: list[int] = []

    def _call(self, name: str, *arguments: Any) -> None:
        if code := getattr(self._driver, name)(*arguments):
            why = "out of memory on the GPU; give smaller sizes" if code == 2 else f"the CUDA driver ends {name} with error {code}"
            raise cuda.CudaError(why)

    def __enter__(self) -> Self:
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(self._device), self._number)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        self._call("cuCtxPushCurrent_v2", self._context)
        for event in self._events:
            self._call("cuEventCreate", ctypes.byref(event), 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        # After an error the driver may refuse these too: that error is the one to be seen.
        for address in self._taken:
            self._driver.cuMemFree_v2(ctypes.c_uint64(address))
        for event in self._events:
            self._driver.cuEventDestroy_v2(event)
        self._driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
        self._driver.cuDevicePrimaryCtxRelease_v2(self._device)

    def put(self, samples: NDArray[np.uint8]) -> OnGpu:
        """Samples on the GPU, until the Gpu is left."""
        address, contiguous = ctypes.c_uint64(), np.ascontiguousarray(samples)
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(samples.size))
        self._taken.append(address.value)
        source = ctypes.c_void_p(contiguous.ctypes.data)
        self._call("cuMemcpyHtoDAsync_v2", address, source, ctypes.c_size_t(samples.size), None)
        self._call("cuStreamSynchronize", None)
        return OnGpu(address.value, samples.shape)

    def get(self, array: OnGpu) -> NDArray[np.uint8]:
        """The samples, when all work in the default stream is done."""
        samples = np.empty(array.shape, np.uint8)
        target = ctypes.c_void_p(samples.ctypes.data)
        self._call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(array.address), ctypes.c_size_t(samples.size), None)
        self._call("cuStreamSynchronize", None)
        return samples

    def milliseconds(self, runs: Sequence[Callable[[], None]]) -> float:
        """What these calls take on the GPU, one after the other in the default stream."""
        runs[-1]()  # the GPU is at work when it comes to the first event
        elapsed, (before, after) = ctypes.c_float(), self._events
        self._call("cuEventRecord", before, None)
        for run in runs:
            run()
        self._call("cuEventRecord", after, None)
        self._call("cuEventSynchronize", after)
        self._call("cuEventElapsedTime", ctypes.byref(elapsed), before, after)
        return elapsed.value


def check(model: Path | None, with_peers: bool) -> None:
    """Raise VrcnnError if there is no GPU to time, or nothing to compare it with, before anything is done."""
    cuda.devices()
    if with_peers:
        float_network(model or builtin_path())
        try:
            from codec_bridge.bench.torch_peer_cuda import available
        except ImportError:
            raise PeerError("the GPU's peers run in torch, which is not installed; pip install torch") from None
        if available() is None:
            raise PeerError("torch finds no GPU: install a build of it for this machine's CUDA driver, or leave --peers away")


def bench(
    photo: NDArray[np.uint8],
    sizes: Sequence[tuple[int, int]],
    model: Path | None,
    repeats: int,
    progress: Callable[[str, float], None] = lambda _what, _share: None,
) -> dict[str, Any]:
    """Time both paths at these sizes; returns gpu (its name) and the lists peaks, rows and left_out as bench.bench does.

    In rows: path (device or host), pictures (that were timed together), pictures_per_second; ms, ms_minimum: of a picture; memory: of the
    GPU. threads and units are None.
    """
    data = read_bytes(model or builtin_path(), MOST_MODEL_BYTES)
    models = ModelSet.from_bytes(data, str(model or builtin_path()))
    index = network_for(models)
    macs = macs_per_sample(models.networks[index].architecture)
    rows: list[dict[str, Any]] = []
    peaks: list[float] = []
    with cuda.Cuda(data) as context:
        for size in sizes:
            for path, measure in (("device", _time_device), ("host", _time_host)):
                progress(f"{size[0]}x{size[1]}, {path} to {path}", len(rows) / (2 * len(sizes)))
                plane = fill(photo, *size)
                peaks.append(context.peak(PEAK_MILLISECONDS))
                together, times = measure(context, plane, index, repeats)
                peaks.append(context.peak(PEAK_MILLISECONDS))
                median = statistics.median(times)
                rows.append({"kernel": "cuda", "path": path, "width": size[0], "height": size[1], "threads": None, "units": None})
                rows[-1] |= {"ms": median, "ms_minimum": min(times), "repeats": len(times), "pictures": together}
                rows[-1] |= {"pictures_per_second": 1000 / median, "gmacs": macs * plane.size / median / 1e6}
                rows[-1] |= {"memory": context.memory, "resident": None}
        name, memory = context.name, context.memory
    rate = statistics.median(peaks)
    for row in rows:
        row["fraction_of_peak"] = row["gmacs"] / rate
    peak = {"kernel": "cuda", "threads": None, "instruction": INSTRUCTION, "gmacs": rate, "gmacs_maximum": max(peaks)}
    return {"gpu": name, "peaks": [{**peak, "repeats": len(peaks), "memory": memory, "resident": None}], "rows": rows, "left_out": []}


def _turned(plane: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """So many pictures of which no two are the same."""
    return [np.roll(plane, 16 * turn, 1) for turn in range(count)]


def _time_device(context: cuda.Cuda, plane: NDArray[np.uint8], index: int, repeats: int) -> tuple[int, list[float]]:
    """How many pictures were timed together, and the milliseconds of one, time after time."""
    with Gpu(context.device) as gpu:
        sources = [gpu.put(one) for one in _turned(plane, SETS)]
        results = [gpu.put(np.zeros_like(plane)) for _ in sources]
        runs = [context.prepare_device(out, source, 8, index) for out, source in zip(results, sources, strict=True)]
        gpu.milliseconds(runs)  # the first run loads the kernels and takes the memory
        together = max(1, ceil(TURN * len(runs) / gpu.milliseconds(runs)))
        endless, times = cycle(runs), list[float]()
        while len(times) < repeats or sum(times) * together < ENOUGH:
            times.append(gpu.milliseconds(list(islice(endless, together))) / together)
        return together, times


def _time_host(context: cuda.Cuda, plane: NDArray[np.uint8], index: int, repeats: int) -> tuple[int, list[float]]:
    """The same, from ordinary memory and back, by the host's clock."""
    together = max(2, min(HOST_PICTURES, HOST_BYTES // (2 * plane.size)))
    sources = _turned(plane, together)
    results = [np.zeros_like(plane) for _ in sources]
    context.filter_host(results, sources, 8, index)
    times: list[float] = []
    while len(times) < repeats or sum(times) * together < ENOUGH:
        start = time.perf_counter()
        context.filter_host(results, sources, 8, index)
        times.append(1000 * (time.perf_counter() - start) / together)
    return together, times


def peers(network: IntegerNetwork, floats: FloatNetwork, plane: NDArray[np.uint8], seconds: float) -> dict[str, Any]:
    """PyTorch's times for a picture, until the time is over: gpu, version, rows as torch_peer_cuda makes them, filtered (by its int8
    products; None if they failed), cut_short (whether forms are left out for want of time). Or missing: why there are none."""
    from codec_bridge.bench import torch_peer_cuda

    if (gpu := torch_peer_cuda.available()) is None:
        return {"missing": "torch finds no GPU"}
    end = time.monotonic() + seconds
    rows, filtered = torch_peer_cuda.time_int8(network, plane)
    forms = torch_peer_cuda.FORMS, torch_peer_cuda.WAYS
    wanted = len(rows) + len(forms[0]) * len(forms[1])
    for row in torch_peer_cuda.time_floats(floats, plane):
        rows.append(row)
        if time.monotonic() > end:
            break
    return {"gpu": gpu, "version": torch_peer_cuda.version(), "rows": rows, "filtered": filtered, "cut_short": len(rows) < wanted}


def compare(photo: NDArray[np.uint8], rows: Sequence[dict[str, Any]], model: Path | None) -> dict[str, Any]:
    """PyTorch beside our rows, at the largest of their sizes that is no larger than 2560x1600: as bench_peers.compare, for one size.

    timings: also ms_end_to_end, with the copies from pinned memory and back (ours: as the host rows). bits: samples of torch's int8
    products that are not ours.
    """
    path = model or builtin_path()
    models = ModelSet.load(path)
    index = network_for(models)
    sizes = {(row["width"], row["height"]) for row in rows}
    width, height = max({size for size in sizes if size[0] * size[1] <= PEERS_LARGEST} or sizes, key=lambda size: size[0] * size[1])
    plane = fill(photo, width, height)
    found = peers(models.networks[index], float_network(path), plane, PEER_SECONDS)
    mine = {row["path"]: row for row in rows if (row["width"], row["height"]) == (width, height)}
    ours = {"name": OURS, **{key: mine["device"][key] for key in ("ms", "ms_minimum", "repeats")}, "ms_end_to_end": mine["host"]["ms"]}
    common = {"width": width, "height": height, "threads": None, "resident": None}
    timings = [
        {"contender": row.pop("name"), **row, **common, "ratio": row["ms"] / ours["ms"]}
        for row in (ours.copy(), *found.get("rows", []))
        if "ms" in row
    ]
    bits = []
    if found.get("filtered") is not None:
        result = np.zeros_like(plane)
        with cuda.Cuda(read_bytes(path, MOST_MODEL_BYTES)) as context:
            context.filter_host([result], [plane], 8, index)
        changed = int(np.count_nonzero(result != found["filtered"]))
        bits.append({"contender": "torch int8 (_int_mm)", "samples": plane.size, "changed": changed})
    return {
        "versions": {"torch": found["version"]} if "version" in found else {},
        "timings": timings,
        "bits": bits,
        "left_out": [f"some forms of torch are left out: they would take more than {PEER_SECONDS:.0f} s"] if found.get("cut_short") else [],
        "failures": [found["missing"]] if "missing" in found else [f"{r['name']}: {r['failure']}" for r in found["rows"] if "failure" in r],
    }
