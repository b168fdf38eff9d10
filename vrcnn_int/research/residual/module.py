"""Residual networks as an ``nn.Module`` with batch normalization, through the stages of Zhao et al. 2020, Algorithm 1, to integers.

Stages: ``float``; ``weights``: forward with weights discretized, a step for each channel; ``bounds``: bounded ReLUs, activations rounded to
7 bits, batch normalization at its moving averages. It is merged into the convolutions after the last stage.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from msgspec import Struct
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from vrcnn_int.errors import VrcnnError
from vrcnn_int.quantize.bounds import n_sigma
from vrcnn_int.requant import LEVELS
from vrcnn_int.research.residual.network import Design, FloatArray, Layer, MergedNetwork, merge
from vrcnn_int.training.brelu import BReLU
from vrcnn_int.training.checkpoint import fitting, interruptible, load_checkpoint, refuse_diverged, save_checkpoint
from vrcnn_int.training.stepping import rate_at

Progress = Callable[[str, int, int, float], None]
CHECKPOINT = 100
"""Steps between checkpoints."""


class ChannelConv(nn.Module):
    """Convolution, zeros outside, and batch normalization (or a bias, in the last layer). ``discretized``: forward with weights rounded to
    127 steps of each channel's own size, which follows max|W|; gradients go to the weights (straight through, Eq. 14)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, normalized: bool = True) -> None:
        super().__init__()
        self.stride, self.discretized = stride, False
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.norm = nn.BatchNorm2d(outputs) if normalized else None
        self.bias = None if normalized else nn.Parameter(torch.zeros(outputs))

    def forward_weight(self) -> Tensor:
        """The weights that the forward pass uses."""
        if not self.discretized:
            return self.weight
        w = self.weight.detach()
        step = w.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30) / LEVELS
        return self.weight + (torch.floor(w / step + 0.5) * step - w)

    def forward(self, x: Tensor) -> Tensor:
        y = conv2d(x, self.forward_weight(), self.bias, self.stride, self.weight.shape[2] // 2)
        return y if self.norm is None else self.norm(y)

    def merged(self) -> Layer:
        """Convolution and batch normalization at its moving averages as one convolution, in float64."""

        def numbers(values: Tensor) -> FloatArray:
            return values.detach().cpu().double().numpy().copy()

        if self.norm is None:
            assert self.bias is not None
            return Layer(numbers(self.weight), numbers(self.bias), self.stride)
        assert self.norm.running_var is not None
        assert self.norm.running_mean is not None
        deviation = np.sqrt(numbers(self.norm.running_var) + self.norm.eps)
        scale, shift, mean = numbers(self.norm.weight), numbers(self.norm.bias), numbers(self.norm.running_mean)
        return merge(numbers(self.weight), scale, shift, mean, deviation, self.stride)


class ResidualBlock(nn.Module):
    """Two convolutions and a skip. Takes what stands before the activation that it reads, and that activation; gives its sum."""

    def __init__(self, inputs: int, channels: int, stride: int, projected: bool) -> None:
        super().__init__()
        self.first = ChannelConv(inputs, channels, 3, stride)
        self.inner = BReLU(float("inf"))
        self.second = ChannelConv(channels, channels, 3)
        self.skip = ChannelConv(inputs, channels, 1, stride) if projected else None

    def forward(self, total: Tensor, v: Tensor, bound: float) -> Tensor:
        # The identity skip is bounded, not rounded to 7 bits.
        beside: Tensor = total.clamp(0.0, bound) if self.skip is None else self.skip(v)
        result: Tensor = self.second(self.inner(self.first(v))) + beside
        return result


class ResidualNetwork(nn.Module):
    """The network of a design. Forward: [N, inputs, H, W] in (s - 128) / 255 -> a filter's residual / 255 [N, 1, H, W], or [N, classes]."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.stem = ChannelConv(design.inputs, design.stem, 3)
        self.blocks = nn.ModuleList(
            ResidualBlock(design.inputs_of(n), block.channels, block.stride, design.projected(n)) for n, block in enumerate(design.blocks)
        )
        self.outer = nn.ModuleList(BReLU(float("inf")) for _ in range(len(design.blocks) + 1))
        last = design.blocks[-1].channels
        self.last = ChannelConv(last, design.classes or 1, 1 if design.classes else 3, normalized=False)
        self.frozen = False
        with torch.no_grad():
            if not design.classes:
                self.last.weight.mul_(0.1)  # starts near "no filter"

    def parts(self) -> list[ResidualBlock]:
        """The blocks."""
        return [block for block in self.blocks if isinstance(block, ResidualBlock)]

    def activations(self) -> list[BReLU]:
        """The bounded ReLUs in the order of MergedNetwork.bounds."""
        outer = [a for a in self.outer if isinstance(a, BReLU)]
        return [outer[0], *(a for block, after in zip(self.parts(), outer[1:], strict=True) for a in (block.inner, after))]

    def forward(self, x: Tensor) -> Tensor:
        activations = self.activations()
        total = self.stem(x)
        if self.design.pool:
            total = max_pool2d(total.relu(), 3, 2, 1)
        v = activations[0](total)
        for n, block in enumerate(self.parts()):
            total = block(total, v, activations[2 * n].bound)
            v = activations[2 * n + 2](total)
        if self.design.classes:
            return self.last(v.mean((2, 3), keepdim=True)).flatten(1)  # type: ignore[no-any-return]
        return self.last(v)  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> "ResidualNetwork":
        super().train(mode)
        if self.frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def discretize_weights(self) -> None:
        """The form of the second stage."""
        for module in self.modules():
            if isinstance(module, ChannelConv):
                module.discretized = True

    def quantize_bounds(self, bounds: Iterable[float]) -> None:
        """The form of the third stage, with these bounds; batch normalization stays at its moving averages."""
        for activation, bound in zip(self.activations(), bounds, strict=True):
            activation.bound, activation.levels = float(bound), LEVELS
        self.frozen = True
        self.train(self.training)

    def measure_bounds(self, batches: Iterable[Tensor], n: float) -> list[float]:
        """Bounds by the n-sigma rule: by batch of inputs, averaged. Raises VrcnnError if an activation is never above 0."""
        found: list[list[float]] = [[] for _ in self.activations()]

        def watch(values: list[float]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            return lambda _module, inputs: values.append(n_sigma([inputs[0].cpu().numpy()], n))

        hooks = [a.register_forward_pre_hook(watch(values)) for a, values in zip(self.activations(), found, strict=True)]
        training = self.training
        self.eval()
        with torch.no_grad():
            for batch in batches:
                self(batch)
        self.train(training)
        for hook in hooks:
            hook.remove()
        bounds = [sum(values) / len(values) for values in found]
        if min(bounds) <= 0:
            raise VrcnnError(f"activation {bounds.index(min(bounds)) + 1} is nearly always 0; train longer or with a lower rate")
        return bounds

    def merged(self) -> MergedNetwork:
        """The network with batch normalization merged, in float64."""
        blocks = tuple((b.first.merged(), b.second.merged(), b.skip.merged() if b.skip else None) for b in self.parts())
        bounds = tuple(float(a.bound) for a in self.activations())
        return MergedNetwork(self.design, self.stem.merged(), blocks, self.last.merged(), bounds)


class _State(Struct):
    """What a checkpoint of `Stages` holds."""

    run: dict[str, Any]
    done: dict[str, Any]
    notes: dict[str, Any]
    now: dict[str, Any] | None = None


class Stages:
    """Stages of one training run, resumable: ``path`` is its checkpoint, ``run`` what it was made from (JSON values).

    Raises VrcnnError if the checkpoint is another run's.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.state = load_checkpoint(path, "cpu", _State) or {"run": run, "done": {}, "notes": {}}
        if self.state["run"] != run:
            raise VrcnnError(f"{path} belongs to a run with other settings or data; choose another --out or delete it")

    def note(self, name: str, value: Callable[[], Any]) -> Any:
        """A value (JSON) that is found once and kept with the run."""
        notes = self.state["notes"]
        if name not in notes:
            notes[name] = value()
            save_checkpoint(self.path, self.state)
        return notes[name]

    def run(
        self,
        module: ResidualNetwork,
        name: str,
        steps: int,
        rate: float,
        loss_at: Callable[[int], Tensor],
        progress: Progress = lambda *_: None,
    ) -> None:
        """Train ``module``, which is in the stage's form, for ``steps`` steps of AdamW, or load what a finished stage gave.

        ``loss_at(step)``: the loss of a step, a function of the step alone. Ctrl-C: KeyboardInterrupt after saving a checkpoint.
        """
        if name in self.state["done"]:
            with fitting(self.path):
                module.load_state_dict(self.state["done"][name])
            return
        optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=1e-4)
        start = 0
        now = self.state.get("now")
        with fitting(self.path):
            if now and now["stage"] == name:
                module.load_state_dict(now["module"])
                optimizer.load_state_dict(now["optimizer"])
                start = int(now["step"])
        module.train()
        with interruptible() as interrupted:
            for step in range(start, steps):
                for group in optimizer.param_groups:
                    group["lr"] = rate_at(step, steps, rate, "cosine", 0.1)
                loss = loss_at(step)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                progress(name, step + 1, steps, float(loss.detach()))
                if interrupted[0] or (step + 1) % CHECKPOINT == 0 or step + 1 == steps:
                    refuse_diverged(float(loss.detach()), name, step + 1, self.path)
                if interrupted[0] or (step + 1) % CHECKPOINT == 0:
                    now = {"stage": name, "step": step + 1, "module": module.state_dict(), "optimizer": optimizer.state_dict()}
                    save_checkpoint(self.path, self.state | {"now": now})
                if interrupted[0]:
                    raise KeyboardInterrupt
        self.state["done"][name] = {key: value.clone() for key, value in module.state_dict().items()}
        self.state.pop("now", None)
        save_checkpoint(self.path, self.state)
        module.eval()


