"""Training rows as numbers, few enough that every test of the audit takes a fraction of a second."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import cells
from hone.data.audit import predictions
from hone.data.audit.predictions import Feature
from hone.data.problem import Problem
from hone.data.schema import Column, Schema, date_parts
from hone.seeds import derive

MOST_ROWS = 2000
MOST_CELLS = 400_000
FEWEST_ROWS = 20
FEWEST_OF_CLASS = 6  # a class with fewer rows can neither confirm nor deny a leak
N_FOLDS = 3


@dataclass(frozen=True)
class Sample:
    """Rows to look for leaks in.

    rows: [n] their positions. target: [n] class codes or values. columns: the features of each used column.
    missing: [n] for each column. folds: [n], 0 to N_FOLDS - 1; rows of one group are in one fold.
    """

    problem: Problem
    rows: NDArray[np.int64]
    target: NDArray[np.float64]
    columns: dict[str, tuple[Feature, ...]]
    missing: dict[str, NDArray[np.bool_]]
    folds: NDArray[np.int64]

    @cached_property
    def outcomes(self) -> NDArray[np.float64]:
        """Return [n, m] what features predict: an indicator of each class, or the values."""
        return predictions.outcomes(self.target, classes=self.problem.classes is not None)

    @cached_property
    def smooth(self) -> dict[str, list[NDArray[np.float64]]]:
        """Return out-of-fold predictions [n, m] from each feature of each column."""
        return {
            name: [predictions.out_of_fold(feature, self.outcomes, self.folds) for feature in features]
            for name, features in self.columns.items()
        }

    @cached_property
    def alone(self) -> dict[str, float]:
        """Return the skill of each column alone: of its best feature."""
        return {name: max((self.skill(each) for each in found), default=0.0) for name, found in self.smooth.items()}

    def skill(self, predicted: NDArray[np.float64]) -> float:
        """Return R2, or 2 ROC AUC - 1 (mean over classes): 0 is a guess, 1 is perfect."""
        return predictions.skill(self.outcomes, predicted, classes=self.problem.classes is not None)

    def predicted(self, columns: Iterable[str]) -> NDArray[np.float64]:
        """Return [n, m]: out-of-fold predictions of an additive model of the best of some columns."""
        best = sorted(columns, key=lambda name: -self.alone[name])[: predictions.MOST_ADDED]
        inputs = [each for name in best for each in self.smooth[name]]
        if not inputs:
            return np.tile(self.outcomes.mean(axis=0), (len(self.outcomes), 1))
        return predictions.additive(inputs, self.outcomes, self.folds)

    def together(self, columns: Iterable[str]) -> float:
        """Return the skill of several columns in an additive model, fitted and judged on different folds."""
        return self.skill(self.predicted(columns))

    def without(self, names: Collection[str]) -> "Sample":
        """Return the sample without some of its columns."""
        if not names:
            return self
        kept = {name: features for name, features in self.columns.items() if name not in names}
        fewer = replace(self, columns=kept, missing={name: self.missing[name] for name in kept})
        vars(fewer)["smooth"] = {name: self.smooth[name] for name in kept}  # they are the same, and take a while
        return fewer

    def dealt(self, groups: NDArray[np.int64], seed: int) -> "Sample":
        """Return the sample with folds that keep groups whole. groups: [n] codes."""
        return replace(self, folds=_folds(groups, seed))


def draw(
    train: pd.DataFrame, target: NDArray[np.float64], problem: Problem, schema: Schema, seed: int
) -> Sample | None:
    """Return at most MOST_ROWS training rows as numbers; None if they are too few to say anything.

    train: training rows; its index may be any. target: [n] class codes or values.
    """
    used = [column for column in schema.columns if column.kind not in ("dropped", "image")]
    n_rows = max(200, min(MOST_ROWS, MOST_CELLS // max(1, len(used))))
    rows = np.arange(len(train))
    if len(rows) > n_rows:
        rows = np.sort(np.random.default_rng(derive(seed, "audit")).permutation(len(train))[:n_rows])
    return of_rows(train, target, rows, problem, used, seed)


def of_rows(
    train: pd.DataFrame,
    target: NDArray[np.float64],
    rows: NDArray[np.int64],
    problem: Problem,
    used: Iterable[Column],
    seed: int,
) -> Sample | None:
    """Return some training rows as numbers; None if they are too few to say anything."""
    if problem.classes is not None:
        codes = target[rows].astype(np.int64)
        rows = rows[np.isin(codes, np.flatnonzero(np.bincount(codes) >= FEWEST_OF_CLASS))]
    chosen = target[rows]
    if not used or len(rows) < FEWEST_ROWS or len(np.unique(chosen)) < 2:
        return None
    frame = train.iloc[rows]
    columns, missing = {}, {}
    for column in used:
        features = read(frame[column.name], column)
        columns[column.name] = features
        missing[column.name] = np.all([np.isnan(feature.values) for feature in features], axis=0)
    return Sample(problem, rows, chosen, columns, missing, _folds(np.arange(len(rows)), seed))


def read(series: "pd.Series[float]", column: Column) -> tuple[Feature, ...]:
    """Return the numbers that a column holds: one feature, or a date's parts."""
    if column.kind == "numeric":
        return (Feature(np.asarray(cells.numbers(series), dtype=np.float64)),)
    if column.kind == "date":
        parts = date_parts(cells.dates(series, column.pattern))
        return tuple(Feature(np.asarray(parts[part], dtype=np.float64)) for part in column.parts)
    text = cells.booleans(series) if column.kind == "boolean" else cells.texts(series)
    codes = pd.factorize(text, sort=True)[0].astype(np.float64)
    return (Feature(np.where(codes < 0, np.nan, codes), levels=True),)


def _folds(groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a fold for each row: groups are dealt in random order."""
    _, codes = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(derive(seed, "audit", "folds")).permutation(int(codes.max()) + 1)
    return np.asarray(order[codes] % N_FOLDS, dtype=np.int64)
