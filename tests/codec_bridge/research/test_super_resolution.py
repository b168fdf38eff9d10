"""VDSR: pairs for super-resolution, the network in the oracle and the C library, training, and the paper's tables. Needs torch."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage import data
from skimage.io import imsave
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")

from codec_bridge.cli import commands as cli
from codec_bridge.filter import Filter, kernels
from codec_bridge.research import super_resolution
from tests.support.models import picture, random_network
from tests.vrcnn_int.training.test_train import TINY
from vrcnn_int import integer
from vrcnn_int.cli.commands import app
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.io import pairs
from vrcnn_int.network import VDSR, halo, macs_per_sample
from vrcnn_int.research import comparison, measure
from vrcnn_int.research.compare import run
from vrcnn_int.research.papers import VDSR_PSNR, paper_table

torch.set_num_threads(1)

SHAPE = [[(branch.kernel, branch.channels) for branch in layer] for layer in VDSR.layers]


def test_vdsr_is_twenty_layers_of_three_by_three() -> None:
    assert len(VDSR.layers) == 20
    assert halo(VDSR) == 20
    assert macs_per_sample(VDSR) == 9 * (64 + 18 * 64 * 64 + 64)


def test_vdsr_runs_in_the_c_library_bit_for_bit() -> None:
    """A deep network is inside the normative limits: every kernel, whole pictures and strips of any width, gives the oracle's samples."""
    network = random_network(np.random.default_rng(1), SHAPE)
    models = ModelSet((network,))
    for bit_depth, height, width in ((8, 18, 21), (10, 5, 33)):
        plane = picture(np.random.default_rng(height), "random", height, width, bit_depth)
        expected = integer.filter_plane(network, plane, bit_depth)
        assert (expected != plane).mean() > 0.5
        for kernel, supported in kernels():
            if supported:
                np.testing.assert_array_equal(Filter(models, kernel).filter_plane(plane, bit_depth, 0), expected)


def test_vdsr_needs_no_memory_for_rows() -> None:
    """The engine streams rows: what it holds is the same for every height."""
    filter_ = Filter(ModelSet((random_network(np.random.default_rng(1), SHAPE),)))
    held = filter_.memory
    for height in (16, 200):
        filter_.filter_plane(np.full((height, 64), 90, np.uint8), 8, 0)
        assert filter_.memory == held
    assert held < 1 << 24


