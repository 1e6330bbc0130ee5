"""Out-of-fold predictions from one column, or from several in an additive model. numpy alone, so it starts at once.

n rows, m outcomes (an indicator of each class, or one value), f features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_ADDED = 50
RIDGE = 1e-3  # of the rows; predictions of columns that say the same would be collinear
FEWEST_OF_BIN = 5
MOST_BINS = 64
PRIOR_ROWS = 1.0  # by how many rows of the overall mean a level's mean is shrunk

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """values: [n], NaN where missing. levels: whether they are codes, whose order says nothing."""

    values: Array
    levels: bool = False


def outcomes(target: Array, *, classes: bool) -> Array:
    """Return [n, m]: an indicator of each class that occurs, of two classes of the second alone, or the values."""
    if not classes:
        return target.reshape(-1, 1)
    found = np.unique(target)
    shown = found[1:] if len(found) == 2 else found
    return np.asarray(target[:, None] == shown[None, :], dtype=np.float64)


def out_of_fold(feature: Feature, outcome: Array, folds: NDArray[np.int64], *, sharp: bool = False) -> Array:
    """Return [n, m]: what rows of the other folds say of each row, by this feature alone.

    Numbers: a line through the means of bins of neighbouring values; levels: the mean of the level's rows. Missing
    values are a level of their own. sharp: one bin for each value, and no shrinking of levels: a leak has no noise.
    """
    predicted = np.empty_like(outcome)
    for fold in np.unique(folds):
        held, other = folds == fold, folds != fold
        predicted[held] = _predict(feature, other, outcome[other], feature.values[held], sharp)
    return predicted


def _predict(feature: Feature, fitted: NDArray[np.bool_], outcome: Array, values: Array, sharp: bool) -> Array:
    known = feature.values[fitted]
    overall = outcome.mean(axis=0)
    predicted = np.tile(overall, (len(values), 1))
    shrunk = 0.0 if sharp else PRIOR_ROWS
    absent, asked_absent = np.isnan(known), np.isnan(values)
    if absent.any():
        n = int(absent.sum())
        predicted[asked_absent] = (outcome[absent].sum(axis=0) + shrunk * overall) / (n + shrunk)
    if absent.all():
        return predicted
    knots, codes = np.unique(known[~absent], return_inverse=True)
    counts = np.bincount(codes).astype(np.float64)
    sums = np.column_stack([np.bincount(codes, weights=each) for each in outcome[~absent].T])
    asked = values[~asked_absent]
    if feature.levels:
        place = np.minimum(np.searchsorted(knots, asked), len(knots) - 1)
        means = (sums + shrunk * overall) / (counts + shrunk)[:, None]
        predicted[~asked_absent] = np.where((knots[place] == asked)[:, None], means[place], overall)
        return predicted
    if not sharp:
        size = max(FEWEST_OF_BIN, int(np.ceil(counts.sum() / MOST_BINS)))
        bins = (np.cumsum(counts) - counts) // size  # a value with many rows has a bin of its own
        starts = np.flatnonzero(np.diff(bins, prepend=-1.0))
        knots = np.add.reduceat(knots * counts, starts) / np.add.reduceat(counts, starts)
        sums, counts = np.add.reduceat(sums, starts), np.add.reduceat(counts, starts)
    predicted[~asked_absent] = _interpolated(knots, sums / counts[:, None], asked)
    return predicted


def _interpolated(knots: Array, means: Array, values: Array) -> Array:
    """Return [n, m] on the line through (knots, means), level beyond its ends. knots: ascending."""
    if len(knots) == 1:
        return np.repeat(means, len(values), axis=0)
    right = np.clip(np.searchsorted(knots, values), 1, len(knots) - 1)
    left = right - 1
    weight = np.clip((values - knots[left]) / (knots[right] - knots[left]), 0, 1)[:, None]
    return np.asarray((1 - weight) * means[left] + weight * means[right])


def additive(inputs: Sequence[Array], outcome: Array, folds: NDArray[np.int64]) -> Array:
    """Return [n, m]: out-of-fold ridge regressions of each outcome on what single features say of it."""
    predicted = np.empty_like(outcome)
    for column in range(outcome.shape[1]):
        x = np.column_stack([each[:, column] for each in inputs])
        x = x - x.mean(axis=0)
        spread = x.std(axis=0)
        x = x / np.where(spread > 0, spread, 1.0)
        y = outcome[:, column]
        for fold in np.unique(folds):
            held, other = folds == fold, folds != fold
            gram = x[other].T @ x[other] + RIDGE * other.sum() * np.eye(x.shape[1])
            mean = y[other].mean()
            weights = np.linalg.solve(gram, x[other].T @ (y[other] - mean))
            predicted[held, column] = mean + x[held] @ weights
    return predicted


def skill(outcome: Array, predicted: Array, *, classes: bool) -> float:
    """Return 2 ROC AUC - 1, the mean over classes, or R2 of values: 0 is a guess, 1 is perfect."""
    if not classes:
        residual, total = ((outcome - predicted) ** 2).sum(), ((outcome - outcome.mean()) ** 2).sum()
        return float(1 - residual / total) if total > 0 else 0.0
    found = []
    for truth, scores in zip(outcome.T == 1, predicted.T, strict=True):
        positives, negatives = int(truth.sum()), int((~truth).sum())
        ranks = pd.Series(scores).rank().to_numpy()
        area = (ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives)
        found.append(2 * area - 1)
    return float(np.mean(found))


def balanced_accuracy(target: Array, predicted: Array) -> float:
    """Return the mean recall of classes if each row gets the class that gained most over its share. target: codes."""
    classes = np.unique(target)
    if predicted.shape[1] == 1:
        predicted = np.column_stack([1 - predicted, predicted])
    shares = np.array([(target == code).mean() for code in classes])
    chosen = classes[np.argmax(predicted / shares, axis=1)]
    return float(np.mean([(chosen[target == code] == code).mean() for code in classes]))
