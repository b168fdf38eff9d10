"""A result document as Markdown: BD-rate by class and by sequence, flagged rows, timing, provenance."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codec_bridge.report import view
from codec_bridge.report.document import Document
from vrcnn_int.files import write_text
from vrcnn_int.text import plain

# What has a meaning within a line, also to GitHub; an underscore between letters has none, and is in many names.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~&$@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.")


def write_markdown(path: str | Path, document: Document) -> None:
    """Write ``render(document)``. Raises VrcnnError if the file cannot be written."""
    write_text(path, render(document))


def render(document: Document) -> str:
    """The report's text, with tables as GitHub writes them."""
    blocks = [
        f"# {escaped(view.title(document))}",
        escaped(view.subtitle(document)),
        f"BD-rate against {escaped(view.reference(document))}, in percent of the rate at equal PSNR; "
        f"negative is better. Interpolation of the curves: {escaped(document.plan['method'])}.",
    ]
    groups = [view.tables(document, *key) for key in view.groups_of(document)]
    planes = ("y", "u", "v", "yuv")
    compared = [group for group in groups if group["cards"] or not view.against(document)]
    for group in compared:
        heads = ["class", "variant", "sequences", "Y", "Cb", "Cr", "6:1:1", "decoding", "kMAC a sample"]
        lines = [
            [
                line["label"],
                card["name"],
                count,
                *(view.signed(mean.bd_rate(plane)) for plane in planes),
                view.percent(mean.decode_time),
                view.number(mean.kmac_per_sample, 1),
            ]
            for line in group["classes"]
            for card, mean, count in zip(group["cards"], line["means"], line["counts"], strict=True)
            if mean
        ]
        blocks += [f"## BD-rate (%) by class, {escaped(group['label'])}", _table(heads, lines, texts=(0, 1))]
    for group in compared:
        heads = [
            "sequence",
            "class, pictures",
            "variant",
            "Y",
            "Cb",
            "Cr",
            "6:1:1",
            "BD-PSNR Y (dB)",
            "overlap",
            "encoding",
            "decoding",
            "kMAC a sample",
            "flags",
        ]
        lines = [
            [
                entry["sequence"],
                entry["about"],
                line["name"],
                *(view.signed(line[f"bd_rate_{plane}"]) for plane in planes),
                view.signed(line["bd_psnr_y"], 3),
                *(view.percent(line[key]) for key in ("overlap_y", "encode_time", "decode_time")),
                view.number(line["kmac_per_sample"], 1),
                "; ".join(line["reasons"]),
            ]
            for entry in group["sequences"]
            for line in entry["lines"]
        ]
        blocks += [f"## BD-rate (%) by sequence, {escaped(group['label'])}", _table(heads, lines, texts=(0, 1, 2, 12))]
    for group in groups:
        found = group["gains"]
        if found["lines"]:
            heads = ["sequence", "variant", *(f"QP {qp}" for qp in found["qps"])]
            lines = [[name, variant, *(view.signed(value, 3) for value in values)] for name, variant, values in found["lines"]]
            title = f"## Luma PSNR above the anchor's at the same QP (dB), {escaped(group['label'])}"
            blocks += [title, _table(heads, lines, texts=(0, 1))]
    for group in compared:
        more = group["more"]
        if more["heads"]:
            lines = [[name, variant, *map(_more, cells)] for name, variant, cells in more["lines"]]
            title = f"## BD-rate (%) over other qualities, {escaped(group['label'])}"
            blocks += [title, _table(["sequence", "variant", *more["heads"]], lines, texts=(0, 1)), *map(escaped, more["notes"])]
    blocks.append("## Flagged rows")
    flags = [[flag.severity, flag.sequence, view.where(flag, document), flag.text] for flag in document.summary.flags]
    blocks.append(_table(["severity", "sequence", "where", "reason"], flags, texts=range(4)) if flags else view.NO_FLAGS)
    for group in groups:
        heads = ["variant", "rows", view.ENCODING, *view.TIMES.values(), "samples filtered", "kMAC a sample"]
        lines = [
            [
                line["name"],
                line["rows"],
                view.seconds(line["encode_sum"]),
                *(view.seconds(line[key]) for key in view.TIMES),
                view.share(line["filtered_share"]),
                view.number(line["kmac_per_sample"], 1),
            ]
            for line in group["timing"]
        ]
        blocks += [f"## Seconds a picture, means over rows, {escaped(group['label'])}", _table(heads, lines)]
    if view.harness(document):
        blocks.append(escaped(view.harness(document)))
    blocks.append("## Provenance")
    lines = [[key, value] if isinstance(value, str) else [key, "; ".join(value)] for key, value in view.provenance_lines(document)]
    blocks.append(_table(["what", "value"], lines, texts=(0, 1)))
    heads = ["sequence", "class", "size", "bit depth", "pictures", "rate", "MD5 of the coded samples"]
    originals = [
        [
            s["name"],
            s["class"],
            f"{s['width']}x{s['height']}",
            *(str(s[key]) for key in ("bit_depth", "pictures", "rate")),
            s["md5"] or view.NONE,
        ]
        for s in document.plan["sequences"]
    ]
    blocks.append(_table(heads, originals, texts=(0, 1, 6)))
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Text as Markdown that shows it and does nothing else: no mark-up, no HTML, no link, no new line."""
    return _SPECIAL.sub(r"\\\g<0>", plain(" ".join(text.split())))


def _more(cell: Mapping[str, Any]) -> str:
    """A BD-rate, and of a mean over how many sequences."""
    return view.signed(cell["rate"]) + (f" ({cell['count']})" if cell["count"] else "")


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]], texts: Iterable[int] = (0,)) -> str:
    left = set(texts)
    rule = [":--" if column in left else "--:" for column in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (map(escaped, heads), rule, *(map(escaped, line) for line in lines)))
