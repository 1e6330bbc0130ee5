"""The Gaussian process against formulas written out plainly, and against data whose hyperparameters are known."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from hone.search.gaussian_process import JITTER, MARGIN, GaussianProcess, Layout, Observations, fit, joined
from hone.search.gaussian_process import negative_log_posterior as loss

# Two numbers, a choice of three values, and a number that is not warped.
LAYOUT = Layout((0, 1, 2, 2, 2, 3), (True, True, False, False, False, False))
NUMBERS = Layout((0, 1), (True, True))


def features(n, seed=0):
    rng = np.random.default_rng(seed)
    choices = np.eye(3)[rng.integers(3, size=n)] / math.sqrt(2)
    return np.concatenate([rng.random((n, 2)), choices, rng.random((n, 1))], axis=1)


def data_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return Observations(features(n, seed), rng.choice([0.3, 0.7, 1.0], size=n), rng.standard_normal(n), LAYOUT)


def thetas(n, layout=LAYOUT, seed=1):
    """Draws from the priors, within the bounds."""
    prior = layout.prior()
    draws = np.random.default_rng(seed).normal(prior[:, 0], prior[:, 1], size=(n, len(prior)))
    return list(np.clip(draws, prior[:, 2], prior[:, 3]))


def matern(r):
    return (1 + math.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-math.sqrt(5) * r)


def kernel(theta, x, t, others, times):
    """k between configs at times, [n, m], for LAYOUT, as the module's notation defines it."""
    lasts, passes, warps, (time_scale, lasting, passing, _) = np.split(np.exp(theta), [4, 8, 12])

    def w(x):
        x = x.copy()
        for column in (0, 1):
            a, b = warps[column], warps[2 + column]
            x[:, column] = 1 - (1 - (MARGIN + (1 - 2 * MARGIN) * x[:, column]) ** a) ** b
        return x

    def m(lengthscales):
        differences = (w(x)[:, None] - w(others)) / lengthscales[[0, 1, 2, 2, 2, 3]]
        return matern(np.sqrt((differences**2).sum(axis=2)))

    return lasting * m(lasts) + passing * m(passes) * matern(np.abs(t[:, None] - times) / time_scale)


def covariance_of(theta, data):
    """The covariance of observations, with their noise."""
    return kernel(theta, data.x, data.t, data.x, data.t) + (np.exp(theta[-1]) + JITTER) * np.eye(len(data.y))


def conditioned(theta, data, x):
    """Mean [m] and covariance [m, m] of whole trainings, by the textbook."""
    ends = np.ones(len(x))
    cross = kernel(theta, x, ends, data.x, data.t)
    solved = np.linalg.solve(covariance_of(theta, data), cross.T)
    return solved.T @ data.y, kernel(theta, x, ends, x, ends) - cross @ solved


@pytest.mark.parametrize("theta", thetas(4))
def test_the_loss_is_minus_the_log_of_likelihood_times_prior(theta):
    def expected(theta):
        prior = LAYOUT.prior()
        likelihood = multivariate_normal(np.zeros(len(data.y)), covariance_of(theta, data)).logpdf(data.y)
        return -likelihood - norm(prior[:, 0], prior[:, 1]).logpdf(theta).sum()

    data, origin = data_of(25), LAYOUT.prior()[:, 0]
    difference = loss(theta, data)[0] - loss(origin, data)[0]  # so that constants cancel
    assert difference == pytest.approx(expected(theta) - expected(origin), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("theta", thetas(6))
def test_the_gradient_agrees_with_finite_differences(theta):
    data, step = data_of(25), 1e-5
    numerical = [(loss(theta + e, data)[0] - loss(theta - e, data)[0]) / (2 * step) for e in np.eye(len(theta)) * step]
    _, gradient = loss(theta, data)
    np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-5 * np.abs(gradient).max())


@pytest.mark.parametrize("theta", thetas(4))
def test_beliefs_are_the_closed_form(theta):
    data, x = data_of(30), features(12, seed=9)
    mean, covariance = conditioned(theta, data, x)
    process = GaussianProcess(data, theta)
    posterior = process.at(x)
    np.testing.assert_allclose(posterior.mean, mean, atol=1e-6)
    np.testing.assert_allclose(posterior.variance, np.diag(covariance), atol=1e-6)
    for j in range(len(x)):
        np.testing.assert_allclose(process.covariance(posterior, j), covariance[j], atol=1e-6)


@pytest.mark.parametrize("theta", thetas(4))
def test_to_believe_is_to_condition_anew_on_what_is_believed(theta):
    data, x = data_of(30), features(12, seed=9)
    process = GaussianProcess(data, theta)
    posterior = process.at(x)
    for j in (3, 7, 3):  # also twice the same
        posterior = posterior.believed(process, j)
        data = Observations(
            np.concatenate([data.x, x[j : j + 1]]),
            np.append(data.t, 1.0),
            np.append(data.y, posterior.mean[j]),
            LAYOUT,
        )
        mean, covariance = conditioned(theta, data, x)
        np.testing.assert_allclose(posterior.mean, mean, atol=1e-5)
        np.testing.assert_allclose(posterior.variance, np.diag(covariance), atol=1e-5)
        np.testing.assert_allclose(process.covariance(posterior, 5), covariance[5], atol=1e-5)


