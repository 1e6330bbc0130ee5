"""Hone's strategies under the measure, each through the same loop as production."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.search.curves import EPOCHS, Immediate, Measure
from hone.data.problem import Problem
from hone.search import narrowing
from hone.search.freeze_thaw import FreezeThaw
from hone.search.hyperband import Hyperband
from hone.search.strategy import Strategy
from hone.search.uniform import Uniform
from hone.seeds import derive
from hone.space import SearchSpace
from hone.study import generations
from hone.trial import Result
from tasks import phase, search_bayes, search_hyperband, search_random
from tasks.params import Params, parse_params
from tasks.phase import Findings

LOWEST = EPOCHS // 9  # as params.yaml: 6 of 54 epochs
PROBLEM = Problem(task="multiclass", target="", metric="accuracy")
Method = Callable[[Measure, SearchSpace, float, int], None]


def params(seed: int) -> Params:
    """Return the defaults of params.yaml, with the measure's full resource and its ninth where they have 54 and 6."""
    search = {"random": {"epochs": LOWEST}, "bayes": {"epochs": LOWEST}, "hyperband": {"min_epochs": LOWEST}}
    return parse_params({"seed": seed, "train": {"epochs": EPOCHS}, "search": search})


def chain(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """The default chain: the three stages' own strategies, each handed what the one before found."""
    given = params(derive(seed, "chain"))
    search = given.search
    phases = (
        (search_random.strategy, search.random.share, search.random.keep, "search_random"),
        (search_bayes.strategy, search.bayes.share, search.bayes.keep, "search_bayes"),
        (search_hyperband.strategy, search.hyperband.share, 1.0, "search_hyperband"),
    )
    narrowed, prior, shares = space, [], []
    for make, share, keep, study in phases:
        shares.append(share)
        found = Findings(PROBLEM, space, narrowed, tuple(prior), phase.allowance(budget, shares, prior), budget)
        results = play(last_value(make(given, found, study)), measure)
        narrowed = narrowing.narrow(narrowed, results, keep).space
        prior += results


def last_value(strategy: Strategy) -> Strategy:
    """Return the strategy told that the last value of a curve counts: the measure's networks are not stopped early."""
    return replace(strategy, summary="last") if isinstance(strategy, FreezeThaw) else strategy


def play(strategy: Strategy, measure: Measure) -> Sequence[Result]:
    """Return the results of a strategy that has run to its end."""
    history = generations(strategy, measure, Immediate())
    return [result for generation in history for result in generation.results]


def random(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """Random search, every config trained to the end."""
    play(Uniform(study="random", space=space, seed=seed, budget=budget, resource=EPOCHS), measure)


def hyperband(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """Hone's classic Hyperband: promotion by rank, checkpoints continued, new configs by TPE."""
    search = Hyperband(
        study="hyperband",
        space=space,
        full_space=space,
        prior=(),
        seed=seed,
        budget=budget,
        max_epochs=EPOCHS,
        min_epochs=LOWEST,
    )
    play(search, measure)


METHODS: dict[str, Method] = {"chain": chain, "random": random, "hyperband": hyperband}
