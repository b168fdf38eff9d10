"""Tables, wherever they come from: which column is what, and the points in their rows.

Columns are found by their titles, or by what the user named. Where the rate stands twice in the line of titles, as in JVET's sheets, each
rate begins a block of its own: what stands before the first belongs to all, and the text above a block is its label.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codec_bridge.points.record import SIZES, Columns, NoPointsError, PointsError, Record, kilobits

Row = Sequence[Any]
"""Cells: text, numbers or None."""

_TITLES = {
    "rate": ("bitrate", "rate", "kbps", "kbits", "kbs", "mbps", "mbits", "mbs", "bps", "bits", "bytes", "filesize"),
    "sequence": ("sequence", "sequencename", "name", "video", "clip", "content"),
    "class": ("class", "sequenceclass"),
    "configuration": ("configuration", "testcfg", "config", "cfg"),
    "label": ("label", "variant", "codec", "codecname", "encoder"),
    "qp": ("qp", "crf", "qindex", "q"),
    "psnr_y": ("psnry", "ypsnr", "psnrluma", "lumapsnr"),
    "psnr_u": ("psnru", "upsnr", "psnrcb", "cbpsnr"),
    "psnr_v": ("psnrv", "vpsnr", "psnrcr", "crpsnr"),
    "psnr_yuv": ("psnryuv", "yuvpsnr"),
    "psnr": ("psnr", "globalpsnr", "psnraverage", "psnravg", "averagepsnr", "avgpsnr"),
    "ssim": ("ssim", "ssimy", "yssim"),
    "ms_ssim": ("msssim", "msssimy", "ymsssim"),
    "vmaf": ("vmaf", "vmafy", "vmafscore"),
    "vmaf_neg": ("vmafneg", "vmafyneg", "vmafnegy"),
}
"""What columns are called, in small letters and digits alone and without a unit in brackets."""

_KNOWN = {title: name for name, titles in _TITLES.items() for title in titles}
_BRACKETS = re.compile(r"[(\[]([^)\]]*)[)\]]")
_UNITS = {
    "bit/s": re.compile(r"^(bps|bits?/s|b/s)$"),
    "kbit/s": re.compile(r"^(kbps|kbits?/s|kb/s|kbits?|kbitps)$"),
    "Mbit/s": re.compile(r"^(mbps|mbits?/s|mb/s)$"),
    "bits": re.compile(r"^bits?$"),
    "bytes": re.compile(r"^(bytes?|filesize)$"),
}
TEXTS = ("sequence", "class", "configuration", "label")
MOST_ROWS_ABOVE = 40
"""Rows that a sheet may have before its line of titles."""


@dataclass(frozen=True)
class Block:
    """Columns of one curve, by what they are. unit: of the rate."""

    columns: dict[str, int]
    unit: str
    label: str


def split(text: str, name: str) -> list[Row]:
    """The cells of a table as text, whichever of comma, semicolon and tab separates most of its first line."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    try:
        return [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True) if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise PointsError(f"{name} is no table: {error}") from None


def records(rows: Sequence[Row], columns: Columns, name: str) -> list[Record]:
    """The points of a table; rows without a rate are passed over.

    name: of the file, for messages. Raises NoPointsError where there is no line of titles with a rate and a quality, or nothing below it,
    and PointsError for what should be a number and is none.
    """
    at, blocks = _titles(rows, columns, name)
    found: list[Record] = []
    for block in blocks:
        last: dict[str, str] = {}
        for number, row in enumerate(rows[at + 1 :], at + 2):
            # Merged cells hold their text in the first row alone.
            new = {key: text for key in TEXTS if (text := _text(_cell(row, block.columns.get(key))))}
            last = ({} if "class" in new and "sequence" not in new else last) | new
            figures = {
                key: _number(_cell(row, column), f"{name}, row {number}: {key}")
                for key, column in block.columns.items()
                if key not in TEXTS
            }
            if figures.get("rate") is not None:
                found.append(_record(figures, last, block))
    if not found:
        raise NoPointsError(f"{name} has titles but no row with a rate")
    return found


def _record(figures: dict[str, float | None], texts: dict[str, str], block: Block) -> Record:
    rate, unit = kilobits(figures.pop("rate") or 0.0, block.unit)
    qp = figures.pop("qp", None)
    qualities = {metric: value for metric, value in figures.items() if value is not None}
    label = texts.get("label", "") or block.label
    return Record(rate, qualities, unit, texts.get("sequence", ""), texts.get("class", ""), texts.get("configuration", ""), label, qp)


