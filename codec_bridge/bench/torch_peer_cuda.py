"""The float network as PyTorch runs it on a GPU without this project, and the integer one from its int8 matrix products: what the CUDA
kernels are compared with (codec_bridge.bench.cuda, codec_bridge.bench.cuda_check). Nothing else needs this module.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from codec_bridge.bench.torch_peer import Plain
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import Branch, IntegerNetwork
from vrcnn_int.network import FloatNetwork

FORMS = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
WAYS = ("eager", "graph", "compiled", "compiled, graph")
REPEATS = 50
ENOUGH = 1.0  # seconds of pictures


def available() -> str | None:
    """The GPU's name as PyTorch says it; None if it has none to use."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _captured(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same work as one CUDA graph."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def _times(run: Callable[[], object]) -> list[float]:
    """Milliseconds of calls on the device, by events."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    times: list[float] = []
    while len(times) < REPEATS and (len(times) < 3 or sum(times) < 1000 * ENOUGH):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return times


def _end_to_end(run: Callable[[], Tensor], x: Tensor) -> float:
    """Median milliseconds with the copies of a picture from pinned memory and back."""
    source, result = torch.empty(x.shape, dtype=x.dtype, pin_memory=True), torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    source.copy_(x)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        x.copy_(source, non_blocking=True)
        result.copy_(run().reshape(x.shape), non_blocking=True)
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _row(name: str, run: Callable[[], Tensor], x: Tensor) -> dict[str, Any]:
    times = _times(run)
    row = {"name": name, "ms": statistics.median(times), "ms_minimum": min(times), "repeats": len(times)}
    return {**row, "ms_end_to_end": _end_to_end(run, x)}


def time_floats(network: FloatNetwork, plane: NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
    """A row for each form and way: name, ms (median, on the device), ms_minimum, repeats, ms_end_to_end; or name and failure.

    plane: [height, width]. Pictures are float tensors that exist already; converting samples is not counted.
    """
    samples = torch.from_numpy(plane.copy()).cuda()
    for form, dtype in FORMS.items():
        for way in WAYS:
            name = f"torch {form}, {way}"
            try:
                with torch.inference_mode(), _tf32(form == "tf32"):
                    module = Plain(network, clipped=True).eval().cuda().to(dtype)
                    x = ((samples.float() - 128) / 255).to(dtype)[None, None].contiguous(memory_format=torch.channels_last)
                    apply: Callable[[Tensor], Tensor] = torch.compile(module) if "compiled" in way else module

                    def run(apply: Callable[[Tensor], Tensor] = apply, x: Tensor = x) -> Tensor:
                        return apply(x)

                    yield _row(name, _captured(run) if "graph" in way else run, x)
            except Exception as error:  # a peer that fails is a line of the result, whatever it is that failed
                yield {"name": name, "failure": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
            gc.collect()
            torch.cuda.empty_cache()


def _columns(values: Tensor, size: int, multiple: int) -> Tensor:
    """int8 [height, width, channels] -> [samples, taps x channels], filled up with zeros to a multiple of columns."""
    radius = size // 2
    padded = functional.pad(values, (0, 0, radius, radius, radius, radius))
    taps = padded.unfold(0, size, 1).unfold(1, size, 1).permute(0, 1, 3, 4, 2)
    columns = taps.reshape(values.shape[0] * values.shape[1], -1)
    return functional.pad(columns, (0, -columns.shape[1] % multiple))


def _factor(branch: Branch, size: int, multiple: int) -> Tensor:
    """A branch's weights as [taps x channels, outputs], in a kernel of another size, both filled up with zeros."""
    weights = torch.from_numpy(np.ascontiguousarray(branch.weights, np.int8))
    margin = (size - weights.shape[2]) // 2
    weights = functional.pad(weights, (margin,) * 4).permute(2, 3, 1, 0).reshape(-1, weights.shape[0])
    return functional.pad(weights, (0, -weights.shape[1] % multiple, 0, -weights.shape[0] % multiple))


