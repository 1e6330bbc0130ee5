"""An epoch's time, from a few of its steps."""

from typing import Any

import numpy as np
import pytest

from hone import models
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.training import TrainingData, timing
from hone.training.timing import STEPS, seconds_of_epoch
from hone.training.train import Outcome, Settings
from hone.trial import State

PROBLEM = Problem(task="binary", target="y", metric="roc_auc", classes=("no", "yes"), positive_index=1)


def rows(n: int) -> Arrays:
    """Return rows of which the first half has one class only, as in a table in order of time."""
    x = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    return Arrays(x, np.zeros((n, 0), dtype=np.int64), (np.arange(n) >= n // 2).astype(np.int64))


def data(n: int) -> TrainingData:
    train = rows(n)
    return TrainingData(
        train=train, validation=rows(n // 4), problem=PROBLEM, inputs=models.inputs_of(train, PROBLEM, ())
    )


def config(**changes: Any) -> dict[str, Any]:
    return {**models.default_space("mlp").default, "embedding": "none", "batch_size": 16, **changes}


def test_a_part_stands_for_the_whole_and_what_is_paid_once_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def train(config: Any, family: str, data: TrainingData, settings: Settings, *, resource: int, **_: Any) -> Any:
        assert len(data.train) == STEPS * config["batch_size"]
        assert data.validation is not None
        assert len(data.validation) == len(data.train) // 4
        clock[0] += 0.1 + resource * (len(data.train) + len(data.validation)) * per_row
        return Outcome(state=State.COMPLETE), None

    monkeypatch.setattr(timing, "train", train)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    settings = Settings(epochs=54, metric="roc_auc")
    for per_row in (1e-4, 1e-2):  # the second: so slow that one epoch has to do
        found = seconds_of_epoch(config(), "mlp", data(1920), settings)
        assert found == pytest.approx(2400 * per_row, rel=1e-6 if per_row < 1e-3 else 0.05)


def test_a_noisy_clock_makes_no_epoch_free(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 0.2, 1.0, 1.1])  # a second training, longer by some epochs, that seems to take half as long
    monkeypatch.setattr(timing, "train", lambda *_, **__: (Outcome(state=State.COMPLETE), None))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    found = seconds_of_epoch(config(), "mlp", data(256), Settings(epochs=54, metric="roc_auc"))
    assert found == pytest.approx(0.2 / 50)


def test_rows_of_one_class_can_be_timed() -> None:
    found = seconds_of_epoch(config(), "mlp", data(1920), Settings(epochs=54, metric="roc_auc"))
    assert found is not None
    assert found > 0


def test_a_config_that_diverges_has_no_time() -> None:
    settings = Settings(epochs=54, metric="roc_auc")
    assert (
        seconds_of_epoch(config(optimizer="sgd", momentum=0.9, learning_rate=1e30), "mlp", data(400), settings) is None
    )
