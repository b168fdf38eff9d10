"""The cuda backend. Tests that need a GPU are skipped where there is none; one test runs them all on an emulated one (c/cuda/tests)."""

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from codec_bridge.bench import cuda as bench_cuda
from codec_bridge.bench import cuda_check
from codec_bridge.cli import commands as cli
from codec_bridge.codecs.gates import Inconsistency
from codec_bridge.codecs.programs import file_hash
from codec_bridge.evaluation import check
from codec_bridge.evaluation.keys import inputs_of
from codec_bridge.evaluation.plan import PlanError, load
from codec_bridge.evaluation.settings import BACKENDS, EvaluationError, Settings, check_settings
from codec_bridge.filter import ErrorCode, Filter, FilterError
from codec_bridge.library import cuda
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.codec_bridge.cli.test_command_lines import bridge, refused
from tests.support.errors import refused_as
from vrcnn_int import integer
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

ROOT = Path(__file__).parents[3]
EMULATED = ROOT / "c/build/cuda/emulated"
INSIDE = "VRCNN_TEST_ON_EMULATED_GPU"


@pytest.fixture(scope="module")
def gpu() -> Iterator[Filter]:
    try:
        cuda.devices()
    except cuda.CudaError as error:
        pytest.skip(f"no GPU: {error} (these tests want a machine with an NVIDIA GPU and `make cuda`; `make cuda-check` does more)")
    with Filter(backend="cuda") as filter_:
        yield filter_


@pytest.fixture(scope="module")
def oracle() -> Iterator[Filter]:
    with Filter(backend="oracle") as filter_:
        yield filter_


def noise(seed: int, height: int, width: int, bit_depth: int = 8, pictures: int | None = None) -> Any:
    shape = (height, width) if pictures is None else (pictures, height, width)
    return np.random.default_rng(seed).integers(0, 1 << bit_depth, shape, np.uint8 if bit_depth == 8 else np.uint16)


class OnEmulatedGpu:
    """What says of a numpy array that it lies on a GPU; the emulated one's memory is the host's."""

    def __init__(self, array: Any, **changed: Any) -> None:
        self.array, self.changed = array, changed

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.array.__array_interface__, "version": 3, **self.changed}


class Capsule:
    """The same by DLPack."""

    def __init__(self, array: Any) -> None:
        self.array, self.streams = array, []

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, stream: int) -> Any:
        self.streams.append(stream)
        return self.array.__dlpack__()


@pytest.mark.parametrize(("bit_depth", "shape"), [(8, (33, 47)), (9, (20, 18)), (10, (7, 90)), (8, (1, 1))])
def test_gives_the_oracle_s_bits(gpu: Filter, oracle: Filter, bit_depth: int, shape: tuple[int, int]) -> None:
    plane = noise(bit_depth, *shape, bit_depth)
    index, scale = shape[0] % 4, 1 + shape[1] % 10
    assert np.array_equal(gpu.filter_plane(plane, bit_depth, index, scale), oracle.filter_plane(plane, bit_depth, index, scale))


def test_regions_and_units(gpu: Filter, oracle: Filter) -> None:
    plane = noise(1, 70, 80)
    units = np.array([[0, 1], [2, 1]], np.uint8)
    assert np.array_equal(gpu.filter_region(plane, 8, 2, 5, 6, 30, 20), oracle.filter_region(plane, 8, 2, 5, 6, 30, 20))
    assert np.array_equal(gpu.filter_units(plane, 8, [3, 0], units, 64), oracle.filter_units(plane, 8, [3, 0], units, 64))


def test_regions_far_from_the_border(gpu: Filter, oracle: Filter) -> None:
    """They are filtered without the rest of the picture: all that they depend on must be there."""
    plane = noise(6, 61, 75)
    whole = oracle.filter_plane(plane, 8, 1)
    for x, y, width, height in ((30, 20, 17, 9), (0, 0, 75, 61), (0, 60, 75, 1), (74, 0, 1, 61), (8, 8, 59, 45)):
        assert np.array_equal(gpu.filter_region(plane, 8, 1, x, y, width, height), whole[y : y + height, x : x + width])


