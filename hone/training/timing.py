"""How long an epoch takes, from a few steps of it."""

import time
from dataclasses import replace

import numpy as np

from hone.data.preprocessing import Arrays
from hone.training.start import Former
from hone.training.train import Settings, TrainingData, train
from hone.trial import Config, State

STEPS = 16
"""Of an epoch that is timed; the rest of it takes as long, step by step."""
SLOW = 1.0
"""Seconds of a first epoch behind which no second one is waited for."""


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
    taken = []
    for resource in (1, 2):
        started = time.perf_counter()
        outcome, _ = train(config, family, few, settings, resource=resource, seed=0, former=former)
        taken.append(time.perf_counter() - started)
        if outcome.state is not State.COMPLETE:
            return None
        if taken[0] > SLOW or settings.epochs < resource:
            break
    longest = taken[0] if len(taken) == 1 else max(taken[1] - taken[0], 1e-4)
    return longest / share


def _part(arrays: Arrays, share: float) -> Arrays:
    return arrays.take(np.arange(max(1, round(share * len(arrays)))))
