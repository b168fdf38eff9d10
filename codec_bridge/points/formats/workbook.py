"""Workbooks (.xlsx, .xlsm): of JVET, with reference and test beside each other on a sheet for each configuration, of AOM, or any other
sheet with a line of titles."""

import io
import zipfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from codec_bridge.points import table
from codec_bridge.points.record import Columns, Format, NoPointsError, PointsError, Record
from vrcnn_int.inputs import MOST_RATIO, SMALL


def _claims(path: Path, head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04")


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    try:
        openpyxl = import_module("openpyxl")
    except ImportError:
        raise PointsError(f"{path}: workbooks need openpyxl; install it with: pip install 'vrcnn-int[sheets]'") from None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_RATIO * len(content) + SMALL:
                raise PointsError(f"{path} would become far too large when it is unpacked")
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheets: dict[str, list[table.Row]] = {
            sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets
        }
    except PointsError:
        raise
    except Exception as error:  # openpyxl says what is wrong with a workbook in many ways
        raise PointsError(f"{path} is no workbook that openpyxl reads: {type(error).__name__}") from None
    if columns.sheet is not None and columns.sheet not in sheets:
        raise PointsError(f"{path} has no sheet {columns.sheet!r}; it has {', '.join(sheets)}")
    found, problem = [], ""
    for title, rows in sheets.items():
        if columns.sheet in (None, title):
            try:
                records = table.records(rows, columns, f"{path}, sheet {title}")
            except NoPointsError as error:  # a summary, a sheet of a configuration that was not run
                problem = str(error)
                continue
            found += [replace(record, configuration=record.configuration or (title if len(sheets) > 1 else "")) for record in records]
    if not found:
        raise PointsError(problem or f"{path} has no sheets with cells")
    return found


FORMAT = Format("workbook (xlsx)", _claims, _read)
