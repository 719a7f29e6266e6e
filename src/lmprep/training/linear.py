"""Penalized least squares: ridge and early stopping as filters, the lasso by coordinate descent.

In all of them the intercept is free, as it should be: X and y are centered, and b is set afterwards. Several
targets can be fitted at once, as the columns of y.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def soft_threshold(z: ArrayLike, amount: ArrayLike) -> Floats:
    """z moved towards 0 by `amount`, and exactly 0 where it was no farther away than that.

    It minimizes ½ (z − w)² + amount · |w| over w.

    Args:
        z: numbers, of any shape.
        amount: not negative, of a shape that broadcasts with z.

    Raises:
        ValueError: an amount is negative or NaN.

    Source: Donoho and Johnstone (1994).
    """
    if not np.all(np.asarray(amount) >= 0):
        raise ValueError(f"amount must not be negative or NaN, got {amount!r}")
    return np.sign(z) * np.maximum(np.abs(z) - amount, 0.0)


def ridge_factors(s: Floats, lam: float) -> Floats:
    """What ridge leaves of the least-squares fit along directions with singular values s.

    Args:
        s: (R,), above 0.
        lam: the penalty, not negative: ridge minimizes ‖y − b − Xw‖² + lam ‖w‖².

    Raises:
        ValueError: lam is negative, NaN or infinite.

    Source: Hoerl and Kennard (1970).
    """
    if not 0 <= lam < math.inf:
        raise ValueError(f"lam must be finite and not negative, got {lam}")
    return s**2 / (s**2 + lam)


def descent_factors(s: Floats, lr: float, steps: int) -> Floats:
    """What gradient descent from 0 has reached of the least-squares fit after some steps.

    Args:
        s: (R,), above 0.
        lr: the learning rate on ½ ‖y − b − Xw‖², above 0 and below 2 / s² for every s, or it would diverge.
        steps: from 0.

    Raises:
        ValueError: lr is not above 0 or too large, or steps is negative.

    Source: Yao, Rosasco and Caponnetto (2007).
    """
    if not 0 < lr * np.max(s, initial=0.0) ** 2 < 2 and s.size:
        raise ValueError(f"lr must be above 0 and below 2 / s² for every s, got {lr}")
    if steps < 0:
        raise ValueError(f"steps must not be negative, got {steps}")
    return 1 - (1 - lr * s**2) ** steps


def filtered_fit(X: ArrayLike, y: ArrayLike, factors: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
    """Least squares, with the part along each singular direction of X multiplied by a factor.

    Directions in which X does not vary get no weight, so all factors at 1 give the least-squares fit of
    least norm.

    Args:
        X: (N, D), finite.
        y: (N,) or (N, K), finite.
        factors: maps the singular values (R,) of the centered X that are not 0 to (R,).

    Returns:
        w (D,) or (D, K), and b, a number or (K,).

    Raises:
        ValueError: shapes do not fit, or a number is NaN or infinite.
    """
    x, target, finish = _centered(X, y)
    U, s, Vt = np.linalg.svd(x, full_matrices=False)  # (N, R), (R,), (R, D)
    varies = s > np.finfo(float).eps * max(x.shape) * s.max(initial=0.0)
    U, s, Vt = U[:, varies], s[varies], Vt[varies]
    coordinates = U.T @ target  # (R, K)
    return finish(Vt.T @ ((factors(s) / s)[:, None] * coordinates))


def ridge(X: ArrayLike, y: ArrayLike, lam: float) -> tuple[Floats, Floats]:
    """w and b that minimize ‖y − b − Xw‖² + lam ‖w‖²; with lam = 0, the least-squares fit of least norm.

    Args:
        X: (N, D), finite.
        y: (N,) or (N, K), finite.
        lam: not negative, in units of Σ x²; N times the penalty of a loss that is a mean.

    Returns:
        w (D,) or (D, K), and b, a number or (K,).

    Raises:
        ValueError: shapes do not fit, a number is NaN or infinite, or lam is negative.

    Source: Hoerl and Kennard (1970).
    """
    return filtered_fit(X, y, lambda s: ridge_factors(s, lam))


def lasso_cd(
    X: ArrayLike, y: ArrayLike, alpha: float, *, tol: float = 1e-10, max_sweeps: int = 10_000
) -> tuple[Floats, Floats]:
    """w and b that minimize ‖y − b − Xw‖² / 2N + alpha ‖w‖₁, by coordinate descent.

    Args:
        X: (N, D), finite. A feature that does not vary gets weight 0.
        y: (N,) or (N, K), finite.
        alpha: above 0.
        tol: ends when no step of a sweep moves the fit by more than tol times the target's standard
            deviation, root mean square over the examples.
        max_sweeps: at most so many passes over the coordinates.

    Returns:
        w (D,) or (D, K), and b, a number or (K,).

    Raises:
        ValueError: shapes do not fit, a number is NaN or infinite, or alpha, tol or max_sweeps is not
            above 0.
        RuntimeError: max_sweeps did not suffice.

    Source: Friedman, Hastie and Tibshirani (2010).
    """
    x, residual, finish = _centered(X, y)  # (N, D), (N, K)
    _positive(alpha=alpha, tol=tol, max_sweeps=max_sweeps)
    squares = (x**2).sum(axis=0)  # (D,)
    spread = np.sqrt((residual**2).sum(axis=0))
    w = np.zeros((x.shape[1], residual.shape[1]))
    for _ in range(max_sweeps):
        settled = True
        for j in np.flatnonzero(squares):
            old = w[j].copy()  # (K,)
            correlation = x[:, j] @ residual + squares[j] * old  # with feature j taken out of the fit
            w[j] = soft_threshold(correlation, len(x) * alpha) / squares[j]
            step = w[j] - old
            if step.any():
                residual -= np.outer(x[:, j], step)
                settled &= bool((np.abs(step) * math.sqrt(squares[j]) <= tol * spread).all())
        if settled:
            return finish(w)
    raise RuntimeError(f"not converged in {max_sweeps} sweeps: raise max_sweeps, tol or alpha")


def kkt_violation(X: ArrayLike, y: ArrayLike, w: ArrayLike, b: ArrayLike, alpha: float) -> float:
    """How far w and b are from the lasso's optimality conditions: 0 at the minimum, and only there.

    With the residual r = y − b − Xw, the mean of r must be 0, and x·r / N must be alpha · sign(w) for
    features in use and lie within ±alpha for the others. The largest excess is returned.

    Args:
        X: (N, D); y: (N,) or (N, K); w: (D,) or (D, K); b: a number or (K,).
        alpha: above 0.

    Raises:
        ValueError: shapes do not fit, a number is NaN or infinite, or alpha is not above 0.

    Source: Tibshirani (1996).
    """
    x, target = _examples(X, y)
    weights = np.asarray(w, dtype=np.float64)
    if weights.shape != (x.shape[1], *np.shape(y)[1:]):
        raise ValueError(f"w must have shape {(x.shape[1], *np.shape(y)[1:])}, got {weights.shape}")
    intercept = np.asarray(b, dtype=np.float64)
    if intercept.shape not in ((), np.shape(y)[1:]):
        raise ValueError(f"b must be a number or have shape {np.shape(y)[1:]}, got shape {intercept.shape}")
    if not (np.isfinite(weights).all() and np.isfinite(intercept).all()):
        raise ValueError("w and b must be finite: did the fit diverge?")
    weights = weights.reshape(x.shape[1], -1)  # (D, K)
    _positive(alpha=alpha)
    residual = target - intercept - x @ weights  # (N, K)
    correlation = x.T @ residual / len(x)  # (D, K)
    pull = np.abs(correlation - alpha * np.sign(weights))  # (D, K)
    off = np.where(weights == 0, pull - alpha, pull)
    return float(max(off.max(initial=0.0), np.abs(residual.mean(axis=0)).max()))


def _centered(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats, Callable[[Floats], tuple[Floats, Floats]]]:
    """X and y (N, K) without their means, and what turns weights (D, K) into the caller's w and b."""
    x, target = _examples(X, y)
    x_mean, y_mean = x.mean(axis=0), target.mean(axis=0)
    shape = np.shape(y)[1:]
    x = x - x_mean
    x[:, np.abs(x).max(axis=0) <= 1e-14 * np.abs(x_mean)] = 0.0  # rounding of a feature that does not vary

    def finish(w: Floats) -> tuple[Floats, Floats]:
        b = y_mean - x_mean @ w
        return w.reshape(x.shape[1], *shape), b.reshape(shape)

    return x, target - y_mean, finish


def _examples(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    x, target = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"X must have shape (N, D), neither 0, got {x.shape}")
    if target.ndim not in (1, 2) or len(target) != len(x) or not target.size:
        raise ValueError(f"y must have shape ({len(x)},) or ({len(x)}, K), got {target.shape}")
    for name, values in (("X", x), ("y", target)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite: fill in or drop what is NaN or infinite")
    return x, target.reshape(len(x), -1)


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"{name} must be finite and above 0, got {number}")
