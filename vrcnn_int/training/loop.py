"""Training: one visible loop through the three stages of Zhao et al. 2020, Algorithm 1.

float (BReLU from the first step) -> weights discretized, fine-tune -> bounds fixed and activations quantized, fine-tune.
"""

import ctypes
import json
import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vrcnn_int import pairs
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing
from vrcnn_int.network import NETWORKS, FloatNetwork, halo, save_float_networks, widened
from vrcnn_int.quantize import bounds
from vrcnn_int.quantize.plan import Plan
from vrcnn_int.training.brelu import BReLU
from vrcnn_int.training.module import Network, watch_activations
from vrcnn_int.training.sampling import Patches, Sampling
from vrcnn_int.training.stepping import Averages, Muon, Stepper, rate_at
from vrcnn_int.training.team import Team, psnr_gain

STAGES = ("float", "weights", "bounds")
CHOICES = {
    "network": tuple(NETWORKS),
    "optimizer": ("adam", "muon"),
    "schedule": ("cosine", "trapezoid", "constant"),
    "bound_rule": ("geometric", "n-sigma", "relu6", "relu"),
    "precision": ("bf16", "fp32"),
    "device": ("cpu", "cuda"),
}


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training run, beside the pair files."""

    network: str = "vrcnn"
    """vrcnn; vrcnn-wide (twice the channels), a teacher for `vrcnn-int teach`; or vdsr (20 layers of 64 channels)."""
    seed: int = 1
    float_steps: int = 8000
    """Stage 1: float weights, BReLU."""
    minutes: float | None = None
    """Instead of float_steps: as many as fit into this time beside the other stages, timed at the start; the log states them."""
    weight_steps: int = 300
    """Stage 2: discretized weights."""
    bound_steps: int = 300
    """Stage 3: frozen steps and bounds, 7-bit activations."""
    batch: int = 32
    patch: int = 48
    """Side of the patch the loss sees; the network reads its halo around it."""
    padded: bool = False
    """Instead of the halo the network reads zeros around each patch, as in the published recipe."""
    optimizer: str = "muon"
    """muon for the weights of the layers between first and last, adam for everything else; or adam for all."""
    rate: float = 2e-3
    """Peak learning rate of stage 1."""
    tuning_rate: float = 1e-4
    """Peak learning rate of stages 2 and 3."""
    schedule: str = "trapezoid"
    """cosine: linear rise over warm_up, cosine to 0. trapezoid: constant, then linear to 0 over the last third. constant."""
    warm_up: float = 0.1
    """Share of a stage's steps in which the learning rate rises."""
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    """Decoupled (AdamW)."""
    average: float = 0.995
    """Decay of the moving average of the weights that is validated and kept; 0: the last weights."""
    tuning_average: float = 0.99
    """The same in stages 2 and 3, which are short."""
    hold_first_layer: bool = True
    """Stages 2 and 3 begin with the first layer's weights rounded together, for the least error of its outputs (rounding.py), and keep
    them. False: each is rounded by itself, and they are trained on."""
    last_layer: float = 0.1
    """Factor on the last layer's initial weights; 0: training starts at "no filter"."""
    specialists: int = 1
    """Networks trained together, each mostly on the patches it filters best; an encoder chooses one for each unit."""
    beside_start: bool = False
    """The network that training starts with takes part unchanged: the specialists learn what it does not filter best. It is not written;
    put its run before this one in a set."""
    weight_limit: float = 0.0
    """Largest weight of a branch in stages 1 and 2, as a multiple (at least 2) of the root mean square of its weights; 0: any. A few large
    weights make the weight step, max|W| / 127, coarse for all the others."""
    spread: float = 0.0
    """Above 0, with a network to start with: the specialists begin with its residual scaled by factors from 1 - spread to 1 + spread, and
    patches go to the network that is best from the first step on. 0: they begin alike, and patches are dealt out for a while."""
    neighbours: float = 0.0
    """Share of patches from pair files of other QPs than the first file's."""
    balance: float = 0.0
    """Weight of a picture in the loss: 1 / its coding error to this power; 1 is close to the mean of PSNR gains."""
    residual: float | None = None
    """r of the geometric progression in 8-bit sample steps; None: the authors' value for the QP."""
    residual_quantile: float | None = None
    """Instead of a fixed r: this quantile of |original - recon| over the training data."""
    bound_rule: str = "geometric"
    """geometric. n-sigma: bounds measured after a first third of stage 1 trained without bounds. For comparison: relu6 (all bounds 6)
    and relu (stage 1 without bounds, then the largest activations of training patches)."""
    sigma: float = 3.0
    """n of the n-sigma rule."""
    augment: bool = True
    """Random mirroring and transposition of patches."""
    precision: str = "bf16"
    """bf16 (in stage 1; stages 2 and 3 always run in fp32) or fp32."""
    device: str = "cpu"
    """cpu or cuda."""
    graph: bool = True
    """On CUDA: capture the step as a graph and replay it (the same sums, without the cost of launching each kernel)."""
    log_every: int = 50
    validate_every: int = 2000
    checkpoint_every: int = 500

    def check(self) -> None:
        """Raise VrcnnError for values that no run can have."""
        positive = (
            "float_steps",
            "weight_steps",
            "bound_steps",
            "batch",
            "patch",
            "log_every",
            "validate_every",
            "checkpoint_every",
            "specialists",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise VrcnnError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("rate", "tuning_rate", "sigma", *(["minutes"] if self.minutes is not None else [])):
            if not 0 < getattr(self, name) < float("inf"):
                raise VrcnnError(f"{name} must be a number above 0, not {getattr(self, name)}")
        for name in ("warm_up", "beta1", "beta2", "average", "tuning_average", "neighbours", "spread"):
            if not 0 <= getattr(self, name) < 1:
                raise VrcnnError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        for name in ("weight_decay", "last_layer", "balance", "weight_limit"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise VrcnnError(f"{name} must be a number of at least 0, not {getattr(self, name)}")
        if 0 < self.weight_limit < 2:
            raise VrcnnError(f"weight_limit is a multiple of weights' root mean square: 0 (none) or at least 2, not {self.weight_limit}")
        if self.spread and self.specialists < 2:
            raise VrcnnError("spread is about how specialists differ at the start; give at least two (specialists=2)")
        if self.seed < 0:
            raise VrcnnError(f"the seed must not be negative, but is {self.seed}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise VrcnnError(f"unknown {name} {getattr(self, name)!r}; there are {' and '.join(known)}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise VrcnnError("this torch sees no CUDA device; train with device=cpu")

    def steps(self, stage: str) -> int:
        """Optimizer steps of a stage."""
        return {"float": self.float_steps, "weights": self.weight_steps, "bounds": self.bound_steps}[stage]


def choose_bounds(files: list[pairs.PairFile], settings: TrainSettings) -> tuple[float, tuple[float, ...]]:
    """(r, bounds h_rf): geometric progression from the settings' r, its quantile on the data, or the authors' value."""
    residual = settings.residual
    if settings.residual_quantile is not None:
        sample = [o.astype(np.float32) - r for file in files for r, o in zip(file.recon[::8], file.original[::8], strict=True)]
        differences: NDArray[np.floating] = np.concatenate([plane.ravel() for plane in sample])
        residual = bounds.residual_quantile(differences, settings.residual_quantile)
    if residual is None:
        residual = bounds.residual_for_qp(files[0].qp)
    return residual, bounds.geometric_progression(residual, len(NETWORKS[settings.network]))


def begin_with(network: Network, start: FloatNetwork, scale: float = 1.0) -> None:
    """Give a network another's function: its weights, scaled to the network's own bounds (BReLU(c x; c h) = c BReLU(x; h)).

    ``scale``: factor on the residual.

    QP and position may differ, and the network may be wider (network.widened).
    Raises VrcnnError for another architecture, and for a network whose bounds are quantized or infinite.
    """
    if start.architecture != network.export().architecture:
        start = widened(start, network.export().architecture)
    bounds = [float(activation.bound) for activation in network.activations]  # type: ignore[arg-type]
    if start.tuning or not np.isfinite([*bounds, *start.bounds]).all():
        raise VrcnnError("training starts from a network of stage 1 (float.npz) with bounds, and with bounds of its own")
    ratios = [1.0, *(own / other for own, other in zip(bounds, start.bounds, strict=True))]
    with torch.no_grad():
        for i, layer in enumerate(network.convolutions()):
            after = ratios[i + 1] if i < len(bounds) else scale
            for conv, weight, bias in zip(layer, start.weights[i], start.biases[i], strict=True):
                conv.weight.copy_(torch.from_numpy(weight * np.float32(after / ratios[i])))
                conv.bias.copy_(torch.from_numpy(bias * np.float32(after)))


def measure_bounds(team: Team, patches: Patches, settings: TrainSettings, batches: int = 8) -> None:
    """Set the bounds of the hidden layers from the values before each activation: by the n-sigma rule, or (relu) their maximum."""

    inputs = range_batches(patches, batches)
    n_sigma = settings.bound_rule == "n-sigma"
    for network in team:
        if n_sigma:
            found = watch_activations(network, inputs, lambda x: bounds.n_sigma([x.float().cpu().numpy()], settings.sigma))
        else:
            found = watch_activations(network, inputs, lambda x: float(x.max()))
        for activation, values in zip(network.activations, found, strict=True):
            assert isinstance(activation, BReLU)
            activation.bound = sum(values) / len(values) if n_sigma else max(values)


def range_batches(patches: Patches, batches: int = 8) -> list[torch.Tensor]:
    """Training inputs [N, 1, H, W] that ranges are measured on; always the same for a seed."""
    return [patches.cut(torch.from_numpy(patches.draw(len(STAGES), number)[0]).to(patches.device))[0] for number in range(batches)]


@contextmanager
def interruptible() -> Iterator[list[bool]]:
    """SIGINT and SIGTERM set the flag in the list instead of stopping in the middle of a step."""
    flag = [False]
    old = {s: signal.signal(s, lambda *_: flag.__setitem__(0, True)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for s, handler in old.items():
            signal.signal(s, handler)


def hardware(device: str) -> str:
    """The processor that trains, in words."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def keep_memory() -> None:
    """Have glibc keep what a step frees for the next one: giving tens of megabytes back to the system, and having them cleared when they
    are taken again, was a third of the time of a step on a CPU. Does nothing where there is no glibc."""
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            library.mallopt(parameter, 1 << 30)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a torch checkpoint whole or not at all."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, device: str) -> dict[str, Any] | None:
    """The checkpoint, None if there is none; VrcnnError if it is damaged."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise VrcnnError(f"{path} is damaged ({type(error).__name__}); delete it to start this run again") from None
    return state


def steps_that_fit(team: Team, patches: Patches, held_out: list[pairs.PairFile], settings: TrainSettings) -> int:
    """Steps of stage 1 that leave the whole run within settings.minutes, from timing a few steps of a copy of the team."""

    def seconds(stage: str) -> float:
        copy = deepcopy(team)
        if stage != "float":
            copy.discretize_weights()
        stepper = make_stepper(copy, patches, settings, stage, None)
        for step in range(5):  # the first ones allocate, and capture the graph on CUDA
            stepper.step(step, 0.0)
        float(stepper.loss)
        start, step = time.monotonic(), 5
        while time.monotonic() - start < 2.0 or step == 5:
            stepper.step(step, 0.0)
            float(stepper.loss)
            step += 1
        return (time.monotonic() - start) / (step - 5)

    assert settings.minutes is not None
    start = time.monotonic()
    psnr_gain(team, held_out, settings.device, "bf16")
    validation = time.monotonic() - start
    left = 60 * settings.minutes - (settings.weight_steps + settings.bound_steps) * seconds("weights") - 3 * validation
    steps = int(left / (seconds("float") + validation / settings.validate_every))
    if steps < 1:
        raise VrcnnError(f"{settings.minutes:g} minutes are too few for this run; take fewer weight_steps and bound_steps")
    return steps


def train(
    training: list[Path],
    validation: list[Path],
    out: Path,
    settings: TrainSettings,
    progress: Callable[[str, int, int, dict[str, Any]], None] = lambda *_: None,
    stages: tuple[str, ...] = STAGES,
    start: FloatNetwork | None = None,
) -> Path:
    """Train one network through the three stages, or the first of them; returns the file of the last stage's network.

    ``training``, ``validation``: pair files of one QP and position (more QPs may be mixed into training). Writes into ``out``:
    float.npz (end of stage 1), tuned.npz (end of stage 3), log.jsonl, settings.json, checkpoint.pt; continues from
    checkpoint.pt if it is there. ``start``: a network, of any QP and position, whose weights stage 1 begins with.
    ``progress(stage, step, steps, values)`` is called after every step; ``values["loss"]`` is the moving average at the last logged step.
    Raises VrcnnError for unusable files; KeyboardInterrupt after saving a checkpoint when interrupted.
    """
    settings.check()
    keep_memory()
    files, held_out = [pairs.read(path) for path in training], [pairs.read(path) for path in validation]
    if {(file.meta["qp"], file.meta["position"]) for file in held_out} - {(file.meta["qp"], file.meta["position"]) for file in files}:
        raise VrcnnError("validation pairs have a QP or position that the training pairs lack")
    if len({file.meta["position"] for file in files}) > 1:
        raise VrcnnError("the training pairs are of different positions; train one network for each")
    qp, position = files[0].qp, str(files[0].meta["position"])
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False  # stages 2 and 3 need the weights as they are discretized
    architecture = NETWORKS[settings.network]
    margin = 0 if settings.padded else halo(architecture)
    size = settings.patch + 2 * margin
    sampling = Sampling(settings.seed, settings.batch, size, margin, settings.augment, settings.neighbours, settings.balance)
    patches = Patches(files, sampling, settings.device)
    residual, limits = choose_bounds(files, settings)
    limits = {"geometric": limits, "relu6": (6.0,) * len(limits)}.get(settings.bound_rule, (float("inf"),) * len(limits))
    team = Team([Network(architecture, limits, qp, position) for _ in range(settings.specialists)])
    with torch.no_grad():
        for network in team:
            network.weight_limit = settings.weight_limit
            network.convolutions()[-1][0].weight.mul_(settings.last_layer / 0.1)  # the module starts with 0.1
    if start is not None:
        for network, scale in zip(team, np.linspace(1 - settings.spread, 1 + settings.spread, settings.specialists), strict=True):
            begin_with(network, start, scale)
    elif settings.beside_start or settings.spread:
        raise VrcnnError("beside_start and spread are about the network of --start, which is missing")
    if settings.beside_start and start is not None:
        rival = deepcopy(next(iter(team)))
        begin_with(rival, start)
        team = Team(list(team), rival)
    team = team.to(device=settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = load_checkpoint(out / "checkpoint.pt", settings.device)
    if settings.minutes is not None:
        fit = state["run"]["settings"]["float_steps"] if state else steps_that_fit(team, patches, held_out, settings)
        settings = replace(settings, float_steps=fit)
    run = {"settings": asdict(settings), "training": [f.md5 for f in files], "validation": [f.md5 for f in held_out], "qp": qp}
    run["subsets"] = [f.meta.get("subset") for f in files]
    if any("taught" in f.meta for f in files):
        run["taught"] = [f.meta.get("taught") for f in files]
    if start is not None:
        run["start"] = start.identity
    if state is not None and state["run"] != run:
        raise VrcnnError(f"{out / 'checkpoint.pt'} belongs to a run with other settings or pair files; choose another --out or delete it")
    made_with = {
        "residual": residual,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "hardware": hardware(settings.device),
    }
    log_path = out / "log.jsonl"
    if state is None:
        finished = [name for name in ("float.npz", "tuned.npz") if (out / name).exists()]
        if finished:
            raise VrcnnError(f"{out} holds {' and '.join(finished)} of another run; choose another --out")
        log_path.write_text("")
        with replacing(out / "settings.json") as temporary:
            temporary.write_text(json.dumps({**run, **made_with}, indent=1) + "\n")
    else:
        log_path.write_text(state["log"])

    def log(**values: Any) -> None:
        with log_path.open("a") as file:
            file.write(json.dumps(values) + "\n")

    started = time.monotonic() - (state["seconds"] if state else 0.0)
    first_stage = stages.index(state["stage"]) if state else 0
    mean_loss = 0.0
    with interruptible() as interrupted:
        for stage in stages[first_stage:]:
            steps = settings.steps(stage)
            resumed = state is not None and state["stage"] == stage
            if stage == "weights":
                if settings.hold_first_layer and not resumed:
                    team.round_first_layers(range_batches(patches))
                team.discretize_weights()
            elif stage == "bounds" and not resumed:
                team.quantize_bounds([None] * settings.specialists)
            if settings.hold_first_layer and stage != "float":
                team.hold_first_layers()
            peak = settings.rate if stage == "float" else settings.tuning_rate
            bf16 = settings.precision == "bf16" and stage == "float"
            stepper = make_stepper(team, patches, settings, stage, state if resumed else None)
            first = state["step"] if resumed and state is not None else 0
            for step in range(first, steps):
                if stage == "float" and settings.bound_rule == "n-sigma" and step == steps // 3:
                    measure_bounds(team, patches, settings)
                    stepper.graph = None  # it holds the old bounds
                stepper.deal(stage == "float" and step < steps // 3 and not settings.spread)
                rate = rate_at(step, steps, peak, settings.schedule, settings.warm_up)
                stepper.step(step, rate)
                done = step + 1
                if done % settings.log_every == 0 or done == steps:
                    loss, mean_loss = float(stepper.loss), float(stepper.mean_loss) / (1 - 0.98**done)
                    log(stage=stage, step=done, loss=loss, mean_loss=mean_loss, rate=rate, seconds=time.monotonic() - started)
                if held_out and (done % settings.validate_every == 0 or done == steps):
                    with stepper.averages.applied():
                        before, gain, each = psnr_gain(team, held_out, settings.device, "bf16" if bf16 and done != steps else "fp32")
                    values = {"validation_psnr": before, "validation_gain": gain} | ({"each": each} if len(each) > 1 else {})
                    log(stage=stage, step=done, **values, seconds=time.monotonic() - started)
                progress(stage, done, steps, {"loss": mean_loss})
                if interrupted[0] or done % settings.checkpoint_every == 0:
                    taken = {"run": run, "stage": stage, "step": done, "seconds": time.monotonic() - started, "log": log_path.read_text()}
                    save_checkpoint(out / "checkpoint.pt", {**taken, **snapshot(stepper)})
                if interrupted[0]:
                    raise KeyboardInterrupt
            stepper.averages.adopt()
            team.clamp_weights()
            if stage == "float" and settings.bound_rule == "relu":
                measure_bounds(team, patches, settings)
            if stage != "weights":
                networks = [replace(network, provenance={**run, **made_with, "stage": stage}) for network in team.export()]
                save_float_networks(out / ("float.npz" if stage == "float" else "tuned.npz"), networks)
    return out / ("float.npz" if stages[-1] == "float" else "tuned.npz")


def first_losses(training: list[Path], settings: TrainSettings, steps: int, start: FloatNetwork | None = None) -> list[tuple[int, float]]:
    """(step, loss) as logged in the first ``steps`` steps of a run; nothing is kept."""

    class Enough(Exception):
        pass

    def stop(stage: str, step: int, _steps: int, _values: dict[str, Any]) -> None:
        if step == steps:
            raise Enough

    with TemporaryDirectory() as folder:
        with suppress(Enough):
            train(training, [], Path(folder), settings, stop, start=start)
        entries = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    return [(entry["step"], entry["loss"]) for entry in entries]


def make_stepper(team: Team, patches: Patches, settings: TrainSettings, stage: str, state: dict[str, Any] | None) -> Stepper:
    """Optimizers and averages of a stage; ``state``: the snapshot it goes on from. On CUDA in the form that a graph can capture."""
    if state is not None:
        team.load_state_dict(state["team"])
        for network, limits in zip(team, state["bounds"], strict=True):
            for activation, bound in zip(network.activations, limits, strict=True):
                activation.bound = bound
        if all(state["plans"]):
            team.quantize_bounds([Plan.from_json(plan) for plan in state["plans"]])
    dtype = torch.bfloat16 if settings.precision == "bf16" and stage == "float" else torch.float32
    settings = settings if stage == "float" else replace(settings, average=settings.tuning_average)
    return build_stepper(team, patches, settings, STAGES.index(stage), dtype, state)


def build_stepper(
    team: Team, patches: Patches, settings: TrainSettings, number: int, dtype: torch.dtype, state: dict[str, Any] | None
) -> Stepper:
    """Optimizers and averages for the team as it is. ``number``: of the stage, which decides the patches.

    A parameter with an attribute ``factor`` learns at that multiple of the learning rate (ranges of quantizers).
    """
    cuda = settings.device == "cuda"
    rate: Any = torch.tensor(settings.rate, device="cuda") if cuda else settings.rate
    hidden = [conv.weight for network in team for layer in network.convolutions()[1:-1] for conv in layer]
    hidden = hidden if settings.optimizer == "muon" else []
    others = [p for p in team.parameters() if p.requires_grad and not any(p is h for h in hidden)]
    factors = sorted({getattr(p, "factor", 1.0) for p in others})
    groups = []
    for factor in factors:
        members = [p for p in others if getattr(p, "factor", 1.0) == factor]
        groups.append({"params": members, "factor": factor, "lr": rate.clone() if cuda else rate})
    betas = (settings.beta1, settings.beta2)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=rate, betas=betas, weight_decay=settings.weight_decay, capturable=cuda)
    ]
    if hidden:
        optimizers.append(Muon(hidden, rate.clone() if cuda else rate))
    averages = Averages(team, settings.average)
    stepper = Stepper(team, patches, optimizers, averages, dtype, number, cuda and settings.graph)
    if state is not None:
        for optimizer, values in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        for value, saved in zip(averages.values if averages.decay else [], state["averages"], strict=True):
            value.copy_(saved)
        stepper.mean_loss.copy_(state["mean_loss"])
    return stepper


def snapshot(stepper: Stepper) -> dict[str, Any]:
    """Everything, beside the step's number, that a run needs to go on exactly where it stood."""
    team = stepper.team
    return {
        "team": team.state_dict(),
        "bounds": [[float(activation.bound) for activation in network.activations] for network in team],  # type: ignore[arg-type]
        "plans": [network.plan.to_json() if network.plan else None for network in team],
        "optimizers": [optimizer.state_dict() for optimizer in stepper.optimizers],
        "averages": stepper.averages.values if stepper.averages.decay else [],
        "mean_loss": stepper.mean_loss,
    }
