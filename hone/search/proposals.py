"""What strategies share: proposals become numbered trials, within the budget, and no config is tried twice."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hone.seeds import numpy_generator
from hone.space import SearchSpace, identity
from hone.trial import Config, History, Result, State, Trial, results_of

PATIENCE = 1_000  # repeated configs in a row, after which a space counts as used up
TOLERANCE = 1e-9  # epochs; sums of fractions must not cost a trial


@dataclass(frozen=True)
class Proposal:
    """A config to be tried, why, and the trial whose checkpoint it continues."""

    config: Config
    origin: str
    parent: str | None = None


def numbered(
    study: str, history: History, proposals: Iterable[Proposal], *, resource: int, rows: float = 1.0
) -> list[Trial]:
    """Return the proposals as the trials of the generation that follows `history`."""
    n_before = len(results_of(history))
    return [
        Trial(
            study=study,
            number=n_before + offset,
            generation=len(history),
            config=proposal.config,
            resource=resource,
            parent=proposal.parent,
            rows=rows,
            origin=proposal.origin,
        )
        for offset, proposal in enumerate(proposals)
    ]


def charge(result: Result, n_folds: int = 1, space: SearchSpace | None = None) -> float:
    """Return what a result takes from the budget: its cost, or what was planned for one that failed from the start.

    Trials that fail at once cost nothing; if nothing were charged, a study in which all fail would never end.
    n_folds: on how many folds it was to be trained, where costs count each of them. space: says the price of configs;
    None: 1.
    """
    if result.state is State.FAILED and result.trial.parent is None:
        price = 1.0 if space is None else space.price(result.trial.config)
        return max(result.cost, result.trial.resource * result.trial.rows * n_folds * price)
    return result.cost


def left(budget: float, history: History, space: SearchSpace | None = None) -> float:
    """Return what remains of a budget, in epochs over all rows; a little more than exact, against rounding.

    space: as for `charge`.
    """
    return budget - math.fsum(charge(result, space=space) for result in results_of(history)) + TOLERANCE


def spared(result: Result) -> int:
    """Return how many epochs continuing a result spares; what saw a part of the rows begins anew on all of them."""
    return result.trial.resource if result.trial.rows == 1 else 0


def paid_for(proposals: Iterable[tuple[Proposal, float]], space: SearchSpace, funds: float) -> list[Proposal]:
    """Return those proposals, in their order, that the funds pay for one after the other.

    proposals: each with the epochs that it trains anew, which cost what the space says of its config.
    """
    kept: list[Proposal] = []
    for proposal, epochs in proposals:
        price = space.price(proposal.config)
        if epochs * price <= funds:
            funds -= epochs * price
            kept.append(proposal)
    return kept


def affordable(budget: float, history: History, cost: float, at_most: int, space: SearchSpace | None = None) -> int:
    """Return how many trials of equal `cost`, up to `at_most`, the rest of the budget pays for.

    space: as for `charge`.
    """
    return max(0, min(at_most, math.floor(left(budget, history, space) / cost)))


def first_new(configs: Iterable[Config], tried: Iterable[Config], n: int) -> list[Config]:
    """Return the first n configs that neither repeat one another nor one already tried.

    Fewer are returned where `configs` ends, or repeats itself `PATIENCE` times in a row: the space is used up.
    """
    known = {identity(config) for config in tried}
    new: list[Config] = []
    repeats = 0
    for config in configs if n > 0 else ():
        repeats += 1
        if identity(config) not in known:
            known.add(identity(config))
            new.append(config)
            repeats = 0
        if len(new) == n or repeats == PATIENCE:
            break
    return new


def uniform(space: SearchSpace, seed: int) -> Iterator[Config]:
    """Yield configs for ever, uniform on the unit cube; the same ones for the same seed."""
    generator = numpy_generator(seed, "uniform")
    while True:
        yield space.decode(generator.random(space.dimension))  # U[0, 1)^d


def outside(
    space: SearchSpace,
    full_space: SearchSpace,
    tried: Sequence[Config],
    n: int,
    seed: int,
    fits: Callable[[Config], bool] = lambda config: True,
) -> list[Config]:
    """Return up to n new configs of the full space that the narrowed one does not contain, of those that fit.

    By rejection, so uniform on what was cut off; none where the two spaces are the same.
    """
    if dict(space.domains) == dict(full_space.domains):
        return []
    draws = (config for _, config in zip(range(PATIENCE * max(n, 1)), uniform(full_space, seed), strict=False))
    return first_new((config for config in draws if not space.contains(config) and fits(config)), tried, n)