@dataclass(frozen=True)
class Schedule:
    """What decides the stages of a run, beside its data."""

    seed: int = 1
    float_steps: int = 8000
    weight_steps: int = 600
    bound_steps: int = 600
    """For each n that is tried, and for ReLU6."""
    batch: int = 32
    rate: float = 1e-3
    tuning_rate: float = 1e-4
    sigma: float = 3.0
    """The first n of the n-sigma rule; it grows by 0.5 until the loss against discretized weights is within the threshold."""
    last_sigma: float = 6.0
    threshold: float = 0.005
    """Loss that ends Algorithm 1: dB of a filter, share of pictures of a classifier."""

    FROM_0: ClassVar[tuple[str, ...]] = ("seed", "threshold")
    """Settings that may be 0."""

    def check(self) -> None:
        """Raise VrcnnError for values that no run can have."""
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in self.FROM_0 else 1 if isinstance(value, int) else 1e-12
            if not least <= value < float("inf"):
                raise VrcnnError(f"{field.name} must be {'above 0' if isinstance(least, float) else f'at least {least}'}, not {value}")


@dataclass(frozen=True)
class Task:
    """What a network learns: ``loss(module, stage number, step)``; ``score(module)``, the more the better; inputs for bounds."""

    loss: Callable[[ResidualNetwork, int, int], Tensor]
    score: Callable[[ResidualNetwork], float]
    inputs: list[Tensor]


