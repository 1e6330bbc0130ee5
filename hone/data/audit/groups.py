"""Ids that repeat, such as a patient's: rows of one id are alike, and a random split puts them into several parts."""

import re
from collections.abc import Mapping
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
    r"|(?-i:[a-z](ID|Id))$",
    re.IGNORECASE,
)


ENTITY = re.compile(
    r"(^|[_\-\s.#])(subject|patient|person|user|customer|client|account|household|participant|visitor|player|student"
    r"|employee|member|respondent|individual)([_\-\s.#]*(id|no|nr|number|key|code|name))?#?$"
    r"|(^|[_\-\s.#])(id|uuid|guid)$|(?-i:[a-z](ID|Id))$",
    re.IGNORECASE,
)
"""Names of columns that say whom a row is of. `customer_age` and `cost_per_user` are measurements."""
MEASURES = re.compile(r"(^|[_\-\s.])(n|num|count|per|by|of)[_\-\s.]", re.IGNORECASE)
FEWEST_SHARED = 0.1  # of the rows share their level with another part
FEWEST_LEVELS_UNNAMED, MOST_PER_LEVEL_UNNAMED = 50, 10  # without a name that says so: many levels, few rows of each
REPEATED_UNNAMED = 0.5  # of the training rows share their level with another
MOST_RUNS = 1.2  # for each value of a column along sorted numbers, if it is computed from them
SAME = 0.9  # agreement within levels beyond chance, from which a column counts as the same in all rows of a level


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


def shared(
    frame: pd.DataFrame, parts: Mapping[str, NDArray[np.int64]], schema: Schema, target: str, seed: int
) -> list[Finding]:
    """Return a note on a column that looks like an id, if rows of the same level stand in several parts; or none.

    It looks like one by its name; or it is text, or whole numbers, with many levels of few training rows each, within
    which other columns do not change. Whether it flatters is not measured: for that there is `find`.
    """
    rows = np.concatenate(list(parts.values()))
    part = np.repeat(np.arange(len(parts)), [len(each) for each in parts.values()])
    most: tuple[int, str] | None = None
    for column in schema.columns:
        left_out = column.kind == "dropped" and column.reason != "listed in data.drop"
        if left_out or column.kind in ("image", "date", "boolean"):
            continue
        codes = _codes(frame[column.name].iloc[rows], missing=True)
        if codes is None or codes.max() + 1 < FEWEST_LEVELS:
            continue
        known = codes >= 0
        n_parts = np.zeros(int(codes.max()) + 1, dtype=np.int64)
        for each in range(len(parts)):
            n_parts += np.bincount(codes[known & (part == each)], minlength=len(n_parts)) > 0
        count = int((n_parts[codes[known]] > 1).sum())
        if count < FEWEST_SHARED * len(rows) or (most is not None and count <= most[0]):
            continue
        if _names_an_entity(column.name) or _is_unnamed_id(frame.iloc[parts["train"]], column.name, target, seed):
            most = (count, column.name)
    if most is None:
        return []
    count, name = most
    message = (
        f"{count:,} of {len(rows):,} rows share {name!r} with rows of another part. If such rows belong together, "
        f"set split.method: grouped, split.group: {yaml_name(name)}"
    )
    return [finding("shared", "info", [name], message, count)]


def _names_an_entity(name: str) -> bool:
    return ENTITY.search(name) is not None and MEASURES.search(name) is None


def _is_unnamed_id(train: pd.DataFrame, name: str, target: str, seed: int) -> bool:
    """Return whether a column has many levels of few rows each, within which several other columns do not change."""
    codes = _codes(train[name])
    if codes is None or codes.max() + 1 < FEWEST_LEVELS_UNNAMED:
        return False
    counts = np.bincount(codes)
    if counts.mean() > MOST_PER_LEVEL_UNNAMED or counts[counts > 1].sum() < REPEATED_UNNAMED * len(codes):
        return False
    rows = _of_some_levels(codes, seed)
    order = rows[np.argsort(codes[rows], kind="stable")]
    if pd.api.types.is_numeric_dtype(train[name].dtype):
        order = order[np.argsort(train[name].iloc[order].to_numpy(dtype=np.float64), kind="stable")]
    levels = np.unique(codes[order], return_inverse=True)[1]
    fixed = 0
    for other in train.columns.drop([name, target]):
        values = _codes(train[other].iloc[order])
        fixed += values is not None and _is_fixed(levels, values)
        if fixed >= FEWEST_FIXED:
            return True
    return False


def _is_fixed(levels: NDArray[np.int64], values: NDArray[np.int64]) -> bool:
    """Return whether a column says the same in all rows of a level, and neither names it nor is computed from it.

    levels, values: [n] codes, of rows sorted by level. Bins of a measurement are runs of its sorted values.
    """
    n_values = int(values.max()) + 1
    if n_values >= SAME * len(np.unique(levels)) or (np.diff(values) != 0).sum() < MOST_RUNS * n_values:
        return False
    counts = np.bincount(values)
    by_chance = float((counts * (counts - 1)).sum()) / (len(values) * (len(values) - 1))
    together = np.unique(levels * n_values + values, return_counts=True)[1]
    sizes = np.bincount(levels)
    agree = float((together * (together - 1)).sum()) / max(1, int((sizes * (sizes - 1)).sum()))
    return by_chance < 1 and (agree - by_chance) / (1 - by_chance) >= SAME


def _codes(series: "pd.Series[float]", *, missing: bool = False) -> NDArray[np.int64] | None:
    """Return a code for each row; None for fractions, and for cells that cannot be compared.

    missing: whether a missing value has the code -1; if not, and there is one, None is returned.
    """
    if pd.api.types.is_float_dtype(series.dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        values = values[~np.isnan(values)]
        if (values != np.round(values)).any():
            return None
    try:
        codes = pd.factorize(series)[0].astype(np.int64)
    except TypeError:
        return None
    return None if not len(codes) or ((codes < 0).any() and not missing) else codes


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
