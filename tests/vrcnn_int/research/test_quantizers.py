"""Quantizers side by side: gradients against the papers' formulas, integers against the fake-quantized network, the stages. Needs torch."""

import signal
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")

from codec_bridge.filter import Filter, kernels
from tests.vrcnn_int.training.test_train import TINY, pair_file  # noqa: F401
from vrcnn_int import integer
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.io import pairs
from vrcnn_int.network import Architecture, Convolution, FloatNetwork, load_float_networks
from vrcnn_int.quantize.bounds import geometric_progression
from vrcnn_int.quantize.plan import make_plan, to_integer
from vrcnn_int.requant import requantize
from vrcnn_int.research.extended import AnyInteger, Convolve, ExtendedNetwork, Requantize
from vrcnn_int.research.fine_tune import fine_tune
from vrcnn_int.research.quantizers import tqt
from vrcnn_int.research.quantizers.affine import DECAY, Affine, AffineWeights, FakeQuantize, FoldedConv, MovingRange, nudge
from vrcnn_int.research.quantizers.base import Quantizer
from vrcnn_int.research.quantizers.brelu import Fixed, Geometric, NSigma
from vrcnn_int.research.quantizers.codes import integer_bias
from vrcnn_int.research.quantizers.fq_conv import FQConv, LearnedRange, Noise, best_range
from vrcnn_int.research.quantizers.network import QuantizedNetwork
from vrcnn_int.research.quantizers.tqt import TQT, TQTFunction, step_of
from vrcnn_int.training.loop import train
from vrcnn_int.training.module import Network
from vrcnn_int.training.team import Gains

torch.set_num_threads(1)

SMALL = Architecture(((Convolution(16, 5),), (Convolution(16, 3), Convolution(32, 1)), (Convolution(16, 3),), (Convolution(1, 3),)))


def small_network(seed: int = 1, bounds: tuple[float, ...] = geometric_progression(20, 4)) -> FloatNetwork:
    torch.manual_seed(seed)
    module = Network(SMALL, bounds, 32, "before_deblocking")
    with torch.no_grad():
        for layer in module.convolutions():
            for conv in layer:
                conv.bias.normal_(0, 0.02)
    return module.export()


def inputs(count: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(-128, 128, (4, 1, 24, 24), generator=generator) / 255 for _ in range(count)]


QUANTIZERS: dict[str, Callable[[], Quantizer]] = {
    "brelu-8/7": Geometric,
    "brelu-4/7": lambda: Geometric(4, 7),
    "brelu-8/8": lambda: Geometric(8, 8),
    "brelu-8/4": lambda: Geometric(8, 4),
    "n-sigma-8/7": NSigma,
    "relu6-8/7": Fixed,
    "affine-8/8": Affine,
    "affine-8/7": lambda: Affine(8, 7, symmetric=True),
    "affine-4/7-bn": lambda: Affine(4, 7, symmetric=True, batch_norm=True),
    "tqt-8/7": lambda: TQT(8, 7),
    "tqt-4/7": lambda: TQT(4, 7),
    "tqt-8/8": lambda: TQT(8, 8),
    "fq-conv-8/7": lambda: FQConv(8, 7),
    "fq-conv-2/7": lambda: FQConv(2, 7),
    "fq-conv-2/4": lambda: FQConv(2, 4),
}
NORMATIVE = [name for name in QUANTIZERS if "/7" in name]
"""Those with 7-bit activations and weights without zero point."""


def prepared(quantizer: Quantizer, seed: int = 1) -> Network:
    """The module in its last form, without training."""
    bounds = {"geometric": geometric_progression(20, 4), "relu6": (6.0,) * 3}.get(quantizer.float_rule, (float("inf"),) * 3)
    module = quantizer.prepare(small_network(seed, bounds), inputs())
    gains: dict[str, float] = {}
    while (stage := quantizer.next_stage(gains, (1, 1))) is not None:
        quantizer.enter(stage.name, module, inputs())
        gains[stage.name] = 0.0
    return module.eval()


