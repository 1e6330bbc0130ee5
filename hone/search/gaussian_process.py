"""A Gaussian process over configs and training time, for learning curves.

Notation
--------
n        observations; one config gives several, one for each epoch it is looked at
x        features of a config [n, f], in [0, 1]; warped ones are numbers, the others 0 or 1 (hone/search/geometry.py)
t        training time [n]: log epoch / log of the full resource, so that 1 is a whole training
y        observations [n], minimised, about standardised
g        lengthscales; a feature belongs to one of them, a choice's features share theirs
w(x)     1 - (1 - x^a)^b, Kumaraswamy's distribution function: a learned scale for each number
k        s_1 m_1(w(x), w(x')) + s_2 m_2(w(x), w(x')) c(t, t'): what lasts, and what passes with time
c, m     Matérn 5/2 kernels; m_1 and m_2 have lengthscales of their own: what makes a network learn fast need not
         be what makes it good. theta is the vector of all hyperparameters' logarithms

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1, equations 5.8 and 5.9;
Snoek et al., Input Warping for Bayesian Optimization (2014); Swersky et al., Freeze-Thaw Bayesian Optimization (2014),
for a kernel with one part that lasts and one that time changes. Hyperparameters are those most probable under
log-normal priors: with few observations, maximum likelihood is sure of far too much.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]
Mean = Callable[[Array], Array]
"""Of features [m, f], the prior's mean [m]."""

SQRT5 = math.sqrt(5.0)
PRECISION = 1e-5  # relative change of the posterior below which a fit ends
JITTER = 1e-8  # on the diagonal, for the Cholesky decomposition
BLOCK = 1 << 15  # entries of a kernel computed at a time, so that they stay in the processor's cache
MARGIN = 1e-3  # warps have no slope at 0 and 1: features are drawn in by this much

# Priors of log hyperparameters, as (median, standard deviation of the logarithm), with hard bounds.
LENGTHSCALE = (0.34, 1.0, 0.05, 20.0)  # times sqrt(d), the mean distance's growth with the number d of lengthscales
WARP = (1.0, 0.4, 0.22, 4.5)
TIME_SCALE = (0.7, 0.3, 0.1, 5.0)
VARIANCE = (0.5, 1.0, 1e-3, 20.0)  # of either part of the kernel
NOISE = (5e-3, 1.5, 1e-5, 0.5)  # variance


@dataclass(frozen=True)
class Layout:
    """Which lengthscale each feature has, int [f], and which features are warped, bool [f]."""

    scales: tuple[int, ...]
    warped: tuple[bool, ...]

    @cached_property
    def groups(self) -> Array:
        """Return 1 where a feature has a lengthscale, [g, f]."""
        return np.eye(max(self.scales) + 1)[:, list(self.scales)]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Return which features are warped, [f]."""
        return np.array(self.warped)

    @property
    def n_scales(self) -> int:
        """Return g."""
        return max(self.scales) + 1

    def prior(self) -> Array:
        """Return one row for each entry of theta: log median, standard deviation, log bounds, [n_theta, 4]."""
        median, deviation, low, high = LENGTHSCALE
        lengthscale = (median * math.sqrt(self.n_scales), deviation, low, high)
        rows = [lengthscale] * (2 * self.n_scales) + [WARP] * (2 * sum(self.warped))
        rows += [TIME_SCALE, VARIANCE, VARIANCE, NOISE]
        return np.array([(math.log(m), s, math.log(low), math.log(high)) for m, s, low, high in rows])

    def split(self, theta: Array) -> list[Array]:
        """Return theta's parts, as they are: lengthscales of m_1 and m_2 [g], a and b [n_warped], the last four."""
        g, n_warped = self.n_scales, sum(self.warped)
        return np.split(theta, np.cumsum([g, g, n_warped, n_warped]))


