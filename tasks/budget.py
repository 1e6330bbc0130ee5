"""How much the search may spend: epochs as params state them, or a time limit turned into epochs by measurement.

What was measured is kept in budget.lock, which belongs into git beside dvc.lock: with the same inputs the epochs
are read from there, so that a rerun, on any machine, does the same work.
"""

import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hone import models
from hone.errors import UserError
from hone.search.sobol import Sobol
from hone.trial import Trial
from tasks import files, pipeline, trainables
from tasks.executors import count
from tasks.params import Params, check_budget, n_networks, seconds
from tasks.stage import Stage

LOCK = "budget.lock"
START_UP = 45.0
"""Seconds of a run that train nothing: processes that start, tracking, baselines, the report."""
STOPPED_EARLY = 0.8
"""Share of train.epochs that a full training takes on average, as early stopping ends most of them sooner."""
SAMPLE = 8
"""Configs whose training is timed."""
WINNERS_PRICE = 2.0
"""What an epoch of the winner is expected to cost beside the default's, where families have prices."""
MOST_CERTAIN = 0.5
"""Share of a time limit that final models and the baseline may take before they get fewer seeds."""
MOST_REPLAYED = 0.3
"""Of what a time limit leaves to search and replays, the share that replays may take."""


@dataclass(frozen=True)
class Measurement:
    """What a calibration found. seconds_per_epoch: of one worker, over all training rows, the mean of some configs."""

    seconds_per_epoch: float
    workers: int


@dataclass(frozen=True)
class Allowance:
    """What a run may spend: epochs on its search, and trainings to the end on the rest. None: as many as params say.

    replays: of the finalists and the default. seeds: of each final model.
    """

    epochs: float
    replays: int | None = None
    seeds: int | None = None


def run(stage: Stage) -> None:
    """Write what the search and the replays may spend; raise UserError if a time limit is too short for one trial.

    Without a time limit there are as many replays as params say.
    """
    limit = stage.params.budget.time_limit
    if limit is None:
        files.write_json(stage.path("artifacts", "budget.json"), asdict(Allowance(stage.params.budget.epochs)))
        return
    allowed = written_down(stage.path(LOCK), stage)
    if allowed is None:
        measured = measure(stage)
        allowed = pays_for(stage.params, measured)
        content = {"inputs": _inputs(stage), **asdict(allowed), "measured": asdict(measured)}
        files.write_json(stage.path(LOCK), content)
        stage.reporter.message(
            f"{limit} on {measured.workers} workers is {allowed.epochs:.0f} epochs of search"
            f", {allowed.replays} trainings of finalists and {allowed.seeds} seeds of the final"
            f" models; written to {LOCK}"
        )
    files.write_json(stage.path("artifacts", "budget.json"), asdict(allowed))


def pays_for(params: Params, measured: Measurement) -> Allowance:
    """Return what a time limit pays for; raise UserError if not for one trial of each phase."""
    allowed = affordable(params, measured)
    try:
        check_budget(params, allowed.epochs)
    except UserError:
        raise UserError(
            f"budget.time_limit: {params.budget.time_limit} is too short: on {measured.workers} workers an epoch takes"
            f" {measured.seconds_per_epoch:.2g} s, which leaves {allowed.epochs:.0f} epochs to the search;"
            " allow more time, or lower train.epochs and the phases' epochs"
        ) from None
    return allowed


def affordable(params: Params, measured: Measurement) -> Allowance:
    """Return what is left to search and replays when a run must end within `budget.time_limit`.

    Final models get the seeds that params ask for, but in a short run fewer, so that they and the baseline take no more
    than `MOST_CERTAIN` of it; replays take no more than `MOST_REPLAYED` of what is left. The search gets the rest.
    """
    limit = seconds(str(params.budget.time_limit))
    usable = max(limit - START_UP, limit * 0.4) * measured.workers / measured.seconds_per_epoch
    training = params.train.epochs * STOPPED_EARLY
    seeds = params.retrain.seeds
    while seeds > 1 and _certain(params, seeds) > MOST_CERTAIN * usable:
        seeds -= 1
    left = max(0.0, usable - _certain(params, seeds))
    replays = min(n_replays(params), math.floor(MOST_REPLAYED * left / training))
    return Allowance(epochs=float(math.floor(left - replays * training)), replays=replays, seeds=seeds)


