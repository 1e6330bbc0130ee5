"""Values that pass between strategies, the loop and whatever trains: trials, results, generations."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from statistics import fmean

Value = float | int | str | bool
Config = Mapping[str, Value]


def identity(config: Config) -> str:
    """Return a text that is equal for equal configs only, whatever the order of their keys; 1, 1.0, True differ."""
    return json.dumps(dict(config), sort_keys=True)


class State(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    DIVERGED = "diverged"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One evaluation of one config up to one resource.

    number: position within its study, from 0. generation: the generation it was asked in.
    resource: epochs the network will have seen when the trial ends, those of `parent` included.
    parent: key of the trial whose checkpoint it continues. rows: share of the training rows, in (0, 1].
    replicate: which of several repeated seeds. fold: which fold is held out; None is what the study scores its
    trials on. bar: objective on each fold of a config to be beaten; a trial over folds that is clearly beaten by it
    after some of them is not trained on the rest (hone/training/cross_validation.py).
    origin: why it was proposed (default, family, warm_start, random, sobol, grid, surrogate, outside, whole, former,
    promoted, replay).
    """

    study: str
    number: int
    generation: int
    config: Config
    resource: int
    parent: str | None = None
    rows: float = 1.0
    replicate: int = 0
    fold: int | None = None
    bar: tuple[float, ...] = ()
    origin: str = "random"

    @property
    def key(self) -> str:
        """Return a name unique within a pipeline, e.g. ``search_random-0012``; checkpoints carry it."""
        return f"{self.study}-{self.number:04d}"

    @cached_property
    def identity(self) -> str:
        """Return what `identity` says of the config; a strategy asks for it again and again."""
        return identity(self.config)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of one trial; a diverged or failed one is a value too.

    objective: the best value on the curve, minimised (a metric that is better when larger is negated), or that of the
    epoch which rows apart chose; ``inf`` unless complete. curve: the objective after each epoch, from epoch 1, a
    parent's epochs included. losses: the mean training loss of each, as optimised; empty where training does not say.
    A table of trials does not keep it.
    best_epoch: 1-based epoch of `objective`; 0 if none. metrics: what else was measured at that epoch.
    cost: new epochs trained, in epochs over all training rows (half the rows cost half; over folds, of all of them).
    folds: of a trial over folds, the curve of each fold that it was trained on; `curve` is then their mean, and
    objective, best_epoch and metrics are of that. Had it been left off, the fold's share of the bar corrects them.
    seconds: wall time; never an input to any decision. error: one line, if not complete.
    """

    trial: Trial
    state: State
    objective: float = math.inf
    curve: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    best_epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: float = 0.0
    folds: tuple[tuple[float, ...], ...] = ()
    seconds: float = 0.0
    error: str | None = None

    @property
    def pruned(self) -> bool:
        """Return whether it was left off after some folds; there is nothing to continue then."""
        return self.state is State.COMPLETE and 0 < len(self.folds) < len(self.trial.bar)


@dataclass(frozen=True)
class Generation:
    """Trials asked together, with their results, both in order of number."""

    index: int
    results: tuple[Result, ...]


History = Sequence[Generation]


def results_of(history: History) -> list[Result]:
    """Return every result of a history, in order of trial number."""
    return [result for generation in history for result in generation.results]


def ranked(results: Sequence[Result]) -> list[Result]:
    """Return the complete results, best first; ties go to the lower study and number.

    Results at different resources or rows are compared as they are: filter first where that matters.
    """
    complete = [result for result in results if result.state is State.COMPLETE]
    return sorted(complete, key=lambda result: (result.objective, result.trial.study, result.trial.number))


def mean_curve(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the mean of curves, epoch by epoch, as long as the longest.

    A training that stopped early had no better epoch to come; its last value stands for those it did not train.
    """
    return tuple(fmean(values) for values in zip(*padded(curves), strict=True))


def padded(curves: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """Return curves as long as the longest, by their last values."""
    longest = max(map(len, curves))
    return [(*curve, *[curve[-1]] * (longest - len(curve))) for curve in curves]


def best_epoch(curve: Sequence[float]) -> int:
    """Return the 1-based epoch where a curve is lowest; of those that tie, the middle one.

    It is farthest from where the curve gets worse.
    """
    lowest = min(curve)
    tied = [epoch for epoch, value in enumerate(curve, start=1) if value == lowest]
    return tied[len(tied) // 2]


def spent(history: History) -> float:
    """Return the epochs (over all training rows) that a history has cost."""
    return math.fsum(result.cost for result in results_of(history))
