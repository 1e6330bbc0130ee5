"""Training: to the bit the same however it is cut, and every way it can end."""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from hone import metrics, models
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem, Task
from hone.errors import UserError
from hone.seeds import numpy_generator, torch_generator
from hone.training import Checkpoint, Outcome, Settings, TrainingData, load_network, predict, train
from hone.training.loop import Batches, fit
from hone.training.optimizers import optimizer_for
from hone.training.schedules import SCHEDULES
from hone.trial import State

METRIC: dict[Task, str] = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}
FAMILIES = tuple(name for name, family in models.FAMILIES.items() if family.takes == "table")
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"n_layers": 2, "units_1": 16, "units_2": 16},
    "resnet": {"n_blocks": 1, "units": 16},
    "realmlp": {"n_layers": 1, "units": 16},
    "tabm": {"n_layers": 1, "units": 16, "n_members": 3},
    "ft_transformer": {"n_blocks": 1, "token_size": 32},
    "auto": {"family": "tabm", "n_layers": 1, "units": 16, "n_members": 3, "embedding": "none"},
}


def table(task: Task = "multiclass", n: int = 60, n_validation: int = 30, seed: int = 0) -> TrainingData:
    """Return a table with a signal: 4 numeric columns, a small and a large categorical one."""
    rng = np.random.default_rng(seed)
    total = n + n_validation
    x_num = rng.normal(size=(total, 4)).astype(np.float32)
    x_cat = np.stack([rng.integers(1, 4, total), rng.integers(0, 20, total)], 1)
    signal = x_num[:, 0] + 0.5 * x_num[:, 1] ** 2 + 0.5 * (x_cat[:, 0] == 1) + 0.1 * rng.normal(size=total)
    y: Any
    if task == "regression":
        y = ((signal - signal.mean()) / signal.std()).astype(np.float32)
        problem = Problem(task=task, target="y", metric="rmse")
    else:
        n_classes = 2 if task == "binary" else 3
        y = np.digitize(signal, np.quantile(signal, np.arange(1, n_classes) / n_classes))
        classes = tuple("abc"[:n_classes])
        positive = 1 if task == "binary" else None
        problem = Problem(task=task, target="y", metric=METRIC[task], classes=classes, positive_index=positive)
    arrays = Arrays(x_num, x_cat, y)
    learnt, held = arrays.take(np.arange(n)), arrays.take(np.arange(n, total))
    mean, std = (100.0, 20.0) if task == "regression" else (0.0, 1.0)
    inputs = models.inputs_of(learnt, problem, (4, 20))
    return TrainingData(train=learnt, validation=held, problem=problem, inputs=inputs, target_mean=mean, target_std=std)


def config_of(family: str = "mlp", **changes: Any) -> dict[str, Any]:
    return {**models.default_space(family).default, **SMALL.get(family, {}), "batch_size": 16, **changes}


def settings(data: TrainingData, **changes: Any) -> Settings:
    return Settings(**{"epochs": 18, "gradient_clip": 1.0, "metric": METRIC[data.problem.task], **changes})


