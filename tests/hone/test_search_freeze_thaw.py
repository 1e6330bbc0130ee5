"""Freeze-thaw: what goes on and how far, what is kept for the end, and that it finds what it should."""

import math
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import hone.search.curves
from hone.search.freeze_thaw import FreezeThaw, continuable, levels, slots
from hone.search.uniform import Uniform
from hone.seeds import numpy_generator
from hone.space import Categorical, Float, Int, SearchSpace, identity
from hone.trial import Result, State, Trial, ranked, results_of
from tests.hone.synthetic import MIXED, PLAIN, Trainer, play, results

LADDER = (3, 9, 27)
CURVES = SearchSpace(
    {**{f"x{i}": Float(0, 1) for i in range(3)}, "speed": Float(0, 1), "kind": Categorical(("a", "b", "c"))}
)


def end(config):
    """What a config's curve comes to: 0 at best; -x1- is barely felt, and a choice counts."""
    numbers = 2 * (config["x0"] - 0.3) ** 2 + (config["x1"] - 0.7) ** 2 + 0.1 * (config["x2"] - 0.2) ** 2
    return numbers + {"a": 0.0, "b": 0.3, "c": 0.1}[config["kind"]]


class Learner:
    """Trains CURVES' configs in no time: exponentials towards `end`, the fast ones not being the best.

    seen: what becomes of a curve [n] before it is told.
    """

    def __init__(self, prior=(), end=end, seen=lambda curve, key: curve):
        self.end, self.seen = end, seen
        self.resources = {result.trial.key: result.trial.resource for result in prior}

    def __call__(self, trial):
        epochs = np.arange(1, trial.resource + 1)
        away = np.exp(-(0.2 + 0.8 * trial.config.get("speed", 0.5)) * epochs / 3)
        curve = self.seen(self.end(trial.config) + away, identity(trial.config)).tolist()
        self.resources[trial.key] = trial.resource
        return Result(
            trial=trial,
            state=State.COMPLETE,
            objective=min(curve),
            curve=tuple(curve),
            best_epoch=int(np.argmin(curve)) + 1,
            cost=float(trial.resource - self.resources.get(trial.parent, 0)),
        )


def noisy(curve, key):
    return curve + 0.1 * numpy_generator(0, key).standard_normal(27)[: len(curve)]


def rounded(curve, key):
    return np.round(curve, 2)


def strategy(space=CURVES, **options):
    fields = {"space": space, "full_space": space, "prior": (), "seed": 0, "budget": 400, "finish": 60.0}
    return FreezeThaw(**{"study": "s", "ladder": LADDER, "promote": True, **fields, **options})


def trials_of(history):
    return [[result.trial for result in generation.results] for generation in history]


@pytest.fixture(scope="module")
def played():
    return play(strategy(), Learner())


# The plan


def test_a_generation_is_a_slice_through_a_bracket():
    assert slots(3, 3, 8) == (5, 2, 1)
    assert slots(1, 3, 8) == (8,)
    assert slots(3, 3, 13) == (9, 3, 1)
    assert slots(4, 2, 15) == (8, 4, 2, 1)


@pytest.mark.parametrize("eta", [2, 3, 4])
@pytest.mark.parametrize("n_rungs", [1, 2, 3, 5])
def test_slots_are_as_many_as_the_batch_and_never_more_on_a_higher_rung(n_rungs, eta):
    for batch in range(1, 17):
        counts = slots(n_rungs, eta, batch)
        shares = [batch * eta**-i / sum(eta**-j for j in range(n_rungs)) for i in range(n_rungs)]
        assert sum(counts) == batch
        assert all(abs(count - share) < 1 for count, share in zip(counts, shares, strict=True))
        assert list(counts) == sorted(counts, reverse=True)


def test_levels_are_the_rungs_and_one_half_way_to_each():
    assert levels((6, 18, 54)) == (3, 6, 10, 18, 31, 54)
    assert levels((1, 9)) == (1, 3, 9)  # none before the first epoch
    assert levels((5,)) == (5,)
    assert levels((6, 7)) == (6, 7)  # none half-way: and none twice


def of_study(study, objectives):
    trials = [Trial(study=study, number=i, generation=0, config={}, resource=1) for i in range(len(objectives))]
    return [
        Result(trial=trial, state=State.COMPLETE if math.isfinite(y) else State.FAILED, objective=y)
        for trial, y in zip(trials, objectives, strict=True)
    ]


