"""Mixup: train between the examples instead of on them."""

import numpy as np
from torch import Tensor


def mixup(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Each example of a batch mixed with a partner's: λ of its own and 1 − λ of the other, x and y alike.

    Args:
        x: (B, ...), floating point: pixels, embeddings, hidden states. Token ids have nothing between them.
        y: (B, K), each row a distribution over K classes; one-hot for hard labels.
        alpha: λ ~ Beta(alpha, alpha), one λ for the batch; 0 leaves the batch as it is.
        rng: the source of λ and of the partners.

    Returns:
        x' and y', shaped and typed as x and y, and λ. Gradients flow.

    Raises:
        TypeError: x or y is not floating point.
        ValueError: x and y differ in B, y has not two axes, the batch is empty, or alpha is out of range.

    Source: Zhang et al. (2018).
    """
    if not (x.is_floating_point() and y.is_floating_point()):
        raise TypeError(f"x and y must be floating point, got {x.dtype} and {y.dtype}: embed token ids, and "
                        "make labels one-hot with F.one_hot(labels, K).float()")  # fmt: skip
    if x.ndim < 1 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise ValueError(f"x must be (B, ...) and y (B, K), B at least 1, got {tuple(x.shape)} and "
                         f"{tuple(y.shape)}")  # fmt: skip
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha must be finite and not negative, got {alpha}")
    share = float(rng.beta(alpha, alpha)) if alpha > 0 else 1.0
    partner = rng.permutation(len(x))
    return share * x + (1 - share) * x[partner], share * y + (1 - share) * y[partner], share
