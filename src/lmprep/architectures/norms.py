"""Layer norm and RMS norm, written out. The models use torch's, which are these in one kernel."""

from torch import Tensor


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Each vector less its mean, divided by its standard deviation, times `gain` plus `bias`.

    Args:
        x: (..., D), floating.
        gain, bias: (D,).
        eps: added to the variance, so that a constant vector gives `bias` and no NaN.

    Raises:
        TypeError: x is not floating.
        ValueError: gain or bias is not of shape (D,), or eps is negative.

    Source: Ba, Kiros and Hinton (2016).
    """
    _check(x, eps, gain=gain, bias=bias)
    centered = x - x.mean(dim=-1, keepdim=True)
    variance = centered.square().mean(dim=-1, keepdim=True)  # over D, not D − 1
    return centered / (variance + eps).sqrt() * gain + bias


def rms_norm(x: Tensor, gain: Tensor, eps: float = 1e-5) -> Tensor:
    """Each vector divided by its root mean square, times `gain`: no mean is taken off, no bias added.

    Args:
        x: (..., D), floating.
        gain: (D,).
        eps: added to the mean square, so that zeros give zeros and no NaN.

    Raises:
        TypeError: x is not floating.
        ValueError: gain is not of shape (D,), or eps is negative.

    Source: Zhang and Sennrich (2019).
    """
    _check(x, eps, gain=gain)
    return x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt() * gain


def _check(x: Tensor, eps: float, **vectors: Tensor) -> None:
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, got {x.dtype}")
    for name, vector in vectors.items():
        if x.ndim == 0 or vector.shape != x.shape[-1:]:
            raise ValueError(f"{name} must have shape (D,), D the last axis of x's {tuple(x.shape)}, "
                             f"got {tuple(vector.shape)}")  # fmt: skip
    if not eps >= 0:
        raise ValueError(f"eps must not be negative, got {eps}")
