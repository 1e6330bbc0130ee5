"""The middle phase: a model over all results so far proposes configs, most of them in the narrowed space."""

from hone.search.bayes import Bayesian
from tasks import phase
from tasks.stage import Stage


def run(stage: Stage) -> None:
    """Write the trials of the Bayesian phase, the space it narrowed, its best and their checkpoints."""
    chosen = stage.params.search.bayes
    found = phase.findings(stage, chosen.share, "search_random")
    strategy = Bayesian(
        study=stage.name,
        space=found.space,
        full_space=found.full,
        prior=found.prior,
        seed=stage.params.seed,
        budget=found.budget,
        resource=chosen.epochs,
        batch=chosen.batch,
        outside=chosen.outside,
        sampler=chosen.sampler,
    )
    results = phase.run(stage, strategy, found, study=stage.name, plateau=chosen.plateau, budget=found.budget)
    phase.hand_on(stage, found, results, chosen.keep)
    phase.hand_on_checkpoints(stage, results)
