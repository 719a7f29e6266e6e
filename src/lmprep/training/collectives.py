"""What data-parallel devices send one another, counted: the ring, and training with sharded optimizer states.

The ranks are entries of a list in one process, and each transfer between two of them goes through a function
`send`, which may count it. For ranks that are processes of their own see `distributed`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmprep.training.optim import Optimizer

Send = Callable[[int, int, Tensor], Tensor]


class Wire:
    """A `send` that delivers a copy and counts.

    Attributes:
        sent: numbers that each rank has sent, (n,).
        links: the pairs (source, destination) that were used.
    """

    def __init__(self, num_ranks: int) -> None:
        self.sent = torch.zeros(num_ranks, dtype=torch.long)
        self.links: set[tuple[int, int]] = set()

    def __call__(self, source: int, destination: int, chunk: Tensor) -> Tensor:
        self.sent[source] += chunk.numel()
        self.links.add((source, destination))
        return chunk.clone()


def reduce_scatter(arrays: Sequence[Tensor], send: Send) -> list[Tensor]:
    """Of n arrays, one per rank, give rank r the r-th n-th of their sum.

    In step s = 0 … n − 2, every rank r sends chunk r − s − 1 (mod n) to rank r + 1, which adds its own. Each
    chunk so visits all ranks and ends, complete, at the rank of its number.

    Args:
        arrays: n tensors of one shape (L,); they are not changed. Chunks differ by one number where n does
            not divide L.
        send: called with source, destination and chunk; returns what arrives.

    Raises:
        ValueError: there is no array, or they are not of one shape (L,).
    """
    chunks = _split(arrays)
    n = len(arrays)
    for step in range(n - 1):
        for rank in range(n):
            index, right = (rank - step - 1) % n, (rank + 1) % n
            chunks[right][index] = chunks[right][index] + send(rank, right, chunks[rank][index])
    return [chunks[rank][rank].clone() for rank in range(n)]


def all_gather(shards: Sequence[Tensor], send: Send) -> list[Tensor]:
    """Give all ranks the shards of all, one after the other.

    In step s = 0 … n − 2, every rank r sends shard r − s (mod n) to rank r + 1.

    Args:
        shards: n tensors (L_r,), one per rank.
        send: called with source, destination and shard; returns what arrives.

    Returns:
        n tensors (ΣL_r,), equal.
    """
    n = len(shards)
    held: list[dict[int, Tensor]] = [{rank: shards[rank]} for rank in range(n)]
    for step in range(n - 1):
        for rank in range(n):
            index, right = (rank - step) % n, (rank + 1) % n
            held[right][index] = send(rank, right, held[rank][index])
    return [torch.cat([pieces[index] for index in range(n)]) for pieces in held]


def ring_all_reduce(arrays: Sequence[Tensor], send: Send) -> list[Tensor]:
    """Give all ranks the sum of n arrays, one per rank: `reduce_scatter`, then `all_gather`.

    Each rank sends 2(n − 1)/n times its array, all of it to its right neighbor.

    Args, raises: as `reduce_scatter`.

    Source: Patarasuk & Yuan (2009).
    """
    return all_gather(reduce_scatter(arrays, send), send)


def zero1_step(
    shards: Sequence[Tensor], gradients: Sequence[Tensor], optimizers: Sequence[Optimizer], send: Send
) -> list[Tensor]:
    """One update in which rank r keeps optimizer states for the r-th n-th of the weights alone.

    Args:
        shards: n tensors, rank r's part of the weights (chunks as in `reduce_scatter`), updated in place.
        gradients: n tensors (L,), what each rank's own batch says of all weights.
        optimizers: n, the r-th of which trains `shards[r]`.
        send: as in `reduce_scatter`.

    Returns:
        n tensors (L,): each rank's copy of all the new weights.

    Source: Rajbhandari et al. (2020), ZeRO stage 1.
    """
    totals = reduce_scatter(gradients, send)
    for shard, total, optimizer in zip(shards, totals, optimizers, strict=True):
        shard.grad = total / len(shards)
        optimizer.step()
    return all_gather([shard.detach() for shard in shards], send)


@dataclass(frozen=True)
class StateBytes:
    """Bytes per rank that training holds besides activations and buffers."""

    weights: float
    gradients: float
    optimizer: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer


def state_bytes(num_parameters: float, num_ranks: int, stage: int) -> StateBytes:
    """What Adam in mixed precision holds per rank: 2 bytes per weight and per gradient, and 12 for the
    optimizer's float32 weights and two averages.

    Args:
        stage: what is sharded over the ranks: 0 nothing, 1 the optimizer's part, 2 gradients too, 3 all.

    Raises:
        ValueError: `num_ranks` is below 1, or `stage` not one of 0, 1, 2, 3.

    Source: Rajbhandari et al. (2020), figure 1.
    """
    if num_ranks < 1:
        raise ValueError(f"num_ranks must be at least 1, got {num_ranks}")
    if stage not in range(4):
        raise ValueError(f"stage must be 0, 1, 2 or 3, got {stage}")
    share = 1 / num_ranks
    return StateBytes(
        weights=2 * num_parameters * (share if stage >= 3 else 1),
        gradients=2 * num_parameters * (share if stage >= 2 else 1),
        optimizer=12 * num_parameters * (share if stage >= 1 else 1),
    )


def _split(arrays: Sequence[Tensor]) -> list[list[Tensor]]:
    """Each rank's array in n chunks."""
    if not arrays:
        raise ValueError("arrays is empty: pass one tensor per rank")
    shapes = {tuple(array.shape) for array in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 1:
        raise ValueError(f"arrays must all be of one shape (L,), got {sorted(shapes)}")
    return [list(array.tensor_split(len(arrays))) for array in arrays]
