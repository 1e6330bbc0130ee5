"""Bayesian optimisation over learning curves: configs start short, and go on while they may still win.

Freeze-thaw (Swersky et al., 2014): a Gaussian process over configs and epochs predicts whole trainings from short ones,
and each epoch goes where it promises most. On top of it, Hyperband's ladder (Li et al., 2018) says how far a config
goes at a time, and its reduction factor in what proportion: a generation is a slice through a bracket, with new configs
at the lowest rung and promotions at every other, so that no rung waits for the one below.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice, pairwise
from typing import final

from threadpoolctl import ThreadpoolController

from hone.search.bayes import n_due
from hone.search.curves import Pool, Prior, Resources, model
from hone.search.geometry import Geometry
from hone.search.proposals import PATIENCE, Proposal, first_new, left, numbered, spared
from hone.search.sobol import sobol
from hone.search.standings import Summary, furthest
from hone.search.strategy import Strategy
from hone.seeds import derive
from hone.space import SearchSpace
from hone.trial import Config, History, Result, State, Trial, ranked, results_of


def slots(n_rungs: int, eta: int, batch: int) -> tuple[int, ...]:
    """Return how many of a generation's trials go to each rung, lowest first: in the proportion of a bracket's.

    A rung has 1/eta of the trials of the one below; the largest remainders are rounded up, higher rungs first.
    """
    weights = [eta**-i for i in range(n_rungs)]
    shares = [batch * weight / math.fsum(weights) for weight in weights]
    counts = [math.floor(share) for share in shares]
    by_remainder = sorted(range(n_rungs), key=lambda i: (counts[i] - shares[i], -i))
    for i in by_remainder[: batch - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


def levels(ladder: Sequence[int]) -> tuple[int, ...]:
    """Return the epochs at which curves are looked at: the rungs, one half-way, by ratio, to each, the lowest too.

    Looked at twice, a short training says how fast it is still improving; its end alone says little of a long one.
    """
    if len(ladder) < 2:
        return tuple(ladder)
    halfway = [round(math.sqrt(low * high)) for low, high in pairwise(ladder)]
    first = max(1, round(ladder[0] * math.sqrt(ladder[0] / ladder[1])))
    return tuple(sorted({first, *ladder, *halfway}))


def continuable(results: Sequence[Result], n: int) -> list[Result]:
    """Return of each study the n best results: those whose checkpoints it hands on, in the order they came."""
    kept: set[str] = set()
    for study in {result.trial.study: None for result in results}:
        kept |= {r.trial.key for r in ranked([r for r in results if r.trial.study == study])[:n]}
    return [result for result in results if result.trial.key in kept]


@final
@dataclass(frozen=True, kw_only=True)
class FreezeThaw(Strategy):
    """New configs on the lowest rung, and where `promote`, promotions through the ladder, until the budget is spent.

    space: narrowed, where new configs come from, save for the share `outside`, from full_space. prior: results of
    former phases; of each, the `handed_on` best can be continued. budget: in epochs over all training rows; once no
    more than `finish` of it is left, only the likeliest to win is trained, to the top. ladder: resources of the
    rungs, ascending; the last is a whole training. whole: of a generation, new configs that are trained to the top
    at once, by a model of whole trainings alone, as soon as `late` of those are known: what short trainings say of
    long ones can be wrong where nobody has looked. summary: what of a curve counts, its best value or its last.
    transfer: what earlier studies say.
    """

    study: str
    space: SearchSpace
    full_space: SearchSpace
    prior: tuple[Result, ...]
    seed: int
    budget: float
    ladder: tuple[int, ...]
    promote: bool
    eta: int = 3
    finish: float = 0.0
    whole: int = 2
    late: int = 4
    handed_on: int = 32
    batch: int = 8
    outside: float = 0.125
    summary: Summary = "best"
    transfer: Prior | None = None

    def ask(self, history: History) -> list[Trial]:
        """Return the next generation, as far as the budget goes."""
        # More threads add up in another order, which changes the last bit; for matrices this small they gain nothing.
        with threads().limit(limits=1):
            return self._ask(history)

    def _ask(self, history: History) -> list[Trial]:
        own = results_of(history)
        known = [*self.prior, *own]
        # A curve's slope says what to promote. Where all end at one epoch, it only adds to the doubt of what they come
        # to after a whole training, and so to exploring: more than real networks repay.
        resources = Resources(self.ladder[-1], levels(self.ladder) if self.promote else self.ladder, self.summary)
        process = model(self._geometry, known, resources, self.transfer)
        generation = _Generation(self, history, left(self.budget, history, self.full_space))
        if process is None:
            generation.start(known)
            return generation.trials()
        partial = self._partial(own) if self.promote else []
        tried = [result.trial for result in furthest(known) if self._geometry.holds(result.trial)]
        pool = Pool(self._geometry, process, tried, partial, generation.seed, self.batch, thrift=generation.thrift)
        if self.promote and generation.funds > self.finish:
            generation.add_whole(pool, known, tried)
            generation.promote(pool, partial)
        if not self.promote or generation.funds > self.finish:
            generation.add_new(pool, own)
        if self.promote and not generation.chosen:  # what has begun can still be finished
            generation.finish(pool, partial)
            if not generation.chosen:
                generation.add_new(pool, own)
        return generation.trials()

    @cached_property
    def _geometry(self) -> Geometry:
        return Geometry(self.full_space, self.space)

    def _partial(self, own: Sequence[Result]) -> list[Result]:
        """Return the results that can be continued: complete, checkpoint at hand, neither whole nor stopped early.

        Nor clearly beaten on some folds.
        """
        return [
            result
            for result in furthest([*continuable(self.prior, self.handed_on), *own])
            if result.state is State.COMPLETE
            and not result.pruned
            and result.trial.resource < self.ladder[-1]
            and len(result.curve) >= result.trial.resource
            and self._geometry.holds(result.trial)
        ]


class _Generation:
    """Proposals with their resources, gathered until the batch is full or the funds are spent."""

    def __init__(self, strategy: FreezeThaw, history: History, funds: float) -> None:
        self.strategy, self.history, self.funds = strategy, history, funds
        self.seed = derive(strategy.seed, strategy.study, len(history))
        self.thrift = min(1.0, max(0.0, funds / strategy.budget))
        self.chosen: list[tuple[Proposal, int]] = []

    @property
    def room(self) -> int:
        """Return how many trials are still wanted."""
        return self.strategy.batch - len(self.chosen)

    def trials(self) -> list[Trial]:
        """Return the generation's trials."""
        strategy, proposals = self.strategy, [proposal for proposal, _ in self.chosen]
        trials = numbered(strategy.study, self.history, proposals, resource=strategy.ladder[0])
        return [replace(trial, resource=resource) for trial, (_, resource) in zip(trials, self.chosen, strict=True)]

    def start(self, known: Sequence[Result]) -> None:
        """Add the default, if nothing is known, and points of a Sobol' sequence that are not too dear."""
        space, lowest = self.strategy.space, self.strategy.ladder[0]
        tried = [result.trial.config for result in known]
        n = min(self.room, math.floor(self.funds / lowest))
        if not tried and n > 0:
            self._add(Proposal(space.default, "default"), lowest)
            tried.append(space.default)
        full = self.strategy.full_space
        dearest = min(full.dearest, self.funds / lowest)
        drawn = islice(sobol(space, derive(self.seed, "startup")), PATIENCE * max(n, 1))
        fitting = (config for config in drawn if full.price(config) <= dearest)
        for config in first_new(fitting, tried, n - len(self.chosen)):
            self._add(Proposal(config, "sobol"), lowest)

    def add_whole(self, pool: Pool, known: Sequence[Result], tried: Sequence[Trial]) -> None:
        """Add new configs to be trained to the top at once, by a model of whole trainings alone.

        pool: where the generation's other proposals come from, which are not to repeat these.
        """
        strategy, top = self.strategy, self.strategy.ladder[-1]
        ended = [result for result in known if result.trial.resource == top]
        n = min(strategy.whole, self.room, math.floor((self.funds - strategy.finish) / top))
        if n <= 0 or len(ended) < strategy.late:
            return
        configs = self._whole(ended, tried, n)
        for config in configs:
            self._add(Proposal(config, "whole"), top, strategy.finish)
        pool.exclude(configs)

    def _whole(self, ended: Sequence[Result], tried: Sequence[Trial], n: int) -> list[Config]:
        """Return up to n new configs by a model of all whole trainings."""
        strategy = self.strategy
        resources = Resources(strategy.ladder[-1], (), strategy.summary)
        process = model(strategy._geometry, ended, resources, strategy.transfer)
        if process is None:
            return []
        pool = Pool(strategy._geometry, process, tried, (), derive(self.seed, "whole"), thrift=self.thrift)
        # The space was narrowed by short trainings, which may have misled: these look beyond it.
        configs = (pool.new(outside=None) for _ in range(n))
        return [config for config in configs if config is not None]

    def promote(self, pool: Pool, partial: Sequence[Result]) -> None:
        """Add promotions, rung by rung from the top down, of what may still win."""
        ladder = self.strategy.ladder
        counts = slots(len(ladder), self.strategy.eta, self.room)
        for rung in range(len(ladder) - 1, 0, -1):
            below = ladder[rung - 1] if rung > 1 else 0
            for _ in range(counts[rung]):
                fits = [
                    below <= result.trial.resource < ladder[rung] and self._price(result, rung) <= self.funds
                    for result in partial
                ]
                result = pool.going_on(fits)
                if result is None:
                    break
                self._add(_continued(result), ladder[rung], behind=spared(result))

    def add_new(self, pool: Pool, own: Sequence[Result]) -> None:
        """Fill the batch with new configs on the lowest rung, a share of them from outside the narrowed space."""
        strategy, lowest = self.strategy, self.strategy.ladder[0]
        n = max(0, min(self.room, math.floor(self.funds / lowest)))
        before = sum(result.trial.parent is None and result.trial.resource == lowest for result in own)
        n_outside = n_due(before, n, strategy.outside) if strategy._geometry.is_narrowed else 0
        for i in range(n):
            beyond = i >= n - n_outside
            config = pool.new(outside=beyond)
            if config is not None:
                self._add(Proposal(config, "outside" if beyond else "surrogate"), lowest)

    def finish(self, pool: Pool, partial: Sequence[Result]) -> None:
        """Fill the batch with promotions to the top of what is likeliest to win."""
        top = len(self.strategy.ladder) - 1
        while self.room:
            result = pool.likeliest([self._price(result, top) <= self.funds for result in partial])
            if result is None:
                break
            self._add(_continued(result), self.strategy.ladder[top], behind=spared(result))

    def _add(self, proposal: Proposal, resource: int, kept: float = 0.0, behind: int = 0) -> None:
        """Add a proposal if the funds pay for it. kept: of the funds, for later. behind: epochs that it continues."""
        price = (resource - behind) * self.strategy.full_space.price(proposal.config)
        if price <= self.funds - kept:
            self.chosen.append((proposal, resource))
            self.funds -= price

    def _price(self, result: Result, rung: int) -> float:
        epochs = self.strategy.ladder[rung] - spared(result)
        return epochs * self.strategy.full_space.price(result.trial.config)


def _continued(result: Result) -> Proposal:
    return Proposal(result.trial.config, "promoted", result.trial.key)


@cache
def threads() -> ThreadpoolController:
    """Return the controller of the numerical libraries' threads; finding them takes some milliseconds."""
    return ThreadpoolController()
