"""One self-contained HTML page from a result document: tables, RD curves, picture crops, unit maps, provenance.

The page holds its style, its script and its data; it loads nothing, and its content security policy forbids it to. Everything that
comes from a document is text to it. What Python lays out here are tables; html/*.js draw the curves and the pictures.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codec_bridge.figures.metrics import is_identical
from codec_bridge.figures.row import VARIANTS, Crop, Row, Units
from codec_bridge.report import view
from codec_bridge.report.document import Compared, Document
from codec_bridge.report.summary import MORE
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import write_text
from vrcnn_int.io.documents import fields_of

if TYPE_CHECKING:
    from markupsafe import Markup

PAGE_BYTES = 2_000_000
"""Of a page's text, easy to send: crops fill what tables, curves and script leave."""

VIEWER_BYTES = 4_000
"""Of a page that has crops, for what shows them."""

HIGH = 720
"""Rows of luma from which colours are BT.709's, as players take them; under it BT.601's."""

TRAINED = 8
"""The weight of a network's residual that it was trained for."""

UNIT_COLOURS = 8
"""Of networks, in page.css."""

GAIN_POINTS = 49
"""Of a curve of PSNR gains."""

MARKERS = ("circle", "down", "square", "triangle", "plus", "diamond", "pentagon", "star")
"""Of VARIANTS, in their order; page.css has the colours."""
SECTIONS = {
    "summary": "Summary",
    "sequences": "Sequences",
    "flags": "Flagged rows",
    "curves": "RD curves",
    "pictures": "Pictures",
    "timing": "Timing",
    "provenance": "Provenance",
}
_PNG = b"\x89PNG\r\n\x1a\n"


def write_html(path: str | Path, document: Document, folder: Path | None = None) -> None:
    """Write ``render(document, folder)``. Raises VrcnnError as that does, or if the file cannot be written."""
    page = render(document, folder)
    write_text(path, page)


def render(document: Document, folder: Path | None = None) -> str:
    """The page's text. ``folder``: of the results, where the files of crops are; without it there are none, and the page says so.

    Raises VrcnnError for a crop that is no PNG file inside the folder.
    """
    bare = _render(document, [], {}, "")
    room = PAGE_BYTES - len(bare.encode()) - VIEWER_BYTES
    return _render(document, *_pictures(document, folder, room))


def _render(document: Document, pictures: list[dict[str, Any]], images: dict[str, str], picture_note: str) -> str:
    groups = [view.tables(document, *key) for key in view.groups_of(document)]
    shown = [variant for variant in VARIANTS if any(row.variant == variant for row in document.rows)]
    comparisons = [line for group in groups for entry in group["sequences"] for line in entry["lines"]]
    flags = [{**fields_of(flag), "where": view.where(flag, document)} for flag in document.summary.flags]
    return from_template(
        "page.html.j2",
        ("theme.js", "chart.js", "viewer.js", "page.js"),
        title=view.title(document),
        subtitle=view.subtitle(document),
        sections=SECTIONS.items(),
        method=document.plan["method"],
        reference=view.reference(document),
        errors=sum(flag["severity"] == "error" for flag in flags),
        warnings=sum(flag["severity"] == "warning" for flag in flags),
        flags=flags,
        no_flags=view.NO_FLAGS,
        groups=groups,
        compared=[group for group in groups if group["cards"] or not view.against(document)],
        methods=list(dict.fromkeys(name for line in comparisons for name in line["methods"])),
        planes=view.PLANES.items(),
        names=view.words(document),
        levels=[*view.PLANES.items(), *view.more_metrics(document).items()],
        encoding=view.ENCODING,
        time_columns=view.TIMES.items(),
        harness=view.harness(document),
        provenance=view.provenance_lines(document),
        originals=document.plan["sequences"],
        commands=view.commands(document),
        picture_note=picture_note,
        data={
            "names": view.words(document),
            "metrics": _metrics(document),
            "looks": _looks(document, shown),
            "reference": view.reference_curve(document),
            "curves": _curves(document),
            "pictures": pictures,
            "images": images,
        },
    )


def from_template(name: str, scripts: Sequence[str], **values: Any) -> str:
    """A page's text: a template of html/ with the style and these scripts of that folder in it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("codec_bridge.report", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # variants have an order
    filters = (view.signed, view.percent, view.share, view.number, view.seconds, look, tone, breakable)
    environment.filters |= {function.__name__: function for function in filters}
    files = resources.files("codec_bridge.report") / "html"
    script = '"use strict";\n' + "\n".join((files / name).read_text("utf-8") for name in scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = Markup((files / "page.css").read_text("utf-8"))
    return environment.get_template(name).render(style=style, script=Markup(script), script_hash=f"sha256-{digest}", **values)


def look(variant: str) -> str:
    """The class of page.css with a variant's colour."""
    return f"v{VARIANTS.index(variant)}"


def tone(value: float | None) -> str:
    """The class of page.css for a figure of which negative is better."""
    return "quiet" if value is None else {"+": "bad", "\N{MINUS SIGN}": "good"}.get(view.signed(value)[0], "plain")


