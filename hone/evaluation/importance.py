"""Which hyperparameters mattered: permutation importance of a forest fitted to the trials (Breiman 2001).

Trials of different resources are compared within their own resource only: what the forest learns is a trial's rank
among the trials that got as many epochs and rows. Importance is measured on trials that the forest has not seen, so
a hyperparameter that explains nothing gets about zero, and `explained` says how far to trust the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold

from hone.seeds import derive, numpy_generator
from hone.space import SearchSpace, identity
from hone.trial import Result

Floats = NDArray[np.float64]
FEWEST_TRIALS = 20
N_FOLDS = 5
N_TREES = 100
N_REPEATS = 5


@dataclass(frozen=True)
class Importance:
    """How much of the trials' ranking one hyperparameter explains.

    value: the loss of R² on unseen trials when the hyperparameter is shuffled, mean over folds and repeats.
    deviation: standard deviation over the folds.
    """

    name: str
    value: float
    deviation: float


@dataclass(frozen=True)
class Importances:
    """Hyperparameters by falling importance. explained: R² on unseen trials; at or below 0 nothing was learnt."""

    ranking: tuple[Importance, ...]
    explained: float
    n_trials: int


def importances(space: SearchSpace, results: Sequence[Result], seed: int) -> Importances | None:
    """Return what mattered among `results` (diverged and failed ones rank last), or None if they are too few.

    space: holds every config; a hyperparameter that it fixes is left out. Depends on the results' order.
    """
    if len(results) < FEWEST_TRIALS:
        return None
    points = _points(space, results, seed)
    varied = np.ptp(points, axis=0) > 0
    names = [name for name, varies in zip(space.names, varied, strict=True) if varies]
    distinct, configs = np.unique([identity(result.trial.config) for result in results], return_inverse=True)
    if not names or len(distinct) < FEWEST_TRIALS:
        return None
    features, target = points[:, varied], _ranks_within_resource(results)
    losses, predicted = [], np.empty(len(results))
    # A config that was trained on at several rungs is in one fold: known there, it would not be unseen here.
    folds = GroupKFold(N_FOLDS, shuffle=True, random_state=derive(seed, "folds"))
    for fold, (known, held_out) in enumerate(folds.split(features, groups=configs)):
        forest = RandomForestRegressor(
            N_TREES, min_samples_leaf=2, max_features=0.5, random_state=derive(seed, "forest", fold), n_jobs=1
        ).fit(features[known], target[known])
        predicted[held_out] = forest.predict(features[held_out])
        losses.append(_losses(forest, features[held_out], target[held_out], derive(seed, "shuffle", fold)))
    # R² within a small fold is noisy: squared errors are put over the variance of all trials instead.
    losses_of_all = np.stack(losses) / max(float(np.var(target)), 1e-12)
    means, deviations = losses_of_all.mean(axis=0), losses_of_all.std(axis=0)
    order = sorted(range(len(names)), key=lambda index: (-means[index], names[index]))
    ranking = tuple(Importance(names[index], float(means[index]), float(deviations[index])) for index in order)
    return Importances(ranking, float(r2_score(target, predicted)), len(results))


def _losses(forest: RandomForestRegressor, features: Floats, target: Floats, seed: int) -> Floats:
    """Return, for each of d features [n, d], by how much the mean squared error grows when it is shuffled."""
    generator = np.random.default_rng(seed)
    n_rows, n_features = features.shape
    shuffled = np.broadcast_to(features, (n_features, N_REPEATS, n_rows, n_features)).copy()
    for index in range(n_features):
        for repeat in range(N_REPEATS):
            shuffled[index, repeat, :, index] = generator.permutation(features[:, index])
    # All in one call: a forest's predictions cost by the call, hardly by the row.
    predicted = forest.predict(shuffled.reshape(-1, n_features)).reshape(n_features, N_REPEATS, n_rows)
    error = np.mean((predicted - target) ** 2, axis=(1, 2))
    return np.asarray(error - np.mean((forest.predict(features) - target) ** 2))


def _points(space: SearchSpace, results: Sequence[Result], seed: int) -> Floats:
    """Return each config on the unit cube, [n, d].

    What a config lacks is drawn from those that have it. A constant would say that it is lacking, and credit a child
    with what its parent did.
    """
    points = np.stack([space.encode(result.trial.config) for result in results])
    drawn: dict[str, Floats] = {}
    for index, name in enumerate(space.names):
        there = np.array([name in result.trial.config for result in results])
        if there.all() or not there.any():
            continue
        generator, owners = numpy_generator(seed, "absent", name), points[there, index]
        for row in np.flatnonzero(~there).tolist():
            config = identity(results[row].trial.config)  # the same config has the same point wherever it comes up
            if config not in drawn:
                drawn[config] = np.full(len(space.names), np.nan)
            if np.isnan(drawn[config][index]):
                drawn[config][index] = generator.choice(owners)
            points[row, index] = drawn[config][index]
    return points


def _ranks_within_resource(results: Sequence[Result]) -> Floats:
    """Return each result's rank, from 0 (best) to 1, among the results of its resource and rows; 0.5 if alone."""
    objective = np.array([result.objective for result in results])
    level = np.array([[result.trial.resource, result.trial.rows] for result in results])
    ranks = np.full(len(results), 0.5)
    for one in np.unique(level, axis=0):
        there = np.flatnonzero((level == one).all(axis=1))
        if len(there) > 1:
            ranks[there] = (rankdata(objective[there]) - 1) / (len(there) - 1)
    return ranks
