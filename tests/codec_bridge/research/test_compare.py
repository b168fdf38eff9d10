"""The comparison of methods: training, measuring, going on, and what the C library adds. Needs the train extra."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from skimage import data
from skimage.io import imsave
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")

from codec_bridge.evaluation import cluster
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings
from codec_bridge.evaluation.store import Store
from codec_bridge.report.document import Flag, Mean, Means, Summary
from codec_bridge.report.summary import summarise
from codec_bridge.research import compare as exactness
from codec_bridge.video.catalogue import resolve
from tests.support.models import random_network, shipped
from tests.vrcnn_int.training.test_train import TINY, pair_file  # noqa: F401
from vrcnn_int.cli.commands import app
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import IntegerNetwork, ModelSet, filter_plane
from vrcnn_int.io import pairs
from vrcnn_int.models import builtin_path, float_path
from vrcnn_int.network import load_float_networks
from vrcnn_int.research import comparison, measure
from vrcnn_int.research.compare import FLOATS, METHODS, run
from vrcnn_int.research.extended import ExtendedNetwork
from vrcnn_int.training.settings import TrainSettings

torch.set_num_threads(1)

CHOSEN = ["float", "brelu 8/7", "tqt 8/7", "affine 8/8"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[comparison.Row]]:
    """(pair file, folder, rows) of a comparison of some steps."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(1)
    ramp = np.add.outer(np.arange(48), np.arange(40)) + 60
    made = [(np.clip(ramp + rng.normal(0, 4, ramp.shape), 0, 255).astype(np.uint8), ramp.astype(np.uint8)) for _ in range(2)]
    pairs.write(folder / "pairs.npz", made, {"qp": 32, "position": "before_deblocking"})
    rows = run([folder / "pairs.npz"], [folder / "pairs.npz"], folder / "out", CHOSEN, [1, 2], TINY)
    return folder / "pairs.npz", folder / "out", rows


def test_rows_say_what_was_measured(finished: tuple[Path, Path, list[comparison.Row]]) -> None:
    pair_path, folder, rows = finished
    file = pairs.read(pair_path)
    assert [(row["method"], row["seed"]) for row in rows] == [(name, seed) for seed in (1, 2) for name in CHOSEN]
    for place, row in comparison.results(folder):
        assert row["run"]["settings"] == asdict(replace(TINY, seed=row["seed"], bound_rule=row["run"]["settings"]["bound_rule"]))
        assert row["run"]["training"] == [file.md5]
        if row["method"] == "float":
            assert not row["integer_only"]
            assert row["bytes"] == 4 * (54512 + 161)
            continue
        # Measured again from the files, by hand.
        network = measure.load(place / row["model"])
        outputs = [measure.filtered(network, plane) for plane in file.recon]
        before, after = (
            np.mean([10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)) for a, b in zip(planes, file.original, strict=True)])
            for planes in (file.recon, outputs)
        )
        assert row["gain"]["QP 32"] == pytest.approx(after - before)
        assert row["unfiltered"]["QP 32"] == pytest.approx(before, abs=1e-4)
        assert row["integer_only"]
        assert row["exact"]["values"] > 10_000
        assert row["steps"] == 6 + 3 + 3
        assert isinstance(network, ExtendedNetwork if row["method"] == "affine 8/8" else IntegerNetwork)
        assert row["runs_in"] == ("oracle" if row["method"] == "affine 8/8" else "C library")
        assert bool(row["reason"]) == (row["method"] == "affine 8/8")
    # The integer network is close to the fake-quantized one, which is what was trained.
    assert all(abs(row["gain"]["QP 32"] - row["fake_quantized"]["QP 32"]) < 0.1 for row in rows if row["method"] != "float")


def test_methods_of_one_seed_start_from_the_same_float_network(finished: tuple[Path, Path, list[comparison.Row]]) -> None:
    _, _, rows = finished
    gains = {(row["seed"], row["method"]): row["float"]["QP 32"] for row in rows}
    assert gains[1, "tqt 8/7"] == gains[1, "affine 8/8"] == gains[1, "float"] != gains[2, "float"]
    assert gains[1, "brelu 8/7"] != gains[1, "float"]


