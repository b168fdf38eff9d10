"""What reports show of a result document, laid out once for the HTML page and the Markdown file."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from codec_bridge.figures.row import VARIANTS, Row
from codec_bridge.report.document import Comparison, Document, Flag, Mean, MoreBd, population
from codec_bridge.report.summary import MORE
from vrcnn_int.io.documents import fields_of
from vrcnn_int.text import counted

CONFIGURATIONS = {"ai": "all intra", "ra": "random access", "ldb": "low delay B", "ldp": "low delay P"}
CODECS = {"hm": "HM", "x265-loop": "x265 with the filter in its loop"}
"""In words; the others' names are their words."""
VARIANT_WORDS = {
    "anchor": "deblocking and SAO",
    "none": "no filter",
    "integer": "integer network",
    "float": "float network",
    "picture": "network by picture",
    "map": "network by unit",
    "after": "by unit after the loop",
    "choice": "offline choice",
}
AS_CODED = "as coded"
"""The anchor of a codec that is compared with another one's."""
PLANES = {"y": "luma", "u": "Cb", "v": "Cr", "yuv": "YUV 6:1:1"}
FIGURES = tuple(f"{name}_{plane}" for name in ("bd_rate", "bd_psnr") for plane in PLANES)
TIMES = {
    "filter_seconds": "network",
    "decode_seconds": "decoding",
    "decode_filter_seconds": "network in the decoder",
}
ENCODING = "encoding, sum"
"""Of an encoder's time over all pictures and QPs: that of a picture is noise."""
ORIGINS = {"vrcnn_int": "version of vrcnn-int", "model": "model set"}
"""Parts of the provenance in words."""
NONE = "\N{EN DASH}"
"""Stands for a figure that there is not."""

NO_FLAGS = "None: every stream was decoded and compared, and no curve gave a warning."

Group = tuple[str, str]  # codec and configuration


def groups_of(document: Document) -> list[Group]:
    """The codecs and configurations of a document, in its order."""
    return list(dict.fromkeys((row.codec, row.configuration) for row in document.rows))


def label(codec: str, configuration: str) -> str:
    """('hm', 'ra') -> 'HM, random access'."""
    return f"{CODECS.get(codec, codec)}, {CONFIGURATIONS.get(configuration, configuration)}"


def words(document: Document) -> dict[str, str]:
    """Variants in words, by their keys, and the curve of another codec's anchor."""
    other = {"anchor": AS_CODED, reference_curve(document): reference_curve(document)} if against(document) else {}
    return VARIANT_WORDS | other


def where(flag: Flag, document: Document) -> str:
    """What of a sequence a flag is about: 'HM, random access, network by unit, QP 27', or 'every QP' for its curve."""
    qp = "every QP" if flag.qp is None else f"QP {flag.qp}"
    return f"{label(flag.codec, flag.configuration)}, {words(document)[flag.variant]}, {qp}"


def more_metrics(document: Document) -> dict[str, str]:
    """Qualities beside PSNR that some comparison has, in words."""
    compared = [comparison.more for entry in document.summary.sequences for comparison in entry.variants.values()]
    there = {metric for more in compared for metric, figure in more.items() if figure.bd_rate is not None}
    return {metric: quality.name for metric, quality in MORE.items() if metric in there}


def against(document: Document) -> str:
    """The codec whose anchor all are compared with; "" for each its own."""
    return str(document.plan.get("against") or "")


def reference(document: Document) -> str:
    """What BD-rates are against, in words."""
    other = against(document)
    return (
        f"the anchor of {_codec(other)} in the same configuration"
        if other
        else "the anchor (deblocking and SAO) of the same codec and configuration"
    )


def reference_curve(document: Document) -> str:
    """The name of the curve that others are compared with, beside the names of variants."""
    return f"anchor of {_codec(against(document))}" if against(document) else "anchor"


def _codec(name: str) -> str:
    return CODECS.get(name, name)


def title(document: Document) -> str:
    """The heading of a report."""
    if against(document):
        return f"BD-rate against {_codec(against(document))}"
    model = document.provenance.get("model")
    return f"BD-rate of model set {model[:16]}" if model else "BD-rate"


