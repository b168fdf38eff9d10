"""Workbooks (.xlsx, .xlsm): of JVET, with reference and test beside each other on a sheet for each configuration, of AOM, or any other
sheet with a line of titles."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from codec_bridge.points import table
from codec_bridge.points.record import Columns, Format, NoRatesError, NoTitlesError, PointsError, Record
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
        sheets = {sheet.title: _rows(sheet) for sheet in book.worksheets}
    except PointsError:
        raise
    except Exception as error:  # openpyxl says what is wrong with a workbook in many ways
        raise PointsError(f"{path} is damaged or no .xlsx file; save it as one ({type(error).__name__})") from None
    if columns.sheet is not None and columns.sheet not in sheets:
        raise PointsError(f"{path} has no sheet {columns.sheet!r}; it has {', '.join(sheets)}")
    found, problem = [], ""
    for title, rows in sheets.items():
        if columns.sheet in (None, title):
            try:
                records = table.records(rows, columns, f"{path}, sheet {title}")
            except NoTitlesError as error:
                problem = str(error)
                continue
            except NoRatesError as error:
                if _has_formulas(openpyxl, content, title, error.at):
                    raise PointsError(f"{error}: its formulas have no values; open the file in a spreadsheet program and save it") from None
                if not error.whole:
                    raise
                problem = str(error)
                continue
            found += [replace(record, configuration=record.configuration or (title if len(sheets) > 1 else "")) for record in records]
    if not found:
        raise PointsError(problem or f"{path} has no sheets with cells")
    return found


def _rows(sheet: Any) -> list[table.Row]:
    """What is in a sheet: not the millions of empty cells up to one that has a format alone."""
    sheet.reset_dimensions()
    return list(sheet.iter_rows(values_only=True))


def _has_formulas(openpyxl: Any, content: bytes, title: str, places: Sequence[tuple[int, int]]) -> bool:
    """Whether a formula is in one of these cells of a sheet."""
    sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True)[title]
    rows = _rows(sheet)
    return any(column < len(rows[row]) and str(rows[row][column] or "").startswith("=") for row, column in places)


FORMAT = Format("workbook (xlsx)", _claims, _read, columns=True, sheets=True)
