"""The Gaussian process equals scikit-learn's, expected improvement the integral; the search finds minima."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from lmprep.training.bayesopt import (
    GaussianProcess,
    expected_improvement,
    matern52,
    minimize,
    most_likely,
)

GRID = np.stack(np.meshgrid(np.linspace(0, 1, 15), np.linspace(0, 1, 15)), axis=-1).reshape(-1, 2)
SEEDS = st.integers(0, 2**32 - 1)


def data(seed: int, N: int, D: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (N, D), observations (N,), and points to predict (9, D)."""
    rng = np.random.default_rng(seed)
    return rng.random((N, D)), rng.normal(size=N), rng.random((9, D))


# Equal to the references.


@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    N=st.integers(1, 20),
    D=st.integers(1, 4),
    noise=st.sampled_from([1e-4, 1e-2, 1.0]),
    one_scale=st.booleans(),
)
def test_equals_scikit_learn(seed: int, N: int, D: int, noise: float, one_scale: bool) -> None:
    x, y, points = data(seed, N, D)
    scale = np.random.default_rng(seed).uniform(0.1, 2.0, () if one_scale else (D,))
    kernel = Matern(length_scale=scale, nu=2.5)
    theirs = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x, y)
    ours = GaussianProcess(x, y, length_scale=scale, noise=noise)
    mean, sd = ours.predict(points)
    their_mean, their_sd = theirs.predict(points, return_std=True)
    np.testing.assert_allclose(matern52(x, points, scale), kernel(x, points), atol=1e-13)
    np.testing.assert_allclose(mean, their_mean, atol=1e-8)
    np.testing.assert_allclose(sd, their_sd, atol=1e-8)
    assert ours.log_marginal() == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-8, rel=1e-10)


def test_log_marginal_is_the_density_of_a_multivariate_normal() -> None:
    x, y, _ = data(1, 6, 3)
    process = GaussianProcess(x, y, length_scale=0.4, noise=0.1)
    covariance = matern52(x, x, 0.4) + 0.1 * np.eye(6)
    assert process.log_marginal() == pytest.approx(multivariate_normal(cov=covariance).logpdf(y), abs=1e-10)


@settings(max_examples=60, deadline=None)
@given(mean=st.floats(-20, 20), sd=st.floats(1e-3, 20), best=st.floats(-20, 20))
def test_expected_improvement_is_the_area_under_the_distribution_function(
    mean: float, sd: float, best: float
) -> None:
    area, _ = quad(norm.cdf, -12, min(12.0, (best - mean) / sd), epsabs=1e-13)
    beyond = max(0.0, (best - mean) / sd - 12)  # where the distribution function is 1
    assert expected_improvement([mean], [sd], best)[0] == pytest.approx(sd * (area + beyond), abs=1e-9)


def test_expected_improvement_agrees_with_samples() -> None:
    draws = np.random.default_rng(0).normal(0.3, 0.8, 10**6)
    improvements = np.maximum(-0.1 - draws, 0)
    error = improvements.std() / 1000
    assert abs(expected_improvement([0.3], [0.8], -0.1)[0] - improvements.mean()) < 4 * error


# What they promise.


def test_by_hand() -> None:
    # One trial, −1, at correlation 0.8.
    scale = 0.5
    r = next(r for r in np.linspace(0, 3, 300_001) if (1 + r + r * r / 3) * math.exp(-r) <= 0.8)
    process = GaussianProcess([[0.0]], [-1.0], length_scale=scale, noise=0.0)
    mean, sd = process.predict([[scale * r / math.sqrt(5)]])
    assert mean[0] == pytest.approx(-0.8, abs=1e-4) and sd[0] == pytest.approx(0.6, abs=1e-4)
    assert expected_improvement(mean, sd, -1.0)[0] == pytest.approx(0.1525, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_without_noise_it_passes_through_the_observations(seed: int) -> None:
    x, y, points = data(seed, 6, 2)
    process = GaussianProcess(x, y, length_scale=0.3, noise=1e-10)
    mean, sd = process.predict(x)
    np.testing.assert_allclose(mean, y, atol=1e-5)
    assert (sd < 1e-3).all()
    assert (process.predict(points)[1] <= 1).all()


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, factor=st.floats(-100, 100))
def test_the_doubt_does_not_depend_on_the_losses(seed: int, factor: float) -> None:
    x, y, points = data(seed, 7, 2)
    before, after = GaussianProcess(x, y), GaussianProcess(x, factor * y[::-1])
    assert (before.predict(points)[1] == after.predict(points)[1]).all()


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_another_trial_never_raises_the_doubt(seed: int) -> None:
    x, y, points = data(seed, 8, 2)
    fewer, more = GaussianProcess(x[:7], y[:7], noise=0.01), GaussianProcess(x, y, noise=0.01)
    assert (more.predict(points)[1] <= fewer.predict(points)[1] + 1e-9).all()


