"""Tables from files and from scikit-learn, with errors that say which line to mend."""

import csv
import difflib
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn import datasets

from hone.data import cells
from hone.data.checks import check_names
from hone.errors import UserError

SKLEARN = "sklearn:"
ENDINGS = (".csv", ".csv.gz", ".parquet")
MISSING = ["", "NA", "N/A", "<NA>", "#N/A", "NaN", "nan", "null", "NULL"]
"""Words that mean a missing value in a CSV. "None" is not among them: it is a category of many a table."""
DELIMITERS = ",;\t"
TARGET = "target"


def is_sklearn(source: str) -> bool:
    """Return whether `data.source` names one of scikit-learn's sets."""
    return source.startswith(SKLEARN)


def locate(root: Path, source: str) -> Path:
    """Return the path of a person's own table.

    Raises UserError for one outside data/raw/, which neither DVC nor a colleague's clone would have.
    """
    # links are not followed: DVC may keep the file itself in its cache
    path = Path(os.path.abspath(root / source))
    raw = Path(os.path.abspath(root / "data" / "raw"))
    if not path.is_relative_to(raw):
        known = raw / path.name
        hint = f"use data/raw/{path.name}" if known.is_file() else f"`hone add {source}` puts it there"
        raise UserError(f"data.source: {source} is not in data/raw/, so its changes would go unseen; {hint}")
    return root / source


def read_table(path: Path, shown: str | None = None) -> pd.DataFrame:
    """Return a table from a .csv, .csv.gz or .parquet file.

    shown: what messages call the file. Raises UserError for a file that is missing, empty, of another kind or
    broken, with the line where there is one.
    """
    name = shown or str(path)
    _check_file(path, name)
    if path.name.lower().endswith(".parquet"):
        return _read_parquet(path, name)
    return _read_csv(_text_of(path, name), name)


def load_sklearn(source: str) -> tuple[pd.DataFrame, str]:
    """Return one of scikit-learn's sets, e.g. ``sklearn:digits``, with the name of its target column."""
    name = source.removeprefix(SKLEARN)
    if name not in _LOADERS:
        near = difflib.get_close_matches(name, _LOADERS, n=1)
        hint = (
            f"did you mean {SKLEARN}{near[0]}?" if near else f"use {', '.join(SKLEARN + known for known in _LOADERS)}"
        )
        raise UserError(f"data.source: there is no {source!r}; {hint}")
    return _LOADERS[name](), TARGET


def _digits() -> pd.DataFrame:
    frame: pd.DataFrame = datasets.load_digits(as_frame=True).frame
    return frame.astype("int64")


def _diabetes() -> pd.DataFrame:
    frame: pd.DataFrame = datasets.load_diabetes(as_frame=True, scaled=False).frame
    return frame


def _with_class_names(load: Callable[..., Any]) -> pd.DataFrame:
    bunch = load(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    return frame.assign(target=bunch.target.map(dict(enumerate(map(str, bunch.target_names)))))


_LOADERS: dict[str, Callable[[], pd.DataFrame]] = {
    "digits": _digits,
    "breast_cancer": lambda: _with_class_names(datasets.load_breast_cancer),
    "wine": lambda: _with_class_names(datasets.load_wine),
    "diabetes": _diabetes,
}


def _check_file(path: Path, name: str) -> None:
    if path.is_dir():
        raise UserError(f"data.source: {name} is a folder; name a table in it ({', '.join(ENDINGS)})")
    if not path.exists():
        siblings = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, [other for other in siblings if other.endswith(ENDINGS)], n=1)
        hint = (
            f"did you mean {Path(name).with_name(near[0])}?"
            if near
            else "add it with `hone add FILE`, or mend the path"
        )
        raise UserError(f"data.source: there is no file {name}; {hint}")
    if not path.name.lower().endswith(ENDINGS):
        raise UserError(f"data.source: {name} is of a kind that is not read; use {', '.join(ENDINGS)}")
    if path.stat().st_size == 0:
        raise UserError(f"data.source: {name} is empty; it needs a header and rows")


