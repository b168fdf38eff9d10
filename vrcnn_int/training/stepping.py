"""One optimizer step, the same on CPU and GPU: learning rate, forward pass of training, optimizers, weight average."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import cos, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from vrcnn_int.quantize.plan import Plan
from vrcnn_int.training.brelu import InPlaceBReLU, Rectangle, SteppedBReLU
from vrcnn_int.training.module import Network, middle
from vrcnn_int.training.sampling import Patches
from vrcnn_int.training.settings import STAGES, TrainSettings
from vrcnn_int.training.team import Team, shares


def rate_at(step: int, steps: int, peak: float, schedule: str, warm_up: float) -> float:
    """Learning rate of step 0 .. steps-1: linear rise over the share ``warm_up``, then to 0 as ``schedule`` says.

    ``schedule``: cosine, trapezoid (constant until the last third, then linear) or constant (no fall).
    """
    rising = max(1, round(warm_up * steps))
    if step < rising:
        return peak * (step + 1) / rising
    part = (step - rising) / max(1, steps - rising)
    return peak * {"cosine": 0.5 + 0.5 * cos(pi * part), "trapezoid": min(1.0, 3 * (1 - part)), "constant": 1.0}[schedule]


def training_output(module: Network, x: Tensor, dtype: torch.dtype, valid: bool = True, inside: Tensor | None = None) -> Tensor:
    """``module(x, valid, inside)`` in ``dtype``, faster: a layer's branches are one convolution, smaller kernels padded with zeros."""
    values: Tensor = x.to(dtype)
    # Rectangles are less work than a mask, but CUDA's graph has one form for all patches, and the quantized form knows no rectangles.
    quantized = bool(module.activations[-1].levels)
    masked = inside is not None and (inside.is_cuda or quantized)
    mask = inside.to(dtype) if inside is not None and masked else None
    beyond = outside(inside) if inside is not None and not masked else []
    outputs: list[Tensor] = []
    for i, layer in enumerate(module.convolutions()):
        reach = max(conv.kernel for conv in layer) // 2
        weight = torch.cat([pad(conv.forward_weight(), (reach - conv.kernel // 2,) * 4) for conv in layer])
        values = values if valid else pad(values, (reach,) * 4)
        values = conv2d(values, weight.to(dtype), torch.cat([conv.bias for conv in layer]).to(dtype))
        if i < len(module.activations):
            if back := module.architecture.added[i]:
                values = values + middle(outputs[i - back], values.shape[2:])
            activation = module.activations[i]
            margin = (x.shape[2] - values.shape[2]) // 2
            blank = [(n, shifted(rows, margin), shifted(columns, margin)) for n, rows, columns in beyond]
            form = (activation.bound, activation.levels, blank)
            values = activation(values) if quantized else InPlaceBReLU.apply(values, *form)  # type: ignore[no-untyped-call]
            values = values if mask is None else values * middle(mask, values.shape[2:])
            outputs.append(values)
    return module.by_heads([values])


def integer_output(module: Network, x: Tensor, dtype: torch.dtype, inside: Tensor | None = None) -> Tensor:
    """``module(x, valid=True, inside=inside)`` of a quantized network, by convolutions of integers: bfloat16 has all of them, from -128 to
    127, exactly, and keeps three digits of their sums.

    The input's samples, weights and activations are the integers of the normative filter; what is rounded is the sum of a layer's products,
    to 8 significant bits, which moves an activation by a quarter of a step at most.
    """
    assert module.plan is not None
    values, step = (x * 255).round().to(dtype), 1 / 255
    blank = [] if inside is None else outside(inside)
    outputs: list[Tensor] = []
    for i, layer in enumerate(module.convolutions()):
        reach = max(conv.kernel for conv in layer) // 2
        deltas = [float(conv.step or 0) for conv in layer]
        weight = torch.cat([pad(c.forward_weight() / delta, (reach - c.kernel // 2,) * 4) for c, delta in zip(layer, deltas, strict=True)])
        found = conv2d(values, weight.to(dtype))
        scale = torch.cat([torch.full_like(conv.bias, delta * step) for conv, delta in zip(layer, deltas, strict=True)])
        bias = torch.cat([conv.bias for conv in layer])
        if i == len(module.activations):
            return module.by_heads([torch.addcmul(bias[:, None, None], found.float(), scale[:, None, None])])
        activation = module.activations[i]
        step = float(activation.bound) / module.plan.levels  # type: ignore[arg-type]
        back = module.architecture.added[i]
        added = middle(outputs[i - back], found.shape[2:]) if back else None
        margin = (x.shape[2] - found.shape[2]) // 2
        cut = [(n, shifted(rows, margin), shifted(columns, margin)) for n, rows, columns in blank]
        values = SteppedBReLU.apply(found, scale / step, bias / step, added, module.plan.levels, cut)  # type: ignore[no-untyped-call]
        outputs.append(values)
    raise AssertionError("a network ends with a layer without activation")


def outside(inside: Tensor) -> list[Rectangle]:
    """Where ``inside`` [N, 1, H, W] is 0: what of a patch lies beyond one edge or another of its picture."""
    found: list[Rectangle] = []
    everything = slice(None)
    for axis in (0, 1):
        lines = inside.amax(3 - axis)[:, 0].bool().numpy()  # [N, H] or [N, W]
        for n, line in enumerate(lines):
            first, after = int(line.argmax()), len(line) - int(line[::-1].argmax())
            sides = [slice(0, first)] * (first > 0) + [slice(after, len(line))] * (after < len(line))
            found += [(n, everything, side) if axis else (n, side, everything) for side in sides]
    return found


def shifted(part: slice, margin: int) -> slice:
    """The same rows or columns where ``margin`` of them are cut off before the first."""
    return part if part.stop is None else slice(max(0, part.start - margin), max(0, part.stop - margin))


def orthogonalized(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values near 1, by five Newton-Schulz iterations (Jordan et al. 2024, Muon)."""
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalized; for weights [out, ...] seen as matrices with one row an output."""

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float | Tensor, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalized(p.grad.lerp(state["momentum"], group["momentum"]).flatten(1))
                # An orthogonal update has mean square 1 / its longer side; this gives it Adam's usual 0.2.
                p.sub_((update * (0.2 * max(update.shape) ** 0.5)).view_as(p) * group["lr"])


def layout(patches: Patches, dtype: torch.dtype) -> torch.memory_format:
    """How samples and weights lie in memory: in fp32 on a CPU oneDNN finds the gradient of a joint network's weights in half the time in
    the ordinary layout (AVX2, 32 and 64 channels)."""
    plain = dtype == torch.float32 and patches.device == "cpu" and patches.sampling.kind == "joint"
    return torch.contiguous_format if plain else torch.channels_last


def mean_squares(errors: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of squared errors [N, C, H, W] times ``weight`` [N, 1, H, W], where there is one, of each patch and channel: [N, C]."""
    squares = errors**2
    return (squares if weight is None else squares * weight).mean((2, 3))


class Averages:
    """Moving average of a module's parameters. Decay 0: none, the parameters themselves."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.parameters: list[Tensor] = list(module.parameters())  # not their memory: a change of layout replaces it
        self.decay = decay
        self.values = [p.detach().clone() for p in self.parameters] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters in; call after every optimizer step."""
        if self.decay:
            torch._foreach_lerp_(self.values, self.parameters, 1 - self.decay)

    @torch.no_grad()
    def adopt(self) -> None:
        """Make the averages the module's parameters."""
        if self.decay:
            torch._foreach_copy_(self.parameters, self.values)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averages inside the block, its own parameters again after it."""
        kept = [p.detach().clone() for p in self.parameters]
        self.adopt()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, kept)


class Stepper:
    """Optimizer steps of one stage. Patches are drawn for a block of steps at once.

    ``capture``: on CUDA, record the step as a graph and replay it.
    """

    BLOCK = 64
    EAGER = 3
    """Steps before the capture, which needs allocated optimizer states."""

    def __init__(
        self,
        team: Team,
        patches: Patches,
        optimizers: list[torch.optim.Optimizer],
        averages: Averages,
        dtype: torch.dtype,
        stage: int,
        capture: bool,
    ) -> None:
        self.team, self.patches, self.optimizers, self.averages = team, patches, optimizers, averages
        self.dtype, self.stage, self.capture = dtype, stage, capture
        self.layout = layout(patches, dtype)
        self.block, self.drawn = -1, (torch.empty(0), torch.empty(0))
        self.places = torch.zeros(patches.sampling.batch, 6, dtype=torch.int64, device=patches.device)
        self.weights = torch.ones(patches.sampling.batch, patches.weights.shape[1], device=patches.device)
        self.loss = torch.zeros((), device=patches.device)
        self.mean_loss = torch.zeros((), device=patches.device)
        """Moving average of the loss, started at 0."""
        self.graph: torch.cuda.CUDAGraph | None = None
        self.eager = self.EAGER
        self.dealing = False

    def deal(self, dealing: bool) -> None:
        """Whether patches are dealt out to the networks by difficulty (see team.shares)."""
        if dealing != self.dealing and len(self.team.networks) > 1:
            self.dealing, self.graph = dealing, None

    def body(self) -> None:
        """Cut patches, forward, backward, optimizer, averages; the loss is the squared error in 8-bit sample steps."""
        cut = self.patches.cut(self.places)
        inputs, targets = (values.contiguous(memory_format=self.layout) for values in (cut.x, cut.residual))
        # Luma networks in fp32 keep the order of sums that records of runs have.
        exact = self.dtype == torch.float32 and self.patches.sampling.kind == "luma"
        given = self.patches.sampling.margin > 0, cut.inside
        outputs = [network(inputs, *given) if exact else self.output(network, inputs, *given) for network in self.team]
        errors = torch.stack([mean_squares(output.float() - targets, cut.weight) for output in outputs])  # [K, N, C]
        difficulty = (targets**2).mean((1, 2, 3)) if self.dealing else None
        rival = None
        if self.team.rival is not None and not self.dealing:
            with torch.no_grad():
                output = training_output(self.team.rival, inputs, self.dtype, *given)
                rival = (mean_squares(output.float() - targets, cut.weight) * self.weights).sum(1)
        shared = shares((errors * self.weights).sum(2), difficulty, rival)[..., None] * errors * self.weights
        loss = shared.sum((0, 2)).mean() * 255**2
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()
        self.team.clamp_weights()
        self.averages.update()
        self.loss.copy_(loss.detach())
        self.mean_loss.lerp_(self.loss, 0.02)

    def output(self, network: Network, inputs: Tensor, valid: bool, inside: Tensor | None) -> Tensor:
        """What a network makes of patches, in the form that is quickest."""
        if network.plan is not None and self.dtype == torch.bfloat16:
            return integer_output(network, inputs, self.dtype, inside)
        return training_output(network, inputs, self.dtype, valid, inside)

    def place(self, step: int) -> None:
        """Put the patches of a step where body looks for them."""
        if step // self.BLOCK != self.block:
            self.block = step // self.BLOCK
            draws = [self.patches.draw(self.stage, self.block * self.BLOCK + i) for i in range(self.BLOCK)]
            places, weights = (torch.from_numpy(np.stack(values)).to(self.patches.device) for values in zip(*draws, strict=True))
            self.drawn = places, weights
        self.places.copy_(self.drawn[0][step % self.BLOCK])
        self.weights.copy_(self.drawn[1][step % self.BLOCK])

    def step(self, step: int, rate: float) -> None:
        """Step number ``step`` of the stage, with a learning rate. Its loss is in ``self.loss`` (reading it waits for the device)."""
        self.place(step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate * group.get("factor", 1.0))
                else:
                    group["lr"] = rate * group.get("factor", 1.0)
        if not self.capture:
            self.body()
        elif self.graph is not None:
            self.graph.replay()
        elif self.eager > 0:
            self.eager -= 1
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self.body()
            torch.cuda.current_stream().wait_stream(side)
        else:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):  # records the step, does not run it
                self.body()
            self.graph.replay()


def make_stepper(team: Team, patches: Patches, settings: TrainSettings, stage: str, state: dict[str, Any] | None) -> Stepper:
    """Optimizers and averages of a stage; ``state``: the snapshot it goes on from. On CUDA in the form that a graph can capture."""
    if state is not None:
        team.load_state_dict(state["team"])
        for network, limits in zip(team, state["bounds"], strict=True):
            for activation, bound in zip(network.activations, limits, strict=True):
                activation.bound = bound
        if all(state["plans"]):
            team.quantize_bounds([Plan.from_json(plan) for plan in state["plans"]])
    precision = {"float": settings.precision, "bounds": settings.tuning_precision}.get(stage, "fp32")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    settings = settings if stage == "float" else replace(settings, average=settings.tuning_average)
    return build_stepper(team, patches, settings, STAGES.index(stage), dtype, state)


def build_stepper(
    team: Team, patches: Patches, settings: TrainSettings, number: int, dtype: torch.dtype, state: dict[str, Any] | None
) -> Stepper:
    """Optimizers and averages for the team as it is. ``number``: of the stage, which decides the patches.

    A parameter with an attribute ``factor`` learns at that multiple of the learning rate (ranges of quantizers).
    """
    team.to(memory_format=layout(patches, dtype))  # type: ignore[call-overload]
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
