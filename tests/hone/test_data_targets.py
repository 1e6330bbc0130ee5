"""A transform of skewed targets: scikit-learn's, there and back, and nothing beyond what was seen in training."""

import json

import numpy as np
import pytest
from sklearn.preprocessing import PowerTransformer

from hone.data import targets
from hone.data.targets import YeoJohnson

ASKED = {"target_transform": "yeo_johnson"}


def fitted(y: np.ndarray) -> YeoJohnson:
    found = targets.transform(ASKED, y)
    assert found is not None
    return found


@pytest.mark.parametrize("sign", [1, -1])
def test_a_transform_is_scikit_learns_and_comes_back(sign: int) -> None:
    y = sign * np.exp(0.4 * np.random.default_rng(0).normal(size=500))
    y = (y - y.mean()) / y.std()
    found = fitted(y.astype(np.float32))
    about = (y - np.median(y)) / np.median(np.abs(y - np.median(y)))
    theirs = PowerTransformer()
    wanted = theirs.fit_transform(about[:, None])[:, 0]
    assert 0 <= theirs.lambdas_[0] <= 2
    np.testing.assert_allclose(found.forward(y), wanted, atol=2e-3)
    np.testing.assert_allclose(found.inverse(found.forward(y).astype(np.float64)), y, atol=1e-5)
    assert YeoJohnson.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_no_prediction_lies_beyond_the_training_targets_and_a_diverged_one_is_seen() -> None:
    y = np.exp(2 * np.random.default_rng(1).normal(size=200))
    found = fitted(y).inverse(np.array([-1e9, -5.0, 0.0, 5.0, 1e9, np.nan]))
    assert found[0] == pytest.approx(y.min())
    assert found[4] == pytest.approx(y.max())
    assert (np.diff(found[:5]) >= 0).all()
    assert np.isnan(found[5])


def test_no_tail_is_drawn_in_further_than_by_a_logarithm() -> None:
    y = np.exp(2 * np.random.default_rng(2).normal(size=300))
    assert (fitted(y).power, fitted(-y).power) == (0.0, 2.0)
    near, far = np.diff(fitted(y).inverse(np.array([0.0, 0.01, 3.0, 3.01])))[[0, 2]]
    assert 0 < near < far < 1000 * near


def test_it_is_fitted_only_where_it_is_asked_for_and_possible() -> None:
    y = np.arange(5.0)
    assert targets.transform({}, y) is None
    assert targets.transform({"target_transform": "none"}, y) is None
    assert targets.transform(ASKED, np.ones(5)) is None


def test_a_target_is_skewed_if_one_tail_is_long() -> None:
    normal = np.random.default_rng(0).normal(size=500)
    assert not targets.skewed(normal)
    assert targets.skewed(np.exp(normal))
    assert targets.skewed(-np.exp(normal))
    assert not targets.skewed(np.ones(9))
