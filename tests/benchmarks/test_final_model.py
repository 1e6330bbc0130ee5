"""The benchmark of the final model: a tiny run says something of every choice, the same each time."""

import math

import pytest

from benchmarks import final_model
from benchmarks.final_model import Bench


def test_a_tiny_run_weighs_every_choice_and_gives_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EPOCHS": 6, "N_CONFIGS": 3, "N_SEEDS": 2, "FINALISTS": 1}.items():
        monkeypatch.setattr(final_model, name, value)
    found = dict(final_model.measure(Bench("breast_cancer", 0)))
    for choice in ("greedy ensemble, over 3 seeds", "calibrate: true: log loss", "threshold: true: f1"):
        assert math.isfinite(found[choice])
    assert any(choice.startswith("class_weight") for choice in found)
    assert dict(final_model.measure(Bench("breast_cancer", 0))) == found
    assert any(choice.startswith("target_transform") for choice, _ in final_model.measure(Bench("skewed", 0)))


def test_a_gain_is_positive_where_a_prediction_is_better() -> None:
    bench = Bench("diabetes", 0)
    truth = bench.truth("test")
    assert bench.gain("rmse", truth + 1.0, truth + 2.0) == pytest.approx(50)
    assert bench.gain("rmse", truth + 2.0, truth + 1.0) == pytest.approx(-100)


def test_a_line_has_the_mean_and_its_standard_error() -> None:
    assert final_model.line("a choice", [1.0, 3.0]).split() == ["a", "choice", "+2.00", "±", "1.00", "(2", "runs)"]