def test_beliefs_about_some_then_others_are_beliefs_about_all():
    data, x, theta = data_of(30), features(12, seed=9), thetas(1)[0]
    process = GaussianProcess(data, theta)
    parts, together = joined([process.at(x[:5]), process.at(x[5:])]), process.at(x)
    for one, other in ((parts, together), (parts.believed(process, 9), together.believed(process, 9))):
        for field in ("z", "mean", "variance", "root", "rows"):
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), atol=1e-12)


def test_what_is_known_without_noise_is_believed_exactly():
    x = features(20)
    data = Observations(x, np.ones(20), np.sin(6 * x[:, 0]) + x[:, 2], LAYOUT)
    theta = LAYOUT.prior()[:, 0]
    theta[-1] = math.log(1e-12)
    posterior = GaussianProcess(data, theta).at(x)
    np.testing.assert_allclose(posterior.mean, data.y, atol=1e-5)
    assert posterior.variance.max() < 1e-6


def test_less_is_known_of_the_end_the_earlier_a_curve_stops():
    x, theta = features(20), LAYOUT.prior()[:, 0]
    variances = [
        GaussianProcess(Observations(x, np.full(20, t), x[:, 0], LAYOUT), theta).at(x).variance for t in (1.0, 0.7, 0.3)
    ]
    assert (variances[0] < variances[1]).all()
    assert (variances[1] < variances[2]).all()


@pytest.fixture(scope="module", params=[0.003, 0.1])
def learned(request):
    """A draw of known hyperparameters, 60 configs looked at thrice, and those found in it."""
    rng, layout = np.random.default_rng(3), Layout((0, 1, 2, 2), (True, True, False, False))
    chosen = rng.integers(2, size=60)
    x = np.column_stack([rng.random((60, 2)), np.eye(2)[chosen] / math.sqrt(2)])
    data = Observations(np.repeat(x, 3, axis=0), np.tile([0.4, 0.7, 1.0], 60), np.zeros(180), layout)
    # The first number and the choice matter, the second number does not.
    theta = np.log([0.3, 20, 1, 0.3, 20, 1, 1, 1, 1, 1, 0.7, 0.7, 0.3, 1e-12])
    process = GaussianProcess(data, theta)
    y = process._factor @ rng.standard_normal(180) + math.sqrt(request.param) * rng.standard_normal(180)
    found = fit(Observations(data.x, data.t, y, layout))
    return request.param, np.exp(found)


def test_the_noise_is_found(learned):
    noise, found = learned
    assert noise / 1.6 < found[-1] < noise * 1.6


def test_what_matters_is_found(learned):
    _, found = learned
    matters, idle, choice = found[:3]
    assert 0.15 < matters < 0.6
    assert idle > 5 * matters
    assert choice < idle


def test_a_warp_is_found():
    x = np.random.default_rng(0).random((80, 2))
    flat_below = Observations(x, np.ones(80), np.sin(9 * x[:, 0] ** 4), NUMBERS)  # all that happens, happens near 1
    theta = fit(flat_below)
    a, b = np.exp(theta[4]), np.exp(theta[6])
    w = 1 - (1 - np.array([0.0, 0.5, 1.0]) ** a) ** b
    assert w[1] - w[0] < 0.3


def test_a_fit_is_the_same_each_time():
    data = data_of(40)
    assert fit(data).tolist() == fit(data).tolist()


def test_a_fit_is_better_than_the_priors_medians():
    data, prior = data_of(40), LAYOUT.prior()
    theta = fit(data)
    assert loss(theta, data)[0] < loss(prior[:, 0], data)[0]


def repeated():
    x = np.repeat(features(3), 10, axis=0)
    return Observations(x, np.ones(30), np.random.default_rng(0).standard_normal(30), LAYOUT)


def constant():
    return Observations(features(20), np.ones(20), np.zeros(20), LAYOUT)


def alone():
    return Observations(features(1), np.ones(1), np.zeros(1), LAYOUT)


def at_the_corners():
    x = np.round(features(20))
    return Observations(x, np.tile([0.0, 1.0], 10), x[:, 0], LAYOUT)


@pytest.mark.parametrize(
    "data", [repeated(), constant(), alone(), at_the_corners()], ids=["repeated", "constant", "alone", "corners"]
)
def test_odd_data_give_hyperparameters_within_their_bounds_and_finite_beliefs(data):
    theta, prior = fit(data), LAYOUT.prior()
    assert ((prior[:, 2] <= theta) & (theta <= prior[:, 3])).all()
    value, gradient = loss(theta, data)
    assert np.isfinite([value, *gradient]).all()
    process = GaussianProcess(data, theta)
    posterior = process.at(np.concatenate([data.x, features(50, seed=5)]))
    for j in (0, 0, 1):
        posterior = posterior.believed(process, j)
    assert np.isfinite(posterior.mean).all()
    assert (posterior.variance > 0).all()


def test_a_fit_that_sets_out_from_fewer_observations_gets_as_far_in_fewer_steps():
    x = features(60)
    y = np.sin(6 * x[:, 0]) + x[:, 2] + 0.1 * np.random.default_rng(0).standard_normal(60)
    data = Observations(x, np.ones(60), y, LAYOUT)
    few = fit(Observations(x[:52], data.t[:52], y[:52], LAYOUT))
    warm, cold, converged = (
        loss(fit(data, **options), data)[0]
        for options in ({"start": few, "iterations": 8}, {"iterations": 8}, {"iterations": 500})
    )
    assert warm < cold
    assert warm == pytest.approx(converged, abs=0.5)
