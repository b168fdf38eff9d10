"""An encoder's decision on three planes: its samples are what decoders make of its side information, its cost is theirs."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_bridge.bitstream.sideinfo import Sideinfo, parse_planes
from codec_bridge.filter import ErrorCode, FilterError, kernels
from codec_bridge.library.decider import Decider, PlaneDecider, PlaneDecision
from tests.codec_bridge.library.test_receiver import (
    BEST,
    FAST,
    LUMA,
    MODELS,
    TWO_HEADS,
    Planes,
    Receiver,
    expected,
    random_planes,
    receiver,
)
from tests.support.errors import refused_as
from vrcnn_int import integer
from vrcnn_int.network import POSITIONS

WIDTH, HEIGHT = 200, 136
DATA = MODELS.to_bytes()


def length_bits(size: int) -> int:
    """Of slice_segment_header_extension_length, ue(v)."""
    return 2 * (size + 1).bit_length() - 1


@dataclass
class Case:
    """A picture, as an encoder has it; what is not said is at random."""

    source: Planes
    base: Planes
    original: Planes
    depths: tuple[int, int] = (8, 8)
    lam: float = 10.0
    weights: tuple[float, float] = (1.0, 1.0)
    costs: tuple[float, float] | None = None
    kept: Any = None
    more: dict[str, Any] = field(default_factory=dict)

    def error(self, planes: Planes, group: int) -> float:
        """In the encoder's measure."""
        errors = [float(((a.astype(np.int64) - b) ** 2).sum()) for a, b in zip(planes, self.original, strict=True)]
        return errors[0] if group == 0 else sum(w * e for w, e in zip(self.weights, errors[1:], strict=False))

    @property
    def ordinary(self) -> tuple[float, float]:
        return self.costs or (self.error(self.base, 0), self.error(self.base, 1))

    def decide(self, decider: PlaneDecider) -> PlaneDecision:
        return decider.decide(
            self.original,
            self.source,
            self.base,
            self.depths,
            lam=self.lam,
            costs=self.ordinary,
            chroma_weights=self.weights,
            kept=self.kept,
            **{"qp": 27, **self.more},
        )

    def read(self, decision: PlaneDecision) -> Sideinfo:
        height, width = self.source[0].shape
        return parse_planes(decision.data, bool(self.more.get("is_irap")), width, height, 2)


def decided(case: Case, networks: int = 1, **opened: Any) -> tuple[PlaneDecision, Sideinfo]:
    """A decision, checked against section 8 and the encoder's own measure."""
    height, width = case.source[0].shape
    with PlaneDecider(width, height, DATA, networks, **opened) as decider:
        decision = case.decide(decider)
    return decision, checked(case, decision)


def checked(case: Case, decision: PlaneDecision) -> Sideinfo:
    info = case.read(decision)
    assert (info.mode, info.chroma_mode) == decision.modes
    wanted = expected(info, case.source, case.base, case.depths, case.kept) if info.filters else case.base
    cost = case.lam * (8 * len(decision.data) + length_bits(len(decision.data)))
    for n, plane in enumerate(decision.planes):
        assert (plane is None) == (decision.modes[n > 0] == "off")
        if plane is not None:
            np.testing.assert_array_equal(plane, wanted[n])
    chroma = len(case.source) == 3 and case.more.get("kind") != "luma"
    for group in range(1 + chroma):
        cost += case.ordinary[group] if decision.modes[group] == "off" else case.error(tuple(wanted), group)
    assert decision.cost == pytest.approx(cost, rel=1e-12)
    size = 6 * bool(case.more.get("is_irap"))
    off = sum(case.ordinary[: 1 + chroma]) + case.lam * (8 * size + length_bits(size))
    assert decision.cost <= off
    return info


def smooth(rng: np.random.Generator, size: tuple[int, int], depth: int) -> np.ndarray[Any, Any]:
    y, x = np.indices(size)
    plane = 110 + 60 * np.sin(x / rng.uniform(4, 20)) * np.cos(y / rng.uniform(4, 20)) + rng.normal(0, 6, size)
    return np.clip(plane * (1 << (depth - 8)), 0, (1 << depth) - 1).astype(np.uint8 if depth == 8 else np.uint16)


