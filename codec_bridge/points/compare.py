"""Bjøntegaard deltas of curves, and what cannot be compared, said by name."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from codec_bridge.figures.bd_rate import METHODS, BdRateError, BdResult, Quality, bd_rate
from codec_bridge.figures.metrics import IDENTICAL
from codec_bridge.points.curves import Curves
from codec_bridge.points.record import METRICS, PointsError, Record

RANGES = {"psnr": (3.0, 120.0), "ssim": (-1.0, 1.0), "ms_ssim": (-1.0, 1.0), "vmaf": (0.0, 100.0)}
"""Of qualities, by the beginnings of their names: what lies outside is of another unit or no such quality. PSNR in dB."""

DIGITS = 3
"""Of decibels, as encoders print them; other qualities have five."""

MOST_RATIO = 100.0
"""Of the rates of two curves of a sequence, in the mean: beyond it they are not of one unit."""


@dataclass(frozen=True)
class Delta:
    """A test's curve of a sequence beside the anchor's, in one metric. results: by method of interpolation; errors: of those without.

    error: why the plan's method has no figure. curves: (rate, quality) of the anchor and of the test, by rising rate.
    """

    test: str
    configuration: str
    sequence: str
    class_name: str
    metric: str
    results: Mapping[str, BdResult]
    errors: Mapping[str, str]
    curves: tuple[list[tuple[float, float]], list[tuple[float, float]]]
    unit: str = ""
    """Of the rates."""
    method: str = "pchip"
    remarks: tuple[str, ...] = ()
    """What is doubtful beside the figures."""

    @property
    def result(self) -> BdResult | None:
        """By the method that was asked for."""
        return self.results.get(self.method)

    @property
    def error(self) -> str | None:
        """Why there is no result by that method."""
        return self.errors.get(self.method)

    @property
    def rises(self) -> bool:
        """Whether both curves' quality rises with the rate."""
        return all(left[1] < right[1] for curve in self.curves for left, right in pairwise(curve))

    @property
    def notes(self) -> list[str]:
        """What is doubtful: of the method that was asked for, and methods that have no figure."""
        others = [f"{name}: {text}" for name, text in self.errors.items() if name != self.method and self.result]
        return [*self.remarks, *(self.result.warnings if self.result else ()), *others]

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.test, self.configuration, self.sequence, words_of(self.metric))))


@dataclass(frozen=True)
class Mean:
    """Of a test's BD-rates in one metric, by method. class_name: None for all sequences of the configuration. sequences: how many; None
    for a rate where one of them has none: a mean without it would mislead."""

    test: str
    configuration: str
    class_name: str | None
    metric: str
    sequences: int
    bd_rates: Mapping[str, float | None]
    bd_quality: float | None
    doubtful: int = 0
    """How many of them have a note."""

    @property
    def notes(self) -> list[str]:
        """What is doubtful."""
        verbs = ("has", "is") if self.doubtful == 1 else ("have", "are")
        return ["{} of {} {} a warning, and {} in the mean".format(self.doubtful, self.sequences, *verbs)] if self.doubtful else []

    def __str__(self) -> str:
        group = "all" if self.class_name is None else class_words(self.class_name)
        return ", ".join(filter(None, (self.test, self.configuration, f"mean of {self.sequences}, {group}", words_of(self.metric))))


def name_of(metric: str) -> str:
    """A metric in words, with its unit."""
    return METRICS.get(metric, metric)


def words_of(metric: str) -> str:
    """A metric in the words of a sentence: 'PSNR Y'."""
    return name_of(metric).removesuffix(" (dB)")


def class_words(name: str) -> str:
    """'class B' of 'B', and of 'Class B', as JVET's sheets have it."""
    return f"class {re.sub('^class +', '', name, flags=re.I)}"


def left_out(anchor: Curves, tests: Sequence[Curves]) -> list[str]:
    """What the anchor has and a test has not, so that no table and no mean has it."""
    found = []
    for test in tests:
        partners = [_partner(anchor, test, key) for key in test.points]
        lacking = [
            " ".join(filter(None, key)) or "one without a name"
            for key, points in anchor.points.items()
            if not any(points is some for some in partners)
        ]
        if lacking:
            found.append(f"{test.label} lacks {', '.join(lacking)}, which the anchor has: in no table and no mean")
    return found


