"""lmprep.data.mixup against torch and SciPy, and at the edges."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from lmprep.data.mixup import mixup

seeds = st.integers(0, 2**32)


def batch(
    B: int, K: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(B, 3, 2, generator=g, dtype=dtype)
    return x, F.one_hot(torch.randint(K, (B,), generator=g), K).to(dtype)


@settings(max_examples=40)
@given(B=st.integers(1, 9), K=st.integers(1, 5), alpha=st.floats(0, 10), seed=seeds)
def test_each_row_is_mixed_with_its_partner_and_labels_alike(B: int, K: int, alpha: float, seed: int) -> None:
    x, y = batch(B, K, seed)
    names = torch.eye(B, dtype=torch.float64)
    _, mix, lam = mixup(x, names, alpha, np.random.default_rng(seed))  # which rows an answer is made of
    mixed, soft, again = mixup(x, y, alpha, np.random.default_rng(seed))
    assert again == lam
    assert 0 <= lam <= 1
    torch.testing.assert_close(mixed, torch.einsum("ij,jkl->ikl", mix, x))
    torch.testing.assert_close(soft, mix @ y)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(B, dtype=torch.float64))
    torch.testing.assert_close(mix.sum(dim=0), torch.ones(B, dtype=torch.float64))  # each is a partner once
    torch.testing.assert_close(mix.diagonal().clamp(max=lam), torch.full((B,), lam, dtype=torch.float64))


@given(B=st.integers(1, 9), K=st.integers(1, 5), seed=seeds)
def test_the_loss_of_mixed_labels_is_the_mixed_loss(B: int, K: int, seed: int) -> None:
    x, y = batch(B, K, seed)
    logits = torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    _, order, lam = mixup(x, torch.eye(B, dtype=torch.float64), 0.5, np.random.default_rng(seed))
    partner = (order - lam * torch.eye(B)).argmax(dim=1)
    _, soft, _ = mixup(x, y, 0.5, np.random.default_rng(seed))
    own, other = (F.cross_entropy(logits, labels.argmax(dim=1)) for labels in (y, y[partner]))
    torch.testing.assert_close(F.cross_entropy(logits, soft), lam * own + (1 - lam) * other)


def test_labels_mixed_alone_are_smoothed_labels_on_average() -> None:
    """Toward the classes' shares, by E[1 − λ] = ½."""
    x, y = batch(12, 3)
    rng = np.random.default_rng(0)
    mean = torch.stack([mixup(x, y, 1.0, rng)[1] for _ in range(2000)]).mean(dim=0)
    torch.testing.assert_close(mean, 0.5 * y + 0.5 * y.mean(dim=0), atol=0.05, rtol=0)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_share_is_beta_distributed(alpha: float) -> None:
    x, y = batch(2, 2)
    rng = np.random.default_rng(1)
    shares = np.array([mixup(x, y, alpha, rng)[2] for _ in range(2000)])
    law = beta(alpha, alpha)
    assert shares.mean() == pytest.approx(law.mean(), abs=6 * law.std() / 2000**0.5)
    assert shares.var() == pytest.approx(law.var(), rel=0.12)
    assert kstest(shares, law.cdf).pvalue > 1e-6


def test_all_pairings_occur_alike() -> None:
    x, rng = torch.zeros(3, 1), np.random.default_rng(2)
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(1200):
        _, mix, lam = mixup(x, torch.eye(3), 50.0, rng)
        order = tuple((mix - lam * torch.eye(3)).argmax(dim=1).tolist())
        seen[order] = seen.get(order, 0) + 1
    assert len(seen) == math.factorial(3)
    assert max(abs(count - 200) for count in seen.values()) < 6 * (1200 * 5 / 36) ** 0.5


def test_alpha_0_leaves_the_batch_as_it_is() -> None:
    x, y = batch(5, 3)
    mixed, soft, lam = mixup(x, y, 0, np.random.default_rng(0))
    assert lam == 1.0
    torch.testing.assert_close(mixed, x, rtol=0, atol=0)
    torch.testing.assert_close(soft, y, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtypes_gradients_inputs_and_generators(dtype: torch.dtype) -> None:
    x, y = batch(6, 3, dtype=dtype)
    before = x.clone(), y.clone()
    mixed, soft, lam = mixup(x, y, 1.0, np.random.default_rng(3))
    same, _, again = mixup(x, y, 1.0, np.random.default_rng(3))
    assert (mixed.dtype, soft.dtype, type(lam)) == (dtype, dtype, float)
    assert torch.equal(mixed, same)
    assert lam == again
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    x.requires_grad_()
    mixup(x, y, 1.0, np.random.default_rng(3))[0].sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x), atol=1e-2, rtol=0)


def test_bad_input_is_named() -> None:
    rng, (x, y) = np.random.default_rng(0), batch(4, 3)
    with pytest.raises(TypeError, match="one_hot"):
        mixup(x, torch.tensor([0, 1, 2, 0]), 1.0, rng)
    with pytest.raises(TypeError, match="embed"):
        mixup(torch.zeros(4, 2, dtype=torch.long), y, 1.0, rng)
    for bad_x, bad_y in ((x[:3], y), (x, y[:, 0]), (x[:0], y[:0])):
        with pytest.raises(ValueError, match=r"x must be \(B, ...\)"):
            mixup(bad_x, bad_y, 1.0, rng)
    for alpha in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match="alpha must be finite"):
            mixup(x, y, alpha, rng)
