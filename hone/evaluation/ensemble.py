"""Which models to average: greedy selection with replacement (Caruana et al. 2004), and what it is worth on new rows.

Selecting on the rows that one scores on flatters. So the worth of a selection is measured by cross-fitting: each part
of the rows is predicted by what was selected on the other parts.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone import metrics
from hone.data.problem import Problem
from hone.evaluation import weighted
from hone.seeds import numpy_generator

Floats = NDArray[np.float64]
Loss = tuple[float, float]
ROUNDS = 10  # models drawn, with replacement: shares are tenths


def loss(problem: Problem, y_true: NDArray[Any], prediction: Floats) -> Loss:
    """Return the objective, and the log loss or squared error by which equal objectives are told apart."""
    names = (problem.metric, "rmse" if problem.classes is None else "log_loss")
    objective, second = (metrics.objective(name, _score(name, problem, y_true, prediction)) for name in names)
    # NaN where these rows do not allow the metric: then all models are alike.
    return (objective if math.isfinite(objective) else math.inf, second if math.isfinite(second) else math.inf)


def _score(name: str, problem: Problem, y_true: NDArray[Any], prediction: Floats) -> float:
    """Return what `metrics.score` does, at a fraction of the time where it can be had: it is asked for very often."""
    if name not in weighted.METRICS or not np.isfinite(prediction).all():
        return metrics.score(name, problem, y_true, prediction)
    return float(weighted.METRICS[name](problem, y_true, prediction, np.ones((1, len(y_true))))[0])


def greedy(predictions: Sequence[Floats], score: Callable[[Floats], Loss], rounds: int = ROUNDS) -> NDArray[np.int64]:
    """Return how often each model is drawn, [n_models].

    In each round that model is drawn, again if need be, whose addition makes the average best; ties go to the first
    model. Of all rounds the best is kept, the first of equals. score: of an average; less is better.
    """
    counts = np.zeros(len(predictions), dtype=np.int64)
    total = np.zeros_like(predictions[0])
    best, kept = (math.inf, math.inf), counts
    for n in range(1, rounds + 1):
        losses = [score((total + prediction) / n) for prediction in predictions]
        chosen = min(range(len(losses)), key=losses.__getitem__)
        counts[chosen] += 1
        total = total + predictions[chosen]
        if losses[chosen] < best or n == 1:
            best, kept = losses[chosen], counts.copy()
    return kept


def average(predictions: Sequence[Floats], counts: NDArray[np.int64]) -> Floats:
    """Return the average of predictions, each as often as it counts."""
    return np.asarray(np.average(np.stack(predictions), axis=0, weights=counts), dtype=np.float64)


def parts(n_rows: int, n_parts: int, seed: int, groups: NDArray[np.generic] | None = None) -> NDArray[np.int64]:
    """Return the part of each row, [n_rows], drawn by `seed`; rows of a group (groups: [n_rows]) stay together."""
    unit = np.arange(n_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_units = int(unit.max()) + 1
    return np.asarray(numpy_generator(seed, "parts").permutation(n_units)[unit] % n_parts, dtype=np.int64)


def cross_fitted(part: NDArray[np.int64], learn: Callable[[NDArray[np.int64], NDArray[np.int64]], Floats]) -> Floats:
    """Return predictions for all rows, those of each part by what was learnt on the others.

    part: [n], of each row. learn: given the rows to learn from and the rows to predict, it returns predictions.
    """
    found: Floats | None = None
    for number in np.unique(part):
        rows = np.flatnonzero(part == number)
        predicted = learn(np.flatnonzero(part != number), rows)
        found = np.empty((len(part), *predicted.shape[1:])) if found is None else found
        found[rows] = predicted
    assert found is not None
    return found