def compare(anchor: Curves, tests: Sequence[Curves], metrics: Sequence[str] = (), method: str = "pchip") -> list[Delta]:
    """Compare every curve of the tests with the anchor's of its configuration and sequence.

    metrics: default all that both have. A sequence that only the test has is an error, unless each side has a single one; see ``left_out``.
    Raises PointsError where nothing can be compared, and for a metric that there is not.
    """
    deltas = []
    known = _metrics(record for curves in (anchor, *tests) for some in curves.points.values() for record in some)
    for metric in metrics:
        if metric not in known:
            raise PointsError(f"there is no quality {metric!r:.60}; there are {', '.join(known) or 'none'}")
    for test in tests:
        for key, points in test.points.items():
            base = _partner(anchor, test, key)
            wanted = list(dict.fromkeys(metrics)) or [metric for metric in _metrics(points) if metric in _metrics(base)]
            if not wanted:
                raise PointsError(
                    f"{test.label}, {key[1] or 'its curve'} and the anchor have no quality in common: "
                    f"{', '.join(_metrics(points)) or 'none'}, and {', '.join(_metrics(base)) or 'none'}"
                )
            class_name = test.classes[key] or anchor.classes.get(key, "")
            remarks = [f"compared with the anchor's curve of {base[0].sequence}"] if base[0].sequence not in ("", key[1]) and key[1] else []
            for metric in wanted:
                said = [*remarks, *_other_definitions(metric, base, points)]
                deltas.append(_delta(test.label, (*key, class_name), metric, base, points, method, said))
    return deltas


def _partner(anchor: Curves, test: Curves, key: tuple[str, str]) -> list[Record]:
    if key in anchor.points:
        return anchor.points[key]
    of_sequence = [some for (_, sequence), some in anchor.points.items() if sequence == key[1]]
    if len(of_sequence) == 1 and sum(sequence == key[1] for _, sequence in test.points) == 1:  # configurations of other names
        return of_sequence[0]
    if len(anchor.points) == len(test.points) == 1:
        return next(iter(anchor.points.values()))
    name = " ".join(filter(None, key)) or "a curve without a name"
    known = ", ".join(" ".join(filter(None, other)) or "one without a name" for other in anchor.points)
    single = all(len(points) == 1 for curves in (anchor, test) for points in curves.points.values())
    hint = ": files that do not name their input are called after themselves, SEQUENCE_qQP.log; name both sides' alike" if single else ""
    raise PointsError(f"{test.label}: the anchor {anchor.label} has no curve of {name}; it has {known}{hint}")


def _metrics(points: Iterable[Record]) -> list[str]:
    found = dict.fromkeys(metric for record in points for metric in record.qualities)
    return sorted(found, key=lambda metric: (list(METRICS).index(metric) if metric in METRICS else len(METRICS), metric))


def _delta(
    test: str, names: tuple[str, str, str], metric: str, base: list[Record], points: list[Record], method: str, remarks: Sequence[str]
) -> Delta:
    results: dict[str, BdResult] = {}
    errors: dict[str, str] = {}
    quality = Quality(words_of(metric), " dB" if in_decibels(metric) else "", DIGITS if in_decibels(metric) else 5)
    curves: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    try:
        curves = _curve("anchor", base, metric), _curve("test", points, metric)
        _refuse_definitions(metric, base, points)
        _refuse_units(base, points)
        _refuse_lengths(base, points)
        for name in METHODS:
            try:
                results[name] = bd_rate(*curves, name, quality)
            except BdRateError as problem:
                errors[name] = str(problem)
    except PointsError as problem:
        errors = dict.fromkeys(METHODS, str(problem))
    configuration, sequence, class_name = names
    return Delta(
        test, configuration, sequence, class_name, metric, results, errors, curves, points[0].unit or base[0].unit, method, tuple(remarks)
    )


def _curve(name: str, points: Sequence[Record], metric: str) -> list[tuple[float, float]]:
    """The (rate, quality) of points, by rising rate. Raises PointsError for what cannot be such a quality."""
    lacking = next((record for record in points if metric not in record.qualities), None)
    if lacking:
        raise PointsError(f"the {name} has no {words_of(metric)} at {_place(lacking)}")
    low, high = next((RANGES[begin] for begin in RANGES if metric.startswith(begin) and not metric.endswith("_db")), (-math.inf, math.inf))
    for record in points:
        value = record.qualities[metric]
        if math.isinf(value) or (metric.startswith("psnr") and value >= IDENTICAL):
            raise PointsError(
                f"the {name}'s {words_of(metric)} is infinite at {_place(record)}: a picture equals its original; leave the point out"
            )
        if not math.isnan(value) and not low <= value <= high:
            unit = " dB" if in_decibels(metric) else ""
            raise PointsError(
                f"the {name}'s {words_of(metric)} cannot be {value:g}{unit} at {_place(record)}: it lies from {low:g} to {high:g}"
            )
    return sorted((record.rate, record.qualities[metric]) for record in points)


