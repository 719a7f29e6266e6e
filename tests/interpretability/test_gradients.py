"""lmprep.interpretability.gradients against captum's, against closed forms, and at the edges."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import InputXGradient, IntegratedGradients
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lmprep.interpretability.gradients import (
    deletion_curve,
    input_x_gradient,
    integrated_gradients,
    with_shuffled_weights,
)

sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(D: int, seed: int = 0) -> Callable[[Tensor], Tensor]:
    """A function of (N, T, D) with interactions between tokens."""
    a, b = normal(D, 7, seed=seed), normal(7, seed=seed + 1)
    return lambda x: ((x @ a).tanh().sum(1) ** 2 @ b).sin()


# --- reference -----------------------------------------------------------------------------------------


@given(N=sizes, T=sizes, D=sizes, steps=st.integers(2, 20), seed=seeds)
def test_integrated_gradients_are_captums(N: int, T: int, D: int, steps: int, seed: int) -> None:
    f, x, baseline = network(D, seed), normal(N, T, D, seed=seed), normal(N, T, D, seed=seed + 2)
    theirs = IntegratedGradients(f).attribute(x, baseline, n_steps=steps, method="riemann_middle")
    # captum takes its points in float32
    torch.testing.assert_close(integrated_gradients(f, x, baseline, steps), theirs, atol=1e-5, rtol=1e-5)


@given(N=sizes, T=sizes, D=sizes, seed=seeds)
def test_input_x_gradient_is_captums(N: int, T: int, D: int, seed: int) -> None:
    f, x = network(D, seed), normal(N, T, D, seed=seed)
    theirs = InputXGradient(f).attribute(x.clone().requires_grad_())
    torch.testing.assert_close(input_x_gradient(f, x), theirs, atol=1e-13, rtol=1e-13)


# --- closed forms --------------------------------------------------------------------------------------


@given(N=sizes, D=sizes, steps=st.integers(1, 5), seed=seeds)
def test_a_linear_function_is_exact_with_any_number_of_steps(N: int, D: int, steps: int, seed: int) -> None:
    x, baseline, slope = normal(N, D, seed=seed), normal(N, D, seed=seed + 1), normal(D, seed=seed + 2)
    found = integrated_gradients(lambda x: x @ slope, x, baseline, steps)
    torch.testing.assert_close(found, (x - baseline) * slope, atol=1e-13, rtol=1e-13)
    torch.testing.assert_close(input_x_gradient(lambda x: x @ slope, x), x * slope)


@given(N=sizes, D=sizes, steps=st.integers(1, 5), seed=seeds)
def test_midpoints_are_exact_for_a_quadratic_form(N: int, D: int, steps: int, seed: int) -> None:
    """Its gradient is linear in α, so the mean gradient is that half-way."""
    x, baseline, form = normal(N, D, seed=seed), normal(N, D, seed=seed + 1), normal(D, D, seed=seed + 2)
    found = integrated_gradients(lambda x: (x @ form * x).sum(-1), x, baseline, steps)
    expected = (x - baseline) * ((x + baseline) / 2 @ (form + form.mT))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


@settings(max_examples=5)  # each takes thousands of passes
@given(N=sizes, T=sizes, D=sizes, seed=seeds)
def test_completeness(N: int, T: int, D: int, seed: int) -> None:
    f, x, baseline = network(D, seed), normal(N, T, D, seed=seed), normal(1, 1, D, seed=seed + 2)
    found = integrated_gradients(f, x, baseline, 2000).sum((1, 2))
    torch.testing.assert_close(found, f(x) - f(baseline.expand_as(x)), atol=1e-3, rtol=0)


def test_saturation_hides_a_feature_from_the_gradient_and_not_from_the_path() -> None:
    f, x = lambda x: 1 - torch.relu(1 - x[:, 0]), torch.tensor([[2.0]])
    assert input_x_gradient(f, x).item() == 0
    assert integrated_gradients(f, x, torch.zeros(1, 1)).item() == 1


def test_an_interaction_hides_from_the_path_and_not_from_the_gradient() -> None:
    """Exclusive or, back at the baseline's value: shares that add up to zero and are equal are zero."""
    f, x = lambda x: x.sum(1) - 2 * x.prod(1), torch.ones(1, 2)
    assert integrated_gradients(f, x, torch.zeros(2)).abs().max() < 1e-7
    assert input_x_gradient(f, x).tolist() == [[-1, -1]]