def test_finished_results_are_kept_and_others_refused(
    finished: tuple[Path, Path, list[comparison.Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair_path, folder, rows = finished
    with monkeypatch.context() as patch:
        patch.setattr("vrcnn_int.research.compare.fine_tune", lambda *_: pytest.fail("trained again"))
        patch.setattr("vrcnn_int.research.compare.train", lambda *_: pytest.fail("trained again"))
        assert run([pair_path], [pair_path], folder, CHOSEN, [1, 2], TINY) == rows
    for settings, names, message in (
        (replace(TINY, bound_steps=4), ["tqt 8/7"], "other settings or pair files"),
        (replace(TINY, bound_steps=4), ["tqt 4/7"], "other settings or pair files"),
        (replace(TINY, minutes=1.0), ["tqt 8/7"], "same number of steps"),
        (TINY, ["tqt 9/9"], "unknown method 'tqt 9/9'"),
    ):
        with pytest.raises(VrcnnError, match=message):
            run([pair_path], [pair_path], folder, names, [1], settings)
    again = json.loads((folder / "compare.json").read_text())
    assert again["rows"] == rows
    assert again["provenance"]["threads"] == 1
    with pytest.raises(VrcnnError, match="holds no results"):
        list(comparison.results(folder / "q32"))


def test_validation_of_another_qp_is_refused(finished: tuple[Path, Path, list[comparison.Row]], tmp_path: Path) -> None:
    pair_path, _, _ = finished
    file = pairs.read(pair_path)
    pairs.write(tmp_path / "other.npz", zip(file.recon, file.original, strict=True), {"qp": 22, "position": "before_deblocking"})
    with pytest.raises(VrcnnError, match="no validation file of QP 32"):
        run([pair_path], [tmp_path / "other.npz"], tmp_path / "out", ["float"], [1], TINY)


def test_the_command_prints_the_table(finished: tuple[Path, Path, list[comparison.Row]]) -> None:
    pair_path, folder, _ = finished
    defaults = TrainSettings()
    options = [f"{k}={v}" for k, v in asdict(TINY).items() if v != getattr(defaults, k)]
    words = ["compare", str(pair_path), "--validate", str(pair_path), "--out", str(folder), "--seeds", "1,2"]
    words += ["--methods", ",".join(CHOSEN), *(word for option in options for word in ("--set", option))]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert {"oracle", "C", "torch"} <= {word for line in lines for word in line}
    assert "affine 8/8: oracle only, layer 1, branch 1: weights have a zero point" in result.output
    result = CliRunner().invoke(app, [*words[:-2], "--seeds", "one"])
    assert isinstance(result.exception, VrcnnError)


def test_the_c_library_is_compared_not_asserted(finished: tuple[Path, Path, list[comparison.Row]], monkeypatch: pytest.MonkeyPatch) -> None:
    pair_path, folder, _ = finished
    file = pairs.read(pair_path)
    rows, more = exactness.columns(folder, [file])
    assert len(rows) == 8
    assert set(more["exact"]) == {"brelu 8/7", "tqt 8/7"}
    samples = 2 * sum(plane.size for plane in file.recon)
    assert all(text.startswith("yes: ") and text.endswith(f"{samples} samples") for text in more["exact"].values())
    # A kernel that gives other samples is named. (The kept result is for other kernels' names.)
    real = exactness.Filter.filter_plane

    def wrong(self: exactness.Filter, plane: np.ndarray, *rest: int) -> np.ndarray:
        return real(self, plane, *rest) ^ np.uint8(self.kernel == "scalar")

    monkeypatch.setattr(exactness.Filter, "filter_plane", wrong)
    for path in folder.glob("q*/seed*/*/exact.json"):
        path.unlink()
    assert exactness.columns(folder, [file])[1]["exact"]["tqt 8/7"] == "NO: scalar"
    for path in folder.glob("q*/seed*/*/exact.json"):
        path.unlink()
    with pytest.raises(VrcnnError, match="no pair file of QP 32"):
        exactness.columns(folder, [])


def test_bd_rate_is_that_of_the_methods_networks_as_one_set(tmp_path: Path) -> None:
    """Shipped networks as results of a comparison: the BD-rate is what an evaluation of them as one set gives."""
    rng = np.random.default_rng(6)
    held_out = []
    models = ModelSet(shipped().networks[:4])
    models.save(tmp_path / "set.vrcnn")
    for network in models.networks:
        place = tmp_path / f"out/q{network.qp}/seed1/brelu_8-7"
        place.mkdir(parents=True)
        measure.save(network, place / "model.vrcnn")
        row = {"method": "brelu 8/7", "qp": network.qp, "seed": 1, "runs_in": "C library", "model": "model.vrcnn", "network": "vrcnn"}
        row |= {"run": {}, "parameters": 1, "training_samples": 1, "bytes": 1, "integer_only": True, "steps": 1, "seconds": 1.0}
        row |= {"float": {}, "unfiltered": {}, "gain": {}, "exact": None}
        (place / "result.json").write_text(json.dumps(row))
        plane = rng.integers(0, 256, (20, 20)).astype(np.uint8)
        held_out.append(pairs.PairFile([plane], [plane], {"qp": network.qp}))
    (tmp_path / "clip").mkdir()
    imsave(tmp_path / "clip/a.png", data.astronaut()[:96, 160:288])
    sequences = resolve(str(tmp_path / "clip"))
    settings = Settings()
    _, more = exactness.columns(tmp_path / "out", held_out, sequences, settings)
    assert more["exact"]["brelu 8/7"].endswith(f"{4 * 400} samples")
    rates = json.loads((tmp_path / "out" / comparison.RATES).read_text())
    assert ModelSet.load(tmp_path / "out/brelu_8-7-seed1.vrcnn").identity == models.identity
    plan = Plan(tuple(sequences), (replace(settings, variants=("anchor", "integer"), model=tmp_path / "set.vrcnn"),))
    direct = summarise(cluster.evaluate(plan, Store(tmp_path / "direct")).rows).means[0].variants["integer"].bd_rate_y
    assert rates["rates"] == {"brelu 8/7": [direct]}
    assert more["BD-rate, %"] == {"brelu 8/7": f"{direct:+.2f}"}
    assert rates["sequences"] == [sequence.name for sequence in sequences]


def test_warnings_of_curves_are_passed_on_and_errors_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outlier among the sequences says something of the method; a curve without figure says nothing."""
    place = tmp_path / "q32"
    place.mkdir()
    measure.save(shipped().networks[2], place / "model.vrcnn")
    rows = [(place, {"method": "tqt 4/7", "qp": 32, "seed": 1, "runs_in": "C library", "model": "model.vrcnn"})]
    imsave(tmp_path / "a.png", data.astronaut()[:96, 160:288])
    flag = Flag("warning", "a", "x265", "ai", "integer", None, "an outlier")
    rate = Mean(bd_rate_y=4.5, sequences=1, encode_time=None, decode_time=None, kmac_per_sample=None, gains_y=[])
    summary = Summary([], [], [Means(None, "x265", "ai", {"integer": rate})], [flag])
    monkeypatch.setattr(exactness.cluster, "evaluate", lambda *_, **__: SimpleNamespace(rows=[]))
    monkeypatch.setattr(exactness, "summarise", lambda *_: summary)
    said: list[str] = []
    sequences = resolve(str(tmp_path / "a.png"))
    assert exactness.bd_rates(tmp_path, rows, sequences, Settings(), said.append) == {"tqt 4/7": [4.5]}
    assert said == ["tqt 4/7, seed 1: a, x265 ai, integer: an outlier"]
    summary.flags[0] = replace(flag, severity="error")
    with pytest.raises(VrcnnError, match="tqt 4/7, seed 1: a, x265 ai, integer: an outlier"):
        exactness.bd_rates(tmp_path, rows, sequences, Settings(), said.append)


def test_sizes_count_the_bits_that_weights_have() -> None:
    network = shipped().networks[0]
    weights = [sum(b.weights.size for b in layer) for layer in network.layers]
    rest = 4 * 161 + 3 * 6
    assert measure.parameter_bytes(network) == sum(weights) + rest
    assert measure.parameter_bytes(network, 2) == weights[0] + weights[3] + (weights[1] + weights[2]) // 4 + rest
    assert len(ModelSet((network,)).to_bytes()) == pytest.approx(measure.parameter_bytes(network), abs=150)


def test_a_float_left_somewhere_is_found() -> None:
    network = random_network(np.random.default_rng(1))
    assert measure.integer_only(network)
    branch = network.layers[0][0]
    for change in ({"bias": branch.bias.astype(np.float32)}, {"multiplier": 2.5}):
        assert not measure.integer_only(replace(network, layers=((replace(branch, **change),), *network.layers[1:])))
    assert not measure.integer_only(load_float_networks(float_path(builtin_path()))[0][0])


def test_a_difference_between_the_oracles_ways_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(np.random.default_rng(2))
    plane = np.random.default_rng(3).integers(0, 256, (30, 40)).astype(np.uint8)
    assert measure.computed_alike(network, plane) == 24 * 24 * (64 + 48 + 48 + 1)
    real = measure.integer.accumulate_int64
    monkeypatch.setattr(measure.integer, "accumulate_int64", lambda x, b: real(x, b) + (b.kernel == 1) * 5000)
    with pytest.raises(VrcnnError, match="differ in step 2"):
        measure.computed_alike(network, plane)


def test_gains_are_of_filtered_pictures() -> None:
    rng = np.random.default_rng(4)
    network = random_network(rng)
    recon = [rng.integers(0, 256, (24, 24)).astype(np.uint8) for _ in range(2)]
    original = [filter_plane(network, plane, 8) for plane in recon]
    for plane in original:
        plane[5, 7] ^= 1  # equal pictures have no PSNR
    found = measure.integer_gain(network, pairs.PairFile(recon, original, {"qp": 32}))
    assert found.psnr + found.gain == pytest.approx(10 * np.log10(255**2 * 24 * 24))
    assert measure.label(pairs.PairFile([], [], {"qp": 32})) == "QP 32"
    assert measure.label(pairs.PairFile([], [], {"qp": 0, "factor": 3})) == "x3"


def test_every_method_has_a_name_that_a_folder_can_have() -> None:
    assert len(set(METHODS) | set(FLOATS)) == len(METHODS) + 2
    for name, make in METHODS.items():
        quantizer = make()
        weights, activations = name.split()[1].split("/")
        assert name.startswith(quantizer.name)
        assert (quantizer.weight_bits, quantizer.activation_bits) == (int(weights), int(activations))
