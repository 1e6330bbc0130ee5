"""Hone's strategies under the measure, each through the same loop as production."""

from collections.abc import Callable, Mapping, Sequence
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
from hone.study import Trainable, generations
from hone.trial import Result
from tasks import phase, search_bayes, search_hyperband, search_random
from tasks.params import Params, parse_params
from tasks.phase import Findings

LOWEST = EPOCHS // 9  # as params.yaml: 6 of 54 epochs
PROBLEM = Problem(task="multiclass", target="", metric="accuracy")
NOTHING: Mapping[str, object] = {}
Method = Callable[[Measure, SearchSpace, float, int], None]


def params(seed: int, bayes: Mapping[str, object] = NOTHING, hyperband: Mapping[str, object] = NOTHING) -> Params:
    """Return the defaults of params.yaml, with the measure's full resource and its ninth where they have 54 and 6.

    bayes, hyperband: what is not the default in these sections.
    """
    search = {
        "random": {"epochs": LOWEST},
        "bayes": {"epochs": LOWEST, **bayes},
        "hyperband": {"min_epochs": LOWEST, **hyperband},
    }
    return parse_params({"seed": seed, "train": {"epochs": EPOCHS}, "search": search})


def chain(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """The default chain: the three stages' own strategies, each handed what the one before found."""
    chained(params(derive(seed, "chain")), space, budget, lambda strategy: play(last_value(strategy), measure))


def by_results(space: SearchSpace, results: Sequence[Result], keep: float) -> SearchSpace:
    """Return the space as production narrows it."""
    return narrowing.narrow(space, results, keep).space


def chained(
    given: Params,
    space: SearchSpace,
    budget: float,
    played: Callable[[Strategy], Sequence[Result]],
    *,
    narrowed_by: Callable[[SearchSpace, Sequence[Result], float], SearchSpace] = by_results,
) -> list[Result]:
    """Return all results of the three stages. played: gives those of a strategy that has run to its end."""
    search = given.search
    phases = (
        (search_random.strategy, search.random.share, search.random.keep, "search_random"),
        (search_bayes.strategy, search.bayes.share, search.bayes.keep, "search_bayes"),
        (search_hyperband.strategy, search.hyperband.share, 1.0, "search_hyperband"),
    )
    narrowed, prior, shares = space, list[Result](), []
    for make, share, keep, study in phases:
        shares.append(share)
        due = phase.allowance(budget, shares, prior)
        found = Findings(PROBLEM, space, narrowed, tuple(prior), due, budget)
        results = played(make(given, found, study))
        narrowed = narrowed_by(narrowed, results, keep)
        prior += results
    return prior


def last_value(strategy: Strategy) -> Strategy:
    """Return the strategy told that the last value of a curve counts: the measure's networks are not stopped early."""
    return replace(strategy, summary="last") if isinstance(strategy, FreezeThaw) else strategy


def play(strategy: Strategy, trainable: Trainable) -> Sequence[Result]:
    """Return the results of a strategy that has run to its end."""
    history = generations(strategy, trainable, Immediate())
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
