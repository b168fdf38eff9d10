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

    ``levels`` > 0: then rounded as the quantized BReLU, with the gradient of the unrounded one.

    For a training step in float, half of whose time goes into passes over memory: a tenth less of it than with BReLU and a mask.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float, levels: int, blank: Sequence[Rectangle]) -> Tensor:
        x.clamp_(0.0, bound)
        for n, rows, columns in blank:
            x[n, :, rows, columns] = 0
        ctx.mark_dirty(x)
        ctx.save_for_backward(x.clone() if levels else x)
        if levels:
            x.div_(bound / levels).add_(0.5).floor_().mul_(bound / levels)
        ctx.bound = float(torch.tensor(bound, dtype=x.dtype))  # as it stands in x
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradients[0], y, 0.0, ctx.bound), None, None, None


class SteppedBReLU(torch.autograd.Function):
    """Quantized BReLU from one layer's integers to the next one's: floor(min(max(x * scale + bias + added, 0), levels) + 1/2).

    x [N, C, H, W]: sums of products of integers, in any precision; ``scale``, ``bias`` [C]: in steps of the result; ``added``: of an
    earlier layer, in the same steps, or None. The result has x's dtype, which must hold 0..levels (bfloat16 does to 256). Gradients are
    those of the unrounded BReLU, also to bias and added. ``blank``: as for InPlaceBReLU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bias: Tensor, added: Tensor | None, levels: int, blank: Sequence[Rectangle]) -> Tensor:
        y = torch.addcmul(bias[:, None, None], x.float(), scale[:, None, None])
        if added is not None:
            y += added
        passes = (y > 0) & (y < levels)
        y.clamp_(0, levels).add_(0.5).floor_()
        for n, rows, columns in blank:
            y[n, :, rows, columns] = 0
            passes[n, :, rows, columns] = False
        ctx.save_for_backward(passes, scale)
        ctx.adds = added is not None
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor | None, None, None]:
        passes, scale = ctx.saved_tensors
        gradient = gradients[0] * passes
        to_x = gradient * scale[:, None, None].to(gradient.dtype)
        return to_x, None, gradient.sum((0, 2, 3), dtype=torch.float32), gradient if ctx.adds else None, None, None


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
