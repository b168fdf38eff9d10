"""ResNet-18 on a folder of labelled pictures: trained with batch normalization, brought to integers, measured by the numpy oracle."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from msgspec import Meta, Struct
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs, write_text
from vrcnn_int.research import classify, measure
from vrcnn_int.research.classify import KIND, Pictures
from vrcnn_int.research.extended import prune
from vrcnn_int.research.residual.module import Algorithm1, Progress, ResidualNetwork, Schedule, Stages, Task
from vrcnn_int.research.residual.network import quantize, resnet18
from vrcnn_int.training.checkpoint import fitting, load_checkpoint, save_checkpoint
from vrcnn_int.version import __version__

RANGE_BATCHES = 8
FLOAT = "float.pt"


@dataclass(frozen=True)
class ClassifierSettings(Schedule):
    """Everything that decides a run, beside the pictures."""

    float_steps: int = 2000
    batch: int = 64
    sigma: float = 3.5
    """The paper's n for ResNet-18."""
    size: int = 32
    """Side that pictures are brought to, 8 to 32."""
    width: int = 64
    """Channels of the first blocks; the last have eight times as many. 64: ResNet-18."""
    pool: bool = False
    """Whether a 3x3 maximum of every second sample follows the stem."""
    shift: int = 1
    """Training pictures are moved by up to so many samples."""
    mirror: bool = False
    """Half of the training pictures are mirrored."""

    FROM_0: ClassVar[tuple[str, ...]] = ("seed", "threshold", "pool", "shift", "mirror")

    def check(self) -> None:
        super().check()
        if not 8 <= self.size <= 32:
            raise VrcnnError(f"size must be 8 to 32, not {self.size}")


def to_input(samples: NDArray[np.uint8]) -> Tensor:
    """uint8 samples as a network's input, (s - 128) / 255."""
    return (torch.from_numpy(samples.astype(np.float32)) - 128) / 255


def scores(module: ResidualNetwork, pictures: Pictures) -> NDArray[np.float32]:
    """The module's outputs, [N, classes]."""
    with torch.no_grad():
        found = [module(to_input(pictures.samples[i : i + 64])) for i in range(0, len(pictures.samples), 64)]
    values: NDArray[np.float32] = torch.cat(found).numpy()
    return values


def batch_at(pictures: Pictures, settings: ClassifierSettings, stage: int, step: int) -> tuple[Tensor, Tensor]:
    """Inputs and labels of a step: a function of seed, stage and step alone."""
    rng = np.random.default_rng((settings.seed, stage, step))
    chosen = rng.integers(0, len(pictures.labels), settings.batch)
    s, size = settings.shift, settings.size
    padded = np.pad(pictures.samples[chosen], ((0, 0), (0, 0), (s, s), (s, s)), mode="edge")
    moved = [
        picture[:, y : y + size, x : x + size] for picture, (y, x) in zip(padded, rng.integers(0, 2 * s + 1, (len(chosen), 2)), strict=True)
    ]
    mirrored = rng.random(len(chosen)) < 0.5 * settings.mirror
    samples = np.stack([picture[:, :, ::-1] if flip else picture for picture, flip in zip(moved, mirrored, strict=True)])
    return to_input(samples), torch.from_numpy(pictures.labels[chosen])


def task(training: Pictures, held_out: Pictures, settings: ClassifierSettings) -> Task:
    """Cross entropy; scored by the share of right pictures."""

    def loss(module: ResidualNetwork, stage: int, step: int) -> Tensor:
        inputs, labels = batch_at(training, settings, stage, step)
        return cross_entropy(module(inputs), labels)

    def score(module: ResidualNetwork) -> float:
        return classify.accuracy(scores(module, held_out), held_out.labels).top1

    return Task(loss, score, [batch_at(training, settings, 3, number)[0] for number in range(RANGE_BATCHES)])


