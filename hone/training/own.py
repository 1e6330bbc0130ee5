"""Trainings of the user's own: one checkpoint an epoch instead of Hone's loop, and a trial of what its author owes."""

from collections.abc import Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from hone import models
from hone.data.preprocessing import Arrays
from hone.errors import UserError
from hone.models.inputs import InputSpec
from hone.models.trainable import Fitted
from hone.training.determinism import deterministic, device_of
from hone.training.loop import EpochMetrics
from hone.training.predict import on_device, outputs
from hone.trial import Config

FEW = 64  # rows of a trial


def fit(model: Fitted, rows: Arrays, *, epochs: range, horizon: int, seed: int) -> Iterator[EpochMetrics]:
    """Train `model` in place, on one thread, and yield after each of `epochs`; see `hone.training.loop.fit`."""
    rows = rows.take(np.arange(len(rows)))  # a copy: other trainings of this process share the rows
    with threadpool_limits(1):
        for epoch, _ in zip(epochs, model.checkpoints(rows, epochs=epochs, horizon=horizon, seed=seed), strict=True):
            yield EpochMetrics(epoch, None, True)


def try_out(family: str, config: Config, inputs: InputSpec, rows: Arrays, horizon: int, seed: int = 0) -> None:
    """Train a trainable for two epochs on a few rows, in three ways; nothing is kept.

    Raises UserError, in one line, if it fails, predicts what is no prediction, or does not give the same bytes again.
    """
    rows = rows.take(np.arange(min(FEW, len(rows))))

    def trained(epochs: range, checkpoint: bytes | None = None) -> tuple[Fitted, list[bytes]]:
        model = models.build(family, config, inputs, seed)
        assert isinstance(model, Fitted)
        model.state = checkpoint
        return model, [model.state or b"" for _ in fit(model, rows, epochs=epochs, horizon=horizon, seed=seed)]

    cpu = device_of("cpu")
    with deterministic(cpu):
        model, (first, second) = trained(range(1, 3))
        predictions = [outputs(model, on_device(rows.x_num, cpu), on_device(rows.x_cat, cpu)) for _ in range(2)]
        if not bool(predictions[0].isfinite().all()):
            raise UserError(f"model.family: {family!r}: its predictions are not finite after two epochs on an example")
        if not predictions[0].equal(predictions[1]):
            raise UserError(f"model.family: {family!r}: two predictions from one checkpoint differ; draw nothing there")
        if trained(range(1, 2))[1] != [first]:
            raise UserError(
                f"model.family: {family!r}: two trainings of one epoch with the same seed differ; draw every random"
                " number from the seed that is given, keep nothing between calls, and put no times into a checkpoint"
            )
        if trained(range(2, 3), first)[1] != [second]:
            raise UserError(
                f"model.family: {family!r}: two epochs differ from one epoch and another from its checkpoint; let the"
                " checkpoint hold all of the state, and draw random numbers from (seed, epoch)"
            )