def test_each_study_hands_its_best_on():
    known = [*of_study("a", [3, 1, math.inf, 2]), *of_study("b", [9, 7, 8])]
    assert [r.trial.key for r in continuable(known, 2)] == ["a-0001", "a-0003", "b-0001", "b-0002"]
    assert continuable(known, 0) == []


# What goes on


def check_promotions(chosen, history, handed_on=()):
    """Check each promotion against what was known when it was asked for; return how many there were."""
    known = {result.trial.key: result for result in handed_on}
    going_on = set()  # checkpoints that have been continued
    n = 0
    for generation in history:
        trials = [result.trial for result in generation.results]
        finishing = all(trial.parent and trial.resource == chosen.ladder[-1] for trial in trials)
        for trial in trials:
            assert (trial.parent is not None) is (trial.origin == "promoted")
            if trial.parent is None:
                assert trial.resource == chosen.ladder[-1 if trial.origin == "whole" else 0]
                continue
            n += 1
            parent = known[trial.parent]
            assert parent.trial.config == trial.config
            assert parent.state is State.COMPLETE
            assert len(parent.curve) == parent.trial.resource
            assert trial.parent not in going_on
            going_on.add(trial.parent)
            next_rung = min(rung for rung in chosen.ladder if rung > parent.trial.resource)
            assert trial.resource == next_rung or (finishing and trial.resource == chosen.ladder[-1])
        known.update({result.trial.key: result for result in generation.results})
    return n


def test_promotions_continue_their_parents_checkpoint_to_the_next_rung(played):
    assert check_promotions(strategy(), played) > 10


def test_what_failed_does_not_go_on():
    learner, n_failed = Learner(), 0

    def train(trial):
        nonlocal n_failed
        done = learner(trial)
        if trial.number % 3:
            return done
        n_failed += 1
        return replace(done, state=State.DIVERGED if trial.number % 2 else State.FAILED, objective=math.inf)

    chosen = strategy()
    assert check_promotions(chosen, play(chosen, train)) > 5
    assert n_failed > 5


def test_what_stopped_early_does_not_go_on():
    learner, n_stopped = Learner(), 0

    def train(trial):
        nonlocal n_stopped
        done = learner(trial)
        if trial.config["kind"] != "a":
            return done
        n_stopped += 1
        return replace(done, curve=done.curve[: trial.resource - 1])

    chosen = strategy(seed=1, budget=800)
    assert check_promotions(chosen, play(chosen, train)) > 5
    assert n_stopped > 5


def test_only_what_was_handed_on_goes_on():
    former = tuple(
        result
        for study, seed in (("a", 1), ("b", 2))
        for result in results(Uniform(study=study, space=CURVES, seed=seed, budget=90, resource=3), Learner())
    )
    handed_on = continuable(former, 3)
    chosen = strategy(prior=former, handed_on=3)
    history = play(chosen, Learner(former))
    check_promotions(chosen, history, handed_on)  # all other parents are its own
    parents = {trial.parent for trials in trials_of(history) for trial in trials}
    assert parents & {result.trial.key for result in handed_on}
    none = strategy(prior=former, handed_on=0)
    check_promotions(none, play(none, Learner(former)))


def test_a_phase_without_promotions_has_none():
    former = results(Uniform(study="a", space=CURVES, seed=1, budget=60, resource=3), Learner())
    history = play(strategy(prior=former, promote=False, budget=90), Learner(former))
    assert {(t.parent, t.resource) for trials in trials_of(history) for t in trials} == {(None, 3)}


def other_starts(curve, key):
    """Return a curve that ends in the same value, and was worse before, by whatever."""
    worse = curve[-1] + numpy_generator(0, key).random(len(curve))
    return np.append(worse[:-1], curve[-1])


@pytest.mark.parametrize("promote", [False, True])
def test_how_short_trainings_came_to_their_score_counts_only_in_a_phase_with_promotions(promote):
    first, asked = Uniform(study="a", space=CURVES, seed=1, budget=60, resource=3), []
    for seen in (lambda curve, key: curve, other_starts):
        former = results(first, Learner(seen=seen))
        asked.append(strategy(prior=former, promote=promote).ask(()))
    assert (asked[0] == asked[1]) is not promote


