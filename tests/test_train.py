"""Bounded ReLU in torch, the module's three forms, and training from pairs to a model set. Needs the train extra."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")

from vrcnn_int import integer, pairs  # noqa: E402
from vrcnn_int.bounds import geometric_progression  # noqa: E402
from vrcnn_int.brelu import BReLU, brelu_backward, brelu_forward, quantized_brelu_forward  # noqa: E402
from vrcnn_int.cli import read_run  # noqa: E402
from vrcnn_int.errors import VrcnnError  # noqa: E402
from vrcnn_int.integer import ModelSet  # noqa: E402
from vrcnn_int.models import builtin_path, float_path  # noqa: E402
from vrcnn_int.module import Network, filter_plane_float, module_from  # noqa: E402
from vrcnn_int.network import VRCNN, load_float_networks, save_float_networks  # noqa: E402
from vrcnn_int.quantize import make_plan, to_integer  # noqa: E402
from vrcnn_int.train import Patches, TrainSettings, train  # noqa: E402

TINY = TrainSettings(
    float_steps=6, weight_steps=3, bound_steps=3, batch=2, patch=16, log_every=1, validate_every=4, checkpoint_every=2, precision="fp32"
)


@pytest.fixture
def pair_file(tmp_path: Path) -> Path:
    """Smooth pictures with noise: something a network can learn."""
    rng = np.random.default_rng(1)
    ramp = np.add.outer(np.arange(48), np.arange(40)) + 60
    made = [(np.clip(ramp + rng.normal(0, 4, ramp.shape), 0, 255).astype(np.uint8), ramp.astype(np.uint8)) for _ in range(3)]
    pairs.write(tmp_path / "pairs.npz", made, {"qp": 32, "position": "before_deblocking"})
    return tmp_path / "pairs.npz"


def test_brelu_and_its_gradient() -> None:
    x = torch.tensor([-1.0, 0.0, 0.3, 1.0, 1.5], requires_grad=True)
    assert brelu_forward(x, 1.0).tolist() == pytest.approx([0, 0, 0.3, 1, 1])
    assert brelu_backward(x, torch.ones(5), 1.0).tolist() == [0, 0, 1, 1, 0]
    BReLU(1.0)(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 1, 0]


def test_brelu_gradient_is_the_numerical_one_away_from_the_corners() -> None:
    x = torch.tensor([-0.7, 0.2, 0.9, 1.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(BReLU(1.0), (x,))


def test_quantized_brelu_has_128_levels_and_a_straight_through_gradient() -> None:
    x = torch.linspace(-0.5, 1.5, 10_001, requires_grad=True)
    y = BReLU(1.0, 127)(x)
    assert len(torch.unique(y)) == 128
    assert (y - x.clamp(0, 1)).abs().max() <= 0.5 / 127 + 1e-6
    y.sum().backward()
    assert x.grad[4000] == 1
    assert x.grad[100] == x.grad[-100] == 0
    # Half up, as the integer filter: 0.5 steps become 1.
    assert quantized_brelu_forward(torch.tensor([0.5]), 127.0, 127).item() == 1


def test_valid_patches_are_the_inside_of_padded_ones() -> None:
    torch.manual_seed(1)
    module = Network(VRCNN, geometric_progression(20, 4), 32, "before_deblocking")
    x = torch.rand(2, 1, 40, 36) - 0.5
    with torch.no_grad():
        torch.testing.assert_close(module(x, valid=True), module(x)[:, :, 6:-6, 6:-6])


def test_discretized_weights_are_steps_and_pass_their_gradient_on() -> None:
    torch.manual_seed(1)
    module = Network(VRCNN, geometric_progression(20, 4), 32, "before_deblocking")
    module.discretize_weights()
    conv = module.convolutions()[1][0]
    steps = conv.forward_weight() / (conv.weight.detach().abs().max() / 127)
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    conv.forward_weight().sum().backward()
    assert (conv.weight.grad == 1).all()


def test_frozen_steps_hold_the_weights_and_the_ratios() -> None:
    torch.manual_seed(2)
    module = Network(VRCNN, geometric_progression(20, 4), 32, "before_deblocking")
    module.quantize_bounds()
    conv = module.convolutions()[1][1]
    with torch.no_grad():
        conv.weight.mul_(3)
    module.clamp_weights()
    exported = module.export()
    assert np.abs(exported.weights[1][1]).max() <= 127 * conv.step * (1 + 1e-6)
    assert np.abs(to_integer(exported).layers[1][1].weights.astype(int)).max() == 127


def test_quantized_module_is_the_integer_network_but_for_the_last_rounding() -> None:
    """In its bounded form the float module computes what the integer network does: same activations, same samples up to 1."""
    networks, _ = load_float_networks(float_path(builtin_path()))
    module = module_from(networks[3])
    module.quantize_bounds()
    exported = module.export()
    network = to_integer(exported)
    plane = np.clip(np.random.default_rng(1).normal(128, 20, (40, 44)), 0, 255).astype(np.uint8)
    seen = []
    for activation in module.activations:
        activation.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        residual = module.double()((torch.from_numpy(plane.astype(np.float64)) - 128)[None, None] / 255)[0, 0].numpy() * 255
    for output, expected, bound in zip(seen, integer.layer_outputs(network, plane, 8), exported.bounds, strict=True):
        difference = np.abs(output[0].numpy() / bound * 127 - expected)
        assert difference.max() <= 3.01  # differences of earlier layers add up
        assert (difference > 0.01).mean() < 0.05
    difference = np.abs(plane + residual - integer.filter_plane(network, plane, 8))
    assert np.percentile(difference, 99) <= 0.6


def test_float_filter_helps_10_bit_pictures_as_8_bit_ones() -> None:
    networks, _ = load_float_networks(float_path(builtin_path()))
    plane = np.random.default_rng(2).integers(40, 200, (32, 32)).astype(np.uint8)
    eight = filter_plane_float(networks[2], plane, 8)
    ten = filter_plane_float(networks[2], plane.astype(np.uint16) * 4, 10)
    assert ten.dtype == np.uint16
    assert np.abs(ten / 4 - eight).max() <= 0.51


@pytest.mark.parametrize("augment", [True, False])
def test_patches_show_input_and_target_of_one_place(augment: bool) -> None:
    """The original is the coded picture plus 1 for odd samples: so must every target be of its input."""
    recon = np.random.default_rng(3).integers(0, 255, (70, 90)).astype(np.uint8)
    file = pairs.PairFile([recon], [recon + recon % 2], {"qp": 22, "position": "before_deblocking"})
    inputs, targets = Patches([file], replace(TINY, augment=augment, batch=32), 6).batch()
    samples = np.round(inputs * 255 + 128).astype(int)[:, :, 6:-6, 6:-6]
    np.testing.assert_array_equal(np.round(targets * 255).astype(int), samples % 2)
    assert targets.shape == (32, 1, 16, 16)


def test_each_stage_trains_its_own_form(pair_file: Path, tmp_path: Path) -> None:
    """float: any weights. weights: forward weights are multiples of max|W| / 127. bounds: frozen steps and 128 levels."""
    seen: dict[str, tuple[float, int]] = {}
    original = Network.forward

    def watch(module: Network, x: torch.Tensor, valid: bool = False) -> torch.Tensor:
        if valid:
            conv = module.convolutions()[1][0]
            used = conv.forward_weight().detach()
            steps = used / (conv.step or float(conv.weight.detach().abs().max()) / 127)
            stages.append((float((steps - steps.round()).abs().max()), module.activations[0].levels))
        return original(module, x, valid)

    stages: list[tuple[float, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "forward", watch)
        train([pair_file], [pair_file], tmp_path, TINY, lambda stage, *_: seen.__setitem__(stage, stages[-1]))
    assert seen["float"][0] > 0.1
    assert seen["weights"][0] < 1e-3
    assert seen["bounds"][0] < 1e-3
    assert [seen[stage][1] for stage in ("float", "weights", "bounds")] == [0, 0, 127]


def test_results_of_another_run_are_not_mixed(pair_file: Path, tmp_path: Path) -> None:
    train([pair_file], [pair_file], tmp_path, TINY)
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(VrcnnError, match=r"float\.npz and tuned\.npz of another run"):
        train([pair_file], [pair_file], tmp_path, replace(TINY, seed=2))
    train([pair_file], [pair_file], tmp_path / "b", replace(TINY, seed=2))
    (tmp_path / "b/tuned.npz").write_bytes((tmp_path / "tuned.npz").read_bytes())
    with pytest.raises(VrcnnError, match="different runs"):
        read_run(tmp_path / "b")


def test_settings_that_no_run_can_have_are_refused(pair_file: Path, tmp_path: Path) -> None:
    for change, message in [
        ({"precision": "bfloat16"}, "precision 'bfloat16'"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"float_steps": 0}, "float_steps"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"bound_rule": "max"}, "bound_rule 'max'"),
        ({"residual": -1.0}, "above 0"),
        ({"rate": float("nan")}, "rate must be"),
        ({"seed": -1}, "seed"),
    ]:
        with pytest.raises(VrcnnError, match=message):
            train([pair_file], [pair_file], tmp_path / "run", replace(TINY, **change))
    found = pairs.read(pair_file)
    pairs.write(tmp_path / "after.npz", zip(found.recon, found.original, strict=True), {"qp": 32, "position": "after_sao"})
    with pytest.raises(VrcnnError, match="different positions"):
        train([pair_file, tmp_path / "after.npz"], [pair_file], tmp_path / "run", TINY)


def test_training_makes_a_model_set(pair_file: Path, tmp_path: Path) -> None:
    path = train([pair_file], [pair_file], tmp_path / "run", TINY)
    (network,), _ = load_float_networks(path)
    assert network.tuning is not None
    models = ModelSet((to_integer(network),))
    assert models.networks[0].qp == 32
    entries = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in entries if e["stage"] == "float" and "loss" in e] == [1, 2, 3, 4, 5, 6]
    assert {e["stage"] for e in entries if "validation_gain" in e} == {"float", "weights", "bounds"}


def losses(folder: Path) -> list[tuple[str, int, float, float]]:
    lines = (json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines())
    return [(e["stage"], e["step"], e["loss"], e["mean_loss"]) for e in lines if "loss" in e]


@pytest.mark.parametrize("stop", [("float", 3), ("float", 6), ("weights", 2), ("bounds", 1)])
def test_an_interrupted_run_goes_on_to_the_same_network(pair_file: Path, tmp_path: Path, stop: tuple[str, int]) -> None:
    import signal

    whole = train([pair_file], [pair_file], tmp_path / "whole", TINY)

    def interrupt(stage: str, step: int, *_: object) -> None:
        if (stage, step) == stop:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train([pair_file], [pair_file], tmp_path / "parts", TINY, interrupt)
    resumed = train([pair_file], [pair_file], tmp_path / "parts", TINY)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert load_float_networks(resumed)[0][0].identity == load_float_networks(whole)[0][0].identity


def test_other_settings_do_not_continue_a_run(pair_file: Path, tmp_path: Path) -> None:
    train([pair_file], [pair_file], tmp_path, TINY)
    with pytest.raises(VrcnnError, match="other settings"):
        train([pair_file], [pair_file], tmp_path, replace(TINY, batch=3))


def test_a_damaged_checkpoint_is_named(pair_file: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"nonsense")
    with pytest.raises(VrcnnError, match=r"checkpoint\.pt is damaged"):
        train([pair_file], [pair_file], tmp_path, TINY)


def test_n_sigma_and_quantile_bounds(pair_file: Path, tmp_path: Path) -> None:
    path = train([pair_file], [pair_file], tmp_path / "sigma", replace(TINY, bound_rule="n-sigma"))
    assert all(0 < bound < 10 for bound in load_float_networks(path)[0][0].bounds)
    path = train([pair_file], [pair_file], tmp_path / "quantile", replace(TINY, residual_quantile=0.99))
    assert all(0 < bound < 0.5 for bound in load_float_networks(path)[0][0].bounds)


def test_pictures_smaller_than_a_patch_are_refused(pair_file: Path, tmp_path: Path) -> None:
    with pytest.raises(VrcnnError, match="at least 60 samples"):
        train([pair_file], [pair_file], tmp_path, replace(TINY, patch=48))


def test_float_files_survive_and_damage_is_refused(tmp_path: Path) -> None:
    networks, meta = load_float_networks(float_path(builtin_path()))
    save_float_networks(tmp_path / "copy.npz", networks, meta)
    again, again_meta = load_float_networks(tmp_path / "copy.npz")
    assert [n.identity for n in again] == [n.identity for n in networks]
    assert again_meta["set"] == meta["set"]
    weights = list(networks[0].weights)
    weights[0] = (weights[0][0] + 1,)
    other = replace(networks[0], weights=tuple(weights))
    assert other.identity != networks[0].identity
    assert make_plan(other) != make_plan(networks[0])
    data = (tmp_path / "copy.npz").read_bytes()
    (tmp_path / "copy.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(VrcnnError, match="not a readable float network file"):
        load_float_networks(tmp_path / "copy.npz")


def test_pair_files_survive_and_damage_is_refused(pair_file: Path, tmp_path: Path) -> None:
    found = pairs.read(pair_file)
    assert found.qp == 32
    assert len(found.recon) == len(found.original) == 3
    with pytest.raises(VrcnnError, match="no pair file"):
        pairs.read(tmp_path / "missing.npz")
    data = pair_file.read_bytes()
    pair_file.write_bytes(data[: len(data) - 300])
    with pytest.raises(VrcnnError, match="not a readable pair file"):
        pairs.read(pair_file)
    with pytest.raises(VrcnnError, match="must match"):
        pairs.write(tmp_path / "x.npz", [(np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8))], {"qp": 1})
    assert not (tmp_path / "x.npz").exists()
