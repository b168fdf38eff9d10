"""Residual networks: additions with synchronized ratios, merging, pruning, the oracle and its C counterpart, training."""

import hashlib
import json
import os
import signal
import struct
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from codec_bridge.filter import ErrorCode, Filter
from tests.support.errors import refused_as
from vrcnn_int.cli.commands import app
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelError, ModelSet
from vrcnn_int.requant import QuantizationError
from vrcnn_int.research.extended import Add, Concatenate, Convolve, ExtendedNetwork, MaxPool, Operation, Requantize, prune
from vrcnn_int.research.papers import CONFIGURATIONS, paper_table
from vrcnn_int.research.residual import network as residual
from vrcnn_int.research.residual.network import FILTER, Block, Design, Layer, MergedNetwork, multiplier, quantize, resnet18

ROOT = Path(__file__).resolve().parents[3]
SMALL = Design(1, 4, (Block(4), Block(6)))
"""Both kinds of skip."""


def merged(design: Design, rng: np.random.Generator, bias: float = 0.05) -> MergedNetwork:
    """A network of random weights whose channels differ in size, as after merging batch normalization."""

    def layer(outputs: int, inputs: int, k: int, stride: int = 1) -> Layer:
        scale = rng.uniform(0.2, 2, (outputs, 1, 1, 1)) * (2 / (inputs * k * k)) ** 0.5
        return Layer(rng.normal(0, 1, (outputs, inputs, k, k)) * scale, rng.normal(0, bias, outputs), stride)

    blocks = []
    for n, block in enumerate(design.blocks):
        inputs = design.inputs_of(n)
        skip = layer(block.channels, inputs, 1, block.stride) if design.projected(n) else None
        blocks.append((layer(block.channels, inputs, 3, block.stride), layer(block.channels, block.channels, 3), skip))
    last = layer(design.classes or 1, design.blocks[-1].channels, 1 if design.classes else 3)
    bounds = tuple(rng.uniform(0.5, 3, 1 + 2 * len(blocks)).tolist())
    return MergedNetwork(design, layer(design.stem, design.inputs, 3), tuple(blocks), last, bounds)


