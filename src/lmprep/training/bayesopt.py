"""Bayesian optimization over a list of candidates: a Gaussian process as the surrogate, expected improvement
as the acquisition function.

Points are rows of (N, D) arrays, best scaled so that each axis runs from 0 to 1. Losses are minimized.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import ndtr  # the normal distribution function Φ

Floats = NDArray[np.float64]
Acquisition = Callable[[Floats, Floats, float], Floats]


def matern52(a: ArrayLike, b: ArrayLike, length_scale: ArrayLike = 1.0) -> Floats:
    """Matérn covariance with ν = 5/2 between f at the points a and f at the points b; 1 where they coincide.

    Args:
        a, b: points, (N, D) and (M, D).
        length_scale: a positive number, or one for each of the D axes.

    Returns:
        (N, M): (1 + r + r²/3) exp(−r), where r is √5 times the distance in length scales.

    Raises:
        ValueError: a or b is no matrix of finite numbers, they differ in D, or a length scale is unfit.
    Source: Rasmussen and Williams (2006), eq. 4.17.
    """
    a, b = _points("a", a), _points("b", b)
    D = a.shape[1]
    if b.shape[1] != D:
        raise ValueError(f"a and b must have the same number of axes, got {D} and {b.shape[1]}")
    scale = np.asarray(length_scale, dtype=np.float64)
    if scale.shape not in ((), (D,)) or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"length_scale must be positive, one number or {D}, got {scale}")
    steps = (a[:, None] - b) / scale  # (N, M, D)
    r = math.sqrt(5) * np.sqrt((steps**2).sum(axis=-1))
    covariance: Floats = (1 + r + r**2 / 3) * np.exp(-r)
    return covariance


class GaussianProcess:
    """A Gaussian process with mean 0, variance 1 and the Matérn 5/2 kernel, given observations.

    Args:
        x: the points observed, (N, D).
        y: what was seen there, (N,): f plus independent normal noise.
        length_scale: of the kernel, a number, or one for each axis.
        noise: variance of the noise; a little also keeps the covariance matrix positive definite.

    Raises:
        ValueError: shapes do not fit, a number is not finite, or points nearly coincide and noise is too low.
    Source: Rasmussen and Williams (2006), algorithm 2.1.
    """

    def __init__(
        self, x: ArrayLike, y: ArrayLike, *, length_scale: ArrayLike = 0.3, noise: float = 1e-6
    ) -> None:
        self.x, self.y = _points("x", x), np.asarray(y, dtype=np.float64)
        self.length_scale = length_scale
        if self.y.shape != (len(self.x),) or not np.isfinite(self.y).all():
            raise ValueError(f"y must be {len(self.x)} finite numbers, got {y!r}: cap a loss that diverged")
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise is a variance, finite and at least 0, got {noise}")
        K = matern52(self.x, self.x, length_scale) + noise * np.eye(len(self.x))  # (N, N)
        try:
            self.L = np.linalg.cholesky(K)  # K = L Lᵀ
        except np.linalg.LinAlgError:
            raise ValueError(f"points too close together for noise={noise}: use 1e-6 or more") from None
        self.weights: Floats = cho_solve((self.L, True), self.y)  # K⁻¹ y

    def predict(self, points: ArrayLike) -> tuple[Floats, Floats]:
        """Mean and standard deviation of f, without noise, at `points` (M, D): (M,) each.

        Raises:
            ValueError: `points` is no matrix of finite numbers, or has not the axes of x.
        """
        k = matern52(self.x, points, self.length_scale)  # (N, M)
        v = solve_triangular(self.L, k, lower=True)  # vᵀv = kᵀ K⁻¹ k
        return k.T @ self.weights, np.sqrt(np.maximum(1 - (v**2).sum(axis=0), 0))

    def log_marginal(self) -> float:
        """Log density of y before any of it was seen, in nats: what length scales are compared by."""
        misfit, volume = self.y @ self.weights / 2, np.log(np.diag(self.L)).sum()
        return float(-misfit - volume - len(self.y) / 2 * math.log(2 * math.pi))


def expected_improvement(mean: ArrayLike, sd: ArrayLike, best: float) -> Floats:
    """The mean of max(best − f, 0) for normal f: how much lower than the best loss a trial is expected to be.

    Args:
        mean, sd: of f, of one shape; sd ≥ 0.
        best: the lowest loss so far.

    Raises:
        ValueError: an sd is negative, a number is NaN, or shapes differ.
    Source: Jones, Schonlau and Welch (1998), eq. 15.
    """
    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    if mean.shape != sd.shape or not (sd >= 0).all():
        raise ValueError(f"sd must be at least 0, in mean's shape {mean.shape}, got {sd} of shape {sd.shape}")
    gap = best - mean
    if np.isnan(gap).any():
        raise ValueError(f"mean and best must not be NaN, got mean {mean} and best {best}")
    with np.errstate(over="ignore"):  # far from the best, where the density is 0
        z = gap / np.where(sd > 0, sd, 1.0)
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.where(sd > 0, gap * ndtr(z) + sd * density, np.maximum(gap, 0.0))


def most_likely(
    x: ArrayLike, y: ArrayLike, length_scales: Sequence[float], noise: float = 1e-6
) -> GaussianProcess:
    """Of one Gaussian process for each length scale, the one with the highest log marginal likelihood.

    Raises:
        ValueError: there is no length scale, or as `GaussianProcess`.
    Source: Rasmussen and Williams (2006), section 5.4.1.
    """
    if len(length_scales) == 0:
        raise ValueError("length_scales is empty: give at least one to choose from")
    fitted = [GaussianProcess(x, y, length_scale=scale, noise=noise) for scale in length_scales]
    return max(fitted, key=GaussianProcess.log_marginal)


def minimize(
    loss: Callable[[int], float],
    candidates: ArrayLike,
    first: Sequence[int],
    num_trials: int,
    *,
    length_scales: Sequence[float] = (0.1, 0.2, 0.4, 0.8),
    noise: float = 1e-4,
    acquisition: Acquisition | None = None,
) -> tuple[list[int], list[float]]:
    """Try the candidates `first`, then, again and again, the untried one with the highest acquisition.

    The surrogate sees losses less their mean, over their standard deviation; so does the acquisition.

    Args:
        loss: what candidate number i costs; finite.
        candidates: points (N, D), scaled so that one length scale suits every axis.
        first: numbers of different candidates, such as a few drawn at random.
        num_trials: of all, those in `first` included; at most N.
        length_scales: to choose from anew after each trial, by marginal likelihood.
        noise: variance of the noise over that of the losses seen.
        acquisition: maps means (N,), standard deviations (N,) and the lowest loss to scores (N,);
            `expected_improvement` when None.

    Returns:
        The candidates tried and their losses, in order.

    Raises:
        ValueError: `first` is empty or holds a number twice or out of range, num_trials does not fit, or a
            loss is not finite.
    Source: Jones, Schonlau and Welch (1998); the kernel and the scaling as in Snoek et al. (2012).
    """
    points, tried = _points("candidates", candidates), [int(i) for i in first]
    if not tried or len(set(tried)) < len(tried) or not set(tried) <= set(range(len(points))):
        raise ValueError(f"first must be different numbers below {len(points)}, at least one, got {first}")
    if not len(tried) <= num_trials <= len(points):
        raise ValueError(f"num_trials must be from {len(tried)} to {len(points)}, got {num_trials}")
    acquisition = acquisition or expected_improvement

    def run(i: int) -> float:
        found = float(loss(i))
        if not math.isfinite(found):
            raise ValueError(f"loss({i}) must be finite, got {found}: cap a loss that diverged")
        return found

    losses = [run(i) for i in tried]
    while len(tried) < num_trials:
        y = np.array(losses) - np.mean(losses)
        y /= np.std(losses) if min(losses) < max(losses) else 1.0
        mean, sd = most_likely(points[tried], y, length_scales, noise).predict(points)
        score = np.array(acquisition(mean, sd, y.min()))
        score[tried] = -np.inf
        tried.append(int(score.argmax()))
        losses.append(run(tried[-1]))
    return tried, losses


def _points(name: str, value: ArrayLike) -> Floats:
    points = np.asarray(value, dtype=np.float64)
    if points.ndim != 2 or points.size == 0 or not np.isfinite(points).all():
        raise ValueError(f"{name} must be a matrix (N, D) of finite numbers, not empty, got {points.shape}")
    return points
