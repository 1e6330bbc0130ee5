"""Metrics: equal to their definitions, defined where scikit-learn's are not, and named when they do not fit."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from hone import metrics
from hone.data.problem import Problem
from hone.errors import UserError

BINARY = Problem(task="binary", target="y", metric="roc_auc", classes=("no", "yes"), positive_index=1)
FLIPPED = Problem(task="binary", target="y", metric="roc_auc", classes=("no", "yes"), positive_index=0)
THREE = Problem(task="multiclass", target="y", metric="accuracy", classes=("a", "b", "c"))
VALUES = Problem(task="regression", target="y", metric="rmse")
PROBLEMS = (BINARY, FLIPPED, THREE, VALUES)


def example(problem, n=60, dtype=np.float64):
    random = np.random.default_rng(1)
    if problem.classes is None:
        y = random.normal(size=n)
        return y, (y + random.normal(size=n)).astype(dtype)
    y = random.integers(problem.n_classes, size=n)
    logits = random.normal(size=(n, problem.n_classes)) + np.eye(problem.n_classes)[y]
    return y, (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(dtype)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_all_metrics_that_fit_are_scored_alike_alone_and_together(problem):
    y, prediction = example(problem)
    scores = metrics.score_all(problem, y, prediction)
    assert set(scores) == {name for name, metric in metrics.METRICS.items() if problem.task in metric.tasks}
    assert metrics.default_metric(problem.task) in scores
    for name, score in scores.items():
        assert metrics.score(name, problem, y, prediction) == score
        assert math.isfinite(score)


def test_multiclass_scores_equal_scikit_learns():
    y, p = example(THREE)
    scores = metrics.score_all(THREE, y, p)
    label = p.argmax(axis=1)
    assert scores["accuracy"] == sk.accuracy_score(y, label)
    assert scores["balanced_accuracy"] == sk.balanced_accuracy_score(y, label)
    assert scores["f1"] == sk.f1_score(y, label, average="macro")
    assert scores["precision"] == sk.precision_score(y, label, average="macro")
    assert scores["recall"] == sk.recall_score(y, label, average="macro")
    assert scores["roc_auc"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), abs=1e-12)
    assert scores["average_precision"] == pytest.approx(sk.average_precision_score(np.eye(3)[y], p), abs=1e-12)
    assert scores["log_loss"] == pytest.approx(sk.log_loss(y, p), abs=1e-12)


@pytest.mark.parametrize("problem", [BINARY, FLIPPED])
def test_binary_ranking_scores_are_of_the_positive_class(problem):
    y, p = example(problem)
    at = problem.positive_index
    assert metrics.score("average_precision", problem, y, p) == sk.average_precision_score(y == at, p[:, at])
    assert metrics.score("roc_auc", problem, y, p) == sk.roc_auc_score(y == at, p[:, at])


@pytest.mark.parametrize("problem", [BINARY, FLIPPED])
def test_binary_precision_recall_and_f1_are_all_of_the_positive_class(problem):
    y, p = example(problem)
    at, label = problem.positive_index, p.argmax(axis=1)
    assert metrics.score("precision", problem, y, p) == sk.precision_score(y, label, pos_label=at)
    assert metrics.score("recall", problem, y, p) == sk.recall_score(y, label, pos_label=at)
    precision, recall = (metrics.score(name, problem, y, p) for name in ("precision", "recall"))
    f1 = metrics.score("f1", problem, y, p)
    assert f1 == sk.f1_score(y, label, pos_label=at)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("problem", [BINARY, FLIPPED, THREE])
def test_the_table_of_classes_agrees_with_the_metrics(problem):
    y, p = example(problem)
    label = p.argmax(axis=1)
    table = metrics.by_class(y, label, problem.n_classes)
    assert [one["support"] for one in table] == np.bincount(y, minlength=problem.n_classes).tolist()
    for name in ("precision", "recall", "f1"):
        values = [one[name] for one in table]
        whole = metrics.score(name, problem, y, p)
        assert whole == pytest.approx(np.mean(values) if problem is THREE else values[problem.positive_index])


def test_a_class_that_is_not_there_has_zeros_in_the_table_of_classes():
    assert metrics.by_class(np.array([0, 0]), np.array([0, 1]), 3) == [
        {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
        {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
    ]


def test_regression_scores_equal_scikit_learns():
    y, value = example(VALUES)
    scores = metrics.score_all(VALUES, y, value)
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((y - value) ** 2)))
    assert scores["mae"] == pytest.approx(np.mean(np.abs(y - value)))
    assert scores["r2"] == pytest.approx(sk.r2_score(y, value))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_float32_predictions_are_scored_without_a_warning(problem):
    y, prediction = example(problem, dtype=np.float32)
    exact = metrics.score_all(problem, *example(problem))
    assert metrics.score_all(problem, y, prediction) == pytest.approx(exact, abs=1e-5)


def test_a_class_absent_from_the_rows_leaves_every_metric_defined():
    y, p = example(THREE)
    kept = y != 2
    scores = metrics.score_all(THREE, y[kept], p[kept])
    assert all(map(math.isfinite, scores.values()))
    mean = np.mean([sk.roc_auc_score(y[kept] == code, p[kept][:, code]) for code in (0, 1)])
    assert scores["roc_auc"] == pytest.approx(mean)


def test_one_class_only_leaves_ranking_metrics_undefined_and_the_others_defined():
    scores = metrics.score_all(BINARY, np.ones(3, dtype=int), np.array([[0.2, 0.8], [0.6, 0.4], [0.1, 0.9]]))
    assert math.isnan(scores["roc_auc"])
    assert math.isnan(scores["average_precision"])
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert math.isfinite(scores["log_loss"])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_predictions_that_are_not_finite_score_nan(problem):
    y, prediction = example(problem)
    prediction[3] = np.nan
    assert all(map(math.isnan, metrics.score_all(problem, y, prediction).values()))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_smaller_objective_is_a_better_value(name):
    metric = metrics.METRICS[name]
    better, worse = (0.9, 0.4) if metric.larger_is_better else (0.4, 0.9)
    assert metrics.objective(name, better) < metrics.objective(name, worse)
    assert metrics.value(name, metrics.objective(name, 0.7)) == 0.7


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_perfect_prediction_is_at_least_as_good_as_any_in_every_metric(problem):
    y, prediction = example(problem)
    perfect = y if problem.classes is None else np.eye(problem.n_classes)[y]
    best, some = metrics.score_all(problem, y, perfect), metrics.score_all(problem, y, prediction)
    for name in best:
        assert metrics.objective(name, best[name]) < metrics.objective(name, some[name])


def test_an_unknown_metric_is_named_with_the_nearest():
    with pytest.raises(UserError, match=r"data\.metric: there is no metric 'acuracy'; did you mean accuracy\?"):
        metrics.check("acuracy")


@pytest.mark.parametrize(("name", "task"), [("rmse", "binary"), ("accuracy", "regression"), ("r2", "multiclass")])
def test_a_metric_that_does_not_fit_the_task_is_named_with_those_that_do(name, task):
    with pytest.raises(UserError, match=rf"data\.metric: {name} does not fit a {task} task; use auto or one of \w+"):
        metrics.check(name, task)
    metrics.check(metrics.default_metric(task), task)
