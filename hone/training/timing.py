"""How long an epoch takes, from a few steps of it."""

import time
from dataclasses import replace

import numpy as np

from hone.data.preprocessing import Arrays
from hone.models.former import Former
from hone.training.train import Settings, TrainingData, train
from hone.trial import Config, State

STEPS = 16
"""Of an epoch that is timed; the rest of it takes as long, step by step."""
ENOUGH = 0.3
"""Seconds of further epochs that are long enough to be timed: of few rows, that is many epochs."""
MOST_EPOCHS = 32


def seconds_of_epoch(
    config: Config, family: str, data: TrainingData, settings: Settings, former: Former | None = None
) -> float | None:
    """Return about how many seconds an epoch of a config takes, validation rows included; None if it does not train.

    A part of the rows is trained on, and a like part of the others scored; what a training takes once is left out.
    """
    n = len(data.train)
    share = min(1.0, STEPS * int(config.get("batch_size", 64)) / n)
    few = replace(
        data,
        train=_part(data.train, share),
        validation=None if data.validation is None else _part(data.validation, share),
        stopping=None if data.stopping is None else _part(data.stopping, share),
    )
    # Of few rows, all of one class maybe, some metrics are not defined.
    settings = replace(settings, patience=0, metric="rmse" if data.problem.task == "regression" else "log_loss")

    def taken(epochs: int) -> float | None:
        longer = replace(settings, epochs=max(settings.epochs, epochs))
        started = time.perf_counter()
        outcome, _ = train(config, family, few, longer, resource=epochs, seed=0, former=former)
        return time.perf_counter() - started if outcome.state is State.COMPLETE else None

    first = taken(1)
    if first is None or first > 3 * ENOUGH:  # so slow an epoch hides what else is paid for
        return None if first is None else first / share
    more = max(1, min(MOST_EPOCHS, round(ENOUGH / first)))
    both = taken(1 + more)
    # Of the clock's noise, no less than nothing may come.
    return None if both is None else max((both - first) / more, first / 50) / share


def _part(arrays: Arrays, share: float) -> Arrays:
    return arrays.take(np.arange(max(1, round(share * len(arrays)))))