def breakable(name: str) -> "Markup":
    """A name that may be broken after an underscore."""
    from markupsafe import Markup, escape

    return escape(name).replace("_", Markup("_<wbr>"))


def _curves(document: Document) -> list[dict[str, Any]]:
    """What chart.js draws: for each sequence, codec and configuration the points of its variants, rows without figures left out."""
    several = len(view.groups_of(document)) > 1
    reference = view.reference_curve(document)
    metrics = _metrics(document)
    curves = []
    for entry in document.summary.sequences:
        key = entry.sequence, entry.codec, entry.configuration
        rows = [row for row in document.rows if (row.sequence, row.codec, row.configuration) == key and row.flag is None]
        points = _points(rows, metrics)
        if not points:
            continue
        if other := view.against(document):
            other_key = entry.sequence, other, entry.configuration
            others = [row for row in document.rows if (row.sequence, row.codec, row.configuration) == other_key and row.flag is None]
            own = {variant: some for variant, some in points.items() if (entry.codec, variant) != (other, "anchor")}
            points = {reference: _points(others, metrics).get("anchor", []), **own}
        sound = {variant: comparison.bd_rate_y for variant, comparison in entry.variants.items() if comparison.error is None}
        named = view.words(document)
        rates = [f"{named[variant]} {view.signed(rate)} %" for variant, rate in sound.items() if rate is not None]
        curves.append(
            {
                "label": entry.sequence + (f" ({view.label(*key[1:])})" if several else ""),
                "variants": points,
                "gains": {variant: {metric: gain(points[reference], points[variant], metric) for metric in metrics} for variant in sound},
                "figures": f"Luma BD-rate: {', '.join(rates)}" if rates else _without_rates(entry),
            }
        )
    return curves


def _without_rates(entry: Compared) -> str:
    """What is said of curves without a BD-rate."""
    return "No luma BD-rate: see the flagged rows." if entry.variants else "The others are compared with this curve."


def _metrics(document: Document) -> dict[str, dict[str, Any]]:
    """What chart.js draws over the rate, by the keys of points: PSNR of each plane, and other qualities that are compared."""
    planes = {plane: {"name": f"PSNR of {text}", "unit": "dB", "digits": 3} for plane, text in view.PLANES.items()}
    others = {metric: MORE[metric] for metric in view.more_metrics(document)}
    return planes | {metric: {"name": quality.name, "unit": "", "digits": quality.digits} for metric, quality in others.items()}


