"""Tables from files and from scikit-learn, with errors that say which line to mend."""

import contextlib
import csv
import difflib
import gzip
import io
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Set
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
    name = f"data.source: {shown or path}"
    check_file(path, name)
    if path.name.lower().endswith(".parquet"):
        return _read_parquet(path, name)
    ((text, delimiter),) = _texts(path, name, math.inf)
    return _parsed(text, delimiter, name)


def read_pieces(path: Path, rows: int, levels: Mapping[str, Set[str]] | None = None) -> Iterator[pd.DataFrame]:
    """Yield a table piece by piece, with so many rows in each but the last, and never hold more than one of them.

    A column that is text in any piece of a CSV is text in all of them, as it is in `read_table`: the file is read
    twice. levels: of columns, words that are values: those of `MISSING` among them do not mean a missing one. Errors
    are those of `read_table`; all of a CSV is checked before its first piece.
    """
    name = str(path)
    check_file(path, name)
    if path.name.lower().endswith(".parquet"):
        yield from _parquet_pieces(path, name, rows)
        return
    text_columns: frozenset[int] = frozenset()
    for text, delimiter in _texts(path, name, rows):
        columns = _parsed(text, delimiter, name, levels=levels).items()
        text_columns |= {place for place, (_, column) in enumerate(columns) if _is_text(column)}
    for text, delimiter in _texts(path, name, rows):
        yield _parsed(text, delimiter, name, text_columns, levels)


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
    from sklearn import datasets  # in functions: it takes a second, and most tables are files

    frame: pd.DataFrame = datasets.load_digits(as_frame=True).frame
    return frame.astype("int64")


def _diabetes() -> pd.DataFrame:
    from sklearn import datasets

    frame: pd.DataFrame = datasets.load_diabetes(as_frame=True, scaled=False).frame
    return frame


def _with_class_names(name: str) -> pd.DataFrame:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    return frame.assign(target=bunch.target.map(dict(enumerate(map(str, bunch.target_names)))))


_LOADERS: dict[str, Callable[[], pd.DataFrame]] = {
    "digits": _digits,
    "breast_cancer": lambda: _with_class_names("breast_cancer"),
    "wine": lambda: _with_class_names("wine"),
    "diabetes": _diabetes,
}


def check_file(path: Path, name: str) -> None:
    """Raise UserError for a file that is missing, empty or of a kind that is not read. name: what messages call it."""
    if path.is_dir():
        raise UserError(f"{name} is a folder; name a table in it ({', '.join(ENDINGS)})")
    if not path.exists():
        siblings = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, [other for other in siblings if other.endswith(ENDINGS)], n=1)
        hint = f"did you mean {_beside(name, near[0])}?" if near else "add it with `hone add FILE`, or mend the path"
        raise UserError(f"{name}: there is no such file; {hint}")
    if not path.name.lower().endswith(ENDINGS):
        raise UserError(f"{name} is of a kind that is not read; use {', '.join(ENDINGS)}")
    if path.stat().st_size == 0:
        raise UserError(f"{name} is empty; it needs a header and rows")


def _read_parquet(path: Path, name: str) -> pd.DataFrame:
    with _parquet(path, name) as file:
        return _in_pandas(file.read(), name)


def _parquet_pieces(path: Path, name: str, rows: int) -> Iterator[pd.DataFrame]:
    with _parquet(path, name) as file:
        held: list[pa.RecordBatch] = []  # batches end where groups of rows do
        for batch in file.iter_batches(batch_size=rows):
            held.append(batch)
            if sum(map(len, held)) >= rows:
                table = pa.Table.from_batches(held)
                yield _in_pandas(table.slice(0, rows), name)
                held = table.slice(rows).to_batches()
        if held:
            yield _in_pandas(pa.Table.from_batches(held), name)


@contextlib.contextmanager
def _parquet(path: Path, name: str) -> Iterator[pq.ParquetFile]:
    """Yield a file whose columns have names, and that has rows; in the block, what is broken is a UserError."""
    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            check_names(names, name)
            if file.metadata.num_rows == 0:
                raise UserError(f"{name} has a header only ({len(names)} columns, no rows); add rows")
            yield file
    except UserError:
        raise
    except Exception as error:  # of any type: pandas believes the notes that it left in a file's metadata
        raise UserError(f"{name} is no readable parquet file ({_one_line(error)}); write it again") from error


def _in_pandas(table: pa.Table, shown: str) -> pd.DataFrame:
    """Return a table with the levels of its index that have a name as columns, and all names as text.

    Raises UserError if the index is called like a column, and what Arrow raises if text in it is none.
    """
    table.validate(full=True)  # a damaged file may hold what is no UTF-8
    frame: pd.DataFrame = table.to_pandas()
    if not isinstance(frame.index, pd.RangeIndex):
        taken = [name for name in frame.index.names if name is not None and name in frame.columns]
        if taken:
            raise UserError(f"{shown}: its index is called {str(taken[0])!r}, like a column; rename one of them")
        named = [name is not None for name in frame.index.names]
        # A level without a name says where a row stood before the table was sorted or cut: nothing to learn from.
        frame = frame.reset_index(allow_duplicates=True).loc[:, [*named, *[True] * frame.shape[1]]]
    frame.columns = frame.columns.map(str)
    check_names([*frame.columns], shown)
    return frame


