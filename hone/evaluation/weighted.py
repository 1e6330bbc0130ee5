"""Metrics of many resamples at once: a resample is a vector of whole-number weights, one per row.

Symbols: b resamples, n rows, k classes. `weights` is float64 [b, n] holding whole numbers; `codes` is int64 [n];
`probabilities` is [n, k]. Every function returns float64 [b], NaN where the metric does not exist for a resample
(the area under a curve when one class is missing). Weighting row i by w equals repeating it w times, so each equals
scikit-learn's metric on the repeated rows, at a thousandth of the calls. Counts stay whole numbers below 2**53:
their sums are exact in any order, and so the same on any machine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.data.problem import Problem

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def accuracy(problem: Problem, codes: Codes, probabilities: Floats, weights: Floats) -> Floats:
    """Return the weighted share of rows whose most probable class is the true one."""
    return _mean(np.argmax(probabilities, axis=1) == codes, weights)


def balanced_accuracy(problem: Problem, codes: Codes, probabilities: Floats, weights: Floats) -> Floats:
    """Return the mean of the recalls of the classes that occur among the true ones."""
    hits, support, _ = _counts(codes, probabilities, weights)
    return _mean_where(_divide(hits, support), support > 0)


def precision(problem: Problem, codes: Codes, probabilities: Floats, weights: Floats) -> Floats:
    """Return the precision of the positive class, or the mean over classes that are true or predicted somewhere."""
    hits, support, predicted = _counts(codes, probabilities, weights)
    return _of_positive(problem, _divide(hits, predicted), support + predicted > 0)


def recall(problem: Problem, codes: Codes, probabilities: Floats, weights: Floats) -> Floats:
    """Return the recall of the positive class, or the mean over classes that are true or predicted somewhere."""
    hits, support, predicted = _counts(codes, probabilities, weights)
    return _of_positive(problem, _divide(hits, support), support + predicted > 0)


def f1(problem: Problem, codes: Codes, probabilities: Floats, weights: Floats) -> Floats:
    """Return the F1 of the positive class, or the mean over classes that are true or predicted somewhere."""
    hits, support, predicted = _counts(codes, probabilities, weights)
    return _of_positive(problem, _divide(2 * hits, support + predicted), support + predicted > 0)


def log_loss(problem: Problem, codes: Codes, probabilities: Floats, weights: Floats) -> Floats:
    """Return the weighted mean of minus the log of the true class's probability."""
    chosen = probabilities[np.arange(len(codes)), codes]
    tiny = float(np.finfo(probabilities.dtype).eps)
    return _mean(-np.log(np.clip(chosen.astype(np.float64), tiny, 1 - tiny)), weights)


def roc_auc(problem: Problem, codes: Codes, probabilities: Floats, weights: Floats) -> Floats:
    """Return the area under the ROC curve of the positive class, or the mean of each class against the rest."""
    return _over_classes(_area_under_roc, problem, codes, probabilities, weights)


def average_precision(problem: Problem, codes: Codes, probabilities: Floats, weights: Floats) -> Floats:
    """Return the average precision of the positive class, or the mean of each class against the rest."""
    return _over_classes(_average_precision, problem, codes, probabilities, weights)


def rmse(problem: Problem, target: Floats, values: Floats, weights: Floats) -> Floats:
    """Return the root of the weighted mean squared error."""
    return np.sqrt(_mean((values - target) ** 2, weights))


def mae(problem: Problem, target: Floats, values: Floats, weights: Floats) -> Floats:
    """Return the weighted mean absolute error."""
    return _mean(np.abs(values - target), weights)


def r2(problem: Problem, target: Floats, values: Floats, weights: Floats) -> Floats:
    """Return one minus the squared error over the target's variance; NaN where the target is constant."""
    centre = target.mean()  # any constant will do, and one near the mean keeps the digits
    error = _mean((values - target) ** 2, weights)
    variance = _mean((target - centre) ** 2, weights) - _mean(target - centre, weights) ** 2
    # Rounding may leave a constant target a variance.
    drawn = weights > 0
    varies = np.where(drawn, target, -np.inf).max(axis=1) > np.where(drawn, target, np.inf).min(axis=1)
    return np.where(varies & (variance > 0), 1 - _divide(error, variance), np.nan)


METRICS: dict[str, Callable[[Problem, Any, Floats, Floats], Floats]] = {
    function.__name__: function
    for function in (
        accuracy,
        balanced_accuracy,
        precision,
        recall,
        f1,
        log_loss,
        roc_auc,
        average_precision,
        rmse,
        mae,
        r2,
    )
}


def _mean(values: NDArray[Any], weights: Floats) -> Floats:
    # NumPy's own sum, not a matrix product: BLAS may add in an order that depends on its threads.
    return np.sum(weights * values, axis=1) / np.sum(weights, axis=1)  # type: ignore[no-any-return]


def _divide(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _mean_where(values: Floats, there: NDArray[np.bool_]) -> Floats:
    return np.sum(np.where(there, values, 0.0), axis=1) / np.sum(there, axis=1)  # type: ignore[no-any-return]


def _of_positive(problem: Problem, values: Floats, there: NDArray[np.bool_]) -> Floats:
    return _mean_where(values, there) if problem.positive_index is None else values[:, problem.positive_index]


def _counts(codes: Codes, probabilities: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return hits, true rows and predicted rows of every class, each [b, k]."""
    classes = np.arange(probabilities.shape[1])
    true = codes[:, None] == classes
    chosen = np.argmax(probabilities, axis=1)[:, None] == classes
    return weights @ (true & chosen), weights @ true, weights @ chosen


def _over_classes(
    area: Callable[[Floats, Floats], Floats], problem: Problem, codes: Codes, probabilities: Floats, weights: Floats
) -> Floats:
    """Return the area of the positive class, or the mean over the classes that a resample has."""
    labels = range(probabilities.shape[1]) if problem.positive_index is None else [problem.positive_index]
    areas, there = np.zeros(len(weights)), np.zeros(len(weights))
    for label in labels:
        hits, others = _at_thresholds(codes == label, probabilities[:, label], weights)
        both = (hits[:, -1] > 0) & (others[:, -1] > 0)
        areas += np.where(both, area(hits, others), 0.0)
        there += both
    return np.where(there > 0, _divide(areas, there), np.nan)


def _area_under_roc(hits: Floats, others: Floats) -> Floats:
    # A positive beats the negatives scored below it, and half of those that tie with it.
    won = np.sum(_steps(hits) * (others[:, -1:] - others + 0.5 * _steps(others)), axis=1)
    return _divide(won, hits[:, -1] * others[:, -1])


def _average_precision(hits: Floats, others: Floats) -> Floats:
    return _divide(np.sum(_steps(hits) * _divide(hits, hits + others), axis=1), hits[:, -1])


def _at_thresholds(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return positives and negatives at or above each distinct score, highest first, each [b, n distinct]."""
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(weights[:, order] * positive[order], axis=1)[:, last_of_ties]
    everything = np.cumsum(weights[:, order], axis=1)[:, last_of_ties]
    return hits, everything - hits


def _steps(cumulative: Floats) -> Floats:
    return np.diff(cumulative, axis=1, prepend=0.0)
