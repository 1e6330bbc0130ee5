"""What is read off learning curves, and which configs a pool proposes."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hone.search.curves import Pool, Resources, model, objective_after, observed, standardised, thinned, to_bounds
from hone.search.freeze_thaw import levels
from hone.search.gaussian_process import Layout, Observations
from hone.search.geometry import Geometry
from hone.search.sobol import Sobol
from hone.space import Categorical, Float, Int, SearchSpace, identity
from hone.trial import Result, State, Trial
from tests.hone.synthetic import MIXED, PLAIN, Trainer, distance, results

LADDER = (3, 9, 27)
RESOURCES = Resources(27, levels(LADDER))


def result(config, curve, number=0, *, resource=None, rows=1.0, state=State.COMPLETE):
    resource = len(curve) if resource is None else resource
    trial = Trial(study="s", number=number, generation=0, config=config, resource=resource, rows=rows)
    complete = state is State.COMPLETE
    return Result(
        trial=trial, state=state, objective=min(curve, default=0.0) if complete else math.inf, curve=tuple(curve)
    )


def tried(space, n, resource=3, seed=5):
    """Some results of a smooth objective, the best near (0.6, ..., 0.6)."""
    return list(
        results(Sobol(study="p", space=space, seed=seed, budget=n * resource, resource=resource), Trainer(space))
    )


def plain(n, resource=3):
    return [result({"x": i / n, "y": 0.1}, [1 / (e + 1) + i for e in range(resource)], i) for i in range(n)]


# Curves


CURVE = (5.0, 3.0, 4.0, math.nan, 2.0, 6.0)


def test_best_is_the_best_so_far_and_last_is_the_last_number():
    whole = replace(result({}, CURVE), objective=2.0)
    assert [objective_after(whole, epoch, "best") for epoch in range(1, 7)] == [5, 3, 3, 3, 2, 2]
    assert [objective_after(whole, epoch, "last") for epoch in range(1, 7)] == [5, 3, 4, 4, 2, 6]


def test_a_curve_that_stopped_early_is_what_it_was_when_it_stopped():
    stopped = replace(result({}, CURVE, resource=20), objective=2.0)
    assert objective_after(stopped, 20, "best") == 2
    assert objective_after(stopped, 20, "last") == 6


def test_without_a_number_so_far_the_objective_stands_in():
    assert objective_after(replace(result({}, (math.nan, 4.0)), objective=4.0), 1, "last") == 4
    assert objective_after(replace(result({}, ()), objective=7.0), 3, "best") == 7


def test_time_is_logarithmic_and_1_at_the_end():
    assert [RESOURCES.time(t) for t in (0.5, 1, 3, 9, 27)] == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])
    assert Resources(1, (1,)).time(1) == 1


# The scale of objectives


SCALES = {
    "some": [3.0, 1.0, 2.0, 9.0, 4.0],
    "huge": [0.1, 0.2, 1e30, 0.3, 0.15, 1e6, 1e12],
    "negative": [-0.9, -0.1, -0.5, -0.9001],
    "ties": [1.0, 1.0, 2.0, 2.0, 2.0, 0.5],
    "half tied for the best": [1.0, 1.0, 1.0, 2.0, 3.0],
    "constant": [4.0, 4.0, 4.0],
    "constant but for one": [4.0, 4.0, 4.0, 1e30],
    "alone": [2.0],
    "close": [1e6 + 1e-3, 1e6, 1e6 + 2e-3],
}


@pytest.mark.parametrize("name", SCALES)
def test_objectives_keep_their_order_and_are_about_standardised(name):
    y = np.array(SCALES[name])
    z = standardised(y)
    assert np.isfinite(z).all()
    assert (np.sign(y[:, None] - y) == np.sign(z[:, None] - z)).all()
    assert z.mean() == pytest.approx(0, abs=1e-12)
    assert z.std() == pytest.approx(0 if len(set(SCALES[name])) == 1 else 1)


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize(("scale", "shift"), [(1e-3, 0.0), (1e6, 0.0), (1.0, 3.0), (7.0, -20.0)])
def test_objectives_have_no_units_and_no_origin(name, scale, shift):
    y = np.array(SCALES[name])
    np.testing.assert_allclose(standardised(scale * y + shift), standardised(y), atol=1e-5)


def test_what_is_far_off_does_not_hide_what_is_near():
    near = np.linspace(1, 2, 20)
    with_one, with_none = standardised(np.append(near, 1e30))[:20], standardised(near)
    assert np.ptp(with_one) > np.ptp(with_none) / 100


# Observations


def seen(some, resources=RESOURCES, space=PLAIN):
    return observed(Geometry(space, space), some, resources)


def test_every_level_passed_and_the_last_epoch_is_an_observation():
    assert RESOURCES.levels == (2, 3, 5, 9, 16, 27)
    lengths = (2, 3, 4, 9, 20, 27)
    data = seen([result({"x": 0.1 * i, "y": 0.1}, range(n, 0, -1), i) for i, n in enumerate(lengths)])
    epochs = [2, 2, 3, 2, 3, 4, 2, 3, 5, 9, 2, 3, 5, 9, 16, 20, 2, 3, 5, 9, 16, 27]
    assert data.t.tolist() == pytest.approx([math.log(epoch) / math.log(27) for epoch in epochs])
    assert data.x[:, 0].tolist() == pytest.approx([0, *[0.1] * 2, *[0.2] * 3, *[0.3] * 4, *[0.4] * 6, *[0.5] * 6])
    values = [1, 2, 1, 3, 2, 1, 8, 7, 5, 1, 19, 18, 16, 12, 5, 1, 26, 25, 23, 19, 12, 1]
    np.testing.assert_allclose(data.y, standardised(np.array(values, dtype=float)))


def test_of_a_config_that_went_on_only_the_longest_curve_counts():
    some = plain(5, resource=2)
    longer = result(some[0].trial.config, [9.0] * 9, 5)
    assert sorted(seen([*some, longer]).t) == [*[RESOURCES.time(2)] * 5, *map(RESOURCES.time, (3, 5, 9))]


def test_part_of_the_rows_is_less_time():
    some = plain(4, resource=8)
    half = replace(some[0], trial=replace(some[0].trial, rows=0.5))
    data = seen([half, *some[1:]])
    times = [RESOURCES.time(n) for n in (1, 1.5, 2.5, 4, *[2, 3, 5, 8] * 3)]
    assert data.t.tolist() == pytest.approx(times)


@pytest.mark.parametrize("state", [State.FAILED, State.DIVERGED])
def test_a_failure_counts_as_the_worst_seen_where_it_was_to_end(state):
    failed = result({"x": 0.9, "y": 0.1}, [0.01], 9, resource=9, state=state)
    data = seen([*plain(5, resource=2), failed])
    assert data.y[-1] == data.y[:-1].max()
    assert data.t[-1] == RESOURCES.time(9)
    assert len(data.y) == 6


def test_a_later_failure_does_not_wipe_out_the_order_of_the_others():
    failed = result({"x": 0.9, "y": 0.1}, [], 9, resource=9, state=State.FAILED)
    assert (np.diff(seen([*plain(5, resource=2), failed]).y[:5]) > 0).all()


def test_configs_that_are_not_in_the_space_are_left_out():
    strange = [result(config, [0.1] * 3, 9) for config in ({"x": 2.0, "y": 0.1}, {"x": 0.5}, {"z": 1})]
    np.testing.assert_array_equal(seen([*plain(5), *strange]).y, seen(plain(5)).y)


def test_too_few_successes_or_nothing_to_vary_are_no_observations():
    failures = [result({"x": 0.5, "y": 0.1 + i / 100}, [], 9 + i, resource=3, state=State.FAILED) for i in range(9)]
    assert seen([*plain(3), *failures]) is None
    assert seen([*plain(4), *failures]) is not None
    one = SearchSpace({"a": Int(1, 1)})
    assert seen([result({"a": 1}, [1.0], i) for i in range(9)], space=one) is None


def test_a_model_tells_good_configs_from_bad_ones():
    space, some = MIXED, tried(MIXED, 60)
    process = model(Geometry(space, space), some, RESOURCES)
    points = np.random.default_rng(0).random((200, space.dimension))
    ours = Geometry(space, space)
    beliefs = process.at(ours.features(ours.snapped(points))).mean
    true = [distance(space, space.decode(point)) for point in points]
    assert np.corrcoef(beliefs, true)[0, 1] > 0.8


def test_of_two_short_trainings_that_end_alike_the_one_still_improving_is_believed_to_win():
    at = np.linspace(0.05, 0.95, 10)
    some = [result({"x": x, "y": 0.1}, [2.0, 1.0 if x < 0.5 else 1.4, 1.0], i) for i, x in enumerate(at)]
    ours = Geometry(PLAIN, PLAIN)
    means = model(ours, some, RESOURCES).mean(ours.features(ours.points([r.trial for r in some])))
    assert means[5:].max() < means[:5].min()


def test_a_model_learns_from_a_result_too_few_for_another_fit_of_hyperparameters():
    ours, some = Geometry(PLAIN, PLAIN), tried(PLAIN, 12)
    before, after = model(ours, some[:11], RESOURCES), model(ours, some, RESOURCES)
    assert before.noise == after.noise
    x = ours.features(ours.points([some[11].trial]))
    assert after.at(x).variance[0] < before.at(x).variance[0]


@pytest.mark.parametrize("n", [50, 51, 99, 1000])
def test_fewer_observations_are_spread_over_all_and_hold_the_best(n):
    rng = np.random.default_rng(n)
    y = np.round(rng.standard_normal(n), 1 if n == 99 else 9)  # ties, too
    data = Observations(np.arange(n)[:, None] / n, rng.random(n), y, Layout((0,), (True,)))
    kept = thinned(data, 50)
    assert len(kept.y) == len(set(kept.x[:, 0])) == 50
    assert kept.y.min() == y.min()
    assert kept.y.max() == y.max()
    assert abs(np.median(kept.y) - np.median(y)) < 0.2
    rows = {x: (t, value) for x, t, value in zip(data.x[:, 0], data.t, data.y, strict=True)}
    assert [rows[x] for x in kept.x[:, 0]] == list(zip(kept.t, kept.y, strict=True))
    assert kept.x[:, 0].tolist() == sorted(kept.x[:, 0])


# Pools


def half(space):
    """The half of each number's domain around 0.6, where the best is, and all choices but the last."""
    parts = {}
    for name, domain in space.domains.items():
        if isinstance(domain, Float | Int):
            parts[name] = type(domain)(domain.decode(0.35), domain.decode(0.85), domain.log)
        elif isinstance(domain, Categorical):
            parts[name] = Categorical(domain.choices[:-1])
    return space.with_domains(parts)


