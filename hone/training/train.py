"""One training, from config to outcome: what a trial, a replay and a retrained network have in common."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hone import metrics, models
from hone.data import targets
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.data.targets import YeoJohnson
from hone.errors import UserError
from hone.models import InputSpec
from hone.models.former import FROZEN, PRETRAINED, RATE, START, Former
from hone.models.trainable import Fitted
from hone.seeds import torch_generator
from hone.training import own
from hone.training.checkpoint import Checkpoint, capture, restore, snapshot
from hone.training.determinism import deterministic, device_of
from hone.training.loop import Batches, EpochMetrics, Loss, fit
from hone.training.optimizers import optimizer_for
from hone.training.predict import Prediction, in_units, on_device, outputs
from hone.training.schedules import SCHEDULES
from hone.training.start import Loaded, load
from hone.trial import Config, State


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all trainings of a study share.

    epochs: the full resource, over which learning-rate schedules run whatever a single training gets.
    patience: epochs without a better validation score (or an equal one at a lower validation loss) after which a
    training stops; 0: never.
    gradient_clip: largest norm of a gradient; 0: not clipped. device: cpu, cuda or auto.
    metric: whose value on the validation rows is the objective. balanced: whether each class counts alike in the loss,
    however many rows it has. weights: the most that a network may have; None: no limit.
    """

    epochs: int
    metric: str
    patience: int = 0
    gradient_clip: float = 0.0
    device: str = "cpu"
    balanced: bool = False
    weights: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Preprocessed rows to learn from and, unless all are to be learnt from, rows to score on after each epoch.

    target_mean, target_std: of the training rows' target, by which `y` was standardised; 0 and 1 for classes.
    stopping: rows apart from both, by which the best epoch is chosen; without any, the validation rows choose it.
    """

    train: Arrays
    validation: Arrays | None
    problem: Problem
    inputs: InputSpec
    target_mean: float = 0.0
    target_std: float = 1.0
    stopping: Arrays | None = None

    def transform(self, config: Config) -> YeoJohnson | None:
        """Return the transform of standardised targets that a config asks for, by the training rows; None for none."""
        return targets.transform(config, self.train.y) if self.problem.task == "regression" else None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training went; the fields mean what they mean in `hone.trial.Result`.

    best_epoch: where epochs tie, the one with the lowest validation loss; where there are rows for stopping, chosen by
    those in the same way. metrics: at that epoch, every metric on the validation rows, validation_loss, and train_loss
    (as optimised, smoothing and dropout included). epochs_run: new epochs, those of the checkpoint it continued not
    included. Without validation rows the curve is empty, the objective inf, and the best epoch the last.
    """

    state: State
    objective: float = math.inf
    curve: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    best_epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs_run: int = 0
    error: str | None = None


