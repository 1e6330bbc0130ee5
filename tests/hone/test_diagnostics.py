"""Permutation importance, drift between parts, and the worst mistakes."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from hone.evaluation import drift, mistakes
from hone.evaluation.permutation import permutation, telling


def rows(n: int = 400, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    levels = generator.choice(["red", "green", None], n)
    return pd.DataFrame({"a": generator.normal(size=n), "b": generator.normal(size=n), "kind": levels})


def predict(frame: pd.DataFrame) -> np.ndarray:
    return 2 * frame["a"].to_numpy() + (frame["kind"] == "red").to_numpy() * 0.5


def squared(frame: pd.DataFrame):
    truth = predict(frame)
    return lambda prediction: float(np.mean((prediction - truth) ** 2))


def test_shuffling_costs_what_the_model_takes_from_a_column() -> None:
    frame = rows()
    first, second, last = permutation(predict, squared(frame), frame, ["b", "kind", "a"], repeats=5, seed=0)
    assert [first.column, second.column, last.column] == ["a", "kind", "b"]
    # Two independent draws of 2a differ by 2 * 4 * var(a) in the mean square: 8, within a tenth.
    assert first.loss == pytest.approx(8, rel=0.15)
    assert (last.loss, last.deviation) == (0, 0)
    assert first.deviation > 0


def test_the_same_seed_shuffles_alike_and_no_argument_is_changed() -> None:
    frame = rows()
    before = frame.copy()
    found = [permutation(predict, squared(frame), frame, ["a", "kind"], repeats=2, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    pd.testing.assert_frame_equal(frame, before)


def test_an_undefined_metric_says_nothing_of_columns() -> None:
    assert permutation(predict, lambda _: float("nan"), rows(), ["a"], repeats=2, seed=0) == []


def test_of_many_columns_those_are_kept_whose_values_tell_most() -> None:
    frame = rows(4000)
    assert telling(frame, ["b", "kind", "a"], predict(frame), 1) == ["a"]
    assert telling(frame, ["b", "kind", "a"], predict(frame), 2) == ["kind", "a"]
    assert telling(frame, ["b", "a"], predict(frame), 5) == ["b", "a"]
    assert telling(frame, ["b", "a"], np.zeros(len(frame)), 1) == ["b"]  # a constant prediction


def test_equal_parts_raise_an_alarm_as_rarely_as_promised() -> None:
    alarms = 0
    for seed in range(100):
        whole = rows(500, seed)
        found = drift.shifts(whole.iloc[:300], whole.iloc[300:], seed=seed)
        assert [one.column for one in found] == ["a", "b", "kind"]
        alarms += any(one.distance > one.chance for one in found)
    # At most 5 in 100 are expected; 14 or more of Binomial(100, 0.05) come once in 2,000 times.
    assert alarms < 14


@pytest.mark.parametrize("change", ["shift", "spread", "missing", "levels", "more missing levels"])
def test_what_has_drifted_is_beyond_chance(change: str) -> None:
    one, other = rows(400, 1), rows(300, 2)
    if change == "shift":
        other["a"] += 0.5
    elif change == "spread":
        other["a"] *= 2
    elif change == "missing":
        other.loc[:60, "a"] = np.nan
    elif change == "levels":
        other["kind"] = other["kind"].replace({"red": "blue"})
    else:
        other.loc[:150, "kind"] = None
    beyond = [found.column for found in drift.shifts(one, other, seed=0) if found.distance > found.chance]
    assert beyond == ["kind" if "levels" in change else "a"]


def test_the_distance_of_numbers_is_kolmogorovs_and_smirnovs() -> None:
    one, other = rows(70, 1)[["a"]], rows(45, 2)[["a"]]
    (found,) = drift.shifts(one, other, seed=0)
    assert found.distance == pytest.approx(ks_2samp(one["a"], other["a"]).statistic)
    assert drift.shifts(one, one, seed=0)[0].distance == 0
    (apart,) = drift.shifts(one, one + 100, seed=0)
    assert apart.distance == 1


def test_the_worst_mistakes_come_first_and_what_is_right_is_none() -> None:
    truth = np.array([0, 1, 1, 0])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.45, 0.55]])
    decided = probabilities.argmax(axis=1)
    assert mistakes.of_classes(truth, probabilities, decided, 20) == [2, 1, 3]
    assert mistakes.of_classes(truth, probabilities, decided, 1) == [2]
    values = np.array([1.0, 2.0, 3.0])
    assert mistakes.of_values(values, values + np.array([0.0, -2.0, 1.0]), 20) == [1, 2]
