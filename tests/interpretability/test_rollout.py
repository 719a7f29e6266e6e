"""lmprep.interpretability.rollout against a sum over all paths, and at the edges."""

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lmprep.interpretability.rollout import attention_rollout

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32)


def maps(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(shape, generator=generator, dtype=torch.float64)).softmax(dim=-1)


def over_paths(weights: Tensor, residual: float) -> Tensor:
    """(L, H, T, T): the sum, over all ways down from layer L to the input, of the product of their steps."""
    L, _, T, _ = weights.shape
    found = torch.zeros(T, T, dtype=weights.dtype)
    for path in itertools.product(range(T), repeat=L + 1):  # path[0] on top, path[L] in the input
        share = 1.0
        for step, (here, below) in enumerate(itertools.pairwise(path)):
            attends = weights[L - 1 - step, :, here, below].mean().item()
            share *= (1 - residual) * attends + residual * (here == below)
        found[path[0], path[-1]] += share
    return found


@given(L=st.integers(1, 3), H=sizes, T=sizes, residual=st.sampled_from([0.0, 0.3, 0.5, 1.0]), seed=seeds)
def test_rollout_sums_over_all_paths(L: int, H: int, T: int, residual: float, seed: int) -> None:
    weights = maps(L, H, T, T, seed=seed)
    found = attention_rollout(weights, residual=residual)
    torch.testing.assert_close(found, over_paths(weights, residual), atol=1e-12, rtol=1e-12)


@given(L=sizes, B=sizes, H=sizes, T=sizes, seed=seeds)
def test_rows_are_distributions_and_texts_do_not_see_each_other(
    L: int, B: int, H: int, T: int, seed: int
) -> None:
    weights = maps(L, B, H, T, T, seed=seed)
    found = attention_rollout(weights)
    assert found.shape == (B, T, T)
    torch.testing.assert_close(found.sum(-1), torch.ones(B, T, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(found, torch.stack([attention_rollout(weights[:, b]) for b in range(B)]))


def test_the_first_layer_is_applied_first() -> None:
    """Layer 1 copies token 0 everywhere, layer 2 reads token 2: nothing but token 0 is left."""
    first, second = torch.zeros(2, 3, 3).double()
    first[:, 0] = second[:, 2] = 1
    found = attention_rollout(torch.stack([first, second])[:, None], residual=0.0)
    assert found.tolist() == [[1, 0, 0]] * 3
    assert attention_rollout(torch.stack([second, first])[:, None], residual=0.0).tolist() == [[0, 0, 1]] * 3


def test_one_layer_is_half_itself() -> None:
    weights = maps(1, 2, 3, 3)
    expected = (weights[0].mean(0) + torch.eye(3)) / 2
    torch.testing.assert_close(attention_rollout(weights), expected)
    assert torch.equal(attention_rollout(weights, residual=1.0), torch.eye(3).double())


W = maps(2, 2, 3, 3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: attention_rollout(W[0, 0]), r"\(L, …, H, T, T\), none of them 0, got \(3, 3\)"),
        (lambda: attention_rollout(W[..., :2]), r"got \(2, 2, 3, 2\)"),
        (lambda: attention_rollout(W[:0]), r"got \(0, 2, 3, 3\)"),
        (lambda: attention_rollout(W.log()), "after the softmax"),
        (lambda: attention_rollout(2 * W), "must be a distribution"),
        (lambda: attention_rollout(W.masked_fill(torch.eye(3) > 0, torch.nan)), "must be a distribution"),
        (lambda: attention_rollout(W, residual=1.5), r"from 0 to 1, got 1\.5"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Tensor], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()
