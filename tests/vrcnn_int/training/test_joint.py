"""Joint networks as modules: what they compute, and that as integers they are the same. Needs torch."""

from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.models import float_network, picture
from vrcnn_int import integer
from vrcnn_int.network import Architecture, Convolution, joint, reach
from vrcnn_int.quantize.bounds import bounds_for
from vrcnn_int.quantize.plan import Plan, to_integer
from vrcnn_int.training.module import Network, module_from
from vrcnn_int.training.start import begin_with

TINY = joint("fast", 16, 2)
FAR = Architecture(((Convolution(16, 3),),) * 6 + ((Convolution(8, 1), Convolution(4, 1)),), "joint", "best", 2, (0, 1, 0, 3, 4, 1, 0))
"""Two heads, and additions of every distance."""


@pytest.mark.parametrize("architecture", [TINY, FAR])
def test_forward_is_blocks_of_convolutions_and_additions(architecture: Architecture) -> None:
    """The module against the same written with torch's own functions."""
    network = float_network(1, architecture)
    x = torch.rand(2, 6, 11, 9) - 0.5
    values, outputs = x, []
    for i, bound in enumerate(network.bounds):
        (weight,), (bias,) = network.weights[i], network.biases[i]
        values = torch.nn.functional.conv2d(values, torch.from_numpy(weight), torch.from_numpy(bias), padding="same")
        back = architecture.added[i]
        values = (values + outputs[i - back] if back else values).clamp(0, bound)
        outputs.append(values)
    last = zip(network.weights[-1], network.biases[-1], strict=True)
    luma, chroma = (
        torch.nn.functional.conv2d(values, torch.from_numpy(weight), torch.from_numpy(bias), padding="same") for weight, bias in last
    )
    heads = architecture.heads
    expected = torch.cat([part for h in range(heads) for part in (luma[:, 4 * h : 4 * h + 4], chroma[:, 2 * h : 2 * h + 2])], 1)
    with torch.no_grad():
        found = module_from(network)(x)
    assert found.shape == (2, 6 * heads, 11, 9)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("architecture", [TINY, FAR])
def test_valid_patches_are_the_inside_of_padded_ones(architecture: Architecture) -> None:
    module = module_from(float_network(2, architecture))
    margin = reach(architecture)
    x = torch.rand(1, 6, 30, 28) - 0.5
    with torch.no_grad():
        torch.testing.assert_close(module(x, valid=True), module(x)[:, :, margin:-margin, margin:-margin])


def test_export_and_back() -> None:
    torch.manual_seed(1)
    module = Network(FAR, bounds_for(FAR, 20.0), 32, "after_sao")
    again = module_from(module.export())
    assert again.architecture == module.export().architecture == FAR
    x = torch.rand(1, 6, 9, 8) - 0.5
    with torch.no_grad():
        torch.testing.assert_close(again(x), module(x))
    other = Network(FAR, bounds_for(FAR, 40.0), 37, "after_sao")
    begin_with(other, module.export())
    with torch.no_grad():
        torch.testing.assert_close(other.convolutions()[-1][1].weight.abs().sum() > 0, torch.tensor(True))


@pytest.mark.parametrize("architecture", [TINY, FAR])
@pytest.mark.parametrize("depths", [(8, 8), (10, 8)])
def test_the_quantized_module_is_the_integer_network_bit_for_bit(architecture: Architecture, depths: tuple[int, int]) -> None:
    """In its bounded form, in float64 and with biases that are whole steps, the module computes the oracle's integers in every layer."""
    module = module_from(float_network(3, architecture, 0.16))
    module.quantize_bounds()
    network, plan = to_integer(module.export()), module.plan
    assert isinstance(plan, Plan)
    module.double()
    with torch.no_grad():
        for i, layer in enumerate(module.convolutions()):
            for conv, branch, rescale in zip(layer, network.layers[i], plan.branches[i], strict=True):
                assert branch.shift == 0 or i == len(network.layers) - 1  # one rounding, in hidden layers
                conv.step = float(rescale.delta)
                # A little more, so that ties go up in float64 too.
                conv.bias.copy_(torch.from_numpy((branch.bias + 1e-6) / float(plan.ratios_in[i] / rescale.delta)))
    rng = np.random.default_rng(4)
    planes = [picture(rng, "random", *shape, depth) for shape, depth in (((13, 18), depths[0]), ((7, 9), depths[1]), ((7, 9), depths[1]))]
    seen = []
    for activation in module.activations:
        activation.register_forward_hook(lambda _m, _i, output: seen.append(output[0].numpy()))
    x = integer.site_values(planes, depths, "420")
    with torch.no_grad():
        residual = module(torch.from_numpy(x / 255.0)[None])[0].numpy()
    values = integer.joint_layer_outputs(network, planes, depths)
    for output, expected, bound in zip(seen, values, plan.bounds, strict=True):
        np.testing.assert_allclose(output * float(127 / bound), expected, atol=1e-6)
        assert len(np.unique(expected)) > 20
    by_head = residual.reshape(network.heads, 6, 7, 9)
    for part, branch, place in ((by_head[:, :4], network.layers[-1][0], 0), (by_head[:, 4:], network.layers[-1][1], 1)):
        ratio = Fraction(255) * (1 << (branch.shift + 15)) / branch.multiplier  # accumulator steps for 1.0
        assert ratio == plan.ratios_in[-1] / plan.branches[-1][place].delta
        accumulators = part.reshape(-1, 7, 9) * float(ratio)
        np.testing.assert_allclose(accumulators, integer.accumulate(values[-1], branch), atol=1e-3)


def test_training_a_few_steps_and_quantizing_keeps_the_function() -> None:
    """Through the three forms: a joint network learns to undo a constant offset of each plane, and its integers do too."""
    torch.manual_seed(5)
    module = Network(TINY, bounds_for(TINY, 20.0), 32, "before_deblocking")
    offsets = torch.tensor([4.0, 4, 4, 4, -3, 2])[None, :, None, None] / 255
    for stage in range(3):
        if stage == 1:
            module.discretize_weights()
        if stage == 2:
            module.quantize_bounds()
        optimizer = torch.optim.Adam(module.parameters(), 2e-3)
        for _ in range(60):
            x = torch.rand(4, 6, 16, 16) - 0.5
            loss = (module(x) - offsets).square().mean() * 255**2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            module.clamp_weights()
    assert loss < 1
    network = to_integer(module.export())
    rng = np.random.default_rng(6)
    planes = [rng.integers(40, 200, shape).astype(np.uint8) for shape in ((32, 32), (16, 16), (16, 16))]
    found = integer.filter_planes(network, planes, (8, 8))
    for plane, filtered, offset in zip(planes, found, (4, -3, 2), strict=True):
        assert np.mean(filtered.astype(float) - plane) == pytest.approx(offset, abs=0.7)
