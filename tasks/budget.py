"""How much the search may spend: epochs as params state them, or a time limit turned into epochs by measurement.

What was measured is kept in budget.lock, which belongs into git beside dvc.lock: with the same inputs the epochs
are read from there, so that a rerun, on any machine, does the same work. It keeps the latest few measurements: DVC
restores what a stage wrote for former inputs, and then the lock must still say what that was.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone import models
from hone.data.preprocessing import Scaling
from hone.errors import UserError
from hone.models import prices
from hone.parallel import settle
from hone.search.proposals import first_new
from hone.search.sobol import sobol
from hone.seeds import derive
from hone.space import Prices, SearchSpace, price_of
from hone.training.timing import seconds_of_epoch
from hone.training.train import Settings
from hone.trial import Config
from tasks import files, pipeline, start_from, trainables
from tasks.allowance import FILE, Allowance, shortened
from tasks.executors import count
from tasks.params import Params, check_budget, n_networks
from tasks.quantities import seconds
from tasks.reporting import duration
from tasks.stage import Stage
from tasks.trainables import read_problem

LOCK = "budget.lock"
KEPT = 8
"""Measurements in it, each for other inputs."""
START_UP = 40.0
"""Seconds of a run that train nothing, where each stage is a command of its own and nobody measured: processes that
start, tracking, baselines, the report."""
AFTERWARDS = 12.0
"""Those of them that follow the stage `budget`, where one process runs all stages and the others are measured."""
BUSY = 0.8
"""Share of the rest in which workers train: some wait for the last of a generation, and for what is proposed next."""
STOPPED_EARLY = 0.8
"""Share of train.epochs that a full training takes on average, as early stopping ends most of them sooner: where
trainings are not shortened already."""
SAMPLE, SAMPLED_FOR, MOST_SAMPLED = 8, 120.0, 32
"""Configs whose training is timed, beside the defaults and some that are dear in one number: so many for each so many
seconds of a time limit, up to so many. Prices are a product, which is rough; more times make it less so."""
WINNERS_PRICE = 2.0
"""What an epoch of the winner is expected to cost beside the default's."""
AT_LEAST = 0.4
"""Share of a time limit in which there is training, however long the start takes."""
MOST_CERTAIN = 0.4
"""Share of a time limit that final models and the baseline may take before they get fewer seeds."""
MOST_REPLAYED = 0.3
"""Of what a time limit leaves to search and replays, the share that replays may take."""
MOST_UNPLANNED = 0.05
"""Of the same, what replays, and final models, may take where finalists are dearer than planned for. In a long run that
pays for all of them, and the run is so much longer."""
TRAININGS = 24
"""Whole trainings that a run should have time for: where it has not, they get shorter, down to a third."""
MOST_OVER = 1.1
"""Times its limit that a run may be expected to take before a person is told."""
MOST_OF_ONE = 0.4
"""Share of a run that one training may take: what is dearer is not searched."""


@dataclass(frozen=True)
class Measurement:
    """What a calibration found.

    seconds_per_epoch: of one worker, over all training rows, for a config of price 1. prices: see `hone.models.prices`.
    typical: price of configs spread through the space, on average. start_up: seconds of the run that train nothing.
    """

    seconds_per_epoch: float
    workers: int
    prices: Prices
    typical: float = 1.0
    start_up: float = START_UP

    def seconds(self, params: Params, allowed: Allowance) -> float:
        """Return what an epoch of the budget takes one worker: a typical config's, where all count alike."""
        priced = allowed.prices is not None or models.priced(params.model.family)
        return self.seconds_per_epoch * (1.0 if priced else self.typical)


def run(stage: Stage) -> None:
    """Write what a run may spend; raise UserError if a time limit is too short for one trial of each phase.

    Without a time limit there is as much of everything as params say.
    """
    limit = stage.params.budget.time_limit
    if limit is None:
        files.write_json(stage.path(*FILE), Allowance(stage.params.budget.epochs).to_json())
        return
    allowed = written_down(stage.path(LOCK), stage)
    if allowed is None:
        measured = measure(stage)
        allowed = pays_for(stage.params, measured)
        write_down(stage.path(LOCK), _inputs(stage), allowed, measured)
        replays = _planned_replays(stage.params, allowed)
        stage.reporter.message(
            f"{limit} on {measured.workers} workers is {allowed.epochs:.0f} epochs of search in trainings of up to"
            f" {allowed.training}, {replays} trainings of finalists and {allowed.seeds} seeds of the final models;"
            f" written to {LOCK}"
        )
        if (too_long := overrun(stage.params, measured, allowed)) is not None:
            stage.reporter.warning(too_long)
    files.write_json(stage.path(*FILE), allowed.to_json())


def pays_for(params: Params, measured: Measurement) -> Allowance:
    """Return what a time limit pays for; raise UserError if not for one trial of each phase."""
    allowed = affordable(params, measured)
    try:
        check_budget(shortened(params, allowed), allowed.epochs)
    except UserError:
        raise UserError(
            f"budget.time_limit: {params.budget.time_limit} is too short: on {measured.workers} workers an epoch takes"
            f" {measured.seconds_per_epoch:.2g} s, which leaves {allowed.epochs:.0f} epochs to the search;"
            " allow more time, or lower train.epochs and the phases' epochs"
        ) from None
    return allowed


