"""Files of x265's option --csv: a line for each run, in which the lines of its single pictures, if there are any, stand before it."""

import re
from dataclasses import replace
from pathlib import Path

from codec_bridge.points import table
from codec_bridge.points.record import BLOCKS, MEAN_OF_PICTURES, PLANES, WEIGHED, Columns, Format, PointsError, Record, sequence_of

DEFINED = {"psnr": WEIGHED, "ssim": BLOCKS, "ssim_db": BLOCKS, **dict.fromkeys(PLANES, MEAN_OF_PICTURES)}
_HEAD = re.compile(rb"^Command, ?Date/Time,", re.M)
_INPUT = re.compile(r"(?:--input[= ]+(\S+))|(\S+\.(?:yuv|y4m))\b")
_PICTURES = re.compile(rb"^Encode Order, ?Type, ?POC,")
"""Files with --csv-log-level 1 and 2 begin so: the line of the first run may stand thousands of pictures below."""
_QP = re.compile(r"(?:--qp|-q|--crf)[= ]+([\d.]+)")


def _claims(path: Path, head: bytes) -> bool:
    return bool(_HEAD.search(head) or _PICTURES.match(head))


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    head = _HEAD.search(content)
    if not head:
        raise PointsError(f"{path} has lines of pictures and none of a whole run: the encoder did not end")
    rows = table.split(content[head.start() :].decode(errors="replace"), str(path))
    titles = rows[0]
    found: list[Record] = []
    pictures = 0
    for row in rows:
        if row[0].strip() == "Command":
            titles = row
        elif len(row) > 1 and row[1].strip().endswith("-SLICE"):  # of a later run, whose line comes after them
            pictures += 1
        elif row[0].strip() not in ("", "Summary"):
            found.append(_run(path, len(found) + 1, titles, row, columns))
            pictures = 0
    if pictures or not found:
        raise PointsError(
            f"{path}: {'the last lines are of pictures' if pictures else 'there is no line of a run'}: the encoder did not end"
        )
    return found


def _run(path: Path, number: int, titles: table.Row, row: table.Row, columns: Columns) -> Record:
    """The point of a run's line."""
    if len(row) < len(titles):
        raise PointsError(f"{path}: the line of run {number} ends in the middle: the file was cut")
    (record,) = table.records([titles, row], columns, f"{path}, run {number}")
    counts = [_count(cell) for title, cell in zip(titles, row, strict=False) if title.strip() in ("I count", "P count", "B count")]
    return replace(_named(record, row[0]), pictures=sum(counts) or None, defined=DEFINED)


def _count(cell: str) -> int:
    return int(cell) if cell.strip().isdecimal() else 0


def _named(record: Record, command: str) -> Record:
    """With what the command line says."""
    source, qp = _INPUT.search(command), _QP.search(command)
    name = sequence_of(source[1] or source[2]) if source else ""
    return replace(record, unit=record.unit or "kbit/s", sequence=record.sequence or name, qp=float(qp[1]) if qp else record.qp)


FORMAT = Format("CSV file of x265", _claims, _read, columns=True)
