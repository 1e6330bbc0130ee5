"""What learning curves say about whole trainings: observations for the Gaussian process, and its beliefs about a pool.

Notation
--------
T        the full resource: epochs of a whole training
level    an epoch at which curves are looked at; a config gives one observation for each level it has passed, and one
         for its last epoch
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hone.search.acquisition import log_expected_improvement
from hone.search.gaussian_process import Array, GaussianProcess, Mean, Observations, Posterior, fit, joined
from hone.search.geometry import Geometry
from hone.search.standings import Summary, furthest, objective_after
from hone.seeds import numpy_generator
from hone.trial import Config, Result, State, Trial, identity

STARTUP = 4  # successful configs without which a model says nothing
LIMIT = 3.0  # medians above the best beyond which an objective only counts by its logarithm
GROWTH = 1.15  # hyperparameters are fitted anew when there are so many times more results
STEPS = 20  # of such a fit, which sets out from the last
FITTED = 200  # observations they are fitted to, at most
KNOWN = 400  # observations that the process is conditioned on, at most
N_UNIFORM, N_NEAR = 512, 512  # pool: anywhere, and around the configs believed best
N_BEST, NEAR = 6, 0.3  # how many of those, and how far from them, in coordinates
ROUNDS = ((384, 0.15), (384, 0.05), (384, 0.02))  # points around the pool's most promising, ever closer
N_PROMISING = 24


@dataclass(frozen=True)
class Resources:
    """max_epochs: T. levels: epochs at which curves are looked at. summary: what of a curve counts."""

    max_epochs: int
    levels: tuple[int, ...]
    summary: Summary = "best"

    def time(self, epochs: float) -> float:
        """Return log epochs over log T; epochs count over all training rows."""
        return math.log(max(epochs, 1.0)) / math.log(self.max_epochs) if self.max_epochs > 1 else 1.0


def standardised(objectives: Array) -> Array:
    """Return objectives [n] on a scale of their own: what counts is how near the best they come.

    Between best and median they stay as they are; far beyond, only their logarithm counts, so that a loss of a million
    teaches no more than that it is bad.
    """
    best, median = float(np.min(objectives)), float(np.median(objectives))
    scale = (median - best) or (float(np.max(objectives)) - best) or 1.0
    z = (objectives - best) / scale
    z = np.where(z > LIMIT, LIMIT + np.log1p(np.maximum(z - LIMIT, 0.0)), z)
    deviation = float(z.std())
    return np.asarray((z - z.mean()) / (deviation or 1.0), dtype=np.float64)


def observed(geometry: Geometry, results: Sequence[Result], resources: Resources) -> Observations | None:
    """Return the observations in results, of each config's furthest; None if too few configs succeeded.

    A config that failed or diverged counts as the worst that was seen, where it was to end.
    """
    last = [result for result in furthest(results) if geometry.holds(result.trial)]
    if sum(result.state is State.COMPLETE for result in last) < STARTUP or not geometry.free:
        return None
    which: list[int] = []
    times: list[float] = []
    objectives: list[float] = []
    for i, result in enumerate(last):
        trial, complete = result.trial, result.state is State.COMPLETE
        for epoch in (*[level for level in resources.levels if complete and level < trial.resource], trial.resource):
            which.append(i)
            times.append(resources.time(epoch * trial.rows))
            objectives.append(objective_after(result, epoch, resources.summary) if complete else math.nan)
    y = np.array(objectives)
    y = standardised(np.where(np.isnan(y), np.nanmax(y), y))
    x = geometry.features(geometry.points([result.trial for result in last]))
    return Observations(x[which], np.array(times), y, geometry.layout)


class Prior(Protocol):
    """Knows something of configs beforehand (hone/search/transfer.py)."""

    def mean(self, data: Observations, theta: Array) -> Mean | None:
        """Return the mean of the prior of a process that is told these observations; None if it is 0."""
        ...


def model(
    geometry: Geometry, results: Sequence[Result], resources: Resources, prior: Prior | None = None
) -> GaussianProcess | None:
    """Return the process conditioned on results; None if they are too few.

    Its hyperparameters are those of the results up to the last time that these had grown by `GROWTH`: a function
    of the results alone, and fitted seldom enough to cost little.
    """
    data = observed(geometry, results, resources)
    if data is None:
        return None
    theta = _hyperparameters(_Study(geometry, tuple(results[: _fitted_at(len(results))]), resources))
    mean = prior.mean(data, theta) if prior is not None else None
    return GaussianProcess(_less(mean, thinned(data, KNOWN)), theta, mean)


def _fitted_at(n: int) -> int:
    """Return how many of n results the hyperparameters were last fitted to; 0 before the first fit."""
    last, following = 0, STARTUP
    while following <= n:
        last, following = following, math.ceil(following * GROWTH)
    return last


def _less(mean: Mean | None, data: Observations) -> Observations:
    """Return observations less the prior's mean."""
    return data if mean is None else replace(data, y=data.y - mean(data.x))


