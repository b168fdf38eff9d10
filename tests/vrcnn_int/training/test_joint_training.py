"""Joint networks in training: patches of sites at the edges of pictures, weights of planes, validation of chroma. Needs torch."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.models import float_network
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import oracle
from vrcnn_int.io import pairs
from vrcnn_int.network import NETWORKS, Architecture, joint, load_float_networks, reach
from vrcnn_int.quantize.bounds import bounds_for
from vrcnn_int.quantize.plan import to_integer
from vrcnn_int.training.loop import train
from vrcnn_int.training.module import Network, module_from, watch_activations
from vrcnn_int.training.sampling import Patches, Sampling, planes_of, sampling_of, sites_of
from vrcnn_int.training.settings import TrainSettings
from vrcnn_int.training.start import begin_team
from vrcnn_int.training.stepping import integer_output, make_stepper, training_output
from vrcnn_int.training.team import Team, filtered, psnr_gain

TINY = joint("fast", 16, 1)
FACTS = {"qp": 37, "position": "before_deblocking"}
QUICK = TrainSettings(
    network="joint-fast", float_steps=4, weight_steps=2, bound_steps=2, batch=2, patch=16, precision="fp32", log_every=1, validate_every=4
)


def planes(seed: int, height: int = 40, width: int = 56) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    sizes = [(height, width), *[pairs.chroma_shape((height, width))] * 2]
    return tuple(rng.integers(60, 200, size).astype(np.uint8) for size in sizes)


def pair_file(recon: list[tuple[np.ndarray, ...]], original: list[tuple[np.ndarray, ...]]) -> pairs.PairFile:
    chroma = [[(picture[1], picture[2]) for picture in side] for side in (recon, original)]
    return pairs.PairFile([picture[0] for picture in recon], [picture[0] for picture in original], FACTS, *chroma)


@pytest.mark.parametrize("size", [(6, 8), (7, 9)])
def test_sites_are_planes(size: tuple[int, int]) -> None:
    picture = planes(1, *size)
    sites = sites_of(picture, "joint")
    assert sites.shape == (*pairs.chroma_shape(size), 6)
    assert sites[1, 2].tolist() == [*picture[0][2:4, 4:6].ravel(), picture[1][1, 2], picture[2][1, 2]]
    assert all(np.array_equal(a, b) for a, b in zip(planes_of(sites.transpose(2, 0, 1), size), picture, strict=True))
    if size[0] % 2:
        assert sites[-1, 0, 2] == sites[0, -1, 1] == 128  # luma samples beyond the picture


def turned_sites(picture: tuple[np.ndarray, ...], turn: int) -> np.ndarray:
    """Sites [C, H, W], as numbers, of planes that are mirrored and transposed."""
    turned = []
    for plane in picture:
        view = plane[::-1] if turn & 1 else plane
        view = view[:, ::-1] if turn & 2 else view
        turned.append(view.T if turn & 4 else view)
    return sites_of(tuple(turned), "joint").transpose(2, 0, 1).astype(float)


def test_a_patch_is_a_turned_part_of_the_picture() -> None:
    """Whole pictures as patches: turned planes, cut into sites, must be what turned patches show."""
    picture, other = planes(2, 16, 16), planes(3, 16, 16)
    patches = Patches([pair_file([picture], [other])], Sampling(1, 8, 8, 0, True, 0, 0, "joint", False, 1), "cpu")
    places = torch.tensor([[0, 8, 8, 0, 0, turn] for turn in range(8)])
    cut = patches.cut(places)
    for turn in range(8):
        expected = turned_sites(picture, turn)
        np.testing.assert_array_equal(np.round(cut.x[turn].numpy() * 255 + 128), expected)
        np.testing.assert_array_equal(np.round(cut.residual[turn].numpy() * 255), turned_sites(other, turn) - expected)


@pytest.mark.parametrize("architecture", [TINY, joint("fast", 16, 1, heads=2), NETWORKS["vrcnn"]])
def test_at_the_edges_of_a_picture_a_patch_is_filtered_as_the_picture(architecture: Architecture) -> None:
    """Every layer reads zeros around the picture; inner patches and those at all edges and corners, in both forward passes."""
    torch.manual_seed(1)
    network = float_network(4, architecture)
    module, margin = module_from(network).eval(), reach(architecture)
    picture = planes(5, 60, 68)
    kind = architecture.kind
    patches = Patches(
        [pair_file([picture], [planes(6, 60, 68)])], Sampling(1, 1, 8 + 2 * margin, margin, False, 0, 0, kind, True, 1), "cpu"
    )
    height, width = sites_of(picture, kind).shape[:2]
    x = (torch.from_numpy(sites_of(picture, kind).astype(np.float32)).permute(2, 0, 1)[None] - 128) / 255
    with torch.no_grad():
        whole = module(x)
        for top in (0, 3, height - 8):
            for left in (0, 11, width - 8):
                cut = patches.cut(torch.tensor([[0, height, width, top - margin, left - margin, 0]]))
                expected = whole[:, :, top : top + 8, left : left + 8]
                torch.testing.assert_close(module(cut.x, True, cut.inside), expected, atol=1e-5, rtol=1e-4)
                torch.testing.assert_close(training_output(module, cut.x, torch.float32, True, cut.inside), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rounded", [False, True])
def test_the_gradient_at_edges_is_that_of_a_mask(rounded: bool) -> None:
    """The training step takes rectangles of zeros and works in place, also where it rounds; the module multiplies by a mask."""
    torch.manual_seed(1)
    module = Network(joint("fast", 8, 2), [0.3] * 5, 37, "before_deblocking")
    if rounded:
        module.round_first_activations()
    margin = reach(module.architecture)
    sampling = Sampling(1, 12, 8 + 2 * margin, margin, True, 0, 0, "joint", True, 1)
    patches = Patches([pair_file([planes(1)], [planes(2)])], sampling, "cpu")
    cut = patches.cut(torch.from_numpy(patches.draw(0, 0)[0]))
    assert cut.inside is not None
    assert 0 < cut.inside.mean() < 1
    gradients = []
    outputs = module(cut.x, True, cut.inside), training_output(module, cut.x, torch.float32, True, cut.inside)
    torch.testing.assert_close(outputs[1], outputs[0], atol=1e-5, rtol=1e-4)
    for output in outputs:
        gradients.append(torch.autograd.grad(((output - cut.residual) ** 2).sum(), tuple(module.parameters())))
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("kind", ["joint", "luma"])
def test_edges_have_their_weight_wherever_a_patch_lies(kind: str) -> None:
    """Two luma samples from any edge, which is one site of a joint network; turned patches as well, and nothing beyond the picture."""
    sampling = Sampling(1, 1, 10, 2, False, 0, 0, kind, True, 1, edge_weight=5)
    patches = Patches([pair_file([planes(1, 40, 56)], [planes(2, 40, 56)])], sampling, "cpu")
    height, width, rim = (20, 28, 1) if kind == "joint" else (40, 56, 2)
    expected = np.full((height, width), 5)
    expected[rim:-rim, rim:-rim] = 1
    for top in (0, 1, 7, height - 6):
        for left in (0, 2, 9, width - 6):
            for turn in (0, 3, 4):
                cut = patches.cut(torch.tensor([[0, height, width, top - 2, left - 2, turn]]))
                part = expected[top : top + 6, left : left + 6]
                part = part[::-1, ::-1] if turn == 3 else part.T if turn == 4 else part
                assert cut.weight is not None
                np.testing.assert_array_equal(cut.weight[0, 0].numpy(), part)
    plain = Patches([pair_file([planes(1)], [planes(2)])], replace(sampling, edge_weight=1), "cpu")
    assert plain.cut(torch.zeros(1, 6).long()).weight is None


def test_a_step_learns_more_from_edges_that_count_more() -> None:
    """The loss is the mean of the sites' squared errors times their weights."""
    settings = TrainSettings(network="joint-fast", batch=1, patch=20, precision="fp32", average=0, augment=False, chroma=0)
    losses = []
    for weight in (1.0, 3.0, 5.0):
        settings = replace(settings, edge_weight=weight)
        original = [np.pad(plane[1:-1, 1:-1] + 0, 1, mode="edge") for plane in planes(1, 20, 20)]
        patches = Patches([pair_file([planes(1, 20, 20)], [tuple(original)])], sampling_of(settings, NETWORKS["joint-fast"]), "cpu")
        team = begin_team(settings, (0.3,) * 7, 37, "before_deblocking", None)
        for network in team:
            for parameter in network.parameters():
                parameter.data.zero_()
        stepper = make_stepper(team, patches, settings, "float", None)
        stepper.step(0, 0.0)
        losses.append(float(stepper.loss))
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4)
    assert losses[1] > 2.9 * losses[0] > 0  # nothing but edges errs


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_kept_is_the_average_of_the_weights(tmp_path: Path, precision: str) -> None:
    """All of them: the team's layout in memory depends on kind and precision, and averages follow it."""
    pairs.write(tmp_path / "pairs.npz", [(planes(1, 48, 64), planes(2, 48, 64))], FACTS)
    kept = []
    for average in (0.0, 0.9):
        settings = replace(QUICK, precision=precision, average=average)
        out = train([tmp_path / "pairs.npz"], [], tmp_path / f"run{average}", settings, stages=("float",))
        kept.append(load_float_networks(out, ("joint",))[0][0])
    for last, mean in zip(*[[w for layer in (*n.weights, *n.biases) for w in layer] for n in kept], strict=True):
        assert not np.array_equal(last, mean)


