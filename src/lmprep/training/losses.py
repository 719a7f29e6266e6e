"""Cross-entropy from logits: stable, averaged over the tokens that count, and without the (N, V) logits.

What is ignored adds nothing to a loss and gets exactly zero gradient, whatever stands there. Where everything
is ignored the loss is 0; torch's `F.cross_entropy` returns NaN there, its 0/0.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def logsumexp(x: Tensor, dim: int = -1) -> Tensor:
    """log Σ exp(x) along one axis, which neither overflows nor underflows: the largest entry is factored out.

    Args:
        x: floating point, any shape.
        dim: the axis that goes.

    Returns:
        The shape of x without that axis, in its dtype; −inf where all entries are −inf.

    Raises:
        TypeError: x is not floating point.
        ValueError: x has no entry along the axis.
    """
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, got {x.dtype}")
    if x.ndim == 0 or x.size(dim) == 0:
        raise ValueError(f"x must have an entry along dim={dim}, got shape {tuple(x.shape)}")
    largest = x.detach().amax(dim, keepdim=True)  # the result does not depend on it: no gradient needed
    largest = largest.masked_fill(largest.isinf(), 0.0)  # inf − inf is NaN
    return (x - largest).exp().sum(dim).log() + largest.squeeze(dim)


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """−log softmax(logits)[target] in nats, averaged over the rows that are not ignored.

    Args:
        logits: (N, V), not probabilities. Half precision is computed and returned in float32.
        targets: (N,), from 0 to V − 1, or `ignore_index`.
        ignore_index: the target of rows that do not count.
        label_smoothing: ε; the target distribution is (1 − ε) · one-hot + ε / V.
        z_loss: coefficient of (log Σ exp(logits))², which keeps the logits from drifting; PaLM's is 1e-4.
        reduction: "mean", or "sum" to be divided by a count of your own.

    Returns:
        A scalar; 0 with zero gradient if every row is ignored.

    Raises:
        TypeError: logits are not floating point, or targets not `torch.long`.
        ValueError: shapes do not fit, the batch is empty, a target or an option is out of range.

    Source: Bridle (1990); label smoothing: Szegedy et al. (2016); z-loss: Chowdhery et al. (2023).
    """
    _check("logits", logits, targets, ignore_index)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, got {label_smoothing}")
    if not z_loss >= 0:
        raise ValueError(f"z_loss must not be negative, got {z_loss}")
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
    counts = targets != ignore_index
    logits, targets = logits[counts], targets[counts]  # (M, V), (M,)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    largest = logits.detach().amax(dim=1, keepdim=True)
    # logsumexp subtracts it too, but adds it back: its result and the target's logit, both near 10,000,
    # would differ by a loss rounded to 0.001. So it goes here, for good; it is in both terms.
    logits = logits - largest
    log_normalizer = logsumexp(logits)  # (M,)
    picked = logits[torch.arange(len(targets), device=logits.device), targets]  # gather would keep them all
    losses = log_normalizer - picked
    if label_smoothing:
        uniform = log_normalizer - logits.mean(dim=1)  # the loss if every class were as likely a target
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    if z_loss:
        losses = losses + z_loss * (log_normalizer + largest[:, 0]) ** 2
    return losses.sum() / (max(len(targets), 1) if reduction == "mean" else 1)


def chunked_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, chunk: int, ignore_index: int = -100
) -> Tensor:
    """`cross_entropy(hidden @ weight.T, targets)` with at most `chunk` rows of logits in memory at a time.

    A loop alone would not do: for the backward pass autograd keeps the logits of every chunk. Here the
    backward pass computes them once more, one matrix product in exchange for (N, V) numbers.

    Args:
        hidden: (N, D), what the model's head reads.
        weight: (V, D), the head's matrix.
        targets, ignore_index: as for `cross_entropy`.
        chunk: rows at a time, at least 1.

    Returns:
        A scalar, differentiable once, with respect to `hidden` and `weight`.

    Raises:
        TypeError, ValueError: as `cross_entropy`; or hidden and weight do not fit together, or chunk < 1.

    Source: Wijmans et al. (2025), who need not even one row of logits in memory.
    """
    if weight.ndim != 2 or weight.shape[1:] != hidden.shape[1:] or weight.dtype != hidden.dtype:
        raise ValueError(f"weight must be (V, D) and hidden (N, D), of one dtype, got {tuple(weight.shape)} "
                         f"{weight.dtype} and {tuple(hidden.shape)} {hidden.dtype}")  # fmt: skip
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    _check("hidden", hidden, targets, ignore_index, num_classes=weight.size(0))
    counts = targets != ignore_index
    loss: Tensor = ChunkedLoss.apply(hidden[counts], weight, targets[counts], chunk)
    return loss


class ChunkedLoss(torch.autograd.Function):
    """What `chunked_cross_entropy` applies: the mean over M rows that all count, and its gradient."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int) -> Tensor:
        ctx.save_for_backward(hidden, weight, targets)  # no logits
        ctx.chunk = chunk
        total = hidden.new_zeros((), dtype=torch.promote_types(hidden.dtype, torch.float32))
        for h, t in zip(hidden.split(chunk), targets.split(chunk), strict=True):
            if len(t):
                total += cross_entropy(h @ weight.mT, t, reduction="sum")
        return total / max(len(targets), 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden, weight, targets = ctx.saved_tensors
        d_hidden = torch.zeros_like(hidden)
        d_weight = torch.zeros_like(weight, dtype=upstream.dtype)
        for start in range(0, len(targets), ctx.chunk):
            rows = slice(start, start + ctx.chunk)
            h, t = hidden[rows], targets[rows]
            d_logits = (h @ weight.mT).to(upstream.dtype).softmax(dim=-1)  # (chunk, V): p …
            d_logits[range(len(t)), t] -= 1  # … − y
            d_logits = (d_logits * upstream / len(targets)).to(hidden.dtype)
            d_hidden[rows] = d_logits @ weight
            d_weight += d_logits.mT @ h
        return d_hidden, d_weight.to(weight.dtype), None, None


def _check(
    name: str, rows: Tensor, targets: Tensor, ignore_index: int, num_classes: int | None = None
) -> None:
    if not rows.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {rows.dtype}")
    if targets.dtype != torch.long:
        raise TypeError(f"targets must be torch.long class numbers, got {targets.dtype}")
    if rows.ndim != 2 or rows.numel() == 0:
        raise ValueError(f"{name} must have two axes, neither empty, got {tuple(rows.shape)}: "
                         "flatten (B, T, …) to (B·T, …)")  # fmt: skip
    if targets.shape != rows.shape[:1]:
        raise ValueError(f"targets must have shape ({rows.size(0)},), got {tuple(targets.shape)}")
    V = rows.size(1) if num_classes is None else num_classes
    wrong = targets[((targets < 0) | (targets >= V)) & (targets != ignore_index)]
    if len(wrong):
        raise ValueError(f"targets must be from 0 to {V - 1}, or {ignore_index} to be ignored, "
                         f"got {int(wrong[0])}")  # fmt: skip
