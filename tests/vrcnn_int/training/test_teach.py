"""Distillation: widened networks, orientations, dither, and pair files of teachers. Needs the train extra."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")

from vrcnn_int.cli.commands import app
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io import pairs
from vrcnn_int.models import builtin_path, float_path
from vrcnn_int.network import NETWORKS, VDSR, VRCNN, VRCNN_WIDE, Architecture, load_float_networks, save_float_networks, widened
from vrcnn_int.training.module import Network, filter_plane_float, module_from
from vrcnn_int.training.sampling import Patches, Sampling
from vrcnn_int.training.start import begin_with
from vrcnn_int.training.teach import dithered, ensemble, plane_output, teach, turned, turned_back

SHIPPED = load_float_networks(float_path(builtin_path()))[0][3]


def picture(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 200, (height, width)).astype(np.uint8)


def test_every_orientation_is_undone_and_differs_from_the_others() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    seen = {(tuple(turned(x, turn).shape), tuple(turned(x, turn).flatten().tolist())) for turn in range(8)}
    assert len(seen) == 8
    assert all(torch.equal(turned_back(turned(x, turn), turn), x) for turn in range(8))


def test_dither_keeps_the_mean_and_whole_values() -> None:
    values = np.full((300, 300), 10.3)
    result = dithered(values, 0, 1)
    assert set(np.unique(result)) == {10, 11}
    assert abs(result.mean() - 10.3) < 0.01
    assert not np.array_equal(result, dithered(values, 1, 1))  # another picture, other dither
    whole = picture(1).astype(np.float64)
    assert np.array_equal(dithered(whole, 0, 1), whole)
    assert dithered(np.full((4, 4), 255.0), 0, 1).max() == 255


def test_the_teacher_is_the_mean_over_networks_and_orientations() -> None:
    plane = picture(2)
    plain = replace(SHIPPED, tuning=None)
    one = ensemble([module_from(plain).eval()], plane, 1)
    # bf16 against fp32, and without the rounding to whole samples
    assert np.abs(one - filter_plane_float(plain, plane, 8)).max() < 1.5
    views = []
    for turn in range(8):
        view = np.ascontiguousarray(turned(torch.from_numpy(plane), turn).numpy())
        views.append(turned_back(torch.from_numpy(ensemble([module_from(plain).eval()], view, 1)), turn).numpy())
    np.testing.assert_allclose(ensemble([module_from(plain).eval()], plane, 8), np.mean(views, axis=0), atol=0.02)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_taught_originals_are_the_mixture(share: float) -> None:
    source = pairs.PairFile([picture(3)], [picture(4)], {"qp": 37, "position": SHIPPED.position})
    result, before, gain = teach(source, [SHIPPED], share, 2)
    wanted = share * ensemble([module_from(replace(SHIPPED, tuning=None)).eval()], source.recon[0], 2) + (1 - share) * source.original[0]
    assert np.abs(result.original[0] - wanted).max() < 1
    assert np.array_equal(result.recon[0], source.recon[0])
    assert result.coding_errors == source.coding_errors == [pytest.approx(np.mean((picture(3).astype(float) - picture(4)) ** 2))]
    assert result.meta["taught"] == {"teachers": [SHIPPED.identity], "share": share, "orientations": 2, "seed": 1}
    assert before == pytest.approx(10 * np.log10(255**2 / np.mean((picture(3).astype(float) - picture(4)) ** 2)))
    filtered = ensemble([module_from(replace(SHIPPED, tuning=None)).eval()], source.recon[0], 2)
    assert before + gain == pytest.approx(10 * np.log10(255**2 / np.mean((filtered - picture(4)) ** 2)), abs=1e-3)


def test_a_teacher_of_another_position_is_refused() -> None:
    source = pairs.PairFile([picture(3)], [picture(4)], {"qp": 37, "position": "after_sao"})
    with pytest.raises(VrcnnError, match="after_sao"):
        teach(source, [SHIPPED])


def test_tuned_teachers_and_unknown_devices_are_refused() -> None:
    source = pairs.PairFile([picture(3)], [picture(4)], {"qp": 37, "position": SHIPPED.position})
    with pytest.raises(VrcnnError, match="stage 1"):
        teach(source, [replace(SHIPPED, tuning={"levels": 127})])
    with pytest.raises(VrcnnError, match="no device tpu"):
        teach(source, [SHIPPED], device="tpu")


@pytest.mark.parametrize("name", [name for name, architecture in NETWORKS.items() if architecture.kind == "luma"])
def test_the_fast_forward_pass_is_the_module(name: str) -> None:
    torch.manual_seed(3)
    module = Network(NETWORKS[name], (0.3,) * (len(NETWORKS[name].layers) - 1), 37, "before_deblocking").eval()
    x = torch.rand(1, 1, 38, 45) - 0.5
    with torch.no_grad():
        torch.testing.assert_close(plane_output(module, x, torch.float32), module(x), atol=1e-6, rtol=1e-4)


def test_a_widened_network_is_the_same_function_and_its_copies_learn_apart() -> None:
    wide = widened(replace(SHIPPED, tuning=None), VRCNN_WIDE)
    assert wide.architecture == VRCNN_WIDE
    x = torch.rand(1, 1, 40, 44) - 0.5
    modules = [module_from(replace(SHIPPED, tuning=None)), module_from(wide)]
    with torch.no_grad():
        torch.testing.assert_close(modules[1](x), modules[0](x), atol=2e-6, rtol=1e-4)
    modules[1](x).square().sum().backward()
    gradient = modules[1].convolutions()[0][0].weight.grad
    assert not torch.allclose(gradient[0], gradient[1], rtol=1e-3)
    start = Network(NETWORKS["vrcnn-wide"], SHIPPED.bounds, 37, SHIPPED.position)
    begin_with(start, replace(SHIPPED, tuning=None))
    with torch.no_grad():
        torch.testing.assert_close(start(x), modules[0](x), atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("architecture", [VDSR, Architecture(VRCNN_WIDE.layers[:-1]), replace(VRCNN, kind="joint")])
def test_other_architectures_are_not_widenings(architecture: Architecture) -> None:
    with pytest.raises(VrcnnError, match="multiples"):
        widened(SHIPPED, architecture)
    with pytest.raises(VrcnnError, match="multiples"):
        widened(widened(SHIPPED, VRCNN_WIDE), VRCNN)


def test_pictures_are_weighed_by_their_own_errors_and_a_packed_subset_keeps_them(tmp_path: Path) -> None:
    recon = [picture(5), picture(6)]
    source = pairs.PairFile(recon, [recon[0] ^ 1, recon[1] ^ 4], {"qp": 37, "position": SHIPPED.position})
    taught, *_ = teach(source, [SHIPPED], orientations=1)
    sampling = Sampling(1, 2, 16, 0, False, 0.0, 1.0)
    weights = [Patches([file], sampling, "cpu").weights for file in (source, taught)]
    assert np.array_equal(*weights)
    assert weights[0][0] == pytest.approx(16 * weights[0][1])
    pairs.pack(taught, tmp_path / "packed.npz", 4096 + 1000 + 4000)
    packed = pairs.read(tmp_path / "packed.npz")
    kept = [number for number in (0, 1) if np.array_equal(packed.recon[0], source.recon[number])]
    assert packed.coding_errors == [source.coding_errors[number] for number in kept]
    assert len(packed.recon) == 1


def test_command_writes_a_pair_file_that_trains(tmp_path: Path) -> None:
    pairs.write(tmp_path / "t.npz", [(picture(1), picture(2))], {"qp": 37, "position": SHIPPED.position})
    save_float_networks(tmp_path / "teacher.npz", [replace(SHIPPED, tuning=None)])
    run = CliRunner().invoke
    command = ["teach", str(tmp_path / "t.npz"), "--teacher", str(tmp_path / "teacher.npz"), "--out", str(tmp_path / "d.npz")]
    result = run(app, [*command, "--orientations", "1"])
    assert result.exit_code == 0, result.output
    settings = ["float_steps=2", "weight_steps=1", "bound_steps=1", "batch=2", "patch=16", "precision=fp32"]
    training = ["train", str(tmp_path / "d.npz"), "--validate", str(tmp_path / "t.npz"), "--out", str(tmp_path / "run")]
    result = run(app, training + [word for setting in settings for word in ("--set", setting)])
    assert result.exit_code == 0, result.output
    (network,), _ = load_float_networks(tmp_path / "run" / "tuned.npz")
    assert network.provenance["taught"][0]["teachers"] == [SHIPPED.identity]
