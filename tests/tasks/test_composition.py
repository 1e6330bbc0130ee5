"""What the final model is made of: by held-out rows, never by luck on them."""

from typing import Any

import numpy as np
import pytest

from hone import metrics
from hone.data.problem import Problem
from hone.space import identity
from tasks import composition
from tasks.held_out import HeldOut
from tasks.params import Retrain

REGRESSION = Problem(task="regression", target="y", metric="rmse")
BINARY = Problem(task="binary", target="y", metric="f1", classes=("a", "b"), positive_index=1)
CONFIGS: list[dict[str, Any]] = [{"units": 8}, {"units": 16}]


def finalists(n: int = 2) -> dict[str, Any]:
    standings = [{"config": config, "epochs": 5 + place} for place, config in enumerate(CONFIGS[:n])]
    return {**standings[0], "standings": standings}


def held(problem: Problem, truth: np.ndarray, predictions: list[list[np.ndarray]]) -> HeldOut:
    pairs = zip(CONFIGS, predictions, strict=False)
    return HeldOut(problem, truth, None, {identity(config): found for config, found in pairs})


def values(shared: float, n: int = 400) -> HeldOut:
    """Return two configs' replays whose errors are partly shared by a config's replicates."""
    generator = np.random.default_rng(0)
    truth = generator.normal(size=n)
    errors = [shared * generator.normal(size=n) for _ in CONFIGS]
    replays = [[truth + error + 0.5 * generator.normal(size=n) for _ in range(3)] for error in errors]
    return held(REGRESSION, truth, replays)


def test_finalists_that_err_differently_are_drawn_together_and_shares_add_up() -> None:
    found = composition.compose(finalists(), values(shared=1.0), Retrain(ensemble="greedy", seeds=3), seed=0)
    assert found.kind == "greedy"
    assert [member.config for member in found.members] == CONFIGS
    assert [(member.networks, member.epochs) for member in found.members] == [(3, 5), (3, 6)]
    assert sum(member.share for member in found.members) == pytest.approx(1)
    assert found.members[0].share == pytest.approx(0.5, abs=0.2)
    assert found.scores["greedy"]["networks"] == 6
    assert found.scores["greedy"]["value"] < found.scores["seeds"]["value"] < found.scores["one"]["value"]
    assert composition.compose(finalists(), values(shared=1.0), Retrain(ensemble="greedy", seeds=3), seed=0) == found


@pytest.mark.parametrize("ensemble", ["greedy", "seeds", "one"])
def test_where_the_defaults_are_delivered_no_searched_config_is_a_member(ensemble: str) -> None:
    winner = {**finalists(), "default": finalists(1)["standings"][0]}
    asked = Retrain(ensemble=ensemble, seeds=3)
    found = composition.compose({**winner, "delivered": "defaults"}, values(shared=1.0), asked, seed=0)
    assert [member.config for member in found.members] == CONFIGS[:1]
    found = composition.compose({**winner, "delivered": "tuned"}, values(shared=1.0), asked, seed=0)
    assert len(found.members) == (2 if ensemble == "greedy" else 1)


def test_a_tuned_model_is_not_an_ensemble_of_the_defaults_alone() -> None:
    rows, asked = values(shared=0.0), Retrain(ensemble="greedy", seeds=3)
    worse = [prediction + 5 for prediction in rows.of(CONFIGS[0])]
    rows = held(REGRESSION, rows.truth, [worse, list(rows.of(CONFIGS[1]))])
    winner = {**finalists(), "delivered": "tuned"}
    found = composition.compose(winner, rows, asked, seed=0)
    assert [member.config for member in found.members] == CONFIGS[1:]
    winner |= {"default": winner["standings"][1]}
    found = composition.compose(winner, rows, asked, seed=0)
    assert (found.kind, [member.config for member in found.members]) == ("seeds", CONFIGS[:1])
    assert set(found.scores) == {"seeds", "one"}


@pytest.mark.parametrize(("sharpness", "shift"), [(3.0, 0.0), (1.0, 2.0)])
def test_the_defaults_are_calibrated_as_the_tuned_model_is(sharpness: float, shift: float) -> None:
    rows, asked = chances(sharpness, shift), Retrain(ensemble="seeds")
    winner = {**finalists(1), "default": finalists(1)["standings"][0]}
    tuned, defaults = (
        make(winner, rows, asked, seed=0) for make in (composition.compose, composition.compose_defaults)
    )
    assert (defaults.members, defaults.temperature, defaults.threshold) == (
        tuned.members,
        tuned.temperature,
        tuned.threshold,
    )
    assert (defaults.temperature, defaults.threshold) != (1.0, None)
    nothing = composition.compose_defaults(winner, HeldOut(BINARY, rows.truth, None, {}), asked, seed=0)
    assert (nothing.members, nothing.temperature, nothing.threshold) == (defaults.members, 1.0, None)


