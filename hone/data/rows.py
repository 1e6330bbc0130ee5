"""Raw rows by fingerprint: whether a row is the same row as one of another table, whatever its columns' types."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import cells, images

N_BYTES = 8


def fingerprints(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """Return a number for each raw row, shape ``[n]``: equal for equal rows, and by all odds for no others.

    All columns count, in the order of their names; a number is the same number as int, float or text, and blank
    text is a missing value. The same in any process and on any platform. The names themselves do not count.
    """
    order = sorted(range(frame.shape[1]), key=lambda position: str(frame.columns[position]))
    columns = [_canonical(frame.iloc[:, position]) for position in order]
    rows = zip(*columns, strict=True) if columns else [()] * len(frame)
    digests = [hashlib.blake2b(json.dumps(row).encode(), digest_size=N_BYTES).digest() for row in rows]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _canonical(column: "pd.Series[Any]") -> list[str | None]:
    """Return a column's cells as text, each number as float64 shows it: a gap makes whole numbers floats.

    Bytes (of pictures) are represented by their hash.
    """
    if len(column) and all(isinstance(cell, bytes) for cell in column):
        return list(images.digests(column.tolist()))
    texts = cells.texts(column)
    numbers = cells.texts(cells.numbers(texts))
    return [text if number is None else number for text, number in zip(texts, numbers, strict=True)]
