"""Tables from Parquet and Arrow files."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from hone.data.checks import check_names
from hone.errors import UserError
from tasks.tables.parts import Part


def read_parquet(part: Part) -> pd.DataFrame:
    """Return the whole table of a Parquet file."""
    with _parquet(part) as file:
        return _in_pandas(file.read(), part.shown, _counted(file.schema_arrow, file.metadata.num_rows))


def parquet_pieces(part: Part, rows: int) -> Iterator[pd.DataFrame]:
    """Yield the table of a Parquet file with so many rows in each piece but the last."""
    with _parquet(part) as file:
        index = _counted(file.schema_arrow, file.metadata.num_rows)
        start = 0
        held: list[pa.RecordBatch] = []  # batches end where groups of rows do
        for batch in file.iter_batches(batch_size=rows):
            held.append(batch)
            if sum(map(len, held)) >= rows:
                table = pa.Table.from_batches(held)
                yield _in_pandas(table.slice(0, rows), part.shown, index[start : start + rows])
                start += rows
                held = table.slice(rows).to_batches()
        if held:
            yield _in_pandas(pa.Table.from_batches(held), part.shown, index[start:])


def read_arrow(part: Part) -> pd.DataFrame:
    """Return the whole table of a Feather file, or of an Arrow file or stream."""
    with part.unpacked() as file, _readable(part.shown, "Arrow"):
        try:
            table = pyarrow.feather.read_table(file)
        except pa.ArrowInvalid:
            file.seek(0)
            table = pa.ipc.open_stream(file).read_all()
        _check(table.column_names, len(table), part.shown)
        return _in_pandas(table, part.shown, _counted(table.schema, len(table)))


@contextlib.contextmanager
def _parquet(part: Part) -> Iterator[pq.ParquetFile]:
    """Yield a file whose columns have names, and that has rows; in the block, what is broken is a UserError."""
    with part.unpacked() as file, _readable(part.shown, "parquet"), pq.ParquetFile(file) as table:
        _check(list(table.schema_arrow.names), table.metadata.num_rows, part.shown)
        yield table


@contextlib.contextmanager
def _readable(shown: str, kind: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of any type: pandas believes the notes that it left in a file's metadata
        message = " ".join(str(error).split())[:120]
        raise UserError(f"{shown} is no readable {kind} file ({message}); write it again") from error


def _check(names: list[str], n_rows: int, shown: str) -> None:
    check_names(names, shown)
    if n_rows == 0:
        raise UserError(f"{shown} has a header only ({len(names)} columns, no rows); add rows")


def _counted(schema: pa.Schema, n_rows: int) -> pd.RangeIndex:
    """Return the index of so many rows if pandas noted its start and step in place of its values; else 0, 1, ….

    It is noted for the whole file: what pandas makes of a piece is another.
    """
    notes = schema.pandas_metadata
    noted = notes.get("index_columns") if isinstance(notes, dict) else None
    if isinstance(noted, list) and len(noted) == 1 and isinstance(noted[0], dict) and noted[0].get("kind") == "range":
        index = pd.RangeIndex(noted[0]["start"], noted[0]["stop"], noted[0]["step"], name=noted[0]["name"])
        if len(index) == n_rows:
            return index
    return pd.RangeIndex(n_rows)


def _in_pandas(table: pa.Table, shown: str, counted: "pd.Index[Any]") -> pd.DataFrame:
    """Return a table with the levels of its index that have a name as columns, and all names as text.

    counted: see `_counted`. The rows are numbered from 0, whatever they were: messages tell the rows of the file.
    Raises UserError if the index is called like a column, and what Arrow raises if text in it is none.
    """
    table.validate(full=True)  # a damaged file may hold what is no UTF-8
    frame: pd.DataFrame = table.to_pandas()
    if isinstance(frame.index, pd.RangeIndex):
        frame = frame.set_axis(counted, axis=0)
    taken = [name for name in frame.index.names if name is not None and name in frame.columns]
    if taken:
        raise UserError(f"{shown}: its index is called {str(taken[0])!r}, like a column; rename one of them")
    named = [name is not None for name in frame.index.names]
    # A level without a name says where a row stood before the table was sorted or cut: nothing to learn from.
    if any(named):
        frame = frame.reset_index(allow_duplicates=True).loc[:, [*named, *[True] * frame.shape[1]]]
    else:
        frame = frame.reset_index(drop=True)  # no copy of the values
    frame.columns = frame.columns.map(str)
    check_names([*frame.columns], shown)
    return frame
