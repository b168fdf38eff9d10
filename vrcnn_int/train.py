"""Training: one visible loop through the three stages of Zhao et al. 2020, Algorithm 1.

float (BReLU from the first step) -> weights discretized, fine-tune -> bounds fixed and activations quantized, fine-tune.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vrcnn_int import bounds, pairs
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing
from vrcnn_int.module import Network
from vrcnn_int.network import VRCNN, halo, save_float_networks
from vrcnn_int.quantize import Plan

STAGES = ("float", "weights", "bounds")


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training run, beside the pair files."""

    seed: int = 1
    float_steps: int = 8000
    """Stage 1: float weights, BReLU."""
    weight_steps: int = 300
    """Stage 2: discretized weights."""
    bound_steps: int = 300
    """Stage 3: frozen steps and bounds, 7-bit activations."""
    batch: int = 32
    patch: int = 48
    """Side of the patch the loss sees; the network reads its halo around it."""
    rate: float = 2e-3
    """Peak learning rate of stage 1 (Adam, one cycle)."""
    tuning_rate: float = 1e-4
    """Peak learning rate of stages 2 and 3."""
    residual: float | None = None
    """r of the geometric progression in 8-bit sample steps; None: the authors' value for the QP."""
    residual_quantile: float | None = None
    """Instead of a fixed r: this quantile of |original - recon| over the training data."""
    bound_rule: str = "geometric"
    """geometric, or n-sigma: bounds measured after a first third of stage 1 trained without bounds."""
    sigma: float = 3.0
    """n of the n-sigma rule."""
    augment: bool = True
    """Random mirroring and transposition of patches."""
    precision: str = "bf16"
    """bf16 (autocast in stage 1; stages 2 and 3 always run in fp32) or fp32."""
    device: str = "cpu"
    """cpu or cuda."""
    log_every: int = 50
    validate_every: int = 2000
    checkpoint_every: int = 500

    def check(self) -> None:
        """Raise VrcnnError for values that no run can have."""
        positive = ("float_steps", "weight_steps", "bound_steps", "batch", "patch", "log_every", "validate_every", "checkpoint_every")
        for name in positive:
            if getattr(self, name) < 1:
                raise VrcnnError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("rate", "tuning_rate", "sigma"):
            if not 0 < getattr(self, name) < float("inf"):
                raise VrcnnError(f"{name} must be a number above 0, not {getattr(self, name)}")
        if self.seed < 0:
            raise VrcnnError(f"the seed must not be negative, but is {self.seed}")
        for name, known in (("precision", ("bf16", "fp32")), ("bound_rule", ("geometric", "n-sigma")), ("device", ("cpu", "cuda"))):
            if getattr(self, name) not in known:
                raise VrcnnError(f"unknown {name} {getattr(self, name)!r}; there are {' and '.join(known)}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise VrcnnError("this torch sees no CUDA device; train with device=cpu")

    def steps(self, stage: str) -> int:
        """Optimizer steps of a stage."""
        return {"float": self.float_steps, "weights": self.weight_steps, "bounds": self.bound_steps}[stage]


class Patches:
    """Random patches of pair files: same seed, same patches."""

    def __init__(self, files: list[pairs.PairFile], settings: TrainSettings, margin: int) -> None:
        self.planes = [pair for file in files for pair in zip(file.recon, file.original, strict=True)]
        self.settings, self.margin = settings, margin
        self.size = settings.patch + 2 * margin
        if any(min(recon.shape) < self.size for recon, _ in self.planes):
            raise VrcnnError(f"training pictures must be at least {self.size} samples high and wide")
        self.rng = np.random.default_rng(settings.seed)

    def batch(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """(recon [N, 1, size, size], residual [N, 1, patch, patch]), both re-normalized by 1/255."""
        inputs, targets = [], []
        m, size = self.margin, self.size
        for _ in range(self.settings.batch):
            recon, original = self.planes[int(self.rng.integers(len(self.planes)))]
            y = int(self.rng.integers(recon.shape[0] - size + 1))
            x = int(self.rng.integers(recon.shape[1] - size + 1))
            a = recon[y : y + size, x : x + size].astype(np.float32)
            b = original[y : y + size, x : x + size].astype(np.float32) - a
            if self.settings.augment:
                turn = int(self.rng.integers(8))
                if turn & 1:
                    a, b = a.T, b.T
                a, b = a[:: 1 - (turn & 2), :: 1 - (turn & 4) // 2], b[:: 1 - (turn & 2), :: 1 - (turn & 4) // 2]
            inputs.append((a - 128) / 255)
            targets.append(b[m : size - m, m : size - m] / 255)
        return np.stack(inputs)[:, None], np.stack(targets)[:, None]


def psnr_gain(module: Network, files: list[pairs.PairFile], device: str, precision: str = "fp32") -> tuple[float, float]:
    """(PSNR of the unfiltered pictures, gain of the filtered ones), dB, means over the pictures of the pair files."""
    before: list[float] = []
    after: list[float] = []
    module.eval()
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        for recon, original in (pair for file in files for pair in zip(file.recon, file.original, strict=True)):
            x = (torch.from_numpy(recon.astype(np.float32)).to(device) - 128) / 255
            residual = module(x[None, None].contiguous(memory_format=torch.channels_last))[0, 0].float().cpu().numpy() * 255
            out = np.clip(np.floor(recon + residual + 0.5), 0, 255)
            for samples, results in ((recon.astype(np.float64), before), (out, after)):
                mse = np.mean((samples - original) ** 2)
                results.append(float(10 * np.log10(255**2 / max(mse, 1e-9))))
    module.train()
    return float(np.mean(before)), float(np.mean(after) - np.mean(before))


def choose_bounds(files: list[pairs.PairFile], settings: TrainSettings) -> tuple[float, tuple[float, ...]]:
    """(r, bounds h_rf): geometric progression from the settings' r, its quantile on the data, or the authors' value."""
    residual = settings.residual
    if settings.residual_quantile is not None:
        sample = [o.astype(np.float32) - r for file in files for r, o in zip(file.recon[::8], file.original[::8], strict=True)]
        differences: NDArray[np.floating] = np.concatenate([plane.ravel() for plane in sample])
        residual = bounds.residual_quantile(differences, settings.residual_quantile)
    if residual is None:
        residual = bounds.residual_for_qp(files[0].qp)
    return residual, bounds.geometric_progression(residual, len(VRCNN))


def measure_n_sigma(module: Network, patches: Patches, settings: TrainSettings, batches: int = 8) -> tuple[float, ...]:
    """Bounds of the hidden layers by the n-sigma rule, from the values before each activation."""
    seen: list[list[NDArray[np.floating]]] = [[] for _ in module.activations]

    def keep(index: int) -> Callable[[Any, tuple[torch.Tensor, ...], Any], None]:
        return lambda _module, inputs, _output: seen[index].append(inputs[0].float().cpu().numpy())

    hooks = [activation.register_forward_hook(keep(i)) for i, activation in enumerate(module.activations)]
    with torch.no_grad():
        for _ in range(batches):
            module(torch.from_numpy(patches.batch()[0]).to(settings.device), valid=True)
    for hook in hooks:
        hook.remove()
    return tuple(bounds.n_sigma(values, settings.sigma) for values in seen)


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


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a torch checkpoint whole or not at all."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, expected: dict[str, Any]) -> dict[str, Any] | None:
    """The checkpoint, None if there is none; VrcnnError if it is damaged or of a run with other settings or data."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:
        raise VrcnnError(f"{path} is damaged ({type(error).__name__}); delete it to start this run again") from None
    if state["run"] != expected:
        raise VrcnnError(f"{path} belongs to a run with other settings or pair files; choose another --out or delete it")
    return state


def train(
    training: list[Path],
    validation: list[Path],
    out: Path,
    settings: TrainSettings,
    progress: Callable[[str, int, int, dict[str, Any]], None] = lambda *_: None,
) -> Path:
    """Train one network through the three stages; returns the file of the tuned network.

    ``training``, ``validation``: pair files of one QP and position (more QPs may be mixed into training). Writes into ``out``:
    float.npz (end of stage 1), tuned.npz (end of stage 3), log.jsonl, settings.json, checkpoint.pt; continues from
    checkpoint.pt if it is there. ``progress(stage, step, steps, values)`` is called after every step.
    Raises VrcnnError for unusable files; KeyboardInterrupt after saving a checkpoint when interrupted.
    """
    settings.check()
    files, held_out = [pairs.read(path) for path in training], [pairs.read(path) for path in validation]
    if {(file.meta["qp"], file.meta["position"]) for file in held_out} - {(file.meta["qp"], file.meta["position"]) for file in files}:
        raise VrcnnError("validation pairs have a QP or position that the training pairs lack")
    if len({file.meta["position"] for file in files}) > 1:
        raise VrcnnError("the training pairs are of different positions; train one network for each")
    qp, position = files[0].qp, str(files[0].meta["position"])
    out.mkdir(parents=True, exist_ok=True)
    run = {"settings": asdict(settings), "training": [f.md5 for f in files], "validation": [f.md5 for f in held_out], "qp": qp}

    torch.manual_seed(settings.seed)
    margin = halo(VRCNN)
    patches = Patches(files, settings, margin)
    residual, limits = choose_bounds(files, settings)
    unbounded = (float("inf"),) * len(limits)
    module = Network(VRCNN, limits if settings.bound_rule == "geometric" else unbounded, qp, position)
    module = module.to(device=settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = load_checkpoint(out / "checkpoint.pt", run)
    log_path = out / "log.jsonl"
    if state is None:
        finished = [name for name in ("float.npz", "tuned.npz") if (out / name).exists()]
        if finished:
            raise VrcnnError(f"{out} holds {' and '.join(finished)} of another run; choose another --out")
        log_path.write_text("")
        with replacing(out / "settings.json") as temporary:
            temporary.write_text(json.dumps({**run, "residual": residual, "torch": torch.__version__}, indent=1) + "\n")
    else:
        log_path.write_text(state["log"])

    def log(**values: Any) -> None:
        with log_path.open("a") as file:
            file.write(json.dumps(values) + "\n")

    started = time.monotonic() - (state["seconds"] if state else 0.0)
    first_stage = STAGES.index(state["stage"]) if state else 0
    with interruptible() as interrupted:
        for stage in STAGES[first_stage:]:
            steps = settings.steps(stage)
            resumed = state is not None and state["stage"] == stage
            if stage == "weights":
                module.discretize_weights()
            elif stage == "bounds" and not resumed:
                module.quantize_bounds()
            optimizer = torch.optim.Adam(module.parameters(), lr=settings.rate)
            peak = settings.rate if stage == "float" else settings.tuning_rate
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=max(steps, 1), pct_start=0.1)
            first = 0
            if resumed and state is not None:
                restore(module, optimizer, schedule, patches, state)
                first = state["step"]
            bf16 = settings.precision == "bf16" and stage == "float"
            total = state["mean_loss"] if resumed and state is not None else 0.0
            for step in range(first, steps):
                if stage == "float" and settings.bound_rule == "n-sigma" and step == steps // 3:
                    for activation, bound in zip(module.activations, measure_n_sigma(module, patches, settings), strict=True):
                        activation.bound = bound
                inputs, targets = (torch.from_numpy(a).to(settings.device) for a in patches.batch())
                with torch.autocast(settings.device, torch.bfloat16, enabled=bf16):
                    output = module(inputs.contiguous(memory_format=torch.channels_last), valid=True)
                loss = torch.mean((output.float() - targets) ** 2) * 255**2
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                module.clamp_weights()
                done = step + 1
                total = float(loss.detach()) if total == 0 else 0.98 * total + 0.02 * float(loss.detach())
                if done % settings.log_every == 0 or done == steps:
                    rate = schedule.get_last_lr()[0]
                    elapsed = time.monotonic() - started
                    log(stage=stage, step=done, loss=float(loss.detach()), mean_loss=total, rate=rate, seconds=elapsed)
                if held_out and (done % settings.validate_every == 0 or done == steps):
                    before, gain = psnr_gain(module, held_out, settings.device, "bf16" if bf16 and done != steps else "fp32")
                    log(stage=stage, step=done, validation_psnr=before, validation_gain=gain, seconds=time.monotonic() - started)
                progress(stage, done, steps, {"loss": total})
                if interrupted[0] or done % settings.checkpoint_every == 0:
                    taken = snapshot(module, optimizer, schedule, patches, run, stage, done, total, started, log_path)
                    save_checkpoint(out / "checkpoint.pt", taken)
                if interrupted[0]:
                    raise KeyboardInterrupt
            provenance = {**run, "residual": residual, "stage": stage, "torch": torch.__version__}
            network = replace(module.export(), provenance=provenance)
            if stage != "weights":
                save_float_networks(out / ("float.npz" if stage == "float" else "tuned.npz"), [network])
    return out / "tuned.npz"


def snapshot(
    module: Network,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    patches: Patches,
    run: dict[str, Any],
    stage: str,
    step: int,
    mean_loss: float,
    started: float,
    log_path: Path,
) -> dict[str, Any]:
    """Everything a run needs to go on exactly where it stood."""
    return {
        "run": run,
        "stage": stage,
        "step": step,
        "mean_loss": mean_loss,
        "seconds": time.monotonic() - started,
        "log": log_path.read_text(),
        "module": module.state_dict(),
        "bounds": [float(activation.bound) for activation in module.activations],  # type: ignore[arg-type]
        "plan": module.plan.to_json() if module.plan else None,
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "patches": json.dumps(patches.rng.bit_generator.state),
    }


def restore(
    module: Network,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    patches: Patches,
    state: dict[str, Any],
) -> None:
    """Inverse of snapshot."""
    module.load_state_dict(state["module"])
    for activation, bound in zip(module.activations, state["bounds"], strict=True):
        activation.bound = bound
    if state["plan"]:
        module.quantize_bounds(Plan.from_json(state["plan"]))
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    patches.rng.bit_generator.state = json.loads(state["patches"])
