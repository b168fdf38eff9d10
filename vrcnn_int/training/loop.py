"""Training: one visible loop through the three stages of Zhao et al. 2020, Algorithm 1.

float (BReLU from the first step) -> weights discretized, fine-tune -> bounds fixed and activations quantized, fine-tune.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import append_text, check_outputs, write_text
from vrcnn_int.io import pairs
from vrcnn_int.network import NETWORKS, FloatNetwork, save_float_networks
from vrcnn_int.training.checkpoint import RunState, fitting, interruptible, load_checkpoint, refuse_diverged, save_checkpoint, snapshot
from vrcnn_int.training.machine import hardware, keep_memory
from vrcnn_int.training.runs import read_log
from vrcnn_int.training.sampling import Patches, sampling_of
from vrcnn_int.training.settings import STAGES, TrainSettings
from vrcnn_int.training.start import begin_team, choose_bounds, fitting_start, measure_bounds, range_batches
from vrcnn_int.training.stepping import Stepper, make_stepper, rate_at
from vrcnn_int.training.team import Team, psnr_gain

WRITTEN = ("float.npz", "tuned.npz", "log.jsonl", "settings.json", "checkpoint.pt")
"""In the folder of a run."""

Progress = Callable[[str, int, int, dict[str, Any]], None]
"""progress(stage, step, steps, values), after every step."""


def read_pairs(training: list[Path], validation: list[Path]) -> tuple[list[pairs.PairFile], list[pairs.PairFile]]:
    """The pair files of a run. Raises VrcnnError for unusable ones, and for those that do not belong together."""
    files, held_out = [pairs.read(path) for path in training], [pairs.read(path) for path in validation]
    if {(file.meta["qp"], file.meta["position"]) for file in held_out} - {(file.meta["qp"], file.meta["position"]) for file in files}:
        raise VrcnnError("validation pairs have a QP or position that the training pairs lack")
    if len({file.meta["position"] for file in files}) > 1:
        raise VrcnnError("the training pairs are of different positions; train one network for each")
    return files, held_out


@contextmanager
def torch_state(seed: int) -> Iterator[None]:
    """torch's generators seeded, and cuDNN as training wants it; afterwards all is as it was."""
    # Without TF32: stages 2 and 3 need the weights as they are discretized.
    with torch.random.fork_rng(), torch.backends.cudnn.flags(benchmark=True, allow_tf32=False):
        torch.manual_seed(seed)
        yield


