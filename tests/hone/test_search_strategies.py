"""What every strategy keeps, over every kind of space: purity, the space, the numbering, the budget."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from hone.search.bayes import Bayesian, n_due
from hone.search.freeze_thaw import FreezeThaw
from hone.search.grid import Grid, levels
from hone.search.hyperband import Hyperband
from hone.search.proposals import Proposal, charge
from hone.search.registry import SAMPLERS
from hone.search.replay import Replay
from hone.search.sobol import Sobol
from hone.search.uniform import Uniform
from hone.space import Categorical, Fixed, Float, Int, SearchSpace, identity
from hone.trial import State, results_of, spent
from tests.hone.synthetic import MIXED, PLAIN, SMALL, SPACES, Trainer, distance, play, results

BUDGET = 150.0


def prior_of(space, n=24):
    return results(Sobol(study="prior", space=space, seed=5, budget=n * 3.0, resource=6, rows=0.5), Trainer(space))


def narrowed(space):
    """The half of each number's domain around 0.6, where the best is."""
    parts = {
        name: type(domain)(domain.decode(0.35), domain.decode(0.85), domain.log)
        for name, domain in space.domains.items()
        if isinstance(domain, Float | Int)
    }
    return space.with_domains(parts)


def uniform(space):
    return Uniform(study="s", space=space, seed=0, budget=BUDGET, resource=6, rows=0.5)


def sobol(space):
    return Sobol(study="s", space=space, seed=0, budget=BUDGET, resource=6, rows=0.5)


def grid(space):
    return Grid(study="s", space=space, seed=0, budget=BUDGET, resource=6, rows=0.5)


def tpe(space):
    return Bayesian(
        study="s",
        space=narrowed(space),
        full_space=space,
        prior=prior_of(space),
        seed=0,
        budget=BUDGET * 2,
        resource=12,
    )


def tpe_alone(space):
    return Bayesian(study="s", space=space, full_space=space, prior=(), seed=0, budget=BUDGET, resource=6)


def gp(space):
    # Hardly narrowed, so that the GP has enough of the former phase's trials inside to go by.
    name = next(iter(space.domains))
    domain = space.domains[name]
    slightly = space.with_domains({name: type(domain)(domain.decode(0.1), domain.high, domain.log)})
    return Bayesian(
        study="s",
        space=slightly,
        full_space=space,
        prior=prior_of(space),
        seed=0,
        budget=96,
        resource=12,
        batch=4,
        sampler="gp",
        outside=0.25,
    )


def hyperband(space):
    return Hyperband(
        study="s", space=narrowed(space), full_space=space, prior=prior_of(space), seed=0, budget=BUDGET * 4,
        max_epochs=54, min_epochs=6,
    )  # fmt: skip


def hyperband_alone(space):
    return Hyperband(
        study="s", space=space, full_space=space, prior=(), seed=0, budget=BUDGET * 2, max_epochs=27, min_epochs=3
    )


def thaw(space):
    """The middle phase: new configs only, after a former one."""
    return FreezeThaw(
        study="s", space=narrowed(space), full_space=space, prior=prior_of(space), seed=0, budget=BUDGET,
        ladder=(6, 54), promote=False,
    )  # fmt: skip


def refine(space):
    """The fine phase: promotions, of the former's too."""
    return FreezeThaw(
        study="s", space=narrowed(space), full_space=space, prior=prior_of(space), seed=0, budget=BUDGET * 4,
        ladder=(6, 18, 54), promote=True, finish=60,
    )  # fmt: skip


def refine_alone(space):
    return FreezeThaw(
        study="s", space=space, full_space=space, prior=(), seed=0, budget=BUDGET * 2, ladder=(3, 9, 27), promote=True
    )


def replay(space):
    return Replay(study="s", configs=tuple(r.trial.config for r in prior_of(space)[:3]), resource=9, seeds=2, folds=3)


MAKERS = [uniform, sobol, grid, tpe, tpe_alone, gp, hyperband, hyperband_alone, thaw, refine, refine_alone, replay]
BUDGETED = [maker for maker in MAKERS if maker is not replay]
CASES = [(maker, name) for maker in MAKERS for name in SPACES]


