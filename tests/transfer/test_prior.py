"""A source as a prior: ridge around it against scikit-learn and simulation, and networks side by side."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from lmprep.training.optim import Adam
from lmprep.transfer.prior import (
    Networks,
    biased_ridge,
    expected_error,
    leave_one_out,
    noisy_examples,
    train_networks,
)

SIZES = [(20, 6), (5, 9), (1, 3), (4, 1)]


def problem(seed: int, N: int, D: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, D)) + 0.5, rng.standard_normal(N) + 2, rng.uniform(1, 2, D)


# Biased ridge.


@pytest.mark.parametrize(("N", "D"), SIZES)
@pytest.mark.parametrize("lam", [0.01, 1.0, 1e4])
def test_is_sklearns_ridge_on_residuals(N: int, D: int, lam: float) -> None:
    X, y, source = problem(1, N, D)
    theirs = Ridge(lam, fit_intercept=False, solver="cholesky").fit(X, y - X @ source).coef_ + source
    np.testing.assert_allclose(biased_ridge(X, y, source, lam), theirs, rtol=0, atol=1e-8)


def test_limits() -> None:
    X, y, source = problem(2, 12, 4)
    np.testing.assert_allclose(biased_ridge(X, y, source, 1e12), source, atol=1e-9)
    np.testing.assert_allclose(biased_ridge(X, y, source, 1e-10), np.linalg.lstsq(X, y)[0], atol=1e-8)
    X, y, source = problem(3, 3, 7)
    nearest = source + np.linalg.pinv(X) @ (y - X @ source)
    np.testing.assert_allclose(biased_ridge(X, y, source, 1e-7), nearest, atol=1e-5)


@given(seed=st.integers(0, 10**6), N=st.integers(1, 8), D=st.integers(1, 6), lam=st.floats(0.01, 100))
def test_no_other_weights_are_better(seed: int, N: int, D: int, lam: float) -> None:
    X, y, source = problem(seed, N, D)
    w = biased_ridge(X, y, source, lam)

    def loss(w: Any) -> Any:
        return ((y - X @ w) ** 2).sum() + lam * ((w - source) ** 2).sum()

    for step in np.vstack([np.eye(D), -np.eye(D)]) * 1e-2:
        assert loss(w + step) > loss(w)


def test_is_the_mean_of_a_gaussian_posterior() -> None:
    X, y, source = problem(4, 6, 3)
    noise, prior = 0.7, 1.3  # variances
    of_y = prior * X @ X.T + noise * np.eye(6)
    mean = source + prior * X.T @ np.linalg.solve(of_y, y - X @ source)
    np.testing.assert_allclose(biased_ridge(X, y, source, noise / prior), mean, rtol=0, atol=1e-10)


# Its expected error.


@pytest.mark.parametrize(("N", "D"), [(12, 5), (4, 8)])
def test_expected_error_is_what_a_simulation_finds(N: int, D: int) -> None:
    rng = np.random.default_rng(5)
    X, offset = rng.standard_normal((N, D)), rng.standard_normal(D)
    target = rng.standard_normal(D)
    fits = [biased_ridge(X, X @ target + 0.8 * rng.standard_normal(N), target + offset, 2.0) - target
            for _ in range(4000)]  # fmt: skip
    bias, variance = expected_error(X, offset, 0.8, 2.0)
    assert bias == pytest.approx((np.mean(fits, axis=0) ** 2).sum(), rel=0.05)
    assert variance == pytest.approx(np.var(fits, axis=0).sum(), rel=0.05)


def test_bias_and_variance_by_hand() -> None:
    # x² = 4, lam = 4: half of the offset is left; the gain is 2 / 8, so variance 0.25² · 3².
    assert expected_error([[2.0]], [3.0], 3.0, 4.0) == pytest.approx((2.25, 0.5625))


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), ratio=st.floats(0.1, 3))
def test_over_rotations_only_the_distance_counts(seed: int, ratio: float) -> None:
    """The average over directions is that over an orthogonal basis."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((5, 4))
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    near, far = (np.mean([expected_error(X, r * v, 0.5, 2.0)[0] for v in basis]) for r in (1.0, ratio))
    assert far == pytest.approx(ratio**2 * near, rel=1e-9)


def test_the_best_penalty() -> None:
    """D σ² / distance² is best on average over directions, for N above and below D."""
    rng = np.random.default_rng(6)
    for N in (3, 9):
        X = rng.standard_normal((N, 5))
        best = 5 * 0.5**2 / 2.0**2
        risks = [np.mean([sum(expected_error(X, 2.0 * v, 0.5, c * best)) for v in np.eye(5)])
                 for c in (0.8, 1.0, 1.25)]  # fmt: skip
        assert risks[1] == min(risks)