@dataclass(frozen=True, eq=False)
class Observations:
    """What a process learns from: features [n, f], times [n], objectives [n], and the features' layout."""

    x: Array
    t: Array
    y: Array
    layout: Layout


def fit(data: Observations, *, start: Array | None = None, iterations: int = 50) -> Array:
    """Return theta, the logarithms of the most probable hyperparameters, by L-BFGS.

    start: where it sets out from; None: from the priors' medians.
    """
    prior = data.layout.prior()
    best = minimize(
        lambda theta: negative_log_posterior(theta, data),
        prior[:, 0] if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=prior[:, 2:],
        options={"maxiter": iterations, "ftol": PRECISION},
    )
    return np.asarray(best.x, dtype=np.float64)


def negative_log_posterior(theta: Array, data: Observations) -> tuple[float, Array]:
    """Return the negative log of likelihood times prior, less constants, and its gradient [n_theta].

    With G = alpha alpha^T - K^-1, a hyperparameter's slope is -tr(G dK) / 2 (Rasmussen and Williams, equation 5.9).
    Squared distances are sums over features, so that of all features together costs two products of matrices.
    """
    layout, n = data.layout, len(data.y)
    log_lasts, log_passes, _, _, (log_time, log_lasting, log_passing, log_noise) = layout.split(theta)
    lasting, passing, noise = np.exp([log_lasting, log_passing, log_noise])
    w, slope_a, slope_b = _warped(data.x, theta, layout)
    scale_1, scale_2 = (np.exp(-scales)[list(layout.scales)] for scales in (log_lasts, log_passes))
    z_1, z_2 = w * scale_1, w * scale_2
    m_1, weight_1 = _matern_and_weight(z_1)
    m_2, weight_2 = _matern_and_weight(z_2)
    s = SQRT5 * np.abs(data.t[:, None] - data.t) * math.exp(-log_time)
    decay_t = np.exp(-s)
    c = (1 + s + s * s / 3) * decay_t
    k = lasting * m_1 + passing * m_2 * c
    k[np.diag_indices(n)] += noise + JITTER
    factor, info = lapack.dpotrf(k, lower=1)
    if info:  # not positive definite: L-BFGS steps back
        return 1e10, np.zeros_like(theta)
    alpha = cho_solve((factor, True), data.y, check_finite=False)
    value = 0.5 * float(data.y @ alpha) + float(np.log(np.diag(factor)).sum())

    lower = np.tril(lapack.dpotri(factor, lower=1)[0])
    g = np.outer(alpha, alpha) - (lower + np.tril(lower, -1).T)
    pull_1, pull_2 = _pull(g * weight_1 * lasting, z_1), _pull(g * weight_2 * (passing * c), z_2)
    pull = (pull_1 * scale_1 + pull_2 * scale_2)[:, layout.mask]
    gm = g * m_2
    gradient = np.concatenate(
        [
            -layout.groups @ (pull_1 * z_1).sum(axis=0),
            -layout.groups @ (pull_2 * z_2).sum(axis=0),
            (pull * slope_a).sum(axis=0),
            (pull * slope_b).sum(axis=0),
            [
                -0.5 * passing * float(np.sum(gm * (s * s / 3 * (1 + s) * decay_t))),
                -0.5 * lasting * float(np.sum(g * m_1)),
                -0.5 * passing * float(np.sum(gm * c)),
                -0.5 * noise * float(np.trace(g)),
            ],
        ]
    )
    prior = layout.prior()
    deviation = (theta - prior[:, 0]) / prior[:, 1]
    return value + 0.5 * float(deviation @ deviation), gradient + deviation / prior[:, 1]


