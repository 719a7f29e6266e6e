"""lmprep.pretraining.contrastive against torch's losses and distances, closed forms, and at the edges."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmprep.pretraining.contrastive import alignment, info_nce, partner_loss

seeds = st.integers(0, 2**31)
sizes = st.integers(1, 9)
temperatures = st.sampled_from([0.01, 0.1, 1.0, 20.0])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def views(N: int, D: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    z1, z2 = normal(2, N, D, seed=seed)
    return z1, z1 + z2


# --- the loss ------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(N=sizes, D=sizes, tau=temperatures, seed=seeds)
def test_it_is_torchs_cross_entropy_of_torchs_cosines(N: int, D: int, tau: float, seed: int) -> None:
    z1, z2 = views(N, D, seed)
    scores = F.cosine_similarity(z1[:, None], z2, dim=-1) / tau
    partners = torch.arange(N)
    expected = (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2
    torch.testing.assert_close(info_nce(z1, z2, tau), expected, atol=1e-10, rtol=1e-10)


@settings(max_examples=30)
@given(N=sizes, tau=temperatures, seed=seeds)
def test_neither_order_nor_sides_nor_lengths_matter(N: int, tau: float, seed: int) -> None:
    z1, z2 = views(N, 4, seed)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(seed))
    lengths = normal(N, 1, seed=seed + 1).exp()
    expected = info_nce(z1, z2, tau)
    torch.testing.assert_close(
        info_nce(z2[order], (lengths * z1)[order], tau), expected, atol=1e-10, rtol=1e-9
    )


@pytest.mark.parametrize("N", [1, 2, 7])
def test_equal_vectors_cost_log_n(N: int) -> None:
    z = normal(1, 5).expand(N, 5)
    for tau in (0.01, 1.0, 50.0):
        assert info_nce(z, z, tau).item() == pytest.approx(math.log(N), abs=1e-12)


@settings(max_examples=30)
@given(N=st.integers(2, 9), D=sizes, tau=temperatures, seed=seeds)
def test_it_lies_between_the_simplex_and_the_worst_case(N: int, D: int, tau: float, seed: int) -> None:
    loss = info_nce(*normal(2, N, D, seed=seed), tau).item()
    lowest = math.log1p((N - 1) * math.exp(-N / (N - 1) / tau))
    highest = math.log(N - 1) + math.log1p(math.exp(-2 / tau) / (N - 1)) + 2 / tau
    assert lowest - 1e-9 <= loss <= highest + 1e-9


def test_both_ends_are_reached() -> None:
    simplex = torch.eye(6, dtype=torch.float64) - 1 / 6
    assert info_nce(simplex, simplex, 0.5).item() == pytest.approx(math.log1p(5 * math.exp(-6 / 5 / 0.5)))
    opposite = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    assert info_nce(opposite, -opposite, 0.1).item() == pytest.approx(math.log1p(math.exp(20)))


@pytest.mark.parametrize("tau", [1e-3, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_temperatures_stay_finite(tau: float, dtype: torch.dtype) -> None:
    z1, z2 = (z.to(dtype).requires_grad_() for z in views(5, 3))
    loss = info_nce(z1, z2, tau)
    loss.backward()
    assert loss.isfinite()
    assert z1.grad is not None
    assert z1.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences_and_reach_a_learned_temperature() -> None:
    z1, z2 = (z.requires_grad_() for z in views(4, 3))
    log_scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)

    def loss(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
        return info_nce(a, b, (-s).exp())

    assert torch.autograd.gradcheck(loss, (z1, z2, log_scale))


@pytest.mark.parametrize("tau", [0.05, 1.0, 1e4])
def test_log_n_minus_the_loss_is_at_most_the_mean_cosine_less_that_of_the_means_over_tau(tau: float) -> None:
    z1, z2 = (F.normalize(z, dim=1) for z in views(8, 3))
    most = ((z1 * z2).sum(1).mean() - z1.mean(0) @ z2.mean(0)).item() / tau
    shown = math.log(8) - info_nce(z1, z2, tau).item()
    assert shown <= most <= 1 / tau
    if tau == 1e4:
        assert shown == pytest.approx(most, abs=1e-7)  # all scores nearly equal: Jensen's gap closes


@settings(max_examples=20)
@given(N=st.integers(1, 6), seed=seeds)
def test_scores_may_be_anything_and_constants_of_the_table_do_not_count(N: int, seed: int) -> None:
    scores = 3 * normal(N, N, seed=seed)
    by_hand = (scores.logsumexp(0) + scores.logsumexp(1)).mean() / 2 - scores.diag().mean()
    torch.testing.assert_close(partner_loss(scores), by_hand, atol=1e-12, rtol=0)
    torch.testing.assert_close(partner_loss(scores + 7), by_hand, atol=1e-12, rtol=0)


# --- alignment -----------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(N=sizes, D=sizes, seed=seeds)
def test_alignment_is_wang_and_isolas(N: int, D: int, seed: int) -> None:
    z1, z2 = views(N, D, seed)
    expected = (F.normalize(z1) - F.normalize(z2)).norm(dim=1).pow(2).mean()
    torch.testing.assert_close(alignment(z1, z2), expected, atol=1e-12, rtol=0)


def test_alignment_goes_from_0_to_4_and_has_the_gradient_of_finite_differences() -> None:
    z = normal(5, 3)
    assert alignment(z, 2 * z).item() == pytest.approx(0, abs=1e-12)
    assert alignment(z, -z).item() == pytest.approx(4)
    assert torch.autograd.gradcheck(alignment, [view.requires_grad_() for view in views(4, 3)])


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [info_nce, alignment])
def test_pairs_that_do_not_fit_are_refused(function: Callable[..., Tensor]) -> None:
    for z1, z2, says in (
        (torch.ones(3, 2), torch.ones(4, 2), "partner"),
        (torch.ones(3, 2), torch.ones(3, 4), "one shape"),
        (torch.ones(3), torch.ones(3), "z1"),
        (torch.ones(3, 2), torch.ones(3, 2, 1), "z2"),
        (torch.ones(0, 2), torch.ones(0, 2), "z1"),
    ):
        with pytest.raises(ValueError, match=says):
            function(z1, z2)
    with pytest.raises(TypeError, match="z2"):
        function(torch.ones(3, 2), torch.ones(3, 2).long())
    with pytest.raises(TypeError, match="dtype"):
        function(torch.ones(3, 2), torch.ones(3, 2).double())


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, torch.tensor(0.0)])
def test_a_temperature_must_be_positive(tau: float | Tensor) -> None:
    with pytest.raises(ValueError, match="temperature"):
        info_nce(torch.ones(2, 2), torch.ones(2, 2), tau)


def test_tables_that_are_not_square_or_not_floating_point_are_refused() -> None:
    for scores in (torch.ones(2, 3), torch.ones(2), torch.ones(0, 0)):
        with pytest.raises(ValueError, match=r"scores|logits"):
            partner_loss(scores)
    with pytest.raises(TypeError, match="floating"):
        partner_loss(torch.ones(2, 2).long())
