"""The in-loop filter of residual blocks: trained on pair files, in the forms of the paper's Table 3, measured as integer networks."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs, write_text
from vrcnn_int.io import pairs
from vrcnn_int.io.pairs import PairFile
from vrcnn_int.research import measure
from vrcnn_int.research.extended import prune
from vrcnn_int.research.measure import label
from vrcnn_int.research.residual.module import Algorithm1, Progress, ResidualNetwork, Schedule, Stages, Task
from vrcnn_int.research.residual.network import FILTER, quantize
from vrcnn_int.training.sampling import Patches, Sampling
from vrcnn_int.version import __version__

KIND = "residual filter"
RANGE_BATCHES = 8


@dataclass(frozen=True)
class FilterSettings(Schedule):
    """Everything that decides a run, beside the pair files."""

    patch: int = 48
    """Side of the patch that the loss sees; the network reads its halo around it."""


def filter_plane(module: ResidualNetwork, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An 8-bit plane through the module in fp32: not bit-exact between machines."""
    with torch.no_grad():
        x = (torch.from_numpy(plane.astype(np.float32)) - 128) / 255
        residual = module(x[None, None])[0, 0].double().numpy() * 255
    filtered: NDArray[np.uint8] = np.clip(np.floor(plane + residual + 0.5), 0, 255).astype(np.uint8)
    return filtered


def gain(module: ResidualNetwork, file: PairFile) -> float:
    """Mean PSNR gain (dB) of the module over a file's pictures."""
    before, after = measure.mean_psnrs(file, lambda plane: filter_plane(module, plane))
    return after - before


def task(files: list[PairFile], held_out: list[PairFile], settings: FilterSettings) -> Task:
    """Squared error in sample steps on patches; scored by PSNR gain."""
    margin = FILTER.halo
    patches = Patches(files, Sampling(settings.seed, settings.batch, settings.patch + 2 * margin, margin, True, 0.0, 0.0), "cpu")

    def cut(stage: int, step: int) -> tuple[Tensor, Tensor]:
        found = patches.cut(torch.from_numpy(patches.draw(stage, step)[0]))
        return found.x, found.residual

    def loss(module: ResidualNetwork, stage: int, step: int) -> Tensor:
        inputs, targets = cut(stage, step)
        outputs = module(inputs)[:, :, margin:-margin, margin:-margin]
        squares: Tensor = (outputs - targets) ** 2
        return squares.mean() * 255**2

    def score(module: ResidualNetwork) -> float:
        return float(np.mean([gain(module, file) for file in held_out]))

    return Task(loss, score, [cut(3, number)[0] for number in range(RANGE_BATCHES)])


def run(
    training: list[Path], validation: list[Path], out: Path, settings: FilterSettings, progress: Progress = lambda *_: None
) -> dict[str, Any]:
    """Train one float network, discretize its weights, fine-tune with n-sigma bounds and with ReLU6, and measure each as integer network
    with and without synchronization of ratios. Writes model.vrcnn (n-sigma, synchronized), result.json and checkpoint.pt into ``out``.

    Returns what result.json holds. Raises VrcnnError; KeyboardInterrupt after saving a checkpoint.
    """
    settings.check()
    written = (out / name for name in ("checkpoint.pt", "model.vrcnn", "result.json"))
    check_outputs(written, [*training, *validation], make_folders=True)
    files, held_out = [pairs.read(path) for path in training], [pairs.read(path) for path in validation]
    if len({(file.qp, file.meta["position"]) for file in files + held_out}) > 1:
        raise VrcnnError("the pair files, for validation too, must be of one QP and position")
    made_from = {"settings": asdict(settings), "training": [f.md5 for f in files], "validation": [f.md5 for f in held_out]}
    course = Algorithm1(FILTER, Stages(out / "checkpoint.pt", made_from), task(files, held_out, settings), settings, progress)
    plain, weights = course.plain(), course.weights()
    sigma, n = course.n_sigma()
    meta = {"qp": files[0].qp, "position": files[0].meta["position"], "method": "n-sigma 8/7"}
    row: dict[str, Any] = {"kind": KIND, "run": made_from, "sigma": n, "vrcnn_int": __version__, "torch": torch.__version__}
    row["training_samples"] = sum(plane.size for f in files for plane in f.recon)
    row["steps"] = [settings.float_steps, settings.weight_steps, settings.bound_steps]
    row["unfiltered"] = {label(f): measure.mean_psnrs(f, lambda plane: plane)[0] for f in held_out}
    row["forms"] = forms = {"FPN": {label(f): gain(plain, f) for f in held_out}}
    forms["weights discretized"] = {label(f): gain(weights, f) for f in held_out}
    for name, module in (("ReLU6", course.relu6()), ("BReLU", sigma)):
        forms[f"{name}, fake-quantized"] = {label(f): gain(module, f) for f in held_out}
        merged = module.merged()
        for synchronize in (False, True):
            network, dead = prune(quantize(merged, meta, synchronize).network)
            forms[name + "+RS" * synchronize] = {label(f): measure.integer_gain(network, f).gain for f in held_out}
    # The last of them is the paper's own, and the one that is kept.
    row["parameters"], row["bytes"] = merged.parameters, measure.parameter_bytes(network)
    row["dead_channels"] = {str(value): channels for value, channels in dead.items()}
    row["integer_only"] = measure.integer_only(network)
    row["exact"] = {"ways": ["products", "int64 sums"], "values": measure.computed_alike(network, held_out[0].recon[0])}
    network.save(out / "model.vrcnn")
    write_text(out / "result.json", json.dumps(row, indent=1) + "\n")
    return row
