"""Replay: finalists are trained again under several seeds and folds, so that the best wins and not the luckiest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import final

from hone.search.standings import best_first, standings
from hone.search.strategy import Strategy
from hone.space import identity
from hone.trial import Config, History, Result, State, Trial, best_epoch, mean_curve, padded


def finalists(results: Sequence[Result], n: int) -> tuple[Config, ...]:
    """Return the n best distinct configs, compared at the highest fidelity that 2 n of them have reached."""
    return tuple(standing.config for standing in best_first(standings(results, max(1, 2 * n)))[:n])


@final
@dataclass(frozen=True, kw_only=True)
class Replay(Strategy):
    """One generation: every config, from scratch, to `resource`, with replicates 1 to `seeds` on every fold.

    folds: how many; 0 is the validation split alone. A config that is listed twice is trained once.
    """

    study: str
    configs: tuple[Config, ...]
    resource: int
    seeds: int = 3
    folds: int = 0

    def ask(self, history: History) -> list[Trial]:
        """Return all trials at once, config by config, and nothing after them."""
        if history:
            return []
        folds: list[int | None] = list(range(self.folds)) or [None]
        plan = [
            (config, replicate, fold)
            for config in _distinct(self.configs)
            for replicate in range(1, self.seeds + 1)
            for fold in folds
        ]
        return [
            Trial(
                study=self.study,
                number=number,
                generation=0,
                config=config,
                resource=self.resource,
                replicate=replicate,
                fold=fold,
                origin="replay",
            )
            for number, (config, replicate, fold) in enumerate(plan)
        ]


@dataclass(frozen=True)
class Score:
    """How one config did over its replays, all stopped at the same epoch: what its final training will do.

    epochs: where the mean of the replays' curves is best, or where rows apart would stop them; 0 if none is complete.
    mean, std: of the objective there, over the n complete ones (std with n - 1; 0 for one alone; mean ``inf`` for
    none). n_failed: how many diverged or failed. objectives: the n objectives behind the mean, by seed and fold.
    """

    config: Config
    mean: float
    std: float
    n: int
    n_failed: int
    epochs: int
    objectives: tuple[float, ...] = ()


def winner(configs: Sequence[Config], results: Sequence[Result], *, apart: bool = False) -> tuple[Score, ...]:
    """Return every distinct config's score, the winner first: by mean, ties in the order given.

    apart: the replays' best epochs were chosen by rows apart from those that their curves are of. A config of which
    any replay failed comes behind all that never did.
    """
    scores = [
        _score(config, [result for result in results if identity(result.trial.config) == identity(config)], apart)
        for config in _distinct(configs)
    ]
    return tuple(sorted(scores, key=lambda score: (score.n_failed > 0 or score.n == 0, score.mean)))


def _score(config: Config, results: Sequence[Result], apart: bool) -> Score:
    """Return a config's score, read off the curves of its complete replays at one epoch for all.

    Each replay's own best epoch would flatter a config whose curve jumps: the final training has no validation rows
    to pick its luckiest epoch by.
    """
    complete = sorted(
        (result for result in results if result.state is State.COMPLETE),
        key=lambda result: (result.trial.replicate, -1 if result.trial.fold is None else result.trial.fold),
    )
    n_failed = len(results) - len(complete)
    if not complete:
        return Score(config, math.inf, 0.0, 0, n_failed, 0)
    curves = padded([result.curve for result in complete])
    means = mean_curve(curves)
    # Rows apart have chosen an epoch in each replay: the middle one of those is no choice by the rows that score.
    epochs = sorted(result.best_epoch for result in complete)[len(complete) // 2] if apart else best_epoch(means)
    objectives = tuple(curve[epochs - 1] for curve in curves)
    std = stdev(objectives) if len(objectives) > 1 else 0.0
    return Score(config, means[epochs - 1], std, len(curves), n_failed, epochs, objectives)


def _distinct(configs: Sequence[Config]) -> list[Config]:
    return list({identity(config): config for config in reversed(configs)}.values())[::-1]
