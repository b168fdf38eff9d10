"""codec-bridge bench: peak rates, rows, tables, and the engines that it compares with."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from codec_bridge.bench import contender, onnx_peer
from codec_bridge.bench import input as bench_input
from codec_bridge.bench import peers as bench_peers
from codec_bridge.bench import report as bench_report
from codec_bridge.bench import run as bench
from codec_bridge.filter import ErrorCode, Filter, kernels
from codec_bridge.library import native
from tests.codec_bridge.cli.test_command_lines import bridge, refused
from tests.support.errors import refused_as
from vrcnn_int.models import builtin_path, float_path
from vrcnn_int.network import FloatNetwork, load_float_networks

MACS = 54_512
SUPPORTED = [name for name, there in kernels() if there and name != "auto"]


@pytest.fixture(scope="module")
def network() -> FloatNetwork:
    return bench_input.float_network(builtin_path())


@pytest.fixture(scope="module")
def calibration() -> list[bench_input.Float]:
    return [bench_input.as_input(bench_input.fill(bench.photograph(name), 96, 64)) for name in ("coffee", "chelsea")]


def squared_error(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.mean((a.astype(float) - b) ** 2))


# Filter.prepare


def test_prepared_filter_gives_the_bits_of_filter_plane() -> None:
    plane = bench_input.fill(bench.photograph(), 100, 70)
    out = np.zeros_like(plane)
    with Filter() as filter_:
        call = filter_.prepare(plane, out, 8, 1, scale=5)
        for shift in (0, 3):
            plane[:] = np.roll(plane, shift, 1)
            call()
            assert np.array_equal(out, filter_.filter_plane(plane, 8, 1, 5))
        indices, unit = [2, 0, 3], np.array([[1, 0], [3, 2]], np.uint8)
        out[:] = 77
        filter_.prepare(plane, out, 8, 0, (indices, unit, 64))()
        assert np.array_equal(out, filter_.filter_units(plane, 8, indices, unit, 64, background=np.full_like(plane, 77)))
        assert (out[:64, 64:] == 77).all()
    with refused_as(ErrorCode.ARGUMENT, match="closed"):
        call()


def test_prepare_refuses_what_it_would_have_to_copy() -> None:
    plane = np.zeros((32, 40), np.uint8)
    with Filter() as filter_:
        for bad, out in (
            (plane[:, ::2], np.zeros((32, 20), np.uint8)),
            (plane, np.zeros((32, 41), np.uint8)),
            (plane, np.zeros((32, 40), np.uint16)),
            (plane, np.zeros((40, 32), np.uint8).T),
        ):
            with refused_as(ErrorCode.PLANE):
                filter_.prepare(bad, out, 8, 0)
        with refused_as(ErrorCode.SCALE):
            filter_.prepare(plane, plane.copy(), 8, 0, scale=11)
        with refused_as(ErrorCode.UNITS):
            filter_.prepare(plane, plane.copy(), 8, 0, ([0], np.ones((2, 2), np.uint8), 64))
        with refused_as(ErrorCode.OVERLAP):
            filter_.prepare(plane, plane, 8, 0)()
    with Filter(backend="oracle") as oracle, refused_as(ErrorCode.ARGUMENT):
        oracle.prepare(plane, plane.copy(), 8, 0)


# What is measured


def test_every_kernel_that_runs_here_has_a_peak() -> None:
    for name, supported in kernels():
        if name in SUPPORTED:
            assert native.instruction(name)
            assert bench.peak(name, 2, 0.001) > 0.1
        elif name != "auto" and not supported:
            assert bench.peak(name, 1, 0.001) == 0
    assert bench.peak("auto", 1, 0.001) == 0
    assert native.instruction("cuda") is None


def test_wider_instructions_multiply_more() -> None:
    """By factors of 2 to 7 on every CPU that has them; short tries in turns, as the machine may be busy."""
    tries = [{name: bench.peak(name, 1, 0.002) for name in SUPPORTED} for _ in range(20)]
    rates = {name: max(rates[name] for rates in tries) for name in SUPPORTED}
    for less, more in (("scalar", "avx2"), ("avx2", "avx512vnni"), ("avx512vnni", "amx"), ("scalar", "neon_dot")):
        if less in rates and more in rates:
            assert rates[more] > rates[less], rates


def test_half_filled_map_leaves_out_the_smoother_half() -> None:
    rng = np.random.default_rng(5)
    plane = np.full((192, 200), 128, np.uint8)
    plane[:, 64:192] = rng.integers(100, 150, (192, 128))
    plane[:64, 128:192] = rng.integers(0, 256, (64, 64))
    units = bench.half_filled(plane, 3)
    assert units.shape == (3, 4)
    assert (units > 0).sum() == 6
    assert (units[:, 1:3] > 0).all()
    assert units[0, 2] == 1
    assert sorted(units[units > 0]) == [1, 1, 2, 2, 3, 3]


def test_rows_say_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ENOUGH", 0.02)
    names = sorted({SUPPORTED[0], SUPPORTED[-1]})
    seen: list[tuple[str, float]] = []
    document = bench.bench([(64, 48), (200, 136)], (1, 2), names, repeats=4, progress=lambda what, share: seen.append((what, share)))
    rows = document["rows"]
    assert {(row["kernel"], row["threads"]) for row in rows} == {(name, count) for name in names for count in (1, 2)}
    assert len(rows) == len(names) * 2 * 3
    peaks = {(peak["kernel"], peak["threads"]): peak for peak in document["peaks"]}
    for row in rows:
        assert {"kernel", "width", "height", "threads", "ms", "gmacs", "fraction_of_peak"} <= set(row)
        assert row["repeats"] >= 4
        assert 0 < row["ms_minimum"] <= row["ms"]
        samples = row["width"] * row["height"] * (row["units"]["share"] if row["units"] else 1)
        assert row["gmacs"] == pytest.approx(MACS * samples / row["ms"] / 1e6)
        peak = peaks[row["kernel"], row["threads"]]
        assert row["fraction_of_peak"] == pytest.approx(row["gmacs"] / peak["gmacs"])
        assert peak["gmacs"] <= peak["gmacs_maximum"]
        with Filter(kernel=row["kernel"], threads=row["threads"]) as filter_:
            assert row["memory"] == filter_.memory
    (mapped, *_) = [row for row in rows if row["units"]]
    assert (mapped["width"], mapped["height"]) == (200, 136)
    assert mapped["units"]["networks"] == 3
    assert 0.3 < mapped["units"]["share"] < 0.8
    assert document["left_out"] == []
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_rows_over_budget_are_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ENOUGH", 0.0)
    document = bench.bench([(64, 48), (1024, 768)], (1,), ["scalar"], repeats=1, budget=0.1)
    assert {(row["width"], bool(row["units"])) for row in document["left_out"]} >= {(1024, False)}
    assert (1024, False) not in {(row["width"], bool(row["units"])) for row in document["rows"]}
    text = shown({**document, "provenance": {}})
    assert "1024x768" in text.partition("left out")[2]


# Tables and the plot


def shown(document: dict[str, Any], width: int = 80) -> str:
    stream = io.StringIO()
    bench_report.print_tables(document, Console(file=stream, width=width, color_system=None, markup=False))
    return stream.getvalue()


def row_of(kernel: str, threads: int | None, width: int, height: int, ms: float, **more: Any) -> dict[str, Any]:
    gmacs = MACS * width * height / ms / 1e6
    row = {"network": "luma", "kmac": 54.512, "kernel": kernel, "width": width, "height": height, "threads": threads, "units": None}
    row |= {"ms": ms, "ms_minimum": ms * 0.9, "pictures_per_second": 1000 / ms, "speed": 1.0}
    return row | {"repeats": 12, "gmacs": gmacs, "fraction_of_peak": gmacs / 4000, "memory": 1_400_000, "resident": None} | more


def document_of(peers: bool) -> dict[str, Any]:
    sizes = [(416, 240), (3840, 2160)]
    rows = [row_of(kernel, n, w, h, w * h / 1e4 / n) for w, h in sizes for kernel in ("scalar", "avx512vnni") for n in (1, 2)]
    rows[0]["fraction_of_peak"] = None
    rows.append(row_of("scalar", 1, 1920, 1080, 5000, units={"unit_size": 64, "networks": 3, "share": 0.503}))
    peaks = [
        {
            "network": "luma",
            "kernel": kernel,
            "threads": n,
            "thread_memory": 9 * 10**5,
            "instruction": "vpmaddubsw, vpmaddwd, vpaddd",
            "gmacs": 428.04 * n,
            "gmacs_maximum": 431.0 * n,
        }
        | {"repeats": 9, "memory": 1_400_000, "resident": 1_310_000}
        for kernel in ("scalar", "avx512vnni")
        for n in (1, 2)
    ]
    document: dict[str, Any] = {"provenance": {"processor": "A $B_1$"}, "peaks": peaks, "rows": rows, "left_out": []}
    if peers:
        names = [bench_input.OURS, *(peer.name for peer in bench_peers.PEERS)]
        timings = [
            {"contender": name, "width": w, "height": h, "threads": n, "ms": w * h / 2e4 / n * (k + 1), "ms_minimum": 1.0, "repeats": 5}
            | {"ratio": k + 1.0, "resident": 10**9 * k}
            for w, h in bench.SIZES[:4]
            for n in (1, 2)
            for k, name in enumerate(names)
        ]
        bits = [
            {"contender": names[1], "isa": "avx2", "method": "ONEDNN_MAX_CPU_ISA=AVX2", "samples": 99840, "changed": 3293, "largest": 2},
            {"contender": names[2], "isa": "avx2", "method": "needs qemu-x86_64", "samples": 0, "changed": None},
        ]
        lines = {"left_out": ["torch int8 is left out"], "failures": ["OpenVINO int8: no [thing]"]}
        document["peers"] = {"versions": {}, "timings": timings, "bits": bits, **lines}
    return document


@pytest.mark.parametrize("peers", [False, True])
def test_tables_hold_the_figures(peers: bool) -> None:
    lines = shown(document_of(peers)).splitlines()
    words = [line.split() for line in lines]
    assert ["416x240", "scalar", "1", "9.984", "8.986", "12", "545.1", "-"] in words
    assert ["avx512vnni", "2", "4.992", "4.493", "12", "1090", "27.3", "%"] in words
    assert ["1920x1080", "map", "scalar", "1", "5000", "4500", "12", "22.61", "0.6", "%"] in words
    assert ["avx512vnni", "2", "856.1", "1.4", "MB", "1.3", "MB", "vpmaddubsw,", "vpmaddwd,", "vpaddd"] in words
    assert not any("…" in line for line in lines)
    assert not any("busy" in line for line in lines)
    if peers:
        assert ["vrcnn-int", "1", "4.992", "19.97", "103.7", "204.8"] in words
        assert ["OpenVINO", "int8", "1", "9.984", "2.00x", "39.94", "2.00x", "207.4", "2.00x", "409.6", "2.00x"] in words
        assert ["OpenVINO", "int8", "1000", "MB", "3293", "(3.30", "%)"] in words
        assert ["ONNX", "Runtime", "int8", "2000", "MB", "needs", "qemu-x86_64"] in words
        assert ["torch", "fp32", "3000", "MB", "-"] in words
        assert "failed: OpenVINO int8: no [thing]" in lines
        assert "torch int8 is left out" in lines


def gpu_document(peers: bool) -> dict[str, Any]:
    """As bench_cuda makes it."""
    rows = [
        row_of("cuda", None, 2560, 1600, ms, path=path, fraction_of_peak=fraction, pictures=64, pictures_per_second=1000 / ms)
        for path, ms, fraction in (("device", 0.5, 0.7), ("host", 2.0, 0.175))
    ]
    peak = {"kernel": "cuda", "threads": None, "instruction": "mma.sync", "gmacs": 650_000.0, "gmacs_maximum": 660_000.0, "repeats": 4}
    peak |= {"memory": 2 * 10**8, "resident": None}
    document = {"provenance": {}, "gpu": "A [GPU]", "peaks": [peak], "rows": rows, "left_out": []}
    if peers:
        size = {"width": 2560, "height": 1600, "threads": None, "resident": None, "ms_minimum": 0.4, "repeats": 50}
        timings = [
            {"contender": name, "ms": ms, "ms_end_to_end": end, "ratio": ms / 0.5} | size
            for name, ms, end in ((bench_input.OURS, 0.5, 2.0), ("torch fp16, graph", 4.0, 5.0))
        ]
        bits = [{"contender": "torch int8 (_int_mm)", "samples": 4_096_000, "changed": 3}]
        document["peers"] = {
            "versions": {},
            "timings": timings,
            "bits": bits,
            "left_out": ["some left out"],
            "failures": ["torch bf16: no"],
        }
    return document


@pytest.mark.parametrize("peers", [False, True])
def test_tables_and_plot_of_a_gpu(peers: bool, tmp_path: Path) -> None:
    document = gpu_document(peers)
    lines = shown(document, 100).splitlines()
    words = [line.split() for line in lines]
    assert "A [GPU]" in lines
    assert ["cuda", "-", "650000", "200", "MB", "-", "mma.sync"] in words
    assert ["2560x1600", "cuda,", "device", "to", "device", "-", "0.500", "0.450", "12", "446562", "70.0", "%"] in words
    assert ["cuda,", "host", "to", "host", "-", "2.000", "1.800", "12", "111641", "17.5", "%"] in words
    if peers:
        assert ["vrcnn-int", "0.500", "1.00x", "2.000", "1.00x"] in words
        assert ["torch", "fp16,", "graph", "4.000", "8.00x", "5.000", "2.50x"] in words
        assert "torch int8 (_int_mm): 3 of 4096000 8-bit output samples are not vrcnn-int's" in lines
        assert "some left out" in lines
        assert "failed: torch bf16: no" in lines
    bench_report.write_plot(tmp_path / "bench.png", document)
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_a_busy_machine_is_said_to_be_one() -> None:
    document = document_of(False)
    document["peaks"][1]["gmacs_maximum"] = document["peaks"][1]["gmacs"] / 0.6
    assert "warning: the machine was busy, peak rates fell to 60 % of their best" in " ".join(shown(document).split())


@pytest.mark.parametrize("peers", [False, True])
def test_plot_is_a_png(peers: bool, tmp_path: Path) -> None:
    bench_report.write_plot(tmp_path / "bench.png", document_of(peers))
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


# The command


def test_command_writes_rows_and_plot(tmp_path: Path) -> None:
    files = [tmp_path / "new" / name for name in ("bench.json", "bench.png")]
    arguments = ["--sizes", "64x48", "--threads", 1, "--repeats", 1, "--json", files[0], "--plot", files[1]]
    result = bridge("bench", *arguments)
    assert result.returncode == 0, result.stderr
    document = json.loads(files[0].read_text())
    assert [row["kernel"] for row in document["rows"] if not row["units"]] == SUPPORTED
    assert document["provenance"]["model"] == Filter().identity
    assert files[1].read_bytes().startswith(b"\x89PNG")
    for name in SUPPORTED:
        assert name in result.stdout


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    refused(bridge("bench", "--kernels", "fastest"), "'fastest'", "scalar")
    refused(bridge("bench", "--sizes", "64"), "'64' is not a size")
    refused(bridge("bench", "--threads", "0"), "--threads: 0 is not in 1..64")
    refused(bridge("bench", "--threads", "one"), "'one'")
    refused(bridge("bench", "--plot", tmp_path / "p.pdf"), "p.pdf")
    refused(bridge("bench", "--peers", "--model", tmp_path / "none.vrcnn"), "none.vrcnn")


# Peers


def test_peers_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_peers.importlib.util, "find_spec", lambda name: None if name == "onnx" else object())
    found, lines = bench_peers.installed()
    assert [peer.name for peer in found] == ["torch fp32", "torch bf16", "torch int8"]
    assert len(lines) == 2
    assert all("onnx not installed (pip install '.[bench]')" in line for line in lines)
    monkeypatch.setattr(bench_peers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(bench_input.PeerError, match="no peer is installed; pip install"):
        bench_peers.installed()


def test_a_worker_filters_in_its_own_process(tmp_path: Path) -> None:
    photo = bench.photograph()
    np.savez(tmp_path / contender.PHOTOGRAPH, *bench.photographs())
    common = {"model": str(builtin_path()), "folder": str(tmp_path), "threads": 1, "kernel": "auto"}
    with contender.Worker(bench_input.OURS, **common) as worker:
        assert worker.receive() == {}
        assert worker.ask("prepare", width=130, height=70)["seconds"] > 0
        answer = worker.ask("measure", seconds=0.01)
        assert sum(answer["times"]) >= 0.01
        worker.ask("save", path=str(tmp_path / "out.npy"))
        with pytest.raises(bench_input.PeerError, match=r"^vrcnn-int: .*"):
            worker.ask("prepare", width=0, height=70)
        process = worker._process
        assert process.poll() is None
    assert process.poll() is not None
    expected = Filter().filter_plane(bench_input.fill(photo, 130, 70), 8, 2)
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)
    with contender.Worker("torch fp64", **common) as worker, pytest.raises(bench_input.PeerError, match="torch fp64"):
        worker.receive()


def test_a_worker_that_dies_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    dying = ["sh", "-c", "echo out of luck >&2; exit 3"]
    with (
        contender.Worker("OpenVINO int8", wrapper=dying) as worker,
        pytest.raises(bench_input.PeerError, match=r"^OpenVINO int8 ended with 3: out of luck$"),
    ):
        worker.receive()


@pytest.mark.parametrize("form", ["fp32", "bf16", "int8"])
def test_torch_runs_the_same_network(form: str, network: FloatNetwork, calibration: list[bench_input.Float]) -> None:
    torch_peer = pytest.importorskip("codec_bridge.bench.torch_peer")
    module = pytest.importorskip("vrcnn_int.training.module")
    plane = bench_input.fill(bench.photograph(), 120, 90)
    expected = module.filter_plane_float(network, plane, 8)
    got = bench_input.as_samples(torch_peer.run_in_torch(network, form, 1, calibration)(bench_input.as_input(plane))())
    assert got.shape == plane.shape
    if form == "fp32":
        assert (np.abs(got.astype(int) - expected) <= 1).all()
        assert (got != expected).mean() < 1e-3
    assert squared_error(got, expected) < squared_error(expected, plane) / 4


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_onnx_engines_run_the_same_network_in_int8(
    engine: str, network: FloatNetwork, calibration: list[bench_input.Float], tmp_path: Path
) -> None:
    for package in ("onnx", "onnxruntime", engine):
        pytest.importorskip(package)
    import onnx

    load = onnx_peer.run_in_openvino if engine == "openvino" else onnx_peer.run_in_onnxruntime
    plane = bench_input.fill(bench.photograph(), 120, 90)
    model = onnx_peer.as_onnx(network)
    onnx.save(model, tmp_path / "float.onnx")
    with pytest.raises(bench_input.PeerError, match=r"^0 of 6 convolutions run in int8$"):
        load(network, tmp_path / "float.onnx", 1)(bench_input.as_input(plane))
    onnx_peer.write_int8(model, tmp_path / "int8.onnx", calibration)
    got = bench_input.as_samples(load(network, tmp_path / "int8.onnx", 1)(bench_input.as_input(plane))())
    expected = Filter().filter_plane(plane, 8, 2)
    assert squared_error(got, expected) < squared_error(expected, plane) / 4


def test_peers_compared_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one that is installed, and one instruction set, as each run loads an engine anew."""
    if not any(bench_peers.importlib.util.find_spec(package) for package in ("openvino", "torch")):
        pytest.skip("no peer is installed")
    few = bench_peers.installed()[0][:1]
    monkeypatch.setattr(bench_peers, "installed", lambda: (few, ["a line"]))
    monkeypatch.setattr(bench_peers, "ISA", {"avx2": "AVX2"})
    monkeypatch.setattr(bench_peers, "ROUNDS", 2)
    document = bench_peers.compare([(64, 48)], [1])
    assert document["failures"] == []
    assert document["left_out"] == ["a line"]
    names = [bench_input.OURS, *(peer.name for peer in few)]
    assert [row["contender"] for row in document["timings"]] == names
    ours = document["timings"][0]["ms"]
    for row in document["timings"]:
        assert row["ratio"] == pytest.approx(row["ms"] / ours)
        assert row["resident"] is None or row["resident"] > 1e5
    if "avx2" in SUPPORTED[:-1]:
        bits = {row["contender"]: row for row in document["bits"]}
        assert list(bits) == names
        assert bits[bench_input.OURS]["changed"] == 0
        assert all(row["samples"] == 416 * 240 for row in bits.values())


def test_float_networks_of_another_set_are_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    from vrcnn_int.integer import ModelSet

    models = ModelSet.load(builtin_path())
    changed = ModelSet((replace(models.networks[0], qp=23), *models.networks[1:]))
    changed.save(tmp_path / "other.vrcnn")
    (tmp_path / "other.float.npz").write_bytes(float_path(builtin_path()).read_bytes())
    with pytest.raises(bench_input.PeerError, match="belongs to model set"):
        bench_peers.check(tmp_path / "other.vrcnn")
    assert len(load_float_networks(tmp_path / "other.float.npz")[0]) == len(models.networks)