def pictures(seed: int, depths: tuple[int, int] = (8, 8), chroma: bool = True) -> tuple[Planes, Planes]:
    """What networks read, and what is there without them: a little beside it."""
    rng = np.random.default_rng(seed)
    shapes = [(HEIGHT, WIDTH), *[(HEIGHT // 2, WIDTH // 2)] * 2][: 3 if chroma else 1]
    source = tuple(smooth(rng, shape, depths[n > 0]) for n, shape in enumerate(shapes))
    tops = [(1 << depths[n > 0]) - 1 for n in range(3)]
    base = tuple(
        np.clip(plane.astype(int) + rng.integers(-3, 4, plane.shape), 0, top).astype(plane.dtype)
        for plane, top in zip(source, tops, strict=False)
    )
    return source, base


def filtered(source: Planes, index: int, luma: tuple[int, ...] = (8,), chroma: tuple[int, ...] = (8,), depths: Any = (8, 8)) -> Planes:
    network = MODELS.networks[index]
    weights = [each * network.heads if each == (8,) else each for each in (luma, chroma)]
    return integer.filter_planes(network, source, depths, "420" if len(source) == 3 else "400", *weights)


def mixed(where: np.ndarray[Any, Any], yes: np.ndarray[Any, Any], no: np.ndarray[Any, Any], unit: int) -> np.ndarray[Any, Any]:
    return np.where(where.repeat(unit, 0).repeat(unit, 1)[: yes.shape[0], : yes.shape[1]], yes, no)


def test_what_networks_make_of_a_picture_is_filtered_everywhere() -> None:
    source, base = pictures(1)
    for irap, size in ((False, 2), (True, 8)):
        decision, info = decided(Case(source, base, filtered(source, FAST), more={"is_irap": irap}))
        assert (decision.modes, info.indices, info.luma_weights, info.chroma_weights) == (("all", "all"), (FAST,), ((8,),), ((8,),))
        assert len(decision.data) == size


def test_pictures_that_are_right_already_are_off() -> None:
    source, base = pictures(2)
    for irap, size in ((False, 0), (True, 6)):
        decision, _ = decided(Case(source, base, base, more={"is_irap": irap}))
        assert (decision.modes, len(decision.data)) == (("off", "off"), size)
    case = Case(source, base, filtered(source, FAST), lam=1e9)
    assert decided(case)[0].modes == ("off", "off")


def test_planes_are_decided_on_one_by_one() -> None:
    source, base = pictures(3)
    good = filtered(source, FAST)
    assert decided(Case(source, base, (good[0], *base[1:])))[0].modes == ("all", "off")
    assert decided(Case(source, base, (base[0], *good[1:])))[0].modes == ("off", "all")
    # By their weights: Cb wants the filter, Cr does not.
    both = (base[0], good[1], base[2])
    assert decided(Case(source, base, both, weights=(1.0, 0.001)))[0].modes == ("off", "all")
    assert decided(Case(source, base, both, weights=(0.001, 1.0)))[0].modes[1] == "off"
    assert decided(Case(source, base, good, weights=(0.0, 0.0)))[0].modes == ("all", "off")


def test_maps() -> None:
    source, base = pictures(4)
    good, rng = filtered(source, FAST), np.random.default_rng(4)
    where = rng.random((3, 4)) < 0.5
    where[0, :2] = True, False
    original = tuple(mixed(where, a, b, 32 if n else 64) for n, (a, b) in enumerate(zip(good, base, strict=True)))
    decision, info = decided(Case(source, base, original, lam=1.0))
    assert (decision.modes, info.shares_map, info.unit_size) == (("map", "map"), True, 64)
    assert info.units is not None
    assert (info.units.astype(bool) == where).all()
    other = tuple(mixed(~where, a, b, 32) for a, b in zip(good[1:], base[1:], strict=True))
    decision, info = decided(Case(source, base, (original[0], *other), lam=1.0))
    assert (decision.modes, info.shares_map) == (("map", "map"), False)
    assert info.chroma_units is not None
    assert (info.chroma_units.astype(bool) == ~where).all()
    assert decided(Case(source, base, (original[0], *good[1:]), lam=1.0))[0].modes == ("map", "all")
    assert decided(Case(source, base, (good[0], *original[1:]), lam=1.0))[0].modes == ("all", "map")
    assert decided(Case(source, base, (original[0], *base[1:]), lam=1.0))[0].modes == ("map", "off")
    assert decided(Case(source, base, (base[0], *original[1:]), lam=1.0))[0].modes == ("off", "map")
    for case in (Case(source, base, original, more={"units": False}), Case(source, base, original, lam=30000.0)):
        assert "map" not in decided(case)[0].modes
    wide = np.zeros((2, 2), bool)
    wide[0, 0] = True
    original = tuple(mixed(wide, a, b, 64 if n else 128) for n, (a, b) in enumerate(zip(good, base, strict=True)))
    assert decided(Case(source, base, original))[1].unit_size == 128


@pytest.mark.parametrize(
    ("index", "luma", "chroma", "size"),
    [(FAST, (5,), (3,), "fast"), (FAST, (10,), (8,), "fast"), (BEST, (1,), (9,), "best"), (TWO_HEADS, (3, -2), (10, 7), "best")],
)
def test_weights_are_those_of_least_squares(index: int, luma: tuple[int, ...], chroma: tuple[int, ...], size: str) -> None:
    source, base = pictures(5)
    case = Case(source, base, filtered(source, index, luma, chroma), more={"size": size, "qp": MODELS.networks[index].qp})
    decision, info = decided(case)
    assert decision.modes == ("all", "all")
    assert (info.indices, info.luma_weights, info.chroma_weights) == ((index,), (luma,), (chroma,))


def test_units_choose_among_networks() -> None:
    source, base = pictures(6)
    ways, rng = [filtered(source, index) for index in (FAST, 3)], np.random.default_rng(6)
    where = rng.random((3, 4)) < 0.5
    where[0, :2] = True, False
    original = tuple(mixed(where, a, b, 32 if n else 64) for n, (a, b) in enumerate(zip(*ways, strict=True)))
    case = Case(source, base, original, lam=0.1)
    assert len(decided(case, 1)[1].indices) == 1
    for networks in (2, 3):
        decision, info = decided(case, networks)
        assert decision.modes == ("map", "map")
        assert set(info.indices) == {FAST, 3}
        assert decision.cost < decided(case, 1)[0].cost / 10


def test_a_second_network_has_to_be_worth_the_work() -> None:
    """Eight bits for each of the twelve cells of 64x64: what it gains beyond its own bits must be more."""
    source, base = pictures(6)
    first, second = (filtered(source, index) for index in (FAST, 3))
    case = Case(source, base, (first[0], *second[1:]))
    gain = case.error(first, 1)  # of chroma by the second
    for divisor, indices in ((30, {FAST}), (90, {FAST}), (200, {FAST, 3}), (1000, {FAST, 3})):
        case.lam = gain / divisor
        decision, info = decided(case, 3)
        assert set(info.indices) == indices
        bits = 8 * len(decision.data) + length_bits(len(decision.data))
        if divisor == 200:
            two = bits
        if divisor == 90:
            one = bits
    assert (two - one) * gain / 90 < gain  # without the price of work, two would have won there


def test_sizes_kinds_positions_and_qp() -> None:
    source, base = pictures(7)
    for index, size, qp in ((FAST, "fast", 20), (BEST, "best", 30), (3, "fast", 40), (TWO_HEADS, "best", 51)):
        decision, info = decided(Case(source, base, filtered(source, index), more={"size": size, "qp": qp}))
        assert (decision.modes, info.indices, info.position) == (("all", "all"), (index,), POSITIONS[0])
    luma = integer.filter_plane(MODELS.networks[LUMA], source[0], 8)
    decision, info = decided(Case(source, base, (luma, *base[1:]), more={"kind": "luma"}))
    assert (decision.modes, info.indices) == (("all", "off"), (LUMA,))
    case = Case(source, base, base, more={"position": POSITIONS[1]})
    with PlaneDecider(WIDTH, HEIGHT, DATA) as decider, refused_as(ErrorCode.POSITION):
        case.decide(decider)
    after = integer.ModelSet(tuple(integer.IntegerNetwork(**{**network.__dict__, "position": POSITIONS[1]}) for network in MODELS.networks))
    with PlaneDecider(WIDTH, HEIGHT, after.to_bytes()) as decider:
        case = Case(source, base, filtered(source, FAST), more={"position": POSITIONS[1]})
        assert case.read(case.decide(decider)).position == POSITIONS[1]


@pytest.mark.parametrize("depths", [(8, 8), (10, 8), (8, 9)])
def test_without_chroma_and_at_other_depths(depths: tuple[int, int]) -> None:
    for chroma in (True, False):
        source, base = pictures(8, depths, chroma)
        original = filtered(source, FAST, depths=depths)
        decision, _ = decided(Case(source, base, original, depths))
        assert decision.modes == ("all", "all" if chroma else "off")


def random_case(rng: np.random.Generator) -> Case:
    """Originals between what networks make and what is there, with noise: nothing is quite right."""
    chroma, depths = bool(rng.random() < 0.85), (int(rng.integers(8, 11)), int(rng.integers(8, 11)))
    source, base = pictures(int(rng.integers(1 << 30)), depths, chroma)
    if rng.random() < 0.1:
        source, base = (random_planes(rng, (WIDTH, HEIGHT), depths, chroma) for _ in range(2))
    index = int(rng.integers(FAST, TWO_HEADS + 1))
    heads = MODELS.networks[index].heads
    weights = [tuple(rng.integers(-5 if heads == 2 else 1, 11, heads).tolist()) for _ in range(2)]
    good = filtered(source, index, *weights, depths)
    original = []
    for n, (a, b) in enumerate(zip(good, base, strict=True)):
        part = rng.random((3, 4)) < rng.choice([0, 0.5, 1])
        noise = rng.normal(0, rng.choice([0, 0.5, 3]), a.shape)
        top = (1 << depths[n > 0]) - 1
        original.append(np.clip(mixed(part, a, b, 32 if n else 64) + noise, 0, top).astype(a.dtype))
    kept = None if rng.random() < 0.5 else (rng.random((HEIGHT // 8, WIDTH // 8)) < 0.2).astype(np.uint8) * 255
    if kept is not None:  # lossless blocks keep their samples in any case
        base = tuple(
            np.where(kept.repeat(4 if n else 8, 0).repeat(4 if n else 8, 1), a, b)
            for n, (a, b) in enumerate(zip(source, base, strict=True))
        )
    case = Case(source, base, tuple(original), depths, float(rng.choice([0, 0.5, 20, 500])), (float(rng.uniform(0, 3)), 1.3), kept=kept)
    case.more = {"is_irap": bool(rng.random() < 0.3), "qp": int(rng.integers(20, 45)), "units": bool(rng.random() < 0.8)}
    case.more |= {"size": str(rng.choice(["fast", "best"])), "kind": str(rng.choice(["joint"] * 5 + ["luma"]))}
    bits = rng.uniform(0, 200, 2) * case.lam  # of SAO
    case.costs = (case.error(base, 0) + bits[0], case.error(base, 1) + bits[1])
    return case


@pytest.mark.parametrize("seed", range(4))
def test_random_pictures(seed: int) -> None:
    rng = np.random.default_rng(300 + seed)
    seen = set()
    for _ in range(12):
        networks = int(rng.integers(1, 4))
        case = random_case(rng)
        decision, info = decided(case, networks)
        seen |= {decision.modes[0], f"chroma {decision.modes[1]}"}
        if info.filters and case.more["is_irap"]:
            with receiver() as opened:
                assert_same_picture(opened, case, decision)
    assert len(seen) >= 5, seen


def assert_same_picture(opened: Receiver, case: Case, decision: PlaneDecision) -> None:
    """The decoder's planes are the encoder's."""
    assert opened.picture(decision.data, True, (WIDTH, HEIGHT)) == "OK"
    dst = tuple(plane.copy() for plane in case.base)
    assert opened.filter(dst, case.source, case.depths, case.kept) == "OK"
    for found, plane, ordinary in zip(dst, decision.planes, case.base, strict=True):
        np.testing.assert_array_equal(found, ordinary if plane is None else plane)


def test_equal_decisions_whatever_the_kernel() -> None:
    rng = np.random.default_rng(9)
    cases = [random_case(rng) for _ in range(5)]
    with PlaneDecider(WIDTH, HEIGHT, DATA, 2) as decider:
        wanted = [case.decide(decider) for case in cases]
        again = [case.decide(decider) for case in cases]
    for kernel in [name for name, supported in kernels() if supported]:
        with PlaneDecider(WIDTH, HEIGHT, DATA, 2, kernel, 3) as decider:
            for case, first, second in zip(cases, wanted, again, strict=True):
                other = case.decide(decider)
                for one in (second, other):
                    assert (one.modes, one.data, one.cost) == (first.modes, first.data, first.cost)
                    for a, b in zip(one.planes, first.planes, strict=True):
                        np.testing.assert_array_equal(a, b)


def test_small_pictures() -> None:
    rng = np.random.default_rng(10)
    for width, height in ((1, 1), (2, 2), (3, 5), (64, 64), (65, 1)):
        source, base = (random_planes(rng, (width, height), (8, 8), True) for _ in range(2))
        decision, _ = decided(Case(source, base, filtered(source, FAST), lam=0.001))
        assert decision.modes[0] == "all" or decision.cost < 100


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"qp": 52}, ErrorCode.QP),
        ({"qp": -13}, ErrorCode.QP),
        ({"lam": -1.0}, ErrorCode.ARGUMENT),
        ({"lam": float("nan")}, ErrorCode.ARGUMENT),
        ({"lam": 1e306}, ErrorCode.ARGUMENT),
        ({"costs": (float("inf"), 0)}, ErrorCode.ARGUMENT),
        ({"costs": (0, -1)}, ErrorCode.ARGUMENT),
        ({"chroma_weights": (1, float("nan"))}, ErrorCode.ARGUMENT),
        ({"chroma_weights": (-1, 1)}, ErrorCode.ARGUMENT),
        ({"chroma_weights": (1e306, 1)}, ErrorCode.ARGUMENT),
        ({"position": "middle"}, ErrorCode.POSITION),
        ({"kind": "grey"}, ErrorCode.ARGUMENT),
        ({"size": "huge"}, ErrorCode.ARGUMENT),
        ({"bit_depths": (12, 8)}, ErrorCode.BIT_DEPTH),
        ({"original": 1}, ErrorCode.PLANE),
        ({"base": 1}, ErrorCode.PLANE),
        ({"source": 1}, ErrorCode.PLANE),
        ({"kept": np.zeros((2, 2), np.uint8)}, ErrorCode.PLANE),
        *(({"lam": value}, ErrorCode.ARGUMENT) for value in ("x", None, 1j, 10**400, True)),
        *(({"costs": value}, ErrorCode.ARGUMENT) for value in ((1.0,), (1, 2, 3), 5.0, None, "ab", (1, "x"))),
        *(({"chroma_weights": value}, ErrorCode.ARGUMENT) for value in ((1,), [], (1, 1, 1), "ab", 1)),
        *(({"bit_depths": value}, ErrorCode.BIT_DEPTH) for value in (8, None, (8,), (8, 8, 8), ("8", 8))),
        *(({"original": value}, ErrorCode.PLANE) for value in ((), None, 5.0, [None], [np.zeros((4, 4), np.uint8)] * 4)),
        *(({"is_irap": value}, ErrorCode.ARGUMENT) for value in ("yes", None, 2, np.zeros(2))),
        *(({"units": value}, ErrorCode.ARGUMENT) for value in (None, "no", 0.5)),
        *(({name: value}, ErrorCode.ARGUMENT) for name in ("kind", "size") for value in (None, [], 5)),
        ({"qp": 10**9}, ErrorCode.QP),
        ({"qp": 1.5}, ErrorCode.QP),
        ({"kept": [[1]]}, ErrorCode.PLANE),
    ],
)
def test_refusals(changes: dict[str, Any], code: ErrorCode) -> None:
    source, base = pictures(11)
    given: dict[str, Any] = {"original": base, "source": source, "base": base, "bit_depths": (8, 8), "qp": 27, "lam": 1.0, "costs": (0, 0)}
    for name, change in changes.items():
        given[name] = given[name][:1] if isinstance(change, int) and name in ("original", "source", "base") else change
    with PlaneDecider(WIDTH, HEIGHT, DATA) as decider, refused_as(code):
        decider.decide(**given)


def test_deciders_that_cannot_be() -> None:
    for size in ((0, 8), (8, 16385), ("a", 8), (3.5, 8), (8, None), (2**40, 8), (8, -(2**80)), (True, 8)):
        for kind in (PlaneDecider, Decider):
            with refused_as(ErrorCode.PLANE):
                kind(*size, DATA)  # type: ignore[arg-type]
    for number in (0, 4, -1, 2**40, True, "x", None):
        with refused_as(ErrorCode.ARGUMENT, match="networks"):
            PlaneDecider(8, 8, DATA, number)  # type: ignore[arg-type]
    for number in (0, 65, -1, 2**40, 2.5, "a", None):
        with refused_as(ErrorCode.THREADS):
            PlaneDecider(8, 8, DATA, threads=number)  # type: ignore[arg-type]
    for kernel in ("foo", None, 5, ["auto"]):
        with refused_as(ErrorCode.KERNEL_UNKNOWN):
            PlaneDecider(8, 8, DATA, kernel=kernel)  # type: ignore[arg-type]
    decider = PlaneDecider(8, 8, DATA)
    decider.close()
    decider.close()
    planes = (np.zeros((8, 8), np.uint8),)
    with pytest.raises(FilterError, match="the decider is closed"):
        decider.decide(planes, planes, planes, (8, 8), qp=27, lam=1.0, costs=(0, 0))
    with PlaneDecider(16, 8, DATA) as other, refused_as(ErrorCode.PLANE):
        other.decide(planes, planes, planes, (8, 8), qp=27, lam=1.0, costs=(0, 0))


@pytest.mark.parametrize("kind", [Decider, PlaneDecider])
def test_models_as_filters_take_them(kind: type[Decider | PlaneDecider], tmp_path: Path) -> None:
    path = tmp_path / "set.vrcnn"
    path.write_bytes(DATA)
    for model in (None, "joint_intra", path, str(path), DATA, bytearray(DATA), memoryview(DATA), MODELS):
        kind(8, 8, model).close()  # type: ignore[arg-type]
    for model, code in (("x", ErrorCode.FILE), (5, ErrorCode.ARGUMENT), (b"", ErrorCode.TRUNCATED), (tmp_path, ErrorCode.FILE)):
        with refused_as(code):
            kind(8, 8, model)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        *(({"lam": value}, ErrorCode.ARGUMENT) for value in ("x", None, 1j, 10**400, -1, float("nan"))),
        *(({"ordinary_cost": value}, ErrorCode.ARGUMENT) for value in ("x", None, 1j, 10**400, float("inf"))),
        *(({"is_irap": value}, ErrorCode.ARGUMENT) for value in ("yes", None, np.zeros(2))),
        *(({"units": value}, ErrorCode.ARGUMENT) for value in (None, 7)),
        *(({"position": value}, ErrorCode.POSITION) for value in (None, [], "middle")),
        ({"bit_depth": None}, ErrorCode.BIT_DEPTH),
        ({"original": None}, ErrorCode.PLANE),
        ({"source": [[1]]}, ErrorCode.PLANE),
        ({"base": np.zeros((4, 4), np.uint8)}, ErrorCode.PLANE),
    ],
)
def test_refusals_of_decisions_on_luma(changes: dict[str, Any], code: ErrorCode) -> None:
    plane = np.zeros((8, 8), np.uint8)
    given: dict[str, Any] = {"original": plane, "source": plane, "base": plane, "bit_depth": 8, "qp": 27, "lam": 1.0, "ordinary_cost": 0}
    with Decider(8, 8) as decider:
        decider.decide(**given, is_irap=np.bool_(True), units=0)
        decider.decide(**given | {"lam": np.float32(1), "ordinary_cost": 1})
        with refused_as(code):
            decider.decide(**given | changes)