class Algorithm1:
    """The stages of one network, each from the best of the one before. Modules that it gives are in eval mode."""

    def __init__(self, design: Design, stages: Stages, task: Task, settings: Schedule, progress: Progress) -> None:
        self.design, self.stages, self.task, self.settings, self.progress = design, stages, task, settings, progress

    def _new(self) -> ResidualNetwork:
        torch.manual_seed(self.settings.seed)
        return ResidualNetwork(self.design)

    def _run(self, module: ResidualNetwork, name: str, number: int) -> ResidualNetwork:
        s = self.settings
        steps = (s.float_steps, s.weight_steps, s.bound_steps)[number]
        rate = s.tuning_rate if number else s.rate
        self.stages.run(module, name, steps, rate, lambda step: self.task.loss(module, number, step), self.progress)
        return module.eval()

    def score(self, module: ResidualNetwork, name: str) -> float:
        """The score that a stage ended with, measured once."""
        return float(self.stages.note(f"score {name}", lambda: self.task.score(module)))

    def plain(self) -> ResidualNetwork:
        """Stage 1."""
        return self._run(self._new(), "float", 0)

    def weights(self) -> ResidualNetwork:
        """Stage 2."""
        module = self.plain()
        module.discretize_weights()
        return self._run(module, "weights", 1)

    def bounded(self, name: str, bounds: Callable[[ResidualNetwork], list[float]]) -> ResidualNetwork:
        """Stage 3, from stage 2, with the bounds that ``bounds`` chooses for the network of stage 2."""
        module = self.weights()
        module.quantize_bounds(self.stages.note(f"bounds {name}", lambda: bounds(module)))
        return self._run(module, name, 2)

    def n_sigma(self) -> tuple[ResidualNetwork, float]:
        """Stage 3 with bounds by the n-sigma rule: the network of the best n, and that n. A larger one that is worse is the last."""
        n, before = self.settings.sigma, self.score(self.weights(), "weights")
        best: tuple[float, ResidualNetwork, float] | None = None
        while True:
            module = self.bounded(f"n={n}", lambda found, n=n: found.measure_bounds(self.task.inputs, n))  # type: ignore[misc]
            score = self.score(module, f"n={n}")
            if best is not None and score < best[0]:
                return best[1:]
            best = score, module, n
            if score >= before - self.settings.threshold or n >= self.settings.last_sigma:
                return module, n
            n += 0.5

    def relu6(self) -> ResidualNetwork:
        """Stage 3 with all bounds 6."""
        return self.bounded("relu6", lambda module: [6.0] * len(module.activations()))
