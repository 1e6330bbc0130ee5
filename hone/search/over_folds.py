"""Trials over folds, as the strategy inside sees them, and the bar that each is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from hone.search.standings import objective_after
from hone.search.strategy import Strategy
from hone.trial import Generation, History, Result, State, Trial, best_epoch, padded, results_of


@final
@dataclass(frozen=True, kw_only=True)
class OverFolds(Strategy):
    """The wrapped strategy, whose trials are each trained on every fold, and its budget in epochs over all folds.

    An epoch on all folds counts one to it, as costs do. prior: results of former phases. Each trial is given the
    bar that the best of prior and of former generations sets at its epochs: what runs beside it has no part in that.
    """

    strategy: Strategy
    n_folds: int
    prior: tuple[Result, ...] = ()

    def ask(self, history: History) -> list[Trial]:
        """Return what the wrapped strategy asks, with a bar for each."""
        told = [
            Generation(past.index, tuple(replace(r, cost=r.cost / self.n_folds) for r in past.results))
            for past in history
        ]
        known = [*self.prior, *results_of(history)]
        asked = self.strategy.ask(told)
        bars = {level: bar(known, *level, self.n_folds) for level in {(trial.resource, trial.rows) for trial in asked}}
        return [replace(trial, bar=bars[trial.resource, trial.rows]) for trial in asked]


def bar(results: Sequence[Result], resource: int, rows: float, n_folds: int) -> tuple[float, ...]:
    """Return on each fold the objective, within so many epochs, of the best config on all folds; () if there is none.

    Of those that were trained for as many epochs or more, on the same share of the rows.
    """
    rivals = [
        result
        for result in results
        if result.state is State.COMPLETE and len(result.folds) == n_folds
        if result.trial.resource >= resource and result.trial.rows == rows
    ]
    if not rivals:
        return ()
    best = min(rivals, key=lambda r: (objective_after(r, resource), r.trial.study, r.trial.number))
    epoch = best.best_epoch if best.best_epoch <= resource else best_epoch(best.curve[:resource])
    return tuple(curve[epoch - 1] for curve in padded(best.folds))
