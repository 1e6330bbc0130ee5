"""Learning curves that cost nothing, for benchmarks of what a strategy itself costs."""

import math
import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from benchmarks.search.methods import PROBLEM
from hone.errors import UserError
from hone.search.freeze_thaw import FreezeThaw
from hone.search.proposals import uniform
from hone.search.strategy import Strategy
from hone.seeds import numpy_generator
from hone.space import Float, Int, SearchSpace, identity
from hone.trial import Config, History, Result, State, Trial
from tasks import search_hyperband
from tasks.params import Params
from tasks.phase import Findings

LCBENCH = SearchSpace(
    {
        "batch_size": Int(16, 512, log=True),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.1, 0.99),
        "weight_decay": Float(1e-5, 1e-1),
        "num_layers": Int(1, 5),
        "max_units": Int(64, 1024, log=True),
        "max_dropout": Float(0.0, 1.0),
    }
)
"""A space of LCBench's shape."""


@dataclass(frozen=True)
class Synthetic:
    """A trainable without training: a bowl with ripples over the unit cube, reached by a power law of the epochs.

    Configs near the optimum start slower, so that short runs tell something about long ones, and not all.
    """

    space: SearchSpace
    seed: int = 0
    noise: float = 0.005

    def curve(self, config: Config, epochs: int) -> np.ndarray:
        """Return the objective after each epoch; the same prefix for the same config."""
        centre = self.space.encode(next(iter(uniform(self.space, self.seed))))
        u = self.space.encode(config)
        away = float(np.mean((u - centre) ** 2) + 0.02 * np.mean(1 - np.cos(6 * math.pi * (u - centre))))
        generator = numpy_generator(self.seed, identity(config), "curve")
        epoch = np.arange(1.0, epochs + 1)
        decay = (0.3 + 0.4 * math.exp(-8 * away)) * epoch ** -(0.4 + 0.4 * generator.random())
        return away + decay + self.noise * generator.standard_normal(epochs)

    def __call__(self, trial: Trial) -> Result:
        """Return a complete result; its cost counts a parent's epochs too."""
        curve = self.curve(trial.config, trial.resource)
        best = int(np.argmin(curve))
        return Result(
            trial=trial,
            state=State.COMPLETE,
            objective=float(curve[best]),
            curve=tuple(curve.tolist()),
            best_epoch=best + 1,
            cost=float(trial.resource),
        )


class Ask(NamedTuple):
    """One call of a strategy: processor time, and how many trials it gave."""

    seconds: float
    n_trials: int


@dataclass(frozen=True)
class _Timed(Strategy):
    strategy: Strategy
    asks: list[Ask]

    def ask(self, history: History) -> list[Trial]:
        started = time.process_time()
        trials = self.strategy.ask(history)
        self.asks.append(Ask(time.process_time() - started, len(trials)))
        return trials


def timed(strategy: Strategy) -> tuple[Strategy, list[Ask]]:
    """Return a strategy that does the same, and the list to which each of its asks is added."""
    asks: list[Ask] = []
    return _Timed(strategy, asks), asks


def production(batch: int, seed: int, space: SearchSpace = LCBENCH) -> Strategy:
    """Return the strategy that production refines with, its budget without an end, and another batch."""
    params = Params().model_copy(update={"seed": seed})
    found = Findings(PROBLEM, space, space, prior=(), budget=1e9, total=0.0)
    strategy = search_hyperband.strategy(params, found, "refine")
    assert isinstance(strategy, FreezeThaw)
    return replace(strategy, batch=batch)


def numbers(option: str, text: str, at_least: float) -> list[float]:
    """Return the numbers between commas, ascending; UserError if there is none, or one is too small or no number."""
    found = []
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            number = float(part)
        except ValueError:
            raise UserError(f"{option} {part}: this is no number; give e.g. {at_least:g},{2 * at_least:g}") from None
        if not at_least <= number < math.inf:
            raise UserError(f"{option} {part}: give numbers from {at_least:g}")
        found.append(number)
    if not found:
        raise UserError(f"{option}: {text!r} holds no number; give e.g. {at_least:g},{2 * at_least:g}")
    return sorted(set(found))