def _beside(name: str, other: str) -> str:
    """Return the path of a file beside the one that messages call so."""
    return str(Path(name.removeprefix("data.source: ")).with_name(other))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _texts(path: Path, name: str, rows: float) -> Iterator[tuple[str, str]]:
    """Yield the text of a CSV in pieces of so many rows, each behind the header, with the delimiter."""
    return _pieces(_lines(path, name), name, rows)


def _lines(path: Path, name: str) -> Iterator[str]:
    """Yield a file's lines with their ends; UserError if it does not unpack, or is not UTF-8."""
    unpack = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with unpack(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is not UTF-8: byte 0x{error.object[error.start]:02x} in line {number}; "
            f"save it as UTF-8, e.g. `iconv -f latin1 -t utf-8`"
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{name} does not unpack ({_one_line(error)}); compress it again") from error
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error.strerror}); check its permissions") from error


def _parsed(
    text: str,
    delimiter: str,
    name: str,
    as_text: frozenset[int] = frozenset(),
    levels: Mapping[str, Set[str]] | None = None,
) -> pd.DataFrame:
    """Return a CSV's table. as_text: places of columns that are text elsewhere, whatever they look like here.

    levels: see `read_pieces`.
    """
    options: dict[str, Any] = {
        "sep": delimiter,
        "index_col": False,
        "low_memory": False,
        "keep_default_na": False,
        "na_values": MISSING,
    }
    try:
        if values := {column: words for column, words in (levels or {}).items() if not words.isdisjoint(MISSING)}:
            header = pd.read_csv(io.StringIO(text), nrows=0, **options).columns
            options["na_values"] = {
                column: [word for word in MISSING if word not in values.get(str(column), ())] for column in header
            }
        frame: pd.DataFrame = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(as_text, str), **options)
        numbers = [place for place, column in enumerate(frame.columns) if cells.is_number(frame[column])]
        if numbers and _may_hold_codes(text, delimiter):
            codes: pd.DataFrame = pd.read_csv(io.StringIO(text), usecols=numbers, dtype=str, **options)
            frame = frame.assign(**{column: codes[column] for column in codes.columns if _are_codes(codes[column])})
    except (pd.errors.ParserError, ValueError) as error:
        raise UserError(f"{name} is no readable CSV ({_one_line(error)}); mend it") from error
    frame.columns = frame.columns.map(str)
    return frame


def _is_text(column: "pd.Series[Any]") -> bool:
    """Return whether a column has a cell of text; one of truth values and blanks is of objects as well."""
    return bool(column.map(lambda cell: isinstance(cell, str)).any()) if column.dtype.kind == "O" else False


def _may_hold_codes(text: str, delimiter: str) -> bool:
    """Return whether a field of a CSV seems to start like 007; if none does, its numbers need no second look."""
    before = rf'\r\n"{delimiter}'
    # Looking backwards from each zero takes an eighth of the time that looking forwards from each field does.
    after = rf"(?<=[{before}]0\d)|(?<=[{before} ] 0\d)|(?<=[{before} ][+-]0\d)"
    return re.search(rf"0\d(?:{after})", text) is not None


def _are_codes(column: "pd.Series[Any]") -> bool:
    """Return whether any value of a column read as text starts like 007: zip codes and ids are no numbers."""
    return bool(column.str.match(rf" *{cells.LEADING_ZERO.pattern}").any())


def _pieces(lines: Iterator[str], name: str, rows: float) -> Iterator[tuple[str, str]]:
    """Yield the text of so many rows of a CSV, behind its header, and its delimiter; the last has fewer.

    Raises UserError, once it gets there, for a line that has not as many fields as the header: pandas would fill up
    short lines without a word.
    """
    n_blank = 0
    first = ""
    for first in lines:
        if first.strip():
            break
        n_blank += 1
    if not first.strip():
        raise UserError(f"{name} is empty; it needs a header and rows")
    start_of_header = re.split(r"[\r\n]", first.lstrip("\r\n"))[0]
    delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([start_of_header], delimiter=mark), [])))
    held: list[str] = []

    def kept() -> Iterator[str]:
        for line in chain([first], lines):
            held.append(line)
            yield line

    reader = csv.reader(kept(), delimiter=delimiter, strict=True)
    names: list[str] = []
    header, n_rows = "", 0
    start = n_blank + 1
    try:
        for fields in reader:
            if not fields or (len(fields) == 1 and not fields[0].strip()):
                pass
            elif not names:
                names, header = fields, "".join(held)
                check_names(names, name)
                held.clear()
            elif len(fields) != len(names):
                raise UserError(
                    f"{name}, line {start} has {len(fields)} fields, but the header has {len(names)}; "
                    "mend the line (a value that contains the delimiter must stand in quotes)"
                )
            else:
                n_rows += 1
                if n_rows % rows == 0:
                    yield header + "".join(held), delimiter
                    held.clear()
            start = n_blank + reader.line_num + 1
    except csv.Error as error:
        if "new-line character" in str(error):
            raise UserError(
                f"{name}, line {start} ends in \\r, as on old Macs; save it with \\n at its lines' ends"
            ) from None
        raise UserError(f"{name}, line {start} is broken ({error}); mend the quotes of that line") from error
    if n_rows == 0:
        raise UserError(f"{name} has a header only ({len(names)} columns, no rows); add rows")
    if n_rows % rows:
        yield header + "".join(held), delimiter
