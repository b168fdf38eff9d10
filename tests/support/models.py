"""Networks, model sets and pictures that tests share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.integer import Branch, IntegerNetwork, ModelSet, accumulate
from vrcnn_int.models import builtin_path, float_path
from vrcnn_int.network import INPUTS, NETWORKS, Architecture, FloatNetwork, joint, save_float_networks
from vrcnn_int.quantize.bounds import bounds_for
from vrcnn_int.quantize.plan import to_integer
from vrcnn_int.requant import rescale

Shape = Sequence[Sequence[tuple[int, int]]]
"""Layers of branches (kernel size, output channels)."""

VRCNN: Shape = (((5, 64),), ((5, 16), (3, 32)), ((3, 16), (1, 32)), ((3, 1),))
INT32 = 1 << 31


def shipped() -> ModelSet:
    """The model set that is compiled into the library."""
    return ModelSet.load(builtin_path())


def random_network(
    rng: np.random.Generator,
    shape: Shape = VRCNN,
    qp: int = 32,
    position: str = "before_deblocking",
    added: Sequence[int] = (),
    heads: int = 0,
    size: str = "best",
) -> IntegerNetwork:
    """Random weights, with shifts and multipliers chosen so that activations fill 0..127 and residuals are a few steps.

    ``heads`` above 0: a network of the kind joint, whose last layer, with the kernel size of ``shape``'s, is given its two branches here.
    """
    if heads:
        kernel = shape[-1][0][0]
        shape = [*shape[:-1], [(kernel, 4 * heads), (kernel, 2 * heads)]]
    values = rng.integers(-128, 128, (6 if heads else 1, 24, 24))
    added = tuple(added) or (0,) * len(shape)
    layers, outputs = [], list[NDArray[np.int64]]()
    for i, layer in enumerate(shape):
        last = i == len(shape) - 1
        branches, products = [], []
        for kernel, channels in layer:
            weights = rng.integers(-127, 128, (channels, values.shape[0], kernel, kernel)).astype(np.int8)
            bias = rng.integers(-2000, 2001, channels).astype(np.int32)
            total = accumulate(values, Branch(kernel, 0, 1, weights, bias))
            high = max(int(np.quantile(np.abs(total), 0.9)), 256)
            shift, multiplier = (2 if last else 0), int(rng.integers(512, 1024))
            target = 16 if last else 32767  # residual steps; or what still fits 16 bits
            while shift < 15 and (high >> shift) * (multiplier if last else 1) >> (15 if last else 0) > target:
                shift += 1
            if not last:
                multiplier = max(1, min(32767, (127 << 15) // (high >> shift)))
            branches.append(Branch(kernel, shift, multiplier, weights, bias))
            products.append(rescale(total, shift, multiplier))
        layers.append(tuple(branches))
        values = np.clip(np.concatenate(products) + (outputs[i - added[i]] if added[i] else 0), 0, 127)
        outputs.append(values)
    return IntegerNetwork(tuple(layers), qp, position, "joint" if heads else "luma", size, max(heads, 1), added)


JOINT: Shape = (((3, 16),), ((3, 16),), ((3, 16),), ((3, 1),))
"""A small network of the kind joint, to be given (0, 0, 2, 0) as what it adds."""


def joint_set(luma: bool = False, seed: int = 22) -> ModelSet:
    """Small joint networks of both sizes for QP 27 and 37, the last of two heads, behind one of the kind luma, if that is wanted."""
    rng = np.random.default_rng(seed)
    of = [(27, "fast", 1), (27, "best", 1), (37, "fast", 1), (37, "best", 2)]
    joint = [random_network(rng, JOINT, qp, added=(0, 0, 2, 0), heads=heads, size=size) for qp, size, heads in of]
    return ModelSet((*([random_network(rng, [[(3, 16)], [(3, 1)]])] if luma else []), *joint))


def trained_joint_set(position: str = "before_deblocking") -> ModelSet:
    """Two of the shipped joint networks, of size fast for the highest QPs: a set that makes coded pictures better and is not built in."""
    networks = sorted(ModelSet.load(builtin_path("joint_intra")).networks, key=lambda network: -network.qp)
    return ModelSet(tuple(replace(network, position=position) for network in networks if network.size == "fast")[:2])


def float_network(seed: int = 1, architecture: Architecture = NETWORKS["vrcnn"], spread: float = 0.05) -> FloatNetwork:
    """Random weights; bounds by the geometric progression for r = 20."""
    rng = np.random.default_rng(seed)
    weights, biases, inputs = [], [], INPUTS[architecture.kind]
    for layer in architecture.layers:
        weights.append(tuple(rng.normal(0, spread, (b.channels, inputs, b.kernel, b.kernel)).astype(np.float32) for b in layer))
        biases.append(tuple(rng.normal(0, 0.01, b.channels).astype(np.float32) for b in layer))
        inputs = sum(b.channels for b in layer)
    wiring = {name: getattr(architecture, name) for name in ("kind", "size", "heads", "added")}
    return FloatNetwork(tuple(weights), tuple(biases), bounds_for(architecture, 20.0), 32, "before_deblocking", **wiring)


def write_joint_set(path: Path) -> ModelSet:
    """A set of two small joint networks, fast and best, for QP 32, with their float networks beside it."""
    floats = [float_network(seed, joint(size, 16, 1), 0.03) for seed, size in ((1, "fast"), (2, "best"))]
    models = ModelSet(tuple(map(to_integer, floats)))
    models.save(path)
    save_float_networks(float_path(path), floats, {"set": models.identity})
    return models


def extreme_network(pattern: str, side: str, shift: int, multiplier: int, heads: int = 0, hidden: int = 16) -> IntegerNetwork:
    """A network at the limits of section 3.

    pattern: weights "high" (all 127), "low" (all -127) or "alternating". side: biases as "high" or as "low" as the proof allows,
    or "zero". shift, multiplier: of the hidden layers; the last layer has them at its own limits. ``heads`` above 0: of the kind joint,
    with ``hidden`` channels in each hidden layer and additions of every distance.
    """
    shape: Shape = (((5, 16), (1, 16)), ((3, 16), (5, 32)), ((3, 1),))
    if heads:
        shape = (*[((kernel, hidden),) for kernel in (3, 1, 5, 3, 1, 3)], ((3, 4 * heads), (3, 2 * heads)))
    layers, inputs = [], 6 if heads else 1
    for i, layer in enumerate(shape):
        last = i == len(shape) - 1
        branches = []
        for kernel, channels in layer:
            weights = np.full((channels, inputs, kernel, kernel), -127 if pattern == "low" else 127, np.int8)
            if pattern == "alternating":
                weights.reshape(-1)[::2] = -127
            s1 = max(shift, 2) if last else shift
            m = int(np.clip(multiplier, 512, 1023)) if last else multiplier
            w = weights.reshape(channels, -1).astype(np.int64)
            ends = np.stack([w * (-128 if i == 0 else 0), w * 127])
            bias = np.zeros(channels, np.int64)
            if side == "high":
                bias += INT32 - 1 - ((1 << s1) >> 1) - ends.max(0).sum(1)
            elif side == "low":
                bias += -INT32 - ends.min(0).sum(1)
            bias = bias.clip(-INT32, INT32 - 1)
            branches.append(Branch(kernel, s1, m, weights, bias.astype(np.int32)))
        layers.append(tuple(branches))
        inputs = sum(channels for _, channels in layer)
    kind, added = ("joint", (0, 1, 2, 3, 4, 1, 0)) if heads else ("luma", ())
    return IntegerNetwork(tuple(layers), 30, "before_deblocking", kind, "best", max(heads, 1), added)


def picture(rng: np.random.Generator, content: str, height: int, width: int, bit_depth: int) -> NDArray[Any]:
    """A plane: content is random, narrow (near mid-grey), constant, zero, max or checkerboard."""
    top = (1 << bit_depth) - 1
    y, x = np.mgrid[:height, :width]
    planes = {
        "random": lambda: rng.integers(0, top + 1, (height, width)),
        "narrow": lambda: rng.integers(top // 2 - 4, top // 2 + 5, (height, width)),
        "constant": lambda: np.full((height, width), rng.integers(0, top + 1)),
        "zero": lambda: np.zeros((height, width)),
        "max": lambda: np.full((height, width), top),
        "checkerboard": lambda: ((x ^ y) & 1) * top,
    }
    return planes[content]().astype(np.uint8 if bit_depth == 8 else np.uint16)
