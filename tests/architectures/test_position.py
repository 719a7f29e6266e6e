"""lmprep.architectures.position against the formulas, transformers' Llama, Bloom and T5, and complex
multiplication."""

import cmath
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lmprep.architectures.position import (
    LearnedPositions,
    alibi_bias,
    alibi_slopes,
    apply_rope,
    rope_cos_sin,
    rotate,
    sinusoidal,
    t5_bucket,
)

even = st.integers(1, 8).map(lambda half: 2 * half)
bases = st.sampled_from([10.0, 100.0, 10_000.0, 500_000.0])
seeds = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- learned -------------------------------------------------------------------------------------------


def test_learned_positions_are_an_embedding_of_the_position() -> None:
    ours = LearnedPositions(7, 4)
    reference = nn.Embedding.from_pretrained(ours.weight.detach())
    assert torch.equal(ours(3), reference(torch.arange(3)))
    assert torch.equal(ours(3, start=4), reference(torch.arange(4, 7)))
    ours(2, start=1).sum().backward()
    assert ours.weight.grad is not None
    assert ours.weight.grad.sum(1).tolist() == [0, 4, 4, 0, 0, 0, 0]


@pytest.mark.parametrize(("T", "start"), [(8, 0), (1, 7), (3, 5), (1, -1), (-1, 3)])
def test_no_position_is_learned_past_the_last(T: int, start: int) -> None:
    with pytest.raises(ValueError, match="learned are 0 to 6"):
        LearnedPositions(7, 4)(T, start)


def test_learned_positions_need_a_size() -> None:
    with pytest.raises(ValueError, match="got 0 and 4"):
        LearnedPositions(0, 4)


# --- sinusoidal ----------------------------------------------------------------------------------------


