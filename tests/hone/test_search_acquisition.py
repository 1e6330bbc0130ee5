"""Expected improvement against chance and against an integral that keeps its digits anywhere."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from hone.search.acquisition import FAR, log_expected_improvement


def log_ei(z):
    """Log expected improvement of N(-z, 1) on 0."""
    return log_expected_improvement(-np.atleast_1d(np.asarray(z, dtype=float)), np.ones(1), 0.0)


def expected(z):
    """The same, as log of the integral of s phi(s - z) over s > 0; far off with s = v / |z| and phi(z) taken out."""
    if z > -1:
        peak = max(z, 0.0)
        integral = quad(lambda s: s * math.exp(-0.5 * (s - z) ** 2), 0, peak + 40, points=[peak], epsabs=0)[0]
        return math.log(integral / math.sqrt(2 * math.pi))
    integral = quad(lambda v: v * math.exp(-v - 0.5 * (v / z) ** 2), 0, 700, points=[1, 30], epsabs=0)[0]
    return -0.5 * z * z - 0.5 * math.log(2 * math.pi) + math.log(integral) - 2 * math.log(-z)


@pytest.mark.parametrize(
    "z", [10, 5, 2, 1, 0, -0.5, -1, -3, -4.9, -5, -5.1, -10, -37, -40, -1e2, -1e3, -9e3, -2e4, -1e6, -1e8]
)
def test_log_expected_improvement_is_exact_near_and_far(z):
    # Beside half of z^2, the rest has what digits a float has left.
    assert log_ei(z)[0] == pytest.approx(expected(z), rel=1e-15, abs=2e-7)


@pytest.mark.parametrize(("mean", "variance", "incumbent"), [(0.0, 1.0, 1.0), (0.3, 4.0, 0.0), (2.0, 0.25, 1.0)])
def test_it_is_what_chance_gives(mean, variance, incumbent):
    draws = mean + math.sqrt(variance) * np.random.default_rng(0).standard_normal(400_000)
    gains = np.maximum(incumbent - draws, 0)
    ours = math.exp(log_expected_improvement(np.array([mean]), np.array([variance]), incumbent)[0])
    assert abs(gains.mean() - ours) < 6 * gains.std() / math.sqrt(len(draws))  # a false alarm in 500 million


def test_the_better_the_mean_the_more_is_expected():
    z = np.concatenate([-np.geomspace(1e6, 1e-3, 4000), np.geomspace(1e-3, 1e3, 1000)])
    assert (np.diff(log_ei(z)) > 0).all()


def test_the_less_is_known_the_more_is_expected():
    deviations = np.geomspace(1e-6, 10, 500)
    for mean in (0.5, 3.0):  # worse than the incumbent
        assert (np.diff(log_expected_improvement(np.full(500, mean), deviations**2, 0.0)) > 0).all()


@pytest.mark.parametrize("z", [FAR, -1e4])
def test_no_step_where_one_formula_follows_another(z):
    below, at, above = log_ei([z * (1 + 1e-9), z, z * (1 - 1e-9)])
    slope = -z  # of the logarithm, nearly
    assert abs(above - below) < 2.5e-9 * abs(z) * slope + 2e-7
    assert below <= at <= above


def test_it_is_finite_everywhere():
    z = np.concatenate([-np.geomspace(1e-12, 1e12, 2000), [0.0], np.geomspace(1e-12, 1e12, 2000)])
    for variance in (1e-12, 1.0, 1e6):
        assert np.isfinite(log_expected_improvement(-z, np.full(len(z), variance), 0.0)).all()


def test_units_only_add_their_logarithm():
    mean, variance = np.array([0.1, 2.0, 9.0]), np.array([1.0, 0.5, 0.1])
    larger = log_expected_improvement(1000 * mean + 7, 1e6 * variance, 7.0)
    np.testing.assert_allclose(larger, log_expected_improvement(mean, variance, 0.0) + math.log(1000))
