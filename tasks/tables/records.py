"""Tables from JSON Lines and from Excel's workbooks."""

import json
import math
import zipfile
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pandas as pd

from hone.data import cells, header
from hone.data.checks import check_names
from hone.data.remarks import Remark, remark
from hone.errors import UserError
from tasks.tables import text
from tasks.tables.parts import Part
from tasks.tables.words import NOTED, WORDS, with_words


def read_json_lines(part: Part, missing: Collection[str], tell: Callable[[Remark], None]) -> pd.DataFrame:
    """Return the whole table: a row for each object, a column for each key; a key that a row lacks is missing there.

    missing, tell: see `words.with_words`.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.lines(part), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            message = " ".join(str(error).split())[:80]
            raise UserError(f"{part.shown}, line {number} is no JSON ({message}); each line is an object") from error
        if not isinstance(row, dict):
            raise UserError(f'{part.shown}, line {number} is no JSON object such as {{"a": 1}}; each line is one row')
        if "\\ud" in line.lower() and not _writable(row):
            raise UserError(f"{part.shown}, line {number} has half of a character, such as \\ud83d alone; remove it")
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not rows or not names:
        raise UserError(f'{part.shown} has no rows with columns; each line is an object such as {{"a": 1}}')
    return _frame(names, [[row.get(name) for row in rows] for name in names], missing, tell)


def read_workbook(part: Part, missing: Collection[str], tell: Callable[[Remark], None]) -> pd.DataFrame:
    """Return the table of a workbook's first sheet: names in the first row that is not empty, values below.

    missing: see `words.with_words`. tell: called as there, and if there are other sheets. Raises UserError if openpyxl
    is not installed, and for what is no table.
    """
    try:
        import openpyxl
    except ImportError:
        raise UserError(f"{part.shown}: .xlsx is read with openpyxl; install it: `pip install openpyxl`") from None
    with part.unpacked() as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            sheet = book.worksheets[0]
            rows = [list(row) for row in sheet.iter_rows(values_only=True)]
            others = [other.title for other in book.worksheets[1:]]
        except (zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError, TypeError, SyntaxError) as error:
            message = " ".join(str(error).split())[:120]
            raise UserError(f"{part.shown} is no readable workbook ({message}); save it again as .xlsx") from error
    rows = [row for row in rows if any(cell is not None for cell in row)]
    if not rows:
        raise UserError(f"{part.shown}: the first sheet, {sheet.title!r}, is empty; put the table there")
    width = max(place + 1 for row in rows for place, cell in enumerate(row) if cell is not None)
    table = [(row + [None] * width)[:width] for row in rows]
    names = ["" if cell is None else str(cell) for cell in table[0]]
    if header.is_row(names, [["" if cell is None else str(cell) for cell in row] for row in table[1:101]]):
        raise UserError(
            f"{part.shown} has no header: the first row of sheet {sheet.title!r} is a row like the others; "
            "insert a row with the columns' names above it"
        )
    check_names(names, part.shown)
    if len(table) == 1:
        raise UserError(f"{part.shown} has a header only ({width} columns, no rows); add rows")
    if others:
        message = f"{part.path}: the first of {len(others) + 1} sheets is read, {sheet.title!r}"
        tell(remark("sheets", "warning", [], message, len(others)))
    return _frame(names, [[row[place] for row in table[1:]] for place in range(width)], missing, tell)


def _writable(row: dict[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _column(values: list[Any]) -> "pd.Series[Any]":
    """Return a column of one type; of text where cells are of several, except lists and mappings."""
    series = pd.Series(values, dtype=object).infer_objects()
    if series.dtype != object or cells.is_nested(series):
        return series
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int, float}:
        return pd.Series([math.nan if value is None else _float(value) for value in values], dtype="float64")
    return series if len(kinds) < 2 else cells.texts(series)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _frame(
    names: Sequence[str], columns: Sequence[list[Any]], missing: Collection[str], tell: Callable[[Remark], None]
) -> pd.DataFrame:
    """Return a table whose columns have the type that their values have in common.

    As in a CSV, words for a missing value are missing in columns of numbers, and in columns of text as `missing` says.
    """
    gaps = [[None if _is_gap(cell) else cell for cell in column] for column in columns]
    frame = pd.concat(map(_column, gaps), axis=1, keys=range(len(names))).set_axis(list(names), axis=1)
    raw: dict[str, pd.Series[Any]] = {}
    for name, column in zip(names, columns, strict=True):
        words = {cell.strip() for cell in column if isinstance(cell, str)}
        known = frame[name].dropna()
        if words & NOTED and all(isinstance(cell, str) for cell in known):
            cells_of_it = [cell.strip() if isinstance(cell, str) and cell.strip() in NOTED else cell for cell in column]
            raw[name] = pd.Series([None if cell == "" else cell for cell in cells_of_it], dtype=object)
    return with_words(frame, pd.DataFrame(raw), missing, tell) if raw else frame


def _is_gap(value: Any) -> bool:
    return isinstance(value, str) and (not value or value.strip() in WORDS)
