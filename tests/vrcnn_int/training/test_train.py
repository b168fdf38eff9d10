"""Bounded ReLU in torch, the module's three forms, and training from pairs to a model set. Needs the train extra."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")

from vrcnn_int import integer
from vrcnn_int.cli.commands import app
from vrcnn_int.cli.options import parse_settings
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.io import pairs
from vrcnn_int.models import builtin_path, float_path
from vrcnn_int.network import NETWORKS, VRCNN, Architecture, Convolution, FloatNetwork, load_float_networks, save_float_networks
from vrcnn_int.quantize import bounds
from vrcnn_int.quantize.bounds import geometric_progression
from vrcnn_int.quantize.plan import make_plan, to_integer
from vrcnn_int.research import ablation
from vrcnn_int.training.brelu import BReLU, InPlaceBReLU, brelu_backward, brelu_forward, quantized_brelu_forward
from vrcnn_int.training.loop import enough_memory, train
from vrcnn_int.training.module import Network, filter_plane_float, module_from
from vrcnn_int.training.runs import read_run
from vrcnn_int.training.sampling import Patches, Sampling
from vrcnn_int.training.settings import TrainSettings
from vrcnn_int.training.start import begin_with, fitting_start
from vrcnn_int.training.stepping import Averages, Muon, orthogonalized, rate_at, training_output
from vrcnn_int.training.team import Team, shares, unit_errors

torch.set_num_threads(1)  # sums of another number of threads differ in the last bits

TINY = TrainSettings(
    float_steps=6,
    weight_steps=3,
    bound_steps=3,
    batch=2,
    patch=16,
    log_every=1,
    validate_every=4,
    checkpoint_every=2,
    precision="fp32",
    average=0.0,
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


@pytest.mark.parametrize("kind", ["joint", "two branches"])
def test_layers_rounded_together_are_nearer_to_the_float_network(kind: str) -> None:
    torch.manual_seed(1)
    if kind == "joint":
        network = load_float_networks(float_path(builtin_path("joint_intra")), ("joint",))[0][0]
    else:
        layers = ((Convolution(6, 5),), (Convolution(4, 3), Convolution(4, 1)), (Convolution(1, 3),))
        network = Network(Architecture(layers), geometric_progression(20, 3), 22, "before_deblocking").export()
    rng = np.random.default_rng(1)
    brightness = rng.uniform(-0.4, 0.4, (3, 1, 1, 1)) + np.linspace(-0.1, 0.1, 48)[:, None]
    samples = brightness + rng.normal(0, 0.05, (3, network.weights[0][0].shape[1], 48, 48))
    inputs, unseen = (torch.from_numpy(samples.astype(np.float32)[..., part]) for part in (slice(32), slice(16, None)))
    exact, plain, together = (module_from(network) for _ in range(3))
    for module in (plain, together):
        module.quantize_bounds()
    together.round_layers([inputs])
    with torch.no_grad():
        errors = [float(((module(unseen, valid=True) - exact(unseen, valid=True)) ** 2).mean()) for module in (plain, together)]
    assert errors[1] < 0.75 * errors[0]
    for layer in together.convolutions():
        for conv in layer:
            steps = conv.weight.detach().double() / conv.step
            assert (steps - steps.round()).abs().max() < 1e-3
            assert steps.abs().max() < conv.levels + 1e-3


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
        assert difference.max() <= 6.01  # differences of earlier layers add up
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
    patches = Patches([file], Sampling(1, 32, 28, 6, augment, 0.0, 0.0), "cpu")
    cut = patches.cut(torch.from_numpy(patches.draw(0, 0)[0]))
    inputs, targets = cut.x.numpy(), cut.residual.numpy()
    samples = np.round(inputs * 255 + 128).astype(int)[:, :, 6:-6, 6:-6]
    np.testing.assert_array_equal(np.round(targets * 255).astype(int), samples % 2)
    assert targets.shape == (32, 1, 16, 16)


def test_neighbouring_qps_have_their_share_and_pictures_their_weight() -> None:
    """Files of one value each tell where a patch came from; the second picture's error is four times the first's."""
    meta = {"position": "before_deblocking"}
    flat = [np.full((30, 30), value, np.uint8) for value in (100, 110, 50)]
    own = pairs.PairFile(flat[:2], [flat[0] + 1, flat[1] + 2], {"qp": 32, **meta})
    other = pairs.PairFile(flat[2:], [flat[2] + 1], {"qp": 37, **meta})
    patches = Patches([own, other], Sampling(1, 1000, 28, 6, True, 0.25, 1.0), "cpu")
    places, weights = patches.draw(0, 0)
    weights = weights[:, 0]
    values = patches.cut(torch.from_numpy(places)).x[:, 0, 0, 0].numpy() * 255 + 128
    share = [(np.abs(values - value) < 0.5).mean() for value in (100, 110, 50)]
    assert share == pytest.approx([0.375, 0.375, 0.25], abs=0.05)
    assert weights[np.abs(values - 100) < 0.5].mean() == pytest.approx(4 * weights[np.abs(values - 110) < 0.5].mean())
    with pytest.raises(VrcnnError, match="all training pairs are of one QP"):
        Patches([own], Sampling(1, 1, 28, 6, True, 0.25, 1.0), "cpu")


def test_patches_depend_on_seed_stage_and_step_alone() -> None:
    recon = np.random.default_rng(3).integers(0, 255, (70, 90)).astype(np.uint8)
    file = pairs.PairFile([recon], [recon], {"qp": 22, "position": "before_deblocking"})
    first, second = (Patches([file], Sampling(seed, 8, 28, 6, True, 0.0, 0.0), "cpu") for seed in (1, 2))
    first.draw(0, 3)
    drawn = first.draw(0, 4)[0]
    np.testing.assert_array_equal(drawn, Patches([file], first.sampling, "cpu").draw(0, 4)[0])
    for other in (first.draw(1, 4), first.draw(0, 5), second.draw(0, 4)):
        assert (drawn != other[0]).any()


def test_the_fast_forward_pass_is_the_modules() -> None:
    torch.manual_seed(1)
    module = Network(VRCNN, geometric_progression(20, 4), 32, "before_deblocking")
    x = torch.rand(2, 1, 40, 36) - 0.5
    for form in (lambda: None, module.discretize_weights, module.quantize_bounds):
        form()
        torch.testing.assert_close(training_output(module, x, torch.float32), module(x, valid=True), atol=2e-5, rtol=0)
        torch.testing.assert_close(training_output(module, x, torch.float32, valid=False), module(x), atol=2e-5, rtol=0)
    gradient = torch.autograd.grad(training_output(module, x, torch.float32).square().sum(), module.convolutions()[0][0].weight)
    expected = torch.autograd.grad(module(x, valid=True).square().sum(), module.convolutions()[0][0].weight)
    torch.testing.assert_close(gradient, expected, atol=1e-2, rtol=1e-2)


def test_learning_rates() -> None:
    rates = [rate_at(step, 100, 2.0, "cosine", 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert 0 < rates[99] < 0.001
    rates = [rate_at(step, 100, 2.0, "trapezoid", 0.1) for step in range(100)]
    assert rates[9:71] == [2.0] * 62
    assert rates[85] == pytest.approx(1.0)
    assert [rate_at(step, 100, 2.0, "constant", 0.0) for step in (0, 1, 99)] == [2.0] * 3


def test_averages_follow_and_are_lent() -> None:
    module = torch.nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(1.0)
        averages = Averages(module, 0.75)
        module.weight.fill_(5.0)
        averages.update()
        with averages.applied():
            assert module.weight.item() == 2.0
        assert module.weight.item() == 5.0
        averages.adopt()
        assert module.weight.item() == 2.0
        off = Averages(module, 0.0)
        module.weight.fill_(7.0)
        off.update()
        with off.applied():
            assert module.weight.item() == 7.0


def test_muon_turns_a_gradient_into_a_rotation() -> None:
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(16, 40)))
    assert 0.6 < values.min() < values.max() < 1.3
    weight = torch.nn.Parameter(torch.zeros(16, 10, 2, 2))
    weight.grad = torch.randn(16, 10, 2, 2)
    Muon([weight], 0.5).step()
    assert weight.detach().square().mean().sqrt() == pytest.approx(0.5 * 0.2, rel=0.2)
    assert (weight.detach() * weight.grad).sum() < 0


def test_each_stage_trains_its_own_form(pair_file: Path, tmp_path: Path) -> None:
    """float: any weights. weights: forward weights are multiples of max|W| / 127. bounds: frozen steps and 128 levels."""
    seen: dict[str, tuple[float, int]] = {}
    original = Network.forward

    def watch(module: Network, x: torch.Tensor, valid: bool = False, inside: torch.Tensor | None = None) -> torch.Tensor:
        if valid:
            conv = module.convolutions()[1][0]
            used = conv.forward_weight().detach()
            steps = used / (conv.step or float(conv.weight.detach().abs().max()) / 127)
            stages.append((float((steps - steps.round()).abs().max()), module.activations[0].levels))
        return original(module, x, valid, inside)

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


def test_no_weight_stands_out_under_a_limit(pair_file: Path, tmp_path: Path) -> None:
    def largest(limit: float) -> list[float]:
        """max|W| / rms(W) of each branch: at the end of stage 1, and of the weight steps (max|W| / 127) that stage 3 has frozen."""
        folder = tmp_path / f"limit{limit}"
        train([pair_file], [pair_file], folder, replace(TINY, weight_limit=limit))
        (floats,), (tuned,) = (load_float_networks(folder / name)[0] for name in ("float.npz", "tuned.npz"))
        assert tuned.tuning is not None
        found = [float(np.abs(weight).max() / np.sqrt(np.mean(weight**2))) for layer in floats.weights for weight in layer]
        for layer, steps in zip(tuned.weights, tuned.tuning["branches"], strict=True):
            found += [float(127 * Fraction(step[0])) / float(np.sqrt(np.mean(w**2))) for w, step in zip(layer, steps, strict=True)]
        return found

    assert max(largest(0.0)) > 3
    # A clamped tensor's root mean square falls a little with its largest weights. The last layer's step is what makes 255 of its ratio.
    assert max(largest(2.0)) < 2.3


@pytest.mark.parametrize("held", [True, False])
def test_the_first_layer_stays_as_it_was_rounded(pair_file: Path, tmp_path: Path, held: bool) -> None:
    train([pair_file], [pair_file], tmp_path / "run", replace(TINY, hold_first_layer=held, tuning_rate=0.02))
    (floats,), (tuned,) = (load_float_networks(tmp_path / "run" / name)[0] for name in ("float.npz", "tuned.npz"))
    before, after = floats.weights[0][0], tuned.weights[0][0]
    steps = after / (np.abs(before).max() / 127)
    assert (np.abs(steps - np.round(steps)).max() < 1e-3) == held
    assert not np.array_equal(floats.weights[1][0], tuned.weights[1][0])
    if held:
        assert (np.round(steps) != np.round(before / np.abs(before).max() * 127)).any(), "rounded one by one"
        assert (to_integer(tuned).layers[0][0].weights == np.round(steps)).all()


def test_only_the_first_layers_activations_are_rounded_in_stage_1(pair_file: Path, tmp_path: Path) -> None:
    """What lies between two steps has a gradient as well."""
    module = Network(VRCNN, geometric_progression(20, 4), 32, "before_deblocking")
    module.round_first_activations()
    seen: list[torch.Tensor] = []
    for layer in module.convolutions()[1:]:
        layer[0].register_forward_pre_hook(lambda _conv, read: seen.append(read[0]))
    module(torch.rand(1, 1, 24, 24) - 0.5)
    off_grid = []
    for values, activation in zip(seen, module.activations, strict=True):
        steps = values.detach() * 127 / activation.bound
        off_grid.append(float((steps - steps.round()).abs().max()))
    assert off_grid[0] < 1e-3
    assert min(off_grid[1:]) > 0.1
    between = torch.full((1, 1, 1, 1), 0.2 / 127, requires_grad=True)
    rounded = InPlaceBReLU.apply(between * 1, 1.0, 127, ())
    rounded.sum().backward()
    assert (rounded.item(), between.grad) == (0, 1)

    found = []
    for rounds in (False, True):
        run = train([pair_file], [pair_file], tmp_path / str(rounds), replace(TINY, round_first_activations=rounds), stages=("float",))
        found.append(load_float_networks(run)[0][0].weights[1][0])
    assert not np.array_equal(*found)


def test_stage_3_begins_with_layers_rounded_together(pair_file: Path, tmp_path: Path) -> None:
    settings = replace(TINY, weight_steps=1, bound_steps=1, tuning_rate=1e-9, tuning_average=0.0)
    found = {}
    for together in (False, True):
        train([pair_file], [pair_file], tmp_path / str(together), replace(settings, round_layers=together))
        ((floats,), (tuned,)) = (load_float_networks(tmp_path / str(together) / name)[0] for name in ("float.npz", "tuned.npz"))
        moved = [np.abs(a - b).max() for a, b in zip(floats.biases[1], tuned.biases[1], strict=True)]
        found[together] = max(moved), [to_integer(tuned).layers[i][0].weights for i in (1, 2)]
    assert found[False][0] < 1e-6 < found[True][0]
    assert any(not np.array_equal(a, b) for a, b in zip(found[False][1], found[True][1], strict=True))


def test_settings_that_no_run_can_have_are_refused(pair_file: Path, tmp_path: Path) -> None:
    for change, message in [
        ({"precision": "bfloat16"}, "precision 'bfloat16'"),
        ({"batch": 0}, "batch must be a number from 1"),
        ({"float_steps": 0}, "float_steps"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"bound_rule": "max"}, "bound_rule 'max'"),
        ({"residual": -1.0}, "above 0"),
        ({"rate": float("nan")}, "rate must be"),
        ({"rate": 1e300}, "rate must be"),
        ({"chroma": 1e300}, "chroma must be"),
        ({"balance": 1e300}, "balance is a power"),
        ({"residual": 1e300}, "residual must be"),
        ({"residual_quantile": 1.0}, "residual_quantile must lie"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"batch": 10**9}, "batch must be a number from 1 to 65536"),
        ({"specialists": 10**6}, "specialists must be"),
        ({"float_steps": 10**30}, "float_steps must be"),
        ({"optimizer": "sgd"}, "optimizer 'sgd'"),
        ({"schedule": "none"}, "schedule 'none'"),
        ({"average": 1.0}, "average must be"),
        ({"minutes": 0.0}, "minutes must be"),
        ({"minutes": 1e-4}, "too few"),
        ({"balance": -1.0}, "balance is a power"),
        ({"weight_limit": 0.5}, "at least 2"),
        ({"edge_weight": 0.0}, "edge_weight must be"),
        ({"edge_weight": 1e300}, "edge_weight must be"),
        ({"edge_weight": 4.0, "borders": False}, "borders=true"),
        ({"round_first_activations": True, "bound_rule": "relu"}, "bound_rule=relu"),
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


@pytest.mark.parametrize(
    ("settings", "stop"),
    [
        (TINY, ("float", 3)),
        (TINY, ("float", 6)),
        (TINY, ("weights", 2)),
        (TINY, ("bounds", 1)),
        (replace(TINY, optimizer="muon", average=0.5, balance=1.0), ("float", 4)),
        (replace(TINY, bound_rule="n-sigma", precision="bf16", optimizer="adam"), ("float", 2)),
        (replace(TINY, padded=True, schedule="constant"), ("float", 2)),
        (replace(TINY, round_first_activations=True), ("float", 3)),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_network(
    pair_file: Path, tmp_path: Path, settings: TrainSettings, stop: tuple[str, int]
) -> None:
    import signal

    whole = train([pair_file], [pair_file], tmp_path / "whole", settings)

    def interrupt(stage: str, step: int, *_: object) -> None:
        if (stage, step) == stop:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train([pair_file], [pair_file], tmp_path / "parts", settings, interrupt)
    resumed = train([pair_file], [pair_file], tmp_path / "parts", settings)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert load_float_networks(resumed)[0][0].identity == load_float_networks(whole)[0][0].identity


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_gpu_trains_as_the_cpu_does(pair_file: Path, tmp_path: Path, graph: bool, optimizer: str) -> None:
    """Eager steps, captured ones, averages and all stages: the same losses but for rounding; and it goes on from a checkpoint."""
    import signal

    def interrupt(stage: str, step: int, *_: object) -> None:
        if (stage, step) == ("weights", 6):
            signal.raise_signal(signal.SIGINT)

    settings = replace(TINY, float_steps=12, weight_steps=12, bound_steps=12, optimizer=optimizer, average=0.9, graph=graph)
    train([pair_file], [pair_file], tmp_path / "cpu", settings)
    with pytest.raises(KeyboardInterrupt):
        train([pair_file], [pair_file], tmp_path / "cuda", replace(settings, device="cuda"), interrupt)
    train([pair_file], [pair_file], tmp_path / "cuda", replace(settings, device="cuda"))
    for ours, theirs in zip(losses(tmp_path / "cuda"), losses(tmp_path / "cpu"), strict=True):
        assert ours[:2] == theirs[:2]
        assert ours[2:] == pytest.approx(theirs[2:], rel=0.02 if ours[0] == "float" else 0.1)


def test_minutes_become_steps_that_the_log_states(pair_file: Path, tmp_path: Path) -> None:
    """An interrupted run of so many minutes goes on with the number of steps it began with."""
    import signal

    seen = []

    def interrupt(stage: str, step: int, steps: int, *_: object) -> None:
        seen.append((stage, step, steps))
        if step % 2 == 0:
            signal.raise_signal(signal.SIGINT)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train([pair_file], [pair_file], tmp_path, replace(TINY, minutes=20.0), interrupt)
    steps = json.loads((tmp_path / "settings.json").read_text())["settings"]["float_steps"]
    assert steps > 100
    assert seen == [("float", step, steps) for step in (1, 2, 3, 4)]


def test_the_record_of_a_model_set_runs_again(pair_file: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    train([pair_file], [pair_file], tmp_path / "run", TINY)
    result = runner.invoke(app, ["quantize", str(tmp_path / "run"), "--out", str(tmp_path / "set.vrcnn")])
    assert result.exit_code == 0, result.output
    for record in ("run", "set.json"):
        result = runner.invoke(app, ["reproduce", str(tmp_path / record), str(pair_file), "--steps", "5"])
        assert result.exit_code == 0, result.output
        assert "5 losses up to step 5 are the same" in result.output
    entries = json.loads((tmp_path / "set.json").read_text())
    assert entries["networks"][0]["losses"][0] == [1, losses(tmp_path / "run")[0][2]]
    entries["networks"][0]["losses"][2][1] *= 1.01
    (tmp_path / "set.json").write_text(json.dumps(entries))
    result = runner.invoke(app, ["reproduce", str(tmp_path / "set.json"), str(pair_file), "--steps", "5"])
    assert isinstance(result.exception, VrcnnError)
    assert "differ by up to 0.0099" in str(result.exception)
    result = runner.invoke(app, ["reproduce", str(tmp_path / "set.json"), str(pair_file), "--steps", "5", "--tolerance", "0.02"])
    assert result.exit_code == 0
    result = runner.invoke(app, ["reproduce", str(tmp_path / "set.json"), str(pair_file), str(pair_file)])
    assert "names no network" in str(result.exception)
    # Several networks from the same files.
    train([pair_file], [pair_file], tmp_path / "other", replace(TINY, seed=2))
    result = runner.invoke(
        app, ["quantize", *(str(tmp_path / name) for name in ("run", "other")), "--out", str(tmp_path / "set.vrcnn"), "--force"]
    )
    assert result.exit_code == 0, result.output
    command = ["reproduce", str(tmp_path / "set.json"), str(pair_file), "--steps", "5", "--number"]
    outputs = [runner.invoke(app, [*command, str(number)]) for number in (1, 2, 3)]
    assert [result.exit_code for result in outputs] == [0, 0, 1]
    assert outputs[0].output.splitlines()[0] != outputs[1].output.splitlines()[0]
    assert "has 2 runs that trained from these pair files, not 3" in str(outputs[2].exception)


def test_a_run_begins_with_a_network_of_another_qp(pair_file: Path, tmp_path: Path) -> None:
    found = pairs.read(pair_file)
    pairs.write(
        tmp_path / "q37.npz", zip(found.recon[::-1], found.original[::-1], strict=True), {"qp": 37, "position": "before_deblocking"}
    )
    train([tmp_path / "q37.npz"], [tmp_path / "q37.npz"], tmp_path / "run37", TINY)
    (first,), _ = load_float_networks(tmp_path / "run37/float.npz")
    mine = Network(VRCNN, bounds.geometric_progression(20.0, len(VRCNN.layers)), 32, "before_deblocking")
    begin_with(mine, first)
    assert mine.export().bounds != first.bounds
    x = (torch.from_numpy(found.recon[0].astype(np.float32))[None, None] - 128) / 255
    assert torch.allclose(mine(x), module_from(first)(x), atol=1e-7), "the same function within other bounds"

    runner = CliRunner()
    names = ("float_steps", "weight_steps", "bound_steps", "batch", "patch", "log_every")
    settings = [f"--set={name}={getattr(TINY, name)}" for name in names]
    command = ["train", str(pair_file), "--validate", str(pair_file), "--out", str(tmp_path / "run"), *settings]
    result = runner.invoke(app, [*command, "--start", str(tmp_path / "run37/float.npz")])
    assert result.exit_code == 0, result.output
    result = runner.invoke(app, ["quantize", *(str(tmp_path / name) for name in ("run", "run37")), "--out", str(tmp_path / "set.vrcnn")])
    assert result.exit_code == 0, result.output
    # The float networks beside the record hold the one that it began with.
    result = runner.invoke(app, ["reproduce", str(tmp_path / "set.json"), str(pair_file), "--steps", "5"])
    assert result.exit_code == 0, result.output
    assert "5 losses up to step 5 are the same" in result.output
    result = runner.invoke(app, ["reproduce", str(tmp_path / "run"), str(pair_file), "--steps", "5"])
    assert "began with another network; give its file with --start" in str(result.exception)
    # So does the file of starts, where that network is not in the set.
    result = runner.invoke(
        app, ["quantize", str(tmp_path / "run"), "--out", str(tmp_path / "one.vrcnn"), "--start", str(tmp_path / "run37")]
    )
    assert result.exit_code == 0, result.output
    for files in ([pair_file], [tmp_path / "q37.npz"]):
        result = runner.invoke(app, ["reproduce", str(tmp_path / "one.json"), *map(str, files), "--steps", "5"])
        assert result.exit_code == 0, result.output
        assert "5 losses up to step 5 are the same" in result.output
    (tmp_path / "one.starts.npz").unlink()
    result = runner.invoke(app, ["reproduce", str(tmp_path / "one.json"), str(pair_file), "--steps", "5"])
    assert "is not in one.float.npz and one.starts.npz; give its file with --start" in str(result.exception)
    for name in ("run37/tuned.npz", "set.float.npz"):
        result = runner.invoke(app, [*command[:-1], "--set=log_every=2", "--start", str(tmp_path / name)])
        assert isinstance(result.exception, VrcnnError)
    begin_with(Network(VRCNN, first.bounds, 32, "after_sao"), first)  # of another position: the same samples but for the ordinary filters
    with pytest.raises(VrcnnError, match="widened"):
        begin_with(Network(Architecture(VRCNN.layers[1:]), first.bounds[1:], 32, first.position), first)


def test_other_settings_do_not_continue_a_run(pair_file: Path, tmp_path: Path) -> None:
    train([pair_file], [pair_file], tmp_path, TINY)
    with pytest.raises(VrcnnError, match="other settings"):
        train([pair_file], [pair_file], tmp_path, replace(TINY, batch=3))


def test_a_damaged_checkpoint_is_named(pair_file: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"nonsense")
    with pytest.raises(VrcnnError, match=r"checkpoint\.pt is damaged"):
        train([pair_file], [pair_file], tmp_path, TINY)


@pytest.mark.parametrize("state", [{}, [], 5, {"run": {}}, {"run": {}, "stage": "later"}, torch.zeros(2)])
def test_a_checkpoint_of_another_structure_is_named(pair_file: Path, tmp_path: Path, state: Any) -> None:
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(VrcnnError, match=r"checkpoint\.pt.*delete it") as refused:
        train([pair_file], [pair_file], tmp_path, TINY)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("part", ["team", "bounds", "plans", "optimizers", "mean_loss"])
def test_a_checkpoint_with_other_tensors_is_named(pair_file: Path, tmp_path: Path, part: str) -> None:
    train([pair_file], [pair_file], tmp_path, replace(TINY, checkpoint_every=2), stages=("float",))
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    state[part] = {"mean_loss": torch.zeros(3), "team": {"x": torch.zeros(1)}}.get(part, [])
    torch.save(state, path)
    with pytest.raises(VrcnnError, match=r"checkpoint\.pt does not fit this run") as refused:
        train([pair_file], [pair_file], tmp_path, replace(TINY, checkpoint_every=2), stages=("float",))
    assert "\n" not in str(refused.value)


def test_training_that_diverges_ends_there(pair_file: Path, tmp_path: Path) -> None:
    """Not at the end of its stage, and the checkpoint is from before."""
    steps: list[int] = []

    def poison(_stage: str, step: int, _steps: int, _values: Any) -> None:
        steps.append(step)

    settings = replace(TINY, float_steps=40, rate=1e30, checkpoint_every=1, log_every=1)
    with pytest.raises(VrcnnError, match=r"training has diverged: the loss is (nan|inf)"):
        train([pair_file], [pair_file], tmp_path, settings, poison)
    assert len(steps) < 20
    assert "NaN" not in (tmp_path / "log.jsonl").read_text()


def test_too_little_memory_is_said_in_one_line() -> None:
    said = "not enough memory for batches of 2 patches of 16x16; take a smaller batch or patch"
    for error in (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 48000000000 bytes."), MemoryError()):
        with pytest.raises(VrcnnError, match=said), enough_memory(TINY):
            raise error
    with pytest.raises(RuntimeError, match="shapes"), enough_memory(TINY):
        raise RuntimeError("shapes cannot be multiplied")


def test_pictures_that_equal_their_originals_have_no_psnr(tmp_path: Path) -> None:
    flat = np.full((48, 40), 128, np.uint8)
    pairs.write(tmp_path / "flat.npz", [(flat, flat)], {"qp": 32, "position": "before_deblocking"})
    with pytest.raises(VrcnnError, match="equal their originals"):
        train([tmp_path / "flat.npz"], [tmp_path / "flat.npz"], tmp_path, TINY)


def test_n_sigma_and_quantile_bounds(pair_file: Path, tmp_path: Path) -> None:
    path = train([pair_file], [pair_file], tmp_path / "sigma", replace(TINY, bound_rule="n-sigma"))
    assert all(0 < bound < 10 for bound in load_float_networks(path)[0][0].bounds)
    path = train([pair_file], [pair_file], tmp_path / "quantile", replace(TINY, residual_quantile=0.99))
    assert all(0 < bound < 0.5 for bound in load_float_networks(path)[0][0].bounds)


def test_pictures_smaller_than_a_patch_are_refused(pair_file: Path, tmp_path: Path) -> None:
    with pytest.raises(VrcnnError, match="at least 48 samples"):
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


def test_specialists_share_out_the_patches() -> None:
    errors = torch.tensor([[1.0, 2.0, 3.0, 9.0], [2.0, 1.0, 4.0, 8.0]])
    difficulty = torch.tensor([5.0, 1.0, 2.0, 7.0])
    assert shares(errors, None)[0].tolist() == pytest.approx([0.95, 0.05, 0.95, 0.05])
    assert shares(errors, difficulty)[0].tolist() == pytest.approx([0.05, 0.95, 0.95, 0.05])
    assert shares(errors, None).sum(0).tolist() == pytest.approx([1.0] * 4)
    assert shares(errors[:1], None).tolist() == [[1.0] * 4]
    rival = torch.tensor([0.5, 3.0, 3.5, 1.0])
    torch.testing.assert_close(shares(errors, None, rival), torch.tensor([[0.05, 0.05, 0.95, 0.05], [0.05, 0.95, 0.05, 0.05]]))
    torch.testing.assert_close(shares(errors[:1], None, rival), torch.tensor([[0.1, 1.0, 1.0, 0.1]]))


def test_specialists_learn_different_things_and_become_one_set(tmp_path: Path) -> None:
    """Half of the pictures are coded 2 too dark, the others 4 too bright: one network cannot help both, two can."""
    made = [(np.full((64, 64), v, np.uint8), np.full((64, 64), v + change, np.uint8)) for v in range(90, 150, 9) for change in (2, -4)]
    pairs.write(tmp_path / "pairs.npz", made, {"qp": 32, "position": "before_deblocking"})
    settings = replace(TINY, float_steps=90, batch=12, specialists=2, validate_every=90, checkpoint_every=50, log_every=30)
    stop = [("float", 60)]

    def interrupt(stage: str, step: int, *_: object) -> None:
        if [(stage, step)] == stop:
            stop.clear()
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        train([tmp_path / "pairs.npz"], [tmp_path / "pairs.npz"], tmp_path / "run", settings, interrupt)
    train([tmp_path / "pairs.npz"], [tmp_path / "pairs.npz"], tmp_path / "run", settings)  # goes on from step 50
    entries = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    last = [entry for entry in entries if "validation_gain" in entry][-1]
    assert last["validation_gain"] > max(last["each"]) + 0.5
    result = CliRunner().invoke(app, ["quantize", str(tmp_path / "run"), "--out", str(tmp_path / "set.vrcnn")])
    assert result.exit_code == 0, result.output
    assert [network.qp for network in ModelSet.load(tmp_path / "set.vrcnn").networks] == [32, 32]


def test_a_specialist_learns_what_the_network_beside_it_cannot(tmp_path: Path) -> None:
    """The network that it starts from brightens everything; half of the pictures are too bright. It is not changed, and not written."""
    dark, bright = (
        [(np.full((64, 64), v, np.uint8), np.full((64, 64), v + change, np.uint8)) for v in range(90, 150, 9)] for change in (4, -4)
    )
    facts = {"qp": 32, "position": "before_deblocking"}
    pairs.write(tmp_path / "dark.npz", dark, facts)
    pairs.write(tmp_path / "both.npz", dark + bright, facts)
    settings = replace(TINY, float_steps=90, batch=12, validate_every=90, checkpoint_every=50, log_every=30)
    train([tmp_path / "dark.npz"], [tmp_path / "dark.npz"], tmp_path / "general", settings)
    (start,), _ = load_float_networks(tmp_path / "general/float.npz")
    beside = replace(settings, beside_start=True)
    with pytest.raises(VrcnnError, match=r"beside_start and spread are about the network of --start"):
        train([tmp_path / "both.npz"], [], tmp_path / "run", beside)
    train([tmp_path / "both.npz"], [tmp_path / "both.npz"], tmp_path / "run", beside, start=start)
    entries = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    last = [entry for entry in entries if "validation_gain" in entry][-1]
    specialist, general = last["each"]
    assert last["validation_gain"] > max(specialist, general) + 0.5
    assert len(load_float_networks(tmp_path / "run/tuned.npz")[0]) == 1
    result = CliRunner().invoke(app, ["quantize", str(tmp_path / "general"), str(tmp_path / "run"), "--out", str(tmp_path / "set.vrcnn")])
    assert result.exit_code == 0, result.output
    models = ModelSet.load(tmp_path / "set.vrcnn").networks
    for plane, original, best in ((dark[2][0], dark[2][1], 0), (bright[2][0], bright[2][1], 1)):
        errors = [float(np.mean((integer.filter_plane(network, plane, 8) - original.astype(float)) ** 2)) for network in models]
        assert int(np.argmin(errors)) == best, errors


def test_specialists_begin_as_weaker_and_stronger_filters(pair_file: Path, tmp_path: Path) -> None:
    """With spread their residuals at the start are those of the first network times 0.75 and 1.25, and they specialize from there."""
    train([pair_file], [], tmp_path / "general", TINY)
    (start,), _ = load_float_networks(tmp_path / "general/float.npz")
    found = pairs.read(pair_file)
    x = (torch.from_numpy(found.recon[0].astype(np.float32))[None, None] - 128) / 255
    weaker = Network(VRCNN, start.bounds, 32, "before_deblocking")
    begin_with(weaker, start, 0.75)
    assert torch.allclose(weaker(x), 0.75 * module_from(start)(x), atol=1e-7)

    settings = replace(TINY, specialists=2, beside_start=True, spread=0.25, rate=1e-9, tuning_rate=1e-9)
    train([pair_file], [pair_file], tmp_path / "run", settings, start=start)  # at such a rate they stay as they begin
    team, _ = load_float_networks(tmp_path / "run/float.npz")
    for network, scale in zip(team, (0.75, 1.25), strict=True):
        assert torch.allclose(module_from(network)(x), scale * module_from(start)(x), atol=1e-4)
    with pytest.raises(VrcnnError, match=r"beside_start and spread are about the network of --start"):
        train([pair_file], [], tmp_path / "other", settings)
    with pytest.raises(VrcnnError, match=r"spread is about how specialists differ .* give at least two"):
        train([pair_file], [], tmp_path / "other", replace(settings, specialists=1), start=start)


def test_a_rival_rounds_its_first_activations_as_the_networks_beside_it_do() -> None:
    bounds = geometric_progression(20.0, 4)
    team = Team([Network(VRCNN, bounds, 32, "before_deblocking")], Network(VRCNN, bounds, 32, "before_deblocking"))
    team.round_first_activations()
    assert isinstance(team.rival, Network)
    assert [network.activations[0].levels for network in (*team, team.rival)] == [127, 127]


def test_of_several_networks_to_start_with_the_one_for_the_pairs_is_taken() -> None:
    others = [network_for(qp, position) for qp, position in ((22, "before_deblocking"), (32, "after_sao"))]
    own, specialist = network_for(32, "before_deblocking"), network_for(32, "before_deblocking")
    wide = Network(NETWORKS["vrcnn-wide"], geometric_progression(20.0, 4), 32, "before_deblocking").export()
    assert fitting_start([*others, own, specialist], TINY, 32, "before_deblocking") is own
    assert fitting_start([*others, wide, own], TINY, 32, "before_deblocking") is own
    assert fitting_start([*others, own], replace(TINY, network="vrcnn-wide"), 32, "before_deblocking") is own  # and is widened
    assert fitting_start(others[:1], TINY, 32, "before_deblocking") is others[0]  # a file of one serves any QP
    before = [others[0], own, specialist]
    assert fitting_start(before, TINY, 32, "after_sao") is own  # no network of the position: the other's
    with pytest.raises(VrcnnError, match=r"is for QP 37, after_sao; it has QP 22 before_deblocking, QP 32 before_deblocking$"):
        fitting_start(before, TINY, 37, "after_sao")
    said = r"no network .* is for QP 32, before_deblocking; it has QP 22 before_deblocking, QP 32 after_sao"
    with pytest.raises(VrcnnError, match=said):
        fitting_start(others, TINY, 32, "before_deblocking")
    with pytest.raises(VrcnnError, match=r"the network to start with is vrcnn-wide, which .* network=vrcnn: give --set network=vrcnn-wide"):
        fitting_start([wide], TINY, 32, "before_deblocking")


def network_for(qp: int, position: str) -> FloatNetwork:
    return Network(VRCNN, geometric_progression(20.0, 4), qp, position).export()


def test_settings_of_the_command_line() -> None:
    assert parse_settings(["batch=4", "patch=32", "batch=8", "minutes=2", "minutes=none"], TINY) == replace(TINY, batch=8, patch=32)
    for given, message in [
        (["batch"], "batch has no value; give batch=VALUE"),
        (["rate=none"], "'none' is not a value for rate"),
        (["batches=4"], "unknown setting 'batches'"),
        (["batch=x"], "'x' is not a value for batch"),
    ]:
        with pytest.raises(VrcnnError, match=message):
            parse_settings(given, TINY)


def test_units_choose_the_better_network() -> None:
    """Errors of units: 130x70 samples are 3x2 units, the last ones narrow."""
    original = np.zeros((130, 70), np.uint8)
    samples = np.zeros((130, 70))
    samples[129, 69] = 3
    samples[:64, :64] = 1
    np.testing.assert_array_equal(unit_errors(samples, original), [[64 * 64, 0], [0, 0], [0, 9]])


def test_ablation_measures_what_the_product_does(pair_file: Path, tmp_path: Path) -> None:
    """7 bits synchronized is the bounded module itself; unsynchronized differs from it; few bits lose."""
    networks, _ = load_float_networks(float_path(builtin_path()))
    network = networks[2]
    module = module_from(network)
    module.quantize_bounds()
    x = torch.rand(1, 1, 40, 40) - 0.5
    with torch.no_grad():
        assert torch.equal(ablation.quantized(network)(x), module(x))
        plain = module_from(network)(x)
        errors = [float((ablation.quantized(network, bits)(x) - plain).square().mean()) for bits in (7, 4, 3)]
        assert errors[0] < errors[1] < errors[2]
        apart = ablation.unsynchronized(network)
        assert not torch.equal(apart(x), module(x))
        torch.testing.assert_close(apart(x), module(x), atol=0.02, rtol=0)
        # Where the branches' ratios happen to agree already, nothing differs: a network of one branch a layer.
        single = Network(
            Architecture(((Convolution(8, 3),), (Convolution(8, 3),), (Convolution(1, 3),))), (0.4, 0.3), 32, "before_deblocking"
        ).export()
        torch.testing.assert_close(ablation.unsynchronized(single)(x), ablation.quantized(single)(x))
    runner = CliRunner()
    for rule in ("relu6", "relu"):
        train([pair_file], [], tmp_path / rule, replace(TINY, bound_rule=rule))
    files = [str(tmp_path / rule / "float.npz") for rule in ("relu6", "relu")]
    result = runner.invoke(app, ["ablate", *files, str(float_path(builtin_path())), "--validate", str(pair_file)])
    assert result.exit_code == 0, result.output
    assert [line.split()[:2] for line in result.output.splitlines() if line.strip().startswith("32")][:2] == [
        ["32", "relu6"],
        ["32", "relu"],
    ]
