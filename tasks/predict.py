"""Predictions for a table of any size: read, predicted and written piece by piece."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hone.data import cells
from hone.data.images import IMAGE
from hone.data.remarks import Remark
from hone.data.schema import check_column
from hone.errors import UserError
from hone.training.predict import BATCH, PICTURES
from tasks import files, pictures, tables
from tasks.model_store import Predictor
from tasks.tracking.spool import ignore

ENDINGS = (".csv", ".parquet")
N_BATCHES = 8  # of pictures in a piece
CELLS = 1 << 21  # of a piece, about: some 50 MB with all that is made of them


def predict(
    model: Predictor, table: Path, out: Path, keep: Sequence[str] = (), warn: Callable[[str], None] = ignore
) -> int:
    """Return how many rows a table has, after writing a prediction for each, in their order.

    table: a file, or pictures: their paths are written too, and those that cannot be read are left out, after a
    warning that names them. out: a .csv or .parquet, with the columns `keep` of the table as text, then those of
    `Predictor.predict`; it appears when it is complete. Predictions are those of the whole table at once, to the bit.
    Raises UserError if the table cannot be read, or lacks a column that the model or `keep` asks for.
    """
    if not out.name.lower().endswith(ENDINGS):
        raise UserError(f"{out}: predictions are written as {' or '.join(ENDINGS)}; name it so")
    n_rows = 0
    corrupt: list[tuple[str, str]] = []

    def uncertain(noted: Remark) -> None:
        if noted["severity"] == "warning":
            warn(f"{table}: {noted['message']}")

    if pictures.are_at(table):
        keep = [pictures.PATH, *(name for name in keep if name != pictures.PATH)]
        read = _pictures(model, table, lambda path, reason: corrupt.append((path, reason)))
    else:
        columns = model.preprocessor.schema.columns
        levels = {column.name: frozenset(column.levels) for column in columns if column.kind == "categorical"}
        read = tables.read_pieces(table, piece_rows(len(model.columns)), levels, uncertain)

    def predicted() -> Iterator[pd.DataFrame]:
        nonlocal n_rows
        for piece in read:
            for name in keep:
                check_column("--keep", name, piece.columns)
            found = model.predict(piece)
            if taken := sorted(set(keep) & set(found.columns)):
                raise UserError(f"--keep: {taken[0]!r} is what a column of predictions is called; rename it")
            n_rows += len(piece)
            # As text: what looks like whole numbers in one piece may not in the next.
            kept = {name: cells.texts(piece[name]).astype("str") for name in keep}
            yield pd.concat([pd.DataFrame(kept, index=piece.index), found], axis=1)

    with files.atomic(out) as file:
        write = _write_parquet if out.name.lower().endswith(".parquet") else _write_csv
        write(file, predicted())
        if corrupt and not n_rows:
            raise UserError(f"{table}: {pictures.corrupt_sentence(corrupt, len(corrupt))}; there is nothing to predict")
    if corrupt:
        warn(f"{pictures.corrupt_sentence(corrupt, n_rows + len(corrupt))}; there is no prediction for them")
    return n_rows


def _pictures(model: Predictor, place: Path, corrupt: Callable[[str, str], None]) -> Iterator[pd.DataFrame]:
    """Return pictures in pieces of whole batches of a network; UserError for a model that takes none."""
    column = model.preprocessor.schema.image
    if column is None or column.shape is None:
        raise UserError(f"{place}: is a folder or holds pictures, and the model was trained on a table; name a table")
    pieces = pictures.pieces(place, column.shape[1], PICTURES * N_BATCHES, corrupt)
    return (piece.rename(columns={IMAGE: column.name}) for piece in pieces)


def piece_rows(n_columns: int) -> int:
    """Return how many rows a piece of a table has: whole batches of a network."""
    return max(1, CELLS // (BATCH * max(1, n_columns))) * BATCH


def _write_csv(file: IO[bytes], pieces: Iterator[pd.DataFrame]) -> None:
    for number, piece in enumerate(pieces):
        file.write(piece.to_csv(index=False, header=number == 0, lineterminator="\n").encode())


def _write_parquet(file: IO[bytes], pieces: Iterator[pd.DataFrame]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for piece in pieces:
            table = pa.Table.from_pandas(piece, schema=writer.schema if writer else None, preserve_index=False)
            if writer is None:
                writer = pq.ParquetWriter(file, table.schema, compression=files.COMPRESSION)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
