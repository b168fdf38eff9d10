"""Tables as text: separated by commas, semicolons or tabs, with a line of titles."""

from pathlib import Path

from codec_bridge.points import table
from codec_bridge.points.record import Columns, Format, PointsError, Record


def _claims(path: Path, head: bytes) -> bool:
    return b"\0" not in head and any(mark in head for mark in (b",", b";", b"\t"))


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise PointsError(f"{path} is no text in UTF-8; save it as CSV in UTF-8") from None
    return table.records(table.split(text, str(path)), columns, str(path))


FORMAT = Format("table as text (CSV)", _claims, _read, columns=True)
