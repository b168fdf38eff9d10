"""Kinds of files that have RD points. A new one is a module here with a ``FORMAT``, and its line in FORMATS."""

from codec_bridge.points.formats import ffmpeg, hm, json_rows, result, text_table, workbook, x265_csv
from codec_bridge.points.record import Format

FORMATS: tuple[Format, ...] = (
    workbook.FORMAT,
    hm.FORMAT,
    ffmpeg.FORMAT,
    result.FORMAT,
    json_rows.FORMAT,
    x265_csv.FORMAT,
    text_table.FORMAT,
)
"""In the order in which they are asked: the last takes what looks like a table."""
