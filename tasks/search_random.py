"""The coarse phase: some configs, for few epochs: the default, what was good elsewhere, points of the whole space."""

import math
from collections.abc import Sequence

from hone.search.proposals import TOLERANCE, Proposal, first_new, paid_for
from hone.search.registry import SAMPLERS
from hone.search.strategy import Strategy
from hone.trial import Config
from tasks import phase
from tasks.allowance import within
from tasks.params import Params
from tasks.phase import Findings
from tasks.stage import Stage

FAMILIES = 0.25
"""Of the whole search, what the defaults of all families may take."""


def strategy(params: Params, found: Findings, study: str) -> Strategy:
    """Return the coarse phase's strategy."""
    chosen = params.search.random
    budget, price = _budget(params, found), chosen.epochs * chosen.rows
    return SAMPLERS[chosen.sampler](
        study=study,
        space=found.full,
        seed=params.seed,
        budget=budget,
        resource=chosen.epochs,
        rows=chosen.rows,
        batch=chosen.batch,
        starts=starts(found, math.floor(budget / price + TOLERANCE) // 2, budget / price),
    )


def _budget(params: Params, found: Findings) -> float:
    """Return what the phase may spend: its share, or what the defaults of all families take, where that is more."""
    chosen = params.search.random
    price = chosen.epochs * chosen.rows
    share = phase.limited(found.budget, chosen.trials, price)
    families = first_new([found.full.default, *found.families], (), len(found.families) + 1) if found.families else []
    return max(share, min(price * math.fsum(map(found.full.price, families)), FAMILIES * found.total))


def starts(found: Findings, n: int, price: float = math.inf) -> tuple[Proposal, ...]:
    """Return up to n configs to begin with: the best of earlier studies, each family's default, the portfolio's.

    Not more than half of the phase, nor what takes more, nor what is too dear for the space: what is to be learned of
    this table, its other trials teach. But of families, the cheapest first, as many as there are within a price:
    nothing else says as much about them.
    """
    earlier = _within(n, found.transfer.starts(n) if found.transfer is not None else [], found)
    known = [found.full.default, *earlier]
    funds = price - math.fsum(map(found.full.price, known)) + TOLERANCE
    families = list[Config]()
    for config in first_new(sorted(found.families, key=found.full.price), known, len(found.families)):
        funds -= found.full.price(config)
        families += [config] if funds >= 0 else []
    portfolio = first_new(found.portfolio, [*known, *families], max(0, n - len(earlier) - len(families)))
    portfolio = _within(n - math.fsum(map(found.full.price, [*earlier, *families])), portfolio, found)
    return tuple(
        Proposal(config, origin)
        for origin, configs in (("warm_start", earlier), ("family", families), ("portfolio", portfolio))
        for config in configs
    )


def _within(funds: float, configs: Sequence[Config], found: Findings) -> list[Config]:
    """Return those of the configs that are not too dear, as far as the funds, in trainings, pay for them in turn."""
    asked = [(Proposal(each, ""), 1.0) for each in configs if found.full.price(each) <= found.full.dearest]
    return [each.config for each in paid_for(asked, found.full, funds + TOLERANCE)]


def run(stage: Stage) -> None:
    """Write the trials of the coarse phase, the space it narrowed, its best and their checkpoints."""
    stage = within(stage)
    chosen = stage.params.search.random
    found = phase.findings(stage, [chosen.share])
    search = strategy(stage.params, found, stage.name)
    budget = _budget(stage.params, found)
    results = phase.run(stage, search, found, study=stage.name, plateau=chosen.plateau, budget=budget)
    phase.hand_on(stage, found, results, chosen.keep)
    phase.hand_on_checkpoints(stage, results)
