"""Rows that occur in two parts of a split, and whether that is more than chance makes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import images
from hone.data.audit.findings import Finding, finding
from hone.data.schema import Schema

WARNED = 0.01
PIECE = 100_000
MOST_ROWS = 50_000
STEP = 0x9E3779B97F4A7C15

Hashes = NDArray[np.uint64]


def duplicates(
    frame: pd.DataFrame, target: NDArray[Any], parts: Mapping[str, NDArray[np.int64]], schema: Schema
) -> list[Finding]:
    """Return how many rows of a part equal rows of the parts before it, in every used column and the target.

    A warning if that is more than chance makes, which is judged by near misses (`by_chance`).
    """
    keys = _row_hashes(frame, target, schema)
    found = []
    for part, others in (("validation", ["train"]), ("test", ["train", "validation"])):
        known = np.concatenate([parts[other] for other in others])
        count = int(np.isin(keys[parts[part]], keys[known]).sum())
        if not count:
            continue
        share = count / len(parts[part])
        said = f"{count} {part} rows ({share:.1%}) equal a {' or '.join(others)} row"
        if schema.image is None and by_chance(frame, target, parts[part], known, schema):
            message = f"{said}: about as many as columns of so few distinct values make by chance"
            found.append(finding(f"duplicates_{part}", "info", [], message, count))
            continue
        message = f"{said} in all columns, more than chance makes: scores flatter. Remove repeated rows from the table"
        severity = "warning" if share >= WARNED else "info"
        found.append(finding(f"duplicates_{part}", severity, [], message, count))
    return found


def by_chance(
    frame: pd.DataFrame,
    target: NDArray[Any],
    asked: NDArray[np.int64],
    known: NDArray[np.int64],
    schema: Schema,
) -> bool:
    """Return whether about as many rows would equal known rows if all rows were drawn anew.

    Whatever makes rows of coarse columns equal by chance also makes rows that differ in just one column. So two
    kinds of rows are counted: those that equal a known row and miss no other one by one column, and those that
    miss a known row by one column and equal none. Copied rows are of the first kind; by chance the second is at
    least as common. The column with most distinct values must agree in either case: rows that differ in a
    measurement alone would say nothing.
    """
    rows = np.concatenate([_thinned(asked), _thinned(known)])
    columns = _hashes(frame.iloc[rows], target[rows], schema)
    n_asked = len(_thinned(asked))
    total = _total(columns)
    finest = max(range(len(columns)), key=lambda index: len(np.unique(columns[index][n_asked:])))
    same = _count(total[:n_asked], total[n_asked:])
    near = np.zeros(n_asked, dtype=np.bool_)
    for index, column in enumerate(columns):
        if index != finest:
            others = total - column
            near |= _count(others[:n_asked], others[n_asked:]) > same
    return int(((same > 0) & ~near).sum()) <= int((near & (same == 0)).sum())


def _thinned(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most MOST_ROWS rows, evenly spread: copies and near misses thin out alike."""
    return rows[:: -(-len(rows) // MOST_ROWS)]


def _count(asked: Hashes, known: Hashes) -> NDArray[np.int64]:
    """Return how many known hashes equal each of those asked."""
    ordered = np.sort(known)
    return np.searchsorted(ordered, asked, side="right") - np.searchsorted(ordered, asked, side="left")


def _row_hashes(frame: pd.DataFrame, target: NDArray[Any], schema: Schema) -> Hashes:
    return np.concatenate([_total(_hashes(*piece, schema)) for piece in _pieces(frame, target)])


def _total(columns: list[Hashes]) -> Hashes:
    """Return [n] a hash of each row: the sum of its columns', so that one of them can be taken out."""
    total = np.zeros_like(columns[0])
    for column in columns:
        total += column
    return total


def _pieces(frame: pd.DataFrame, target: NDArray[Any]) -> Iterator[tuple[pd.DataFrame, NDArray[Any]]]:
    """Yield so many rows at a time: encoded as a whole, a large table would be in memory a second time."""
    for start in range(0, len(frame), PIECE):
        yield frame.iloc[start : start + PIECE], target[start : start + PIECE]


def _hashes(frame: pd.DataFrame, target: NDArray[Any], schema: Schema) -> list[Hashes]:
    """Return [n] hashes of each used column and of the target; the same value has another hash in another column."""
    numeric, categorical = schema.apply(frame)
    series = [part.iloc[:, index] for part in (numeric, categorical) for index in range(part.shape[1])]
    series.append(pd.Series(target, index=frame.index))
    if schema.image is not None:
        series.append(pd.Series(images.digests(frame[schema.image.name].tolist()), index=frame.index))
    hashes: list[Hashes] = [
        np.asarray(pd.util.hash_pandas_object(each, index=False), dtype=np.uint64) for each in series
    ]
    return [_mixed(each + np.uint64(STEP * (index + 1) % 2**64)) for index, each in enumerate(hashes)]


def _mixed(values: Hashes) -> Hashes:
    """Return other hashes, one to one (the finaliser of SplitMix64: Steele, Lea and Flood, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
