"""Quasi-random search: a scrambled Sobol' sequence (Owen, 1998), which fills the space more evenly than chance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch.quasirandom import SobolEngine

from hone.search.proposals import Proposal, walk
from hone.search.strategy import Strategy
from hone.seeds import derive
from hone.space import SearchSpace
from hone.trial import Config, History, Trial

CHUNK = 64  # points drawn at once; has no influence on which


def sobol(space: SearchSpace, seed: int) -> Iterator[Config]:
    """Yield the configs at the points of a scrambled Sobol' sequence; the same ones for the same seed."""
    engine = SobolEngine(space.dimension, scramble=True, seed=derive(seed, "sobol"))  # type: ignore[no-untyped-call]
    while True:
        for point in engine.draw(CHUNK, dtype=torch.float64).numpy():
            yield space.decode(point)


@final
@dataclass(frozen=True, kw_only=True)
class Sobol(Strategy):
    """The points of one Sobol' sequence, in its order; trial 0 is the default. Fields as in `Uniform`."""

    study: str
    space: SearchSpace
    seed: int
    budget: float
    resource: int
    rows: float = 1.0
    batch: int = 8
    starts: tuple[Proposal, ...] = ()

    def ask(self, history: History) -> list[Trial]:
        """Return the next points whose configs are new, as far as the budget goes."""
        return walk(
            self.study,
            sobol(self.space, derive(self.seed, self.study)),
            history,
            space=self.space,
            starts=self.starts,
            origin="sobol",
            budget=self.budget,
            resource=self.resource,
            rows=self.rows,
            batch=self.batch,
        )
