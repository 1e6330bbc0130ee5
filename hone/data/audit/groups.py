"""Ids that repeat, such as a patient's: rows of one id are alike, and a random split puts them into several parts."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data.audit import predictions
from hone.data.audit.findings import Finding, finding, yaml_name
from hone.data.audit.sample import MOST_ROWS, Sample, of_rows
from hone.data.problem import Problem
from hone.data.schema import Schema
from hone.seeds import derive

FEWEST_LEVELS = 10
FEWEST_PER_LEVEL = 2  # rows, on average
REPEATED = 0.8  # of the rows share their level with another
TARGET_ALIKE = 0.2  # skill of the mean target of the other rows of a level
UNEXPLAINED = 0.2  # share of what columns leave unexplained in rows of new levels that the level explains
ROWS_ALIKE = 0.25  # intraclass correlation of the middle column
FIXED = 0.95  # from which a column never changes within a level
FEWEST_FIXED = 2
MOST_CANDIDATES = 3
MOST_PER_LEVEL = 50  # rows
NAME = re.compile(
    r"(^|[_\-\s.#])(id|ids|uuid|guid|subject|patient|person|people|user|customer|client|account|household|participant"
    r"|visitor|session|device|player|student|employee|member|respondent|animal|individual)s?([_\-\s.#]|$)"
    r"|[a-z](ID|Id)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Repeats:
    """A column whose levels repeat. codes: [n] of the training rows."""

    column: str
    codes: NDArray[np.int64]


def find(
    train: pd.DataFrame, target: NDArray[np.float64], problem: Problem, schema: Schema, seed: int
) -> Repeats | None:
    """Return the column by whose levels rows are alike far beyond chance, in features and in the target; or None.

    Columns in data.drop are looked at, too: rows are as alike without the id.
    """
    candidates = []
    for column in schema.columns:
        left_out = column.kind == "dropped" and column.reason != "listed in data.drop"
        if left_out or column.kind in ("image", "date", "boolean"):
            continue
        codes = _codes(train[column.name])
        if codes is not None and _repeats(codes):
            rows = _of_some_levels(codes, seed)
            outcome = predictions.outcomes(target[rows], classes=problem.classes is not None)
            told = _of_other_rows(codes[rows], outcome)
            alike = predictions.skill(outcome, told, classes=problem.classes is not None)
            candidates.append((alike, Repeats(column.name, codes), rows))
    candidates.sort(key=lambda candidate: -candidate[0])
    best, most = None, 0.0
    for alike, repeats, rows in candidates[:MOST_CANDIDATES]:
        if alike >= TARGET_ALIKE:
            share = _flattery(train, target, problem, schema, repeats, rows, seed)
            if share > most:
                best, most = repeats, share
    return best


def as_finding(repeats: Repeats) -> Finding:
    """Return what is said of a column whose levels repeat in all parts of the split."""
    name = repeats.column
    message = (
        f"rows that share {name!r} are alike and lie in all parts: a random split flatters. "
        f"Set split.method: grouped, split.group: {yaml_name(name)}"
    )
    return finding("group", "warning", [name], message, int(repeats.codes.max()) + 1)


def _codes(series: "pd.Series[float]") -> NDArray[np.int64] | None:
    """Return a code for each row; None for fractions, for missing values, and for cells that cannot be compared."""
    if pd.api.types.is_float_dtype(series.dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isnan(values).any() or (values != np.round(values)).any():
            return None
    try:
        codes = pd.factorize(series)[0].astype(np.int64)
    except TypeError:
        return None
    return None if (codes < 0).any() else codes


def _repeats(codes: NDArray[np.int64]) -> bool:
    """Return whether there are many levels, nearly all with several rows."""
    counts = np.bincount(codes)
    return bool(
        len(counts) >= FEWEST_LEVELS
        and len(counts) * FEWEST_PER_LEVEL <= len(codes)
        and counts[counts > 1].sum() >= REPEATED * len(codes)
    )


def _of_some_levels(codes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return at most MOST_ROWS rows of random levels: all rows of a level, or about MOST_PER_LEVEL of them."""
    random = np.random.default_rng(derive(seed, "audit", "groups"))
    counts = np.bincount(codes)
    order = random.permutation(len(counts))
    kept = random.random(len(codes)) < MOST_PER_LEVEL / counts.mean()
    first = np.cumsum(np.minimum(counts[order], MOST_PER_LEVEL)) <= MOST_ROWS
    chosen = np.zeros(len(counts), dtype=np.bool_)
    chosen[order[: max(1, int(first.sum()))]] = True
    return np.flatnonzero(chosen[codes] & kept)[:MOST_ROWS]