@pytest.mark.parametrize("stage", ["float", "weights", "bounds"])
def test_an_interrupted_joint_run_goes_on_to_the_same_network(tmp_path: Path, stage: str) -> None:
    file = tmp_path / "pairs.npz"
    pairs.write(file, [(planes(1, 48, 64), planes(2, 48, 64))], FACTS)

    def interrupt(now: str, step: int, *_: object) -> None:
        if (now, step) == (stage, 1):
            signal.raise_signal(signal.SIGINT)

    whole = train([file], [], tmp_path / "whole", QUICK)
    with pytest.raises(KeyboardInterrupt):
        train([file], [], tmp_path / "parts", QUICK, interrupt)
    resumed = train([file], [], tmp_path / "parts", QUICK)
    first, second = (load_float_networks(path, ("joint",))[0][0] for path in (whole, resumed))
    assert first.identity == second.identity


def test_patches_reach_every_edge_and_never_leave_the_picture() -> None:
    patches = Patches([pair_file([planes(1)], [planes(2)])], Sampling(1, 2000, 8 + 6, 3, True, 0, 0, "joint", True, 1), "cpu")
    y, x = patches.draw(0, 0)[0][:, 3:5].T
    assert (y.min(), y.max(), x.min(), x.max()) == (-3, 20 - 8 - 3, -3, 28 - 8 - 3)
    seen = [((y + 3 <= row) & (row < y + 3 + 8)).mean() for row in range(20)]
    assert min(seen[0], seen[-1]) > 0.9 * 8 / 27  # of the starts, 27 with those beyond the edges, 8 show any row
    assert min(seen) > 0.9 * 8 / 27


