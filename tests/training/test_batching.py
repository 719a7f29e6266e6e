"""Batches: padding as torch pads, buckets that hold every sequence once, parts that add up to the whole."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lmprep.architectures.transformer import GPT, GPTConfig
from lmprep.training.batching import accumulate, bucket_batches, pad_batch

many_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=40)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texts(lengths: list[int], vocabulary: int = 9, seed: int = 0) -> list[Tensor]:
    g = generator(seed)
    return [torch.randint(vocabulary, (n,), generator=g) for n in lengths]


# --- pad_batch -----------------------------------------------------------------------------------------


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6), pad=st.integers(-100, 8))
def test_pads_as_torch(lengths: list[int], pad: int) -> None:
    sequences = texts(lengths)
    ids, mask = pad_batch(sequences, pad)
    expected = pad_sequence(sequences, batch_first=True, padding_value=pad)
    assert torch.equal(ids, expected) and ids.dtype == expected.dtype
    assert mask.dtype == torch.bool and mask.sum(dim=1).tolist() == lengths
    assert torch.equal(ids[mask], torch.cat(sequences))


def test_the_mask_tells_a_pad_from_a_token_of_the_same_id() -> None:
    ids, mask = pad_batch([torch.tensor([3, 0]), torch.tensor([1, 2, 0])], pad=0)
    assert ids.tolist() == [[3, 0, 0], [1, 2, 0]]
    assert mask.tolist() == [[True, True, False], [True, True, True]]


@pytest.mark.parametrize("dtype", [torch.int32, torch.long])
def test_keeps_the_dtype_and_the_inputs(dtype: torch.dtype) -> None:
    sequences = [torch.tensor([1, 2], dtype=dtype), torch.tensor([3], dtype=dtype)]
    ids, _ = pad_batch(sequences, 7)
    ids += 1
    assert ids.dtype == dtype and [s.tolist() for s in sequences] == [[1, 2], [3]]


def test_padding_on_the_right_leaves_a_gpts_logits_alone() -> None:
    config = GPTConfig(vocab_size=9, context_length=12, width=16, num_layers=2, num_heads=2, init_std=0.2)
    model = GPT(config, generator(1)).double()
    sequences = texts([3, 12, 7])
    logits = model(pad_batch(sequences, 0)[0])
    for row, sequence in enumerate(sequences):
        torch.testing.assert_close(logits[row, : len(sequence)], model(sequence[None])[0], atol=1e-12, rtol=0)


def test_pad_batch_refuses() -> None:
    with pytest.raises(ValueError, match="at least one sequence"):
        pad_batch([], 0)
    with pytest.raises(ValueError, match=r"shape \(T_i,\), got \(1, 2\)"):
        pad_batch([torch.ones(1, 2)], 0)


# --- bucket_batches ------------------------------------------------------------------------------------


def padded(lengths: Tensor, batches: list[Tensor]) -> list[int]:
    return [len(rows) * int(lengths[rows].max()) for rows in batches]


@given(found=many_lengths, budget=st.integers(12, 60), pool=st.sampled_from([None, 1, 3, 100]))
def test_every_sequence_once_and_within_the_budget(found: list[int], budget: int, pool: int | None) -> None:
    lengths = torch.tensor(found)
    batches = bucket_batches(lengths, budget, generator=generator(), pool=pool)
    assert sorted(torch.cat(batches).tolist()) == list(range(len(found)))
    assert all(len(rows) for rows in batches) and max(padded(lengths, batches)) <= budget


def test_the_budget_may_be_filled_to_the_last_token() -> None:
    batches = bucket_batches(torch.full((12,), 5), 20, generator=generator())
    assert [len(rows) for rows in batches] == [4, 4, 4]


def test_sorting_saves_padding_and_pools_lie_between() -> None:
    lengths = torch.randint(1, 100, (3000,), generator=generator(3))
    sizes = [sum(padded(lengths, bucket_batches(lengths, 2000, generator=generator(), pool=pool)))
             for pool in (1, 300, None)]  # fmt: skip
    real = int(lengths.sum())
    assert sizes[0] > 1.4 * real and 1.1 * real < sizes[1] < 0.9 * sizes[0] and sizes[2] < 1.05 * real


def test_the_order_changes_with_the_generator_alone() -> None:
    lengths = torch.arange(200) % 7 + 1
    one, same, other = (bucket_batches(lengths, 21, generator=generator(seed)) for seed in (1, 1, 2))
    assert all(map(torch.equal, one, same))
    assert [rows.tolist() for rows in one] != [rows.tolist() for rows in other]
    firsts = [int(lengths[rows].max()) for rows in one]
    assert firsts != sorted(firsts)  # the batches, too, are shuffled


def test_the_generator_decides_who_shares_a_batch() -> None:
    lengths = torch.arange(200) % 7 + 1
    for pool in (1, 50, None):
        found = [bucket_batches(lengths, 21, generator=generator(seed), pool=pool) for seed in (1, 2)]
        one, other = ({frozenset(rows.tolist()) for rows in batches} for batches in found)
        assert len(one & other) < len(one) / 2


@pytest.mark.parametrize(
    ("lengths", "options", "error", "message"),
    [
        (torch.ones(3), {}, TypeError, "must be integers"),
        (torch.ones(3, dtype=torch.bool), {}, TypeError, "must be integers"),
        (torch.ones(3, 1).long(), {}, ValueError, "shape"),
        (torch.zeros(0).long(), {}, ValueError, "shape"),
        (torch.tensor([2, 0]), {}, ValueError, "at least 1"),
        (torch.tensor([2, 9]), {}, ValueError, "hold the longest sequence, 9, got 8"),
        (torch.tensor([2, 3]), {"pool": 0}, ValueError, "pool must be"),
    ],
)
def test_bucket_batches_refuses(lengths: Tensor, options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        bucket_batches(lengths, 8, generator=generator(), **options)


# --- accumulate ----------------------------------------------------------------------------------------


def table() -> nn.Embedding:
    """The smallest language model: a row of logits per token."""
    return nn.Embedding.from_pretrained(torch.randn(9, 9, generator=generator(5)).double(), freeze=False)


def loss_sum(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    ids, mask = batch
    targets = ids[:, 1:].masked_fill(~mask[:, 1:], -100)
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), targets.flatten(), reduction="sum")


@settings(max_examples=25)
@given(lengths=st.lists(st.integers(2, 9), min_size=2, max_size=8), size=st.integers(1, 8))
def test_any_cut_gives_the_gradient_of_the_whole_batch(lengths: list[int], size: int) -> None:
    sequences, model = texts(lengths), table()
    ids, mask = pad_batch(sequences, 0)
    targets = ids[:, 1:].masked_fill(~mask[:, 1:], -100).flatten()
    whole = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), targets)
    (expected,) = torch.autograd.grad(whole, model.weight)
    parts = [pad_batch(sequences[i : i + size], 0) for i in range(0, len(sequences), size)]
    loss = accumulate(model, parts, loss_sum, mask[:, 1:].sum())
    torch.testing.assert_close(model.weight.grad, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(loss, whole.detach(), atol=1e-12, rtol=0)
    assert not loss.requires_grad


def test_equals_transformers_with_num_items_in_batch() -> None:
    from transformers.loss.loss_utils import ForCausalLMLoss

    sequences, model = texts([2, 9, 4, 7, 3]), table().float()
    total = sum(len(s) - 1 for s in sequences)
    parts = [pad_batch(sequences[i : i + 2], 0) for i in range(0, 5, 2)]
    for ids, mask in parts:
        labels = ids.masked_fill(~mask, -100)
        ForCausalLMLoss(model(ids), labels, 9, num_items_in_batch=torch.tensor(total)).backward()
    expected = model.weight.grad
    model.weight.grad = None
    accumulate(model, parts, loss_sum, total)
    torch.testing.assert_close(model.weight.grad, expected, atol=1e-7, rtol=0)


def test_means_in_place_of_sums_agree_only_if_the_counts_do() -> None:
    def loss_mean(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return loss_sum(model, batch) / batch[1][:, 1:].sum()

    for lengths, equal in (([5, 5, 5, 5], True), ([2, 2, 8, 8], False)):
        sequences, model = texts(lengths), table()
        parts = [pad_batch(sequences[:2], 0), pad_batch(sequences[2:], 0)]
        accumulate(model, parts, loss_sum, sum(lengths) - 4)
        right, model.weight.grad = model.weight.grad, None
        accumulate(model, parts, loss_mean, 2)
        assert torch.allclose(model.weight.grad, right, atol=1e-12) is equal


def test_adds_to_gradients_that_are_there() -> None:
    model, parts = table(), [pad_batch(texts([3, 4]), 0)]
    accumulate(model, parts, loss_sum, 5)
    once = model.weight.grad.clone()
    accumulate(model, parts, loss_sum, 5)
    torch.testing.assert_close(model.weight.grad, 2 * once, atol=1e-12, rtol=0)


def test_a_part_is_let_go_before_the_next_one_is_computed() -> None:
    alive: list[int] = []
    model = table()

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            alive.append(1)
            return x.clone()

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> Tensor:
            alive.append(-1)
            return upstream

    parts = [pad_batch(texts([3]), 0)] * 3
    accumulate(model, parts, lambda m, part: Watched.apply(loss_sum(m, part)), 6)
    assert alive == [1, -1] * 3


@pytest.mark.parametrize("total", [0, -1.0, float("nan"), torch.tensor(0)])
def test_refuses_a_total_that_is_not_above_zero(total: Any) -> None:
    with pytest.raises(ValueError, match="total must be above 0"):
        accumulate(table(), [pad_batch(texts([3]), 0)], loss_sum, total)


def test_accumulate_refuses() -> None:
    part = pad_batch(texts([3]), 0)
    with pytest.raises(ValueError, match="micro_batches is empty"):
        accumulate(table(), iter([]), loss_sum, 2)
    with pytest.raises(ValueError, match=r"scalar, got shape \(2, 9\)"):
        accumulate(table(), [part], lambda m, b: m(b[0])[0, :2], 2)
    number: Any = lambda m, b: loss_sum(m, b).item()  # noqa: E731
    with pytest.raises(TypeError, match="must return a tensor, got float"):
        accumulate(table(), [part], number, 2)
