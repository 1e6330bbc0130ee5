"""Bayesian optimisation: a surrogate's proposals in the narrowed space, and a share from outside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import final

from hone.search.proposals import (
    PATIENCE,
    TOLERANCE,
    Proposal,
    affordable,
    first_new,
    left,
    numbered,
    outside,
    paid_for,
    uniform,
)
from hone.search.sobol import sobol
from hone.search.strategy import Strategy
from hone.search.surrogate import Sampler, suggest
from hone.seeds import derive
from hone.space import SearchSpace
from hone.trial import Config, History, Result, Trial, results_of


def propose(
    space: SearchSpace,
    full_space: SearchSpace,
    results: Sequence[Result],
    n: int,
    *,
    before: int,
    seed: int,
    sampler: Sampler,
    share_outside: float,
    dearest: float,
) -> list[Proposal]:
    """Return n proposals that repeat no config of `results`; fewer only where the space is used up.

    dearest: price above which none is proposed, but for the default.
    before: configs that this study has proposed so far; it spreads the share from outside evenly over its generations.
    If nothing is known at all, the default comes first. Where the surrogate knows too little, a Sobol' sequence
    stands in; where it repeats itself, uniform draws do.
    """
    tried = [result.trial.config for result in results]
    opening = [Proposal(space.default, "default")] if not results and n > 0 else []
    tried += [proposal.config for proposal in opening]
    n_outside = min(n_due(before, n, share_outside), n - len(opening))

    def fits(config: Config) -> bool:
        return full_space.price(config) <= dearest

    beyond = outside(space, full_space, tried, n_outside, derive(seed, "outside"), fits)
    tried += beyond

    n_inside = n - len(opening) - len(beyond)
    suggested = suggest(space, results, n_inside, seed=derive(seed, "surrogate"), sampler=sampler)
    inside = [Proposal(config, "surrogate") for config in first_new(filter(fits, suggested), tried, n_inside)]
    tried += [proposal.config for proposal in inside]
    if suggested:
        spare, origin = uniform(space, derive(seed, "spare")), "random"
    else:
        spare, origin = sobol(space, derive(seed, "startup")), "sobol"
    # Each new one takes fewer draws than that, or the space is used up.
    draws = islice(spare, PATIENCE * max(1, n_inside))
    inside += [Proposal(config, origin) for config in first_new(filter(fits, draws), tried, n_inside - len(inside))]
    return [*opening, *inside, *(Proposal(config, "outside") for config in beyond)]


def n_due(before: int, n: int, share: float) -> int:
    """Return how many of the next n, behind `before` others, belong to a share, so that the sum keeps up with it."""
    return math.floor((before + n) * share + TOLERANCE) - math.floor(before * share + TOLERANCE)


@final
@dataclass(frozen=True, kw_only=True)
class Bayesian(Strategy):
    """A surrogate over all results so far, former phases' included.

    space: narrowed, where the surrogate searches. full_space: where the share `outside` of the proposals comes
    from. prior: results of former phases. budget: in epochs over all training rows. resource: epochs of each
    trial, on a share `rows` of the rows. batch: trials a generation. sampler: "tpe" or "gp".
    """

    study: str
    space: SearchSpace
    full_space: SearchSpace
    prior: tuple[Result, ...]
    seed: int
    budget: float
    resource: int
    rows: float = 1.0
    batch: int = 8
    outside: float = 0.125
    sampler: Sampler = "tpe"

    def ask(self, history: History) -> list[Trial]:
        """Return the surrogate's next generation, as far as the budget goes."""
        own, funds = results_of(history), left(self.budget, history, self.full_space)
        cost = self.resource * self.rows
        proposals = propose(
            self.space,
            self.full_space,
            [*self.prior, *own],
            affordable(self.budget, history, cost, self.batch, self.full_space),
            before=len(own),
            seed=derive(self.seed, self.study, len(history)),
            sampler=self.sampler,
            share_outside=self.outside,
            dearest=min(self.full_space.dearest, funds / cost),
        )
        proposals = paid_for([(each, cost) for each in proposals], self.full_space, funds)
        return numbered(self.study, history, proposals, resource=self.resource, rows=self.rows)
