"""Summaries of rows: BD-rates per sequence, class and codec, their means, and what of it is doubtful."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import Any, TypeVar

from codec_bridge.figures.bd_rate import METHODS, BdRateError, BdResult, DoubtfulError, Quality, bd_rate
from codec_bridge.figures.metrics import is_identical
from codec_bridge.figures.row import AFTER_DECODING, VARIANTS, Figures, Row
from codec_bridge.report.document import LABELS, PLANES, BdFigures, Compared, Comparison, Flag, Gains, Mean, Means, MoreBd, Summary
from vrcnn_int.errors import VrcnnError

MOST = 50.0
"""BD-rates beyond it either way, in percent, are outliers whatever the others are."""
SCORE, LEAST, ENOUGH = 3.5, 1.0, 5
"""An outlier's modified z-score (Iglewicz and Hoaglin 1993: the distance from the median by 1.4826 times the median distance), its least
distance from the median in percentage points, and how many sequences it takes."""

MORE = {
    "ssim_y": Quality("SSIM", "", 5),
    "ssim_u": Quality("SSIM Cb", "", 5),
    "ssim_v": Quality("SSIM Cr", "", 5),
    "ms_ssim_y": Quality("MS-SSIM", "", 5),
    "ms_ssim_u": Quality("MS-SSIM Cb", "", 5),
    "ms_ssim_v": Quality("MS-SSIM Cr", "", 5),
    "vmaf": Quality("VMAF", "", 3),
}
"""Qualities beside PSNR, by their names in rows."""

T = TypeVar("T")
K = TypeVar("K")

Curve = dict[int, Figures]
"""By QP."""


def summarise(rows: Sequence[Row], method: str = "pchip", apart: Collection[str] = (), against: str = "") -> Summary:
    """What rows say; sequences ``apart`` are in no mean. against: the codec whose anchor all are compared with, in equal configurations; ""
    for each codec's own.

    Raises VrcnnError for a sequence without anchor and for two rows of the same sequence, codec, configuration, QP and variant.
    """
    groups = grouped(rows, lambda row: (row.sequence, row.codec, row.configuration)).values()
    sequences = [_compared(some, method, some[0].sequence in apart, _others(rows, some[0], against)) for some in groups]
    judged = [entry for entry in sequences if not entry.apart]
    alike = grouped(judged, lambda entry: (entry.codec, entry.configuration))
    for entries in alike.values():
        _find_outliers(entries)
    by_class = grouped(judged, lambda entry: (entry.class_name, entry.codec, entry.configuration))
    classes = [Means(*key, _means(entries)) for key, entries in by_class.items()]
    means = [Means(None, *key, _means(entries)) for key, entries in alike.items()]
    if against:  # it may have nothing that is compared
        classes, means = ([some for some in all_of_them if some.variants] for all_of_them in (classes, means))
    return Summary(sequences, classes, means, _flags(rows, sequences))


def grouped(entries: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Entries with equal keys together, in the order of the first of each."""
    groups: dict[K, list[T]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return groups


def _others(rows: Sequence[Row], like: Row, against: str) -> list[Row] | None:
    """The anchor's rows of the codec that a row is compared with, where that is another one."""
    if against in ("", like.codec):
        return None
    key = like.sequence, against, like.configuration, "anchor"
    return [row for row in rows if (row.sequence, row.codec, row.configuration, row.variant) == key]


def _compared(rows: Sequence[Row], method: str, apart: bool, others: Sequence[Row] | None) -> Compared:
    """others: the anchor of another codec, with which the own is compared, too."""
    name = rows[0].sequence
    curves = {variant: _curve(rows, name, variant) for variant in VARIANTS}
    anchor = curves.pop("anchor") if others is None else others
    if not anchor:
        raise VrcnnError(f"{name} has no anchor to compare with: run the variant anchor too")
    variants = {variant: _compare(anchor, curve, method) for variant, curve in curves.items() if curve}
    return Compared(name, rows[0].class_name, rows[0].codec, rows[0].configuration, variants, apart)


def _curve(rows: Sequence[Row], sequence: str, variant: str) -> list[Row]:
    curve = [row for row in rows if row.variant == variant]
    qps = [row.qp for row in curve]
    if len(set(qps)) < len(qps):
        raise VrcnnError(f"{sequence}, {variant}: there are two results for the same QP ({sorted(qps)})")
    return curve


def _compare(anchor: Sequence[Row], test: Sequence[Row], method: str) -> Comparison:
    error = next((f"QP {row.qp} of {row.variant} is flagged: {row.flag}" for row in (*anchor, *test) if row.flag), None)
    if error:
        return Comparison(methods={name: BdFigures() for name in METHODS}, error=error)
    base, curve = ({row.qp: row.figures for row in rows if row.figures} for rows in (anchor, test))
    compared = _compare_curves(base, curve, test[0].variant in AFTER_DECODING, method)
    if anchor[0].codec != test[0].codec:  # equal QPs of two codecs are nothing alike
        compared = replace(compared, gains_y=[])
    # One picture is coded too quickly for its time to say anything.
    return replace(compared, encode_time=None, decode_time=None) if test[0].pictures == 1 else compared


def _compare_curves(anchor: Curve, test: Curve, offline: bool, method: str) -> Comparison:
    """offline: the network's time after the decoder counts as decoding."""
    has_chroma = all(figures.psnr_u is not None for figures in (*anchor.values(), *test.values()))
    results: dict[tuple[str, str], BdResult] = {}
    errors: dict[tuple[str, str], str] = {}
    doubtful: dict[str, str] = {}
    for plane in PLANES if has_chroma else PLANES[:1]:
        for name in METHODS:
            try:
                results[plane, name] = _bd_rate(anchor, test, plane, name)
            except BdRateError as problem:
                errors[plane, name] = str(problem)
                if plane == "y" and name != method and isinstance(problem, DoubtfulError):
                    doubtful[name] = str(problem)
    error = errors.pop(("y", method), None)
    warnings = [f"{LABELS[plane]}: {text}" for (plane, name), result in results.items() if name == method for text in result.warnings]
    warnings += [f"{LABELS[plane]}: {text}" for (plane, name), text in errors.items() if name == method and plane != "yuv"]
    warnings += [f"Y, by {name}: {text}" for name, text in doubtful.items() if ("y", method) in results]
    methods = {name: _bd_figures({plane: result for (plane, by), result in results.items() if by == name}) for name in METHODS}
    luma = results.get(("y", method))
    return Comparison(
        **vars(methods[method]),
        methods=methods,
        gains_y=[
            (qp, test[qp].psnr_y - anchor[qp].psnr_y)
            for qp in sorted(test.keys() & anchor.keys())
            if not is_identical(test[qp].psnr_y, anchor[qp].psnr_y)
        ],
        overlap_y=luma.overlap if luma else None,
        has_chroma=has_chroma,
        encode_time=_ratio_of_sums(anchor, test),
        decode_time=_ratio(anchor, test, lambda figures: figures.decode_seconds, offline),
        kmac_per_sample=fmean(figures.kmac_per_sample for figures in test.values()),
        error=error,
        warnings=warnings,
        more=_compare_more(anchor, test, method),
    )


def _compare_more(anchor: Curve, test: Curve, method: str) -> dict[str, MoreBd]:
    """By the metrics that every point of both curves has."""
    found = {}
    for metric, quality in MORE.items():
        curves = [[(float(figures.bits), figures.level(metric)) for figures in some.values()] for some in (anchor, test)]
        base, curve = ([(bits, level) for bits, level in some if level is not None] for some in curves)
        if (len(base), len(curve)) != (len(anchor), len(test)):
            continue
        try:
            result = bd_rate(base, curve, method, quality)
            found[metric] = MoreBd(bd_rate=result.bd_rate, bd_quality=result.bd_psnr, note="; ".join(result.warnings) or None)
        except BdRateError as problem:
            found[metric] = MoreBd(note=str(problem))
    return found


def _bd_rate(anchor: Curve, test: Curve, plane: str, method: str) -> BdResult:
    base, curve = ([(float(figures.bits), figures.psnr(plane) or 0.0) for figures in some.values()] for some in (anchor, test))
    if is_identical(*(level for _, level in (*base, *curve))):
        raise BdRateError("planes equal to the original have no PSNR, so there is no BD-rate")
    return bd_rate(base, curve, method)


def _bd_figures(results: dict[str, BdResult]) -> BdFigures:
    """By plane."""
    rates = {f"bd_rate_{plane}": result.bd_rate for plane, result in results.items()}
    return BdFigures(**rates, **{f"bd_psnr_{plane}": result.bd_psnr for plane, result in results.items()})


def _ratio(anchor: Curve, test: Curve, seconds: Callable[[Figures], float], offline: bool = False) -> float | None:
    """Geometric mean over the QPs of a time in percent of the anchor's; None if one is missing or too short to be measured."""
    base = {qp: seconds(figures) for qp, figures in anchor.items()}
    pairs = [(seconds(figures) + (figures.filter_seconds if offline else 0), base.get(qp)) for qp, figures in test.items()]
    logs = [math.log(time / other) for time, other in pairs if time and other]
    return 100 * math.exp(fmean(logs)) if len(logs) == len(pairs) else None


def _ratio_of_sums(anchor: Curve, test: Curve) -> float | None:
    """Encoding the sequence at all QPs, in percent of the anchor's; None where QPs differ, or a time is not known."""
    if anchor.keys() != test.keys() or not all(figures.encode_seconds for figures in (*anchor.values(), *test.values())):
        return None
    base, own = (sum(figures.encode_seconds for figures in some.values()) for some in (anchor, test))
    return 100 * own / base


def _find_outliers(entries: Sequence[Compared]) -> None:
    """Put a warning into the comparisons whose luma BD-rate is far from those of the other sequences."""
    for variant in VARIANTS:
        some = [entry.variants[variant] for entry in entries if variant in entry.variants]
        rates = {n: comparison.bd_rate_y for n, comparison in enumerate(some) if comparison.bd_rate_y is not None}
        if not rates:
            continue
        middle = median(rates.values())
        spread = 1.4826 * median(abs(rate - middle) for rate in rates.values())
        for n, rate in rates.items():
            if abs(rate) > MOST:
                some[n].warnings.append(f"an outlier: {rate:+.2f} % is beyond {MOST:.0f} %")
            elif len(rates) >= ENOUGH and abs(rate - middle) > max(LEAST, SCORE * spread):
                some[n].warnings.append(f"an outlier: {rate:+.2f} % where the median of {len(rates)} sequences is {middle:+.2f} %")


def _means(entries: Sequence[Compared]) -> dict[str, Mean]:
    by_variant = {variant: [entry.variants[variant] for entry in entries if variant in entry.variants] for variant in VARIANTS}
    means = {}
    for variant, results in by_variant.items():
        if results:
            sound = [result for result in results if not result.flagged]
            means[variant] = _mean(results, _mean(sound) if sound else None)
    return means


def _mean(results: Sequence[Comparison], unflagged: Mean | None = None) -> Mean:
    # A flagged sequence is not known to have chroma or not: its luma has no figure either.
    colour = [result for result in results if result.has_chroma or result.error]
    luma, chroma = ([f"bd_{kind}_{plane}" for kind in ("rate", "psnr") for plane in planes] for planes in (PLANES[:1], PLANES[1:]))
    figures = {key: _mean_of(getattr(result, key) for result in results) for key in luma}
    return Mean(
        **figures,
        **{key: _mean_of(getattr(result, key) for result in colour) for key in chroma},
        sequences=len(results),
        encode_time=_mean_of(result.encode_time for result in results),
        decode_time=_mean_of(result.decode_time for result in results),
        kmac_per_sample=_mean_of(result.kmac_per_sample for result in results),
        gains_y=_mean_gains([dict(result.gains_y) for result in results]),
        more=_mean_more(results),
        unflagged=unflagged,
    )


def _mean_more(results: Sequence[Comparison]) -> dict[str, MoreBd]:
    found = {}
    for metric in MORE:
        some = [result.more[metric] for result in results if metric in result.more]
        if some:
            rate, quality = _mean_of(one.bd_rate for one in some), _mean_of(one.bd_quality for one in some)
            found[metric] = MoreBd(bd_rate=rate, bd_quality=quality, sequences=len(some))
    return found


def _mean_of(values: Iterable[float | None]) -> float | None:
    """None if one is None, or there is none."""
    all_of_them = list(values)
    known = [value for value in all_of_them if value is not None]
    return fmean(known) if known and len(known) == len(all_of_them) else None


def _mean_gains(gains: Sequence[dict[int, float]]) -> Gains:
    """None where sequences have other QPs."""
    qps = gains[0] if all(some.keys() == gains[0].keys() for some in gains) else {}
    return [(qp, fmean(some[qp] for some in gains)) for qp in qps]


def flags_of_rows(rows: Iterable[Row]) -> list[Flag]:
    """The errors that rows are flagged with."""
    return [Flag("error", row.sequence, row.codec, row.configuration, row.variant, row.qp, row.flag) for row in rows if row.flag]


def _flags(rows: Sequence[Row], sequences: Sequence[Compared]) -> list[Flag]:
    flagged: set[tuple[Any, ...]] = {(row.sequence, row.codec, row.configuration, row.variant) for row in rows if row.flag}
    errors, warnings = flags_of_rows(rows), []
    for entry in sequences:
        names = entry.sequence, entry.codec, entry.configuration
        for variant, result in entry.variants.items():
            # What a flagged row says is not said again of its curve.
            if result.error and not flagged & {(*names, side) for side in ("anchor", variant)}:
                errors.append(Flag("error", *names, variant, None, result.error))
            warnings += [Flag("warning", *names, variant, None, text) for text in result.warnings]
    return errors + warnings
