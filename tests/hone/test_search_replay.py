"""Replay and plateau: the best mean wins, not the luckiest run, and a study that gains nothing more ends."""

import math
from dataclasses import dataclass, replace

import pytest

from hone.search.hyperband import Hyperband
from hone.search.plateau import StopOnPlateau, n_without_gain
from hone.search.replay import Replay, finalists, winner
from hone.search.strategy import Strategy
from hone.search.uniform import Uniform
from hone.trial import Generation, Result, State, Trial, results_of
from tests.hone.synthetic import MIXED, PLAIN, Trainer, play, results

STEADY, LUCKY, BROKEN = {"x": 0.1}, {"x": 0.2}, {"x": 0.3}


def run(config, objective, replicate=1, fold=None, curve=None, state=State.COMPLETE):
    trial = Trial(study="replay", number=0, generation=0, config=config, resource=9, replicate=replicate, fold=fold)
    curve = (objective,) if curve is None else tuple(curve)
    return Result(trial=trial, state=state, objective=objective, curve=curve, best_epoch=curve.index(min(curve)) + 1)


@pytest.mark.parametrize(("folds", "expected"), [(0, [None]), (3, [0, 1, 2])])
def test_every_config_is_trained_with_every_seed_on_every_fold_in_one_generation(folds, expected):
    strategy = Replay(study="replay", configs=(STEADY, LUCKY), resource=9, seeds=2, folds=folds)
    trials = strategy.ask([])
    plan = [(config, replicate, fold) for config in (STEADY, LUCKY) for replicate in (1, 2) for fold in expected]
    assert [(t.config, t.replicate, t.fold) for t in trials] == plan
    assert {(t.resource, t.origin, t.parent, t.rows) for t in trials} == {(9, "replay", None, 1.0)}
    history = [Generation(0, tuple(run(t.config, 1.0) for t in trials))]
    assert strategy.ask(history) == []


def test_a_config_that_is_listed_twice_is_trained_once():
    trials = Replay(study="replay", configs=(STEADY, dict(STEADY), LUCKY), resource=9, seeds=1).ask([])
    assert [t.config for t in trials] == [STEADY, LUCKY]


def test_the_best_mean_wins_and_not_the_luckiest_run():
    runs = [run(STEADY, 0.5, 1), run(STEADY, 0.5, 2), run(LUCKY, 0.1, 1), run(LUCKY, 1.3, 2)]
    first, second = winner([LUCKY, STEADY], runs)
    assert first.config == STEADY
    assert (first.mean, first.std, first.n, first.n_failed) == (0.5, 0.0, 2, 0)
    assert second.mean == pytest.approx(0.7)
    assert second.std == pytest.approx(1.2 / math.sqrt(2))  # with n - 1


def test_a_config_with_a_failure_ranks_behind_all_complete_ones():
    runs = [run(STEADY, 5.0), run(BROKEN, 0.1), run(BROKEN, math.inf, 2, state=State.DIVERGED)]
    first, second = winner([BROKEN, STEADY], runs)
    assert first.config == STEADY
    assert (second.n, second.n_failed, second.mean) == (1, 1, 0.1)


def test_a_config_without_any_success_is_last_and_infinite():
    runs = [run(BROKEN, math.inf, state=State.FAILED), run(STEADY, 1.0)]
    last = winner([BROKEN, STEADY], runs)[-1]
    assert (last.config, last.mean, last.n, last.epochs) == (BROKEN, math.inf, 0, 0)
    assert winner([BROKEN, LUCKY], [])[0].config == BROKEN  # nothing ran: nothing crashes


def test_ties_go_to_the_config_given_first():
    runs = [run(LUCKY, 1.0), run(STEADY, 1.0)]
    assert [score.config for score in winner([STEADY, LUCKY], runs)] == [STEADY, LUCKY]


def test_replays_are_scored_at_the_epoch_where_their_mean_curve_is_best():
    curves = [(0.9, 0.5, 0.4, 0.6), (0.9, 0.6, 0.8, 0.7, 0.6)]  # the first stopped early: 0.6 stands for its fifth
    (score,) = winner([STEADY], [run(STEADY, min(c), i, curve=c) for i, c in enumerate(curves)])
    assert (score.epochs, score.mean) == (2, 0.55)
    assert score.std == pytest.approx(0.1 / math.sqrt(2))


