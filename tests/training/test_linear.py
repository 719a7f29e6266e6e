"""Penalized least squares: equal to scikit-learn's, optimal by the conditions, and filters of directions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet, Lasso, Ridge

from lmprep.training.linear import (
    descent_factors,
    filtered_fit,
    kkt_violation,
    lasso_cd,
    ridge,
    ridge_factors,
    soft_threshold,
)


def problem(seed: int, N: int, D: int) -> tuple[Any, Any]:
    """Features of different means and scales, some of which matter."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D)) * rng.uniform(0.5, 2, D) + rng.uniform(-3, 3, D)
    return X, X[:, : (D + 1) // 2].sum(axis=1) + rng.standard_normal(N) + 4


def alpha_max(X: Any, y: Any) -> float:
    return float(np.abs((X - X.mean(axis=0)).T @ (y - y.mean())).max() / len(y))


# Soft threshold.


def test_soft_threshold_by_hand() -> None:
    np.testing.assert_array_equal(soft_threshold([3.0, 1.2, 0.8, -0.2, -2.5], 1.0), [2, 1.2 - 1, 0, 0, -1.5])
    assert soft_threshold(-0.5, 0.5) == 0
    np.testing.assert_array_equal(soft_threshold([[2.0], [1.0]], [0.0, 1.5]), [[2, 0.5], [1, 0]])


@given(z=st.floats(-5, 5), amount=st.floats(0, 3))
def test_soft_threshold_is_the_minimum(z: float, amount: float) -> None:
    w = np.append(np.linspace(-6, 6, 241), soft_threshold(z, amount))
    loss = 0.5 * (z - w) ** 2 + amount * np.abs(w)
    assert loss[-1] <= loss.min() + 1e-12


# Ridge and the filters.


@pytest.mark.parametrize(("N", "D"), [(20, 3), (5, 9), (1, 2), (7, 1)])
@pytest.mark.parametrize("lam", [0.01, 1.0, 1e4])
def test_ridge_equals_sklearn(N: int, D: int, lam: float) -> None:
    X, y = problem(1, N, D)
    w, b = ridge(X, y, lam)
    theirs = Ridge(lam, solver="cholesky").fit(X, y)
    np.testing.assert_allclose(w, theirs.coef_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(b, theirs.intercept_, rtol=0, atol=1e-8)
    assert w.shape == (D,)
    assert b.shape == ()


def test_several_targets_are_fitted_each_by_itself() -> None:
    X, y = problem(2, 15, 4)
    Y = np.column_stack([y, -2 * y, y**2])
    for fit in (ridge, lasso_cd):
        together, alone = fit(X, Y, 0.3), [fit(X, column, 0.3) for column in Y.T]
        for k, (w, b) in enumerate(alone):
            np.testing.assert_allclose(together[0][:, k], w, rtol=0, atol=1e-8)
            np.testing.assert_allclose(together[1][k], b, rtol=0, atol=1e-7)


def test_without_penalty_ridge_is_the_shortest_least_squares_fit() -> None:
    for N, D in ((12, 3), (4, 9)):
        X, y = problem(3, N, D)
        w, _ = ridge(X, y, 0.0)
        shortest = np.linalg.pinv(X - X.mean(axis=0)) @ (y - y.mean())
        np.testing.assert_allclose(w, shortest, rtol=0, atol=1e-9)


def test_ridge_is_the_mean_of_a_gaussian_posterior() -> None:
    """With the joint normal distribution of w and centered y, conditioned on y."""
    X, y = problem(4, 6, 3)
    x, noise, prior = X - X.mean(axis=0), 0.7, 1.3
    of_y = prior * x @ x.T + noise * np.eye(6)
    mean = prior * x.T @ np.linalg.solve(of_y, y - y.mean())
    np.testing.assert_allclose(ridge(X, y, noise / prior)[0], mean, rtol=0, atol=1e-10)


@given(lam=st.floats(1e-3, 1e3), more=st.floats(1.01, 10))
def test_a_larger_penalty_shrinks_the_weights(lam: float, more: float) -> None:
    X, y = problem(5, 8, 3)
    assert np.linalg.norm(ridge(X, y, more * lam)[0]) < np.linalg.norm(ridge(X, y, lam)[0])


@pytest.mark.parametrize("steps", [0, 1, 7, 300])
def test_descent_factors_are_gradient_descent(steps: int) -> None:
    X, y = problem(6, 9, 4)
    x, target, w = X - X.mean(axis=0), y - y.mean(), np.zeros(4)
    lr = 1 / np.linalg.norm(x, 2) ** 2
    for _ in range(steps):
        w = w + lr * x.T @ (target - x @ w)
    found, b = filtered_fit(X, y, lambda s: descent_factors(s, lr, steps))
    np.testing.assert_allclose(found, w, rtol=0, atol=1e-10)
    np.testing.assert_allclose(b, y.mean() - X.mean(axis=0) @ w, rtol=0, atol=1e-10)


@given(a=st.floats(1e-6, 0.1), steps=st.integers(1, 10**6))
def test_filters_are_close_where_steps_are_small(a: float, steps: int) -> None:
    s = np.array([np.sqrt(a)])
    descent, penalty = descent_factors(s, 1.0, steps), ridge_factors(s, 1 / steps)
    assert abs(descent - penalty).max() < 0.215


# Lasso.


@pytest.mark.parametrize(("N", "D"), [(30, 5), (10, 25), (2, 1)])
@pytest.mark.parametrize("share", [0.9, 0.2, 0.02])
def test_lasso_equals_sklearn(N: int, D: int, share: float) -> None:
    X, y = problem(7, N, D)
    alpha = share * alpha_max(X, y)
    w, b = lasso_cd(X, y, alpha, tol=1e-12)
    theirs = Lasso(alpha, tol=1e-14, max_iter=1_000_000).fit(X, y)
    np.testing.assert_allclose(w, theirs.coef_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(b, theirs.intercept_, rtol=0, atol=1e-5)
    assert kkt_violation(X, y, w, b, alpha) < 1e-8


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), N=st.integers(1, 12), D=st.integers(1, 6), share=st.floats(0.05, 1.5))
def test_lasso_meets_its_conditions(seed: int, N: int, D: int, share: float) -> None:
    X, y = problem(seed, N, D)
    alpha = max(share * alpha_max(X, y), 1e-3)
    w, b = lasso_cd(X, y, alpha)
    assert kkt_violation(X, y, w, b, alpha) <= 1e-6 * max(alpha, alpha_max(X, y))
    if share > 1:
        assert not w.any()
        assert np.isclose(b, y.mean())


def test_all_weights_are_zero_from_alpha_max_on() -> None:
    X, y = problem(8, 20, 6)
    largest = alpha_max(X, y)
    assert not lasso_cd(X, y, 1.0001 * largest)[0].any()
    assert np.count_nonzero(lasso_cd(X, y, 0.9999 * largest)[0]) == 1


def test_constant_and_copied_features() -> None:
    X, y = problem(9, 15, 3)
    for level in (0.0, 0.1, 1e3):
        w, b = lasso_cd(np.column_stack([np.full(15, level), X]), y, 0.1)
        assert w[0] == 0
        np.testing.assert_allclose(w[1:], lasso_cd(X, y, 0.1)[0], rtol=0, atol=1e-8)
    doubled = np.column_stack([X, X[:, 0]])
    w, b = lasso_cd(doubled, y, 0.1)
    assert kkt_violation(doubled, y, w, b, 0.1) < 1e-7
    np.testing.assert_allclose(w[0] + w[3], lasso_cd(X, y, 0.1)[0][0], rtol=0, atol=1e-7)


def test_kkt_notices_what_is_wrong() -> None:
    X, y = problem(10, 20, 4)
    alpha = 0.5 * alpha_max(X, y)
    w, b = lasso_cd(X, y, alpha)
    used = int(np.flatnonzero(w)[0])
    for wrong_w, wrong_b in (
        (w, b + 0.1),
        (np.where(np.arange(4) == used, 1.1 * w, w), b),
        (0 * w, y.mean()),
    ):
        assert kkt_violation(X, y, wrong_w, wrong_b, alpha) > 1e-3
    mixed = ElasticNet(alpha, l1_ratio=0.5, tol=1e-12).fit(X, y)
    assert kkt_violation(X, y, mixed.coef_, mixed.intercept_, alpha) > 1e-3


def test_inputs_stay_as_they_are() -> None:
    X, y = problem(11, 8, 3)
    before = X.copy(), y.copy()
    ridge(X, y, 1.0)
    lasso_cd(X, y, 0.1)
    kkt_violation(X, y, np.zeros(3), 0.0, 0.1)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


# Bad input.


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (np.ones(3), np.ones(3), "X must have shape"),
        (np.ones((0, 2)), np.ones(0), "X must have shape"),
        (np.ones((3, 2)), np.ones(4), "y must have shape"),
        (np.ones((3, 2)), np.ones((3, 1, 1)), "y must have shape"),
        (np.array([[1.0], [np.nan]]), np.ones(2), "X must be finite"),
        (np.ones((2, 1)), np.array([1.0, np.inf]), "y must be finite"),
    ],
)
def test_bad_data(X: Any, y: Any, words: str) -> None:
    for call in (
        lambda: ridge(X, y, 1.0),
        lambda: lasso_cd(X, y, 1.0),
        lambda: kkt_violation(X, y, 0, 0, 1.0),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_bad_settings() -> None:
    X, y = problem(12, 6, 2)
    for alpha in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="alpha must be finite and above 0"):
            lasso_cd(X, y, alpha)
    with pytest.raises(ValueError, match="lam must be finite"):
        ridge(X, y, -1.0)
    with pytest.raises(ValueError, match="amount must not be negative"):
        soft_threshold(1.0, -0.1)
    with pytest.raises(ValueError, match="tol must be finite and above 0"):
        lasso_cd(X, y, 0.1, tol=0.0)
    with pytest.raises(ValueError, match="max_sweeps must be finite and above 0"):
        lasso_cd(X, y, 0.1, max_sweeps=0)
    for s, lr in (([2.0, 1.0], 0.6), ([1.0], 0.0), ([1.0], np.nan)):
        with pytest.raises(ValueError, match="lr must be above 0 and below"):
            descent_factors(np.array(s), lr, 3)
    with pytest.raises(ValueError, match="steps must not be negative"):
        descent_factors(np.ones(2), 0.1, -1)
    with pytest.raises(ValueError, match="w must have shape"):
        kkt_violation(X, y, np.zeros(3), 0.0, 0.1)
    with pytest.raises(ValueError, match="b must be a number"):
        kkt_violation(X, y, np.zeros(2), np.zeros((6, 1)), 0.1)
    for w, b in ((np.full(2, np.nan), 0.0), (np.zeros(2), np.inf)):
        with pytest.raises(ValueError, match="w and b must be finite"):
            kkt_violation(X, y, w, b, 0.1)
    with pytest.raises(RuntimeError, match="raise max_sweeps"):
        lasso_cd(X, y, 1e-6, max_sweeps=1)