def train(folder: Path, validation: Path, out: Path, settings: ClassifierSettings, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Train ResNet-18 through Algorithm 1. Writes model.vrcnn, float.pt, result.json and checkpoint.pt into ``out``; goes on from the last.

    Returns what result.json holds. Raises VrcnnError; KeyboardInterrupt after saving a checkpoint.
    """
    settings.check()
    labels = [label for pictures in (folder, validation) if pictures.is_dir() for label in pictures.iterdir()]
    check_outputs((out / name for name in ("checkpoint.pt", "model.vrcnn", FLOAT, "result.json")), labels, make_folders=True)
    training = classify.read(folder, settings.size)
    channels = training.samples.shape[1]
    held_out = classify.read(validation, settings.size, channels, training.names)
    made_from = {"settings": asdict(settings), "training": training.digest, "validation": held_out.digest}
    design = resnet18(len(training.names), channels, settings.width, settings.pool)
    course = Algorithm1(design, Stages(out / "checkpoint.pt", made_from), task(training, held_out, settings), settings, progress)
    plain, weights = course.plain(), course.weights()
    module, n = course.n_sigma()
    shape = {"size": settings.size, "names": list(training.names), "width": settings.width, "pool": settings.pool}
    merged = module.merged()
    network, dead = prune(quantize(merged, {"kind": KIND, "method": "n-sigma 8/7", **shape}).network)
    by_float, by_integer = scores(plain, held_out), classify.sums(network, held_out)
    forms: dict[str, NDArray[Any]] = {
        "float32": by_float,
        "weights discretized": scores(weights, held_out),
        "fake-quantized": scores(module, held_out),
        "integer": by_integer,
        "integer, no RS": classify.sums(quantize(merged, shape, False).network, held_out),
    }
    part = held_out.samples[0].astype(np.int64) - 128
    alike = zip(network.run(part), network.run(part, plain=True), strict=True)
    row = {"kind": KIND, "run": made_from, "sigma": n, "vrcnn_int": __version__, "torch": torch.__version__}
    row |= {"network": "ResNet-18" if settings.width == 64 else f"ResNet-18 with {settings.width} instead of 64 channels"}
    row |= {"forms": {name: asdict(classify.accuracy(values, held_out.labels)) for name, values in forms.items()}}
    row |= {"same_class": int((by_float.argmax(1) == by_integer.argmax(1)).sum()), "pictures": [len(training.labels), len(held_out.labels)]}
    row |= {"classes": len(training.names), "size": settings.size, "parameters": merged.parameters}
    row |= {"bytes": measure.parameter_bytes(network), "integer_only": measure.integer_only(network)}
    row |= {"dead_channels": {str(value): gone for value, gone in dead.items()}}
    row |= {"two_ways_alike": all(np.array_equal(a, b) for a, b in alike)}
    network.save(out / "model.vrcnn")
    save_checkpoint(out / FLOAT, {"state": plain.state_dict(), "channels": channels, **shape})
    write_text(out / "result.json", json.dumps(row, indent=1) + "\n")
    return row


class _Float(Struct):
    """What float.pt holds."""

    state: dict[str, Any]
    channels: Annotated[int, Meta(ge=1, le=3)]
    size: int
    names: list[str]
    width: Annotated[int, Meta(ge=1, le=1024)]
    pool: bool


def float_scores(out: Path, pictures: Pictures) -> NDArray[np.float32]:
    """The trained float network's outputs, from float.pt of a training folder; VrcnnError if there is none."""
    state = load_checkpoint(out / FLOAT, "cpu", _Float)
    if state is None:
        raise VrcnnError(f"{out} has no {FLOAT}; make it with `vrcnn-int classify train`")
    with fitting(out / FLOAT):
        module = ResidualNetwork(resnet18(len(state["names"]), state["channels"], state["width"], state["pool"])).eval()
        module.load_state_dict(state["state"])
    return scores(module, pictures)