def subtitle(document: Document) -> str:
    """What was coded and when, in a line."""
    plan = document.plan
    count = len(plan["sequences"])
    return " · ".join(
        [
            "; ".join(label(*key) for key in groups_of(document)),
            _qps(document),
            f"{count} sequence{'s' if count != 1 else ''}",
            *([document.provenance["time"]] if document.provenance.get("time") else []),
        ]
    )


def _qps(document: Document) -> str:
    """'QP 22, 27, 32, 37', and those of codecs that have others."""
    by_codec: dict[str, set[int]] = {}
    for row in document.rows:
        by_codec.setdefault(row.codec, set()).add(row.qp)
    usual = sorted(document.plan["qps"])
    others = [f"{codec} {', '.join(map(str, sorted(qps)))}" for codec, qps in by_codec.items() if sorted(qps) != usual]
    return "; ".join([f"QP {', '.join(map(str, document.plan['qps']))}", *others])


def harness(document: Document) -> str:
    """How long the run took and what of it was not the codecs' own, in a sentence; "" where nothing is known."""
    timing = document.provenance.get("timing")
    if not timing:
        return ""
    jobs = timing["jobs"]
    text = f"This run: {counted(jobs['done'], 'job')} done, {jobs['failed']} failed, {jobs['cached']} taken from earlier runs"
    text += f"; {seconds(timing['wall_seconds'])} s with {timing['workers']} worker{'s' if timing['workers'] != 1 else ''}"
    overhead = timing["overhead_percent"]
    return text + (f"; harness overhead {overhead:.1f} %." if overhead is not None else ".")


def signed(value: float | None, digits: int = 2) -> str:
    """'+1.20', '−4.11', '0.00'; a dash for None."""
    if value is None:
        return NONE
    text = f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if float(f"{value:.{digits}f}") == 0 else text


def percent(value: float | None) -> str:
    """'93 %'; a dash for None."""
    return NONE if value is None else f"{value:.0f} %"


def share(value: float | None) -> str:
    """0.5 -> '50 %'; a dash for None."""
    return percent(None if value is None else 100 * value)


def number(value: float | None, digits: int = 0) -> str:
    """'53.9'; a dash for None."""
    return NONE if value is None else f"{value:.{digits}f}"


def seconds(value: float | None) -> str:
    """Three significant digits: '0.00235', '12.3', '1234'; a dash for None."""
    if value is None:
        return NONE
    return f"{value:.0f}" if value >= 99.95 or value == 0 else f"{value:#.3g}" if value >= 1e-4 else f"{value:.4f}"


def provenance_lines(document: Document) -> list[tuple[str, str | list[str]]]:
    """What a document says about how it came to be, as pairs of a name and a text, or texts a line each."""
    plan = {key: value for key, value in document.plan.items() if key != "sequences"}
    lines = origin_lines({key: value for key, value in document.provenance.items() if key != "timing"})
    used = {row.variant for row in document.rows}
    lines.append(("variants", [f"{words(document)[variant]}: {variant}" for variant in VARIANTS if variant in used]))
    lines.append(("plan", [text for item in plan.items() if item[1] is not None for text in _flat(*item)]))
    return lines


def origin_lines(origin: Mapping[str, Any]) -> list[tuple[str, str | list[str]]]:
    """What ``provenance`` says, laid out likewise."""
    lines: list[tuple[str, str | list[str]]] = []
    for key, value in origin.items():
        if key == "command_line":
            lines.append(("command line", [" ".join(value)]))
        elif isinstance(value, Mapping):
            lines.append((_spaced(key), [text for item in value.items() for text in _flat(*item)]))
        elif isinstance(value, list | tuple):
            lines.append((_spaced(key), ", ".join(map(str, value))))
        elif value is not None:
            lines.append((ORIGINS.get(key, _spaced(key)), str(value)))
    return lines


def _spaced(key: str) -> str:
    return key.replace("_", " ")


