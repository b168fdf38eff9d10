"""Everything that only a GPU can show of libvrcnn_cuda, in one run: ``make cuda-check``.

Equality with the C library on thousands of pictures, the same under compute-sanitizer, arrays of PyTorch and CuPy without copies, times
beside the GPU's own peak, and PyTorch's times for the same network. Writes one JSON document and prints a table. Needs the programs that
``make -C c/cuda programs`` builds and numpy; what else it finds (compute-sanitizer, torch, cupy, scikit-image) it uses, and says what it
did not find.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bench.cuda import bench, peers
from codec_bridge.bench.input import fill, float_network, network_for
from codec_bridge.library import cuda
from codec_bridge.provenance import git_revision, processor
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import write_text
from vrcnn_int.integer import ModelSet, filter_plane
from vrcnn_int.models import builtin_path

BUILD = Path(__file__).resolve().parents[2] / "c/build/cuda"
SIZE = (2560, 1600)
SANITIZERS = ("memcheck", "racecheck", "synccheck", "initcheck")
TARGETS = (
    ("2560x1600, device to device, ms", 1.0, 0.5),
    ("fraction of the measured int8 peak", 0.30, 0.55),
    ("times faster than the fastest torch", 3.0, 6.0),
    ("1920x1080 from host memory and back, pictures/s", 1000.0, 2000.0),
)
"""What is wanted on an H200: at least, aim."""


def photograph() -> tuple[NDArray[np.uint8], str]:
    """Luma of a photograph of scikit-image, and what it is; without scikit-image a drawn picture."""
    try:
        data = import_module("skimage.data")
        r, g, b = np.moveaxis(data.astronaut().astype(np.int64), 2, 0)
        luma = ((66 * r + 129 * g + 25 * b + 128) >> 8) + 16
        return luma.astype(np.uint8), "scikit-image: astronaut, not coded"
    except (ImportError, OSError):
        y, x = np.mgrid[:512, :512]
        noise = np.random.default_rng(1).normal(0, 6, (512, 512))
        drawn = 128 + 60 * np.sin(x / 31) * np.cos(y / 17) + 40 * ((x // 64 + y // 48) % 2) + noise
        return np.clip(drawn, 0, 255).astype(np.uint8), "drawn (scikit-image is not there)"


WHOLE = 420.0
"""Seconds for all steps, so that with building it takes less than eight minutes; the sanitizers have what the others left of it."""


def _run(command: list[str], seconds: float) -> tuple[int | None, str]:
    """Exit code (None: it took too long) and all that the command printed."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        return None, said.decode(errors="replace") if isinstance(said, bytes) else said
    return done.returncode, done.stdout


