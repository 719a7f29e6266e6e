"""lmprep.architectures.attention against torch's kernels, a literal loop, and what the masks promise."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lmprep.architectures.attention import (
    AdditiveAttention,
    LuongAttention,
    MultiHeadAttention,
    additive_attention,
    attention,
    causal_mask,
    induction_head,
    luong_attention,
    tiled_attention,
)

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
dtypes = st.sampled_from([torch.float32, torch.float64])
sizes = st.integers(1, 9)
seeds = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def inputs(
    B: int, H: int, H_kv: int, T: int, S: int, d: int, d_v: int, *, seed: int = 0, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    return (normal(B, H, T, d, seed=seed, dtype=dtype), normal(B, H_kv, S, d, seed=seed + 1, dtype=dtype),
            normal(B, H_kv, S, d_v, seed=seed + 2, dtype=dtype))  # fmt: skip


def random_mask(*shape: int, seed: int) -> Tensor:
    """Each query sees half of the keys, the first query none."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[..., 0, :] = False
    return mask


def literal(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention of one head by the definition, number by number: q (T, d), k (S, d), v (S, d_v)."""
    T, S = q.size(0), k.size(0)
    output, weights = torch.zeros(T, v.size(1), dtype=q.dtype), torch.zeros(T, S, dtype=q.dtype)
    for i in range(T):
        keys = [j for j in range(S) if allowed[i, j]]
        powers = [
            math.exp(scale * sum(a * b for a, b in zip(q[i].tolist(), k[j].tolist(), strict=True)))
            for j in keys
        ]
        for j, power in zip(keys, powers, strict=True):
            weights[i, j] = power / sum(powers)
            output[i] += weights[i, j] * v[j]
    return output, weights


# --- attention -----------------------------------------------------------------------------------------


@given(
    dtype=dtypes,
    T=sizes,
    S=sizes,
    d=sizes,
    d_v=sizes,
    heads=st.sampled_from([(1, 1), (4, 4), (4, 2), (6, 1)]),
    masked=st.booleans(),
    seed=seeds,
)
def test_attention_is_torchs(
    dtype: torch.dtype, T: int, S: int, d: int, d_v: int, heads: tuple[int, int], masked: bool, seed: int
) -> None:
    q, k, v = inputs(2, *heads, T, S, d, d_v, seed=seed, dtype=dtype)
    mask = random_mask(2, 1, T, S, seed=seed) if masked else None
    output, _ = attention(q, k, v, mask)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    torch.testing.assert_close(output, expected, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("scale", [None, 1.0])
def test_attention_is_the_definition(need_weights: bool, scale: float | None) -> None:
    q, k, v = inputs(1, 4, 2, 3, 5, 4, 6, dtype=torch.float64)
    mask = random_mask(3, 5, seed=1)
    output, weights = attention(q, k, v, mask, scale=scale, need_weights=need_weights)
    for head in range(4):
        key_head = head // 2
        expected = literal(q[0, head], k[0, key_head], v[0, key_head], mask, scale or 0.5)
        torch.testing.assert_close(output[0, head], expected[0], atol=1e-12, rtol=0)
        if need_weights:
            assert weights is not None
            torch.testing.assert_close(weights[0, head], expected[1], atol=1e-12, rtol=0)
    assert (weights is None) == (not need_weights)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_takes_any_leading_axes(leading: tuple[int, ...], need_weights: bool) -> None:
    q, k, v = normal(*leading, 2, 4), normal(*leading, 5, 4, seed=1), normal(*leading, 5, 3, seed=2)
    output, _ = attention(q, k, v, need_weights=need_weights)
    assert output.shape == (*leading, 2, 3)
    everything = torch.ones(2, 5, dtype=torch.bool)
    flat = (x.reshape(-1, *x.shape[-2:]) for x in (output, q, k, v))
    for ours, one_q, one_k, one_v in zip(*flat, strict=True):
        expected, _ = literal(one_q, one_k, one_v, everything, 0.5)
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(("T", "S"), [(1, 1), (4, 4), (2, 5), (1, 5), (5, 2)])
def test_causal_sees_what_its_mask_says(T: int, S: int, need_weights: bool) -> None:
    q, k, v = inputs(1, 1, 1, T, S, 4, 3, dtype=torch.float64)
    allowed = torch.tensor([[j <= i + S - T for j in range(S)] for i in range(T)])
    output, _ = attention(q, k, v, causal=True, need_weights=need_weights)
    torch.testing.assert_close(output[0, 0], literal(q[0, 0], k[0, 0], v[0, 0], allowed, 0.5)[0])
    padding = torch.arange(S) != S - 1
    output, _ = attention(q, k, v, padding, causal=True, need_weights=need_weights)
    torch.testing.assert_close(output[0, 0], literal(q[0, 0], k[0, 0], v[0, 0], allowed & padding, 0.5)[0])


@pytest.mark.parametrize("need_weights", [True, False])
def test_no_query_reads_a_later_key(need_weights: bool) -> None:
    q, k, v = inputs(1, 2, 2, 6, 6, 4, 4, dtype=torch.float64)
    before, _ = attention(q, k, v, causal=True, need_weights=need_weights)
    for t in range(6):
        changed_k, changed_v = k.clone(), v.clone()
        changed_k[..., t, :] += 1
        changed_v[..., t, :] += 1
        after, _ = attention(q, changed_k, changed_v, causal=True, need_weights=need_weights)
        assert torch.equal(after[..., :t, :], before[..., :t, :])
        assert (after - before)[..., t:, :].abs().amax(dim=(0, 1, 3)).min() > 1e-3


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.parametrize("mask", [torch.zeros(3, 5, dtype=torch.bool), torch.zeros(1, dtype=torch.bool),
                                  torch.tensor([[False], [True], [False]])])  # fmt: skip
@pytest.mark.parametrize("how", ["weights", "fused", "tiled"])
def test_a_query_that_sees_nothing_gets_zeros_and_no_gradient(mask: Tensor, how: str) -> None:
    q, k, v = (x.requires_grad_() for x in inputs(2, 2, 2, 3, 5, 4, 4, dtype=torch.float32))
    blind = ~mask.expand(3, 5).any(dim=1)
    if how == "tiled":
        output = tiled_attention(q, k, v, mask, block=2)
    else:
        output, weights = attention(q, k, v, mask, need_weights=how == "weights")
        if weights is not None:
            assert (weights[..., blind, :] == 0).all()
            assert weights.isfinite().all()
    assert (output[..., blind, :] == 0).all()
    with torch.autograd.detect_anomaly(check_nan=True):
        output.pow(2).sum().backward()
    assert q.grad is not None
    for x in (q, k, v):
        assert x.grad is not None and x.grad.isfinite().all()
    assert (q.grad[..., blind, :] == 0).all()
    if not blind.all():
        assert (q.grad[..., ~blind, :] != 0).any()


@given(T=sizes, S=sizes, seed=seeds)
def test_weights_are_distributions_over_the_keys_seen(T: int, S: int, seed: int) -> None:
    q, k, v = inputs(2, 2, 1, T, S, 3, 3, seed=seed, dtype=torch.float64)
    mask = random_mask(2, 1, T, S, seed=seed)
    _, weights = attention(q, k, v, mask)
    assert weights is not None
    assert (weights[~mask.expand_as(weights)] == 0).all()
    torch.testing.assert_close(weights.sum(-1), mask.any(-1).double().expand(2, 2, T))


def test_large_scores_stay_finite() -> None:
    q, k, v = (1e4 * x for x in inputs(1, 1, 1, 4, 4, 8, 8, dtype=torch.float32))
    output, weights = attention(q, k, v)
    assert weights is not None
    torch.testing.assert_close(weights, F.one_hot((q @ k.mT).argmax(-1), 4).float())
    torch.testing.assert_close(output, F.scaled_dot_product_attention(q, k, v))


def test_without_keys_the_output_is_zero() -> None:
    q, k, v = inputs(2, 1, 1, 3, 0, 4, 5, dtype=torch.float32)
    for output in (attention(q, k, v)[0], attention(q, k, v, need_weights=False)[0],
                   tiled_attention(q, k, v, block=2)):  # fmt: skip
        assert torch.equal(output, torch.zeros(2, 1, 3, 5))


@pytest.mark.parametrize("how", ["weights", "fused", "tiled"])
def test_gradients(how: str) -> None:
    q, k, v = (x.requires_grad_() for x in inputs(1, 4, 2, 3, 5, 2, 3, dtype=torch.float64))
    mask = random_mask(3, 5, seed=3)

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if how == "tiled":
            return tiled_attention(q, k, v, mask, block=2)
        return attention(q, k, v, mask, need_weights=how == "weights")[0]

    assert torch.autograd.gradcheck(run, (q, k, v))


@pytest.mark.parametrize("call", [attention, lambda *a: tiled_attention(*a, block=2)])
@pytest.mark.parametrize(
    ("q", "k", "v", "mask", "error", "says"),
    [
        ((2, 3, 4, 8), (2, 3, 5, 8), (2, 3, 6, 8), None, ValueError, "k and v must agree"),
        ((2, 3, 4, 8), (2, 3, 5, 7), (2, 3, 5, 8), None, ValueError, "same width"),
        ((2, 3, 4, 0), (2, 3, 5, 0), (2, 3, 5, 8), None, ValueError, "at least 1"),
        ((2, 3, 4, 8), (2, 2, 5, 8), (2, 2, 5, 8), None, ValueError, "heads may divide"),
        ((2, 3, 4, 8), (1, 3, 5, 8), (1, 3, 5, 8), None, ValueError, "leading axes"),
        ((4, 4, 8), (2, 5, 8), (2, 5, 8), None, ValueError, "leading axes"),
        ((2, 3, 4, 8), (3, 5, 8), (3, 5, 8), None, ValueError, "same axes"),
        ((8,), (8,), (8,), None, ValueError, "same axes"),
        ((2, 3, 4, 8), (2, 3, 5, 8), (2, 3, 5, 8), torch.ones(5, 4).bool(), ValueError, "broadcastable"),
        ((4, 8), (5, 8), (5, 8), torch.ones(2, 4, 5).bool(), ValueError, "broadcastable"),
        ((4, 8), (5, 8), (5, 8), torch.ones(4, 5), TypeError, "mask must be boolean"),
    ],
)
def test_bad_shapes_and_masks_are_named(
    call: Any, q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], mask: Tensor | None,
    error: type[Exception], says: str,
) -> None:  # fmt: skip
    with pytest.raises(error, match=says):
        call(torch.ones(q), torch.ones(k), torch.ones(v), mask)


def test_bad_dtypes_are_named() -> None:
    x = torch.ones(3, 4)
    with pytest.raises(TypeError, match=r"k torch\.float64"):
        attention(x, x.double(), x)
    with pytest.raises(TypeError, match=r"q torch\.int64"):
        attention(x.long(), x.long(), x.long())


# --- luong_attention, additive_attention -----------------------------------------------------------------


def states(
    B: int, T: int, S: int, d_q: int, d_k: int, d_v: int, *, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    sizes = ((B, T, d_q), (B, S, d_k), (B, S, d_v))
    q, k, v = (normal(*size, seed=seed + i, dtype=torch.float64) for i, size in enumerate(sizes))
    return q, k, v


def additive_weights(A: int, d_q: int, d_k: int, *, seed: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    sizes: tuple[tuple[int, ...], ...] = ((A, d_q), (A, d_k), (A,))
    w_q, w_k, w = (normal(*size, seed=seed + i, dtype=torch.float64) for i, size in enumerate(sizes))
    return w_q, w_k, w


@given(B=st.integers(1, 3), T=sizes, S=sizes, d=sizes, d_v=sizes, masked=st.booleans(), seed=seeds)
def test_dot_is_torchs_unscaled(B: int, T: int, S: int, d: int, d_v: int, masked: bool, seed: int) -> None:
    q, k, v = states(B, T, S, d, d, d_v, seed=seed)
    mask = random_mask(B, T, S, seed=seed) if masked else None
    context, weights = luong_attention(q, k, v, mask=mask)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    torch.testing.assert_close(context, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(weights @ v, context, atol=1e-12, rtol=0)


def test_general_is_a_bilinear_form() -> None:
    q, k, v = states(2, 3, 5, 4, 6, 7)
    weight = normal(4, 6, seed=8, dtype=torch.float64)
    scores = torch.stack(  # (B, T, S)
        [F.bilinear(q, k[:, j, None].repeat(1, 3, 1), weight[None])[..., 0] for j in range(5)], dim=-1
    )
    context, weights = luong_attention(q, k, v, weight)
    torch.testing.assert_close(weights, scores.softmax(-1), atol=1e-12, rtol=0)
    torch.testing.assert_close(context, scores.softmax(-1) @ v, atol=1e-12, rtol=0)


def test_additive_is_the_definition_number_by_number() -> None:
    (B, T, S, A), (d_q, d_k) = (2, 3, 4, 5), (2, 3)
    q, k, v = states(B, T, S, d_q, d_k, 2)
    w_q, w_k, w = additive_weights(A, d_q, d_k)
    mask = random_mask(B, T, S, seed=2)
    context, weights = additive_attention(q, k, v, w_q, w_k, w, mask)
    for b in range(B):
        for t in range(T):
            powers = [0.0] * S
            for s in range(S):
                score = sum(
                    float(w[a]) * math.tanh(float(w_q[a] @ q[b, t]) + float(w_k[a] @ k[b, s]))
                    for a in range(A)
                )
                powers[s] = math.exp(score) if mask[b, t, s] else 0.0
            total = sum(powers) or 1.0
            expected = torch.tensor([power / total for power in powers], dtype=torch.float64)
            torch.testing.assert_close(weights[b, t], expected, atol=1e-12, rtol=0)
            torch.testing.assert_close(context[b, t], expected @ v[b], atol=1e-12, rtol=0)


def both_kinds(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    d_q, d_k = q.size(-1), k.size(-1)
    weight = normal(d_q, d_k, seed=8, dtype=torch.float64)
    return [luong_attention(q, k, v, weight, mask),
            additive_attention(q, k, v, *additive_weights(5, d_q, d_k), mask)]  # fmt: skip


@given(T=sizes, S=sizes, seed=seeds)
def test_cross_attention_reads_a_set(T: int, S: int, seed: int) -> None:
    q, k, v = states(2, T, S, 3, 4, 5, seed=seed)
    mask = torch.rand(2, 1, S, generator=torch.Generator().manual_seed(seed)) < 0.7
    order = torch.randperm(S, generator=torch.Generator().manual_seed(seed))
    shuffled = both_kinds(q, k[:, order], v[:, order], mask[..., order])
    for (context, weights), (same, moved) in zip(both_kinds(q, k, v, mask), shuffled, strict=True):
        torch.testing.assert_close(same, context, atol=1e-12, rtol=0)
        torch.testing.assert_close(moved, weights[..., order], atol=1e-12, rtol=0)
        assert (weights[~mask.expand_as(weights)] == 0).all()
        torch.testing.assert_close(weights.sum(-1), mask.any(-1).double().expand(2, T))


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_cross_attention_to_nothing_is_zero_and_passes_no_gradient() -> None:
    q, k, v = (x.requires_grad_() for x in states(2, 3, 4, 3, 3, 2))
    mask = torch.tensor([True, False])[:, None, None].expand(2, 1, 4)  # the second source is all padding
    for context, weights in both_kinds(q, k, v, mask):
        assert (context[1] == 0).all() and (weights[1] == 0).all() and (context[0] != 0).any()
        with torch.autograd.detect_anomaly(check_nan=True):
            gradients = torch.autograd.grad(context.pow(2).sum(), (q, k, v))
        assert all((gradient[1] == 0).all() and gradient.isfinite().all() for gradient in gradients)


def test_additive_scores_of_any_size_stay_finite() -> None:
    q, k, v = (1e300 * x for x in states(1, 2, 3, 4, 4, 2))
    _, weights = additive_attention(q, k, v, *additive_weights(5, 4, 4))
    assert weights.isfinite().all()


def test_the_modules_are_their_functions() -> None:
    torch.manual_seed(0)
    x, encoded, _ = states(2, 3, 5, 4, 4, 1)
    mask = torch.arange(5) < torch.tensor([2, 5])[:, None, None]
    dot, general, additive = LuongAttention(4), LuongAttention(4, general=True), AdditiveAttention(4).double()
    assert not list(dot.parameters())
    assert general.general is not None
    weight = general.double().general.weight  # type: ignore[union-attr]
    parts = additive.query.weight, additive.key.weight, additive.score.weight[0]
    for ours, expected in (
        (dot(x, encoded, mask), luong_attention(x, encoded, encoded, mask=mask)),
        (general(x, encoded, mask), luong_attention(x, encoded, encoded, weight, mask)),
        (additive(x, encoded, mask), additive_attention(x, encoded, encoded, *parts, mask)),
    ):
        assert torch.equal(ours[0], expected[0]) and torch.equal(ours[1], expected[1])


def test_bad_input_to_the_older_kinds_is_named() -> None:
    q, k, v = states(2, 3, 4, 5, 6, 7)
    w_q, w_k, w = additive_weights(8, 5, 6)
    with pytest.raises(ValueError, match="same width"):
        luong_attention(q, k, v)
    for shape in ((6, 5), (5, 7)):
        with pytest.raises(ValueError, match=r"weight must have shape \(5, 6\), got"):
            luong_attention(q, k, v, torch.ones(shape).double())
    with pytest.raises(TypeError, match=r"weight must have q's dtype torch.float64, got torch.float32"):
        luong_attention(q, k, v, torch.ones(5, 6))
    with pytest.raises(TypeError, match="w_q must have q's dtype"):
        additive_attention(q.long(), k.long(), v, w_q, w_k, w)
    with pytest.raises(ValueError, match="w_q, w_k, w must have shapes"):
        additive_attention(q, k, v, w_q.mT, w_k, w)
    with pytest.raises(ValueError, match="w_q, w_k, w must have shapes"):
        additive_attention(q, k, v, w_q, w_k, w[None])
    with pytest.raises(ValueError, match="k and v must agree"):
        additive_attention(q, k, v[:, :3], w_q, w_k, w)
    with pytest.raises(ValueError, match="leading axes"):
        additive_attention(q[:1], k, v, w_q, w_k, w)
    with pytest.raises(ValueError, match="leading axes"):  # two query heads to a key head
        additive_attention(q[:, None].repeat(1, 2, 1, 1), k[:, None], v[:, None], w_q, w_k, w)
    with pytest.raises(TypeError, match="mask must be boolean"):
        additive_attention(q, k, v, w_q, w_k, w, torch.ones(2, 1, 4))
    with pytest.raises(ValueError, match="broadcastable"):
        luong_attention(q, k, v, torch.ones(5, 6).double(), torch.ones(2, 4, 3).bool())


# --- causal_mask ---------------------------------------------------------------------------------------


@given(T=st.integers(0, 6), S=st.none() | st.integers(0, 6))
def test_causal_mask_entry_by_entry(T: int, S: int | None) -> None:
    mask = causal_mask(T, S)
    keys = T if S is None else S
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[j <= i + keys - T for j in range(keys)] for i in range(T)]


def test_causal_mask_of_a_negative_length() -> None:
    with pytest.raises(ValueError, match="T=-1"):
        causal_mask(-1)


# --- tiled_attention -----------------------------------------------------------------------------------


@given(
    dtype=dtypes,
    T=sizes,
    S=st.integers(1, 20),
    d=sizes,
    heads=st.sampled_from([(1, 1), (4, 2)]),
    kind=st.sampled_from(["none", "causal", "random", "padding"]),
    block=st.integers(1, 24),
    seed=seeds,
)
def test_tiled_is_torchs(
    dtype: torch.dtype, T: int, S: int, d: int, heads: tuple[int, int], kind: str, block: int, seed: int
) -> None:
    q, k, v = inputs(2, *heads, T, S, d, d, seed=seed, dtype=dtype)
    mask = {
        "none": None,
        "causal": causal_mask(T, S),
        "random": random_mask(2, heads[0], T, S, seed=seed),
        "padding": torch.arange(S) < torch.tensor([0, S // 2]).view(2, 1, 1, 1),
    }[kind]
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    output = tiled_attention(q, k, v, mask, block=block)
    torch.testing.assert_close(output, expected, atol=TOLERANCE[dtype], rtol=0)


def test_tiled_rescales_when_the_maximum_rises_late() -> None:
    q = torch.ones(1, 1, dtype=torch.float64)
    k = torch.tensor([[-900.0], [0.0], [900.0], [899.0]], dtype=torch.float64)
    v = torch.eye(4, dtype=torch.float64)
    e = math.exp(-1)
    expected = torch.tensor([[0, 0, 1 / (1 + e), e / (1 + e)]], dtype=torch.float64)
    for block in (1, 2, 3, 4):
        torch.testing.assert_close(tiled_attention(q, k, v, block=block), expected, atol=1e-12, rtol=0)


def test_tiled_never_stores_more_than_a_tile_of_scores() -> None:
    B, H, T, S, d, block = 1, 2, 64, 96, 4, 8

    class Largest(TorchFunctionMode):
        elements = 0

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.is_floating_point():
                self.elements = max(self.elements, result.numel())
            return result

    q, k, v = inputs(B, H, H, T, S, d, d, dtype=torch.float32)
    with Largest() as seen:
        tiled_attention(q, k, v, causal_mask(T, S), block=block)
    assert seen.elements == B * H * T * block
    with Largest() as seen:
        attention(q, k, v, causal_mask(T, S))
    assert seen.elements == B * H * T * S


def test_a_tile_holds_a_key() -> None:
    x = torch.ones(3, 4)
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        tiled_attention(x, x, x, block=0)


# --- MultiHeadAttention --------------------------------------------------------------------------------


def reference_module(ours: MultiHeadAttention, *, bias: bool) -> nn.MultiheadAttention:
    """torch's module with the weights of ours."""
    dtype = ours.output.weight.dtype
    reference = nn.MultiheadAttention(12, 3, bias=bias, batch_first=True, dtype=dtype)
    names = {"in_proj_weight": "qkv.weight", "in_proj_bias": "qkv.bias", "out_proj.weight": "output.weight",
             "out_proj.bias": "output.bias"}  # fmt: skip
    state = ours.state_dict()
    reference.load_state_dict({name: state[names[name]] for name in reference.state_dict()})
    return reference


def module(*, bias: bool = True, num_kv_heads: int | None = None, dtype: torch.dtype) -> MultiHeadAttention:
    torch.manual_seed(0)
    ours = MultiHeadAttention(12, 3, bias=bias, num_kv_heads=num_kv_heads).to(dtype)
    for parameter in ours.parameters():  # biases too: nn.MultiheadAttention's start at zero
        nn.init.normal_(parameter, std=0.4)
    return ours


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cross", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_multi_head_attention_is_torchs(dtype: torch.dtype, bias: bool, cross: bool, masked: bool) -> None:
    ours = module(bias=bias, dtype=dtype)
    x = normal(2, 4, 12, dtype=dtype)
    source = normal(2, 6, 12, seed=1, dtype=dtype) if cross else x
    mask = causal_mask(4, source.size(1)) if masked else None
    expected, expected_weights = reference_module(ours, bias=bias)(
        x, source, source, attn_mask=None if mask is None else ~mask, average_attn_weights=False
    )
    with torch.no_grad():
        output, weights = ours(x, source if cross else None, mask=mask, return_weights=True)
        fused = ours(x, source if cross else None, mask=mask)
    torch.testing.assert_close(weights, expected_weights.detach(), atol=TOLERANCE[dtype], rtol=0)
    torch.testing.assert_close(output, expected.detach(), atol=2 * TOLERANCE[dtype], rtol=0)
    torch.testing.assert_close(fused, expected.detach(), atol=2 * TOLERANCE[dtype], rtol=0)


def test_few_key_heads_are_repeated_key_heads() -> None:
    ours = module(num_kv_heads=1, dtype=torch.float64)
    assert ours.qkv.out_features == 12 + 2 * 4
    everyone = MultiHeadAttention(12, 3).double()
    state = ours.state_dict()
    for name in ("qkv.weight", "qkv.bias"):
        queries, keys, values = state[name].split((12, 4, 4))
        state[name] = torch.cat([queries, *[keys] * 3, *[values] * 3])
    everyone.load_state_dict(state)
    x = normal(2, 5, 12, dtype=torch.float64)
    expected, _ = reference_module(everyone, bias=True)(x, x, x)
    torch.testing.assert_close(ours(x), expected, atol=1e-12, rtol=0)


def test_multi_head_attention_rotates_queries_and_keys_and_attends_to_the_past() -> None:
    ours = module(dtype=torch.float64)
    x = normal(2, 5, 12, dtype=torch.float64)
    whole = reference_module(ours, bias=True)(x, x, x, attn_mask=~causal_mask(5))[0]
    past: list[Tensor] = []

    def cache(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        past[:] = (
            [torch.cat([old, new], dim=2) for old, new in zip(past, (k, v), strict=True)] if past else [k, v]
        )
        return past[0], past[1]

    steps = [ours(part, causal=True, cache=cache) for part in (x[:, :3], x[:, 3:4], x[:, 4:])]
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-12, rtol=0)

    seen: list[tuple[int, ...]] = []

    def negate(heads: Tensor) -> Tensor:  # on queries and keys alike it changes no score, on values it would
        seen.append(tuple(heads.shape))
        return -heads

    torch.testing.assert_close(ours(x, causal=True, rotate=negate), whole, atol=1e-12, rtol=0)
    assert seen == [(2, 3, 5, 4), (2, 3, 5, 4)]


def test_unmasked_attention_sees_a_set_and_causal_attention_a_sequence() -> None:
    ours = module(dtype=torch.float64)
    x = normal(1, 8, 12, dtype=torch.float64)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(x[:, order]), ours(x)[:, order], atol=1e-12, rtol=0)
    assert (ours(x[:, order], causal=True) - ours(x, causal=True)[:, order]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("width", "num_heads", "num_kv_heads", "says"),
    [
        (10, 3, None, "num_heads must divide width"),
        (12, 0, None, "num_heads=0"),
        (12, 4, 3, "num_kv_heads must divide num_heads"),
        (12, 4, 0, "num_kv_heads=0"),
    ],
)
def test_heads_must_divide(width: int, num_heads: int, num_kv_heads: int | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MultiHeadAttention(width, num_heads, num_kv_heads=num_kv_heads)


def test_multi_head_attention_names_a_bad_sequence() -> None:
    ours = MultiHeadAttention(12, 3)
    with pytest.raises(ValueError, match=r"x must have shape \(B, T, 12\), got \(2, 4, 10\)"):
        ours(torch.ones(2, 4, 10))
    with pytest.raises(ValueError, match="source must have shape"):
        ours(torch.ones(2, 4, 12), torch.ones(4, 12))


# --- induction_head ------------------------------------------------------------------------------------


def repeated(n: int, V: int, *, B: int = 20, seed: int = 0, first: bool = True) -> Tensor:
    """(B, 1 + 2n): a first token 0, then a permutation twice; without `first`, (B, 2n)."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.stack([1 + torch.randperm(V - 1, generator=generator)[:n] for _ in range(B)])
    return torch.cat([torch.zeros(B, 1, dtype=torch.long), half, half], dim=1)[:, 0 if first else 1 :]


def accuracy(logits: Tensor, ids: Tensor, start: int) -> float:
    return float((logits[:, start:-1].argmax(-1) == ids[:, start + 1 :]).double().mean())


@given(n=st.integers(1, 20), spare=st.integers(1, 10), seed=seeds)
def test_the_induction_head_copies_what_repeats(n: int, spare: int, seed: int) -> None:
    ids = repeated(n, n + spare + 1, B=3, seed=seed)
    logits, weights = induction_head(ids, n + spare + 1)
    assert logits.shape == (3, 2 * n + 1, n + spare + 1)
    if n > 1:
        assert accuracy(logits, ids, n + 1) == 1.0
    previous, induction = weights
    t = torch.arange(1, 2 * n + 1)
    assert (previous[:, t, t - 1] > 0.999).all()
    t = torch.arange(n + 1, 2 * n + 1)
    assert (induction[:, t, t - n + 1] > 0.999).all()  # the stripe, n − 1 behind the diagonal


@pytest.mark.parametrize("layer", [1, 2])
def test_without_either_layer_nothing_is_copied(layer: int) -> None:
    ids = repeated(20, 51)
    logits, weights = induction_head(ids, 51, ablate=(layer,))
    assert accuracy(logits, ids, 21) == 0.0
    assert weights.shape == (2, 20, 41, 41)  # an ablated layer's map is still returned
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 20, 41))


def test_without_a_first_token_the_first_position_misleads() -> None:
    ids = repeated(20, 51, first=False)
    logits, _ = induction_head(ids, 51)
    right = logits[:, 20:-1].argmax(-1) == ids[:, 21:]
    assert right[:, 1:].all()
    # The repeated first token finds itself at position 0 as well, where nothing went before.
    torch.testing.assert_close(logits[:, 20].amax(-1), torch.full((20,), 0.5))


@pytest.mark.parametrize(
    ("ids", "vocab_size", "ablate", "error", "says"),
    [
        (torch.ones(1, 3), 5, (), TypeError, "ids must be torch.long"),
        (torch.ones(3).long(), 5, (), ValueError, "shape"),
        (torch.ones(1, 0).long(), 5, (), ValueError, "at least one token"),
        (torch.tensor([[0, 5]]), 5, (), ValueError, "from 0 to 4, got 0 to 5"),
        (torch.tensor([[-1, 2]]), 5, (), ValueError, "got -1 to 2"),
        (torch.tensor([[0, 2]]), 5, (0,), ValueError, "ablate may name the layers 1 and 2"),
    ],
)
def test_induction_head_names_bad_input(
    ids: Tensor, vocab_size: int, ablate: tuple[int, ...], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        induction_head(ids, vocab_size, ablate=ablate)