def _flat(key: str, value: Any) -> list[str]:
    """'a b: 1' for each leaf of what is nested below a key."""
    if isinstance(value, Mapping):
        return [f"{key} {text}" for item in value.items() for text in _flat(*item)]
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return [f"{key}: " + "; ".join(text for pair in item.items() for text in _flat(*pair)) for item in value]
    return [f"{key}: {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}"]


def tables(document: Document, codec: str, configuration: str) -> dict[str, Any]:
    """The tables of one codec and configuration."""
    named = words(document)
    key = codec, configuration
    sequences = [entry for entry in document.summary.sequences if (entry.codec, entry.configuration) == key]
    rows = [row for row in document.rows if (row.codec, row.configuration) == key]
    about = {row.sequence: f"class {row.class_name}, {row.pictures} of {row.width}x{row.height}" for row in rows}
    about |= {entry.sequence: f"{about[entry.sequence]}, not in the means" for entry in sequences if entry.apart}
    of_all = [entry for entry in document.summary.means if (entry.codec, entry.configuration) == key]
    means = {variant: mean for entry in of_all for variant, mean in entry.variants.items()}
    variants = [variant for variant in VARIANTS if variant in means]
    flagged = {variant: sum(entry.variants[variant].flagged for entry in sequences if variant in entry.variants) for variant in variants}
    classes = [entry for entry in document.summary.classes if (entry.codec, entry.configuration) == key]

    def counts(class_name: str | None, unflagged: bool = False) -> list[str]:
        some = [entry for entry in sequences if entry.in_group(class_name, *key)]
        return [_count(*population(some, variant, unflagged)) for variant in variants]

    lines: list[dict[str, Any]] = [
        {
            "label": f"class {entry.class_name}",
            "total": False,
            "means": [entry.variants.get(variant) for variant in variants],
            "counts": counts(entry.class_name),
        }
        for entry in sorted(classes, key=lambda entry: str(entry.class_name))
    ]
    lines.append({"label": "all sequences", "total": True, "means": [means[variant] for variant in variants], "counts": counts(None)})
    if any(flagged.values()):
        unflagged = [means[variant].unflagged for variant in variants]
        lines.append({"label": "all without flagged", "total": True, "means": unflagged, "counts": counts(None, True)})
    entries: list[dict[str, Any]] = []
    for entry in sequences:
        compared = [
            {**_comparison(variant, entry.variants[variant]), "name": named[variant]} for variant in variants if variant in entry.variants
        ]
        height = len(compared) + sum(bool(line["reasons"]) for line in compared)
        entries.append({"sequence": entry.sequence, "about": about[entry.sequence], "lines": compared, "height": height})
    # Bars are for the usual figures; an outlier would leave nothing of them.
    gains = [abs(line["bd_rate_y"]) for shown in entries for line in shown["lines"] if not line["flagged"]]
    timed = [variant for variant in VARIANTS if any(row.variant == variant for row in rows)]
    return {
        "label": label(codec, configuration),
        "cards": [
            {"variant": v, "name": named[v], "mean": means[v], "flagged": flagged[v], "count": n}
            for v, n in zip(variants, counts(None), strict=True)
        ],
        "classes": lines,
        "sequences": entries,
        "most": max(gains, default=0.0) or 1.0,
        "gains": _gains([*((entry.sequence, entry.variants) for entry in sequences), ("mean", means)], variants, named),
        "more": _more([*((entry.sequence, entry.variants) for entry in sequences), ("mean", means)], variants, named),
        "timing": _timings(rows, timed, named),
        "sequence_timing": [
            {"sequence": name, "about": text, "lines": _timings([row for row in rows if row.sequence == name], timed, named)}
            for name, text in about.items()
        ],
    }


def _count(luma: int, chroma: int) -> str:
    """'10', or '10 (Cb, Cr: 5)' where not all have chroma."""
    return f"{luma} (Cb, Cr: {chroma})" if 0 < chroma < luma else str(luma)


