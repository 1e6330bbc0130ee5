"""A temperature that is known is found again; a threshold is the best that there is; decisions follow it."""

import numpy as np
import pytest

from hone import metrics
from hone.data.problem import Problem
from hone.evaluation import calibration

BINARY = Problem(task="binary", target="y", metric="f1", classes=("a", "b"), positive_index=1)
SWAPPED = Problem(task="binary", target="y", metric="f1", classes=("a", "b"), positive_index=0)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("known", [0.4, 1.0, 3.0])
def test_a_temperature_that_is_known_is_found_again(known: float) -> None:
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(20_000, 3))
    honest = softmax(logits)
    codes = (honest.cumsum(axis=1) < generator.random((len(honest), 1))).sum(axis=1)
    shown = softmax(logits * known)
    found = calibration.temperature(shown, codes)
    assert found == pytest.approx(known, rel=0.05)
    np.testing.assert_allclose(calibration.tempered(shown, known), honest, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 10, 100])
def test_of_few_rows_and_many_classes_a_temperature_does_not_take_away_what_is_rightly_sure(n_classes: int) -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, n_classes, 360)
    shown = np.where(generator.random(360) < 0.99, codes, (codes + 1) % n_classes)  # right in 99 of 100 rows
    honest = np.full((360, n_classes), 0.01 / (n_classes - 1))
    honest[np.arange(360), shown] = 0.99
    found = calibration.tempered(honest, calibration.temperature(honest, codes))
    assert found.max(axis=1).mean() == pytest.approx(0.99, abs=0.01)
    smoothed = 0.85 * honest + 0.15 / n_classes  # as label smoothing leaves them
    found = calibration.tempered(smoothed, calibration.temperature(smoothed, codes))
    assert found.max(axis=1).mean() == pytest.approx(0.99, abs=0.01)


def test_the_calibration_error_is_of_the_positive_class_or_of_the_most_probable_one() -> None:
    codes = np.array([0, 1] * 50)
    said = np.full(100, 0.3)
    assert calibration.error(BINARY, np.stack([1 - said, said], axis=1), codes) == pytest.approx(0.2)
    assert calibration.error(SWAPPED, np.stack([said, 1 - said], axis=1), codes) == pytest.approx(0.2)
    three = Problem(task="multiclass", target="y", metric="accuracy", classes=("a", "b", "c"))
    shown = np.tile([0.7, 0.2, 0.1], (100, 1))  # right in half of the rows
    assert calibration.error(three, shown, codes) == pytest.approx(0.2)


def test_a_temperature_keeps_the_order_of_classes_and_bears_certainty() -> None:
    certain = np.array([[1.0, 0.0], [0.3, 0.7]])
    found = calibration.tempered(certain, 2.0)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.argmax(found, axis=1).tolist() == [0, 1]
    assert calibration.tempered(certain, 1.0) is certain
    assert 0 < calibration.temperature(certain, np.array([1, 1])) <= calibration.MOST * 1.001


@pytest.mark.parametrize("problem", [BINARY, SWAPPED], ids=["second", "first"])
@pytest.mark.parametrize("metric", calibration.DECIDED)
def test_a_threshold_is_as_good_as_the_best_of_all(metric: str, problem: Problem) -> None:
    for seed in range(5):
        generator = np.random.default_rng(seed)
        codes = (generator.random(50) < 0.25).astype(int)
        score = np.round(np.clip(0.2 * codes + 0.3 * generator.random(50), 0, 1), 2)  # ties among them
        probabilities = np.stack([1 - score, score], axis=1)

        def value(threshold: float, seen: np.ndarray = probabilities, truth: np.ndarray = codes) -> float:
            return metrics.score(metric, problem, truth, calibration.for_metric(metric, problem, seen, threshold))

        found = calibration.threshold(metric, problem, probabilities, codes)
        assert value(found) == pytest.approx(max(map(value, np.linspace(0.005, 1.005, 101))))


def test_two_groups_are_parted_midway_and_nothing_is_moved_where_a_half_is_as_good() -> None:
    score = np.array([0.1, 0.2, 0.3, 0.4])
    probabilities = np.stack([1 - score, score], axis=1)
    assert calibration.threshold("f1", BINARY, probabilities, np.array([0, 0, 1, 1])) == pytest.approx(0.25)
    assert calibration.decide(BINARY, probabilities, 0.25).tolist() == [0, 0, 1, 1]
    assert calibration.decide(BINARY, probabilities).tolist() == [0, 0, 0, 0]
    assert calibration.decide(SWAPPED, probabilities, 0.85).tolist() == [0, 1, 1, 1]
    labels = calibration.for_metric("f1", BINARY, probabilities, 0.25)
    assert metrics.score("f1", BINARY, np.array([0, 0, 1, 1]), labels) == 1.0
    assert calibration.for_metric("roc_auc", BINARY, probabilities, 0.25) is probabilities
