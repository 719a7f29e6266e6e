"""The noise of mini-batch gradients: how batches are drawn, how far they stray, and the batch size at which
noise and gradient weigh the same.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GradientNoise:
    """What a set of gradients says about one example: `noise` is the trace of the covariance, `signal` the
    squared norm of the mean gradient, both estimated without bias. `signal` can therefore be negative."""

    noise: float
    signal: float

    @property
    def scale(self) -> float:
        """noise / signal: the batch size at which a batch's noise equals the gradient, both squared.

        Infinite where the gradients cannot tell the mean gradient from zero.
        """
        return self.noise / self.signal if self.signal > 0 else float("inf")


def gradient_noise(gradients: Tensor, *, batch_size: int = 1) -> GradientNoise:
    """Noise and signal of one example's gradient, from gradients of independent batches.

    Args:
        gradients: (n, p), n at least 2; each row is the mean gradient of `batch_size` examples.
        batch_size: examples per row.

    Raises:
        TypeError: gradients are not floating point.
        ValueError: gradients are no matrix of at least two rows, are not finite, or batch_size is below 1.
    Source: McCandlish et al. (2018), the simple noise scale.
    """
    n = _check_gradients(gradients, at_least=2)
    _check_whole(batch_size=batch_size)
    rows = gradients.detach().double()
    mean = rows.mean(dim=0)  # (p,)
    row_noise = (rows - mean).square().sum() / (n - 1)  # the mean is fitted: n − 1
    signal = mean.square().sum() - row_noise / n  # the mean is noisy, too
    return GradientNoise(batch_size * row_noise.item(), signal.item())


def batch_variance(gradients: Tensor, batch_size: int, *, replace: bool = False) -> float:
    """E‖batch gradient − full gradient‖² over all batches of these n examples: exact, nothing is drawn.

    Without replacement it is (n − B)/(n − 1) · σ²/B, where σ² is the mean squared distance of an example's
    gradient from the full one; with replacement the first factor is missing.

    Args:
        gradients: (n, p), one row per example: all there are.
        batch_size: B, at most n without replacement.

    Raises:
        TypeError: gradients are not floating point.
        ValueError: gradients are no matrix with rows, are not finite, or no such batch can be drawn.
    """
    n = _check_gradients(gradients, at_least=1)
    _check_whole(batch_size=batch_size)
    rows = gradients.detach().double()
    variance = (rows - rows.mean(dim=0)).square().sum().item() / n  # σ²
    if replace:
        return variance / batch_size
    if batch_size > n:
        raise ValueError(f"batch_size must be at most n={n} without replacement, got {batch_size}")
    return (n - batch_size) / max(1, n - 1) * variance / batch_size


def epoch_batches(
    num_examples: int, batch_size: int, *, replace: bool = False, generator: torch.Generator
) -> Tensor:
    """Indices of one epoch's batches: a fresh shuffle dealt out, or independent draws.

    Args:
        num_examples: n.
        batch_size: B, at most n. If it does not divide n, the last n mod B of the shuffle are left out.
        replace: draw each index anew from all n.
        generator: on the CPU.

    Returns:
        (n // B, B), whole numbers.

    Raises:
        ValueError: a size is below 1, or batch_size above num_examples.
    """
    _check_whole(num_examples=num_examples, batch_size=batch_size)
    if batch_size > num_examples:
        raise ValueError(f"batch_size must be at most num_examples={num_examples}, got {batch_size}")
    shape = (num_examples // batch_size, batch_size)
    if replace:
        return torch.randint(num_examples, shape, generator=generator)
    order = torch.randperm(num_examples, generator=generator)
    return order[: shape[0] * batch_size].view(shape)


def _check_gradients(gradients: Tensor, *, at_least: int) -> int:
    """The number of rows."""
    if not gradients.is_floating_point():
        raise TypeError(f"gradients must be floating point, got {gradients.dtype}")
    if gradients.ndim != 2 or len(gradients) < at_least or gradients.size(1) == 0:
        raise ValueError(
            f"gradients must be (n, p) with n ≥ {at_least} and p ≥ 1, got shape {tuple(gradients.shape)}: "
            "flatten and join the parameters, one row per gradient"
        )
    if not gradients.isfinite().all():
        raise ValueError("gradients must be finite, got NaN or infinity: the loss has diverged")
    return len(gradients)


def _check_whole(**numbers: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1, got {value!r}")
