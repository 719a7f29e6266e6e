"""A source as a prior: ridge that shrinks towards its weights, and the error to expect of it.

Below that, small networks side by side, to try the same question where no formula holds.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from lmprep.training.loop import History, fit
from lmprep.training.optim import Adam

Floats = NDArray[np.float64]


def biased_ridge(X: ArrayLike, y: ArrayLike, w_source: ArrayLike, lam: float) -> Floats:
    """The w that minimizes ‖y − Xw‖² + lam ‖w − w_source‖²; there is no intercept.

    Args:
        X: (N, D), finite; N may be below D.
        y: (N,), finite.
        w_source: (D,), finite; zeros give ordinary ridge.
        lam: above 0, in units of Σ x².

    Returns:
        w (D,), float64.

    Raises:
        ValueError: shapes do not fit, a number is NaN or infinite, or lam is not above 0.

    Source: Chelba and Acero (2004), for log-linear models; Li, Grandvalet and Davoine (2018), for networks.
    """
    x, target, source = _finite("X", X, 2), _finite("y", y, 1), _finite("w_source", w_source, 1)
    if target.shape != x.shape[:1]:
        raise ValueError(f"y must have shape ({len(x)},), as X has {len(x)} rows, got {target.shape}")
    if source.shape != x.shape[1:]:
        raise ValueError(f"w_source must have shape ({x.shape[1]},), got {source.shape}")
    _positive(lam=lam)
    correction = np.linalg.solve(x.T @ x + lam * np.eye(x.shape[1]), x.T @ (target - x @ source))
    return source + correction


def expected_error(X: ArrayLike, offset: ArrayLike, noise: float, lam: float) -> tuple[float, float]:
    """Squared bias and variance of `biased_ridge` for given inputs, over the noise in y.

    Their sum is the expected squared distance of the weights from the target's. For new inputs x with
    E[x xᵀ] = I it is also the expected squared error of predictions, noise not counted.

    Args:
        X: (N, D), finite, the inputs fitted on.
        offset: (D,), finite: the source's weights minus the target's.
        noise: standard deviation of y around Xw, not negative.
        lam: above 0.

    Raises:
        ValueError: shapes do not fit, or a number is NaN, infinite or out of range.

    Source: Hoerl and Kennard (1970), with another center.
    """
    x, away = _finite("X", X, 2), _finite("offset", offset, 1)
    if away.shape != x.shape[1:]:
        raise ValueError(f"offset must have shape ({x.shape[1]},), got {away.shape}")
    _not_negative(noise=noise)
    _positive(lam=lam)
    A = x.T @ x + lam * np.eye(x.shape[1])
    bias = lam * np.linalg.solve(A, away)  # what is left of the offset
    gain = np.linalg.solve(A, x.T)  # (D, N), from noise in y to error in w
    return float(bias @ bias), float(noise**2 * (gain**2).sum())


def noisy_examples(
    N: int, target: ArrayLike, scale: ArrayLike, noise: float, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Examples of a linear target: independent Gaussian inputs, and outputs with Gaussian noise.

    Args:
        N: examples.
        target: (D,), finite: the weights behind y.
        scale: (D,), standard deviations of the inputs, above 0.
        noise: standard deviation of y around X target, not negative.
        random: where all is drawn from.

    Returns:
        X (N, D) and y (N,).

    Raises:
        ValueError: N is below 1, shapes do not fit, or a scale or the noise is out of range.
    """
    weights, spread = _finite("target", target, 1), _finite("scale", scale, 1)
    if spread.shape != weights.shape or not (spread > 0).all():
        raise ValueError(f"scale must have shape {weights.shape} and be above 0, got {spread}")
    if N < 1:
        raise ValueError(f"N must be at least 1, got {N}")
    _not_negative(noise=noise)
    X = random.standard_normal((N, len(weights))) * spread
    return X, X @ weights + noise * random.standard_normal(N)