def test_filters_in_threads(gpu: Filter, oracle: Filter) -> None:
    planes = [noise(seed, 20 + seed, 30, 10) for seed in range(3)]

    def through_one_of_its_own(plane: Any) -> Any:
        with Filter(backend="cuda") as filter_:
            return filter_.filter_plane(plane, 10, 3)

    with ThreadPoolExecutor(len(planes)) as pool:
        for plane, found in zip(planes, pool.map(through_one_of_its_own, planes), strict=True):
            assert np.array_equal(found, oracle.filter_plane(plane, 10, 3))


def test_refuses_what_the_others_refuse(gpu: Filter) -> None:
    plane = noise(2, 8, 8)
    assert gpu.kernel == "cuda"
    assert gpu.memory > 0
    with refused_as(ErrorCode.INDEX):
        gpu.filter_plane(plane, 8, 30)
    with refused_as(ErrorCode.SCALE):
        gpu.filter_plane(plane, 8, 0, 11)
    with refused_as(ErrorCode.SAMPLE):
        gpu.filter_plane(np.full((4, 4), 1024, np.uint16), 10, 0)
    with refused_as(ErrorCode.ARGUMENT, match="hidden layers"):
        gpu.layer(plane, 8, 0, 0)
    with refused_as(ErrorCode.ARGUMENT, match="in place"):
        gpu.prepare(plane, plane.copy(), 8, 0)
    with Filter(backend="cuda") as closed:
        closed.close()
        with refused_as(ErrorCode.ARGUMENT, match="closed"):
            closed.filter_plane(plane, 8, 0)


def test_arrays_on_the_gpu(gpu: Filter, oracle: Filter) -> None:
    planes = noise(3, 40, 25, 10, pictures=3)
    wanted = np.stack([oracle.filter_plane(plane, 10, 1) for plane in planes])
    if os.environ.get(INSIDE):
        for wrap in (OnEmulatedGpu, Capsule):
            out = np.zeros_like(planes)
            gpu.filter_on_device(wrap(out), wrap(planes), 10, 1)
            synchronize()
            assert np.array_equal(out, wanted)
        wide = np.zeros((40, 50), np.uint16)
        gpu.filter_on_device(OnEmulatedGpu(wide[:, :25]), OnEmulatedGpu(planes[2]), 10, 1)
        synchronize()
        assert np.array_equal(wide[:, :25], wanted[2])
        assert not wide[:, 25:].any()
    else:
        torch = pytest.importorskip("torch")
        source = torch.from_numpy(planes).cuda()
        out = torch.zeros_like(source)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        gpu.filter_on_device(out, source, 10, 1, stream=stream.cuda_stream)
        stream.synchronize()
        assert np.array_equal(out.cpu().numpy(), wanted)


def synchronize() -> None:
    """Wait for the emulated GPU's default stream: a call that copies from it does."""
    import ctypes

    driver = ctypes.CDLL("libcuda.so.1")
    context = ctypes.c_void_p()
    driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
    driver.cuCtxPushCurrent_v2(context)
    assert driver.cuStreamSynchronize(None) == 0
    driver.cuCtxPopCurrent_v2(ctypes.byref(context))
    driver.cuDevicePrimaryCtxRelease_v2(0)


def test_arrays_that_are_refused(gpu: Filter) -> None:
    plane, out = noise(4, 6, 6), np.zeros((6, 6), np.uint8)
    on = OnEmulatedGpu
    with pytest.raises(cuda.CudaError, match="no array on a GPU"):
        gpu.filter_on_device(out.tolist(), plane, 8, 0)
    with pytest.raises(cuda.CudaError, match="DLPack device"):
        gpu.filter_on_device(out, plane, 8, 0)
    with pytest.raises(cuda.CudaError, match="read-only"):
        gpu.filter_on_device(on(out, data=(out.ctypes.data, True)), on(plane), 8, 0)
    with pytest.raises(cuda.CudaError, match="stream 7"):
        gpu.filter_on_device(on(out), on(plane, stream=7), 8, 0)
    with pytest.raises(cuda.CudaError, match="uint8 or uint16"):
        gpu.filter_on_device(on(out.astype(np.float32)), on(plane), 8, 0)
    with pytest.raises(cuda.CudaError, match="side by side"):
        gpu.filter_on_device(on(out.T), on(plane), 8, 0)
    with pytest.raises(cuda.CudaError, match="results is"):
        gpu.filter_on_device(on(out[:5]), on(plane), 8, 0)
    with pytest.raises(cuda.CudaError, match="overlap"):
        gpu.filter_on_device(on(plane), on(plane), 8, 0)
    with refused_as(ErrorCode.BIT_DEPTH):
        gpu.filter_on_device(on(out), on(plane), 12, 0)


