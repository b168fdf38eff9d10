"""Files of x265's option --csv: a line for each run, in which the lines of its single pictures, if there are any, stand before it."""

import re
from dataclasses import replace
from pathlib import Path

from codec_bridge.points import table
from codec_bridge.points.record import Columns, Format, PointsError, Record, sequence_of

_HEAD = re.compile(rb"^Command, ?Date/Time,", re.M)
_PICTURES = re.compile(rb"^Encode Order, ?Type,")
"""Files with --csv-log-level 1 and 2 begin so: the line of the first run may stand thousands of pictures below."""
_OF_PICTURES = ("Encode Order", "Summary")
_INPUT = re.compile(r"(?:--input[= ]+(\S+))|(\S+\.(?:yuv|y4m))\b")
_QP = re.compile(r"(?:--qp|-q|--crf)[= ]+([\d.]+)")


def _claims(path: Path, head: bytes) -> bool:
    return bool(_HEAD.search(head) or _PICTURES.match(head))


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    head = _HEAD.search(content)
    if not head:
        raise PointsError(f"{path} has lines of pictures and none of a whole run: x265 did not end")
    rows = table.split(content[head.start() :].decode(errors="replace"), str(path))
    found, titles = [], rows[0]
    for row in rows:
        if row[0].strip() == "Command":  # with lines of pictures every run has titles of its own: they may measure different things
            titles = row
        elif _is_run(row):
            found.append(_named(table.records([titles, row], columns, str(path))[0], row[0]))
    if not found:
        raise PointsError(f"{path} has titles and no run: x265 did not end")
    return found


def _is_run(row: table.Row) -> bool:
    """Whether a line is of a run, neither of a picture nor above or below some."""
    return row[0].strip() not in _OF_PICTURES and not (len(row) > 1 and row[1].strip().endswith("-SLICE"))


def _named(record: Record, command: str) -> Record:
    """With what the command line says."""
    source, qp = _INPUT.search(command), _QP.search(command)
    name = sequence_of(source[1] or source[2]) if source else ""
    return replace(record, unit=record.unit or "kbit/s", sequence=record.sequence or name, qp=float(qp[1]) if qp else record.qp)


FORMAT = Format("CSV file of x265", _claims, _read)