def test_pairs_are_the_picture_and_its_upscaled_copy() -> None:
    camera = data.camera()[:101, :103]
    errors = []
    for factor in (2, 3, 4):
        small, original = super_resolution.upscaled(camera, factor)
        assert small.shape == original.shape == (101 // factor * factor, 103 // factor * factor)
        assert small.dtype == np.uint8
        np.testing.assert_array_equal(original, camera[: original.shape[0], : original.shape[1]])
        errors.append(np.mean((small.astype(float) - original) ** 2))
    assert 0 < errors[0] < errors[1] < errors[2] < 1000
    flat, _ = super_resolution.upscaled(np.full((30, 30), 77, np.uint8), 3)
    assert (flat == 77).all()
    with pytest.raises(VrcnnError, match="too small for factor 4"):
        super_resolution.upscaled(np.zeros((3, 9), np.uint8), 4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[comparison.Row]]:
    """A folder with pair files x2.npz and x3.npz and a comparison of two steps in out/, made by the commands."""
    folder = tmp_path_factory.mktemp("vdsr")
    (folder / "pictures").mkdir()
    imsave(folder / "pictures/a.png", data.camera()[100:172, 100:172])
    imsave(folder / "pictures/b.png", data.camera()[200:272, 200:272])
    files = []
    for factor in (2, 3):
        files.append(folder / f"x{factor}.npz")
        words = ["pairs", "upscale", str(folder / "pictures"), "--factor", str(factor), "--out", str(files[-1])]
        result = CliRunner().invoke(cli.app, words)
        assert result.exit_code == 0, result.output
        assert f"2 pictures, factor {factor}" in result.output
    settings = replace(TINY, network="vdsr", float_steps=2, weight_steps=1, bound_steps=1)
    rows = run(files, files, folder / "out", ["n-sigma 8/7"], [1], settings)
    return folder, rows


def test_one_network_learns_several_factors(trained: tuple[Path, list[comparison.Row]]) -> None:
    folder, (row,) = trained
    files = {factor: pairs.read(folder / f"x{factor}.npz") for factor in (2, 3)}
    assert {file.meta["factor"] for file in files.values()} == {2, 3}
    assert set(row["gain"]) == set(row["float"]) == {"x2", "x3"}
    ((place, _),) = comparison.results(folder / "out")
    network = measure.load(place / "model.vrcnn")
    assert isinstance(network, IntegerNetwork)
    assert network.architecture == VDSR
    for factor, file in files.items():
        assert row["gain"][f"x{factor}"] == measure.integer_gain(network, file).gain
        plane = file.recon[0]
        np.testing.assert_array_equal(Filter(ModelSet((network,))).filter_plane(plane, 8, 0), integer.filter_plane(network, plane, 8))


def test_tables_show_our_figures_beside_the_papers(trained: tuple[Path, list[comparison.Row]], tmp_path: Path) -> None:
    folder, (row,) = trained
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["paper-table", "4", str(folder / "out")])
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if "PSNR for x2" in line)
    assert line.split()[-4:] == ["37.55", "37.51", *(f"{row['unfiltered']['x2'] + row[key]['x2']:.2f}" for key in ("float", "gain"))]
    line = next(line for line in result.output.splitlines() if "PSNR for x4" in line)
    assert line.split()[-2:] == ["-", "-"]
    line = next(line for line in result.output.splitlines() if "model size" in line)
    assert line.split()[-4:] == ["2.54", "0.65", "2.66", "0.67"]
    assert "paper: Set-5" in result.output
    assert "4 steps of 2 patches" in result.output
    with pytest.raises(VrcnnError, match=r"no result of n-sigma 8/8 for vdsr"):
        paper_table(5, folder / "out")
    # Table 5, from results that differ in a known figure.
    for bits in (8, 7, 6, 5, 4):
        place = tmp_path / f"q0/seed1/{bits}"
        place.mkdir(parents=True)
        changed = row | {"method": f"n-sigma 8/{bits}", "gain": dict.fromkeys(row["gain"], bits / 100)}
        (place / "result.json").write_text(json.dumps(changed))
    table, _ = paper_table(5, tmp_path)
    assert list(table.columns[4].cells)[:5] == [f"{row['unfiltered']['x2'] + bits / 100:.2f}" for bits in (8, 7, 6, 5, 4)]
    assert list(table.columns[1].cells) == [f"{VDSR_PSNR[key][0]:.2f}" for key in (8, 7, 6, 5, 4, "float32")]
    # Table 6 needs what codec-bridge compare writes.
    place = tmp_path / "q22/seed1/brelu"
    place.mkdir(parents=True)
    (place / "result.json").write_text(json.dumps(row | {"method": "brelu 8/7", "network": "vrcnn", "bytes": 55174}))
    with pytest.raises(VrcnnError, match="has no BD-rate of brelu 8/7"):
        paper_table(6, tmp_path)
    rates = {"rates": {"brelu 8/7": [-4.0, -5.0]}, "sequences": ["a"], "qps": [22, 37], "codec": "x265"}
    (tmp_path / comparison.RATES).write_text(json.dumps(rates))
    table, differences = paper_table(6, tmp_path)
    assert list(table.columns[3].cells) == ["-4.50 ±0.50", "55"]
    assert "x265 at QP 22, 37 on a" in differences
    with pytest.raises(VrcnnError, match="no command for Table 9"):
        paper_table(9, tmp_path)
