"""The ring against sums, with its traffic; ZeRO-1 against torch's AdamW in one process."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lmprep.training.collectives import (
    Wire,
    all_gather,
    reduce_scatter,
    ring_all_reduce,
    state_bytes,
    zero1_step,
)
from lmprep.training.optim import AdamW


def arrays_of(count: int, length: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, generator=generator, dtype=torch.float64) for _ in range(count)]


@given(count=st.integers(1, 9), length=st.integers(0, 30), seed=st.integers(0, 100))
def test_ring_sums_and_sends_what_the_formula_says(count: int, length: int, seed: int) -> None:
    arrays = arrays_of(count, length, seed)
    before = [array.clone() for array in arrays]
    wire = Wire(count)
    results = ring_all_reduce(arrays, wire)
    for result in results:
        torch.testing.assert_close(result, torch.stack(arrays).sum(dim=0), atol=1e-12, rtol=0)
    assert all(array.equal(copy) for array, copy in zip(arrays, before, strict=True))
    assert wire.sent.sum() == 2 * (count - 1) * length
    assert wire.sent.max() <= 2 * (count - 1) * -(-length // count)
    assert all(destination == (source + 1) % count for source, destination in wire.links)


@given(count=st.integers(1, 6), length=st.integers(0, 20))
def test_reduce_scatter_gives_each_rank_its_own_part(count: int, length: int) -> None:
    arrays = arrays_of(count, length)
    wire = Wire(count)
    parts = reduce_scatter(arrays, wire)
    for part, wanted in zip(parts, torch.stack(arrays).sum(dim=0).tensor_split(count), strict=True):
        torch.testing.assert_close(part, wanted, atol=1e-12, rtol=0)
    assert wire.sent.sum() == (count - 1) * length


def test_all_gather_keeps_order_and_unequal_shards() -> None:
    shards = [torch.arange(length) + 10 * rank for rank, length in enumerate((3, 0, 2))]
    assert [whole.tolist() for whole in all_gather(shards, Wire(3))] == [[0, 1, 2, 20, 21]] * 3


def test_what_arrives_is_what_is_used() -> None:
    def spoils(source: int, destination: int, chunk: Tensor) -> Tensor:
        return torch.full_like(chunk, torch.nan)

    assert all(result.isnan().all() for result in ring_all_reduce(arrays_of(3, 6), spoils))


def test_results_do_not_share_memory() -> None:
    arrays = arrays_of(1, 4)
    ring_all_reduce(arrays, Wire(1))[0].add_(1)
    assert arrays[0].equal(arrays_of(1, 4)[0])


@pytest.mark.parametrize("num_ranks", [1, 3, 4])
def test_zero1_is_adamw_of_torch(num_ranks: int) -> None:
    start = arrays_of(1, 10)[0]
    alone = start.clone().requires_grad_()
    theirs = torch.optim.AdamW([alone], lr=0.1, weight_decay=0.2)
    shards = [part.clone().requires_grad_() for part in start.tensor_split(num_ranks)]
    optimizers = [AdamW([shard], lr=0.1, weight_decay=0.2) for shard in shards]
    wire = Wire(num_ranks)
    for step in range(20):
        gradients = arrays_of(num_ranks, 10, seed=step + 1)
        copies = zero1_step(shards, gradients, optimizers, wire)
        alone.grad = torch.stack(gradients).mean(dim=0)
        theirs.step()
        for copy in copies:
            torch.testing.assert_close(copy, alone.detach(), atol=1e-12, rtol=0)
    assert wire.sent.sum() == 20 * 2 * (num_ranks - 1) * 10


def test_state_bytes_are_those_of_the_paper() -> None:
    """Figure 1 of Rajbhandari et al.: 7.5 billion parameters on 64 devices, in GB."""
    totals = [state_bytes(7.5, 64, stage).total for stage in range(4)]
    assert totals == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)


@pytest.mark.parametrize("stage", range(4))
def test_one_rank_holds_everything(stage: int) -> None:
    bytes_held = state_bytes(1, 1, stage)
    assert (bytes_held.weights, bytes_held.gradients, bytes_held.optimizer) == (2, 2, 12)


def test_bad_input() -> None:
    wire = Wire(2)
    with pytest.raises(ValueError, match="arrays is empty"):
        ring_all_reduce([], wire)
    with pytest.raises(ValueError, match="one shape"):
        ring_all_reduce([torch.ones(2), torch.ones(3)], wire)
    with pytest.raises(ValueError, match="one shape"):
        reduce_scatter([torch.ones(2, 2)] * 2, wire)
    with pytest.raises(ValueError, match="num_ranks"):
        state_bytes(1, 0, 0)
    with pytest.raises(ValueError, match="stage"):
        state_bytes(1, 2, 4)
