"""Rows and documents of simple curves, and their tables as text."""

import io
from typing import Any

from rich.console import Console

from codec_bridge.figures.row import KEYS
from codec_bridge.report.document import SCHEMA, Document
from codec_bridge.report.tables import print_table
from tests.support.documents import summary_of

PLAN = {"sequences": [], "qps": [22, 27, 32, 37], "method": "pchip"}


def rows_of(sequence: str, variant: str, rate: float = 1.0, gray: bool = False, gain: float = 0.0) -> list[dict[str, Any]]:
    rows = []
    for qp, bits, psnr in ((22, 400_000, 42.0), (27, 200_000, 39.0), (32, 100_000, 36.5), (37, 50_000, 34.0)):
        chroma = None if gray else psnr + 2
        rows.append(
            dict.fromkeys(KEYS)
            | {"sequence": sequence, "width": 416, "height": 240, "pictures": 4, "qp": qp, "variant": variant, "codec": "x265"}
            | {"class": "D" if sequence < "m" else "E", "configuration": "ai", "kmac_per_sample": 0.0 if variant == "anchor" else 54.512}
            | {"bits": round(rate * bits), "kbps": rate * bits / 80, "side_information_bits": 0, "ssim_y": 0.9}
            | {"psnr_y": psnr + gain, "psnr_u": chroma, "psnr_v": chroma, "psnr_yuv": chroma and psnr + gain * 0.75 + 0.5}
            | {"encode_seconds": 0.1, "decode_seconds": 0.01, "filter_seconds": 0.02, "decode_filter_seconds": 0.0, "metric_seconds": 0.1}
            | {"bit_depth": 8, "key": "ab" * 32, "encoder": "x265", "command": "", "stream_md5": "", "filtered_share": 0.0}
            | {"checked_pictures": 0, "checked_samples": 0}
        )
    return rows


def document_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schema": SCHEMA, "provenance": {"codec": "x265"}, "plan": PLAN, "rows": rows, **summary_of(rows)}


def shown(document: dict[str, Any], width: int = 160) -> str:
    stream = io.StringIO()
    print_table(Document.from_json(document), Console(file=stream, width=width, color_system=None, markup=False))
    return stream.getvalue()