def thinned(data: Observations, at_most: int) -> Observations:
    """Return observations spread evenly over all of them, in order of objective: the best stays."""
    n = len(data.y)
    if n <= at_most:
        return data
    kept = np.sort(np.argsort(data.y, kind="stable")[np.linspace(0, n - 1, at_most).astype(np.int64)])
    return Observations(data.x[kept], data.t[kept], data.y[kept], data.layout)


class _Study:
    """Results that can be a cache's key: all that the fit of hyperparameters depends on."""

    def __init__(self, geometry: Geometry, results: tuple[Result, ...], resources: Resources) -> None:
        self.geometry, self.results, self.resources = geometry, results, resources
        self._key = (geometry.key, resources, tuple(map(_learned, results)))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Study) and self._key == other._key


def _learned(result: Result) -> tuple[object, ...]:
    trial = result.trial
    return trial.identity, trial.resource, trial.rows, result.state, result.objective, result.curve


@lru_cache(maxsize=32)
def _hyperparameters(study: _Study) -> Array:
    """Return what is fitted to these results, from what was fitted to fewer: a few steps are enough then."""
    data = observed(study.geometry, study.results, study.resources)
    if data is None:  # so many failed at first that only the later ones tell anything
        return study.geometry.layout.prior()[:, 0]
    n = _fitted_at(len(study.results) - 1)
    if not n:
        return fit(thinned(data, FITTED))
    fewer = _hyperparameters(_Study(study.geometry, study.results[:n], study.resources))
    return fit(thinned(data, FITTED), start=fewer, iterations=STEPS)


def to_bounds(u: Array, numbers: NDArray[np.bool_], generator: np.random.Generator) -> Array:
    """Return points with about half of their numbers moved to either bound of the full space.

    A process is least certain of the corners, and in many dimensions no uniform draw ever comes near one.
    """
    moved = (generator.random(u.shape) < 0.5) & numbers
    return np.where(moved, generator.integers(0, 2, size=u.shape).astype(np.float64), u)


