"""Results: summaries per sequence, class and codec, and their tables and files.

A document is what the JSON file of ``bdrate`` holds. Times are wall seconds unless a name says cpu; a value that is not known, or that
does not exist (chroma of 4:0:0), is None. Nothing in it names a path of the machine.

``schema``: SCHEMA, for this description.

``provenance``: of `provenance()`, with ``model`` (identity), ``kernels``, ``programs`` ({codec: {"encoder": name and version, "files":
{library or program: SHA-256}}}) and ``timing``: {"wall_seconds", "workers", "busy_seconds" (sum over the jobs of this run of what they
spent in encoder, decoder, filter and metrics), "overhead_percent" (100 - 100 busy / (workers wall); None if no job was run),
"jobs": {"done", "failed", "cached"}}.

``plan``: {"sequences": [{"name", "class", "width", "height", "bit_depth", "rate" ("30000/1001"), "pictures", "md5" (of the coded
samples; None if they could not be read)}], "runs": [{"codec", "configuration", "variants"}], "qps", "frames" (None: by size), "model",
"kernel", "position", "preset", "method", "check", "apart": names of sequences that are in no mean}.

``rows``: one for each sequence, codec, configuration, variant and QP of the plan, in this order (figures.row).

``sequences``: [{"sequence", "class", "codec", "configuration", "variants": {variant: COMPARISON}}] for all variants but the anchor.
"apart": true for sequences that the plan leaves out of classes and means. A COMPARISON with the anchor of the same codec and configuration:

    bd_rate_y, bd_rate_u, bd_rate_v, bd_rate_yuv        percent, by the plan's method, negative is better
    bd_psnr_y, bd_psnr_u, bd_psnr_v, bd_psnr_yuv        dB
    methods       {"pchip": the same eight, "cubic": ..., "akima": ...}
    gains_y       [[QP, dB], ...]: luma PSNR above the anchor's at the same QP, by rising QP
    overlap_y     of the luma curves, percent
    encode_time, decode_time            percent of the anchor's, geometric mean over the QPs; the network's time after the decoder
                                        counts as decoding
    kmac_per_sample                     mean over the QPs
    has_chroma
    error         None, or why there is no luma BD-rate: a flagged row of either curve, no overlap, PSNR that falls while the rate rises
    warnings      texts with their figures: overlap under 75 %, no chroma BD-rate, outliers
    flagged       whether there is an error or a warning

``classes``: [{"class", "codec", "configuration", "variants": {variant: MEAN}}], ``means``: the same without "class", over all
sequences of a codec and configuration that are not apart. A MEAN has "sequences" (how many) and the means of the eight figures (None
if one of the sequences that have the plane has no figure: a mean without it would mislead), gains_y, encode_time, decode_time,
kmac_per_sample, and "unflagged": the same, over the sequences that are not flagged (None if there is none).

``flags``: [{"severity": "error" or "warning", "sequence", "codec", "configuration", "variant", "qp" (None: the whole curve), "text"}],
errors first.

An outlier is a luma BD-rate beyond 50 % either way, or, with five sequences or more, one whose distance from the median is more than
1 percentage point and 3.5 times 1.4826 times the median distance (the modified z-score of Iglewicz and Hoaglin 1993).
"""

import csv
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from codec_bridge.figures.bd_rate import METHODS, BdRateError, BdResult, bd_rate
from codec_bridge.figures.metrics import IDENTICAL
from codec_bridge.figures.row import AFTER_DECODING, KEYS, VARIANTS
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SCHEMA = 1
PLANES = ("y", "u", "v", "yuv")
BD_KEYS = tuple(f"bd_{kind}_{plane}" for kind in ("rate", "psnr") for plane in PLANES)
MORE_KEYS = ("encode_time", "decode_time", "kmac_per_sample")

MOST = 50.0
"""BD-rates beyond it either way, in percent, are outliers whatever the others are."""
SCORE, LEAST, ENOUGH = 3.5, 1.0, 5
"""An outlier's modified z-score, its least distance from the median in percentage points, and how many sequences it takes."""