class Both(OnEmulatedGpu, Capsule):
    """As torch's tensors are: DLPack tells where they lie, and waits."""

    def __init__(self, array: Any) -> None:
        Capsule.__init__(self, array)
        self.changed = {"data": (0, True)}


class Elsewhere(Capsule):
    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 1)


class NotShared(Capsule):
    def __dlpack__(self, stream: int) -> Any:
        raise BufferError("tensors that require gradient\nare not exported")


@pytest.mark.skipif(INSIDE not in os.environ, reason="addresses of numpy arrays are the emulated GPU's")
def test_dlpack_comes_first(gpu: Filter, oracle: Filter) -> None:
    plane, out = noise(7, 9, 11), Both(np.zeros((9, 11), np.uint8))
    gpu.filter_on_device(out, Both(plane), 8, 0, stream=0)
    synchronize()
    assert np.array_equal(out.array, oracle.filter_plane(plane, 8, 0))
    assert out.streams == [cuda.LEGACY_STREAM], "0 is no stream to DLPack"
    with pytest.raises(cuda.CudaError, match=r"not on GPU 0 \(its DLPack device is \(2, 1\)\)"):
        gpu.filter_on_device(out, Elsewhere(plane), 8, 0)
    with pytest.raises(cuda.CudaError, match="cannot be shared: tensors that require gradient are not exported"):
        gpu.filter_on_device(out, NotShared(plane), 8, 0)


@pytest.mark.skipif(INSIDE not in os.environ, reason="the emulated driver fails when it is told to")
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no_device", "the CUDA driver finds no GPU; use another backend"),
        ("old_driver", "the CUDA driver is too old for these kernels; install a newer NVIDIA driver"),
        ("old_gpu", "the GPU is older than compute capability 8.0"),
        ("memory", "out of memory on the GPU; close other filters, or filter fewer pictures at once"),
    ],
)
def test_a_gpu_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, what: str, said: str) -> None:
    monkeypatch.setenv("EMULATED_CUDA", what)
    with pytest.raises(cuda.CudaError) as caught:
        Filter(backend="cuda")
    assert str(caught.value) == f"GPU 0: {said}"


@pytest.mark.skipif(INSIDE not in os.environ, reason="the emulated driver fails when it is told to")
def test_a_gpu_that_fails_later(gpu: Filter, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = noise(8, 8, 8)
    for what, said in (("lost", "start the process anew"), ("memory", "out of memory on the GPU")):
        with Filter(backend="cuda") as filter_:
            monkeypatch.setenv("EMULATED_CUDA", what)
            with pytest.raises(cuda.CudaError, match=said):
                filter_.filter_plane(plane, 8, 0)
            with pytest.raises(cuda.CudaError):
                bench_cuda._time_device(filter_._engine.cuda, plane, 0, 1)
            monkeypatch.delenv("EMULATED_CUDA")


# The commands


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "cat.y4m"
    (photo,) = resolve("chelsea")[0].open(1)
    y, u, v = photo.planes
    write_y4m(path, [Picture((y[80:128, 96:168].copy(), u[40:64, 48:84].copy(), v[40:64, 48:84].copy()), 8, "420")], 25)
    return path


def test_bdrate_on_a_gpu_gives_the_same_figures(gpu: Filter, clip: Path, tmp_path: Path) -> None:
    rows = {}
    for backend in BACKENDS:
        arguments = ["--sequences", clip, "--check", "--backend", backend, "--json", tmp_path / f"{backend}.json"]
        result = bridge("bdrate", *arguments, "--results", tmp_path / "results")
        assert result.returncode == 0, result.stderr
        document = json.loads((tmp_path / f"{backend}.json").read_text())
        rows[backend] = {(row["variant"], row["qp"]): row for row in document["rows"]}
    assert "oracle = CUDA library = " in result.stdout
    assert document["provenance"]["kernels"] == ["cuda"]
    assert document["provenance"]["timing"]["jobs"] == {"done": 4, "failed": 0, "cached": 8}, "only the filtered ones are another's"
    for (variant, qp), row in rows["cuda"].items():
        other = rows["c"][variant, qp]
        assert (row["kernel"] == "cuda") is (variant == "integer")
        assert (row["key"] == other["key"]) is (variant != "integer")
        for name in ("bits", "psnr_y", "ssim_y", "md5", "stream_md5", "checked_samples"):
            assert row[name] == other[name], (variant, qp, name)


def test_check_and_filter_on_a_gpu(gpu: Filter, clip: Path, tmp_path: Path) -> None:
    result = bridge("check", "--sequences", clip, "--qp", 32, "--backend", "cuda")
    assert result.returncode == 0, result.stderr
    assert "1 coded picture, 3456 luma samples: oracle = CUDA library = filtered decoder output" in result.stdout
    for backend in BACKENDS:
        result = bridge("filter", clip, tmp_path / f"{backend}.yuv", "--qp", 32, "--backend", backend)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "c.yuv").read_bytes() == (tmp_path / "cuda.yuv").read_bytes()


