"""Files of x265's option --csv: a line for each run; the lines of single pictures, if there are any, stand before."""

import re
from dataclasses import replace
from pathlib import Path

from codec_bridge.points import table
from codec_bridge.points.record import Columns, Format, Record, sequence_of

_HEAD = re.compile(rb"^Command, ?Date/Time,", re.M)
_INPUT = re.compile(r"(?:--input[= ]+(\S+))|(\S+\.(?:yuv|y4m))\b")
_QP = re.compile(r"(?:--qp|-q|--crf)[= ]+([\d.]+)")


def _claims(path: Path, head: bytes) -> bool:
    return bool(_HEAD.search(head))


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    head = _HEAD.search(content)
    rows = table.split(content[head.start() if head else 0 :].decode(errors="replace"), str(path))
    blocks = [row for row in rows if row and row[0] and row[0].strip() != "Command"]
    return [_named(record, row[0]) for record, row in zip(table.records([rows[0], *blocks], columns, str(path)), blocks, strict=True)]


def _named(record: Record, command: str) -> Record:
    """With what the command line says."""
    source, qp = _INPUT.search(command), _QP.search(command)
    name = sequence_of(source[1] or source[2]) if source else ""
    return replace(record, unit=record.unit or "kbit/s", sequence=record.sequence or name, qp=float(qp[1]) if qp else record.qp)


FORMAT = Format("CSV file of x265", _claims, _read)
