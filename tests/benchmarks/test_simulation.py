"""The simulation's bookkeeping: every second of every worker is accounted for."""

import pytest

from benchmarks.simulation import Life, played, production, simulate
from benchmarks.synthetic import LCBENCH, Synthetic
from hone.trial import State, Trial


def test_a_generation_is_worked_off_in_order_by_whoever_is_free():
    shares = played([4.0, 1.0, 1.0, 3.0], workers=2, asking=0.5)
    # One worker has the first trial; the other has the next two, and takes the last at 2.
    assert shares.seconds == 0.5 + 5.0
    assert (shares.busy, shares.waiting, shares.idle, shares.asking) == (9.0, 1.0, 0.0, 1.0)


def test_workers_without_a_trial_are_idle_and_do_not_wait():
    shares = played([2.0, 1.0], workers=4, asking=0.0)
    assert (shares.busy, shares.waiting, shares.idle, shares.seconds) == (3.0, 1.0, 4.0, 2.0)


def test_the_shares_of_a_study_add_up_to_its_workers_time():
    life = Life(Synthetic(LCBENCH), seconds_per_epoch=1.0, seed=0)
    total, asks, results = simulate(production(batch=8, seed=0), life, 40, workers=5)
    assert total.busy + total.waiting + total.idle + total.asking == pytest.approx(5 * total.seconds)
    assert len(results) == 40 == sum(ask.n_trials for ask in asks)
    assert total.busy == pytest.approx(sum(life.durations.values()))
    assert any(result.trial.parent for result in results)


def test_a_promoted_trial_takes_the_time_of_its_new_epochs():
    life = Life(Synthetic(LCBENCH), seconds_per_epoch=1.0, seed=0)
    first = Trial(study="s", number=0, generation=0, config=LCBENCH.default, resource=18)
    second = Trial(study="s", number=1, generation=1, config=LCBENCH.default, resource=54, parent=first.key)
    assert [life(first).cost, life(second).cost] == [18.0, 36.0]


def test_one_trial_in_a_hundred_fails_early_and_the_same_ones_each_time():
    trials = [Trial(study="s", number=i, generation=0, config=LCBENCH.default, resource=6) for i in range(2_000)]
    outcomes = []
    for _ in range(2):
        life = Life(Synthetic(LCBENCH), seconds_per_epoch=1.0, seed=1)
        outcomes.append([(result.state, result.cost) for result in map(life, trials)])
    assert outcomes[0] == outcomes[1]
    failed = [cost for state, cost in outcomes[0] if state is State.FAILED]
    assert 0 < len(failed) < 47  # 20 expected; six standard deviations
    assert max(failed) < 6
