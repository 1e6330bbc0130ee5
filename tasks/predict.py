"""Predictions for a table of any size: read, predicted and written piece by piece."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hone.data import cells
from hone.data.schema import check_column
from hone.errors import UserError
from hone.training.predict import BATCH
from tasks import files, tables
from tasks.model_store import Predictor

ENDINGS = (".csv", ".parquet")
CELLS = 1 << 21  # of a piece, about: some 50 MB with all that is made of them


def predict(model: Predictor, table: Path, out: Path, keep: Sequence[str] = ()) -> int:
    """Return how many rows a table has, after writing a prediction for each, in their order.

    out: a .csv or .parquet, with the columns `keep` of the table as text, then those of `Predictor.predict`; it
    appears when it is complete. Predictions are those of the whole table at once, to the bit. Raises UserError if the
    table cannot be read, or lacks a column that the model or `keep` asks for.
    """
    if not out.name.lower().endswith(ENDINGS):
        raise UserError(f"{out}: predictions are written as {' or '.join(ENDINGS)}; name it so")
    n_rows = 0

    def predicted() -> Iterator[pd.DataFrame]:
        nonlocal n_rows
        for piece in tables.read_pieces(table, piece_rows(len(model.columns))):
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
    return n_rows


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