def test_estimates_that_promise_too_much() -> None:
    """Where residuals are small, they are not in proportion to weights. What is decided is never worse than the network as trained."""
    rng = np.random.default_rng(12)
    networks = []
    for network in MODELS.networks[1:]:
        last = tuple(replace(branch, shift=min(15, branch.shift + 5)) for branch in network.layers[-1])
        networks.append(replace(network, layers=(*network.layers[:-1], last)))
    models = integer.ModelSet(tuple(networks))
    fitted = trained = 0
    with PlaneDecider(WIDTH, HEIGHT, models.to_bytes()) as decider:
        for _ in range(25):
            source, base = pictures(int(rng.integers(1 << 30)))
            index = int(rng.choice([0, 1]))
            good = integer.filter_planes(models.networks[index], source, (8, 8))
            strength = rng.uniform(0.5, 3, 3)
            original = tuple(
                np.clip(a + s * (b.astype(int) - a) + rng.normal(0, 0.3, a.shape), 0, 255).astype(np.uint8)
                for a, b, s in zip(source, good, strength, strict=True)
            )
            case = Case(source, base, original, lam=0.01, more={"size": models.networks[index].size, "units": False})
            decision = case.decide(decider)
            wanted = case.error(good, 0) + case.error(good, 1) + case.lam * (16 + length_bits(2))
            assert decision.cost <= wanted * (1 + 1e-12)
            fitted, trained = fitted + (len(decision.data) > 2), trained + (len(decision.data) == 2)
    assert fitted > 3
    assert trained > 3
