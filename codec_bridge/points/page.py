"""Bjøntegaard deltas as one self-contained HTML page: the table, RD curves, and gains at equal rate beside them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codec_bridge.figures.bd_rate import METHODS
from codec_bridge.points.compare import Delta, Mean, class_words, in_decibels, name_of
from codec_bridge.points.show import Comparison, signed_quality
from codec_bridge.report.page import PAGE_BYTES, from_template, gain_at_equal_rate
from vrcnn_int.files import write_text
from vrcnn_int.text import counted

SCRIPTS = ("theme.js", "chart.js", "bd.js")
MARGIN = 1000


def write_html(path: Path, shown: Comparison) -> None:
    """Write ``render(shown)``. Raises VrcnnError if the file cannot be written."""
    write_text(path, render(shown))


def render(shown: Comparison) -> str:
    """The page's text. Everything that comes from files is text to it."""
    keys = dict.fromkeys((delta.test, delta.configuration) for delta in shown.deltas)
    groups = [_group(*key, shown.deltas, shown.means) for key in keys]

    def page(curves: Sequence[dict[str, Any]], missing: str = "") -> str:
        values = {"title": f"BD-rate against {shown.anchor}", "method": shown.method, "methods": METHODS, "groups": groups}
        more = {"left_out": shown.left_out, "provenance": shown.origin, "missing": missing}
        return from_template("bd.html.j2", SCRIPTS, **values, **more, data={"curves": curves})

    every = _curves(shown.deltas, shown.anchor)
    fitting = _fitting(every, PAGE_BYTES - len(page([]).encode()))
    missing = f"The curves of {len(fitting)} of {len(every)} comparisons are here; with all of them the page would be too large."
    return page(fitting, missing if len(fitting) < len(every) else "")


def _fitting(curves: Sequence[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """The first of the curves, as many as there is room for, in bytes."""
    found = []
    for curve in curves:
        text = json.dumps(curve)
        # What a page escapes, the entry of the list, and the line that says what is missing.
        room -= len(text) + 5 * sum(map(text.count, "<>&'")) + 6 * len(curve["label"]) + 100
        if room < MARGIN:
            break
        found.append(curve)
    return found


def _group(test: str, configuration: str, deltas: Sequence[Delta], means: Sequence[Mean]) -> dict[str, Any]:
    """The table of a test in a configuration."""
    own = [delta for delta in deltas if (delta.test, delta.configuration) == (test, configuration)]
    entries = []
    for sequence in dict.fromkeys(delta.sequence for delta in own):
        some = [delta for delta in own if delta.sequence == sequence]
        lines = [_line(delta) for delta in some]
        about = class_words(some[0].class_name) if some[0].class_name else ""
        height = len(lines) + sum(bool(line["error"] or line["notes"]) for line in lines)
        entries.append({"sequence": sequence or "one sequence", "about": about, "lines": lines, "height": height, "total": False})
    averages = [mean for mean in means if (mean.test, mean.configuration) == (test, configuration)]
    for class_name in dict.fromkeys(mean.class_name for mean in averages):
        lines = [_mean_line(mean) for mean in averages if mean.class_name == class_name]
        name = "all sequences" if class_name is None else class_words(class_name)
        height = len(lines) + sum(bool(line["notes"]) for line in lines)
        entries.append({"sequence": name, "about": "mean", "lines": lines, "height": height, "total": True})
    return {"label": ", ".join(filter(None, (test, configuration))), "entries": entries}


def _line(delta: Delta) -> dict[str, Any]:
    return {
        "metric": name_of(delta.metric),
        "rates": [delta.results[name].bd_rate if name in delta.results else None for name in METHODS],
        "quality": signed_quality(delta.result.bd_psnr if delta.result else None, delta.metric),
        "overlap": delta.result.overlap if delta.result else None,
        "points": len(delta.curves[1]) or "",
        "rises": ("yes" if delta.rises else "no") if delta.curves[1] else "",
        "error": delta.error,
        "notes": delta.notes,
    }


def _mean_line(mean: Mean) -> dict[str, Any]:
    rates = [mean.bd_rates[name] for name in METHODS]
    quality = signed_quality(mean.bd_quality, mean.metric)
    nothing: dict[str, Any] = {
        "overlap": None,
        "points": counted(mean.sequences, "sequence"),
        "rises": "",
        "error": None,
        "notes": mean.notes,
    }
    return {"metric": name_of(mean.metric), "rates": rates, "quality": quality, **nothing}


def _shown(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without digits that nobody sees."""
    return [(float(f"{rate:.8g}"), float(f"{quality:.8g}")) for rate, quality in points]


def _curves(deltas: Sequence[Delta], anchor: str) -> list[dict[str, Any]]:
    """What bd.js draws: of each sequence and metric the anchor's points and every test's."""
    keys = dict.fromkeys((delta.configuration, delta.sequence, delta.metric) for delta in deltas if delta.curves[1])
    curves = []
    for key in keys:
        some = [delta for delta in deltas if (delta.configuration, delta.sequence, delta.metric) == key and delta.curves[1]]
        base = some[0].curves[0]
        tests = [{"name": f"{anchor} (anchor)", "points": _shown(base), "gains": [(base[0][0], 0.0), (base[-1][0], 0.0)]}]
        tests += [{"name": delta.test, "points": _shown(delta.curves[1]), "gains": gain_at_equal_rate(*delta.curves)} for delta in some]
        label = ", ".join(filter(None, (*key[:2], name_of(key[2]))))
        unit = " dB" if in_decibels(key[2]) else ""
        curves.append({"label": label, "metric": name_of(key[2]), "unit": unit, "rate": some[0].unit, "tests": tests})
    return curves
