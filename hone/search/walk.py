"""What strategies share that walk a fixed sequence of configs: uniform, Sobol' and grid search."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from hone.search.proposals import PATIENCE, Proposal, left, numbered, paid_for
from hone.search.strategy import Strategy
from hone.space import SearchSpace, identity
from hone.trial import Config, History, Trial, results_of


@dataclass(frozen=True, kw_only=True)
class Walk(Strategy):
    """Takes configs in the order of a sequence, behind the default, which is trial 0.

    budget: in epochs over all training rows. resource: epochs of each trial, on a share `rows` of the rows.
    batch: trials a generation. starts: what comes first, behind the default: distinct configs of the space.
    """

    origin: ClassVar[str]

    study: str
    space: SearchSpace
    seed: int
    budget: float
    resource: int
    rows: float = 1.0
    batch: int = 8
    starts: tuple[Proposal, ...] = ()

    @abstractmethod
    def configs(self) -> Iterator[Config]:
        """Yield the sequence; the same one each time."""

    def ask(self, history: History) -> list[Trial]:
        """Return the next configs that are new, as far as the budget goes; none too dear for the space.

        A start that the budget no longer pays for is passed over.

        The sequence is walked from its beginning each time, so that nothing but the history is state. It is used up
        where it ends, or repeats itself `PATIENCE` times in a row.
        """
        known = {result.trial.identity for result in results_of(history)}
        start = Proposal(self.space.default, "default")
        unit, funds = self.resource * self.rows, left(self.budget, history, self.space)
        new = [each for each in (start, *self.starts) if identity(each.config) not in known]
        opening = paid_for(((each, unit) for each in new), self.space, funds)[: self.batch]
        taken = {*known, identity(start.config), *(identity(each.config) for each in self.starts)}
        proposals = list[Proposal]()
        for proposal in [*opening, *self._new(taken, self.batch - len(opening), PATIENCE + len(known))]:
            price = unit * self.space.price(proposal.config)
            if price > funds:
                break
            funds -= price
            proposals.append(proposal)
        return numbered(self.study, history, proposals, resource=self.resource, rows=self.rows)

    def _new(self, taken: set[str], n: int, patience: int) -> list[Proposal]:
        new: list[Proposal] = []
        repeats = 0
        for name, config in self._sequence if n > 0 else ():
            repeats += 1
            if name not in taken:
                taken.add(name)
                new.append(Proposal(config, self.origin))
                repeats = 0
            if len(new) == n or repeats == patience:
                break
        return new

    @cached_property
    def _sequence(self) -> "Recalled":
        return Recalled(config for config in self.configs() if self.space.price(config) <= self.space.dearest)


class Recalled:
    """A sequence of configs, each with its identity; what has been seen of it is not made anew."""

    def __init__(self, configs: Iterable[Config]) -> None:
        self._configs = iter(configs)
        self._seen: list[tuple[str, Config]] = []

    def __iter__(self) -> Iterator[tuple[str, Config]]:
        yield from self._seen
        for config in self._configs:
            self._seen.append((identity(config), config))
            yield self._seen[-1]