def test_what_the_baseline_shares_with_the_input_gets_exactly_nothing() -> None:
    f, x = network(3), normal(2, 4, 3)
    baseline = normal(2, 4, 3, seed=1)
    baseline[:, 2] = x[:, 2]
    assert integrated_gradients(f, x, baseline)[:, 2].count_nonzero() == 0
    assert integrated_gradients(f, x, x).count_nonzero() == 0


# --- properties ----------------------------------------------------------------------------------------


@given(N=st.integers(2, 5), seed=seeds)
def test_inputs_do_not_see_each_other(N: int, seed: int) -> None:
    f, x, baseline = network(3, seed), normal(N, 4, 3, seed=seed), normal(N, 4, 3, seed=seed + 2)
    together = integrated_gradients(f, x, baseline, 8)
    alone = torch.cat(
        [integrated_gradients(f, a[None], b[None], 8) for a, b in zip(x, baseline, strict=True)]
    )
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=1e-12)


@given(seed=seeds, factor=st.floats(-3, 3))
def test_attributions_are_linear_in_the_function(seed: int, factor: float) -> None:
    f, g, x, zero = (
        network(3, seed),
        network(3, seed + 5),
        normal(2, 4, 3, seed=seed),
        torch.zeros(3).double(),
    )
    both = integrated_gradients(lambda x: f(x) + factor * g(x), x, zero, 8)
    apart = integrated_gradients(f, x, zero, 8) + factor * integrated_gradients(g, x, zero, 8)
    torch.testing.assert_close(both, apart, atol=1e-12, rtol=1e-12)


def test_what_the_function_does_not_read_gets_nothing() -> None:
    x = normal(2, 4, 3)
    for found in (
        integrated_gradients(lambda x: x[:, 1].square().sum(-1), x, torch.zeros(3).double()),
        input_x_gradient(lambda x: x[:, 1].square().sum(-1), x),
    ):
        assert found[:, [0, 2, 3]].count_nonzero() == 0
        assert found[:, 1].all()


def test_a_function_that_does_not_read_its_input_gets_zeros() -> None:
    weight, x = nn.Parameter(torch.ones(2)), torch.ones(2, 3)
    assert integrated_gradients(lambda x: 2 * weight, x, torch.zeros(3)).count_nonzero() == 0
    assert input_x_gradient(lambda x: 2 * weight, x).count_nonzero() == 0


def test_nothing_is_left_behind() -> None:
    """No gradient on the function's parameters, no flag on the input, no graph on the result."""
    layer, x, baseline = nn.Linear(3, 1), torch.ones(2, 3), torch.zeros(2, 3)
    with torch.no_grad():  # a gradient is taken all the same
        for found in (
            integrated_gradients(lambda x: layer(x)[:, 0], x, baseline, 2),
            input_x_gradient(lambda x: layer(x)[:, 0], x),
        ):
            torch.testing.assert_close(found, layer.weight.expand(2, 3))
            assert not found.requires_grad
    assert layer.weight.grad is None
    assert not x.requires_grad
    assert x.tolist() == [[1, 1, 1]] * 2


def test_not_a_number_stays() -> None:
    x = torch.ones(1, 2)
    found = integrated_gradients(lambda x: x[:, 0] * math.nan + x[:, 1], x, torch.zeros(2), 3)
    assert found[0, 0].isnan()
    assert found[0, 1] == 1


# --- deletion ------------------------------------------------------------------------------------------


def test_deletion_by_hand() -> None:
    ids, scores = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([[0.1, 0.9, 0.5], [2.0, 2.0, -1.0]])
    seen: list[list[list[int]]] = []

    def f(x: Tensor) -> Tensor:
        seen.append(x.tolist())
        return x.sum(1)

    found = deletion_curve(f, ids, scores, torch.tensor(0))
    assert seen == [[[1, 2, 3], [4, 5, 6]], [[1, 0, 3], [0, 5, 6]], [[1, 0, 0], [0, 0, 6]], [[0, 0, 0]] * 2]
    assert found.tolist() == [[6, 15], [4, 11], [1, 6], [0, 0]]
    assert ids.tolist() == [[1, 2, 3], [4, 5, 6]]


