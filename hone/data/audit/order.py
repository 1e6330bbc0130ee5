"""Rows in an order that says something: sorted by target, or in order of time while the split is at random."""

import re
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data.audit import predictions
from hone.data.audit.findings import Finding, finding, yaml_name
from hone.data.audit.sample import read
from hone.data.problem import Problem
from hone.data.schema import Column, Schema

MOST_ROWS = 20_000
FEWEST_ROWS = 60
ROWS_OF_BLOCK = 15
MOST_BLOCKS = 20
SIGMA = 8.0  # chance moves a sum of squares by so many standard deviations once in 10^9 tables or less
DRIFT = 0.02  # share of the variance that lies between blocks of rows
NEIGHBOURS = 0.1  # correlation of rows that follow one another
NAME = re.compile(r"(^|[_\-\s.])(date|time|datetime|timestamp|day|month|year|week|hour|period|dt|ts)([_\-\s.]|$)", re.I)


def sorted_by_target(target: NDArray[np.float64], problem: Problem, method: str) -> list[Finding]:
    """Return a finding if rows are sorted by target. target: [n], of training rows in the table's order."""
    if len(target) < 20:
        return []
    if problem.classes is None:
        ranks = pd.Series(target).rank().to_numpy()
        is_sorted = abs(float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])) > 0.95
    else:
        shares = np.bincount(target.astype(np.int64)) / len(target)
        changes = int((np.diff(target) != 0).sum())
        is_sorted = changes < 0.1 * (1 - float((shares**2).sum())) * (len(target) - 1)
    if not is_sorted:
        return []
    severity = "warning" if method == "time" else "info"
    message = (
        f"the table's rows are sorted by {problem.target!r}: a column that follows the row order would give it away"
    )
    return [finding("sorted_by_target", severity, [problem.target], message, len(target))]


def by_time(
    train: pd.DataFrame, target: NDArray[np.float64], problem: Problem, schema: Schema, ids: Collection[str] = ()
) -> list[Finding]:
    """Return a finding if target and columns drift from row to row as in order of time. Rows: in the table's order.

    A warning if a date or an id is in order, too; else a note, since places are in such an order as well. If rows are
    sorted by a column that is neither a date nor an id, that explains the drift, and nothing is said.
    """
    step = -(-len(train) // MOST_ROWS)
    train, target = train.iloc[::step], target[::step]
    if len(train) < FEWEST_ROWS or not _drifts(predictions.outcomes(target, classes=problem.classes is not None)):
        return []
    clocks, moving = [], []
    for column in schema.columns:
        if column.kind in ("dropped", "image"):
            continue
        feature = read(train[column.name], column)[0]
        if _sorts(feature.values, levels=feature.levels):
            if not _is_clock(column, ids):
                return []
            clocks.append(column)
        elif _drifts(_filled(feature)):
            moving.append(column.name)
    if clocks:
        # a date tells time better than a running number
        clock = min(clocks, key=lambda column: (column.kind != "date", column.name in ids)).name
        message = (
            f"rows are in order of {clock!r}, and {problem.target!r} drifts with it: a random split learns from "
            f"later rows. Set split.method: time, split.time: {yaml_name(clock)}"
        )
        return [finding("time_order", "warning", [clock], message, len(train))]
    if not moving:
        return []
    count = f"{len(moving)} column{'' if len(moving) == 1 else 's'}"
    number = next(name for name in ("row", "row_number", "row_number_") if name not in train.columns)
    message = (
        f"{problem.target!r} and {count} drift from row to row. Is it time? Then number the rows in a column "
        f"{number!r}, split.method: time, split.time: {number}, data.drop: [{number}]"
    )
    return [finding("time_order", "info", [], message, len(moving))]


def _is_clock(column: Column, ids: Collection[str]) -> bool:
    return column.kind == "date" or column.name in ids or NAME.search(column.name) is not None


def _filled(feature: predictions.Feature) -> NDArray[np.float64]:
    """Return [n, m]: ranks of numbers, or an indicator of each level; missing values in the middle, or a level."""
    if feature.levels:
        return predictions.outcomes(np.nan_to_num(feature.values, nan=-1.0), classes=True)
    ranks = pd.Series(feature.values).rank()
    return np.asarray(ranks.fillna(ranks.median()), dtype=np.float64).reshape(-1, 1)


def _sorts(values: NDArray[np.float64], *, levels: bool) -> bool:
    """Return whether rows are sorted by a column: numbers never fall, or never rise; each level is one run of rows."""
    known = values[~np.isnan(values)]
    n_values = len(np.unique(known))
    if len(known) < 0.95 * len(values) or n_values < 2:
        return False
    steps = np.diff(known)
    return int((steps != 0).sum()) == n_values - 1 if levels else bool((steps >= 0).all() or (steps <= 0).all())


def _drifts(outcome: NDArray[np.float64]) -> bool:
    """Return whether blocks of rows differ, or neighbours are alike, beyond chance and by enough to matter.

    outcome: [n, m]. Under exchangeable rows the share of variance between B blocks has mean (B - 1) / (n - 1) and
    standard deviation of about sqrt(2 (B - 1)) / n; the correlation of neighbours has that of 1 / sqrt(n).
    """
    n = len(outcome)
    centred = outcome - outcome.mean(axis=0)
    total = float((centred**2).sum())
    if total == 0:
        return False
    neighbours = float((centred[1:] * centred[:-1]).sum()) / total
    if neighbours >= NEIGHBOURS and neighbours * np.sqrt(n) >= SIGMA:
        return True
    n_blocks = int(np.clip(n // ROWS_OF_BLOCK, 2, MOST_BLOCKS))
    starts = np.arange(n_blocks) * n // n_blocks
    sizes = np.diff(starts, append=n)[:, None]
    share = float((np.add.reduceat(centred, starts, axis=0) ** 2 / sizes).sum()) / total
    excess = share - (n_blocks - 1) / (n - 1)
    return excess >= DRIFT and excess * n >= SIGMA * np.sqrt(2 * (n_blocks - 1))