def plane(height: int = 26, width: int = 31) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.clip(np.random.default_rng(5).normal(60 + 4 * x + y, 9), 0, 255).astype(np.uint8)


# Gradients.


@pytest.mark.parametrize(("bits", "least", "most"), [(7, -127, 127), (3, -7, 7), (7, 0, 127)])
def test_tqt_gradients_are_the_papers(bits: int, least: int, most: int) -> None:
    x = torch.linspace(-2.5, 2.5, 999, dtype=torch.float64, requires_grad=True)
    threshold = torch.tensor(-0.3, dtype=torch.float64, requires_grad=True)
    step = float(step_of(threshold.detach(), bits))
    assert step == 2.0**-bits  # ceil(-0.3) = 0
    for element in range(0, 999, 37):
        y = TQTFunction.apply(x, threshold, bits, least, most, 1.0)
        slope, by_threshold = torch.autograd.grad(y[element], (x, threshold))
        value = float(x[element].detach())
        steps = np.floor(value / step + 0.5)
        inside = least <= steps <= most
        expected = step * log(2) * (steps - value / step if inside else least if steps < least else most)
        assert by_threshold.item() == pytest.approx(expected, abs=1e-12)
        assert slope[element] == (1.0 if inside else 0.0)
        assert slope.abs().sum() == slope[element]
        # The straight-through identity: with round() held, and the rounding error's x / s left free, this is what is differentiated.
        # Outside the range nothing is held but n or p: there it is the derivative of the quantizer itself.
        kept = (steps - value / step) if inside else np.clip(steps, least, most)

        def held(change: float, kept: float = kept, value: float = value, inside: bool = inside) -> float:
            return step * 2**change * kept + (value if inside else 0.0)

        numerical = (held(1e-5) - held(-1e-5)) / 2e-5
        assert by_threshold.item() == pytest.approx(numerical, abs=1e-8)


def test_tqt_thresholds_trade_range_for_precision() -> None:
    """Values far outside pull the threshold up, values well inside push it down (the paper's argument for its gradient)."""
    for spread, sign in ((8.0, -1), (0.02, 1)):
        torch.manual_seed(1)
        x = torch.randn(4000, dtype=torch.float64) * spread
        threshold = torch.tensor(-0.5, dtype=torch.float64, requires_grad=True)
        (TQTFunction.apply(x, threshold, 3, -7, 7, 1.0) - x).square().sum().backward()
        assert np.sign(threshold.grad.item()) == sign