class Wrong:
    """A filter that is said to be a GPU's and does nothing."""

    kernel = "cuda"

    def layer(self, *_: Any) -> Any:
        raise FilterError("a GPU does not show hidden layers", ErrorCode.ARGUMENT)


def test_a_gpu_that_differs_is_said_to() -> None:
    network, plane = ModelSet.load(builtin_path()).networks[0], noise(9, 12, 10)
    expected = integer.filter_plane(network, plane, 8)
    found = expected.copy()
    found[3, 4] ^= 1
    with pytest.raises(Inconsistency, match=r"cat: kernel cuda differs from the oracle: layer 4, channel 0, sample \(4, 3\)"):
        check.compare_oracle(Wrong(), network, 0, *(Picture((array,), 8, "400") for array in (plane, found)), "cat")


def test_only_rows_of_another_backend_have_another_key(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "libvrcnn_cuda.so.0"
    library.write_bytes(b"one build")
    monkeypatch.setattr(cuda, "library_path", lambda: library)
    (sequence,) = resolve(clip)
    settings = Settings()

    def inputs(variant: str, backend: str) -> dict[str, Any]:
        return inputs_of(sequence, 1, "0" * 32, 32, variant, replace(settings, backend=backend), "f" * 64)

    for variant in ("anchor", "none", "float"):
        assert inputs(variant, "cuda") == inputs(variant, "c")
    ours, theirs = inputs("integer", "c"), inputs("integer", "cuda")
    # Rows of the C library have the key that they had when there was no other backend.
    assert not {"backend", "cuda"} & set(ours)
    assert theirs == {**ours, "backend": "cuda", "cuda": file_hash(library)}


def test_backends_of_evaluations_that_are_refused(clip: Path, tmp_path: Path) -> None:
    for changes, said in (
        ({"backend": "gpu"}, "unknown backend 'gpu'; there are c and cuda"),
        ({"backend": "oracle"}, "unknown backend 'oracle'"),
        ({"backend": "cuda", "variants": ("anchor", "none")}, "backend cuda is for variant integer, which is not among x265's here"),
        ({"backend": "cuda", "kernel": "scalar"}, "backend cuda has no kernel scalar"),
    ):
        with pytest.raises(EvaluationError, match=said):
            check_settings(replace(Settings(), **changes))
    for text, said in (
        ('backend = "gpu"', "unknown backend 'gpu'"),
        ('backend = "cuda"\nvariants = ["anchor", "none"]', "backend cuda is for"),
    ):
        (tmp_path / "plan.toml").write_text(f'sequences = ["{clip}"]\n{text}\n')
        with pytest.raises(PlanError, match=said):
            load(tmp_path / "plan.toml")
    refused(bridge("bdrate", "--sequences", clip, "--backend", "gpu"), "unknown backend 'gpu'")


def test_a_plan_s_backend_is_for_codecs_that_filter_after_decoding(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codec_bridge.evaluation.plan.check_settings", lambda _: None)  # neither GPU nor codecs are here
    path = tmp_path / "plan.toml"
    path.write_text(f'sequences = ["{clip}"]\nbackend = "cuda"\ncodecs = ["x265", "x265-loop"]\n')
    assert [(run.codec, run.backend) for run in load(path).runs] == [("x265", "cuda"), ("x265-loop", "c")]


@pytest.mark.parametrize("words", [("bdrate",), ("check",), ("bench",), ("bench", "--peers"), ("filter",)])
def test_without_a_library_nothing_is_done(clip: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    outputs = {"bdrate": ("--results", tmp_path / "new"), "check": (), "bench": ("--json", tmp_path / "new")}
    given = {"filter": (clip, tmp_path / "new.yuv", "--qp", 32), "bench": ()}.get(words[0], ("--sequences", clip))
    result = bridge(*words, *given, "--backend", "cuda", *outputs.get(words[0], ()), VRCNN_CUDA_LIBRARY=str(tmp_path / "nowhere.so"))
    refused(result, "nowhere.so", "make cuda")
    assert result.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(INSIDE not in os.environ, reason="the emulated driver can be without a GPU")
@pytest.mark.parametrize("word", ["bdrate", "check", "bench"])
def test_without_a_gpu_nothing_is_done(clip: Path, word: str) -> None:
    given = () if word == "bench" else ("--sequences", clip)
    refused(bridge(word, *given, "--backend", "cuda", EMULATED_CUDA="no_device"), "finds no GPU", "use another backend")


# What is timed


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SETS": 2, "HOST_PICTURES": 2, "ENOUGH": 0.0, "TURN": 1.0, "PEAK_MILLISECONDS": 0.001}.items():
        monkeypatch.setattr(bench_cuda, name, value)


def test_the_bench_filters(gpu: Filter, oracle: Filter) -> None:
    planes = [noise(seed, 10, 14) for seed in (1, 2)]
    with cuda.Cuda() as context, bench_cuda.Gpu() as memory:
        sources = [memory.put(plane) for plane in planes]
        results = [memory.put(np.zeros_like(plane)) for plane in planes]
        runs = [context.prepare_device(out, source, 8, 2) for out, source in zip(results, sources, strict=True)]
        assert memory.milliseconds(runs) > 0
        for plane, result in zip(planes, results, strict=True):
            assert np.array_equal(memory.get(result), oracle.filter_plane(plane, 8, 2))


def test_bench_command_on_a_gpu(gpu: Filter, short: None, tmp_path: Path) -> None:
    files = [tmp_path / "new" / name for name in ("bench.json", "bench.png")]
    words = ["bench", "--backend", "cuda", "--sizes", "24x16", "--repeats", "2", "--json", str(files[0]), "--plot", str(files[1])]
    result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert result.exit_code == 0
    document = json.loads(files[0].read_text())
    assert document["gpu"] == gpu._engine.cuda.name
    assert document["provenance"]["model"] == gpu.identity
    (peak,) = document["peaks"]
    assert peak["repeats"] == 4
    rows = document["rows"]
    assert [(row["width"], row["height"], row["path"]) for row in rows] == [(24, 16, path) for path in PATHS]
    for row in rows:
        assert row["kernel"] == "cuda"
        assert row["repeats"] >= 2
        assert 0 < row["ms_minimum"] <= row["ms"]
        assert row["pictures_per_second"] == pytest.approx(1000 / row["ms"])
        assert row["gmacs"] == pytest.approx(54_512 * row["width"] * row["height"] / row["ms"] / 1e6)
        assert row["fraction_of_peak"] == pytest.approx(row["gmacs"] / peak["gmacs"])
    assert files[1].read_bytes().startswith(b"\x89PNG")


PATHS = ("device", "host")


def test_bench_refuses_what_a_gpu_has_no_choice_of() -> None:
    refused(bridge("bench", "--backend", "cuda", "--threads", 2), "--threads is for backend c")
    refused(bridge("bench", "--backend", "cuda", "--kernels", "amx"), "--kernels is for backend c")
    refused(bridge("bench", "--backend", "vulkan"), "unknown backend 'vulkan'; there are c and cuda")


def peers_without_a_gpu(monkeypatch: pytest.MonkeyPatch, spoil: int) -> list[Any]:
    """torch on the CPU in the GPU's place: its int8 products, spoilt by so much, and float rows that were timed elsewhere."""
    torch = pytest.importorskip("torch")
    from codec_bridge.bench import torch_peer_cuda

    def int8(network: Any, plane: Any) -> Any:
        filtered = torch_peer_cuda.Int8(network, "cpu")(torch.from_numpy(plane)).numpy()
        filtered[0, 0] ^= spoil
        return [row("torch int8 (_int_mm), eager", 60.0), {"name": "torch int8 (_int_mm), compiled", "failure": "no compiler"}], filtered

    def row(name: str, ms: float) -> dict[str, Any]:
        return {"name": name, "ms": ms, "ms_minimum": ms, "repeats": 3, "ms_end_to_end": 2 * ms}

    monkeypatch.setattr(torch_peer_cuda, "available", lambda: "a GPU")
    monkeypatch.setattr(torch_peer_cuda, "time_int8", int8)
    monkeypatch.setattr(torch_peer_cuda, "time_floats", lambda *_: iter([row("torch fp16, eager", 30.0)]))
    return [
        {"path": path, "width": 24, "height": 16, "ms": ms, "ms_minimum": ms, "repeats": 5}
        for path, ms in zip(PATHS, (3.0, 5.0), strict=True)
    ]


@pytest.mark.parametrize("spoil", [0, 1])
def test_peers_beside_ours(gpu: Filter, monkeypatch: pytest.MonkeyPatch, spoil: int) -> None:
    rows = peers_without_a_gpu(monkeypatch, spoil)
    larger = [{**row, "width": 8192, "height": 4096} for row in rows]
    document = bench_cuda.compare(noise(1, 16, 24), [*larger, *rows], None)
    found = [(row["contender"], row["ms"], row["ms_end_to_end"], row["ratio"]) for row in document["timings"]]
    assert found == [
        ("vrcnn-int", 3.0, 5.0, 1.0),
        ("torch int8 (_int_mm), eager", 60.0, 120.0, 20.0),
        ("torch fp16, eager", 30.0, 60.0, 10.0),
    ]
    assert {(row["width"], row["height"]) for row in document["timings"]} == {(24, 16)}
    assert document["bits"] == [{"contender": "torch int8 (_int_mm)", "samples": 384, "changed": spoil}]
    assert document["failures"] == ["torch int8 (_int_mm), compiled: no compiler"]
    assert len(document["left_out"]) == 1, "the iterator ended early"


def test_peers_want_torch_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "devices", lambda: 1)
    monkeypatch.setitem(sys.modules, "codec_bridge.bench.torch_peer_cuda", None)
    with pytest.raises(bench_cuda.PeerError, match="torch, which is not installed"):
        bench_cuda.check(None, True)
    bench_cuda.check(None, False)
    monkeypatch.undo()
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(cuda, "devices", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(bench_cuda.PeerError, match="torch finds no GPU"):
        bench_cuda.check(None, True)


def test_int8_peer_gives_the_oracle_s_bits() -> None:
    torch = pytest.importorskip("torch")
    from codec_bridge.bench.torch_peer_cuda import Int8

    network, plane = ModelSet.load(builtin_path()).networks[1], noise(5, 30, 41)
    filtered = Int8(network, "cpu")(torch.from_numpy(plane))
    assert np.array_equal(filtered.numpy(), integer.filter_plane(network, plane, 8))


ROW = {"kind": "device", "method": "fused", "first": "vrcnn_first_1x6x4", "second": "vrcnn_second_6_2x6x4", "part": "whole", "map_size": 0}
ROW |= {"network": "vrcnn", "width": 2560, "height": 1600, "bit_depth": 8, "batch": 1, "ms": 0.8, "ms_minimum": 0.7, "repeats": 9}
ROW |= {"pictures_per_second": 1250.0, "gmacs": 279000.0, "peak_gmacs": 620000.0}


def program(folder: Path, name: str, line: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{line}\n")
    (folder / name).chmod(0o755)


@pytest.mark.skipif(INSIDE not in os.environ, reason="the check wants a GPU; the emulated one will do")
@pytest.mark.parametrize("equal", [True, False])
def test_check_says_what_it_found(tmp_path: Path, equal: bool) -> None:
    bench = {"device": "emulated", "rows": [ROW, {**ROW, "kind": "host", "width": 1920, "height": 1080, "pictures_per_second": 1700.0}]}
    program(tmp_path, "bench_cuda", f"echo '{json.dumps(bench)}'")
    program(tmp_path, "test_cuda", "echo test_cuda: 7 pictures, 900 samples, all equal" if equal else "echo test_cuda: row 3; exit 1")
    shutil.copy(os.environ["VRCNN_CUDA_LIBRARY"], tmp_path)
    command = [sys.executable, "-m", "codec_bridge.bench.cuda_check", "--build", tmp_path, "--json", tmp_path / "out.json", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    document = json.loads((tmp_path / "out.json").read_text())
    assert done.returncode == (0 if equal else 1), done.stderr
    assert document["equality"]["ok"] is equal
    assert [target["measured"] for target in document["targets"]] == [0.8, 0.45, None, 1700.0]
    # The GPU of this test is real enough for arrays of numpy.
    assert {"library": "numpy", "ok": True, "samples": 18720, "different": 0} in document["arrays"]
    assert "vrcnn, 2560x1600 8 bit, device, fused, whole" in done.stdout


def test_sanitizers_take_the_time_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "compute-sanitizer", 'echo "$2: all equal"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    results = cuda_check.sanitizers(tmp_path, 30, time.monotonic() + 60)
    assert [(result["tool"], result["ok"], result["said"]) for result in results] == [
        (tool, True, [f"{tool}: all equal"]) for tool in cuda_check.SANITIZERS
    ]
    late = cuda_check.sanitizers(tmp_path, 30, time.monotonic())
    assert late == [{"tool": tool, "missing": "no time was left"} for tool in cuda_check.SANITIZERS]


def test_check_without_a_gpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codec_bridge.bench.cuda_check", "--build", tmp_path, "--json", tmp_path / "out.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "make cuda" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_check_needs_neither_the_c_library_nor_torch() -> None:
    code = "import sys; sys.modules['codec_bridge.library._vrcnn'] = sys.modules['torch'] = None; import codec_bridge.bench.cuda_check"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_other_backends_have_no_gpu(oracle: Filter) -> None:
    with refused_as(ErrorCode.ARGUMENT, match="cuda backend"):
        oracle.filter_on_device(None, None, 8, 0)


def test_says_what_is_missing(tmp_path: Path) -> None:
    code = "from codec_bridge.filter import Filter; Filter(backend='cuda')"
    environment = {**os.environ, "VRCNN_CUDA_LIBRARY": str(tmp_path / "nowhere.so")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    assert "nowhere.so" in done.stderr
    assert "make cuda" in done.stderr


@pytest.mark.skipif(INSIDE in os.environ, reason="the emulated one needs no kernels for GPUs")
def test_kernels_for_every_target() -> None:
    """The fat binary that nvcc makes has machine code for each target, and PTX for all later GPUs."""
    nvcc = next((str(path) for path in (Path("/usr/local/cuda/bin/nvcc"),) if path.exists()), shutil.which("nvcc"))
    if nvcc is None:
        pytest.skip("nvcc is not there: install NVIDIA's CUDA compiler, 12.3 or later, to build the kernels for GPUs")
    subprocess.run(["make", "-s", "-C", str(ROOT / "c/cuda"), "lib", f"NVCC={nvcc}"], check=True, stdout=subprocess.DEVNULL)
    data = (ROOT / "c/build/cuda/kernels.fatbin").read_bytes()
    magic, _, at, size = struct.unpack_from("<IHHQ", data)
    assert (magic, at + size) == (0xBA55ED50, len(data))
    found = []
    while at < len(data):  # an entry: kind (1: PTX, 2: machine code), size of its head, of what follows; the target in the head
        kind, head, body = struct.unpack_from("<H2xIQ", data, at)
        found.append((kind, struct.unpack_from("<I", data, at + 28)[0]))
        at += head + body
    assert sorted(found) == [(1, 80), (2, 80), (2, 86), (2, 89), (2, 90)]


@pytest.mark.skipif(INSIDE in os.environ, reason="this is the emulated one")
def test_on_an_emulated_gpu() -> None:
    if missing := [tool for tool in ("make", "c++") if shutil.which(tool) is None]:
        pytest.skip(f"the emulated GPU is not built, for want of {', '.join(missing)}")
    subprocess.run(["make", "-s", "-C", str(ROOT / "c/cuda"), "emulated"], check=True)
    environment = {**os.environ, INSIDE: "1", "LD_LIBRARY_PATH": str(EMULATED)}
    environment["VRCNN_CUDA_LIBRARY"] = str(EMULATED / "libvrcnn_cuda.so.0")
    files = [__file__, Path(__file__).with_name("test_engines.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    # None of them is skipped but this one (and where there is no torch, its peer).
    assert "no GPU" not in done.stdout, done.stdout
