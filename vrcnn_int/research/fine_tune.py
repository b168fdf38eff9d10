"""Fine-tuning through a quantizer's stages (see quantizers/interface.py): one loop for all methods, resumable."""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from msgspec import Struct

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import write_text
from vrcnn_int.io.pairs import PairFile
from vrcnn_int.network import FloatNetwork
from vrcnn_int.research.quantizers.base import Quantizer, Stage
from vrcnn_int.training.checkpoint import fitting, interruptible, load_checkpoint, refuse_diverged, save_checkpoint, snapshot
from vrcnn_int.training.module import Network
from vrcnn_int.training.sampling import Patches, sampling_of
from vrcnn_int.training.settings import TrainSettings
from vrcnn_int.training.start import range_batches
from vrcnn_int.training.stepping import build_stepper, rate_at
from vrcnn_int.training.team import Team, psnr_gain

Progress = Callable[[str, int, int, dict[str, Any]], None]


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning gave: the module in the form of the stage that is kept; by stage the PSNR gain (dB) it ended with; steps and seconds
    of all stages."""

    network: Network
    gains: dict[str, float]
    steps: int
    seconds: float


def training_patches(files: list[PairFile], settings: TrainSettings, network: FloatNetwork) -> Patches:
    """The patches that train() would draw for this network and these settings."""
    return Patches(files, sampling_of(settings, network.architecture), settings.device)


class _State(Struct):
    """What its checkpoint holds."""

    run: dict[str, Any]
    ended: dict[str, dict[str, Any]]
    log: list[dict[str, Any]]
    seconds: float
    now: dict[str, Any] | None = None


def fine_tune(
    quantizer: Quantizer,
    network: FloatNetwork,
    files: list[PairFile],
    held_out: list[PairFile],
    settings: TrainSettings,
    out: Path,
    progress: Progress = lambda *_: None,
) -> Tuned:
    """Take a float network through the stages of ``quantizer``, with the settings' weight_steps and bound_steps between them.

    Writes checkpoint.pt and log.jsonl into ``out`` and goes on from them. ``held_out``: measured at the end of each stage.
    Raises VrcnnError if the checkpoint is another run's; KeyboardInterrupt after saving one when interrupted.
    """
    settings.check()
    out.mkdir(parents=True, exist_ok=True)
    patches = training_patches(files, settings, network)
    inputs = range_batches(patches)
    steps = settings.weight_steps, settings.bound_steps
    options = {key: asdict(value) if hasattr(value, "__dataclass_fields__") else value for key, value in vars(quantizer).items()}
    run = {"quantizer": [quantizer.name, options], "float": network.identity, "settings": asdict(settings)}
    run |= {"training": [file.md5 for file in files], "validation": [file.md5 for file in held_out]}
    path = out / "checkpoint.pt"
    state = load_checkpoint(path, settings.device, _State) or {"run": run, "ended": {}, "log": [], "seconds": 0.0}
    if state["run"] != run:
        raise VrcnnError(f"{path} belongs to a run with other settings or pair files; choose another --out or delete it")
    started = time.monotonic() - state["seconds"]
    ended: dict[str, dict[str, Any]] = state["ended"]

    def gains() -> dict[str, float]:
        return {name: end["gain"] for name, end in ended.items()}

    def keep(**more: Any) -> None:
        state.pop("now", None)
        save_checkpoint(path, state | more | {"seconds": time.monotonic() - started})
        write_text(out / "log.jsonl", "".join(json.dumps(entry) + "\n" for entry in state["log"]))

    def at_start_of(stage: Stage) -> tuple[Network, int]:
        """The module in the form of the stage, and the stage's number, from 1."""
        way = [stage.name]
        after = stage.after
        while after is not None:
            way.insert(0, after)
            after = ended[after]["after"]
        module = quantizer.prepare(network, inputs)
        module.to(device=settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name in way:
            quantizer.enter(name, module, inputs)
            if name != stage.name:
                module.load_state_dict(ended[name]["state"])
        return module, len(way)

    torch.manual_seed(settings.seed)
    module, loss, reached = None, 0.0, ""
    with interruptible() as interrupted:
        while (stage := quantizer.next_stage(gains(), steps)) is not None:
            now = state.get("now") if state.get("now", {}).get("stage") == stage.name else None
            with fitting(path) if ended or now else nullcontext():
                module, number = at_start_of(stage)
                team = Team([module])
                if now is not None:
                    team.load_state_dict(now["team"])
                stepper = build_stepper(team, patches, replace(settings, average=settings.tuning_average), number, torch.float32, now)
            reached = stage.name
            team.train()
            for step in range(now["step"] if now else 0, stage.steps):
                torch.manual_seed((settings.seed * 64 + number << 32) + step)  # noise depends on seed, stage and step alone
                stepper.step(step, rate_at(step, stage.steps, settings.tuning_rate, settings.schedule, settings.warm_up))
                done = step + 1
                if interrupted[0] or done % settings.checkpoint_every == 0 or done % settings.log_every == 0 or done == stage.steps:
                    refuse_diverged(float(stepper.loss), stage.name, done, path)
                if done % settings.log_every == 0 or done == stage.steps:
                    state["log"].append({"stage": stage.name, "step": done, "loss": float(stepper.loss)})
                    loss = state["log"][-1]["loss"]
                progress(stage.name, done, stage.steps, {"loss": loss})
                if interrupted[0] or done % settings.checkpoint_every == 0:
                    keep(now={"stage": stage.name, "step": done, **snapshot(stepper)})
                if interrupted[0]:
                    raise KeyboardInterrupt
            stepper.averages.adopt()
            team.clamp_weights()
            gain = psnr_gain(team, held_out, settings.device).gain if held_out else 0.0
            state["log"].append({"stage": stage.name, "step": stage.steps, "validation_gain": gain})
            copy = {name: value.clone() for name, value in module.state_dict().items()}
            ended[stage.name] = {"state": copy, "gain": gain, "steps": stage.steps, "after": stage.after}
            keep()
    kept = quantizer.kept(gains())
    if module is None or kept != reached:  # nothing was left to do, or an earlier stage was better: its module again
        module, _ = at_start_of(Stage(kept, ended[kept]["steps"], ended[kept]["after"]))
        module.load_state_dict(ended[kept]["state"])
    seconds = load_seconds(path)
    return Tuned(module.eval(), gains(), sum(end["steps"] for end in ended.values()), seconds)


def load_seconds(path: Path) -> float:
    """Seconds of training that a checkpoint stands for."""
    state = load_checkpoint(path, "cpu", _State)
    return float(state["seconds"]) if state else 0.0
