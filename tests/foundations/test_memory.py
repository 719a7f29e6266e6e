"""lmprep.foundations.memory against torch, closed forms and each other's limits, and at the edges."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmprep.foundations.memory import (
    causal_linear_attention,
    delta_rule_state,
    hebbian_state,
    random_unit_keys,
    read_error,
    share_picked,
    softmax_read,
    tight_keys,
)
from lmprep.practice import TASKS

EXACT = {"atol": 1e-10, "rtol": 0.0}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(seed: int, *leading: int, N: int = 7, d: int = 5, d_v: int = 3) -> tuple[Tensor, Tensor]:
    g = generator(seed)
    keys = random_unit_keys(*leading, N, d, generator=g, dtype=torch.float64)
    return keys, torch.randn(*leading, N, d_v, generator=g, dtype=torch.float64)


# --- keys ------------------------------------------------------------------------------------------------


def test_random_keys_have_length_one_and_overlaps_of_variance_1_over_d() -> None:
    keys = random_unit_keys(400, 2, 10, generator=generator(0), dtype=torch.float64)
    torch.testing.assert_close(keys.norm(dim=-1), torch.ones(400, 2, dtype=torch.float64))
    overlaps = (keys[:, 0] * keys[:, 1]).sum(-1)
    assert abs(overlaps.mean()) < 0.05
    assert overlaps.square().mean().item() == pytest.approx(1 / 10, rel=0.25)


@given(d=st.integers(1, 6), blocks=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_tight_keys_reach_the_welch_bound(d: int, blocks: int, seed: int) -> None:
    keys = tight_keys(3, blocks * d, d, generator=generator(seed), dtype=torch.float64)
    gram = keys @ keys.mT
    torch.testing.assert_close(gram.diagonal(dim1=-2, dim2=-1), torch.ones(3, blocks * d).double(), **EXACT)
    least = torch.full((3,), (blocks * d) ** 2 / d, dtype=torch.float64)
    torch.testing.assert_close(gram.square().sum((-2, -1)), least, **EXACT)
    others = random_unit_keys(3, blocks * d, d, generator=generator(seed), dtype=torch.float64)
    assert ((others @ others.mT).square().sum((-2, -1)) >= least - 1e-9).all()


def test_tight_keys_may_end_within_a_block() -> None:
    keys = tight_keys(5, 3, generator=generator(0), dtype=torch.float64)
    assert keys.shape == (5, 3)
    torch.testing.assert_close(keys[:3] @ keys[:3].mT, torch.eye(3).double(), **EXACT)


def test_keys_repeat_with_their_generator() -> None:
    for make in (random_unit_keys, tight_keys):
        assert torch.equal(make(4, 2, generator=generator(1)), make(4, 2, generator=generator(1)))
        assert make(4, 2, generator=generator(1)).dtype == torch.float32


# --- states ----------------------------------------------------------------------------------------------


def test_hebbian_state_is_the_sum_of_outer_products() -> None:
    k, v = pairs(0, 2, 3)
    torch.testing.assert_close(hebbian_state(k, v), torch.einsum("abnv,abnd->abvd", v, k), **EXACT)


@given(seed=st.integers(0, 99), d=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_orthogonal_keys_are_read_back_exactly(seed: int, d: int) -> None:
    g = generator(seed)
    k = tight_keys(d, d, generator=g, dtype=torch.float64)
    v = torch.randn(d, 4, generator=g, dtype=torch.float64)
    for state in (hebbian_state(k, v), delta_rule_state(k, v)):
        torch.testing.assert_close(k @ state.mT, v, **EXACT)


def test_the_error_of_the_sum_follows_its_law() -> None:
    k, v = pairs(1, 200, N=40, d=10, d_v=2)
    v = v * torch.arange(1, 41)[:, None]
    error = (k @ hebbian_state(k, v).mT - v).square().sum() / v.square().sum()
    assert error.item() == pytest.approx(39 / 10, rel=0.1)


def test_the_delta_rule_is_gradient_descent_pair_by_pair() -> None:
    k, v = pairs(2)
    k = 1.3 * k
    weight = torch.zeros(3, 5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.4)
    for key, value in zip(k, v, strict=True):
        optimizer.zero_grad()
        (0.5 * (F.linear(key, weight) - value).square().sum()).backward()
        optimizer.step()
    torch.testing.assert_close(delta_rule_state(k, v, beta=0.4), weight.detach(), **EXACT)


@given(seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_delta_rule_knows_the_newest_and_replaces_the_old(seed: int) -> None:
    k, v = pairs(seed, 2, N=9)
    state = delta_rule_state(k, v)
    torch.testing.assert_close((state @ k[:, -1, :, None])[..., 0], v[:, -1], **EXACT)
    twice = delta_rule_state(k[:, [0, 0]], v[:, :2])
    torch.testing.assert_close(twice, hebbian_state(k[:, :1], v[:, 1:2]), **EXACT)


def test_the_delta_rule_repeated_ends_at_least_squares() -> None:
    k, v = pairs(3, N=20)
    best = torch.linalg.lstsq(k, v).solution.mT
    repeated = delta_rule_state(k.repeat(600, 1), v.repeat(600, 1), beta=0.005)
    assert (repeated - best).norm() < 0.05 * best.norm()


# --- reads -----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 99), beta=st.floats(0.1, 30))
@settings(max_examples=20, deadline=None)
def test_softmax_read_is_attention(seed: int, beta: float) -> None:
    k, v = pairs(seed, 2)
    q = random_unit_keys(2, 4, 5, generator=generator(seed + 1), dtype=torch.float64)
    wanted = F.scaled_dot_product_attention(q, k, v, scale=beta)
    torch.testing.assert_close(softmax_read(q, k, v, beta), wanted, **EXACT)


def test_a_sharp_softmax_looks_up_and_a_blunt_one_averages() -> None:
    k, v = pairs(4)
    torch.testing.assert_close(softmax_read(k, k, v, beta=1e4), v, **EXACT)
    torch.testing.assert_close(softmax_read(k, k, v, beta=1e-12), v.mean(0).expand(7, 3), atol=1e-9, rtol=0.0)


@given(seed=st.integers(0, 99), T=st.integers(1, 20), chunk=st.integers(1, 25))
@settings(max_examples=30, deadline=None)
def test_linear_attention_in_chunks_is_the_masked_product(seed: int, T: int, chunk: int) -> None:
    k, v = pairs(seed, 2, N=T)
    q = torch.randn(2, T, 5, generator=generator(seed), dtype=torch.float64)
    out, state = causal_linear_attention(q, k, v, chunk=chunk)
    torch.testing.assert_close(out, torch.tril(q @ k.mT) @ v, **EXACT)
    torch.testing.assert_close(state, hebbian_state(k, v), **EXACT)


def test_linear_attention_goes_on_from_a_state() -> None:
    k, v = pairs(5, 2, N=9)
    whole, last = causal_linear_attention(k, k, v)
    first, state = causal_linear_attention(k[:, :4], k[:, :4], v[:, :4])
    rest, end = causal_linear_attention(k[:, 4:], k[:, 4:], v[:, 4:], state=state, chunk=2)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole, **EXACT)
    torch.testing.assert_close(end, last, **EXACT)


def test_linear_attention_agrees_with_the_task() -> None:
    k, v = pairs(6, 2, N=9)
    reference = TASKS["linear_attention_causal"].reference
    torch.testing.assert_close(causal_linear_attention(k, k, v)[0], reference(k, k, v), **EXACT)


def test_gradients_flow_and_inputs_stay() -> None:
    k, v = pairs(7, N=4)
    before = k.clone(), v.clone()

    def read_all(k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        return (
            hebbian_state(k, v),
            delta_rule_state(k, v, beta=0.5),
            softmax_read(k, k, v, 2.0),
            *causal_linear_attention(k, k, v, chunk=3),
        )

    torch.autograd.gradcheck(read_all, (k.requires_grad_(), v.requires_grad_()))
    assert torch.equal(k.detach(), before[0])
    assert torch.equal(v.detach(), before[1])


# --- how well was it read ----------------------------------------------------------------------------


def test_read_error_is_a_share_of_the_values() -> None:
    _, v = pairs(11, 2)
    assert read_error(v, v) == 0
    assert read_error(torch.zeros_like(v), v) == pytest.approx(1)
    assert read_error(3 * v, v) == pytest.approx(4)


def test_share_picked_counts_the_nearest_of_values_of_one_length() -> None:
    g = generator(12)
    v = random_unit_keys(2, 30, 4, generator=g, dtype=torch.float64)
    read = v + 0.7 * torch.randn(2, 30, 4, generator=g, dtype=torch.float64)
    nearest = torch.cdist(read, v).argmin(-1)
    assert share_picked(read, v) == (nearest == torch.arange(30)).double().mean().item()
    assert share_picked(v, v) == 1
    assert share_picked(v.flip(1), v) == 0


def test_read_and_values_must_fit() -> None:
    _, v = pairs(13)
    for measure in (read_error, share_picked):
        with pytest.raises(ValueError, match="shape"):
            measure(v[1:], v)
    with pytest.raises(ValueError, match="nothing but zeros"):
        read_error(v, 0 * v)
    with pytest.raises(ValueError, match="not empty"):
        share_picked(v[:0], v[:0])


# --- bad input -------------------------------------------------------------------------------------------


def test_keys_need_a_width() -> None:
    with pytest.raises(ValueError, match="shape must end in a width"):
        random_unit_keys(generator=generator(0))
    with pytest.raises(ValueError, match="shape must end in a width"):
        random_unit_keys(3, 0, generator=generator(0))
    for shape in ((4,), (0, 4), (4, 0)):
        with pytest.raises(ValueError, match="a number and a width"):
            tight_keys(*shape, generator=generator(0))


@pytest.mark.parametrize("write", [hebbian_state, delta_rule_state, lambda k, v: softmax_read(k, k, v, 1.0)])
def test_pairs_must_fit_together(write) -> None:
    k, v = pairs(8)
    with pytest.raises(TypeError, match="share a floating dtype"):
        write(k, v.float())
    with pytest.raises(TypeError, match="share a floating dtype"):
        write(k.long(), v.long())
    with pytest.raises(ValueError, match="agree up to their width"):
        write(k, v[1:])
    with pytest.raises(ValueError, match="agree up to their width"):
        write(k[0], v[0])
    with pytest.raises(ValueError, match="hold no pair"):
        write(k[:0], v[:0])


@pytest.mark.parametrize("beta", [0.0, -1.0, math.inf, math.nan])
def test_beta_must_be_positive(beta: float) -> None:
    k, v = pairs(9)
    with pytest.raises(ValueError, match="beta must be a positive, finite number"):
        delta_rule_state(k, v, beta)
    with pytest.raises(ValueError, match="beta must be a positive, finite number"):
        softmax_read(k, k, v, beta)


def test_queries_must_fit_the_keys() -> None:
    k, v = pairs(10, 2)
    for q in (k[..., :2], k[0], k[:1]):
        with pytest.raises(ValueError, match="q must agree with k"):
            softmax_read(q, k, v, 1.0)
    with pytest.raises(TypeError, match="q must be of k's dtype"):
        softmax_read(k.float(), k, v, 1.0)
    with pytest.raises(ValueError, match="q must have k's shape"):
        causal_linear_attention(k[:, :2], k, v)
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        causal_linear_attention(k, k, v, chunk=0)
    with pytest.raises(ValueError, match="state must have shape"):
        causal_linear_attention(k, k, v, state=torch.zeros(2, 5, 3, dtype=torch.float64))
