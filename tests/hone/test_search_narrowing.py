"""Narrowing, comparing across fidelities, and edges: what is concluded from trials, and what is not."""

from itertools import combinations

import numpy as np
import pytest

from hone import models
from hone.search.edges import at_edge
from hone.search.narrowing import chance_of_absence, chance_of_range, narrow
from hone.search.standings import best_first, furthest, objective_at, standings
from hone.search.surrogate import suggest
from hone.space import Categorical, Fixed, Float, Int, SearchSpace
from hone.trial import Result, State, Trial
from tests.hone.synthetic import MIXED, PLAIN, distance

WIDE = SearchSpace(
    {
        "rate": Float(1e-5, 1, log=True),
        "width": Int(8, 1024, log=True),
        "noise": Float(0, 1),
        "kind": Categorical(("a", "b", "c")),
        "any": Categorical(("u", "v")),
        "fixed": Fixed(3),
    }
)


def result(config, objective, number=0, *, resource=6, rows=1.0, study="s", state=State.COMPLETE, curve=()):
    trial = Trial(study=study, number=number, generation=0, config=config, resource=resource, rows=rows)
    return Result(trial=trial, state=state, objective=objective, curve=curve)


def sampled(space, objective, n, seed=0, **options):
    points = np.random.default_rng(seed).random((n, space.dimension))
    configs = [space.decode(point) for point in points]
    return [result(config, objective(config), number, **options) for number, config in enumerate(configs)]


def rate_and_kind(config):
    return abs(np.log10(config["rate"]) + 2) + 4 * (config["kind"] != "b")


def test_what_matters_is_narrowed_around_the_best_and_the_rest_is_left_alone():
    narrowing = narrow(WIDE, sampled(WIDE, rate_and_kind, 160), keep=0.125)
    rate = narrowing.space.domains["rate"]
    assert 1e-5 < rate.low < 1e-2 < rate.high < 1
    assert narrowing.space.domains["kind"] == Categorical(("b",))
    assert [change.name for change in narrowing.changes] == ["rate", "kind"]


def test_every_change_says_what_and_why_with_numbers():
    rate, kind = narrow(WIDE, sampled(WIDE, rate_and_kind, 160), keep=0.125).changes
    assert rate.before == "1e-05 to 1 (log)"
    assert rate.after.endswith("(log)")
    assert rate.reason.startswith("the best 20 of 160 trials lie between 0.00")
    assert kind.before == "a, b, c"
    assert kind.after == "b"
    assert kind.reason.startswith("none of the best 20 of 160 trials has a (tried ")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("space", [WIDE, MIXED, PLAIN], ids=["wide", "mixed", "plain"])
