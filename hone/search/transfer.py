"""What earlier studies say of a new one: where to start, and a mean for the prior of its process.

Notation
--------
m_k     what the process of the k-th earlier study expects of a config after a whole training, on that study's own scale
tau_k   Kendall's rank correlation of m_k with the new study's observations, over pairs seen at the same epoch
tau_0   that of the new study's own process, of each config told all others only
sigma   deviation of tau between unrelated rankings of n configs, (2 (2n + 5) / (9 n (n - 1)))^(1/2) (Kendall, 1938)
w_k     (tau_k - tau_0) (1 - sigma^2 / tau_k^2), no factor below 0: by how much the earlier study ranks better, shrunk
        by what chance explains of its ranking so well (James and Stein, 1961)
mu      sum_k w_k (m_k - c_k) / max(1, sum_k w_k), c_k being the mean of m_k over the new study's observations

Each study is modelled by itself, on its own scale, and weighed by how well it ranks what the new study has seen, beside
how well that ranks itself with each config left out: as in Feurer et al., Scalable Meta-Learning for Bayesian
Optimization using Ranking-Weighted Gaussian Process Ensembles (2018). Unlike theirs, the ensemble is the prior's mean
and not a vote: where the new study has results, they have the last word. A study that knows nothing better has no
weight, and then all is as if it were not there. That it fades as the new study learns is not for caution only: one
whose best lies a little beside the new one's best ranks nearly all pairs rightly, and would hold the search there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import final

import numpy as np

from hone.search.curves import FITTED, STARTUP, Resources, observed, thinned
from hone.search.freeze_thaw import levels, threads
from hone.search.gaussian_process import Array, GaussianProcess, Mean, Observations, fit
from hone.search.geometry import Geometry
from hone.search.proposals import first_new
from hone.search.standings import best_first, standings
from hone.space import Fixed, SearchSpace
from hone.trial import Config, Result, Value

FEW = 3  # of each study's best configs, tried again
MODELLED = 200  # observations of each study that its process is conditioned on, at most: they cost at every proposal


def adapted(space: SearchSpace, config: Config) -> dict[str, Value] | None:
    """Return what a config of another study is in a space; None if it lies outside, or shares nothing with it.

    A parameter that the space lacks is left out, as it can change nothing here; one that the config lacks has its
    default, as what is inactive has.
    """
    shared = {name: value for name, value in config.items() if name in space.domains}
    here = space.trimmed({**space.defaults, **shared})
    free = [name for name in shared if name in here and not isinstance(space.domains[name], Fixed)]
    return here if free and space.contains(here) else None


@dataclass(frozen=True, eq=False)
class Study:
    """An earlier study: a name that people know it by, and its results in order."""

    name: str
    results: tuple[Result, ...]

    def within(self, space: SearchSpace) -> list[Result]:
        """Return the results whose configs have a place in a space, with what they are there."""
        found = []
        for result in self.results:
            config = adapted(space, result.trial.config)
            if config is not None:
                found.append(replace(result, trial=replace(result.trial, config=config)))
        return found


@final
@dataclass(frozen=True, eq=False)
class Transfer:
    """Earlier studies, as they are in a full space."""

    space: SearchSpace
    studies: tuple[Study, ...]

    def starts(self, n: int) -> list[Config]:
        """Return up to n configs to start with: the studies' best in turn, a few of each."""
        best = [
            [standing.config for standing in best_first(standings(study.within(self.space), STARTUP))]
            for study in self.studies
        ]
        few = [first_new(configs, [self.space.default], FEW) for configs in best]
        in_turn = (config for together in zip_longest(*few) for config in together if config is not None)
        return first_new(in_turn, [], n)

    def mean(self, data: Observations, theta: Array) -> Mean | None:
        """Return the prior's mean, by features, of a process that is told `data`; None if no study has a weight.

        theta: that process's hyperparameters.
        """
        few = thinned(data, FITTED)
        own = correlation(GaussianProcess(few, theta).left_out(), few)
        parts = []
        for process in self._processes:
            expected = process.mean(few.x)
            if w := weight(correlation(expected, few), own, _most_together(few)):
                parts.append((w, process, float(expected.mean())))
        total = max(1.0, math.fsum(w for w, _, _ in parts))

        def mean(x: Array) -> Array:
            terms = [w / total * (process.mean(x) - centre) for w, process, centre in parts]
            return np.asarray(np.sum(terms, axis=0), dtype=np.float64)

        return mean if parts else None

    @cached_property
    def _processes(self) -> tuple[GaussianProcess, ...]:
        with threads().limit(limits=1):  # see FreezeThaw.ask
            return tuple(self._fitted())

    def _fitted(self) -> Iterator[GaussianProcess]:
        for study in self.studies:
            results = study.within(self.space)
            resources = sorted({result.trial.resource for result in results}) or [1]
            data = observed(Geometry(self.space, self.space), results, Resources(resources[-1], levels(resources)))
            if data is not None:
                data = thinned(data, MODELLED)
                yield GaussianProcess(data, fit(data))


def correlation(predicted: Array, data: Observations) -> float:
    """Return Kendall's tau between predictions and objectives, [n] each, over pairs at the same time; 0 without any."""
    pairs = np.triu(data.t[:, None] == data.t, k=1)
    agree = np.sign(data.y[:, None] - data.y) * np.sign(predicted[:, None] - predicted)
    return float(agree[pairs].mean()) if pairs.any() else 0.0


def weight(tau: float, own: float, n: int) -> float:
    """Return w_k for tau_k, tau_0 and n, 0 to 1."""
    if tau <= 0 or n < 2:
        return 0.0
    chance = 2 * (2 * n + 5) / (9 * n * (n - 1))
    return max(0.0, tau - max(0.0, own)) * max(0.0, 1 - chance / tau**2)


def _most_together(data: Observations) -> int:
    """Return how many configs have been seen at the same time, at most."""
    return int(np.unique(data.t, return_counts=True)[1].max())