@given(N=sizes, T=sizes, D=sizes, seed=seeds)
def test_deletion_of_vectors_begins_with_the_input_and_ends_with_the_baseline(
    N: int, T: int, D: int, seed: int
) -> None:
    x, scores, baseline = normal(N, T, D, seed=seed), normal(N, T, seed=seed + 1), normal(T, D, seed=seed + 2)
    found = deletion_curve(lambda x: x, x, scores, baseline)  # (T + 1, N, T, D)
    assert torch.equal(found[0], x)
    assert torch.equal(found[-1], baseline.expand_as(x))
    replaced = (found == baseline).all(dim=-1).sum(dim=-1)  # (T + 1, N)
    assert torch.equal(replaced, torch.arange(T + 1)[:, None].expand(T + 1, N))
    if T > 1:
        assert torch.equal((found[1] == baseline).all(dim=-1).int().argmax(1), scores.argmax(1))


@given(T=st.integers(2, 6), seed=seeds)
def test_for_an_additive_function_the_right_order_falls_fastest(T: int, seed: int) -> None:
    x, other = normal(1, T, seed=seed), normal(1, T, seed=seed + 1)
    fast = deletion_curve(lambda x: x.sum(1), x, x, torch.tensor(0.0).double())
    slow = deletion_curve(lambda x: x.sum(1), x, other, torch.tensor(0.0).double())
    assert (fast <= slow + 1e-12).all()


# --- shuffled weights ----------------------------------------------------------------------------------


def test_shuffling_moves_every_parameters_numbers_and_spares_the_model() -> None:
    model = nn.Sequential(nn.Linear(8, 9), nn.Linear(9, 2))
    before = [parameter.clone() for parameter in model.parameters()]
    broken = with_shuffled_weights(model, torch.Generator().manual_seed(0))
    for old, same, new in zip(before, model.parameters(), broken.parameters(), strict=True):
        assert torch.equal(old, same)
        assert new.shape == old.shape
        assert torch.equal(new.flatten().sort().values, old.flatten().sort().values)
    assert not torch.equal(broken[0].weight, model[0].weight)
    again = with_shuffled_weights(model, torch.Generator().manual_seed(0))
    assert torch.equal(broken[0].weight, again[0].weight)


# --- bad input -----------------------------------------------------------------------------------------

X, IDS = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.long)


def total(x: Tensor) -> Tensor:
    return x.sum(1)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: input_x_gradient(total, IDS), TypeError, r"torch\.int64: pass embeddings"),
        (lambda: input_x_gradient(total, X[:0]), ValueError, r"not be empty, got \(0, 3\)"),
        (lambda: input_x_gradient(total, torch.tensor(1.0)), ValueError, r"shape \(N, …\) .* got \(\)"),
        (lambda: input_x_gradient(lambda x: x, X), ValueError, r"shape \(2,\), got \(2, 3\)"),
        (lambda: input_x_gradient(lambda x: x.sum(), X), ValueError, r"shape \(2,\), got \(\)"),
        (lambda: input_x_gradient(lambda x: 1.0, X), TypeError, "must return a tensor, got float"),
        (lambda: input_x_gradient(lambda x: total(x).detach(), X), ValueError, "carries no gradient"),
        (lambda: integrated_gradients(total, X, X, 0), ValueError, "steps must be at least 1, got 0"),
        (lambda: integrated_gradients(total, X, X.double()), TypeError, "baseline must have x's dtype"),
        (lambda: integrated_gradients(total, X, torch.ones(2)), ValueError, r"to \(2, 3\), got \(2,\)"),
        (lambda: integrated_gradients(total, X, torch.ones(4, 2, 3)), ValueError, r"got \(4, 2, 3\)"),
        (lambda: integrated_gradients(total, IDS, IDS), TypeError, "x must be floating point"),
        (lambda: deletion_curve(total, X[0], X[0], X[0]), ValueError, r"shape \(N, T, …\) .* got \(3,\)"),
        (lambda: deletion_curve(total, X, X[:, :2], X), ValueError, r"shape \(2, 3\), got \(2, 2\)"),
        (lambda: deletion_curve(total, X, X * math.nan, X), ValueError, "scores holds NaN"),
        (lambda: deletion_curve(total, IDS, X, torch.tensor(0.0)), TypeError, "baseline must have x's dtype"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