def equality(build: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """What test_cuda counted: pictures, samples; ok is False where anything differed or failed."""
    code, said = _run([str(build / "test_cuda"), "--rounds", str(rounds)], seconds)
    counted = re.search(r"(\d+) pictures, (\d+) samples, all equal", said)
    result = {"ok": code == 0 and counted is not None, "exit": code, "said": said.strip().splitlines()[-3:]}
    return {**result, "pictures": int(counted[1]), "samples": int(counted[2])} if counted else result


def sanitizers(build: Path, seconds: float, end: float) -> list[dict[str, Any]]:
    """test_cuda under each tool of compute-sanitizer: tool, ok, errors (as it says); an empty list if it is not there.

    seconds: for a tool, at most. end: by time.monotonic(); tools that it leaves no time for are missing.
    """
    program = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    results: list[dict[str, Any]] = []
    for tool in SANITIZERS if program else ():
        left = min(seconds, end - time.monotonic())
        if left < 5:
            results.append({"tool": tool, "missing": "no time was left"})
            continue
        command = [str(program), "--tool", tool, "--error-exitcode", "9", str(build / "test_cuda"), "--rounds", "1", "--largest", "60", "1"]
        code, said = _run(command, left)
        summary = [line for line in said.splitlines() if "ERROR SUMMARY" in line or "RACECHECK SUMMARY" in line or "all equal" in line]
        results.append({"tool": tool, "ok": code == 0, "exit": code, "said": summary or said.strip().splitlines()[-3:]})
    return results


def arrays(photo: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Arrays on the GPU, by the oracle: library, ok, samples compared; or library and failure."""
    models = ModelSet.load(builtin_path())
    plane = fill(photo, 104, 60)
    stack = np.stack([plane, plane[::-1], plane[:, ::-1]])
    wanted = np.stack([filter_plane(models.networks[1], one, 8) for one in stack])

    def with_torch() -> NDArray[Any]:
        from codec_bridge.bench.torch_peer_cuda import available, filtered_tensor

        if available() is None:
            raise ImportError("torch finds no GPU")
        return filtered_tensor(stack, lambda out, source, stream: context.filter_device(out, source, 8, 1, stream=stream))

    def with_cupy() -> NDArray[Any]:
        import cupy  # type: ignore[import-not-found,unused-ignore]

        source = cupy.asarray(stack)
        out = cupy.zeros_like(source)
        context.filter_device(out, source, 8, 1)
        copied: NDArray[Any] = cupy.asnumpy(out)
        return copied

    def with_numpy() -> NDArray[Any]:
        out = np.zeros_like(stack)
        context.filter_host(list(out), list(stack), 8, 1)
        return out

    results: list[dict[str, Any]] = []
    runs: dict[str, Callable[[], NDArray[Any]]] = {"numpy": with_numpy, "torch": with_torch, "cupy": with_cupy}
    with cuda.Cuda(builtin_path().read_bytes()) as context:
        for name, run in runs.items():
            try:
                different = int(np.count_nonzero(run() != wanted))
                results.append({"library": name, "ok": different == 0, "samples": wanted.size, "different": different})
            except ImportError as error:
                results.append({"library": name, "missing": str(error)})
    return results


def times(build: Path, photo: NDArray[np.uint8], seconds: float) -> dict[str, Any]:
    """What bench_cuda measured. Raises VrcnnError if it fails."""
    with tempfile.NamedTemporaryFile(suffix=".luma") as file:
        file.write(np.ascontiguousarray(photo).tobytes())
        file.flush()
        code, said = _run([str(build / "bench_cuda"), file.name, str(photo.shape[1]), str(photo.shape[0])], seconds)
    if code != 0:
        raise VrcnnError(f"bench_cuda ended with {code}: {said.strip().splitlines()[-1:]}")
    document: dict[str, Any] = json.loads(said)
    return document


def torch_peers(photo: NDArray[np.uint8], seconds: float) -> dict[str, Any]:
    """PyTorch's times for the same network and picture, until the time is over; and whether its int8 products give our bits."""
    models = ModelSet.load(builtin_path())
    index = network_for(models)
    plane = fill(photo, *SIZE)
    found = peers(models.networks[index], float_network(builtin_path()), plane, seconds)
    if (theirs := found.pop("filtered", None)) is not None:
        ours = np.zeros_like(plane)
        with cuda.Cuda(builtin_path().read_bytes()) as context:
            context.filter_host([ours], [plane], 8, index)
        found["samples_unlike_int_mm"] = int(np.count_nonzero(ours != theirs))
    return found


def card() -> str | None:
    """What nvidia-smi says of the GPU: name, driver, clocks, power."""
    program = shutil.which("nvidia-smi")
    wanted = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw,power.limit,temperature.gpu"
    return _run([program, f"--query-gpu={wanted}", "--format=csv,noheader"], 20)[1].strip() if program else None


def reached(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The targets with what was measured; None where it was not."""
    rows = document.get("times", {}).get("rows", [])
    whole = [r for r in rows if r["network"] == "vrcnn" and r["part"] == "whole" and r["method"] == "fused" and r["bit_depth"] == 8]
    device = [r for r in whole if r["kind"] == "device" and (r["width"], r["height"]) == SIZE and not r["map_size"]]
    default = device[0] if device else None
    host = [r for r in whole if r["kind"] == "host" and r["width"] == 1920]
    torch_ms = [r["ms"] for r in document.get("peers", {}).get("rows", []) if "ms" in r]
    values = (
        default["ms"] if default else None,
        default["gmacs"] / default["peak_gmacs"] if default else None,
        min(torch_ms) / default["ms"] if default and torch_ms else None,
        host[0]["pictures_per_second"] if host else None,
    )
    return [{"what": what, "least": least, "aim": aim, "measured": v} for (what, least, aim), v in zip(TARGETS, values, strict=True)]


def table(document: dict[str, Any]) -> str:
    """The document in a screenful."""
    lines = []
    for row in document.get("times", {}).get("rows", []):
        what = f"{row['network']}, {row['width']}x{row['height']} {row['bit_depth']} bit, {row['kind']}, {row['method']}, {row['part']}"
        what += f", batch {row['batch']}" if row["batch"] > 1 else ""
        what += f", maps {row['map_size'] >> 20} MiB" if row["map_size"] else ""
        shapes = f"{row['first']} {row['second']}".replace("vrcnn_", "")
        share = 100 * row["gmacs"] / row["peak_gmacs"] if row["part"] == "whole" else float("nan")
        lines.append(f"{what:60} {row['ms']:10.3f} ms {row['pictures_per_second']:9.1f}/s {share:5.1f} %  {shapes}")
    for row in document.get("bench", {}).get("rows", []):
        what = f"{row['width']}x{row['height']}, {row['path']} to {row['path']}, from Python"
        share = 100 * row["fraction_of_peak"]
        lines.append(f"{what:60} {row['ms']:10.3f} ms {row['pictures_per_second']:9.1f}/s {share:5.1f} %")
    for row in document.get("peers", {}).get("rows", []):
        lines.append(f"{row['name']:60} " + (f"{row['ms']:10.3f} ms" if "ms" in row else row["failure"]))
    for check in ("equality", "sanitizers", "arrays"):
        lines.append(f"{check}: {json.dumps(document.get(check))}")
    for target in document["targets"]:
        measured = "not measured" if target["measured"] is None else f"{target['measured']:.3f}"
        lines.append(f"{target['what']:50} {measured:>12}  (at least {target['least']}, aim {target['aim']})")
    return "\n".join(lines)


def check(build: Path, out: Path, quick: bool) -> bool:
    """Run it all and write the document after each step, so that what was found stays. True if nothing differed."""
    if missing := [name for name in ("test_cuda", "bench_cuda", "libvrcnn_cuda.so.0") if not (build / name).exists()]:
        raise VrcnnError(f"{build} lacks {', '.join(missing)}; run `make cuda-check`, which builds them")
    os.environ.setdefault("VRCNN_CUDA_LIBRARY", str(build / "libvrcnn_cuda.so.0"))
    cuda.devices()
    photo, origin = photograph()
    document: dict[str, Any] = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "revision": git_revision(), "picture": origin}
    document |= {"processor": processor(), "card": card(), "model": ModelSet.load(builtin_path()).identity, "seconds": {}}
    steps: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("equality", lambda: equality(build, 1 if quick else 30, 120)),
        ("arrays", lambda: arrays(photo)),
        ("times", lambda: times(build, photo, 150)),
        ("bench", lambda: {"missing": "not asked for"} if quick else bench(photo, [SIZE, (1920, 1080)], None, 3)),
        ("peers", lambda: {"missing": "not asked for"} if quick else torch_peers(photo, 90)),
        ("sanitizers", lambda: [] if quick else sanitizers(build, 60, begun + WHOLE)),
    )
    begun = time.monotonic()
    for name, step in steps:
        start = time.monotonic()
        try:
            document[name] = step()
        except (VrcnnError, ImportError) as error:
            document[name] = {"failure": str(error)}
        document["seconds"][name] = round(time.monotonic() - start, 1)
        document["targets"] = reached(document)
        write_text(out, json.dumps(document, indent=1))
        print(f"{name}: {document['seconds'][name]} s", file=sys.stderr, flush=True)
    print(table(document))
    results = [document["equality"], *(document["arrays"] if isinstance(document["arrays"], list) else [document["arrays"]])]
    results += document["sanitizers"] if isinstance(document["sanitizers"], list) else [document["sanitizers"]]
    return all(result.get("ok", "missing" in result) for result in results)


def main() -> int:
    parser = argparse.ArgumentParser(prog="cuda_check", description="Test and time libvrcnn_cuda on this machine's GPU.")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder of the programs; default: c/build/cuda")
    parser.add_argument("--json", type=Path, required=True, help="file to write")
    parser.add_argument("--quick", action="store_true", help="one round of equality and the times; no torch, no sanitizer")
    given = parser.parse_args()
    try:
        return 0 if check(given.build, given.json, given.quick) else 1
    except VrcnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
