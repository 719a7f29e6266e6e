"""lmprep.training.dropout against torch, scikit-learn and the sum over all masks, and at the edges."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import Tensor

from lmprep.training.dropout import dropout_ridge, inverted_dropout

seeds = st.integers(0, 2**31)
probabilities = st.floats(0.0, 0.95)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=source(seed), dtype=torch.float64)


# dropout


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_equals_torch(p: float, dtype: torch.dtype) -> None:
    x = normal(5, 4, 3).to(dtype)
    before = torch.random.get_rng_state()
    try:
        torch.manual_seed(3)
        theirs = F.dropout(x, p)
    finally:
        torch.random.set_rng_state(before)
    ours = inverted_dropout(x, p, generator=source(3))
    assert ours.dtype == dtype
    assert torch.equal(ours, theirs)
    assert torch.equal(inverted_dropout(x, p, training=False), F.dropout(x, p, training=False))


@given(seed=seeds, p=probabilities, shape=st.lists(st.integers(0, 4), max_size=3))
def test_entries_are_zero_or_scaled(seed: int, p: float, shape: list[int]) -> None:
    x = normal(*shape, seed=seed) + 5
    got = inverted_dropout(x, p, generator=source(seed))
    assert got.shape == x.shape
    torch.testing.assert_close(got, torch.where(got == 0, 0.0, x / (1 - p)))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_mean_and_share(p: float) -> None:
    x, n = torch.full((300, 200), 2.0, dtype=torch.float64), 60_000
    got = inverted_dropout(x, p, generator=source())
    deviation = (p * (1 - p) / n) ** 0.5
    assert abs((got == 0).double().mean().item() - p) < 4 * deviation
    assert abs(got.mean().item() - 2) < 4 * 2 * (p / (1 - p) / n) ** 0.5


def test_gradient_has_the_same_mask() -> None:
    x = normal(6, 5).requires_grad_()
    got = inverted_dropout(x, 0.3, generator=source())
    (gradient,) = torch.autograd.grad(got.sum(), x)
    torch.testing.assert_close(gradient, torch.where(got == 0, 0.0, 1 / 0.7).double())


def test_generator_alone_decides() -> None:
    x, g = torch.ones(50), source()
    state = torch.random.get_rng_state()
    first, second = inverted_dropout(x, 0.5, generator=g), inverted_dropout(x, 0.5, generator=g)
    assert not torch.equal(first, second)
    assert torch.equal(first, inverted_dropout(x, 0.5, generator=source()))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(x, torch.ones(50))


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="p is the probability"):
        inverted_dropout(torch.ones(2), p)


def test_refuses_whole_numbers() -> None:
    with pytest.raises(TypeError, match="floating"):
        inverted_dropout(torch.ones(2, dtype=torch.long), 0.5)


# dropout_ridge


def loss_over_all_masks(X: Tensor, y: Tensor, w: Tensor, p: float) -> Tensor:
    """The expected squared error, by adding up every mask of every row."""
    total = torch.zeros((), dtype=torch.float64)
    for mask in itertools.product((0.0, 1.0), repeat=X.size(1)):
        kept = sum(mask)
        chance = (1 - p) ** kept * p ** (len(mask) - kept)
        total = total + chance * (y - (X * torch.tensor(mask).double() / (1 - p)) @ w).square().sum()
    return total


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
def test_minimizes_the_mean_over_all_masks(p: float) -> None:
    X, y = normal(12, 4, seed=1), normal(12, seed=2)
    w = dropout_ridge(X, y, p).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_over_all_masks(X, y, w, p), w)
    torch.testing.assert_close(gradient, torch.zeros(4).double(), atol=1e-9, rtol=0)


@given(seed=seeds, p=probabilities, N=st.integers(6, 12), d=st.integers(1, 4), K=st.integers(1, 3))
def test_is_sklearns_ridge_on_columns_of_length_one(seed: int, p: float, N: int, d: int, K: int) -> None:
    X, Y = normal(N, d, seed=seed), normal(N, K, seed=seed + 1)
    lengths = X.norm(dim=0)
    ridge = Ridge(alpha=p / (1 - p), fit_intercept=False, solver="svd").fit(X / lengths, Y)
    theirs = torch.as_tensor(ridge.coef_).reshape(K, d).T / lengths[:, None]
    torch.testing.assert_close(dropout_ridge(X, Y, p), theirs, atol=1e-7, rtol=1e-6)


@given(seed=seeds, p=st.floats(0.05, 0.95), scale=st.floats(1e-3, 1e3))
def test_predictions_do_not_depend_on_units(seed: int, p: float, scale: float) -> None:
    X, y = normal(10, 3, seed=seed), normal(10, seed=seed + 1)
    units = torch.tensor([1.0, scale, 1.0], dtype=torch.float64)
    torch.testing.assert_close(X @ dropout_ridge(X, y, p), (X * units) @ dropout_ridge(X * units, y, p))


def test_uncorrelated_columns_shrink_alike() -> None:
    X, y = torch.diag(torch.tensor([0.1, 1.0, 10.0]).double()), torch.ones(3).double()
    torch.testing.assert_close(dropout_ridge(X, y, 0.3), 0.7 / X.diagonal())


def test_copies_share() -> None:
    X = torch.ones(5, 4, dtype=torch.float64)
    torch.testing.assert_close(dropout_ridge(X, X[:, 0], 0.5), torch.full((4,), 0.2).double())


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_ridge_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="below 1"):
        dropout_ridge(normal(4, 2), normal(4), p)


@pytest.mark.parametrize("shapes", [((4,), (4,)), ((4, 2), (3,)), ((4, 2), (4, 1, 1))])
def test_ridge_refuses_shapes_that_do_not_fit(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="features must be"):
        dropout_ridge(normal(*shapes[0]), normal(*shapes[1]), 0.5)


@pytest.mark.parametrize("factor", [0.0, float("nan")])
def test_ridge_refuses_a_column_of_zeros_or_nan(factor: float) -> None:
    with pytest.raises(ValueError, match="a column of zeros"):
        dropout_ridge(normal(4, 2) * torch.tensor([1.0, factor]), normal(4), 0.5)


def test_ridge_refuses_other_dtypes() -> None:
    with pytest.raises(TypeError, match="one floating dtype"):
        dropout_ridge(normal(4, 2).long(), normal(4).long(), 0.5)
    with pytest.raises(TypeError, match="one floating dtype"):
        dropout_ridge(normal(4, 2), normal(4).float(), 0.5)