@pytest.mark.parametrize("n", [16, 40])
def test_the_best_configs_stay_inside(space, seed, n):
    trials = sampled(space, lambda config: distance(space, config), n, seed)
    narrowed = narrow(space, trials, keep=0.25).space
    best = sorted(trials, key=lambda r: r.objective)[: n // 4]
    assert all(narrowed.contains(r.trial.config) for r in best)
    assert narrowed.contains(narrowed.default)


def test_nothing_is_narrowed_by_noise_more_often_than_promised():
    n_changes = 0
    for seed in range(200):
        noise = np.random.default_rng(1000 + seed)
        n_changes += len(narrow(WIDE, sampled(WIDE, lambda _, noise=noise: noise.random(), 24, seed), 0.25).changes)
    # 5 parameters: 3 numbers and 5 choices, each cut with a chance of at most 5%: at most 200 * 8 * 0.05 = 80 are
    # expected; six standard deviations more is 133.
    assert n_changes < 133


def test_the_chances_are_those_of_counting():
    n, k = 9, 4
    subsets = list(combinations(range(n), k))
    for m in range(k, n + 1):
        assert chance_of_range(n, m, k) == pytest.approx(np.mean([max(s) - min(s) < m for s in subsets]))
    for n_tried in range(n):
        expected = np.mean([min(s) >= n_tried for s in subsets])
        assert chance_of_absence(n, n_tried, k) == pytest.approx(expected)


def test_too_few_trials_narrow_nothing():
    narrowing = narrow(WIDE, sampled(WIDE, rate_and_kind, 12), keep=0.25)
    assert narrowing.space == WIDE
    assert narrowing.changes == ()
    assert narrow(WIDE, [], keep=0.25).space == WIDE
    failed = [result(r.trial.config, np.inf, state=State.FAILED) for r in sampled(WIDE, rate_and_kind, 40)]
    assert narrow(WIDE, failed, keep=0.25).space == WIDE


def test_only_the_highest_fidelity_with_enough_trials_counts():
    misleading = sampled(WIDE, lambda config: -np.log10(config["rate"]), 60, seed=1, resource=2)  # says: large
    right = sampled(WIDE, rate_and_kind, 40, seed=2, resource=6)  # says: 0.01
    assert narrow(WIDE, [*misleading, *right], 0.25) == narrow(WIDE, right, 0.25)
    # Five are not enough: they are read at 2 epochs, as the others.
    few = [result(r.trial.config, 9.0, resource=6, curve=(9.0,) * 6) for r in right[:5]]
    assert narrow(WIDE, [*misleading, *few], 0.25).space.domains["rate"].high == 1


def test_a_second_narrowing_starts_from_the_first_and_is_widened_by_a_best_from_outside():
    first = narrow(WIDE, sampled(WIDE, rate_and_kind, 160), keep=0.125).space
    inside = sampled(first, rate_and_kind, 39, seed=3)
    assert narrow(first, inside, 0.25).space.domains["rate"].low >= first.domains["rate"].low
    config = {**inside[0].trial.config, "rate": 0.9, "kind": "c"}
    wider = narrow(first, [*inside, result(config, -1.0, 99)], 0.25)
    assert wider.space.contains(config)
    assert [c.name for c in wider.changes if "outside the space of the former phase" in c.reason] == ["rate", "kind"]


def test_a_conditional_parameter_is_judged_by_the_trials_that_have_it():
    trials = sampled(MIXED, lambda c: abs(c["momentum"] - 0.9) if "momentum" in c else 5.0, 120)
    reasons = {change.name: change.reason for change in narrow(MIXED, trials, 0.25).changes}
    n_with = sum("momentum" in r.trial.config for r in trials)
    assert reasons["momentum"].startswith(f"the best 30 of {n_with} trials lie between 0.")


# Standings


def test_a_config_that_went_further_is_compared_at_the_common_fidelity():
    base = sampled(PLAIN, lambda config: 0.5, 10, resource=6)
    far = result({"x": 0.1, "y": 0.2}, 0.1, resource=54, curve=tuple(np.linspace(1.0, 0.1, 54)))
    standing = standings([*base, far], enough=8)[-1]
    assert standing.reached
    assert standing.objective == pytest.approx(far.curve[5])
    assert best_first(standings([*base, far], enough=8))[-1].config == far.trial.config


def test_epochs_on_part_of_the_rows_count_by_that_part():
    far = result({"x": 0.1, "y": 0.2}, 0.1, resource=18, curve=tuple(1 / e for e in range(1, 19)))
    assert objective_at(far, (6, 0.5)) == 1 / 3
    assert objective_at(far, (6, 1.0)) == 1 / 6
    assert objective_at(far, (18, 1.0)) == 0.1


def test_each_config_stands_once_with_its_furthest_result():
    config = {"x": 0.1, "y": 0.2}
    low, high = result(config, 0.5, 0, resource=6), result(dict(reversed(config.items())), 0.4, 1, resource=18)
    assert furthest([high, low]) == [high] == furthest([low, high])


def test_failures_and_lower_fidelities_rank_behind():
    low = result({"x": 0.1, "y": 0.2}, 0.0, 0, resource=2)
    high = result({"x": 0.2, "y": 0.2}, 0.5, 1, resource=6)
    broken = result({"x": 0.3, "y": 0.2}, np.inf, 2, resource=6, state=State.DIVERGED)
    assert [s.result for s in best_first(standings([low, broken, high], enough=1))] == [high, low]


def test_ties_stand_in_the_order_given():
    tied = sampled(PLAIN, lambda config: 1.0, 5)
    assert [s.result for s in best_first(standings(tied, 3))] == tied


# Surrogates


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_surrogate_takes_results_from_outside_the_space_and_failures(sampler):
    trials = sampled(WIDE, rate_and_kind, 60)
    trials += [result(r.trial.config, np.inf, state=State.FAILED) for r in sampled(WIDE, rate_and_kind, 10, seed=9)]
    space = WIDE.with_domains({"rate": Float(1e-3, 0.5, log=True), "kind": Categorical(("b", "c"))})
    configs = suggest(space, trials, 4, seed=1, sampler=sampler)
    assert len(configs) == 4
    assert all(space.contains(config) for config in configs)


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_surrogate_that_knows_too_little_says_nothing(sampler):
    assert suggest(WIDE, sampled(WIDE, rate_and_kind, 9), 4, seed=1, sampler=sampler) == []


def test_a_surrogate_leaves_optunas_logging_as_it_was():
    import optuna

    before = optuna.logging.get_verbosity()
    suggest(PLAIN, sampled(PLAIN, lambda c: distance(PLAIN, c), 20), 1, seed=0, sampler="tpe")
    assert optuna.logging.get_verbosity() == before


# Edges


def test_a_best_value_at_a_bound_is_reported_with_the_bound_to_widen():
    space = SearchSpace({"rate": Float(1e-4, 0.1, log=True)})
    (edge,) = at_edge(space, {"rate": 0.0993})
    assert (
        edge.message == "The best rate, 0.0993, is near its bound 0.1; raise search.space.rate.high to search above it."
    )
    assert (edge.side, edge.bound) == ("high", 0.1)
    (edge,) = at_edge(space, {"rate": 1.05e-4})
    assert (
        edge.message
        == "The best rate, 0.000105, is near its bound 0.0001; lower search.space.rate.low to search below it."
    )
    (edge,) = at_edge(space, {"rate": 0.1 * (1 - 1e-9)})
    assert edge.message == "The best rate, 0.1, is at its bound 0.1; raise search.space.rate.high to search above it."
    assert at_edge(space, {"rate": 0.0925}) == []  # 98.9 % of the way


@pytest.mark.parametrize(
    ("domain", "value", "sides"),
    [
        (Float(0, 0.5), 0.0, []),  # a dropout of 0 is natural
        (Float(0, 0.5), 0.495, ["high"]),
        (Float(0.1, 0.5), 0.1, ["low"]),
        (Int(1, 4), 1, []),  # as is one layer
        (Int(1, 4), 4, ["high"]),
        (Int(1, 4), 3, []),
        (Int(16, 512, log=True), 16, ["low"]),
        (Int(3, 3), 3, []),
        (Categorical((1, 2)), 2, []),
        (Fixed(1.0), 1.0, []),
    ],
)
def test_only_bounds_that_could_be_widened_are_edges(domain, value, sides):
    assert [edge.side for edge in at_edge(SearchSpace({"p": domain}), {"p": value})] == sides


def test_a_bound_that_cannot_be_widened_is_no_edge():
    """What a report advises, params must take: no network has more layers than the family's limit."""
    space, config = SearchSpace({"n_layers": Int(2, 4), "crop": Float(0.1, 0.5)}), {"n_layers": 4, "crop": 0.5}
    assert [edge.name for edge in at_edge(space, config, models.LIMITS)] == ["crop"]
    assert [edge.name for edge in at_edge(space, config)] == ["n_layers", "crop"]
    assert at_edge(space, {"n_layers": 2}, {"n_layers": (2, 9)}) == []