def in_decibels(metric: str) -> bool:
    """Whether a metric is told in dB."""
    return metric.startswith("psnr") or metric.endswith("_db")


def _place(record: Record) -> str:
    unit = f" {record.unit}" if record.unit else ""
    return f"{record.rate:g}{unit}" + (f", QP {record.qp:g}" if record.qp is not None else "")


COMBINED = ("psnr", "psnr_yuv")
"""Qualities that programs define so differently that their figures are decibels apart."""


def _definitions(metric: str, records: Iterable[Record]) -> set[str]:
    return {record.defined[metric] for record in records if metric in record.defined}


def _refuse_definitions(metric: str, base: Sequence[Record], points: Sequence[Record]) -> None:
    """Raise PointsError where a name stands for different qualities."""
    said = [" and ".join(sorted(_definitions(metric, some))) for some in (base, points)]
    if metric in COMBINED and len(_definitions(metric, (*base, *points))) > 1 and all(said):
        raise PointsError(f"{metric} is not the same quality on both sides: the anchor's is {said[0]}, the test's {said[1]}; use psnr_y")


def _other_definitions(metric: str, base: Sequence[Record], points: Sequence[Record]) -> list[str]:
    """A remark where the same quality is measured in different ways."""
    anchor, test = (sorted(_definitions(metric, some)) for some in (base, points))
    if metric in COMBINED or not anchor or not test or anchor == test:
        return []
    return [f"{metric} is measured in different ways: the anchor's is {' and '.join(anchor)}, the test's {' and '.join(test)}"]


def _refuse_units(base: Sequence[Record], points: Sequence[Record]) -> None:
    """Raise PointsError where rates are not of one unit, or cannot be."""
    anchor, test = ({record.unit for record in some} for some in (base, points))
    if len(anchor) > 1 or len(test) > 1 or (anchor != test and "" not in anchor | test):
        said = [" and ".join(sorted(unit or "no unit" for unit in units)) for units in (anchor, test)]
        raise PointsError(f"the rates are in different units: the anchor's in {said[0]}, the test's in {said[1]}")
    if all(record.rate > 0 and math.isfinite(record.rate) for record in (*base, *points)):
        means = [math.exp(fmean(math.log(record.rate) for record in some)) for some in (base, points)]
        if not 1 / MOST_RATIO < means[1] / means[0] < MOST_RATIO:
            ratio = max(means) / min(means)
            apart = f"the anchor's are about {means[0]:.4g}, the test's {means[1]:.4g}, {ratio:.0f} times apart"
            raise PointsError(f"the rates cannot be of one unit: {apart}")


def _refuse_lengths(base: Sequence[Record], points: Sequence[Record]) -> None:
    """Raise PointsError where points are of different numbers of pictures."""
    counts = [sorted({record.pictures for record in some if record.pictures}) for some in (base, points)]
    if len({count for some in counts for count in some}) > 1:
        said = [" and ".join(map(str, some)) or "a number that is not said" for some in counts]
        raise PointsError(f"the points are of different numbers of pictures: the anchor's of {said[0]}, the test's of {said[1]}")


def means(deltas: Sequence[Delta]) -> list[Mean]:
    """Over the sequences of each class, where there are several, and over all, of each test, configuration and metric."""
    groups: dict[tuple[str, str, str], list[Delta]] = {}
    for delta in deltas:
        groups.setdefault((delta.test, delta.configuration, delta.metric), []).append(delta)
    found = []
    for (test, configuration, metric), some in groups.items():
        if len(some) < 2:
            continue
        classes = list(dict.fromkeys(delta.class_name for delta in some))
        parts = [(name, [delta for delta in some if delta.class_name == name]) for name in classes if name and len(classes) > 1]
        for class_name, of in (*parts, (None, some)):
            rates = {name: _mean([delta.results[name].bd_rate if name in delta.results else None for delta in of]) for name in METHODS}
            quality = _mean([delta.result.bd_psnr if delta.result else None for delta in of])
            found.append(Mean(test, configuration, class_name, metric, len(of), rates, quality, sum(bool(delta.notes) for delta in of)))
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