@settings(max_examples=50, deadline=None)
@given(mean=st.floats(-9, 9), sd=st.floats(0, 9), more=st.floats(0, 9), best=st.floats(-9, 9))
def test_improvement_grows_with_doubt_and_with_a_lower_mean(
    mean: float, sd: float, more: float, best: float
) -> None:
    base, wider, lower = expected_improvement([mean, mean, mean - more], [sd, sd + more, sd], best)
    assert base >= max(best - mean, 0) - 1e-12
    assert wider >= base - 1e-12 and lower >= base - 1e-12


def test_certain_and_far_candidates() -> None:
    found = expected_improvement([-2.0, 0.0, 2.0, 1.0, -1.0], [0.0, 0.0, 0.0, 1e-300, 1e-300], 0.0)
    np.testing.assert_array_equal(found, [2.0, 0.0, 0.0, 0.0, 1.0])
    assert expected_improvement(np.zeros((2, 3)), np.ones((2, 3)), 0.0).shape == (2, 3)


def test_the_most_likely_length_scale_is_near_the_true_one() -> None:
    rng = np.random.default_rng(3)
    x = rng.random((60, 1))
    y = np.linalg.cholesky(matern52(x, x, 0.2) + 1e-6 * np.eye(60)) @ rng.normal(size=60)
    assert most_likely(x, y, (0.02, 0.2, 2.0)).length_scale == 0.2


def test_equal_losses_look_like_a_plain() -> None:
    """cos 6πx at 0, ⅓, ⅔ and 1 is 1, and falls by 2 in between."""
    x = np.array([[0.0], [1 / 3], [2 / 3], [1.0]])
    process = most_likely(x, np.zeros(4), (0.1, 0.2, 0.4, 0.8), 1e-4)
    mean, sd = process.predict([[1 / 6], [1 / 2]])
    assert process.length_scale == 0.8
    assert (mean == 0).all() and (sd < 0.1).all()


def test_the_search_recovers_from_a_plain() -> None:
    x = np.linspace(0, 1, 91)
    _, seen = minimize(np.cos(6 * np.pi * x).item, x[:, None], [0, 30, 60, 90], 8)
    assert seen[:4] == pytest.approx([1.0] * 4) and min(seen) < -0.95


# The search.


def test_finds_the_lowest_point_of_a_bowl_in_few_trials() -> None:
    losses = ((GRID - [0.28, 0.71]) ** 2).sum(axis=1)
    tried, seen = minimize(losses.item, GRID, [0, 14, 210, 224], 20)
    assert len(tried) == len(set(tried)) == 20 and tried[:4] == [0, 14, 210, 224]
    assert seen == [losses[i] for i in tried]
    assert min(seen) == losses.min()


def test_looks_up_only_what_it_tries_and_can_try_all() -> None:
    asked = []

    def loss(i: int) -> float:
        asked.append(i)
        return float(i % 3)

    tried, _ = minimize(loss, GRID[:9], [4], 9)
    assert asked == tried and sorted(tried) == list(range(9))


def test_does_not_depend_on_the_unit_of_the_loss() -> None:
    losses = np.cos(7 * GRID[:, 0]) + GRID[:, 1]
    tried, _ = minimize(losses.item, GRID, [3, 100], 10)
    other, _ = minimize((1000 * losses + 5e4).item, GRID, [3, 100], 10)
    assert tried == other


