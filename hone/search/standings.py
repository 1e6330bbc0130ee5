"""How results at different fidelities are compared: every config at the highest fidelity that enough have reached.

A result's fidelity is (resource, rows): more epochs first, then more rows. Comparing a config trained for 54 epochs
with one trained for 6 says nothing about the configs; so those that went further are read off their curves.
As BOHB does (Falkner et al., 2018, section 3.2), the fidelity is the highest with enough points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from hone.trial import Config, Result, State, Trial

Summary = Literal["best", "last"]  # what of a curve counts: its best value, as where training stops there, or its last


def fidelity(trial: Trial) -> tuple[int, float]:
    """Return what a trial's result is worth, for sorting: epochs, then share of the rows."""
    return trial.resource, trial.rows


@dataclass(frozen=True)
class Standing:
    """Where one config stands among others.

    result: the config's furthest. objective: at the common fidelity where it was reached, else the result's
    own; ``inf`` if the config failed. reached: whether it got to the common fidelity.
    """

    result: Result
    objective: float
    reached: bool

    @property
    def config(self) -> Config:
        """Return the config that stands here."""
        return self.result.trial.config

    @property
    def ok(self) -> bool:
        """Return whether the config has a finite objective."""
        return math.isfinite(self.objective)


def furthest(results: Sequence[Result]) -> list[Result]:
    """Return one result a config, that of the highest fidelity, in order of the configs' first appearance."""
    found: dict[str, Result] = {}
    for result in results:
        key = result.trial.identity
        if key not in found or fidelity(result.trial) > fidelity(found[key].trial):
            found[key] = result
    return list(found.values())


def standings(results: Sequence[Result], enough: int) -> list[Standing]:
    """Return every config's standing, in order of first appearance.

    enough: configs that must have reached a fidelity before all are compared at it. Where none has so many,
    they are compared at the lowest.
    """
    last = furthest(results)
    reached = sorted((fidelity(result.trial) for result in last if result.state is State.COMPLETE), reverse=True)
    common = reached[min(enough, len(reached)) - 1] if reached else (0, 0.0)
    return [_standing(result, common) for result in last]


def best_first(standings: Sequence[Standing]) -> list[Standing]:
    """Return the standings without failures: whoever got further first, then by objective, then as they came.

    Those that reached the common fidelity are compared at it, however much further they went.
    """
    order = {id(standing): position for position, standing in enumerate(standings)}

    def rank(standing: Standing) -> tuple[bool, int, float, float, int]:
        resource, rows = (0, 0.0) if standing.reached else fidelity(standing.result.trial)
        return not standing.reached, -resource, -rows, standing.objective, order[id(standing)]

    return sorted((standing for standing in standings if standing.ok), key=rank)


def objective_at(result: Result, common: tuple[int, float]) -> float:
    """Return the best objective of a complete result within the epochs (over all rows) of a lower fidelity."""
    resource, rows = common
    return objective_after(result, max(1, math.ceil(resource * rows / result.trial.rows)))


def objective_after(result: Result, epoch: int, summary: Summary = "best") -> float:
    """Return what a complete result would have been, had it ended at an epoch."""
    # From its best epoch on it would have been what it was, whichever rows chose that epoch.
    if summary == "best" and epoch >= (result.best_epoch or len(result.curve)):
        return result.objective
    so_far = _so_far(result.curve, summary)[min(epoch, len(result.curve))]
    return result.objective if math.isnan(so_far) else so_far


@lru_cache(maxsize=4096)  # generation after generation, the same curves are looked at
def _so_far(curve: tuple[float, ...], summary: Summary) -> tuple[float, ...]:
    """Return the summary of the finite values before each epoch, and of all; NaN where there is none."""
    values = [math.nan]
    for value in curve:
        past = values[-1]
        keeps = not math.isfinite(value) or (summary == "best" and past <= value)
        values.append(past if keeps else value)
    return tuple(values)


def _standing(result: Result, common: tuple[int, float]) -> Standing:
    if result.state is not State.COMPLETE:
        return Standing(result, math.inf, False)
    if fidelity(result.trial) > common:
        return Standing(result, objective_at(result, common), True)
    return Standing(result, result.objective, fidelity(result.trial) == common)