def train(
    config: Config,
    family: str,
    data: TrainingData,
    settings: Settings,
    *,
    resource: int,
    seed: int,
    rows: float = 1.0,
    checkpoint: Checkpoint | None = None,
    former: Former | None = None,
    on_prediction: Callable[[Prediction], None] | None = None,
) -> tuple[Outcome, Checkpoint | None]:
    """Return the outcome of training up to `resource` epochs, and a checkpoint to continue it from.

    To train to 6 and on to 18 equals training to 18, to the bit, provided that rows and settings are the same. A
    checkpoint brings its own seed and replaces the one given; one that had stopped early, or has got its
    `resource`, is returned as it is, at no cost. One that was trained on another share of the rows is not continued:
    its scores, and its having stopped, say nothing about these rows. rows: share of the training rows; a smaller
    share is part of a larger one, and equal shares are the same rows in every training. former: weights to start from,
    where the config says `start: pretrained`. on_prediction: called after each new epoch with the predictions for the
    validation rows, as `hone.training.predict.predict` returns them.

    A training that diverges is an outcome and leaves no checkpoint. What a network raises, running out of memory
    included, goes to the caller. Raises UserError for a network of more weights than settings allow.
    """
    if checkpoint is not None and dict(checkpoint.info["config"]) != dict(config):
        raise ValueError(f"the checkpoint is of another config: {checkpoint.info['config']}, not {dict(config)}")
    if checkpoint is not None and checkpoint.info["rows"] != rows:
        checkpoint = None
    if checkpoint is not None and (checkpoint.info["stopped"] or checkpoint.info["epoch"] >= resource):
        return _complete(checkpoint.info, epochs_run=0), checkpoint

    device = device_of(settings.device)
    seed = seed if checkpoint is None else int(checkpoint.info["seed"])
    with deterministic(device):
        model = models.build(family, config, data.inputs, seed)
        _check_size(model, settings.weights)
        model.to(device)
        loaded = Loaded()
        if former is not None and config[START] == PRETRAINED:
            loaded = load(model, former, data.problem)
        optimizer = None
        if not isinstance(model, Fitted):
            optimizer = optimizer_for(
                model,
                models.resolved(family, config)[1],
                loaded.backbone,
                float(config[RATE]) if loaded.backbone else 1.0,
            )
        start, curve, best_epoch, measured, best = 0, list[float](), 0, dict[str, float](), dict[str, Tensor]()
        losses = list[float]()
        if checkpoint is not None:
            restore(checkpoint.tensors, model, optimizer)
            start, curve = int(checkpoint.info["epoch"]), list(checkpoint.info["curve"])
            losses = list(checkpoint.info["losses"])
            best_epoch, measured = int(checkpoint.info["best_epoch"]), dict(checkpoint.info["metrics"])
            best = checkpoint.weights()
        transform = data.transform(config)
        learnt = _transformed(data.train, transform)
        validation = None
        if data.validation is not None:
            validation = _Validation(data, data.validation, settings.metric, device, transform)
        judge = None
        if data.stopping is not None:
            judge = _Validation(data, data.stopping, settings.metric, device, transform)
        chosen_by = () if checkpoint is None else tuple(checkpoint.info["chosen_by"])
        epoch, stopped, found = start, False, None
        epochs, arrays = range(start + 1, resource + 1), _share(learnt, rows)
        if isinstance(model, Fitted):
            steps = own.fit(model, arrays, epochs=epochs, horizon=settings.epochs, seed=seed)
        else:
            assert optimizer is not None
            frozen_epochs = int(config[FROZEN]) if loaded.backbone else 0
            steps = fit(
                model,
                optimizer,
                _loss(data.problem, config, _class_weights(data, device) if settings.balanced else None),
                _batches(arrays, int(config["batch_size"]), device),
                epochs=epochs,
                horizon=settings.epochs,
                learning_rate=float(config["learning_rate"]),
                schedule=SCHEDULES[str(config["schedule"])],
                gradient_clip=settings.gradient_clip,
                seed=seed,
                augment=models.augment(family, config, data.inputs),
                frozen=loaded.backbone,
                frozen_epochs=frozen_epochs,
                # A person's own network may wait for results.
                recorded=device.type == "cuda" and family in models.FAMILIES and frozen_epochs == 0,
            )
        for trained in steps:
            epoch = trained.epoch
            prediction, loss = validation.predict(model) if trained.finite and validation else (None, math.inf)
            watched, watched_loss = judge.predict(model) if trained.finite and judge else (prediction, loss)
            if not trained.finite or any(
                each is not None and not np.isfinite(each).all() for each in (prediction, watched)
            ):
                what = "a prediction" if trained.finite else "the training loss or a weight"
                error = f"diverged: {what} was not finite after epoch {epoch}"
                return Outcome(state=State.DIVERGED, curve=tuple(curve), epochs_run=epoch - start, error=error), None
            if trained.loss is not None:
                losses.append(trained.loss)
            if validation is None or prediction is None:
                best_epoch, measured = epoch, _loss_of(trained)
                continue
            curve.append(validation.objective(prediction))
            if on_prediction is not None:
                on_prediction(prediction)
            score = (curve[-1] if judge is None or watched is None else judge.objective(watched)), watched_loss
            # By loss where scores tie: accuracy on few rows is soon at its best, long before the network is.
            if best_epoch == 0 or score < chosen_by:
                best_epoch, best, found, chosen_by = epoch, snapshot(model), prediction, score
                measured = {"validation_loss": loss, **_loss_of(trained)}
            if 0 < settings.patience <= epoch - best_epoch:
                stopped = True
                break
        if validation is not None and found is not None:
            measured = {**validation.measure(found), **measured}
        tensors = capture(model, best if validation is not None else snapshot(model), optimizer)
    info = {
        "family": family,
        "config": dict(config),
        "seed": seed,
        "rows": rows,
        "epoch": epoch,
        "curve": curve,
        "losses": losses,
        "best_epoch": best_epoch,
        "metrics": measured,
        "stopped": stopped,
        "chosen_by": list(chosen_by),
    }
    return _complete(info, epochs_run=epoch - start), Checkpoint(tensors, info)