def pool_of(full, narrow, some, partial=(), seed=0):
    ours = Geometry(full, narrow)
    return Pool(ours, model(ours, some, RESOURCES), [r.trial for r in some], partial, seed)


def test_half_of_the_numbers_go_to_either_bound_and_choices_stay():
    u = np.random.default_rng(0).random((1000, 4))
    moved = to_bounds(u, np.array([True, True, True, False]), np.random.default_rng(1))
    for bound in (0.0, 1.0):
        assert np.mean(moved[:, :3] == bound) == pytest.approx(0.25, abs=0.03)
    assert np.mean(moved[:, :3] == u[:, :3]) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(moved[:, 3], u[:, 3])


@pytest.mark.parametrize("space", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_new_configs_differ_and_lie_where_they_should(space):
    narrow, some = half(space), tried(space, 24)
    pool = pool_of(space, narrow, some)
    inside = [pool.new() for _ in range(30)]
    outside = [pool.new(outside=True) for _ in range(30)]
    assert all(narrow.contains(config) for config in inside)
    assert all(space.contains(config) and not narrow.contains(config) for config in outside)
    assert len({identity(config) for config in (*inside, *outside, *[r.trial.config for r in some])}) == 84


def test_a_bound_of_the_narrowed_space_is_proposed_and_belongs_to_it():
    narrow = PLAIN.with_domains({"x": Float(0.0, 0.3)})  # the best is beyond
    pool = pool_of(PLAIN, narrow, tried(PLAIN, 24))
    assert max(pool.new()["x"] for _ in range(8)) == 0.3
    assert min(pool.new(outside=True)["x"] for _ in range(8)) > 0.3


def test_nothing_is_outside_of_a_space_that_was_not_narrowed():
    assert pool_of(PLAIN, PLAIN, tried(PLAIN, 24)).new(outside=True) is None


def test_nothing_tried_is_proposed_and_a_space_is_used_up():
    space = SearchSpace({"a": Int(1, 4), "b": Categorical(("u", "v"))})
    configs = [{"a": a, "b": b} for a in range(1, 5) for b in "uv"]
    some = [result(config, [float(i)] * 3, i) for i, config in enumerate(configs[:5])]
    pool = pool_of(space, space, some)
    proposed = [pool.new() for _ in range(3)]
    assert {identity(config) for config in proposed} == {identity(config) for config in configs[5:]}
    assert pool.new() is None


def test_new_configs_are_better_than_chance_and_not_all_in_one_place():
    some = tried(PLAIN, 12)
    pool = pool_of(PLAIN, PLAIN, some)
    points = np.array([PLAIN.encode(pool.new()) for _ in range(8)])
    assert np.median([distance(PLAIN, PLAIN.decode(point)) for point in points]) < 0.05  # by chance, 0.2
    apart = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))[np.triu_indices(8, 1)]
    assert np.median(apart) > 0.05