@given(T=st.integers(0, 40), d=even, base=bases)
def test_sinusoidal_is_the_formula(T: int, d: int, base: float) -> None:
    expected = [
        [f(t / base ** (2 * i / d)) for i in range(d // 2) for f in (math.sin, math.cos)] for t in range(T)
    ]
    table = sinusoidal(T, d, base)
    assert table.dtype == torch.float32
    torch.testing.assert_close(table, torch.tensor(expected).reshape(T, d), atol=1e-6, rtol=0)


def test_sinusoidal_is_transformers() -> None:
    from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

    expected = nn.Parameter(torch.empty(64, 32))
    create_sinusoidal_embeddings(n_pos=64, dim=32, out=expected)
    torch.testing.assert_close(sinusoidal(64, 32), expected.detach(), atol=1e-6, rtol=0)


# --- rotary --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama() -> Any:
    from transformers.models.llama import modeling_llama

    return modeling_llama


@pytest.mark.parametrize("base", [100.0, 10_000.0])
def test_rope_is_llamas(llama: Any, base: float) -> None:
    config = llama.LlamaConfig(hidden_size=64, num_attention_heads=4, max_position_embeddings=64,
                               rope_parameters={"rope_type": "default", "rope_theta": base})  # fmt: skip
    positions = torch.arange(40)
    q, k = normal(2, 4, 40, 16, dtype=torch.float32), normal(2, 2, 40, 16, seed=1, dtype=torch.float32)
    cos, sin = llama.LlamaRotaryEmbedding(config)(q, positions[None])
    ours_cos, ours_sin = rope_cos_sin(positions, 16, base)
    torch.testing.assert_close(ours_cos.float(), cos[0, :, :8], atol=1e-6, rtol=0)
    torch.testing.assert_close(ours_sin.float(), sin[0, :, :8], atol=1e-6, rtol=0)
    # The rotation agrees to rounding, given the same angles; theirs come from float32, ours from float64.
    for ours, theirs in zip((q, k), llama.apply_rotary_pos_emb(q, k, cos, sin), strict=True):
        torch.testing.assert_close(rotate(ours, cos[0, :, :8], sin[0, :, :8]), theirs, atol=1e-6, rtol=0)
        torch.testing.assert_close(apply_rope(ours, positions, base), theirs, atol=5e-6, rtol=0)


def turned_in_the_plane(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """Each pair of x (..., T, d) as a complex number, times e^(i·angle)."""
    d = x.size(-1)
    turns = [
        [cmath.exp(1j * position * base ** (-2 * i / d)) for i in range(d // 2)]
        for position in positions.tolist()
    ]
    pairs = torch.complex(x[..., : d // 2], x[..., d // 2 :])
    turned = pairs * torch.tensor(turns, dtype=torch.complex128)
    return torch.cat([turned.real, turned.imag], dim=-1)


@given(T=st.integers(1, 6), d=even, base=bases, start=st.integers(0, 10**6), seed=seeds)
def test_rope_is_multiplication_by_a_complex_number(
    T: int, d: int, base: float, start: int, seed: int
) -> None:
    x, positions = normal(2, T, d, seed=seed), torch.arange(start, start + T)
    turned = apply_rope(x, positions, base)
    torch.testing.assert_close(turned, turned_in_the_plane(x, positions, base), atol=1e-8, rtol=0)


@given(m=st.integers(0, 1000), n=st.integers(0, 1000), shift=st.integers(0, 1000), d=even, seed=seeds)
def test_scores_depend_on_the_distance_alone(m: int, n: int, shift: int, d: int, seed: int) -> None:
    q, k = normal(1, d, seed=seed), normal(1, d, seed=seed + 1)

    def score(m: int, n: int) -> Tensor:
        return (apply_rope(q, torch.tensor([m])) * apply_rope(k, torch.tensor([n]))).sum()

    torch.testing.assert_close(score(m, n), score(m + shift, n + shift), atol=1e-10, rtol=0)


@given(T=st.integers(1, 8), d=even, base=bases, seed=seeds)
def test_rope_keeps_the_norm_and_leaves_position_0(T: int, d: int, base: float, seed: int) -> None:
    x = normal(3, T, d, seed=seed)
    turned = apply_rope(x, torch.arange(T), base)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-12, rtol=0)
    assert torch.equal(turned[:, 0], x[:, 0])


def test_the_interleaved_layout_is_a_permutation_away() -> None:
    x, positions = normal(5, 8), torch.arange(5)
    order = torch.tensor(
        [0, 2, 4, 6, 1, 3, 5, 7]
    )  # RoFormer's pairs (0, 1), (2, 3), … become (0, 4), (1, 5), …
    turned = torch.empty_like(x)
    turned[:, order] = apply_rope(x[:, order], positions)
    pairs = torch.view_as_complex(x.reshape(5, 4, 2))
    angles = positions[:, None] * 10_000.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    expected = torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(1)
    torch.testing.assert_close(turned, expected, atol=1e-12, rtol=0)


def test_positions_may_differ_between_sequences() -> None:
    x = normal(2, 3, 4, 6)  # (B, H, T, d)
    positions = torch.tensor([[0, 1, 2, 3], [7, 8, 9, 10]])
    together = apply_rope(x, positions[:, None])
    for b in range(2):
        torch.testing.assert_close(together[b], apply_rope(x[b], positions[b]), atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_far_out_nothing_is_lost_but_the_last_rounding(dtype: torch.dtype) -> None:
    x, positions = normal(1, 64).to(dtype), torch.tensor([100_001])
    turned = apply_rope(x, positions)
    assert turned.dtype == dtype
    exact = turned_in_the_plane(x.double(), positions, 10_000.0)
    rounding = torch.finfo(dtype).eps / 2 * exact.abs()
    assert ((turned.double() - exact).abs() <= rounding + 1e-6).all()


def test_gradients_turn_back() -> None:
    x = normal(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: apply_rope(x, torch.arange(3)), (x,))


# --- ALiBi ---------------------------------------------------------------------------------------------


def test_the_papers_slopes() -> None:
    assert alibi_slopes(8).tolist() == [2**-k for k in range(1, 9)]
    assert alibi_slopes(1).tolist() == [2**-8]


@pytest.mark.parametrize("num_heads", [1, 2, 3, 4, 6, 8, 12, 16, 20, 40, 71, 112])
def test_alibi_is_blooms(num_heads: int) -> None:
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    places = torch.arange(9)
    theirs = build_alibi_tensor(torch.ones(1, 9), num_heads, torch.float32)  # (H, 1, S): slope · key position
    ours = alibi_bias(places - places[:, None], num_heads)
    assert ours.shape == (num_heads, 9, 9)
    # They differ by a constant in each row, which a softmax does not see; the future is masked.
    theirs = theirs - alibi_slopes(num_heads)[:, None, None] * places[:, None]
    past = torch.ones(9, 9, dtype=torch.bool).tril()
    torch.testing.assert_close(ours[:, past], theirs[:, past], atol=1e-5, rtol=0)


@given(T=st.integers(1, 6), S=st.integers(1, 6), num_heads=st.integers(1, 20))
def test_alibi_falls_with_the_distance_by_the_slope(T: int, S: int, num_heads: int) -> None:
    relative = torch.arange(S) - torch.arange(T)[:, None]
    bias = alibi_bias(relative[None], num_heads)
    assert bias.shape == (1, num_heads, T, S)
    for head, slope in enumerate(alibi_slopes(num_heads).tolist()):
        expected = [[-slope * abs(s - t) for s in range(S)] for t in range(T)]
        torch.testing.assert_close(bias[0, head], torch.tensor(expected), atol=1e-6, rtol=0)


# --- T5's buckets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("num_buckets", "max_distance"), [(32, 128), (32, 20_000), (16, 24), (4, 3), (8, 64), (64, 100), (10, 33)]
)
def test_buckets_are_t5s(causal: bool, num_buckets: int, max_distance: int) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    relative = torch.arange(-30_000, 30_001)
    ours = t5_bucket(relative, causal=causal, num_buckets=num_buckets, max_distance=max_distance)
    theirs = T5Attention._relative_position_bucket(
        relative, bidirectional=not causal, num_buckets=num_buckets, max_distance=max_distance
    )
    assert torch.equal(ours, theirs)
    of_int32 = t5_bucket(relative.int(), causal=causal, num_buckets=num_buckets, max_distance=max_distance)
    assert torch.equal(ours, of_int32)


@given(causal=st.booleans(), half=st.integers(2, 20), beyond=st.integers(1, 300))
def test_buckets_are_in_range_and_rise_with_the_distance(causal: bool, half: int, beyond: int) -> None:
    num_buckets, max_distance = 2 * half, half + beyond
    past = t5_bucket(-torch.arange(1000), causal=causal, num_buckets=num_buckets, max_distance=max_distance)
    future = t5_bucket(
        torch.arange(1, 1000), causal=causal, num_buckets=num_buckets, max_distance=max_distance
    )
    last = num_buckets - 1 if causal else half - 1
    assert past[0] == 0
    assert (past.diff() >= 0).all()
    assert (past[max_distance:] == last).all()
    assert torch.equal(future, torch.zeros_like(future) if causal else past[1:] + half)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: sinusoidal(4, 5), ValueError, "d must be even"),
        (lambda: sinusoidal(-1, 4), ValueError, "T must not be negative, got -1"),
        (lambda: rope_cos_sin(torch.arange(3), 0), ValueError, "d must be even and at least 2"),
        (lambda: rope_cos_sin(torch.arange(3), 4, base=0.0), ValueError, r"base must be above 0, got 0\.0"),
        (lambda: apply_rope(torch.ones(3, 4), torch.arange(2)), ValueError, "each of x's 3 places"),
        (lambda: apply_rope(torch.ones(3, 4), torch.tensor(2)), ValueError, "each of x's 3 places"),
        (lambda: apply_rope(torch.ones(3, 4), torch.ones(5, 3)), ValueError, r"got shape \(5, 3\)"),
        (lambda: apply_rope(torch.ones(2, 3, 4), torch.ones(5, 3)), ValueError, r"broadcast to \(2, 3\)"),
        (
            lambda: apply_rope(torch.ones(4), torch.arange(4)),
            ValueError,
            r"x must have shape \(\.\.\., T, d\)",
        ),
        (lambda: apply_rope(torch.ones(3, 4).long(), torch.arange(3)), TypeError, "floating point"),
        (lambda: alibi_slopes(0), ValueError, "num_heads must be at least 1, got 0"),
        (lambda: alibi_bias(torch.arange(3), 2), ValueError, r"relative must have shape \(\.\.\., T, S\)"),
        (lambda: t5_bucket(torch.ones(3), causal=True), TypeError, r"whole numbers, got torch\.float32"),
        (lambda: t5_bucket(torch.ones(3) > 0, causal=True), TypeError, r"whole numbers, got torch\.bool"),
        (lambda: t5_bucket(torch.arange(3), causal=True, num_buckets=1), ValueError, "at least 2, got 1"),
        (lambda: t5_bucket(torch.arange(3), causal=False, num_buckets=7), ValueError, "even and at least 4"),
        (lambda: t5_bucket(torch.arange(3), causal=True, max_distance=16), ValueError, "above the 16 exact"),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
