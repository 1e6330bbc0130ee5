"""The coarse phase: some configs, spread over the whole space, for few epochs; the default config is trial 0."""

from hone.search.registry import SAMPLERS
from hone.search.strategy import Strategy
from tasks import phase
from tasks.params import Params
from tasks.phase import Findings
from tasks.stage import Stage


def strategy(params: Params, found: Findings, study: str) -> Strategy:
    """Return the coarse phase's strategy."""
    chosen = params.search.random
    return SAMPLERS[chosen.sampler](
        study=study,
        space=found.full,
        seed=params.seed,
        budget=phase.limited(found.budget, chosen.trials, chosen.epochs * chosen.rows),
        resource=chosen.epochs,
        rows=chosen.rows,
        batch=chosen.batch,
    )


def run(stage: Stage) -> None:
    """Write the trials of the coarse phase, the space it narrowed, its best and their checkpoints."""
    chosen = stage.params.search.random
    found = phase.findings(stage, [chosen.share])
    search = strategy(stage.params, found, stage.name)
    results = phase.run(stage, search, found, study=stage.name, plateau=chosen.plateau, budget=found.budget)
    phase.hand_on(stage, found, results, chosen.keep)
    phase.hand_on_checkpoints(stage, results)
