"""Trainings of the user's own: what they owe is checked, what they break is told, and what they do is bits."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from hone import models
from hone.errors import UserError
from hone.models import Trainable
from hone.models.trainable import Fitted
from hone.parallel import reason
from hone.training import load_network, own, predict, train
from hone.trial import State
from tests.hone.test_training import assert_equal, passed_on, settings, table


class Drift(Trainable):
    """Adds a random step to a table of class scores each epoch; not good, but quick and honest."""

    space: ClassVar = {"step": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}}

    def train(self, config, inputs, rows, *, epochs, horizon, seed, checkpoint) -> Iterator[bytes]:
        state = np.zeros((rows.x_num.shape[1], inputs.n_outputs))
        state = state if checkpoint is None else np.frombuffer(checkpoint).reshape(state.shape)
        rows.x_num[:] = 0.0  # whatever it does to its rows stays here
        for epoch in epochs:
            state = state + config["step"] * self.random(seed, epoch).normal(size=state.shape)
            yield state.tobytes()

    def random(self, seed: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([seed, epoch])

    def predict(self, config, inputs, checkpoint, rows) -> Any:
        raw = rows.x_num @ np.frombuffer(checkpoint).reshape(-1, inputs.n_outputs)
        if inputs.n_outputs == 1:
            return raw[:, 0]
        odds = np.exp(raw - raw.max(1, keepdims=True))
        return odds / odds.sum(1, keepdims=True)


class Global(Drift):
    def random(self, seed, epoch):
        return np.random


class Forgetful(Drift):
    def random(self, seed, epoch):
        self.generator = getattr(self, "generator", np.random.default_rng(seed))
        return self.generator


class Short(Drift):
    def train(self, *args, **kwargs):
        yield next(super().train(*args, **kwargs))


class Listing(Drift):
    def train(self, *args, **kwargs):
        return [[1.0], [2.0]]


class Empty(Drift):
    def train(self, *args, **kwargs):
        yield b""


class NeedyError(ValueError):
    """An error that a process cannot hand to another: it cannot be made from its text."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first}\n{second}")


class Raising(Drift):
    def train(self, *args, **kwargs):
        yield from super().train(*args, **{**kwargs, "epochs": range(1, 2)})
        raise NeedyError("out of", "ideas")


class Narrow(Drift):
    def predict(self, *args):
        return super().predict(*args)[:, :2]


class Logits(Drift):
    def predict(self, *args):
        return np.log(super().predict(*args))


class Infinite(Drift):
    def predict(self, *args):
        return super().predict(*args) * np.nan


class Wrong(Drift):
    def predict(self, *args):
        raise KeyError("x")


class Dice(Drift):
    def predict(self, config, inputs, checkpoint, rows):
        odds = np.random.rand(len(rows), inputs.n_outputs)
        return odds / odds.sum(1, keepdims=True)


class Counting(Drift):
    threads: ClassVar[list[int]] = []

    def predict(self, *args):
        self.threads[:] = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
        return super().predict(*args)


class Spaceless(Drift):
    space: ClassVar = {}


class Half(Trainable):
    space = Drift.space

    def train(self, *args, **kwargs):
        yield b""


class Plain(torch.nn.Linear):
    """A network's class has `train`, too, and is a factory all the same."""

    def __init__(self, inputs, config):
        super().__init__(3, 3)

    def predict(self):
        pass

    def forward(self, x_num, x_cat):
        return super().forward(x_num)


def name(of: type) -> str:
    return f"{__name__}:{of.__name__}"


CONFIG = {"step": 0.5}


def test_what_a_name_is_the_object_says() -> None:
    models.check_family(name(Drift))
    models.check_family(name(Plain))
    assert models.is_trainable(name(Drift))
    assert not models.is_trainable(name(Plain))
    assert not models.is_trainable("mlp")
    assert models.default_space(name(Drift)).names == ("step",)
    assert "learning_rate" in models.default_space(name(Plain)).names


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_training_in_two_parts_equals_training_in_one_to_the_bit(task: Any) -> None:
    data = table(task)
    before = data.train.x_num.copy()
    straight = train(CONFIG, name(Drift), data, settings(data), resource=8, seed=3)
    first, checkpoint = train(CONFIG, name(Drift), data, settings(data), resource=3, seed=3)
    assert checkpoint is not None
    second = train(CONFIG, name(Drift), data, settings(data), resource=8, seed=9, checkpoint=passed_on(checkpoint))
    assert (first.epochs_run, second[0].epochs_run) == (3, 5)
    assert_equal(straight, second)
    assert first.curve == straight[0].curve[:3]
    assert np.array_equal(data.train.x_num, before)


