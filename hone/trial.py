"""Values that pass between strategies, the loop and whatever trains: trials, results, generations."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

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
    replicate: which of several repeated seeds. fold: which fold is held out; None is the validation split.
    origin: why it was proposed (default, warm_start, portfolio, random, sobol, grid, surrogate, outside, former,
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

    objective: the best value on the curve, minimised (a metric that is better when larger is negated);
    ``inf`` unless complete. curve: the objective after each epoch, from epoch 1, a parent's epochs included.
    best_epoch: 1-based epoch of `objective`; 0 if none. metrics: what else was measured at that epoch.
    cost: new epochs trained, in epochs over all training rows (half the rows cost half).
    seconds: wall time; never an input to any decision. error: one line, if not complete.
    """

    trial: Trial
    state: State
    objective: float = math.inf
    curve: tuple[float, ...] = ()
    best_epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: float = 0.0
    seconds: float = 0.0
    error: str | None = None


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


def spent(history: History) -> float:
    """Return the epochs (over all training rows) that a history has cost."""
    return math.fsum(result.cost for result in results_of(history))
