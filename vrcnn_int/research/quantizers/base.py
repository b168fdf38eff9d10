"""What every quantizer here does: the interface.

A quantizer takes a trained float network through its stages of fine-tuning to an integer network: an IntegerNetwork where its numbers fit
the normative filter (c/SPECIFICATION.md), else an ExtendedNetwork, with the reason.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import FloatNetwork
from vrcnn_int.research.extended import AnyInteger
from vrcnn_int.training.module import Network


@dataclass(frozen=True)
class Stage:
    """Fine-tuning of ``steps`` steps from where the stage ``after`` ended (None: from the prepared network)."""

    name: str
    steps: int
    after: str | None = None


class Quantizer(ABC):
    """A way to an integer network. ``weight_bits``: of the layers between first and last, which have 8. ``activation_bits``: of all layers.

    Whoever trains calls prepare(), then for each stage that next_stage() names enter() and so many optimizer steps, then finish().
    """

    name: str
    float_rule = "relu"
    """How the float network that it starts from is trained (TrainSettings.bound_rule): relu means without bounds."""

    def __init__(self, weight_bits: int = 8, activation_bits: int = 7) -> None:
        if not 2 <= weight_bits <= 8 or not 2 <= activation_bits <= 8:
            raise VrcnnError(f"{self.name}: weights and activations have 2 to 8 bits, not {weight_bits} and {activation_bits}")
        self.weight_bits, self.activation_bits = weight_bits, activation_bits

    @property
    def levels(self) -> int:
        """Largest activation: 127 for 7 bits."""
        return (1 << self.activation_bits) - 1

    @property
    def weight_levels(self) -> int:
        """Largest weight of a symmetric quantizer: 127 for 8 bits, 1 for 2 bits (ternary)."""
        return (1 << (self.weight_bits - 1)) - 1

    @abstractmethod
    def prepare(self, network: FloatNetwork, batches: Sequence[Tensor]) -> Network:
        """A module for the first stage. ``batches``: training inputs [N, 1, H, W] that ranges are measured on."""

    @abstractmethod
    def next_stage(self, gains: dict[str, float], steps: tuple[int, int]) -> Stage | None:
        """The stage after those in ``gains`` (name -> PSNR gain in dB that it ended with), None after the last.

        ``steps``: of the weights and of the bounds stage of a training run, to be shared out.
        """

    def kept(self, gains: dict[str, float]) -> str:
        """The stage whose network is finished, after the last of them."""
        return list(gains)[-1]

    @abstractmethod
    def enter(self, stage: str, network: Network, batches: Sequence[Tensor]) -> None:
        """Turn the module into the form of a stage; a function of the module's state alone."""

    @abstractmethod
    def finish(self, network: Network) -> tuple[AnyInteger, str]:
        """The integer network, and why it is not a normative one ("" if it is)."""
