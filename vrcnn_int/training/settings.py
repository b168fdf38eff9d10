"""The settings of a training run, and what values they may have."""

from dataclasses import dataclass

import torch

from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import NETWORKS

MOST = 1e30
"""Of settings that multiply what training computes, far above any use: float32, which it computes in, ends at 3.4e38."""

MOST_STEPS = 10**9
LIMITS = {"batch": 65536, "patch": 8192, "specialists": 64}
"""Of counts that memory grows with, far above any use."""

STAGES = ("float", "weights", "bounds")
CHOICES = {
    "network": tuple(NETWORKS),
    "optimizer": ("adam", "muon"),
    "schedule": ("cosine", "trapezoid", "constant"),
    "bound_rule": ("geometric", "n-sigma", "relu6", "relu"),
    "precision": ("bf16", "fp32"),
    "tuning_precision": ("fp32", "bf16"),
    "device": ("cpu", "cuda"),
}


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training run, beside the pair files."""

    network: str = "vrcnn"
    """vrcnn; joint-fast or joint-best (luma and chroma together); vrcnn-wide (twice the channels), a teacher for `vrcnn-int teach`; or
    vdsr (20 layers of 64 channels)."""
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
    """Side of the patch the loss sees, in luma samples; the network reads its halo around it."""
    borders: bool = True
    """Patches lie at the edges of pictures, too, where each layer reads zeros around the picture as the filter does."""
    edge_weight: float = 1.0
    """With borders: weight in the loss of the two outermost rows and columns of pictures (one of chroma); the rest has 1."""
    padded: bool = False
    """Instead of the halo the network reads zeros around each patch, as in the published recipe; pictures' edges are then like others."""
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
    round_layers: bool = False
    """Stage 3 begins with the weights of every layer rounded together, each layer's for the inputs that the rounded ones before it give it
    and with its bias corrected. Stage 2 has nothing to prepare then (weight_steps=1)."""
    round_first_activations: bool = False
    """Stages 1 and 2 round the first layer's activations to 7 bits, as the integer filter does: of all activations theirs cost most, since
    they carry samples' brightness beside what is small (docs/TRAINING.md)."""
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
    chroma: float = 0.06
    """Weight of Cb and of Cr in the loss of joint networks, where each plane's error counts in proportion to its mean; luma has 1. About
    1/16 weighs squared errors of all six channels alike; with more chroma drowns what luma learns (docs/TRAINING.md)."""
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
    """Of stage 1: bf16 or fp32. Stage 2 always runs in fp32."""
    tuning_precision: str = "fp32"
    """Of stage 3. bf16, for joint networks with borders on CPUs with AMX: products of integers, quicker (stepping.integer_output)."""
    device: str = "cpu"
    """cpu or cuda."""
    graph: bool = True
    """On CUDA: capture the step as a graph and replay it (the same sums, without the cost of launching each kernel)."""
    log_every: int = 50
    validate_every: int = 2000
    checkpoint_every: int = 500

    def check(self) -> None:
        """Raise VrcnnError for values that no run can have."""
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise VrcnnError(f"unknown {name} {getattr(self, name)!r}; there are {' and '.join(known)}")
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
            most = LIMITS.get(name, MOST_STEPS)
            if not 1 <= getattr(self, name) <= most:
                raise VrcnnError(f"{name} must be a number from 1 to {most}, not {getattr(self, name)}")
        if self.minutes is not None and not 0 < self.minutes <= 1_000_000:
            raise VrcnnError(f"minutes must be a number above 0 and at most 1000000, not {self.minutes}")
        if self.residual is not None and not 0 < self.residual <= 255:
            raise VrcnnError(f"residual must be a number above 0 and at most 255, not {self.residual}")
        if self.residual_quantile is not None and not 0 < self.residual_quantile < 1:
            raise VrcnnError(f"residual_quantile must lie between 0 and 1, not {self.residual_quantile}")
        if not 0 <= self.balance <= 4:
            raise VrcnnError(f"balance is a power from 0 to 4, not {self.balance}")
        for name in ("rate", "tuning_rate", "sigma"):
            if not 0 < getattr(self, name) <= MOST:
                raise VrcnnError(f"{name} must be a number above 0 and at most {MOST:g}, not {getattr(self, name)}")
        for name in ("warm_up", "beta1", "beta2", "average", "tuning_average", "neighbours", "spread"):
            if not 0 <= getattr(self, name) < 1:
                raise VrcnnError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        for name in ("weight_decay", "last_layer", "weight_limit", "chroma"):
            if not 0 <= getattr(self, name) <= MOST:
                raise VrcnnError(f"{name} must be a number from 0 to {MOST:g}, not {getattr(self, name)}")
        if not 1 <= self.edge_weight <= 1000:
            raise VrcnnError(f"edge_weight must be a number from 1 to 1000, not {self.edge_weight}")
        if self.edge_weight != 1 and (self.padded or not self.borders):
            raise VrcnnError("edge_weight is about the edges of pictures, which are seen with borders=true and padded=false")
        if 0 < self.weight_limit < 2:
            raise VrcnnError(f"weight_limit is a multiple of weights' root mean square: 0 (none) or at least 2, not {self.weight_limit}")
        if self.patch % 2 and NETWORKS[self.network].kind == "joint":
            raise VrcnnError(f"patches of joint networks have an even side, not {self.patch}")
        if self.spread and self.specialists < 2:
            raise VrcnnError("spread is about how specialists differ at the start; give at least two (specialists=2)")
        if self.round_first_activations and self.bound_rule not in ("geometric", "relu6"):
            raise VrcnnError(f"round_first_activations needs bounds from the first step on; bound_rule={self.bound_rule} has none")
        if not 0 <= self.seed < 2**64:
            raise VrcnnError(f"the seed must be from 0 to 2^64 - 1, but is {self.seed}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise VrcnnError("this torch sees no CUDA device; train with device=cpu")

    def steps(self, stage: str) -> int:
        """Optimizer steps of a stage."""
        return {"float": self.float_steps, "weights": self.weight_steps, "bounds": self.bound_steps}[stage]
