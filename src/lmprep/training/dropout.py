"""Dropout, and what it amounts to in a linear model."""

import torch
from torch import Tensor


def inverted_dropout(
    x: Tensor, p: float, *, training: bool = True, generator: torch.Generator | None = None
) -> Tensor:
    """Inverted dropout: each entry is 0 with probability p, and otherwise divided by 1 − p.

    The mean over masks is `x`, so nothing is done when not training. With the same random numbers it equals
    `torch.nn.functional.dropout`.

    Args:
        x: any shape, floating.
        p: probability of dropping an entry, from 0 to 1. At 1 the result is 0.
        training: whether to drop at all; otherwise `x` itself is returned.
        generator: of the masks, on the CPU; torch's global one when None.

    Raises:
        TypeError: `x` is not floating.
        ValueError: p is no probability.

    Source: Srivastava et al. (2014), who multiply by 1 − p in evaluation instead.
    """
    if not x.is_floating_point():
        raise TypeError(f"x must be floating, got {x.dtype}: a dropped entry is divided by 1 − p")
    if not 0 <= p <= 1:
        raise ValueError(f"p is the probability of dropping, from 0 to 1; got {p}")
    if not training or p == 0:
        return x
    keep = torch.empty(x.shape, dtype=x.dtype).bernoulli_(1 - p, generator=generator)
    if p < 1:
        keep = keep / (1 - p)
    return x * keep.to(x.device)


def dropout_ridge(features: Tensor, targets: Tensor, p: float) -> Tensor:
    """The weights of least squares with dropout on its features: they minimize the average over all masks.

    That average of the squared error is ‖y − Xw‖² + p/(1 − p) · Σⱼ wⱼ² ‖xⱼ‖², with xⱼ the j-th column of X.
    Its minimum solves (G + p/(1 − p) · diag G) w = Xᵀy, with G = XᵀX.

    Args:
        features: X, (N, d), floating. At p = 0 its columns must be independent; no column may be all zeros.
        targets: y, (N,) or (N, K), for K outputs at once, of the dtype of `features`.
        p: probability of dropping a feature, from 0 to below 1.

    Returns:
        (d,) or (d, K).

    Raises:
        TypeError: features are not floating, or targets are of another dtype.
        ValueError: p is out of range, a shape does not fit, or a column of X is 0 in every row or has a NaN.

    Source: Srivastava et al. (2014); Wager, Wang and Liang (2013).
    """
    if not 0 <= p < 1:
        raise ValueError(f"p is the probability of dropping, from 0 to below 1; got {p}")
    if features.ndim != 2 or targets.ndim not in (1, 2) or len(features) != len(targets):
        raise ValueError(
            "features must be (N, d) and targets (N,) or (N, K), got "
            f"{tuple(features.shape)} and {tuple(targets.shape)}"
        )
    if not features.is_floating_point() or features.dtype != targets.dtype:
        raise TypeError(f"both must be of one floating dtype, got {features.dtype} and {targets.dtype}")
    gram = features.T @ features  # (d, d)
    if not (gram.diagonal() > 0).all():
        raise ValueError("features has a column of zeros, whose weight nothing decides, or with NaN")
    return torch.linalg.solve(gram + p / (1 - p) * gram.diagonal().diag(), features.T @ targets)
