"""From probabilities to probabilities that can be believed, and to decisions: a temperature and a threshold."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from hone import metrics
from hone.data.problem import Problem
from hone.evaluation import curves

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
MOST = 20.0  # temperatures from its inverse to it
PRIOR = 0.5  # standard deviation of the logarithm of a temperature
DECIDED = ("accuracy", "balanced_accuracy", "f1")
"""Metrics of two classes that have a best threshold. Precision and recall have none: each is best at an extreme."""


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Return probabilities [n, n_classes] with their logarithms divided by a temperature; above 1 it evens them out."""
    if temperature == 1.0 or not len(probabilities):
        return probabilities
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def temperature(probabilities: Floats, codes: Codes) -> float:
    """Return the temperature with the lowest log loss on these rows (Guo et al. 2017). codes: [n], the true classes.

    Its logarithm has a normal prior around 0, as rows that are all predicted right would ask for certainty. Platt's
    remedy (1999, section 2.2), a row more of each class, is of no use here: of 10 classes and 360 rows it allows no
    mean probability above 0.975, whatever the accuracy.
    """
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        found = tempered(probabilities, math.exp(log_temperature))[rows, codes]
        log_loss = -np.sum(np.log(np.maximum(found, np.finfo(np.float64).tiny)))
        return float(log_loss + (log_temperature / PRIOR) ** 2 / 2)

    bound = math.log(MOST)
    return math.exp(float(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def error(problem: Problem, probabilities: Floats, codes: Codes) -> float:
    """Return the expected calibration error: of the positive class, or of the most probable of more than two."""
    if problem.positive_index is None:
        return curves.calibration_error(curves.calibration(*curves.confidence(codes, probabilities)))
    happened, probability = codes == problem.positive_index, probabilities[:, problem.positive_index]
    return curves.calibration_error(curves.calibration(happened, probability))


def threshold(metric: str, problem: Problem, probabilities: Floats, codes: Codes) -> float:
    """Return the probability of the positive class from which it is predicted, as is best for one of `DECIDED`.

    Of equally good ones, midway between two rows' probabilities, that nearest to a half.
    """
    assert problem.positive_index is not None
    score = probabilities[:, problem.positive_index]
    order = np.argsort(-score, kind="stable")
    hits = np.concatenate([[0], np.cumsum(codes[order] == problem.positive_index)]).astype(np.float64)
    called = np.arange(len(score) + 1, dtype=np.float64)
    cuts = np.concatenate([[1.0], (score[order][:-1] + score[order][1:]) / 2, [0.0]])
    possible = np.concatenate([[score.max() < 1], score[order][:-1] > score[order][1:], [True]])
    n, positives = float(len(score)), hits[-1]
    rejected = n - called - (positives - hits)  # rows of the other class that are not called positive
    if metric == "accuracy":
        values = (hits + rejected) / n
    elif metric == "balanced_accuracy":
        values = hits / max(positives, 1.0) + rejected / max(n - positives, 1.0)
    else:
        assert metric == "f1"
        values = 2 * hits / np.maximum(called + positives, 1.0)
    best = np.flatnonzero(possible & (values >= values[possible].max() - 1e-12))
    return float(cuts[best[np.argmin(np.abs(cuts[best] - 0.5))]])


def decide(problem: Problem, probabilities: Floats, threshold: float | None = None) -> Codes:
    """Return class codes [n]: the most probable class, or the positive one from a threshold on."""
    if threshold is None:
        return np.asarray(np.argmax(probabilities, axis=1), dtype=np.int64)
    assert problem.positive_index is not None
    positive = probabilities[:, problem.positive_index] >= threshold
    return np.where(positive, problem.positive_index, 1 - problem.positive_index).astype(np.int64)


def for_metric(metric: str, problem: Problem, prediction: Floats, threshold: float | None) -> Floats:
    """Return a prediction as a metric is to see it: decisions by the threshold where it asks for labels."""
    if threshold is None or metrics.METRICS[metric].needs != "label":
        return prediction
    return np.eye(problem.n_classes)[decide(problem, prediction, threshold)]
