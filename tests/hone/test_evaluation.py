"""Intervals, curves and importances: what they promise, against scikit-learn and against known answers."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import metrics as sk
from threadpoolctl import threadpool_limits

from hone import metrics
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.evaluation import baselines, bootstrap, curves, weighted
from hone.evaluation.bootstrap import Interval
from hone.evaluation.gap import gap
from hone.evaluation.importance import importances
from hone.models import inputs_of
from hone.space import Categorical, Condition, Float, Int, SearchSpace
from hone.training.train import TrainingData
from hone.trial import Result, State, Trial

BINARY = Problem(task="binary", target="y", metric="roc_auc", classes=("a", "b"), positive_index=0)
MULTICLASS = Problem(task="multiclass", target="y", metric="accuracy", classes=(0, 1, 2, 3))
REGRESSION = Problem(task="regression", target="y", metric="rmse")


def sample(problem: Problem, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and predictions that are better than chance and full of ties."""
    generator = np.random.default_rng(seed)
    if problem.classes is None:
        truth = generator.normal(size=n)
        return truth, truth + generator.normal(size=n)
    truth = generator.integers(0, problem.n_classes, n)
    chances = generator.dirichlet(np.ones(problem.n_classes), n) + 0.5 * np.eye(problem.n_classes)[truth]
    return truth, (np.round(chances, 1) + 0.01).astype(np.float32)


def test_of_equal_models_the_gain_is_zero_without_a_sign():
    same = np.array([1.0, 2.0])
    for name in ("rmse", "accuracy"):
        found = bootstrap.gain(name, 0.5, 0.5, same, same, 0.95)
        assert [math.copysign(1, each) for each in (found.value, found.low, found.high)] == [1, 1, 1]


