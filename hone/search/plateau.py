"""Stopping early: a wrapper that ends a study whose score no longer improves."""

from dataclasses import dataclass
from typing import final

from hone.search.strategy import Strategy
from hone.trial import History, Trial, ranked


def n_without_gain(history: History) -> int:
    """Return how many generations have passed since the incumbent last improved.

    A generation counts only if it trained to the highest resource so far: from a lower rung nobody expects a
    record. One in which every trial failed counts as one without a gain.
    """
    best, top, n = float("inf"), 0, 0
    for generation in history:
        resource = max(result.trial.resource for result in generation.results)
        objective = min((result.objective for result in ranked(generation.results)), default=float("inf"))
        if objective < best:
            best, n = objective, 0
        elif resource >= top:
            n += 1
        top = max(top, resource)
    return n


@final
@dataclass(frozen=True)
class StopOnPlateau(Strategy):
    """The wrapped strategy, until `patience` generations in a row bring no better objective; 0: never stop."""

    strategy: Strategy
    patience: int

    def ask(self, history: History) -> list[Trial]:
        """Return what the wrapped strategy asks, or nothing once the study has reached its plateau."""
        if 0 < self.patience <= n_without_gain(history):
            return []
        return self.strategy.ask(history)
