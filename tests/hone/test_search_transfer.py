"""What earlier studies are worth: they help where they are right, and cost little where they are wrong."""

from dataclasses import replace
from statistics import median

import numpy as np
import pytest

import hone.search.transfer
from hone.search.curves import Resources, model, observed
from hone.search.freeze_thaw import FreezeThaw, levels
from hone.search.gaussian_process import GaussianProcess, fit
from hone.search.geometry import Geometry
from hone.search.proposals import Proposal
from hone.search.registry import SAMPLERS
from hone.search.sobol import Sobol
from hone.search.transfer import FEW, Study, Transfer, adapted, correlation, weight
from hone.space import Categorical, Condition, Fixed, Float, Int, SearchSpace, identity
from hone.trial import State, ranked
from tests.hone.synthetic import MIXED, PLAIN, Trainer, distance, play, results
from tests.hone.test_search_freeze_thaw import CURVES, LADDER, Learner, end, noisy, strategy, trials_of

SEEDS = range(7)
RESOURCES = Resources(27, levels(LADDER))


def beside(config):
    """As `end`, with the best a little beside it, and in other units."""
    moved = {f"x{i}": config[f"x{i}"] - shift for i, shift in enumerate((0.06, -0.05, 0.1))}
    return 100 * end({**config, **moved}) + 7


def opposite(config):
    return -end(config)


def earlier(objective, budget=500):
    return Study(objective.__name__, results(strategy(study="old", seed=9, budget=budget), Learner(end=objective)))


@pytest.fixture(scope="module")
def studies():
    return {objective.__name__: earlier(objective) for objective in (beside, opposite)}


def slightly_noisy(curve, key):
    return curve + 0.2 * (noisy(curve, key) - curve)


def chain(seed, transfer=None, starts=(), last=200):
    """Return what a coarse phase and two of the curves' process try, with what an earlier study says."""
    learner = Learner(seen=slightly_noisy)
    proposals = tuple(Proposal(config, "warm_start") for config in starts)
    coarse = Sobol(study="r", space=CURVES, seed=seed, budget=24, resource=3, starts=proposals)
    done = list(results(coarse, learner))
    for study, promote, budget in (("b", False, 72), ("h", True, last)):
        search = strategy(study=study, seed=seed, prior=tuple(done), promote=promote, budget=budget, transfer=transfer)
        done += results(search, learner)
    return done


def best(done, budget):
    """Return the best of the configs that a budget has paid for, by what they truly come to."""
    costs = np.cumsum([result.cost for result in done])
    return min(end(result.trial.config) for result, cost in zip(done, costs, strict=True) if cost <= budget)


def warm(study, seed, last=200):
    transfer = Transfer(CURVES, (study,))
    return chain(seed, transfer, transfer.starts(4), last)


# What it does to a search


@pytest.fixture(scope="module")
def plain():
    return [chain(seed) for seed in SEEDS]


def test_a_helpful_study_finds_a_better_config_sooner(studies, plain):
    # Its best comes to 0.011 here, and 8 blind trials come to 0.1: a factor of 3 is far from both.
    helped = [warm(studies["beside"], seed, last=54) for seed in SEEDS]
    assert median(best(done, 24) for done in helped) < median(best(done, 24) for done in plain) / 3
    assert median(best(done, 48) for done in helped) < median(best(done, 48) for done in plain) / 2


def test_a_study_whose_best_lies_beside_does_not_hold_the_search_there(studies):
    # Believed to the end, it would: the best would stay at the 0.011 that it started from.
    assert median(best(warm(studies["beside"], seed), 296) for seed in SEEDS) < 0.006


def test_a_misleading_study_costs_little(studies, plain):
    # Only the trials it started with are lost, 3 of 8. Believed, it would cost 0.02 at 60 epochs: twice what is allowed
    misled = [warm(studies["opposite"], seed, last=54) for seed in SEEDS]
    for budget in (60, 150):
        assert median(best(done, budget) for done in misled) < median(best(done, budget) for done in plain) + 0.01


def test_a_study_without_weight_changes_nothing_but_the_configs_started_with(studies, monkeypatch):
    starts = Transfer(CURVES, (studies["opposite"],)).starts(4)  # after good ones there would be little to learn
    same = Transfer(CURVES, (earlier(end),))
    plain = chain(3, None, starts, 54)
    assert chain(3, same, starts, 54) != plain
    assert chain(3, Transfer(CURVES, (studies["opposite"],)), starts, 54) == plain
    monkeypatch.setattr(hone.search.transfer, "weight", lambda tau, own, n: 0.0)
    assert chain(3, same, starts, 54) == plain