def affordable(params: Params, measured: Measurement) -> Allowance:
    """Return what is left to search and replays when a run must end within `budget.time_limit`.

    Where there is no time for `TRAININGS` of them, trainings are shorter. Final models get the seeds that params ask
    for, but in a short run fewer, so that they and the baseline take no more than `MOST_CERTAIN` of it; replays take no
    more than `MOST_REPLAYED` of what is left. The search gets the rest. Finalists are planned for at `WINNERS_PRICE`.
    """
    limit = seconds(str(params.budget.time_limit))
    usable = max(limit - measured.start_up, AT_LEAST * limit) * BUSY * measured.workers / measured.seconds_per_epoch
    enough = usable / (TRAININGS * STOPPED_EARLY)  # epochs of each, if there are so many
    epochs = min(params.train.epochs, max(math.ceil(params.train.epochs / 3), math.floor(enough)))
    training = _of_one(params, epochs)
    networks, seeds = n_networks(params), params.retrain.seeds
    while seeds > 1 and _certain(params, networks, seeds, training) > MOST_CERTAIN * usable:
        seeds -= 1
    left = max(0.0, usable - _certain(params, networks, seeds, training))
    replays = min(n_replays(params, WINNERS_PRICE), math.floor(MOST_REPLAYED * left / training))
    unplanned = math.floor(MOST_UNPLANNED * left / training)
    return Allowance(
        epochs=float(math.floor(left - replays * training)),
        training=epochs,
        replays=max(replays, unplanned),
        networks=networks,
        seeds=seeds,
        final=max(WINNERS_PRICE * (final_networks(params, seeds) - seeds), float(unplanned)),
        dearest=max(WINNERS_PRICE, round(MOST_OF_ONE * usable / measured.workers / training, 2)),
        prices=measured.prices,
    )


def n_replays(params: Params, price: float = 1.0) -> int:
    """Return how many trainings of the default its own replays and the finalists' take, at a price of a finalist's."""
    asked = params.search.replay
    return math.ceil((1 + asked.finalists * price) * asked.seeds * max(1, params.split.folds))


def _planned_replays(params: Params, allowed: Allowance) -> int:
    """Return for how many trainings of the default replays are planned; dearer finalists may take what is allowed."""
    return n_replays(params) if allowed.replays is None else min(n_replays(params, WINNERS_PRICE), allowed.replays)


def _of_one(params: Params, epochs: int) -> float:
    """Return the epochs that a training of up to so many takes on average."""
    return epochs * (STOPPED_EARLY if epochs >= params.train.epochs else 1.0)


def _certain(params: Params, networks: int, seeds: int, training: float) -> float:
    """Return the epochs that a run spends outside its search and replays: baseline and final trainings."""
    trainings = networks + seeds + (final_networks(params, seeds) - seeds) * WINNERS_PRICE
    return trainings * training


def final_networks(params: Params, seeds: int) -> int:
    """Return how many networks the stage `retrain` trains."""
    tuned = {"one": 1, "seeds": seeds, "greedy": seeds * (params.search.replay.finalists + 1)}
    return seeds + tuned[params.retrain.ensemble]


def seconds_for(params: Params, measured: Measurement, allowed: Allowance | None = None) -> float:
    """Return about how long a run takes; allowed: what a time limit leaves it, None for what params say."""
    allowed = allowed or Allowance(params.budget.epochs)
    training = _of_one(params, allowed.training or params.train.epochs)
    params = shortened(params, allowed)
    replays = _planned_replays(params, allowed)
    networks = params.baseline.networks
    after = _certain(params, networks, params.retrain.seeds, training) + replays * training
    return measured.start_up + (allowed.epochs + after) * wall_seconds(params, measured, allowed)


def wall_seconds(params: Params, measured: Measurement, allowed: Allowance) -> float:
    """Return by how much a run is longer for one epoch more, all workers together, waits included."""
    return measured.seconds(params, allowed) / measured.workers / BUSY


def overrun(params: Params, measured: Measurement, allowed: Allowance) -> str | None:
    """Return what to say of a time limit that will not be kept; None if it will."""
    limit = params.budget.time_limit
    if limit is None or (takes := seconds_for(params, measured, allowed)) <= MOST_OVER * seconds(limit):
        return None
    if measured.start_up + AT_LEAST * seconds(limit) > MOST_OVER * seconds(limit):
        return (
            f"budget.time_limit: {limit} cannot be kept: processes that start, tracking, baselines and the report take"
            f" about {duration(measured.start_up)} by themselves, all of it about {duration(takes)}"
        )
    return f"budget.time_limit: {limit}: the epochs that {LOCK} allows take about {duration(takes)} on this machine"