class _Validation:
    """The validation rows on the device, and how predictions on them are scored."""

    def __init__(
        self, data: TrainingData, arrays: Arrays, metric: str, device: torch.device, transform: YeoJohnson | None
    ) -> None:
        self.data, self.metric, self.transform = data, metric, transform
        self.x_num, self.x_cat = on_device(arrays.x_num, device), on_device(arrays.x_cat, device)
        self.y = _targets(arrays, data)
        known = on_device(_transformed(arrays, transform).y, device)
        self.targets = known.double() if known.is_floating_point() else known
        self.loss = _loss(data.problem, {})

    def predict(self, model: nn.Module) -> tuple[Prediction, float]:
        """Return predictions, and their loss."""
        raw = outputs(model, self.x_num, self.x_cat)
        units = self.data.target_mean, self.data.target_std
        prediction = in_units(raw, self.data.problem, *units, self.transform)
        return prediction, float(self.loss(raw.double(), self.targets))

    def objective(self, prediction: Prediction) -> float:
        value = metrics.score(self.metric, self.data.problem, self.y, prediction)
        if not math.isfinite(value):  # the predictions are: it is the rows that don't allow it
            raise UserError(
                f"data.metric: {self.metric} is not defined on the {len(self.y)} validation rows "
                "(one class only?); choose another metric or a larger split.validation"
            )
        return metrics.objective(self.metric, value)

    def measure(self, prediction: Prediction) -> dict[str, float]:
        values = metrics.score_all(self.data.problem, self.y, prediction)
        return {name: value for name, value in values.items() if math.isfinite(value)}


def _check_size(model: nn.Module, most: int | None) -> None:
    n = sum(parameter.numel() for parameter in model.parameters()) if most is not None else 0
    if most is not None and n > most:
        raise UserError(f"train.limits.weights: {most:,}, but this network has {n:,}; raise it, or narrow search.space")


def _targets(arrays: Arrays, data: TrainingData) -> NDArray[Any]:
    """Return [n] class codes, or values in the target's own units."""
    if data.problem.task == "regression":
        return arrays.y.astype(np.float64) * data.target_std + data.target_mean
    return arrays.y


def _transformed(arrays: Arrays, transform: YeoJohnson | None) -> Arrays:
    return arrays if transform is None else replace(arrays, y=transform.forward(arrays.y))


def _share(arrays: Arrays, rows: float) -> Arrays:
    """Return a share of the rows: the first so many of an order that is the same for all trainings.

    The same for all, because trials that saw the same rows compare better than trials that saw different ones.
    """
    n = len(arrays)
    n_kept = max(1, round(rows * n))
    if n_kept == n:
        return arrays
    return arrays.take(torch.randperm(n, generator=torch_generator(0, "rows", n))[:n_kept].numpy())


def _batches(arrays: Arrays, size: int, device: torch.device) -> Batches:
    x_num, x_cat, y = (on_device(array, device) for array in (arrays.x_num, arrays.x_cat, arrays.y))
    return Batches(x_num, x_cat, y, size)


def _loss_of(trained: EpochMetrics) -> dict[str, float]:
    return {} if trained.loss is None else {"train_loss": trained.loss}


def _class_weights(data: TrainingData, device: torch.device) -> Tensor | None:
    """Return weights of classes by which all that have training rows count alike; the mean over rows is 1."""
    if data.problem.classes is None:
        return None
    counts = np.bincount(data.train.y.astype(np.int64), minlength=data.problem.n_classes)
    weights = np.where(counts > 0, counts.sum() / ((counts > 0).sum() * np.maximum(counts, 1)), 0.0)
    return torch.tensor(weights, dtype=torch.float32, device=device)


def _loss(problem: Problem, config: Config, weights: Tensor | None = None) -> Loss:
    """Return cross-entropy with the config's label smoothing, or squared error on the standardised target.

    weights: of the classes.
    """
    if problem.task == "regression":
        return lambda raw, y: functional.mse_loss(raw.squeeze(-1), _for_each_member(raw, y))
    smoothing = float(config.get("label_smoothing", 0.0))

    def cross_entropy(raw: Tensor, y: Tensor) -> Tensor:  # y: class codes, or where pictures were mixed, shares
        if raw.ndim == 3:
            raw, y = raw.flatten(0, 1), _for_each_member(raw, y).flatten()
        return functional.cross_entropy(raw, y, weights, label_smoothing=smoothing)

    return cross_entropy


def _for_each_member(raw: Tensor, y: Tensor) -> Tensor:
    """Return targets for outputs ``[b, n_outputs]``, or ``[b, n_members, n_outputs]`` of an ensemble in one network."""
    return y if raw.ndim == 2 else y.unsqueeze(1).expand(raw.shape[:2])


def _complete(info: Mapping[str, Any], epochs_run: int) -> Outcome:
    curve, best_epoch = tuple(info["curve"]), int(info["best_epoch"])
    return Outcome(
        state=State.COMPLETE,
        objective=curve[best_epoch - 1] if curve else math.inf,
        curve=curve,
        losses=tuple(info["losses"]),
        best_epoch=best_epoch,
        metrics=dict(info["metrics"]),
        epochs_run=epochs_run,
    )
