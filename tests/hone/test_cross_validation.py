"""A trial over folds: the mean of its folds' curves, continued to the bit, and left off only when beaten."""

from functools import partial
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest
import torch

from hone.seeds import derive
from hone.training.cross_validation import clearly_beaten, correction, parts, train_folds
from hone.training.train import Outcome, train
from hone.trial import State
from tests.hone.test_training import config_of, passed_on, settings, table

DATA = [table("regression", seed=seed) for seed in range(3)]
CONFIG = config_of(optimizer="sgd", momentum=0.9, learning_rate=0.08, schedule="constant")


def train_fold(resource, fold, before):
    given = settings(DATA[fold], patience=3, epochs=30)
    return train(CONFIG, "mlp", DATA[fold], given, resource=resource, seed=derive(0, fold), checkpoint=before)


def test_the_curve_is_the_mean_of_the_folds_and_one_that_stopped_stays_where_it_was():
    found, checkpoint = train_folds(partial(train_fold, 30), 3)
    alone = [train_fold(30, fold, None)[0] for fold in range(3)]
    assert len({len(outcome.curve) for outcome in alone}) > 1  # they stop at epochs of their own
    assert found.folds == tuple(outcome.curve for outcome in alone)
    assert len(found.outcome.curve) == max(len(curve) for curve in found.folds)
    for epoch, value in enumerate(found.outcome.curve):
        assert value == fmean(curve[min(epoch, len(curve) - 1)] for curve in found.folds)
    assert found.outcome.objective == min(found.outcome.curve) == found.outcome.curve[found.outcome.best_epoch - 1]
    assert found.outcome.epochs_run == sum(outcome.epochs_run for outcome in alone)
    assert found.outcome.metrics["rmse"] == pytest.approx(fmean(outcome.metrics["rmse"] for outcome in alone))
    assert checkpoint is not None


def test_rows_apart_choose_the_middle_one_of_the_folds_epochs():
    def told(fold, before):
        best = (2, 9, 4)[fold]
        curve = tuple(1.0 + 0.1 * abs(epoch - 6) for epoch in range(1, 11))
        return Outcome(state=State.COMPLETE, curve=curve, best_epoch=best, epochs_run=10), parts_of_nothing

    parts_of_nothing = train_fold(1, 0, None)[1]
    found, _ = train_folds(told, 3, apart=True)
    assert found.outcome.best_epoch == 4
    assert found.outcome.objective == pytest.approx(1.2)


@pytest.mark.parametrize("cut", [1, 4, 9])
def test_folds_in_two_parts_equal_folds_in_one_to_the_bit(cut):
    straight, whole = train_folds(partial(train_fold, 30), 3)
    first, part = train_folds(partial(train_fold, cut), 3)
    again, resumed = train_folds(partial(train_fold, 30), 3, parent=passed_on(part))
    assert again.folds == straight.folds
    assert again.outcome.curve == straight.outcome.curve
    assert again.outcome.metrics == straight.outcome.metrics
    assert first.outcome.epochs_run + again.outcome.epochs_run == straight.outcome.epochs_run
    assert resumed.info == whole.info
    assert set(resumed.tensors) == set(whole.tensors)
    assert all(torch.equal(tensor, whole.tensors[name]) for name, tensor in resumed.tensors.items())


def test_a_checkpoint_gives_each_fold_its_own_back():
    alone = [train_fold(2, fold, None)[1] for fold in range(3)]
    _, together = train_folds(partial(train_fold, 2), 3)
    for own, part in zip(alone, parts(passed_on(together), 3), strict=True):
        assert part.info == own.info
        assert all(torch.equal(tensor, own.tensors[name]) for name, tensor in part.tensors.items())


def test_a_fold_that_diverges_ends_the_trial():
    def told(fold, before):
        if fold == 1:
            return Outcome(state=State.DIVERGED, epochs_run=2, error="diverged: too far"), None
        return train_fold(3, fold, before)

    found, checkpoint = train_folds(told, 3)
    assert (found.outcome.state, found.outcome.error) == (State.DIVERGED, "fold 1: diverged: too far")
    assert found.outcome.epochs_run == 5
    assert checkpoint is None


def test_a_trial_that_is_clearly_beaten_is_spared_the_other_folds_and_never_looks_better_than_its_rival():
    curves = [train_fold(6, fold, None)[0].curve for fold in range(3)]
    easy_first = tuple(min(curve) - 8.0 + 0.1 * fold for fold, curve in enumerate(curves))
    found, checkpoint = train_folds(partial(train_fold, 6), 3, bar=easy_first)
    assert len(found.folds) < 3
    assert checkpoint is None
    assert found.outcome.epochs_run == 6 * len(found.folds)
    assert found.outcome.objective > fmean(easy_first)
    mean = np.mean(curves[: len(found.folds)], axis=0)
    assert found.outcome.curve == pytest.approx(mean + correction(len(found.folds), easy_first))


def test_the_mean_of_some_folds_is_corrected_by_how_hard_they_were_for_the_rival():
    assert correction(1, (0.1, 0.2, 0.6)) == pytest.approx(0.2)
    assert correction(2, (0.1, 0.2, 0.6)) == pytest.approx(0.15)
    assert correction(3, (0.1, 0.2, 0.6)) == correction(2, ()) == 0.0


def test_what_may_still_win_is_trained_on_all_folds():
    bar = (0.30, 0.35, 0.28, 0.33, 0.31)  # varies by 0.027
    assert not clearly_beaten([], bar)
    assert not clearly_beaten([0.33], bar)
    assert not clearly_beaten([0.20, 0.25, 0.27], bar)  # better
    assert clearly_beaten([0.40], bar)
    assert clearly_beaten([0.34, 0.39, 0.32], bar)  # a little worse, three times
    assert not clearly_beaten([0.34, 0.31, 0.32], bar)  # a little worse, not always
    assert not clearly_beaten([9.0] * 5, bar)  # nothing is left to spare
    assert not clearly_beaten([0.3], ())
    assert not clearly_beaten([0.4], (0.3, 0.3, 0.3))  # nobody knows how much folds vary


def test_more_folds_need_a_smaller_difference():
    bar = (0.30, 0.35, 0.28, 0.33, 0.31)

    def least(n):
        return next(d for d in np.arange(0, 1, 1e-4) if clearly_beaten([value + d for value in bar[:n]], bar))

    assert all(before > after for before, after in pairwise(map(least, range(1, 5))))


def test_a_config_as_good_as_its_rival_is_seldom_left_off():
    """Folds are hard or easy for both; 5 % at each of four looks would be 18.5 %, were they independent."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        hard = random.normal(0, 1.0, 5)
        bar, own = hard + random.normal(0, 0.7, 5), hard + random.normal(0, 0.7, 5)
        beaten = any(clearly_beaten(list(own[:m]), tuple(bar)) for m in range(1, 5))
        wrong += beaten and own.mean() < bar.mean()
    assert wrong / 400 < 0.05
