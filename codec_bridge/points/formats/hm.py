"""Encoder logs of HM and VTM: the summary's line of all pictures."""

import math
import re
from pathlib import Path

from codec_bridge.points.record import MEAN_OF_PICTURES, OF_ERROR, PLANES, Columns, Format, PointsError, Record, sequence_of

_START = re.compile(r"^(?:HM software: |VVCSoftware: VTM )Encoder Version", re.M)
_HEAD = re.compile(r"^[ \t]*Total Frames \|(?P<names>.*Bitrate.*Y-PSNR.*)$", re.M)
_ALL = re.compile(r"^[ \t]*(?P<pictures>\d+)[ \t]+a[ \t]+(?P<values>.*)\n", re.M)
_INPUT = re.compile(r"^Input\s+File\s*: (?P<path>.*\S)\s*$", re.M)
_QP = re.compile(r"^QP\s+: (?P<qp>-?[\d.]+)", re.M)
_PICTURE_QP = re.compile(r"^POC\s.*\bQP (?P<qp>-?\d+)", re.M)
_METRICS = {
    "Y-PSNR": "psnr_y",
    "U-PSNR": "psnr_u",
    "V-PSNR": "psnr_v",
    "YUV-PSNR": "psnr_yuv",
    "MS-SSIM": "ms_ssim",
    "Y-MS-SSIM": "ms_ssim",
}


def _claims(path: Path, head: bytes) -> bool:
    return bool(re.search(rb"^(HM software: |VVCSoftware: VTM )Encoder Version|^[ \t]*Total Frames \|.*Y-PSNR", head, re.M))


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    text = content.decode(errors="replace")
    starts = [match.start() for match in _START.finditer(text)] or [0]
    runs = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [_point(path, run) for run in runs]


def _point(path: Path, text: str) -> Record:
    """Of one run of an encoder."""
    head = _HEAD.search(text)
    values = _ALL.search(text, head.end()) if head else None
    names, figures = head["names"].split() if head else [], values["values"].split() if values else []
    if not values or len(figures) < len(names):
        raise PointsError(f"{path}: an encoder's run has no summary of all pictures: it did not end")
    found = dict(zip(names, map(_number, figures), strict=False))
    source, qp = _INPUT.search(text), _QP.search(text) or _PICTURE_QP.search(text)
    qualities = {metric: found[name] for name, metric in _METRICS.items() if name in found}
    return Record(
        found["Bitrate"],
        {metric: value for metric, value in qualities.items() if not math.isnan(value)},  # chroma of 4:0:0
        "kbit/s",
        sequence_of(source["path"] if source else path.name),
        qp=float(qp["qp"]) if qp else None,
        pictures=int(values["pictures"]),
        defined={"psnr_yuv": OF_ERROR, **dict.fromkeys(PLANES, MEAN_OF_PICTURES)},
    )


def _number(text: str) -> float:
    """A figure; what is none is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


FORMAT = Format("encoder log of HM or VTM", _claims, _read)
