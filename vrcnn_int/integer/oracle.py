"""The oracle: the numpy forward that defines the bits, exact in int64 (c/SPECIFICATION.md, section 2)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vrcnn_int.integer.model import Branch, IntegerNetwork, ModelError
from vrcnn_int.network import BIT_DEPTHS, DEEP
from vrcnn_int.requant import LEVELS, pre_shift, rescale
from vrcnn_int.sites import luma_of, to_sites
from vrcnn_int.text import counted

Plane = NDArray[Any]
"""Samples of a plane, [height, width]: uint8 at bit depth 8, uint16 at 9 and 10."""

UNIT_SCALE = 8
"""The output scale c, or weight c_h of a network's one head, that leaves the residual as trained."""

EXACT_PRODUCTS = 1024
"""So many products of a weight (at most 127) and an input (at most 128) stay below 2^24, where float32 sums are exact."""
BLOCK = 2048
"""Samples at a time: what they touch stays in the second-level cache."""

Values = NDArray[np.int64]


def accumulate(values: Values, branch: Branch, finish: Callable[[Values], Values] = lambda acc: acc) -> Values:
    """finish(bias + sum(weight * value)), exactly: int64 [in, H, W] -> int64 [out, H, W], zero outside the picture.

    ``finish`` is applied to parts of the accumulators, int64 [out, any], and must treat each sample alone.

    A tap is a matrix product with the flattened, padded picture, shifted. Products are summed in float32 as long as no sum can reach
    2^24 (so that nothing is ever rounded), then in int64. Tests compare this with accumulate_int64().
    """
    reach = branch.kernel // 2
    outputs, inputs = branch.weights.shape[:2]
    height, width = values.shape[1:]
    pitch = width + 2 * reach
    padded = np.zeros((inputs, height + 2 * reach + 1, pitch), np.float32)  # one more row: the last shifts run past the end
    padded[:, reach : reach + height, reach : reach + width] = values
    flat = padded.reshape(inputs, -1)
    shifts = [dy * pitch + dx for dy, dx in np.ndindex(branch.kernel, branch.kernel)]
    taps = branch.weights.astype(np.float32).transpose(0, 2, 3, 1).reshape(outputs, len(shifts), inputs)
    exact = EXACT_PRODUCTS // inputs
    together = max(1, 32 // inputs)  # the first layer has one input: its taps share a product
    bias = branch.bias.astype(np.int64)[:, None]
    result = np.empty((outputs, height * pitch), np.int64)
    for start in range(0, height * pitch, BLOCK):
        stop = min(start + BLOCK, height * pitch)
        acc = np.repeat(bias, stop - start, axis=1)
        for first in range(0, len(shifts), exact):
            end = min(first + exact, len(shifts))
            sums = np.zeros((outputs, stop - start), np.float32)
            for tap in range(first, end, together):
                windows = [flat[:, start + shift : stop + shift] for shift in shifts[tap : min(tap + together, end)]]
                weights = taps[:, tap : tap + len(windows)].reshape(outputs, -1)
                sums += weights @ (windows[0] if len(windows) == 1 else np.concatenate(windows))
            acc += sums.astype(np.int64)
        result[:, start:stop] = finish(acc)
    return result.reshape(outputs, height, pitch)[:, :, :width]


def accumulate_int64(values: NDArray[np.int64], branch: Branch) -> NDArray[np.int64]:
    """The same sums in int64 throughout: slow, the definition that accumulate() is tested against."""
    reach = branch.kernel // 2
    windows = sliding_window_view(np.pad(values, ((0, 0), (reach, reach), (reach, reach))), (branch.kernel, branch.kernel), (1, 2))
    total: NDArray[np.int64] = np.einsum("ihwyx,oiyx->ohw", windows, branch.weights.astype(np.int64))
    return total + branch.bias.astype(np.int64)[:, None, None]


def input_values(plane: NDArray[np.integer], bit_depth: int) -> NDArray[np.int64]:
    """The input of the first layer, kind luma: -128 .. 127, int64 [1, H, W]. ModelError: other planes than of 8 to 10 and 12 bits."""
    if bit_depth not in BIT_DEPTHS:
        raise ModelError(f"pictures of {bit_depth} bits are not filtered; 8, 9, 10 and 12 bits are")
    if plane.ndim != 2 or 0 in plane.shape or plane.dtype.kind not in "iu":
        raise ModelError(f"a plane is a non-empty two-dimensional integer array, not {plane.dtype} {plane.shape}")
    if np.iinfo(plane.dtype).max < (1 << bit_depth) - 1:
        raise ModelError(f"a plane of {bit_depth} bits does not fit {plane.dtype}")
    samples: NDArray[np.int64] = plane.astype(np.int64)[None]
    if samples.min() < 0 or samples.max() >= 1 << bit_depth:
        raise ModelError(f"samples up to {samples.max()} do not fit {bit_depth} bits")
    if bit_depth > 8:
        samples = np.minimum(255, (samples + (1 << (bit_depth - 9))) >> (bit_depth - 8))
    return samples - 128


def reads_chroma(planes: Sequence[Plane], bit_depths: tuple[int, int], chroma_format: str) -> bool:
    """Whether a joint network filters the chroma planes of a picture: 4:2:0 of 8 to 10 bits, or all of 12.

    Raises ModelError if planes do not fit.
    """
    if chroma_format not in ("400", "420", "422", "444"):
        raise ModelError(f"unknown chroma format {chroma_format!r}")
    if len(planes) != (1 if chroma_format == "400" else 3):
        raise ModelError(f"a {chroma_format} picture of {counted(len(planes), 'plane')}")
    if chroma_format != "420" or not (8 <= bit_depths[1] <= 10 or tuple(bit_depths) == (DEEP, DEEP)):
        return False
    shape = tuple((side + 1) // 2 for side in planes[0].shape)
    if any(plane.shape != shape for plane in planes[1:]):
        raise ModelError(f"chroma planes of shapes {planes[1].shape} and {planes[2].shape}, {shape} expected")
    return True


def site_values(planes: Sequence[Plane], bit_depths: tuple[int, int], chroma_format: str) -> NDArray[np.int64]:
    """The input of the first layer, kind joint: -128 .. 127, int64 [6, SitesY, SitesX]. Parameters as in filter_planes()."""
    read = planes if reads_chroma(planes, bit_depths, chroma_format) else planes[:1]
    return to_sites([input_values(plane, bit_depths[number > 0])[0] for number, plane in enumerate(read)])


def _hidden(network: IntegerNetwork, values: Values) -> list[Values]:
    """Activations of every hidden layer, from the first layer's input."""
    outputs: list[Values] = []
    for i, layer in enumerate(network.layers[:-1]):
        products = [accumulate(values, b, partial(rescale, shift=b.shift, multiplier=b.multiplier)) for b in layer]
        added = outputs[i - network.added[i]] if network.added[i] else 0
        values = np.clip(np.concatenate(products) + added, 0, LEVELS)
        outputs.append(values)
    return outputs


def layer_outputs(network: IntegerNetwork, plane: NDArray[np.integer], bit_depth: int) -> list[NDArray[np.int64]]:
    """Activations 0 .. 127 of every hidden layer, int64 [C, H, W] each. ``plane``: integer [H, W], 8 <= bit_depth <= 10."""
    _need_kind(network, "luma")
    _need_depth(network, bit_depth)
    return _hidden(network, input_values(plane, bit_depth))


def joint_layer_outputs(
    network: IntegerNetwork, planes: Sequence[Plane], bit_depths: tuple[int, int], chroma_format: str = "420"
) -> list[NDArray[np.int64]]:
    """Activations 0 .. 127 of every hidden layer of a joint network, int64 [C, SitesY, SitesX] each. Parameters as in filter_planes()."""
    _need_kind(network, "joint")
    _need_depth(network, bit_depths[0])
    return _hidden(network, site_values(planes, bit_depths, chroma_format))


def filter_plane(network: IntegerNetwork, plane: NDArray[np.integer], bit_depth: int, scale: int = UNIT_SCALE) -> NDArray[np.integer]:
    """The filtered luma plane, same shape and dtype (section 2): the bits that every implementation must give.

    ``plane``: integer [H, W], values 0 .. 2^bit_depth - 1; ``scale``: output scale c, 1 .. 10. Raises ModelError, also for networks of the
    kind joint.
    """
    if not 1 <= scale <= 10:
        raise ModelError(f"output scale {scale} is not in 1..10")
    values = layer_outputs(network, plane, bit_depth)[-1]
    (branch,) = network.layers[-1]
    return _corrected(plane, _residuals(values, branch, bit_depth, [scale])[0], bit_depth)


def filter_planes(
    network: IntegerNetwork,
    planes: Sequence[Plane],
    bit_depths: tuple[int, int],
    chroma_format: str = "420",
    luma_weights: Sequence[int] = (UNIT_SCALE,),
    chroma_weights: Sequence[int] = (UNIT_SCALE,),
) -> tuple[Plane, ...]:
    """The filtered planes of a picture, same shapes and dtypes (section 2); those that the network does not change are the given arrays.

    ``planes``: Y, or Y, Cb, Cr, integer [height, width] each; ``bit_depths``: of luma (8 .. 10 or 12) and of chroma; ``chroma_format``:
    "400", "420", "422" or "444". ``luma_weights``, ``chroma_weights``: c_h in eighths for each of the network's heads, 1 .. 10 for one
    head, -5 .. 10 for two. A network of the kind luma changes luma only, and its ``chroma_weights`` mean nothing. Raises ModelError.
    """
    chroma = reads_chroma(planes, bit_depths, chroma_format)
    for name, weights in (("luma", luma_weights), ("chroma", chroma_weights)):
        least = 1 if network.heads == 1 else -5
        if len(weights) != network.heads or not all(least <= weight <= 10 for weight in weights):
            raise ModelError(f"{name} weights {list(weights)} are not {network.heads} of {least}..10")
    if network.kind == "luma":
        return filter_plane(network, planes[0], bit_depths[0], luma_weights[0]), *planes[1:]
    values = joint_layer_outputs(network, planes, bit_depths, chroma_format)[-1]
    luma, color = network.layers[-1]
    residual = luma_of(_residuals(values, luma, bit_depths[0], luma_weights), planes[0].shape)
    filtered = (_corrected(planes[0], residual, bit_depths[0]),)
    if not chroma:
        return *filtered, *planes[1:]
    residuals = _residuals(values, color, bit_depths[1], chroma_weights)
    return *filtered, *(_corrected(plane, r, bit_depths[1]) for plane, r in zip(planes[1:], residuals, strict=True))


def _residuals(values: Values, branch: Branch, bit_depth: int, weights: Sequence[int]) -> Values:
    """r of the last layer: a head's outputs are those of the branch from head * outputs / heads on. int64 [outputs / heads, H, W]."""
    t = pre_shift(accumulate(values, branch), branch.shift - (bit_depth - 8))
    factors = np.array([(branch.multiplier * weight) >> 3 for weight in weights], np.int64)
    residuals: Values = (np.tensordot(factors, t.reshape(len(weights), -1, *t.shape[1:]), 1) + (1 << 14)) >> 15
    return residuals


def _corrected(plane: Plane, residual: Values, bit_depth: int) -> Plane:
    """Sample plus residual, limited to the bit depth, in the plane's dtype."""
    filtered: Plane = np.clip(plane.astype(np.int64) + residual, 0, (1 << bit_depth) - 1).astype(plane.dtype)
    return filtered


def _need_depth(network: IntegerNetwork, bit_depth: int) -> None:
    if bit_depth == DEEP and not network.is_deep:
        raise ModelError("this network does not filter 12 bits; joint networks do whose last layer has shifts of 4 or more")


def _need_kind(network: IntegerNetwork, kind: str) -> None:
    if network.kind != kind:
        raise ModelError(f"the network is of the kind {network.kind}, not {kind}")