# The end of the budget


@pytest.mark.parametrize("finish", [60.0, 100.0])
def test_what_is_kept_for_the_end_only_finishes_what_has_begun(finish):
    chosen = strategy(finish=finish, whole=0)
    history = play(chosen, Learner())
    left, known, n = chosen.budget, {}, 0
    for generation in history:
        trials = [result.trial for result in generation.results]
        if left <= finish:
            continued = {known[key].trial.parent for key in known}
            costs = [
                27 - r.trial.resource for key, r in known.items() if key not in continued and r.trial.resource < 27
            ]
            if min(costs) <= left:
                assert all(trial.parent and trial.resource == 27 for trial in trials)
                n += len(trials)
            else:  # nothing can be finished any more
                assert all(trial.parent is None for trial in trials)
        left -= sum(result.cost for result in generation.results)
        known.update({result.trial.key: result for result in generation.results})
    assert n > 0


def test_new_configs_are_trained_to_the_top_only_when_enough_is_known_of_the_top():
    chosen = strategy(budget=700, late=6, whole=1)
    history = play(chosen, Learner())
    n_whole = 0
    for index, generation in enumerate(history):
        n_known = sum(result.trial.resource == 27 for result in results_of(history[:index]))
        whole = [result.trial for result in generation.results if result.trial.origin == "whole"]
        assert len(whole) <= (1 if n_known >= 6 else 0)
        n_whole += len(whole)
    assert n_whole >= 5
    none = results(replace(chosen, whole=0), Learner())
    assert all(result.trial.origin != "whole" for result in none)


def test_whole_trainings_leave_alone_what_is_kept_for_the_end():
    chosen = strategy(budget=700, finish=300.0, whole=8)
    history = play(chosen, Learner())
    n_whole = []
    for index, generation in enumerate(history):
        n_whole.append(sum(result.trial.origin == "whole" for result in generation.results))
        spent = sum(result.cost for result in results_of(history[:index]))
        assert not n_whole[-1] or chosen.budget - spent - 27 * n_whole[-1] >= 300
    assert any(0 < n < 8 for n in n_whole)  # as many as fit


def test_no_config_is_begun_twice_even_where_few_exist():
    space = SearchSpace({"a": Int(1, 12), "b": Categorical(tuple("uvwxyz"))})
    known = results(Uniform(study="p", space=space, seed=5, budget=6 * 27, resource=27), Trainer(space))
    history = play(strategy(space, prior=known, budget=900, finish=0.0), Trainer(space))
    begun = [trial for trials in trials_of(history) for trial in trials if trial.parent is None]
    configs = {identity(trial.config) for trial in (*begun, *[result.trial for result in known])}
    assert len(configs) == len(begun) + len(known) == 72
    assert any(trial.origin == "whole" for trial in begun)


# The same history, the same trials


def test_threads_caches_and_starting_anew_change_nothing(played):
    for n_threads in (1, 2):
        hone.search.curves._hyperparameters.cache_clear()
        with threadpool_limits(n_threads):
            assert trials_of(play(strategy(), Learner())) == trials_of(played)


def test_a_study_may_be_asked_at_any_time_in_any_order(played):
    for done in (len(played) - 1, 2, len(played) // 2, 0):
        hone.search.curves._hyperparameters.cache_clear()
        trials = [result.trial for result in played[done].results]
        assert strategy().ask(played[:done]) == strategy().ask(tuple(played[:done])) == trials
    assert strategy().ask(played) == []


def test_one_thread_does_the_sums_whatever_is_set_outside():
    """Two add up in another order, which on some machines shows in the last bit."""
    n_threads = []

    class Watched(tuple):
        def __iter__(self):
            n_threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
            return super().__iter__()

    prior = results(Uniform(study="u", space=CURVES, seed=0, budget=30, resource=3), Learner())
    with threadpool_limits(2):
        strategy(prior=Watched(prior)).ask([])
        assert set(n_threads) == {1}
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}


@pytest.mark.parametrize(("scale", "shift"), [(1024.0, 0.0), (2.0**-20, 0.0), (1.0, 8.0), (4.0, -2.0)])
def test_objectives_of_any_scale_give_the_same_trials(scale, shift):
    def coarse(curve, key):  # so that scaling and shifting are exact
        return np.round(curve * 2**12) / 2**12

    def scaled(curve, key):
        return scale * coarse(curve, key) + shift

    histories = [play(strategy(budget=250), Learner(seen=seen)) for seen in (coarse, scaled)]
    assert trials_of(histories[0]) == trials_of(histories[1])