@contextmanager
def enough_memory(settings: TrainSettings) -> Iterator[None]:
    """Turn what torch raises where memory is short into a VrcnnError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is for GPUs alone
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
            size = f"{settings.batch} patches of {settings.patch}x{settings.patch}"
            raise VrcnnError(f"there is not enough memory for batches of {size}; take a smaller batch or patch") from None
        raise


class Run:
    """One training run: what it consists of and where it stands, also in the files of its folder.

    Raises VrcnnError for settings and files that do not go together, and where the folder belongs to another run.
    """

    def __init__(
        self, files: list[pairs.PairFile], held_out: list[pairs.PairFile], out: Path, settings: TrainSettings, start: FloatNetwork | None
    ) -> None:
        self.held_out, self.out = held_out, out
        self.patches = Patches(files, sampling_of(settings, NETWORKS[settings.network]), settings.device)
        residual, limits = choose_bounds(files, settings)
        self.team = begin_team(settings, limits, files[0].qp, str(files[0].meta["position"]), start)
        self.state = load_checkpoint(out / "checkpoint.pt", settings.device, RunState)
        if settings.minutes is not None:
            state = self.state
            with fitting(out / "checkpoint.pt") if state else nullcontext():
                fit = state["run"]["settings"]["float_steps"] if state else steps_that_fit(self.team, self.patches, held_out, settings)
            settings = replace(settings, float_steps=fit)
        self.settings = settings
        self.identity = identity(files, held_out, settings, start)
        self.made_with = {
            "residual": residual,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "hardware": hardware(settings.device),
        }
        self.begin_folder()
        self.started = time.monotonic() - (self.state["seconds"] if self.state else 0.0)
        self.mean_loss = 0.0

    @property
    def log_path(self) -> Path:
        return self.out / "log.jsonl"

    def begin_folder(self) -> None:
        """Settings and an empty log, or the log as the checkpoint has it."""
        if self.state is not None:
            if self.state["run"] != self.identity:
                path = self.out / "checkpoint.pt"
                raise VrcnnError(f"{path} belongs to a run with other settings or pair files; choose another --out or delete it")
            write_text(self.log_path, self.state["log"])
            return
        finished = [name for name in ("float.npz", "tuned.npz") if (self.out / name).exists()]
        if finished:
            raise VrcnnError(f"{self.out} holds {' and '.join(finished)} of another run; choose another --out")
        write_text(self.log_path, "")
        write_text(self.out / "settings.json", json.dumps({**self.identity, **self.made_with}, indent=1) + "\n")

    def log(self, **values: Any) -> None:
        """Append a line to log.jsonl."""
        append_text(self.log_path, json.dumps(values) + "\n")

    @property
    def seconds(self) -> float:
        """Time spent, earlier sessions included."""
        return time.monotonic() - self.started

    def resumes(self, stage: str) -> bool:
        """Whether the checkpoint stands within this stage."""
        return self.state is not None and self.state["stage"] == stage

    def enter(self, stage: str) -> None:
        """Give the team the form of a stage."""
        hold = self.settings.hold_first_layer
        if self.settings.round_first_activations and stage != "bounds":
            self.team.round_first_activations()
        if stage == "weights":
            if hold and not self.resumes(stage):
                self.team.round_first_layers(range_batches(self.patches))
            self.team.discretize_weights()
        elif stage == "bounds" and not self.resumes(stage):
            self.team.quantize_bounds([None] * self.settings.specialists)
            if self.settings.round_layers:
                self.team.round_layers(range_batches(self.patches))
        if hold and stage != "float":
            self.team.hold_first_layers()

    def train(self, stage: str, progress: Progress, interrupted: list[bool]) -> None:
        """The steps of a stage. Raises KeyboardInterrupt, after a checkpoint, once the flag in ``interrupted`` is set."""
        settings, steps = self.settings, self.settings.steps(stage)
        state = self.state if self.resumes(stage) else None
        peak = settings.rate if stage == "float" else settings.tuning_rate
        with fitting(self.out / "checkpoint.pt") if state else nullcontext():
            stepper = make_stepper(self.team, self.patches, settings, stage, state)
        for step in range(state["step"] if state else 0, steps):
            if stage == "float" and settings.bound_rule == "n-sigma" and step == steps // 3:
                measure_bounds(self.team, self.patches, settings)
                stepper.graph = None  # it holds the old bounds
            stepper.deal(stage == "float" and step < steps // 3 and not settings.spread)
            rate = rate_at(step, steps, peak, settings.schedule, settings.warm_up)
            stepper.step(step, rate)
            done = step + 1
            saves = interrupted[0] or done % settings.checkpoint_every == 0
            if saves or done % settings.log_every == 0 or done == steps:
                refuse_diverged(float(stepper.loss), stage, done, self.out / "checkpoint.pt")
            if done % settings.log_every == 0 or done == steps:
                self.mean_loss = float(stepper.mean_loss) / (1 - 0.98**done)
                self.log(stage=stage, step=done, loss=float(stepper.loss), mean_loss=self.mean_loss, rate=rate, seconds=self.seconds)
            if self.held_out and (done % settings.validate_every == 0 or done == steps):
                self.validate(stage, done, stepper)
            progress(stage, done, steps, {"loss": self.mean_loss})
            if saves or interrupted[0]:
                self.save(stage, done, stepper)
            if interrupted[0]:
                raise KeyboardInterrupt
        stepper.averages.adopt()
        self.team.clamp_weights()

    def validate(self, stage: str, done: int, stepper: Stepper) -> None:
        """Measure the averaged networks on the held-out pictures, into the log; in fp32 at the end of a stage."""
        fast = self.settings.precision == "bf16" and stage == "float" and done != self.settings.steps(stage)
        with stepper.averages.applied():
            found = psnr_gain(self.team, self.held_out, self.settings.device, "bf16" if fast else "fp32")
        values: dict[str, Any] = {"validation_psnr": found.before, "validation_gain": found.gain}
        values |= {"each": found.each} if len(found.each) > 1 else {}
        values |= {"chroma": found.chroma} if found.chroma else {}
        self.log(stage=stage, step=done, **values, seconds=self.seconds)

    def save(self, stage: str, done: int, stepper: Stepper) -> None:
        """Write the checkpoint."""
        taken = {"run": self.identity, "stage": stage, "step": done, "seconds": self.seconds, "log": self.log_path.read_text()}
        save_checkpoint(self.out / "checkpoint.pt", {**taken, **snapshot(stepper)})

    def finish(self, stage: str) -> None:
        """Write what a stage ends with."""
        if stage == "float" and self.settings.bound_rule == "relu":
            measure_bounds(self.team, self.patches, self.settings)
        if stage != "weights":
            provenance = {**self.identity, **self.made_with, "stage": stage}
            networks = [replace(network, provenance=provenance) for network in self.team.export()]
            save_float_networks(self.out / ("float.npz" if stage == "float" else "tuned.npz"), networks)


def identity(
    files: list[pairs.PairFile], held_out: list[pairs.PairFile], settings: TrainSettings, start: FloatNetwork | None
) -> dict[str, Any]:
    """All that determines a run: a checkpoint goes on only where it is the same."""
    kind = NETWORKS[settings.network].kind
    data = {"training": [f.md5_for(kind) for f in files], "validation": [f.md5_for(kind) for f in held_out]}
    run = {"settings": asdict(settings), **data, "qp": files[0].qp}
    run["subsets"] = [f.meta.get("subset") for f in files]
    if any("taught" in f.meta for f in files):
        run["taught"] = [f.meta.get("taught") for f in files]
    if start is not None:
        run["start"] = start.identity
    return run


def train(
    training: list[Path],
    validation: list[Path],
    out: Path,
    settings: TrainSettings,
    progress: Progress = lambda *_: None,
    stages: tuple[str, ...] = STAGES,
    start: FloatNetwork | Sequence[FloatNetwork] | None = None,
) -> Path:
    """Train one network through the three stages, or the first of them; returns the file of the last stage's network.

    ``training``, ``validation``: pair files of one QP and position (more QPs may be mixed into training). Writes into ``out``:
    float.npz (end of stage 1), tuned.npz (end of stage 3), log.jsonl, settings.json, checkpoint.pt; continues from
    checkpoint.pt if it is there. ``start``: a network, of any QP and position, whose weights stage 1 begins with;
    of several the one that start.fitting_start chooses.
    ``progress(stage, step, steps, values)`` is called after every step; ``values["loss"]`` is the moving average at the last logged step.
    Raises VrcnnError for unusable files; KeyboardInterrupt after saving a checkpoint when interrupted.
    """
    settings.check()
    keep_memory()
    check_outputs((out / name for name in WRITTEN), [*training, *validation], make_folders=True)
    files, held_out = read_pairs(training, validation)
    begin = start if isinstance(start, FloatNetwork | None) else fitting_start(start, settings, files[0].qp, str(files[0].meta["position"]))
    with torch_state(settings.seed):
        run = Run(files, held_out, out, settings, begin)
        first = stages.index(run.state["stage"]) if run.state else 0
        with interruptible() as interrupted:
            for stage in stages[first:]:
                run.enter(stage)
                with enough_memory(settings):
                    run.train(stage, progress, interrupted)
                run.finish(stage)
    return out / ("float.npz" if stages[-1] == "float" else "tuned.npz")


def steps_that_fit(team: Team, patches: Patches, held_out: list[pairs.PairFile], settings: TrainSettings) -> int:
    """Steps of stage 1 that leave the whole run within settings.minutes, from timing a few steps of a copy of the team."""

    def seconds(stage: str) -> float:
        copy = deepcopy(team)
        if settings.round_first_activations:
            copy.round_first_activations()
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
        entries = read_log(Path(folder))
    return [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
