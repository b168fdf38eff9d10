"""The cuda backend. Tests that need a GPU are skipped where there is none; one test runs them all on an emulated one (c/cuda/tests)."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_bridge import cuda
from codec_bridge.filter import BitDepthError, CallError, Filter, NetworkIndexError, SampleError, ScaleError
from vrcnn_int import integer
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

ROOT = Path(__file__).parent.parent
EMULATED = ROOT / "c/build/cuda/emulated"
INSIDE = "VRCNN_TEST_ON_EMULATED_GPU"


@pytest.fixture(scope="module")
def gpu() -> Iterator[Filter]:
    try:
        cuda.devices()
    except cuda.CudaError as error:
        pytest.skip(f"no GPU: {error}")
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


def test_refuses_what_the_others_refuse(gpu: Filter) -> None:
    plane = noise(2, 8, 8)
    assert gpu.kernel == "cuda"
    assert gpu.memory > 0
    with pytest.raises(NetworkIndexError):
        gpu.filter_plane(plane, 8, 9)
    with pytest.raises(ScaleError):
        gpu.filter_plane(plane, 8, 0, 11)
    with pytest.raises(SampleError):
        gpu.filter_plane(np.full((4, 4), 1024, np.uint16), 10, 0)
    with pytest.raises(CallError, match="hidden layers"):
        gpu.layer(plane, 8, 0, 0)
    with pytest.raises(CallError, match="in place"):
        gpu.prepare(plane, plane.copy(), 8, 0)
    with Filter(backend="cuda") as closed:
        closed.close()
        with pytest.raises(CallError, match="closed"):
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
    with pytest.raises(BitDepthError):
        gpu.filter_on_device(on(out), on(plane), 12, 0)


def test_int8_peer_gives_the_oracle_s_bits() -> None:
    torch = pytest.importorskip("torch")
    from vrcnn_int.torch_peer_cuda import Int8

    network, plane = ModelSet.load(builtin_path()).networks[1], noise(5, 30, 41)
    filtered = Int8(network, "cpu")(torch.from_numpy(plane))
    assert np.array_equal(filtered.numpy(), integer.filter_plane(network, plane, 8))


ROW = {"kind": "device", "method": "fused", "first": "vrcnn_first_1x6x4", "second": "vrcnn_second_6_2x6x4", "part": "whole", "map_size": 0}
ROW |= {"width": 2560, "height": 1600, "bit_depth": 8, "batch": 1, "ms": 0.8, "ms_minimum": 0.7, "repeats": 9}
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
    command = [sys.executable, "-m", "codec_bridge.cuda_check", "--build", tmp_path, "--json", tmp_path / "out.json", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    document = json.loads((tmp_path / "out.json").read_text())
    assert done.returncode == (0 if equal else 1), done.stderr
    assert document["equality"]["ok"] is equal
    assert [target["measured"] for target in document["targets"]] == [0.8, 0.45, None, 1700.0]
    # The GPU of this test is real enough for arrays of numpy.
    assert {"library": "numpy", "ok": True, "samples": 74880, "different": 0} in document["arrays"]
    assert "2560x1600 8 bit, device, fused, whole" in done.stdout


def test_check_without_a_gpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codec_bridge.cuda_check", "--build", tmp_path, "--json", tmp_path / "out.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "make cuda" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_other_backends_have_no_gpu(oracle: Filter) -> None:
    with pytest.raises(CallError, match="cuda backend"):
        oracle.filter_on_device(None, None, 8, 0)


def test_says_what_is_missing(tmp_path: Path) -> None:
    code = "from codec_bridge.filter import Filter; Filter(backend='cuda')"
    environment = {**os.environ, "VRCNN_CUDA_LIBRARY": str(tmp_path / "nowhere.so")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    assert "nowhere.so" in done.stderr
    assert "make cuda" in done.stderr


@pytest.mark.skipif(INSIDE in os.environ, reason="this is the emulated one")
def test_on_an_emulated_gpu() -> None:
    if missing := [tool for tool in ("make", "c++") if shutil.which(tool) is None]:
        pytest.skip(f"the emulated GPU is not built, for want of {', '.join(missing)}")
    subprocess.run(["make", "-s", "-C", str(ROOT / "c/cuda"), "emulated"], check=True)
    environment = {**os.environ, INSIDE: "1", "LD_LIBRARY_PATH": str(EMULATED)}
    environment["VRCNN_CUDA_LIBRARY"] = str(EMULATED / "libvrcnn_cuda.so.0")
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    # None of them is skipped but this one (and where there is no torch, its peer).
    assert "no GPU" not in done.stdout, done.stdout