def _titles(rows: Sequence[Row], columns: Columns, name: str) -> tuple[int, list[Block]]:
    """Where the line of titles is, and its blocks."""
    for at, row in enumerate(rows[:MOST_ROWS_ABOVE]):
        meanings = [_meaning(cell, columns) for cell in row]
        if "rate" in meanings and any(meaning not in (None, "rate", "qp", *TEXTS) for meaning in meanings):
            for wanted, title in columns.named.items():
                if wanted not in meanings:
                    raise PointsError(f"{name} has no column {title!r} for {wanted}; it has {_listed(row)}")
            return at, _blocks(rows, at, meanings)
    if columns.named:
        raise NoPointsError(
            f"{name} has no line of titles with a rate and a quality, of which {', '.join(columns.named.values())} are named"
        )
    raise NoPointsError(
        f"{name} has no line of titles with a rate (kbps, Bitrate) and a quality (PSNR_Y, VMAF): name columns with --column"
    )


def _blocks(rows: Sequence[Row], at: int, meanings: list[str | None]) -> list[Block]:
    """The whole line, or what begins at each of its rates."""
    rates = [column for column, meaning in enumerate(meanings) if meaning == "rate"]
    if len(rates) == 1:
        return [Block(_first(meanings, 0, len(meanings)), _unit(_text(rows[at][rates[0]])), "")]
    shared = _first(meanings, 0, rates[0]) | _untitled(rows, at, meanings[: rates[0]])
    blocks = []
    for start, end in zip(rates, [*rates[1:], len(meanings)], strict=True):
        own = _first(meanings, start, end)
        blocks.append(Block(shared | own, _unit(_text(rows[at][start])), _above(rows[:at], start, max(own.values()) + 1)))
    return blocks


def _first(meanings: Sequence[str | None], start: int, end: int) -> dict[str, int]:
    """The first column of each meaning."""
    return {meaning: column for column, meaning in reversed(list(enumerate(meanings[start:end], start))) if meaning}


def _untitled(rows: Sequence[Row], at: int, meanings: Sequence[str | None]) -> dict[str, int]:
    """JVET's sheets have no titles over class and sequence, the only texts before the first block."""
    texts = [
        column
        for column, meaning in enumerate(meanings)
        if meaning is None and any(isinstance(_cell(row, column), str) and _text(_cell(row, column)) for row in rows[at + 1 :])
    ]
    return {} if {"class", "sequence"} & set(meanings) else dict(zip(("sequence", "class"), reversed(texts), strict=False))


def _above(rows: Sequence[Row], start: int, end: int) -> str:
    """The text over a block, from the lowest line that has some."""
    for row in reversed(rows):
        if texts := [text for column in range(start, end) if (text := _text(_cell(row, column)))]:
            return " ".join(texts)
    return f"block at column {start + 1}"


def _meaning(cell: Any, columns: Columns) -> str | None:
    """What a column of this title is; a title that the user named is what he says, whatever it would be otherwise."""
    title = _text(cell)
    for wanted, named in columns.named.items():
        if title.casefold() == named.strip().casefold():
            return wanted
    plain = re.sub("[^a-z0-9]", "", _BRACKETS.sub("", title).casefold())
    known = _KNOWN.get(plain)
    if known in columns.named:  # another column was named for it
        return None
    decibels = any(unit.strip().casefold() == "db" for unit in _BRACKETS.findall(title))
    return f"{known}_db" if decibels and known in ("ssim", "ms_ssim") else known


def _unit(title: str) -> str:
    """Of a rate, by its title; "" where that does not say it."""
    words = [*_BRACKETS.findall(title), _BRACKETS.sub("", title)]
    for word in (re.sub(r"\s", "", word).casefold() for word in words):
        for unit, pattern in _UNITS.items():
            if pattern.match(word) or (unit not in SIZES and re.search(rf"[_-]{unit.replace('bit/s', 'bps').casefold()}$", word)):
                return unit
    return ""


def _cell(row: Row, column: int | None) -> Any:
    return row[column] if column is not None and column < len(row) else None


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _number(cell: Any, name: str) -> float | None:
    """None for an empty cell, and for what spreadsheets put where there is no figure. Raises PointsError."""
    text = _text(cell)
    if text in ("", "-", "N/A", "#N/A", "#VALUE!", "#DIV/0!", "#NUM!"):
        return None
    try:
        return float(cell) if isinstance(cell, int | float) else float(text.replace("\N{NO-BREAK SPACE}", ""))
    except ValueError:
        hint = ": write a decimal point" if re.fullmatch(r"-?\d+,\d+", text) else ""
        raise PointsError(f"{name}: {text!r:.60} is not a number{hint}") from None


def _listed(row: Row) -> str:
    titles = [repr(_text(cell)) for cell in row if _text(cell)]
    return ", ".join(titles[:20]) + (", ..." if len(titles) > 20 else "")