def _flattery(
    train: pd.DataFrame,
    target: NDArray[np.float64],
    problem: Problem,
    schema: Schema,
    repeats: Repeats,
    rows: NDArray[np.int64],
    seed: int,
) -> float:
    """Return the share of what columns leave unexplained in rows of new levels that rows of the same level explain.

    0 if it is small, or if the features of a level's rows are not alike: it is then a category like any other.
    """
    name = repeats.column
    used = [column for column in schema.columns if column.kind not in ("dropped", "image") and column.name != name]
    sample = of_rows(train, target, rows, problem, used, seed)
    if sample is None:
        return 0.0
    levels = np.unique(repeats.codes[sample.rows], return_inverse=True)[1].astype(np.int64)
    if not (NAME.search(name) or _rows_alike(sample, levels)):
        return 0.0
    grouped = sample.dealt(levels, seed)
    rest = grouped.outcomes - grouped.predicted(grouped.columns)
    share = predictions.skill(rest, _of_other_rows(levels, rest), classes=False)
    return share if share >= UNEXPLAINED else 0.0


def _of_other_rows(levels: NDArray[np.int64], outcome: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [n, m]: the mean outcome of the other rows of each row's level; of a lone row, of all rows."""
    counts = np.bincount(levels)[levels][:, None]
    sums = np.column_stack([np.bincount(levels, weights=each)[levels] for each in outcome.T])
    return np.asarray(np.where(counts > 1, (sums - outcome) / np.maximum(counts - 1, 1), outcome.mean(axis=0)))


def _rows_alike(sample: Sample, levels: NDArray[np.int64]) -> bool:
    """Return whether most columns are alike within levels, or several never change there.

    A column that has one value for each level, such as its name beside its number, is passed over.
    """
    found = []
    for features in sample.columns.values():
        values = features[0].values
        known = ~np.isnan(values)
        n_values = len(np.unique(values[known]))
        if known.mean() < 0.5 or n_values < 2:
            continue
        ranks = np.asarray(values[known] if features[0].levels else pd.Series(values[known]).rank(), dtype=np.float64)
        alike = _intraclass(levels[known], predictions.outcomes(ranks, classes=features[0].levels))
        if alike < FIXED or n_values != len(np.unique(levels[known])):
            found.append(alike)
    if not found:
        return False
    return float(np.median(found)) >= ROWS_ALIKE or sum(each >= FIXED for each in found) >= FEWEST_FIXED


def _intraclass(levels: NDArray[np.int64], outcome: NDArray[np.float64]) -> float:
    """Return the intraclass correlation of a one-way layout (Shrout and Fleiss, 1979), all outcomes taken together."""
    _, codes, counts = np.unique(levels, return_inverse=True, return_counts=True)
    n, k = len(codes), len(counts)
    if k < 2 or n == k:
        return 0.0
    means = np.column_stack([np.bincount(codes, weights=each) for each in outcome.T]) / counts[:, None]
    between = float((counts[:, None] * (means - outcome.mean(axis=0)) ** 2).sum()) / (k - 1)
    inside = float(((outcome - means[codes]) ** 2).sum()) / (n - k)
    size = (n - float((counts**2).sum()) / n) / (k - 1)
    spread = between + (size - 1) * inside
    return (between - inside) / spread if spread > 0 else 0.0