def by_hand(data: bytes, plane: np.ndarray) -> list[np.ndarray]:
    """Every value of a network, from the bytes of its file and in Python's integers: nothing of the project does any of it."""
    at = 16

    def take(layout: str) -> tuple[int, ...]:
        nonlocal at
        at += struct.calcsize("<" + layout)
        return struct.unpack_from("<" + layout, data, at - struct.calcsize("<" + layout))

    _, count = take("HH")
    values: list[Any] = [[[[int(s) - 128 for s in row] for row in plane]]]
    height, width = plane.shape
    for _ in range(count):
        kind, inputs = take("BB")
        read = [values[i] for i in take(f"{inputs}H")]
        out: list[Any] = []
        if kind == 1:
            outputs, sources, k, stride, _, _, zero_point = take("HHBBBBh")
            assert stride == 1
            bias, weights = take(f"{outputs}i"), take(f"{outputs * sources * k * k}h")
            for o in range(outputs):
                rows = []
                for y in range(height):
                    row = []
                    for x in range(width):
                        total = bias[o]
                        for i in range(sources):
                            for dy in range(k):
                                for dx in range(k):
                                    v, u = y + dy - k // 2, x + dx - k // 2
                                    if 0 <= v < height and 0 <= u < width:
                                        total += (weights[((o * sources + i) * k + dy) * k + dx] - zero_point) * read[0][i][v][u]
                        row.append(total)
                    rows.append(row)
                out.append(rows)
        elif kind == 2:
            (channels,) = take("H")
            low, high = take("ii")
            multipliers, shifts = take(f"{channels}i"), take(f"{channels}B")
            for c, rows in enumerate(read[0]):
                m, s = multipliers[c % channels], shifts[c % channels]
                out.append([[min(max((v * m + 2**s // 2) // 2**s, low), high) for v in row] for row in rows])
        else:
            assert kind == 3
            out = [
                [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)] for planes in zip(*read, strict=True)
            ]
        values.append(out)
    return [np.array(v, np.int64) for v in values]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """c/research/vrcnn_extended.c, compiled."""
    path = tmp_path_factory.mktemp("extended") / "vrcnn_extended"
    sources = [str(ROOT / "c" / name) for name in ("research/vrcnn_extended.c", "src/sha256.c")]
    words = [
        os.environ.get("CC", "cc"),
        "-std=c99",
        "-O3",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-I",
        str(ROOT / "c/src"),
        "-o",
        str(path),
        *sources,
    ]
    subprocess.run(words, check=True)
    return path


def run_c(program: Path, folder: Path, data: bytes, plane: np.ndarray, *value: int) -> subprocess.CompletedProcess[str]:
    """Run the program on a network's file and a plane; what it writes is folder/out."""
    (folder / "model").write_bytes(data)
    plane.tofile(folder / "in")
    size = f"{plane.shape[1]}x{plane.shape[0]}"
    words = [program, folder / "model", size, folder / "in", folder / "out", *map(str, value)]
    return subprocess.run(words, capture_output=True, text=True)


def assert_c_gives_the_oracles_integers(program: Path, folder: Path, network: ExtendedNetwork, plane: np.ndarray) -> None:
    data = network.to_bytes()
    assert run_c(program, folder, data, plane).returncode == 0
    np.testing.assert_array_equal(np.fromfile(folder / "out", np.uint8).reshape(plane.shape), network.filter_plane(plane))
    for n, expected in enumerate(network.run(plane[None].astype(np.int64) - 128)[1:], 1):
        assert run_c(program, folder, data, plane, n).returncode == 0
        np.testing.assert_array_equal(np.fromfile(folder / "out", np.int32).reshape(expected.shape), expected)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31 - 1), st.booleans())
def test_oracle_is_the_computation_by_hand(seed: int, synchronize: bool) -> None:
    rng = np.random.default_rng(seed)
    network = quantize(merged(SMALL, rng), {}, synchronize).network
    plane = rng.integers(0, 256, (3, 4)).astype(np.uint8)
    expected = by_hand(network.to_bytes(), plane)
    for plain in (False, True):
        for a, b in zip(network.run(plane[None].astype(np.int64) - 128, plain), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(network.filter_plane(plane), np.clip(plane + expected[-1][0], 0, 255))


def extreme(kind: str, rng: np.random.Generator) -> ExtendedNetwork:
    """The small network with weights and biases at their ends: sums reach as far as int32 lets them."""
    network = quantize(merged(SMALL, rng), {}).network
    operations: list[Operation] = []
    for operation in network.operations:
        if isinstance(operation, Convolve):
            ends = {"high": [127], "low": [-127], "both": [-127, 127]}[kind]
            weights = rng.choice(ends, operation.weights.shape).astype(np.int16)
            changed = replace(operation, weights=weights, bias=np.zeros_like(operation.bias))
            # The input's interval is the largest that any value convolutions read here can have.
            reach = 128 * 127 * weights[0].size
            bias = np.resize([2**31 - 1 - reach, -(2**31) + reach, 0], len(operation.bias))
            operation = replace(changed, bias=bias.astype(np.int32))
        elif isinstance(operation, Requantize) and len(operation.multiplier) > 1:
            shifts = np.resize([0, 62, 7, 20], len(operation.shift)).astype(np.uint8)
            multipliers = np.resize([1, 2**31 - 1, 255, 128], len(shifts)).astype(np.int32)
            operation = replace(operation, multiplier=multipliers, shift=shifts)
        operations.append(operation)
    return ExtendedNetwork(tuple(operations), 1, {})


@pytest.mark.parametrize("kind", ["high", "low", "both"])
def test_c_and_oracle_are_equal_at_the_ends(program: Path, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(5)
    network = extreme(kind, rng)
    lows, highs = (np.concatenate(side) for side in zip(*network.intervals(), strict=True))
    assert lows.min() < -(2**31) * 0.9
    assert highs.max() > 2**31 * 0.9
    for plane in (np.zeros((3, 4), np.uint8), np.full((3, 4), 255, np.uint8), rng.integers(0, 256, (3, 4)).astype(np.uint8)):
        assert_c_gives_the_oracles_integers(program, tmp_path, network, plane)
        for a, b in zip(network.run(plane[None].astype(np.int64) - 128), by_hand(network.to_bytes(), plane), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 17), (19, 1), (2, 3), (33, 40)])
def test_c_gives_the_oracles_integers_for_the_filter(program: Path, tmp_path: Path, height: int, width: int) -> None:
    rng = np.random.default_rng([height, width])
    network = quantize(merged(FILTER, rng), {"qp": 37}, bool(height % 2)).network
    plane = rng.integers(0, 256, (height, width)).astype(np.uint8)
    assert (network.filter_plane(plane) != plane).mean() > 0.5 or plane.size == 1
    assert_c_gives_the_oracles_integers(program, tmp_path, network, plane)


def test_c_runs_zero_points_and_concatenation(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    ones = np.array([40000], np.int32), np.array([24], np.uint8)
    first = Convolve((0,), rng.integers(0, 256, (3, 1, 5, 5)).astype(np.int16), 130, 8, np.array([1, -7, 900], np.int32))
    last = Convolve((3,), rng.integers(0, 256, (1, 6, 1, 1)).astype(np.int16), 121, 8, np.array([5], np.int32))
    operations = (first, Requantize((1,), *ones, 0, 255), Concatenate((2, 2)), last, Requantize((4,), *ones, -512, 511))
    network = ExtendedNetwork(operations, 1, {})
    assert_c_gives_the_oracles_integers(program, tmp_path, network, rng.integers(0, 256, (6, 7)).astype(np.uint8))


def test_c_refuses_what_it_does_not_run(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    plane = rng.integers(0, 256, (4, 5)).astype(np.uint8)
    good = quantize(merged(SMALL, rng), {}).network
    data = good.to_bytes()
    for position in rng.integers(0, len(data), 40).tolist():
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        assert run_c(program, tmp_path, bytes(damaged), plane).returncode == 1
    first = good.operations[0]
    assert isinstance(first, Convolve)
    strided = ExtendedNetwork((replace(first, stride=2), *good.operations[1:]), 1, {}).to_bytes()
    pooled = ExtendedNetwork((MaxPool((0,), 3, 1),), 1, {}).to_bytes()
    open_ended = ExtendedNetwork(good.operations[:2], 1, {}).to_bytes()
    for bad, message in (
        (strided, "operation 1: strides"),
        (pooled, "operation 1: pooling"),
        (open_ended, "the last value has 4 channels"),
        (data[:40], "not an extended network"),
        (b"", "not an extended network"),
        ((ROOT / "vrcnn_int/models/vrcnn_intra.vrcnn").read_bytes(), "not an extended network (format version 257)"),
    ):
        done = run_c(program, tmp_path, bad, plane)
        assert (done.returncode, message in done.stderr, done.stderr.count("\n")) == (1, True, 1), done.stderr
    words = [program, tmp_path / "model", "5x5", tmp_path / "in", tmp_path / "other"]
    (tmp_path / "model").write_bytes(data)
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, "has 20 samples, not 25" in done.stderr) == (1, True)
    assert not (tmp_path / "other").exists()
    # A file that is whole but whose sums can leave int32: the oracle does not make one.
    with pytest.raises(ModelError, match="beyond int32"):
        ExtendedNetwork((replace(first, bias=np.full_like(first.bias, 2**31 - 1)),), 1, {})
    biases = data.index(first.bias.astype("<i4").tobytes())
    body = data[:biases] + b"\xff\xff\xff\x7f" + data[biases + 4 : -32]
    done = run_c(program, tmp_path, body + hashlib.sha256(body).digest(), plane)
    assert (done.returncode, "operation 1: values can leave 32 bits" in done.stderr) == (1, True)


def test_everything_normative_refuses_a_residual_network(tmp_path: Path) -> None:
    path = tmp_path / "a.vrcnn"
    quantize(merged(SMALL, np.random.default_rng(1)), {}).network.save(path)
    with pytest.raises(ModelError, match="format version 257"):
        ModelSet.load(path)
    with refused_as(ErrorCode.VERSION):
        Filter(path)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31 - 1), st.integers(2, 15))
def test_ratios_that_are_added_are_equal(seed: int, bits: int) -> None:
    """As fractions, for both kinds of skip; without synchronization they are not, but near."""
    design = Design(1, 2, (Block(2), Block(3), Block(3), Block(2)))
    network = merged(design, np.random.default_rng(seed), 0.5)
    try:
        found = quantize(network, {}, True, bits)
    except QuantizationError:
        reject()  # multipliers of two or three bits cannot express every ratio
    assert len(found.additions) == len(design.blocks)
    for n, addition in enumerate(found.additions):
        assert len(addition.skip) == len(addition.convolution) == design.blocks[n].channels
        assert len({*addition.skip, *addition.convolution}) == 1
    unequal = [{*a.skip, *a.convolution} for a in quantize(network, {}, False, bits).additions]
    assert any(len(ratios) > 1 for ratios in unequal)
    for ratios in unequal:
        assert max(ratios) / min(ratios) < 1 + Fraction(4, 1 << bits)


def test_integers_follow_the_real_network() -> None:
    """Sums divided by their ratios are the real numbers' sums, within what rounding weights and activations can do."""
    rng = np.random.default_rng(4)
    network = merged(SMALL, rng)
    found = quantize(network, {})
    x = rng.integers(-128, 128, (1, 9, 8))

    def convolve(values: np.ndarray, layer: Layer) -> np.ndarray:
        k = layer.weights.shape[2]
        padded = np.pad(values, ((0, 0), (k // 2,) * 2, (k // 2,) * 2))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (1, 2))
        return np.einsum("ihwyx,oiyx->ohw", windows, layer.weights) + layer.bias[:, None, None]

    bounds = iter(network.bounds)
    real = [np.clip(convolve(x / 255, network.stem), 0, next(bounds))]
    for first, second, skip in network.blocks:
        inner = np.clip(convolve(real[-1], first), 0, next(bounds))
        total = convolve(inner, second) + (real[-1] if skip is None else convolve(real[-1], skip))
        real.append(np.clip(total, 0, next(bounds)))
    values = found.network.run(x)
    sums = [n for n, operation in enumerate(found.network.operations, 1) if isinstance(operation, Add)]
    for n, addition, expected, bound in zip(sums, found.additions, real[1:], network.bounds[2::2], strict=True):
        got = np.clip(values[n] / float(addition.skip[0]), 0, bound)
        assert np.abs(got - expected).max() < 0.06 * bound
    assert np.abs(values[-1][0] - 255 * convolve(real[-1], network.last)[0]).max() < 0.02 * 255 * np.abs(network.last.weights).sum()


@settings(deadline=None)
@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(2, 15))
def test_multipliers_are_the_nearest(numerator: int, denominator: int, bits: int) -> None:
    ratio = Fraction(numerator, denominator)
    try:
        found = {up: multiplier(ratio, bits, up) for up in (False, True)}
    except QuantizationError:
        assert ratio >= 1 << (bits - 1) or ratio < Fraction(1, 1 << 40)
        return
    for up, (m, s) in found.items():
        assert 1 << (bits - 1) <= m < 1 << bits
        difference = Fraction(m, 1 << s) - ratio
        unit = Fraction(1, 1 << s)
        assert (0 if up else -unit / 2) <= difference <= (unit if up else unit / 2)


def test_networks_that_cannot_be_quantized_are_refused() -> None:
    network = merged(SMALL, np.random.default_rng(1))
    with pytest.raises(QuantizationError, match="not a number above 0"):
        quantize(replace(network, bounds=(float("inf"), *network.bounds[1:])))
    broken = replace(network.stem, weights=np.full_like(network.stem.weights, np.nan))
    with pytest.raises(QuantizationError, match="diverged"):
        quantize(replace(network, stem=broken))
    flat = resnet18(3, 1, 2)
    classifier = merged(flat, np.random.default_rng(1))
    nothing = Layer(np.zeros_like(classifier.last.weights), np.zeros(3))
    with pytest.raises(QuantizationError, match="last layer are 0"):
        quantize(replace(classifier, last=nothing), {"size": 8})


def silence(layer: Layer, channel: int, weights: float) -> Layer:
    """The layer with a channel whose output is never above 0."""
    w, b = layer.weights.copy(), layer.bias.copy()
    w[channel] *= weights
    b[channel] = -0.25
    return Layer(w, b, layer.stride)


@pytest.mark.parametrize("weights", [0.0, 1e-12])
def test_dead_channels_go_and_outputs_stay(weights: float) -> None:
    """Between the convolutions of a block one alone; along identity skips only where it is dead everywhere."""
    rng = np.random.default_rng(6)
    network = merged(SMALL, rng, 0.02)
    (first, second, none), (third, fourth, skip) = network.blocks
    assert none is None
    dead_inside = replace(
        network, blocks=((silence(first, 2, weights), second, None), (silence(silence(third, 0, weights), 5, weights), fourth, skip))
    )
    dead_along = replace(dead_inside, stem=silence(network.stem, 1, weights))
    dead_stream = replace(dead_along, blocks=((dead_along.blocks[0][0], silence(second, 1, weights), None), dead_along.blocks[1]))
    x = rng.integers(-128, 128, (1, 8, 9))
    for tried, gone in ((network, []), (dead_inside, [[2], [0, 5]]), (dead_along, [[2], [0, 5]]), (dead_stream, [[1], [2], [1], [0, 5]])):
        whole = quantize(tried, {"qp": 1}).network
        small, found = prune(whole)
        assert list(found.values()) == gone
        assert small.meta == whole.meta
        np.testing.assert_array_equal(small.run(x)[-1], whole.run(x)[-1])
        for n, channels in found.items():
            assert not whole.run(x)[n][channels].any()
            assert len(small.run(x)[n]) == len(whole.run(x)[n]) - len(channels)
        assert (len(small.to_bytes()) < len(whole.to_bytes())) == bool(gone)


def test_concatenated_values_stay_whole() -> None:
    rng = np.random.default_rng(7)
    half = np.array([1 << 14], np.int32), np.array([20], np.uint8)
    first = Convolve((0,), rng.integers(-127, 128, (3, 1, 3, 3)).astype(np.int16), 0, 8, np.array([0, -(2**24), 0], np.int32))
    last = Convolve((3,), rng.integers(-127, 128, (1, 6, 3, 3)).astype(np.int16), 0, 8, np.zeros(1, np.int32))
    network = ExtendedNetwork((first, Requantize((1,), *half, 0, 127), Concatenate((2, 2)), last), 1, {})
    x = rng.integers(-128, 128, (1, 6, 6))
    assert not network.run(x)[2][1].any()
    small, gone = prune(network)
    assert gone == {}
    assert small.to_bytes() == network.to_bytes()


def test_a_layer_that_is_dead_keeps_a_channel() -> None:
    rng = np.random.default_rng(6)
    network = merged(SMALL, rng)
    first, second, _ = network.blocks[0]
    dead = Layer(np.zeros_like(first.weights), np.full(4, -0.5))
    whole = quantize(replace(network, blocks=((dead, second, None), network.blocks[1])), {}).network
    small, found = prune(whole)
    assert list(found.values()) == [[1, 2, 3]]
    x = rng.integers(-128, 128, (1, 5, 5))
    np.testing.assert_array_equal(small.run(x)[-1], whole.run(x)[-1])


def test_resnet_18_is_resnet_18() -> None:
    design = resnet18(1000, 3)
    assert [(b.channels, b.stride) for b in design.blocks] == [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]
    assert [n for n in range(8) if design.projected(n)] == [2, 4, 6]
    # torchvision's has 11 689 512 parameters, with a 7x7 stem and two for each of the 4800 normalized channels.
    stem = 64 * 3 * (49 - 9)
    assert merged(design, np.random.default_rng(0)).parameters == 11689512 - stem - 4800


def test_strided_and_pooled_layers_in_both_ways() -> None:
    """ResNet-18 with few channels, from 32x32 pictures of three channels down to one sample."""
    rng = np.random.default_rng(2)
    for pool, size in ((True, 32), (False, 9)):
        network = quantize(merged(resnet18(5, 3, 2, pool), rng), {"size": size}).network
        x = rng.integers(-128, 128, (3, size, size))
        fast, plain = (network.run(x, way) for way in (False, True))
        for a, b in zip(fast, plain, strict=True):
            np.testing.assert_array_equal(a, b)
        assert fast[-1].shape == (5, 1, 1)
        again = ExtendedNetwork.from_bytes(network.to_bytes())
        np.testing.assert_array_equal(again.run(x)[-1], fast[-1])
        with pytest.raises(ModelError, match="pictures must have its size"):
            network.run(x[:, : size // 2])


# ---- with torch ----


@pytest.fixture
def torch() -> Any:
    module = pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")
    module.set_num_threads(1)
    return module


@pytest.mark.parametrize("seed", range(5))
def test_merged_batch_normalization_is_equal_in_float64(torch: Any, seed: int) -> None:
    """With numbers that float64 holds exactly there is nothing to round: equal, not close."""
    from vrcnn_int.research.residual.module import ChannelConv

    rng = np.random.default_rng(seed)
    conv = ChannelConv(3, 4, 3, stride=1 + seed % 2).double()
    norm = conv.norm
    norm.eps = 2.0**-16

    def put(target: Any, values: np.ndarray) -> None:
        with torch.no_grad():
            target.copy_(torch.from_numpy(values))

    put(conv.weight, rng.integers(-64, 65, (4, 3, 3, 3)) / 64)
    put(norm.weight, rng.choice([-2.0, 0.5, 1.0, 0.0, 8.0], 4))
    put(norm.bias, rng.integers(-64, 65, 4) / 32)
    put(norm.running_mean, rng.integers(-64, 65, 4) / 16)
    deviation = rng.choice([0.25, 0.5, 1.0, 4.0], 4)
    put(norm.running_var, deviation**2 - norm.eps)
    x = rng.integers(-128, 128, (2, 3, 6, 7)) / 256
    conv.eval()
    with torch.no_grad():
        expected = conv(torch.from_numpy(x)).numpy()
    layer = conv.merged()
    with torch.no_grad():
        plain = torch.nn.functional.conv2d(
            torch.from_numpy(x), torch.from_numpy(layer.weights), torch.from_numpy(layer.bias), layer.stride, 1
        )
    np.testing.assert_array_equal(plain.numpy(), expected)
    assert np.abs(expected).max() > 0
    # Each channel's weights are the old ones times one factor: its step changes, its integers do not.
    factors = layer.weights / np.where(conv.weight.detach().numpy() == 0, np.nan, conv.weight.detach().numpy())
    assert all(len(np.unique(f[np.isfinite(f)])) == 1 for f in factors)


def test_the_module_computes_what_its_merged_form_says(torch: Any) -> None:
    """Forward with bounds and 7-bit activations beside the integer network: same residuals but for rounding."""
    from vrcnn_int.research.residual.filter import filter_plane
    from vrcnn_int.research.residual.module import ResidualNetwork

    torch.manual_seed(3)
    module = ResidualNetwork(SMALL)
    rng = np.random.default_rng(3)
    inputs = torch.from_numpy(rng.normal(0, 0.25, (8, 1, 24, 24)).astype(np.float32))
    for _ in range(5):
        module(inputs)  # moving averages that are not the initial ones
    module.discretize_weights()
    module.quantize_bounds(module.measure_bounds([inputs], 3.0))
    module.eval()
    plane = np.clip(rng.normal(128, 60, (20, 22)), 0, 255).astype(np.uint8)
    ours = quantize(module.merged(), {}).network.filter_plane(plane).astype(int)
    theirs = filter_plane(module, plane).astype(int)
    assert (theirs != plane).mean() > 0.3
    assert np.abs(ours - theirs).mean() < 1.0
    assert (np.abs(ours - plane)).mean() > 3 * np.abs(ours - theirs).mean()


@pytest.fixture(scope="module")
def pair_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vrcnn_int.io import pairs

    folder = tmp_path_factory.mktemp("residual")
    rng = np.random.default_rng(1)
    ramp = np.add.outer(np.arange(40), np.arange(44)) + 60
    made = [(np.clip(ramp + rng.normal(0, 4, ramp.shape), 0, 255).astype(np.uint8), ramp.astype(np.uint8)) for _ in range(2)]
    pairs.write(folder / "pairs.npz", made, {"qp": 32, "position": "before_deblocking"})
    return folder / "pairs.npz"


OPTIONS = [
    *("--set", "float_steps=4", "--set", "weight_steps=2", "--set", "bound_steps=2"),
    *("--set", "batch=2", "--set", "patch=16", "--set", "last_sigma=3.5"),
]


@pytest.fixture(scope="module")
def finished(pair_file: Path) -> tuple[Path, str]:
    """(folder, output) of `vrcnn-int residual` after some steps."""
    pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")
    out = pair_file.parent / "out"
    words = ["residual", str(pair_file), "--validate", str(pair_file), "--out", str(out), *OPTIONS]
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, words)
    assert result.exit_code == 0, result.output
    return out, result.output


def test_table_3_shows_what_was_measured(finished: tuple[Path, str], pair_file: Path) -> None:
    from vrcnn_int.io import pairs
    from vrcnn_int.research import measure

    out, output = finished
    row = json.loads((out / "result.json").read_text())
    network = ExtendedNetwork.load(out / "model.vrcnn")
    assert row["forms"]["BReLU+RS"]["QP 32"] == measure.integer_gain(network, pairs.read(pair_file)).gain
    assert row["integer_only"]
    assert row["exact"]["values"] > 100_000
    assert row["bytes"] == measure.parameter_bytes(network) < row["parameters"] * 1.2
    assert len({form["QP 32"] for form in row["forms"].values()}) == len(row["forms"])
    table, differences = paper_table(3, out)
    assert list(table.columns[0].cells) == list(CONFIGURATIONS)
    assert list(table.columns[3].cells) == [f"{row['forms'][name]['QP 32']:+.4f}" for name in CONFIGURATIONS]
    assert list(table.columns[1].cells)[-1] == "78.008"
    assert "ResNet-152 on ILSVRC-2012" in differences
    assert "n = 3" in differences
    assert f"{row['forms']['ReLU6+RS']['QP 32']:+.4f}" in output
    assert "0 dead channels pruned" in output


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(torch: Any, finished: tuple[Path, str], pair_file: Path, tmp_path: Path) -> None:
    from vrcnn_int.research.residual.filter import FilterSettings, run

    options = FilterSettings(float_steps=4, weight_steps=2, bound_steps=2, batch=2, patch=16, last_sigma=3.5)

    def interrupt(at: tuple[str, int]) -> Any:
        return lambda stage, step, *_: os.kill(os.getpid(), signal.SIGINT) if (stage, step) == at else None

    for at in (("float", 2), ("n=3.0", 1), ("relu6", 2)):
        with pytest.raises(KeyboardInterrupt):
            run([pair_file], [pair_file], tmp_path, options, interrupt(at))
        assert not (tmp_path / "result.json").exists()
    run([pair_file], [pair_file], tmp_path, options)
    assert (tmp_path / "model.vrcnn").read_bytes() == (finished[0] / "model.vrcnn").read_bytes()
    with pytest.raises(VrcnnError, match="other settings or data"):
        run([pair_file], [pair_file], tmp_path, replace(options, seed=2))


@pytest.mark.parametrize("name", ["checkpoint.pt", "model.vrcnn", "result.json"])
def test_outputs_are_checked_before_the_work(torch: Any, pair_file: Path, tmp_path: Path, name: str) -> None:
    from vrcnn_int.research.residual.filter import FilterSettings, run

    (tmp_path / name).symlink_to(pair_file)
    before = pair_file.read_bytes()
    steps: list[object] = []
    with pytest.raises(VrcnnError, match=f"{name} is an input of this command"):
        run([pair_file], [pair_file], tmp_path, FilterSettings(), lambda *step: steps.append(step))
    (tmp_path / "file").write_text("")
    with pytest.raises(VrcnnError, match=r"cannot write .*file"):
        run([pair_file], [pair_file], tmp_path / "file", FilterSettings(), lambda *step: steps.append(step))
    assert not steps
    assert pair_file.read_bytes() == before


@pytest.mark.parametrize("name", ["compare.json", "q32/seed1/TQT_8-8/result.json", "q32/seed1/TQT_8-8/model.vrcnn"])
def test_outputs_of_a_comparison_are_checked_before_the_work(torch: Any, pair_file: Path, tmp_path: Path, name: str) -> None:
    from vrcnn_int.research import compare
    from vrcnn_int.training.settings import TrainSettings

    method = next(name for name in compare.METHODS if name.startswith("tqt"))
    path = tmp_path / name.replace("TQT_8-8", compare.folder_of(method, Path()).name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(pair_file)
    before = pair_file.read_bytes()
    with pytest.raises(VrcnnError, match=f"{path.name} is an input of this command"):
        compare.run([pair_file], [pair_file], tmp_path, [method], [1], TrainSettings())
    assert pair_file.read_bytes() == before


def test_mistakes_are_one_line(torch: Any, pair_file: Path, tmp_path: Path) -> None:
    from vrcnn_int.io import pairs
    from vrcnn_int.research.residual.filter import FilterSettings, run

    for change, message in (
        ({"batch": 0}, "batch must be at least 1"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"seed": -1}, "at least 0"),
    ):
        with pytest.raises(VrcnnError, match=message):
            run([pair_file], [pair_file], tmp_path, FilterSettings(**change))
    file = pairs.read(pair_file)
    pairs.write(tmp_path / "other.npz", zip(file.recon, file.original, strict=True), {"qp": 22, "position": "before_deblocking"})
    with pytest.raises(VrcnnError, match="one QP and position"):
        run([pair_file], [tmp_path / "other.npz"], tmp_path, FilterSettings())
    for number, message in ((3, "no result of a residual filter"), (1, "no result of a classifier"), (2, "vrcnn-int classify train")):
        with pytest.raises(VrcnnError, match=message):
            paper_table(number, tmp_path)


def test_bounds_of_a_dead_activation_are_refused(torch: Any) -> None:
    from vrcnn_int.research.residual.module import ResidualNetwork

    module = ResidualNetwork(SMALL)
    with torch.no_grad():
        module.stem.norm.bias.fill_(-100.0)
    with pytest.raises(VrcnnError, match="activation 1 is nearly always 0"):
        module.measure_bounds([torch.zeros(1, 1, 8, 8)], 3.0)


def test_the_filter_costs_less_than_vrcnn() -> None:
    assert FILTER.macs_per_sample() == 42416
    assert FILTER.halo == 10
    assert residual.WIDE == 64