def test_equal_losses_and_another_acquisition() -> None:
    tried, _ = minimize(lambda i: 1.0, GRID, [0, 1], 5)
    assert len(set(tried)) == 5
    same, _ = minimize(lambda i: 0.1, GRID, [0, 1, 2], 5)  # the mean of 0.1, 0.1, 0.1 is not 0.1
    assert same == minimize(lambda i: 1.0, GRID, [0, 1, 2], 5)[0]
    tried, _ = minimize(lambda i: float(i), GRID, [0], 2, acquisition=lambda mean, sd, best: -sd)
    assert tried[1] in (1, 15)  # the neighbors of number 0, where doubt is least


def test_the_acquisition_sees_the_lowest_loss_in_standard_deviations() -> None:
    told = []

    def note(mean: np.ndarray, sd: np.ndarray, best: float) -> np.ndarray:
        told.append(best)
        return sd

    minimize([1.0, 2.0, 6.0, 4.0].__getitem__, GRID[:4], [0, 1, 2], 4, acquisition=note)
    assert told == [pytest.approx((1 - 3) / np.std([1, 2, 6]))]


@pytest.mark.parametrize("seed", range(5))
def test_rounding_makes_no_negative_variance(seed: int) -> None:
    x, y, _ = data(seed, 8, 2)
    assert np.isfinite(GaussianProcess(x, y, noise=0.0).predict(x)[1]).all()


# Bad input.


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([1.0, 2.0], [1.0, 2.0], {}, "matrix"),
        (np.zeros((0, 2)), [], {}, "matrix"),
        ([[math.nan]], [1.0], {}, "finite"),
        ([[1.0], [2.0]], [1.0], {}, "2 finite numbers"),
        ([[1.0]], [math.inf], {}, "diverged"),
        ([[1.0]], [1.0], {"noise": -1.0}, "noise"),
        ([[1.0]], [1.0], {"noise": math.inf}, "noise"),
        ([[1.0]], [1.0], {"length_scale": 0.0}, "length_scale"),
        ([[1.0]], [1.0], {"length_scale": (1.0, 2.0)}, "length_scale"),
        ([[1.0], [1.0]], [1.0, 2.0], {"noise": 0.0}, "too close"),
    ],
)
def test_refuses_unfit_observations(x: Any, y: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianProcess(x, y, **options)


def test_refuses_other_axes_and_no_scales() -> None:
    with pytest.raises(ValueError, match="same number of axes"):
        GaussianProcess([[1.0, 2.0]], [1.0]).predict([[1.0]])
    with pytest.raises(ValueError, match="length_scales is empty"):
        most_likely([[1.0]], [1.0], ())


@pytest.mark.parametrize(("mean", "sd"), [([1.0], [-1.0]), ([1.0], [math.nan]), ([1.0, 2.0], [1.0])])
def test_refuses_unfit_predictions(mean: Any, sd: Any) -> None:
    with pytest.raises(ValueError, match="sd must be at least 0"):
        expected_improvement(mean, sd, 0.0)


@pytest.mark.parametrize(("mean", "best"), [(math.nan, 0.0), (0.0, math.nan)])
def test_refuses_what_is_no_number(mean: float, best: float) -> None:
    with pytest.raises(ValueError, match="must not be NaN"):
        expected_improvement([mean], [1.0], best)


@pytest.mark.parametrize(
    ("first", "num_trials", "message"),
    [
        ([], 3, "first"),
        ([1, 1], 3, "first"),
        ([-1], 3, "first"),
        ([225], 3, "first"),
        ([0, 1], 1, "num_trials"),
        ([0], 226, "num_trials"),
    ],
)
def test_refuses_an_unfit_plan(first: list[int], num_trials: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        minimize(float, GRID, first, num_trials)


def test_refuses_a_loss_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="cap a loss"):
        minimize(lambda i: math.nan, GRID, [0, 1], 3)
    with pytest.raises(ValueError, match="got inf"):  # also when it comes last
        minimize(lambda i: float(i) if i < 2 else math.inf, GRID, [0, 1], 3)