@pytest.mark.parametrize(("lowest", "n"), [(-1, 127), (-1, 7), (-1, 1), (0, 127), (0, 15)])
def test_fq_conv_gradients_are_those_of_rounding_straight_through(lowest: int, n: int) -> None:
    def reference(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        scaled = (x / s.exp()).clamp(lowest, 1) * n
        return (scaled + (torch.floor(scaled + 0.5) - scaled).detach()) / n * s.exp()

    torch.manual_seed(1)
    x = (torch.randn(500, dtype=torch.float64) * 1.3).requires_grad_()
    s = torch.tensor(-0.2, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(500, dtype=torch.float64)
    ours, theirs = LearnedRange.apply(x, s, lowest, n), reference(x, s)
    assert torch.equal(ours, theirs)
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), (x, s)), torch.autograd.grad((theirs * weights).sum(), (x, s)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    # Where the quantizer itself can be differentiated, outside its range, by finite differences.
    outside = x.detach()[(x.detach() > exp(-0.2)) | (x.detach() < lowest * exp(-0.2))]
    analytic = torch.autograd.grad(LearnedRange.apply(outside, s, lowest, n).sum(), s)[0].item()
    high, low = (LearnedRange.apply(outside, s.detach() + change, lowest, n).sum().item() for change in (1e-6, -1e-6))
    assert analytic == pytest.approx((high - low) / 2e-6, rel=1e-6, abs=1e-6)


def test_affine_gradient_passes_inside_the_nudged_range_only() -> None:
    step, zero_point = nudge(torch.tensor(-0.31), torch.tensor(1.0), 0, 255)
    low, high = float((0 - zero_point) * step), float((255 - zero_point) * step)
    x = torch.linspace(-1, 2, 1001, requires_grad=True)
    y = FakeQuantize.apply(x, step, zero_point, 0, 255)
    y.sum().backward()
    assert torch.equal(x.grad, ((x >= low) & (x <= high)).float().detach())
    inside = x.grad.bool()
    assert (y - x)[inside].abs().max() <= float(step) / 2 + 1e-6
    assert y.min().item() == pytest.approx(low)
    assert y.max().item() == pytest.approx(high)


@settings(deadline=None, max_examples=200)
@given(st.floats(-100, 0), st.floats(0, 100), st.sampled_from([(0, 255), (0, 127), (1, 255), (1, 15)]))
def test_nudged_ranges_hold_zero_exactly(low: float, high: float, codes: tuple[int, int]) -> None:
    step, zero_point = nudge(torch.tensor(low), torch.tensor(high), *codes)
    assert zero_point == int(zero_point)
    assert codes[0] <= zero_point <= codes[1]
    assert FakeQuantize.apply(torch.zeros(1), step, zero_point, *codes).item() == 0
    # The range moves by half a step at most.
    assert abs(float((codes[0] - zero_point) * step) - low) <= float(step) * 0.5001 + 1e-5


def test_affine_weights_never_take_the_lowest_code() -> None:
    for symmetric in (False, True):
        weight = torch.tensor([-3.0, -1.0, 0.0, 0.2, 2.0])
        quantizer = AffineWeights(8, symmetric)
        codes, zero_point, step = quantizer.codes(weight)
        signed = codes if symmetric else codes - 128
        assert signed.min() >= -127
        assert signed.max() <= 127
        assert (codes[2] - zero_point) == 0
        torch.testing.assert_close(quantizer(weight), torch.from_numpy((codes - zero_point) * float(step)).float())
        assert (zero_point == 0) == symmetric


def test_moving_ranges_follow_training_batches_only() -> None:
    activation = MovingRange(127)
    activation.train()
    activation(torch.tensor([0.0, 2.0]))
    activation(torch.tensor([0.0, 1.0]))
    assert activation.high.item() == pytest.approx((1 - DECAY) * (2 * DECAY + 1))
    activation.eval()
    before = activation.high.item()
    activation(torch.tensor([9.0]))
    assert activation.high.item() == before
    assert activation.low.item() == 0


# Batch normalization folded in training.


def test_folded_convolution_is_convolution_and_batch_norm() -> None:
    torch.manual_seed(2)
    conv = FoldedConv(torch.randn(6, 3, 3, 3), torch.randn(6), AffineWeights(8, True))
    with torch.no_grad():
        conv.gamma.uniform_(0.5, 2)
        conv.mean.normal_()
        conv.variance.uniform_(0.5, 2)
    conv.eval()
    x = torch.randn(2, 3, 9, 9)
    weight, bias = conv.folded()
    plain = torch.nn.functional.conv2d(x, conv.weight)
    expected = torch.nn.functional.batch_norm(plain, conv.mean, conv.variance, conv.gamma, conv.bias, eps=1e-5)
    torch.testing.assert_close(torch.nn.functional.conv2d(x, weight, bias), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(conv(x), torch.nn.functional.conv2d(x, conv.quantizer(weight), bias))
    # Moments: of training batches, by moving average.
    variance, mean = torch.var_mean(plain, (0, 2, 3))
    old = conv.mean.clone(), conv.variance.clone()
    conv(x)
    assert torch.equal(conv.mean, old[0])
    conv.train()(x)
    torch.testing.assert_close(conv.mean, DECAY * old[0] + (1 - DECAY) * mean)
    torch.testing.assert_close(conv.variance, DECAY * old[1] + (1 - DECAY) * variance)


def test_batch_norm_starts_without_changing_the_network() -> None:
    network = small_network(1, (float("inf"),) * 3)
    module = Affine(8, 8, batch_norm=True).prepare(network, inputs())
    for layer, weights, biases in zip(module.convolutions(), network.weights, network.biases, strict=True):
        for conv, weight, bias in zip(layer, weights, biases, strict=True):
            assert isinstance(conv, FoldedConv)
            folded = conv.folded()
            torch.testing.assert_close(folded[0].detach(), torch.from_numpy(weight), atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(folded[1].detach(), torch.from_numpy(bias), atol=1e-5, rtol=1e-4)
            assert (conv.gamma != 1).all()


# Integer networks against the fake-quantized ones.


def integer_values(network: AnyInteger, samples: np.ndarray) -> list[np.ndarray]:
    """Input and hidden layers of an integer network."""
    if isinstance(network, IntegerNetwork):
        return [integer.input_values(samples, 8), *integer.layer_outputs(network, samples, 8)]
    values = network.run(integer.input_values(samples, 8))
    # What convolutions read is the input and the layers' outputs.
    return [values[i] for i in sorted({o.inputs[0] for o in network.operations if isinstance(o, Convolve)})]


def steps_of(network: AnyInteger, layer: int, branch: int) -> tuple[int, int]:
    """(multiplier, all shifts) of a branch."""
    if isinstance(network, IntegerNetwork):
        found = network.layers[layer][branch]
        return found.multiplier, found.shift + 15
    numbers = iter([o for o in network.operations if isinstance(o, Requantize)])
    for i in range(layer + 1):
        for j in range(len(SMALL.layers[i])):
            operation = next(numbers)
            if (i, j) == (layer, branch):
                return int(operation.multiplier[0]), int(operation.shift[0])
    raise AssertionError


@pytest.mark.parametrize("name", QUANTIZERS)
def test_integers_are_the_fake_quantized_networks_but_for_stated_roundings(name: str) -> None:
    """Layer by layer, from the same integer inputs: the float network's activation, in steps, and the integer one.

    What may lie between them: the bias, rounded to an accumulator step (1/2), and in the normative filter the pre-shift (2^(s1-1), and half
    of that for s1 = 0: none). In output steps that is their sum times m / 2^(s1+15), plus float64's own rounding. Where the float value is
    further than that from a rounding boundary, the integers are equal; elsewhere they differ by one.
    """
    quantizer = QUANTIZERS[name]()
    module = prepared(quantizer).double()
    network, reason = quantizer.finish(module)
    assert (reason == "") == (name in NORMATIVE) == isinstance(network, IntegerNetwork)
    values = integer_values(network, plane())
    ratios_in = module.ratios_in() if isinstance(module, QuantizedNetwork) else list(module.plan.ratios_in)
    compared = unequal = 0
    for i, layer in enumerate(module.convolutions()[:-1]):
        x = torch.from_numpy(values[i] / float(ratios_in[i]))[None]
        steps = float(ratios_in[i + 1])
        offset = 0
        for j, conv in enumerate(layer):
            reach = conv.kernel // 2
            with torch.no_grad():
                real = conv(torch.nn.functional.pad(x, (reach,) * 4))[0].numpy() * steps
            found = values[i + 1][offset : offset + len(real)]
            offset += len(real)
            levels = module.activations[i].levels
            expected = np.clip(np.floor(real + 0.5), 0, levels)
            multiplier, shift = steps_of(network, i, j)
            pre_shift = (1 << (shift - 15) >> 1) if isinstance(network, IntegerNetwork) else 0
            # The extended network's 31-bit multiplier is nearest to the ratio; the others are exact.
            slack = (0.5 + pre_shift) * multiplier / 2**shift + np.abs(real).max() * 2.0**-30
            far = np.abs(real + 0.5 - np.round(real + 0.5)) > slack
            np.testing.assert_array_equal(found[far], expected[far])
            assert np.abs(found - expected).max() <= 1
            compared += far.sum()
            unequal += (found != expected).sum()
            assert len(np.unique(found)) > min(levels, 127) / 16  # the layer does something
    assert compared > 0.5 * sum(v.size for v in values[1:])
    assert unequal < 0.1 * sum(v.size for v in values[1:])


@pytest.mark.parametrize("bits", [8, 4])
def test_tqt_gives_exactly_the_fake_quantized_integers(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps are powers of two: with biases on accumulator steps nothing is rounded twice, from the input to the filtered sample.

    The float network is evaluated with x / 256 in place of x / 255, which only changes the unit, so that float64 is exact, ties included.
    """
    quantizer = TQT(bits, 7)
    module = prepared(quantizer).double()
    assert isinstance(module, QuantizedNetwork)
    network, reason = quantizer.finish(module)
    assert isinstance(network, IntegerNetwork), reason
    assert any(branch.shift > 0 for layer in network.layers for branch in layer)  # two shifts that must round as one
    with torch.no_grad():
        for ratio, layer in zip(module.ratios_in(), module.quantized_convolutions(), strict=True):
            for conv in layer:
                codes = conv.integers()
                conv.bias.copy_(torch.tensor(integer_bias(codes, ratio)) * float(codes.step / ratio / tqt.UNIT))
    monkeypatch.setattr(tqt, "UNIT", Fraction(1))
    seen: list[np.ndarray] = []
    for activation in module.activations:
        activation.register_forward_hook(lambda a, _i, output: seen.append(output[0].numpy() / float(a.step())))
    samples = plane()
    with torch.no_grad():
        residual = module((torch.from_numpy(samples.astype(np.float64)) - 128)[None, None] / 256)[0, 0].numpy() * 256
    for found, expected in zip(seen, integer.layer_outputs(network, samples, 8), strict=True):
        np.testing.assert_array_equal(found, expected)
    filtered = np.clip(samples + np.floor(residual + 0.5), 0, 255)
    np.testing.assert_array_equal(integer.filter_plane(network, samples, 8), filtered)
    assert (filtered != samples).mean() > 0.1


def test_two_shifts_round_as_one_if_the_first_floors() -> None:
    """What TQT's biases rely on: sat16((acc - half + half) >> s1), then a power of two, is one rounding of acc, also where t saturates."""
    for s1, e in ((1, 9), (3, 11), (7, 15)):
        acc = np.arange(-(1 << 18), 1 << 18, 7, dtype=np.int64)
        once = np.clip((acc + (1 << e >> 1)) >> e, 0, 127)
        bias = -(1 << s1 >> 1)
        np.testing.assert_array_equal(requantize(acc + bias, s1, 1 << (15 + s1 - e)), once)
        assert (requantize(acc, s1, 1 << (15 + s1 - e)) != once).any()


@pytest.mark.parametrize("name", NORMATIVE)
def test_normative_networks_run_in_the_c_library_bit_for_bit(name: str) -> None:
    quantizer = QUANTIZERS[name]()
    network, _ = quantizer.finish(prepared(quantizer, 3))
    assert isinstance(network, IntegerNetwork)
    samples = plane(45, 70)
    expected = integer.filter_plane(network, samples, 8)
    assert (expected != samples).mean() > 0.1
    models = ModelSet((network,))
    for kernel, supported in kernels():
        if supported:
            np.testing.assert_array_equal(Filter(models, kernel).filter_plane(samples, 8, 0), expected)
    ten = samples.astype(np.uint16) * 4 + 1
    np.testing.assert_array_equal(Filter(models).filter_plane(ten, 10, 0), integer.filter_plane(network, ten, 10))


@pytest.mark.parametrize("name", [name for name in QUANTIZERS if name not in NORMATIVE])
def test_extended_networks_are_computed_alike_in_two_ways(name: str) -> None:
    quantizer = QUANTIZERS[name]()
    network, reason = quantizer.finish(prepared(quantizer, 3))
    assert isinstance(network, ExtendedNetwork)
    assert "zero point" in reason or "activations of 0.." in reason
    samples = plane()
    fast, plain = (network.run(integer.input_values(samples, 8), way) for way in (False, True))
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (network.filter_plane(samples) != samples).any()


def test_a_last_layer_beyond_the_normative_multiplier_becomes_an_extended_network() -> None:
    """Bounds of 6 make activations coarse; with large weights in the last layer m would exceed 1023."""
    quantizer = Fixed()
    network = small_network(1, (6.0,) * 3)
    last = (network.weights[-1][0] * 20,)
    module = quantizer.prepare(replace(network, weights=(*network.weights[:-1], last)), inputs())
    quantizer.enter("weights", module, inputs())
    quantizer.enter("bounds", module, inputs())
    found, reason = quantizer.finish(module)
    assert isinstance(found, ExtendedNetwork)
    assert "multiplier" in reason
    # The last layer, from the integer network's own activations: rounded once, beside the bias.
    samples = plane()
    residual = found.run(integer.input_values(samples, 8))[-1][0]
    assert module.plan is not None
    x = torch.from_numpy(integer_values(found, samples)[-1] / float(module.plan.ratios_in[-1]))[None]
    with torch.no_grad():
        real = module.double().convolutions()[-1][0](torch.nn.functional.pad(x, (1,) * 4))[0, 0].numpy() * 255
    assert np.abs(residual - np.clip(real, -512, 511)).max() <= 0.6
    assert np.abs(residual).max() > 10


def test_weights_have_the_bits_asked_for() -> None:
    """Between first and last layer; these keep 8."""
    for name, largest in (("brelu-4/7", 7), ("affine-4/7-bn", 7), ("tqt-4/7", 7), ("fq-conv-2/7", 1)):
        quantizer = QUANTIZERS[name]()
        network, _ = quantizer.finish(prepared(quantizer))
        assert isinstance(network, IntegerNetwork)
        found = [max(np.abs(b.weights.astype(int)).max() for b in layer) for layer in network.layers]
        assert found[1:3] == [largest] * 2
        assert min(found[0], found[3]) > 40


def test_ternary_ranges_have_the_least_error() -> None:
    torch.manual_seed(1)
    weight = torch.randn(4000)

    def error(value: float) -> float:
        return float((LearnedRange.apply(weight, torch.tensor(log(value)), -1, 1) - weight).square().sum())

    best = best_range(weight, 1)
    assert error(best) <= min(error(best * factor) for factor in (0.7, 0.9, 1.1, 1.4))
    assert best < 0.6 * float(weight.abs().max())


def test_noise_is_there_in_training_only() -> None:
    noise = Noise(0.3, 0.3, 0.3)
    module = FQConv(2, 7, noise).prepare(small_network(1, (float("inf"),) * 3), inputs())
    plain = FQConv(2, 7).prepare(small_network(1, (float("inf"),) * 3), inputs()).train()
    x = inputs()[0]
    with torch.no_grad():
        assert torch.equal(module.eval()(x), plain(x))
        assert not torch.equal(module.train()(x), plain(x))
        # Each of the three alone does something, of its own size.
        for kind in ("weights", "activations", "outputs"):
            sizes = []
            for value in (0.2, 2.0):
                torch.manual_seed(1)
                one = FQConv(2, 7, Noise(**{kind: value})).prepare(small_network(1, (float("inf"),) * 3), inputs()).train()
                sizes.append(float((one(x) - plain(x)).square().mean().sqrt()))
            assert 0 < sizes[0] < sizes[1]


# Stages.


def test_stages_of_each_method() -> None:
    def names(quantizer: Quantizer) -> list[tuple[str, int]]:
        gains: dict[str, float] = {}
        found = []
        while (stage := quantizer.next_stage(gains, (300, 303))) is not None:
            found.append((stage.name, stage.steps))
            gains[stage.name] = 0.0
        return found

    assert names(Geometric()) == [("weights", 300), ("bounds", 303)]
    assert names(Affine()) == [("ranges", 300), ("activations", 303)]
    assert names(TQT()) == [("thresholds", 603)]
    assert names(FQConv(2)) == [("8 bits", 201), ("4 bits", 201), ("2 bits", 201)]
    assert names(FQConv(4)) == [("8 bits", 301), ("4 bits", 301)]
    assert names(NSigma()) == [("weights", 300), ("n=3.0", 303)]


def test_n_grows_while_the_bounds_cost_too_much() -> None:
    """Algorithm 1, step 6: do ... while the accuracy is less than step 4's by the threshold."""
    quantizer = NSigma(threshold=0.01)
    gains = {"weights": 0.5, "n=3.0": 0.4}
    stage = quantizer.next_stage(gains, (10, 20))
    assert (stage.name, stage.after) == ("n=3.5", "weights")
    assert quantizer.next_stage(gains | {"n=3.5": 0.491}, (10, 20)) is None
    assert quantizer.next_stage(gains | {"n=3.5": 0.489}, (10, 20)).name == "n=4.0"
    assert NSigma(last=3.0).next_stage(gains, (10, 20)) is None
    assert quantizer.next_stage(gains | {"n=3.5": 0.39}, (10, 20)) is None, "a larger n costs more"
    assert quantizer.kept(gains | {"n=3.5": 0.39}) == "n=3.0"
    assert quantizer.kept(gains | {"n=3.5": 0.49}) == "n=3.5"
    assert Geometric().kept({"weights": 0.5, "bounds": 0.4}) == "bounds"


def test_the_network_of_the_best_n_is_kept(
    pair_file: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Although others were trained after it, and also if nothing is left to do."""
    file = pairs.read(pair_file)
    network = small_network(1, (float("inf"),) * 3)
    one = fine_tune(NSigma(last=3.0), network, [file], [file], TINY, tmp_path / "one")
    found = iter((0.5, 0.3, 0.2))
    monkeypatch.setattr("vrcnn_int.research.fine_tune.psnr_gain", lambda *_: Gains(30.0, next(found), [], []))
    for _ in range(2):
        best = fine_tune(NSigma(), network, [file], [file], TINY, tmp_path / "best")
        assert best.gains == {"weights": 0.5, "n=3.0": 0.3, "n=3.5": 0.2}
        for a, b in zip(best.network.state_dict().values(), one.network.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_n_sigma_bounds_grow_with_n() -> None:
    network = small_network(1, (float("inf"),) * 3)
    bounds = []
    for n in ("n=3.0", "n=4.0"):
        quantizer = NSigma()
        module = quantizer.prepare(network, inputs())
        quantizer.enter("weights", module, inputs())
        quantizer.enter(n, module, inputs())
        bounds.append([activation.bound for activation in module.activations])
    assert all(0 < low < high < 50 for low, high in zip(*bounds, strict=True))


def test_the_products_own_way_is_the_one_that_training_goes(pair_file: Path, tmp_path: Path) -> None:  # noqa: F811
    """fine_tune with the geometric quantizer gives train()'s network, bit for bit, where that rounds its first layer as the papers do."""
    settings = replace(TINY, hold_first_layer=False)
    train([pair_file], [pair_file], tmp_path / "run", settings)
    (network,), _ = load_float_networks(tmp_path / "run/float.npz")
    (tuned,), _ = load_float_networks(tmp_path / "run/tuned.npz")
    file = pairs.read(pair_file)
    result = fine_tune(Geometric(), network, [file], [file], settings, tmp_path / "again")
    assert result.network.export().identity == tuned.identity
    assert result.network.export().tuning == tuned.tuning
    assert result.steps == 6


@pytest.mark.parametrize(
    ("quantizer", "stop"),
    [
        (lambda: FQConv(2, 7, Noise(0.1, 0.1, 0.1)), ("4 bits", 2)),
        (lambda: Affine(8, 7, True, True), ("activations", 1)),
        (lambda: NSigma(last=3.5, threshold=-100.0), ("n=3.5", 2)),
        (lambda: TQT(8, 7), ("thresholds", 5)),
    ],
)
def test_interrupted_fine_tuning_goes_on_to_the_same_network(
    pair_file: Path,  # noqa: F811
    tmp_path: Path,
    quantizer: Callable[[], Quantizer],
    stop: tuple[str, int],
) -> None:
    file = pairs.read(pair_file)
    chosen = replace(TINY, weight_steps=6, bound_steps=6, average=0.5)
    train([pair_file], [], tmp_path / "float", replace(chosen, bound_rule="relu"), stages=("float",))
    (network,), _ = load_float_networks(tmp_path / "float/float.npz")
    whole = fine_tune(quantizer(), network, [file], [file], chosen, tmp_path / "whole")

    def interrupt(stage: str, step: int, *_: object) -> None:
        if (stage, step) == stop:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fine_tune(quantizer(), network, [file], [file], chosen, tmp_path / "parts", interrupt)
    parts = fine_tune(quantizer(), network, [file], [file], chosen, tmp_path / "parts")
    for found in (parts, fine_tune(quantizer(), network, [file], [file], chosen, tmp_path / "parts")):
        assert found.gains == whole.gains
        for a, b in zip(found.network.state_dict().values(), whole.network.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    assert (tmp_path / "parts/log.jsonl").read_text() == (tmp_path / "whole/log.jsonl").read_text()
    with pytest.raises(VrcnnError, match="other settings"):
        fine_tune(quantizer(), network, [file], [file], replace(chosen, seed=2), tmp_path / "parts")


def test_training_moves_what_a_method_learns(pair_file: Path, tmp_path: Path) -> None:  # noqa: F811
    """Thresholds and ranges learn, at their own rate, and losses fall."""
    file = pairs.read(pair_file)
    chosen = replace(TINY, weight_steps=20, bound_steps=20, tuning_rate=1e-3)
    network = small_network(1, (float("inf"),) * 3)
    for quantizer, name in ((TQT(8, 7), "log_threshold"), (FQConv(8, 7), ".s")):
        before = quantizer.prepare(network, inputs()).state_dict()
        after = fine_tune(quantizer, network, [file], [file], chosen, tmp_path / quantizer.name).network.state_dict()
        moved = [float((after[key] - before[key]).abs()) for key in after if key.endswith(name)]
        assert len(moved) == 5 + 3
        assert min(moved) > 0
        assert max(moved) > 1e-3 * (100 if quantizer.name == "tqt" else 10) / 10


def test_bits_that_no_method_has_are_refused() -> None:
    for bits in ((1, 7), (9, 7), (8, 9)):
        with pytest.raises(VrcnnError, match="2 to 8 bits"):
            TQT(*bits)


def test_plans_of_other_levels_survive_json_and_are_not_normative() -> None:
    network = small_network()
    plan = make_plan(network, 255, 7)
    assert type(plan).from_json(plan.to_json()) == plan
    assert plan.bounds[0] == Fraction(255) / plan.branches[0][0].ratio
    assert "levels" not in make_plan(network).to_json()
    with pytest.raises(VrcnnError, match=r"0\.\.255 are not the normative filter's"):
        to_integer(replace(network, tuning=plan.to_json()))