# What it is for


def best_end(some):
    return end(ranked(some)[0].trial.config)


@pytest.mark.parametrize("seen", [lambda curve, key: curve, noisy, rounded], ids=["smooth", "noisy", "rounded"])
def test_it_finds_better_configs_than_chance_for_the_same_budget(seen):
    ours, chance = [], []
    for seed in range(5):
        ours.append(best_end(results(strategy(seed=seed), Learner(seen=seen))))
        uniform = Uniform(study="u", space=CURVES, seed=seed, budget=400, resource=27)
        chance.append(best_end(results(uniform, Learner(seen=seen))))
    assert median(ours) < median(chance) / (2 if seen is noisy else 5)


def test_what_was_narrowed_away_by_mistake_is_found_from_outside():
    def far(config):
        return (config["x"] - 0.9) ** 2 + 0.1 * (PLAIN.encode(config)[1] - 0.5) ** 2

    narrow = PLAIN.with_domains({"x": Float(0.0, 0.5)})
    best_inside = (0.9 - 0.5) ** 2
    prior = results(Uniform(study="u", space=narrow, seed=0, budget=60, resource=3), Learner(end=far))

    def best(outside):
        chosen = strategy(narrow, full_space=PLAIN, prior=prior, outside=outside, whole=0)
        return min(far(result.trial.config) for result in results(chosen, Learner(prior, end=far)))

    assert best(outside=0.125) < best_inside / 4
    assert best(outside=0.0) >= best_inside


def test_the_share_from_outside_is_outside_and_the_rest_is_not():
    narrow = MIXED.with_domains({"rate": Float(1e-3, 1e-2, log=True), "units_1": Int(16, 64, log=True)})
    prior = results(Uniform(study="u", space=narrow, seed=0, budget=60, resource=3), Trainer(MIXED))
    chosen = strategy(narrow, full_space=MIXED, prior=prior)
    new = [r.trial for r in results(chosen, Trainer(MIXED, prior)) if r.trial.parent is None]
    short = [trial for trial in new if trial.origin != "whole"]  # which may be anywhere
    assert all(narrow.contains(trial.config) is (trial.origin != "outside") for trial in short)
    assert sum(trial.origin == "outside" for trial in short) == len(short) // 8 > 0


PRICED = SearchSpace(CURVES.domains, prices={"kind": {"b": 8.0}})


class Priced(Learner):
    def __call__(self, trial):
        found = super().__call__(trial)
        return replace(found, cost=found.cost * PRICED.price(trial.config))


def same_for_all(config):
    return end({**config, "kind": "a"})


def test_where_epochs_have_prices_the_dear_ones_are_tried_less_and_the_budget_holds():
    shares = []
    for space, learner in ((CURVES, Learner), (PRICED, Priced)):
        found = results_of(play(strategy(space), learner(end=same_for_all)))
        dear = [result for result in found if result.trial.config["kind"] == "b"]
        shares.append(len(dear) / len(found))
        spent = math.fsum(result.cost for result in found)
        assert spent <= 400 + 1e-6
        assert spent > 400 - 27 * 8
    assert shares[1] < shares[0] / 2


def test_a_search_that_knows_nothing_begins_with_what_is_not_too_dear():
    space = SearchSpace(CURVES.domains, prices={"kind": {"b": 8.0}}, dearest=4.0)
    for budget, n in ((400, 8), (13, 4)):  # the default at 3 epochs each
        first = strategy(space, budget=budget).ask(())
        assert len(first) == n
        assert all(trial.config["kind"] != "b" for trial in first)
    # Without a bound, what the rest does not pay for is passed over.
    free = SearchSpace(CURVES.domains, prices={"kind": {"b": 8.0}})
    assert len(strategy(free, budget=13).ask(())) == 4


def test_what_is_dear_and_much_better_is_found_all_the_same():
    best = ranked(
        results_of(play(strategy(PRICED), Priced(end=lambda config: end(config) - 0.3 * (config["kind"] == "b") * 3)))
    )[0]
    assert best.trial.config["kind"] == "b"
