"""Networks of the conformance suite: general and extreme ones, of both kinds."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.conformance.noise import noise
from vrcnn_int.integer import Branch, IntegerNetwork, ModelSet, accumulate, input_values
from vrcnn_int.network import SIZES
from vrcnn_int.proofs import accumulator_range
from vrcnn_int.requant import LEVELS, rescale

Shape = Sequence[Sequence[tuple[int, int]]]
"""Layers of branches (kernel size, output channels)."""

INT32 = 1 << 31
GENERAL: dict[str, tuple[Shape, ...]] = {
    "two-layers": ([[(1, 16)], [(1, 1)]], [[(5, 16)], [(5, 1)]]),
    "branches": ([[(5, 16), (3, 32), (1, 16), (3, 16)], [(1, 32), (5, 16)], [(3, 1)]], [[(3, 48)], [(1, 16), (1, 16), (5, 16)], [(1, 1)]]),
    "deepest": ([*[[(3, 16)]] * 2, *[[(1, 16)], [(3, 16)]] * 14, [(5, 16)], [(3, 1)]],),
    "widest": ([[(3, 16)], [(3, 64)] * 4, [(5, 16)], [(3, 1)]], [[(1, 256)], [(1, 256)], [(5, 1)]]),
    "ties": ([[(3, 16)], [(3, 16), (1, 16)], [(3, 1)]], [[(5, 32)], [(1, 16)], [(1, 1)]]),
    "saturated": ([[(5, 16)], [(3, 16), (5, 16)], [(3, 1)]],),
    "odd-channels": ([[(3, 80)], [(3, 112)], [(1, 1)]], [[(5, 176)], [(1, 208)], [(3, 16)], [(1, 1)]]),
}


JOINT: dict[str, tuple[tuple[Shape, tuple[int, ...], int], ...]] = {
    "fast": (([[(3, 32)]] * 3 + [[(3, 1)]], (0, 0, 2, 0), 1),),
    "best": (([[(3, 64)]] * 2 + [[(3, 1)]], (0, 1, 0), 1),),
    "heads": (([[(3, 16)]] * 3 + [[(3, 1)]], (0, 1, 2, 0), 2), ([[(5, 16)], [(1, 1)]], (0, 0), 2)),
    "additions": (
        ([[(3, 16)], [(1, 16)], [(3, 16)], [(1, 16)], [(5, 16)], [(1, 16)], [(3, 1)]], (0, 1, 1, 3, 4, 4, 0), 1),
        ([[(1, 16), (5, 16)], [(1, 16)], [(1, 32)], [(3, 16), (1, 16)], [(1, 32)], [(1, 1)]], (0, 0, 2, 0, 4, 0), 2),
        ([[(3, 16)], [(1, 16)], [(5, 1)]], (0, 1, 0), 1),
    ),
    "deepest": (([[(3, 16)], *[[(1, 16)], [(1, 16)], [(1, 16)]] * 9, *[[(3, 16)]] * 3, [(3, 1)]], (0, *(0, 2, 1) * 10, 0), 1),),
    "odd-channels": (([[(3, 80)], [(1, 80)], [(1, 1)]], (0, 1, 0), 2),),
    "widest": (([[(1, 256)], [(1, 16)], [(1, 128)], [(1, 128)], [(1, 1)]], (0, 0, 0, 1, 0), 1),),
    "ties": (([[(3, 16)]] * 3 + [[(3, 1)]], (0, 1, 2, 0), 2),),
    "saturated": (([[(3, 16)]] * 3 + [[(3, 1)]], (0, 1, 2, 0), 1),),
}
"""Networks of the kind joint: layers (of the last only the kernel size counts), added, heads."""

GENERAL_SETS = (*GENERAL, *(f"joint-{name}" for name in JOINT))
"""Wheels leave these out: they are two thirds of the suite, and made where they are needed."""


def general_set(name: str) -> ModelSet:
    """The set of a name in GENERAL_SETS."""
    if name in GENERAL:
        return ModelSet(tuple(general_network(f"{name} {n}", shape, name) for n, shape in enumerate(GENERAL[name])))
    trait = name.removeprefix("joint-")
    networks = [general_network(f"joint {trait} {n}", shape, trait, added, heads) for n, (shape, added, heads) in enumerate(JOINT[trait])]
    return ModelSet(tuple(networks))


def general_network(label: str, shape: Shape, trait: str, added: Sequence[int] = (), heads: int = 0) -> IntegerNetwork:
    """Random weights, with shifts and multipliers for which activations fill 0 .. 127 and residuals are about 16 steps.

    trait "ties": multipliers are powers of two, so that every second product is a tie: any other rounding than half up shows. "saturated":
    many values before the multiplication reach sat16, which shows because the multiplier takes its limit to 100. ``heads`` above 0: a
    network of the kind joint; its last layer's branches are made here.
    """
    values = input_values(noise(label, 24 * 24, 0, 255).reshape(24, 24), 8)
    if heads:
        values = noise(label, 6 * 24 * 24, -128, 127).reshape(6, 24, 24)
        shape = [*shape[:-1], last_layer(shape[-1][0][0], heads)]
    layers, all_values = [], list[NDArray[np.int64]]()
    for i, layer in enumerate(shape):
        branches, outputs = [], []
        last = i == len(shape) - 1
        for j, (kernel, channels) in enumerate(layer):
            here = f"{label} layer {i} branch {j}"
            size = (channels, len(values), kernel, kernel)
            weights = noise(f"{here} weights", int(np.prod(size)), -127, 127).astype(np.int8).reshape(size)
            bias = noise(f"{here} bias", channels, -2000, 2000).astype(np.int32)
            total = accumulate(values, Branch(kernel, 0, 1, weights, bias))
            high = max(int(np.sort(np.abs(total), axis=None)[-(total.size // 10)]), 256)
            if last:
                multiplier = 512 if trait == "ties" else int(noise(f"{here} m", 1, 512, 1023)[0])
                shift = next(s for s in range(2, 16) if s == 15 or (high >> s) * multiplier >> 15 <= 16)
            else:
                shift = next(s for s in range(16) if high >> s <= {"ties": 254, "saturated": 131068}.get(trait, 32767))
                multiplier = {"ties": 16384, "saturated": 100}.get(trait, min(32767, (127 << 15) // (high >> shift)))
            branches.append(Branch(kernel, shift, multiplier, weights, bias))
            outputs.append(rescale(total, shift, multiplier))
        layers.append(tuple(branches))
        back = added[i] if added else 0
        values = np.clip(np.concatenate(outputs) + (all_values[i - back] if back else 0), 0, LEVELS)
        all_values.append(values)
    qp, position = int(noise(label, 1, -12, 51)[0]), "after_sao" if len(shape) % 2 else "before_deblocking"
    kind, size_word = ("joint", SIZES[len(label) % 2]) if heads else ("luma", "best")
    return IntegerNetwork(tuple(layers), qp, position, kind, size_word, max(heads, 1), tuple(added))


def last_layer(kernel: int, heads: int) -> list[tuple[int, int]]:
    """Of a network of the kind joint."""
    return [(kernel, 4 * heads), (kernel, 2 * heads)]


def at_least_shift(network: IntegerNetwork, shift: int) -> IntegerNetwork:
    """The network with shifts of its last layer that are at least so large; the largest sums make room for their rounding."""
    last = []
    for branch in network.layers[-1]:
        more = max((1 << shift >> 1) - (1 << branch.shift >> 1), 0)
        bias = np.where(branch.bias > 0, branch.bias - more, branch.bias).astype(np.int32)
        last.append(replace(branch, shift=max(branch.shift, shift), bias=bias))
    return replace(network, layers=(*network.layers[:-1], tuple(last)))


EXTREME: Shape = ([(5, 16)], [(3, 16), (1, 16)], [(3, 1)])
LARGEST: Shape = ([(1, 256)], [(5, 16)], [(5, 1)])
"""The largest sums that inputs and weights alone can have: 256 channels in a 5x5 window."""


JOINT_EXTREME: Shape = ([(3, 16)], [(1, 16)], [(1, 16)], [(1, 1)])
JOINT_ADDED = (0, 1, 2, 0)


def extreme_network(
    weight: str, bias: str, where: int, shift: int, multiplier: int, shape: Shape = EXTREME, heads: int = 0
) -> IntegerNetwork:
    """One layer at the limits of section 3; the ones before it give 127 wherever the picture is white and 0 where it is black.

    Of layer ``where`` and those after it: weight: "high" (127), "low" (-127) or "alternating". Of layer ``where``: bias: as "high" or as
    "low" as the accumulators' bound allows, or "zero"; shift, multiplier (the last layer's are the nearest that it may have). ``heads``
    above 0: of the kind joint, with JOINT_ADDED.
    """
    layers, inputs = [], 6 if heads else 1
    if heads:
        shape = [*shape[:-1], last_layer(shape[-1][0][0], heads)]
    for i, layer in enumerate(shape):
        branches = []
        for kernel, channels in layer:
            s1, m = (shift, multiplier) if i == where else (0, 32767)
            if i == len(shape) - 1:
                s1, m = max(s1, 2), min(max(m, 512), 1023)
            weights = np.full((channels, inputs, kernel, kernel), -127 if i >= where and weight == "low" else 127, np.int8)
            if i >= where and weight == "alternating":
                weights.reshape(-1)[::2] = -127
            branch = Branch(kernel, s1, m, weights, np.zeros(channels, np.int32))
            low, high = accumulator_range(branch, -128 if i == 0 else 0, 127)
            limits = {"low": -INT32 - low, "high": INT32 - 1 - ((1 << s1) >> 1) - high}
            values = limits.get(bias if i == where else "zero", 0 * low).clip(-INT32, INT32 - 1)
            branches.append(Branch(kernel, s1, m, weights, values.astype(np.int32)))
        layers.append(tuple(branches))
        inputs = sum(channels for _, channels in layer)
    qp = 51 if weight == "high" else -12
    kind, added = ("joint", JOINT_ADDED) if heads else ("luma", ())
    return IntegerNetwork(tuple(layers), qp, "before_deblocking", kind, "best", max(heads, 1), added)


SCALES = ((15, 32767), (0, 1), (0, 32767), (15, 1), (0, 127), (7, 32767), (1, 16384), (14, 20000), (15, 16384), (2, 512), (2, 1023))
"""Shifts and multipliers of extreme networks, in turn."""


def extreme_networks() -> Iterator[IntegerNetwork]:
    """Every layer at its limits, kind luma."""
    cases = [(weight, bias, where) for where in range(3) for weight in ("high", "low") for bias in ("high", "low")]
    cases += [("alternating", bias, where) for where in range(3) for bias in ("high", "zero", "low")]
    for n, (weight, bias, where) in enumerate(cases):
        yield extreme_network(weight, bias, where, *SCALES[n % len(SCALES)])
    for weight in ("high", "low"):
        yield extreme_network(weight, "zero", 1, 15, 32767, LARGEST)


def extreme_joint_networks() -> Iterator[IntegerNetwork]:
    """The same for the kind joint, but for one of the two layers that add, which are alike. Sums reach 32767 + 127."""
    cases = [(weight, bias, where) for where in (0, 2, 3) for weight in ("high", "low") for bias in ("high", "low")]
    cases += [("alternating", "high", 0), ("alternating", "zero", 2)]
    for n, (weight, bias, where) in enumerate(cases):
        yield extreme_network(weight, bias, where, *SCALES[n % len(SCALES)], JOINT_EXTREME, 1 + n % 2)
    # One addition of 127 to 32766, in the layer before the last, which then makes white black: it shows if it wraps.
    first, second, third, last = extreme_network("high", "zero", 2, 0, 32767, JOINT_EXTREME, 1).layers
    layers = first, (replace(second[0], multiplier=127),), third, tuple(replace(branch, weights=-branch.weights) for branch in last)
    yield IntegerNetwork(layers, 51, "before_deblocking", "joint", added=JOINT_ADDED)
