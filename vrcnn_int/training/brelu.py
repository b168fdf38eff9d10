"""Bounded ReLU (Zhao et al. 2020, Eq. 5 with l = 0) and its quantized form, as functions, autograd Function and Module."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

Rectangle = tuple[int, slice, slice]
"""Number of a picture in a batch, rows, columns."""


def brelu_forward(x: Tensor, bound: float) -> Tensor:
    """min(max(x, 0), bound), any shape."""
    return x.clamp(0.0, bound)


def brelu_backward(x: Tensor, gradient: Tensor, bound: float) -> Tensor:
    """Gradient 1 where 0 < x <= bound, 0 elsewhere."""
    return gradient * ((x > 0) & (x <= bound))


def quantized_brelu_forward(x: Tensor, bound: float, levels: int) -> Tensor:
    """BReLU rounded (half up, as the integer filter does) to multiples of bound / levels; levels = 127 for 7-bit activations."""
    step = bound / levels
    return torch.floor(x.clamp(0.0, bound) / step + 0.5) * step


class BReLUFunction(torch.autograd.Function):
    """BReLU; with ``levels`` > 0 quantized, with the straight-through gradient of the unquantized one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float, levels: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return quantized_brelu_forward(x, bound, levels) if levels else brelu_forward(x, bound)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return brelu_backward(x, gradients[0], ctx.bound), None, None


class InPlaceBReLU(torch.autograd.Function):
    """BReLU that takes its input's memory, and makes 0 of rectangles [n, rows, columns]; what is 0 or the bound has no gradient.

    For a training step in float, half of whose time goes into passes over memory: a tenth less of it than with BReLU and a mask.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float, blank: Sequence[Rectangle]) -> Tensor:
        x.clamp_(0.0, bound)
        for n, rows, columns in blank:
            x[n, :, rows, columns] = 0
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        ctx.bound = float(torch.tensor(bound, dtype=x.dtype))  # as it stands in x
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradients[0], y, 0.0, ctx.bound), None, None


class BReLU(nn.Module):
    """Bounded ReLU with a fixed upper bound.

    ``bound``: the upper limit h_f in float units; infinity gives plain ReLU. ``levels``: 0 while training in float, 127 for
    the quantized BReLU (section 3.3) of 7-bit activations.
    """

    def __init__(self, bound: float, levels: int = 0) -> None:
        super().__init__()
        self.bound = bound
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = BReLUFunction.apply(x, self.bound, self.levels)  # type: ignore[no-untyped-call]
        return result

    def extra_repr(self) -> str:
        return f"bound={self.bound:g}, levels={self.levels}"