def _gains(
    entries: Iterable[tuple[str, Mapping[str, Comparison | Mean]]], variants: Iterable[str], named: Mapping[str, str]
) -> dict[str, Any]:
    """Luma PSNR above the anchor's at the same QP: the QPs, and a line for each sequence and variant that has figures."""
    gains = [(name, named[v], dict(some[v].gains_y)) for name, some in entries for v in variants if v in some]
    qps = sorted({qp for _, _, values in gains for qp in values})
    return {"qps": qps, "lines": [(name, v, [values.get(qp) for qp in qps]) for name, v, values in gains if values]}


def _more(
    entries: Iterable[tuple[str, Mapping[str, Comparison | Mean]]], variants: Iterable[str], named: Mapping[str, str]
) -> dict[str, Any]:
    """BD-rates over other qualities than PSNR: the metrics, a line for each sequence and variant, and what is to be said of figures."""
    found = [(name, named[v], some[v].more) for name, some in entries for v in variants if v in some]
    metrics = [metric for metric in MORE if any(metric in more and more[metric].bd_rate is not None for _, _, more in found)]
    lines = [(name, v, [_more_cell(more.get(metric), name == "mean") for metric in metrics]) for name, v, more in found if more]
    said = [(name, v, metric, more[metric].note) for name, v, more in found for metric in MORE if metric in more]
    notes = [f"{name}, {v}, {MORE[metric].name}: {note}" for name, v, metric, note in said if note]
    return {"heads": [MORE[metric].name for metric in metrics], "lines": lines, "notes": notes}


def _more_cell(figure: MoreBd | None, mean: bool) -> dict[str, Any]:
    """bd_rate, and over how many sequences a mean is."""
    return {"rate": figure.bd_rate if figure else None, "count": figure.sequences if figure and mean else None}


def _comparison(variant: str, comparison: Comparison) -> dict[str, Any]:
    """A line of the sequences' table. With an error no figure is shown, whatever could still be computed."""
    rates = {name: figures.bd_rate_y for name, figures in comparison.methods.items()}
    reasons = [f"{'warnings' if len(comparison.warnings) > 1 else 'warning'}: {'; '.join(comparison.warnings)}"] * bool(comparison.warnings)
    line = {"variant": variant, **fields_of(comparison), "flagged": comparison.flagged, "reasons": reasons, "methods": rates}
    if comparison.error is not None:
        reasons.insert(0, f"error: {comparison.error}")
        line |= {"methods": dict.fromkeys(rates), **dict.fromkeys((*FIGURES, "overlap_y", "encode_time", "decode_time"))}
    return line


def _timings(rows: list[Row], variants: list[str], named: Mapping[str, str]) -> list[dict[str, Any]]:
    """Of each variant that has rows, what _timing says."""
    by_variant = {variant: [row for row in rows if row.variant == variant] for variant in variants}
    return [_timing(variant, some) | {"name": named[variant]} for variant, some in by_variant.items() if some]


def _timing(variant: str, rows: list[Row]) -> dict[str, Any]:
    """The sum of the encoder's time, None where a row has none; means over the rows that have figures, of the times a picture; how many
    rows these are of how many, in words."""
    known = [(row.figures, row.pictures) for row in rows if row.flag is None and row.figures]
    line: dict[str, Any] = {"variant": variant, "rows": str(len(rows)) if len(known) == len(rows) else f"{len(known)} of {len(rows)}"}
    line["encode_sum"] = sum(figures.encode_seconds for figures, _ in known) if len(known) == len(rows) else None
    for key in (*TIMES, "filtered_share", "kmac_per_sample"):
        values = [getattr(figures, key) / (pictures if key in TIMES else 1) for figures, pictures in known]
        line[key] = fmean(values) if values else None
    return line


def commands(document: Document) -> list[dict[str, Any]]:
    """The encoder's settings, once for each codec, configuration, variant and QP that they are the same for all sequences of."""
    known = [(row, row.figures.command) for row in document.rows if row.figures and row.figures.command]
    named = words(document)
    lines = dict.fromkeys((label(row.codec, row.configuration), named[row.variant], row.qp, command) for row, command in known)
    return [dict(zip(("group", "variant", "qp", "command"), line, strict=True)) for line in lines]
