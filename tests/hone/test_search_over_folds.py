"""Strategies whose trials train on folds: the budget holds, the best is not left off, and timing changes nothing."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from hone.search.freeze_thaw import FreezeThaw
from hone.search.hyperband import Hyperband
from hone.search.over_folds import OverFolds, bar
from hone.search.uniform import Uniform
from hone.seeds import numpy_generator
from hone.study import generations
from hone.training.cross_validation import clearly_beaten, correction
from hone.trial import Result, State, Trial, best_epoch, mean_curve, results_of
from tests.hone.synthetic import PLAIN, distance, play

K = 5
HARD = (-0.4, 0.3, -0.2, 0.1, 0.25)  # how much harder each fold is, for all


class OnFolds:
    """Trains on five folds in no time, as hone/training/cross_validation.py does."""

    def __init__(self, lazy=False):
        self.resources, self.lazy = {}, lazy

    def __call__(self, trial):
        if self.lazy:
            time.sleep(random.random() / 200)
        start = self.resources[trial.parent] if trial.parent else 0
        curves = []
        for fold in range(K):
            noise = numpy_generator(0, trial.identity, fold).normal(0, 0.02)
            level = distance(PLAIN, trial.config) + HARD[fold] + noise
            curves.append(tuple(level + 1 / epoch for epoch in range(1, trial.resource + 1)))
            if clearly_beaten([min(curve) for curve in curves], trial.bar):
                break
        shift = correction(len(curves), trial.bar) if len(curves) < K else 0.0
        curve = tuple(value + shift for value in mean_curve(curves))
        if len(curves) == K:
            self.resources[trial.key] = trial.resource
        return Result(
            trial=trial,
            state=State.COMPLETE,
            objective=min(curve),
            curve=curve,
            best_epoch=best_epoch(curve),
            cost=(trial.resource - start) * len(curves),
            folds=tuple(curves),
        )


INNER = {
    "uniform": lambda budget: Uniform(study="u", space=PLAIN, seed=0, budget=budget, resource=6, batch=4),
    "freeze_thaw": lambda budget: FreezeThaw(
        study="f", space=PLAIN, full_space=PLAIN, prior=(), seed=0, budget=budget, ladder=(2, 6, 18), promote=True
    ),
    "hyperband": lambda budget: Hyperband(
        study="h", space=PLAIN, full_space=PLAIN, prior=(), seed=0, budget=budget, max_epochs=18, min_epochs=2
    ),
}


@pytest.mark.parametrize("inner", INNER)
def test_the_budget_holds_and_what_is_spared_buys_more_trials(inner):
    strategy = OverFolds(strategy=INNER[inner](1200 / K), n_folds=K)
    found = results_of(play(strategy, OnFolds()))
    assert 1200 - 18 * K < sum(result.cost for result in found) <= 1200
    pruned = {result.trial.key for result in found if result.pruned}
    assert pruned
    assert not any(result.trial.parent in pruned for result in found)
    # Without a bar nothing is spared: the same budget buys fewer trials.
    whole = OnFolds()
    every = results_of(play(strategy, lambda trial: replace(whole(replace(trial, bar=())), trial=trial)))
    assert len(every) < len(found)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_a_study_is_not_left_off(seed):
    inner = replace(INNER["uniform"](1800 / K), seed=seed)
    found = results_of(play(OverFolds(strategy=inner, n_folds=K), OnFolds()))
    configs = {result.trial.identity: result.trial.config for result in found}
    whole = OnFolds()
    truth = {
        key: whole(Trial(study="t", number=i, generation=0, config=config, resource=6)).objective
        for i, (key, config) in enumerate(configs.items())
    }
    best = min(found, key=lambda result: truth[result.trial.identity])
    assert not best.pruned
    assert best.objective == min(result.objective for result in found)
    assert sum(result.pruned for result in found) > len(found) / 3
    for result in found:
        if result.pruned:
            assert result.objective > sum(result.trial.bar) / K  # never better than what it was compared with


def test_any_number_of_workers_and_any_cut_gives_the_same_trials():
    strategy = OverFolds(strategy=INNER["freeze_thaw"](600 / K), n_folds=K)
    found = []
    for workers in (1, 4):
        with ThreadPoolExecutor(workers) as pool:
            found.append(results_of(list(generations(strategy, OnFolds(lazy=True), pool))))
    assert found[0] == found[1]
    with ThreadPoolExecutor(1) as pool:
        trainer = OnFolds()
        trainer.resources = {r.trial.key: r.trial.resource for r in found[0]}
        resumed = results_of(list(generations(strategy, trainer, pool, finished=found[0][:13])))
    assert resumed == found[0]


def result(number, config, resource, curves, rows=1.0, bar=()):
    curve = mean_curve(curves)
    trial = Trial(study="s", number=number, generation=0, config=config, resource=resource, rows=rows, bar=bar)
    return Result(
        trial=trial,
        state=State.COMPLETE,
        objective=min(curve),
        curve=curve,
        best_epoch=best_epoch(curve),
        folds=curves,
    )


def test_the_bar_is_the_best_configs_at_its_best_epoch_among_those_asked_for():
    long = result(0, {"x": 0.1}, 4, ((0.5, 0.4, 0.2, 0.3), (0.9, 0.7, 0.5)))
    short = result(1, {"x": 0.2}, 2, ((0.6, 0.3), (0.7, 0.6)))
    half = result(2, {"x": 0.3}, 4, ((0.0, 0.0), (0.0, 0.0)), rows=0.5)
    left_off = result(3, {"x": 0.4}, 4, ((0.0, 0.0),), bar=(1.0, 1.0))
    known = [half, left_off, long, short]
    assert bar(known, 4, 1.0, 2) == (0.2, 0.5)  # the second fold had stopped there
    assert bar(known, 2, 1.0, 2) == (0.3, 0.6)
    assert bar([long], 2, 1.0, 2) == (0.4, 0.7)
    assert bar(known, 5, 1.0, 2) == ()
    assert bar([half], 4, 1.0, 2) == ()


def test_what_was_left_off_cannot_go_on():
    left_off = result(0, {"x": 0.4, "y": 0.1}, 2, ((0.0, 0.0),), bar=(1.0, 1.0))
    whole = result(1, {"x": 0.5, "y": 0.1}, 2, ((0.0, 0.0), (0.0, 0.0)), bar=(1.0, 1.0))
    assert INNER["freeze_thaw"](99)._partial([left_off, whole]) == [whole]
    asked = replace(INNER["hyperband"](99), prior=(left_off, whole)).ask([])
    assert [trial.parent for trial in asked] == [whole.trial.key]


def test_a_bar_is_set_by_former_phases_and_generations_and_never_by_the_same_generation():
    prior = (result(0, {"x": 0.1, "y": 0.1}, 6, ((0.5,), (0.6,), (0.5,), (0.6,), (0.5,))),)
    strategy = OverFolds(strategy=INNER["uniform"](240), n_folds=K, prior=prior)
    first = strategy.ask([])
    assert {trial.bar for trial in first} == {(0.5, 0.6, 0.5, 0.6, 0.5)}
    assert {trial.bar for trial in replace(strategy, prior=()).ask([])} == {()}
    history = play(replace(strategy, prior=()), OnFolds())
    for generation in history[1:]:
        before = results_of(history[: generation.index])
        assert {r.trial.bar for r in generation.results} == {bar(before, 6, 1.0, K)}