@pytest.mark.parametrize("space", [PLAIN, MIXED])
def test_no_studies_are_as_if_there_was_no_such_thing(space):
    def search(**options):
        former = results(Sobol(study="r", space=space, seed=0, budget=24, resource=3), Trainer(space))
        chosen = strategy(space=space, full_space=space, prior=former, budget=150, **options)
        return results(chosen, Trainer(space, former))

    assert Transfer(space, ()).starts(4) == []
    assert search(transfer=Transfer(space, ())) == search()


def test_a_search_resumes_to_the_bit_with_studies_read_anew(studies):
    def search():
        again = Study("again", tuple(replace(result) for result in studies["beside"].results))
        return strategy(budget=300, transfer=Transfer(CURVES, (again,)))

    whole = play(search(), Learner(seen=slightly_noisy))
    assert trials_of(play(search(), Learner(seen=slightly_noisy))) == trials_of(whole)
    for index in (0, 2, len(whole) // 2, len(whole) - 1):
        assert search().ask(whole[:index]) == trials_of(whole)[index]


# What it starts with


def test_it_starts_with_the_best_of_each_study_in_turn():
    studies = [
        Study(name, results(Sobol(study=name, space=PLAIN, seed=seed, budget=60, resource=3), Trainer(PLAIN)))
        for name, seed in (("a", 1), ("b", 2))
    ]
    best = [
        [identity(r.trial.config) for r in ranked(study.results) if r.trial.config != PLAIN.default][:FEW]
        for study in studies
    ]
    in_turn = [config for pair in zip(*best, strict=True) for config in pair]
    starts = Transfer(PLAIN, tuple(studies)).starts(99)
    assert [identity(config) for config in starts] == in_turn
    assert Transfer(PLAIN, tuple(studies)).starts(3) == starts[:3]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_starts_come_right_after_the_default_and_are_not_tried_again(sampler):
    chosen = SAMPLERS[sampler](study="s", space=MIXED, seed=0, budget=60, resource=3, batch=4)
    without = [result.trial.config for result in results(chosen, Trainer(MIXED))]
    starts = tuple(Proposal(config, "warm_start") for config in (without[5], MIXED.decode(np.full(8, 0.9)), without[2]))
    trials = [result.trial for result in results(replace(chosen, starts=starts), Trainer(MIXED))]
    assert [trial.config for trial in trials[:4]] == [MIXED.default, *(start.config for start in starts)]
    assert [trial.origin for trial in trials[:4]] == ["default", *["warm_start"] * 3]
    assert len({trial.identity for trial in trials}) == len(trials) == 20
    rest = [config for config in without[1:] if config not in (without[5], without[2])]
    assert [trial.config for trial in trials[4:]] == rest[:16]


# What a config of another study is here

NETWORK = SearchSpace(
    {
        "rate": Float(1e-4, 0.1, log=True),
        "n_layers": Int(1, 3),
        "units": Int(16, 256, log=True),
        "optimizer": Categorical(("adamw", "sgd")),
        "momentum": Float(0.5, 0.99),
        "epsilon": Fixed(1e-8),
    },
    {"momentum": Condition("optimizer", allowed=("sgd",))},
    {"rate": 1e-3, "n_layers": 2, "units": 64, "momentum": 0.9},
)


@pytest.mark.parametrize(
    ("config", "here"),
    [
        ({"rate": 0.01, "n_layers": 3}, {"rate": 0.01, "n_layers": 3, "units": 64, "optimizer": "adamw"}),
        ({"rate": 0.01, "blocks": 7}, {"rate": 0.01, "n_layers": 2, "units": 64, "optimizer": "adamw"}),
        ({"optimizer": "sgd"}, {"rate": 1e-3, "n_layers": 2, "units": 64, "optimizer": "sgd", "momentum": 0.9}),
        ({"rate": 0.5}, None),  # beyond today's bound
        ({"rate": 0.01, "optimizer": "lion"}, None),
        ({"rate": 0.01, "epsilon": 1e-6}, None),  # fixed at something else
        ({"epsilon": 1e-8}, None),  # nothing that can vary
        ({"momentum": 0.8}, None),  # inactive here
        ({"blocks": 7}, None),
    ],
)
def test_a_config_of_another_study_is_completed_or_dropped(config, here):
    expected = None if here is None else {**here, "epsilon": 1e-8}
    assert adapted(NETWORK, config) == expected


def test_a_study_is_what_of_it_has_a_place_here():
    done = results(Sobol(study="a", space=PLAIN, seed=1, budget=60, resource=3), Trainer(PLAIN))
    half = PLAIN.with_domains({"x": Float(0, 0.5)})
    within = Study("a", done).within(half)
    assert [r.trial.number for r in within] == [r.trial.number for r in done if r.trial.config["x"] <= 0.5]
    assert 0 < len(within) < len(done)


def test_a_study_of_another_space_altogether_is_worth_nothing(studies):
    transfer = Transfer(PLAIN, (studies["beside"],))
    assert transfer.starts(4) == []
    assert transfer._processes == ()


def test_a_study_with_too_few_results_is_only_started_from():
    few = Study("few", results(Sobol(study="a", space=CURVES, seed=1, budget=9, resource=3), Learner()))
    transfer = Transfer(CURVES, (few,))
    assert len(transfer.starts(4)) == 2  # the third is the default
    assert transfer._processes == ()


# Weights


def test_a_weight_is_what_is_ranked_better_less_what_chance_explains():
    # sigma^2 of 8 is 2 * 21 / (9 * 8 * 7) = 1 / 12.
    assert weight(0.5, 0.0, 8) == pytest.approx(0.5 * (1 - 4 / 12))
    assert weight(0.5, -0.4, 8) == weight(0.5, 0.0, 8)
    assert weight(0.5, 0.3, 8) == pytest.approx(0.2 * (1 - 4 / 12))
    assert weight(0.5, 0.5, 8) == weight(0.2, 0.0, 8) == weight(-0.9, -1.0, 8) == weight(1.0, 0.0, 1) == 0.0
    assert weight(0.5, 0.3, 1000) == pytest.approx(0.2, rel=0.01)


def test_rankings_are_compared_at_the_same_time_only():
    done = results(Sobol(study="s", space=PLAIN, seed=1, budget=40, resource=2), Trainer(PLAIN))
    data = observed(Geometry(PLAIN, PLAIN), done, RESOURCES)
    truth = np.array([distance(PLAIN, result.trial.config) for result in done])
    assert correlation(truth, data) == 1.0
    assert correlation(-truth, data) == -1.0
    assert correlation(np.zeros(len(truth)), data) == 0.0
    late = replace(data, t=data.t + np.arange(len(truth)))
    assert correlation(truth, late) == 0.0
    halves = replace(data, t=np.arange(len(truth)) % 2.0, y=data.y + 100 * (np.arange(len(truth)) % 2))
    assert correlation(truth, halves) == 1.0


def test_what_is_left_out_is_predicted_as_by_a_process_that_was_never_told():
    done = results(strategy(budget=150), Learner())
    data = observed(Geometry(CURVES, CURVES), done, RESOURCES)
    theta = fit(data)
    predicted = GaussianProcess(data, theta).left_out()
    _, config = np.unique(data.x, axis=0, return_inverse=True)
    for i in range(0, config.max(), 5):
        out = config == i
        rest = replace(data, x=data.x[~out], t=data.t[~out], y=data.y[~out])
        process = GaussianProcess(rest, theta)
        k = process._kernel(process._scaled(data.x[out]), process._z, data.t[out][:, None] - rest.t)
        np.testing.assert_allclose(predicted[out], k @ process._alpha, atol=1e-6)


def test_a_prior_mean_is_added_to_what_a_process_makes_of_the_rest_and_data_overrule_it():
    done = results(Sobol(study="s", space=PLAIN, seed=1, budget=270, resource=27), Trainer(PLAIN))
    geometry = Geometry(PLAIN, PLAIN)

    def slope(x):
        return 50 * x[:, 0] - 25

    class Sloping:
        def mean(self, data, theta):
            return slope

    plain, sloping = model(geometry, done, RESOURCES), model(geometry, done, RESOURCES, Sloping())
    x = geometry.features(geometry.points([result.trial for result in done]))
    np.testing.assert_allclose(sloping.at(x).mean, plain.at(x).mean, atol=0.3)  # noise keeps them from being equal
    np.testing.assert_array_equal(sloping.at(x).variance, plain.at(x).variance)
    anywhere = np.random.default_rng(0).random((20, 2))
    data = observed(geometry, done, RESOURCES)
    rest = GaussianProcess(replace(data, y=data.y - slope(data.x)), plain._theta)
    np.testing.assert_allclose(sloping.at(anywhere).mean, rest.at(anywhere).mean + slope(anywhere), atol=1e-9)
    assert np.abs(sloping.at(anywhere).mean - plain.at(anywhere).mean).max() > 0.05
    for process in (plain, sloping):
        np.testing.assert_allclose(process.mean(x), process.at(x).mean, atol=1e-9)


def test_what_failed_in_an_earlier_study_is_bad_and_not_started_from(studies):
    done = [
        replace(result, state=State.FAILED, objective=float("inf"), curve=())
        if result.trial.config["kind"] == "a"
        else result
        for result in studies["beside"].results
    ]
    transfer = Transfer(CURVES, (Study("failing", tuple(done)),))
    assert all(config["kind"] != "a" for config in transfer.starts(4))
    (process,) = transfer._processes
    u = np.tile(CURVES.encode({**CURVES.default, "kind": "b"}), (2, 1))
    u[0, list(CURVES.domains).index("kind")] = 0.1
    expected = process.mean(Geometry(CURVES, CURVES).features(u))
    assert expected[0] > expected[1]


def test_freeze_thaw_is_told_nothing_by_default():
    assert FreezeThaw.transfer is None