def test_without_a_penalty_it_is_least_squares() -> None:
    """Over Gaussian inputs, D σ² / (N − D − 1), the mean of an inverse Wishart matrix."""
    rng = np.random.default_rng(7)
    found = [sum(expected_error(rng.standard_normal((20, 4)), np.ones(4), 1.5, 1e-9)) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(4 * 1.5**2 / 15, rel=0.05)


# The problem, and leave-one-out.


def test_noisy_examples() -> None:
    target, scale = np.array([1.0, -2.0, 0.5]), np.array([3.0, 1.0, 0.2])
    X, y = noisy_examples(4000, target, scale, 0.5, np.random.default_rng(8))
    assert X.shape == (4000, 3)
    np.testing.assert_allclose(np.cov(X.T), np.diag(scale**2), atol=0.4)
    np.testing.assert_allclose(X.std(axis=0), scale, rtol=0.05)
    np.testing.assert_allclose((y - X @ target).std(), 0.5, rtol=0.05)
    X, y = noisy_examples(2, target, scale, 0.0, np.random.default_rng(9))
    np.testing.assert_allclose(y, X @ target)


@pytest.mark.parametrize(("N", "D"), [(6, 3), (4, 7)])
def test_leave_one_out_equals_refitting(N: int, D: int) -> None:
    X, y, source = problem(10, N, D)
    centers, lams = np.vstack([np.zeros(D), source]), (0.5, 20.0)
    errors, weights = leave_one_out(X, y, centers, lams)
    assert errors.shape == (2, 2)
    assert weights.shape == (2, 2, D)
    for i, lam in enumerate(lams):
        for j, center in enumerate(centers):
            np.testing.assert_allclose(weights[i, j], biased_ridge(X, y, center, lam), atol=1e-10)
            left = [
                y[n] - X[n] @ biased_ridge(np.delete(X, n, 0), np.delete(y, n), center, lam) for n in range(N)
            ]
            np.testing.assert_allclose(errors[i, j], np.mean(np.square(left)), rtol=1e-9)


# Networks.


def networks(seed: int = 0, R: int = 3) -> Networks:
    return Networks(R, (5, 4, 3), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("R", "sizes"), [(0, (5, 4, 3)), (3, (5, 0, 3))])
def test_networks_of_no_size_are_refused(R: int, sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Networks(R, sizes, torch.Generator())


def data(R: int = 3, N: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(R, N, 5, generator=g), torch.randint(3, (R, N), generator=g)


def test_each_network_trains_as_it_would_alone() -> None:
    together, (x, y) = networks(), data()
    start = [parameter.detach().clone() for parameter in together.parameters()]
    train_networks(together, [(x, y)], lr=0.01, num_steps=5)
    for r in range(3):
        base, base_bias, head, head_bias = (weight[r].clone().requires_grad_() for weight in start)
        optimizer = Adam([base, base_bias, head, head_bias], lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            logits = F.linear(F.relu(F.linear(x[r], base.mT, base_bias[0])), head.mT, head_bias[0])
            F.cross_entropy(logits, y[r]).backward()
            optimizer.step()
        torch.testing.assert_close(together.base[r], base, rtol=0, atol=1e-6)
        torch.testing.assert_close(together.head_bias[r], head_bias, rtol=0, atol=1e-6)


def test_a_frozen_base_stays() -> None:
    model = networks()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    train_networks(model, [data()], lr=0.01, num_steps=3, frozen=True)
    for name, weight in model.named_parameters():
        assert torch.equal(before[name], weight) == name.startswith("base")


def test_networks_start_within_their_fan_in() -> None:
    model = Networks(200, (5, 4, 3), torch.Generator().manual_seed(2))
    for weight, fan_in in ((model.base, 5), (model.base_bias, 5), (model.head, 4), (model.head_bias, 4)):
        assert 0.9 * fan_in**-0.5 < weight.abs().max() <= fan_in**-0.5
    assert model(torch.zeros(200, 7, 5)).shape == (200, 7, 3)


# Bad input.


@pytest.mark.parametrize(
    ("X", "y", "source", "lam", "words"),
    [
        (np.ones(3), np.ones(3), np.ones(1), 1.0, "X must have 2 axes"),
        (np.ones((0, 2)), np.ones(0), np.ones(2), 1.0, "X must have 2 axes and not be empty"),
        (np.ones((3, 2)), np.ones(4), np.ones(2), 1.0, "y must have shape"),
        (np.ones((3, 2)), np.ones(3), np.ones(3), 1.0, "must have shape"),
        (np.array([[1.0], [np.nan]]), np.ones(2), np.ones(1), 1.0, "X must be finite"),
        (np.ones((3, 2)), np.ones(3), np.array([np.inf, 0]), 1.0, "must be finite"),
        (np.ones((3, 2)), np.ones(3), np.ones(2), 0.0, "lam must be finite and above 0"),
        (np.ones((3, 2)), np.ones(3), np.ones(2), np.nan, "lam must be finite and above 0"),
    ],
)
def test_bad_data(X: Any, y: Any, source: Any, lam: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        biased_ridge(X, y, source, lam)
    with pytest.raises(ValueError, match=words):
        leave_one_out(X, y, source[None], [lam])


def test_bad_settings() -> None:
    X, offset = np.ones((3, 2)), np.ones(2)
    for arguments, words in (
        ((X, np.ones(3), 1.0, 1.0), "offset must have shape"),
        ((X, offset, -1.0, 1.0), "noise must be finite"),
        ((X, offset, 1.0, -1.0), "lam must be finite"),
    ):
        with pytest.raises(ValueError, match=words):
            expected_error(*arguments)
    with pytest.raises(ValueError, match="lams must hold"):
        leave_one_out(X, np.ones(3), offset[None], [])
    random = np.random.default_rng(0)
    for N, target, scale, noise, words in (
        (0, [1.0], [1.0], 1.0, "N must be at least 1"),
        (3, [1.0], [0.0], 1.0, "scale must have shape"),
        (3, [1.0], [1.0, 1.0], 1.0, "scale must have shape"),
        (3, [np.nan], [1.0], 1.0, "target must be finite"),
        (3, [1.0], [1.0], -1.0, "noise must be finite and not negative"),
    ):
        with pytest.raises(ValueError, match=words):
            noisy_examples(N, target, scale, noise, random)
