"""Result documents of `codec-bridge bdrate`, --json or --csv: each variant of a codec and configuration is a curve; of a plan that compares
encoders, which have no variants but themselves, each codec."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codec_bridge.figures.metrics import is_identical
from codec_bridge.figures.row import KEYS
from codec_bridge.points import table
from codec_bridge.points.record import GAUSSIAN, MEAN_OF_PICTURES, PLANES, WEIGHED, Columns, Format, PointsError, Record
from codec_bridge.report.document import Document
from vrcnn_int.io.documents import parse_json

_QUALITIES = {"psnr_y": "psnr_y", "psnr_u": "psnr_u", "psnr_v": "psnr_v", "psnr_yuv": "psnr_yuv", "ssim_y": "ssim"}
_MORE = {"ssim_u": "ssim_u", "ssim_v": "ssim_v", "ms_ssim_y": "ms_ssim", "ms_ssim_u": "ms_ssim_u", "ms_ssim_v": "ms_ssim_v", "vmaf": "vmaf"}
"""Where they were asked for: in JSON in a table of their own, in CSV columns like the others."""
_HEAD = tuple(separator.join(key for key in KEYS if key != "crop").encode() for separator in ",;\t")
"""As it is written, and as spreadsheets save it again."""


def _claims(path: Path, head: bytes) -> bool:
    return head.startswith(_HEAD) or bool(re.match(rb'\s*{\s*"schema"', head))


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    if content.startswith(_HEAD):
        titles, *lines = table.split(content.decode(errors="replace"), str(path))
        if cut := next((number for number, line in enumerate(lines, 2) if len(line) < len(titles)), None):
            raise PointsError(f"{path} is damaged or was edited: row {cut} has {len(lines[cut - 2])} of {len(titles)} columns")
        rows: list[Mapping[str, Any]] = [dict(zip(titles, line, strict=False)) for line in lines]
    else:
        rows = [row.to_json() for row in Document.from_json(parse_json(content, str(path)), str(path)).rows]
    flagged = next((row for row in rows if row["flag"]), None)
    if flagged:
        raise PointsError(f"{path}: {flagged['sequence']}, {flagged['variant']}, QP {flagged['qp']} is flagged: {flagged['flag']}")
    try:
        encoders = {row["variant"] for row in rows} == {"anchor"} and len({row["codec"] for row in rows}) > 1
        return [_record(row, encoders) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise PointsError(f"{path} is damaged or was edited: {error}") from None


def _record(row: Mapping[str, Any], encoders: bool) -> Record:
    values = {**row, **(row.get("more") or {})}
    named = {**_QUALITIES, **{key: metric for key, metric in _MORE.items() if key in values}}
    levels = {metric: float(values[key]) for key, metric in named.items() if values[key] not in (None, "")}
    return Record(
        float(row["kbps"]),
        {metric: float("inf") if metric.startswith("psnr") and is_identical(level) else level for metric, level in levels.items()},
        "kbit/s",
        row["sequence"],
        row["class"],
        row["configuration"] if encoders else f"{row['codec']} {row['configuration']}",
        row["codec"] if encoders else row["variant"],
        float(row["qp"]),
        int(row["pictures"]),
        {"psnr_yuv": WEIGHED, "ssim": GAUSSIAN, **dict.fromkeys(PLANES, MEAN_OF_PICTURES)},
    )


FORMAT = Format("result of codec-bridge bdrate", _claims, _read)
