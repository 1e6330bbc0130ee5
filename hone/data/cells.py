"""Columns read as numbers, texts, booleans or dates, whatever pandas type they came in.

One place decides what counts as missing: pandas' own missing values and text that is blank.
"""

import math
import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Beyond this a variance overflows float64.
LARGEST = 1e100
TRUE = frozenset({"true", "t", "yes", "y", "1"})
FALSE = frozenset({"false", "f", "no", "n", "0"})
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?")
# "007" is a code and not a number; "0.5", "-0" and "0" are numbers.
LEADING_ZERO = re.compile(r"[+-]?0\d")


def plain(series: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the column without pandas' category type, as the type of its categories."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series.astype(object)
    return series


def is_number(series: "pd.Series[Any]") -> bool:
    """Return whether the column's type is a real number's or a duration's (booleans are not numbers)."""
    kind = series.dtype
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_complex_dtype(kind):
        return False
    return pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind)


def is_date(series: "pd.Series[Any]") -> bool:
    """Return whether the column's type is a point in time."""
    return pd.api.types.is_datetime64_any_dtype(series.dtype)


def is_nested(series: "pd.Series[Any]") -> bool:
    """Return whether any cell holds a list, a mapping, an array, raw bytes or a complex number."""
    if pd.api.types.is_complex_dtype(series.dtype):
        return True
    if series.dtype != object:
        return False
    return any(isinstance(cell, list | tuple | dict | set | bytes | complex | np.ndarray) for cell in series)


def missing(series: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Return whether each cell is missing or blank, shape ``[n]``: where `texts` gives None."""
    if is_number(series) and not pd.api.types.is_timedelta64_dtype(series.dtype):
        return np.asarray(np.isnan(series.to_numpy(dtype=np.float64, na_value=np.nan)))
    if is_date(series) or is_number(series) or series.dtype == bool:
        return series.isna().to_numpy()
    return texts(series).isna().to_numpy()


def texts(series: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return an object column of stripped str, with None where missing or blank.

    Whole numbers look alike whatever their type: 3, 3.0 and "3" all give "3".
    """
    series = plain(series)
    cells: Any
    if isinstance(series.dtype, pd.StringDtype):
        cells = _by_level(series, _text)
    elif pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_integer_dtype(series.dtype):
        cells = [None if cell is pd.NA else str(cell) for cell in series.tolist()]
    else:
        cells = [_text(cell) for cell in series.tolist()]
    return pd.Series(cells, index=series.index, name=series.name, dtype=object)


def _by_level(series: "pd.Series[Any]", read: Callable[[Any], Any]) -> NDArray[np.object_]:
    """Return ``read(cell)`` for each cell of a column of text, None where missing; equal cells share one object."""
    codes, levels = pd.factorize(series)
    found = np.empty(len(levels) + 1, dtype=object)
    found[:-1] = [read(level) for level in levels]
    return found[codes]  # a missing cell's code is -1: the last one, None


def _text(cell: object) -> str | None:
    if isinstance(cell, str):
        return cell.strip() or None
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        return str(int(cell)) if cell.is_integer() else repr(float(cell))
    return str(cell)


def numbers(series: "pd.Series[Any]") -> "pd.Series[float]":
    """Return a float64 column; NaN where missing, not readable as a number, or too large to compute with.

    Durations count in seconds. Text is read as numbers; booleans are 0 and 1.
    """
    series = plain(series)
    if pd.api.types.is_timedelta64_dtype(series.dtype):
        values = series.dt.total_seconds().to_numpy(dtype=np.float64)
    elif pd.api.types.is_bool_dtype(series.dtype) or is_number(series):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    elif is_date(series):
        values = np.full(len(series), np.nan)
    else:
        values = _by_level(texts(series), _number).astype(np.float64)
    values = np.where(np.abs(values) <= LARGEST, values, np.nan)
    return pd.Series(values, index=series.index, name=series.name)


def _number(text: str) -> float:
    if "_" in text:  # Python reads 1_000 as a number; tables do not mean one by it
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def recognised(texts: "pd.Series[Any]", levels: Collection[str]) -> "pd.Series[Any]":
    """Return texts, those that are no level but the same number as exactly one of them as that level is written.

    A column of 1.0, 2.0 and G is text. Of another table, which has no G, it is read as numbers, and then its texts are
    1 and 2. Text that no number becomes, such as 1.10, is left alone: it is a level of its own.
    """
    known = frozenset(levels)
    if all(text is None or text in known for text in texts.unique()):
        return texts
    by_number: dict[float, list[str]] = {}
    for level in levels:
        if (number := _value(level)) is not None:
            by_number.setdefault(number, []).append(level)

    def read(text: str) -> str:
        number = None if text in known else _value(text)
        alike = [] if number is None or _text(number) != text else by_number.get(number, [])
        return alike[0] if len(alike) == 1 else text

    return pd.Series(_by_level(texts, read), index=texts.index, name=texts.name, dtype=object)


def _value(text: str) -> float | None:
    """Return the number that a text is; None for codes such as 007, and for what is no finite number."""
    number = math.nan if LEADING_ZERO.match(text) else _number(text)
    return number if math.isfinite(number) else None


def booleans(series: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return an object column of "true", "false" and None (missing, or neither)."""
    return pd.Series(_by_level(texts(series), _boolean), index=series.index, name=series.name, dtype=object)


def _boolean(text: str) -> str | None:
    lower = text.lower()
    return "true" if lower in TRUE else "false" if lower in FALSE else None


def dates(series: "pd.Series[Any]", pattern: str | None = None) -> "pd.Series[Any]":
    """Return a column of datetimes in UTC without a zone; NaT where missing or not readable.

    pattern: how text is to be read (strptime); None for ISO 8601.
    """
    series = plain(series)
    if not is_date(series):
        series = texts(series)
        series = pd.to_datetime(series, format=pattern or "ISO8601", errors="coerce", utc=True)
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return series.astype("datetime64[us]")