def _read_parquet(path: Path, name: str) -> pd.DataFrame:
    try:
        file = pq.ParquetFile(path)
        names = list(file.schema_arrow.names)
        check_names(names, f"data.source: {name}")
        frame: pd.DataFrame = file.read().to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"data.source: {name} is no readable parquet file ({_one_line(error)}); write it again"
        ) from error
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    frame.columns = frame.columns.map(str)
    if len(frame) == 0:
        raise UserError(f"data.source: {name} has a header only ({len(names)} columns, no rows); add rows")
    return frame


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _text_of(path: Path, name: str) -> str:
    """Return a file's text; UserError if it does not unpack, or is not UTF-8."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"data.source: {name} does not unpack ({_one_line(error)}); compress it again") from error
    except OSError as error:
        raise UserError(f"data.source: {name} cannot be read ({error.strerror}); check its permissions") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"data.source: {name} is not UTF-8: byte 0x{content[error.start]:02x} in line {line}; "
            f"save it as UTF-8, e.g. `iconv -f latin1 -t utf-8`"
        ) from error
    if not text.strip():
        raise UserError(f"data.source: {name} is empty; it needs a header and rows")
    return text


def _read_csv(text: str, name: str) -> pd.DataFrame:
    delimiter = _check_lines(text, name)
    options: dict[str, Any] = {
        "sep": delimiter,
        "index_col": False,
        "low_memory": False,
        "keep_default_na": False,
        "na_values": MISSING,
    }
    try:
        frame: pd.DataFrame = pd.read_csv(io.StringIO(text), **options)
        numbers = [place for place, column in enumerate(frame.columns) if cells.is_number(frame[column])]
        if numbers and _may_hold_codes(text, delimiter):
            codes: pd.DataFrame = pd.read_csv(io.StringIO(text), usecols=numbers, dtype=str, **options)
            frame = frame.assign(**{column: codes[column] for column in codes.columns if _are_codes(codes[column])})
    except (pd.errors.ParserError, ValueError) as error:
        raise UserError(f"data.source: {name} is no readable CSV ({_one_line(error)}); mend it") from error
    frame.columns = frame.columns.map(str)
    return frame


def _may_hold_codes(text: str, delimiter: str) -> bool:
    """Return whether a field of a CSV seems to start like 007; if none does, its numbers need no second look."""
    before = rf'\r\n"{delimiter}'
    # Looking backwards from each zero takes an eighth of the time that looking forwards from each field does.
    after = rf"(?<=[{before}]0\d)|(?<=[{before} ] 0\d)|(?<=[{before} ][+-]0\d)"
    return re.search(rf"0\d(?:{after})", text) is not None


def _are_codes(column: "pd.Series[Any]") -> bool:
    """Return whether any value of a column read as text starts like 007: zip codes and ids are no numbers."""
    return bool(column.str.match(rf" *{cells.LEADING_ZERO.pattern}").any())


def _check_lines(text: str, name: str) -> str:
    """Return the delimiter, after checking that every line has as many fields as the header.

    pandas would fill up short lines without a word.
    """
    header = next(line for line in io.StringIO(text) if line.strip()).rstrip("\r\n")
    delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    names: list[str] = []
    n_rows = 0
    start = 1
    try:
        for fields in reader:
            if not fields or (len(fields) == 1 and not fields[0].strip()):
                pass
            elif not names:
                names = fields
                check_names(names, f"data.source: {name}")
            elif len(fields) != len(names):
                raise UserError(
                    f"data.source: {name}, line {start} has {len(fields)} fields, but the header has {len(names)}; "
                    "mend the line (a value that contains the delimiter must stand in quotes)"
                )
            else:
                n_rows += 1
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"data.source: {name}, line {start} is broken ({error}); mend the quotes of that line"
        ) from error
    if n_rows == 0:
        raise UserError(f"data.source: {name} has a header only ({len(names)} columns, no rows); add rows")
    return delimiter
