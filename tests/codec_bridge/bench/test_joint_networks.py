"""codec-bridge bench with joint networks, beside luma ones and beside the same network in other engines."""

import io
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
from codec_bridge.filter import Filter
from tests.codec_bridge.cli.test_command_lines import bridge, refused
from tests.support.models import joint_set, write_joint_set
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import filter_planes
from vrcnn_int.models import builtin_path
from vrcnn_int.network import FloatNetwork, macs_per_sample

SIZE = (96, 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("joint") / "joint.vrcnn"
    write_joint_set(path)
    return path


@pytest.fixture(scope="module")
def network(model: Path) -> FloatNetwork:
    return bench_input.float_network(model, "joint", "fast")


@pytest.fixture(scope="module")
def planes(model: Path) -> bench_input.Planes:
    """What the network filters: luma, Cb and Cr."""
    (subject,) = bench_input.subjects(model, "joint", "fast")
    return subject.planes(bench.photographs(), *SIZE)


def test_what_is_timed(model: Path, tmp_path: Path) -> None:
    """One network of each kind and size; the shipped one where the set has no luma network; what is named alone."""
    assert [one.name for one in bench_input.subjects(model)] == ["luma", "joint fast", "joint best"]
    assert [one.name for one in bench_input.subjects(None)] == ["luma"]
    assert [one.name for one in bench_input.subjects(model, "joint")] == ["joint fast", "joint best"]
    assert [one.name for one in bench_input.subjects(model, None, "fast")] == ["luma", "joint fast"]
    joint_set(luma=True).save(tmp_path / "both.vrcnn")
    both = bench_input.subjects(tmp_path / "both.vrcnn")
    assert [(one.name, one.network.qp) for one in both] == [("luma", 32), ("joint fast", 27), ("joint best", 27)]
    assert [len(one.models.networks) for one in both] == [1, 2, 2]
    with pytest.raises(VrcnnError, match="no luma fast network"):
        bench_input.subjects(model, "luma", "fast")


def test_rows_of_several_networks(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ENOUGH", 0.0)
    monkeypatch.setattr(bench, "HALO_AT", SIZE)
    document = bench.bench([SIZE], (1, 2), ["scalar"], model, repeats=1)
    rows = document["rows"]
    assert len(rows) == 3 * 2 * 2
    for row in rows:
        assert row["kmac"] * 1000 == {"luma": 54_512}.get(row["network"], macs_per_sample(joint_set().networks[0].architecture))
        samples = SIZE[0] * SIZE[1] * (row["units"]["share"] if row["units"] else 1)
        assert row["gmacs"] == pytest.approx(row["kmac"] * samples / row["ms"] / 1000)
        assert row["pictures_per_second"] == pytest.approx(1000 / row["ms"])
        like = [other for other in rows if other["network"] == "luma" and bench._place(other) == bench._place(row)]
        assert row["speed"] == pytest.approx(like[0]["ms"] / row["ms"])
    assert [(peak["network"], peak["threads"]) for peak in document["peaks"]] == [
        (name, count) for name in ("luma", "joint fast", "joint best") for count in (1, 2)
    ]
    for name in ("luma", "joint fast", "joint best"):
        one, two = (peak for peak in document["peaks"] if peak["network"] == name)
        assert one["gmacs"] <= one["gmacs_maximum"]
        assert one["thread_memory"] == two["memory"] - one["memory"] > 0
    assert [each["network"] for each in document["halo"]] == ["luma", "joint fast", "joint best"]
    for each in document["halo"]:
        assert each["cost"] == pytest.approx(each["ms_halves"] / each["ms"] - 1)
    said = shown(document)
    assert "joint fast, scalar" in said
    assert "kMAC a luma sample: luma 54.5, joint fast " in said
    assert "halo: joint best, scalar: 96x64 in two halves " in said
    assert "a thread" in said


def shown(document: dict[str, Any]) -> str:
    stream = io.StringIO()
    bench_report.print_tables(document, Console(file=stream, width=140, color_system=None, markup=False))
    return stream.getvalue()


def test_planes_and_sites(planes: bench_input.Planes) -> None:
    """The input of the peers is the network's, and what they give can be compared with our planes."""
    x = bench_input.as_input(*planes)
    assert x.shape == (1, 6, SIZE[1] // 2, SIZE[0] // 2)
    assert x[0, 1, 3, 4] == pytest.approx((int(planes[0][6, 9]) - 128) / 255)
    assert x[0, 5, 3, 4] == pytest.approx((int(planes[2][3, 4]) - 128) / 255)
    sites = bench_input.as_sites(planes)
    assert np.array_equal(sites[2], planes[0][1::2, ::2])
    assert np.array_equal(sites[4], planes[1])
    odd = bench_input.as_input(planes[0][:63, :95], *planes[1:])
    assert odd.shape == x.shape
    assert (odd[0, 3, -1] == 0).all()


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean((found.astype(float) - expected) ** 2))


def expected_sites(model: Path, planes: bench_input.Planes) -> np.ndarray:
    (subject,) = bench_input.subjects(model, "joint", "fast")
    return bench_input.as_sites(filter_planes(subject.network, planes, (8, 8)))


@pytest.mark.parametrize("form", ["fp32", "bf16", "int8"])
def test_torch_runs_the_same_network(form: str, model: Path, network: FloatNetwork, planes: bench_input.Planes) -> None:
    torch_peer = pytest.importorskip("codec_bridge.bench.torch_peer")
    x = bench_input.as_input(*planes)
    found = bench_input.as_samples(torch_peer.run_in_torch(network, form, 1, [x])(x)())
    expected = expected_sites(model, planes)
    assert error(found, expected) < error(expected, bench_input.as_sites(planes)) / 4
    if form == "fp32":
        assert np.abs(found.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_onnx_engines_run_the_same_network_in_int8(
    engine: str, model: Path, network: FloatNetwork, planes: bench_input.Planes, tmp_path: Path
) -> None:
    for package in ("onnx", "onnxruntime", engine):
        pytest.importorskip(package)
    load = onnx_peer.run_in_openvino if engine == "openvino" else onnx_peer.run_in_onnxruntime
    x = bench_input.as_input(*planes)
    onnx_peer.write_int8(onnx_peer.as_onnx(network), tmp_path / "int8.onnx", [x])
    found = bench_input.as_samples(load(network, tmp_path / "int8.onnx", 1)(x)())
    expected = expected_sites(model, planes)
    assert error(found, expected) < error(expected, bench_input.as_sites(planes)) / 4


def test_a_contender_filters_planes(model: Path, tmp_path: Path, planes: bench_input.Planes) -> None:
    np.savez(tmp_path / contender.PHOTOGRAPH, *bench.photographs())
    one = contender.Contender(bench_input.OURS, str(model), str(tmp_path), 1, "auto", "joint", "fast")
    one.prepare(*SIZE)
    one.save(str(tmp_path / "out.npy"))
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected_sites(model, planes))


def test_which_network_peers_run(model: Path, tmp_path: Path) -> None:
    assert bench_peers.compared(model, None, None) == ("joint", "best")
    assert bench_peers.compared(model, None, "fast") == ("joint", "fast")
    assert bench_peers.compared(None, None, None) == ("luma", "best")
    joint_set(luma=True).save(tmp_path / "both.vrcnn")
    assert bench_peers.compared(tmp_path / "both.vrcnn", None, None) == ("luma", "best")
    assert bench_peers.compared(tmp_path / "both.vrcnn", "joint", None) == ("joint", "best")


def test_wrong_words_are_refused(model: Path) -> None:
    refused(bridge("bench", "--kind", "chroma"), "unknown kind 'chroma'; there are luma and joint")
    refused(bridge("bench", "--network-size", "small"), "unknown network size 'small'; there are fast and best")
    refused(bridge("bench", "--kind", "joint"), "no joint network")
    with Filter(builtin_path()) as shipped:
        assert shipped.networks[0].kind == "luma"