def _points(rows: Sequence[Row], metrics: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Of each variant, by rising rate."""
    drawn = [(row, row.figures) for row in rows if row.figures]
    points: dict[str, list[dict[str, Any]]] = {}
    for row, figures in sorted(drawn, key=lambda both: both[1].kbps):
        levels = {metric: _level(figures.psnr(metric)) if metric in view.PLANES else figures.level(metric) for metric in metrics}
        points.setdefault(row.variant, []).append({"qp": row.qp, "kbps": figures.kbps, **levels})
    return points


def gain(anchor: list[dict[str, Any]], test: list[dict[str, Any]], plane: str) -> list[tuple[float, float]]:
    """(rate, PSNR difference at that rate) along the rates that two curves share, as BD-PSNR by PCHIP integrates it; [] if there is none.

    anchor, test: points with "kbps" and the plane's PSNR in dB or None, in order of their rates.
    """
    curves = [[(point["kbps"], point[plane]) for point in points] for points in (anchor, test)]
    return [] if any(level is None for curve in curves for _, level in curve) else gain_at_equal_rate(*curves)


def gain_at_equal_rate(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """(rate, difference in quality at that rate) along the rates that two curves share, by PCHIP over log rate; [] if there is none.

    anchor, test: (rate, quality) in order of their rates, which are positive.
    """
    from scipy.interpolate import PchipInterpolator

    curves = [[(math.log(rate), level) for rate, level in points] for points in (anchor, test)]
    rates = [[rate for rate, _ in curve] for curve in curves]
    if any(len(set(some)) < max(len(some), 2) for some in rates):
        return []
    low, high = max(some[0] for some in rates), min(some[-1] for some in rates)
    if low >= high:
        return []
    shared = np.linspace(low, high, GAIN_POINTS)
    base, other = (PchipInterpolator(*zip(*curve, strict=True))(shared) for curve in curves)
    return [(float(f"{math.exp(rate):.6g}"), round(float(level), 6)) for rate, level in zip(shared, other - base, strict=True)]


def _looks(document: Document, variants: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour and marker of each curve; another codec's anchor has those of the variant none, which no codec of others has."""
    looks = {variant: {"look": look(variant), "marker": MARKERS[VARIANTS.index(variant)]} for variant in variants}
    other = {view.reference_curve(document): looks.get("none", {"look": look("none"), "marker": MARKERS[1]})}
    return {**(other if view.against(document) else {}), **looks}


def _level(psnr: float | None) -> float | None:
    """A PSNR that can be drawn."""
    return None if psnr is None or is_identical(psnr) else psnr


def _pictures(document: Document, folder: Path | None, room: int) -> tuple[list[dict[str, Any]], dict[str, str], str]:
    """What viewer.js shows, the files in it as data URLs, and what is to be said about crops that are missing. room: bytes for both.

    Coarser QPs come first: there most is to be seen, and when there is no room for all, it is they that stay.
    """
    shots: dict[tuple[str, str, str, int], dict[str, Crop]] = {}
    sizes = {}
    for row in document.rows:
        if row.crop is not None:
            shots.setdefault((row.sequence, row.codec, row.configuration, row.qp), {})[row.variant] = row.crop
            sizes[row.sequence] = row.width, row.height
    if not shots:
        return [], {}, "This run made no crops of pictures."
    if folder is None:
        return [], {}, "The crops are in the results folder; make this page from there to have them in it."
    order = {name: n for n, name in enumerate(dict.fromkeys(key[0] for key in shots))}
    several = len(view.groups_of(document)) > 1
    pictures: list[dict[str, Any]] = []
    images: dict[str, str] = {}
    left_out = 0
    for key, crops in sorted(shots.items(), key=lambda item: (-item[0][3], order[item[0][0]], item[0][1:3])):
        sequence, codec, configuration, qp = key
        crop = max(crops.values(), key=lambda one: one.chroma_format)
        crops = {variant: own for variant, own in crops.items() if own.chroma_format == crop.chroma_format}  # "400": of earlier versions
        names = {"original": crop.original} | {variant: own.file for variant, own in crops.items()}
        fresh = {name: _data_url(folder, name) for name in names.values() if name not in images}
        place = f"Picture {crop.picture}, {crop.width}x{crop.height} samples at {crop.x}, {crop.y}; at 8 bits."
        maps = {variant: plane_maps(own, *sizes[sequence]) for variant, own in crops.items() if own.units}
        picture = {
            "sequence": sequence,
            "label": f"{sequence}, QP {qp}" + (f" ({view.label(codec, configuration)})" if several else ""),
            "note": place,
            "images": names,
            "size": [crop.width, crop.height],
            "place": [crop.x, crop.y],
            "chroma": crop.chroma_format,
            "matrix": "709" if sizes[sequence][1] >= HIGH else "601",
            "left": "anchor" if "anchor" in names else "original",
            "right": [variant for variant in VARIANTS if variant in names][-1],
            "maps": maps,
        }
        needed = sum(len(name) + len(url) + 10 for name, url in fresh.items()) + len(json.dumps(picture))
        if needed > room:
            left_out += 1
            continue
        room -= needed
        images |= fresh
        pictures.append(picture)
    pictures.sort(key=lambda picture: order[picture["sequence"]])
    note = f"{left_out} more are in the results folder: all of them would make this page too large to send." if left_out else ""
    return pictures, images, note


def plane_maps(crop: Crop, width: int, height: int) -> dict[str, dict[str, Any]]:
    """Of luma, and of chroma where networks filter it, what unit_map says, and the map of the whole picture: {"whole": {"width", "height",
    "size" (of units), "choices" (a digit each, a text a row)}}. width, height: of the picture."""
    maps = {}
    for plane, chosen in (("luma", crop.units), ("chroma", crop.chroma_units)):
        if chosen is not None:
            choices = ["".join(map(str, row)) for row in chosen.choices]
            whole = {"width": width, "height": height, "size": chosen.unit_size, "choices": choices}
            maps[plane] = unit_map(crop, chosen) | {"whole": whole}
    return maps


def unit_map(crop: Crop, chosen: Units) -> dict[str, Any]:
    """The units that a crop shows, cut to it: {"names": of the choices, "looks", "units": [{"x", "y", "width", "height", "network"}]}.

    network: 0 not filtered, n the network ``names[n]``. looks: classes of page.css; a network of the set has the same in every picture.
    """
    size, units = chosen.unit_size, []
    for line, choices in enumerate(chosen.choices):
        for column, network in enumerate(choices):
            left, top = max(column * size - crop.x, 0), max(line * size - crop.y, 0)
            right = min((column + 1) * size - crop.x, crop.width)
            bottom = min((line + 1) * size - crop.y, crop.height)
            if left < right and top < bottom:
                units.append({"x": left, "y": top, "width": right - left, "height": bottom - top, "network": network})
    looks = ["n0", *(f"n{index % UNIT_COLOURS + 1}" for index in chosen.indices)]
    weights = chosen.weights or [[] for _ in chosen.indices]
    names = [f"network {index}{_weights(own)}" for index, own in zip(chosen.indices, weights, strict=True)]
    return {"names": ["not filtered", *names], "looks": looks, "units": units}


def _weights(heads: Sequence[int]) -> str:
    """', weight 6/8' of a network that is not used as it was trained."""
    return f", weight {' and '.join(f'{weight}/8' for weight in heads)}" if any(weight != TRAINED for weight in heads) else ""


def _data_url(folder: Path, name: str) -> str:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise VrcnnError(f"the crop {name!r} is not inside the results folder")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VrcnnError(f"cannot read the crop {path}: {error.strerror}") from None
    if not content.startswith(_PNG):
        raise VrcnnError(f"the crop {path} is not a PNG file")
    return "data:image/png;base64," + base64.b64encode(content).decode()
