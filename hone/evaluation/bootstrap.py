"""Paired bootstrap intervals (Efron 1979, percentile method) of metrics, and of differences between two models.

All models are scored on the same resamples, so that what is hard for both cancels out of their difference.
Rows that belong together (a grouped split) are drawn together: drawn one by one they would promise too much.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hone import metrics
from hone.data.problem import Problem
from hone.evaluation import weighted
from hone.seeds import numpy_generator

Floats = NDArray[np.float64]
CHUNK = 2**21  # weights held at once: 16 MiB


@dataclass(frozen=True)
class Interval:
    """A number measured on all rows, with its percentile interval over resamples.

    deviation: standard deviation over the resamples, the number's standard error. n_resamples: those in which
    the number exists. low, high and deviation are NaN if it exists in none.
    """

    value: float
    low: float
    high: float
    deviation: float
    n_resamples: int


def resamples(
    n_rows: int, n_resamples: int, seed: int, groups: NDArray[np.generic] | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yield how often each row occurs, [n_rows] whole numbers, for each resample in turn.

    groups: [n_rows], the group of each row; whole groups are drawn, with replacement. Depends on `seed` only.
    """
    generator = numpy_generator(seed, "bootstrap")
    n_units, unit = n_rows, np.arange(n_rows)
    if groups is not None:
        distinct, unit = np.unique(groups, return_inverse=True)
        n_units = len(distinct)
    for _ in range(n_resamples):
        yield np.bincount(generator.integers(0, n_units, n_units), minlength=n_units)[unit]


def scores(
    names: Sequence[str],
    problem: Problem,
    y_true: NDArray[np.generic],
    predictions: Mapping[str, Floats],
    *,
    n_resamples: int,
    seed: int,
    groups: NDArray[np.generic] | None = None,
) -> dict[str, dict[str, Floats]]:
    """Return, for each model and metric, its value in every resample, [n_resamples]; NaN where it does not exist.

    y_true: class codes or values, [n]. predictions: model -> [n, n_classes] probabilities, or [n] values.
    A single row, or a single group, says nothing of what chance does: NaN in each.
    All models see the same resamples. Values equal those of `hone.metrics.score` on the drawn rows.
    """
    n_rows = len(y_true)
    if n_rows < 2 or (groups is not None and len(np.unique(groups)) < 2):
        # Of a single unit every resample is the same: that would look like certainty.
        return {model: {name: np.full(n_resamples, np.nan) for name in names} for model in predictions}
    predictions = {model: _prepared(prediction) for model, prediction in predictions.items()}
    found: dict[str, dict[str, list[Floats]]] = {model: {name: [] for name in names} for model in predictions}
    for chunk in _chunks(resamples(n_rows, n_resamples, seed, groups), max(1, CHUNK // n_rows)):
        for model, prediction in predictions.items():
            for name in names:
                found[model][name].append(_score(name, problem, y_true, prediction, chunk))
    return {model: {name: np.concatenate(parts) for name, parts in by_name.items()} for model, by_name in found.items()}


def interval(value: float, sample: Floats, confidence: float) -> Interval:
    """Return `value` with the central `confidence` share of `sample`, NaN left out."""
    there = sample[~np.isnan(sample)]
    if not len(there):
        return Interval(value, math.nan, math.nan, math.nan, 0)
    low, high = np.quantile(there, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high), float(np.std(there)), len(there))


def gain(
    name: str, tuned: float, defaults: float, of_tuned: Floats, of_defaults: Floats, confidence: float
) -> Interval:
    """Return by how much `tuned` is better than `defaults` in the metric `name`, positive if it is better.

    of_tuned, of_defaults: the metric in the same resamples, in the same order (`scores`).
    """
    if not metrics.METRICS[name].larger_is_better:  # by subtraction: a factor of -1 makes a negative zero of nothing
        (tuned, of_tuned), (defaults, of_defaults) = (defaults, of_defaults), (tuned, of_tuned)
    return interval(tuned - defaults, of_tuned - of_defaults, confidence)


def _chunks(counts: Iterator[NDArray[np.int64]], size: int) -> Iterator[Floats]:
    rows: list[NDArray[np.int64]] = []
    for row in counts:
        rows.append(row)
        if len(rows) == size:
            yield np.stack(rows).astype(np.float64)
            rows = []
    if rows:
        yield np.stack(rows).astype(np.float64)


def _prepared(prediction: Floats) -> Floats:
    """Return values as they are, and probabilities such that each row sums to one, as `hone.metrics` takes them."""
    prediction = np.asarray(prediction, dtype=np.float64)
    return prediction if prediction.ndim == 1 else prediction / prediction.sum(axis=1, keepdims=True)


def _score(name: str, problem: Problem, y_true: NDArray[np.generic], prediction: Floats, weights: Floats) -> Floats:
    if not np.isfinite(prediction).all():
        return np.full(len(weights), np.nan)
    if name in weighted.METRICS:
        return weighted.METRICS[name](problem, y_true, prediction, weights)
    # A metric without a weighted twin is slow, not absent.
    rows = [np.repeat(np.arange(len(y_true)), row.astype(np.int64)) for row in weights]
    return np.array([metrics.score(name, problem, y_true[drawn], prediction[drawn]) for drawn in rows])