def test_weights_are_of_planes_and_grey_has_none() -> None:
    """Two pictures whose planes err by known amounts, one of them grey."""
    base = planes(1)
    grey = (base[0], *[np.full_like(plane, 128) for plane in base[1:]])
    coded = [(base[0] + 2, base[1] + 1, base[2] + 3), (base[0] + 2, grey[1] + 1, grey[2])]
    patches = Patches([pair_file(coded, [base, grey])], Sampling(1, 1, 8, 0, False, 0, 0, "joint", False, 0.5), "cpu")
    assert patches.weights[0] == pytest.approx([0.25] * 4 + [0.5 * 4 / 1, 0.5 * 4 / 9])
    assert patches.weights[1] == pytest.approx([0.25] * 4 + [0, 0])
    with pytest.raises(VrcnnError, match="no colour"):
        Patches([pair_file([grey], [grey])], patches.sampling, "cpu")
    with pytest.raises(VrcnnError, match="with chroma"):
        Patches([pairs.PairFile([base[0]], [base[0]], FACTS)], patches.sampling, "cpu")


def test_validation_judges_each_plane() -> None:
    """Gains against numpy's, of a network that changes all planes; the grey picture counts for luma alone."""
    network = float_network(6, TINY)
    recon, original = [planes(1), planes(2)], [planes(3), planes(4)]
    recon[1] = original[1] = (recon[1][0], *[np.full_like(plane, 128) for plane in recon[1][1:]])
    original[1] = (planes(7)[0], *original[1][1:])
    team = Team([module_from(network)])
    found = psnr_gain(team, [pair_file(recon, original)], "cpu")

    def psnr(a: np.ndarray, b: np.ndarray) -> float:
        return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))

    with torch.no_grad():
        outputs = [filtered(team, picture, "cpu")[0] for picture in recon]
    gains: list[list[float]] = [[], [], []]
    for before, after, plane in zip(recon, outputs, original, strict=True):
        for i in range(3 if np.ptp(plane[1]) else 1):
            gains[i].append(psnr(after[i], plane[i]) - psnr(before[i], plane[i]))
    assert [len(plane) for plane in gains] == [2, 1, 1]
    assert [found.gain, *found.chroma] == pytest.approx([float(np.mean(plane)) for plane in gains])


