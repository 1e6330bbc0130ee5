"""Random search (Bergstra and Bengio, 2012): independent uniform draws, behind the default config."""

from dataclasses import dataclass
from typing import final

from hone.search.proposals import Proposal, uniform, walk
from hone.search.strategy import Strategy
from hone.seeds import derive
from hone.space import SearchSpace
from hone.trial import History, Trial


@final
@dataclass(frozen=True, kw_only=True)
class Uniform(Strategy):
    """Uniform on the unit cube; trial 0 is the default.

    budget: in epochs over all training rows. resource: epochs of each trial, on a share `rows` of the rows.
    batch: trials a generation. starts: what comes first, behind the default: distinct configs of the space.
    """

    study: str
    space: SearchSpace
    seed: int
    budget: float
    resource: int
    rows: float = 1.0
    batch: int = 8
    starts: tuple[Proposal, ...] = ()

    def ask(self, history: History) -> list[Trial]:
        """Return the next draws whose configs are new, as far as the budget goes."""
        return walk(
            self.study,
            uniform(self.space, derive(self.seed, self.study)),
            history,
            space=self.space,
            starts=self.starts,
            origin="random",
            budget=self.budget,
            resource=self.resource,
            rows=self.rows,
            batch=self.batch,
        )
