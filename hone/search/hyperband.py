"""Hyperband (Li et al., 2018, algorithm 1), synchronous, continuing checkpoints, with a surrogate's proposals.

Notation, the paper's beside ours
---------------------------------
R      max_epochs: the full resource of one trial
eta    reduction factor: a rung promotes its best 1/eta
s      a bracket starts s rungs below R; s_max = n_rungs - 1
n      configs that a bracket starts with, ceil((s_max + 1) * eta**s / (s + 1))
n_i    configs at its i-th rung, floor(n / eta**i)
r_i    resource at its i-th rung, floor(R / eta**(s - i))

All of it in integers: floor(log(R) / log(eta)) loses a bracket at R=243, eta=3. Some implementations round n down
(27 instead of 34 at R=81, eta=3, s=3); the algorithm rounds up. That new configs come from a surrogate is BOHB's idea
(Falkner et al., 2018); that the best of former phases enter at the top rung is our own.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import NamedTuple, final

from hone.errors import UserError
from hone.search.bayes import propose
from hone.search.proposals import Proposal, left, numbered, paid_for, spared
from hone.search.sobol import sobol
from hone.search.standings import best_first, standings
from hone.search.strategy import Strategy
from hone.search.surrogate import Sampler
from hone.seeds import derive
from hone.space import SearchSpace
from hone.trial import Generation, History, Result, Trial, ranked, results_of

N_PRICED = 64  # configs over which prices are averaged


class Rung(NamedTuple):
    """How many configs of a bracket are trained up to which resource, in epochs."""

    n_configs: int
    resource: int


Bracket = tuple[Rung, ...]


def ladder(max_epochs: int, min_epochs: int, eta: int) -> tuple[int, ...]:
    """Return the rungs' resources, ascending: ``max_epochs // eta**k`` while that is at least `min_epochs`."""
    if min_epochs < 1:
        raise UserError(f"search.hyperband.min_epochs: {min_epochs} is below 1; raise it")
    if eta < 2:
        raise UserError(f"search.hyperband.reduction_factor: {eta} is below 2; raise it")
    if min_epochs > max_epochs:
        raise UserError(f"search.hyperband.min_epochs: {min_epochs} is above train.epochs, {max_epochs}; lower it")
    rungs = [max_epochs]
    while max_epochs // eta ** len(rungs) >= min_epochs:
        rungs.append(max_epochs // eta ** len(rungs))
    return tuple(reversed(rungs))


def brackets(max_epochs: int, min_epochs: int, eta: int) -> tuple[Bracket, ...]:
    """Return the table of brackets, from the one with most configs (s = s_max) to the one without rungs (s = 0)."""
    rungs = ladder(max_epochs, min_epochs, eta)
    n_rungs = len(rungs)
    return tuple(
        _bracket(-(-n_rungs * eta**s // (s + 1)), rungs[n_rungs - 1 - s :], eta) for s in reversed(range(n_rungs))
    )


def cost(bracket: Bracket) -> int:
    """Return the epochs a bracket trains, at most; promoted configs pay for the difference between rungs."""
    former = (0, *(rung.resource for rung in bracket))
    return sum(rung.n_configs * (rung.resource - start) for rung, start in zip(bracket, former, strict=False))


def shrunk(bracket: Bracket, eta: int, budget: float) -> Bracket | None:
    """Return the bracket with as many configs as the budget pays for, still up to the top; None if for none."""
    resources = tuple(rung.resource for rung in bracket)
    for n in range(bracket[0].n_configs, 0, -1):
        smaller = _bracket(n, resources, eta)
        if cost(smaller) <= budget:
            return smaller
    return None


def _bracket(n: int, resources: tuple[int, ...], eta: int) -> Bracket:
    # A shrunk bracket's n may be below eta**s; its best config still goes to the top.
    return tuple(Rung(max(1, n // eta**i), resource) for i, resource in enumerate(resources))


Ask = Callable[[], list[Trial]]


@final
@dataclass(frozen=True, kw_only=True)
class Hyperband(Strategy):
    """Brackets until the budget is spent; before them, the former phases' best go on to the full resource.

    space: narrowed, where new configs come from, save for the share `outside`, from full_space. prior: results of
    former phases. budget: in epochs over all training rows. entrants: how many of the former phases' configs
    continue their checkpoints at the top rung. batch: new configs a generation; promotions go together.
    """

    study: str
    space: SearchSpace
    full_space: SearchSpace
    prior: tuple[Result, ...]
    seed: int
    budget: float
    max_epochs: int
    min_epochs: int
    eta: int = 3
    entrants: int = 4
    batch: int = 8
    outside: float = 0.125
    sampler: Sampler = "tpe"

    def ask(self, history: History) -> list[Trial]:
        """Return the generation that follows history: the script is played up to there.

        Playing is cheap: the script yields how to make a generation, and only the one asked for is made.
        """
        script = self._script()
        ask = next(script, None)
        for generation in history:
            ask = _tell(script, generation)
        return ask() if ask else []

    def _script(self) -> Generator[Ask, Generation, None]:
        """Yield each generation of the study as a function that makes it; receive it with its results."""
        done: list[Generation] = []
        if entrants := self._entrants():
            done.append((yield partial(numbered, self.study, done, entrants, resource=self.max_epochs)))
        table = brackets(self.max_epochs, self.min_epochs, self.eta)
        # The last is the cheapest way to the top.
        while single := shrunk(table[-1], self.eta, left(self.budget, done, self.full_space)):
            planned = 0
            for bracket in table:
                affordable = shrunk(bracket, self.eta, self._left(done))
                planned += affordable is not None
                if affordable is not None and not (yield from self._play(affordable, done)):
                    return
            # What does not pay for a typical config may pay for a cheap one.
            if not planned and not (yield from self._play((Rung(1, single[0].resource),), done)):
                return

    def _play(self, bracket: Bracket, done: list[Generation]) -> Generator[Ask, Generation, bool]:
        """Yield a bracket's generations, and add them to done; return whether there was anything new to try."""
        lowest, *higher = bracket
        rung: list[Result] = []
        while len(rung) < lowest.n_configs:
            n = min(self.batch, lowest.n_configs - len(rung))
            # An empty generation would end the study: once a finite space is used up, on with what there is.
            if rung and self.full_space.is_finite and not self._new(n, lowest.resource, done):
                break
            generation = yield partial(self._new, n, lowest.resource, done)
            done.append(generation)
            rung += generation.results
            if len(generation.results) < n:  # the space is used up
                break
        for n_configs, resource in higher:
            best = [result for result in ranked(rung) if not result.pruned][:n_configs]
            if not best:
                break
            proposals = self._promoted(best, resource, done)
            if not proposals:  # all of them are too dear for what is left
                break
            generation = yield partial(numbered, self.study, done, proposals, resource=resource)
            done.append(generation)
            rung = list(generation.results)
        return len(rung) > 0

    def _new(self, n: int, resource: int, done: History) -> list[Trial]:
        own, funds = results_of(done), left(self.budget, done, self.full_space)
        proposals = propose(
            self.space,
            self.full_space,
            [*self.prior, *own],
            n,
            before=sum(result.trial.parent is None for result in own),  # new configs only
            seed=derive(self.seed, self.study, len(done)),
            sampler=self.sampler,
            share_outside=self.outside,
            dearest=min(self.full_space.dearest, funds / resource),
        )
        affordable = paid_for([(each, resource) for each in proposals], self.full_space, funds)
        return numbered(self.study, done, affordable, resource=resource)

    def _promoted(self, best: Sequence[Result], resource: int, done: History) -> list[Proposal]:
        asked = [
            (Proposal(result.trial.config, "promoted", result.trial.key), resource - spared(result)) for result in best
        ]
        return paid_for(asked, self.full_space, left(self.budget, done, self.full_space))

    def _left(self, done: History) -> float:
        """Return what is left of the budget, in epochs of a typical config, of which brackets are planned."""
        return left(self.budget, done, self.full_space) / self._typical

    @cached_property
    def _typical(self) -> float:
        """Return the mean price over the space, not below that of the default; 1 where there are no prices."""
        space = self.full_space
        if not space.prices:
            return 1.0
        spread = islice(sobol(space, derive(self.seed, "prices")), N_PRICED)
        prices = [price for config in spread if (price := space.price(config)) <= space.dearest]
        return max(1.0, math.fsum(prices) / len(prices)) if prices else 1.0

    def _entrants(self) -> list[Proposal]:
        """Return the former phases' best configs that are not yet trained to the top, as far as the budget goes."""
        ordered = best_first(standings(self.prior, max(1, 2 * self.entrants)))
        best = [standing.result for standing in ordered if not standing.result.pruned]
        asked = [
            (Proposal(trial.config, "former", trial.key), self.max_epochs - spared(result))
            for result in best
            if (trial := result.trial).resource < self.max_epochs
        ]
        return paid_for(asked[: self.entrants], self.full_space, left(self.budget, (), self.full_space))


def _tell(script: Generator[Ask, Generation, None], generation: Generation) -> Ask | None:
    try:
        return script.send(generation)
    except StopIteration:
        return None
