"""Simple models that a tuned network should beat, fitted to the same preprocessed rows; scikit-learn's throughout."""

import warnings
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits
from torch.nn import functional

from hone import metrics
from hone.data.preprocessing import Arrays
from hone.training.train import TrainingData
from hone.trial import Config

Floats = NDArray[np.float64]
NAMES = ("dummy", "linear", "boosting")
TUNED = "boosting_tuned"
MOST_DENSE = 1000  # levels of all columns together, one-hot
MOST_LEVELS = 255  # of a column that HistGradientBoosting takes as a category
N_TRIALS = 40  # of boosting's hyperparameters, its defaults among them
PIXELS = {"dummy": 1, "linear": 16, "boosting": 8}
"""The side to which pictures are shrunk: a column a pixel, and boosting's time grows with columns times classes."""


def predict(name: str, data: TrainingData, seed: int, config: Config | None = None) -> Floats:
    """Return what the model of that name, fitted to the training rows, predicts for the validation rows.

    config: of boosting's hyperparameters, those that differ from scikit-learn's defaults (see `tune`).

    Probabilities [n, n_classes], or values [n] in the target's own units. Equal arguments give equal bits, whatever
    the number of cores: sums depend on how threads share them, so one thread does the work.
    """
    assert data.validation is not None
    classes = data.problem.classes is not None
    model = _model(name, data, seed, config or {})
    with threadpool_limits(1), warnings.catch_warnings():
        # A linear model that has not quite converged is a baseline all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        train, validation = (
            _table(arrays, data.inputs.cardinalities, one_hot=name == "linear")
            if data.inputs.picture is None
            else _pixels(arrays, PIXELS[name])
            for arrays in (data.train, data.validation)
        )
        model.fit(train, data.train.y)
        if not classes:
            return model.predict(validation).astype(np.float64) * data.target_std + data.target_mean  # type: ignore[no-any-return]
        found = model.predict_proba(validation).astype(np.float64)
    # A class without a training row has no column.
    probabilities = np.zeros((len(data.validation), len(data.problem.classes or ())))
    probabilities[:, model.classes_] = found
    return probabilities


def tune(data: TrainingData, seed: int) -> dict[str, Any]:
    """Return boosting's hyperparameters that score best on the validation rows, of `N_TRIALS` that Optuna's TPE tries.

    The first are scikit-learn's defaults, and so they are what any other must beat. Equal arguments give equal configs.
    """
    metric, y = data.problem.metric, truth(data)

    def objective(trial: optuna.Trial) -> float:
        config = {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5, log=True),
            "max_iter": trial.suggest_int("max_iter", 30, 500, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 128, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 2, 100, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 1e-6, 100, log=True),
            "max_features": trial.suggest_float("max_features", 0.3, 1.0),
        }
        found = metrics.score(metric, data.problem, y, predict("boosting", data, seed, config))
        return metrics.objective(metric, found)

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        study.enqueue_trial(
            {
                "learning_rate": 0.1,
                "max_iter": 100,
                "max_leaf_nodes": 31,
                "min_samples_leaf": 20,
                "l2_regularization": 1e-6,
                "max_features": 1.0,
            }
        )
        study.optimize(objective, n_trials=N_TRIALS)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return dict(study.best_params)


def truth(data: TrainingData) -> NDArray[np.int64] | Floats:
    """Return what is true of the validation rows: [n] class codes, or values in the target's own units."""
    assert data.validation is not None
    if data.problem.classes is not None:
        return data.validation.y.astype(np.int64)
    return data.validation.y.astype(np.float64) * data.target_std + data.target_mean


def _table(arrays: Arrays, cardinalities: tuple[int, ...], one_hot: bool) -> Floats | sparse.csr_matrix:
    """Return numbers and categories side by side: categories one-hot for a linear model, as codes for trees.

    Of many levels the table is sparse: zeros of a hundred thousand rows by ten thousand levels are eight gigabytes.
    """
    numbers, categories = arrays.x_num.astype(np.float64), arrays.x_cat.astype(np.float64)
    if one_hot and cardinalities:
        is_wide = sum(cardinalities) > MOST_DENSE
        encoder = OneHotEncoder(categories=[np.arange(count) for count in cardinalities], sparse_output=is_wide)
        categories = encoder.fit_transform(arrays.x_cat)  # the levels are given: nothing is learnt
        if is_wide:
            return sparse.csr_matrix(sparse.hstack([sparse.csr_matrix(numbers), categories]))
    return np.hstack([numbers, categories])


def _pixels(arrays: Arrays, side: int) -> Floats:
    """Return [n, channels × height × width] of pictures shrunk to at most that side, at about unit scale."""
    pixels = torch.from_numpy(arrays.x_num).float()
    height, width = (min(size, side) for size in pixels.shape[2:])
    small: Floats = functional.adaptive_avg_pool2d(pixels, (height, width)).flatten(1).double().numpy()
    return (small - 127.5) / 64


def _model(name: str, data: TrainingData, seed: int, config: Config) -> BaseEstimator:
    classes = data.problem.classes is not None
    if name == "dummy":
        # The mean has the least squared error, the median the least absolute one.
        centre = "median" if data.problem.metric == "mae" else "mean"
        return DummyClassifier() if classes else DummyRegressor(strategy=centre)
    if name == "linear":
        return LogisticRegression(max_iter=1000) if classes else Ridge()
    assert name == "boosting"
    # Columns of more levels than it can bin are ordered by their codes.
    inputs = data.inputs
    categorical = [False] * inputs.n_num + [count <= MOST_LEVELS for count in inputs.cardinalities]
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    # It would stop early by rows of each class, and a class of one row has none to give.
    has_single = classes and bool((np.bincount(data.train.y.astype(np.int64)) == 1).any())
    stopping = {"early_stopping": False} if has_single else {}
    return kind(categorical_features=categorical or None, random_state=seed, **stopping, **config)