def test_the_score_is_hones_and_so_is_the_best_checkpoint() -> None:
    data = table()
    outcome, checkpoint = train(CONFIG, name(Drift), data, settings(data, patience=4), resource=18, seed=1)
    assert outcome.state is State.COMPLETE
    assert len(outcome.curve) == min(18, outcome.best_epoch + 4)  # stopped early
    assert checkpoint is not None
    assert data.validation is not None
    model = load_network(name(Drift), CONFIG, data.inputs, passed_on(checkpoint).weights())
    predicted = predict(model, data.validation, data.problem, 0.0, 1.0)
    np.testing.assert_allclose(predicted.sum(1), 1.0)
    assert -np.mean(predicted.argmax(1) == data.validation.y) == outcome.objective == min(outcome.curve)
    state = checkpoint.weights()["_extra_state"].numpy().tobytes()
    inner = models.build(name(Drift), CONFIG, data.inputs, seed=0)
    assert isinstance(inner, Fitted)
    expected = inner.trainable.predict(CONFIG, data.inputs, state, data.validation)
    np.testing.assert_allclose(predicted, expected, rtol=1e-9, atol=1e-12)
    assert "train_loss" not in outcome.metrics


def test_a_prediction_has_one_thread_wherever_it_is_asked_for() -> None:
    data = table()
    _, checkpoint = train(CONFIG, name(Counting), data, settings(data), resource=1, seed=1)
    assert checkpoint is not None
    model = load_network(name(Counting), CONFIG, data.inputs, checkpoint.weights())
    with threadpool_limits(2):
        predict(model, data.train, data.problem, 0.0, 1.0)
        assert Counting.threads
        assert set(Counting.threads) == {1}
        assert 2 in [one["num_threads"] for one in threadpool_info()]


def test_values_come_back_in_the_targets_own_units() -> None:
    data = table("regression")
    outcome, checkpoint = train(CONFIG, name(Drift), data, settings(data), resource=2, seed=1)
    assert checkpoint is not None
    assert data.validation is not None
    model = load_network(name(Drift), CONFIG, data.inputs, checkpoint.weights())
    in_units = predict(model, data.validation, data.problem, data.target_mean, data.target_std)
    standardised = predict(model, data.validation, data.problem, 0.0, 1.0)
    np.testing.assert_allclose(in_units, 100.0 + 20.0 * standardised)
    assert outcome.state is State.COMPLETE


@pytest.mark.parametrize(
    ("family", "said"),
    [
        (Short, "train ended before epoch 2 of 2; yield once an epoch"),
        (Listing, "train yielded a value of type list after epoch 1; yield a checkpoint as bytes"),
        (Empty, "train yielded no bytes after epoch 1"),
        (Raising, "train failed in epoch 2 (NeedyError: out of ideas)"),
        (Narrow, "predict returned shape (30, 2) for 30 rows; return (30, 3)"),
        (Logits, "predict returned rows that are no probabilities; each must add up to 1"),
        (Wrong, "predict failed (KeyError: 'x')"),
    ],
)
def test_what_it_breaks_is_one_line_that_a_process_can_hand_to_another(family: type, said: str) -> None:
    data = table()
    with pytest.raises(UserError) as failure:
        train(CONFIG, name(family), data, settings(data), resource=2, seed=0)
    assert said in str(failure.value)
    assert family.__name__ in str(failure.value)
    assert "\n" not in reason(failure.value)
    assert str(UserError(*failure.value.args)) == str(failure.value)


def test_predictions_that_are_not_finite_have_diverged() -> None:
    data = table()
    outcome, checkpoint = train(CONFIG, name(Infinite), data, settings(data), resource=2, seed=0)
    assert outcome.state is State.DIVERGED
    assert checkpoint is None


@pytest.mark.parametrize(
    ("family", "said"),
    [
        (Global, "two trainings of one epoch with the same seed differ"),
        (Forgetful, "two epochs differ from one epoch and another from its checkpoint"),
        (Dice, "two predictions from one checkpoint differ"),
        (Infinite, "its predictions are not finite"),
        (Narrow, "predict returned shape"),
        (Raising, "train failed in epoch 2"),
    ],
)
def test_what_its_author_owes_is_tried_out(family: type, said: str) -> None:
    data = table()
    with pytest.raises(UserError, match=rf"^model\.family: '.*:{family.__name__}'.*: {said}") as refusal:
        own.try_out(name(family), CONFIG, data.inputs, data.train, 18)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_one_that_owes_nothing_passes(task: Any) -> None:
    data = table(task)
    own.try_out(name(Drift), CONFIG, data.inputs, data.train, 18)


@pytest.mark.parametrize(
    ("family", "said"),
    [(Spaceless, "its space is empty"), (Half, r"cannot be made without arguments \(TypeError: Can")],
)
def test_a_class_that_cannot_be_used_is_named(family: type, said: str) -> None:
    with pytest.raises(UserError, match=rf"^model\.family: '.*:{family.__name__}': {said}"):
        models.check_family(name(family))
