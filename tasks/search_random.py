"""The coarse phase: the default, the best of earlier studies, points of the whole space, for few epochs each."""

import math

from hone.search.proposals import TOLERANCE, Proposal, first_new, paid_for
from hone.search.registry import SAMPLERS
from hone.search.strategy import Strategy
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
    """Return the configs to begin with: up to n of the best of earlier studies, and each family's default.

    Not more than half of the phase, nor what takes more, nor what is too dear for the space: what is to be learned of
    this table, its other trials teach. But of families, the cheapest first, as many as there are within a price:
    nothing else says as much about them.
    """
    offered = found.transfer.starts(n) if found.transfer is not None else []
    best = [Proposal(each, "warm_start") for each in offered if found.full.price(each) <= found.full.dearest]
    earlier = paid_for([(each, 1.0) for each in best], found.full, n + TOLERANCE)
    known = [found.full.default, *(each.config for each in earlier)]
    funds = price - math.fsum(map(found.full.price, known)) + TOLERANCE
    new = first_new(sorted(found.families, key=found.full.price), known, len(found.families))
    families = paid_for([(Proposal(each, "family"), 1.0) for each in new], found.full, funds)
    return (*earlier, *families)


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