def test_a_joint_network_trains_and_becomes_integers(tmp_path: Path) -> None:
    path = tmp_path / "pairs.npz"
    pairs.write(path, [(planes(1), planes(2)), (planes(3)[0], planes(4)[0])], FACTS)
    tuned = train([path], [path], tmp_path / "run", QUICK)
    (network,), _ = load_float_networks(tuned, ("joint",))
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [entry["stage"] for entry in log if "chroma" in entry] == ["float", "weights", "bounds"]
    integer = to_integer(network)
    picture = planes(9)
    module = module_from(network).eval()
    with torch.no_grad():
        expected = filtered(Team([module]), picture, "cpu")[0]
    found = oracle.filter_planes(integer, picture, (8, 8))
    assert max(np.abs(a - b.astype(float)).max() for a, b in zip(expected, found, strict=True)) <= 1


def test_a_file_with_chroma_is_another_for_joint_networks_alone(tmp_path: Path) -> None:
    pairs.write(tmp_path / "a.npz", [(planes(1), planes(2))], FACTS)
    pairs.write(tmp_path / "b.npz", [((planes(1)[0], *planes(5)[1:]), planes(2))], FACTS)
    pairs.write(tmp_path / "c.npz", [(planes(1)[0], planes(2)[0])], FACTS)
    a, b, c = (pairs.read(tmp_path / f"{name}.npz") for name in "abc")
    assert a.md5 == b.md5 == c.md5
    assert a.md5_for("joint") != b.md5_for("joint")
    with pytest.raises(VrcnnError, match="with chroma"):
        train([tmp_path / "c.npz"], [tmp_path / "c.npz"], tmp_path / "run", QUICK)
    with pytest.raises(VrcnnError, match="even side"):
        replace(QUICK, patch=15).check()


def test_at_the_start_values_do_not_grow_into_the_bound_block_by_block() -> None:
    """Where most values stand at the bound nothing learns: a run of 2000 steps had gained 0.04 dB of luma before blocks started small."""
    torch.manual_seed(1)
    module = Network(NETWORKS["joint-best"], bounds_for(NETWORKS["joint-best"], 30.0), 37, "before_deblocking")
    x = torch.randn(1, 6, 40, 40) * 0.2
    found = watch_activations(module, [x], lambda values: float((values >= module.activations[0].bound).float().mean()))
    at_bound = [share for (share,) in found]
    assert max(at_bound) <= at_bound[0]  # 0.07; it was 0.28 in the last block


def quantized_network() -> Network:
    torch.manual_seed(3)
    module = Network(joint("fast", 16, 2), [0.4] * 5, 37, "before_deblocking")
    with torch.no_grad():
        for conv in module.convolutions()[-1]:
            conv.weight.mul_(3)
    module.quantize_bounds()
    return module


def test_products_of_integers_are_the_quantized_network() -> None:
    """In fp32 to the last digits, gradients too; in bf16 hidden values move by a step at most, and rarely."""
    module = quantized_network()
    margin = reach(module.architecture)
    sampling = Sampling(1, 12, 8 + 2 * margin, margin, True, 0, 0, "joint", True, 1)
    patches = Patches([pair_file([planes(1)], [planes(2)])], sampling, "cpu")
    cut = patches.cut(torch.from_numpy(patches.draw(0, 0)[0]))
    found = []
    for output in (
        module(cut.x, True, cut.inside),
        integer_output(module, cut.x, torch.float32, cut.inside),
        integer_output(module, cut.x, torch.bfloat16, cut.inside),
    ):
        found.append((output.detach(), torch.autograd.grad(((output - cut.residual) ** 2).sum(), tuple(module.parameters()))))
    (expected, gradients), (exact, exact_gradients), (rounded, rounded_gradients) = found
    assert float(expected.abs().max()) > 0.05
    assert float(((exact - expected).abs() > 1e-5).float().mean()) < 0.1  # near a value that fp32 rounds to the other side
    assert float((exact - expected).square().mean()) < 1e-5 * float(expected.square().mean())
    assert float((rounded - expected).square().mean()) < 1e-3 * float(expected.square().mean())
    for right, mine, coarse in zip(gradients, exact_gradients, rounded_gradients, strict=True):
        assert torch.nn.functional.cosine_similarity(right.flatten(), mine.flatten(), 0) > 0.999
        assert torch.nn.functional.cosine_similarity(right.flatten(), coarse.flatten(), 0) > 0.99
        assert float(mine.norm() / right.norm()) == pytest.approx(1, abs=0.01)