@pytest.mark.parametrize(("ensemble", "networks"), [("seeds", 3), ("one", 1)])
def test_seeds_and_one_are_networks_of_the_winner_whatever_is_better(ensemble: str, networks: int) -> None:
    found = composition.compose(finalists(), values(shared=1.0), Retrain(ensemble=ensemble, seeds=3), seed=0)
    assert (found.kind, len(found.members), found.members[0].networks) == (ensemble, 1, networks)
    assert found.scores["greedy"]["value"] < found.scores[ensemble]["value"]


def test_without_held_out_rows_of_the_winner_it_is_an_average_of_seeds() -> None:
    found = composition.compose(
        finalists(), HeldOut(BINARY, np.zeros(5, dtype=int), None, {}), Retrain(ensemble="greedy", seeds=3), seed=0
    )
    assert (found.kind, found.temperature, found.threshold) == ("seeds", 1.0, None)


def chances(sharpness: float, shift: float, n: int = 3000) -> HeldOut:
    """Return replays that are too sure of themselves, by a factor, or too hesitant about the rare class, by a shift."""
    generator = np.random.default_rng(1)
    logit = 2 * generator.normal(size=n) - 1.5
    truth = (generator.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    shown = 1 / (1 + np.exp(-(sharpness * logit - shift)))
    return held(BINARY, truth, [[np.stack([1 - shown, shown], axis=1)] * 3])


def test_sureness_is_softened_and_a_hesitant_class_is_called_sooner() -> None:
    found = composition.compose(finalists(1), chances(3.0, 0.0), Retrain(ensemble="seeds"), seed=0)
    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert found.held_out["log_loss"]["after"] < found.held_out["log_loss"]["before"]
    found = composition.compose(finalists(1), chances(1.0, 2.0), Retrain(ensemble="seeds"), seed=0)
    assert found.threshold is not None
    assert found.threshold < 0.4
    assert found.held_out["f1"]["after"] > found.held_out["f1"]["before"]


def test_a_temperature_that_helps_the_log_loss_but_not_the_calibration_error_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = chances(3.0, 0.0)
    shown = rows.of(CONFIGS[0])[0]
    found = composition.calibrate(rows, shown, Retrain(threshold=False), seed=0)
    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert found.measured["calibration_error"]["after"] < found.measured["calibration_error"]["before"]
    measured = composition.calibration.error
    monkeypatch.setattr(
        composition.calibration, "error", lambda problem, p, y: 0.0 if p is shown else measured(problem, p, y)
    )
    found = composition.calibrate(rows, shown, Retrain(threshold=False), seed=0)
    assert found.measured["log_loss"]["after"] < found.measured["log_loss"]["before"]
    assert found.measured["calibration_error"]["after"] > found.measured["calibration_error"]["before"]
    assert found.temperature == 1.0


def test_what_needs_no_calibration_gets_none_and_nobody_is_made_to_have_it() -> None:
    found = composition.compose(finalists(1), chances(1.0, 0.0), Retrain(ensemble="seeds", threshold=False), seed=0)
    assert found.temperature == 1.0
    assert found.threshold is None
    off = Retrain(ensemble="seeds", calibrate=False, threshold=False)
    found = composition.compose(finalists(1), chances(3.0, 2.0), off, seed=0)
    assert (found.temperature, found.threshold, found.held_out) == (1.0, None, {})


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "f1", "log_loss"])
@pytest.mark.parametrize("ensemble", ["greedy", "seeds"])
def test_of_a_single_group_nothing_is_learnt(metric: str, ensemble: str) -> None:
    rows = chances(3.0, 2.0, n=100)
    problem = Problem(task="binary", target="y", metric=metric, classes=("a", "b"), positive_index=1)
    single = HeldOut(problem, rows.truth, np.full(100, "clinic"), rows.predictions)
    found = composition.compose(finalists(1), single, Retrain(ensemble=ensemble), seed=0)
    assert found.kind == ensemble
    assert (found.temperature, found.threshold, found.held_out) == (1.0, None, {})
    assert "greedy" not in found.scores


@pytest.mark.parametrize("metric", ["roc_auc", "recall", "precision", "log_loss"])
def test_metrics_without_a_best_threshold_get_none(metric: str) -> None:
    rows = chances(1.0, 2.0)
    problem = Problem(task="binary", target="y", metric=metric, classes=("a", "b"), positive_index=1)
    assert metrics.METRICS[metric]
    found = composition.compose(
        finalists(1), HeldOut(problem, rows.truth, None, rows.predictions), Retrain(ensemble="seeds"), seed=0
    )
    assert found.threshold is None
