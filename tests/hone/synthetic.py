"""A synthetic thing to tune in an instant: smooth, with a learning curve and checkpoints."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from hone.space import Categorical, Condition, Float, Int, SearchSpace
from hone.study import generations
from hone.trial import Generation, Result, State, Trial, results_of

PLAIN = SearchSpace({"x": Float(0, 1), "y": Float(1e-4, 1, log=True)}, None, {"x": 0.5, "y": 0.1})
MIXED = SearchSpace(
    {
        "rate": Float(1e-4, 0.1, log=True),
        "n_layers": Int(1, 3),
        "units_1": Int(16, 256, log=True),
        "units_2": Int(16, 256, log=True),
        "units_3": Int(16, 256, log=True),
        "activation": Categorical(("relu", "silu", "gelu")),
        "optimizer": Categorical(("adamw", "sgd")),
        "momentum": Float(0.5, 0.99),
    },
    {
        "units_2": Condition("n_layers", at_least=2),
        "units_3": Condition("n_layers", allowed=(3,)),
        "momentum": Condition("optimizer", allowed=("sgd",)),
    },
    {"rate": 1e-3, "n_layers": 2},
)
SMALL = SearchSpace({"a": Int(1, 3), "b": Categorical((True, False))}, {"b": Condition("a", allowed=(1,))})
SPACES = {"plain": PLAIN, "mixed": MIXED, "small": SMALL}


def distance(space: SearchSpace, config: Mapping) -> float:
    """How far a config is from the best, at (0.6, ..., 0.6)."""
    return float(((space.encode(config) - 0.6) ** 2).sum())


class Trainer:
    """Trains in no time; remembers checkpoints by key, and charges new epochs only."""

    def __init__(self, space: SearchSpace, prior: tuple[Result, ...] = (), failing=lambda trial: None):
        self.space, self.failing = space, failing
        self.resources = {result.trial.key: (result.trial.resource, result.trial.rows) for result in prior}

    def __call__(self, trial: Trial) -> Result:
        start, rows = self.resources[trial.parent] if trial.parent else (0, trial.rows)
        start = start if rows == trial.rows else 0  # on other rows it begins anew
        if state := self.failing(trial):
            return Result(trial=trial, state=state, error="as told", cost=1.0 if state is State.DIVERGED else 0.0)
        steps = [epoch * trial.rows for epoch in range(1, trial.resource + 1)]
        curve = tuple(distance(self.space, trial.config) + 1 / n for n in steps)
        self.resources[trial.key] = trial.resource, trial.rows
        return Result(
            trial=trial,
            state=State.COMPLETE,
            objective=min(curve),
            curve=curve,
            best_epoch=trial.resource,
            cost=(trial.resource - start) * trial.rows,
        )


def play(strategy, trainer) -> list[Generation]:
    with ThreadPoolExecutor(1) as executor:
        return list(generations(strategy, trainer, executor))


def results(strategy, trainer) -> tuple[Result, ...]:
    return tuple(results_of(play(strategy, trainer)))
