"""Attention rollout: where a position's information may come from, if weights alone decided."""

import torch
from torch import Tensor


def attention_rollout(weights: Tensor, *, residual: float = 0.5) -> Tensor:
    """Multiply the layers' attention maps, heads averaged, the residual counted as a link to oneself.

    It follows the weights and nothing else: values, output matrices and MLPs do not enter.

    Args:
        weights: (L, …, H, T, T), first layer first, as a model returns them; each row sums to 1. Any axes may
            stand between layers and heads, such as a batch's.
        residual: the share of each layer's output that is its input; the paper's is one half.

    Returns:
        (…, T, T): row i says how position i after the last layer shares its weight out over the input tokens.

    Raises:
        ValueError: weights have another shape, are empty, or are no distributions; or residual is not from 0
            to 1.

    Source: Abnar & Zuidema (2020), "Quantifying Attention Flow in Transformers".
    """
    if weights.ndim < 4 or weights.size(-1) != weights.size(-2) or weights.numel() == 0:
        raise ValueError(
            f"weights must have shape (L, …, H, T, T), none of them 0, got {tuple(weights.shape)}"
        )
    if not 0 <= residual <= 1:
        raise ValueError(f"residual must be from 0 to 1, got {residual}")
    sums = weights.sum(dim=-1)
    if not ((weights >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-2)):
        raise ValueError("each row of weights must be a distribution over keys: pass them after the softmax, "
                         "and leave out positions that attend to nothing")  # fmt: skip
    itself = torch.eye(weights.size(-1), dtype=weights.dtype, device=weights.device)
    rollout = itself
    for layer in weights.mean(dim=-3):  # (…, T, T)
        rollout = (residual * itself + (1 - residual) * layer) @ rollout
    return rollout
