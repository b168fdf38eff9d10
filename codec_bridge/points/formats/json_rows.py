"""JSON: a list of points, each a table of figures by name; or a table of lists, one for each figure; or one of these under a key."""

from pathlib import Path
from typing import Any

from codec_bridge.points import table
from codec_bridge.points.record import Columns, Format, PointsError, Record
from vrcnn_int.io.documents import parse_json


def _claims(path: Path, head: bytes) -> bool:
    return head.lstrip()[:1] in (b"[", b"{")


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    return table.records(_rows(parse_json(content, str(path)), str(path)), columns, str(path))


def _rows(values: Any, name: str) -> list[table.Row]:
    if isinstance(values, list) and values and all(isinstance(entry, dict) for entry in values):
        titles = list(dict.fromkeys(key for entry in values for key in entry))
        return [titles, *([entry.get(title) for title in titles] for entry in values)]
    if isinstance(values, dict):
        lists = {key: value for key, value in values.items() if isinstance(value, list)}
        if len(lists) == 1:
            return _rows(next(iter(lists.values())), name)
        if lists and len({len(value) for value in lists.values()}) == 1:
            return [list(lists), *map(list, zip(*lists.values(), strict=True))]
    raise PointsError(f"{name} has neither a list of points nor lists of figures that are equally long")


FORMAT = Format("JSON", _claims, _read, columns=True)