def passed_on(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint as it comes back from where it was stored."""
    tensors = safetensors.torch.load(safetensors.torch.save(dict(checkpoint.tensors)))
    return Checkpoint(tensors, json.loads(json.dumps(checkpoint.info, allow_nan=False)))


def assert_equal(a: tuple[Outcome, Checkpoint | None], b: tuple[Outcome, Checkpoint | None]) -> None:
    assert dataclasses.replace(a[0], epochs_run=0) == dataclasses.replace(b[0], epochs_run=0)
    assert a[1] is not None
    assert b[1] is not None
    assert a[1].info == b[1].info
    assert set(a[1].tensors) == set(b[1].tensors)
    for name, tensor in a[1].tensors.items():
        assert torch.equal(tensor, b[1].tensors[name]), name


@pytest.mark.parametrize("schedule", tuple(SCHEDULES))
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("family", FAMILIES)
def test_training_in_two_parts_equals_training_in_one_to_the_bit(family: str, optimizer: str, schedule: str) -> None:
    data = table()
    config = config_of(family, optimizer=optimizer, schedule=schedule, dropout=0.2, momentum=0.9)
    if optimizer == "adamw":
        del config["momentum"]
    straight = train(config, family, data, settings(data), resource=18, seed=3)
    first, checkpoint = train(config, family, data, settings(data), resource=6, seed=3)
    assert first.epochs_run == 6
    assert checkpoint is not None
    torch.rand(7)  # what the process drew in between must not matter
    # Another seed, as a later trial would bring: the checkpoint's own goes on.
    second = train(config, family, data, settings(data), resource=18, seed=99, checkpoint=passed_on(checkpoint))
    assert second[0].epochs_run == 12
    assert len(second[0].curve) == 18
    assert_equal(straight, second)


@pytest.mark.parametrize("embedding", ["periodic", "piecewise_linear"])
def test_embeddings_and_a_share_of_the_rows_continue_to_the_bit(embedding: str) -> None:
    data = table("binary")
    config = config_of(embedding=embedding, frequency_scale=0.1, label_smoothing=0.1)
    straight = train(config, "mlp", data, settings(data), resource=4, seed=3, rows=0.5)
    _, checkpoint = train(config, "mlp", data, settings(data), resource=1, seed=3, rows=0.5)
    assert checkpoint is not None
    again = train(config, "mlp", data, settings(data), resource=4, seed=3, rows=0.5, checkpoint=passed_on(checkpoint))
    assert_equal(straight, again)


def test_sgd_without_momentum_continues_to_the_bit() -> None:
    data = table()
    config = config_of(optimizer="sgd", momentum=0.0)
    straight = train(config, "mlp", data, settings(data), resource=3, seed=0)
    _, checkpoint = train(config, "mlp", data, settings(data), resource=2, seed=0)
    assert checkpoint is not None
    again = train(config, "mlp", data, settings(data), resource=3, seed=0, checkpoint=passed_on(checkpoint))
    assert_equal(straight, again)


def test_continuing_does_not_change_the_checkpoint_it_starts_from() -> None:
    data = table()
    _, checkpoint = train(config_of(), "mlp", data, settings(data), resource=2, seed=0)
    assert checkpoint is not None
    before = passed_on(checkpoint)
    train(config_of(), "mlp", data, settings(data), resource=4, seed=0, checkpoint=checkpoint)
    assert all(torch.equal(tensor, before.tensors[name]) for name, tensor in checkpoint.tensors.items())
    assert json.loads(json.dumps(checkpoint.info)) == before.info


@pytest.mark.parametrize("threads", [1, 2])
def test_the_process_around_it_does_not_change_a_result_nor_is_changed(threads: int) -> None:
    data = table()
    expected = train(config_of(), "mlp", data, settings(data), resource=2, seed=0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.manual_seed(threads)
        state = torch.get_rng_state()
        again = train(config_of(), "mlp", data, settings(data), resource=2, seed=0)
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(before)
    assert_equal(expected, again)


def test_another_seed_gives_another_training() -> None:
    data = table()
    (_, first), (_, second) = (
        train(config_of(), "mlp", data, settings(data), resource=1, seed=seed) for seed in (0, 1)
    )
    assert first is not None
    assert second is not None
    assert not torch.equal(first.tensors["model.head.weight"], second.tensors["model.head.weight"])


def test_a_checkpoint_of_another_config_is_refused() -> None:
    data = table()
    _, checkpoint = train(config_of(), "mlp", data, settings(data), resource=1, seed=0)
    with pytest.raises(ValueError, match="another config"):
        train(config_of(dropout=0.3), "mlp", data, settings(data), resource=2, seed=0, checkpoint=checkpoint)


@pytest.mark.parametrize("task", list(METRIC))
@pytest.mark.parametrize("family", FAMILIES)
def test_each_task_is_learnt_and_scored_in_its_own_units(family: str, task: Task) -> None:
    data = table(task, n=200, n_validation=100)
    outcome, checkpoint = train(
        config_of(family, learning_rate=0.01), family, data, settings(data), resource=18, seed=0
    )
    assert checkpoint is not None
    assert data.validation is not None
    assert outcome.objective == min(outcome.curve) == outcome.curve[outcome.best_epoch - 1]
    # A constant guess scores 0.5 (AUC), 0.33 (accuracy) and 20 (RMSE, the target's standard deviation).
    value = metrics.value(METRIC[task], outcome.objective)
    assert value < 10 if task == "regression" else value > {"binary": 0.85, "multiclass": 0.65}[task]
    model = load_network(family, checkpoint.info["config"], data.inputs, checkpoint.weights())
    prediction = predict(model, data.validation, data.problem, data.target_mean, data.target_std)
    y = data.validation.y * data.target_std + data.target_mean if task == "regression" else data.validation.y
    assert metrics.score(METRIC[task], data.problem, y, prediction) == pytest.approx(value, abs=1e-5)
    assert outcome.metrics[METRIC[task]] == pytest.approx(value, abs=1e-12)
    assert set(metrics.score_all(data.problem, y, prediction)) < set(outcome.metrics)


def skewed_table() -> TrainingData:
    """Return rows whose target is the exponential of what follows from them."""
    data = table("regression")
    assert data.validation is not None
    train_y, validation_y = (np.exp(2 * part.y) for part in (data.train, data.validation))
    mean, std = float(train_y.mean()), float(train_y.std())
    parts = [
        dataclasses.replace(part, y=((y - mean) / std).astype(np.float32))
        for part, y in ((data.train, train_y), (data.validation, validation_y))
    ]
    return dataclasses.replace(data, train=parts[0], validation=parts[1], target_mean=mean, target_std=std)


def test_a_network_learns_in_the_transform_and_is_scored_in_the_targets_units() -> None:
    data = skewed_table()
    assert data.validation is not None
    config = config_of(target_transform="yeo_johnson", learning_rate=0.01)
    mae = settings(data, metric="mae")
    outcome, checkpoint = train(config, "mlp", data, mae, resource=18, seed=3)
    assert checkpoint is not None
    model = load_network("mlp", config, data.inputs, checkpoint.weights())
    units = data.target_mean, data.target_std, data.transform(config)
    y = data.validation.y.astype(np.float64) * data.target_std + data.target_mean
    found = predict(model, data.validation, data.problem, *units)
    assert metrics.score("mae", data.problem, y, found) == pytest.approx(outcome.objective, rel=1e-5)
    assert found.min() >= np.exp(2 * table("regression").train.y).min() * 0.99
    plain, _ = train({**config, "target_transform": "none"}, "mlp", data, mae, resource=18, seed=3)
    assert outcome.objective < plain.objective
    _, first = train(config, "mlp", data, mae, resource=6, seed=3)
    assert first is not None
    assert_equal((outcome, checkpoint), train(config, "mlp", data, mae, resource=18, seed=9, checkpoint=first))


@pytest.mark.parametrize("task", list(METRIC))
def test_predictions_do_not_depend_on_the_batch_size(task: Task) -> None:
    data = table(task)
    assert data.validation is not None
    for family in FAMILIES:
        model = models.build(family, config_of(family), data.inputs, seed=0)
        whole, *others = (
            predict(model, data.validation, data.problem, data.target_mean, data.target_std, batch=batch)
            for batch in (4096, 7, 1)
        )
        assert whole.shape == ((30,) if task == "regression" else (30, len(data.problem.classes or ())))
        for other in others:  # matrix products of other shapes round otherwise, in the last bits of float32
            np.testing.assert_allclose(whole, other, rtol=2e-5)
        if task != "regression":
            np.testing.assert_allclose(whole.sum(1), 1.0)


def test_the_best_weights_are_kept_not_the_last() -> None:
    data = table("regression")
    # A rate this high overshoots: the best epoch is not the last.
    config = config_of(optimizer="sgd", momentum=0.9, learning_rate=0.08, schedule="constant")
    outcome, checkpoint = train(config, "mlp", data, settings(data), resource=18, seed=0)
    assert checkpoint is not None
    assert outcome.best_epoch < 18
    _, then = train(config, "mlp", data, settings(data), resource=outcome.best_epoch, seed=0)
    assert then is not None
    for name, tensor in checkpoint.weights().items():
        assert torch.equal(tensor, then.tensors[f"model.{name}"])
    assert not torch.equal(checkpoint.tensors["best.head.weight"], checkpoint.tensors["model.head.weight"])


def test_epochs_with_equal_scores_are_ranked_by_their_loss() -> None:
    data = table(n_validation=5)  # so few rows that many epochs tie
    config = config_of(learning_rate=0.003, embedding="none")
    outcome, checkpoint = train(config, "mlp", data, settings(data), resource=12, seed=0)
    ties = [epoch for epoch, value in enumerate(outcome.curve, 1) if value == outcome.objective]
    assert len(ties) > 2
    losses = {}
    for epoch in ties:
        _, then = train(config, "mlp", data, settings(data), resource=epoch, seed=0)
        assert then is not None
        assert data.validation is not None
        model = load_network("mlp", config, data.inputs, {n[6:]: t for n, t in then.tensors.items() if n[0] == "m"})
        raw = model(torch.tensor(data.validation.x_num), torch.tensor(data.validation.x_cat)).double()
        losses[epoch] = nn.functional.cross_entropy(raw, torch.tensor(data.validation.y)).item()
    assert outcome.best_epoch == min(losses, key=losses.__getitem__) > ties[0]
    assert outcome.metrics["validation_loss"] == pytest.approx(losses[outcome.best_epoch], rel=1e-5)
    # The rule holds across a cut as well.
    _, part = train(config, "mlp", data, settings(data), resource=ties[1], seed=0)
    assert part is not None
    again = train(config, "mlp", data, settings(data), resource=12, seed=0, checkpoint=passed_on(part))
    assert_equal((outcome, checkpoint), again)


def test_a_training_without_progress_stops_early_and_stays_stopped() -> None:
    data = table("regression")
    config = config_of(optimizer="sgd", momentum=0.9, learning_rate=0.08, schedule="constant")
    patient = settings(data, patience=2, epochs=60)
    straight = train(config, "mlp", data, patient, resource=60, seed=0)
    outcome, checkpoint = straight
    assert checkpoint is not None
    assert outcome.epochs_run == len(outcome.curve) == outcome.best_epoch + 2 < 60
    assert outcome.state is State.COMPLETE
    again, same = train(config, "mlp", data, patient, resource=60, seed=0, checkpoint=checkpoint)
    assert (again.epochs_run, again.objective, again.curve) == (0, outcome.objective, outcome.curve)
    assert same is checkpoint
    # Cut one epoch before the stop, it stops at the same place.
    cut = outcome.epochs_run - 1
    _, before = train(config, "mlp", data, patient, resource=cut, seed=0)
    assert before is not None
    assert not before.info["stopped"]
    resumed = train(config, "mlp", data, patient, resource=60, seed=0, checkpoint=passed_on(before))
    assert resumed[0].epochs_run == 1
    assert_equal(straight, resumed)


def test_rows_apart_choose_the_epoch_and_the_validation_rows_score_it() -> None:
    data = table("regression", n_validation=60)
    assert data.validation is not None
    held, apart = data.validation.take(np.arange(30)), data.validation.take(np.arange(30, 60))
    config = config_of(optimizer="sgd", momentum=0.9, learning_rate=0.08, schedule="constant")
    patient = settings(data, patience=2, epochs=60)

    def trained(validation: Arrays, stopping: Arrays | None, **options: Any) -> tuple[Outcome, Checkpoint | None]:
        rows = dataclasses.replace(data, validation=validation, stopping=stopping)
        return train(config, "mlp", rows, patient, resource=60, seed=0, **options)

    by_apart, by_held = trained(apart, None)[0], trained(held, None)[0]
    both, checkpoint = trained(held, apart)
    assert both.best_epoch == by_apart.best_epoch != by_held.best_epoch
    n = min(len(both.curve), len(by_held.curve))
    assert both.curve[:n] == by_held.curve[:n]
    assert both.objective == both.curve[both.best_epoch - 1] > min(both.curve)
    rows = dataclasses.replace(data, validation=held, stopping=apart)
    _, before = train(config, "mlp", rows, patient, resource=both.best_epoch, seed=0)
    assert before is not None
    assert_equal((both, checkpoint), trained(held, apart, checkpoint=passed_on(before)))


def test_patience_zero_never_stops() -> None:
    data = table("regression")
    config = config_of(optimizer="sgd", momentum=0.9, learning_rate=0.08, schedule="constant")
    outcome, _ = train(config, "mlp", data, settings(data, patience=0), resource=40, seed=0)
    assert len(outcome.curve) == 40


def test_a_checkpoint_that_has_its_resource_costs_nothing() -> None:
    data = table()
    outcome, checkpoint = train(config_of(), "mlp", data, settings(data), resource=3, seed=0)
    again, same = train(config_of(), "mlp", data, settings(data), resource=3, seed=0, checkpoint=checkpoint)
    assert again == dataclasses.replace(outcome, epochs_run=0)
    assert same is checkpoint


@pytest.mark.parametrize("family", FAMILIES)
def test_divergence_is_an_outcome_that_names_the_epoch(family: str) -> None:
    data = table("regression")
    config = config_of(family, optimizer="sgd", momentum=0.9, learning_rate=1e30, schedule="constant")
    outcome, checkpoint = train(config, family, data, settings(data, gradient_clip=0.0), resource=9, seed=0)
    assert outcome.state is State.DIVERGED
    assert outcome.error is not None
    assert f"epoch {outcome.epochs_run}" in outcome.error
    assert math.isinf(outcome.objective)
    assert len(outcome.curve) == outcome.epochs_run - 1
    assert all(math.isfinite(value) for value in outcome.curve)
    assert checkpoint is None


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "without validation rows"])
def test_weights_that_are_lost_after_a_finite_loss_diverge(factory: str, watched: bool) -> None:
    data = table("regression")
    data = data if watched else dataclasses.replace(data, validation=None)
    outcome, _ = train(config_of(factory), factory, data, settings(data), resource=3, seed=0)
    assert (outcome.state, outcome.epochs_run) == (State.DIVERGED, 2)
    assert outcome.error == "diverged: the training loss or a weight was not finite after epoch 2"


def test_without_validation_rows_it_trains_all_its_epochs_and_keeps_the_last_weights() -> None:
    data = table("regression")
    alone = dataclasses.replace(data, validation=None)
    patient = settings(data, patience=1)
    outcome, checkpoint = train(config_of(), "mlp", alone, patient, resource=7, seed=0)
    assert checkpoint is not None
    assert (outcome.state, outcome.curve, outcome.best_epoch, outcome.epochs_run) == (State.COMPLETE, (), 7, 7)
    assert all(torch.equal(t, checkpoint.tensors[f"model.{name}"]) for name, t in checkpoint.weights().items())
    _, watched = train(config_of(), "mlp", data, settings(data), resource=7, seed=0)
    assert watched is not None
    # Validation only looks: the weights are those of a training that was watched.
    assert torch.equal(watched.tensors["model.head.weight"], checkpoint.tensors["model.head.weight"])
    _, part = train(config_of(), "mlp", alone, patient, resource=3, seed=0)
    assert part is not None
    resumed = train(config_of(), "mlp", alone, patient, resource=7, seed=0, checkpoint=passed_on(part))
    assert_equal((outcome, checkpoint), resumed)


def test_a_smaller_share_of_the_rows_is_part_of_a_larger_one(seen: list[torch.Tensor], factory: str) -> None:
    data = table("regression", n=50)
    found = []
    for rows in (0.1, 0.5, 1.0):
        seen.clear()
        train(config_of(factory), factory, data, settings(data), resource=1, seed=round(rows * 10), rows=rows)
        found.append({tuple(row) for batch in seen for row in batch.tolist()})
    assert [len(rows) for rows in found] == [5, 25, 50]
    assert found[0] < found[1] < found[2]


def test_every_row_is_seen_once_an_epoch_in_an_order_of_its_own(seen: list[torch.Tensor], factory: str) -> None:
    data = table("regression", n=49)
    train(config_of(factory), factory, data, settings(data), resource=2, seed=0)
    # 49 = 16 + 16 + 17: a last batch of one row is merged.
    assert [len(batch) for batch in seen] == [16, 16, 17] * 2
    first, second = (torch.cat(seen[i : i + 3]) for i in (0, 3))
    assert not torch.equal(first, second)
    expected = sorted(map(tuple, data.train.x_num.tolist()))
    assert sorted(map(tuple, first.tolist())) == sorted(map(tuple, second.tolist())) == expected


@pytest.mark.parametrize(("n", "size"), [(1, 4), (4, 4), (5, 4), (6, 4), (9, 4), (3, 100), (3, 2), (7, 1)])
def test_batches_hold_all_rows_and_end_with_one_row_only_where_there_is_no_other_way(n: int, size: int) -> None:
    sizes = Batches(torch.zeros(n, 1), torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n), size).sizes()
    assert sum(sizes) == n
    assert all(batch == size for batch in sizes[:-1])
    assert size == 1 or n == 1 or sizes[-1] > 1


def test_a_large_table_is_dealt_in_the_same_order_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    for n, size in ((23, 4), (21, 4), (5, 8)):  # 21: the last two batches are merged
        batches = Batches(torch.rand(n, 3), torch.randint(9, (n, 2)), torch.arange(float(n)), size)
        whole = list(batches.epoch(torch_generator(0)))
        with monkeypatch.context() as patched:
            patched.setattr("hone.training.loop.MOST_GATHERED", 2 * size * 4 * (3 + 2 * 2 + 1))
            pieces = list(batches.epoch(torch_generator(0)))
        assert [len(y) for _, _, y in pieces] == batches.sizes()
        for one, other in zip(whole, pieces, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_batch_norm_survives_a_last_batch_of_one_row() -> None:
    data = table(n=33)
    outcome, _ = train(config_of("resnet"), "resnet", data, settings(data), resource=1, seed=0)
    assert outcome.state is State.COMPLETE


@pytest.mark.parametrize("task", list(METRIC))
@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_configs_build_and_train(family: str, task: Task) -> None:
    data = table(task)
    space = models.without_idle(models.default_space(family), data.inputs)
    rng = numpy_generator(0, family, task)
    for _ in range(12):
        config = space.decode(rng.random(space.dimension))
        assert space.contains(config)
        outcome, _ = train(config, family, data, settings(data), resource=1, seed=0)
        assert outcome.state in (State.COMPLETE, State.DIVERGED)
        assert outcome.epochs_run == 1


def test_balanced_classes_count_alike_in_the_loss_as_torch_says() -> None:
    data = table(n=16)  # one batch an epoch, so the first loss is the untrained network's
    rare = np.arange(16) < 3
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, y=rare.astype(np.int64)))
    config = config_of(dropout=0.0)
    outcome, _ = train(config, "mlp", data, settings(data, balanced=True), resource=1, seed=0)
    model = models.build("mlp", config, data.inputs, 0)
    raw = model(torch.tensor(data.train.x_num), torch.tensor(data.train.x_cat))
    each = torch.nn.functional.cross_entropy(raw, torch.tensor(data.train.y), reduction="none").detach().numpy()
    expected = (each[rare].mean() + each[~rare].mean()) / 2
    assert outcome.metrics["train_loss"] == pytest.approx(expected, rel=1e-5)
    train(config_of(), "mlp", table("regression"), settings(table("regression"), balanced=True), resource=1, seed=0)


def test_label_smoothing_changes_the_loss_as_torch_says() -> None:
    data = table(n=16)  # one batch an epoch, so the first loss is the untrained network's
    for smoothing in (0.0, 0.2):
        config = config_of(dropout=0.0, label_smoothing=smoothing)
        outcome, _ = train(config, "mlp", data, settings(data), resource=1, seed=0)
        model = models.build("mlp", config, data.inputs, seed=0)
        raw = model(torch.tensor(data.train.x_num), torch.tensor(data.train.x_cat))
        expected = nn.functional.cross_entropy(raw, torch.tensor(data.train.y), label_smoothing=smoothing)
        assert outcome.metrics["train_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_one_cycle_and_cosine_are_torchs() -> None:
    for name, n in (("one_cycle", 40), ("cosine", 40)):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        reference: torch.optim.lr_scheduler.LRScheduler
        if name == "one_cycle":  # torch counts to n - 1, and its rise ends at 0.3 n - 1; with n + 1 both ends agree
            reference = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, 1.0, total_steps=n + 1, pct_start=(0.3 * n + 1) / (n + 1), cycle_momentum=False
            )
        else:
            reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n)
        for step in range(n):
            assert SCHEDULES[name](step / n) == pytest.approx(reference.get_last_lr()[0], abs=1e-9)
            optimizer.step()
            reference.step()
    for wave in range(4):  # each as long as all before it, and one more
        trough, peak = 2**wave - 1, 2 ** (wave + 0.5) - 1
        assert SCHEDULES["coslog4"](trough / 15) == pytest.approx(0.0, abs=1e-12)
        assert SCHEDULES["coslog4"](peak / 15) == pytest.approx(1.0)
    assert SCHEDULES["coslog4"](1.0) == pytest.approx(0.0, abs=1e-12)
    assert SCHEDULES["cosine"](1.5) == 0.0
    assert SCHEDULES["constant"](0.7) == 1.0


def test_the_schedule_runs_over_the_full_resource() -> None:
    data = table(n=32)
    model = models.build("mlp", config_of(), data.inputs, seed=0)
    optimizer = optimizer_for(model, config_of())
    batches = Batches(torch.tensor(data.train.x_num), torch.tensor(data.train.x_cat), torch.tensor(data.train.y), 16)
    rates = [
        optimizer.param_groups[0]["lr"]
        for _ in fit(
            model,
            optimizer,
            nn.functional.cross_entropy,
            batches,
            epochs=range(1, 4),
            horizon=10,
            learning_rate=0.1,
            schedule=lambda progress: progress,
            gradient_clip=0.0,
            seed=0,
        )
    ]
    assert rates == pytest.approx([0.005, 0.015, 0.025])  # the last of two steps an epoch, of 20 in all


def test_parameters_have_factors_of_their_own_on_rate_and_decay() -> None:
    data = table("regression", n=16)
    config = config_of("realmlp", optimizer="sgd", momentum=0.0, learning_rate=0.01, weight_decay=0.5)
    model = models.build("realmlp", config, data.inputs, seed=0)
    groups = optimizer_for(model, config).param_groups
    of = {id(p): (group["rate_factor"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(of) == len(list(model.parameters()))
    rate, decay = of[id(model.head.weight)]  # 16 wide: a quarter of the paper's width, at twice the rate
    assert (rate, decay) == (4.0, 0.5 / 4)
    assert of[id(model.head.bias)] == (1.6, 0.0)
    assert of[id(model.scale)] == (96.0, 0.0)
    before = model.head.bias.detach().clone()
    optimizer = optimizer_for(model, config)
    batches = Batches(torch.tensor(data.train.x_num), torch.tensor(data.train.x_cat), torch.tensor(data.train.y), 16)
    next(
        fit(
            model,
            optimizer,
            lambda raw, y: raw.sum(),  # of gradient 16 to the bias
            batches,
            epochs=range(1, 2),
            horizon=1,
            learning_rate=0.01,
            schedule=SCHEDULES["constant"],
            gradient_clip=0.0,
            seed=0,
        )
    )
    torch.testing.assert_close(model.head.bias.detach(), before - 0.01 * 1.6 * 16)


def test_gradients_are_clipped_to_the_largest_norm() -> None:
    data = table("regression", n=16)
    config = config_of(optimizer="sgd", momentum=0.0, learning_rate=1.0, schedule="constant", weight_decay=1e-6)
    start = models.build("mlp", config, data.inputs, seed=0).state_dict()
    _, checkpoint = train(config, "mlp", data, settings(data, gradient_clip=0.01), resource=1, seed=0)
    assert checkpoint is not None
    moved = torch.cat([(checkpoint.tensors[f"model.{name}"] - start[name]).flatten() for name in start])
    # One step of rate 1 moves the weights by the clipped gradient.
    assert float(moved.norm()) == pytest.approx(0.01, rel=0.02)


def test_biases_and_norms_are_not_decayed() -> None:
    model = models.build("resnet", config_of("resnet"), table().inputs, seed=0)
    decayed, rest = optimizer_for(model, config_of("resnet", weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    assert {p.ndim for p in rest["params"]} == {1}
    assert len(decayed["params"]) + len(rest["params"]) == len(list(model.parameters()))


def test_a_metric_that_the_validation_rows_do_not_define_is_named() -> None:
    data = table("binary")
    assert data.validation is not None
    held = data.validation.take(np.flatnonzero(data.validation.y == 0))
    with pytest.raises(UserError, match=r"data.metric: roc_auc .* validation rows"):
        train(config_of(), "mlp", dataclasses.replace(data, validation=held), settings(data), resource=1, seed=0)


def test_an_unknown_optimizer_and_a_missing_device_are_named() -> None:
    data = table()
    with pytest.raises(UserError, match=r"optimizer: 'adam' .* adamw or sgd"):
        train(config_of(optimizer="adam"), "mlp", data, settings(data), resource=1, seed=0)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"train.device: 'cuda'"):
            train(config_of(), "mlp", data, settings(data, device="cuda"), resource=1, seed=0)
    outcome, _ = train(config_of(), "mlp", data, settings(data, device="auto"), resource=1, seed=0)
    assert outcome.state is State.COMPLETE


def test_batches_are_dealt_by_the_generator_they_are_given() -> None:
    batches = Batches(torch.arange(10.0)[:, None], torch.zeros(10, 0, dtype=torch.int64), torch.arange(10.0), 4)
    order = torch.randperm(10, generator=torch_generator(0))
    dealt = list(batches.epoch(torch_generator(0)))
    assert torch.equal(torch.cat([y for _, _, y in dealt]), order.float())
    assert all(torch.equal(x_num[:, 0], y) for x_num, _, y in dealt)


FACTORY = """
import torch
from torch import nn

seen = []

class Net(nn.Module):
    def __init__(self, inputs, config):
        super().__init__()
        self.linear = nn.Linear(inputs.n_num, inputs.n_outputs)
        self.calls = 0

    def forward(self, x_num, x_cat):
        if self.training:
            seen.append(x_num.clone())
            self.calls += 1
            if self.calls == 8:
                # After a finite loss: 60 rows in batches of 16 are 4 steps, so this is the end of epoch 2.
                self.linear.bias.register_hook(lambda gradient: gradient * float("nan"))
        return self.linear(x_num)
"""


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "hone_test_watched.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hone_test_watched", raising=False)
    return "hone_test_watched:Net"


@pytest.fixture
def seen(factory: str) -> list[torch.Tensor]:
    import hone_test_watched  # type: ignore[import-not-found]

    found: list[torch.Tensor] = hone_test_watched.seen
    return found


def test_a_checkpoint_of_other_rows_is_not_continued() -> None:
    data = table()
    config = config_of("mlp")
    _, half = train(config, "mlp", data, settings(data), resource=2, seed=3, rows=0.5)
    outcome, _ = train(config, "mlp", data, settings(data), resource=4, seed=5, checkpoint=passed_on(half))
    afresh, _ = train(config, "mlp", data, settings(data), resource=4, seed=5)
    assert (outcome.curve, outcome.epochs_run) == (afresh.curve, 4)