Row = Mapping[str, Any]
Document = Mapping[str, Any]


def summarise(rows: Sequence[Row], method: str = "pchip", apart: Collection[str] = ()) -> dict[str, Any]:
    """The parts ``sequences``, ``classes``, ``means`` and ``flags`` of a document; sequences ``apart`` are in no mean.

    Raises VrcnnError for a sequence without anchor and for two rows of the same sequence, codec, configuration, QP and variant.
    """
    sequences = []
    for (name, codec, configuration), some in _by(rows, "sequence", "codec", "configuration").items():
        curves = {variant: _curve(some, name, variant) for variant in VARIANTS}
        if not curves["anchor"]:
            raise VrcnnError(f"{name} has no anchor to compare with: run the variant anchor too")
        compared = {variant: _compare(curves["anchor"], curves[variant], method) for variant in VARIANTS[1:] if curves[variant]}
        facts = {"sequence": name, "class": some[0]["class"], "codec": codec, "configuration": configuration, "apart": name in apart}
        sequences.append({**facts, "variants": compared})
    judged = [entry for entry in sequences if not entry["apart"]]
    for entries in _by(judged, "codec", "configuration").values():
        _find_outliers(entries)
    classes = [
        {"class": name, "codec": codec, "configuration": configuration, "variants": _means(entries)}
        for (name, codec, configuration), entries in _by(judged, "class", "codec", "configuration").items()
    ]
    means = [
        {"codec": codec, "configuration": configuration, "variants": _means(entries)}
        for (codec, configuration), entries in _by(judged, "codec", "configuration").items()
    ]
    return {"sequences": sequences, "classes": classes, "means": means, "flags": _flags(rows, sequences)}


def _by(entries: Iterable[Any], *keys: str) -> dict[tuple[Any, ...], list[Any]]:
    """Entries with equal values of these keys together, in the order of the first of each."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for entry in entries:
        found.setdefault(tuple(entry[key] for key in keys), []).append(entry)
    return found


def _curve(rows: Sequence[Row], sequence: str, variant: str) -> list[Row]:
    curve = [row for row in rows if row["variant"] == variant]
    qps = [row["qp"] for row in curve]
    if len(set(qps)) < len(qps):
        raise VrcnnError(f"{sequence}, {variant}: there are two results for the same QP ({sorted(qps)})")
    return curve


def _compare(anchor: Sequence[Row], test: Sequence[Row], method: str) -> dict[str, Any]:
    methods: dict[str, dict[str, float | None]] = {name: dict.fromkeys(BD_KEYS) for name in METHODS}
    result: dict[str, Any] = {"methods": methods, "gains_y": [], "overlap_y": None, "has_chroma": False, **dict.fromkeys(MORE_KEYS)}
    warnings: list[str] = []
    error = next((f"QP {row['qp']} of {row['variant']} is flagged: {row['flag']}" for row in (*anchor, *test) if row["flag"]), None)
    if error is None:
        result["has_chroma"] = all(row["psnr_u"] is not None for row in (*anchor, *test))
        errors = {}
        for plane in PLANES if result["has_chroma"] else PLANES[:1]:
            for name in METHODS:
                try:
                    found = _bd_rate(anchor, test, f"psnr_{plane}", name)
                except BdRateError as problem:
                    errors[plane, name] = str(problem)
                    continue
                methods[name] |= {f"bd_rate_{plane}": found.bd_rate, f"bd_psnr_{plane}": found.bd_psnr}
                if name == method:
                    warnings += [f"{plane.upper()}: {text}" for text in found.warnings]
                    result["overlap_y"] = found.overlap if plane == "y" else result["overlap_y"]
        error = errors.pop(("y", method), None)
        warnings += [f"{plane.upper()}: {text}" for (plane, name), text in errors.items() if name == method and plane != "yuv"]
        result |= {"encode_time": _ratio(anchor, test, "encode_seconds"), "decode_time": _ratio(anchor, test, "decode_seconds")}
        result["kmac_per_sample"] = fmean(row["kmac_per_sample"] for row in test)
        base = {row["qp"]: row["psnr_y"] for row in anchor}
        result["gains_y"] = [[row["qp"], row["psnr_y"] - base[row["qp"]]] for row in sorted(test, key=lambda row: row["qp"])]
    return {**methods[method], **result, "error": error, "warnings": warnings, "flagged": error is not None or bool(warnings)}


def _bd_rate(anchor: Sequence[Row], test: Sequence[Row], key: str, method: str) -> BdResult:
    if any(row[key] >= IDENTICAL for row in (*anchor, *test)):
        raise BdRateError("planes equal to the original have no PSNR, so there is no BD-rate")
    return bd_rate([(row["bits"], row[key]) for row in anchor], [(row["bits"], row[key]) for row in test], method)


def _ratio(anchor: Sequence[Row], test: Sequence[Row], key: str) -> float | None:
    """Geometric mean over the QPs of a time in percent of the anchor's; None if one is missing or too short to be measured."""
    base = {row["qp"]: row[key] for row in anchor}
    pairs = [
        (row[key] + (row["filter_seconds"] if _is_offline(row) and key == "decode_seconds" else 0), base.get(row["qp"])) for row in test
    ]
    if not all(time and other for time, other in pairs):
        return None
    return 100 * math.exp(fmean(math.log(time / other) for time, other in pairs))