def test_another_seed_is_another_pool_and_the_same_the_same():
    some = tried(MIXED, 24)
    first, again, other = (pool_of(MIXED, MIXED, some, seed=seed).new() for seed in (0, 0, 1))
    assert first == again != other


def steps(n_bad):
    """One whole training, far better than some partial ones, of which the last is the best."""
    bad = [result({"x": 0.02 * i, "y": 1e-4}, [9.0 - 0.1 * i] * 9, i) for i in range(n_bad)]
    whole = [result({"x": 0.9 + i / 100, "y": 1.0}, [0.1 + i / 1e3] * 27, 50 + i) for i in range(6)]
    return bad, whole


def test_what_cannot_win_does_not_go_on():
    bad, whole = steps(6)
    pool = pool_of(PLAIN, PLAIN, [*bad, *whole], bad)
    assert pool.going_on([True] * 6) is None
    assert pool.likeliest([True] * 6) is not None


def test_what_may_win_goes_on_if_it_is_allowed_and_once():
    bad, _ = steps(6)
    pool = pool_of(PLAIN, PLAIN, bad, bad)
    assert pool.going_on([False] * 6) is None
    assert pool.going_on([False, False, True, False, False, False], sure=math.inf) == bad[2]
    assert pool.going_on([False, False, True, False, False, False], sure=math.inf) is None
    gone_on = [pool.going_on([True] * 6, sure=math.inf) for _ in range(6)]
    assert sorted(r.trial.number for r in gone_on[:5]) == [0, 1, 3, 4, 5]
    assert gone_on[5] is None


def test_the_likeliest_has_the_best_mean_among_those_allowed():
    bad, whole = steps(6)
    some = [*bad, *whole]
    ours = Geometry(PLAIN, PLAIN)
    means = model(ours, some, RESOURCES).at(ours.features(ours.points([r.trial for r in bad]))).mean
    order = [pool_of(PLAIN, PLAIN, some, bad).likeliest([i != best for i in range(6)], hope=0) for best in (5, 0)]
    assert order == [bad[int(np.argmin(means[:5]))], bad[int(np.argmin(means))]]
    assert bad[int(np.argmin(means))] is bad[5]


def test_the_likeliest_is_given_the_benefit_of_the_doubt_by_hope():
    some = [*plain(6, resource=27), *[result({"x": 0.95, "y": 1e-4}, [3.0] * 3, 30)]]
    partial = [some[2], some[6]]  # as good, but known to the end
    assert pool_of(PLAIN, PLAIN, some, partial).likeliest([True, True], hope=9) == some[6]
