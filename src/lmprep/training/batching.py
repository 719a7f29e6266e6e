"""Batches of sequences that differ in length: padding, grouping by length, one update from several parts."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)
Batch = TypeVar("Batch")


def pad_batch(sequences: Sequence[Tensor], pad: int) -> tuple[Tensor, Tensor]:
    """Sequences of token ids as the rows of one tensor, filled up with `pad` on the right.

    Args:
        sequences: B of them, each (T_i,), of one dtype and on one device; one may be empty.
        pad: the id that fills up. It may also occur as a token: the mask tells the two apart.

    Returns:
        ids (B, T) with T the longest length, and a boolean mask (B, T): True where a token stands.

    Raises:
        ValueError: there is no sequence, or one is not of shape (T_i,).
    """
    if not len(sequences):
        raise ValueError("sequences must hold at least one sequence, got none")
    for sequence in sequences:
        if sequence.ndim != 1:
            raise ValueError(f"sequences must have shape (T_i,), got {tuple(sequence.shape)}: one row each")
    first, longest = sequences[0], max(map(len, sequences))
    ids = first.new_full((len(sequences), longest), pad)
    mask = torch.zeros(len(sequences), longest, dtype=torch.bool, device=first.device)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = True
    return ids, mask


def bucket_batches(
    lengths: Tensor, max_tokens: int, *, generator: torch.Generator, pool: int | None = None
) -> list[Tensor]:
    """Batches of sequences of similar length, in random order; each sequence is in one of them.

    The sequences are shuffled, cut into pools, sorted by length within each pool, and taken one after the
    other into a batch until one more would make rows · longest length exceed `max_tokens`.

    Args:
        lengths: (N,) whole numbers from 1.
        max_tokens: the most tokens, padding included, in a padded batch.
        generator: the source of both orders, on the CPU.
        pool: sequences in a pool. 1 leaves them in random order; None sorts all, so that equal lengths alone
            change places from one epoch to the next.

    Returns:
        Tensors of indices, each (B,) with its own B.

    Raises:
        TypeError: lengths are no integers.
        ValueError: lengths are not of shape (N,), empty or below 1, pool is below 1, or a sequence alone is
            longer than `max_tokens`.
    Source: after Morishita et al. (2017), who compare such strategies.
    """
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths must be integers, got {lengths.dtype}")
    if lengths.ndim != 1 or len(lengths) == 0 or lengths.min() < 1:
        raise ValueError(f"lengths must have shape (N,) and be at least 1, got shape {tuple(lengths.shape)}"
                         + (f" and {int(lengths.min())}" if lengths.numel() else ""))  # fmt: skip
    if lengths.max() > max_tokens:
        raise ValueError(f"max_tokens must hold the longest sequence, {int(lengths.max())}, got {max_tokens}")
    if pool is not None and pool < 1:
        raise ValueError(f"pool must be at least 1, got {pool}")
    order = torch.randperm(len(lengths), generator=generator)
    pools = order.split(pool or len(order))
    order = torch.cat([part[lengths[part].argsort(stable=True)] for part in pools])

    batches: list[list[int]] = [[]]
    longest = 0
    for index in order.tolist():
        longest = max(longest, int(lengths[index]))
        if longest * (len(batches[-1]) + 1) > max_tokens:
            batches.append([])
            longest = int(lengths[index])
        batches[-1].append(index)
    return [torch.tensor(batches[k]) for k in torch.randperm(len(batches), generator=generator)]


def accumulate(
    model: Model,
    micro_batches: Iterable[Batch],
    loss_sum: Callable[[Model, Batch], Tensor],
    total: float | Tensor,
) -> Tensor:
    """Add the gradient of Σ loss_sum(model, micro-batch) / total to every `.grad`, a micro-batch at a time.

    Zero the gradients before it, and make one optimizer step after it.

    Args:
        micro_batches: the parts of one batch, each as `loss_sum` takes it.
        loss_sum: maps model and part to the *sum* of its tokens' losses, a scalar. If it gives a mean, the
            result is the gradient of another loss, unless all parts hold equally many tokens.
        total: what the sum over all parts is divided by, such as the number of tokens in the whole batch.

    Returns:
        The loss, a scalar without a graph.

    Raises:
        TypeError: `loss_sum` returns no tensor.
        ValueError: there is no micro-batch, the sum is not a scalar, or total is not above 0.
    Source: Ott et al. (2018), who call it delayed updates.
    """
    if not total > 0:
        raise ValueError(f"total must be above 0, got {total}: leave out a batch in which no token counts")
    loss = None
    for micro_batch in micro_batches:
        part = loss_sum(model, micro_batch)
        if not isinstance(part, Tensor):
            raise TypeError(
                f"loss_sum must return a tensor, got {type(part).__name__}: drop .item() or float()"
            )
        if part.ndim != 0:
            raise ValueError(f"loss_sum must return a scalar, got shape {tuple(part.shape)}: take its sum")
        part = part / total
        part.backward()  # lets go of this part's activations before the next ones are made
        loss = part.detach() if loss is None else loss + part.detach()
    if loss is None:
        raise ValueError("micro_batches is empty, or an iterator that has been gone through")
    return loss