def named(case):
    maker, name = case
    return f"{maker.__name__}-{name}"


def trainer_for(strategy, space, **options):
    return Trainer(space, getattr(strategy, "prior", ()), **options)


@pytest.fixture(scope="module")
def studies():
    """Every strategy's history on every space, played once."""
    played = {}
    for maker, name in CASES:
        strategy = maker(SPACES[name])
        played[maker, name] = strategy, play(strategy, trainer_for(strategy, SPACES[name]))
    return played


@pytest.mark.parametrize("case", CASES, ids=named)
def test_only_configs_of_the_space_are_proposed(case, studies):
    _, history = studies[case]
    space = SPACES[case[1]]
    used_up = case[1] == "small" and case[0] in (tpe, gp, thaw)  # by the former phase
    assert bool(results_of(history)) is not used_up
    assert all(space.contains(result.trial.config) for result in results_of(history))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_trials_are_numbered_from_0_and_know_their_generation(case, studies):
    strategy, history = studies[case]
    trials = [result.trial for result in results_of(history)]
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert all(result.trial.generation == g.index for g in history for result in g.results)
    assert all(trial.study == strategy.study for trial in trials)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_same_history_gives_the_same_trials(case, studies):
    strategy, history = studies[case]
    again = case[0](SPACES[case[1]])
    for done in (0, len(history) // 2, len(history)):
        expected = [result.trial for result in history[done].results] if done < len(history) else []
        assert strategy.ask(history[:done]) == again.ask(tuple(history[:done])) == expected


@pytest.mark.parametrize("maker", BUDGETED)
@pytest.mark.parametrize("name", SPACES)
def test_the_budget_is_kept(maker, name, studies):
    strategy, history = studies[maker, name]
    assert spent(history) <= strategy.budget + 1e-6


# A grid over the plain space has 9 points, and ends before the budget does.
@pytest.mark.parametrize(
    "case", [(m, name) for m in BUDGETED for name in ("plain", "mixed") if (m, name) != (grid, "plain")], ids=named
)
def test_the_budget_is_used_to_the_last_trial_it_pays_for(case, studies):
    strategy, history = studies[case]
    if isinstance(strategy, FreezeThaw):
        cheapest = strategy.ladder[0]
    else:
        cheapest = getattr(strategy, "max_epochs", 0) or strategy.resource * strategy.rows
    assert strategy.budget - spent(history) < cheapest


@pytest.mark.parametrize("case", [case for case in CASES if case[0] is not replay], ids=named)
def test_no_config_is_tried_twice_except_to_go_on_with_it(case, studies):
    strategy, history = studies[case]
    known = [identity(result.trial.config) for result in getattr(strategy, "prior", ())]
    new = [identity(r.trial.config) for r in results_of(history) if r.trial.parent is None]
    assert len(set(known + new)) == len(set(known)) + len(new)


@pytest.mark.parametrize("maker", [uniform, sobol, grid, tpe_alone, hyperband_alone, refine_alone])
@pytest.mark.parametrize("name", SPACES)
def test_trial_0_is_the_default(maker, name, studies):
    _, history = studies[maker, name]
    first = history[0].results[0].trial
    assert first.config == SPACES[name].default
    assert [r.trial.number for r in results_of(history) if r.trial.origin == "default"] == [0]


@pytest.mark.parametrize(
    "maker", [maker for maker in BUDGETED if maker is not gp]
)  # which is like tpe until 10 succeed
@pytest.mark.parametrize("state", [State.FAILED, State.DIVERGED])
def test_when_every_trial_fails_the_study_still_proposes_and_still_ends(maker, state):
    strategy = replace(maker(MIXED), budget=60)  # a diverged one costs 1, so this is up to 60 trials
    history = play(strategy, trainer_for(strategy, MIXED, failing=lambda trial: state))
    assert len(results_of(history)) >= 1
    assert sum(charge(result) for result in results_of(history)) <= strategy.budget + 1e-6


PRICED = SearchSpace(MIXED.domains, MIXED.conditions, MIXED.defaults, {"activation": {"gelu": 40.0}}, dearest=4.0)


@pytest.mark.parametrize("maker", [uniform, sobol, grid])
def test_a_start_that_the_budget_does_not_pay_for_does_not_end_the_study(maker):
    dear, cheap = ({**MIXED.default, "activation": each} for each in ("gelu", "silu"))
    starts = (Proposal(dear, "warm_start"), Proposal(cheap, "family"))
    found = results(replace(maker(PRICED), budget=60.0, starts=starts), Trainer(PRICED))
    assert [result.trial.origin for result in found[:2]] == ["default", "family"]
    assert len(found) == 60 / 3  # all that the budget pays for


@pytest.mark.parametrize("maker", [uniform, sobol, tpe, hyperband, thaw, refine])
def test_what_fails_at_once_is_charged_what_was_planned_for_it(maker):
    """Where epochs count half, more trials may fail until the budget is spent."""
    counts = []
    for price in (1.0, 0.5):
        prices = {"optimizer": dict.fromkeys(("adamw", "sgd"), price)}
        space = SearchSpace(MIXED.domains, MIXED.conditions, MIXED.defaults, prices)
        strategy = replace(maker(space), budget=120)
        counts.append(len(results(strategy, Trainer(space, failing=lambda trial: State.FAILED))))
    assert counts[1] > 1.25 * counts[0]


@pytest.mark.parametrize("maker", [tpe, gp, hyperband, thaw, refine])
def test_failures_do_not_stop_a_surrogate(maker):
    strategy = maker(MIXED)
    failing = lambda trial: (State.FAILED, State.DIVERGED, None)[trial.number % 3]  # noqa: E731
    origins = {r.trial.origin for r in results(strategy, trainer_for(strategy, MIXED, failing=failing))}
    assert "surrogate" in origins


@pytest.mark.parametrize("maker", [uniform, sobol, grid, tpe_alone, hyperband_alone, refine_alone])
def test_a_space_that_is_used_up_ends_the_study(maker):
    strategy = maker(SMALL)
    new = [r.trial.config for r in results(strategy, Trainer(SMALL)) if r.trial.parent is None]
    assert sorted(identity(config) for config in new) == sorted(
        identity(config) for config in ({"a": 1, "b": True}, {"a": 1, "b": False}, {"a": 2}, {"a": 3})
    )


@pytest.mark.parametrize("maker", [uniform, sobol, grid, tpe_alone, hyperband_alone, refine_alone])
def test_a_space_where_all_is_fixed_has_one_config(maker):
    space = SearchSpace({"a": Fixed(1), "b": Fixed("x")})
    assert {identity(r.trial.config) for r in results(maker(space), Trainer(space))} == {identity(space.default)}


@pytest.mark.parametrize("maker", BUDGETED)
def test_another_seed_gives_other_configs(maker):
    strategy = maker(MIXED)
    if maker is grid:
        strategy = replace(strategy, budget=60)  # cut, so that a seed matters
    first, second = strategy.ask([]), replace(strategy, seed=1).ask([])
    if maker is hyperband:  # the entrants are the best ones, whatever the seed
        assert first == second
    else:
        assert [trial.config for trial in first[1:]] != [trial.config for trial in second[1:]]


FRESH = """
import json, sys
from tests.hone import test_search_strategies as t
from tests.hone.synthetic import MIXED, play
out = {}
for maker in (t.sobol, t.tpe, t.gp, t.hyperband):
    strategy = maker(MIXED)
    history = play(strategy, t.trainer_for(strategy, MIXED))
    out[maker.__name__] = [[r.trial.number, r.trial.resource, r.trial.parent, dict(r.trial.config)]
                           for g in history for r in g.results]
print(json.dumps(out))
"""


def test_a_fresh_process_with_another_hash_seed_asks_for_the_same_trials(studies):
    done = subprocess.run(
        [sys.executable, "-c", FRESH],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout)
    for maker in (sobol, tpe, gp, hyperband):
        _, history = studies[maker, "mixed"]
        ours = [[r.trial.number, r.trial.resource, r.trial.parent, dict(r.trial.config)] for r in results_of(history)]
        assert theirs[maker.__name__] == ours


# Single strategies


def test_a_grid_that_the_budget_pays_for_holds_every_combination():
    space = SearchSpace({"x": Float(0, 1), "n": Int(1, 2), "c": Categorical(("a", "b"))})
    tried = {identity(r.trial.config) for r in results(grid(space), Trainer(space))}
    expected = {identity({"x": x, "n": n, "c": c}) for x in (0.0, 0.5, 1.0) for n in (1, 2) for c in "ab"}
    assert tried == expected | {identity(space.default)}


def test_a_grid_too_large_for_the_budget_is_cut_evenly():
    trials = [r.trial for r in results(grid(MIXED), Trainer(MIXED)) if r.trial.origin == "grid"]
    for name in ("rate", "n_layers", "activation", "units_1"):
        seen = [trial.config[name] for trial in trials]
        on_grid = levels(MIXED.domains[name], 3)
        # 49 points of a Sobol' sequence in thirds: no level may be rare, as it would be in lexicographic order.
        assert set(seen) == set(on_grid)
        assert min(seen.count(level) for level in on_grid) >= len(trials) / 6


def test_a_sobol_sequence_is_more_even_than_chance():
    def n_cells(maker):
        trials = [r.trial for r in results(maker(PLAIN), Trainer(PLAIN)) if r.trial.origin != "default"]
        return len({int(trial.config["x"] * 32) for trial in trials[:32]})

    # 32 points of a Sobol' sequence lie in 32 different 32nds; chance fills 1 - 1/e of them, 20.
    assert n_cells(sobol) == 32 > n_cells(uniform)


def test_the_share_from_outside_is_outside_and_as_large_as_told(studies):
    for maker in (tpe, gp, hyperband):
        strategy, history = studies[maker, "mixed"]
        new = [r.trial for r in results_of(history) if r.trial.parent is None]
        outside = [trial for trial in new if trial.origin == "outside"]
        assert len(outside) == n_due(0, len(new), strategy.outside) > 0
        assert all(not strategy.space.contains(trial.config) for trial in outside)
        assert all(strategy.space.contains(trial.config) for trial in new if trial.origin != "outside")


def test_nothing_is_outside_where_nothing_was_narrowed(studies):
    _, history = studies[tpe_alone, "mixed"]
    assert all(result.trial.origin != "outside" for result in results_of(history))


@pytest.mark.parametrize("maker", [tpe, gp, thaw])
def test_a_surrogate_does_better_than_chance(maker):
    strategy = maker(PLAIN)
    tried = results(strategy, trainer_for(strategy, PLAIN))
    suggested = [distance(PLAIN, r.trial.config) for r in tried if r.trial.origin == "surrogate"]
    chance = Uniform(study="u", space=strategy.space, seed=3, budget=600, resource=6)
    draws = [distance(PLAIN, r.trial.config) for r in results(chance, Trainer(PLAIN))]
    assert median(suggested) < median(draws)


def test_the_gaussian_process_has_a_mind_of_its_own():
    strategy = gp(PLAIN)
    theirs, ours = replace(strategy, sampler="tpe").ask([]), strategy.ask([])
    assert [trial.origin for trial in ours] == ["surrogate"] * 3 + ["outside"]
    assert all(a.config != b.config for a, b in zip(ours[:3], theirs[:3], strict=True))


def test_proposals_of_one_generation_keep_apart(studies):
    for maker in (tpe, gp):
        for generation in studies[maker, "mixed"][1]:
            configs = [identity(result.trial.config) for result in generation.results]
            assert len(set(configs)) == len(configs)


def test_a_surrogate_that_repeats_itself_is_not_followed():
    space = SearchSpace({"a": Int(1, 5), "b": Categorical(tuple("uvwxyz"))})  # 30 configs
    strategy = Bayesian(study="s", space=space, full_space=space, prior=(), seed=0, budget=999, resource=6)
    tried = [r.trial for r in results(strategy, Trainer(space))]
    assert len({identity(trial.config) for trial in tried}) == len(tried) == 30
    assert {"surrogate", "random"} <= {trial.origin for trial in tried}


def test_every_sampler_is_found_by_name():
    assert set(SAMPLERS.values()) == {Uniform, Sobol, Grid}
