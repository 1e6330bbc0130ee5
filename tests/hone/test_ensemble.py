"""Ensembles by greedy selection: against a plain re-telling and against all ensembles there are; cross-fitting."""

from itertools import combinations_with_replacement

import numpy as np
import pytest

from hone import metrics
from hone.data.problem import Problem
from hone.evaluation import ensemble

REGRESSION = Problem(task="regression", target="y", metric="rmse")
BINARY = Problem(task="binary", target="y", metric="roc_auc", classes=("a", "b"), positive_index=1)


def models(n_models: int, n_rows: int = 60, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=n_rows)
    return truth, [truth + scale * generator.normal(size=n_rows) for scale in np.linspace(0.5, 1.5, n_models)]


@pytest.mark.parametrize("seed", range(5))
def test_greedy_selection_is_within_a_hair_of_the_best_of_all_ensembles(seed: int) -> None:
    truth, predictions = models(4, seed=seed)

    def rmse(drawn: tuple[int, ...]) -> float:
        return float(np.sqrt(np.mean((np.mean([predictions[index] for index in drawn], axis=0) - truth) ** 2)))

    counts = ensemble.greedy(predictions, lambda found: ensemble.loss(REGRESSION, truth, found), rounds=6)
    every = (drawn for size in range(1, 7) for drawn in combinations_with_replacement(range(4), size))
    best = min(map(rmse, every))
    found = rmse(tuple(np.repeat(np.arange(4), counts)))
    assert best <= found <= best * 1.01
    assert found < min(rmse((index,)) for index in range(4))
    np.testing.assert_allclose(
        ensemble.average(predictions, counts),
        np.mean([predictions[index] for index in np.repeat(np.arange(4), counts)], axis=0),
    )


def test_each_round_takes_the_model_that_helps_most_as_the_paper_says() -> None:
    truth, predictions = models(3, seed=7)
    drawn: list[int] = []
    losses = []
    for _ in range(5):
        trials = [
            metrics.score("rmse", REGRESSION, truth, np.mean([predictions[i] for i in [*drawn, index]], axis=0))
            for index in range(3)
        ]
        drawn.append(int(np.argmin(trials)))
        losses.append(min(trials))
    best = int(np.argmin(losses)) + 1
    counts = ensemble.greedy(predictions, lambda found: ensemble.loss(REGRESSION, truth, found), rounds=5)
    assert counts.tolist() == np.bincount(drawn[:best], minlength=3).tolist()


def test_of_equal_models_the_first_is_taken_alone() -> None:
    truth, (one, *_) = models(1)
    assert ensemble.greedy([one, one], lambda found: ensemble.loss(REGRESSION, truth, found)).tolist() == [1, 0]


def test_equal_objectives_are_told_apart_by_the_log_loss_and_undefined_ones_are_alike() -> None:
    truth = np.array([0, 0, 1, 1])
    sharp, blunt = (
        np.stack([1 - p, p], axis=1) for p in (np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.5, 0.5, 0.6, 0.6]))
    )
    assert ensemble.loss(BINARY, truth, sharp) < ensemble.loss(BINARY, truth, blunt)
    assert ensemble.loss(BINARY, truth, sharp)[0] == ensemble.loss(BINARY, truth, blunt)[0] == -1.0
    assert ensemble.loss(BINARY, np.ones(4, dtype=int), sharp)[0] == np.inf


@pytest.mark.parametrize("metric", [name for name, one in metrics.METRICS.items() if "binary" in one.tasks])
def test_the_objective_is_the_metrics(metric: str) -> None:
    generator = np.random.default_rng(0)
    truth, score = generator.integers(0, 2, 50), np.round(generator.random(50), 1) * 0.9 + 0.05
    problem = Problem(task="binary", target="y", metric=metric, classes=("a", "b"), positive_index=1)
    prediction = np.stack([1 - score, score], axis=1)
    expected = metrics.objective(metric, metrics.score(metric, problem, truth, prediction))
    assert ensemble.loss(problem, truth, prediction)[0] == pytest.approx(expected)


def test_cross_fitting_predicts_each_row_by_the_others_and_keeps_groups_together() -> None:
    groups = np.repeat(np.arange(12), 5).astype(str)
    part = ensemble.parts(60, 5, seed=1, groups=groups)
    assert set(part) == set(range(5))
    assert all(len(set(part[groups == group])) == 1 for group in groups)
    assert ensemble.parts(60, 5, seed=1).tolist() == ensemble.parts(60, 5, seed=1).tolist()

    def learn(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
        assert not set(known) & set(rows)
        assert sorted([*known, *rows]) == list(range(60))
        return rows.astype(float)

    assert ensemble.cross_fitted(part, learn).tolist() == list(range(60))