def n_replays(params: Params) -> int:
    """Return how many trainings the replays of finalists and the default are, as params say."""
    return (params.search.replay.finalists + 1) * params.search.replay.seeds * max(1, params.split.folds)


def _certain(params: Params, seeds: int) -> float:
    """Return the epochs that a run spends outside its search and replays: baseline and final trainings."""
    price = WINNERS_PRICE if models.priced(params.model.family) else 1.0
    trainings = n_networks(params) + seeds + (final_networks(params, seeds) - seeds) * price
    return trainings * params.train.epochs * STOPPED_EARLY


def final_networks(params: Params, seeds: int) -> int:
    """Return how many networks the stage `retrain` trains; where an ensemble is left to `auto`, without one."""
    tuned = {"one": 1, "greedy": seeds * (params.search.replay.finalists + 1)}.get(params.retrain.ensemble)
    return seeds + (tuned or seeds)


def seconds_for(params: Params, measured: Measurement) -> float:
    """Return about how long a run takes that spends `budget.epochs` on its search."""
    after = _certain(params, params.retrain.seeds) + n_replays(params) * params.train.epochs * STOPPED_EARLY
    return START_UP + (params.budget.epochs + after) * measured.seconds_per_epoch / measured.workers


def measure(stage: Stage) -> Measurement:
    """Return how long an epoch takes, with all workers busy, as the mean over configs spread through the space.

    Raises UserError if not one of them trains.
    """
    params = stage.params
    store = stage.workdir / "calibration"
    # An epoch on the training rows of a fold or of another draw takes about as long.
    trainable = replace(trainables.of_stage(stage, store), objective="holdout")
    space = trainables.full_space(stage)
    resource = min(3, params.train.epochs)
    sample = Sobol(
        study="budget",
        space=space,
        seed=params.seed,
        budget=SAMPLE * resource,
        resource=resource,
        rows=1.0,
        batch=SAMPLE,
    ).ask(())
    workers = count(params.execution.workers)
    # Reading the rows and the first steps of a process are no part of an epoch.
    list(stage.executor.map(trainable, [_warm_up(sample[0])] * workers))
    timed = [stage.executor.submit(trainable, trial) for trial in sample]
    # A config that cannot be trained is the search's to record; the others say how long an epoch takes.
    results = [one.result() for one in timed if one.exception() is None and one.result().cost]
    shutil.rmtree(store, ignore_errors=True)
    if not results:
        raise UserError("budget.time_limit: no config could be trained to measure an epoch; `hone check` may say why")
    total = math.fsum(result.seconds for result in results) / math.fsum(result.cost for result in results)
    return Measurement(seconds_per_epoch=total, workers=workers)


def _warm_up(trial: Trial) -> Trial:
    return Trial(study="warm_up", number=0, generation=0, config=trial.config, resource=1)


def written_down(path: Path, stage: Stage) -> Allowance | None:
    """Return what a budget.lock allows, or None if there is none or it was measured for other inputs."""
    if not path.exists():
        return None
    try:
        content = files.read_json(path)
        if content["inputs"] != _inputs(stage):
            return None
        return Allowance(float(content["epochs"]), int(content["replays"]), int(content["seeds"]))
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{LOCK}: cannot be read; delete it, and the epochs are measured anew") from None


def _inputs(stage: Stage) -> str:
    """Return a hash of what the epochs depend on, the code left out: an edit must not undo what is written down."""
    content: dict[str, Any] = {
        key: pipeline.lookup(stage.params.model_dump(mode="json"), key)
        for key in (
            "budget.time_limit",
            "data.scaling",
            "split.folds",
            "split.objective",
            "model",
            "train",
            "search.space",
            "search.replay",
            "retrain",
            "baseline",
        )
    }
    data = {
        name: pipeline.hash_path(stage.path("data", "split", f"{name}.parquet")) for name in ("train", "validation")
    }
    return pipeline.hash_json({**content, "data": data})