def measure(stage: Stage) -> Measurement:
    """Return how long an epoch takes, with all workers busy, from the defaults and configs spread through the space.

    Raises UserError if not one of them trains.
    """
    params = stage.params
    split, store = stage.path("data", "split"), stage.rows
    space = trainables.full_space(stage)
    family = params.model.family
    timing = Timing(
        split=split,
        rows=store,
        family=family,
        scaling=params.data.scaling,
        settings=trainables.settings(params, read_problem(split)),
        stopping=trainables.stopping(params),
        root=stage.root,
        start_from=params.model.start_from,
    )
    workers = count(params.execution.workers)
    found = _timed(timing, [space.default] * workers, stage)
    # What is much too slow for the limit need not be timed.
    rough = prices.at_defaults(models.rough_prices(family, space), space.default)
    quick = SearchSpace(space.domains, space.conditions, space.defaults, rough)
    if found and params.budget.time_limit is not None:
        shortest = found[0][1] * STOPPED_EARLY * params.train.epochs / 3
        dearest = max(WINNERS_PRICE, seconds(params.budget.time_limit) / 2 / shortest)
        quick = prices.affordable(quick, dearest, kept=params.search.space)
    named = [*models.starts(family, quick), *prices.extremes(quick)]
    named = first_new(named, [space.default], len(named))
    spread = sobol(quick, derive(params.seed, "budget"))
    configs = [*named, *first_new(spread, [space.default, *named], _n_sampled(params.budget.time_limit))]
    # A config that cannot be trained is the search's to record; the others say how long an epoch takes.
    found += _timed(timing, configs, stage)
    if not found:
        raise UserError("budget.time_limit: no config could be trained to measure an epoch; `hone check` may say why")
    each, learnt = prices.fitted(rough, [config for config, _ in found], [taken for _, taken in found])
    each, learnt = each * price_of(learnt, space.default), prices.at_defaults(learnt, space.default)
    typical = [price_of(learnt, config) for config in configs[len(named) :]] or [1.0]
    return Measurement(each, workers, learnt, math.fsum(typical) / len(typical), _start_up(stage))


def _start_up(stage: Stage) -> float:
    """Return how long this run trains nothing: until now, as measured, and afterwards."""
    return START_UP if stage.began is None else time.monotonic() - stage.began + AFTERWARDS


def _n_sampled(limit: str | None) -> int:
    return SAMPLE if limit is None else min(MOST_SAMPLED, max(SAMPLE, round(SAMPLE * seconds(limit) / SAMPLED_FOR)))


def _timed(timing: "Timing", configs: Sequence[Config], stage: Stage) -> list[tuple[Config, float]]:
    """Return those of the configs that train, with the seconds of an epoch."""
    found = settle(timing, configs, stage.executor)
    return [(config, taken) for config, taken in found if isinstance(taken, float)]


@dataclass(frozen=True)
class Timing:
    """Times an epoch of a config, in a worker."""

    split: Path
    rows: Path
    family: str
    scaling: Scaling
    settings: Settings
    stopping: trainables.Stopping | None
    root: Path
    start_from: str | None

    def __call__(self, config: Config) -> float | None:
        """Return seconds; None if the config does not train."""
        # Reading the rows and the first steps of a process are no part of an epoch.
        if not _warm:
            _warm.append(self._seconds(config))
        return self._seconds(config)

    def _seconds(self, config: Config) -> float | None:
        # An epoch on the training rows of a fold or of another draw takes about as long.
        data = trainables.load(self.split, self.rows, self.scaling, None, stopping=self.stopping)
        former = start_from.former(self.root, self.start_from)
        return seconds_of_epoch(config, self.family, data, self.settings, former)


_warm: list[float | None] = []
"""What this process timed to get warm."""


def written_down(path: Path, stage: Stage) -> Allowance | None:
    """Return what a budget.lock allows, or None if there is none or it has no measurement for these inputs."""
    return parsed(path, _inputs(stage)) if path.exists() else None


def write_down(path: Path, inputs: str, allowed: Allowance, measured: Measurement) -> None:
    """Add what was measured for these inputs to a budget.lock, the newest last."""
    entry = {
        "inputs": inputs,
        **allowed.to_json(),
        "measured": {
            "seconds_per_epoch": measured.seconds_per_epoch,
            "workers": measured.workers,
            "start_up": round(measured.start_up, 1),
        },
    }
    others = [one for one in _entries(path) if one["inputs"] != inputs] if path.exists() else []
    files.write_json(path, {"measurements": [*others[-(KEPT - 1) :], entry]})


def parsed(path: Path, inputs: str) -> Allowance | None:
    """Return what a budget.lock allows, None if it has not been measured; UserError if it is broken."""
    with _readable():
        for entry in _entries(path):
            if entry.pop("inputs") == inputs:
                del entry["measured"]
                return Allowance.from_json(entry)
    return None


def _entries(path: Path) -> list[dict[str, Any]]:
    with _readable():
        content = files.read_json(path)
        entries = content.get("measurements", [content])  # once there was one only
        if not all(isinstance(one["inputs"], str) for one in entries):
            raise ValueError("inputs")
        return list(entries)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
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