class GaussianProcess:
    """The process of given hyperparameters, conditioned on observations. Objectives are predicted without noise."""

    def __init__(self, data: Observations, theta: Array, mean: Mean | None = None) -> None:
        """Condition on observations. mean: the prior's if it is not 0; `data.y` is what that leaves to be explained."""
        self._data, self._theta, self._prior = data, theta, mean
        *_, tail = data.layout.split(theta)
        self._time_scale, self._lasting, self._passing, self.noise = (float(v) for v in np.exp(tail))
        self._z = self._scaled(data.x)
        k = self._kernel(self._z, self._z, data.t[:, None] - data.t)
        k[np.diag_indices(len(data.y))] += self.noise + JITTER
        self._factor = np.linalg.cholesky(k)
        self._alpha = cho_solve((self._factor, True), data.y, check_finite=False)

    def at(self, x: Array) -> "Posterior":
        """Return what is believed of the objectives of configs x [m, f] at the end of a whole training."""
        z = self._scaled(x)
        k = self._kernel(z, self._z, 1.0 - self._data.t)
        root = solve_triangular(self._factor, k.T, lower=True, check_finite=False)
        variance = self._lasting + self._passing - np.einsum("nm,nm->m", root, root)
        mean = k @ self._alpha if self._prior is None else k @ self._alpha + self._prior(x)
        return Posterior(z, mean, np.maximum(variance, 1e-12), root, np.zeros((0, len(z))))

    def mean(self, x: Array) -> Array:
        """Return the means of `at` alone, which cost far less."""
        mean = self._kernel(self._scaled(x), self._z, 1.0 - self._data.t) @ self._alpha
        return np.asarray(mean if self._prior is None else mean + self._prior(x), dtype=np.float64)

    def left_out(self) -> Array:
        """Return the mean of each observation, had its config not been seen, [n] (equation 5.12, for blocks)."""
        inverse = cho_solve((self._factor, True), np.eye(len(self._data.y)), check_finite=False)
        predicted = self._data.y.copy()
        _, config = np.unique(self._data.x, axis=0, return_inverse=True)
        for i in range(config.max() + 1):
            block = np.flatnonzero(config == i)
            predicted[block] -= np.linalg.solve(inverse[np.ix_(block, block)], self._alpha[block])
        return predicted

    def covariance(self, posterior: "Posterior", j: int) -> Array:
        """Return the posterior covariance of all of a posterior's configs with its j-th, [m]."""
        prior = self._kernel(posterior.z, posterior.z[j : j + 1], np.zeros(1))[:, 0]
        known = posterior.root.T @ posterior.root[:, j] + posterior.rows.T @ posterior.rows[:, j]
        return np.asarray(prior - known, dtype=np.float64)

    def _scaled(self, x: Array) -> Array:
        """Return warped features over the lengthscales of m_1, then of m_2, [n, 2 f]."""
        log_lasts, log_passes, *_ = self._data.layout.split(self._theta)
        w, scales = _warped(x, self._theta, self._data.layout)[0], list(self._data.layout.scales)
        return np.concatenate([w * np.exp(-log_lasts)[scales], w * np.exp(-log_passes)[scales]], axis=1)

    def _kernel(self, z: Array, others: Array, dt: Array) -> Array:
        f = z.shape[1] // 2
        s = SQRT5 * np.abs(dt) / self._time_scale
        c = (1 + s + s * s / 3) * np.exp(-s)
        k = _matern(z[:, f:], others[:, f:])
        k *= self._passing * c
        lasting = _matern(z[:, :f], others[:, :f])
        lasting *= self._lasting
        k += lasting
        return k


@dataclass(frozen=True, eq=False)
class Posterior:
    """Beliefs about m configs.

    z: scaled features [m, 2 f]. mean, variance: [m]. root: L^-1 k(x, x*), [n, m]. rows: those that the Cholesky factor
    has gained by what was believed since, [b, m]; apart, since the root is too large to be copied for each.
    """

    z: Array
    mean: Array
    variance: Array
    root: Array
    rows: Array

    def believed(self, process: GaussianProcess, j: int) -> "Posterior":
        """Return the beliefs after the j-th config's mean were observed at the end of its training.

        The believer rule (Ginsbourger et al., Kriging Is Well-Suited to Parallelize Optimization, 2010): means stay
        as they are, and certainty grows around the config; a rank-one update of the Cholesky factor.
        """
        row = process.covariance(self, j) / math.sqrt(self.variance[j] + process.noise)
        variance = np.maximum(self.variance - row * row, 1e-12)
        return Posterior(self.z, self.mean, variance, self.root, np.concatenate([self.rows, row[None]]))