def _is_offline(row: Row) -> bool:
    return row["variant"] in AFTER_DECODING


def _find_outliers(entries: Sequence[dict[str, Any]]) -> None:
    """Put a warning into the comparisons whose luma BD-rate is far from those of the other sequences."""
    for variant in VARIANTS[1:]:
        found = [entry["variants"][variant] for entry in entries if entry["variants"].get(variant, {}).get("bd_rate_y") is not None]
        if not found:
            continue
        middle = median(result["bd_rate_y"] for result in found)
        spread = 1.4826 * median(abs(result["bd_rate_y"] - middle) for result in found)
        for result in found:
            distance = abs(result["bd_rate_y"] - middle)
            if abs(result["bd_rate_y"]) > MOST:
                text = f"an outlier: {result['bd_rate_y']:+.2f} % is beyond {MOST:.0f} %"
            elif len(found) >= ENOUGH and distance > max(LEAST, SCORE * spread):
                text = f"an outlier: {result['bd_rate_y']:+.2f} % where the median of {len(found)} sequences is {middle:+.2f} %"
            else:
                continue
            result["warnings"].append(text)
            result["flagged"] = True


def _means(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for variant in VARIANTS[1:]:
        results = [entry["variants"][variant] for entry in entries if variant in entry["variants"]]
        if results:
            sound = [result for result in results if not result["flagged"]]
            found[variant] = {**_mean(results), "unflagged": _mean(sound) if sound else None}
    return found


def _mean(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    mean: dict[str, Any] = {"sequences": len(results)}
    for key in (*BD_KEYS, *MORE_KEYS):
        # A flagged sequence is not known to have chroma or not: its luma has no figure either.
        values = [result[key] for result in results if result["has_chroma"] or result["error"] or not key.endswith(("_u", "_v", "_yuv"))]
        mean[key] = fmean(values) if values and None not in values else None
    gains = [dict(result["gains_y"]) for result in results]
    qps = gains[0] if all(found.keys() == gains[0].keys() for found in gains) else {}
    mean["gains_y"] = [[qp, fmean(found[qp] for found in gains)] for qp in qps]
    return mean


def flags_of_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The errors that rows are flagged with."""
    keys = ("sequence", "codec", "configuration", "variant", "qp")
    return [{"severity": "error", **{key: row[key] for key in keys}, "text": row["flag"]} for row in rows if row["flag"]]


def _flags(rows: Sequence[Row], sequences: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    facts = ("sequence", "codec", "configuration")
    found = flags_of_rows(rows)
    flagged = {(*(row[key] for key in facts), row["variant"]) for row in rows if row["flag"]}
    for severity in ("error", "warning"):
        for entry in sequences:
            for variant, result in entry["variants"].items():
                # What a flagged row says is not said again of its curve.
                texts = result["warnings"] if severity == "warning" else [result["error"]] if result["error"] else []
                if severity == "error" and flagged & {(*(entry[key] for key in facts), side) for side in ("anchor", variant)}:
                    continue
                names = {key: entry[key] for key in facts}
                found += [{"severity": severity, **names, "variant": variant, "qp": None, "text": text} for text in texts]
    return found


def describe(flag: Mapping[str, Any]) -> str:
    """A flag as a line of text."""
    qp = "" if flag["qp"] is None else f", QP {flag['qp']}"
    return f"{flag['sequence']}, {flag['codec']} {flag['configuration']}, {flag['variant']}{qp}: {flag['text']}"


def print_table(document: Document, console: "Console") -> None:
    """Print BD-rates per sequence, class and in the mean, then what is flagged; as many variants beside each other as fit."""
    for codec, configuration in _by(document["means"], "codec", "configuration"):
        _print_group(document, console, codec, configuration)
    for flag in document["flags"]:
        style = "red" if flag["severity"] == "error" else "yellow"
        console.print(f"{flag['severity']}: {describe(flag)}", style=style, markup=False, highlight=False, soft_wrap=True)


def _print_group(document: Document, console: "Console", codec: str, configuration: str) -> None:
    from rich import box
    from rich.table import Table

    def here(part: str) -> list[Any]:
        return [entry for entry in document[part] if (entry["codec"], entry["configuration"]) == (codec, configuration)]

    entries, (mean,) = here("sequences"), here("means")
    sizes = {row["sequence"]: f"{row['pictures']} of {row['width']}x{row['height']}" for row in here("rows")}
    lines = [(entry["sequence"], sizes[entry["sequence"]], entry["variants"]) for entry in entries if not entry["apart"]]
    apart = [(entry["sequence"], sizes[entry["sequence"]], entry["variants"]) for entry in entries if entry["apart"]]
    classes = here("classes")
    sums = [(f"class {entry['class']}", "", entry["variants"]) for entry in classes] if len(classes) > 1 else []
    sums.append(("mean", "", mean["variants"]))
    if any(result["unflagged"] != {k: v for k, v in result.items() if k != "unflagged"} for result in mean["variants"].values()):
        sums.append(("mean, unflagged", "", {variant: result["unflagged"] or {} for variant, result in mean["variants"].items()}))
    texts = [line[:2] for line in (("sequence", "pictures", {}), *lines, *sums, *apart)]
    widths = [max(map(len, column)) + 1 for column in zip(*texts, strict=True)]
    together = max(1, (console.width - sum(widths) - 1) // (3 * 8))
    variants = list(mean["variants"])
    for some in (variants[k : k + together] for k in range(0, len(variants), together)):
        table = Table(title=f"BD-rate (%), {codec} {configuration}, negative is better", box=box.SIMPLE_HEAD, padding=0)
        table.add_column("sequence", no_wrap=True)
        table.add_column("pictures", justify="right", no_wrap=True)
        for variant in some:
            for plane in PLANES[:3]:
                table.add_column(f"{variant}\n{plane.upper()}", justify="right", no_wrap=True, min_width=7)
        for group, style in ((lines, None), (sums, "bold"), (apart, "dim")):
            for name, size, results in group:
                figures = [_figure(results.get(variant, {}).get(f"bd_rate_{plane}")) for variant in some for plane in PLANES[:3]]
                table.add_row(name, size, *figures, style=style)
            table.add_section()
        console.print(table)
    if apart:
        console.print("The sequences below the mean are not in it, as the plan says.", style="dim", highlight=False)
    _print_gains(mean["variants"], console)
    overlaps = [
        (result["overlap_y"], entry["sequence"], variant)
        for entry in entries
        for variant, result in entry["variants"].items()
        if result["overlap_y"] is not None
    ]
    if overlaps:
        least, name, variant = min(overlaps)
        console.print(f"luma curves overlap by at least {least:.0f} % ({name}, {variant})", markup=False, highlight=False)


def _print_gains(means: Mapping[str, Mapping[str, Any]], console: "Console") -> None:
    from rich import box
    from rich.table import Table

    gains = {variant: dict(mean["gains_y"]) for variant, mean in means.items() if mean["gains_y"]}
    if not gains:
        return
    qps = list(next(iter(gains.values())))
    table = Table(title="luma PSNR above the anchor's at the same QP (dB), means", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("variant", no_wrap=True)
    for qp in qps:
        table.add_column(f"QP {qp}", justify="right", no_wrap=True, min_width=9)
    for variant, values in gains.items():
        table.add_row(variant, *(f"{values[qp]:+.4f}" for qp in qps))
    console.print(table)


def write_json(path: str | Path, document: Document) -> None:
    """Write a document as JSON. Raises VrcnnError if the file cannot be written, ValueError for numbers that JSON does not have."""
    text = json.dumps(document, indent=1, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(path: str | Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV with a header line; missing values are empty. Raises VrcnnError if the file cannot be written."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [key for key in KEYS if key != "crop"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_plot(path: str | Path, document: Document) -> None:
    """Write a PNG with one panel per sequence: luma PSNR over rate, a curve per variant. Raises VrcnnError if it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    rows = document["rows"]
    if not rows:
        raise VrcnnError("there are no results to plot")
    facts = ("sequence", "codec", "configuration")
    entries = document["sequences"]
    panels = _by(rows, *facts)
    alone = len(_by(entries, "codec", "configuration")) == 1
    names = [", ".join(str(entry[key]) for key in (facts[:1] if alone else facts)) for entry in entries]
    variants = [variant for variant in VARIANTS if any(row["variant"] == variant for row in rows)]
    colours = ("0.25", "tab:red", "tab:blue", "tab:green", "tab:orange", "tab:purple", "tab:brown", "tab:olive")
    looks = tuple(zip(colours, "ovs^PDX*", strict=True))
    styles = dict(zip(VARIANTS, looks, strict=True))
    columns = min(4, len(names)) if len(names) != 5 else 3
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(max(3.6 * columns, 5), 3.0 * lines + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    for index, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, index + 1)
        for variant in variants:
            curve = [row for row in panels[tuple(entries[index][key] for key in facts)] if row["variant"] == variant and not row["flag"]]
            points = sorted((row["kbps"], row["psnr_y"]) for row in curve)
            colour, marker = styles[variant]
            dashes = "--" if variant in ("none", "float") else "-"
            axes.plot(
                [rate for rate, _ in points], [quality for _, quality in points], dashes, color=colour, marker=marker,
                markersize=3.5, linewidth=1.2, label=variant if not index else None,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        gains = {variant: entries[index]["variants"].get(variant, {}).get("bd_rate_y") for variant in variants}
        shown = [f"{variant} {gain:+.2f} %" for variant, gain in gains.items() if gain is not None]
        axes.set_title("\n".join([name, *(", ".join(shown[k : k + 2]) for k in range(0, len(shown), 2))]), fontsize=9, parse_math=False)
        axes.tick_params(labelsize=8)
        axes.grid(color="0.9")
        if index % columns == 0:
            axes.set_ylabel("luma PSNR (dB)", fontsize=9)
        if index >= len(names) - columns:
            axes.set_xlabel("rate (kbit/s)", fontsize=9)
    origin = document["provenance"]
    said = [f"{key} {str(origin[key])[:40]}" for key in ("model", "encoder", "git_revision", "time") if origin.get(key)]
    figure.supxlabel(", ".join(said), x=0.995, ha="right", fontsize=6, color="0.4", parse_math=False)
    figure.legend(loc="outside upper center", ncols=len(variants), frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def _figure(value: float | None) -> "Text":
    from rich.text import Text

    return Text("-") if value is None else Text(f"{value:+.2f}", style="green" if value < 0 else "red")
