"""The middle phase: a model over all results so far proposes configs, in the narrowed space and outside it."""

from hone.search.bayes import Bayesian
from hone.search.freeze_thaw import FreezeThaw
from hone.search.strategy import Strategy
from tasks import phase
from tasks.allowance import within
from tasks.params import Params
from tasks.phase import Findings
from tasks.stage import Stage


def strategy(params: Params, found: Findings, study: str) -> Strategy:
    """Return the middle phase's strategy."""
    chosen = params.search.bayes
    budget = phase.limited(found.budget, chosen.trials, chosen.epochs)
    if chosen.sampler == "curves":
        return FreezeThaw(
            study=study,
            space=found.space,
            full_space=found.full,
            prior=found.prior,
            seed=params.seed,
            budget=budget,
            ladder=tuple(sorted({chosen.epochs, params.train.epochs})),
            promote=False,
            batch=chosen.batch,
            outside=chosen.outside,
            transfer=found.transfer,
        )
    return Bayesian(
        study=study,
        space=found.space,
        full_space=found.full,
        prior=found.prior,
        seed=params.seed,
        budget=budget,
        resource=chosen.epochs,
        batch=chosen.batch,
        outside=chosen.outside,
        sampler=chosen.sampler,
    )


def run(stage: Stage) -> None:
    """Write the trials of the Bayesian phase, the space it narrowed, its best and their checkpoints."""
    stage = within(stage)
    search = stage.params.search
    found = phase.findings(stage, [search.random.share, search.bayes.share], "search_random")
    chosen = strategy(stage.params, found, stage.name)
    results = phase.run(stage, chosen, found, study=stage.name, plateau=search.bayes.plateau, budget=found.budget)
    phase.hand_on(stage, found, results, search.bayes.keep)
    phase.hand_on_checkpoints(stage, results)