class Int8:
    """The integer network, bit by bit as specified, on torch._int_mm: im2col, one matrix product a layer, requantization by tensor ops."""

    def __init__(self, network: IntegerNetwork, device: str = "cuda") -> None:
        self.layers: list[tuple[int, Tensor, Tensor, Tensor, Tensor, int]] = []
        for layer in network.layers:
            size = max(branch.kernel for branch in layer)
            outputs = [branch.weights.shape[0] for branch in layer]
            factor = torch.cat([_factor(branch, size, 8 if len(layer) == 1 else 1) for branch in layer], 1)
            factor = functional.pad(factor, (0, 0, 0, -factor.shape[0] % 8)).t().contiguous().t().to(device)

            def each(values: list[int], outputs: list[int] = outputs) -> Tensor:
                return torch.tensor(np.repeat(values, outputs), dtype=torch.int32, device=device)

            bias = torch.from_numpy(np.concatenate([branch.bias for branch in layer]).astype(np.int32)).to(device)
            self.layers.append((size, factor, bias, each([b.shift for b in layer]), each([b.multiplier for b in layer]), sum(outputs)))

    def __call__(self, samples: Tensor) -> Tensor:
        """uint8 [height, width] -> the filtered samples, the same."""
        height, width = samples.shape
        values = (samples.to(torch.int16) - 128).to(torch.int8)[:, :, None]
        for i, (size, factor, bias, shift, multiplier, outputs) in enumerate(self.layers):
            acc = torch._int_mm(_columns(values, size, 8), factor)[:, :outputs] + bias
            t = torch.clamp((acc + ((1 << shift) >> 1)) >> shift, -32768, 32767)
            t = (t * multiplier + 16384) >> 15
            if i == len(self.layers) - 1:
                return torch.clamp(samples.to(torch.int32) + t.reshape(height, width), 0, 255).to(torch.uint8)
            values = torch.clamp(t, 0, 127).to(torch.int8).reshape(height, width, outputs)
        raise VrcnnError("a network has at least one layer")


def time_int8(network: IntegerNetwork, plane: NDArray[np.uint8]) -> tuple[list[dict[str, Any]], NDArray[np.uint8] | None]:
    """Rows as those of time_floats for int8 matrix products, and the filtered samples; None if they failed."""
    samples = torch.from_numpy(plane.copy()).cuda()
    rows: list[dict[str, Any]] = []
    result: NDArray[np.uint8] | None = None
    for way in ("eager", "compiled"):
        name = f"torch int8 (_int_mm), {way}"
        try:
            with torch.inference_mode():
                int8 = Int8(network)
                apply: Callable[[Tensor], Tensor] = torch.compile(int8) if way == "compiled" else int8
                result = apply(samples).cpu().numpy() if result is None else result

                def run(apply: Callable[[Tensor], Tensor] = apply) -> Tensor:
                    return apply(samples)

                rows.append(_row(name, run, samples))
        except Exception as error:  # as above
            rows.append({"name": name, "failure": " ".join(f"{type(error).__name__}: {error}".split())[:300]})
        gc.collect()
        torch.cuda.empty_cache()
    return rows, result


def version() -> str:
    """PyTorch's version and that of its CUDA."""
    return f"{torch.__version__}, CUDA {torch.version.cuda}"


def filtered_tensor(planes: NDArray[Any], filter_into: Callable[[Tensor, Tensor, int], None]) -> NDArray[Any]:
    """planes through ``filter_into(out, source, stream)`` as tensors on the GPU, in a stream that is not the default one."""
    source = torch.from_numpy(planes).cuda()
    out = torch.zeros_like(source)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    filter_into(out, source, stream.cuda_stream)
    stream.synchronize()
    result: NDArray[Any] = out.cpu().numpy()
    return result