class Pool:
    """Candidates for a generation, new ones and configs that can go on, and what is believed of them.

    Each choice is believed to bring what the model expects of it before the next is made. What promises most is what
    improves most for its price (Snoek et al. 2012, section 3.2), where epochs have prices; the less the more of the
    budget is spent (Lee et al. 2020, "Cost-aware Bayesian optimization", cost cooling). What costs less than
    the default is not preferred for that, or a search begins with the smallest networks there are.
    """

    def __init__(
        self,
        geometry: Geometry,
        process: GaussianProcess,
        tried: Sequence[Trial],
        partial: Sequence[Result],
        seed: int,
        batch: int = 8,
        thrift: float = 1.0,
    ) -> None:
        """Fill the pool. tried: trials whose configs are not proposed again. partial: results that can be continued.

        batch: new configs that may be wanted; the pool is larger for very many. thrift: power of the price by which a
        promise is divided.
        """
        self._geometry, self._process = geometry, process
        self._tried = {trial.identity for trial in tried}
        generator = numpy_generator(seed, "pool")
        known = geometry.points(tried)
        means = process.mean(geometry.features(known))
        self.incumbent = float(means.min())
        best = known[np.argsort(means, kind="stable")[:N_BEST]]
        d = known.shape[1]
        points = geometry.spread(generator.random((max(N_UNIFORM, 2 * batch), d)))
        points[::2] = to_bounds(points[::2], ~geometry.categories, generator)
        if geometry.is_narrowed:
            points = np.concatenate([points, generator.random((N_UNIFORM // 2, d))])
        points = geometry.snapped(np.concatenate([points, self._near(best, N_NEAR, NEAR, generator)]))
        beliefs = [process.at(geometry.features(points))]
        prices = geometry.log_prices(points)

        def promise_of(belief: Posterior, prices: Array) -> Array:
            promise: Array = self._hope(belief) - thrift * np.maximum(prices, 0.0)
            return np.where(geometry.affordable(prices), promise, -np.inf)

        promise = promise_of(beliefs[0], prices)
        for n, distance in ROUNDS:
            promising = points[np.argsort(-promise, kind="stable")[:N_PROMISING]]
            if geometry.is_narrowed:
                inside = np.where(geometry.inside(points), promise, -np.inf)
                promising = np.concatenate([promising, points[np.argsort(-inside, kind="stable")[:N_PROMISING]]])
            more = geometry.snapped(self._near(promising, n, distance, generator))
            points = np.concatenate([points, more])
            beliefs.append(process.at(geometry.features(more)))
            added = geometry.log_prices(more)
            prices = np.concatenate([prices, added])
            promise = np.concatenate([promise, promise_of(beliefs[-1], added)])
        self._points = points
        self._inside = geometry.inside(points)
        self._partial = list(partial)
        going_on = geometry.points([result.trial for result in partial])
        self._posterior = joined([*beliefs, process.at(geometry.features(going_on))])
        self._discount = thrift * np.maximum(np.concatenate([prices, geometry.log_prices(going_on)]), 0.0)
        self._chosen = np.zeros(len(self._posterior.mean), dtype=np.bool_)
        self._chosen[: len(points)] = ~geometry.affordable(prices)

    def exclude(self, configs: Iterable[Config]) -> None:
        """Propose these configs no more."""
        self._tried |= {identity(config) for config in configs}

    def new(self, *, outside: bool | None = False) -> Config | None:
        """Return the new config that promises most; None if none is left.

        outside: whether it must lie outside the narrowed space, or inside; None: anywhere.
        """
        here = self._inside == (not outside) if outside is not None else np.ones_like(self._inside)
        allowed = np.concatenate([here, np.zeros(len(self._partial), dtype=np.bool_)])
        promise = self._promise()
        while (j := _best(promise, allowed & ~self._chosen)) is not None:
            config = self._geometry.full.decode(self._points[j])
            self._chosen[j] = True
            if identity(config) not in self._tried:
                self._tried.add(identity(config))
                self._believe(j)
                return config
        return None

    def going_on(self, allowed: Sequence[bool], *, sure: float = 2.0) -> Result | None:
        """Return the partial result, among those allowed, that promises most, if it may still win; None if none may.

        sure: standard deviations by which it is given the benefit of the doubt.
        """
        mean, deviation = self._posterior.mean, np.sqrt(self._posterior.variance)
        may_win = mean - sure * deviation < self.incumbent
        return self._take(self._promise(), self._among(allowed) & may_win)

    def likeliest(self, allowed: Sequence[bool], *, hope: float = 0.5) -> Result | None:
        """Return the partial result, among those allowed, with the best mean, less `hope` standard deviations."""
        score = hope * np.sqrt(self._posterior.variance) - self._posterior.mean
        return self._take(score, self._among(allowed))

    def _take(self, score: Array, allowed: NDArray[np.bool_]) -> Result | None:
        j = _best(score, allowed & ~self._chosen)
        if j is None:
            return None
        self._chosen[j] = True
        self._believe(j)
        return self._partial[j - len(self._points)]

    def _among(self, allowed: Sequence[bool]) -> NDArray[np.bool_]:
        return np.concatenate([np.zeros(len(self._points), dtype=np.bool_), np.array(allowed, dtype=np.bool_)])

    def _promise(self) -> Array:
        promise: Array = self._hope(self._posterior) - self._discount
        return promise

    def _hope(self, beliefs: Posterior) -> Array:
        return log_expected_improvement(beliefs.mean, beliefs.variance, self.incumbent)

    def _believe(self, j: int) -> None:
        self.incumbent = min(self.incumbent, float(self._posterior.mean[j]))
        self._posterior = self._posterior.believed(self._process, j)

    def _near(self, centres: Array, n: int, distance: float, generator: np.random.Generator) -> Array:
        """Return n points around centres: some coordinates moved, most of them by little; choices drawn anew."""
        u = centres[generator.integers(len(centres), size=n)]
        d = u.shape[1]
        moved = generator.random((n, d)) < generator.choice([0.2, 0.5, 1.0], size=(n, 1))
        moved[np.arange(n), generator.integers(d, size=n)] = True
        steps = generator.standard_normal((n, d)) * distance * 10.0 ** -generator.random((n, 1))
        drawn = generator.random((n, d))
        # All choices at once would leave nothing of the centre: each changes rarely.
        redrawn = moved & (generator.random((n, d)) < 0.3) & self._geometry.categories
        u = np.where(redrawn, drawn, np.where(moved & ~self._geometry.categories, u + steps, u))
        u = np.clip(u, 0.0, 1.0)
        if self._geometry.is_narrowed:
            u[::2] = self._geometry.clipped(u[::2])
        return u


def _best(score: Array, allowed: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(np.where(allowed, score, -np.inf))) if allowed.any() else None