def joined(beliefs: Sequence[Posterior]) -> Posterior:
    """Return the beliefs about all these configs, in this order."""
    return Posterior(
        np.concatenate([part.z for part in beliefs]),
        np.concatenate([part.mean for part in beliefs]),
        np.concatenate([part.variance for part in beliefs]),
        np.concatenate([part.root for part in beliefs], axis=1),
        np.concatenate([part.rows for part in beliefs], axis=1),
    )


def _warped(x: Array, theta: Array, layout: Layout) -> tuple[Array, Array, Array]:
    """Return warped features [n, f], and their slopes in log a and log b, [n, n_warped]."""
    _, _, log_a, log_b, _ = layout.split(theta)
    warps = layout.mask
    log_x = np.log(np.clip(x[:, warps], 0.0, 1.0) * (1 - 2 * MARGIN) + MARGIN)
    a, b = np.exp(log_a), np.exp(log_b)
    power = np.exp(a * log_x)
    log_rest = np.log1p(-power)
    rest = np.exp(b * log_rest)  # 1 - w
    w = x.astype(np.float64)
    w[:, warps] = 1 - rest
    return w, b * rest / (1 - power) * power * log_x * a, -rest * log_rest * b


def _matern_and_weight(z: Array) -> tuple[Array, Array]:
    """Return m of all pairs [n, n], and -2 dm/d(r^2) = 5/3 (1 + sqrt5 r) exp(-sqrt5 r)."""
    s = _stretched_distances(z, z)
    np.fill_diagonal(s, 0.0)
    decay = np.exp(-s)
    weight = (1 + s) * decay
    weight *= 5 / 3
    s *= s
    s *= decay
    s /= 3
    s += weight * (3 / 5)
    return s, weight


def _pull(q: Array, z: Array) -> Array:
    """Return sum over k of q_jk (z_j - z_k), [n, f]: all pairs' differences at the cost of one product."""
    return np.asarray(q.sum(axis=1)[:, None] * z - q @ z, dtype=np.float64)


def _stretched_distances(z: Array, others: Array) -> Array:
    """Return sqrt5 r, with r the Euclidean distances, [n, m]."""
    return _distances(_left(SQRT5 * z), _right(SQRT5 * others))


def _left(z: Array) -> Array:
    """Return (-2 z, |z|^2, 1): its product with `_right` is the squared distances, in one pass over memory."""
    return np.concatenate([-2 * z, (z * z).sum(axis=1)[:, None], np.ones((len(z), 1))], axis=1)


def _right(z: Array) -> Array:
    """Return (z, 1, |z|^2), transposed."""
    return np.concatenate([z, np.ones((len(z), 1)), (z * z).sum(axis=1)[:, None]], axis=1).T


def _distances(left: Array, right: Array) -> Array:
    s = left @ right
    np.maximum(s, 0.0, out=s)
    return np.asarray(np.sqrt(s, out=s), dtype=np.float64)


def _matern(z: Array, others: Array) -> Array:
    """Return m of all pairs, [n, m]; in blocks and in place: passes over memory cost more than the arithmetic."""
    m = np.empty((len(z), len(others)))
    left, right = _left(SQRT5 * z), _right(SQRT5 * others)
    rows = max(1, BLOCK // max(1, len(others)))
    for start in range(0, len(z), rows):
        s = _distances(left[start : start + rows], right)
        decay = np.exp(-s)
        block = m[start : start + rows]
        np.multiply(s, 1 / 3, out=block)
        block += 1
        block *= s
        block += 1
        block *= decay
    return m