def test_one_replay_that_stops_early_does_not_cut_the_others_short():
    curves = [(0.5, 0.6), (0.9, 0.8, 0.3), (0.9, 0.8, 0.3)]
    (score,) = winner([STEADY], [run(STEADY, min(c), i, curve=c) for i, c in enumerate(curves)])
    assert (score.epochs, score.mean) == (3, pytest.approx(0.4))


def test_a_jumpy_config_does_not_win_by_its_luckiest_epochs():
    jumpy = [(0.1, 0.9, 0.9), (0.9, 0.1, 0.9), (0.9, 0.9, 0.1)]
    steady = [(0.5, 0.4, 0.4)] * 3
    runs = [run(LUCKY, min(c), i, curve=c) for i, c in enumerate(jumpy)]
    runs += [run(STEADY, min(c), i, curve=c) for i, c in enumerate(steady)]
    assert winner([LUCKY, STEADY], runs)[0].config == STEADY


def test_of_epochs_that_tie_the_middle_one_is_carried_over():
    curve = (0.5, 0.1, 0.1, 0.1, 0.3)
    assert winner([STEADY], [run(STEADY, 0.1, i, curve=curve) for i in range(3)])[0].epochs == 3


def test_where_rows_apart_chose_the_epochs_the_middle_one_is_carried_over_and_scored():
    curve = (0.9, 0.5, 0.1, 0.6, 0.7)
    runs = [replace(run(STEADY, 0.5, i, curve=curve), best_epoch=best) for i, best in enumerate((2, 5, 4))]
    (score,) = winner([STEADY], runs, apart=True)
    assert (score.epochs, score.mean) == (4, pytest.approx(0.6))


def test_finalists_are_the_best_distinct_configs():
    done = results(
        Hyperband(study="h", space=MIXED, full_space=MIXED, prior=(), seed=0, budget=300, max_epochs=27, min_epochs=3),
        Trainer(MIXED),
    )
    best = finalists(done, 3)
    assert len({str(config) for config in best}) == 3
    top = min((r for r in done if r.trial.resource == 27), key=lambda r: r.objective)
    assert top.trial.config in best


# Plateau


@dataclass(frozen=True)
class Endless(Strategy):
    def ask(self, history):
        number = len(history)
        return [Trial(study="e", number=number, generation=number, config={"x": 0.0}, resource=2)]


def history_of(*generations):
    def told(objective, resource, state):
        result = run(STEADY, objective, state=state)
        return replace(result, trial=replace(result.trial, resource=resource))

    return [Generation(i, tuple(told(*trial) for trial in trials)) for i, trials in enumerate(generations)]


def one(objective, resource=2, state=State.COMPLETE):
    return [(objective, resource, state)]


@pytest.mark.parametrize(
    ("generations", "n"),
    [
        ([], 0),
        ([one(1.0)], 0),
        ([one(1.0), one(0.9), one(0.8)], 0),
        ([one(1.0), one(1.0), one(1.5)], 2),
        ([one(1.0), one(1.5), one(0.9), one(0.95)], 1),
        ([one(1.0), one(math.inf, state=State.FAILED)], 1),
        ([one(1.0, 6), one(2.0, 2), one(2.0, 2), one(1.5, 6)], 1),  # lower rungs do not count
        ([one(1.0, 6), one(0.5, 2)], 0),
    ],
)
def test_generations_without_a_gain_are_counted(generations, n):
    assert n_without_gain(history_of(*generations)) == n


def test_a_study_ends_when_its_patience_does():
    stalled = history_of(one(1.0), one(1.2), one(1.1))
    assert StopOnPlateau(Endless(), 2).ask(stalled) == []
    assert StopOnPlateau(Endless(), 3).ask(stalled) == Endless().ask(stalled)


def test_a_patience_of_0_never_stops_and_asks_as_if_it_were_not_there():
    plain = Uniform(study="u", space=PLAIN, seed=0, budget=60, resource=2)
    assert play(StopOnPlateau(plain, 0), Trainer(PLAIN)) == play(plain, Trainer(PLAIN))
    assert len(play(StopOnPlateau(plain, 1), Trainer(PLAIN))) < len(play(plain, Trainer(PLAIN)))


def test_the_same_winner_whatever_the_order_of_the_results():
    done = results(Uniform(study="u", space=PLAIN, seed=0, budget=40, resource=2), Trainer(PLAIN))
    configs = [r.trial.config for r in done[:5]]
    assert winner(configs, done) == winner(configs, tuple(reversed(results_of([Generation(0, done)]))))
