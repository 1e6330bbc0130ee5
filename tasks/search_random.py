"""The coarse phase: many configs, few epochs, a part of the rows; the default config is trial 0."""

from hone.search.registry import SAMPLERS
from tasks import phase
from tasks.stage import Stage


def run(stage: Stage) -> None:
    """Write the trials of the coarse phase, the space it narrowed, its best and their checkpoints."""
    chosen = stage.params.search.random
    found = phase.findings(stage, chosen.share)
    strategy = SAMPLERS[chosen.sampler](
        study=stage.name,
        space=found.full,
        seed=stage.params.seed,
        budget=found.budget,
        resource=chosen.epochs,
        rows=chosen.rows,
        batch=chosen.batch,
    )
    results = phase.run(stage, strategy, found, study=stage.name, plateau=chosen.plateau, budget=found.budget)
    phase.hand_on(stage, found, results, chosen.keep)
    phase.hand_on_checkpoints(stage, results)