def leave_one_out(
    X: ArrayLike, y: ArrayLike, centers: ArrayLike, lams: Sequence[float]
) -> tuple[Floats, Floats]:
    """Biased ridge for every penalty and center, with its leave-one-out error, without refitting.

    A left-out example's residual is its residual in the full fit, over one minus its entry on the diagonal
    of X (XᵀX + lam I)⁻¹ Xᵀ: leaving it out changes that inverse by a matrix of rank one.

    Args:
        X: (N, D), finite.
        y: (N,), finite.
        centers: (C, D), finite, such as zero and some sources.
        lams: L penalties, above 0.

    Returns:
        The mean squared errors (L, C), and the weights (L, C, D).

    Raises:
        ValueError: shapes do not fit, a number is NaN or infinite, or a penalty is not above 0.
    """
    x, target, starts = _finite("X", X, 2), _finite("y", y, 1), _finite("centers", centers, 2)
    if target.shape != x.shape[:1]:
        raise ValueError(f"y must have shape ({len(x)},), as X has {len(x)} rows, got {target.shape}")
    if starts.shape[1] != x.shape[1]:
        raise ValueError(f"centers must have shape (C, {x.shape[1]}), got {starts.shape}")
    if not len(lams):
        raise ValueError("lams must hold at least one penalty")
    U, s, Vt = np.linalg.svd(x, full_matrices=False)  # one for all penalties
    residual = target[:, None] - x @ starts.T  # (N, C)
    rotated = U.T @ residual
    errors, weights = [], []
    for lam in lams:
        _positive(lam=lam)
        shrunk = s / (s**2 + lam)  # X (XᵀX + lam I)⁻¹ Xᵀ is U diag(s · shrunk) Uᵀ
        fitted = U @ ((s * shrunk)[:, None] * rotated)
        left = (residual - fitted) / (1 - U**2 @ (s * shrunk))[:, None]
        errors.append((left**2).mean(axis=0))
        weights.append(starts + (Vt.T @ (shrunk[:, None] * rotated)).T)
    return np.array(errors), np.array(weights)


class Networks(nn.Module):
    """R classifiers with one hidden layer, side by side; weights start uniform within ± 1/√fan-in.

    Args:
        R: how many.
        sizes: inputs, hidden units (ReLU) and classes.
        generator: of the weights, on the CPU.

    Raises:
        ValueError: R or a size is below 1.
    """

    def __init__(self, R: int, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        if min(R, *sizes) < 1:
            raise ValueError(f"R and sizes must be at least 1, got {R} and {sizes}")
        inputs, hidden, classes = sizes

        def uniform(fan_in: int, rows: int, columns: int) -> nn.Parameter:
            return nn.Parameter((2 * torch.rand(R, rows, columns, generator=generator) - 1) / fan_in**0.5)

        self.base = uniform(inputs, inputs, hidden)
        self.base_bias = uniform(inputs, 1, hidden)
        self.head = uniform(hidden, hidden, classes)
        self.head_bias = uniform(hidden, 1, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (R, N, K) of inputs (R, N, D), each network's own."""
        features = (x @ self.base + self.base_bias).relu()
        return features @ self.head + self.head_bias


def train_networks(
    networks: Networks,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    lr: float,
    num_steps: int,
    frozen: bool = False,
) -> History:
    """Train all networks with Adam, in place; with a frozen base, only their heads.

    Adam moves each number by its own gradients, so the networks do not touch one another.

    Args:
        networks: R of them.
        batches: of inputs (R, N, D) and labels (R, N), each network's own, started again when they end.
        lr: the learning rate.
        num_steps: updates.
        frozen: leaves the base out of the optimizer.
    """

    def loss(model: Networks, batch: tuple[Tensor, Tensor]) -> Tensor:
        each = F.cross_entropy(model(batch[0]).mT, batch[1], reduction="none")  # (R, N)
        return each.mean(dim=1).sum()  # each network's gradient is that of its own mean

    trained = [networks.head, networks.head_bias] if frozen else list(networks.parameters())
    return fit(networks, batches, loss, optimizer=Adam(trained, lr=lr), num_steps=num_steps)


def _finite(name: str, values: ArrayLike, ndim: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or not array.size:
        raise ValueError(f"{name} must have {ndim} axes and not be empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite: fill in or drop what is NaN or infinite")
    return array


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"{name} must be finite and above 0, got {number}")


def _not_negative(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 <= number < math.inf:
            raise ValueError(f"{name} must be finite and not negative, got {number}")
