"""Model sets and pictures without end, drawn at random and at the limits: kernels and programs on them, for the exactness matrix."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codec_bridge.filter import Filter
from tests.support.models import extreme_network, picture, random_network, shipped
from vrcnn_int import integer
from vrcnn_int.conformance import FilterVector, JointVector, Suite, plane_bytes
from vrcnn_int.conformance.verify import PartResult
from vrcnn_int.integer import IntegerNetwork, ModelSet, Plane
from vrcnn_int.network import KINDS, NETWORKS

PARTS = {"luma": "random", "joint": "random joint"}
"""What results on random pictures are called, by the kind of the networks."""
NETWORKS_A_SET = 4
PICTURES_A_SET = 8
LARGEST, SMALLER = (700, 1400), (60, 140)
"""Height and width of pictures, at most; the smaller where few samples are compared, so that they are of several networks."""
MANY = 10**6
CONTENTS = ("random", "random", "narrow", "checkerboard", "smooth", "smooth", "zero", "max")


@dataclass(frozen=True)
class Case:
    """A picture, luma or luma, Cb and Cr of 4:2:0, the number of a network, and its weights for luma and for chroma."""

    planes: tuple[Plane, ...]
    depths: tuple[int, int]
    index: int
    luma_weights: tuple[int, ...]
    chroma_weights: tuple[int, ...]

    def __str__(self) -> str:
        height, width = self.planes[0].shape
        return f"{width}x{height}, {' and '.join(map(str, sorted(set(self.depths[: len(self.planes)]))))} bits, {len(self.planes)} planes"


def drawn(rng: np.random.Generator, kind: str, largest: tuple[int, int] = LARGEST) -> Iterator[tuple[ModelSet, list[Case]]]:
    """Model sets of networks of one kind without end, each with pictures."""
    while True:
        models = _luma_set(rng) if kind == "luma" else _joint_set(rng)
        yield models, [_case(rng, models, kind, largest) for _ in range(PICTURES_A_SET)]


def _luma_set(rng: np.random.Generator) -> ModelSet:
    draw = rng.random()
    if draw < 0.6:
        return shipped()
    if draw < 0.9:
        return ModelSet(tuple(random_network(rng) for _ in range(NETWORKS_A_SET)))
    return ModelSet(tuple(_extreme(rng, 0) for _ in range(NETWORKS_A_SET)))


def _joint_set(rng: np.random.Generator) -> ModelSet:
    """Half of the sets are of the shapes that ship; a fifth is extreme, with additions of every distance that saturate."""
    draw = rng.random()
    makes: Callable[[np.random.Generator, int], IntegerNetwork] = _shipped_shape if draw < 0.5 else _any_shape if draw < 0.8 else _extreme
    return ModelSet(tuple(makes(rng, int(rng.integers(1, 3))) for _ in range(NETWORKS_A_SET)))


def _shipped_shape(rng: np.random.Generator, heads: int) -> IntegerNetwork:
    architecture = NETWORKS[str(rng.choice(["joint-fast", "joint-best"]))]
    shape = [[(branch.kernel, branch.channels) for branch in layer] for layer in architecture.layers]
    return random_network(rng, shape, added=architecture.added, heads=heads, size=architecture.size)


def _any_shape(rng: np.random.Generator, heads: int) -> IntegerNetwork:
    """Of 3 to 7 layers with as many channels each, in one branch or two; half of them add."""
    channels = int(rng.choice([16, 16, 32, 32, 48, 64, 96, 128]))
    kernels = [1, 3, 5] if channels < 64 else [1, 3]
    shape: list[list[tuple[int, int]]] = []
    added: list[int] = []
    for layer in range(int(rng.integers(2, 7))):
        back = int(rng.integers(1, min(4, layer) + 1)) if layer and rng.random() < 0.5 else 0
        parts = [16, channels - 16] if not back and channels > 16 and rng.random() < 0.3 else [channels]
        shape.append([(int(rng.choice(kernels)), part) for part in parts])
        added.append(back)
    return random_network(rng, [*shape, [(int(rng.choice(kernels)), 1)]], added=(*added, 0), heads=heads)


def _extreme(rng: np.random.Generator, heads: int) -> IntegerNetwork:
    """heads 0: of the kind luma. Half of the multipliers are the largest: with shift 0 a sum before an addition is then 32766."""
    pattern, side = str(rng.choice(["high", "low", "alternating"])), str(rng.choice(["high", "low", "zero"]))
    multiplier = 32767 if rng.random() < 0.5 else int(rng.integers(1, 32768))
    return extreme_network(pattern, side, int(rng.choice([0, int(rng.integers(16))])), multiplier, heads)


def _case(rng: np.random.Generator, models: ModelSet, kind: str, largest: tuple[int, int]) -> Case:
    index = int(rng.integers(min(NETWORKS_A_SET, len(models.networks))))
    height, width = (int(rng.integers(1, most + 1)) for most in largest)
    depths = int(rng.integers(8, 11)), int(rng.integers(8, 11))
    if kind == "luma":
        return Case((_plane(rng, height, width, depths[0]),), depths, index, (int(rng.integers(1, 11)),), (8,))
    shapes = [(height, width), *([((height + 1) // 2, (width + 1) // 2)] * 2 if rng.random() < 0.9 else [])]
    heads = models.networks[index].heads
    weights = [tuple(int(n) for n in rng.integers(-5 if heads > 1 else 1, 11, heads)) for _ in range(2)]
    return Case(tuple(_plane(rng, *shape, depths[n > 0]) for n, shape in enumerate(shapes)), depths, index, weights[0], weights[1])


def _plane(rng: np.random.Generator, height: int, width: int, depth: int) -> Plane:
    content = str(rng.choice(CONTENTS))
    plane = picture(rng, "random" if content == "smooth" else content, height, width, depth)
    if content == "smooth":
        slope = np.add.outer(np.arange(height) * int(rng.integers(8)), np.arange(width) * int(rng.integers(8)))
        plane = ((slope + plane // 16) % (1 << depth)).astype(plane.dtype)
    return plane


def by_oracle(models: ModelSet, case: Case) -> tuple[Plane, ...]:
    """What the specification says."""
    chroma_format = "400" if len(case.planes) == 1 else "420"
    return integer.filter_planes(
        models.networks[case.index], case.planes, case.depths, chroma_format, case.luma_weights, case.chroma_weights
    )


def compare(
    kernel: str,
    other: str,
    kind: str,
    samples: int,
    seed: int,
    check_stop: Callable[[], None] = lambda: None,
) -> PartResult:
    """Filter random pictures with a kernel and with another (or "oracle") until so many samples are compared."""
    result, rng = PartResult(), np.random.default_rng([seed, KINDS.index(kind)])
    largest = SMALLER if samples < MANY else (100, LARGEST[1]) if other == "oracle" else LARGEST
    for models, cases in drawn(rng, kind, largest):
        threads = int(rng.integers(1, 4))
        with Filter(models, kernel=kernel, threads=threads) as one, Filter(models, kernel="auto" if other == "oracle" else other) as two:
            for case in cases:
                check_stop()
                arguments: Any = case.planes, case.depths, case.index, case.luma_weights, case.chroma_weights
                expected = by_oracle(models, case) if other == "oracle" else two.filter_planes(*arguments)
                result.vectors += 1
                for name, found, wanted in zip("YUV", one.filter_planes(*arguments), expected, strict=False):
                    unequal = np.argwhere(found != wanted)
                    result.compared += found.size
                    result.differ += len(unequal)
                    if len(unequal):
                        y, x = unequal[0]
                        where = f"{name} sample ({x}, {y}) of {case}, {kind} network {case.index} of {models.identity[:8]}"
                        result.problems.append(f"seed {seed}: {kernel} and {other} differ in {where}")
                if result.compared >= samples:
                    return result
    raise AssertionError


def write_suite(folder: Path, samples: int, seed: int, largest: tuple[int, int] = (120, 200)) -> Suite:
    """A suite of random pictures for programs, as many samples of each kind, with what the oracle makes of them.

    It has no hidden layers' values: these are not to be asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vectors: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        rng, done = np.random.default_rng([seed, 2, KINDS.index(kind)]), 0
        for number, (models, cases) in enumerate(drawn(rng, kind, largest)):
            model = f"{kind}{number}.vrcnn"
            models.save(folder / model)
            for case in cases:
                vector = _vector(folder, f"{kind}{len(vectors[kind])}", model, models, case)
                vectors[kind].append(vector)
                done += vector.samples
                if done >= samples:
                    break
            if done >= samples:
                break
    return Suite(folder, vectors["luma"], vectors["joint"], [], [])


def _vector(folder: Path, name: str, model: str, models: ModelSet, case: Case) -> FilterVector | JointVector:
    (folder / f"{name}.yuv").write_bytes(b"".join(map(plane_bytes, case.planes)))
    md5 = hashlib.md5(b"".join(map(plane_bytes, by_oracle(models, case)))).hexdigest()
    network = models.networks[case.index]
    height, width = case.planes[0].shape
    layers = ["0" * 32] * (len(network.layers) - 1)
    if network.kind == "luma":
        scale = case.luma_weights[0]
        return FilterVector(name, "general", model, case.index, f"{name}.yuv", width, height, case.depths[0], scale, md5, layers)
    chroma_format = 400 if len(case.planes) == 1 else 420
    weights = list(case.luma_weights), list(case.chroma_weights)
    return JointVector(name, model, case.index, f"{name}.yuv", width, height, chroma_format, list(case.depths), *weights, md5, layers)
