"""Result documents for tests of what is made from them: curves by formula, crops of flat grey that differ by known amounts."""

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from codec_bridge.figures.row import KEYS, Row
from codec_bridge.report.document import SCHEMA
from codec_bridge.report.summary import summarise

RATES = {"anchor": 1.0, "none": 1.03, "integer": 0.95, "float": 0.949, "picture": 0.96, "map": 0.94, "after": 0.97, "choice": 0.945}
"""Of each variant, over the anchor's at the same PSNR."""

GREYS = {"original": 100, "anchor": 104, "none": 90, "integer": 101, "float": 99, "picture": 103, "map": 102, "after": 98, "choice": 106}
"""Samples of each variant's crop."""

CROP = {"picture": 0, "x": 40, "y": 16, "width": 96, "height": 64}


def rows_of(
    sequence: str, variant: str, *, codec: str = "x265", configuration: str = "ai", size: str = "D (size)", gray: bool = False, **more: Any
) -> list[dict[str, Any]]:
    """Rows at four QPs; ``more`` replaces what is in them."""
    rows = []
    for qp, bits, psnr in ((22, 400_000, 42.0), (27, 200_000, 39.0), (32, 100_000, 36.5), (37, 50_000, 34.0)):
        chroma = None if gray else psnr + 2
        share = 0.0 if variant in ("anchor", "none") else 0.5 if variant == "map" else 1.0
        rows.append(
            dict.fromkeys(KEYS)
            | {"sequence": sequence, "class": size, "width": 416, "height": 240, "bit_depth": 8, "pictures": 4, "qp": qp}
            | {"variant": variant, "codec": codec, "configuration": configuration, "bits": round(RATES[variant] * bits)}
            | {"kbps": RATES[variant] * bits / 80, "side_information_bits": 64, "psnr_y": psnr, "psnr_u": chroma, "psnr_v": chroma}
            | {"psnr_yuv": None if gray else (6 * psnr + 2 * (psnr + 2)) / 8, "ssim_y": 0.9, "encode_seconds": 8.0}
            | {"decode_seconds": 0.2, "filter_seconds": 0.4 * share, "filtered_share": share, "kmac_per_sample": 53.9 * share}
            | {"encoder": f"{codec} 4.1", "command": f"--qp {qp} --variant {variant}", "md5": "0123456789abcdef" * 2}
            | {"decode_filter_seconds": 0.0, "metric_seconds": 0.1, "stream_md5": "fedcba9876543210" * 2, "key": "ab" * 32}
            | {"checked_pictures": 0, "checked_samples": 0, **more}
        )
    return rows


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows as files hold them."""
    return [row.to_json() for row in rows]


def summary_of(rows: Iterable[dict[str, Any]], method: str = "pchip", apart: Collection[str] = ()) -> dict[str, Any]:
    """What documents hold of rows as files hold them."""
    summary: dict[str, Any] = json.loads(json.dumps(summarise([Row.from_json(row) for row in rows], method, apart).to_json()))
    return summary


def document_of(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The document that bdrate would write of these rows; ``more`` goes into its provenance."""
    first = {row["sequence"]: row for row in rows}.values()
    runs: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        variants = runs.setdefault((row["codec"], row["configuration"]), [])
        variants += [row["variant"]] if row["variant"] not in variants else []
    keys = ("class", "width", "height", "bit_depth", "pictures", "md5")
    return {
        "schema": SCHEMA,
        "provenance": {
            "vrcnn_int": "0.1.0",
            "git_revision": "0123456789abcdef" * 2,
            "command_line": ["codec-bridge", "bdrate", "--sequences", "builtin"],
            "time": "2026-01-02T03:04:05+00:00",
            "model": "fac5693b05d8df30" * 4,
            "kernels": ["avx2"],
            "programs": {"x265": {"encoder": "x265 4.1", "files": {"libx265": "ab" * 32}}},
            "timing": {"wall_seconds": 100.0, "workers": 2, "busy_seconds": 196.0, "overhead_percent": 2.0}
            | {"jobs": {"done": len(rows) - 1, "failed": 1, "cached": 7}},
            **more,
        },
        "plan": {
            "sequences": [{"name": row["sequence"], "rate": "30000/1001", **{key: row[key] for key in keys}} for row in first],
            "runs": [{"codec": key[0], "configuration": key[1], "variants": variants} for key, variants in runs.items()],
            "qps": [22, 27, 32, 37],
            "frames": None,
            "model": "fac5693b05d8df30" * 4,
            "kernel": "auto",
            "position": "before_deblocking",
            "preset": "medium",
            "method": "pchip",
            "check": False,
        },
        "rows": rows,
        **summary_of(rows),
    }


def with_crops(document: dict[str, Any], folder: Path, qps: Sequence[int] = (37,)) -> dict[str, Any]:
    """Give rows crops, and write these into a results folder. A variant's crop is flat, of GREYS; map has a unit map."""
    (folder / "crops").mkdir(exist_ok=True)
    shape = CROP["height"], CROP["width"]
    for name, grey in GREYS.items():
        Image.fromarray(np.full(shape, grey, np.uint8)).save(folder / "crops" / f"{name}.png")
    choices = [[(column + line) % 3 for column in range(7)] for line in range(4)]
    units = {"unit_size": 64, "choices": choices, "indices": [3, 2], "mode": "map"}
    for row in document["rows"]:
        if row["qp"] in qps and row["flag"] is None:
            files = {"file": f"crops/{row['variant']}.png", "original": "crops/original.png"}
            row["crop"] = {**files, **CROP, "units": units if row["variant"] == "map" else None}
    return document