@pytest.mark.parametrize("problem", [BINARY, MULTICLASS, REGRESSION], ids=lambda problem: problem.task)
def test_every_metric_of_a_resample_is_scikit_learns_on_the_repeated_rows(problem: Problem) -> None:
    truth, prediction = sample(problem, 25)  # so few that some resamples miss a class
    names = [name for name, metric in metrics.METRICS.items() if problem.task in metric.tasks]
    assert set(names) <= set(weighted.METRICS)
    found = bootstrap.scores(names, problem, truth, {"model": prediction}, n_resamples=60, seed=3)["model"]
    for index, counts in enumerate(bootstrap.resamples(len(truth), 60, 3)):
        rows = np.repeat(np.arange(len(truth)), counts)
        expected = metrics.score_all(problem, truth[rows], prediction[rows])
        for name in names:
            np.testing.assert_allclose(found[name][index], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_no_resample_of_one_value_has_an_r2() -> None:
    problem = Problem(task="regression", target="y", metric="r2")
    target = np.random.default_rng(0).normal(1e3, 1, 40)
    alone = np.concatenate([np.diag(np.full(40, 40.0)), np.diag(np.full(40, 3.0))])
    assert np.isnan(weighted.r2(problem, target, target + 1, alone)).all()
    two = np.where(np.arange(40) < 2, 20.0, 0.0)[None]
    expected = 1 - 1 / np.var(target[:2])
    np.testing.assert_allclose(weighted.r2(problem, target, target + 1, two), expected, rtol=1e-9)
    twice = np.repeat(target[:1], 40)  # other rows, the same value
    assert np.isnan(weighted.r2(problem, twice, twice + 1, np.ones((1, 40)))).all()


def test_a_metric_without_a_weighted_twin_is_scored_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, prediction = sample(MULTICLASS, 40)
    fast = bootstrap.scores(["f1"], MULTICLASS, truth, {"m": prediction}, n_resamples=20, seed=1)["m"]["f1"]
    monkeypatch.delitem(weighted.METRICS, "f1")
    slow = bootstrap.scores(["f1"], MULTICLASS, truth, {"m": prediction}, n_resamples=20, seed=1)["m"]["f1"]
    np.testing.assert_allclose(slow, fast)


def test_the_interval_of_an_accuracy_has_the_binomial_width() -> None:
    truth = np.zeros(400, dtype=np.int64)
    prediction = np.where(np.arange(400)[:, None] < 320, [[0.9, 0.1]], [[0.1, 0.9]])
    drawn = bootstrap.scores(["accuracy"], BINARY, truth, {"m": prediction}, n_resamples=2000, seed=0)["m"]["accuracy"]
    found = bootstrap.interval(0.8, drawn, 0.95)
    deviation = math.sqrt(0.8 * 0.2 / 400)
    # The deviation of a standard deviation from 2,000 draws is 1.6 %, and of a 2.5 % quantile about 6 % of it.
    assert found.deviation == pytest.approx(deviation, rel=0.08)
    assert found.low == pytest.approx(0.8 - 1.96 * deviation, abs=0.3 * deviation)
    assert found.high == pytest.approx(0.8 + 1.96 * deviation, abs=0.3 * deviation)


def test_a_paired_gain_is_narrower_than_the_difference_of_unpaired_scores() -> None:
    truth, prediction = sample(REGRESSION, 300)
    better = truth + 0.9 * (prediction - truth)
    drawn = bootstrap.scores(
        ["rmse"], REGRESSION, truth, {"tuned": better, "defaults": prediction}, n_resamples=500, seed=0
    )
    tuned, defaults = drawn["tuned"]["rmse"], drawn["defaults"]["rmse"]
    paired = bootstrap.gain("rmse", 0.9, 1.0, tuned, defaults, 0.95)
    shuffled = bootstrap.gain("rmse", 0.9, 1.0, tuned, np.random.default_rng(0).permutation(defaults), 0.95)
    assert paired.value == pytest.approx(0.1)  # smaller is better: a fall is a gain
    assert 0 < paired.low < 0.1 < paired.high
    assert paired.high - paired.low < 0.3 * (shuffled.high - shuffled.low)


def test_whole_groups_are_drawn_together_and_widen_the_interval() -> None:
    groups = np.repeat(np.arange(20), 10)
    for counts in bootstrap.resamples(200, 30, 0, groups):
        assert all(len(set(counts[groups == group])) == 1 for group in range(20))
    truth = np.zeros(200, dtype=np.int64)
    prediction = np.where((groups < 12)[:, None], [[0.9, 0.1]], [[0.1, 0.9]])  # right or wrong by group
    width = {}
    for name, given in (("rows", None), ("groups", groups)):
        drawn = bootstrap.scores(["accuracy"], BINARY, truth, {"m": prediction}, n_resamples=500, seed=0, groups=given)
        found = bootstrap.interval(0.6, drawn["m"]["accuracy"], 0.95)
        width[name] = found.high - found.low
    assert width["groups"] == pytest.approx(math.sqrt(10) * width["rows"], rel=0.15)


def test_a_single_group_gives_no_interval() -> None:
    truth, prediction = sample(BINARY, 50)
    for groups in (np.full(50, "clinic"), None):
        n = 1 if groups is None else 50
        drawn = bootstrap.scores(
            ["accuracy"], BINARY, truth[:n], {"m": prediction[:n]}, n_resamples=20, seed=0, groups=groups
        )
        found = bootstrap.interval(0.6, drawn["m"]["accuracy"], 0.95)
        assert math.isnan(found.low)
        assert found.n_resamples == 0


def test_the_same_seed_gives_the_same_bits_however_many_rows_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, prediction = sample(MULTICLASS, 60)

    def drawn(seed: int) -> np.ndarray:
        names = ["log_loss"]
        return bootstrap.scores(names, MULTICLASS, truth, {"m": prediction}, n_resamples=50, seed=seed)["m"]["log_loss"]

    first = drawn(5)
    monkeypatch.setattr(bootstrap, "CHUNK", 60 * 7)
    assert np.array_equal(first, drawn(5))
    assert not np.array_equal(first, drawn(6))


def test_an_interval_leaves_out_resamples_without_the_metric() -> None:
    found = bootstrap.interval(0.5, np.array([np.nan, 0.4, 0.6, np.nan]), 0.9)
    assert found.n_resamples == 2
    assert 0.4 <= found.low < found.high <= 0.6
    assert math.isnan(bootstrap.interval(0.5, np.array([np.nan]), 0.9).low)


def test_curves_have_scikit_learns_areas_and_stay_small() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(5000) < 0.3
    scores = generator.normal(size=5000) + positive
    roc = curves.roc(positive, scores)
    assert len(roc) <= curves.MOST_POINTS
    assert roc.iloc[0].tolist() == [0.0, 0.0]
    assert roc.iloc[-1].tolist() == [1.0, 1.0]
    area = sk.auc(roc["false_positive_rate"], roc["true_positive_rate"])
    assert area == pytest.approx(sk.roc_auc_score(positive, scores), abs=1e-3)
    found = curves.precision_recall(positive, scores)
    assert found["recall"].is_monotonic_increasing
    assert sk.auc(found["recall"], found["precision"]) == pytest.approx(
        sk.average_precision_score(positive, scores), abs=5e-3
    )


def test_curves_of_a_missing_class_are_empty() -> None:
    nobody = np.zeros(5, dtype=bool)
    assert curves.roc(nobody, np.arange(5.0)).empty
    assert curves.precision_recall(nobody, np.arange(5.0)).empty


def test_honest_probabilities_lie_on_the_diagonal_and_boastful_ones_do_not() -> None:
    generator = np.random.default_rng(0)
    probability = generator.random(20_000)
    happened = generator.random(20_000) < probability
    honest = curves.calibration(happened, probability)
    assert honest["n_rows"].sum() == 20_000
    assert curves.calibration_error(honest) < 0.02  # 2,000 rows a bin: a deviation of 0.011 at most
    boastful = curves.calibration(happened, np.clip(0.5 + 1.6 * (probability - 0.5), 0, 1))
    assert curves.calibration_error(boastful) > 0.08


def test_the_calibration_error_counts_rows_and_not_bins() -> None:
    table = pd.DataFrame({"predicted": [0.0, 1.0], "observed": [0.0, 0.0], "n_rows": [3, 1]})
    assert curves.calibration_error(table) == 0.25


def test_equal_probabilities_make_one_bin() -> None:
    table = curves.calibration(np.array([True, False, False, False]), np.full(4, 0.25))
    assert table.to_dict("list") == {"predicted": [0.25], "observed": [0.25], "n_rows": [4]}


SPACE = SearchSpace(
    {
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "n_layers": Int(1, 3),
        "units_2": Int(16, 256, log=True),
        "activation": Categorical(("relu", "gelu", "silu")),
    },
    {"units_2": Condition("n_layers", at_least=2)},
)


def trials_where(objective, n: int = 80, seed: int = 0) -> list[Result]:
    generator = np.random.default_rng(seed)
    found = []
    for number in range(n):
        config = SPACE.decode(generator.random(SPACE.dimension))
        resource = 6 if number % 2 else 18
        trial = Trial(study="s", number=number, generation=0, config=config, resource=resource)
        # The same config scores otherwise with more epochs; only its rank among its like may count.
        value = objective(config) - resource
        found.append(Result(trial=trial, state=State.COMPLETE, objective=value))
    return found


def test_the_hyperparameter_that_decides_is_the_most_important() -> None:
    found = importances(SPACE, trials_where(lambda config: abs(math.log10(config["learning_rate"]) + 2.5)), seed=0)
    assert found is not None
    assert found.ranking[0].name == "learning_rate"
    assert found.ranking[0].value > 5 * max(abs(other.value) for other in found.ranking[1:])
    assert found.explained > 0.5


def test_noise_is_said_to_be_explained_by_nothing() -> None:
    generator = np.random.default_rng(1)
    found = importances(SPACE, trials_where(lambda config: generator.random()), seed=0)
    assert found is not None
    assert found.explained < 0.1


def test_importances_are_the_same_bits_with_any_number_of_threads_and_allow_failures() -> None:
    results = trials_where(lambda config: config["n_layers"], n=40)
    results[3] = Result(trial=results[3].trial, state=State.DIVERGED)
    first = importances(SPACE, results, seed=2)
    with threadpool_limits(1):
        assert importances(SPACE, results, seed=2) == first
    assert importances(SPACE, results, seed=3) != first


def test_too_few_trials_have_no_importances() -> None:
    assert importances(SPACE, trials_where(lambda config: 0.0, n=10), seed=0) is None
    assert importances(SPACE, [], seed=0) is None


def test_a_gap_is_suspicious_only_where_the_test_is_worse_by_more_than_chance() -> None:
    def found(validation: float):
        test = Interval(0.90, 0.87, 0.93, 0.015, 1000)
        return gap(
            "accuracy",
            validation=validation,
            validation_std=0.005,
            n_trainings=3,
            n_validation=400,
            test=test,
            n_test=400,
            confidence=0.95,
        )

    expected = 1.96 * math.hypot(0.015 * math.sqrt(2), 0.005 / math.sqrt(3))
    assert found(0.91).chance == pytest.approx(expected, rel=1e-3)
    assert not found(0.93).suspicious
    assert found(0.96).suspicious
    assert not found(0.80).suspicious  # better on test: no sign of a leak


def table(problem: Problem, n: int = 240, seed: int = 0) -> TrainingData:
    """Return rows whose target follows from a number and a category."""
    generator = np.random.default_rng(seed)
    x_num = generator.normal(size=(n, 3)).astype(np.float32)
    x_cat = generator.integers(0, 5, (n, 1))
    signal = x_num[:, 0] + (x_cat[:, 0] == 2)
    y = signal.astype(np.float32) if problem.classes is None else (signal > 0.3).astype(np.int64) + (signal > 1)
    if problem.n_classes == 2:
        y = np.minimum(y, 1)
    rows = Arrays(x_num, x_cat, y)
    train, validation = rows.take(np.arange(0, n // 2)), rows.take(np.arange(n // 2, n))
    inputs = inputs_of(train, problem, (5,))
    return TrainingData(
        train=train, validation=validation, problem=problem, inputs=inputs, target_mean=3.0, target_std=2.0
    )


@pytest.mark.parametrize("problem", [BINARY, MULTICLASS, REGRESSION], ids=lambda problem: problem.task)
def test_linear_and_boosting_beat_the_dummy_in_the_targets_own_units(problem: Problem) -> None:
    data = table(problem)
    objective = {}
    for name in baselines.NAMES:
        prediction = baselines.predict(name, data, seed=0)
        expected = (120,) if problem.classes is None else (120, problem.n_classes)  # class 3 has no training row
        assert prediction.shape == expected
        score = metrics.score(problem.metric, problem, baselines.truth(data), prediction)
        objective[name] = metrics.objective(problem.metric, score)
    assert max(objective["linear"], objective["boosting"]) < objective["dummy"]
    if problem.classes is None:
        assert abs(baselines.truth(data).mean() - 3) < 1


@pytest.mark.parametrize(("metric", "centre"), [("rmse", np.mean), ("r2", np.mean), ("mae", np.median)])
def test_the_constant_is_the_best_one_for_its_metric(metric: str, centre: Any) -> None:
    data = table(replace(REGRESSION, metric=metric))
    y = data.train.y.astype(np.float64) * data.target_std + data.target_mean
    assert np.unique(baselines.predict("dummy", data, seed=0)) == pytest.approx([centre(y)])


def test_many_levels_make_a_sparse_table_and_the_same_linear_model(monkeypatch: pytest.MonkeyPatch) -> None:
    data = table(BINARY, n=400)
    dense = baselines.predict("linear", data, seed=0)
    monkeypatch.setattr(baselines, "MOST_DENSE", 4)
    assert sparse.issparse(baselines._table(data.train, (5,), one_hot=True))
    np.testing.assert_allclose(baselines.predict("linear", data, seed=0), dense, atol=1e-3)


def test_boosting_takes_a_class_of_one_row_in_a_large_table() -> None:
    data = table(BINARY, n=22_000)
    problem = Problem(task="multiclass", target="y", metric="accuracy", classes=(0, 1, 2))
    y = data.train.y.copy()
    y[0] = 2
    single = replace(data, problem=problem, train=Arrays(data.train.x_num, data.train.x_cat, y))
    assert baselines.predict("boosting", single, seed=0, config={"max_iter": 5}).shape == (11_000, 3)


def test_boosting_is_the_same_bits_whatever_threads_there_are() -> None:
    data = table(MULTICLASS, n=2000)
    first = baselines.predict("boosting", data, seed=0)
    with threadpool_limits(4):
        assert np.array_equal(first, baselines.predict("boosting", data, seed=0))


def test_tuned_boosting_is_the_best_of_its_trials_and_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "N_TRIALS", 8)
    data, seen = table(BINARY), []

    def predict(name: str, data: TrainingData, seed: int, config: Any = None) -> Any:
        prediction = original(name, data, seed, config)
        score = metrics.score(BINARY.metric, BINARY, baselines.truth(data), prediction)
        seen.append((metrics.objective(BINARY.metric, score), config))
        return prediction

    original = baselines.predict
    monkeypatch.setattr(baselines, "predict", predict)
    config = baselines.tune(data, seed=3)
    assert len(seen) == 8
    assert seen[0][1]["max_iter"] == 100  # the defaults come first
    assert config == min(seen, key=lambda one: one[0])[1]
    assert baselines.tune(data, seed=3) == config


def test_the_calibration_error_of_a_resample_is_that_of_its_rows() -> None:
    generator = np.random.default_rng(0)
    probability = np.round(generator.random(200), 2)  # ties among them
    happened = generator.random(200) < probability**2
    everything = np.ones(200, dtype=np.int64)
    whole = curves.calibration_error(curves.calibration(happened, probability))
    counts = list(bootstrap.resamples(200, 5, seed=1))
    found = curves.weighted_calibration_errors(happened, probability, [everything, *counts])
    assert found[0] == pytest.approx(whole)
    edges = np.percentile(probability, np.linspace(0, 100, 11))[1:-1]
    for value, count in zip(found[1:], counts, strict=True):
        rows = np.repeat(np.arange(200), count)
        bins = np.searchsorted(edges, probability[rows])
        gaps = [abs((probability[rows] - happened[rows])[bins == one].sum()) for one in np.unique(bins)]
        assert value == pytest.approx(sum(gaps) / len(rows))


def test_confusion_lists_labels_as_text() -> None:
    found = curves.confusion(np.array([1, True], dtype=object), np.array(["x", None], dtype=object))
    pd.testing.assert_frame_equal(found, pd.DataFrame({"actual": ["1", "True"], "predicted": ["x", "None"]}))


def test_a_child_is_not_credited_with_what_its_parent_did() -> None:
    # Where there is no second layer, its width is encoded as the default: at the edge, where a tree would see it.
    space = SearchSpace(SPACE.domains, SPACE.conditions, {"units_2": 16})
    found = importances(space, trials_where(lambda config: float(config["n_layers"] >= 2), n=120), seed=0)
    assert found is not None
    value = {one.name: one.value for one in found.ranking}
    assert value["n_layers"] > 10 * abs(value["units_2"])
