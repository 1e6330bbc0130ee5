"""Raw rows by fingerprint: whether a row is the same row as one of another table, whatever its columns' types."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import cells, images

N_BYTES = 8
PIECE = 50_000  # rows at a time: as text they take ten times their memory


def fingerprints(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """Return a number for each raw row, shape ``[n]``: equal for equal rows, and by all odds for no others.

    All columns count, in the order of their names; a number is the same number as int, float or text, and blank
    text is a missing value. The same in any process and on any platform. The names themselves do not count.
    """
    order = sorted(range(frame.shape[1]), key=lambda position: str(frame.columns[position]))
    ordered = frame.iloc[:, order]
    pieces = [_digests(ordered.iloc[start : start + PIECE]) for start in range(0, len(frame), PIECE)]
    return np.frombuffer(b"".join(pieces), dtype="<u8").astype(np.uint64)


def _digests(frame: pd.DataFrame) -> bytes:
    """Return the hashes of rows, one behind the other."""
    columns = [_canonical(frame.iloc[:, position]) for position in range(frame.shape[1])]
    rows = zip(*columns, strict=True) if columns else [()] * len(frame)
    return b"".join(hashlib.blake2b(json.dumps(row).encode(), digest_size=N_BYTES).digest() for row in rows)


def _canonical(column: "pd.Series[Any]") -> list[str | None]:
    """Return a column's cells as text, each number as float64 shows it: a gap makes whole numbers floats.

    Bytes (of pictures) are represented by their hash.
    """
    if len(column) and all(isinstance(cell, bytes) for cell in column):
        return list(images.digests(column.tolist()))
    texts = cells.texts(column)
    if pd.api.types.is_float_dtype(column.dtype):
        return texts.tolist()
    numbers = cells.texts(cells.numbers(texts))
    return [text if number is None else number for text, number in zip(texts, numbers, strict=True)]
