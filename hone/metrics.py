"""Metrics by name: what they fit, which way is better, and their value. scikit-learn computes all of them.

One convention, scikit-learn's: of two classes, precision, recall, F1, ROC AUC and average precision are those of the
positive class; of more than two, they are means over the classes (macro averages).
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hone.errors import UserError

if TYPE_CHECKING:  # problem.py imports this module
    from hone.data.problem import Problem, Task


class _OfSklearn:
    """scikit-learn's metrics, imported at the first call: it takes a second, which a look at a table must not."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module("sklearn.metrics"), name)(*arguments, **options)

        return call


sk = _OfSklearn()
Array = NDArray[Any]
CLASSES: frozenset[Task] = frozenset({"binary", "multiclass"})
VALUES: frozenset[Task] = frozenset({"regression"})


@dataclass(frozen=True)
class Metric:
    """One metric. `function` takes (problem, y_true, y), with y as `needs` says.

    needs: "label" is an int64 class code a row, "probability" is [n, n_classes], "value" is [n] in original units.
    """

    name: str
    tasks: frozenset[Task]
    larger_is_better: bool
    needs: Literal["label", "probability", "value"]
    function: Callable[[Problem, Array, Array], float]


def _one_against_rest(score: Callable[..., Any], problem: Problem, y_true: Array, probability: Array) -> float:
    """Return `score` of the positive class, or its mean over the classes that are present; NaN if there is none.

    scikit-learn's own macro average fails where a class is absent, as it may be in a bootstrap resample.
    """
    if problem.positive_index is not None:
        codes = [problem.positive_index]
    else:
        codes = list(range(probability.shape[1]))
    found = [(y_true == code, probability[:, code]) for code in codes]
    scores = [float(score(hit, column)) for hit, column in found if hit.any() and not hit.all()]
    return float(np.mean(scores)) if scores else float("nan")


def _log_loss(problem: Problem, y_true: Array, probability: Array) -> float:
    return float(sk.log_loss(y_true, probability, labels=list(range(probability.shape[1]))))


def _accuracy(problem: Problem, y_true: Array, label: Array) -> float:
    return float(sk.accuracy_score(y_true, label))


def _balanced_accuracy(problem: Problem, y_true: Array, label: Array) -> float:
    # the same number as balanced_accuracy_score, which warns about a class that is predicted but absent
    return float(sk.recall_score(y_true, label, labels=np.unique(y_true), average="macro", zero_division=0.0))


def _of_positive(score: Callable[..., Any], problem: Problem, y_true: Array, label: Array) -> float:
    """Return `score` of the positive class, which `data.positive` names; the macro average where there is none."""
    if problem.positive_index is None:
        return float(score(y_true, label, average="macro", zero_division=0.0))
    return float(score(y_true, label, labels=[problem.positive_index], average="macro", zero_division=0.0))


def _of_values(score: Callable[..., Any], problem: Problem, y_true: Array, value: Array) -> float:
    return float(score(y_true, value))


def _r2(problem: Problem, y_true: Array, value: Array) -> float:
    return float(sk.r2_score(y_true, value)) if len(y_true) > 1 else float("nan")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", CLASSES, True, "label", _accuracy),
        Metric("balanced_accuracy", CLASSES, True, "label", _balanced_accuracy),
        Metric("f1", CLASSES, True, "label", partial(_of_positive, sk.f1_score)),
        Metric("precision", CLASSES, True, "label", partial(_of_positive, sk.precision_score)),
        Metric("recall", CLASSES, True, "label", partial(_of_positive, sk.recall_score)),
        Metric("roc_auc", CLASSES, True, "probability", partial(_one_against_rest, sk.roc_auc_score)),
        Metric(
            "average_precision", CLASSES, True, "probability", partial(_one_against_rest, sk.average_precision_score)
        ),
        Metric("log_loss", CLASSES, False, "probability", _log_loss),
        Metric("rmse", VALUES, False, "value", partial(_of_values, sk.root_mean_squared_error)),
        Metric("mae", VALUES, False, "value", partial(_of_values, sk.mean_absolute_error)),
        Metric("r2", VALUES, True, "value", _r2),
    )
}


def default_metric(task: Task) -> str:
    """Return the metric that `auto` stands for."""
    return {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}[task]


def in_order(metric: str, names: Collection[str]) -> list[str]:
    """Return names of metrics as tables list them: this one first, the others as they stand in `METRICS`."""
    return [metric, *(name for name in METRICS if name in names and name != metric)]


def check(name: str, task: Task | None = None) -> None:
    """Raise a UserError if there is no such metric, or if it does not fit the task (None: any task)."""
    if name not in METRICS:
        near = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use auto or one of {', '.join(METRICS)}"
        raise UserError(f"data.metric: there is no metric {name!r}; {hint}")
    if task is not None and task not in METRICS[name].tasks:
        fitting = ", ".join(other.name for other in METRICS.values() if task in other.tasks)
        raise UserError(f"data.metric: {name} does not fit a {task} task; use auto or one of {fitting}")


def objective(metric: str, value: float) -> float:
    """Return the number that is minimised: the value, negated where larger is better."""
    return -value if METRICS[metric].larger_is_better else value


def value(metric: str, objective: float) -> float:
    """Return a metric's value from its objective; the inverse of `objective`."""
    return -objective if METRICS[metric].larger_is_better else objective


def score(name: str, problem: Problem, y_true: Array, prediction: Array) -> float:
    """Return one metric's value, or NaN where it is undefined (no rows, one class only, a prediction not finite).

    y_true: [n] class codes, or [n] values in original units.
    prediction: [n, n_classes] probabilities (binary has 2 columns), or [n] values in original units.
    """
    return _score_each([METRICS[name]], problem, y_true, prediction)[name]


def score_all(problem: Problem, y_true: Array, prediction: Array) -> dict[str, float]:
    """Return every metric that fits the problem's task, by name; arguments and NaN as for `score`."""
    return _score_each([m for m in METRICS.values() if problem.task in m.tasks], problem, y_true, prediction)


def by_class(y_true: Array, label: Array, n_classes: int) -> list[dict[str, float]]:
    """Return precision, recall, f1 (0 where they are undefined) and support, the count of true rows, of every class.

    y_true, label: [n] true and predicted class codes.
    """
    found = sk.precision_recall_fscore_support(y_true, label, labels=list(range(n_classes)), zero_division=0.0)
    return [
        {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for p, r, f, n in zip(*found, strict=True)
    ]


def _score_each(chosen: list[Metric], problem: Problem, y_true: Array, prediction: Array) -> dict[str, float]:
    prediction = np.asarray(prediction, dtype=np.float64)
    if len(y_true) == 0 or not np.isfinite(prediction).all():
        return {metric.name: float("nan") for metric in chosen}
    if problem.task == "regression":
        given = {"value": prediction.reshape(len(y_true))}
    else:
        # float32 probabilities do not sum to one closely enough for log_loss, which then warns
        given = {
            "probability": prediction / prediction.sum(axis=1, keepdims=True),
            "label": prediction.argmax(axis=1),
        }
    return {metric.name: metric.function(problem, np.asarray(y_true), given[metric.needs]) for metric in chosen}
